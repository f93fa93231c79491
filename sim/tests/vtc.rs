//! FAIR-1 on the real requests of VTC's artifact (OSDI'24): 27 tenants, one engine, the artifact's setting.

#[path = "../../core/tests/common/counters.rs"]
mod counters;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use counters::{Counters, SCALE};
use tidegate::{
    Action, Attempt, Config, Instant, Order, PoolId, RequestId, RequestSpec, Scheduler, Shrink, TenantId,
    Tier, TierConfig, Usage, WorkerId, WorkerSpec,
};
use tidegate_sim::model::{Load, ServiceModel};
use tidegate_sim::trace::{self, LoadOptions, Work, Workload};

/// Tokens of the KV cache.
const POOL_TOKENS: u64 = 10_000;
/// VTC's bound: the cost of as many output tokens as the engine has room for.
const BOUND: i128 = 2 * POOL_TOKENS as i128;
/// Tokens of it that each client with a request in it takes up.
const TOKENS_PER_CLIENT: u64 = 32;
/// Prompt tokens that are computed at once.
const PREFILL_TOKENS: u64 = 3_072;
/// Decode steps between two admissions.
const STEPS_APART: u32 = 10;
/// Output tokens that are charged ahead of those that are known.
const AHEAD: u64 = 64;

struct Running {
    id: RequestId,
    attempt: Attempt,
    index: usize,
    generated: u64,
    charged_output: u64,
}

/// The artifact's engine: admits after every tenth step, computes what it admitted alone, and evicts nobody.
struct Engine<'a> {
    load: &'a Workload,
    model: &'static ServiceModel,
    sched: Scheduler,
    counters: Counters,
    now: u64,
    arrived: usize,
    waiting: BTreeMap<RequestId, usize>,
    running: Vec<Running>,
    /// What the scheduler started, and the engine had no room for yet.
    ahead: Option<(RequestId, Attempt)>,
    gap: i128,
    /// Whether every start was of the tenant that had least.
    in_order: bool,
}

impl<'a> Engine<'a> {
    fn new(load: &'a Workload) -> Self {
        let tier = TierConfig::new("all").order(Order::Fair);
        let config = Config::builder().dimensions(["requests"]).tier(tier);
        let mut sched = Scheduler::new(config.build().expect("no fault"), Instant::ZERO);
        let worker = WorkerSpec::new(PoolId::new(0), [1]);
        sched.worker_add(Instant::ZERO, worker).expect("a valid worker");
        for name in &load.tenants {
            sched.tenant_set(Instant::ZERO, name).expect("a name");
        }
        let counters = Counters::new(&vec![1; load.tenants.len()]);
        let model = ServiceModel::by_id("a10g-llama7b").expect("it is one of them");
        let (waiting, running) = (BTreeMap::new(), Vec::new());
        Self {
            load,
            model,
            sched,
            counters,
            now: 0,
            arrived: 0,
            waiting,
            running,
            ahead: None,
            gap: 0,
            in_order: true,
        }
    }

    fn lengths(&self, index: usize) -> (u64, u64) {
        let Work::Tokens { prompt, output } = self.load.requests[index].work else { panic!("no job") };
        (prompt.into(), output.into())
    }

    fn tenant(&self, index: usize) -> usize {
        self.load.requests[index].tenant as usize
    }

    fn note_gap(&mut self) {
        self.gap = self.gap.max(self.counters.gap());
    }

    fn submit_arrivals(&mut self) {
        while let Some(request) = self.load.requests.get(self.arrived)
            && request.arrival_ns <= self.now
        {
            let spec = RequestSpec::new(TenantId::new(request.tenant), Tier::P0)
                .demand([1])
                .prompt_tokens(self.lengths(self.arrived).0);
            let id = self.sched.submit(self.at(), spec).expect("it is accepted");
            self.waiting.insert(id, self.arrived);
            self.counters.submitted(request.tenant as usize);
            self.arrived += 1;
            self.note_gap();
        }
    }

    /// Whether the pool will have room for all that run and one more until the last of them ends.
    fn has_room(&self, candidate: usize) -> bool {
        let lengths = |index, generated| {
            let (prompt, output) = self.lengths(index);
            (output - generated, prompt + generated)
        };
        let mut all: Vec<_> =
            self.running.iter().map(|one| lengths(one.index, one.generated.max(1))).collect();
        all.push(lengths(candidate, 1));
        all.sort_unstable_by_key(|&(left, _)| Reverse(left));
        let mut held = 0;
        let peaks = all.iter().zip(1..).map(|(&(left, holds), count)| {
            held += holds;
            count * left + held
        });
        let clients = self.running.iter().map(|one| one.index).chain([candidate]).map(|one| self.tenant(one));
        let clients = clients.collect::<BTreeSet<_>>().len() as u64;
        peaks.max() < Some(POOL_TOKENS - TOKENS_PER_CLIENT * clients)
    }

