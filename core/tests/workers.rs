//! Workers that grow and shrink, and what their engines say they use in all.

mod common;

use common::{POOL, World, first_start, starts, three_tiers};
use tidegate::{
    Config, ConfigBuilder, DeviceSpec, Instant, Ppm, Reason, RequestState, Shrink, SubmitError, Tier,
    TierConfig, WorkerId, WorkerSpec,
};

const W0: WorkerId = WorkerId::new(0);

fn one_tier() -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("only"))
}

fn one_worker() -> World {
    World::with_workers(one_tier(), 1, [4, 100])
}

fn resize(world: &mut World, capacity: [u64; 2], shrink: Shrink) {
    world.sched.worker_resize(world.now, W0, capacity.into(), shrink).expect("it is up");
    world.check();
}

/// The engine says what it uses in all.
fn says(world: &mut World, in_use: [u64; 2]) {
    world.sched.worker_usage(world.now, W0, in_use.into()).expect("it is up");
    world.check();
}

#[test]
fn a_worker_that_grows_takes_more_at_once() {
    let mut world = one_worker();
    let ids = world.submit_many(7, Tier::P0, [1, 10]);
    assert_eq!(starts(&world.round()), ids[..4]);
    resize(&mut world, [6, 100], Shrink::Drain);
    let borrowed = |index: usize| first_start(ids[index], W0, Reason::Borrowed);
    assert_eq!(world.round(), [borrowed(4), borrowed(5)]);
}

#[test]
fn reserves_follow_the_capacity() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 100]);
    let batch = world.submit_many(20, Tier::P2, [1, 1]);
    world.round();
    resize(&mut world, [20, 200], Shrink::Drain);
    assert_eq!(world.sched.effective_reserve(POOL, Tier::P0), Some([6, 60].into()));
    assert_eq!(starts(&world.round()), batch[10..]);
    let urgent = world.submit(Tier::P0, [6, 6]);
    let expected: Vec<_> =
        batch[..6].iter().map(|&victim| world.preempt(victim, Some(urgent), Reason::Reclaim)).collect();
    assert_eq!(world.round(), expected, "six of twenty are guaranteed now");
}

#[test]
fn a_worker_that_shrinks_stops_nothing_and_starts_nothing_while_more_is_used() {
    let mut world = one_worker();
    let ids = world.submit_many(6, Tier::P0, [1, 10]);
    world.round();
    resize(&mut world, [2, 100], Shrink::Drain);
    assert_eq!(world.round(), []);
    for &id in &ids[..2] {
        world.complete(id);
        assert_eq!(world.round(), [], "two and more are used");
    }
    world.complete(ids[2]);
    assert_eq!(world.round(), [first_start(ids[4], W0, Reason::Borrowed)]);
}

/// 100 blocks are used, 60 are left: 40 too many are borne, then 20, and then no more than 20.
#[test]
fn the_overuse_that_is_tolerated_shrinks_with_it() {
    let mut world = one_worker();
    let [first, grows, newest] = [[1, 20], [1, 40], [1, 40]].map(|demand| world.submit(Tier::P0, demand));
    world.round();
    resize(&mut world, [4, 60], Shrink::Drain);
    world.complete(first);
    assert_eq!(world.round(), []);
    world.progress(grows, 1, [1, 41]);
    assert_eq!(world.round(), [world.preempt(newest, None, Reason::OutOfMemory)]);
}

#[test]
fn a_worker_that_shrinks_to_preempt_stops_the_newest_when_the_time_is_up() {
    let mut world = one_worker();
    let old = world.submit_many(2, Tier::P0, [1, 10]);
    world.round();
    world.pass(std::time::Duration::from_secs(1));
    let new = world.submit_many(2, Tier::P0, [1, 10]);
    world.round();
    resize(&mut world, [1, 100], Shrink::Preempt { after_ns: 5_000_000_000 });
    assert_eq!(world.round(), []);
    assert_eq!(world.sched.poll_timeout(), Some(Instant::from_nanos(6_000_000_000)));
    world.now = Instant::from_nanos(5_999_999_999);
    assert_eq!(world.round(), [], "not 1 ns before");
    world.now = Instant::from_nanos(6_000_000_000);
    let stops = |id| world.preempt(id, None, Reason::OutOfMemory);
    let expected = [stops(new[1]), stops(new[0]), stops(old[1])];
    assert_eq!(world.round(), expected);
}

#[test]
fn a_second_resize_replaces_what_the_first_tolerated() {
    let mut world = one_worker();
    let ids = world.submit_many(4, Tier::P0, [1, 10]);
    world.round();
    resize(&mut world, [3, 100], Shrink::Preempt { after_ns: 1_000_000_000 });
    resize(&mut world, [3, 100], Shrink::Drain);
    world.now = Instant::from_nanos(9_000_000_000);
    assert_eq!(world.round(), [], "for good");
    resize(&mut world, [3, 100], Shrink::Preempt { after_ns: 0 });
    assert_eq!(world.round(), [world.preempt(ids[3], None, Reason::OutOfMemory)]);
}

#[test]
fn what_a_shrunken_worker_holds_no_more_is_parked_until_it_grows() {
    let mut world = one_worker();
    world.submit(Tier::P0, [1, 60]);
    let large = world.submit(Tier::P0, [1, 80]);
    world.round();
    resize(&mut world, [4, 70], Shrink::Drain);
    assert_eq!(world.state(large), RequestState::Parked);
    let small = world.submit(Tier::P0, [1, 10]);
    assert_eq!(starts(&world.round()), [small], "it blocks nobody");
    let refused = world.sched.submit(world.now, world.spec(Tier::P0, [1, 71]));
    assert_eq!(refused, Err(SubmitError::NeverFits { dimension: 1, need: 71, max: 70 }));
    resize(&mut world, [4, 150], Shrink::Drain);
    assert_eq!(world.round(), [first_start(large, W0, Reason::Borrowed)]);
}

