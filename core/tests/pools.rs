//! Pools: what they stand for, requests that name several in order of preference, reserves of each.

mod common;

use std::time::Duration;

use common::{World, starts, three_tiers, victims};
use tidegate::{
    Action, AmendError, Amendment, Config, ConfigBuilder, DeviceSpec, Instant, OtherPools, PoolId, Ppm,
    Preemption, Reason, Release, RequestId, RequestSpec, RequestState, Reserve, Shrink, SubmitError, Tier,
    TierConfig, WorkerId, WorkerSpec, Yielding,
};

const DEDICATED: PoolId = PoolId::new(0);
const SHARED: PoolId = PoolId::new(1);
const OTHER: PoolId = PoolId::new(2);

fn pools() -> ConfigBuilder {
    three_tiers().pools(["dedicated", "shared", "other"])
}

fn add(world: &mut World, pool: PoolId, slots: u64) -> WorkerId {
    world.sched.worker_add(world.now, WorkerSpec::new([slots, 1_000]).pool(pool)).expect("a sound worker")
}

fn spec<const N: usize>(world: &World, tier: Tier, pools: [PoolId; N]) -> RequestSpec {
    world.spec(tier, [1, 1]).pools(pools)
}

fn both(world: &World, tier: Tier) -> RequestSpec {
    spec(world, tier, [DEDICATED, SHARED])
}

/// Where the requests of a round were started.
fn places(actions: &[Action]) -> Vec<(RequestId, WorkerId)> {
    let place = |action: &Action| match *action {
        Action::Start { request, worker, .. } => Some((request, worker)),
        _ => None,
    };
    actions.iter().filter_map(place).collect()
}

#[test]
fn a_request_starts_in_the_pool_it_prefers_and_where_that_is_full_in_the_next() {
    let mut world = World::new(pools());
    let (dedicated, shared) = (add(&mut world, DEDICATED, 2), add(&mut world, SHARED, 2));
    let all = [0; 5].map(|_| world.submit_spec(both(&world, Tier::P1)));
    let round = world.round();
    let expected = [(all[0], dedicated), (all[1], dedicated), (all[2], shared), (all[3], shared)];
    assert_eq!(places(&round), expected, "in order of arrival, and the pool that is preferred first");
    assert_eq!(world.sched.state(all[4]), Ok(RequestState::Queued));
    world.complete(all[1]);
    assert_eq!(places(&world.round()), [(all[4], dedicated)]);
}

#[test]
fn of_several_with_room_it_is_the_one_that_is_preferred_whatever_their_order() {
    let mut world = World::new(pools());
    let [_, shared, other] = [DEDICATED, SHARED, OTHER].map(|pool| add(&mut world, pool, 1));
    world.submit_spec(spec(&world, Tier::P1, [DEDICATED]));
    world.round();
    let backwards = world.submit_spec(spec(&world, Tier::P1, [DEDICATED, OTHER, SHARED]));
    assert_eq!(places(&world.round()), [(backwards, other)]);
    let next = world.submit_spec(spec(&world, Tier::P1, [DEDICATED, OTHER, SHARED]));
    assert_eq!(places(&world.round()), [(next, shared)]);
}

#[test]
fn who_waits_for_what_another_pool_holds_back_starts_when_it_lends_it_again() {
    let tier = |name| TierConfig::new(name).hold_window(Duration::from_secs(10));
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).pools(["dedicated", "shared"]);
    let mut world = World::new(config.tier(tier("top").reserve_ppm(500_000)).tier(tier("batch")));
    add(&mut world, DEDICATED, 1);
    let shared = add(&mut world, SHARED, 2);
    let urgent = world.submit_spec(spec(&world, Tier::P0, [SHARED]));
    world.submit_spec(world.spec(Tier::P1, [1, 1]));
    world.round();
    world.complete(urgent);
    world.round();
    let wide = world.spec(Tier::P1, [1, 1]).demand([2, 2]).pools([DEDICATED, SHARED]);
    add(&mut world, DEDICATED, 2);
    let filler = world.submit_spec(world.spec(Tier::P1, [2, 2]));
    assert_eq!(places(&world.round()).len(), 1, "{filler} has the room there");
    let wide = world.submit_spec(wide);
    assert_eq!(world.round(), [], "half of the other pool is held back");
    for _ in 0..20 {
        assert!(world.jump(), "time alone starts it");
        let round = world.round();
        if !round.is_empty() {
            assert_eq!(places(&round), [(wide, shared)]);
            return;
        }
    }
    panic!("it starts within the hold window");
}

