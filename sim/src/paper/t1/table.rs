//! The rows: what is published of a run, what comes out of the simulated engine, how far it is off, and tidegate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use super::engine::{self, Answer, Job, MODEL, Policy};
use super::hosted::{Foresight, Hosted};
use super::metric::{Metrics, Served};
use crate::paper::draws::{Figures, mean_and_spread};
use crate::paper::row::Row;
use crate::policy::{Charge, Counters, FirstCome};
use crate::random::Random;
use crate::trace::{GpuLog, LoggedRequest, TraceError};

/// The published runs, in the order of the rows.
const RUNS: [&str; 5] = ["fcfs-overload", "vtc-overload", "fcfs-real", "vtc-real", "rpm5-real"];
/// The run to which the model was fitted.
const CALIBRATED_ON: &str = "fcfs-overload";
/// The run whose arrivals the rows without a log have; those of the other real ones are the same.
const REAL: &str = "fcfs-real";

/// What a host of tidegate would use here: nobody knows outputs, tenants are much like themselves, and those of tenants that have
/// many give way.
const OURS: Ours = Ours { foresight: Foresight::Usual, yields: true };
/// How much later than the log has it an engine may hear of a request: one step of this one. Who is admitted in which
/// step is an accident at that scale, and differences swing by a tenth from one such accident to the next.
const SENDING_NS: u64 = 50_000_000;
const THROUGHPUT: &str = "throughput_tok_s";

/// Rows of the paper whose logs are not at hand: largest, mean and variance of the differences, tokens per second.
const WITHOUT_LOG: [(PolicyName, [f64; 4]); 5] = [
    (PolicyName::Lcf, [750.49, 323.82, 29_088.90, 778.0]),
    (PolicyName::VtcPredict, [365.47, 240.33, 5_321.62, 773.0]),
    (PolicyName::VtcOracle, [329.46, 227.51, 4_475.76, 781.0]),
    (PolicyName::Rpm(20), [446.76, 195.71, 7_449.79, 694.0]),
    (PolicyName::Rpm(30), [693.66, 309.45, 24_221.31, 747.0]),
];

/// A policy of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyName {
    /// First come, first served.
    Fcfs,
    /// Least counter first: VTC without lifts.
    Lcf,
    /// Virtual token counters.
    Vtc,
    /// The same with predicted outputs.
    VtcPredict,
    /// The same with known ones.
    VtcOracle,
    /// So many requests of a client in a minute.
    Rpm(usize),
}

impl PolicyName {
    /// The policy in the name of a run, and what follows it.
    #[must_use]
    pub fn of_run(run: &str) -> Option<(Self, &str)> {
        let after = |name: &str| match run.strip_prefix(name)? {
            "" => Some(""),
            rest => rest.strip_prefix('-'),
        };
        let named = [Self::VtcPredict, Self::VtcOracle, Self::Vtc, Self::Fcfs, Self::Lcf];
        let named = named.into_iter().find_map(|policy| Some((policy, after(&policy.name())?)));
        named.or_else(|| {
            let digits = run.strip_prefix("rpm")?.split('-').next()?;
            let limit = Self::Rpm(digits.parse().ok().filter(|&limit| limit > 0)?);
            Some((limit, after(&limit.name())?))
        })
    }

    /// As in the names of runs.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Fcfs => "fcfs".to_owned(),
            Self::Lcf => "lcf".to_owned(),
            Self::Vtc => "vtc".to_owned(),
            Self::VtcPredict => "vtc-predict".to_owned(),
            Self::VtcOracle => "vtc-oracle".to_owned(),
            Self::Rpm(limit) => format!("rpm{limit}"),
        }
    }

    fn policy(self) -> Box<dyn Policy> {
        match self {
            Self::Fcfs => Box::new(FirstCome::default()),
            Self::Rpm(limit) => Box::new(FirstCome::per_minute(limit)),
            Self::Lcf => Box::new(Counters::least_first()),
            Self::Vtc => Box::new(Counters::virtual_tokens(Charge::AsTheyCome)),
            Self::VtcPredict => Box::new(Counters::virtual_tokens(Charge::Predicted)),
            Self::VtcOracle => Box::new(Counters::virtual_tokens(Charge::Known)),
        }
    }
}

/// What is computed of each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// Each figure is the mean of so many, at least one.
    pub count: u32,
    /// In each, every request is sent up to so much later than in the log: other arrivals, on which nothing was chosen.
    pub moved_ns: u64,
}

