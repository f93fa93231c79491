//! Victims, claims, confirmation, memory pressure.

mod common;

use std::time::Duration;

use common::{World, starts, three_tiers, victims};
use tidegate::{
    Action, Config, Reason, Release, RequestId, RequestState, Tier, TierConfig, Usage, WorkerId, YieldMode,
};

/// One worker of ten slots, full of batch work, and then one urgent request.
fn full_of_batch() -> (World, Vec<RequestId>, RequestId) {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    let batch = world.submit_many(12, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [1, 10]);
    (world, batch, urgent)
}

#[test]
fn a_large_request_takes_as_many_as_it_needs_and_no_more() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    world.submit_many(10, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [3, 30]);
    let asked = world.round();
    assert_eq!(victims(&asked).len(), 3);
    let all = victims(&asked);
    world.preempted(all[0], 0);
    world.preempted(all[1], 0);
    assert_eq!(starts(&world.round()), [], "units are gathered, nobody else gets them");
    world.preempted(all[2], 0);
    assert_eq!(starts(&world.round()), [urgent]);
}

#[test]
fn victims_are_spared_when_the_units_come_from_elsewhere() {
    let (mut world, batch, urgent) = full_of_batch();
    let victim = victims(&world.round())[0];
    world.complete(batch[5]);
    let news = world.round();
    assert!(
        matches!(news[..], [Action::Start { request, .. }, Action::Spare { victim: spared, .. }]
            if request == urgent && spared == victim),
        "{news:?}"
    );
    assert_eq!(world.state(victim), RequestState::Starting);
    world.preempted(victim, 7);
    assert_eq!(starts(&world.round()), [victim], "stopping after a spare is legal");
}

#[test]
fn a_cancelled_beneficiary_passes_its_claim_on() {
    let (mut world, _, urgent) = full_of_batch();
    let victim = victims(&world.round())[0];
    let heir = world.submit(Tier::P0, [1, 8]);
    world.sched.cancel(world.now, urgent).expect("it lives");
    assert_eq!(world.round(), [], "the victim yields for the heir now");
    world.preempted(victim, 0);
    let started = world.round();
    assert!(
        matches!(started[..], [Action::Start { request, reason: Reason::Reclaimed, .. }, ..] if request == heir),
        "{started:?}"
    );
}

#[test]
fn a_smaller_heir_needs_fewer_victims() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    world.submit_many(10, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [3, 30]);
    assert_eq!(victims(&world.round()).len(), 3);
    let heir = world.submit(Tier::P0, [1, 10]);
    world.sched.cancel(world.now, urgent).expect("it lives");
    let spared = world.round().iter().filter(|action| matches!(action, Action::Spare { .. })).count();
    assert_eq!(spared, 2);
    let yields = |&&id: &&RequestId| world.sched.state(id) == Ok(RequestState::Preempting);
    let left: Vec<_> = world.submitted.iter().filter(yields).copied().collect();
    let [victim] = left[..] else { panic!("{left:?}") };
    world.preempted(victim, 0);
    assert!(starts(&world.round()).contains(&heir));
}

/// One that has stopped has no more to stop: it is not spared, and still gives its units back.
#[test]
fn a_victim_that_releases_is_not_spared() {
    let (mut world, _, urgent) = full_of_batch();
    let victim = victims(&world.round())[0];
    let attempt = world.attempt(victim);
    world.sched.preempted(world.now, victim, attempt, 0, Release::Later).expect("it runs");
    world.sched.cancel(world.now, urgent).expect("it lives");
    assert_eq!(world.round(), []);
    assert_eq!(world.state(victim), RequestState::Releasing);
    world.sched.released(world.now, victim, attempt).expect("it is releasing");
    world.check();
    assert_eq!(starts(&world.round()), [victim]);
}

/// Its victim ended and gave back too little, since a neighbour grew: it chooses again in the same round.
#[test]
fn a_claim_that_can_never_be_full_is_dropped_and_another_is_laid() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 100]);
    let [first, second] = [0, 1].map(|_| world.submit(Tier::P2, [1, 50]));
    world.round();
    world.submit(Tier::P0, [1, 10]);
    let Some(Action::Preempt { victim, .. }) = world.poll_one() else { panic!("one has to yield") };
    let stays = if victim == first { second } else { first };
    world.progress(stays, 1, [1, 100]);
    world.complete(victim);
    assert_eq!(victims(&world.round()), [stays]);
}

#[test]
fn nobody_hears_of_a_preemption_that_was_taken_back_in_time() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    world.submit_many(10, Tier::P2, [1, 10]);
    world.round();
    let urgent = world.submit(Tier::P0, [2, 20]);
    let Some(Action::Preempt { victim, .. }) = world.poll_one() else { panic!("it needs two victims") };
    world.sched.cancel(world.now, urgent).expect("it lives");
    let news = world.round();
    assert!(matches!(news[..], [Action::Spare { victim: spared, .. }] if spared == victim), "{news:?}");
    assert_eq!(world.state(victim), RequestState::Starting);
}

