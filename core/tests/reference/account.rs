//! Sections 2 and 3: what is used, free, reserved, held; what fits where; who is parked.

use tidegate::{DeviceId, DevicePart, WorkerId};

use super::{
    Model, Seq, Status, Units, add, beyond, floor_on, is_zero, le, le_where, max, min, on, sub, sum, units,
};

impl Model {
    /// What a worker could hold, were it and its devices empty.
    pub(crate) fn whole(&self, worker: WorkerId) -> Units {
        let spec = &self.worker(worker).spec;
        let mut whole = units(spec.capacity);
        for part in &spec.devices {
            let limit = self.limit(part.device);
            for d in (0..4).filter(|&d| limit[d] > 0) {
                whole[d] = whole[d].min(limit[d] * 1_000_000 / i128::from(part.part.get()));
            }
        }
        whole
    }

    pub(crate) fn limit(&self, device: DeviceId) -> Units {
        units(self.devices[device.get() as usize].spec.limit)
    }

    /// The workers on a device that are not lost, with their parts.
    pub(crate) fn on_device(&self, device: DeviceId) -> Vec<(WorkerId, DevicePart)> {
        let parts = |id: WorkerId| {
            let worker = self.worker(id);
            let part = worker.spec.devices.iter().find(|part| part.device == device).copied();
            part.filter(|_| worker.status != Status::Lost).map(|part| (id, part))
        };
        self.worker_ids().filter_map(parts).collect()
    }

    pub(crate) fn requests_use(&self, worker: WorkerId) -> Units {
        sum(self.here(worker).iter().map(|seq| self.requests[seq].in_use))
    }

    pub(crate) fn worker_used(&self, worker: WorkerId) -> Units {
        add(self.requests_use(worker), self.worker(worker).offset).map(|units| units.max(0))
    }

    fn worker_earmarked(&self, worker: WorkerId) -> Units {
        sum(self.claims.values().filter(|claim| claim.worker == worker).map(|claim| claim.earmarked))
    }

    pub(crate) fn room(&self, worker: WorkerId) -> Units {
        let taken = add(self.worker_used(worker), self.worker_earmarked(worker));
        sub(units(self.worker(worker).spec.capacity), taken)
    }

    pub(crate) fn device_used(&self, device: DeviceId) -> Units {
        let of = |(id, part): (WorkerId, DevicePart)| {
            let requests = self.here(id).into_iter().map(|seq| on(part, self.requests[&seq].in_use));
            add(sum(requests), on(part, sub(self.worker_used(id), self.requests_use(id))))
        };
        sum(self.on_device(device).into_iter().map(of)).map(|units| units.max(0))
    }

    /// Free units of a device; without a limit, more than anybody asks for.
    pub(crate) fn device_room(&self, device: DeviceId) -> Units {
        let earmarks = |(id, part): (WorkerId, DevicePart)| {
            let claims = self.claims.values().filter(move |claim| claim.worker == id);
            sum(claims.map(|claim| on(part, claim.earmarked)))
        };
        let earmarked = sum(self.on_device(device).into_iter().map(earmarks));
        let (limit, used) = (self.limit(device), self.device_used(device));
        [0, 1, 2, 3].map(|d| if limit[d] == 0 { 1 << 80 } else { limit[d] - used[d] - earmarked[d] })
    }

    /// What is short on a worker for a request, and on each of its devices; what its own claim has gathered there
    /// counts as room if `own`.
    pub(crate) fn shortages(&self, seq: Seq, worker: WorkerId, own: bool) -> (Units, Vec<(DeviceId, Units)>) {
        let asks = self.requests[&seq].asks;
        let claim = self.claim_of(seq).map(|id| &self.claims[&id]);
        let gathered =
            claim.filter(|claim| own && claim.worker == worker).map_or([0; 4], |claim| claim.earmarked);
        let short = |room: Units, asks: Units| {
            [0, 1, 2, 3].map(|d| if asks[d] > 0 { (asks[d] - room[d]).max(0) } else { 0 })
        };
        let devices = self.worker(worker).spec.devices.iter().map(|part| {
            let room = add(self.device_room(part.device), on(*part, gathered));
            (part.device, short(room, on(*part, asks)))
        });
        (short(add(self.room(worker), gathered), asks), devices.collect())
    }

