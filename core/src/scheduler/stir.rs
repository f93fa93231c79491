//! What has to be looked at again, and who is left out for now: a pool in which nothing changed since a pass found
//! nothing is not looked at, so whatever may let somebody start, or choose victims, says so here.

use super::Scheduler;
use crate::id::{PoolId, WorkerId};

impl Scheduler {
    /// Units of a worker came free: first for its claims, then for whoever waits.
    #[inline(always)] // short where its worker has no claims and stands on no devices
    pub(super) fn freed(&mut self, worker: WorkerId) {
        self.stir_around(worker);
        self.settle_claims(worker);
    }

    /// A request on a worker grew. That lets nobody start, but its tier may borrow now what it did not before.
    pub(super) fn grew(&mut self, worker: WorkerId) {
        let target = self.worker(worker);
        let pool = self.pool(target.spec.pool);
        let matters = pool.sought_in_vain || !pool.claims.is_empty() || !target.spec.devices.is_empty();
        if matters || self.gates_follow_use() {
            self.stir_around(worker);
        }
        self.settle_claims(worker);
    }

    /// Whether growth may close the gates of a head, so that another is attended to.
    fn gates_follow_use(&self) -> bool {
        self.never_yielding > 0 || self.config.tiers.iter().any(|tier| tier.borrow_limit.is_some())
    }

    /// Something changed on a worker: in its pool, and in those of the workers it shares devices with.
    #[inline(always)]
    pub(super) fn stir_around(&mut self, worker: WorkerId) {
        let target = self.worker(worker);
        let (pool, is_alone) = (target.spec.pool, target.spec.devices.is_empty());
        self.stir(pool);
        if !is_alone {
            self.stir_neighbours(worker);
        }
    }

    fn stir_neighbours(&mut self, worker: WorkerId) {
        // Those that share a device with it are of that pool, which was stirred.
        if self.pools.len() == 1 {
            return;
        }
        for index in 0..self.worker(worker).spec.devices.len() {
            let device = self.worker(worker).spec.devices[index].device;
            for neighbour in 0..self.devices[device.index()].workers.len() {
                let neighbour = self.devices[device.index()].workers[neighbour];
                self.stir(self.worker(neighbour).spec.pool);
            }
        }
    }

    /// Something changed in a pool that may let somebody start, or choose victims.
    #[inline(always)]
    pub(super) fn stir(&mut self, pool: PoolId) {
        self.pool_mut(pool).dirty = true;
    }

    /// The same in any pool: whoever is on offer there may lack quota now, and keep others back.
    pub(super) fn stir_all(&mut self) {
        self.pools.iter_mut().for_each(|pool| pool.dirty = true);
    }

    /// Requests on a worker have more to lose, or less to do: whoever sought victims in vain may find some.
    pub(super) fn work_changed(&mut self, worker: WorkerId) {
        let pool = self.worker(worker).spec.pool;
        if self.pool(pool).sought_in_vain {
            self.stir(pool);
        }
    }

    /// Keeps a waiting request off a worker for a while.
    pub(super) fn exclude(&mut self, slot: u32, worker: WorkerId) {
        let until = self.now.plus_nanos(self.config.decline_backoff_ns);
        let excluded = &mut self.requests.rare_mut(slot).excluded;
        if excluded[0].is_none_or(|(last, _)| last != worker) {
            excluded.rotate_right(1);
        }
        excluded[0] = Some((worker, until));
        let pool = self.requests[slot].pool();
        self.next_admission(pool); // forgets those that are over
        self.pool_mut(pool).admissions.insert(until);
    }

    /// Not offered again in this round.
    pub(super) fn sit_out(&mut self, slot: u32) {
        if self.in_round {
            self.requests[slot].sat_out_round = self.round;
            let pool = self.requests[slot].pool();
            self.pool_mut(pool).revisit = true;
        }
    }

    #[inline]
    pub(super) fn sits_out(&self, slot: u32) -> bool {
        self.requests[slot].sat_out_round == self.round
    }
}
