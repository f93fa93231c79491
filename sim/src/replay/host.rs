//! The scheduler, or a policy in its place, as a host sees it: every call goes through here, is counted, and is recorded, checked and
//! timed if asked for.

use std::time::Duration;

use thiserror::Error;
use tidegate::{
    Action, Attempt, Digest, Input, InputError, Instant, InvariantViolation, PoolId, Recorder, RequestId,
    RequestSpec, Resources, Scheduler, SubmitError, Tier,
};

use super::stopwatch::Stopwatch;
use super::waiting_room::WaitingRoom;
use crate::policy::Job;
use crate::setup::Setup;
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
    /// `--check` found a bug in the books of a policy.
    #[error("at {now}, what workers have free is not what their requests leave")]
    Books {
        /// When.
        now: Instant,
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

/// Who decides.
enum Decider {
    Tidegate(Box<Scheduler>),
    Policy(Box<WaitingRoom>),
}

/// A scheduler with a witness.
pub(super) struct Host {
    decider: Decider,
    recorder: Option<Recorder<WholeFile>>,
    check: bool,
    digest: Digest,
    actions: u64,
    stopwatch: Stopwatch,
}

const NEVER_FAILS: &str = "a journal file keeps its errors until it is committed";

impl Host {
    pub(super) fn new(setup: &Setup, journal: Option<WholeFile>, check: bool) -> Self {
        let start = Instant::ZERO;
        let recorder = journal.map(|file| Recorder::new(file, &setup.config, start).expect(NEVER_FAILS));
        let decider = match setup.policy() {
            Some(policy) => {
                let workers = setup.worker_pools.len();
                Decider::Policy(Box::new(WaitingRoom::new(policy, setup.layout, workers)))
            }
            None => Decider::Tidegate(Box::new(Scheduler::new(setup.config.clone(), start))),
        };
        Self { decider, recorder, check, digest: Digest::new(), actions: 0, stopwatch: Stopwatch::start() }
    }

    /// One event of the replay is over.
    #[inline]
    pub(super) fn next_event(&mut self) {
        self.stopwatch.next_event();
    }

    /// Submits a request, which may be refused, with the reason in a word. Only a policy is told of its job.
    pub(super) fn submit(
        &mut self,
        now: Instant,
        spec: RequestSpec,
        job: Job,
    ) -> Result<Result<RequestId, &'static str>, ReplayError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.input(now, &Input::Submit(spec)).expect(NEVER_FAILS);
        }
        let decider = &mut self.decider;
        let answer = self.stopwatch.time(|| match decider {
            Decider::Tidegate(scheduler) => scheduler.submit(now, spec).map_err(|error| refusal(&error)),
            Decider::Policy(room) => room.submit(now, job, &spec.demand),
        });
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
        match &mut self.decider {
            Decider::Tidegate(scheduler) => scheduler
                .progress(now, request, attempt, output_tokens, in_use)
                .map_err(|answer| refused(now, "progress", answer.into())),
            Decider::Policy(room) => {
                room.progress(request, output_tokens, &in_use);
                Ok(())
            }
        }
    }

    /// Tells the scheduler something it has to take.
    pub(super) fn tell(&mut self, now: Instant, input: &Input) -> Result<(), ReplayError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.input(now, input).expect(NEVER_FAILS);
        }
        let decider = &mut self.decider;
        let answer = self.stopwatch.time(|| match decider {
            Decider::Tidegate(scheduler) => scheduler.apply(now, input).map(|_| ()),
            Decider::Policy(room) => {
                room.tell(now, input);
                Ok(())
            }
        });
        if let Err(answer) = answer {
            return Err(refused(now, input.verb(), answer));
        }
        self.verify(now)
    }

    #[inline]
    pub(super) fn poll(&mut self, now: Instant) -> Result<Option<Action>, ReplayError> {
        let action = if self.is_watched() { self.poll_watched(now)? } else { self.decider.poll(now) };
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
        let decider = &mut self.decider;
        let action = self.stopwatch.time(|| decider.poll(now));
        self.verify(now)?;
        Ok(action)
    }

    /// Whether a call is recorded, checked or timed.
    #[inline]
    fn is_watched(&self) -> bool {
        self.check || self.recorder.is_some() || self.stopwatch.is_running()
    }

    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        match &mut self.decider {
            Decider::Tidegate(scheduler) => self.stopwatch.time(|| scheduler.poll_timeout()),
            Decider::Policy(_) => None,
        }
    }

    pub(super) fn effective_reserve(&self, pool: PoolId, tier: Tier) -> Resources {
        match &self.decider {
            Decider::Tidegate(scheduler) => {
                scheduler.effective_reserve(pool, tier).unwrap_or(Resources::ZERO)
            }
            Decider::Policy(_) => Resources::ZERO,
        }
    }

    /// What a tier wants of a pool, or will want by then. Policies tell nothing of that.
    pub(super) fn wanted(&self, pool: PoolId, tier: Tier, ahead_ns: u64) -> Option<Resources> {
        match &self.decider {
            Decider::Tidegate(scheduler) => scheduler.wanted(pool, tier, Duration::from_nanos(ahead_ns)),
            Decider::Policy(_) => None,
        }
    }

    fn verify(&self, now: Instant) -> Result<(), ReplayError> {
        if !self.check {
            return Ok(());
        }
        match &self.decider {
            Decider::Tidegate(scheduler) => scheduler
                .check_invariants()
                .map_err(|violation| ReplayError::Invariant { now, violation: Box::new(violation) }),
            Decider::Policy(room) if room.adds_up() => Ok(()),
            Decider::Policy(_) => Err(ReplayError::Books { now }),
        }
    }

    /// What the run looked like from here.
    pub(super) fn finish(self) -> Witness {
        Witness {
            digest: self.digest,
            actions: self.actions,
            wall: self.stopwatch.wall(),
            scheduler_share: self.stopwatch.share(),
            completed: match &self.decider {
                Decider::Tidegate(scheduler) => scheduler.stats().completed,
                Decider::Policy(room) => room.completed(),
            },
            journal: self.recorder.map(|recorder| recorder.finish().expect(NEVER_FAILS)),
        }
    }
}

impl Decider {
    #[inline]
    fn poll(&mut self, now: Instant) -> Option<Action> {
        match self {
            Self::Tidegate(scheduler) => scheduler.poll(now),
            Self::Policy(room) => room.poll(now),
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
    pub(super) completed: u64,
    /// Whole, and not committed yet.
    pub(super) journal: Option<WholeFile>,
}

/// The name under which a refused submission is counted.
fn refusal(error: &SubmitError) -> &'static str {
    match error {
        SubmitError::NeverFits { .. } => "never-fits",
        SubmitError::QueueFull { .. } => "queue-full",
        SubmitError::ZeroDemand => "zero-demand",
        SubmitError::LimitExceeded { .. } => "limit-exceeded",
        _ => "refused",
    }
}
