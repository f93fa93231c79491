//! One scheduler for many threads: an intake that never waits for a poll, the poll and the sleep of the engine's thread,
//! and handles for all else.

use std::sync::{Arc, Mutex, TryLockError};

use tidegate_core::{
    Attempt, Input, Instant, Outcome, RequestId, SharedError, SharedScheduler, Ticket, WorkerId,
};

use crate::fault::Fault;
use crate::fleet::exceptions_of;
use crate::guard::{Access, free, guard, status_of, take_scheduler};
use crate::handle::{Handle, give, live};
use crate::memory::{self, ListOut, Out};
pub use crate::outcome::OutcomeRecord;
use crate::outcome::outcome_record;
use crate::request::{any_tier, decline, release, request_spec, usage_of};
use crate::scheduler::SchedulerHandle;
use crate::status::TidegateStatus as Status;
use crate::types::{RequestInput, StepExceptionInput, TIDEGATE_MAX_INTAKE, TIDEGATE_NEVER, UsageInput};

/// A scheduler that any number of threads use at once, all with the same pointer. Made by tidegate_shared_new, ended by
/// tidegate_shared_free.
pub struct SharedHandle {
    scheduler: Arc<SharedScheduler>,
    untold: Mutex<Untold>,
}

impl Handle for SharedHandle {
    const MARK: u64 = 0x93D1_4B7E_C6A0_285F;
    const ARGUMENT: &'static str = "shared";
}

const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<SharedHandle>();
};

/// What polls have to tell, as far as it had no room in the caller's arrays.
#[derive(Default)]
struct Untold {
    outcomes: Vec<OutcomeRecord>,
    /// How many of them the callers have.
    given: usize,
    /// Room for the core's.
    fresh: Vec<Outcome>,
    /// Whether the round goes on.
    more: bool,
}

impl Untold {
    fn is_empty(&self) -> bool {
        self.given == self.outcomes.len()
    }

    /// Polls, if nothing is left to tell, and tells what fits.
    fn poll(
        &mut self,
        scheduler: &SharedScheduler,
        now: Instant,
        capacity: usize,
    ) -> Result<&[OutcomeRecord], Fault> {
        if self.is_empty() {
            self.outcomes.clear();
            self.given = 0;
            self.fresh.clear();
            self.more = scheduler.poll_into(now, capacity, &mut self.fresh)?;
            self.outcomes.extend(self.fresh.iter().filter_map(outcome_record));
        }
        let told = &self.outcomes[self.given..];
        let told = &told[..told.len().min(capacity)];
        self.given += told.len();
        Ok(told)
    }
}

/// Makes a scheduler one for many threads. It takes `scheduler` over: if the status is TIDEGATE_STATUS_OK that handle has
/// ended, and is not to be freed. `intake_capacity` calls can lie in the intake at a time; 1024 do for most servers, 0
/// counts as 1, and more than TIDEGATE_MAX_INTAKE are TIDEGATE_STATUS_OUT_OF_RANGE. TIDEGATE_STATUS_SHARED if `scheduler`
/// is of a shared one already. Tenants and workers are set up before, or by a handle that tidegate_shared_open gives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_new(
    scheduler: *mut SchedulerHandle,
    intake_capacity: usize,
    out_shared: *mut *mut SharedHandle,
) -> Status {
    let ready = || {
        if intake_capacity > TIDEGATE_MAX_INTAKE {
            return Err(Fault::OutOfRange { argument: "intake_capacity", got: intake_capacity as u64 });
        }
        // SAFETY: the caller's promise (header, "Pointers").
        unsafe { Out::new(out_shared, "out_shared") }
    };
    // SAFETY: the caller's promise (header, "Pointers").
    let (out, scheduler) = match unsafe { take_scheduler(scheduler, ready) } {
        Ok(taken) => taken,
        Err(status) => return status,
    };
    status_of(&guard(|| {
        let scheduler = Arc::new(SharedScheduler::new(scheduler, intake_capacity));
        out.set(give(SharedHandle { scheduler, untold: Mutex::default() }));
        Ok(())
    }))
}

/// Frees it; no other call may run on it. NULL is fine, a poisoned one too. Handles that tidegate_shared_open gave stay
/// good until they are freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_free(shared: *mut SharedHandle) {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { free(shared) };
}

