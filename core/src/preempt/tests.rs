//! The search against one that goes through everybody, and what sets must be like.

use alloc::vec::Vec;
use core::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::config::MAX_TIERS;
use crate::id::DeviceId;
use crate::resources::Balance;
use crate::share::Ppm;

const PRICES: Prices = Prices { compute_ns: 1, swap_ns: 1 };
const RULES: Rules =
    Rules { now: Instant::from_nanos(10), min_run_ns: 5, max_preemptions: 3, prices: PRICES };
const NOBODY: [u32; 0] = [];

/// Candidates by slot, on the worker that is short or on another of its device.
#[derive(Debug)]
struct Crowd {
    all: Vec<Candidate>,
    is_here: Vec<bool>,
    yielders: [Vec<Yielders>; 2],
    parts: SmallVec<[Option<DevicePart>; 2]>,
}

impl Crowd {
    fn new(all: &[Candidate]) -> Self {
        Self::spread(all.iter().map(|one| (one.clone(), true, 0)).collect(), SmallVec::new())
    }

    /// Those with a number were known with so many units and tokens less, and have not been looked at since.
    fn spread(all: Vec<(Candidate, bool, u64)>, parts: SmallVec<[Option<DevicePart>; 2]>) -> Self {
        let nobody = || (0..MAX_TIERS).map(|_| Yielders::default()).collect();
        let is_here = all.iter().map(|&(_, is_here, _)| is_here).collect();
        let ages: Vec<u64> = all.iter().map(|&(.., less)| less).collect();
        let all = all.into_iter().map(|(one, ..)| one).collect();
        let mut crowd = Self { all, is_here, yielders: [nobody(), nobody()], parts };
        for (slot, less) in ages.into_iter().enumerate() {
            crowd.join(slot as u32, less);
        }
        crowd
    }

    fn join(&mut self, slot: u32, less: u64) {
        let now = self.bounds(slot);
        let one = &mut self.all[slot as usize];
        let work_lost = one.work_lost;
        one.work_lost = work_lost.saturating_sub(less);
        let before = self.bounds(slot);
        let one = &mut self.all[slot as usize];
        one.work_lost = work_lost;
        let theirs = &mut self.yielders[usize::from(!self.is_here[slot as usize])][one.tier.index()];
        let place = theirs.insert(slot, &before);
        theirs.widen(place, &now);
        theirs.total += one.used;
        // Another came, and left again.
        let passer_by = theirs.insert(slot, &before);
        theirs.remove(passer_by);
    }

    fn sources(&self) -> [Source<'_>; 2] {
        let source = |index: u32| Source {
            worker: WorkerId::new(index),
            yielders: &self.yielders[index as usize],
            steps: 0,
            is_here: index == 0,
            parts: self.parts.clone(),
        };
        [source(0), source(1)]
    }

    /// The set, with as few rules waived as it takes, and what was seen on the way.
    fn choose(&self, need: &Need, excess: &[Balance; MAX_TIERS], scratch: &mut Scratch) -> Option<VictimSet> {
        let sources = self.sources();
        let mut waivers = Need::waivers(need.within).iter();
        waivers.find_map(|&waiver| choose(need, RULES, waiver, excess, (&sources, self), scratch))
    }

    fn ids(&self, need: &Need, units: [i64; 2]) -> Vec<u32> {
        let excess = [Balance([units[0], units[1], 0, 0]); MAX_TIERS];
        self.choose(need, &excess, &mut Scratch::default()).map_or(Vec::new(), |set| set.victims)
    }
}

impl Runners for Crowd {
    fn candidate(&self, slot: u32, source: u32) -> Candidate {
        Candidate { source, ..self.all[slot as usize].clone() }
    }

    fn bounds(&self, slot: u32) -> Bounds {
        let one = &self.all[slot as usize];
        let stake = AtStake { context: one.work_lost + 7, safe: 7, runs: true, can_swap: false };
        Bounds::of_one(one.id, one.used, stake, 0, one.started_at, one.preemptions)
    }
}

fn candidate(slot: u32, tier: Tier, used: [u64; 2]) -> Candidate {
    Candidate {
        id: RequestId::new(slot, 1),
        tier,
        used: used.into(),
        source: 0,
        preemptions: 0,
        started_at: Instant::ZERO,
        work_lost: 100,
        finishes_first: false,
        straddles: false,
    }
}