    pub(crate) fn fits(&self, seq: Seq, worker: WorkerId) -> bool {
        let (short, devices) = self.shortages(seq, worker, true);
        is_zero(short) && devices.into_iter().all(|(_, short)| is_zero(short))
    }

    /// C.
    pub(crate) fn capacity(&self, pool: usize) -> Units {
        let up = self.up(pool);
        let total = sum(up.iter().map(|&id| units(self.worker(id).spec.capacity)));
        let mut devices: Vec<DeviceId> =
            up.iter().flat_map(|&id| self.worker(id).spec.devices.iter().map(|part| part.device)).collect();
        devices.sort_unstable();
        devices.dedup();
        let excess = |device: DeviceId| {
            let up =
                self.on_device(device).into_iter().filter(|(id, _)| self.worker(*id).status == Status::Up);
            let parts = sum(up.map(|(id, part)| floor_on(part, units(self.worker(id).spec.capacity))));
            let limit = self.limit(device);
            [0, 1, 2, 3].map(|d| if limit[d] == 0 { 0 } else { (parts[d] - limit[d]).max(0) })
        };
        devices.into_iter().fold(total, |total, device| beyond(total, excess(device)))
    }

    /// R of each tier for a capacity of a pool.
    pub(crate) fn reserves(&self, pool: usize, total: Units) -> Vec<Units> {
        let mut left = total;
        let mut reserves = Vec::new();
        for tier in &self.setup.tiers {
            let want = [0, 1, 2, 3]
                .map(|d| if d < self.setup.dimensions { tier.want(pool, d, total[d]) } else { 0 });
            let reserve = min(want, left);
            left = sub(left, reserve);
            reserves.push(reserve);
        }
        reserves
    }

    pub(crate) fn reserve(&self, pool: usize, tier: usize) -> Units {
        self.reserves(pool, self.capacity(pool))[tier]
    }

    fn keep(&self, tier: usize, reserve: Units) -> Units {
        let lendable = i128::from(self.setup.tiers[tier].lendable_ppm);
        reserve.map(|units| units - units * lendable / 1_000_000)
    }

    /// The requests of a tier on Up workers of a pool.
    fn of_tier(&self, pool: usize, tier: usize) -> impl Iterator<Item = &super::Request> {
        self.requests.values().filter(move |r| {
            let worker = |r: &super::Request| self.worker(r.worker);
            !r.waits()
                && r.tier() == tier
                && worker(r).status == Status::Up
                && worker(r).spec.pool.get() as usize == pool
        })
    }

    /// U.
    pub(crate) fn used(&self, pool: usize, tier: usize) -> Units {
        sum(self.of_tier(pool, tier).map(|r| r.in_use))
    }

    /// U, less what comes back already, less R.
    pub(crate) fn excess(&self, pool: usize, tier: usize) -> Units {
        let stays = sum(self.of_tier(pool, tier).filter(|r| !r.yields_already()).map(|r| r.in_use));
        sub(stays, self.reserve(pool, tier))
    }

    pub(crate) fn claims_in(&self, pool: usize) -> Vec<u64> {
        let here = self
            .claims
            .iter()
            .filter(|(_, claim)| self.worker(claim.worker).spec.pool.get() as usize == pool);
        here.map(|(&id, _)| id).collect()
    }

    fn claims_of_tier(&self, pool: usize, tier: usize) -> impl Iterator<Item = &super::Claim> {
        let claims = self.claims_in(pool).into_iter().map(|id| &self.claims[&id]);
        claims.filter(move |claim| claim.tier == tier)
    }

    /// E.
    pub(crate) fn earmarked(&self, pool: usize, tier: usize) -> Units {
        sum(self.claims_of_tier(pool, tier).map(|claim| claim.earmarked))
    }

    /// K.
    pub(crate) fn claimed(&self, pool: usize, tier: usize) -> Units {
        sum(self.claims_of_tier(pool, tier).map(|claim| claim.size))
    }

