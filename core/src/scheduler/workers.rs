//! What the scheduler keeps of a worker and of a device: what is used of it, free, and too much.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::event::{DevicePart, DeviceSpec, WorkerSpec};
use crate::id::{Attempt, DeviceId, RequestId, Tier, WorkerId};
use crate::preempt::Yielders;
use crate::resources::{Balance, MAX_DIMENSIONS, Resources};
use crate::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum WorkerStatus {
    Up,
    /// Runs what it has, and takes nothing.
    Draining,
    Lost,
    /// Stands by as a spare, or is kept out for a while: runs nothing, and takes nothing.
    Out,
}

/// What became of the place of a worker that was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Vacancy {
    /// It left none, or somebody replaced it.
    #[default]
    None,
    /// A spare may take it.
    Open,
    /// A spare took it.
    Filled,
}

/// Whether a worker serves, and how it has fared: what `standing` decides by.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Standing {
    /// Whether it is a spare whose time has not come.
    pub(super) stands_by: bool,
    /// Until when it is kept out.
    pub(super) out_until: Option<Instant>,
    /// Whether it ever served.
    pub(super) has_served: bool,
    /// When it was added, or came to serve.
    pub(super) since: Instant,
    /// How often in a row it, and those that it replaces, were lost.
    pub(super) losses: u32,
    pub(super) lost_at: Instant,
    pub(super) vacancy: Vacancy,
}

/// A worker is kept clear of borrowed starts for a waiting request that needs much of it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Drain {
    pub(super) slot: u32,
    pub(super) tier: Tier,
    pub(super) since: Instant,
}

/// Where memory can run out. Workers come before devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Place {
    Worker(WorkerId),
    Device(DeviceId),
}

/// Use beyond a capacity that shrank below it, and until when it is left alone.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Tolerance {
    pub(super) units: Resources,
    pub(super) until: Option<Instant>,
}

impl Tolerance {
    /// It shrinks as the overuse does.
    pub(super) fn cap(&mut self, overuse: Resources) {
        self.units = self.units.min(overuse);
    }
}

/// How many changes of workers are kept: more than a decision makes.
const KEPT_CHANGES: usize = 8;

/// Which workers changed last of that by which they are searched for victims.
#[derive(Debug)]
pub(super) struct Changes {
    last: [WorkerId; KEPT_CHANGES],
    /// How many there were; several of one worker, one after the other, are one.
    count: u64,
}

impl Default for Changes {
    fn default() -> Self {
        Self { last: [WorkerId::new(u32::MAX); KEPT_CHANGES], count: 0 }
    }
}

impl Changes {
    fn place(number: u64) -> usize {
        number as usize % KEPT_CHANGES
    }

    /// Something of a worker changes.
    #[inline(always)]
    pub(super) fn note(&mut self, id: WorkerId, worker: &mut Worker) {
        worker.changes += 1;
        self.list(id);
    }

    #[inline(always)]
    fn list(&mut self, id: WorkerId) {
        if self.last[Self::place(self.count)] != id {
            self.count += 1;
            self.last[Self::place(self.count)] = id;
        }
    }

    /// What to ask [`since`](Self::since) with later: the last worker may change again without being told apart.
    pub(super) fn mark(&self) -> u64 {
        self.count
    }

    /// Those that changed since a mark, and perhaps others, some of them twice; `None` if they were too many.
    pub(super) fn since(&self, mark: u64) -> Option<impl Iterator<Item = WorkerId> + use<'_>> {
        let few = self.count - mark < KEPT_CHANGES as u64;
        few.then(|| (mark..=self.count).map(|number| self.last[Self::place(number)]))
    }
}

