//! Ordered trees of slots that find the first slot whose numbers are all small enough.
//!
//! B+trees: the slots stand in leaves in the order of their keys, and every node knows, for each of its entries, the least
//! of each number below it, and a key that is none more than those below it and more than those before it. It was the least
//! below it once: so who leaves a tree at its front, as most do, changes nothing above. A search passes by what has nothing small enough. Insert, remove: O(log n),
//! and O(1) at the ends where the numbers are alike; a search is O(log n) as well, unless many slots are small enough in
//! each number alone and none in all. Invariants: a slot is in at most one tree; no two slots of a tree have equal keys.

mod node;

use alloc::vec::Vec;
use core::ops::Range;

use self::node::{Entry, Node};
use crate::brief::Brief;
use crate::resources::MAX_DIMENSIONS;

/// How many numbers a search compares: units of each dimension, and two more.
pub(crate) const NUMBERS: usize = MAX_DIMENSIONS + 2;

/// What a search compares: of a slot, or the least of each number of several.
pub(crate) type Numbers = Brief<NUMBERS>;

const NIL: u32 = u32::MAX;

/// What slots can be ordered by.
pub(crate) trait Key: Ord + Copy + Default {}

impl<K: Ord + Copy + Default> Key for K {}

/// The nodes of all trees, and where the slots stand.
#[derive(Debug)]
#[cfg_attr(
    feature = "snapshot",
    derive(serde::Serialize, serde::Deserialize),
    serde(bound(serialize = "K: Key + serde::Serialize", deserialize = "K: Key + serde::Deserialize<'de>"))
)]
pub(crate) struct Nodes<K, const FAN: usize> {
    nodes: Vec<Node<K, FAN>>,
    free: u32,
    /// The leaf of each slot.
    leaf_of: Vec<u32>,
}

/// One tree: its root, and the leaves at its ends.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Tree {
    root: u32,
    first: u32,
    last: u32,
}

impl Default for Tree {
    fn default() -> Self {
        Self { root: NIL, first: NIL, last: NIL }
    }
}

impl<K: Key, const FAN: usize> Nodes<K, FAN> {
    pub(crate) const fn new() -> Self {
        const { assert!(FAN >= 4 && FAN <= 64, "what is split leaves something in both halves") };
        Self { nodes: Vec::new(), free: NIL, leaf_of: Vec::new() }
    }

