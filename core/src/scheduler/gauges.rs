//! What the state of the scheduler is in numbers, for those who watch it. Changes nothing, decides nothing.

use core::time::Duration;

use super::Scheduler;
use super::workers::{Worker, WorkerStatus};
use crate::id::{PoolId, TenantId, Tier};
use crate::metrics::QueueMetrics;
use crate::quota::Unanswered;
use crate::resources::{Balance, MAX_DIMENSIONS, Resources};
use crate::tenant::{QuotaLimit, TenantPolicy};
use crate::time::nanos;

/// One millionth is the step in which shares are told.
const MILLION: u128 = 1_000_000;

/// How many waiting requests of a queue count for what it wants: what bounds the cost of a sample. Chosen arbitrarily, far
/// beyond what a fleet grows by at once.
const MOST_WANTING: usize = 1_024;

/// What a tier has in a pool.
pub(crate) struct TierUnits {
    pub(crate) reserved: Resources,
    pub(crate) guaranteed: Resources,
    pub(crate) borrowed: Resources,
    pub(crate) held: Resources,
    pub(crate) claimed: Resources,
    pub(crate) waiting: Resources,
    /// What of the reserve waits to be used.
    pub(crate) unmet: Resources,
}

/// What the workers of a pool are.
#[derive(Default)]
pub(crate) struct PoolWorkers {
    /// Up, draining, lost, out.
    pub(crate) by_status: [u64; 4],
    /// How much of the fullest one that is up is in use, in parts per million.
    pub(crate) fullest_ppm: [u64; MAX_DIMENSIONS],
}

