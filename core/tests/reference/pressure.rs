//! Section 8: memory pressure.

use core::cmp::Reverse;

use tidegate::{Action, DeviceId, Reason, RequestState, WorkerId};

use super::{Model, Seq, Status, Units, add, beyond, is_zero, le, max, min, on, sub, sum, units};

impl Model {
    /// Stops one request where there is less than is used. Whether there was one to stop.
    pub(crate) fn relieve(&mut self) -> bool {
        let ids: Vec<WorkerId> = self.worker_ids().collect();
        for id in ids {
            if self.worker(id).status == Status::Up {
                let yielding = self.here(id).into_iter().filter(|seq| self.requests[seq].yields_already());
                let yielding = sum(yielding.map(|seq| self.requests[&seq].in_use));
                let worker = self.worker(id);
                let allowed = add(add(units(worker.spec.capacity), worker.tolerated), yielding);
                let short = beyond(self.worker_used(id), allowed);
                if !is_zero(short) && self.stop_one(&[id], &[id], short, |_| short) {
                    return true;
                }
            }
        }
        for number in 0..self.devices.len() {
            let device = DeviceId::new(number as u32);
            let mut yielding = [0; 4];
            for (id, part) in self.on_device(device) {
                for seq in self.here(id) {
                    let request = &self.requests[&seq];
                    if request.yields_already() {
                        yielding = add(yielding, on(part, request.in_use));
                    }
                }
            }
            let limit = units(self.devices[number].spec.limit);
            let allowed = add(add(limit, self.devices[number].tolerated), yielding);
            let used = self.device_used(device);
            let short = [0, 1, 2, 3].map(|d| if limit[d] == 0 { 0 } else { (used[d] - allowed[d]).max(0) });
            let on_it: Vec<_> = self.on_device(device).into_iter().map(|(id, _)| id).collect();
            let mut up = on_it.clone();
            up.retain(|&id| self.worker(id).status == Status::Up);
            let parts = self.on_device(device);
            let on_worker = |worker: WorkerId| {
                let (_, part) = parts.iter().find(|(id, _)| *id == worker).expect("it is there");
                short.map(|units| units * 1_000_000 / i128::from(part.part.get()))
            };
            if !is_zero(short) && self.stop_one(&up, &on_it, short, on_worker) {
                return true;
            }
        }
        false
    }

    /// `on_worker` says how much of a worker's units what is short is.
    fn stop_one(
        &mut self,
        workers: &[WorkerId],
        all: &[WorkerId],
        short: Units,
        on_worker: impl Fn(WorkerId) -> Units,
    ) -> bool {
        let here: Vec<Seq> = workers.iter().flat_map(|&id| self.here(id)).collect();
        let candidates = here.iter().copied().filter(|seq| {
            let request = &self.requests[seq];
            request.stays() && (0..4).any(|d| short[d] > 0 && request.in_use[d] > 0)
        });
        let victim = candidates.min_by_key(|&seq| {
            let request = &self.requests[&seq];
            let excess = self.excess(request.spec.pool.get() as usize, request.tier());
            let borrows = (0..4).any(|d| short[d] > 0 && excess[d] > 0);
            let never = request.never_yields();
            let rank = (Reverse(request.tier()), Reverse(request.started_at), Reverse(seq));
            (never, !never && !borrows, rank)
        });
        let Some(victim) = victim else { return false };
        let request = &self.requests[&victim];
        let held =
            self.shapes(request.spec.pool.get() as usize).iter().any(|&shape| le(request.in_use, shape));
        let alone = all.iter().map(|&id| self.here(id).len()).sum::<usize>() == 1;
        if alone || !held {
            self.abort(victim, Reason::NeverFits);
        } else if request.never_yields() {
            self.abort(victim, Reason::OutOfMemory);
        } else {
            let worker = request.worker;
            let offset = sub(self.worker_used(worker), self.requests_use(worker));
            self.request(victim).unaccounted = min(on_worker(worker), max(offset, [0; 4]));
            self.ask_to_stop(victim, None, Reason::OutOfMemory);
        }
        true
    }

    fn abort(&mut self, seq: Seq, reason: Reason) {
        let request = self.request(seq);
        request.state = RequestState::Aborting;
        request.yields_for = reason;
        let (request, attempt) = (request.id, request.attempt());
        self.say(Action::Abort { request, attempt, reason });
    }
}
