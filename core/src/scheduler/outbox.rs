//! What was decided and not returned yet. An action that an input overtakes is taken back, so that no host is
//! told what no longer holds. O(1), but for taking back.

use super::Scheduler;
use crate::event::Action;
use crate::slab::Lookup;

impl Scheduler {
    /// To be returned after all that was said before.
    pub(super) fn say(&mut self, action: Action) {
        self.count_unheard(&action, 1);
        self.outbox.push_back(action);
    }

    /// To be returned next, by the call that decides it: no input comes in between.
    #[inline]
    pub(super) fn say_next(&mut self, action: Action) {
        if self.said_next.is_some() {
            self.put_off();
        }
        self.said_next = Some(action);
    }

    /// What was to be returned next is returned after it.
    #[cold]
    fn put_off(&mut self) {
        if let Some(former) = self.said_next.take() {
            self.count_unheard(&former, 1);
            self.outbox.push_front(former);
        }
    }

    /// The next action to return.
    #[inline(always)]
    pub(super) fn hear(&mut self) -> Option<Action> {
        // An action is large: it is moved once, and not where there is none.
        let action = if self.said_next.is_some() { self.said_next.take()? } else { self.hear_outbox()? };
        self.stats.by_reason[action.reason()] += 1;
        Some(action)
    }

    #[inline(always)]
    fn hear_outbox(&mut self) -> Option<Action> {
        if self.outbox.is_empty() { None } else { self.take_from_outbox() }
    }

    #[inline(never)] // starts, which most actions are, go past it
    fn take_from_outbox(&mut self) -> Option<Action> {
        let action = self.outbox.pop_front()?;
        self.count_unheard(&action, -1);
        Some(action)
    }

    /// Takes back what was decided of a request and not returned yet. Whether there was anything. O(outbox) if
    /// there was.
    #[inline(always)]
    pub(super) fn unsay(&mut self, slot: u32) -> bool {
        let is_unheard = core::mem::take(&mut self.requests[slot].unheard) != 0;
        if is_unheard {
            self.take_back_news(slot);
        }
        is_unheard
    }

    fn take_back_news(&mut self, slot: u32) {
        let request = Some(self.requests.id(slot));
        self.outbox.retain(|action| action.request() != request);
    }

    /// What was decided for one request and not returned yet is for another now; of all its victims, or of one.
    pub(super) fn name_beneficiary(&mut self, former: u32, heir: u32, only: Option<u32>) {
        let (former, heir) = (self.requests.id(former), self.requests.id(heir));
        let only = only.map(|victim| self.requests.id(victim));
        for action in &mut self.outbox {
            if let Action::Preempt { beneficiary: Some(request), victim, .. } = action
                && *request == former
                && only.is_none_or(|only| only == *victim)
            {
                *request = heir;
            }
        }
    }

    #[inline]
    fn count_unheard(&mut self, action: &Action, change: i32) {
        let Some(request) = action.request() else { return };
        if self.requests.lookup(request) == Lookup::Live {
            self.requests[request.slot()].unheard += change;
        }
    }
}
