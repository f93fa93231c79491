//! Questions that change nothing.

use std::ffi::c_char;

use tidegate_core::{
    Explanation, Instant, PoolId, PromptLeft, Reason, RequestId, Resources, Scheduler, ShareWarning,
    TenantId, TenantUsage, Tier, WorkerId,
};

use crate::fault::{Fault, state_number};
use crate::guard::observe;
use crate::memory::{self, ListOut, Out, RecordOut, TextOut};
use crate::scheduler::SchedulerHandle;
use crate::status::TidegateStatus as Status;
use crate::types::{
    ExplanationRecord, PromptRecord, ShareWarningRecord, StatsRecord, TIDEGATE_DIMENSIONS, TIDEGATE_NEVER,
    TIDEGATE_OTHER_POOLS, TIDEGATE_STATS_REASONS, TenantUsageRecord, TidegateGate, WideNumber,
};

/// Where a live request stands, a tidegate_state_t. One that has ended is TIDEGATE_STATUS_ALREADY_TERMINAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_state(
    scheduler: *const SchedulerHandle,
    request: u64,
    out_state: *mut u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let out = Out::new(out_state, "out_state")?;
            out.set(state_number(scheduler.state(RequestId::from_bits(request))?) as u32);
            Ok(())
        })
    }
}

/// Why a live request waits, how many are ahead of it, and when it may start.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_explain(
    scheduler: *const SchedulerHandle,
    request: u64,
    out_explanation: *mut ExplanationRecord,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let out = RecordOut::new(out_explanation, "out_explanation")?;
            out.set(&explanation_record(&scheduler.explain(RequestId::from_bits(request))?));
            Ok(())
        })
    }
}

/// How many requests of the tier wait in all pools, parked ones included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_queue_depth(
    scheduler: *const SchedulerHandle,
    tier: u32,
    out_requests: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let out = Out::new(out_requests, "out_requests")?;
            out.set(scheduler.queue_depth(known_tier(scheduler, tier)?) as u64);
            Ok(())
        })
    }
}

/// Until when a worker is kept out that replaces one that was lost again and again; TIDEGATE_NEVER of one that nothing
/// keeps out. One that is kept out for good has TIDEGATE_NEVER - 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_kept_out_until(
    scheduler: *const SchedulerHandle,
    worker: u32,
    out_until_ns: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let out = Out::new(out_until_ns, "out_until_ns")?;
            let until = scheduler.kept_out_until(WorkerId::new(worker))?;
            out.set(until.map_or(TIDEGATE_NEVER, |until| until.as_nanos().min(TIDEGATE_NEVER - 1)));
            Ok(())
        })
    }
}

/// What the tier is guaranteed of the present capacity of the pool.
#[unsafe(no_mangle)]
/// cbindgen:ptrs-as-arrays=[[out_units;TIDEGATE_DIMENSIONS]]
pub unsafe extern "C" fn tidegate_scheduler_effective_reserve(
    scheduler: *const SchedulerHandle,
    pool: u32,
    tier: u32,
    out_units: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { units(scheduler, pool, tier, out_units, Scheduler::effective_reserve) }
}

/// What the tier uses on the workers of the pool that are up, victims included until their units are free.
#[unsafe(no_mangle)]
/// cbindgen:ptrs-as-arrays=[[out_units;TIDEGATE_DIMENSIONS]]
pub unsafe extern "C" fn tidegate_scheduler_in_use(
    scheduler: *const SchedulerHandle,
    pool: u32,
    tier: u32,
    out_units: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { units(scheduler, pool, tier, out_units, Scheduler::in_use) }
}

/// What the tier's waiting requests would use in the pool if they all started; parked ones, and those larger
/// than the tier's reserve, excepted.
#[unsafe(no_mangle)]
/// cbindgen:ptrs-as-arrays=[[out_units;TIDEGATE_DIMENSIONS]]
pub unsafe extern "C" fn tidegate_scheduler_waiting_demand(
    scheduler: *const SchedulerHandle,
    pool: u32,
    tier: u32,
    out_units: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { units(scheduler, pool, tier, out_units, Scheduler::waiting_demand) }
}

