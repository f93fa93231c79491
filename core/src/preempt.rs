//! Victim sets: which running requests of one worker yield for one that waits.
//!
//! Pure: it returns a set, the scheduler acts. Decides legality, order, greed and fill-back (section 6 of
//! `docs/SEMANTICS.md`); knows neither queues nor claims. O(n log n) for n candidates.
//! Invariants: PRE-1 (never the same tier, a more urgent one only with `AnyBorrower`), PRE-2 (never from a tier
//! within its reserve in every short dimension), PRE-3 (no victim is superfluous), PRE-4 (`min_run`,
//! `max_preemptions`).

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::config::{MAX_TIERS, Preemption};
use crate::id::{RequestId, Tier};
use crate::resources::{Balance, MAX_DIMENSIONS, Resources};
use crate::time::Instant;

/// A running request that may yield.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: RequestId,
    pub(crate) tier: Tier,
    /// All that it uses.
    pub(crate) used: Resources,
    /// What of it is on the worker itself: all, or nothing of one that only shares a device.
    pub(crate) frees: Resources,
    /// What it uses of each device that is short, in their order.
    pub(crate) device_frees: Vec<Resources>,
    pub(crate) preemptions: u32,
    pub(crate) started_at: Instant,
    /// Nanoseconds of work that would be done again, or of swapping.
    pub(crate) work_lost: u64,
    /// Whether it would be done before it could be stopped.
    pub(crate) finishes_first: bool,
    /// Whether, as a victim, it takes its tier below its reserve.
    pub(crate) straddles: bool,
}

/// What is wanted of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    /// The tier of the request that waits.
    pub(crate) tier: Tier,
    /// Whether it would stay within its tier's reserve: only then do waivers apply.
    pub(crate) within: bool,
    /// Whom it may stop.
    pub(crate) whom: Preemption,
    /// What is short on the worker, by dimension.
    pub(crate) short: Resources,
    /// What is short on its devices, without those that are short of nothing.
    pub(crate) device_shorts: Vec<Resources>,
}

impl Need {
    /// What is short, and what a candidate frees of it: of the worker, then of each device.
    fn places<'a>(&'a self, one: &'a Candidate) -> impl Iterator<Item = (&'a Resources, &'a Resources)> {
        let devices = self.device_shorts.iter().zip(&one.device_frees);
        core::iter::once((&self.short, &one.frees)).chain(devices)
    }

    /// The dimensions in which a candidate frees something that is short.
    fn dimensions(&self, one: &Candidate) -> [bool; MAX_DIMENSIONS] {
        let mut dimensions = [false; MAX_DIMENSIONS];
        for (short, frees) in self.places(one) {
            for (d, helps) in dimensions.iter_mut().enumerate() {
                *helps |= short[d] > 0 && frees[d] > 0;
            }
        }
        dimensions
    }

    fn is_helped_by(&self, one: &Candidate) -> bool {
        self.dimensions(one).contains(&true)
    }

    /// Whether these together free all that is short.
    fn is_met_by<'a>(&self, victims: impl Iterator<Item = &'a Candidate>) -> bool {
        let mut left = self.clone();
        victims.for_each(|victim| left.subtract(victim));
        left.is_met()
    }

    fn is_met(&self) -> bool {
        self.short.is_zero() && self.device_shorts.iter().all(Resources::is_zero)
    }

    fn subtract(&mut self, one: &Candidate) {
        self.short = self.short.saturating_sub(one.frees);
        for (short, frees) in self.device_shorts.iter_mut().zip(&one.device_frees) {
            *short = short.saturating_sub(*frees);
        }
    }
}

/// The rules that protect a candidate, and what is waived of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) now: Instant,
    pub(crate) min_run_ns: u64,
    pub(crate) max_preemptions: u32,
}

impl Rules {
    /// PRE-4: whether a candidate ran long enough, is left alone often enough, and is not as good as done.
    fn expose(&self, candidate: &Candidate, waiver: Waiver) -> bool {
        let age = self.now.nanos_since(candidate.started_at);
        (waiver >= Waiver::FinishTest || !candidate.finishes_first)
            && (waiver >= Waiver::MinRun || age >= self.min_run_ns)
            && (waiver >= Waiver::MaxPreemptions || candidate.preemptions < self.max_preemptions)
    }
}

/// Waived in this order, each with all before it, when there is no set otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiver {
    /// Nothing is waived.
    None,
    /// Those who would be done before they stopped.
    FinishTest,
    /// Those who have not run for `min_run`.
    MinRun,
    /// One victim per tier whose tier borrows now and would not any more.
    Straddle,
    /// Those who were preempted `max_preemptions` times.
    MaxPreemptions,
}

