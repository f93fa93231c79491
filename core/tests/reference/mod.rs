//! A second scheduler, naive on purpose, written from `docs/SEMANTICS.md`: plain maps, full scans, everything
//! computed anew whenever it is asked for. It knows no code of the first one, only its public types; where the
//! two disagree, one of them or the page is wrong.

mod account;
mod claims;
mod fair;
mod fleet;
mod host;
mod inputs;
mod lapse;
mod moves;
mod named;
mod policies;
mod poll;
mod pressure;
mod quota;
mod reclaim;
mod roam;
mod setup;
mod standing;
mod strangers;
mod tenants;
mod waits;
mod warmth;
mod worlds;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidegate::{
    Action, Attempt, DevicePart, DeviceSpec, Instant, PoolId, Reason, RequestId, RequestSpec, RequestState,
    Resources, TenantId, Tier, WorkerId, WorkerSpec, Yielding,
};

use fair::{Charge, Line, LineName};
use quota::Tenant;
use tenants::{Met, Told};
use waits::Wait;
use warmth::Warmth;

pub(crate) use host::{Compared, compare};
pub(crate) use setup::Setup;

/// Signed units of each dimension.
pub(crate) type Units = [i128; 4];

pub(crate) fn units(of: Resources) -> Units {
    of.as_array().map(i128::from)
}

pub(crate) fn add(a: Units, b: Units) -> Units {
    [0, 1, 2, 3].map(|d| a[d] + b[d])
}

pub(crate) fn sub(a: Units, b: Units) -> Units {
    [0, 1, 2, 3].map(|d| a[d] - b[d])
}

/// What of `a` is beyond `b`, at least nothing.
pub(crate) fn beyond(a: Units, b: Units) -> Units {
    sub(a, b).map(|units| units.max(0))
}

pub(crate) fn min(a: Units, b: Units) -> Units {
    [0, 1, 2, 3].map(|d| a[d].min(b[d]))
}

pub(crate) fn max(a: Units, b: Units) -> Units {
    [0, 1, 2, 3].map(|d| a[d].max(b[d]))
}

/// `a <= b` in every dimension.
pub(crate) fn le(a: Units, b: Units) -> bool {
    (0..4).all(|d| a[d] <= b[d])
}

/// `a <= b` in every dimension that `asks` uses.
pub(crate) fn le_where(a: Units, b: Units, asks: Units) -> bool {
    (0..4).all(|d| asks[d] == 0 || a[d] <= b[d])
}

pub(crate) fn is_zero(a: Units) -> bool {
    a == [0; 4]
}

pub(crate) fn sum(all: impl Iterator<Item = Units>) -> Units {
    all.fold([0; 4], add)
}

/// The part of a device that `units` of a worker are.
pub(crate) fn on(part: DevicePart, units: Units) -> Units {
    units.map(|units| (units * i128::from(part.part.get()) + 999_999).div_euclid(1_000_000))
}

pub(crate) fn floor_on(part: DevicePart, units: Units) -> Units {
    units.map(|units| (units * i128::from(part.part.get())).div_euclid(1_000_000))
}

/// A request by its sequence.
pub(crate) type Seq = u64;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) spec: RequestSpec,
    /// All it names, in order; `spec` has the one it is in first.
    pub(crate) pools: Vec<PoolId>,
    pub(crate) arrived_at: u64,
    pub(crate) state: RequestState,
    pub(crate) attempt: u32,
    pub(crate) has_run: bool,
    pub(crate) asks: Units,
    pub(crate) expires_at: Option<u64>,
    pub(crate) sat_out_round: u64,
    /// The attempt that a set was chosen for, 0 if one may be chosen; and the last for which one ever was.
    pub(crate) chose_for: u32,
    pub(crate) last_set_for: u32,
    pub(crate) blocked_since: Option<u64>,
    pub(crate) bypassed: u32,
    /// Kept off these workers until then; the last two.
    pub(crate) excluded: Vec<(WorkerId, u64)>,
    pub(crate) declines: u32,
    pub(crate) worker: WorkerId,
    pub(crate) in_use: Units,
    pub(crate) started_at: u64,
    pub(crate) runs: bool,
    pub(crate) output: u64,
    pub(crate) cached: u64,
    pub(crate) kept: u64,
    pub(crate) yields_for: Reason,
    pub(crate) confirm_by: Option<u64>,
    pub(crate) preemptions: u32,
    pub(crate) stopped_with: Option<Units>,
    pub(crate) stopped_for_memory: bool,
    pub(crate) unaccounted: Units,
    pub(crate) checkpoint: Option<(WorkerId, u128)>,
    pub(crate) charge: Charge,
    /// The tokens and units that it holds of its tenant's quota, and where it waits for some alone.
    pub(crate) held: Option<u64>,
    pub(crate) held_units: Units,
    /// The tokens that lapsed holds charged for good; whether its hold lapsed; when it will, if nobody tells of it.
    pub(crate) settled: u64,
    pub(crate) lapsed: bool,
    pub(crate) lapses_at: Option<u64>,
    pub(crate) waits_at: Option<Wait>,
    /// Where it is to go on, if it was stopped for that.
    pub(crate) moves_to: Option<WorkerId>,
    /// The blocks of its prompt, as far as they are known.
    pub(crate) prefix: Vec<u64>,
}

