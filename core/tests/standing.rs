//! Which workers serve: kinds and the faults they share, workers that are lost again and again, spares.

mod common;

use std::time::Duration;

use common::{POOL, World, starts};
use tidegate::{
    Action, Config, ConfigBuilder, DeviceId, DeviceSpec, Explanation, Gate, Instant, PoolId, Reason,
    RequestId, RequestState, Resources, Sharing, SubmitError, Tier, TierConfig, WorkerError, WorkerId,
    WorkerKind, WorkerSpec, Yielding,
};

const SECOND: Duration = Duration::from_secs(1);
const CAPACITY: [u64; 2] = [2, 100];

fn one_tier() -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("only"))
}

fn add(world: &mut World, spec: WorkerSpec) -> WorkerId {
    let id = world.sched.worker_add(world.now, spec).expect("a valid worker");
    world.check();
    id
}

fn device(world: &mut World) -> DeviceId {
    world.sched.device_add(world.now, DeviceSpec::default()).expect("a valid device")
}

fn plain() -> WorkerSpec {
    WorkerSpec::new(CAPACITY)
}

/// C, in slots: what the only tier could be guaranteed.
fn slots(world: &World) -> u64 {
    world.sched.effective_reserve(POOL, Tier::P0).expect("there is a tier")[0]
}

fn all_reserved() -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("only").reserve_ppm(1_000_000))
}

fn is_lost(world: &mut World, id: WorkerId) -> bool {
    world.sched.worker_resize(world.now, id, CAPACITY.into(), tidegate::Shrink::Drain)
        == Err(WorkerError::Lost(id))
}

fn explain(world: &World, id: RequestId) -> Explanation {
    world.sched.explain(id).expect("it lives")
}

#[test]
fn kinds_say_what_they_isolate() {
    let isolates =
        |kind: &WorkerKind| (kind.isolates_compute(), kind.isolates_memory(), kind.isolates_faults());
    let table: Vec<_> = WorkerKind::ALL.iter().map(|kind| (kind.to_string(), isolates(kind))).collect();
    let expected = [
        ("dedicated".to_string(), (true, true, true)),
        ("time-slice".to_string(), (false, false, true)),
        ("mps".to_string(), (false, false, false)),
        ("mig".to_string(), (true, true, true)),
    ];
    assert_eq!(table, expected);
}

/// Of two devices with clients and another worker each, one client dies.
#[test]
fn a_client_that_dies_takes_the_clients_of_its_server_along_and_nobody_else() {
    let mut world = World::new(one_tier());
    let [here, there] = [device(&mut world), device(&mut world)];
    let on = |device, kind| plain().kind(kind).on(device);
    let specs = [
        on(here, WorkerKind::Mps),
        on(here, WorkerKind::Mps),
        on(here, WorkerKind::TimeSlice),
        on(there, WorkerKind::Mps),
        plain().kind(WorkerKind::Mps),
    ];
    let ids = specs.map(|spec| add(&mut world, spec));
    let requests = world.submit_many(10, Tier::P0, [1, 10]);
    assert_eq!(starts(&world.round()).len(), 10);
    world.lost(ids[1]);
    assert_eq!(ids.map(|id| is_lost(&mut world, id)), [true, true, false, false, false]);
    let waiting = requests
        .iter()
        .filter(|&&id| world.state(id) == RequestState::Queued || world.state(id) == RequestState::Parked);
    assert_eq!(waiting.count(), 4, "those of both clients, and no others");
    let back = add(&mut world, plain().kind(WorkerKind::Mps).on(here).replaces(ids[0]));
    assert!(!is_lost(&mut world, back), "the device itself is there");
}

