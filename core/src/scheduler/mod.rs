//! The scheduler: the only room that sees all mechanisms, and the only one that emits actions.
//!
//! State: requests in a slab, each in exactly one container (a queue, or a worker); accounts of every tier in
//! every pool; claims of waiting requests on units that victims give back. What each module does is in
//! `docs/ARCHITECTURE.md`; `invariants` checks it all.

mod accounts;
mod admit;
mod ahead;
mod amend;
mod batch;
mod charges;
mod claims;
mod dispatch;
mod drain;
mod explain;
mod firsts;
mod fleet;
mod gauges;
mod invariants;
mod lapse;
mod leases;
mod moves;
mod outbox;
mod pressure;
mod quota;
mod reclaim;
mod record;
mod report;
mod requests;
mod roam;
mod roamers;
mod room;
#[cfg(feature = "snapshot")]
mod saved;
mod spec;
mod standing;
mod step_plan;
mod stir;
mod stopping;
mod strangers;
mod tenants;
mod timers;
mod usage;
mod warmest;
mod warmth;
mod workers;
mod young;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

use crate::capacity::Capacity;
use crate::config::{Config, MAX_TIERS};
use crate::error::{InputError, ReportError};
use crate::event::{Action, Input, Reason};
use crate::fairness::Fairness;
use crate::forecast::Forecast;
use crate::heap::{Agenda, Heap};
use crate::id::{DeviceId, PoolId, RequestId, TenantId, Tier, WorkerId};
use crate::meter::Loan;
use crate::metrics::QueueMetrics;
use crate::placement::Rooms;
use crate::queue::{QueueNodes, TierQueue};
use crate::quota::Ledger;
use crate::request::RequestState;
use crate::resources::Resources;
use crate::slab::Slab;
use crate::time::Instant;
use claims::ClaimDigest;
use dispatch::Quiet;
pub use explain::{Explanation, Gate, ShareWarning};
pub(crate) use gauges::TierUnits;
use quota::QuotaQueue;
use reclaim::SearchMemory;
use record::{Claim, NeverRan, Pace, Waiting};
use requests::Requests;
use roam::Look;
use roamers::{Homeless, Roamers};
#[cfg(feature = "snapshot")]
pub(crate) use saved::{Loaded, Saved};
pub use step_plan::PromptLeft;
use tenants::Tenants;
use usage::Forgotten;
pub(crate) use usage::add_refusals;
use warmth::Warmth;
use workers::{Changes, Device, Place, Worker};
use young::Young;

/// The most requests that may live at once: 2^22, so that sums of units fit a signed word.
pub const MAX_REQUESTS: u64 = 1 << 22;
/// The most tokens a request may have: 2^40, chosen arbitrarily, far beyond any context.
pub const MAX_TOKENS: u64 = 1 << 40;
/// The most devices that may ever be added: 2^16, chosen arbitrarily.
pub const MAX_DEVICES: u64 = 1 << 16;
/// The most workers that may ever be added: 2^16, chosen arbitrarily.
pub const MAX_WORKERS: u64 = 1 << 16;

/// How many waiting requests of a tier may choose victims in a round, or inherit a claim: what bounds the cost.
const SCAN_WINDOW: usize = 32;

/// What an input made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// Nothing new.
    Nothing,
    /// A tenant, or the one that had the name already.
    Tenant(TenantId),
    /// A device.
    Device(DeviceId),
    /// A worker.
    Worker(WorkerId),
    /// A request.
    Request(RequestId),
}

