//! What requests cost their tenants in the order of a tier: charged by estimate at the first start, by truth as tokens
//! come, settled at the end. Victims are not charged again.

use super::Scheduler;
use super::quota::held_left;
use super::stopping::tokens_of;
use super::usage::Ending;
use crate::config::Order;
use crate::fairness::COST_SCALE;
use crate::id::{PoolId, TenantId, Tier, WorkerId};
use crate::queue::Lane;
use crate::request::Usage;

/// How many output tokens beyond those reported are charged where a request outruns what was charged for it: so that
/// not every token is an event. Chosen arbitrarily.
const CHARGED_AHEAD: u64 = 64;

/// How much a newer output counts in a tenant's running mean: one part of so many. Chosen arbitrarily.
const MEAN_OF: i128 = 8;
/// Running means are kept in fractions of a token.
const MEAN_SCALE: i128 = 1 << 10;

impl Scheduler {
    /// Queues are numbered pool by pool.
    #[inline]
    pub(super) fn queue_number(&self, pool: PoolId, tier: Tier) -> u32 {
        (pool.index() * self.config.tiers.len() + tier.index()) as u32
    }

    /// The pool and the tier of a queue by its number.
    pub(super) fn queue_of(&self, number: u32) -> (PoolId, Tier) {
        let tiers = self.config.tiers.len() as u32;
        (PoolId::new(number / tiers), Tier::new((number % tiers) as u8))
    }

    /// A live request belongs to its tenant's line from now on.
    #[inline(always)]
    pub(super) fn join_line(&mut self, slot: u32) {
        let spec = &self.requests[slot].spec;
        let (number, queue) = (spec.tenant, self.queue_number(spec.pool, spec.tier));
        let tenant = &self.tenants[number];
        let known = tenant.lines.iter().find(|&&(other, _)| other == queue).map(|&(_, line)| line);
        let weight = self.tenants.policy(tenant).weight;
        let line = known.unwrap_or_else(|| {
            let line = self.fairness.open(queue, number.get(), weight);
            self.tenants[number].lines.push((queue, line));
            line
        });
        self.fairness.join(line);
        self.requests[slot].line = line;
    }

    /// A live request ends, or moves to another line.
    #[inline(always)]
    pub(super) fn leave_line(&mut self, slot: u32) {
        let (pool, tier) = (self.requests[slot].pool(), self.requests[slot].tier());
        self.fairness.leave(self.requests[slot].line);
        self.forget_lines(pool, tier);
    }

    /// Forgets who is not there and ahead of nobody.
    fn forget_lines(&mut self, pool: PoolId, tier: Tier) {
        let queue = self.queue_number(pool, tier);
        while let Some((line, tenant)) = self.fairness.forget_one(queue) {
            self.tenants[TenantId::new(tenant)].lines.retain(|&mut (_, other)| other != line);
        }
    }

    /// Something of a request changes; if its tier `moves`, it moves to another line with what it was charged.
    pub(super) fn change_line(&mut self, slot: u32, moves: bool, change: impl FnOnce(&mut Self)) {
        if !moves {
            return change(self);
        }
        let charge = self.requests.run(slot).charge;
        if charge.is_some() {
            self.recharge(slot, 0);
        }
        self.leave_line(slot);
        change(self);
        self.join_line(slot);
        if let Some(cost) = charge {
            self.recharge(slot, cost);
        }
    }

    /// The line in which a request stands in the order of its tier, one for all where tenants do not matter, and its rank.
    #[inline(always)]
    pub(super) fn place_in_order(&self, slot: u32) -> (u32, i128) {
        let record = &self.requests[slot];
        let Some(unit) = self.counted_in(record.tier()) else {
            return (self.queue_number(record.pool(), record.tier()), 0);
        };
        (self.number_in_order(record.line), self.rank_of(record.line, unit))
    }

    /// The number that a tenant's line has in the order, behind those that serve for all of a queue.
    #[inline]
    fn number_in_order(&self, line: u32) -> u32 {
        (self.pools.len() * self.config.tiers.len()) as u32 + line
    }

    /// The rank of a line whose counter is told in steps of so much.
    #[inline]
    fn rank_of(&self, line: u32, unit: i128) -> i128 {
        let counter = self.fairness.counter(line);
        if unit == 1 { counter } else { counter.div_euclid(unit) }
    }

    pub(super) fn line_in_order(&self, slot: u32) -> u32 {
        self.place_in_order(slot).0
    }