#[test]
fn who_is_bound_to_a_pool_is_not_amended_beyond_it() {
    let mut world = World::new(pools());
    add(&mut world, DEDICATED, 2);
    add(&mut world, SHARED, 8);
    let bound = world.submit_spec(both(&world, Tier::P1));
    world.round();
    world.preempted(bound, 5);
    let more = Amendment { demand: Some([4, 4].into()), ..Amendment::default() };
    let refused = world.sched.amend(world.now, bound, more);
    assert!(matches!(refused, Err(AmendError::Submit(SubmitError::NeverFits { max: 2, .. }))), "{refused:?}");
    assert_eq!(places(&world.round()), [(bound, WorkerId::new(0))]);
}

#[test]
fn who_waits_is_taken_over_by_the_pool_that_has_room_first() {
    let mut world = World::new(pools());
    let (dedicated, shared) = (add(&mut world, DEDICATED, 1), add(&mut world, SHARED, 1));
    let run = [0, 1].map(|_| world.submit_spec(both(&world, Tier::P1)));
    let [first, second] = [0, 1].map(|_| world.submit_spec(both(&world, Tier::P1)));
    assert_eq!(places(&world.round()), [(run[0], dedicated), (run[1], shared)]);
    world.complete(run[1]);
    assert_eq!(places(&world.round()), [(first, shared)], "first come, first served");
    world.complete(run[0]);
    assert_eq!(places(&world.round()), [(second, dedicated)]);
    assert_eq!(world.sched.check_invariants(), Ok(()));
}

#[test]
fn the_pools_own_requests_come_first_and_the_more_urgent_before_others() {
    let mut world = World::new(pools());
    add(&mut world, DEDICATED, 1);
    let shared = add(&mut world, SHARED, 1);
    let runs = [DEDICATED, SHARED].map(|pool| world.submit_spec(spec(&world, Tier::P1, [pool])));
    world.round();
    let batch = world.submit_spec(both(&world, Tier::P2));
    let near = world.submit_spec(both(&world, Tier::P1));
    let own = world.submit_spec(spec(&world, Tier::P2, [SHARED]));
    assert_eq!(world.round(), []);
    for (ends, next) in [(runs[1], own), (own, near), (near, batch)] {
        world.complete(ends);
        assert_eq!(places(&world.round()), [(next, shared)]);
    }
}

#[test]
fn nobody_is_stopped_for_a_request_that_another_pool_starts_at_once() {
    let urgent_with = |room: bool| {
        let mut world = World::new(pools());
        add(&mut world, DEDICATED, 2);
        let shared = add(&mut world, SHARED, 1 + u64::from(room));
        for pool in [DEDICATED, DEDICATED, SHARED] {
            world.submit_spec(spec(&world, Tier::P2, [pool]));
        }
        world.round();
        let urgent = world.submit_spec(both(&world, Tier::P0));
        let round = world.round();
        (places(&round) == [(urgent, shared)], victims(&round).len())
    };
    assert_eq!(urgent_with(true), (true, 0));
    assert_eq!(urgent_with(false), (false, 1), "with no room elsewhere, in the pool it prefers");
}

#[test]
fn where_one_pools_reserve_is_used_up_the_next_ones_covers() {
    let tier = |name| TierConfig::new(name).hold_window(Duration::ZERO);
    let top = tier("top").preempt_while_borrowing(Preemption::Never);
    let top = top.reserve_in_pool(SHARED, 0, Reserve::Units(1)).reserve_in_pool(SHARED, 1, Reserve::Units(9));
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).pools(["dedicated", "shared"]);
    let mut world = World::new(config.tier(top).tier(tier("batch")).min_run(Duration::ZERO));
    add(&mut world, DEDICATED, 1);
    add(&mut world, SHARED, 1);
    let lent = [DEDICATED, SHARED].map(|pool| world.submit_spec(spec(&world, Tier::P1, [pool])));
    world.round();
    let urgent = world.submit_spec(both(&world, Tier::P0));
    let round = world.round();
    assert_eq!(victims(&round), [lent[1]], "what is reserved in the second pool comes back");
    world.preempted(lent[1], 0);
    assert_eq!(starts(&world.round()), [urgent]);
}

