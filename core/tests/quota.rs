//! Quota of tenants: who starts, who waits for what, and what comes back.

mod common;

use std::time::Duration;

use common::{World, starts, victims};
use tidegate::{
    AmendError, Amendment, Config, ConfigBuilder, Decline, Gate, Instant, Order, OverQuota, PoolId,
    QueueScope, QueueUnit, QuotaLimit, Rate, RequestId, RequestSpec, RequestState, SubmitError, TenantError,
    TenantId, TenantPolicy, Tier, TierConfig, Usage, WorkerSpec,
};

fn tiers() -> ConfigBuilder {
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .hold_timeout(Duration::MAX)
        .tier(TierConfig::new("realtime").reserve_ppm(300_000))
        .tier(TierConfig::new("batch"))
}

/// One worker of so many slots.
fn world(slots: u64) -> World {
    World::with_workers(tiers(), 1, [slots, 1_000])
}

fn configure(world: &mut World, tenant: TenantId, policy: TenantPolicy) {
    world.sched.tenant_configure(world.now, tenant, &policy).expect("a sound policy");
    world.check();
}

fn tenant(world: &mut World, name: &str, policy: TenantPolicy) -> TenantId {
    let tenant = world.sched.tenant_set(world.now, name).expect("a name");
    configure(world, tenant, policy);
    tenant
}

/// A batch request of a tenant for one slot, of 50 prompt and 50 output tokens.
fn batch(tenant: TenantId) -> RequestSpec {
    RequestSpec::new(tenant, Tier::P1).demand([1, 1]).prompt_tokens(50).output_tokens(50)
}

fn submit(world: &mut World, count: usize, spec: RequestSpec) -> Vec<RequestId> {
    (0..count).map(|_| world.submit_spec(spec)).collect()
}

fn complete(world: &mut World, id: RequestId, output_tokens: u64) {
    world.complete_with(id, Usage { prompt_tokens: 50, cached_tokens: 0, output_tokens });
}

#[test]
fn who_lacks_tokens_starts_at_the_nanosecond_at_which_they_are_there() {
    let mut world = world(8);
    let policy = TenantPolicy::new().tokens(Rate::per_second(1_000).burst(100));
    let acme = tenant(&mut world, "tokens", policy);
    let ids = submit(&mut world, 2, batch(acme));
    assert_eq!(starts(&world.round()), [ids[0]], "a burst is enough for one");
    assert_eq!(world.state(ids[1]), RequestState::Parked);
    assert_eq!(world.sched.explain(ids[1]).expect("it lives").gate, Some(Gate::Quota));
    let due = Instant::from_nanos(100_000_000);
    assert_eq!(world.sched.poll_timeout(), Some(due));
    world.now = Instant::from_nanos(due.as_nanos() - 1);
    assert_eq!(world.round(), []);
    world.now = due;
    assert_eq!(starts(&world.round()), [ids[1]]);
}

#[test]
fn no_more_run_at_once_than_a_tenant_may_and_the_next_starts_when_one_ends() {
    let mut world = world(8);
    let acme = tenant(&mut world, "two", TenantPolicy::new().max_running(2));
    let ids = submit(&mut world, 4, batch(acme));
    assert_eq!(starts(&world.round()), ids[..2]);
    complete(&mut world, ids[1], 50);
    assert_eq!(starts(&world.round()), [ids[2]]);
    let units = tenant(&mut world, "units", TenantPolicy::new().max_in_use([0, 3]));
    let ids = submit(&mut world, 4, batch(units));
    assert_eq!(starts(&world.round()), ids[..3]);
    world.progress(ids[0], 0, [1, 2]);
    complete(&mut world, ids[1], 50);
    assert_eq!(world.round(), [], "three of three are used");
    complete(&mut world, ids[2], 50);
    assert_eq!(starts(&world.round()), [ids[3]]);
}

#[test]
fn at_a_shared_node_the_tenant_that_was_served_least_goes_first() {
    let mut world = world(8);
    let team = tenant(&mut world, "team", TenantPolicy::new().max_running(1));
    let [busy, quiet] =
        ["busy", "quiet"].map(|name| tenant(&mut world, name, TenantPolicy::new().parent(team)));
    let flood = submit(&mut world, 3, batch(busy));
    assert_eq!(starts(&world.round()), [flood[0]]);
    let late = submit(&mut world, 1, batch(quiet));
    world.round();
    complete(&mut world, flood[0], 50);
    assert_eq!(starts(&world.round()), [flood[1]], "a newcomer is as far as the others are");
    complete(&mut world, flood[1], 50);
    assert_eq!(starts(&world.round()), late, "though one of the other's came before");
}

