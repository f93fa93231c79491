//! Claims: units of one worker gathered for one waiting request, from what is free and what victims give back.
//!
//! Invariants: the earmarks of a worker's claims never exceed its free units for longer than it takes to
//! notice (CAP-2); a claim that is short has a victim whose units are still to come.

use alloc::vec::Vec;

use super::record::Claim;
use super::{SCAN_WINDOW, Scheduler};
use crate::event::{Action, Reason};
use crate::id::{PoolId, WorkerId};
use crate::request::RequestState;
use crate::resources::Resources;

impl Scheduler {
    /// Lays a claim for all that `owner` asks for on `worker`, and earmarks what is free there.
    pub(super) fn lay_claim(&mut self, owner: u32, worker: WorkerId, within: bool, victims: Vec<u32>) -> u32 {
        self.uncount_waiting(owner);
        let (tier, size) = (self.requests[owner].tier(), self.requests[owner].asks);
        let (id, _) = self.claims.insert(Claim {
            owner,
            tier,
            worker,
            within,
            size,
            earmarked: Resources::ZERO,
            victims,
        });
        self.requests[owner].claim = Some(id);
        let place = self.workers[worker.index()].claims.partition_point(|&other| self.precedes(other, id));
        self.worker_mut(worker).claims.insert(place, id);
        let pool = self.requests[owner].pool();
        self.pool_mut(pool).claims.push(id);
        self.book_claim(id);
        id
    }

    /// More urgent claims are topped up first, then those of earlier arrivals.
    fn precedes(&self, a: u32, b: u32) -> bool {
        let rank = |id: u32| (self.claims[id].tier, self.requests[self.claims[id].owner].sequence);
        rank(a) < rank(b)
    }

    /// The owner's tier has claimed this much more.
    fn book_claim(&mut self, id: u32) {
        let claim = &self.claims[id];
        let owner = &self.requests[claim.owner];
        let account = self.pools[owner.spec.pool.index()].capacity.account_mut(claim.tier);
        account.claimed += claim.size;
        if owner.never_yields() {
            account.pinned += claim.size;
        }
        account.note(self.now);
    }

    fn unbook_claim(&mut self, id: u32) {
        let claim = &self.claims[id];
        let owner = &self.requests[claim.owner];
        let account = self.pools[owner.spec.pool.index()].capacity.account_mut(claim.tier);
        account.claimed -= claim.size;
        if owner.never_yields() {
            account.pinned -= claim.size;
        }
        account.note(self.now);
    }

    /// Gathers `units` more for a claim.
    fn earmark(&mut self, id: u32, units: Resources) {
        let claim = &mut self.claims[id];
        claim.earmarked += units;
        let (worker, tier) = (claim.worker, claim.tier);
        self.workers[worker.index()].earmarked += units;
        let pool = self.workers[worker.index()].spec.pool;
        self.pool_mut(pool).capacity.account_mut(tier).earmarked += units;
    }

    fn unearmark(&mut self, id: u32, units: Resources) {
        let claim = &mut self.claims[id];
        claim.earmarked -= units;
        let (worker, tier) = (claim.worker, claim.tier);
        self.workers[worker.index()].earmarked -= units;
        let pool = self.workers[worker.index()].spec.pool;
        self.pool_mut(pool).capacity.account_mut(tier).earmarked -= units;
    }

    /// Ends a claim, and offers what it had gathered to the others on its worker.
    pub(super) fn dissolve(&mut self, id: u32) {
        let worker = self.claims[id].worker;
        self.remove_claim(id);
        self.freed(worker);
    }

    /// Ends a claim: its earmarks are free, and victims that have not stopped are spared.
    pub(super) fn remove_claim(&mut self, id: u32) {
        self.unearmark(id, self.claims[id].earmarked);
        self.unbook_claim(id);
        for victim in core::mem::take(&mut self.claims[id].victims) {
            self.spare(victim);
        }
        let Claim { owner, worker, .. } = self.claims.remove(id);
        let record = &mut self.requests[owner];
        record.claim = None;
        let pool = record.pool();
        if record.is_waiting() {
            self.let_choose_again(owner);
            self.count_waiting(owner);
        }
        self.worker_mut(worker).claims.retain(|&other| other != id);
        self.pool_mut(pool).claims.retain(|&other| other != id);
    }

    /// A request that waits will not use its claim, if it has one.
    pub(super) fn give_up_claim(&mut self, slot: u32) {
        if let Some(claim) = self.requests[slot].claim {
            self.pass_on(claim);
        }
    }

