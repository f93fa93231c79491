//! The fewest workers that hold the objectives: bisection over replays.

use std::time::Duration;

use tidegate::{Config, Order, Preemption, TierConfig};

use super::{Assumptions, Case, ReserveTried};
use crate::replay::{Outcome, ReplayError, ReplayOptions, replay};
use crate::setup::{Setup, SetupError, SetupKind, config_of};
use crate::trace::Workload;

/// More workers than this are not tried; nor more than there are requests, of which each then has its own.
const MOST_WORKERS: usize = 4_096;

/// The least urgent tier's reserve in tidegate, against starvation: the default of the scheduler's contract.
const LAST_PPM: u32 = 50_000;

/// Of 100 requests of a tier so many have to complete.
const COMPLETE_PERCENT: u64 = 99;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CostError {
    /// The traffic does not go with the workers.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A replay went wrong.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// No number of workers is enough.
    #[error("{setup}: not even {workers} workers hold the objective of P{tier}: {}", in_words(*.ttft_ns_p99))]
    Never {
        /// Which set-up.
        setup: &'static str,
        /// How many were tried.
        workers: usize,
        /// Whose objective.
        tier: usize,
        /// Its p99 time to first token then, in nanoseconds.
        ttft_ns_p99: Option<u64>,
    },
    /// The traffic has more tiers than there are names for.
    #[error("the traffic has {0} tiers, at most 8 can be told apart")]
    Tiers(usize),
}

fn in_words(ttft_ns_p99: Option<u64>) -> String {
    ttft_ns_p99.map_or_else(
        || "too few requests complete".to_owned(),
        |ns| format!("p99 of the time to first token is {} ms", ns / 1_000_000),
    )
}

/// Enough workers, and what they were seen to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fleet {
    /// By tier in the dedicated set-up, else one number; spare ones included.
    pub(super) workers: Vec<usize>,
    /// Workers that are busy, on average.
    pub(super) busy_workers: f64,
    pub(super) ttft_ns_p99: Vec<Option<u64>>,
    pub(super) p0_queue_delay_ns_p99: Option<u64>,
}

/// A fleet for each set-up.
#[derive(Clone, Debug)]
pub(super) struct Fleets {
    dedicated: Fleet,
    naive: Fleet,
    tidegate: Fleet,
    pub(super) reserves: Vec<ReserveTried>,
    pub(super) best_reserve_ppm: u32,
}

impl Fleets {
    pub(super) fn all(&self) -> impl Iterator<Item = (SetupKind, &Fleet)> {
        let Self { dedicated, naive, tidegate, .. } = self;
        [(SetupKind::Dedicated, dedicated), (SetupKind::Naive, naive), (SetupKind::Tidegate, tidegate)]
            .into_iter()
    }
}

/// What all searches have in common.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) case: Case<'a>,
    pub(super) assumptions: &'a Assumptions,
    pub(super) tried: &'a dyn Fn(&str),
}

/// A number of workers that is enough, and what it does.
struct Enough {
    workers: usize,
    outcome: Outcome,
}

