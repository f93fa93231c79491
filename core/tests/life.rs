//! The life of a request: limits and timeouts of the queue, reports in and out of order, workers that go.

mod common;

use std::time::Duration;

use common::{POOL, World, starts, three_tiers};
use tidegate::{
    Action, Attempt, Config, Decline, Instant, Limit, MAX_UNITS, QueueScope, QueueUnit, Reason, Release,
    ReportError, RequestId, RequestState, SubmitError, TenantError, TenantPolicy, Tier, TierConfig, Usage,
    WorkerError, WorkerId, Yielding,
};

fn refusal(world: &mut World, tier: Tier) -> SubmitError {
    let spec = world.spec(tier, [1, 1]);
    world.sched.submit(world.now, spec).expect_err("it is refused")
}

#[test]
fn a_full_queue_refuses_the_newcomer() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("realtime").queue_limit(2))
        .tier(TierConfig::new("batch"))
        .tenant_queue_limit(4)
        .queue_limit(5);
    let mut world = World::new(config);
    world.submit_many(2, Tier::P0, [1, 1]);
    let full = |scope, limit| SubmitError::QueueFull { scope, unit: QueueUnit::Requests, limit };
    assert_eq!(refusal(&mut world, Tier::P0), full(QueueScope::Tier(Tier::P0), 2));
    world.submit_many(2, Tier::P1, [1, 1]);
    assert_eq!(refusal(&mut world, Tier::P1), full(QueueScope::Tenant(world.tenant), 4));
    world.tenant = world.sched.tenant_set(world.now, "other").expect("a valid name");
    world.submit(Tier::P1, [1, 1]);
    assert_eq!(refusal(&mut world, Tier::P1), full(QueueScope::Total, 5));
    assert_eq!(world.sched.stats().submitted, 5, "a refusal is no submission");
}

#[test]
fn a_more_urgent_newcomer_displaces_the_newest_of_the_least_urgent() {
    let mut world = World::new(three_tiers().queue_limit(3).displace(true));
    world.submit(Tier::P1, [1, 1]);
    let batch = world.submit_many(2, Tier::P2, [1, 1]);
    world.worker([8, 80]);
    let urgent = world.submit(Tier::P0, [1, 1]);
    let actions = world.round();
    assert_eq!(actions[0], Action::Drop { request: batch[1], reason: Reason::Displaced });
    assert!(starts(&actions).contains(&urgent));
    assert_eq!(world.sched.stats().dropped, 1);
}

#[test]
fn one_that_has_run_is_never_displaced() {
    let mut world = World::with_workers(three_tiers().queue_limit(1).displace(true), 1, [1, 80]);
    let batch = world.submit(Tier::P2, [1, 1]);
    world.round();
    world.preempted(batch, 0);
    assert_eq!(
        refusal(&mut world, Tier::P0),
        SubmitError::QueueFull { scope: QueueScope::Total, unit: QueueUnit::Requests, limit: 1 }
    );
}

#[test]
fn a_queue_timeout_is_exact_and_spares_those_that_have_run() {
    let mut world = World::with_workers(three_tiers(), 1, [1, 80]);
    let spec = world.spec(Tier::P2, [1, 1]).queue_timeout(Duration::from_secs(1));
    let runs = world.submit_spec(spec);
    world.round();
    let waits = world.submit_spec(spec);
    world.preempted(runs, 0);
    let last = world.submit_spec(spec);
    assert_eq!(starts(&world.round()), [runs]);
    world.preempted(runs, 0);
    assert_eq!(starts(&world.round()), [runs], "it is first, and its timeout counts no more");
    world.now = Instant::from_nanos(999_999_999);
    assert_eq!(world.round(), []);
    world.now = Instant::from_nanos(1_000_000_000);
    let dropped = |request| Action::Drop { request, reason: Reason::QueueTimeout };
    assert_eq!(world.round(), [dropped(waits), dropped(last)]);
    assert_eq!(world.sched.state(waits), Err(ReportError::AlreadyTerminal(waits)));
}

