//! What is told of a tenant: exactly what its requests were, held and used, and what of that its tiers borrowed.

mod common;

use std::time::Duration;

use common::{POOL, World, starts, three_tiers, victims};
use tidegate::{
    Amendment, Config, ConfigBuilder, Decline, QUEUE_DELAY_BUCKETS, Reason, Release, RequestId, RequestSpec,
    Resources, TenantError, TenantId, TenantPolicy, TenantUsage, Tier, TierConfig, Usage, WorkerId,
};

const W0: WorkerId = WorkerId::new(0);
/// Parts are in 1/2^32.
const PART_BITS: u32 = 32;

/// One tier without a reserve.
fn one_tier() -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("only"))
}

fn tenant(world: &mut World, name: &str) -> TenantId {
    world.sched.tenant_set(world.now, name).expect("a name")
}

/// What is told of a tenant at the world's clock, which asking does not change.
fn usage(world: &mut World, tenant: TenantId) -> TenantUsage {
    // Only a call tells the scheduler what time it is.
    assert_eq!(world.sched.tenant_set(world.now, "acme"), Ok(world.tenant));
    let told = world.sched.usage(tenant).expect("it is known");
    assert_eq!(world.sched.usage(tenant), Ok(told.clone()));
    told
}

fn told(world: &mut World) -> TenantUsage {
    usage(world, world.tenant)
}

fn pass_ns(world: &mut World, nanos: u64) {
    world.pass(Duration::from_nanos(nanos));
}

fn start(world: &mut World, spec: RequestSpec) -> RequestId {
    let id = world.submit_spec(spec);
    assert_eq!(starts(&world.round()), [id]);
    id
}

#[test]
fn one_that_has_done_nothing_has_used_nothing() {
    let mut world = World::with_workers(one_tier(), 1, [4, 100]);
    assert_eq!(told(&mut world), TenantUsage::default());
    let unknown = TenantId::new(1);
    assert_eq!(world.sched.usage(unknown), Err(TenantError::Unknown(unknown)));
    let refused = world.sched.submit(world.now, world.spec(Tier::P0, [5, 1]));
    assert!(refused.is_err());
    assert_eq!(told(&mut world), TenantUsage::default());
}

#[test]
fn unit_nanoseconds_are_exact_through_a_life() {
    let mut world = World::with_workers(one_tier(), 1, [4, 100]);
    pass_ns(&mut world, 1_000);
    let spec = world.spec(Tier::P0, [1, 10]);
    let id = start(&mut world, spec);
    pass_ns(&mut world, 3);
    assert_eq!(told(&mut world).unit_ns, [3, 30, 0, 0], "it has not reported yet, and its units are taken");
    world.progress(id, 1, [2, 15]);
    pass_ns(&mut world, 4);
    assert_eq!(told(&mut world).in_use, Resources::from([2, 15]));
    world.preempted(id, 0);
    pass_ns(&mut world, 5);
    assert_eq!(told(&mut world).unit_ns, [3 + 8, 30 + 60, 0, 0], "who waits uses nothing");
    assert_eq!(starts(&world.round()), [id]);
    pass_ns(&mut world, 6);
    let (attempt, _) = world.running[&id];
    world.sched.preempted(world.now, id, attempt, 0, Release::Later).expect("it runs");
    pass_ns(&mut world, 7);
    world.sched.released(world.now, id, attempt).expect("it stopped");
    pass_ns(&mut world, 8);
    let told = told(&mut world);
    assert_eq!(told.unit_ns, [11 + 2 * 13, 90 + 15 * 13, 0, 0], "units count until they are released");
    assert_eq!((told.in_use, told.borrowed_unit_ns), (Resources::ZERO, told.unit_ns));
}

#[test]
fn a_clock_that_goes_back_takes_nothing_away() {
    let mut world = World::with_workers(one_tier(), 1, [4, 100]);
    let spec = world.spec(Tier::P0, [1, 10]);
    let id = start(&mut world, spec);
    pass_ns(&mut world, 10);
    let before = told(&mut world);
    let earlier = tidegate::Instant::from_nanos(4);
    world.sched.progress(earlier, id, world.attempt(id), 1, [3, 10].into()).expect("it runs");
    assert_eq!(world.sched.usage(world.tenant).expect("it is known").unit_ns, before.unit_ns);
    pass_ns(&mut world, 1);
    assert_eq!(told(&mut world).unit_ns, [13, 110, 0, 0]);
}

