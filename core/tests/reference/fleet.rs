//! What the host says of workers, devices and the rules: they come, change, and go.

use tidegate::{
    Action, DeviceId, DeviceSpec, MAX_DEVICES_PER_WORKER, Ppm, Reason, RequestState, Resources, Shrink,
    WorkerId, WorkerSpec,
};

use super::inputs::{Refusal, note_stop};
use super::{
    Device, Model, Seq, Setup, Status, Units, Worker, add, floor_on, forget_checkpoint, is_zero, sum, units,
};

impl Model {
    pub(crate) fn check_not_lost(&self, worker: WorkerId) -> Result<(), Refusal> {
        match self.workers.get(worker.get() as usize) {
            None => Err("unknown worker"),
            Some(worker) if worker.status == Status::Lost => Err("worker lost"),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn check_device(&self, device: DeviceId) -> Result<(), Refusal> {
        match self.devices.get(device.get() as usize) {
            None => Err("unknown device"),
            Some(device) if device.lost => Err("device lost"),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn check_units(&self, of: Resources) -> Result<(), Refusal> {
        let beyond = units(of)[self.setup.dimensions..].iter().any(|&units| units > 0);
        if beyond { Err("other") } else { Ok(()) }
    }

    pub(crate) fn device_add(&mut self, spec: DeviceSpec) {
        self.devices.push(Device { spec, lost: false, tolerated: [0; 4], tolerated_until: None });
    }

    /// Whether a device has workers of one pool, or enough for all of them with `more` of a worker of `pool`;
    /// `without` is not counted.
    pub(crate) fn is_shareable(
        &self,
        device: DeviceId,
        limit: Units,
        pool: u32,
        more: Units,
        without: Option<WorkerId>,
    ) -> bool {
        let here = self.on_device(device);
        let several = here.iter().any(|(id, _)| self.worker(*id).spec.pool.get() != pool);
        let parts = here.iter().filter(|(id, _)| Some(*id) != without);
        let advertised = sum(parts.map(|&(id, part)| floor_on(part, units(self.worker(id).spec.capacity))));
        let advertised = add(advertised, more);
        !several || (0..4).all(|d| limit[d] == 0 || advertised[d] <= limit[d])
    }

    pub(crate) fn worker_add(&mut self, spec: &WorkerSpec) -> Result<(), Refusal> {
        if spec.pool.get() as usize >= self.setup.pools {
            return Err("unknown pool");
        }
        if is_zero(units(spec.capacity)) {
            return Err("zero capacity");
        }
        self.check_units(spec.capacity)?;
        if spec.devices.len() > MAX_DEVICES_PER_WORKER {
            return Err("other");
        }
        let mut whole = 0;
        for (index, part) in spec.devices.iter().enumerate() {
            self.check_device(part.device)?;
            whole += u64::from(part.part.get());
            let twice = spec.devices[..index].iter().any(|other| other.device == part.device);
            if twice || part.part == Ppm::ZERO || whole > 1_000_000 {
                return Err("bad part");
            }
        }
        self.check_replaced(spec)?;
        for part in &spec.devices {
            let limit = units(self.devices[part.device.get() as usize].spec.limit);
            let more = floor_on(*part, units(spec.capacity));
            if !self.is_shareable(part.device, limit, spec.pool.get(), more, None) {
                return Err("shared across pools");
            }
        }
        self.workers.push(Worker {
            spec: spec.clone(),
            status: Status::Out,
            stands_by: false,
            out_until: None,
            since: 0,
            has_served: false,
            losses: 0,
            lost_at: 0,
            taken: None,
            offset: [0; 4],
            tolerated: [0; 4],
            tolerated_until: None,
            drain: None,
        });
        let id = WorkerId::new(self.workers.len() as u32 - 1);
        self.open_cache(id);
        self.take_stand(id);
        Ok(())
    }

    pub(crate) fn worker_resize(
        &mut self,
        id: WorkerId,
        capacity: Resources,
        shrink: Shrink,
    ) -> Result<(), Refusal> {
        self.check_not_lost(id)?;
        if is_zero(units(capacity)) {
            return Err("zero capacity");
        }
        self.check_units(capacity)?;
        let spec = self.worker(id).spec.clone();
        for part in &spec.devices {
            let limit = units(self.devices[part.device.get() as usize].spec.limit);
            let more = floor_on(*part, units(capacity));
            if !self.is_shareable(part.device, limit, spec.pool.get(), more, Some(id)) {
                return Err("shared across pools");
            }
        }
        self.workers[id.get() as usize].spec.capacity = capacity;
        let overuse = self.overuse(id);
        let (tolerated, until) = tolerance(self.now, overuse, shrink);
        let worker = &mut self.workers[id.get() as usize];
        (worker.tolerated, worker.tolerated_until) = (tolerated, until);
        self.refit();
        Ok(())
    }

    pub(crate) fn device_resize(
        &mut self,
        id: DeviceId,
        limit: Resources,
        shrink: Shrink,
    ) -> Result<(), Refusal> {
        self.check_device(id)?;
        self.check_units(limit)?;
        if let Some(&(first, _)) = self.on_device(id).first() {
            let pool = self.worker(first).spec.pool.get();
            if !self.is_shareable(id, units(limit), pool, [0; 4], None) {
                return Err("shared across pools");
            }
        }
        self.devices[id.get() as usize].spec.limit = limit;
        let (tolerated, until) = tolerance(self.now, self.device_overuse(id), shrink);
        let device = &mut self.devices[id.get() as usize];
        (device.tolerated, device.tolerated_until) = (tolerated, until);
        self.refit();
        Ok(())
    }

    pub(crate) fn worker_usage(&mut self, id: WorkerId, in_use: Resources) -> Result<(), Refusal> {
        self.check_not_lost(id)?;
        self.check_units(in_use)?;
        if !self.here(id).is_empty() {
            let offset = super::sub(units(in_use), self.requests_use(id));
            self.workers[id.get() as usize].offset = offset;
        }
        Ok(())
    }

    pub(crate) fn worker_drain(&mut self, id: WorkerId) -> Result<(), Refusal> {
        self.check_not_lost(id)?;
        if self.worker(id).status != Status::Draining {
            let worker = &mut self.workers[id.get() as usize];
            (worker.stands_by, worker.out_until) = (false, None);
            if worker.spec.spare && worker.status == Status::Up {
                worker.taken = Some(false);
            }
            self.retire(id, Status::Draining);
            self.settle();
            self.seat_spares();
        }
        Ok(())
    }

    pub(crate) fn worker_lost(&mut self, id: WorkerId) -> Result<(), Refusal> {
        self.check_not_lost(id)?;
        let lost = self.lost_with(id);
        self.fleet_met[0] += lost.len() as u64 - 1;
        for &worker in lost.iter().filter(|&&worker| worker != id) {
            self.say(Action::AlsoLost { worker, by: id, reason: Reason::WorkerLost });
        }
        self.lose_all(lost);
        Ok(())
    }

    pub(crate) fn device_lost(&mut self, id: DeviceId) -> Result<(), Refusal> {
        self.check_device(id)?;
        self.lose_all(self.on_device(id).into_iter().map(|(worker, _)| worker).collect());
        self.devices[id.get() as usize].lost = true;
        Ok(())
    }

    pub(crate) fn lose(&mut self, id: WorkerId) {
        self.retire(id, Status::Lost);
        self.close_cache(id);
        for seq in self.here(id) {
            self.strand(seq);
        }
    }

    pub(crate) fn retire(&mut self, id: WorkerId, status: Status) {
        let mut claims: Vec<u64> = self.claims.keys().copied().collect();
        claims.retain(|claim| self.claims[claim].worker == id);
        claims.sort_by_key(|&claim| self.claim_rank(claim));
        for claim in claims {
            self.remove_claim(claim);
        }
        let worker = &mut self.workers[id.get() as usize];
        worker.drain = None;
        let was_up = worker.status == Status::Up;
        worker.status = status;
        if was_up {
            self.refit();
        }
    }

    /// The worker of a request is gone.
    pub(crate) fn strand(&mut self, seq: Seq) {
        self.unsay(seq);
        let request = &self.requests[&seq];
        let stopped = request.state == RequestState::Releasing;
        if request.state == RequestState::Aborting || request.never_yields() && !stopped {
            self.fail(seq, Reason::WorkerLost);
            return;
        }
        let request = self.request(seq);
        if !stopped {
            if request.state == RequestState::Preempting {
                forget_checkpoint(request);
            }
            note_stop(request);
        }
        request.has_run = true;
        request.chose_for = 0;
        self.wait_again(seq);
    }

    pub(crate) fn reconfigure(&mut self, setup: &Setup) {
        self.offer_all_again();
        let stood = self.waiting_as_they_stand();
        let before = core::mem::replace(&mut self.setup, setup.clone());
        let affinity = |setup: &Setup| {
            Some(setup.affinity).filter(|_| setup.placement == tidegate::Placement::PrefixAffinity)
        };
        if affinity(&before) != affinity(&self.setup) {
            self.forget_caches();
        }
        if before.default_policy != self.setup.default_policy {
            self.apply_default_policy();
        }
        for pool in 0..self.setup.pools {
            for t in 0..self.setup.tiers.len() {
                if before.tiers[t].hold_window / 2 != self.setup.tiers[t].hold_window / 2 {
                    self.demands[pool][t] = vec![(self.now, [0; 4])];
                }
            }
        }
        self.refit_those(stood);
    }

    /// All that wait: of each queue in its order, then the lines that wait for quota, then those that are parked.
    fn waiting_as_they_stand(&self) -> Vec<Seq> {
        let queues =
            (0..self.setup.pools).flat_map(|pool| (0..self.setup.tiers.len()).map(move |tier| (pool, tier)));
        let mut stand: Vec<Seq> = queues.flat_map(|(pool, tier)| self.in_order(pool, tier)).collect();
        let mut aside: Vec<Seq> = self.requests.keys().copied().collect();
        aside.retain(|&seq| self.requests[&seq].is_fresh() && !self.is_offered(seq));
        aside.sort_by_key(|&seq| self.place(seq));
        stand.extend(aside);
        let parked =
            self.requests.iter().filter(|(_, r)| r.waits() && !(r.is_queued() && r.waits_at.is_none()));
        stand.extend(parked.map(|(&seq, _)| seq));
        stand
    }

    /// Capacities or rules changed: who is parked.
    pub(crate) fn refit(&mut self) {
        self.refit_those(self.waiting_as_they_stand());
    }

    fn refit_those(&mut self, waiting: Vec<Seq>) {
        self.note_capacity();
        let mut parked = Vec::new();
        for seq in waiting {
            let (was, is) = (self.requests[&seq].state == RequestState::Parked, self.should_be_parked(seq));
            if was == is {
                continue;
            }
            if self.requests[&seq].waits_at.is_some() {
                self.request(seq).state = if is { RequestState::Parked } else { RequestState::Queued };
                continue;
            }
            self.note_departure(seq);
            if is {
                self.stop_waiting_for_quota(seq);
            }
            let request = self.request(seq);
            request.blocked_since = None;
            request.bypassed = 0;
            request.state = if is { RequestState::Parked } else { RequestState::Queued };
            self.note_arrival(seq);
            if is {
                self.end_drain(seq);
                parked.push(seq);
            }
        }
        for seq in parked {
            self.give_up_claim(seq);
        }
    }
}

fn tolerance(now: u64, overuse: Units, shrink: Shrink) -> (Units, Option<u64>) {
    match shrink {
        Shrink::Drain => (overuse, None),
        Shrink::Preempt { after_ns } => match now.saturating_add(after_ns) {
            until if until <= now => ([0; 4], None),
            until => (overuse, Some(until)),
        },
    }
}
