//! The workers and the devices they stand on: they come, change, drain, and are lost.

use alloc::vec::Vec;

use super::usage::Ending;
use super::workers::{Device, Place, Tolerance, Worker, WorkerStatus};
use super::{MAX_DEVICES, MAX_WORKERS, Scheduler};
use crate::error::{Limit, WorkerError};
use crate::event::{Action, DeviceSpec, MAX_DEVICES_PER_WORKER, Reason, Shrink, WorkerSpec};
use crate::id::{DeviceId, PoolId, WorkerId};
use crate::request::RequestState;
use crate::resources::{Balance, MAX_DIMENSIONS, Resources};
use crate::share::Ppm;
use crate::time::Instant;

impl Scheduler {
    /// Adds a worker to its pool; it is up at once, but for a spare, and for one that replaces a worker which was lost again
    /// and again. O(workers of the pool), and O(n log n) for n waiting requests of
    /// it, times its workers for those that no worker can hold: a large fleet is best added before requests come.
    ///
    /// # Errors
    /// An unknown pool or device, a lost device, a bad part, a capacity of zero, a number beyond
    /// [the limits](Limit), a device with less than its workers of several pools, one to replace that is not lost.
    pub fn worker_add(&mut self, now: Instant, spec: WorkerSpec) -> Result<WorkerId, WorkerError> {
        self.advance(now);
        if spec.pool.index() >= self.pools.len() {
            return Err(WorkerError::UnknownPool(spec.pool));
        }
        self.check_capacity_units(&spec.capacity)?;
        self.check_parts(&spec)?;
        self.check_replaced(&spec)?;
        if self.workers.len() as u64 >= MAX_WORKERS {
            return Err(WorkerError::LimitExceeded { limit: Limit::Workers, max: MAX_WORKERS });
        }
        for part in &spec.devices {
            let more = part.advertised(spec.capacity);
            self.check_one_pool(part.device, spec.pool, more, self.devices[part.device.index()].spec.limit)?;
        }
        let id = WorkerId::new(self.workers.len() as u32);
        for part in &spec.devices {
            self.devices[part.device.index()].workers.push(id);
        }
        let (pool, whole) = (spec.pool, self.whole(spec.capacity, &spec.devices));
        self.warmth.open(id);
        if self.keeps_workers() {
            self.stir_all(); // the others may have less of what somebody waits for
        }
        self.workers.push(Worker::new(spec, whole, self.config.tiers.len()));
        self.pool_mut(pool).members.push(id);
        self.take_stand(id);
        Ok(id)
    }

    fn check_capacity_units(&self, capacity: &Resources) -> Result<(), WorkerError> {
        if capacity.is_zero() {
            return Err(WorkerError::ZeroCapacity);
        }
        self.check_units(capacity)
    }

    fn check_units(&self, units: &Resources) -> Result<(), WorkerError> {
        match self.units_beyond(units) {
            Some(max) => Err(WorkerError::LimitExceeded { limit: Limit::Units, max }),
            None => Ok(()),
        }
    }

    fn check_parts(&self, spec: &WorkerSpec) -> Result<(), WorkerError> {
        if spec.devices.len() > MAX_DEVICES_PER_WORKER {
            let (limit, max) = (Limit::DevicesPerWorker, MAX_DEVICES_PER_WORKER as u64);
            return Err(WorkerError::LimitExceeded { limit, max });
        }
        let mut whole = 0;
        for (index, part) in spec.devices.iter().enumerate() {
            self.check_device(part.device)?;
            let twice = spec.devices[..index].iter().any(|other| other.device == part.device);
            whole += u64::from(part.part.get());
            if twice || part.part == Ppm::ZERO || whole > Ppm::ONE.get().into() {
                return Err(WorkerError::BadPart(part.device));
            }
        }
        Ok(())
    }

