//! What the workers of a pool have free and how full they are, by their places among those that are up: who fits a
//! request, and which of them best.
//!
//! Over groups of places it keeps the most that is free, the fullest and the emptiest, so that a search looks at few
//! places; how full they are only where many have room. What changed is only noted, O(1); it is looked at when somebody
//! is about to search ([`Rooms::refresh`]): O(group) for each place that changed. Until then a search looks at such
//! places besides; where only a few came free it does so for longer, because they are mostly taken at once, and are then as the
//! groups know them.

use alloc::vec::Vec;
use core::ops::Range;

use super::front::Front;
use super::places::{Own, Places};
use super::{Load, ppm, score, up_to_most};
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
        // All are looked at, without a branch for each.
        (0..MAX_DIMENSIONS).fold(true, |all, d| all & (self.capacity[d] == 0 || self.free[d] > 0))
    }
}

/// How full a place is, and whether it takes a request that asks for everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Fill {
    load: Load,
    is_open: bool,
}

impl Fill {
    fn of(room: &Room) -> Self {
        Self { load: room.load, is_open: room.is_open() }
    }
}

/// How full the places of a group are at most, and at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Loads {
    fullest: u32,
    /// Of those that have something free of everything.
    fullest_open: u32,
    emptiest: Front,
}

impl Loads {
    /// Of no places.
    const NONE: Self = Self { fullest: 0, fullest_open: 0, emptiest: Front::EMPTY };

    fn of(places: &[Fill]) -> Self {
        let mut all = Self::NONE;
        let (mut least, mut least_own) = (Load::FULLEST, u32::MAX);
        for place in places {
            all.fullest = all.fullest.max(place.load.ppm());
            all.fullest_open = all.fullest_open.max(if place.is_open { place.load.ppm() } else { 0 });
            least = least.min(place.load);
            least_own = least_own.min(place.load.own());
        }
        all.emptiest = Front::of(least, least_own, |below| {
            let emptier = places.iter().filter(|place| place.load.own() < below);
            emptier.fold(Load::FULLEST, |least, place| least.min(place.load))
        });
        all
    }

    /// Of several groups.
    fn of_all(groups: &[Self]) -> Self {
        let mut all = Self::NONE;
        let (mut least, mut least_own) = (Load::FULLEST, u32::MAX);
        for group in groups {
            all.fullest = all.fullest.max(group.fullest);
            all.fullest_open = all.fullest_open.max(group.fullest_open);
            least = least.min(group.emptiest.first());
            least_own = least_own.min(group.emptiest.least_own());
        }
        all.emptiest = Front::of(least, least_own, |below| {
            groups.iter().fold(Load::FULLEST, |least, group| least.min(group.emptiest.first_below(below)))
        });
        all
    }

    /// One group more.
    fn take_in(&mut self, group: &Self) {
        self.fullest = self.fullest.max(group.fullest);
        self.fullest_open = self.fullest_open.max(group.fullest_open);
        self.emptiest.add_all(&group.emptiest);
    }

    /// Whether what a group was and is no more tells nothing of this, of several groups.
    fn does_without(&self, former: &Self, now: &Self) -> bool {
        (former.fullest <= now.fullest || former.fullest < self.fullest)
            && (former.fullest_open <= now.fullest_open || former.fullest_open < self.fullest_open)
            && self.emptiest.does_without(&former.emptiest, &now.emptiest)
    }

