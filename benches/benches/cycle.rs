//! The work of the scorecard for people who compare two versions, beside the peers that do a part of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate::{Attempt, RequestId};
use tidegate_benches::peers::{CancelByKey, HeapGovernor};
use tidegate_benches::{Batches, Cancellations, Idle, Placing, Preemptions, SteadyState};

const WAITING: [u64; 2] = [1_000, 100_000];
const KNOWN_TENANTS: usize = 100_000;
const ACTIVE_TENANTS: [usize; 2] = [10, 10_000];
const RUNNING: usize = 10_000;
const VICTIMS: [usize; 2] = [1, 9];
const WORKERS: [usize; 2] = [1, 1_000];
/// Requests that a host hears of at once.
const BATCH: usize = 64;

fn cycle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cycle");
    for waiting in WAITING {
        let mut state = SteadyState::new(waiting as usize);
        group.bench_function(BenchmarkId::new("tidegate", waiting), |bencher| bencher.iter(|| state.turn()));
        let mut peer = HeapGovernor::new(waiting);
        group.bench_function(BenchmarkId::new("heap-and-governor", waiting), |bencher| {
            bencher.iter(|| peer.turn());
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

/// The cycles of many requests, in three batches or in a call for each.
fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cycles");
    group.throughput(Throughput::Elements(BATCH as u64));
    let at_once: fn(&mut Batches, usize) = Batches::turn_at_once;
    for (name, turn) in [("at-once", at_once), ("one-by-one", Batches::turn_one_by_one)] {
        let mut batches = Batches::new(WAITING[0] as usize);
        group.bench_function(name, |bencher| bencher.iter(|| turn(&mut batches, BATCH)));
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
        let mut peer = CancelByKey::new(waiting);
        group.bench_function(BenchmarkId::new("priority-queue", waiting), |bencher| {
            bencher.iter(|| peer.cancel_and_push());
        });
    }
    group.finish();
}

/// Only the polls that choose the victims of one urgent request, by their number.
fn preempt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("preempt");
    for victims in VICTIMS {
        let mut machine = Preemptions::new(RUNNING);
        let mut told = vec![(RequestId::from_bits(0), Attempt::new(0)); victims];
        group.bench_function(BenchmarkId::new("tidegate", victims), |bencher| {
            bencher.iter_custom(|times| {
                timed(times, || {
                    machine.ask(1, victims);
                    let start = Instant::now();
                    machine.decide(&mut told);
                    let took = start.elapsed();
                    machine.settle(1, &told);
                    took
                })
            });
        });
    }
    group.finish();
}

/// Only the poll that starts a request, by the number of workers.
fn place(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("place");
    for workers in WORKERS {
        let mut machine = Placing::new(workers, WORKERS[1]);
        group.bench_function(BenchmarkId::new("tidegate", workers), |bencher| {
            bencher.iter_custom(|times| {
                timed(times, || {
                    machine.submit(1);
                    let start = Instant::now();
                    machine.start(1);
                    let took = start.elapsed();
                    machine.complete(1);
                    took
                })
            });
        });
    }
    group.finish();
}

fn idle(criterion: &mut Criterion) {
    let mut machine = Idle::new(RUNNING, 10 * RUNNING, RUNNING);
    criterion.bench_function("idle-poll", |bencher| bencher.iter(|| black_box(&mut machine).poll()));
}

fn timed(times: u64, mut once: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| once()).sum()
}

criterion_group!(benches, cycle, batch, tenants, cancel, preempt, place, idle);
criterion_main!(benches);
