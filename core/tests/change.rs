//! What changes while requests wait and run: `reconfigure`, and `amend`.

mod common;

use std::time::Duration;

use common::{POOL, World, first_start, starts};
use tidegate::{
    Action, AmendError, Amendment, Attempt, Config, ConfigBuilder, Instant, Order, Placement, Preemption,
    QueueScope, QueueUnit, Reason, RequestId, RequestSpec, RequestState, Shrink, SubmitError, Tier,
    TierConfig, WorkerId,
};

const W0: WorkerId = WorkerId::new(0);
const W1: WorkerId = WorkerId::new(1);

fn tier(name: &str) -> TierConfig {
    TierConfig::new(name).hold_window(Duration::ZERO)
}

/// A tier that stops others only for its reserve, and one that has what is left.
fn two_tiers(urgent: TierConfig) -> ConfigBuilder {
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(urgent.preempt_while_borrowing(Preemption::Never))
        .tier(tier("batch"))
        .min_run(Duration::ZERO)
}

fn reserve(ppm: u32) -> ConfigBuilder {
    two_tiers(tier("urgent").reserve_ppm(ppm))
}

fn one_tier(only: TierConfig) -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).tier(only)
}

fn reconfigure(world: &mut World, config: ConfigBuilder) {
    world.sched.reconfigure(world.now, config.build().expect("a valid config")).expect("the same names");
    world.check();
}

fn amend(world: &mut World, id: RequestId, amendment: Amendment) {
    world.sched.amend(world.now, id, amendment).expect("it may change so");
    world.check();
}

fn demand(units: [u64; 2]) -> Amendment {
    Amendment { demand: Some(units.into()), ..Amendment::default() }
}

fn to_tier(tier: Tier) -> Amendment {
    Amendment { tier: Some(tier), ..Amendment::default() }
}

/// A worker of ten slots, full of batch.
fn full_of_batch(config: ConfigBuilder) -> (World, Vec<RequestId>) {
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let batch = world.submit_many(10, Tier::P1, [1, 10]);
    world.round();
    (world, batch)
}

#[test]
fn a_new_reserve_holds_at_once() {
    let (mut world, batch) = full_of_batch(reserve(0));
    let urgent = world.submit_many(4, Tier::P0, [1, 10]);
    assert_eq!(world.round(), [], "nothing is guaranteed");
    reconfigure(&mut world, reserve(300_000));
    assert_eq!(world.sched.effective_reserve(POOL, Tier::P0), Some([3, 300].into()));
    let reclaims = |index: usize| world.preempt(batch[index], Some(urgent[index]), Reason::Reclaim);
    let expected = [reclaims(0), reclaims(1), reclaims(2)];
    assert_eq!(world.round(), expected);
}

#[test]
fn a_reserve_that_is_gone_guarantees_nothing_but_a_claim_that_was_laid_for_it_stays() {
    let (mut world, batch) = full_of_batch(reserve(200_000));
    let first = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), [world.preempt(batch[0], Some(first), Reason::Reclaim)]);
    reconfigure(&mut world, reserve(0));
    let second = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), []);
    world.preempted(batch[0], 0);
    assert_eq!(world.round(), [first_start(first, W0, Reason::Reclaimed)]);
    assert_eq!(world.state(second), RequestState::Queued);
}

#[test]
fn whoever_may_have_no_more_is_parked_and_its_victims_are_spared() {
    let (mut world, batch) = full_of_batch(reserve(200_000));
    let urgent = world.submit(Tier::P0, [2, 20]);
    let stops = [0, 1].map(|index: usize| world.preempt(batch[index], Some(urgent), Reason::Reclaim));
    assert_eq!(world.round(), stops);
    world.preempted(batch[0], 0);
    reconfigure(&mut world, two_tiers(tier("urgent").reserve_ppm(100_000).borrow_limit([0, 0])));
    assert_eq!(world.state(urgent), RequestState::Parked);
    let (victim, attempt) = (batch[1], world.attempt(batch[1]));
    let again = Action::Start {
        request: batch[0],
        attempt: Attempt::new(2),
        worker: W0,
        resume_tokens: 0,
        reason: Reason::Borrowed,
    };
    assert_eq!(world.round(), [Action::Spare { victim, attempt, reason: Reason::NotNeeded }, again]);
    reconfigure(&mut world, reserve(200_000));
    let stops = [1, 2].map(|index: usize| world.preempt(batch[index], Some(urgent), Reason::Reclaim));
    assert_eq!(world.round(), stops, "those that have yielded less often");
}

