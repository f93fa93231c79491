//! The books: who waits where, who uses what. Every change of a container or of units goes through here.

use alloc::vec::Vec;

use super::Scheduler;
use super::record::{Record, Run, Waiting};
use super::requests::COMMON;
use crate::config::Order;
use crate::id::{PoolId, Tier, WorkerId};
use crate::meter::Meter;
use crate::packed::{MaybeInstant, MaybeWorker};
use crate::queue::{Lane, Least, OrderKey};
use crate::request::{RequestSpec, RequestState};
use crate::resources::{Balance, Resources};

impl Scheduler {
    /// Puts a request that is nowhere into its queue, or parks it; whether it is new there.
    pub(super) fn enqueue(&mut self, slot: u32, is_new: bool) {
        let record = &self.requests[slot];
        // Of most nothing is said but what they take, which stays as it is: 60 instructions of a cycle.
        if record.rest != COMMON || record.rare != COMMON {
            let asks = self.next_asks(slot);
            self.requests.set_asks(slot, asks);
        }
        let record = &mut self.requests[slot];
        record.blocked_since = MaybeInstant::NONE;
        record.bypassed = 0;
        let (pool, tier) = (record.pool(), record.tier());
        let (has_run, tokens) = (record.has_run, record.spec.queue_tokens());
        self.waiting.add(tokens);
        self.waiting_by_tier[tier.index()].add(tokens);
        self.change_tenant_waiting(slot, |waiting| waiting.add(tokens));
        if !has_run {
            let never_ran = &mut self.never_ran[tier.index()];
            never_ran.arrivals.insert_by(&mut self.requests, slot);
            never_ran.sum.add(tokens);
        }
        self.join_lane(slot, is_new);
        self.look_at_own_line(slot);
        self.set_timer(slot);
        self.count_waiting(slot);
        self.stir(pool);
    }

    /// Takes a waiting request out of its queue, with all that it had as one that waits but its claim.
    #[inline]
    pub(super) fn dequeue(&mut self, slot: u32) {
        self.uncount_waiting(slot);
        self.stop_draining(slot);
        self.timers.remove(slot);
        self.turns.remove(slot);
        self.leave_lane(slot);
        self.stop_waiting_for_quota(slot);
        let record = &self.requests[slot];
        let (pool, tier) = (record.pool(), record.tier());
        let (has_run, tokens) = (record.has_run, record.spec.queue_tokens());
        self.waiting.subtract(tokens);
        self.waiting_by_tier[tier.index()].subtract(tokens);
        self.change_tenant_waiting(slot, |waiting| waiting.subtract(tokens));
        if !has_run {
            let never_ran = &mut self.never_ran[tier.index()];
            never_ran.arrivals.remove(&mut self.requests, slot);
            never_ran.sum.subtract(tokens);
        }
        // Its demand may have been what its tier's hold was for.
        self.stir(pool);
    }

    /// Puts a waiting request into the lane, and at the place there, that it belongs to; whether it is new to the fresh
    /// lane, if it comes there.
    pub(super) fn join_lane(&mut self, slot: u32, is_new: bool) {
        let record = &self.requests[slot];
        let is_offered = self.is_startable(slot) && self.requests.rare_of(record).waits_at.is_none();
        let lane = match (is_offered, record.comes_back()) {
            (false, _) => Lane::Parked,
            (true, true) => Lane::Resumed,
            (true, false) => Lane::Fresh,
        };
        self.requests[slot].relegated =
            lane == Lane::Fresh && self.relegates_at(slot).is_some_and(|at| at <= self.now);
        let is_newcomer = is_new && lane == Lane::Fresh;
        let line = if is_newcomer { self.note_arrival(slot) } else { self.place_in_order(slot) };
        let (key, least) = (self.order_key(slot, lane), self.least_of(slot));
        let record = &mut self.requests[slot];
        record.lane = Some(lane);
        record.state = if lane == Lane::Parked { RequestState::Parked } else { RequestState::Queued };
        let (pool, tier) = (record.spec.pool, record.spec.tier);
        let (now, pool) = (self.now, &mut self.pools[pool.index()]);
        pool.queues[tier.index()].insert(&mut self.nodes, lane, line, key, slot, least);
        if lane != Lane::Parked {
            pool.pace[tier.index()].join(now);
        }
        self.list_roamer(slot);
    }

