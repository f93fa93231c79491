//! What a rate of a node lets through: by a bucket of its own, or by what it was granted of one that replicas share.
//!
//! Decides nothing itself: it is one or the other, and becomes the other when its policy says so. O(1).

use alloc::boxed::Box;

use super::bucket::{Bucket, Cover};
use super::lease::Lease;
use crate::config::LeaseTerms;
use crate::tenant::Rate;
use crate::time::Instant;

#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Allowance {
    Own(Bucket),
    /// Boxed: few limits are leased.
    Leased(Box<Lease>),
}

impl Allowance {
    /// Full, or empty if it is leased.
    pub(super) fn new(now: Instant, rate: Rate, leased: Option<LeaseTerms>) -> Self {
        match leased {
            None => Self::Own(Bucket::full(rate, now)),
            Some(terms) => Self::Leased(Box::new(Lease::new(now, rate, terms))),
        }
    }

    /// With another rate, or terms, from `now` on. What is there stays, as far as the new burst has room; but what becomes
    /// leased keeps nothing except what it owes, and is charged for what is `held`: nobody granted that.
    pub(super) fn changed(self, now: Instant, rate: Rate, leased: Option<LeaseTerms>, held: u64) -> Self {
        match (self, leased) {
            (Self::Own(mut bucket), None) => {
                bucket.set_rate(now, rate);
                Self::Own(bucket)
            }
            (Self::Leased(mut lease), Some(terms)) => {
                lease.set(now, rate, terms);
                Self::Leased(lease)
            }
            (Self::Own(bucket), Some(terms)) => {
                let mut lease = Lease::new(now, rate, terms);
                let level = bucket.refilled(now).level();
                lease.charge(now, level.min(0).unsigned_abs());
                lease.charge(now, held);
                Self::Leased(Box::new(lease))
            }
            (Self::Leased(lease), None) => {
                let mut bucket = Bucket::empty(rate, now);
                let level = lease.level(now);
                bucket.put(now, u64::try_from(level.max(0)).unwrap_or(u64::MAX));
                let debt = i64::try_from(-level.min(0)).unwrap_or(i64::MAX);
                bucket.take(now, debt.unsigned_abs()).expect("an empty bucket can owe a word");
                Self::Own(bucket)
            }
        }
    }

    pub(super) fn lease_mut(&mut self) -> Option<&mut Lease> {
        match self {
            Self::Own(_) => None,
            Self::Leased(lease) => Some(lease),
        }
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Own(_) => None,
            Self::Leased(lease) => Some(lease),
        }
    }

    pub(super) fn rate(&self) -> Rate {
        match self {
            Self::Own(bucket) => bucket.rate(),
            Self::Leased(lease) => lease.rate(),
        }
    }

    /// What there is at `now`; below zero, a debt.
    pub(super) fn level(&self, now: Instant) -> i128 {
        match self {
            Self::Own(bucket) => bucket.refilled(now).level().into(),
            Self::Leased(lease) => lease.level(now),
        }
    }

    /// Whether it is as a new one.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        match self {
            Self::Own(bucket) => bucket.refilled(now).is_full(),
            Self::Leased(lease) => lease.is_fresh(now),
        }
    }

    /// Whether there is enough whatever came since it was last looked at: `true` is certain.
    #[inline]
    pub(super) fn covers_already(&self, need: u64, ahead: u64) -> bool {
        match self {
            Self::Own(bucket) => bucket.covers_already(need, ahead),
            Self::Leased(_) => false,
        }
    }

    /// What is more than it covers already.
    #[inline]
    pub(super) fn covers_below(&self) -> u64 {
        match self {
            Self::Own(bucket) => bucket.covers_below(),
            Self::Leased(_) => 0,
        }
    }

    /// Whether there is enough at `now` for `need` beside `ahead`.
    pub(super) fn cover(&self, now: Instant, need: u64, ahead: u64, when_full: bool) -> Cover {
        match self {
            Self::Own(bucket) => bucket.cover(now, need, ahead, when_full),
            Self::Leased(lease) => lease.cover(now, need, ahead, when_full),
        }
    }

    /// Lets in what came until `now`, and says whether so much can be taken or owed then.
    #[inline]
    pub(super) fn bears(&mut self, now: Instant, units: u64) -> bool {
        match self {
            Self::Own(bucket) => {
                bucket.refill(now);
                bucket.level().checked_sub_unsigned(units).is_some()
            }
            Self::Leased(_) => true,
        }
    }

    /// Books what goes through it, and that it [bears](Self::bears).
    #[inline(always)] // most of a flow is zero, and known to be where it is made
    pub(super) fn book(&mut self, now: Instant, flow: &Flow) {
        match self {
            Self::Own(_) if *flow == Flow::default() => {}
            Self::Own(bucket) => {
                if flow.taken + flow.charged > 0 {
                    bucket.take(now, flow.taken + flow.charged).expect("it bears it");
                }
                if flow.put > 0 {
                    bucket.put(now, flow.put);
                }
            }
            Self::Leased(lease) => {
                lease.take(now, flow.taken);
                lease.charge(now, flow.charged);
                lease.put(now, flow.put);
            }
        }
    }
}

/// What goes through the allowance of a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flow {
    /// For a start that it covers.
    pub(super) taken: u64,
    /// Used without that.
    pub(super) charged: u64,
    pub(super) put: u64,
}

impl Flow {
    pub(super) const fn taken(units: u64) -> Self {
        Self { taken: units, charged: 0, put: 0 }
    }

    pub(super) const fn charged(units: u64) -> Self {
        Self { taken: 0, charged: units, put: 0 }
    }

    pub(super) const fn put(units: u64) -> Self {
        Self { taken: 0, charged: 0, put: units }
    }

    /// All that goes out; `None` if it is more than a word holds.
    pub(super) const fn out(&self) -> Option<u64> {
        self.taken.checked_add(self.charged)
    }
}
