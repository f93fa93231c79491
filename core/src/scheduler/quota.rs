//! Quota of requests: held at a start, or when victims are chosen for it; given back when it ends. Who lacks some waits
//! at the node of the tree that lacks it, on no offer, until the node has room for the first that waits there.
//!
//! Invariants: a request on a worker holds quota, and so does the owner of a claim, and one that has run; a node's
//! waiters are woken in their order: the most urgent tier, the least served tenant, the earliest arrival.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::record::{Record, Run};
use super::requests::COMMON;
use super::spec::ShortSpec;
use super::usage::Settled;
use super::{MAX_TOKENS, Scheduler};
use crate::error::SubmitError;
use crate::id::Tier;
use crate::packed::MaybeInstant;
use crate::queue::Lane;
use crate::quota::{Ahead, Ask, Never, NotNow, Refusal};
use crate::request::{RequestSpec, Usage};
use crate::resources::Resources;
use crate::tenant::{OverQuota, QuotaLimit};
use crate::time::Instant;

/// Where somebody stands among those who wait at a node.
pub(super) type WaiterKey = (Tier, i128, u64);

/// Who waits at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
enum Waiter {
    /// A tenant's line, with all its requests.
    Line(u32),
    /// One request: of a tier whose order does not tell tenants apart, or one that comes back.
    Request(u32),
}

/// What keeps a request back.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuotaLack {
    pub(super) node: u32,
    /// When the node has room for it, if nothing else happens there.
    pub(super) retry_at: Option<Instant>,
}

/// Who waits for quota.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct QuotaQueue {
    /// By node.
    waiters: Vec<BTreeMap<WaiterKey, Waiter>>,
    /// Where the lines wait that are set aside, by the numbers that the queues have for them.
    lines: BTreeMap<u32, (u32, WaiterKey)>,
    /// When a node will have room for its first waiter.
    refills: BTreeSet<(Instant, u32)>,
    /// Nodes that may have room for their first waiter.
    changed: BTreeSet<u32>,
    /// How many wait anywhere.
    len: usize,
}

impl QuotaQueue {
    fn first(&self, node: u32) -> Option<(WaiterKey, Waiter)> {
        if self.len == 0 {
            return None;
        }
        let waiters = self.waiters.get(node as usize)?;
        waiters.first_key_value().map(|(&key, &waiter)| (key, waiter))
    }

    fn insert(&mut self, node: u32, key: WaiterKey, waiter: Waiter) {
        if self.waiters.len() <= node as usize {
            self.waiters.resize_with(node as usize + 1, BTreeMap::new);
        }
        self.len += usize::from(self.waiters[node as usize].insert(key, waiter).is_none());
        self.changed.insert(node);
    }

    fn remove(&mut self, node: u32, key: WaiterKey) {
        self.len -= usize::from(self.waiters[node as usize].remove(&key).is_some());
        self.changed.insert(node);
    }

    /// Whether some node has to be looked at.
    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(super) fn next_refill(&self) -> Option<Instant> {
        self.refills.first().map(|&(at, _)| at)
    }

    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(&(at, node)) = self.refills.first()
            && at <= now
        {
            self.refills.pop_first();
            self.changed.insert(node);
        }
    }
}

impl Scheduler {
    /// Something changed at a node that may let its first waiter go on.
    pub(super) fn look_at_node(&mut self, node: u32) {
        if self.quota_queue.first(node).is_some() {
            self.quota_queue.changed.insert(node);
        }
    }

    /// A request came to its queue: where its line waits for quota it may be the first of it now, and lack less.
    #[inline]
    pub(super) fn look_at_own_line(&mut self, slot: u32) {
        if self.quota_queue.len == 0 || self.requests[slot].lane != Some(Lane::Fresh) {
            return;
        }
        if let Some(&(node, _)) = self.quota_queue.lines.get(&self.line_in_order(slot)) {
            self.look_at_node(node);
        }
    }

