//! Tenants that nobody configured: the default policy holds for them, and the one idle for longest is forgotten when there is
//! no room for another, unless it owes something.

mod common;

use std::time::Duration;

use common::{World, starts};
use tidegate::{
    Config, ConfigBuilder, Limit, Order, OverQuota, Rate, RequestId, RequestSpec, SubmitError, TenantError,
    TenantId, TenantPolicy, Tier, TierConfig, Usage,
};

fn one_tier(max_tenants: u32, policy: TenantPolicy) -> ConfigBuilder {
    let tier = TierConfig::new("only");
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(tier)
        .max_tenants(max_tenants)
        .default_policy(policy)
}

/// With one worker of 8 slots, and the tenant `acme`, which somebody configured.
fn world(max_tenants: u32, policy: TenantPolicy) -> World {
    world_of(one_tier(max_tenants, policy))
}

fn world_of(config: ConfigBuilder) -> World {
    let mut world = World::with_workers(config, 1, [8, 1_000]);
    world.sched.tenant_configure(world.now, world.tenant, &TenantPolicy::new()).expect("a sound policy");
    world
}

fn tenant(world: &mut World, name: &str) -> TenantId {
    try_tenant(world, name).expect("there is room")
}

fn try_tenant(world: &mut World, name: &str) -> Result<TenantId, TenantError> {
    let answer = world.sched.tenant_set(world.now, name);
    world.check();
    answer
}

fn refused(max: u64) -> Result<TenantId, TenantError> {
    Err(TenantError::LimitExceeded { limit: Limit::Tenants, max })
}

fn is_known(world: &World, tenant: TenantId) -> bool {
    world.sched.usage(tenant).is_ok()
}

/// A request for one slot, of 50 prompt and 50 output tokens.
fn spec(tenant: TenantId) -> RequestSpec {
    RequestSpec::new(tenant, Tier::P0).demand([1, 1]).prompt_tokens(50).output_tokens(50)
}

fn start(world: &mut World, tenant: TenantId) -> RequestId {
    let id = world.submit_spec(spec(tenant));
    assert_eq!(starts(&world.round()), [id]);
    id
}

fn complete(world: &mut World, id: RequestId, output_tokens: u64) {
    world.complete_with(id, Usage { prompt_tokens: 50, cached_tokens: 0, output_tokens });
}

#[test]
fn the_default_policy_holds_until_somebody_configures_the_tenant() {
    let policy = TenantPolicy::new().max_running(1).over_quota(OverQuota::Reject);
    let mut world = world(8, policy);
    let stranger = tenant(&mut world, "stranger");
    start(&mut world, stranger);
    let over = world.sched.submit(world.now, spec(stranger));
    assert!(matches!(over, Err(SubmitError::OverQuota { tenant, .. }) if tenant == stranger), "{over:?}");
    world.sched.tenant_configure(world.now, stranger, &TenantPolicy::new()).expect("a sound policy");
    start(&mut world, stranger);
}

#[test]
fn another_default_policy_holds_for_all_that_nobody_configured() {
    let mut world = world(8, TenantPolicy::new().max_running(1));
    let [stranger, known] = ["stranger", "known"].map(|name| tenant(&mut world, name));
    world.sched.tenant_configure(world.now, known, &TenantPolicy::new().max_running(1)).expect("sound");
    let ids = [stranger, stranger, stranger, known, known].map(|tenant| world.submit_spec(spec(tenant)));
    assert_eq!(starts(&world.round()), [ids[0], ids[3]]);
    let wider = one_tier(8, TenantPolicy::new().max_running(3)).build().expect("a sound config");
    world.sched.reconfigure(world.now, wider).expect("the same names");
    world.check();
    assert_eq!(starts(&world.round()), [ids[1], ids[2]], "not the other's");
}

#[test]
fn the_one_that_did_nothing_for_longest_is_forgotten_for_a_newcomer() {
    let mut world = world(4, TenantPolicy::new());
    let [a, b, c] = ["a", "b", "c"].map(|name| tenant(&mut world, name));
    assert_eq!(tenant(&mut world, "a"), a, "that is a use of it");
    let runs = start(&mut world, b);
    let d = tenant(&mut world, "d");
    assert!(!is_known(&world, c) && is_known(&world, a), "b has a request, and a was used after c");
    assert_eq!(world.sched.submit(world.now, spec(c)), Err(SubmitError::UnknownTenant(c)));
    complete(&mut world, runs, 50);
    let c_again = tenant(&mut world, "c");
    assert!(!is_known(&world, a), "the end of a request is a use");
    assert!(c_again > d, "a number is used once");
    assert_eq!(world.sched.usage(c_again).expect("it is known").submitted, 0);
    assert!([world.tenant, b, d, c_again].into_iter().all(|tenant| is_known(&world, tenant)));
}

#[test]
fn who_is_configured_or_has_somebody_below_it_is_not_forgotten() {
    let mut world = world(3, TenantPolicy::new());
    let team = tenant(&mut world, "team");
    let key = tenant(&mut world, "key");
    world.sched.tenant_configure(world.now, key, &TenantPolicy::new().parent(team)).expect("sound");
    assert_eq!(try_tenant(&mut world, "newcomer"), refused(3));
    world.sched.tenant_remove(world.now, key).expect("nothing is open");
    let newcomer = tenant(&mut world, "newcomer");
    assert!(is_known(&world, team), "there was room");
    let next = tenant(&mut world, "next");
    assert_eq!([team, newcomer, next].map(|tenant| is_known(&world, tenant)), [false, true, true]);
}