impl Search<'_> {
    pub(super) fn fleets(&self) -> Result<Fleets, CostError> {
        let tiers = self.case.workload.requests.iter().map(|request| usize::from(request.tier) + 1).max();
        let tiers = tiers.unwrap_or(1);
        if tiers > 8 {
            return Err(CostError::Tiers(tiers));
        }
        let naive_config = config(self.case, tiers, 0);
        let naive = self.least(SetupKind::Naive, self.case.workload, &naive_config, 1)?;
        let mut reserves = Vec::new();
        let mut best: Option<(u32, Enough)> = None;
        let mut start = 1;
        for &reserve_ppm in &self.assumptions.reserves_ppm {
            let config = config(self.case, tiers, reserve_ppm);
            let enough = match self.least(SetupKind::Tidegate, self.case.workload, &config, start) {
                Ok(enough) => Some(enough),
                // Another reserve may do.
                Err(CostError::Never { .. }) if self.assumptions.reserves_ppm.len() > 1 => None,
                Err(error) => return Err(error),
            };
            reserves.push(ReserveTried {
                reserve_ppm,
                workers: enough
                    .as_ref()
                    .map(|enough| enough.workers + self.assumptions.spare_workers as usize),
                p0_ttft_ns_p99: enough.as_ref().and_then(|enough| enough.outcome.tiers[0].ttft.p99),
            });
            let Some(enough) = enough else { continue };
            start = enough.workers;
            let rank = |enough: &Enough| (enough.workers, enough.outcome.tiers[0].ttft.p99);
            if best.as_ref().is_none_or(|(_, other)| rank(&enough) < rank(other)) {
                best = Some((reserve_ppm, enough));
            }
        }
        let Some((best_reserve_ppm, tidegate)) = best else {
            return Err(CostError::Never {
                setup: SetupKind::Tidegate.name(),
                workers: MOST_WORKERS,
                tier: 0,
                ttft_ns_p99: None,
            });
        };
        Ok(Fleets {
            dedicated: self.dedicated(tiers)?,
            naive: self.fleet(&naive),
            tidegate: self.fleet(&tidegate),
            reserves,
            best_reserve_ppm,
        })
    }

    /// Workers of its own for each tier, as many as that tier needs.
    fn dedicated(&self, tiers: usize) -> Result<Fleet, CostError> {
        let mut fleet = Fleet {
            workers: Vec::new(),
            busy_workers: 0.0,
            ttft_ns_p99: Vec::new(),
            p0_queue_delay_ns_p99: None,
        };
        let config = config(self.case, tiers, 0);
        for tier in 0..tiers {
            let mut own = self.case.workload.clone();
            own.requests.retain(|request| usize::from(request.tier) == tier);
            if own.requests.is_empty() {
                fleet.workers.push(0);
                fleet.ttft_ns_p99.push(None);
                continue;
            }
            // Alone on its workers, first come, first served.
            let enough = self.least(SetupKind::Naive, &own, &config, 1);
            let enough = enough.map_err(|error| match error {
                CostError::Never { workers, tier, ttft_ns_p99, .. } => {
                    CostError::Never { setup: SetupKind::Dedicated.name(), workers, tier, ttft_ns_p99 }
                }
                error => error,
            })?;
            let part = self.fleet(&enough);
            fleet.workers.extend(part.workers);
            fleet.busy_workers += part.busy_workers;
            fleet.ttft_ns_p99.push(enough.outcome.tiers[tier].ttft.p99);
            if tier == 0 {
                fleet.p0_queue_delay_ns_p99 = part.p0_queue_delay_ns_p99;
            }
        }
        Ok(fleet)
    }

    /// With the spare workers. Who is busy is counted over the time in which requests come: what ends later is
    /// work of that time too.
    fn fleet(&self, enough: &Enough) -> Fleet {
        let Enough { workers, outcome } = enough;
        let time = outcome.simulated_ns as f64 / self.case.span_ns.max(1) as f64;
        Fleet {
            workers: vec![workers + self.assumptions.spare_workers as usize],
            busy_workers: (outcome.utilisation * *workers as f64 * time).min(*workers as f64),
            ttft_ns_p99: outcome.tiers.iter().map(|tier| tier.ttft.p99).collect(),
            p0_queue_delay_ns_p99: outcome.tiers[0].queue_delay.p99,
        }
    }

    /// The fewest workers that are enough, found from a guess: doubled or halved until one is enough and one is not,
    /// then bisected. Takes for granted that more workers are never worse.
    fn least(
        &self,
        kind: SetupKind,
        workload: &Workload,
        config: &Config,
        guess: usize,
    ) -> Result<Enough, CostError> {
        let mut too_few = 0;
        let mut enough: Option<Enough> = None;
        let most = MOST_WORKERS.min(workload.requests.len()).max(1);
        let mut workers = guess.max(self.least_busy(workload)).min(most);
        loop {
            (self.tried)(&format!("{} with {workers}", kind.name()));
            let setup = Setup::new(kind, self.case.machine, workers, workload, config)?;
            let (outcome, _) = replay(workload, &setup, self.case.machine, ReplayOptions::default())?;
            match self.missed(&outcome) {
                None => enough = Some(Enough { workers, outcome }),
                Some((tier, ttft_ns_p99)) if workers == most => {
                    return Err(CostError::Never { setup: kind.name(), workers, tier, ttft_ns_p99 });
                }
                Some(_) => too_few = workers,
            }
            workers = match &enough {
                Some(enough) if enough.workers <= too_few + 1 => break,
                Some(found) if too_few == 0 => found.workers / 2,
                Some(found) => usize::midpoint(too_few, found.workers),
                None => (2 * workers).min(most),
            };
        }
        Ok(enough.expect("the loop ends when one is enough"))
    }

    /// Workers that could do the work if they were busy all the time, less a third: a first guess.
    fn least_busy(&self, workload: &Workload) -> usize {
        let work: u128 = workload.requests.iter().map(|request| self.case.machine.cost(request.work)).sum();
        let busy = work as f64 / self.case.span_ns.max(1) as f64;
        ((busy * 2.0 / 3.0) as usize).max(1)
    }

    /// The first tier whose objective is missed, and its p99 time to first token.
    fn missed(&self, outcome: &Outcome) -> Option<(usize, Option<u64>)> {
        outcome.tiers.iter().enumerate().find_map(|(tier, of)| {
            let counts = of.counts;
            if counts.submitted == 0 {
                return None;
            }
            let complete = counts.completed * 100 >= counts.submitted * COMPLETE_PERCENT;
            let objective = self.assumptions.objectives_ns.get(tier).copied().unwrap_or(u64::MAX);
            let in_time = of.ttft.p99.is_some_and(|p99| p99 <= objective);
            (!complete || !in_time).then_some((tier, of.ttft.p99.filter(|_| complete)))
        })
    }
}

/// tidegate's config for so many tiers: the first has the reserve, the last what it needs against starvation.
fn config(case: Case<'_>, tiers: usize, reserve_ppm: u32) -> Config {
    const NAMES: [&str; 8] =
        ["realtime", "near-realtime", "batch", "tier-3", "tier-4", "tier-5", "tier-6", "tier-7"];
    let tier = |tier: usize| {
        let config = TierConfig::new(NAMES[tier]);
        match tier {
            // One tier alone shares with nobody.
            0 if tiers == 1 => {
                config.order(Order::Fifo).preemption(Preemption::Never).hold_window(Duration::ZERO)
            }
            0 => config.reserve_ppm(reserve_ppm),
            _ if tier + 1 == tiers => config.reserve_ppm(LAST_PPM),
            _ => config,
        }
    };
    config_of(case.machine, (0..tiers).map(tier))
}
