//! Ordered trees of slab slots that find the first slot whose numbers are all small enough.
//!
//! A treap: a search tree by key that is a heap by priority, here a hash of the slot, so that the same inputs
//! give the same shape. Every node knows the least of each number in its subtree: a search passes by subtrees that have
//! nothing small enough. Insert, remove: O(log n) expected, and O(1) at the ends where the numbers are alike; a search is
//! O(log n) as well, unless many slots are small enough in each number alone and none in all. Invariant: a slot is in at
//! most one tree.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::resources::MAX_DIMENSIONS;

/// How many numbers a search compares: units of each dimension, and two more.
pub(crate) const NUMBERS: usize = MAX_DIMENSIONS + 2;

const NIL: u32 = u32::MAX;

/// What a search compares: of a slot, or the least of each number of several.
pub(crate) type Numbers = [u64; NUMBERS];

fn least(one: &Numbers, other: &Numbers) -> Numbers {
    core::array::from_fn(|index| one[index].min(other[index]))
}

#[derive(Clone, Debug)]
struct Node<K> {
    key: K,
    own: Numbers,
    /// Of the subtree.
    least: Numbers,
    parent: u32,
    left: u32,
    right: u32,
}

/// The nodes of all trees, by slot.
#[derive(Debug)]
pub(crate) struct Nodes<K>(Vec<Node<K>>);

/// One tree: its root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree {
    root: u32,
}

impl Default for Tree {
    fn default() -> Self {
        Self { root: NIL }
    }
}

/// From where a walk comes to a node.
enum From {
    Above,
    Left,
    Right,
}

impl<K: Ord + Copy + Default> Nodes<K> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// By what a slot is ordered.
    pub(crate) fn key(&self, slot: u32) -> K {
        self.node(slot).key
    }

    fn node(&self, slot: u32) -> &Node<K> {
        &self.0[slot as usize]
    }

    fn node_mut(&mut self, slot: u32) -> &mut Node<K> {
        &mut self.0[slot as usize]
    }

    /// Finds the least of a node's subtree from its children's; whether it is another than before.
    fn sum_up(&mut self, slot: u32) -> bool {
        let Node { own: mut sum, least: before, left, right, .. } = *self.node(slot);
        for child in [left, right].into_iter().filter(|&child| child != NIL) {
            sum = least(&sum, &self.node(child).least);
        }
        self.node_mut(slot).least = sum;
        sum != before
    }

    /// The same of a node and of those above it, as far as that matters.
    fn sum_up_from(&mut self, mut slot: u32) {
        while slot != NIL && self.sum_up(slot) {
            slot = self.node(slot).parent;
        }
    }

    fn leftmost(&self, mut slot: u32) -> u32 {
        while self.node(slot).left != NIL {
            slot = self.node(slot).left;
        }
        slot
    }

    /// The next in order.
    fn successor(&self, slot: u32) -> Option<u32> {
        let node = self.node(slot);
        if node.right != NIL {
            return Some(self.leftmost(node.right));
        }
        let (mut child, mut parent) = (slot, node.parent);
        while parent != NIL && self.node(parent).right == child {
            (child, parent) = (parent, self.node(parent).parent);
        }
        (parent != NIL).then_some(parent)
    }
}

impl Tree {
    pub(crate) fn is_empty(&self) -> bool {
        self.root == NIL
    }

    /// The least of each number of all; `None` if it is empty.
    pub(crate) fn least<K: Ord + Copy + Default>(&self, nodes: &Nodes<K>) -> Option<Numbers> {
        (self.root != NIL).then(|| nodes.node(self.root).least)
    }

    /// The first slot in order.
    pub(crate) fn first<K: Ord + Copy + Default>(&self, nodes: &Nodes<K>) -> Option<u32> {
        (self.root != NIL).then(|| nodes.leftmost(self.root))
    }

