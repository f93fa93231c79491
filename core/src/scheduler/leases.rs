//! Leased limits: what their store is asked when a round has nothing else to do, and what it answers. The protocol is
//! `docs/LEASES.md`; what a lease wants, and when, is `quota::lease`'s to decide.

use super::Scheduler;
use crate::error::TenantError;
use crate::event::{Action, Reason};
use crate::id::TenantId;
use crate::quota::{Answer, Why};
use crate::tenant::QuotaLimit;
use crate::time::Instant;

impl Scheduler {
    /// The store's answer to the wish `seq` of a leased limit: so many tokens (requests, if that is the limit), which go
    /// back if they are not used for `valid_for_ns`. What answers no wish that waits (a duplicate, an answer that is too
    /// late, one to a tenant that is gone or leases no more) changes nothing. O(log tenants).
    ///
    /// # Errors
    /// [`TenantError::Unknown`] for a number that no tenant ever had; [`TenantError::GrantTooLarge`].
    pub fn lease_granted(
        &mut self,
        now: Instant,
        tenant: TenantId,
        limit: QuotaLimit,
        seq: u64,
        tokens: u64,
        valid_for_ns: u64,
    ) -> Result<(), TenantError> {
        self.advance(now);
        let Some(node) = self.tenants.get(tenant).map(|tenant| tenant.node) else {
            return if self.tenants.was_known(tenant) { Ok(()) } else { Err(TenantError::Unknown(tenant)) };
        };
        match self.quota.granted(self.now, node, limit, (seq, tokens, valid_for_ns)) {
            Answer::Taken => self.look_at_node(node),
            Answer::Stale => {}
            Answer::TooMuch { wanted } => return Err(TenantError::GrantTooLarge { tenant, wanted, tokens }),
        }
        Ok(())
    }

    /// Says what some lease wants of the store. Whether one wants something.
    #[inline(always)]
    pub(super) fn want_leases(&mut self) -> bool {
        self.quota.wants_at().is_some_and(|at| at <= self.now) && self.say_want()
    }

    #[inline(never)] // few limits are leased
    fn say_want(&mut self) -> bool {
        let Some((node, limit, want)) = self.quota.want(self.now) else { return false };
        let reason = match want.why {
            Why::Needed => Reason::LeaseNeeded,
            Why::Ahead => Reason::LeaseAhead,
            Why::Debt => Reason::LeaseOwed,
            Why::Idle => Reason::LeaseIdle,
        };
        let tenant = self.tenants.of_node(node);
        self.say(Action::LeaseWanted {
            tenant,
            limit,
            seq: want.seq,
            tokens: want.tokens,
            returned: want.returned,
            reason,
        });
        // Once it is asked, it is known when the fall-back has enough for the first that waits.
        self.look_at_node(node);
        true
    }
}