    #[inline]
    pub(super) fn look_at_path(&mut self, leaf: u32) {
        if self.quota_queue.len > 0 {
            self.look_at_nodes(leaf);
        }
    }

    fn look_at_nodes(&mut self, leaf: u32) {
        let mut at = Some(leaf);
        while let Some(node) = at {
            self.look_at_node(node);
            at = self.quota.parent(node);
        }
    }

    /// Quota is taken at a node and above: those who are on offer in any pool may lack it now, and keep others back.
    #[inline]
    pub(super) fn less_quota(&mut self, leaf: u32) {
        // Where a request came or went its pool is stirred already, and most hosts have one.
        if self.pools.iter().any(|pool| !pool.dirty) && self.quota.is_limited(leaf) {
            self.stir_all();
        }
    }

    /// What a start is expected to use: its prompt, and what the client allows; or what its tenant's requests usually
    /// generate, as far as a burst has it.
    #[inline(always)]
    fn estimate(&self, spec: &ShortSpec) -> u64 {
        match spec.output_tokens() {
            Some(output) => (spec.prompt_tokens + output).min(MAX_TOKENS),
            None => self.usual_estimate(spec),
        }
    }

    #[inline(never)]
    fn usual_estimate(&self, spec: &ShortSpec) -> u64 {
        let tenant = &self.tenants[spec.tenant];
        let most = self.quota.least_burst(tenant.node).unwrap_or(u64::MAX);
        (spec.prompt_tokens + self.mean_output(spec.tenant).unwrap_or(0))
            .min(most)
            .max(spec.prompt_tokens)
            .min(MAX_TOKENS)
    }

    /// What the next start of a request needs beyond what is settled of it.
    #[inline(always)] // a cycle has 1 % less instructions
    pub(super) fn ask_of(&self, slot: u32) -> Ask {
        let record = &self.requests[slot];
        Ask { tokens: self.needs(record, self.requests.run_of(record)), units: record.asks }
    }

    /// The tokens of that.
    #[inline(always)]
    fn needs(&self, record: &Record, run: &Run) -> u64 {
        self.estimate(&record.spec).saturating_sub(run.settled)
    }

    /// What keeps a request from holding its quota now: a limit, or those who wait before it.
    #[inline]
    pub(super) fn quota_lack(&self, slot: u32) -> Option<QuotaLack> {
        if self.surely_has_quota(&self.requests[slot]) {
            None
        } else {
            self.quota_lack_at(slot, self.waiter_key(slot))
        }
    }

    /// Whether it needs no second look to see that a request may hold its quota now: `true` is certain.
    #[inline(always)]
    pub(super) fn surely_has_quota(&self, record: &Record) -> bool {
        // Who was never started holds nothing, and is charged for nothing yet: most that wait.
        if record.run == COMMON {
            return self.quota_queue.len == 0 && self.quota.is_open(record.leaf, self.estimate(&record.spec));
        }
        let run = self.requests.run_of(record);
        run.held.is_some()
            || self.quota_queue.len == 0 && self.quota.is_open(record.leaf, self.needs(record, run))
    }

    #[inline]
    fn holds_quota(&self, slot: u32) -> bool {
        self.requests.run(slot).held.is_some()
    }

    #[inline(never)] // few come here
    fn quota_lack_at(&self, slot: u32, key: WaiterKey) -> Option<QuotaLack> {
        if self.holds_quota(slot) {
            return None;
        }
        let leaf = self.requests[slot].leaf;
        match self.quota.would_hold(self.now, leaf, &self.ask_of(slot)) {
            Err(Refusal::NotNow(NotNow { node, retry_at, .. })) => return Some(QuotaLack { node, retry_at }),
            Err(Refusal::Never(Never { node, .. })) => return Some(QuotaLack { node, retry_at: None }),
            Ok(()) => {}
        }
        let is_behind = |node: &u32| self.quota_queue.first(*node).is_some_and(|(first, _)| first < key);
        self.quota.path(leaf).find(is_behind).map(|node| QuotaLack { node, retry_at: None })
    }

