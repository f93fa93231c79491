//! What the workers of a pool have free and how full they are, by their places among those that are up: who fits a
//! request, and which of them best.
//!
//! Over groups of places it keeps the most that is free, the fullest and the emptiest, so that
//! a search looks at few places. What changed is only noted, O(1); it is looked at when somebody is about to search
//! ([`Rooms::refresh`]): O(group) for each place that changed. Until then a search looks at such places besides.

use alloc::vec::Vec;

use super::{load_ppm, ppm};
use crate::brief::Brief;
use crate::config::Placement;
use crate::maxima::{BriefUnits, FAN, Maxima};
use crate::resources::{MAX_DIMENSIONS, Resources};

/// What a place has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) free: Resources,
    pub(crate) used: Resources,
    pub(crate) capacity: Resources,
}

impl Room {
    fn load(&self) -> u64 {
        load_ppm(self.used, self.capacity)
    }

    /// Whether something is free of all that it has.
    fn is_open(&self) -> bool {
        (0..MAX_DIMENSIONS).all(|d| self.capacity[d] == 0 || self.free[d] > 0)
    }
}

/// How full a place is, in parts per million of what it is fullest of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    ppm: u64,
    is_open: bool,
}

/// How full the places of a group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Loads {
    fullest: u64,
    /// Of those that have something free of everything.
    fullest_open: u64,
    emptiest: u64,
}

impl Loads {
    fn of(places: &[Load]) -> Self {
        let none = Self { fullest: 0, fullest_open: 0, emptiest: u64::MAX };
        places.iter().fold(none, |all, place| Self {
            fullest: all.fullest.max(place.ppm),
            fullest_open: all.fullest_open.max(if place.is_open { place.ppm } else { 0 }),
            emptiest: all.emptiest.min(place.ppm),
        })
    }
}

/// What any place can hold, dimension by dimension: the least where it has any, and the most.
#[derive(Clone, Copy, Debug)]
struct Capacities {
    least: Resources,
    most: Resources,
}

/// What a search goes by.
struct Search {
    asked: BriefUnits,
    policy: Placement,
    /// Whether a place that has nothing free of something may do.
    asks_for_part: bool,
    /// By how much the request makes a place fuller at least, and at most.
    adds: (u64, u64),
}

impl Search {
    /// No place of a group has a better score than this.
    fn bound(&self, loads: &Loads) -> u64 {
        match self.policy {
            Placement::Pack => {
                let fullest = if self.asks_for_part { loads.fullest } else { loads.fullest_open };
                u64::MAX - fullest.saturating_add(self.adds.1)
            }
            Placement::Spread => loads.emptiest.saturating_add(self.adds.0),
        }
    }
}

/// All places of a pool.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    free: Maxima,
    loads: Vec<Load>,
    groups: Vec<Loads>,
    capacities: Option<Capacities>,
    /// The places that have something else now than is known; whether each is among them.
    changed: Vec<u32>,
    is_changed: Vec<bool>,
}

impl Rooms {
    /// Places with these capacities, of which nothing else is known yet.
    pub(crate) fn new(capacities: impl Iterator<Item = Resources>) -> Self {
        let mut places = 0;
        let capacities = capacities.inspect(|_| places += 1).fold(None, |range: Option<Capacities>, one| {
            let Some(Capacities { least, most }) = range else {
                return Some(Capacities { least: one, most: one });
            };
            let least = least.zip(one, |a, b| if a == 0 || b == 0 { a.max(b) } else { a.min(b) });
            Some(Capacities { least, most: most.max(one) })
        });
        Self {
            free: Maxima::new(places),
            loads: alloc::vec![Load::default(); places],
            groups: alloc::vec![Loads::of(&[]); places.div_ceil(FAN)],
            capacities,
            changed: (0..places as u32).collect(),
            is_changed: alloc::vec![true; places],
        }
    }

    /// A place has something else now.
    pub(crate) fn note(&mut self, place: usize) {
        if !self.is_changed[place] {
            self.is_changed[place] = true;
            self.changed.push(place as u32);
        }
    }

    /// Looks at the places that changed. Before a search, so that it finds what is there.
    pub(crate) fn refresh(&mut self, room_of: impl Fn(usize) -> Room) {
        while let Some(place) = self.changed.pop() {
            let place = place as usize;
            self.is_changed[place] = false;
            let room = room_of(place);
            self.free.set(place, room.free);
            self.loads[place] = Load { ppm: room.load(), is_open: room.is_open() };
            let group = place / FAN;
            self.groups[group] = Loads::of(self.group(group));
        }
        self.free.tighten();
    }

    fn group(&self, group: usize) -> &[Load] {
        &self.loads[group * FAN..self.loads.len().min((group + 1) * FAN)]
    }

    /// The most that any place has free of each dimension, as far as is known.
    pub(crate) fn most_free(&self) -> BriefUnits {
        self.free.most()
    }