    /// Whether a slot is in any of the trees.
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.leaf_of.get(slot as usize).is_some_and(|&leaf| leaf != NIL)
    }

    /// By what a slot is ordered.
    pub(crate) fn key(&self, slot: u32) -> K {
        let (leaf, place) = self.find_slot(slot);
        self.node(leaf).key(place)
    }

    /// By what a slot is ordered, and its numbers.
    pub(crate) fn get(&self, slot: u32) -> (K, Numbers) {
        let (leaf, place) = self.find_slot(slot);
        let node = self.node(leaf);
        (node.key(place), node.leasts()[place])
    }

    /// The slot behind another of the same tree.
    pub(crate) fn next(&self, slot: u32) -> Option<u32> {
        let (leaf, place) = self.find_slot(slot);
        let node = self.node(leaf);
        match node.whats().get(place + 1) {
            None if node.next != NIL => self.node(node.next).whats().first().copied(),
            next => next.copied(),
        }
    }

    /// Reads ahead of the leaf of a slot.
    #[inline(always)]
    pub(crate) fn fetch(&self, slot: u32) -> u64 {
        let Some(&leaf) = self.leaf_of.get(slot as usize) else { return 0 };
        self.nodes.get(leaf as usize).map_or(0, Node::fetch)
    }

    fn node(&self, number: u32) -> &Node<K, FAN> {
        &self.nodes[number as usize]
    }

    fn node_mut(&mut self, number: u32) -> &mut Node<K, FAN> {
        &mut self.nodes[number as usize]
    }

    #[inline(always)]
    fn find_slot(&self, slot: u32) -> (u32, usize) {
        let leaf = self.leaf_of[slot as usize];
        (leaf, self.node(leaf).place_of(slot))
    }

    fn add(&mut self, is_leaf: bool, parent: u32) -> u32 {
        let new = Node::new(is_leaf, parent);
        if self.free == NIL {
            self.nodes.push(new);
            return self.nodes.len() as u32 - 1;
        }
        let number = self.free;
        self.free = core::mem::replace(self.node_mut(number), new).next;
        number
    }

    #[cold]
    fn add_slots(&mut self, slot: u32) {
        self.leaf_of.resize(slot as usize + 1, NIL);
    }

    fn release(&mut self, number: u32) {
        self.node_mut(number).next = self.free;
        self.free = number;
    }

    /// Says to those below a node, in some places of it, that they stand there.
    #[inline]
    fn adopt(&mut self, number: u32, places: Range<usize>) {
        for place in places {
            let node = self.node(number);
            let (is_leaf, what) = (node.is_leaf, node.what(place) as usize);
            if is_leaf {
                self.leaf_of[what] = number;
            } else {
                self.nodes[what].parent = number;
            }
        }
    }

    /// The first key of a node may be less than before, or its least numbers others: tells those above, as far as it matters.
    fn tell_above(&mut self, mut number: u32) {
        loop {
            let node = self.node(number);
            let (parent, mut entry) = (node.parent, node.entry(number));
            if parent == NIL {
                return;
            }
            let above = self.node_mut(parent);
            let place = above.place_of(number);
            entry.key = entry.key.min(above.key(place));
            if above.key(place) == entry.key && above.leasts()[place] == entry.least {
                return;
            }
            above.replace(place, entry);
            number = parent;
        }
    }

    /// The slots of a leaf and those behind it.
    fn slots_from(&self, leaf: u32) -> impl Iterator<Item = u32> + use<'_, K, FAN> {
        let next = |&leaf: &u32| Some(self.node(leaf).next).filter(|&next| next != NIL);
        let leaves = core::iter::successors(Some(leaf).filter(|&leaf| leaf != NIL), next);
        leaves.flat_map(|leaf| self.node(leaf).whats().iter().copied())
    }

    /// The key before a place of a leaf, if there is one: in it, or in the one beside it.
    fn key_before(&self, leaf: u32, place: usize) -> Option<K> {
        let node = self.node(leaf);
        match place.checked_sub(1) {
            Some(place) => Some(node.key(place)),
            None if node.prev == NIL => None,
            None => self.node(node.prev).keys().last().copied(),
        }
    }

    /// The key behind a place of a leaf.
    fn key_behind(&self, leaf: u32, place: usize) -> Option<K> {
        let node = self.node(leaf);
        match node.keys().get(place + 1) {
            None if node.next != NIL => self.node(node.next).keys().first().copied(),
            key => key.copied(),
        }
    }
}

impl Tree {
    pub(crate) fn is_empty(&self) -> bool {
        self.root == NIL
    }

    /// The least of each number of all; `None` if it is empty.
    pub(crate) fn least<K: Key, const FAN: usize>(&self, nodes: &Nodes<K, FAN>) -> Option<Numbers> {
        (self.root != NIL).then(|| nodes.node(self.root).least)
    }

    /// The first slot in order.
    #[inline(always)]
    pub(crate) fn first<K: Key, const FAN: usize>(&self, nodes: &Nodes<K, FAN>) -> Option<u32> {
        (self.first != NIL).then(|| nodes.node(self.first).what(0))
    }

    /// The second slot in order, where it is in the leaf of the first.
    #[inline(always)]
    pub(crate) fn second<K: Key, const FAN: usize>(&self, nodes: &Nodes<K, FAN>) -> Option<u32> {
        if self.first == NIL { None } else { nodes.node(self.first).whats().get(1).copied() }
    }

    /// The key of the first.
    #[inline(always)]
    pub(crate) fn first_key<K: Key, const FAN: usize>(&self, nodes: &Nodes<K, FAN>) -> Option<K> {
        (self.first != NIL).then(|| nodes.node(self.first).key(0))
    }

