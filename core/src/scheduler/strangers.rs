//! Tenants that nobody configured: they live under the config's default policy, and when there is no room for one
//! more, the one that did nothing for longest is forgotten, if that loses and forgives nothing.
//!
//! Invariants: of these tenants, exactly those without live requests are in the list of the idle, in the order in which
//! they were last used; who is forgotten owes nothing to its quota, and is ahead of nobody where tenants share a tier.

use alloc::vec::Vec;

use super::Scheduler;
use super::tenants::{Tenant, Tenants};
use crate::error::{Limit, TenantError};
use crate::id::TenantId;
use crate::list::LinkTable;

/// How many of the idle are looked at for one newcomer: what bounds the cost. Chosen arbitrarily.
const LOOKS: usize = 8;

impl Tenant {
    /// Whether it may be forgotten, once it owes nothing.
    pub(super) fn is_idle_stranger(&self) -> bool {
        !self.is_configured && self.live == 0
    }
}

impl Tenants {
    /// Those of them without live requests, the one used longest ago first.
    pub(super) fn idle_strangers(&self) -> impl Iterator<Item = TenantId> + Clone {
        let next = |&number: &u32| self.list.links(number).next();
        core::iter::successors(self.idle.head(), next).map(TenantId::new)
    }

    /// Changes something of a tenant that may make it idle, or busy, or known to somebody; it counts as used now.
    #[inline(always)]
    pub(super) fn touch(&mut self, id: TenantId, change: impl FnOnce(&mut Tenant)) {
        let tenant = &mut self[id];
        let was = tenant.is_idle_stranger();
        change(tenant);
        let is = tenant.is_idle_stranger();
        if was {
            self.idle.remove(&mut self.list, id.get());
        }
        if is {
            self.idle.insert_after(&mut self.list, self.idle.tail(), id.get());
        }
    }
}

impl Scheduler {
    /// Makes room for one more tenant.
    pub(super) fn make_room_for_tenant(&mut self) -> Result<(), TenantError> {
        let max = u64::from(self.config.max_tenants);
        for _ in 0..LOOKS {
            let idle = self.tenants.idle.head().filter(|_| self.tenants.count() >= max);
            let Some(id) = idle.map(TenantId::new) else { break };
            if self.may_forget(id) {
                self.forget_stranger(id);
            } else {
                // So that those who owe something do not keep the others from being looked at.
                self.tenants.touch(id, |_| ());
            }
        }
        // A number is used once.
        if self.tenants.count() >= max || self.tenants.are_numbers_spent() {
            return Err(TenantError::LimitExceeded { limit: Limit::Tenants, max });
        }
        Ok(())
    }

    /// Whether a tenant without live requests would be the same were it made known anew.
    fn may_forget(&self, id: TenantId) -> bool {
        let tenant = &self.tenants[id];
        let is_even = |&(queue, line): &(u32, u32)| match self.reached_in(queue) {
            Some(reached) => self.fairness.is_even(line, reached),
            None => true,
        };
        self.quota.is_fresh(self.now, tenant.node) && tenant.lines.iter().all(is_even)
    }

    fn forget_stranger(&mut self, id: TenantId) {
        self.keep_usage(id);
        let gone = self.tenants.take(id);
        for (queue, line) in gone.lines {
            // It cannot come back with less than it had.
            if self.reached_in(queue).is_some() {
                self.fairness.raise_floor(line);
            }
            self.fairness.forget(line);
        }
        self.quota.remove(gone.node).expect("nothing is open where nothing lives");
    }

    /// The counter that a newcomer to a queue would be lifted to; `None` where the order does not tell tenants apart.
    fn reached_in(&self, queue: u32) -> Option<i128> {
        let (pool, tier) = self.queue_of(queue);
        self.tells_tenants(tier).then(|| self.reached(pool, tier))
    }

    /// The config has another default policy: it holds for all that nobody configured, and for what is open of them.
    pub(super) fn apply_default_policy(&mut self) {
        let strangers = self.tenants.iter().filter(|(_, tenant)| !tenant.is_configured);
        let strangers: Vec<TenantId> = strangers.map(|(id, _)| id).collect();
        let policy = self.config.default_policy;
        strangers.into_iter().for_each(|id| self.set_policy(id, &policy));
    }
}
