//! What the workers of a pool have free and how full they are, by their places among those that are up: who fits a
//! request, and which of them best.
//!
//! Over groups of places it keeps the most that is free, the fullest and the emptiest, so that a search looks at few
//! places; how full they are only where many have room. What changed is only noted, O(1); it is looked at when somebody
//! is about to search ([`Rooms::refresh`]): O(group) for each place that changed. Until then a search looks at such
//! places besides; where only a few came free it does so for longer, because they are mostly taken at once, and are then as the
//! groups know them.

use alloc::vec::Vec;

use super::{Load, ppm, score};
use crate::brief::Brief;
use crate::config::Placement;
use crate::marks::Marks;
use crate::maxima::{self, BriefUnits, FAN, Maxima};
use crate::resources::{MAX_DIMENSIONS, Resources};

/// How many places that came free are looked at besides: one that completes, and one that begins, is the usual turn.
const RECENT: usize = 2;

/// What a place has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Room {
    pub(crate) free: Resources,
    pub(crate) load: Load,
    pub(crate) capacity: Resources,
}

impl Room {
    /// Whether something is free of all that it has.
    fn is_open(&self) -> bool {
        (0..MAX_DIMENSIONS).all(|d| self.capacity[d] == 0 || self.free[d] > 0)
    }
}

/// How full a place is, and whether it takes a request that asks for everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Fill {
    ppm: u64,
    own: u64,
    is_open: bool,
}

impl Fill {
    fn of(room: &Room) -> Self {
        Self { ppm: room.load.ppm, own: room.load.own, is_open: room.is_open() }
    }
}

/// How full the places of a group are at most, and at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Loads {
    fullest: u64,
    /// Of those that have something free of everything.
    fullest_open: u64,
    emptiest: u64,
}

impl Loads {
    fn of(places: &[Fill]) -> Self {
        let none = Self { fullest: 0, fullest_open: 0, emptiest: u64::MAX };
        places.iter().fold(none, |all, place| all.widened_by(place))
    }

    fn widened_by(&self, place: &Fill) -> Self {
        Self {
            fullest: self.fullest.max(place.ppm),
            fullest_open: self.fullest_open.max(if place.is_open { place.ppm } else { 0 }),
            emptiest: self.emptiest.min(place.ppm),
        }
    }

    /// Whether they may be tighter when a place becomes another: it was the fullest of the open ones, or the emptiest.
    fn may_tighten(&self, former: &Fill, place: &Fill) -> bool {
        let is_fullest = former.is_open && former.ppm == self.fullest_open;
        is_fullest && !(place.is_open && place.ppm >= former.ppm)
            || former.ppm == self.emptiest && place.ppm > former.ppm
    }
}

/// How full all places are.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Fullness {
    loads: Vec<Fill>,
    groups: Vec<Loads>,
    /// Groups of those.
    regions: Vec<Loads>,
    /// The places that were not weighed since they changed.
    unweighed: Marks,
}

impl Fullness {
    fn new(places: usize) -> Self {
        Self {
            loads: alloc::vec![Fill::default(); places],
            groups: alloc::vec![Loads::of(&[]); places.div_ceil(FAN)],
            regions: alloc::vec![Loads::of(&[]); places.div_ceil(FAN).div_ceil(FAN)],
            unweighed: Marks::all(places),
        }
    }

    fn weigh(&mut self, rooms: &[Room]) {
        while let Some(place) = self.unweighed.take() {
            let (group, load) = (place / FAN, Fill::of(&rooms[place]));
            let former = core::mem::replace(&mut self.loads[place], load);
            let known = self.groups[group];
            let tightens = known.may_tighten(&former, &load);
            let members = maxima::members(group, self.loads.len());
            let loads = if tightens { Loads::of(&self.loads[members]) } else { known.widened_by(&load) };
            if loads != known {
                self.groups[group] = loads;
                self.regions[group / FAN] = self.region(group / FAN);
            }
        }
    }

