//! Moves: where one worker is saturated, another idle, and nobody waits, one request goes on there.
//!
//! Decides whether, who and where, now and then (`rebalance_every`), never in a search for starts. A move is made only if
//! both workers are less full after it than the fuller was before; then the loads of the workers, sorted from the fullest,
//! fall in the order of words with every move, so that moves end. Invariant: MOVE-1. Cost of a look: O(workers of the pool +
//! requests on one · log).

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::Scheduler;
use crate::event::Reason;
use crate::id::{PoolId, WorkerId};
use crate::request::RequestState;
use crate::resources::Resources;
use crate::time::Instant;

/// From when on a worker is saturated, and below what one is idle. Chosen arbitrarily: wide apart, so that a move is worth
/// its stop.
const SATURATED_PPM: u32 = 900_000;
const IDLE_PPM: u32 = 500_000;

impl Scheduler {
    /// Asks requests to move, in pools that are due to be looked at. Whether one was asked.
    #[inline(always)]
    pub(super) fn move_some(&mut self) -> bool {
        self.config.rebalance_every_ns > 0 && self.move_in_pools()
    }

    #[inline(never)]
    fn move_in_pools(&mut self) -> bool {
        let mut moved = false;
        for pool in (0..self.pools.len() as u32).map(PoolId::new) {
            if self.next_look(pool).is_some_and(|at| at <= self.now) {
                self.pool_mut(pool).look_at = self.now.plus_nanos(self.config.rebalance_every_ns);
                moved |= self.move_one(pool);
            }
        }
        moved
    }

    /// When a pool is next looked at, as it is now: only where something runs on one of several workers, and nobody waits.
    pub(super) fn next_look(&self, pool: PoolId) -> Option<Instant> {
        let target = self.pool(pool);
        let may_move = self.config.rebalance_every_ns > 0
            && target.up.len() > 1
            && target.capacity.accounts().iter().any(|account| !account.used.is_zero())
            && target.queues.iter().all(|queue| queue.first(&self.nodes).is_none());
        may_move.then_some(target.look_at)
    }

    fn move_one(&mut self, pool: PoolId) -> bool {
        let Some((victim, to)) = self.find_move(pool) else { return false };
        self.requests.rare_mut(victim).moves_to = Some(to);
        self.ask_to_stop(victim, None, None, Reason::Rebalance);
        true
    }

    /// Who had better go on where.
    pub(super) fn find_move(&self, pool: PoolId) -> Option<(u32, WorkerId)> {
        let up = &self.pool(pool).up;
        if up.iter().any(|&id| !self.worker(id).yielding.is_zero()) {
            return None; // one at a time
        }
        let from = up.iter().copied().min_by_key(|&id| (Reverse(self.load(id)), id))?;
        let to = up.iter().copied().min_by_key(|&id| (self.load(id), id))?;
        if self.load(from).ppm() < SATURATED_PPM || self.load(to).ppm() >= IDLE_PPM {
            return None;
        }
        let mut movable: Vec<u32> =
            self.worker(from).running.iter().copied().filter(|&slot| self.may_move(slot)).collect();
        movable.sort_unstable_by_key(|&slot| {
            let (record, run) = (&self.requests[slot], self.requests.run(slot));
            let newest = (Reverse(run.started_at), Reverse(record.sequence));
            (Reverse(record.tier()), self.work_lost(slot), newest)
        });
        movable.into_iter().find(|&slot| self.gains(slot, from, to)).map(|slot| (slot, to))
    }

    /// Whether a running request may be stopped for its own good, and keeps what it computed.
    fn may_move(&self, slot: u32) -> bool {
        let (record, run) = (&self.requests[slot], self.requests.run(slot));
        let done_before = self.finishes_after(slot).is_some_and(|takes| takes < self.config.stop_takes_ns);
        record.state == RequestState::Running
            && self.is_worth_a_checkpoint(slot)
            && !run.in_use.is_zero()
            && run.started_at.plus_nanos(self.config.min_run_ns) <= self.now
            && record.preemptions < self.config.max_preemptions
            && !done_before
            && self.has_checkpoint_room(slot)
    }

    /// Whether both workers would be less full than the fuller is now, and the request could go on at once.
    fn gains(&self, slot: u32, from: WorkerId, to: WorkerId) -> bool {
        let (record, in_use) = (&self.requests[slot], self.requests.run(slot).in_use);
        let (pool, tier) = (self.pool(record.pool()), record.tier());
        let asks = self.requests.demand_of(record).max(in_use.min(pool.configured.ceiling(tier, false)));
        let without = self.load_but(from, Resources::ZERO, in_use).ppm();
        let fullest = without.max(self.load_but(to, asks, Resources::ZERO).ppm());
        let reserve = pool.capacity.account(tier).reserve;
        let after = pool.capacity.account(tier).used.saturating_sub(in_use) + asks;
        let config = &self.config.tiers[tier.index()];
        let may_have = after.fits_where_asked(&reserve, &asks)
            || pool.capacity.available(tier, self.now).plus(in_use).shortage(&asks).is_zero()
                && config.borrow_limit.is_none_or(|limit| after.fits_where_asked(&(reserve + limit), &asks));
        fullest < self.load(from).ppm()
            && asks.fits(&self.worker(to).whole)
            && asks.fits(&self.reachable(to))
            && !self.requests.rare_of(record).is_excluded_from(to, self.now)
            && may_have
    }
}
