//! What the benches measure: a machine that is full and a queue of constant length and mixture, so that nothing
//! grows or drains while the clock runs. Every function checks that the scheduler did what it is timed for.

pub mod shared;

use std::collections::VecDeque;

use tidegate::{
    Action, Attempt, Config, Instant, PoolId, Preemption, Rate, RequestId, RequestSpec, Scheduler, TenantId,
    TenantPolicy, Tier, TierConfig, Usage, WorkerSpec,
};

const TIERS: [Tier; 3] = [Tier::P0, Tier::P1, Tier::P2];
const WORKERS: usize = 64;
const SLOTS_PER_WORKER: usize = 16;
const BLOCKS_PER_REQUEST: u64 = 40;
/// Between two turns the host's clock moves by the pace of a busy server, far below every timeout.
const TURN_NS: u64 = 10_000;
/// How many tenants are known where nothing else is said, and how many of them share one organisation.
const TENANTS: usize = 10_000;
const TENANTS_PER_ORGANISATION: usize = 100;
/// What a tenant may use: a few times what it does where 300 of them share the machine.
const TOKENS_PER_MINUTE: u64 = 50_000_000;
const MAX_RUNNING: u64 = 2_000;

/// Three tiers, two dimensions, 64 workers of 16 slots, all taken; tenants two levels deep, each with limits of tokens
/// and of what runs at once; nobody may preempt, so that a turn is submit, start and complete and nothing else.
#[derive(Debug)]
pub struct SteadyState {
    scheduler: Scheduler,
    now: Instant,
    tenants: Vec<TenantId>,
    running: VecDeque<(RequestId, Attempt)>,
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
        let usage = Usage { prompt_tokens: 512, cached_tokens: 0, output_tokens: 200 };
        self.scheduler.complete(self.now, request, attempt, usage).expect("it runs");
        let started = self.start();
        let (tier, tenant) = self.of_slot[slot(started)];
        self.submit(tier, tenant);
        assert_eq!(self.scheduler.poll(self.now), None, "the machine is full");
    }

    /// The scheduler, to look at.
    #[must_use]
    pub const fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// The steady state, and the ids of those that wait, in the order of submission.
    fn with_queue(waiting: usize, known: usize, active: usize) -> (Self, Vec<RequestId>) {
        let now = Instant::ZERO;
        let mut scheduler = Scheduler::new(config(), now);
        let tenants = tenants(&mut scheduler, known);
        for _ in 0..WORKERS {
            let slots = SLOTS_PER_WORKER as u64;
            let worker = WorkerSpec::new(PoolId::new(0), [slots, slots * BLOCKS_PER_REQUEST]);
            scheduler.worker_add(now, worker).expect("a valid worker");
        }
        let mut state = Self { scheduler, now, tenants, running: VecDeque::new(), of_slot: Vec::new() };
        let slots = WORKERS * SLOTS_PER_WORKER;
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
        let submit = |number: usize| {
            let tenant = state.tenants[number / TIERS.len() % active];
            state.submit(TIERS[number % TIERS.len()], tenant)
        };
        let queue = (0..waiting).map(submit).collect();
        (state, queue)
    }

    fn submit(&mut self, tier: Tier, tenant: TenantId) -> RequestId {
        let units = [1, BLOCKS_PER_REQUEST];
        let spec =
            RequestSpec::new(tenant, tier).demand(units).peak(units).prompt_tokens(512).output_tokens(200);
        let request = self.scheduler.submit(self.now, spec).expect("no limit is set");
        if self.of_slot.len() <= slot(request) {
            self.of_slot.resize(slot(request) + 1, (tier, tenant));
        }
        self.of_slot[slot(request)] = (tier, tenant);
        request
    }

    fn start(&mut self) -> RequestId {
        let action = self.scheduler.poll(self.now).expect("a slot is free");
        let Action::Start { request, attempt, .. } = action else {
            panic!("expected a start, got {action:?}")
        };
        self.running.push_back((request, attempt));
        request
    }
}

