//! Shares of a capacity, in parts per million, and how a fraction of a unit is rounded.

/// Parts per million of a capacity, at most 1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub struct Ppm(u32);

/// What a tier is guaranteed of one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reserve {
    /// This share of what there is.
    Share(Ppm),
    /// This many units, or all there are.
    Units(u64),
}

/// What becomes of the fraction of a unit that a share leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// Up: the only rounding that keeps "at least this share". 30 % of 4 slots is 2.
    #[default]
    Ceil,
    /// To the nearest, a half up. 30 % of 4 slots is 1.
    Nearest,
    /// Down. 30 % of 4 slots is 1.
    Floor,
}

impl Ppm {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The whole.
    pub const ONE: Self = Self(1_000_000);

    /// That many millionths. More than a million is a share above 100 %, which a config refuses.
    #[must_use]
    pub const fn new(ppm: u32) -> Self {
        Self(ppm)
    }

    /// Millionths.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// This share of `whole`, in whole units.
    #[must_use]
    pub const fn of(self, whole: u64, rounding: Rounding) -> u64 {
        let million = Self::ONE.0 as u128;
        let exact = whole as u128 * self.0 as u128;
        let fraction = match rounding {
            Rounding::Ceil => million - 1,
            Rounding::Nearest => million / 2,
            Rounding::Floor => 0,
        };
        ((exact + fraction) / million) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_percent_of_four_slots() {
        let share = Ppm::new(300_000);
        assert_eq!(share.of(4, Rounding::Ceil), 2);
        assert_eq!(share.of(4, Rounding::Nearest), 1);
        assert_eq!(share.of(4, Rounding::Floor), 1);
        assert_eq!(Ppm::ONE.of(u64::MAX >> 24, Rounding::Ceil), u64::MAX >> 24);
    }
}
