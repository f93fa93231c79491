//! A full machine whose queue is shuffled by cancellations.

use tidegate::{RequestId, Scheduler, TenantId, Tier};

use crate::conditions::{TURN_NS, random_index, take_random};
use crate::steady_state::SteadyState;

/// A full machine with requests that may be cancelled.
#[derive(Debug)]
pub struct Cancellations {
    state: SteadyState,
    queue: Vec<RequestId>,
    random: u64,
}

impl Cancellations {
    /// A full machine with `waiting` requests that may be cancelled.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn new(waiting: usize) -> Self {
        let (state, queue) = SteadyState::with_ids(waiting);
        Self { state, queue, random: 1 }
    }

    /// One request that waits somewhere in the queue is cancelled, and one of its tier and tenant is submitted.
    ///
    /// # Panics
    /// If the scheduler refuses.
    pub fn cancel_and_submit(&mut self) {
        self.pass_time();
        let index = random_index(&mut self.random, self.queue.len());
        self.state.scheduler.cancel(self.state.now, self.queue[index]).expect("it waits");
        let (tier, tenant) = self.state.of(self.queue[index]);
        self.queue[index] = self.state.submit(tier, tenant);
    }

    /// So many that wait somewhere in the queue, which is shorter by them.
    pub fn choose(&mut self, count: usize) -> Vec<RequestId> {
        take_random(&mut self.random, &mut self.queue, count)
    }

    /// Cancels the chosen ones, and nothing else.
    ///
    /// # Panics
    /// If the scheduler refuses.
    pub fn cancel(&mut self, chosen: &[RequestId]) {
        for &request in chosen {
            self.pass_time();
            self.state.scheduler.cancel(self.state.now, request).expect("it waits");
        }
    }

    /// Submits one of the tier and tenant of each of the chosen ones.
    ///
    /// # Panics
    /// If the scheduler refuses, or has anything to say.
    pub fn refill(&mut self, chosen: &[RequestId]) {
        let kinds: Vec<(Tier, TenantId)> = chosen.iter().map(|&request| self.state.of(request)).collect();
        for (tier, tenant) in kinds {
            self.pass_time();
            self.queue.push(self.state.submit(tier, tenant));
        }
        assert_eq!(self.state.scheduler.poll(self.state.now), None, "the machine is full");
    }

    /// The scheduler, to look at.
    #[must_use]
    pub const fn scheduler(&self) -> &Scheduler {
        &self.state.scheduler
    }

    fn pass_time(&mut self) {
        self.state.now = self.state.now.plus_nanos(TURN_NS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::TIERS;

    fn depths(scheduler: &Scheduler) -> [usize; 3] {
        TIERS.map(|tier| scheduler.queue_depth(tier))
    }

    #[test]
    fn a_cancellation_keeps_the_queue() {
        let mut queue = Cancellations::new(300);
        let before = depths(queue.scheduler());
        for _ in 0..1_000 {
            queue.cancel_and_submit();
        }
        assert_eq!(depths(queue.scheduler()), before);
        assert_eq!(queue.scheduler().stats().cancelled, 1_000);
        assert_eq!(queue.scheduler().check_invariants(), Ok(()));
    }

    #[test]
    fn a_batch_is_cancelled_and_made_up_for() {
        let mut queue = Cancellations::new(300);
        let before = depths(queue.scheduler());
        for batch in 1..=20 {
            let chosen = queue.choose(75);
            queue.cancel(&chosen);
            assert_eq!(depths(queue.scheduler()).iter().sum::<usize>(), 303 - 75);
            queue.refill(&chosen);
            assert_eq!(depths(queue.scheduler()), before);
            assert_eq!(queue.scheduler().stats().cancelled, 75 * batch);
        }
        assert_eq!(queue.scheduler().check_invariants(), Ok(()));
    }
}