/// Who hears of one death only is told of the others, by number, before what becomes of those that ran there.
#[test]
fn those_that_go_with_a_client_are_named() {
    let mut world = World::new(one_tier());
    let device = device(&mut world);
    let ids = [0; 3].map(|_| add(&mut world, plain().kind(WorkerKind::Mps).on(device)));
    let stays = add(&mut world, plain());
    let spec = world.spec(Tier::P0, [2, 10]);
    let requests = [spec, spec.yielding(Yielding::Never), spec, spec].map(|spec| world.submit_spec(spec));
    assert_eq!(starts(&world.round()), requests);
    world.lost(ids[1]);
    let reason = Reason::WorkerLost;
    let also = |worker| Action::AlsoLost { worker, by: ids[1], reason };
    let expected = [also(ids[0]), also(ids[2]), Action::Drop { request: requests[1], reason }];
    assert_eq!(world.round(), expected);
    world.lost(stays);
    assert!(!world.round().iter().any(|action| matches!(action, Action::AlsoLost { .. })), "it was alone");
}

#[test]
fn who_shares_no_faults_dies_alone() {
    for kind in [WorkerKind::Dedicated, WorkerKind::TimeSlice, WorkerKind::Mig] {
        let mut world = World::new(one_tier());
        let device = device(&mut world);
        let [one, other] = [0, 1].map(|_| add(&mut world, plain().kind(kind).on(device)));
        world.lost(one);
        assert!(!is_lost(&mut world, other), "{kind:?}");
    }
}

/// Whoever was sent away and has ended what it ran says good-bye: no server died of it.
#[test]
fn a_client_that_says_goodbye_takes_nobody_along() {
    let mut world = World::new(one_tier());
    let device = device(&mut world);
    let [leaves, stays] = [0, 1].map(|_| add(&mut world, plain().kind(WorkerKind::Mps).on(device)));
    world.sched.worker_drain(world.now, leaves).expect("it is up");
    world.lost(leaves);
    assert!(!is_lost(&mut world, stays));
    let back = add(&mut world, plain().kind(WorkerKind::Mps).on(device).replaces(leaves));
    world.submit_many(3, Tier::P0, [1, 10]);
    world.round();
    world.sched.worker_drain(world.now, back).expect("it is up");
    world.lost(back);
    assert!(is_lost(&mut world, stays), "it ran something when it went");
}

#[test]
fn one_that_is_lost_again_and_again_is_kept_out_for_longer_and_longer() {
    let mut world = World::new(all_reserved());
    let mut id = add(&mut world, plain());
    let request = world.submit(Tier::P0, [1, 10]);
    for seconds in [0, 10, 20, 40, 80, 160, 300, 300] {
        world.lost(id);
        let lost_at = world.now;
        id = add(&mut world, plain().replaces(id));
        let open_at = lost_at + SECOND * seconds;
        if seconds > 0 {
            world.round();
            assert_eq!(slots(&world), 0, "it is no part of what the pool has");
            let told = explain(&world, request);
            assert_eq!((told.gate, told.starts_at), (Some(Gate::KeptOut), Some(open_at)));
            assert_eq!(world.sched.poll_timeout(), Some(open_at));
            assert_eq!(world.sched.kept_out_until(id), Ok(Some(open_at)));
            world.now = Instant::from_nanos(open_at.as_nanos() - 1);
            assert_eq!(starts(&world.round()), [], "not 1 ns before");
            world.now = open_at;
        }
        assert_eq!(starts(&world.round()), [request]);
        assert_eq!(world.sched.kept_out_until(id), Ok(None));
        assert_eq!(world.worker_of(request), Some(id));
    }
}

#[test]
fn a_worker_that_served_long_enough_has_no_past() {
    let mut world = World::new(all_reserved());
    let first = add(&mut world, plain());
    world.lost(first);
    let second = add(&mut world, plain().replaces(first));
    world.pass(SECOND * 600);
    world.lost(second);
    add(&mut world, plain().replaces(second));
    assert_eq!(slots(&world), 2, "its loss counts as the first");
}

