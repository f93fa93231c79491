//! The types of the header besides the status: enums, input structs, records that the library fills.
//!
//! No struct has implicit padding, so that a record is the same bytes wherever it was made. A struct grows
//! at its end only; `Versioned::V1` is its size when it was first published.

/// The version of the ABI that this header describes; tidegate_abi_version() says what the library is. It
/// rises when something that compiled and ran before would not any more.
pub const TIDEGATE_ABI_VERSION: u32 = 1;

/// Numbers of a resource vector, in the order of the config's dimensions; the last ones are 0 where the
/// config names fewer.
pub const TIDEGATE_DIMENSIONS: usize = 4;

/// Pools that a request may name besides the one it prefers.
pub const TIDEGATE_OTHER_POOLS: usize = 3;

/// Counters in tidegate_tenant_usage_t.queue_delays.
pub const TIDEGATE_QUEUE_DELAY_BUCKETS: usize = 24;

/// Counters in tidegate_stats_t.by_reason: more than there are reasons today.
pub const TIDEGATE_STATS_REASONS: usize = 64;

/// The most calls that the intake of a shared scheduler may have room for; chosen arbitrarily.
pub const TIDEGATE_MAX_INTAKE: usize = 65536;

/// An instant that never comes: there is nothing to wake up for.
pub const TIDEGATE_NEVER: u64 = u64::MAX;

/// tidegate_request_spec_t.flags: output_tokens is set.
pub const TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS: u32 = 1;

/// tidegate_request_spec_t.flags: queue_timeout_ns is set; without it the tier's holds.
pub const TIDEGATE_REQUEST_HAS_QUEUE_TIMEOUT: u32 = 2;

/// tidegate_request_spec_t.flags: deadline_ns is set.
pub const TIDEGATE_REQUEST_HAS_DEADLINE: u32 = 4;

/// tidegate_device_spec_t.flags: checkpoint_mib is set; without it checkpoints may take any amount.
pub const TIDEGATE_DEVICE_HAS_CHECKPOINT_MIB: u32 = 1;

/// tidegate_worker_spec_t.flags: it stands by until another of its pool is lost by a fault, and then takes that
/// one's place for good; who replaces that one stands by.
pub const TIDEGATE_WORKER_IS_SPARE: u32 = 1;

/// tidegate_worker_spec_t.flags: replaces is set.
pub const TIDEGATE_WORKER_REPLACES: u32 = 2;

/// tidegate_amendment_t.flags: demand is set.
pub const TIDEGATE_AMEND_DEMAND: u32 = 1;

/// tidegate_amendment_t.flags: peak is set.
pub const TIDEGATE_AMEND_PEAK: u32 = 2;

/// tidegate_amendment_t.flags: tier is set.
pub const TIDEGATE_AMEND_TIER: u32 = 4;

/// tidegate_amendment_t.flags: deadline_ns is set.
pub const TIDEGATE_AMEND_DEADLINE: u32 = 8;

/// tidegate_tenant_policy_t.flags: parent is set; without it the tenant stands at the top.
pub const TIDEGATE_TENANT_HAS_PARENT: u32 = 1;

/// tidegate_tenant_policy_t.flags: requests is set.
pub const TIDEGATE_TENANT_HAS_REQUESTS: u32 = 2;

/// tidegate_tenant_policy_t.flags: tokens is set.
pub const TIDEGATE_TENANT_HAS_TOKENS: u32 = 4;

/// tidegate_tenant_policy_t.flags: what comes in a period is shared with other replicas: it begins with nothing,
/// and gets what their common store grants.
pub const TIDEGATE_TENANT_LEASED: u32 = 8;

/// tidegate_tenant_policy_t.flags: max_running is set.
pub const TIDEGATE_TENANT_HAS_MAX_RUNNING: u32 = 16;

/// tidegate_tenant_policy_t.flags: queue_limit is set.
pub const TIDEGATE_TENANT_HAS_QUEUE_LIMIT: u32 = 32;

/// tidegate_tenant_policy_t.flags: queue_token_limit is set.
pub const TIDEGATE_TENANT_HAS_QUEUE_TOKEN_LIMIT: u32 = 64;

