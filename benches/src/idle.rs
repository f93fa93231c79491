//! A machine on which nothing can be done: all slots are taken, and of those that wait some are at a limit of their
//! tenants.

use tidegate::{Gate, Instant, RequestId, Scheduler, TenantPolicy, Tier};

use crate::conditions::{
    TENANTS, TIERS, Tenants, WORKERS, add_workers, config_without_preemption, configured, expect_start,
    request,
};

/// A poll each microsecond: no timer comes due in the meantime.
const POLL_NS: u64 = 1_000;

/// A full machine, a queue, and requests that wait for their tenants' quota.
#[derive(Debug)]
pub struct Idle {
    scheduler: Scheduler,
    now: Instant,
}

impl Idle {
    /// So many run on 64 workers, `queued` wait for room, and `blocked` ones, each of another tenant, for the one of
    /// their organisation that may run.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept, or does not find them blocked.
    #[must_use]
    pub fn new(running: usize, queued: usize, blocked: usize) -> Self {
        let now = Instant::ZERO;
        let mut scheduler = Scheduler::new(config_without_preemption(), now);
        let tenants = Tenants::known(&mut scheduler, TENANTS);
        add_workers(&mut scheduler, WORKERS, running);
        let submit = |scheduler: &mut Scheduler, tenant, tier| {
            scheduler.submit(now, request(tenant, tier, 1)).expect("no queue is full")
        };
        // They find their limit while there is room on the machine: later nobody would look.
        let one_at_a_time = configured(&mut scheduler, "blocked", TenantPolicy::new().max_running(1));
        submit(&mut scheduler, one_at_a_time, Tier::P2);
        expect_start(&mut scheduler, now);
        let blocked: Vec<RequestId> = (0..blocked)
            .map(|number| {
                let policy = TenantPolicy::new().parent(one_at_a_time);
                let tenant = configured(&mut scheduler, &format!("blocked-{number}"), policy);
                submit(&mut scheduler, tenant, TIERS[number % TIERS.len()])
            })
            .collect();
        assert_eq!(scheduler.poll(now), None, "they may not run");
        for number in 1..running {
            submit(&mut scheduler, tenants[number % TENANTS], TIERS[number % TIERS.len()]);
            expect_start(&mut scheduler, now);
        }
        for number in 0..queued {
            submit(&mut scheduler, tenants[number / TIERS.len() % TENANTS], TIERS[number % TIERS.len()]);
        }
        let mut idle = Self { scheduler, now };
        idle.poll();
        for request in blocked {
            let gate = idle.scheduler.explain(request).expect("it waits").gate;
            assert!(matches!(gate, Some(Gate::Quota)), "a limit holds it back, not {gate:?}");
        }
        idle
    }

    /// Time passes, and there is nothing to do.
    ///
    /// # Panics
    /// If there is.
    pub fn poll(&mut self) {
        self.now = self.now.plus_nanos(POLL_NS);
        assert_eq!(self.scheduler.poll(self.now), None, "nothing happened");
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
    fn a_poll_finds_nothing_to_do() {
        let mut idle = Idle::new(100, 1_000, 200);
        (0..1_000).for_each(|_| idle.poll());
        let depth: usize = TIERS.iter().map(|&tier| idle.scheduler().queue_depth(tier)).sum();
        assert_eq!((depth, idle.scheduler().stats().live), (1_200, 1_300));
        assert_eq!(idle.scheduler().check_invariants(), Ok(()));
    }
}
