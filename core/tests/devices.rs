//! Devices: what workers share, and fail with.

mod common;

use core::time::Duration;

use common::{POOL, World, first_start, starts, three_tiers, victims};
use tidegate::{
    Action, Attempt, Config, ConfigBuilder, DeviceId, DeviceSpec, Instant, Placement, Ppm, Reason, RequestId,
    RequestState, Shrink, SubmitError, Tier, TierConfig, WorkerError, WorkerId, WorkerSpec, Yielding,
};

const W0: WorkerId = WorkerId::new(0);
const W1: WorkerId = WorkerId::new(1);
const HALF: Ppm = Ppm::new(500_000);

fn one_tier() -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("only"))
}

fn device(world: &mut World, limit: [u64; 2]) -> DeviceId {
    let spec = DeviceSpec { limit: limit.into(), checkpoint_mib: None };
    world.sched.device_add(world.now, spec).expect("a valid device")
}

fn add(world: &mut World, spec: WorkerSpec) -> WorkerId {
    world.sched.worker_add(world.now, spec).expect("a valid worker")
}

fn resize(world: &mut World, device: DeviceId, limit: [u64; 2], shrink: Shrink) {
    world.sched.device_resize(world.now, device, limit.into(), shrink).expect("it is there");
    world.check();
}

/// Two slices of this capacity each, on one device.
fn two_slices(config: ConfigBuilder, limit: [u64; 2], capacity: [u64; 2]) -> (World, DeviceId) {
    let mut world = World::new(config);
    let device = device(&mut world, limit);
    for _ in 0..2 {
        add(&mut world, WorkerSpec::new(capacity).on(device));
    }
    (world, device)
}

#[test]
fn a_full_device_takes_nothing_though_its_slices_look_half_empty() {
    let (mut world, _) = two_slices(one_tier().placement(Placement::Spread), [4, 0], [4, 100]);
    let ids = world.submit_many(5, Tier::P0, [1, 10]);
    let borrowed = |index: usize, worker| first_start(ids[index], worker, Reason::Borrowed);
    assert_eq!(world.round(), [borrowed(0, W0), borrowed(1, W1), borrowed(2, W0), borrowed(3, W1)]);
    world.complete(ids[2]);
    assert_eq!(world.round(), [borrowed(4, W0)]);
}

#[test]
fn a_limit_of_zero_is_none() {
    let (mut world, _) = two_slices(one_tier(), [0, 100], [4, 100]);
    let ids = world.submit_many(9, Tier::P0, [1, 10]);
    assert_eq!(starts(&world.round()), ids[..8], "8 slots are there, and 100 blocks for 80");
}

/// Half of 3 blocks is 2 on each device: five requests fill its 10, and 15 of the worker's 20.
#[test]
fn a_worker_takes_its_part_of_each_of_its_devices_rounded_up_for_each_request() {
    let mut world = World::new(one_tier());
    let [first, second] = [0, 1].map(|_| device(&mut world, [0, 10]));
    add(&mut world, WorkerSpec::new([10, 20]).on_part(first, HALF).on_part(second, HALF));
    let ids = world.submit_many(6, Tier::P0, [1, 3]);
    assert_eq!(starts(&world.round()), ids[..5]);
    world.submit(Tier::P0, [1, 1]);
    world.complete(ids[0]);
    assert_eq!(starts(&world.round()), [ids[5]], "and half a block is one too many again");
}

#[test]
fn what_a_worker_could_hold_is_what_its_devices_let_it() {
    let mut world = World::new(one_tier());
    let [first, second] = [0, 1].map(|_| device(&mut world, [0, 12]));
    add(&mut world, WorkerSpec::new([4, 100]).on_part(first, HALF).on_part(second, HALF));
    let refused = world.sched.submit(world.now, world.spec(Tier::P0, [1, 25]));
    assert_eq!(refused, Err(SubmitError::NeverFits { dimension: 1, need: 25, max: 24 }));
    let largest = world.submit(Tier::P0, [1, 24]);
    assert_eq!(world.round(), [first_start(largest, W0, Reason::Borrowed)]);
}

#[test]
fn reserves_are_shares_of_what_the_devices_have() {
    let (world, _) = two_slices(three_tiers(), [4, 24], [4, 24]);
    let reserve = |tier| world.sched.effective_reserve(POOL, tier);
    assert_eq!(reserve(Tier::P0), Some([2, 8].into()), "30 % of 4 and of 24, rounded up");
    assert_eq!(reserve(Tier::P2), Some([1, 2].into()), "5 %");
}

