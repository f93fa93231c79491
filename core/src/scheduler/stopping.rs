//! What stopping a request costs, and how it stops: recomputing or swapping, whichever is cheaper by the host's
//! numbers, and whether a checkpoint of it can be kept. Asks it to stop, takes the asking back, or ends it; who has
//! to is decided by others.

use super::Scheduler;
use super::record::{NOWHERE, Run};
use crate::event::{Action, Reason, YieldMode};
use crate::id::WorkerId;
use crate::preempt::{self, AtStake, Bounds};
use crate::request::{RequestState, Yielding};
use crate::resources::{Balance, Resources};

impl Scheduler {
    /// Tokens a request has generated over its life.
    pub(super) fn output_tokens(&self, slot: u32) -> u64 {
        let run = self.requests.run(slot);
        if run.runs { tokens_of(run, self.worker(run.worker).step_tokens) } else { run.output_tokens }
    }

    /// Takes what steps counted for a request into its own record.
    pub(super) fn settle_tokens(&mut self, slot: u32) {
        let (_, run) = self.requests.with_run_mut(slot);
        let counted = self.workers[run.worker.index()].step_tokens;
        run.output_tokens = tokens_of(run, counted);
        run.step_mark = counted;
    }

    fn context_tokens(&self, slot: u32) -> u64 {
        self.requests[slot].spec.prompt_tokens.saturating_add(self.output_tokens(slot))
    }

    /// Tokens of context that a running request would compute again, had it to begin from what is cached or kept.
    pub(super) fn tokens_to_recompute(&self, slot: u32) -> u64 {
        let run = self.requests.run(slot);
        if !run.runs {
            return 0;
        }
        self.context_tokens(slot).saturating_sub(run.cached_tokens.max(self.requests.rare(slot).tokens_kept))
    }

    /// Nanoseconds to compute again what a running request would lose without a checkpoint; as many as tokens,
    /// where no step-time model is given.
    fn recompute_ns(&self, slot: u32) -> u64 {
        self.tokens_to_recompute(slot).saturating_mul(self.compute_token_ns())
    }

    pub(super) fn compute_token_ns(&self) -> u64 {
        self.config.step_time.map_or(1, |model| model.prompt_token_ns)
    }

    /// What a search for victims goes by, of one that may yield.
    pub(super) fn yielder_bounds(&self, slot: u32) -> Bounds {
        let (record, run) = (&self.requests[slot], self.requests.run(slot));
        let stake = AtStake {
            context: self.context_tokens(slot),
            safe: run.cached_tokens.max(self.requests.rare(slot).tokens_kept),
            runs: run.runs,
            can_swap: record.spec.yielding == Yielding::Checkpoint,
        };
        let steps = preempt::steps_told(self.worker(run.worker).step_tokens);
        let id = self.requests.id(slot);
        Bounds::of_one(id, run.in_use, stake, steps, run.started_at, record.preemptions)
    }

    /// Whether another request may stop one now.
    pub(super) fn may_be_stopped(&self, slot: u32) -> bool {
        let record = &self.requests[slot];
        self.stoppable[record.tier().index()] && record.may_yield()
    }

    /// One that came to a worker, or may yield again, is known to searches for victims if it may.
    #[inline]
    pub(super) fn list_yielder(&mut self, slot: u32) {
        if self.may_be_stopped(slot) {
            self.list(slot);
        }
    }

    fn list(&mut self, slot: u32) {
        let bounds = self.yielder_bounds(slot);
        let (record, run) = self.requests.with_run_mut(slot);
        let worker = &mut self.workers[run.worker.index()];
        self.changes.note(run.worker, worker);
        let yielders = &mut worker.yielders[record.spec.tier.index()];
        run.yield_place = yielders.insert(slot, &bounds);
        yielders.total += run.in_use;
    }

