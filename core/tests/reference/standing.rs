//! Section 19: who is lost together, who is kept out, and when a spare serves.

use tidegate::{WorkerId, WorkerKind, WorkerSpec};

use super::inputs::Refusal;
use super::{Model, Status};

impl Model {
    fn worker_mut(&mut self, id: WorkerId) -> &mut super::Worker {
        &mut self.workers[id.get() as usize]
    }

    pub(crate) fn check_replaced(&self, spec: &WorkerSpec) -> Result<(), Refusal> {
        match spec.replaces.map(|former| self.workers.get(former.get() as usize)) {
            None => Ok(()),
            Some(None) => Err("unknown worker"),
            Some(Some(former)) if former.status == Status::Lost && former.spec.pool == spec.pool => Ok(()),
            Some(Some(_)) => Err("not lost"),
        }
    }

    pub(crate) fn take_stand(&mut self, id: WorkerId) {
        let (now, spec) = (self.now, self.worker(id).spec.clone());
        let (mut stands_by, mut losses, mut open_at) = (spec.spare, 0, 0);
        if let Some(former) = spec.replaces {
            stands_by |= self.worker(former).taken == Some(true);
            self.worker_mut(former).taken = None;
            losses = self.worker(former).losses;
            open_at = self.worker(former).lost_at.saturating_add(self.backoff(losses));
        }
        let worker = self.worker_mut(id);
        (worker.stands_by, worker.losses, worker.since) = (stands_by, losses, now);
        if open_at > now {
            worker.out_until = Some(open_at);
            self.fleet_met[1] += 1;
        } else {
            self.offer(id);
        }
    }

    fn backoff(&self, losses: u32) -> u64 {
        let (mut span, most, _) = self.setup.flaps;
        if losses < 2 {
            return 0;
        }
        (2..losses).for_each(|_| span = span.saturating_mul(2));
        span.min(most)
    }

    /// Those whose time has come, the first first.
    pub(crate) fn let_in(&mut self) {
        loop {
            let due = self.worker_ids().filter_map(|id| Some((self.worker(id).out_until?, id))).min();
            let Some((_, id)) = due.filter(|&(at, _)| at <= self.now) else { return };
            self.worker_mut(id).out_until = None;
            self.offer(id);
            self.settle();
        }
    }

    fn offer(&mut self, id: WorkerId) {
        if !self.worker(id).stands_by {
            self.serve(id);
        }
        self.seat_spares();
    }

    fn serve(&mut self, id: WorkerId) {
        let now = self.now;
        let worker = self.worker_mut(id);
        (worker.status, worker.stands_by, worker.since) = (Status::Up, false, now);
        worker.has_served = true;
        self.refit();
    }

    /// Each open place of a pool is taken by its first spare.
    pub(crate) fn seat_spares(&mut self) {
        for vacant in self.worker_ids() {
            if self.worker(vacant).taken != Some(false) {
                continue;
            }
            let pool = self.worker(vacant).spec.pool;
            let spare = self.worker_ids().find(|&id| {
                let worker = self.worker(id);
                worker.spec.pool == pool && worker.stands_by && worker.out_until.is_none()
            });
            if let Some(spare) = spare {
                self.worker_mut(vacant).taken = Some(true);
                self.serve(spare);
                self.fleet_met[2] += 1;
            }
        }
    }

    fn says_goodbye(&self, id: WorkerId) -> bool {
        self.worker(id).status == Status::Draining && self.here(id).is_empty()
    }

    /// Who is lost with a worker.
    pub(crate) fn lost_with(&self, id: WorkerId) -> Vec<WorkerId> {
        let is_client = |id: WorkerId| self.worker(id).spec.kind == WorkerKind::Mps;
        if !is_client(id) || self.says_goodbye(id) {
            return vec![id];
        }
        let devices = &self.worker(id).spec.devices;
        let beside = |other: WorkerId| {
            devices.iter().any(|part| self.on_device(part.device).iter().any(|&(there, _)| there == other))
        };
        self.worker_ids().filter(|&other| other == id || is_client(other) && beside(other)).collect()
    }

    pub(crate) fn lose_all(&mut self, workers: Vec<WorkerId>) {
        for id in workers {
            let (now, goodbye, forget_after) = (self.now, self.says_goodbye(id), self.setup.flaps.2);
            let worker = self.worker_mut(id);
            worker.losses = match goodbye {
                true => 0,
                false if now - worker.since >= forget_after => 1,
                false => worker.losses + 1,
            };
            worker.lost_at = now;
            if worker.status != Status::Draining && !worker.stands_by {
                worker.taken = Some(false);
            }
            (worker.stands_by, worker.out_until) = (false, None);
            self.lose(id);
            self.settle();
        }
        self.seat_spares();
    }
}