/// Gives a handle of the shared scheduler, for one thread: every tidegate_scheduler function but
/// tidegate_scheduler_poll works with it, waits for the lock, and answers on the spot. A verb applies first what lies in
/// the intake, and is TIDEGATE_STATUS_BUSY while polls are too far behind to be told of that; a question does not. The last
/// error is the handle's own. Free it by tidegate_scheduler_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_open(
    shared: *const SharedHandle,
    out_scheduler: *mut *mut SchedulerHandle,
) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise (header, "Pointers"), for both.
        let (shared, out) = unsafe { (live(shared)?, Out::new(out_scheduler, "out_scheduler")?) };
        out.set(give(SchedulerHandle::new(Access::Shared(Arc::clone(&shared.scheduler)))));
        Ok(())
    }))
}

/// Leaves a request in the intake: ACCEPTED or REFUSED follows, with the ticket and the spec's tag. A thread that must
/// find its request by then chooses the tag, which it knows before. TIDEGATE_STATUS_BUSY if the intake is full. Here and
/// below `out_ticket`, which may be NULL, gets the number of the call: never 0, and higher for a later call of the thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_submit(
    shared: *const SharedHandle,
    now_ns: u64,
    spec: *const RequestInput,
    out_ticket: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        leave(shared, out_ticket, |shared| {
            let spec = memory::read(spec, "spec")?;
            let spec = request_spec(any_tier(spec.tier), &spec)?;
            Ok(shared.submit(Instant::from_nanos(now_ns), spec)?)
        })
    }
}

/// Cancels what was submitted with this ticket, whether it was applied yet or not. While it waits it ends at once,
/// CANCELLED; if an engine has it, STOP_FIRST asks for it to be stopped; if it has ended or was refused, nothing follows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_cancel(
    shared: *const SharedHandle,
    now_ns: u64,
    ticket: u64,
) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise (header, "Pointers").
        let shared = unsafe { live(shared) }?;
        Ok(shared.scheduler.cancel(Instant::from_nanos(now_ns), Ticket::new(ticket))?)
    }))
}

/// Leaves tidegate_scheduler_cancel in the intake. Here and below REFUSED follows if it was, and nothing if it was not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_cancel_request(
    shared: *const SharedHandle,
    now_ns: u64,
    request: u64,
    out_ticket: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        tell(shared, now_ns, out_ticket, || Ok(Input::Cancel { request: RequestId::from_bits(request) }))
    }
}

/// Leaves tidegate_scheduler_started in the intake.
#[unsafe(no_mangle)]
/// cbindgen:ptrs-as-arrays=[[in_use;TIDEGATE_DIMENSIONS]]
pub unsafe extern "C" fn tidegate_shared_started(
    shared: *const SharedHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    cached_tokens: u64,
    in_use: *const u64,
    out_ticket: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        tell(shared, now_ns, out_ticket, || {
            let (request, attempt) = (RequestId::from_bits(request), Attempt::new(attempt));
            let in_use = memory::resources(in_use, "in_use")?;
            Ok(Input::Started { request, attempt, cached_tokens, in_use })
        })
    }
}

/// Leaves tidegate_scheduler_declined in the intake.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_declined(
    shared: *const SharedHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    why: u32,
    out_ticket: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        tell(shared, now_ns, out_ticket, || {
            let (request, attempt) = (RequestId::from_bits(request), Attempt::new(attempt));
            Ok(Input::Declined { request, attempt, why: decline(why)? })
        })
    }
}

/// Leaves tidegate_scheduler_progress in the intake.
#[unsafe(no_mangle)]
/// cbindgen:ptrs-as-arrays=[[in_use;TIDEGATE_DIMENSIONS]]
pub unsafe extern "C" fn tidegate_shared_progress(
    shared: *const SharedHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    output_tokens: u64,
    in_use: *const u64,
    out_ticket: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        tell(shared, now_ns, out_ticket, || {
            let (request, attempt) = (RequestId::from_bits(request), Attempt::new(attempt));
            let in_use = memory::resources(in_use, "in_use")?;
            Ok(Input::Progress { request, attempt, output_tokens, in_use })
        })
    }
}

