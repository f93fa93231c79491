//! One node of the tree: its limits, and the books of what it and the nodes below it have open.
//!
//! Decides whether the node's own limits let a start pass, and books changes, each of them whole or not at all;
//! knows no other node. O(1). Allocates only when limits are set where there were none.

use alloc::boxed::Box;

use super::allowance::{Allowance, Flow};
use super::bucket::Cover;
use super::lease::Lease;
use crate::config::LeaseTerms;
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::tenant::{QuotaLimit, Rate, TenantPolicy};
use crate::time::Instant;

/// The limits that are rates.
pub(super) const RATES: [QuotaLimit; 2] = [QuotaLimit::Requests, QuotaLimit::Tokens];

/// The most tokens that may be held at a node: as signed as a level, which may come to owe them all.
const MAX_HELD: u64 = i64::MAX as u64;

/// What waits before a newcomer, and will take its part first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// What a start takes of each node of its path, beside its place among those that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) tokens: u64,
    pub(crate) units: Resources,
}

/// A limit that does not let a start pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    pub(super) limit: QuotaLimit,
    pub(super) shut: Shut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// Until that instant, if only time passes; `None` if time alone does not open it.
    Until(Option<Instant>),
    /// For ever: so much is needed, and the limit is that.
    Forever { need: u64, max: u64 },
}

impl Gate {
    /// Whether this one is to be named rather than the other: what time alone does not open rather than what it
    /// does, and of two instants the later. So the instant that is named is the one at which all are open.
    pub(super) fn outlasts(&self, other: &Self) -> bool {
        match (self.shut, other.shut) {
            (_, Shut::Forever { .. }) => false,
            (Shut::Forever { .. }, _) => true,
            (Shut::Until(own), Shut::Until(other)) => {
                other.is_some_and(|other| own.is_none_or(|own| own > other))
            }
        }
    }
}

/// What a node may do.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Limits {
    /// Boxed: most have none.
    requests: Option<Box<Allowance>>,
    tokens: Option<Allowance>,
    /// `u64::MAX` is no limit: so many requests there are not.
    max_running: u64,
    /// 0 in a dimension is no limit.
    max_in_use: Option<Box<Resources>>,
    allow_when_full: bool,
    /// All of them surely let a start of fewer tokens pass: asked of each node five times a cycle, and found anew at each of
    /// two changes. Half a word, so that it takes no memory. No part of a snapshot: 0 tells nothing, and is found again.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    opens_below: u32,
}

impl Limits {
    /// What `opens_below` is where so many run.
    #[inline]
    fn surely_opens_below(&self, running: u32) -> u32 {
        let has = |allowance: Option<&Allowance>| allowance.map_or(u64::MAX, Allowance::covers_below);
        let may_one = self.max_in_use.is_none()
            && u64::from(running) < self.max_running
            && has(self.requests.as_deref()) > 1;
        if may_one { u32::try_from(has(self.tokens.as_ref())).unwrap_or(u32::MAX) } else { 0 }
    }
}

/// What is open at a node and below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Books {
    /// Requests that run.
    pub(crate) running: u32,
    /// Tokens held for them.
    pub(crate) held: u64,
    /// Units they use.
    pub(crate) in_use: Resources,
}

/// What has become of tokens, since the node was added; counted modulo 2^64, and no decision reads it.
///
/// QUO-2: `used + held = charged + debt - refunded`, where `charged` is what starts took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Totals {
    /// Use of what is settled.
    pub(crate) used: u64,
    /// Held, and given back.
    pub(crate) refunded: u64,
    /// Used beyond what was held.
    pub(crate) debt: u64,
}

/// A change of books.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Change {
    /// What is open no more, and what is open now.
    pub(super) less: Books,
    pub(super) more: Books,
    pub(super) tokens: Flow,
    pub(super) starts: Flow,
    pub(super) totals: Totals,
}

#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Node {
    limits: Option<Box<Limits>>,
    pub(super) books: Books,
    pub(super) totals: Totals,
}

impl Node {
    /// What a node takes, what it takes besides if it has limits, and besides for a rate of requests.
    #[cfg(test)]
    pub(super) const BYTES: [usize; 3] = [size_of::<Self>(), size_of::<Limits>(), size_of::<Allowance>()];

    /// Sets the limits from `now` on. A rate that was there keeps its level; a new one has a whole burst, or
    /// nothing if it is leased, less the tokens that are held here.
    pub(super) fn set(&mut self, now: Instant, policy: &TenantPolicy, terms: LeaseTerms) {
        let (requests, tokens) = self.limits.take().map_or((None, None), |old| (old.requests, old.tokens));
        let requests = requests.map(|allowance| *allowance);
        let leased = policy.leased.then_some(terms);
        let allowance = |old: Option<Allowance>, rate: Rate, held: u64| match old {
            Some(old) => old.changed(now, rate, leased, held),
            None => {
                let mut new = Allowance::new(now, rate, leased);
                new.book(now, &Flow::charged(held));
                new
            }
        };
        let mut limits = Limits {
            requests: policy.requests.map(|rate| Box::new(allowance(requests, rate, 0))),
            tokens: policy.tokens.map(|rate| allowance(tokens, rate, self.books.held)),
            max_running: policy.max_running.unwrap_or(u64::MAX),
            max_in_use: (!policy.max_in_use.is_zero()).then(|| Box::new(policy.max_in_use)),
            allow_when_full: policy.allow_when_full,
            opens_below: 0,
        };
        limits.opens_below = limits.surely_opens_below(self.books.running);
        let none = limits.requests.is_none()
            && limits.tokens.is_none()
            && limits.max_in_use.is_none()
            && limits.max_running == u64::MAX;
        self.limits = (!none).then(|| Box::new(limits));
    }

