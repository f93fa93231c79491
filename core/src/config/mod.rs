//! The description of a scheduler: tiers, pools, dimensions, limits. Immutable and validated by
//! [`ConfigBuilder::build`], which reports all faults at once, each with the path of its field.

mod affinity;
mod build;
mod flaps;
mod lease;
#[cfg(any(feature = "json", feature = "toml"))]
mod text;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

pub use affinity::Affinity;
pub use build::ConfigBuilder;
pub(crate) use build::is_name;
pub(crate) use flaps::Flaps;
pub use lease::{Fallback, LeaseTerms};

use crate::id::{PoolId, Tier};
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::share::{Ppm, Reserve, Rounding};
use crate::tenant::TenantPolicy;
use crate::time::nanos;

/// The most tiers a config may have.
pub const MAX_TIERS: usize = 8;
/// The most pools a config may have.
pub const MAX_POOLS: usize = 1 << 10;
/// The pool of a config that names none.
const DEFAULT_POOL: &str = "default";
/// The most that one token may cost.
pub const MAX_TOKEN_COST: u32 = 1 << 10;
/// The most blocks of prompts whose places are known: 2^24, so that their numbers fit 32 bits; chosen arbitrarily.
pub const MAX_PREFIX_BLOCKS: u32 = 1 << 24;
/// The most bytes of a name (dimension, tier, pool, tenant).
pub const MAX_NAME_BYTES: usize = 255;

/// Whom a tier's waiting requests may stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub enum Preemption {
    /// Requests of less urgent tiers (Kubernetes calls it `PreemptLowerPriority`).
    #[default]
    LowerTier,
    /// Nobody.
    Never,
    /// Requests of any other tier that uses more than its reserve; only for requests within their own.
    AnyBorrower,
}

impl Preemption {
    /// Whether requests of `asker` may stop those of `other`, as far as their tiers go.
    pub(crate) fn reaches(self, asker: Tier, other: Tier) -> bool {
        match self {
            Self::LowerTier => other > asker,
            Self::Never => false,
            Self::AnyBorrower => other != asker,
        }
    }
}

/// In which order the waiting requests of a tier are offered a start. Those that have run come first, in the
/// order of arrival; ties go by arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Tenant by tenant, whoever was served least first (VTC, OSDI'24); by arrival within a tenant.
    #[default]
    Fair,
    /// Like `Fair`, but with what was served counted in whole [quanta](TierConfig::deficit_quantum), and the longest
    /// cached prompts first among tenants that are even so, and within a tenant: trades fairness for cache hits (DLPM).
    DeficitLongestPrefix,
    /// By arrival.
    Fifo,
    /// By deadline; those without one last.
    Deadline,
    /// By expected cost: uncached prompt tokens, and twice the expected output tokens (unknown: none).
    ShortestFirst,
    /// By deadline and [`TierConfig::deadline_token_weight`] for each uncached prompt token; those that cannot
    /// make it any more behind all others (Niyama, ASPLOS'26).
    HybridDeadline,
}

/// What tokens of each kind cost a tenant in the order of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenCosts {
    pub(crate) input: u32,
    pub(crate) cached: u32,
    pub(crate) output: u32,
}

impl TokenCosts {
    /// What a request costs with so many prompt tokens, cached among them, and output tokens.
    pub(crate) fn of(&self, prompt: u64, cached: u64, output: u64) -> u64 {
        let cached = cached.min(prompt);
        // Beyond all measure they are all alike.
        let cost = |tokens: u64, each: u32| tokens.saturating_mul(u64::from(each));
        let prompt = cost(prompt - cached, self.input).saturating_add(cost(cached, self.cached));
        prompt.saturating_add(cost(output, self.output))
    }
}

/// A linear model of how long one step of an engine takes, from the host's own measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StepTime {
    pub(crate) base_ns: u64,
    pub(crate) prompt_token_ns: u64,
    pub(crate) decode_ns: u64,
    /// For each [`CONTEXT_UNIT`] tokens, as below.
    pub(crate) decode_context_ns: u64,
    pub(crate) prompt_context_ns: u64,
}

/// Tokens of context for which a step-time model has a time: one takes about a tenth of a nanosecond.
pub(crate) const CONTEXT_UNIT: u64 = 1_024;

impl StepTime {
    /// A step takes `base`, `prompt_token` for each prompt token computed in it, and `decode` for each request
    /// that generates a token in it.
    #[must_use]
    pub fn new(base: Duration, prompt_token: Duration, decode: Duration) -> Self {
        Self {
            base_ns: nanos(base),
            prompt_token_ns: nanos(prompt_token),
            decode_ns: nanos(decode),
            decode_context_ns: 0,
            prompt_context_ns: 0,
        }
    }