    /// Puts `slot` in; it must be in no tree.
    pub(crate) fn insert<K: Ord + Copy + Default>(
        &mut self,
        nodes: &mut Nodes<K>,
        key: K,
        slot: u32,
        own: Numbers,
    ) {
        let fresh = Node { key, own, least: own, parent: NIL, left: NIL, right: NIL };
        if nodes.0.len() <= slot as usize {
            nodes.0.resize(slot as usize + 1, Node { key: K::default(), ..fresh.clone() });
        }
        let (mut parent, mut place) = (NIL, self.root);
        while place != NIL {
            parent = place;
            let node = nodes.node(place);
            place = if key < node.key { node.left } else { node.right };
        }
        *nodes.node_mut(slot) = Node { parent, ..fresh };
        self.replace_child(nodes, parent, place, slot, key);
        nodes.sum_up_from(parent);
        while nodes.node(slot).parent != NIL && priority(slot) > priority(nodes.node(slot).parent) {
            self.rotate_up(nodes, slot);
        }
    }

    pub(crate) fn remove<K: Ord + Copy + Default>(&mut self, nodes: &mut Nodes<K>, slot: u32) {
        loop {
            let Node { left, right, .. } = *nodes.node(slot);
            match (left, right) {
                (NIL, child) | (child, NIL) => {
                    let Node { parent, key, .. } = *nodes.node(slot);
                    self.replace_child(nodes, parent, slot, child, key);
                    if child != NIL {
                        nodes.node_mut(child).parent = parent;
                    }
                    return nodes.sum_up_from(parent);
                }
                _ => {
                    let up = if priority(left) > priority(right) { left } else { right };
                    self.rotate_up(nodes, up);
                }
            }
        }
    }

    /// A slot has something else now.
    pub(crate) fn set<K: Ord + Copy + Default>(&self, nodes: &mut Nodes<K>, slot: u32, own: Numbers) {
        nodes.node_mut(slot).own = own;
        nodes.sum_up_from(slot);
    }

    /// All slots, in order.
    pub(crate) fn iter<'a, K: Ord + Copy + Default>(
        &self,
        nodes: &'a Nodes<K>,
    ) -> impl Iterator<Item = u32> + use<'a, K> {
        core::iter::successors(self.first(nodes), |&slot| nodes.successor(slot))
    }

    /// The first slot in order, behind `after` if that is given, whose numbers are small enough: if some are, so are all
    /// that are no larger.
    pub(crate) fn find<K: Ord + Copy + Default>(
        &self,
        nodes: &Nodes<K>,
        after: Option<u32>,
        small_enough: impl Fn(&Numbers) -> bool,
    ) -> Option<u32> {
        let promises = |slot: u32| slot != NIL && small_enough(&nodes.node(slot).least);
        let (mut slot, mut from) = match after {
            Some(after) if promises(nodes.node(after).right) => (nodes.node(after).right, From::Above),
            Some(after) => (after, From::Right),
            None if promises(self.root) => (self.root, From::Above),
            None => return None,
        };
        loop {
            let node = nodes.node(slot);
            (slot, from) = match from {
                From::Above if promises(node.left) => (node.left, From::Above),
                From::Above | From::Left if small_enough(&node.own) => return Some(slot),
                From::Above | From::Left if promises(node.right) => (node.right, From::Above),
                From::Above | From::Left | From::Right if node.parent == NIL => return None,
                _ if nodes.node(node.parent).left == slot => (node.parent, From::Left),
                _ => (node.parent, From::Right),
            };
        }
    }

    /// Puts `new` where `old` hangs below `parent`; a key tells the side where `old` is nothing.
    fn replace_child<K: Ord + Copy + Default>(
        &mut self,
        nodes: &mut Nodes<K>,
        parent: u32,
        old: u32,
        new: u32,
        key: K,
    ) {
        if parent == NIL {
            self.root = new;
            return;
        }
        let node = nodes.node_mut(parent);
        let is_left = if old == NIL { key.cmp(&node.key) == Ordering::Less } else { node.left == old };
        *(if is_left { &mut node.left } else { &mut node.right }) = new;
    }

    /// A child takes the place of its parent.
    fn rotate_up<K: Ord + Copy + Default>(&mut self, nodes: &mut Nodes<K>, slot: u32) {
        let parent = nodes.node(slot).parent;
        let Node { parent: above, key, .. } = *nodes.node(parent);
        let is_left = nodes.node(parent).left == slot;
        let inner = if is_left { nodes.node(slot).right } else { nodes.node(slot).left };
        if is_left {
            nodes.node_mut(parent).left = inner;
            nodes.node_mut(slot).right = parent;
        } else {
            nodes.node_mut(parent).right = inner;
            nodes.node_mut(slot).left = parent;
        }
        if inner != NIL {
            nodes.node_mut(inner).parent = parent;
        }
        nodes.node_mut(parent).parent = slot;
        nodes.node_mut(slot).parent = above;
        self.replace_child(nodes, above, parent, slot, key);
        nodes.sum_up(parent);
        nodes.sum_up(slot);
    }
}