#[test]
fn it_is_refused_only_if_no_pool_can_ever_serve_it() {
    let mut world = World::new(pools());
    add(&mut world, DEDICATED, 2);
    let shared = add(&mut world, SHARED, 8);
    let wide = |pools: &[PoolId]| {
        let others = OtherPools::new(&pools[1..]).expect("few");
        RequestSpec { other_pools: others, ..world.spec(Tier::P1, [4, 1]).pool(pools[0]) }
    };
    let (alone, listed, unknown) =
        (wide(&[DEDICATED]), wide(&[DEDICATED, SHARED]), wide(&[SHARED, PoolId::new(3)]));
    let refused = SubmitError::NeverFits { dimension: 0, need: 4, max: 2 };
    assert_eq!(world.sched.submit(world.now, alone), Err(refused));
    assert_eq!(world.sched.submit(world.now, unknown), Err(SubmitError::UnknownPool(PoolId::new(3))));
    let listed = world.submit_spec(listed);
    assert_eq!(places(&world.round()), [(listed, shared)]);
}

#[test]
fn it_waits_for_a_worker_that_is_only_absent_and_goes_where_one_comes() {
    let mut world = World::new(pools());
    let waits = world.submit_spec(spec(&world, Tier::P1, [DEDICATED, SHARED, OTHER]));
    assert_eq!(world.round(), []);
    assert_eq!(world.sched.state(waits), Ok(RequestState::Parked));
    let other = add(&mut world, OTHER, 1);
    assert_eq!(places(&world.round()), [(waits, other)]);
    world.sched.worker_lost(world.now, other).expect("it was up");
    world.running.remove(&waits);
    assert_eq!(world.round(), [], "it comes back, and waits for any of them");
    assert_eq!(world.sched.state(waits), Ok(RequestState::Parked));
    let dedicated = add(&mut world, DEDICATED, 1);
    assert_eq!(places(&world.round()), [(waits, dedicated)]);
    assert_eq!(world.sched.check_invariants(), Ok(()));
}

#[test]
fn one_that_kept_context_goes_on_where_it_is_kept() {
    let mut world = World::new(pools());
    let (dedicated, _) = (add(&mut world, DEDICATED, 1), add(&mut world, SHARED, 1));
    let run = world.submit_spec(both(&world, Tier::P2).yielding(Yielding::Checkpoint));
    assert_eq!(starts(&world.round()), [run]);
    let urgent = world.submit_spec(spec(&world, Tier::P0, [DEDICATED]));
    assert_eq!(victims(&world.round()), [run]);
    let (attempt, _) = world.running[&run];
    world.sched.preempted(world.now, run, attempt, 7, Release::Done).expect("it runs");
    world.running.remove(&run);
    assert_eq!(starts(&world.round()), [urgent], "the other pool has room, and not its context");
    world.complete(urgent);
    assert_eq!(places(&world.round()), [(run, dedicated)]);
}

#[test]
fn a_pool_is_a_model_on_one_kind_of_gpu_and_nobody_elses_workers_serve_it() {
    let mut world = World::new(three_tiers().pools(["llama-h100", "llama-a100", "qwen-h100"]));
    let workers = [0, 1, 2].map(|pool| add(&mut world, PoolId::new(pool), 1));
    let only = [0, 1, 2].map(|pool| world.submit_spec(spec(&world, Tier::P1, [PoolId::new(pool)])));
    let any_llama = world.submit_spec(spec(&world, Tier::P1, [PoolId::new(0), PoolId::new(1)]));
    let round = world.round();
    assert_eq!(places(&round), [(only[0], workers[0]), (only[1], workers[1]), (only[2], workers[2])]);
    world.complete(only[2]);
    assert_eq!(world.round(), [], "a worker of another model is no use");
    world.complete(only[1]);
    assert_eq!(places(&world.round()), [(any_llama, workers[1])]);
}

#[test]
fn each_pool_guarantees_what_is_reserved_of_it() {
    let batch = TierConfig::new("batch").hold_window(Duration::ZERO);
    let top = TierConfig::new("top").hold_window(Duration::ZERO).reserve_ppm(500_000).lendable_ppm(0);
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).pools(["dedicated", "shared"]);
    let mut world = World::new(config.tier(top.reserve_ppm_in_pool(SHARED, 0)).tier(batch));
    let workers = [DEDICATED, SHARED].map(|pool| add(&mut world, pool, 4));
    for _ in 0..8 {
        world.submit_spec(both(&world, Tier::P1));
    }
    let round = world.round();
    let on = |worker| places(&round).iter().filter(|&&(_, other)| other == worker).count();
    assert_eq!(workers.map(on), [2, 4], "half of one pool is kept, nothing of the other");
    assert!(round.iter().all(|action| action.reason() == Reason::Borrowed));
}

