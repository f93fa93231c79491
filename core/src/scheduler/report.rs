//! What engines report of requests: started, declined, progress, stopped, ended.

use super::record::Run;
use super::stopping::tokens_of;
use super::usage::Ending;
use super::workers::WorkerStatus;
use super::{MAX_TOKENS, Scheduler};
use crate::error::{Limit, ReportError, WorkerError};
use crate::event::{Action, Completion, Decline, Reason, Release, StepException};
use crate::id::{Attempt, RequestId, WorkerId};
use crate::request::{RequestState, Usage};
use crate::resources::Resources;
use crate::slab::Lookup;
use crate::time::Instant;

/// How often in a row a request may be declined before it fails.
const MAX_DECLINES: u8 = 3;

impl Scheduler {
    /// The engine runs the request: `cached_tokens` of its prompt were found in a cache, and it takes
    /// `in_use` units. Optional: the first other report implies it. What it costs: as
    /// [`progress`](Self::progress).
    ///
    /// # Errors
    /// [`ReportError`]; [`ReportError::WrongState`] if it is not starting.
    pub fn started(
        &mut self,
        now: Instant,
        request: RequestId,
        attempt: Attempt,
        cached_tokens: u64,
        in_use: Resources,
    ) -> Result<(), ReportError> {
        self.advance(now);
        let slot = self.resolve_attempt(request, attempt)?;
        self.check_report(cached_tokens, &in_use)?;
        match self.requests[slot].state {
            RequestState::Starting | RequestState::Preempting | RequestState::Aborting => {}
            state => return Err(ReportError::WrongState { request, state }),
        }
        let is_first = !self.requests[slot].has_run;
        self.set_running(slot, in_use, |run, _| run.cached_tokens = cached_tokens);
        if is_first {
            self.charge_cached(slot, cached_tokens);
        }
        Ok(())
    }

    /// The engine did not take the request. It goes back to its place in the queue and is kept off that
    /// worker for a while; the third time in a row it is dropped. O(log n) for n that wait; if it never ran also
    /// O(those of its tier that did not either), from the nearer end of their arrivals.
    ///
    /// # Errors
    /// [`ReportError`]; [`ReportError::WrongState`] if a report came that it runs.
    pub fn declined(
        &mut self,
        now: Instant,
        request: RequestId,
        attempt: Attempt,
        _why: Decline,
    ) -> Result<(), ReportError> {
        self.advance(now);
        let slot = self.resolve_attempt(request, attempt)?;
        let (record, run) = (&self.requests[slot], self.requests.run(slot));
        if !matches!(record.state, RequestState::Starting | RequestState::Preempting) || run.runs {
            return Err(ReportError::WrongState { request, state: record.state });
        }
        let worker = run.worker;
        let is_last = record.declines + 1 == MAX_DECLINES;
        if !record.has_run {
            self.refund(slot);
            self.undo_hold(slot);
            self.requests.run_mut(slot).lapsed = false;
        }
        if is_last {
            self.end(slot, Ending::Failed);
            self.say(Action::Drop { request, reason: Reason::Declined });
            return Ok(());
        }
        self.requests[slot].declines += 1;
        self.unsay(slot);
        self.renew_hold(slot);
        self.leave(slot);
        self.note_return(slot);
        self.requests[slot].victims_for = 0;
        self.exclude(slot, worker);
        self.sit_out(slot);
        self.enqueue(slot, true);
        Ok(())
    }

    /// The request has generated `output_tokens` so far and takes `in_use` units now. O(1) where it stays within what was
    /// charged for it; O(log n) for n lines of tenants where it outran that, or may be a victim. Where the units changed, and
    /// its worker has claims or stands on devices, also O(claims, and workers that hang together by devices).
    ///
    /// # Errors
    /// [`ReportError`]; [`ReportError::WrongState`] if it is not on a worker.
    pub fn progress(
        &mut self,
        now: Instant,
        request: RequestId,
        attempt: Attempt,
        output_tokens: u64,
        in_use: Resources,
    ) -> Result<(), ReportError> {
        self.advance(now);
        let slot = self.resolve_attempt(request, attempt)?;
        self.check_report(output_tokens, &in_use)?;
        self.check_on_worker(slot)?;
        self.note_progress(slot, output_tokens, in_use);
        Ok(())
    }

    fn note_progress(&mut self, slot: u32, output_tokens: u64, in_use: Resources) {
        self.set_running(slot, in_use, |run, counted| {
            (run.output_tokens, run.step_mark) = (output_tokens, counted);
        });
    }