/// Splitmix64's mixing of the slot: as good as random, and the same everywhere.
fn priority(slot: u32) -> (u64, u32) {
    let mut hash = (u64::from(slot) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (hash ^ (hash >> 31), slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(
        tree: &Tree,
        nodes: &Nodes<u64>,
        model: &[(u64, u32, Numbers)],
        most: [Numbers; 2],
    ) {
        let within = |own: &Numbers, most: &Numbers| own.iter().zip(most).all(|(n, m)| n <= m);
        let small_enough = |own: &Numbers| most.iter().any(|most| within(own, most));
        let slots: Vec<u32> = model.iter().map(|&(_, slot, _)| slot).collect();
        assert_eq!(tree.iter(nodes).collect::<Vec<_>>(), slots);
        assert_eq!(tree.first(nodes), slots.first().copied());
        let all = model.iter().map(|&(_, _, own)| own).reduce(|one, other| least(&one, &other));
        assert_eq!(tree.least(nodes), all);
        let starts = core::iter::once((None, 0)).chain((1..).zip(&slots).map(|(n, &slot)| (Some(slot), n)));
        for (after, index) in starts {
            let first = model[index..].iter().find(|(_, _, own)| small_enough(own));
            assert_eq!(tree.find(nodes, after, small_enough), first.map(|&(_, slot, _)| slot));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_list(
            steps in prop::collection::vec((0_u8..4, 0_u32..40, 0_u64..1_000, prop::array::uniform6(0_u64..6)), 0..120),
            most in prop::array::uniform2(prop::array::uniform6(0_u64..6)),
        ) {
            let (mut tree, mut nodes, mut model) = (Tree::default(), Nodes::new(), Vec::new());
            for (verb, slot, key, own) in steps {
                let place = model.iter().position(|&(_, other, _)| other == slot);
                match (verb, place) {
                    (0, Some(place)) => {
                        tree.remove(&mut nodes, slot);
                        model.remove(place);
                    }
                    (1, Some(place)) => {
                        tree.set(&mut nodes, slot, own);
                        model[place].2 = own;
                    }
                    (_, None) => {
                        let key = key << 32 | u64::from(slot);
                        tree.insert(&mut nodes, key, slot, own);
                        model.push((key, slot, own));
                        model.sort_unstable();
                    }
                    _ => {}
                }
                check(&tree, &nodes, &model, most);
            }
        }
    }

    #[test]
    fn stays_shallow_when_filled_in_order() {
        let (mut tree, mut nodes) = (Tree::default(), Nodes::new());
        for slot in 0..200_000 {
            tree.insert(&mut nodes, slot, slot, [u64::from(slot % 7); NUMBERS]);
        }
        let depth = |slot: u32| {
            let above = |&slot: &u32| Some(nodes.node(slot).parent).filter(|&parent| parent != NIL);
            core::iter::successors(Some(slot), above).count()
        };
        let deepest = (0..200_000).map(depth).max();
        assert!(deepest < Some(60), "17.6 levels would be least, twice that is usual: {deepest:?}");
    }
}
