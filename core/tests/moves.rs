//! Moves: a request goes on where there is more room, once, and never back and forth.

mod common;

use std::time::Duration;

use common::{World, starts, victims};
use proptest::prelude::*;
use tidegate::{
    Action, Config, ConfigBuilder, Placement, Reason, RequestId, Tier, TierConfig, WorkerId, WorkerSpec,
    YieldMode, Yielding,
};

const SECOND: Duration = Duration::from_secs(1);

fn config(every: Duration) -> ConfigBuilder {
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("only").hold_window(Duration::ZERO))
        .min_run(Duration::ZERO)
        .max_preemptions(u32::MAX)
        .rebalance_every(every)
}

/// Requests that can be checkpointed, all running.
fn running(world: &mut World, demands: &[[u64; 2]]) -> Vec<RequestId> {
    let submit = |demand: &[u64; 2]| {
        let spec = world.spec(Tier::P0, *demand).yielding(Yielding::Checkpoint);
        world.submit_spec(spec)
    };
    let ids: Vec<_> = demands.iter().map(submit).collect();
    assert_eq!(starts(&world.round()).len(), ids.len());
    for (&id, &demand) in ids.iter().zip(demands) {
        world.progress(id, 1, demand);
    }
    ids
}

/// A saturated worker, and then an idle one.
fn unequal(every: Duration) -> (World, Vec<RequestId>, WorkerId) {
    let mut world = World::with_workers(config(every), 1, [4, 100]);
    let ids = running(&mut world, &[[1, 10]; 4]);
    let idle = world.worker([4, 100]);
    (world, ids, idle)
}

fn stops(actions: &[Action]) -> Vec<RequestId> {
    for action in actions {
        if let Action::Preempt { mode, beneficiary, reason, .. } = *action {
            assert_eq!((mode, beneficiary, reason), (YieldMode::Checkpoint, None, Reason::Rebalance));
        }
    }
    victims(actions)
}

#[test]
fn the_newest_goes_on_where_there_is_room_though_workers_are_packed() {
    let (mut world, ids, idle) = unequal(SECOND);
    let stopped = stops(&world.round());
    assert_eq!(stopped, [ids[3]]);
    assert_eq!(stops(&world.round()), [], "one at a time");
    world.preempted(ids[3], 100);
    assert_eq!(starts(&world.round()), [ids[3]]);
    assert_eq!(world.worker_of(ids[3]), Some(idle));
    world.pass(SECOND * 10);
    assert_eq!(world.round(), [], "three of four and one of four: nobody is saturated");
}

#[test]
fn nobody_moves_unless_it_is_asked_for() {
    let (mut world, _, _) = unequal(Duration::ZERO);
    world.pass(SECOND * 10);
    assert_eq!(world.round(), []);
    assert_eq!(world.sched.poll_timeout(), None);
}

#[test]
fn it_is_looked_at_now_and_then_and_the_timeout_says_when() {
    let (mut world, ids, _) = unequal(SECOND);
    world.sched.worker_drain(world.now, WorkerId::new(1)).expect("it is up");
    assert_eq!(world.round(), []);
    world.worker([4, 100]);
    assert_eq!(stops(&world.round()).len(), 1, "it was not looked at before: there was one worker");
    world.preempted(ids[3], 1);
    world.round();
    let next = world.submit_spec(world.spec(Tier::P0, [1, 10]).yielding(Yielding::Checkpoint));
    world.round();
    world.progress(next, 1, [1, 10]);
    assert_eq!(world.round(), []);
    let at = world.sched.poll_timeout().expect("it is looked at again");
    assert_eq!(at, tidegate::Instant::ZERO + SECOND);
}

#[test]
fn whoever_cannot_be_checkpointed_waits_beyond_or_ran_too_short_stays() {
    let mut world = World::with_workers(config(SECOND).min_run(SECOND * 3), 1, [4, 100]);
    let ids = running(&mut world, &[[1, 10]; 3]);
    let stays = world.submit(Tier::P0, [1, 10]);
    world.round();
    world.progress(stays, 1, [1, 10]);
    world.worker([4, 100]);
    assert_eq!(world.round(), []);
    world.pass(SECOND * 3);
    assert_eq!(stops(&world.round()), [ids[2]], "the newest of those that may");
}