    fn check_device(&self, device: DeviceId) -> Result<(), WorkerError> {
        match self.devices.get(device.index()) {
            None => Err(WorkerError::UnknownDevice(device)),
            Some(known) if known.is_lost => Err(WorkerError::DeviceLost(device)),
            Some(_) => Ok(()),
        }
    }

    /// A device that would have less than its workers, with `more` of a worker of `pool`, has them of one pool.
    fn check_one_pool(
        &self,
        device: DeviceId,
        pool: PoolId,
        more: Resources,
        limit: Resources,
    ) -> Result<(), WorkerError> {
        let workers = &self.devices[device.index()].workers;
        let other = workers.iter().map(|&id| self.worker(id).spec.pool).find(|&other| other != pool);
        let advertised = self.advertised(device, |_| true) + more;
        let short = (0..MAX_DIMENSIONS).any(|d| limit[d] > 0 && advertised[d] > limit[d]);
        match other {
            Some(pool) if short => Err(WorkerError::SharedAcrossPools { device, pool }),
            _ => Ok(()),
        }
    }

    /// What the workers of a pool or their devices have changed: what can ever fit, and the capacity. O(workers ever
    /// added to it), and what `refit` costs.
    fn reshape(&mut self, pool: PoolId) {
        self.pool_mut(pool).shapes.clear();
        for index in 0..self.pool(pool).members.len() {
            let id = self.pool(pool).members[index];
            let spec = &self.worker(id).spec;
            let whole = self.whole(spec.capacity, &spec.devices);
            self.worker_mut(id).whole = whole;
            if self.worker(id).standing.has_served {
                self.note_shape(pool, whole);
            }
        }
        self.refit(pool);
    }

    /// What a worker that serves could hold is what a pool can have.
    pub(super) fn note_shape(&mut self, pool: PoolId, whole: Resources) {
        let shapes = &mut self.pool_mut(pool).shapes;
        if !shapes.contains(&whole) {
            shapes.push(whole);
        }
    }

    /// Lets a worker finish what it runs, and gives it nothing more. What runs there is no longer counted,
    /// and is never a victim. One that was added as a spare and serves leaves the place that it took to the next. Idempotent. O(workers of the pool + requests on the worker), and O(n log n) for n
    /// waiting requests of the pool.
    ///
    /// # Errors
    /// An unknown worker, or one that is lost.
    pub fn worker_drain(&mut self, now: Instant, worker: WorkerId) -> Result<(), WorkerError> {
        self.advance(now);
        match self.status(worker)? {
            WorkerStatus::Lost => return Err(WorkerError::Lost(worker)),
            WorkerStatus::Draining => return Ok(()),
            WorkerStatus::Up | WorkerStatus::Out => {}
        }
        self.open_place_of_spare(worker);
        self.stop_standing_by(worker);
        self.retire(worker, WorkerStatus::Draining);
        self.seat_spares(self.worker(worker).spec.pool);
        Ok(())
    }

    /// A worker is gone with all that ran there. Its requests wait again as ones that have run; those that
    /// never yield cannot run twice and are dropped. Unless it was drained and ran nothing any more, that is a fault: a
    /// [kind](crate::WorkerKind) that does not isolate faults takes the others of such on its devices along ([`Action::AlsoLost`] names each), it counts for the
    /// back-off of who replaces it, and a spare takes its place. O(workers of the pool), and O(n log n) for n requests
    /// that wait in the pool or ran on the worker; for each that is lost.
    ///
    /// # Errors
    /// An unknown worker, or one that is lost already.
    pub fn worker_lost(&mut self, now: Instant, worker: WorkerId) -> Result<(), WorkerError> {
        self.advance(now);
        self.check_not_lost(worker)?;
        let lost = self.lost_with(worker);
        self.tell_lost(worker, &lost);
        self.lose_all(&lost);
        Ok(())
    }