    fn region(&self, region: usize) -> Loads {
        let groups = &self.groups[maxima::members(region, self.groups.len())];
        groups.iter().fold(Loads::of(&[]), |all, group| Loads {
            fullest: all.fullest.max(group.fullest),
            fullest_open: all.fullest_open.max(group.fullest_open),
            emptiest: all.emptiest.min(group.emptiest),
        })
    }
}

/// What any place can hold, or all can that share something with it, dimension by dimension: the least where it has any,
/// and the most.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Capacities {
    least: Resources,
    most: Resources,
    are_shared: bool,
}

impl Capacities {
    fn of(own: impl Iterator<Item = Resources>, shared: impl Iterator<Item = Resources>) -> Self {
        let all = own.map(|one| (one, false)).chain(shared.map(|one| (one, true)));
        all.fold(Self::default(), |range, (one, is_shared)| Self {
            least: range.least.zip(one, |a, b| if a == 0 || b == 0 { a.max(b) } else { a.min(b) }),
            most: range.most.max(one),
            are_shared: range.are_shared || is_shared,
        })
    }
}

/// What places become by a request.
struct Prospect {
    policy: Placement,
    /// Whether a place that has nothing free of something may do.
    asks_for_part: bool,
    /// By how much it makes a place fuller at least, and at most.
    adds: (u64, u64),
    /// By how much it makes what is a place's own fuller at least.
    adds_own: u64,
    /// Whether a place may be less full by itself than by what it shares.
    shares: bool,
}

impl Prospect {
    fn new(asked: &Resources, policy: Placement, capacities: &Capacities, own: &Resources) -> Self {
        let (mut least, mut most, mut asks_for_part) = (u64::MAX, 0, false);
        let adds_own = (0..MAX_DIMENSIONS).filter(|&d| own[d] > 0).map(|d| ppm(asked[d], own[d])).min();
        for d in (0..MAX_DIMENSIONS).filter(|&d| capacities.most[d] > 0) {
            // Rounded down, a sum has at most what its parts have, one of them rounded up.
            most = most.max(asked[d].saturating_mul(1_000_000).div_ceil(capacities.least[d]));
            least = least.min(ppm(asked[d], capacities.most[d]));
            asks_for_part |= asked[d] == 0;
        }
        let adds = (if least == u64::MAX { 0 } else { least }, most);
        let adds_own = adds_own.unwrap_or(0);
        Self { policy, asks_for_part, adds, adds_own, shares: capacities.are_shared }
    }

    /// No place of a group has a better score than this.
    fn bound(&self, loads: &Loads) -> Load {
        let all = if self.asks_for_part { loads.fullest } else { loads.fullest_open };
        self.best_between(loads.emptiest, all)
    }

    /// Neither has a place that is so full now.
    fn bound_of(&self, place: &Fill) -> Load {
        match self.policy {
            Placement::Pack => self.best_between(place.ppm, place.ppm),
            Placement::Spread | Placement::PrefixAffinity => {
                let own = place.own.saturating_add(self.adds_own);
                // What many share is fuller by less, and a place is as full as the fuller of both.
                Load { ppm: place.ppm.saturating_add(self.adds.0).max(own), own }
            }
        }
    }

    fn best_between(&self, emptiest: u64, fullest: u64) -> Load {
        let ppm = match self.policy {
            Placement::Pack => u64::MAX - fullest.saturating_add(self.adds.1),
            Placement::Spread | Placement::PrefixAffinity => emptiest.saturating_add(self.adds.0),
        };
        // Who packs takes who is full by itself first, which is as full as that.
        let may_have_less = self.shares && self.policy != Placement::Pack;
        Load { ppm, own: if may_have_less { 0 } else { ppm } }
    }
}

/// The best place so far: the one with the least score, and of equals the first.
struct Best<F> {
    score: F,
    found: Option<(Load, usize)>,
}

impl<F: Fn(usize) -> Option<Load>> Best<F> {
    fn look_at(&mut self, place: usize) {
        if let Some(score) = (self.score)(place)
            && self.is_beaten_by((score, place))
        {
            self.found = Some((score, place));
        }
    }

