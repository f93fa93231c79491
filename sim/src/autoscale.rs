//! What a fleet costs that follows what the scheduler says it will want, and what the first tier pays for it in delay: against
//! a fleet that has at any time what the busiest moment needs.
//!
//! Decides what is compared. The peak-sized fleet is found with hindsight, by replays: the smallest that is enough at any time
//! and is there from the beginning to the end. A fleet that follows begins as large, and may only become smaller once it was
//! watched for as long as a worker takes to start. How a fleet follows is the replay's.

use crate::machine::Machine;
use crate::replay::{FleetCurve, Outcome, ReplayError, ReplayOptions, Scaling, TTFT_OBJECTIVES_NS, replay};
use crate::setup::{Setup, SetupError, SetupKind, default_config};
use crate::trace::Workload;

const NS_PER_S: u64 = 1_000_000_000;
/// How often a fleet that follows looks: as Kubernetes' horizontal pod autoscaler does.
const LOOK_NS: u64 = 15 * NS_PER_S;
/// How often one is looked at that stays: bursts of seconds count for its size.
const WATCH_NS: u64 = NS_PER_S;
/// Of so many fleets' worth of workers, all that are started in a run: what was drained does not come back.
const STARTED: usize = 40;
/// Workers to spare, by those that hold all who are there at once: bursts of prompts want engines more than places.
const PLENTY: usize = 8;
/// The most workers with which a workload's peak is looked for.
const MOST_WORKERS: usize = 1_024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AutoscaleError {
    /// The traffic does not go with the workers.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A replay went wrong.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The workload is too large for this.
    #[error("more than {MOST_WORKERS} workers would be needed")]
    TooLarge,
}

/// One fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetResult {
    /// How long its workers take to start, in nanoseconds; `None`: all are there from the beginning.
    pub start_up_ns: Option<u64>,
    /// Worker time that was paid for until the last arrival, in nanoseconds.
    pub paid_ns: u128,
    /// The first tier's time in the queue that 99 of 100 of its requests stay within, in nanoseconds.
    pub queue_delay_ns_p99: u64,
    /// The same of its first token.
    pub ttft_ns_p99: u64,
    /// The second tier's first token, the same.
    pub second_ttft_ns_p99: Option<u64>,
    /// What it looked like.
    pub curve: FleetCurve,
}

impl FleetResult {
    /// Whether so many workers were enough at any time: what the tiers that count wanted never went beyond them, and first tokens
    /// came within their objectives, or as soon as with workers to spare.
    fn is_enough(&self, workers: usize, plenty: &Self) -> bool {
        let [first, second] = TTFT_OBJECTIVES_NS;
        let within = |of: u64, objective: u64, spare: u64| of <= objective.max(spare + spare / 10);
        self.curve.peak() <= workers as f64
            && within(self.ttft_ns_p99, first, plenty.ttft_ns_p99)
            && within(self.second_ttft_ns_p99.unwrap_or(0), second, plenty.second_ttft_ns_p99.unwrap_or(0))
    }
}

/// The fleets of one workload: the peak-sized one, and those that follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaled {
    /// Workers of the peak-sized fleet.
    pub peak_workers: usize,
    /// That fleet.
    pub peak: FleetResult,
    /// Those that follow, in the order of the start-up times.
    pub following: Vec<FleetResult>,
}

impl Autoscaled {
    /// The worker time of a fleet by that of the peak-sized one.
    #[must_use]
    pub fn hours_ratio(&self, fleet: &FleetResult) -> f64 {
        fleet.paid_ns as f64 / (self.peak.paid_ns as f64).max(1.0)
    }

    /// The first tier's p99 time in the queue by that with the peak-sized one; `None` if nobody waits there.
    #[must_use]
    pub fn delay_ratio(&self, fleet: &FleetResult) -> Option<f64> {
        let peak = self.peak.queue_delay_ns_p99;
        (peak > 0).then(|| fleet.queue_delay_ns_p99 as f64 / peak as f64)
    }
}

