//! Reserve, lend, hold, borrow.

mod common;

use std::time::Duration;

use common::{POOL, World, starts, three_tiers};
use tidegate::{
    Action, Config, PoolId, Reason, RequestState, SubmitError, Tier, TierConfig, WorkerSpec, Yielding,
};

#[test]
fn idle_reserve_is_lent_and_won_back() {
    let mut world = World::with_workers(three_tiers(), 2, [10, 1000]);
    let batch = world.submit_many(30, Tier::P2, [1, 10]);
    let actions = world.round();
    assert_eq!(starts(&actions), batch[..20], "batch fills every slot, in order");

    let urgent = world.submit(Tier::P0, [1, 10]);
    let asked = world.round();
    let [Action::Preempt { victim, beneficiary, reason: Reason::Reclaim, .. }] = asked[..] else {
        panic!("one victim: {asked:?}");
    };
    assert_eq!((victim, beneficiary), (batch[0], Some(urgent)), "all started at once: the least id yields");
    world.preempted(victim, 0);
    let started = world.round();
    assert!(
        matches!(started[..], [Action::Start { request, reason: Reason::Reclaimed, .. }] if request == urgent),
        "the claim is the urgent one's: {started:?}"
    );
    assert_eq!(world.state(victim), RequestState::Queued);
}

#[test]
fn a_victim_keeps_its_seniority_and_its_checkpoint() {
    let mut world = World::with_workers(three_tiers(), 1, [4, 1000]);
    let batch = world.submit_many(6, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [1, 10]);
    world.progress(batch[0], 50, [1, 14]);
    let asked = world.round();
    let [Action::Preempt { victim, .. }] = asked[..] else { panic!("{asked:?}") };
    assert_eq!(victim, batch[1], "the one that has generated tokens has more to lose");
    world.preempted(victim, 70);
    world.round();
    world.complete(urgent);
    let again = world.round();
    let [Action::Start { request, attempt, resume_tokens, .. }] = again[..] else { panic!("{again:?}") };
    assert_eq!((request, attempt.get()), (victim, 2), "it is before those that never ran");
    assert_eq!(resume_tokens, 70);
}

#[test]
fn the_floor_of_batch_is_served_before_a_high_tier_borrows() {
    let mut world = World::with_workers(three_tiers(), 1, [20, 1000]);
    let urgent = world.submit_many(30, Tier::P0, [1, 10]);
    let batch = world.submit(Tier::P2, [1, 10]);
    let started = starts(&world.round());
    assert_eq!(started.len(), 20);
    assert!(started.contains(&batch), "5 % of 20 slots is one");
    assert_eq!(world.sched.in_use(POOL, Tier::P0), Some([19, 190].into()));
    assert_eq!(world.state(urgent[19]), RequestState::Queued);
}

#[test]
fn the_recent_peak_is_held_for_the_window() {
    let tier = |name: &str| TierConfig::new(name).hold_window(Duration::from_secs(30));
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(tier("realtime").reserve_ppm(300_000))
        .tier(tier("batch"));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let urgent = world.submit(Tier::P0, [1, 10]);
    world.round();
    world.complete(urgent);
    world.submit_many(20, Tier::P1, [1, 10]);
    assert_eq!(starts(&world.round()).len(), 9, "one slot is held");
    while world.jump() && starts(&world.round()).is_empty() {}
    assert_eq!(world.now.as_nanos(), 30_000_000_000, "both halves of the window have turned");
}

#[test]
fn a_hold_ends_with_the_request_that_it_was_for() {
    let mut world = World::with_workers(three_tiers(), 2, [10, 50]);
    for _ in 0..2 {
        let spec = world.spec(Tier::P2, [1, 35]).yielding(Yielding::Never);
        world.submit_spec(spec);
    }
    world.round();
    let urgent = world.submit(Tier::P0, [1, 30]);
    let batch = world.submit(Tier::P2, [1, 5]);
    assert_eq!(world.round(), [], "15 blocks are free on each worker, all of them held for the urgent one");
    world.sched.cancel(world.now, urgent).expect("it waits");
    assert_eq!(starts(&world.round()), [batch]);
}

#[test]
fn what_is_not_lendable_is_never_lent() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("realtime").reserve_ppm(500_000).lendable_ppm(500_000))
        .tier(TierConfig::new("batch"));
    let mut world = World::with_workers(config, 1, [20, 1000]);
    world.submit_many(30, Tier::P1, [1, 1]);
    assert_eq!(starts(&world.round()).len(), 15, "10 are reserved, half of them are lent");
}

