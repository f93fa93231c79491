//! Prompts go where they are cached, unless that is too full; and some wait for it.

mod common;

use std::time::Duration;

use common::{World, starts, three_tiers};
use tidegate::{
    Affinity, Config, ConfigBuilder, Gate, Order, Placement, ReportError, RequestId, RequestState, Tier,
    TierConfig, WorkerError, WorkerId,
};

const W0: WorkerId = WorkerId::new(0);
const W1: WorkerId = WorkerId::new(1);
const SYSTEM: [u64; 5] = [1, 2, 3, 4, 5];

fn affine(affinity: Affinity) -> ConfigBuilder {
    three_tiers().placement(Placement::PrefixAffinity).affinity(affinity.block_tokens(20))
}

/// A request with this prompt of 100 tokens, polled to the end of the round.
fn ask(world: &mut World, blocks: &[u64]) -> RequestId {
    let id = world.submit(Tier::P2, [1, 1]);
    world.sched.prefix_set(world.now, id, blocks).expect("it waits");
    world.round();
    id
}

#[test]
fn a_prompt_goes_where_it_is_cached_as_long_as_that_is_worth_the_load() {
    let mut world = World::with_workers(affine(Affinity::new(64).load_tokens(1_000)), 2, [8, 64]);
    let first = ask(&mut world, &SYSTEM);
    assert_eq!(world.worker_of(first), Some(W0), "cold, it goes to the emptiest, the first of equals");
    let second = ask(&mut world, &SYSTEM);
    assert_eq!(world.worker_of(second), Some(W1), "125 tokens of load are more than 100 spared");
    let mut world = World::with_workers(affine(Affinity::new(64).load_tokens(300)), 2, [8, 64]);
    let homes: Vec<_> = (0..6).map(|_| ask(&mut world, &SYSTEM)).collect();
    let on = |home: WorkerId| homes.iter().filter(|&&id| world.worker_of(id) == Some(home)).count();
    assert_eq!((on(W0), on(W1)), (3, 3), "the fourth finds 112 tokens of load more: then both are warm");
}

#[test]
fn what_is_told_counts_and_what_was_thrown_out_does_not() {
    let affinity = Affinity::new(64).learns(false).load_tokens(0);
    let mut world = World::with_workers(affine(affinity), 2, [8, 64]);
    world.sched.cache_stored(world.now, W1, &SYSTEM).expect("it is up");
    let warm = ask(&mut world, &SYSTEM);
    assert_eq!(world.worker_of(warm), Some(W1));
    world.sched.cache_evicted(world.now, W1, &[1]).expect("it is up");
    let still = ask(&mut world, &SYSTEM);
    assert_eq!(world.worker_of(still), Some(W1), "others follow the first block");
    world.sched.cache_evicted(world.now, W1, &[2, 3, 4, 5]).expect("it is up");
    let cold = ask(&mut world, &SYSTEM);
    assert_eq!(world.worker_of(cold), Some(W0), "the emptiest");
    let unknown = WorkerId::new(9);
    let refused = Err(WorkerError::UnknownWorker(unknown));
    assert_eq!(world.sched.cache_stored(world.now, unknown, &SYSTEM), refused);
    let state = RequestState::Starting;
    let refused = Err(ReportError::WrongState { request: cold, state });
    assert_eq!(world.sched.prefix_set(world.now, cold, &SYSTEM), refused);
}

#[test]
fn a_lost_worker_has_no_cache_and_a_fuller_one_yields_to_the_emptiest() {
    let mut world = World::with_workers(affine(Affinity::new(64).load_tokens(0)), 2, [4, 64]);
    let homes: Vec<_> = (0..4).map(|_| ask(&mut world, &SYSTEM)).collect();
    let on: Vec<_> = homes.iter().map(|&id| world.worker_of(id)).collect();
    let expected = [W0, W0, W1, W1].map(Some);
    assert_eq!(on, expected, "three of four slots are more than half, and three times what the other has");
    world.lost(W0);
    world.sched.cache_stored(world.now, W1, &[7]).expect("it is up");
    assert_eq!(world.sched.prefix_blocks(), 6, "what it knew is known by the other, and of the one told");
}

#[test]
fn who_would_spare_half_waits_for_the_worker_that_has_it_and_no_longer_than_said() {
    let wait = Duration::from_millis(300);
    let mut world = World::with_workers(affine(Affinity::new(64).wait(wait)), 2, [1, 64]);
    let first = ask(&mut world, &SYSTEM);
    let patient = ask(&mut world, &SYSTEM);
    assert_eq!(world.state(patient), RequestState::Queued);
    assert_eq!(world.sched.explain(patient).expect("it lives").gate, Some(Gate::Warmth));
    let other = ask(&mut world, &[1, 2, 9]);
    assert_eq!(world.worker_of(other), Some(W1), "40 of 100 tokens are not worth it");
    world.complete(other);
    world.round();
    assert_eq!(world.sched.poll_timeout(), Some(world.now + wait), "then it may go anywhere");
    world.complete(first);
    assert_eq!(starts(&world.round()), [patient]);
    assert_eq!(world.worker_of(patient), Some(W0));
    let second = ask(&mut world, &SYSTEM);
    world.pass(wait - Duration::from_nanos(1));
    assert!(world.round().is_empty());
    world.pass(Duration::from_nanos(1));
    assert_eq!(starts(&world.round()), [second]);
    assert_eq!(world.worker_of(second), Some(W1));
}

