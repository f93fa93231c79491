//! tidegate as the policy of the engine with chunked prefill, through its public verbs alone, as a host of it drives one.
//!
//! Before a step: the scheduler is polled, victims leave, starts come in, and `step_plan` says which prompts are computed.
//! After it: one `step` report, with an exception for each request that did not just generate a token. A host may
//! also let requests of a tier generate only as the plan says: it names each of them as a prompt of one token. It knows
//! no outputs before they come.

use std::collections::BTreeMap;

use tidegate::{
    Action, Attempt, Config, Instant, PromptLeft, Release, RequestId, RequestSpec, Resources, Scheduler,
    StepException, TenantId, Tier, Usage, WorkerId, WorkerSpec, YieldMode, Yielding,
};

use super::chunked::{Chunk, Engine, Job, Policy, Run};
use crate::model::BLOCK_TOKENS;

const OURS: &str = "the host tells the scheduler only what follows from its own actions";

/// What a host of tidegate decides for itself.
#[derive(Clone, Debug)]
pub struct Host {
    /// The scheduler's config, with the dimension `slots` and perhaps `kv_blocks`.
    pub config: Config,
    /// Units of the worker, in the order of the dimensions.
    pub units: Resources,
    /// Whether the config has the second of them.
    pub counts_blocks: bool,
    /// The most tokens of a step.
    pub step_tokens: u64,
    /// From this tier on requests generate only as the plan says.
    pub planned_from: Option<u8>,
    /// Whether requests from that tier on have no part of a step for which others have no time to spare.
    pub pace: Option<Pace>,
    /// What stopped requests keep.
    pub yielding: Yielding,
    /// When the answer to a request is wanted, in nanoseconds after its arrival.
    pub deadline_ns: fn(&Job) -> Option<u64>,
}

/// How fast tokens should come in the mean of an answer, to requests that generate in every step.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Nanoseconds from one token to the next, counted from the first. Who is ahead of that has time to spare.
    pub token_ns: u64,
    /// Nanoseconds that all must be ahead of it for others to have a part of a step.
    pub ahead_ns: u64,
    /// Tokens of such a step, at most.
    pub step_tokens: u64,
}

/// The policy. See the module.
#[derive(Debug)]
pub struct Hosted {
    host: Host,
    scheduler: Scheduler,
    worker: WorkerId,
    tenant: TenantId,
    by_id: BTreeMap<RequestId, usize>,
    /// Those that are in the engine, by index.
    tickets: BTreeMap<usize, Ticket>,
    wakes_at: Option<u64>,
    /// The last step that had each request in it.
    steps: Vec<u64>,
    step: u64,
    /// By beneficiary, by index: what was stopped for it. What was stopped for lack of memory has none.
    pub stops: BTreeMap<Option<usize>, Stops>,
}

/// Whom tidegate stopped for one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    /// Requests.
    pub victims: u64,
    /// In so many sets: those of one instant are one.
    pub sets: u64,
    last_ns: Option<u64>,
}

/// What the host keeps of a request in the engine.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    id: RequestId,
    attempt: Attempt,
    /// The engine has reported this attempt.
    started: bool,
    /// What it is said to use.
    in_use: Resources,
}

impl Hosted {
    /// A scheduler with one worker.
    ///
    /// # Panics
    /// If the units are not those of the config's dimensions.
    #[must_use]
    pub fn new(host: Host) -> Self {
        let mut scheduler = Scheduler::new(host.config.clone(), Instant::ZERO);
        let worker = WorkerSpec::new(host.units);
        let worker = scheduler.worker_add(Instant::ZERO, worker).expect(OURS);
        let tenant = scheduler.tenant_set(Instant::ZERO, "all").expect(OURS);
        let (by_id, tickets) = (BTreeMap::new(), BTreeMap::new());
        let (steps, stops) = (Vec::new(), BTreeMap::new());
        Self { host, scheduler, worker, tenant, by_id, tickets, wakes_at: None, steps, step: 0, stops }
    }

    /// What it holds when its next step is computed.
    fn in_use(&self, run: &Run) -> Resources {
        let blocks = (run.job.prompt + run.generated).div_ceil(BLOCK_TOKENS);
        [1, if self.host.counts_blocks { blocks.into() } else { 0 }].into()
    }

    /// Tokens of the next step: only those of who generates in every step, if one of them would fall behind its pace
    /// otherwise, and none of them computes its prompt.
    fn step_tokens(&self, engine: &Engine, generate: &[Chunk], named: &[usize]) -> u64 {
        let (Some(pace), Some(from)) = (self.host.pace, self.host.planned_from) else {
            return self.host.step_tokens;
        };
        let is_ahead = |chunk: &Chunk| {
            let run = engine.run(chunk.index);
            let due = run.first_ns.map(|first| first + u64::from(run.generated) * pace.token_ns);
            due.is_some_and(|due| engine.now_ns() + pace.ahead_ns <= due)
        };
        let computes = named.iter().any(|&index| engine.run(index).job.tier < from);
        match (computes || generate.is_empty(), generate.iter().all(is_ahead)) {
            (true, _) => self.host.step_tokens,
            (false, true) => pace.step_tokens,
            (false, false) => generate.len() as u64,
        }
    }

