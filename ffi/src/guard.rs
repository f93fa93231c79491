//! The guard around every body: no panic leaves the library, and after one the handle refuses all but
//! being asked what happened and being freed.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_core::{Scheduler, SharedScheduler};

use crate::batch::Lists;
use crate::fault::Fault;
use crate::handle::{Handle, Turns, live, take_back};
use crate::status::TidegateStatus as Status;

/// A scheduler. Made by tidegate_scheduler_new, or by tidegate_shared_open for one thread of many; ended by
/// tidegate_scheduler_free.
pub struct SchedulerHandle {
    turns: Turns,
    /// Atomic because an observer that panics sets it too, and observers may run side by side.
    poisoned: AtomicBool,
    state: UnsafeCell<State>,
}

impl Handle for SchedulerHandle {
    const MARK: u64 = 0x5A93_E0D7_1B68_C42F;
    const ARGUMENT: &'static str = "scheduler";
}

// SAFETY: the header lets only those calls run side by side that look at the state, which may be looked at so.
unsafe impl Sync for SchedulerHandle where State: Sync {}

/// What the caller's turn guards.
struct State {
    access: Access,
    /// Of the last batch: kept so that the next one finds room.
    lists: Lists,
    last: Option<Fault>,
}

/// Whose scheduler it is.
#[expect(clippy::large_enum_variant, reason = "it lies in a handle, which is on the heap already")]
pub(crate) enum Access {
    /// This handle's alone.
    Own(Scheduler),
    /// That of many handles: each call locks it.
    Shared(Arc<SharedScheduler>),
}

impl SchedulerHandle {
    pub(crate) const fn new(access: Access) -> Self {
        let state = UnsafeCell::new(State { access, lists: Lists::new(), last: None });
        Self { turns: Turns::new(), poisoned: AtomicBool::new(false), state }
    }

    fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    fn answer(&self, result: &Result<(), Fault>) -> Status {
        if matches!(result, Err(Fault::Panic(_))) {
            self.poisoned.store(true, Ordering::Relaxed);
        }
        status_of(result)
    }
}

// The promises of the header's chapter on threads.
const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<SchedulerHandle>();
};

/// Runs a body that belongs to no handle.
pub(crate) fn guard<T>(body: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(Fault::Panic(words_of(payload))))
}

/// What C is told of it.
pub(crate) fn status_of(result: &Result<(), Fault>) -> Status {
    result.as_ref().map_or_else(Fault::status, |()| Status::Ok)
}

/// Runs a body that may change the scheduler, and remembers why it failed.
///
/// # Safety
/// `handle` is NULL or a live handle that nobody else uses during the call.
pub(crate) unsafe fn mutate(
    handle: *mut SchedulerHandle,
    body: impl FnOnce(&mut Scheduler) -> Result<(), Fault>,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { mutate_many(handle, |scheduler, _| body(scheduler).map(|()| None)) }
}

/// As [`mutate`], for a body that does many things: the call succeeds, and what became of the last that did not is
/// remembered.
///
/// # Safety
/// As for [`mutate`].
pub(crate) unsafe fn mutate_many(
    handle: *mut SchedulerHandle,
    body: impl FnOnce(&mut Scheduler, &mut Lists) -> Result<Option<Fault>, Fault>,
) -> Status {
    let body = |access: &mut Access, lists: &mut Lists| match access {
        Access::Own(scheduler) => body(scheduler, lists),
        Access::Shared(shared) => shared.with(|scheduler| body(scheduler, lists))?,
    };
    // SAFETY: the caller's promise.
    unsafe { change(handle, body) }
}

/// As [`mutate`], for what may be done only where no other handle has the scheduler too.
///
/// # Safety
/// As for [`mutate`].
pub(crate) unsafe fn mutate_own(
    handle: *mut SchedulerHandle,
    body: impl FnOnce(&mut Scheduler) -> Result<(), Fault>,
) -> Status {
    let body = |access: &mut Access, _: &mut Lists| match access {
        Access::Own(scheduler) => body(scheduler).map(|()| None),
        Access::Shared(_) => Err(Fault::Shared),
    };
    // SAFETY: the caller's promise.
    unsafe { change(handle, body) }
}