/// It has no checkpoint any more, if it had one.
pub(crate) fn forget_checkpoint(request: &mut Request) {
    if request.checkpoint.take().is_some() {
        request.kept = 0;
    }
}

impl Request {
    pub(crate) fn comes_back(&self) -> bool {
        self.has_run || self.declines > 0
    }

    pub(crate) fn waits(&self) -> bool {
        matches!(self.state, RequestState::Queued | RequestState::Parked)
    }

    pub(crate) fn is_queued(&self) -> bool {
        self.state == RequestState::Queued
    }

    /// Its units come back without being asked for again.
    pub(crate) fn yields_already(&self) -> bool {
        matches!(self.state, RequestState::Preempting | RequestState::Releasing | RequestState::Aborting)
    }

    pub(crate) fn stays(&self) -> bool {
        matches!(self.state, RequestState::Starting | RequestState::Running)
    }

    pub(crate) fn never_yields(&self) -> bool {
        self.spec.yielding == Yielding::Never
    }

    pub(crate) fn tier(&self) -> usize {
        usize::from(self.spec.tier.get())
    }

    pub(crate) fn is_kept_off(&self, worker: WorkerId, now: u64) -> bool {
        self.excluded.iter().any(|&(other, until)| other == worker && now < until)
    }

    pub(crate) fn attempt(&self) -> Attempt {
        Attempt::new(self.attempt)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Up,
    Draining,
    Lost,
    /// A spare, or kept out.
    Out,
}

#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) spec: WorkerSpec,
    pub(crate) status: Status,
    /// Section 19: whether it is a spare that nobody needed, until when it is kept out, since when it stands there or serves,
    /// losses in a row and the last of them, and whether its place is to be taken (`Some(false)`) or was (`Some(true)`).
    pub(crate) stands_by: bool,
    pub(crate) out_until: Option<u64>,
    pub(crate) since: u64,
    pub(crate) has_served: bool,
    pub(crate) losses: u32,
    pub(crate) lost_at: u64,
    pub(crate) taken: Option<bool>,
    pub(crate) offset: Units,
    pub(crate) tolerated: Units,
    pub(crate) tolerated_until: Option<u64>,
    /// Whom it is drained for, and since when.
    pub(crate) drain: Option<(Seq, u64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) spec: DeviceSpec,
    pub(crate) lost: bool,
    pub(crate) tolerated: Units,
    pub(crate) tolerated_until: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) owner: Seq,
    pub(crate) tier: usize,
    pub(crate) worker: WorkerId,
    pub(crate) within: bool,
    pub(crate) size: Units,
    pub(crate) earmarked: Units,
    pub(crate) victims: Vec<Seq>,
}

/// The counters that the page defines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) submitted: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) dropped: u64,
    pub(crate) clock_regressions: u64,
    pub(crate) further_sets: u64,
    pub(crate) takeovers: u64,
    pub(crate) waived_finish_test: u64,
    pub(crate) waived_min_run: u64,
    pub(crate) waived_max_preemptions: u64,
    pub(crate) straddles: u64,
}

