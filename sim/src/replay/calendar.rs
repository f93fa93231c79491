//! When each worker's engine next has something to report: a tournament tree over the workers.

use crate::engine::NEVER;

/// The next instant of each worker. Setting one is O(log workers), the earliest is O(1). Of workers at one
/// instant the lowest index comes first.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    /// A heap-shaped tree: node `i` is the earlier of its children `2i` and `2i + 1`, which stand in `pairs[i]`; the
    /// last nodes are the workers.
    pairs: Vec<[u64; 2]>,
    /// Node 1.
    earliest: u64,
}

impl Calendar {
    pub(super) fn new(workers: usize) -> Self {
        Self { pairs: vec![[NEVER; 2]; workers.next_power_of_two().max(2)], earliest: NEVER }
    }

    #[inline]
    pub(super) fn earliest(&self) -> u64 {
        self.earliest
    }

    /// The worker of the earliest instant.
    #[inline]
    pub(super) fn first(&self) -> usize {
        let mut node = 1;
        while let Some(&[left, _]) = self.pairs.get(node) {
            node = 2 * node + usize::from(left != self.earliest);
        }
        node - self.pairs.len()
    }

    pub(super) fn at(&self, worker: usize) -> u64 {
        let node = self.pairs.len() + worker;
        self.pairs[node / 2][node % 2]
    }

    #[inline]
    pub(super) fn set(&mut self, worker: usize, at: u64) {
        let mut node = self.pairs.len() + worker;
        let mut earlier = at;
        while node > 1 {
            let pair = &mut self.pairs[node / 2];
            pair[node % 2] = earlier;
            earlier = pair[0].min(pair[1]);
            node /= 2;
        }
        self.earliest = earlier;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_ties_go_to_the_lowest_worker() {
        for workers in [1, 2, 3, 5, 8] {
            let mut calendar = Calendar::new(workers);
            assert_eq!(calendar.earliest(), NEVER);
            for worker in (0..workers).rev() {
                calendar.set(worker, 7);
                assert_eq!((calendar.first(), calendar.earliest()), (worker, 7));
            }
            calendar.set(workers - 1, 3);
            assert_eq!((calendar.first(), calendar.earliest()), (workers - 1, 3));
            calendar.set(workers - 1, NEVER);
            assert_eq!(calendar.at(workers - 1), NEVER);
            assert_eq!(calendar.earliest(), if workers == 1 { NEVER } else { 7 });
        }
    }
}