/// The reserves that came out more than ten points off what the config asks for, in pools that have workers.
/// Writes as many as fit into `capacity`; `*out_count` gets how many there are. `out_warnings` may be NULL if
/// `capacity` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_share_warnings(
    scheduler: *const SchedulerHandle,
    out_warnings: *mut ShareWarningRecord,
    capacity: usize,
    out_count: *mut usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let out = ListOut::new(out_warnings, capacity, "out_warnings")?;
            let out_count = Out::new(out_count, "out_count")?;
            let warnings = scheduler.share_warnings();
            out.set(warnings.iter().map(warning_record));
            out_count.set(warnings.len());
            Ok(())
        })
    }
}

/// How an engine that computes at most `tokens` tokens a step should split its next one. `prompts` names the
/// requests on the worker whose prompts are not computed yet, and how much of each is left; every other request
/// that runs there takes one token, first. `out_plan` has room for `prompt_count` records and may be `prompts`
/// itself; `*out_count` gets how many were written. NOT_HERE for a request that is not on the worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_step_plan(
    scheduler: *const SchedulerHandle,
    worker: u32,
    tokens: u64,
    prompts: *const PromptRecord,
    prompt_count: usize,
    out_plan: *mut PromptRecord,
    out_count: *mut usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let prompts: Vec<_> = memory::list(prompts, prompt_count, "prompts")?
                .iter()
                .map(|left| PromptLeft { request: RequestId::from_bits(left.request), tokens: left.tokens })
                .collect();
            let out = ListOut::new(out_plan, prompt_count, "out_plan")?;
            let out_count = Out::new(out_count, "out_count")?;
            let plan = scheduler.step_plan(WorkerId::new(worker), tokens, &prompts)?;
            out.set(
                plan.iter().map(|part| PromptRecord { request: part.request.to_bits(), tokens: part.tokens }),
            );
            out_count.set(plan.len().min(prompt_count));
            Ok(())
        })
    }
}

/// What a tenant has used, until the latest now_ns of any call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_usage(
    scheduler: *const SchedulerHandle,
    tenant: u32,
    out_usage: *mut TenantUsageRecord,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let out = RecordOut::new(out_usage, "out_usage")?;
            out.set(&usage_record(&scheduler.usage(TenantId::new(tenant))?));
            Ok(())
        })
    }
}

/// What of a tenant's usage is of one tier, as it will be at `at_ns` if nothing is told before; an instant that has passed
/// counts as now. A request counts for the tier that it has, and what it used for the tier that it had then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_usage_by_tier(
    scheduler: *const SchedulerHandle,
    tenant: u32,
    tier: u32,
    at_ns: u64,
    out_usage: *mut TenantUsageRecord,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let out = RecordOut::new(out_usage, "out_usage")?;
            let tier = known_tier(scheduler, tier)?;
            let at = Instant::from_nanos(at_ns);
            out.set(&usage_record(&scheduler.usage_by_tier(TenantId::new(tenant), tier, at)?));
            Ok(())
        })
    }
}

/// The counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_stats(
    scheduler: *const SchedulerHandle,
    out_stats: *mut StatsRecord,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            RecordOut::new(out_stats, "out_stats")?.set(&stats_record(scheduler));
            Ok(())
        })
    }
}

/// Checks every named invariant, in time that grows with everything there is: for tests. A violation is
/// TIDEGATE_STATUS_INVARIANT_VIOLATED, and the message says which; it is written then, and not otherwise,
/// cut to `message_capacity` bytes with a NUL at its end; `message_len` gets its whole length. `message` may
/// be NULL if its capacity is 0, `message_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_check_invariants(
    scheduler: *const SchedulerHandle,
    message: *mut c_char,
    message_capacity: usize,
    message_len: *mut usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let message = TextOut::new(message, message_capacity, message_len)?;
            scheduler.check_invariants().map_err(|violation| {
                message.set(&violation.to_string());
                violation.into()
            })
        })
    }
}

