//! Claims: units of one worker gathered for one waiting request, from what is free and what victims give back.
//!
//! Invariants: a claim that is short has a victim whose units are still to come, and its worker has no room; what is known of
//! a pool's claims together (`ClaimDigest`) is what they come to.

use alloc::vec::Vec;

use super::record::Claim;
use super::{SCAN_WINDOW, Scheduler};
use crate::id::{DeviceId, PoolId, Tier, WorkerId};
use crate::queue::Lane;
use crate::resources::Resources;
#[cfg(feature = "snapshot")]
use crate::slab::Slab;

/// What is missing of a claim, on its worker and on each of the worker's devices.
#[derive(Clone, PartialEq, Eq)]
struct Lack {
    worker: WorkerId,
    on_worker: Resources,
    on_devices: Vec<(DeviceId, Resources)>,
}

impl Lack {
    fn is_nothing(&self) -> bool {
        self.on_worker.is_zero() && self.on_devices.iter().all(|(_, missing)| missing.is_zero())
    }
}

/// What is known of a pool's claims together, so that nobody goes through them where none of their owners can start.
#[derive(Debug)]
pub(super) struct ClaimDigest {
    /// Those that are full, in no order that means anything.
    full: Vec<u32>,
    /// No owner asks for less of anything.
    least: Resources,
}

impl Default for ClaimDigest {
    fn default() -> Self {
        Self { full: Vec::new(), least: Resources::BOUNDLESS }
    }
}

impl ClaimDigest {
    /// Whether none of them is full.
    #[inline(always)]
    pub(super) fn is_none_full(&self) -> bool {
        self.full.is_empty()
    }

    /// Of these claims, as far as there are such.
    #[cfg(feature = "snapshot")]
    pub(super) fn of(ids: &[u32], claims: &Slab<Claim>) -> Self {
        let mut digest = Self::default();
        for &id in ids.iter().filter(|&&id| claims.contains(id)) {
            digest.add(id, &claims[id]);
        }
        digest
    }

    fn add(&mut self, id: u32, claim: &Claim) {
        self.least = self.least.min(claim.size);
        self.note(id, false, claim.is_full());
    }

    /// A claim was full, or is now.
    pub(super) fn note(&mut self, id: u32, was_full: bool, is_full: bool) {
        match (was_full, is_full) {
            (false, true) => self.full.push(id),
            (true, false) => self.full.retain(|&other| other != id),
            _ => {}
        }
    }

    /// Whether some owner may start, where `most` is the most that any worker has free, or more. One whose claim is not full
    /// has no room there: all that is free went to the claim.
    pub(super) fn may_start(&self, most: &Resources) -> bool {
        !self.full.is_empty() || self.least.fits(most)
    }

    /// Whether that is what there is to know of these.
    pub(super) fn is_of<'a>(&self, mut claims: impl Iterator<Item = (u32, &'a Claim)>) -> bool {
        let mut full = 0;
        let is_known = |(id, claim): (u32, &Claim)| {
            full += usize::from(claim.is_full());
            self.least.fits(&claim.size) && claim.is_full() == self.full.contains(&id)
        };
        claims.all(is_known) && full == self.full.len()
    }
}

impl Scheduler {
    /// Lays a claim for all that `owner` asks for on `worker`; what is free there is gathered by `freed`.
    pub(super) fn lay_claim(&mut self, owner: u32, worker: WorkerId, within: bool, victims: Vec<u32>) -> u32 {
        let (tier, size) = (self.requests[owner].tier(), self.requests[owner].asks);
        let (id, _) = self.claims.insert(Claim {
            owner,
            tier,
            worker,
            within,
            size,
            earmarked: Resources::ZERO,
            victims,
            whom: self.whom(tier, within),
        });
        self.requests[owner].claim = Some(id);
        let place = {
            let rank = self.claim_rank(id);
            self.worker(worker).claims.partition_point(|&other| self.claim_rank(other) < rank)
        };
        self.worker_mut(worker).claims.insert(place, id);
        let pool = self.requests[owner].pool();
        let Self { pools, claims, .. } = self;
        let target = &mut pools[pool.index()];
        target.claims.push(id);
        target.claim_digest.add(id, &claims[id]);
        self.book_claim(id);
        self.refresh_least(owner);
        id
    }

