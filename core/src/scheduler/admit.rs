//! Who may wait: `tenant_set`, `submit`, `cancel`, and the limits of the queues.

use alloc::boxed::Box;

use super::record::{Record, Tenant};
use super::{MAX_REQUESTS, MAX_TOKENS, Scheduler};
use crate::config::{MAX_NAME_BYTES, is_name};
use crate::error::{Limit, QueueScope, QueueUnit, ReportError, SubmitError, TenantError};
use crate::event::{Action, Reason};
use crate::id::{RequestId, TenantId, Tier};
use crate::request::{RequestSpec, Yielding};
use crate::resources::{MAX_DIMENSIONS, MAX_UNITS, Resources};
use crate::time::Instant;

impl Scheduler {
    /// Makes a tenant known by its name; the same name gives the same tenant. O(log tenants).
    ///
    /// # Errors
    /// A name that is empty, too long, or has control characters; more tenants than `max_tenants`.
    pub fn tenant_set(&mut self, now: Instant, name: &str) -> Result<TenantId, TenantError> {
        self.advance(now);
        if let Some(&known) = self.tenants.by_name.get(name) {
            return Ok(known);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(TenantError::LimitExceeded { limit: Limit::NameBytes, max: MAX_NAME_BYTES as u64 });
        }
        if !is_name(name) {
            return Err(TenantError::BadName);
        }
        let (number, max) = (self.tenants.list.len() as u32, self.config.max_tenants);
        if number >= max {
            return Err(TenantError::LimitExceeded { limit: Limit::Tenants, max: u64::from(max) });
        }
        self.tenants.list.push(Tenant::default());
        self.tenants.by_name.insert(Box::from(name), TenantId::new(number));
        Ok(TenantId::new(number))
    }

    /// Takes a request; it waits until `poll` returns its `Start`. O(1), and O(workers of the pool) to see
    /// that it can ever fit.
    ///
    /// # Errors
    /// Permanent: something in it is unknown, it asks for nothing, for more than it can ever have, or for
    /// more than [the limits](Limit). Not now: [`SubmitError::QueueFull`].
    pub fn submit(&mut self, now: Instant, mut spec: RequestSpec) -> Result<RequestId, SubmitError> {
        self.advance(now);
        self.check_names(&spec)?;
        self.check_numbers(&spec)?;
        self.check_fits(&spec)?;
        if self.requests.0.len() as u64 >= MAX_REQUESTS {
            return Err(SubmitError::LimitExceeded { limit: Limit::Requests, max: MAX_REQUESTS });
        }
        self.make_room(&spec)?;
        spec.peak = spec.peak.max(spec.demand);
        spec.cached_tokens = spec.cached_tokens.min(spec.prompt_tokens);
        let wait_ns = spec.queue_timeout_ns.or(self.config.tiers[spec.tier.index()].queue_timeout_ns);
        let expires_at = wait_ns.map(|nanos| self.now.plus_nanos(nanos));
        let (slot, generation) = self.requests.0.insert(Record::new(spec, self.next_sequence, expires_at));
        self.next_sequence += 1;
        self.stats.submitted += 1;
        self.enqueue(slot);
        Ok(RequestId::new(slot, generation))
    }

    /// Ends a request wherever it stands, and asserts that no engine holds anything of it any more. O(1),
    /// and O(log n) where it had a timer.
    ///
    /// # Errors
    /// [`ReportError::AlreadyTerminal`] or [`ReportError::UnknownRequest`].
    pub fn cancel(&mut self, now: Instant, request: RequestId) -> Result<(), ReportError> {
        self.advance(now);
        let slot = self.resolve(request)?;
        self.stats.cancelled += 1;
        self.end(slot);
        Ok(())
    }

    fn check_names(&self, spec: &RequestSpec) -> Result<(), SubmitError> {
        if spec.tenant.index() >= self.tenants.list.len() {
            return Err(SubmitError::UnknownTenant(spec.tenant));
        }
        if spec.tier.index() >= self.config.tiers.len() {
            return Err(SubmitError::UnknownTier { tier: spec.tier, tiers: self.config.tiers.len() as u8 });
        }
        if spec.pool.index() >= self.pools.len() {
            return Err(SubmitError::UnknownPool(spec.pool));
        }
        Ok(())
    }

