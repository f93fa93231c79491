//! One node of a tree: its entries in order, and the least of each number of them.
//!
//! Knows nothing of the nodes beside, above and below it but their numbers. Invariant: `start + len <= FAN`.

use core::ops::Range;

use super::{Key, NIL, Numbers};

/// What a node knows of a slot, or of a node below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry<K> {
    pub(super) key: K,
    pub(super) least: Numbers,
    /// A slot in a leaf, a node elsewhere.
    pub(super) what: u32,
}

/// Its entries are kept part by part: most searches look at one part of all. They begin behind those that left at the front,
/// as most do: so nothing is moved for them, which took 120 instructions of a cycle.
#[derive(Clone, Debug)]
pub(super) struct Node<K, const FAN: usize> {
    keys: [K; FAN],
    leasts: [Numbers; FAN],
    whats: [u32; FAN],
    /// Where the first stands, and how many there are. No snapshot tells where.
    start: u8,
    pub(super) len: u8,
    pub(super) is_leaf: bool,
    /// The least of each number of all entries.
    pub(super) least: Numbers,
    pub(super) parent: u32,
    /// The nodes beside it on its level. The next of a free node is the next free one.
    pub(super) prev: u32,
    pub(super) next: u32,
}

impl<K: Key, const FAN: usize> Node<K, FAN> {
    pub(super) fn new(is_leaf: bool, parent: u32) -> Self {
        Self {
            keys: [K::default(); FAN],
            leasts: [Numbers::default(); FAN],
            whats: [0; FAN],
            start: 0,
            len: 0,
            is_leaf,
            least: Numbers::default(),
            parent,
            prev: NIL,
            next: NIL,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    /// Where all that it has stand.
    pub(super) fn all(&self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.start + self.len)
    }

    /// Reads ahead of all but the keys.
    #[inline(always)]
    pub(super) fn fetch(&self) -> u64 {
        let leasts =
            self.leasts.iter().step_by(8).fold(u64::from(self.start), |words, least| words ^ least.fetch());
        leasts ^ u64::from(self.whats[0]) ^ u64::from(self.next)
    }

    pub(super) fn keys(&self) -> &[K] {
        &self.keys[self.all()]
    }

    pub(super) fn leasts(&self) -> &[Numbers] {
        &self.leasts[self.all()]
    }

    pub(super) fn whats(&self) -> &[u32] {
        &self.whats[self.all()]
    }

    pub(super) fn key(&self, place: usize) -> K {
        self.keys[usize::from(self.start) + place]
    }

    pub(super) fn what(&self, place: usize) -> u32 {
        self.whats[usize::from(self.start) + place]
    }

    pub(super) fn get(&self, place: usize) -> Entry<K> {
        Entry { key: self.key(place), least: self.leasts()[place], what: self.what(place) }
    }

    fn put(&mut self, place: usize, Entry { key, least, what }: Entry<K>) {
        let at = usize::from(self.start) + place;
        (self.keys[at], self.leasts[at], self.whats[at]) = (key, least, what);
    }

    /// What those above know of it, or may know.
    pub(super) fn entry(&self, number: u32) -> Entry<K> {
        Entry { key: self.key(0), least: self.least, what: number }
    }

    pub(super) fn place_of(&self, what: u32) -> usize {
        self.whats().iter().position(|&other| other == what).expect("a node knows what is below it")
    }

    /// Moves what stands from a place on to another.
    fn shift(&mut self, from: usize, to: usize) {
        let (start, end) = (usize::from(self.start), self.all().end);
        // Many come last, or are alone.
        if start + from < end {
            self.move_entries(start + from..end, start + to);
        }
    }

    fn move_entries(&mut self, from: Range<usize>, to: usize) {
        self.keys.copy_within(from.clone(), to);
        self.leasts.copy_within(from.clone(), to);
        self.whats.copy_within(from, to);
    }

    /// Brings all to where the first stood once, so that there is room behind them.
    #[cold]
    fn close_up(&mut self) {
        self.move_entries(self.all(), 0);
        self.start = 0;
    }

    pub(super) fn insert(&mut self, place: usize, entry: Entry<K>) {
        if self.all().end == FAN && self.start > 0 {
            self.close_up();
        }
        debug_assert!(self.all().end < FAN, "who is full is split before");
        self.shift(place, place + 1);
        self.put(place, entry);
        self.least = if self.len == 0 { entry.least } else { self.least.min(&entry.least) };
        self.len += 1;
    }

    pub(super) fn remove(&mut self, place: usize) {
        if place == 0 {
            self.start += 1;
        } else {
            self.shift(place + 1, place);
        }
        self.len -= 1;
        self.sum_up();
    }

    pub(super) fn replace(&mut self, place: usize, entry: Entry<K>) {
        self.put(place, entry);
        self.least = self.least.min(&entry.least);
        self.sum_up();
    }

    /// Finds the least numbers, which are none less than before.
    pub(super) fn sum_up(&mut self) {
        let Some((&(mut least), rest)) = self.leasts().split_first() else { return };
        for other in rest {
            // Where all are alike the first tells.
            if least == self.least {
                return;
            }
            least = least.min(other);
        }
        self.least = least;
    }
}

/// A node as a snapshot has it: its entries as far as it has any, then the rest of it.
#[cfg(feature = "snapshot")]
type Written<K> = (Parts<K>, Parts<Numbers>, Parts<u32>, bool, Numbers, [u32; 3]);

/// One part of all entries; on the heap only if a node had more than any has.
#[cfg(feature = "snapshot")]
type Parts<T> = smallvec::SmallVec<[T; 16]>;

#[cfg(feature = "snapshot")]
impl<K: Key + serde::Serialize, const FAN: usize> serde::Serialize for Node<K, FAN> {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let beside = [self.parent, self.prev, self.next];
        let (keys, leasts, whats) = (self.keys(), self.leasts(), self.whats());
        (keys, leasts, whats, self.is_leaf, self.least, beside).serialize(out)
    }
}

#[cfg(feature = "snapshot")]
impl<'de, K: Key + serde::Deserialize<'de>, const FAN: usize> serde::Deserialize<'de> for Node<K, FAN> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (keys, leasts, whats, is_leaf, least, [parent, prev, next]) = Written::<K>::deserialize(from)?;
        let len = keys.len();
        if len > FAN || leasts.len() != len || whats.len() != len {
            return Err(serde::de::Error::custom("a node has as many entries as it has room for"));
        }
        let mut node = Self { len: len as u8, least, prev, next, ..Self::new(is_leaf, parent) };
        node.keys[..len].copy_from_slice(&keys);
        node.leasts[..len].copy_from_slice(&leasts);
        node.whats[..len].copy_from_slice(&whats);
        Ok(node)
    }
}
