//! What a handle begins with: a mark that tells it from what is freed or foreign, and whose turn it is.
//!
//! A pointer that is not NULL is the caller's promise; what is looked at here is whether the promise is plausible. Memory
//! that was freed may be another handle by now, and two threads may miss each other: a check that passes proves nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::fault::Fault;

/// What is wrong with a handle, or with the time of a call on it. Small: it is asked for in every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    Null(&'static str),
    BadHandle(&'static str),
    InUse,
}

impl From<Misuse> for Fault {
    fn from(misuse: Misuse) -> Self {
        match misuse {
            Misuse::Null(argument) => Self::Null(argument),
            Misuse::BadHandle(argument) => Self::BadHandle(argument),
            Misuse::InUse => Self::InUse,
        }
    }
}

/// Something that C holds a pointer to. What lies there is a [`Marked`]: `*const T` is only its name in the header, which
/// is not to show the inside.
pub(crate) trait Handle {
    /// What no other kind of handle begins with, and no plausible memory: chosen arbitrarily.
    const MARK: u64;
    /// What the header calls the argument.
    const ARGUMENT: &'static str;
}

/// A handle as it lies in memory.
#[repr(C)]
struct Marked<T> {
    mark: AtomicU64,
    body: T,
}

/// On the heap, for C to hold.
pub(crate) fn give<T: Handle>(body: T) -> *mut T {
    Box::into_raw(Box::new(Marked { mark: AtomicU64::new(T::MARK), body })).cast()
}

/// The handle at this address, if it begins as one does.
///
/// # Safety
/// `at` is NULL or came from [`give`], and is not taken back while the result is used.
pub(crate) unsafe fn live<'a, T: Handle>(at: *const T) -> Result<&'a T, Misuse> {
    let at = at.cast::<Marked<T>>();
    if at.is_null() {
        return Err(Misuse::Null(T::ARGUMENT));
    }
    // SAFETY: the caller's promise; of a foreign pointer no more is looked at than must be.
    let marked = at.is_aligned() && unsafe { (*at).mark.load(Ordering::Relaxed) } == T::MARK;
    // SAFETY: the caller's promise, which is plausible.
    if marked { Ok(unsafe { &(*at).body }) } else { Err(Misuse::BadHandle(T::ARGUMENT)) }
}

/// Takes a handle back from C, which may not use it again. `None` if there is none, or if it is none of this kind.
///
/// # Safety
/// `at` is NULL or came from [`give`], and nobody uses it any more.
pub(crate) unsafe fn take_back<T: Handle>(at: *mut T) -> Option<T> {
    // SAFETY: the caller's promise.
    unsafe { live(at) }.ok()?;
    let at = at.cast::<Marked<T>>();
    // SAFETY: it is one. Volatile, because the compiler sees that nobody may look any more.
    unsafe { (&raw mut (*at).mark).cast::<u64>().write_volatile(0) };
    // SAFETY: the caller's promise.
    Some(unsafe { Box::from_raw(at) }.body)
}

/// Whose turn it is on a handle: many who look, or one who changes it. It does not make anybody wait; it tells that
/// somebody should have.
///
/// With debug assertions it tells for certain. Without, it must not cost what a lock does: those who change it are told
/// of each other most of the time, and those who look of those who change it.
pub(crate) struct Turns {
    taken: AtomicBool,
    /// Those who look; counted with debug assertions.
    lookers: AtomicU32,
}

impl Turns {
    pub(crate) const fn new() -> Self {
        Self { taken: AtomicBool::new(false), lookers: AtomicU32::new(0) }
    }

    /// A turn alone, until the result is dropped.
    pub(crate) fn alone(&self) -> Result<Alone<'_>, Misuse> {
        if cfg!(debug_assertions) {
            if self.taken.swap(true, Ordering::Acquire) {
                return Err(Misuse::InUse);
            }
        } else {
            if self.taken.load(Ordering::Relaxed) {
                return Err(Misuse::InUse);
            }
            self.taken.store(true, Ordering::Relaxed);
        }
        let turn = Alone(self);
        if cfg!(debug_assertions) && self.lookers.load(Ordering::Acquire) > 0 {
            return Err(Misuse::InUse);
        }
        Ok(turn)
    }

    /// A turn beside others who look, until the result is dropped.
    pub(crate) fn beside(&self) -> Result<Beside<'_>, Misuse> {
        if cfg!(debug_assertions) {
            self.lookers.fetch_add(1, Ordering::Acquire);
        }
        let turn = Beside(self);
        if self.taken.load(Ordering::Acquire) { Err(Misuse::InUse) } else { Ok(turn) }
    }
}

pub(crate) struct Alone<'a>(&'a Turns);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

pub(crate) struct Beside<'a>(&'a Turns);

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if cfg!(debug_assertions) {
            self.0.lookers.fetch_sub(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Mine(u32);

    impl Handle for Mine {
        const MARK: u64 = 0x0123_4567_89AB_CDEF;
        const ARGUMENT: &'static str = "mine";
    }

    struct Other;

    impl Handle for Other {
        const MARK: u64 = 1;
        const ARGUMENT: &'static str = "other";
    }

    #[test]
    fn a_handle_is_told_from_all_else() {
        let at = give(Mine(7));
        // SAFETY: from `give`, and NULL.
        unsafe {
            assert_eq!(live(at).map(|mine| mine.0).ok(), Some(7));
            assert!(matches!(live::<Mine>(std::ptr::null()), Err(Misuse::Null("mine"))));
            assert!(matches!(live(at.cast::<Other>()), Err(Misuse::BadHandle("other"))));
            assert!(matches!(live(at.byte_add(1)), Err(Misuse::BadHandle("mine"))));
            assert!(take_back(at.cast::<Other>()).is_none());
            assert_eq!(take_back(at).map(|mine| mine.0), Some(7));
        }
    }

    #[test]
    fn one_changes_or_many_look() {
        let turns = Turns::new();
        let alone = turns.alone().ok();
        assert!(turns.alone().is_err() && turns.beside().is_err());
        drop(alone);
        let (first, second) = (turns.beside().ok(), turns.beside().ok());
        assert!(first.is_some() && second.is_some());
        assert_eq!(turns.alone().is_err(), cfg!(debug_assertions));
        drop((first, second));
        assert!(turns.alone().is_ok());
    }
}
