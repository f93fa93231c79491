//! All live requests, by slot: their records, and the parts of them that only some have.

use super::record::{Rare, Record, Run};
use crate::event::Reason;
use crate::id::RequestId;
use crate::list::{LinkTable, Links};
use crate::queue::Arrivals;
use crate::request::RequestState;
use crate::slab::{Lookup, Slab};

/// The number of what all have of a part that they do not have of their own.
pub(super) const COMMON: u32 = 0;

/// Parts of records, by number, that only some have of their own.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Parts<T>(Slab<T>);

impl<T: Copy> Parts<T> {
    fn new(common: T) -> Self {
        let mut parts = Slab::new();
        assert_eq!(parts.insert(common).0, COMMON, "the first is the common one");
        Self(parts)
    }

    /// One's own; it has that number from now on. In line: a report asks a dozen times, and a call costs as much again.
    #[inline(always)]
    fn own(&mut self, number: &mut u32) -> &mut T {
        if *number == COMMON {
            *number = self.open();
        }
        &mut self.0[*number]
    }

    // Apart, so that its many callers stay small.
    #[inline(never)]
    fn open(&mut self) -> u32 {
        self.0.copy(COMMON)
    }

    fn forget(&mut self, number: u32) {
        if number != COMMON {
            self.0.forget(number);
        }
    }
}

/// All live requests.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Requests {
    live: Slab<Record>,
    run_parts: Parts<Run>,
    rare_parts: Parts<Rare>,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self { live: Slab::new(), run_parts: Parts::new(Run::NONE), rare_parts: Parts::new(Rare::NONE) }
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// All with their slots, in the order of the slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Record)> {
        self.live.iter()
    }

    /// Adds one; returns its slot and the slot's generation.
    #[inline(always)]
    pub(super) fn insert(&mut self, record: Record) -> (u32, u32) {
        self.live.insert(record)
    }

    /// Forgets one that has ended.
    pub(super) fn forget(&mut self, slot: u32) {
        let Record { run, rare, .. } = self.live[slot];
        self.run_parts.forget(run);
        self.rare_parts.forget(rare);
        self.live.forget(slot);
    }

    pub(super) fn id(&self, slot: u32) -> RequestId {
        RequestId::new(slot, self.live.generation(slot))
    }

    pub(super) fn lookup(&self, id: RequestId) -> Lookup {
        self.live.lookup(id.slot(), id.generation())
    }

    /// Of one that was never started: on no worker, with nothing.
    pub(super) fn run(&self, slot: u32) -> &Run {
        self.run_of(&self.live[slot])
    }

    /// The same, of whoever has the record already.
    pub(super) fn run_of(&self, record: &Record) -> &Run {
        &self.run_parts.0[record.run]
    }

    #[inline(always)]
    pub(super) fn run_mut(&mut self, slot: u32) -> &mut Run {
        self.run_parts.own(&mut self.live[slot].run)
    }

    /// A request with its run.
    pub(super) fn with_run_mut(&mut self, slot: u32) -> (&mut Record, &mut Run) {
        let record = &mut self.live[slot];
        let run = self.run_parts.own(&mut record.run);
        (record, run)
    }

    pub(super) fn rare(&self, slot: u32) -> &Rare {
        self.rare_of(&self.live[slot])
    }

    pub(super) fn rare_of(&self, record: &Record) -> &Rare {
        &self.rare_parts.0[record.rare]
    }

    pub(super) fn rare_mut(&mut self, slot: u32) -> &mut Rare {
        self.rare_parts.own(&mut self.live[slot].rare)
    }

    /// One is about to leave its worker, stopped.
    pub(super) fn note_stop(&mut self, slot: u32) {
        let (record, run) = self.with_run_mut(slot);
        let for_memory = record.state == RequestState::Preempting && run.yields_for == Reason::OutOfMemory;
        record.has_run = true;
        // Steps of its worker are not its own any more, though its units may still be there.
        run.runs = false;
        let in_use = run.in_use;
        let rare = self.rare_mut(slot);
        (rare.stopped_with, rare.stopped_for_memory) = (Some(in_use), for_memory);
    }
}

impl core::ops::Index<u32> for Requests {
    type Output = Record;

    fn index(&self, slot: u32) -> &Record {
        &self.live[slot]
    }
}

impl core::ops::IndexMut<u32> for Requests {
    fn index_mut(&mut self, slot: u32) -> &mut Record {
        &mut self.live[slot]
    }
}

impl LinkTable for Requests {
    fn links(&self, slot: u32) -> Links {
        self.live[slot].links
    }

    fn links_mut(&mut self, slot: u32) -> &mut Links {
        &mut self.live[slot].links
    }
}

impl Arrivals for Requests {
    fn sequence(&self, slot: u32) -> u64 {
        self.live[slot].sequence
    }
}
