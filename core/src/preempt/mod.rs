//! Victim sets: which running requests of one worker yield for one that waits.
//!
//! Pure: it returns a set, the scheduler acts. Decides legality, order, greed and fill-back (section 6 of
//! `docs/SEMANTICS.md`); knows neither queues nor claims. Looks at O(victims · log n) of n candidates where few are
//! protected or of no use; groups of those that are all so are passed by.
//! Invariants: PRE-1 (never the same tier, a more urgent one only with `AnyBorrower`), PRE-2 (never from a tier
//! within its reserve in every short dimension), PRE-3 (no victim is superfluous), PRE-4 (`min_run`,
//! `max_preemptions`).

mod search;
#[cfg(test)]
mod tests;
mod walk;
mod yielders;

use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::config::Preemption;
use crate::event::DevicePart;
use crate::id::{RequestId, Tier, WorkerId};
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::time::Instant;
pub(crate) use search::choose;
pub(crate) use walk::Scratch;
pub(crate) use yielders::{AtStake, Bounds, Prices, Yielders, steps_told};

/// Units on a worker, and on each of its devices that are short of something, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaceUnits {
    pub(crate) worker: Resources,
    pub(crate) devices: SmallVec<[Resources; 2]>,
}

impl PlaceUnits {
    /// What is short, and what somebody frees of it, place by place.
    fn beside<'a>(&'a self, frees: &'a Self) -> impl Iterator<Item = (&'a Resources, &'a Resources)> {
        let devices = self.devices.iter().zip(&frees.devices);
        core::iter::once((&self.worker, &frees.worker)).chain(devices)
    }

    /// The dimensions in which `frees` has something of what is short.
    fn dimensions(&self, frees: &Self) -> [bool; MAX_DIMENSIONS] {
        // Of each group that a search comes by, and nearly always of a worker alone: without a chain of both.
        let mut dimensions = core::array::from_fn(|d| self.worker[d] > 0 && frees.worker[d] > 0);
        for (short, frees) in self.devices.iter().zip(&frees.devices) {
            for (d, helps) in dimensions.iter_mut().enumerate() {
                *helps |= short[d] > 0 && frees[d] > 0;
            }
        }
        dimensions
    }

    fn is_helped_by(&self, frees: &Self) -> bool {
        self.dimensions(frees).contains(&true)
    }

    /// Whether that alone frees all that is short.
    fn is_met_by(&self, frees: &Self) -> bool {
        self.beside(frees).all(|(short, frees)| short.fits(frees))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.worker.is_zero() && self.devices.iter().all(Resources::is_zero)
    }

    fn add(&mut self, more: &Self) {
        self.worker += more.worker;
        for (units, more) in self.devices.iter_mut().zip(&more.devices) {
            *units += *more;
        }
    }

    fn subtract(&mut self, frees: &Self) {
        self.worker = self.worker.saturating_sub(frees.worker);
        for (short, frees) in self.devices.iter_mut().zip(&frees.devices) {
            *short = short.saturating_sub(*frees);
        }
    }
}

/// A running request that may yield.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: RequestId,
    pub(crate) tier: Tier,
    /// All that it uses.
    pub(crate) used: Resources,
    /// What of it is where something is short: nothing on the worker of one that only shares a device.
    pub(crate) frees: PlaceUnits,
    pub(crate) preemptions: u32,
    pub(crate) started_at: Instant,
    /// Nanoseconds of work that would be done again, or of swapping.
    pub(crate) work_lost: u64,
    /// Whether it would be done before it could be stopped.
    pub(crate) finishes_first: bool,
    /// Whether, as a victim, it takes its tier below its reserve.
    pub(crate) straddles: bool,
}

/// Which tiers have to yield.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// The tier of the request that waits.
    pub(crate) tier: Tier,
    /// Whom it may stop.
    pub(crate) whom: Preemption,
}

impl Order {
    /// The least urgent first.
    pub(crate) fn tiers(self, count: usize) -> impl Iterator<Item = Tier> {
        (0..count as u8).rev().map(Tier::new).filter(move |&other| self.whom.reaches(self.tier, other))
    }
}

/// What is wanted of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    pub(crate) order: Order,
    /// Whether it would stay within its tier's reserve: only then do waivers apply.
    pub(crate) within: bool,
    /// What is short, by dimension.
    pub(crate) short: PlaceUnits,
}

impl Need {
    /// Those rules that may be waived, with those before: in this order, when there is no set otherwise.
    pub(crate) fn waivers(within: bool) -> &'static [Waiver] {
        if within { &Waiver::ALL } else { &Waiver::ALL[..1] }
    }
}

/// A worker whose requests are candidates: the one that is short of something, or one that shares a device with it.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) worker: WorkerId,
    /// Who may yield there, by tier.
    pub(crate) yielders: &'a [Yielders],
    /// What its steps have counted.
    pub(crate) steps: i64,
    /// Whether it is the one that is short.
    pub(crate) is_here: bool,
    /// Its parts of the devices that are short, in their order.
    pub(crate) parts: SmallVec<[Option<DevicePart>; 2]>,
}

