//! A bucket wheel: which requests of a worker have something to do at which decode step.
//!
//! A step is due at most [`MAX_AHEAD`] steps ahead, so that a bucket holds requests of one step only. Insert
//! and take are O(1); removal, which only a preemption needs, searches its bucket.

/// Buckets. A request grows every 16 steps, and one just admitted within 32 (its prompt's last block may be
/// almost empty, and one more is held); 64 is the next power of two.
const BUCKETS: usize = 64;

/// The farthest step, counted from the present one, that can be told apart.
pub(super) const MAX_AHEAD: u32 = BUCKETS as u32 - 1;

/// Requests by the decode step at which they are due.
#[derive(Clone, Debug)]
pub(super) struct Wheel {
    buckets: [Vec<u32>; BUCKETS],
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { buckets: std::array::from_fn(|_| Vec::new()) }
    }

    pub(super) fn insert(&mut self, step: u32, request: u32) {
        self.buckets[step as usize % BUCKETS].push(request);
    }

    pub(super) fn remove(&mut self, step: u32, request: u32) {
        let bucket = &mut self.buckets[step as usize % BUCKETS];
        let place = bucket.iter().position(|&other| other == request);
        bucket.swap_remove(place.expect("a decoding request stands in the bucket of its due step"));
    }

    /// Whether none is due at `step`.
    pub(super) fn is_free(&self, step: u32) -> bool {
        self.buckets[step as usize % BUCKETS].is_empty()
    }

    /// Exchanges the requests due at `step` for the empty `into`; give the vector back as the next `into`.
    pub(super) fn take(&mut self, step: u32, into: &mut Vec<u32>) {
        debug_assert!(into.is_empty());
        std::mem::swap(&mut self.buckets[step as usize % BUCKETS], into);
    }
}
