//! What tenants have used, told by `usage`, and what is counted of queues: every change goes to the tenant's meter and the
//! queue's metrics from here. Decides nothing.

use alloc::vec::Vec;

use super::Scheduler;
use crate::error::{SubmitError, TenantError};
use crate::event::Reason;
use crate::id::{PoolId, TenantId, Tier};
use crate::meter::{Meter, Meters, REFUSALS, Refusals, TenantUsage};
use crate::metrics::{QueueMetrics, Refused};
use crate::request::Usage;
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::time::Instant;

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Completed,
    Failed,
    Cancelled,
    Dropped,
}

/// Tokens of quota that were held, and what of them, or beyond them, was used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub(super) held: u64,
    pub(super) used: u64,
}

/// What was used in one tier by tenants that are not known any more.
pub(super) type Forgotten = Vec<Past>;

/// What was used in one of them.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Past {
    used: TenantUsage,
    refused: Refusals,
}

/// Counts these to those.
pub(crate) fn add_refusals(all: &mut Refusals, more: Refusals) {
    all.iter_mut().zip(more).for_each(|(count, more)| *count += more);
}

impl Scheduler {
    /// What a tenant has used, until the latest `now` of any call. O(queues in which it has used something at once).
    ///
    /// # Errors
    /// [`TenantError::Unknown`]
    pub fn usage(&self, tenant: TenantId) -> Result<TenantUsage, TenantError> {
        let meters = self.meters(tenant)?.iter();
        Ok(meters.fold(TenantUsage::default(), |sum, meter| sum.plus(&self.read(meter, self.now))))
    }

    /// What of a tenant's [`usage`](Self::usage) is of one tier, as it will be at an instant if nothing is told before; one
    /// that has passed counts as now. A request counts for the tier that it has, what it used for the tier that it had
    /// then. Nothing for a tier that is not. O(queues in which it has used something at once).
    ///
    /// # Errors
    /// [`TenantError::Unknown`]
    pub fn usage_by_tier(
        &self,
        tenant: TenantId,
        tier: Tier,
        at: Instant,
    ) -> Result<TenantUsage, TenantError> {
        let meter = self.meters(tenant)?.iter().find(|meter| meter.tier() == tier);
        Ok(meter.map_or_else(TenantUsage::default, |meter| self.read(meter, at.max(self.now))))
    }

    /// What tenants that are not known any more used in a tier: with the [`usage_by_tier`](Self::usage_by_tier) of all that
    /// are, all that was ever used in it. O(1).
    #[must_use]
    pub fn forgotten_usage(&self, tier: Tier) -> TenantUsage {
        self.forgotten.get(tier.index()).map(|past| past.used.clone()).unwrap_or_default()
    }

    /// Requests of a tenant in a tier that were not accepted.
    pub(crate) fn refusals(&self, tenant: TenantId, tier: Tier) -> Refusals {
        let meters = self.tenants.get(tenant).map(|tenant| tenant.meters.iter());
        let meter = meters.into_iter().flatten().find(|meter| meter.tier() == tier);
        meter.map_or([0; REFUSALS], Meter::refusals)
    }

    /// Those of tenants that are not known any more.
    pub(crate) fn forgotten_refusals(&self, tier: Tier) -> Refusals {
        self.forgotten.get(tier.index()).map_or([0; REFUSALS], |past| past.refused)
    }

    fn meters(&self, tenant: TenantId) -> Result<&Meters, TenantError> {
        Ok(&self.tenants.get(tenant).ok_or(TenantError::Unknown(tenant))?.meters)
    }

    fn read(&self, meter: &Meter, at: Instant) -> TenantUsage {
        meter.read(at, |queue| self.loaned(queue, at))
    }