#[test]
fn the_urgent_pass_those_who_wait_for_quota() {
    let mut world = world(8);
    let acme = tenant(&mut world, "one", TenantPolicy::new().max_running(1));
    let runs = submit(&mut world, 2, batch(acme))[0];
    world.round();
    let urgent = world.submit_spec(RequestSpec { tier: Tier::P0, ..batch(acme) });
    world.round();
    complete(&mut world, runs, 50);
    assert_eq!(starts(&world.round()), [urgent]);
}

#[test]
fn who_waits_for_quota_is_passed_by_others_and_keeps_nothing_from_them() {
    let mut world = world(4);
    let one = tenant(&mut world, "one", TenantPolicy::new().max_running(1));
    submit(&mut world, 1, batch(one));
    world.round();
    let waits = world.submit_spec(RequestSpec { tier: Tier::P0, ..batch(one) });
    world.round();
    world.pass(Duration::from_secs(3_600));
    let others = world.submit_many(3, Tier::P1, [1, 1]);
    assert_eq!(starts(&world.round()), others, "the reserve is held for nobody");
    assert_eq!(world.state(waits), RequestState::Parked);
    world.pass(Duration::from_secs(3_600));
    assert_eq!(world.round(), [], "nobody is preempted, and no worker drained, for it");
}

#[test]
fn a_refused_newcomer_is_told_when_to_come_again() {
    let mut world = world(8);
    let policy = TenantPolicy::new().tokens(Rate::per_second(1_000).burst(100)).over_quota(OverQuota::Reject);
    let acme = tenant(&mut world, "reject", policy);
    let first = world.submit_spec(batch(acme));
    let over = |retry_at| {
        Err(SubmitError::OverQuota {
            tenant: acme,
            limit: QuotaLimit::Tokens,
            retry_at: Some(Instant::from_nanos(retry_at)),
        })
    };
    assert_eq!(
        world.sched.submit(world.now, batch(acme)),
        over(100_000_000),
        "the first waits, and comes first"
    );
    assert_eq!(starts(&world.round()), [first]);
    assert_eq!(world.sched.submit(world.now, batch(acme)), over(100_000_000));
    world.now = Instant::from_nanos(99_999_999);
    assert_eq!(world.sched.submit(world.now, batch(acme)), over(100_000_000));
    world.now = Instant::from_nanos(100_000_000);
    assert!(world.sched.submit(world.now, batch(acme)).is_ok());
}

#[test]
fn a_newcomer_may_go_to_the_next_tier_instead() {
    let mut world = world(8);
    let policy = TenantPolicy::new().max_running(1).over_quota(OverQuota::Demote);
    let acme = tenant(&mut world, "demote", policy);
    let urgent = RequestSpec { tier: Tier::P0, ..batch(acme) };
    submit(&mut world, 1, urgent);
    world.round();
    submit(&mut world, 1, urgent);
    assert_eq!((world.sched.queue_depth(Tier::P0), world.sched.queue_depth(Tier::P1)), (0, 1));
}

/// Quota is the tenant's and not the tier's: it is no nearer in the tier below, and the queue there has its own limit.
#[test]
fn who_is_demoted_waits_for_quota_in_the_tier_below() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("realtime"))
        .tier(TierConfig::new("batch").queue_limit(1));
    let mut world = World::with_workers(config, 1, [8, 1_000]);
    let policy = TenantPolicy::new().max_running(1).over_quota(OverQuota::Demote);
    let acme = tenant(&mut world, "acme", policy);
    let urgent = RequestSpec { tier: Tier::P0, ..batch(acme) };
    let first = world.submit_spec(urgent);
    world.round();
    let demoted = world.submit_spec(urgent);
    assert_eq!(world.round(), [], "there are slots, and no quota");
    assert_eq!(world.state(demoted), RequestState::Parked);
    let why = world.sched.explain(demoted).expect("it lives");
    assert_eq!(why.gate, Some(Gate::Quota));
    let full =
        SubmitError::QueueFull { scope: QueueScope::Tier(Tier::P1), unit: QueueUnit::Requests, limit: 1 };
    assert_eq!(world.sched.submit(world.now, urgent), Err(full));
    complete(&mut world, first, 50);
    assert_eq!(starts(&world.round()), [demoted]);
    assert_eq!(world.sched.in_use(PoolId::new(0), Tier::P1).map(|used| used.as_array()[0]), Some(1));
}

