//! The cycle off the shelf: an order from the standard library and a limit from the most used limiter. Leaves out
//! reservations, fairness, concurrency, the second level of the tree, placement, settling, and cancellation.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{Key, key};
use crate::conditions::{TENANTS, random_index};

/// A heap of requests and a keyed limiter with the clock that it has by default.
#[derive(Debug)]
pub struct HeapGovernor {
    heap: BinaryHeap<(Key, u64)>,
    limiter: DefaultKeyedRateLimiter<u64>,
    next: u64,
    random: u64,
}

impl HeapGovernor {
    /// A heap of so many requests, and 10,000 tenants that the limiter has seen.
    ///
    /// # Panics
    /// If a tenant is over its limit.
    #[must_use]
    pub fn new(waiting: u64) -> Self {
        let heap = (0..waiting).map(|id| (key(id), id)).collect();
        // The most that there is: nobody is to come near it.
        let limiter = RateLimiter::keyed(Quota::per_second(NonZeroU32::MAX));
        (0..TENANTS as u64).for_each(|tenant| limiter.check_key(&tenant).expect("within its limit"));
        Self { heap, limiter, next: waiting, random: 1 }
    }

    /// The first of the heap leaves it, one of its tier comes, and its tenant's limit is checked.
    ///
    /// # Panics
    /// If the tenant is over its limit.
    pub fn turn(&mut self) {
        let (Reverse((tier, _)), _) = self.heap.pop().expect("it is never empty");
        self.heap.push((Reverse((tier, self.next)), self.next));
        self.next += 1;
        let tenant = random_index(&mut self.random, TENANTS) as u64;
        self.limiter.check_key(&tenant).expect("within its limit");
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_keeps_the_heap() {
        let mut peer = HeapGovernor::new(300);
        (0..1_000).for_each(|_| peer.turn());
        assert_eq!((peer.waiting(), peer.next), (300, 1_300));
        assert_eq!(peer.limiter.len(), TENANTS);
    }
}
