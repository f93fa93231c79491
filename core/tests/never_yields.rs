//! Requests that never yield, once started: they borrow only what leaves every reserve reachable.

mod common;

use common::{World, starts, three_tiers};
use tidegate::{Reason, Tier, Yielding};

/// CAP-5: of ten slots P0 has three reserved, so that seven may go to those who never give theirs back.
#[test]
fn what_never_yields_leaves_every_reserve_reachable() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    for _ in 0..12 {
        let spec = world.spec(Tier::P2, [1, 10]).yielding(Yielding::Never);
        world.submit_spec(spec);
    }
    assert_eq!(starts(&world.round()).len(), 7);

    let urgent = world.submit_many(3, Tier::P0, [1, 10]);
    let actions = world.round();
    assert_eq!(starts(&actions), urgent);
    assert!(actions.iter().all(|action| action.reason() == Reason::Guaranteed));

    world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), [], "there is nobody who could yield");
}

/// Those that do yield may have the rest: it is won back from them.
#[test]
fn what_yields_may_borrow_what_is_left() {
    let mut world = World::with_workers(three_tiers(), 1, [10, 1000]);
    for _ in 0..7 {
        let spec = world.spec(Tier::P2, [1, 10]).yielding(Yielding::Never);
        world.submit_spec(spec);
    }
    world.submit_many(5, Tier::P2, [1, 10]);
    assert_eq!(starts(&world.round()).len(), 10);
}
