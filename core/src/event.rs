//! The alphabet: every verb of the host is an [`Input`], every wish of the scheduler an [`Action`], and
//! every action says its [`Reason`].

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::config::Config;
use crate::id::{Attempt, DeviceId, PoolId, RequestId, TenantId, Tier, WorkerId};
use crate::request::{RequestSpec, Usage};
use crate::resources::Resources;
use crate::share::{Ppm, Rounding};
use crate::tenant::{QuotaLimit, TenantPolicy};
use crate::time::Instant;

/// One verb of the host with its arguments. [`Scheduler::apply`](crate::Scheduler::apply) takes it; the
/// methods of the same names are the usual way to say it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are the arguments of the methods, and are documented there
pub enum Input {
    TenantSet { name: Box<str> },
    TenantConfigure { tenant: TenantId, policy: Box<TenantPolicy> },
    TenantRemove { tenant: TenantId },
    LeaseGranted { tenant: TenantId, limit: QuotaLimit, seq: u64, tokens: u64, valid_for_ns: u64 },
    DeviceAdd(DeviceSpec),
    DeviceResize { device: DeviceId, limit: Resources, shrink: Shrink },
    DeviceLost { device: DeviceId },
    WorkerAdd(WorkerSpec),
    WorkerResize { worker: WorkerId, capacity: Resources, shrink: Shrink },
    WorkerUsage { worker: WorkerId, in_use: Resources },
    WorkerDrain { worker: WorkerId },
    WorkerLost { worker: WorkerId },
    CacheStored { worker: WorkerId, blocks: Box<[u64]> },
    CacheEvicted { worker: WorkerId, blocks: Box<[u64]> },
    Reconfigure { config: Box<Config> },
    Submit(RequestSpec),
    PrefixSet { request: RequestId, blocks: Box<[u64]> },
    Amend { request: RequestId, amendment: Amendment },
    Cancel { request: RequestId },
    Step { worker: WorkerId, tokens_each: u64, exceptions: Box<[StepException]> },
    Started { request: RequestId, attempt: Attempt, cached_tokens: u64, in_use: Resources },
    Declined { request: RequestId, attempt: Attempt, why: Decline },
    Progress { request: RequestId, attempt: Attempt, output_tokens: u64, in_use: Resources },
    Preempted { request: RequestId, attempt: Attempt, tokens_kept: u64, release: Release },
    Released { request: RequestId, attempt: Attempt },
    Complete { request: RequestId, attempt: Attempt, usage: Usage },
    Failed { request: RequestId, attempt: Attempt },
}

impl Input {
    /// The name of the verb, as methods and the lines of a journal have it.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::TenantSet { .. } => "tenant_set",
            Self::TenantConfigure { .. } => "tenant_configure",
            Self::TenantRemove { .. } => "tenant_remove",
            Self::LeaseGranted { .. } => "lease_granted",
            Self::DeviceAdd(_) => "device_add",
            Self::DeviceResize { .. } => "device_resize",
            Self::DeviceLost { .. } => "device_lost",
            Self::WorkerAdd(_) => "worker_add",
            Self::WorkerResize { .. } => "worker_resize",
            Self::WorkerUsage { .. } => "worker_usage",
            Self::WorkerDrain { .. } => "worker_drain",
            Self::WorkerLost { .. } => "worker_lost",
            Self::CacheStored { .. } => "cache_stored",
            Self::CacheEvicted { .. } => "cache_evicted",
            Self::Reconfigure { .. } => "reconfigure",
            Self::Submit(_) => "submit",
            Self::PrefixSet { .. } => "prefix_set",
            Self::Amend { .. } => "amend",
            Self::Cancel { .. } => "cancel",
            Self::Step { .. } => "step",
            Self::Started { .. } => "started",
            Self::Declined { .. } => "declined",
            Self::Progress { .. } => "progress",
            Self::Preempted { .. } => "preempted",
            Self::Released { .. } => "released",
            Self::Complete { .. } => "complete",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A device as the host describes it: what fails as one, and may have less than its workers advertise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
pub struct DeviceSpec {
    /// Units that all workers on it may use together, in the order of the config's dimensions; 0 is no limit.
    pub limit: Resources,
    /// How much memory checkpoints made on it may take, in MiB; `None` is no limit.
    pub checkpoint_mib: Option<u64>,
}

/// The part of one device that a worker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub struct DevicePart {
    /// The device.
    pub device: DeviceId,
    /// How much of each unit used on the worker is used on the device: all of it for a slice of one device, half
    /// for a worker that spans two.
    pub part: Ppm,
}

