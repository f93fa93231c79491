//! Section 21: requests that name several pools.

use tidegate::{OtherPools, PoolId, Preemption, Reason, RequestSpec, RequestState, WorkerId};

use super::{Model, Request, Seq, Status, forget_checkpoint};

/// Whom a pool looks at of a tier's: in which turn it began where, and where the next begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    turn: u64,
    begin: Seq,
    end: Seq,
}

/// The pools that a request names, in order, each once.
pub(crate) fn named(spec: &RequestSpec) -> Vec<PoolId> {
    let mut pools = vec![spec.pool];
    for &pool in spec.other_pools.iter() {
        if !pools.contains(&pool) {
            pools.push(pool);
        }
    }
    pools
}

/// The same request, waiting in one of its pools.
fn placed(request: &Request, pool: PoolId) -> RequestSpec {
    let others: Vec<PoolId> = request.pools.iter().copied().filter(|&other| other != pool).collect();
    RequestSpec { pool, other_pools: OtherPools::new(&others).expect("no more than before"), ..request.spec }
}

impl Model {
    fn may_roam(&self, seq: Seq) -> bool {
        let request = &self.requests[&seq];
        request.pools.len() > 1 && !self.is_bound(seq) && request.waits_at.is_none()
    }

    pub(crate) fn is_bound(&self, seq: Seq) -> bool {
        let request = &self.requests[&seq];
        let is_lost = |id: WorkerId| self.worker(id).status == Status::Lost;
        let keeper = request.checkpoint.map_or(request.worker, |(worker, _)| worker);
        (request.kept > 0 || request.checkpoint.is_some()) && !is_lost(keeper)
            || request.moves_to.is_some_and(|to| !is_lost(to))
    }

    fn other_pools(&self, seq: Seq) -> Vec<PoolId> {
        if self.may_roam(seq) { self.requests[&seq].spec.other_pools.to_vec() } else { Vec::new() }
    }

    fn as_if_in<T>(&mut self, pool: PoolId, seq: Seq, look: impl FnOnce(&Self) -> T) -> T {
        let (own, asks) = (self.requests[&seq].spec.pool, self.requests[&seq].asks);
        self.without_claim = Some(seq);
        self.request(seq).spec.pool = pool;
        self.request(seq).asks = self.next_asks(seq);
        let seen = look(self);
        self.without_claim = None;
        self.request(seq).spec.pool = own;
        self.request(seq).asks = asks;
        seen
    }

    fn move_to(&mut self, seq: Seq, pool: PoolId) {
        self.roamed += 1;
        self.note_departure(seq);
        self.leave_queue(seq);
        self.undo_idle_hold(seq);
        self.go_to(seq, pool);
        self.enqueue(seq, true);
        self.settle();
    }

    /// It comes back: to the pool it prefers.
    pub(crate) fn go_to_first_choice(&mut self, seq: Seq) {
        if self.may_roam(seq) {
            self.go_to(seq, self.requests[&seq].pools[0]);
        }
    }

    /// What it kept elsewhere stays there.
    fn go_to(&mut self, seq: Seq, pool: PoolId) {
        let spec = placed(&self.requests[&seq], pool);
        if pool != self.requests[&seq].spec.pool {
            let request = self.request(seq);
            forget_checkpoint(request);
            request.kept = 0;
        }
        self.move_charge(seq, spec);
    }

    /// The half of those that fit into a look, and as many of the others, in turn.
    fn looked_at(&mut self, pool: PoolId, tier: usize, all: Vec<Seq>) -> Vec<Seq> {
        if all.len() <= 32 {
            return all;
        }
        let (first, others) = all.split_at(16);
        let from = |begin: Seq| {
            let (before, behind): (Vec<Seq>, Vec<Seq>) = others.iter().partition(|&&seq| seq < begin);
            behind.into_iter().chain(before).take(16)
        };
        let look = self.looks.entry((pool, tier)).or_default();
        if look.turn != self.now / 10_000_000 {
            let last = from(look.end).last().expect("there are more");
            *look = Look { turn: self.now / 10_000_000, begin: look.end, end: last + 1 };
        }
        first.iter().copied().chain(from(look.begin)).collect()
    }

    /// Whether it will ever fit again, in the pool it was in or another it may go to.
    pub(crate) fn can_come_back(&mut self, seq: Seq) -> bool {
        let can = |model: &Self| {
            let request = &model.requests[&seq];
            let needs = super::max(model.next_asks(seq), request.stopped_with.unwrap_or([0; 4]));
            let shapes = model.shapes(request.spec.pool.get() as usize);
            shapes.iter().any(|&shape| super::le(needs, shape))
        };
        can(self) || self.other_pools(seq).into_iter().any(|pool| self.as_if_in(pool, seq, can))
    }

