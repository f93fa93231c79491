//! A generational slab: values in numbered slots that are used again, so that an old name is never taken
//! for a new value. O(1) everything; grows only when more values live than ever before.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Slot<T> {
    /// Counts the uses of the slot, from 1.
    generation: u32,
    value: Option<T>,
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

    /// Puts a value into a free slot; returns the slot and its generation.
    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        if let Some(number) = self.free.pop() {
            let slot = &mut self.slots[number as usize];
            slot.generation = slot.generation.wrapping_add(1).max(1);
            slot.value = Some(value);
            return (number, slot.generation);
        }
        let number = u32::try_from(self.slots.len()).expect("fewer slots than MAX_REQUESTS");
        self.slots.push(Slot { generation: 1, value: Some(value) });
        (number, 1)
    }

    /// Takes the value out; its slot is free for another.
    pub(crate) fn remove(&mut self, number: u32) -> T {
        let value = self.slots[number as usize].value.take().expect("the slot is taken");
        self.free.push(number);
        value
    }

    /// Forgets the value where it stands: a large one is not moved.
    pub(crate) fn forget(&mut self, number: u32) {
        let value = &mut self.slots[number as usize].value;
        assert!(value.is_some(), "the slot is taken");
        *value = None;
        self.free.push(number);
    }

    /// What the name `number` with `generation` refers to.
    pub(crate) fn lookup(&self, number: u32, generation: u32) -> Lookup {
        match self.slots.get(number as usize) {
            Some(slot) if slot.generation == generation && slot.value.is_some() => Lookup::Live,
            Some(slot) if generation != 0 && slot.generation >= generation => Lookup::Gone,
            _ => Lookup::Never,
        }
    }

    /// Whether a value lives in the slot.
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.slots.get(number as usize).is_some_and(|slot| slot.value.is_some())
    }

    /// The generation of a slot's present or last use.
    pub(crate) fn generation(&self, number: u32) -> u32 {
        self.slots[number as usize].generation
    }

    /// All values with their slots, in the order of the slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.slots).filter_map(|(number, slot)| Some((number, slot.value.as_ref()?)))
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        self.slots[number as usize].value.as_ref().expect("the slot is taken")
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        self.slots[number as usize].value.as_mut().expect("the slot is taken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_name_is_not_a_new_value() {
        let mut slab = Slab::new();
        let (slot, first) = slab.insert('a');
        assert_eq!(slab.remove(slot), 'a');
        let (again, second) = slab.insert('b');
        assert_eq!((again, slab.len()), (slot, 1));
        assert_eq!(slab.lookup(slot, first), Lookup::Gone);
        assert_eq!(slab.lookup(slot, second), Lookup::Live);
        assert_eq!(slab.lookup(slot, second + 1), Lookup::Never);
        assert_eq!(slab.lookup(slot + 1, 1), Lookup::Never);
        assert_eq!(slab.lookup(slot, 0), Lookup::Never);
    }
}
