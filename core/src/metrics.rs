//! What is counted of a queue, one tier in one pool: what became of its requests, and how long they waited for a start,
//! for their first token, and for each further one.
//!
//! State: counters and histograms that only grow. Everything costs O(1), a few additions of integers. Knows durations and
//! what they are of; neither requests nor clocks. Decides nothing: no action depends on it.

use crate::event::Reason;
use crate::request::Usage;

/// What the first bucket of a histogram ends with: finer than any step of an engine.
const FIRST_BOUND_NS: u64 = 125_000;
/// How many buckets have an end. The last is at 70 minutes, beyond every usual timeout.
const BOUNDS: usize = 50;
/// The buckets, and one without end, in rows of a length that serde has for arrays.
const ROWS: usize = 3;
const ROW: usize = (BOUNDS + 1) / ROWS;

/// Durations by how long they are, in buckets of which each second one ends at twice the length.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Histogram {
    counts: [[u64; ROW]; ROWS],
    sum_ns: u128,
}

impl Histogram {
    pub(crate) fn note(&mut self, nanos: u64) {
        self.counts.as_flattened_mut()[bucket(nanos)] += 1;
        self.sum_ns += u128::from(nanos);
    }

    /// How many are at most as long as the end of each bucket in nanoseconds, and at last, without an end, all.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let ends = (0..BOUNDS).map(|bucket| Some(bound_ns(bucket))).chain([None]);
        ends.zip(self.counts.as_flattened().iter().scan(0, |sum, &count| {
            *sum += count;
            Some(*sum)
        }))
    }

    pub(crate) const fn sum_ns(&self) -> u128 {
        self.sum_ns
    }
}

/// The first bucket whose end is not below.
fn bucket(nanos: u64) -> usize {
    let units = nanos.saturating_sub(1) / FIRST_BOUND_NS;
    let place = match units.checked_ilog2() {
        None => 0,
        Some(0) => 1,
        Some(bits) => 2 * bits as usize + (units >> (bits - 1) & 1) as usize,
    };
    place.min(BOUNDS)
}

/// The end of a bucket: 1, 2, 3, 4, 6, 8, 12, 16 ... times the first.
const fn bound_ns(bucket: usize) -> u64 {
    FIRST_BOUND_NS
        * match bucket {
            0 => 1,
            odd if odd % 2 == 1 => 1 << odd.div_ceil(2),
            even => 3 << (even / 2 - 1),
        }
}

/// Why a request was not accepted, as far as its tier and its pool are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It asks for something that is never.
    Never,
    QueueFull,
    OverQuota,
    /// No quota will ever allow it, or its tenant may not use the tier.
    NotAllowed,
}

impl Refused {
    pub(crate) const ALL: [Self; 4] = [Self::Never, Self::QueueFull, Self::OverQuota, Self::NotAllowed];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never-fits",
            Self::QueueFull => "queue-full",
            Self::OverQuota => "over-quota",
            Self::NotAllowed => "not-allowed",
        }
    }
}

/// Reasons to start.
pub(crate) const STARTS: [Reason; 3] = [Reason::Guaranteed, Reason::Borrowed, Reason::Reclaimed];
/// Reasons to stop and go on later.
pub(crate) const STOPS: [Reason; 4] =
    [Reason::Reclaim, Reason::Urgent, Reason::OutOfMemory, Reason::Rebalance];

/// What is counted of one queue.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct QueueMetrics {
    pub(crate) submitted: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) dropped: u64,
    /// By [`Refused`].
    refused: [u64; Refused::ALL.len()],
    /// By [`STARTS`], further ones of the same request included.
    starts: [u64; STARTS.len()],
    /// By [`STOPS`].
    stops: [u64; STOPS.len()],
    pub(crate) prompt_tokens: u64,
    pub(crate) cached_tokens: u64,
    pub(crate) output_tokens: u64,
    /// Tokens of context that have to be computed again.
    pub(crate) lost_tokens: u64,
    /// From submission to the first start.
    pub(crate) queue_delay: Histogram,
    /// From submission to the first report of a token.
    pub(crate) first_token: Histogram,
    /// For each token after those of the first report, in the mean of a request that completed.
    pub(crate) further_token: Histogram,
}

impl QueueMetrics {
    pub(crate) fn refuse(&mut self, why: Refused) {
        self.refused[why as usize] += 1;
    }

    pub(crate) fn start(&mut self, reason: Reason) {
        count(&STARTS, &mut self.starts, reason);
    }

    pub(crate) fn stop(&mut self, reason: Reason) {
        count(&STOPS, &mut self.stops, reason);
    }

    /// A request has ended and used this.
    pub(crate) fn use_tokens(&mut self, used: &Usage) {
        let Usage { prompt_tokens, cached_tokens, output_tokens } = *used;
        self.prompt_tokens = self.prompt_tokens.saturating_add(prompt_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(output_tokens);
    }

    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refused::ALL.into_iter().map(Refused::as_str).zip(self.refused)
    }

    pub(crate) fn starts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        STARTS.into_iter().map(Reason::as_str).zip(self.starts)
    }

    pub(crate) fn stops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        STOPS.into_iter().map(Reason::as_str).zip(self.stops)
    }
}

/// Counts one more for a reason of a list.
fn count(reasons: &[Reason], counts: &mut [u64], reason: Reason) {
    if let Some(place) = reasons.iter().position(|&other| other == reason) {
        counts[place] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_does_not_end_before_it() {
        let bounds: [u64; BOUNDS] = core::array::from_fn(bound_ns);
        assert!(bounds.is_sorted_by(|one, next| one < next && next <= &(2 * one)));
        assert_eq!(bounds[..6].iter().map(|ns| ns / 125_000).sum::<u64>(), 1 + 2 + 3 + 4 + 6 + 8);
        for (place, &bound) in bounds.iter().enumerate() {
            assert_eq!(bucket(bound), place, "{bound} is at most {bound}");
            assert_eq!(bucket(bound + 1), place + 1);
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BOUNDS));
    }

    #[test]
    fn all_are_counted_at_the_end_and_the_sum_is_exact() {
        let mut histogram = Histogram::default();
        let times = [0, 1, 125_000, 125_001, 7_000_000, u64::MAX, u64::MAX];
        times.into_iter().for_each(|nanos| histogram.note(nanos));
        let all: alloc::vec::Vec<_> = histogram.cumulative().collect();
        assert_eq!(all.len(), BOUNDS + 1);
        assert_eq!((all[0], all[1], all[BOUNDS]), ((Some(125_000), 3), (Some(250_000), 4), (None, 7)));
        assert_eq!(histogram.sum_ns(), times.into_iter().map(u128::from).sum());
    }
}
