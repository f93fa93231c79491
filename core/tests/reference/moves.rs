//! Section 20: one request at a time goes on where there is more room.

use core::cmp::Reverse;

use tidegate::{Reason, RequestState, WorkerId};

use super::{Model, Seq, Units, add, is_zero, le, le_where, max, min, sub, units};

impl Model {
    pub(crate) fn move_some(&mut self) -> bool {
        let every = self.setup.rebalance_every;
        let mut moved = false;
        for pool in 0..self.setup.pools {
            if every == 0 || self.look_at[pool] > self.now || !self.may_look(pool) {
                continue;
            }
            self.look_at[pool] = self.now.saturating_add(every);
            if let Some((seq, to)) = self.find_move(pool) {
                self.request(seq).moves_to = Some(to);
                self.ask_to_stop(seq, None, Reason::Rebalance);
                self.fleet_met[3] += 1;
                moved = true;
            }
        }
        moved
    }

    fn may_look(&self, pool: usize) -> bool {
        let tiers = 0..self.setup.tiers.len();
        self.up(pool).len() > 1
            && tiers.clone().any(|tier| !is_zero(self.used(pool, tier)))
            && tiers.clone().all(|tier| self.in_order(pool, tier).is_empty())
    }

    fn find_move(&self, pool: usize) -> Option<(Seq, WorkerId)> {
        let up = self.up(pool);
        let here = up.iter().flat_map(|&id| self.here(id));
        if here.into_iter().any(|seq| {
            let request = &self.requests[&seq];
            request.yields_already() && !is_zero(request.in_use)
        }) {
            return None;
        }
        let load = |id: WorkerId| self.load(id, [0; 4]);
        let from = *up.iter().min_by_key(|&&id| (Reverse(load(id)), id))?;
        let to = *up.iter().min_by_key(|&&id| (load(id), id))?;
        if load(from).0 < 900_000 || load(to).0 >= 500_000 {
            return None;
        }
        let movable = self.here(from).into_iter().filter(|&seq| self.may_move(seq));
        let gains = movable.filter(|&seq| self.gains(pool, seq, from, to));
        let best = gains.min_by_key(|&seq| {
            let request = &self.requests[&seq];
            (Reverse(request.tier()), self.work_lost(seq), Reverse(request.started_at), Reverse(seq))
        });
        best.map(|seq| (seq, to))
    }

    fn may_move(&self, seq: Seq) -> bool {
        let request = &self.requests[&seq];
        request.state == RequestState::Running
            && self.is_worth_a_checkpoint(seq)
            && !is_zero(request.in_use)
            && request.started_at.saturating_add(self.setup.min_run) <= self.now
            && request.preemptions < self.setup.max_preemptions
            && !self.finishes_first(seq)
            && self.could_keep(seq)
    }

    fn gains(&self, pool: usize, seq: Seq, from: WorkerId, to: WorkerId) -> bool {
        let request = &self.requests[&seq];
        let (tier, in_use) = (request.tier(), request.in_use);
        let ceiling = self.ceiling(pool, self.largest[pool], tier, false);
        let asks = max(units(request.spec.demand), min(in_use, ceiling));
        let before = self.load(from, [0; 4]).0;
        let fuller = self.load(from, in_use.map(|units| -units)).0.max(self.load(to, asks).0);
        let after = add(sub(self.used(pool, tier), in_use).map(|units| units.max(0)), asks);
        let reserve = self.reserve(pool, tier);
        let limit = self.setup.tiers[tier].borrow_limit;
        let may_borrow = le_where(asks, add(self.avail(pool, tier), in_use), asks)
            && limit.is_none_or(|limit| le_where(after, add(reserve, units(limit)), asks));
        fuller < before
            && le(asks, self.whole(to))
            && self.has_room_for(to, asks)
            && !request.is_kept_off(to, self.now)
            && (le_where(after, reserve, asks) || may_borrow)
    }

    fn has_room_for(&self, worker: WorkerId, asks: Units) -> bool {
        let own = self.room(worker).map(|units| units.max(0));
        let fits_devices = self.worker(worker).spec.devices.iter().all(|part| {
            let room = self.device_room(part.device).map(|units| units.max(0));
            let most = room.map(|units| units * 1_000_000 / i128::from(part.part.get()));
            le(asks, most)
        });
        le(asks, own) && fits_devices
    }
}
