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

impl Scheduler {
    /// Chooses victims for one waiting request. Whether one was served.
    pub(super) fn reclaim(&mut self, pool: PoolId) -> bool {
        self.tiers().any(|tier| self.may_preempt(pool, tier) && self.reclaim_for(pool, tier))
    }

    /// Whether a tier may preempt at all, and some less urgent tier uses more than its reserve.
    fn may_preempt(&self, pool: PoolId, tier: Tier) -> bool {
        let pool = self.pool(pool);
        let below = &pool.capacity.accounts()[tier.index() + 1..];
        self.config.tiers[tier.index()].preemption == Preemption::LowerTier
            && !pool.queues[tier.index()].is_idle()
            && below.iter().any(|account| account.excess().0.iter().any(|&units| units > 0))
    }

    fn reclaim_for(&mut self, pool: PoolId, tier: Tier) -> bool {
        let mut next = self.pool(pool).queues[tier.index()].first();
        let mut in_vain = false;
        for _ in 0..SCAN_WINDOW {
            let Some(slot) = next else { break };
            next = self.pool(pool).queues[tier.index()].after(&self.requests, self.requests[slot].lane, slot);
            let record = &mut self.requests[slot];
            let settled = record.claim.is_some()
                || record.considered_round == self.round
                || record.sat_out_round == self.round
                || record.victims_for == record.attempt + 1;
            if settled {
                continue;
            }
            record.considered_round = self.round;
            let Some(within) = self.may_claim(slot) else { continue };
            if let Some((worker, set)) = self.find_victims(pool, slot, within) {
                self.preempt_for(slot, worker, within, &set);
                return true;
            }
            in_vain |= !within;
        }
        if in_vain {
            self.wake_when_old_enough(pool, tier);
        }
        false
    }

    /// Whether victims may be chosen for a request: `Some(true)` if it is within its tier's reserve,
    /// `Some(false)` if it is beyond it and its tier preempts while it borrows.
    fn may_claim(&self, slot: u32) -> Option<bool> {
        let record = &self.requests[slot];
        let (tier, asks) = (record.tier(), record.asks);
        let capacity = &self.pool(record.pool()).capacity;
        if capacity.is_within(tier, asks, Resources::ZERO) {
            return Some(true);
        }
        let beyond = self.config.preempt_while_borrowing(tier) == Preemption::LowerTier
            && capacity.may_borrow(tier, asks, Resources::ZERO, &self.config.tiers[tier.index()])
            && (!record.never_yields() || capacity.may_pin(tier, asks, Resources::ZERO));
        beyond.then_some(false)
    }

    fn preempt_for(&mut self, slot: u32, worker: WorkerId, within: bool, set: &VictimSet) {
        let victims: Vec<u32> = set.victims.iter().map(|victim| victim.id.slot()).collect();
        let reason = if within { Reason::Reclaim } else { Reason::Urgent };
        let claim = self.lay_claim(slot, worker, within, victims.clone());
        self.requests[slot].victims_for = self.requests[slot].attempt + 1;
        for victim in victims {
            self.ask_to_stop(victim, Some(slot), Some(claim), reason);
        }
        self.rebalance(worker);
    }

    /// The worker and the victims there that do the least harm.
    fn find_victims(&self, pool: PoolId, slot: u32, within: bool) -> Option<(WorkerId, VictimSet)> {
        let record = &self.requests[slot];
        let (tier, asks) = (record.tier(), record.asks);
        let capacity = &self.pool(pool).capacity;
        let missing =
            if within { Resources::ZERO } else { capacity.available(tier, self.now).shortage(&asks) };
        let mut excess = [Balance::default(); MAX_TIERS];
        for (index, account) in capacity.accounts().iter().enumerate() {
            excess[index] = account.excess();
        }
        let mut best: Option<(WorkerId, VictimSet)> = None;
        let mut candidates = Vec::new();
        for worker in self.searched_workers(pool, slot) {
            let short = self.worker(worker).free().shortage(&asks).max(missing);
            if short.is_zero() {
                continue;
            }
            self.collect_candidates(worker, &mut candidates);
            let need = Need { tier, within, short };
            let rules = self.rules();
            let Some(set) = preempt::choose(&need, &rules, &mut candidates, &excess) else { continue };
            if best.as_ref().is_none_or(|(_, least)| set.compare(least).is_lt()) {
                best = Some((worker, set));
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
