//! The guard around every body: no panic leaves the library, and after one the handle refuses all but
//! being asked what happened and being freed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_core::{Config, Scheduler};

use crate::batch::Lists;
use crate::fault::Fault;
use crate::status::TidegateStatus as Status;

/// A config, read and validated; it never changes. Made by tidegate_config_from_toml, ended by
/// tidegate_config_free.
pub struct ConfigHandle(pub(crate) Config);

/// A scheduler. Made by tidegate_scheduler_new, ended by tidegate_scheduler_free.
pub struct SchedulerHandle {
    scheduler: Scheduler,
    /// Of the last batch: kept so that the next one finds room.
    lists: Lists,
    /// Atomic because an observer that panics sets it too, and observers may run side by side.
    poisoned: AtomicBool,
    last: Option<Fault>,
}

impl SchedulerHandle {
    pub(crate) const fn new(scheduler: Scheduler) -> Self {
        Self { scheduler, lists: Lists::new(), poisoned: AtomicBool::new(false), last: None }
    }

    /// Why the last verb that failed did.
    pub(crate) const fn last(&self) -> Option<&Fault> {
        self.last.as_ref()
    }

    fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    fn answer(&self, result: &Result<(), Fault>) -> Status {
        if matches!(result, Err(Fault::Panic(_))) {
            self.poisoned.store(true, Ordering::Relaxed);
        }
        result.as_ref().map_or_else(Fault::status, |()| Status::Ok)
    }
}

// The promises of the header's chapter on threads.
const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<ConfigHandle>();
    shareable::<SchedulerHandle>();
};

/// Runs a body that belongs to no handle.
pub(crate) fn guard(body: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(Fault::Panic(words_of(payload))))
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
    // SAFETY: the caller's promise.
    let Some(handle) = (unsafe { handle.as_mut() }) else { return Status::NullPointer };
    if handle.is_poisoned() {
        return Status::Poisoned;
    }
    let mut refused = None;
    let result = guard(|| {
        refused = body(&mut handle.scheduler, &mut handle.lists)?;
        Ok(())
    });
    let status = handle.answer(&result);
    if let Some(fault) = result.err().or(refused) {
        handle.last = Some(fault);
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
    // SAFETY: the caller's promise.
    let Some(handle) = (unsafe { handle.as_ref() }) else { return Status::NullPointer };
    if handle.is_poisoned() {
        return Status::Poisoned;
    }
    let result = guard(|| body(&handle.scheduler));
    handle.answer(&result)
}

/// Drops what a handle points to; a panic in there leaks the rest rather than leave the library.
///
/// # Safety
/// `handle` is NULL or came from `Box::into_raw`, and is not used again.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if handle.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    let owned = unsafe { Box::from_raw(handle) };
    // There is nobody to tell: `_free` has no status.
    let _ = guard(|| {
        drop(owned);
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
    use tidegate_core::{Instant, TierConfig};

    use super::*;

    fn handle() -> SchedulerHandle {
        let config = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only")).build();
        SchedulerHandle::new(Scheduler::new(config.expect("a valid config"), Instant::ZERO))
    }

    #[test]
    fn a_panic_in_a_verb_becomes_a_status_and_poisons_the_handle() {
        let mut handle = handle();
        // SAFETY: a local handle.
        let status = unsafe { mutate(&raw mut handle, |_| panic!("the ledger of {}", "P0")) };
        assert_eq!(status, Status::Panic);
        assert_eq!(handle.last().expect("remembered").to_string(), "a bug in tidegate: the ledger of P0");
        // SAFETY: a local handle.
        assert_eq!(unsafe { mutate(&raw mut handle, |_| Ok(())) }, Status::Poisoned);
        // SAFETY: a local handle.
        assert_eq!(unsafe { observe(&raw const handle, |_| Ok(())) }, Status::Poisoned);
    }

    #[test]
    fn a_panic_in_an_observer_poisons_too() {
        let handle = handle();
        // SAFETY: a local handle.
        assert_eq!(unsafe { observe(&raw const handle, |_| panic!("no")) }, Status::Panic);
        // SAFETY: a local handle.
        assert_eq!(unsafe { observe(&raw const handle, |_| Ok(())) }, Status::Poisoned);
    }

    #[test]
    fn a_drop_that_panics_stays_inside() {
        struct Mine;
        impl Drop for Mine {
            fn drop(&mut self) {
                panic!("on the way out");
            }
        }
        // SAFETY: from a box, and used once.
        unsafe { free(Box::into_raw(Box::new(Mine))) };
    }
}
