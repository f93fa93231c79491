//! The fresh lane: *lines* of requests in the order of their ranks, and within a line its requests in order.
//!
//! A tier whose tenants share fairly has a line for each of them; any other has one line for all. A line may be set aside
//! with all its requests, and those that join it. Whose line it is, why it has its rank, and why it is set aside is
//! decided elsewhere. O(log lines + log requests of the line). Most lines hold one request at a time, which needs no tree of its
//! own: all that is known of it stands where the line does.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::OrderKey;
use crate::tree::{Nodes, Numbers, Tree};

/// Where a line stands: by its rank, then by its first request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct LineKey {
    pub(crate) rank: i128,
    first: OrderKey,
}

impl Ord for LineKey {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        // Ranks mostly differ.
        if self.rank == other.rank { self.first.cmp(&other.first) } else { self.rank.cmp(&other.rank) }
    }
}

impl PartialOrd for LineKey {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How many requests a node of their trees has: few, since a line of its own may have one request.
type RequestNodes = Nodes<OrderKey, 4>;
/// And lines: many of them change their places all the time, and a processor reads them together.
type LineNodes = Nodes<LineKey, 16>;

/// The requests and lines of all queues, by slot.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct QueueNodes {
    pub(super) requests: RequestNodes,
    lines: LineNodes,
    /// The requests of each line.
    members: Vec<Members>,
    /// Whether each is set aside.
    is_aside: Vec<bool>,
    /// The line of each request that is in one.
    line_of: Vec<u32>,
    /// How often the order on offer changed in any queue, or somebody may choose victims again: where it did not, those who
    /// were passed over need not be looked at again.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    pub(super) changes: u64,
}

impl QueueNodes {
    pub(crate) const fn new() -> Self {
        Self {
            requests: Nodes::new(),
            lines: Nodes::new(),
            members: Vec::new(),
            is_aside: Vec::new(),
            line_of: Vec::new(),
            changes: 0,
        }
    }

    /// There may be a line of that number, and a request, from now on.
    #[cold]
    fn add(&mut self, line: u32, slot: u32) {
        let (lines, slots) = (line as usize + 1, slot as usize + 1);
        self.members.resize(lines.max(self.members.len()), Members::None);
        self.is_aside.resize(lines.max(self.is_aside.len()), false);
        self.line_of.resize(slots.max(self.line_of.len()), line);
    }

    /// The line of a request of the fresh lane.
    pub(crate) fn line_of(&self, slot: u32) -> u32 {
        self.line_of[slot as usize]
    }

    /// Reads ahead of where a request stands.
    #[inline(always)]
    pub(crate) fn fetch(&self, slot: u32) -> u64 {
        let Some(&line) = self.line_of.get(slot as usize) else { return 0 };
        let members = match self.members[line as usize] {
            Members::Tree(_) => self.requests.fetch(slot),
            Members::None | Members::One(_) => 0,
        };
        members ^ self.lines.fetch(line)
    }

    /// Whether one request of the fresh lane stands before another of the same queue.
    pub(super) fn is_before(&self, slot: u32, other: u32) -> bool {
        let place = |slot: u32| {
            let line = self.line_of(slot);
            let of_line = self.lines.key(line);
            match self.members[line as usize] {
                Members::Tree(_) => (of_line, self.requests.key(slot)),
                Members::None | Members::One(_) => (of_line, of_line.first),
            }
        };
        place(slot) < place(other)
    }

    /// Whether a line is set aside.
    pub(crate) fn is_aside(&self, line: u32) -> bool {
        self.is_aside.get(line as usize).is_some_and(|&aside| aside)
    }

    /// The requests of a line, in order.
    pub(crate) fn in_line(&self, line: u32) -> impl Iterator<Item = u32> + use<'_> {
        self.members[line as usize].iter(&self.requests)
    }

    /// Whether a line has requests.
    pub(crate) fn has_requests(&self, line: u32) -> bool {
        self.members.get(line as usize).is_some_and(|members| !matches!(members, Members::None))
    }
}