#[test]
fn what_can_never_be_allowed_is_refused_for_ever() {
    let mut world = world(8);
    let small = TenantPolicy::new().tokens(Rate::per_second(1_000).burst(99));
    let acme = tenant(&mut world, "small", small);
    let never = SubmitError::NeverAllowed { tenant: acme, limit: QuotaLimit::Tokens, need: 100, max: 99 };
    assert_eq!(world.sched.submit(world.now, batch(acme)), Err(never));
    configure(&mut world, acme, small.allow_when_full(true));
    let ids = submit(&mut world, 2, batch(acme));
    assert_eq!(starts(&world.round()), [ids[0]], "a full burst, and one token owed");
    assert!(world.jump());
    assert_eq!(world.now, Instant::from_nanos(100_000_000), "from -1 to 99");
    assert_eq!(starts(&world.round()), [ids[1]]);
    let late = tenant(&mut world, "late", TenantPolicy::new().most_urgent(Tier::P1));
    let spec = RequestSpec { tier: Tier::P0, ..batch(late) };
    let refused = SubmitError::TierTooUrgent { tenant: late, tier: Tier::P0, allowed: Tier::P1 };
    assert_eq!(world.sched.submit(world.now, spec), Err(refused));
}

#[test]
fn a_stream_that_outruns_its_estimate_is_charged_while_it_runs() {
    let mut world = world(8);
    let acme = tenant(&mut world, "stream", TenantPolicy::new().tokens(Rate::per_second(1_000).burst(1_000)));
    let runs = world.submit_spec(batch(acme));
    world.round();
    world.progress(runs, 0, [1, 1]);
    let worker = world.worker_of(runs).expect("it runs");
    for _ in 0..500 {
        world.sched.step(world.now, worker, 1, &[]).expect("it is up");
    }
    world.check();
    let next = world.submit_spec(RequestSpec { output_tokens: Some(450), ..batch(acme) });
    assert_eq!(world.round(), [], "550 used, and a little ahead, of 1000: 500 are not left");
    complete(&mut world, runs, 500);
    assert_eq!(world.round(), [], "550 were used");
    world.pass(Duration::from_millis(50));
    assert_eq!(starts(&world.round()), [next]);
}

#[test]
fn what_ends_or_stops_or_is_declined_leaks_nothing() {
    let mut world = world(2);
    let policy =
        TenantPolicy::new().tokens(Rate::per_hour(0).burst(1_000)).requests(Rate::per_hour(0).burst(3));
    let acme = tenant(&mut world, "leaks", policy.max_running(2).max_in_use([2, 2]));
    let ids = submit(&mut world, 4, batch(acme));
    assert_eq!(starts(&world.round()), ids[..2]);
    world.sched.cancel(world.now, ids[3]).expect("it waits");
    world.declined(ids[0], Decline::NoRoom);
    world.pass(Duration::from_secs(10));
    assert_eq!(starts(&world.round()), [ids[0]], "its start was given back, and it comes first again");
    world.preempted(ids[1], 0);
    assert_eq!(starts(&world.round()), [ids[1]], "it kept its place among two, and needs no other start");
    complete(&mut world, ids[1], 50);
    let attempt = world.attempt(ids[0]);
    world.running.remove(&ids[0]);
    world.sched.failed(world.now, ids[0], attempt).expect("it runs");
    assert_eq!(starts(&world.round()), [ids[2]], "the third of three starts");
    let none_left = world.submit_spec(batch(acme));
    complete(&mut world, ids[2], 50);
    assert_eq!(world.round(), []);
    world.sched.cancel(world.now, none_left).expect("it waits");
    assert_eq!(world.sched.tenant_remove(world.now, acme), Ok(()), "nothing is open");
    world.check();
}