    /// And so long for each 1,024 tokens that requests which generate a token in it have in the KV cache, and that
    /// prompts have of which it computes a part. Only step plans look at them. Default: no time.
    #[must_use]
    pub fn contexts(mut self, decode: Duration, prompt: Duration) -> Self {
        (self.decode_context_ns, self.prompt_context_ns) = (nanos(decode), nanos(prompt));
        self
    }

    /// Nanoseconds of a request that generates a token, with so many tokens in the KV cache.
    pub(crate) fn decode_takes(&self, context: u64) -> u64 {
        self.decode_ns.saturating_add(context_takes(context, self.decode_context_ns))
    }

    /// Nanoseconds of a part of a prompt, besides its tokens, with so many in the KV cache before.
    pub(crate) fn prompt_context_takes(&self, context: u64) -> u64 {
        context_takes(context, self.prompt_context_ns)
    }
}

fn context_takes(tokens: u64, unit_ns: u64) -> u64 {
    let takes = u128::from(tokens) * u128::from(unit_ns) / u128::from(CONTEXT_UNIT);
    u64::try_from(takes).unwrap_or(u64::MAX)
}

/// Which of the workers that fit gets a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Placement {
    /// The fullest, so that large requests find empty ones.
    #[default]
    Pack,
    /// The emptiest, so that all engines run small batches.
    Spread,
    /// The one that has least to compute for it, since it has the prompt in its cache, and is not too full; the emptiest
    /// where none has it. [`Affinity`] says more.
    PrefixAffinity,
}

/// What a tier is guaranteed of one pool, where that is something else than of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolReserve {
    pub(crate) share: Option<Ppm>,
    pub(crate) dimensions: [Option<Reserve>; MAX_DIMENSIONS],
}

/// One tier: what it is guaranteed, what it lends, how long its requests may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct TierConfig {
    pub(crate) name: Box<str>,
    pub(crate) reserve: Ppm,
    /// Where a dimension has a reserve of its own.
    pub(crate) reserve_in: [Option<Reserve>; MAX_DIMENSIONS],
    /// Where a pool has, in the order of the pools.
    pub(crate) reserve_in_pools: Vec<(PoolId, PoolReserve)>,
    pub(crate) lendable: Ppm,
    pub(crate) borrow_limit: Option<Resources>,
    pub(crate) rounding: Rounding,
    pub(crate) hold_window_ns: u64,
    pub(crate) preemption: Preemption,
    /// `None` is the default: `LowerTier` for tier 0, `Never` for the others.
    pub(crate) preempt_while_borrowing: Option<Preemption>,
    pub(crate) preemption_budget: Option<u32>,
    pub(crate) order: Order,
    pub(crate) deficit_quantum: u64,
    pub(crate) deadline_token_weight_ns: u64,
    pub(crate) age_after_ns: Option<u64>,
    pub(crate) prefill_share: Ppm,
    pub(crate) token_objective_ns: Option<u64>,
    pub(crate) queue_limit: Option<u64>,
    pub(crate) queue_token_limit: Option<u64>,
    pub(crate) queue_timeout_ns: Option<u64>,
}