/// tidegate_tenant_policy_t.flags: a request that needs more than a whole burst may start when the burst is full,
/// and leave a debt; without, it is refused for ever.
pub const TIDEGATE_TENANT_ALLOW_WHEN_FULL: u32 = 128;

/// What an action asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateAction {
    /// Start the request on the worker. Answer with started, progress, declined, or an end.
    Start = 1,
    /// Stop the request. Answer with preempted, or with its end if it ended first.
    Preempt = 2,
    /// A PREEMPT is taken back: go on if it has not stopped yet, else answer as to the PREEMPT.
    Spare = 3,
    /// Stop the running request and answer its client with an error; report failed when it stopped.
    Abort = 4,
    /// The request has ended and runs nowhere; answer its client. Nothing is to be reported.
    Drop = 5,
    /// The victim was not reported stopped in time; its units stay counted as used.
    Stuck = 6,
    /// Ask the store that replicas share, and answer with lease_granted. The same seq is the same wish, said again
    /// because it was not answered.
    LeaseWanted = 7,
    /// The worker went with another that the host said is lost: nothing runs there any more, end what is left of it. Nothing
    /// is to be reported.
    AlsoLost = 8,
}

/// Why the scheduler wants what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateReason {
    /// START: within the tier's reserve.
    Guaranteed = 1,
    /// START: beyond the tier's reserve, on what nobody holds.
    Borrowed = 2,
    /// START: on units that were reclaimed for it.
    Reclaimed = 3,
    /// PREEMPT: the beneficiary is within its tier's reserve.
    Reclaim = 4,
    /// PREEMPT: the beneficiary's tier may preempt while it borrows.
    Urgent = 5,
    /// PREEMPT or ABORT: the worker has less memory than its requests use.
    OutOfMemory = 6,
    /// SPARE: the units are no longer needed.
    NotNeeded = 7,
    /// DROP: it waited longer than its queue timeout.
    QueueTimeout = 8,
    /// DROP: a more urgent request needed its place in the queue.
    Displaced = 9,
    /// DROP: engines declined it three times in a row.
    Declined = 10,
    /// DROP or ABORT: it has outgrown every worker there is, or the one that it has to itself.
    NeverFits = 11,
    /// DROP: its worker was lost, and it cannot run twice. ALSO_LOST: another on its devices was.
    WorkerLost = 12,
    /// STUCK: the victim was not reported stopped in time.
    Unconfirmed = 13,
    /// LEASE_WANTED: somebody waits for it, or was refused it a while ago.
    LeaseNeeded = 14,
    /// LEASE_WANTED: what is used in a while is half gone.
    LeaseAhead = 15,
    /// LEASE_WANTED: more was used than was granted.
    LeaseOwed = 16,
    /// LEASE_WANTED: what nobody uses goes back.
    LeaseIdle = 17,
    /// PREEMPT: its worker is saturated and another idle, where it goes on.
    Rebalance = 18,
}

/// What the engine can do with a request that has to yield; and, in an action, how it is to yield.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateYield {
    /// Throw away what was computed.
    Restart = 0,
    /// Keep what was computed, as far as the engine can.
    Checkpoint = 1,
    /// Nothing: once started it runs to its end. Never in an action.
    Never = 2,
}

/// Why an engine did not take a request that it was told to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateDecline {
    /// Anything that the others do not name.
    Other = 0,
    /// It had no room after all.
    NoRoom = 1,
    /// It is not ready (loading, reloading, draining).
    NotReady = 2,
}

/// What becomes of use beyond the capacity when a worker or a device shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateShrink {
    /// Nothing is stopped; nothing more starts until there is room.
    Drain = 0,
    /// What is still too much after some time is stopped.
    Preempt = 1,
}

/// How a worker shares its devices with others: what is its own, and what the others feel of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateWorkerKind {
    /// It has its devices to itself, or nothing is said of how it shares them.
    Dedicated = 0,
    /// A replica of a device whose processes take turns: compute and memory are shared.
    TimeSlice = 1,
    /// A client of a device's Multi-Process Service: compute, memory and faults are shared. One that is lost takes
    /// the others on its devices along.
    Mps = 2,
    /// An instance that the hardware cut off: nothing is shared.
    Mig = 3,
}

