//! Percentiles by nearest rank: exact and one of the samples, or, of samples without end, within 1 %.

/// The median, the 99th percentile and the largest of a set of samples; `None` of none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Half of the samples are at most this.
    pub p50: Option<u64>,
    /// 99 of 100 samples are at most this.
    pub p99: Option<u64>,
    /// The largest.
    pub max: Option<u64>,
}

impl Percentiles {
    /// Sorts as far as needed: O(n).
    #[must_use]
    pub fn of(mut samples: Vec<u64>) -> Self {
        Self {
            p50: nearest_rank(&mut samples, 50),
            p99: nearest_rank(&mut samples, 99),
            max: samples.iter().max().copied(),
        }
    }
}

/// The smallest sample that at least `percent` of 100 samples do not exceed.
fn nearest_rank(samples: &mut [u64], percent: usize) -> Option<u64> {
    let rank = (samples.len() * percent).div_ceil(100);
    let index = rank.checked_sub(1)?;
    Some(*samples.select_nth_unstable(index).1)
}

/// Parts of a [`Curve`]: hundredths.
const PARTS: u64 = 100;

/// The smallest sample, each hundredth of the samples, and the largest: 101 values that rise, or none.
pub type Curve = Vec<u64>;

/// Samples, all of them or how many fell into each bin.
#[derive(Clone, Debug)]
pub(crate) enum Samples {
    /// All of them: percentiles are exact.
    All(Vec<u64>),
    /// Bounded memory: percentiles are too large by less than 1 %.
    Binned(Box<Bins>),
}

impl Default for Samples {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Samples {
    /// Of so many samples all are kept.
    pub(crate) fn with_capacity(samples: usize) -> Self {
        Self::All(Vec::with_capacity(samples))
    }

    /// However many there will be, the memory is the same.
    pub(crate) fn binned() -> Self {
        Self::Binned(Box::default())
    }

    #[inline]
    pub(crate) fn push(&mut self, sample: u64) {
        match self {
            Self::All(samples) => samples.push(sample),
            Self::Binned(bins) => bins.push(sample),
        }
    }

    /// O(n log n) of all, O(bins) of binned ones.
    pub(crate) fn curve(&self) -> Curve {
        match self {
            Self::All(samples) => {
                let mut samples = samples.clone();
                samples.sort_unstable();
                let Some(last) = samples.len().checked_sub(1) else { return Curve::new() };
                let rank = |part: u64| (samples.len() as u64 * part).div_ceil(PARTS) as usize;
                (0..=PARTS).map(|part| samples[rank(part).saturating_sub(1).min(last)]).collect()
            }
            Self::Binned(bins) if bins.count == 0 => Curve::new(),
            Self::Binned(bins) => {
                (0..=PARTS).map(|part| bins.at_rank((bins.count * part).div_ceil(PARTS).max(1))).collect()
            }
        }
    }

    pub(crate) fn percentiles(self) -> Percentiles {
        match self {
            Self::All(samples) => Percentiles::of(samples),
            Self::Binned(bins) if bins.count == 0 => Percentiles::default(),
            Self::Binned(bins) => {
                let at = |percent: u64| Some(bins.at_rank((bins.count * percent).div_ceil(100)));
                Percentiles { p50: at(50), p99: at(99), max: Some(bins.max) }
            }
        }
    }
}

/// Bins of each power of two: a bin is narrower than 1 % of what lies in it.
const BINS_OF_POWER: u64 = 128;

/// Counts of samples in bins whose width grows with them.
#[derive(Clone, Debug)]
pub(crate) struct Bins {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Bins {
    fn default() -> Self {
        Self { counts: vec![0; bin(u64::MAX) + 1], count: 0, max: 0 }
    }
}

impl Bins {
    fn push(&mut self, sample: u64) {
        self.counts[bin(sample)] += 1;
        self.count += 1;
        self.max = self.max.max(sample);
    }

    /// The end of the bin in which the sample of this rank lies, counted from 1.
    fn at_rank(&self, rank: u64) -> u64 {
        let mut below = 0;
        let place = self.counts.iter().position(|&count| {
            below += count;
            below >= rank
        });
        place.map_or(self.max, |bin| end(bin).min(self.max))
    }
}

/// The bin of a sample: itself as long as bins are one wide, then by its power of two and the seven bits behind.
fn bin(sample: u64) -> usize {
    let power = u64::from(sample.max(BINS_OF_POWER).ilog2() - BINS_OF_POWER.ilog2());
    (power * BINS_OF_POWER + (sample >> power)) as usize
}

/// The largest sample of a bin.
fn end(bin: usize) -> u64 {
    let bin = bin as u64;
    let power = (bin / BINS_OF_POWER).saturating_sub(1);
    let place = bin - power * BINS_OF_POWER;
    (u128::from(place + 1) << power).saturating_sub(1).min(u64::MAX.into()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn nearest_rank_is_one_of_the_samples() {
        let p = Percentiles::of((1..=200).rev().collect());
        assert_eq!((p.p50, p.p99, p.max), (Some(100), Some(198), Some(200)));
        let p = Percentiles::of(vec![5, 1, 3]);
        assert_eq!((p.p50, p.p99, p.max), (Some(3), Some(5), Some(5)));
        assert_eq!(Percentiles::of(vec![7]).p50, Some(7));
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
    }

    #[test]
    fn a_bin_ends_where_the_next_begins() {
        for place in 0..bin(u64::MAX) {
            assert_eq!(bin(end(place)), place);
            assert_eq!(bin(end(place) + 1), place + 1);
        }
        assert_eq!(end(bin(u64::MAX)), u64::MAX);
    }

    #[test]
    fn binned_percentiles_are_within_one_percent() {
        let mut random = Random::new(5);
        let (mut all, mut binned) = (Samples::default(), Samples::binned());
        for _ in 0..10_000 {
            let power = random.below(40);
            let sample = random.below(2 << power);
            all.push(sample);
            binned.push(sample);
        }
        let close = |exact: u64, binned: u64| exact <= binned && binned - exact <= exact / 100;
        for (exact, binned) in all.curve().into_iter().zip(binned.curve()) {
            assert!(close(exact, binned), "{exact} {binned}");
        }
        let (exact, binned) = (all.percentiles(), binned.percentiles());
        assert_eq!(exact.max, binned.max);
        assert!(close(exact.p99.expect("there are some"), binned.p99.expect("as many")));
        assert_eq!(Samples::binned().percentiles(), Percentiles::default());
        assert_eq!(Samples::binned().curve(), Samples::default().curve());
    }
}
