//! What the scheduler keeps of a request, a worker, a claim, a tenant.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::event::{Reason, WorkerSpec, YieldMode};
use crate::id::{Attempt, PoolId, RequestId, TenantId, Tier, WorkerId};
use crate::list::{LinkTable, Links};
use crate::queue::{Arrivals, Lane};
use crate::request::{RequestSpec, RequestState, Usage, Yielding};
use crate::resources::{Balance, Resources};
use crate::slab::{Lookup, Slab};
use crate::time::Instant;

/// A live request.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) spec: RequestSpec,
    /// Its place in the order of arrival, which it keeps for life.
    pub(super) sequence: u64,
    pub(super) state: RequestState,
    pub(super) attempt: u32,
    /// Whether an engine has reported that it ran.
    pub(super) has_run: bool,

    // While it waits.
    pub(super) lane: Lane,
    pub(super) links: Links,
    /// Units of its next start.
    pub(super) asks: Resources,
    /// Whether `asks` is part of its tier's waiting demand.
    pub(super) counted: bool,
    /// When it is dropped, if it has not run by then.
    pub(super) expires_at: Option<Instant>,
    /// The round in which it stopped or was declined: it is not offered again in it.
    pub(super) sat_out_round: u64,
    /// The round in which victims were last sought for it.
    pub(super) considered_round: u64,
    /// The attempt for which victims were chosen already.
    pub(super) victims_for: u32,
    pub(super) claim: Option<u32>,
    /// Since when it is its tier's head and does not fit.
    pub(super) blocked_since: Option<Instant>,
    /// Borrowed starts of its tier that passed it since then.
    pub(super) bypassed: u32,
    /// The worker that is drained for it.
    pub(super) drains: Option<WorkerId>,
    /// The last workers that declined it or did not stop its victims, and until when it is kept off them.
    pub(super) excluded: [Option<(WorkerId, Instant)>; 2],
    /// Declines in a row.
    pub(super) declines: u8,

    // While it is on a worker.
    pub(super) worker: WorkerId,
    /// Where it stands in its worker's `running`.
    pub(super) place: u32,
    pub(super) in_use: Resources,
    pub(super) started_at: Instant,
    /// Whether the engine has reported of this attempt.
    pub(super) runs: bool,
    pub(super) output_tokens: u64,
    pub(super) cached_tokens: u64,
    /// Why it has to stop.
    pub(super) yields_for: Reason,
    /// The claim that its units go to.
    pub(super) serves: Option<u32>,

    /// Actions that speak of it and were not returned yet.
    pub(super) unheard: i32,
    pub(super) preemptions: u32,
    /// Tokens of context kept at its last stop.
    pub(super) tokens_kept: u64,
}

impl Record {
    pub(super) fn new(spec: RequestSpec, sequence: u64, expires_at: Option<Instant>) -> Self {
        Self {
            spec,
            sequence,
            state: RequestState::Queued,
            attempt: 0,
            has_run: false,
            lane: Lane::Fresh,
            links: Links::default(),
            asks: spec.demand,
            counted: false,
            expires_at,
            sat_out_round: 0,
            considered_round: 0,
            victims_for: 0,
            claim: None,
            blocked_since: None,
            bypassed: 0,
            drains: None,
            excluded: [None; 2],
            declines: 0,
            worker: WorkerId::new(0),
            place: 0,
            in_use: Resources::ZERO,
            started_at: Instant::ZERO,
            runs: false,
            output_tokens: 0,
            cached_tokens: 0,
            yields_for: Reason::Reclaim,
            serves: None,
            unheard: 0,
            preemptions: 0,
            tokens_kept: 0,
        }
    }

    pub(super) fn pool(&self) -> PoolId {
        self.spec.pool
    }

    pub(super) fn tier(&self) -> Tier {
        self.spec.tier
    }