#[test]
fn a_borrow_limit_binds_and_never_fits_says_so() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("realtime").reserve_ppm(100_000))
        .tier(TierConfig::new("batch").reserve_ppm(200_000).borrow_limit([3, 1000]));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    world.submit_many(9, Tier::P1, [1, 1]);
    assert_eq!(starts(&world.round()).len(), 5);
    let too_much = world.spec(Tier::P1, [6, 1]);
    let refused = world.sched.submit(world.now, too_much);
    assert_eq!(refused, Err(SubmitError::NeverFits { dimension: 0, need: 6, max: 5 }));
}

#[test]
fn a_head_that_does_not_fit_is_passed_but_not_for_ever() {
    let config =
        Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("only")).max_bypass(3);
    let mut world = World::with_workers(config, 1, [10, 10]);
    let small = world.submit_many(9, Tier::P0, [1, 1]);
    world.round();
    let head = world.submit(Tier::P0, [5, 5]);
    let later = world.submit_many(20, Tier::P0, [1, 1]);
    assert_eq!(starts(&world.round()), later[..1], "one slot was free");
    for (index, &id) in small.iter().enumerate().take(2) {
        world.complete(id);
        assert_eq!(starts(&world.round()), [later[index + 1]]);
    }
    for &id in &small[2..6] {
        world.complete(id);
        assert_eq!(starts(&world.round()), [], "three have passed: the worker is drained for the head");
    }
    world.complete(small[6]);
    assert_eq!(starts(&world.round()), [head]);
}

/// A worker is drained for the head: one that was it, and is passed by one that has run, drains nothing.
#[test]
fn a_drain_ends_when_another_is_the_head() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("realtime").reserve_ppm(300_000))
        .tier(TierConfig::new("batch"))
        .min_run(Duration::ZERO);
    let mut world = World::with_workers(config, 1, [10, 100]);
    let runs = world.submit(Tier::P1, [6, 1]);
    world.round();
    world.submit(Tier::P1, [8, 1]);
    world.round();
    world.pass(Duration::from_secs(3));
    assert_eq!(world.round(), [], "the worker is drained for the one of 8");
    let urgent = world.submit(Tier::P0, [3, 1]);
    assert_eq!(starts(&world.round()), [urgent]);
    world.preempted(runs, 0);
    assert_eq!(starts(&world.round()), [runs], "it has run, comes first, and fits");
}

#[test]
fn requests_that_no_worker_holds_are_parked_and_block_nobody() {
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("only"));
    let mut world = World::new(config);
    let early = world.submit(Tier::P0, [4, 4]);
    assert_eq!(world.state(early), RequestState::Parked);
    let small = world.worker([2, 2]);
    let second = world.submit(Tier::P0, [1, 1]);
    assert_eq!(starts(&world.round()), [second]);
    let never = world.sched.submit(world.now, world.spec(Tier::P0, [3, 3]));
    assert_eq!(never, Err(SubmitError::NeverFits { dimension: 0, need: 3, max: 2 }));
    world.worker([8, 8]);
    assert_eq!(starts(&world.round()), [early]);
    world.sched.worker_lost(world.now, small).expect("it was up");
    world.check();
    assert_eq!(world.state(second), RequestState::Queued, "it comes back");
}

/// A share means something only where requests can use it: what a tier holds in one pool is nothing in another.
#[test]
fn reserves_are_shares_of_each_pool_by_itself() {
    let [here, there] = [0, 1].map(PoolId::new);
    let mut world = World::new(three_tiers().pools(["here", "there"]));
    for (pool, slots) in [(here, 10), (there, 20)] {
        world.sched.worker_add(world.now, WorkerSpec::new([slots, 100]).pool(pool)).expect("a valid worker");
    }
    let reserve = |world: &World, pool| world.sched.effective_reserve(pool, Tier::P0).expect("a tier")[0];
    assert_eq!([here, there].map(|pool| reserve(&world, pool)), [3, 6]);
    for _ in 0..30 {
        world.submit_spec(world.spec(Tier::P2, [1, 1]).pool(here));
    }
    assert_eq!(starts(&world.round()).len(), 10, "what is free elsewhere is none of theirs");
    let urgent = world.submit_spec(world.spec(Tier::P0, [1, 1]).pool(there));
    assert_eq!(starts(&world.round()), [urgent], "nobody has to stop for it there");
}
