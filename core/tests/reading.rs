//! Sentences of `docs/SEMANTICS.md` that are easily misread, each as a scenario whose outcome was worked out from
//! the page before either scheduler was asked.

mod common;

use std::time::Duration;

use common::{World, starts, three_tiers, victims};
use tidegate::{
    Action, Amendment, Config, ConfigBuilder, Decline, DeviceSpec, Order, Preemption, Reason, Reserve,
    Shrink, Tier, TierConfig, WorkerId, WorkerSpec, Yielding,
};

fn tier(name: &str) -> TierConfig {
    TierConfig::new(name).hold_window(Duration::ZERO)
}

fn tiers<const N: usize>(all: [TierConfig; N]) -> ConfigBuilder {
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).min_run(Duration::ZERO);
    all.into_iter().fold(config, ConfigBuilder::tier)
}

/// Section 6: a set for one beyond its reserve takes nothing that is held for a third tier; its claim is full of
/// what lies free on the worker, and is not ready before what it owes comes back.
#[test]
fn a_full_claim_beyond_the_reserve_waits_for_what_is_held_for_others() {
    let third = tier("third").reserve_in(0, Reserve::Units(4)).lendable_ppm(0);
    let mut world = World::with_workers(tiers([tier("top"), third, tier("batch")]), 1, [10, 1000]);
    let batch = world.submit_many(6, Tier::P2, [1, 10]);
    assert_eq!(starts(&world.round()), batch);
    let urgent = world.submit(Tier::P0, [2, 20]);
    let asked = world.round();
    assert_eq!(victims(&asked).len(), 2, "four slots are free, and kept for the third tier: {asked:?}");
    assert!(asked.iter().all(|action| action.reason() == Reason::Urgent), "{asked:?}");
    world.preempted(victims(&asked)[0], 0);
    assert_eq!(world.round(), [], "one is owed still");
    world.preempted(victims(&asked)[1], 0);
    assert_eq!(starts(&world.round()), [urgent]);
}

/// Section 6: if taking victims in order misses, the first that alone suffices is taken, before any rule is waived.
#[test]
fn one_that_alone_suffices_is_found_where_taking_in_order_misses() {
    let top = tier("top").reserve_ppm(700_000);
    let config = tiers([top, tier("batch").reserve_in(1, Reserve::Units(60))]);
    let mut world = World::with_workers(config, 1, [20, 200]);
    let large = world.submit(Tier::P1, [1, 50]);
    world.round();
    world.pass(Duration::from_secs(1));
    world.submit_many(3, Tier::P1, [1, 20]);
    world.round();
    // 45 blocks are short, and batch has 50 beyond its reserve: the newest two give 40, and then none may be taken.
    world.submit(Tier::P0, [1, 135]);
    assert_eq!(victims(&world.round()), [large]);
    assert_eq!(world.sched.stats().straddles, 0);
}

/// Section 6: a tier that borrows yields one victim that leaves it below its reserve, and then none.
#[test]
fn a_tier_that_borrows_straddles_once() {
    let config = tiers([tier("top").reserve_ppm(500_000), tier("batch").reserve_ppm(500_000)]);
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let batch = [3, 3, 4].map(|slots| world.submit(Tier::P1, [slots, 30]));
    assert_eq!(starts(&world.round()), batch);
    let urgent = world.submit(Tier::P0, [5, 50]);
    let asked = world.round();
    assert_eq!(victims(&asked), batch[..2], "the first leaves seven, the second four of five");
    assert_eq!(world.sched.stats().straddles, 1);
    world.obey(&asked);
    assert_eq!(starts(&world.round()), [urgent]);
    world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), [], "batch is within its reserve, and waits for what is left of it");
}