    pub(super) fn rank_in_order(&self, slot: u32) -> i128 {
        self.place_in_order(slot).1
    }

    /// Whether the order of a tier tells tenants apart.
    pub(super) fn tells_tenants(&self, tier: Tier) -> bool {
        self.counted_in(tier).is_some()
    }

    /// In how large steps of their counters the tenants of a tier are told apart; `None` if they do not matter.
    #[inline]
    fn counted_in(&self, tier: Tier) -> Option<i128> {
        let tier = &self.config.tiers[tier.index()];
        match tier.order {
            Order::Fair => Some(1),
            Order::DeficitLongestPrefix => Some(i128::from(tier.deficit_quantum) * COST_SCALE),
            Order::Fifo | Order::Deadline | Order::ShortestFirst | Order::HybridDeadline => None,
        }
    }

    /// The least counter of the lines that have fresh requests, as far as its tier tells; of those on offer, if there are any.
    #[inline(always)]
    fn least_counter(&self, pool: PoolId, tier: Tier) -> Option<i128> {
        let rank = self.pool(pool).queues[tier.index()].least_rank(&self.nodes)?;
        Some(rank * self.counted_in(tier)?)
    }

    /// How far those are that wait in a queue, or, if nobody does, the last that did.
    #[inline(always)]
    pub(super) fn reached(&self, pool: PoolId, tier: Tier) -> i128 {
        self.least_counter(pool, tier).or_else(|| self.last_counter(pool, tier)).unwrap_or(0)
    }

    /// The present counter of the last tenant that waited there, if it is known.
    fn last_counter(&self, pool: PoolId, tier: Tier) -> Option<i128> {
        let queue = self.queue_number(pool, tier);
        let tenant = self.fairness.last(queue)?;
        let mut lines = self.tenants.get(TenantId::new(tenant))?.lines.iter();
        lines.find(|&&(other, _)| other == queue).map(|&(_, line)| self.fairness.counter(line))
    }

    /// A request joins the fresh lane, where it stands at this place in the order: perhaps it is the first of its line there.
    #[inline]
    pub(super) fn note_arrival(&mut self, slot: u32) -> (u32, i128) {
        let record = &self.requests[slot];
        let (pool, tier, line) = (record.pool(), record.tier(), record.line);
        let Some(unit) = self.counted_in(tier) else { return (self.queue_number(pool, tier), 0) };
        let in_order = self.number_in_order(line);
        if !self.nodes.has_requests(in_order) {
            self.fairness.lift(line, self.reached(pool, tier));
        }
        (in_order, self.rank_of(line, unit))
    }

    /// A request left the fresh lane: perhaps it was the last of its line there.
    #[inline]
    pub(super) fn note_departure(&mut self, slot: u32, line_in_order: u32) {
        if !self.nodes.has_requests(line_in_order) {
            self.fairness.note_last(self.requests[slot].line);
        }
    }

    /// A request is about to start, and to leave its lane: the first time, what it is expected to cost is charged, where so
    /// many tokens are expected to be cached.
    pub(super) fn charge_start(&mut self, slot: u32, cached: u64) {
        if self.requests.run(slot).charge.is_none() {
            let expected = self.expected_output(slot);
            let (record, run) = self.requests.with_run_mut(slot);
            (run.charged_cached, run.charged_output) = (cached, expected);
            let cost = self.config.token_costs.of(record.spec.prompt_tokens, cached, expected);
            if record.lane == Some(Lane::Fresh) {
                // Its line moves once, when it leaves.
                run.charge = Some(cost);
                self.fairness.recharge(record.line, 0, cost);
            } else {
                self.recharge(slot, cost);
            }
        }
    }

    /// What is expected of a request: what it says, or what its tenant's usually generate.
    #[inline]
    fn expected_output(&self, slot: u32) -> u64 {
        let spec = &self.requests[slot].spec;
        let mean = self.mean_output(spec.tenant).filter(|_| self.config.predict_output);
        mean.or(spec.output_tokens()).unwrap_or(0)
    }

    /// What the requests of a tenant usually generate, if one has completed.
    pub(super) fn mean_output(&self, tenant: TenantId) -> Option<u64> {
        self.tenants[tenant].mean_output.get().map(|mean| (mean / MEAN_SCALE) as u64)
    }

    /// Only the engine knows what of a prompt it found in its cache; at a later start that is the request's own work.
    pub(super) fn charge_cached(&mut self, slot: u32, cached_tokens: u64) {
        self.requests.run_mut(slot).charged_cached = cached_tokens;
        self.charge(slot);
    }

