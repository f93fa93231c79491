//! The books: who waits where, who uses what. Every change of a container or of units goes through here.

use alloc::vec::Vec;

use super::Scheduler;
use super::record::WorkerStatus;
use crate::id::{PoolId, Tier, WorkerId};
use crate::queue::Lane;
use crate::request::RequestState;
use crate::resources::Resources;

impl Scheduler {
    /// Puts a request that is nowhere into its queue, or parks it.
    pub(super) fn enqueue(&mut self, slot: u32) {
        self.assign_lane(slot);
        let record = &mut self.requests[slot];
        let (pool, tier, lane) = (record.pool(), record.tier(), record.lane);
        record.in_use = Resources::ZERO;
        let expires_at = if record.has_run { None } else { record.expires_at };
        let (tenant, sequence) = (record.spec.tenant, record.sequence);
        self.pools[pool.index()].queues[tier.index()].insert(&mut self.requests, lane, slot);
        self.waiting += 1;
        self.waiting_by_tier[tier.index()] += 1;
        self.tenants.list[tenant.index()].waiting += 1;
        if let Some(at) = expires_at {
            self.timers.insert((at, sequence), slot);
        }
        self.count_waiting(slot);
        self.stir(pool);
    }

    /// Takes a waiting request out of its queue, with all that it had as one that waits but its claim.
    pub(super) fn dequeue(&mut self, slot: u32) {
        self.uncount_waiting(slot);
        self.stop_draining(slot);
        self.timers.remove(slot);
        let record = &self.requests[slot];
        let (pool, tier, lane, tenant) = (record.pool(), record.tier(), record.lane, record.spec.tenant);
        self.pools[pool.index()].queues[tier.index()].remove(&mut self.requests, lane, slot);
        // Its demand may have been what its tier's hold was for.
        self.stir(pool);
        self.waiting -= 1;
        self.waiting_by_tier[tier.index()] -= 1;
        self.tenants.list[tenant.index()].waiting -= 1;
    }

    /// Adds a waiting request to its tier's waiting demand if it belongs there.
    pub(super) fn count_waiting(&mut self, slot: u32) {
        let record = &mut self.requests[slot];
        let account = self.pools[record.spec.pool.index()].capacity.account_mut(record.spec.tier);
        let belongs =
            record.lane != Lane::Parked && record.claim.is_none() && record.asks.fits(&account.reserve);
        if belongs && !record.counted {
            record.counted = true;
            account.waiting += record.asks;
            account.note(self.now);
        }
    }

    pub(super) fn uncount_waiting(&mut self, slot: u32) {
        let record = &mut self.requests[slot];
        if core::mem::take(&mut record.counted) {
            let account = self.pools[record.spec.pool.index()].capacity.account_mut(record.spec.tier);
            account.waiting -= record.asks;
            account.note(self.now);
        }
    }

    /// Takes back the drain claim of a request.
    pub(super) fn stop_draining(&mut self, slot: u32) {
        if let Some(worker) = self.requests[slot].drains.take() {
            self.worker_mut(worker).drain = None;
            let pool = self.worker(worker).spec.pool;
            self.pool_mut(pool).drained.retain(|&other| other != worker);
            self.stir(pool);
        }
    }

    /// Puts a request that is nowhere on a worker, with `in_use` units.
    pub(super) fn board(&mut self, slot: u32, worker: WorkerId, in_use: Resources) {
        let running = &mut self.workers[worker.index()].running;
        let record = &mut self.requests[slot];
        record.worker = worker;
        record.place = running.len() as u32;
        record.in_use = in_use;
        running.push(slot);
        self.add_use(slot);
    }

    /// Takes a request off its worker; it is nowhere then. Its units go to claims there first.
    pub(super) fn leave(&mut self, slot: u32) {
        self.subtract_use(slot);
        if let Some(claim) = self.requests[slot].serves.take() {
            self.claims[claim].victims.retain(|&victim| victim != slot);
        }
        self.timers.remove(slot);
        let record = &self.requests[slot];
        let (worker, place) = (record.worker, record.place as usize);
        let running = &mut self.workers[worker.index()].running;
        running.swap_remove(place);
        if let Some(&moved) = running.get(place) {
            self.requests[moved].place = place as u32;
        }
        self.freed(worker);
    }

