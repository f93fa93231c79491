//! How the replicas of one budget get their parts of it, and what one does whose store is silent.

use core::time::Duration;

use crate::time::nanos;

/// What a replica does with a leased limit when the store does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Fallback {
    /// It lends itself its part of the rate: the rate by the number of replicas.
    #[default]
    LocalShare = 0,
    /// It uses up what it was granted, and then starts nothing.
    Deny = 1,
    /// It starts whatever comes.
    Open = 2,
}

/// How leased limits are asked for; the same in all replicas.
///
/// ```
/// # use tidegate::{Fallback, LeaseTerms};
/// # use core::time::Duration;
/// LeaseTerms::new(4).ask_again_after(Duration::from_millis(500)).fallback(Fallback::Deny);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
pub struct LeaseTerms {
    pub(crate) replicas: u32,
    pub(crate) ask_again_after_ns: u64,
    pub(crate) fallback_after_ns: u64,
    pub(crate) fallback: Fallback,
}

impl LeaseTerms {
    /// One budget for that many replicas. With more than there are, less is kept ahead and lent; with
    /// fewer, more than half a burst may lie idle, and more than the rate be lent.
    pub fn new(replicas: u32) -> Self {
        Self {
            replicas,
            ask_again_after_ns: nanos(Duration::from_secs(1)),
            fallback_after_ns: nanos(Duration::from_secs(3)),
            fallback: Fallback::LocalShare,
        }
    }

    /// Sets how long an answer is waited for before the same is asked again. Default: 1 s, hundreds of round trips
    /// of a store that is well.
    pub fn ask_again_after(mut self, span: Duration) -> Self {
        self.ask_again_after_ns = nanos(span);
        self
    }

    /// Sets how long after the first asking the store counts as silent. Default: 3 s, so that one lost message is
    /// no outage.
    pub fn fallback_after(mut self, span: Duration) -> Self {
        self.fallback_after_ns = nanos(span);
        self
    }

    /// Sets what is done while the store is silent. Default: [`Fallback::LocalShare`].
    pub const fn fallback(mut self, fallback: Fallback) -> Self {
        self.fallback = fallback;
        self
    }
}
