//! Who may wait: `submit`, `cancel`, and the limits of the queues.

use alloc::vec::Vec;

use super::record::{Record, Waiting};
use super::usage::Ending;
use super::{MAX_REQUESTS, MAX_TOKENS, Scheduler};
use crate::error::{Limit, QueueScope, QueueUnit, ReportError, SubmitError};
use crate::event::{Action, Reason};
use crate::id::{PoolId, RequestId, Tier};
use crate::request::{RequestSpec, Yielding};
use crate::resources::{MAX_DIMENSIONS, MAX_UNITS, Resources};
use crate::time::Instant;

/// How much may wait somewhere.
struct QueueLimits {
    requests: Option<u64>,
    tokens: Option<u64>,
}

impl QueueLimits {
    /// Whether one more with these tokens may wait beside what waits already.
    fn admit(&self, scope: QueueScope, waiting: Waiting, tokens: u64) -> Result<(), SubmitError> {
        let full = |unit, limit| Err(SubmitError::QueueFull { scope, unit, limit });
        match (self.requests, self.tokens) {
            (None, None) => Ok(()),
            (Some(limit), _) if waiting.requests >= limit => full(QueueUnit::Requests, limit),
            (_, Some(limit)) if waiting.tokens + tokens > limit => full(QueueUnit::Tokens, limit),
            _ => Ok(()),
        }
    }
}

impl Scheduler {
    /// Takes a request; it waits until `poll` returns its `Start`. O(log n) for n that wait, and O(workers of the
    /// pool) to see that it can fit; with `displace`, at a full queue, O(log n) for each that is dropped.
    ///
    /// # Errors
    /// Permanent: something in it is unknown, it asks for nothing, for more than it can ever have, or for
    /// more than [the limits](Limit). Not now: [`SubmitError::QueueFull`].
    pub fn submit(&mut self, now: Instant, mut spec: RequestSpec) -> Result<RequestId, SubmitError> {
        self.advance(now);
        self.admit(&mut spec)
    }

    /// Takes a request, now. What it is taken as is written where it stands: it is large to copy.
    pub(super) fn admit(&mut self, spec: &mut RequestSpec) -> Result<RequestId, SubmitError> {
        let RequestSpec { tenant, pool, tier, .. } = *spec;
        self.accept(spec).inspect_err(|error| self.meter_refusal(tenant, (pool, tier), error))
    }

    fn accept(&mut self, spec: &mut RequestSpec) -> Result<RequestId, SubmitError> {
        self.check_names(spec)?;
        spec.name_each_pool_once();
        self.check_numbers(spec)?;
        self.check_fits(spec)?;
        if self.requests.len() as u64 >= MAX_REQUESTS {
            return Err(SubmitError::LimitExceeded { limit: Limit::Requests, max: MAX_REQUESTS });
        }
        self.admit_quota(spec)?;
        for slot in self.make_room(spec)? {
            self.drop_waiting(slot, Reason::Displaced);
        }
        if !spec.demand.fits(&spec.peak) {
            spec.peak = spec.peak.max(spec.demand);
        }
        spec.cached_tokens = spec.cached_tokens.min(spec.prompt_tokens);
        let wait_ns = spec.queue_timeout_ns.or(self.config.tiers[spec.tier.index()].queue_timeout_ns);
        let expires_at = wait_ns.map(|nanos| self.now.plus_nanos(nanos));
        let leaf = self.tenants[spec.tenant].node;
        let (slot, generation) =
            self.requests.insert(spec, Record::new(spec, leaf, self.next_sequence, self.now, expires_at));
        self.next_sequence += 1;
        self.meter_submission(slot);
        self.never_yielding += u64::from(spec.yielding == Yielding::Never);
        self.tenants.touch(spec.tenant, |tenant| tenant.live += 1);
        self.join_line(slot);
        self.enqueue(slot, true);
        Ok(RequestId::new(slot, generation))
    }

