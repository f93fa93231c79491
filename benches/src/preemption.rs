//! A machine full of batch requests, on which urgent ones choose victims. Default policies, but that an idle reserve is
//! lent again at once, so that one batch of decisions may follow another.

use tidegate::{Action, Attempt, Instant, Release, RequestId, Scheduler, TenantId, Tier};

use crate::conditions::{TENANTS, Tenants, WORKERS, add_workers, config, expect_start, request};
use crate::steady_state::USAGE;

/// Longer than the default `min_run`, so that everything that runs may be stopped.
const REST_NS: u64 = 2_000_000_000;

/// A machine full of batch requests.
#[derive(Debug)]
pub struct Preemptions {
    scheduler: Scheduler,
    now: Instant,
    tenants: Vec<TenantId>,
    next_tenant: usize,
}

impl Preemptions {
    /// So many batch requests run, one slot each, on 64 workers.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn new(running: usize) -> Self {
        let now = Instant::ZERO;
        let mut scheduler = Scheduler::new(config(), now);
        let tenants = Tenants::known(&mut scheduler, TENANTS);
        add_workers(&mut scheduler, WORKERS, running);
        let mut machine = Self { scheduler, now, tenants, next_tenant: 0 };
        machine.fill(running);
        machine
    }

    /// Submits so many urgent requests, each of which needs the room of `victims` running ones, and none of which has
    /// been looked at.
    ///
    /// # Panics
    /// If the scheduler refuses.
    pub fn ask(&mut self, requests: usize, victims: usize) {
        for _ in 0..requests {
            let spec = request(self.tenant(), Tier::P0, victims as u64);
            self.scheduler.submit(self.now, spec).expect("no limit is set");
        }
    }

    /// Takes as many victims as there is room for in `into`: each time the first one of a set is told, the whole set
    /// has been chosen.
    ///
    /// # Panics
    /// If anything but a preemption follows.
    pub fn decide(&mut self, into: &mut [(RequestId, Attempt)]) {
        for place in into {
            *place = match self.scheduler.poll(self.now) {
                Some(Action::Preempt { victim, attempt, .. }) => (victim, attempt),
                action => panic!("expected a preemption, got {action:?}"),
            };
        }
    }

    /// The victims stop, the urgent requests run and complete, and as many batch requests take the place of
    /// the victims and rest until they may be stopped too.
    ///
    /// # Panics
    /// If these were not all victims, or more than the urgent requests need.
    pub fn settle(&mut self, urgent: usize, victims: &[(RequestId, Attempt)]) {
        assert_eq!(self.scheduler.poll(self.now), None, "every set has been told");
        for &(victim, attempt) in victims {
            self.scheduler.preempted(self.now, victim, attempt, 0, Release::Done).expect("it was to stop");
            self.scheduler.cancel(self.now, victim).expect("it waits");
        }
        let started: Vec<_> = (0..urgent).map(|_| expect_start(&mut self.scheduler, self.now)).collect();
        assert_eq!(self.scheduler.poll(self.now), None, "no victim was superfluous");
        for (request, attempt) in started {
            self.scheduler.complete(self.now, request, attempt, USAGE).expect("it runs");
        }
        self.fill(victims.len());
    }

    /// The scheduler, to look at.
    #[must_use]
    pub const fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    fn fill(&mut self, requests: usize) {
        for _ in 0..requests {
            let spec = request(self.tenant(), Tier::P2, 1);
            self.scheduler.submit(self.now, spec).expect("no limit is set");
            expect_start(&mut self.scheduler, self.now);
        }
        self.now = self.now.plus_nanos(REST_NS);
        assert_eq!(self.scheduler.poll(self.now), None, "nothing waits");
    }

    fn tenant(&mut self) -> TenantId {
        self.next_tenant = (self.next_tenant + 1) % self.tenants.len();
        self.tenants[self.next_tenant]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_as_large_as_what_was_asked() {
        let mut machine = Preemptions::new(1_000);
        for victims in [1, 9, 1] {
            let before = machine.scheduler().stats();
            let mut told = vec![(RequestId::from_bits(0), Attempt::new(0)); 8 * victims];
            machine.ask(8, victims);
            machine.decide(&mut told);
            machine.settle(8, &told);
            let after = machine.scheduler().stats();
            assert_eq!(after.cancelled - before.cancelled, 8 * victims as u64);
            assert_eq!(after.completed - before.completed, 8);
            assert_eq!(after.live, 1_000);
            assert_eq!(machine.scheduler().check_invariants(), Ok(()));
        }
    }
}
