//! tidegate decides which LLM inference request runs now, which waits, and which yields.
//!
//! A [`Scheduler`] is a state machine without IO, clock, threads or randomness: the host tells it what
//! happens (verbs), asks what to do ([`Scheduler::poll`]), and passes the time with every call. The same
//! config and the same inputs give the same actions, byte for byte, on every platform.
#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod capacity;
mod config;
mod error;
mod event;
mod heap;
mod id;
mod list;
mod placement;
mod preempt;
mod queue;
mod request;
mod resources;
mod scheduler;
mod share;
mod slab;
mod time;

pub use config::{
    Config, ConfigBuilder, ConfigError, ConfigFault, MAX_NAME_BYTES, MAX_POOLS, MAX_TIERS, Placement,
    Preemption, TierConfig,
};
pub use error::{
    InputError, InvariantViolation, Limit, QueueScope, ReportError, SubmitError, TenantError, WorkerError,
};
pub use event::{Action, Decline, Input, Reason, WorkerSpec, YieldMode};
pub use id::{Attempt, PoolId, RequestId, TenantId, Tier, WorkerId};
#[cfg(feature = "toml")]
mod journal;
#[cfg(feature = "toml")]
pub use journal::{Digest, Entry, Journal, JournalError, JournalFault, Recorder, Replay};
pub use request::{RequestSpec, RequestState, Usage, Yielding};
pub use resources::{MAX_DIMENSIONS, MAX_UNITS, Resources};
pub use scheduler::{Created, MAX_REQUESTS, MAX_TOKENS, MAX_WORKERS, Scheduler, Stats};
pub use share::{Ppm, Rounding};
pub use time::Instant;