/// # Safety
/// As for [`mutate`].
unsafe fn change(
    handle: *mut SchedulerHandle,
    body: impl FnOnce(&mut Access, &mut Lists) -> Result<Option<Fault>, Fault>,
) -> Status {
    // SAFETY: the caller's promise.
    let handle = match unsafe { live(handle) } {
        Ok(handle) => handle,
        Err(misuse) => return Fault::from(misuse).status(),
    };
    let _turn = match handle.turns.alone() {
        Ok(turn) => turn,
        Err(misuse) => return Fault::from(misuse).status(),
    };
    if handle.is_poisoned() {
        return Status::Poisoned;
    }
    // SAFETY: nobody else uses the handle, as the caller promised and the turn confirms.
    let state = unsafe { &mut *handle.state.get() };
    let mut refused = None;
    let result = guard(|| {
        refused = body(&mut state.access, &mut state.lists)?;
        Ok(())
    });
    let status = handle.answer(&result);
    if let Some(fault) = result.err().or(refused) {
        state.last = Some(fault);
    }
    status
}

/// Runs a body that only looks.
///
/// # Safety
/// `handle` is NULL or a live handle that nobody changes during the call.
pub(crate) unsafe fn observe(
    handle: *const SchedulerHandle,
    body: impl FnOnce(&Scheduler) -> Result<(), Fault>,
) -> Status {
    let look = |handle: &SchedulerHandle, state: &State| {
        if handle.is_poisoned() {
            return Status::Poisoned;
        }
        handle.answer(&guard(|| match &state.access {
            Access::Own(scheduler) => body(scheduler),
            Access::Shared(shared) => shared.read(body)?,
        }))
    };
    // SAFETY: the caller's promise.
    unsafe { look_at(handle, look) }
}

/// Runs a body that looks at the last fault, whatever became of the scheduler.
///
/// # Safety
/// As for [`observe`].
pub(crate) unsafe fn look_back(
    handle: *const SchedulerHandle,
    body: impl FnOnce(Option<&Fault>) -> Result<(), Fault>,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { look_at(handle, |_, state| status_of(&guard(|| body(state.last.as_ref())))) }
}

/// # Safety
/// As for [`observe`].
unsafe fn look_at(
    handle: *const SchedulerHandle,
    look: impl FnOnce(&SchedulerHandle, &State) -> Status,
) -> Status {
    // SAFETY: the caller's promise.
    let handle = match unsafe { live(handle) } {
        Ok(handle) => handle,
        Err(misuse) => return Fault::from(misuse).status(),
    };
    match handle.turns.beside() {
        // SAFETY: nobody changes it, as the caller promised and the turn makes likely.
        Ok(_turn) => look(handle, unsafe { &*handle.state.get() }),
        Err(misuse) => Fault::from(misuse).status(),
    }
}

/// The scheduler of a handle that has one for itself, and what `ready` gives; the handle ends with them. What `ready` or
/// the handle has against it is remembered, as that of any other verb.
///
/// # Safety
/// As for [`mutate`], and if the result is a scheduler the handle is not used again.
pub(crate) unsafe fn take_scheduler<T>(
    handle: *mut SchedulerHandle,
    ready: impl FnOnce() -> Result<T, Fault>,
) -> Result<(T, Scheduler), Status> {
    let mut readied = None;
    let body = |_: &mut Scheduler| {
        readied = Some(ready()?);
        Ok(())
    };
    // SAFETY: the caller's promise.
    let status = unsafe { mutate_own(handle, body) };
    let (Status::Ok, Some(readied)) = (status, readied) else { return Err(status) };
    // SAFETY: the caller's promise.
    let handle = unsafe { take_back(handle) }.ok_or(Status::BadHandle)?;
    match handle.state.into_inner().access {
        Access::Own(scheduler) => Ok((readied, scheduler)),
        Access::Shared(_) => Err(Status::Shared),
    }
}

/// Drops a handle; a panic in there leaks the rest rather than leave the library.
///
/// # Safety
/// `handle` is NULL or a live handle that nobody else uses, and is not used again.
pub(crate) unsafe fn free<T: Handle>(handle: *mut T) {
    // There is nobody to tell: `_free` has no status.
    let _ = guard(|| {
        // SAFETY: the caller's promise.
        drop(unsafe { take_back(handle) });
        Ok(())
    });
}

/// What a panic said. The payload is forgotten: dropping one that is not ours could panic again.
fn words_of(payload: Box<dyn Any + Send>) -> String {
    let words = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(words), _) => (*words).to_string(),
        (_, Some(words)) => words.clone(),
        _ => "it panicked without a word".to_string(),
    };
    std::mem::forget(payload);
    words
}

