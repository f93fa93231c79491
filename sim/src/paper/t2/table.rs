//! The rows: violations by policy and rate, what each policy's capacity is, and tidegate on the same requests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tidegate::{Config, StepTime, TierConfig, Yielding};

use super::objective::{Objective, TIERS, figures, objective};
use super::policies::{InOrder, Order};
use super::requests::{Lengths, lengths, poisson};
use crate::model::ServiceModel;
use crate::paper::chunked::{Job, Policy, Served, Size, serve};
use crate::paper::draws::{Figures, mean_and_spread};
use crate::paper::hosted::{Host, Hosted};
use crate::paper::row::Row;
use crate::trace::{self, Kind, LoadOptions, TraceError, TraceSpec};

/// The service-time model. It is read from the artifact: nothing here was fitted.
pub const MODEL: &str = "llama3-8b";
/// Requests of the published experiments.
pub const REQUESTS: usize = 18_000;
/// Rates of the rows, in tenths of a request a second; the last is half as much again as what Niyama can take.
pub const RATES: [u32; 6] = [13, 15, 19, 21, 23, 33];
/// The rate from which capacities are looked for: what any policy can take.
const SOUGHT_FROM: u32 = 5;
/// The highest that is looked at: a thousand requests a second.
const MOST_RATE: u32 = 10_000;
/// A policy can take a rate at which no more than so many percent of all requests are violations.
const MOST_PERCENT: f64 = 1.0;
/// Requests in tidegate's engine at a time: what they hold at most fits an 80 GB GPU beside the weights.
const SLOTS: u64 = 128;
/// The most tokens of its steps, as Niyama's.
const STEP_TOKENS: u64 = 8_192;
/// tidegate's objectives for the time between tokens of tier 0, in milliseconds: a tenth below the 100 that users should
/// never wait, and what keeps nearly all tokens within the 55 that Niyama counts, saved-up time included.
const GAP_MS: [(&str, u64); 2] = [("gap_90_ms", 90), ("gap_62_ms", 62)];

/// A policy of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyName {
    /// First come, first served.
    Fcfs,
    /// Earliest deadline first.
    Edf,
    /// Shortest remaining prompt first.
    Srpf,
    /// vLLM's priority policy.
    VllmPriority,
    /// An engine for each tier.
    Siloed,
    /// Niyama.
    Niyama,
}

impl PolicyName {
    const ALL: [Self; 6] =
        [Self::Fcfs, Self::Edf, Self::Srpf, Self::VllmPriority, Self::Siloed, Self::Niyama];

    /// As it is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fcfs => "fcfs",
            Self::Edf => "edf",
            Self::Srpf => "srpf",
            Self::VllmPriority => "vllm-priority",
            Self::Siloed => "siloed",
            Self::Niyama => "niyama",
        }
    }

    const fn order(self) -> Order {
        match self {
            Self::Fcfs | Self::Siloed => Order::FirstCome,
            Self::Edf => Order::Deadline,
            Self::Srpf => Order::ShortestFirst,
            Self::VllmPriority => Order::Priority,
            Self::Niyama => Order::Hybrid,
        }
    }

    /// Percent of violations at a rate, as a single-seed simulation of the artifact's set-up had them.
    fn published_at(self, rate: u32) -> Figures {
        let all = |percent| Figures::from([("violations_percent", percent)]);
        match (self, rate) {
            (Self::Fcfs, 13) => all(0.13),
            (Self::Fcfs, 15) => all(1.38),
            (Self::Edf, 19) => all(0.0),
            (Self::Edf, 21) => all(41.17),
            (Self::Niyama, 19) => all(0.04),
            (Self::Niyama, 21) => all(0.35),
            (Self::Niyama, 23) => Figures::from([
                ("violations_percent", 13.9),
                ("tier0_violations_percent", 2.9),
                ("tier1_violations_percent", 17.5),
                ("tier2_violations_percent", 21.2),
            ]),
            _ => Figures::new(),
        }
    }

    /// Requests a second from and to which the artifact tries a policy: its capacity is between them. Of an engine for each
    /// tier only how much more Niyama takes.
    fn published_capacity(self) -> Figures {
        let between = |from, to| Figures::from([("swept_from_per_s", from), ("swept_to_per_s", to)]);
        match self {
            Self::Fcfs => between(1.1, 1.7),
            Self::Edf => between(1.5, 2.1),
            Self::Niyama => between(1.7, 2.3),
            Self::Siloed => Figures::from([("niyama_takes_more", 0.32)]),
            Self::Srpf | Self::VllmPriority => Figures::new(),
        }
    }
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Its name.
    pub table: &'static str,
    /// The service-time model.
    pub model: &'static str,
    /// Requests of each draw.
    pub requests: usize,
    /// How often each figure was computed, with other arrivals.
    pub draws: u32,
    /// By lengths and policy: rates, then the capacity; `run` names both.
    pub rows: Vec<Row>,
    /// tidegate at the published lengths: its capacity, and what comes out where Niyama's ends.
    pub tidegate: Figures,
    /// The same by what it is told that tier 0 may wait from token to token.
    pub tidegate_by_objective: BTreeMap<&'static str, Figures>,
}

