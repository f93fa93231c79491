//! Victim sets: which running requests of one worker yield for one that waits.
//!
//! Pure: it returns a set, the scheduler acts. Decides legality, order, greed and fill-back (section 4 of the
//! contract); knows neither queues nor claims. O(n log n) for n candidates.
//! Invariants: PRE-1 (never the same or a more urgent tier), PRE-2 (never from a tier within its reserve in
//! every short dimension), PRE-3 (no victim is superfluous), PRE-4 (`min_run`, `max_preemptions`).

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::config::MAX_TIERS;
use crate::id::{RequestId, Tier};
use crate::resources::{Balance, MAX_DIMENSIONS, Resources};
use crate::time::Instant;

/// A running request that may yield.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: RequestId,
    pub(crate) tier: Tier,
    pub(crate) used: Resources,
    pub(crate) preemptions: u32,
    pub(crate) started_at: Instant,
    /// Tokens that would be computed again.
    pub(crate) work_lost: u64,
}

/// What is wanted of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// The tier of the request that waits.
    pub(crate) tier: Tier,
    /// Whether it would stay within its tier's reserve: only then do waivers apply.
    pub(crate) within: bool,
    /// What is short, by dimension.
    pub(crate) short: Resources,
}

/// The rules that protect a candidate, and what is waived of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) now: Instant,
    pub(crate) min_run_ns: u64,
    pub(crate) max_preemptions: u32,
}

impl Rules {
    /// PRE-4: whether a candidate ran long enough, and was left alone often enough.
    fn expose(&self, candidate: &Candidate, waiver: Waiver) -> bool {
        let age = self.now.nanos_since(candidate.started_at);
        (waiver >= Waiver::MinRun || age >= self.min_run_ns)
            && (waiver >= Waiver::MaxPreemptions || candidate.preemptions < self.max_preemptions)
    }
}

/// Waived in this order, each with all before it, when there is no set otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiver {
    None,
    MinRun,
    /// One victim per tier whose tier borrows now and would not any more.
    Straddle,
    MaxPreemptions,
}

/// Victims that together free what is short, none of them superfluous.
#[derive(Debug)]
pub(crate) struct VictimSet {
    pub(crate) victims: Vec<Candidate>,
    waiver: Waiver,
    straddles: u32,
}

impl VictimSet {
    /// Which of two sets for the same need does less harm.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.harm().cmp(&other.harm())
    }

    fn harm(&self) -> impl Ord {
        // The larger the least tier number among the victims, the less urgent the most urgent of them.
        let most_urgent = self.victims.iter().map(|victim| victim.tier).min();
        let work_lost: u64 = self.victims.iter().map(|victim| victim.work_lost).sum();
        (self.waiver, self.straddles, core::cmp::Reverse(most_urgent), work_lost, self.victims.len())
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
        candidate.tier > need.tier
            && contributes(candidate, &need.short)
            && (need.within || rules.expose(candidate, Waiver::None))
    });
    if !enough(candidates, &need.short) {
        return None;
    }
    candidates.sort_unstable_by(|a, b| order(a, b, &need.short));
    let waivers: &[Waiver] = if need.within {
        &[Waiver::None, Waiver::MinRun, Waiver::Straddle, Waiver::MaxPreemptions]
    } else {
        &[Waiver::None]
    };
    waivers.iter().find_map(|&waiver| Search { need, rules, waiver, excess: *excess }.run(candidates))
}

fn contributes(candidate: &Candidate, short: &Resources) -> bool {
    (0..MAX_DIMENSIONS).any(|d| short[d] > 0 && candidate.used[d] > 0)
}

fn enough(candidates: &[Candidate], short: &Resources) -> bool {
    short.fits(&candidates.iter().fold(Resources::ZERO, |sum, candidate| sum + candidate.used))
}

/// Who yields first: least urgent, fewest preemptions, least work lost per unit freed, newest start, id.
fn order(a: &Candidate, b: &Candidate, short: &Resources) -> Ordering {
    let loss =
        |one: &Candidate, other: &Candidate| u128::from(one.work_lost) * u128::from(freed_ppm(other, short));
    (b.tier.cmp(&a.tier))
        .then(a.preemptions.cmp(&b.preemptions))
        .then_with(|| loss(a, b).cmp(&loss(b, a)))
        .then(b.started_at.cmp(&a.started_at))
        .then(a.id.cmp(&b.id))
}