/// Leaves tidegate_scheduler_step in the intake.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_step(
    shared: *const SharedHandle,
    now_ns: u64,
    worker: u32,
    tokens_each: u64,
    exceptions: *const StepExceptionInput,
    exception_count: usize,
    out_ticket: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        tell(shared, now_ns, out_ticket, || {
            let exceptions = exceptions_of(exceptions, exception_count)?.into();
            Ok(Input::Step { worker: WorkerId::new(worker), tokens_each, exceptions })
        })
    }
}

/// Leaves tidegate_scheduler_preempted in the intake.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_preempted(
    shared: *const SharedHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    tokens_kept: u64,
    releasing: u32,
    out_ticket: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        tell(shared, now_ns, out_ticket, || {
            let (request, attempt) = (RequestId::from_bits(request), Attempt::new(attempt));
            let release = release(releasing)?;
            Ok(Input::Preempted { request, attempt, tokens_kept, release })
        })
    }
}

/// Leaves tidegate_scheduler_released in the intake.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_released(
    shared: *const SharedHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    out_ticket: *mut u64,
) -> Status {
    let (request, attempt) = (RequestId::from_bits(request), Attempt::new(attempt));
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { tell(shared, now_ns, out_ticket, || Ok(Input::Released { request, attempt })) }
}

/// Leaves tidegate_scheduler_complete in the intake.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_complete(
    shared: *const SharedHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    usage: *const UsageInput,
    out_ticket: *mut u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        tell(shared, now_ns, out_ticket, || {
            let (request, attempt) = (RequestId::from_bits(request), Attempt::new(attempt));
            let usage = usage_of(&memory::read(usage, "usage")?)?;
            Ok(Input::Complete { request, attempt, usage })
        })
    }
}

/// Leaves tidegate_scheduler_failed in the intake.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_failed(
    shared: *const SharedHandle,
    now_ns: u64,
    request: u64,
    attempt: u32,
    out_ticket: *mut u64,
) -> Status {
    let (request, attempt) = (RequestId::from_bits(request), Attempt::new(attempt));
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { tell(shared, now_ns, out_ticket, || Ok(Input::Failed { request, attempt })) }
}

/// Applies what lies in the intake, then tells what came of it and what the scheduler wants, in order: up to `capacity`
/// outcomes, and how many in `*out_count`. `*out_more` is 1 if there is more to tell: call again. It is 0 when the round
/// has ended: tidegate_shared_wait then. A capacity of 0 is TIDEGATE_STATUS_OUT_OF_RANGE. May wait for the lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_poll(
    shared: *const SharedHandle,
    now_ns: u64,
    out_outcomes: *mut OutcomeRecord,
    capacity: usize,
    out_count: *mut usize,
    out_more: *mut u32,
) -> Status {
    status_of(&guard(|| {
        if capacity == 0 {
            return Err(Fault::OutOfRange { argument: "capacity", got: 0 });
        }
        // SAFETY: the caller's promise (header, "Pointers"), for all four.
        let (shared, outcomes, out_count, out_more) = unsafe {
            (
                live(shared)?,
                ListOut::new(out_outcomes, capacity, "out_outcomes")?,
                Out::new(out_count, "out_count")?,
                Out::new(out_more, "out_more")?,
            )
        };
        let mut untold = shared.untold.lock().map_err(|_| Fault::Poisoned)?;
        let news = untold.poll(&shared.scheduler, Instant::from_nanos(now_ns), capacity)?;
        outcomes.set(news.iter().copied());
        out_count.set(news.len());
        out_more.set((untold.more || !untold.is_empty()).into());
        Ok(())
    }))
}

