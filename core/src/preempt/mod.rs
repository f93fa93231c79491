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

/// Dimensions of units, a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dimensions(u8);

impl Dimensions {
    const NONE: Self = Self(0);

    /// Those in which there is something.
    fn of(units: &Resources) -> Self {
        const { assert!(MAX_DIMENSIONS <= u8::BITS as usize, "a bit for each") };
        Self((0..MAX_DIMENSIONS).fold(0, |all, d| all | u8::from(units[d] > 0) << d))
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn any(self, is_so: impl Fn(usize) -> bool) -> bool {
        self != Self::NONE && (0..MAX_DIMENSIONS).any(|d| self.0 >> d & 1 == 1 && is_so(d))
    }

    fn all(self, is_so: impl Fn(usize) -> bool) -> bool {
        !self.any(|d| !is_so(d))
    }
}

/// Units on a worker, and on each of its devices that are short of something, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaceUnits {
    pub(crate) worker: Resources,
    pub(crate) devices: SmallVec<[Resources; 2]>,
}

impl PlaceUnits {
    /// Whether that alone frees all that is short.
    fn is_met_by(&self, frees: &Self) -> bool {
        let mut devices = self.devices.iter().zip(&frees.devices);
        self.worker.fits(&frees.worker) && devices.all(|(short, frees)| short.fits(frees))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.worker.is_zero() && self.devices.iter().all(Resources::is_zero)
    }

    fn add(&mut self, source: &Source<'_>, used: Resources) {
        self.change(source, used, |units, more| units + more);
    }

    /// What is there of it at most.
    fn subtract(&mut self, source: &Source<'_>, used: Resources) {
        self.change(source, used, Resources::saturating_sub);
    }

    /// By what use of a worker frees: nothing on the worker that is short if this one only shares a device with it.
    fn change(
        &mut self,
        source: &Source<'_>,
        used: Resources,
        changed: impl Fn(Resources, Resources) -> Resources,
    ) {
        if source.is_here {
            self.worker = changed(self.worker, used);
        }
        for (units, part) in self.devices.iter_mut().zip(&source.parts) {
            *units = part.map_or(*units, |part| changed(*units, part.of(used)));
        }
    }
}

/// What is short, and in which dimensions it is on the worker: a search asks that of each group that it comes by.
#[derive(Clone, Debug)]
struct Shortage {
    units: PlaceUnits,
    on_worker: Dimensions,
}

impl Shortage {
    fn of(units: &PlaceUnits) -> Self {
        Self { on_worker: Dimensions::of(&units.worker), units: units.clone() }
    }

    fn subtract(&mut self, source: &Source<'_>, used: Resources) {
        self.units.subtract(source, used);
        self.on_worker = Dimensions::of(&self.units.worker);
    }
}

/// A running request that may yield.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: RequestId,
    pub(crate) tier: Tier,
    /// All that it uses.
    pub(crate) used: Resources,
    /// The number of the source that it is of.
    pub(crate) source: u32,
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
    /// What is freed by use of this worker where something is short.
    fn frees(&self, used: Resources) -> PlaceUnits {
        let mut frees = self.frees_nothing();
        frees.add(self, used);
        frees
    }

    fn frees_nothing(&self) -> PlaceUnits {
        PlaceUnits {
            worker: Resources::ZERO,
            devices: SmallVec::from_elem(Resources::ZERO, self.parts.len()),
        }
    }

    /// The dimensions in which use of this worker has something of what is short.
    fn helps(&self, short: &Shortage, used: &Resources) -> Dimensions {
        let on_worker =
            if self.is_here { short.on_worker.and(Dimensions::of(used)) } else { Dimensions::NONE };
        // Mostly no device is short.
        if self.parts.is_empty() { on_worker } else { on_worker.or(self.helps_devices(&short.units, used)) }
    }

    #[inline(never)] // seldom, and `helps` is in line without it
    fn helps_devices(&self, short: &PlaceUnits, used: &Resources) -> Dimensions {
        let devices = short.devices.iter().zip(&self.parts);
        devices.fold(Dimensions::NONE, |helps, (short, part)| {
            let frees = part.map_or(Resources::ZERO, |part| part.of(*used));
            helps.or(Dimensions::of(short).and(Dimensions::of(&frees)))
        })
    }

    /// How much of what is short is freed by use of this worker, over all dimensions and places, in millionths.
    fn freed_ppm(&self, short: &PlaceUnits, used: &Resources) -> u64 {
        let freed = |short: &Resources, frees: &Resources| -> u64 {
            let dimensions = (0..MAX_DIMENSIONS).filter(|&d| short[d] > 0);
            dimensions.map(|d| frees[d].min(short[d]) * 1_000_000 / short[d]).sum()
        };
        let here = if self.is_here { freed(&short.worker, used) } else { 0 };
        let devices = short.devices.iter().zip(&self.parts);
        here + devices.filter_map(|(short, part)| Some(freed(short, &part.as_ref()?.of(*used)))).sum::<u64>()
    }
}

/// Where a search reads what is true of a request now.
pub(crate) trait Runners {
    /// Of the source with this number.
    fn candidate(&self, slot: u32, source: u32) -> Candidate;
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
