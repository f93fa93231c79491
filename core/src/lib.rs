//! An embeddable scheduler for LLM inference.
#![doc = include_str!("../README.md")]
//!
//! # What is where
//!
//! | for | names |
//! | --- | --- |
//! | the loop | [`Scheduler`], [`Action`], [`Reason`], [`Instant`], [`Input`] |
//! | a config | [`Config`], [`ConfigBuilder`], [`TierConfig`], [`Order`], [`Placement`], [`Affinity`], [`Preemption`], [`Fallback`], [`StepTime`], [`Reserve`], [`Ppm`], [`Rounding`] |
//! | workers | [`WorkerSpec`], [`WorkerKind`], [`WorkerId`], [`PoolId`], [`DeviceSpec`], [`DevicePart`], [`DeviceId`], [`Sharing`], [`Shrink`], [`Resources`] |
//! | requests | [`RequestSpec`], [`OtherPools`], [`Tier`], [`RequestId`], [`Attempt`], [`Usage`], [`Completion`], [`StepException`], [`Yielding`], [`YieldMode`], [`Decline`], [`Release`], [`Amendment`], [`RequestState`] |
//! | tenants, quota | [`TenantId`], [`TenantPolicy`], [`Rate`], [`QuotaLimit`], [`OverQuota`], [`LeaseTerms`] |
//! | questions | [`Explanation`], [`Gate`], [`Stats`], [`ByReason`], [`ShareWarning`], [`PromptLeft`], [`TenantUsage`], [`QUEUE_DELAY_BUCKETS`], [`MetricsFormat`], [`Created`] |
//! | errors | [`ConfigError`], [`ConfigFault`], [`TenantError`], [`WorkerError`], [`SubmitError`], [`Limit`], [`QueueScope`], [`QueueUnit`], [`AmendError`], [`ReportError`], [`InputError`], [`InvariantViolation`] |
//! | bounds | [`MAX_BURST`], [`MAX_DEVICES`], [`MAX_DEVICES_PER_WORKER`], [`MAX_DIMENSIONS`], [`MAX_LEASED_PERIOD_NS`], [`MAX_LEASED_TOKENS`], [`MAX_NAME_BYTES`], [`MAX_POOLS`], [`MAX_POOLS_PER_REQUEST`], [`MAX_PREFIX_BLOCKS`], [`MAX_REQUESTS`], [`MAX_TENANT_DEPTH`], [`MAX_TIERS`], [`MAX_TOKENS`], [`MAX_TOKEN_COST`], [`MAX_UNITS`], [`MAX_WORKERS`] |
#![cfg_attr(
    feature = "toml",
    doc = "| journals | [`Journal`], [`Recorder`], [`Entry`], [`Replay`], [`Digest`], [`JournalError`], [`JournalFault`] |"
)]
#![cfg_attr(feature = "snapshot", doc = "| a restart | [`SnapshotError`] |")]
#![cfg_attr(
    feature = "sync",
    doc = "| many threads | [`SharedScheduler`], [`Ticket`], [`Outcome`], [`SharedError`] |"
)]
//!
//! # What may grow
//!
//! What a host has to answer is closed: an `Action`, a verb, a state or a limit more comes with a major version, so that no host
//! passes over it unseen. What it only reads is open, and marked `#[non_exhaustive]`: errors, reasons, gates and counters, but
//! for `ConfigError`, which readers of other files make too, and `ShareWarning`. What it fills in is made by `new` or `default`, and may get a field more: end a
//! literal with `..` and one of them; but for `Completion`, `StepException` and `PromptLeft`, which are closed.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod brief;
mod capacity;
mod config;
mod error;
mod event;
mod exposition;
mod fairness;
mod fault;
mod forecast;
mod heap;
mod id;
#[cfg(feature = "toml")]
mod journal;
mod list;
mod marks;
mod maxima;
mod meter;
mod metrics;
mod packed;
mod placement;
mod preempt;
mod prefix_index;
mod queue;
mod quota;
mod request;
mod resources;
mod scheduler;
mod share;
mod slab;
#[cfg(feature = "snapshot")]
mod snapshot;
mod step_plan;
#[cfg(feature = "sync")]
mod sync;
mod tenant;
mod time;
mod tree;

pub use config::{
    Affinity, Config, ConfigBuilder, Fallback, LeaseTerms, MAX_NAME_BYTES, MAX_POOLS, MAX_PREFIX_BLOCKS,
    MAX_TIERS, MAX_TOKEN_COST, Order, Placement, Preemption, StepTime, TierConfig,
};
pub use error::{
    AmendError, InputError, InvariantViolation, Limit, QueueScope, QueueUnit, ReportError, SubmitError,
    TenantError, WorkerError,
};
pub use event::{
    Action, Amendment, Completion, Decline, DevicePart, DeviceSpec, Input, MAX_DEVICES_PER_WORKER, Reason,
    Release, Sharing, Shrink, StepException, WorkerKind, WorkerSpec, YieldMode,
};
pub use exposition::MetricsFormat;
pub use fault::{ConfigError, ConfigFault};
pub use id::{Attempt, DeviceId, PoolId, RequestId, TenantId, Tier, WorkerId};
#[cfg(feature = "toml")]
pub use journal::{Digest, Entry, Journal, JournalError, JournalFault, Recorder, Replay};
pub use meter::{QUEUE_DELAY_BUCKETS, TenantUsage};
pub use request::{MAX_POOLS_PER_REQUEST, OtherPools, RequestSpec, RequestState, Usage, Yielding};
pub use resources::{MAX_DIMENSIONS, MAX_UNITS, Resources};
pub use scheduler::{
    ByReason, Created, Explanation, Gate, MAX_DEVICES, MAX_REQUESTS, MAX_TOKENS, MAX_WORKERS, PromptLeft,
    Scheduler, ShareWarning, Stats,
};
pub use share::{Ppm, Reserve, Rounding};
#[cfg(feature = "snapshot")]
pub use snapshot::SnapshotError;
#[cfg(feature = "sync")]
pub use sync::{Outcome, SharedError, SharedScheduler, Ticket};
pub use tenant::{
    MAX_BURST, MAX_LEASED_PERIOD_NS, MAX_LEASED_TOKENS, MAX_TENANT_DEPTH, OverQuota, QuotaLimit, Rate,
    TenantPolicy,
};
pub use time::Instant;

/// The programs of the guide compile.
#[cfg(doctest)]
#[doc = include_str!("../GUIDE.md")]
struct Guide;