/// The requests of a line.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
enum Members {
    #[default]
    None,
    /// One that came when there was none: its key and its numbers are those of the line.
    One(u32),
    /// Others joined it: in a tree, until all have left.
    Tree(Tree),
}

impl Members {
    fn first(&self, nodes: &RequestNodes) -> Option<u32> {
        match self {
            Self::None => None,
            Self::One(slot) => Some(*slot),
            Self::Tree(tree) => tree.first(nodes),
        }
    }

    fn iter<'a>(&self, nodes: &'a RequestNodes) -> impl Iterator<Item = u32> + use<'a> {
        let (one, tree) = match *self {
            Self::None => (None, None),
            Self::One(slot) => (Some(slot), None),
            Self::Tree(tree) => (None, Some(tree)),
        };
        one.into_iter().chain(tree.into_iter().flat_map(|tree| tree.iter(nodes)))
    }
}

/// The lines of one queue that have requests.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Lines {
    offered: Tree,
    aside: Tree,
}

impl Lines {
    /// Whether no line is offered.
    pub(super) fn is_empty(&self) -> bool {
        self.offered.is_empty()
    }

    /// The first request that is offered.
    #[inline(always)] // each pass asks for it: 60 instructions of a cycle
    pub(super) fn first(&self, nodes: &QueueNodes) -> Option<u32> {
        nodes.members[self.offered.first(&nodes.lines)? as usize].first(&nodes.requests)
    }

    /// The first request of the second line, where it is easily found.
    #[inline(always)]
    pub(super) fn second(&self, nodes: &QueueNodes) -> Option<u32> {
        nodes.members[self.offered.second(&nodes.lines)? as usize].first(&nodes.requests)
    }

    /// The least numbers of those that are offered.
    pub(super) fn least(&self, nodes: &QueueNodes) -> Option<Numbers> {
        self.offered.least(&nodes.lines)
    }

    /// The rank of the first line that is offered, or else of the first that is set aside.
    pub(super) fn least_rank(&self, nodes: &QueueNodes) -> Option<i128> {
        let first = self.offered.first_key(&nodes.lines).or_else(|| self.aside.first_key(&nodes.lines));
        first.map(|key| key.rank)
    }

    /// Puts a request into a line, whose rank is `rank` from now on.
    pub(super) fn insert(
        &mut self,
        nodes: &mut QueueNodes,
        (line, rank): (u32, i128),
        key: OrderKey,
        slot: u32,
        own: Numbers,
    ) {
        if nodes.members.len() <= line as usize || nodes.line_of.len() <= slot as usize {
            nodes.add(line, slot);
        }
        nodes.line_of[slot as usize] = line;
        let mut tree = match nodes.members[line as usize] {
            Members::None => {
                nodes.members[line as usize] = Members::One(slot);
                let key = LineKey { rank, first: key };
                return self.tree(nodes, line).insert(&mut nodes.lines, key, line, own);
            }
            Members::One(first) => {
                let (LineKey { first: key, .. }, least) = nodes.lines.get(line);
                let mut tree = Tree::default();
                tree.insert(&mut nodes.requests, key, first, least);
                tree
            }
            Members::Tree(tree) => tree,
        };
        tree.insert(&mut nodes.requests, key, slot, own);
        self.keep_place(nodes, line, tree, Some(rank));
    }

    /// Takes a request out of its line, whose rank is `rank` from now on.
    pub(super) fn remove(&mut self, nodes: &mut QueueNodes, slot: u32, rank: i128) {
        let line = nodes.line_of[slot as usize];
        if let Members::Tree(mut tree) = nodes.members[line as usize] {
            tree.remove(&mut nodes.requests, slot);
            if !tree.is_empty() {
                return self.keep_place(nodes, line, tree, Some(rank));
            }
        }
        nodes.members[line as usize] = Members::None;
        self.tree(nodes, line).remove(&mut nodes.lines, line);
    }

