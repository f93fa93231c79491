//! A journal done again step by step: each entry with what the scheduler made of it, before and after.

use tidegate::{Action, Created, Digest, Entry, Instant, Journal, Replay, Scheduler};

/// What became of one entry, or of one of its polls.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was taken.
    Taken(Created),
    /// It was refused, for this.
    Refused(String),
    /// A poll returned this, the action of this number, counted from 1.
    Action(u64, Action),
}

/// A scheduler between two entries of its journal, or two polls.
pub(super) struct Walk<'a> {
    journal: &'a Journal,
    pub(super) scheduler: Scheduler,
    /// How many entries are done.
    pub(super) done: usize,
    digest: Digest,
    actions: u64,
    inputs: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(journal: &'a Journal) -> Self {
        let scheduler = Scheduler::new(journal.config.clone(), journal.started_at);
        Self { journal, scheduler, done: 0, digest: Digest::new(), actions: 0, inputs: 0 }
    }

    /// What is next.
    pub(super) fn entry(&self) -> Option<(Instant, &'a Entry)> {
        self.journal.entries.get(self.done).map(|(now, entry)| (*now, entry))
    }

    /// Does the next entry and tells of what came of it; false at the end.
    pub(super) fn step(&mut self, mut tell: impl FnMut(Instant, Outcome)) -> bool {
        let Some((now, entry)) = self.entry() else { return false };
        self.done += 1;
        match entry {
            Entry::Input(input) => {
                self.inputs += 1;
                let made = self.scheduler.apply(now, input);
                tell(now, made.map_or_else(|refusal| Outcome::Refused(refusal.to_string()), Outcome::Taken));
            }
            Entry::Poll { calls } => (0..*calls).for_each(|_| {
                if let Some(action) = self.poll(now) {
                    tell(now, Outcome::Action(self.actions, action));
                }
            }),
        }
        true
    }

    fn poll(&mut self, now: Instant) -> Option<Action> {
        let action = self.scheduler.poll(now)?;
        self.actions += 1;
        self.digest.action(now, &action);
        Some(action)
    }

    /// What came of it so far, as every replayer prints it.
    pub(super) fn replay(&self) -> Replay {
        Replay { digest: self.digest, actions: self.actions, inputs: self.inputs }
    }

    /// Goes to just before the poll that returns the action of this number; that one and its instant, if there is one.
    pub(super) fn to_before(journal: &'a Journal, action: u64) -> Option<(Self, Instant, Action)> {
        // A poll that returns something cannot be taken back: one walk finds it, and another stops before it.
        let (mut scout, mut polls, mut found) = (Self::new(journal), 0_u64, None);
        'all: while let Some((now, entry)) = scout.entry() {
            let Entry::Poll { calls } = entry else {
                scout.step(|_, _| ());
                continue;
            };
            for _ in 0..*calls {
                if let Some(next) = scout.poll(now)
                    && scout.actions == action
                {
                    found = Some((now, next));
                    break 'all;
                }
                polls += 1;
            }
            scout.done += 1;
        }
        let (now, next) = found?;
        Some((Self::after_polls(journal, polls), now, next))
    }

    /// Where so many polls were done, and the next entry is another one.
    fn after_polls(journal: &'a Journal, mut polls: u64) -> Self {
        let mut walk = Self::new(journal);
        while let Some((now, entry)) = walk.entry() {
            match entry {
                Entry::Input(_) => {
                    walk.step(|_, _| ());
                }
                Entry::Poll { calls } if u64::from(*calls) <= polls => {
                    polls -= u64::from(*calls);
                    walk.step(|_, _| ());
                }
                Entry::Poll { .. } => {
                    for _ in 0..polls {
                        let _ = walk.poll(now);
                    }
                    break;
                }
            }
        }
        walk
    }
}