#[test]
fn nobody_moves_while_somebody_waits() {
    let (mut world, _, idle) = unequal(SECOND);
    let large = world.submit(Tier::P0, [4, 100]);
    world.round();
    assert_eq!(world.worker_of(large), Some(idle));
    let waits = world.submit(Tier::P0, [1, 10]);
    world.complete(large);
    assert_eq!(starts(&world.round()), [waits], "it takes what there is, and then");
    assert_eq!(stops(&world.round()).len(), 0, "it was looked at a moment ago");
}

#[test]
fn one_whose_new_worker_is_gone_goes_on_elsewhere() {
    let (mut world, ids, idle) = unequal(SECOND);
    world.round();
    world.lost(idle);
    world.preempted(ids[3], 100);
    assert_eq!(starts(&world.round()), [ids[3]]);
    assert_eq!(world.worker_of(ids[3]), Some(WorkerId::new(0)));
}

/// Loads in ppm of what each worker is fullest of, the fullest first.
fn loads(world: &World, demands: &[[u64; 2]], ids: &[RequestId], workers: &[[u64; 2]]) -> Vec<u64> {
    let mut used = vec![[0; 2]; workers.len()];
    for (id, demand) in ids.iter().zip(demands) {
        let worker = world.worker_of(*id).expect("it runs").get() as usize;
        (0..2).for_each(|d| used[worker][d] += demand[d]);
    }
    let load = |(used, capacity): (&[u64; 2], &[u64; 2])| {
        (0..2).map(|d| used[d] * 1_000_000 / capacity[d]).max().expect("two")
    };
    let mut loads: Vec<u64> = used.iter().zip(workers).map(load).collect();
    loads.sort_unstable_by(|one, other| other.cmp(one));
    loads
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// MOVE-1: where nothing else happens, the fullest workers get less full with every move, whatever their sizes are and
    /// wherever requests would be placed; so moves end.
    #[test]
    fn every_move_levels_and_moves_end(
        first in prop::collection::vec([1_u64..9, 8..90], 1..4),
        later in prop::collection::vec([1_u64..9, 8..90], 1..5),
        demands in prop::collection::vec([1_u64..3, 1..30], 1..24),
        spread in any::<bool>(),
    ) {
        let placement = if spread { Placement::Spread } else { Placement::Pack };
        let mut world = World::new(config(SECOND).placement(placement));
        for &capacity in &first {
            world.sched.worker_add(world.now, WorkerSpec::new(capacity)).expect("a valid worker");
        }
        let (mut ids, mut kept) = (Vec::new(), Vec::new());
        for &demand in &demands {
            let spec = world.spec(Tier::P0, demand).yielding(Yielding::Checkpoint);
            let Ok(id) = world.sched.submit(world.now, spec) else { continue };
            if starts(&world.round()) == [id] {
                world.progress(id, 1, demand);
                ids.push(id);
                kept.push(demand);
            } else {
                world.sched.cancel(world.now, id).expect("it waits");
            }
        }
        for &capacity in &later {
            world.sched.worker_add(world.now, WorkerSpec::new(capacity)).expect("a valid worker");
        }
        let workers = [first, later].concat();
        let mut before = loads(&world, &kept, &ids, &workers);
        for looks in 0.. {
            prop_assert!(looks < 1_000, "moves do not end");
            let stopped = stops(&world.round());
            prop_assert!(stopped.len() <= 1);
            let Some(&moved) = stopped.first() else { break };
            world.preempted(moved, 50);
            prop_assert_eq!(starts(&world.round()), [moved]);
            let place = ids.iter().position(|&id| id == moved).expect("it is one of them");
            world.progress(moved, 2, kept[place]);
            let after = loads(&world, &kept, &ids, &workers);
            prop_assert!(after < before, "{:?} became {:?}", before, after);
            before = after;
            world.pass(SECOND);
        }
    }
}
