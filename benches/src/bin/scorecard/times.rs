//! Thread CPU time of what the scheduler does, and of the peers.

use std::cell::{Cell, RefCell};
use std::hint::black_box;

use tidegate::{Attempt, RequestId};
use tidegate_benches::measure::{Contender, by_turns, cpu_ns, process_cpu_ns};
use tidegate_benches::peers::{CancelByKey, HeapGovernor, pass_through_mutex};
use tidegate_benches::shared::SharedItems;
use tidegate_benches::{Cancellations, Idle, Placing, Preemptions, Restart, SteadyState};

use crate::card::{Card, Failure};

/// How many turns are timed together.
const TURNS: usize = 20_000;
/// How many urgent requests choose their victims in one batch, and how many victims the larger sets have.
const DECISIONS: usize = 32;
const VICTIMS: usize = 9;
/// How many starts are timed together.
const STARTS: usize = 500;
const IDLE_POLLS: usize = 100_000;
/// How many requests each of two threads hands over.
const HANDED_OVER: usize = 200_000;

pub(crate) fn cycles(card: &mut Card) -> Result<(), Failure> {
    let [k, hundred_k, million] = [1_000, 100_000, 1_000_000].map(|waiting| card.scale.of(waiting));
    let turns = card.scale.of(TURNS);
    let ours = |waiting: usize| -> Contender<'_> {
        let mut state = SteadyState::new(waiting);
        Box::new(move || warm_ns(turns, || state.turn()))
    };
    let mut peer = HeapGovernor::new(hundred_k as u64);
    let theirs: Contender<'_> = Box::new(move || warm_ns(turns, || peer.turn()));
    let figures = by_turns(card.scale.repeats(), [ours(k), ours(hundred_k), ours(million), theirs]);
    let keys = ["cycle_ns_1k", "cycle_ns_100k", "cycle_ns_1m", "peer_heap_governor_ns_100k"];
    keys.into_iter().zip(figures).for_each(|(key, figure)| card.put(key, figure));
    Ok(())
}

/// What each of so many turns takes, after a quarter as many that fetch what another contender drove from the caches.
fn warm_ns(turns: usize, mut turn: impl FnMut()) -> f64 {
    (0..turns / 4).for_each(|_| turn());
    cpu_ns(|| (0..turns).for_each(|_| turn())) / turns as f64
}

/// How a queue chooses so many, cancels them, and takes others like them.
type CancelVerbs<Q, Id> = (fn(&mut Q, usize) -> Vec<Id>, fn(&mut Q, &[Id]), fn(&mut Q, &[Id]));

/// Cancels so many, so many times; those that come instead are not timed.
fn cancelling<'a, Q: 'a, Id: 'a>(
    mut queue: Q,
    (batch, times): (usize, usize),
    (choose, cancel, refill): CancelVerbs<Q, Id>,
) -> Contender<'a> {
    Box::new(move || {
        let mut ns = 0.0;
        for _ in 0..times {
            let chosen = choose(&mut queue, batch);
            ns += cpu_ns(|| cancel(&mut queue, &chosen));
            refill(&mut queue, &chosen);
        }
        ns / (batch * times) as f64
    })
}

/// A quarter of the queue goes, and comes back off the clock, until enough has gone.
pub(crate) fn cancellations(card: &mut Card) -> Result<(), Failure> {
    let [k, hundred_k, million] = [1_000, 100_000, 1_000_000].map(|waiting| card.scale.of(waiting));
    let in_all = card.scale.of(TURNS);
    let batches = move |waiting: usize| {
        let batch = waiting.div_ceil(4).min(in_all);
        (batch, in_all.div_ceil(batch))
    };
    let ours = |waiting: usize| {
        let verbs = (Cancellations::choose as _, Cancellations::cancel as _, Cancellations::refill as _);
        cancelling(Cancellations::new(waiting), batches(waiting), verbs)
    };
    let verbs = (CancelByKey::choose as _, CancelByKey::cancel as _, CancelByKey::refill as _);
    let theirs = cancelling(CancelByKey::new(hundred_k as u64), batches(hundred_k), verbs);
    let figures = by_turns(card.scale.repeats(), [ours(k), ours(hundred_k), ours(million), theirs]);
    let keys = ["cancel_ns_1k", "cancel_ns_100k", "cancel_ns_1m", "peer_priority_queue_cancel_ns_100k"];
    keys.into_iter().zip(figures).for_each(|(key, figure)| card.put(key, figure));
    Ok(())
}