#[test]
fn a_tier_has_a_timeout_and_a_request_may_have_its_own() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("only").queue_timeout(Duration::from_millis(500)));
    let mut world = World::new(config);
    let short = world.submit(Tier::P0, [1, 1]);
    let long = world.submit_spec(world.spec(Tier::P0, [1, 1]).queue_timeout(Duration::from_secs(9)));
    world.pass(Duration::from_millis(500));
    assert_eq!(world.round(), [Action::Drop { request: short, reason: Reason::QueueTimeout }]);
    assert_eq!(world.state(long), RequestState::Parked);
    assert_eq!(world.sched.poll_timeout(), Some(Instant::from_nanos(9_000_000_000)));
}

#[test]
fn a_declined_request_keeps_its_place_and_tries_elsewhere() {
    let mut world = World::with_workers(three_tiers(), 2, [1, 80]);
    let [first, _, third] = world.submit_many(3, Tier::P2, [1, 1])[..] else { unreachable!() };
    world.round();
    let worker = world.worker_of(first);
    world.declined(first, Decline::NoRoom);
    assert_eq!(starts(&world.round()), [third], "the worker that declined takes the next one");
    assert_eq!(world.state(first), RequestState::Queued);
    world.complete(third);
    assert_eq!(starts(&world.round()), [], "the first is kept off it for a second");
    while starts(&world.round()).is_empty() {
        assert!(world.jump());
    }
    assert_eq!(world.now.as_nanos(), 1_000_000_000);
    assert_eq!((world.worker_of(first), world.attempt(first).get()), (worker, 2));
}

#[test]
fn each_worker_is_asked_once_before_one_is_asked_again() {
    let mut world = World::with_workers(three_tiers().decline_backoff(Duration::from_secs(60)), 3, [1, 80]);
    let only = world.submit(Tier::P2, [1, 1]);
    let mut asked = Vec::new();
    for _ in 0..2 {
        world.round();
        asked.extend(world.worker_of(only));
        world.declined(only, Decline::NoRoom);
    }
    world.round();
    asked.extend(world.worker_of(only));
    asked.sort();
    assert_eq!(asked, [0, 1, 2].map(WorkerId::new));
}

#[test]
fn one_that_outgrew_every_worker_ends_when_it_stops() {
    let mut world = World::with_workers(three_tiers(), 2, [10, 100]);
    let [grows, _] = world.submit_many(2, Tier::P2, [1, 40])[..] else { unreachable!() };
    world.round();
    world.progress(grows, 1, [1, 70]);
    world.round();
    world.progress(grows, 1, [1, 101]);
    world.preempted(grows, 0);
    assert!(world.round().contains(&Action::Drop { request: grows, reason: Reason::NeverFits }));
    assert_eq!(world.sched.stats().failed, 1);
}

/// What may ever be had is what was up at one time, not what was ever added.
#[test]
fn a_worker_that_comes_for_a_lost_one_adds_nothing() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("realtime").reserve_ppm(500_000).lendable_ppm(0))
        .tier(TierConfig::new("batch"));
    let mut world = World::with_workers(config, 1, [10, 100]);
    for old in (0..3).map(WorkerId::new) {
        world.lost(old);
        world.worker([10, 100]);
    }
    let refused = world.sched.submit(world.now, world.spec(Tier::P1, [6, 6]));
    assert_eq!(refused, Err(SubmitError::NeverFits { dimension: 0, need: 6, max: 5 }));
}

#[test]
fn a_dimension_that_is_not_named_has_no_units() {
    let config = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only"));
    let mut world = World::new(config);
    let refused = world.sched.submit(world.now, world.spec(Tier::P0, [1, 1]));
    assert_eq!(refused, Err(SubmitError::LimitExceeded { limit: Limit::Units, max: 0 }));
    let worker = tidegate::WorkerSpec::new([4, 4]);
    let refused = world.sched.worker_add(world.now, worker);
    assert_eq!(refused, Err(WorkerError::LimitExceeded { limit: Limit::Units, max: 0 }));
}

