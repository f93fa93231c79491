//! What fits where: the room of workers and of the devices they stand on, what is short of it, and how claims
//! share what comes free.
//!
//! Invariants: the earmarks of a worker's or a device's claims never exceed its free units for longer than it
//! takes to notice (CAP-2).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cell::Cell;

use smallvec::SmallVec;

use super::workers::{Device, Worker, WorkerStatus};
use super::{NO_PLACE, Pool, Scheduler};
use crate::event::DevicePart;
use crate::id::{DeviceId, PoolId, WorkerId};
use crate::placement::{Load, Own, Places, Room, Rooms, load_ppm};
use crate::queue::Least;
use crate::resources::{Balance, MAX_DIMENSIONS, Resources};
use crate::share::{Ppm, Rounding};

/// How many vectors a [`Roomy`] keeps at most, and without allocating: more are rare among workers that are filled
/// alike, and cost a search precision. Chosen arbitrarily.
const MAX_ROOMY: usize = 32;
const FEW: usize = 8;

/// A few vectors of free units, none within another, such that all that fits on one of the workers they were
/// taken from is within one of them: narrower than what they have together, for where the first that seems to fit does not.
#[derive(Debug, Default)]
pub(super) struct Roomy(SmallVec<[Resources; FEW]>);

impl Roomy {
    pub(super) fn add(&mut self, free: Resources) {
        if self.0.iter().any(|known| free.fits(known)) {
            return;
        }
        self.0.retain(|known| !known.fits(&free));
        if self.0.len() < MAX_ROOMY {
            self.0.push(free);
        } else if let Some(last) = self.0.last_mut() {
            *last = (*last).max(free);
        }
    }
}

/// What a search goes by: a request that asks for no more than one of these.
pub(super) type Most = SmallVec<[Least; 2 * FEW]>;

/// What requests without a claim ask for at most if they may start, wherever there is room.
#[derive(Clone, Copy)]
pub(super) struct OwnGates {
    /// The latest nanosecond at which they arrived.
    pub(super) latest_arrival: u64,
    pub(super) most: Resources,
    /// What of it those that never yield may ask for.
    pub(super) pinned: Resources,
}

impl OwnGates {
    /// The same, where they have to be within these free units: of those that may yield, and of those that never do.
    pub(super) fn within(&self, room: Resources) -> [Least; 2] {
        let most = self.most.min(room);
        let pinned = most.min(self.pinned);
        [Least::new(most, self.latest_arrival, false), Least::new(pinned, self.latest_arrival, true)]
    }

    /// The same, within one of several vectors of free units.
    pub(super) fn within_any(&self, roomy: &Roomy) -> Most {
        roomy.0.iter().flat_map(|&room| self.within(room)).collect()
    }
}

impl Scheduler {
    /// Whether a worker and its devices have room for what a request asks; what its own claim has gathered there
    /// counts as room.
    #[inline(always)]
    pub(super) fn fits(&self, slot: u32, worker: WorkerId) -> bool {
        let record = &self.requests[slot];
        let claim = record.claim.map(|claim| &self.claims[claim]).filter(|claim| claim.worker == worker);
        let own = claim.map_or(Resources::ZERO, |claim| claim.earmarked);
        let target = self.worker(worker);
        target.free().plus(own).covers(&record.asks)
            && target.spec.devices.iter().all(|part| {
                let free = self.devices[part.device.index()].free().plus(part.of(own));
                free.covers(&part.of(record.asks))
            })
    }

    /// What of the free units of a worker its devices have as well.
    pub(super) fn reachable(&self, worker: WorkerId) -> Resources {
        reachable_on(self.worker(worker), |id| self.device_free(id))
    }

    fn device_free(&self, id: DeviceId) -> Resources {
        self.devices[id.index()].free().positive()
    }

    /// The free units of a worker changed: so did those that it shares with others.
    #[inline(always)]
    pub(super) fn note_room(&mut self, id: WorkerId) {
        let worker = &self.workers[id.index()];
        if worker.is_up() {
            self.pools[worker.spec.pool.index()].rooms.note(worker.place as usize);
        }
        if !worker.spec.devices.is_empty() {
            self.note_shared_room(id);
        }
    }