    pub(super) fn set(&mut self, nodes: &mut QueueNodes, slot: u32, own: Numbers) {
        let line = nodes.line_of[slot as usize];
        match nodes.members[line as usize] {
            Members::Tree(tree) => {
                tree.set(&mut nodes.requests, slot, own);
                self.keep_place(nodes, line, tree, None);
            }
            Members::None | Members::One(_) => self.tree(nodes, line).set(&mut nodes.lines, line, own),
        }
    }

    /// A line has another rank now: whether that matters to anybody.
    pub(super) fn set_rank(&mut self, nodes: &mut QueueNodes, line: u32, rank: i128) -> bool {
        if !nodes.has_requests(line) {
            return false;
        }
        let (key, least) = nodes.lines.get(line);
        if key.rank == rank {
            return false;
        }
        self.tree(nodes, line).set_key(&mut nodes.lines, line, LineKey { rank, ..key }, least);
        true
    }

    /// Sets a line aside with all its requests, or offers it again.
    pub(super) fn set_aside(&mut self, nodes: &mut QueueNodes, line: u32, aside: bool) {
        let place = nodes.has_requests(line).then(|| nodes.lines.get(line));
        if place.is_some() {
            self.tree(nodes, line).remove(&mut nodes.lines, line);
        }
        nodes.is_aside[line as usize] = aside;
        if let Some((key, least)) = place {
            self.tree(nodes, line).insert(&mut nodes.lines, key, line, least);
        }
    }

    /// The tree that a line is in, if it has requests.
    fn tree(&mut self, nodes: &QueueNodes, line: u32) -> &mut Tree {
        if nodes.is_aside[line as usize] { &mut self.aside } else { &mut self.offered }
    }

    /// Something changed among the requests of a line, which are these now and some; without a `rank` it keeps its own.
    fn keep_place(&mut self, nodes: &mut QueueNodes, line: u32, members: Tree, rank: Option<i128>) {
        nodes.members[line as usize] = Members::Tree(members);
        let (old, former) = nodes.lines.get(line);
        let first = members.first(&nodes.requests).expect("some are left");
        let key = LineKey { rank: rank.unwrap_or(old.rank), first: nodes.requests.key(first) };
        let least = members.least(&nodes.requests).expect("some are left");
        if key != old {
            self.tree(nodes, line).set_key(&mut nodes.lines, line, key, least);
        } else if least != former {
            self.tree(nodes, line).set(&mut nodes.lines, line, least);
        }
    }

    /// How many of those on offer start before one of a line, if lines take turns.
    pub(super) fn turns_before(&self, nodes: &QueueNodes, slot: u32) -> usize {
        let own = nodes.line_of(slot);
        let place = nodes.in_line(own).take_while(|&other| other != slot).count();
        let others = self.offered.iter(&nodes.lines).scan(true, |is_before, line| {
            *is_before &= line != own;
            let turns = if line == own { 0 } else { place + usize::from(*is_before) };
            Some(nodes.in_line(line).take(turns).count())
        });
        place + others.sum::<usize>()
    }