/// Counters since the start; they never go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Stats {
    /// Requests accepted. Always `completed + failed + cancelled + dropped + live`.
    pub submitted: u64,
    /// Requests that completed.
    pub completed: u64,
    /// Requests that an engine failed, declined three times, was told to abort, or took along when it was lost;
    /// and those that outgrew every worker.
    pub failed: u64,
    /// Requests that the host cancelled.
    pub cancelled: u64,
    /// Waiting requests that timed out or were displaced.
    pub dropped: u64,
    /// Requests that have not ended.
    pub live: u64,
    /// Calls whose `now` was earlier than one before; they counted as no time passed.
    pub clock_regressions: u64,
    /// Sets of victims that were chosen for an attempt that had one already.
    pub further_sets: u64,
    /// Claims that a more urgent request took units of.
    pub takeovers: u64,
    /// Sets of victims for which at last the finish test was waived: some would have been done before they
    /// stopped.
    pub waived_finish_test: u64,
    /// Sets of victims for which at last `min_run` was waived.
    pub waived_min_run: u64,
    /// Sets of victims for which at last `max_preemptions` was waived.
    pub waived_max_preemptions: u64,
    /// Victims whose tier came below its reserve with them.
    pub straddles: u64,
    /// Actions by reason.
    pub by_reason: ByReason,
}

/// A counter for each reason: `stats.by_reason[Reason::Reclaim]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub struct ByReason([u64; Reason::ALL.len() + 1]);

impl Index<Reason> for ByReason {
    type Output = u64;

    fn index(&self, reason: Reason) -> &u64 {
        &self.0[reason as usize]
    }
}

impl IndexMut<Reason> for ByReason {
    fn index_mut(&mut self, reason: Reason) -> &mut u64 {
        &mut self.0[reason as usize]
    }
}

/// What belongs to one pool.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Pool {
    capacity: Capacity,
    queues: Vec<TierQueue>,
    /// Its workers that are up, in the order of their numbers.
    up: Vec<WorkerId>,
    /// By the number of a worker, its place among them, or [`NO_PLACE`]: for who weighs few of many.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    places: Vec<u32>,
    /// What each of them, by its place in `up`, has free as far as its devices have it too, and how full it is.
    rooms: Rooms,
    /// As if all workers that were ever up at one time were: what a request can never have is refused.
    configured: Capacity,
    /// All workers ever added to it.
    members: Vec<WorkerId>,
    /// What any of them could hold alone: the different `whole`s.
    shapes: Vec<Resources>,
    /// Its claims, in no order that means anything.
    claims: Vec<u32>,
    /// What passes by them where none can start.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    claim_digest: ClaimDigest,
    /// By tier, who started not long ago.
    young: Vec<Young>,
    /// How fast its tiers' requests start.
    pace: Vec<Pace>,
    /// Its workers that are drained for a head, one for a tier at most.
    drained: Vec<WorkerId>,
    /// Whether something changed since a pass over it found nothing to do.
    dirty: bool,
    /// Who waits in other pools and names this one, and whether one may start here since they were last looked at.
    roamers: Roamers,
    seeks_roamers: bool,
    /// By tier.
    looks: [Look; MAX_TIERS],
    /// Whether anybody sought victims in vain in the last pass: growth of others may change that.
    sought_in_vain: bool,
    /// When back-offs end that keep some request off a worker.
    admissions: BTreeSet<Instant>,
    /// Whether the next round has to look again, for those who sat this one out.
    revisit: bool,
    /// When it is next looked at for moves, if there may be one.
    look_at: Instant,
    /// When the passing of time alone may give it something to do.
    wake_at: Option<Instant>,
}

/// See [`Pool::places`].
const NO_PLACE: u32 = u32::MAX;

impl Pool {
    /// Others are up now, of so many workers that there are.
    fn find_places(&mut self, workers: usize) {
        self.places.clear();
        self.places.resize(workers, NO_PLACE);
        for (id, place) in self.up.iter().zip(0..) {
            if let Some(known) = self.places.get_mut(id.index()) {
                *known = place;
            }
        }
    }
}

