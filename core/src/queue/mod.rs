//! The waiting requests of one tier in one pool: who is next, who is set aside, and who is the first that fits.
//!
//! Three lanes: those that come back, stopped or declined, in order of arrival; the fresh ones, in the tier's order; and the parked
//! ones, which no worker that is up can hold. Knows order and numbers of units, not capacity or tenants. O(log n).
//! Invariant: LIFE-1, a waiting request is in exactly one lane.

mod lines;

use core::cmp::Ordering;

use crate::brief::Brief;
use crate::list::{LinkTable, List};
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::tree::{NUMBERS, Numbers, Tree};
use lines::Lines;
pub(crate) use lines::QueueNodes;

impl QueueNodes {
    /// Somebody may choose victims again.
    pub(crate) fn note_choice(&mut self) {
        self.changes += 1;
    }

    /// As long as this stays, all queues have the order that they have, and who has chosen victims has.
    pub(crate) fn version(&self) -> u64 {
        self.changes
    }
}

/// Which lane a waiting request is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Lane {
    Resumed,
    Fresh,
    Parked,
}

/// Where a request stands in its lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "snapshot",
    derive(serde::Serialize, serde::Deserialize),
    serde(from = "(bool, u64, u64)", into = "(bool, u64, u64)")
)]
pub(crate) struct OrderKey {
    pub(crate) rank: u64,
    /// In the uppermost bit whether it is relegated: a word less for each request and each line.
    sequence: u64,
}

/// The bit that no sequence comes to.
const RELEGATED_BIT: u32 = u64::BITS - 1;

impl OrderKey {
    /// Those who are relegated come last; then by rank, then by arrival.
    pub(crate) const fn new(relegated: bool, rank: u64, sequence: u64) -> Self {
        Self { rank, sequence: (relegated as u64) << RELEGATED_BIT | sequence }
    }

    /// The same order in two numbers: compared in half the instructions that field by field takes.
    fn as_numbers(&self) -> (u128, u64) {
        let relegated = u128::from(self.sequence >> RELEGATED_BIT);
        (relegated << u64::BITS | u128::from(self.rank), self.sequence)
    }
}

#[cfg(feature = "snapshot")]
impl From<(bool, u64, u64)> for OrderKey {
    fn from((relegated, rank, sequence): (bool, u64, u64)) -> Self {
        Self::new(relegated, rank, sequence)
    }
}

#[cfg(feature = "snapshot")]
impl From<OrderKey> for (bool, u64, u64) {
    fn from(OrderKey { rank, sequence }: OrderKey) -> Self {
        (sequence >> RELEGATED_BIT > 0, rank, sequence & !(1 << RELEGATED_BIT))
    }
}

impl Ord for OrderKey {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_numbers().cmp(&other.as_numbers())
    }
}

impl PartialOrd for OrderKey {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a search may take at most, or what a request must be given at least: units, the nanosecond of arrival, and
/// whether the units may be such that never come back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Least(Numbers);

impl Least {
    pub(crate) fn new(units: Resources, arrival: u64, pins: bool) -> Self {
        let mut numbers = [arrival; NUMBERS];
        numbers[..MAX_DIMENSIONS].copy_from_slice(units.as_array());
        numbers[NUMBERS - 1] = u64::from(pins);
        Self(Brief::rounded_down(numbers))
    }

    /// What no search finds: more than any takes.
    pub(crate) fn hidden() -> Self {
        Self(Brief::rounded_down([u64::MAX; NUMBERS]))
    }
}

/// The three lanes.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct TierQueue {
    resumed: Tree,
    fresh: Lines,
    parked: Tree,
}

impl TierQueue {
    /// Whether nobody could be offered a start.
    pub(crate) fn is_idle(&self) -> bool {
        self.resumed.is_empty() && self.fresh.is_empty()
    }

    /// Puts a request into a lane; `line` is its line and that line's rank, for the fresh lane.
    pub(crate) fn insert(
        &mut self,
        nodes: &mut QueueNodes,
        lane: Lane,
        line: (u32, i128),
        key: OrderKey,
        slot: u32,
        least: Least,
    ) {
        nodes.changes += 1;
        match self.tree(lane) {
            Some(tree) => tree.insert(&mut nodes.requests, key, slot, least.0),
            None => self.fresh.insert(nodes, line, key, slot, least.0),
        }
    }

    /// Takes a request out of a lane; the rank of its line is `rank` from now on, in the fresh lane.
    pub(crate) fn remove(&mut self, nodes: &mut QueueNodes, lane: Lane, slot: u32, rank: i128) {
        nodes.changes += 1;
        match self.tree(lane) {
            Some(tree) => tree.remove(&mut nodes.requests, slot),
            None => self.fresh.remove(nodes, slot, rank),
        }
    }

