//! What dmclock's server is tested for (its `pull_*` and `at_limit` scenarios), restated for occupancy: who holds
//! units instead of who is served next. `docs/DMCLOCK.md` says which have no counterpart.

mod common;

use std::time::Duration;

use common::{World, starts};
use tidegate::{Action, Config, ConfigBuilder, Instant, Reason, RequestSpec, SubmitError, Tier, TierConfig};

fn two_tiers(first: TierConfig, second: TierConfig) -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).tier(first).tier(second)
}

fn tier(name: &str) -> TierConfig {
    TierConfig::new(name).hold_window(Duration::ZERO)
}

/// `pull_none`: nobody asks, nothing is due.
#[test]
fn nobody_is_served_where_nobody_asks() {
    let mut world = World::with_workers(two_tiers(tier("a"), tier("b")), 1, [10, 1000]);
    assert_eq!(world.round(), []);
    assert_eq!(world.sched.poll_timeout(), None);
}

/// `pull_reservation`: a reservation is met before others get more than theirs.
#[test]
fn a_reserve_is_met_before_the_urgent_borrow() {
    let config = two_tiers(tier("a"), tier("b").reserve_ppm(200_000));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let urgent = world.submit_many(20, Tier::P0, [1, 10]);
    let batch = world.submit_many(20, Tier::P1, [1, 10]);
    let started = starts(&world.round());
    assert_eq!(started[..2], batch[..2], "the floor first");
    assert_eq!(started[2..], urgent[..8], "then who is urgent borrows the rest");
}

/// `pull_reservation` with an idle client: what was not used is not saved up.
#[test]
fn an_idle_reserve_is_not_saved_up() {
    let config = two_tiers(tier("a").reserve_ppm(300_000).borrow_limit([0, 0]), tier("b"));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    world.pass(Duration::from_secs(3600));
    world.submit_many(9, Tier::P0, [1, 10]);
    assert_eq!(starts(&world.round()).len(), 3, "three of ten, after an idle hour too");
}

/// `pull_future`: not now, and the instant at which it turns.
#[test]
fn what_is_held_is_lent_at_the_instant_that_was_told() {
    let window = Duration::from_secs(30);
    let config = two_tiers(tier("a").reserve_ppm(300_000).hold_window(window), tier("b"));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let urgent = world.submit_many(3, Tier::P0, [1, 10]);
    world.round();
    urgent.into_iter().for_each(|request| world.complete(request));
    world.submit_many(10, Tier::P1, [1, 10]);
    assert_eq!(starts(&world.round()).len(), 7, "three are held for a while");
    let mut told = world.sched.poll_timeout().expect("an instant is told");
    for _ in 0..4 {
        world.now = Instant::from_nanos(told.as_nanos() - 1);
        assert_eq!(world.round(), [], "not 1 ns before");
        world.now = told;
        let started = starts(&world.round()).len();
        if started > 0 {
            assert_eq!(started, 3);
            return;
        }
        told = world.sched.poll_timeout().expect("another instant is told");
    }
    panic!("a hold of thirty seconds ends");
}

/// `at_limit` wait: a limit is kept though there is room, until the tier itself gives back.
#[test]
fn a_borrow_limit_is_kept_on_an_idle_machine() {
    let config = two_tiers(tier("a").borrow_limit([2, 1000]), tier("b"));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let urgent = world.submit_many(3, Tier::P0, [1, 10]);
    assert_eq!(starts(&world.round()), urgent[..2]);
    world.complete(urgent[0]);
    assert_eq!(starts(&world.round()), [urgent[2]]);
}

/// `at_limit` allow: without a limit a tier has all that nobody else asks for.
#[test]
fn without_a_limit_everything_idle_is_lent() {
    let config = two_tiers(tier("a").reserve_ppm(500_000), tier("b"));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    world.submit_many(12, Tier::P1, [1, 10]);
    let told = world.round();
    assert_eq!(starts(&told).len(), 10);
    let borrowed = |action: &Action| matches!(action, Action::Start { reason: Reason::Borrowed, .. });
    assert!(told.iter().all(borrowed), "{told:?}");
}

/// `at_limit` reject: what can never be served is refused at once.
#[test]
fn beyond_reserve_and_limit_is_refused_for_ever() {
    let config = two_tiers(tier("a").reserve_ppm(200_000).borrow_limit([1, 1000]), tier("b"));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let large = RequestSpec::new(world.tenant, Tier::P0).demand([4, 40]);
    let refused = world.sched.submit(world.now, large);
    assert!(matches!(refused, Err(SubmitError::NeverFits { dimension: 0, need: 4, max: 3 })), "{refused:?}");
}

/// `pull_wait_at_limit` with a reservation: a limit never takes away what is reserved.
#[test]
fn a_limit_of_nothing_leaves_the_reserve() {
    let config = two_tiers(tier("a"), tier("b").reserve_ppm(200_000).borrow_limit([0, 0]));
    let mut world = World::with_workers(config, 1, [10, 1000]);
    let batch = world.submit_many(5, Tier::P1, [1, 10]);
    assert_eq!(starts(&world.round()), batch[..2]);
}