    /// More urgent claims are topped up first, then those of earlier arrivals.
    pub(super) fn claim_rank(&self, id: u32) -> (Tier, u64) {
        (self.claims[id].tier, self.requests[self.claims[id].owner].sequence)
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
    }

    fn unbook_claim(&mut self, id: u32) {
        let claim = &self.claims[id];
        let owner = &self.requests[claim.owner];
        let account = self.pools[owner.spec.pool.index()].capacity.account_mut(claim.tier);
        account.claimed -= claim.size;
        if owner.never_yields() {
            account.pinned -= claim.size;
        }
    }

    /// Gathers `units` more for a claim.
    pub(super) fn earmark(&mut self, id: u32, units: Resources) {
        self.change_earmarks(id, units, Resources::ZERO);
    }

    pub(super) fn unearmark(&mut self, id: u32, units: Resources) {
        self.change_earmarks(id, Resources::ZERO, units);
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
        let is_full = self.claims[id].is_full();
        let Claim { owner, worker, .. } = *self.claims.forget(id);
        let pool = self.requests[owner].pool();
        self.requests[owner].claim = None;
        self.let_choose_again(owner);
        self.refresh_least(owner);
        if self.requests[owner].is_waiting() {
            self.undo_idle_hold(owner);
        }
        self.worker_mut(worker).claims.retain(|&other| other != id);
        let target = self.pool_mut(pool);
        target.claims.retain(|&other| other != id);
        target.claim_digest.note(id, is_full, false);
        if target.claims.is_empty() {
            target.claim_digest = ClaimDigest::default();
        }
    }

    /// A request that waits no more, or asks for something else now, will not use its claim, if it has one.
    #[inline(always)]
    pub(super) fn give_up_claim(&mut self, slot: u32) {
        if let Some(claim) = self.requests[slot].claim {
            self.pass_on(claim);
        }
    }

    /// The owner of a claim gives it up: its tier's next request that may have the claim gets it.
    fn pass_on(&mut self, id: u32) {
        let Some(heir) = self.heir(id) else { return self.dissolve(id) };
        let (worker, size) = (self.claims[id].worker, self.requests[heir].asks);
        let counted = [self.claims[id].owner, heir].map(|slot| (slot, self.requests[slot].counted));
        counted.into_iter().for_each(|(slot, _)| self.uncount_waiting(slot));
        self.unearmark(id, self.claims[id].earmarked.saturating_sub(size));
        self.unbook_claim(id);
        let former = core::mem::replace(&mut self.claims[id].owner, heir);
        self.resize_claim(id, size);
        self.requests[former].claim = None;
        self.requests[heir].claim = Some(id);
        self.book_claim(id);
        for (slot, _) in counted.into_iter().filter(|&(_, counted)| counted) {
            self.count_waiting(slot);
        }
        self.let_choose_again(former);
        if self.requests[former].is_waiting() {
            self.undo_idle_hold(former);
        }
        self.hold(heir);
        self.name_beneficiary(former, heir, None);
        self.note_set_for(heir);
        self.refresh_least(former);
        self.refresh_least(heir);
        let mut claims = core::mem::take(&mut self.worker_mut(worker).claims);
        claims.sort_unstable_by_key(|&other| self.claim_rank(other));
        self.worker_mut(worker).claims = claims;
        if self.claims[id].within {
            self.spare_superfluous(id);
        }
        self.freed(worker);
    }

    fn resize_claim(&mut self, id: u32, size: Resources) {
        let Self { pools, claims, workers, .. } = self;
        let claim = &mut claims[id];
        let digest = &mut pools[workers[claim.worker.index()].spec.pool.index()].claim_digest;
        digest.note(id, claim.is_full(), false);
        claim.size = size;
        digest.add(id, claim);
    }

    /// A claim that became smaller may need fewer victims: PRE-3, the last chosen are spared first.
    fn spare_superfluous(&mut self, id: u32) {
        let lack = self.lack(id);
        let mut kept = self.claims[id].victims.clone();
        let mut spared = Vec::new();
        for index in (0..kept.len()).rev() {
            let victim = kept.remove(index);
            let mut left = lack.clone();
            kept.iter().for_each(|&other| self.give(other, &mut left));
            if left.is_nothing() {
                spared.push(victim);
            } else {
                kept.insert(index, victim);
            }
        }
        self.claims[id].victims = kept;
        for victim in spared {
            self.spare(victim);
        }
    }