#[cfg(test)]
mod tests {
    use tidegate_core::{Config, Instant, TierConfig};

    use super::*;
    use crate::handle::give;

    fn scheduler() -> Scheduler {
        let config = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only")).build();
        Scheduler::new(config.expect("a valid config"), Instant::ZERO)
    }

    fn handle(access: Access) -> *mut SchedulerHandle {
        give(SchedulerHandle::new(access))
    }

    /// What the last error says; the handle ends.
    fn last_words(handle: *mut SchedulerHandle) -> String {
        let mut words = String::new();
        // SAFETY: a live handle.
        unsafe {
            let status = look_back(handle, |last| {
                words = last.map(Fault::to_string).unwrap_or_default();
                Ok(())
            });
            assert_eq!(status, Status::Ok);
            free(handle);
        }
        words
    }

    #[test]
    fn a_panic_in_a_verb_becomes_a_status_and_poisons_the_handle() {
        let handle = handle(Access::Own(scheduler()));
        // SAFETY: a live handle.
        unsafe {
            assert_eq!(mutate(handle, |_| panic!("the ledger of {}", "P0")), Status::Panic);
            assert_eq!(mutate(handle, |_| Ok(())), Status::Poisoned);
            assert_eq!(observe(handle, |_| Ok(())), Status::Poisoned);
            assert!(matches!(take_scheduler(handle, || Ok(())), Err(Status::Poisoned)));
        }
        assert_eq!(last_words(handle), "a bug in tidegate: the ledger of P0");
    }

    #[test]
    fn a_panic_in_an_observer_poisons_too() {
        let handle = handle(Access::Own(scheduler()));
        // SAFETY: a live handle.
        unsafe {
            assert_eq!(observe(handle, |_| panic!("no")), Status::Panic);
            assert_eq!(observe(handle, |_| Ok(())), Status::Poisoned);
            free(handle);
        }
    }

    /// Of two handles of one shared scheduler the one that did not panic hears of it.
    #[test]
    fn a_panic_poisons_all_handles_of_a_shared_scheduler() {
        for by_verb in [true, false] {
            let shared = Arc::new(SharedScheduler::new(scheduler(), 1));
            let [one, other] = [&shared, &shared].map(|shared| handle(Access::Shared(Arc::clone(shared))));
            // SAFETY: live handles.
            unsafe {
                let panicked = match by_verb {
                    true => mutate(one, |_| panic!("the ledger")),
                    false => observe(one, |_| panic!("the ledger")),
                };
                assert_eq!(panicked, Status::Panic);
                assert_eq!(mutate(one, |_| Ok(())), Status::Poisoned);
                assert_eq!(observe(other, |_| Ok(())), Status::Poisoned);
                assert_eq!(mutate(other, |_| Ok(())), Status::Poisoned);
                free(one);
            }
            assert_eq!(last_words(other), "a thread panicked while it held the scheduler");
        }
    }

    /// Who calls from inside of a call is as good as a second thread.
    #[test]
    fn a_second_call_at_the_same_time_is_told_so() {
        let handle = handle(Access::Own(scheduler()));
        // SAFETY: a live handle; that a second call comes beside the first is what is tested, and it touches nothing.
        unsafe {
            let status = mutate(handle, |_| {
                assert_eq!(mutate(handle, |_| Ok(())), Status::InUse);
                assert_eq!(observe(handle, |_| Ok(())), Status::InUse);
                assert_eq!(look_back(handle, |_| Ok(())), Status::InUse);
                assert!(matches!(take_scheduler(handle, || Ok(())), Err(Status::InUse)));
                Ok(())
            });
            assert_eq!(status, Status::Ok);
            let beside = || observe(handle, |_| Ok(()));
            let status = observe(handle, |_| {
                assert_eq!(beside(), Status::Ok);
                if cfg!(debug_assertions) {
                    assert_eq!(mutate(handle, |_| Ok(())), Status::InUse);
                }
                Ok(())
            });
            assert_eq!(status, Status::Ok);
        }
        assert_eq!(last_words(handle), "");
    }

    #[test]
    fn a_drop_that_panics_stays_inside() {
        struct Mine;
        impl Handle for Mine {
            const MARK: u64 = 1;
            const ARGUMENT: &'static str = "mine";
        }
        impl Drop for Mine {
            fn drop(&mut self) {
                panic!("on the way out");
            }
        }
        // SAFETY: from `give`, and used once.
        unsafe { free(give(Mine)) };
    }
}
