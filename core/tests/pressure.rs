//! Memory pressure: who stops where requests use more than there is. Who outgrew every worker is in `preemption`.

mod common;

use std::time::Duration;

use common::{World, starts};
use tidegate::{
    Action, Config, ConfigBuilder, Placement, Reason, RequestId, RequestSpec, Tier, TierConfig, WorkerId,
    Yielding,
};

fn tier(name: &str) -> TierConfig {
    TierConfig::new(name).hold_window(Duration::ZERO)
}

fn two_tiers(batch: TierConfig) -> ConfigBuilder {
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(tier("urgent")).tier(batch);
    config.min_run(Duration::ZERO)
}

/// A worker of 100 blocks, and these on it.
fn worker_with<const N: usize>(
    config: ConfigBuilder,
    requests: [(Tier, [u64; 2]); N],
) -> (World, [RequestId; N]) {
    let mut world = World::with_workers(config, 1, [10, 100]);
    let ids = requests.map(|(tier, units)| world.submit(tier, units));
    assert_eq!(starts(&world.round()).len(), N);
    (world, ids)
}

fn grows(world: &mut World, id: RequestId, blocks: u64) {
    world.progress(id, 1, [1, blocks]);
}

fn stops(world: &World, id: RequestId) -> Action {
    world.preempt(id, None, Reason::OutOfMemory)
}

#[test]
fn the_least_urgent_stop_first_then_the_newest_start_then_the_latest_arrival() {
    let batch = (Tier::P1, [1, 10]);
    let (mut world, [urgent, first, second]) =
        worker_with(two_tiers(tier("batch")), [(Tier::P0, [1, 50]), batch, batch]);
    world.pass(Duration::from_secs(1));
    let later = world.submit(Tier::P0, [1, 10]);
    world.round();
    world.preempted(first, 0);
    world.round();
    grows(&mut world, urgent, 90);
    let expected = [first, second].map(|id| stops(&world, id));
    assert_eq!(world.round(), expected, "the first started anew, and later");
    grows(&mut world, urgent, 91);
    assert_eq!(world.round(), [stops(&world, later)]);
}

#[test]
fn who_borrows_stops_before_who_is_within_a_reserve() {
    for (reserve, borrower) in [(0, 1), (400_000, 0)] {
        let config = two_tiers(tier("batch").reserve_ppm(reserve));
        let (mut world, ids) = worker_with(config, [(Tier::P0, [1, 60]), (Tier::P1, [1, 40])]);
        grows(&mut world, ids[0], 61);
        assert_eq!(world.round(), [stops(&world, ids[borrower])], "{reserve} ppm for the less urgent");
    }
}

#[test]
fn who_uses_nothing_of_what_is_short_goes_on() {
    let requests = [(Tier::P1, [1, 60]), (Tier::P1, [1, 40]), (Tier::P1, [1, 0])];
    let (mut world, [old, new, _]) = worker_with(two_tiers(tier("batch")), requests);
    grows(&mut world, old, 61);
    assert_eq!(world.round(), [stops(&world, new)]);
}

#[test]
fn what_stops_already_is_not_missed_again() {
    let (mut world, [first, second, third]) = worker_with(two_tiers(tier("batch")), [(Tier::P1, [1, 30]); 3]);
    grows(&mut world, first, 41);
    assert_eq!(world.round(), [stops(&world, third)]);
    grows(&mut world, first, 70);
    assert_eq!(world.round(), [], "130 less the 30 that are given back");
    grows(&mut world, first, 71);
    assert_eq!(world.round(), [stops(&world, second)]);
}

#[test]
fn the_workers_are_relieved_in_their_order() {
    let config = two_tiers(tier("batch")).placement(Placement::Spread);
    let mut world = World::with_workers(config, 2, [2, 100]);
    let ids = world.submit_many(4, Tier::P1, [1, 40]);
    world.round();
    grows(&mut world, ids[1], 61);
    grows(&mut world, ids[0], 61);
    let expected = [stops(&world, ids[2]), stops(&world, ids[3])];
    assert_eq!(world.round(), expected);
}

#[test]
fn a_draining_worker_is_left_alone() {
    for drains_first in [true, false] {
        let (mut world, [first, _]) = worker_with(two_tiers(tier("batch")), [(Tier::P1, [1, 40]); 2]);
        let drain = |world: &mut World| world.sched.worker_drain(world.now, WorkerId::new(0));
        if drains_first {
            drain(&mut world).expect("it is up");
        }
        grows(&mut world, first, 90);
        drain(&mut world).expect("it is there");
        assert_eq!(world.round(), []);
    }
}

/// The urgent one, beyond its reserve, may stop only who was never preempted.
#[test]
fn a_stop_for_memory_is_no_preemption() {
    let config = two_tiers(tier("batch")).max_preemptions(1);
    let mut world = World::with_workers(config, 1, [2, 100]);
    let [stays, stopped] = [0, 1].map(|_| world.submit(Tier::P1, [1, 40]));
    world.round();
    grows(&mut world, stays, 61);
    assert_eq!(world.round(), [stops(&world, stopped)]);
    world.preempted(stopped, 0);
    grows(&mut world, stays, 40);
    assert_eq!(starts(&world.round()), [stopped]);
    let urgent = world.submit(Tier::P0, [1, 10]);
    let asked = world.preempt(stopped, Some(urgent), Reason::Urgent);
    assert_eq!(world.round(), [asked], "it has less to lose, and has not yielded yet");
}

fn never(world: &World, units: [u64; 2]) -> RequestSpec {
    world.spec(Tier::P1, units).yielding(Yielding::Never)
}

#[test]
fn who_may_yield_stops_before_who_never_does() {
    let (mut world, [yields]) = worker_with(two_tiers(tier("batch")), [(Tier::P0, [1, 50])]);
    let newest = world.submit_spec(never(&world, [1, 50]));
    world.round();
    grows(&mut world, newest, 51);
    assert_eq!(world.round(), [stops(&world, yields)]);
}

#[test]
fn who_never_yields_is_aborted_where_nobody_else_can_stop() {
    let mut world = World::with_workers(two_tiers(tier("batch")), 1, [10, 100]);
    let [first, newest] = [0, 1].map(|_| world.submit_spec(never(&world, [1, 50])));
    world.round();
    grows(&mut world, first, 51);
    let (attempt, reason) = (world.attempt(newest), Reason::OutOfMemory);
    assert_eq!(world.round(), [Action::Abort { request: newest, attempt, reason }]);
    world.sched.failed(world.now, newest, attempt).expect("it was to stop");
    world.check();
    assert_eq!(world.round(), []);
    assert_eq!(world.sched.stats().failed, 1);
}