    /// A tenant without live requests is about to be forgotten, and nothing of what it used.
    pub(super) fn keep_usage(&mut self, tenant: TenantId) {
        for meter in self.tenants[tenant].meters.iter() {
            let used = meter.read(self.now, |queue| self.loaned(queue, self.now));
            let kept = &mut self.forgotten[meter.tier().index()];
            kept.used = core::mem::take(&mut kept.used).plus(&used);
            add_refusals(&mut kept.refused, meter.refusals());
        }
    }

    /// The sums of the loan of a queue's tier, at an instant that has not passed.
    fn loaned(&self, queue: u32, at: Instant) -> [u128; MAX_DIMENSIONS] {
        let (pool, tier) = self.queue_of(queue);
        let account = self.pool(pool).capacity.account(tier);
        self.loans[queue as usize].sums(at, &account.used, &account.reserve)
    }

    /// The use or the reserve of a tier is about to change.
    #[inline(always)]
    pub(super) fn advance_loan(&mut self, pool: PoolId, tier: Tier) {
        let queue = self.queue_number(pool, tier) as usize;
        let account = self.pools[pool.index()].capacity.account(tier);
        self.loans[queue].advance(self.now, &account.used, &account.reserve);
    }

    #[inline]
    pub(super) fn meter(&mut self, slot: u32) -> &mut Meter {
        let spec = &self.requests[slot].spec;
        self.tenants[spec.tenant].meters.of(spec.tier)
    }

    /// What is counted of a request's queue.
    #[inline(always)]
    pub(super) fn metrics_of(&mut self, slot: u32) -> &mut QueueMetrics {
        let spec = &self.requests[slot].spec;
        let queue = self.queue_number(spec.pool, spec.tier);
        &mut self.metrics[queue as usize]
    }

    /// A request is about to change its tier, if it `moves`.
    pub(super) fn meter_leaves_tier(&mut self, slot: u32, moves: bool) {
        self.meter_live(slot, moves, false);
    }

    /// It has changed its tier.
    pub(super) fn meter_joins_tier(&mut self, slot: u32, moves: bool) {
        self.meter_live(slot, moves, true);
    }

    fn meter_live(&mut self, slot: u32, moves: bool, joins: bool) {
        if moves {
            let is_running = self.requests[slot].is_on_worker();
            let held = self.requests.run(slot).held.unwrap_or(0);
            self.meter(slot).count_live(joins, is_running, held);
        }
    }

    /// A request of a tenant is about to use other units than before; on a worker that is up they are use of its pool and
    /// tier. `note` tells its meter the rest: to find it once for both takes 60 instructions less a cycle.
    #[inline(always)] // where one side of the change is nothing, as at each start and end, half of it is
    pub(super) fn meter_units(
        &mut self,
        tenant: TenantId,
        (pool, tier): (PoolId, Tier),
        is_up: bool,
        (before, after): (Resources, Resources),
        note: impl FnOnce(&mut Meter),
    ) {
        if is_up {
            self.advance_loan(pool, tier);
        }
        let queue = self.queue_number(pool, tier);
        let meter = self.tenants[tenant].meters.of(tier);
        note(meter);
        meter.change(self.now, is_up.then(|| (queue, &self.loans[queue as usize])), before, after);
    }

    #[inline(always)]
    pub(super) fn meter_submission(&mut self, slot: u32) {
        self.stats.submitted += 1;
        self.meter(slot).counts().submitted += 1;
        self.metrics_of(slot).submitted += 1;
    }

    /// A request was not accepted.
    pub(super) fn meter_refusal(
        &mut self,
        tenant: TenantId,
        (pool, tier): (PoolId, Tier),
        error: &SubmitError,
    ) {
        let why = match error {
            // Of no queue.
            SubmitError::UnknownTenant(_) | SubmitError::UnknownTier { .. } | SubmitError::UnknownPool(_) => {
                return;
            }
            SubmitError::QueueFull { .. } => Refused::QueueFull,
            SubmitError::OverQuota { .. } => Refused::OverQuota,
            SubmitError::NeverAllowed { .. } | SubmitError::TierTooUrgent { .. } => Refused::NotAllowed,
            SubmitError::ZeroDemand | SubmitError::NeverFits { .. } | SubmitError::LimitExceeded { .. } => {
                Refused::Never
            }
        };
        let queue = self.queue_number(pool, tier);
        self.metrics[queue as usize].refuse(why);
        const { assert!(Refused::ALL.len() == REFUSALS, "a tenant has a count for each") };
        self.tenants[tenant].meters.of(tier).rare_counts().refused[why as usize] += 1;
    }