    fn note_shared_room(&mut self, id: WorkerId) {
        let Self { pools, workers, devices, .. } = self;
        let worker = &workers[id.index()];
        for part in &worker.spec.devices {
            for &neighbour in &devices[part.device.index()].workers {
                // Mostly they are of one pool: then nothing need be read of them, which is far from the near caches.
                let pool = &mut pools[worker.spec.pool.index()];
                if let Some(&place) = pool.places.get(neighbour.index())
                    && place != NO_PLACE
                {
                    pool.rooms.note_shared(place as usize);
                    continue;
                }
                let other = &workers[neighbour.index()];
                if other.is_up() {
                    pools[other.spec.pool.index()].rooms.note_shared(other.place as usize);
                }
            }
        }
    }

    /// What a search for room goes by, of a worker that is up.
    #[inline]
    pub(super) fn room_of(&self, id: WorkerId) -> Room {
        let worker = self.worker(id);
        let free = free_on(worker, |id| self.device_free(id));
        Room { free, load: self.load(id), capacity: worker.spec.capacity }
    }

    /// How full a worker is, and the fullest of its devices. O(devices).
    pub(super) fn load(&self, id: WorkerId) -> Load {
        self.load_but(id, Resources::ZERO, Resources::ZERO)
    }

    /// The same with what a request asks besides.
    pub(super) fn load_with(&self, slot: u32, id: WorkerId) -> Load {
        self.load_but(id, self.requests[slot].asks, Resources::ZERO)
    }

    /// The same with `more` in use, and `less`.
    #[inline(always)] // one of both is mostly nothing
    pub(super) fn load_but(&self, id: WorkerId, more: Resources, less: Resources) -> Load {
        let but = |units: Resources, more, less| (units + more).saturating_sub(less);
        let worker = self.worker(id);
        load_on(worker, but(worker.in_use(), more, less), |part| {
            let device = &self.devices[part.device.index()];
            load_ppm(but(device.in_use(), part.of(more), part.of(less)), device.spec.limit)
        })
    }

    /// Somebody is about to search for room in a pool.
    pub(super) fn refresh_rooms(&mut self, pool: PoolId) {
        let Self { pools, workers, devices, .. } = self;
        let Pool { rooms, up, .. } = &mut pools[pool.index()];
        rooms.refresh(&Up { up, workers, devices, seen: Cell::new(None) });
    }

    /// Other workers of a pool are up, or have other capacities. O(workers of the pool).
    pub(super) fn note_all_rooms(&mut self, pool: PoolId) {
        let up = self.pool(pool).up.clone();
        for (&id, place) in up.iter().zip(0..) {
            self.worker_mut(id).place = place;
        }
        let workers = self.workers.len();
        self.pool_mut(pool).find_places(workers);
        self.search_memory.forget_ranking();
        let parts = up.iter().flat_map(|&id| &self.worker(id).spec.devices);
        // Its worker may take all of a device, or use so much of itself.
        let shared = parts.flat_map(|part| {
            let limit = self.devices[part.device.index()].spec.limit;
            // Its use of all of a device is what is used of it; that of a part is rounded up.
            let beyond = u64::from(part.part < Ppm::ONE);
            let scaled =
                |units: u64| if units == 0 { 0 } else { part.most_for(units).saturating_add(beyond) };
            [limit, limit.zip(limit, |units, _| scaled(units))]
        });
        let rooms = Rooms::new(up.iter().map(|&id| self.worker(id).spec.capacity), shared);
        self.pool_mut(pool).rooms = rooms;
    }

    /// What a worker itself is short of for what a request asks.
    pub(super) fn shortage(&self, slot: u32, worker: WorkerId) -> Resources {
        self.worker(worker).free().shortage(&self.requests[slot].asks)
    }

