//! Which workers have prompts in their caches: what is told and learnt of it, what it is worth against load, and who
//! waits for a worker because of it.
//!
//! State: the index, and for each request whose blocks were told the last that is known. Knows nothing of order:
//! `dispatch` asks. O(blocks of the prompt) for each decision, and what few warm workers take.

use alloc::vec::Vec;
use core::cell::Cell;

use smallvec::SmallVec;

use super::workers::WorkerStatus;
use super::{SCAN_WINDOW, Scheduler};
use crate::config::{Affinity, Config};
use crate::error::{ReportError, WorkerError};
use crate::id::{PoolId, RequestId, Tier, WorkerId};
use crate::placement::affine_score;
use crate::prefix_index::PrefixIndex;
use crate::queue::Lane;
use crate::time::Instant;

/// Stands for no block.
const NIL: u32 = u32::MAX;

/// Who has what, and who asks for it.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Warmth {
    #[cfg_attr(feature = "snapshot", serde(serialize_with = "caught_up"))]
    index: PrefixIndex,
    /// By slot, the last known block of the prompt.
    pins: Vec<u32>,
}

/// An index is written as it is once all that it learnt is stored.
#[cfg(feature = "snapshot")]
fn caught_up<S: serde::Serializer>(index: &PrefixIndex, out: S) -> Result<S::Ok, S::Error> {
    use serde::Serialize;
    if !index.is_late() {
        return index.serialize(out);
    }
    let mut stored = index.clone();
    stored.over();
    stored.serialize(out)
}

impl Warmth {
    pub(super) fn new(config: &Config) -> Self {
        let (blocks, each) = Self::limits(config);
        Self { index: PrefixIndex::new(blocks, each), pins: Vec::new() }
    }

    /// The most blocks, and the most that one worker is believed to have.
    fn limits(config: &Config) -> (u32, u32) {
        let affinity = config.affinity();
        let blocks = affinity.map_or(0, |affinity| affinity.blocks);
        (blocks, affinity.and_then(|affinity| affinity.worker_blocks).unwrap_or(u32::MAX))
    }

    pub(super) fn open(&mut self, worker: WorkerId) {
        self.index.open(worker.get());
    }

    pub(super) fn close(&mut self, worker: WorkerId) {
        self.index.close(worker.get());
    }

    #[cfg(feature = "snapshot")]
    pub(super) fn rebuild(&mut self, config: &Config) {
        let (blocks, each) = Self::limits(config);
        self.index.rebuild(blocks, each);
    }

    /// Whether starts left it something to do.
    #[inline]
    pub(super) fn is_behind(&self) -> bool {
        self.index.is_behind()
    }

    pub(super) fn index(&self) -> &PrefixIndex {
        &self.index
    }

    pub(super) fn of(&self, slot: u32) -> Option<u32> {
        self.pins.get(slot as usize).copied().filter(|&block| block != NIL)
    }

    fn set(&mut self, slot: u32, blocks: &[u64]) {
        self.forget(slot);
        let Some(block) = self.index.pin(blocks) else { return };
        if self.pins.len() <= slot as usize {
            self.pins.resize(slot as usize + 1, NIL);
        }
        self.pins[slot as usize] = block;
    }

    /// A request has ended.
    pub(super) fn forget(&mut self, slot: u32) {
        let Some(pin) = self.pins.get_mut(slot as usize) else { return };
        let block = core::mem::replace(pin, NIL);
        if block != NIL {
            self.index.unpin(block);
        }
    }
}

/// After how many that are kept off where they have room a search ends: what bounds its cost.
const TURNED_AWAY: usize = 128;

/// A worker that is kept for a request that finds so much there and has no room yet.
struct Kept {
    worker: WorkerId,
    slot: u32,
    cached: u64,
}

/// What a search leaves waiting, so that its cost is bounded.
pub(super) struct Patience {
    /// How many of those that it looks at may yet be left waiting for a warm worker.
    left: Cell<usize>,
    kept: SmallVec<[Kept; 4]>,
    /// Whether the one that it looks at was kept off a worker, and how many yet may be.
    kept_off: Cell<bool>,
    open: Cell<usize>,
}

