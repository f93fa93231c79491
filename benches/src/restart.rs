//! A scheduler written out and read back.

use tidegate::Scheduler;

use crate::growth::GrowingQueue;

/// A full machine with a queue, and its snapshot.
#[derive(Debug)]
pub struct Restart {
    queue: GrowingQueue,
    snapshot: Vec<u8>,
}

impl Restart {
    /// So many wait.
    #[must_use]
    pub fn new(waiting: usize) -> Self {
        let mut queue = GrowingQueue::new();
        (0..waiting).for_each(|_| queue.add());
        let mut restart = Self { queue, snapshot: Vec::new() };
        restart.write();
        restart
    }

    /// Writes it out; how many bytes that are.
    pub fn write(&mut self) -> usize {
        self.snapshot = self.queue.scheduler().snapshot();
        self.snapshot.len()
    }

    /// Reads it back.
    ///
    /// # Panics
    /// If it is not what was written.
    #[must_use]
    pub fn restore(&self) -> Scheduler {
        let written = self.queue.scheduler();
        let restored =
            Scheduler::restore(written.config().clone(), &self.snapshot).expect("it was just written");
        assert_eq!(restored.stats(), written.stats(), "it is the same");
        restored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_again() {
        let mut restart = Restart::new(500);
        let bytes = restart.write();
        let restored = restart.restore();
        assert_eq!(restored.check_invariants(), Ok(()));
        assert_eq!(restored.snapshot().len(), bytes);
    }
}