    /// Ends a request wherever it stands, and asserts that no engine holds anything of it any more. O(log n) for n
    /// that wait, where it holds no claim and its worker has none.
    ///
    /// # Errors
    /// [`ReportError::AlreadyTerminal`] or [`ReportError::UnknownRequest`].
    pub fn cancel(&mut self, now: Instant, request: RequestId) -> Result<(), ReportError> {
        self.advance(now);
        let slot = self.resolve(request)?;
        self.fetch_for_cancel(slot);
        self.end(slot, Ending::Cancelled);
        Ok(())
    }

    #[inline]
    pub(super) fn check_names(&self, spec: &RequestSpec) -> Result<(), SubmitError> {
        if self.tenants.get(spec.tenant).is_none() {
            return Err(SubmitError::UnknownTenant(spec.tenant));
        }
        if spec.tier.index() >= self.config.tiers.len() {
            return Err(SubmitError::UnknownTier { tier: spec.tier, tiers: self.config.tiers.len() as u8 });
        }
        let unknown = spec.all_pools().find(|pool| pool.index() >= self.pools.len());
        unknown.map_or(Ok(()), |pool| Err(SubmitError::UnknownPool(pool)))
    }

    #[inline]
    pub(super) fn check_numbers(&self, spec: &RequestSpec) -> Result<(), SubmitError> {
        if spec.demand.is_zero() {
            return Err(SubmitError::ZeroDemand);
        }
        // The larger of both is only needed to name the limit.
        if (self.units_beyond(&spec.demand).is_some() || self.units_beyond(&spec.peak).is_some())
            && let Some(max) = self.units_beyond(&spec.demand.max(spec.peak))
        {
            return Err(SubmitError::LimitExceeded { limit: Limit::Units, max });
        }
        let tokens = spec.prompt_tokens.max(spec.cached_tokens).max(spec.output_tokens.unwrap_or(0));
        if tokens > MAX_TOKENS {
            return Err(SubmitError::LimitExceeded { limit: Limit::Tokens, max: MAX_TOKENS });
        }
        Ok(())
    }

    /// The limit that some number of units exceeds: a dimension that the config does not name has none.
    #[inline]
    pub(super) fn units_beyond(&self, units: &Resources) -> Option<u64> {
        // Nearly always there is none: found without asking what each dimension may have, a cycle takes 40 instructions less.
        let unnamed = &units.as_array()[self.config.dimensions.len()..];
        if units.as_array().iter().fold(0, |all, units| all | units) < MAX_UNITS
            && unnamed.iter().all(|&units| units == 0)
        {
            return None;
        }
        let max = |d: usize| if d < self.config.dimensions.len() { MAX_UNITS } else { 0 };
        (0..MAX_DIMENSIONS).find(|&d| units[d] > max(d)).map(max)
    }

    /// Refuses what no pool that it names can ever serve: by what the one it prefers has.
    #[inline(always)]
    pub(super) fn check_fits(&self, spec: &RequestSpec) -> Result<(), SubmitError> {
        let refused = self.check_fits_in(spec.pool, spec);
        let fits_elsewhere = || spec.other_pools.iter().any(|&pool| self.check_fits_in(pool, spec).is_ok());
        if refused.is_err() && fits_elsewhere() { Ok(()) } else { refused }
    }

    /// Refuses what no worker that was ever added to a pool, or no share that the tier may use of all of
    /// them, can hold. A pool without workers takes everything: they may come.
    #[inline(always)]
    fn check_fits_in(&self, pool: PoolId, spec: &RequestSpec) -> Result<(), SubmitError> {
        let of = self.pool(pool);
        // Nearly all fit at present; what there ever was need not be asked then.
        if of.shapes.iter().any(|shape| spec.demand.fits(shape))
            && spec.demand.fits(&of.capacity.ceiling(spec.tier, spec.yielding == Yielding::Never))
        {
            return Ok(());
        }
        self.check_ever_fits_in(pool, spec)
    }

