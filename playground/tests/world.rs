//! The world that the page shows: lawful at every moment, the same for the same seed, and told by its knobs.

use tidegate::{PoolId, Tier};
use tidegate_playground::{SLOTS, TIERS, WORKERS, World};

const ALL: u32 = 1_000_000;

fn in_use(world: &World, tier: Tier) -> u64 {
    world.scheduler().in_use(PoolId::new(0), tier).expect("the pool is there").as_array()[0]
}

/// What a run of a minute leaves behind, in a number of counters.
fn counters(seed: u32) -> tidegate::Stats {
    let mut world = World::new(seed);
    world.advance(60_000);
    world.scheduler().stats()
}

#[test]
fn every_second_of_ten_minutes_is_lawful() {
    let mut world = World::new(7);
    for second in 0..600 {
        if second == 300 {
            world.load(0, 1_500); // more than there is
        }
        world.advance(1_000);
        world.scheduler().check_invariants().expect("the scheduler is lawful");
    }
    let stats = world.scheduler().stats();
    assert!(stats.completed > 1_000, "{stats:?}");
    assert_eq!(stats.failed + stats.dropped + stats.clock_regressions, 0, "{stats:?}");
}

#[test]
fn a_seed_is_a_run() {
    assert_eq!(counters(1), counters(1));
    assert_ne!(counters(1), counters(2));
}

#[test]
fn batch_fills_what_is_idle_and_gives_a_reserve_back_within_the_time_of_a_stop() {
    let mut world = World::new(3);
    for tier in [0, 1] {
        world.load(tier, 0);
    }
    world.load(2, 600);
    world.advance(60_000);
    assert_eq!(in_use(&world, Tier::new(2)), SLOTS * u64::from(WORKERS), "nobody else wants anything");
    world.load(0, 3_000);
    world.advance(1_000);
    let reserve = u64::from(TIERS[0].reserve_ppm) * SLOTS * u64::from(WORKERS) / u64::from(ALL);
    assert!(in_use(&world, Tier::P0) >= reserve, "{} of {reserve}", in_use(&world, Tier::P0));
}

#[test]
fn reserves_are_not_more_than_all_there_is() {
    let mut world = World::new(3);
    assert!(!world.reserve(0, ALL), "with what the others have that is more");
    assert!(world.reserve(1, 0) && world.reserve(2, 0) && world.reserve(0, ALL));
    assert!(!world.reserve(3, 0), "there is no such tier");
    assert!(world.hold(0));
    world.advance(10_000);
}

#[test]
fn who_waits_is_told_why_and_who_ended_is_not() {
    let mut world = World::new(3);
    world.advance(60_000);
    let waiting = world.scheduler().queue_depth(Tier::new(2));
    assert!(waiting > 0, "batch asks for more than there is");
    let told = (0..1_u64 << 10).filter_map(|slot| world.explain(1 << 32 | slot));
    let told: Vec<String> = told.collect();
    assert!(told.iter().any(|words| words.contains("held back by")), "{told:?}");
    assert!(
        told.iter().any(|words| words.starts_with("starting") || words.starts_with("running")),
        "{told:?}"
    );
    assert_eq!(world.explain(0), None);
}
