//! Sections 9 and 14: how long a hold lives of which nobody tells.

use tidegate::{RequestState, Usage};

use super::quota::MAX_TOKENS;
use super::{Model, Request, Seq};

impl Request {
    /// When the next thing happens to it by itself.
    pub(crate) fn due(&self) -> Option<u64> {
        match (self.waits(), self.has_run, self.state) {
            (true, false, _) => self.expires_at,
            (true, true, _) | (_, _, RequestState::Starting) => {
                self.lapses_at.filter(|_| self.held.is_some())
            }
            _ => self.confirm_by,
        }
    }
}

impl Model {
    /// The time of its hold begins.
    pub(crate) fn renew_hold(&mut self, seq: Seq) {
        self.request(seq).lapses_at = self.now.checked_add(self.setup.hold_timeout);
    }

    /// A report came: it holds again what it needs, whatever the limits are.
    pub(crate) fn hear_of(&mut self, seq: Seq) {
        if self.requests[&seq].lapsed {
            let tokens = self.needs(seq);
            self.hold_again(seq, tokens);
        }
    }

    /// The tokens that it needs beyond those that are settled.
    pub(crate) fn needs(&self, seq: Seq) -> u64 {
        let request = &self.requests[&seq];
        self.estimate(&request.spec).saturating_sub(request.settled)
    }

    /// Nobody told of it for too long.
    pub(crate) fn lapse(&mut self, seq: Seq) {
        if self.claim_of(seq).is_some() {
            return self.renew_hold(seq);
        }
        self.settle_part(seq, None);
        self.request(seq).lapsed = true;
        self.met.lapsed += 1;
    }

    fn unsettled(&self, seq: Seq, usage: Option<&Usage>) -> u64 {
        let request = &self.requests[&seq];
        let used = match usage {
            Some(usage) => usage.prompt_tokens + usage.output_tokens,
            None if request.has_run => request.spec.prompt_tokens + request.output,
            None => 0,
        };
        used.min(MAX_TOKENS).saturating_sub(request.settled)
    }

    /// It ends: what it held and did not use comes back, and what it used beyond is owed.
    pub(crate) fn settle_hold(&mut self, seq: Seq, usage: Option<&Usage>) {
        let request = &self.requests[&seq];
        if request.waits() && !request.has_run {
            return self.undo_hold(seq);
        }
        let unsettled = self.unsettled(seq, usage);
        if request.lapsed && unsettled > 0 {
            self.hold_again(seq, unsettled);
        }
        self.settle_part(seq, usage);
    }

    fn settle_part(&mut self, seq: Seq, usage: Option<&Usage>) {
        let Some(held) = self.requests[&seq].held else { return };
        let (used, now) = (self.unsettled(seq, usage), self.now);
        for id in self.path(self.requests[&seq].spec.tenant) {
            let tenant = self.tenant_mut(id);
            tenant.totals.used += used;
            tenant.totals.debt += used.saturating_sub(held);
            tenant.totals.refunded += held.saturating_sub(used);
            tenant.change_tokens(now, held.saturating_sub(used), used.saturating_sub(held));
        }
        let request = self.request(seq);
        request.settled += used;
        request.held = None;
        self.met.settled += 1;
        self.mark_path(seq);
    }

    fn hold_again(&mut self, seq: Seq, tokens: u64) {
        let now = self.now;
        let request = self.request(seq);
        (request.held, request.held_units, request.lapsed) = (Some(tokens), request.in_use, false);
        for id in self.path(self.requests[&seq].spec.tenant) {
            self.tenant_mut(id).take_on(now, tokens);
        }
        self.met.held_again += 1;
    }
}
