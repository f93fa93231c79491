//! Which workers serve: who is lost together, who is kept out because it was lost again and again, and when a spare takes
//! the place of another. Knows workers and their devices; what a worker's requests do is `fleet`'s.
//!
//! State: a [`Standing`](super::workers::Standing) for each worker, and `joins`, when those that are kept out may come.
//! Invariant: FLEET-1.

use alloc::vec::Vec;

use super::Scheduler;
use super::workers::{Vacancy, WorkerStatus};
use crate::error::WorkerError;
use crate::event::WorkerSpec;
use crate::id::{PoolId, WorkerId};
use crate::time::Instant;

impl Scheduler {
    /// Until when a worker is kept out that replaces one that was lost again and again; `None` of one that nothing keeps
    /// out. O(1).
    ///
    /// # Errors
    /// An unknown worker.
    pub fn kept_out_until(&self, worker: WorkerId) -> Result<Option<Instant>, WorkerError> {
        self.status(worker).map(|_| self.worker(worker).standing.out_until)
    }

    /// Who is replaced is a lost worker of the pool.
    pub(super) fn check_replaced(&self, spec: &WorkerSpec) -> Result<(), WorkerError> {
        let Some(former) = spec.replaces else { return Ok(()) };
        let is_lost = self.status(former)? == WorkerStatus::Lost;
        if is_lost && self.worker(former).spec.pool == spec.pool {
            Ok(())
        } else {
            Err(WorkerError::NotLost(former))
        }
    }

    /// A new worker serves, or stands by, or is kept out.
    pub(super) fn take_stand(&mut self, id: WorkerId) {
        let (now, spec) = (self.now, &self.worker(id).spec);
        let (mut stands_by, mut losses, mut out_until) = (spec.spare, 0, None);
        if let Some(former) = spec.replaces {
            let standing = &mut self.worker_mut(former).standing;
            stands_by |= core::mem::take(&mut standing.vacancy) == Vacancy::Filled;
            losses = standing.losses;
            let open_at = standing.lost_at.plus_nanos(self.config.flaps.backoff_after(losses));
            out_until = Some(open_at).filter(|&at| at > now);
        }
        let standing = &mut self.worker_mut(id).standing;
        (standing.stands_by, standing.out_until, standing.since) = (stands_by, out_until, now);
        standing.losses = losses;
        match out_until {
            Some(at) => {
                self.joins.insert((at, id));
            }
            None => self.offer(id),
        }
    }

    /// A worker that was kept out is not any more.
    pub(super) fn let_in(&mut self, id: WorkerId) {
        if let Some(at) = self.worker_mut(id).standing.out_until.take() {
            self.joins.remove(&(at, id));
        }
        self.offer(id);
    }

    /// A worker that nothing keeps out serves, unless it is a spare that nobody needs.
    fn offer(&mut self, id: WorkerId) {
        if self.worker(id).standing.stands_by {
            self.seat_spares(self.worker(id).spec.pool);
        } else {
            self.join(id);
        }
    }

    fn join(&mut self, id: WorkerId) {
        let (now, pool) = (self.now, self.worker(id).spec.pool);
        let worker = self.worker_mut(id);
        worker.status = WorkerStatus::Up;
        (worker.standing.since, worker.standing.has_served) = (now, true);
        let whole = worker.whole;
        self.note_shape(pool, whole);
        let up = &mut self.pool_mut(pool).up;
        let place = up.partition_point(|&other| other < id);
        up.insert(place, id);
        self.refit(pool);
    }

    /// Spares of a pool take the places of its workers that were lost, first come, first served. O(workers ever added to
    /// it), for each place.
    pub(super) fn seat_spares(&mut self, pool: PoolId) {
        let find = |sched: &Self, wanted: &dyn Fn(&super::Worker) -> bool| {
            sched.pool(pool).members.iter().copied().find(|&id| wanted(sched.worker(id)))
        };
        loop {
            let vacant = find(self, &|worker| worker.standing.vacancy == Vacancy::Open);
            let spare =
                find(self, &|worker| worker.standing.stands_by && worker.standing.out_until.is_none());
            let (Some(vacant), Some(spare)) = (vacant, spare) else { return };
            self.worker_mut(vacant).standing.vacancy = Vacancy::Filled;
            self.worker_mut(spare).standing.stands_by = false;
            self.join(spare);
        }
    }

    /// A spare that took a place and is sent away leaves it open again, to whoever stands by: the pool is as large as it was.
    pub(super) fn open_place_of_spare(&mut self, id: WorkerId) {
        let worker = self.worker_mut(id);
        if worker.spec.spare && worker.status == WorkerStatus::Up {
            worker.standing.vacancy = Vacancy::Open;
        }
    }

    /// A worker that does not serve never will: it drains, or is lost.
    pub(super) fn stop_standing_by(&mut self, id: WorkerId) {
        let standing = &mut self.worker_mut(id).standing;
        standing.stands_by = false;
        if let Some(at) = standing.out_until.take() {
            self.joins.remove(&(at, id));
        }
    }

    /// Whether a worker that goes now was sent away, and had ended all that it ran.
    fn says_goodbye(&self, id: WorkerId) -> bool {
        let worker = self.worker(id);
        worker.status == WorkerStatus::Draining && worker.running.is_empty()
    }

    /// Who is lost with a worker: itself, and the others that share a device and its faults.
    pub(super) fn lost_with(&self, id: WorkerId) -> Vec<WorkerId> {
        let worker = self.worker(id);
        if worker.spec.kind.isolates_faults() || self.says_goodbye(id) {
            return alloc::vec![id];
        }
        let devices = worker.spec.devices.iter().map(|part| part.device);
        let others = devices.flat_map(|device| &self.devices[device.index()].workers).copied();
        let mut lost: Vec<WorkerId> =
            others.filter(|&other| !self.worker(other).spec.kind.isolates_faults()).collect();
        lost.push(id);
        lost.sort_unstable();
        lost.dedup();
        lost
    }

    /// What is remembered of a worker that is about to be lost.
    pub(super) fn note_loss(&mut self, id: WorkerId) {
        let (now, goodbye) = (self.now, self.says_goodbye(id));
        let forget_after = self.config.flaps.forget_after_ns;
        let worker = self.worker_mut(id);
        let leaves_place = worker.status != WorkerStatus::Draining && !worker.standing.stands_by;
        let standing = &mut worker.standing;
        standing.losses = match goodbye {
            true => 0,
            false if now.nanos_since(standing.since) >= forget_after => 1,
            false => standing.losses.saturating_add(1),
        };
        standing.lost_at = now;
        if leaves_place {
            standing.vacancy = Vacancy::Open;
        }
        self.stop_standing_by(id);
    }

    /// When the first worker is let in that could hold what a request asks, if one is kept out.
    pub(super) fn let_in_at(&self, slot: u32) -> Option<Instant> {
        let asks = self.requests[slot].asks;
        let members = self.pool(self.requests[slot].pool()).members.iter().map(|&id| self.worker(id));
        let able = members.filter(|worker| !worker.standing.stands_by && asks.fits(&worker.whole));
        able.filter_map(|worker| worker.standing.out_until).min()
    }
}