/// How much of what is short a candidate frees, summed over the dimensions, in parts per million.
fn freed_ppm(candidate: &Candidate, short: &Resources) -> u64 {
    (0..MAX_DIMENSIONS)
        .filter(|&d| short[d] > 0)
        .map(|d| candidate.used[d].min(short[d]) * 1_000_000 / short[d])
        .sum()
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
        let (mut victims, mut left) = (Vec::new(), self.need.short);
        for candidate in candidates {
            if !contributes(candidate, &left) {
                continue;
            }
            let Some(straddles) = self.is_legal(candidate, &straddled) else { continue };
            straddled[candidate.tier.index()] |= straddles;
            self.excess[candidate.tier.index()] = self.excess[candidate.tier.index()].less(candidate.used);
            left = left.saturating_sub(candidate.used);
            victims.push(*candidate);
            if left.is_zero() {
                break;
            }
        }
        if !left.is_zero() {
            self.excess = untouched;
            straddled = [false; MAX_TIERS];
            let single = candidates.iter().find(|candidate| {
                self.need.short.fits(&candidate.used) && self.is_legal(candidate, &straddled).is_some()
            })?;
            straddled[single.tier.index()] = self.is_legal(single, &straddled)?;
            victims = alloc::vec![*single];
        }
        self.fill_back(&mut victims);
        let straddles = straddled.iter().map(|&straddles| u32::from(straddles)).sum();
        Some(VictimSet { victims, waiver: self.waiver, straddles })
    }

    /// PRE-2 and PRE-4: whether it may be taken, and if so whether its tier straddles then.
    fn is_legal(&self, candidate: &Candidate, straddled: &[bool; MAX_TIERS]) -> Option<bool> {
        if !self.rules.expose(candidate, self.waiver) {
            return None;
        }
        let excess = &self.excess[candidate.tier.index()].0;
        let used = |d: usize| candidate.used[d] as i64;
        let stays = |d: usize| excess[d] >= used(d);
        let mut uses = (0..MAX_DIMENSIONS).filter(|&d| used(d) > 0);
        if !self.need.within {
            return uses.all(stays).then_some(false);
        }
        let mut short = uses.filter(|&d| self.need.short[d] > 0);
        if short.clone().any(stays) {
            return Some(false);
        }
        let may_straddle = self.waiver >= Waiver::Straddle && !straddled[candidate.tier.index()];
        (may_straddle && short.any(|d| excess[d] > 0)).then_some(true)
    }

    /// PRE-3: takes back, last first, every victim without whom enough is freed.
    fn fill_back(&self, victims: &mut Vec<Candidate>) {
        let mut freed = victims.iter().fold(Resources::ZERO, |sum, victim| sum + victim.used);
        victims.reverse();
        victims.retain(|victim| {
            let superfluous = self.need.short.fits(&(freed - victim.used));
            if superfluous {
                freed -= victim.used;
            }
            !superfluous
        });
        victims.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { now: Instant::from_nanos(10), min_run_ns: 5, max_preemptions: 3 };

    fn candidate(slot: u32, tier: Tier, used: [u64; 2]) -> Candidate {
        Candidate {
            id: RequestId::new(slot, 1),
            tier,
            used: used.into(),
            preemptions: 0,
            started_at: Instant::ZERO,
            work_lost: 100,
        }
    }

    fn ids(set: Option<VictimSet>) -> Vec<u32> {
        set.map_or(Vec::new(), |set| set.victims.iter().map(|victim| victim.id.slot()).collect())
    }

    fn excess(units: [i64; 2]) -> [Balance; MAX_TIERS] {
        [Balance([units[0], units[1], 0, 0]); MAX_TIERS]
    }

    fn need(within: bool, short: [u64; 2]) -> Need {
        Need { tier: Tier::P0, within, short: short.into() }
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
        assert_eq!(ids(choose(&need(true, [1, 1]), RULES, &mut all.clone(), &excess([0, 0]))), []);
        assert_eq!(
            ids(choose(&need(true, [1, 1]), RULES, &mut all.clone(), &excess([0, 5]))),
            [0],
            "it straddles"
        );
        assert_eq!(ids(choose(&need(false, [1, 1]), RULES, &mut all, &excess([0, 9]))), []);
    }

    #[test]
    fn the_young_are_spared_unless_the_guarantee_needs_them() {
        let mut all = alloc::vec![candidate(0, Tier::P2, [1, 9])];
        all[0].started_at = Instant::from_nanos(8);
        assert_eq!(ids(choose(&need(false, [1, 1]), RULES, &mut all.clone(), &excess([9, 9]))), []);
        assert_eq!(ids(choose(&need(true, [1, 1]), RULES, &mut all, &excess([9, 9]))), [0]);
    }
}