    /// What the devices of a worker are short of, without those that are short of nothing.
    pub(super) fn device_shortages(&self, slot: u32, worker: WorkerId) -> Vec<(DeviceId, Resources)> {
        let asks = self.requests[slot].asks;
        let shortage = |part: &DevicePart| {
            (part.device, self.devices[part.device.index()].free().shortage(&part.of(asks)))
        };
        let parts = self.worker(worker).spec.devices.iter();
        parts.map(shortage).filter(|(_, short)| !short.is_zero()).collect()
    }

    /// What a worker could hold, were it and its devices empty.
    pub(super) fn whole(&self, capacity: Resources, devices: &[DevicePart]) -> Resources {
        devices.iter().fold(capacity, |mut whole, part| {
            let limit = self.devices[part.device.index()].spec.limit;
            for d in (0..MAX_DIMENSIONS).filter(|&d| limit[d] > 0) {
                whole[d] = whole[d].min(part.most_for(limit[d]));
            }
            whole
        })
    }

    /// C: the units of a pool's workers that are up, as far as their devices have them.
    pub(super) fn total_capacity(&self, pool: PoolId) -> Resources {
        let up = &self.pool(pool).up;
        let total = up.iter().fold(Resources::ZERO, |sum, &id| sum + self.worker(id).spec.capacity);
        let mut devices: Vec<DeviceId> =
            up.iter().flat_map(|&id| self.worker(id).spec.devices.iter().map(|part| part.device)).collect();
        devices.sort_unstable();
        devices.dedup();
        devices.into_iter().fold(total, |total, device| {
            let limit = self.devices[device.index()].spec.limit;
            let mut excess = self.advertised(device, Worker::is_up).saturating_sub(limit);
            for d in (0..MAX_DIMENSIONS).filter(|&d| limit[d] == 0) {
                excess[d] = 0;
            }
            total.saturating_sub(excess)
        })
    }

    /// What the workers on a device advertise of it together.
    pub(super) fn advertised(&self, device: DeviceId, counts: impl Fn(&Worker) -> bool) -> Resources {
        let workers = self.devices[device.index()].workers.iter().map(|&id| self.worker(id));
        workers.filter(|worker| counts(worker)).fold(Resources::ZERO, |sum, worker| {
            let part = worker.part_on(device);
            sum + part.map_or(Resources::ZERO, |part| part.advertised(worker.spec.capacity))
        })
    }

    /// The engine of a worker uses that much more than its requests add up to, or less.
    pub(super) fn set_offset(&mut self, worker: WorkerId, offset: Balance) {
        let target = self.worker_mut(worker);
        let shift = target.shift();
        target.offset = offset;
        self.note_shift(worker, shift);
        self.note_room(worker);
    }

    /// The truth of a worker, as far as it differs from the sum over its requests, is part of its devices' and its
    /// pool's; it differed by `before`.
    pub(super) fn note_shift(&mut self, worker: WorkerId, before: Balance) {
        let target = &self.workers[worker.index()];
        let after = target.shift();
        for part in &target.spec.devices {
            let device = &mut self.devices[part.device.index()];
            device.offset = device.offset.plus_signed(share(after, part)).minus(share(before, part));
        }
        if target.is_up() {
            self.pools[target.spec.pool.index()].capacity.shift(before, after);
        }
    }

    /// The workers that share a device with this one, or with one that does, and so on; itself too.
    fn neighbours(&self, worker: WorkerId) -> BTreeSet<WorkerId> {
        let (mut found, mut unseen) = (BTreeSet::from([worker]), alloc::vec![worker]);
        while let Some(id) = unseen.pop() {
            let devices = self.worker(id).spec.devices.iter().map(|part| part.device);
            for &other in devices.flat_map(|device| &self.devices[device.index()].workers) {
                if found.insert(other) {
                    unseen.push(other);
                }
            }
        }
        found
    }

    /// Whether units of one worker may come to the other.
    pub(super) fn share_a_device(&self, one: WorkerId, other: WorkerId) -> bool {
        let devices = &self.worker(one).spec.devices;
        one == other || devices.iter().any(|part| self.worker(other).part_on(part.device).is_some())
    }

