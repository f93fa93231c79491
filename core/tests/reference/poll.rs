//! Sections 1, 4, 5 and 9: what is due, the order of a tier, guaranteed and borrowed starts, heads and drains.

use std::cell::Cell;
use std::collections::BTreeSet;

use tidegate::{Action, Order, Placement, Reason, RequestState, WorkerId};

use super::{Model, Seq, Units, add, le, le_where, on, units};

impl Model {
    pub(crate) fn poll(&mut self, now: u64) -> Option<Action> {
        self.advance(now);
        self.handle_due();
        self.settle_homeless();
        if !self.in_round {
            self.in_round = true;
            self.round += 1;
        }
        loop {
            if let Some(action) = self.outbox.pop_front() {
                self.note_demands();
                return Some(action);
            }
            self.note_demands();
            if !self.decide() {
                self.note_demands();
                self.in_round = false;
                return None;
            }
            self.settle();
        }
    }

    fn handle_due(&mut self) {
        let first = self.requests.values().filter_map(super::Request::due).min();
        let Some(horizon) = first.map(|at| self.now.min(at.saturating_add(self.setup.max_step))) else {
            return;
        };
        loop {
            let next = self.requests.iter().filter_map(|(&seq, r)| Some((r.due()?, seq))).min();
            let Some((_, seq)) = next.filter(|&(at, _)| at <= horizon) else { return };
            let request = &self.requests[&seq];
            if request.waits() && request.has_run || request.state == RequestState::Starting {
                self.lapse(seq);
            } else if request.waits() {
                self.drop(seq, Reason::QueueTimeout);
            } else {
                self.stuck(seq);
            }
            self.settle();
        }
    }

    fn decide(&mut self) -> bool {
        loop {
            if self.relieve() || (0..self.setup.pools).any(|pool| self.decide_in(pool)) || self.roam() {
                return true;
            }
            if !self.wake_waiter() {
                return self.move_some();
            }
        }
    }

    /// Looks again where a drain ended, or somebody was set aside: others may start now.
    fn decide_in(&mut self, pool: usize) -> bool {
        loop {
            self.look_again = false;
            if self.guarantee(pool) || self.reclaim(pool) || self.borrow(pool) {
                return true;
            }
            if !self.look_again {
                return false;
            }
        }
    }

    /// The unparked waiting requests of a tier, in order.
    pub(crate) fn in_order(&self, pool: usize, tier: usize) -> Vec<Seq> {
        let mut waiting: Vec<Seq> = (self.requests.iter())
            .filter(|(seq, r)| {
                r.tier() == tier && r.spec.pool.get() as usize == pool && self.is_offered(**seq)
            })
            .map(|(&seq, _)| seq)
            .collect();
        waiting.sort_by_key(|&seq| (!self.requests[&seq].comes_back(), self.place(seq)));
        waiting
    }

    /// Where a request stands among the fresh ones of its line.
    pub(crate) fn place_in_line(&self, seq: Seq) -> (bool, u64, Seq) {
        (self.is_relegated(seq), self.rank(seq), seq)
    }

    /// Where a request stands among the fresh ones, or among those that come back.
    pub(crate) fn place(&self, seq: Seq) -> (i128, (u64, Seq), (bool, u64, Seq)) {
        let request = &self.requests[&seq];
        if request.comes_back() {
            return (0, (0, 0), (false, 0, seq));
        }
        let of_line =
            self.requests.iter().filter(|(_, other)| other.is_fresh() && other.line() == request.line());
        let first =
            of_line.map(|(&other, _)| (self.rank(other), other)).min().expect("itself, if nobody else");
        let line = if self.quantum(request.tier()).is_some() { first } else { (0, 0) };
        (self.had(seq), line, self.place_in_line(seq))
    }

    fn uncached(&self, seq: Seq) -> u64 {
        let spec = &self.requests[&seq].spec;
        spec.prompt_tokens - spec.cached_tokens
    }

    pub(crate) fn rank(&self, seq: Seq) -> u64 {
        let request = &self.requests[&seq];
        let setup = &self.setup.tiers[request.tier()];
        let deadline = request.spec.deadline.map(tidegate::Instant::as_nanos);
        let late = self.uncached(seq).saturating_mul(setup.deadline_token_weight);
        match setup.order {
            Order::Fair | Order::Fifo => 0,
            Order::DeficitLongestPrefix => u64::MAX - request.spec.cached_tokens,
            Order::Deadline => deadline.unwrap_or(u64::MAX),
            Order::ShortestFirst => self.uncached(seq) + 2 * request.spec.output_tokens.unwrap_or(0),
            Order::HybridDeadline => deadline.map_or(u64::MAX, |at| at.saturating_add(late)),
        }
    }

