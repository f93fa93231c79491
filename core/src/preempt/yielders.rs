//! Who may yield on one worker, of one tier: in no order, under bounds on what they use and what they would lose.
//!
//! A tree of groups of [`FAN`]. The bounds of a group hold for all in it, and often for more: who leaves takes nothing
//! back, and a search that has looked at a whole group says what is true of it ([`Yielders::tighten`]). Insert, widen:
//! O(log n), mostly O(1); remove: O(1).

use alloc::vec::Vec;

use crate::id::RequestId;
use crate::resources::Resources;
use crate::time::Instant;

/// How many make a group: chosen so that what a search looks at, groups and members, is least for some hundreds.
const FAN: usize = 8;
const NOBODY: u32 = u32::MAX;

/// The worker's count of tokens that bounds are told against stops here, far below where it goes round: bounds that
/// are older than that are lower than they could be, and still bounds.
const MOST_STEPS: u64 = 1 << 61;
/// The most tokens that a request is thought to have.
const MOST_CONTEXT: u64 = 1 << 62;

/// What a worker's steps have counted, for [`Bounds`].
pub(crate) fn steps_told(step_tokens: u64) -> i64 {
    step_tokens.min(MOST_STEPS) as i64
}

/// What holds for some requests: each has at least the least of everything and at most the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Bounds {
    pub(crate) least_use: Resources,
    pub(crate) most_use: Resources,
    /// The fewest tokens that one would compute again, less what the worker's steps had counted: steps let all grow
    /// alike.
    lost: i64,
    /// The fewest that one which can be swapped would swap, likewise.
    swapped: i64,
    pub(crate) oldest: Instant,
    pub(crate) newest: Instant,
    pub(crate) preemptions: u32,
    pub(crate) id: RequestId,
}

/// What stopping one costs, in tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtStake {
    /// Its context, and the part of it that would not have to be computed again.
    pub(crate) context: u64,
    pub(crate) safe: u64,
    /// Whether the engine has reported that it runs: else there is nothing to lose.
    pub(crate) runs: bool,
    pub(crate) can_swap: bool,
}

/// Nanoseconds for each token that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prices {
    pub(crate) compute_ns: u64,
    pub(crate) swap_ns: u64,
}

impl Bounds {
    /// What holds for nobody.
    const NONE: Self = Self {
        least_use: Resources::BOUNDLESS,
        most_use: Resources::ZERO,
        lost: i64::MAX,
        swapped: i64::MAX,
        oldest: Instant::from_nanos(u64::MAX),
        newest: Instant::ZERO,
        preemptions: u32::MAX,
        id: RequestId::new(u32::MAX, u32::MAX),
    };

    /// What holds for one request on a worker whose steps have counted so much.
    pub(crate) fn of_one(
        id: RequestId,
        used: Resources,
        stake: AtStake,
        steps: i64,
        started_at: Instant,
        preemptions: u32,
    ) -> Self {
        let context = stake.context.min(MOST_CONTEXT) as i64;
        let lost = if stake.runs { context - stake.safe.min(MOST_CONTEXT) as i64 - steps } else { i64::MIN };
        let swapped = if stake.runs && stake.can_swap { context - steps } else { i64::MAX };
        Self {
            least_use: used,
            most_use: used,
            lost,
            swapped,
            oldest: started_at,
            newest: started_at,
            preemptions,
            id,
        }
    }

    /// The least that one of them loses, now that the worker's steps have counted so much.
    pub(crate) fn work_lost(&self, steps: i64, prices: Prices) -> u64 {
        let cost = |count: i64, price: u64| {
            let now = u64::try_from(count.saturating_add(steps)).unwrap_or(0);
            now.saturating_mul(price)
        };
        let computed = cost(self.lost, prices.compute_ns);
        if self.swapped == i64::MAX { computed } else { computed.min(cost(self.swapped, prices.swap_ns)) }
    }

    fn holds_for(&self, other: &Self) -> bool {
        self.least_use.fits(&other.least_use)
            && other.most_use.fits(&self.most_use)
            && self.lost <= other.lost
            && self.swapped <= other.swapped
            && self.oldest <= other.oldest
            && self.newest >= other.newest
            && self.preemptions <= other.preemptions
            && self.id <= other.id
    }

    fn join(&self, other: &Self) -> Self {
        Self {
            least_use: self.least_use.min(other.least_use),
            most_use: self.most_use.max(other.most_use),
            lost: self.lost.min(other.lost),
            swapped: self.swapped.min(other.swapped),
            oldest: self.oldest.min(other.oldest),
            newest: self.newest.max(other.newest),
            preemptions: self.preemptions.min(other.preemptions),
            id: self.id.min(other.id),
        }
    }

    pub(crate) fn join_all(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::NONE, |joined, one| joined.join(&one))
    }
}

/// A group of members, or of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    level: u32,
    index: u32,
}

