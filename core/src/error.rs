//! What can be wrong with an input. Nothing changed when one of these is returned.
//!
//! "Never" and "not now" are different answers: `NeverFits` and `LimitExceeded` are permanent, `QueueFull`
//! passes.

use thiserror::Error;

use crate::fault::ConfigError;
use crate::id::{Attempt, DeviceId, PoolId, RequestId, TenantId, Tier, WorkerId};
use crate::request::RequestState;
use crate::tenant::QuotaLimit;
use crate::time::Instant;

/// A documented limit of the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Units of one dimension: [`MAX_UNITS`](crate::MAX_UNITS), and 0 for one that the config does not name.
    Units,
    /// Tokens of one request: [`MAX_TOKENS`](crate::MAX_TOKENS).
    Tokens,
    /// Live requests: [`MAX_REQUESTS`](crate::MAX_REQUESTS).
    Requests,
    /// Devices ever added: [`MAX_DEVICES`](crate::MAX_DEVICES).
    Devices,
    /// Devices of one worker: [`MAX_DEVICES_PER_WORKER`](crate::MAX_DEVICES_PER_WORKER).
    DevicesPerWorker,
    /// Workers ever added: [`MAX_WORKERS`](crate::MAX_WORKERS).
    Workers,
    /// Tenants known: the config's `max_tenants`.
    Tenants,
    /// Bytes of a name: [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES).
    NameBytes,
    /// Starts of one request: 2^32 - 1.
    Attempts,
}

impl core::fmt::Display for Limit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Units => "units of a dimension",
            Self::Tokens => "tokens of a request",
            Self::Requests => "live requests",
            Self::Devices => "devices",
            Self::DevicesPerWorker => "devices of a worker",
            Self::Workers => "workers",
            Self::Tenants => "tenants",
            Self::NameBytes => "bytes of a name",
            Self::Attempts => "starts of a request",
        })
    }
}

/// Whose queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueScope {
    /// The tier's `queue_limit`.
    Tier(Tier),
    /// The tenant's share: `tenant_queue_limit`.
    Tenant(TenantId),
    /// The scheduler's `queue_limit`.
    Total,
}

/// What a queue is full of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueUnit {
    /// Requests: a `queue_limit`.
    Requests,
    /// Prompt and expected output tokens: a `queue_token_limit`.
    Tokens,
}

impl core::fmt::Display for QueueUnit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        })
    }
}

impl core::fmt::Display for QueueScope {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Tier(tier) => write!(f, "the queue of {tier}"),
            Self::Tenant(tenant) => write!(f, "the queue of {tenant}"),
            Self::Total => f.write_str("the queue"),
        }
    }
}

/// Why a request was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// No such tenant: `tenant_set` comes first.
    #[error("{0} is not known")]
    UnknownTenant(TenantId),
    /// The config has fewer tiers.
    #[error("{tier} is not one of the {tiers} tiers")]
    UnknownTier {
        /// The one asked for.
        tier: Tier,
        /// How many there are.
        tiers: u8,
    },
    /// The config has fewer pools.
    #[error("{0} is not in the config")]
    UnknownPool(PoolId),
    /// The tenant may use less urgent tiers only.
    #[error("{tenant} may not use {tier}: {allowed} is the most urgent that it may")]
    TierTooUrgent {
        /// Who.
        tenant: TenantId,
        /// The one asked for.
        tier: Tier,
        /// The most urgent one allowed.
        allowed: Tier,
    },
    /// No quota will ever allow it, as the limits are: it needs more than a limit of its tenant, or of one above.
    #[error("{tenant} allows at most {max} {limit}, and this needs {need}")]
    NeverAllowed {
        /// Whose limit.
        tenant: TenantId,
        /// Which.
        limit: QuotaLimit,
        /// What it needs.
        need: u64,
        /// The most there can be.
        max: u64,
    },
    /// Its tenant does not wait for quota, and there is none now.
    #[error("{tenant} is over its limit of {limit}")]
    OverQuota {
        /// Whose limit.
        tenant: TenantId,
        /// Which.
        limit: QuotaLimit,
        /// When there is enough, if nothing else starts or changes; `None` if time alone does not help.
        retry_at: Option<Instant>,
    },
    /// The request asks for nothing, and would never be waited for.
    #[error("the demand is zero in every dimension")]
    ZeroDemand,
    /// No configured worker, or no share that its tier may use, can ever hold it.
    #[error("needs {need} of dimension {dimension} and can never have more than {max}")]
    NeverFits {
        /// The dimension, in the order of the config.
        dimension: usize,
        /// Units asked for.
        need: u64,
        /// Units it could have at most.
        max: u64,
    },
    /// Not now: a queue is full.
    #[error("{scope} is full (at most {limit} {unit} may wait)")]
    QueueFull {
        /// Whose queue.
        scope: QueueScope,
        /// What there is too much of.
        unit: QueueUnit,
        /// Its limit.
        limit: u64,
    },
    /// A number is beyond what the scheduler takes.
    #[error("too many {limit}: at most {max}")]
    LimitExceeded {
        /// Which.
        limit: Limit,
        /// The largest number allowed.
        max: u64,
    },
}

