//! The rows: what online requests pay for batch work beside them, and how much of that gets done.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tidegate::{Config, StepTime, TierConfig, Yielding};

use super::policies::{BATCH, Limits, Shared, Sharing};
use crate::model::{BLOCK_TOKENS, ServiceModel};
use crate::paper::chunked::{Job, Policy, Run, Served, Size, serve};
use crate::paper::draws::Figures;
use crate::paper::hosted::{Host, Hosted, Pace};
use crate::paper::row::Row;
use crate::percentile::Percentiles;
use crate::trace::{self, Kind, LoadOptions, TraceError, TraceSpec, Work, Workload};

/// The service-time model. It was not fitted here.
pub const MODEL: &str = "llama3-8b";
/// Seconds that are simulated unless told otherwise.
pub const SECONDS: u32 = 1_200;
/// Tokens of a step, where nothing else bounds it.
const STEP_TOKENS: u32 = 512;
/// Online loads, in percent of what the engine can do with online requests alone.
const LOADS: [u32; 3] = [30, 50, 70];
/// From so many requests at once that throughput is taken.
const SATURATING: usize = 2_000;
/// Batch requests a second that no engine here can do.
const BATCH_PER_S: usize = 6;
/// Requests that run at a time.
const SLOTS: u32 = 256;
/// What nine tenths of a GPU of 80 GB have left beside 16 GB of weights, at 128 KiB a token.
const KV_BLOCKS: u32 = 26_624;
/// How long online requests should wait from one token to the next, in milliseconds: a step of 512 tokens of prompts, which
/// they wait for without batch work too, takes 57, and those that generate come on top.
const GAP_MS: u64 = 64;
/// tidegate's pace is so much, in percent, of the time per token that all but a hundredth of online requests have alone.
const PACE_PERCENT: u64 = 88;
/// And who is not so far ahead of it, in nanoseconds, is left alone: prompts of others still come and cost what is spared.
const AHEAD_NS: u64 = 200_000_000;
/// Tokens of a step that batch work has a part of, while online requests generate.
const SHARED_TOKENS: u64 = 112;

/// What a row is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    OnlineOnly,
    Theirs(Sharing),
    Ours,
}

const POLICIES: [(&str, Who); 6] = [
    ("online-only", Who::OnlineOnly),
    ("fcfs-mix", Who::Theirs(Sharing::FirstCome)),
    ("priority", Who::Theirs(Sharing::Priority)),
    ("preempt-recompute", Who::Theirs(Sharing::Recompute)),
    ("preempt-checkpoint", Who::Theirs(Sharing::Checkpoint)),
    ("tidegate", Who::Ours),
];

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Its name.
    pub table: &'static str,
    /// The service-time model.
    pub model: &'static str,
    /// Seconds that were simulated.
    pub seconds: u32,
    /// What abstracts claim, of other set-ups: `conserve_output_of_online`, `hygen_output_of_online` (at most),
    /// `valve_ttft_p99_more`, `valve_tpot_more`, `valve_preemptions_per_online` (at most each).
    pub published: Figures,
    /// By run, load and policy.
    pub rows: Vec<Row>,
    /// tidegate at the least load.
    pub tidegate: Figures,
}

/// Computes the table from the files in `azure2023` and `vidur-arxiv` of `traces`, and once more for each further file of
/// the format of the first.
///
/// # Errors
/// The first fault of a file.
pub fn table(traces: &Path, further: &[PathBuf], seconds: u32) -> Result<Table, TraceError> {
    let read = |kind, path| trace::load(&[TraceSpec { kind, path }], &LoadOptions::default());
    let batch = read(Kind::Arxiv, traces.join("vidur-arxiv/arxiv_summarization_lengths.part1.csv.gz"))?;
    let batch = jobs_of(&batch);
    let conversation = traces.join("azure2023/AzureLLMInferenceTrace_conv.part1.csv.gz");
    let mut runs = vec![("azure-conv".to_owned(), conversation)];
    for path in further {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        runs.push((name, path.clone()));
    }
    let mut rows = Vec::new();
    for (name, path) in runs {
        let online = jobs_of(&read(Kind::AzureConv, path)?);
        let bench = Bench::new(name, online, &batch, seconds);
        rows.extend(LOADS.iter().flat_map(|&load| bench.rows(load)));
    }
    let tidegate = rows[0].tidegate.clone();
    let published = Figures::from([
        ("conserve_output_of_online", 2.2),
        ("hygen_output_of_online", 3.87),
        ("valve_ttft_p99_more", 0.05),
        ("valve_tpot_more", 0.02),
        ("valve_preemptions_per_online", 1.0),
    ]);
    Ok(Table { table: "T3", model: MODEL, seconds, published, rows, tidegate })
}

