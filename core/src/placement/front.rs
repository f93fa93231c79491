//! How full the emptiest of many places are, where what a place has by itself and what it shares with others count apart.
//!
//! A *front* holds those that are not at least as full as another in both ways: whatever a request adds to either, of all
//! places one of those becomes the least full. Bounded: of too many, two are kept as one that is emptier than both. Knows
//! no places. O(1).

use super::Load;

/// How many are told apart: 16 places are mostly those of four devices, of which each has one that is emptiest by itself.
const KEPT: usize = 4;

/// Stands behind all that are kept.
const NONE: Load = Load::FULLEST;

/// The least full first; each that follows is less full by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front([Load; KEPT]);

impl Front {
    /// Of no places.
    pub(super) const EMPTY: Self = Self([NONE; KEPT]);

    /// Of places of which this is the least, and so much the least that one has by itself; and the least of those that have less
    /// than so much by themselves is found.
    pub(super) fn of(least: Load, least_own: u32, least_below: impl Fn(u32) -> Load) -> Self {
        let mut all = [least, NONE, NONE, NONE];
        for next in 1..KEPT {
            // Mostly nobody is emptier by itself than the least of all.
            if all[next - 1].own() == least_own {
                return Self(all);
            }
            all[next] = least_below(all[next - 1].own());
        }
        // Those behind the last are fuller, and emptier by themselves.
        all[KEPT - 1] = Load::new(all[KEPT - 1].ppm(), least_own);
        Self(all)
    }

    /// The least.
    #[inline]
    pub(super) fn first(&self) -> Load {
        self.0[0]
    }

    /// The least of those that are less full by themselves than so much, or one as full as can be.
    #[inline]
    pub(super) fn first_below(&self, own: u32) -> Load {
        self.0.iter().copied().find(|load| load.own() < own).unwrap_or(NONE)
    }

    /// How full the emptiest by itself is.
    #[inline]
    pub(super) fn least_own(&self) -> u32 {
        self.0.iter().fold(u32::MAX, |least, load| least.min(load.own()))
    }

    /// Whether a place that is so full changes nothing.
    #[inline]
    pub(super) fn covers(&self, load: Load) -> bool {
        let mut emptier = self.0.iter().take_while(|known| known.ppm() <= load.ppm());
        emptier.any(|known| known.own() <= load.own())
    }

    /// One place more.
    #[inline]
    pub(super) fn add(&mut self, load: Load) {
        if !self.covers(load) {
            self.take_in(load);
        }
    }

    fn take_in(&mut self, load: Load) {
        let all = &mut self.0;
        let at = all.iter().take_while(|known| known.ppm() < load.ppm()).count();
        // Of those that are fuller it covers the first, which are fuller by themselves too.
        let covered = all[at..].iter().take_while(|known| known.own() >= load.own()).count();
        if covered > 0 {
            all.copy_within(at + covered.., at + 1);
            all[KEPT + 1 - covered..].fill(NONE);
            all[at] = load;
            return;
        }
        let mut left_over = load;
        if at < KEPT {
            left_over = all[KEPT - 1];
            all.copy_within(at..KEPT - 1, at + 1);
            all[at] = load;
        }
        // Who is fullest of all, and emptiest by itself, is seldom the best.
        let last = &mut all[KEPT - 1];
        *last = Load::new(last.ppm(), last.own().min(left_over.own()));
    }

    /// What a snapshot has of it.
    #[cfg(feature = "snapshot")]
    pub(super) fn emptiest(&self) -> u32 {
        self.0[0].ppm()
    }

    /// The places of another besides.
    pub(super) fn add_all(&mut self, other: &Self) {
        other.0.iter().take_while(|&&load| load != NONE).for_each(|&load| self.add(load));
    }

    /// Whether a part of it can go that has become another: what is gone of that was never kept, nor made one of two.
    pub(super) fn does_without(&self, former: &Self, now: &Self) -> bool {
        let mut gone = former.0.iter().take_while(|&&load| load != NONE).filter(|load| !now.0.contains(load));
        // One that was made of two is as full as one of them, and by itself as the other.
        let stems = |kept: &Load, load: &Load| {
            let (ppm, own) = (kept.ppm(), kept.own());
            ppm == load.ppm() && own <= load.own() || own == load.own() && ppm <= load.ppm()
        };
        let tells = |load: &Load| self.0.iter().any(|kept| stems(kept, load));
        !gone.any(tells)
    }

    /// No place has less than this with so much more: the least of what those have then that are kept, up to the limit.
    #[inline]
    pub(super) fn least_with(&self, more: Load, limit: Load) -> Load {
        let mut least = limit;
        for load in &self.0 {
            // Those that follow are fuller still.
            if load.ppm().saturating_add(more.ppm()) > least.ppm() {
                break;
            }
            least = least.min(load.with(more));
        }
        least
    }
}

/// A snapshot has how full the emptiest is; the rest is found again.
#[cfg(feature = "snapshot")]
impl serde::Serialize for Front {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.emptiest().serialize(out)
    }
}

