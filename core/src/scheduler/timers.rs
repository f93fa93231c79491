//! What the passing of time does: queue timeouts, confirmations that did not come, holds that lapse, relegation, aging,
//! and when to look again.

use super::Scheduler;
use super::dispatch::{NEVER, Quiet};
use super::workers::{Place, Tolerance};
use crate::config::Order;
use crate::event::{Action, Reason};
use crate::id::{PoolId, Tier};
use crate::queue::Lane;
use crate::request::RequestState;
use crate::time::Instant;

impl Scheduler {
    /// When to poll at the latest if no input comes: never later than the next thing that would change.
    /// Polling early is harmless. `None`: only an input changes anything. O(pools).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.quiet {
            Quiet::Until(at) if at < NEVER => Some(at),
            _ => self.find_timeout(),
        }
    }

    /// The same, whatever is known of it.
    pub(super) fn find_timeout(&self) -> Option<Instant> {
        let due = !self.outbox.is_empty()
            || !self.pressured.is_empty()
            || self.quota_queue.is_changed()
            || !self.homeless.is_empty()
            || self.pools.iter().any(|pool| pool.dirty || pool.revisit);
        if due {
            return Some(self.now);
        }
        let timer = self.timers.peek().map(|((at, _), _)| at);
        let turn = self.turns.peek().map(|((at, _), _)| at);
        let tolerance = self.tolerances.first().map(|&(at, _)| at);
        let join = self.joins.first().map(|&(at, _)| at);
        let refill = self.quota_queue.next_refill();
        let wakes = self.pools.iter().filter_map(|pool| pool.wake_at);
        let wants = self.quota.wants_at();
        let looks = (0..self.pools.len() as u32).filter_map(|pool| self.next_look(PoolId::new(pool)));
        let next = wakes.chain(timer).chain(turn).chain(tolerance).chain(join).chain(refill).chain(wants);
        let next = next.chain(looks).min();
        next.map(|at| at.max(self.now))
    }

    /// Something is told: before, what decisions left to do later is done.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        if self.warmth.is_behind() {
            self.catch_up_with_caches();
        }
        self.pass_to(now);
    }

    /// Time never goes back: an earlier `now` counts as no time passed.
    #[inline]
    pub(super) fn pass_to(&mut self, now: Instant) {
        self.quiet = Quiet::No;
        self.note_demand();
        // Many calls of a turn are of one instant.
        if now != self.now || self.quota_queue.next_refill().is_some() {
            self.pass_time(now);
        }
    }

    #[inline(never)]
    fn pass_time(&mut self, now: Instant) {
        if now < self.now {
            self.stats.clock_regressions += 1;
            return;
        }
        let passed = core::mem::replace(&mut self.now, now) < now;
        self.quota_queue.advance(now);
        if !passed {
            return;
        }
        if self.forecast.is_due(now) {
            self.sample_wanted();
        }
        while let Some(((at, _), slot)) = self.turns.peek()
            && at <= now
        {
            self.turn(slot);
        }
        while let Some(&(at, place)) = self.tolerances.first()
            && at <= now
        {
            self.tolerances.pop_first();
            self.end_tolerance(place);
        }
        while let Some(&(at, worker)) = self.joins.first()
            && at <= now
        {
            self.let_in(worker);
        }
    }

    /// What `advance` does where the call before had the same `now`: no time passes.
    pub(super) fn stand(&mut self, now: Instant) {
        self.note_demand();
        self.stats.clock_regressions += u64::from(now < self.now);
    }

    /// Hold windows remember what was demanded after each input and each decision.
    #[inline]
    pub(super) fn note_demand(&mut self) {
        if !self.changed_demands.is_empty() {
            self.note_changed_demands();
        }
    }

    #[inline(never)]
    fn note_changed_demands(&mut self) {
        while let Some((pool, tier)) = self.changed_demands.pop() {
            self.pools[pool.index()].capacity.note(tier, self.now);
        }
    }

    /// Sets what the time will do to a request that begins to wait, or waits in another place.
    #[inline(always)]
    pub(super) fn set_timer(&mut self, slot: u32) {
        let record = &self.requests[slot];
        self.set_due(
            slot,
            if record.has_run { self.requests.run(slot).lapses_at } else { record.expires_at.get() },
        );
        self.set_turn(slot);
    }

    /// Sets the one timer of a request.
    #[inline(always)]
    pub(super) fn set_due(&mut self, slot: u32, at: Option<Instant>) {
        self.timers.remove(slot);
        if let Some(at) = at {
            self.timers.insert((at, self.requests[slot].sequence), slot);
        }
    }

    /// Sets when a waiting request is next relegated, if it is on offer, or has aged.
    #[inline(always)]
    pub(super) fn set_turn(&mut self, slot: u32) {
        self.turns.remove(slot);
        let record = &self.requests[slot];
        let patience = self.patient_until(slot);
        if !self.has_turns(record.tier()) && patience.is_none() {
            return;
        }
        let relegated = self.relegates_at(slot).filter(|_| record.lane == Some(Lane::Fresh));
        let turns = relegated.filter(|&at| at > self.now).into_iter().chain(self.climbs_at(slot));
        let next = turns.chain(patience).min();
        if let Some(at) = next {
            self.turns.insert((at, record.sequence), slot);
        }
    }

    /// Whether requests of a tier are relegated, or age.
    #[inline(always)]
    fn has_turns(&self, tier: Tier) -> bool {
        let tier = &self.config.tiers[tier.index()];
        tier.order == Order::HybridDeadline || tier.age_after_ns.is_some()
    }

    /// When a waiting request is next old enough to stand behind a more urgent tier's own.
    fn climbs_at(&self, slot: u32) -> Option<Instant> {
        let record = &self.requests[slot];
        let age_after = self.config.tiers[record.tier().index()].age_after_ns?;
        let mut turns = (1..=record.tier().get()).map(|climbs| {
            let age = age_after.saturating_mul(u64::from(climbs));
            record.arrived_at.plus_nanos(age)
        });
        turns.find(|&at| at > self.now)
    }

    /// A waiting request is relegated, or has aged up to another tier, or waits for a warm worker no more.
    fn turn(&mut self, slot: u32) {
        if self.has_turns(self.requests[slot].tier()) {
            self.leave_lane(slot);
            self.join_lane(slot, false);
        }
        self.set_turn(slot);
        self.stir(self.requests[slot].pool());
    }

    /// From when on a fresh request cannot make its deadline any more, if its tier relegates such.
    #[inline]
    pub(super) fn relegates_at(&self, slot: u32) -> Option<Instant> {
        let record = &self.requests[slot];
        let spec = &record.spec;
        if self.config.tiers[spec.tier.index()].order != Order::HybridDeadline {
            return None;
        }
        let per_token = self.config.step_time.map_or(0, |model| model.prompt_token_ns);
        let takes = (spec.prompt_tokens - spec.cached_tokens).saturating_mul(per_token);
        let latest = self.requests.rest_of(record).deadline?.as_nanos().checked_sub(takes);
        Some(latest.map_or(Instant::ZERO, |latest| Instant::from_nanos(latest).plus_nanos(1)))
    }

    /// Handles every timer that is due, but none that fell due much later than the first: after a long pause of
    /// the host the next polls go on. O(log n) for each.
    #[inline(always)]
    pub(super) fn expire(&mut self) {
        let Some(((first, _), _)) = self.timers.peek() else { return };
        if first <= self.now {
            self.expire_from(first);
        }
    }

    #[inline(never)] // most calls come before any is due
    fn expire_from(&mut self, first: Instant) {
        let horizon = self.now.min(first.plus_nanos(self.config.max_step_ns));
        while let Some(((at, _), slot)) = self.timers.peek()
            && at <= horizon
        {
            let record = &self.requests[slot];
            if record.is_waiting() && !record.has_run {
                self.drop_waiting(slot, Reason::QueueTimeout);
                continue;
            }
            if record.is_waiting() || record.state == RequestState::Starting {
                self.lapse(slot);
                continue;
            }
            self.timers.remove(slot);
            let (victim, attempt) = (self.requests.id(slot), self.requests[slot].attempt());
            self.say(Action::Stuck { victim, attempt, reason: Reason::Unconfirmed });
            self.give_up_on(slot);
        }
    }

    /// What is still used beyond a capacity that shrank has to stop now.
    pub(super) fn end_tolerance(&mut self, place: Place) {
        let now = self.now;
        let tolerance = self.tolerance_mut(place);
        if tolerance.until.is_some_and(|until| until <= now) {
            *tolerance = Tolerance::default();
            self.pressured.insert(place);
        }
    }
}