    /// A request may have generated more than was charged for it.
    pub(super) fn charge_output(&mut self, slot: u32) {
        let record = &self.requests[slot];
        let run = self.requests.run_of(record);
        let id = run.worker;
        let output = tokens_of(run, self.worker(id).step_tokens);
        let left = match (run.charged_output.checked_sub(output), held_left(record, run, output)) {
            (Some(left), Some(held_left)) => left.min(held_left),
            _ => self.charge_outrun(slot, output),
        };
        let worker = &mut self.workers[id.index()];
        worker.until_outrun = worker.until_outrun.min(left);
    }

    /// The same of one that did. How many tokens it may generate before it has to be asked again.
    #[inline(never)] // few come here
    fn charge_outrun(&mut self, slot: u32, output: u64) -> u64 {
        if output > self.requests.run(slot).charged_output {
            self.requests.run_mut(slot).charged_output = output.saturating_add(CHARGED_AHEAD);
            self.charge(slot);
        }
        let held_left = self.charge_quota(slot, output, CHARGED_AHEAD);
        held_left.min(self.requests.run(slot).charged_output - output)
    }

    /// A step gave this many tokens to each that runs on a worker: some may have outrun what was charged for them.
    pub(super) fn charge_step(&mut self, worker: WorkerId, tokens_each: u64) {
        let target = self.worker_mut(worker);
        if let Some(left) = target.until_outrun.checked_sub(tokens_each) {
            target.until_outrun = left;
            return;
        }
        target.until_outrun = u64::MAX;
        for index in 0..self.worker(worker).running.len() {
            let slot = self.worker(worker).running[index];
            if self.requests.run(slot).runs {
                self.charge_output(slot);
            }
        }
    }

    fn charge(&mut self, slot: u32) {
        self.recharge(slot, self.cost(slot));
    }

    /// What the tokens cost that a request is charged for.
    #[inline]
    fn cost(&self, slot: u32) -> u64 {
        let (spec, run) = (&self.requests[slot].spec, self.requests.run(slot));
        self.config.token_costs.of(spec.prompt_tokens, run.charged_cached, run.charged_output)
    }

    /// A request never ran: nothing was had.
    pub(super) fn refund(&mut self, slot: u32) {
        self.recharge(slot, 0);
        self.requests.run_mut(slot).charge = None;
    }

    /// What a request has used of which no engine tells at its end.
    pub(super) fn used_so_far(&self, slot: u32) -> Usage {
        let record = &self.requests[slot];
        if !record.has_run {
            return Usage::default();
        }
        let run = self.requests.run(slot);
        let output_tokens = if record.is_waiting() { run.output_tokens } else { self.output_tokens(slot) };
        Usage { prompt_tokens: record.spec.prompt_tokens, cached_tokens: run.charged_cached, output_tokens }
    }

    /// A request ends, and has used this.
    pub(super) fn settle(&mut self, slot: u32, ending: Ending, used: &Usage) {
        let settled = self.settle_hold(slot, used);
        self.meter_end(slot, ending, used, settled);
        if self.requests.run(slot).charge.is_some() {
            let Usage { prompt_tokens, cached_tokens, output_tokens } = *used;
            self.recharge(slot, self.config.token_costs.of(prompt_tokens, cached_tokens, output_tokens));
        }
    }

    /// A request of a tenant has completed with so many tokens.
    pub(super) fn note_output(&mut self, tenant: TenantId, tokens: u64) {
        let tenant = &mut self.tenants[tenant];
        let newest = i128::from(tokens) * MEAN_SCALE;
        let mean = tenant.mean_output.get().map_or(newest, |mean| mean + (newest - mean) / MEAN_OF);
        tenant.mean_output = Some(mean).into();
        let node = tenant.node;
        // Its others may count for more than before.
        self.less_quota(node);
    }

    /// A request costs its line so much in all, which moves accordingly.
    #[inline]
    fn recharge(&mut self, slot: u32, cost: u64) {
        let (record, run) = self.requests.with_run_mut(slot);
        let before = run.charge.replace(cost).unwrap_or(0);
        if before == cost {
            return;
        }
        self.fairness.recharge(record.line, before, cost);
        let (pool, tier) = (self.requests[slot].pool(), self.requests[slot].tier());
        let (line, rank) = self.place_in_order(slot);
        if self.pools[pool.index()].queues[tier.index()].set_rank(&mut self.nodes, line, rank) {
            self.rerank_waiter(line, rank);
            self.stir(pool);
        }
    }
}