/// Sleeps until there is something to poll, or the host's clock, which shows `now_ns`, shows `until_ns`
/// (TIDEGATE_NEVER for as long as it takes); sometimes it returns earlier. `*out_work` is 1 if there is something to
/// poll. Sleep until the instant that tidegate_scheduler_poll_timeout tells of an opened handle after the last poll:
/// whatever changes in between is noticed. TIDEGATE_STATUS_POISONED, at once, if a thread panicked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_wait(
    shared: *const SharedHandle,
    now_ns: u64,
    until_ns: u64,
    out_work: *mut u32,
) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise (header, "Pointers"), for both.
        let (shared, out_work) = unsafe { (live(shared)?, Out::new(out_work, "out_work")?) };
        let behind = match shared.untold.try_lock() {
            Ok(untold) => !untold.is_empty(),
            Err(TryLockError::WouldBlock) => false, // who polls now will see
            Err(TryLockError::Poisoned(_)) => return Err(Fault::Poisoned),
        };
        let until = (until_ns != TIDEGATE_NEVER).then(|| Instant::from_nanos(until_ns));
        let work = behind || shared.scheduler.wait(Instant::from_nanos(now_ns), until)?;
        out_work.set(work.into());
        Ok(())
    }))
}

/// Wakes who sleeps in tidegate_shared_wait, as if there were something to poll: to have the engine's thread look at
/// something of the host's, such as that it is to end. May wait for the lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_shared_wake(shared: *const SharedHandle) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise (header, "Pointers").
        let shared = unsafe { live(shared) }?;
        match shared.scheduler.with(|_| ()) {
            // So much lies there that nobody can sleep.
            Ok(()) | Err(SharedError::Busy) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }))
}

/// Leaves something in the intake.
///
/// # Safety
/// The pointers are as the header's chapter says.
unsafe fn leave(
    shared: *const SharedHandle,
    out_ticket: *mut u64,
    call: impl FnOnce(&SharedScheduler) -> Result<Ticket, Fault>,
) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise, for both.
        let (shared, out) = unsafe { (live(shared)?, ListOut::optional(out_ticket, 1, "out_ticket")?) };
        let ticket = call(&shared.scheduler)?;
        out.set(std::iter::once(ticket.get()));
        Ok(())
    }))
}

/// Leaves an input in the intake.
///
/// # Safety
/// As for [`leave`].
unsafe fn tell(
    shared: *const SharedHandle,
    now_ns: u64,
    out_ticket: *mut u64,
    input: impl FnOnce() -> Result<Input, Fault>,
) -> Status {
    let call = |shared: &SharedScheduler| Ok(shared.tell(Instant::from_nanos(now_ns), &input()?)?);
    // SAFETY: the caller's promise.
    unsafe { leave(shared, out_ticket, call) }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;
    use std::ptr::{null, null_mut};

    use tidegate_core::{Config, Scheduler, TierConfig};

    use super::*;
    use crate::guard::mutate;
    use crate::scheduler::tidegate_scheduler_free;

    #[test]
    fn a_panic_in_one_handle_poisons_the_shared_scheduler() {
        let config = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only")).build();
        let scheduler = Scheduler::new(config.expect("a valid config"), Instant::ZERO);
        let own = give(SchedulerHandle::new(Access::Own(scheduler)));
        let (mut shared, mut opened) = (null_mut(), null_mut());
        let (mut count, mut number) = (99, 99);
        let mut told = MaybeUninit::<OutcomeRecord>::uninit();
        // SAFETY: live handles, and room for outputs.
        unsafe {
            assert_eq!(tidegate_shared_new(own, 1, &raw mut shared), Status::Ok);
            assert_eq!(tidegate_shared_open(shared, &raw mut opened), Status::Ok);
            assert_eq!(mutate(opened, |_| panic!("the ledger")), Status::Panic);
            let (told, count_at) = (told.as_mut_ptr(), &raw mut count);
            let polled = tidegate_shared_poll(shared, 0, told, 1, count_at, &raw mut number);
            assert_eq!(polled, Status::Poisoned);
            let waited = tidegate_shared_wait(shared, 0, TIDEGATE_NEVER, &raw mut number);
            assert_eq!(waited, Status::Poisoned, "nobody would wake it");
            assert_eq!(tidegate_shared_wake(shared), Status::Poisoned);
            assert_eq!(tidegate_shared_cancel(shared, 0, 1), Status::Poisoned);
            assert_eq!(tidegate_shared_step(shared, 0, 0, 1, null(), 0, null_mut()), Status::Poisoned);
            assert_eq!((count, number), (99, 99));
            tidegate_scheduler_free(opened);
            tidegate_shared_free(shared);
        }
    }
}