#[test]
fn a_worker_over_several_devices_holds_what_each_of_them_has() {
    let mut world = World::new(three_tiers());
    let device = |world: &mut World, blocks| {
        let limit = [0, blocks].into();
        let spec = DeviceSpec { limit, ..DeviceSpec::default() };
        world.sched.device_add(world.now, spec).expect("a device")
    };
    let devices = [40, 30].map(|blocks| device(&mut world, blocks));
    let group = WorkerSpec::new([8, 100]);
    let group = devices.into_iter().fold(group, |group, device| group.on_part(device, Ppm::new(500_000)));
    let group = world.sched.worker_add(world.now, group).expect("a tensor-parallel group");
    let fits = world.submit_spec(world.spec(Tier::P1, [1, 60]));
    let larger = world.sched.submit(world.now, world.spec(Tier::P1, [1, 61]));
    assert_eq!(larger, Err(SubmitError::NeverFits { dimension: 1, need: 61, max: 60 }));
    let waits = world.submit_spec(world.spec(Tier::P1, [1, 1]));
    assert_eq!(places(&world.round()), [(fits, group)], "the smaller device is full");
    world.complete(fits);
    assert_eq!(places(&world.round()), [(waits, group)]);
    world.sched.device_lost(world.now, devices[0]).expect("it was there");
    world.running.remove(&waits);
    assert_eq!(world.round(), []);
    assert_eq!(
        world.sched.state(waits),
        Ok(RequestState::Parked),
        "no part of the group runs without the rest"
    );
}

/// Forty that never fit there wait for one pool: those behind them are seen all the same, wherever they stand.
#[test]
fn nobody_is_hidden_for_ever_by_those_that_never_fit() {
    let mut world = World::new(pools());
    add(&mut world, DEDICATED, 4);
    let shared = add(&mut world, SHARED, 2);
    let long = world.submit_spec(world.spec(Tier::P1, [4, 1]));
    world.round();
    let mut small = Vec::new();
    for place in 0..300 {
        let is_small = place > 40 && place % 37 == 0;
        let spec = both(&world, Tier::P1).demand([if is_small { 2 } else { 4 }, 1]);
        let id = world.submit_spec(spec);
        small.extend(is_small.then_some(id));
    }
    let mut waits = small.clone();
    for _ in 0..10_000 {
        if waits.is_empty() {
            break;
        }
        assert!(world.jump(), "time alone starts it");
        for (id, worker) in places(&world.round()) {
            assert_eq!(worker, shared, "{long} has the other");
            waits.retain(|&other| other != id);
            world.complete(id);
        }
    }
    assert_eq!(waits, [], "of {small:?}");
}

/// Those of whom a pool looks at some in turn: none of them fits there but one, at a place behind the first sixteen.
fn others(world: &mut World, small: usize, count: usize) -> RequestId {
    world.submit_spec(world.spec(Tier::P1, [4, 1]));
    world.round();
    let wait = |place| if place == 16 + small { 2 } else { 4 };
    let spec = both(world, Tier::P1);
    let ids: Vec<RequestId> =
        (0..16 + count).map(|place| world.submit_spec(spec.demand([wait(place), 1]))).collect();
    ids[16 + small]
}

#[test]
fn within_a_turn_a_pool_looks_at_the_same_ones() {
    let mut world = World::new(pools());
    add(&mut world, DEDICATED, 4);
    let shared = add(&mut world, SHARED, 2);
    let small = others(&mut world, 90, 100);
    for _ in 0..50 {
        let own = world.submit_spec(spec(&world, Tier::P1, [SHARED]).demand([1, 1]));
        assert_eq!(places(&world.round()), [(own, shared)]);
        world.complete(own);
        assert_eq!(places(&world.round()), [], "its turn comes in time, however often somebody looks");
    }
    let turns = (0..20).take_while(|_| world.jump() && places(&world.round()) != [(small, shared)]).count();
    assert!((5..8).contains(&turns), "100 others have their turns in 7: {turns}");
}

