//! Two threads that submit and one that polls, through one [`SharedScheduler`]; and two ways in which they could hand
//! over. Whoever calls takes the CPU time of the whole process.
//!
//! Nobody spins: a producer that finds no room, and a consumer that finds nothing, sleep.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::thread;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use parking_lot::Mutex;
use tidegate::{
    Action, Attempt, Instant, Outcome, RequestId, RequestSpec, Scheduler, SharedError, SharedScheduler,
    TenantId,
};

use crate::conditions::{
    TENANTS, TIERS, TURN_NS, Tenants, WORKERS, add_workers, config_without_preemption, request,
};
use crate::steady_state::{SLOTS_PER_WORKER, USAGE};

const PRODUCERS: usize = 2;
/// How many actions one poll may take: a quarter of the machine.
const ACTIONS_PER_POLL: usize = 256;
/// How long a producer sleeps that was told `Busy`: about as long as a full intake lasts at the speed that we aim at.
const BACK_OFF: Duration = Duration::from_micros(100);

/// 64 workers of 16 slots and 10,000 tenants, shared by three threads.
#[derive(Debug)]
pub struct SharedItems {
    shared: SharedScheduler,
    tenants: Vec<TenantId>,
    now: Instant,
}

impl SharedItems {
    /// A machine with nothing on it.
    ///
    /// # Panics
    /// If the scheduler refuses what it must accept.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::ZERO;
        let mut scheduler = Scheduler::new(config_without_preemption(), now);
        let tenants = Tenants::known(&mut scheduler, TENANTS);
        add_workers(&mut scheduler, WORKERS, WORKERS * SLOTS_PER_WORKER);
        Self { shared: SharedScheduler::new(scheduler, SharedScheduler::DEFAULT_INTAKE), tenants, now }
    }

    /// So many items from submission to end: a producer submits a request, the consumer is told that it was accepted and
    /// that it starts, and reports it complete, many under one lock. The time of one item is that of a whole cycle of the
    /// scheduler, its hand-over between threads, two outcomes and what the threads sleep and wake.
    ///
    /// # Panics
    /// If one was not accepted, started and completed.
    pub fn cycles(&mut self, items: usize) {
        let completed = |shared: &SharedScheduler| shared.read(|scheduler| scheduler.stats().completed);
        let before = completed(&self.shared).expect("nobody panicked");
        let spec = |number: usize| request(self.tenants[number % TENANTS], TIERS[number % TIERS.len()], 1);
        self.now = pass(&self.shared, self.now, items, spec, |outcome| match outcome {
            Outcome::Action(Action::Start { request, attempt, .. }) => Some(Told::Started(request, attempt)),
            Outcome::Accepted { .. } => None,
            other => panic!("expected a start, got {other:?}"),
        });
        assert_eq!(completed(&self.shared), Ok(before + items as u64));
    }

    /// So many items that the scheduler refuses at its first glance, because nobody knows their tenant: what it costs to
    /// hand them over, and to be told.
    ///
    /// # Panics
    /// If one was accepted.
    pub fn hand_overs(&mut self, items: usize) {
        let spec = |_| RequestSpec::new(TenantId::new(u32::MAX), TIERS[0]);
        self.now = pass(&self.shared, self.now, items, spec, |outcome| match outcome {
            Outcome::Refused { .. } => Some(Told::Refused),
            other => panic!("expected a refusal, got {other:?}"),
        });
    }
}

impl Default for SharedItems {
    fn default() -> Self {
        Self::new()
    }
}

/// What the consumer was told of an item when it is done with it.
enum Told {
    Started(RequestId, Attempt),
    Refused,
}

