//! Requests: submitted, cancelled, and what the engine reports of them.

use tidegate_core::{
    Amendment, Attempt, Decline, Instant, OtherPools, PoolId, Release, RequestId, RequestSpec, Scheduler,
    TenantId, Tier, Usage, Yielding,
};

use crate::fault::Fault;
use crate::guard::mutate;
use crate::memory::{self, Out};
use crate::scheduler::SchedulerHandle;
use crate::status::TidegateStatus as Status;
use crate::types::{
    AmendmentInput, RequestInput, TIDEGATE_AMEND_DEADLINE, TIDEGATE_AMEND_DEMAND, TIDEGATE_AMEND_PEAK,
    TIDEGATE_AMEND_TIER, TIDEGATE_OTHER_POOLS, TIDEGATE_REQUEST_HAS_DEADLINE,
    TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS, TIDEGATE_REQUEST_HAS_QUEUE_TIMEOUT, UsageInput,
};

/// Queues a request and gives its id, which is never 0; it waits until a poll returns its START.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_submit(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    spec: *const RequestInput,
    out_request: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let spec = memory::read(spec, "spec")?;
            let out = Out::new(out_request, "out_request")?;
            let spec = request_spec(tier_of(scheduler, spec.tier)?, &spec)?;
            out.set(scheduler.submit(Instant::from_nanos(now_ns), spec)?.to_bits());
            Ok(())
        })
    }
}

/// Tells the blocks of a waiting request's prompt, from its beginning, as hashes of which each covers those before it: with
/// the placement "prefix-affinity" it goes where they are cached. WRONG_STATE if it does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_prefix_set(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    request: u64,
    blocks: *const u64,
    block_count: usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let blocks = memory::list(blocks, block_count, "blocks")?;
            Ok(scheduler.prefix_set(Instant::from_nanos(now_ns), RequestId::from_bits(request), blocks)?)
        })
    }
}

/// Changes what a live request asks for, how urgent it is, or when its answer is wanted. One that waits takes
/// its place in the queue anew, with its arrival; of one on a worker the use moves to the new tier, and demand
/// and peak matter at its next start. The statuses are those of tidegate_scheduler_submit for what it would ask
/// then, and those of a report; WRONG_STATE if it is to stop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_amend(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    request: u64,
    amendment: *const AmendmentInput,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let amendment = amendment_of(scheduler, &memory::read(amendment, "amendment")?)?;
            Ok(scheduler.amend(Instant::from_nanos(now_ns), RequestId::from_bits(request), amendment)?)
        })
    }
}

/// Ends a request wherever it stands. The host asserts that the engine holds nothing of it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_cancel(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    request: u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        mutate(scheduler, |scheduler| {
            Ok(scheduler.cancel(Instant::from_nanos(now_ns), RequestId::from_bits(request))?)
        })
    }
}

/// The engine runs it: `cached_tokens` of its prompt were found in a cache, and it holds `in_use` now.
/// Optional: the first report of another kind says so too. WRONG_STATE if it is not starting.
#[unsafe(no_mangle)]
/// cbindgen:ptrs-as-arrays=[[in_use;TIDEGATE_DIMENSIONS]]
pub unsafe extern "C" fn tidegate_scheduler_started(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    cached_tokens: u64,
    in_use: *const u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        report(scheduler, request, attempt, |scheduler, request, attempt| {
            let in_use = memory::resources(in_use, "in_use")?;
            Ok(scheduler.started(Instant::from_nanos(now_ns), request, attempt, cached_tokens, in_use)?)
        })
    }
}

/// The engine did not take it; `why` is a tidegate_decline_t. It goes back to its place in the queue and is
/// kept off that worker for a while; the third time in a row it is dropped. WRONG_STATE if a report came
/// that it runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_declined(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    why: u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        report(scheduler, request, attempt, |scheduler, request, attempt| {
            Ok(scheduler.declined(Instant::from_nanos(now_ns), request, attempt, decline(why)?)?)
        })
    }
}

/// It has generated `output_tokens` so far, and holds `in_use` now. WRONG_STATE if it is not on a worker.
#[unsafe(no_mangle)]
/// cbindgen:ptrs-as-arrays=[[in_use;TIDEGATE_DIMENSIONS]]
pub unsafe extern "C" fn tidegate_scheduler_progress(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    output_tokens: u64,
    in_use: *const u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        report(scheduler, request, attempt, |scheduler, request, attempt| {
            let in_use = memory::resources(in_use, "in_use")?;
            Ok(scheduler.progress(Instant::from_nanos(now_ns), request, attempt, output_tokens, in_use)?)
        })
    }
}

/// It runs no more, and can go on later from `tokens_kept` tokens of context; 0 is from the beginning. It
/// waits again, before all that have not run. With `releasing` 1 its units come free later, by
/// tidegate_scheduler_released; with 0 they are free now. WRONG_STATE if it is not on a worker, or is to be
/// aborted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_preempted(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    tokens_kept: u64,
    releasing: u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        report(scheduler, request, attempt, |scheduler, request, attempt| {
            let release = release(releasing)?;
            Ok(scheduler.preempted(Instant::from_nanos(now_ns), request, attempt, tokens_kept, release)?)
        })
    }
}

/// The units of a request that stopped with `releasing` 1 are free. WRONG_STATE if it is not releasing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_released(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        report(scheduler, request, attempt, |scheduler, request, attempt| {
            Ok(scheduler.released(Instant::from_nanos(now_ns), request, attempt)?)
        })
    }
}