#[test]
fn a_request_that_chose_victims_holds_its_quota_from_then_on() {
    let mut world = world(2);
    world.submit_many(2, Tier::P1, [1, 1]);
    world.round();
    world.pass(Duration::from_secs(5));
    let acme = tenant(&mut world, "one", TenantPolicy::new().max_running(1));
    let [first, second] = [0, 1].map(|_| world.submit_spec(RequestSpec { tier: Tier::P0, ..batch(acme) }));
    let actions = world.round();
    assert_eq!(victims(&actions).len(), 1, "for the first; the second has no quota");
    assert_eq!(world.state(second), RequestState::Parked);
    world.sched.cancel(world.now, first).expect("it waits");
    world.check();
    let actions = world.round();
    assert_eq!(victims(&actions).len() + starts(&actions).len(), 1, "now it is the second's turn");
}

/// The first needs a whole worker and little quota; the second has room and no quota.
/// It stands before the one that lacks quota, and lacks none itself.
#[test]
fn a_newcomer_that_needs_less_leads_its_line_out_of_the_wait() {
    let longest = TierConfig::new("longest").order(Order::DeficitLongestPrefix);
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(longest);
    let mut world = World::with_workers(config, 1, [8, 1_000]);
    let few = tenant(&mut world, "few", TenantPolicy::new().max_in_use([3]));
    let spec = |slots: u64| RequestSpec::new(few, Tier::P0).demand([slots]).prompt_tokens(50);
    let running = world.submit_spec(spec(1));
    let large = world.submit_spec(spec(3));
    assert_eq!(starts(&world.round()), [running]);
    assert_eq!(world.state(large), RequestState::Parked);
    let small = world.submit_spec(spec(1).cached_tokens(40));
    assert_eq!(starts(&world.round()), [small], "a longer prefix goes first");
    assert_eq!(world.state(large), RequestState::Parked);
    world.check();
}

/// Its line is on no offer while it waits for quota; only its claim starts it.
#[test]
fn who_chose_victims_and_whose_line_waits_for_quota_starts_by_its_claim_alone() {
    let mut world = World::with_workers(tiers().min_run(Duration::ZERO), 1, [4, 1_000]);
    let tenant = world.tenant;
    submit(&mut world, 4, batch(tenant));
    world.round();
    let one = self::tenant(&mut world, "one", TenantPolicy::new().max_running(1));
    let urgent = RequestSpec::new(one, Tier::P0).demand([1, 1]);
    let first = world.submit_spec(urgent);
    let chosen = victims(&world.round());
    assert_eq!(chosen.len(), 1);
    let second = world.submit_spec(urgent);
    assert_eq!(world.round(), []);
    assert_eq!([first, second].map(|id| world.state(id)), [RequestState::Parked; 2], "the line waits");
    world.worker([4, 1_000]);
    assert_eq!(world.round(), [], "there is room elsewhere now");
    world.preempted(chosen[0], 0);
    assert_eq!(starts(&world.round())[0], first);
}

#[test]
fn a_round_ends_where_the_first_lacks_room_and_the_next_lacks_quota() {
    let mut world = world(2);
    let acme = tenant(&mut world, "both", TenantPolicy::new().tokens(Rate::per_hour(0).burst(150)));
    let runs = world.submit_spec(RequestSpec { output_tokens: Some(10), ..batch(acme) });
    world.round();
    let wide = world
        .submit_spec(RequestSpec { prompt_tokens: 1, output_tokens: Some(1), ..batch(acme) }.demand([2, 1]));
    let long = world.submit_spec(batch(acme));
    assert_eq!(world.round(), []);
    assert_eq!([wide, long].map(|id| world.state(id)), [RequestState::Queued, RequestState::Parked]);
    complete(&mut world, runs, 10);
    assert_eq!(starts(&world.round()), [wide]);
}

#[test]
fn tenants_move_with_what_they_have_open() {
    let mut world = world(8);
    let [red, blue] =
        ["red", "blue"].map(|name| tenant(&mut world, name, TenantPolicy::new().max_running(1)));
    let key = tenant(&mut world, "key", TenantPolicy::new().parent(red));
    let ids = submit(&mut world, 2, batch(key));
    assert_eq!(starts(&world.round()), [ids[0]]);
    let other = world.submit_spec(batch(blue));
    configure(&mut world, key, TenantPolicy::new().parent(blue));
    assert_eq!(world.round(), [], "blue has one running now");
    assert_eq!(world.sched.tenant_remove(world.now, red), Ok(()));
    assert_eq!(world.sched.tenant_remove(world.now, blue), Err(TenantError::Busy(blue)));
    complete(&mut world, ids[0], 50);
    let next = starts(&world.round());
    assert_eq!(next.len(), 1, "{other} or {}", ids[1]);
    let cycle = TenantPolicy::new().parent(key);
    assert_eq!(world.sched.tenant_configure(world.now, blue, &cycle), Err(TenantError::Cycle(blue)));
}