    fn is_beaten_by(&self, other: (Load, usize)) -> bool {
        self.found.is_none_or(|found| other < found)
    }
}

/// All places of a pool.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Rooms {
    rooms: Vec<Room>,
    capacities: Capacities,
    /// The most that any place can hold by itself.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    own: Resources,
    free: Maxima,
    fullness: Fullness,
    /// How many have something free of everything.
    open: usize,
    /// The places that have something else now than is known.
    changed: Marks,
    /// The most that those of them have free which were looked at and left as they are.
    recent: BriefUnits,
}

impl Rooms {
    /// Places with these capacities, of which nothing else is known yet. What they share has `shared`: of each thing at most
    /// what a place would have to use that it is full, and at least.
    pub(crate) fn new(
        capacities: impl Iterator<Item = Resources> + Clone,
        shared: impl Iterator<Item = Resources>,
    ) -> Self {
        let room = |capacity| Room { capacity, ..Room::default() };
        let rooms: Vec<Room> = capacities.clone().map(room).collect();
        let (places, own) = (rooms.len(), capacities.clone().fold(Resources::ZERO, Resources::max));
        Self {
            capacities: Capacities::of(capacities, shared),
            own,
            free: Maxima::new(places),
            fullness: Fullness::new(places),
            open: rooms.iter().filter(|room| room.is_open()).count(),
            changed: Marks::all(places),
            recent: BriefUnits::default(),
            rooms,
        }
    }

    /// What a snapshot leaves out is found again. O(places).
    #[cfg(feature = "snapshot")]
    pub(crate) fn rebuild(&mut self) {
        self.own = self.rooms.iter().map(|room| room.capacity).fold(Resources::ZERO, Resources::max);
    }

    /// A place has something else now.
    pub(crate) fn note(&mut self, place: usize) {
        self.changed.mark(place);
    }

    /// Somebody is about to search: `free_of` tells what a place has free now, and `load_of` how full it is.
    #[inline]
    pub(crate) fn refresh(&mut self, free_of: impl Fn(usize) -> Resources, load_of: impl Fn(usize) -> Load) {
        self.recent = BriefUnits::default();
        let room_of = |place: usize, capacity| Room { free: free_of(place), load: load_of(place), capacity };
        if self.changed.len() > RECENT {
            while let Some(place) = self.changed.take() {
                self.set(place, room_of(place, self.rooms[place].capacity));
            }
        } else {
            let mut index = 0;
            while let Some(place) = self.changed.get(index) {
                if self.is_recent(place, free_of(place), &load_of) {
                    index += 1;
                } else {
                    self.changed.take_at(index);
                }
            }
        }
        if self.are_many_open() {
            self.fullness.weigh(&self.rooms);
        }
    }

    /// A place has so much free now: whether it came free, and is to be looked at besides.
    #[inline]
    fn is_recent(&mut self, place: usize, free: Resources, load_of: impl Fn(usize) -> Load) -> bool {
        let known = &self.rooms[place];
        if known.free.fits(&free) {
            // Where there is more than was known nobody asks yet how full it is: 60 instructions of a cycle.
            if known.free == free && known.load == load_of(place) {
                return false;
            }
            self.recent = self.recent.max(&Brief::rounded_up(*free.as_array()));
            return true;
        }
        let capacity = known.capacity;
        self.set(place, Room { free, load: load_of(place), capacity });
        false
    }

    /// What a place has now.
    fn set(&mut self, place: usize, room: Room) {
        if self.rooms[place] == room && !self.fullness.unweighed.contains(place) {
            return;
        }
        self.free.set(place, room.free);
        self.open += usize::from(room.is_open());
        self.open -= usize::from(self.rooms[place].is_open());
        self.rooms[place] = room;
        self.fullness.unweighed.mark(place);
    }

    /// Whether it is worth knowing how full they are: a few are looked at one by one.
    fn are_many_open(&self) -> bool {
        self.open > FAN
    }

    /// The most that any place has free of each dimension, as far as is known.
    pub(crate) fn most_free(&self) -> BriefUnits {
        self.free.most().max(&self.recent)
    }

