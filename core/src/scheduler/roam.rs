//! Requests that several pools can serve: which of them one waits in, and when another takes it over.
//!
//! State: in each pool, the waiting requests of other pools that name it, by tier and arrival. A request leaves the pool it
//! waits in only to start elsewhere at once, for a later pool of its list whose reserve covers it where its own does not, or
//! because nothing that is up can hold it where it is: so no two pools hand one to and fro. One that kept context stays where
//! it was kept while the worker that kept it is not lost. Invariant: ROAM-1, the lists name just those. Cost: nothing for a
//! request that names one pool; a pool for which more than `SCAN_WINDOW` of a tier wait elsewhere is looked at every `TURN_NS`
//! besides.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::requests::Requests;
use super::roamers::{Roamer, Roamers};
use super::warmth::Patience;
use super::workers::WorkerStatus;
use super::{SCAN_WINDOW, Scheduler};
use crate::config::Preemption;
use crate::event::Reason;
use crate::id::{PoolId, Tier, WorkerId};
use crate::queue::Lane;
use crate::request::OtherPools;
use crate::resources::Resources;
use crate::time::Instant;

/// Of more than a pool looks at, it looks at this many of the first, and at as many of the others.
const FIRST: usize = SCAN_WINDOW / 2;
/// How long those others are the same, ns: 10 ms, about a step of an engine, chosen arbitrarily.
const TURN_NS: u64 = 10_000_000;

/// Which others of a tier a pool looks at.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Look {
    /// The last turn in which there were others.
    turn: u64,
    /// The sequence from which it looked in that turn, and the one behind the last that it saw: there the next turn begins.
    begin: u64,
    end: u64,
}

impl Requests {
    /// The pools that one names besides the one it is in.
    #[inline]
    fn other_pools(&self, slot: u32) -> OtherPools {
        self.rest_of(&self[slot]).other_pools
    }

    /// How many pools one names.
    fn choices(&self, slot: u32) -> usize {
        1 + self.other_pools(slot).len()
    }

    /// One of the pools it names, in order of preference; its spec has the one it is in at the place of the first.
    fn preference(&self, slot: u32, choice: usize) -> PoolId {
        let (record, others) = (&self[slot], self.other_pools(slot));
        match choice {
            _ if choice == usize::from(record.choice) => record.spec.pool,
            0 => others[usize::from(record.choice) - 1],
            _ => others[choice - 1],
        }
    }

    /// It is in another of the pools it names from now on.
    fn choose(&mut self, slot: u32, choice: usize) {
        let mut spec = self.spec(slot);
        spec.exchange(self[slot].choice.into());
        spec.exchange(choice);
        self.set_spec(slot, &spec);
        self[slot].choice = choice as u8;
    }
}

impl Scheduler {
    /// Whether a waiting request may go to another pool.
    fn may_roam(&self, slot: u32) -> bool {
        self.requests.choices(slot) > 1 && !self.is_bound(slot) && self.requests.rare(slot).waits_at.is_none()
    }

    /// The other pools that may start a waiting request, in the order of its preference.
    pub(super) fn may_go_to(&self, slot: u32) -> OtherPools {
        if !self.may_roam(slot) {
            return OtherPools::NONE;
        }
        let (requests, own) = (&self.requests, usize::from(self.requests[slot].choice));
        let others = (0..requests.choices(slot)).filter(|&choice| choice != own);
        let others: SmallVec<[PoolId; 4]> = others.map(|choice| requests.preference(slot, choice)).collect();
        OtherPools::new(&others).expect("they are those that it names")
    }

    /// Whether what a request kept is where it waits, or it is to go on at a worker there.
    pub(super) fn is_bound(&self, slot: u32) -> bool {
        let rare = self.requests.rare(slot);
        let is_lost = |id: WorkerId| self.worker(id).status == WorkerStatus::Lost;
        let has_context = rare.tokens_kept > 0 || rare.checkpoint.is_some();
        has_context && !is_lost(rare.checkpoint.map_or(self.requests.run(slot).worker, |(worker, _)| worker))
            || rare.moves_to.is_some_and(|to| !is_lost(to))
    }

    /// A worker of a pool is lost: those that waited there for what it kept may roam.
    pub(super) fn release_bound(&mut self, pool: PoolId) {
        let waiting: Vec<u32> = self.tiers().flat_map(|tier| self.waiting_slots(pool, tier)).collect();
        for slot in waiting {
            self.unlist_roamer(slot);
            self.list_roamer(slot);
        }
        self.stir(pool);
    }

