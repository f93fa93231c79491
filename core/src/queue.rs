//! The waiting requests of one tier in one pool: who is next, and who is set aside.
//!
//! Three lists: those that have run, in order of arrival; the fresh ones, in order of arrival (`Fifo`); and
//! the parked ones, which no worker that is up can hold. Knows order, not capacity. Insert and remove are
//! O(1) for newcomers and O(those it passes, from the nearer end) for one that comes back.
//! Invariant: LIFE-1, a waiting request is in exactly one list.

use crate::list::{LinkTable, List};

/// What the lists need to know of a request.
pub(crate) trait Arrivals: LinkTable {
    /// Its place in the order of arrival.
    fn sequence(&self, slot: u32) -> u64;
}

/// Which list a waiting request is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Resumed,
    Fresh,
    Parked,
}

/// The three lists.
#[derive(Debug, Default)]
pub(crate) struct TierQueue {
    resumed: List,
    fresh: List,
    parked: List,
}

impl TierQueue {
    /// Whether nobody could be offered a start.
    pub(crate) fn is_idle(&self) -> bool {
        self.first().is_none()
    }

    /// Puts a request where its arrival belongs.
    pub(crate) fn insert(&mut self, table: &mut impl Arrivals, lane: Lane, slot: u32) {
        let list = self.list(lane);
        let sequence = table.sequence(slot);
        // From both ends: newcomers and most victims belong near the tail, declined ones near the head.
        let (mut from_head, mut from_tail) = (list.head(), list.tail());
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
        list.insert_after(table, before, slot);
    }

    /// Takes these requests, in order of arrival, for all that wait.
    pub(crate) fn rebuild(&mut self, table: &mut impl Arrivals, waiting: impl Iterator<Item = (Lane, u32)>) {
        *self = Self::default();
        for (lane, slot) in waiting {
            let list = self.list(lane);
            list.insert_after(table, list.tail(), slot);
        }
    }

    pub(crate) fn remove(&mut self, table: &mut impl Arrivals, lane: Lane, slot: u32) {
        self.list(lane).remove(table, slot);
    }

    /// The next to be offered a start.
    pub(crate) fn first(&self) -> Option<u32> {
        self.resumed.head().or(self.fresh.head())
    }

    /// Who comes behind `slot`, which is in `lane`.
    pub(crate) fn after(&self, table: &impl Arrivals, lane: Lane, slot: u32) -> Option<u32> {
        let next = table.links(slot).next();
        if lane == Lane::Resumed { next.or(self.fresh.head()) } else { next }
    }

    /// The newest of those that have never run, which the table tells.
    pub(crate) fn newest(&self, table: &impl Arrivals, has_run: impl Fn(u32) -> bool) -> Option<u32> {
        let parked = core::iter::successors(self.parked.tail(), |&slot| table.links(slot).prev());
        let newest_parked = parked.into_iter().find(|&slot| !has_run(slot));
        self.fresh.tail().into_iter().chain(newest_parked).max_by_key(|&slot| table.sequence(slot))
    }

    /// All requests of a list, in order.
    pub(crate) fn iter<'a, T: Arrivals>(
        &self,
        table: &'a T,
        lane: Lane,
    ) -> impl Iterator<Item = u32> + use<'a, T> {
        let head = match lane {
            Lane::Resumed => self.resumed.head(),
            Lane::Fresh => self.fresh.head(),
            Lane::Parked => self.parked.head(),
        };
        core::iter::successors(head, move |&slot| table.links(slot).next())
    }

    fn list(&mut self, lane: Lane) -> &mut List {
        match lane {
            Lane::Resumed => &mut self.resumed,
            Lane::Fresh => &mut self.fresh,
            Lane::Parked => &mut self.parked,
        }
    }
}