#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Worker {
    pub(super) spec: WorkerSpec,
    pub(super) status: WorkerStatus,
    pub(super) standing: Standing,
    /// Where it stands among those of its pool that are up, if it is.
    pub(super) place: u32,
    /// What it could hold, were it and its devices empty.
    pub(super) whole: Resources,
    /// The sum over its requests.
    pub(super) used: Resources,
    /// What the engine reports to use beyond that, or less.
    pub(super) offset: Balance,
    /// The part of `used` by tier.
    pub(super) used_by_tier: Box<[Resources]>,
    /// The part of `used` that is being given back.
    pub(super) yielding: Resources,
    pub(super) earmarked: Resources,
    pub(super) tolerance: Tolerance,
    /// Tokens that its steps gave to each request that has reported, since it was added.
    pub(super) step_tokens: u64,
    /// Tokens that its steps may still give before a request on it may outrun what was charged for it.
    pub(super) until_outrun: u64,
    /// The requests on it, in no order that means anything.
    pub(super) running: Vec<u32>,
    /// Those that reported of an attempt before they had a token, with it; some of them have one now, or are gone.
    pub(super) without_token: Vec<(RequestId, Attempt)>,
    /// Those of them that may yield, by tier.
    pub(super) yielders: Box<[Yielders]>,
    /// Its claims, the most urgent first, then by the owner's arrival.
    pub(super) claims: Vec<u32>,
    pub(super) drain: Option<Drain>,
    /// How often anything changed by which it is searched for victims.
    pub(super) changes: u64,
}

impl Worker {
    pub(super) fn new(spec: WorkerSpec, whole: Resources, tiers: usize) -> Self {
        Self {
            spec,
            status: WorkerStatus::Out,
            standing: Standing::default(),
            place: 0,
            whole,
            used: Resources::ZERO,
            offset: Balance::default(),
            used_by_tier: alloc::vec![Resources::ZERO; tiers].into(),
            yielding: Resources::ZERO,
            earmarked: Resources::ZERO,
            tolerance: Tolerance::default(),
            step_tokens: 0,
            until_outrun: u64::MAX,
            running: Vec::new(),
            without_token: Vec::new(),
            yielders: (0..tiers).map(|_| Yielders::default()).collect(),
            claims: Vec::new(),
            drain: None,
            changes: 0,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.status == WorkerStatus::Up
    }

    /// Its part of a device, if it stands on it.
    pub(super) fn part_on(&self, device: DeviceId) -> Option<&DevicePart> {
        self.spec.devices.iter().find(|part| part.device == device)
    }

    /// What is used of it in truth.
    pub(super) fn in_use(&self) -> Resources {
        if self.offset.is_zero() {
            return self.used;
        }
        Balance::default().plus(self.used).plus_signed(self.offset).positive()
    }

    /// How far the truth is from the sum over its requests.
    pub(super) fn shift(&self) -> Balance {
        Balance::of(self.in_use(), self.used)
    }

    /// Capacity less use and earmarks.
    pub(super) fn free(&self) -> Balance {
        Balance::of(self.spec.capacity, self.in_use() + self.earmarked)
    }

    /// What those that may have to yield use of the dimensions asked for, in sum; `None` if it could not hold what is
    /// asked with that. `reached` are their tiers; asked of all workers, for every search.
    pub(super) fn yielding_for(&self, reached: &[Tier], asks: &Resources) -> Option<u64> {
        let mut yielding = Resources::ZERO;
        reached.iter().for_each(|tier| yielding += self.used_by_tier[tier.index()]);
        if !asks.fits(&self.whole)
            || !(*asks + self.in_use() + self.earmarked)
                .fits_where_asked(&(self.spec.capacity + yielding), asks)
        {
            return None;
        }
        Some((0..MAX_DIMENSIONS).filter(|&d| asks[d] > 0).map(|d| yielding[d]).sum())
    }

    /// What is used beyond the capacity.
    pub(super) fn overuse(&self) -> Resources {
        self.in_use().saturating_sub(self.spec.capacity)
    }

    /// What is used beyond the capacity, is not tolerated, and is not being given back yet.
    pub(super) fn overdraft(&self) -> Resources {
        self.in_use().saturating_sub(self.spec.capacity + self.yielding + self.tolerance.units)
    }

    /// Whether nothing can be too much, nor have been, on it: it stands on no devices, uses what its requests do and no more
    /// than it has, and tolerates nothing.
    #[inline]
    pub(super) fn is_in_order(&self) -> bool {
        self.spec.devices.is_empty()
            && self.offset.is_zero()
            && self.tolerance.units.is_zero()
            && self.used.fits(&self.spec.capacity)
    }

    /// Whether that is anything: nearly never, and asked at every change.
    pub(super) fn is_overdrawn(&self) -> bool {
        if self.offset.is_zero() && self.used.fits(&self.spec.capacity) {
            return false;
        }
        !self.in_use().fits(&(self.spec.capacity + self.yielding + self.tolerance.units))
    }
}

/// What its workers share, and fail with.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Device {
    pub(super) spec: DeviceSpec,
    pub(super) is_lost: bool,
    /// Its workers that are not lost, in the order of their numbers.
    pub(super) workers: Vec<WorkerId>,
    /// The sums over the requests on its workers, part by part.
    pub(super) used: Resources,
    pub(super) yielding: Resources,
    pub(super) earmarked: Resources,
    pub(super) offset: Balance,
    pub(super) tolerance: Tolerance,
    /// Memory that checkpoints made on it take.
    pub(super) checkpoints_kib: u128,
}