/// Of forty, sixteen a turn: the third turn has the last eight, and the first eight again.
#[test]
fn turns_go_round_about() {
    let mut world = World::new(pools());
    add(&mut world, DEDICATED, 4);
    let shared = add(&mut world, SHARED, 2);
    let blocks = world.submit_spec(spec(&world, Tier::P1, [SHARED]).demand([2, 1]));
    let small = others(&mut world, 3, 40);
    for turn in 0..3 {
        world.now = Instant::from_nanos(turn * 10_000_000);
        assert_eq!(places(&world.round()), [], "somebody else is there");
    }
    world.now = Instant::from_nanos(30_000_000);
    world.complete(blocks);
    assert_eq!(places(&world.round()), [(small, shared)]);
}

/// What a worker kept goes with it: whoever waits for that may go elsewhere, and begins anew there.
#[test]
fn who_kept_context_at_a_worker_that_is_lost_may_go_elsewhere() {
    for drains in [false, true] {
        let mut world = World::new(pools());
        let [keeper, other] = [0, 1].map(|_| add(&mut world, DEDICATED, 1));
        let run = [0, 1].map(|_| world.submit_spec(both(&world, Tier::P1)));
        assert_eq!(places(&world.round()), [(run[0], keeper), (run[1], other)]);
        if drains {
            world.sched.worker_drain(world.now, keeper).expect("it is up");
        }
        world.preempted(run[0], 50);
        if !drains {
            world.sched.worker_resize(world.now, keeper, [0, 1].into(), Shrink::Drain).expect("it is up");
        }
        let shared = add(&mut world, SHARED, 1);
        assert_eq!(places(&world.round()), [], "what it kept is where it was");
        world.lost(keeper);
        let round = world.round();
        assert_eq!(places(&round), [(run[0], shared)], "though {other} lives and is full");
        let resumed = |action: &Action| matches!(action, Action::Start { resume_tokens: 1.., .. });
        assert!(!round.iter().any(resumed), "the context is not there");
    }
}

/// A pool of which nothing is left keeps nobody.
#[test]
fn who_waits_where_all_workers_are_lost_goes_elsewhere_with_context_or_without() {
    let mut world = World::new(pools());
    let only = add(&mut world, DEDICATED, 2);
    let run = [0, 1].map(|_| world.submit_spec(both(&world, Tier::P1)));
    world.round();
    world.preempted(run[0], 50);
    world.preempted(run[1], 0);
    world.lost(only);
    let shared = add(&mut world, SHARED, 2);
    assert_eq!(places(&world.round()), [(run[0], shared), (run[1], shared)]);
}

/// Whoever was to go on at a worker that is lost goes on wherever else it may.
#[test]
fn a_move_to_a_worker_that_is_lost_binds_nobody() {
    let mut world = World::new(pools().rebalance_every(Duration::from_secs(1)).min_run(Duration::ZERO));
    let full = add(&mut world, DEDICATED, 4);
    let spec = both(&world, Tier::P1).yielding(Yielding::Checkpoint);
    let run = [0; 4].map(|_| world.submit_spec(spec));
    world.round();
    run.iter().for_each(|&id| world.progress(id, 1, [1, 1]));
    let idle = add(&mut world, DEDICATED, 4);
    let moved = victims(&world.round());
    assert_eq!(moved.len(), 1, "to {idle}");
    world.preempted(moved[0], 0);
    let less = world.sched.worker_resize(world.now, full, [3, 1_000].into(), Shrink::Drain);
    less.expect("it is up");
    world.lost(idle);
    let shared = add(&mut world, SHARED, 1);
    assert_eq!(places(&world.round()), [(moved[0], shared)]);
}

#[test]
fn an_explanation_says_where_it_waits_and_where_it_may_go() {
    let mut world = World::new(pools());
    let kept = add(&mut world, DEDICATED, 1);
    let id = world.submit_spec(spec(&world, Tier::P1, [DEDICATED, OTHER, SHARED]));
    let told = |world: &World| {
        let why = world.sched.explain(id).expect("it lives");
        (why.pool, why.other_pools.to_vec(), why.to_string().contains("may go to"))
    };
    assert_eq!(told(&world), (DEDICATED, vec![OTHER, SHARED], true));
    world.round();
    assert_eq!(told(&world), (DEDICATED, vec![], false), "it runs");
    world.preempted(id, 5);
    assert_eq!(told(&world), (DEDICATED, vec![], false), "it is bound");
    world.lost(kept);
    assert_eq!(told(&world), (DEDICATED, vec![OTHER, SHARED], true));
    add(&mut world, SHARED, 1);
    world.round();
    assert_eq!(told(&world).0, SHARED);
    world.preempted(id, 0);
    assert_eq!(told(&world), (DEDICATED, vec![OTHER, SHARED], true), "when it stops, to the first");
}
