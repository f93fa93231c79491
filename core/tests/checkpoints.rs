//! Checkpoints of victims: whether one is worth its memory, and how long it takes it of the device.

mod common;

use std::time::Duration;

use common::World;
use tidegate::{
    Action, Config, ConfigBuilder, DeviceId, DeviceSpec, Ppm, Reason, RequestId, StepTime, Tier, TierConfig,
    WorkerId, WorkerSpec, YieldMode, Yielding,
};

/// P0 is guaranteed everything; a MiB for each token, and a nanosecond to compute or to swap one.
fn config() -> ConfigBuilder {
    let tier = |name: &str| TierConfig::new(name).hold_window(Duration::ZERO);
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(tier("urgent").reserve_ppm(1_000_000))
        .tier(tier("batch"))
        .min_run(Duration::ZERO)
        .swap_token(Duration::from_nanos(1))
        .checkpoint_kib_per_token(1024)
}

/// Adds a worker, and a batch request that fills it and has reported so many cached tokens.
fn runs_on(world: &mut World, worker: WorkerSpec, cached: u64, yielding: Yielding) -> RequestId {
    world.sched.worker_add(world.now, worker).expect("a valid worker");
    let id = world.submit_spec(world.spec(Tier::P1, [1, 10]).yielding(yielding));
    world.round();
    let attempt = world.attempt(id);
    world.sched.started(world.now, id, attempt, cached, [1, 10].into()).expect("it starts");
    id
}

fn device(world: &mut World, checkpoint_mib: Option<u64>) -> DeviceId {
    let spec = DeviceSpec { checkpoint_mib, ..DeviceSpec::default() };
    world.sched.device_add(world.now, spec).expect("a valid device")
}

fn slice() -> WorkerSpec {
    WorkerSpec::new([1, 100])
}

/// An urgent request, the victim that has to yield for it, and how.
fn urgent(world: &mut World) -> (RequestId, RequestId, YieldMode) {
    let urgent = world.submit(Tier::P0, [1, 10]);
    let told = world.round();
    let [Action::Preempt { victim, mode, .. }] = told[..] else { panic!("one has to yield: {told:?}") };
    (urgent, victim, mode)
}

/// Two batch requests with 100 tokens of context, each alone on a slice of a device.
fn two_slices(
    config: ConfigBuilder,
    checkpoint_mib: Option<u64>,
    cached: u64,
    yielding: Yielding,
) -> (World, [RequestId; 2]) {
    let mut world = World::new(config);
    let device = device(&mut world, checkpoint_mib);
    let batch = [0, 1].map(|_| runs_on(&mut world, slice().on(device), cached, yielding));
    (world, batch)
}

/// How the second yields after the first, whose checkpoint fills the device, went through this.
fn mode_after(story: impl FnOnce(&mut World, RequestId, RequestId)) -> YieldMode {
    let (mut world, batch) = two_slices(config(), Some(100), 0, Yielding::Checkpoint);
    let (asks, victim, mode) = urgent(&mut world);
    assert_eq!((victim, mode), (batch[0], YieldMode::Checkpoint));
    story(&mut world, victim, asks);
    let (_, victim, mode) = urgent(&mut world);
    assert_eq!(victim, batch[1]);
    mode
}

#[test]
fn a_victim_checkpoints_if_it_can_and_swapping_costs_no_more_than_recomputing() {
    let model = StepTime::new(Duration::ZERO, Duration::from_nanos(10), Duration::ZERO);
    for (swap, cached, yielding, expected) in [
        (10, 0, Yielding::Checkpoint, YieldMode::Checkpoint),
        (11, 0, Yielding::Checkpoint, YieldMode::Restart),
        (10, 1, Yielding::Checkpoint, YieldMode::Restart),
        (9, 10, Yielding::Checkpoint, YieldMode::Checkpoint),
        (0, 0, Yielding::Restart, YieldMode::Restart),
    ] {
        let config = config().step_time(model).swap_token(Duration::from_nanos(swap));
        let (mut world, _) = two_slices(config, None, cached, yielding);
        assert_eq!(urgent(&mut world).2, expected, "swap {swap}, cached {cached}, {yielding:?}");
    }
}

#[test]
fn what_has_not_reported_has_nothing_to_keep() {
    let mut world = World::with_workers(config(), 1, [1, 100]);
    let batch = world.submit_spec(world.spec(Tier::P1, [1, 10]).yielding(Yielding::Checkpoint));
    world.round();
    let urgent = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), [world.preempt(batch, Some(urgent), Reason::Reclaim)]);
}

