//! Section 18: who has which blocks, what that is worth, who waits for a warm worker, and who is picked for one.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use tidegate::{Affinity, Order, Placement, RequestId, WorkerId};

use super::inputs::Refusal;
use super::{Model, Seq, le};

/// The settings of section 18.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AffinitySetup {
    pub(crate) blocks: u32,
    pub(crate) block_tokens: u32,
    pub(crate) worker_blocks: Option<u32>,
    pub(crate) learns: bool,
    pub(crate) load_tokens: u32,
    pub(crate) imbalance: u32,
    pub(crate) wait: u64,
}

impl AffinitySetup {
    pub(crate) fn config(&self) -> Affinity {
        let affinity = Affinity::new(self.blocks)
            .block_tokens(self.block_tokens)
            .learns(self.learns)
            .load_tokens(self.load_tokens)
            .imbalance_ppm(self.imbalance)
            .wait(std::time::Duration::from_nanos(self.wait));
        self.worker_blocks.into_iter().fold(affinity, Affinity::worker_blocks)
    }
}

/// By worker that is kept, for whom, and how many tokens that one finds there.
pub(crate) type Kept = BTreeMap<WorkerId, (Seq, u64)>;

/// A block, by all blocks up to it.
type Chain = Vec<u64>;

/// What was met.
#[derive(Clone, Debug, Default)]
pub(crate) struct Met {
    pub(crate) warm_starts: u64,
    pub(crate) waited: Cell<u64>,
    pub(crate) picked: Cell<u64>,
    pub(crate) kept_off: Cell<u64>,
    pub(crate) imbalanced: Cell<u64>,
    pub(crate) forgotten: u64,
}

