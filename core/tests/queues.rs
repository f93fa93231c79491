//! How much may wait: limits of requests and tokens, who is displaced for whom, and whom no limit hits.

mod common;

use common::{World, first_start, three_tiers};
use tidegate::{
    Action, Config, ConfigBuilder, PoolId, QueueScope, QueueUnit, Reason, RequestId, RequestSpec,
    RequestState, SubmitError, TenantId, Tier, TierConfig, WorkerId,
};

/// A request with so many tokens of prompt and expected output, of the tenant that the world has now.
fn spec(world: &World, tier: Tier, prompt: u64, output: u64) -> RequestSpec {
    world.spec(tier, [1, 10]).prompt_tokens(prompt).output_tokens(output)
}

fn submit(world: &mut World, tier: Tier, tokens: u64) -> RequestId {
    world.submit_spec(spec(world, tier, tokens, 0))
}

fn refused(world: &mut World, tier: Tier, tokens: u64) -> SubmitError {
    let newcomer = spec(world, tier, tokens, 0);
    let refused = world.sched.submit(world.now, newcomer).expect_err("a queue is full");
    world.check();
    refused
}

fn full(scope: QueueScope, unit: QueueUnit, limit: u64) -> SubmitError {
    SubmitError::QueueFull { scope, unit, limit }
}

fn other_tenant(world: &mut World) -> TenantId {
    world.sched.tenant_set(world.now, "other").expect("a valid name")
}

/// Two tiers, of which the first may have so much waiting.
fn limited(first: TierConfig) -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).tier(first).tier(TierConfig::new("batch"))
}

fn displaced(request: RequestId) -> Action {
    Action::Drop { request, reason: Reason::Displaced }
}

#[test]
fn prompt_and_expected_output_of_a_tier_are_limited_together() {
    let mut world = World::new(limited(TierConfig::new("urgent").queue_token_limit(100)));
    world.submit_spec(spec(&world, Tier::P0, 40, 20));
    let tier = full(QueueScope::Tier(Tier::P0), QueueUnit::Tokens, 100);
    assert_eq!(refused(&mut world, Tier::P0, 41), tier);
    submit(&mut world, Tier::P0, 40);
    assert_eq!(refused(&mut world, Tier::P0, 1), tier);
    submit(&mut world, Tier::P0, 0);
    submit(&mut world, Tier::P1, 1000);
}

#[test]
fn an_output_that_nobody_expects_counts_as_nothing() {
    let mut world = World::new(limited(TierConfig::new("urgent").queue_token_limit(100)));
    let unknown = world.spec(Tier::P0, [1, 10]).prompt_tokens(100);
    world.submit_spec(unknown);
    assert_eq!(refused(&mut world, Tier::P0, 1), full(QueueScope::Tier(Tier::P0), QueueUnit::Tokens, 100));
}

#[test]
fn all_tokens_of_a_tenant_are_limited_together() {
    let mut world = World::new(three_tiers().tenant_queue_token_limit(100));
    submit(&mut world, Tier::P0, 60);
    submit(&mut world, Tier::P2, 40);
    let tenant = full(QueueScope::Tenant(world.tenant), QueueUnit::Tokens, 100);
    assert_eq!(refused(&mut world, Tier::P1, 1), tenant);
    world.tenant = other_tenant(&mut world);
    submit(&mut world, Tier::P1, 100);
}

#[test]
fn all_tokens_are_limited_together() {
    let mut world = World::new(three_tiers().queue_token_limit(100));
    submit(&mut world, Tier::P2, 60);
    world.tenant = other_tenant(&mut world);
    submit(&mut world, Tier::P0, 40);
    assert_eq!(refused(&mut world, Tier::P0, 1), full(QueueScope::Total, QueueUnit::Tokens, 100));
}