/// How much is computed.
#[derive(Clone, Copy, Debug)]
pub struct Effort<'a> {
    /// Requests of each draw, at least 10.
    pub requests: usize,
    /// Each figure is the mean of so many, at least one.
    pub draws: u32,
    /// Tenths of requests a second: [`RATES`], or others.
    pub rates: &'a [u32],
    /// Whether to look for capacities.
    pub capacities: bool,
}

/// Computes the table from the lengths in `sharegpt-8k` and `azure2023` of `traces`, and from further files of the format
/// of the first.
///
/// # Errors
/// The first fault of a file.
pub fn table(traces: &Path, further: &[PathBuf], effort: Effort<'_>) -> Result<Table, TraceError> {
    let sharegpt = traces.join("sharegpt-8k/sharegpt_8k_lengths.part1.csv.gz");
    let azure = traces.join("azure2023/AzureLLMInferenceTrace_conv.part1.csv.gz");
    let mut sharegpt = Bench::read("sharegpt", Kind::Sharegpt, sharegpt, effort)?;
    let mut others = vec![Bench::read("azure-conv", Kind::AzureConv, azure, effort)?];
    for path in further {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        others.push(Bench::read(&name, Kind::Sharegpt, path.clone(), effort)?);
    }
    let mut rows = Vec::new();
    for policy in PolicyName::ALL {
        rows.extend(effort.rates.iter().map(|&rate| sharegpt.row(policy, rate)));
        if effort.capacities {
            rows.push(sharegpt.capacity_row(policy));
        }
    }
    if effort.capacities {
        for other in &mut others {
            rows.extend(PolicyName::ALL.iter().map(|&policy| other.capacity_row(policy)));
        }
    }
    let by_objective = GAP_MS.map(|(name, gap_ms)| (name, sharegpt.ours(gap_ms)));
    let tidegate_by_objective = BTreeMap::from(by_objective);
    Ok(Table {
        table: "T2",
        model: MODEL,
        requests: effort.requests,
        draws: effort.draws,
        rows,
        tidegate: tidegate_by_objective[GAP_MS[0].0].clone(),
        tidegate_by_objective,
    })
}

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Theirs(PolicyName),
    /// tidegate, with milliseconds that tier 0 may wait from token to token.
    Ours(u64),
}

const OURS: Who = Who::Ours(GAP_MS[0].1);

/// Requests of the same lengths, and what came out so far.
struct Bench<'a> {
    name: String,
    lengths: Vec<Lengths>,
    effort: Effort<'a>,
    computed: BTreeMap<(Who, u32), Figures>,
}

impl<'a> Bench<'a> {
    fn read(name: &str, kind: Kind, path: PathBuf, effort: Effort<'a>) -> Result<Self, TraceError> {
        let load = trace::load(&[TraceSpec { kind, path }], &LoadOptions::default())?;
        Ok(Self { name: name.to_owned(), lengths: lengths(&load), effort, computed: BTreeMap::new() })
    }

    fn at(&mut self, who: Who, rate: u32) -> Figures {
        if let Some(known) = self.computed.get(&(who, rate)) {
            return known.clone();
        }
        let drawn = |draw: u32| figures(&self.served(who, rate, draw.into()));
        let (means, _) = mean_and_spread(self.effort.draws, drawn);
        self.computed.insert((who, rate), means.clone());
        means
    }

    /// What came of one draw, in each engine.
    fn served(&self, who: Who, rate: u32, seed: u64) -> Vec<Served> {
        let jobs = poisson(&self.lengths, self.effort.requests, f64::from(rate) / 10.0, TIERS as u8, seed);
        let model = ServiceModel::by_id(MODEL).expect("it is one of them");
        let size = Size { model, kv_tokens: None };
        let run = |jobs: &[Job], policy: &mut dyn Policy| serve(jobs, size, None, policy);
        match who {
            Who::Ours(gap_ms) => vec![run(&jobs, &mut Hosted::new(host(gap_ms)))],
            Who::Theirs(PolicyName::Siloed) => (0..TIERS as u8)
                .map(|tier| {
                    // Three engines have three times the requests, and each a third of them.
                    let jobs: Vec<Job> = jobs.iter().map(|job| Job { tier, ..*job }).collect();
                    run(&jobs, &mut InOrder::with_chunks(Order::FirstCome, silo_tokens(tier)))
                })
                .collect(),
            Who::Theirs(policy) => vec![run(&jobs, &mut InOrder::new(policy.order()))],
        }
    }