    /// F.
    pub(super) fn pinned(&self, pool: usize, tier: usize) -> Units {
        let claims = self.claims_of_tier(pool, tier);
        let claimed =
            claims.filter(|claim| self.requests[&claim.owner].never_yields()).map(|claim| claim.size);
        let running = self.of_tier(pool, tier).filter(|r| r.never_yields()).map(|r| r.in_use);
        add(sum(running), sum(claimed))
    }

    fn waiting(&self, pool: usize, tier: usize) -> Units {
        let reserve = self.reserve(pool, tier);
        let waits = self
            .requests
            .iter()
            .filter(|(_, r)| r.tier() == tier && r.spec.pool.get() as usize == pool && le(r.asks, reserve));
        let waits = waits.filter(|(seq, _)| self.is_offered(**seq));
        sum(waits.map(|(&seq, r)| {
            let claim = self.claim_of(seq).map(|id| &self.claims[&id]);
            sub(r.asks, claim.map_or([0; 4], |claim| claim.earmarked))
        }))
    }

    fn demand(&self, pool: usize, tier: usize) -> Units {
        add(add(self.used(pool, tier), self.earmarked(pool, tier)), self.waiting(pool, tier))
    }

    /// Remembers the demands, after an input or an action.
    pub(crate) fn note_demands(&mut self) {
        for pool in 0..self.setup.pools {
            for tier in 0..self.setup.tiers.len() {
                let demand = self.demand(pool, tier);
                self.demands[pool][tier].push((self.now, demand));
            }
        }
    }

    fn peak(&self, pool: usize, tier: usize) -> Units {
        let present = self.demand(pool, tier);
        let half = self.setup.tiers[tier].hold_window / 2;
        if half == 0 {
            return present;
        }
        let begin = (self.now / half).saturating_sub(1) * half;
        let history = &self.demands[pool][tier];
        // The value in force when the previous half began, and all since.
        let before = history.iter().rposition(|&(at, _)| at < begin);
        let first = before.unwrap_or(0);
        let in_force = history[first..].iter().map(|&(_, demand)| demand);
        in_force.fold(present, max)
    }

    pub(crate) fn avail(&self, pool: usize, tier: usize) -> Units {
        let (capacity, tiers) = (self.capacity(pool), 0..self.setup.tiers.len());
        let used = sum(self.up(pool).into_iter().map(|id| self.worker_used(id)));
        let earmarked = sum(tiers.clone().map(|t| self.earmarked(pool, t)));
        let reserves = self.reserves(pool, capacity);
        let held = tiers.filter(|&other| other != tier).map(|other| {
            let keep = self.keep(other, reserves[other]);
            let hold = min(max(self.peak(pool, other), keep), reserves[other]);
            beyond(hold, add(self.used(pool, other), self.earmarked(pool, other)))
        });
        sub(sub(sub(capacity, used), earmarked), sum(held))
    }

    /// `in_t(s)`, with `own` of the tier's claims used up.
    fn in_tier(&self, pool: usize, tier: usize, asks: Units, own: Units) -> Units {
        sub(add(add(self.used(pool, tier), self.claimed(pool, tier)), asks), own)
    }

    pub(crate) fn is_within(&self, pool: usize, tier: usize, asks: Units, own: Units) -> bool {
        le_where(self.in_tier(pool, tier, asks, own), self.reserve(pool, tier), asks)
    }

    /// The borrow limit, and the rule for those that never yield; `own_pinned` is what of the asks is pinned
    /// already.
    pub(crate) fn passes(&self, seq: Seq, own: Units, own_pinned: Units) -> bool {
        let request = &self.requests[&seq];
        let (pool, tier, asks) = (request.spec.pool.get() as usize, request.tier(), request.asks);
        if let Some(limit) = self.setup.tiers[tier].borrow_limit {
            let most = add(self.reserve(pool, tier), units(limit));
            if !le_where(self.in_tier(pool, tier, asks, own), most, asks) {
                return false;
            }
        }
        if !request.never_yields() || self.is_within(pool, tier, asks, own) {
            return true;
        }
        let reserves = self.reserves(pool, self.capacity(pool));
        let after = (0..self.setup.tiers.len()).map(|t| {
            let more = if t == tier { sub(asks, own_pinned) } else { [0; 4] };
            max(reserves[t], add(self.pinned(pool, t), more))
        });
        le_where(sum(after), self.capacity(pool), asks)
    }