    /// A request is in a lane from now on: the other pools it names know of it.
    #[inline]
    pub(super) fn list_roamer(&mut self, slot: u32) {
        if !self.requests.other_pools(slot).is_empty() && self.may_roam(slot) {
            self.change_roamer(slot, Roamers::insert);
            if self.requests[slot].lane == Some(Lane::Parked) {
                self.homeless.insert(self.requests[slot].sequence, slot);
            }
        }
    }

    /// It is in none any more.
    #[inline(always)]
    pub(super) fn unlist_roamer(&mut self, slot: u32) {
        if !self.requests.other_pools(slot).is_empty() {
            self.change_roamer(slot, Roamers::remove);
            self.homeless.remove(self.requests[slot].sequence, slot);
        }
    }

    #[inline(never)]
    fn change_roamer(&mut self, slot: u32, change: impl Fn(&mut Roamers, Roamer)) {
        let record = &self.requests[slot];
        let entry = (record.tier(), record.sequence, slot);
        for &pool in self.requests.other_pools(slot).iter() {
            let target = self.pool_mut(pool);
            let before = target.roamers.len();
            change(&mut target.roamers, entry);
            let after = target.roamers.len();
            target.seeks_roamers |= after > before;
            self.roamers = self.roamers + after - before;
        }
    }

    /// A pool was looked at: what it could not start, others may.
    pub(super) fn seek_roamers(&mut self) {
        if self.roamers > 0 {
            self.pools.iter_mut().for_each(|pool| pool.seeks_roamers = !pool.roamers.is_empty());
        }
    }

    /// Where no pool has anything to do: one that has room left takes over a request that waits in another, and starts it.
    /// Whether anything was done. O(pools) where requests roam, and what a search for a worker takes for each of 32 of a tier
    /// that a pool could take.
    #[inline(always)] // few hosts have requests that name several pools
    pub(super) fn roam(&mut self) -> bool {
        self.roamers > 0 && self.take_in_some()
    }

    #[inline(never)]
    fn take_in_some(&mut self) -> bool {
        let pools = (0..self.pools.len() as u32).map(PoolId::new);
        pools.into_iter().any(|pool| self.take_in(pool))
    }

    fn take_in(&mut self, pool: PoolId) -> bool {
        if !core::mem::take(&mut self.pool_mut(pool).seeks_roamers) {
            return false;
        }
        let took = self.tiers().any(|tier| {
            let candidates = self.candidates(pool, tier);
            candidates.into_iter().any(|slot| self.take_in_one(pool, slot))
        });
        self.pool_mut(pool).seeks_roamers |= took;
        if !took && !self.pool(pool).roamers.is_empty() {
            self.wake_in_time(pool);
            if self.tiers().any(|tier| self.pool(pool).roamers.of_tier(tier).nth(SCAN_WINDOW).is_some()) {
                let turn = self.now.as_nanos() / TURN_NS;
                let next = (turn + 1).checked_mul(TURN_NS).map(Instant::from_nanos);
                self.wake(pool, next); // none at the end of time, where it stands still
            }
        }
        took
    }

    /// Whom of a tier a pool looks at: the first, and if there are more than it looks at, others in turn, so that none is
    /// hidden for ever by those before that never fit. O(log n).
    fn candidates(&mut self, pool: PoolId, tier: Tier) -> SmallVec<[u32; SCAN_WINDOW]> {
        let (target, sequence) = (self.pool(pool), |slot: u32| self.requests[slot].sequence);
        let (roamers, mut look) = (&target.roamers, target.looks[tier.index()]);
        let mut slots: SmallVec<[u32; SCAN_WINDOW]> = roamers.of_tier(tier).take(SCAN_WINDOW).collect();
        if slots.last().map(|&last| sequence(last)) == roamers.last_of(tier) {
            return slots;
        }
        let turn = self.now.as_nanos() / TURN_NS;
        let is_new = look.turn != turn;
        if is_new {
            (look.turn, look.begin) = (turn, look.end);
        }
        let low = sequence(slots[FIRST]);
        let begin = look.begin.max(low);
        let behind = roamers.of_tier_from(tier, begin);
        let before = roamers.of_tier_from(tier, low).take_while(|&slot| sequence(slot) < begin);
        slots.truncate(FIRST);
        slots.extend(behind.chain(before).take(SCAN_WINDOW - FIRST));
        if is_new {
            look.end = slots.last().map_or(0, |&last| sequence(last)) + 1;
            self.pool_mut(pool).looks[tier.index()] = look;
        }
        slots
    }

