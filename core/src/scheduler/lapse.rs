//! The time to live of a hold of quota. It runs while nobody tells of a request: from its start until the first report, and
//! while one that has run waits again. Then what it has used is charged for good, and the rest goes back to who can use
//! it; the request stays where it is.
//!
//! Invariants: who is lapsed holds nothing; what was settled of it is never charged again.

use super::record::Run;
use super::usage::Settled;
use super::{MAX_TOKENS, Scheduler};
use crate::quota::Ask;
use crate::request::{RequestState, Usage};
use crate::time::Instant;

impl Scheduler {
    /// The hold of a request, if it has one, lives as long as the config says from now on: until when.
    #[inline]
    pub(super) fn renew_hold(&mut self, slot: u32) -> Option<Instant> {
        let holds = self.requests.run_mut(slot).held.is_some();
        let lapses_at = self.lapses_at(holds);
        self.requests.run_mut(slot).lapses_at = lapses_at;
        lapses_at
    }

    /// Until when a hold lives from now on, if there is one.
    #[inline(always)]
    pub(super) fn lapses_at(&self, holds: bool) -> Option<Instant> {
        let at = self.now.plus_nanos(self.config.hold_timeout_ns);
        // What would be at the end of time never comes.
        (holds && at.as_nanos() < u64::MAX).then_some(at)
    }

    /// The same for one that is where time runs for it.
    #[inline]
    pub(super) fn watch_hold(&mut self, slot: u32) {
        let lapses_at = self.renew_hold(slot);
        self.set_due(slot, lapses_at);
    }

    /// A request that was started is heard of, or has to end: time does not run any more.
    #[inline]
    pub(super) fn stop_watching_hold(&mut self, slot: u32) {
        if self.requests[slot].state == RequestState::Starting {
            self.requests.run_mut(slot).lapses_at = None;
            self.timers.remove(slot);
        }
    }

    /// A report came: what the request needs is held again, if it lapsed. No gate is asked: it runs.
    #[inline]
    pub(super) fn hear_of(&mut self, slot: u32) {
        self.stop_watching_hold(slot);
        if self.requests.run(slot).lapsed {
            self.hold_again(slot, self.ask_of(slot).tokens);
        }
    }

    /// Nobody told of a request for too long.
    pub(super) fn lapse(&mut self, slot: u32) {
        if self.requests[slot].claim.is_some() {
            // Those who stop for it have to be confirmed in time: it starts soon, or has no claim any more.
            return self.watch_hold(slot);
        }
        self.timers.remove(slot);
        let used = self.used_so_far(slot);
        if let Some(Settled { held, used }) = self.settle_part(slot, &used) {
            self.meter(slot).settle(held, used);
        }
        let run = self.requests.run_mut(slot);
        (run.lapsed, run.lapses_at) = (true, None);
        if self.requests[slot].is_waiting() {
            self.stir(self.requests[slot].pool());
        }
    }

    /// What a request has used beyond what was settled of it.
    #[inline]
    pub(super) fn unsettled(&self, slot: u32, used: &Usage) -> u64 {
        unsettled_of(self.requests.run(slot), used)
    }

    /// Charges for good what a request has used, and gives back what it holds beyond that. The meter is to be told so.
    #[inline(always)]
    pub(super) fn settle_part(&mut self, slot: u32, used: &Usage) -> Option<Settled> {
        let (record, run) = self.requests.with_run_mut(slot);
        let held = run.held.take()?;
        let used = unsettled_of(run, used);
        run.settled += used;
        let hold = Ask { tokens: held, units: run.held_units };
        let leaf = record.leaf;
        self.quota.settle(self.now, leaf, &hold, used);
        self.look_at_path(leaf);
        Some(Settled { held, used })
    }

    /// Holds so many tokens, and what units the request uses, for one that is lapsed.
    pub(super) fn hold_again(&mut self, slot: u32, tokens: u64) {
        let run = self.requests.run_mut(slot);
        let ask = Ask { tokens, units: run.in_use };
        (run.held, run.held_units, run.lapsed) = (Some(tokens), ask.units, false);
        let leaf = self.requests[slot].leaf;
        // MAX_TOKENS of each of MAX_REQUESTS fit the books.
        self.quota.hold_again(self.now, leaf, &ask).expect("tokens and units are limited");
        self.meter(slot).counts().held_tokens += tokens;
        self.less_quota(leaf);
    }
}

#[inline]
fn unsettled_of(run: &Run, used: &Usage) -> u64 {
    let used = used.prompt_tokens.saturating_add(used.output_tokens).min(MAX_TOKENS);
    used.saturating_sub(run.settled)
}