/// The first slice is out of blocks too: there it would take two victims.
#[test]
fn a_victim_may_be_on_another_slice_of_the_device_that_is_short() {
    let (mut world, _) = two_slices(three_tiers(), [4, 0], [4, 40]);
    let batch = world.submit_many(4, Tier::P2, [1, 10]);
    world.round();
    assert!(batch.iter().all(|&id| world.worker_of(id) == Some(W0)), "they are packed");
    let urgent = world.submit(Tier::P0, [1, 15]);
    assert_eq!(world.round(), [world.preempt(batch[0], Some(urgent), Reason::Reclaim)]);
    world.preempted(batch[0], 0);
    assert_eq!(world.round(), [first_start(urgent, W1, Reason::Reclaimed)]);
}

#[test]
fn workers_of_several_pools_do_not_share_what_a_device_has_too_little_of() {
    let mut world = World::new(one_tier().pools(["a", "b"]));
    let (a, b) = (POOL, tidegate::PoolId::new(1));
    let device = device(&mut world, [8, 100]);
    add(&mut world, WorkerSpec::new([4, 50]).pool(a).on(device));
    let refused = Err(WorkerError::SharedAcrossPools { device, pool: a });
    assert_eq!(world.sched.worker_add(world.now, WorkerSpec::new([5, 50]).pool(b).on(device)), refused);
    add(&mut world, WorkerSpec::new([4, 50]).pool(b).on(device));
    let less = world.sched.device_resize(world.now, device, [7, 100].into(), Shrink::Drain);
    assert!(matches!(less, Err(WorkerError::SharedAcrossPools { .. })), "{less:?}");
    let more = world.sched.worker_resize(world.now, W1, [4, 51].into(), Shrink::Drain);
    assert_eq!(more, Err(WorkerError::SharedAcrossPools { device, pool: a }));
    world.check();
}

#[test]
fn a_device_that_shrinks_stops_nothing_and_starts_nothing_while_more_is_used() {
    let (mut world, device) = two_slices(one_tier(), [4, 0], [4, 100]);
    let ids = world.submit_many(6, Tier::P0, [1, 10]);
    world.round();
    resize(&mut world, device, [2, 0], Shrink::Drain);
    assert_eq!(world.round(), []);
    for &id in &ids[..2] {
        world.complete(id);
        assert_eq!(world.round(), [], "two and more are used");
    }
    world.complete(ids[2]);
    assert_eq!(starts(&world.round()), [ids[4]]);
}

#[test]
fn a_device_that_shrinks_to_preempt_stops_the_newest_when_the_time_is_up() {
    let (mut world, device) = two_slices(one_tier(), [4, 0], [4, 100]);
    let ids = world.submit_many(4, Tier::P0, [1, 10]);
    world.round();
    resize(&mut world, device, [2, 0], Shrink::Preempt { after_ns: 5_000_000_000 });
    assert_eq!(world.round(), []);
    assert_eq!(world.sched.poll_timeout(), Some(Instant::from_nanos(5_000_000_000)));
    world.now = Instant::from_nanos(4_999_999_999);
    assert_eq!(world.round(), [], "not 1 ns before");
    world.now = Instant::from_nanos(5_000_000_000);
    let stops = |index: usize| world.preempt(ids[index], None, Reason::OutOfMemory);
    let expected = [stops(3), stops(2)];
    assert_eq!(world.round(), expected, "all started at once: the latest arrival first");
}

#[test]
fn a_device_that_grows_takes_more_at_once() {
    let (mut world, device) = two_slices(one_tier(), [4, 0], [4, 100]);
    let ids = world.submit_many(7, Tier::P0, [1, 10]);
    world.round();
    resize(&mut world, device, [6, 0], Shrink::Drain);
    let borrowed = |index: usize| first_start(ids[index], W1, Reason::Borrowed);
    assert_eq!(world.round(), [borrowed(4), borrowed(5)]);
}

#[test]
fn a_device_whose_requests_outgrew_it_is_relieved_though_each_worker_has_room() {
    let (mut world, _) = two_slices(one_tier().placement(Placement::Spread), [0, 100], [4, 100]);
    let [grows, newest] = world.submit_many(2, Tier::P0, [1, 40])[..] else { unreachable!() };
    world.round();
    world.progress(grows, 1, [1, 60]);
    assert_eq!(world.round(), [], "100 of 100");
    world.progress(grows, 2, [1, 61]);
    assert_eq!(world.round(), [world.preempt(newest, None, Reason::OutOfMemory)]);
}

