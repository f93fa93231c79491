//! Candidates of one tier in the order in which they yield, as far as they are wanted: groups are opened only where
//! somebody in them may be next.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::yielders::Group;
use super::{Bounds, Candidate, Need, Prices, Runners, Source};
use crate::id::{RequestId, Tier, WorkerId};
use crate::resources::Resources;
use crate::time::Instant;

/// Who yields first in a tier: fewest preemptions, least work lost per unit freed, newest start, id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rank {
    preemptions: u32,
    work_lost: u64,
    freed_ppm: u64,
    started_at: Instant,
    id: RequestId,
}

impl Rank {
    fn of(one: &Candidate, source: &Source<'_>, need: &Need) -> Self {
        Self {
            preemptions: one.preemptions,
            work_lost: one.work_lost,
            freed_ppm: freed_ppm(one.work_lost, source, need, &one.used),
            started_at: one.started_at,
            id: one.id,
        }
    }

    /// Nobody of a group comes before this.
    fn first_of(bounds: &Bounds, source: &Source<'_>, need: &Need, prices: Prices) -> Self {
        let work_lost = bounds.work_lost(source.steps, prices);
        Self {
            preemptions: bounds.preemptions,
            work_lost,
            freed_ppm: freed_ppm(work_lost, source, need, &bounds.most_use),
            started_at: bounds.newest,
            id: bounds.id,
        }
    }
}

/// How much of what is short is freed. Where nothing is lost, it does not matter.
fn freed_ppm(work_lost: u64, source: &Source<'_>, need: &Need, used: &Resources) -> u64 {
    // At least 1: a division by nothing would leave no order.
    if work_lost == 0 { 1 } else { source.freed_ppm(&need.short, used).max(1) }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        // Many lose nothing, or as much for as much: only where that differs are there products to compare.
        let is_alike = (self.work_lost, self.freed_ppm) == (other.work_lost, other.freed_ppm);
        let loss = |one: &Self, by: &Self| u128::from(one.work_lost) * u128::from(by.freed_ppm);
        let by_loss = || if is_alike { Ordering::Equal } else { loss(self, other).cmp(&loss(other, self)) };
        (self.preemptions.cmp(&other.preemptions))
            .then_with(by_loss)
            .then_with(|| other.started_at.cmp(&self.started_at))
            .then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Group(Group),
    Member(u32),
}

/// A group or a member of one source, where it may come in the order at the earliest.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    rank: Rank,
    source: u32,
    node: Node,
}

impl Ord for Entry {
    /// The greatest comes out of a heap first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.rank.cmp(&self.rank)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How many entries are gone through for the first of them, which for so few is cheaper than a heap: 16,250 instructions of a decision
/// beside 17,130, where some twenty are met.
const FEW_ENTRIES: usize = 32;

/// Entries, of which the first in order is taken: mostly few.
#[derive(Debug, Default)]
struct Entries {
    few: Vec<Entry>,
    /// For which there was no room among the few.
    more: BinaryHeap<Entry>,
}

impl Entries {
    fn clear(&mut self) {
        self.few.clear();
        self.more.clear();
    }

    fn push(&mut self, entry: Entry) {
        if self.few.len() < FEW_ENTRIES { self.few.push(entry) } else { self.more.push(entry) }
    }

    fn pop(&mut self) -> Option<Entry> {
        let mut first = 0;
        for other in 1..self.few.len() {
            if self.few[other].rank < self.few[first].rank {
                first = other;
            }
        }
        match (self.few.get(first), self.more.peek()) {
            (Some(few), Some(more)) if more.rank < few.rank => self.more.pop(),
            (Some(_), _) => Some(self.few.swap_remove(first)),
            (None, _) => self.more.pop(),
        }
    }
}

/// A group of a tier's yielders on a worker, and what holds for it.
type Seen = (WorkerId, Tier, Group, Bounds);

/// What searches keep between each other: memory, and what they saw.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    entries: Entries,
    pub(super) victims: Vec<Candidate>,
    /// Groups whose bounds can be tighter.
    pub(crate) seen: Vec<Seen>,
    /// How many requests were looked at.
    #[cfg(test)]
    pub(crate) looked_at: u64,
}