impl DevicePart {
    /// What this use of the worker takes of the device.
    pub(crate) fn of(&self, units: Resources) -> Resources {
        if self.part == Ppm::ONE {
            units
        } else {
            units.zip(units, |units, _| self.part.of(units, Rounding::Ceil))
        }
    }

    /// What a worker with this capacity advertises of the device.
    pub(crate) fn advertised(&self, capacity: Resources) -> Resources {
        capacity.zip(capacity, |units, _| self.part.of(units, Rounding::Floor))
    }

    /// The most that may be used of the worker for this much of the device.
    pub(crate) fn most_for(&self, units: u64) -> u64 {
        // Most stand on one device, and it is asked of each that changed: four wide divisions less for each.
        if self.part == Ppm::ONE {
            return units;
        }
        let most = u128::from(units) * u128::from(Ppm::ONE.get()) / u128::from(self.part.get());
        u64::try_from(most).unwrap_or(u64::MAX)
    }
}

/// The most devices that one worker may stand on: 16, a tensor-parallel group over two hosts of eight.
pub const MAX_DEVICES_PER_WORKER: usize = 16;

/// How a worker shares its devices with others: what is its own, and what the others feel of it.
///
/// | | compute | memory | faults |
/// | --- | --- | --- | --- |
/// | `Dedicated` | own | own | own |
/// | `TimeSlice` | in turns | shared | own: a process of its own |
/// | `Mps` | shared | shared | shared: the server that dies takes every client along |
/// | `Mig` | own | own | own |
///
/// What is shared of memory is bounded by [`DeviceSpec::limit`], which holds above all workers of a device, whatever their
/// kind. A device that dies takes all along, whatever their kind: that is `device_lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum WorkerKind {
    /// It has its devices to itself, or is told nothing of how it shares them.
    #[default]
    Dedicated = 0,
    /// A replica of a device whose processes take turns.
    TimeSlice = 1,
    /// A client of a device's Multi-Process Service: they run at once.
    Mps = 2,
    /// An instance that the hardware cut off.
    Mig = 3,
}

impl WorkerKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: &'static [Self] = &[Self::Dedicated, Self::TimeSlice, Self::Mps, Self::Mig];

    /// The name that configs and reports have.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dedicated => "dedicated",
            Self::TimeSlice => "time-slice",
            Self::Mps => "mps",
            Self::Mig => "mig",
        }
    }

    /// Whether others on its devices leave it as fast as it is alone.
    #[must_use]
    pub const fn isolates_compute(self) -> bool {
        matches!(self, Self::Dedicated | Self::Mig)
    }

    /// Whether it has the memory that it advertises, whatever others on its devices take. Where not, only the limit of the
    /// device says how much there is.
    #[must_use]
    pub const fn isolates_memory(self) -> bool {
        matches!(self, Self::Dedicated | Self::Mig)
    }

    /// Whether it outlives the fault of another such worker on its devices. Where not, [`worker_lost`] takes those along.
    ///
    /// [`worker_lost`]: crate::Scheduler::worker_lost
    #[must_use]
    pub const fn isolates_faults(self) -> bool {
        !matches!(self, Self::Mps)
    }
}

impl fmt::Display for WorkerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one device is cut into workers that are alike, as the device plugins of clusters have it.
///
/// ```
/// use tidegate::{Sharing, WorkerKind};
/// let replicas = Sharing { kind: WorkerKind::TimeSlice, replicas: 3 };
/// let (device, capacity) = replicas.cut([24_576]); // MiB of a card
/// assert_eq!((device.limit, capacity), ([24_576].into(), [24_576].into()), "any may have all, together no more");
/// let (device, capacity) = Sharing { kind: WorkerKind::Mig, ..replicas }.cut([24_576]);
/// assert_eq!((device.limit, capacity), ([0].into(), [8_192].into()), "each has its own");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// What the workers are.
    pub kind: WorkerKind,
    /// How many; 0 counts as 1.
    pub replicas: u32,
}