    /// The request runs no more and can go on later from `tokens_kept` tokens of context (0: from the
    /// beginning). It waits again, in the order of its arrival, before all that have not run. With
    /// [`Release::Later`] its units come later, by [`released`](Self::released). O(log n) for n that wait, where its worker
    /// has no claims.
    ///
    /// # Errors
    /// [`ReportError`]; [`ReportError::WrongState`] if it is not on a worker, or is to be aborted.
    pub fn preempted(
        &mut self,
        now: Instant,
        request: RequestId,
        attempt: Attempt,
        tokens_kept: u64,
        release: Release,
    ) -> Result<(), ReportError> {
        self.advance(now);
        let slot = self.resolve_attempt(request, attempt)?;
        self.check_report(tokens_kept, &Resources::ZERO)?;
        let state = self.check_on_worker(slot)?;
        if state == RequestState::Aborting {
            return Err(ReportError::WrongState { request, state });
        }
        self.unsay(slot);
        self.hear_of(slot);
        if tokens_kept == 0 {
            self.forget_checkpoint(slot);
        }
        self.settle_tokens(slot);
        self.requests.rare_mut(slot).tokens_kept = tokens_kept;
        self.meter_lost_work(slot);
        self.requests.note_stop(slot);
        let for_memory = self.requests.rare(slot).stopped_for_memory;
        let record = &mut self.requests[slot];
        record.declines = 0;
        record.victims_for = 0;
        if state == RequestState::Preempting {
            record.preemptions += u32::from(!for_memory);
            let counts = self.meter(slot).rare_counts();
            counts.preemptions += u64::from(!for_memory);
            counts.memory_preemptions += u64::from(for_memory);
            let reason = self.requests.run(slot).yields_for;
            self.metrics_of(slot).stop(reason);
        }
        match release {
            Release::Done => self.wait_again(slot),
            Release::Later => self.restate(slot, |record, _| record.state = RequestState::Releasing),
        }
        Ok(())
    }

    /// The units of a request that stopped with [`Release::Later`] are free. O(log n) for n that wait, where its worker has no
    /// claims.
    ///
    /// # Errors
    /// [`ReportError`]; [`ReportError::WrongState`] if it is not releasing.
    pub fn released(
        &mut self,
        now: Instant,
        request: RequestId,
        attempt: Attempt,
    ) -> Result<(), ReportError> {
        self.advance(now);
        let slot = self.resolve_attempt(request, attempt)?;
        let state = self.requests[slot].state;
        if state != RequestState::Releasing {
            return Err(ReportError::WrongState { request, state });
        }
        self.unsay(slot);
        self.wait_again(slot);
        Ok(())
    }

    /// The request is done. O(log n) for n lines of tenants, where its worker has no
    /// claims and stands on no devices; else also O(claims, and workers that hang together by devices).
    ///
    /// # Errors
    /// [`ReportError`]; [`ReportError::WrongState`] if it is not on a worker.
    pub fn complete(
        &mut self,
        now: Instant,
        request: RequestId,
        attempt: Attempt,
        usage: Usage,
    ) -> Result<(), ReportError> {
        self.advance(now);
        self.take_completion(&Completion { request, attempt, usage })
    }

    /// The request is done, now.
    pub(super) fn take_completion(&mut self, completion: &Completion) -> Result<(), ReportError> {
        let Completion { request, attempt, usage } = *completion;
        let slot = self.resolve_attempt(request, attempt)?;
        self.fetch_for_end(slot);
        self.check_report(
            usage.prompt_tokens.max(usage.cached_tokens).max(usage.output_tokens),
            &Resources::ZERO,
        )?;
        self.check_on_worker(slot)?;
        self.settle(slot, Ending::Completed, &usage);
        let tenant = self.requests[slot].spec.tenant;
        self.forget(slot);
        self.note_output(tenant, usage.output_tokens);
        Ok(())
    }

    /// The engine could not finish the request, or was told to abort it. O(log n) for n lines of tenants, where its worker has no
    /// claims and stands on no devices; else also O(claims, and workers that hang together by devices).
    ///
    /// # Errors
    /// [`ReportError`]; [`ReportError::WrongState`] if it is not on a worker.
    pub fn failed(&mut self, now: Instant, request: RequestId, attempt: Attempt) -> Result<(), ReportError> {
        self.advance(now);
        let slot = self.resolve_attempt(request, attempt)?;
        self.check_on_worker(slot)?;
        self.end(slot, Ending::Failed);
        Ok(())
    }

    /// One call for a whole engine step: every request on the worker that has reported before generated
    /// `tokens_each` tokens, but those in `exceptions`, which report as by [`progress`](Self::progress).
    /// O(exceptions); where one outran what was charged for it also O(requests on the worker).
    ///
    /// # Errors
    /// An unknown or lost worker; [`WorkerError::NotHere`]; what `progress` would refuse. Nothing changed then.
    pub fn step(
        &mut self,
        now: Instant,
        worker: WorkerId,
        tokens_each: u64,
        exceptions: &[StepException],
    ) -> Result<(), WorkerError> {
        self.advance(now);
        if self.status(worker)? == WorkerStatus::Lost {
            return Err(WorkerError::Lost(worker));
        }
        if tokens_each > MAX_TOKENS {
            return Err(WorkerError::LimitExceeded { limit: Limit::Tokens, max: MAX_TOKENS });
        }
        for &StepException { request, attempt, output_tokens, in_use } in exceptions {
            let slot = self.resolve_attempt(request, attempt)?;
            self.check_report(output_tokens, &in_use)?;
            self.check_on_worker(slot)?;
            if self.requests.run(slot).worker != worker {
                return Err(WorkerError::NotHere { request, worker });
            }
        }
        let counted = &mut self.worker_mut(worker).step_tokens;
        *counted = counted.wrapping_add(tokens_each);
        self.work_changed(worker);
        for exception in exceptions {
            self.note_progress(exception.request.slot(), exception.output_tokens, exception.in_use);
        }
        if tokens_each > 0 {
            self.note_first_tokens(worker);
        }
        self.charge_step(worker, tokens_each);
        Ok(())
    }

