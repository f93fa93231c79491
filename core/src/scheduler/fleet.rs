//! The workers: they come, drain, and are lost.

use super::record::{Worker, WorkerStatus};
use super::{MAX_WORKERS, Scheduler};
use crate::error::{Limit, WorkerError};
use crate::event::{Action, DeviceSpec, Reason, Shrink, WorkerSpec};
use crate::id::{DeviceId, WorkerId};
use crate::request::RequestState;
use crate::resources::Resources;
use crate::time::Instant;

impl Scheduler {
    /// Adds a worker to its pool; it is up at once. O(n log n) for n waiting requests of the pool.
    ///
    /// # Errors
    /// An unknown pool, a capacity of zero, a number beyond [the limits](Limit).
    pub fn worker_add(&mut self, now: Instant, spec: WorkerSpec) -> Result<WorkerId, WorkerError> {
        self.advance(now);
        if spec.pool.index() >= self.pools.len() {
            return Err(WorkerError::UnknownPool(spec.pool));
        }
        if spec.capacity.is_zero() {
            return Err(WorkerError::ZeroCapacity);
        }
        if let Some(max) = self.units_beyond(&spec.capacity) {
            return Err(WorkerError::LimitExceeded { limit: Limit::Units, max });
        }
        if self.workers.len() as u64 >= MAX_WORKERS {
            return Err(WorkerError::LimitExceeded { limit: Limit::Workers, max: MAX_WORKERS });
        }
        let id = WorkerId::new(self.workers.len() as u32);
        self.workers.push(Worker::new(spec.clone(), self.config.tiers.len()));
        let pool = &mut self.pools[spec.pool.index()];
        pool.up.push(id);
        // At most as much as was ever up at one time: a worker that comes for a lost one adds nothing.
        let total = pool.capacity.total() + spec.capacity;
        let configured = pool.configured.total().max(total);
        pool.configured.resize(configured, &self.config.tiers);
        if !pool.shapes.contains(&spec.capacity) {
            pool.shapes.push(spec.capacity);
        }
        self.refit(spec.pool, total);
        Ok(id)
    }

    /// Lets a worker finish what it runs, and gives it nothing more. What runs there is no longer counted,
    /// and is never a victim. Idempotent. O(waiting requests of the pool + requests on the worker).
    ///
    /// # Errors
    /// An unknown worker, or one that is lost.
    pub fn worker_drain(&mut self, now: Instant, worker: WorkerId) -> Result<(), WorkerError> {
        self.advance(now);
        match self.status(worker)? {
            WorkerStatus::Lost => return Err(WorkerError::Lost(worker)),
            WorkerStatus::Draining => return Ok(()),
            WorkerStatus::Up => {}
        }
        self.retire(worker, WorkerStatus::Draining);
        Ok(())
    }

    /// A worker is gone with all that ran there. Its requests wait again as ones that have run; those that
    /// never yield cannot run twice and are dropped. O(waiting requests of the pool + requests on the
    /// worker).
    ///
    /// # Errors
    /// An unknown worker, or one that is lost already.
    pub fn worker_lost(&mut self, now: Instant, worker: WorkerId) -> Result<(), WorkerError> {
        self.advance(now);
        if self.status(worker)? == WorkerStatus::Lost {
            return Err(WorkerError::Lost(worker));
        }
        self.retire(worker, WorkerStatus::Lost);
        let mut stranded = self.worker(worker).running.clone();
        stranded.sort_unstable_by_key(|&slot| self.requests[slot].sequence);
        for slot in stranded {
            self.strand(slot);
        }
        Ok(())
    }

    /// Adds a device that workers can stand on. O(1).
    ///
    /// # Errors
    /// A number beyond [the limits](Limit).
    pub fn device_add(&mut self, now: Instant, spec: DeviceSpec) -> Result<DeviceId, WorkerError> {
        todo!("{now} {spec:?}")
    }

    /// Gives a device another limit. O(n log n) for n waiting requests of its pools.
    ///
    /// # Errors
    /// An unknown or lost device; a limit below what workers of several pools have on it; a number beyond
    /// [the limits](Limit).
    pub fn device_resize(
        &mut self,
        now: Instant,
        device: DeviceId,
        limit: Resources,
        shrink: Shrink,
    ) -> Result<(), WorkerError> {
        todo!("{now} {device} {limit:?} {shrink:?}")
    }

    /// A device is gone, and all workers on it with it: [`worker_lost`](Self::worker_lost) for each.
    ///
    /// # Errors
    /// An unknown device, or one that is lost already.
    pub fn device_lost(&mut self, now: Instant, device: DeviceId) -> Result<(), WorkerError> {
        todo!("{now} {device}")
    }

    /// Gives a worker another capacity. O(n log n) for n waiting requests of its pool.
    ///
    /// # Errors
    /// An unknown or lost worker, a capacity of zero, a number beyond [the limits](Limit), or a device with less
    /// than its workers of several pools.
    pub fn worker_resize(
        &mut self,
        now: Instant,
        worker: WorkerId,
        capacity: Resources,
        shrink: Shrink,
    ) -> Result<(), WorkerError> {
        todo!("{now} {worker} {capacity:?} {shrink:?}")
    }

    /// The engine uses `in_use` units in all, whatever its requests add up to: blocks that several share count
    /// once, and an engine that is out of room may not know whose fault it is. What requests change from then on
    /// counts on top, until the next call, or until nothing runs on the worker. O(claims of the worker).
    ///
    /// # Errors
    /// An unknown or lost worker, or a number beyond [the limits](Limit).
    pub fn worker_usage(&mut self, now: Instant, worker: WorkerId, in_use: Resources) -> Result<(), WorkerError> {
        todo!("{now} {worker} {in_use:?}")
    }

    fn status(&self, worker: WorkerId) -> Result<WorkerStatus, WorkerError> {
        self.workers.get(worker.index()).map(|worker| worker.status).ok_or(WorkerError::UnknownWorker(worker))
    }

    /// Takes a worker out of its pool's capacity.
    fn retire(&mut self, worker: WorkerId, status: WorkerStatus) {
        while let Some(&claim) = self.worker(worker).claims.first() {
            self.dissolve(claim);
        }
        if let Some(drain) = self.worker(worker).drain {
            self.stop_draining(drain.slot);
        }
        // The requests there leave the pool's accounts: booked out while it is up, and in again after.
        let running = self.worker(worker).running.clone();
        running.iter().for_each(|&slot| self.subtract_use(slot));
        let was_up = self.worker(worker).is_up();
        self.worker_mut(worker).status = status;
        running.iter().for_each(|&slot| self.add_use(slot));
        let spec = self.worker(worker).spec.clone();
        if was_up {
            self.pool_mut(spec.pool).up.retain(|&other| other != worker);
            let total = self.pool(spec.pool).capacity.total() - spec.capacity;
            self.refit(spec.pool, total);
        }
    }

    /// The worker of a request is gone.
    fn strand(&mut self, slot: u32) {
        self.unsay(slot);
        let request = self.requests.id(slot);
        let record = &self.requests[slot];
        let stopped = record.state == RequestState::Releasing;
        if record.state == RequestState::Aborting || record.never_yields() && !stopped {
            self.stats.failed += 1;
            self.end(slot);
            self.say(Action::Drop { request, reason: Reason::WorkerLost });
            return;
        }
        if !stopped {
            self.requests[slot].asks = self.asks_after_stop(slot);
        }
        self.requests[slot].has_run = true;
        self.requests[slot].victims_for = 0;
        self.wait_again(slot);
    }
}