    /// A search must know something else of a request.
    pub(crate) fn set_least(&mut self, nodes: &mut QueueNodes, lane: Lane, slot: u32, least: Least) {
        match self.tree(lane) {
            Some(tree) => tree.set(&mut nodes.requests, slot, least.0),
            None => self.fresh.set(nodes, slot, least.0),
        }
    }

    /// A line has another rank now: whether that matters to anybody.
    pub(crate) fn set_rank(&mut self, nodes: &mut QueueNodes, line: u32, rank: i128) -> bool {
        let matters = self.fresh.set_rank(nodes, line, rank);
        nodes.changes += u64::from(matters);
        matters
    }

    /// Sets a line aside, so that none of its requests is offered, or offers it again.
    pub(crate) fn set_aside(&mut self, nodes: &mut QueueNodes, line: u32, aside: bool) {
        nodes.changes += 1;
        self.fresh.set_aside(nodes, line, aside);
    }

    /// The rank of the first line that has fresh requests on offer, or else of the first that is set aside.
    pub(crate) fn least_rank(&self, nodes: &QueueNodes) -> Option<i128> {
        self.fresh.least_rank(nodes)
    }

    /// The first that is offered a start.
    #[inline(always)] // asked five times a cycle
    pub(crate) fn first(&self, nodes: &QueueNodes) -> Option<u32> {
        if self.resumed.is_empty() { self.fresh.first(nodes) } else { self.resumed.first(&nodes.requests) }
    }

    /// Who is probably offered once the first has left, where it is easily found.
    #[inline(always)]
    pub(crate) fn second(&self, nodes: &QueueNodes) -> Option<u32> {
        self.fresh.second(nodes)
    }

    /// Whether any that is offered a start and not hidden may ask for no more than these units.
    #[inline]
    pub(crate) fn has_within(&self, nodes: &QueueNodes, units: &Brief<MAX_DIMENSIONS>) -> bool {
        let is_within = |least: Numbers| least.first().is_within(units);
        self.fresh.least(nodes).is_some_and(is_within)
            || self.resumed.least(&nodes.requests).is_some_and(is_within)
    }