#[test]
fn the_largest_numbers_have_room() {
    let units = tidegate::MAX_UNITS;
    let mut world = World::with_workers(one_tier(), 2, [units, units]);
    let ids = [world.submit(Tier::P0, [units, units]), world.submit(Tier::P0, [units, units])];
    assert_eq!(starts(&world.round()), ids);
    world.now = tidegate::Instant::from_nanos(u64::MAX);
    let all = 2 * u128::from(units) * u128::from(u64::MAX);
    assert_eq!(told(&mut world).unit_ns[..2], [all, all]);
    assert_eq!(told(&mut world).borrowed_unit_ns[..2], [all, all]);
    world.complete_with(ids[0], Usage::default());
    assert_eq!(told(&mut world).borrowed_unit_ns[..2], [all, all]);
}

/// P0 has 3 of 10 slots and 30 of 100 blocks, P1 nothing.
#[test]
fn what_a_tier_borrows_is_spread_over_all_that_it_uses() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 100]);
    let [one, other, third] = ["one", "other", "third"].map(|name| tenant(&mut world, name));
    let spec = |tenant, tier, demand: [u64; 2]| RequestSpec::new(tenant, tier).demand(demand);
    start(&mut world, spec(one, Tier::P0, [1, 30]));
    pass_ns(&mut world, 1_000);
    assert_eq!(usage(&mut world, one).borrowed_unit_ns, [0; 4], "the reserve covers it");
    start(&mut world, spec(other, Tier::P0, [3, 10]));
    pass_ns(&mut world, 1_000);
    // A quarter of 4 slots and of 40 blocks is borrowed.
    assert_eq!(usage(&mut world, one).borrowed_unit_ns, [250, 7_500, 0, 0]);
    assert_eq!(usage(&mut world, other).borrowed_unit_ns, [750, 2_500, 0, 0]);
    let low = start(&mut world, spec(third, Tier::P1, [2, 20]));
    pass_ns(&mut world, 10);
    assert_eq!(usage(&mut world, third).borrowed_unit_ns, [20, 200, 0, 0], "its tier has no reserve");
    // It has one now: what it uses is within it.
    let amendment = Amendment { tier: Some(Tier::P0), ..Amendment::default() };
    world.sched.amend(world.now, low, amendment).expect("it runs");
    pass_ns(&mut world, 3);
    // Of 6 slots a half, of 60 blocks a half.
    assert_eq!(usage(&mut world, third).borrowed_unit_ns, [23, 230, 0, 0]);
    assert_eq!(usage(&mut world, third).unit_ns, [26, 260, 0, 0]);
    let before = usage(&mut world, one).borrowed_unit_ns;
    world.worker([10, 100]);
    pass_ns(&mut world, 1_000);
    assert_eq!(usage(&mut world, one).borrowed_unit_ns, before, "the reserve has grown to 6 and 60");
}

#[test]
fn a_third_is_rounded_down_by_less_than_it_says() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 100]);
    let mut spec = world.spec(Tier::P0, [3, 1]);
    start(&mut world, spec);
    spec.demand = [6, 1].into();
    start(&mut world, spec);
    pass_ns(&mut world, 3_000_000_000);
    let told = told(&mut world);
    // 6 of 9 are borrowed.
    let exact = 18_000_000_000;
    let least = exact - (told.unit_ns[0] >> PART_BITS) - 1;
    assert!((least..exact).contains(&told.borrowed_unit_ns[0]), "{told:?}");
}

#[test]
fn a_draining_worker_lends_nothing() {
    let mut world = World::with_workers(one_tier(), 2, [1, 100]);
    let spec = world.spec(Tier::P0, [1, 10]);
    start(&mut world, spec);
    let other = tenant(&mut world, "other");
    start(&mut world, RequestSpec::new(other, Tier::P0).demand([1, 10]));
    pass_ns(&mut world, 5);
    world.sched.worker_drain(world.now, W0).expect("it is up");
    pass_ns(&mut world, 7);
    let before = told(&mut world);
    assert_eq!(before.unit_ns, [12, 120, 0, 0]);
    assert_eq!(before.borrowed_unit_ns, [5, 50, 0, 0], "it is in no tier's use any more");
    assert_eq!(usage(&mut world, other).borrowed_unit_ns, [12, 120, 0, 0]);
    world.lost(W0);
    pass_ns(&mut world, 9);
    assert_eq!(told(&mut world).unit_ns, before.unit_ns);
}

