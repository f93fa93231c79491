//! Which of the workers that fit: the fullest, or the emptiest. Knows units, not requests.
//!
//! [`score`] compares two workers; [`Rooms`] finds the best of many.

mod rooms;

use crate::config::Placement;
use crate::resources::{MAX_DIMENSIONS, Resources};
pub(crate) use rooms::{Room, Rooms};

/// How good a worker is: less is better. O(1).
pub(crate) fn score(policy: Placement, used_after: Resources, capacity: Resources) -> u64 {
    let load = load_ppm(used_after, capacity);
    match policy {
        Placement::Pack => u64::MAX - load,
        Placement::Spread => load,
    }
}

/// The share that is used of the dimension that is used most, in parts per million.
fn load_ppm(used: Resources, capacity: Resources) -> u64 {
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
