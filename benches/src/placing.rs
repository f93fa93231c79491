//! A machine that is half full, so that each start has to choose among workers that differ.

use tidegate::{Attempt, Instant, RequestId, Scheduler, TenantId};

use crate::conditions::{
    TENANTS, TIERS, TURN_NS, Tenants, add_workers, config_without_preemption, expect_start, request,
    take_random,
};
use crate::steady_state::USAGE;

const SLOTS_PER_WORKER_OF_MANY: usize = 16;

/// A machine with room for as much as runs on it.
#[derive(Debug)]
pub struct Placing {
    scheduler: Scheduler,
    now: Instant,
    tenants: Vec<TenantId>,
    running: Vec<(RequestId, Attempt)>,
    submitted: usize,
    random: u64,
}

impl Placing {
    /// A machine of 16 slots for each of `slots_for` workers, on this many workers: half of it is taken, at random.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn new(workers: usize, slots_for: usize) -> Self {
        let now = Instant::ZERO;
        let mut scheduler = Scheduler::new(config_without_preemption(), now);
        let tenants = Tenants::known(&mut scheduler, TENANTS);
        let slots = slots_for * SLOTS_PER_WORKER_OF_MANY;
        add_workers(&mut scheduler, workers, slots);
        let mut placing = Self { scheduler, now, tenants, running: Vec::new(), submitted: 0, random: 1 };
        placing.submit(slots);
        placing.start(slots);
        placing.complete(slots / 2);
        placing
    }

    /// Submits so many, and nobody has looked at them.
    ///
    /// # Panics
    /// If the scheduler refuses.
    pub fn submit(&mut self, requests: usize) {
        for _ in 0..requests {
            self.now = self.now.plus_nanos(TURN_NS);
            let tenant = self.tenants[self.submitted / TIERS.len() % TENANTS];
            let spec = request(tenant, TIERS[self.submitted % TIERS.len()], 1);
            self.scheduler.submit(self.now, spec).expect("no limit is set");
            self.submitted += 1;
        }
    }

    /// So many start, each where it fits.
    ///
    /// # Panics
    /// If anything but a start follows.
    pub fn start(&mut self, requests: usize) {
        self.running.reserve(requests);
        for _ in 0..requests {
            self.running.push(expect_start(&mut self.scheduler, self.now));
        }
    }

    /// So many of those that run complete, wherever they are.
    ///
    /// # Panics
    /// If fewer run, or any waits.
    pub fn complete(&mut self, requests: usize) {
        for (request, attempt) in take_random(&mut self.random, &mut self.running, requests) {
            self.now = self.now.plus_nanos(TURN_NS);
            self.scheduler.complete(self.now, request, attempt, USAGE).expect("it runs");
        }
        assert_eq!(self.scheduler.poll(self.now), None, "nothing waits");
    }

    /// The scheduler, to look at.
    #[must_use]
    pub const fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_and_completions_keep_it_half_full() {
        for workers in [1, 50] {
            let mut placing = Placing::new(workers, 50);
            for _ in 0..5 {
                placing.submit(100);
                placing.start(100);
                placing.complete(100);
                assert_eq!(placing.scheduler().stats().live, 400);
            }
            assert_eq!(placing.scheduler().check_invariants(), Ok(()));
        }
    }
}