    /// Changes something of a request on a worker that the books depend on.
    pub(super) fn rebook(&mut self, slot: u32, change: impl FnOnce(&mut super::record::Record)) {
        self.subtract_use(slot);
        change(&mut self.requests[slot]);
        self.add_use(slot);
    }

    pub(super) fn add_use(&mut self, slot: u32) {
        self.book(slot, Resources::ZERO, self.requests[slot].in_use);
    }

    pub(super) fn subtract_use(&mut self, slot: u32) {
        self.book(slot, self.requests[slot].in_use, Resources::ZERO);
    }

    /// A request on a worker uses other units than before.
    pub(super) fn resize_use(&mut self, slot: u32, in_use: Resources) {
        let before = core::mem::replace(&mut self.requests[slot].in_use, in_use);
        self.book(slot, before, in_use);
    }

    /// Books the change of a request's use, in every account that it is part of.
    fn book(&mut self, slot: u32, before: Resources, after: Resources) {
        let record = &self.requests[slot];
        let (tier, yielding) = (record.spec.tier, record.is_yielding());
        let change = |units: &mut Resources| {
            *units += after;
            *units -= before;
        };
        let worker = &mut self.workers[record.worker.index()];
        change(&mut worker.used);
        change(&mut worker.used_by_tier[tier.index()]);
        if yielding {
            change(&mut worker.yielding);
        }
        if worker.status != WorkerStatus::Up {
            return;
        }
        let account = self.pools[record.spec.pool.index()].capacity.account_mut(tier);
        change(&mut account.used);
        if yielding {
            change(&mut account.yielding);
        }
        if record.never_yields() {
            change(&mut account.pinned);
        }
        account.note(self.now);
    }

    /// Whether the workers that are up could hold the request, were they empty.
    pub(super) fn is_startable(&self, slot: u32) -> bool {
        let record = &self.requests[slot];
        let pool = self.pool(record.pool());
        record.asks.fits(&pool.capacity.ceiling(record.tier(), record.never_yields()))
            && pool.up.iter().any(|&worker| record.asks.fits(&self.worker(worker).spec.capacity))
    }

    /// The pool has another capacity now: brings its queues in line, who is parked, who counts. O(n log n) for
    /// n that wait in it.
    pub(super) fn refit(&mut self, pool: PoolId, total: Resources) {
        for tier in self.tiers() {
            for slot in self.waiting_slots(pool, tier) {
                self.uncount_waiting(slot);
            }
        }
        self.pools[pool.index()].capacity.resize(total, &self.config.tiers);
        for tier in self.tiers() {
            self.refit_tier(pool, tier);
        }
        self.stir(pool);
    }

    fn refit_tier(&mut self, pool: PoolId, tier: Tier) {
        let mut waiting = self.waiting_slots(pool, tier);
        let stays = |slot: &u32| (self.requests[*slot].lane == Lane::Parked) != self.is_startable(*slot);
        let moved: Vec<u32> = waiting.iter().copied().filter(|slot| !stays(slot)).collect();
        for &slot in &moved {
            self.stop_draining(slot);
            self.assign_lane(slot);
        }
        if !moved.is_empty() {
            waiting.sort_unstable_by_key(|&slot| self.requests[slot].sequence);
            let lanes: Vec<_> = waiting.iter().map(|&slot| (self.requests[slot].lane, slot)).collect();
            let queue = &mut self.pools[pool.index()].queues[tier.index()];
            queue.rebuild(&mut self.requests, lanes.into_iter());
        }
        for slot in moved {
            self.give_up_claim(slot);
        }
        for slot in waiting {
            self.count_waiting(slot);
        }
    }

    /// Decides which list a waiting request belongs to.
    fn assign_lane(&mut self, slot: u32) {
        let lane = match (self.is_startable(slot), self.requests[slot].has_run) {
            (false, _) => Lane::Parked,
            (true, true) => Lane::Resumed,
            (true, false) => Lane::Fresh,
        };
        let record = &mut self.requests[slot];
        record.lane = lane;
        record.state = if lane == Lane::Parked { RequestState::Parked } else { RequestState::Queued };
        record.blocked_since = None;
        record.bypassed = 0;
    }

    fn waiting_slots(&self, pool: PoolId, tier: Tier) -> Vec<u32> {
        let queue = &self.pool(pool).queues[tier.index()];
        [Lane::Resumed, Lane::Fresh, Lane::Parked]
            .into_iter()
            .flat_map(|lane| queue.iter(&self.requests, lane))
            .collect()
    }
}
