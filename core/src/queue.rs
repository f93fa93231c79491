//! The waiting requests of one tier in one pool: who is next, and who is set aside.
//!
//! Three lists: those that have run, in order of arrival; the fresh ones, in order of arrival (`Fifo`); and
//! the parked ones, which no worker that is up can hold. Knows order, not capacity. Insert and remove are
//! O(1) for newcomers and O(those it passes) for one that comes back.
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
        // Newcomers belong at the tail and declined ones at the head; victims are mostly young.
        let before_head = list.head().is_none_or(|head| sequence < table.sequence(head));
        let mut before = if before_head { None } else { list.tail() };
        while let Some(earlier) = before
            && table.sequence(earlier) > sequence
        {
            before = table.links(earlier).prev();
        }
        list.insert_after(table, before, slot);
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

    /// The newest that has never run and is not parked.
    pub(crate) fn newest_fresh(&self) -> Option<u32> {
        self.fresh.tail()
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
