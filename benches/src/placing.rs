//! A machine that is half full, so that each start has to choose among workers that differ.

use tidegate::{Affinity, Attempt, Instant, RequestId, Scheduler, TenantId, WorkerId};

use crate::conditions::{
    TENANTS, TIERS, TURN_NS, Tenants, add_workers, add_workers_on_devices, config_with_affinity,
    config_without_preemption, expect_start, request, take_random,
};
use crate::steady_state::USAGE;

const SLOTS_PER_WORKER_OF_MANY: usize = 16;
/// How many blocks of prompts are known, where any are.
const INDEX: u32 = 1_000_000;
/// How many blocks all prompts begin with, how many follow that those of a tenant share, and how many are a prompt's own.
const BLOCKS: [usize; 3] = [8, 16, 8];
const BLOCK_TOKENS: u32 = 64;
/// How often a quarter of all slots is taken and given back until a thousand workers know as many blocks as they may.
const PASSES: usize = 12;

/// A machine with room for as much as runs on it.
#[derive(Debug)]
pub struct Placing {
    scheduler: Scheduler,
    now: Instant,
    tenants: Vec<TenantId>,
    running: Vec<(RequestId, Attempt)>,
    submitted: usize,
    tells_prompts: bool,
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
        let slots = slots_for * SLOTS_PER_WORKER_OF_MANY;
        add_workers(&mut scheduler, workers, slots);
        Self::half_full(scheduler, slots, false)
    }

    /// As many workers of 16 slots, four on each device, and requests that go where their prompts are cached.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn by_prefix(workers: usize) -> Self {
        let slots = workers * SLOTS_PER_WORKER_OF_MANY;
        let config = config_with_affinity(Affinity::new(INDEX).block_tokens(BLOCK_TOKENS));
        let mut scheduler = Scheduler::new(config, Instant::ZERO);
        add_workers_on_devices(&mut scheduler, workers, SLOTS_PER_WORKER_OF_MANY);
        let mut placing = Self::half_full(scheduler, slots, true);
        for _ in 0..PASSES {
            placing.submit(slots / 4);
            placing.start(slots / 4);
            placing.complete(slots / 4);
        }
        placing
    }

    fn half_full(mut scheduler: Scheduler, slots: usize, tells_prompts: bool) -> Self {
        let tenants = Tenants::known(&mut scheduler, TENANTS);
        let (now, running) = (scheduler.now(), Vec::new());
        let mut placing = Self { scheduler, now, tenants, running, submitted: 0, tells_prompts, random: 1 };
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
            let tenant = self.submitted / TIERS.len() % TENANTS;
            let mut spec = request(self.tenants[tenant], TIERS[self.submitted % TIERS.len()], 1);
            if self.tells_prompts {
                spec.prompt_tokens = u64::from(BLOCK_TOKENS) * BLOCKS.iter().sum::<usize>() as u64;
            }
            let request = self.scheduler.submit(self.now, spec).expect("no limit is set");
            if self.tells_prompts {
                let prompt: Vec<u64> = prompt(tenant, self.submitted).collect();
                self.scheduler.prefix_set(self.now, request, &prompt).expect("it waits");
            }
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

    /// An input that says nothing: what decisions put by is done.
    ///
    /// # Panics
    /// If the first worker is lost.
    pub fn tell_nothing(&mut self) {
        self.scheduler.cache_evicted(self.now, WorkerId::new(0), &[]).expect("no worker is lost");
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

/// The blocks of a tenant's prompt, which has this number among all.
fn prompt(tenant: usize, number: usize) -> impl Iterator<Item = u64> {
    let begins = [0, (1 << 60) + ((tenant as u64) << 8), (2 << 60) + ((number as u64) << 8)];
    begins.into_iter().zip(BLOCKS).flat_map(|(begin, blocks)| begin..begin + blocks as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate::Action;

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

    #[test]
    fn who_asks_again_goes_where_the_prompt_is() {
        let mut placing = Placing::by_prefix(50);
        let unpaired = TIERS.len() - placing.submitted % TIERS.len();
        placing.submit(unpaired);
        placing.start(unpaired);
        for _ in 0..5 {
            placing.submit(TIERS.len());
            let started = TIERS.map(|_| match placing.scheduler.poll(placing.now) {
                Some(Action::Start { worker, .. }) => worker,
                action => panic!("expected a start, got {action:?}"),
            });
            assert_eq!(started, [started[0]; 3], "all three are of one tenant");
        }
    }
}
