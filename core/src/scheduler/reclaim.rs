//! Reclaim: a waiting request that its tier's reserve covers, or whose tier may preempt while it borrows,
//! chooses victims on one worker and lays a claim there.

use alloc::vec::Vec;

use super::{SCAN_WINDOW, Scheduler};
use crate::config::{MAX_TIERS, Preemption};
use crate::event::Reason;
use crate::id::{PoolId, Tier, WorkerId};
use crate::preempt::{self, Candidate, Need, Rules, VictimSet};
use crate::resources::{Balance, MAX_DIMENSIONS, Resources};

/// How many workers are searched for victims: those with the most units of less urgent tiers.
const SEARCHED_WORKERS: usize = 32;

/// Where a waiting request may win units back, and from whom.
pub(super) struct Found {
    worker: WorkerId,
    /// Whether the request stays within its tier's reserve.
    within: bool,
    set: VictimSet,
}

impl Scheduler {
    /// Chooses victims for one waiting request. Whether one was served.
    pub(super) fn reclaim(&mut self, pool: PoolId) -> bool {
        self.tiers().any(|tier| self.may_preempt(pool, tier) && self.reclaim_for(pool, tier))
    }

    /// Whether a tier may preempt at all: while it borrows, or for a reserve that it has.
    fn may_preempt(&self, pool: PoolId, tier: Tier) -> bool {
        let pool = self.pool(pool);
        tier.index() + 1 < self.config.tiers.len()
            && !pool.queues[tier.index()].is_idle()
            && self.config.tiers[tier.index()].preemption == Preemption::LowerTier
            && (self.config.preempt_while_borrowing(tier) == Preemption::LowerTier
                || !pool.capacity.account(tier).reserve.is_zero())
    }

    fn reclaim_for(&mut self, pool: PoolId, tier: Tier) -> bool {
        let mut next = self.pool(pool).queues[tier.index()].first();
        if !self.anyone_borrows_below(pool, tier) {
            let within = self.candidates(pool, tier).any(|slot| self.may_claim(slot) == Some(true));
            self.pool_mut(pool).reclaim_in_vain |= within;
            return false;
        }
        // What was sought in vain beyond the reserve; who asks for as much or more need not try.
        let mut too_much: Option<Resources> = None;
        for _ in 0..SCAN_WINDOW {
            let Some(slot) = next else { break };
            next = self.pool(pool).queues[tier.index()].after(&self.requests, self.requests[slot].lane, slot);
            if self.requests[slot].considered_round == self.round || self.sits_out(slot) {
                continue;
            }
            let Some(within) = self.may_claim(slot) else { continue };
            self.requests[slot].considered_round = self.round;
            let asks = self.requests[slot].asks;
            if !within && too_much.is_some_and(|least| least.fits(&asks)) {
                continue;
            }
            if let Some(found) = self.find_victims(pool, slot, within) {
                self.preempt_for(slot, &found);
                return true;
            }
            let pool = self.pool_mut(pool);
            pool.sought_in_vain = true;
            if within {
                pool.reclaim_in_vain = true;
            } else {
                too_much = Some(asks);
            }
        }
        if too_much.is_some() {
            self.wake_when_old_enough(pool, tier);
        }
        false
    }

    /// Whether some less urgent tier uses more than its reserve: only then is there anything to give back.
    fn anyone_borrows_below(&self, pool: PoolId, tier: Tier) -> bool {
        let below = &self.pool(pool).capacity.accounts()[tier.index() + 1..];
        below.iter().any(|account| account.excess().0.iter().any(|&units| units > 0))
    }

    /// Whether victims may be chosen for a request: `Some(true)` if it is within its tier's reserve,
    /// `Some(false)` if it is beyond it and its tier preempts while it borrows.
    pub(super) fn may_claim(&self, slot: u32) -> Option<bool> {
        let record = &self.requests[slot];
        let (tier, asks) = (record.tier(), record.asks);
        let config = &self.config.tiers[tier.index()];
        let chose = record.claim.is_some() || record.victims_for == record.attempt + 1;
        if chose || config.preemption != Preemption::LowerTier {
            return None;
        }
        let capacity = &self.pool(record.pool()).capacity;
        if capacity.is_within(tier, asks, Resources::ZERO) {
            return Some(true);
        }
        let beyond = self.config.preempt_while_borrowing(tier) == Preemption::LowerTier
            && capacity.may_borrow(tier, asks, Resources::ZERO, config)
            && (!record.never_yields() || capacity.may_pin(tier, asks, Resources::ZERO));
        beyond.then_some(false)
    }

