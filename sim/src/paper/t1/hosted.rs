//! tidegate as the engine's policy, through its public verbs alone.
//!
//! The engine asks for one request at a time. The one that tidegate started waits until there is room for it, as the
//! artifact's engine gives up at the first that does not fit.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::{
    Action, Attempt, Config, Instant, Order, Preemption, Release, RequestId, RequestSpec, Scheduler, Shrink,
    TenantId, Tier, TierConfig, Usage, WorkerId, WorkerSpec, Yielding,
};

use super::engine::{Job, MOST_RUNNING, Policy, Running};

/// Units of the worker: whoever the engine has room for, and the one that is tried.
const ROOM: u64 = MOST_RUNNING as u64 + 1;

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

/// Where a host lets requests of tenants with many give way to those with few: a tenant's first in the system is of the first
/// tier, its next of the second, all further ones of the third.
const FEW: [usize; 2] = [1, 5];
/// A request of the first tier that found no room gets some of the third tier's after so long. Chosen, with [`FEW`] and
/// [`MOST_EVICTED`], on the run that the figure is of.
const PATIENCE_NS: u64 = 2_000_000_000;
/// At most so many leave for one.
const MOST_EVICTED: usize = 3;

/// Fair order on one worker. See the module.
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
    /// Whether those of tenants with many give way.
    yields: bool,
    /// By tenant: requests that have not ended.
    in_system: Vec<usize>,
    /// By request: its tier.
    tiers: Vec<u8>,
    /// By request: when it came.
    came_ns: Vec<u64>,
    /// Those whose prompts are being computed.
    fresh: BTreeSet<usize>,
    /// The third tier's in the engine, in the order in which they started.
    may_leave: Vec<usize>,
    /// How often one left.
    pub evictions: u64,
}

impl Hosted {
    /// A scheduler over as many tenants: one tier, and nobody is stopped.
    #[must_use]
    pub fn new(foresight: Foresight, tenants: usize) -> Self {
        Self::with(foresight, tenants, false)
    }

    /// The same with three tiers by how many requests a tenant has in the system. A tenant's first that finds no room for two
    /// seconds gets that of others' sixth and further ones, the newest first: the host says that there is room for fewer, and
    /// the scheduler who leaves.
    #[must_use]
    pub fn yielding(foresight: Foresight, tenants: usize) -> Self {
        Self::with(foresight, tenants, true)
    }

    fn with(foresight: Foresight, tenants: usize, yields: bool) -> Self {
        let tier = |name: &str| TierConfig::new(name).order(Order::Fair).preemption(Preemption::Never);
        let names = if yields { &["first", "few", "many"][..] } else { &["all"] };
        let config = names.iter().fold(Config::builder(), |config, name| config.tier(tier(name)));
        let config = config
            .dimensions(["requests"])
            .predict_output(foresight == Foresight::Usual)
            .build()
            .expect("the config has no fault");
        let mut scheduler = Scheduler::new(config, Instant::ZERO);
        let worker = WorkerSpec::new([ROOM]);
        let worker = scheduler.worker_add(Instant::ZERO, worker).expect(OURS);
        for tenant in 0..tenants {
            scheduler.tenant_set(Instant::ZERO, &tenant.to_string()).expect(OURS);
        }
        let (by_id, started) = (BTreeMap::new(), BTreeMap::new());
        Self {
            foresight,
            scheduler,
            worker,
            by_id,
            started,
            tried: None,
            yields,
            in_system: vec![0; tenants],
            tiers: Vec::new(),
            came_ns: Vec::new(),
            fresh: BTreeSet::new(),
            may_leave: Vec::new(),
            evictions: 0,
        }
    }

    /// The tier of a tenant's next request.
    fn tier_of(&self, client: usize) -> u8 {
        match self.yields {
            true => FEW.iter().filter(|&&few| self.in_system[client] >= few).count() as u8,
            false => 0,
        }
    }