    fn waiter_key(&self, slot: u32) -> WaiterKey {
        let record = &self.requests[slot];
        // One that is parked for want of a worker comes back all the same: another pool may take it.
        let rank = if record.comes_back() {
            i128::MIN
        } else if self.tells_tenants(record.tier()) {
            self.rank_in_order(slot)
        } else {
            self.order_key(slot, Lane::Fresh).rank.into()
        };
        (record.tier(), rank, record.sequence)
    }

    /// Takes the quota of a request, which lacks none.
    pub(super) fn hold(&mut self, slot: u32) {
        let tokens = self.take_hold(slot);
        self.meter(slot).counts().held_tokens += tokens;
    }

    /// The same without its meter, which is to be told so many tokens.
    #[inline(always)] // in a start, which nearly all are
    pub(super) fn take_hold(&mut self, slot: u32) -> u64 {
        let record = &self.requests[slot];
        let run = self.requests.run_of(record);
        if run.held.is_some() {
            return 0;
        }
        let ask = Ask { tokens: self.needs(record, run), units: record.asks };
        let (record, run) = self.requests.with_run_mut(slot);
        let (leaf, waits_again) = (record.leaf, record.is_waiting() && record.has_run);
        (run.held, run.held_units, run.lapsed) = (Some(ask.tokens), ask.units, false);
        self.quota.take(self.now, leaf, &ask);
        if waits_again {
            self.watch_hold(slot);
        }
        self.less_quota(leaf);
        ask.tokens
    }

    /// Gives back what a request holds that does not start after all.
    pub(super) fn undo_hold(&mut self, slot: u32) {
        if !self.holds_quota(slot) {
            return;
        }
        let run = self.requests.run_mut(slot);
        let Some(tokens) = run.held.take() else { return };
        let ask = Ask { tokens, units: run.held_units };
        let leaf = self.requests[slot].leaf;
        self.quota.undo(self.now, leaf, &ask).expect("it was held");
        self.meter(slot).settle(tokens, 0);
        self.look_at_path(leaf);
    }

    /// The same for one that waits without a claim, and has never started.
    pub(super) fn undo_idle_hold(&mut self, slot: u32) {
        let record = &self.requests[slot];
        if record.claim.is_none() && !record.has_run {
            self.undo_hold(slot);
        }
    }

    /// The units that a request holds are those it uses.
    #[inline]
    pub(super) fn hold_units(&mut self, slot: u32) {
        let run = self.requests.run(slot);
        let (from, to) = (run.held_units, run.in_use);
        if run.held.is_none() || from == to {
            return;
        }
        self.hold_other_units(slot, from, to);
    }

    fn hold_other_units(&mut self, slot: u32, from: Resources, to: Resources) {
        self.requests.run_mut(slot).held_units = to;
        let leaf = self.requests[slot].leaf;
        let is_limited = self.quota.resize_use(leaf, from, to).expect("it was held");
        if !from.fits(&to) {
            self.look_at_path(leaf);
        }
        // Most tenants have no limit of units, which grow at every turn.
        if is_limited && !to.fits(&from) {
            self.stir_all();
        }
    }

    /// A request uses more than it holds, or will soon: that is charged at once. How many tokens it may use then before
    /// it has to be asked again.
    pub(super) fn charge_quota(&mut self, slot: u32, output: u64, ahead: u64) -> u64 {
        let (record, run) = (&self.requests[slot], self.requests.run(slot));
        if let Some(left) = held_left(record, run, output) {
            return left;
        }
        let (used, held) =
            (used_of_quota(record, run, output), run.held.expect("who holds nothing outruns nothing"));
        let more = used.saturating_add(ahead).min(MAX_TOKENS) - held;
        let leaf = record.leaf;
        // MAX_TOKENS of each of MAX_REQUESTS fit the books.
        self.quota.charge(self.now, leaf, more).expect("tokens are limited");
        self.requests.run_mut(slot).held = Some(held + more);
        self.meter(slot).charge(more);
        if self.quota.has_limit(leaf, QuotaLimit::Tokens) {
            self.stir_all();
        }
        (held + more).saturating_sub(used)
    }

