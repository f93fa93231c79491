//! What a host can ask without changing anything: why a request waits, and how shares came out.

mod common;

use std::time::Duration;

use common::{POOL, World, starts, three_tiers, victims};
use tidegate::{
    Attempt, Config, ConfigBuilder, Decline, Explanation, Gate, Instant, OtherPools, Placement, PoolId,
    Release, ReportError, RequestId, RequestSpec, RequestState, Reserve, Rounding, ShareWarning, Tier,
    TierConfig, WorkerId, WorkerSpec, Yielding,
};

const NONE: OtherPools = OtherPools::NONE;

fn one_tier() -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("only"))
}

fn explain(world: &World, id: RequestId) -> Explanation {
    world.sched.explain(id).expect("it lives")
}

/// What holds it back.
/// All of it, of one that may go to its own pool alone.
fn told(world: &World, id: RequestId) -> (RequestState, Option<Gate>, u64, Option<Instant>) {
    let why = explain(world, id);
    assert_eq!((why.pool, why.other_pools), (POOL, NONE));
    (why.state, why.gate, why.ahead, why.starts_at)
}

fn gate(world: &World, id: RequestId) -> Option<Gate> {
    let explanation = explain(world, id);
    assert_eq!(explanation.state, world.state(id));
    explanation.gate
}

#[test]
fn nothing_holds_back_what_starts_when_polled() {
    let mut world = World::with_workers(one_tier(), 1, [4, 100]);
    world.pass(Duration::from_secs(5));
    let id = world.submit(Tier::P0, [1, 10]);
    let starts_at = Some(world.now);
    let state = RequestState::Queued;
    assert_eq!(told(&world, id), (state, None, 0, starts_at));
    assert_eq!(starts(&world.round()), [id]);
}

#[test]
fn what_runs_waits_for_nothing_and_what_ended_is_not_explained() {
    let mut world = World::with_workers(one_tier(), 1, [4, 100]);
    let id = world.submit(Tier::P0, [1, 10]);
    world.round();
    let state = RequestState::Starting;
    assert_eq!(told(&world, id), (state, None, 0, None));
    world.complete(id);
    assert_eq!(world.sched.explain(id), Err(ReportError::AlreadyTerminal(id)));
}

#[test]
fn what_no_worker_holds_waits_for_a_worker() {
    let mut world = World::with_workers(one_tier(), 1, [4, 100]);
    let large = world.worker([8, 100]);
    world.lost(large);
    let id = world.submit(Tier::P0, [5, 10]);
    let (state, gate) = (RequestState::Parked, Some(Gate::NoWorker));
    assert_eq!(told(&world, id), (state, gate, 0, None));
}

#[test]
fn who_has_chosen_victims_waits_for_its_claim() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    world.submit_many(10, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [1, 10]);
    assert_eq!(gate(&world, urgent), Some(Gate::Room), "before it has chosen whom to stop");
    assert_eq!(victims(&world.round()).len(), 1);
    assert_eq!(gate(&world, urgent), Some(Gate::Claim));
}

#[test]
fn who_stopped_in_this_round_waits_for_the_next() {
    let mut world = World::with_workers(one_tier(), 1, [4, 100]);
    let id = world.submit(Tier::P0, [1, 10]);
    assert!(world.poll_one().is_some());
    let (attempt, now) = (Attempt::new(1), world.now);
    world.sched.preempted(now, id, attempt, 0, Release::Done).expect("it was started");
    assert_eq!(gate(&world, id), Some(Gate::Round));
    assert_eq!(world.round(), [], "it sits this round out");
    assert_eq!(explain(&world, id).gate, None, "and starts in the next");
}

#[test]
fn who_would_be_beyond_the_borrow_limit_waits_for_its_own_tier() {
    let only = TierConfig::new("only").reserve_ppm(500_000).borrow_limit([1, 100]);
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(only);
    let mut world = World::with_workers(config, 1, [4, 100]);
    world.submit_many(3, Tier::P0, [1, 10]);
    world.round();
    let id = world.submit(Tier::P0, [1, 80]);
    assert_eq!(gate(&world, id), Some(Gate::BorrowLimit), "first of all; the blocks are not there either");
}

#[test]
fn what_never_yields_waits_for_the_reserves_of_others() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    let stubborn = world.spec(Tier::P2, [1, 10]).yielding(Yielding::Never);
    for _ in 0..7 {
        world.submit_spec(stubborn);
    }
    world.round();
    let id = world.submit_spec(stubborn);
    assert_eq!(gate(&world, id), Some(Gate::NeverYields), "three of ten are P0's");
}

#[test]
fn who_borrows_waits_for_what_is_held_for_others() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("urgent").reserve_ppm(500_000).lendable_ppm(0))
        .tier(TierConfig::new("batch"));
    let mut world = World::with_workers(config, 1, [4, 100]);
    world.submit_many(2, Tier::P1, [1, 10]);
    world.round();
    let id = world.submit(Tier::P1, [1, 10]);
    assert_eq!(gate(&world, id), Some(Gate::Held));
}

