//! A full machine whose host hears of many requests at once: a turn is many completions, the starts that follow, and as
//! many submissions, with the batch verbs or one call for each.

use tidegate::{Action, Attempt, Completion, ReportError, RequestId, RequestSpec, SubmitError};

use crate::conditions::{TURN_NS, request};
use crate::steady_state::{SteadyState, USAGE};

/// A full machine, its queue, and what a host of batches keeps to fill again.
#[derive(Debug)]
pub struct Batches {
    state: SteadyState,
    completions: Vec<Completion>,
    specs: Vec<RequestSpec>,
    actions: Vec<Action>,
    completed: Vec<Result<(), ReportError>>,
    submitted: Vec<Result<RequestId, SubmitError>>,
}

impl Batches {
    /// A full machine, and `waiting` requests in its queues.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn new(waiting: usize) -> Self {
        Self {
            state: SteadyState::new(waiting),
            completions: Vec::new(),
            specs: Vec::new(),
            actions: Vec::new(),
            completed: Vec::new(),
            submitted: Vec::new(),
        }
    }

    /// So many complete, as many start, and as many of their kinds are submitted: three calls.
    ///
    /// # Panics
    /// If the scheduler refuses any, or if anything but these starts follows.
    pub fn turn_at_once(&mut self, items: usize) {
        self.choose(items);
        let (scheduler, now) = (&mut self.state.scheduler, self.state.now);
        scheduler.complete_many(now, &self.completions, &mut self.completed);
        scheduler.poll_into(now, &mut self.actions);
        self.note_starts(items);
        self.state.scheduler.submit_many(self.state.now, &self.specs, &mut self.submitted);
        self.check(items);
    }

    /// The same, with a call for each completion, each submission and each action.
    ///
    /// # Panics
    /// If the scheduler refuses any, or if anything but these starts follows.
    pub fn turn_one_by_one(&mut self, items: usize) {
        self.choose(items);
        let (scheduler, now) = (&mut self.state.scheduler, self.state.now);
        for &Completion { request, attempt, usage } in &self.completions {
            self.completed.push(scheduler.complete(now, request, attempt, usage));
        }
        while let Some(action) = scheduler.poll(now) {
            self.actions.push(action);
        }
        self.note_starts(items);
        for &spec in &self.specs {
            self.submitted.push(self.state.scheduler.submit(self.state.now, spec));
        }
        self.check(items);
    }

    /// The oldest running ones are those that complete.
    fn choose(&mut self, items: usize) {
        self.state.now = self.state.now.plus_nanos(TURN_NS);
        self.completions.clear();
        self.completed.clear();
        self.actions.clear();
        self.specs.clear();
        self.submitted.clear();
        let oldest = self.state.running.drain(..items);
        self.completions.extend(oldest.map(|(request, attempt)| Completion {
            request,
            attempt,
            usage: USAGE,
        }));
    }

    /// What starts runs, and one of its kind is to be submitted.
    fn note_starts(&mut self, items: usize) {
        assert_eq!(self.actions.len(), items, "as many start as completed");
        for &action in &self.actions {
            let (started, attempt) = of_start(action);
            self.state.running.push_back((started, attempt));
            let (tier, tenant) = self.state.of(started);
            self.specs.push(request(tenant, tier, 1));
        }
    }

    fn check(&mut self, items: usize) {
        assert!(self.completed.iter().all(Result::is_ok), "they run");
        assert_eq!((self.completed.len(), self.submitted.len()), (items, items));
        for (spec, submitted) in self.specs.iter().zip(&self.submitted) {
            self.state.note(submitted.as_ref().copied().expect("no limit is set"), spec.tier, spec.tenant);
        }
    }
}

fn of_start(action: Action) -> (RequestId, Attempt) {
    match action {
        Action::Start { request, attempt, .. } => (request, attempt),
        action => panic!("expected a start, got {action:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_end_where_the_other_does() {
        let [mut at_once, mut one_by_one] = [(); 2].map(|()| Batches::new(300));
        for items in [1, 64, 7, 200] {
            at_once.turn_at_once(items);
            one_by_one.turn_one_by_one(items);
            assert_eq!(at_once.actions, one_by_one.actions);
            assert_eq!(at_once.submitted, one_by_one.submitted);
        }
        assert_eq!(at_once.state.scheduler().stats(), one_by_one.state.scheduler().stats());
        assert_eq!(at_once.state.scheduler().check_invariants(), Ok(()));
    }
}
