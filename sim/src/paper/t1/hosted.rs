//! tidegate as the engine's policy, through its public verbs alone.
//!
//! The engine asks for one request at a time. The one that tidegate started waits until there is room for it, as the
//! artifact's engine gives up at the first that does not fit.

use std::collections::BTreeMap;

use tidegate::{
    Action, Attempt, Config, Instant, Order, PoolId, RequestId, RequestSpec, Scheduler, TenantId, Tier,
    TierConfig, Usage, WorkerId, WorkerSpec,
};

use super::engine::{Job, MOST_RUNNING, Policy, Running};

const OURS: &str = "the host tells the scheduler only what follows from its own actions";

/// What the scheduler is told of outputs before they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foresight {
    /// Nothing: they are charged as they come.
    None,
    /// Nothing, and it expects what each tenant's requests usually generate (`predict_output`).
    Usual,
    /// How long each will be. The artifact's engine knows.
    Known,
}

impl Foresight {
    /// For tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Usual => "usual",
            Self::Known => "known",
        }
    }
}

/// One tier in fair order on one worker. See the module.
#[derive(Debug)]
pub struct Hosted {
    foresight: Foresight,
    scheduler: Scheduler,
    worker: WorkerId,
    by_id: BTreeMap<RequestId, usize>,
    /// Of those that were started, by index.
    started: BTreeMap<usize, (RequestId, Attempt)>,
    /// The one that waits for room.
    tried: Option<usize>,
}

impl Hosted {
    /// A scheduler over as many tenants.
    #[must_use]
    pub fn new(foresight: Foresight, tenants: usize) -> Self {
        let tier = TierConfig::new("all").order(Order::Fair);
        let config = Config::builder()
            .dimensions(["requests"])
            .tier(tier)
            .predict_output(foresight == Foresight::Usual)
            .build()
            .expect("the config has no fault");
        let mut scheduler = Scheduler::new(config, Instant::ZERO);
        let worker = WorkerSpec::new(PoolId::new(0), [MOST_RUNNING as u64 + 1]);
        let worker = scheduler.worker_add(Instant::ZERO, worker).expect(OURS);
        for tenant in 0..tenants {
            scheduler.tenant_set(Instant::ZERO, &tenant.to_string()).expect(OURS);
        }
        let (by_id, started) = (BTreeMap::new(), BTreeMap::new());
        Self { foresight, scheduler, worker, by_id, started, tried: None }
    }
}

impl Policy for Hosted {
    fn arrives(&mut self, now_ns: u64, index: usize, job: &Job) -> bool {
        let tenant = TenantId::new(u32::try_from(job.client).expect("clients are few"));
        let spec = RequestSpec::new(tenant, Tier::P0).demand([1]).prompt_tokens(job.prompt);
        let spec = if self.foresight == Foresight::Known { spec.output_tokens(job.output) } else { spec };
        let id = self.scheduler.submit(Instant::from_nanos(now_ns), spec).expect(OURS);
        self.by_id.insert(id, index);
        true
    }

    fn next(&mut self, now_ns: u64) -> Option<usize> {
        if self.tried.is_none() {
            // One at a time: whoever is next may be another when there is room for one more.
            if let Some(Action::Start { request, attempt, .. }) =
                self.scheduler.poll(Instant::from_nanos(now_ns))
            {
                let index = self.by_id[&request];
                self.started.insert(index, (request, attempt));
                self.tried = Some(index);
            }
        }
        self.tried
    }

    fn admitted(&mut self, now_ns: u64, index: usize, _job: &Job) {
        self.tried = None;
        let (id, attempt) = self.started[&index];
        self.scheduler.started(Instant::from_nanos(now_ns), id, attempt, 0, [1].into()).expect(OURS);
    }

    fn stepped(&mut self, now_ns: u64, running: &[Running<'_>]) {
        let now = Instant::from_nanos(now_ns);
        // A token each: all that run after a step, those that came after their prompts.
        if running.iter().any(|one| one.generated > 1) {
            self.scheduler.step(now, self.worker, 1, &[]).expect(OURS);
        } else {
            for one in running {
                let (id, attempt) = self.started[&one.index];
                self.scheduler.progress(now, id, attempt, 1, [1].into()).expect(OURS);
            }
        }
        for one in running.iter().filter(|one| one.is_done()) {
            let (id, attempt) = self.started[&one.index];
            let usage =
                Usage { prompt_tokens: one.job.prompt, cached_tokens: 0, output_tokens: one.generated };
            self.scheduler.complete(now, id, attempt, usage).expect(OURS);
            self.started.remove(&one.index);
            self.by_id.remove(&id);
        }
    }
}