    #[inline(always)]
    pub(super) fn leave_lane(&mut self, slot: u32) {
        self.unlist_roamer(slot);
        let (line, rank) = self.place_in_order(slot);
        let record = &mut self.requests[slot];
        let lane = record.lane.take().expect("a request that waits is in a lane");
        let (pool, tier) = (record.spec.pool, record.spec.tier);
        let (now, pool) = (self.now, &mut self.pools[pool.index()]);
        pool.queues[tier.index()].remove(&mut self.nodes, lane, slot, rank);
        if lane != Lane::Parked {
            pool.pace[tier.index()].leave(now);
        }
        if lane == Lane::Fresh {
            self.rerank_waiter(line, rank);
            self.note_departure(slot, line);
        }
    }

    /// What a search for a request that fits must know of one; it changes with the claim.
    pub(super) fn refresh_least(&mut self, slot: u32) {
        let record = &self.requests[slot];
        let Some(lane) = record.lane else { return };
        let (pool, tier, least) = (record.spec.pool, record.spec.tier, self.least_of(slot));
        self.pools[pool.index()].queues[tier.index()].set_least(&mut self.nodes, lane, slot, least);
    }

    /// What a search for a request that fits goes by. One with a claim is looked at besides: what the claim has gathered
    /// is room for it alone. When it arrived matters only where age does: else all are alike, and cheaper to keep.
    #[inline(always)]
    fn least_of(&self, slot: u32) -> Least {
        let record = &self.requests[slot];
        if record.claim.is_some() {
            return Least::hidden();
        }
        let ages = self.config.tiers[record.tier().index()].age_after_ns.is_some();
        let arrival = if ages { record.arrived_at.as_nanos() } else { 0 };
        Least::new(record.asks, arrival, record.never_yields())
    }

    #[inline(always)]
    pub(super) fn order_key(&self, slot: u32, lane: Lane) -> OrderKey {
        let record = &self.requests[slot];
        let order = match lane {
            Lane::Fresh => self.config.tiers[record.tier().index()].order,
            Lane::Resumed | Lane::Parked => Order::Fifo,
        };
        let spec = &record.spec;
        let uncached = spec.prompt_tokens - spec.cached_tokens;
        let at = |late: u64| {
            let deadline = self.requests.rest_of(record).deadline;
            deadline.map_or(u64::MAX, |at| at.plus_nanos(late).as_nanos())
        };
        let rank = match order {
            Order::Fair | Order::Fifo => 0,
            Order::DeficitLongestPrefix => u64::MAX - spec.cached_tokens,
            Order::Deadline => at(0),
            Order::ShortestFirst => uncached + 2 * spec.output_tokens().unwrap_or(0),
            Order::HybridDeadline => {
                let weight = self.config.tiers[record.tier().index()].deadline_token_weight_ns;
                at(uncached.saturating_mul(weight))
            }
        };
        OrderKey::new(record.relegated, rank, record.sequence)
    }

    /// Adds a waiting request to its tier's waiting demand if it belongs there.
    #[inline(always)]
    pub(super) fn count_waiting(&mut self, slot: u32) {
        let unclaimed = self.unclaimed(slot);
        let record = &self.requests[slot];
        let (pool, tier) = (record.pool(), record.tier());
        let reserve = self.pool(pool).capacity.account(tier).reserve;
        if record.lane != Some(Lane::Parked) && record.asks.fits(&reserve) && !record.counted {
            self.requests[slot].counted = true;
            self.change_waiting(slot, unclaimed, Resources::ZERO);
        }
    }

    #[inline(always)]
    pub(super) fn uncount_waiting(&mut self, slot: u32) {
        let unclaimed = self.unclaimed(slot);
        let record = &mut self.requests[slot];
        if core::mem::take(&mut record.counted) {
            self.change_waiting(slot, Resources::ZERO, unclaimed);
        }
    }

    /// What a waiting request adds to its tier's waiting demand is `more` and no more `less`; nothing while its line is
    /// set aside.
    #[inline(always)] // one of both is nothing where a request begins or ends to wait
    pub(super) fn change_waiting(&mut self, slot: u32, more: Resources, less: Resources) {
        let change = Balance::of(more, less);
        let record = &self.requests[slot];
        let (pool, tier) = (record.pool(), record.tier());
        if record.lane == Some(Lane::Fresh) {
            let line = self.nodes.line_of(slot);
            if self.line_demands.len() <= line as usize {
                self.add_line_demands(line);
            }
            self.line_demands[line as usize].shift(&change);
            if self.nodes.is_aside(line) {
                return;
            }
        }
        self.account_mut(pool, tier).waiting.shift(&change);
    }