    /// Reads ahead of what a start or an end books.
    #[inline(always)]
    pub(super) fn fetch(&self) -> u64 {
        let limits =
            self.limits.as_ref().map_or(0, |limits| limits.max_running ^ u64::from(limits.opens_below));
        limits ^ self.books.held ^ self.totals.used
    }

    /// The allowance of a rate, if the node has it.
    pub(super) fn allowance(&self, limit: QuotaLimit) -> Option<&Allowance> {
        let limits = self.limits.as_ref()?;
        match limit {
            QuotaLimit::Requests => limits.requests.as_deref(),
            QuotaLimit::Tokens => limits.tokens.as_ref(),
            QuotaLimit::Running | QuotaLimit::Units => None,
        }
    }

    fn allowance_mut(&mut self, limit: QuotaLimit) -> Option<&mut Allowance> {
        let limits = self.limits.as_mut()?;
        match limit {
            QuotaLimit::Requests => limits.requests.as_deref_mut(),
            QuotaLimit::Tokens => limits.tokens.as_mut(),
            QuotaLimit::Running | QuotaLimit::Units => None,
        }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.limits.is_some()
    }

    /// Whether it has this limit.
    pub(super) fn has_limit(&self, limit: QuotaLimit) -> bool {
        self.limits.as_ref().is_some_and(|limits| match limit {
            QuotaLimit::Requests => limits.requests.is_some(),
            QuotaLimit::Tokens => limits.tokens.is_some(),
            QuotaLimit::Running => limits.max_running < u64::MAX,
            QuotaLimit::Units => limits.max_in_use.is_some(),
        })
    }

    /// Whether any of its rates is leased.
    pub(super) fn is_leased(&self) -> bool {
        let leased = |allowance: Option<&Allowance>| matches!(allowance, Some(Allowance::Leased(_)));
        let any_of = |limits: &Limits| leased(limits.requests.as_deref()) || leased(limits.tokens.as_ref());
        self.limits.as_deref().is_some_and(any_of)
    }

    /// The lease of a rate, if it is leased.
    pub(super) fn lease_mut(&mut self, limit: QuotaLimit) -> Option<&mut Lease> {
        self.allowance_mut(limit)?.lease_mut()
    }