/// Why a report of a request, or its cancellation, was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// No request ever had this id.
    #[error("{0} was never submitted here")]
    UnknownRequest(RequestId),
    /// It has ended already.
    #[error("{0} has ended already")]
    AlreadyTerminal(RequestId),
    /// The report is of an earlier start, or of one that was not made.
    #[error("{request} is at {current}, the report is of {attempt}")]
    StaleAttempt {
        /// The request.
        request: RequestId,
        /// The attempt reported.
        attempt: Attempt,
        /// The attempt it is at.
        current: Attempt,
    },
    /// The report does not follow from where the request stands.
    #[error("{request} is {state}")]
    WrongState {
        /// The request.
        request: RequestId,
        /// Where it stands.
        state: RequestState,
    },
    /// A number is beyond what the scheduler takes.
    #[error("too many {limit}: at most {max}")]
    LimitExceeded {
        /// Which.
        limit: Limit,
        /// The largest number allowed.
        max: u64,
    },
}

/// Why a request was not amended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AmendError {
    /// It is not there, or is to stop.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// It would not have been accepted so.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// Why a worker or a device was not added or changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// No worker has this number.
    #[error("{0} was never added")]
    UnknownWorker(WorkerId),
    /// The config has fewer pools.
    #[error("{0} is not in the config")]
    UnknownPool(PoolId),
    /// It has no units at all.
    #[error("the capacity is zero in every dimension")]
    ZeroCapacity,
    /// It was reported lost already.
    #[error("{0} is lost")]
    Lost(WorkerId),
    /// Who is replaced was lost, and is of the same pool.
    #[error("{0} is not a lost worker of the pool: nobody replaces it")]
    NotLost(WorkerId),
    /// No device has this number.
    #[error("{0} was never added")]
    UnknownDevice(DeviceId),
    /// The device was reported lost.
    #[error("{0} is lost")]
    DeviceLost(DeviceId),
    /// A part is none, more than is left of the whole, or of a device that is named before.
    #[error("the part of {0} is none, more than is left of 1000000 (100 %), or named twice")]
    BadPart(DeviceId),
    /// What a device has less of than its workers can be shared by the workers of one pool only: a share of it
    /// means nothing else.
    #[error("{device} has less than its workers and serves {pool}: workers of one pool only may share it")]
    SharedAcrossPools {
        /// The device.
        device: DeviceId,
        /// The pool of another worker on it.
        pool: PoolId,
    },
    /// The request named in a step is not on the worker, or not as the report says.
    #[error(transparent)]
    Step(#[from] ReportError),
    /// The request named in a step is on another worker.
    #[error("{request} is not on {worker}")]
    NotHere {
        /// The request.
        request: RequestId,
        /// The worker of the step.
        worker: WorkerId,
    },
    /// A number is beyond what the scheduler takes.
    #[error("too many {limit}: at most {max}")]
    LimitExceeded {
        /// Which.
        limit: Limit,
        /// The largest number allowed.
        max: u64,
    },
}

/// Why a tenant was not set, configured or removed, or was not granted what its leased limits want.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TenantError {
    /// The name is empty, or has a control character.
    #[error("a tenant's name has at least one character, and no control characters")]
    BadName,
    /// A number is beyond what the scheduler takes.
    #[error("too many {limit}: at most {max}")]
    LimitExceeded {
        /// Which.
        limit: Limit,
        /// The largest number allowed.
        max: u64,
    },
    /// No such tenant.
    #[error("{0} is not known")]
    Unknown(TenantId),
    /// It would stand below itself.
    #[error("{0} would stand below itself")]
    Cycle(TenantId),
    /// The tree would be deeper than [`MAX_TENANT_DEPTH`](crate::MAX_TENANT_DEPTH).
    #[error("{0} would stand too deep")]
    TooDeep(TenantId),
    /// What it has open is more than the books of those above can hold.
    #[error("{0} has more open than those above it can hold")]
    TooMuch(TenantId),
    /// It has live requests, or tenants below it.
    #[error("{0} has live requests, or tenants below it")]
    Busy(TenantId),
    /// A grant is more than was wanted.
    #[error("{tokens} are granted to {tenant}, which wanted {wanted}")]
    GrantTooLarge {
        /// Whose.
        tenant: TenantId,
        /// What it wanted at most.
        wanted: u64,
        /// What was granted.
        tokens: u64,
    },
    /// The policy has faults.
    #[error(transparent)]
    Policy(#[from] ConfigError),
}

/// Any of the above: what [`Scheduler::apply`](crate::Scheduler::apply) returns.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InputError {
    /// Of `submit`.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Of a report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Of `amend`.
    #[error(transparent)]
    Amend(#[from] AmendError),
    /// Of `reconfigure`.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Of `worker_*`, `device_*` and `step`.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// Of `tenant_*` and `lease_granted`.
    #[error(transparent)]
    Tenant(#[from] TenantError),
}

/// A named invariant does not hold: a bug in the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invariant {name} does not hold: {detail}")]
#[non_exhaustive]
pub struct InvariantViolation {
    /// The name, as in `docs/INVARIANTS.md`.
    pub name: &'static str,
    /// What was found.
    pub detail: alloc::string::String,
}