/// A tier beyond its reserve pays for what it takes with what its victims give back, not with what is held.
#[test]
fn what_is_held_for_others_is_not_taken_by_preemption() {
    let tier = |name| TierConfig::new(name);
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(tier("realtime"))
        .tier(tier("near-realtime").reserve_ppm(500_000))
        .tier(tier("batch"))
        .min_run(Duration::ZERO);
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let near = world.submit_many(5, Tier::P1, [1, 10]);
    world.round();
    near.into_iter().for_each(|id| world.complete(id));
    world.submit_many(10, Tier::P2, [1, 10]);
    assert_eq!(starts(&world.round()).len(), 5, "the rest is held");
    let urgent = world.submit(Tier::P0, [2, 20]);
    let asked = world.round();
    assert_eq!((victims(&asked).len(), starts(&asked).len()), (2, 0), "five slots are free, and held");
    world.preempted(victims(&asked)[0], 0);
    assert_eq!(starts(&world.round()), []);
    world.preempted(victims(&asked)[1], 0);
    assert_eq!(starts(&world.round()), [urgent]);
}

#[test]
fn one_that_yielded_often_enough_is_left_alone_by_a_tier_beyond_its_reserve() {
    let tier = |name| TierConfig::new(name).hold_window(Duration::ZERO);
    let config =
        Config::builder().dimensions(["slots", "kv_blocks"]).tier(tier("realtime")).tier(tier("batch"));
    let mut world = World::with_workers(config.min_run(Duration::ZERO).max_preemptions(2), 1, [1, 80]);
    let batch = world.submit(Tier::P1, [1, 1]);
    world.round();
    for _ in 0..2 {
        let urgent = world.submit(Tier::P0, [1, 1]);
        let asked = world.round();
        assert_eq!(victims(&asked), [batch]);
        world.obey(&asked);
        world.round();
        world.complete(urgent);
        assert_eq!(starts(&world.round()), [batch]);
    }
    world.submit(Tier::P0, [1, 1]);
    assert_eq!(world.round(), []);
}

#[test]
fn an_unconfirmed_victim_is_stuck_once_and_its_units_stay_used() {
    let (mut world, _, urgent) = full_of_batch();
    let asked = world.round();
    let Action::Preempt { victim, attempt, confirm_by, .. } = asked[0] else { panic!("{asked:?}") };
    assert_eq!(world.sched.poll_timeout(), Some(confirm_by));
    world.now = tidegate::Instant::from_nanos(confirm_by.as_nanos() - 1);
    assert_eq!(world.round(), []);
    world.now = confirm_by;
    let news = world.round();
    assert_eq!(news, [Action::Stuck { victim, attempt, reason: Reason::Unconfirmed }]);
    assert_eq!(world.state(victim), RequestState::Preempting);
    // That worker is let be for a second; then the urgent one may choose again.
    let again = loop {
        assert!(world.jump());
        let news = world.round();
        if !news.is_empty() {
            break news;
        }
    };
    assert_eq!(world.now.as_nanos(), confirm_by.as_nanos() + 1_000_000_000);
    assert_eq!((victims(&again).len(), starts(&again).len()), (1, 0));
    assert_ne!(victims(&again)[0], victim);
    world.obey(&again);
    assert_eq!(starts(&world.round()), [urgent]);
    assert!(!world.round().iter().any(|action| matches!(action, Action::Stuck { .. })));
}

#[test]
fn the_young_are_protected_from_a_tier_beyond_its_reserve() {
    let config = three_tiers().min_run(Duration::from_secs(1));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    world.submit_many(20, Tier::P2, [1, 10]);
    world.round();
    world.submit_many(5, Tier::P0, [1, 10]);
    let asked = world.round();
    assert_eq!(victims(&asked).len(), 3, "30 % of ten slots, min_run waived");
    world.obey(&asked);
    assert_eq!(starts(&world.round()).len(), 3);
    assert_eq!(world.sched.poll_timeout().map(|at| at.as_nanos()), Some(1_000_000_000));
    assert!(world.jump());
    let asked = world.round();
    let urgent = |action: &Action| matches!(action, Action::Preempt { reason: Reason::Urgent, .. });
    assert!(asked.len() == 2 && asked.iter().all(urgent), "{asked:?}");
}