#[test]
fn what_no_worker_has_room_for_waits_though_enough_is_free_in_all() {
    let mut world = World::with_workers(one_tier().placement(Placement::Spread), 2, [2, 100]);
    world.submit_many(2, Tier::P0, [1, 10]);
    world.round();
    let id = world.submit(Tier::P0, [2, 10]);
    assert_eq!(gate(&world, id), Some(Gate::Room), "two slots are free, one here and one there");
}

#[test]
fn who_was_declined_waits_to_be_let_near_the_worker_again() {
    let mut world = World::with_workers(one_tier(), 1, [4, 100]);
    let id = world.submit(Tier::P0, [1, 10]);
    world.round();
    world.declined(id, Decline::NoRoom);
    assert_eq!(gate(&world, id), Some(Gate::Excluded));
    world.pass(Duration::from_secs(1));
    assert_eq!(starts(&world.round()), [id]);
}

#[test]
fn who_is_behind_a_head_waits_for_the_worker_that_is_drained_for_it() {
    let mut world = World::with_workers(one_tier().max_bypass(0), 1, [10, 100]);
    world.submit(Tier::P0, [5, 10]);
    world.round();
    let head = world.submit(Tier::P0, [8, 10]);
    let small = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), []);
    assert_eq!(gate(&world, head), Some(Gate::Held), "8 are not there");
    assert_eq!(gate(&world, small), Some(Gate::Excluded));
}

#[test]
fn who_is_ahead_is_who_is_offered_a_start_before_it() {
    let mut world = World::with_workers(three_tiers(), 1, [2, 100]);
    let large = world.worker([4, 100]);
    world.lost(large);
    let [runs, stays] = [0, 1].map(|_| world.submit(Tier::P1, [1, 10]));
    world.round();
    let [first, second] = [0, 1].map(|_| world.submit(Tier::P1, [1, 10]));
    world.submit(Tier::P1, [3, 10]);
    world.submit(Tier::P0, [1, 10]);
    assert_eq!([first, second].map(|id| explain(&world, id).ahead), [0, 1]);
    world.preempted(runs, 0);
    let ahead = [runs, first, second].map(|id| explain(&world, id).ahead);
    assert_eq!(ahead, [0, 1, 2], "who has run comes first; what is parked is in nobody's way");
    assert_eq!(world.state(stays), RequestState::Starting);
}

#[test]
fn when_it_may_start_follows_from_how_starts_of_its_tier_went_on() {
    let mut world = World::with_workers(one_tier(), 1, [1, 100]);
    let ids = world.submit_many(4, Tier::P0, [1, 10]);
    world.round();
    assert_eq!(explain(&world, ids[1]).starts_at, None, "one start has no pace");
    world.pass(Duration::from_secs(10));
    world.complete(ids[0]);
    assert_eq!(starts(&world.round()), [ids[1]]);
    let starts_at = [ids[2], ids[3]].map(|id| explain(&world, id).starts_at);
    assert_eq!(starts_at, [20, 30].map(|seconds| Some(Instant::from_nanos(seconds * 1_000_000_000))));
}

#[test]
fn tenants_take_turns_in_an_estimate() {
    let mut world = World::with_workers(one_tier(), 1, [1, 100]);
    let other = world.sched.tenant_set(world.now, "other").expect("there is room");
    let many = world.submit_many(10, Tier::P0, [1, 10]);
    world.round();
    let spec = RequestSpec { tenant: other, ..world.spec(Tier::P0, [1, 10]) };
    let few = [0, 1].map(|_| world.sched.submit(world.now, spec).expect("it is sound"));
    world.pass(Duration::from_secs(10));
    world.complete(many[0]);
    world.round();
    let seconds = |id| explain(&world, id).starts_at.expect("it has a pace").as_nanos() / 1_000_000_000;
    assert_eq!(seconds(many[9]), 110, "all of the ten that wait start until then");
    assert!((20..=50).contains(&seconds(few[1])), "{} of 110 s", seconds(few[1]));
}

#[test]
fn time_in_which_nobody_waits_says_nothing_of_the_pace() {
    let mut world = World::with_workers(one_tier(), 1, [2, 100]);
    let ids = world.submit_many(6, Tier::P0, [1, 10]);
    world.round();
    world.pass(Duration::from_secs(10));
    world.complete(ids[0]);
    world.round();
    let starts_in = |world: &World, id| {
        let at = explain(world, id).starts_at.expect("it has a pace");
        at.nanos_since(world.now) / 1_000_000_000
    };
    assert_eq!(starts_in(&world, ids[3]), 10, "one in 10 s");
    for &id in &ids[1..] {
        if world.running.contains_key(&id) {
            world.complete(id);
        }
        world.round();
    }
    world.pass(Duration::from_secs(1_000));
    let more = world.submit_many(4, Tier::P0, [1, 10]);
    world.round();
    assert!(starts_in(&world, more[2]) <= 10, "nobody waited meanwhile");
}

