//! Which of the workers that fit: the fullest, or the emptiest, or what a cache is worth against load. Knows units, not requests.
//!
//! [`score`] compares two workers; [`Rooms`] finds the best of many, by what [`Places`] tells of those that changed.

mod front;
mod places;
mod rooms;

use core::cmp::Ordering;

use crate::config::Placement;
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::share::Ppm;
pub(crate) use places::{Own, Places};
pub(crate) use rooms::{Room, Rooms};

/// How full a worker is: as full as the fullest of what it has and what it shares with others; then by what is its own, which
/// tells those apart that share all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Load {
    /// Parts per million of what is used most.
    pub(crate) ppm: u64,
    pub(crate) own: u64,
}

impl Ord for Load {
    /// As one number: a search compares them by the dozen, and two words together take no branch.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_number().cmp(&other.as_number())
    }
}

impl PartialOrd for Load {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    #[inline]
    fn lt(&self, other: &Self) -> bool {
        self.as_number() < other.as_number()
    }

    #[inline]
    fn le(&self, other: &Self) -> bool {
        self.as_number() <= other.as_number()
    }
}

impl Load {
    const fn as_number(self) -> u128 {
        (self.ppm as u128) << u64::BITS | self.own as u128
    }

    /// As full as can be.
    const FULLEST: Self = Self { ppm: u64::MAX, own: u64::MAX };

    /// Of one that shares nothing.
    pub(crate) const fn alone(ppm: u64) -> Self {
        Self { ppm, own: ppm }
    }

    /// The same with something shared that is so full.
    pub(crate) fn sharing(self, ppm: u64) -> Self {
        Self { ppm: self.ppm.max(ppm), ..self }
    }

    /// At least what one has that is so full, with so much more of what it shares and of its own.
    #[inline]
    pub(crate) fn with(self, more: Self) -> Self {
        Self::alone(self.own.saturating_add(more.own)).sharing(self.ppm.saturating_add(more.ppm))
    }
}

/// How good a worker is that would be so full: less is better. O(1).
pub(crate) fn score(policy: Placement, load: Load) -> Load {
    match policy {
        Placement::Pack => Load { ppm: u64::MAX - load.ppm, own: u64::MAX - load.own },
        // Where no cache counts.
        Placement::Spread | Placement::PrefixAffinity => load,
    }
}

/// What it costs to begin a prompt on a worker, in tokens: those that it has to compute, and its load as so many of a full
/// worker. O(1).
pub(crate) fn affine_score(uncached: u64, load: u64, load_tokens: u32) -> u64 {
    let penalty = match load.checked_mul(u64::from(load_tokens)) {
        Some(product) => product / 1_000_000,
        None => {
            let wide = u128::from(load) * u128::from(load_tokens) / 1_000_000;
            u64::try_from(wide).unwrap_or(u64::MAX)
        }
    };
    uncached.saturating_add(penalty)
}

/// Whether a worker that would be so full is to be passed for one that would be less so: beyond half, and by the factor.
pub(crate) fn is_out_of_balance(load: u64, least: u64, factor: Ppm) -> bool {
    let beyond = u128::from(load) * 1_000_000 > u128::from(least) * u128::from(factor.get());
    factor > Ppm::ZERO && load > HALF_PPM && beyond
}

/// Below half of its units an engine is in nobody's way; chosen arbitrarily.
const HALF_PPM: u64 = 500_000;

/// The share that is used of the dimension that is used most, in parts per million.
pub(crate) fn load_ppm(used: Resources, capacity: Resources) -> u64 {
    (0..MAX_DIMENSIONS).filter(|&d| capacity[d] > 0).map(|d| ppm(used[d], capacity[d])).max().unwrap_or(0)
}

/// What part `units` are of `all`, in parts per million, rounded down. Saturates where requests outgrew a worker beyond all
/// measure: such workers are all alike.
fn ppm(units: u64, all: u64) -> u64 {
    units.saturating_mul(1_000_000) / all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pack_fills_and_spread_levels() {
        let load = |used: [u64; 2]| Load::alone(load_ppm(used.into(), [10, 100].into()));
        let (empty, full) = (load([1, 10]), load([2, 90]));
        assert!(score(Placement::Pack, full) < score(Placement::Pack, empty));
        assert!(score(Placement::Spread, empty) < score(Placement::Spread, full));
        let [emptier, fuller] = [empty, full].map(|load| load.sharing(950_000));
        assert!(score(Placement::Pack, fuller) < score(Placement::Pack, emptier));
        assert!(score(Placement::Spread, emptier) < score(Placement::Spread, fuller));
    }
}