fn jobs_of(load: &Workload) -> Vec<Job> {
    let jobs = load.requests.iter().filter_map(|request| match request.work {
        Work::Tokens { prompt, output } => {
            Some(Job { arrival_ns: request.arrival_ns, tier: 0, prompt, output })
        }
        Work::Job { .. } => None,
    });
    jobs.collect()
}

fn model() -> &'static ServiceModel {
    ServiceModel::by_id(MODEL).expect("it is one of them")
}

fn limits() -> Limits {
    let kv_tokens = u64::from(KV_BLOCKS) * u64::from(BLOCK_TOKENS);
    Limits { slots: SLOTS as usize, step_tokens: STEP_TOKENS, kv_tokens }
}

fn size() -> Size {
    Size { model: model(), kv_tokens: Some(limits().kv_tokens) }
}

/// The requests of a run.
struct Bench<'a> {
    name: String,
    /// By arrival as it was recorded.
    online: Vec<Job>,
    batch: &'a [Job],
    seconds: u32,
    /// Online requests a second that the engine can do at most.
    capacity: f64,
}

impl<'a> Bench<'a> {
    fn new(name: String, online: Vec<Job>, batch: &'a [Job], seconds: u32) -> Self {
        let at_once: Vec<Job> =
            online.iter().take(SATURATING).map(|job| Job { arrival_ns: 0, ..*job }).collect();
        let served = serve(&at_once, size(), None, &mut Shared::new(Sharing::FirstCome, limits()));
        let capacity = at_once.len() as f64 / (served.ended_ns as f64 / 1e9);
        Self { name, online, batch, seconds, capacity }
    }

    /// Online requests of so many percent of what the engine can do, and perhaps endless batch work: all by arrival.
    fn jobs(&self, load: u32, with_batch: bool) -> Vec<Job> {
        let last = self.online.last().map_or(1, |job| job.arrival_ns.max(1));
        let recorded = self.online.len() as f64 / (last as f64 / 1e9);
        let stretch = recorded / (self.capacity * f64::from(load) / 100.0);
        let until = u64::from(self.seconds) * 1_000_000_000;
        let moved = self.online.iter().map(|job| {
            let arrival_ns = (job.arrival_ns as f64 * stretch) as u64;
            Job { arrival_ns, ..*job }
        });
        let batch =
            self.batch.iter().cycle().take(if with_batch { self.seconds as usize * BATCH_PER_S } else { 0 });
        let batch = batch.map(|job| Job { arrival_ns: 0, tier: BATCH, ..*job });
        batch.chain(moved.take_while(|job| job.arrival_ns < until)).collect()
    }

    fn rows(&self, load: u32) -> Vec<Row> {
        let alone = self.figures(Who::OnlineOnly, load, 0);
        let pace_ns = (alone["tpot_p99_ms"] * 1e6) as u64 * PACE_PERCENT / 100;
        let beside = |who| relate(self.figures(who, load, pace_ns), &alone);
        let tidegate = beside(Who::Ours);
        let row = |&(policy, who): &(&'static str, Who)| {
            let reproduced = if who == Who::Ours { tidegate.clone() } else { beside(who) };
            Row::new(policy, format!("{} {load} %", self.name), Figures::new(), reproduced, tidegate.clone())
        };
        POLICIES.iter().map(row).collect()
    }

    fn figures(&self, who: Who, load: u32, pace_ns: u64) -> Figures {
        let jobs = self.jobs(load, who != Who::OnlineOnly);
        let until = Some(u64::from(self.seconds) * 1_000_000_000);
        let run = |policy: &mut dyn Policy| serve(&jobs, size(), until, policy);
        let mut most_sets = None;
        let served = match who {
            Who::OnlineOnly => run(&mut Shared::new(Sharing::Priority, limits())),
            Who::Theirs(sharing) => run(&mut Shared::new(sharing, limits())),
            Who::Ours => {
                let mut hosted = Hosted::new(host(pace_ns));
                let served = run(&mut hosted);
                most_sets =
                    hosted.stops.iter().filter(|(whom, _)| whom.is_some()).map(|(_, stops)| stops.sets).max();
                served
            }
        };
        let mut figures = figures(&served);
        if who == Who::Ours {
            figures.insert("most_victim_sets_per_start", most_sets.unwrap_or(0) as f64);
        }
        figures
    }
}

