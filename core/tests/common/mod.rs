//! A world for the scheduler: a virtual clock that jumps to the next wake-up, and engines that do what they
//! are told and report it. Every step checks the invariants.
#![allow(dead_code)] // each test binary uses its part

pub(crate) mod configs;
pub(crate) mod counters;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidegate::{
    Action, Attempt, Config, ConfigBuilder, Decline, Instant, PoolId, Reason, Release, RequestId,
    RequestSpec, RequestState, Scheduler, TenantId, Tier, TierConfig, Usage, WorkerId, WorkerSpec, YieldMode,
};

pub(crate) const POOL: PoolId = PoolId::new(0);

/// Three tiers, `slots` and `kv_blocks`, P0 with 30 % and P2 with 5 %, and nothing held back for later.
pub(crate) fn three_tiers() -> ConfigBuilder {
    let tier = |name: &str| TierConfig::new(name).hold_window(Duration::ZERO);
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(tier("realtime").reserve_ppm(300_000))
        .tier(tier("near-realtime"))
        .tier(tier("batch").reserve_ppm(50_000))
        .min_run(Duration::ZERO)
}

/// A scheduler with one tenant, its clock, and what runs where.
pub(crate) struct World {
    pub(crate) sched: Scheduler,
    pub(crate) now: Instant,
    pub(crate) tenant: TenantId,
    pub(crate) submitted: Vec<RequestId>,
    /// Attempts that were started and have not ended, with their workers.
    pub(crate) running: BTreeMap<RequestId, (Attempt, WorkerId)>,
    /// Those of which an engine reported more than that it declined them.
    pub(crate) has_run: BTreeSet<RequestId>,
    /// Everything that was returned, in order.
    pub(crate) actions: Vec<Action>,
}

impl World {
    pub(crate) fn new(config: ConfigBuilder) -> Self {
        let mut sched = Scheduler::new(config.build().expect("a valid config"), Instant::ZERO);
        let tenant = sched.tenant_set(Instant::ZERO, "acme").expect("a valid name");
        Self {
            sched,
            now: Instant::ZERO,
            tenant,
            submitted: Vec::new(),
            running: BTreeMap::new(),
            has_run: BTreeSet::new(),
            actions: Vec::new(),
        }
    }

    pub(crate) fn with_workers(config: ConfigBuilder, workers: usize, capacity: [u64; 2]) -> Self {
        let mut world = Self::new(config);
        for _ in 0..workers {
            world.worker(capacity);
        }
        world
    }

    pub(crate) fn worker(&mut self, capacity: [u64; 2]) -> WorkerId {
        self.sched.worker_add(self.now, WorkerSpec::new(capacity)).expect("a valid worker")
    }

    pub(crate) fn spec(&self, tier: Tier, demand: [u64; 2]) -> RequestSpec {
        RequestSpec::new(self.tenant, tier).demand(demand).prompt_tokens(100)
    }

    pub(crate) fn submit(&mut self, tier: Tier, demand: [u64; 2]) -> RequestId {
        self.submit_spec(self.spec(tier, demand))
    }

    pub(crate) fn submit_spec(&mut self, spec: RequestSpec) -> RequestId {
        let id = self.sched.submit(self.now, spec).expect("it is accepted");
        self.submitted.push(id);
        self.check();
        id
    }

    /// Submits `count` requests alike.
    pub(crate) fn submit_many(&mut self, count: usize, tier: Tier, demand: [u64; 2]) -> Vec<RequestId> {
        (0..count).map(|_| self.submit(tier, demand)).collect()
    }

    /// Polls one round to its end; what runs is kept in `running`, engines report the starts at once.
    pub(crate) fn round(&mut self) -> Vec<Action> {
        let first = self.actions.len();
        while let Some(action) = self.poll_one() {
            self.note(action);
        }
        self.actions[first..].to_vec()
    }

    pub(crate) fn poll_one(&mut self) -> Option<Action> {
        let action = self.sched.poll(self.now);
        self.check();
        if let Some(action) = action {
            self.actions.push(action);
            assert!(self.actions.len() < 1_000_000, "livelock: a million actions");
        }
        action
    }

