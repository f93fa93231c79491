//! The cycle (submit, start, complete) and cancellation by id, beside two queues that anybody would write first.
//! The peers order by tier and arrival and know nothing of capacity, reserves or states: they are the floor.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use priority_queue::PriorityQueue;
use tidegate_benches::{Cancellations, SteadyState, random_index};

const WAITING: [u64; 2] = [1_000, 100_000];
const KNOWN_TENANTS: usize = 100_000;
const ACTIVE_TENANTS: [usize; 2] = [10, 10_000];

/// Tier and arrival, the least first.
type Key = Reverse<(u64, u64)>;

fn key(id: u64) -> Key {
    Reverse((id % 3, id))
}

fn cycle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cycle");
    for waiting in WAITING {
        let mut state = SteadyState::new(waiting as usize);
        group.bench_function(BenchmarkId::new("tidegate", waiting), |bencher| bencher.iter(|| state.turn()));

        let mut heap: BinaryHeap<Key> = (0..waiting).map(key).collect();
        group.bench_function(BenchmarkId::new("binary-heap", waiting), |bencher| {
            let mut next = waiting;
            bencher.iter(|| {
                let Reverse((tier, _)) = black_box(heap.pop()).expect("it is never empty");
                heap.push(Reverse((tier, next)));
                next += 1;
            });
        });

        let mut queue: PriorityQueue<u64, Key> = (0..waiting).map(|id| (id, key(id))).collect();
        group.bench_function(BenchmarkId::new("priority-queue", waiting), |bencher| {
            let mut next = waiting;
            bencher.iter(|| {
                let (_, Reverse((tier, _))) = black_box(queue.pop()).expect("it is never empty");
                queue.push(next, Reverse((tier, next)));
                next += 1;
            });
        });
    }
    group.finish();
}

/// The same turn with the same queue, shared by few tenants or by many, of as many as are known.
fn tenants(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cycle-of-tenants");
    for active in ACTIVE_TENANTS {
        let mut state = SteadyState::of_tenants(3 * ACTIVE_TENANTS[1], KNOWN_TENANTS, active);
        group.bench_function(BenchmarkId::new("tidegate", active), |bencher| bencher.iter(|| state.turn()));
    }
    group.finish();
}

fn cancel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cancel-and-submit");
    for waiting in WAITING {
        let mut queue = Cancellations::new(waiting as usize);
        group.bench_function(BenchmarkId::new("tidegate", waiting), |bencher| {
            bencher.iter(|| queue.cancel_and_submit());
        });

        let mut peer: PriorityQueue<u64, Key> = (0..waiting).map(|id| (id, key(id))).collect();
        let mut ids: Vec<u64> = (0..waiting).collect();
        group.bench_function(BenchmarkId::new("priority-queue", waiting), |bencher| {
            let (mut random, mut next) = (1, waiting);
            bencher.iter(|| {
                let index = random_index(&mut random, ids.len());
                let (_, Reverse((tier, _))) = black_box(peer.remove(&ids[index])).expect("it waits");
                peer.push(next, Reverse((tier, next)));
                ids[index] = next;
                next += 1;
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cycle, tenants, cancel);
criterion_main!(benches);