/// The walk over one tier.
pub(super) struct Walk<'a, R> {
    pub(super) runners: &'a R,
    pub(super) sources: &'a [Source<'a>],
    pub(super) need: &'a Need,
    pub(super) prices: Prices,
    pub(super) tier: Tier,
    pub(super) scratch: &'a mut Scratch,
}

impl<R: Runners> Walk<'_, R> {
    /// Begins with all groups of which `may_serve` says that somebody may be wanted.
    pub(super) fn begin(&mut self, may_serve: impl Fn(&Bounds, &Source<'_>) -> bool) {
        self.scratch.entries.clear();
        for source in 0..self.sources.len() {
            if let Some(top) = self.sources[source].yielders[self.tier.index()].top() {
                self.offer(source, top, &may_serve);
            }
        }
    }

    fn offer(&mut self, source: usize, group: Group, may_serve: impl Fn(&Bounds, &Source<'_>) -> bool) {
        let from = &self.sources[source];
        let bounds = from.yielders[self.tier.index()].bounds(group);
        if may_serve(bounds, from) {
            let rank = Rank::first_of(bounds, from, self.need, self.prices);
            self.scratch.entries.push(Entry { rank, source: source as u32, node: Node::Group(group) });
        }
    }

    /// The next in the order, of those that may serve; perhaps others too. Who did not once never does.
    pub(super) fn next(&mut self, may_serve: impl Fn(&Bounds, &Source<'_>) -> bool) -> Option<Candidate> {
        loop {
            let Entry { source, node, .. } = self.scratch.entries.pop()?;
            let from = &self.sources[source as usize];
            let group = match node {
                Node::Member(slot) => return Some(self.runners.candidate(slot, source)),
                Node::Group(group) => group,
            };
            let yielders = &from.yielders[self.tier.index()];
            let bounds = yielders.bounds(group);
            if !may_serve(bounds, from) {
                continue;
            }
            match yielders.groups_in(group) {
                Some(groups) => groups.for_each(|group| self.offer(source as usize, group, &may_serve)),
                None => self.open(source, group),
            }
        }
    }

    /// Looks at the members of a group.
    fn open(&mut self, source: u32, group: Group) {
        let from = &self.sources[source as usize];
        let yielders = &from.yielders[self.tier.index()];
        for slot in yielders.members_of(group) {
            #[cfg(test)]
            {
                self.scratch.looked_at += 1;
            }
            let rank = Rank::of(&self.runners.candidate(slot, source), from, self.need);
            self.scratch.entries.push(Entry { rank, source, node: Node::Member(slot) });
        }
        let bounds = Bounds::join_all(yielders.members_of(group).map(|slot| self.runners.bounds(slot)));
        if bounds != *yielders.bounds(group) {
            self.scratch.seen.push((from.worker, self.tier, group, bounds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Pops come at random between pushes: more than are gone through stand there at times.
        #[test]
        fn the_first_in_order_is_taken_however_many_there_are(
            preemptions in prop::collection::vec(prop::option::weighted(0.7, 0_u32..50), 0..300),
        ) {
            let (mut entries, mut naive) = (Entries::default(), Vec::new());
            let nothing = Rank { preemptions: 0, work_lost: 0, freed_ppm: 1, started_at: Instant::ZERO, id: RequestId::new(0, 1) };
            for (number, preemptions) in (0..).zip(preemptions) {
                if let Some(preemptions) = preemptions {
                    let rank = Rank { preemptions, id: RequestId::new(number, 1), ..nothing };
                    entries.push(Entry { rank, source: 0, node: Node::Member(number) });
                    naive.push(rank);
                } else {
                    let first = naive.iter().copied().min();
                    naive.retain(|rank| Some(*rank) != first);
                    prop_assert_eq!(entries.pop().map(|entry| entry.rank), first);
                }
            }
        }
    }
}