    /// One that leaves its worker, or is to stop, is known to searches for victims no more.
    #[inline]
    pub(super) fn unlist_yielder(&mut self, slot: u32) {
        if self.requests.run(slot).yield_place != NOWHERE {
            self.unlist(slot);
        }
    }

    fn unlist(&mut self, slot: u32) {
        let (record, run) = self.requests.with_run_mut(slot);
        let place = core::mem::replace(&mut run.yield_place, NOWHERE);
        let worker = &mut self.workers[run.worker.index()];
        self.changes.note(run.worker, worker);
        let yielders = &mut worker.yielders[record.spec.tier.index()];
        yielders.remove(place);
        yielders.total -= run.in_use;
    }

    /// One that used `before` has reported; searches for victims know it as it is now. Who `loses_no_less` than before, as
    /// nearly each that grows, is within what was known of that: 4 % of a replay.
    pub(super) fn note_report(&mut self, slot: u32, before: Resources, loses_no_less: bool) {
        let record = &self.requests[slot];
        let run = self.requests.run_of(record);
        let place = run.yield_place;
        if place == NOWHERE {
            return;
        }
        let bounds = (!loses_no_less).then(|| self.yielder_bounds(slot));
        let worker = &mut self.workers[run.worker.index()];
        let yielders = &mut worker.yielders[record.spec.tier.index()];
        let widens = match bounds {
            Some(bounds) => yielders.widen(place, &bounds),
            None => yielders.widen_use(place, &run.in_use),
        };
        yielders.total.shift(&Balance::of(run.in_use, before));
        if widens || before != run.in_use {
            self.changes.note(run.worker, worker);
        }
    }

    fn swap_ns(&self, slot: u32) -> u64 {
        self.context_tokens(slot).saturating_mul(self.config.swap_token_ns)
    }

    /// Nanoseconds of work that stopping a request costs.
    pub(super) fn work_lost(&self, slot: u32) -> u64 {
        let recompute = self.recompute_ns(slot);
        match self.requests[slot].spec.yielding {
            Yielding::Checkpoint => recompute.min(self.swap_ns(slot)),
            Yielding::Restart | Yielding::Never => recompute,
        }
    }

    /// In how many nanoseconds a running request is done, if its length and the steps' are known.
    pub(super) fn finishes_after(&self, slot: u32) -> Option<u64> {
        let record = &self.requests[slot];
        let (model, expected) = (self.config.step_time?, record.spec.output_tokens()?);
        let running = self.worker(self.requests.run(slot).worker).running.len() as u64;
        let step = model.base_ns.saturating_add(running.saturating_mul(model.decode_ns));
        Some(expected.saturating_sub(self.output_tokens(slot)).saturating_mul(step))
    }

    fn checkpoint_kib(&self, slot: u32) -> u128 {
        u128::from(self.context_tokens(slot)) * u128::from(self.config.checkpoint_kib_per_token)
    }

    /// Whether its devices could keep a checkpoint of a running request, in place of the one that it may have.
    pub(super) fn has_checkpoint_room(&self, slot: u32) -> bool {
        let (kib, former) = (self.checkpoint_kib(slot), self.requests.rare(slot).checkpoint);
        self.worker(self.requests.run(slot).worker).spec.devices.iter().all(|part| {
            let device = &self.devices[part.device.index()];
            let limit = device.spec.checkpoint_mib.map_or(u128::MAX, |mib| u128::from(mib) * 1024);
            let given_back = former.filter(|&(worker, _)| self.worker(worker).part_on(part.device).is_some());
            let others = device.checkpoints_kib - given_back.map_or(0, |(_, kib)| kib);
            others + kib <= limit
        })
    }

    /// Whether it can be saved, and is sooner than it is computed again.
    pub(super) fn is_worth_a_checkpoint(&self, slot: u32) -> bool {
        self.requests[slot].spec.yielding == Yielding::Checkpoint
            && self.swap_ns(slot) <= self.recompute_ns(slot)
    }