impl Sharing {
    /// More replicas of a device than this are seldom worth it: each has its own copy of the weights, and what is left for
    /// the rest is too little to batch.
    pub const MOST_SENSIBLE: u32 = 4;

    /// What the device is told to have, and each of its workers, for a device with these units. Where memory is not isolated,
    /// each worker may use all of it, and the device's limit bounds them together; else each has an even part, rounded down.
    pub fn cut(&self, units: impl Into<Resources>) -> (DeviceSpec, Resources) {
        let units = units.into();
        if self.kind.isolates_memory() {
            let replicas = u64::from(self.replicas.max(1));
            return (DeviceSpec::default(), units.zip(units, |units, _| units / replicas));
        }
        (DeviceSpec { limit: units, checkpoint_mib: None }, units)
    }
}

/// A worker as the host describes it: anything that runs requests (an engine process, a MIG instance, an
/// MPS client, a tensor-parallel group).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
pub struct WorkerSpec {
    /// The pool it belongs to.
    pub pool: PoolId,
    /// Units it has, in the order of the config's dimensions.
    pub capacity: Resources,
    /// The devices it stands on; without any it is a device of its own.
    pub devices: Vec<DevicePart>,
    /// How it shares them.
    pub kind: WorkerKind,
    /// Whether it stands by until another of its pool is lost, and then takes that one's place.
    pub spare: bool,
    /// The lost worker that it stands in for: the same engine come back, or another in its place.
    pub replaces: Option<WorkerId>,
}

impl WorkerSpec {
    /// A worker of the first pool with this capacity, a device of its own.
    pub fn new(capacity: impl Into<Resources>) -> Self {
        Self {
            pool: PoolId::new(0),
            capacity: capacity.into(),
            devices: Vec::new(),
            kind: WorkerKind::Dedicated,
            spare: false,
            replaces: None,
        }
    }

    /// Puts it into a pool. Default: the first.
    pub fn pool(mut self, pool: PoolId) -> Self {
        self.pool = pool;
        self
    }

    /// Says how it shares its devices with others. Default: not.
    pub fn kind(mut self, kind: WorkerKind) -> Self {
        self.kind = kind;
        self
    }

    /// Stands by until another of its pool is lost by a fault, and then takes that one's place for good; who replaces that one
    /// stands by.
    pub fn spare(mut self) -> Self {
        self.spare = true;
        self
    }

    /// Stands in for a lost worker of its pool. One that was lost again and again is kept out for a while: see
    /// [`ConfigBuilder::flap_backoff`](crate::ConfigBuilder::flap_backoff).
    pub fn replaces(mut self, lost: WorkerId) -> Self {
        self.replaces = Some(lost);
        self
    }

    /// Puts it on a device, all of it.
    pub fn on(self, device: DeviceId) -> Self {
        self.on_part(device, Ppm::ONE)
    }

    /// Puts this part of it on a device.
    pub fn on_part(mut self, device: DeviceId, part: Ppm) -> Self {
        self.devices.push(DevicePart { device, part });
        self
    }
}

/// What becomes of use beyond the capacity when a worker or a device shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shrink {
    /// Nothing is stopped; nothing more starts until there is room.
    #[default]
    Drain,
    /// What is still too much after this many nanoseconds is stopped.
    Preempt {
        /// Nanoseconds from the resize.
        after_ns: u64,
    },
}

/// When the units of a request that stopped come free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// They are free.
    Done,
    /// They stay taken until [`Scheduler::released`](crate::Scheduler::released): its memory is still being copied out.
    Later,
}

/// What changes of a live request; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Amendment {
    /// Units of its next start.
    pub demand: Option<Resources>,
    /// Units it is expected to take when it is largest.
    pub peak: Option<Resources>,
    /// How urgent it is.
    pub tier: Option<Tier>,
    /// When its answer is wanted.
    pub deadline: Option<Instant>,
}

