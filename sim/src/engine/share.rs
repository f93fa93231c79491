//! What an engine has of the time of its devices.
//!
//! Decides how much longer an iteration takes beside other engines: as many times as long as there are that compute on the same device
//! when it begins, whoever comes or goes meanwhile; on a slice of its own always the same. State: by device, how many compute.

use std::cell::Cell;
use std::rc::Rc;

/// How many engines of one device compute now.
pub type Busy = Rc<Cell<u32>>;

/// An engine's place on its devices; by default it has them for itself. O(devices) where it shares any.
#[derive(Clone, Debug)]
pub struct Share {
    busy: Vec<Busy>,
    is_counted: bool,
    /// How many times as long anything takes, whoever else computes: a numerator and a denominator.
    slice: (u64, u64),
}

impl Default for Share {
    fn default() -> Self {
        Self::of_slice(1, 1)
    }
}

impl Share {
    /// A slice on which all takes `times / of` as long.
    #[must_use]
    pub fn of_slice(times: u64, of: u64) -> Self {
        Self { busy: Vec::new(), is_counted: false, slice: (times, of.max(1)) }
    }

    /// Part in the time of these devices.
    #[must_use]
    pub fn beside(busy: Vec<Busy>) -> Self {
        Self { busy, ..Self::default() }
    }

    /// The engine begins to compute, or goes on; or it has nothing to do.
    #[inline]
    pub(super) fn compute(&mut self, computes: bool) {
        if self.is_counted != computes {
            self.is_counted = computes;
            for busy in &self.busy {
                busy.set(if computes { busy.get() + 1 } else { busy.get() - 1 });
            }
        }
    }

    /// How long an iteration takes that begins now, and would take so long alone.
    #[inline]
    pub(super) fn stretch(&self, ns: u64) -> u64 {
        let most = self.busy.iter().map(|busy| busy.get()).max().unwrap_or(1);
        match self.slice {
            (1, 1) => ns.saturating_mul(u64::from(most)),
            (times, of) => ns.saturating_mul(times) / of,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shared_among_those_who_compute() {
        let (one, other): (Busy, Busy) = Default::default();
        let mut group = Share::beside(vec![one.clone(), other.clone()]);
        let (mut left, mut right) = (Share::beside(vec![one.clone()]), Share::beside(vec![other]));
        left.compute(true);
        assert_eq!(left.stretch(10), 10, "the others are idle");
        group.compute(true);
        group.compute(true);
        right.compute(true);
        assert_eq!([&left, &right, &group].map(|share| share.stretch(10)), [20, 20, 20]);
        left.compute(false);
        left.compute(false);
        assert_eq!((one.get(), group.stretch(10)), (1, 20), "the slower of two devices counts");
        assert_eq!((Share::of_slice(7, 3).stretch(30), Share::default().stretch(30)), (70, 30));
    }
}