#[test]
fn three_declines_in_a_row_are_the_end() {
    let mut world = World::with_workers(three_tiers().decline_backoff(Duration::ZERO), 1, [1, 80]);
    let only = world.submit(Tier::P2, [1, 1]);
    for _ in 0..3 {
        assert_eq!(starts(&world.round()), [only]);
        world.declined(only, Decline::NotReady);
    }
    assert_eq!(world.round(), [Action::Drop { request: only, reason: Reason::Declined }]);
    assert_eq!((world.sched.stats().failed, world.sched.stats().live), (1, 0));
}

#[test]
fn reports_out_of_order_change_nothing() {
    let mut world = World::with_workers(three_tiers(), 1, [1, 80]);
    let id = world.submit(Tier::P2, [1, 1]);
    let (now, first) = (world.now, Attempt::new(1));
    let early = world.sched.complete(now, id, first, Usage::default());
    assert_eq!(
        early,
        Err(ReportError::StaleAttempt { request: id, attempt: first, current: Attempt::new(0) })
    );
    let waiting = world.sched.progress(now, id, Attempt::new(0), 1, [1, 1].into());
    assert_eq!(waiting, Err(ReportError::WrongState { request: id, state: RequestState::Queued }));
    world.round();
    world.sched.started(now, id, first, 0, [1, 2].into()).expect("it starts");
    let running = ReportError::WrongState { request: id, state: RequestState::Running };
    assert_eq!(world.sched.started(now, id, first, 0, [1, 2].into()), Err(running.clone()));
    assert_eq!(world.sched.declined(now, id, first, Decline::Other), Err(running.clone()));
    assert_eq!(world.sched.released(now, id, first), Err(running));
    let huge = world.sched.progress(now, id, first, 1, [1, MAX_UNITS + 1].into());
    assert_eq!(huge, Err(ReportError::LimitExceeded { limit: Limit::Units, max: MAX_UNITS }));
    world.preempted(id, 5);
    world.round();
    let stale = world.sched.progress(now, id, first, 9, [1, 3].into());
    assert_eq!(
        stale,
        Err(ReportError::StaleAttempt { request: id, attempt: first, current: Attempt::new(2) })
    );
    world.complete(id);
    assert_eq!(world.sched.cancel(now, id), Err(ReportError::AlreadyTerminal(id)));
    let never = RequestId::from_bits(u64::MAX);
    assert_eq!(world.sched.cancel(now, never), Err(ReportError::UnknownRequest(never)));
    world.check();
}

#[test]
fn units_that_come_later_are_used_until_then() {
    let mut world = World::with_workers(three_tiers(), 1, [1, 80]);
    let [first, second] = world.submit_many(2, Tier::P2, [1, 1])[..] else { unreachable!() };
    world.round();
    let attempt = world.attempt(first);
    world.sched.preempted(world.now, first, attempt, 3, Release::Later).expect("it runs");
    assert_eq!(world.state(first), RequestState::Releasing);
    assert_eq!(world.round(), []);
    world.sched.released(world.now, first, attempt).expect("it is releasing");
    world.check();
    assert_eq!(starts(&world.round()), [first]);
    assert_eq!(world.state(second), RequestState::Queued);
}

#[test]
fn a_lost_worker_gives_its_requests_back_in_order() {
    let mut world = World::with_workers(three_tiers(), 1, [3, 80]);
    let runs = world.submit_many(2, Tier::P2, [1, 1]);
    let never = world.submit_spec(world.spec(Tier::P0, [1, 1]).yielding(Yielding::Never));
    let waits = world.submit(Tier::P2, [1, 1]);
    world.round();
    let lost = WorkerId::new(0);
    world.lost(lost);
    assert_eq!(world.round(), [Action::Drop { request: never, reason: Reason::WorkerLost }]);
    assert_eq!(world.state(runs[0]), RequestState::Parked);
    assert_eq!(world.sched.worker_lost(world.now, lost), Err(WorkerError::Lost(lost)));
    world.worker([2, 80]);
    assert_eq!(starts(&world.round()), runs, "they have run, and come first");
    assert_eq!(world.state(waits), RequestState::Queued);
}