    /// Puts `slot` in; it must be in no tree.
    pub(crate) fn insert<K: Key, const FAN: usize>(
        &mut self,
        nodes: &mut Nodes<K, FAN>,
        key: K,
        slot: u32,
        own: Numbers,
    ) {
        if nodes.leaf_of.len() <= slot as usize {
            nodes.add_slots(slot);
        }
        if self.root == NIL {
            self.root = nodes.add(true, NIL);
            (self.first, self.last) = (self.root, self.root);
        }
        debug_assert!(nodes.leaf_of[slot as usize] == NIL, "a slot is in at most one tree");
        let leaf = self.leaf_for(nodes, &key);
        let keys = nodes.node(leaf).keys();
        // Who was just served comes last of all: 100 instructions of a cycle less than to search.
        let is_last = keys.last().is_none_or(|last| *last < key);
        let place = if is_last { keys.len() } else { keys.partition_point(|other| *other < key) };
        self.insert_entry(nodes, leaf, place, Entry { key, least: own, what: slot });
    }

    /// The leaf where a key belongs.
    #[inline]
    fn leaf_for<K: Key, const FAN: usize>(&self, nodes: &Nodes<K, FAN>, key: &K) -> u32 {
        // Who comes last goes to the end.
        if nodes.node(self.last).keys().first().is_none_or(|first| first <= key) {
            return self.last;
        }
        let mut number = self.root;
        while !nodes.node(number).is_leaf {
            let node = nodes.node(number);
            let behind = node.keys().partition_point(|other| other <= key);
            number = node.what(behind.saturating_sub(1));
        }
        number
    }

    /// Puts an entry into a node, which is split if it is full.
    #[inline]
    fn insert_entry<K: Key, const FAN: usize>(
        &mut self,
        nodes: &mut Nodes<K, FAN>,
        number: u32,
        place: usize,
        entry: Entry<K>,
    ) {
        if nodes.node(number).len() < FAN {
            let node = nodes.node_mut(number);
            let former = node.least;
            node.insert(place, entry);
            // Most come neither first nor with less than the others have.
            let matters = place == 0 || node.least != former;
            nodes.adopt(number, place..place + 1);
            if matters {
                nodes.tell_above(number);
            }
            return;
        }
        self.insert_split(nodes, number, place, entry);
    }

    /// The same of a node that is full.
    #[inline(never)]
    fn insert_split<K: Key, const FAN: usize>(
        &mut self,
        nodes: &mut Nodes<K, FAN>,
        number: u32,
        place: usize,
        entry: Entry<K>,
    ) {
        // The last node stays full, so that those that come in order fill all.
        let kept = if place == FAN && nodes.node(number).next == NIL { FAN } else { FAN / 2 };
        let right = self.split(nodes, number, kept);
        let (home, place) = if kept == FAN || place > kept { (right, place - kept) } else { (number, place) };
        nodes.node_mut(home).insert(place, entry);
        nodes.adopt(home, place..place + 1);
        self.join_parent(nodes, number, right);
    }

    /// Moves what is behind the first `kept` entries of a node to a new one behind it, and tells that one.
    fn split<K: Key, const FAN: usize>(
        &mut self,
        nodes: &mut Nodes<K, FAN>,
        number: u32,
        kept: usize,
    ) -> u32 {
        let Node { is_leaf, parent, next, .. } = *nodes.node(number);
        let right = nodes.add(is_leaf, parent);
        for place in kept..FAN {
            let entry = nodes.node(number).get(place);
            nodes.node_mut(right).insert(place - kept, entry);
        }
        let left = nodes.node_mut(number);
        (left.len, left.next) = (kept as u8, right);
        left.sum_up();
        (nodes.node_mut(right).prev, nodes.node_mut(right).next) = (number, next);
        if next != NIL {
            nodes.node_mut(next).prev = right;
        } else if is_leaf {
            self.last = right;
        }
        nodes.adopt(right, 0..FAN - kept);
        right
    }

    /// Puts a new node behind `left` into the node above it, or both into a new root.
    fn join_parent<K: Key, const FAN: usize>(&mut self, nodes: &mut Nodes<K, FAN>, left: u32, right: u32) {
        let entry = nodes.node(right).entry(right);
        let parent = nodes.node(left).parent;
        if parent == NIL {
            let former = nodes.node(left).entry(left);
            self.root = nodes.add(false, NIL);
            nodes.node_mut(self.root).insert(0, former);
            nodes.node_mut(self.root).insert(1, entry);
            nodes.adopt(self.root, 0..2);
        } else {
            nodes.tell_above(left);
            let place = nodes.node(parent).place_of(left) + 1;
            self.insert_entry(nodes, parent, place, entry);
        }
    }