    #[cold]
    fn add_line_demands(&mut self, line: u32) {
        self.line_demands.resize(line as usize + 1, Resources::ZERO);
    }

    /// What the waiting requests of a line add to their tier's waiting demand while it is on offer.
    pub(super) fn line_demand(&self, line: u32) -> Resources {
        self.line_demands.get(line as usize).copied().unwrap_or_default()
    }

    /// What waits of a tenant, and of those above it.
    #[inline]
    fn change_tenant_waiting(&mut self, slot: u32, change: impl Fn(&mut Waiting)) {
        let mut at = Some(self.requests[slot].leaf);
        while let Some(node) = at {
            change(self.tenants.waiting_at_mut(node));
            at = self.quota.parent(node);
        }
    }

    /// What a request asks for, less what is gathered of it.
    #[inline]
    fn unclaimed(&self, slot: u32) -> Resources {
        let record = &self.requests[slot];
        let Some(claim) = record.claim else { return record.asks };
        record.asks - self.claims[claim].earmarked
    }

    /// Takes back the drain claim of a request.
    #[inline(always)]
    pub(super) fn stop_draining(&mut self, slot: u32) {
        let drains = core::mem::replace(&mut self.requests[slot].drains, MaybeWorker::NONE);
        if let Some(worker) = drains.get() {
            self.end_drain(worker);
        }
    }

    fn end_drain(&mut self, worker: WorkerId) {
        self.worker_mut(worker).drain = None;
        let pool = self.worker(worker).spec.pool;
        self.pool_mut(pool).drained.retain(|&other| other != worker);
        self.stir(pool);
    }

    /// Puts a request that is nowhere on its worker, with the units that it uses; `note` tells its meter what else there is to it.
    pub(super) fn board(
        &mut self,
        slot: u32,
        worker: WorkerId,
        (held_units, in_use): (Resources, Resources),
        note: impl FnOnce(&mut Meter),
    ) {
        self.workers[worker.index()].running.push(slot);
        // It holds what it asks for, if that was not changed since.
        if held_units != in_use {
            self.hold_units(slot);
        }
        self.book_change(slot, worker, (Resources::ZERO, in_use), |meter| {
            meter.counts().running += 1;
            note(meter);
        });
        self.list_yielder(slot);
    }

    /// Takes a request off its worker; it is nowhere then. Its units go to claims there first.
    pub(super) fn leave(&mut self, slot: u32) {
        self.settle_tokens(slot);
        self.unlist_yielder(slot);
        let run = self.requests.run_mut(slot);
        let (worker, place) = (run.worker, run.place as usize);
        let (in_use, serves) = (core::mem::take(&mut run.in_use), run.serves.take());
        self.book_change(slot, worker, (in_use, Resources::ZERO), |meter| meter.counts().running -= 1);
        if let Some(claim) = serves {
            self.claims[claim].victims.retain(|&victim| victim != slot);
        }
        self.timers.remove(slot);
        let running = &mut self.workers[worker.index()].running;
        running.swap_remove(place);
        if let Some(&moved) = running.get(place) {
            self.requests.run_mut(moved).place = place as u32;
        }
        if self.worker(worker).running.is_empty() && !self.worker(worker).offset.is_zero() {
            self.set_offset(worker, Balance::default());
        }
        self.freed(worker);
    }

    /// Changes something of a request on a worker that the books depend on.
    pub(super) fn rebook(&mut self, slot: u32, change: impl FnOnce(&mut Record, &mut Run)) {
        self.subtract_use(slot);
        let (record, run) = self.requests.with_run_mut(slot);
        change(record, run);
        self.add_use(slot);
    }

