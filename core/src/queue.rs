//! The waiting requests of one tier in one pool: who is next, who is set aside, and who is the first that fits.
//!
//! Three lanes: those that come back, stopped or declined, in order of arrival; the fresh ones, in the tier's order; and the parked
//! ones, which no worker that is up can hold. Knows order and numbers of units, not capacity. O(log n).
//! Invariant: LIFE-1, a waiting request is in exactly one lane.

use crate::list::{LinkTable, List};
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::tree::{NUMBERS, Nodes, Tree};

/// Which lane a waiting request is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Resumed,
    Fresh,
    Parked,
}

/// Where a request stands in its lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OrderKey {
    pub(crate) relegated: bool,
    pub(crate) rank: u64,
    pub(crate) sequence: u64,
}

/// What a search may take at most, or what a request must be given at least: units, the nanosecond of arrival, and
/// whether the units may be such that never come back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Least([u64; NUMBERS]);

impl Least {
    pub(crate) fn new(units: Resources, arrival: u64, pins: bool) -> Self {
        let mut numbers = [arrival; NUMBERS];
        numbers[..MAX_DIMENSIONS].copy_from_slice(units.as_array());
        numbers[NUMBERS - 1] = u64::from(pins);
        Self(numbers)
    }

    fn covers(&self, numbers: &[u64; NUMBERS]) -> bool {
        numbers.iter().zip(&self.0).all(|(number, most)| number <= most)
    }
}

/// The waiting requests of all queues stand in one arena.
pub(crate) type QueueNodes = Nodes<OrderKey>;

/// The three lanes.
#[derive(Debug, Default)]
pub(crate) struct TierQueue {
    resumed: Tree,
    fresh: Tree,
    parked: Tree,
}

impl TierQueue {
    /// Whether nobody could be offered a start.
    pub(crate) fn is_idle(&self) -> bool {
        self.resumed.is_empty() && self.fresh.is_empty()
    }

    pub(crate) fn insert(
        &mut self,
        nodes: &mut QueueNodes,
        lane: Lane,
        key: OrderKey,
        slot: u32,
        least: Least,
    ) {
        self.lane(lane).insert(nodes, key, slot, least.0);
    }

    pub(crate) fn remove(&mut self, nodes: &mut QueueNodes, lane: Lane, slot: u32) {
        self.lane(lane).remove(nodes, slot);
    }

    /// A search must know something else of a request.
    pub(crate) fn set_least(&mut self, nodes: &mut QueueNodes, lane: Lane, slot: u32, least: Least) {
        self.lane(lane).set_numbers(nodes, slot, least.0);
    }

    /// All that are offered a start, in order.
    pub(crate) fn in_order<'a>(&self, nodes: &'a QueueNodes) -> impl Iterator<Item = u32> + use<'a> {
        self.resumed.iter(nodes).chain(self.fresh.iter(nodes))
    }

    /// All that wait, parked ones last.
    pub(crate) fn iter<'a>(&self, nodes: &'a QueueNodes) -> impl Iterator<Item = u32> + use<'a> {
        self.in_order(nodes).chain(self.parked.iter(nodes))
    }

    /// All of one lane, in order.
    pub(crate) fn lane_iter<'a>(
        &self,
        nodes: &'a QueueNodes,
        lane: Lane,
    ) -> impl Iterator<Item = u32> + use<'a> {
        match lane {
            Lane::Resumed => self.resumed.iter(nodes),
            Lane::Fresh => self.fresh.iter(nodes),
            Lane::Parked => self.parked.iter(nodes),
        }
    }

    /// The first in order behind `after` that asks for no more than one of `most`.
    pub(crate) fn find(
        &self,
        nodes: &QueueNodes,
        after: Option<(Lane, u32)>,
        most: &[Least],
    ) -> Option<(Lane, u32)> {
        let small_enough = |numbers: &[u64; NUMBERS]| most.iter().any(|most| most.covers(numbers));
        let in_resumed = match after {
            Some((Lane::Fresh, slot)) => {
                return self.fresh.find(nodes, Some(slot), small_enough).map(|slot| (Lane::Fresh, slot));
            }
            Some((_, slot)) => self.resumed.find(nodes, Some(slot), small_enough),
            None => self.resumed.find(nodes, None, small_enough),
        };
        let fresh = || self.fresh.find(nodes, None, small_enough).map(|slot| (Lane::Fresh, slot));
        in_resumed.map(|slot| (Lane::Resumed, slot)).or_else(fresh)
    }

    /// How many are offered a start before one that waits in `lane`.
    pub(crate) fn ahead_of(&self, nodes: &QueueNodes, lane: Lane, slot: u32) -> usize {
        match lane {
            Lane::Resumed => self.resumed.rank(nodes, slot),
            Lane::Fresh => self.resumed.len(nodes) + self.fresh.rank(nodes, slot),
            Lane::Parked => self.resumed.len(nodes) + self.fresh.len(nodes),
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut Tree {
        match lane {
            Lane::Resumed => &mut self.resumed,
            Lane::Fresh => &mut self.fresh,
            Lane::Parked => &mut self.parked,
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

    /// All, the newest first.
    pub(crate) fn newest_first<'a, T: Arrivals>(
        &self,
        table: &'a T,
    ) -> impl Iterator<Item = u32> + use<'a, T> {
        core::iter::successors(self.0.tail(), |&slot| table.links(slot).prev())
    }
}