#[test]
fn what_the_engine_uses_beyond_its_requests_is_not_free_and_is_no_tiers() {
    let mut world = one_worker();
    world.submit(Tier::P0, [1, 40]);
    world.round();
    says(&mut world, [1, 70]);
    let large = world.submit(Tier::P0, [1, 31]);
    let fits = world.submit(Tier::P0, [1, 30]);
    assert_eq!(world.round(), [first_start(fits, W0, Reason::Borrowed)]);
    assert_eq!(world.sched.in_use(POOL, Tier::P0), Some([2, 70].into()));
    assert_eq!(world.state(large), RequestState::Queued);
}

#[test]
fn blocks_that_requests_share_count_once() {
    let mut world = one_worker();
    world.submit_many(2, Tier::P0, [1, 40]);
    world.round();
    says(&mut world, [2, 50]);
    let large = world.submit(Tier::P0, [1, 51]);
    let fits = world.submit(Tier::P0, [1, 50]);
    assert_eq!(world.round(), [first_start(fits, W0, Reason::Borrowed)]);
    assert_eq!(world.state(large), RequestState::Queued);
}

/// 10 blocks more than the requests' 40, then than their 60, then than their 40.
#[test]
fn what_requests_change_after_a_report_counts_on_top_of_it() {
    let mut world = one_worker();
    let [grows, ends] = world.submit_many(2, Tier::P0, [1, 20])[..] else { unreachable!() };
    world.round();
    says(&mut world, [2, 50]);
    world.progress(grows, 1, [1, 40]);
    let waits = world.submit(Tier::P0, [1, 31]);
    assert_eq!(world.round(), []);
    world.complete(ends);
    assert_eq!(world.round(), [first_start(waits, W0, Reason::Borrowed)]);
    let next = world.submit_many(2, Tier::P0, [1, 19]);
    assert_eq!(
        world.round(),
        [first_start(next[0], W0, Reason::Borrowed)],
        "40, 31, 19 and 10 are all there is"
    );
}

#[test]
fn a_report_holds_until_the_next() {
    let mut world = one_worker();
    world.submit(Tier::P0, [1, 40]);
    world.round();
    says(&mut world, [1, 70]);
    let waits = world.submit(Tier::P0, [1, 60]);
    assert_eq!(world.round(), []);
    says(&mut world, [1, 40]);
    assert_eq!(world.round(), [first_start(waits, W0, Reason::Borrowed)]);
}

#[test]
fn a_report_holds_until_the_last_request_leaves_the_worker() {
    let mut world = one_worker();
    let runs = world.submit_many(2, Tier::P0, [1, 20]);
    world.round();
    says(&mut world, [2, 90]);
    let waits = world.submit(Tier::P0, [1, 60]);
    world.complete(runs[0]);
    assert_eq!(world.round(), [], "20 of its own and 50 of the report's");
    world.complete(runs[1]);
    assert_eq!(world.round(), [first_start(waits, W0, Reason::Borrowed)]);
}

#[test]
fn a_report_of_an_idle_worker_does_nothing() {
    let mut world = one_worker();
    says(&mut world, [0, 60]);
    let large = world.submit(Tier::P0, [1, 100]);
    assert_eq!(world.round(), [first_start(large, W0, Reason::Borrowed)]);
}

#[test]
fn an_engine_that_is_out_of_memory_is_relieved_though_its_requests_add_up_to_less() {
    let mut world = one_worker();
    let [old, new] = world.submit_many(2, Tier::P0, [1, 40])[..] else { unreachable!() };
    world.round();
    says(&mut world, [2, 100]);
    assert_eq!(world.round(), []);
    says(&mut world, [2, 101]);
    assert_eq!(world.round(), [world.preempt(new, None, Reason::OutOfMemory)]);
    world.preempted(new, 0);
    assert_eq!(world.round(), [], "61 of 100 are used, and 40 do not fit");
    assert_eq!(world.state(old), RequestState::Starting);
    says(&mut world, [1, 60]);
    assert_eq!(world.round(), [], "one block more was short than any request accounts for");
    says(&mut world, [1, 59]);
    assert_eq!(starts(&world.round()), [new]);
}

/// A worker full of these, one half of it on a device of 50 blocks, after its engine said what it uses; and the
/// largest that starts then on a slice of the same device.
fn room_beside(requests: &[[u64; 2]], in_use: [u64; 2], fits: u64) {
    let mut world = World::new(one_tier());
    let limit = DeviceSpec { limit: [0, 50].into(), checkpoint_mib: None };
    let device = world.sched.device_add(world.now, limit).expect("a valid device");
    let spans = WorkerSpec::new([requests.len() as u64, 100]).on_part(device, Ppm::new(500_000));
    world.sched.worker_add(world.now, spans).expect("a valid worker");
    for &demand in requests {
        world.submit(Tier::P0, demand);
    }
    world.round();
    says(&mut world, in_use);
    let slice = WorkerSpec::new([4, 50]).on(device);
    let slice = world.sched.worker_add(world.now, slice).expect("a valid slice");
    world.submit(Tier::P0, [1, fits + 1]);
    let fits = world.submit(Tier::P0, [1, fits]);
    assert_eq!(world.round(), [first_start(fits, slice, Reason::Borrowed)]);
}

#[test]
fn a_report_counts_on_the_devices_by_its_part_rounded_up() {
    room_beside(&[[1, 20]], [1, 51], 50 - 10 - 16);
    room_beside(&[[1, 21], [1, 21]], [2, 11], 50 - 11 - 11 + 15);
}