#[cfg(feature = "snapshot")]
impl<'de> serde::Deserialize<'de> for Front {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let ppm = u64::deserialize(from)?;
        let emptiest = Load::from((ppm, ppm));
        Ok(Self([emptiest, NONE, NONE, NONE]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn front_of(loads: &[Load]) -> Front {
        let mut front = Front::EMPTY;
        loads.iter().for_each(|&load| front.add(load));
        front
    }

    proptest! {
        #[test]
        fn all_at_once_is_as_good_as_one_by_one(
            places in prop::collection::vec((0_u32..12, 0_u32..8), 0..20),
            (shared, own) in (0_u32..12, 0_u32..24),
        ) {
            let load = |&(own, more): &(u32, u32)| Load::alone(own).sharing(12 - own + more);
            let loads: Vec<Load> = places.iter().map(load).collect();
            let (one_by_one, more) = (front_of(&loads), Load::new(shared, own));
            let least_own = loads.iter().map(|load| load.own()).min().unwrap_or(u32::MAX);
            let below = |own: u32| loads.iter().copied().filter(move |load| load.own() < own);
            let first = loads.iter().copied().min().unwrap_or(NONE);
            let front = Front::of(first, least_own, |own| below(own).min().unwrap_or(NONE));
            prop_assert!(loads.iter().all(|&load| front.covers(load)));
            prop_assert!(front.least_with(more, NONE) >= one_by_one.least_with(more, NONE));
            let least = loads.iter().map(|load| load.with(more)).min();
            prop_assert!(front.least_with(more, NONE) <= least.unwrap_or(NONE));
            prop_assert_eq!(front.0[0].ppm(), one_by_one.0[0].ppm());
            prop_assert_eq!(front.least_own(), least_own);
            for own in 0..24 {
                let first = front.0.iter().copied().find(|load| load.own() < own);
                prop_assert_eq!(front.first_below(own), first.unwrap_or(NONE));
            }
            for limit in [Load::new(own, shared), NONE] {
                prop_assert_eq!(front.least_with(more, limit), front.least_with(more, NONE).min(limit));
            }
        }

        #[test]
        fn what_told_nothing_goes_and_all_is_as_if_it_had_never_been(
            groups in prop::array::uniform3(prop::collection::vec((0_u32..12, 0_u32..8), 0..5)),
            (shared, own) in (0_u32..12, 0_u32..24),
        ) {
            let load = |&(own, more): &(u32, u32)| Load::alone(own).sharing(12 - own + more);
            let [former, now, others] = groups.map(|group| group.iter().map(load).collect::<Vec<_>>());
            let were_too_many = others.len() + former.len() > KEPT;
            let mut front = front_of(&others);
            front.add_all(&front_of(&former));
            let (all, more) = ([others, now.clone()].concat(), Load::new(shared, own));
            if front.does_without(&front_of(&former), &front_of(&now)) {
                front.add_all(&front_of(&now));
                let least = all.iter().map(|load| load.with(more)).min();
                prop_assert!(front.least_with(more, NONE) <= least.unwrap_or(NONE));
                prop_assert_eq!(front.0[0].ppm(), front_of(&all).0[0].ppm());
                prop_assert!(all.iter().all(|&load| front.covers(load)));
                if !were_too_many && all.len() <= KEPT {
                    prop_assert_eq!(front.least_with(more, NONE), least.unwrap_or(NONE));
                }
            }
        }

        #[test]
        fn the_least_of_a_front_is_the_least_of_all_and_never_more(
            places in prop::collection::vec((0_u32..12, 0_u32..8), 0..20),
            (shared, own) in (0_u32..12, 0_u32..24),
        ) {
            // Mostly the fuller is emptier by itself, so that there are many to be kept.
            let load = |&(own, more): &(u32, u32)| Load::alone(own).sharing(12 - own + more);
            let loads: Vec<Load> = places.iter().map(load).collect();
            let is_within = |one: &Load, other: &Load| one.ppm() <= other.ppm() && one.own() <= other.own();
            let (mut front, mut best, mut were_too_many) = (Front::EMPTY, Vec::<Load>::new(), false);
            for load in &loads {
                front.add(*load);
                if !best.iter().any(|known| is_within(known, load)) {
                    best.retain(|known| !is_within(load, known));
                    best.push(*load);
                }
                were_too_many |= best.len() > KEPT;
            }
            let more = Load::new(shared, own);
            let (least, first) = (front.least_with(more, NONE), loads.iter().map(|load| load.with(more)).min());
            prop_assert!(least <= first.unwrap_or(NONE));
            prop_assert!(loads.iter().all(|&load| front.covers(load)));
            prop_assert!(front.0.is_sorted_by_key(|load| load.ppm()));
            if !were_too_many {
                best.sort_unstable();
                let kept = front.0.iter().take_while(|&&load| load != NONE);
                prop_assert_eq!(kept.copied().collect::<Vec<_>>(), best);
                prop_assert_eq!(least, first.unwrap_or(NONE));
            }
        }
    }
}
