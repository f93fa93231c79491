//! How much of a pool a tier wants: what it uses and waits for, sampled in even steps, and from that what it will want.
//!
//! State: for each queue the last samples, some 21 minutes. The forecast is the peak over a window, as autoscalers of
//! clusters keep it against scaling down too early, and on top of that what the mean has grown by from one span of the
//! forecast's length to the next: a straight line through the last two. Knows units and instants, neither requests nor
//! workers. To keep a sample costs O(1), to find out what is wanted O(waiting, up to 1,024) for each tier of each pool, once
//! in a step (`gauges`); a forecast O(samples). Decides nothing: no action depends on it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::time::Instant;

/// How far samples are apart: shorter than autoscalers look (15 to 30 s), so that each look finds a new one.
const STEP_NS: u64 = 10_000_000_000;
/// How many are kept: two spans of the longest forecast, and some.
const SAMPLES: usize = 128;
/// The longest forecast: half of what is kept, less a few steps.
const MOST_AHEAD_NS: u64 = 10 * 60 * 1_000_000_000;

/// What all queues wanted lately, by their numbers.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Forecast {
    /// When the next sample is due: steps are counted from the clock's origin.
    due_at: Instant,
    samples: Vec<VecDeque<Resources>>,
}

impl Forecast {
    pub(crate) fn new(queues: usize, now: Instant) -> Self {
        let samples = (0..queues).map(|_| VecDeque::with_capacity(SAMPLES)).collect();
        Self { due_at: step_after(now), samples }
    }

    /// Whether a sample is due.
    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.due_at
    }

    /// At `now` a queue has wanted this since the last call: the sample for every step since then. [`done`](Self::done) is
    /// called when all have been told.
    pub(crate) fn note(&mut self, now: Instant, queue: usize, wanted: Resources) {
        let steps = self.steps_due(now);
        let Some(samples) = self.samples.get_mut(queue) else { return };
        for _ in 0..steps.min(SAMPLES as u64) {
            if samples.len() >= SAMPLES {
                samples.pop_front();
            }
            samples.push_back(wanted);
        }
    }

    /// How many samples are due.
    fn steps_due(&self, now: Instant) -> u64 {
        if self.is_due(now) { now.nanos_since(self.due_at) / STEP_NS + 1 } else { 0 }
    }

    /// The samples up to `now` are taken.
    pub(crate) fn done(&mut self, now: Instant) {
        self.due_at = step_after(now);
    }

    /// What a queue that wants `present` at `now` will want within so many nanoseconds: the most that it wanted in the last
    /// two spans of that length, and what the mean of the later is above that of the former. Steps that are over and not
    /// sampled yet had what there is at present: nobody came. `None` if it has not been watched for one such span, or for
    /// spans of more than 10 minutes.
    pub(crate) fn of(
        &self,
        now: Instant,
        queue: usize,
        present: Resources,
        ahead_ns: u64,
    ) -> Option<Resources> {
        if ahead_ns == 0 {
            return Some(present);
        }
        let samples = self.samples.get(queue)?;
        let span = usize::try_from(ahead_ns.div_ceil(STEP_NS)).ok()?;
        let late = usize::try_from(self.steps_due(now)).map_or(SAMPLES, |steps| steps.min(SAMPLES));
        let known = samples.len() + late;
        if ahead_ns > MOST_AHEAD_NS || known < span {
            return None;
        }
        let latest_first = || core::iter::repeat_n(&present, late).chain(samples.iter().rev());
        let peak = latest_first().take(2 * span).fold(present, |most, &sample| most.max(sample));
        if known < 2 * span {
            return Some(peak);
        }
        let later = mean(latest_first().take(span), span);
        let former = mean(latest_first().skip(span).take(span), span);
        Some(peak + later.saturating_sub(former))
    }
}

fn step_after(now: Instant) -> Instant {
    Instant::from_nanos((now.as_nanos() / STEP_NS).saturating_add(1).saturating_mul(STEP_NS))
}