#[test]
fn who_comes_late_or_never_flapped_is_let_in_at_once() {
    let mut world = World::new(all_reserved().flap_backoff(SECOND * 5));
    let first = add(&mut world, plain());
    world.lost(first);
    let second = add(&mut world, plain().replaces(first));
    world.lost(second);
    world.pass(SECOND * 5);
    let third = add(&mut world, plain().replaces(second));
    assert_eq!(slots(&world), 2, "the time since the loss counts");
    world.sched.worker_drain(world.now, third).expect("it is up");
    world.lost(third);
    let fourth = add(&mut world, plain().replaces(third));
    assert_eq!(slots(&world), 2, "it said good-bye");
    let mut off = World::new(all_reserved().flap_backoff(Duration::ZERO));
    let mut id = add(&mut off, plain());
    for _ in 0..9 {
        off.lost(id);
        id = add(&mut off, plain().replaces(id));
        assert_eq!(slots(&off), 2, "nobody is ever kept out");
    }
    assert_eq!(slots(&world), 2, "{fourth} serves");
}

#[test]
fn only_a_lost_worker_of_the_pool_is_replaced() {
    let mut world = World::new(one_tier().pools(["one", "other"]));
    let id = add(&mut world, plain());
    let refused =
        |world: &mut World, spec| world.sched.worker_add(world.now, spec).expect_err("it is refused");
    assert_eq!(refused(&mut world, plain().replaces(id)), WorkerError::NotLost(id));
    let unknown = WorkerId::new(9);
    assert_eq!(refused(&mut world, plain().replaces(unknown)), WorkerError::UnknownWorker(unknown));
    world.lost(id);
    let elsewhere = WorkerSpec::new(CAPACITY).pool(PoolId::new(1)).replaces(id);
    assert_eq!(refused(&mut world, elsewhere), WorkerError::NotLost(id));
}

#[test]
fn a_spare_serves_when_another_is_lost_and_who_comes_back_stands_by() {
    let mut world = World::new(all_reserved());
    let serves = add(&mut world, plain());
    let spare = add(&mut world, plain().spare());
    let requests = world.submit_many(4, Tier::P0, [1, 10]);
    assert_eq!(starts(&world.round()), requests[..2], "a spare takes nothing");
    assert_eq!(slots(&world), 2);
    world.lost(serves);
    assert_eq!(starts(&world.round()), requests[..2]);
    assert_eq!(world.worker_of(requests[0]), Some(spare));
    let back = add(&mut world, plain().replaces(serves));
    assert_eq!((slots(&world), starts(&world.round()).len()), (2, 0), "there are as many as there were");
    world.lost(spare);
    world.round();
    assert_eq!(world.worker_of(requests[0]), Some(back));
}

/// One worker after the other is drained, says good-bye once what it ran has ended, and comes back, more than once round.
#[test]
fn a_rolling_restart_stops_nobody_and_keeps_nobody_out() {
    let mut world = World::new(all_reserved());
    let mut workers = [0; 4].map(|_| add(&mut world, plain()));
    let mut running = world.submit_many(8, Tier::P0, [1, 10]);
    assert_eq!(starts(&world.round()), running);
    for turn in 0..12 {
        let worker = workers[turn % 4];
        world.sched.worker_drain(world.now, worker).expect("it is up");
        let there: Vec<RequestId> =
            running.iter().copied().filter(|&id| world.worker_of(id) == Some(worker)).collect();
        assert_eq!((there.len(), slots(&world)), (2, 6));
        let waits = world.submit_many(2, Tier::P0, [1, 10]);
        assert_eq!(world.round(), [], "nobody is stopped, and nobody comes to one that goes");
        there.iter().for_each(|&id| world.complete(id));
        assert_eq!(world.round(), []);
        world.lost(worker);
        assert_eq!(world.round(), [], "nobody is there");
        workers[turn % 4] = add(&mut world, plain().replaces(worker));
        assert_eq!(world.sched.kept_out_until(workers[turn % 4]), Ok(None), "a good-bye is no loss");
        assert_eq!((starts(&world.round()), slots(&world)), (waits.clone(), 8));
        running.retain(|id| !there.contains(id));
        running.extend(waits);
    }
    running.iter().for_each(|&id| world.complete(id));
    let stats = world.sched.stats();
    assert_eq!((stats.completed, stats.failed, stats.dropped, stats.live), (32, 0, 0, 0));
}