    /// The first of the places with the least score, of those that have what is asked and of some besides; the score is
    /// that of [`score`](super::score), or `None` for a place that will not do.
    pub(crate) fn best(
        &self,
        asked: Resources,
        policy: Placement,
        besides: impl Iterator<Item = usize>,
        score: impl Fn(usize) -> Option<u64>,
    ) -> Option<usize> {
        let mut best: Option<(u64, usize)> = None;
        let look = |best: &mut Option<(u64, usize)>, place: usize| {
            let found = score(place).map(|score| (score, place));
            *best = best.iter().copied().chain(found).min();
        };
        let search = self.search(asked, policy);
        let may_have = |&group: &usize| self.free.group_may_have(group, &search.asked);
        let bound = |group: usize| search.bound(&self.groups[group]);
        // The most promising first, so that most others need not be looked at.
        let first = (0..self.groups.len()).filter(may_have).min_by_key(|&group| bound(group));
        let others = (0..self.groups.len()).filter(may_have).filter(|&group| Some(group) != first);
        for group in first.into_iter().chain(others) {
            if best.is_none_or(|best| (bound(group), group * FAN) < best) {
                self.free.places_with(group, &search.asked).for_each(|place| look(&mut best, place));
            }
        }
        self.changed
            .iter()
            .map(|&place| place as usize)
            .chain(besides)
            .for_each(|place| look(&mut best, place));
        best.map(|(_, place)| place)
    }

    fn search(&self, asked: Resources, policy: Placement) -> Search {
        let (mut least, mut most, mut asks_for_part) = (u64::MAX, 0, false);
        let capacities =
            self.capacities.unwrap_or(Capacities { least: Resources::ZERO, most: Resources::ZERO });
        for d in (0..MAX_DIMENSIONS).filter(|&d| capacities.most[d] > 0) {
            // Rounded down, a sum has at most what its parts have, one of them rounded up.
            most = most.max(asked[d].saturating_mul(1_000_000).div_ceil(capacities.least[d]));
            least = least.min(ppm(asked[d], capacities.most[d]));
            asks_for_part |= asked[d] == 0;
        }
        Search {
            asked: Brief::rounded_down(*asked.as_array()),
            policy,
            asks_for_part,
            adds: (if least == u64::MAX { 0 } else { least }, most),
        }
    }

    /// Whether what is known of a place is true, or known to have changed.
    pub(crate) fn knows(&self, place: usize, room: &Room) -> bool {
        let load = Load { ppm: room.load(), is_open: room.is_open() };
        let group = place / FAN;
        self.is_changed[place]
            || self.free.holds(place, room.free)
                && self.loads[place] == load
                && self.groups[group] == Loads::of(self.group(group))
    }
}

#[cfg(test)]
mod tests {
    use super::super::score as score_of;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_the_place_that_a_scan_finds(
            capacities in prop::collection::vec(prop::array::uniform3(0_u64..6), 1..70),
            steps in prop::collection::vec((0_usize..70, prop::array::uniform3(0_u64..7)), 0..120),
            asked in prop::array::uniform3(0_u64..4),
            scale in prop::sample::select(alloc::vec![1_u64, 7, 1 << 38]),
            pack in any::<bool>(),
            late in 0_usize..4,
        ) {
            let resources = |units: [u64; 3]| Resources::from(units.map(|units| units * scale));
            let capacities: Vec<Resources> = capacities.into_iter().map(resources).collect();
            let mut used = alloc::vec![Resources::ZERO; capacities.len()];
            let mut rooms = Rooms::new(capacities.iter().copied());
            let room = |used: &[Resources], place: usize| {
                let (used, capacity) = (used[place], capacities[place]);
                Room { free: capacity.saturating_sub(used), used, capacity }
            };
            rooms.refresh(|place| room(&used, place));
            let mut unseen = 0;
            for (place, units) in steps {
                let place = place % capacities.len();
                used[place] = resources(units);
                rooms.note(place);
                unseen += 1;
                if unseen > late {
                    rooms.refresh(|place| room(&used, place));
                    unseen = 0;
                }
            }
            let policy = if pack { Placement::Pack } else { Placement::Spread };
            let asked = resources(asked);
            let score = |place: usize| {
                let Room { free, used, capacity } = room(&used, place);
                asked.fits(&free).then(|| score_of(policy, used + asked, capacity))
            };
            let scan = (0..capacities.len()).filter_map(|place| Some((score(place)?, place))).min();
            prop_assert_eq!(rooms.best(asked, policy, core::iter::empty(), score), scan.map(|(_, place)| place));
            prop_assert!((0..capacities.len()).all(|place| rooms.knows(place, &room(&used, place))));
        }
    }

    #[test]
    fn looks_at_few_of_many_places() {
        let (places, capacity) = (4_096, Resources::from([16, 640]));
        let mut rooms = Rooms::new(core::iter::repeat_n(capacity, places));
        let taken = |place: usize| (place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
        let room = |place: usize| {
            let used = Resources::from([taken(place), 40 * taken(place)]);
            Room { free: capacity - used, used, capacity }
        };
        rooms.refresh(room);
        for policy in [Placement::Pack, Placement::Spread] {
            let looks = core::cell::Cell::new(0);
            let score = |place: usize| {
                looks.set(looks.get() + 1);
                let Room { used, capacity, .. } = room(place);
                Some(score_of(policy, used + [1, 40].into(), capacity))
            };
            let best = rooms.best([1, 40].into(), policy, core::iter::empty(), score).expect("there is room");
            assert_eq!(taken(best), if policy == Placement::Pack { 15 } else { 0 });
            assert!(looks.get() <= 4 * FAN, "{} of {places} places", looks.get());
        }
    }
}