#[test]
fn who_owes_tokens_is_not_forgotten_until_they_have_come_again() {
    let mut world = world(2, TenantPolicy::new().tokens(Rate::per_second(100)));
    let debtor = tenant(&mut world, "debtor");
    let id = start(&mut world, debtor);
    complete(&mut world, id, 250);
    world.pass(Duration::from_nanos(2_999_999_999));
    assert_eq!(
        try_tenant(&mut world, "newcomer"),
        refused(2),
        "300 were used, 100 of 100 are full 3 s later"
    );
    assert!(is_known(&world, debtor));
    world.pass(Duration::from_nanos(1));
    tenant(&mut world, "newcomer");
    assert!(!is_known(&world, debtor));
}

#[test]
fn those_who_owe_something_do_not_keep_the_others_from_being_looked_at() {
    let policy = TenantPolicy::new().tokens(Rate::per_hour(100));
    let mut world = world(13, policy);
    let debtors: Vec<_> = (0..10).map(|number| tenant(&mut world, &format!("debtor {number}"))).collect();
    for &debtor in &debtors {
        let id = start(&mut world, debtor);
        complete(&mut world, id, 50);
    }
    let idle = ["i", "j"].map(|name| tenant(&mut world, name));
    assert_eq!(try_tenant(&mut world, "newcomer"), refused(13), "eight were looked at");
    tenant(&mut world, "newcomer");
    assert!(debtors.iter().all(|&debtor| is_known(&world, debtor)));
    assert_eq!(idle.map(|tenant| is_known(&world, tenant)), [false, true]);
}

/// The counter of who is ahead of the others is a debt as well: forgotten, it would begin anew where they are.
#[test]
fn who_was_served_more_than_those_who_wait_is_not_forgotten() {
    let served = |order| {
        let config = Config::builder()
            .dimensions(["slots", "kv_blocks"])
            .tier(TierConfig::new("only").order(order))
            .max_tenants(3);
        let mut world = world_of(config);
        let [greedy, modest] = ["greedy", "modest"].map(|name| tenant(&mut world, name));
        let acme = world.tenant;
        let in_the_way = start(&mut world, acme);
        let waits = world.submit_spec(RequestSpec { demand: [8, 1_000].into(), ..spec(modest) });
        let id = start(&mut world, greedy);
        complete(&mut world, id, 50);
        (world, greedy, in_the_way, waits)
    };
    let (mut world, greedy, in_the_way, waits) = served(Order::Fair);
    assert_eq!(try_tenant(&mut world, "newcomer"), refused(3));
    let again = world.submit_spec(RequestSpec { demand: [8, 1_000].into(), ..spec(greedy) });
    complete(&mut world, in_the_way, 50);
    assert_eq!(starts(&world.round()), [waits], "who had more comes later");
    world.sched.cancel(world.now, again).expect("it waits");
    tenant(&mut world, "newcomer");
    assert!(!is_known(&world, greedy), "nobody waits: whoever comes begins where the last one is");

    let (mut world, greedy, ..) = served(Order::Fifo);
    tenant(&mut world, "newcomer");
    assert!(!is_known(&world, greedy), "where tenants do not matter there is nobody to be ahead of");
}

/// Under pressure of new names, a tenant that comes again and again under its own and under others never gets more than
/// its bucket has: forgetting forgives nothing.
#[test]
fn no_debt_is_washed_off_by_coming_again_under_pressure() {
    let mut world = world(8, TenantPolicy::new().tokens(Rate::per_second(100)).over_quota(OverQuota::Reject));
    let mut served = 0;
    for second in 0..40 {
        for name in 0..20 {
            let _ = world.sched.tenant_set(world.now, &format!("name {second} {name}"));
        }
        if let Ok(tenant) = try_tenant(&mut world, "debtor")
            && let Ok(id) = world.sched.submit(world.now, spec(tenant))
        {
            assert_eq!(starts(&world.round()), [id]);
            complete(&mut world, id, 250);
            served += 300;
        }
        world.pass(Duration::from_secs(1));
    }
    assert!((3_000..=40 * 100 + 300).contains(&served), "{served} of 4,000 and one debt");
}

#[test]
fn a_million_names_go_through_a_table_of_a_thousand() {
    let policy = TenantPolicy::new().tokens(Rate::per_second(1_000_000));
    let mut world = world(1_000, policy);
    for number in 0..1_000_000_u64 {
        let stranger = world.sched.tenant_set(world.now, &format!("user-{number}")).expect("there is room");
        assert_eq!(u64::from(stranger.get()), number + 1);
        if number % 16 == 0 {
            let id = world.sched.submit(world.now, spec(stranger)).expect("it is accepted");
            let Some(tidegate::Action::Start { request, attempt, .. }) = world.sched.poll(world.now) else {
                panic!("it starts")
            };
            assert_eq!((request, world.sched.poll(world.now)), (id, None));
            let usage = Usage { prompt_tokens: 50, cached_tokens: 0, output_tokens: 10 };
            world.sched.complete(world.now, id, attempt, usage).expect("it runs");
        }
        world.pass(Duration::from_millis(1));
    }
    world.check();
    let known = (0..=1_000_000).filter(|&number| is_known(&world, TenantId::new(number)));
    assert_eq!(known.count(), 1_000);
    assert!(is_known(&world, world.tenant), "it is configured");
}
