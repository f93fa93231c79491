//! Numbered places with units of each dimension, and the places that have enough of all.
//!
//! A tree of the largest of each dimension over groups of places, rounded up: a place may be named that has a little less
//! than enough, but none that has enough is passed by. Set: O(log places) with groups of [`FAN`]; a search passes by
//! groups that have too little.

use alloc::vec::Vec;
use core::ops::Range;

use crate::brief::Brief;
use crate::resources::{MAX_DIMENSIONS, Resources};

/// How many places, or groups, make a group: chosen so that the workers of a usual fleet make two levels.
pub(crate) const FAN: usize = 16;

pub(crate) type BriefUnits = Brief<MAX_DIMENSIONS>;

/// Which of so many places, or groups, are in a group.
pub(crate) fn members(group: usize, of: usize) -> Range<usize> {
    group * FAN..of.min((group + 1) * FAN)
}

/// The units of all places.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Maxima {
    /// The places; groups of them; groups of those; at last one group of all.
    levels: Vec<Vec<BriefUnits>>,
}

impl Maxima {
    /// So many places without units.
    pub(crate) fn new(places: usize) -> Self {
        let mut levels = alloc::vec![alloc::vec![BriefUnits::default(); places.max(1)]];
        while let Some(lower) = levels.last().filter(|lower| lower.len() > 1) {
            levels.push(alloc::vec![BriefUnits::default(); lower.len().div_ceil(FAN)]);
        }
        Self { levels }
    }

    /// A place has these units now.
    pub(crate) fn set(&mut self, place: usize, units: Resources) {
        let mut value = Brief::rounded_up(*units.as_array());
        let mut index = place;
        for level in 0..self.levels.len() {
            let former = core::mem::replace(&mut self.levels[level][index], value);
            if former == value {
                return;
            }
            let Some(&above) = self.levels.get(level + 1).map(|above| &above[index / FAN]) else { return };
            // Who had the most and has less now may leave it to another.
            let has_less = !former.is_within(&value);
            value = if has_less { self.largest_of(level, index / FAN) } else { above.max(&value) };
            index /= FAN;
        }
    }

    /// Whether a place has these units, as far as can be told, and the groups it is in as much.
    pub(crate) fn holds(&self, place: usize, units: Resources) -> bool {
        let group_of = |level: usize| place / FAN.pow(level as u32);
        self.levels[0][place] == Brief::rounded_up(*units.as_array())
            && (1..self.levels.len()).all(|level| {
                self.levels[level][group_of(level)] == self.largest_of(level - 1, group_of(level))
            })
    }

    /// The largest of each dimension in a group of a level.
    fn largest_of(&self, level: usize, group: usize) -> BriefUnits {
        let lower = &self.levels[level];
        lower[members(group, lower.len())].iter().fold(BriefUnits::default(), |most, member| most.max(member))
    }

    /// The most that any place has of each dimension.
    pub(crate) fn most(&self) -> BriefUnits {
        self.levels.last().and_then(|top| top.first().copied()).unwrap_or_default()
    }

    /// Whether some place of a group may have what is asked.
    pub(crate) fn group_may_have(&self, group: usize, asked: &BriefUnits) -> bool {
        self.levels.get(1).is_none_or(|groups| asked.is_within(&groups[group]))
    }

    /// Whether a place may have what is asked.
    pub(crate) fn may_have(&self, place: usize, asked: &BriefUnits) -> bool {
        asked.is_within(&self.levels[0][place])
    }

    /// The places of a group that have what is asked, in order, and perhaps some that have a little less.
    pub(crate) fn places_with(
        &self,
        group: usize,
        asked: &BriefUnits,
    ) -> impl Iterator<Item = usize> + use<'_> {
        let asked = *asked;
        members(group, self.levels[0].len()).filter(move |&place| self.may_have(place, &asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(maxima: &Maxima, asked: Resources) -> Vec<usize> {
        let asked = Brief::rounded_down(*asked.as_array());
        let groups = 0..maxima.levels[0].len().div_ceil(FAN);
        let able = groups.filter(|&group| maxima.group_may_have(group, &asked));
        able.flat_map(|group| maxima.places_with(group, &asked)).collect()
    }

    proptest! {
        #[test]
        fn agrees_with_a_list(
            places in 1_usize..600,
            bits in 0_u32..40,
            steps in prop::collection::vec((0_usize..600, prop::array::uniform4(0_u64..5)), 0..80),
            asked in prop::array::uniform4(0_u64..5),
        ) {
            let resources = |units: [u64; 4]| Resources::from(units.map(|units| units << bits));
            let mut maxima = Maxima::new(places);
            let mut model = alloc::vec![Resources::ZERO; places];
            for (place, units) in steps {
                maxima.set(place % places, resources(units));
                model[place % places] = resources(units);
                prop_assert!((0..places).all(|place| maxima.holds(place, model[place])));
                let asked = resources(asked);
                let enough: Vec<usize> = (0..places).filter(|&place| asked.fits(&model[place])).collect();
                prop_assert_eq!(with(&maxima, asked), enough);
                let most = model.iter().fold(Resources::ZERO, |most, &units| most.max(units));
                prop_assert_eq!(maxima.most().values(), *most.as_array());
            }
        }
    }

    #[test]
    fn none_that_has_enough_is_passed_by_where_units_are_rounded() {
        let mut maxima = Maxima::new(3);
        maxima.set(1, [(1 << 39) + 1, 7].into());
        maxima.set(2, [u64::MAX, 7].into());
        assert_eq!(with(&maxima, [(1 << 39) + 1, 7].into()), [1, 2]);
        assert_eq!(with(&maxima, [(1 << 39) + 2, 7].into()), [1, 2], "one too many");
        assert_eq!(with(&maxima, [1 << 40, 7].into()), [2]);
        assert_eq!(with(&maxima, [1, 8].into()).len(), 0);
    }
}
