//! The waiting requests of other pools that one pool could serve: by tier, then by arrival. And those of all pools that
//! nothing can hold where they are: by arrival.
//!
//! A tree for each tier, in nodes of the pool's own, because a request stands in several pools' lists at once: nodes that were
//! ever needed are used again, so that nothing is allocated in steady state. Knows slots and sequences, not requests.
//! Insert and remove O(log n), the first few of a tier O(as many).

use crate::config::MAX_TIERS;
use crate::id::Tier;
use crate::tree::{Nodes, Numbers, Tree};

/// A tier, a sequence, and the slot of the request that has them.
pub(super) type Roamer = (Tier, u64, u32);

/// Few roam in most pools, and many in some.
const FAN: usize = 16;

#[derive(Debug)]
pub(super) struct Roamers {
    /// By tier and sequence.
    nodes: Nodes<(u8, u64), FAN>,
    tiers: [Tree; MAX_TIERS],
    len: usize,
    /// Those of a snapshot, until it is known which slots there are.
    #[cfg(feature = "snapshot")]
    read: alloc::vec::Vec<Roamer>,
}

impl Roamers {
    pub(super) fn new() -> Self {
        Self {
            nodes: Nodes::new(),
            tiers: [Tree::default(); MAX_TIERS],
            len: 0,
            #[cfg(feature = "snapshot")]
            read: alloc::vec::Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn contains(&self, (tier, sequence, slot): Roamer) -> bool {
        self.nodes.contains(slot) && self.nodes.key(slot) == (tier.get(), sequence)
    }

    /// One that is not there.
    pub(super) fn insert(&mut self, (tier, sequence, slot): Roamer) {
        let key = (tier.get(), sequence);
        self.tiers[tier.index()].insert(&mut self.nodes, key, slot, Numbers::default());
        self.len += 1;
    }

    /// One that may be there.
    pub(super) fn remove(&mut self, roamer: Roamer) {
        let (tier, _, slot) = roamer;
        if self.contains(roamer) {
            self.tiers[tier.index()].remove(&mut self.nodes, slot);
            self.len -= 1;
        }
    }

    /// The slots of a tier's, the first that arrived first.
    pub(super) fn of_tier(&self, tier: Tier) -> impl Iterator<Item = u32> + use<'_> {
        self.tiers[tier.index()].iter(&self.nodes)
    }

    /// Those of a tier that did not arrive before one of a sequence, in the same order.
    pub(super) fn of_tier_from(&self, tier: Tier, sequence: u64) -> impl Iterator<Item = u32> + use<'_> {
        self.tiers[tier.index()].iter_from(&self.nodes, (tier.get(), sequence))
    }

    /// The sequence of a tier's last.
    pub(super) fn last_of(&self, tier: Tier) -> Option<u64> {
        self.tiers[tier.index()].last_key(&self.nodes).map(|(_, sequence)| sequence)
    }

    /// All of them, tier by tier.
    pub(super) fn iter(&self) -> impl Iterator<Item = Roamer> + use<'_> {
        let tiers = (0..MAX_TIERS as u8).map(Tier::new);
        tiers.flat_map(move |tier| self.of_tier(tier).map(move |slot| (tier, self.nodes.key(slot).1, slot)))
    }

    /// Those that a snapshot names are there, as far as they are of slots that there are.
    #[cfg(feature = "snapshot")]
    pub(super) fn rebuild(&mut self, is_live: impl Fn(u32) -> bool) {
        for roamer in core::mem::take(&mut self.read) {
            let (tier, _, slot) = roamer;
            if tier.index() < MAX_TIERS && is_live(slot) && !self.nodes.contains(slot) {
                self.insert(roamer);
            }
        }
    }
}

/// The waiting requests that nothing can hold where they are, and other pools may: by arrival.
#[derive(Debug)]
pub(super) struct Homeless(Roamers);

impl Homeless {
    /// Whoever it is of, its tier does not matter.
    const ANY: Tier = Tier::P0;