/// Two threads submit, this one polls until all items are done. The instant by then.
fn pass(
    shared: &SharedScheduler,
    mut now: Instant,
    items: usize,
    spec: impl Fn(usize) -> RequestSpec + Sync,
    told: impl Fn(Outcome) -> Option<Told>,
) -> Instant {
    let start = now;
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let spec = &spec;
            scope.spawn(move || {
                for number in (producer..items).step_by(PRODUCERS) {
                    let now = start.plus_nanos(number as u64 * TURN_NS);
                    while shared.submit(now, spec(number)) == Err(SharedError::Busy) {
                        thread::sleep(BACK_OFF);
                    }
                }
            });
        }
        let (mut outcomes, mut started, mut done) = (Vec::new(), Vec::new(), 0);
        while done < items {
            now = start.plus_nanos(done as u64 * TURN_NS);
            let more = shared.poll_into(now, ACTIONS_PER_POLL, &mut outcomes).expect("nobody panicked");
            let idle = outcomes.is_empty() && !more;
            for told in outcomes.drain(..).filter_map(&told) {
                done += 1;
                match told {
                    Told::Started(request, attempt) => started.push((request, attempt)),
                    Told::Refused => {}
                }
            }
            complete(shared, now, &mut started);
            if idle {
                shared.wait(now, None).expect("nobody panicked");
            }
        }
    });
    now
}

fn complete(shared: &SharedScheduler, now: Instant, started: &mut Vec<(RequestId, Attempt)>) {
    if started.is_empty() {
        return;
    }
    let all = |scheduler: &mut Scheduler| {
        for (request, attempt) in started.drain(..) {
            scheduler.complete(now, request, attempt, USAGE).expect("it runs");
        }
    };
    shared.with(all).expect("this thread polls in time");
}

/// What a producer leaves: an instant, a number, and a request.
type Item = (Instant, u64, RequestSpec);

/// So many items through a bounded lock-free queue of `crossbeam-queue`, with what an intake needs besides: a number for
/// each item, and a barrier before the look at whether somebody sleeps. No scheduler, and nobody is woken.
///
/// # Panics
/// If one is lost.
pub fn lock_free_queue_items(items: usize) {
    let queue = ArrayQueue::new(SharedScheduler::DEFAULT_INTAKE);
    let (count, asleep) = (AtomicU64::new(0), AtomicBool::new(false));
    let push = |spec| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let pushed = queue.push((Instant::ZERO, number, spec)).is_ok();
        fence(Ordering::SeqCst);
        assert!(!asleep.load(Ordering::Relaxed), "nobody says so");
        pushed
    };
    let take =
        |batch: &mut Vec<Item>| batch.extend(std::iter::from_fn(|| queue.pop()).take(queue.capacity()));
    pass_items(items, push, take);
}

/// The same through a vector that is exchanged for an empty one under a mutex, as the intake does it.
///
/// # Panics
/// If one is lost.
pub fn exchanged_vector_items(items: usize) {
    let capacity = SharedScheduler::DEFAULT_INTAKE;
    let intake = Mutex::new((Vec::with_capacity(capacity), 0, false));
    let push = |spec| {
        let (items, count, asleep) = &mut *intake.lock();
        let pushed = items.len() < capacity;
        if pushed {
            *count += 1;
            items.push((Instant::ZERO, *count, spec));
        }
        assert!(!*asleep, "nobody says so");
        pushed
    };
    let take = |batch: &mut Vec<Item>| std::mem::swap(&mut intake.lock().0, batch);
    pass_items(items, push, take);
}

fn pass_items(items: usize, push: impl Fn(RequestSpec) -> bool + Sync, take: impl Fn(&mut Vec<Item>)) {
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let push = &push;
            scope.spawn(move || {
                for number in (producer..items).step_by(PRODUCERS) {
                    let spec = RequestSpec::new(TenantId::new(0), TIERS[0]).tag(number as u64);
                    while !push(spec) {
                        thread::sleep(BACK_OFF);
                    }
                }
            });
        }
        let mut batch = Vec::with_capacity(SharedScheduler::DEFAULT_INTAKE);
        let (mut sum, mut done) = (0, 0);
        while done < items {
            take(&mut batch);
            if batch.is_empty() {
                thread::sleep(BACK_OFF);
            }
            done += batch.len();
            sum += batch.drain(..).map(|(_, _, spec)| spec.tag).sum::<u64>();
        }
        let items = items as u64;
        assert_eq!(sum, items * items.saturating_sub(1) / 2, "each comes once");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_arrives() {
        let mut items = SharedItems::new();
        items.cycles(3_000);
        items.hand_overs(3_000);
        lock_free_queue_items(3_000);
        exchanged_vector_items(3_000);
        let stats = items.shared.read(Scheduler::stats).expect("nobody panicked");
        assert_eq!((stats.submitted, stats.completed, stats.live), (3_000, 3_000, 0));
    }
}