    fn is_relegated(&self, seq: Seq) -> bool {
        let request = &self.requests[&seq];
        let (true, Some(deadline)) =
            (self.setup.tiers[request.tier()].order == Order::HybridDeadline, request.spec.deadline)
        else {
            return false;
        };
        let prompt_token = self.setup.step_time.map_or(0, |(_, prompt_token, _)| prompt_token);
        let takes = u128::from(self.uncached(seq)) * u128::from(prompt_token);
        u128::from(self.now) + takes > u128::from(deadline.as_nanos())
    }

    fn guarantee(&mut self, pool: usize) -> bool {
        let mut ready: Vec<u64> = self.claims_in(pool);
        ready.retain(|&id| self.is_ready(pool, id));
        if let Some(id) = ready.into_iter().min_by_key(|&id| self.claim_rank(id)) {
            let claim = &self.claims[&id];
            self.start_on(claim.owner, claim.worker, Reason::Reclaimed);
            return true;
        }
        for tier in 0..self.setup.tiers.len() {
            let start = self.start_first(Reason::Guaranteed, |model| {
                let list = model.in_order(pool, tier);
                model.first_or_best(tier, &list, &Cell::new(0), |seq| model.guaranteed(pool, tier, seq))
            });
            if start.is_some() {
                return true;
            }
        }
        false
    }

    /// Starts who is found; whoever lacks quota waits for it, and the next is sought.
    fn start_first(
        &mut self,
        reason: Reason,
        find: impl Fn(&Self) -> Option<(Seq, WorkerId)>,
    ) -> Option<(Seq, WorkerId)> {
        loop {
            let (seq, worker) = find(self)?;
            let Some(lack) = self.quota_lack(seq) else {
                self.start_on(seq, worker, reason);
                return Some((seq, worker));
            };
            self.wait_for_quota(seq, lack);
        }
    }

    /// Where a request may start within its tier's reserve.
    pub(crate) fn guaranteed(&self, pool: usize, tier: usize, seq: Seq) -> Option<WorkerId> {
        let within = self.is_within(pool, tier, self.requests[&seq].asks, self.own_claim(seq));
        if !within || self.sits_out(seq) {
            return None;
        }
        self.best_worker(seq, true)
    }

    fn is_ready(&self, pool: usize, id: u64) -> bool {
        let claim = &self.claims[&id];
        let avail = self.avail(pool, claim.tier);
        let owed = (0..4).any(|d| claim.size[d] > 0 && avail[d] < 0);
        claim.earmarked == claim.size
            && !self.sits_out(claim.owner)
            && (claim.within || claim.victims.is_empty() || !owed)
    }

    /// The load of a worker, of it and its devices, and of itself alone.
    pub(crate) fn load(&self, worker: WorkerId, more: Units) -> (u128, u128) {
        let fullness = |used: Units, of: Units| {
            let used = used.map(|units| units.max(0));
            let parts = (0..4).filter(|&d| of[d] > 0).map(|d| (used[d] * 1_000_000 / of[d]) as u128);
            parts.max().unwrap_or(0).min(u128::from(u32::MAX))
        };
        let spec = &self.worker(worker).spec;
        let own = fullness(add(self.worker_used(worker), more), units(spec.capacity));
        let sign = if more.iter().any(|&units| units < 0) { -1 } else { 1 };
        let on_devices = spec.devices.iter().map(|part| {
            let more = on(*part, more.map(i128::abs)).map(|units| sign * units);
            fullness(add(self.device_used(part.device), more), self.limit(part.device))
        });
        (on_devices.fold(own, u128::max), own)
    }

    /// The best Up worker that a request fits, is not kept off, and may have.
    pub(crate) fn best_worker(&self, seq: Seq, drained_too: bool) -> Option<WorkerId> {
        self.best_worker_of(seq, drained_too, |_| true)
    }

