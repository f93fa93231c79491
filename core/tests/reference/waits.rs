//! Section 14: who waits for quota, at which node, and who goes on first.

use tidegate::TenantId;

use super::fair::LineName;
use super::quota::Shut;
use super::{Model, Seq, units};

/// Where somebody waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) node: u32,
    /// Of a request that waits alone, what it stands by among those of its tier; of a line, that is its counter.
    rank: i128,
    /// Who lacked quota.
    seq: Seq,
}

#[derive(Clone, Copy, Debug)]
enum Waiter {
    Line(LineName),
    Alone(Seq),
}

/// By what those that wait at a node stand.
type Place = (usize, i128, Seq);

/// What keeps somebody waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lack {
    pub(crate) node: u32,
    retry_at: Option<u64>,
}

impl Model {
    /// On offer: neither parked nor waiting for quota.
    pub(crate) fn is_offered(&self, seq: Seq) -> bool {
        let request = &self.requests[&seq];
        let is_aside = request.is_fresh() && self.aside.contains_key(&request.line());
        request.is_queued() && request.waits_at.is_none() && !is_aside
    }

    /// The fresh requests of a tenant's line, in order.
    pub(crate) fn fresh_of(&self, line: LineName) -> Vec<Seq> {
        let mut fresh: Vec<Seq> = self
            .requests
            .iter()
            .filter(|(_, r)| r.is_fresh() && r.line() == line)
            .map(|(&seq, _)| seq)
            .collect();
        fresh.sort_by_key(|&seq| self.place_in_line(seq));
        fresh
    }

    fn next_of(&self, waiter: Waiter) -> Seq {
        match waiter {
            Waiter::Alone(seq) => seq,
            Waiter::Line(line) => {
                let fresh = self.fresh_of(line);
                let next = fresh.iter().find(|seq| self.requests[seq].held.is_none());
                *next.or(fresh.first()).expect("a line that waits has requests")
            }
        }
    }

    fn waiters(&self, node: u32) -> Vec<(Place, Waiter)> {
        let lines = self.aside.iter().filter(|(_, wait)| wait.node == node);
        let lines = lines.map(|(&line, wait)| ((line.1, self.had_of(line), wait.seq), Waiter::Line(line)));
        let alone = self.requests.iter().filter_map(|(&seq, request)| {
            let wait = request.waits_at.filter(|wait| wait.node == node)?;
            Some(((request.tier(), wait.rank, seq), Waiter::Alone(seq)))
        });
        let mut waiters: Vec<(Place, Waiter)> = lines.chain(alone).collect();
        waiters.sort_by_key(|&(place, _)| place);
        waiters
    }

    fn place_for_quota(&self, seq: Seq) -> Place {
        let request = &self.requests[&seq];
        let rank = if request.comes_back() {
            i128::MIN
        } else if self.quantum(request.tier()).is_some() {
            self.had(seq)
        } else {
            self.rank(seq).into()
        };
        (request.tier(), rank, seq)
    }

    pub(crate) fn quota_lack(&self, seq: Seq) -> Option<Lack> {
        self.lack_at(seq, self.place_for_quota(seq))
    }

    fn lack_at(&self, seq: Seq, place: Place) -> Option<Lack> {
        let request = &self.requests[&seq];
        if request.held.is_some() {
            return None;
        }
        if let Some(gate) = self.gate(&request.spec, (self.needs(seq), request.asks), |_| (0, 0)) {
            let retry_at = if let Shut::Until(at) = gate.shut { Some(at) } else { None };
            return Some(Lack { node: self.tenant(gate.tenant).node, retry_at });
        }
        let nodes = self.path(request.spec.tenant).into_iter().map(|id| self.tenant(id).node);
        let mut behind =
            nodes.filter(|&node| self.waiters(node).first().is_some_and(|&(first, _)| first < place));
        behind.next().map(|node| Lack { node, retry_at: None })
    }

