//! Workers whose caches the scheduler knows, as many blocks as it may.

use tidegate::{Affinity, Instant, Scheduler, WorkerId};

use crate::conditions::{WORKERS, add_workers, config_with_affinity};
use crate::steady_state::SLOTS_PER_WORKER;

/// How many blocks a prompt has.
const PROMPT: usize = 50;

/// 64 workers, and nobody asks for anything.
#[derive(Debug)]
pub struct Caches {
    scheduler: Scheduler,
    told: usize,
}

impl Caches {
    /// An index that may know so many blocks, and knows none.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn new(blocks: u32) -> Self {
        let config = config_with_affinity(Affinity::new(blocks));
        let mut scheduler = Scheduler::new(config, Instant::ZERO);
        add_workers(&mut scheduler, WORKERS, WORKERS * SLOTS_PER_WORKER);
        Self { scheduler, told: 0 }
    }

    /// Each worker in turn has prompts that none had before, so many blocks in all; the oldest go.
    ///
    /// # Panics
    /// If the scheduler refuses.
    pub fn store(&mut self, blocks: usize) {
        for _ in 0..blocks.div_ceil(PROMPT) {
            let first = (self.told * PROMPT) as u64;
            let prompt: [u64; PROMPT] = std::array::from_fn(|block| first + block as u64);
            let worker = WorkerId::new((self.told % WORKERS) as u32);
            self.scheduler.cache_stored(Instant::ZERO, worker, &prompt).expect("it is up");
            self.told += 1;
        }
    }

    /// How many blocks are known.
    #[must_use]
    pub fn known(&self) -> u32 {
        self.scheduler.prefix_blocks()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_quarters_of_what_may_be_known_is_in_caches_and_more_is_not() {
        let mut caches = Caches::new(64_000);
        caches.store(10_000);
        assert_eq!(caches.known(), 10_000);
        caches.store(100_000);
        assert_eq!(caches.known(), 48_000);
        assert_eq!(caches.scheduler.check_invariants(), Ok(()));
    }
}
