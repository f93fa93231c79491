//! Those who may not have run for `min_run` yet, in the order of their starts: when the first of them will have.
//!
//! Who has run that long is forgotten when the next one starts; who has left, when it comes to the front, or when there are
//! too many of them. O(1), amortized.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Scheduler;
use super::requests::Requests;
use crate::id::{PoolId, RequestId, Tier};
use crate::slab::Lookup;
use crate::time::Instant;

/// Of one tier in one pool.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Young {
    starts: VecDeque<(Instant, RequestId)>,
    /// How many there may be before those who have left are looked for.
    most: usize,
}

/// Below so many it is not worth looking: chosen arbitrarily.
const FEW: usize = 64;

impl Young {
    fn insert(
        &mut self,
        at: Instant,
        id: RequestId,
        is_young: impl Fn(Instant) -> bool,
        stays: impl Fn(Instant, RequestId) -> bool,
    ) {
        while self.starts.front().is_some_and(|&(at, _)| !is_young(at)) {
            self.starts.pop_front();
        }
        if self.starts.len() >= self.most.max(FEW) {
            self.starts.retain(|&(at, id)| stays(at, id));
            self.most = 2 * self.starts.len();
        }
        // Nearly always the newest of all.
        let newer = self.starts.iter().rev().take_while(|&&(other, _)| other > at).count();
        self.starts.insert(self.starts.len() - newer, (at, id));
    }

    fn first(&mut self, stays: impl Fn(Instant, RequestId) -> bool) -> Option<Instant> {
        while let Some(&(at, id)) = self.starts.front() {
            if stays(at, id) {
                return Some(at);
            }
            self.starts.pop_front();
        }
        None
    }
}

impl Scheduler {
    /// Whether it is known when one on a worker will have run for `min_run`, if it has not; on a worker that is not up
    /// nobody asks. O(those of its tier that have not).
    pub(super) fn knows_young(&self, slot: u32) -> bool {
        let (record, id) = (&self.requests[slot], self.requests.id(slot));
        let run = self.requests.run(slot);
        let young = &self.pool(record.pool()).young[record.tier().index()];
        !self.stoppable[record.tier().index()]
            || !self.worker(run.worker).is_up()
            || run.started_at.plus_nanos(self.config.min_run_ns) <= self.now
            || young.starts.contains(&(run.started_at, id))
    }

    /// A request on a worker is of a tier since now, or since it has started.
    #[inline]
    pub(super) fn note_young(&mut self, slot: u32) {
        if self.stoppable[self.requests[slot].tier().index()] {
            self.add_young(slot);
        }
    }

    fn add_young(&mut self, slot: u32) {
        let (record, id) = (&self.requests[slot], self.requests.id(slot));
        let (at, pool, tier) = (self.requests.run(slot).started_at, record.pool(), record.tier());
        let (requests, now, min_run) = (&self.requests, self.now, self.config.min_run_ns);
        let young = &mut self.pools[pool.index()].young[tier.index()];
        let is_young = |at: Instant| at.plus_nanos(min_run) > now;
        young.insert(at, id, is_young, |at, id| is_young(at) && requests.has_run_since(id, tier, at));
    }

    /// When the first request of a tier that has not run for `min_run` will have.
    pub(super) fn first_exposed(&mut self, pool: PoolId, tier: Tier) -> Option<Instant> {
        let (requests, now, min_run) = (&self.requests, self.now, self.config.min_run_ns);
        let young = &mut self.pools[pool.index()].young[tier.index()];
        let exposed_at = |at: Instant| at.plus_nanos(min_run);
        young.first(|at, id| exposed_at(at) > now && requests.has_run_since(id, tier, at)).map(exposed_at)
    }

    /// `min_run` changed: who was old enough may not be any more.
    pub(super) fn note_all_young(&mut self, pool: PoolId) {
        for young in &mut self.pools[pool.index()].young {
            *young = Young::default();
        }
        let running = self.pool(pool).up.iter().flat_map(|&id| self.worker(id).running.iter().copied());
        let mut running: Vec<u32> = running.collect();
        running.sort_unstable_by_key(|&slot| self.requests.run(slot).started_at);
        running.into_iter().for_each(|slot| self.note_young(slot));
    }
}

impl Requests {
    /// Whether a request runs since then, in the tier.
    fn has_run_since(&self, id: RequestId, tier: Tier, at: Instant) -> bool {
        if self.lookup(id) != Lookup::Live {
            return false;
        }
        let record = &self[id.slot()];
        !record.is_waiting() && self.run(id.slot()).started_at == at && record.tier() == tier
    }
}