    /// A request ends: what it did not use comes back, what it used beyond is owed. The meter is to be told what it gave back.
    pub(super) fn settle_hold(&mut self, slot: u32, used: &Usage) -> Option<Settled> {
        let record = &self.requests[slot];
        if record.is_waiting() && !record.has_run {
            self.undo_hold(slot);
            return None;
        }
        if self.requests.run_of(record).lapsed {
            let unsettled = self.unsettled(slot, used);
            if unsettled > 0 {
                self.hold_again(slot, unsettled);
            }
        }
        self.settle_part(slot, used)
    }

    /// Refuses a tier that is more urgent than a tenant may use.
    pub(super) fn check_urgency(&self, spec: &RequestSpec) -> Result<(), SubmitError> {
        let allowed = self.tenants.policy(&self.tenants[spec.tenant]).most_urgent;
        if spec.tier < allowed {
            return Err(SubmitError::TierTooUrgent { tenant: spec.tenant, tier: spec.tier, allowed });
        }
        Ok(())
    }

    /// A newcomer that its tenant's quota has no room for waits, is refused, or goes to the next tier, if it can fit there.
    pub(super) fn admit_quota(&mut self, spec: &mut RequestSpec) -> Result<(), SubmitError> {
        self.check_urgency(spec)?;
        let tenant = &self.tenants[spec.tenant];
        let over_quota = self.tenants.policy(tenant).over_quota;
        let ahead = |node: u32| {
            let waiting = self.tenants.waiting_at(node);
            Ahead { requests: waiting.requests, tokens: waiting.tokens }
        };
        let ask = Ask { tokens: self.estimate(&ShortSpec::of(spec)), units: spec.demand };
        // Who would wait anyway is refused for what can never be alone: not if there is room even now.
        if over_quota == OverQuota::Wait && self.quota.is_open(tenant.node, ask.tokens) {
            return Ok(());
        }
        match self.quota.would_admit(self.now, tenant.node, &ask, ahead) {
            Err(Refusal::Never(Never { node, limit, need, max })) => {
                Err(SubmitError::NeverAllowed { tenant: self.tenants.of_node(node), limit, need, max })
            }
            Err(Refusal::NotNow(NotNow { node, limit, retry_at })) => match over_quota {
                OverQuota::Reject => {
                    let leaf = tenant.node;
                    self.quota.miss(self.now, leaf, &ask);
                    Err(SubmitError::OverQuota { tenant: self.tenants.of_node(node), limit, retry_at })
                }
                OverQuota::Demote if spec.tier.index() + 1 < self.config.tiers.len() => {
                    spec.tier = Tier::new(spec.tier.get() + 1);
                    self.check_fits(spec)
                }
                OverQuota::Demote | OverQuota::Wait => Ok(()),
            },
            Ok(()) => Ok(()),
        }
    }

    /// A request that could go on lacks quota: it waits for it, and where tenants stand in lines all of its line do.
    pub(super) fn wait_for_quota(&mut self, slot: u32, node: u32) {
        let key = self.waiter_key(slot);
        let record = &mut self.requests[slot];
        (record.blocked_since, record.bypassed) = (MaybeInstant::NONE, 0);
        let line = self.line_in_order(slot);
        let is_in_line = self.requests[slot].lane == Some(Lane::Fresh) && self.tells_tenants(key.0);
        // Whoever is next of a line tells when it goes on: another waits by itself.
        if is_in_line && self.first_waiter(Waiter::Line(line)) == slot {
            self.set_line_aside(slot, line, true);
            self.quota_queue.lines.insert(line, (node, key));
            self.quota_queue.insert(node, key, Waiter::Line(line));
        } else {
            self.uncount_waiting(slot);
            self.stop_draining(slot);
            self.leave_lane(slot);
            self.requests.rare_mut(slot).waits_at = Some((node, key));
            self.join_lane(slot, false);
            self.quota_queue.insert(node, key, Waiter::Request(slot));
        }
        self.stir_all();
    }