impl Met {
    /// Those that `against_reference` wants to see.
    pub(crate) fn all(&self) -> [u64; 6] {
        let Self { warm_starts, waited, picked, kept_off, imbalanced, forgotten } = self;
        [*warm_starts, waited.get(), picked.get(), kept_off.get(), imbalanced.get(), *forgotten]
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Warmth {
    /// By worker that is not lost: its blocks with the number of their coming, the last used first.
    caches: BTreeMap<WorkerId, Vec<(Chain, u64)>>,
    evicted: BTreeSet<(WorkerId, Chain)>,
    came: u64,
    pub(crate) met: Met,
}

impl Model {
    fn affinity(&self) -> Option<AffinitySetup> {
        Some(self.setup.affinity).filter(|_| self.setup.placement == Placement::PrefixAffinity)
    }

    fn known(&self) -> BTreeSet<Chain> {
        let waiting = self.requests.values().map(|request| &request.prefix);
        let waiting = waiting.flat_map(|prefix| (1..=prefix.len()).map(|len| prefix[..len].to_vec()));
        waiting.chain(self.warmth.caches.values().flatten().map(|(chain, _)| chain.clone())).collect()
    }

    fn share(&self) -> usize {
        let Some(affinity) = self.affinity() else { return 0 };
        let each = affinity.blocks as usize * 3 / 4 / self.warmth.caches.len().max(1);
        each.min(affinity.worker_blocks.unwrap_or(u32::MAX) as usize)
    }

    /// As many of the blocks as are known or can be.
    fn known_part(&self, blocks: &[u64]) -> Chain {
        let Some(affinity) = self.affinity() else { return Vec::new() };
        let mut known = self.known();
        for len in 1..=blocks.len() {
            let chain = blocks[..len].to_vec();
            let elsewhere = known.iter().any(|other| other.last() == chain.last() && *other != chain);
            if elsewhere || !known.contains(&chain) && known.len() == affinity.blocks as usize {
                return blocks[..len - 1].to_vec();
            }
            known.insert(chain);
        }
        blocks.to_vec()
    }

    pub(crate) fn open_cache(&mut self, id: WorkerId) {
        self.warmth.caches.insert(id, Vec::new());
        for id in self.warmth.caches.keys().copied().collect::<Vec<_>>() {
            self.trim_cache(id);
        }
    }

    pub(crate) fn close_cache(&mut self, id: WorkerId) {
        self.warmth.caches.remove(&id);
        self.warmth.evicted.retain(|(other, _)| *other != id);
    }

    pub(crate) fn forget_caches(&mut self) {
        self.warmth.caches.values_mut().for_each(Vec::clear);
        self.warmth.evicted.clear();
        self.requests.values_mut().for_each(|request| request.prefix.clear());
    }

    fn trim_cache(&mut self, id: WorkerId) {
        while self.warmth.caches[&id].len() > self.share() {
            self.warmth.caches.get_mut(&id).expect("it is not lost").pop();
            self.warmth.met.forgotten += 1;
            self.drop_evicted(id);
        }
    }

    /// What was evicted and has none behind it any more goes.
    fn drop_evicted(&mut self, id: WorkerId) {
        let Warmth { caches, evicted, .. } = &mut self.warmth;
        let cache = caches.get_mut(&id).expect("it is not lost");
        evicted.retain(|(other, chain)| *other != id || cache.iter().any(|(has, _)| has == chain));
        loop {
            let goes = |(chain, _): &(Chain, u64)| {
                let follows = |other: &Chain| other.len() > chain.len() && other.starts_with(chain);
                evicted.contains(&(id, chain.clone())) && !cache.iter().any(|(other, _)| follows(other))
            };
            let Some(place) = cache.iter().position(goes) else { return };
            let (chain, _) = cache.remove(place);
            evicted.remove(&(id, chain));
        }
    }

    fn store(&mut self, id: WorkerId, part: &[u64]) {
        self.use_chain(id, part);
        self.trim_cache(id);
    }

    /// A chain is used now; the worker may have more than its share then.
    fn use_chain(&mut self, id: WorkerId, part: &[u64]) {
        let share = self.share();
        let Warmth { caches, evicted, came, .. } = &mut self.warmth;
        let cache = caches.get_mut(&id).expect("it is not lost");
        let mut used = Vec::new();
        for len in 1..=part.len() {
            let chain = part[..len].to_vec();
            evicted.remove(&(id, chain.clone()));
            match cache.iter().position(|(has, _)| *has == chain) {
                Some(place) => used.push(cache.remove(place)),
                None if len <= share => {
                    *came += 1;
                    used.push((chain, *came));
                }
                None => {}
            }
        }
        used.append(cache);
        *cache = used;
    }

    pub(crate) fn cache_stored(&mut self, id: WorkerId, blocks: &[u64]) -> Result<(), Refusal> {
        self.check_not_lost(id)?;
        let part = self.known_part(blocks);
        self.store(id, &part);
        Ok(())
    }

    pub(crate) fn cache_evicted(&mut self, id: WorkerId, blocks: &[u64]) -> Result<(), Refusal> {
        self.check_not_lost(id)?;
        for block in blocks {
            let cache = &self.warmth.caches[&id];
            if let Some((chain, _)) = cache.iter().find(|(chain, _)| chain.last() == Some(block)) {
                self.warmth.evicted.insert((id, chain.clone()));
                self.drop_evicted(id);
            }
        }
        Ok(())
    }

    pub(crate) fn prefix_set(&mut self, request: RequestId, blocks: &[u64]) -> Result<(), Refusal> {
        let seq = self.find(request)?;
        if !self.requests[&seq].waits() {
            return Err("wrong state");
        }
        self.request(seq).prefix.clear();
        self.request(seq).prefix = self.known_part(blocks);
        Ok(())
    }

    pub(crate) fn learn(&mut self, seq: Seq, worker: WorkerId) {
        let prefix = self.requests[&seq].prefix.clone();
        self.warmth.met.warm_starts += u64::from(self.blocks_on(seq, worker) > 0);
        let Some(affinity) = self.affinity().filter(|affinity| affinity.learns && !prefix.is_empty()) else {
            return;
        };
        let places = affinity.blocks as usize * 3 / 4 + affinity.blocks as usize / 64;
        let taken: usize = self.warmth.caches.values().map(Vec::len).sum();
        if taken + prefix.len().min(self.share()) > places {
            self.trim_caches();
            self.store(worker, &prefix);
        } else {
            self.use_chain(worker, &prefix);
        }
    }

    /// What is told next finds no worker with more than its share.
    pub(crate) fn trim_caches(&mut self) {
        for id in self.warmth.caches.keys().copied().collect::<Vec<_>>() {
            self.trim_cache(id);
        }
    }

    fn came_to(&self, id: WorkerId, chain: &[u64]) -> Option<u64> {
        let cache = self.warmth.caches.get(&id)?;
        cache.iter().find(|(has, _)| has == chain).map(|&(_, came)| came)
    }

    fn blocks_on(&self, seq: Seq, id: WorkerId) -> u64 {
        let prefix = &self.requests[&seq].prefix;
        let has = |len: &usize| self.came_to(id, &prefix[..*len]).is_some();
        (1..=prefix.len()).rev().find(has).unwrap_or(0) as u64
    }

    pub(crate) fn expected_cached(&self, seq: Seq, id: WorkerId) -> u64 {
        let request = &self.requests[&seq];
        match self.affinity() {
            Some(affinity) if !request.prefix.is_empty() => {
                let tokens = self.blocks_on(seq, id) * u64::from(affinity.block_tokens);
                tokens.min(request.spec.prompt_tokens)
            }
            _ => request.spec.cached_tokens,
        }
    }

    /// Of the first 32 workers that have some of a prompt, the first eight that are up in its pool.
    fn warm(&self, seq: Seq) -> Vec<WorkerId> {
        let request = &self.requests[&seq];
        let up = self.up(request.spec.pool.get() as usize);
        let mut warm: Vec<_> = self.warmth.caches.keys().copied().collect();
        warm.retain(|&id| self.blocks_on(seq, id) > 0);
        warm.sort_by_key(|&id| {
            let blocks = self.blocks_on(seq, id);
            let came = self.came_to(id, &request.prefix[..blocks as usize]);
            core::cmp::Reverse((blocks, came))
        });
        warm.truncate(32);
        warm.retain(|id| up.contains(id));
        warm.truncate(8);
        warm
    }

    fn load_with(&self, seq: Seq, id: WorkerId) -> u128 {
        self.load(id, self.requests[&seq].asks).0
    }

    fn affine_score(
        &self,
        seq: Seq,
        id: WorkerId,
        cached: u64,
        affinity: AffinitySetup,
    ) -> (u128, (u128, u128), WorkerId) {
        let load = self.load(id, self.requests[&seq].asks);
        let penalty = load.0 * u128::from(affinity.load_tokens) / 1_000_000;
        (u128::from(self.requests[&seq].spec.prompt_tokens - cached) + penalty, load, id)
    }

    /// Of those that a request may start on, of which one is the emptiest.
    pub(crate) fn warmest(&self, seq: Seq, emptiest: WorkerId, able: &[WorkerId]) -> WorkerId {
        let (Some(affinity), request) = (self.affinity(), &self.requests[&seq]) else { return emptiest };
        if request.prefix.is_empty() {
            return emptiest;
        }
        let warm = self.warm(seq);
        let score = |id: WorkerId| self.affine_score(seq, id, self.expected_cached(seq, id), affinity);
        let candidates = warm.iter().copied().filter(|id| able.contains(id)).chain([emptiest]);
        let best = candidates.min_by_key(|&id| score(id)).expect("there is the emptiest");
        let (load, least) = (self.load_with(seq, best), self.load_with(seq, emptiest));
        let factor = u128::from(affinity.imbalance);
        if factor > 0 && load > 500_000 && load * 1_000_000 > least * factor {
            self.warmth.met.imbalanced.set(self.warmth.met.imbalanced.get() + u64::from(best != emptiest));
            return emptiest;
        }
        best
    }

    /// Whether a request had better wait than start there.
    pub(crate) fn rather_waits(&self, seq: Seq, best: WorkerId) -> bool {
        let (Some(affinity), request) = (self.affinity(), &self.requests[&seq]) else { return false };
        let patient = request.arrived_at.saturating_add(affinity.wait) > self.now && affinity.wait > 0;
        if !patient || !request.is_fresh() || self.claim_of(seq).is_some() || request.prefix.is_empty() {
            return false;
        }
        let left = |id: WorkerId| request.spec.prompt_tokens - self.expected_cached(seq, id);
        self.warm(seq).into_iter().any(|id| {
            2 * left(id) < left(best)
                && le(request.asks, self.whole(id))
                && !self.fits(seq, id)
                && !request.is_kept_off(id, self.now)
        })
    }

    /// The workers that are kept from a tier's requests: for whom, and what that one finds there.
    pub(crate) fn kept(&self, pool: usize, tier: usize) -> Kept {
        let mut kept = Kept::new();
        if !self.picks(tier) {
            return kept;
        }
        let mut even = self.in_order(pool, tier);
        even.retain(|seq| !self.requests[seq].comes_back());
        even.truncate(32);
        let first = even.first().copied();
        for seq in even.into_iter().take_while(|&seq| Some(self.had(seq)) == first.map(|seq| self.had(seq))) {
            if let Some((id, cached)) = self.keeps(seq)
                && kept.get(&id).is_none_or(|&(_, other)| cached > other)
            {
                kept.insert(id, (seq, cached));
            }
        }
        kept
    }

    /// The warm worker that a request would get had they all room, and what it finds there, if that has none.
    fn keeps(&self, seq: Seq) -> Option<(WorkerId, u64)> {
        let (affinity, request) = (self.affinity()?, &self.requests[&seq]);
        if self.claim_of(seq).is_some() || self.sits_out(seq) || !self.passes(seq, [0; 4], [0; 4]) {
            return None;
        }
        let mut able = self.warm(seq);
        able.retain(|&id| le(request.asks, self.whole(id)) && !request.is_kept_off(id, self.now));
        let cached = |id: WorkerId| self.expected_cached(seq, id);
        let id = able.into_iter().min_by_key(|&id| self.affine_score(seq, id, cached(id), affinity))?;
        let newest = self.here(id).into_iter().map(|other| self.requests[&other].started_at).max()?;
        let is_kept = newest.saturating_add(affinity.wait) > self.now && !self.fits(seq, id);
        is_kept.then(|| (id, cached(id)))
    }

    /// Whether a request may not start on a worker that is kept.
    pub(crate) fn may_not_have(&self, seq: Seq, id: WorkerId, kept: &Kept) -> bool {
        let Some(&(other, most)) = kept.get(&id) else { return false };
        if self.requests[&seq].comes_back() || self.claim_of(seq).is_some() {
            return false;
        }
        let cached = self.expected_cached(seq, id);
        let is_warmer = cached > most || cached == most && self.place(seq) < self.place(other);
        !(is_warmer && self.had(seq) == self.had(other))
    }

    pub(crate) fn picks(&self, tier: usize) -> bool {
        self.affinity().is_some() && self.setup.tiers[tier].order == Order::DeficitLongestPrefix
    }

    /// Who of a tier's list starts, and where: the first that may and does not rather wait; or who finds most cached.
    pub(crate) fn first_or_best(
        &self,
        tier: usize,
        list: &[Seq],
        kept_off: &Cell<u32>,
        place: impl Fn(Seq) -> Option<WorkerId>,
    ) -> Option<(Seq, WorkerId)> {
        let (owners, others): (Vec<Seq>, Vec<Seq>) =
            list.iter().copied().partition(|&seq| self.claim_of(seq).is_some());
        let owner = owners.into_iter().find_map(|seq| Some((seq, place(seq)?)));
        let mut patience = 32;
        let mut may: Vec<(Seq, WorkerId)> = Vec::new();
        for seq in others {
            if kept_off.get() == 128 {
                break;
            }
            if let Some(&(first, _)) = may.first() {
                let goes_on = self.picks(tier) && !self.requests[&first].comes_back() && may.len() < 128;
                if !goes_on || self.had(seq) != self.had(first) {
                    break;
                }
            }
            let Some(worker) = place(seq) else { continue };
            if patience > 0 && self.rather_waits(seq, worker) {
                patience -= 1;
                self.warmth.met.waited.set(self.warmth.met.waited.get() + 1);
            } else {
                may.push((seq, worker));
            }
        }
        let first = may.first().copied();
        let most = may.iter().map(|&(seq, worker)| self.expected_cached(seq, worker)).max();
        let picked = may.into_iter().find(|&(seq, worker)| Some(self.expected_cached(seq, worker)) == most);
        self.warmth.met.picked.set(self.warmth.met.picked.get() + u64::from(picked != first));
        let at = |one: Option<(Seq, WorkerId)>| one.and_then(|(seq, _)| list.iter().position(|&s| s == seq));
        let (owner_at, picked_at) = (at(owner), at(picked));
        if owner_at.is_some() && (picked_at.is_none() || owner_at < picked_at) { owner } else { picked }
    }

    /// A request within its reserve chooses no victims while it waits for a warm worker.
    pub(crate) fn waits_for_warmth(&self, seq: Seq) -> bool {
        self.best_worker(seq, true).is_some_and(|worker| self.rather_waits(seq, worker))
    }
}