    /// Whether a place that is so full changes nothing.
    fn cover(&self, place: &Fill) -> bool {
        self.fullest >= place.load.ppm()
            && (self.fullest_open >= place.load.ppm() || !place.is_open)
            && self.emptiest.covers(place.load)
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
            groups: alloc::vec![Loads::NONE; places.div_ceil(FAN)],
            regions: alloc::vec![Loads::NONE; places.div_ceil(FAN).div_ceil(FAN)],
            unweighed: Marks::all(places),
        }
    }

    fn weigh(&mut self, rooms: &[Room]) {
        let mut next = self.unweighed.take();
        while let Some(place) = next {
            let group = place / FAN;
            // Those that share something changed together, and mostly are of one group, which is looked at once for all.
            while let Some(place) = next.filter(|place| place / FAN == group) {
                self.loads[place] = Fill::of(&rooms[place]);
                next = self.unweighed.take();
            }
            let loads = self.group(group);
            let former = core::mem::replace(&mut self.groups[group], loads);
            if loads == former {
                continue;
            }
            let region = &mut self.regions[group / FAN];
            // Of 16 groups one is seldom the one that tells; then the others need not be gone through. What is kept may then be looser
            // than anew, and how full the emptiest is, which snapshots write, is the same.
            if region.does_without(&former, &loads) {
                region.take_in(&loads);
            } else {
                self.regions[group / FAN] = self.region(group / FAN);
            }
        }
    }

    fn group(&self, group: usize) -> Loads {
        Loads::of(&self.loads[maxima::members(group, self.loads.len())])
    }

    fn region(&self, region: usize) -> Loads {
        Loads::of_all(&self.groups[maxima::members(region, self.groups.len())])
    }

    /// What a snapshot leaves out is found again, of what was ever weighed. O(places).
    #[cfg(feature = "snapshot")]
    fn rebuild(&mut self) {
        for group in 0..self.groups.len() {
            let found = self.group(group).emptiest;
            let known = &mut self.groups[group].emptiest;
            if found.emptiest() == known.emptiest() {
                *known = found;
            }
        }
        for region in 0..self.regions.len() {
            self.regions[region].emptiest = self.region(region).emptiest;
        }
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

    fn unknown_owns(&self, places: usize) -> Vec<Option<Own>> {
        alloc::vec![None; if self.are_shared { places } else { 0 }]
    }
}

/// What places become by a request.
struct Prospect {
    policy: Placement,
    /// Whether a place that has nothing free of something may do.
    asks_for_part: bool,
    /// By how much it makes a place fuller at least, and what is its own.
    adds: Load,
    /// By how much it makes a place fuller at most, for who packs.
    adds_most: u32,
}

impl Prospect {
    fn new(asked: &Resources, policy: Placement, capacities: &Capacities, own: &Resources) -> Self {
        let (mut least, mut adds_most, mut asks_for_part) = (u32::MAX, 0, false);
        for d in (0..MAX_DIMENSIONS).filter(|&d| capacities.most[d] > 0) {
            // Rounded down, a sum has at most what its parts have, one of them rounded up.
            if policy == Placement::Pack {
                let most = asked[d].saturating_mul(1_000_000).div_ceil(capacities.least[d]);
                adds_most = adds_most.max(up_to_most(most));
            }
            least = least.min(ppm(asked[d], capacities.most[d]));
            asks_for_part |= asked[d] == 0;
        }
        let least = if least == u32::MAX { 0 } else { least };
        let by_itself = (0..MAX_DIMENSIONS).filter(|&d| capacities.are_shared && own[d] > 0);
        let adds_own = by_itself.map(|d| ppm(asked[d], own[d])).min().unwrap_or(least);
        Self { policy, asks_for_part, adds: Load::new(least, adds_own), adds_most }
    }

    /// No place of a group has a better score than this, or than the limit.
    #[inline]
    fn bound(&self, loads: &Loads, limit: Load) -> Load {
        match self.policy {
            Placement::Pack => {
                self.packed(if self.asks_for_part { loads.fullest } else { loads.fullest_open })
            }
            Placement::Spread | Placement::PrefixAffinity => loads.emptiest.least_with(self.adds, limit),
        }
    }

    /// Neither has a place that is so full now.
    fn bound_of(&self, place: &Fill) -> Load {
        match self.policy {
            Placement::Pack => self.packed(place.load.ppm()),
            // What many share is fuller by less, and a place is as full as the fuller of both.
            Placement::Spread | Placement::PrefixAffinity => place.load.with(self.adds),
        }
    }

    /// The best score where the fullest is so full: who packs takes who is full by itself first, which is as full as that.
    fn packed(&self, fullest: u32) -> Load {
        Load::alone(u32::MAX - fullest.saturating_add(self.adds_most))
    }
}

/// How full places will be at least with a request, in parts per million.
pub(crate) struct Outlook<'a> {
    rooms: &'a Rooms,
    prospect: Prospect,
}

impl Outlook<'_> {
    /// One place.
    #[inline]
    pub(crate) fn of(&self, place: usize) -> u32 {
        let is_known = !self.rooms.changed.contains(place);
        if is_known { self.prospect.bound_of(&Fill::of(&self.rooms.rooms[place])).ppm() } else { 0 }
    }

    /// Any. `load_with` is how full a place would be. O(places / 256).
    #[inline]
    pub(crate) fn of_any(&self, load_with: impl Fn(usize) -> Load) -> u32 {
        let Rooms { fullness, changed, .. } = self.rooms;
        if !self.rooms.are_many_open() {
            return 0; // they are not weighed
        }
        let regions = fullness.regions.iter();
        let known = regions.fold(Load::FULLEST, |limit, region| self.prospect.bound(region, limit));
        changed.iter().map(load_with).fold(known, Load::min).ppm()
    }
}