    /// Takes what there is room for, up to the first that finds none, and computes it: whether there was anything.
    fn admit(&mut self) -> bool {
        let mut prefill = Load::default();
        while let Some((id, attempt)) = self.ahead.take().or_else(|| self.next()) {
            let index = self.waiting[&id];
            let prompt = self.lengths(index).0;
            if prefill.prefill_tokens + prompt > PREFILL_TOKENS || !self.has_room(index) {
                self.ahead = Some((id, attempt));
                break;
            }
            self.sched.started(self.at(), id, attempt, 0, [1].into()).expect("it is starting");
            self.waiting.remove(&id);
            prefill.prefill_tokens += prompt;
            prefill.prefill_squares += prompt * prompt;
            self.running.push(Running { id, attempt, index, generated: 0, charged_output: 0 });
        }
        if prefill.prefill_tokens == 0 {
            return false;
        }
        self.now += self.model.iteration_ns(&prefill);
        self.generate(|running| running.generated == 0);
        true
    }

    /// What the scheduler starts if the engine has a place for one more than runs: one that may wait there for room.
    fn next(&mut self) -> Option<(RequestId, Attempt)> {
        let places = [self.running.len() as u64 + 1].into();
        self.sched.worker_resize(self.at(), WorkerId::new(0), places, Shrink::Drain).expect("it is up");
        let Action::Start { request, attempt, .. } = self.sched.poll(self.at())? else { panic!("no start") };
        let index = self.waiting[&request];
        self.in_order &= self.counters.started(self.tenant(index));
        self.counters.charged(self.tenant(index), 0, self.lengths(index).0);
        self.note_gap();
        Some((request, attempt))
    }

    fn at(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn decode(&mut self) {
        let context = self.running.iter().map(|running| self.lengths(running.index).0 + running.generated);
        let load = Load {
            decode_tokens: self.running.len() as u64,
            decode_context: context.sum(),
            ..Load::default()
        };
        self.now += self.model.iteration_ns(&load);
        self.generate(|_| true);
    }

    /// Gives a token to each of these, and ends those that are done.
    fn generate(&mut self, of: impl Fn(&Running) -> bool) {
        let now = self.at();
        for mut running in std::mem::take(&mut self.running) {
            let (tenant, (prompt, output)) = (self.tenant(running.index), self.lengths(running.index));
            let cost = |output: u64| prompt + 2 * output;
            if of(&running) {
                running.generated += 1;
                let (id, attempt) = (running.id, running.attempt);
                self.sched.progress(now, id, attempt, running.generated, [1].into()).expect("it runs");
                if running.generated > running.charged_output {
                    let ahead = running.generated + AHEAD;
                    self.counters.charged(tenant, cost(running.charged_output), cost(ahead));
                    running.charged_output = ahead;
                    self.note_gap();
                }
            }
            if running.generated < output {
                self.running.push(running);
                continue;
            }
            let usage = Usage { prompt_tokens: prompt, cached_tokens: 0, output_tokens: output };
            self.sched.complete(now, running.id, running.attempt, usage).expect("it runs");
            self.counters.charged(tenant, cost(running.charged_output), cost(output));
            self.note_gap();
        }
    }

    fn run(mut self) -> Self {
        let mut steps = STEPS_APART;
        loop {
            self.submit_arrivals();
            if (steps >= STEPS_APART || self.running.is_empty()) && self.admit() {
                steps = 0;
                continue;
            }
            if !self.running.is_empty() {
                self.decode();
                steps += 1;
            } else if let Some(next) = self.load.requests.get(self.arrived) {
                self.now = next.arrival_ns;
            } else {
                assert_eq!(self.sched.stats().completed, self.load.requests.len() as u64);
                return self;
            }
        }
    }
}

/// Without a lift they are 34,211 apart.
#[test]
fn counters_stay_within_the_bound_on_the_vtc_trace() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces/vtc-runs/vtc-real.jsonl.gz");
    if !file.is_file() {
        assert!(std::env::var_os("CI").is_none(), "{} is not there", file.display());
        eprintln!("not run: {} is not there", file.display());
        return;
    }
    let spec = format!("vtc:{}", file.display()).parse().expect("a kind and a path");
    let load = trace::load(&[spec], &LoadOptions::default()).expect("the published file has no fault");
    assert_eq!((load.requests.len(), load.tenants.len()), (1_500, 27));
    let ended = Engine::new(&load).run();
    let gap = ended.gap / SCALE;
    println!("largest gap {gap}, bound {BOUND}, at the end it is {} s", ended.now / 1_000_000_000);
    assert!(gap <= BOUND, "{gap}");
    assert!(ended.in_order, "somebody started whose tenant had more than another");
}
