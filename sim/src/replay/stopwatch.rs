//! How much of the wall time a replay spends inside the scheduler, by timing a sample of the calls.

use std::time::{Duration, Instant};

/// One call in so many is timed. A prime, so as not to fall in step with the replay's own rhythm.
const PERIOD: u32 = 17;

/// A sample beyond this is not counted: calls take well under a tenth of it, and the machine was given to
/// somebody else meanwhile, which would count [`PERIOD`] times.
const INTERRUPTED: Duration = Duration::from_micros(500);

/// Times every [`PERIOD`]th call and assumes the others to be like it.
#[derive(Clone, Debug)]
pub(super) struct Stopwatch {
    until_sample: u32,
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
        Self { until_sample: PERIOD, sampled: Duration::ZERO, overhead, began: Instant::now() }
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
        let took = before.elapsed().saturating_sub(self.overhead);
        if took < INTERRUPTED {
            self.sampled += took;
        }
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
