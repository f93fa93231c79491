//! What the busiest tenant of a workload costs the others: the same workers without it, and with it under different
//! ways to share them.
//!
//! Decides who is the noisy one and what is compared. The tiers of a trace are left out: they would part tenants as
//! well, and who is of which is mostly a label of ours. Does not know how long anything takes.

use std::cmp::Reverse;
use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use tidegate::{Config, Order, Preemption, TierConfig};

use crate::machine::Machine;
use crate::percentile::Percentiles;
use crate::replay::{ReplayError, ReplayOptions, replay};
use crate::setup::{Setup, SetupError, SetupKind, config_of};
use crate::trace::Workload;

/// The first tier's share where the noisy tenant has a tier of its own: nearly all. What the others do not use is lent.
const OTHERS_PPM: u32 = 900_000;

/// How the tenants share the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One tier, first come, first served.
    Fifo,
    /// One tier in fair order.
    Fair,
    /// The noisy tenant in a second tier, which has what the first one leaves; both in fair order.
    Apart,
}

impl Sharing {
    /// All, in the order of the reports.
    pub const ALL: [Self; 3] = [Self::Fifo, Self::Fair, Self::Apart];

    /// The name that reports print.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Fair => "fair",
            Self::Apart => "apart",
        }
    }

    fn config(self, machine: Machine) -> Config {
        let order = if self == Self::Fifo { Order::Fifo } else { Order::Fair };
        let tier = |name| TierConfig::new(name).order(order);
        match self {
            Self::Fifo | Self::Fair => config_of(machine, [tier("all").hold_window(Duration::ZERO)]),
            Self::Apart => {
                let others = tier("others").reserve_ppm(OTHERS_PPM);
                config_of(machine, [others, tier("noisy").preemption(Preemption::Never)])
            }
        }
    }
}

/// What one replay measured.
#[derive(Clone, Debug)]
pub struct Run {
    /// Submission to first token of the other tenants' requests, ns.
    pub others_ttft: Percentiles,
    /// Requests that did not complete.
    pub lost: u64,
    /// Times that a request was stopped and queued again.
    pub preemptions: u64,
    /// Output tokens of completed requests, by the time of the last event.
    pub output_tokens_per_s: f64,
}

/// The replays of one workload.
#[derive(Clone, Debug)]
pub struct Neighbourhood {
    /// The tenant with most requests.
    pub noisy: String,
    /// Its share of the requests.
    pub share: f64,
    /// In fair order, without the noisy tenant.
    pub without: Run,
    /// With it, for each of [`Sharing::ALL`].
    pub with: [Run; 3],
}

impl Neighbourhood {
    /// The replay with the noisy tenant under this sharing.
    #[must_use]
    pub fn run(&self, sharing: Sharing) -> &Run {
        &self.with[sharing as usize]
    }

    /// The others' p99 time to first token by that without the noisy tenant; `None` where none of them completed.
    #[must_use]
    pub fn harm(&self, sharing: Sharing) -> Option<f64> {
        let p99 = |run: &Run| run.others_ttft.p99.map(|ns| ns as f64);
        Some(p99(self.run(sharing))? / p99(&self.without)?)
    }

    /// Output tokens per second by those of first come, first served.
    #[must_use]
    pub fn throughput_kept(&self, sharing: Sharing) -> f64 {
        self.run(sharing).output_tokens_per_s / self.run(Sharing::Fifo).output_tokens_per_s
    }
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum NeighbourError {
    /// Nobody is left without the noisy tenant.
    #[error("the workload has requests of one tenant only: nobody is its neighbour")]
    Alone,
    /// The workload does not go with the workers.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A replay went wrong.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Replays a workload without its busiest tenant, and with it under each sharing, all at once. Calls `progress` with the
/// number of requests that have ended since it was last called.
///
/// # Errors
/// [`NeighbourError`].
pub fn compare(
    workload: &Workload,
    machine: Machine,
    workers: usize,
    progress: impl Fn(u64) + Sync,
) -> Result<Neighbourhood, NeighbourError> {
    let mut sizes = vec![0_u64; workload.tenants.len()];
    for request in &workload.requests {
        sizes[request.tenant as usize] += 1;
    }
    if sizes.iter().filter(|&&size| size > 0).count() < 2 {
        return Err(NeighbourError::Alone);
    }
    let busiest = (0..).zip(&sizes).min_by_key(|&(_, size)| Reverse(size));
    let (noisy, most) = busiest.expect("there are two");
    let bench = &Bench { workload, machine, workers, noisy, progress: &progress };
    let (without, with) = std::thread::scope(|threads| {
        let run = |sharing, is_there| threads.spawn(move || bench.run(sharing, is_there));
        let (without, with) = (run(Sharing::Fair, false), Sharing::ALL.map(|sharing| run(sharing, true)));
        (ended(without), with.map(ended))
    });
    let [fifo, fair, apart] = with;
    Ok(Neighbourhood {
        noisy: workload.tenants[noisy as usize].clone(),
        share: *most as f64 / workload.requests.len() as f64,
        without: without?,
        with: [fifo?, fair?, apart?],
    })
}

/// What a thread came to; if it panicked, so does this one.
fn ended<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// What the replays have in common.
struct Bench<'a, P> {
    workload: &'a Workload,
    machine: Machine,
    workers: usize,
    noisy: u32,
    progress: &'a P,
}

impl<P: Fn(u64) + Sync> Bench<'_, P> {
    fn run(&self, sharing: Sharing, is_there: bool) -> Result<Run, NeighbourError> {
        let load = shared(self.workload, sharing, self.noisy, is_there);
        let config = sharing.config(self.machine);
        let setup = Setup::new(SetupKind::Tidegate, self.machine, self.workers, &load, &config)?;
        let mut told = 0;
        let mut report = |done| (self.progress)(done - std::mem::replace(&mut told, done));
        let options = ReplayOptions { progress: Some(&mut report), ..ReplayOptions::default() };
        let (outcome, _) = replay(&load, &setup, self.machine, options)?;
        let all = load.requests.iter().zip(&outcome.ttft_of);
        let others = all.filter(|(request, _)| request.tenant != self.noisy);
        let counts = outcome.counts();
        Ok(Run {
            others_ttft: Percentiles::of(others.filter_map(|(_, &ttft)| ttft).collect()),
            lost: counts.submitted - counts.completed,
            preemptions: outcome.tiers.iter().map(|tier| tier.preemptions).sum(),
            output_tokens_per_s: outcome.output_tokens_per_s,
        })
    }
}

/// The workload with or without the noisy tenant, in the tiers of a sharing.
fn shared(workload: &Workload, sharing: Sharing, noisy: u32, is_there: bool) -> Workload {
    let mut load = workload.clone();
    load.requests.retain(|request| is_there || request.tenant != noisy);
    for request in &mut load.requests {
        request.tier = u8::from(sharing == Sharing::Apart && request.tenant == noisy);
    }
    load
}
