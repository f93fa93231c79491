//! The scheduler as a host sees it: every call goes through here, is counted, and is recorded, checked and
//! timed if asked for.

use std::time::Duration;

use thiserror::Error;
use tidegate::{
    Action, Attempt, Config, Digest, Input, InputError, Instant, InvariantViolation, PoolId, Recorder,
    RequestId, RequestSpec, Resources, Scheduler, Stats, SubmitError, Tier,
};

use super::stopwatch::Stopwatch;
use crate::whole_file::WholeFile;

/// Why a replay could not go on.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// An input that follows from the scheduler's own actions was refused: a bug.
    #[error("at {now} the scheduler refused {verb}: {answer}")]
    Refused {
        /// When.
        now: Instant,
        /// What it was told, as a journal calls it.
        verb: &'static str,
        /// What it answered.
        answer: Box<InputError>,
    },
    /// `--check` found a bug in the scheduler.
    #[error("at {now}, {violation}")]
    Invariant {
        /// When.
        now: Instant,
        /// What does not hold.
        violation: Box<InvariantViolation>,
    },
    /// The scheduler asks to be woken again and again, and does nothing then: a bug.
    #[error("at {now} the scheduler asked {times} times in a row to be woken at once, for nothing")]
    Livelock {
        /// When.
        now: Instant,
        /// How often.
        times: u32,
    },
}

/// A scheduler with a witness.
#[derive(Debug)]
pub(super) struct Host {
    scheduler: Scheduler,
    recorder: Option<Recorder<WholeFile>>,
    check: bool,
    digest: Digest,
    actions: u64,
    stopwatch: Stopwatch,
}

const NEVER_FAILS: &str = "a journal file keeps its errors until it is committed";

impl Host {
    pub(super) fn new(config: Config, journal: Option<WholeFile>, check: bool) -> Self {
        let start = Instant::ZERO;
        let recorder = journal.map(|file| Recorder::new(file, &config, start).expect(NEVER_FAILS));
        Self {
            scheduler: Scheduler::new(config, start),
            recorder,
            check,
            digest: Digest::new(),
            actions: 0,
            stopwatch: Stopwatch::start(),
        }
    }

    /// One event of the replay is over.
    #[inline]
    pub(super) fn next_event(&mut self) {
        self.stopwatch.next_event();
    }

    /// Submits a request, which the scheduler may refuse.
    pub(super) fn submit(
        &mut self,
        now: Instant,
        spec: RequestSpec,
    ) -> Result<Result<RequestId, SubmitError>, ReplayError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.input(now, &Input::Submit(spec)).expect(NEVER_FAILS);
        }
        let answer = self.stopwatch.time(|| self.scheduler.submit(now, spec));
        self.verify(now)?;
        Ok(answer)
    }

    /// Tells the scheduler what it is told most often: unless somebody watches, without making an [`Input`] of it.
    #[inline]
    pub(super) fn progress(
        &mut self,
        now: Instant,
        request: RequestId,
        attempt: Attempt,
        output_tokens: u64,
        in_use: Resources,
    ) -> Result<(), ReplayError> {
        if self.is_watched() {
            return self.tell(now, &Input::Progress { request, attempt, output_tokens, in_use });
        }
        let answer = self.scheduler.progress(now, request, attempt, output_tokens, in_use);
        answer.map_err(|answer| refused(now, "progress", answer.into()))
    }

    /// Tells the scheduler something it has to take.
    pub(super) fn tell(&mut self, now: Instant, input: &Input) -> Result<(), ReplayError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.input(now, input).expect(NEVER_FAILS);
        }
        if let Err(answer) = self.stopwatch.time(|| self.scheduler.apply(now, input)) {
            return Err(refused(now, input.verb(), answer));
        }
        self.verify(now)
    }

    #[inline]
    pub(super) fn poll(&mut self, now: Instant) -> Result<Option<Action>, ReplayError> {
        let action = if self.is_watched() { self.poll_watched(now)? } else { self.scheduler.poll(now) };
        if let Some(action) = &action {
            self.digest.action(now, action);
            self.actions += 1;
        }
        Ok(action)
    }

    fn poll_watched(&mut self, now: Instant) -> Result<Option<Action>, ReplayError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.poll(now).expect(NEVER_FAILS);
        }
        let action = self.stopwatch.time(|| self.scheduler.poll(now));
        self.verify(now)?;
        Ok(action)
    }

    /// Whether a call is recorded, checked or timed.
    #[inline]
    fn is_watched(&self) -> bool {
        self.check || self.recorder.is_some() || self.stopwatch.is_running()
    }

    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        self.stopwatch.time(|| self.scheduler.poll_timeout())
    }

    pub(super) fn effective_reserve(&self, pool: PoolId, tier: Tier) -> Resources {
        self.scheduler.effective_reserve(pool, tier).unwrap_or(Resources::ZERO)
    }

    /// What a tier wants of a pool, or will want by then.
    pub(super) fn wanted(&self, pool: PoolId, tier: Tier, ahead_ns: u64) -> Option<Resources> {
        self.scheduler.wanted(pool, tier, Duration::from_nanos(ahead_ns))
    }

    fn verify(&self, now: Instant) -> Result<(), ReplayError> {
        if !self.check {
            return Ok(());
        }
        let checked = self.scheduler.check_invariants();
        checked.map_err(|violation| ReplayError::Invariant { now, violation: Box::new(violation) })
    }

    /// What the run looked like from here.
    pub(super) fn finish(self) -> Witness {
        Witness {
            digest: self.digest,
            actions: self.actions,
            wall: self.stopwatch.wall(),
            scheduler_share: self.stopwatch.share(),
            stats: self.scheduler.stats(),
            journal: self.recorder.map(|recorder| recorder.finish().expect(NEVER_FAILS)),
        }
    }
}

#[cold]
fn refused(now: Instant, verb: &'static str, answer: InputError) -> ReplayError {
    ReplayError::Refused { now, verb, answer: Box::new(answer) }
}

/// What a [`Host`] saw of a whole run.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) digest: Digest,
    pub(super) actions: u64,
    pub(super) wall: Duration,
    pub(super) scheduler_share: f64,
    pub(super) stats: Stats,
    /// Whole, and not committed yet.
    pub(super) journal: Option<WholeFile>,
}