    /// The owner of a claim waits no more: its tier's next request that may have the claim gets it.
    pub(super) fn pass_on(&mut self, id: u32) {
        let Some(heir) = self.heir(id) else { return self.dissolve(id) };
        self.unbook_claim(id);
        let former = core::mem::replace(&mut self.claims[id].owner, heir);
        self.requests[former].claim = None;
        self.let_choose_again(former);
        self.name_beneficiary(former, heir);
        self.uncount_waiting(heir);
        let record = &mut self.requests[heir];
        record.claim = Some(id);
        record.victims_for = record.attempt + 1;
        let size = record.asks;
        self.unearmark(id, self.claims[id].earmarked.saturating_sub(size));
        self.claims[id].size = size;
        self.book_claim(id);
        let worker = self.claims[id].worker;
        let mut claims = core::mem::take(&mut self.worker_mut(worker).claims);
        claims.sort_unstable_by_key(|&other| {
            let claim = &self.claims[other];
            (claim.tier, self.requests[claim.owner].sequence)
        });
        self.worker_mut(worker).claims = claims;
        if self.claims[id].within {
            self.spare_superfluous(id);
        }
        self.freed(worker);
    }

    /// A claim that became smaller may need fewer victims: PRE-3, the last chosen are spared first.
    fn spare_superfluous(&mut self, id: u32) {
        let claim = &self.claims[id];
        let missing = claim.size - claim.earmarked;
        let units = |slot: u32| self.requests[slot].in_use;
        let mut coming = claim.victims.iter().fold(Resources::ZERO, |sum, &victim| sum + units(victim));
        let mut spared = Vec::new();
        for &victim in claim.victims.iter().rev() {
            if missing.fits(&(coming - units(victim))) {
                coming -= units(victim);
                spared.push(victim);
            }
        }
        self.claims[id].victims.retain(|victim| !spared.contains(victim));
        for victim in spared {
            self.spare(victim);
        }
    }

    /// The request has lost its claim, or never got what it claimed: it may choose victims once more.
    pub(super) fn let_choose_again(&mut self, slot: u32) {
        let record = &mut self.requests[slot];
        record.victims_for = 0;
        record.considered_round = 0;
    }

    fn heir(&self, id: u32) -> Option<u32> {
        let claim = &self.claims[id];
        let pool = self.pool(self.worker(claim.worker).spec.pool);
        let config = &self.config.tiers[claim.tier.index()];
        let pinned = if self.requests[claim.owner].never_yields() { claim.size } else { Resources::ZERO };
        let may_have = |slot: u32| {
            let record = &self.requests[slot];
            let within = pool.capacity.is_within(claim.tier, record.asks, claim.size);
            record.claim.is_none()
                && record.asks.fits(&claim.size)
                && !record.is_excluded_from(claim.worker, self.now)
                && (within
                    || !claim.within && pool.capacity.may_borrow(claim.tier, record.asks, claim.size, config))
                && (!record.never_yields()
                    || within
                    || pool.capacity.may_pin(claim.tier, record.asks, pinned))
        };
        let queue = &pool.queues[claim.tier.index()];
        let first = queue.first();
        let waiting = core::iter::successors(first, |&slot| {
            queue.after(&self.requests, self.requests[slot].lane, slot)
        });
        waiting.take(SCAN_WINDOW).find(|&slot| may_have(slot))
    }

    /// Asks a running request to stop.
    pub(super) fn ask_to_stop(
        &mut self,
        victim: u32,
        beneficiary: Option<u32>,
        claim: Option<u32>,
        reason: Reason,
    ) {
        let confirm_by = self.now.plus_nanos(self.config.confirm_after_ns);
        self.rebook(victim, |record| {
            record.state = RequestState::Preempting;
            record.yields_for = reason;
            record.serves = claim;
        });
        let (request, record) = (self.requests.id(victim), &self.requests[victim]);
        self.timers.insert((confirm_by, record.sequence), victim);
        self.say(Action::Preempt {
            victim: request,
            attempt: record.attempt(),
            mode: record.yield_mode(),
            beneficiary: beneficiary.map(|slot| self.requests.id(slot)),
            confirm_by,
            reason,
        });
    }

    /// Takes the asking back; if the host has not heard of it yet, it never will.
    fn spare(&mut self, victim: u32) {
        if self.requests[victim].state == RequestState::Releasing {
            self.requests[victim].serves = None; // it has stopped already
            return;
        }
        let unheard = self.unsay(victim);
        self.timers.remove(victim);
        self.rebook(victim, |record| {
            record.state = if record.runs { RequestState::Running } else { RequestState::Starting };
            record.serves = None;
        });
        if !unheard {
            let (request, attempt) = (self.requests.id(victim), self.requests[victim].attempt());
            self.say(Action::Spare { victim: request, attempt, reason: Reason::NotNeeded });
        }
    }