#[test]
fn limits_count_what_waits_in_all_pools() {
    let mut world = World::new(three_tiers().pools(["a", "b"]).queue_limit(1));
    world.submit_spec(spec(&world, Tier::P2, 1, 1).pool(PoolId::new(1)));
    assert_eq!(refused(&mut world, Tier::P2, 1), full(QueueScope::Total, QueueUnit::Requests, 1));
}

/// All six limits are reached; from the first on, so many are lifted.
#[test]
fn the_tiers_limit_comes_first_then_the_tenants_then_the_total_and_requests_before_tokens() {
    let (tier, tenant) = (QueueScope::Tier(Tier::P0), QueueScope::Tenant(TenantId::new(0)));
    let expected = [
        full(tier, QueueUnit::Requests, 1),
        full(tier, QueueUnit::Tokens, 10),
        full(tenant, QueueUnit::Requests, 1),
        full(tenant, QueueUnit::Tokens, 10),
        full(QueueScope::Total, QueueUnit::Requests, 1),
        full(QueueScope::Total, QueueUnit::Tokens, 10),
    ];
    for (lifted, expected) in expected.into_iter().enumerate() {
        let limit = |index: usize, limit: u64| if index < lifted { u64::MAX } else { limit };
        let tier = TierConfig::new("urgent").queue_limit(limit(0, 1)).queue_token_limit(limit(1, 10));
        let config = limited(tier)
            .tenant_queue_limit(limit(2, 1))
            .tenant_queue_token_limit(limit(3, 10))
            .queue_limit(limit(4, 1))
            .queue_token_limit(limit(5, 10));
        let mut world = World::new(config);
        submit(&mut world, Tier::P0, 10);
        assert_eq!(refused(&mut world, Tier::P0, 1), expected);
    }
}

#[test]
fn what_starts_or_ends_waits_no_more() {
    let mut world = World::new(limited(TierConfig::new("urgent").queue_token_limit(10)));
    let first = submit(&mut world, Tier::P0, 10);
    world.sched.cancel(world.now, first).expect("it waits");
    let second = submit(&mut world, Tier::P0, 10);
    let worker = world.worker([1, 100]);
    assert_eq!(world.round(), [first_start(second, worker, Reason::Borrowed)]);
    submit(&mut world, Tier::P0, 10);
}

#[test]
fn as_many_are_displaced_as_the_tokens_of_the_newcomer_need_the_newest_first() {
    let mut world = World::new(three_tiers().queue_token_limit(100).displace(true));
    let [_, _, third, fourth] = [20, 30, 30, 20].map(|tokens| submit(&mut world, Tier::P2, tokens));
    let urgent = submit(&mut world, Tier::P0, 40);
    assert_eq!(world.round(), [displaced(fourth), displaced(third)]);
    assert_eq!(world.sched.stats().dropped, 2);
    assert_eq!(world.state(urgent), RequestState::Parked);
    submit(&mut world, Tier::P2, 10);
    assert_eq!(refused(&mut world, Tier::P2, 1), full(QueueScope::Total, QueueUnit::Tokens, 100));
}

#[test]
fn the_least_urgent_tier_is_displaced_to_the_last_before_the_next() {
    let mut world = World::new(three_tiers().queue_token_limit(100).displace(true));
    let [near, nearer] = [30, 30].map(|tokens| submit(&mut world, Tier::P1, tokens));
    let batch = submit(&mut world, Tier::P2, 40);
    submit(&mut world, Tier::P0, 50);
    assert_eq!(world.round(), [displaced(batch), displaced(nearer)]);
    assert_eq!(world.state(near), RequestState::Parked);
}

#[test]
fn nobody_is_displaced_if_they_do_not_suffice() {
    let mut world = World::new(three_tiers().queue_token_limit(100).displace(true));
    let urgent = submit(&mut world, Tier::P0, 50);
    let batch = submit(&mut world, Tier::P2, 50);
    let total = full(QueueScope::Total, QueueUnit::Tokens, 100);
    assert_eq!(refused(&mut world, Tier::P0, 51), total);
    assert_eq!(refused(&mut world, Tier::P0, 101), total);
    assert_eq!(world.round(), []);
    assert_eq!([urgent, batch].map(|id| world.state(id)), [RequestState::Parked; 2]);
    submit(&mut world, Tier::P0, 50);
    assert_eq!(world.round(), [displaced(batch)]);
}