    pub(crate) fn own_claim(&self, seq: Seq) -> Units {
        self.claim_of(seq).map_or([0; 4], |id| self.claims[&id].size)
    }

    /// The most that a request of a tier may ever have of a capacity of a pool.
    pub(crate) fn ceiling(&self, pool: usize, total: Units, tier: usize, never_yields: bool) -> Units {
        let reserves = self.reserves(pool, total);
        let others = |f: &dyn Fn(usize) -> Units| sum((0..reserves.len()).filter(|&t| t != tier).map(f));
        let mut most = sub(total, others(&|t| self.keep(t, reserves[t])));
        if let Some(limit) = self.setup.tiers[tier].borrow_limit {
            most = min(most, add(reserves[tier], units(limit)));
        }
        if never_yields {
            most = min(most, max(reserves[tier], sub(total, others(&|t| reserves[t]))));
        }
        most
    }

    pub(crate) fn should_be_parked(&self, seq: Seq) -> bool {
        let request = &self.requests[&seq];
        let pool = request.spec.pool.get() as usize;
        let ceiling = self.ceiling(pool, self.capacity(pool), request.tier(), request.never_yields());
        request.attempt == u32::MAX
            || !le(request.asks, ceiling)
            || !self.up(pool).iter().any(|&id| le(request.asks, self.whole(id)))
    }

    /// What each worker of a pool that ever served could hold.
    pub(crate) fn shapes(&self, pool: usize) -> Vec<Units> {
        let of_pool = self.worker_ids().filter(|&id| self.worker(id).spec.pool.get() as usize == pool);
        of_pool.filter(|&id| self.worker(id).has_served).map(|id| self.whole(id)).collect()
    }

    /// What a request asks for as it enters its queue.
    pub(crate) fn next_asks(&self, seq: Seq) -> Units {
        let request = &self.requests[&seq];
        let demand = units(request.spec.demand);
        let Some(stopped_with) = request.stopped_with else { return demand };
        let pool = request.spec.pool.get() as usize;
        let ceiling = self.ceiling(pool, self.largest[pool], request.tier(), request.never_yields());
        let least = max(demand, min(stopped_with, ceiling));
        if !request.stopped_for_memory {
            return least;
        }
        let peak = add(max(units(request.spec.peak), least), request.unaccounted);
        let holders = self.shapes(pool).into_iter().filter(|&shape| le(least, shape));
        max(min(holders.map(|shape| min(peak, shape)).max().unwrap_or(least), ceiling), least)
    }

    /// The largest capacity a pool had so far includes the present one.
    pub(crate) fn note_capacity(&mut self) {
        for pool in 0..self.setup.pools {
            self.largest[pool] = max(self.largest[pool], self.capacity(pool));
        }
    }

    pub(crate) fn overuse(&self, worker: WorkerId) -> Units {
        beyond(self.worker_used(worker), units(self.worker(worker).spec.capacity))
    }

    pub(crate) fn device_overuse(&self, device: DeviceId) -> Units {
        let (used, limit) = (self.device_used(device), self.limit(device));
        [0, 1, 2, 3].map(|d| if limit[d] == 0 { 0 } else { (used[d] - limit[d]).max(0) })
    }

    /// What is tolerated shrinks as the overuse does.
    pub(crate) fn cap_tolerances(&mut self) {
        for id in self.worker_ids() {
            let capped = min(self.worker(id).tolerated, self.overuse(id));
            self.workers[id.get() as usize].tolerated = capped;
        }
        for number in 0..self.devices.len() {
            let overuse = self.device_overuse(DeviceId::new(number as u32));
            self.devices[number].tolerated = min(self.devices[number].tolerated, overuse);
        }
    }
}