impl Counters {
    fn and(self, more: Self) -> Self {
        Self {
            submitted: self.submitted + more.submitted,
            completed: self.completed + more.completed,
            failed: self.failed + more.failed,
            cancelled: self.cancelled + more.cancelled,
            dropped: self.dropped + more.dropped,
            clock_regressions: self.clock_regressions + more.clock_regressions,
            further_sets: self.further_sets + more.further_sets,
            takeovers: self.takeovers + more.takeovers,
            waived_finish_test: self.waived_finish_test + more.waived_finish_test,
            waived_min_run: self.waived_min_run + more.waived_min_run,
            waived_max_preemptions: self.waived_max_preemptions + more.waived_max_preemptions,
            straddles: self.straddles + more.straddles,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) setup: Setup,
    pub(crate) now: u64,
    pub(crate) requests: BTreeMap<Seq, Request>,
    pub(crate) ended: Vec<RequestId>,
    /// By number; those that were removed are gone.
    pub(crate) tenants: Vec<Option<Tenant>>,
    /// The numbers of nodes that were removed, the last one last.
    pub(crate) free_nodes: Vec<u32>,
    /// How often something was done with a tenant.
    pub(crate) uses: u64,
    /// Where lines wait for quota.
    pub(crate) aside: BTreeMap<LineName, Wait>,
    /// The nodes whose first waiters are to be looked at, and those that will be.
    pub(crate) changed: BTreeSet<u32>,
    pub(crate) refills: BTreeSet<(u64, u32)>,
    /// What was said of the last request that quota refused.
    pub(crate) told: Option<Told>,
    pub(crate) met: Met,
    pub(crate) workers: Vec<Worker>,
    pub(crate) devices: Vec<Device>,
    pub(crate) claims: BTreeMap<u64, Claim>,
    pub(crate) next_claim: u64,
    pub(crate) next_seq: Seq,
    pub(crate) outbox: VecDeque<Action>,
    pub(crate) round: u64,
    pub(crate) in_round: bool,
    /// Whether a look at a tier ended a drain, or set somebody aside for quota.
    pub(crate) look_again: bool,
    /// By pool: when it is next looked at for moves.
    pub(crate) look_at: Vec<u64>,
    /// The largest capacity that each pool ever had.
    pub(crate) largest: Vec<Units>,
    /// By pool and tier: every value of the demand, with its instant.
    pub(crate) demands: Vec<Vec<Vec<(u64, Units)>>>,
    pub(crate) budget_spent: Vec<u64>,
    pub(crate) lines: BTreeMap<LineName, Line>,
    /// What the last newcomers to each tier of a pool were lifted to, and whose request was the last to leave it.
    pub(crate) floors: BTreeMap<(usize, usize), i128>,
    pub(crate) last_active: BTreeMap<(usize, usize), TenantId>,
    /// The mean output of each tenant, in 1/1024 tokens.
    pub(crate) means: BTreeMap<TenantId, i128>,
    pub(crate) counters: Counters,
    pub(crate) warmth: Warmth,
    /// Of sections 19 and 20: clients lost with another, workers kept out, spares that came to serve, moves.
    pub(crate) fleet_met: [u64; 4],
    /// Of section 21: how often a request went to another pool; and whose claim is left out of sight.
    pub(crate) roamed: u64,
    /// Whom a pool looks at of a tier's that wait elsewhere.
    pub(crate) looks: BTreeMap<(PoolId, usize), roam::Look>,
    pub(crate) without_claim: Option<Seq>,
    /// The first named invariant that did not hold of a decision.
    pub(crate) violation: Option<String>,
}

impl Model {
    pub(crate) fn new(setup: Setup, now: u64) -> Self {
        let (pools, tiers) = (setup.pools, setup.tiers.len());
        Self {
            now,
            requests: BTreeMap::new(),
            ended: Vec::new(),
            tenants: Vec::new(),
            free_nodes: Vec::new(),
            uses: 0,
            aside: BTreeMap::new(),
            changed: BTreeSet::new(),
            refills: BTreeSet::new(),
            told: None,
            met: Met::default(),
            workers: Vec::new(),
            devices: Vec::new(),
            claims: BTreeMap::new(),
            next_claim: 0,
            next_seq: 0,
            outbox: VecDeque::new(),
            round: 0,
            in_round: false,
            look_again: false,
            look_at: vec![0; pools],
            largest: vec![[0; 4]; pools],
            demands: vec![vec![vec![(0, [0; 4])]; tiers]; pools],
            budget_spent: vec![0; tiers],
            lines: BTreeMap::new(),
            floors: BTreeMap::new(),
            last_active: BTreeMap::new(),
            means: BTreeMap::new(),
            counters: Counters::default(),
            warmth: Warmth::default(),
            fleet_met: [0; 4],
            roamed: 0,
            looks: BTreeMap::new(),
            without_claim: None,
            violation: None,
            setup,
        }
    }