    /// The units of a worker changed: fills claims from what is free, or takes from them what is not, and
    /// notices an overdraft. O(claims) of the worker, and of those that share devices with it; again for each that has to
    /// be dropped.
    #[inline(always)]
    pub(super) fn settle_claims(&mut self, worker: WorkerId) {
        // Nearly always nobody has a claim, and all is as the books say: 100 instructions of a cycle less.
        if self.claims.len() > 0 || !self.worker(worker).is_in_order() {
            self.settle_laid_claims(worker);
        }
    }

    #[inline(never)]
    fn settle_laid_claims(&mut self, worker: WorkerId) {
        let target = self.worker(worker);
        if !target.is_up() && target.spec.devices.is_empty() {
            return;
        }
        // What a lost worker had comes free at once: no claim is short of it in between.
        if target.status == WorkerStatus::Lost && !target.running.is_empty() {
            return;
        }
        self.notice_pressure(worker);
        if self.claims.len() > 0 {
            self.share_out(worker);
        }
    }

    /// The claims that the units of a worker may come to get them, or lose them.
    fn share_out(&mut self, worker: WorkerId) {
        let mut claims = self.claims_around(worker);
        while !claims.is_empty() {
            let target = self.worker(worker);
            if !target.spec.devices.is_empty() || !target.free().overdrawn().is_zero() {
                for &id in claims.iter().rev() {
                    self.take_back(id);
                }
            }
            if !self.worker(worker).free().positive().is_zero()
                || !self.worker(worker).spec.devices.is_empty()
            {
                for &id in &claims {
                    self.top_up(id);
                }
            }
            // One that is short with nobody left to give is dropped; its owner may choose again.
            let is_hopeless = |id: u32| !self.claims[id].is_full() && self.claims[id].victims.is_empty();
            let Some(hopeless) = claims.iter().position(|&id| is_hopeless(id)) else { return };
            let id = claims.remove(hopeless);
            let worker = self.claims[id].worker;
            self.remove_claim(id);
            self.stir_around(worker);
            self.notice_pressure(worker);
        }
    }

    /// The claims that the units of a worker may come to, the most urgent first.
    fn claims_around(&self, worker: WorkerId) -> Vec<u32> {
        if self.worker(worker).spec.devices.is_empty() {
            return self.worker(worker).claims.clone();
        }
        let neighbours = self.neighbours(worker).into_iter();
        let mut claims: Vec<u32> = neighbours.flat_map(|id| self.worker(id).claims.iter().copied()).collect();
        claims.sort_unstable_by_key(|&id| self.claim_rank(id));
        claims
    }

    /// Takes from a claim what its worker, or a device of it, has not.
    fn take_back(&mut self, id: u32) {
        let worker = self.claims[id].worker;
        let overdrawn = self.worker(worker).free().overdrawn();
        self.unearmark(id, overdrawn.min(self.claims[id].earmarked));
        for index in 0..self.worker(worker).spec.devices.len() {
            let part = self.worker(worker).spec.devices[index];
            let overdrawn = self.devices[part.device.index()].free().overdrawn();
            let earmarked = self.claims[id].earmarked;
            let left = part.of(earmarked).saturating_sub(overdrawn);
            let kept = earmarked.zip(left, |units, left| units.min(part.most_for(left)));
            self.unearmark(id, if overdrawn.is_zero() { Resources::ZERO } else { earmarked - kept });
        }
    }

    /// Gathers for a claim what is free of what it still wants.
    pub(super) fn top_up(&mut self, id: u32) {
        let claim = &self.claims[id];
        let target = self.worker(claim.worker);
        let mut most = (claim.size - claim.earmarked).min(target.free().positive());
        for part in &target.spec.devices {
            let free = self.devices[part.device.index()].free().positive();
            let reach = (part.of(claim.earmarked) + free).zip(free, |units, _| part.most_for(units));
            most = most.min(reach.saturating_sub(claim.earmarked));
        }
        self.earmark(id, most);
    }