impl Waiver {
    const ALL: [Self; 5] = [Self::None, Self::FinishTest, Self::MinRun, Self::Straddle, Self::MaxPreemptions];
}

/// Victims that together free what is short, none of them superfluous.
#[derive(Debug)]
pub(crate) struct VictimSet {
    pub(crate) victims: Vec<Candidate>,
    pub(crate) waiver: Waiver,
}

impl VictimSet {
    pub(crate) fn straddles(&self) -> usize {
        self.victims.iter().filter(|victim| victim.straddles).count()
    }

    /// Which of two sets for the same need does less harm.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.harm().cmp(&other.harm())
    }

    fn harm(&self) -> impl Ord {
        // The larger the least tier number among the victims, the less urgent the most urgent of them.
        let most_urgent = self.victims.iter().map(|victim| victim.tier).min();
        let work_lost: u128 = self.victims.iter().map(|victim| u128::from(victim.work_lost)).sum();
        (self.waiver, self.straddles(), core::cmp::Reverse(most_urgent), work_lost, self.victims.len())
    }
}

/// The victim set for `need` among the candidates of one worker, if the procedure finds one. `excess` is,
/// by tier, what the tier uses beyond its reserve and has not been asked back yet.
pub(crate) fn choose(
    need: &Need,
    rules: Rules,
    candidates: &mut Vec<Candidate>,
    excess: &[Balance; MAX_TIERS],
) -> Option<VictimSet> {
    candidates.retain(|candidate| {
        need.whom.reaches(need.tier, candidate.tier)
            && need.is_helped_by(candidate)
            && (need.within || rules.expose(candidate, Waiver::None))
    });
    if !need.is_met_by(candidates.iter()) {
        return None;
    }
    candidates.sort_by_cached_key(|candidate| Rank::of(candidate, need));
    let waivers = if need.within { &Waiver::ALL[..] } else { &Waiver::ALL[..1] };
    waivers.iter().find_map(|&waiver| Search { need, rules, waiver, excess: *excess }.run(candidates))
}

/// Who yields first: least urgent, fewest preemptions, least work lost per unit freed, newest start, id.
#[derive(PartialEq, Eq)]
struct Rank {
    tier: Tier,
    preemptions: u32,
    work_lost: u64,
    freed_ppm: u64,
    started_at: Instant,
    id: RequestId,
}

impl Rank {
    fn of(one: &Candidate, need: &Need) -> Self {
        let freed = |(short, frees): (&Resources, &Resources)| -> u64 {
            let dimensions = (0..MAX_DIMENSIONS).filter(|&d| short[d] > 0);
            dimensions.map(|d| frees[d].min(short[d]) * 1_000_000 / short[d]).sum()
        };
        Self {
            tier: one.tier,
            preemptions: one.preemptions,
            work_lost: one.work_lost,
            // At least 1: a division by nothing would leave no order.
            freed_ppm: need.places(one).map(freed).sum::<u64>().max(1),
            started_at: one.started_at,
            id: one.id,
        }
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let loss = |one: &Self, by: &Self| u128::from(one.work_lost) * u128::from(by.freed_ppm);
        (other.tier.cmp(&self.tier))
            .then(self.preemptions.cmp(&other.preemptions))
            .then_with(|| loss(self, other).cmp(&loss(other, self)))
            .then(other.started_at.cmp(&self.started_at))
            .then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

struct Search<'a> {
    need: &'a Need,
    rules: Rules,
    waiver: Waiver,
    excess: [Balance; MAX_TIERS],
}

impl Search<'_> {
    fn run(mut self, candidates: &[Candidate]) -> Option<VictimSet> {
        let (untouched, mut straddled) = (self.excess, [false; MAX_TIERS]);
        let (mut victims, mut left) = (Vec::new(), self.need.clone());
        for candidate in candidates {
            if !left.is_helped_by(candidate) {
                continue;
            }
            let Some(straddles) = self.is_legal(candidate, &straddled) else { continue };
            straddled[candidate.tier.index()] |= straddles;
            self.excess[candidate.tier.index()] = self.excess[candidate.tier.index()].less(candidate.used);
            left.subtract(candidate);
            victims.push(Candidate { straddles, ..candidate.clone() });
            if left.is_met() {
                break;
            }
        }
        if !left.is_met() {
            self.excess = untouched;
            straddled = [false; MAX_TIERS];
            let single = candidates.iter().find(|candidate| {
                self.need.is_met_by(core::iter::once(*candidate))
                    && self.is_legal(candidate, &straddled).is_some()
            })?;
            let straddles = self.is_legal(single, &straddled)?;
            victims = alloc::vec![Candidate { straddles, ..single.clone() }];
        }
        self.fill_back(&mut victims);
        Some(VictimSet { victims, waiver: self.waiver })
    }