#[test]
fn a_lost_device_takes_its_workers_along() {
    let (mut world, device) = two_slices(one_tier(), [0, 0], [1, 100]);
    let first = world.submit(Tier::P0, [1, 10]);
    let never = world.submit_spec(world.spec(Tier::P0, [1, 10]).yielding(Yielding::Never));
    world.round();
    let elsewhere = world.worker([4, 100]);
    let third = world.submit(Tier::P0, [1, 10]);
    world.round();
    world.sched.device_lost(world.now, device).expect("it was there");
    world.running.retain(|_, &mut (_, on)| on == elsewhere);
    world.check();
    let again = Action::Start {
        request: first,
        attempt: Attempt::new(2),
        worker: elsewhere,
        resume_tokens: 0,
        reason: Reason::Borrowed,
    };
    assert_eq!(world.round(), [Action::Drop { request: never, reason: Reason::WorkerLost }, again]);
    assert_eq!(world.state(third), RequestState::Starting, "it runs on another device");
    for worker in [W0, W1] {
        assert_eq!(world.sched.worker_drain(world.now, worker), Err(WorkerError::Lost(worker)));
    }
    let late = world.sched.worker_add(world.now, WorkerSpec::new([1, 1]).on(device));
    assert_eq!(late, Err(WorkerError::DeviceLost(device)));
}

/// Two cards of four slices each, whose processes one MPS server runs on each; on the first somebody of each kind.
fn two_servers() -> (World, [DeviceId; 2]) {
    let mut world = World::new(one_tier().placement(Placement::Spread));
    let devices = [0, 1].map(|_| device(&mut world, [4, 0]));
    for device in devices {
        for _ in 0..4 {
            add(&mut world, WorkerSpec::new([1, 100]).on(device));
        }
    }
    (world, devices)
}

/// A client that faults ends its device's MPS server, and with it every client of that device.
#[test]
fn an_mps_server_that_dies_ends_its_own_clients_alone() {
    let (mut world, [first, _]) = two_servers();
    let ways = [Yielding::Restart, Yielding::Checkpoint, Yielding::Never, Yielding::Restart];
    let specs: Vec<_> =
        ways.iter().cycle().take(8).map(|&way| world.spec(Tier::P0, [1, 10]).yielding(way)).collect();
    let ids: Vec<_> = specs.into_iter().map(|spec| world.submit_spec(spec)).collect();
    world.round();
    for (&id, tokens) in ids.iter().zip(5..) {
        world.progress(id, tokens, [1, 10]);
    }
    let (here, there) = ids.split_at(4);
    let before: Vec<_> = there.iter().map(|&id| (world.running[&id], world.state(id))).collect();

    world.sched.device_lost(world.now, first).expect("it was there");
    world.running.retain(|id, _| there.contains(id));
    world.check();
    let lost = world.round();
    assert_eq!(lost, [Action::Drop { request: here[2], reason: Reason::WorkerLost }]);
    assert_eq!(world.sched.stats().failed, 1);
    let after: Vec<_> = there.iter().map(|&id| (world.running[&id], world.state(id))).collect();
    assert_eq!(after, before, "the other device does not notice");
    assert!([0, 1, 3].iter().all(|&at| world.state(here[at]) == RequestState::Queued));

    // The server is there again, as a device of its own, and those who can start over do, in their order.
    let again = device(&mut world, [4, 0]);
    for _ in 0..4 {
        add(&mut world, WorkerSpec::new([1, 100]).on(again));
    }
    assert_eq!(starts(&world.round()), [here[0], here[1], here[3]]);
    let attempts: Vec<_> = ids.iter().filter_map(|id| world.running.get(id).map(|run| run.0.get())).collect();
    assert_eq!(attempts, [2, 2, 2, 1, 1, 1, 1]);
    let left: Vec<_> = world.running.keys().copied().collect();
    left.into_iter().for_each(|id| world.complete(id));
    let stats = world.sched.stats();
    assert_eq!((stats.completed, stats.failed, stats.live), (7, 1, 0), "nothing is lost, nothing runs twice");
}

/// What a request had kept before it started on the device is what it goes on with elsewhere.
#[test]
fn a_checkpoint_outlives_the_server_that_dies_later() {
    let mut world = World::new(three_tiers());
    let [first, second] = [0, 1].map(|_| device(&mut world, [1, 0]));
    let on_first = add(&mut world, WorkerSpec::new([1, 100]).on(first));
    let batch = world.submit_spec(world.spec(Tier::P2, [1, 10]).yielding(Yielding::Checkpoint));
    world.round();
    world.progress(batch, 50, [1, 10]);
    let urgent = world.submit(Tier::P0, [1, 10]);
    assert_eq!(victims(&world.round()), [batch]);
    world.preempted(batch, 150);
    assert_eq!(starts(&world.round()), [urgent]);
    world.complete(urgent);
    assert_eq!(starts(&world.round()), [batch]);
    assert_eq!(world.worker_of(batch), Some(on_first));
    world.progress(batch, 70, [1, 10]);
    world.sched.device_lost(world.now, first).expect("it was there");
    world.running.clear();
    let on_second = add(&mut world, WorkerSpec::new([1, 100]).on(second));
    let again = Action::Start {
        request: batch,
        attempt: Attempt::new(3),
        worker: on_second,
        resume_tokens: 150,
        reason: Reason::Borrowed,
    };
    assert_eq!(world.round(), [again]);
}