/// Replays the workload with the peak-sized fleet, and with one that follows for each start-up time. What the first `tiers`
/// tiers want counts. `tried` is called before each replay.
///
/// # Errors
/// [`AutoscaleError`].
pub fn autoscale(
    workload: &Workload,
    machine: Machine,
    tiers: u8,
    start_ups_ns: &[u64],
    tried: &dyn Fn(&str),
) -> Result<Autoscaled, AutoscaleError> {
    let run = |workers: usize, most: usize, start_up_ns: Option<u64>| {
        let setup = Setup::new(SetupKind::Tidegate, machine, most, workload, &default_config(machine))?;
        let every_ns = if start_up_ns.is_some() { LOOK_NS } else { WATCH_NS };
        let scaling = Some(Scaling { start_up_ns, every_ns, workers, tiers });
        let options = ReplayOptions { scaling, ..ReplayOptions::default() };
        let (outcome, _) = replay(workload, &setup, machine, options)?;
        Ok::<_, AutoscaleError>(result(start_up_ns, outcome))
    };
    let mut stays = |workers: usize| {
        tried(&format!("{workers} workers that stay"));
        run(workers, workers, None)
    };
    let all_at_once = abundance(machine, workload);
    if all_at_once > MOST_WORKERS {
        return Err(AutoscaleError::TooLarge);
    }
    let spare = (PLENTY * all_at_once).min(MOST_WORKERS);
    let (peak_workers, peak) = peak_sized(spare, &mut stays)?;
    let mut following = Vec::new();
    for &start_up_ns in start_ups_ns {
        tried(&format!("following, {} s to start", start_up_ns / NS_PER_S));
        following.push(run(peak_workers, peak_workers * STARTED, Some(start_up_ns))?);
    }
    Ok(Autoscaled { peak_workers, peak, following })
}

/// The smallest fleet that is enough at any time, found by halving, and what it gave.
fn peak_sized(
    spare: usize,
    stays: &mut dyn FnMut(usize) -> Result<FleetResult, AutoscaleError>,
) -> Result<(usize, FleetResult), AutoscaleError> {
    let (mut best, mut too_few) = ((spare, stays(spare)?), 0);
    let plenty = best.1.clone();
    while best.0 - too_few > 1 {
        let workers = too_few.midpoint(best.0);
        let fleet = stays(workers)?;
        if fleet.is_enough(workers, &plenty) {
            best = (workers, fleet);
        } else {
            too_few = workers;
        }
    }
    Ok(best)
}

fn result(start_up_ns: Option<u64>, outcome: Outcome) -> FleetResult {
    let curve = outcome.fleet.unwrap_or_default();
    let tier = |tier: usize| outcome.tiers.get(tier);
    FleetResult {
        start_up_ns,
        paid_ns: curve.paid_ns,
        queue_delay_ns_p99: tier(0).and_then(|tier| tier.queue_delay.p99).unwrap_or(0),
        ttft_ns_p99: tier(0).and_then(|tier| tier.ttft.p99).unwrap_or(0),
        second_ttft_ns_p99: tier(1).and_then(|tier| tier.ttft.p99),
        curve,
    }
}

/// Workers on which nobody waits: twice what requests would hold at their most, were each alone.
fn abundance(machine: Machine, workload: &Workload) -> usize {
    let mut changes: Vec<(u64, i64)> = Vec::with_capacity(2 * workload.requests.len());
    for request in &workload.requests {
        let (stay_ns, _) = machine.stay(request);
        changes.push((request.arrival_ns, 1));
        changes.push((request.arrival_ns.saturating_add(stay_ns), -1));
    }
    changes.sort_unstable();
    let at_once = changes.iter().scan(0, |sum, (_, change)| {
        *sum += change;
        Some(*sum)
    });
    let slots = match machine {
        Machine::Engine { slots, .. } => i64::from(slots),
        Machine::Node => 1,
    };
    let workers = 2 * at_once.max().unwrap_or(0) / slots + 1;
    usize::try_from(workers).unwrap_or(1)
}