impl Patience {
    pub(super) fn of_a_search() -> Self {
        let (left, open) = (Cell::new(SCAN_WINDOW), Cell::new(TURNED_AWAY));
        Self { left, kept: SmallVec::new(), kept_off: Cell::new(false), open }
    }

    pub(super) fn none() -> Self {
        Self { left: Cell::new(0), ..Self::of_a_search() }
    }

    /// Whether the search has turned away as many as it may.
    pub(super) fn has_ended(&self) -> bool {
        self.open.get() == 0
    }

    /// The next request is looked at.
    pub(super) fn look_at_next(&self) {
        self.kept_off.set(false);
    }

    /// It has no place.
    pub(super) fn turn_away(&self) {
        self.open.set(self.open.get().saturating_sub(usize::from(self.kept_off.get())));
    }
}

impl Scheduler {
    /// Tells the blocks of a waiting request's prompt from its beginning, as hashes of which each covers those before it
    /// (vLLM's, or any numbers that do): with `PrefixAffinity` it goes where they are. O(blocks).
    ///
    /// # Errors
    /// [`ReportError::AlreadyTerminal`] or [`ReportError::UnknownRequest`]; [`ReportError::WrongState`] if it does not
    /// wait.
    pub fn prefix_set(
        &mut self,
        now: Instant,
        request: RequestId,
        blocks: &[u64],
    ) -> Result<(), ReportError> {
        self.advance(now);
        let slot = self.resolve(request)?;
        let record = &self.requests[slot];
        let (pool, state) = (record.pool(), record.state);
        if !record.is_waiting() {
            return Err(ReportError::WrongState { request, state });
        }
        self.warmth.set(slot, blocks);
        self.set_turn(slot);
        self.stir(pool);
        Ok(())
    }

    /// A worker has these blocks in its cache, those of a prompt from its beginning, and used them just now.
    /// O(blocks).
    ///
    /// # Errors
    /// An unknown or lost worker.
    pub fn cache_stored(
        &mut self,
        now: Instant,
        worker: WorkerId,
        blocks: &[u64],
    ) -> Result<(), WorkerError> {
        self.advance(now);
        self.check_not_lost(worker)?;
        if let Some(last) = self.warmth.index.pin(blocks) {
            self.warmth.index.store(worker.get(), last);
            self.warmth.index.unpin(last);
        }
        self.stir(self.worker(worker).spec.pool);
        Ok(())
    }

    /// A worker threw these blocks out of its cache. One that others there still follow goes when they do: engines throw
    /// out the ends first. O(blocks).
    ///
    /// # Errors
    /// An unknown or lost worker.
    pub fn cache_evicted(
        &mut self,
        now: Instant,
        worker: WorkerId,
        blocks: &[u64],
    ) -> Result<(), WorkerError> {
        self.advance(now);
        self.check_not_lost(worker)?;
        for &block in blocks {
            self.warmth.index.evict(worker.get(), block);
        }
        self.stir(self.worker(worker).spec.pool);
        Ok(())
    }

    /// How many blocks of prompts are known. O(1).
    #[must_use]
    pub fn prefix_blocks(&self) -> u32 {
        self.warmth.index.known()
    }

    /// How many bytes the knowledge of prompts takes: all of it from the beginning. O(1).
    #[must_use]
    pub fn prefix_bytes(&self) -> usize {
        self.warmth.index.bytes()
    }

    /// Another config: nothing is known of any cache, and of no prompt.
    pub(super) fn forget_caches(&mut self) {
        self.warmth = Warmth::new(&self.config);
        for index in 0..self.workers.len() {
            if self.workers[index].status != WorkerStatus::Lost {
                self.warmth.open(WorkerId::new(index as u32));
            }
        }
    }

    /// A request starts on a worker, which will have its prompt. Tells how many tokens of it are expected to be cached there
    /// now.
    pub(super) fn learn(&mut self, slot: u32, worker: WorkerId) -> u64 {
        if let Some(last) = self.warmth.of(slot)
            && self.config.affinity().is_some_and(|affinity| affinity.learns)
        {
            let held = self.warmth.index.learn(worker.get(), last);
            return self.tokens_in(slot, held);
        }
        self.expected_cached(slot, worker)
    }

