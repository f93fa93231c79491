//! One scheduler for any number of threads: an intake in front, and one lock around the scheduler behind it.
//!
//! Decides nothing. A thread leaves what it has to say with the instant at which it says it, and goes on; what came of
//! it is told to the thread that polls, in the order in which it was applied, before the actions that follow from it.
//! Who takes the lock first applies what lies in the intake, so that all that one thread says is heard in its order,
//! whichever way it says it, and what a thread says because of another's word is heard after that. A `now` that another
//! one overtook counts as no time passed.
//!
//! **Bounds.** The intake is locked for one item to be put in or for all of them to be taken out in one, never under a
//! poll: that is all that [`submit`](SharedScheduler::submit), [`cancel`](SharedScheduler::cancel),
//! [`tell`](SharedScheduler::tell) and [`wait`](SharedScheduler::wait) can be kept by. The scheduler is locked for as
//! many items as fit the intake and one closure, or as many actions as the poll may take; it is handed over to whoever
//! waits for it, so that nobody waits for more than those who came before.

mod intake;
mod primitives;
mod tickets;

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use intake::Intake;
use parking_lot::{Mutex, MutexGuard};
use thiserror::Error;
use tickets::Tickets;

use crate::error::InputError;
use crate::event::{Action, Input};
use crate::id::RequestId;
use crate::request::{RequestSpec, RequestState};
use crate::scheduler::{Created, Scheduler};
use crate::time::Instant;

/// What was left in the intake: the number of one call, so that its outcome can be told from others. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// The ticket with this number; it need not be of any call.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number. A later call of the same thread has a higher one.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ticket {}", self.0)
    }
}

/// Why a call was not taken. Nothing changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SharedError {
    /// Not now: the intake is full, or what came of it was not fetched by a poll.
    #[error("the intake is full: poll, or say it again later")]
    Busy,
    /// Never again: a thread panicked while it held the scheduler, which may be torn.
    #[error("a thread panicked while it held the scheduler")]
    Poisoned,
}

/// What a poll tells, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// A wish of the scheduler, as [`Scheduler::poll`] returns it.
    Action(Action),
    /// A request was accepted; its `Start` or `Drop` comes later.
    Accepted {
        /// Of its `submit`.
        ticket: Ticket,
        /// Of its spec.
        tag: u64,
        /// The request.
        request: RequestId,
    },
    /// A tenant, a worker or a device was made.
    Created {
        /// Of the `tell`.
        ticket: Ticket,
        /// What.
        created: Created,
    },
    /// An input was refused, and changed nothing.
    Refused {
        /// Of the `submit` or `tell`.
        ticket: Ticket,
        /// Of the spec that was submitted; 0 of any other input.
        tag: u64,
        /// Why.
        error: InputError,
    },
    /// A request that waited was cancelled by its ticket; it has ended.
    Cancelled {
        /// Of its `submit`.
        ticket: Ticket,
        /// The request.
        request: RequestId,
    },
    /// A request was cancelled by its ticket while an engine has it: stop it there, then tell `Input::Cancel`. If its
    /// `Start` is still to come, do not start it.
    StopFirst {
        /// Of its `submit`.
        ticket: Ticket,
        /// The request.
        request: RequestId,
    },
}

/// One call of a thread.
#[derive(Debug)]
struct Item {
    now: Instant,
    ticket: Ticket,
    verb: Verb,
}

#[derive(Debug)]
enum Verb {
    Input(Input),
    /// Cancels what was submitted with the item's ticket.
    CancelByTicket,
}

/// What the lock guards.
#[derive(Debug)]
struct Core {
    scheduler: Scheduler,
    tickets: Tickets,
    /// What came of items that no poll applied, for the next one that polls.
    untold: Vec<Outcome>,
    /// Room for the items that are applied next.
    batch: Vec<Item>,
    /// Whether somebody is at it: whoever finds it so after locking knows that a thread panicked.
    held: bool,
}