/// In which text format metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateMetricsFormat {
    /// OpenMetrics 1.0.
    OpenMetrics = 0,
    /// Prometheus' own, version 0.0.4.
    Prometheus = 1,
}

/// What holds a waiting request back: the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateGate {
    /// Nothing: it runs, or starts when polled.
    None = 0,
    /// It is parked: no worker that is up, or no share of what is up, can hold it.
    NoWorker = 1,
    /// Its claim waits for victims to give back their units.
    Claim = 2,
    /// It stopped or was declined in this round, and is offered again in the next.
    Round = 3,
    /// Its tier would be beyond its reserve and its borrow limit.
    BorrowLimit = 4,
    /// It never yields, and would put reserves out of reach.
    NeverYields = 5,
    /// What is free is held for other tiers, or is not there.
    Held = 6,
    /// No worker has room for it.
    Room = 7,
    /// The workers that have room are kept clear of it: declined by them, or drained for others.
    Excluded = 8,
    /// Its tenant, or one above, has no quota for it now, or others wait for it before.
    Quota = 9,
    /// It waits a while for a worker that has its prompt in the cache and no room now.
    Warmth = 10,
    /// It is parked, and the workers that could hold it are kept out for a while: they were lost again and again.
    KeptOut = 11,
}

/// What becomes of a request whose tenant is over its quota when it is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateOverQuota {
    /// It waits until there is quota.
    Wait = 0,
    /// It is refused, and told when to come again.
    Reject = 1,
    /// It goes to the next less urgent tier, and waits there for quota, which is the tenant's and not the tier's.
    Demote = 2,
}

/// The limit of a tenant that TIDEGATE_STATUS_NEVER_ALLOWED or TIDEGATE_STATUS_OVER_QUOTA is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateQuota {
    /// Requests started per period.
    Requests = 1,
    /// Tokens per period.
    Tokens = 2,
    /// Requests that run at once.
    Running = 3,
    /// Units that are in use at once.
    Units = 4,
}

/// Where a live request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateState {
    /// It waits for a start.
    Queued = 1,
    /// It waits, and no worker that is up could hold it.
    Parked = 2,
    /// START was given, and the engine has not reported yet.
    Starting = 3,
    /// The engine runs it.
    Running = 4,
    /// PREEMPT was given; its units count as used until the engine reports it stopped.
    Preempting = 5,
    /// It stopped, and its units are still to be released.
    Releasing = 6,
    /// ABORT was given; its units count as used until the engine reports it stopped.
    Aborting = 7,
}

/// What TIDEGATE_STATUS_LIMIT_EXCEEDED is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateLimit {
    /// Units of one dimension.
    Units = 1,
    /// Tokens of one request.
    Tokens = 2,
    /// Live requests.
    Requests = 3,
    /// Workers ever added.
    Workers = 4,
    /// Tenants known.
    Tenants = 5,
    /// Bytes of a name.
    NameBytes = 6,
    /// Starts of one request.
    Attempts = 7,
    /// Devices ever added.
    Devices = 8,
    /// Devices of one worker.
    DevicesPerWorker = 9,
}

/// Whose queue TIDEGATE_STATUS_QUEUE_FULL is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateScope {
    /// The tier's.
    Tier = 1,
    /// The tenant's.
    Tenant = 2,
    /// The scheduler's.
    Total = 3,
}

/// What TIDEGATE_STATUS_QUEUE_FULL counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateUnit {
    /// Requests.
    Requests = 1,
    /// Prompt and expected output tokens.
    Tokens = 2,
}

/// How much of something comes in a period, and how much of it can be saved up: 24 bytes in every version.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RateInput {
    /// What comes in a period, evenly; 0 for nothing ever.
    pub amount: u64,
    /// The period in nanoseconds, at least 1.
    pub period_ns: u64,
    /// The most that is saved up, at most 2^62.
    pub burst: u64,
}