    /// What was learnt is stored, and workers that came to have more than their share forget what they used longest ago. Who
    /// would rather wait for that waits for nothing then.
    #[inline(never)]
    pub(super) fn catch_up_with_caches(&mut self) {
        if self.keeps_workers() {
            for &worker in self.warmth.index.over() {
                let pool = self.workers[worker as usize].spec.pool;
                self.pools[pool.index()].dirty = true;
            }
        }
        self.warmth.index.trim();
    }

    /// How many tokens of a prompt are expected to be cached on a worker.
    #[inline]
    pub(super) fn expected_cached(&self, slot: u32, worker: WorkerId) -> u64 {
        match self.warmth.of(slot) {
            Some(last) => self.tokens_in(slot, self.warmth.index.depth_on(last, worker.get())),
            None => self.requests[slot].spec.cached_tokens,
        }
    }

    pub(super) fn tokens_in(&self, slot: u32, blocks: u32) -> u64 {
        let tokens = u64::from(blocks) * u64::from(self.config.affinity.block_tokens);
        tokens.min(self.requests[slot].spec.prompt_tokens)
    }

    /// Until when a request waits for a warm worker, if it may.
    pub(super) fn patient_until(&self, slot: u32) -> Option<Instant> {
        let Affinity { wait_ns, .. } = *self.config.affinity()?;
        let record = &self.requests[slot];
        let may_wait = wait_ns > 0 && record.lane == Some(Lane::Fresh) && record.claim.is_none();
        let until = record.arrived_at.plus_nanos(wait_ns);
        (may_wait && until > self.now && self.warmth.of(slot).is_some()).then_some(until)
    }

    /// Whether a request had better wait for a warm worker that has no room now than start on this one: it would have at
    /// most half as much to compute.
    #[inline]
    pub(super) fn rather_waits(&self, slot: u32, best: WorkerId) -> bool {
        self.keeps_workers() && self.rather_waits_for_warm(slot, best)
    }

    fn rather_waits_for_warm(&self, slot: u32, best: WorkerId) -> bool {
        let (Some(_), Some(last)) = (self.patient_until(slot), self.warmth.of(slot)) else { return false };
        let record = &self.requests[slot];
        let (prompt, rare) = (record.spec.prompt_tokens, self.requests.rare(slot));
        let here = prompt - self.expected_cached(slot, best);
        let warm = self.warm(slot, last);
        warm.iter().any(|&(id, cached)| {
            2 * (prompt - cached) < here
                && record.asks.fits(&self.worker(id).whole)
                && !self.fits(slot, id)
                && !rare.is_excluded_from(id, self.now)
        })
    }

    /// The same, in a search that may leave so many waiting.
    pub(super) fn rather_waits_in_search(&self, slot: u32, best: WorkerId, patience: &Patience) -> bool {
        let left = patience.left.get();
        let waits = left > 0 && self.rather_waits(slot, best);
        patience.left.set(left - usize::from(waits));
        waits
    }

    /// Of a search for who borrows in a tier: some workers are kept.
    #[inline]
    pub(super) fn patience_in(&self, pool: PoolId, tier: Tier) -> Patience {
        Patience { kept: self.kept(pool, tier), ..Patience::of_a_search() }
    }

    /// Whether a fresh request is kept off a worker: only who is even with the one for which the worker is kept, and finds
    /// more there or as much and stands before it, may start there; and who has a claim.
    #[inline]
    pub(super) fn is_kept_off(&self, slot: u32, worker: WorkerId, patience: &Patience) -> bool {
        !patience.kept.is_empty() && self.is_kept_off_some(slot, worker, patience)
    }

