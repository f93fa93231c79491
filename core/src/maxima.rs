//! Numbered places with units of each dimension, and the places that have enough of all.
//!
//! A tree of the largest of each dimension over groups of places, in whole numbers of 31 bits: large units are scaled
//! down and rounded up, so that a place may be named that has a little less than enough, but none that has enough is
//! passed by. Set: O(log places) with groups of [`FAN`]; a search passes by groups that have too little.

use alloc::vec::Vec;

use crate::resources::{MAX_DIMENSIONS, Resources};

/// How many places, or groups, make a group: chosen so that the workers of a usual fleet make two levels.
const FAN: usize = 16;

/// Units, scaled: so small that a processor compares four at once.
type Scaled = [i32; MAX_DIMENSIONS];

fn is_enough(have: &Scaled, asked: &Scaled) -> bool {
    let mut lacks = 0;
    for d in 0..MAX_DIMENSIONS {
        lacks |= i32::from(have[d] < asked[d]);
    }
    lacks == 0
}

fn larger(one: &Scaled, other: &Scaled) -> Scaled {
    core::array::from_fn(|d| one[d].max(other[d]))
}

/// The units of all places.
#[derive(Debug, Default)]
pub(crate) struct Maxima {
    /// By how many bits each dimension is scaled down.
    shifts: [u32; MAX_DIMENSIONS],
    /// The places; groups of them; groups of those; at last one group of all.
    levels: Vec<Vec<Scaled>>,
}

impl Maxima {
    /// So many places without units; none will ever have more than `largest`, or it counts as boundless.
    pub(crate) fn new(places: usize, largest: Resources) -> Self {
        let bits = |units: u64| u64::BITS - units.leading_zeros();
        let shifts = core::array::from_fn(|d| bits(largest[d]).saturating_sub(i32::BITS - 2));
        let mut levels = alloc::vec![alloc::vec![[0; MAX_DIMENSIONS]; places.max(1)]];
        while let Some(lower) = levels.last().filter(|lower| lower.len() > 1) {
            levels.push(alloc::vec![[0; MAX_DIMENSIONS]; lower.len().div_ceil(FAN)]);
        }
        Self { shifts, levels }
    }

    /// A place has these units now.
    pub(crate) fn set(&mut self, place: usize, units: Resources) {
        let mut value = self.rounded_up(units);
        let mut index = place;
        for level in 0..self.levels.len() {
            let former = core::mem::replace(&mut self.levels[level][index], value);
            if former == value {
                return;
            }
            let Some(&above) = self.levels.get(level + 1).map(|above| &above[index / FAN]) else { return };
            // Who had the most and has less now leaves it to another.
            let leaves = (0..MAX_DIMENSIONS).any(|d| value[d] < former[d] && former[d] == above[d]);
            value = if leaves { self.largest_of(level, index / FAN) } else { larger(&above, &value) };
            index /= FAN;
        }
    }

    /// Whether a place has these units, as far as can be told, and the groups it is in as much.
    pub(crate) fn holds(&self, place: usize, units: Resources) -> bool {
        let group_of = |level: usize| place / FAN.pow(level as u32);
        self.levels[0][place] == self.rounded_up(units)
            && (1..self.levels.len()).all(|level| {
                self.levels[level][group_of(level)] == self.largest_of(level - 1, group_of(level))
            })
    }

    fn rounded_up(&self, units: Resources) -> Scaled {
        core::array::from_fn(|d| {
            let rest = units[d] & ((1 << self.shifts[d]) - 1);
            i32::try_from((units[d] >> self.shifts[d]) + u64::from(rest > 0)).unwrap_or(i32::MAX)
        })
    }

    /// The largest of each dimension in a group of a level.
    fn largest_of(&self, level: usize, group: usize) -> Scaled {
        let lower = &self.levels[level];
        let members = &lower[group * FAN..lower.len().min((group + 1) * FAN)];
        members.iter().fold([0; MAX_DIMENSIONS], |most, member| larger(&most, member))
    }

    /// The most that any place has of each dimension, rounded up.
    pub(crate) fn most(&self) -> Resources {
        let Some(&[most]) = self.levels.last().map(Vec::as_slice) else { return Resources::ZERO };
        let mut units = Resources::BOUNDLESS;
        for d in (0..MAX_DIMENSIONS).filter(|&d| most[d] < i32::MAX) {
            units[d] = (most[d] as u64) << self.shifts[d];
        }
        units
    }

    /// The places that have what is asked, in order, and perhaps some that have a little less.
    pub(crate) fn with(&self, asked: Resources) -> impl Iterator<Item = usize> + use<'_> {
        let asked: Scaled =
            core::array::from_fn(|d| i32::try_from(asked[d] >> self.shifts[d]).unwrap_or(i32::MAX));
        core::iter::successors(self.next_with(&asked, 0), move |&place| self.next_with(&asked, place + 1))
    }

    /// The first place from `from` on that has enough.
    fn next_with(&self, asked: &Scaled, from: usize) -> Option<usize> {
        let (mut level, mut index) = (0, from);
        loop {
            let members = self.levels.get(level)?;
            // To the end of the group; then the groups behind it are asked.
            let end = members.len().min((index / FAN + 1) * FAN);
            match (index..end).find(|&index| is_enough(&members[index], asked)) {
                Some(found) if level == 0 => return Some(found),
                Some(found) => (level, index) = (level - 1, found * FAN),
                None => (level, index) = (level + 1, index / FAN + 1),
            }
            if index >= self.levels.get(level)?.len() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_list(
            places in 1_usize..600,
            bits in 0_u32..40,
            steps in prop::collection::vec((0_usize..600, prop::array::uniform4(0_u64..5)), 0..80),
            asked in prop::array::uniform4(0_u64..5),
        ) {
            // Bits beyond those that are kept make what is asked and had equal to those that differ in them.
            let resources = |units: [u64; 4]| Resources::from(units.map(|units| units << bits));
            let mut maxima = Maxima::new(places, resources([5; 4]));
            let mut model = alloc::vec![Resources::ZERO; places];
            for (place, units) in steps {
                maxima.set(place % places, resources(units));
                model[place % places] = resources(units);
                let asked = resources(asked);
                let enough: Vec<usize> = (0..places).filter(|&place| asked.fits(&model[place])).collect();
                prop_assert_eq!(maxima.with(asked).collect::<Vec<_>>(), enough);
                let most = model.iter().fold(Resources::ZERO, |most, &units| most.max(units));
                prop_assert_eq!(maxima.most(), most);
                prop_assert!((0..places).all(|place| maxima.holds(place, model[place])));
            }
        }
    }

    #[test]
    fn none_that_has_enough_is_passed_by_where_units_are_rounded() {
        let large = Resources::from([1 << 40, 7]);
        let mut maxima = Maxima::new(3, large);
        maxima.set(1, [(1 << 39) + 1, 7].into());
        maxima.set(2, [u64::MAX, 7].into());
        assert_eq!(maxima.with([(1 << 39) + 1, 7].into()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(maxima.with([(1 << 39) + 2, 7].into()).collect::<Vec<_>>(), [1, 2], "one too many");
        assert_eq!(maxima.with([1 << 40, 7].into()).collect::<Vec<_>>(), [2]);
        assert_eq!(maxima.with([1, 8].into()).count(), 0);
        assert_eq!(maxima.most()[0], u64::MAX, "boundless");
        assert!(maxima.most()[1] >= 7);
    }
}
