//! `poll`: guarantee, reclaim, borrow.
//!
//! One action at a time, decided when it is asked for, so that inputs given in between are heard. A pool in which
//! nothing changed since a pass found nothing is not looked at again.

use core::cell::Cell;

use super::quota::QuotaLack;
use super::record::{Record, Run};
use super::requests::COMMON;
use super::room::{Most, OwnGates, Roomy};
use super::warmth::Patience;
use super::{Pool, Scheduler};
use crate::config::{MAX_TIERS, Order, Placement};
use crate::event::{Action, Reason};
use crate::id::{PoolId, Tier, WorkerId};
use crate::queue::{Lane, TierQueue};
use crate::request::RequestState;
use crate::resources::Resources;
use crate::time::Instant;

/// Who could start, and where, or what quota it lacks.
pub(super) type Found = (u32, Result<WorkerId, QuotaLack>);

/// Of how many even requests the one with the warmest cache is picked: what bounds the cost. SGLang's for the same purpose.
const PICKED_FROM: usize = 128;

/// Whether anything can happen without an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Quiet {
    /// It can, or may: an input came.
    No,
    /// A round ended, and no input came since.
    SinceRound,
    /// The same, and this is when time may change something; [`NEVER`] stands for the end of time as well.
    Until(Instant),
}

/// When nothing changes any more without an input.
pub(super) const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// Whether a request may come to workers that are drained for another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drained {
    /// Where no other has room.
    Last,
    Never,
}