/// What a tenant may do; its limits hold for all that is below it in the tree together. Begin with
/// TIDEGATE_TENANT_POLICY_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TenantPolicyInput {
    /// sizeof(tidegate_tenant_policy_t).
    pub struct_size: u32,
    /// TIDEGATE_TENANT_HAS_... of the optional fields below that are set, TIDEGATE_TENANT_LEASED,
    /// TIDEGATE_TENANT_ALLOW_WHEN_FULL.
    pub flags: u32,
    /// The tenant above it; read only with TIDEGATE_TENANT_HAS_PARENT.
    pub parent: u32,
    /// Its part among the tenants of a tier, in proportion to the weights of the others; 0 is served when nobody
    /// else wants.
    pub weight: u32,
    /// The most urgent tier that it may use.
    pub most_urgent: u32,
    /// What becomes of a request that is over a limit when it is submitted: a tidegate_over_quota_t.
    pub over_quota: u32,
    /// Requests that may start per period; read only with TIDEGATE_TENANT_HAS_REQUESTS.
    pub requests: RateInput,
    /// Tokens that may be used per period; read only with TIDEGATE_TENANT_HAS_TOKENS.
    pub tokens: RateInput,
    /// Units that may be in use at once; 0 is no limit.
    pub max_in_use: [u64; TIDEGATE_DIMENSIONS],
    /// Requests that may run at once; read only with TIDEGATE_TENANT_HAS_MAX_RUNNING.
    pub max_running: u64,
    /// Requests that may wait; read only with TIDEGATE_TENANT_HAS_QUEUE_LIMIT.
    pub queue_limit: u64,
    /// Prompt and expected output tokens of the requests that may wait; read only with
    /// TIDEGATE_TENANT_HAS_QUEUE_TOKEN_LIMIT.
    pub queue_token_limit: u64,
}

/// A request as the host submits it. Begin with TIDEGATE_REQUEST_SPEC_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RequestInput {
    /// sizeof(tidegate_request_spec_t).
    pub struct_size: u32,
    /// Who asks: from tidegate_scheduler_tenant_set.
    pub tenant: u32,
    /// How urgent it is: 0 is the most urgent tier of the config.
    pub tier: u32,
    /// The workers that can serve it: a pool, counted from 0 in the order of the config.
    pub pool: u32,
    /// What the engine can do when it has to yield: a tidegate_yield_t.
    pub yielding: u32,
    /// TIDEGATE_REQUEST_HAS_... of the optional fields below that are set.
    pub flags: u32,
    /// Units it takes when it starts.
    pub demand: [u64; TIDEGATE_DIMENSIONS],
    /// Units it is expected to take when it is largest; where smaller than demand, demand counts.
    pub peak: [u64; TIDEGATE_DIMENSIONS],
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens it is expected to generate; read only with TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS.
    pub output_tokens: u64,
    /// How long it may wait for its first start; read only with TIDEGATE_REQUEST_HAS_QUEUE_TIMEOUT.
    pub queue_timeout_ns: u64,
    /// Anything the host wants to find again in a journal; never read.
    pub tag: u64,
    /// How many tokens of the prompt an engine has in its cache, if that is known.
    pub cached_tokens: u64,
    /// When its answer is wanted; read only with TIDEGATE_REQUEST_HAS_DEADLINE. It orders a tier; nothing is
    /// dropped for it.
    pub deadline_ns: u64,
    /// How many of other_pools are set, at most TIDEGATE_OTHER_POOLS.
    pub other_pools_count: u32,
    /// Pools that can serve it besides the one it prefers, in order of preference. It starts in the first where it can at
    /// once; else it waits in the first that can hold it.
    pub other_pools: [u32; TIDEGATE_OTHER_POOLS],
}

/// A worker as the host describes it: anything that runs requests. Begin with TIDEGATE_WORKER_SPEC_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct WorkerInput {
    /// sizeof(tidegate_worker_spec_t).
    pub struct_size: u32,
    /// The pool it belongs to, counted from 0 in the order of the config.
    pub pool: u32,
    /// Units it has.
    pub capacity: [u64; TIDEGATE_DIMENSIONS],
    /// A tidegate_worker_kind_t: how it shares its devices.
    pub kind: u32,
    /// TIDEGATE_WORKER_... that hold of it.
    pub flags: u32,
    /// The lost worker of its pool that it stands in for; read only with TIDEGATE_WORKER_REPLACES. Of one that was lost
    /// again and again it is kept out for a while.
    pub replaces: u32,
    /// Zero.
    pub reserved: u32,
}

