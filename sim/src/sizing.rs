//! How many workers a replay has unless told: as many as make the first tier's largest need about equal to its
//! reserve. An idle first tier would prove nothing, and one that needs more than its reserve has no guarantee.
//!
//! The need is estimated as if there were workers without end: each request of the first tier stays as long as
//! [`Machine::stay`] says, and the largest sum of what they hold at one time is the need.

use tidegate::{Config, Instant, PoolId, Resources, Scheduler, Tier, WorkerSpec};

use crate::machine::{Layout, Machine};
use crate::replay::pressure;
use crate::trace::Workload;

/// More workers than this are not chosen by themselves: beyond it, say `--workers`.
const MOST_WORKERS: usize = 4_096;

/// A number of workers, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizing {
    /// How many.
    pub workers: usize,
    /// The first tier's estimated peak need, by its reserve on so many workers; `None` if it has no reserve or no
    /// requests.
    pub estimated_pressure: Option<f64>,
}

/// The number of workers whose estimated pressure is nearest to 1, but at least one for each tier that has
/// requests; that number if the first tier has no reserve.
#[must_use]
pub fn default_workers(workload: &Workload, machine: Machine, layout: Layout, config: &Config) -> Sizing {
    let need = peak_need(workload, machine, layout);
    let least = tiers_in_use(workload).max(1);
    let mut scheduler = Scheduler::new(config.clone(), Instant::ZERO);
    let mut best = Sizing { workers: least, estimated_pressure: None };
    for workers in 1..=MOST_WORKERS {
        let spec = WorkerSpec::new(PoolId::new(0), layout.capacity());
        if scheduler.worker_add(Instant::ZERO, spec).is_err() {
            break;
        }
        let reserve = scheduler.effective_reserve(PoolId::new(0), Tier::P0).unwrap_or(Resources::ZERO);
        let Some(estimate) = pressure(need, reserve).filter(|&estimate| estimate > 0.0) else { break };
        let nearer = best.estimated_pressure.is_none_or(|other| (estimate - 1.0).abs() < (other - 1.0).abs());
        if workers >= least && nearer {
            best = Sizing { workers, estimated_pressure: Some(estimate) };
        }
        if workers >= least && estimate < 1.0 {
            break;
        }
    }
    best
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