    /// Units of a worker came free: first for its claims, then for whoever waits.
    pub(super) fn freed(&mut self, worker: WorkerId) {
        self.stir(self.worker(worker).spec.pool);
        self.rebalance(worker);
    }

    /// A request on a worker grew. That lets nobody start, but its tier may borrow now what it did not before.
    pub(super) fn grew(&mut self, worker: WorkerId) {
        let pool = self.worker(worker).spec.pool;
        if self.pool(pool).reclaim_in_vain || !self.pool(pool).claims.is_empty() {
            self.stir(pool);
        }
        self.rebalance(worker);
    }

    /// Something changed in a pool that may let somebody start, or choose victims. Who looked for victims in
    /// this round looks again in the next.
    pub(super) fn stir(&mut self, pool: PoolId) {
        let in_round = self.in_round;
        let pool = self.pool_mut(pool);
        pool.dirty = true;
        pool.revisit |= in_round && pool.sought_in_vain;
    }

    /// The units of a worker changed: fills its claims from what is free, or takes from them what is not,
    /// and notices an overdraft.
    pub(super) fn rebalance(&mut self, worker: WorkerId) {
        if !self.worker(worker).is_up() {
            return;
        }
        if !self.worker(worker).overdraft().is_zero() {
            self.notice_pressure(worker);
        }
        if self.worker(worker).claims.is_empty() {
            return;
        }
        let claims = self.worker(worker).claims.clone();
        for &id in claims.iter().rev() {
            let overdrawn = self.worker(worker).free().overdrawn();
            self.unearmark(id, overdrawn.min(self.claims[id].earmarked));
        }
        for &id in &claims {
            let wanted = self.claims[id].size - self.claims[id].earmarked;
            self.earmark(id, wanted.min(self.worker(worker).free().positive()));
        }
        // One that is short with nobody left to give is dropped; its owner may choose again.
        let hopeless =
            claims.into_iter().find(|&id| !self.claims[id].is_full() && self.claims[id].victims.is_empty());
        if let Some(id) = hopeless {
            self.dissolve(id);
        }
    }

    /// The first claim whose owner may start past every gate.
    pub(super) fn ready_claim(&self, pool: PoolId) -> Option<u32> {
        let ready = self.pool(pool).claims.iter().copied().filter(|&id| self.is_ready(pool, id));
        ready.min_by_key(|&id| (self.claims[id].tier, self.requests[self.claims[id].owner].sequence))
    }

    /// A claim is ready when it is full. One from beyond the reserve may be full of units that are held for
    /// others: then it also waits for its victims, who give back as much elsewhere.
    fn is_ready(&self, pool: PoolId, id: u32) -> bool {
        let claim = &self.claims[id];
        let owed = || {
            let overdrawn = self.pool(pool).capacity.available(claim.tier, self.now).overdrawn();
            !overdrawn.min(claim.size).is_zero()
        };
        claim.is_full()
            && !self.sits_out(claim.owner)
            && (claim.within || claim.victims.is_empty() || !owed())
    }

    /// Keeps a waiting request off a worker for a while.
    pub(super) fn exclude(&mut self, slot: u32, worker: WorkerId) {
        let until = self.now.plus_nanos(self.config.decline_backoff_ns);
        let record = &mut self.requests[slot];
        record.excluded.rotate_right(1);
        record.excluded[0] = Some((worker, until));
        let pool = record.pool();
        let pool = self.pool_mut(pool);
        pool.excluded_until = pool.excluded_until.max(until);
    }

    /// Not offered again in this round.
    pub(super) fn sit_out(&mut self, slot: u32) {
        if self.in_round {
            self.requests[slot].sat_out_round = self.round;
            let pool = self.requests[slot].pool();
            self.pool_mut(pool).revisit = true;
        }
    }

    pub(super) fn sits_out(&self, slot: u32) -> bool {
        self.requests[slot].sat_out_round == self.round
    }

    /// A victim that was not reported stopped in time no longer counts as one that its claim waits for.
    pub(super) fn give_up_on(&mut self, victim: u32) {
        let Some(claim) = self.requests[victim].serves.take() else { return };
        // An engine that does not answer is not asked again at once, nor given the request.
        self.exclude(self.claims[claim].owner, self.claims[claim].worker);
        self.claims[claim].victims.retain(|&other| other != victim);
        self.freed(self.claims[claim].worker);
    }
}
