//! `replay --json`: one object with stable keys. All numbers but the wall times come out the same on every run.

use std::collections::BTreeMap;
use std::io;

use serde::{Serialize, Serializer};

use super::{Comparison, Results};
use crate::percentile::Percentiles;
use crate::replay::{Counts, Outcome, TierOutcome};

/// Nanoseconds in a millisecond.
const NS_PER_MS: f64 = 1e6;

#[derive(Serialize)]
struct Document<'a> {
    tidegate: &'static str,
    seed: u64,
    model: &'static str,
    workers: usize,
    workers_chosen: bool,
    /// How many times as long as the model says an iteration takes while all workers compute.
    #[serde(skip_serializing_if = "is_one")]
    slowdown: f64,
    traces: &'a [String],
    scale: f64,
    /// It was stopped before its end.
    #[serde(skip_serializing_if = "is_false")]
    partial: bool,
    setups: SetUps<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scale_curve: Vec<Point<'a>>,
}

#[derive(Serialize)]
struct Point<'a> {
    scale: f64,
    setups: SetUps<'a>,
}

/// A map in the order of the reports.
struct SetUps<'a> {
    comparison: &'a Comparison,
    tier_names: &'a [String],
}

#[derive(Serialize)]
struct SetUp<'a> {
    #[serde(skip_serializing_if = "is_false")]
    partial: bool,
    #[serde(skip_serializing_if = "is_false")]
    percentiles_binned: bool,
    requests: Requests,
    tiers: Vec<TierRow<'a>>,
    utilisation: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    utilisation_while_backlogged: Option<f64>,
    backlogged_s: f64,
    output_tokens_per_s: f64,
    throughput_of_best: f64,
    goodput_tokens_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    guarantee_pressure: Option<f64>,
    simulated_s: f64,
    actions: u64,
    actions_digest: String,
    wall_s: f64,
    requests_per_s: f64,
    scheduler_share: f64,
}

#[derive(Serialize)]
struct Requests {
    submitted: u64,
    completed: u64,
    dropped: u64,
    failed: u64,
    cancelled: u64,
    live: u64,
}

#[derive(Serialize)]
struct TierRow<'a> {
    name: &'a str,
    submitted: u64,
    completed: u64,
    dropped: &'a BTreeMap<&'static str, u64>,
    failed: u64,
    ttft_ms: Milliseconds,
    tpot_ms: Milliseconds,
    queue_delay_ms: MillisecondsWithMax,
    preemptions: u64,
    recomputed_tokens: u64,
}

#[derive(Serialize)]
struct Milliseconds {
    p50: Option<f64>,
    p99: Option<f64>,
}

#[derive(Serialize)]
struct MillisecondsWithMax {
    p50: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

/// Writes the object and a line end.
///
/// # Errors
/// Those of `out`.
pub fn json(results: &Results, out: &mut impl io::Write) -> io::Result<()> {
    let setups = |comparison| SetUps { comparison, tier_names: &results.tier_names };
    let document = Document {
        tidegate: env!("CARGO_PKG_VERSION"),
        seed: results.seed,
        model: results.machine.id(),
        workers: results.workers,
        workers_chosen: results.workers_chosen,
        slowdown: results.slowdown,
        traces: &results.traces,
        scale: results.main.scale,
        partial: results.is_partial(),
        setups: setups(&results.main),
        scale_curve: results
            .curve
            .iter()
            .map(|comparison| Point { scale: comparison.scale, setups: setups(comparison) })
            .collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    out.write_all(b"\n")
}

impl Serialize for SetUps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { comparison, tier_names } = self;
        serializer.collect_map(comparison.outcomes.iter().map(|(kind, outcome)| {
            (kind.name(), SetUp::new(outcome, comparison.throughput_of_best(outcome), tier_names))
        }))
    }
}

impl<'a> SetUp<'a> {
    fn new(outcome: &'a Outcome, throughput_of_best: f64, tier_names: &'a [String]) -> Self {
        let Counts { submitted, completed, dropped, failed, cancelled, live } = outcome.counts();
        let wall_s = outcome.wall.as_secs_f64();
        let tiers = tier_names.iter().zip(&outcome.tiers);
        Self {
            partial: outcome.is_partial,
            percentiles_binned: outcome.is_binned,
            requests: Requests { submitted, completed, dropped, failed, cancelled, live },
            tiers: tiers.map(|(name, tier)| TierRow::new(name, tier)).collect(),
            utilisation: outcome.utilisation,
            utilisation_while_backlogged: outcome.utilisation_while_backlogged,
            backlogged_s: outcome.backlogged_ns as f64 / 1e9,
            output_tokens_per_s: outcome.output_tokens_per_s,
            throughput_of_best,
            goodput_tokens_per_s: outcome.goodput_tokens_per_s,
            guarantee_pressure: outcome.guarantee_pressure,
            simulated_s: outcome.simulated_ns as f64 / 1e9,
            actions: outcome.actions,
            actions_digest: outcome.actions_digest.to_string(),
            wall_s,
            requests_per_s: if wall_s > 0.0 { submitted as f64 / wall_s } else { 0.0 },
            scheduler_share: outcome.scheduler_share,
        }
    }
}

impl<'a> TierRow<'a> {
    fn new(name: &'a str, tier: &'a TierOutcome) -> Self {
        let short = |p: Percentiles| Milliseconds { p50: p.p50.map(ms), p99: p.p99.map(ms) };
        let delay = tier.queue_delay;
        Self {
            name,
            submitted: tier.counts.submitted,
            completed: tier.counts.completed,
            dropped: &tier.dropped,
            failed: tier.counts.failed,
            ttft_ms: short(tier.ttft),
            tpot_ms: short(tier.tpot),
            queue_delay_ms: MillisecondsWithMax {
                p50: delay.p50.map(ms),
                p99: delay.p99.map(ms),
                max: delay.max.map(ms),
            },
            preemptions: tier.preemptions,
            recomputed_tokens: tier.recomputed_tokens,
        }
    }
}

/// What is usual is left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / NS_PER_MS
}
