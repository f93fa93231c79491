//! A scheduler's life, and the round: what it wants done.

use tidegate_core::{Action, Instant, RequestId, Scheduler};

use crate::config::ConfigHandle;
use crate::fault::{Fault, quota_number};
pub use crate::guard::SchedulerHandle;
use crate::guard::{Access, free, guard, mutate, mutate_own, observe, status_of};
use crate::handle::{give, live};
use crate::memory::Out;
use crate::status::TidegateStatus as Status;
use crate::types::{ActionRecord, TIDEGATE_NEVER, TidegateAction};

/// Makes a scheduler. It copies the config.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_new(
    config: *const ConfigHandle,
    now_ns: u64,
    out_scheduler: *mut *mut SchedulerHandle,
) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise (header, "Pointers"), for both.
        let (config, out) = unsafe { (live(config)?, Out::new(out_scheduler, "out_scheduler")?) };
        let scheduler = Scheduler::new(config.0.clone(), Instant::from_nanos(now_ns));
        out.set(give(SchedulerHandle::new(Access::Own(scheduler))));
        Ok(())
    }))
}

/// Gives the config that the scheduler goes by, as a copy to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_config(
    scheduler: *const SchedulerHandle,
    out_config: *mut *mut ConfigHandle,
) -> Status {
    let body = |scheduler: &Scheduler| {
        // SAFETY: the caller's promise (header, "Pointers").
        let out = unsafe { Out::new(out_config, "out_config") }?;
        out.set(give(ConfigHandle(scheduler.config().clone())));
        Ok(())
    };
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { observe(scheduler, body) }
}

/// Frees a scheduler and all its requests. NULL is fine, a poisoned one too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_free(scheduler: *mut SchedulerHandle) {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { free(scheduler) };
}

/// Takes another config with the same dimensions, pools and tiers by number and name, and copies it. Queues are
/// ordered anew, shares computed anew; timeouts that run already stay. If a name differs, the status is
/// TIDEGATE_STATUS_CONFIG_INVALID, and the last error's message says which.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_reconfigure(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    config: *const ConfigHandle,
) -> Status {
    let body = |scheduler: &mut Scheduler| {
        // SAFETY: the caller's promise (header, "Pointers").
        let config = unsafe { live(config) }?;
        Ok(scheduler.reconfigure(Instant::from_nanos(now_ns), config.0.clone())?)
    };
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { mutate(scheduler, body) }
}

/// Takes up to `capacity` actions. A round has ended when `*out_count` is less than `capacity`; until then
/// call again. Call it after each batch of inputs and at the instant of tidegate_scheduler_poll_timeout.
/// A capacity of 0 is TIDEGATE_STATUS_OUT_OF_RANGE. A shared scheduler is polled by tidegate_shared_poll alone: else
/// the status is TIDEGATE_STATUS_SHARED. In the journal each call counts as one poll for each
/// action, and one more if the round ended: with a capacity of 1 it is always exactly one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_poll(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    out_actions: *mut ActionRecord,
    capacity: usize,
    out_count: *mut usize,
) -> Status {
    let body = |scheduler: &mut Scheduler| {
        if capacity == 0 {
            return Err(Fault::OutOfRange { argument: "capacity", got: 0 });
        }
        if out_actions.is_null() {
            return Err(Fault::Null("out_actions"));
        }
        // SAFETY: the caller's promise (header, "Pointers").
        let out_count = unsafe { Out::new(out_count, "out_count") }?;
        let mut count = 0;
        while count < capacity {
            let Some(action) = scheduler.poll(Instant::from_nanos(now_ns)) else { break };
            // SAFETY: the caller promised `capacity` records.
            unsafe { out_actions.add(count).write(action_record(action)) };
            count += 1;
        }
        out_count.set(count);
        Ok(())
    };
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { mutate_own(scheduler, body) }
}

/// When to poll again if nothing happens before: TIDEGATE_NEVER if only an input can change anything.
/// Polling earlier is harmless.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_poll_timeout(
    scheduler: *const SchedulerHandle,
    out_at_ns: *mut u64,
) -> Status {
    let body = |scheduler: &Scheduler| {
        // SAFETY: the caller's promise (header, "Pointers").
        let out = unsafe { Out::new(out_at_ns, "out_at_ns") }?;
        out.set(scheduler.poll_timeout().map_or(TIDEGATE_NEVER, Instant::as_nanos));
        Ok(())
    };
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { observe(scheduler, body) }
}

/// An action as the header lays it out.
pub(crate) fn action_record(action: Action) -> ActionRecord {
    let common = ActionRecord {
        request: action.request().map_or(0, RequestId::to_bits),
        reason: action.reason() as u32,
        ..ActionRecord::default()
    };
    match action {
        Action::Start { attempt, worker, resume_tokens, .. } => ActionRecord {
            kind: TidegateAction::Start as u32,
            attempt: attempt.get(),
            worker: worker.get(),
            resume_tokens,
            ..common
        },
        Action::Preempt { attempt, mode, beneficiary, confirm_by, .. } => ActionRecord {
            kind: TidegateAction::Preempt as u32,
            attempt: attempt.get(),
            mode: mode as u32,
            beneficiary: beneficiary.map_or(0, |request| request.to_bits()),
            confirm_by_ns: confirm_by.as_nanos(),
            ..common
        },
        Action::Spare { attempt, .. } => {
            ActionRecord { kind: TidegateAction::Spare as u32, attempt: attempt.get(), ..common }
        }
        Action::Abort { attempt, .. } => {
            ActionRecord { kind: TidegateAction::Abort as u32, attempt: attempt.get(), ..common }
        }
        Action::Drop { .. } => ActionRecord { kind: TidegateAction::Drop as u32, ..common },
        Action::Stuck { attempt, .. } => {
            ActionRecord { kind: TidegateAction::Stuck as u32, attempt: attempt.get(), ..common }
        }
        Action::LeaseWanted { tenant, limit, seq, tokens, returned, .. } => ActionRecord {
            kind: TidegateAction::LeaseWanted as u32,
            tenant: tenant.get(),
            limit: quota_number(limit) as u32,
            beneficiary: seq,
            resume_tokens: tokens,
            confirm_by_ns: returned.cast_unsigned(),
            ..common
        },
        Action::AlsoLost { worker, by, .. } => ActionRecord {
            kind: TidegateAction::AlsoLost as u32,
            worker: worker.get(),
            beneficiary: by.get().into(),
            ..common
        },
    }
}