impl TierConfig {
    /// A tier without a reserve, which may borrow all that nobody holds and waits as long as it takes.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into().into_boxed_str(),
            reserve: Ppm::ZERO,
            reserve_in: [None; MAX_DIMENSIONS],
            reserve_in_pools: Vec::new(),
            lendable: Ppm::ONE,
            borrow_limit: None,
            rounding: Rounding::Ceil,
            hold_window_ns: nanos(Duration::from_secs(30)),
            preemption: Preemption::LowerTier,
            preempt_while_borrowing: None,
            preemption_budget: None,
            order: Order::Fair,
            deficit_quantum: 8_192,
            deadline_token_weight_ns: nanos(Duration::from_millis(8)),
            age_after_ns: None,
            prefill_share: Ppm::new(250_000),
            token_objective_ns: None,
            queue_limit: None,
            queue_token_limit: None,
            queue_timeout_ns: None,
        }
    }

    /// Guarantees the tier this share of every dimension of every pool, in parts per million.
    pub fn reserve_ppm(mut self, ppm: u32) -> Self {
        self.reserve = Ppm::new(ppm);
        self
    }

    /// Guarantees the tier this much of one dimension, counted in the order of the config, instead of its share.
    ///
    /// # Panics
    /// If there can be no such dimension (there are at most four).
    pub fn reserve_in(mut self, dimension: usize, reserve: Reserve) -> Self {
        self.reserve_in[dimension] = Some(reserve);
        self
    }

    /// Guarantees the tier this share of every dimension of one pool, counted in the order of the config, in parts per
    /// million: instead of what it is guaranteed of all pools.
    pub fn reserve_ppm_in_pool(mut self, pool: PoolId, ppm: u32) -> Self {
        self.reserve_in_pool_mut(pool).share = Some(Ppm::new(ppm));
        self
    }

    /// Guarantees the tier this much of one dimension of one pool, both counted in the order of the config: instead of its
    /// share of that pool, or of what it is guaranteed of all.
    ///
    /// # Panics
    /// If there can be no such dimension (there are at most four).
    pub fn reserve_in_pool(mut self, pool: PoolId, dimension: usize, reserve: Reserve) -> Self {
        self.reserve_in_pool_mut(pool).dimensions[dimension] = Some(reserve);
        self
    }

    fn reserve_in_pool_mut(&mut self, pool: PoolId) -> &mut PoolReserve {
        let known = self.reserve_in_pools.binary_search_by_key(&pool, |&(other, _)| other);
        let place = known.unwrap_or_else(|place| {
            self.reserve_in_pools.insert(place, (pool, PoolReserve::default()));
            place
        });
        &mut self.reserve_in_pools[place].1
    }

    /// Lends out at most this share of the reserve while it is idle, in parts per million. Default: all.
    pub fn lendable_ppm(mut self, ppm: u32) -> Self {
        self.lendable = Ppm::new(ppm);
        self
    }

    /// Lets the tier use at most this much beyond its reserve. Default: no limit.
    pub fn borrow_limit(mut self, units: impl Into<Resources>) -> Self {
        self.borrow_limit = Some(units.into());
        self
    }

    /// What becomes of a fraction of a unit of the reserve. Default: up.
    pub fn rounding(mut self, rounding: Rounding) -> Self {
        self.rounding = rounding;
        self
    }

    /// Keeps the tier's recent peak from being lent for this long; zero keeps only its present need.
    /// Default: 30 s.
    pub fn hold_window(mut self, span: Duration) -> Self {
        self.hold_window_ns = nanos(span);
        self
    }

    /// Whom the tier may stop when it is within its reserve. Default: requests of less urgent tiers.
    pub fn preemption(mut self, preemption: Preemption) -> Self {
        self.preemption = preemption;
        self
    }

    /// Whom the tier may stop when it is beyond its reserve. Default: `LowerTier` for tier 0, else nobody.
    pub fn preempt_while_borrowing(mut self, preemption: Preemption) -> Self {
        self.preempt_while_borrowing = Some(preemption);
        self
    }

    /// Lets the tier stop at most this many requests a second; at least 1. A larger set has to wait until
    /// nothing is owed. Default: no limit.
    pub fn preemption_budget(mut self, per_second: u32) -> Self {
        self.preemption_budget = Some(per_second);
        self
    }

    /// In which order its requests are offered a start. Default: `Fair`.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How much cost a tenant may be served ahead of the others under `DeficitLongestPrefix`, at least 1: with more,
    /// more prompts find their cache. Default: 8,192, chosen arbitrarily.
    pub fn deficit_quantum(mut self, cost: u64) -> Self {
        self.deficit_quantum = cost;
        self
    }

    /// What each uncached prompt token adds to the deadline under `HybridDeadline`. Default: 8 ms (Niyama's).
    pub fn deadline_token_weight(mut self, span: Duration) -> Self {
        self.deadline_token_weight_ns = nanos(span);
        self
    }

    /// Lets a waiting request of the tier climb one tier each time this span has passed since it arrived: when what
    /// nobody holds is lent, it stands right behind that tier's own. It gets no guarantee and no right to preempt.
    /// Default: never.
    pub fn age_after(mut self, span: Duration) -> Self {
        self.age_after_ns = Some(nanos(span));
        self
    }

    /// Plans at most this share of a step for the tier's prompts while a more urgent tier waits or computes
    /// prompts, in parts per million. Default: 250,000.
    pub fn prefill_share_ppm(mut self, ppm: u32) -> Self {
        self.prefill_share = Ppm::new(ppm);
        self
    }

    /// The longest that its running requests should wait from one token to the next; steps are planned to keep
    /// it where there is a step-time model. Default: none.
    pub fn token_objective(mut self, span: Duration) -> Self {
        self.token_objective_ns = Some(nanos(span));
        self
    }

    /// Lets at most this many requests of the tier wait. Default: no limit.
    pub fn queue_limit(mut self, requests: u64) -> Self {
        self.queue_limit = Some(requests);
        self
    }

    /// Lets requests of the tier wait with at most this many prompt and expected output tokens together.
    /// Default: no limit.
    pub fn queue_token_limit(mut self, tokens: u64) -> Self {
        self.queue_token_limit = Some(tokens);
        self
    }

    /// Drops a request of the tier that waited this long for its first start, unless the request says
    /// otherwise. Default: never.
    pub fn queue_timeout(mut self, span: Duration) -> Self {
        self.queue_timeout_ns = Some(nanos(span));
        self
    }

    /// What the tier is guaranteed of a dimension of a pool: what is said of both, of the pool, of the dimension, or of all.
    pub(crate) fn reserve_of(&self, pool: PoolId, dimension: usize) -> Reserve {
        let of_pool = self.reserve_in_pools.iter().find(|&&(other, _)| other == pool);
        let in_pool =
            of_pool.and_then(|(_, own)| own.dimensions[dimension].or_else(|| own.share.map(Reserve::Share)));
        in_pool.or(self.reserve_in[dimension]).unwrap_or(Reserve::Share(self.reserve))
    }

    /// What the tier asks for of a dimension of a pool of which there are `total` units, in parts per million.
    pub(crate) fn asked_ppm(&self, pool: PoolId, dimension: usize, total: u64) -> u64 {
        match self.reserve_of(pool, dimension) {
            Reserve::Share(share) => share.get().into(),
            Reserve::Units(units) => (units.min(total) * 1_000_000).checked_div(total).unwrap_or(0),
        }
    }

    /// The tier's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A validated config. Build it with [`Config::builder`], or read it from text (features `toml`, `json`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(crate) dimensions: Vec<Box<str>>,
    pub(crate) tiers: Vec<TierConfig>,
    pub(crate) pools: Vec<Box<str>>,
    pub(crate) placement: Placement,
    pub(crate) affinity: Affinity,
    pub(crate) min_run_ns: u64,
    pub(crate) max_preemptions: u32,
    pub(crate) confirm_after_ns: u64,
    pub(crate) max_bypass: u32,
    pub(crate) drain_after_ns: u64,
    pub(crate) decline_backoff_ns: u64,
    pub(crate) flaps: Flaps,
    /// 0: never.
    pub(crate) rebalance_every_ns: u64,
    pub(crate) step_time: Option<StepTime>,
    pub(crate) stop_takes_ns: u64,
    pub(crate) swap_token_ns: u64,
    pub(crate) checkpoint_kib_per_token: u32,
    pub(crate) max_step_ns: u64,
    pub(crate) queue_limit: Option<u64>,
    pub(crate) queue_token_limit: Option<u64>,
    pub(crate) tenant_queue_limit: Option<u64>,
    pub(crate) tenant_queue_token_limit: Option<u64>,
    pub(crate) displace: bool,
    pub(crate) token_costs: TokenCosts,
    pub(crate) predict_output: bool,
    pub(crate) leases: LeaseTerms,
    pub(crate) max_tenants: u32,
    pub(crate) default_policy: TenantPolicy,
    pub(crate) hold_timeout_ns: u64,
}