    pub(crate) fn worker(&self, id: WorkerId) -> &Worker {
        &self.workers[id.get() as usize]
    }

    pub(crate) fn worker_ids(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.workers.len() as u32).map(WorkerId::new)
    }

    pub(crate) fn up(&self, pool: usize) -> Vec<WorkerId> {
        let in_pool = |id: &WorkerId| self.worker(*id).spec.pool.get() as usize == pool;
        self.worker_ids().filter(|id| in_pool(id) && self.worker(*id).status == Status::Up).collect()
    }

    /// The requests on a worker, by sequence.
    pub(crate) fn here(&self, worker: WorkerId) -> Vec<Seq> {
        let here = self.requests.iter().filter(|(_, r)| !r.waits() && r.worker == worker);
        here.map(|(&seq, _)| seq).collect()
    }

    pub(crate) fn claim_of(&self, seq: Seq) -> Option<u64> {
        let own = self.claims.iter().find(|(_, claim)| claim.owner == seq);
        own.filter(|_| self.without_claim != Some(seq)).map(|(&id, _)| id)
    }

    pub(crate) fn say(&mut self, action: Action) {
        self.outbox.push_back(action);
    }

    /// Takes back what was said of a request and not heard yet. Whether there was anything.
    pub(crate) fn unsay(&mut self, seq: Seq) -> bool {
        let id = self.requests[&seq].id;
        let before = self.outbox.len();
        self.outbox.retain(|action| action.request() != Some(id));
        self.outbox.len() < before
    }

    pub(crate) fn sits_out(&self, seq: Seq) -> bool {
        self.requests[&seq].sat_out_round == self.round
    }

    /// Not offered again in an open round.
    pub(crate) fn sit_out(&mut self, seq: Seq) {
        if self.in_round {
            self.requests.get_mut(&seq).expect("it lives").sat_out_round = self.round;
        }
    }

    pub(crate) fn request(&mut self, seq: Seq) -> &mut Request {
        self.requests.get_mut(&seq).expect("it lives")
    }

    /// Everything, a line each.
    pub(crate) fn summary(&self) -> String {
        let mut lines = vec![format!("T {}, round {}, open {}", self.now, self.round, self.in_round)];
        for id in self.worker_ids() {
            let (worker, room) = (self.worker(id), self.room(id));
            lines.push(format!("{id}: room {room:?} whole {:?} {worker:?}", self.whole(id)));
        }
        lines.extend(
            self.devices.iter().enumerate().map(|(number, device)| format!("device {number}: {device:?}")),
        );
        lines.extend(self.claims.iter().map(|(id, claim)| format!("claim {id}: {claim:?}")));
        for pool in 0..self.setup.pools {
            for tier in 0..self.setup.tiers.len() {
                let (reserve, used) = (self.reserve(pool, tier), self.used(pool, tier));
                let avail = self.avail(pool, tier);
                lines.push(format!("pool {pool}, tier {tier}: R {reserve:?} U {used:?} avail {avail:?}"));
            }
        }
        lines.push(format!("{:?} {:?} {:?} {:?}", self.lines, self.floors, self.last_active, self.means));
        lines.push(format!("{:?}", self.warmth));
        lines.push(format!("aside {:?}, changed {:?}, refills {:?}", self.aside, self.changed, self.refills));
        lines.extend(self.ids().into_iter().map(|id| format!("{id}: {:?}", self.tenant(id))));
        lines.extend(self.requests.iter().map(|(seq, request)| format!("{seq}: {request:?}")));
        lines.join("\n")
    }

    /// Tokens in its context.
    pub(crate) fn context(&self, seq: Seq) -> u64 {
        let request = &self.requests[&seq];
        request.spec.prompt_tokens.saturating_add(request.output)
    }
}

pub(crate) fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

pub(crate) fn tier(index: usize) -> Tier {
    Tier::new(index as u8)
}
