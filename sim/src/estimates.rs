//! How good the estimated starts of `explain` are: from a journal, done again.
//!
//! At the end of the round in which a request was submitted it is asked when it starts; when it does, how long it was said to
//! wait is compared with how long it waited. The error is the difference as a part of the time that it waited. Those that
//! never start, and those that wait for less than a millisecond, tell nothing.

use std::collections::BTreeMap;

use tidegate::{Action, Created, Entry, Instant, Journal, RequestId, Scheduler};

/// What is no wait: less than any step of an engine.
const LEAST_WAIT_NS: u64 = 1_000_000;

/// How far off estimates were.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accuracy {
    /// The errors as parts of the waits, in order.
    pub errors: Vec<f64>,
    /// How many waited and started, of which nothing was told.
    pub untold: u64,
}

impl Accuracy {
    /// The error that this part of all stay within; `None` if there is none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let last = self.errors.len().checked_sub(1)?;
        self.errors.get((part * last as f64).round() as usize).copied()
    }
}

/// Does a journal again and compares.
#[must_use]
pub fn accuracy(journal: &Journal) -> Accuracy {
    let mut scheduler = Scheduler::new(journal.config.clone(), journal.started_at);
    let (mut told, mut fresh) = (BTreeMap::<RequestId, (Instant, Option<Instant>)>::new(), Vec::new());
    let mut accuracy = Accuracy::default();
    for (now, entry) in &journal.entries {
        match entry {
            Entry::Input(input) => {
                if let Ok(Created::Request(id)) = scheduler.apply(*now, input) {
                    fresh.push(id);
                }
            }
            Entry::Poll { calls } => {
                for action in (0..*calls).filter_map(|_| scheduler.poll(*now)) {
                    if let Action::Start { request, .. } = action
                        && let Some((asked_at, estimate)) = told.remove(&request)
                    {
                        accuracy.note(now.nanos_since(asked_at), estimate.map(|at| at.nanos_since(asked_at)));
                    }
                }
                for id in fresh.drain(..) {
                    if let Ok(explanation) = scheduler.explain(id)
                        && explanation.gate.is_some()
                    {
                        told.insert(id, (*now, explanation.starts_at));
                    }
                }
            }
        }
    }
    accuracy.errors.sort_by(f64::total_cmp);
    accuracy
}

impl Accuracy {
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