    /// Who does not hear of a device's server by itself is told which workers went with it, before what becomes of their requests.
    fn tell_lost(&mut self, by: WorkerId, lost: &[WorkerId]) {
        for &worker in lost.iter().filter(|&&worker| worker != by) {
            self.say(Action::AlsoLost { worker, by, reason: Reason::WorkerLost });
        }
    }

    fn lose_all(&mut self, workers: &[WorkerId]) {
        for &worker in workers {
            self.note_loss(worker);
            self.lose(worker);
        }
        for &worker in workers {
            self.seat_spares(self.worker(worker).spec.pool);
        }
    }

    fn lose(&mut self, worker: WorkerId) {
        self.retire(worker, WorkerStatus::Lost);
        self.warmth.close(worker);
        let mut stranded = self.worker(worker).running.clone();
        stranded.sort_unstable_by_key(|&slot| self.requests[slot].sequence);
        for slot in stranded {
            self.strand(slot);
        }
        self.set_offset(worker, Balance::default());
        self.freed(worker);
        for index in 0..self.worker(worker).spec.devices.len() {
            let device = self.worker(worker).spec.devices[index].device;
            self.devices[device.index()].workers.retain(|&other| other != worker);
        }
    }

    /// Adds a device that workers can stand on. O(1).
    ///
    /// # Errors
    /// A number beyond [the limits](Limit).
    pub fn device_add(&mut self, now: Instant, spec: DeviceSpec) -> Result<DeviceId, WorkerError> {
        self.advance(now);
        self.check_units(&spec.limit)?;
        if self.devices.len() as u64 >= MAX_DEVICES {
            return Err(WorkerError::LimitExceeded { limit: Limit::Devices, max: MAX_DEVICES });
        }
        self.devices.push(Device::new(spec));
        Ok(DeviceId::new(self.devices.len() as u32 - 1))
    }