    /// Its demand counts no more, or again; its drain ends.
    fn set_line_aside(&mut self, slot: u32, line: u32, aside: bool) {
        let (pool, tier) = (self.requests[slot].pool(), self.requests[slot].tier());
        let counted = self.line_demand(line);
        let account = self.account_mut(pool, tier);
        if aside {
            account.waiting -= counted;
        } else {
            account.waiting += counted;
        }
        self.pools[pool.index()].queues[tier.index()].set_aside(&mut self.nodes, line, aside);
        let drains = self.pool(pool).drained.iter().filter_map(|&worker| self.worker(worker).drain);
        let in_line =
            |slot| self.requests[slot].lane == Some(Lane::Fresh) && self.line_in_order(slot) == line;
        let drain = drains.into_iter().find(|drain| aside && in_line(drain.slot));
        if let Some(drain) = drain {
            self.stop_draining(drain.slot);
        }
    }

    /// Offers the first waiter of a node that has room for it again, or lets it wait where it lacks quota now. Whether
    /// there was one: others may lack quota now, since it stands before them.
    #[inline(always)]
    pub(super) fn wake_waiter(&mut self) -> bool {
        self.quota_queue.is_changed() && self.wake_first_waiter()
    }

    #[inline(never)]
    fn wake_first_waiter(&mut self) -> bool {
        while let Some(&node) = self.quota_queue.changed.first() {
            let Some((key, waiter)) = self.quota_queue.first(node) else {
                self.quota_queue.changed.remove(&node);
                self.quota.await_quota(self.now, node, None);
                continue;
            };
            let slot = self.first_waiter(waiter);
            match self.quota_lack_at(slot, key) {
                None => {
                    self.offer_again(slot, waiter, node, key);
                    return true;
                }
                Some(lack) if lack.node == node => {
                    let ask = self.ask_of(slot);
                    self.quota.await_quota(self.now, node, Some(&ask));
                    self.quota_queue.refills.extend(lack.retry_at.map(|at| (at, node)));
                    self.quota_queue.changed.remove(&node);
                }
                Some(lack) => {
                    self.wait_elsewhere(slot, waiter, (node, lack.node), key);
                    return true;
                }
            }
        }
        false
    }

    /// Offers all that wait for quota again: what they lack then, they wait for anew.
    pub(super) fn offer_all_again(&mut self) {
        for node in 0..self.quota_queue.waiters.len() as u32 {
            while let Some((key, waiter)) = self.quota_queue.first(node) {
                let slot = self.first_waiter(waiter);
                self.offer_again(slot, waiter, node, key);
            }
        }
    }

    /// Those below a tenant that wait at a node which it has left are offered again: that node lets nobody on there any
    /// more, and they would stand behind those that it does not let on.
    pub(super) fn offer_those_that_left(&mut self, moved: u32, node: u32) {
        let waiters = self.quota_queue.waiters.get(node as usize).cloned().unwrap_or_default();
        for (key, waiter) in waiters {
            let slot = self.first_waiter(waiter);
            let leaf = self.requests[slot].leaf;
            if self.quota.path(leaf).any(|above| above == moved) {
                self.offer_again(slot, waiter, node, key);
            }
        }
    }

    /// Who of those that wait together is next: of a line the first that holds nothing, beside the owners of claims.
    fn first_waiter(&self, waiter: Waiter) -> u32 {
        let line = match waiter {
            Waiter::Line(line) => line,
            Waiter::Request(slot) => return slot,
        };
        let first = self.nodes.in_line(line).next();
        let next = self.nodes.in_line(line).find(|&slot| !self.holds_quota(slot));
        next.or(first).expect("a line that waits has requests")
    }