    /// Whether a pool took a request over, or the request waits for quota now.
    fn take_in_one(&mut self, pool: PoolId, slot: u32) -> bool {
        if self.sits_out(slot) {
            self.pool_mut(pool).revisit = true;
            return false;
        }
        if self.waits_at(slot).is_some() || self.waits_for_warmth(slot) {
            return false;
        }
        if self.start_in(pool, slot).is_none() {
            let covered = self.is_covered_later(pool, slot);
            if covered {
                self.move_to(slot, pool);
            }
            return covered;
        }
        if let Some(lack) = self.quota_lack(slot) {
            self.wait_for_quota(slot, lack.node);
            return true;
        }
        // It prefers another, perhaps, whose turn comes later.
        let requests = &self.requests;
        let pools = (0..requests.choices(slot)).map(|choice| requests.preference(slot, choice));
        let pools: SmallVec<[PoolId; 4]> = pools.collect();
        let starts = pools.into_iter().any(|pool| self.starts_in(pool, slot));
        self.pool_mut(pool).seeks_roamers |= !starts;
        starts
    }

    /// Starts a request in another pool than its own, if that would start it at once. Whether it did.
    fn starts_in(&mut self, pool: PoolId, slot: u32) -> bool {
        if pool == self.requests[slot].pool() {
            return false;
        }
        let Some((worker, reason)) = self.start_in(pool, slot) else { return false };
        let may_hold = self.may_hold_in(pool, slot);
        if may_hold {
            self.start_elsewhere(slot, worker, reason);
        }
        may_hold
    }

    /// Before a request takes anything from anybody: whether another pool it names started it. One behind its own, which may
    /// have something to do yet, is asked only if nobody as urgent waits there.
    pub(super) fn starts_elsewhere(&mut self, slot: u32) -> bool {
        if self.requests.other_pools(slot).is_empty() || !self.may_roam(slot) {
            return false;
        }
        let (own, tier) = (usize::from(self.requests[slot].choice), self.requests[slot].tier());
        for choice in (0..self.requests.choices(slot)).filter(|&choice| choice != own) {
            let pool = self.requests.preference(slot, choice);
            let (target, is_behind) = (self.pool(pool), pool > self.requests[slot].pool());
            if is_behind && target.queues[..=tier.index()].iter().any(|queue| !queue.is_idle()) {
                continue;
            }
            if self.starts_in(pool, slot) {
                return true;
            }
        }
        false
    }

    /// Whether quota that lets a request start where it is lets it start in another pool, where it may ask for more units. What
    /// is held for one that never ran is held for its claim, where it is; one that ran holds its tokens wherever it goes on.
    fn may_hold_in(&mut self, pool: PoolId, slot: u32) -> bool {
        let (own, has_run) = (self.requests[slot].asks, self.requests[slot].has_run);
        let holds = self.requests.run(slot).held.is_some();
        (has_run || !holds)
            && self.as_if_in(pool, slot, |sched| {
                sched.requests[slot].asks.fits(&own) || !holds && sched.quota_lack(slot).is_none()
            })
    }

    /// A request goes to the pool of a worker, and starts there. Like any other, it may pass a head so many times.
    fn start_elsewhere(&mut self, slot: u32, worker: WorkerId, reason: Reason) {
        let (pool, tier) = (self.worker(worker).spec.pool, self.requests[slot].tier());
        let head = if reason == Reason::Borrowed { self.find_head(pool, tier) } else { None };
        if let Some(head) = head.filter(|&head| self.requests[head].asks.fits(&self.worker(worker).whole)) {
            self.requests[head].bypassed = self.requests[head].bypassed.saturating_add(1);
        }
        self.move_to(slot, pool);
        self.start(slot, worker, reason);
    }

    /// Where a waiting request would start at once in another pool, and by which right.
    fn start_in(&mut self, pool: PoolId, slot: u32) -> Option<(WorkerId, Reason)> {
        self.refresh_rooms(pool);
        let now = self.now;
        self.pool_mut(pool).capacity.prepare(now);
        self.as_if_in(pool, slot, |sched| {
            if !sched.is_startable(slot) {
                return None;
            }
            if let Some(worker) = sched.guaranteed_worker(slot, &Patience::none()) {
                return Some((worker, Reason::Guaranteed));
            }
            let tier = sched.requests[slot].tier();
            if sched.keeps_any(pool, tier) {
                return None;
            }
            let available = sched.pool(pool).capacity.available(tier, now).positive();
            Some((sched.borrowed_worker(slot, &available, &Patience::none())?, Reason::Borrowed))
        })
    }

    /// Whether a pool that a request prefers less than its own is the one whose reserve covers it.
    fn is_covered_later(&mut self, pool: PoolId, slot: u32) -> bool {
        let record = &self.requests[slot];
        let (tier, none) = (record.tier(), Resources::ZERO);
        let is_later = (usize::from(record.choice) + 1..self.requests.choices(slot))
            .any(|choice| self.requests.preference(slot, choice) == pool);
        let within = |sched: &Self| {
            let record = &sched.requests[slot];
            sched.pool(record.pool()).capacity.is_within(tier, record.asks, none)
        };
        is_later
            && record.claim.is_none()
            && self.whom(tier, true) != Preemption::Never
            && !within(self)
            && self.as_if_in(pool, slot, |sched| sched.is_startable(slot) && within(sched))
    }

