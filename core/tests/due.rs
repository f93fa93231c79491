//! What the passing of time alone makes due: in which order, and how much of it one poll handles.

mod common;

use std::time::Duration;

use common::{World, starts, three_tiers};
use tidegate::{
    Action, Config, ConfigBuilder, Reason, RequestId, RequestSpec, RequestState, TenantPolicy, Tier,
    TierConfig, WorkerSpec,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn dropped(request: RequestId) -> Action {
    Action::Drop { request, reason: Reason::QueueTimeout }
}

/// Waiting requests that time out 4 s, 1 s and 2 s from now, and a victim that has 2 s to stop.
fn four_due(config: ConfigBuilder) -> (World, [RequestId; 3], Action) {
    let mut world = World::with_workers(config.confirm_after(seconds(2)), 1, [1, 100]);
    let victim = world.submit(Tier::P2, [1, 10]);
    world.round();
    let waiting = [4, 1, 2]
        .map(|timeout| world.submit_spec(world.spec(Tier::P2, [1, 10]).queue_timeout(seconds(timeout))));
    world.submit(Tier::P0, [1, 10]);
    world.round();
    let stuck = Action::Stuck { victim, attempt: world.attempt(victim), reason: Reason::Unconfirmed };
    (world, waiting, stuck)
}

#[test]
fn what_is_due_comes_by_its_instant_and_then_by_arrival() {
    let (mut world, [last, first, second], stuck) = four_due(three_tiers());
    world.pass(seconds(9));
    assert_eq!(world.round(), [dropped(first), stuck, dropped(second), dropped(last)]);
}

#[test]
fn a_poll_handles_what_falls_due_within_max_step_of_the_first() {
    for (max_step, handles_second) in [(seconds(1), true), (Duration::from_nanos(999_999_999), false)] {
        let (mut world, [last, first, second], stuck) = four_due(three_tiers().max_step(max_step));
        world.pass(seconds(9));
        assert_eq!(world.poll_one(), Some(dropped(first)));
        assert_eq!(world.sched.state(second).is_err(), handles_second);
        assert_eq!(world.state(last), RequestState::Queued);
        assert_eq!(world.round(), [stuck, dropped(second), dropped(last)]);
    }
}

/// What the last decision of a round changed is noted in it: a hold window does not take it for what held until the next
/// poll. Here one is sent to wait for quota, and demands nothing from then on.
#[test]
fn a_poll_in_between_changes_nothing() {
    let starts_later = |polls_in_between: bool| {
        let tiers = [TierConfig::new("urgent").reserve_ppm(500_000), TierConfig::new("batch")];
        let config = tiers.into_iter().fold(Config::builder().dimensions(["slots"]), ConfigBuilder::tier);
        let mut world = World::new(config);
        world.sched.worker_add(world.now, WorkerSpec::new([4])).expect("a worker");
        let limited = world.sched.tenant_set(world.now, "limited").expect("a name");
        let policy = TenantPolicy::new().max_running(1);
        world.sched.tenant_configure(world.now, limited, &policy).expect("sound");
        let spec = RequestSpec::new(limited, Tier::P0).demand([1]);
        for expected in [1, 0] {
            world.submit_spec(spec);
            assert_eq!(starts(&world.round()).len(), expected);
            world.pass(seconds(1));
        }
        world.pass(seconds(98));
        if polls_in_between {
            assert_eq!(world.round(), []);
        }
        world.pass(seconds(1));
        for _ in 0..3 {
            world.submit_spec(RequestSpec::new(world.tenant, Tier::P1).demand([1]));
        }
        starts(&world.round()).len()
    };
    assert_eq!([false, true].map(starts_later), [3, 3]);
}