    #[inline(never)]
    fn check_ever_fits_in(&self, pool: PoolId, spec: &RequestSpec) -> Result<(), SubmitError> {
        let pool = self.pool(pool);
        let never_yields = spec.yielding == Yielding::Never;
        let [ever, now] = [&pool.configured, &pool.capacity].map(|of| of.ceiling(spec.tier, never_yields));
        // Rounded up, the shares of the others may leave less of more.
        let ceiling = ever.max(now);
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

    /// Refuses a newcomer when a queue is full, or names the less urgent ones to drop for it.
    pub(super) fn make_room(&self, spec: &RequestSpec) -> Result<Vec<u32>, SubmitError> {
        self.check_tier_limits(spec)?;
        self.check_tenant_limits(spec)?;
        let (tokens, config) = (spec.queue_tokens(), &self.config);
        let limits = QueueLimits { requests: config.queue_limit, tokens: config.queue_token_limit };
        let refused = match limits.admit(QueueScope::Total, self.waiting, tokens) {
            Ok(()) => return Ok(Vec::new()),
            Err(refused) => refused,
        };
        let mut left = self.waiting;
        self.never_ran[spec.tier.index() + 1..].iter().for_each(|below| left.subtract_all(below.sum));
        if !config.displace || limits.admit(QueueScope::Total, left, tokens).is_err() {
            return Err(refused);
        }
        let mut left = self.waiting;
        let mut displaced = Vec::new();
        for slot in self.displaceable(spec.tier) {
            left.subtract(self.requests[slot].spec.queue_tokens());
            displaced.push(slot);
            if limits.admit(QueueScope::Total, left, tokens).is_ok() {
                return Ok(displaced);
            }
        }
        Err(refused)
    }

    /// Whether one more like this may wait beside the others of its tenant, and of those above it.
    fn check_tenant_limits(&self, spec: &RequestSpec) -> Result<(), SubmitError> {
        let (tokens, config) = (spec.queue_tokens(), &self.config);
        let limits = [config.tenant_queue_limit, config.tenant_queue_token_limit];
        if limits == [None; 2] && !self.tenants.limit_queues() {
            return Ok(());
        }
        for (above, node) in self.quota.path(self.tenants[spec.tenant].node).enumerate() {
            let id = self.tenants.of_node(node);
            let policy = self.tenants.policy(&self.tenants[id]);
            // The config's are for those who submit.
            let own = |own: Option<u64>, all: Option<u64>| own.or(all.filter(|_| above == 0));
            let requests = own(policy.queue_limit, config.tenant_queue_limit);
            let limits = QueueLimits {
                requests,
                tokens: own(policy.queue_token_limit, config.tenant_queue_token_limit),
            };
            limits.admit(QueueScope::Tenant(id), self.tenants.waiting_at(node), tokens)?;
        }
        Ok(())
    }

    /// Whether one more like this may wait in its tier.
    #[inline]
    pub(super) fn check_tier_limits(&self, spec: &RequestSpec) -> Result<(), SubmitError> {
        let tier = &self.config.tiers[spec.tier.index()];
        let limits = QueueLimits { requests: tier.queue_limit, tokens: tier.queue_token_limit };
        let waiting = self.waiting_by_tier[spec.tier.index()];
        limits.admit(QueueScope::Tier(spec.tier), waiting, spec.queue_tokens())
    }

    /// The waiting requests of less urgent tiers that have never run, in the order in which they are dropped: of
    /// the least urgent tier first, the newest first.
    fn displaceable(&self, tier: Tier) -> impl Iterator<Item = u32> + use<'_> {
        let below = self.never_ran[tier.index() + 1..].iter().rev();
        below.flat_map(|never_ran| never_ran.arrivals.newest_first(&self.requests))
    }

    /// Ends a waiting request, and tells the host.
    pub(super) fn drop_waiting(&mut self, slot: u32, reason: Reason) {
        let request = self.requests.id(slot);
        self.end(slot, Ending::Dropped);
        self.say(Action::Drop { request, reason });
    }
}