    fn row(&mut self, policy: PolicyName, rate: u32) -> Row {
        let published = policy.published_at(rate);
        let reproduced = self.at(Who::Theirs(policy), rate);
        let run = format!("{} {}.{}/s", self.name, rate / 10, rate % 10);
        Row::new(policy.name(), run, published, reproduced, self.at(OURS, rate))
    }

    fn capacity_row(&mut self, policy: PolicyName) -> Row {
        let published = policy.published_capacity();
        let mut reproduced = self.capacity(Who::Theirs(policy));
        if policy == PolicyName::Siloed {
            let niyama = self.capacity(Who::Theirs(PolicyName::Niyama));
            let more = niyama["capacity_per_s"] / reproduced["capacity_per_s"] - 1.0;
            reproduced.insert("niyama_takes_more", more);
        }
        let run = format!("{} capacity", self.name);
        Row::new(policy.name(), run, published, reproduced, self.capacity(OURS))
    }

    /// The highest rate that can be taken, where a higher rate is never easier, and what came out there.
    fn capacity(&mut self, who: Who) -> Figures {
        let mut takes = |rate| self.at(who, rate)["violations_percent"] <= MOST_PERCENT;
        // Far beyond its capacity a run takes long: it is not begun at the upper end.
        let (mut can, mut cannot) = (SOUGHT_FROM, 2 * SOUGHT_FROM);
        while cannot < MOST_RATE && takes(cannot) {
            (can, cannot) = (cannot, 2 * cannot);
        }
        while cannot - can > 1 {
            let rate = u32::midpoint(can, cannot);
            if takes(rate) { can = rate } else { cannot = rate }
        }
        let mut figures = self.at(who, can);
        figures.insert("capacity_per_s", f64::from(can) / 10.0);
        figures
    }

    /// tidegate at its capacity, and the share of violations at the rate after the knee and at the overload.
    fn ours(&mut self, gap_ms: u64) -> Figures {
        let who = Who::Ours(gap_ms);
        let mut figures = if self.effort.capacities { self.capacity(who) } else { Figures::new() };
        for &rate in self.effort.rates {
            let name = match rate {
                23 => "violations_percent_at_2_3",
                33 => "violations_percent_at_3_3",
                _ => continue,
            };
            figures.insert(name, self.at(who, rate)["violations_percent"]);
        }
        figures
    }
}

/// Tokens of a step of an engine for one tier: where nobody waits for each token, larger ones are faster. Our choice.
fn silo_tokens(tier: u8) -> u32 {
    match objective(tier) {
        Objective::FirstToken { .. } => super::policies::CHUNK_TOKENS,
        Objective::Total { .. } => 2_048,
    }
}

/// tidegate for these tiers: 30 % of the slots are tier 0's and 5 % tier 2's, each tier goes by deadline and prompt, and
/// steps are as long as tier 0's tokens allow.
fn host(gap_ms: u64) -> Host {
    let tier = |name: &str, reserve| {
        // All of a step is for who is most urgent, and what that leaves for the others.
        let tier = TierConfig::new(name).reserve_ppm(reserve).prefill_share_ppm(1_000_000);
        tier.order(tidegate::Order::HybridDeadline)
    };
    let config = Config::builder()
        .dimensions(["slots"])
        .tier(tier("interactive", 300_000).token_objective(Duration::from_millis(gap_ms)))
        .tier(tier("soon", 0))
        .tier(tier("later", 50_000))
        .step_time(step_time());
    Host {
        config: config.build().expect("the config has no fault"),
        units: [SLOTS].into(),
        counts_blocks: false,
        step_tokens: STEP_TOKENS,
        planned_from: None,
        pace: None,
        yielding: Yielding::Restart,
        deadline_ns: prompt_within_ns,
    }
}

/// The model for steps of more than 512 tokens, which those are that take long.
fn step_time() -> StepTime {
    let nanos = Duration::from_nanos;
    // A decode is measured to take no time of its own there, and its context 166 ps a token, that of a prompt 2,727.
    StepTime::new(Duration::from_millis(5), nanos(95_821), Duration::ZERO)
        .contexts(nanos(170_333), nanos(2_792_676))
}

/// When the prompt should be computed: a minute before the whole answer is due.
fn prompt_within_ns(job: &Job) -> Option<u64> {
    Some(match objective(job.tier) {
        Objective::FirstToken { within_ns, .. } => within_ns,
        Objective::Total { within_ns } => within_ns - 60_000_000_000,
    })
}