/// Rounded down. Units of a queue fit 62 bits, their sum over samples may not.
fn mean<'a>(samples: impl Iterator<Item = &'a Resources>, count: usize) -> Resources {
    let mut sums = [0u128; MAX_DIMENSIONS];
    for sample in samples {
        sums.iter_mut().zip(sample.as_array()).for_each(|(sum, &units)| *sum += u128::from(units));
    }
    sums.map(|sum| u64::try_from(sum / count as u128).unwrap_or(u64::MAX)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Before any sample is due.
    const AT: Instant = Instant::ZERO;
    const MINUTE_NS: u64 = 60 * 1_000_000_000;

    fn units(units: u64) -> Resources {
        [units].into()
    }

    /// One queue that wanted these, a step each.
    fn wanted(all: impl IntoIterator<Item = u64>) -> Forecast {
        let mut forecast = Forecast::new(1, Instant::ZERO);
        for (step, want) in (1..).zip(all) {
            let now = Instant::from_nanos(step * STEP_NS);
            assert!(forecast.is_due(now));
            forecast.note(now, 0, units(want));
            forecast.done(now);
            assert!(!forecast.is_due(now));
        }
        forecast
    }

    #[test]
    fn a_line_goes_on_and_a_peak_is_kept_for_two_spans() {
        // From 0 on by 1 a step: in 6 steps it is 6 more than now.
        let line = wanted(0..60);
        assert_eq!(line.of(AT, 0, units(59), MINUTE_NS), Some(units(59 + 6)));
        // What fell is remembered for two spans, and then no more.
        let fell = |after| wanted([9; 12].into_iter().chain(core::iter::repeat_n(2, after)));
        assert_eq!(fell(11).of(AT, 0, units(2), MINUTE_NS), Some(units(9)));
        assert_eq!(fell(12).of(AT, 0, units(2), MINUTE_NS), Some(units(2)));
        // What is wanted now counts at once.
        assert_eq!(fell(12).of(AT, 0, units(30), MINUTE_NS), Some(units(30)));
    }

    #[test]
    fn what_was_not_watched_is_not_told() {
        let young = wanted([4; 5]);
        assert_eq!(young.of(AT, 0, units(4), MINUTE_NS), None);
        assert_eq!(young.of(AT, 0, units(4), 0), Some(units(4)));
        let old = wanted([4; 6]);
        assert_eq!(old.of(AT, 0, units(4), MINUTE_NS), Some(units(4)));
        assert_eq!(old.of(AT, 0, units(4), MINUTE_NS + 1), None, "that span has a step more");
        let full = wanted([4; 2 * SAMPLES]);
        assert_eq!(full.samples[0].len(), SAMPLES);
        assert_eq!(full.of(AT, 0, units(4), MOST_AHEAD_NS), Some(units(4)));
        assert_eq!(full.of(AT, 0, units(4), MOST_AHEAD_NS + 1), None);
        assert_eq!(full.of(AT, 1, units(4), MINUTE_NS), None, "there is no such queue");
    }

    #[test]
    fn a_long_silence_counts_for_every_step_of_it() {
        let mut forecast = wanted([8; 20]);
        let late = Instant::from_nanos(30 * STEP_NS + 1);
        // Also before it is sampled: two spans of 50 s ago it was still 3.
        let asked = |span| forecast.of(late, 0, units(3), span * STEP_NS);
        assert_eq!([asked(5), asked(6)], [Some(units(3)), Some(units(8))]);
        forecast.note(late, 0, units(3));
        forecast.done(late);
        let told: Vec<_> = forecast.samples[0].iter().rev().take(11).map(|sample| sample[0]).collect();
        assert_eq!(told, [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 8]);
        forecast.note(Instant::from_nanos(u64::MAX), 0, units(u64::MAX / 4));
        forecast.done(Instant::from_nanos(u64::MAX));
        assert_eq!(forecast.samples[0].len(), SAMPLES, "the end of time is a bounded number of steps away");
    }
}
