//! What grows: a queue behind a full machine, and a crowd of tenants.

use tidegate::{Instant, Scheduler};

use crate::conditions::{
    TENANTS, TIERS, TURN_NS, Tenants, WORKERS, add_workers, config_without_preemption, expect_start, request,
};
use crate::steady_state::{SteadyState, USAGE};

/// A full machine all of whose tenants have waited in each tier, so that what they cost is paid; nobody waits now but
/// one request in each tier.
#[derive(Debug)]
pub struct GrowingQueue {
    state: SteadyState,
    added: usize,
}

impl GrowingQueue {
    /// A full machine.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn new() -> Self {
        let (mut state, _) = SteadyState::with_ids(0);
        for number in 0..TENANTS * TIERS.len() {
            let request = state.submit_nth(number, TENANTS);
            state.scheduler.cancel(state.now, request).expect("it waits");
        }
        assert_eq!(state.scheduler.poll(state.now), None, "the machine is full");
        Self { state, added: 0 }
    }

    /// One more request waits.
    ///
    /// # Panics
    /// If the scheduler refuses.
    pub fn add(&mut self) {
        self.state.now = self.state.now.plus_nanos(TURN_NS);
        self.state.submit_nth(self.added, TENANTS);
        self.added += 1;
    }

    /// The scheduler, to look at.
    #[must_use]
    pub const fn scheduler(&self) -> &Scheduler {
        &self.state.scheduler
    }
}

impl Default for GrowingQueue {
    fn default() -> Self {
        Self::new()
    }
}

/// A machine of 64 workers to which tenants come.
#[derive(Debug)]
pub struct GrowingTenants {
    scheduler: Scheduler,
    now: Instant,
    tenants: Tenants,
}

impl GrowingTenants {
    /// An empty machine.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::ZERO;
        let mut scheduler = Scheduler::new(config_without_preemption(), now);
        add_workers(&mut scheduler, WORKERS, WORKERS);
        Self { scheduler, now, tenants: Tenants::default() }
    }

    /// One more tenant with its limits, and an organisation for each hundred of them.
    ///
    /// # Panics
    /// If the scheduler refuses.
    pub fn add(&mut self) {
        self.tenants.add(&mut self.scheduler);
    }

    /// One more tenant with its limits, which has had one request of the most urgent tier.
    ///
    /// # Panics
    /// If the scheduler refuses, or does not start it.
    pub fn add_and_serve(&mut self) {
        self.now = self.now.plus_nanos(TURN_NS);
        let tenant = self.tenants.add(&mut self.scheduler);
        self.scheduler.submit(self.now, request(tenant, TIERS[0], 1)).expect("no limit is set");
        let (request, attempt) = expect_start(&mut self.scheduler, self.now);
        self.scheduler.complete(self.now, request, attempt, USAGE).expect("it runs");
    }

    /// The scheduler, to look at.
    #[must_use]
    pub const fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }
}

impl Default for GrowingTenants {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_grows_by_what_is_added() {
        let mut queue = GrowingQueue::new();
        (0..300).for_each(|_| queue.add());
        assert_eq!(TIERS.map(|tier| queue.scheduler().queue_depth(tier)), [101; 3]);
        assert_eq!(queue.scheduler().check_invariants(), Ok(()));
    }

    #[test]
    fn tenants_come_and_are_served() {
        let mut tenants = GrowingTenants::new();
        (0..150).for_each(|_| tenants.add_and_serve());
        (0..150).for_each(|_| tenants.add());
        assert_eq!(tenants.scheduler().stats().completed, 150);
        assert_eq!(tenants.scheduler().check_invariants(), Ok(()));
    }
}
