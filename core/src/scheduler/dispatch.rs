//! `poll`: guarantee, reclaim, borrow.
//!
//! One action at a time, decided when it is asked for, so that inputs given in between are heard. A pass over
//! a pool looks at no more than [`SCAN_WINDOW`] waiting requests of each tier; a pool in which nothing changed
//! since a pass found nothing is not looked at again.

use super::record::Drain;
use super::{SCAN_WINDOW, Scheduler};
use crate::event::{Action, Reason};
use crate::id::{PoolId, Tier, WorkerId};
use crate::placement;
use crate::request::RequestState;
use crate::resources::Resources;
use crate::time::Instant;

impl Scheduler {
    /// The next thing to do, or `None` when there is nothing more: that ends the round. Poll again after
    /// inputs, and at [`poll_timeout`](Self::poll_timeout). O(tiers · 32 · workers of a pool) where
    /// something changed, O(pools) where nothing did; choosing victims costs O(requests on the workers of the
    /// pool).
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        self.advance(now);
        self.expire();
        if !self.in_round {
            self.begin_round();
        }
        loop {
            if let Some(action) = self.hear() {
                return Some(action);
            }
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
            let due = pool.wake_at.is_some_and(|at| at <= self.now);
            pool.dirty |= due || core::mem::take(&mut pool.revisit);
            pool.sought_in_vain = false;
            if pool.dirty {
                pool.reclaim_in_vain = false;
                pool.wake_at = None;
            }
        }
    }

    /// Decides one thing, into the outbox. Whether there was one.
    fn decide(&mut self) -> bool {
        if self.relieve_pressure() {
            return true;
        }
        (0..self.pools.len() as u32).map(PoolId::new).any(|pool| self.decide_in(pool))
    }

    fn decide_in(&mut self, pool: PoolId) -> bool {
        // What a pass itself stirs up, such as a worker that is drained no more, needs another.
        while core::mem::take(&mut self.pool_mut(pool).dirty) {
            let roomiest = self.roomiest(pool);
            if self.guarantee(pool, &roomiest) || self.reclaim(pool) || self.borrow(pool, &roomiest) {
                self.pool_mut(pool).dirty = true;
                return true;
            }
            if self.pool(pool).queues.iter().any(|queue| !queue.is_idle()) {
                self.wake(pool, self.pool(pool).capacity.next_turn(self.now));
                self.wake(pool, self.next_admission(pool));
            }
        }
        false
    }

    /// When a worker that declined a waiting request is next open to it.
    fn next_admission(&self, pool: PoolId) -> Option<Instant> {
        if self.pool(pool).excluded_until <= self.now {
            return None;
        }
        let waiting = self.tiers().flat_map(|tier| self.candidates(pool, tier));
        let openings = waiting.flat_map(|slot| self.requests[slot].excluded).flatten();
        openings.map(|(_, until)| until).filter(|&until| until > self.now).min()
    }

    /// The pool has to be looked at again at this instant.
    pub(super) fn wake(&mut self, pool: PoolId, at: Option<Instant>) {
        let wake_at = &mut self.pool_mut(pool).wake_at;
        *wake_at = at.into_iter().chain(*wake_at).min();
    }

    /// The first waiting requests of a tier, in order, without those who sit this round out.
    pub(super) fn candidates(&self, pool: PoolId, tier: Tier) -> impl Iterator<Item = u32> {
        let queue = &self.pool(pool).queues[tier.index()];
        core::iter::successors(queue.first(), |&slot| {
            queue.after(&self.requests, self.requests[slot].lane, slot)
        })
        .take(SCAN_WINDOW)
        .filter(|&slot| !self.sits_out(slot))
    }

    /// Starts a request whose claim is ready, or whose tier is within its reserve with it.
    fn guarantee(&mut self, pool: PoolId, roomiest: &Resources) -> bool {
        if let Some(claim) = self.ready_claim(pool) {
            let (owner, worker) = (self.claims[claim].owner, self.claims[claim].worker);
            self.start(owner, worker, Reason::Reclaimed);
            return true;
        }
        for tier in self.tiers() {
            let room = self.pool(pool).capacity.account(tier).unused_reserve().min(*roomiest);
            if room.is_zero() && self.pool(pool).claims.is_empty() {
                continue;
            }
            let guaranteed = |slot| Some((slot, self.guaranteed_worker(slot, &room)?));
            let found = self.candidates(pool, tier).find_map(guaranteed);
            if let Some((slot, worker)) = found {
                self.start(slot, worker, Reason::Guaranteed);
                return true;
            }
        }
        false
    }

    /// Where a request may start that stays within its tier's reserve. `room` is what is left of the reserve, at
    /// most what a worker has free; a claim counts as taken in it.
    pub(super) fn guaranteed_worker(&self, slot: u32, room: &Resources) -> Option<WorkerId> {
        let record = &self.requests[slot];
        let within = match record.claim {
            None => record.asks.fits(room),
            Some(claim) => {
                let own = self.claims[claim].size;
                self.pool(record.pool()).capacity.is_within(record.tier(), record.asks, own)
            }
        };
        if within { self.place(slot, |_| true) } else { None }
    }

    /// Starts a request on what nobody holds.
    fn borrow(&mut self, pool: PoolId, roomiest: &Resources) -> bool {
        self.tiers().any(|tier| self.borrow_for(pool, tier, roomiest))
    }

    fn borrow_for(&mut self, pool: PoolId, tier: Tier, roomiest: &Resources) -> bool {
        let mut next = self.pool(pool).queues[tier.index()].first();
        if next.is_none() {
            return false;
        }
        let room = self.room_to_borrow(pool, tier, roomiest);
        let mut head = None;
        for _ in 0..SCAN_WINDOW {
            let Some(slot) = next else { break };
            let lane = self.requests[slot].lane;
            next = self.pool(pool).queues[tier.index()].after(&self.requests, lane, slot);
            if self.sits_out(slot) {
                continue;
            }
            if let Some(worker) = self.borrowed_worker(slot, &room) {
                if let Some(head) = head {
                    self.requests[head].bypassed += 1;
                }
                self.start(slot, worker, Reason::Borrowed);
                return true;
            }
            if head.is_none() && self.passes_own_gates(slot) {
                head = Some(slot);
                self.attend(pool, slot);
            }
        }
        false
    }

    /// What a tier may borrow, at most what a worker has free.
    pub(super) fn room_to_borrow(&self, pool: PoolId, tier: Tier, roomiest: &Resources) -> Resources {
        self.pool(pool).capacity.available(tier, self.now).positive().min(*roomiest)
    }

    /// The gates of a borrowed start that no room on a worker opens.
    fn passes_own_gates(&self, slot: u32) -> bool {
        let record = &self.requests[slot];
        let (tier, capacity) = (record.tier(), &self.pool(record.pool()).capacity);
        let own = record.claim.map_or(Resources::ZERO, |claim| self.claims[claim].size);
        let pinned = if record.never_yields() { own } else { Resources::ZERO };
        capacity.may_borrow(tier, record.asks, own, &self.config.tiers[tier.index()])
            && (!record.never_yields() || capacity.may_pin(tier, record.asks, pinned))
    }

    /// Where a request may start on what its tier may borrow.
    pub(super) fn borrowed_worker(&self, slot: u32, room: &Resources) -> Option<WorkerId> {
        let record = &self.requests[slot];
        if !record.asks.fits(room) || !self.passes_own_gates(slot) {
            return None;
        }
        self.place(slot, |worker| {
            let drain = self.worker(worker).drain;
            drain.is_none_or(|drain| drain.slot == slot || drain.tier > record.tier())
        })
    }

    /// The most that any worker that is up has free, dimension by dimension: what does not fit in it need not
    /// be tried on each.
    pub(super) fn roomiest(&self, pool: PoolId) -> Resources {
        let free = self.pool(pool).up.iter().map(|&id| self.worker(id).free().positive());
        free.fold(Resources::ZERO, Resources::max)
    }

    /// The best worker that is up, is allowed, and has room for what a request asks.
    fn place(&self, slot: u32, allowed: impl Fn(WorkerId) -> bool) -> Option<WorkerId> {
        let record = &self.requests[slot];
        let claim = record.claim.map(|claim| &self.claims[claim]);
        let fits = self.pool(record.pool()).up.iter().copied().filter(|&id| {
            let worker = self.worker(id);
            let mut taken = worker.used + worker.earmarked + record.asks;
            if let Some(claim) = claim.filter(|claim| claim.worker == id) {
                taken -= claim.earmarked;
            }
            taken.fits_where_asked(&worker.spec.capacity, &record.asks)
                && allowed(id)
                && !record.is_excluded_from(id, self.now)
        });
        fits.min_by_key(|&id| {
            let worker = self.worker(id);
            (placement::score(self.config.placement, worker.used + record.asks, worker.spec.capacity), id)
        })
    }

    /// The head of a tier does not fit: after a while, or when too many have passed it, a worker is kept
    /// clear for it.
    fn attend(&mut self, pool: PoolId, head: u32) {
        let since = *self.requests[head].blocked_since.get_or_insert(self.now);
        self.stop_draining_for_former_heads(pool, head);
        if let Some(worker) = self.requests[head].drains {
            let drain = self.worker(worker).drain.expect("a request that drains a worker is its drain");
            let due = drain.since.plus_nanos(self.config.drain_after_ns);
            if self.worker(worker).running.is_empty() && due <= self.now {
                self.stop_draining(head);
                self.requests[head].blocked_since = Some(self.now);
                self.requests[head].bypassed = 0;
                self.wake(pool, Some(self.now.plus_nanos(self.config.drain_after_ns)));
            } else if due > self.now {
                self.wake(pool, Some(due));
            }
            return;
        }
        let due = since.plus_nanos(self.config.drain_after_ns);
        if due > self.now && self.requests[head].bypassed < self.config.max_bypass {
            self.wake(pool, Some(due));
            return;
        }
        let Some(worker) = self.worker_to_drain(pool, head) else { return };
        if let Some(other) = self.worker(worker).drain {
            self.stop_draining(other.slot);
        }
        let tier = self.requests[head].tier();
        self.worker_mut(worker).drain = Some(Drain { slot: head, tier, since: self.now });
        self.requests[head].drains = Some(worker);
        self.pool_mut(pool).drained.push(worker);
        self.wake(pool, Some(self.now.plus_nanos(self.config.drain_after_ns)));
    }

    /// A tier drains a worker for its head alone: whoever was passed by those that have run is not it any more.
    fn stop_draining_for_former_heads(&mut self, pool: PoolId, head: u32) {
        let tier = self.requests[head].tier();
        let is_former = |drain: &Drain| drain.tier == tier && drain.slot != head;
        let drains = self.pool(pool).drained.iter().filter_map(|&worker| self.worker(worker).drain);
        if let Some(former) = drains.into_iter().find(is_former) {
            self.stop_draining(former.slot);
        }
    }

    /// The least used worker that could hold the request and is not drained for one as urgent.
    fn worker_to_drain(&self, pool: PoolId, head: u32) -> Option<WorkerId> {
        let record = &self.requests[head];
        let able = self.pool(pool).up.iter().copied().filter(|&id| {
            let worker = self.worker(id);
            record.asks.fits(&worker.spec.capacity)
                && !record.is_excluded_from(id, self.now)
                && worker.drain.is_none_or(|drain| drain.tier > record.tier())
        });
        able.min_by_key(|&id| {
            let worker = self.worker(id);
            (placement::score(crate::config::Placement::Spread, worker.used, worker.spec.capacity), id)
        })
    }

    /// Starts a waiting request.
    fn start(&mut self, slot: u32, worker: WorkerId, reason: Reason) {
        let claim = self.requests[slot].claim;
        self.dequeue(slot);
        self.requests[slot].state = RequestState::Starting;
        match claim {
            Some(claim) if self.claims[claim].worker == worker => {
                self.remove_claim(claim);
                self.board(slot, worker, self.requests[slot].asks);
                self.freed(worker);
            }
            _ => {
                self.board(slot, worker, self.requests[slot].asks);
                self.give_up_claim(slot);
            }
        }
        let (request, now) = (self.requests.id(slot), self.now);
        let record = &mut self.requests[slot];
        record.attempt += 1;
        record.started_at = now;
        record.runs = false;
        (record.output_tokens, record.cached_tokens) = (0, 0);
        record.serves = None;
        let start = Action::Start {
            request,
            attempt: record.attempt(),
            worker,
            resume_tokens: record.tokens_kept,
            reason,
        };
        // The start goes before the news that it brings, such as victims that may go on.
        let pool = record.pool();
        self.say_next(start);
        self.stir(pool);
    }
}