/// The requests of one tier on one worker that may yield.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Yielders {
    /// The requests by place.
    members: Vec<u32>,
    vacant: Vec<u32>,
    /// Groups of places; groups of those; the first level that is a single group is the top.
    levels: Vec<Vec<Bounds>>,
    /// What they use together.
    pub(crate) total: Resources,
}

impl Yielders {
    /// Takes one in; its place.
    pub(crate) fn insert(&mut self, slot: u32, bounds: &Bounds) -> u32 {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.members.push(NOBODY);
            let place = self.members.len() - 1;
            self.grow_to(place / FAN);
            place as u32
        });
        self.members[place as usize] = slot;
        self.widen(place, bounds);
        place
    }

    /// There is one more group of places than before, or as many.
    fn grow_to(&mut self, group: usize) {
        let (mut level, mut index) = (0, group);
        loop {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            if index < self.levels[level].len() {
                return;
            }
            self.levels[level].push(Bounds::NONE);
            match self.levels[level].len() {
                1 => {
                    // The former top is in it.
                    if level > 0 {
                        self.levels[level][0] = self.levels[level - 1][0];
                    }
                    return;
                }
                2 => (level, index) = (level + 1, 0),
                _ => (level, index) = (level + 1, index / FAN),
            }
        }
    }

    /// These are the bounds of the one at a place now. Whether they are beyond those of a group that it is in.
    pub(crate) fn widen(&mut self, place: u32, bounds: &Bounds) -> bool {
        self.widen_groups(place, |group| {
            let is_within = group.holds_for(bounds);
            if !is_within {
                *group = group.join(bounds);
            }
            is_within
        })
    }

    /// The same of one that uses this now, and of which all else that is known of its groups still holds.
    pub(crate) fn widen_use(&mut self, place: u32, used: &Resources) -> bool {
        self.widen_groups(place, |group| {
            let is_within = group.least_use.fits(used) && used.fits(&group.most_use);
            if !is_within {
                (group.least_use, group.most_use) = (group.least_use.min(*used), group.most_use.max(*used));
            }
            is_within
        })
    }

    /// Widens the groups that the one at a place is in, up to the first that held already. Whether there was one that did not.
    fn widen_groups(&mut self, place: u32, holds: impl Fn(&mut Bounds) -> bool) -> bool {
        let mut index = place as usize;
        for (number, level) in self.levels.iter_mut().enumerate() {
            index /= FAN;
            if holds(&mut level[index]) {
                return number > 0;
            }
            if level.len() == 1 {
                return true;
            }
        }
        true
    }

    pub(crate) fn remove(&mut self, place: u32) {
        self.members[place as usize] = NOBODY;
        self.vacant.push(place);
        if self.vacant.len() == self.members.len() {
            self.members.clear();
            self.vacant.clear();
            self.levels.iter_mut().for_each(Vec::clear);
        }
    }

    /// All of them, unless there are none.
    pub(crate) fn top(&self) -> Option<Group> {
        let level = self.levels.iter().position(|level| level.len() == 1)?;
        Some(Group { level: level as u32, index: 0 })
    }

    pub(crate) fn bounds(&self, group: Group) -> &Bounds {
        &self.levels[group.level as usize][group.index as usize]
    }

    /// The groups in a group, or nothing if it is of members.
    pub(crate) fn groups_in(&self, group: Group) -> Option<impl Iterator<Item = Group> + use<>> {
        let level = group.level.checked_sub(1)?;
        let first = group.index * FAN as u32;
        let end = (first + FAN as u32).min(self.levels[level as usize].len() as u32);
        Some((first..end).map(move |index| Group { level, index }))
    }

    /// The members of a group of members.
    pub(crate) fn members_of(&self, group: Group) -> impl Iterator<Item = u32> + use<'_> {
        let first = group.index as usize * FAN;
        let end = (first + FAN).min(self.members.len());
        self.members[first..end].iter().copied().filter(|&slot| slot != NOBODY)
    }

    /// Nobody in a group of members is beyond these bounds, now that it was looked at.
    pub(crate) fn tighten(&mut self, group: Group, bounds: Bounds) {
        self.levels[0][group.index as usize] = bounds;
        let mut index = group.index as usize;
        for level in 1..self.levels.len() {
            if self.levels[level - 1].len() == 1 {
                return;
            }
            index /= FAN;
            let lower = &self.levels[level - 1];
            let members = &lower[index * FAN..lower.len().min((index + 1) * FAN)];
            self.levels[level][index] = Bounds::join_all(members.iter().copied());
        }
    }

    /// Whether one is at a place, and all that is said of it holds.
    pub(crate) fn knows(&self, place: u32, slot: u32, bounds: &Bounds) -> bool {
        let groups = self.levels.iter().scan(place as usize, |index, level| {
            *index /= FAN;
            level.get(*index)
        });
        self.members.get(place as usize) == Some(&slot)
            && groups.into_iter().all(|group| group.holds_for(bounds))
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len() - self.vacant.len()
    }
}