    /// A request starts: how long it waited for that, if it was not started before. Its meter is told when it is on its
    /// worker.
    #[inline]
    pub(super) fn meter_start(&mut self, slot: u32, reason: Reason) -> Option<u64> {
        let record = &self.requests[slot];
        let delay_ns = (record.attempt == 0).then(|| self.now.nanos_since(record.arrived_at));
        let metrics = self.metrics_of(slot);
        metrics.start(reason);
        if let Some(delay_ns) = delay_ns {
            metrics.queue_delay.note(delay_ns);
        }
        delay_ns
    }

    /// The first tokens of a request are reported.
    pub(super) fn meter_first_tokens(&mut self, slot: u32, tokens: u64) {
        let (now, since) = (self.now, self.requests[slot].arrived_at);
        self.requests.run_mut(slot).first_tokens = Some((now, tokens));
        self.metrics_of(slot).first_token.note(now.nanos_since(since));
    }

    /// A request stops and will go on later. What of its context it did not keep, and no cache had, was in vain.
    pub(super) fn meter_lost_work(&mut self, slot: u32) {
        let lost = self.tokens_to_recompute(slot);
        if lost > 0 {
            let counts = self.meter(slot).rare_counts();
            counts.lost_tokens = counts.lost_tokens.saturating_add(lost);
            let metrics = self.metrics_of(slot);
            metrics.lost_tokens = metrics.lost_tokens.saturating_add(lost);
        }
    }

    /// A request ends, and gave back what it `held` for what it used.
    pub(super) fn meter_end(&mut self, slot: u32, ending: Ending, used: &Usage, settled: Option<Settled>) {
        if ending == Ending::Completed {
            self.meter_completion(slot, used.output_tokens);
        }
        let spec = &self.requests[slot].spec;
        let queue = self.queue_number(spec.pool, spec.tier);
        let meter = self.tenants[spec.tenant].meters.of(spec.tier);
        if let Some(Settled { held, used }) = settled {
            meter.settle(held, used);
        }
        let counts = meter.counts();
        counts.prompt_tokens = counts.prompt_tokens.saturating_add(used.prompt_tokens);
        counts.cached_tokens = counts.cached_tokens.saturating_add(used.cached_tokens);
        counts.output_tokens = counts.output_tokens.saturating_add(used.output_tokens);
        let metrics = &mut self.metrics[queue as usize];
        metrics.use_tokens(used);
        let (own, of_queue, all) = match ending {
            Ending::Completed => (&mut counts.completed, &mut metrics.completed, &mut self.stats.completed),
            Ending::Failed => (&mut meter.rare_counts().failed, &mut metrics.failed, &mut self.stats.failed),
            Ending::Cancelled => {
                (&mut meter.rare_counts().cancelled, &mut metrics.cancelled, &mut self.stats.cancelled)
            }
            Ending::Dropped => {
                (&mut meter.rare_counts().dropped, &mut metrics.dropped, &mut self.stats.dropped)
            }
        };
        *own += 1;
        *of_queue += 1;
        *all += 1;
    }

    /// A request is done, with so many tokens: what those took that came after the first.
    fn meter_completion(&mut self, slot: u32, tokens: u64) {
        match self.requests.run(slot).first_tokens {
            None if tokens > 0 => self.meter_first_tokens(slot, tokens),
            Some((at, first)) if tokens > first => {
                let each_ns = self.now.nanos_since(at) / (tokens - first);
                self.metrics_of(slot).further_token.note(each_ns);
            }
            _ => {}
        }
    }
}
