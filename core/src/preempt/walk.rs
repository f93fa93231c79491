//! Candidates of one tier in the order in which they yield, as far as they are wanted: groups are opened only where
//! somebody in them may be next.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::yielders::Group;
use super::{Bounds, Candidate, Need, PlaceUnits, Prices, Runners, Source};
use crate::id::{RequestId, Tier, WorkerId};
use crate::resources::{MAX_DIMENSIONS, Resources};
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
    fn of(one: &Candidate, need: &Need) -> Self {
        Self {
            preemptions: one.preemptions,
            work_lost: one.work_lost,
            freed_ppm: freed_ppm(one.work_lost, need, &one.frees),
            started_at: one.started_at,
            id: one.id,
        }
    }

    /// Nobody of a group comes before this.
    fn first_of(bounds: &Bounds, frees: &PlaceUnits, steps: i64, need: &Need, prices: Prices) -> Self {
        let work_lost = bounds.work_lost(steps, prices);
        Self {
            preemptions: bounds.preemptions,
            work_lost,
            freed_ppm: freed_ppm(work_lost, need, frees),
            started_at: bounds.newest,
            id: bounds.id,
        }
    }
}

/// How much of what is short is freed, over all dimensions and places. Where nothing is lost, it does not matter.
fn freed_ppm(work_lost: u64, need: &Need, frees: &PlaceUnits) -> u64 {
    if work_lost == 0 {
        return 1;
    }
    let freed = |(short, frees): (&Resources, &Resources)| -> u64 {
        let dimensions = (0..MAX_DIMENSIONS).filter(|&d| short[d] > 0);
        dimensions.map(|d| frees[d].min(short[d]) * 1_000_000 / short[d]).sum()
    };
    // At least 1: a division by nothing would leave no order.
    need.short.beside(frees).map(freed).sum::<u64>().max(1)
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

/// A group of a tier's yielders on a worker, and what holds for it.
type Seen = (WorkerId, Tier, Group, Bounds);

/// What searches keep between each other: memory, and what they saw.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    heap: BinaryHeap<Entry>,
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
    pub(super) fn begin(&mut self, may_serve: impl Fn(&Bounds, &PlaceUnits) -> bool) {
        self.scratch.heap.clear();
        for source in 0..self.sources.len() {
            if let Some(top) = self.sources[source].yielders[self.tier.index()].top() {
                self.offer(source, top, &may_serve);
            }
        }
    }

    fn offer(&mut self, source: usize, group: Group, may_serve: impl Fn(&Bounds, &PlaceUnits) -> bool) {
        let from = &self.sources[source];
        let bounds = from.yielders[self.tier.index()].bounds(group);
        let frees = from.frees(bounds.most_use);
        if may_serve(bounds, &frees) {
            let rank = Rank::first_of(bounds, &frees, from.steps, self.need, self.prices);
            self.scratch.heap.push(Entry { rank, source: source as u32, node: Node::Group(group) });
        }
    }

    /// The next in the order, of those that may serve; perhaps others too. Who did not once never does.
    pub(super) fn next(&mut self, may_serve: impl Fn(&Bounds, &PlaceUnits) -> bool) -> Option<Candidate> {
        loop {
            let Entry { source, node, .. } = self.scratch.heap.pop()?;
            let from = &self.sources[source as usize];
            let group = match node {
                Node::Member(slot) => return Some(self.runners.candidate(slot, from)),
                Node::Group(group) => group,
            };
            let yielders = &from.yielders[self.tier.index()];
            let bounds = yielders.bounds(group);
            if !may_serve(bounds, &from.frees(bounds.most_use)) {
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
            let rank = Rank::of(&self.runners.candidate(slot, from), self.need);
            self.scratch.heap.push(Entry { rank, source, node: Node::Member(slot) });
        }
        let bounds = Bounds::join_all(yielders.members_of(group).map(|slot| self.runners.bounds(slot)));
        if bounds != *yielders.bounds(group) {
            self.scratch.seen.push((from.worker, self.tier, group, bounds));
        }
    }
}
