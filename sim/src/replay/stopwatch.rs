//! How much of the wall time a replay spends inside the scheduler, by timing a sample of the calls.

use std::time::{Duration, Instant};

/// One call in so many is timed. A prime, so as not to fall in step with the replay's own rhythm.
const PERIOD: u32 = 61;

/// Times every [`PERIOD`]th call and assumes the others to be like it.
#[derive(Clone, Debug)]
pub(super) struct Stopwatch {
    until_sample: u32,
    samples: u64,
    sampled: Duration,
    /// What reading the clock twice takes.
    overhead: Duration,
    began: Instant,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        let mut overhead = Duration::MAX;
        for _ in 0..64 {
            let before = Instant::now();
            overhead = overhead.min(before.elapsed());
        }
        Self {
            until_sample: PERIOD,
            samples: 0,
            sampled: Duration::ZERO,
            overhead,
            began: Instant::now(),
        }
    }

    #[inline]
    pub(super) fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        self.until_sample -= 1;
        if self.until_sample > 0 {
            return call();
        }
        self.until_sample = PERIOD;
        let before = Instant::now();
        let answer = call();
        self.sampled += before.elapsed().saturating_sub(self.overhead);
        self.samples += 1;
        answer
    }

    pub(super) fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    /// The share of `wall` spent in the calls, from 0 to 1.
    pub(super) fn share(&self, wall: Duration) -> f64 {
        let spent = self.sampled.as_secs_f64() * f64::from(PERIOD);
        (spent / wall.as_secs_f64().max(f64::MIN_POSITIVE)).min(1.0)
    }
}