/// Of a few places, or groups, what each is no better than, the best first. Nothing is kept of those that are left: mostly one
/// is taken, and to work out a few again is less than to write all down.
struct Bounds<B, M> {
    /// What one is no better than, or the limit if that is less.
    bound: B,
    may_do: M,
    /// None is better than this.
    least: Load,
    members: Range<usize>,
    taken: Option<(Load, usize)>,
}

impl<B: Fn(usize, Load) -> Load, M: Fn(usize) -> bool> Bounds<B, M> {
    #[inline]
    fn new(members: Range<usize>, least: Load, bound: B, may_do: M) -> Self {
        Self { bound, may_do, least, members, taken: None }
    }

    /// None that is left stands before this one would, with such a bound.
    #[inline]
    fn floor(&self) -> (Load, usize) {
        self.taken.map_or((self.least, self.members.start), |(bound, member)| (bound, member + 1))
    }

    /// Takes the most promising of those that may do, and of equals the first.
    #[inline]
    fn take_first(&mut self) -> Option<(Load, usize)> {
        let floor = self.floor();
        let (mut least, mut first) = (Load::FULLEST, None);
        for member in self.members.clone() {
            let bound = (self.bound)(member, least);
            let is_behind = first.is_some() && least <= bound;
            let was_taken = || self.taken.is_some() && (bound, member) < floor;
            if is_behind || was_taken() || !(self.may_do)(member) {
                continue;
            }
            (least, first) = (bound, Some(member));
            // Nearly always there is one that is as good as all are together, and no other need be weighed.
            if bound <= floor.0 {
                break;
            }
        }
        self.taken = first.map(|member| (least, member));
        self.taken
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
    /// What was in use of each place when it was looked at, where that alone tells how full it is.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    uses: Vec<Option<Resources>>,
    /// What is each place's own, as far as that is known and did not change; empty where nobody shares anything.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    owns: Vec<Option<Own>>,
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
        let capacities = Capacities::of(capacities, shared);
        Self {
            capacities,
            own,
            owns: capacities.unknown_owns(places),
            uses: alloc::vec![None; places],
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
        self.fullness.rebuild();
        // How full they are is asked once more.
        self.uses = alloc::vec![None; self.rooms.len()];
        self.owns = self.capacities.unknown_owns(self.rooms.len());
    }

    /// A place has something else now, of its own.
    #[inline]
    pub(crate) fn note(&mut self, place: usize) {
        self.note_shared(place);
        if let Some(own) = self.owns.get_mut(place) {
            *own = None;
        }
    }

    /// What a place shares is another now.
    #[inline]
    pub(crate) fn note_shared(&mut self, place: usize) {
        self.changed.mark(place);
    }

    /// Somebody is about to search.
    #[inline]
    pub(crate) fn refresh(&mut self, places: &impl Places) {
        self.recent = BriefUnits::default();
        if self.changed.len() > RECENT {
            self.set_changed(places);
        } else {
            let mut index = 0;
            while let Some(place) = self.changed.get(index) {
                if self.is_recent(place, places) {
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

    #[inline(never)] // seldom, and what is done for few is short without it
    fn set_changed(&mut self, places: &impl Places) {
        while let Some(place) = self.changed.take() {
            match self.own_of(place, places) {
                Some(own) => {
                    let (free, load) = own.with(places.device(own.part.device));
                    self.set(place, free, None, load);
                }
                None => self.set(place, places.free(place), places.in_use(place), places.load(place)),
            }
        }
    }

    /// What a place on one device has by itself.
    #[inline]
    fn own_of(&mut self, place: usize, places: &impl Places) -> Option<Own> {
        let own = self.owns.get_mut(place)?;
        if own.is_none() {
            *own = places.own(place);
        }
        *own
    }

    /// A place has other units free now: whether it came free, and is to be looked at besides.
    #[inline]
    fn is_recent(&mut self, place: usize, places: &impl Places) -> bool {
        let (known, free) = (&self.rooms[place], places.free(place));
        if known.free.fits(&free) {
            // Where there is more than was known nobody asks yet how full it is: 60 instructions of a cycle. One that came free
            // and was taken is as full as it was: 80, and a division for each dimension.
            let is_as_full =
                || self.is_used_alike(place, places.in_use(place)) || known.load == places.load(place);
            if known.free == free && is_as_full() {
                return false;
            }
            self.recent = self.recent.max(&Brief::rounded_up(*free.as_array()));
            return true;
        }
        self.set(place, free, places.in_use(place), places.load(place));
        false
    }

    /// Whether so much of a place was in use when it was looked at, and it is as full as then.
    #[inline]
    fn is_used_alike(&self, place: usize, used: Option<Resources>) -> bool {
        used.is_some() && self.uses[place] == used
    }

    /// What a place has now.
    fn set(&mut self, place: usize, free: Resources, used: Option<Resources>, load: Load) {
        self.uses[place] = used;
        let room = &mut self.rooms[place];
        let has_as_much = room.free == free;
        if has_as_much && room.load == load {
            return;
        }
        room.load = load;
        self.fullness.unweighed.mark(place);
        // Where others on a device changed, it has mostly as much.
        if !has_as_much {
            self.open -= usize::from(room.is_open());
            room.free = free;
            self.open += usize::from(room.is_open());
            self.free.set(place, free);
        }
    }

    /// Whether it is worth knowing how full they are: a few are looked at one by one.
    fn are_many_open(&self) -> bool {
        self.open > FAN
    }

    /// The most that any place has free of each dimension, as far as is known.
    pub(crate) fn most_free(&self) -> BriefUnits {
        self.free.most().max(&self.recent)
    }

    /// How full places will be at least with what is asked, for who weighs few of many.
    #[inline]
    pub(crate) fn outlook(&self, asked: &Resources) -> Outlook<'_> {
        Outlook { rooms: self, prospect: self.prospect(asked, Placement::PrefixAffinity) }
    }

    fn prospect(&self, asked: &Resources, policy: Placement) -> Prospect {
        Prospect::new(asked, policy, &self.capacities, &self.own)
    }

    /// The first of the places with the least [`score`], of those that have what is asked and of one besides, as far as they
    /// will do; and that score, where it was asked. `load_with` is how full a place would be.
    pub(crate) fn best(
        &self,
        asked: &Resources,
        policy: Placement,
        besides: Option<usize>,
        will_do: impl Fn(usize) -> bool,
        load_with: impl Fn(usize) -> Load,
    ) -> Option<(usize, Option<Load>)> {
        let brief = Brief::rounded_down(*asked.as_array());
        let has_some = brief.is_within(&self.free.most());
        // Where one came free, and no other has as much, it matters to nobody how full it would be: the usual turn.
        if !has_some
            && besides.is_none()
            && let Some(place) = self.changed.only()
        {
            return will_do(place).then_some((place, None));
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
        best.found.map(|(score, place)| (place, Some(score)))
    }

    /// The most promising first, so that most others need not be looked at.
    fn look_among<F: Fn(usize) -> Option<Load>>(
        &self,
        brief: &BriefUnits,
        prospect: &Prospect,
        best: &mut Best<F>,
    ) {
        let Fullness { loads, groups, regions, .. } = &self.fullness;
        for first in (0..regions.len()).step_by(FAN) {
            let all = maxima::members(first / FAN, regions.len());
            // Nothing is known of all together: none is better than empty.
            let bound = |region: usize, limit| prospect.bound(&regions[region], limit);
            let mut most = Bounds::new(all, Load::default(), bound, |_| true);
            while let Some((least, region)) = most.take_first()
                && best.is_beaten_by((least, region * FAN * FAN))
            {
                let bound = |group: usize, limit| prospect.bound(&groups[group], limit);
                let may_do = |group| self.free.group_may_have(group, brief);
                let mut able = Bounds::new(maxima::members(region, groups.len()), least, bound, may_do);
                let first_of = |(bound, group)| (bound, group * FAN);
                while best.is_beaten_by(first_of(able.floor()))
                    && let Some((least, group)) = able.take_first()
                    && best.is_beaten_by(first_of((least, group)))
                {
                    let bound = |place: usize, _| prospect.bound_of(&loads[place]);
                    let may_do = |place| self.free.may_have(place, brief);
                    let mut able = Bounds::new(maxima::members(group, loads.len()), least, bound, may_do);
                    while best.is_beaten_by(able.floor())
                        && let Some(bounded) = able.take_first()
                        && best.is_beaten_by(bounded)
                    {
                        best.look_at(bounded.1);
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
                    || [group, region].iter().all(|loads| loads.cover(&Fill::of(room))))
    }
}

#[cfg(test)]
mod tests;