impl Scheduler {
    /// The next thing to do, or `None` when there is nothing more: that ends the round. Poll again after
    /// inputs, and at [`poll_timeout`](Self::poll_timeout). O(1) if nothing happened since a round ended. Else, in each pool
    /// in which something did, O(tiers · log waiting + workers / 16) where the first in line that the workers together have room
    /// for fits on one, and O(claims) where a claim is full or its owner may have room; where it does not, where a head is to be
    /// given a worker, and where victims are chosen, O(workers), and what the search for victims takes on few of them. The first
    /// call, of any verb, in each 10 s of the clock adds up what is wanted: O(pools · tiers · waiting, up to 1,024 in each).
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        if self.is_quiet_at(now) {
            self.now = now;
            return None;
        }
        self.pass_to(now);
        if self.has_nothing_to_do() { None } else { self.next_action() }
    }

    /// The next thing to do now, or `None` at the end of the round.
    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.expire();
        self.settle_homeless();
        self.wake_up();
        loop {
            if let Some(action) = self.hear() {
                return Some(action);
            }
            self.note_demand();
            if !self.decide() {
                // Who was sent to wait demands nothing any more, from now on.
                self.note_demand();
                self.in_round = false;
                self.quiet = Quiet::SinceRound;
                return None;
            }
        }
    }

    /// Whether no input came since a round ended, and time alone changes nothing yet: for hosts that poll at every step.
    fn is_quiet_at(&mut self, now: Instant) -> bool {
        if self.quiet == Quiet::SinceRound {
            self.quiet = Quiet::Until(self.find_timeout().unwrap_or(NEVER));
        }
        matches!(self.quiet, Quiet::Until(end) if self.now <= now && now < end)
    }

    /// Whether a round that begins now would end at once: an input came, and gave nobody anything to do. In a replay two rounds in three
    /// are so, nearly all of them after growth, and none of them takes more than it does to find that out: 4 % of it.
    fn has_nothing_to_do(&mut self) -> bool {
        // Who roams may be looked for without anybody having said so.
        if self.in_round || self.roamers > 0 {
            return false;
        }
        let next = self.find_timeout().unwrap_or(NEVER);
        let is_idle = next > self.now;
        if is_idle {
            self.note_demand();
            self.quiet = Quiet::Until(next);
        }
        is_idle
    }

    /// Pools that a new round, or the passing of time alone, gave something to do are looked at.
    fn wake_up(&mut self) {
        let begins = !core::mem::replace(&mut self.in_round, true);
        self.round += u64::from(begins);
        for pool in &mut self.pools {
            pool.dirty |= begins && core::mem::take(&mut pool.revisit);
            pool.dirty |= pool.wake_at.is_some_and(|at| at <= self.now);
            if pool.dirty {
                pool.wake_at = None;
            }
        }
    }

    /// Decides one thing, into the outbox. Whether there was one. In line with the pass: two calls less for each action.
    #[inline(always)]
    fn decide(&mut self) -> bool {
        loop {
            let pools = (0..self.pools.len() as u32).map(PoolId::new);
            if self.relieve_pressure() || pools.into_iter().any(|pool| self.decide_in(pool)) || self.roam() {
                return true;
            }
            if !self.wake_waiter() {
                return self.move_some() || self.want_leases();
            }
        }
    }

    #[inline(always)]
    fn decide_in(&mut self, pool: PoolId) -> bool {
        // What a pass itself stirs up, such as a worker that is drained no more, needs another.
        while core::mem::take(&mut self.pool_mut(pool).dirty) {
            let target = self.pool_mut(pool);
            target.sought_in_vain = false;
            self.refresh_rooms(pool);
            if self.nobody_waits(pool) {
                continue;
            }
            let have_room = self.tiers_with_room(pool);
            if self.guarantee(pool, &have_room) || self.reclaim(pool) || self.borrow(pool, &have_room) {
                self.pool_mut(pool).dirty = true;
                return true;
            }
            self.seek_roamers();
            let target = self.pool(pool);
            if target.queues.iter().any(|queue| !queue.is_idle()) || !target.roamers.is_empty() {
                self.wake_in_time(pool);
            }
        }
        false
    }

    /// Whether there is nobody whom a pass over a pool could do anything for. Where machines have room that is so after nearly each
    /// end. What came free is weighed all the same: a start that came upon all of it would wait for that.
    #[inline]
    fn nobody_waits(&self, pool: PoolId) -> bool {
        let target = self.pool(pool);
        self.roamers == 0
            && target.queues.iter().all(TierQueue::is_idle)
            && target.claims.is_empty()
            && target.drained.is_empty()
    }

    /// The pool is looked at again when time alone lets somebody start there.
    #[inline(always)]
    pub(super) fn wake_in_time(&mut self, pool: PoolId) {
        self.wake(pool, self.pool(pool).capacity.next_turn(self.now));
        let admission = self.next_admission(pool);
        self.wake(pool, admission);
        self.wake(pool, self.kept_until(pool));
    }

    /// When a worker that some request is kept off is next open to it.
    #[inline(always)]
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
        let Some(at) = at else { return };
        let wake_at = &mut self.pool_mut(pool).wake_at;
        *wake_at = Some(wake_at.map_or(at, |other| other.min(at)));
    }

    /// The waiting requests of a tier, in order, without those that are parked.
    pub(super) fn waiting_in_order(&self, pool: PoolId, tier: Tier) -> impl Iterator<Item = u32> + use<'_> {
        self.pool(pool).queues[tier.index()].in_order(&self.nodes)
    }

    /// The first waiting request of a tier that passes its own gates; those that sit this round out are no candidates.
    pub(super) fn first_past_own_gates(&self, pool: PoolId, tier: Tier) -> Option<u32> {
        let queue = &self.pool(pool).queues[tier.index()];
        let passes = |slot: u32| (!self.sits_out(slot) && self.passes_own_gates(slot)).then_some(());
        // Nearly always it is the first of all.
        let first = queue.first(&self.nodes)?;
        if passes(first).is_some() {
            return Some(first);
        }
        let (most, pinned) = self.most_by_own_gates(pool, tier);
        let most = OwnGates { latest_arrival: u64::MAX, most, pinned }.within(Resources::BOUNDLESS);
        let found = queue.find_that(&self.nodes, None, &most, passes);
        self.earlier(found, self.first_owner(pool, tier, passes)).map(|(slot, ())| slot)
    }

    /// The first waiting request of a tier that passes, of those that some worker may have room for which is open to it;
    /// those that sit this round out are no candidates. And where it may start, or what quota it lacks.
    fn first_with_room(
        &self,
        pool: PoolId,
        tier: Tier,
        gates: &OwnGates,
        is_open: impl Fn(WorkerId) -> bool,
        patience: &Patience,
        passes: impl Fn(u32) -> Option<WorkerId>,
    ) -> Option<Found> {
        let passes = |slot: u32| if self.sits_out(slot) { None } else { passes(slot) };
        let found = self.first_without_claim(pool, tier, gates, is_open, patience, passes);
        let target = self.pool(pool);
        let first_owner = || {
            let most = target.rooms.most_free().values().into();
            self.first_owner(pool, tier, |slot| {
                self.owner_may_have_room(slot, &most).then(|| passes(slot))?
            })
        };
        let owner = if self.owners_may_have_room(target) { first_owner() } else { None };
        let (slot, worker) = self.earlier(found, owner)?;
        Some((slot, self.with_quota(slot, worker)))
    }

    fn first_without_claim(
        &self,
        pool: PoolId,
        tier: Tier,
        gates: &OwnGates,
        is_open: impl Fn(WorkerId) -> bool,
        patience: &Patience,
        passes: impl Fn(u32) -> Option<WorkerId>,
    ) -> Option<(u32, WorkerId)> {
        let queue = &self.pool(pool).queues[tier.index()];
        // Nearly always it is the first that the workers together have room for.
        let most = self.pool(pool).rooms.most_free().values().into();
        let (lane, first) = queue.find(&self.nodes, None, &gates.within(most))?;
        let picks = self.picks_by_prefix(tier);
        let found = passes(first).map(|worker| (first, worker));
        if found.is_some() && !picks {
            return found;
        }
        let most = gates.within_any(&self.roomy(pool, is_open));
        let seek = || {
            let ends = |slot| if patience.has_ended() { Some(None) } else { passes(slot).map(Some) };
            let (slot, worker) = queue.find_that(&self.nodes, Some((lane, first)), &most, ends)?;
            Some((slot, worker?))
        };
        let found = found.or_else(seek)?;
        Some(if picks { self.best_cached((pool, tier), found, &most, patience, passes) } else { found })
    }

    /// Whether of several requests that are even in the order of a tier the one is started that finds most of its prompt in
    /// a cache.
    pub(super) fn picks_by_prefix(&self, tier: Tier) -> bool {
        self.config.placement == Placement::PrefixAffinity
            && self.config.tiers[tier.index()].order == Order::DeficitLongestPrefix
    }

    /// Of the first that may start and those behind it whose tenants are even with its own: who finds most cached where it
    /// starts, and of equals the first.
    fn best_cached(
        &self,
        (pool, tier): (PoolId, Tier),
        first: (u32, WorkerId),
        most: &Most,
        patience: &Patience,
        passes: impl Fn(u32) -> Option<WorkerId>,
    ) -> (u32, WorkerId) {
        if self.requests[first.0].lane != Some(Lane::Fresh) {
            return first;
        }
        let rank = self.rank_in_order(first.0);
        let best = Cell::new((self.expected_cached(first.0, first.1), first));
        let seen = Cell::new(1);
        let queue = &self.pool(pool).queues[tier.index()];
        queue.find_that(&self.nodes, Some((Lane::Fresh, first.0)), most, |slot| {
            if seen.get() == PICKED_FROM || patience.has_ended() || self.rank_in_order(slot) != rank {
                return Some(());
            }
            let worker = passes(slot)?;
            seen.set(seen.get() + 1);
            let cached = self.expected_cached(slot, worker);
            if cached > best.get().0 {
                best.set((cached, (slot, worker)));
            }
            None
        });
        best.get().1
    }

    /// The one of two that stands before the other in their tier.
    fn earlier<T>(&self, one: Option<(u32, T)>, other: Option<(u32, T)>) -> Option<(u32, T)> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if self.is_before(one.0, other.0) { one } else { other }),
            (one, other) => one.or(other),
        }
    }

    /// Starts a request whose claim is ready, or whose tier is within its reserve with it.
    fn guarantee(&mut self, pool: PoolId, have_room: &[bool; MAX_TIERS]) -> bool {
        // What nearly no pass comes to is apart: what a pass keeps ready for all that is in line with it takes 200 instructions
        // of a cycle.
        self.start_ready_claim(pool)
            || *have_room != [false; MAX_TIERS]
                && self.tiers().any(|tier| {
                    have_room[tier.index()]
                        && self.may_guarantee(pool, tier)
                        && self.start_guaranteed(pool, tier)
                })
    }

    #[inline(always)]
    fn start_ready_claim(&mut self, pool: PoolId) -> bool {
        !self.pool(pool).claim_digest.is_none_full() && self.start_first_claim(pool)
    }

    #[inline(never)]
    fn start_first_claim(&mut self, pool: PoolId) -> bool {
        let Some(claim) = self.ready_claim(pool) else { return false };
        let (owner, worker) = (self.claims[claim].owner, self.claims[claim].worker);
        self.start(owner, worker, Reason::Reclaimed);
        true
    }

    #[inline(never)]
    fn start_guaranteed(&mut self, pool: PoolId, tier: Tier) -> bool {
        self.start_first(Reason::Guaranteed, |sched| sched.seek_guaranteed(pool, tier)).is_some()
    }

    /// Whether a request of a tier may start within its reserve: most tiers use theirs.
    #[inline(always)]
    fn may_guarantee(&self, pool: PoolId, tier: Tier) -> bool {
        let target = self.pool(pool);
        !target.claims.is_empty() || !target.capacity.account(tier).has_used_its_reserve()
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
        self.may_guarantee(pool, tier).then(|| self.seek_guaranteed(pool, tier))?
    }

    fn seek_guaranteed(&self, pool: PoolId, tier: Tier) -> Option<Found> {
        let room = self.pool(pool).capacity.account(tier).unused_reserve();
        let gates = OwnGates { latest_arrival: u64::MAX, most: room, pinned: room };
        let patience = Patience::of_a_search();
        let start = |slot| self.guaranteed_worker(slot, &patience);
        self.first_with_room(pool, tier, &gates, |_| true, &patience, start)
    }

    /// A worker for a request, unless it lacks quota.
    fn with_quota(&self, slot: u32, worker: WorkerId) -> Result<WorkerId, QuotaLack> {
        self.quota_lack(slot).map_or(Ok(worker), Err)
    }

    /// Where a request may start that stays within its tier's reserve.
    pub(super) fn guaranteed_worker(&self, slot: u32, patience: &Patience) -> Option<WorkerId> {
        let record = &self.requests[slot];
        let capacity = &self.pool(record.pool()).capacity;
        let within = capacity.is_within(record.tier(), record.asks, self.own_claim(slot));
        if within { self.place(slot, Drained::Last, patience) } else { None }
    }

    /// The size of a request's claim: what of its tier's claims it would use up.
    #[inline]
    pub(super) fn own_claim(&self, slot: u32) -> Resources {
        self.requests[slot].claim.map_or(Resources::ZERO, |claim| self.claims[claim].size)
    }

    /// Starts a request on what nobody holds.
    fn borrow(&mut self, pool: PoolId, have_room: &[bool; MAX_TIERS]) -> bool {
        if *have_room == [false; MAX_TIERS] && self.heads_go_on_waiting(pool) {
            return false;
        }
        self.tiers().any(|tier| self.borrow_for(pool, tier, have_room[tier.index()]))
    }

    /// A tier's own come first, then those that have aged up to it.
    fn borrow_for(&mut self, pool: PoolId, tier: Tier, has_room: bool) -> bool {
        let head = self.find_head(pool, tier);
        self.stop_draining_for_former_heads(pool, tier, head);
        if let Some(head) = head {
            match has_room.then(|| self.worker_for_head(pool, head)).flatten() {
                None => self.attend(pool, head),
                // It may start, and another finds its cache: not for ever.
                Some(_)
                    if self.picks_by_prefix(tier)
                        && self.requests[head].bypassed < self.config.max_bypass => {}
                Some(worker) if self.rather_waits(head, worker) => {}
                Some(worker) => {
                    self.start(head, worker, Reason::Borrowed);
                    return true;
                }
            }
            if has_room && self.borrow_behind(pool, tier, head) {
                return true;
            }
        }
        self.borrow_aged(pool, tier)
    }

    /// Starts one of a tier behind its head, which does not start, or waits for something else.
    #[inline(never)]
    fn borrow_behind(&mut self, pool: PoolId, tier: Tier, head: u32) -> bool {
        let now = self.now;
        self.pool_mut(pool).capacity.prepare(now);
        let start = |sched: &Self| sched.borrowed_start(pool, tier, u64::MAX);
        let Some((slot, worker)) = self.start_first(Reason::Borrowed, start) else { return false };
        if slot != head && self.requests[head].asks.fits(&self.worker(worker).whole) {
            self.requests[head].bypassed = self.requests[head].bypassed.saturating_add(1);
        }
        true
    }

    #[inline(never)]
    fn borrow_aged(&mut self, pool: PoolId, tier: Tier) -> bool {
        self.start_first(Reason::Borrowed, |sched| sched.aged_start(pool, tier)).is_some()
    }

    /// Where the head of a tier may borrow, whatever it would rather wait for.
    fn worker_for_head(&mut self, pool: PoolId, head: u32) -> Option<WorkerId> {
        let (now, tier, asks) = (self.now, self.requests[head].tier(), self.requests[head].asks);
        let capacity = &mut self.pool_mut(pool).capacity;
        let available = if capacity.surely_lends(tier, &asks) {
            asks
        } else {
            capacity.prepare(now);
            capacity.available(tier, now).positive()
        };
        self.borrowed_worker(head, &available, &Patience::none())
    }

    /// The tiers of which some waiting request asks for no more than the workers have: none of another can start.
    fn tiers_with_room(&self, pool: PoolId) -> [bool; MAX_TIERS] {
        let (target, mut have_room) = (self.pool(pool), [false; MAX_TIERS]);
        let most = target.rooms.most_free();
        for (queue, has_room) in target.queues.iter().zip(&mut have_room) {
            *has_room = queue.has_within(&self.nodes, &most);
        }
        if self.owners_may_have_room(target) {
            self.add_owners_with_room(target, &mut have_room);
        }
        have_room
    }

    #[inline(never)]
    fn add_owners_with_room(&self, target: &Pool, have_room: &mut [bool; MAX_TIERS]) {
        let most = target.rooms.most_free().values().into();
        for &id in &target.claims {
            let claim = &self.claims[id];
            let has_room = &mut have_room[claim.tier.index()];
            *has_room = *has_room || self.owner_may_have_room(claim.owner, &most);
        }
    }

    /// Whether any owner of a claim may have room: nearly always it is told without going through them.
    #[inline]
    fn owners_may_have_room(&self, pool: &Pool) -> bool {
        !pool.claims.is_empty() && pool.claim_digest.may_start(&pool.rooms.most_free().values().into())
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
        let available = target.capacity.available(tier, self.now).positive();
        let (most, pinned) = self.most_by_own_gates(pool, tier);
        let gates = OwnGates { latest_arrival, most: most.min(available), pinned };
        let patience = self.patience_in(pool, tier);
        let start = |slot| {
            // The search knows when they arrived no more exactly than what they ask for.
            if self.requests[slot].arrived_at.as_nanos() > latest_arrival {
                return None;
            }
            self.borrowed_worker(slot, &available, &patience)
        };
        let is_open = |id: WorkerId| self.is_open_to(tier, id);
        self.first_with_room(pool, tier, &gates, is_open, &patience, start)
    }

    /// Where a request may start on what its tier may borrow.
    #[inline]
    pub(super) fn borrowed_worker(
        &self,
        slot: u32,
        available: &Resources,
        patience: &Patience,
    ) -> Option<WorkerId> {
        let record = &self.requests[slot];
        if !record.asks.fits(available) || !self.passes_own_gates(slot) {
            return None;
        }
        self.place(slot, Drained::Never, patience)
    }

    /// The gates of a borrowed start that no room on a worker opens.
    #[inline(always)]
    pub(super) fn passes_own_gates(&self, slot: u32) -> bool {
        let record = &self.requests[slot];
        if self.has_no_gates(record) {
            return true;
        }
        let (tier, capacity) = (record.tier(), &self.pool(record.pool()).capacity);
        let own = self.own_claim(slot);
        capacity.may_borrow(tier, record.asks, own, &self.config.tiers[tier.index()])
            && self.passes_never_rule(slot, own)
    }

    /// Whether nothing keeps a request from borrowing but room.
    #[inline]
    pub(super) fn has_no_gates(&self, record: &Record) -> bool {
        self.config.tiers[record.tier().index()].borrow_limit.is_none() && !record.never_yields()
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
    fn roomy(&self, pool: PoolId, passes: impl Fn(WorkerId) -> bool) -> Roomy {
        let mut roomy = Roomy::default();
        for &id in self.pool(pool).up.iter().filter(|&&id| passes(id)) {
            roomy.add(self.reachable(id));
        }
        roomy
    }

    /// Whether a borrowed start of a tier may come to a worker; one that is kept clear waits for its own request.
    fn is_open_to(&self, tier: Tier, id: WorkerId) -> bool {
        self.drains_over(id).all(|drain| {
            let awaited = self.requests[drain.slot].asks;
            drain.tier > tier || self.worker(id).free().shortage(&awaited).is_zero()
        })
    }

    /// Whether a request could start within its reserve, and had better wait for a warm worker.
    pub(super) fn waits_for_warmth(&self, slot: u32) -> bool {
        let worker =
            || self.patient_until(slot).and_then(|_| self.place(slot, Drained::Last, &Patience::none()));
        worker().is_some_and(|worker| self.rather_waits(slot, worker))
    }

    /// The best worker that is up and has room for what a request asks, unless it had better wait for a warm one.
    fn place(&self, slot: u32, drained: Drained, patience: &Patience) -> Option<WorkerId> {
        patience.look_at_next();
        let best = self.best_worker(slot, |id| !self.is_drained_for_another(slot, id), patience);
        let may_be_last =
            drained == Drained::Last && !self.pool(self.requests[slot].pool()).drained.is_empty();
        let last = || self.best_worker(slot, |id| self.is_drained_for_another(slot, id), patience);
        let Some(worker) = best.or_else(|| if may_be_last { last() } else { None }) else {
            patience.turn_away();
            return None;
        };
        (!self.rather_waits_in_search(slot, worker, patience)).then_some(worker)
    }

    /// The best of those that pass.
    fn best_worker(
        &self,
        slot: u32,
        passes: impl Fn(WorkerId) -> bool,
        patience: &Patience,
    ) -> Option<WorkerId> {
        let record = &self.requests[slot];
        let pool = self.pool(record.pool());
        // Most were never kept off a worker, nor stopped for another.
        let rare = (record.rare != COMMON).then(|| self.requests.rare_of(record));
        let is_open = |id: WorkerId| {
            let may_come = || !rare.is_some_and(|rare| rare.is_excluded_from(id, self.now));
            passes(id) && self.fits(slot, id) && may_come() && !self.is_kept_off(slot, id, patience)
        };
        // One that was stopped to go on elsewhere does, if it still can.
        let moves_to = rare.and_then(|rare| rare.moves_to);
        if let Some(to) = moves_to.filter(|&to| self.worker(to).is_up() && is_open(to)) {
            return Some(to);
        }
        // What its own claim has gathered is room for it alone.
        let own = record.claim.map(|claim| self.worker(self.claims[claim].worker)).filter(|own| own.is_up());
        let besides = own.map(|own| own.place as usize);
        let will_do = |place: usize| is_open(pool.up[place]);
        let load_with = |place: usize| self.load_with(slot, pool.up[place]);
        let emptiest = || {
            let best = pool.rooms.best(&record.asks, self.config.placement, besides, will_do, load_with);
            best.map(|(place, load)| (pool.up[place], load))
        };
        self.warmest(slot, is_open, emptiest)
    }

    /// Whether a worker is kept clear for another request that is as urgent.
    #[inline(always)] // nearly always none is
    fn is_drained_for_another(&self, slot: u32, worker: WorkerId) -> bool {
        !self.pool(self.requests[slot].pool()).drained.is_empty() && self.has_drain_of_another(slot, worker)
    }

    #[inline(never)]
    fn has_drain_of_another(&self, slot: u32, worker: WorkerId) -> bool {
        let tier = self.requests[slot].tier();
        self.drains_over(worker).any(|drain| drain.slot != slot && drain.tier <= tier)
    }

    /// Starts a waiting request.
    pub(super) fn start(&mut self, slot: u32, worker: WorkerId, reason: Reason) {
        self.fetch_for_start(slot);
        let cached = self.learn(slot, worker);
        self.charge_start(slot, cached);
        self.dequeue(slot);
        let held = self.take_hold(slot);
        let delay_ns = self.meter_start(slot, reason);
        let now = self.now;
        let lapses_at = self.lapses_at(true);
        let (target, (record, run)) = (&self.workers[worker.index()], self.requests.with_run_mut(slot));
        run.begin(now, target.step_tokens);
        (run.worker, run.place, run.in_use) = (worker, target.running.len() as u32, record.asks);
        run.lapses_at = lapses_at;
        record.state = RequestState::Starting;
        record.attempt += 1;
        let (asks, held_units, claim) = (record.asks, run.held_units, record.claim);
        if record.rare != COMMON {
            self.requests.rare_mut(slot).moves_to = None;
        }
        let on_its_worker = claim.filter(|&claim| self.claims[claim].worker == worker);
        if let Some(claim) = on_its_worker {
            self.remove_claim(claim);
        }
        self.board(slot, worker, (held_units, asks), |meter| {
            meter.counts().held_tokens += held;
            if let Some(delay_ns) = delay_ns {
                meter.note_delay(delay_ns);
            }
        });
        if on_its_worker.is_none() {
            self.give_up_claim(slot);
        }
        self.note_young(slot);
        self.freed(worker);
        self.set_due(slot, lapses_at);
        let record = &self.requests[slot];
        let (attempt, resume_tokens) = (record.attempt(), self.requests.rare_of(record).tokens_kept);
        let (pool, tier) = (record.pool(), record.tier());
        // The start goes before the news that it brings, such as victims that may go on.
        let request = self.requests.id(slot);
        self.say_next(Action::Start { request, attempt, worker, resume_tokens, reason });
        self.pool_mut(pool).pace[tier.index()].start(now);
        self.stir(pool);
    }
}

impl Run {
    fn begin(&mut self, now: Instant, step_mark: u64) {
        self.started_at = now;
        self.runs = false;
        self.cached_tokens = 0;
        self.step_mark = step_mark;
        self.serves = None;
    }
}