    fn best_worker_of(
        &self,
        seq: Seq,
        drained_too: bool,
        may_have: impl Fn(WorkerId) -> bool,
    ) -> Option<WorkerId> {
        let request = &self.requests[&seq];
        let up = self.up(request.spec.pool.get() as usize).into_iter();
        let for_another = |other: &Seq| *other != seq && self.requests[other].tier() <= request.tier();
        let drained = |id: WorkerId| self.drains_over(id).iter().any(for_another);
        let fit = up.filter(|&id| self.fits(seq, id) && !request.is_kept_off(id, self.now));
        let able: Vec<WorkerId> = fit.filter(|&id| (drained_too || !drained(id)) && may_have(id)).collect();
        let best = able.iter().copied().min_by_key(|&id| {
            let load = self.load(id, request.asks);
            let packed = self.setup.placement == Placement::Pack;
            let fullest = (u128::MAX - load.0, u128::MAX - load.1);
            (drained(id), if packed { fullest } else { load }, id)
        })?;
        if let Some(to) = request.moves_to.filter(|to| able.contains(to) && drained(*to) == drained(best)) {
            return Some(to);
        }
        let alike: Vec<WorkerId> = able.into_iter().filter(|&id| drained(id) == drained(best)).collect();
        Some(self.warmest(seq, best, &alike))
    }

    fn borrow(&mut self, pool: usize) -> bool {
        (0..self.setup.tiers.len()).any(|tier| self.borrow_for(pool, tier))
    }

    /// Where a request may start on what its tier may borrow.
    pub(crate) fn borrowed(&self, pool: usize, seq: Seq) -> Option<WorkerId> {
        self.borrowed_of(pool, seq, |_| true)
    }

    fn borrowed_of(&self, pool: usize, seq: Seq, may_have: impl Fn(WorkerId) -> bool) -> Option<WorkerId> {
        let request = &self.requests[&seq];
        let own = self.own_claim(seq);
        let pinned = if request.never_yields() { own } else { [0; 4] };
        let may = !self.sits_out(seq)
            && le_where(request.asks, self.avail(pool, request.tier()), request.asks)
            && self.passes(seq, own, pinned);
        if may { self.best_worker_of(seq, false, may_have) } else { None }
    }

    /// Who of a tier's list borrows, and where: some workers are kept, and a search turns away so many.
    fn first_who_borrows(&self, pool: usize, tier: usize, list: &[Seq]) -> Option<(Seq, WorkerId)> {
        let (kept, kept_off) = (self.kept(pool, tier), Cell::new(0));
        self.first_or_best(tier, list, &kept_off, |seq| {
            let place = self.borrowed_of(pool, seq, |id| !self.may_not_have(seq, id, &kept));
            if place.is_none() && self.borrowed(pool, seq).is_some() {
                kept_off.set(kept_off.get() + 1);
                self.warmth.met.kept_off.set(self.warmth.met.kept_off.get() + 1);
            }
            place
        })
    }

    fn borrow_for(&mut self, pool: usize, tier: usize) -> bool {
        let head = self.head_with_quota(pool, tier);
        self.end_other_drains(pool, tier, head);
        if let Some(head) = head {
            let passed = self.picks(tier) && self.requests[&head].bypassed < self.setup.max_bypass;
            match self.borrowed(pool, head) {
                None => self.attend(pool, head),
                Some(worker) if passed || self.rather_waits(head, worker) => {}
                Some(worker) => {
                    self.start_on(head, worker, Reason::Borrowed);
                    return true;
                }
            }
            let start = self.start_first(Reason::Borrowed, |model| {
                model.first_who_borrows(pool, tier, &model.in_order(pool, tier))
            });
            if let Some((seq, worker)) = start {
                if seq != head && le(self.requests[&head].asks, self.whole(worker)) {
                    self.request(head).bypassed += 1;
                }
                return true;
            }
        }
        let aged = self.start_first(Reason::Borrowed, |model| {
            (tier + 1..model.setup.tiers.len()).find_map(|lower| {
                let mut aged = model.in_order(pool, lower);
                aged.retain(|seq| model.has_aged_to(*seq, tier));
                model.first_who_borrows(pool, lower, &aged)
            })
        });
        aged.is_some()
    }

    /// The first of a tier's own that passes its gates and has quota; those before it wait for some.
    pub(crate) fn head_with_quota(&mut self, pool: usize, tier: usize) -> Option<Seq> {
        loop {
            let head = self.head(pool, tier);
            match head.and_then(|seq| Some((seq, self.quota_lack(seq)?))) {
                Some((seq, lack)) => self.wait_for_quota(seq, lack),
                None => return head,
            }
        }
    }

    /// The first of a tier's own that passes its gates.
    fn head(&self, pool: usize, tier: usize) -> Option<Seq> {
        self.in_order(pool, tier).into_iter().find(|&seq| {
            let size = self.own_claim(seq);
            let pinned = if self.requests[&seq].never_yields() { size } else { [0; 4] };
            !self.sits_out(seq) && self.passes(seq, size, pinned)
        })
    }