#[test]
fn checkpoints_fit_what_the_device_has_for_them() {
    for (mib, modes) in [
        (99, [YieldMode::Restart, YieldMode::Restart]),
        (100, [YieldMode::Checkpoint, YieldMode::Restart]),
        (199, [YieldMode::Checkpoint, YieldMode::Restart]),
        (200, [YieldMode::Checkpoint, YieldMode::Checkpoint]),
    ] {
        let (mut world, _) = two_slices(config(), Some(mib), 0, Yielding::Checkpoint);
        assert_eq!([0, 1].map(|_| urgent(&mut world).2), modes, "{mib} MiB for twice 100");
    }
}

/// The first spans both devices; of the second device 50 MiB are left then.
#[test]
fn a_checkpoint_counts_whole_on_each_device_of_its_worker() {
    let mut world = World::new(config());
    let [first, second] = [200, 150].map(|mib| device(&mut world, Some(mib)));
    let half = Ppm::new(500_000);
    let spans = slice().on_part(first, half).on_part(second, half);
    let batch = [spans, slice().on(first), slice().on(second)]
        .map(|worker| runs_on(&mut world, worker, 0, Yielding::Checkpoint));
    let told = [0, 1, 2].map(|_| urgent(&mut world)).map(|(_, victim, mode)| (victim, mode));
    let modes = [YieldMode::Checkpoint, YieldMode::Checkpoint, YieldMode::Restart];
    assert_eq!(told, [0, 1, 2].map(|index: usize| (batch[index], modes[index])));
}

#[test]
fn a_checkpoint_is_kept_while_its_request_waits() {
    let mode = mode_after(|world, victim, _| {
        world.preempted(victim, 100);
        world.round();
    });
    assert_eq!(mode, YieldMode::Restart);
}

#[test]
fn the_memory_is_free_when_the_request_ends() {
    let ended = mode_after(|world, victim, _| {
        world.complete(victim);
        world.round();
    });
    let cancelled = mode_after(|world, victim, _| {
        world.preempted(victim, 100);
        world.sched.cancel(world.now, victim).expect("it waits");
        world.round();
    });
    assert_eq!([ended, cancelled], [YieldMode::Checkpoint; 2]);
}

#[test]
fn the_memory_is_free_when_nothing_was_kept() {
    let mode = mode_after(|world, victim, _| {
        world.preempted(victim, 0);
        world.round();
    });
    assert_eq!(mode, YieldMode::Checkpoint);
}

/// It goes on from the checkpoint, and would again; it runs on a worker that drains then, where nobody is a victim.
#[test]
fn the_memory_is_held_while_the_request_runs_again() {
    let mode = mode_after(|world, victim, urgent| {
        world.preempted(victim, 100);
        world.round();
        world.complete(urgent);
        let told = world.round();
        assert!(matches!(told[..], [Action::Start { request, resume_tokens: 100, .. }] if request == victim));
        world.sched.worker_drain(world.now, WorkerId::new(0)).expect("it is up");
    });
    assert_eq!(mode, YieldMode::Restart);
}

/// It goes on, and then has more to lose than the other.
#[test]
fn the_memory_is_free_when_the_request_is_spared() {
    let mode = mode_after(|world, victim, urgent| {
        world.sched.cancel(world.now, urgent).expect("it waits");
        let attempt = world.attempt(victim);
        assert_eq!(world.round(), [Action::Spare { victim, attempt, reason: Reason::NotNeeded }]);
        world.progress(victim, 1, [1, 10]);
    });
    assert_eq!(mode, YieldMode::Checkpoint);
}

/// It belongs to no claim any more, and so nobody spares it when the worker goes.
#[test]
fn the_memory_is_free_when_the_worker_is_lost_before_the_request_stopped() {
    let lost_before = mode_after(|world, victim, urgent| {
        world.pass(Duration::from_secs(1));
        let stuck = Action::Stuck { victim, attempt: world.attempt(victim), reason: Reason::Unconfirmed };
        assert_eq!(world.poll_one(), Some(stuck));
        world.sched.cancel(world.now, urgent).expect("it waits");
        world.lost(WorkerId::new(0));
        world.round();
    });
    let lost_after = mode_after(|world, victim, urgent| {
        world.preempted(victim, 100);
        world.sched.cancel(world.now, urgent).expect("it waits");
        world.lost(WorkerId::new(0));
        world.round();
    });
    assert_eq!(lost_before, YieldMode::Checkpoint);
    assert_eq!(lost_after, YieldMode::Restart, "it is kept on the device");
}
