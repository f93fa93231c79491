//! A bucket wheel: which requests of a worker have something to do at which decode step.
//!
//! A step is due at most [`MAX_AHEAD`] steps ahead, so that a bucket holds requests of one step only. Insert
//! and take are O(1); removal, which only a preemption needs, searches its bucket.

/// Buckets. A request grows every 16 steps, and one just admitted within 32 (its prompt's last block may be
/// almost empty, and one more is held); 64 is the next power of two.
const BUCKETS: usize = u64::BITS as usize;

/// The farthest step, counted from the present one, that can be told apart.
pub(super) const MAX_AHEAD: u32 = BUCKETS as u32 - 1;

/// Requests by the decode step at which they are due.
#[derive(Clone, Debug)]
pub(super) struct Wheel {
    buckets: [Vec<u32>; BUCKETS],
    /// A bit for each bucket: it holds somebody.
    in_use: u64,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { buckets: std::array::from_fn(|_| Vec::new()), in_use: 0 }
    }

    pub(super) fn insert(&mut self, step: u32, request: u32) {
        let index = step as usize % BUCKETS;
        self.buckets[index].push(request);
        self.in_use |= 1 << index;
    }

    pub(super) fn remove(&mut self, step: u32, request: u32) {
        let index = step as usize % BUCKETS;
        let bucket = &mut self.buckets[index];
        let place = bucket.iter().position(|&other| other == request);
        bucket.swap_remove(place.expect("a decoding request stands in the bucket of its due step"));
        if bucket.is_empty() {
            self.in_use &= !(1 << index);
        }
    }

    /// Whether any is due at `step`.
    #[inline]
    pub(super) fn has(&self, step: u32) -> bool {
        self.in_use >> (step as usize % BUCKETS) & 1 != 0
    }

    /// Exchanges the requests due at `step` for the empty `into`; give the vector back as the next `into`.
    pub(super) fn take(&mut self, step: u32, into: &mut Vec<u32>) {
        debug_assert!(into.is_empty());
        let index = step as usize % BUCKETS;
        std::mem::swap(&mut self.buckets[index], into);
        self.in_use &= !(1 << index);
    }
}
