//! The traps that a naive reading of earlier drafts of the rules fell into, each as a scenario.

mod common;

use std::time::Duration;

use common::{World, starts, three_tiers, victims};
use tidegate::{
    Action, Amendment, DeviceSpec, Reason, ReportError, RequestState, Resources, Shrink, SubmitError, Tier,
    TierConfig, WorkerSpec, Yielding,
};

fn tier(name: &str) -> TierConfig {
    TierConfig::new(name).hold_window(Duration::ZERO)
}

#[test]
fn waiting_p1_and_p2_do_not_stop_a_guaranteed_p0_from_reclaiming() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    world.submit_many(20, Tier::P2, [1, 10]);
    world.round();
    world.submit_many(20, Tier::P1, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [1, 10]);
    let asked = world.round();
    assert!(
        matches!(asked[..], [Action::Preempt { beneficiary: Some(request), reason: Reason::Reclaim, .. }]
            if request == urgent),
        "{asked:?}"
    );
}

#[test]
fn ten_p0_at_once_are_served_in_one_round() {
    let config = three_tiers();
    let mut world = World::with_workers(config, 4, [10, 1000]);
    world.submit_many(40, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit_many(10, Tier::P0, [1, 10]);
    let asked = world.round();
    assert_eq!(victims(&asked).len(), 10, "{asked:?}");
    world.obey(&asked);
    let mut started = starts(&world.round());
    started.retain(|request| urgent.contains(request));
    assert_eq!(started.len(), 10);
}

#[test]
fn a_unit_freed_for_p0_is_not_given_to_p1_meanwhile() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    world.submit_many(10, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [2, 20]);
    let asked = victims(&world.round());
    world.preempted(asked[0], 0);
    let near = world.submit(Tier::P1, [1, 10]);
    assert_eq!(starts(&world.round()), [], "one unit is free, and gathered");
    assert_eq!(world.state(near), RequestState::Queued);
    world.preempted(asked[1], 0);
    assert_eq!(starts(&world.round()), [urgent]);
}

#[test]
fn a_full_device_counts_though_its_slices_look_half_empty() {
    let mut world = World::new(three_tiers());
    let limit = [4, 24].into();
    let device =
        world.sched.device_add(world.now, DeviceSpec { limit, checkpoint_mib: None }).expect("a device");
    for _ in 0..4 {
        let slice = WorkerSpec::new([4, 24]).on(device);
        world.sched.worker_add(world.now, slice).expect("a slice");
    }
    world.submit_many(5, Tier::P2, [1, 6]);
    assert_eq!(starts(&world.round()).len(), 4, "24 units in all, however many the slices advertise");
    let urgent = world.submit(Tier::P0, [1, 6]);
    let asked = world.round();
    let [victim] = victims(&asked)[..] else { panic!("{asked:?}") };
    world.preempted(victim, 0);
    assert_eq!(starts(&world.round()), [urgent]);
}

#[test]
fn ten_batch_requests_that_never_yield_do_not_void_the_reserve() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    for _ in 0..10 {
        let stubborn = world.spec(Tier::P2, [1, 10]).yielding(Yielding::Never);
        world.submit_spec(stubborn);
    }
    assert_eq!(starts(&world.round()).len(), 7, "P0's three stay reachable");
    let urgent = world.submit_many(3, Tier::P0, [1, 10]);
    assert_eq!(starts(&world.round()), urgent);
}

#[test]
fn a_lone_growing_request_does_not_preempt_itself_for_ever() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 100]);
    let request = world.submit(Tier::P2, [1, 90]);
    world.round();
    world.progress(request, 1, [1, 101]);
    let told = world.round();
    assert!(matches!(told[..], [Action::Abort { reason: Reason::NeverFits, .. }]), "{told:?}");
}