/// Decides which request runs now, which waits, and which yields.
///
/// Every mutator takes `now` first. After each batch of inputs, call [`poll`](Self::poll) until it returns
/// `None`; when [`poll_timeout`](Self::poll_timeout) comes, poll again. A report of a request names the
/// attempt that the `Start` carried.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    /// The latest `now`.
    now: Instant,
    requests: Requests,
    /// Where the waiting requests of all queues stand.
    nodes: QueueNodes,
    tenants: Tenants,
    fairness: Fairness,
    /// What of its use each queue's tier has borrowed, by the number of the queue.
    loans: Vec<Loan>,
    /// What is counted of each queue, by its number.
    metrics: Vec<QueueMetrics>,
    /// What each queue wanted lately.
    forecast: Forecast,
    /// By tier.
    forgotten: Forgotten,
    /// What the fresh requests of each line add to their tier's waiting demand while the line is on offer.
    line_demands: Vec<Resources>,
    quota: Ledger,
    quota_queue: QuotaQueue,
    devices: Vec<Device>,
    workers: Vec<Worker>,
    pools: Vec<Pool>,
    claims: Slab<Claim>,
    /// One timer per request: the queue timeout of one that has not run, the confirmation of a victim, the end of a
    /// hold.
    timers: Agenda<(Instant, u64)>,
    /// When a waiting request is next relegated or aged.
    turns: Heap<(Instant, u64)>,
    /// Decided, and not returned yet: see `outbox`.
    outbox: VecDeque<Action>,
    /// What goes before that: nothing between two calls. Apart, so that a start, which most are, need not go through it: 60
    /// instructions of a cycle.
    said_next: Option<Action>,
    /// Workers and devices that may use more than they have.
    pressured: BTreeSet<Place>,
    /// Resizes whose overuse is tolerated until an instant.
    tolerances: BTreeSet<(Instant, Place)>,
    /// When workers that are kept out may come.
    joins: BTreeSet<(Instant, WorkerId)>,
    next_sequence: u64,
    waiting: Waiting,
    waiting_by_tier: Vec<Waiting>,
    /// Live requests that never yield.
    never_yielding: u64,
    /// How many stand in all pools' lists of roamers.
    roamers: usize,
    /// Those of them that nothing could hold where they are, as far as somebody else may: by arrival.
    homeless: Homeless,
    /// By tier.
    never_ran: Vec<NeverRan>,
    /// By tier, whether its requests may ever be stopped for another: who may not is not kept ready for searches.
    stoppable: Vec<bool>,
    /// Until when each tier's preemption budget is spent.
    budget_spent: Vec<Instant>,
    /// Tiers that demand something else in a pool than their hold windows noted last.
    changed_demands: Vec<(PoolId, Tier)>,
    /// Counts the rounds, from 1.
    round: u64,
    in_round: bool,
    quiet: Quiet,
    stats: Stats,
    warmth: Warmth,
    search_memory: SearchMemory,
    /// For searches too.
    changes: Changes,
}

