//! tidegate as the engine's policy, through its public verbs alone, as an adapter in a real engine drives it.
//!
//! Before a step: the scheduler is polled, its victims leave, its starts come in, and its step plan says which
//! prompts are computed. After it: one `step` report, with an exception for each request that did not just
//! generate a token within its blocks. What a request is said to use is what it will hold in the next step, and
//! what [`Foresight`] adds; so the engine is never out of blocks in the middle of a step.

use std::collections::BTreeMap;

use tidegate::{
    Action, Attempt, Config, Instant, PromptLeft, Release, RequestId, RequestSpec, Scheduler, StepException,
    TenantId, Tier, Usage, WorkerId, WorkerSpec,
};

use super::Policy;
use super::engine::{Chunk, Engine, Run, Size};
use crate::model::BLOCK_TOKENS;

/// How long a step takes, for the scheduler's clock: 25 ms, chosen arbitrarily.
const STEP_NS: u64 = 25_000_000;

/// What the host thinks of outputs before it sees them, in tokens. All zero: it says what is, and nothing more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foresight {
    /// What a request generates: its peak, for which it waits once it had to yield memory.
    pub expected: u32,
    /// For so much output a request has room when it starts.
    pub at_start: u32,
}

/// The policy. See the module.
#[derive(Debug)]
pub struct Hosted {
    scheduler: Scheduler,
    worker: WorkerId,
    tenant: TenantId,
    foresight: Foresight,
    /// What a worker has that is not there.
    larger_blocks: u64,
    steps: u64,
    tickets: Vec<Ticket>,
    by_id: BTreeMap<RequestId, usize>,
}

/// What the host keeps of a request.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    id: RequestId,
    attempt: Attempt,
    /// The engine has reported this attempt.
    started: bool,
    /// The blocks that it is said to use.
    booked: u32,
}

const OURS: &str = "the host tells the scheduler only what follows from its own actions";

impl Hosted {
    /// A scheduler over dimensions `slots` and `kv_blocks`, with one worker of this size.
    ///
    /// # Panics
    /// If the config has other dimensions.
    #[must_use]
    pub fn new(config: Config, size: Size, foresight: Foresight) -> Self {
        assert!(config.dimensions().eq(["slots", "kv_blocks"]), "slots and KV blocks, in this order");
        let mut scheduler = Scheduler::new(config, Instant::ZERO);
        let capacity = [u64::from(size.slots), u64::from(size.blocks)];
        let spec = WorkerSpec::new(capacity);
        let worker = scheduler.worker_add(Instant::ZERO, spec).expect(OURS);
        let tenant = scheduler.tenant_set(Instant::ZERO, "tenant").expect(OURS);
        Self {
            scheduler,
            worker,
            tenant,
            foresight,
            larger_blocks: 0,
            steps: 0,
            tickets: Vec::new(),
            by_id: BTreeMap::new(),
        }
    }

