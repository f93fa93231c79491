//! How much computing the requests bring that arrive: what places and memory do not say.
//!
//! Decides how many workers that takes, and will take. Two things count, the larger is it:
//!
//! - What all bring that count, on the mean of a minute. What it will be follows the rule by which the scheduler tells what
//!   tiers will want: the most of the last two spans, and the growth of the mean from one to the next.
//! - What the first tier brings in its busiest second, which is how long its first tokens may take. No start is quick enough for
//!   a burst of seconds: those of the last hour are taken to come again.
//!
//! A host reads the same off its counters of tokens. Knows nothing of who waits: what came and is not done yet is not in it.

use std::collections::VecDeque;

/// How far levels are apart, as the scheduler's samples.
const STEP_NS: u64 = 10_000_000_000;
/// A level is the mean of so many steps: shorter bursts wait for one another, and need no worker of their own.
const MEAN_STEPS: usize = 6;
/// How long a burst may take, and for how many steps it is remembered: an hour, the longest window in which Kubernetes'
/// horizontal pod autoscaler remembers.
const BURST_NS: u64 = 1_000_000_000;
const BURST_STEPS: u64 = 360;
/// The part of its time that a worker is to be busy at most.
const BUSY: f64 = 0.8;

/// What came lately, as time of a full worker.
#[derive(Debug, Default)]
pub(super) struct Effort {
    /// By step from the beginning, in nanoseconds.
    steps: Vec<u128>,
    /// The first tier's present second, and what came in it.
    second: (u64, u128),
    /// Steps and their busiest second, those left out after which a busier one came: the busiest that is remembered is first.
    bursts: VecDeque<(u64, u128)>,
}

impl Effort {
    /// At `now` a request of this tier comes that takes so many nanoseconds of a full worker.
    pub(super) fn note(&mut self, now: u64, tier: u8, cost_ns: u128) {
        if tier == 0 {
            self.note_burst(now, cost_ns);
        }
        let step = step_of(now);
        if step >= self.steps.len() {
            self.steps.resize(step + 1, 0);
        }
        self.steps[step] += cost_ns;
    }

    fn note_burst(&mut self, now: u64, cost_ns: u128) {
        let second = now / BURST_NS;
        if second != self.second.0 {
            self.second = (second, 0);
        }
        self.second.1 += cost_ns;
        let (step, burst) = (now / STEP_NS, self.second.1);
        while self.bursts.back().is_some_and(|&(_, other)| other <= burst) {
            self.bursts.pop_back();
        }
        self.bursts.push_back((step, burst));
        while self.bursts.front().is_some_and(|&(first, _)| first + BURST_STEPS < step) {
            self.bursts.pop_front();
        }
    }

    /// Workers that the first tier's busiest second of the last hour keeps busy.
    pub(super) fn burst(&self, now: u64) -> f64 {
        let kept = |&&(step, _): &&(u64, u128)| step + BURST_STEPS >= now / STEP_NS;
        self.bursts.iter().find(kept).map_or(0.0, |&(_, burst)| burst as f64 / BURST_NS as f64)
    }

    /// Workers that what came in the last minute keeps busy.
    pub(super) fn level(&self, now: u64) -> f64 {
        self.before(step_of(now))
    }

    /// Workers that what comes will keep busy within so many nanoseconds. `None` if it was not watched for as long.
    pub(super) fn forecast(&self, now: u64, ahead_ns: u64) -> Option<f64> {
        if ahead_ns == 0 {
            return Some(self.level(now));
        }
        let (known, span) = (step_of(now), ahead_ns.div_ceil(STEP_NS) as usize);
        if known < span {
            return None;
        }
        let first = known.saturating_sub(2 * span);
        let levels: Vec<f64> = (first + 1..=known).map(|end| self.before(end)).collect();
        let burst = self.burst(now);
        let peak = levels.iter().copied().fold(0.0, f64::max);
        if levels.len() < 2 * span {
            return Some(peak.max(burst));
        }
        let (former, later) = levels.split_at(span);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        Some((peak + (mean(later) - mean(former)).max(0.0)).max(burst))
    }

    /// The level of the steps before this one.
    fn before(&self, end: usize) -> f64 {
        let first = end.saturating_sub(MEAN_STEPS);
        let sum: u128 = (first..end).filter_map(|step| self.steps.get(step)).sum();
        sum as f64 / ((end - first).max(1) as f64 * STEP_NS as f64) / BUSY
    }
}

fn step_of(at: u64) -> usize {
    (at / STEP_NS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_NS: u64 = 60_000_000_000;

    /// So many tenths of a worker, step by step.
    fn tenths(all: impl IntoIterator<Item = u128>) -> Effort {
        let mut effort = Effort::default();
        for (step, tenths) in (0..).zip(all) {
            effort.note(step * STEP_NS, 1, tenths * u128::from(STEP_NS) / 10);
        }
        effort
    }

    #[test]
    fn the_most_of_two_spans_counts_and_what_grows_goes_on() {
        let fell = tenths([16; 6].into_iter().chain([8; 30]));
        let told = |steps: u64| fell.forecast(steps * STEP_NS, MINUTE_NS).expect("watched for a minute");
        // It is whole at the sixth step, and remembered at the eleven after it.
        assert!((told(17) - 2.0).abs() < 1e-9, "the level of a minute is kept for two: {}", told(17));
        assert!((told(18) - 11.0 / 6.0).abs() < 1e-9, "and goes as it came: {}", told(18));
        assert!((told(24) - 1.0).abs() < 1e-9, "{}", told(24));
        assert!((fell.level(2 * MINUTE_NS) - 1.0).abs() < 1e-9);
        assert_eq!(fell.forecast(MINUTE_NS - 1, MINUTE_NS), None, "not watched for as long");
        // By 0.8 of a worker a minute, of which each is busy for 0.8 of its time: a worker more a minute.
        let grows = tenths((0..60).map(|step| 8 * step / 6));
        let now = 9 * MINUTE_NS;
        let ahead = grows.forecast(now, MINUTE_NS).expect("watched") - grows.level(now);
        assert!((ahead - 1.0).abs() < 0.05, "{ahead}");
    }

    #[test]
    fn a_burst_of_the_first_tier_is_remembered_for_an_hour() {
        let mut effort = tenths([8; 6]);
        let at = 2 * MINUTE_NS;
        let told = |effort: &Effort, at: u64| effort.forecast(at, MINUTE_NS).expect("watched for a minute");
        let second = u128::from(BURST_NS);
        effort.note(at, 0, 3 * second);
        effort.note(at + BURST_NS - 1, 0, 4 * second);
        effort.note(at + BURST_NS, 0, 2 * second);
        assert!((told(&effort, at) - 7.0).abs() < 1e-9, "both came within a second");
        let hour = 60 * MINUTE_NS;
        assert!((told(&effort, at + hour) - 7.0).abs() < 1e-9);
        effort.note(at + hour, 0, 5 * second);
        assert!((told(&effort, at + hour + STEP_NS) - 5.0).abs() < 1e-9, "the other is forgotten");
    }
}