    /// Whether nothing is open, and the allowances are as those of a new node.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let mut allowances = RATES.into_iter().filter_map(|limit| self.allowance(limit));
        self.books == Books::default() && allowances.all(|allowance| allowance.is_fresh(now))
    }

    /// The limit that keeps a start back, if one does; of several the one that does so longest.
    pub(super) fn gate(&self, now: Instant, ask: &Ask, ahead: Ahead) -> Option<Gate> {
        let limits = self.limits.as_ref()?;
        if self.is_open_beside(ask.tokens, ahead) {
            return None;
        }
        let when_full = limits.allow_when_full;
        let rate = |limit, allowance: Option<&Allowance>, need, ahead| {
            let allowance = allowance?;
            let shut = match allowance.cover(now, need, ahead, when_full) {
                Cover::Now => return None,
                Cover::Later(at) => Shut::Until(at),
                Cover::Never => Shut::Forever { need, max: allowance.rate().burst },
            };
            Some(Gate { limit, shut })
        };
        let gates = [
            rate(QuotaLimit::Requests, limits.requests.as_deref(), 1, ahead.requests),
            rate(QuotaLimit::Tokens, limits.tokens.as_ref(), ask.tokens, ahead.tokens),
            self.running_gate(limits.max_running, ahead.requests),
            limits.max_in_use.as_ref().and_then(|max| self.units_gate(max, &ask.units)),
        ];
        gates.into_iter().flatten().reduce(|worst, gate| if gate.outlasts(&worst) { gate } else { worst })
    }

    /// Whether it needs no second look to see that all limits let a start of so many tokens pass: `true` is certain.
    #[inline(always)]
    pub(super) fn is_open(&self, tokens: u64) -> bool {
        self.limits.as_ref().is_none_or(|limits| tokens < limits.opens_below.into())
    }

    /// The same beside what waits before it, or by all that has come.
    fn is_open_beside(&self, tokens: u64, ahead: Ahead) -> bool {
        let Some(limits) = &self.limits else { return true };
        let has = |allowance: Option<&Allowance>, need, ahead| {
            allowance.is_none_or(|allowance| allowance.covers_already(need, ahead))
        };
        limits.max_in_use.is_none()
            && u64::from(self.books.running).saturating_add(ahead.requests) < limits.max_running
            && has(limits.tokens.as_ref(), tokens, ahead.tokens)
            && has(limits.requests.as_deref(), 1, ahead.requests)
    }

    fn running_gate(&self, max: u64, ahead: u64) -> Option<Gate> {
        let shut = if max == 0 {
            Shut::Forever { need: 1, max }
        } else if u64::from(self.books.running).saturating_add(ahead) >= max {
            Shut::Until(None)
        } else {
            return None;
        };
        Some(Gate { limit: QuotaLimit::Running, shut })
    }

    fn units_gate(&self, max: &Resources, asked: &Resources) -> Option<Gate> {
        let gates = (0..MAX_DIMENSIONS).filter(|&d| asked[d] > 0 && max[d] > 0).filter_map(|d| {
            let shut = if asked[d] > max[d] {
                Shut::Forever { need: asked[d], max: max[d] }
            } else if self.books.in_use[d].saturating_add(asked[d]) > max[d] {
                Shut::Until(None)
            } else {
                return None;
            };
            Some(Gate { limit: QuotaLimit::Units, shut })
        });
        gates.reduce(|worst, gate| if gate.outlasts(&worst) { gate } else { worst })
    }

    /// The limit whose books would not balance after a change, if one would not: they would go below zero, or
    /// beyond what a word holds. Lets in what came until `now` where something is taken.
    #[inline(always)]
    pub(super) fn check(&mut self, now: Instant, change: &Change) -> Result<(), QuotaLimit> {
        self.check_books(change)?;
        let (starts, tokens) = (change.starts.out(), change.tokens.out());
        let (starts, tokens) = (starts.ok_or(QuotaLimit::Requests)?, tokens.ok_or(QuotaLimit::Tokens)?);
        let Some(limits) = &mut self.limits else { return Ok(()) };
        // One by one: a loop over both takes 30 instructions more at each node.
        let bears = |allowance: Option<&mut Allowance>, units: u64| {
            units == 0 || allowance.is_none_or(|allowance| allowance.bears(now, units))
        };
        if !bears(limits.requests.as_deref_mut(), starts) {
            return Err(QuotaLimit::Requests);
        }
        if bears(limits.tokens.as_mut(), tokens) { Ok(()) } else { Err(QuotaLimit::Tokens) }
    }

    /// What is in use where `to` is in place of `from`, unless that does not balance.
    #[inline(always)]
    pub(super) fn with_use(&self, from: Resources, to: Resources) -> Option<Resources> {
        // One check for all dimensions: this is on the path of every start, growth and end.
        let (mut in_use, mut is_beyond) = (self.books.in_use, false);
        for d in 0..MAX_DIMENSIONS {
            let (left, borrows) = in_use[d].overflowing_sub(from[d]);
            let (with, carries) = left.overflowing_add(to[d]);
            in_use[d] = with;
            is_beyond |= borrows | carries;
        }
        (!is_beyond).then_some(in_use)
    }

    #[inline(always)]
    fn check_books(&self, Change { less, more, .. }: &Change) -> Result<(), QuotaLimit> {
        let Books { running, held, .. } = self.books;
        let running = running.checked_sub(less.running).and_then(|left| left.checked_add(more.running));
        let held = held.checked_sub(less.held).and_then(|left| left.checked_add(more.held));
        match (self.with_use(less.in_use, more.in_use).is_none(), running, held) {
            (true, ..) => Err(QuotaLimit::Units),
            (_, None, _) => Err(QuotaLimit::Running),
            (_, _, Some(held)) if held <= MAX_HELD => Ok(()),
            _ => Err(QuotaLimit::Tokens),
        }
    }

    /// Books a change that [`check`](Self::check) has found to balance.
    #[inline(always)]
    pub(super) fn book(&mut self, now: Instant, change: &Change) {
        let (Change { less, more, .. }, books) = (change, &mut self.books);
        books.running = books.running.checked_sub(less.running).expect("they ran") + more.running;
        books.held = books.held.checked_sub(less.held).expect("they were held") + more.held;
        books.in_use -= less.in_use;
        books.in_use += more.in_use;
        if let Some(limits) = &mut self.limits {
            if let Some(requests) = &mut limits.requests {
                requests.book(now, &change.starts);
            }
            if let Some(tokens) = &mut limits.tokens {
                tokens.book(now, &change.tokens);
            }
            // What comes back opens no less than before: then it is only found where nothing was certain.
            let takes = more.running > 0 || change.tokens.taken > 0 || change.tokens.charged > 0;
            if takes || limits.opens_below == 0 {
                limits.opens_below = limits.surely_opens_below(books.running);
            }
        }
        let Totals { used, refunded, debt } = change.totals;
        self.totals.used = self.totals.used.wrapping_add(used);
        self.totals.refunded = self.totals.refunded.wrapping_add(refunded);
        self.totals.debt = self.totals.debt.wrapping_add(debt);
    }
}