#[test]
fn a_new_order_orders_what_waits() {
    let mut world = World::with_workers(one_tier(tier("only")), 1, [1, 100]);
    let runs = world.submit(Tier::P0, [1, 10]);
    world.round();
    let [long, short] =
        [500, 5].map(|tokens| world.submit_spec(world.spec(Tier::P0, [1, 10]).prompt_tokens(tokens)));
    reconfigure(&mut world, one_tier(tier("only").order(Order::ShortestFirst)));
    world.complete(runs);
    assert_eq!(starts(&world.round()), [short]);
    let shorter = world.submit_spec(world.spec(Tier::P0, [1, 10]).prompt_tokens(4));
    reconfigure(&mut world, one_tier(tier("only")));
    world.complete(short);
    assert_eq!(starts(&world.round()), [long]);
    assert_eq!(world.state(shorter), RequestState::Queued);
}

#[test]
fn timeouts_that_run_stay_and_new_ones_are_the_new_configs() {
    let timeout = |seconds| one_tier(tier("only").queue_timeout(Duration::from_secs(seconds)));
    let mut world = World::new(timeout(10));
    let old = world.submit(Tier::P0, [1, 10]);
    reconfigure(&mut world, timeout(1));
    let new = world.submit(Tier::P0, [1, 10]);
    for (id, seconds) in [(new, 1), (old, 10)] {
        world.now = Instant::from_nanos(seconds * 1_000_000_000 - 1);
        assert_eq!(world.round(), []);
        world.now = Instant::from_nanos(seconds * 1_000_000_000);
        assert_eq!(world.round(), [Action::Drop { request: id, reason: Reason::QueueTimeout }]);
    }
}

#[test]
fn a_hold_window_of_another_length_begins_anew() {
    let window = |seconds| {
        let urgent = TierConfig::new("urgent").reserve_ppm(300_000);
        two_tiers(urgent.hold_window(Duration::from_secs(seconds)))
    };
    let mut world = World::with_workers(window(30), 1, [10, 1000]);
    let urgent = world.submit_many(3, Tier::P0, [1, 10]);
    world.round();
    urgent.into_iter().for_each(|id| world.complete(id));
    let batch = world.submit_many(10, Tier::P1, [1, 10]);
    assert_eq!(starts(&world.round()), batch[..7], "three are held");
    reconfigure(&mut world, window(30).max_bypass(1));
    assert_eq!(world.round(), [], "still");
    reconfigure(&mut world, window(31));
    assert_eq!(starts(&world.round()), batch[7..]);
}

#[test]
fn a_borrow_limit_below_the_use_stops_nothing_and_lets_nothing_start() {
    let limit = |slots| one_tier(tier("only").borrow_limit([slots, 1000]));
    let mut world = World::with_workers(limit(10), 1, [10, 1000]);
    let runs = world.submit_many(5, Tier::P0, [1, 10]);
    world.round();
    reconfigure(&mut world, limit(3));
    let waits = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), []);
    for &id in &runs[..2] {
        world.complete(id);
        assert_eq!(world.round(), [], "three and more are borrowed");
    }
    world.complete(runs[2]);
    assert_eq!(world.round(), [first_start(waits, W0, Reason::Borrowed)]);
}

#[test]
fn protections_are_those_of_the_new_config() {
    let config = |min_run| {
        let urgent = tier("urgent");
        let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(urgent).tier(tier("batch"));
        config.min_run(Duration::from_secs(min_run))
    };
    let mut world = World::with_workers(config(60), 1, [1, 100]);
    let batch = world.submit(Tier::P1, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), [], "it is young");
    reconfigure(&mut world, config(0));
    assert_eq!(world.round(), [world.preempt(batch, Some(urgent), Reason::Urgent)]);
}

#[test]
fn placement_is_that_of_the_new_config() {
    let mut world = World::with_workers(one_tier(tier("only")), 2, [4, 100]);
    let first = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), [first_start(first, W0, Reason::Borrowed)]);
    reconfigure(&mut world, one_tier(tier("only")).placement(Placement::Spread));
    let second = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), [first_start(second, W1, Reason::Borrowed)]);
}

#[test]
fn a_queue_limit_below_what_waits_drops_nobody_and_refuses_newcomers() {
    let mut world = World::new(one_tier(tier("only")));
    let ids = world.submit_many(3, Tier::P0, [1, 10]);
    reconfigure(&mut world, one_tier(tier("only").queue_limit(2)));
    assert_eq!(world.round(), []);
    let refused = world.sched.submit(world.now, world.spec(Tier::P0, [1, 10]));
    let (scope, unit, limit) = (QueueScope::Tier(Tier::P0), QueueUnit::Requests, 2);
    assert_eq!(refused, Err(SubmitError::QueueFull { scope, unit, limit }));
    world.worker([2, 100]);
    assert_eq!(starts(&world.round()), ids[..2]);
    world.submit(Tier::P0, [1, 10]);
}