    fn check_report(&self, tokens: u64, units: &Resources) -> Result<(), ReportError> {
        if tokens > MAX_TOKENS {
            return Err(ReportError::LimitExceeded { limit: Limit::Tokens, max: MAX_TOKENS });
        }
        match self.units_beyond(units) {
            Some(max) => Err(ReportError::LimitExceeded { limit: Limit::Units, max }),
            None => Ok(()),
        }
    }

    /// The slot of a live request.
    pub(super) fn resolve(&self, request: RequestId) -> Result<u32, ReportError> {
        match self.requests.lookup(request) {
            Lookup::Live => Ok(request.slot()),
            Lookup::Gone => Err(ReportError::AlreadyTerminal(request)),
            Lookup::Never => Err(ReportError::UnknownRequest(request)),
        }
    }

    fn resolve_attempt(&self, request: RequestId, attempt: Attempt) -> Result<u32, ReportError> {
        let slot = self.resolve(request)?;
        let current = self.requests[slot].attempt();
        if attempt != current {
            return Err(ReportError::StaleAttempt { request, attempt, current });
        }
        Ok(slot)
    }

    /// The state of a request that runs or is to stop.
    fn check_on_worker(&self, slot: u32) -> Result<RequestState, ReportError> {
        match self.requests[slot].state {
            state @ (RequestState::Queued | RequestState::Parked | RequestState::Releasing) => {
                Err(ReportError::WrongState { request: self.requests.id(slot), state })
            }
            state => Ok(state),
        }
    }

    /// A report shows that the request runs, with `in_use` units; `note` is told what the worker's steps have counted.
    fn set_running(&mut self, slot: u32, in_use: Resources, note: impl FnOnce(&mut Run, u64)) {
        self.hear_of(slot);
        let (record, run) = self.requests.with_run_mut(slot);
        let counted = self.workers[run.worker.index()].step_tokens;
        let is_new = !run.runs;
        if is_new {
            run.step_mark = counted;
        }
        let before = core::mem::replace(&mut run.in_use, in_use);
        let (tokens, cached) = (tokens_of(run, counted), run.cached_tokens);
        note(run, counted);
        let loses_no_less = !is_new && tokens_of(run, counted) >= tokens && run.cached_tokens == cached;
        run.runs = true;
        record.has_run = true;
        record.declines = 0;
        if record.state == RequestState::Starting {
            record.state = RequestState::Running;
        }
        let (worker, has_tokens) = (run.worker, run.first_tokens.is_some());
        if !has_tokens {
            self.look_for_first_tokens(slot, is_new);
        }
        self.charge_output(slot);
        if before != in_use {
            self.hold_units(slot);
            self.note_report(slot, before, loses_no_less);
            self.book_resized(slot, before);
            if before.fits(&in_use) {
                self.grew(worker);
            } else {
                self.freed(worker);
            }
        } else {
            self.work_changed(worker);
            self.note_report(slot, before, loses_no_less);
        }
    }

    /// A request that has stopped waits again, unless it has outgrown every worker there is.
    pub(super) fn wait_again(&mut self, slot: u32) {
        if !self.can_come_back(slot) {
            let request = self.requests.id(slot);
            self.end(slot, Ending::Failed);
            self.say(Action::Drop { request, reason: Reason::NeverFits });
            return;
        }
        self.renew_hold(slot);
        self.leave(slot);
        self.note_return(slot);
        self.enter_first_choice(slot);
        self.sit_out(slot);
        self.enqueue(slot, true);
    }

    /// A request that had started will start again: what its tier has got done is less by one.
    fn note_return(&mut self, slot: u32) {
        let (pool, tier) = (self.requests[slot].pool(), self.requests[slot].tier());
        self.pool_mut(pool).pace[tier.index()].come_back();
    }

    /// Ends a request, wherever it stands, with what it has used so far.
    pub(super) fn end(&mut self, slot: u32, ending: Ending) {
        let used = self.used_so_far(slot);
        self.settle(slot, ending, &used);
        self.forget(slot);
    }

    fn forget(&mut self, slot: u32) {
        self.unsay(slot);
        self.forget_checkpoint(slot);
        if self.requests[slot].is_waiting() {
            self.dequeue(slot);
            self.give_up_claim(slot);
        } else {
            self.leave(slot);
        }
        self.leave_line(slot);
        let ended = &self.requests[slot];
        self.tenants.touch(ended.spec.tenant, |tenant| tenant.live -= 1);
        self.never_yielding -= u64::from(ended.never_yields());
        self.warmth.forget(slot);
        self.requests.forget(slot);
    }
}
