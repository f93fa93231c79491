//! Section 13: what tenants are charged, and who of them is next.

use tidegate::{Order, RequestId, RequestSpec, TenantId, Usage, WorkerId};

use super::{Model, Request, Seq};

/// A tenant in a tier of a pool.
pub(crate) type LineName = (usize, usize, TenantId);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) base: i128,
    pub(crate) served: i128,
    weight: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self { base: 0, served: 0, weight: 1 }
    }
}

impl Line {
    fn weighed(&self) -> i128 {
        match self.weight {
            0 => self.served * SCALE * SCALE,
            weight => self.served * SCALE / i128::from(weight),
        }
    }
}

/// What a request is charged for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Charge {
    pub(crate) cost: Option<u64>,
    pub(crate) cached: u64,
    pub(crate) output: u64,
}

const SCALE: i128 = 1 << 20;

impl Request {
    pub(crate) fn line(&self) -> LineName {
        (self.spec.pool.get() as usize, self.tier(), self.spec.tenant)
    }

    /// Whether it makes its tenant active.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_queued() && self.waits_at.is_none() && !self.comes_back()
    }
}

impl Model {
    pub(crate) fn counter(&self, line: LineName) -> i128 {
        self.lines.get(&line).map_or(0, |line| line.base + line.weighed())
    }

    /// The steps in which the counters of a tier's tenants are compared; `None` where they are not.
    pub(crate) fn quantum(&self, tier: usize) -> Option<i128> {
        let tier = &self.setup.tiers[tier];
        match tier.order {
            Order::Fair => Some(1),
            Order::DeficitLongestPrefix => Some(i128::from(tier.deficit_quantum) * SCALE),
            _ => None,
        }
    }

    /// Who has had how much, as far as the tier tells, of the tenant of a request.
    pub(crate) fn had(&self, seq: Seq) -> i128 {
        self.had_of(self.requests[&seq].line())
    }

    pub(crate) fn had_of(&self, line: LineName) -> i128 {
        self.quantum(line.1).map_or(0, |quantum| self.counter(line).div_euclid(quantum))
    }

    fn actives(&self, (pool, tier, _): LineName) -> impl Iterator<Item = &Request> {
        self.requests.values().filter(move |r| r.is_fresh() && (r.line().0, r.line().1) == (pool, tier))
    }

    /// A live request comes to its tenant's line: the first of them finds it at V at least.
    pub(crate) fn join_line(&mut self, seq: Seq) {
        let line = self.requests[&seq].line();
        let others = self.requests.iter().filter(|&(&other, request)| other != seq && request.line() == line);
        if others.count() == 0 {
            let floor = self.floors.get(&(line.0, line.1)).copied().unwrap_or(0);
            let weight = self.tenant(line.2).policy.weight;
            let base = floor.max(self.counter(line));
            self.lines.insert(line, Line { base, served: 0, weight });
        }
    }

    /// The counters of a tenant stay; what it is charged from now on weighs otherwise.
    pub(crate) fn set_weight(&mut self, tenant: TenantId, weight: u32) {
        for (_, line) in self.lines.iter_mut().filter(|((_, _, whose), _)| *whose == tenant) {
            let counter = line.base + line.weighed();
            line.weight = weight;
            line.base = counter - line.weighed();
        }
    }

    /// A request came to the fresh ones of its queue.
    pub(crate) fn note_arrival(&mut self, seq: Seq) {
        let request = &self.requests[&seq];
        let (line, id) = (request.line(), request.id);
        if self.quantum(line.1).is_none() || !request.is_fresh() {
            return;
        }
        if self.actives(line).any(|other| other.line() == line && other.id != id) {
            return;
        }
        let reached = self.reached(line, Some(id));
        let floor = self.floors.entry((line.0, line.1)).or_default();
        *floor = reached.max(*floor);
        let lift = *floor - self.counter(line);
        self.lines.entry(line).or_default().base += lift.max(0);
    }

    /// How far those are that are active in the queue of a line, beside one request; or the last that was.
    pub(crate) fn reached(&self, line: LineName, beside: Option<RequestId>) -> i128 {
        let quantum = self.quantum(line.1).expect("its order tells tenants apart");
        let others = || self.actives(line).filter(|other| Some(other.id) != beside);
        let is_aside = |other: &&Request| self.aside.contains_key(&other.line());
        let counter = |other: &Request| self.counter(other.line()).div_euclid(quantum) * quantum;
        let on_offer = others().filter(|other| !is_aside(other)).map(counter).min();
        let least = on_offer.or_else(|| others().map(counter).min());
        let last = self.last_active.get(&(line.0, line.1));
        let last = last.map(|&tenant| self.counter((line.0, line.1, tenant)));
        least.or(last).unwrap_or(0)
    }

