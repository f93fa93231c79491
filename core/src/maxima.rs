//! Numbered places with units of each dimension, and the places that have enough of all.
//!
//! A tree of the largest of each dimension over groups of places, rounded up: a place may be named that has a little less
//! than enough, but none that has enough is passed by. A search passes by groups that have too little. What a place loses
//! is taken from its groups when somebody is about to search: until then they may seem to have more. Set: O(log places),
//! O(1) for a place that loses; with groups of [`FAN`].

use alloc::vec::Vec;

use crate::brief::Brief;
use crate::resources::{MAX_DIMENSIONS, Resources};

/// How many places, or groups, make a group: chosen so that the workers of a usual fleet make two levels.
pub(crate) const FAN: usize = 16;

pub(crate) type BriefUnits = Brief<MAX_DIMENSIONS>;

/// The units of all places.
#[derive(Debug, Default)]
pub(crate) struct Maxima {
    /// The places; groups of them; groups of those; at last one group of all.
    levels: Vec<Vec<BriefUnits>>,
    /// The groups of places of which one has lost something; whether each is among them.
    loose: Vec<u32>,
    is_loose: Vec<bool>,
}

impl Maxima {
    /// So many places without units.
    pub(crate) fn new(places: usize) -> Self {
        let mut levels = alloc::vec![alloc::vec![BriefUnits::default(); places.max(1)]];
        while let Some(lower) = levels.last().filter(|lower| lower.len() > 1) {
            levels.push(alloc::vec![BriefUnits::default(); lower.len().div_ceil(FAN)]);
        }
        let groups = levels.get(1).map_or(0, Vec::len);
        Self { levels, loose: Vec::with_capacity(groups), is_loose: alloc::vec![false; groups] }
    }

    /// A place has these units now.
    pub(crate) fn set(&mut self, place: usize, units: Resources) {
        let value = Brief::rounded_up(*units.as_array());
        let former = core::mem::replace(&mut self.levels[0][place], value);
        let group = place / FAN;
        if !former.is_within(&value) && self.is_loose.get(group) == Some(&false) {
            self.is_loose[group] = true;
            self.loose.push(group as u32);
        }
        let mut index = group;
        for level in &mut self.levels[1..] {
            let most = level[index].max(&value);
            if level[index] == most {
                return;
            }
            level[index] = most;
            index /= FAN;
        }
    }

    /// Makes groups no larger than their places are. Before a search, so that it finds what is there.
    pub(crate) fn tighten(&mut self) {
        while let Some(group) = self.loose.pop() {
            let mut index = group as usize;
            self.is_loose[index] = false;
            for level in 1..self.levels.len() {
                let most = self.largest_of(level - 1, index);
                if core::mem::replace(&mut self.levels[level][index], most) == most {
                    break;
                }
                index /= FAN;
            }
        }
    }

    /// Whether a place has these units, as far as can be told, and the groups it is in at least as much.
    pub(crate) fn holds(&self, place: usize, units: Resources) -> bool {
        let group_of = |level: usize| place / FAN.pow(level as u32);
        self.levels[0][place] == Brief::rounded_up(*units.as_array())
            && (1..self.levels.len()).all(|level| {
                self.largest_of(level - 1, group_of(level)).is_within(&self.levels[level][group_of(level)])
            })
    }

    /// The largest of each dimension in a group of a level.
    fn largest_of(&self, level: usize, group: usize) -> BriefUnits {
        let lower = &self.levels[level];
        let members = &lower[group * FAN..lower.len().min((group + 1) * FAN)];
        members.iter().fold(BriefUnits::default(), |most, member| most.max(member))
    }

    /// The most that any place has of each dimension.
    pub(crate) fn most(&self) -> BriefUnits {
        self.levels.last().and_then(|top| top.first().copied()).unwrap_or_default()
    }

    /// Whether some place of a group may have what is asked.
    pub(crate) fn group_may_have(&self, group: usize, asked: &BriefUnits) -> bool {
        self.levels.get(1).is_none_or(|groups| asked.is_within(&groups[group]))
    }

    /// The places of a group that have what is asked, in order, and perhaps some that have a little less.
    pub(crate) fn places_with(
        &self,
        group: usize,
        asked: &BriefUnits,
    ) -> impl Iterator<Item = usize> + use<'_> {
        let (places, asked) = (&self.levels[0], *asked);
        let members = group * FAN..places.len().min((group + 1) * FAN);
        members.filter(move |&place| asked.is_within(&places[place]))
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
                if place % 3 == 0 {
                    continue;
                }
                maxima.tighten();
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
