//! Slots by key, for keys that mostly come in order: deadlines a few fixed times from now.
//!
//! A few lanes, each a list in order, and a heap for those that fit at the end of none. A newcomer goes behind the largest
//! end that is not beyond it, so that each of a few spans gets a lane of its own. O(1) where it does, else O(log n).

use alloc::vec::Vec;

use super::Heap;

const NIL: u32 = u32::MAX;

/// How many spans find a lane: usual configs have a queue timeout, a time to confirm and a time to live of holds.
const LANES: usize = 4;

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
enum Home {
    Nowhere,
    Heap,
    Lane(u8),
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Entry<K> {
    key: K,
    prev: u32,
    next: u32,
    home: Home,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Lane {
    head: u32,
    tail: u32,
}

/// Slots, the least key first; a slot is in it at most once.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Agenda<K> {
    entries: Vec<Entry<K>>,
    lanes: [Lane; LANES],
    rest: Heap<K>,
    /// The least of all.
    first: Option<(K, u32)>,
}

impl<K: Ord + Copy> Agenda<K> {
    pub(crate) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            lanes: [Lane { head: NIL, tail: NIL }; LANES],
            rest: Heap::new(),
            first: None,
        }
    }

    pub(crate) fn peek(&self) -> Option<(K, u32)> {
        self.first
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.entries.get(slot as usize).is_some_and(|entry| !matches!(entry.home, Home::Nowhere))
    }

    /// Puts `slot` in; it must not be in yet.
    pub(crate) fn insert(&mut self, key: K, slot: u32) {
        debug_assert!(!self.contains(slot), "a slot has one deadline");
        let nowhere = Entry { key, prev: NIL, next: NIL, home: Home::Nowhere };
        if self.entries.len() <= slot as usize {
            self.add_slots(slot, nowhere);
        }
        let home = self.lane_for(key).map_or(Home::Heap, |lane| Home::Lane(lane as u8));
        self.entries[slot as usize] = Entry { home, ..nowhere };
        match home {
            Home::Lane(lane) => {
                let lane = &mut self.lanes[usize::from(lane)];
                let before = core::mem::replace(&mut lane.tail, slot);
                if before == NIL {
                    lane.head = slot;
                } else {
                    self.entries[before as usize].next = slot;
                    self.entries[slot as usize].prev = before;
                }
            }
            _ => self.rest.insert(key, slot),
        }
        if self.first.is_none_or(|first| (key, slot) < first) {
            self.first = Some((key, slot));
        }
    }

    #[cold]
    fn add_slots(&mut self, slot: u32, nowhere: Entry<K>) {
        self.entries.resize(slot as usize + 1, nowhere);
    }

    /// The lane with the largest end that is not beyond `key`, or an empty one.
    #[inline]
    fn lane_for(&self, key: K) -> Option<usize> {
        let mut best: Option<(usize, K)> = None;
        let mut empty = None;
        for (number, lane) in self.lanes.iter().enumerate() {
            if lane.tail == NIL {
                empty = empty.or(Some(number));
                continue;
            }
            let end = self.entries[lane.tail as usize].key;
            if end <= key && best.is_none_or(|(_, best)| best < end) {
                best = Some((number, end));
            }
        }
        best.map(|(number, _)| number).or(empty)
    }

    /// Takes `slot` out, if it is in.
    #[inline(always)]
    pub(crate) fn remove(&mut self, slot: u32) {
        // Whoever comes and goes asks several times whether it is in: in line, 60 instructions less a cycle.
        if self.contains(slot) {
            self.take_out(slot);
        }
    }

    /// Reads ahead of what stands beside `slot`.
    #[inline(always)]
    pub(crate) fn fetch(&self, slot: u32) -> u64 {
        let Some(entry) = self.entries.get(slot as usize) else { return 0 };
        let word = |at: u32| self.entries.get(at as usize).map_or(0, |entry| u64::from(entry.next));
        word(entry.prev) ^ word(entry.next)
    }

    fn take_out(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        let Entry { prev, next, home, .. } = *entry;
        entry.home = Home::Nowhere;
        match home {
            Home::Nowhere => return,
            Home::Heap => self.rest.remove(slot),
            Home::Lane(lane) => {
                let lane = &mut self.lanes[usize::from(lane)];
                if prev == NIL {
                    lane.head = next;
                } else {
                    self.entries[prev as usize].next = next;
                }
                if next == NIL {
                    lane.tail = prev;
                } else {
                    self.entries[next as usize].prev = prev;
                }
            }
        }
        if self.first.is_some_and(|(_, first)| first == slot) {
            self.first = self.least();
        }
    }

    fn least(&self) -> Option<(K, u32)> {
        let mut least = self.rest.peek();
        for lane in self.lanes.iter().filter(|lane| lane.head != NIL) {
            let first = (self.entries[lane.head as usize].key, lane.head);
            if least.is_none_or(|least| first < least) {
                least = Some(first);
            }
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_sorted_list(
            steps in prop::collection::vec((0_u32..24, 0_usize..6, 0_u64..40), 0..200),
        ) {
            let spans = [0, 5, 30, 31, 600, 7];
            let (mut agenda, mut model) = (Agenda::new(), Vec::new());
            for (now, (slot, span, jitter)) in (0_u64..).zip(steps) {
                if agenda.contains(slot) {
                    agenda.remove(slot);
                    model.retain(|&(_, other)| other != slot);
                } else {
                    // The last span comes out of order: too many ends for the lanes.
                    let key = (now + spans[span] + if span == 5 { jitter } else { 0 }, slot);
                    agenda.insert(key, slot);
                    model.push((key, slot));
                }
                prop_assert_eq!(agenda.peek(), model.iter().copied().min());
                prop_assert!((0..24).all(|slot| agenda.contains(slot) == model.iter().any(|m| m.1 == slot)));
            }
            while let Some((key, slot)) = agenda.peek() {
                agenda.remove(slot);
                prop_assert_eq!(Some((key, slot)), model.iter().copied().min());
                model.retain(|&(_, other)| other != slot);
            }
            prop_assert!(model.is_empty());
        }
    }
}
