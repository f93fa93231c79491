//! What tenants have used, told by `usage`: every change that it tells of goes to the tenant's meter from here.
//! Decides nothing.

use super::Scheduler;
use crate::error::TenantError;
use crate::id::{PoolId, TenantId, Tier};
use crate::meter::{Meter, TenantUsage};
use crate::request::Usage;
use crate::resources::{MAX_DIMENSIONS, Resources};

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Completed,
    Failed,
    Cancelled,
    Dropped,
}

impl Scheduler {
    /// What a tenant has used, until the latest `now` of any call. O(queues in which it has used something at once).
    ///
    /// # Errors
    /// [`TenantError::Unknown`]
    pub fn usage(&self, tenant: TenantId) -> Result<TenantUsage, TenantError> {
        let meter = self.tenants.get(tenant).ok_or(TenantError::Unknown(tenant))?.meter.as_deref();
        let read = |meter: &Meter| meter.read(self.now, |queue| self.loaned(queue));
        Ok(meter.map_or_else(TenantUsage::default, read))
    }

    /// The sums of the loan of a queue's tier, now.
    fn loaned(&self, queue: u32) -> [u128; MAX_DIMENSIONS] {
        let (pool, tier) = self.queue_of(queue);
        let account = self.pool(pool).capacity.account(tier);
        self.loans[queue as usize].sums(self.now, &account.used, &account.reserve)
    }

    /// The use or the reserve of a tier is about to change.
    pub(super) fn advance_loan(&mut self, pool: PoolId, tier: Tier) {
        let queue = self.queue_number(pool, tier) as usize;
        let account = self.pools[pool.index()].capacity.account(tier);
        self.loans[queue].advance(self.now, &account.used, &account.reserve);
    }

    pub(super) fn meter(&mut self, slot: u32) -> &mut Meter {
        let tenant = self.requests[slot].spec.tenant;
        self.tenants[tenant].meter.get_or_insert_default()
    }

    /// A request of a tenant is about to use other units than before; on a worker that is up they are use `of` its pool and
    /// tier.
    pub(super) fn meter_units(
        &mut self,
        tenant: TenantId,
        of: Option<(PoolId, Tier)>,
        before: Resources,
        after: Resources,
    ) {
        let queue = of.map(|(pool, tier)| {
            self.advance_loan(pool, tier);
            self.queue_number(pool, tier)
        });
        let meter = self.tenants[tenant].meter.get_or_insert_default();
        meter.change(self.now, queue.map(|queue| (queue, &self.loans[queue as usize])), before, after);
    }

    pub(super) fn meter_submission(&mut self, slot: u32) {
        self.stats.submitted += 1;
        self.meter(slot).counts().submitted += 1;
    }

    /// A request starts, and not for the first time if it was started before.
    pub(super) fn meter_start(&mut self, slot: u32) {
        let record = &self.requests[slot];
        if record.attempt == 0 {
            let delay_ns = self.now.nanos_since(record.arrived_at);
            self.meter(slot).note_delay(delay_ns);
        }
    }

    /// A request stops and will go on later. What of its context it did not keep, and no cache had, was in vain.
    pub(super) fn meter_lost_work(&mut self, slot: u32) {
        let lost = self.tokens_to_recompute(slot);
        if lost > 0 {
            let counts = self.meter(slot).rare_counts();
            counts.lost_tokens = counts.lost_tokens.saturating_add(lost);
        }
    }

    pub(super) fn meter_end(&mut self, slot: u32, ending: Ending, used: &Usage) {
        let tenant = self.requests[slot].spec.tenant;
        let meter = self.tenants[tenant].meter.get_or_insert_default();
        let counts = meter.counts();
        counts.prompt_tokens = counts.prompt_tokens.saturating_add(used.prompt_tokens);
        counts.cached_tokens = counts.cached_tokens.saturating_add(used.cached_tokens);
        counts.output_tokens = counts.output_tokens.saturating_add(used.output_tokens);
        let (own, all) = match ending {
            Ending::Completed => (&mut counts.completed, &mut self.stats.completed),
            Ending::Failed => (&mut meter.rare_counts().failed, &mut self.stats.failed),
            Ending::Cancelled => (&mut meter.rare_counts().cancelled, &mut self.stats.cancelled),
            Ending::Dropped => (&mut meter.rare_counts().dropped, &mut self.stats.dropped),
        };
        *own += 1;
        *all += 1;
    }
}
