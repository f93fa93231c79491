//! The resource vector: up to four named dimensions, and the arithmetic that every ledger uses.
//!
//! Units are whole numbers below [`MAX_UNITS`], so that the sum over any number of live requests fits a
//! signed 64-bit word; a ledger that would go below zero is a bug and says so.

use core::ops::{Add, AddAssign, Index, IndexMut, Sub, SubAssign};

/// The number of dimensions a config may name.
pub const MAX_DIMENSIONS: usize = 4;

/// The largest number of units of one dimension in a demand or a capacity: 2^40, a terabyte in bytes.
pub const MAX_UNITS: u64 = 1 << 40;

/// Units of each dimension, in the order of the config. Dimensions that are not named are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub struct Resources([u64; MAX_DIMENSIONS]);

impl Resources {
    /// No units of anything.
    pub const ZERO: Self = Self([0; MAX_DIMENSIONS]);

    /// No bound in any dimension.
    pub(crate) const BOUNDLESS: Self = Self([u64::MAX; MAX_DIMENSIONS]);

    /// All four dimensions.
    #[must_use]
    pub const fn as_array(&self) -> &[u64; MAX_DIMENSIONS] {
        &self.0
    }

    /// Whether no dimension has a unit.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().fold(0, |all, units| all | units) == 0
    }

    /// The larger of the two, dimension by dimension.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.zip(other, u64::max)
    }

    /// The smaller of the two, dimension by dimension.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.zip(other, u64::min)
    }

    /// What of `self` is beyond `other`, dimension by dimension.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        self.zip(other, u64::saturating_sub)
    }

    /// Whether `room` has every unit asked for; a dimension that is not asked for does not count.
    #[must_use]
    pub fn fits(&self, room: &Self) -> bool {
        (0..MAX_DIMENSIONS).all(|d| self.0[d] <= room.0[d])
    }

    /// Whether `self` stays within `room` in every dimension that `asked` uses.
    pub(crate) fn fits_where_asked(&self, room: &Self, asked: &Self) -> bool {
        (0..MAX_DIMENSIONS).all(|d| asked.0[d] == 0 || self.0[d] <= room.0[d])
    }

    /// That much more, or less.
    ///
    /// # Panics
    /// If a dimension would go below zero: the caller's books do not balance.
    pub(crate) fn shift(&mut self, change: &Balance) {
        // One check for all dimensions, of the sign: this is on the path of every report, and sums fit a signed word.
        let mut all = 0;
        for d in 0..MAX_DIMENSIONS {
            self.0[d] = self.0[d].wrapping_add_signed(change.0[d]);
            all |= self.0[d] as i64;
        }
        assert!(all >= 0, "a ledger never goes below zero");
    }

    /// The first dimension in which `room` has too little, if any.
    pub(crate) fn first_beyond(&self, room: &Self) -> Option<usize> {
        (0..MAX_DIMENSIONS).find(|&d| self.0[d] > room.0[d])
    }

    pub(crate) fn zip(self, other: Self, mut f: impl FnMut(u64, u64) -> u64) -> Self {
        let mut out = self;
        for d in 0..MAX_DIMENSIONS {
            out.0[d] = f(self.0[d], other.0[d]);
        }
        out
    }
}

impl<const N: usize> From<[u64; N]> for Resources {
    /// Units of the first `N` dimensions; more than four do not compile.
    fn from(units: [u64; N]) -> Self {
        const { assert!(N <= MAX_DIMENSIONS, "at most 4 dimensions") };
        let mut all = [0; MAX_DIMENSIONS];
        all[..N].copy_from_slice(&units);
        Self(all)
    }
}

impl Index<usize> for Resources {
    type Output = u64;

    fn index(&self, dimension: usize) -> &u64 {
        &self.0[dimension]
    }
}

impl IndexMut<usize> for Resources {
    fn index_mut(&mut self, dimension: usize) -> &mut u64 {
        &mut self.0[dimension]
    }
}

impl Add for Resources {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Self) {
        for d in 0..MAX_DIMENSIONS {
            self.0[d] += other.0[d];
        }
    }
}

impl Sub for Resources {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= other;
        self
    }
}

impl SubAssign for Resources {
    /// # Panics
    /// If a dimension would go below zero: the caller's books do not balance.
    fn sub_assign(&mut self, other: Self) {
        // One check for all dimensions: this is on the path of every report.
        let mut below = false;
        for d in 0..MAX_DIMENSIONS {
            let (units, borrows) = self.0[d].overflowing_sub(other.0[d]);
            self.0[d] = units;
            below |= borrows;
        }
        assert!(!below, "a ledger never goes below zero");
    }
}

/// Units that may be overdrawn: what is left of something after everybody took from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Balance(pub(crate) [i64; MAX_DIMENSIONS]);

impl Balance {
    /// Whether nothing is there or overdrawn.
    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().fold(0, |all, units| all | units) == 0
    }

    /// `have - taken`, below zero where more was taken.
    pub(crate) fn of(have: Resources, taken: Resources) -> Self {
        let mut out = Self::default();
        for d in 0..MAX_DIMENSIONS {
            out.0[d] = have.0[d] as i64 - taken.0[d] as i64;
        }
        out
    }

    /// What is left after `taken` more.
    pub(crate) fn less(mut self, taken: Resources) -> Self {
        for d in 0..MAX_DIMENSIONS {
            self.0[d] -= taken.0[d] as i64;
        }
        self
    }

    /// What is left after that much more, or less.
    pub(crate) fn minus(mut self, other: Self) -> Self {
        for d in 0..MAX_DIMENSIONS {
            self.0[d] -= other.0[d];
        }
        self
    }

    pub(crate) fn plus(mut self, more: Resources) -> Self {
        for d in 0..MAX_DIMENSIONS {
            self.0[d] += more.0[d] as i64;
        }
        self
    }

    pub(crate) fn plus_signed(mut self, other: Self) -> Self {
        for d in 0..MAX_DIMENSIONS {
            self.0[d] += other.0[d];
        }
        self
    }

    /// Whether nothing of what is asked is missing here; a dimension that is not asked for does not count.
    pub(crate) fn covers(&self, asked: &Resources) -> bool {
        (0..MAX_DIMENSIONS).all(|d| asked.0[d] == 0 || self.0[d] >= asked.0[d] as i64)
    }

    /// The units of `asked` that are missing here, counting only the dimensions that are asked for.
    pub(crate) fn shortage(&self, asked: &Resources) -> Resources {
        let mut out = Resources::ZERO;
        for d in 0..MAX_DIMENSIONS {
            if asked.0[d] > 0 {
                out.0[d] = u64::try_from(asked.0[d] as i64 - self.0[d]).unwrap_or(0);
            }
        }
        out
    }

    /// The part that is overdrawn.
    pub(crate) fn overdrawn(&self) -> Resources {
        Resources(self.0.map(|units| units.min(0).unsigned_abs()))
    }

    /// The part that is not overdrawn.
    pub(crate) fn positive(&self) -> Resources {
        Resources(self.0.map(|units| units.max(0).unsigned_abs()))
    }
}
