//! One bucket of a quota: exact integers, so that nothing drifts however often it is looked at.
//!
//! State: a level, which may be overdrawn, and the fraction of a unit that has come since. Decides whether a need is
//! covered, and the exact nanosecond at which it will be; knows neither nodes nor what its units are. O(1).
//! Part of QUO-1 (what is taken in any window is at most `burst + rate * window` and what came back in it).
//! The formula is that of `docs/QUOTA.md`, section 2.

use core::num::NonZeroU64;

use crate::tenant::{MAX_BURST, Rate};
use crate::time::Instant;

/// Whether a bucket has enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    /// It has.
    Now,
    /// Not yet: from the instant on, if only time passes; `None` if time alone does not help.
    Later(Option<Instant>),
    /// It can never have as much.
    Never,
}

/// Units that come evenly and are saved up to a burst.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Bucket {
    amount: u64,
    period: NonZeroU64,
    burst: u64,
    /// At most the burst; below zero it is a debt.
    level: i64,
    /// What of a unit has come beyond the level, in parts of the period; 0 at the burst.
    rem: u64,
    /// Until when what came is counted.
    at: Instant,
}

impl Bucket {
    /// One that has nothing at `now`. The rate has passed
    /// [`validate`](crate::tenant::TenantPolicy::validate).
    pub(crate) fn empty(rate: Rate, now: Instant) -> Self {
        let period = NonZeroU64::new(rate.period_ns).expect("a rate is validated");
        assert!(rate.burst <= MAX_BURST, "a rate is validated");
        Self { amount: rate.amount, period, burst: rate.burst, level: 0, rem: 0, at: now }
    }

    /// One that is full at `now`.
    pub(crate) fn full(rate: Rate, now: Instant) -> Self {
        let bucket = Self::empty(rate, now);
        Self { level: bucket.full_level(), ..bucket }
    }

    pub(crate) fn rate(&self) -> Rate {
        Rate { amount: self.amount, period_ns: self.period.get(), burst: self.burst }
    }

    /// What it had when it was last refilled.
    pub(crate) fn level(&self) -> i64 {
        self.level
    }

    pub(crate) fn is_full(&self) -> bool {
        self.level == self.full_level()
    }

    /// Lets in what came until `now`. A clock that stands or goes back brings nothing.
    #[inline]
    pub(crate) fn refill(&mut self, now: Instant) {
        let dt = now.nanos_since(self.at);
        if dt == 0 {
            return;
        }
        self.at = now;
        if self.is_full() {
            return;
        }
        let (add, rem) = self.comes_in(dt);
        let space = self.full_level().abs_diff(self.level);
        if add >= u128::from(space) {
            self.level = self.full_level();
            self.rem = 0;
        } else {
            self.level = self.level.wrapping_add_unsigned(add as u64);
            self.rem = rem;
        }
    }

    /// The units that come in a time, and the parts of a further one.
    fn comes_in(&self, dt: u64) -> (u128, u64) {
        // Nearly always it fits a word: a division of two is ten times as dear.
        if let Some(n) = dt.checked_mul(self.amount).and_then(|n| n.checked_add(self.rem)) {
            return ((n / self.period).into(), n % self.period);
        }
        // The largest sum there is, (2^64 - 1)^2 + 2^64 - 1, is below 2^128.
        let n = u128::from(dt) * u128::from(self.amount) + u128::from(self.rem);
        let period = u128::from(self.period.get());
        (n / period, (n % period) as u64)
    }

    /// Whether it covers `need` beside `ahead` even without what came since it was last refilled.
    #[inline]
    pub(crate) fn covers_already(&self, need: u64, ahead: u64) -> bool {
        need <= self.burst
            && need.checked_add(ahead).is_some_and(|sum| self.level >= 0 && self.level as u64 >= sum)
    }

    /// What is more than it [covers already](Self::covers_already), beside nothing.
    #[inline]
    pub(crate) fn covers_below(&self) -> u64 {
        // It has at most its burst, and what is below -1 covers as little.
        (self.level.max(-1) + 1) as u64
    }

    /// As it is at `now`.
    pub(crate) fn refilled(&self, now: Instant) -> Self {
        let mut bucket = self.clone();
        bucket.refill(now);
        bucket
    }

    /// Whether it covers `need` at `now` beside `ahead`, which will be taken before it. What is larger than the
    /// burst is covered by nothing but a full bucket, and that only if `when_full`.
    pub(crate) fn cover(&self, now: Instant, need: u64, ahead: u64, when_full: bool) -> Cover {
        if need > self.burst && !when_full {
            return Cover::Never;
        }
        let bucket = self.refilled(now);
        let least = i128::from(need.min(self.burst)) + i128::from(ahead);
        if i128::from(bucket.level) >= least { Cover::Now } else { Cover::Later(bucket.reaches(least)) }
    }