    fn is_kept_off_some(&self, slot: u32, worker: WorkerId, patience: &Patience) -> bool {
        let Some(kept) = patience.kept.iter().find(|kept| kept.worker == worker) else { return false };
        let may_start = || {
            let cached = self.expected_cached(slot, worker);
            let is_warmer = cached > kept.cached || cached == kept.cached && self.is_before(slot, kept.slot);
            self.rank_in_order(slot) == self.rank_in_order(kept.slot) && is_warmer
        };
        let record = &self.requests[slot];
        let is_off = record.lane == Some(Lane::Fresh) && record.claim.is_none() && !may_start();
        patience.kept_off.set(patience.kept_off.get() || is_off);
        is_off
    }

    /// Until when a pool's workers are kept as they are now, if some are.
    pub(super) fn kept_until(&self, pool: PoolId) -> Option<Instant> {
        // Asked at the end of nearly each round: 130 instructions of a cycle where nothing is ever kept.
        if !self.keeps_workers() {
            return None;
        }
        let kept = self.tiers().flat_map(|tier| self.kept(pool, tier));
        kept.filter_map(|kept| self.may_be_kept_until(kept.worker)).min()
    }

    /// Whether workers are ever kept.
    #[inline(always)]
    pub(super) fn keeps_workers(&self) -> bool {
        self.config.affinity().is_some_and(|affinity| affinity.wait_ns > 0)
    }

    /// Whether any worker of a pool is kept from a tier's requests.
    pub(super) fn keeps_any(&self, pool: PoolId, tier: Tier) -> bool {
        !self.kept(pool, tier).is_empty()
    }

    /// The workers of a pool that are kept from a tier's requests: the first that are even keep theirs; of several on one
    /// worker, who finds the most there.
    fn kept(&self, pool: PoolId, tier: Tier) -> SmallVec<[Kept; 4]> {
        let mut kept: SmallVec<[Kept; 4]> = SmallVec::new();
        if !self.keeps_workers() || !self.picks_by_prefix(tier) {
            return kept;
        }
        let is_fresh = |&slot: &u32| self.requests[slot].lane == Some(Lane::Fresh);
        let in_order = self.waiting_in_order(pool, tier).skip_while(|slot| !is_fresh(slot));
        let mut fresh = in_order.take_while(is_fresh).take(SCAN_WINDOW).peekable();
        let rank = fresh.peek().map(|&slot| self.rank_in_order(slot));
        let even = fresh.take_while(|&slot| Some(self.rank_in_order(slot)) == rank);
        for own in even.filter_map(|slot| self.keeps(slot)) {
            match kept.iter_mut().find(|kept| kept.worker == own.worker) {
                Some(other) if own.cached > other.cached => *other = own,
                Some(_) => {}
                None => kept.push(own),
            }
        }
        kept
    }

    /// The worker that a request would get if all that are warm had room, if that has none.
    fn keeps(&self, slot: u32) -> Option<Kept> {
        let (affinity, last) = (self.config.affinity()?, self.warmth.of(slot)?);
        let (record, rare) = (&self.requests[slot], self.requests.rare(slot));
        if record.claim.is_some() || self.sits_out(slot) || !self.passes_own_gates(slot) {
            return None;
        }
        let holds =
            |id: WorkerId| record.asks.fits(&self.worker(id).whole) && !rare.is_excluded_from(id, self.now);
        let cost = |id: WorkerId, cached: u64| {
            let uncached = record.spec.prompt_tokens - cached;
            let load = self.load_with(slot, id);
            (affine_score(uncached, load.ppm(), affinity.load_tokens), load, id)
        };
        let warm = self.warm(slot, last);
        let able = warm.into_iter().filter(|&(id, _)| holds(id));
        let (worker, cached) = able.min_by_key(|&(id, cached)| cost(id, cached))?;
        let is_kept = !self.fits(slot, worker) && self.may_be_kept_until(worker).is_some();
        is_kept.then_some(Kept { worker, slot, cached })
    }

    /// A worker on which nothing that runs there has started for `prefix_wait` is kept no more. O(running there).
    fn may_be_kept_until(&self, worker: WorkerId) -> Option<Instant> {
        let wait_ns = self.config.affinity()?.wait_ns;
        let running = self.worker(worker).running.iter();
        let until = running.map(|&slot| self.requests.run(slot).started_at).max()?.plus_nanos(wait_ns);
        (until > self.now).then_some(until)
    }
}
