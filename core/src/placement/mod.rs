//! Which of the workers that fit: the fullest, or the emptiest, or what a cache is worth against load. Knows units, not requests.
//!
//! [`score`] compares two workers; [`Rooms`] finds the best of many.

mod rooms;

use crate::config::Placement;
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::share::Ppm;
pub(crate) use rooms::{Room, Rooms};

/// How good a worker is: less is better. O(1).
pub(crate) fn score(policy: Placement, used_after: Resources, capacity: Resources) -> u64 {
    let load = load_ppm(used_after, capacity);
    match policy {
        Placement::Pack => u64::MAX - load,
        // Where no cache counts.
        Placement::Spread | Placement::PrefixAffinity => load,
    }
}

/// What it costs to begin a prompt on a worker, in tokens: those that it has to compute, and its load as so many of a full
/// worker; of equals the less loaded. O(1).
pub(crate) fn affine_score(uncached: u64, load: u64, load_tokens: u32) -> (u64, u64) {
    let penalty = u128::from(load) * u128::from(load_tokens) / 1_000_000;
    (uncached.saturating_add(u64::try_from(penalty).unwrap_or(u64::MAX)), load)
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
        let capacity = Resources::from([10, 100]);
        let (empty, full) = ([1, 10].into(), [2, 90].into());
        assert!(score(Placement::Pack, full, capacity) < score(Placement::Pack, empty, capacity));
        assert!(score(Placement::Spread, empty, capacity) < score(Placement::Spread, full, capacity));
    }
}
