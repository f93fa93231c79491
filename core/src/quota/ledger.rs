//! The tree of nodes: a start is held at every node from the leaf to the root, or at none.
//!
//! State: a [`Node`] by slot, its parent, and how high the trees below it are. Decides which limit of which node
//! keeps a start back, and until when; nobody's order. Every call costs O(depth), at most [`MAX_TENANT_DEPTH`]
//! nodes, however many there are: nothing is ever gone through. Memory is asked for when a node is added or its
//! limits are set, and goes back when it is removed; 16 bytes a slot stay for the next. Invariants: QUO-1, QUO-2,
//! QUO-4.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::allowance::{Allowance, Flow};
use super::lease::{Answer, Lease, Want};
use super::node::{Ahead, Ask, Books, Change, Gate, Node, RATES, Shut, Totals};
use crate::config::LeaseTerms;
use crate::heap::Heap;
use crate::resources::Resources;
use crate::slab::Slab;
use crate::tenant::{MAX_TENANT_DEPTH, QuotaLimit, TenantPolicy};
use crate::time::Instant;

/// A start that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotNow {
    /// Where.
    pub(crate) node: u32,
    /// For what.
    pub(crate) limit: QuotaLimit,
    /// The first instant at which it may start, if nothing else starts, ends or changes until then. `None` if time
    /// alone does not help.
    pub(crate) retry_at: Option<Instant>,
}

/// A start that no limit as it is will ever allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Never {
    /// Where.
    pub(crate) node: u32,
    /// What it is too large for.
    pub(crate) limit: QuotaLimit,
    /// What it needs, and the most there can be.
    pub(crate) need: u64,
    pub(crate) max: u64,
}

/// Why a start is not allowed. Nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotNow(NotNow),
    Never(Never),
}

/// Why a node cannot stand there. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    /// It would stand below itself.
    Cycle,
    /// The tree would be deeper than [`MAX_TENANT_DEPTH`].
    TooDeep,
    /// What moves along would not fit the books of this node.
    Unbalanced(Unbalanced),
}

/// Why a node cannot be removed. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// Nodes stand below it.
    Children,
    /// Something runs or is held there.
    Open(Books),
}

/// Books that would go below zero, or beyond what a word holds. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unbalanced {
    /// Whose books.
    pub(crate) node: u32,
    /// Of what.
    pub(crate) limit: QuotaLimit,
}

/// How high a tree can be, not counting its root.
const HEIGHTS: usize = MAX_TENANT_DEPTH - 1;

#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Place {
    node: Node,
    parent: Option<u32>,
    children: Children,
}

/// How many children there are that have so many levels below them: what a move has to know of a tree. Most have none.
#[derive(Clone, Debug, Default)]
#[cfg_attr(
    feature = "snapshot",
    derive(serde::Serialize, serde::Deserialize),
    serde(from = "[u32; HEIGHTS]", into = "[u32; HEIGHTS]")
)]
struct Children(Option<Box<[u32; HEIGHTS]>>);

impl Children {
    /// How many levels there are, those of the children included.
    fn levels(&self) -> usize {
        let highest = |counts: &[u32; HEIGHTS]| counts.iter().rposition(|&count| count > 0);
        self.0.as_deref().and_then(highest).map_or(0, |height| height + 1)
    }

    /// One that `was` so high is so high now; `None` where it is not there.
    fn change(&mut self, was: Option<usize>, is: Option<usize>) {
        let counts = self.0.get_or_insert_default();
        if let Some(height) = was {
            counts[height] -= 1;
        }
        if let Some(height) = is {
            counts[height] += 1;
        }
        if **counts == [0; HEIGHTS] {
            self.0 = None;
        }
    }
}

#[cfg(feature = "snapshot")]
impl From<[u32; HEIGHTS]> for Children {
    fn from(counts: [u32; HEIGHTS]) -> Self {
        Self((counts != [0; HEIGHTS]).then(|| Box::new(counts)))
    }
}

#[cfg(feature = "snapshot")]
impl From<Children> for [u32; HEIGHTS] {
    fn from(Children(counts): Children) -> Self {
        counts.map_or([0; HEIGHTS], |counts| *counts)
    }
}