/// What one request on a worker reports of a step, where it is not the same as of all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepException {
    /// The request.
    pub request: RequestId,
    /// Its attempt.
    pub attempt: Attempt,
    /// Tokens generated so far.
    pub output_tokens: u64,
    /// Units it takes now.
    pub in_use: Resources,
}

/// The end of one request, as [`Scheduler::complete_many`](crate::Scheduler::complete_many) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The request.
    pub request: RequestId,
    /// Its attempt.
    pub attempt: Attempt,
    /// What it used.
    pub usage: Usage,
}

/// Why an engine did not take a request that it was told to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Decline {
    /// Anything that the others do not name.
    Other = 0,
    /// It had no room after all.
    NoRoom = 1,
    /// It is not ready (loading, reloading, draining).
    NotReady = 2,
}

/// How a victim yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum YieldMode {
    /// Throw away what was computed.
    Restart = 0,
    /// Keep what was computed, as far as the engine can.
    Checkpoint = 1,
}

/// Why the scheduler wants what it wants. The counters of [`Stats`](crate::Stats) use the same list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Reason {
    /// Start: within the tier's reserve.
    Guaranteed = 1,
    /// Start: beyond the tier's reserve, on what nobody holds.
    Borrowed = 2,
    /// Start: on units that were reclaimed for it.
    Reclaimed = 3,
    /// Preempt: the beneficiary is within its tier's reserve.
    Reclaim = 4,
    /// Preempt: the beneficiary's tier may preempt while it borrows.
    Urgent = 5,
    /// Preempt or abort: the worker has less memory than its requests use.
    OutOfMemory = 6,
    /// Spare: the units are no longer needed.
    NotNeeded = 7,
    /// Drop: it waited longer than its queue timeout.
    QueueTimeout = 8,
    /// Drop: a more urgent request needed its place in the queue.
    Displaced = 9,
    /// Drop: engines declined it three times in a row.
    Declined = 10,
    /// Drop or abort: it has outgrown every worker there is, or the one that it has to itself.
    NeverFits = 11,
    /// Drop: its worker was lost, and it cannot run twice. AlsoLost: another on its devices was.
    WorkerLost = 12,
    /// Stuck: the victim was not reported stopped in time.
    Unconfirmed = 13,
    /// LeaseWanted: somebody waits for it, or was refused it a while ago.
    LeaseNeeded = 14,
    /// LeaseWanted: what is used in a while is half gone.
    LeaseAhead = 15,
    /// LeaseWanted: more was used than was granted.
    LeaseOwed = 16,
    /// LeaseWanted: what nobody uses goes back.
    LeaseIdle = 17,
    /// Preempt: its worker is saturated and another idle, where it goes on.
    Rebalance = 18,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: &'static [Self] = &[
        Self::Guaranteed,
        Self::Borrowed,
        Self::Reclaimed,
        Self::Reclaim,
        Self::Urgent,
        Self::OutOfMemory,
        Self::NotNeeded,
        Self::QueueTimeout,
        Self::Displaced,
        Self::Declined,
        Self::NeverFits,
        Self::WorkerLost,
        Self::Unconfirmed,
        Self::LeaseNeeded,
        Self::LeaseAhead,
        Self::LeaseOwed,
        Self::LeaseIdle,
        Self::Rebalance,
    ];

    /// The name that reports and metrics print.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "guaranteed",
            Self::Borrowed => "borrowed",
            Self::Reclaimed => "reclaimed",
            Self::Reclaim => "reclaim",
            Self::Urgent => "urgent",
            Self::OutOfMemory => "out-of-memory",
            Self::NotNeeded => "not-needed",
            Self::QueueTimeout => "queue-timeout",
            Self::Displaced => "displaced",
            Self::Declined => "declined",
            Self::NeverFits => "never-fits",
            Self::WorkerLost => "worker-lost",
            Self::Unconfirmed => "unconfirmed",
            Self::LeaseNeeded => "lease-needed",
            Self::LeaseAhead => "lease-ahead",
            Self::LeaseOwed => "lease-owed",
            Self::LeaseIdle => "lease-idle",
            Self::Rebalance => "rebalance",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One wish of the scheduler, as [`Scheduler::poll`](crate::Scheduler::poll) returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