/// A [`Scheduler`] that any number of threads use through one shared reference.
///
/// Most threads only [`submit`](Self::submit), [`cancel`](Self::cancel) and [`tell`](Self::tell). One, the engine's,
/// calls [`poll_into`](Self::poll_into) until it returns `false`, and then [`wait`](Self::wait). For an answer on the
/// spot, or many reports at once, there is [`with`](Self::with).
#[derive(Debug)]
pub struct SharedScheduler {
    intake: Intake<Item>,
    core: Mutex<Core>,
}

impl SharedScheduler {
    /// How large an intake does for most servers: 1,024 items, some 200 KiB that fit a core's cache, and a fraction of a
    /// millisecond of work for whoever has to wait.
    pub const DEFAULT_INTAKE: usize = 1_024;

    /// Shares a scheduler, with room for so many items in the intake; 0 counts as 1.
    #[must_use]
    pub fn new(scheduler: Scheduler, intake: usize) -> Self {
        let intake = Intake::new(intake.max(1));
        let core = Core {
            scheduler,
            tickets: Tickets::default(),
            untold: Vec::new(),
            batch: Vec::with_capacity(intake.capacity()),
            held: false,
        };
        Self { intake, core: Mutex::new(core) }
    }

    /// Submits a request: [`Outcome::Accepted`] or [`Outcome::Refused`] follows, with the ticket and the spec's tag. A
    /// thread that must find its request by then chooses the tag, which it knows before. Waits for no poll. O(1).
    ///
    /// # Errors
    /// [`SharedError`]: it was not taken.
    pub fn submit(&self, now: Instant, spec: RequestSpec) -> Result<Ticket, SharedError> {
        self.leave(|ticket| Item { now, ticket, verb: Verb::Input(Input::Submit(spec)) })
    }

    /// Cancels what was submitted with this ticket, applied yet or not. While it waits it ends at once
    /// ([`Outcome::Cancelled`]); if an engine has it, the engine's thread is asked to stop it
    /// ([`Outcome::StopFirst`]); if it has ended or was refused, nothing follows. Waits for no poll. O(1).
    ///
    /// # Errors
    /// [`SharedError`]: it was not taken.
    pub fn cancel(&self, now: Instant, ticket: Ticket) -> Result<(), SharedError> {
        self.leave(|_| Item { now, ticket, verb: Verb::CancelByTicket }).map(|_| ())
    }

    /// Tells any input. [`Outcome::Refused`] follows if it was, and what it made if it made something. Waits for no
    /// poll. O(1) and what a clone of the input takes.
    ///
    /// # Errors
    /// [`SharedError`]: it was not taken.
    pub fn tell(&self, now: Instant, input: &Input) -> Result<Ticket, SharedError> {
        let input = input.clone();
        self.leave(|ticket| Item { now, ticket, verb: Verb::Input(input) })
    }

