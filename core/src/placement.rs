//! Which of the workers that fit. Knows units, not requests. O(1) per worker compared.

use crate::config::Placement;
use crate::resources::{MAX_DIMENSIONS, Resources};

/// How good a worker is: less is better.
pub(crate) fn score(policy: Placement, used_after: Resources, capacity: Resources) -> u64 {
    let load = load_ppm(used_after, capacity);
    match policy {
        Placement::Pack => u64::MAX - load,
        Placement::Spread => load,
    }
}

/// The share that is used of the dimension that is used most, in parts per million.
fn load_ppm(used: Resources, capacity: Resources) -> u64 {
    (0..MAX_DIMENSIONS)
        .filter(|&d| capacity[d] > 0)
        // Saturates where requests outgrew a worker beyond all measure: such workers are all alike.
        .map(|d| used[d].saturating_mul(1_000_000) / capacity[d])
        .max()
        .unwrap_or(0)
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
