//! tidegate as the policy of the cluster, through its public verbs alone: one tier by deficits and longest prefixes, placed by
//! prefix affinity. What starts on a worker waits there for its next step.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tidegate::{
    Action, Affinity, Attempt, Config, Instant, Order, Placement, RequestId, RequestSpec, Scheduler,
    TenantId, Tier, TierConfig, Usage, WorkerId, WorkerSpec,
};

use super::cache::{BLOCK_TOKENS, Cache};
use super::engine::{Job, MOST_RUNNING, Policy};

const OURS: &str = "the host tells the scheduler only what follows from its own actions";

/// See the module.
#[derive(Debug)]
pub struct Hosted {
    scheduler: Scheduler,
    by_id: BTreeMap<RequestId, usize>,
    /// Of those that were started, by index.
    started: BTreeMap<usize, (RequestId, Attempt, u64)>,
    /// What those of them that wait for room asked for, and how many tokens others generated.
    asked: BTreeMap<usize, u64>,
    generated: BTreeMap<usize, u64>,
    /// By worker, how many run, and those that wait there for room.
    running: Vec<u64>,
    waiting: Vec<VecDeque<usize>>,
}

impl Hosted {
    /// A scheduler over as many clients and workers with so many blocks each.
    #[must_use]
    pub fn new(clients: usize, workers: usize, blocks: usize, terms: Terms) -> Self {
        let tier = TierConfig::new("all").order(Order::DeficitLongestPrefix).deficit_quantum(terms.quantum);
        let affinity = Affinity::new(1 << 16)
            .block_tokens(BLOCK_TOKENS as u32)
            .worker_blocks(blocks as u32)
            .load_tokens(terms.load_tokens)
            .wait(Duration::from_millis(terms.wait_ms))
            .learns(false);
        let config = Config::builder()
            .dimensions(["requests", "blocks"])
            .tier(tier)
            .placement(Placement::PrefixAffinity)
            .affinity(affinity)
            .build()
            .expect("the config has no fault");
        let mut scheduler = Scheduler::new(config, Instant::ZERO);
        for client in 0..clients {
            scheduler.tenant_set(Instant::ZERO, &client.to_string()).expect(OURS);
        }
        for _ in 0..workers {
            let capacity = [MOST_RUNNING as u64, blocks as u64];
            scheduler.worker_add(Instant::ZERO, WorkerSpec::new(capacity)).expect(OURS);
        }
        Self {
            scheduler,
            by_id: BTreeMap::new(),
            started: BTreeMap::new(),
            asked: BTreeMap::new(),
            generated: BTreeMap::new(),
            running: vec![0; workers],
            waiting: vec![VecDeque::new(); workers],
        }
    }
}

/// What tidegate is told of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What a full worker is worth, in prompt tokens.
    pub load_tokens: u32,
    /// How long a request may wait for a warm worker, and a worker is kept for one.
    pub wait_ms: u64,
    /// In how large steps clients are even, in tokens.
    pub quantum: u64,
}

/// After how many tokens a request is told of.
const REPORT_EVERY: u64 = 32;

fn blocks_of(job: &Job) -> u64 {
    (job.request.blocks.len() + job.private()) as u64
}

fn worker_id(worker: usize) -> WorkerId {
    WorkerId::new(u32::try_from(worker).expect("workers are few"))
}

impl Policy for Hosted {
    fn arrives(&mut self, now_ns: u64, index: usize, job: &Job, _caches: &[Cache]) {
        let now = Instant::from_nanos(now_ns);
        let tenant = TenantId::new(u32::try_from(job.client).expect("clients are few"));
        let spec = RequestSpec::new(tenant, Tier::P0).demand([1, blocks_of(job)]);
        let id = self.scheduler.submit(now, spec.prompt_tokens(job.request.prompt.into())).expect(OURS);
        self.scheduler.prefix_set(now, id, &job.request.blocks).expect(OURS);
        self.by_id.insert(id, index);
    }

    fn next(&mut self, now_ns: u64, worker: usize, jobs: &[Job], _caches: &[Cache]) -> Option<usize> {
        while let Some(action) = self.scheduler.poll(Instant::from_nanos(now_ns)) {
            if let Action::Start { request, attempt, worker, .. } = action {
                let index = self.by_id[&request];
                self.started.insert(index, (request, attempt, 0));
                self.asked.insert(index, blocks_of(&jobs[index]));
                self.waiting[worker.get() as usize].push_back(index);
            }
        }
        self.waiting[worker].front().copied()
    }

    fn admitted(&mut self, now_ns: u64, worker: usize, index: usize, job: &Job, cached: u64, gone: &[u64]) {
        self.waiting[worker].pop_front();
        self.asked.remove(&index);
        self.running[worker] += 1;
        let now = Instant::from_nanos(now_ns);
        let (id, attempt, cached_tokens) = self.started.get_mut(&index).expect(OURS);
        *cached_tokens = cached;
        self.scheduler.started(now, *id, *attempt, cached, [1, blocks_of(job)].into()).expect(OURS);
        self.scheduler.cache_evicted(now, worker_id(worker), gone).expect(OURS);
    }

    fn generated(&mut self, now_ns: u64, worker: usize, index: usize, job: &Job) {
        // One call for a step would do in a real host; here each tells of itself, and seldom.
        let count = self.generated.entry(index).or_insert(0);
        *count += 1;
        if *count == 1 {
            // Before its first token others do not find its prompt.
            let now = Instant::from_nanos(now_ns);
            self.scheduler.cache_stored(now, worker_id(worker), &job.request.blocks).expect(OURS);
        }
        if (*count).is_multiple_of(REPORT_EVERY) {
            let (id, attempt, _) = self.started[&index];
            let in_use = [1, blocks_of(job)].into();
            self.scheduler.progress(Instant::from_nanos(now_ns), id, attempt, *count, in_use).expect(OURS);
        }
    }

    fn done(&mut self, now_ns: u64, worker: usize, index: usize, job: &Job) {
        self.running[worker] -= 1;
        self.generated.remove(&index);
        let (id, attempt, cached_tokens) = self.started.remove(&index).expect(OURS);
        let (prompt_tokens, output_tokens) = (job.request.prompt.into(), job.request.output.into());
        let usage = Usage { prompt_tokens, cached_tokens, output_tokens };
        self.scheduler.complete(Instant::from_nanos(now_ns), id, attempt, usage).expect(OURS);
        self.by_id.remove(&id);
    }

    fn holds(&mut self, now_ns: u64, worker: usize, blocks: usize) {
        let running = self.running[worker];
        // Blocks that several share count once; what waits here for its step holds what it asked for.
        let waiting: u64 = self.waiting[worker].iter().map(|index| self.asked[index]).sum();
        let in_use = [running + self.waiting[worker].len() as u64, blocks as u64 + waiting];
        self.scheduler
            .worker_usage(Instant::from_nanos(now_ns), worker_id(worker), in_use.into())
            .expect(OURS);
    }
}