#[test]
fn a_million_tenants_come_and_go() {
    let mut world = world(1);
    for number in 0..1_000_000 {
        let tenant = world.sched.tenant_set(world.now, &format!("t{number}")).expect("there is room");
        world.sched.tenant_remove(world.now, tenant).expect("it is idle");
        assert_eq!(world.sched.tenant_remove(world.now, tenant), Err(TenantError::Unknown(tenant)));
    }
}

#[test]
fn weights_share_a_tier_in_proportion() {
    let mut world = world(1);
    let [heavy, light] = [("heavy", 3), ("light", 1)]
        .map(|(name, weight)| tenant(&mut world, name, TenantPolicy::new().weight(weight)));
    for tenant in [heavy, light] {
        submit(&mut world, 100, batch(tenant));
    }
    let mut served = [0, 0];
    for _ in 0..80 {
        let id = starts(&world.round())[0];
        let of_heavy = world.submitted.iter().position(|&other| other == id).expect("it was submitted") < 100;
        served[usize::from(!of_heavy)] += 1;
        complete(&mut world, id, 50);
    }
    assert_eq!(served, [60, 20]);
}

#[test]
fn weight_zero_is_served_when_nobody_else_wants() {
    let mut world = world(1);
    let [nobody, somebody] = [("nobody", 0), ("somebody", 1)]
        .map(|(name, weight)| tenant(&mut world, name, TenantPolicy::new().weight(weight)));
    let spare = submit(&mut world, 4, batch(nobody));
    assert_eq!(starts(&world.round()), [spare[0]], "alone it is served at once");
    let others = submit(&mut world, 20, batch(somebody));
    complete(&mut world, spare[0], 50);
    // A newcomer is lifted to where the others are, and they are even then.
    assert_eq!(starts(&world.round()), [spare[1]]);
    let mut runs = spare[1];
    for other in others {
        complete(&mut world, runs, 50);
        assert_eq!(starts(&world.round()), [other]);
        runs = other;
    }
    complete(&mut world, runs, 50);
    assert_eq!(starts(&world.round()), [spare[2]]);
}

#[test]
fn a_rate_of_zero_is_what_is_saved_up_and_then_nothing_until_it_is_changed() {
    let mut world = world(8);
    let none = TenantPolicy::new().tokens(Rate::per_hour(0).burst(100));
    let acme = tenant(&mut world, "none", none);
    let ids = submit(&mut world, 2, batch(acme));
    assert_eq!(starts(&world.round()), [ids[0]]);
    complete(&mut world, ids[0], 50);
    world.round();
    assert_eq!(world.sched.poll_timeout(), None, "time alone does not help");
    world.pass(Duration::from_secs(1_000_000));
    assert_eq!(world.round(), []);
    configure(&mut world, acme, none.tokens(Rate::per_second(100).burst(100)));
    world.round();
    world.pass(Duration::from_secs(1));
    assert_eq!(starts(&world.round()), [ids[1]]);
}

#[test]
fn many_at_once_do_not_pass_a_limit_together() {
    let mut world = world(100);
    let team = tenant(&mut world, "team", TenantPolicy::new().tokens(Rate::per_hour(0).burst(350)));
    let keys = ["a", "b", "c"].map(|name| tenant(&mut world, name, TenantPolicy::new().parent(team)));
    let ids: Vec<_> = (0..30).map(|number| world.submit_spec(batch(keys[number % 3]))).collect();
    assert_eq!(starts(&world.round()).len(), 3, "3 of 30 fit 350 tokens, whoever asks");
    assert_eq!(ids.iter().filter(|&&id| world.state(id) == RequestState::Parked).count(), 27);
}

#[test]
fn who_is_refused_by_one_limit_takes_nothing_of_the_others() {
    let mut world = world(8);
    let team = tenant(&mut world, "team", TenantPolicy::new().tokens(Rate::per_hour(0).burst(300)));
    let closed = TenantPolicy::new().parent(team).requests(Rate::per_hour(0).burst(1));
    let [open, shut] = [("open", TenantPolicy::new().parent(team)), ("shut", closed)]
        .map(|(name, policy)| tenant(&mut world, name, policy));
    let waits = submit(&mut world, 5, batch(shut));
    assert_eq!(starts(&world.round()), waits[..1], "one start, of 100 tokens");
    let ids = submit(&mut world, 2, batch(open));
    assert_eq!(starts(&world.round()), ids, "all 200 tokens that are left are there");
}