    pub(super) fn new() -> Self {
        Self(Roamers::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One that may be there.
    pub(super) fn insert(&mut self, sequence: u64, slot: u32) {
        let entry = (Self::ANY, sequence, slot);
        if !self.0.contains(entry) {
            self.0.insert(entry);
        }
    }

    /// One that may be there.
    pub(super) fn remove(&mut self, sequence: u64, slot: u32) {
        self.0.remove((Self::ANY, sequence, slot));
    }

    /// The slot of the first that arrived, which is there no more.
    #[inline]
    pub(super) fn pop_first(&mut self) -> Option<u32> {
        let slot = self.0.of_tier(Self::ANY).next()?;
        self.0.remove((Self::ANY, self.0.nodes.key(slot).1, slot));
        Some(slot)
    }

    /// As that of [`Roamers`].
    #[cfg(feature = "snapshot")]
    pub(super) fn rebuild(&mut self, is_live: impl Fn(u32) -> bool) {
        self.0.rebuild(is_live);
    }
}

#[cfg(feature = "snapshot")]
impl serde::Serialize for Homeless {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.iter().map(|(_, sequence, slot)| (sequence, slot));
        entries.collect::<alloc::vec::Vec<_>>().serialize(out)
    }
}

#[cfg(feature = "snapshot")]
impl<'de> serde::Deserialize<'de> for Homeless {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = alloc::vec::Vec::<(u64, u32)>::deserialize(from)?;
        let read = read.into_iter().map(|(sequence, slot)| (Self::ANY, sequence, slot)).collect();
        Ok(Self(Roamers { read, ..Roamers::new() }))
    }
}

/// As a list of all, whatever nodes they stand in.
#[cfg(feature = "snapshot")]
impl serde::Serialize for Roamers {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.iter().collect::<alloc::vec::Vec<_>>().serialize(out)
    }
}

#[cfg(feature = "snapshot")]
impl<'de> serde::Deserialize<'de> for Roamers {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self { read: alloc::vec::Vec::deserialize(from)?, ..Self::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_a_set_that_is_in_order(steps in prop::collection::vec((0_u32..40, 0_u8..3, any::<bool>()), 0..200)) {
            let (mut roamers, mut set) = (Roamers::new(), BTreeSet::<Roamer>::new());
            for (sequence, (slot, tier, comes)) in (0..).zip(steps) {
                let known = set.iter().copied().find(|&(.., other)| other == slot);
                match known {
                    Some(roamer) => {
                        prop_assert!(roamers.contains(roamer));
                        roamers.remove(roamer);
                        set.remove(&roamer);
                    }
                    None if comes => {
                        let roamer = (Tier::new(tier), sequence, slot);
                        roamers.insert(roamer);
                        set.insert(roamer);
                    }
                    None => roamers.remove((Tier::new(tier), sequence, slot)),
                }
                prop_assert_eq!((roamers.len(), roamers.is_empty()), (set.len(), set.is_empty()));
                prop_assert!(roamers.iter().eq(set.iter().copied()));
                let first = |&(tier, ..): &Roamer| tier == Tier::new(1);
                let of_tier: Vec<u32> = set.iter().filter(|roamer| first(roamer)).map(|&(.., slot)| slot).collect();
                prop_assert!(roamers.of_tier(Tier::new(1)).eq(of_tier));
            }
        }

        #[test]
        fn the_homeless_are_a_set_by_arrival(steps in prop::collection::vec((0_u32..40, 0_u8..4), 0..200)) {
            let (mut homeless, mut set) = (Homeless::new(), BTreeSet::<(u64, u32)>::new());
            // Whoever has a slot has one sequence.
            for (slot, verb) in steps {
                let sequence = u64::from(slot) * 7 % 40;
                match verb {
                    0 | 1 => {
                        homeless.insert(sequence, slot);
                        set.insert((sequence, slot));
                    }
                    2 => {
                        homeless.remove(sequence, slot);
                        set.remove(&(sequence, slot));
                    }
                    _ => prop_assert_eq!(homeless.pop_first(), set.pop_first().map(|(_, slot)| slot)),
                }
                prop_assert_eq!(homeless.is_empty(), set.is_empty());
            }
        }
    }
}