    /// All requests that are offered, in order.
    pub(super) fn offered<'a>(&self, nodes: &'a QueueNodes) -> impl Iterator<Item = u32> + use<'a> {
        let lines = self.offered.iter(&nodes.lines);
        lines.flat_map(|line| nodes.members[line as usize].iter(&nodes.requests))
    }

    /// The one behind one that is offered, in order. O(1).
    pub(super) fn next(&self, nodes: &QueueNodes, slot: u32) -> Option<u32> {
        let line = nodes.line_of(slot);
        let in_own = match nodes.members[line as usize] {
            Members::Tree(_) => nodes.requests.next(slot),
            Members::None | Members::One(_) => None,
        };
        in_own.or_else(|| nodes.members[nodes.lines.next(line)? as usize].first(&nodes.requests))
    }

    /// All requests that are set aside, in order.
    pub(super) fn aside<'a>(&self, nodes: &'a QueueNodes) -> impl Iterator<Item = u32> + use<'a> {
        self.aside.iter(&nodes.lines).flat_map(|line| nodes.members[line as usize].iter(&nodes.requests))
    }

    /// The first in order behind `after` whose numbers are small enough.
    pub(super) fn find(
        &self,
        nodes: &QueueNodes,
        after: Option<u32>,
        small_enough: impl Fn(&Numbers) -> bool + Copy,
    ) -> Option<u32> {
        let in_line = |line: u32, after: Option<u32>| match nodes.members[line as usize] {
            Members::Tree(tree) => tree.find(&nodes.requests, after, small_enough),
            // What is known of the line is known of its one request.
            Members::One(slot) => Some(slot).filter(|_| after.is_none()),
            Members::None => None,
        };
        let last = after.map(|slot| nodes.line_of[slot as usize]);
        let rest = last.and_then(|line| in_line(line, after));
        let next = |line: Option<u32>| self.offered.find(&nodes.lines, line, small_enough);
        rest.or_else(|| {
            core::iter::successors(next(last), |&line| next(Some(line))).find_map(|line| in_line(line, None))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brief::Brief;
    use crate::tree::NUMBERS;
    use proptest::prelude::*;

    fn brief(number: u64) -> Numbers {
        Brief::rounded_down([number; NUMBERS])
    }

    fn key(rank: u64, slot: u32) -> OrderKey {
        OrderKey::new(false, rank, slot.into())
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_list(
            steps in prop::collection::vec((0_u8..5, 0_u32..24, 0_u32..5, 0_u64..4, 0_u64..6), 0..120),
            most in 0_u64..6,
        ) {
            let (mut lines, mut nodes) = (Lines::default(), QueueNodes::new());
            let mut ranks = [0_i128; 5];
            let mut model: Vec<(u32, u32, OrderKey, u64)> = Vec::new();
            for (verb, slot, line, rank, own) in steps {
                let place = model.iter().position(|&(_, other, ..)| other == slot);
                match (verb, place) {
                    (0, Some(place)) => {
                        let home = model.remove(place).0 as usize;
                        ranks[home] = own.into();
                        lines.remove(&mut nodes, slot, ranks[home]);
                    }
                    (1, Some(place)) => {
                        lines.set(&mut nodes, slot, brief(own));
                        model[place].3 = own;
                    }
                    (2, _) => {
                        ranks[line as usize] = rank.into();
                        if (line as usize) < nodes.members.len() {
                            lines.set_rank(&mut nodes, line, rank.into());
                        }
                    }
                    (_, None) => {
                        ranks[line as usize] = own as i128;
                        let home = (line, ranks[line as usize]);
                        lines.insert(&mut nodes, home, key(rank, slot), slot, brief(own));
                        model.push((line, slot, key(rank, slot), own));
                    }
                    _ => {}
                }
                let head = |line: u32| model.iter().filter(|m| m.0 == line).map(|m| m.2).min();
                let mut sorted = model.clone();
                sorted.sort_by_key(|&(line, _, key, _)| (ranks[line as usize], head(line), key));
                let slots: Vec<u32> = sorted.iter().map(|m| m.1).collect();
                prop_assert_eq!(lines.offered(&nodes).collect::<Vec<_>>(), slots.clone());
                prop_assert_eq!(lines.least_rank(&nodes), sorted.first().map(|m| ranks[m.0 as usize]));
                let small = |own: &Numbers| own.is_within(&brief(most));
                for (index, &slot) in slots.iter().enumerate() {
                    prop_assert_eq!(lines.next(&nodes, slot), slots.get(index + 1).copied());
                    let next = sorted[index + 1..].iter().find(|m| m.3 <= most).map(|m| m.1);
                    prop_assert_eq!(lines.find(&nodes, Some(slot), small), next);
                }
                let first = sorted.iter().find(|m| m.3 <= most).map(|m| m.1);
                prop_assert_eq!(lines.find(&nodes, None, small), first);
            }
        }
    }
}