    /// How a victim stops; a checkpoint's memory is set aside.
    pub(super) fn choose_mode(&mut self, slot: u32) -> YieldMode {
        let kib = self.checkpoint_kib(slot);
        let worth = self.is_worth_a_checkpoint(slot);
        let (worker, has_room) = (self.requests.run(slot).worker, self.has_checkpoint_room(slot));
        self.forget_checkpoint(slot);
        if !worth || !has_room {
            return YieldMode::Restart;
        }
        for part in &self.workers[worker.index()].spec.devices {
            self.devices[part.device.index()].checkpoints_kib += kib;
        }
        self.requests.rare_mut(slot).checkpoint = Some((worker, kib));
        YieldMode::Checkpoint
    }

    /// A request's checkpoint is gone, if it had one, and its memory free.
    #[inline]
    pub(super) fn forget_checkpoint(&mut self, slot: u32) {
        if let Some((worker, kib)) = self.requests.rare(slot).checkpoint {
            self.free_checkpoint(slot, worker, kib);
        }
    }

    fn free_checkpoint(&mut self, slot: u32, worker: WorkerId, kib: u128) {
        let rare = self.requests.rare_mut(slot);
        (rare.checkpoint, rare.tokens_kept) = (None, 0);
        for part in &self.workers[worker.index()].spec.devices {
            self.devices[part.device.index()].checkpoints_kib -= kib;
        }
    }

    /// Asks a running request to stop.
    pub(super) fn ask_to_stop(
        &mut self,
        victim: u32,
        beneficiary: Option<u32>,
        claim: Option<u32>,
        reason: Reason,
    ) {
        let confirm_by = self.now.plus_nanos(self.config.confirm_after_ns);
        let mode = self.choose_mode(victim);
        self.stop_watching_hold(victim);
        self.restate(victim, |record, run| {
            record.state = RequestState::Preempting;
            run.yields_for = reason;
            run.serves = claim;
        });
        let (request, record) = (self.requests.id(victim), &self.requests[victim]);
        self.timers.insert((confirm_by, record.sequence), victim);
        self.say(Action::Preempt {
            victim: request,
            attempt: record.attempt(),
            mode,
            beneficiary: beneficiary.map(|slot| self.requests.id(slot)),
            confirm_by,
            reason,
        });
    }

    /// Takes the asking back; if the host has not heard of it yet, it never will.
    pub(super) fn spare(&mut self, victim: u32) {
        if self.requests[victim].state == RequestState::Releasing {
            self.requests.run_mut(victim).serves = None; // it has stopped already
            return;
        }
        let unheard = self.unsay(victim);
        self.timers.remove(victim);
        self.forget_checkpoint(victim);
        self.restate(victim, |record, run| {
            record.state = if run.runs { RequestState::Running } else { RequestState::Starting };
            run.serves = None;
        });
        if !self.requests.run(victim).runs {
            self.watch_hold(victim);
        }
        self.notice_pressure(self.requests.run(victim).worker);
        if !unheard {
            let (request, attempt) = (self.requests.id(victim), self.requests[victim].attempt());
            self.say(Action::Spare { victim: request, attempt, reason: Reason::NotNeeded });
        }
    }

    /// A running request has to end; its units come when it has stopped.
    pub(super) fn abort(&mut self, slot: u32, reason: Reason) {
        self.stop_watching_hold(slot);
        self.restate(slot, |record, run| {
            record.state = RequestState::Aborting;
            run.yields_for = reason;
        });
        let (request, attempt) = (self.requests.id(slot), self.requests[slot].attempt());
        self.say(Action::Abort { request, attempt, reason });
    }
}

/// What a request has generated, if the steps of its worker have counted so much.
#[inline]
pub(super) fn tokens_of(run: &Run, counted: u64) -> u64 {
    // The worker's count goes round: what matters is how far it has come since.
    let steps = if run.runs { counted.wrapping_sub(run.step_mark) } else { 0 };
    run.output_tokens.saturating_add(steps)
}
