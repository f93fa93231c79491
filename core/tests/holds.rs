//! How long a hold of quota lives of which nobody tells, and what is charged of it.

mod common;

use std::time::Duration;

use common::{World, starts};
use tidegate::{
    Action, Config, ConfigBuilder, Decline, Instant, Rate, RequestId, RequestSpec, RequestState, Resources,
    TenantError, TenantId, TenantPolicy, TenantUsage, Tier, TierConfig, Usage,
};

const TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUT_NS: u64 = 30_000_000_000;

fn config() -> ConfigBuilder {
    let tier = |name: &str| TierConfig::new(name).hold_window(Duration::ZERO);
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(tier("realtime").reserve_ppm(500_000))
        .tier(tier("batch"))
        .min_run(Duration::ZERO)
        .hold_timeout(TIMEOUT)
}

/// A worker of 4 slots, and a tenant with this policy.
fn world(policy: TenantPolicy) -> World {
    let mut world = World::with_workers(config(), 1, [4, 1_000]);
    world.sched.tenant_configure(world.now, world.tenant, &policy).expect("a sound policy");
    world
}

/// Nothing comes back but what is given back.
fn tokens(burst: u64) -> TenantPolicy {
    TenantPolicy::new().tokens(Rate::per_hour(0).burst(burst))
}

/// A batch request for one slot, of 50 prompt and 50 output tokens.
fn batch(tenant: TenantId) -> RequestSpec {
    RequestSpec::new(tenant, Tier::P1).demand([1, 1]).prompt_tokens(50).output_tokens(50)
}

fn submit(world: &mut World) -> RequestId {
    world.submit_spec(batch(world.tenant))
}

fn start(world: &mut World) -> RequestId {
    let id = submit(world);
    assert_eq!(starts(&world.round()), [id]);
    id
}

/// To this instant, in nanoseconds.
fn pass_to(world: &mut World, nanos: u64) {
    world.now = Instant::from_nanos(nanos);
}

fn usage(world: &World) -> TenantUsage {
    world.sched.usage(world.tenant).expect("it is known")
}

fn held(world: &World) -> u64 {
    usage(world).held_tokens
}

fn complete(world: &mut World, id: RequestId, output_tokens: u64) {
    world.complete_with(id, Usage { prompt_tokens: 50, cached_tokens: 0, output_tokens });
}

/// How many tokens a tenant may still use: the largest prompt that starts at once.
fn left(world: &mut World) -> u64 {
    let fits = |world: &mut World, tokens: u64| {
        let spec = batch(world.tenant).prompt_tokens(tokens).output_tokens(0);
        let Ok(id) = world.sched.submit(world.now, spec) else { return false };
        let is_started = starts(&world.round()).contains(&id);
        world.running.remove(&id);
        if is_started {
            let used = Usage::default();
            world.sched.complete(world.now, id, tidegate::Attempt::new(1), used).expect("it runs");
        } else {
            world.sched.cancel(world.now, id).expect("it waits");
        }
        is_started
    };
    let (mut least, mut beyond) = (0_u64, 1_024_u64);
    while beyond - least > 1 {
        let middle = least.midpoint(beyond);
        if fits(world, middle) { least = middle } else { beyond = middle }
    }
    least
}

#[test]
fn who_was_started_and_is_never_heard_of_keeps_nothing_from_others() {
    let mut world = world(tokens(100).max_running(1));
    let lost = start(&mut world);
    let next = submit(&mut world);
    assert_eq!(world.round(), []);
    assert_eq!(world.sched.poll_timeout(), Some(Instant::from_nanos(TIMEOUT_NS)));
    pass_to(&mut world, TIMEOUT_NS - 1);
    assert_eq!(world.round(), []);
    pass_to(&mut world, TIMEOUT_NS);
    assert_eq!(starts(&world.round()), [next], "its tokens and its place are free");
    assert_eq!(world.state(lost), RequestState::Starting, "and it stays where it is");
    complete(&mut world, next, 50);
    let (told, refunded) = (usage(&world), 100);
    assert_eq!((told.held_tokens, told.refunded_tokens, told.debt_tokens), (0, refunded, 0));
}

#[test]
fn a_late_report_holds_again_at_once_whatever_the_limits_are() {
    let mut world = world(tokens(150).max_running(1));
    let late = start(&mut world);
    pass_to(&mut world, TIMEOUT_NS);
    let next = start(&mut world);
    assert_eq!(held(&world), 100);
    world.progress(late, 7, [1, 1]);
    assert_eq!(held(&world), 200, "of 150: that is a debt");
    assert_eq!(world.state(late), RequestState::Running);
    world.pass(2 * TIMEOUT);
    world.round();
    assert_eq!(held(&world), 100, "time does not run while it runs, and did for the other");
    complete(&mut world, late, 60);
    complete(&mut world, next, 0);
    assert_eq!(held(&world), 0);
    // 110 and 50 of 150.
    assert_eq!(left(&mut world), 0);
    let next = submit(&mut world);
    assert_eq!((world.round(), world.state(next)), (vec![], RequestState::Parked));
}