#[test]
fn the_third_decline_gives_the_start_back_as_those_before_it() {
    let mut world = world(2);
    let acme = tenant(&mut world, "acme", TenantPolicy::new().requests(Rate::per_hour(0).burst(1)));
    let declined = world.submit_spec(batch(acme));
    for _ in 0..3 {
        assert_eq!(starts(&world.round()), [declined]);
        world.declined(declined, Decline::NoRoom);
        world.pass(Duration::from_secs(10));
    }
    let next = world.submit_spec(batch(acme));
    assert_eq!(starts(&world.round()), [next], "no start was used up");
}

#[test]
fn a_tier_that_is_too_urgent_is_not_reached_by_amending_either() {
    let mut world = world(2);
    let acme = tenant(&mut world, "acme", TenantPolicy::new().most_urgent(Tier::P1));
    let [waits, runs] = [0, 1].map(|_| world.submit_spec(batch(acme)));
    let amendment = Amendment { tier: Some(Tier::P0), ..Amendment::default() };
    let refused = SubmitError::TierTooUrgent { tenant: acme, tier: Tier::P0, allowed: Tier::P1 };
    let refused = Err(AmendError::Submit(refused));
    assert_eq!(world.sched.amend(world.now, waits, amendment), refused);
    world.round();
    assert_eq!(world.sched.amend(world.now, runs, amendment), refused);
}

#[test]
fn who_is_demoted_to_where_it_never_fits_is_refused() {
    let tiers = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("realtime"))
        .tier(TierConfig::new("batch").borrow_limit([2, 100]));
    let mut world = World::with_workers(tiers, 1, [8, 100]);
    let acme = tenant(&mut world, "acme", TenantPolicy::new().max_running(1).over_quota(OverQuota::Demote));
    let urgent = |slots: u64| RequestSpec::new(acme, Tier::P0).demand([slots]);
    submit(&mut world, 1, urgent(1));
    world.round();
    let refused = world.sched.submit(world.now, urgent(3));
    assert_eq!(refused, Err(SubmitError::NeverFits { dimension: 0, need: 3, max: 2 }));
    assert!(world.sched.submit(world.now, urgent(2)).is_ok(), "it waits in the tier below");
}

/// The first of the old place never goes on; who moved away stands behind it no more.
#[test]
fn who_moves_away_waits_at_its_old_place_no_more() {
    let mut world = world(8);
    let team = tenant(&mut world, "team", TenantPolicy::new().max_running(1));
    let [stays, moves] =
        ["stays", "moves"].map(|name| tenant(&mut world, name, TenantPolicy::new().parent(team)));
    submit(&mut world, 1, batch(stays));
    world.round();
    let first = world.submit_spec(RequestSpec { tier: Tier::P0, ..batch(stays) });
    let moved = world.submit_spec(batch(moves));
    assert_eq!(world.round(), []);
    assert_eq!(world.state(first), RequestState::Parked);
    assert_eq!(world.state(moved), RequestState::Parked);
    configure(&mut world, moves, TenantPolicy::new());
    assert_eq!(starts(&world.round()), [moved]);
}

/// The head of one pool lacks quota as soon as another pool has taken it: those behind it are kept back no more.
#[test]
fn quota_that_is_taken_in_one_pool_is_lacking_in_another_at_once() {
    let pools = tiers().pools(["east", "west"]);
    let mut world = World::new(pools);
    for pool in [0, 1] {
        world
            .sched
            .worker_add(world.now, WorkerSpec::new([2, 100]).pool(PoolId::new(pool)))
            .expect("a worker");
    }
    let acme = tenant(&mut world, "acme", TenantPolicy::new().max_running(1));
    let west = |tenant| RequestSpec { pool: PoolId::new(1), ..batch(tenant) };
    let other = tenant(&mut world, "other", TenantPolicy::new());
    submit(&mut world, 1, west(other).demand([1, 1]));
    world.round();
    let wide = world.submit_spec(west(acme).demand([2, 1]));
    assert_eq!(world.round(), []);
    assert_eq!(world.state(wide), RequestState::Queued, "it has quota, and no room");
    submit(&mut world, 1, batch(acme));
    assert_eq!(world.round().len(), 1);
    assert_eq!(world.state(wide), RequestState::Parked);
}