    fn note(&mut self, action: Action) {
        match action {
            Action::Start { request, attempt, worker, .. } => {
                self.running.insert(request, (attempt, worker));
            }
            Action::Drop { request, .. } => assert!(!self.running.contains_key(&request), "it was running"),
            _ => {}
        }
    }

    pub(crate) fn attempt(&self, id: RequestId) -> Attempt {
        self.running[&id].0
    }

    pub(crate) fn worker_of(&self, id: RequestId) -> Option<WorkerId> {
        self.running.get(&id).map(|&(_, worker)| worker)
    }

    pub(crate) fn progress(&mut self, id: RequestId, output_tokens: u64, in_use: [u64; 2]) {
        self.sched.progress(self.now, id, self.attempt(id), output_tokens, in_use.into()).expect("it runs");
        self.check();
    }

    pub(crate) fn preempted(&mut self, id: RequestId, tokens_kept: u64) {
        let (attempt, _) = self.running.remove(&id).expect("it runs");
        self.sched.preempted(self.now, id, attempt, tokens_kept, Release::Done).expect("it runs");
        self.check();
    }

    pub(crate) fn declined(&mut self, id: RequestId, why: Decline) {
        let (attempt, _) = self.running.remove(&id).expect("it was started");
        self.sched.declined(self.now, id, attempt, why).expect("it is starting");
        self.check();
    }

    pub(crate) fn lost(&mut self, worker: WorkerId) {
        self.sched.worker_lost(self.now, worker).expect("it was not lost before");
        self.running.retain(|_, &mut (_, on)| on != worker);
        self.check();
    }

    pub(crate) fn complete(&mut self, id: RequestId) {
        self.complete_with(id, Usage::default());
    }

    pub(crate) fn complete_with(&mut self, id: RequestId, usage: Usage) {
        let (attempt, _) = self.running.remove(&id).expect("it runs");
        self.sched.complete(self.now, id, attempt, usage).expect("it runs");
        self.check();
    }

    /// Stops all victims of these actions.
    pub(crate) fn obey(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Preempt { victim, .. } = *action {
                self.preempted(victim, 0);
            }
        }
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// Jumps to the next wake-up; false if there is none.
    pub(crate) fn jump(&mut self) -> bool {
        let Some(at) = self.sched.poll_timeout() else { return false };
        self.now = self.now.max(at);
        true
    }

    pub(crate) fn state(&self, id: RequestId) -> RequestState {
        self.sched.state(id).expect("it lives")
    }

    /// What asks this running request to stop without a checkpoint, within the second that is the default.
    pub(crate) fn preempt(
        &self,
        victim: RequestId,
        beneficiary: Option<RequestId>,
        reason: Reason,
    ) -> Action {
        let (attempt, confirm_by) = (self.attempt(victim), self.now + Duration::from_secs(1));
        Action::Preempt { victim, attempt, mode: YieldMode::Restart, beneficiary, confirm_by, reason }
    }

    pub(crate) fn check(&self) {
        if let Err(violation) = self.sched.check_invariants() {
            panic!("{violation} after {:?}", self.actions.iter().rev().take(5).collect::<Vec<_>>());
        }
    }
}

/// The first start of a request.
pub(crate) fn first_start(request: RequestId, worker: WorkerId, reason: Reason) -> Action {
    Action::Start { request, attempt: Attempt::new(1), worker, resume_tokens: 0, reason }
}

/// The requests that these actions start.
pub(crate) fn starts(actions: &[Action]) -> Vec<RequestId> {
    let start = |action: &Action| match *action {
        Action::Start { request, .. } => Some(request),
        _ => None,
    };
    actions.iter().filter_map(start).collect()
}

/// The requests that these actions ask to stop.
pub(crate) fn victims(actions: &[Action]) -> Vec<RequestId> {
    let victim = |action: &Action| match *action {
        Action::Preempt { victim, .. } => Some(victim),
        _ => None,
    };
    actions.iter().filter_map(victim).collect()
}