impl Scheduler {
    /// A scheduler without workers, tenants or requests.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let pools = config.pools.iter().map(|_| Pool {
            capacity: Capacity::new(&config.tiers),
            queues: config.tiers.iter().map(|_| TierQueue::default()).collect(),
            up: Vec::new(),
            places: Vec::new(),
            rooms: Rooms::default(),
            configured: Capacity::new(&config.tiers),
            members: Vec::new(),
            shapes: Vec::new(),
            claims: Vec::new(),
            claim_digest: ClaimDigest::default(),
            young: config.tiers.iter().map(|_| Young::default()).collect(),
            pace: config.tiers.iter().map(|_| Pace::default()).collect(),
            drained: Vec::with_capacity(config.tiers.len()),
            dirty: false,
            roamers: Roamers::new(),
            seeks_roamers: false,
            looks: [Look::default(); MAX_TIERS],
            sought_in_vain: false,
            admissions: BTreeSet::new(),
            revisit: false,
            look_at: Instant::ZERO,
            wake_at: None,
        });
        Self {
            pools: pools.collect(),
            now,
            requests: Requests::new(),
            nodes: QueueNodes::new(),
            line_demands: Vec::new(),
            quota: Ledger::new(config.leases),
            quota_queue: QuotaQueue::default(),
            devices: Vec::new(),
            tenants: Tenants::default(),
            fairness: Fairness::new(config.pools.len() * config.tiers.len()),
            loans: (0..config.pools.len() * config.tiers.len()).map(|_| Loan::new(now)).collect(),
            metrics: alloc::vec![QueueMetrics::default(); config.pools.len() * config.tiers.len()],
            forecast: Forecast::new(config.pools.len() * config.tiers.len(), now),
            forgotten: alloc::vec![Default::default(); config.tiers.len()],
            workers: Vec::new(),
            claims: Slab::new(),
            timers: Agenda::new(),
            turns: Heap::new(),
            outbox: VecDeque::new(),
            said_next: None,
            pressured: BTreeSet::new(),
            tolerances: BTreeSet::new(),
            joins: BTreeSet::new(),
            next_sequence: 0,
            waiting: Waiting::default(),
            waiting_by_tier: alloc::vec![Waiting::default(); config.tiers.len()],
            never_yielding: 0,
            roamers: 0,
            homeless: Homeless::new(),
            never_ran: alloc::vec![NeverRan::default(); config.tiers.len()],
            stoppable: config.stoppable_tiers(),
            budget_spent: alloc::vec![Instant::ZERO; config.tiers.len()],
            changed_demands: Vec::new(),
            round: 0,
            in_round: false,
            quiet: Quiet::No,
            stats: Stats::default(),
            warmth: Warmth::new(&config),
            search_memory: SearchMemory::default(),
            changes: Changes::default(),
            config,
        }
    }

    /// The config it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The latest `now` of any call: what the host's clock must go on from after a restart. O(1).
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Takes any input: what the method of the same name does.
    ///
    /// # Errors
    /// Those of the method.
    pub fn apply(&mut self, now: Instant, input: &Input) -> Result<Created, InputError> {
        let nothing = Created::Nothing;
        Ok(match *input {
            Input::TenantSet { ref name } => Created::Tenant(self.tenant_set(now, name)?),
            Input::TenantConfigure { tenant, ref policy } => {
                self.tenant_configure(now, tenant, policy).map(|()| nothing)?
            }
            Input::TenantRemove { tenant } => self.tenant_remove(now, tenant).map(|()| nothing)?,
            Input::LeaseGranted { tenant, limit, seq, tokens, valid_for_ns } => {
                self.lease_granted(now, tenant, limit, seq, tokens, valid_for_ns).map(|()| nothing)?
            }
            Input::DeviceAdd(spec) => Created::Device(self.device_add(now, spec)?),
            Input::DeviceResize { device, limit, shrink } => {
                self.device_resize(now, device, limit, shrink).map(|()| nothing)?
            }
            Input::DeviceLost { device } => self.device_lost(now, device).map(|()| nothing)?,
            Input::WorkerAdd(ref spec) => Created::Worker(self.worker_add(now, spec.clone())?),
            Input::WorkerResize { worker, capacity, shrink } => {
                self.worker_resize(now, worker, capacity, shrink).map(|()| nothing)?
            }
            Input::WorkerUsage { worker, in_use } => {
                self.worker_usage(now, worker, in_use).map(|()| nothing)?
            }
            Input::Reconfigure { ref config } => {
                self.reconfigure(now, Config::clone(config)).map(|()| nothing)?
            }
            Input::Amend { request, amendment } => self.amend(now, request, amendment).map(|()| nothing)?,
            Input::Step { worker, tokens_each, ref exceptions } => {
                self.step(now, worker, tokens_each, exceptions).map(|()| nothing)?
            }
            Input::WorkerDrain { worker } => self.worker_drain(now, worker).map(|()| nothing)?,
            Input::WorkerLost { worker } => self.worker_lost(now, worker).map(|()| nothing)?,
            Input::CacheStored { worker, ref blocks } => {
                self.cache_stored(now, worker, blocks).map(|()| nothing)?
            }
            Input::CacheEvicted { worker, ref blocks } => {
                self.cache_evicted(now, worker, blocks).map(|()| nothing)?
            }
            Input::PrefixSet { request, ref blocks } => {
                self.prefix_set(now, request, blocks).map(|()| nothing)?
            }
            Input::Submit(spec) => Created::Request(self.submit(now, spec)?),
            Input::Cancel { request } => self.cancel(now, request).map(|()| nothing)?,
            Input::Started { request, attempt, cached_tokens, in_use } => {
                self.started(now, request, attempt, cached_tokens, in_use).map(|()| nothing)?
            }
            Input::Declined { request, attempt, why } => {
                self.declined(now, request, attempt, why).map(|()| nothing)?
            }
            Input::Progress { request, attempt, output_tokens, in_use } => {
                self.progress(now, request, attempt, output_tokens, in_use).map(|()| nothing)?
            }
            Input::Preempted { request, attempt, tokens_kept, release } => {
                self.preempted(now, request, attempt, tokens_kept, release).map(|()| nothing)?
            }
            Input::Released { request, attempt } => self.released(now, request, attempt).map(|()| nothing)?,
            Input::Complete { request, attempt, usage } => {
                self.complete(now, request, attempt, usage).map(|()| nothing)?
            }
            Input::Failed { request, attempt } => self.failed(now, request, attempt).map(|()| nothing)?,
        })
    }

    /// Where a live request stands. O(1).
    ///
    /// # Errors
    /// [`ReportError::AlreadyTerminal`] or [`ReportError::UnknownRequest`].
    pub fn state(&self, request: RequestId) -> Result<RequestState, ReportError> {
        self.resolve(request).map(|slot| self.state_of(slot))
    }

    fn state_of(&self, slot: u32) -> RequestState {
        match self.requests[slot].state {
            RequestState::Queued if self.waits_at(slot).is_some() => RequestState::Parked,
            state => state,
        }
    }

    /// How many requests of a tier wait, in all pools, parked ones included; 0 for a tier that is not. O(1).
    #[must_use]
    pub fn queue_depth(&self, tier: Tier) -> usize {
        self.waiting_by_tier.get(tier.index()).map_or(0, |waiting| waiting.requests as usize)
    }

    /// R: what a tier is guaranteed of the present capacity of a pool. `None` if either is unknown. O(1).
    #[must_use]
    pub fn effective_reserve(&self, pool: PoolId, tier: Tier) -> Option<Resources> {
        self.account(pool, tier).map(|account| account.reserve)
    }

    /// U: what a tier uses on the workers of a pool that are up. `None` if either is unknown. O(1).
    #[must_use]
    pub fn in_use(&self, pool: PoolId, tier: Tier) -> Option<Resources> {
        self.account(pool, tier).map(|account| account.used)
    }

    /// What the waiting requests of a tier would use in a pool if they all started; parked ones, and those
    /// larger than the tier's reserve, excepted. `None` if either is unknown. O(1).
    #[must_use]
    pub fn waiting_demand(&self, pool: PoolId, tier: Tier) -> Option<Resources> {
        self.account(pool, tier).map(|account| account.waiting + account.earmarked)
    }

    /// The counters. O(1).
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { live: self.requests.len() as u64, ..self.stats }
    }

    fn account(&self, pool: PoolId, tier: Tier) -> Option<&crate::capacity::Account> {
        self.pools.get(pool.index())?.capacity.accounts().get(tier.index())
    }

    fn pool(&self, id: PoolId) -> &Pool {
        &self.pools[id.index()]
    }

    fn pool_mut(&mut self, id: PoolId) -> &mut Pool {
        &mut self.pools[id.index()]
    }

    fn worker(&self, id: WorkerId) -> &Worker {
        &self.workers[id.index()]
    }

    fn worker_mut(&mut self, id: WorkerId) -> &mut Worker {
        let worker = &mut self.workers[id.index()];
        self.changes.note(id, worker);
        worker
    }

    /// The account of a tier whose use, claims or waiting demand change.
    fn account_mut(&mut self, pool: PoolId, tier: Tier) -> &mut crate::capacity::Account {
        if self.changed_demands.last() != Some(&(pool, tier)) {
            self.changed_demands.push((pool, tier));
        }
        self.pools[pool.index()].capacity.account_mut(tier)
    }

    fn tiers(&self) -> impl Iterator<Item = Tier> + use<> {
        (0..self.config.tiers.len() as u8).map(Tier::new)
    }
}
