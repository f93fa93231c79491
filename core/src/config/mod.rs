//! The description of a scheduler: tiers, pools, dimensions, limits. Immutable and validated by
//! [`ConfigBuilder::build`], which reports all faults at once, each with the path of its field.

mod build;
#[cfg(feature = "toml")]
mod text;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

pub(crate) use build::is_name;
pub use build::{ConfigBuilder, ConfigError, ConfigFault};

use crate::id::{PoolId, Tier};
use crate::resources::Resources;
use crate::share::{Ppm, Rounding};
use crate::time::nanos;

/// The most tiers a config may have.
pub const MAX_TIERS: usize = 8;
/// The most pools a config may have.
pub const MAX_POOLS: usize = 1 << 10;
/// The most bytes of a name (dimension, tier, pool, tenant).
pub const MAX_NAME_BYTES: usize = 255;

/// Whom a tier's waiting requests may stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preemption {
    /// Requests of less urgent tiers (Kubernetes calls it `PreemptLowerPriority`).
    #[default]
    LowerTier,
    /// Nobody.
    Never,
}

/// Which of the workers that fit gets a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Placement {
    /// The fullest, so that large requests find empty ones.
    #[default]
    Pack,
    /// The emptiest, so that all engines run small batches.
    Spread,
}

/// One tier: what it is guaranteed, what it lends, how long its requests may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct TierConfig {
    pub(crate) name: Box<str>,
    pub(crate) reserve: Ppm,
    pub(crate) lendable: Ppm,
    pub(crate) borrow_limit: Option<Resources>,
    pub(crate) rounding: Rounding,
    pub(crate) hold_window_ns: u64,
    pub(crate) preemption: Preemption,
    /// `None` is the default: `LowerTier` for tier 0, `Never` for the others.
    pub(crate) preempt_while_borrowing: Option<Preemption>,
    pub(crate) queue_limit: Option<u64>,
    pub(crate) queue_timeout_ns: Option<u64>,
}

impl TierConfig {
    /// A tier without a reserve, which may borrow all that nobody holds and waits as long as it takes.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into().into_boxed_str(),
            reserve: Ppm::ZERO,
            lendable: Ppm::ONE,
            borrow_limit: None,
            rounding: Rounding::Ceil,
            hold_window_ns: nanos(Duration::from_secs(30)),
            preemption: Preemption::LowerTier,
            preempt_while_borrowing: None,
            queue_limit: None,
            queue_timeout_ns: None,
        }
    }

    /// Guarantees the tier this share of every dimension of every pool, in parts per million.
    pub fn reserve_ppm(mut self, ppm: u32) -> Self {
        self.reserve = Ppm::new(ppm);
        self
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

    /// Lets at most this many requests of the tier wait. Default: no limit.
    pub fn queue_limit(mut self, requests: u64) -> Self {
        self.queue_limit = Some(requests);
        self
    }

    /// Drops a request of the tier that waited this long for its first start, unless the request says
    /// otherwise. Default: never.
    pub fn queue_timeout(mut self, span: Duration) -> Self {
        self.queue_timeout_ns = Some(nanos(span));
        self
    }

    /// The tier's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A validated config. Build it with [`Config::builder`], or read it from TOML (feature `toml`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(crate) dimensions: Vec<Box<str>>,
    pub(crate) tiers: Vec<TierConfig>,
    pub(crate) pools: Vec<Box<str>>,
    pub(crate) placement: Placement,
    pub(crate) min_run_ns: u64,
    pub(crate) max_preemptions: u32,
    pub(crate) confirm_after_ns: u64,
    pub(crate) max_bypass: u32,
    pub(crate) drain_after_ns: u64,
    pub(crate) decline_backoff_ns: u64,
    pub(crate) queue_limit: Option<u64>,
    pub(crate) tenant_queue_limit: Option<u64>,
    pub(crate) displace: bool,
    pub(crate) max_tenants: u32,
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

    pub(crate) fn preempt_while_borrowing(&self, tier: Tier) -> Preemption {
        let default = if tier == Tier::P0 { Preemption::LowerTier } else { Preemption::Never };
        self.tiers[tier.index()].preempt_while_borrowing.unwrap_or(default)
    }
}