    /// Applies what lies in the intake, then appends to `outcomes` all that came of it, and at most `max_actions` of
    /// the scheduler. `true`: there is more, call again; `false`: the round has ended. May wait for the lock.
    ///
    /// # Errors
    /// [`SharedError::Poisoned`]. What `outcomes` has by then is true.
    pub fn poll_into(
        &self,
        now: Instant,
        max_actions: usize,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<bool, SharedError> {
        let more = self.locked(|core| {
            outcomes.append(&mut core.untold);
            core.drain(&self.intake, outcomes);
            let now = core.latest(now);
            for _ in 0..max_actions {
                match core.scheduler.poll(now) {
                    Some(action) => outcomes.push(Outcome::Action(action)),
                    None => return false,
                }
            }
            true
        })?;
        if more {
            // Another thread may go on if this one does not live to.
            self.intake.stir();
        }
        Ok(more)
    }

    /// Sleeps until there is something to poll or the host's clock, which shows `now`, shows `until`; sometimes returns
    /// earlier. Whether there is something to poll. Waits for no poll.
    ///
    /// Wait until [`Scheduler::poll_timeout`], read after the last poll: whatever changes in between is noticed.
    ///
    /// # Errors
    /// [`SharedError::Poisoned`], at once.
    pub fn wait(&self, now: Instant, until: Option<Instant>) -> Result<bool, SharedError> {
        self.intake.wait(until.map(|until| Duration::from_nanos(until.nanos_since(now))))
    }

    /// Applies what lies in the intake, then does what `act` does. For verbs whose answer is wanted on the spot, and for
    /// many at once. What the intake's items came to is told by the next poll; actions are to be polled by
    /// [`poll_into`](Self::poll_into) alone. May wait for the lock; `act` must not come back to this scheduler.
    ///
    /// # Errors
    /// [`SharedError::Busy`] if polls are so far behind that there is no room for what they have to tell.
    pub fn with<R>(&self, act: impl FnOnce(&mut Scheduler) -> R) -> Result<R, SharedError> {
        let answer = self.locked(|core| {
            if core.untold.len() >= self.intake.capacity() {
                return Err(SharedError::Busy);
            }
            let mut untold = core::mem::take(&mut core.untold);
            core.drain(&self.intake, &mut untold);
            core.untold = untold;
            Ok(act(&mut core.scheduler))
        })??;
        self.intake.stir();
        Ok(answer)
    }

    /// Reads the scheduler as it is, without what lies in the intake. May wait for the lock.
    ///
    /// # Errors
    /// [`SharedError::Poisoned`].
    pub fn read<R>(&self, look: impl FnOnce(&Scheduler) -> R) -> Result<R, SharedError> {
        self.locked(|core| look(&core.scheduler))
    }

    fn leave(&self, item: impl FnOnce(Ticket) -> Item) -> Result<Ticket, SharedError> {
        self.intake.push(|number| item(Ticket(number))).map(Ticket)
    }

    /// Does something under the lock, and then lets whoever waits for it be next.
    fn locked<R>(&self, act: impl FnOnce(&mut Core) -> R) -> Result<R, SharedError> {
        let mut core = self.core.lock();
        if core::mem::replace(&mut core.held, true) {
            return Err(SharedError::Poisoned);
        }
        let alarm = Alarm(&self.intake);
        let answer = act(&mut core);
        core::mem::forget(alarm);
        core.held = false;
        MutexGuard::unlock_fair(core);
        Ok(answer)
    }
}

/// Closes the intake when it is dropped, which only a panic under the lock does.
struct Alarm<'a>(&'a Intake<Item>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Core {
    /// Applies what lies in the intake, all that this thread left among it; no more comes while it does.
    fn drain(&mut self, intake: &Intake<Item>, outcomes: &mut Vec<Outcome>) {
        let mut batch = core::mem::take(&mut self.batch);
        intake.take(&mut batch);
        outcomes.extend(batch.iter().filter_map(|item| self.apply(item)));
        batch.clear();
        self.batch = batch;
    }

    fn apply(&mut self, &Item { now, ticket, ref verb }: &Item) -> Option<Outcome> {
        let now = self.latest(now);
        let Verb::Input(input) = verb else { return self.cancel(now, ticket) };
        let tag = match input {
            Input::Submit(spec) => spec.tag,
            _ => 0,
        };
        match self.scheduler.apply(now, input) {
            Ok(Created::Nothing) => None,
            Ok(Created::Request(request)) => {
                self.tickets.insert(ticket, request);
                Some(Outcome::Accepted { ticket, tag, request })
            }
            Ok(created) => Some(Outcome::Created { ticket, created }),
            Err(error) => Some(Outcome::Refused { ticket, tag, error }),
        }
    }

    /// This instant, or the one that overtook it: what another thread said first is no fault of the host's clock.
    fn latest(&self, now: Instant) -> Instant {
        now.max(self.scheduler.now())
    }

    fn cancel(&mut self, now: Instant, ticket: Ticket) -> Option<Outcome> {
        let request = self.tickets.find(ticket)?;
        match self.scheduler.state(request).ok()? {
            RequestState::Queued | RequestState::Parked => {
                self.scheduler.cancel(now, request).ok()?;
                Some(Outcome::Cancelled { ticket, request })
            }
            _ => Some(Outcome::StopFirst { ticket, request }),
        }
    }
}