/// It completed; its units are free. WRONG_STATE if it is not on a worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_complete(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    usage: *const UsageInput,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        report(scheduler, request, attempt, |scheduler, request, attempt| {
            let usage = usage_of(&memory::read(usage, "usage")?)?;
            Ok(scheduler.complete(Instant::from_nanos(now_ns), request, attempt, usage)?)
        })
    }
}

/// The engine gave it up, by itself or after an ABORT; its units are free. WRONG_STATE if it is not on a
/// worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_failed(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        report(scheduler, request, attempt, |scheduler, request, attempt| {
            Ok(scheduler.failed(Instant::from_nanos(now_ns), request, attempt)?)
        })
    }
}

/// # Safety
/// As for [`mutate`].
unsafe fn report(
    scheduler: *mut SchedulerHandle,
    request: u64,
    attempt: u32,
    verb: impl FnOnce(&mut Scheduler, RequestId, Attempt) -> Result<(), Fault>,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        mutate(scheduler, |scheduler| verb(scheduler, RequestId::from_bits(request), Attempt::new(attempt)))
    }
}

pub(crate) fn request_spec(tier: Tier, input: &RequestInput) -> Result<RequestSpec, Fault> {
    let known = TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS
        | TIDEGATE_REQUEST_HAS_QUEUE_TIMEOUT
        | TIDEGATE_REQUEST_HAS_DEADLINE;
    memory::flags(input.flags, known, "spec.flags")?;
    let optional = |flag, value| (input.flags & flag != 0).then_some(value);
    let (count, argument) = (input.other_pools_count, "spec.other_pools_count");
    let others = input.other_pools.get(..count as usize);
    let others = others.ok_or(Fault::OutOfRange { argument, got: count.into() })?;
    let mut pools = [PoolId::new(0); TIDEGATE_OTHER_POOLS];
    others.iter().zip(&mut pools).for_each(|(&other, pool)| *pool = PoolId::new(other));
    let other_pools = OtherPools::new(&pools[..others.len()]).unwrap_or(OtherPools::NONE);
    Ok(RequestSpec {
        tenant: TenantId::new(input.tenant),
        tier,
        pool: PoolId::new(input.pool),
        other_pools,
        demand: input.demand.into(),
        peak: input.peak.into(),
        prompt_tokens: input.prompt_tokens,
        cached_tokens: input.cached_tokens,
        output_tokens: optional(TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS, input.output_tokens),
        yielding: yielding(input.yielding)?,
        deadline: optional(TIDEGATE_REQUEST_HAS_DEADLINE, input.deadline_ns).map(Instant::from_nanos),
        queue_timeout_ns: optional(TIDEGATE_REQUEST_HAS_QUEUE_TIMEOUT, input.queue_timeout_ns),
        tag: input.tag,
    })
}

fn amendment_of(scheduler: &Scheduler, input: &AmendmentInput) -> Result<Amendment, Fault> {
    let known = TIDEGATE_AMEND_DEMAND | TIDEGATE_AMEND_PEAK | TIDEGATE_AMEND_TIER | TIDEGATE_AMEND_DEADLINE;
    memory::flags(input.flags, known, "amendment.flags")?;
    memory::zero(input.reserved, "amendment.reserved")?;
    let changes = |flag| input.flags & flag != 0;
    Ok(Amendment {
        demand: changes(TIDEGATE_AMEND_DEMAND).then(|| input.demand.into()),
        peak: changes(TIDEGATE_AMEND_PEAK).then(|| input.peak.into()),
        tier: changes(TIDEGATE_AMEND_TIER).then(|| tier_of(scheduler, input.tier)).transpose()?,
        deadline: changes(TIDEGATE_AMEND_DEADLINE).then(|| Instant::from_nanos(input.deadline_ns)),
    })
}

/// A tier that the core has a number for; whether there is one is for it to say.
pub(crate) fn tier_of(scheduler: &Scheduler, tier: u32) -> Result<Tier, Fault> {
    u8::try_from(tier)
        .map(Tier::new)
        .map_err(|_| Fault::UnknownTier { tier, tiers: scheduler.config().tiers().len() })
}

/// A tier that the core refuses where there is none: no config has as many as its numbers have room for.
pub(crate) fn any_tier(tier: u32) -> Tier {
    Tier::new(u8::try_from(tier).unwrap_or(u8::MAX))
}

pub(crate) fn usage_of(input: &UsageInput) -> Result<Usage, Fault> {
    memory::zero(input.reserved, "usage.reserved")?;
    let UsageInput { prompt_tokens, cached_tokens, output_tokens, .. } = *input;
    Ok(Usage { prompt_tokens, cached_tokens, output_tokens })
}

fn yielding(number: u32) -> Result<Yielding, Fault> {
    match number {
        0 => Ok(Yielding::Restart),
        1 => Ok(Yielding::Checkpoint),
        2 => Ok(Yielding::Never),
        _ => Err(Fault::OutOfRange { argument: "spec.yielding", got: number.into() }),
    }
}

pub(crate) fn decline(number: u32) -> Result<Decline, Fault> {
    match number {
        0 => Ok(Decline::Other),
        1 => Ok(Decline::NoRoom),
        2 => Ok(Decline::NotReady),
        _ => Err(Fault::OutOfRange { argument: "why", got: number.into() }),
    }
}

/// The flag `releasing` of a request that stopped.
pub(crate) fn release(releasing: u32) -> Result<Release, Fault> {
    Ok(if truth(releasing, "releasing")? { Release::Later } else { Release::Done })
}

pub(crate) fn truth(number: u32, argument: &'static str) -> Result<bool, Fault> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Fault::OutOfRange { argument, got: number.into() }),
    }
}