impl Place {
    fn is_leaf(&self) -> bool {
        self.height() == 0
    }

    /// How many levels there are below it.
    fn height(&self) -> usize {
        self.children.levels()
    }
}

/// What leases wait for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unanswered {
    pub(crate) leases: u64,
    /// Those of them whose wish is not answered.
    pub(crate) unanswered: u64,
    /// For how long the oldest of these wishes is not.
    pub(crate) longest_ns: u64,
}

/// All nodes.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Ledger {
    /// Boxed, so that the memory of those forgotten goes back; only they are `None`.
    places: Slab<Option<Box<Place>>>,
    terms: LeaseTerms,
    /// When which lease has something to say or to look at, by [`turn_of`].
    lease_turns: Heap<Instant>,
    /// How many wishes there were: a number is said of one lease, once, so that the store never takes one for another's.
    wishes: u64,
}

/// The number that a lease has among those of all nodes.
const fn turn_of(slot: u32, limit: QuotaLimit) -> u32 {
    slot * RATES.len() as u32 + limit as u32 - RATES[0] as u32
}

impl Ledger {
    pub(crate) const fn new(terms: LeaseTerms) -> Self {
        Self { places: Slab::new(), terms, lease_turns: Heap::new(), wishes: 0 }
    }

    /// How many nodes there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds a node at the top, or below another. Its limits are the policy's; where it stands is not.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        parent: Option<u32>,
        policy: &TenantPolicy,
    ) -> Result<u32, Misplaced> {
        if parent.is_some_and(|parent| self.depth(parent) == MAX_TENANT_DEPTH) {
            return Err(Misplaced::TooDeep);
        }
        let mut place = Place { parent, ..Place::default() };
        place.node.set(now, policy, self.terms);
        let (slot, _) = self.places.insert(Some(Box::new(place)));
        self.raise(parent, None, Some(0));
        Ok(slot)
    }

    /// Sets the limits of a node from `now` on. What is open stays open. O(1).
    pub(crate) fn set(&mut self, now: Instant, slot: u32, policy: &TenantPolicy) {
        let terms = self.terms;
        self.place_mut(slot).node.set(now, policy, terms);
        self.attend(slot);
    }

    /// Puts a node, and all below it, below another or at the top. What is open there moves along: the former nodes
    /// above get back what is held, the new ones are charged for it. O(depth^2): it compares two paths.
    pub(crate) fn set_parent(
        &mut self,
        now: Instant,
        slot: u32,
        parent: Option<u32>,
    ) -> Result<(), Misplaced> {
        let former = self.place(slot).parent;
        let new_depth = parent.map_or(1, |parent| self.depth(parent) + 1);
        if self.above(parent).any(|node| node == slot) {
            return Err(Misplaced::Cycle);
        }
        let height = self.place(slot).height();
        if new_depth + height > MAX_TENANT_DEPTH {
            return Err(Misplaced::TooDeep);
        }
        // The nodes above both keep it: their buckets are not touched. They are the upper parts of both paths.
        let common = self.above(former).find(|&node| self.above(parent).any(|other| other == node));
        let open = self.place(slot).node.books;
        let join = Change { more: open, tokens: Flow::charged(open.held), ..Change::default() };
        let refunded = Totals { refunded: open.held, ..Totals::default() };
        let leave =
            Change { less: open, tokens: Flow::put(open.held), totals: refunded, ..Change::default() };
        self.check(now, former, common, &leave).map_err(Misplaced::Unbalanced)?;
        self.check(now, parent, common, &join).map_err(Misplaced::Unbalanced)?;
        self.book(now, former, common, &leave);
        self.book(now, parent, common, &join);
        self.raise(former, Some(height), None);
        self.raise(parent, None, Some(height));
        self.place_mut(slot).parent = parent;
        Ok(())
    }

    /// Forgets a node where nothing runs, nothing is held, and below which there is none; its debts too.
    pub(crate) fn remove(&mut self, slot: u32) -> Result<(), Busy> {
        let place = self.place(slot);
        if !place.is_leaf() {
            return Err(Busy::Children);
        }
        if place.node.books != Books::default() {
            return Err(Busy::Open(place.node.books));
        }
        let parent = place.parent;
        *self.places.forget(slot) = None;
        RATES.into_iter().for_each(|limit| self.lease_turns.remove(turn_of(slot, limit)));
        self.raise(parent, Some(0), None);
        Ok(())
    }

    /// Whether it needs no second look to see that every node from `leaf` up lets a start of so many tokens pass: `true` is
    /// certain.
    #[inline(always)]
    pub(crate) fn is_open(&self, leaf: u32, tokens: u64) -> bool {
        // No iterator, which would look up each node twice: most calls are of this one.
        let mut place = self.place(leaf);
        while place.node.is_open(tokens) {
            let Some(parent) = place.parent else { return true };
            place = self.place(parent);
        }
        false
    }

    /// Whether a start may be held at every node from `leaf` up.
    pub(crate) fn would_hold(&self, now: Instant, leaf: u32, ask: &Ask) -> Result<(), Refusal> {
        if self.is_open(leaf, ask.tokens) {
            return Ok(());
        }
        self.would_admit(now, leaf, ask, |_| Ahead::default())
    }

    /// The same, once what waits at each node has been held before it.
    pub(crate) fn would_admit(
        &self,
        now: Instant,
        leaf: u32,
        ask: &Ask,
        ahead: impl Fn(u32) -> Ahead,
    ) -> Result<(), Refusal> {
        let gate_of = |node| Some((node, self.place(node).node.gate(now, ask, ahead(node))?));
        let longest = self
            .path(leaf)
            .filter_map(gate_of)
            .reduce(|longest, other| if other.1.outlasts(&longest.1) { other } else { longest });
        let Some((node, Gate { limit, shut })) = longest else { return Ok(()) };
        Err(match shut {
            Shut::Until(retry_at) => Refusal::NotNow(NotNow { node, limit, retry_at }),
            Shut::Forever { need, max } => Refusal::Never(Never { node, limit, need, max }),
        })
    }

    /// Takes what a start needs of every node from `leaf` up, if all let it pass. Books that have no room for it, at sums
    /// beyond those of all live requests, are a limit like any other.
    #[cfg(test)]
    pub(crate) fn hold(&mut self, now: Instant, leaf: u32, ask: &Ask) -> Result<(), Refusal> {
        self.would_hold(now, leaf, ask)?;
        self.check(now, Some(leaf), None, &Self::start(ask))
            .map_err(|Unbalanced { node, limit }| Refusal::NotNow(NotNow { node, limit, retry_at: None }))?;
        self.take(now, leaf, ask);
        Ok(())
    }

    /// Takes what a start needs of every node from `leaf` up: its tokens, its units, and its place among those
    /// that start and run. All let it pass, as [`would_hold`](Self::would_hold) has found, and books have room for all that
    /// live requests may hold: so nothing is checked again, which took a third of it.
    #[inline(always)]
    pub(crate) fn take(&mut self, now: Instant, leaf: u32, ask: &Ask) {
        debug_assert_eq!(self.would_hold(now, leaf, ask), Ok(()));
        let change = Self::start(ask);
        debug_assert_eq!(self.check(now, Some(leaf), None, &change), Ok(()));
        self.book(now, Some(leaf), None, &change);
    }

    #[inline(always)]
    fn start(ask: &Ask) -> Change {
        let more = Books { running: 1, held: ask.tokens, in_use: ask.units };
        let (tokens, starts) = (Flow::taken(ask.tokens), Flow::taken(1));
        Change { more, tokens, starts, ..Change::default() }
    }

    /// Holds what runs already, and was let go: no limit is asked, and no start counted.
    pub(crate) fn hold_again(&mut self, now: Instant, leaf: u32, ask: &Ask) -> Result<(), Unbalanced> {
        let more = Books { running: 1, held: ask.tokens, in_use: ask.units };
        self.change(now, leaf, &Change { more, tokens: Flow::charged(ask.tokens), ..Change::default() })
    }

    /// Gives back all that a hold took, the start included: it did not happen.
    pub(crate) fn undo(&mut self, now: Instant, leaf: u32, ask: &Ask) -> Result<(), Unbalanced> {
        let less = Books { running: 1, held: ask.tokens, in_use: ask.units };
        let totals = Totals { refunded: ask.tokens, ..Totals::default() };
        let (tokens, starts) = (Flow::put(ask.tokens), Flow::put(1));
        let change = Change { less, tokens, starts, totals, ..Change::default() };
        self.change(now, leaf, &change)
    }

    /// Charges what is used beyond what is held, at once, and holds it.
    pub(crate) fn charge(&mut self, now: Instant, leaf: u32, tokens: u64) -> Result<(), Unbalanced> {
        let more = Books { held: tokens, ..Books::default() };
        let totals = Totals { debt: tokens, ..Totals::default() };
        self.change(now, leaf, &Change { more, tokens: Flow::charged(tokens), totals, ..Change::default() })
    }

    /// Ends a hold that is there, of which no more tokens were used than a request may have: its place and its units are free,
    /// what was held and not used comes back, what was used and not held is charged. It balances, and is not checked before,
    /// which took 64 instructions of a cycle.
    #[inline]
    pub(crate) fn settle(&mut self, now: Instant, leaf: u32, hold: &Ask, used: u64) {
        let change = Self::end(hold, used);
        debug_assert_eq!(self.check(now, Some(leaf), None, &change), Ok(()));
        self.book(now, Some(leaf), None, &change);
    }

    #[inline(always)]
    fn end(hold: &Ask, used: u64) -> Change {
        let Ask { tokens: held, units } = *hold;
        let less = Books { running: 1, held, in_use: units };
        let (debt, refunded) = (used.saturating_sub(held), held.saturating_sub(used));
        let totals = Totals { used, refunded, debt };
        let tokens = Flow { taken: 0, charged: debt, put: refunded };
        Change { less, tokens, totals, ..Change::default() }
    }

    /// Notes that what runs uses other units than before: no gate asks, it does so already. Whether a node of its path has a
    /// limit of them.
    pub(crate) fn resize_use(
        &mut self,
        leaf: u32,
        from: Resources,
        to: Resources,
    ) -> Result<bool, Unbalanced> {
        // No rate is of units: as any other change it takes twice as long, and growth is half of what a replay reports.
        let (mut at, mut is_limited) = (Some(leaf), false);
        while let Some(node) = at {
            let place = self.place(node);
            if place.node.with_use(from, to).is_none() {
                return Err(Unbalanced { node, limit: QuotaLimit::Units });
            }
            is_limited |= place.node.has_limit(QuotaLimit::Units);
            at = place.parent;
        }
        let mut at = Some(leaf);
        while let Some(node) = at {
            let place = self.place_mut(node);
            place.node.books.in_use = place.node.with_use(from, to).expect("it was found to balance");
            at = place.parent;
        }
        Ok(is_limited)
    }

    /// Other terms of all leases, from `now` on. O(nodes).
    pub(crate) fn set_terms(&mut self, now: Instant, terms: LeaseTerms) {
        self.terms = terms;
        let slots: Vec<u32> = self.places.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.tell_leases(slot, None, |lease, _| lease.set(now, lease.rate(), terms));
        }
    }

    /// Says what the first of those that wait at a node needs of it; `None` when nobody waits, or the node is gone.
    pub(crate) fn await_quota(&mut self, now: Instant, slot: u32, ask: Option<&Ask>) {
        if self.places.contains(slot) {
            self.tell_leases(slot, ask, |lease, need| lease.await_tokens(now, need));
        }
    }

    /// Notes that a start was refused to somebody who does not wait, at every node from `leaf` up that may be granted more.
    pub(crate) fn miss(&mut self, now: Instant, leaf: u32, ask: &Ask) {
        let mut at = Some(leaf);
        while let Some(slot) = at {
            self.tell_leases(slot, Some(ask), |lease, need| lease.miss(now, need));
            at = self.place(slot).parent;
        }
    }

    /// Tells each lease of a node what is asked of it, 0 without an ask.
    fn tell_leases(&mut self, slot: u32, ask: Option<&Ask>, tell: impl Fn(&mut Lease, u64)) {
        let needs = ask.map_or([0, 0], |ask| [1, ask.tokens]);
        for (limit, need) in RATES.into_iter().zip(needs) {
            if let Some(lease) = self.place_mut(slot).node.lease_mut(limit) {
                tell(lease, need);
                self.set_turn(slot, limit);
            }
        }
    }

    /// When [`want`](Self::want) has something to say or to look at.
    pub(crate) fn wants_at(&self) -> Option<Instant> {
        self.lease_turns.peek().map(|(at, _)| at)
    }

    /// What some lease asks the store now, if one does.
    pub(crate) fn want(&mut self, now: Instant) -> Option<(u32, QuotaLimit, Want)> {
        while let Some((_, turn)) = self.lease_turns.peek().filter(|&(at, _)| at <= now) {
            let (slot, limit) = (turn / RATES.len() as u32, RATES[turn as usize % RATES.len()]);
            let seq = self.wishes + 1;
            let lease = self.place_mut(slot).node.lease_mut(limit).expect("who has a turn has a lease");
            let want = lease.want(now, seq);
            self.set_turn(slot, limit);
            if let Some(want) = want {
                self.wishes = self.wishes.max(want.seq);
                return Some((slot, limit, want));
            }
            // What would be later than the end of time is now, for ever.
            if self.lease_turns.peek().is_some_and(|(at, next)| next == turn && at <= now) {
                self.lease_turns.remove(turn);
            }
        }
        None
    }

    /// Takes the store's answer to the wish `seq`. What is not leased any more has no wish.
    pub(crate) fn granted(
        &mut self,
        now: Instant,
        slot: u32,
        limit: QuotaLimit,
        (seq, tokens, valid_for_ns): (u64, u64, u64),
    ) -> Answer {
        let lease = self.place_mut(slot).node.lease_mut(limit);
        let Some(lease) = lease else { return Answer::Stale };
        let answer = lease.granted(now, seq, tokens, valid_for_ns);
        self.set_turn(slot, limit);
        answer
    }

    /// The leases of a node changed.
    fn attend(&mut self, slot: u32) {
        RATES.into_iter().for_each(|limit| self.set_turn(slot, limit));
    }

    /// When a lease has something to say is another time now.
    fn set_turn(&mut self, slot: u32, limit: QuotaLimit) {
        let turn = turn_of(slot, limit);
        self.lease_turns.remove(turn);
        let wants_at = self.place_mut(slot).node.lease_mut(limit).and_then(|lease| lease.wants_at());
        if let Some(at) = wants_at {
            self.lease_turns.insert(at, turn);
        }
    }

    /// What the allowance of a rate of the node has, below zero if it owes; `None` if it has no such rate.
    pub(crate) fn level(&self, now: Instant, slot: u32, limit: QuotaLimit) -> Option<i128> {
        Some(self.place(slot).node.allowance(limit)?.level(now))
    }

    /// How many rates are leased, and what the store owes answers of them. O(nodes).
    pub(crate) fn unanswered(&self, now: Instant) -> Unanswered {
        let mut told = Unanswered::default();
        for place in self.places.iter().filter_map(|(_, place)| place.as_deref()) {
            for limit in RATES {
                let Some(lease) = place.node.allowance(limit).and_then(Allowance::lease) else { continue };
                told.leases += 1;
                if let Some(since) = lease.asked_since() {
                    told.unanswered += 1;
                    told.longest_ns = told.longest_ns.max(now.nanos_since(since));
                }
            }
        }
        told
    }

    /// What is open at a node and below it.
    pub(crate) fn books(&self, slot: u32) -> Books {
        self.place(slot).node.books
    }

    /// What has become of the tokens of a node and of those below it.
    #[cfg(test)]
    pub(crate) fn totals(&self, slot: u32) -> Totals {
        self.place(slot).node.totals
    }

    /// Whether forgetting the node loses and forgives nothing: it may be removed, and its buckets are as new ones.
    pub(crate) fn is_fresh(&self, now: Instant, slot: u32) -> bool {
        let place = self.place(slot);
        place.is_leaf() && place.node.is_fresh(now)
    }

    /// The node, and those above it.
    pub(crate) fn path(&self, leaf: u32) -> impl Iterator<Item = u32> {
        self.above(Some(leaf))
    }

    /// The node above another.
    pub(crate) fn parent(&self, slot: u32) -> Option<u32> {
        self.place(slot).parent
    }

    /// Whether a node of a path has a limit.
    pub(crate) fn is_limited(&self, leaf: u32) -> bool {
        self.path(leaf).any(|node| self.place(node).node.is_limited())
    }

    /// Whether a node of a path has this limit.
    pub(crate) fn has_limit(&self, leaf: u32, limit: QuotaLimit) -> bool {
        self.path(leaf).any(|node| self.place(node).node.has_limit(limit))
    }

    /// The least burst of tokens on a path, if any node of it has one.
    pub(crate) fn least_burst(&self, leaf: u32) -> Option<u64> {
        let allowance = |node| self.place(node).node.allowance(QuotaLimit::Tokens);
        self.path(leaf).filter_map(|node| Some(allowance(node)?.rate().burst)).min()
    }

    /// Reads ahead of a leaf.
    #[inline(always)]
    pub(crate) fn fetch(&self, leaf: u32) -> u64 {
        let place = self.place(leaf);
        place.node.fetch() ^ u64::from(place.parent.unwrap_or(0))
    }

    fn place(&self, slot: u32) -> &Place {
        self.places[slot].as_deref().expect("the node is there")
    }

    fn place_mut(&mut self, slot: u32) -> &mut Place {
        self.places[slot].as_deref_mut().expect("the node is there")
    }

    fn above(&self, lowest: Option<u32>) -> impl Iterator<Item = u32> {
        core::iter::successors(lowest, |&slot| self.place(slot).parent)
    }

    fn depth(&self, slot: u32) -> usize {
        self.path(slot).count()
    }

    /// Books a change at every node from `leaf` up, or at none. Inlined, so that what a change leaves as it is costs
    /// nothing: a quarter of the instructions of a start.
    #[inline(always)]
    fn change(&mut self, now: Instant, leaf: u32, change: &Change) -> Result<(), Unbalanced> {
        self.check(now, Some(leaf), None, change)?;
        self.book(now, Some(leaf), None, change);
        Ok(())
    }

    /// Whether a change balances from `lowest` up to below `end`.
    #[inline(always)]
    fn check(
        &mut self,
        now: Instant,
        lowest: Option<u32>,
        end: Option<u32>,
        change: &Change,
    ) -> Result<(), Unbalanced> {
        let mut at = lowest;
        while let Some(node) = at.filter(|_| at != end) {
            let place = self.place_mut(node);
            place.node.check(now, change).map_err(|limit| Unbalanced { node, limit })?;
            at = place.parent;
        }
        Ok(())
    }

    #[inline(always)]
    fn book(&mut self, now: Instant, lowest: Option<u32>, end: Option<u32>, change: &Change) {
        let mut at = lowest;
        while let Some(node) = at.filter(|_| at != end) {
            let place = self.place_mut(node);
            place.node.book(now, change);
            at = place.parent;
            if place.node.is_leased() {
                self.attend(node);
            }
        }
    }

    /// Notes that a child of `parent` is so high now (`None`: is not there) and no more as high as it was, as far up
    /// as that matters.
    fn raise(&mut self, parent: Option<u32>, mut was: Option<usize>, mut is: Option<usize>) {
        let mut at = parent;
        while let Some(slot) = at {
            let place = self.place_mut(slot);
            let before = place.height();
            place.children.change(was, is);
            let after = place.height();
            if before == after {
                return;
            }
            (was, is, at) = (Some(before), Some(after), place.parent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_with_two_rates_takes() {
        let [node, limits, rate] = Node::BYTES;
        let slot = size_of::<(u32, Option<Box<Place>>)>();
        let place = size_of::<Place>();
        assert!(slot + place <= 112, "without limits: {slot} + {place}, of which {node} for the books");
        assert!(slot + place + limits <= 200, "with one of tokens: {slot} + {place} + {limits}");
        assert!(slot + place + limits + rate <= 256, "{slot} + {place} + {limits} + {rate}");
    }
}