#[test]
fn one_that_waits_again_keeps_what_it_used_and_asks_for_the_rest_anew() {
    let mut world = world(tokens(200));
    let victim = start(&mut world);
    world.progress(victim, 20, [1, 1]);
    let blocker =
        world.submit_spec(RequestSpec { demand: [4, 1].into(), ..batch(world.tenant) }.prompt_tokens(0));
    world.round();
    world.preempted(victim, 0);
    assert_eq!(held(&world), 100);
    // It is started again and again, and declined: a worker that comes back says so of all.
    world.sched.cancel(world.now, blocker).expect("it lives");
    world.lost(tidegate::WorkerId::new(0));
    world.pass(TIMEOUT);
    assert_eq!(world.round(), []);
    assert_eq!(held(&world), 0, "it waits, and nobody told of it");
    world.worker([4, 1_000]);
    assert_eq!(starts(&world.round()), [victim]);
    assert_eq!(held(&world), 30, "70 of its 100 are charged already");
    complete(&mut world, victim, 50);
    assert_eq!(left(&mut world), 100, "100 of 200 were used, once");
}

#[test]
fn nothing_is_charged_twice_nor_forgiven_however_often_a_hold_lapses() {
    for (output, expected) in [(0, 50), (10, 60), (40, 90), (90, 140)] {
        let mut world = world(tokens(500));
        let id = start(&mut world);
        world.progress(id, 10, [1, 1]);
        world.preempted(id, 0);
        world.lost(tidegate::WorkerId::new(0));
        for _ in 0..3 {
            world.pass(TIMEOUT);
            world.round();
            assert_eq!(held(&world), 0);
        }
        world.worker([4, 1_000]);
        assert_eq!(starts(&world.round()), [id]);
        world.pass(TIMEOUT);
        world.round();
        assert_eq!(held(&world), 0, "its second start is not heard of either");
        complete(&mut world, id, output);
        let used = expected.max(60); // 60 are settled
        assert_eq!(left(&mut world), 500 - used, "{output}");
    }
}

#[test]
fn the_end_of_one_that_lapsed_charges_what_it_used_and_a_cancel_nothing() {
    let mut world = world(tokens(500));
    let [done, cancelled, failed] = [(); 3].map(|()| start(&mut world));
    pass_to(&mut world, TIMEOUT_NS);
    world.round();
    assert_eq!(held(&world), 0);
    complete(&mut world, done, 30);
    world.sched.cancel(world.now, cancelled).expect("it lives");
    world.sched.failed(world.now, failed, world.attempt(failed)).expect("it is starting");
    world.check();
    assert_eq!(left(&mut world), 420);
}

#[test]
fn one_that_is_declined_late_waits_as_one_that_holds_nothing() {
    let mut world = world(tokens(100));
    let id = start(&mut world);
    pass_to(&mut world, TIMEOUT_NS);
    world.round();
    world.declined(id, Decline::NoRoom);
    assert_eq!(held(&world), 0);
    world.pass(Duration::from_secs(1));
    assert_eq!(starts(&world.round()), [id]);
    complete(&mut world, id, 50);
    assert_eq!(left(&mut world), 0);
}

#[test]
fn time_does_not_run_while_it_is_to_stop_and_runs_anew_when_it_is_spared() {
    let mut world = World::with_workers(config().confirm_after(3 * TIMEOUT), 1, [4, 1_000]);
    let ids: Vec<_> = (0..4).map(|_| start(&mut world)).collect();
    world.pass(Duration::from_secs(10));
    let urgent = world.submit_spec(world.spec(Tier::P0, [1, 1]));
    let asked = world.round();
    let [Action::Preempt { victim, .. }] = asked[..] else { panic!("{asked:?}") };
    world.pass(2 * TIMEOUT);
    world.round();
    assert_eq!(held(&world), 200, "100 of the victim, 100 for whom it stops; the others lapsed");
    world.sched.cancel(world.now, urgent).expect("it waits");
    assert!(matches!(world.round()[..], [Action::Spare { victim: spared, .. }] if spared == victim));
    assert!(ids.contains(&victim) && held(&world) == 100);
    world.pass(TIMEOUT - Duration::from_nanos(1));
    world.round();
    assert_eq!(held(&world), 100);
    world.pass(Duration::from_nanos(1));
    world.round();
    assert_eq!(held(&world), 0);
}

#[test]
fn a_tenant_with_a_request_that_lapsed_is_not_forgotten() {
    let mut world = world(tokens(100));
    start(&mut world);
    pass_to(&mut world, TIMEOUT_NS);
    world.round();
    let busy = TenantError::Busy(world.tenant);
    assert_eq!(world.sched.tenant_remove(world.now, world.tenant), Err(busy));
}

#[test]
fn units_are_held_again_as_they_are_used() {
    let mut world = world(TenantPolicy::new().max_in_use([0, 10]));
    let id = start(&mut world);
    pass_to(&mut world, TIMEOUT_NS);
    world.round();
    let wide = RequestSpec { demand: [1, 10].into(), ..batch(world.tenant) };
    let first = world.submit_spec(wide);
    assert_eq!(starts(&world.round()), [first]);
    complete(&mut world, first, 0);
    world.sched.started(world.now, id, world.attempt(id), 0, Resources::from([1, 4])).expect("it starts");
    let second = world.submit_spec(wide);
    assert_eq!((world.round(), world.state(second)), (vec![], RequestState::Parked), "6 of 10 are left");
    complete(&mut world, id, 0);
    assert_eq!(starts(&world.round()), [second]);
}

#[test]
fn a_timeout_beyond_the_end_of_time_never_comes() {
    let mut world = World::with_workers(config().hold_timeout(Duration::MAX), 1, [4, 1_000]);
    start(&mut world);
    assert_eq!(world.sched.poll_timeout(), None);
}