    fn preempt_for(&mut self, slot: u32, found: &Found) {
        let victims: Vec<u32> = found.set.victims.iter().map(|victim| victim.id.slot()).collect();
        let reason = if found.within { Reason::Reclaim } else { Reason::Urgent };
        let claim = self.lay_claim(slot, found.worker, found.within, victims.clone());
        self.requests[slot].victims_for = self.requests[slot].attempt + 1;
        for victim in victims {
            self.ask_to_stop(victim, Some(slot), Some(claim), reason);
        }
        self.freed(found.worker);
    }

    /// The worker and the victims there that do the least harm.
    pub(super) fn find_victims(&self, pool: PoolId, slot: u32, within: bool) -> Option<Found> {
        let record = &self.requests[slot];
        let (tier, asks) = (record.tier(), record.asks);
        let capacity = &self.pool(pool).capacity;
        let mut excess = [Balance::default(); MAX_TIERS];
        for (index, account) in capacity.accounts().iter().enumerate() {
            excess[index] = account.excess();
        }
        let missing =
            if within { Resources::ZERO } else { capacity.available(tier, self.now).shortage(&asks) };
        let mut best: Option<Found> = None;
        let mut candidates = Vec::new();
        for worker in self.searched_workers(pool, slot) {
            let short = self.worker(worker).free().shortage(&asks).max(missing);
            if short.is_zero() {
                continue;
            }
            self.collect_candidates(worker, &mut candidates);
            let need = Need { tier, within, short };
            let Some(set) = preempt::choose(&need, self.rules(), &mut candidates, &excess) else { continue };
            if best.as_ref().is_none_or(|least| set.compare(&least.set).is_lt()) {
                best = Some(Found { worker, within, set });
            }
        }
        best
    }

    fn rules(&self) -> Rules {
        Rules {
            now: self.now,
            min_run_ns: self.config.min_run_ns,
            max_preemptions: self.config.max_preemptions,
        }
    }

    /// The workers that could hold the request with what less urgent tiers use there, in the order of their
    /// numbers.
    fn searched_workers(&self, pool: PoolId, slot: u32) -> Vec<WorkerId> {
        let record = &self.requests[slot];
        let lower = |id: WorkerId| {
            let by_tier = &self.worker(id).used_by_tier[record.tier().index() + 1..];
            by_tier.iter().fold(Resources::ZERO, |sum, &units| sum + units)
        };
        let mut able: Vec<WorkerId> = self.pool(pool).up.clone();
        able.retain(|&id| {
            record.asks.fits(&self.worker(id).spec.capacity)
                && !record.is_excluded_from(id, self.now)
                && self.worker(id).free().shortage(&record.asks).fits(&lower(id))
        });
        if able.len() > SEARCHED_WORKERS {
            let units =
                |id| (0..MAX_DIMENSIONS).filter(|&d| record.asks[d] > 0).map(|d| lower(id)[d]).sum::<u64>();
            able.sort_by_cached_key(|&id| (core::cmp::Reverse(units(id)), id));
            able.truncate(SEARCHED_WORKERS);
            able.sort_unstable();
        }
        able
    }

    fn collect_candidates(&self, worker: WorkerId, candidates: &mut Vec<Candidate>) {
        candidates.clear();
        for &slot in &self.worker(worker).running {
            let record = &self.requests[slot];
            if record.may_yield() {
                candidates.push(Candidate {
                    id: self.requests.id(slot),
                    tier: record.tier(),
                    used: record.in_use,
                    preemptions: record.preemptions,
                    started_at: record.started_at,
                    work_lost: record.work_lost(),
                });
            }
        }
    }

    /// `min_run` protects some: the search is worth repeating when the first of them has run that long.
    fn wake_when_old_enough(&mut self, pool: PoolId, tier: Tier) {
        let min_run = self.config.min_run_ns;
        let running = self.pool(pool).up.iter().flat_map(|&id| &self.worker(id).running);
        let ages = running
            .map(|&slot| &self.requests[slot])
            .filter(|record| record.tier() > tier)
            .map(|record| record.started_at.plus_nanos(min_run));
        let first = ages.filter(|&at| at > self.now).min();
        self.wake(pool, first);
    }
}