#[test]
fn first_starts_are_counted_by_how_long_they_were_waited_for() {
    let bound = TenantUsage::queue_delay_bound_ns;
    assert_eq!((bound(0), bound(1), bound(22)), (Some(1_000_000), Some(2_000_000), Some(4_194_304_000_000)));
    assert_eq!(
        (bound(QUEUE_DELAY_BUCKETS - 1), bound(QUEUE_DELAY_BUCKETS), bound(usize::MAX)),
        (None, None, None)
    );
    for bucket in 0..QUEUE_DELAY_BUCKETS {
        let least = if bucket == 0 { 0 } else { bound(bucket - 1).expect("not the last") };
        let most = bound(bucket).map_or(u64::MAX / 2, |bound| bound - 1);
        for delay in [least, most] {
            let mut world = World::new(one_tier());
            let id = world.submit(Tier::P0, [1, 1]);
            pass_ns(&mut world, delay);
            world.worker([4, 100]);
            assert_eq!(starts(&world.round()), [id]);
            let mut expected = [0; QUEUE_DELAY_BUCKETS];
            expected[bucket] = 1;
            assert_eq!(told(&mut world).queue_delays, expected, "{delay}");
            // Starts of one that was started before are not waited for from its arrival.
            world.declined(id, Decline::NoRoom);
            pass_ns(&mut world, 1_000_000_000);
            assert_eq!(starts(&world.round()), [id]);
            assert_eq!(told(&mut world).queue_delays, expected, "{delay}");
        }
    }
}

#[test]
fn requests_count_for_how_they_end() {
    let config = one_tier().decline_backoff(Duration::ZERO);
    let mut world = World::with_workers(config, 1, [1, 100]);
    let spec = world.spec(Tier::P0, [1, 1]);
    let completed = start(&mut world, spec);
    let failed = world.submit_spec(spec);
    let cancelled = world.submit_spec(spec);
    let dropped = world.submit_spec(spec.queue_timeout(Duration::from_millis(1)));
    let told_now = told(&mut world);
    assert_eq!((told_now.submitted, told_now.waiting, told_now.running, told_now.started), (4, 3, 1, 1));
    world.sched.cancel(world.now, cancelled).expect("it waits");
    world.pass(Duration::from_millis(1));
    world.round();
    assert!(world.sched.state(dropped).is_err());
    let nothing = told(&mut world);
    assert_eq!((nothing.cancelled, nothing.dropped, nothing.prompt_tokens), (1, 1, 0), "they used nothing");
    let used = Usage { prompt_tokens: 70, cached_tokens: 30, output_tokens: 11 };
    world.complete_with(completed, used);
    assert_eq!(starts(&world.round()), [failed]);
    // Prompt 100, as it says itself; what was found in a cache, and generated, as was reported.
    let attempt = world.attempt(failed);
    world.sched.started(world.now, failed, attempt, 25, [1, 1].into()).expect("it starts");
    world.progress(failed, 4, [1, 1]);
    world.sched.step(world.now, W0, 3, &[]).expect("it is up");
    world.sched.failed(world.now, failed, attempt).expect("it runs");
    let told = told(&mut world);
    assert_eq!((told.completed, told.failed, told.cancelled, told.dropped), (1, 1, 1, 1));
    assert_eq!((told.submitted, told.started, told.waiting, told.running), (4, 2, 0, 0));
    assert_eq!((told.prompt_tokens, told.cached_tokens, told.output_tokens), (170, 55, 18));
    let three_times = start(&mut world, spec);
    for _ in 0..2 {
        world.declined(three_times, Decline::NoRoom);
        assert_eq!(starts(&world.round()), [three_times]);
    }
    world.declined(three_times, Decline::NoRoom);
    let last = self::told(&mut world);
    assert_eq!((last.failed, last.started, last.prompt_tokens), (2, 3, 170), "declined, it never ran");
}

/// `told` of these worlds: preemptions, for memory, and tokens lost.
fn stops(world: &mut World) -> (u64, u64, u64) {
    let told = told(world);
    (told.preemptions, told.memory_preemptions, told.lost_tokens)
}

#[test]
fn what_is_taken_from_a_tenant_is_told() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 100]);
    let urgent = tenant(&mut world, "urgent");
    let low = world.submit_many(10, Tier::P2, [1, 10]);
    assert_eq!(starts(&world.round()), low);
    for &id in &low {
        let attempt = world.attempt(id);
        world.sched.started(world.now, id, attempt, 30, [1, 10].into()).expect("it starts");
        world.progress(id, 5, [1, 10]);
    }
    world.submit_spec(RequestSpec::new(urgent, Tier::P0).demand([1, 10]));
    let asked = victims(&world.round());
    assert_eq!(asked.len(), 1);
    assert_eq!(stops(&mut world), (0, 0, 0), "it has not stopped yet");
    world.preempted(asked[0], 0);
    assert_eq!(stops(&mut world), (1, 0, 75), "100 and 5, of which 30 are cached");
    world.round();
    // An engine that stops by itself preempts nobody for us; the work is lost all the same.
    let own = *world.running.keys().find(|id| low.contains(id)).expect("some run");
    world.preempted(own, 45);
    assert_eq!(stops(&mut world), (1, 0, 75 + 60), "45 are kept");
    let was_running = world.running.keys().filter(|id| low.contains(id)).count() as u64;
    world.lost(W0);
    assert_eq!(stops(&mut world), (1, 0, 135 + 75 * was_running));
    assert_eq!(usage(&mut world, urgent).lost_tokens, 0, "it had not reported anything");
}