/// Each differs in a name or a number of names, and guarantees the first tier everything besides.
#[test]
fn a_reconfiguration_with_other_names_is_refused_and_leaves_everything_as_it_was() {
    let all = |name| tier(name).reserve_ppm(1_000_000);
    let named = |dimensions: [&str; 2], pool: &str, first, second| {
        Config::builder().dimensions(dimensions).pools([pool]).tier(all(first)).tier(tier(second))
    };
    let two = ["slots", "kv_blocks"];
    let wrong = [
        (named(["kv_blocks", "slots"], "default", "urgent", "batch"), vec!["dimensions[0]", "dimensions[1]"]),
        (named(two, "gold", "urgent", "batch"), vec!["pools[0]"]),
        (named(two, "default", "batch", "urgent"), vec!["tiers[0]", "tiers[1]"]),
        (named(two, "default", "urgent", "batch").tier(tier("spot")), vec!["tiers"]),
        (named(two, "default", "urgent", "batch").pools(["default", "gold"]), vec!["pools"]),
        (named(two, "default", "urgent", "batch").dimensions(["slots"]), vec!["dimensions"]),
    ];
    let (mut world, batch) = full_of_batch(reserve(100_000));
    let before = world.sched.config().clone();
    let urgent = world.submit_many(4, Tier::P0, [1, 10]);
    for (config, paths) in wrong {
        let error = world.sched.reconfigure(world.now, config.build().expect("valid")).expect_err("refused");
        let told: Vec<_> = error.faults.iter().map(|fault| &*fault.path).collect();
        assert_eq!(told, paths);
        world.check();
        assert_eq!(*world.sched.config(), before);
        assert_eq!(world.sched.effective_reserve(POOL, Tier::P0), Some([1, 100].into()));
    }
    assert_eq!(world.round(), [world.preempt(batch[0], Some(urgent[0]), Reason::Reclaim)]);
}

#[test]
fn what_waits_starts_by_its_amended_demand() {
    let mut world = World::with_workers(one_tier(tier("only")), 1, [4, 100]);
    world.submit(Tier::P0, [3, 10]);
    world.round();
    let waits = world.submit(Tier::P0, [2, 20]);
    assert_eq!(world.round(), []);
    amend(&mut world, waits, demand([1, 30]));
    assert_eq!(world.round(), [first_start(waits, W0, Reason::Borrowed)]);
    assert_eq!(world.sched.in_use(POOL, Tier::P0), Some([4, 40].into()));
}

#[test]
fn who_is_amended_keeps_its_arrival_in_its_new_tier() {
    let mut world = World::with_workers(reserve(0), 1, [1, 100]);
    let runs = world.submit(Tier::P0, [1, 10]);
    world.round();
    let batch = world.submit(Tier::P1, [1, 10]);
    let urgent = world.submit(Tier::P0, [1, 10]);
    amend(&mut world, batch, to_tier(Tier::P0));
    assert_eq!([Tier::P0, Tier::P1].map(|tier| world.sched.queue_depth(tier)), [2, 0]);
    world.complete(runs);
    assert_eq!(starts(&world.round()), [batch]);
    assert_eq!(world.state(urgent), RequestState::Queued);
}

#[test]
fn an_amended_deadline_moves_it_in_its_queue() {
    let mut world = World::new(one_tier(tier("only").order(Order::Deadline)));
    let [first, second] =
        [1, 2].map(|at| world.submit_spec(world.spec(Tier::P0, [1, 10]).deadline(Instant::from_nanos(at))));
    let deadline = Some(Instant::from_nanos(3));
    amend(&mut world, first, Amendment { deadline, ..Amendment::default() });
    world.worker([1, 100]);
    assert_eq!(starts(&world.round()), [second]);
}

#[test]
fn who_is_amended_gives_its_claim_to_the_next_and_chooses_anew() {
    let (mut world, batch) = full_of_batch(reserve(300_000));
    let owner = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), [world.preempt(batch[0], Some(owner), Reason::Reclaim)]);
    let heir = world.submit(Tier::P0, [1, 10]);
    amend(&mut world, owner, demand([1, 9]));
    assert_eq!(world.round(), [world.preempt(batch[1], Some(owner), Reason::Reclaim)]);
    for (victim, starts) in [(batch[1], owner), (batch[0], heir)] {
        world.preempted(victim, 0);
        assert_eq!(world.round(), [first_start(starts, W0, Reason::Reclaimed)]);
    }
}