/// Section 6: once means once, though a second victim would take its tier below the reserve in another dimension.
#[test]
fn a_tier_straddles_once_over_all_dimensions() {
    let one_of_each = [0, 1].into_iter();
    let batch = one_of_each.fold(tier("batch"), |tier, d| tier.reserve_in(d, Reserve::Units(1)));
    let top = tier("top").reserve_ppm(600_000);
    for (demand, taken) in [([2, 1], 1), ([2, 2], 0)] {
        let mut world = World::with_workers(tiers([top.clone(), batch.clone()]), 1, [3, 3]);
        let slots_only = world.submit(Tier::P1, [2, 0]);
        let blocks_only = world.submit(Tier::P1, [0, 2]);
        assert_eq!(starts(&world.round()), [slots_only, blocks_only], "batch borrows one of each");
        world.submit(Tier::P0, demand);
        assert_eq!(victims(&world.round()).len(), taken, "{demand:?}");
        assert_eq!(world.sched.stats().straddles, taken as u64);
    }
}

/// Section 7: a `Stuck` victim's worker is left alone for the back-off, and its units are gathered by nobody
/// until they are free.
#[test]
fn after_a_stuck_victim_its_worker_is_tried_again_at_the_end_of_the_back_off() {
    let config = three_tiers().decline_backoff(Duration::from_secs(5));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    world.submit_many(10, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [1, 10]);
    let [hung] = victims(&world.round())[..] else { panic!("one victim") };
    world.pass(Duration::from_secs(1));
    let told = world.round();
    assert!(matches!(told[..], [Action::Stuck { victim, .. }] if victim == hung), "{told:?}");
    let end = world.now + Duration::from_secs(5);
    while let Some(at) = world.sched.poll_timeout().filter(|&at| at < end) {
        world.now = at;
        assert_eq!(world.round(), [], "only a worker is drained meanwhile");
    }
    assert_eq!(world.sched.poll_timeout(), Some(end));
    world.now = end;
    let [other] = victims(&world.round())[..] else { panic!("another victim") };
    assert_ne!(other, hung);
    world.preempted(other, 0);
    assert_eq!(starts(&world.round()), [urgent]);
}

/// Section 3: what waits within the reserve is held for its tier; one that asks for more than all of the reserve
/// holds nothing.
#[test]
fn only_requests_that_the_reserve_covers_are_held_for() {
    for (asks, lent) in [(3, 1), (5, 4)] {
        let top = tier("top").reserve_in(0, Reserve::Units(4)).preemption(Preemption::Never);
        let mut world = World::with_workers(tiers([top, tier("batch")]), 2, [8, 40]);
        world.submit_many(2, Tier::P1, [6, 6]);
        world.round();
        let waits = world.submit(Tier::P0, [asks, 0]);
        world.submit_many(4, Tier::P1, [1, 1]);
        let started = starts(&world.round());
        assert!(!started.contains(&waits), "two are free on each worker");
        assert_eq!(started.len(), lent, "of four free ones, while {asks} of four reserved are asked for");
    }
}

/// Section 2: each request and each earmark rounds up on the device by itself.
#[test]
fn parts_of_a_device_round_up_request_by_request() {
    let mut world = World::new(three_tiers());
    let spec = DeviceSpec { limit: [3, 0].into(), checkpoint_mib: None };
    let device = world.sched.device_add(world.now, spec).expect("a device");
    let half = tidegate::Ppm::new(500_000);
    let worker = WorkerSpec::new([10, 1000]).on_part(device, half);
    world.sched.worker_add(world.now, worker).expect("half of it");
    world.submit_many(6, Tier::P1, [1, 10]);
    assert_eq!(starts(&world.round()).len(), 3, "each takes a whole unit of three");
    world.submit(Tier::P1, [2, 10]);
    assert_eq!(world.round(), []);
}