#[test]
fn drained_workers_do_not_eat_the_guarantee() {
    let mut world = World::with_workers(three_tiers(), 2, [10, 1000]);
    let old = world.submit_many(6, Tier::P0, [1, 10]);
    world.round();
    let here = old.iter().filter_map(|&id| world.worker_of(id)).collect::<Vec<_>>();
    world.sched.worker_drain(world.now, here[0]).expect("it is up");
    world.submit_many(20, Tier::P2, [1, 10]);
    world.round();
    let on_other = here.iter().filter(|&&worker| worker != here[0]).count();
    let urgent = world.submit_many(3 - on_other.min(3), Tier::P0, [1, 10]);
    let asked = world.round();
    assert_eq!(starts(&asked).len() + victims(&asked).len(), urgent.len(), "what drains is not counted");
}

#[test]
fn a_stale_report_after_a_lost_worker_does_not_touch_the_new_attempt() {
    let mut world = World::with_workers(three_tiers(), 2, [10, 1000]);
    let request = world.submit(Tier::P0, [1, 10]);
    world.round();
    let (old, worker) = (world.attempt(request), world.worker_of(request).expect("it runs"));
    world.lost(worker);
    assert_eq!(starts(&world.round()), [request]);
    let late = world.sched.complete(world.now, request, old, tidegate::Usage::default());
    assert!(matches!(late, Err(ReportError::StaleAttempt { .. })), "{late:?}");
    assert_eq!(world.state(request), RequestState::Starting);
}

#[test]
fn heads_larger_than_their_reserves_do_not_freeze_an_idle_machine() {
    let config = tidegate::Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(tier("a").reserve_ppm(500_000))
        .tier(tier("b").reserve_ppm(500_000));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let a = world.submit(Tier::P0, [8, 800]);
    let b = world.submit(Tier::P1, [8, 800]);
    assert_eq!(starts(&world.round()), [a], "neither holds what it could not use");
    world.complete(a);
    assert_eq!(starts(&world.round()), [b]);
}

#[test]
fn a_large_head_does_not_cost_its_tier_the_floor_of_the_small_ones_behind_it() {
    let config = tidegate::Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .min_run(Duration::ZERO)
        .tier(tier("top"))
        .tier(tier("middle").reserve_ppm(350_000))
        .tier(tier("batch"));
    let mut world = World::with_workers(config, 2, [10, 1000]);
    world.submit_many(3, Tier::P0, [4, 40]);
    world.round();
    world.submit_many(8, Tier::P2, [1, 10]);
    world.round();
    // One is more than the reserve, and one is within it and finds no worker with as much to win back.
    let large = [[9, 900], [7, 70]].map(|asks| world.submit(Tier::P1, asks));
    let small = world.submit_many(6, Tier::P1, [1, 10]);
    let asked = world.round();
    assert_eq!(victims(&asked).len(), 6, "the six that the reserve covers");
    world.obey(&asked);
    let started = starts(&world.round());
    assert!(small.iter().all(|request| started.contains(request)), "{started:?}");
    assert!(large.iter().all(|&request| world.state(request) == RequestState::Queued));
}

#[test]
fn more_misfits_than_are_looked_at_do_not_hide_a_guaranteed_start() {
    let mut world = World::with_workers(three_tiers(), 2, [10, 1000]);
    world.submit_many(4, Tier::P1, [4, 40]);
    world.round();
    let misfits = world.submit_many(50, Tier::P0, [3, 30]);
    let small = world.submit(Tier::P0, [1, 10]);
    let started = starts(&world.round());
    assert!(started.contains(&small), "{started:?}");
    assert!(!misfits.iter().all(|request| started.contains(request)));
}

#[test]
fn two_drain_claims_do_not_lock_each_other_out() {
    let config = three_tiers().max_bypass(0).drain_after(Duration::from_millis(10));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let small = world.submit_many(10, Tier::P2, [1, 10]);
    world.round();
    let near = world.submit(Tier::P1, [10, 1000]);
    let batch = world.submit(Tier::P2, [9, 900]);
    world.round();
    for request in small {
        world.complete(request);
        world.round();
    }
    assert_eq!(world.state(near), RequestState::Starting);
    world.complete(near);
    assert_eq!(starts(&world.round()), [batch]);
}