    /// Changes something of a request on a worker that says whether it gives back its units, and not what it uses: a tenth of
    /// what it takes to book it anew, for each victim.
    pub(super) fn restate(&mut self, slot: u32, change: impl FnOnce(&mut Record, &mut Run)) {
        self.unlist_yielder(slot);
        let (record, run) = self.requests.with_run_mut(slot);
        let yielded = record.is_yielding();
        change(record, run);
        if record.is_yielding() != yielded {
            let (taken, given) =
                if yielded { (run.in_use, Resources::ZERO) } else { (Resources::ZERO, run.in_use) };
            self.book_yielding(slot, taken, given);
        }
        self.list_yielder(slot);
    }

    /// Of what a request uses, other units are given back than before, in every account that it is part of.
    fn book_yielding(&mut self, slot: u32, before: Resources, after: Resources) {
        let record = &self.requests[slot];
        let (pool, tier, change) = (record.pool(), record.tier(), Balance::of(after, before));
        let id = self.requests.run_of(record).worker;
        let worker = &mut self.workers[id.index()];
        self.changes.note(id, worker);
        worker.yielding.shift(&change);
        for part in &worker.spec.devices {
            let device = &mut self.devices[part.device.index()];
            device.yielding.shift(&Balance::of(part.of(after), part.of(before)));
        }
        if worker.is_up() {
            self.account_mut(pool, tier).yielding.shift(&change);
        }
    }

    pub(super) fn add_use(&mut self, slot: u32) {
        self.book(slot, Resources::ZERO, self.requests.run(slot).in_use);
        self.list_yielder(slot);
    }

    pub(super) fn subtract_use(&mut self, slot: u32) {
        self.unlist_yielder(slot);
        self.book(slot, self.requests.run(slot).in_use, Resources::ZERO);
    }

    /// A request on a worker uses other units than `before`.
    pub(super) fn book_resized(&mut self, slot: u32, before: Resources) {
        self.book(slot, before, self.requests.run(slot).in_use);
    }

    /// Books the change of the use of a request that runs on.
    #[inline(never)]
    fn book(&mut self, slot: u32, before: Resources, after: Resources) {
        let worker = self.requests.run(slot).worker;
        self.book_change(slot, worker, (before, after), |_| ());
    }

    /// Books the change of the use of a request on a worker, in every account that it is part of; `note` tells its meter what
    /// else there is to it. In line, where one side of the change is known to be nothing.
    #[inline(always)]
    fn book_change(
        &mut self,
        slot: u32,
        id: WorkerId,
        (before, after): (Resources, Resources),
        note: impl FnOnce(&mut Meter),
    ) {
        let record = &self.requests[slot];
        let (pool, tier, tenant) = (record.pool(), record.tier(), record.spec.tenant);
        let (yielding, never_yields) = (record.is_yielding(), record.never_yields());
        let is_up = self.worker(id).is_up();
        self.meter_units(tenant, (pool, tier), is_up, (before, after), note);
        let change = Balance::of(after, before);
        let worker = &mut self.workers[id.index()];
        self.changes.note(id, worker);
        let shift = (!worker.offset.is_zero()).then(|| worker.shift());
        worker.used.shift(&change);
        worker.used_by_tier[tier.index()].shift(&change);
        if yielding {
            worker.yielding.shift(&change);
        }
        for part in &worker.spec.devices {
            let device = &mut self.devices[part.device.index()];
            let change = Balance::of(part.of(after), part.of(before));
            device.used.shift(&change);
            if yielding {
                device.yielding.shift(&change);
            }
        }
        if is_up {
            let account = self.account_mut(pool, tier);
            account.used.shift(&change);
            if yielding {
                account.yielding.shift(&change);
            }
            if never_yields {
                account.pinned.shift(&change);
            }
        }
        if let Some(before) = shift {
            self.note_shift(id, before);
        }
        self.note_room(id);
    }

    /// What a request asks for when it starts next. One that stopped: what it used, and after memory pressure what
    /// it is expected to use at its peak and what nobody accounted for, as far as a worker has that; at most what
    /// its tier may ever have, so that one that grew beyond it is not kept out for ever.
    #[inline]
    pub(super) fn next_asks(&self, slot: u32) -> Resources {
        let record = &self.requests[slot];
        if self.requests.rare_of(record).stopped_with.is_none() {
            return self.requests.demand_of(record);
        }
        self.asks_with(slot, &self.requests.spec(slot))
    }