/// Section 8: among those that never yield, borrowing does not count: the least urgent tier's newest ends.
#[test]
fn where_nobody_may_yield_the_newest_of_the_least_urgent_ends() {
    let config = tiers([tier("top").reserve_ppm(100_000), tier("batch").reserve_ppm(500_000)]);
    let mut world = World::with_workers(config, 1, [10, 100]);
    let top = world.submit_spec(world.spec(Tier::P0, [2, 20]).yielding(Yielding::Never));
    let old = world.submit_spec(world.spec(Tier::P1, [1, 10]).yielding(Yielding::Never));
    world.round();
    world.pass(Duration::from_secs(1));
    let new = world.submit_spec(world.spec(Tier::P1, [1, 10]).yielding(Yielding::Never));
    world.round();
    assert!([top, old, new].iter().all(|id| world.running.contains_key(id)));
    world.progress(top, 1, [2, 90]);
    let told = world.round();
    assert!(
        matches!(told[..], [Action::Abort { request, reason: Reason::OutOfMemory, .. }] if request == new),
        "{told:?}"
    );
}

/// Section 9: one poll handles what falls due within `max_step` of the first; nobody starts before all is handled.
#[test]
fn after_a_jump_of_the_clock_all_that_is_due_comes_before_any_start() {
    let mut world = World::new(three_tiers().max_step(Duration::from_secs(1)));
    let short = world.spec(Tier::P0, [1, 10]);
    let mut ids = Vec::new();
    for second in [1, 10, 20] {
        ids.push(world.submit_spec(short.queue_timeout(Duration::from_secs(second))));
    }
    let patient = world.submit(Tier::P1, [1, 10]);
    world.pass(Duration::from_secs(3600));
    world.worker([10, 1000]);
    let told = world.round();
    let dropped = told.iter().filter(|action| action.reason() == Reason::QueueTimeout);
    assert_eq!(dropped.filter_map(Action::request).collect::<Vec<_>>(), ids);
    assert_eq!(starts(&told), [patient]);
}

/// Section 5: a drain is for the head of its tier only.
#[test]
fn a_drain_ends_when_its_request_is_nobodys_head_any_more() {
    let top = tier("top")
        .reserve_in(0, Reserve::Units(1))
        .borrow_limit([6, 1000])
        .preempt_while_borrowing(Preemption::Never);
    let mut world = World::new(tiers([top, tier("batch")]).max_bypass(0));
    world.worker([8, 1000]);
    let own = world.submit(Tier::P0, [1, 20]);
    let long = world.submit_many(2, Tier::P1, [3, 20]);
    world.round();
    world.worker([6, 1000]);
    let short = world.submit(Tier::P1, [2, 20]);
    world.round();
    world.submit(Tier::P0, [6, 60]);
    world.round();
    // 2 + 6 > 1 + 6: it fails its tier's gate, and is no head
    world.progress(own, 1, [2, 20]);
    for id in long {
        world.complete(id);
    }
    world.complete(short);
    world.round();
    let batch = world.submit_many(2, Tier::P1, [6, 20]);
    world.round();
    world.pass(Duration::from_secs(100));
    world.round();
    assert!(
        batch.iter().all(|id| world.running.contains_key(id)),
        "one worker is empty; poll_timeout {:?}",
        world.sched.poll_timeout()
    );
}

/// Section 3: what it used counts, whatever share of it the tiers may ever have.
#[test]
fn one_that_outgrew_every_worker_is_dropped_whatever_others_keep() {
    let config = tiers([tier("top").reserve_ppm(100_000).lendable_ppm(0), tier("batch")]);
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let request = world.submit(Tier::P1, [5, 50]);
    world.round();
    world.progress(request, 1, [12, 50]);
    world.preempted(request, 0);
    let told = world.round();
    assert!(matches!(told[..], [Action::Drop { reason: Reason::NeverFits, .. }]), "{told:?}");
}

