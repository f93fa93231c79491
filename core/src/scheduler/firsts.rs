//! When requests get their first token: by a report of their own, or by a step of their worker that gives each one.
//! Decides nothing. O(1) for each attempt, whenever it is that its list is gone through.

use super::Scheduler;
use crate::id::{Attempt, RequestId, WorkerId};
use crate::slab::Lookup;

/// How many entries of a worker's list are left alone, whoever is gone of them. Chosen arbitrarily.
const FEW: usize = 8;

impl Scheduler {
    /// A request without a token has reported; whether that was the first time in this attempt.
    pub(super) fn look_for_first_tokens(&mut self, slot: u32, is_new: bool) {
        let tokens = self.output_tokens(slot);
        if tokens > 0 {
            return self.meter_first_tokens(slot, tokens);
        }
        if is_new {
            let (request, attempt) = (self.requests.id(slot), self.requests[slot].attempt());
            let id = self.requests.run(slot).worker;
            let worker = &mut self.workers[id.index()];
            worker.without_token.push((request, attempt));
            if worker.without_token.len() > FEW + 2 * worker.running.len() {
                self.go_through_those_without_token(id);
            }
        }
    }

    /// A step gave tokens to those that run on a worker.
    pub(super) fn note_first_tokens(&mut self, worker: WorkerId) {
        if !self.worker(worker).without_token.is_empty() {
            self.go_through_those_without_token(worker);
        }
    }

    /// Notes who has a token now, and keeps those that are there without one.
    fn go_through_those_without_token(&mut self, worker: WorkerId) {
        let mut list = core::mem::take(&mut self.workers[worker.index()].without_token);
        list.retain(|&(request, attempt)| {
            let tokens = self.tokens_of_attempt(request, attempt);
            if let Some(tokens) = tokens.filter(|&tokens| tokens > 0) {
                self.meter_first_tokens(request.slot(), tokens);
            }
            tokens == Some(0)
        });
        self.workers[worker.index()].without_token = list;
    }

    /// The tokens of a request, if it still runs in this attempt and no first ones were noted.
    fn tokens_of_attempt(&self, request: RequestId, attempt: Attempt) -> Option<u64> {
        let slot = request.slot();
        if self.requests.lookup(request) != Lookup::Live || self.requests[slot].attempt() != attempt {
            return None;
        }
        let run = self.requests.run(slot);
        (run.runs && run.first_tokens.is_none()).then(|| self.output_tokens(slot))
    }
}
