//! What a host says of a request, and the states a request goes through.

use core::time::Duration;

use crate::id::{PoolId, TenantId, Tier};
use crate::resources::Resources;
use crate::time::{Instant, nanos};

/// What the engine can do with a request that has to yield.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Yielding {
    /// Throw away what was computed, and compute it again later.
    #[default]
    Restart = 0,
    /// Keep what was computed, and go on from there later.
    Checkpoint = 1,
    /// Nothing: once started it runs to its end.
    Never = 2,
}

/// How many pools a request may name. Chosen arbitrarily: kinds of GPU, dedicated and shared.
pub const MAX_POOLS_PER_REQUEST: usize = 4;

/// The pools that can serve a request besides the one it prefers, in order of preference: at most three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub struct OtherPools {
    pools: [PoolId; MAX_POOLS_PER_REQUEST - 1],
    count: u8,
}

impl OtherPools {
    /// None.
    pub const NONE: Self = Self { pools: [PoolId::new(0); MAX_POOLS_PER_REQUEST - 1], count: 0 };

    /// These; `None` if they are too many.
    #[must_use]
    pub fn new(pools: &[PoolId]) -> Option<Self> {
        let mut others = Self { count: u8::try_from(pools.len()).ok()?, ..Self::NONE };
        others.pools.get_mut(..pools.len())?.copy_from_slice(pools);
        Some(others)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl core::ops::Deref for OtherPools {
    type Target = [PoolId];

    fn deref(&self) -> &[PoolId] {
        &self.pools[..usize::from(self.count)]
    }
}

/// A request as the host submits it.
///
/// ```
/// # use tidegate::{RequestSpec, TenantId, Tier};
/// # let tenant = TenantId::new(0);
/// RequestSpec::new(tenant, Tier::P0).demand([1, 40]).prompt_tokens(512).output_tokens(256);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
pub struct RequestSpec {
    /// Who asks.
    pub tenant: TenantId,
    /// How urgent it is.
    pub tier: Tier,
    /// The workers that can serve it, or those it prefers.
    pub pool: PoolId,
    /// Others that can, in order of preference.
    pub other_pools: OtherPools,
    /// Units it takes when it starts, in the order of the config's dimensions.
    pub demand: Resources,
    /// Units it is expected to take when it is largest; at least `demand`.
    pub peak: Resources,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// How many of them an engine has in its cache, if that is known; at most `prompt_tokens`.
    pub cached_tokens: u64,
    /// Tokens it is expected to generate, if the host has an idea.
    pub output_tokens: Option<u64>,
    /// What the engine can do when it has to yield.
    pub yielding: Yielding,
    /// When its answer is wanted. It orders a tier (`Deadline`, `HybridDeadline`); nothing is dropped for it.
    pub deadline: Option<Instant>,
    /// How long it may wait for its first start, in nanoseconds; `None` takes the tier's.
    pub queue_timeout_ns: Option<u64>,
    /// Anything the host wants to find again; never read.
    pub tag: u64,
}

impl RequestSpec {
    /// A request of `tenant` in `tier`, for the first pool, that asks for nothing yet.
    pub const fn new(tenant: TenantId, tier: Tier) -> Self {
        Self {
            tenant,
            tier,
            pool: PoolId::new(0),
            other_pools: OtherPools::NONE,
            demand: Resources::ZERO,
            peak: Resources::ZERO,
            prompt_tokens: 0,
            cached_tokens: 0,
            output_tokens: None,
            yielding: Yielding::Restart,
            deadline: None,
            queue_timeout_ns: None,
            tag: 0,
        }
    }

    /// Sets the pool; no other can serve it.
    pub const fn pool(mut self, pool: PoolId) -> Self {
        (self.pool, self.other_pools) = (pool, OtherPools::NONE);
        self
    }

    /// Sets the pools that can serve it, one to four, in order of preference. It starts in the first where it can at once;
    /// else it waits in the first that can hold it. One that is named again says nothing.
    pub fn pools<const N: usize>(mut self, pools: [PoolId; N]) -> Self {
        const { assert!(N >= 1 && N <= MAX_POOLS_PER_REQUEST, "one to four pools") };
        let (first, others) = pools.split_first().expect("there is one");
        (self.pool, self.other_pools) = (*first, OtherPools::new(others).expect("not too many"));
        self
    }

    /// The pools that can serve it, in order of preference.
    pub(crate) fn all_pools(&self) -> impl Iterator<Item = PoolId> + use<> {
        let OtherPools { pools, count } = self.other_pools;
        core::iter::once(self.pool).chain(pools.into_iter().take(usize::from(count)))
    }

    /// Forgets what is named again.
    pub(crate) fn name_each_pool_once(&mut self) {
        if self.other_pools.is_empty() {
            return;
        }
        let named = self.other_pools;
        self.other_pools = OtherPools::NONE;
        for &pool in named.iter() {
            if !self.all_pools().any(|other| other == pool) {
                self.other_pools.pools[usize::from(self.other_pools.count)] = pool;
                self.other_pools.count += 1;
            }
        }
    }

    /// Exchanges the first pool and another, by its number from 1: twice is as before.
    pub(crate) fn exchange(&mut self, other: usize) {
        if other > 0 {
            core::mem::swap(&mut self.pool, &mut self.other_pools.pools[other - 1]);
        }
    }

    /// Sets the units taken at the start, in the order of the config's dimensions.
    pub fn demand(mut self, units: impl Into<Resources>) -> Self {
        self.demand = units.into();
        self
    }

    /// Sets the units expected at the peak.
    pub fn peak(mut self, units: impl Into<Resources>) -> Self {
        self.peak = units.into();
        self
    }

    /// Sets the tokens of the prompt.
    pub const fn prompt_tokens(mut self, tokens: u64) -> Self {
        self.prompt_tokens = tokens;
        self
    }

    /// Sets how many tokens of the prompt are cached already.
    pub const fn cached_tokens(mut self, tokens: u64) -> Self {
        self.cached_tokens = tokens;
        self
    }

    /// Sets the tokens it is expected to generate.
    pub const fn output_tokens(mut self, tokens: u64) -> Self {
        self.output_tokens = Some(tokens);
        self
    }

    /// Sets what the engine can do when it has to yield.
    pub const fn yielding(mut self, yielding: Yielding) -> Self {
        self.yielding = yielding;
        self
    }

    /// Sets when its answer is wanted.
    pub const fn deadline(mut self, at: Instant) -> Self {
        self.deadline = Some(at);
        self
    }

    /// Sets how long it may wait for its first start.
    pub fn queue_timeout(mut self, span: Duration) -> Self {
        self.queue_timeout_ns = Some(nanos(span));
        self
    }

    /// Sets the host's own number.
    pub const fn tag(mut self, tag: u64) -> Self {
        self.tag = tag;
        self
    }

    /// Prompt and expected output tokens: what counts against the limits of queues.
    pub(crate) fn queue_tokens(&self) -> u64 {
        self.prompt_tokens + self.output_tokens.unwrap_or(0)
    }
}

/// What a request used, as the host reports it at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the prompt that the engine found in its cache.
    pub cached_tokens: u64,
    /// Tokens generated.
    pub output_tokens: u64,
}

/// Where a live request stands.
///
/// `Queued -> Starting -> Running -> (Preempting -> Queued)*`, and out by `complete`, `failed`, `cancel`
/// or an [`Action`](crate::Action) that ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub enum RequestState {
    /// It waits for a start.
    Queued,
    /// It waits, and no worker that is up could hold it.
    Parked,
    /// `Start` was given, and the engine has not reported yet.
    Starting,
    /// The engine runs it.
    Running,
    /// `Preempt` was given; its units count as used until the engine reports it stopped.
    Preempting,
    /// It stopped, and its units are still to be released.
    Releasing,
    /// `Abort` was given; its units count as used until the engine reports it stopped.
    Aborting,
}

impl core::fmt::Display for RequestState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Parked => "parked",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Preempting => "preempting",
            Self::Releasing => "releasing",
            Self::Aborting => "aborting",
        })
    }
}
