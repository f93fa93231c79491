//! Memory pressure: requests on a worker grew beyond what it has.
//!
//! Borrowers yield before those within their reserve, the least urgent tier first, then the newest start; the
//! own tier is not spared and no protection applies. If none may yield, the newest of the least urgent tier
//! is aborted.

use core::cmp::Reverse;

use super::Scheduler;
use super::record::Record;
use crate::event::{Action, Reason};
use crate::id::WorkerId;
use crate::request::RequestState;
use crate::resources::{MAX_DIMENSIONS, Resources};

impl Scheduler {
    pub(super) fn notice_pressure(&mut self, worker: WorkerId) {
        if !self.pressured.contains(&worker) {
            self.pressured.push(worker);
        }
    }

    /// Stops one request on a worker that uses more than it has. Whether there was need to.
    pub(super) fn relieve_pressure(&mut self) -> bool {
        while let Some(&worker) = self.pressured.last() {
            let short = self.worker(worker).overdraft();
            if !short.is_zero() && self.worker(worker).is_up() && self.relieve(worker, &short) {
                return true;
            }
            self.pressured.pop();
        }
        false
    }

    fn relieve(&mut self, worker: WorkerId, short: &Resources) -> bool {
        let contributes = |record: &Record| (0..MAX_DIMENSIONS).any(|d| short[d] > 0 && record.in_use[d] > 0);
        let here = self.worker(worker).running.iter().copied();
        let stays = here.filter(|&slot| {
            let record = &self.requests[slot];
            matches!(record.state, RequestState::Starting | RequestState::Running) && contributes(record)
        });
        let Some(victim) = stays.min_by_key(|&slot| self.pressure_order(slot, short)) else { return false };
        let record = &self.requests[victim];
        let alone = self.worker(worker).running.len() == 1;
        if alone || !self.pool(record.pool()).shapes.iter().any(|shape| record.in_use.fits(shape)) {
            self.abort(victim, Reason::NeverFits);
        } else if record.never_yields() {
            self.abort(victim, Reason::OutOfMemory);
        } else {
            self.ask_to_stop(victim, None, None, Reason::OutOfMemory);
        }
        true
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
            Reverse(record.started_at),
            Reverse(record.sequence),
        )
    }

    fn abort(&mut self, slot: u32, reason: Reason) {
        self.rebook(slot, |record| {
            record.state = RequestState::Aborting;
            record.yields_for = reason;
        });
        let (request, attempt) = (self.requests.id(slot), self.requests[slot].attempt());
        self.say(Action::Abort { request, attempt, reason });
    }

    /// What a victim asks for when it starts again: what it used, and after memory pressure what it is
    /// expected to use at its peak, as far as a worker has that; at most what its tier may ever have, so that
    /// one that grew beyond it is not kept out for ever.
    pub(super) fn asks_after_stop(&self, slot: u32) -> Resources {
        let record = &self.requests[slot];
        let ceiling = self.pool(record.pool()).configured.ceiling(record.tier(), record.never_yields());
        let least = record.spec.demand.max(record.in_use).min(ceiling);
        if record.yields_for != Reason::OutOfMemory || record.state != RequestState::Preempting {
            return least;
        }
        let peak = record.spec.peak.max(least);
        let holders = self.pool(record.pool()).shapes.iter().filter(|shape| least.fits(shape));
        holders.map(|&shape| peak.min(shape)).max().unwrap_or(least).min(ceiling)
    }
}