/// A spare goes home once the worker that it stood in for is back: the drain says so, and nothing is missing meanwhile.
#[test]
fn a_spare_that_is_sent_away_makes_way_for_who_stands_by() {
    let mut world = World::new(all_reserved());
    let serves = add(&mut world, plain());
    let spare = add(&mut world, plain().spare());
    world.lost(serves);
    let back = add(&mut world, plain().replaces(serves));
    let running = world.submit(Tier::P0, [2, 10]);
    world.round();
    assert_eq!(world.worker_of(running), Some(spare));
    world.sched.worker_drain(world.now, spare).expect("it is up");
    let next = world.submit(Tier::P0, [2, 10]);
    assert_eq!(starts(&world.round()), [next]);
    assert_eq!((world.worker_of(next), slots(&world)), (Some(back), 2));
    world.complete(running);
    world.lost(spare);
    let again = add(&mut world, plain().replaces(spare));
    assert_eq!(slots(&world), 2, "its place is taken: it stands by");
    world.lost(back);
    world.round();
    assert_eq!(world.worker_of(next), Some(again));
}

#[test]
fn a_spare_that_comes_later_takes_an_open_place() {
    let mut world = World::new(all_reserved());
    let serves = add(&mut world, plain());
    world.lost(serves);
    add(&mut world, plain().spare());
    assert_eq!(slots(&world), 2);
    add(&mut world, plain().spare());
    assert_eq!(slots(&world), 2, "one place is one spare's");
}

#[test]
fn whoever_was_sent_away_or_stands_by_itself_leaves_no_place() {
    let mut world = World::new(all_reserved());
    let [drained, serves] = [0, 1].map(|_| add(&mut world, plain()));
    let [spare, other] = [0, 1].map(|_| add(&mut world, plain().spare()));
    world.sched.worker_drain(world.now, drained).expect("it is up");
    world.lost(drained);
    world.lost(spare);
    assert_eq!(slots(&world), 2);
    world.sched.worker_drain(world.now, other).expect("it stands by");
    world.lost(serves);
    assert_eq!(slots(&world), 0, "the last spare was sent away");
}

/// All workers of a device are lost, a spare with them: the spare elsewhere takes the first place.
#[test]
fn spares_come_when_all_that_is_lost_is_lost() {
    let mut world = World::new(all_reserved());
    let device = device(&mut world);
    for spec in [plain(), plain(), plain().spare()] {
        add(&mut world, spec.on(device));
    }
    let spare = add(&mut world, plain().spare());
    let request = world.submit(Tier::P0, [1, 10]);
    world.round();
    world.sched.device_lost(world.now, device).expect("it is there");
    world.running.clear();
    world.check();
    assert_eq!(starts(&world.round()), [request]);
    assert_eq!((world.worker_of(request), slots(&world)), (Some(spare), 2));
}

/// A request that fits no worker that ever served is refused at once; one whose worker is only absent waits.
#[test]
fn what_can_never_be_served_is_refused_and_what_only_misses_its_worker_waits() {
    let mut world = World::new(all_reserved());
    let spec = world.spec(Tier::P0, [5, 10]);
    add(&mut world, WorkerSpec::new([9, 100]).spare());
    let early = world.submit_spec(spec);
    let small = add(&mut world, plain());
    let refused = world.sched.submit(world.now, spec);
    assert_eq!(refused, Err(SubmitError::NeverFits { dimension: 0, need: 5, max: 2 }));
    assert_eq!(world.state(early), RequestState::Parked);
    world.lost(small);
    let late = world.submit_spec(spec);
    assert_eq!(starts(&world.round()), [early], "the spare serves");
    assert_eq!(world.state(late), RequestState::Queued);
}

#[test]
fn a_device_is_cut_by_what_its_workers_share() {
    let whole = [64, 24_576];
    for &kind in WorkerKind::ALL {
        let (device, capacity) = Sharing { kind, replicas: 4 }.cut(whole);
        let expected = if kind.isolates_memory() {
            (Resources::ZERO, Resources::from([16, 6_144]))
        } else {
            (whole.into(), whole.into())
        };
        assert_eq!((device.limit, capacity), expected, "{kind:?}");
    }
    assert_eq!(Sharing { kind: WorkerKind::Mig, replicas: 0 }.cut(whole).1, whole.into());
}