    /// Adds to the earmarks of a claim, or with `less` takes from them, in all books.
    pub(super) fn change_earmarks(&mut self, id: u32, more: Resources, less: Resources) {
        if more == less {
            return;
        }
        let claim = &mut self.claims[id];
        let before = claim.earmarked;
        claim.earmarked = before + more - less;
        let after = claim.earmarked;
        let (owner, tier) = (claim.owner, claim.tier);
        let (was_full, is_full) = (before == claim.size, claim.is_full());
        let target = &mut self.workers[claim.worker.index()];
        self.changes.note(claim.worker, target);
        target.earmarked += after;
        target.earmarked -= before;
        for part in &target.spec.devices {
            let device = &mut self.devices[part.device.index()];
            device.earmarked += part.of(after);
            device.earmarked -= part.of(before);
        }
        let (worker, pool, counted) = (claim.worker, target.spec.pool, self.requests[owner].counted);
        self.pool_mut(pool).claim_digest.note(id, was_full, is_full);
        let account = self.account_mut(pool, tier);
        account.earmarked += after;
        account.earmarked -= before;
        self.note_room(worker);
        if counted {
            self.change_waiting(owner, before, after);
        }
    }
}

/// The workers of a pool that are up, by their places.
struct Up<'a> {
    up: &'a [WorkerId],
    workers: &'a [Worker],
    devices: &'a [Device],
    /// Those that share a device change together: it is looked at once for all of them.
    seen: Cell<Option<(DeviceId, (Resources, u32))>>,
}

impl Up<'_> {
    fn worker(&self, place: usize) -> &Worker {
        &self.workers[self.up[place].index()]
    }
}

impl Places for Up<'_> {
    #[inline]
    fn free(&self, place: usize) -> Resources {
        free_on(self.worker(place), |id| self.device(id).0)
    }

    #[inline]
    fn in_use(&self, place: usize) -> Option<Resources> {
        let worker = self.worker(place);
        worker.spec.devices.is_empty().then(|| worker.in_use())
    }

    #[inline]
    fn load(&self, place: usize) -> Load {
        let worker = self.worker(place);
        load_on(worker, worker.in_use(), |part| self.device(part.device).1)
    }

    fn own(&self, place: usize) -> Option<Own> {
        let worker = self.worker(place);
        let &[part] = &worker.spec.devices[..] else { return None };
        let ppm = load_ppm(worker.in_use(), worker.spec.capacity);
        Some(Own { free: worker.free().positive(), ppm, part })
    }

    #[inline]
    fn device(&self, id: DeviceId) -> (Resources, u32) {
        let known = self.seen.get().filter(|&(known, _)| known == id);
        let (_, device) = known.unwrap_or_else(|| {
            let device = &self.devices[id.index()];
            (id, (device.free().positive(), load_ppm(device.in_use(), device.spec.limit)))
        });
        self.seen.set(Some((id, device)));
        device
    }
}

#[inline]
fn reachable_on(worker: &Worker, device_free: impl Fn(DeviceId) -> Resources) -> Resources {
    worker.spec.devices.iter().fold(worker.free().positive(), |free, part| {
        free.zip(device_free(part.device), |units, left| units.min(part.most_for(left)))
    })
}

/// What a search for room goes by: what is free of a worker.
#[inline]
fn free_on(worker: &Worker, device_free: impl Fn(DeviceId) -> Resources) -> Resources {
    // Most stand on no devices.
    if worker.spec.devices.is_empty() {
        worker.spec.capacity.saturating_sub(worker.in_use() + worker.earmarked)
    } else {
        reachable_on(worker, device_free)
    }
}

/// The load of a worker that has so much in use, and its devices so much load.
#[inline]
fn load_on(worker: &Worker, in_use: Resources, device_load: impl Fn(&DevicePart) -> u32) -> Load {
    let own = Load::alone(load_ppm(in_use, worker.spec.capacity));
    worker.spec.devices.iter().fold(own, |load, part| load.sharing(device_load(part)))
}

/// What an offset of the worker is on the device: rounded up, as use is.
fn share(offset: Balance, part: &DevicePart) -> Balance {
    Balance(offset.0.map(|units| {
        let rounding = if units < 0 { Rounding::Floor } else { Rounding::Ceil };
        part.part.of(units.unsigned_abs(), rounding) as i64 * units.signum()
    }))
}
