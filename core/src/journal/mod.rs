//! What decided a run: the config and every input with its instant, as text, and the digest that proves
//! that a replay took the same decisions. `docs/JOURNAL.md` is the format.
//!
//! The room knows how inputs are written, not what they do: a line that can be read is a line that the
//! scheduler may still refuse, and the refusal is part of the run. Time and space are linear in the entries;
//! a [`Recorder`] keeps none of them.

mod digest;
mod line;
mod parse;
mod recorder;

use alloc::vec::Vec;
use core::fmt;

pub use digest::Digest;
pub use parse::{JournalError, JournalFault};
pub use recorder::Recorder;

use crate::config::Config;
use crate::event::Input;
use crate::scheduler::Scheduler;
use crate::time::Instant;

/// What was done to the scheduler at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A verb of the host.
    Input(Input),
    /// `poll` was called this many times in a row, the call that returned nothing included.
    Poll {
        /// At least 1.
        calls: u32,
    },
}

/// As its line in a journal says it, without the instant: `poll CALLS`, or a verb and its fields. A config stands below.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(input) => line::write_input(f, input),
            Self::Poll { calls } => write!(f, "poll {calls}"),
        }
    }
}

/// A run in memory. For one that is only to be written, [`Recorder`] needs no memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The config the scheduler was created with.
    pub config: Config,
    /// The instant at which it was created.
    pub started_at: Instant,
    /// What followed, in order; instants may go backwards, as a host's clock may.
    pub entries: Vec<(Instant, Entry)>,
}

/// What came of a replay. It prints as the line that every replayer ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Over all actions, in order.
    pub digest: Digest,
    /// How many actions.
    pub actions: u64,
    /// How many inputs, refused ones included.
    pub inputs: u64,
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "digest {} actions {} inputs {}", self.digest, self.actions, self.inputs)
    }
}

impl Journal {
    /// A run that begins: `Scheduler::new(config, now)`.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        Self { config, started_at: now, entries: Vec::new() }
    }

    /// Adds an input, whether or not the scheduler takes it.
    pub fn input(&mut self, now: Instant, input: Input) {
        self.entries.push((now, Entry::Input(input)));
    }

    /// Adds one call of `poll`, whether or not it returned an action.
    pub fn poll(&mut self, now: Instant) {
        self.polls(now, 1);
    }

    fn polls(&mut self, now: Instant, more: u32) {
        if let Some((at, Entry::Poll { calls })) = self.entries.last_mut()
            && *at == now
            && let Some(sum) = calls.checked_add(more)
        {
            *calls = sum;
        } else {
            self.entries.push((now, Entry::Poll { calls: more }));
        }
    }

    /// Writes the journal.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let mut recorder = Recorder::new(out, &self.config, self.started_at)?;
        for (now, entry) in &self.entries {
            match entry {
                Entry::Input(input) => recorder.input(*now, input)?,
                Entry::Poll { calls } => recorder.polls(*now, *calls)?,
            }
        }
        recorder.finish().map(|_| ())
    }

    /// Reads a journal.
    ///
    /// # Errors
    /// [`JournalError`]: the first line that is not as the format says, or the end of a torn file.
    pub fn parse(text: &str) -> Result<Self, JournalError> {
        parse::journal(text)
    }

    /// Does again what the journal says, with a scheduler of its own.
    #[must_use]
    pub fn replay(&self) -> Replay {
        self.replay_with_scheduler().0
    }

    /// The same; the scheduler that comes with it is as it was after the last entry, and can be asked.
    #[must_use]
    pub fn replay_with_scheduler(&self) -> (Replay, Scheduler) {
        let mut scheduler = Scheduler::new(self.config.clone(), self.started_at);
        let mut replay = Replay { digest: Digest::new(), actions: 0, inputs: 0 };
        for (now, entry) in &self.entries {
            match entry {
                Entry::Input(input) => {
                    // A refusal was one when the run was recorded, and changes nothing.
                    let _ = scheduler.apply(*now, input);
                    replay.inputs += 1;
                }
                Entry::Poll { calls } => {
                    for action in (0..*calls).filter_map(|_| scheduler.poll(*now)) {
                        replay.digest.action(*now, &action);
                        replay.actions += 1;
                    }
                }
            }
        }
        (replay, scheduler)
    }
}
