//! A binary heap of slots by key, from which any slot can be taken: O(log n) insert and remove, O(1) peek.
//! Equal keys leave in the order of their slots' sequence, which callers put into the key.

mod agenda;

use alloc::vec::Vec;

pub(crate) use agenda::Agenda;

const ABSENT: u32 = u32::MAX;

/// Slots, the least key first; a slot is in it at most once.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Heap<K> {
    entries: Vec<(K, u32)>,
    /// Where each slot stands in `entries`.
    places: Vec<u32>,
}

impl<K: Ord + Copy> Heap<K> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), places: Vec::new() }
    }

    pub(crate) fn peek(&self) -> Option<(K, u32)> {
        self.entries.first().copied()
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.places.get(slot as usize).is_some_and(|&place| place != ABSENT)
    }

    /// Puts `slot` in; it must not be in yet.
    pub(crate) fn insert(&mut self, key: K, slot: u32) {
        debug_assert!(!self.contains(slot), "a slot has one timer");
        if self.places.len() <= slot as usize {
            self.places.resize(slot as usize + 1, ABSENT);
        }
        self.entries.push((key, slot));
        self.sift_up(self.entries.len() - 1);
    }

    /// Takes `slot` out, if it is in.
    #[inline(always)]
    pub(crate) fn remove(&mut self, slot: u32) {
        if self.contains(slot) {
            self.take_out(slot);
        }
    }

    fn take_out(&mut self, slot: u32) {
        let place = core::mem::replace(&mut self.places[slot as usize], ABSENT) as usize;
        self.entries.swap_remove(place);
        if place < self.entries.len() {
            self.sift_down(place);
            self.sift_up(place);
        }
    }

    fn sift_up(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.entries[parent] <= self.entries[place] {
                break;
            }
            self.entries.swap(parent, place);
            self.settle(place);
            place = parent;
        }
        self.settle(place);
    }

    fn sift_down(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let Some(least) =
                (left..self.entries.len().min(left + 2)).min_by_key(|&child| self.entries[child])
            else {
                break;
            };
            if self.entries[place] <= self.entries[least] {
                break;
            }
            self.entries.swap(place, least);
            self.settle(place);
            place = least;
        }
        self.settle(place);
    }

    fn settle(&mut self, place: usize) {
        let slot = self.entries[place].1;
        self.places[slot as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_in_order_after_removals() {
        let mut heap = Heap::new();
        let mut keys: Vec<u32> = (0..200).map(|slot| slot * 7919 % 211).collect();
        for (slot, &key) in (0..).zip(&keys) {
            heap.insert(key, slot);
        }
        for slot in (0..200).step_by(3) {
            heap.remove(slot);
            heap.remove(slot);
            keys[slot as usize] = u32::MAX;
        }
        keys.retain(|&key| key != u32::MAX);
        keys.sort_unstable();
        for key in keys {
            let (least, slot) = heap.peek().expect("as many as were put in");
            assert_eq!(least, key);
            heap.remove(slot);
            assert!(!heap.contains(slot));
        }
        assert_eq!(heap.peek(), None);
    }
}