    /// Does what the scheduler asks.
    fn round(&mut self, engine: &mut Engine) {
        let now = Instant::from_nanos(engine.now_ns());
        while let Some(action) = self.scheduler.poll(now) {
            let index = self.by_id[&action.request().expect("no tenant leases")];
            match action {
                Action::Start { request, attempt, resume_tokens, .. } => {
                    if resume_tokens > 0 {
                        engine.copy_in(index);
                    }
                    let in_use = self.in_use(engine.run(index));
                    self.tickets.insert(index, Ticket { id: request, attempt, started: false, in_use });
                }
                Action::Preempt { victim, attempt, mode, beneficiary, .. } => {
                    let kept = match mode {
                        YieldMode::Checkpoint => engine.copy_out(index),
                        _ => engine.evict(index),
                    };
                    self.tickets.remove(&index);
                    self.scheduler.preempted(now, victim, attempt, kept.into(), Release::Done).expect(OURS);
                    let beneficiary = beneficiary.map(|request| self.by_id[&request]);
                    let stops = self.stops.entry(beneficiary).or_default();
                    stops.victims += 1;
                    stops.sets += u64::from(stops.last_ns != Some(engine.now_ns()));
                    stops.last_ns = Some(engine.now_ns());
                }
                other => unreachable!("between two steps victims stop at once, and nobody leaves: {other:?}"),
            }
        }
        self.wakes_at = self.scheduler.poll_timeout().map(Instant::as_nanos);
    }
}

impl Policy for Hosted {
    fn arrives(&mut self, engine: &Engine, index: usize) {
        let run = engine.run(index);
        let spec = RequestSpec::new(self.tenant, Tier::new(run.job.tier))
            .demand(self.in_use(run))
            .prompt_tokens(run.job.prompt.into())
            .yielding(self.host.yielding);
        let deadline = (self.host.deadline_ns)(&run.job).map(|within| run.job.arrival_ns + within);
        let spec = deadline.map_or(spec, |at| spec.deadline(Instant::from_nanos(at)));
        let now = Instant::from_nanos(engine.now_ns());
        let id = self.scheduler.submit(now, spec).expect("each fits the worker");
        self.by_id.insert(id, index);
    }

    fn plan(&mut self, engine: &mut Engine, chunks: &mut Vec<Chunk>) {
        self.round(engine);
        let (mut named, mut prompts) = (Vec::new(), Vec::new());
        for (&index, ticket) in &self.tickets {
            let run = engine.run(index);
            let is_planned = self.host.planned_from.is_some_and(|from| run.job.tier >= from);
            if run.decodes() && ticket.started && !is_planned {
                chunks.push(Chunk { index, tokens: 1 });
            } else {
                named.push(index);
                prompts.push(PromptLeft { request: ticket.id, tokens: run.missing().into() });
            }
        }
        let tokens = self.step_tokens(engine, chunks, &named);
        let plan = self.scheduler.step_plan(self.worker, tokens, &prompts).expect(OURS);
        let planned = named.into_iter().zip(plan).filter(|(_, part)| part.tokens > 0);
        chunks.extend(planned.map(|(index, part)| Chunk { index, tokens: part.tokens as u32 }));
    }

    fn stepped(&mut self, engine: &Engine, chunks: &[Chunk], done: &[usize]) {
        let now = Instant::from_nanos(engine.now_ns());
        for index in done {
            let Ticket { id, attempt, .. } = self.tickets.remove(index).expect("it was in the engine");
            let run = engine.run(*index);
            let usage = Usage {
                prompt_tokens: run.job.prompt.into(),
                cached_tokens: 0,
                output_tokens: run.generated.into(),
            };
            self.scheduler.complete(now, id, attempt, usage).expect(OURS);
            self.by_id.remove(&id);
        }
        self.step += 1;
        for &Chunk { index, .. } in chunks {
            self.steps.resize(self.steps.len().max(index + 1), 0);
            self.steps[index] = self.step;
        }
        let mut exceptions = Vec::new();
        let mut tickets = std::mem::take(&mut self.tickets);
        for (&index, ticket) in &mut tickets {
            let run = engine.run(index);
            let computed = self.steps.get(index) == Some(&self.step);
            let in_use = self.in_use(run);
            let is_usual =
                if ticket.started { computed && run.decodes() && ticket.in_use == in_use } else { !computed };
            if !is_usual {
                (ticket.started, ticket.in_use) = (true, in_use);
                exceptions.push(StepException {
                    request: ticket.id,
                    attempt: ticket.attempt,
                    output_tokens: run.generated.into(),
                    in_use,
                });
            }
        }
        self.tickets = tickets;
        self.scheduler.step(now, self.worker, 1, &exceptions).expect(OURS);
    }

    fn wakes_at(&self) -> Option<u64> {
        self.wakes_at
    }
}