/// # Safety
/// As for [`observe`]; `out_units` is NULL or has room for four numbers.
unsafe fn units(
    scheduler: *const SchedulerHandle,
    pool: u32,
    tier: u32,
    out_units: *mut u64,
    of: impl FnOnce(&Scheduler, PoolId, Tier) -> Option<Resources>,
) -> Status {
    // SAFETY: the caller's promise, here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let out = Out::new(out_units.cast::<[u64; TIDEGATE_DIMENSIONS]>(), "out_units")?;
            let tier = known_tier(scheduler, tier)?;
            let units = of(scheduler, PoolId::new(pool), tier).ok_or(Fault::UnknownPool(pool))?;
            out.set(*units.as_array());
            Ok(())
        })
    }
}

fn known_tier(scheduler: &Scheduler, tier: u32) -> Result<Tier, Fault> {
    let tiers = scheduler.config().tiers().len();
    match u8::try_from(tier) {
        Ok(number) if usize::from(number) < tiers => Ok(Tier::new(number)),
        _ => Err(Fault::UnknownTier { tier, tiers }),
    }
}

fn explanation_record(explanation: &Explanation) -> ExplanationRecord {
    let mut other_pools = [0; TIDEGATE_OTHER_POOLS];
    other_pools.iter_mut().zip(&*explanation.other_pools).for_each(|(number, pool)| *number = pool.get());
    ExplanationRecord {
        struct_size: size_of::<ExplanationRecord>() as u32,
        state: state_number(explanation.state) as u32,
        gate: explanation.gate.map_or(TidegateGate::None as u32, |gate| gate as u32),
        reserved: 0,
        ahead: explanation.ahead,
        starts_at_ns: explanation.starts_at.map_or(TIDEGATE_NEVER, Instant::as_nanos),
        pool: explanation.pool.get(),
        other_pools_count: explanation.other_pools.len() as u32, // at most 3
        other_pools,
        reserved_too: 0,
    }
}

fn warning_record(warning: &ShareWarning) -> ShareWarningRecord {
    ShareWarningRecord {
        pool: warning.pool.get(),
        tier: warning.tier.get().into(),
        dimension: warning.dimension as u32, // at most 4
        asked_ppm: warning.asked_ppm,
        effective_ppm: warning.effective_ppm,
        ..ShareWarningRecord::default()
    }
}

fn usage_record(usage: &TenantUsage) -> TenantUsageRecord {
    let wide = |number: u128| WideNumber { low: number as u64, high: (number >> 64) as u64 };
    TenantUsageRecord {
        struct_size: size_of::<TenantUsageRecord>() as u32,
        reserved: 0,
        submitted: usage.submitted,
        started: usage.started,
        completed: usage.completed,
        failed: usage.failed,
        cancelled: usage.cancelled,
        dropped: usage.dropped,
        waiting: usage.waiting,
        running: usage.running,
        prompt_tokens: usage.prompt_tokens,
        cached_tokens: usage.cached_tokens,
        output_tokens: usage.output_tokens,
        held_tokens: usage.held_tokens,
        refunded_tokens: usage.refunded_tokens,
        debt_tokens: usage.debt_tokens,
        preemptions: usage.preemptions,
        memory_preemptions: usage.memory_preemptions,
        lost_tokens: usage.lost_tokens,
        in_use: *usage.in_use.as_array(),
        unit_ns: usage.unit_ns.map(wide),
        borrowed_unit_ns: usage.borrowed_unit_ns.map(wide),
        queue_delays: usage.queue_delays,
    }
}

fn stats_record(scheduler: &Scheduler) -> StatsRecord {
    let stats = scheduler.stats();
    let mut by_reason = [0; TIDEGATE_STATS_REASONS];
    for &reason in Reason::ALL {
        by_reason[reason as usize] = stats.by_reason[reason];
    }
    StatsRecord {
        struct_size: size_of::<StatsRecord>() as u32,
        reserved: 0,
        submitted: stats.submitted,
        completed: stats.completed,
        failed: stats.failed,
        cancelled: stats.cancelled,
        dropped: stats.dropped,
        live: stats.live,
        clock_regressions: stats.clock_regressions,
        further_sets: stats.further_sets,
        takeovers: stats.takeovers,
        waived_finish_test: stats.waived_finish_test,
        waived_min_run: stats.waived_min_run,
        waived_max_preemptions: stats.waived_max_preemptions,
        straddles: stats.straddles,
        by_reason,
    }
}
