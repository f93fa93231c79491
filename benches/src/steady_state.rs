//! A full machine whose queue keeps its length and mixture: a turn is submit, start and complete, and nothing else.

use std::collections::VecDeque;

use tidegate::{Attempt, Instant, RequestId, Scheduler, TenantId, Tier, Usage};

use crate::conditions::{
    TENANTS, TIERS, TURN_NS, Tenants, WORKERS, add_workers, config_without_preemption, expect_start, request,
};

pub(crate) const SLOTS_PER_WORKER: usize = 16;
/// What a request used when it completes, where nothing else is said.
pub(crate) const USAGE: Usage = Usage { prompt_tokens: 512, cached_tokens: 0, output_tokens: 200 };

/// 64 workers of 16 slots, all taken; nobody may preempt.
#[derive(Debug)]
pub struct SteadyState {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Instant,
    tenants: Vec<TenantId>,
    pub(crate) running: VecDeque<(RequestId, Attempt)>,
    /// Tier and tenant of the request in each slot of the scheduler: what a host keeps beside its own requests.
    of_slot: Vec<(Tier, TenantId)>,
}

impl SteadyState {
    /// A full machine, and `waiting` requests in the queues of the three tiers in turn.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn new(waiting: usize) -> Self {
        Self::with_queue(waiting, TENANTS, TENANTS).0
    }

    /// A full machine of which so many tenants are known, and one request of each of the `active` ones in the queue of
    /// each tier, or as many more as make `waiting` in all.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn of_tenants(waiting: usize, known: usize, active: usize) -> Self {
        Self::with_queue(waiting, known, active).0
    }

    /// One request is submitted, the oldest running one completes, and the next one starts. The newcomer is of
    /// the tier and tenant of the one that starts, so that the queue keeps its mixture.
    ///
    /// # Panics
    /// If anything but one start follows.
    pub fn turn(&mut self) {
        self.now = self.now.plus_nanos(TURN_NS);
        let (request, attempt) = self.running.pop_front().expect("the machine is full");
        self.scheduler.complete(self.now, request, attempt, USAGE).expect("it runs");
        let started = self.start();
        let (tier, tenant) = self.of(started);
        self.submit(tier, tenant);
        assert_eq!(self.scheduler.poll(self.now), None, "the machine is full");
    }

    /// The scheduler, to look at.
    #[must_use]
    pub const fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// The steady state of the usual tenants, and the ids of those that wait, in the order of submission.
    pub(crate) fn with_ids(waiting: usize) -> (Self, Vec<RequestId>) {
        Self::with_queue(waiting, TENANTS, TENANTS)
    }

    fn with_queue(waiting: usize, known: usize, active: usize) -> (Self, Vec<RequestId>) {
        let now = Instant::ZERO;
        let mut scheduler = Scheduler::new(config_without_preemption(), now);
        let tenants = Tenants::known(&mut scheduler, known);
        let slots = WORKERS * SLOTS_PER_WORKER;
        add_workers(&mut scheduler, WORKERS, slots);
        let mut state = Self { scheduler, now, tenants, running: VecDeque::new(), of_slot: Vec::new() };
        for number in 0..slots {
            state.submit(TIERS[number % TIERS.len()], state.tenants[number % active]);
            state.start();
        }
        for tier in TIERS {
            state.submit(tier, state.tenants[0]);
        }
        // The reserves and the order of borrowing settle which tiers hold the machine.
        for _ in 0..2 * slots {
            state.turn();
        }
        let queue = (0..waiting).map(|number| state.submit_nth(number, active)).collect();
        (state, queue)
    }

    /// The request of this number in a queue of `active` tenants, each in each tier in turn.
    pub(crate) fn submit_nth(&mut self, number: usize, active: usize) -> RequestId {
        self.submit(TIERS[number % TIERS.len()], self.tenants[number / TIERS.len() % active])
    }

    pub(crate) fn submit(&mut self, tier: Tier, tenant: TenantId) -> RequestId {
        let id = self.scheduler.submit(self.now, request(tenant, tier, 1)).expect("no limit is set");
        self.note(id, tier, tenant);
        id
    }

    /// Remembers the tier and the tenant of a request.
    pub(crate) fn note(&mut self, id: RequestId, tier: Tier, tenant: TenantId) {
        if self.of_slot.len() <= slot(id) {
            self.of_slot.resize(slot(id) + 1, (tier, tenant));
        }
        self.of_slot[slot(id)] = (tier, tenant);
    }

    /// Tier and tenant of a request.
    pub(crate) fn of(&self, request: RequestId) -> (Tier, TenantId) {
        self.of_slot[slot(request)]
    }

    fn start(&mut self) -> RequestId {
        let (request, attempt) = expect_start(&mut self.scheduler, self.now);
        self.running.push_back((request, attempt));
        request
    }
}

/// The scheduler's slot of a request, the lower half of its number.
fn slot(request: RequestId) -> usize {
    request.to_bits() as u32 as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depths(scheduler: &Scheduler) -> [usize; 3] {
        TIERS.map(|tier| scheduler.queue_depth(tier))
    }

    #[test]
    fn a_turn_completes_one_request_and_keeps_the_queue() {
        let mut state = SteadyState::new(300);
        let (before, completed) = (depths(state.scheduler()), state.scheduler().stats().completed);
        for _ in 0..1_000 {
            state.turn();
        }
        assert_eq!(depths(state.scheduler()), before);
        assert_eq!(before, [101; 3]);
        assert_eq!(state.scheduler().stats().completed, completed + 1_000);
        assert_eq!(state.scheduler().check_invariants(), Ok(()));
    }

    #[test]
    fn active_tenants_stay_active() {
        let mut state = SteadyState::of_tenants(300, 1_000, 100);
        for _ in 0..1_000 {
            state.turn();
        }
        assert_eq!(depths(state.scheduler()), [101; 3]);
        // 64 workers of 16 slots have room for ten rounds of them all.
        let running: std::collections::BTreeSet<TenantId> =
            state.running.iter().map(|&(request, _)| state.of(request).1).collect();
        assert_eq!(running.len(), 100);
        assert_eq!(state.scheduler().check_invariants(), Ok(()));
    }
}
