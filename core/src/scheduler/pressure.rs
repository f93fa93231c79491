//! Memory pressure: requests on a worker grew beyond what it has, or what one of its devices has.
//!
//! Borrowers yield before those within their reserve, the least urgent tier first, then the newest start; the
//! own tier is not spared and no protection applies. If none may yield, the newest of the least urgent tier
//! is aborted.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::Scheduler;
use super::workers::{Place, Tolerance};
use crate::event::Reason;
use crate::id::WorkerId;
use crate::request::RequestState;
use crate::resources::{MAX_DIMENSIONS, Resources};

impl Scheduler {
    /// The use of a worker changed: what was tolerated of it shrinks with it, and it may be too much.
    #[inline(always)]
    pub(super) fn notice_pressure(&mut self, worker: WorkerId) {
        let target = &mut self.workers[worker.index()];
        if !target.tolerance.units.is_zero() {
            target.tolerance.cap(target.overuse());
        }
        if target.is_up() && target.is_overdrawn() {
            self.pressured.insert(Place::Worker(worker));
        }
        for part in &target.spec.devices {
            let device = &mut self.devices[part.device.index()];
            let overuse = device.overuse();
            device.tolerance.cap(overuse);
            if !overuse.is_zero() && !device.overdraft().is_zero() {
                self.pressured.insert(Place::Device(part.device));
            }
        }
    }

    /// Stops one request where more is used than there is. Whether there was need to.
    #[inline(always)] // nearly always nothing is short
    pub(super) fn relieve_pressure(&mut self) -> bool {
        !self.pressured.is_empty() && self.relieve_first()
    }

    #[inline(never)]
    fn relieve_first(&mut self) -> bool {
        while let Some(&place) = self.pressured.first() {
            let short = self.overdraft(place);
            if !short.is_zero() && self.relieve(place, &short) {
                return true;
            }
            self.pressured.pop_first();
        }
        false
    }

    /// What is used beyond what a place has; nothing of a worker that is not up.
    pub(super) fn overdraft(&self, place: Place) -> Resources {
        match place {
            Place::Worker(id) if !self.worker(id).is_up() => Resources::ZERO,
            Place::Worker(id) => self.worker(id).overdraft(),
            Place::Device(id) => self.devices[id.index()].overdraft(),
        }
    }

    pub(super) fn tolerance_mut(&mut self, place: Place) -> &mut Tolerance {
        match place {
            Place::Worker(id) => &mut self.workers[id.index()].tolerance,
            Place::Device(id) => &mut self.devices[id.index()].tolerance,
        }
    }

    /// Those whose requests may have to stop for what is short there.
    pub(super) fn workers_of(&self, place: Place) -> Vec<WorkerId> {
        match place {
            Place::Worker(id) => alloc::vec![id],
            Place::Device(id) => {
                let sharing = self.devices[id.index()].workers.iter().copied();
                sharing.filter(|&id| self.worker(id).is_up()).collect()
            }
        }
    }

    /// How many requests are there, on workers that drain as well.
    fn occupants(&self, place: Place) -> usize {
        let running = |id: WorkerId| self.worker(id).running.len();
        match place {
            Place::Worker(id) => running(id),
            Place::Device(id) => self.devices[id.index()].workers.iter().map(|&id| running(id)).sum(),
        }
    }

    fn relieve(&mut self, place: Place, short: &Resources) -> bool {
        let workers = self.workers_of(place);
        let here = workers.iter().flat_map(|&id| self.worker(id).running.iter().copied());
        let stays = here.filter(|&slot| {
            let in_use = &self.requests.run(slot).in_use;
            matches!(self.requests[slot].state, RequestState::Starting | RequestState::Running)
                && (0..MAX_DIMENSIONS).any(|d| short[d] > 0 && in_use[d] > 0)
        });
        let Some(victim) = stays.min_by_key(|&slot| self.pressure_order(slot, short)) else { return false };
        let (record, in_use) = (&self.requests[victim], self.requests.run(victim).in_use);
        if self.occupants(place) == 1
            || !self.pool(record.pool()).shapes.iter().any(|shape| in_use.fits(shape))
        {
            self.abort(victim, Reason::NeverFits);
        } else if record.never_yields() {
            self.abort(victim, Reason::OutOfMemory);
        } else {
            let unaccounted = self.unaccounted(victim, place, short);
            self.requests.rare_mut(victim).unaccounted = unaccounted;
            self.ask_to_stop(victim, None, None, Reason::OutOfMemory);
        }
        true
    }

    /// What is short where the victim runs, as far as its worker uses more than its requests add up to.
    fn unaccounted(&self, victim: u32, place: Place, short: &Resources) -> Resources {
        let worker = self.worker(self.requests.run(victim).worker);
        let on_worker = match place {
            Place::Worker(_) => *short,
            Place::Device(id) => worker
                .part_on(id)
                .map_or(Resources::ZERO, |part| short.zip(*short, |units, _| part.most_for(units))),
        };
        on_worker.min(worker.shift().positive())
    }

    fn pressure_order(&self, slot: u32, short: &Resources) -> impl Ord + use<> {
        let record = &self.requests[slot];
        let excess = self.pool(record.pool()).capacity.account(record.tier()).excess();
        let borrows = (0..MAX_DIMENSIONS).any(|d| short[d] > 0 && excess.0[d] > 0);
        // Those that never yield come last; of them the order is the tier and the start alone.
        let stays = record.never_yields();
        (
            stays,
            !stays && !borrows,
            Reverse(record.tier()),
            Reverse(self.requests.run(slot).started_at),
            Reverse(record.sequence),
        )
    }
}