    pub(crate) fn remove<K: Key, const FAN: usize>(&mut self, nodes: &mut Nodes<K, FAN>, slot: u32) {
        let (leaf, place) = nodes.find_slot(slot);
        nodes.leaf_of[slot as usize] = NIL;
        self.remove_entry(nodes, leaf, place);
    }

    fn remove_entry<K: Key, const FAN: usize>(
        &mut self,
        nodes: &mut Nodes<K, FAN>,
        number: u32,
        place: usize,
    ) {
        let node = nodes.node_mut(number);
        let former = node.least;
        node.remove(place);
        let matters = node.least != former;
        let &mut Node { len, is_leaf, prev, next, .. } = node;
        if len == 0 {
            return self.remove_node(nodes, number);
        }
        if number == self.root && !is_leaf && len == 1 {
            self.root = node.what(0);
            nodes.node_mut(self.root).parent = NIL;
            return nodes.release(number);
        }
        if matters {
            nodes.tell_above(number);
        }
        let merges = next != NIL && self.merge(nodes, number, next);
        if !merges && prev != NIL {
            self.merge(nodes, prev, number);
        }
    }

    /// Moves the entries of the next node into one that has room to spare, if both are below one. Whether it did.
    fn merge<K: Key, const FAN: usize>(&mut self, nodes: &mut Nodes<K, FAN>, number: u32, next: u32) -> bool {
        let (node, other) = (nodes.node(number), nodes.node(next));
        let (kept, more) = (node.len(), other.len());
        if node.parent != other.parent || kept + more > FAN * 3 / 4 {
            return false;
        }
        for index in 0..more {
            let entry = nodes.node(next).get(index);
            nodes.node_mut(number).insert(kept + index, entry);
        }
        nodes.adopt(number, kept..kept + more);
        nodes.node_mut(next).len = 0;
        self.remove_node(nodes, next);
        nodes.tell_above(number);
        true
    }

    /// Takes out a node that has no entries.
    fn remove_node<K: Key, const FAN: usize>(&mut self, nodes: &mut Nodes<K, FAN>, number: u32) {
        let Node { parent, prev, next, is_leaf, .. } = *nodes.node(number);
        if prev != NIL {
            nodes.node_mut(prev).next = next;
        } else if is_leaf {
            self.first = next;
        }
        if next != NIL {
            nodes.node_mut(next).prev = prev;
        } else if is_leaf {
            self.last = prev;
        }
        nodes.release(number);
        if parent == NIL {
            self.root = NIL;
        } else {
            let place = nodes.node(parent).place_of(number);
            self.remove_entry(nodes, parent, place);
        }
    }

    /// A slot has something else now.
    pub(crate) fn set<K: Key, const FAN: usize>(&self, nodes: &mut Nodes<K, FAN>, slot: u32, own: Numbers) {
        let (leaf, place) = nodes.find_slot(slot);
        let entry = Entry { least: own, ..nodes.node(leaf).get(place) };
        nodes.node_mut(leaf).replace(place, entry);
        nodes.tell_above(leaf);
    }

    /// A slot has another key now: it stays where it stands if that is in order, else it is put where it belongs.
    pub(crate) fn set_key<K: Key, const FAN: usize>(
        &mut self,
        nodes: &mut Nodes<K, FAN>,
        slot: u32,
        key: K,
        own: Numbers,
    ) {
        let (leaf, place) = nodes.find_slot(slot);
        let (before, behind) = (nodes.key_before(leaf, place), nodes.key_behind(leaf, place));
        // What those above know of the next leaf may be less than its first key: the last of a leaf comes no nearer to it.
        let node = nodes.node(leaf);
        let may_rise = place + 1 < node.len() || node.next == NIL || key < node.key(place);
        let is_in_order =
            before.is_none_or(|before| before < key) && behind.is_none_or(|behind| key < behind);
        if is_in_order && may_rise {
            nodes.node_mut(leaf).replace(place, Entry { key, least: own, what: slot });
            nodes.tell_above(leaf);
        } else {
            self.remove(nodes, slot);
            self.insert(nodes, key, slot, own);
        }
    }