    /// What a request would ask for were it described so.
    pub(super) fn asks_with(&self, slot: u32, spec: &RequestSpec) -> Resources {
        let record = &self.requests[slot];
        let rare = self.requests.rare_of(record);
        let Some(stopped_with) = rare.stopped_with else { return spec.demand };
        let pool = self.pool(spec.pool);
        let ceiling = pool.configured.ceiling(spec.tier, record.never_yields());
        let least = spec.demand.max(stopped_with.min(ceiling));
        if !rare.stopped_for_memory {
            return least;
        }
        let peak = spec.peak.max(least) + rare.unaccounted;
        let holders = pool.shapes.iter().filter(|shape| least.fits(shape));
        // Of several shapes the greatest, dimension by dimension in their order: vectors have no other.
        holders
            .map(|&shape| peak.min(shape))
            .max_by_key(|units| *units.as_array())
            .unwrap_or(least)
            .min(ceiling)
            .max(least)
    }

    /// Whether the workers that are up could hold the request, were they empty, and another start can be counted.
    #[inline]
    pub(super) fn is_startable(&self, slot: u32) -> bool {
        let record = &self.requests[slot];
        let pool = self.pool(record.pool());
        record.attempt < u32::MAX
            && record.asks.fits(&pool.capacity.ceiling(record.tier(), record.never_yields()))
            && pool.up.iter().any(|&worker| record.asks.fits(&self.worker(worker).whole))
    }

    /// The capacity of a pool, or the rules for it, changed: brings its queues in line, who is parked, who counts,
    /// who comes first. O(n log n) for n that wait in it.
    pub(super) fn refit(&mut self, pool: PoolId) {
        let waiting: Vec<u32> = self.tiers().flat_map(|tier| self.waiting_slots(pool, tier)).collect();
        for &slot in &waiting {
            self.uncount_waiting(slot);
        }
        let total = self.total_capacity(pool);
        self.tiers().for_each(|tier| self.advance_loan(pool, tier));
        let target = &mut self.pools[pool.index()];
        target.capacity.resize(pool, total, &self.config.tiers);
        let largest = target.configured.total().max(total);
        target.configured.resize(pool, largest, &self.config.tiers);
        self.note_all_rooms(pool);
        let mut parked = Vec::new();
        for &slot in &waiting {
            let was_parked = self.requests[slot].lane == Some(Lane::Parked);
            self.leave_lane(slot);
            self.join_lane(slot, was_parked);
            self.set_timer(slot);
            let is_parked = self.requests[slot].lane == Some(Lane::Parked);
            if was_parked != is_parked {
                self.requests[slot].blocked_since = MaybeInstant::NONE;
                self.requests[slot].bypassed = 0;
            }
            if is_parked && !was_parked {
                self.stop_waiting_for_quota(slot);
                self.stop_draining(slot);
                parked.push(slot);
            }
        }
        for slot in parked {
            self.give_up_claim(slot);
        }
        for slot in waiting {
            self.count_waiting(slot);
        }
        self.stir(pool);
        self.note_homeless(pool);
    }

    pub(super) fn waiting_slots(&self, pool: PoolId, tier: Tier) -> Vec<u32> {
        self.pool(pool).queues[tier.index()].iter(&self.nodes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, TierConfig};
    use crate::event::{Action, Release, WorkerSpec};
    use crate::id::Attempt;
    use crate::time::Instant;

    #[test]
    fn a_request_whose_starts_can_be_counted_no_more_is_parked() {
        let config = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only")).build();
        let (mut sched, now) = (Scheduler::new(config.expect("sound"), Instant::ZERO), Instant::ZERO);
        let tenant = sched.tenant_set(now, "acme").expect("a name");
        sched.worker_add(now, WorkerSpec::new([1])).expect("a worker");
        let request = sched.submit(now, RequestSpec::new(tenant, Tier::P0).demand([1])).expect("it fits");
        sched.requests[request.slot()].attempt = u32::MAX - 1;
        let last = Attempt::new(u32::MAX);
        let start = sched.poll(now);
        assert!(matches!(start, Some(Action::Start { attempt, .. }) if attempt == last), "{start:?}");
        assert_eq!(sched.poll(now), None);
        sched.preempted(now, request, last, 0, Release::Done).expect("it runs");
        assert_eq!(sched.poll(now), None);
        assert_eq!(sched.state(request), Ok(RequestState::Parked));
        assert_eq!(sched.check_invariants(), Ok(()));
    }
}