/// A device as the host describes it: what fails as one, and may have less than its workers advertise. Begin
/// with TIDEGATE_DEVICE_SPEC_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DeviceInput {
    /// sizeof(tidegate_device_spec_t).
    pub struct_size: u32,
    /// TIDEGATE_DEVICE_HAS_... of the optional fields below that are set.
    pub flags: u32,
    /// Units that all workers on it may use together; 0 is no limit.
    pub limit: [u64; TIDEGATE_DIMENSIONS],
    /// How much memory checkpoints made on it may take, in MiB; read only with
    /// TIDEGATE_DEVICE_HAS_CHECKPOINT_MIB.
    pub checkpoint_mib: u64,
}

/// The part of one device that a worker takes: 8 bytes in every version.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DevicePartInput {
    /// The device.
    pub device: u32,
    /// How much of each unit used on the worker is used on the device, in parts per million: 1000000 for a
    /// slice of one device, 500000 for a worker that spans two.
    pub part_ppm: u32,
}

/// What changes of a live request. Begin with TIDEGATE_AMENDMENT_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AmendmentInput {
    /// sizeof(tidegate_amendment_t).
    pub struct_size: u32,
    /// TIDEGATE_AMEND_... of the fields below that change; the others are not read.
    pub flags: u32,
    /// How urgent it is.
    pub tier: u32,
    /// 0.
    pub reserved: u32,
    /// Units of its next start.
    pub demand: [u64; TIDEGATE_DIMENSIONS],
    /// Units it is expected to take when it is largest.
    pub peak: [u64; TIDEGATE_DIMENSIONS],
    /// When its answer is wanted.
    pub deadline_ns: u64,
}

/// What one request on a worker reports of a step: 64 bytes in every version.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StepExceptionInput {
    /// The request.
    pub request: u64,
    /// Tokens generated so far.
    pub output_tokens: u64,
    /// Units it takes now.
    pub in_use: [u64; TIDEGATE_DIMENSIONS],
    /// Its attempt.
    pub attempt: u32,
    /// 0.
    pub reserved: [u32; 3],
}

/// The end of one request of many: 64 bytes in every version.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CompletionInput {
    /// The request.
    pub request: u64,
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the prompt that the engine found in its cache.
    pub cached_tokens: u64,
    /// Tokens generated.
    pub output_tokens: u64,
    /// Its attempt.
    pub attempt: u32,
    /// 0.
    pub reserved: [u32; 7],
}

/// Tokens of a request's prompt, those left to compute or those to compute in the next step: 16 bytes in
/// every version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PromptRecord {
    /// A request on the worker.
    pub request: u64,
    /// Tokens.
    pub tokens: u64,
}

/// What a request used. Begin with TIDEGATE_USAGE_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct UsageInput {
    /// sizeof(tidegate_usage_t).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the prompt that the engine found in its cache.
    pub cached_tokens: u64,
    /// Tokens generated.
    pub output_tokens: u64,
}

/// One wish of the scheduler: 64 bytes in every version. Fields that its kind does not use are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ActionRecord {
    /// The request it speaks of; of PREEMPT, SPARE and STUCK the victim; 0 of LEASE_WANTED and ALSO_LOST.
    pub request: u64,
    /// PREEMPT: the waiting request that needs the units; 0 under memory pressure. LEASE_WANTED: its seq.
    /// ALSO_LOST: the worker whose fault took it along.
    pub beneficiary: u64,
    /// PREEMPT: when STUCK follows if no answer came. LEASE_WANTED: how many go back, as an int64_t: below zero, a
    /// debt.
    pub confirm_by_ns: u64,
    /// START: tokens of context that the engine kept when it last stopped; 0 begins anew. LEASE_WANTED: how many more
    /// are wanted.
    pub resume_tokens: u64,
    /// What to do: a tidegate_action_kind_t. Ignore kinds that you do not know.
    pub kind: u32,
    /// Why: a tidegate_reason_t.
    pub reason: u32,
    /// The number of the start that it speaks of; reports carry it. 0 for DROP, LEASE_WANTED and ALSO_LOST.
    pub attempt: u32,
    /// START: where. ALSO_LOST: which is lost too.
    pub worker: u32,
    /// PREEMPT: how it is to yield, a tidegate_yield_t.
    pub mode: u32,
    /// LEASE_WANTED: whose limit.
    pub tenant: u32,
    /// LEASE_WANTED: which, a tidegate_quota_t.
    pub limit: u32,
    /// 0.
    pub reserved: u32,
}

