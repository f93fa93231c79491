//! Checkpoints of victims: whether one is worth its memory, and how long it takes it of the device.

mod common;

use std::time::Duration;

use common::{POOL, World};
use tidegate::{
    Action, Config, ConfigBuilder, DeviceSpec, Reason, RequestId, StepTime, Tier, TierConfig, WorkerId,
    WorkerSpec, YieldMode, Yielding,
};

/// Two batch requests that can checkpoint, each with 100 tokens of context, alone on a slice of a device, and P0
/// guaranteed all of it. One token costs a nanosecond to compute, and one to swap.
struct Checkpoints {
    world: World,
    batch: [RequestId; 2],
}

impl Checkpoints {
    fn new(config: ConfigBuilder, checkpoint_mib: Option<u64>, cached: u64, yielding: Yielding) -> Self {
        let mut world = World::new(config);
        let spec = DeviceSpec { checkpoint_mib, ..DeviceSpec::default() };
        let device = world.sched.device_add(world.now, spec).expect("a valid device");
        let batch = [0, 1].map(|_| {
            world.sched.worker_add(world.now, WorkerSpec::new(POOL, [1, 100]).on(device)).expect("a slice");
            let id = world.submit_spec(world.spec(Tier::P1, [1, 10]).yielding(yielding));
            world.round();
            let attempt = world.attempt(id);
            world.sched.started(world.now, id, attempt, cached, [1, 10].into()).expect("it starts");
            id
        });
        Self { world, batch }
    }

    /// A MiB for each token, and a nanosecond to compute or to swap one.
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

    fn with_mib(mib: u64) -> Self {
        Self::new(Self::config(), Some(mib), 0, Yielding::Checkpoint)
    }

    /// An urgent request, the victim that has to yield for it, and how.
    fn urgent(&mut self) -> (RequestId, RequestId, YieldMode) {
        let urgent = self.world.submit(Tier::P0, [1, 10]);
        let told = self.world.round();
        let [Action::Preempt { victim, mode, .. }] = told[..] else { panic!("one has to yield: {told:?}") };
        (urgent, victim, mode)
    }

    /// How the second yields after the first, whose checkpoint fills the device, went through this.
    fn mode_after(story: impl FnOnce(&mut World, RequestId, RequestId)) -> YieldMode {
        let mut scene = Self::with_mib(100);
        let (urgent, victim, mode) = scene.urgent();
        assert_eq!((victim, mode), (scene.batch[0], YieldMode::Checkpoint));
        story(&mut scene.world, victim, urgent);
        let (_, victim, mode) = scene.urgent();
        assert_eq!(victim, scene.batch[1]);
        mode
    }
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
        let config = Checkpoints::config().step_time(model).swap_token(Duration::from_nanos(swap));
        let mut scene = Checkpoints::new(config, None, cached, yielding);
        assert_eq!(scene.urgent().2, expected, "swap {swap}, cached {cached}, {yielding:?}");
    }
}

#[test]
fn what_has_not_reported_has_nothing_to_keep() {
    let mut world = World::with_workers(Checkpoints::config(), 1, [1, 100]);
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
        let mut scene = Checkpoints::with_mib(mib);
        assert_eq!([scene.urgent().2, scene.urgent().2], modes, "{mib} MiB for twice 100");
    }
}

#[test]
fn a_checkpoint_is_kept_while_its_request_waits() {
    let mode = Checkpoints::mode_after(|world, victim, _| {
        world.preempted(victim, 100);
        world.round();
    });
    assert_eq!(mode, YieldMode::Restart);
}

#[test]
fn the_memory_is_free_when_the_request_ends() {
    let ended = Checkpoints::mode_after(|world, victim, _| {
        world.complete(victim);
        world.round();
    });
    let cancelled = Checkpoints::mode_after(|world, victim, _| {
        world.preempted(victim, 100);
        world.sched.cancel(world.now, victim).expect("it waits");
        world.round();
    });
    assert_eq!([ended, cancelled], [YieldMode::Checkpoint; 2]);
}

#[test]
fn the_memory_is_free_when_nothing_was_kept() {
    let mode = Checkpoints::mode_after(|world, victim, _| {
        world.preempted(victim, 0);
        world.round();
    });
    assert_eq!(mode, YieldMode::Checkpoint);
}

/// It runs on a worker that drains then, where nobody is a victim.
#[test]
fn the_memory_is_free_when_the_request_starts_again() {
    let mode = Checkpoints::mode_after(|world, victim, urgent| {
        world.preempted(victim, 100);
        world.round();
        world.complete(urgent);
        let told = world.round();
        assert!(matches!(told[..], [Action::Start { request, resume_tokens: 100, .. }] if request == victim));
        world.sched.worker_drain(world.now, WorkerId::new(0)).expect("it is up");
    });
    assert_eq!(mode, YieldMode::Checkpoint);
}

/// It goes on, and then has more to lose than the other.
#[test]
fn the_memory_is_free_when_the_request_is_spared() {
    let mode = Checkpoints::mode_after(|world, victim, urgent| {
        world.sched.cancel(world.now, urgent).expect("it waits");
        let attempt = world.attempt(victim);
        assert_eq!(world.round(), [Action::Spare { victim, attempt, reason: Reason::NotNeeded }]);
        world.progress(victim, 1, [1, 10]);
    });
    assert_eq!(mode, YieldMode::Checkpoint);
}

#[test]
fn the_memory_is_free_when_the_worker_is_lost_before_the_request_stopped() {
    let lost_before = Checkpoints::mode_after(|world, _, urgent| {
        world.sched.cancel(world.now, urgent).expect("it waits");
        world.lost(WorkerId::new(0));
        world.round();
    });
    let lost_after = Checkpoints::mode_after(|world, victim, urgent| {
        world.preempted(victim, 100);
        world.sched.cancel(world.now, urgent).expect("it waits");
        world.lost(WorkerId::new(0));
        world.round();
    });
    assert_eq!(lost_before, YieldMode::Checkpoint);
    assert_eq!(lost_after, YieldMode::Restart, "it is kept on the device");
}
