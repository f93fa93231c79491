//! How much of the time a replay spends inside the scheduler, by timing all calls of a sample of the events.
//!
//! Call and event are timed in the same breath, so that the share is right on a busy machine too.

use std::time::{Duration, Instant};

/// One event in so many is timed. A prime, so as not to fall in step with the replay's own rhythm.
const PERIOD: u32 = 61;

/// A sample beyond this is not counted: events take well under a tenth of it, so the machine was given to
/// somebody else meanwhile.
const INTERRUPTED: Duration = Duration::from_micros(500);

/// Times every [`PERIOD`]th event and the calls in it.
#[derive(Clone, Debug)]
pub(super) struct Stopwatch {
    began: Instant,
    until_sample: u32,
    /// When the event that is being timed began.
    event: Option<Instant>,
    /// In that event: the time spent in calls, and how many they were.
    in_calls: Duration,
    calls: u32,
    /// Over all events timed.
    sampled: Duration,
    sampled_in_calls: Duration,
    /// What one reading of the clock takes.
    reading: Duration,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        let mut reading = Duration::MAX;
        for _ in 0..64 {
            let before = Instant::now();
            reading = reading.min(before.elapsed());
        }
        Self {
            began: Instant::now(),
            until_sample: PERIOD,
            event: None,
            in_calls: Duration::ZERO,
            calls: 0,
            sampled: Duration::ZERO,
            sampled_in_calls: Duration::ZERO,
            reading,
        }
    }

    /// One event ends here and the next begins, with the iterations that end silently before it.
    #[inline]
    pub(super) fn next_event(&mut self) {
        if let Some(began) = self.event.take() {
            self.end_sample(began.elapsed());
        }
        self.until_sample -= 1;
        if self.until_sample == 0 {
            self.until_sample = PERIOD;
            self.event = Some(Instant::now());
        }
    }

    /// Whether the present event is timed.
    #[inline]
    pub(super) fn is_running(&self) -> bool {
        self.event.is_some()
    }

    fn end_sample(&mut self, took: Duration) {
        let readings = self.reading * (2 * self.calls + 1);
        if took < INTERRUPTED {
            self.sampled += took.saturating_sub(readings);
            self.sampled_in_calls += self.in_calls;
        }
        (self.in_calls, self.calls) = (Duration::ZERO, 0);
    }

    /// Makes a call whose time counts.
    #[inline]
    pub(super) fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        if self.event.is_none() {
            return call();
        }
        let before = Instant::now();
        let answer = call();
        self.in_calls += before.elapsed().saturating_sub(self.reading);
        self.calls += 1;
        answer
    }

    pub(super) fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    /// The share of the time spent in the calls, from 0 to 1.
    pub(super) fn share(&self) -> f64 {
        let sampled = self.sampled.as_secs_f64().max(f64::MIN_POSITIVE);
        (self.sampled_in_calls.as_secs_f64() / sampled).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_the_calls() {
        let mut watch = Stopwatch::start();
        let spin = |time: Duration| {
            let began = Instant::now();
            while began.elapsed() < time {}
        };
        for _ in 0..40 * PERIOD {
            watch.next_event();
            if watch.event.is_some() {
                watch.time(|| spin(Duration::from_micros(30)));
                spin(Duration::from_micros(10));
            }
        }
        watch.next_event();
        let share = watch.share();
        assert!((0.6..0.9).contains(&share), "{share} is not about three quarters");
    }
}