fn reserve_of(rounding: Rounding, capacity: [u64; 2]) -> World {
    let urgent = TierConfig::new("urgent").reserve_ppm(300_000).rounding(rounding);
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(urgent).tier(TierConfig::new("b"));
    World::with_workers(config, 1, capacity)
}

#[test]
fn the_effective_reserve_is_of_whole_units() {
    for (rounding, slots) in [(Rounding::Ceil, 2), (Rounding::Nearest, 1), (Rounding::Floor, 1)] {
        let world = reserve_of(rounding, [4, 100]);
        assert_eq!(world.sched.effective_reserve(POOL, Tier::P0), Some([slots, 30].into()), "{rounding:?}");
    }
    let world = reserve_of(Rounding::Nearest, [5, 100]);
    assert_eq!(world.sched.effective_reserve(POOL, Tier::P0), Some([2, 30].into()), "1.5 is nearest to 2");
    assert_eq!(world.sched.effective_reserve(PoolId::new(1), Tier::P0), None);
    assert_eq!(world.sched.effective_reserve(POOL, Tier::new(2)), None);
}

#[test]
fn a_dimension_may_have_a_reserve_of_its_own_and_less_urgent_tiers_have_what_is_left() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("a").reserve_ppm(500_000).reserve_in(1, Reserve::Units(90)))
        .tier(TierConfig::new("b").reserve_ppm(500_000).reserve_in(1, Reserve::Units(30)));
    let world = World::with_workers(config, 1, [5, 100]);
    let reserve = |tier| world.sched.effective_reserve(POOL, tier);
    assert_eq!(reserve(Tier::P0), Some([3, 90].into()));
    assert_eq!(reserve(Tier::P1), Some([2, 10].into()), "2.5 rounded up, and 30, are not there any more");
}

#[test]
fn a_pool_may_have_reserves_of_its_own() {
    let pools = ["h100", "a100", "idle"];
    let [h100, a100, idle] = [0, 1, 2].map(PoolId::new);
    let tier = TierConfig::new("a").reserve_ppm(500_000).reserve_in(1, Reserve::Units(90));
    let tier = tier.reserve_ppm_in_pool(a100, 250_000).reserve_in_pool(idle, 1, Reserve::Units(7));
    let config = Config::builder().dimensions(["slots", "blocks"]).pools(pools).tier(tier);
    let mut world = World::new(config.tier(TierConfig::new("b")));
    for pool in [h100, a100, idle] {
        world.sched.worker_add(world.now, WorkerSpec::new([8, 100]).pool(pool)).expect("a sound worker");
    }
    let reserve = |pool| world.sched.effective_reserve(pool, Tier::P0);
    assert_eq!(reserve(h100), Some([4, 90].into()), "what is said of all pools");
    assert_eq!(reserve(a100), Some([2, 25].into()), "a share of the pool's own is one of all its dimensions");
    assert_eq!(reserve(idle), Some([4, 7].into()), "a dimension's own leaves the others as they are");
    assert!(world.sched.share_warnings().is_empty(), "{:?}", world.sched.share_warnings());
}

#[test]
fn a_reserve_that_came_out_more_than_ten_points_off_is_a_warning() {
    let warnings = |world: &World| world.sched.share_warnings();
    let mut world = reserve_of(Rounding::Ceil, [4, 100]);
    let (pool, tier, dimension) = (POOL, Tier::P0, 0);
    let (asked_ppm, effective_ppm) = (300_000, 500_000);
    assert_eq!(warnings(&world), [ShareWarning { pool, tier, dimension, asked_ppm, effective_ppm }]);
    world.worker([1, 100]);
    assert_eq!(warnings(&world), [], "2 of 5 are ten points more, and no more than ten");
    world.worker([5, 100]);
    assert_eq!(warnings(&world), [], "3 of 10");
    world.lost(WorkerId::new(2));
    world.lost(WorkerId::new(1));
    assert_eq!(warnings(&world).len(), 1);
    world.lost(WorkerId::new(0));
    assert_eq!(warnings(&world), [], "nothing of nothing");
}

#[test]
fn a_reserve_that_others_left_nothing_of_is_a_warning() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("a").reserve_ppm(600_000))
        .tier(TierConfig::new("b").reserve_ppm(400_000));
    let world = World::with_workers(config, 1, [1, 100]);
    let of = |tier, asked_ppm, effective_ppm| ShareWarning {
        pool: POOL,
        tier,
        dimension: 0,
        asked_ppm,
        effective_ppm,
    };
    let expected = [of(Tier::P0, 600_000, 1_000_000), of(Tier::P1, 400_000, 0)];
    assert_eq!(world.sched.share_warnings(), expected);
}
