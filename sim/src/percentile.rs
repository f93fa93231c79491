//! Percentiles by nearest rank: exact, and one of the samples.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank_is_one_of_the_samples() {
        let p = Percentiles::of((1..=200).rev().collect());
        assert_eq!((p.p50, p.p99, p.max), (Some(100), Some(198), Some(200)));
        let p = Percentiles::of(vec![5, 1, 3]);
        assert_eq!((p.p50, p.p99, p.max), (Some(3), Some(5), Some(5)));
        assert_eq!(Percentiles::of(vec![7]).p50, Some(7));
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
    }
}
