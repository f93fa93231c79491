//! What of a lease was left untouched for as long as it was good for, and how much is used, and missed, in that time.
//!
//! State: the level at the beginning of a window of half that time, and what was taken in it. What was taken counts as
//! the oldest there was. So what is still there of the beginning is at least one window old when it is called stale, and
//! at most two. O(1).

use super::GAP_NS;
use crate::time::Instant;

/// The length of a window before the first grant says one; chosen arbitrarily.
const FIRST_WINDOW_NS: u64 = 5_000_000_000;

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Idle {
    began_at: Instant,
    window_ns: u64,
    /// The level when the window began.
    level: u64,
    taken: u64,
    /// Taken in the window before.
    taken_before: u64,
    /// What was there when the last window began, and was not taken in it.
    stale: u64,
    /// The most that somebody was refused in this window, and in the one before.
    missed: u64,
    missed_before: u64,
}

impl Idle {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began_at: now,
            window_ns: FIRST_WINDOW_NS,
            level: 0,
            taken: 0,
            taken_before: 0,
            stale: 0,
            missed: 0,
            missed_before: 0,
        }
    }

    /// Grants are good for this long from now on. No window is shorter than it takes until something can be wished for.
    pub(super) fn set_valid_for(&mut self, ns: u64) {
        self.window_ns = (ns / 2).max(GAP_NS);
    }

    /// Closes the windows that ended by `now`; call it before the level changes.
    pub(super) fn roll(&mut self, now: Instant, level: u64) {
        let passed = now.nanos_since(self.began_at) / self.window_ns;
        if passed == 0 {
            return;
        }
        // In the last of several nothing happened at all.
        let (taken, missed, stale) = if passed == 1 {
            (self.taken, self.missed, self.level.saturating_sub(self.taken))
        } else {
            (0, 0, level)
        };
        *self = Self {
            began_at: self.began_at.plus_nanos(passed.saturating_mul(self.window_ns)),
            level,
            taken: 0,
            taken_before: taken,
            stale,
            missed: 0,
            missed_before: missed,
            ..*self
        };
    }

    pub(super) fn take(&mut self, tokens: u64) {
        self.taken = self.taken.saturating_add(tokens);
    }

    pub(super) fn miss(&mut self, tokens: u64) {
        self.missed = self.missed.max(tokens);
    }

    /// The most that somebody was refused in this window or in the one before.
    pub(super) fn missed(&self) -> u64 {
        self.missed.max(self.missed_before)
    }

    /// What was stale has gone back.
    pub(super) fn clear(&mut self) {
        self.stale = 0;
    }

    pub(super) fn stale(&self) -> u64 {
        self.stale
    }

    /// What is used in a window, by this one and the one before.
    pub(super) fn use_of_a_window(&self) -> u64 {
        self.taken.max(self.taken_before)
    }

    pub(super) fn ends_at(&self) -> Instant {
        self.began_at.plus_nanos(self.window_ns)
    }
}