#[test]
fn a_claim_whose_worker_changes_under_it_neither_dies_nor_lingers() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    world.submit_many(10, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [2, 20]);
    let asked = victims(&world.round());
    assert_eq!(asked.len(), 2);
    let worker = world.worker_of(asked[0]).expect("it runs");
    // It shrinks: what comes free is not there, and the claim still waits for its victims.
    world.sched.worker_resize(world.now, worker, [9, 1000].into(), Shrink::Drain).expect("it is up");
    world.check();
    world.preempted(asked[0], 0);
    world.check();
    assert_eq!(starts(&world.round()), []);
    world.preempted(asked[1], 0);
    world.check();
    // One unit of two is left; the claim cannot fill any more and is gone, and the request chooses again.
    let again = world.round();
    assert!(starts(&again) == [urgent] || victims(&again).len() == 1, "{again:?}");
    world.obey(&again);
    assert!(starts(&again) == [urgent] || starts(&world.round()) == [urgent]);
}

#[test]
fn a_hung_victim_does_not_make_p0_wait_while_another_worker_could_be_had() {
    let mut world = World::with_workers(three_tiers(), 2, [10, 1000]);
    world.submit_many(20, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [1, 10]);
    let [hung] = victims(&world.round())[..] else { panic!("one victim") };
    let where_hung = world.worker_of(hung);
    world.pass(Duration::from_secs(1));
    let told = world.round();
    assert!(matches!(told[0], Action::Stuck { victim, .. } if victim == hung), "{told:?}");
    let [other] = victims(&told)[..] else { panic!("{told:?}") };
    assert_ne!(world.worker_of(other), where_hung);
    assert_eq!(world.sched.stats().further_sets, 1);
    world.preempted(other, 0);
    assert_eq!(starts(&world.round()), [urgent]);
}

#[test]
fn one_that_has_run_is_never_hit_by_a_queue_limit() {
    let mut world = World::with_workers(three_tiers().queue_limit(1).displace(true), 1, [2, 1000]);
    let old = world.submit(Tier::P2, [2, 20]);
    world.round();
    world.progress(old, 5, [2, 20]);
    world.preempted(old, 0);
    let newcomer = world.sched.submit(world.now, world.spec(Tier::P0, [1, 10]));
    assert!(matches!(newcomer, Err(SubmitError::QueueFull { .. })), "{newcomer:?}");
    assert_eq!(world.state(old), RequestState::Queued);
    assert_eq!(starts(&world.round()), [old]);
}

#[test]
fn an_equal_tier_never_yields() {
    // It borrows of both dimensions: nothing but the rule protects it.
    let mut world = World::with_workers(three_tiers(), 1, [10, 100]);
    world.submit_many(10, Tier::P0, [1, 10]);
    world.round();
    world.submit_many(5, Tier::P0, [1, 10]);
    assert_eq!(world.round(), []);
}

#[test]
fn an_amended_tier_takes_its_use_along() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    let batch = world.submit_many(10, Tier::P2, [1, 10]);
    world.round();
    let urgent = Amendment { tier: Some(Tier::P0), ..Amendment::default() };
    world.sched.amend(world.now, batch[0], urgent).expect("it runs");
    world.check();
    assert_eq!(world.sched.in_use(common::POOL, Tier::P0), Some(Resources::from([1, 10])));
    let asked = {
        world.submit_many(3, Tier::P0, [1, 10]);
        world.round()
    };
    assert_eq!(victims(&asked).len(), 3, "three of ten, one of them used, and one beyond it");
    assert!(!victims(&asked).contains(&batch[0]));
}