impl Config {
    /// A builder without dimensions or tiers and with one pool, `default`.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// The names of the dimensions, in order.
    pub fn dimensions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.dimensions.iter().map(|name| &**name)
    }

    /// The tiers, the most urgent first.
    pub fn tiers(&self) -> &[TierConfig] {
        &self.tiers
    }

    /// The names of the pools, in order.
    pub fn pools(&self) -> impl ExactSizeIterator<Item = &str> {
        self.pools.iter().map(|name| &**name)
    }

    /// The tier of this name.
    #[must_use]
    pub fn tier(&self, name: &str) -> Option<Tier> {
        let index = self.tiers.iter().position(|tier| &*tier.name == name)?;
        u8::try_from(index).ok().map(Tier::new)
    }

    /// The pool of this name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<PoolId> {
        let index = self.pools.iter().position(|pool| &**pool == name)?;
        u32::try_from(index).ok().map(PoolId::new)
    }

    /// How many tenants it may know.
    #[must_use]
    pub fn max_tenants(&self) -> u32 {
        self.max_tenants
    }

    /// What a tenant may do that nobody has configured.
    pub const fn default_policy(&self) -> &TenantPolicy {
        &self.default_policy
    }

    /// How prompts find caches, if they do.
    pub(crate) fn affinity(&self) -> Option<&Affinity> {
        (self.placement == Placement::PrefixAffinity).then_some(&self.affinity)
    }

    pub(crate) fn preempt_while_borrowing(&self, tier: Tier) -> Preemption {
        let default = if tier == Tier::P0 { Preemption::LowerTier } else { Preemption::Never };
        self.tiers[tier.index()].preempt_while_borrowing.unwrap_or(default)
    }

    /// By tier, whether any other may ever stop its requests.
    pub(crate) fn stoppable_tiers(&self) -> Vec<bool> {
        let tiers = (0..self.tiers.len() as u8).map(Tier::new);
        let reached = |other: Tier, asker: Tier| {
            let whom = [self.tiers[asker.index()].preemption, self.preempt_while_borrowing(asker)];
            whom.iter().any(|whom| whom.reaches(asker, other))
        };
        tiers.clone().map(|other| tiers.clone().any(|asker| reached(other, asker))).collect()
    }
}
