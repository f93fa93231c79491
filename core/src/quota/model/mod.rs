//! The room against a naive model of itself: one number in parts of a period for a bucket, a list of what is open
//! for the books (`tree`), and a search through time for the instant at which something is allowed.

mod tree;

use proptest::prelude::*;

use super::bucket::{Bucket, Cover};
use crate::tenant::{MAX_BURST, Rate};
use crate::time::Instant;

/// Units in parts of the period, all in one number.
#[derive(Clone, Copy, Debug)]
struct NaiveBucket {
    rate: Rate,
    parts: i128,
    at: u64,
}

impl NaiveBucket {
    fn full(rate: Rate, at: u64) -> Self {
        let mut bucket = Self { rate, parts: 0, at };
        bucket.parts = bucket.cap();
        bucket
    }

    fn cap(&self) -> i128 {
        self.parts_of(i128::from(self.rate.burst))
    }

    fn parts_of(&self, units: i128) -> i128 {
        units.wrapping_mul(i128::from(self.rate.period_ns))
    }

    fn level(&self) -> i128 {
        self.parts.div_euclid(i128::from(self.rate.period_ns))
    }

    fn advance(&mut self, now: u64) {
        let came = u128::from(now.saturating_sub(self.at)) * u128::from(self.rate.amount);
        self.at = self.at.max(now);
        self.parts = self.parts.wrapping_add_unsigned(came.min(self.cap().abs_diff(self.parts)));
    }

    fn advanced(mut self, now: u64) -> Self {
        self.advance(now);
        self
    }

    /// No more than there is room for; the sum fits, even if what is added does not.
    fn add(&mut self, units: i128) {
        self.parts = self.parts.wrapping_add(self.parts_of(units));
        self.parts = self.parts.min(self.cap());
    }

    fn set_rate(&mut self, rate: Rate) {
        let (level, old) = (self.level(), i128::from(self.rate.period_ns));
        let rem = (self.parts - self.parts_of(level)) as u128 * u128::from(rate.period_ns) / old as u128;
        self.rate = rate;
        self.parts = (self.parts_of(level) + rem as i128).min(self.cap());
    }

    /// The first instant from `now` on at which it has so many units.
    fn first_with(&self, units: i128, now: u64) -> Option<u64> {
        let enough = |at| self.advanced(at).level() >= units;
        let (mut low, mut high) = (now, u64::MAX);
        if !enough(high) {
            return None;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if enough(middle) { high = middle } else { low = middle + 1 }
        }
        Some(low)
    }

    fn cover(&self, now: u64, need: u64, ahead: u64, when_full: bool) -> Cover {
        if need > self.rate.burst && !when_full {
            return Cover::Never;
        }
        // Those ahead take theirs as it comes: as if the burst had room for it.
        let mut roomy = self.advanced(now);
        roomy.rate.burst += ahead;
        let units = i128::from(need.min(self.rate.burst)) + i128::from(ahead);
        match roomy.first_with(units, now.max(self.at)) {
            Some(at) if at <= now.max(self.at) => Cover::Now,
            at => Cover::Later(at.map(Instant::from_nanos)),
        }
    }
}

fn number(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(most), 2..100_u64.min(most), 0..=10_000_000_u64.min(most), 0..=most,]
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let period = prop_oneof![Just(60_000_000_000), 1..100_u64, number(u64::MAX).prop_map(|n| n.max(1))];
    (number(u64::MAX), period, number(MAX_BURST)).prop_map(|(amount, period_ns, burst)| Rate {
        amount,
        period_ns,
        burst,
    })
}

/// A clock that runs, stands, goes back and jumps.
fn later(now: u64, (kind, by): (u8, u64)) -> u64 {
    match kind {
        0 => now,
        1 => now.saturating_sub(by),
        2 => by,
        3 => now.saturating_add(by % 100),
        _ => now.saturating_add(by % 10_000_000_000),
    }
}

fn tick() -> impl Strategy<Value = (u8, u64)> {
    (0_u8..12, number(u64::MAX))
}

proptest! {
    #[test]
    fn a_bucket_is_one_exact_number(
        rate in any_rate(),
        steps in prop::collection::vec((tick(), 0_u8..6, number(u64::MAX), number(1 << 50), any_rate()), 1..60),
    ) {
        let at = Instant::from_nanos;
        let mut bucket = Bucket::full(rate, Instant::ZERO);
        let (mut naive, mut now) = (NaiveBucket::full(rate, 0), 0);
        for (tick, verb, units, ahead, rate) in steps {
            now = later(now, tick);
            if verb < 4 {
                naive.advance(now);
            }
            match verb {
                0 => bucket.refill(at(now)),
                1 => match bucket.take(at(now), units) {
                    Some(()) => naive.add(-i128::from(units)),
                    None => prop_assert!(naive.level() - i128::from(units) < i128::from(i64::MIN)),
                },
                2 => {
                    bucket.put(at(now), units);
                    let room = i128::from(naive.rate.burst) - naive.level();
                    naive.add(i128::from(units).min(room));
                }
                3 => {
                    bucket.set_rate(at(now), rate);
                    naive.set_rate(rate);
                }
                _ => {
                    let when_full = verb == 4;
                    let answer = bucket.cover(at(now), units, 0, when_full);
                    prop_assert_eq!(answer, naive.cover(now, units, 0, when_full));
                    if let Cover::Later(Some(then)) = answer {
                        let before = at(then.as_nanos() - 1);
                        prop_assert_eq!(bucket.cover(then, units, 0, when_full), Cover::Now);
                        prop_assert_eq!(bucket.cover(before, units, 0, when_full), answer);
                    }
                    let answer = bucket.cover(at(now), units, ahead, when_full);
                    prop_assert_eq!(answer, naive.cover(now, units, ahead, when_full));
                }
            }
            prop_assert_eq!(i128::from(bucket.refilled(at(now)).level()), naive.advanced(now).level());
        }
    }

    #[test]
    fn an_hour_at_seven_million_a_minute(gaps in prop::collection::vec(0..4_000_000_000_u64, 2_000)) {
        let (burst, hour) = (500_000, 3_600_000_000_000);
        let mut bucket = Bucket::full(Rate::per_minute(7_000_000).burst(burst), Instant::ZERO);
        let (mut admitted, mut now) = (0, 0);
        let mut gaps = gaps.into_iter().cycle();
        while now < hour {
            let at = Instant::from_nanos(now);
            let level = bucket.refilled(at).level().unsigned_abs();
            prop_assert_eq!(bucket.cover(at, level, 0, false), Cover::Now);
            if level < burst {
                prop_assert_ne!(bucket.cover(at, level + 1, 0, false), Cover::Now);
            }
            bucket.take(at, level).expect("it has them");
            admitted += level;
            now = hour.min(now + gaps.next().expect("it goes round"));
        }
        let end = Instant::from_nanos(hour);
        let rest = bucket.refilled(end).level().unsigned_abs();
        prop_assert_eq!(admitted + rest, 420_000_000 + burst);
        prop_assert_ne!(bucket.cover(end, rest + 1, 0, false), Cover::Now);
    }
}