#[test]
fn nobody_is_displaced_by_their_own_or_a_less_urgent_tier() {
    let mut world = World::new(three_tiers().queue_limit(2).displace(true));
    submit(&mut world, Tier::P1, 1);
    submit(&mut world, Tier::P1, 1);
    let total = full(QueueScope::Total, QueueUnit::Requests, 2);
    assert_eq!(refused(&mut world, Tier::P1, 1), total);
    assert_eq!(refused(&mut world, Tier::P2, 1), total);
    assert_eq!(world.round(), []);
}

#[test]
fn nobody_is_displaced_where_that_is_not_asked_for() {
    let mut world = World::new(three_tiers().queue_limit(1));
    submit(&mut world, Tier::P2, 1);
    assert_eq!(refused(&mut world, Tier::P0, 1), full(QueueScope::Total, QueueUnit::Requests, 1));
    assert_eq!(world.round(), []);
}

#[test]
fn nobody_is_displaced_for_a_limit_of_a_tier_or_a_tenant() {
    let mut world = World::new(three_tiers().tenant_queue_limit(1).displace(true));
    submit(&mut world, Tier::P2, 1);
    let tenant = full(QueueScope::Tenant(world.tenant), QueueUnit::Requests, 1);
    assert_eq!(refused(&mut world, Tier::P0, 1), tenant);
    let mut world = World::new(limited(TierConfig::new("urgent").queue_limit(1)).displace(true));
    submit(&mut world, Tier::P1, 1);
    submit(&mut world, Tier::P0, 1);
    let tier = full(QueueScope::Tier(Tier::P0), QueueUnit::Requests, 1);
    assert_eq!(refused(&mut world, Tier::P0, 1), tier);
    assert_eq!(world.round(), []);
}

/// The newest that waits has run: the one before it goes.
#[test]
fn who_has_run_counts_and_is_passed_over() {
    let mut world = World::with_workers(three_tiers().queue_limit(2).displace(true), 1, [1, 100]);
    let first = submit(&mut world, Tier::P2, 1);
    world.round();
    let waits = submit(&mut world, Tier::P2, 1);
    world.preempted(first, 0);
    assert_eq!(refused(&mut world, Tier::P2, 1), full(QueueScope::Total, QueueUnit::Requests, 2));
    submit(&mut world, Tier::P0, 1);
    assert_eq!(world.poll_one(), Some(displaced(waits)));
    assert_eq!(world.state(first), RequestState::Queued);
}

/// Its queues are full twice over when it comes back: by requests and by tokens, of its tier and in all.
#[test]
fn a_running_request_that_comes_back_is_hit_by_no_limit() {
    let only = TierConfig::new("only").queue_limit(1).queue_token_limit(10);
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(only);
    let config =
        config.tenant_queue_limit(1).tenant_queue_token_limit(10).queue_limit(1).queue_token_limit(10);
    let mut world = World::with_workers(config, 1, [2, 100]);
    let runs = [0, 1].map(|_| {
        let id = submit(&mut world, Tier::P0, 10);
        world.round();
        id
    });
    let waits = submit(&mut world, Tier::P0, 10);
    for id in runs {
        world.preempted(id, 0);
    }
    assert_eq!(world.sched.queue_depth(Tier::P0), 3);
    assert_eq!(world.round().iter().filter_map(Action::request).collect::<Vec<_>>(), runs);
    assert_eq!(world.state(waits), RequestState::Queued);

    world.lost(WorkerId::new(0));
    assert_eq!(world.round(), []);
    assert_eq!(world.sched.queue_depth(Tier::P0), 3);
    assert_eq!(world.sched.stats().dropped, 0);
}