#[test]
fn a_stop_for_memory_is_told_apart() {
    let mut world = World::with_workers(one_tier(), 1, [10, 100]);
    let ids = world.submit_many(2, Tier::P0, [1, 40]);
    assert_eq!(starts(&world.round()), ids);
    world.progress(ids[0], 1, [1, 40]);
    world.progress(ids[1], 1, [1, 70]);
    let actions = world.round();
    assert_eq!(actions, [world.preempt(ids[1], None, Reason::OutOfMemory)]);
    world.preempted(ids[1], 0);
    assert_eq!(stops(&mut world), (0, 1, 101));
}

#[test]
fn quota_is_told_as_it_is_held_and_comes_back() {
    let mut world = World::with_workers(one_tier(), 1, [2, 100]);
    let held = |world: &mut World| {
        let told = told(world);
        (told.held_tokens, told.refunded_tokens, told.debt_tokens)
    };
    let spec = world.spec(Tier::P0, [1, 1]).output_tokens(50);
    let short = start(&mut world, spec);
    let long = start(&mut world, spec);
    world.submit_spec(spec);
    assert_eq!(held(&mut world), (300, 0, 0), "who waits holds nothing");
    world.complete_with(short, Usage { prompt_tokens: 100, cached_tokens: 0, output_tokens: 20 });
    assert_eq!(held(&mut world), (150, 30, 0));
    world.progress(long, 60, [1, 1]);
    assert_eq!(held(&mut world), (160 + 64, 30, 74), "charged ahead");
    world.complete_with(long, Usage { prompt_tokens: 100, cached_tokens: 0, output_tokens: 60 });
    assert_eq!(held(&mut world), (0, 30 + 64, 74));
    let last = starts(&world.round())[0];
    world.declined(last, Decline::NoRoom);
    assert_eq!(held(&mut world), (0, 94 + 150, 74), "it did not start");
}

#[test]
fn a_tenant_is_told_of_alone_and_forgotten_with_its_name() {
    let mut world = World::with_workers(one_tier(), 1, [4, 100]);
    let [team, key] = ["team", "key"].map(|name| tenant(&mut world, name));
    let below = TenantPolicy::new().parent(team);
    world.sched.tenant_configure(world.now, key, &below).expect("a sound policy");
    let id = start(&mut world, RequestSpec::new(key, Tier::P0).demand([1, 1]).prompt_tokens(10));
    pass_ns(&mut world, 10);
    assert_eq!(usage(&mut world, team), TenantUsage::default(), "what is below it is not its own");
    // What it has used stays its own wherever it stands.
    world.sched.tenant_configure(world.now, key, &TenantPolicy::new()).expect("a sound policy");
    world.complete_with(id, Usage { prompt_tokens: 10, cached_tokens: 0, output_tokens: 1 });
    let told = usage(&mut world, key);
    assert_eq!((told.completed, told.unit_ns[0], told.output_tokens), (1, 10, 1));
    world.sched.tenant_remove(world.now, key).expect("it is idle");
    assert_eq!(world.sched.usage(key), Err(TenantError::Unknown(key)));
    let again = tenant(&mut world, "key");
    assert_eq!(usage(&mut world, again), TenantUsage::default());
    assert_eq!(world.sched.tenant_remove(world.now, key), Err(TenantError::Unknown(key)));
}

#[test]
fn tiers_of_one_tenant_and_pools_add_up() {
    let config = three_tiers().pools(["near", "far"]);
    let mut world = World::with_workers(config, 1, [10, 100]);
    let far = tidegate::PoolId::new(1);
    world
        .sched
        .worker_add(world.now, tidegate::WorkerSpec::new([10, 100]).pool(far))
        .expect("a valid worker");
    let mut spec = world.spec(Tier::P0, [2, 1]);
    let mut ids = Vec::new();
    for pool in [POOL, far] {
        for tier in [Tier::P0, Tier::P1] {
            (spec.pool, spec.tier) = (pool, tier);
            ids.push(start(&mut world, spec));
        }
    }
    pass_ns(&mut world, 10);
    let told_now = told(&mut world);
    assert_eq!((told_now.unit_ns[0], told_now.borrowed_unit_ns[0]), (80, 40));
    world.complete_with(ids[1], Usage::default());
    pass_ns(&mut world, 10);
    let told = told(&mut world);
    assert_eq!((told.unit_ns[0], told.borrowed_unit_ns[0]), (140, 60));
}