    /// The key of the last.
    pub(crate) fn last_key<K: Key, const FAN: usize>(&self, nodes: &Nodes<K, FAN>) -> Option<K> {
        (self.last != NIL).then(|| nodes.node(self.last).keys().last().copied())?
    }

    /// All slots, in order.
    pub(crate) fn iter<'a, K: Key, const FAN: usize>(
        &self,
        nodes: &'a Nodes<K, FAN>,
    ) -> impl Iterator<Item = u32> + use<'a, K, FAN> {
        nodes.slots_from(self.first)
    }

    /// The slots whose keys are not less than one, in order.
    pub(crate) fn iter_from<'a, K: Key, const FAN: usize>(
        &self,
        nodes: &'a Nodes<K, FAN>,
        key: K,
    ) -> impl Iterator<Item = u32> + use<'a, K, FAN> {
        let (mut number, mut before) = (self.root, 0);
        while number != NIL {
            let node = nodes.node(number);
            if node.is_leaf {
                before = node.keys().partition_point(|other| *other < key);
                break;
            }
            // Upper nodes know lower bounds: what is not less begins below the last that is not above it.
            let not_above = node.keys().partition_point(|other| *other <= key);
            number = node.what(not_above.saturating_sub(1));
        }
        nodes.slots_from(number).skip(before)
    }

    /// The first slot in order, behind `after` if that is given, whose numbers are small enough: if some are, so are all
    /// that are no larger.
    pub(crate) fn find<K: Key, const FAN: usize>(
        &self,
        nodes: &Nodes<K, FAN>,
        after: Option<u32>,
        small_enough: impl Fn(&Numbers) -> bool,
    ) -> Option<u32> {
        let (mut number, mut from) = match after {
            Some(slot) => {
                let (leaf, place) = nodes.find_slot(slot);
                (leaf, place + 1)
            }
            None if self.root == NIL => return None,
            None => (self.root, 0),
        };
        loop {
            let node = nodes.node(number);
            let found = node.leasts()[from..].iter().position(&small_enough);
            match found.map(|place| node.what(from + place)) {
                Some(slot) if node.is_leaf => return Some(slot),
                Some(below) => (number, from) = (below, 0),
                None if node.parent == NIL => return None,
                None => (number, from) = (node.parent, nodes.node(node.parent).place_of(number) + 1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type SmallNodes = Nodes<u64, 4>;

    fn brief(numbers: [u64; NUMBERS]) -> Numbers {
        Brief::rounded_down(numbers)
    }

    fn last_key(nodes: &SmallNodes, mut number: u32) -> u64 {
        while !nodes.node(number).is_leaf {
            number = nodes.node(number).whats().last().copied().expect("no node is empty");
        }
        nodes.node(number).keys().last().copied().expect("no node is empty")
    }

    /// What every node says of itself is what is below it; tells how many slots there are, and how many levels.
    fn check_below(nodes: &SmallNodes, number: u32, parent: u32) -> (usize, usize) {
        let node = nodes.node(number);
        assert_eq!(node.parent, parent);
        assert!(node.len() > 0 && node.keys().is_sorted_by(|one, other| one < other));
        let least = node.leasts().iter().copied().reduce(|one, other| one.min(&other));
        assert_eq!(Some(node.least), least);
        if node.is_leaf {
            assert!(node.whats().iter().all(|&slot| nodes.leaf_of[slot as usize] == number));
            return (node.len(), 1);
        }
        let mut sizes = (0, 0);
        for (place, &below) in node.whats().iter().enumerate() {
            assert_eq!(node.leasts()[place], nodes.node(below).least);
            assert!(node.key(place) <= nodes.node(below).key(0));
            assert!(place == 0 || last_key(nodes, node.what(place - 1)) < node.key(place));
            let (slots, levels) = check_below(nodes, below, number);
            assert!(sizes.1 == 0 || sizes.1 == levels, "all leaves are on one level");
            sizes = (sizes.0 + slots, levels);
        }
        (sizes.0, sizes.1 + 1)
    }

    fn check(tree: &Tree, nodes: &SmallNodes, model: &[(u64, u32, [u64; NUMBERS])], most: [Numbers; 2]) {
        let small_enough = |own: &Numbers| most.iter().any(|most| own.is_within(most));
        let slots: Vec<u32> = model.iter().map(|&(_, slot, _)| slot).collect();
        assert_eq!(tree.iter(nodes).collect::<Vec<_>>(), slots);
        assert_eq!(tree.first(nodes), slots.first().copied());
        assert_eq!(tree.last_key(nodes), model.last().map(|&(key, ..)| key));
        for from in model.iter().flat_map(|&(key, ..)| [key, key + 1]).chain([0]) {
            let behind = model.iter().filter(|(key, ..)| *key >= from).map(|&(_, slot, _)| slot);
            assert!(tree.iter_from(nodes, from).eq(behind));
        }
        let all = model.iter().map(|&(_, _, own)| brief(own)).reduce(|one, other| one.min(&other));
        assert_eq!(tree.least(nodes), all);
        if tree.root != NIL {
            assert_eq!(check_below(nodes, tree.root, NIL).0, slots.len());
        }
        let starts = core::iter::once((None, 0)).chain((1..).zip(&slots).map(|(n, &slot)| (Some(slot), n)));
        for (after, index) in starts {
            let first = model[index..].iter().find(|(_, _, own)| small_enough(&brief(*own)));
            assert_eq!(tree.find(nodes, after, small_enough), first.map(|&(_, slot, _)| slot));
        }
        assert!(model.iter().all(|&(key, slot, _)| nodes.key(slot) == key));
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_list(
            steps in prop::collection::vec((0_u8..5, 0_u32..60, 0_u64..1_000, prop::array::uniform6(0_u64..6)), 0..200),
            most in prop::array::uniform2(prop::array::uniform6(0_u64..6)),
        ) {
            let (mut tree, mut nodes, mut model) = (Tree::default(), SmallNodes::new(), Vec::new());
            for (verb, slot, key, own) in steps {
                let place = model.iter().position(|&(_, other, _)| other == slot);
                let key = key << 32 | u64::from(slot);
                match (verb, place) {
                    (0 | 1, Some(place)) => {
                        tree.remove(&mut nodes, slot);
                        model.remove(place);
                    }
                    (2, Some(place)) => {
                        tree.set_key(&mut nodes, slot, key, brief(own));
                        model[place] = (key, slot, own);
                    }
                    (3, Some(place)) => {
                        tree.set(&mut nodes, slot, brief(own));
                        model[place].2 = own;
                    }
                    (_, None) => {
                        tree.insert(&mut nodes, key, slot, brief(own));
                        model.push((key, slot, own));
                    }
                    _ => {}
                }
                model.sort_unstable();
                check(&tree, &nodes, &model, most.map(brief));
            }
        }
    }

    #[test]
    fn fills_its_nodes_when_filled_in_order_and_gives_them_back() {
        let (mut tree, mut nodes) = (Tree::default(), SmallNodes::new());
        let own = |slot: u32| brief([u64::from(slot % 7); NUMBERS]);
        for slot in 0..10_000 {
            tree.insert(&mut nodes, slot.into(), slot, own(slot));
        }
        let (slots, levels) = check_below(&nodes, tree.root, NIL);
        assert_eq!((slots, levels), (10_000, 7), "4^7 is 16,384");
        let all = nodes.nodes.len();
        for slot in (0..10_000).rev() {
            tree.remove(&mut nodes, slot);
        }
        assert!(tree.is_empty() && nodes.nodes.len() == all);
        for slot in 0..10_000 {
            tree.insert(&mut nodes, slot.into(), slot, own(slot));
        }
        assert_eq!(nodes.nodes.len(), all, "what was given back serves again");
        // Every third leaves: what is left moves together.
        (0..10_000).filter(|slot| slot % 3 > 0).for_each(|slot| tree.remove(&mut nodes, slot));
        let leaves = tree.iter(&nodes).map(|slot| nodes.leaf_of[slot as usize]);
        let leaves: alloc::collections::BTreeSet<u32> = leaves.collect();
        assert!(leaves.len() < 2_000, "{} leaves for 3,334", leaves.len());
    }
}