    fn has_aged_to(&self, seq: Seq, tier: usize) -> bool {
        let request = &self.requests[&seq];
        self.setup.tiers[request.tier()].age_after.is_some_and(|age_after| {
            let age = u128::from(age_after) * (request.tier() - tier) as u128;
            u128::from(request.arrived_at) + age <= u128::from(self.now)
        })
    }

    fn end_other_drains(&mut self, pool: usize, tier: usize, head: Option<Seq>) {
        for id in self.up(pool) {
            let drain = self.worker(id).drain;
            if drain.is_some_and(|(other, _)| Some(other) != head && self.requests[&other].tier() == tier) {
                self.workers[id.get() as usize].drain = None;
                self.look_again = true;
            }
        }
    }

    /// A head that does not start.
    fn attend(&mut self, pool: usize, head: Seq) {
        let (now, tier) = (self.now, self.requests[&head].tier());
        let since = *self.request(head).blocked_since.get_or_insert(now);
        let drains = |worker: &super::Worker| worker.drain.is_some_and(|(seq, _)| seq == head);
        let drained = self.worker_ids().find(|&id| drains(self.worker(id)));
        let able = drained.filter(|&id| le(self.requests[&head].asks, self.whole(id)));
        if able.is_none() && drained.is_some() {
            self.end_drain(head);
            self.look_again = true;
        }
        let drained = able;
        let old = |since: u64| now - since >= self.setup.drain_after;
        if let Some(id) = drained {
            let (_, drained_since) = self.worker(id).drain.expect("it is drained");
            if self.sharing_with(id, head).into_iter().all(|id| self.here(id).is_empty())
                && old(drained_since)
            {
                self.end_drain(head);
                self.look_again = true;
                let request = self.request(head);
                request.blocked_since = Some(now);
                request.bypassed = 0;
            }
            return;
        }
        if !old(since) && self.requests[&head].bypassed < self.setup.max_bypass {
            return;
        }
        let request = &self.requests[&head];
        let able = self.up(pool).into_iter().filter(|&id| {
            le(request.asks, self.whole(id))
                && !request.is_kept_off(id, now)
                && self.drains_over(id).iter().all(|other| self.requests[other].tier() > tier)
        });
        if let Some(id) = able.min_by_key(|&id| (self.load(id, [0; 4]), id)) {
            let others = self.drains_over(id);
            self.look_again |= !others.is_empty();
            others.into_iter().for_each(|other| self.end_drain(other));
            self.workers[id.get() as usize].drain = Some((head, now));
        }
    }

    /// A worker and those that are not lost and share a device with it that may have too little of what a request asks.
    fn sharing_with(&self, id: WorkerId, seq: Seq) -> BTreeSet<WorkerId> {
        let asks = self.requests[&seq].asks;
        let devices = self.worker(id).spec.devices.iter().map(|part| part.device);
        let limiting = devices.filter(|&device| {
            let limit = self.limit(device);
            let parts = self.on_device(device);
            let whole = parts.iter().all(|(_, part)| part.part == tidegate::Ppm::ONE);
            let offered = |(id, part)| super::floor_on(part, units(self.worker(id).spec.capacity));
            let advertised = super::sum(parts.into_iter().map(offered));
            (0..4).any(|d| limit[d] > 0 && asks[d] > 0 && (!whole || advertised[d] > limit[d]))
        });
        let sharing = limiting.flat_map(|device| self.on_device(device)).map(|(id, _)| id);
        sharing.chain([id]).collect()
    }

    /// For whom a worker is kept clear.
    fn drains_over(&self, id: WorkerId) -> Vec<Seq> {
        let up = self.up(self.worker(id).spec.pool.get() as usize).into_iter();
        let drains = up.filter_map(|drained| Some((drained, self.worker(drained).drain?.0)));
        let over = drains.filter(|&(drained, seq)| self.sharing_with(drained, seq).contains(&id));
        over.map(|(_, seq)| seq).collect()
    }

    /// Whether a poll at `now` would say anything, for the soundness of `poll_timeout`.
    pub(crate) fn would_say(&self, now: u64) -> Option<Action> {
        let mut twin = self.clone();
        twin.poll(now)
    }

    pub(crate) fn state(&self, seq: Seq) -> RequestState {
        match self.requests[&seq].state {
            RequestState::Queued if !self.is_offered(seq) => RequestState::Parked,
            state => state,
        }
    }
}