    /// What is true of a waiting request, were it in another pool.
    fn as_if_in<T>(&mut self, pool: PoolId, slot: u32, look: impl FnOnce(&Self) -> T) -> T {
        let record = &mut self.requests[slot];
        let own = (core::mem::replace(&mut record.spec.pool, pool), record.claim.take());
        let (asks, own_asks) = (self.next_asks(slot), self.requests[slot].asks);
        self.requests.set_asks(slot, asks);
        let seen = look(self);
        self.requests.set_asks(slot, own_asks);
        let record = &mut self.requests[slot];
        (record.spec.pool, record.claim) = own;
        seen
    }

    /// A waiting request goes to another of the pools it names, and waits there.
    fn move_to(&mut self, slot: u32, pool: PoolId) {
        self.dequeue(slot);
        self.give_up_claim(slot);
        self.undo_idle_hold(slot);
        self.enter(slot, pool);
        // The pool that it left is looked at again in the next round; this one has to be.
        self.pool_mut(pool).revisit |= self.sits_out(slot);
        self.enqueue(slot, true);
    }

    /// A request that is nowhere belongs to one of the pools it names: another, or the one it left, which can hold it again.
    fn enter(&mut self, slot: u32, pool: PoolId) {
        let requests = &self.requests;
        let choice = (0..requests.choices(slot)).find(|&choice| requests.preference(slot, choice) == pool);
        let choice = choice.expect("it names the pool");
        if pool != requests[slot].pool() {
            self.forget_kept(slot);
        }
        self.change_line(slot, true, |sched| sched.requests.choose(slot, choice));
    }

    /// What a request kept is not in the pool that it goes to.
    fn forget_kept(&mut self, slot: u32) {
        self.forget_checkpoint(slot);
        if self.requests.rare(slot).tokens_kept > 0 {
            self.requests.rare_mut(slot).tokens_kept = 0;
        }
    }

    /// A request that comes back and is nowhere: to the pool that it prefers.
    pub(super) fn enter_first_choice(&mut self, slot: u32) {
        if self.requests[slot].choice > 0 && self.may_roam(slot) {
            let first = self.requests.preference(slot, 0);
            self.enter(slot, first);
        }
    }

    /// Waiting requests that nothing can hold where they are go to the first pool they name where something can.
    #[inline(always)]
    pub(super) fn settle_homeless(&mut self) {
        if !self.homeless.is_empty() {
            self.settle_all_homeless();
        }
    }

    #[inline(never)]
    fn settle_all_homeless(&mut self) {
        while let Some(slot) = self.homeless.pop_first() {
            let able = (0..self.requests.choices(slot)).find_map(|choice| {
                let pool = self.requests.preference(slot, choice);
                self.as_if_in(pool, slot, |sched| sched.is_startable(slot)).then_some(pool)
            });
            if let Some(pool) = able {
                self.move_to(slot, pool);
            }
        }
    }

    /// What a pool can hold has changed: perhaps it can hold those that nothing could elsewhere.
    pub(super) fn note_homeless(&mut self, pool: PoolId) {
        let Self { pools, requests, homeless, .. } = self;
        let parked = |slot: u32| requests[slot].lane == Some(Lane::Parked);
        let others = pools[pool.index()].roamers.iter().filter(|&(.., slot)| parked(slot));
        others.for_each(|(_, sequence, slot)| homeless.insert(sequence, slot));
    }

    /// Whether any pool that a request may come back to could ever hold it: units that it stopped with count.
    pub(super) fn can_come_back(&mut self, slot: u32) -> bool {
        let can = |sched: &Self| {
            let stopped_with = sched.requests.rare(slot).stopped_with.unwrap_or_default();
            let needs = sched.next_asks(slot).max(stopped_with);
            sched.pool(sched.requests[slot].pool()).shapes.iter().any(|shape| needs.fits(shape))
        };
        let others = if self.may_roam(slot) { self.requests.other_pools(slot) } else { OtherPools::NONE };
        can(self) || others.iter().any(|&pool| self.as_if_in(pool, slot, can))
    }

    /// How many lists of other pools a request should stand in, and whether it does.
    pub(super) fn check_roamer(&self, slot: u32) -> (usize, bool) {
        let record = &self.requests[slot];
        if !record.is_waiting() || !self.may_roam(slot) {
            return (0, true);
        }
        let others = self.requests.other_pools(slot);
        let entry = (record.tier(), record.sequence, slot);
        (others.len(), others.iter().all(|&pool| self.pool(pool).roamers.contains(entry)))
    }
}
