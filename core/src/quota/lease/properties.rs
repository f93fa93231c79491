//! QUO-3 under random schedules: what many replicas hold of one budget, whatever happens on the way.

use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::world::World;
use super::*;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// What happens next, and to whom, and how much of it.
type Step = (u8, u16, u16);

fn rates() -> impl Strategy<Value = Rate> {
    (0_u64..5_000, 1_u64..70_000, 1_u64..20_000).prop_map(|(amount, period_ms, burst)| Rate {
        amount,
        period_ns: period_ms * MS,
        burst,
    })
}

fn terms(fallback: impl Strategy<Value = Fallback>) -> impl Strategy<Value = LeaseTerms> {
    (1_u32..=6, 1_u64..2_000, 1_u64..4_000, fallback).prop_map(|(replicas, again, silent, fallback)| {
        LeaseTerms::new(replicas)
            .ask_again_after(Duration::from_millis(again))
            .fallback_after(Duration::from_millis(silent))
            .fallback(fallback)
    })
}

fn any_fallback() -> impl Strategy<Value = Fallback> {
    prop_oneof![Just(Fallback::Deny), Just(Fallback::LocalShare), Just(Fallback::Open)]
}

fn steps(kinds: u8) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0..kinds, any::<u16>(), any::<u16>()), 0..250)
}

/// The kinds of steps: all of them, those without a restarted store, and those without a death at all.
const ALL: u8 = 20;
const NOBODY_DIES: u8 = 18;

fn take(world: &mut World, burst: u64, (kind, who, much): Step) {
    let replica = usize::from(who) % world.replicas();
    let running = (world.running() > 0).then(|| usize::from(who) % world.running().max(1));
    let message = (world.messages() > 0).then(|| usize::from(who) % world.messages().max(1));
    match (kind, running, message) {
        (0..=2, ..) => _ = world.pass(world.now.plus_nanos(u64::from(much).pow(2) * 1_000)),
        (3..=6, ..) => world.arrive(replica, u64::from(much) % burst + 1),
        (7, Some(which), _) => world.outrun(which, u64::from(much) % burst),
        (8..=9, Some(which), _) => world.end(which, u64::from(much) % burst),
        (10..=13, _, Some(which)) => world.deliver(which),
        (14, _, Some(which)) => world.lose(which),
        (15, _, Some(which)) => world.duplicate(which),
        (16, ..) => world.leave(replica),
        (17, ..) => world.store.running = !world.store.running,
        (18, ..) => world.crash(replica),
        (19, ..) => world.restart_store(),
        _ => {}
    }
    world.check();
}

/// Delivers until every wish is answered and nobody has more to say for now.
fn settle(world: &mut World) {
    world.store.running = true;
    (0..world.replicas()).for_each(|replica| world.leave(replica));
    let until = world.now.plus_nanos(600 * S);
    for _ in 0..10_000 {
        while world.messages() > 0 {
            world.deliver(0);
        }
        if world.pass(until) {
            return;
        }
    }
    panic!("it never comes to rest");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    /// Under loss, duplication, reordering, crash, a store that stops and one that forgets.
    #[test]
    fn holds_are_granted_or_lent_and_grants_are_in_the_budget(
        rate in rates(),
        terms in terms(any_fallback()),
        steps in steps(ALL),
    ) {
        let mut world = World::new(rate, terms, 2 * S);
        steps.into_iter().for_each(|step| take(&mut world, rate.burst, step));
        if terms.fallback == Fallback::Deny {
            prop_assert_eq!(world.lent(), 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// As long as nobody dies: whatever was used is charged at the store in the end, what was lent aside.
    #[test]
    fn every_token_is_found_again(rate in rates(), terms in terms(any_fallback()), steps in steps(NOBODY_DIES)) {
        let mut world = World::new(rate, terms, 2 * S);
        steps.into_iter().for_each(|step| take(&mut world, rate.burst, step));
        settle(&mut world);
        world.check();
        let charged = world.store.granted + world.store.debts;
        prop_assert_eq!(world.held + world.charged + world.levels(), charged + world.lent());
        prop_assert_eq!(world.levels(), 0, "all that nobody uses has gone back, and every debt was told");
    }

    /// While the store is silent all replicas together lend themselves the rate at most.
    #[test]
    fn the_local_shares_are_the_rate(rate in rates(), terms in terms(Just(Fallback::LocalShare)), steps in steps(NOBODY_DIES)) {
        let mut world = World::new(rate, terms, 2 * S);
        for step in steps {
            take(&mut world, rate.burst, step);
            let came = u128::from(world.now.as_nanos()) * u128::from(rate.amount) / u128::from(rate.period_ns);
            prop_assert!(world.lent() <= came as i128);
        }
    }

    /// With estimates that are right and nobody who leaves, at most half a burst is where nobody waits for it.
    #[test]
    fn at_most_half_a_burst_lies_idle(
        rate in rates(),
        terms in terms(Just(Fallback::Deny)),
        steps in prop::collection::vec((prop_oneof![0_u8..7, 10_u8..14], any::<u16>(), any::<u16>()), 0..250),
    ) {
        let mut world = World::new(rate, terms, 2 * S);
        for step in steps {
            take(&mut world, rate.burst, step);
            prop_assert!(world.idle() * 2 <= i128::from(rate.burst), "{} of {}", world.idle(), rate.burst);
        }
    }
}

/// Numbers that look random: an additive step and the mixing of SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// A millisecond in which somebody waits everywhere, requests end with less or more than was held for them, and
/// messages take a way of one to ten milliseconds, as far as they are not lost.
fn busy_ms(world: &mut World, dice: &mut Dice, largest: u64, lost_of_1000: u64) {
    while !world.pass(Instant::from_nanos(world.now.as_nanos() / MS * MS + MS)) {}
    for replica in 0..world.replicas() {
        world.arrive(replica, dice.below(largest) + 1);
    }
    while world.running() > 100 {
        let which = dice.below(world.running() as u64) as usize;
        if dice.below(4) == 0 {
            world.outrun(which, dice.below(largest));
        }
        world.end(which, dice.below(largest));
    }
    for message in (0..world.messages()).rev() {
        if dice.below(5) == 0 {
            if dice.below(1_000) < lost_of_1000 { world.lose(message) } else { world.deliver(message) }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// When all are up and somebody waits everywhere, a minute uses 90 % of its budget at least, if a burst lasts as long as
    /// it takes to find out that a message was lost.
    #[test]
    fn a_busy_minute_uses_its_budget(
        replicas in 1_u32..=8,
        amount in 1_000_u64..10_000_000,
        burst_ms in 1_000_u64..20_000,
        lost_of_1000 in 0_u64..20,
        seed in any::<u64>(),
    ) {
        let rate = Rate::per_second(amount).burst((amount * burst_ms / 1_000).max(100));
        // What waits at the beginning and at the end of the minute is not used, and has to be little beside it.
        let largest = (rate.burst / 4).min(amount / 8);
        let mut world = World::new(rate, LeaseTerms::new(replicas), 10 * S);
        let mut dice = Dice(seed);
        let mut used = |seconds: u64| {
            let before = world.held + world.charged;
            (0..seconds * 1_000).for_each(|_| busy_ms(&mut world, &mut dice, largest, lost_of_1000));
            world.check();
            world.held + world.charged - before
        };
        used(2 + burst_ms / 1_000 * 2);
        let part = used(60) * 1_000 / (60 * i128::from(amount));
        prop_assert!((900..=1_000 + 2 * burst_ms as i128).contains(&part), "{part} of 1000");
    }
}