/// The host has stopped it already: even one that never yields is not lost with the worker then.
#[test]
fn one_that_was_releasing_survives_its_worker() {
    let mut world = World::with_workers(three_tiers(), 1, [3, 80]);
    let never = world.submit_spec(world.spec(Tier::P0, [1, 1]).yielding(Yielding::Never));
    world.round();
    let attempt = world.attempt(never);
    world.sched.preempted(world.now, never, attempt, 9, Release::Later).expect("it runs");
    world.lost(WorkerId::new(0));
    assert_eq!(world.round(), []);
    world.worker([3, 80]);
    let started = world.round();
    assert!(matches!(started[..], [Action::Start { request, resume_tokens: 9, .. }] if request == never));
}

#[test]
fn a_draining_worker_ends_what_it_runs_and_takes_nothing() {
    let mut world = World::with_workers(three_tiers(), 2, [2, 80]);
    let batch = world.submit_many(6, Tier::P2, [1, 1]);
    world.round();
    world.sched.worker_drain(world.now, WorkerId::new(0)).expect("it was up");
    world.check();
    assert_eq!(world.sched.in_use(POOL, Tier::P2), Some([2, 2].into()), "it is counted no more");
    let urgent = world.submit_many(3, Tier::P0, [1, 1]);
    let asked = world.round();
    assert!(common::victims(&asked).iter().all(|&victim| world.worker_of(victim) == Some(WorkerId::new(1))));
    world.obey(&asked);
    let there = batch.iter().find(|&&id| world.worker_of(id) == Some(WorkerId::new(0))).copied();
    world.complete(there.expect("two run there"));
    world.round();
    assert!(urgent.iter().all(|&id| world.worker_of(id) != Some(WorkerId::new(0))));
}

#[test]
fn a_clock_that_goes_back_counts_as_no_time() {
    let mut world = World::with_workers(three_tiers(), 1, [1, 80]);
    world.pass(Duration::from_secs(5));
    world.submit(Tier::P2, [1, 1]);
    world.now = Instant::from_nanos(1);
    let id = world.submit_spec(world.spec(Tier::P2, [1, 1]).queue_timeout(Duration::from_secs(1)));
    assert_eq!(world.sched.stats().clock_regressions, 1);
    world.round();
    assert_eq!(world.sched.poll_timeout(), Some(Instant::from_nanos(6_000_000_000)));
    assert_eq!(world.state(id), RequestState::Queued);
}

#[test]
fn a_tenant_is_its_name() {
    let config =
        Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("only")).max_tenants(2);
    let mut world = World::new(config);
    let again = world.sched.tenant_set(world.now, "acme");
    assert_eq!(again, Ok(world.tenant));
    assert!(world.sched.tenant_set(world.now, "initech").is_ok());
    let other = TenantPolicy::new().weight(2);
    world.sched.tenant_configure(world.now, world.tenant, &other).expect("a sound policy");
    world.sched.tenant_configure(world.now, tidegate::TenantId::new(1), &other).expect("a sound policy");
    let third = world.sched.tenant_set(world.now, "hooli");
    assert_eq!(third, Err(TenantError::LimitExceeded { limit: Limit::Tenants, max: 2 }));
    assert_eq!(world.sched.tenant_set(world.now, ""), Err(TenantError::BadName));
    let unknown = tidegate::TenantId::new(2);
    let spec = tidegate::RequestSpec::new(unknown, Tier::P0).demand([1]);
    assert_eq!(world.sched.submit(world.now, spec), Err(SubmitError::UnknownTenant(unknown)));
}