    /// What has to come from victims until a claim is full: what is free is on its way to it.
    fn lack(&self, id: u32) -> Lack {
        let claim = &self.claims[id];
        let target = self.worker(claim.worker);
        let on_worker = (claim.size - claim.earmarked).saturating_sub(target.free().positive());
        let on_devices = target.spec.devices.iter().map(|part| {
            let missing = part.of(claim.size).saturating_sub(part.of(claim.earmarked));
            let free = self.devices[part.device.index()].free().positive();
            (part.device, missing.saturating_sub(free))
        });
        Lack { worker: claim.worker, on_worker, on_devices: on_devices.collect() }
    }

    /// Takes what a victim will give back from what is lacking.
    fn give(&self, victim: u32, lack: &mut Lack) {
        let run = self.requests.run(victim);
        if run.worker == lack.worker {
            lack.on_worker = lack.on_worker.saturating_sub(run.in_use);
        }
        for (device, missing) in &mut lack.on_devices {
            if let Some(part) = self.worker(run.worker).part_on(*device) {
                *missing = missing.saturating_sub(part.of(run.in_use));
            }
        }
    }

    /// The request has lost its claim, or never got what it claimed: it may choose victims once more.
    pub(super) fn let_choose_again(&mut self, slot: u32) {
        self.requests[slot].victims_for = 0;
        self.nodes.note_choice();
    }