    /// Gives a device another limit. O(workers ever added), and O(n log n) for n waiting requests of its pools.
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
        self.advance(now);
        self.check_device(device)?;
        self.check_units(&limit)?;
        let workers = self.devices[device.index()].workers.clone();
        if let Some(&first) = workers.first() {
            self.check_one_pool(device, self.worker(first).spec.pool, Resources::ZERO, limit)?;
        }
        let target = &mut self.devices[device.index()];
        target.spec.limit = limit;
        let units = target.overuse();
        self.tolerate(Place::Device(device), units, shrink);
        // Those that are gone count too: what one of them could hold is what a pool can ever have.
        let ever = self.workers.iter().filter(|worker| worker.part_on(device).is_some());
        let mut pools: Vec<PoolId> = ever.map(|worker| worker.spec.pool).collect();
        pools.sort_unstable();
        pools.dedup();
        pools.into_iter().for_each(|pool| self.reshape(pool));
        workers.into_iter().for_each(|worker| self.freed(worker));
        Ok(())
    }

    /// A device is gone, and all workers on it with it, whatever their kind, and nobody else:
    /// [`worker_lost`](Self::worker_lost) for each of them.
    ///
    /// # Errors
    /// An unknown device, or one that is lost already.
    pub fn device_lost(&mut self, now: Instant, device: DeviceId) -> Result<(), WorkerError> {
        self.advance(now);
        self.check_device(device)?;
        let workers = self.devices[device.index()].workers.clone();
        self.devices[device.index()].is_lost = true;
        self.lose_all(&workers);
        Ok(())
    }

    /// Gives a worker another capacity. O(workers ever added to its pool), and O(n log n) for n waiting requests of
    /// the pool.
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
        self.advance(now);
        self.check_not_lost(worker)?;
        self.check_capacity_units(&capacity)?;
        let (pool, former) = (self.worker(worker).spec.pool, self.worker(worker).spec.capacity);
        self.worker_mut(worker).spec.capacity = Resources::ZERO;
        let checked = self.worker(worker).spec.devices.iter().try_for_each(|part| {
            let limit = self.devices[part.device.index()].spec.limit;
            self.check_one_pool(part.device, pool, part.advertised(capacity), limit)
        });
        self.worker_mut(worker).spec.capacity = if checked.is_ok() { capacity } else { former };
        checked?;
        let units = self.worker(worker).overuse();
        self.tolerate(Place::Worker(worker), units, shrink);
        self.reshape(pool);
        self.freed(worker);
        Ok(())
    }

    /// What is used beyond a new capacity is left alone, for good or for a while.
    fn tolerate(&mut self, place: Place, units: Resources, shrink: Shrink) {
        let until = match shrink {
            Shrink::Drain => None,
            Shrink::Preempt { after_ns } => Some(self.now.plus_nanos(after_ns)),
        };
        let former = core::mem::replace(self.tolerance_mut(place), Tolerance { units, until });
        if let Some(former) = former.until {
            self.tolerances.remove(&(former, place));
        }
        match until {
            Some(at) if at > self.now => {
                self.tolerances.insert((at, place));
            }
            Some(_) => self.end_tolerance(place),
            None => {}
        }
    }

    /// The engine uses `in_use` units in all, whatever its requests add up to: blocks that several share count
    /// once, and an engine that is out of room may not know whose fault it is. What requests change from then on
    /// counts on top, until the next call, or until nothing runs on the worker; then it says nothing. O(claims of the worker,
    /// and of those that share devices with it).
    ///
    /// # Errors
    /// An unknown or lost worker, or a number beyond [the limits](Limit).
    pub fn worker_usage(
        &mut self,
        now: Instant,
        worker: WorkerId,
        in_use: Resources,
    ) -> Result<(), WorkerError> {
        self.advance(now);
        self.check_not_lost(worker)?;
        self.check_units(&in_use)?;
        // A late report would close a worker that says nothing any more, because it does nothing.
        if !self.worker(worker).running.is_empty() {
            self.set_offset(worker, Balance::of(in_use, self.worker(worker).used));
            self.freed(worker);
        }
        Ok(())
    }

    pub(super) fn check_not_lost(&self, worker: WorkerId) -> Result<(), WorkerError> {
        if self.status(worker)? == WorkerStatus::Lost { Err(WorkerError::Lost(worker)) } else { Ok(()) }
    }

    pub(super) fn status(&self, worker: WorkerId) -> Result<WorkerStatus, WorkerError> {
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
        // The requests there leave the pool's accounts: booked out while it is up, and in again after. Its truth
        // leaves the pool's too.
        let offset = self.worker(worker).offset;
        self.set_offset(worker, Balance::default());
        let running = self.worker(worker).running.clone();
        running.iter().for_each(|&slot| self.subtract_use(slot));
        let was_up = self.worker(worker).is_up();
        self.worker_mut(worker).status = status;
        running.iter().for_each(|&slot| self.add_use(slot));
        self.set_offset(worker, offset);
        if was_up {
            let pool = self.worker(worker).spec.pool;
            self.pool_mut(pool).up.retain(|&other| other != worker);
            self.refit(pool);
        } else if status == WorkerStatus::Lost {
            self.release_bound(self.worker(worker).spec.pool);
        }
    }

    /// The worker of a request is gone.
    fn strand(&mut self, slot: u32) {
        self.unsay(slot);
        let request = self.requests.id(slot);
        let record = &self.requests[slot];
        let stopped = record.state == RequestState::Releasing;
        if record.state == RequestState::Aborting || record.never_yields() && !stopped {
            self.end(slot, Ending::Failed);
            self.say(Action::Drop { request, reason: Reason::WorkerLost });
            return;
        }
        if !stopped {
            self.settle_tokens(slot);
            if self.requests[slot].state == RequestState::Preempting {
                self.forget_checkpoint(slot); // it was about to be made
            }
            self.meter_lost_work(slot);
            self.requests.note_stop(slot);
        }
        self.requests[slot].has_run = true;
        self.requests[slot].victims_for = 0;
        self.wait_again(slot);
    }
}