/// Counters since the start; never reset. Begin with TIDEGATE_STATS_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StatsRecord {
    /// sizeof(tidegate_stats_t).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Requests accepted: always the sum of the five below.
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
    /// Calls whose now_ns was earlier than one before; they counted as no time passed.
    pub clock_regressions: u64,
    /// Sets of victims that were chosen for an attempt that had one already.
    pub further_sets: u64,
    /// Claims that a more urgent request took units of.
    pub takeovers: u64,
    /// Sets of victims for which the finish test was waived.
    pub waived_finish_test: u64,
    /// Sets of victims for which min_run was waived.
    pub waived_min_run: u64,
    /// Sets of victims for which max_preemptions was waived.
    pub waived_max_preemptions: u64,
    /// Victims whose tier came below its reserve with them.
    pub straddles: u64,
    /// Actions by their reason, indexed by tidegate_reason_t.
    pub by_reason: [u64; TIDEGATE_STATS_REASONS],
}

/// A number of 128 bits: high times 2^64, and low.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct WideNumber {
    /// The lower 64 bits.
    pub low: u64,
    /// The upper 64 bits.
    pub high: u64,
}

/// What a tenant has used since it was made known, and what it has now: of its own requests, not of tenants below it.
/// Begin with TIDEGATE_TENANT_USAGE_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TenantUsageRecord {
    /// sizeof(tidegate_tenant_usage_t).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Requests accepted: always the sum of completed, failed, cancelled, dropped, waiting and running.
    pub submitted: u64,
    /// Requests that were started at least once, declined starts included: the sum of queue_delays.
    pub started: u64,
    /// Requests that completed.
    pub completed: u64,
    /// Requests that failed, as tidegate_stats_t counts them.
    pub failed: u64,
    /// Requests that the host cancelled.
    pub cancelled: u64,
    /// Waiting requests that timed out or were displaced.
    pub dropped: u64,
    /// Requests that wait now, parked ones included.
    pub waiting: u64,
    /// Requests on a worker now, those that are to stop or release their units included.
    pub running: u64,
    /// Tokens of the prompts of those that ended: as _complete told; of others that have run, by their specs.
    pub prompt_tokens: u64,
    /// What of them was found in a cache: as _complete told; of others that have run, as _started told at first.
    pub cached_tokens: u64,
    /// Tokens generated by those that ended: as _complete told; of others, what they had reported.
    pub output_tokens: u64,
    /// Tokens of quota that its requests hold now.
    pub held_tokens: u64,
    /// Tokens that were held and came back unused.
    pub refunded_tokens: u64,
    /// Tokens that were charged beyond what was held.
    pub debt_tokens: u64,
    /// How often its requests stopped because they were asked to, for others that wait.
    pub preemptions: u64,
    /// How often they stopped because they were asked to, for memory.
    pub memory_preemptions: u64,
    /// Tokens of context that have to be computed again because requests stopped, or their worker was lost.
    pub lost_tokens: u64,
    /// Units in use now.
    pub in_use: [u64; TIDEGATE_DIMENSIONS],
    /// Units in use, times the nanoseconds they were: exact.
    pub unit_ns: [WideNumber; TIDEGATE_DIMENSIONS],
    /// What of unit_ns its tiers borrowed, spread over all that they use; rounded down, by less than a part in 2^32
    /// of unit_ns and 1.
    pub borrowed_unit_ns: [WideNumber; TIDEGATE_DIMENSIONS],
    /// How many of those that were started had waited how long before: bucket i counts delays below 2^i ms that no
    /// bucket before it counts, the last all others.
    pub queue_delays: [u64; TIDEGATE_QUEUE_DELAY_BUCKETS],
}

