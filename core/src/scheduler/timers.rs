//! What the passing of time does: queue timeouts, confirmations that did not come, and when to look again.

use super::Scheduler;
use crate::event::{Action, Reason};
use crate::time::Instant;

impl Scheduler {
    /// When to poll at the latest if no input comes: never later than the next thing that would change.
    /// Polling early is harmless. `None`: only an input changes anything. O(pools).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = !self.outbox.is_empty()
            || !self.pressured.is_empty()
            || self.pools.iter().any(|pool| pool.dirty || pool.revisit);
        if due {
            return Some(self.now);
        }
        let timer = self.timers.peek().map(|((at, _), _)| at);
        self.pools.iter().filter_map(|pool| pool.wake_at).chain(timer).min()
    }

    /// Time never goes back: an earlier `now` counts as no time passed.
    pub(super) fn advance(&mut self, now: Instant) {
        if now < self.now {
            self.stats.clock_regressions += 1;
        } else {
            self.now = now;
        }
    }

    /// Handles every timer that is due. O(log n) for each.
    pub(super) fn expire(&mut self) {
        while let Some(((at, _), slot)) = self.timers.peek()
            && at <= self.now
        {
            if self.requests[slot].is_waiting() {
                self.drop_waiting(slot, Reason::QueueTimeout);
                continue;
            }
            self.timers.remove(slot);
            let (victim, attempt) = (self.requests.id(slot), self.requests[slot].attempt());
            self.say(Action::Stuck { victim, attempt, reason: Reason::Unconfirmed });
            self.give_up_on(slot);
        }
    }
}