/// Whether growth of a tenant's request in one pool, from 1 block and 100 tokens to so much, is lacking at once for its
/// other in another pool, which needs 5 blocks and 100 tokens.
fn growth_is_lacking_elsewhere(policy: TenantPolicy, blocks: u64, output_tokens: u64) -> bool {
    let mut world = World::new(tiers().pools(["east", "west"]));
    for pool in [0, 1] {
        world
            .sched
            .worker_add(world.now, WorkerSpec::new([2, 100]).pool(PoolId::new(pool)))
            .expect("a worker");
    }
    let (acme, other) = (tenant(&mut world, "acme", policy), TenantPolicy::new());
    let other = tenant(&mut world, "other", other);
    let west = |tenant| RequestSpec { pool: PoolId::new(1), ..batch(tenant) };
    submit(&mut world, 1, west(other));
    let grows = world.submit_spec(batch(acme));
    world.round();
    let wide = world.submit_spec(west(acme).demand([2, 5]));
    assert_eq!(world.round(), []);
    assert_eq!(world.state(wide), RequestState::Queued, "it has quota, and no room");
    world.progress(grows, output_tokens, [1, blocks]);
    assert_eq!(world.round(), []);
    world.state(wide) == RequestState::Parked
}

#[test]
fn what_grows_in_one_pool_is_lacking_in_another_at_once_where_a_limit_counts_it() {
    let units = TenantPolicy::new().max_in_use([0, 10]);
    assert!(!growth_is_lacking_elsewhere(units, 5, 50));
    assert!(growth_is_lacking_elsewhere(units, 6, 50));
    assert!(!growth_is_lacking_elsewhere(units, 5, 100), "nobody limits tokens");
    let tokens = TenantPolicy::new().tokens(Rate::per_minute(1).burst(200));
    assert!(!growth_is_lacking_elsewhere(tokens, 50, 50), "nobody limits units");
    assert!(growth_is_lacking_elsewhere(tokens, 1, 51));
}

#[test]
fn a_line_that_waits_for_quota_ends_no_drain_for_one_that_comes_back() {
    let mut world = world(4);
    let one = tenant(&mut world, "one", TenantPolicy::new().max_running(1));
    let other = tenant(&mut world, "other", TenantPolicy::new());
    let back = world.submit_spec(batch(one).demand([3, 1]));
    let grows = world.submit_spec(batch(other));
    assert_eq!(starts(&world.round()), [back, grows]);
    world.progress(grows, 0, [2, 1]);
    world.preempted(back, 0);
    assert_eq!(world.round(), []);
    world.pass(Duration::from_secs(3_600));
    assert_eq!(world.round(), [], "the worker is kept clear from now on");
    world.worker([1, 1_000]);
    let lacks = world.submit_spec(batch(one));
    submit(&mut world, 1, batch(other).demand([2, 1]));
    assert_eq!(world.round(), [], "the other would fit, if the worker were not kept clear");
    assert_eq!(world.state(lacks), RequestState::Parked);
}

#[test]
fn who_waited_for_quota_is_relegated_in_time() {
    let batch_tier = TierConfig::new("batch").order(Order::HybridDeadline).age_after(Duration::from_secs(1));
    let tiers = Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("realtime"));
    let mut world = World::with_workers(tiers.tier(batch_tier), 1, [2, 1_000]);
    let one = tenant(&mut world, "one", TenantPolicy::new().max_running(1));
    let other = tenant(&mut world, "other", TenantPolicy::new());
    submit(&mut world, 1, batch(one));
    world.round();
    let deadline = Some(Instant::from_nanos(10_000_000_000));
    let _late = world.submit_spec(RequestSpec { deadline, ..batch(one) });
    let patient = world.submit_spec(batch(one));
    let fills = world.submit_spec(batch(other));
    assert_eq!(starts(&world.round()), [fills]);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.round(), []);
    configure(&mut world, one, TenantPolicy::new());
    assert_eq!(world.round(), []);
    world.pass(Duration::from_secs(9));
    complete(&mut world, fills, 50);
    assert_eq!(starts(&world.round()), [patient], "the other cannot make its deadline any more");
}