    fn check_numbers(&self, spec: &RequestSpec) -> Result<(), SubmitError> {
        if spec.demand.is_zero() {
            return Err(SubmitError::ZeroDemand);
        }
        if let Some(max) = self.units_beyond(&spec.demand.max(spec.peak)) {
            return Err(SubmitError::LimitExceeded { limit: Limit::Units, max });
        }
        let tokens = spec.prompt_tokens.max(spec.cached_tokens).max(spec.output_tokens.unwrap_or(0));
        if tokens > MAX_TOKENS {
            return Err(SubmitError::LimitExceeded { limit: Limit::Tokens, max: MAX_TOKENS });
        }
        Ok(())
    }

    /// The limit that some number of units exceeds: a dimension that the config does not name has none.
    pub(super) fn units_beyond(&self, units: &Resources) -> Option<u64> {
        let max = |d: usize| if d < self.config.dimensions.len() { MAX_UNITS } else { 0 };
        (0..MAX_DIMENSIONS).find(|&d| units[d] > max(d)).map(max)
    }

    /// Refuses what no worker that was ever added to the pool, or no share that the tier may use of all of
    /// them, can hold. A pool without workers takes everything: they may come.
    fn check_fits(&self, spec: &RequestSpec) -> Result<(), SubmitError> {
        let pool = self.pool(spec.pool);
        let ceiling = pool.configured.ceiling(spec.tier, spec.yielding == Yielding::Never);
        let held = pool.shapes.iter().any(|shape| spec.demand.fits(shape));
        if pool.shapes.is_empty() || held && spec.demand.fits(&ceiling) {
            return Ok(());
        }
        let largest = pool.shapes.iter().fold(Resources::ZERO, |most, &shape| most.max(shape));
        let most = largest.min(ceiling);
        // A demand beyond it in no dimension is one that no single worker has in all of them at once.
        let dimension = spec.demand.first_beyond(&most).unwrap_or(0);
        Err(SubmitError::NeverFits { dimension, need: spec.demand[dimension], max: most[dimension] })
    }

    /// Refuses a newcomer when a queue is full, or drops a less urgent one for it.
    fn make_room(&mut self, spec: &RequestSpec) -> Result<(), SubmitError> {
        let full = |scope, limit| Err(SubmitError::QueueFull { scope, unit: QueueUnit::Requests, limit });
        if let Some(limit) = self.config.tiers[spec.tier.index()].queue_limit
            && self.waiting_by_tier[spec.tier.index()] >= limit
        {
            return full(QueueScope::Tier(spec.tier), limit);
        }
        if let Some(limit) = self.config.tenant_queue_limit
            && self.tenants.list[spec.tenant.index()].waiting >= limit
        {
            return full(QueueScope::Tenant(spec.tenant), limit);
        }
        let Some(limit) = self.config.queue_limit else { return Ok(()) };
        if self.waiting < limit {
            return Ok(());
        }
        let displaced = if self.config.displace { self.newest_below(spec.tier) } else { None };
        let Some(slot) = displaced else { return full(QueueScope::Total, limit) };
        self.drop_waiting(slot, Reason::Displaced);
        Ok(())
    }

    /// The newest waiting request that has never run of the least urgent tier below `tier` that has one.
    fn newest_below(&self, tier: Tier) -> Option<u32> {
        (tier.index() + 1..self.config.tiers.len()).rev().find_map(|below| {
            let has_run = |slot| self.requests[slot].has_run;
            let newest =
                self.pools.iter().filter_map(|pool| pool.queues[below].newest(&self.requests, has_run));
            newest.max_by_key(|&slot| self.requests[slot].sequence)
        })
    }

    /// Ends a waiting request, and tells the host.
    pub(super) fn drop_waiting(&mut self, slot: u32, reason: Reason) {
        let request = self.requests.id(slot);
        self.stats.dropped += 1;
        self.end(slot);
        self.say(Action::Drop { request, reason });
    }
}
