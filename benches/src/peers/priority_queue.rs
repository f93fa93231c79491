//! Cancellation by key in the most used priority queue that has one. Leaves out all but the order.

use std::cmp::Reverse;

use priority_queue::PriorityQueue;

use super::{Key, key};
use crate::conditions::{random_index, take_random};

/// A priority queue of requests, any of which may leave it.
#[derive(Debug)]
pub struct CancelByKey {
    queue: PriorityQueue<u64, Key>,
    ids: Vec<u64>,
    next: u64,
    random: u64,
}

impl CancelByKey {
    /// A queue of so many requests.
    #[must_use]
    pub fn new(waiting: u64) -> Self {
        let queue = (0..waiting).map(|id| (id, key(id))).collect();
        Self { queue, ids: (0..waiting).collect(), next: waiting, random: 1 }
    }

    /// One that waits somewhere in the queue is removed, and one of its tier comes.
    ///
    /// # Panics
    /// If the queue is empty.
    pub fn cancel_and_push(&mut self) {
        let index = random_index(&mut self.random, self.ids.len());
        let (_, Reverse((tier, _))) = self.queue.remove(&self.ids[index]).expect("it waits");
        self.queue.push(self.next, Reverse((tier, self.next)));
        self.ids[index] = self.next;
        self.next += 1;
    }

    /// So many that wait somewhere in the queue.
    pub fn choose(&mut self, count: usize) -> Vec<u64> {
        take_random(&mut self.random, &mut self.ids, count)
    }

    /// Removes the chosen ones, and nothing else.
    ///
    /// # Panics
    /// If one is not there.
    pub fn cancel(&mut self, chosen: &[u64]) {
        for id in chosen {
            self.queue.remove(id).expect("it waits");
        }
    }

    /// As many newcomers of the same tiers.
    pub fn refill(&mut self, chosen: &[u64]) {
        for id in chosen {
            self.queue.push(self.next, Reverse((id % 3, self.next)));
            self.ids.push(self.next);
            self.next += 1;
        }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_removed_and_made_up_for() {
        let mut peer = CancelByKey::new(300);
        for _ in 0..20 {
            let chosen = peer.choose(75);
            peer.cancel(&chosen);
            assert_eq!(peer.waiting(), 225);
            peer.refill(&chosen);
            assert_eq!(peer.waiting(), 300);
        }
        (0..20).for_each(|_| peer.cancel_and_push());
        assert_eq!((peer.waiting(), peer.next), (300, 300 + 20 * 75 + 20));
    }
}
