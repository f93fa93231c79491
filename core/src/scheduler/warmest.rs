//! Where a request goes by caches: to the emptiest of the workers that it may start on, or to one that has more of its
//! prompt, whichever costs least.
//!
//! Where one that has much of it costs surely less than any other would, the emptiest is not looked for: that one is then the
//! least of all, and whether it is too full for it is decided by how full the emptiest is at least. Few are weighed, those with the
//! most first; knows nothing of what they wait for. O(blocks of the prompt), and what those few take.

use smallvec::SmallVec;

use super::{NO_PLACE, Scheduler};
use crate::config::Affinity;
use crate::id::WorkerId;
use crate::placement::{Load, affine_score, is_out_of_balance};
use crate::prefix_index::Warm;

/// How many warm workers are weighed against each other: all begin with the same system prompt, and a decision is to stay
/// within a microsecond.
const WEIGHED: usize = 8;

/// How many warm workers are looked at for them: others may be of other pools, or come to be drained.
const LOOKED_AT: usize = 32;

/// What it costs to start somewhere in tokens, how full that is then, and who it is: less is better.
type Cost = (u64, Load, WorkerId);

/// Those that are to be weighed: what they cost at least, who they are, and how many tokens of the prompt they have.
type Candidates = SmallVec<[(u64, WorkerId, u64); WEIGHED]>;

impl Scheduler {
    /// Workers of a pool that are up and have some of a prompt, of the few that are looked at, and how many tokens, those with the
    /// most first.
    pub(super) fn warm(&self, slot: u32, last: u32) -> SmallVec<[(WorkerId, u64); WEIGHED]> {
        let warm = self.warmth.index().warm(last, self.enough(slot));
        self.weighed(slot, &warm).map(|(id, _, cached)| (id, cached)).collect()
    }

    /// Whether enough are looked at with this one.
    fn enough(&self, slot: u32) -> impl FnMut(u32) -> bool + use<'_> {
        let (places, mut looked_at, mut count) = (&self.pool(self.requests[slot].pool()).places, 0, 0);
        move |worker| {
            looked_at += 1;
            count += usize::from(places.get(worker as usize).is_some_and(|&place| place != NO_PLACE));
            looked_at == LOOKED_AT || count == WEIGHED
        }
    }

    /// Those that count: their places in the pool of a request, and how many tokens of its prompt they have.
    fn weighed<'a>(
        &'a self,
        slot: u32,
        looked_at: &'a Warm,
    ) -> impl Iterator<Item = (WorkerId, usize, u64)> + use<'a> {
        let places = &self.pool(self.requests[slot].pool()).places;
        let in_pool = looked_at.iter().filter_map(|&(number, blocks)| {
            let place = places.get(number as usize).copied().filter(|&place| place != NO_PLACE)?;
            Some((WorkerId::new(number), place as usize, blocks))
        });
        in_pool.take(WEIGHED).map(move |(id, place, blocks)| (id, place, self.tokens_in(slot, blocks)))
    }

    /// Of the workers that a request may start on, the emptiest and those that are warm for it: the one that costs least. Who
    /// goes by caches finds the emptiest with its load, as far as that was asked.
    #[inline]
    pub(super) fn warmest(
        &self,
        slot: u32,
        may_start_on: impl Fn(WorkerId) -> bool,
        emptiest: impl FnOnce() -> Option<(WorkerId, Option<Load>)>,
    ) -> Option<WorkerId> {
        match (self.config.affinity(), self.warmth.of(slot)) {
            (Some(affinity), Some(last)) => self.warmest_by(affinity, last, slot, may_start_on, emptiest),
            _ => emptiest().map(|(id, _)| id),
        }
    }

    fn warmest_by(
        &self,
        affinity: &Affinity,
        last: u32,
        slot: u32,
        may_start_on: impl Fn(WorkerId) -> bool,
        emptiest: impl FnOnce() -> Option<(WorkerId, Option<Load>)>,
    ) -> Option<WorkerId> {
        // Who has no more of it than the emptiest costs more.
        let (warm, blocks) = self.warmth.index().warmer_than_others(last, self.enough(slot));
        if warm.is_empty() {
            return emptiest().map(|(id, _)| id);
        }
        let record = &self.requests[slot];
        let pool = self.pool(record.pool());
        let cost_of = |cached: u64, load_ppm: u32| {
            affine_score(record.spec.prompt_tokens - cached, load_ppm, affinity.load_tokens)
        };
        let cost_on = |id: WorkerId, cached: u64| {
            let load = self.load_with(slot, id);
            (cost_of(cached, load.ppm()), load, id)
        };
        let outlook = pool.rooms.outlook(&record.asks);
        let bounded = self.weighed(slot, &warm);
        let mut left: Candidates =
            bounded.map(|(id, place, cached)| (cost_of(cached, outlook.of(place)), id, cached)).collect();
        let weigh = |id, cached| may_start_on(id).then(|| cost_on(id, cached));
        let are_all = warm.len() < LOOKED_AT && left.len() < WEIGHED;

        let least_ppm = outlook.of_any(|place| self.load_with(slot, pool.up[place]));
        let others = cost_of(self.tokens_in(slot, blocks), least_ppm);
        let best = cheapest(&mut left, None, others, weigh);
        let is_sure = |&(cost, load, _): &Cost| {
            cost < others && !is_out_of_balance(load.ppm(), least_ppm, affinity.imbalance)
        };
        if let Some((_, _, id)) = best.filter(is_sure) {
            return Some(id);
        }
        let (emptiest, load) = emptiest()?;
        let load = load.unwrap_or_else(|| self.load_with(slot, emptiest));
        debug_assert_eq!(load, self.load_with(slot, emptiest), "who goes by caches goes by load first");
        let cached = match warm.iter().find(|&&(number, _)| number == emptiest.get()) {
            Some(&(_, blocks)) => self.tokens_in(slot, blocks),
            None if are_all => self.tokens_in(slot, blocks),
            None => self.expected_cached(slot, emptiest),
        };
        let cold = (cost_of(cached, load.ppm()), load, emptiest);
        let best = best.map_or(cold, |best| best.min(cold));
        let (_, load, best) = cheapest(&mut left, Some(best), u64::MAX, weigh).unwrap_or(best);
        let is_too_full = is_out_of_balance(load.ppm(), cold.1.ppm(), affinity.imbalance);
        Some(if is_too_full { emptiest } else { best })
    }
}

/// The least of one cost and those of candidates that may be as low as it, and as the limit: they are taken out, the most
/// promising first, so that most others need not be looked at.
fn cheapest(
    left: &mut Candidates,
    mut best: Option<Cost>,
    limit: u64,
    cost_on: impl Fn(WorkerId, u64) -> Option<Cost>,
) -> Option<Cost> {
    while let Some(next) = (0..left.len()).min_by_key(|&next| left[next].0) {
        if left[next].0 > best.map_or(limit, |(cost, ..)| cost.min(limit)) {
            break;
        }
        let (_, id, cached) = left.swap_remove(next);
        let cost = cost_on(id, cached);
        best = best.into_iter().chain(cost).min();
    }
    best
}