/// A full machine whose queue is shuffled by cancellations.
#[derive(Debug)]
pub struct Cancellations {
    state: SteadyState,
    queue: Vec<RequestId>,
    random: u64,
}

impl Cancellations {
    /// A full machine with `waiting` requests that may be cancelled.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn new(waiting: usize) -> Self {
        let (state, queue) = SteadyState::with_queue(waiting, TENANTS, TENANTS);
        Self { state, queue, random: 1 }
    }

    /// One request that waits somewhere in the queue is cancelled, and one of its tier is submitted.
    ///
    /// # Panics
    /// If the scheduler refuses.
    pub fn cancel_and_submit(&mut self) {
        self.state.now = self.state.now.plus_nanos(TURN_NS);
        let index = random_index(&mut self.random, self.queue.len());
        self.state.scheduler.cancel(self.state.now, self.queue[index]).expect("it waits");
        let tenant = self.state.of_slot[slot(self.queue[index])].1;
        self.queue[index] = self.state.submit(TIERS[index % TIERS.len()], tenant);
    }

    /// The scheduler, to look at.
    #[must_use]
    pub const fn scheduler(&self) -> &Scheduler {
        &self.state.scheduler
    }
}

/// The next index below `len` of a generator that visits a queue without order (Knuth's MMIX constants).
///
/// # Panics
/// If `len` is 0.
pub fn random_index(random: &mut u64, len: usize) -> usize {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*random >> 33).expect("31 bits") % len
}

/// The scheduler's slot of a request, the lower half of its number.
fn slot(request: RequestId) -> usize {
    request.to_bits() as u32 as usize
}

/// Tenants below organisations, all with limits that they never reach.
fn tenants(scheduler: &mut Scheduler, known: usize) -> Vec<TenantId> {
    let now = Instant::ZERO;
    let mut add = |name: String, policy: TenantPolicy| {
        let tenant = scheduler.tenant_set(now, &name).expect("a valid name");
        scheduler.tenant_configure(now, tenant, &policy).expect("a valid policy");
        tenant
    };
    let policy = |times: u64| {
        let tokens = Rate::per_minute(TOKENS_PER_MINUTE * times);
        TenantPolicy::new().tokens(tokens).max_running(MAX_RUNNING * times)
    };
    let organisations: Vec<TenantId> = (0..known.div_ceil(TENANTS_PER_ORGANISATION))
        .map(|number| add(format!("organisation-{number}"), policy(TENANTS_PER_ORGANISATION as u64)))
        .collect();
    let below = |number: usize| organisations[number / TENANTS_PER_ORGANISATION];
    (0..known).map(|number| add(format!("tenant-{number}"), policy(1).parent(below(number)))).collect()
}

fn config() -> Config {
    let tier = |name: &str, reserve| {
        TierConfig::new(name)
            .reserve_ppm(reserve)
            .preemption(Preemption::Never)
            .preempt_while_borrowing(Preemption::Never)
    };
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(tier("realtime", 300_000))
        .tier(tier("near-realtime", 0))
        .tier(tier("batch", 50_000))
        .build()
        .expect("a valid config")
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
            state.running.iter().map(|&(request, _)| state.of_slot[slot(request)].1).collect();
        assert_eq!(running.len(), 100);
        assert_eq!(state.scheduler().check_invariants(), Ok(()));
    }

    #[test]
    fn a_cancellation_keeps_the_queue() {
        let mut queue = Cancellations::new(300);
        let before = depths(queue.scheduler());
        for _ in 0..1_000 {
            queue.cancel_and_submit();
        }
        assert_eq!(depths(queue.scheduler()), before);
        assert_eq!(queue.scheduler().stats().cancelled, 1_000);
        assert_eq!(queue.scheduler().check_invariants(), Ok(()));
    }
}
