//! Batch verbs allocate nothing once everything has its size: neither the scheduler nor the vectors of the host.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tidegate_benches::Batches;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const WAITING: usize = 1_000;
const BATCH: usize = 64;

fn allocations(times: usize, mut turn: impl FnMut()) -> usize {
    let before = ALLOCATOR.stats();
    (0..times).for_each(|_| turn());
    let change = ALLOCATOR.stats() - before;
    change.allocations + change.reallocations
}

/// The only test in here: others would allocate beside it.
#[test]
fn batches_allocate_nothing_in_steady_state() {
    let mut batches = Batches::new(WAITING);
    assert_ne!(allocations(1, || batches.turn_at_once(BATCH)), 0, "at first the vectors grow");
    allocations(500, || batches.turn_at_once(BATCH));
    assert_eq!(allocations(500, || batches.turn_at_once(BATCH)), 0);
}