#[test]
fn memory_pressure_stops_the_newest_borrower() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 100]);
    let batch = world.submit_many(4, Tier::P2, [1, 20]);
    let urgent = world.submit(Tier::P0, [1, 20]);
    world.round();
    world.progress(urgent, 10, [1, 30]);
    let asked = world.round();
    let [Action::Preempt { victim, mode, beneficiary: None, reason: Reason::OutOfMemory, .. }] = asked[..]
    else {
        panic!("{asked:?}");
    };
    assert_eq!((victim, mode), (batch[3], YieldMode::Restart));
    world.preempted(victim, 0);
    assert_eq!(world.round(), []);
}

#[test]
fn one_that_outgrew_every_worker_is_aborted() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 100]);
    let only = world.submit(Tier::P2, [1, 20]);
    world.round();
    world.progress(only, 10, [1, 101]);
    let news = world.round();
    assert!(
        matches!(news[..], [Action::Abort { request, reason: Reason::NeverFits, .. }] if request == only)
    );
    world.sched.failed(world.now, only, world.attempt(only)).expect("it was to stop");
    world.check();
    assert_eq!(world.sched.stats().failed, 1);
}

#[test]
fn one_that_outgrew_its_worker_alone_is_aborted() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 100]);
    let only = world.submit(Tier::P2, [1, 20]);
    world.round();
    world.worker([10, 500]);
    world.progress(only, 10, [1, 101]);
    let news = world.round();
    assert!(
        matches!(news[..], [Action::Abort { request, reason: Reason::NeverFits, .. }] if request == only)
    );
}

#[test]
fn completion_confirms_a_preemption() {
    let (mut world, _, urgent) = full_of_batch();
    let victim = victims(&world.round())[0];
    let attempt = world.attempt(victim);
    world.sched.complete(world.now, victim, attempt, Usage::default()).expect("it ran");
    world.check();
    assert_eq!(starts(&world.round()), [urgent]);
    let late = world.sched.preempted(world.now, victim, attempt, 0, Release::Done);
    assert_eq!(late, Err(tidegate::ReportError::AlreadyTerminal(victim)));
}

#[test]
fn the_most_urgent_takes_over_a_claim_where_nobody_else_borrows() {
    let tier = |name: &str, ppm| TierConfig::new(name).reserve_ppm(ppm).hold_window(Duration::ZERO);
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .min_run(Duration::ZERO)
        .tier(tier("a", 500_000))
        .tier(tier("b", 500_000))
        .tier(tier("c", 0));
    let mut world = World::with_workers(config, 1, [2, 1000]);
    let batch = world.submit(Tier::P2, [2, 20]);
    world.round();
    let near = world.submit(Tier::P1, [1, 10]);
    assert_eq!(victims(&world.round()), [batch]);
    let urgent = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), [], "the one victim there is yields for both");
    assert_eq!(world.sched.stats().takeovers, 1);
    world.preempted(batch, 0);
    assert_eq!(starts(&world.round())[..2], [urgent, near]);
}

#[test]
fn a_preemption_budget_spreads_the_choices_of_a_tier() {
    let tier = |name: &str| TierConfig::new(name).hold_window(Duration::ZERO);
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .min_run(Duration::ZERO)
        .tier(tier("a").reserve_ppm(1_000_000).preemption_budget(2))
        .tier(tier("b"));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    world.submit_many(10, Tier::P1, [1, 10]);
    world.round();
    world.submit_many(5, Tier::P0, [1, 10]);
    assert_eq!(victims(&world.round()).len(), 2, "two at once, as many as a second has");
    let at = world.sched.poll_timeout().expect("the budget refills");
    world.now = tidegate::Instant::from_nanos(499_999_999);
    assert_eq!(victims(&world.round()).len(), 0, "not 1 ns before");
    world.now = tidegate::Instant::from_nanos(500_000_000);
    assert!(at <= world.now);
    assert_eq!(victims(&world.round()).len(), 1);
}

/// TIME-1 holds of those who can be chosen: nobody asks a worker that drains.
#[test]
fn the_young_on_a_worker_that_drains_are_nobodys_victims_after_a_reconfiguration() {
    let config = three_tiers().min_run(Duration::from_secs(1));
    let mut world = World::with_workers(config, 2, [4, 1000]);
    world.submit_many(8, Tier::P2, [1, 10]);
    assert_eq!(starts(&world.round()).len(), 8);
    world.sched.worker_drain(world.now, WorkerId::new(0)).expect("it is up");
    let config = world.sched.config().clone();
    world.sched.reconfigure(world.now, config).expect("the names are the same");
    assert_eq!(world.sched.check_invariants(), Ok(()));
    world.submit(Tier::P0, [1, 10]);
    let chosen = victims(&world.round());
    assert_eq!(chosen.len(), 1);
    assert_eq!(world.running[&chosen[0]].1, WorkerId::new(1));
}