    /// A request lacks quota: it waits, and perhaps its line with it.
    pub(crate) fn wait_for_quota(&mut self, seq: Seq, lack: Lack) {
        let (_, rank, _) = self.place_for_quota(seq);
        let wait = Wait { node: lack.node, rank, seq };
        let request = self.request(seq);
        (request.blocked_since, request.bypassed) = (None, 0);
        let line = request.line();
        let tells = self.requests[&seq].is_fresh() && self.quantum(line.1).is_some();
        if tells && self.next_of(Waiter::Line(line)) == seq {
            self.aside.insert(line, wait);
            self.fresh_of(line).into_iter().for_each(|other| self.end_drain(other));
            self.met.lines_waited += 1;
        } else {
            self.end_drain(seq);
            self.note_departure(seq);
            self.request(seq).waits_at = Some(wait);
            self.met.alone_waited += 1;
        }
        self.changed.insert(lack.node);
        self.look_again = true;
    }

    /// It leaves its queue: it waits for quota no more.
    pub(crate) fn stop_waiting_for_quota(&mut self, seq: Seq) {
        if let Some(wait) = self.request(seq).waits_at.take() {
            self.changed.insert(wait.node);
        }
        let line = self.requests[&seq].line();
        let Some(wait) = self.aside.get(&line) else { return };
        self.changed.insert(wait.node);
        if self.fresh_of(line).iter().all(|&other| other == seq) {
            self.aside.remove(&line);
        }
    }

    /// When nothing else applies: the first waiter of a node may be offered again, or wait at another. Whether one
    /// was, or does.
    pub(crate) fn wake_waiter(&mut self) -> bool {
        while let Some(&node) = self.changed.first() {
            let Some(&(place, waiter)) = self.waiters(node).first() else {
                self.changed.remove(&node);
                continue;
            };
            match self.lack_at(self.next_of(waiter), place) {
                None => {
                    self.met.offered_again += 1;
                    self.offer_again(waiter);
                    return true;
                }
                Some(lack) if lack.node == node => {
                    self.refills.extend(lack.retry_at.map(|at| (at, node)));
                    self.changed.remove(&node);
                }
                Some(lack) => {
                    self.met.waited_elsewhere += 1;
                    self.changed.extend([node, lack.node]);
                    match waiter {
                        Waiter::Line(line) => self.aside.get_mut(&line).expect("it waits").node = lack.node,
                        Waiter::Alone(seq) => {
                            self.request(seq).waits_at.as_mut().expect("it waits").node = lack.node;
                        }
                    }
                    return true;
                }
            }
        }
        false
    }

    fn offer_again(&mut self, waiter: Waiter) {
        match waiter {
            Waiter::Line(line) => {
                let wait = self.aside.remove(&line).expect("it waits");
                self.changed.insert(wait.node);
            }
            Waiter::Alone(seq) => {
                let wait = self.request(seq).waits_at.take().expect("it waits");
                self.changed.insert(wait.node);
                self.note_arrival(seq);
            }
        }
    }

    pub(crate) fn offer_all_again(&mut self) {
        let nodes = self.tenants.iter().flatten().map(|tenant| tenant.node);
        let mut nodes: Vec<u32> = nodes.collect();
        nodes.sort_unstable();
        for node in nodes {
            for (_, waiter) in self.waiters(node) {
                self.offer_again(waiter);
            }
        }
    }

    /// A tenant's node, and all above it, have something more.
    pub(crate) fn mark_path(&mut self, seq: Seq) {
        let path = self.path(self.requests[&seq].spec.tenant);
        self.changed.extend(path.into_iter().map(|id| self.tenant(id).node).collect::<Vec<_>>());
    }

    /// Those at or below a tenant that wait at a node above it are offered again: they are elsewhere now.
    pub(crate) fn offer_those_that_moved(&mut self, tenant: TenantId, left: &[TenantId]) {
        for &above in left {
            for (_, waiter) in self.waiters(self.tenant(above).node) {
                let whose = self.requests[&self.next_of(waiter)].spec.tenant;
                if self.is_below(whose, tenant) {
                    self.offer_again(waiter);
                }
            }
        }
    }

    /// What waits at a tenant and below it: requests, and their tokens.
    pub(crate) fn queued_at(&self, id: TenantId) -> (u64, u64) {
        self.queued(|request| self.is_below(request.spec.tenant, id))
    }

    /// What keeps a newcomer back, beside what waits before it.
    pub(crate) fn gate_of_newcomer(&self, spec: &tidegate::RequestSpec) -> Option<super::quota::Gate> {
        self.gate(spec, (self.estimate(spec), units(spec.demand)), |id| self.queued_at(id))
    }
}