    /// Before anything else in a poll: who is parked for want of a worker goes where one is.
    pub(crate) fn settle_homeless(&mut self) {
        let parked = self.requests.iter().filter(|(_, request)| request.state == RequestState::Parked);
        let parked: Vec<Seq> = parked.map(|(&seq, _)| seq).collect();
        for seq in parked {
            if self.may_roam(seq) {
                let pools = self.requests[&seq].pools.clone();
                let able =
                    |model: &mut Self, pool| model.as_if_in(pool, seq, |model| !model.should_be_parked(seq));
                if let Some(pool) = pools.into_iter().find(|&pool| able(self, pool)) {
                    self.move_to(seq, pool);
                }
            }
        }
    }

    /// Where nothing else applies to any pool: one takes a request over.
    pub(crate) fn roam(&mut self) -> bool {
        (0..self.setup.pools as u32).map(PoolId::new).any(|pool| {
            (0..self.setup.tiers.len()).any(|tier| {
                let all =
                    self.requests.iter().filter(|(_, request)| request.waits() && request.tier() == tier);
                let all: Vec<Seq> = all.map(|(&seq, _)| seq).collect();
                let all = all.into_iter().filter(|&seq| self.other_pools(seq).contains(&pool)).collect();
                self.looked_at(pool, tier, all).into_iter().any(|seq| self.take_in(pool, seq))
            })
        })
    }

    fn take_in(&mut self, pool: PoolId, seq: Seq) -> bool {
        let is_aside = self.state(seq) == RequestState::Parked && self.requests[&seq].is_queued();
        if self.sits_out(seq) || is_aside || self.waits_for_warmth(seq) {
            return false;
        }
        if self.start_in(pool, seq).is_none() {
            let covered = self.is_covered_later(pool, seq);
            if covered {
                self.move_to(seq, pool);
            }
            return covered;
        }
        if let Some(lack) = self.quota_lack(seq) {
            self.wait_for_quota(seq, lack);
            return true;
        }
        self.requests[&seq].pools.clone().into_iter().any(|pool| self.starts_in(pool, seq))
    }

    fn starts_in(&mut self, pool: PoolId, seq: Seq) -> bool {
        if pool == self.requests[&seq].spec.pool {
            return false;
        }
        match self.start_in(pool, seq) {
            Some((worker, reason)) if self.may_hold_in(pool, seq) => {
                self.start_elsewhere(seq, worker, reason);
                true
            }
            _ => false,
        }
    }

    /// Instead of victims: a pool that would start it at once does.
    pub(crate) fn starts_elsewhere(&mut self, seq: Seq) -> bool {
        let (own, tier) = (self.requests[&seq].spec.pool, self.requests[&seq].tier());
        let others = self.other_pools(seq);
        for pool in self.requests[&seq].pools.clone().into_iter().filter(|pool| others.contains(pool)) {
            let index = pool.get() as usize;
            if pool > own && (0..=tier).any(|tier| !self.in_order(index, tier).is_empty()) {
                continue;
            }
            if self.starts_in(pool, seq) {
                return true;
            }
        }
        false
    }

    /// Whether quota lets it ask there for what it would.
    fn may_hold_in(&mut self, pool: PoolId, seq: Seq) -> bool {
        let (own, holds) = (self.requests[&seq].asks, self.requests[&seq].held.is_some());
        (self.requests[&seq].has_run || !holds)
            && self.as_if_in(pool, seq, |model| {
                super::le(model.requests[&seq].asks, own) || !holds && model.quota_lack(seq).is_none()
            })
    }

    fn start_elsewhere(&mut self, seq: Seq, worker: WorkerId, reason: Reason) {
        let (pool, tier) = (self.worker(worker).spec.pool, self.requests[&seq].tier());
        if reason == Reason::Borrowed
            && let Some(head) = self.head_with_quota(pool.get() as usize, tier)
            && super::le(self.requests[&head].asks, self.whole(worker))
        {
            self.request(head).bypassed += 1;
        }
        self.move_to(seq, pool);
        self.start_on(seq, worker, reason);
    }

    fn start_in(&mut self, pool: PoolId, seq: Seq) -> Option<(WorkerId, Reason)> {
        let (index, tier) = (pool.get() as usize, self.requests[&seq].tier());
        let is_kept = !self.kept(index, tier).is_empty();
        self.as_if_in(pool, seq, |model| {
            if model.should_be_parked(seq) {
                return None;
            }
            let guaranteed = model.guaranteed(index, tier, seq).map(|worker| (worker, Reason::Guaranteed));
            let borrowed = || if is_kept { None } else { model.borrowed(index, seq) };
            guaranteed.or_else(|| Some((borrowed()?, Reason::Borrowed)))
        })
    }

    fn is_covered_later(&mut self, pool: PoolId, seq: Seq) -> bool {
        let request = &self.requests[&seq];
        let (tier, pools) = (request.tier(), &request.pools);
        let place = |of: PoolId| pools.iter().position(|&other| other == of);
        let is_later = place(pool) > place(request.spec.pool);
        let within = |model: &Self| {
            let request = &model.requests[&seq];
            model.is_within(request.spec.pool.get() as usize, tier, request.asks, [0; 4])
        };
        is_later
            && self.claim_of(seq).is_none()
            && self.setup.tiers[tier].preemption != Preemption::Never
            && !within(self)
            && self.as_if_in(pool, seq, |model| !model.should_be_parked(seq) && within(model))
    }
}