/// What keeps a request off each of them is what runs on the others: starts there would keep it off for ever.
#[test]
fn replicas_that_could_each_have_all_of_a_device_are_kept_clear_together() {
    let mut world = World::new(one_tier());
    let card = device(&mut world, [8, 0]);
    for _ in 0..4 {
        add(&mut world, WorkerSpec::new([8, 100]).on(card));
    }
    let small = world.submit_many(8, Tier::P0, [1, 1]);
    assert_eq!(starts(&world.round()), small);
    let head = world.submit(Tier::P0, [8, 1]);
    let later = world.submit_many(16, Tier::P0, [1, 1]);
    assert_eq!(world.round(), []);
    for &id in &small[..7] {
        world.pass(Duration::from_secs(3));
        assert_eq!(world.round(), [], "a replica is drained for the one of 8, and its card with it");
        world.complete(id);
    }
    world.pass(Duration::from_secs(3));
    assert_eq!(world.round(), []);
    let next = world.sched.poll_timeout().expect("it gives up some day");
    assert!(next > world.now.plus_nanos(60_000_000_000), "it looks again and again: {next:?}");
    world.complete(small[7]);
    assert_eq!(starts(&world.round()), [head]);
    world.complete(head);
    assert_eq!(starts(&world.round()), later[..8]);
}

/// The other card is open to whoever fits there.
#[test]
fn a_drain_is_laid_on_the_emptiest_device_and_leaves_the_others_alone() {
    let mut world = World::new(one_tier());
    let cards = [0, 1].map(|_| device(&mut world, [8, 0]));
    let [_, _, third, fourth] =
        [0, 0, 1, 1].map(|card| add(&mut world, WorkerSpec::new([8, 6]).on(cards[card])));
    let small = world.submit_many(14, Tier::P0, [1, 1]);
    assert_eq!(starts(&world.round()), small);
    world.submit(Tier::P0, [8, 1]);
    world.round();
    world.pass(Duration::from_secs(3));
    assert_eq!(world.round(), [], "the card with six is drained");
    let later = world.submit_many(4, Tier::P0, [1, 1]);
    assert_eq!(world.round(), [], "it has room for two, which wait");
    world.complete(small[0]);
    assert_eq!(starts(&world.round()), later[..1], "the other card is not");
    let is_on_first = |&id: &RequestId| ![third, fourth].contains(&world.worker_of(id).expect("it runs"));
    assert!(is_on_first(&later[0]));
}

/// A replica on which nothing runs is as full as its card.
#[test]
fn who_packs_fills_the_fuller_device() {
    let mut world = World::new(one_tier().placement(Placement::Pack));
    let cards = [0, 1].map(|_| device(&mut world, [4, 0]));
    let [first, second, third, _] =
        [0, 0, 1, 1].map(|card| add(&mut world, WorkerSpec::new([4, 3]).on(cards[card])));
    let ids = [[3, 3], [2, 1], [1, 1]].map(|demand| world.submit(Tier::P0, demand));
    world.round();
    let workers = ids.map(|id| world.worker_of(id));
    assert_eq!(workers, [first, third, second].map(Some), "a slot was left on the first card");
}

/// Where a device has as much as its workers advertise, what runs on one keeps nobody off another: a drain leaves that alone.
#[test]
fn a_drain_leaves_the_others_of_a_device_alone_that_cannot_run_short() {
    for (limit, starts_beside) in [(8, true), (7, false)] {
        let (mut world, _) = two_slices(one_tier(), [limit, 0], [4, 100]);
        let small = world.submit_many(6, Tier::P0, [1, 1]);
        assert_eq!(starts(&world.round()), small);
        world.submit(Tier::P0, [4, 1]);
        world.round();
        world.pass(Duration::from_secs(3));
        assert_eq!(world.round(), [], "a worker is drained for the one of 4");
        for worker in [W0, W1] {
            let ends = small.iter().copied().find(|&id| world.worker_of(id) == Some(worker));
            world.complete(ends.expect("some run on each"));
        }
        let next = world.submit(Tier::P0, [1, 1]);
        assert_eq!(starts(&world.round()) == [next], starts_beside, "with a limit of {limit}");
    }
}
