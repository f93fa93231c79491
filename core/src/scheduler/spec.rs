//! What a host said of a request, in two parts: what nearly all say, and the rest, kept apart for those of whom it was said.
//!
//! Decides how a [`RequestSpec`] is kept; it is put together again for who asks for all of it. Most requests ask for as much
//! as they take at their peak, name one pool, and leave deadlines and timeouts to their tier: 104 bytes less for each of these.

use crate::id::{PoolId, TenantId, Tier};
use crate::request::{OtherPools, RequestSpec, Yielding};
use crate::resources::Resources;
use crate::time::Instant;

/// Tokens that nobody told: more than any request may have.
const UNTOLD: u64 = u64::MAX;

/// What is said of every request.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShortSpec {
    pub(super) tenant: TenantId,
    pub(super) tier: Tier,
    pub(super) pool: PoolId,
    pub(super) prompt_tokens: u64,
    pub(super) cached_tokens: u64,
    output_tokens: u64,
    pub(super) yielding: Yielding,
    tag: u64,
}

impl ShortSpec {
    /// Nothing yet: of a record that is read before its spec.
    #[cfg(feature = "snapshot")]
    pub(super) fn none() -> Self {
        Self::of(&RequestSpec::new(TenantId::new(0), Tier::P0))
    }

    pub(super) const fn of(spec: &RequestSpec) -> Self {
        let &RequestSpec { tenant, tier, pool, prompt_tokens, cached_tokens, yielding, tag, .. } = spec;
        let output_tokens = match spec.output_tokens {
            Some(tokens) => tokens,
            None => UNTOLD,
        };
        Self { tenant, tier, pool, prompt_tokens, cached_tokens, output_tokens, yielding, tag }
    }

    /// Tokens it is expected to generate.
    #[inline]
    pub(super) fn output_tokens(&self) -> Option<u64> {
        (self.output_tokens != UNTOLD).then_some(self.output_tokens)
    }

    /// Prompt and expected output tokens: what counts against the limits of queues.
    pub(super) fn queue_tokens(&self) -> u64 {
        self.prompt_tokens + self.output_tokens().unwrap_or(0)
    }
}

/// What is not said of most requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpecRest {
    pub(super) demand: Resources,
    pub(super) peak: Resources,
    pub(super) other_pools: OtherPools,
    pub(super) deadline: Option<Instant>,
    queue_timeout_ns: Option<u64>,
}

impl SpecRest {
    /// Of whom nothing is said besides: takes so much, always.
    pub(super) const fn unsaid(demand: Resources) -> Self {
        Self { demand, peak: demand, other_pools: OtherPools::NONE, deadline: None, queue_timeout_ns: None }
    }

    /// Whether a spec says nothing besides, of one that takes so much next.
    #[inline]
    pub(super) fn is_unsaid(spec: &RequestSpec, asks: &Resources) -> bool {
        spec.demand == *asks
            && spec.peak == *asks
            && spec.other_pools.is_empty()
            && spec.deadline.is_none()
            && spec.queue_timeout_ns.is_none()
    }

    pub(super) fn of(spec: &RequestSpec) -> Self {
        let &RequestSpec { demand, peak, other_pools, deadline, queue_timeout_ns, .. } = spec;
        Self { demand, peak, other_pools, deadline, queue_timeout_ns }
    }

    /// All that was said.
    pub(super) fn with(self, short: &ShortSpec) -> RequestSpec {
        let &ShortSpec { tenant, tier, pool, prompt_tokens, cached_tokens, yielding, tag, .. } = short;
        let Self { demand, peak, other_pools, deadline, queue_timeout_ns } = self;
        let output_tokens = short.output_tokens();
        RequestSpec {
            tenant,
            tier,
            pool,
            other_pools,
            demand,
            peak,
            prompt_tokens,
            cached_tokens,
            output_tokens,
            yielding,
            deadline,
            queue_timeout_ns,
            tag,
        }
    }
}