#[test]
fn tenants_pay_for_what_is_expected_to_be_computed() {
    let mut world = World::with_workers(affine(Affinity::new(64).load_tokens(0)), 1, [3, 64]);
    let cheap = world.tenant;
    let dear = world.sched.tenant_set(world.now, "dear").expect("a valid name");
    world.sched.cache_stored(world.now, W0, &SYSTEM).expect("it is up");
    let submits = [(cheap, SYSTEM.as_slice()), (dear, &[8]), (dear, &[9]), (cheap, &SYSTEM)];
    let ids = submits.map(|(tenant, blocks)| {
        world.tenant = tenant;
        let id = world.submit(Tier::P2, [1, 1]);
        world.sched.prefix_set(world.now, id, blocks).expect("it waits");
        id
    });
    assert_eq!(starts(&world.round()), [ids[0], ids[1], ids[3]], "the first was charged nothing so far");
}

#[test]
fn of_tenants_that_are_even_the_one_whose_prompt_is_cached_is_next() {
    let tier = TierConfig::new("only").order(Order::DeficitLongestPrefix).deficit_quantum(1_000);
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(tier.hold_window(Duration::ZERO));
    let affinity = Affinity::new(64).block_tokens(20);
    let config = config.placement(Placement::PrefixAffinity).affinity(affinity).max_bypass(2);
    let mut world = World::with_workers(config, 1, [1, 64]);
    world.sched.cache_stored(world.now, W0, &SYSTEM).expect("it is up");
    let mut submit = |blocks: &[u64]| {
        let id = world.submit(Tier::P0, [1, 1]);
        world.sched.prefix_set(world.now, id, blocks).expect("it waits");
        id
    };
    let cold = submit(&[77]);
    let warm: Vec<_> = (0..4).map(|_| submit(&SYSTEM)).collect();
    let mut order = Vec::new();
    for _ in 0..5 {
        let started = starts(&world.round());
        order.extend(started.iter().copied());
        started.into_iter().for_each(|id| world.complete(id));
    }
    assert_eq!(order, [warm[0], warm[1], cold, warm[2], warm[3]], "two may pass the head, no more");
}

/// One worker with ten blocks, of which six are held since now: a large warm request waits, and a small cold one behind it.
fn kept(wait: Duration) -> (World, [RequestId; 3]) {
    let tier = TierConfig::new("only").order(Order::DeficitLongestPrefix).deficit_quantum(1_000);
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(tier.hold_window(Duration::ZERO));
    let affinity = Affinity::new(64).block_tokens(20).learns(false).wait(wait);
    let config = config.placement(Placement::PrefixAffinity).affinity(affinity);
    let mut world = World::with_workers(config, 1, [4, 10]);
    world.sched.cache_stored(world.now, W0, &SYSTEM).expect("it is up");
    let mut submit = |blocks: &[u64], demand: [u64; 2]| {
        let id = world.submit(Tier::P0, demand);
        world.sched.prefix_set(world.now, id, blocks).expect("it waits");
        world.round();
        id
    };
    let ids = [submit(&[77], [1, 6]), submit(&SYSTEM, [1, 8]), submit(&[78], [1, 2])];
    assert_eq!(ids.map(|id| world.state(id)), {
        use RequestState::{Queued, Starting};
        [Starting, Queued, if wait.is_zero() { Starting } else { Queued }]
    });
    (world, ids)
}

#[test]
fn a_worker_is_kept_for_whom_it_spares_most_and_no_longer_than_said() {
    let wait = Duration::from_millis(300);
    let (mut world, [running, large, small]) = kept(wait);
    assert_eq!(world.sched.explain(small).expect("it lives").gate, Some(Gate::Warmth));
    world.complete(running);
    assert_eq!(starts(&world.round()), [large, small], "both have room now");
    let (mut world, [_, large, small]) = kept(wait);
    assert_eq!(
        world.sched.poll_timeout(),
        Some(world.now + wait),
        "nothing has started there for so long then"
    );
    world.pass(wait - Duration::from_nanos(1));
    assert!(world.round().is_empty());
    world.pass(Duration::from_nanos(1));
    assert_eq!(starts(&world.round()), [small]);
    assert_eq!(world.state(large), RequestState::Queued);
    kept(Duration::ZERO);
}
