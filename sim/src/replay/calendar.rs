//! When each worker's engine next has something to report: a tournament tree over the workers.

use crate::engine::NEVER;

/// The next instant of each worker. Setting one is O(log workers), the earliest is O(1). Of workers at one
/// instant the lowest index comes first.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    /// A heap-shaped tree: node `i` is the earlier of `2i` and `2i + 1`, the leaves are the workers.
    times: Vec<u64>,
    leaves: usize,
}

impl Calendar {
    pub(super) fn new(workers: usize) -> Self {
        let leaves = workers.next_power_of_two();
        Self { times: vec![NEVER; 2 * leaves], leaves }
    }

    pub(super) fn earliest(&self) -> u64 {
        self.times[1]
    }

    /// The worker of the earliest instant.
    #[inline]
    pub(super) fn first(&self) -> usize {
        let earliest = self.earliest();
        let mut node = 1;
        while node < self.leaves {
            node *= 2;
            node += usize::from(self.times[node] != earliest);
        }
        node - self.leaves
    }

    pub(super) fn at(&self, worker: usize) -> u64 {
        self.times[self.leaves + worker]
    }

    #[inline]
    pub(super) fn set(&mut self, worker: usize, at: u64) {
        let mut node = self.leaves + worker;
        let mut earlier = at;
        self.times[node] = at;
        while node > 1 {
            earlier = earlier.min(self.times[node ^ 1]);
            node /= 2;
            self.times[node] = earlier;
        }
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
