//! When each worker's engine next has something to report: a tournament tree over the workers.

use crate::engine::NEVER;

/// Children of a node. The least of a few is found without a branch, and a replay of a few workers needs no more.
const WIDTH: usize = 8;

/// The next instant of each worker. Setting one is O(log workers), the earliest is O(1). Of workers at one
/// instant the lowest index comes first.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    /// A heap-shaped tree: node `i` is the earliest of its children, which are the nodes from `WIDTH * i` and stand in
    /// `groups[i]`. Node 1 is the root; the last nodes, from `leaves`, are the workers.
    groups: Vec<[u64; WIDTH]>,
    leaves: usize,
    /// Node 1.
    earliest: u64,
}

impl Calendar {
    pub(super) fn new(workers: usize) -> Self {
        let mut leaves = WIDTH;
        while leaves < workers {
            leaves *= WIDTH;
        }
        Self { groups: vec![[NEVER; WIDTH]; 2 * leaves / WIDTH], leaves, earliest: NEVER }
    }

    #[inline]
    pub(super) fn earliest(&self) -> u64 {
        self.earliest
    }

    /// The worker of the earliest instant.
    #[inline]
    pub(super) fn first(&self) -> usize {
        let mut node = 1;
        while node < self.leaves {
            let place = self.groups[node].iter().position(|&child| child == self.earliest);
            node = WIDTH * node + place.expect("a node is as early as one of its children");
        }
        node - self.leaves
    }

    pub(super) fn at(&self, worker: usize) -> u64 {
        let node = self.leaves + worker;
        self.groups[node / WIDTH][node % WIDTH]
    }

    #[inline]
    pub(super) fn set(&mut self, worker: usize, at: u64) {
        let mut node = self.leaves + worker;
        let mut earlier = at;
        while node > 1 {
            let group = &mut self.groups[node / WIDTH];
            group[node % WIDTH] = earlier;
            earlier = group.iter().fold(NEVER, |least, &child| least.min(child));
            node /= WIDTH;
        }
        self.earliest = earlier;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_ties_go_to_the_lowest_worker() {
        for workers in [1, 2, 3, 8, 9, 64, 65] {
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
