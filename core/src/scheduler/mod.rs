//! skeleton
use crate::*;
use crate::error::*;
/// TODO
pub const MAX_REQUESTS: u64 = 1 << 22;
/// TODO
pub const MAX_TOKENS: u64 = 1 << 40;
/// TODO
pub const MAX_WORKERS: u64 = 1 << 16;
/// What `apply` made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created { /// Nothing.
 Nothing, /// A tenant.
 Tenant(TenantId), /// A worker.
 Worker(WorkerId), /// A request.
 Request(RequestId) }
/// Counters since the start; never reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests accepted.
    pub submitted: u64,
    /// Requests that completed.
    pub completed: u64,
    /// Requests that the engine or a decline limit failed, aborted ones included.
    pub failed: u64,
    /// Requests that the host cancelled.
    pub cancelled: u64,
    /// Waiting requests that the scheduler dropped.
    pub dropped: u64,
    /// Requests that have not ended.
    pub live: u64,
    /// Calls whose `now` was earlier than one before.
    pub clock_regressions: u64,
    /// Actions by their reason: `by_reason[reason as usize]`; index 0 is unused.
    pub by_reason: [u64; Reason::ALL.len() + 1],
}
/// The scheduler.
#[derive(Debug)]
pub struct Scheduler { config: Config }
#[allow(unused_variables)]
impl Scheduler {
    /// TODO
    pub fn new(config: Config, now: Instant) -> Self { todo!() }
    /// TODO
    pub fn config(&self) -> &Config { todo!() }
    /// TODO
    pub fn tenant_set(&mut self, now: Instant, name: &str) -> Result<TenantId, TenantError> { todo!() }
    /// TODO
    pub fn worker_add(&mut self, now: Instant, spec: WorkerSpec) -> Result<WorkerId, WorkerError> { todo!() }
    /// TODO
    pub fn worker_drain(&mut self, now: Instant, worker: WorkerId) -> Result<(), WorkerError> { todo!() }
    /// TODO
    pub fn worker_lost(&mut self, now: Instant, worker: WorkerId) -> Result<(), WorkerError> { todo!() }
    /// TODO
    pub fn submit(&mut self, now: Instant, spec: RequestSpec) -> Result<RequestId, SubmitError> { todo!() }
    /// TODO
    pub fn cancel(&mut self, now: Instant, request: RequestId) -> Result<(), ReportError> { todo!() }
    /// TODO
    pub fn started(&mut self, now: Instant, request: RequestId, attempt: Attempt, cached_tokens: u64, in_use: Resources) -> Result<(), ReportError> { todo!() }
    /// TODO
    pub fn declined(&mut self, now: Instant, request: RequestId, attempt: Attempt, why: Decline) -> Result<(), ReportError> { todo!() }
    /// TODO
    pub fn progress(&mut self, now: Instant, request: RequestId, attempt: Attempt, output_tokens: u64, in_use: Resources) -> Result<(), ReportError> { todo!() }
    /// TODO
    pub fn preempted(&mut self, now: Instant, request: RequestId, attempt: Attempt, tokens_kept: u64, releasing: bool) -> Result<(), ReportError> { todo!() }
    /// TODO
    pub fn released(&mut self, now: Instant, request: RequestId, attempt: Attempt) -> Result<(), ReportError> { todo!() }
    /// TODO
    pub fn complete(&mut self, now: Instant, request: RequestId, attempt: Attempt, usage: Usage) -> Result<(), ReportError> { todo!() }
    /// TODO
    pub fn failed(&mut self, now: Instant, request: RequestId, attempt: Attempt) -> Result<(), ReportError> { todo!() }
    /// TODO
    pub fn apply(&mut self, now: Instant, input: &Input) -> Result<Created, InputError> { todo!() }
    /// TODO
    pub fn poll(&mut self, now: Instant) -> Option<Action> { todo!() }
    /// TODO
    pub fn poll_timeout(&self) -> Option<Instant> { todo!() }
    /// TODO
    pub fn state(&self, request: RequestId) -> Result<RequestState, ReportError> { todo!() }
    /// TODO
    pub fn queue_depth(&self, tier: Tier) -> usize { todo!() }
    /// TODO
    pub fn effective_reserve(&self, pool: PoolId, tier: Tier) -> Option<Resources> { todo!() }
    /// TODO
    pub fn in_use(&self, pool: PoolId, tier: Tier) -> Option<Resources> { todo!() }
    /// TODO
    pub fn waiting_demand(&self, pool: PoolId, tier: Tier) -> Option<Resources> { todo!() }
    /// TODO
    pub fn stats(&self) -> Stats { todo!() }
    /// TODO
    pub fn check_invariants(&self) -> Result<(), InvariantViolation> { todo!() }
}