    /// Lets the pool lose a worker with one block more than this one has: blocked requests want just that, and
    /// are parked until it comes back.
    #[must_use]
    pub fn without_larger_worker(mut self, size: Size) -> Self {
        let capacity = [u64::from(size.slots), u64::from(size.blocks) + 1];
        let spec = WorkerSpec::new(capacity);
        let larger = self.scheduler.worker_add(self.now(), spec).expect(OURS);
        self.scheduler.worker_lost(self.now(), larger).expect(OURS);
        self.larger_blocks = capacity[1];
        self
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.steps * STEP_NS)
    }

    /// The blocks that a request should have: those of its tokens, and what the host foresees.
    fn blocks(&self, run: &Run) -> u32 {
        (run.job.prompt + run.generated.max(self.foresight.at_start)).div_ceil(BLOCK_TOKENS)
    }

    fn spec(&self, run: &Run) -> RequestSpec {
        let peak = (run.job.prompt + self.foresight.expected).div_ceil(BLOCK_TOKENS);
        let demand = if run.job.blocked { self.larger_blocks } else { self.blocks(run).into() };
        let spec = RequestSpec::new(self.tenant, Tier::new(run.job.tier))
            .demand([1, demand])
            .prompt_tokens(run.job.prompt.into());
        if self.foresight.expected == 0 {
            return spec;
        }
        spec.peak([1, demand.max(peak.into())]).output_tokens(self.foresight.expected.into())
    }

    /// Does what the scheduler asks.
    fn round(&mut self, engine: &mut Engine) {
        let now = self.now();
        while let Some(action) = self.scheduler.poll(now) {
            let run = self.by_id[&action.request().expect("no tenant leases")];
            match action {
                Action::Start { attempt, .. } => {
                    self.tickets[run].attempt = attempt;
                    self.tickets[run].started = false;
                    engine.admit(run);
                }
                Action::Preempt { victim, attempt, .. } => {
                    engine.evict(run);
                    self.scheduler.preempted(now, victim, attempt, 0, Release::Done).expect(OURS);
                }
                other => unreachable!("between two steps victims stop at once, and nobody leaves: {other:?}"),
            }
        }
    }

    /// The parts of prompts in the next step.
    fn prompts(&self, engine: &Engine) -> Vec<Chunk> {
        let is_prompt = |&&run: &&usize| engine.run(run).missing() > 1 || !self.tickets[run].started;
        let runs: Vec<usize> = engine.running().iter().filter(is_prompt).copied().collect();
        let left = |&run: &usize| PromptLeft {
            request: self.tickets[run].id,
            tokens: engine.run(run).missing().into(),
        };
        let prompts: Vec<_> = runs.iter().map(left).collect();
        let tokens = engine.size().tokens.into();
        let plan = self.scheduler.step_plan(self.worker, tokens, &prompts).expect(OURS);
        let chunks = runs.into_iter().zip(plan).filter(|(_, part)| part.tokens > 0);
        chunks.map(|(run, part)| Chunk { run, tokens: part.tokens as u32 }).collect()
    }
}

impl Policy for Hosted {
    fn arrive(&mut self, engine: &Engine, run: usize) {
        let spec = self.spec(engine.run(run)).tag(run as u64);
        let id = self.scheduler.submit(self.now(), spec).expect("every scenario fits its engine");
        self.by_id.insert(id, run);
        self.tickets.push(Ticket { id, attempt: Attempt::new(0), started: false, booked: 0 });
    }

    fn plan(&mut self, engine: &mut Engine) -> Vec<Chunk> {
        self.round(engine);
        let mut chunks = self.prompts(engine);
        let planned: Vec<_> = chunks.iter().map(|chunk| chunk.run).collect();
        let decodes = engine.running().iter().filter(|&&run| {
            engine.run(run).missing() == 1 && self.tickets[run].started && !planned.contains(&run)
        });
        chunks.extend(decodes.map(|&run| Chunk { run, tokens: 1 }));
        for chunk in &chunks {
            assert!(engine.grow(chunk.run, chunk.tokens), "what is used was reported before it is taken");
        }
        chunks
    }

    fn hear(&mut self, engine: &Engine, chunks: &[Chunk], done: &[usize]) {
        self.steps += 1;
        let now = self.now();
        for &run in done {
            let Ticket { id, attempt, .. } = self.tickets[run];
            let Run { job, generated, .. } = *engine.run(run);
            let usage =
                Usage { prompt_tokens: job.prompt.into(), cached_tokens: 0, output_tokens: generated.into() };
            self.scheduler.complete(now, id, attempt, usage).expect(OURS);
        }
        let mut exceptions = Vec::new();
        for &run in engine.running() {
            let state = engine.run(run);
            let booked = self.blocks(state);
            let ticket = &mut self.tickets[run];
            let computed = chunks.iter().any(|chunk| chunk.run == run);
            let usual = computed && state.missing() == 1 && ticket.booked == booked;
            let nothing_new = if ticket.started { usual } else { !computed };
            if nothing_new {
                continue;
            }
            (ticket.started, ticket.booked) = (true, booked);
            exceptions.push(StepException {
                request: ticket.id,
                attempt: ticket.attempt,
                output_tokens: state.generated.into(),
                in_use: [1, u64::from(booked)].into(),
            });
        }
        self.scheduler.step(now, self.worker, 1, &exceptions).expect(OURS);
    }
}