    /// Says that there is room for so many fewer requests than run, and hears from the scheduler who leaves.
    fn make_room(&mut self, now: Instant, fewer: usize) -> Vec<usize> {
        let room = (self.started.len() - fewer) as u64;
        let now_at_once = Shrink::Preempt { after_ns: 0 };
        self.scheduler.worker_resize(now, self.worker, [room].into(), now_at_once).expect(OURS);
        let mut leave = Vec::new();
        while let Some(action) = self.scheduler.poll(now) {
            let Action::Preempt { victim, attempt, .. } = action else { continue };
            self.scheduler.preempted(now, victim, attempt, 0, Release::Done).expect(OURS);
            let index = self.by_id[&victim];
            self.started.remove(&index);
            self.may_leave.retain(|&other| other != index);
            leave.push(index);
        }
        self.scheduler.worker_resize(now, self.worker, [ROOM].into(), Shrink::Drain).expect(OURS);
        self.evictions += leave.len() as u64;
        leave
    }
}

impl Policy for Hosted {
    fn arrives(&mut self, now_ns: u64, index: usize, job: &Job) -> bool {
        let tenant = TenantId::new(u32::try_from(job.client).expect("clients are few"));
        let tier = self.tier_of(job.client);
        let may_leave = self.yields && usize::from(tier) == FEW.len();
        let yielding = if may_leave { Yielding::Restart } else { Yielding::Never };
        let spec = RequestSpec::new(tenant, Tier::new(tier)).demand([1]).prompt_tokens(job.prompt);
        let spec = spec.yielding(yielding);
        self.in_system[job.client] += 1;
        if self.tiers.len() <= index {
            self.tiers.resize(index + 1, 0);
            self.came_ns.resize(index + 1, 0);
        }
        (self.tiers[index], self.came_ns[index]) = (tier, now_ns);
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
        self.fresh.insert(index);
        if usize::from(self.tiers[index]) == FEW.len() {
            self.may_leave.push(index);
        }
        let (id, attempt) = self.started[&index];
        self.scheduler.started(Instant::from_nanos(now_ns), id, attempt, 0, [1].into()).expect(OURS);
    }

    fn stepped(&mut self, now_ns: u64, running: &[Running<'_>]) {
        let now = Instant::from_nanos(now_ns);
        // A token each: all that run after a step, those that came after their prompts.
        if running.iter().any(|one| !self.fresh.contains(&one.index)) {
            self.scheduler.step(now, self.worker, 1, &[]).expect(OURS);
        } else {
            for one in running {
                let (id, attempt) = self.started[&one.index];
                self.scheduler.progress(now, id, attempt, one.generated, [1].into()).expect(OURS);
            }
        }
        self.fresh.clear();
        for one in running.iter().filter(|one| one.is_done()) {
            let (id, attempt) = self.started[&one.index];
            let usage =
                Usage { prompt_tokens: one.job.prompt, cached_tokens: 0, output_tokens: one.generated };
            self.scheduler.complete(now, id, attempt, usage).expect(OURS);
            self.started.remove(&one.index);
            self.by_id.remove(&id);
            self.may_leave.retain(|&other| other != one.index);
            self.in_system[one.job.client] -= 1;
        }
    }

    fn evicts(
        &mut self,
        now_ns: u64,
        next: usize,
        _running: &[Running<'_>],
        is_room: &dyn Fn(&[usize]) -> bool,
    ) -> Vec<usize> {
        let waits_ns = now_ns - self.came_ns[next];
        let is_first = self.yields && self.tiers[next] == 0;
        // Who came in this very instant has computed nothing yet.
        let is_settled = !self.may_leave.iter().any(|index| self.fresh.contains(index));
        if !is_first || !is_settled || waits_ns < PATIENCE_NS {
            return Vec::new();
        }
        // The scheduler takes the newest; whether they are enough only the engine knows.
        let newest: Vec<usize> = self.may_leave.iter().rev().copied().collect();
        let enough = (1..=newest.len().min(MOST_EVICTED)).find(|&count| is_room(&newest[..count]));
        enough.map_or_else(Vec::new, |count| self.make_room(Instant::from_nanos(now_ns), count))
    }
}