fn need(within: bool, short: [u64; 2]) -> Need {
    let short = PlaceUnits { worker: short.into(), devices: SmallVec::new() };
    Need { order: Order { tier: Tier::P0, whom: Preemption::LowerTier }, within, short }
}

#[test]
fn the_least_urgent_yield_first_and_none_is_superfluous() {
    let mut all = alloc::vec![
        candidate(0, Tier::P1, [1, 9]),
        candidate(1, Tier::P2, [1, 2]),
        candidate(2, Tier::P2, [1, 9]),
        candidate(3, Tier::P0, [1, 99]),
    ];
    all[2].work_lost = 1_000_000;
    let ids = Crowd::new(&all).ids(&need(true, [1, 9]), [9, 99]);
    assert_eq!(ids, [2], "the small one is taken first, and given back");
    let own = [candidate(0, Tier::P0, [1, 99])];
    assert_eq!(Crowd::new(&own).ids(&need(true, [1, 9]), [9, 99]), NOBODY, "of the same tier");
}

#[test]
fn among_equals_those_who_yielded_least_then_the_newest_yield() {
    let mut all: Vec<Candidate> = (0..4).map(|slot| candidate(slot, Tier::P2, [1, 1])).collect();
    all[0].preemptions = 1;
    all[0].started_at = Instant::from_nanos(3);
    all[2].started_at = Instant::from_nanos(2);
    all[3].started_at = Instant::from_nanos(1);
    all[3].work_lost = 101;
    assert_eq!(Crowd::new(&all).ids(&need(true, [4, 4]), [9, 9]), [2, 1, 3, 0]);
}

#[test]
fn a_tier_within_its_reserve_yields_nothing() {
    let all = Crowd::new(&[candidate(0, Tier::P2, [1, 9])]);
    assert_eq!(all.ids(&need(true, [1, 1]), [0, 0]), NOBODY);
    assert_eq!(all.ids(&need(true, [1, 1]), [0, 5]), [0], "it straddles");
    assert_eq!(all.ids(&need(false, [1, 1]), [0, 9]), NOBODY);
}

#[test]
fn the_young_are_spared_unless_the_guarantee_needs_them() {
    let mut all = [candidate(0, Tier::P2, [1, 9])];
    all[0].started_at = Instant::from_nanos(8);
    let all = Crowd::new(&all);
    assert_eq!(all.ids(&need(false, [1, 1]), [9, 9]), NOBODY);
    assert_eq!(all.ids(&need(true, [1, 1]), [9, 9]), [0]);
}