pub enum Action {
    /// Start this request on this worker. Answer with `started`, `progress`, `declined` or an end.
    Start {
        /// The request.
        request: RequestId,
        /// The number of this start; reports carry it.
        attempt: Attempt,
        /// Where.
        worker: WorkerId,
        /// Tokens of context that the engine kept when it last stopped; 0 begins anew.
        resume_tokens: u64,
        /// Guaranteed, borrowed or reclaimed.
        reason: Reason,
    },
    /// Stop this request and answer with `preempted`, or with its end if it ended first.
    Preempt {
        /// The request to stop.
        victim: RequestId,
        /// Its attempt.
        attempt: Attempt,
        /// Whether to keep what it computed.
        mode: YieldMode,
        /// The waiting request that needs the units; none under memory pressure, and where the victim itself gains.
        beneficiary: Option<RequestId>,
        /// When `Stuck` follows if no answer came.
        confirm_by: Instant,
        /// Why.
        reason: Reason,
    },
    /// A `Preempt` is taken back: go on if it has not stopped yet, else answer as to the `Preempt`.
    Spare {
        /// The request that may go on.
        victim: RequestId,
        /// Its attempt.
        attempt: Attempt,
        /// Why.
        reason: Reason,
    },
    /// Stop this running request and answer its client with an error; report `failed` when it stopped.
    Abort {
        /// The request.
        request: RequestId,
        /// Its attempt.
        attempt: Attempt,
        /// Why.
        reason: Reason,
    },
    /// This request has ended and runs nowhere; answer its client. Nothing is to be reported. Its slot may be
    /// another request's by now: tell them apart by the whole id.
    Drop {
        /// The request.
        request: RequestId,
        /// Why.
        reason: Reason,
    },
    /// A victim was not reported stopped by `confirm_by`; its units stay counted as used.
    Stuck {
        /// The request that was to stop.
        victim: RequestId,
        /// Its attempt.
        attempt: Attempt,
        /// Why.
        reason: Reason,
    },
    /// Ask the store that replicas share, and answer with `lease_granted`; nothing waits for it but what needs it. The same
    /// `seq` is the same wish, said again because it was not answered.
    LeaseWanted {
        /// Whose limit.
        tenant: TenantId,
        /// Which: requests or tokens per period.
        limit: QuotaLimit,
        /// The number of the wish; higher than that of any wish before.
        seq: u64,
        /// How many more are wanted; 0 if it only gives back.
        tokens: u64,
        /// How many go back unused; below zero, a debt: used and not granted.
        returned: i64,
        /// Why.
        reason: Reason,
    },
    /// This worker went with another that the host said is lost: nothing runs there any more, end what is left of it. Nothing is
    /// to be reported; what runs on the device again is added as a worker.
    AlsoLost {
        /// The worker that is lost too.
        worker: WorkerId,
        /// The one whose fault took it along.
        by: WorkerId,
        /// Why.
        reason: Reason,
    },
}

impl Action {
    /// Why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match *self {
            Self::Start { reason, .. }
            | Self::Preempt { reason, .. }
            | Self::Spare { reason, .. }
            | Self::Abort { reason, .. }
            | Self::Drop { reason, .. }
            | Self::Stuck { reason, .. }
            | Self::LeaseWanted { reason, .. }
            | Self::AlsoLost { reason, .. } => reason,
        }
    }

    /// The request it speaks of; none of `LeaseWanted` and `AlsoLost`.
    #[must_use]
    pub const fn request(&self) -> Option<RequestId> {
        match *self {
            Self::Start { request, .. } | Self::Abort { request, .. } | Self::Drop { request, .. } => {
                Some(request)
            }
            Self::Preempt { victim, .. } | Self::Spare { victim, .. } | Self::Stuck { victim, .. } => {
                Some(victim)
            }
            Self::LeaseWanted { .. } | Self::AlsoLost { .. } => None,
        }
    }
}