/// What comes out of the simulated engine, over the draws.
#[derive(Clone, Debug, Default, PartialEq)]
struct Simulated {
    mean: Figures,
    /// The standard deviation from one draw to the next.
    spread: Figures,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Its name.
    pub table: &'static str,
    /// The service-time model.
    pub model: &'static str,
    /// The run to which it was fitted.
    pub calibrated_on: &'static str,
    /// How often each figure was computed, with other moments of sending.
    pub draws: u32,
    /// By how many seconds, at most, requests were sent later than in the logs.
    pub moved_s: f64,
    /// Runs with a log, then those of which only the paper's row is at hand, then those that were asked for.
    pub rows: Vec<Row>,
    /// tidegate on the real requests, and `throughput_of_fcfs`, its share of what first come, first served reaches.
    pub tidegate: Figures,
    /// The same by what it is told of outputs: in one tier, and with those of tenants that have many giving way.
    pub tidegate_by_foresight: BTreeMap<&'static str, Figures>,
}

/// Why there is no table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum T1Error {
    /// A log has a fault.
    #[error(transparent)]
    Log(#[from] TraceError),
    /// The name of a log does not say under which policy it was.
    #[error("{0}: the name of a run begins with its policy: fcfs, lcf, vtc, vtc-predict, vtc-oracle or rpmN")]
    NoPolicy(String),
}

/// Computes the table from the published runs, in the folder `vtc-runs` of `traces`, and from further logs. Each row is
/// computed by itself, and each figure is the mean of `draws`.
///
/// # Errors
/// The first fault of a log.
pub fn table(traces: &Path, further: &[PathBuf], draws: Draws) -> Result<Table, T1Error> {
    let folder = traces.join("vtc-runs");
    let published = RUNS.iter().map(|name| folder.join(format!("{name}.jsonl.gz")));
    let published = published.map(|path| Run::read(&path)).collect::<Result<Vec<_>, _>>()?;
    let further = further.iter().map(|path| Run::read(path)).collect::<Result<Vec<_>, _>>()?;
    let real = published.iter().find(|run| run.is(REAL)).expect("it is one of them");

    let mut ours = Computed { draws, computed: Vec::new() };
    let mut rows: Vec<Row> = published.iter().map(|run| run.logged_row(&mut ours)).collect();
    for (policy, [max_diff, avg_diff, diff_var, throughput]) in WITHOUT_LOG {
        let figures = [
            ("max_diff", max_diff),
            ("avg_diff", avg_diff),
            ("diff_var", diff_var),
            (THROUGHPUT, throughput),
        ];
        rows.push(real.row(policy, figures.into(), &mut ours));
    }
    rows.extend(further.iter().map(|run| run.logged_row(&mut ours)));
    let first_come = real.under(draws, || PolicyName::Fcfs.policy()).mean[THROUGHPUT];
    let by_foresight = Ours::ALL.map(|how| {
        let simulated = real.under_tidegate(draws, how);
        let mut figures = simulated.mean;
        figures.insert("throughput_of_fcfs", figures[THROUGHPUT] / first_come);
        (how.name(), figures)
    });
    let tidegate_by_foresight = BTreeMap::from(by_foresight);
    Ok(Table {
        table: "T1",
        model: MODEL,
        calibrated_on: CALIBRATED_ON,
        draws: draws.count,
        moved_s: draws.moved_ns as f64 / 1e9,
        rows,
        tidegate: tidegate_by_foresight[OURS.name()].clone(),
        tidegate_by_foresight,
    })
}

/// How a host drives tidegate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ours {
    foresight: Foresight,
    yields: bool,
}

impl Ours {
    const ALL: [Self; 6] = {
        const fn of(foresight: Foresight, yields: bool) -> Ours {
            Ours { foresight, yields }
        }
        [
            of(Foresight::None, false),
            of(Foresight::Usual, false),
            of(Foresight::Known, false),
            of(Foresight::None, true),
            of(Foresight::Usual, true),
            of(Foresight::Known, true),
        ]
    };

    const fn name(self) -> &'static str {
        match (self.foresight, self.yields) {
            (foresight, false) => foresight.name(),
            (Foresight::None, true) => "none, yielding",
            (Foresight::Usual, true) => "usual, yielding",
            (Foresight::Known, true) => "known, yielding",
        }
    }

    fn host(self, tenants: usize) -> Hosted {
        match self.yields {
            true => Hosted::yielding(self.foresight, tenants),
            false => Hosted::new(self.foresight, tenants),
        }
    }
}