impl Scheduler {
    /// What a tier wants of a pool: what it uses on workers that are up, and what its first 1,024 waiting requests ask for.
    /// Those that a quota or a limit of their tenant holds back want nothing. With `ahead` above zero, what it will want by
    /// then at most: the most that it wanted in the last two spans of that length, and what it grew by from one to the other,
    /// by samples every 10 s. Ask for as long as a worker takes to start. `None` if either is unknown, if the scheduler has not
    /// been told of time for `ahead` yet, or for more than 10 minutes. O(1,024).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate::{Config, Instant, PoolId, RequestSpec, Resources, Scheduler, Tier, TierConfig};
    /// # let config = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only")).build()?;
    /// let mut sched = Scheduler::new(config, Instant::ZERO);
    /// let tenant = sched.tenant_set(Instant::ZERO, "acme")?;
    /// sched.submit(Instant::ZERO, RequestSpec::new(tenant, Tier::P0).demand([2]))?;
    /// let wanted = |ahead| sched.wanted(PoolId::new(0), Tier::P0, ahead);
    /// assert_eq!(wanted(Duration::ZERO), Some(Resources::from([2])));
    /// assert_eq!(wanted(Duration::from_secs(300)), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn wanted(&self, pool: PoolId, tier: Tier, ahead: Duration) -> Option<Resources> {
        self.account(pool, tier)?;
        let queue = self.queue_number(pool, tier) as usize;
        self.forecast.of(self.now, queue, self.wanted_now(pool, tier), nanos(ahead))
    }

    fn wanted_now(&self, pool: PoolId, tier: Tier) -> Resources {
        let of = self.pool(pool);
        let (queue, used) = (&of.queues[tier.index()], of.capacity.account(tier).used);
        let asked = |sum: Resources, slot: u32| sum + self.requests[slot].asks;
        // Where no worker is up all are parked.
        if of.up.is_empty() {
            queue.iter(&self.nodes).take(MOST_WANTING).fold(used, asked)
        } else {
            queue.in_order(&self.nodes).take(MOST_WANTING).fold(used, asked)
        }
    }

    /// A step of time is over, and nothing was told since the last call: what is so now was so at its end.
    #[cold]
    pub(super) fn sample_wanted(&mut self) {
        for pool in (0..self.pools.len() as u32).map(PoolId::new) {
            for tier in self.tiers() {
                let (queue, wanted) = (self.queue_number(pool, tier), self.wanted_now(pool, tier));
                self.forecast.note(self.now, queue as usize, wanted);
            }
        }
        self.forecast.done(self.now);
    }

    /// How many requests of a tier wait, their prompt and expected output tokens, and for how long the oldest of those has
    /// that never ran. O(1).
    pub(crate) fn queue_of_tier(&self, tier: Tier) -> (u64, u64, u64) {
        let waiting = self.waiting_by_tier[tier.index()];
        let oldest = self.never_ran[tier.index()].arrivals.oldest();
        let age_ns = oldest.map_or(0, |slot| self.now.nanos_since(self.requests[slot].arrived_at));
        (waiting.requests, waiting.tokens, age_ns)
    }

    pub(crate) fn queue_metrics(&self, pool: PoolId, tier: Tier) -> &QueueMetrics {
        &self.metrics[self.queue_number(pool, tier) as usize]
    }

    pub(crate) fn capacity_of(&self, pool: PoolId) -> Resources {
        self.pool(pool).capacity.total()
    }

    /// What nobody uses and no claim has.
    pub(crate) fn free_units(&self, pool: PoolId) -> Resources {
        let capacity = &self.pool(pool).capacity;
        let taken = capacity.accounts().iter().map(|account| account.used + account.earmarked);
        let taken = taken.fold(Resources::ZERO, |sum, units| sum + units);
        Balance::of(capacity.total(), taken).minus(capacity.offset()).positive()
    }

    pub(crate) fn tier_units(&self, pool: PoolId, tier: Tier) -> TierUnits {
        let account = self.pool(pool).capacity.account(tier);
        let waiting = account.waiting + account.earmarked;
        TierUnits {
            reserved: account.reserve,
            guaranteed: account.used.min(account.reserve),
            borrowed: account.used.saturating_sub(account.reserve),
            held: account.withheld(self.now, account.used + account.earmarked),
            claimed: account.earmarked,
            waiting,
            unmet: account.reserve.saturating_sub(account.used).min(waiting),
        }
    }

    /// O(workers of the pool).
    pub(crate) fn pool_workers(&self, pool: PoolId) -> PoolWorkers {
        let mut told = PoolWorkers::default();
        for &id in &self.pool(pool).members {
            let worker = self.worker(id);
            let place = match worker.status {
                WorkerStatus::Up => 0,
                WorkerStatus::Draining => 1,
                WorkerStatus::Lost => 2,
                WorkerStatus::Out => 3,
            };
            told.by_status[place] += 1;
            if worker.is_up() {
                let fullest = told.fullest_ppm.iter_mut().enumerate();
                fullest.for_each(|(d, most)| *most = (*most).max(fullness_ppm(worker, d)));
            }
        }
        told
    }

    /// How many requests of each tier are on the workers of a pool. O(requests on them).
    pub(crate) fn running_by_tier(&self, pool: PoolId) -> [u64; crate::config::MAX_TIERS] {
        let mut running = [0; crate::config::MAX_TIERS];
        for &id in &self.pool(pool).members {
            for &slot in &self.worker(id).running {
                running[self.requests[slot].tier().index()] += 1;
            }
        }
        running
    }

    /// Who has a policy of their own, by number. O(tenants).
    pub(crate) fn configured_tenants(&self) -> impl Iterator<Item = (TenantId, &str)> {
        let configured = self.tenants.iter().filter(|(_, tenant)| tenant.is_configured);
        configured.map(|(id, tenant)| (id, &*tenant.name))
    }

    pub(crate) fn policy_of(&self, tenant: TenantId) -> &TenantPolicy {
        self.tenants.policy(&self.tenants[tenant])
    }

    /// What is left of a rate of a tenant: below zero, a debt; `None` if it has no such rate.
    pub(crate) fn quota_level(&self, tenant: TenantId, limit: QuotaLimit) -> Option<i128> {
        self.quota.level(self.now, self.tenants[tenant].node, limit)
    }

    /// What of the requests of a tenant, and of those below it, waits.
    pub(crate) fn waiting_below(&self, tenant: TenantId) -> u64 {
        self.tenants.waiting_at(self.tenants[tenant].node).requests
    }

    /// What leases the store owes an answer. O(tenants).
    pub(crate) fn unanswered_leases(&self) -> Unanswered {
        self.quota.unanswered(self.now)
    }
}

fn fullness_ppm(worker: &Worker, dimension: usize) -> u64 {
    let used = u128::from(worker.in_use()[dimension]) * MILLION;
    let part = used.checked_div(worker.spec.capacity[dimension].into());
    part.map_or(0, |part| u64::try_from(part).unwrap_or(u64::MAX))
}
