//! `poll`: guarantee, reclaim, borrow.
//!
//! One action at a time, decided when it is asked for, so that inputs given in between are heard. A pool in which
//! nothing changed since a pass found nothing is not looked at again.

use super::Scheduler;
use super::quota::QuotaLack;
use super::record::Record;
use super::room::{OwnGates, Roomy};
use super::workers::Worker;
use crate::event::{Action, Reason};
use crate::id::{PoolId, Tier, WorkerId};
use crate::placement;
use crate::request::RequestState;
use crate::resources::Resources;
use crate::time::Instant;

/// Who could start, and where, or what quota it lacks.
pub(super) type Found = (u32, Result<WorkerId, QuotaLack>);

/// Whether a request may come to workers that are drained for another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drained {
    /// Where no other has room.
    Last,
    Never,
}

impl Scheduler {
    /// The next thing to do, or `None` when there is nothing more: that ends the round. Poll again after
    /// inputs, and at [`poll_timeout`](Self::poll_timeout). O(tiers · (log waiting + workers with room)) where
    /// something changed and who is first in line fits, O(pools) where nothing did; choosing victims costs
    /// O(requests on the workers of the pool).
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        self.advance(now);
        self.next_action()
    }

    /// The next thing to do now, or `None` at the end of the round.
    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.expire();
        if !self.in_round {
            self.begin_round();
        }
        self.wake_up();
        loop {
            if let Some(action) = self.hear() {
                return Some(action);
            }
            self.note_demand();
            if !self.decide() {
                self.in_round = false;
                return None;
            }
        }
    }

    fn begin_round(&mut self) {
        self.in_round = true;
        self.round += 1;
        for pool in &mut self.pools {
            pool.dirty |= core::mem::take(&mut pool.revisit);
        }
    }

    /// Pools that the passing of time alone gave something to do are looked at.
    fn wake_up(&mut self) {
        for pool in &mut self.pools {
            pool.dirty |= pool.wake_at.is_some_and(|at| at <= self.now);
            if pool.dirty {
                pool.wake_at = None;
            }
        }
    }

    /// Decides one thing, into the outbox. Whether there was one.
    fn decide(&mut self) -> bool {
        loop {
            let pools = (0..self.pools.len() as u32).map(PoolId::new);
            if self.relieve_pressure() || pools.into_iter().any(|pool| self.decide_in(pool)) {
                return true;
            }
            if !self.wake_waiter() {
                return self.want_leases();
            }
        }
    }

    fn decide_in(&mut self, pool: PoolId) -> bool {
        // What a pass itself stirs up, such as a worker that is drained no more, needs another.
        while core::mem::take(&mut self.pool_mut(pool).dirty) {
            let target = self.pool_mut(pool);
            target.sought_in_vain = false;
            target.rooms.tighten();
            if self.guarantee(pool) || self.reclaim(pool) || self.borrow(pool) {
                self.pool_mut(pool).dirty = true;
                return true;
            }
            if self.pool(pool).queues.iter().any(|queue| !queue.is_idle()) {
                self.wake(pool, self.pool(pool).capacity.next_turn(self.now));
                let admission = self.next_admission(pool);
                self.wake(pool, admission);
            }
        }
        false
    }

    /// When a worker that some request is kept off is next open to it.
    pub(super) fn next_admission(&mut self, pool: PoolId) -> Option<Instant> {
        let now = self.now;
        let admissions = &mut self.pool_mut(pool).admissions;
        while admissions.first().is_some_and(|&at| at <= now) {
            admissions.pop_first();
        }
        admissions.first().copied()
    }

    /// The pool has to be looked at again at this instant.
    pub(super) fn wake(&mut self, pool: PoolId, at: Option<Instant>) {
        let wake_at = &mut self.pool_mut(pool).wake_at;
        *wake_at = at.into_iter().chain(*wake_at).min();
    }

    /// The waiting requests of a tier, in order, without those that are parked.
    pub(super) fn waiting_in_order(&self, pool: PoolId, tier: Tier) -> impl Iterator<Item = u32> + use<'_> {
        self.pool(pool).queues[tier.index()].in_order(&self.nodes)
    }

    /// The first waiting request of a tier that passes its own gates; those that sit this round out are no candidates.
    pub(super) fn first_past_own_gates(&self, pool: PoolId, tier: Tier) -> Option<u32> {
        let queue = &self.pool(pool).queues[tier.index()];
        let passes = |slot: u32| !self.sits_out(slot) && self.passes_own_gates(slot);
        // Nearly always it is the first of all.
        let first = queue.first(&self.nodes)?;
        if passes(first) {
            return Some(first);
        }
        let (most, pinned) = self.most_by_own_gates(pool, tier);
        let most = OwnGates { latest_arrival: u64::MAX, most, pinned }.within(Resources::BOUNDLESS);
        queue.find_that(&self.nodes, None, &most, |slot| passes(slot).then_some(())).map(|(slot, ())| slot)
    }

    /// The first waiting request of a tier that passes, of those that some worker may have room for which is open to it;
    /// those that sit this round out are no candidates.
    fn first_with_room<T>(
        &self,
        pool: PoolId,
        tier: Tier,
        gates: &OwnGates,
        is_open: impl Fn(&Worker) -> bool,
        mut passes: impl FnMut(u32) -> Option<T>,
    ) -> Option<(u32, T)> {
        let queue = &self.pool(pool).queues[tier.index()];
        let mut passes = |slot: u32| if self.sits_out(slot) { None } else { passes(slot) };
        // Nearly always it is the first that the workers together have room for.
        let (lane, first) =
            queue.find(&self.nodes, None, &gates.within(self.pool(pool).rooms.most().values().into()))?;
        if let Some(value) = passes(first) {
            return Some((first, value));
        }
        let most = gates.within_any(&self.roomy(pool, is_open));
        queue.find_that(&self.nodes, Some((lane, first)), &most, passes)
    }

    /// Starts a request whose claim is ready, or whose tier is within its reserve with it.
    fn guarantee(&mut self, pool: PoolId) -> bool {
        if let Some(claim) = self.ready_claim(pool) {
            let (owner, worker) = (self.claims[claim].owner, self.claims[claim].worker);
            self.start(owner, worker, Reason::Reclaimed);
            return true;
        }
        self.tiers().any(|tier| {
            self.start_first(Reason::Guaranteed, |sched| sched.guaranteed_start(pool, tier)).is_some()
        })
    }

    /// Starts who is found; those who could and lack quota wait for it, and another is sought. Who has started.
    fn start_first(
        &mut self,
        reason: Reason,
        find: impl Fn(&Self) -> Option<Found>,
    ) -> Option<(u32, WorkerId)> {
        loop {
            match find(self)? {
                (slot, Ok(worker)) => {
                    self.start(slot, worker, reason);
                    return Some((slot, worker));
                }
                (slot, Err(lack)) => self.wait_for_quota(slot, lack.node),
            }
        }
    }

    /// The next request of a tier that may start within its reserve, and where.
    pub(super) fn guaranteed_start(&self, pool: PoolId, tier: Tier) -> Option<Found> {
        if !self.may_have_room(pool, tier) {
            return None;
        }
        let target = self.pool(pool);
        let room = target.capacity.account(tier).unused_reserve();
        if room.is_zero() && target.claims.is_empty() {
            return None;
        }
        let gates = OwnGates { latest_arrival: u64::MAX, most: room, pinned: room };
        let start = |slot| Some(self.with_quota(slot, self.guaranteed_worker(slot)?));
        self.first_with_room(pool, tier, &gates, |_| true, start)
    }

    /// A worker for a request, unless it lacks quota.
    fn with_quota(&self, slot: u32, worker: WorkerId) -> Result<WorkerId, QuotaLack> {
        self.quota_lack(slot).map_or(Ok(worker), Err)
    }

    /// Where a request may start that stays within its tier's reserve.
    pub(super) fn guaranteed_worker(&self, slot: u32) -> Option<WorkerId> {
        let record = &self.requests[slot];
        let capacity = &self.pool(record.pool()).capacity;
        let within = capacity.is_within(record.tier(), record.asks, self.own_claim(slot));
        if within { self.place(slot, Drained::Last) } else { None }
    }

    /// The size of a request's claim: what of its tier's claims it would use up.
    pub(super) fn own_claim(&self, slot: u32) -> Resources {
        self.requests[slot].claim.map_or(Resources::ZERO, |claim| self.claims[claim].size)
    }

    /// Starts a request on what nobody holds.
    fn borrow(&mut self, pool: PoolId) -> bool {
        self.tiers().any(|tier| self.borrow_for(pool, tier))
    }

    /// A tier's own come first, then those that have aged up to it.
    fn borrow_for(&mut self, pool: PoolId, tier: Tier) -> bool {
        let head = self.find_head(pool, tier);
        self.stop_draining_for_former_heads(pool, tier, head);
        if let Some(head) = head {
            let has_room = self.may_have_room(pool, tier);
            if has_room {
                let now = self.now;
                self.pool_mut(pool).capacity.prepare(now);
                let available = self.pool(pool).capacity.available(tier, self.now).positive();
                if let Some(worker) = self.borrowed_worker(head, &available) {
                    self.start(head, worker, Reason::Borrowed);
                    return true;
                }
            }
            self.attend(pool, head);
            let start = |sched: &Self| sched.borrowed_start(pool, tier, u64::MAX);
            if let Some((_, worker)) = has_room.then(|| self.start_first(Reason::Borrowed, start)).flatten() {
                if self.requests[head].asks.fits(&self.worker(worker).whole) {
                    self.requests[head].bypassed = self.requests[head].bypassed.saturating_add(1);
                }
                return true;
            }
        }
        self.start_first(Reason::Borrowed, |sched| sched.aged_start(pool, tier)).is_some()
    }

    /// Whether some waiting request of a tier asks for no more than the workers have: none can start if not.
    fn may_have_room(&self, pool: PoolId, tier: Tier) -> bool {
        let target = self.pool(pool);
        target.queues[tier.index()].has_within(&self.nodes, &target.rooms.most())
    }

    /// The next of the less urgent requests that have climbed to a tier, one for each `age_after`, that may start on
    /// what its own tier may borrow.
    pub(super) fn aged_start(&self, pool: PoolId, above: Tier) -> Option<Found> {
        self.tiers().skip(above.index() + 1).find_map(|tier| {
            let age_after = self.config.tiers[tier.index()].age_after_ns?;
            let climbs = (tier.index() - above.index()) as u64;
            let latest_arrival = self.now.as_nanos().checked_sub(age_after.checked_mul(climbs)?)?;
            self.borrowed_start(pool, tier, latest_arrival)
        })
    }

    /// The next request of a tier, of those that arrived up to an instant, that may start on what its tier may
    /// borrow, and where.
    pub(super) fn borrowed_start(&self, pool: PoolId, tier: Tier, latest_arrival: u64) -> Option<Found> {
        let target = self.pool(pool);
        if !self.may_have_room(pool, tier) {
            return None;
        }
        let available = target.capacity.available(tier, self.now).positive();
        let (most, pinned) = self.most_by_own_gates(pool, tier);
        let gates = OwnGates { latest_arrival, most: most.min(available), pinned };
        let start = |slot| {
            // The search knows when they arrived no more exactly than what they ask for.
            if self.requests[slot].arrived_at.as_nanos() > latest_arrival {
                return None;
            }
            Some(self.with_quota(slot, self.borrowed_worker(slot, &available)?))
        };
        self.first_with_room(pool, tier, &gates, |worker| self.is_open_to(tier, worker), start)
    }

    /// Where a request may start on what its tier may borrow.
    pub(super) fn borrowed_worker(&self, slot: u32, available: &Resources) -> Option<WorkerId> {
        let record = &self.requests[slot];
        if !record.asks.fits(available) || !self.passes_own_gates(slot) {
            return None;
        }
        self.place(slot, Drained::Never)
    }

    /// The gates of a borrowed start that no room on a worker opens.
    pub(super) fn passes_own_gates(&self, slot: u32) -> bool {
        let record = &self.requests[slot];
        if self.config.tiers[record.tier().index()].borrow_limit.is_none() && !record.never_yields() {
            return true;
        }
        let (tier, capacity) = (record.tier(), &self.pool(record.pool()).capacity);
        let own = self.own_claim(slot);
        capacity.may_borrow(tier, record.asks, own, &self.config.tiers[tier.index()])
            && self.passes_never_rule(slot, own)
    }

    /// What a request without a claim asks for at most if it passes its own gates, and if it never yields.
    pub(super) fn most_by_own_gates(&self, pool: PoolId, tier: Tier) -> (Resources, Resources) {
        let capacity = &self.pool(pool).capacity;
        let most = capacity.borrowable(tier, &self.config.tiers[tier.index()]);
        if self.never_yielding == 0 {
            return (most, most);
        }
        (most, capacity.pinnable(tier).max(capacity.account(tier).unused_reserve()))
    }

    fn passes_never_rule(&self, slot: u32, own: Resources) -> bool {
        let record = &self.requests[slot];
        let capacity = &self.pool(record.pool()).capacity;
        !record.never_yields()
            || capacity.is_within(record.tier(), record.asks, own)
            || capacity.may_pin(record.tier(), record.asks, own)
    }

    /// What the workers that are up and pass have free: what does not fit in it need not be tried on each.
    fn roomy(&self, pool: PoolId, passes: impl Fn(&Worker) -> bool) -> Roomy {
        let mut roomy = Roomy::default();
        for &id in &self.pool(pool).up {
            if passes(self.worker(id)) {
                roomy.add(self.reachable(id));
            }
        }
        roomy
    }

    /// Whether a borrowed start of a tier may come to a worker; one that is drained waits for its own request.
    fn is_open_to(&self, tier: Tier, worker: &Worker) -> bool {
        worker.drain.is_none_or(|drain| {
            let awaited = self.requests[drain.slot].asks;
            drain.tier > tier || worker.free().shortage(&awaited).is_zero()
        })
    }

    /// The best worker that is up and has room for what a request asks.
    fn place(&self, slot: u32, drained: Drained) -> Option<WorkerId> {
        let (record, past) = (&self.requests[slot], self.requests.past(slot));
        let open = |id: &WorkerId| {
            self.fits(slot, *id)
                && !past.is_excluded_from(*id, self.now)
                && (drained == Drained::Last || !self.is_drained_for_another(slot, *id))
        };
        let rank = |id: WorkerId| {
            let worker = self.worker(id);
            let used = worker.in_use() + record.asks;
            let score = placement::score(self.config.placement, used, worker.spec.capacity);
            (self.is_drained_for_another(slot, id), score, id)
        };
        // Where most are full, there is often only one.
        self.with_room(slot).filter(open).reduce(|best, id| if rank(id) < rank(best) { id } else { best })
    }

    /// Whether a worker is kept clear for another request that is as urgent.
    fn is_drained_for_another(&self, slot: u32, worker: WorkerId) -> bool {
        let tier = self.requests[slot].tier();
        self.worker(worker).drain.is_some_and(|drain| drain.slot != slot && drain.tier <= tier)
    }

    /// Starts a waiting request.
    fn start(&mut self, slot: u32, worker: WorkerId, reason: Reason) {
        let claim = self.requests[slot].claim;
        self.dequeue(slot);
        self.meter_start(slot);
        self.charge_start(slot);
        self.hold(slot);
        self.requests[slot].state = RequestState::Starting;
        let asks = self.requests[slot].asks;
        match claim {
            Some(claim) if self.claims[claim].worker == worker => {
                self.remove_claim(claim);
                self.board(slot, worker, asks);
            }
            _ => {
                self.board(slot, worker, asks);
                self.give_up_claim(slot);
            }
        }
        self.freed(worker);
        let now = self.now;
        let mark = self.worker(worker).step_tokens;
        let record = &mut self.requests[slot];
        record.begin_attempt(now, mark);
        self.watch_hold(slot);
        let record = &self.requests[slot];
        let (attempt, resume_tokens, pool) =
            (record.attempt(), self.requests.past(slot).tokens_kept, record.pool());
        let tier = record.tier();
        // The start goes before the news that it brings, such as victims that may go on.
        let request = self.requests.id(slot);
        self.say_next(Action::Start { request, attempt, worker, resume_tokens, reason });
        self.pool_mut(pool).pace[tier.index()].note(now);
        self.stir(pool);
    }
}

impl Record {
    fn begin_attempt(&mut self, now: Instant, step_mark: u64) {
        self.attempt += 1;
        self.started_at = now;
        self.runs = false;
        self.cached_tokens = 0;
        self.step_mark = step_mark;
        self.serves = None;
    }
}