/// Why a request is where it is. Begin with TIDEGATE_EXPLANATION_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ExplanationRecord {
    /// sizeof(tidegate_explanation_t).
    pub struct_size: u32,
    /// Where it stands: a tidegate_state_t.
    pub state: u32,
    /// What holds it back: a tidegate_gate_t.
    pub gate: u32,
    /// 0.
    pub reserved: u32,
    /// Requests of its tier and pool that are offered a start before it.
    pub ahead: u64,
    /// When it may start, if starts of its tier go on as the last ones did; TIDEGATE_NEVER if it runs, or none
    /// is known.
    pub starts_at_ns: u64,
    /// The pool where it waits or runs.
    pub pool: u32,
    /// How many of other_pools are set.
    pub other_pools_count: u32,
    /// The other pools that may start it, in the order of its preference; none while it runs, or is bound to its own.
    pub other_pools: [u32; TIDEGATE_OTHER_POOLS],
    /// 0.
    pub reserved_too: u32,
}

/// A reserve that came out more than ten points off what was asked for: 32 bytes in every version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ShareWarningRecord {
    /// Where.
    pub pool: u32,
    /// Whose.
    pub tier: u32,
    /// The place of the dimension in every resource vector.
    pub dimension: u32,
    /// What the config asks for, in parts per million of the present capacity.
    pub asked_ppm: u32,
    /// What the tier has, likewise.
    pub effective_ppm: u32,
    /// 0.
    pub reserved: [u32; 3],
}

/// The numbers of an error. Fields that its status does not use are 0. Begin with TIDEGATE_ERROR_INIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ErrorRecord {
    /// sizeof(tidegate_error_t).
    pub struct_size: u32,
    /// A tidegate_status_t; TIDEGATE_STATUS_OK if no call failed yet.
    pub status: u32,
    /// The request it is about.
    pub request: u64,
    /// STALE_ATTEMPT: the attempt reported.
    pub attempt: u32,
    /// STALE_ATTEMPT: the attempt that the request is at.
    pub current_attempt: u32,
    /// WRONG_STATE: where the request stands, a tidegate_state_t.
    pub state: u32,
    /// LIMIT_EXCEEDED: which, a tidegate_limit_t. NEVER_ALLOWED and OVER_QUOTA: which, a tidegate_quota_t.
    pub limit: u32,
    /// QUEUE_FULL: whose, a tidegate_scope_t.
    pub scope: u32,
    /// NEVER_FITS: the dimension. QUEUE_FULL: the tier or the tenant. UNKNOWN_..., ..._LOST, BAD_PART,
    /// SHARED_ACROSS_POOLS and NOT_HERE: the number of the tenant, tier, pool, worker or device.
    /// TIER_TOO_URGENT, TENANT_... and GRANT_TOO_LARGE: the tenant. NEVER_ALLOWED and OVER_QUOTA: the tenant whose limit it is.
    pub subject: u32,
    /// QUEUE_FULL: what there is too much of, a tidegate_unit_t.
    pub unit: u32,
    /// SHARED_ACROSS_POOLS: the pool of another worker on the device.
    pub pool: u32,
    /// NEVER_FITS: units asked for. NEVER_ALLOWED: what it needs. TIER_TOO_URGENT: the tier asked for.
    /// GRANT_TOO_LARGE: what was granted.
    pub need: u64,
    /// The most there can be: units of NEVER_FITS, waiting requests or tokens of QUEUE_FULL, LIMIT_EXCEEDED,
    /// NEVER_ALLOWED, what was wanted of GRANT_TOO_LARGE. TIER_TOO_URGENT: the most urgent tier that the tenant may use.
    pub max: u64,
    /// OVER_QUOTA: when there is enough, if nothing else starts or changes; TIDEGATE_NEVER if time alone does not
    /// help.
    pub retry_at_ns: u64,
}