    pub(super) fn attempt(&self) -> Attempt {
        Attempt::new(self.attempt)
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, RequestState::Queued | RequestState::Parked)
    }

    /// Whether its units will come free without being asked for again.
    pub(super) fn is_yielding(&self) -> bool {
        matches!(self.state, RequestState::Preempting | RequestState::Releasing | RequestState::Aborting)
    }

    pub(super) fn never_yields(&self) -> bool {
        self.spec.yielding == Yielding::Never
    }

    /// Whether it may be asked to stop now.
    pub(super) fn may_yield(&self) -> bool {
        !self.never_yields() && matches!(self.state, RequestState::Starting | RequestState::Running)
    }

    /// What the engine is to do with its work when it stops.
    pub(super) fn yield_mode(&self) -> YieldMode {
        match self.spec.yielding {
            Yielding::Checkpoint => YieldMode::Checkpoint,
            Yielding::Restart | Yielding::Never => YieldMode::Restart,
        }
    }

    /// Tokens that stopping it now would have computed again.
    pub(super) fn work_lost(&self) -> u64 {
        match self.spec.yielding {
            Yielding::Restart if self.state != RequestState::Starting => {
                self.spec.prompt_tokens.saturating_sub(self.cached_tokens) + self.output_tokens
            }
            _ => 0,
        }
    }

    pub(super) fn is_excluded_from(&self, worker: WorkerId, now: Instant) -> bool {
        self.excluded.iter().flatten().any(|&(other, until)| other == worker && now < until)
    }
}

/// All live requests.
#[derive(Debug)]
pub(super) struct Requests(pub(super) Slab<Record>);

impl Requests {
    pub(super) fn id(&self, slot: u32) -> RequestId {
        RequestId::new(slot, self.0.generation(slot))
    }

    pub(super) fn lookup(&self, id: RequestId) -> Lookup {
        self.0.lookup(id.slot(), id.generation())
    }
}

impl core::ops::Index<u32> for Requests {
    type Output = Record;

    fn index(&self, slot: u32) -> &Record {
        &self.0[slot]
    }
}

impl core::ops::IndexMut<u32> for Requests {
    fn index_mut(&mut self, slot: u32) -> &mut Record {
        &mut self.0[slot]
    }
}

impl LinkTable for Requests {
    fn links(&self, slot: u32) -> Links {
        self.0[slot].links
    }

    fn links_mut(&mut self, slot: u32) -> &mut Links {
        &mut self.0[slot].links
    }
}

impl Arrivals for Requests {
    fn sequence(&self, slot: u32) -> u64 {
        self.0[slot].sequence
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerStatus {
    Up,
    /// Runs what it has, and takes nothing.
    Draining,
    Lost,
}

/// A worker is kept clear of borrowed starts for a waiting request that needs much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    pub(super) slot: u32,
    pub(super) tier: Tier,
    pub(super) since: Instant,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) spec: WorkerSpec,
    pub(super) status: WorkerStatus,
    pub(super) used: Resources,
    /// The part of `used` by tier.
    pub(super) used_by_tier: Box<[Resources]>,
    /// The part of `used` that is being given back.
    pub(super) yielding: Resources,
    pub(super) earmarked: Resources,
    /// The requests on it, in no order that means anything.
    pub(super) running: Vec<u32>,
    /// Its claims, the most urgent first, then by the owner's arrival.
    pub(super) claims: Vec<u32>,
    pub(super) drain: Option<Drain>,
}

impl Worker {
    pub(super) fn new(spec: WorkerSpec, tiers: usize) -> Self {
        Self {
            spec,
            status: WorkerStatus::Up,
            used: Resources::ZERO,
            used_by_tier: alloc::vec![Resources::ZERO; tiers].into(),
            yielding: Resources::ZERO,
            earmarked: Resources::ZERO,
            running: Vec::new(),
            claims: Vec::new(),
            drain: None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.status == WorkerStatus::Up
    }

    /// Capacity less use and earmarks.
    pub(super) fn free(&self) -> Balance {
        Balance::of(self.spec.capacity, self.used + self.earmarked)
    }

    /// What is used beyond the capacity and not being given back yet.
    pub(super) fn overdraft(&self) -> Resources {
        self.used.saturating_sub(self.spec.capacity + self.yielding)
    }
}

/// Units of one worker that are being gathered for a waiting request.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) owner: u32,
    pub(super) tier: Tier,
    pub(super) worker: WorkerId,
    /// Whether the owner was within its tier's reserve when it laid the claim.
    pub(super) within: bool,
    pub(super) size: Resources,
    /// What of `size` is gathered.
    pub(super) earmarked: Resources,
    /// Those whose units are still to come.
    pub(super) victims: Vec<u32>,
}

impl Claim {
    pub(super) fn is_full(&self) -> bool {
        self.earmarked == self.size
    }
}

#[derive(Debug, Default)]
pub(super) struct Tenant {
    pub(super) waiting: u64,
    /// Sums over its completed requests.
    pub(super) usage: Usage,
}

/// Tenants by number and by name.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    pub(super) list: Vec<Tenant>,
    pub(super) by_name: BTreeMap<Box<str>, TenantId>,
}