/// Free units where there is no limit: more than anybody can ask for.
const UNLIMITED: i64 = i64::MAX / 4;

impl Device {
    pub(super) fn new(spec: DeviceSpec) -> Self {
        Self {
            spec,
            is_lost: false,
            workers: Vec::new(),
            used: Resources::ZERO,
            yielding: Resources::ZERO,
            earmarked: Resources::ZERO,
            offset: Balance::default(),
            tolerance: Tolerance::default(),
            checkpoints_kib: 0,
        }
    }

    /// What is used of it in truth.
    pub(super) fn in_use(&self) -> Resources {
        if self.offset.is_zero() {
            return self.used;
        }
        Balance::default().plus(self.used).plus_signed(self.offset).positive()
    }

    /// Its limit less use and earmarks.
    pub(super) fn free(&self) -> Balance {
        let mut free = Balance::of(self.spec.limit, self.in_use() + self.earmarked);
        for (d, units) in free.0.iter_mut().enumerate() {
            if self.spec.limit[d] == 0 {
                *units = UNLIMITED;
            }
        }
        free
    }

    /// Units beyond its limit, where it has one.
    fn beyond(&self, units: Resources, allowed: Resources) -> Resources {
        let mut beyond = units.saturating_sub(self.spec.limit + allowed);
        for d in 0..MAX_DIMENSIONS {
            if self.spec.limit[d] == 0 {
                beyond[d] = 0;
            }
        }
        beyond
    }

    pub(super) fn overuse(&self) -> Resources {
        self.beyond(self.in_use(), Resources::ZERO)
    }

    pub(super) fn overdraft(&self) -> Resources {
        self.beyond(self.in_use(), self.yielding + self.tolerance.units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whoever_changed_since_a_mark_is_told_or_that_they_were_too_many(
            before in prop::collection::vec(0_u32..3, 0..20),
            after in prop::collection::vec(0_u32..3, 0..20),
        ) {
            let mut changes = Changes::default();
            before.into_iter().for_each(|id| changes.list(WorkerId::new(id)));
            let mark = changes.mark();
            for (number, id) in after.iter().enumerate() {
                changes.list(WorkerId::new(*id));
                let Some(told) = changes.since(mark) else {
                    prop_assert!(number + 1 >= KEPT_CHANGES, "{number} changes are not many");
                    continue;
                };
                let told: Vec<u32> = told.map(WorkerId::get).collect();
                prop_assert!(after[..=number].iter().all(|id| told.contains(id)), "{told:?} of {after:?}");
            }
        }
    }
}