/// tidegate on each workload, computed once.
struct Computed {
    draws: Draws,
    computed: Vec<(Vec<Job>, Simulated)>,
}

impl Computed {
    fn on(&mut self, run: &Run) -> Simulated {
        if let Some((_, known)) = self.computed.iter().find(|(jobs, _)| *jobs == run.jobs) {
            return known.clone();
        }
        let simulated = run.under_tidegate(self.draws, OURS);
        self.computed.push((run.jobs.clone(), simulated.clone()));
        simulated
    }
}

/// A run on a GPU.
struct Run {
    policy: PolicyName,
    workload: String,
    clients: usize,
    jobs: Vec<Job>,
    logged: Figures,
}

impl Run {
    fn read(path: &Path) -> Result<Self, T1Error> {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let (policy, workload) =
            PolicyName::of_run(stem).ok_or_else(|| T1Error::NoPolicy(path.display().to_string()))?;
        let fits = |prompt: u32, output: u32| {
            let (prompt, output) = (prompt.into(), output.into());
            engine::fits(&Job { client: 0, tier: 0, arrival_ns: 0, prompt, output })
        };
        let log = GpuLog::read(path, fits)?;
        let answered: Vec<Served> = log.requests.iter().filter_map(Served::logged).collect();
        Ok(Self {
            policy,
            workload: workload.to_owned(),
            clients: log.clients.len(),
            jobs: log.requests.iter().map(job).collect(),
            logged: Metrics::of(&answered).named().into(),
        })
    }

    fn is(&self, name: &str) -> bool {
        PolicyName::of_run(name) == Some((self.policy, &self.workload))
    }

    fn logged_row(&self, ours: &mut Computed) -> Row {
        self.row(self.policy, self.logged.clone(), ours)
    }

    fn row(&self, policy: PolicyName, published: Figures, ours: &mut Computed) -> Row {
        let Simulated { mean: reproduced, spread } = self.under(ours.draws, || policy.policy());
        let tidegate = ours.on(self);
        Row {
            reproduced_spread: spread,
            tidegate_spread: tidegate.spread,
            ..Row::new(policy.name(), self.workload.clone(), published, reproduced, tidegate.mean)
        }
    }

    fn under_tidegate(&self, draws: Draws, how: Ours) -> Simulated {
        self.under(draws, || Box::new(how.host(self.clients)))
    }

    fn under(&self, draws: Draws, policy: impl Fn() -> Box<dyn Policy> + Sync) -> Simulated {
        let (mean, spread) =
            mean_and_spread(draws.count, |draw| self.drawn(draw, draws.moved_ns, policy().as_mut()));
        Simulated { mean, spread }
    }

    /// The log says when a request was to be sent, not when it was: the engine hears of it up to [`SENDING_NS`] later.
    fn drawn(&self, draw: u32, moved_ns: u64, policy: &mut dyn Policy) -> Figures {
        let mut random = Random::new(draw.into());
        let later = |job: &Job, by_ns: u64| Job { arrival_ns: job.arrival_ns + by_ns, ..*job };
        let sent = self.jobs.iter().map(|job| {
            let moved_by = if moved_ns > 0 { random.below(moved_ns) } else { 0 };
            let job = later(job, moved_by);
            (job, later(&job, random.below(SENDING_NS)))
        });
        let mut sent: Vec<(Job, Job)> = sent.collect();
        sent.sort_by_key(|(_, heard)| heard.arrival_ns);
        let heard: Vec<Job> = sent.iter().map(|&(_, heard)| heard).collect();
        let answers = engine::serve(&heard, policy);
        let served = sent.iter().map(|(job, _)| job).zip(answers).filter_map(as_simulated);
        Metrics::of(&served.collect::<Vec<_>>()).named().into()
    }
}

fn job(request: &LoggedRequest) -> Job {
    Job {
        client: request.client,
        tier: 0,
        arrival_ns: (request.arrival_s * 1e9).round() as u64,
        prompt: request.prompt.into(),
        output: request.output.into(),
    }
}

fn as_simulated((job, answer): (&Job, Answer)) -> Option<Served> {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let (first_ns, last_ns) = answer?;
    Some(Served {
        client: job.client,
        arrival_s: seconds(job.arrival_ns),
        prompt: job.prompt,
        output: job.output,
        first_s: seconds(first_ns),
        last_s: seconds(last_ns),
    })
}
