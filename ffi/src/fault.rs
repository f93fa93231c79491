//! Everything that can make a call fail, with its status, its numbers and its words.

use thiserror::Error;
use tidegate_core::{
    AmendError, ConfigError, InputError, Instant, InvariantViolation, Limit, QueueScope, QueueUnit,
    QuotaLimit, ReportError, RequestState, SharedError, SnapshotError, SubmitError, TenantError, WorkerError,
};

use crate::status::TidegateStatus as Status;
use crate::types::{
    ErrorRecord, TIDEGATE_NEVER, TidegateLimit, TidegateQuota, TidegateScope, TidegateState, TidegateUnit,
};

/// Why a call did not return OK.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error("{0} is NULL")]
    Null(&'static str),
    #[error("{argument}: struct_size is {got}, this library knows {least} to {known}")]
    StructSize { argument: &'static str, got: usize, least: usize, known: usize },
    #[error("{argument}: {got} is out of range")]
    OutOfRange { argument: &'static str, got: u64 },
    #[error("{0} is not UTF-8")]
    Utf8(&'static str),
    #[error("a bug in tidegate: {0}")]
    Panic(String),
    #[error("a thread panicked while it held the scheduler")]
    Poisoned,
    #[error("{0} is no handle, or was freed")]
    BadHandle(&'static str),
    #[error("another thread uses the handle")]
    InUse,
    #[error("other handles have the scheduler too")]
    Shared,
    #[error("the intake is full, or what came of it was not polled")]
    Busy,
    #[error("tier {tier} is not one of the {tiers} tiers")]
    UnknownTier { tier: u32, tiers: usize },
    #[error("pool {0} is not in the config")]
    UnknownPool(u32),
    #[error("the config has no {what} of this name")]
    UnknownName { what: &'static str, status: Status },
    #[error("the config has no {what} of this number")]
    NoSuch { what: &'static str, status: Status },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Invariant(#[from] InvariantViolation),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl From<SharedError> for Fault {
    fn from(error: SharedError) -> Self {
        match error {
            SharedError::Busy => Self::Busy,
            _ => Self::Poisoned,
        }
    }
}

impl From<SubmitError> for Fault {
    fn from(error: SubmitError) -> Self {
        Self::Input(error.into())
    }
}

impl From<ReportError> for Fault {
    fn from(error: ReportError) -> Self {
        Self::Input(error.into())
    }
}

impl From<WorkerError> for Fault {
    fn from(error: WorkerError) -> Self {
        Self::Input(error.into())
    }
}

impl From<AmendError> for Fault {
    fn from(error: AmendError) -> Self {
        Self::Input(error.into())
    }
}

impl From<TenantError> for Fault {
    fn from(error: TenantError) -> Self {
        Self::Input(error.into())
    }
}

impl Fault {
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Null(_) => Status::NullPointer,
            Self::StructSize { .. } => Status::StructSize,
            Self::OutOfRange { .. } => Status::OutOfRange,
            Self::Utf8(_) => Status::InvalidUtf8,
            Self::Panic(_) => Status::Panic,
            Self::Poisoned => Status::Poisoned,
            Self::BadHandle(_) => Status::BadHandle,
            Self::InUse => Status::InUse,
            Self::Shared => Status::Shared,
            Self::Busy => Status::Busy,
            Self::UnknownTier { .. } => Status::UnknownTier,
            Self::UnknownPool(_) => Status::UnknownPool,
            Self::UnknownName { status, .. } | Self::NoSuch { status, .. } => *status,
            Self::Config(_) => Status::ConfigInvalid,
            Self::Input(error) => input_status(error),
            Self::Invariant(_) => Status::InvariantViolated,
            Self::Snapshot(error) => snapshot_status(error),
        }
    }

    /// The numbers, for a program to act on.
    pub(crate) fn record(&self) -> ErrorRecord {
        let mut record = no_error();
        record.status = self.status() as u32;
        match self {
            Self::UnknownTier { tier, .. } => record.subject = *tier,
            Self::UnknownPool(pool) => record.subject = *pool,
            Self::Input(InputError::Submit(error) | InputError::Amend(AmendError::Submit(error))) => {
                submit_numbers(&mut record, error);
            }
            Self::Input(InputError::Report(error) | InputError::Amend(AmendError::Report(error))) => {
                report_numbers(&mut record, error);
            }
            Self::Input(InputError::Worker(error)) => worker_numbers(&mut record, error),
            Self::Input(InputError::Tenant(error)) => tenant_numbers(&mut record, error),
            _ => {}
        }
        record
    }
}

/// The record of a handle on which no call failed yet.
pub(crate) const fn no_error() -> ErrorRecord {
    ErrorRecord {
        struct_size: size_of::<ErrorRecord>() as u32,
        status: Status::Ok as u32,
        request: 0,
        attempt: 0,
        current_attempt: 0,
        state: 0,
        limit: 0,
        scope: 0,
        subject: 0,
        unit: 0,
        pool: 0,
        need: 0,
        max: 0,
        retry_at_ns: 0,
    }
}

fn input_status(error: &InputError) -> Status {
    match error {
        InputError::Submit(error) | InputError::Amend(AmendError::Submit(error)) => submit_status(error),
        InputError::Report(error) | InputError::Amend(AmendError::Report(error)) => report_status(error),
        InputError::Config(_) => Status::ConfigInvalid,
        InputError::Worker(error) => worker_status(error),
        InputError::Tenant(error) => tenant_status(error),
        _ => Status::Unlisted,
    }
}

fn submit_status(error: &SubmitError) -> Status {
    match error {
        SubmitError::UnknownTenant(_) => Status::UnknownTenant,
        SubmitError::UnknownTier { .. } => Status::UnknownTier,
        SubmitError::UnknownPool(_) => Status::UnknownPool,
        SubmitError::ZeroDemand => Status::ZeroDemand,
        SubmitError::NeverFits { .. } => Status::NeverFits,
        SubmitError::QueueFull { .. } => Status::QueueFull,
        SubmitError::TierTooUrgent { .. } => Status::TierTooUrgent,
        SubmitError::NeverAllowed { .. } => Status::NeverAllowed,
        SubmitError::OverQuota { .. } => Status::OverQuota,
        SubmitError::LimitExceeded { .. } => Status::LimitExceeded,
        _ => Status::Unlisted,
    }
}

fn report_status(error: &ReportError) -> Status {
    match error {
        ReportError::UnknownRequest(_) => Status::UnknownRequest,
        ReportError::AlreadyTerminal(_) => Status::AlreadyTerminal,
        ReportError::StaleAttempt { .. } => Status::StaleAttempt,
        ReportError::WrongState { .. } => Status::WrongState,
        ReportError::LimitExceeded { .. } => Status::LimitExceeded,
        _ => Status::Unlisted,
    }
}

fn worker_status(error: &WorkerError) -> Status {
    match error {
        WorkerError::UnknownWorker(_) => Status::UnknownWorker,
        WorkerError::UnknownPool(_) => Status::UnknownPool,
        WorkerError::ZeroCapacity => Status::ZeroCapacity,
        WorkerError::Lost(_) => Status::WorkerLost,
        WorkerError::NotLost(_) => Status::NotLost,
        WorkerError::UnknownDevice(_) => Status::UnknownDevice,
        WorkerError::DeviceLost(_) => Status::DeviceLost,
        WorkerError::BadPart(_) => Status::BadPart,
        WorkerError::SharedAcrossPools { .. } => Status::SharedAcrossPools,
        WorkerError::NotHere { .. } => Status::NotHere,
        WorkerError::Step(error) => report_status(error),
        WorkerError::LimitExceeded { .. } => Status::LimitExceeded,
        _ => Status::Unlisted,
    }
}

const fn tenant_status(error: &TenantError) -> Status {
    match error {
        TenantError::BadName => Status::BadName,
        TenantError::LimitExceeded { .. } => Status::LimitExceeded,
        TenantError::Unknown(_) => Status::UnknownTenant,
        TenantError::Cycle(_) => Status::TenantCycle,
        TenantError::TooDeep(_) => Status::TenantTooDeep,
        TenantError::TooMuch(_) => Status::TenantTooMuch,
        TenantError::Busy(_) => Status::TenantBusy,
        TenantError::GrantTooLarge { .. } => Status::GrantTooLarge,
        TenantError::Policy(_) => Status::PolicyInvalid,
        _ => Status::Unlisted,
    }
}

const fn snapshot_status(error: &SnapshotError) -> Status {
    match error {
        SnapshotError::Format { .. } => Status::SnapshotFormat,
        SnapshotError::OtherShape(_) => Status::SnapshotShape,
        _ => Status::SnapshotDamaged,
    }
}

fn submit_numbers(record: &mut ErrorRecord, error: &SubmitError) {
    match *error {
        SubmitError::UnknownTenant(tenant) => record.subject = tenant.get(),
        SubmitError::UnknownTier { tier, .. } => record.subject = tier.get().into(),
        SubmitError::UnknownPool(pool) => record.subject = pool.get(),
        SubmitError::NeverFits { dimension, need, max } => {
            record.subject = dimension as u32; // at most 4
            record.need = need;
            record.max = max;
        }
        SubmitError::QueueFull { scope, unit, limit } => {
            let (scope, subject) = match scope {
                QueueScope::Tier(tier) => (TidegateScope::Tier, tier.get().into()),
                QueueScope::Tenant(tenant) => (TidegateScope::Tenant, tenant.get()),
                QueueScope::Total => (TidegateScope::Total, 0),
            };
            let unit = match unit {
                QueueUnit::Requests => TidegateUnit::Requests,
                QueueUnit::Tokens => TidegateUnit::Tokens,
            };
            record.scope = scope as u32;
            record.subject = subject;
            record.unit = unit as u32;
            record.max = limit;
        }
        SubmitError::TierTooUrgent { tenant, tier, allowed } => {
            record.subject = tenant.get();
            record.need = tier.get().into();
            record.max = allowed.get().into();
        }
        SubmitError::NeverAllowed { tenant, limit, need, max } => {
            record.subject = tenant.get();
            record.limit = quota_number(limit) as u32;
            record.need = need;
            record.max = max;
        }
        SubmitError::OverQuota { tenant, limit, retry_at } => {
            record.subject = tenant.get();
            record.limit = quota_number(limit) as u32;
            record.retry_at_ns = retry_at.map_or(TIDEGATE_NEVER, Instant::as_nanos);
        }
        SubmitError::LimitExceeded { limit, max } => limit_numbers(record, limit, max),
        _ => {}
    }
}

fn report_numbers(record: &mut ErrorRecord, error: &ReportError) {
    match *error {
        ReportError::UnknownRequest(request) | ReportError::AlreadyTerminal(request) => {
            record.request = request.to_bits();
        }
        ReportError::StaleAttempt { request, attempt, current } => {
            record.request = request.to_bits();
            record.attempt = attempt.get();
            record.current_attempt = current.get();
        }
        ReportError::WrongState { request, state } => {
            record.request = request.to_bits();
            record.state = state_number(state) as u32;
        }
        ReportError::LimitExceeded { limit, max } => limit_numbers(record, limit, max),
        _ => {}
    }
}

fn worker_numbers(record: &mut ErrorRecord, error: &WorkerError) {
    match *error {
        WorkerError::UnknownWorker(worker) | WorkerError::Lost(worker) | WorkerError::NotLost(worker) => {
            record.subject = worker.get();
        }
        WorkerError::UnknownPool(pool) => record.subject = pool.get(),
        WorkerError::UnknownDevice(device)
        | WorkerError::DeviceLost(device)
        | WorkerError::BadPart(device) => record.subject = device.get(),
        WorkerError::SharedAcrossPools { device, pool } => {
            record.subject = device.get();
            record.pool = pool.get();
        }
        WorkerError::NotHere { request, worker } => {
            record.request = request.to_bits();
            record.subject = worker.get();
        }
        WorkerError::Step(ref error) => report_numbers(record, error),
        WorkerError::LimitExceeded { limit, max } => limit_numbers(record, limit, max),
        _ => {}
    }
}

fn tenant_numbers(record: &mut ErrorRecord, error: &TenantError) {
    match *error {
        TenantError::LimitExceeded { limit, max } => limit_numbers(record, limit, max),
        TenantError::Unknown(tenant)
        | TenantError::Cycle(tenant)
        | TenantError::TooDeep(tenant)
        | TenantError::TooMuch(tenant)
        | TenantError::Busy(tenant) => record.subject = tenant.get(),
        TenantError::GrantTooLarge { tenant, wanted, tokens } => {
            record.subject = tenant.get();
            record.need = tokens;
            record.max = wanted;
        }
        _ => {}
    }
}

/// The number of a limit in the header.
pub(crate) const fn quota_number(limit: QuotaLimit) -> TidegateQuota {
    match limit {
        QuotaLimit::Requests => TidegateQuota::Requests,
        QuotaLimit::Tokens => TidegateQuota::Tokens,
        QuotaLimit::Running => TidegateQuota::Running,
        QuotaLimit::Units => TidegateQuota::Units,
    }
}

fn limit_numbers(record: &mut ErrorRecord, limit: Limit, max: u64) {
    let limit = match limit {
        Limit::Units => TidegateLimit::Units,
        Limit::Tokens => TidegateLimit::Tokens,
        Limit::Requests => TidegateLimit::Requests,
        Limit::Devices => TidegateLimit::Devices,
        Limit::DevicesPerWorker => TidegateLimit::DevicesPerWorker,
        Limit::Workers => TidegateLimit::Workers,
        Limit::Tenants => TidegateLimit::Tenants,
        Limit::NameBytes => TidegateLimit::NameBytes,
        Limit::Attempts => TidegateLimit::Attempts,
    };
    record.limit = limit as u32;
    record.max = max;
}

/// The number of a state in the header.
pub(crate) fn state_number(state: RequestState) -> TidegateState {
    match state {
        RequestState::Queued => TidegateState::Queued,
        RequestState::Parked => TidegateState::Parked,
        RequestState::Starting => TidegateState::Starting,
        RequestState::Running => TidegateState::Running,
        RequestState::Preempting => TidegateState::Preempting,
        RequestState::Releasing => TidegateState::Releasing,
        RequestState::Aborting => TidegateState::Aborting,
    }
}
