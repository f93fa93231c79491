//! How many workers a replay has unless told: as many as make the first tier's largest need about equal to its
//! reserve. An idle first tier would prove nothing, and one that needs more than its reserve has no guarantee.
//!
//! The need is first estimated as if there were workers without end: each request of the first tier stays as
//! long as [`Machine::stay`] says, and the largest sum of what they hold at one time is the need. How long they
//! really stay depends on what runs beside them, so the estimate is put right by trial replays of `tidegate`.

use std::sync::atomic::{AtomicBool, Ordering};

use tidegate::{Config, Instant, PoolId, Resources, Scheduler, Tier, WorkerSpec};

use crate::machine::{Layout, Machine};
use crate::replay::{ReplayError, ReplayOptions, pressure, replay};
use crate::setup::{Setup, SetupError, SetupKind};
use crate::trace::Workload;

/// More workers than this are not chosen by themselves: beyond it, say `--workers`.
const MOST_WORKERS: usize = 4_096;

/// Trial replays at most. Two or three are usual: the pressure falls about as the workers rise.
const MOST_TRIALS: usize = 6;

/// A number of workers, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizing {
    /// How many.
    pub workers: usize,
    /// The first tier's peak need by its reserve, as measured with so many workers; `None` if it has no reserve
    /// or no requests, and the number is but the least that every set-up can do with.
    pub pressure: Option<f64>,
}

/// Why no number of workers was found.
#[derive(Debug, thiserror::Error)]
pub enum SizingError {
    /// The config does not go with the workload.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A trial replay went wrong.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}

/// The number of workers whose measured pressure is nearest to 1, of those tried: each trial leads to the next,
/// until there is none between too few and too many. At least one worker for each tier that has requests. Calls
/// `tried` before each trial, and gives up once `stop` is true.
///
/// # Errors
/// [`SizingError`].
pub fn default_workers(
    workload: &Workload,
    machine: Machine,
    config: &Config,
    stop: Option<&AtomicBool>,
    mut tried: impl FnMut(usize),
) -> Result<Sizing, SizingError> {
    let least = tiers_in_use(workload).max(1);
    let mut best: Option<(usize, f64)> = None;
    // The numbers that may still be tried: those below bring too much pressure, those above too little.
    let mut between = least..MOST_WORKERS + 1;
    let mut workers = estimate(workload, machine, config)?.max(least);
    for _ in 0..MOST_TRIALS {
        tried(workers);
        let setup = Setup::new(SetupKind::Tidegate, machine, workers, workload, config)?;
        let options = ReplayOptions { stop, ..ReplayOptions::default() };
        let (outcome, _) = replay(workload, &setup, machine, options)?;
        if outcome.is_partial || stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(SizingError::Stopped);
        }
        let Some(pressure) = outcome.guarantee_pressure.filter(|&pressure| pressure > 0.0) else {
            return Ok(Sizing { workers: least, pressure: None });
        };
        if best.is_none_or(|(_, other)| (pressure - 1.0).abs() < (other - 1.0).abs()) {
            best = Some((workers, pressure));
        }
        if pressure > 1.0 {
            between.start = workers + 1;
        } else {
            between.end = workers;
        }
        if between.is_empty() {
            break;
        }
        let proportional = (workers as f64 * pressure).round() as usize;
        let middle = between.start + between.len() / 2;
        workers = if between.contains(&proportional) { proportional } else { middle };
    }
    let (workers, pressure) = best.expect("there is a first trial");
    Ok(Sizing { workers, pressure: Some(pressure) })
}

/// The least number of workers on which the first tier's estimated need is within its reserve.
fn estimate(workload: &Workload, machine: Machine, config: &Config) -> Result<usize, SetupError> {
    let layout = Setup::new(SetupKind::Tidegate, machine, 1, workload, config)?.layout;
    let need = peak_need(workload, machine, layout);
    let mut scheduler = Scheduler::new(config.clone(), Instant::ZERO);
    for workers in 1..=MOST_WORKERS {
        let spec = WorkerSpec::new(layout.capacity());
        if scheduler.worker_add(Instant::ZERO, spec).is_err() {
            return Ok(workers);
        }
        let reserve = scheduler.effective_reserve(PoolId::new(0), Tier::P0).unwrap_or(Resources::ZERO);
        if pressure(need, reserve).is_none_or(|estimate| estimate <= 1.0) {
            return Ok(workers);
        }
    }
    Ok(MOST_WORKERS)
}

fn tiers_in_use(workload: &Workload) -> usize {
    let mut seen = [false; u8::MAX as usize + 1];
    for request in &workload.requests {
        seen[usize::from(request.tier)] = true;
    }
    seen.iter().filter(|&&seen| seen).count()
}

/// The most that requests of the first tier hold at one time, were there workers without end.
fn peak_need(workload: &Workload, machine: Machine, layout: Layout) -> Resources {
    let mut changes = Vec::new();
    for request in workload.requests.iter().filter(|request| request.tier == 0) {
        let (stay_ns, units) = machine.stay(request);
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        changes.push((request.arrival_ns.saturating_add(stay_ns), -1, -units));
        changes.push((request.arrival_ns, 1, units));
    }
    // At one instant those who leave come first.
    changes.sort_unstable();
    let (mut requests, mut units) = (0i64, 0i64);
    let (mut peak_requests, mut peak_units) = (0, 0);
    for (_, more_requests, more_units) in changes {
        requests += more_requests;
        units = units.saturating_add(more_units);
        peak_requests = peak_requests.max(requests);
        peak_units = peak_units.max(units);
    }
    layout.resources(peak_requests.unsigned_abs(), peak_units.unsigned_abs())
}