/// What came of a run. Of online requests: `ttft_p99_ms`, `tbt_p99_ms` (from one token to the next), `tpot_p99_ms` and
/// `tpot_mean_ms` (of those that ended, the mean of each); of all: `output_tok_s`, `utilisation`; of batch work:
/// `batch_output_tok_s`, `stops_per_online`, `recomputed_tokens`.
fn figures(served: &Served) -> Figures {
    let seconds = served.ended_ns as f64 / 1e9;
    let (online, batch): (Vec<&Run>, Vec<&Run>) = served.runs.iter().partition(|run| run.job.tier != BATCH);
    // Who has no token yet has waited for so long at least.
    let ttft = |run: &&Run| run.first_ns.unwrap_or(served.ended_ns).saturating_sub(run.job.arrival_ns);
    let tpot = |run: &&Run| {
        let span = run.last_ns - run.first_ns?;
        (run.is_done() && run.generated > 1).then(|| span / u64::from(run.generated - 1))
    };
    let tpots: Vec<u64> = online.iter().filter_map(tpot).collect();
    let tpot_mean = tpots.iter().sum::<u64>() as f64 / tpots.len().max(1) as f64;
    let p99_ms = |samples: Vec<u64>| Percentiles::of(samples).p99.unwrap_or(0) as f64 / 1e6;
    let output = |runs: &[&Run]| runs.iter().map(|run| f64::from(run.generated)).sum::<f64>() / seconds;
    let stops: u32 = batch.iter().map(|run| run.stops).sum();
    Figures::from([
        ("ttft_p99_ms", p99_ms(online.iter().map(ttft).collect())),
        ("tbt_p99_ms", p99_ms(served.gaps.iter().map(|&(_, gap)| gap).collect())),
        ("tpot_p99_ms", p99_ms(tpots)),
        ("tpot_mean_ms", tpot_mean / 1e6),
        ("output_tok_s", output(&online) + output(&batch)),
        ("batch_output_tok_s", output(&batch)),
        ("utilisation", served.busy_ns as f64 / served.ended_ns as f64),
        ("stops_per_online", f64::from(stops) / online.len().max(1) as f64),
        ("recomputed_tokens", served.runs.iter().map(|run| run.recomputed as f64).sum()),
    ])
}

/// Says of each figure that online requests have without batch work too how much more it is, as a share, and how much is
/// put out for each token of online requests alone.
fn relate(mut figures: Figures, alone: &Figures) -> Figures {
    for (name, more) in [
        ("ttft_p99_ms", "ttft_p99_more"),
        ("tbt_p99_ms", "tbt_p99_more"),
        ("tpot_p99_ms", "tpot_p99_more"),
        ("tpot_mean_ms", "tpot_mean_more"),
    ] {
        figures.insert(more, figures[name] / alone[name] - 1.0);
    }
    figures.insert("output_of_online", figures["output_tok_s"] / alone["output_tok_s"]);
    figures
}

/// tidegate for online requests and batch work: 30 % of slots and blocks are the first's. Batch work has no part of a
/// step that computes online prompts, and of others only where all that generate are ahead of this pace.
fn host(pace_ns: u64) -> Host {
    let gap = Duration::from_millis(GAP_MS);
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        // What is not lent nobody has to be stopped for.
        .tier(TierConfig::new("realtime").reserve_ppm(300_000).lendable_ppm(0).token_objective(gap))
        .tier(TierConfig::new("near-realtime"))
        .tier(TierConfig::new("batch").prefill_share_ppm(0))
        .step_time(step_time());
    Host {
        config: config.build().expect("the config has no fault"),
        units: [SLOTS.into(), KV_BLOCKS.into()].into(),
        counts_blocks: true,
        step_tokens: STEP_TOKENS.into(),
        planned_from: Some(BATCH),
        pace: Some(Pace { token_ns: pace_ns, ahead_ns: AHEAD_NS, step_tokens: SHARED_TOKENS }),
        yielding: Yielding::Restart,
        deadline_ns: |_| None,
    }
}

/// The model for steps of up to 512 tokens.
fn step_time() -> StepTime {
    let nanos = Duration::from_nanos;
    // A token of a prompt is measured to take 81 us and one that is generated 95; their contexts 755 and 111 ps a token.
    StepTime::new(Duration::from_micros(14_936), nanos(81_304), nanos(95_170))
        .contexts(nanos(113_793), nanos(773_609))
}
