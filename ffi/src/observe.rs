//! Questions that change nothing.

use std::ffi::c_char;

use tidegate_core::{PoolId, RequestId, Resources, Scheduler, Tier};

use crate::fault::{Fault, state_number};
use crate::guard::observe;
use crate::memory::{Out, RecordOut, TextOut};
use crate::scheduler::SchedulerHandle;
use crate::status::TidegateStatus as Status;
use crate::types::{StatsRecord, TIDEGATE_DIMENSIONS, TIDEGATE_STATS_REASONS};

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

fn stats_record(scheduler: &Scheduler) -> StatsRecord {
    let stats = scheduler.stats();
    let mut by_reason = [0; TIDEGATE_STATS_REASONS];
    by_reason[..stats.by_reason.len()].copy_from_slice(&stats.by_reason);
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
        by_reason,
    }
}