/// How many members are looked at must not grow with how many there are.
#[test]
fn a_search_opens_few_groups_however_many_run() {
    let looked_at = |count: u32| {
        let mut all: Vec<Candidate> = (0..count).map(|slot| candidate(slot, Tier::P2, [1, 40])).collect();
        for (slot, one) in all.iter_mut().enumerate() {
            one.work_lost = (slot as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        }
        let (crowd, mut scratch) = (Crowd::new(&all), Scratch::default());
        let excess = [Balance([1 << 20; 4]); MAX_TIERS];
        let set = crowd.choose(&need(true, [4, 160]), &excess, &mut scratch).expect("enough run");
        assert_eq!(set.victims.len(), 4);
        // In vain: too young, and too much at once.
        let nothing = [Balance([0; 4]); MAX_TIERS];
        assert!(crowd.choose(&need(true, [4, 160]), &nothing, &mut scratch).is_none());
        scratch.looked_at
    };
    let (few, many) = (looked_at(100), looked_at(10_000));
    assert!(few <= 64 && many <= 64, "{few} of 100, {many} of 10,000");
}

/// One that runs, and what it frees: of the worker that is short, then of each of its devices.
struct Runner {
    one: Candidate,
    frees: Vec<Resources>,
}

/// What is short, in the same order, when these have yielded.
fn left_after(victims: &[&Runner], need: &Need) -> Vec<Resources> {
    let short = core::iter::once(need.short.worker).chain(need.short.devices.iter().copied());
    let freed = |place: usize| victims.iter().map(move |victim| victim.frees[place]);
    short.enumerate().map(|(place, short)| freed(place).fold(short, Resources::saturating_sub)).collect()
}

fn is_met(victims: &[&Runner], need: &Need) -> bool {
    left_after(victims, need).iter().all(Resources::is_zero)
}

/// The dimensions in which somebody frees something of what is short.
fn helps(short: &[Resources], runner: &Runner) -> Vec<usize> {
    let helps_in =
        |d: &usize| short.iter().zip(&runner.frees).any(|(short, frees)| short[*d] > 0 && frees[*d] > 0);
    (0..MAX_DIMENSIONS).filter(helps_in).collect()
}

/// Section 6 as it is written: everybody is looked at.
fn exhaustive(crowd: &Crowd, need: &Need, excess: &[Balance; MAX_TIERS]) -> Option<(Vec<u32>, Waiver)> {
    let runner = |(one, &is_here): (&Candidate, &bool)| {
        let on_worker = if is_here { one.used } else { Resources::ZERO };
        let on_devices = crowd.parts.iter().map(|part| part.expect("both share it").of(one.used));
        Runner { one: one.clone(), frees: core::iter::once(on_worker).chain(on_devices).collect() }
    };
    let mut all: Vec<Runner> = crowd.all.iter().zip(&crowd.is_here).map(runner).collect();
    all.retain(|runner| need.order.whom.reaches(need.order.tier, runner.one.tier));
    all.sort_by(|one, other| yields_before(one, other, need));
    Need::waivers(need.within).iter().find_map(|&waiver| {
        let mut victims: Vec<&Runner> = Vec::new();
        for one in &all {
            let left = left_after(&victims, need);
            if !helps(&left, one).is_empty() && is_legal(one, &victims, need, waiver, excess) {
                victims.push(one);
            }
        }
        if !is_met(&victims, need) {
            let single = |one: &&Runner| is_met(&[one], need) && is_legal(one, &[], need, waiver, excess);
            victims = alloc::vec![all.iter().find(single)?];
        }
        for index in (0..victims.len()).rev() {
            let mut others = victims.clone();
            others.remove(index);
            if is_met(&others, need) {
                victims = others;
            }
        }
        Some((victims.iter().map(|victim| victim.one.id.slot()).collect(), waiver))
    })
}

fn yields_before(one: &Runner, other: &Runner, need: &Need) -> Ordering {
    let freed = |runner: &Runner| -> u128 {
        let short = left_after(&[], need);
        let places = short.iter().zip(&runner.frees);
        let units = places.flat_map(|(short, frees)| (0..MAX_DIMENSIONS).map(move |d| (short[d], frees[d])));
        let ppm =
            units.filter(|&(short, _)| short > 0).map(|(short, frees)| frees.min(short) * 1_000_000 / short);
        u128::from(ppm.sum::<u64>().max(1))
    };
    let loss = |one: &Runner, by: &Runner| u128::from(one.one.work_lost) * freed(by);
    (other.one.tier.cmp(&one.one.tier))
        .then(one.one.preemptions.cmp(&other.one.preemptions))
        .then(loss(one, other).cmp(&loss(other, one)))
        .then(other.one.started_at.cmp(&one.one.started_at))
        .then(one.one.id.cmp(&other.one.id))
}

fn is_legal(
    runner: &Runner,
    victims: &[&Runner],
    need: &Need,
    waiver: Waiver,
    excess: &[Balance; MAX_TIERS],
) -> bool {
    let (one, short) = (&runner.one, left_after(&[], need));
    if !RULES.expose(one, waiver) {
        return false;
    }
    let (mut left, mut straddled) = (excess[one.tier.index()], false);
    let stays = |left: &Balance, one: &Candidate, d: usize| left.0[d] >= one.used[d] as i64;
    for victim in victims.iter().filter(|victim| victim.one.tier == one.tier) {
        let helped = helps(&short, victim);
        straddled |= need.within && !helped.into_iter().any(|d| stays(&left, &victim.one, d));
        left = left.less(victim.one.used);
    }
    if !need.within {
        return (0..MAX_DIMENSIONS).filter(|&d| one.used[d] > 0).all(|d| stays(&left, one, d));
    }
    let helps = helps(&short, runner);
    helps.iter().any(|&d| stays(&left, one, d))
        || waiver >= Waiver::Straddle && !straddled && helps.iter().any(|&d| left.0[d] > 0)
}

/// One that runs, whether it is on the worker that is short, and what it had less when it was looked at last.
fn someone() -> impl Strategy<Value = (Candidate, bool, u64)> {
    let traits = (0_u8..4, [0_u64..4, 0..4], 0_u32..5, 0_u64..10, 0_u64..6, prop::bool::weighted(0.1));
    (traits, prop::bool::weighted(0.8), 0_u64..3).prop_map(|(traits, is_here, less)| {
        let (tier, used, preemptions, started_at, work_lost, finishes_first) = traits;
        let started_at = Instant::from_nanos(started_at);
        let one = candidate(0, Tier::new(tier), used);
        (Candidate { preemptions, started_at, work_lost, finishes_first, ..one }, is_here, less)
    })
}

proptest! {
    #[test]
    fn no_search_misses_what_one_of_everybody_finds(
        all in prop::collection::vec(someone(), 0..90),
        within in any::<bool>(),
        whom in prop_oneof![Just(Preemption::LowerTier), Just(Preemption::AnyBorrower)],
        short in [0_u64..12, 0..12],
        on_device in prop_oneof![Just(None), [0_u64..12, 1..12].prop_map(Some)],
        excess in prop::array::uniform4([-2_i64..14, -2..14]),
    ) {
        let number = |(slot, (one, is_here, less)): (u32, (Candidate, bool, u64))| {
            // Those elsewhere count where a device is short.
            (Candidate { id: RequestId::new(slot, 1), ..one }, is_here || on_device.is_none(), less)
        };
        let part = DevicePart { device: DeviceId::new(0), part: Ppm::new(700_000) };
        let devices: SmallVec<[Resources; 2]> = on_device.map(Resources::from).into_iter().collect();
        let parts = devices.iter().map(|_| Some(part)).collect();
        let mut crowd = Crowd::spread((0..).zip(all).map(number).collect(), parts);
        let short = PlaceUnits { worker: short.into(), devices };
        prop_assume!(!short.is_zero());
        let need = Need { order: Order { tier: Tier::P1, whom }, within, short };
        let mut by_tier = [Balance::default(); MAX_TIERS];
        for (tier, units) in by_tier.iter_mut().zip(excess) {
            *tier = Balance([units[0], units[1], 0, 0]);
        }
        let expected = exhaustive(&crowd, &need, &by_tier);
        for _ in 0..2 {
            let mut scratch = Scratch::default();
            let found = crowd.choose(&need, &by_tier, &mut scratch);
            let short = need.short.worker;
            let least = Harm::at_least(need.order, short, &crowd.yielders[0], 0, PRICES);
            if let Some(set) = found.as_ref().filter(|_| on_device.is_none()) {
                prop_assert!(least.is_some_and(|least| least <= set.harm), "{least:?} of {:?}", set.harm);
            }
            prop_assert_eq!(found.map(|set| (set.victims, set.waiver)), expected.clone());
            for (worker, tier, group, bounds) in scratch.seen {
                crowd.yielders[worker.index()][tier.index()].tighten(group, bounds);
            }
        }
    }
}

proptest! {
    #[test]
    fn harm_in_one_number_is_in_its_order(
        harms in prop::array::uniform2((0_usize..3, 0_u8..4, 0_u64..3, 1_usize..4, any::<bool>())),
    ) {
        let [one, other] = harms.map(|(straddles, tier, lost, victims, is_much)| {
            let work_lost = if is_much { u128::from(u64::MAX) * 5 + u128::from(lost) } else { lost.into() };
            (straddles, core::cmp::Reverse(Tier::new(tier)), work_lost, victims)
        });
        let harm = |(straddles, tier, lost, victims): (_, core::cmp::Reverse<Tier>, _, _)| {
            Harm::new(straddles, tier.0, lost, victims)
        };
        prop_assert_eq!(harm(one).cmp(&harm(other)), one.cmp(&other));
        prop_assert_eq!(harm(one).straddles(), one.0 as u64);
        prop_assert!(Harm::LEAST <= harm(one));
    }
}