#[test]
fn without_an_heir_the_claim_of_who_is_amended_dissolves() {
    let (mut world, batch) = full_of_batch(reserve(300_000));
    let owner = world.submit(Tier::P0, [1, 10]);
    world.round();
    amend(&mut world, owner, demand([2, 20]));
    let spare = Action::Spare { victim: batch[0], attempt: Attempt::new(1), reason: Reason::NotNeeded };
    let stops = |index: usize| world.preempt(batch[index], Some(owner), Reason::Reclaim);
    let expected = [spare, stops(0), stops(1)];
    assert_eq!(world.round(), expected);
}

#[test]
fn the_amended_demand_of_one_that_runs_matters_at_its_next_start() {
    let mut world = World::with_workers(one_tier(tier("only")), 1, [4, 100]);
    let id = world.submit(Tier::P0, [1, 10]);
    world.round();
    amend(&mut world, id, demand([2, 20]));
    assert_eq!(world.sched.in_use(POOL, Tier::P0), Some([1, 10].into()));
    world.preempted(id, 0);
    assert_eq!(starts(&world.round()), [id]);
    assert_eq!(world.sched.in_use(POOL, Tier::P0), Some([2, 20].into()));
}

/// It used 85 blocks when memory ran out: without the peak that is what it would ask for.
#[test]
fn the_amended_peak_of_one_that_runs_is_what_it_asks_for_after_memory_ran_out() {
    let mut world = World::with_workers(one_tier(tier("only")), 1, [4, 100]);
    let [stays, grows] = [[1, 20], [1, 40]].map(|units| world.submit(Tier::P0, units));
    world.round();
    amend(&mut world, grows, Amendment { peak: Some([1, 95].into()), ..Amendment::default() });
    world.progress(grows, 1, [1, 85]);
    assert_eq!(world.round(), [world.preempt(grows, None, Reason::OutOfMemory)]);
    world.preempted(grows, 0);
    world.progress(stays, 1, [1, 6]);
    assert_eq!(world.round(), [], "94 blocks are free");
    world.progress(stays, 2, [1, 5]);
    assert_eq!(starts(&world.round()), [grows]);
    assert_eq!(world.sched.in_use(POOL, Tier::P0), Some([2, 100].into()));
}

#[test]
fn whether_it_can_ever_fit_is_asked_anew_only_if_demand_or_tier_change() {
    let mut world = World::with_workers(reserve(0), 1, [4, 100]);
    let large = world.submit(Tier::P1, [4, 80]);
    world.sched.worker_resize(world.now, W0, [4, 70].into(), Shrink::Drain).expect("it is up");
    let never = Err(AmendError::Submit(SubmitError::NeverFits { dimension: 1, need: 80, max: 70 }));
    let deadline = Amendment { deadline: Some(Instant::from_nanos(9)), ..demand([4, 80]) };
    amend(&mut world, large, deadline);
    assert_eq!(world.sched.amend(world.now, large, to_tier(Tier::P0)), never);
    assert_eq!(world.sched.amend(world.now, large, demand([3, 80])), never);
    assert_eq!(world.state(large), RequestState::Parked);
    amend(&mut world, large, demand([4, 70]));
    assert_eq!(starts(&world.round()), [large]);
}

#[test]
fn the_queue_limits_of_a_new_tier_hold_for_what_waits_and_never_ran() {
    let mut world = World::with_workers(two_tiers(tier("urgent").queue_limit(1)), 1, [2, 100]);
    let [runs, has_run] = [0, 1].map(|_| world.submit(Tier::P1, [1, 10]));
    world.round();
    let fresh = world.submit(Tier::P1, [1, 10]);
    let spec = RequestSpec { tier: Tier::P0, ..world.spec(Tier::P1, [2, 20]) };
    world.submit_spec(spec);
    let (scope, unit, limit) = (QueueScope::Tier(Tier::P0), QueueUnit::Requests, 1);
    let full = SubmitError::QueueFull { scope, unit, limit };
    assert_eq!(world.sched.amend(world.now, fresh, to_tier(Tier::P0)), Err(full.into()));
    world.preempted(has_run, 0);
    amend(&mut world, has_run, to_tier(Tier::P0));
    amend(&mut world, runs, to_tier(Tier::P0));
    assert_eq!([Tier::P0, Tier::P1].map(|tier| world.sched.queue_depth(tier)), [2, 1]);
}