    /// Victims stop for this request now: its one set for this attempt.
    pub(super) fn note_set_for(&mut self, slot: u32) {
        let record = &mut self.requests[slot];
        let attempt = record.attempt + 1;
        record.victims_for = attempt;
        self.requests.rare_mut(slot).last_set_for = attempt;
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
                && self.quota_lack(slot).is_none()
                && !self.requests.rare(slot).is_excluded_from(claim.worker, self.now)
                && (within
                    || !claim.within && pool.capacity.may_borrow(claim.tier, record.asks, claim.size, config))
                && (!record.never_yields()
                    || within
                    || pool.capacity.may_pin(claim.tier, record.asks, pinned))
        };
        let queue = &pool.queues[claim.tier.index()];
        queue.in_order(&self.nodes).take(SCAN_WINDOW).find(|&slot| may_have(slot))
    }

    /// The first of a tier's requests on offer that have a claim and pass: no search that goes by units finds them.
    pub(super) fn first_owner<T>(
        &self,
        pool: PoolId,
        tier: Tier,
        passes: impl Fn(u32) -> Option<T>,
    ) -> Option<(u32, T)> {
        let claims = self.pool(pool).claims.iter().map(|&id| &self.claims[id]);
        let owners = claims.filter(|claim| claim.tier == tier).map(|claim| claim.owner);
        let able =
            owners.filter(|&slot| self.is_on_offer(slot)).filter_map(|slot| Some((slot, passes(slot)?)));
        able.reduce(|first, other| if self.is_before(other.0, first.0) { other } else { first })
    }

    /// Whether some worker may have room for the owner of a claim, where `most` is the most that any has free, or more.
    pub(super) fn owner_may_have_room(&self, slot: u32, most: &Resources) -> bool {
        // Asked of each claim, in each pass.
        let record = &self.requests[slot];
        record.asks.fits(most) || record.claim.is_some_and(|claim| self.fits(slot, self.claims[claim].worker))
    }

    fn is_on_offer(&self, slot: u32) -> bool {
        match self.requests[slot].lane {
            Some(Lane::Resumed) => true,
            Some(Lane::Fresh) => !self.nodes.is_aside(self.nodes.line_of(slot)),
            Some(Lane::Parked) | None => false,
        }
    }

    /// Whether one request stands before another of its tier and pool, both on offer.
    pub(super) fn is_before(&self, slot: u32, other: u32) -> bool {
        let [one, other] = [slot, other].map(|slot| {
            let lane = self.requests[slot].lane.expect("who is on offer is in a lane");
            (lane, slot)
        });
        let record = &self.requests[slot];
        self.pool(record.pool()).queues[record.tier().index()].is_before(&self.nodes, one, other)
    }

    /// The claim of a less urgent tier whose earmarks and victims cover what a request within its reserve is short
    /// of: the least urgent tier's first.
    pub(super) fn claim_to_take_over(&self, slot: u32) -> Option<u32> {
        let record = &self.requests[slot];
        let able = self.pool(record.pool()).claims.iter().copied().filter(|&id| {
            let claim = &self.claims[id];
            claim.tier > record.tier()
                && record.asks.fits(&self.worker(claim.worker).whole)
                && !self.requests.rare(slot).is_excluded_from(claim.worker, self.now)
                // PRE-1: those of another claim may be of any tier.
                && claim.victims.iter().all(|&victim| self.requests[victim].tier() > record.tier())
                && self.would_cover(id, slot)
        });
        able.max_by_key(|&id| {
            let claim = &self.claims[id];
            let (tier, sequence) = self.claim_rank(id);
            (tier, core::cmp::Reverse(claim.worker), sequence)
        })
    }

    /// Whether what is free, what a claim has gathered and what its victims use is enough for a request there.
    fn would_cover(&self, id: u32, slot: u32) -> bool {
        let claim = &self.claims[id];
        let asks = self.requests[slot].asks;
        let on_worker = self.shortage(slot, claim.worker).saturating_sub(claim.earmarked);
        let parts = self.worker(claim.worker).spec.devices.iter();
        let on_devices = parts.map(|part| {
            let short = self.devices[part.device.index()].free().shortage(&part.of(asks));
            (part.device, short.saturating_sub(part.of(claim.earmarked)))
        });
        let mut lack = Lack { worker: claim.worker, on_worker, on_devices: on_devices.collect() };
        claim.victims.iter().for_each(|&victim| self.give(victim, &mut lack));
        lack.is_nothing()
    }

    /// Lays a claim for `slot` where a less urgent one is: it gets what is free, then what that one has gathered,
    /// then its victims, until it has enough. The rest stays with the former.
    pub(super) fn take_over(&mut self, slot: u32, from: u32) {
        self.stats.takeovers += 1;
        let (worker, former) = (self.claims[from].worker, self.claims[from].owner);
        let id = self.lay_claim(slot, worker, true, Vec::new());
        self.hold(slot);
        self.count_further_set(slot);
        self.note_set_for(slot);
        self.top_up(id);
        let wanted = self.claims[id].size - self.claims[id].earmarked;
        let handed = wanted.min(self.claims[from].earmarked);
        self.unearmark(from, handed);
        self.earmark(id, handed);
        let mut lack = self.lack(id);
        for victim in self.claims[from].victims.clone() {
            let before = lack.clone();
            self.give(victim, &mut lack);
            if lack == before {
                continue;
            }
            self.claims[from].victims.retain(|&other| other != victim);
            self.claims[id].victims.push(victim);
            self.requests.run_mut(victim).serves = Some(id);
            self.name_beneficiary(former, slot, Some(victim));
        }
        self.freed(worker);
    }

    /// Counts a set of victims for an attempt that had one before.
    pub(super) fn count_further_set(&mut self, slot: u32) {
        if self.requests.rare(slot).last_set_for == self.requests[slot].attempt + 1 {
            self.stats.further_sets += 1;
        }
    }

    /// The first claim whose owner may start past every gate.
    pub(super) fn ready_claim(&self, pool: PoolId) -> Option<u32> {
        let full = &self.pool(pool).claim_digest.full;
        let ready = full.iter().copied().filter(|&id| self.is_ready(pool, id));
        ready.min_by_key(|&id| self.claim_rank(id))
    }

    /// A claim is ready when it is full, as this one is. One from beyond the reserve may be full of units that are held for
    /// others: then it also waits for its victims, who give back as much elsewhere.
    fn is_ready(&self, pool: PoolId, id: u32) -> bool {
        let claim = &self.claims[id];
        let owed = || {
            let overdrawn = self.pool(pool).capacity.available(claim.tier, self.now).overdrawn();
            !overdrawn.min(claim.size).is_zero()
        };
        !self.sits_out(claim.owner) && (claim.within || claim.victims.is_empty() || !owed())
    }

    /// A victim that was not reported stopped in time no longer counts as one that its claim waits for.
    pub(super) fn give_up_on(&mut self, victim: u32) {
        let Some(claim) = self.requests.run_mut(victim).serves.take() else { return };
        // An engine that does not answer is not asked again at once, nor given the request.
        self.exclude(self.claims[claim].owner, self.claims[claim].worker);
        self.claims[claim].victims.retain(|&other| other != victim);
        self.freed(self.claims[claim].worker);
    }
}
