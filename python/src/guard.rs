//! A value behind a lock that a panic closes for good.
//!
//! A panic inside is a bug in tidegate. It must not unwind into the interpreter, where it would pass every
//! `except Exception`, and the value it left half changed must not be used again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// The value and its lock.
pub(crate) struct Guarded<T>(Mutex<T>);

/// What a panic said, in this call or in an earlier one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panicked(pub(crate) String);

impl<T> Guarded<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Runs `work` on the value, alone.
    ///
    /// `work` must not call Python: another thread may hold the interpreter and wait for this lock.
    ///
    /// # Errors
    /// [`Panicked`] if `work` panicked, now or in an earlier call.
    pub(crate) fn run<R>(&self, work: impl FnOnce(&mut T) -> R) -> Result<R, Panicked> {
        let poisoned = |_: PoisonError<_>| Panicked("an earlier call failed inside".to_owned());
        // The guard lives inside the closure: unwinding drops it, which poisons the lock.
        caught(|| Ok(work(&mut *self.0.lock().map_err(poisoned)?)))?
    }
}

/// Runs `work`.
///
/// # Errors
/// [`Panicked`] if it panicked.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked(message(&*payload)))
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
