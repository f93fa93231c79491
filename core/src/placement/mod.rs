//! Which of the workers that fit: the fullest, or the emptiest, or what a cache is worth against load. Knows units, not requests.
//!
//! [`score`] compares two workers; [`Rooms`] finds the best of many, by what [`Places`] tells of those that changed.

mod front;
mod places;
mod rooms;

use crate::config::Placement;
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::share::Ppm;
pub(crate) use places::{Own, Places};
pub(crate) use rooms::{Room, Rooms};

/// How full a worker is: as full as the fullest of what it has and what it shares with others; then by what is its own, which
/// tells those apart that share all. Both in parts per million of what is used most, 4,294 times what there is at most:
/// together they are one number, because a search compares them by the dozen.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "snapshot", serde(from = "(u64, u64)", into = "(u64, u64)"))]
pub(crate) struct Load(u64);

impl Load {
    /// As full as can be.
    const FULLEST: Self = Self(u64::MAX);

    #[inline]
    const fn new(ppm: u32, own: u32) -> Self {
        Self((ppm as u64) << u32::BITS | own as u64)
    }

    /// Of one that shares nothing.
    #[inline]
    pub(crate) const fn alone(ppm: u32) -> Self {
        Self::new(ppm, ppm)
    }

    /// The same with something shared that is so full.
    #[inline]
    pub(crate) fn sharing(self, ppm: u32) -> Self {
        Self::new(self.ppm().max(ppm), self.own())
    }

    /// Parts per million of what is used most.
    #[inline]
    pub(crate) const fn ppm(self) -> u32 {
        (self.0 >> u32::BITS) as u32
    }

    /// The same of what is its own.
    #[inline]
    const fn own(self) -> u32 {
        self.0 as u32
    }

    /// At least what one has that is so full, with so much more of what it shares and of its own.
    #[inline]
    fn with(self, more: Self) -> Self {
        let own = self.own().saturating_add(more.own());
        Self::alone(own).sharing(self.ppm().saturating_add(more.ppm()))
    }
}

impl core::fmt::Debug for Load {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "{} ppm, {} of its own", self.ppm(), self.own())
    }
}

impl From<(u64, u64)> for Load {
    fn from((ppm, own): (u64, u64)) -> Self {
        Self::new(up_to_most(ppm), up_to_most(own))
    }
}

impl From<Load> for (u64, u64) {
    fn from(load: Load) -> Self {
        (load.ppm().into(), load.own().into())
    }
}

/// How good a worker is that would be so full: less is better. O(1).
pub(crate) fn score(policy: Placement, load: Load) -> Load {
    match policy {
        // The fuller in both ways is the lesser.
        Placement::Pack => Load(!load.0),
        // Where no cache counts.
        Placement::Spread | Placement::PrefixAffinity => load,
    }
}

/// What it costs to begin a prompt on a worker, in tokens: those that it has to compute, and its load as so many of a full
/// worker. O(1).
pub(crate) fn affine_score(uncached: u64, load_ppm: u32, load_tokens: u32) -> u64 {
    uncached.saturating_add(u64::from(load_ppm) * u64::from(load_tokens) / 1_000_000)
}

/// Whether a worker that would be so full is to be passed for one that would be less so: beyond half, and by the factor.
pub(crate) fn is_out_of_balance(load_ppm: u32, least_ppm: u32, factor: Ppm) -> bool {
    let beyond = u64::from(load_ppm) * 1_000_000 > u64::from(least_ppm) * u64::from(factor.get());
    factor > Ppm::ZERO && load_ppm > HALF_PPM && beyond
}

/// Below half of its units an engine is in nobody's way; chosen arbitrarily.
const HALF_PPM: u32 = 500_000;

/// The share that is used of the dimension that is used most, in parts per million.
pub(crate) fn load_ppm(used: Resources, capacity: Resources) -> u32 {
    (0..MAX_DIMENSIONS).filter(|&d| capacity[d] > 0).map(|d| ppm(used[d], capacity[d])).max().unwrap_or(0)
}

/// What part `units` are of `all`, in parts per million, rounded down. Saturates where requests outgrew a worker beyond all
/// measure: such workers are all alike.
fn ppm(units: u64, all: u64) -> u32 {
    up_to_most(units.saturating_mul(1_000_000) / all)
}

fn up_to_most(ppm: u64) -> u32 {
    u32::try_from(ppm).unwrap_or(u32::MAX)
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