    /// All that are offered a start, in order.
    pub(crate) fn in_order<'a>(&self, nodes: &'a QueueNodes) -> impl Iterator<Item = u32> + use<'a> {
        self.resumed.iter(&nodes.requests).chain(self.fresh.offered(nodes))
    }

    /// The one behind one that is offered a start, or the first of all. O(1).
    pub(crate) fn next(&self, nodes: &QueueNodes, last: Option<(Lane, u32)>) -> Option<(Lane, u32)> {
        let in_resumed = match last {
            None => self.resumed.first(&nodes.requests),
            Some((Lane::Fresh, slot)) => return Some((Lane::Fresh, self.fresh.next(nodes, slot)?)),
            Some((_, slot)) => nodes.requests.next(slot),
        };
        let fresh = || Some((Lane::Fresh, self.fresh.first(nodes)?));
        in_resumed.map(|slot| (Lane::Resumed, slot)).or_else(fresh)
    }

    /// All that wait: those set aside and parked ones last.
    pub(crate) fn iter<'a>(&self, nodes: &'a QueueNodes) -> impl Iterator<Item = u32> + use<'a> {
        self.in_order(nodes).chain(self.fresh.aside(nodes)).chain(self.parked.iter(&nodes.requests))
    }

    /// All of one lane, in order.
    pub(crate) fn lane_iter<'a>(
        &self,
        nodes: &'a QueueNodes,
        lane: Lane,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let (tree, lines) = match lane {
            Lane::Resumed => (Some(self.resumed), None),
            Lane::Fresh => (None, Some(self.fresh)),
            Lane::Parked => (Some(self.parked), None),
        };
        let in_tree = tree.into_iter().flat_map(|tree| tree.iter(&nodes.requests));
        in_tree.chain(lines.into_iter().flat_map(|lines| lines.offered(nodes).chain(lines.aside(nodes))))
    }

    /// The first in order behind `after` that asks for no more than one of `most`.
    pub(crate) fn find(
        &self,
        nodes: &QueueNodes,
        after: Option<(Lane, u32)>,
        most: &[Least],
    ) -> Option<(Lane, u32)> {
        let small_enough = &|numbers: &Numbers| most.iter().any(|most| numbers.is_within(&most.0));
        let in_resumed = match after {
            Some((Lane::Fresh, slot)) => {
                return self.fresh.find(nodes, Some(slot), small_enough).map(|slot| (Lane::Fresh, slot));
            }
            Some((_, slot)) => self.resumed.find(&nodes.requests, Some(slot), small_enough),
            None => self.resumed.find(&nodes.requests, None, small_enough),
        };
        let fresh = || self.fresh.find(nodes, None, small_enough).map(|slot| (Lane::Fresh, slot));
        in_resumed.map(|slot| (Lane::Resumed, slot)).or_else(fresh)
    }

    /// The first of those in order behind `after` that ask for no more than one of `most` and pass.
    pub(crate) fn find_that<T>(
        &self,
        nodes: &QueueNodes,
        after: Option<(Lane, u32)>,
        most: &[Least],
        mut passes: impl FnMut(u32) -> Option<T>,
    ) -> Option<(u32, T)> {
        let mut found = self.find(nodes, after, most);
        while let Some((lane, slot)) = found {
            if let Some(value) = passes(slot) {
                return Some((slot, value));
            }
            found = self.find(nodes, Some((lane, slot)), most);
        }
        None
    }

    /// Whether one that is offered a start stands before another.
    pub(crate) fn is_before(&self, nodes: &QueueNodes, one: (Lane, u32), other: (Lane, u32)) -> bool {
        match (one, other) {
            ((Lane::Fresh, slot), (Lane::Fresh, other)) => nodes.is_before(slot, other),
            ((Lane::Fresh, _), _) => false,
            (_, (Lane::Fresh, _)) => true,
            ((_, slot), (_, other)) => nodes.requests.key(slot) < nodes.requests.key(other),
        }
    }

    /// How many are offered a start before one that waits; of one that is set aside, how many will be. O(them).
    pub(crate) fn ahead_of(&self, nodes: &QueueNodes, lane: Lane, slot: u32) -> usize {
        let count = |slots: &mut dyn Iterator<Item = u32>| slots.take_while(|&other| other != slot).count();
        let resumed = count(&mut self.resumed.iter(&nodes.requests));
        resumed
            + match lane {
                Lane::Resumed => 0,
                Lane::Fresh if nodes.is_aside(nodes.line_of(slot)) => count(&mut self.fresh.aside(nodes)),
                Lane::Fresh | Lane::Parked => count(&mut self.fresh.offered(nodes)),
            }
    }

    /// How many start before one that waits, if the lines take turns from now on: of each line no more than stand before it
    /// in its own, and one more of those whose turn comes first. O(they, and lines).
    pub(crate) fn turns_before(&self, nodes: &QueueNodes, lane: Lane, slot: u32) -> usize {
        match lane {
            Lane::Fresh => self.resumed.iter(&nodes.requests).count() + self.fresh.turns_before(nodes, slot),
            Lane::Resumed | Lane::Parked => self.ahead_of(nodes, lane, slot),
        }
    }

    /// The tree of a lane that is no lane of lines.
    fn tree(&mut self, lane: Lane) -> Option<&mut Tree> {
        match lane {
            Lane::Resumed => Some(&mut self.resumed),
            Lane::Fresh => None,
            Lane::Parked => Some(&mut self.parked),
        }
    }
}

/// What a list by arrival needs to know of a request.
pub(crate) trait Arrivals: LinkTable {
    /// Its place in the order of arrival.
    fn sequence(&self, slot: u32) -> u64;
}

/// Requests in order of arrival, whatever the order of their tier: the newest is dropped first. O(1) for
/// newcomers and O(those it passes, from the nearer end) for one that comes back.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct ArrivalList(List);

impl ArrivalList {
    pub(crate) fn insert_by(&mut self, table: &mut impl Arrivals, slot: u32) {
        let sequence = table.sequence(slot);
        let (mut from_head, mut from_tail) = (self.0.head(), self.0.tail());
        let before = loop {
            match (from_head, from_tail) {
                (_, Some(earlier)) if table.sequence(earlier) < sequence => break Some(earlier),
                (Some(later), _) if table.sequence(later) > sequence => break table.links(later).prev(),
                (Some(head), Some(tail)) => {
                    (from_head, from_tail) = (table.links(head).next(), table.links(tail).prev());
                }
                _ => break None,
            }
        };
        self.0.insert_after(table, before, slot);
    }

    pub(crate) fn remove(&mut self, table: &mut impl Arrivals, slot: u32) {
        self.0.remove(table, slot);
    }

    /// The one that arrived first.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.0.head()
    }

    /// All, the newest first.
    pub(crate) fn newest_first<'a, T: Arrivals>(
        &self,
        table: &'a T,
    ) -> impl Iterator<Item = u32> + use<'a, T> {
        core::iter::successors(self.0.tail(), |&slot| table.links(slot).prev())
    }
}
