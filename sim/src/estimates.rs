//! How good the estimated starts of `explain` are: from a journal, done again.
//!
//! A request is asked when it starts at the end of the round in which it was submitted, and again while it waits: every ten
//! seconds some of those that wait are, spread evenly over all of them from the oldest to the newest. When it starts, how long it
//! was said to wait is compared with how long it waited from then on. The error is the difference as a part of that time. Those that
//! never start, and those that wait for less than a millisecond, tell nothing.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::{Action, Created, Entry, Input, Instant, Journal, RequestId, Scheduler};

/// What is no wait: less than any step of an engine.
const LEAST_WAIT_NS: u64 = 1_000_000;
/// How far apart those who wait are asked, and how many of them at once: chosen arbitrarily.
const ASK_EVERY_NS: u64 = 10_000_000_000;
const ASKED_AT_ONCE: usize = 12;

/// How far off estimates were.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors {
    /// As parts of the waits, in order.
    pub errors: Vec<f64>,
    /// How many waited and started, of which nothing was told.
    pub untold: u64,
}

impl Errors {
    /// The error that this part of all stay within; `None` if there is none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let last = self.errors.len().checked_sub(1)?;
        self.errors.get((part * last as f64).round() as usize).copied()
    }

    fn note(&mut self, waited_ns: u64, told_ns: Option<u64>) {
        if waited_ns < LEAST_WAIT_NS {
            return;
        }
        match told_ns {
            Some(told_ns) => self.errors.push(told_ns.abs_diff(waited_ns) as f64 / waited_ns as f64),
            None => self.untold += 1,
        }
    }
}

/// The same by when they were asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accuracy {
    /// As soon as the round of the submission was over.
    pub at_submission: Errors,
    /// While they waited.
    pub while_waiting: Errors,
}

/// Somebody was asked: when, what was told, and whether it had just been submitted.
type Asked = (Instant, Option<Instant>, bool);

/// A journal that is done again.
struct Asking {
    scheduler: Scheduler,
    told: BTreeMap<RequestId, Vec<Asked>>,
    /// Who waits, by the order of arrival.
    waiting: BTreeSet<(u64, RequestId)>,
    arrivals: BTreeMap<RequestId, u64>,
    accuracy: Accuracy,
}

/// Does a journal again and compares.
#[must_use]
pub fn accuracy(journal: &Journal) -> Accuracy {
    let mut asking = Asking {
        scheduler: Scheduler::new(journal.config.clone(), journal.started_at),
        told: BTreeMap::new(),
        waiting: BTreeSet::new(),
        arrivals: BTreeMap::new(),
        accuracy: Accuracy::default(),
    };
    let (mut fresh, mut next_at) = (Vec::new(), 0);
    for (now, entry) in &journal.entries {
        match entry {
            Entry::Input(input) => fresh.extend(asking.hear(*now, input)),
            Entry::Poll { calls } => {
                asking.round(*now, *calls);
                fresh.drain(..).for_each(|id| asking.ask(*now, id, true));
                if now.as_nanos() >= next_at {
                    next_at = (now.as_nanos() / ASK_EVERY_NS + 1) * ASK_EVERY_NS;
                    asking.ask_some(*now);
                }
            }
        }
    }
    let mut accuracy = asking.accuracy;
    accuracy.at_submission.errors.sort_by(f64::total_cmp);
    accuracy.while_waiting.errors.sort_by(f64::total_cmp);
    accuracy
}

impl Asking {
    /// Whoever was submitted by it.
    fn hear(&mut self, now: Instant, input: &Input) -> Option<RequestId> {
        match (self.scheduler.apply(now, input), input) {
            (Ok(Created::Request(id)), _) => {
                let arrival = self.arrivals.len() as u64;
                self.arrivals.insert(id, arrival);
                self.waiting.insert((arrival, id));
                return Some(id);
            }
            (Ok(_), &Input::Preempted { request, .. } | &Input::Declined { request, .. }) => {
                self.waiting.extend(self.arrivals.get(&request).map(|&arrival| (arrival, request)));
            }
            _ => {}
        }
        None
    }

    fn round(&mut self, now: Instant, calls: u32) {
        for action in (0..calls).filter_map(|_| self.scheduler.poll(now)) {
            let Action::Start { request, .. } = action else { continue };
            let arrival = self.arrivals.get(&request).copied().unwrap_or_default();
            self.waiting.remove(&(arrival, request));
            for (asked_at, told, is_fresh) in self.told.remove(&request).unwrap_or_default() {
                let Accuracy { at_submission, while_waiting } = &mut self.accuracy;
                let errors = if is_fresh { at_submission } else { while_waiting };
                errors.note(now.nanos_since(asked_at), told.map(|at| at.nanos_since(asked_at)));
            }
        }
    }

    fn ask_some(&mut self, now: Instant) {
        let apart = self.waiting.len().div_ceil(ASKED_AT_ONCE).max(1);
        let some: Vec<_> = self.waiting.iter().step_by(apart).copied().collect();
        for (arrival, id) in some {
            if self.scheduler.explain(id).is_err() {
                // It was cancelled, or dropped.
                self.waiting.remove(&(arrival, id));
            } else {
                self.ask(now, id, false);
            }
        }
    }

    fn ask(&mut self, now: Instant, id: RequestId, is_fresh: bool) {
        if let Ok(explanation) = self.scheduler.explain(id)
            && explanation.gate.is_some()
        {
            self.told.entry(id).or_default().push((now, explanation.starts_at, is_fresh));
        }
    }
}