    /// A request is about to leave the fresh ones of its queue.
    pub(crate) fn note_departure(&mut self, seq: Seq) {
        let request = &self.requests[&seq];
        let (pool, tier, tenant) = request.line();
        if request.is_fresh() {
            self.last_active.insert((pool, tier), tenant);
        }
    }

    fn cost(&self, prompt: u64, cached: u64, output: u64) -> u64 {
        let (input_cost, cached_cost, output_cost) = self.setup.token_costs;
        let cached = cached.min(prompt);
        (prompt - cached) * input_cost + cached * cached_cost + output * output_cost
    }

    pub(crate) fn recharge(&mut self, seq: Seq, cost: u64) {
        let request = self.request(seq);
        let before = request.charge.cost.replace(cost).unwrap_or(0);
        let line = request.line();
        let had = self.had_of(line);
        self.lines.entry(line).or_default().served += i128::from(cost) - i128::from(before);
        if let Some(wait) = self.aside.get(&line).filter(|_| self.had_of(line) != had) {
            self.changed.insert(wait.node);
        }
    }

    /// A request is described otherwise from now on: what it was charged goes where it goes.
    pub(crate) fn move_charge(&mut self, seq: Seq, spec: RequestSpec) {
        let (line, charge) = (self.requests[&seq].line(), self.requests[&seq].charge);
        if (self.requests[&seq].spec.tier, line.0) == (spec.tier, spec.pool.get() as usize) {
            self.request(seq).spec = spec;
            return;
        }
        self.recharge(seq, 0);
        self.request(seq).spec = spec;
        if self.requests[&seq].line() != line {
            self.join_line(seq);
        }
        self.recharge(seq, charge.cost.unwrap_or(0));
        self.request(seq).charge = charge;
    }

    fn charge(&mut self, seq: Seq) {
        let Request { spec, charge, .. } = &self.requests[&seq];
        let cost = self.cost(spec.prompt_tokens, charge.cached, charge.output);
        self.recharge(seq, cost);
    }

    pub(crate) fn charge_start(&mut self, seq: Seq, worker: WorkerId) {
        let request = &self.requests[&seq];
        if request.charge.cost.is_some() {
            return;
        }
        let mean = self.means.get(&request.spec.tenant).filter(|_| self.setup.predict_output);
        let expected =
            mean.map_or(request.spec.output_tokens.unwrap_or(0), |&mean| mean.div_euclid(1024) as u64);
        let cached = self.expected_cached(seq, worker);
        let charge = &mut self.request(seq).charge;
        (charge.cached, charge.output) = (cached, expected);
        self.charge(seq);
    }

    pub(crate) fn charge_cached(&mut self, seq: Seq, cached: u64) {
        self.request(seq).charge.cached = cached;
        self.charge(seq);
    }

    pub(crate) fn charge_output(&mut self, seq: Seq) {
        let request = self.request(seq);
        if request.output > request.charge.output {
            request.charge.output = request.output + 64;
            self.charge(seq);
        }
        self.charge_beyond(seq);
    }

    pub(crate) fn refund(&mut self, seq: Seq) {
        self.recharge(seq, 0);
        self.request(seq).charge.cost = None;
    }

    pub(crate) fn settle_charge(&mut self, seq: Seq, usage: Option<&Usage>) {
        self.settle_hold(seq, usage);
        let request = &self.requests[&seq];
        if request.charge.cost.is_none() {
            return;
        }
        let tenant = request.spec.tenant;
        let cost = match usage {
            Some(usage) => self.cost(usage.prompt_tokens, usage.cached_tokens, usage.output_tokens),
            None if !request.has_run => 0,
            None => self.cost(request.spec.prompt_tokens, request.charge.cached, request.output),
        };
        self.recharge(seq, cost);
        if let Some(usage) = usage {
            let newest = i128::from(usage.output_tokens) * 1024;
            let mean = self.means.entry(tenant).or_insert(newest);
            *mean += (newest - *mean) / 8;
        }
    }
}
