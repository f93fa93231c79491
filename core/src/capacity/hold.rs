//! The largest demand of the last window, in two halves aligned at multiples of half the window: O(1) space
//! and time, and between one half and one whole window of memory.

use crate::resources::Resources;
use crate::time::Instant;

/// A running maximum that forgets. The value between two notes is that of the first.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct HoldWindow {
    /// Zero keeps only the present demand.
    half_ns: u64,
    /// When the half that we are in ends: a multiple of its length from the clock's origin.
    ends_at: u64,
    /// The demand since the last note.
    last: Resources,
    /// The largest demand of this half and of the one before.
    current: Resources,
    previous: Resources,
}

impl HoldWindow {
    pub(crate) const fn new(window_ns: u64) -> Self {
        Self {
            half_ns: window_ns / 2,
            ends_at: window_ns / 2,
            last: Resources::ZERO,
            current: Resources::ZERO,
            previous: Resources::ZERO,
        }
    }

    /// Whether it remembers for as long.
    pub(crate) const fn is_of(&self, window_ns: u64) -> bool {
        self.half_ns == window_ns / 2
    }

    /// The demand is `demand` from now on.
    #[inline]
    pub(crate) fn note(&mut self, now: Instant, demand: Resources) {
        if !self.is_this_half(now) {
            self.turn(now);
        }
        self.last = demand;
        // Nearly always there was as much before: 27 instructions of a cycle less.
        if !demand.fits(&self.current) {
            self.current = self.current.max(demand);
        }
    }

    /// Another half has begun since the last note.
    #[cold]
    #[inline(never)]
    fn turn(&mut self, now: Instant) {
        (self.previous, self.current) = self.halves(now);
        self.ends_at = self.end_of_half(now);
    }

    /// The largest demand of the window, if it is `demand` now.
    #[inline]
    pub(crate) fn peak(&self, now: Instant, demand: Resources) -> Resources {
        if self.half_ns == 0 {
            return demand;
        }
        let (previous, current) = self.halves(now);
        previous.max(current).max(demand)
    }

    /// When the peak may fall, if it can: at the next half.
    pub(crate) fn next_turn(&self, now: Instant, demand: Resources) -> Option<Instant> {
        if self.peak(now, demand) == demand { None } else { self.next_half(now) }
    }

    /// When the next half begins, if it remembers anything.
    #[inline]
    pub(crate) fn next_half(&self, now: Instant) -> Option<Instant> {
        let ends_at = if self.is_this_half(now) { self.ends_at } else { self.end_of_half(now) };
        (self.half_ns > 0).then_some(Instant::from_nanos(ends_at))
    }

    /// Whether `now` is in the half of the last note: the common case, and cheaper to tell than in which it is. The last
    /// half of all does not end.
    fn is_this_half(&self, now: Instant) -> bool {
        now.as_nanos() < self.ends_at || self.ends_at == u64::MAX
    }

    fn end_of_half(&self, now: Instant) -> u64 {
        let half = now.as_nanos().checked_div(self.half_ns).unwrap_or(0);
        half.saturating_add(1).saturating_mul(self.half_ns)
    }

    /// The two halves as they are at `now`: the demand did not change since the last note.
    #[inline]
    fn halves(&self, now: Instant) -> (Resources, Resources) {
        if self.half_ns == 0 || self.is_this_half(now) {
            return (self.previous, self.current);
        }
        let is_next = now.as_nanos() - self.ends_at < self.half_ns;
        (if is_next { self.current } else { self.last }, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_between_half_and_whole_a_window() {
        let mut hold = HoldWindow::new(10);
        let at = Instant::from_nanos;
        hold.note(at(3), [7].into());
        hold.note(at(4), [1].into());
        let one = [1].into();
        assert_eq!(hold.peak(at(9), one)[0], 7);
        assert_eq!(hold.next_turn(at(9), one), Some(at(10)));
        assert_eq!(hold.peak(at(10), one)[0], 1);
        assert_eq!(hold.next_turn(at(10), one), None);
        hold.note(at(23), Resources::ZERO);
        assert_eq!(hold.peak(at(24), Resources::ZERO)[0], 1, "it was 1 until 23");
        assert_eq!(hold.peak(at(30), Resources::ZERO)[0], 0);
        assert_eq!(hold.peak(at(30), [3].into())[0], 3, "the present counts, noted or not");
    }

    #[test]
    fn no_window_is_the_present() {
        let mut hold = HoldWindow::new(0);
        hold.note(Instant::ZERO, [7].into());
        hold.note(Instant::ZERO, [2].into());
        assert_eq!(hold.peak(Instant::from_nanos(1), [2].into())[0], 2);
        assert_eq!(hold.next_turn(Instant::ZERO, [2].into()), None);
    }
}
