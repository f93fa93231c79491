//! All live requests, by slot: their records, and the parts of them that only some have.

use super::record::{Rare, Record, Run};
use super::spec::{ShortSpec, SpecRest};
use crate::event::Reason;
use crate::id::RequestId;
use crate::list::{LinkTable, Links};
use crate::queue::Arrivals;
use crate::request::{RequestSpec, RequestState};
use crate::resources::Resources;
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
pub(super) struct Requests {
    live: Slab<Record>,
    run_parts: Parts<Run>,
    rare_parts: Parts<Rare>,
    /// What is not said of most, of whom it is: until their slots are used again, as the records stand.
    rests: Parts<SpecRest>,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self {
            live: Slab::new(),
            run_parts: Parts::new(Run::NONE),
            rare_parts: Parts::new(Rare::NONE),
            rests: Parts::new(SpecRest::unsaid(Resources::ZERO)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether a slot has one.
    #[cfg(feature = "snapshot")]
    pub(super) fn contains(&self, slot: u32) -> bool {
        self.live.contains(slot)
    }

    /// All with their slots, in the order of the slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Record)> {
        self.live.iter()
    }

    /// Adds one of which this is said; returns its slot and the slot's generation.
    #[inline(always)]
    pub(super) fn insert(&mut self, spec: &RequestSpec, record: Record) -> (u32, u32) {
        let rest = self.live.next_to_go().map_or(COMMON, |former| former.rest);
        let asks = record.asks;
        let (slot, generation) = self.live.insert(Record { rest, ..record });
        // Of most nothing else is said, nor was of whom it follows.
        if rest != COMMON || !SpecRest::is_unsaid(spec, &asks) {
            self.set_rest(slot, spec);
        }
        (slot, generation)
    }

    /// Forgets one that has ended.
    pub(super) fn forget(&mut self, slot: u32) {
        let Record { run, rare, .. } = self.live[slot];
        self.run_parts.forget(run);
        self.rare_parts.forget(rare);
        self.live.forget(slot);
    }

    /// All that was said of one.
    pub(super) fn spec(&self, slot: u32) -> RequestSpec {
        self.spec_of(&self.live[slot])
    }

    fn spec_of(&self, record: &Record) -> RequestSpec {
        let rest =
            if record.rest == COMMON { SpecRest::unsaid(record.asks) } else { self.rests.0[record.rest] };
        rest.with(&record.spec)
    }

    /// What is not said of most requests, but for units.
    #[inline]
    pub(super) fn rest_of(&self, record: &Record) -> &SpecRest {
        &self.rests.0[record.rest]
    }

    /// The units that one takes when it first starts.
    #[inline]
    pub(super) fn demand_of(&self, record: &Record) -> Resources {
        if record.rest == COMMON { record.asks } else { self.rests.0[record.rest].demand }
    }

    /// Something else is said of one.
    pub(super) fn set_spec(&mut self, slot: u32, spec: &RequestSpec) {
        self.live[slot].spec = ShortSpec::of(spec);
        self.set_rest(slot, spec);
    }

    /// The part of that which is not said of most.
    #[inline]
    pub(super) fn set_rest(&mut self, slot: u32, spec: &RequestSpec) {
        let record = &mut self.live[slot];
        if !SpecRest::is_unsaid(spec, &record.asks) {
            *self.rests.own(&mut record.rest) = SpecRest::of(spec);
        } else if record.rest != COMMON {
            self.rests.forget(core::mem::take(&mut record.rest));
        }
    }

    /// One takes so much when it starts next.
    #[inline]
    pub(super) fn set_asks(&mut self, slot: u32, asks: Resources) {
        let record = &mut self.live[slot];
        if record.asks != asks {
            if record.rest == COMMON {
                *self.rests.own(&mut record.rest) = SpecRest::unsaid(record.asks);
            }
            record.asks = asks;
        }
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

    /// Reads ahead of the links of those beside one in its list.
    #[inline(always)]
    pub(super) fn fetch_neighbours(&self, record: &Record) -> u64 {
        let word = |at: Option<u32>| at.map_or(0, |at| self.live[at].links.fetch());
        word(record.links.prev()) ^ word(record.links.next())
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

/// What a snapshot has: each record behind the whole of its spec, and the parts that decide what a record is.
#[cfg(feature = "snapshot")]
impl serde::Serialize for Requests {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        (Live(self), &self.run_parts, &self.rare_parts).serialize(out)
    }
}

#[cfg(feature = "snapshot")]
struct Live<'a>(&'a Requests);

#[cfg(feature = "snapshot")]
impl serde::Serialize for Live<'_> {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.0.live.write_as(out, |record| (self.0.spec_of(record), record))
    }
}

#[cfg(feature = "snapshot")]
impl<'de> serde::Deserialize<'de> for Requests {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        type Read = (Slab<(RequestSpec, Record)>, Parts<Run>, Parts<Rare>);
        let (live, run_parts, rare_parts) = Read::deserialize(from)?;
        let mut rests = Parts::new(SpecRest::unsaid(Resources::ZERO));
        let live = live.map(|(spec, mut record)| {
            record.spec = ShortSpec::of(&spec);
            if !SpecRest::is_unsaid(&spec, &record.asks) {
                *rests.own(&mut record.rest) = SpecRest::of(&spec);
            }
            record
        });
        Ok(Self { live, run_parts, rare_parts, rests })
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