    /// The first instant at which this level has come, if it does on this clock.
    fn reaches(&self, level: i128) -> Option<Instant> {
        let amount = u128::from(self.amount);
        if amount == 0 {
            return None;
        }
        let missing = u128::try_from(level - i128::from(self.level)).ok()?;
        let parts = missing.checked_mul(u128::from(self.period.get()))? - u128::from(self.rem);
        let dt = u64::try_from(parts.div_ceil(amount)).ok()?;
        self.at.as_nanos().checked_add(dt).map(Instant::from_nanos)
    }

    /// Takes units, into debt where it has fewer. `None`, and nothing taken, if the debt would not fit a word.
    #[must_use]
    #[inline]
    pub(crate) fn take(&mut self, now: Instant, units: u64) -> Option<()> {
        self.refill(now);
        self.level = self.level.checked_sub_unsigned(units)?;
        Some(())
    }

    /// Puts units back, as far as the burst has room for them.
    #[inline]
    pub(crate) fn put(&mut self, now: Instant, units: u64) {
        self.refill(now);
        let kept = units.min(self.full_level().abs_diff(self.level));
        self.level = self.level.wrapping_add_unsigned(kept);
        if self.is_full() {
            self.rem = 0;
        }
    }

    /// Changes the rate from `now` on. The level stays, as far as the new burst has room for it; of the fraction
    /// of a unit stays what the new period can tell, rounded down.
    pub(crate) fn set_rate(&mut self, now: Instant, rate: Rate) {
        self.refill(now);
        let next = Self::empty(rate, self.at);
        let rem = u128::from(self.rem) * u128::from(next.period.get()) / u128::from(self.period.get());
        let level = self.level.min(next.full_level());
        *self = Self { level, rem: rem as u64, ..next };
        if self.is_full() {
            self.rem = 0;
        }
    }

    fn full_level(&self) -> i64 {
        self.burst as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    const fn rate(amount: u64, period_ns: u64, burst: u64) -> Rate {
        Rate { amount, period_ns, burst }
    }

    #[test]
    fn allowed_exactly_at_the_instant_and_not_before() {
        let mut bucket = Bucket::full(rate(3, 7, 5), at(0));
        bucket.take(at(0), 5).unwrap();
        // 3 units in 7 ns: the fourth is whole after 9.33 ns.
        assert_eq!(bucket.cover(at(0), 4, 0, false), Cover::Later(Some(at(10))));
        assert_eq!(bucket.cover(at(9), 4, 0, false), Cover::Later(Some(at(10))));
        assert_eq!(bucket.cover(at(10), 4, 0, false), Cover::Now);
        bucket.take(at(10), 4).unwrap();
        assert_eq!(bucket.cover(at(10), 1, 0, false), Cover::Later(Some(at(12))), "2 parts of 7 were left");
    }

    #[test]
    fn a_full_bucket_saves_no_fraction() {
        let mut bucket = Bucket::full(rate(2, 3, 4), at(0));
        bucket.take(at(0), 1).unwrap();
        bucket.refill(at(2));
        assert!(bucket.is_full(), "a unit and a third have come, there is room for one");
        bucket.take(at(2), 4).unwrap();
        assert_eq!(bucket.refilled(at(3)).level(), 0, "the third is gone");
        bucket.refill(at(3));
        bucket.put(at(3), 4);
        bucket.take(at(3), 4).unwrap();
        assert_eq!(bucket.refilled(at(4)).level(), 0, "what is put back fills it as well");
    }

    #[test]
    fn what_never_comes_has_no_instant() {
        let mut bucket = Bucket::full(rate(0, 1, 5), at(0));
        bucket.take(at(0), 5).unwrap();
        assert_eq!(bucket.cover(at(u64::MAX), 1, 0, false), Cover::Later(None));
        let mut slow = Bucket::full(rate(1, u64::MAX, 1), at(1));
        slow.take(at(1), 1).unwrap();
        assert_eq!(slow.cover(at(1), 1, 0, false), Cover::Later(None), "1 ns after the last there is");
        let mut slow = Bucket::full(rate(1, u64::MAX, 1), at(0));
        slow.take(at(0), 1).unwrap();
        assert_eq!(slow.cover(at(0), 1, 0, false), Cover::Later(Some(at(u64::MAX))));
    }

    #[test]
    fn more_than_a_burst_starts_at_a_full_bucket_or_never() {
        let mut bucket = Bucket::full(rate(1, 1, 5), at(0));
        assert_eq!(bucket.cover(at(0), 6, 0, false), Cover::Never);
        assert_eq!(bucket.cover(at(0), 6, 0, true), Cover::Now);
        bucket.take(at(0), 8).unwrap();
        assert_eq!(bucket.cover(at(0), 6, 0, true), Cover::Later(Some(at(8))));
        assert_eq!(bucket.cover(at(0), 0, 0, true), Cover::Later(Some(at(3))), "what owes is closed to all");
    }
}