    /// PRE-2 and PRE-4: whether it may be taken, and if so whether its tier straddles then.
    fn is_legal(&self, candidate: &Candidate, straddled: &[bool; MAX_TIERS]) -> Option<bool> {
        if !self.rules.expose(candidate, self.waiver) {
            return None;
        }
        let excess = &self.excess[candidate.tier.index()].0;
        let used = |d: usize| candidate.used[d] as i64;
        let stays = |d: usize| excess[d] >= used(d);
        if !self.need.within {
            return (0..MAX_DIMENSIONS).filter(|&d| used(d) > 0).all(stays).then_some(false);
        }
        let helps = self.need.dimensions(candidate);
        let mut short = (0..MAX_DIMENSIONS).filter(|&d| helps[d]);
        if short.clone().any(stays) {
            return Some(false);
        }
        let may_straddle = self.waiver >= Waiver::Straddle && !straddled[candidate.tier.index()];
        (may_straddle && short.any(|d| excess[d] > 0)).then_some(true)
    }

    /// PRE-3: takes back, last first, every victim without whom enough is freed.
    fn fill_back(&self, victims: &mut Vec<Candidate>) {
        for index in (0..victims.len()).rev() {
            let others = victims.iter().enumerate().filter(|&(other, _)| other != index);
            if self.need.is_met_by(others.map(|(_, victim)| victim)) {
                victims.remove(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { now: Instant::from_nanos(10), min_run_ns: 5, max_preemptions: 3 };
    const NOBODY: [u32; 0] = [];

    fn candidate(slot: u32, tier: Tier, used: [u64; 2]) -> Candidate {
        Candidate {
            id: RequestId::new(slot, 1),
            tier,
            used: used.into(),
            frees: used.into(),
            device_frees: Vec::new(),
            preemptions: 0,
            started_at: Instant::ZERO,
            work_lost: 100,
            finishes_first: false,
            straddles: false,
        }
    }

    fn ids(set: Option<VictimSet>) -> Vec<u32> {
        set.map_or(Vec::new(), |set| set.victims.iter().map(|victim| victim.id.slot()).collect())
    }

    fn excess(units: [i64; 2]) -> [Balance; MAX_TIERS] {
        [Balance([units[0], units[1], 0, 0]); MAX_TIERS]
    }

    fn need(within: bool, short: [u64; 2]) -> Need {
        let whom = Preemption::LowerTier;
        Need { tier: Tier::P0, within, whom, short: short.into(), device_shorts: Vec::new() }
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
        let set = choose(&need(true, [1, 9]), RULES, &mut all, &excess([9, 99]));
        assert_eq!(ids(set), [2], "the small one is taken first, and given back");
        let mut own = alloc::vec![candidate(3, Tier::P0, [1, 99])];
        let set = choose(&need(true, [1, 9]), RULES, &mut own, &excess([9, 99]));
        assert_eq!(ids(set), NOBODY, "of the same tier");
    }

    #[test]
    fn among_equals_those_who_yielded_least_then_the_newest_yield() {
        let mut all: Vec<Candidate> = (0..4).map(|slot| candidate(slot, Tier::P2, [1, 1])).collect();
        all[0].preemptions = 1;
        all[0].started_at = Instant::from_nanos(3);
        all[2].started_at = Instant::from_nanos(2);
        all[3].started_at = Instant::from_nanos(1);
        all[3].work_lost = 101;
        assert_eq!(ids(choose(&need(true, [4, 4]), RULES, &mut all, &excess([9, 9]))), [2, 1, 3, 0]);
    }

    #[test]
    fn a_tier_within_its_reserve_yields_nothing() {
        let mut all = alloc::vec![candidate(0, Tier::P2, [1, 9])];
        assert_eq!(ids(choose(&need(true, [1, 1]), RULES, &mut all.clone(), &excess([0, 0]))), NOBODY);
        assert_eq!(
            ids(choose(&need(true, [1, 1]), RULES, &mut all.clone(), &excess([0, 5]))),
            [0],
            "it straddles"
        );
        assert_eq!(ids(choose(&need(false, [1, 1]), RULES, &mut all, &excess([0, 9]))), NOBODY);
    }

    #[test]
    fn the_young_are_spared_unless_the_guarantee_needs_them() {
        let mut all = alloc::vec![candidate(0, Tier::P2, [1, 9])];
        all[0].started_at = Instant::from_nanos(8);
        assert_eq!(ids(choose(&need(false, [1, 1]), RULES, &mut all.clone(), &excess([9, 9]))), NOBODY);
        assert_eq!(ids(choose(&need(true, [1, 1]), RULES, &mut all, &excess([9, 9]))), [0]);
    }
}