/// Only the polls are timed, from the first one after the urgent requests came to the last victim.
pub(crate) fn preemptions(card: &mut Card) -> Result<(), Failure> {
    let running = card.scale.of(10_000).max(4 * DECISIONS * VICTIMS);
    let sets_of = |victims: usize| {
        let mut machine = Preemptions::new(running);
        let mut told = vec![(RequestId::from_bits(0), Attempt::new(0)); DECISIONS * victims];
        move || {
            machine.ask(DECISIONS, victims);
            let ns = cpu_ns(|| machine.decide(&mut told));
            machine.settle(DECISIONS, &told);
            ns / DECISIONS as f64
        }
    };
    let mut one = sets_of(1);
    let (mut small, mut large) = (sets_of(1), sets_of(VICTIMS));
    let slope: Contender<'_> = Box::new(|| (large() - small()) / (VICTIMS - 1) as f64);
    let figures = by_turns(3 * card.scale.repeats(), [Box::new(&mut one), slope]);
    let keys = ["preempt_ns_10k", "preempt_next_victim_ns"];
    keys.into_iter().zip(figures).for_each(|(key, figure)| card.put(key, figure));
    Ok(())
}

pub(crate) fn idle_polls(card: &mut Card) -> Result<(), Failure> {
    let scale = card.scale;
    // Every worker has a slot.
    let mut idle = Idle::new(scale.of(10_000).max(100), scale.of(100_000), scale.of(10_000));
    let polls = scale.of(IDLE_POLLS);
    let ours: Contender<'_> =
        Box::new(|| cpu_ns(|| (0..polls).for_each(|_| black_box(&mut idle).poll())) / polls as f64);
    let [figure] = by_turns(scale.repeats(), [ours]);
    card.put("idle_poll_ns", figure);
    Ok(())
}

/// See [`placements`].
pub(crate) const PLACEMENT_KEYS: [&str; 4] =
    ["place_ns_1k_workers", "learn_ns_1k_workers", "place_ns_1k_workers_blind", "place_ns_1_worker"];

/// Only the polls that start something are timed, and the input after them, which does what they put by.
pub(crate) fn placements(card: &mut Card) -> Result<(), Failure> {
    let many = card.scale.of(1_000);
    let starts = STARTS.min(4 * many);
    let learnt = Cell::new(0.0);
    let on = |mut placing: Placing| -> Contender<'_> {
        let learnt = &learnt;
        Box::new(move || {
            placing.submit(starts);
            let ns = cpu_ns(|| placing.start(starts));
            learnt.set(cpu_ns(|| placing.tell_nothing()) / starts as f64);
            placing.complete(starts);
            ns / starts as f64
        })
    };
    let [by_prefix, blind, one] =
        [Placing::by_prefix(many), Placing::new(many, many), Placing::new(1, many)].map(on);
    // What the starts just before it put by.
    let learning: Contender<'_> = Box::new(|| learnt.get());
    let figures = by_turns(card.scale.repeats(), [by_prefix, learning, blind, one]);
    PLACEMENT_KEYS.into_iter().zip(figures).for_each(|(key, figure)| card.put(key, figure));
    Ok(())
}

/// A million wait; that nobody notices the restart is checked off the clock.
pub(crate) fn restarts(card: &mut Card) -> Result<(), Failure> {
    let waiting = card.scale.of(1_000_000);
    let restart = RefCell::new(Restart::new(waiting));
    let bytes = restart.borrow_mut().write();
    let write: Contender<'_> = Box::new(|| cpu_ns(|| assert_eq!(restart.borrow_mut().write(), bytes)) / 1e6);
    let restore: Contender<'_> = Box::new(|| {
        let mut restored = None;
        let ns = cpu_ns(|| restored = Some(restart.borrow().restore()));
        drop(restored);
        ns / 1e6
    });
    let [write, restore] = by_turns(card.scale.repeats(), [write, restore]);
    card.put("snapshot_write_1m_ms", write);
    card.put("snapshot_restore_1m_ms", restore);
    card.put_exact("snapshot_bytes_per_request", bytes as f64 / waiting as f64);
    Ok(())
}

/// CPU time of all three threads.
pub(crate) fn handing_over(card: &mut Card) -> Result<(), Failure> {
    let each = card.scale.of(HANDED_OVER);
    let mutex: Contender<'_> = Box::new(|| {
        let start = process_cpu_ns();
        pass_through_mutex(each as u64);
        (process_cpu_ns() - start) as f64 / (2 * each) as f64
    });
    let mut items = SharedItems::new();
    let shared: Contender<'_> = Box::new(|| {
        let start = process_cpu_ns();
        items.cycles(2 * each);
        (process_cpu_ns() - start) as f64 / (2 * each) as f64
    });
    let [mutex, shared] = by_turns(card.scale.repeats(), [mutex, shared]);
    card.put("peer_mutex_heap_item_cpu_ns", mutex);
    card.put("shared_item_cpu_ns", shared);
    Ok(())
}