/// Section 5: a worker is drained for who could run there.
#[test]
fn a_drain_ends_on_a_worker_that_shrank_below_the_head() {
    let mut world = World::with_workers(three_tiers().max_bypass(0), 2, [10, 1000]);
    world.submit_many(10, Tier::P1, [2, 20]);
    world.round();
    world.submit(Tier::P1, [9, 90]);
    world.round();
    let on: Vec<_> = world.running.iter().map(|(&id, &(_, on))| (id, on)).collect();
    let drained = WorkerId::new(0);
    world.sched.worker_resize(world.now, drained, [6, 1000].into(), Shrink::Drain).expect("up");
    for (id, on) in on {
        if on == drained && world.running.len() > 7 {
            world.complete(id);
        }
    }
    let small = world.submit(Tier::P2, [2, 20]);
    assert_eq!(
        starts(&world.round()),
        [small],
        "two slots of six are used there, and it can never hold the head"
    );
}

/// Section 7: the last two workers it is kept off are two workers.
#[test]
fn both_workers_are_remembered_when_two_victims_hang_on_one() {
    let mut world = World::new(three_tiers().decline_backoff(Duration::from_secs(10)));
    world.worker([12, 1000]);
    let urgent = world.submit(Tier::P0, [2, 20]);
    world.round();
    world.worker([10, 1000]);
    world.submit_many(20, Tier::P2, [1, 10]);
    world.round();
    world.declined(urgent, Decline::NoRoom);
    assert_eq!(victims(&world.round()).len(), 2);
    world.pass(Duration::from_secs(1));
    assert_eq!(starts(&world.round()), [], "it is kept off both");
}

/// Section 11: what it asks for has not changed, so that its claim stays.
#[test]
fn a_new_deadline_leaves_the_claim() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    world.submit_many(10, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [1, 10]);
    world.round();
    let later = Amendment { deadline: Some(world.now + Duration::from_secs(9)), ..Amendment::default() };
    world.sched.amend(world.now, urgent, later).expect("it waits");
    assert_eq!(world.round(), [], "its demand and tier are the same");
}

/// Section 7: kept off for the back-off, whatever happens elsewhere meanwhile.
#[test]
fn one_kept_off_a_worker_stays_so_when_it_stops_elsewhere() {
    let mut world =
        World::with_workers(three_tiers().decline_backoff(Duration::from_secs(10)), 2, [10, 1000]);
    let request = world.submit(Tier::P1, [1, 10]);
    world.round();
    let first = world.worker_of(request);
    world.declined(request, Decline::NoRoom);
    world.round();
    world.preempted(request, 0);
    world.round();
    assert_ne!(world.worker_of(request), first, "the back-off is not over");
}

/// Section 2: what it asks nothing of never counts.
#[test]
fn a_dimension_it_does_not_use_never_bars_one_that_never_yields() {
    let config = tiers([
        tier("top").reserve_in(0, Reserve::Units(2)).reserve_in(1, Reserve::Units(50)),
        tier("batch"),
    ]);
    let mut world = World::with_workers(config, 1, [10, 100]);
    let stubborn = world.submit_spec(world.spec(Tier::P1, [1, 50]).yielding(Yielding::Never));
    world.round();
    world.progress(stubborn, 1, [1, 60]);
    let other = world.submit_spec(world.spec(Tier::P1, [1, 0]).yielding(Yielding::Never));
    assert_eq!(starts(&world.round()), [other], "it uses no blocks");
}

/// Section 4: those that come back are first, in any order.
#[test]
fn a_declined_request_is_offered_first_again() {
    let config = tiers([tier("only").order(Order::ShortestFirst)]).decline_backoff(Duration::from_millis(1));
    let mut world = World::with_workers(config, 1, [1, 1000]);
    let long = world.submit(Tier::P0, [1, 10]);
    world.round();
    world.submit_spec(world.spec(Tier::P0, [1, 10]).prompt_tokens(1));
    world.declined(long, Decline::NoRoom);
    world.pass(Duration::from_secs(1));
    assert_eq!(starts(&world.round()), [long], "back to the head of its queue");
}
