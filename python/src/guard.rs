//! A value behind a lock that a panic closes for good, and a fork that finds somebody inside.
//!
//! A panic inside is a bug in tidegate. It must not unwind into the interpreter, where it would pass every
//! `except Exception`, and the value it left half changed must not be used again. Nor may a child process wait for a thread
//! that its parent alone has: the child finds the lock taken, and nobody there who would give it back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::thread;

/// How many forks lie between the process that loaded this module and the one that it runs in.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// This process was just forked off another: to be called before a second thread starts.
pub(crate) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The number of this process, among those that fork off one another.
pub(crate) fn process() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// The value and its lock.
pub(crate) struct Guarded<T> {
    value: Mutex<T>,
    /// What is known of the lock, in which process: [`FORKS`] times [`STATES`], and a state.
    known: AtomicU64,
}

const STATES: u64 = 3;
/// Whoever has the lock is a thread of this process.
const OURS: u64 = 0;
/// A thread of this process is about to find out.
const ASKED: u64 = 1;
/// A thread of the parent had the lock when this process was forked.
const LEFT_TAKEN: u64 = 2;

/// Why the value cannot be used any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// What a panic said, in this call or in an earlier one.
    Panicked(String),
    /// The process was forked while a thread was inside.
    Forked,
    /// The process was forked off the one that has it.
    Elsewhere,
}

impl<T> Guarded<T> {
    pub(crate) fn new(value: T) -> Self {
        let known = FORKS.load(Ordering::Relaxed) * STATES + OURS;
        Self { value: Mutex::new(value), known: AtomicU64::new(known) }
    }

    /// Runs `work` on the value, alone.
    ///
    /// `work` must not call Python: another thread may hold the interpreter and wait for this lock.
    ///
    /// # Errors
    /// [`Closed`] if `work` panicked, now or in an earlier call, or a fork found another thread inside.
    pub(crate) fn run<R>(&self, work: impl FnOnce(&mut T) -> R) -> Result<R, Closed> {
        if !self.is_ours() {
            return Err(Closed::Forked);
        }
        let poisoned = |_: PoisonError<_>| Closed::Panicked("an earlier call failed inside".to_owned());
        // The guard lives inside the closure: unwinding drops it, which poisons the lock.
        caught(|| Ok(work(&mut *self.value.lock().map_err(poisoned)?)))?
    }

    /// Whether the lock is free, or somebody has it who will give it back.
    #[inline]
    fn is_ours(&self) -> bool {
        let here = FORKS.load(Ordering::Relaxed) * STATES;
        self.known.load(Ordering::Acquire) == here + OURS || self.ask(here)
    }

    /// The first to come in a process asks: nobody else here can have taken the lock yet.
    #[cold]
    fn ask(&self, here: u64) -> bool {
        let mut known = self.known.load(Ordering::Acquire);
        loop {
            match known.checked_sub(here) {
                Some(OURS) => return true,
                Some(LEFT_TAKEN) => return false,
                // Who asks needs a moment. If the process is forked in it, what is known in the child is of an earlier one.
                Some(_) => {
                    thread::yield_now();
                    known = self.known.load(Ordering::Acquire);
                }
                None => {
                    let asked = here + ASKED;
                    match self.known.compare_exchange(known, asked, Ordering::AcqRel, Ordering::Acquire) {
                        Ok(_) => {
                            known = here + self.find_out();
                            self.known.store(known, Ordering::Release);
                        }
                        Err(now) => known = now,
                    }
                }
            }
        }
    }

    fn find_out(&self) -> u64 {
        match self.value.try_lock() {
            Err(TryLockError::WouldBlock) => LEFT_TAKEN,
            Ok(_) | Err(TryLockError::Poisoned(_)) => OURS,
        }
    }
}

/// Runs `work`.
///
/// # Errors
/// [`Closed`] if it panicked.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, Closed> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Closed::Panicked(message(&*payload)))
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
