//! Batches: many submissions, many completions, a whole round of actions in one call.
//!
//! A batch decides, refuses and counts exactly what the single calls would, made one after the other at the same
//! `now`: a journal has the single ones, and nothing here is an input of its own. It knows how to pass the time once
//! for all of them; what one item does is the business of `admit`, `report` and `dispatch`.

use alloc::vec::Vec;

use super::Scheduler;
use crate::error::{ReportError, SubmitError};
use crate::event::{Action, Completion};
use crate::id::RequestId;
use crate::request::RequestSpec;
use crate::time::Instant;

impl Scheduler {
    /// Takes many requests, as if [`submit`](Self::submit) were called for each in turn: one that is refused does not
    /// keep the others back. Appends to `results` what became of each, in their order. An empty batch does not even
    /// pass the time. Costs what the calls for each cost, less what passes the time for all but one.
    pub fn submit_many(
        &mut self,
        now: Instant,
        specs: &[RequestSpec],
        results: &mut Vec<Result<RequestId, SubmitError>>,
    ) {
        results.reserve(specs.len());
        self.each_at(now, specs, |sched, spec| results.push(sched.admit(&mut spec.clone())));
    }

    /// Takes the ends of many requests, as if [`complete`](Self::complete) were called for each in turn: one that is
    /// refused does not keep the others back. Appends to `results` what became of each, in their order. An empty
    /// batch does not even pass the time. Costs what the calls for each cost, less what passes the time for all but one.
    pub fn complete_many(
        &mut self,
        now: Instant,
        completions: &[Completion],
        results: &mut Vec<Result<(), ReportError>>,
    ) {
        results.reserve(completions.len());
        self.each_at(now, completions, |sched, completion| results.push(sched.take_completion(completion)));
    }

    /// Appends the actions of a whole round to `actions`, as if [`poll`](Self::poll) were called until it returns
    /// `None`. For hosts that give no inputs in between: what they hear of the first action comes after the last one
    /// was decided. Costs what the calls for each action cost, less what passes the time for all but one.
    pub fn poll_into(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut next = self.poll(now);
        while let Some(action) = next {
            actions.push(action);
            self.stand(now);
            next = self.next_action();
        }
    }

    /// Takes the items of a batch one by one, at one time.
    fn each_at<T>(&mut self, now: Instant, items: &[T], mut take: impl FnMut(&mut Self, &T)) {
        let Some((first, others)) = items.split_first() else { return };
        self.advance(now);
        take(self, first);
        for item in others {
            self.stand(now);
            take(self, item);
        }
    }
}