impl Source<'_> {
    /// What use of this worker is where something is short.
    pub(crate) fn frees(&self, used: Resources) -> PlaceUnits {
        let mut frees =
            PlaceUnits { worker: if self.is_here { used } else { Resources::ZERO }, ..PlaceUnits::default() };
        // Mostly there are none.
        for part in &self.parts {
            frees.devices.push(part.map_or(Resources::ZERO, |part| part.of(used)));
        }
        frees
    }
}

/// Where a search reads what is true of a request now.
pub(crate) trait Runners {
    fn candidate(&self, slot: u32, source: &Source<'_>) -> Candidate;
    fn bounds(&self, slot: u32) -> Bounds;
}

/// The rules that protect a candidate, and what is waived of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) now: Instant,
    pub(crate) min_run_ns: u64,
    pub(crate) max_preemptions: u32,
    pub(crate) prices: Prices,
}

impl Rules {
    /// PRE-4: whether a candidate ran long enough, is left alone often enough, and is not as good as done.
    fn expose(&self, candidate: &Candidate, waiver: Waiver) -> bool {
        let age = self.now.nanos_since(candidate.started_at);
        (waiver >= Waiver::FinishTest || !candidate.finishes_first)
            && (waiver >= Waiver::MinRun || age >= self.min_run_ns)
            && (waiver >= Waiver::MaxPreemptions || candidate.preemptions < self.max_preemptions)
    }

    /// Whether some of these may be exposed.
    fn may_expose(&self, bounds: &Bounds, waiver: Waiver) -> bool {
        (waiver >= Waiver::MinRun || self.now.nanos_since(bounds.oldest) >= self.min_run_ns)
            && (waiver >= Waiver::MaxPreemptions || bounds.preemptions < self.max_preemptions)
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
    /// Their slots, in the order chosen.
    pub(crate) victims: Vec<u32>,
    pub(crate) waiver: Waiver,
    pub(crate) harm: Harm,
}

/// What a set costs: of two for the same need, with the same rules waived, the lesser does less harm: fewer who straddle,
/// then the less urgent of the most urgent victims, then less work lost, then fewer victims. In one number, from the top:
/// a search compares dozens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Harm(u128);

impl Harm {
    /// How many bits there are for victims, of whom there are fewer than `MAX_REQUESTS`, and for work lost: the
    /// nanoseconds of a word for each of them.
    const VICTIM_BITS: u32 = 24;
    const LOST_BITS: u32 = 88;

    /// No set does less.
    pub(crate) const LEAST: Self = Self(1);

    fn new(straddles: usize, most_urgent: Tier, work_lost: u128, victims: usize) -> Self {
        debug_assert!(work_lost >> Self::LOST_BITS == 0 && victims >> Self::VICTIM_BITS == 0);
        // Each tier has one who straddles at most.
        let first = (straddles as u128) << u8::BITS | u128::from(u8::MAX - most_urgent.get());
        Self((first << Self::LOST_BITS | work_lost) << Self::VICTIM_BITS | victims as u128)
    }

    fn of(victims: &[Candidate]) -> Self {
        let straddles = victims.iter().filter(|victim| victim.straddles).count();
        let most_urgent = victims.iter().map(|victim| victim.tier).min().unwrap_or(Tier::P0);
        let work_lost = victims.iter().map(|victim| u128::from(victim.work_lost)).sum();
        Self::new(straddles, most_urgent, work_lost, victims.len())
    }

    /// How many of the victims straddle.
    pub(crate) fn straddles(self) -> u64 {
        (self.0 >> (u8::BITS + Self::LOST_BITS + Self::VICTIM_BITS)) as u64
    }

    /// No set on a worker that is short of so much, and not of anything on devices, does less than this; `None` if
    /// there is none. O(tiers).
    pub(crate) fn at_least(
        order: Order,
        short: Resources,
        yielders: &[Yielders],
        steps: i64,
        prices: Prices,
    ) -> Option<Self> {
        let (mut left, mut lost, mut most_use) = (short, u64::MAX, Resources::ZERO);
        for tier in order.tiers(yielders.len()) {
            let theirs = &yielders[tier.index()];
            let Some(top) = theirs.top() else { continue };
            let bounds = theirs.bounds(top);
            lost = lost.min(bounds.work_lost(steps, prices));
            most_use = most_use.max(bounds.most_use);
            left = left.saturating_sub(theirs.total);
            if left.is_zero() {
                let needed =
                    |d: usize| if short[d] > most_use[d] { short[d].div_ceil(most_use[d]) } else { 1 };
                let victims = (0..MAX_DIMENSIONS).map(needed).max().unwrap_or(1);
                let work_lost = u128::from(lost) * u128::from(victims);
                return Some(Self::new(0, tier, work_lost, victims as usize));
            }
        }
        None
    }
}