    /// How full a place will be at least with what is asked, in parts per million, for who weighs few of many.
    pub(crate) fn at_least(&self, asked: &Resources) -> impl Fn(usize) -> u64 + use<'_> {
        let prospect = self.prospect(asked, Placement::PrefixAffinity);
        move |place| {
            let is_known = !self.changed.contains(place);
            if is_known { prospect.bound_of(&Fill::of(&self.rooms[place])).ppm } else { 0 }
        }
    }

    fn prospect(&self, asked: &Resources, policy: Placement) -> Prospect {
        Prospect::new(asked, policy, &self.capacities, &self.own)
    }

    /// The first of the places with the least [`score`], of those that have what is asked and of one besides, as far as they
    /// will do. `load_with` is how full a place would be.
    pub(crate) fn best(
        &self,
        asked: &Resources,
        policy: Placement,
        besides: Option<usize>,
        will_do: impl Fn(usize) -> bool,
        load_with: impl Fn(usize) -> Load,
    ) -> Option<usize> {
        let brief = Brief::rounded_down(*asked.as_array());
        let has_some = brief.is_within(&self.free.most());
        // Where one came free, and no other has as much, it matters to nobody how full it would be: the usual turn.
        if !has_some
            && besides.is_none()
            && let Some(place) = self.changed.only()
        {
            return will_do(place).then_some(place);
        }
        let score_of = |place: usize| will_do(place).then(|| score(policy, load_with(place)));
        let mut best = Best { score: score_of, found: None };
        if !has_some {
            // None of those that are known.
        } else if self.are_many_open() {
            self.look_among(&brief, &self.prospect(asked, policy), &mut best);
        } else {
            let groups = 0..self.fullness.groups.len();
            let able = groups.filter(|&group| self.free.group_may_have(group, &brief));
            let places = able.flat_map(|group| self.free.places_with(group, &brief));
            places.for_each(|place| best.look_at(place));
        }
        self.changed.iter().chain(besides).for_each(|place| best.look_at(place));
        best.found.map(|(_, place)| place)
    }

    /// The most promising first, so that most others need not be looked at.
    fn look_among<F: Fn(usize) -> Option<Load>>(
        &self,
        brief: &BriefUnits,
        prospect: &Prospect,
        best: &mut Best<F>,
    ) {
        let Fullness { loads, groups, regions, .. } = &self.fullness;
        let first = (0..regions.len()).min_by_key(|&region| prospect.bound(&regions[region]));
        for region in first.into_iter().chain((0..regions.len()).filter(|&region| Some(region) != first)) {
            if !best.is_beaten_by((prospect.bound(&regions[region]), region * FAN * FAN)) {
                continue;
            }
            let able =
                maxima::members(region, groups.len()).filter(|&group| self.free.group_may_have(group, brief));
            let bound = |&group: &usize| prospect.bound(&groups[group]);
            let first = able.clone().min_by_key(bound);
            for group in first.into_iter().chain(able.filter(|&group| Some(group) != first)) {
                if !best.is_beaten_by((bound(&group), group * FAN)) {
                    continue;
                }
                for place in self.free.places_with(group, brief) {
                    if best.is_beaten_by((prospect.bound_of(&loads[place]), place)) {
                        best.look_at(place);
                    }
                }
            }
        }
    }

    /// Whether what is known of a place is true, or known to have changed.
    pub(crate) fn knows(&self, place: usize, room: &Room) -> bool {
        let Fullness { groups, regions, unweighed, .. } = &self.fullness;
        let (group, region) = (&groups[place / FAN], &regions[place / FAN / FAN]);
        self.changed.contains(place)
            || self.rooms[place] == *room
                && self.free.holds(place, room.free)
                && (unweighed.contains(place)
                    || [group, region].iter().all(|loads| loads.widened_by(&Fill::of(room)) == **loads))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::load_ppm;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_the_place_that_a_scan_finds(
            capacities in prop::collection::vec(prop::array::uniform3(0_u64..6), 1..70),
            steps in prop::collection::vec((0_usize..70, prop::array::uniform3(0_u64..7)), 0..120),
            shared in prop::option::of(1_u64..9),
            asked in prop::array::uniform3(0_u64..4),
            scale in prop::sample::select(alloc::vec![1_u64, 7, 1 << 38]),
            pack in any::<bool>(),
            late in 0_usize..4,
        ) {
            let resources = |units: [u64; 3]| Resources::from(units.map(|units| units * scale));
            let capacities: Vec<Resources> = capacities.into_iter().map(resources).collect();
            let mut used = alloc::vec![Resources::ZERO; capacities.len()];
            // Two and two share so much of the first thing, beyond which they can go.
            let limits = shared.map(|units| resources([units, 0, 0]));
            let mut rooms = Rooms::new(capacities.iter().copied(), limits.into_iter());
            let load = |used: &[Resources], place: usize, asked: Resources| {
                let both = used[place & !1] + used.get(place | 1).copied().unwrap_or_default() + asked;
                let own = Load::alone(load_ppm(used[place] + asked, capacities[place]));
                own.sharing(limits.map_or(0, |limits| load_ppm(both, limits)))
            };
            let room = |used: &[Resources], place: usize| {
                let capacity = capacities[place];
                let free = capacity.saturating_sub(used[place]);
                Room { free, load: load(used, place, Resources::ZERO), capacity }
            };
            rooms.refresh(|place| room(&used, place).free, |place| room(&used, place).load);
            let mut unseen = 0;
            for (place, units) in steps {
                let place = place % capacities.len();
                used[place] = resources(units);
                [place & !1, place | 1].into_iter().filter(|&one| one < capacities.len()).for_each(|one| rooms.note(one));
                unseen += 1;
                if unseen > late {
                    rooms.refresh(|place| room(&used, place).free, |place| room(&used, place).load);
                    unseen = 0;
                    let free = (0..capacities.len()).map(|place| room(&used, place).free);
                    let most = free.fold(Resources::ZERO, Resources::max);
                    prop_assert_eq!(rooms.most_free(), Brief::rounded_up(*most.as_array()));
                }
            }
            let policy = if pack { Placement::Pack } else { Placement::Spread };
            let asked = resources(asked);
            let will_do = |place: usize| asked.fits(&room(&used, place).free);
            let load_with = |place: usize| load(&used, place, asked);
            let score_of = |place: usize| (score(policy, load_with(place)), place);
            let scan = (0..capacities.len()).filter(|&place| will_do(place)).map(score_of).min();
            let best = rooms.best(&asked, policy, None, will_do, load_with);
            prop_assert_eq!(best, scan.map(|(_, place)| place));
            prop_assert!((0..capacities.len()).all(|place| rooms.knows(place, &room(&used, place))));
        }
    }

    #[test]
    fn looks_at_few_of_many_places() {
        let (places, capacity) = (4_096, Resources::from([16, 640]));
        let mut rooms = Rooms::new(core::iter::repeat_n(capacity, places), core::iter::empty());
        let taken = |place: usize| (place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
        let room = |place: usize| {
            let used = Resources::from([taken(place), 40 * taken(place)]);
            Room { free: capacity - used, load: Load::alone(load_ppm(used, capacity)), capacity }
        };
        rooms.refresh(|place| room(place).free, |place| room(place).load);
        for policy in [Placement::Pack, Placement::Spread] {
            let looks = core::cell::Cell::new(0);
            let load_with = |place: usize| {
                looks.set(looks.get() + 1);
                Load::alone(load_ppm(capacity - room(place).free + [1, 40].into(), capacity))
            };
            let will_do = |place: usize| Resources::from([1, 40]).fits(&room(place).free);
            let best = rooms.best(&[1, 40].into(), policy, None, will_do, load_with).expect("there is room");
            assert_eq!(taken(best), if policy == Placement::Pack { 15 } else { 0 });
            assert!(looks.get() <= FAN, "{} of {places} places", looks.get());
        }
    }
}