    fn offer_again(&mut self, slot: u32, waiter: Waiter, node: u32, key: WaiterKey) {
        self.quota_queue.remove(node, key);
        match waiter {
            Waiter::Line(line) => {
                self.quota_queue.lines.remove(&line);
                self.set_line_aside(slot, line, false);
            }
            Waiter::Request(_) => {
                self.leave_lane(slot);
                self.requests.rare_mut(slot).waits_at = None;
                self.join_lane(slot, true);
                self.set_turn(slot);
                self.count_waiting(slot);
            }
        }
        self.stir(self.requests[slot].pool());
    }

    fn wait_elsewhere(&mut self, slot: u32, waiter: Waiter, (from, to): (u32, u32), key: WaiterKey) {
        self.quota_queue.remove(from, key);
        self.quota_queue.insert(to, key, waiter);
        match waiter {
            Waiter::Line(line) => {
                self.quota_queue.lines.insert(line, (to, key));
            }
            Waiter::Request(_) => self.requests.rare_mut(slot).waits_at = Some((to, key)),
        }
        self.stir_all();
    }

    /// A line that is set aside has another rank: it stands elsewhere among those who wait at its node.
    #[inline]
    pub(super) fn rerank_waiter(&mut self, line: u32, rank: i128) {
        if self.quota_queue.len > 0 {
            self.rerank_line(line, rank);
        }
    }

    fn rerank_line(&mut self, line: u32, rank: i128) {
        let Some(&(node, key)) = self.quota_queue.lines.get(&line) else { return };
        let new = (key.0, rank, key.2);
        if new == key {
            return;
        }
        self.quota_queue.remove(node, key);
        self.quota_queue.insert(node, new, Waiter::Line(line));
        self.quota_queue.lines.insert(line, (node, new));
        self.stir_all();
    }

    /// A request has left its lane: it waits for quota no more, and if it was the last of its line, nor does that.
    #[inline(always)]
    pub(super) fn stop_waiting_for_quota(&mut self, slot: u32) {
        if self.quota_queue.len > 0 {
            self.forget_waiter(slot);
        }
    }

    fn forget_waiter(&mut self, slot: u32) {
        if let Some((node, key)) = self.requests.rare(slot).waits_at {
            self.requests.rare_mut(slot).waits_at = None;
            self.quota_queue.remove(node, key);
        }
        let line = self.line_in_order(slot);
        let Some(&(node, key)) = self.quota_queue.lines.get(&line) else { return };
        if self.nodes.has_requests(line) {
            // Another may be its first now, and lack less.
            return self.look_at_node(node);
        }
        self.quota_queue.lines.remove(&line);
        self.quota_queue.remove(node, key);
        let (pool, tier) = (self.requests[slot].pool(), self.requests[slot].tier());
        self.pools[pool.index()].queues[tier.index()].set_aside(&mut self.nodes, line, false);
    }

    /// Whether a waiting request is on no offer because it, or its line, waits for quota; and where.
    pub(super) fn waits_at(&self, slot: u32) -> Option<u32> {
        let record = &self.requests[slot];
        let of_line = || {
            let aside = record.lane == Some(Lane::Fresh);
            aside.then(|| self.quota_queue.lines.get(&self.line_in_order(slot))).flatten()
        };
        self.requests.rare(slot).waits_at.as_ref().or_else(of_line).map(|&(node, _)| node)
    }
}

/// What a request has used beyond what was settled of it, with so much output.
#[inline]
fn used_of_quota(record: &Record, run: &Run, output: u64) -> u64 {
    record.spec.prompt_tokens.saturating_add(output).saturating_sub(run.settled)
}

/// How many tokens a request may use before it outruns what it holds; `None` if it has.
#[inline]
pub(super) fn held_left(record: &Record, run: &Run, output: u64) -> Option<u64> {
    match run.held {
        Some(held) if held < MAX_TOKENS => held.checked_sub(used_of_quota(record, run, output)),
        _ => Some(u64::MAX),
    }
}
