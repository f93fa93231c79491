//! A generational slab: values in numbered slots that are used again, so that an old name is never taken
//! for a new value. O(1) everything; grows only when more values live than ever before.
//!
//! A value stays where it stands when it is forgotten, until its slot is used again: so a number leads to its value by one
//! comparison, and not by a second for whether anything is there. Whoever has a number knows that; a debug build asks.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Slot<T> {
    /// Counts the uses of the slot, from 1.
    generation: u32,
    is_live: bool,
    /// What lives in it, or did last.
    value: T,
}

/// Values by slot number.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

/// What a name refers to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// A value that lives.
    Live,
    /// One that lived once.
    Gone,
    /// Nothing, ever.
    Never,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// How many values live.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// What stands where the next value will, if one did: it goes then.
    pub(crate) fn next_to_go(&self) -> Option<&T> {
        self.free.last().map(|&number| &self.slots[number as usize].value)
    }

    /// Puts a value into a free slot; returns the slot and its generation. In line, so that a large one is made where it
    /// stands.
    #[inline(always)]
    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        if let Some(number) = self.free.pop() {
            let slot = &mut self.slots[number as usize];
            slot.generation = slot.generation.wrapping_add(1).max(1);
            (slot.is_live, slot.value) = (true, value);
            return (number, slot.generation);
        }
        (self.push(value), 1)
    }

    /// Puts a value into a slot that there was not before.
    #[cold]
    #[inline(never)]
    fn push(&mut self, value: T) -> u32 {
        let number = u32::try_from(self.slots.len()).expect("fewer slots than MAX_REQUESTS");
        self.slots.push(Slot { generation: 1, is_live: true, value });
        number
    }

    /// Puts a copy of the value of one slot into a free one, and returns that.
    #[inline]
    pub(crate) fn copy(&mut self, from: u32) -> u32
    where
        T: Copy,
    {
        let Some(number) = self.free.pop() else {
            return self.insert(self[from]).0;
        };
        let value = self.slots[from as usize].value;
        let slot = &mut self.slots[number as usize];
        slot.generation = slot.generation.wrapping_add(1).max(1);
        (slot.is_live, slot.value) = (true, value);
        number
    }

    /// Frees the slot for another value; what was there can be read until then.
    pub(crate) fn forget(&mut self, number: u32) -> &mut T {
        let slot = &mut self.slots[number as usize];
        assert!(core::mem::take(&mut slot.is_live), "the slot is taken");
        self.free.push(number);
        &mut slot.value
    }

    /// What the name `number` with `generation` refers to.
    pub(crate) fn lookup(&self, number: u32, generation: u32) -> Lookup {
        match self.slots.get(number as usize) {
            Some(slot) if slot.generation == generation && slot.is_live => Lookup::Live,
            Some(slot) if generation != 0 && slot.generation >= generation => Lookup::Gone,
            _ => Lookup::Never,
        }
    }

    /// Whether a value lives in the slot.
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.slots.get(number as usize).is_some_and(|slot| slot.is_live)
    }

    /// The generation of a slot's present or last use.
    pub(crate) fn generation(&self, number: u32) -> u32 {
        self.slots[number as usize].generation
    }

    /// All values with their slots, in the order of the slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let taken = (0..).zip(&self.slots).filter(|(_, slot)| slot.is_live);
        taken.map(|(number, slot)| (number, &slot.value))
    }
}

/// A slab as a snapshot has it, with something else in the place of each value.
#[cfg(feature = "snapshot")]
impl<T> Slab<T> {
    pub(crate) fn write_as<'a, S: serde::Serializer, U: serde::Serialize>(
        &'a self,
        out: S,
        of: impl Fn(&'a T) -> U,
    ) -> Result<S::Ok, S::Error> {
        use serde::Serialize;
        (Slots { slots: &self.slots, of }, &self.free).serialize(out)
    }

    pub(crate) fn map<U>(self, mut to: impl FnMut(T) -> U) -> Slab<U> {
        let Self { slots, free } = self;
        let slots = slots.into_iter().map(|Slot { generation, is_live, value }| {
            let value = to(value);
            Slot { generation, is_live, value }
        });
        Slab { slots: slots.collect(), free }
    }
}

#[cfg(feature = "snapshot")]
struct Slots<'a, T, F> {
    slots: &'a [Slot<T>],
    of: F,
}

#[cfg(feature = "snapshot")]
impl<'a, T, U: serde::Serialize, F: Fn(&'a T) -> U> serde::Serialize for Slots<'a, T, F> {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.slots.iter().map(|slot| (slot.generation, slot.is_live, (self.of)(&slot.value))))
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: u32) -> &T {
        let slot = &self.slots[number as usize];
        debug_assert!(slot.is_live, "the slot is taken");
        &slot.value
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut T {
        let slot = &mut self.slots[number as usize];
        debug_assert!(slot.is_live, "the slot is taken");
        &mut slot.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_name_is_not_a_new_value() {
        let mut slab = Slab::new();
        let (slot, first) = slab.insert('a');
        assert_eq!(*slab.forget(slot), 'a');
        let (again, second) = slab.insert('b');
        assert_eq!((again, slab.len()), (slot, 1));
        assert_eq!(slab.lookup(slot, first), Lookup::Gone);
        assert_eq!(slab.lookup(slot, second), Lookup::Live);
        assert_eq!(slab.lookup(slot, second + 1), Lookup::Never);
        assert_eq!(slab.lookup(slot + 1, 1), Lookup::Never);
        assert_eq!(slab.lookup(slot, 0), Lookup::Never);
    }
}
