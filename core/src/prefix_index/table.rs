//! Where numbers are found by what they stand for: open addressing, linear probing, at most two thirds full.
//!
//! Knows no blocks and no copies: who asks says which key a number has, of which the upper half counts, and which number
//! it means. All memory is taken at the beginning: 6 bytes for each number. O(1) on average for each question.

use alloc::vec::Vec;

use super::NIL;

#[derive(Clone, Debug, Default)]
pub(super) struct Table(Vec<u32>);

impl Table {
    /// With places for so many; none takes nothing.
    pub(super) fn new(most: u32) -> Self {
        let places = if most == 0 { 0 } else { most as usize + most as usize / 2 + 1 };
        Self(alloc::vec![NIL; places])
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }

    /// The part of all places at which the key is among all keys.
    fn home(&self, key: u64) -> usize {
        (((key >> 32) * self.0.len() as u64) >> 32) as usize
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.0.len() { 0 } else { place + 1 }
    }

    /// How far a place is behind another, around the end.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.0.len() - from }
    }

    /// Where the number that is meant stands, or a place is free for it.
    fn place(&self, key: u64, is_meant: impl Fn(u32) -> bool) -> usize {
        let mut place = self.home(key);
        while self.0[place] != NIL && !is_meant(self.0[place]) {
            place = self.after(place);
        }
        place
    }

    pub(super) fn find(&self, key: u64, is_meant: impl Fn(u32) -> bool) -> Option<u32> {
        if self.0.is_empty() {
            return None;
        }
        Some(self.0[self.place(key, is_meant)]).filter(|&number| number != NIL)
    }

    /// A number that is not there, of at most as many as there are places for.
    pub(super) fn insert(&mut self, key: u64, number: u32) {
        let place = self.place(key, |_| false);
        self.0[place] = number;
    }

    /// Those that stand behind it because of it move up.
    pub(super) fn remove(&mut self, key: u64, number: u32, key_of: impl Fn(u32) -> u64) {
        let mut hole = self.place(key, |other| other == number);
        let mut place = hole;
        loop {
            place = self.after(place);
            let other = self.0[place];
            if other == NIL {
                break;
            }
            let home = self.home(key_of(other));
            if self.distance(home, place) >= self.distance(hole, place) {
                self.0[hole] = other;
                hole = place;
            }
        }
        self.0[hole] = NIL;
    }

    /// How far all that stand there are from their homes together: what finding them costs.
    #[cfg(test)]
    pub(super) fn strays(&self, key_of: impl Fn(u32) -> u64) -> usize {
        let taken = self.0.iter().enumerate().filter(|&(_, &number)| number != NIL);
        taken.map(|(place, &number)| self.distance(self.home(key_of(number)), place)).sum()
    }
}
