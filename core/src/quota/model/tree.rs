//! The ledger against a list of all that is open: books are sums over the list, gates are asked one by one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::bucket::Cover;
use super::super::lease::Want;
use super::super::ledger::Unbalanced;
use super::super::node::{RATES, Totals};
use super::super::{Ahead, Answer, Ask, Books, Busy, Ledger, Misplaced, Never, NotNow, Refusal};
use super::{NaiveBucket, later, tick};
use crate::config::{Fallback, LeaseTerms};
use crate::resources::Resources;
use crate::tenant::{MAX_TENANT_DEPTH, QuotaLimit, Rate, TenantPolicy};
use crate::time::Instant;

/// Where the bucket of tokens stands among those of [`RATES`].
const TOKENS: usize = 1;

/// What happened to a bucket, for QUO-1: `came` counts parts of [`PARTS`] of a unit since it was there.
#[derive(Clone, Copy, Debug)]
struct Event {
    burst: u64,
    came: u128,
    held: u64,
    put: u64,
}

/// A multiple of every period that is tried.
const PARTS: u128 = 1_000;

#[derive(Clone, Debug)]
struct Watched {
    bucket: NaiveBucket,
    /// What a leased one has: it neither refills nor clips.
    leased: Option<i128>,
    came: u128,
    events: Vec<Event>,
}

impl Watched {
    fn new(rate: Rate, at: u64, leased: bool) -> Self {
        let bucket = NaiveBucket::full(rate, at);
        Self { bucket, leased: leased.then_some(0), came: 0, events: Vec::new() }
    }

    fn level(&self, now: u64) -> i128 {
        self.leased.unwrap_or_else(|| self.bucket.advanced(now).level())
    }

    fn add(&mut self, units: i128) {
        match &mut self.leased {
            Some(level) => *level += units,
            None => self.bucket.add(units),
        }
    }

    fn cover(&self, now: u64, need: u64, ahead: u64, when_full: bool) -> Cover {
        let burst = self.bucket.rate.burst;
        let Some(level) = self.leased.filter(|_| need <= burst || when_full) else {
            return self.bucket.cover(now, need, ahead, when_full);
        };
        let least = i128::from(need.min(burst)) + i128::from(ahead);
        if level >= least { Cover::Now } else { Cover::Later(None) }
    }

    /// Another rate, or another kind of it, while so much is held.
    fn set(&mut self, now: u64, rate: Rate, leased: bool, held: u64) {
        self.advance(now);
        let level = self.level(now);
        match (self.leased, leased) {
            (None, true) => self.leased = Some(level.min(0) - i128::from(held)),
            (Some(_), false) => {
                self.leased = None;
                self.bucket = NaiveBucket::full(rate, now);
                self.bucket.add(level - i128::from(rate.burst));
            }
            _ => {}
        }
        self.bucket.set_rate(rate);
    }

    fn advance(&mut self, now: u64) {
        let Rate { amount, period_ns, .. } = self.bucket.rate;
        let dt = u128::from(now.saturating_sub(self.bucket.at));
        self.came += dt * u128::from(amount) * PARTS / u128::from(period_ns);
        self.bucket.advance(now);
    }

    fn note(&mut self, now: u64, held: u64, put: u64) {
        self.advance(now);
        self.events.push(Event { burst: self.bucket.rate.burst, came: self.came, held, put });
    }

    fn hold(&mut self, now: u64, units: u64) {
        self.note(now, units, 0);
        self.add(-i128::from(units));
    }

    /// Taken without asking: no hold.
    fn charge(&mut self, now: u64, units: u64) {
        self.advance(now);
        self.add(-i128::from(units));
    }

    fn put(&mut self, now: u64, units: u64) {
        self.note(now, 0, units);
        self.add(i128::from(units));
    }

    /// QUO-1: what is held in any window is at most the burst at its beginning, what came and what was put back in it;
    /// and what its last hold took beyond a full burst, if it did. Of what was leased in it, that is QUO-3's.
    fn check_windows(&self) {
        if self.leased.is_some() {
            return;
        }
        for (index, first) in self.events.iter().enumerate() {
            let (mut held, mut put) = (0, 0);
            for last in &self.events[index..] {
                held += u128::from(last.held) * PARTS;
                put += u128::from(last.put) * PARTS;
                let beyond = u128::from(last.held.saturating_sub(last.burst)) * PARTS;
                let most = u128::from(first.burst) * PARTS + (last.came - first.came) + put + beyond;
                assert!(last.held == 0 || held <= most, "{first:?} to {last:?}: {held} > {most}");
            }
        }
    }
}

#[derive(Clone, Debug)]
struct NaiveNode {
    parent: Option<u32>,
    policy: TenantPolicy,
    buckets: [Option<Watched>; 2],
    /// What starts took, and what moved in.
    charged: u64,
    totals: Totals,
}

/// A start whose request runs, or is not settled yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    leaf: u32,
    units: Resources,
    held: u64,
}

struct World {
    ledger: Ledger,
    nodes: BTreeMap<u32, NaiveNode>,
    open: Vec<Open>,
    /// Wishes that were not answered, some of leases that are gone.
    wishes: BTreeMap<(u32, QuotaLimit), Want>,
    now: u64,
}

impl World {
    fn new() -> Self {
        let terms = LeaseTerms::new(2).fallback(Fallback::Deny);
        let (nodes, wishes) = (BTreeMap::new(), BTreeMap::new());
        Self { ledger: Ledger::new(terms), nodes, open: Vec::new(), wishes, now: 0 }
    }

    fn at(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn path(&self, leaf: Option<u32>) -> Vec<u32> {
        core::iter::successors(leaf, |slot| self.nodes[slot].parent).collect()
    }

    fn subtree(&self, slot: u32) -> Vec<u32> {
        self.nodes.keys().copied().filter(|&node| self.path(Some(node)).contains(&slot)).collect()
    }

    /// The sum over all that is open at the node or below it.
    fn books(&self, slot: u32) -> Books {
        let mut books = Books::default();
        for open in self.open.iter().filter(|open| self.path(Some(open.leaf)).contains(&slot)) {
            books.running += 1;
            books.in_use += open.units;
            books.held += open.held;
        }
        books
    }

    /// All gates of the path that are shut, from the leaf up: for ever, or until then.
    fn gates(&self, leaf: u32, ask: &Ask, ahead: Ahead) -> Vec<Refusal> {
        let mut shut = Vec::new();
        for node in self.path(Some(leaf)) {
            let NaiveNode { policy, buckets, .. } = &self.nodes[&node];
            let books = self.books(node);
            for (index, need, ahead) in [(0, 1, ahead.requests), (1, ask.tokens, ahead.tokens)] {
                let Some(watched) = &buckets[index] else { continue };
                let limit = RATES[index];
                match watched.cover(self.now, need, ahead, policy.allow_when_full) {
                    Cover::Now => {}
                    Cover::Later(retry_at) => shut.push(Refusal::NotNow(NotNow { node, limit, retry_at })),
                    Cover::Never => {
                        shut.push(Refusal::Never(Never {
                            node,
                            limit,
                            need,
                            max: watched.bucket.rate.burst,
                        }));
                    }
                }
            }
            let mut place = |limit, used: u64, need: u64, max: u64| {
                if need > max {
                    shut.push(Refusal::Never(Never { node, limit, need, max }));
                } else if used + need > max {
                    shut.push(Refusal::NotNow(NotNow { node, limit, retry_at: None }));
                }
            };
            if let Some(max) = policy.max_running {
                place(QuotaLimit::Running, u64::from(books.running) + ahead.requests, 1, max);
            }
            for d in 0..2 {
                if ask.units[d] > 0 && policy.max_in_use[d] > 0 {
                    place(QuotaLimit::Units, books.in_use[d], ask.units[d], policy.max_in_use[d]);
                }
            }
        }
        shut
    }

    fn answer(&self, leaf: u32, ask: &Ask, ahead: Ahead) -> Result<(), Refusal> {
        let gates = self.gates(leaf, ask, ahead);
        if let Some(never) = gates.iter().find(|gate| matches!(gate, Refusal::Never(_))) {
            return Err(*never);
        }
        let instant = |gate: &Refusal| match gate {
            Refusal::NotNow(NotNow { retry_at, .. }) => retry_at.map_or(u128::MAX, |at| at.as_nanos().into()),
            Refusal::Never(_) => unreachable!("there are none left"),
        };
        let last = gates.iter().map(instant).max();
        gates.into_iter().find(|gate| Some(instant(gate)) == last).map_or(Ok(()), Err)
    }

    fn hold(&mut self, leaf: u32, ask: Ask) {
        let (at, now) = (self.at(), self.now);
        let expected = self.answer(leaf, &ask, Ahead::default());
        assert_eq!(self.ledger.would_hold(at, leaf, &ask), expected);
        assert_eq!(self.ledger.hold(at, leaf, &ask), expected, "all or nothing");
        if let Err(Refusal::NotNow(NotNow { retry_at: Some(then), .. })) = expected {
            assert_eq!(self.ledger.would_hold(then, leaf, &ask), Ok(()), "allowed exactly then");
            let before = Instant::from_nanos(then.as_nanos() - 1);
            assert!(self.ledger.would_hold(before, leaf, &ask).is_err(), "and not before");
        }
        if expected.is_err() {
            return;
        }
        for slot in self.path(Some(leaf)) {
            let node = self.nodes.get_mut(&slot).expect("it stands");
            node.charged += ask.tokens;
            for (bucket, units) in node.buckets.iter_mut().zip([1, ask.tokens]) {
                bucket.iter_mut().for_each(|bucket| bucket.hold(now, units));
            }
        }
        self.open.push(Open { leaf, units: ask.units, held: ask.tokens });
        for slot in self.path(Some(leaf)) {
            // QUO-4: whoever has just started is within the limit, whatever shrank before.
            let most = self.nodes[&slot].policy.max_running.unwrap_or(u64::MAX);
            assert!(u64::from(self.ledger.books(slot).running) <= most);
        }
    }

    /// What no gate is asked for: it runs already.
    fn hold_again(&mut self, leaf: u32, ask: Ask) {
        assert_eq!(self.ledger.hold_again(self.at(), leaf, &ask), Ok(()));
        for slot in self.path(Some(leaf)) {
            self.nodes.get_mut(&slot).expect("it stands").charged += ask.tokens;
        }
        self.tokens(leaf, ask.tokens, 0, Totals::default());
        self.open.push(Open { leaf, units: ask.units, held: ask.tokens });
    }

    /// Of the path: so many tokens are charged, and so many come back.
    fn tokens(&mut self, leaf: u32, charge: u64, put: u64, totals: Totals) {
        let now = self.now;
        for slot in self.path(Some(leaf)) {
            let node = self.nodes.get_mut(&slot).expect("it stands");
            node.totals.used += totals.used;
            node.totals.refunded += totals.refunded;
            node.totals.debt += totals.debt;
            if let Some(bucket) = &mut node.buckets[TOKENS] {
                bucket.charge(now, charge);
                bucket.put(now, put);
            }
        }
    }

    fn undo(&mut self, index: usize) {
        let Open { leaf, units, held: tokens } = self.open[index];
        assert_eq!(self.ledger.undo(self.at(), leaf, &Ask { tokens, units }), Ok(()));
        self.tokens(leaf, 0, tokens, Totals { refunded: tokens, ..Totals::default() });
        let now = self.now;
        for slot in self.path(Some(leaf)) {
            let node = self.nodes.get_mut(&slot).expect("it stands");
            node.buckets[0].iter_mut().for_each(|bucket| bucket.put(now, 1));
        }
        self.open.remove(index);
    }

    fn charge(&mut self, index: usize, tokens: u64) {
        let Open { leaf, held, .. } = self.open[index];
        assert_eq!(self.ledger.charge(self.at(), leaf, tokens), Ok(()));
        self.tokens(leaf, tokens, 0, Totals { debt: tokens, ..Totals::default() });
        self.open[index].held = held + tokens;
    }

    fn settle(&mut self, index: usize, used: u64) {
        let Open { leaf, units, held } = self.open.remove(index);
        self.ledger.settle(self.at(), leaf, &Ask { tokens: held, units }, used);
        let (debt, refunded) = (used.saturating_sub(held), held.saturating_sub(used));
        self.tokens(leaf, debt, refunded, Totals { used, refunded, debt });
    }

    fn resize(&mut self, index: usize, to: Resources) {
        let Open { leaf, units: from, .. } = self.open[index];
        assert_eq!(self.ledger.resize_use(leaf, from, to).map(|_| ()), Ok(()));
        self.open[index].units = to;
    }

    fn set(&mut self, slot: u32, policy: TenantPolicy) {
        self.ledger.set(self.at(), slot, &policy);
        let (now, held) = (self.now, self.books(slot).held);
        let node = self.nodes.get_mut(&slot).expect("it stands");
        for (index, rate) in [policy.requests, policy.tokens].into_iter().enumerate() {
            let held = if index == TOKENS { held } else { 0 };
            node.buckets[index] = rate.map(|rate| {
                let Some(mut watched) = node.buckets[index].take() else {
                    let mut new = Watched::new(rate, now, policy.leased);
                    new.add(-i128::from(held));
                    return new;
                };
                watched.set(now, rate, policy.leased, held);
                if policy.leased != node.policy.leased {
                    watched.events.clear();
                }
                watched
            });
        }
        node.policy = policy;
    }

    fn add(&mut self, parent: Option<u32>, policy: TenantPolicy) {
        let added = self.ledger.add(self.at(), parent, &policy);
        if self.path(parent).len() == MAX_TENANT_DEPTH {
            assert_eq!(added, Err(Misplaced::TooDeep));
            return;
        }
        let slot = added.expect("there is room");
        let (buckets, totals) = ([None, None], Totals::default());
        let node = NaiveNode { parent, policy: TenantPolicy::new(), buckets, charged: 0, totals };
        assert!(self.nodes.insert(slot, node).is_none(), "the slot was free");
        self.set(slot, policy);
    }

    fn set_parent(&mut self, slot: u32, parent: Option<u32>) {
        let moved = self.ledger.set_parent(self.at(), slot, parent);
        let (from, to) = (self.path(self.nodes[&slot].parent), self.path(parent));
        if to.contains(&slot) {
            assert_eq!(moved, Err(Misplaced::Cycle));
            return;
        }
        let above = |node: &u32| self.path(Some(*node)).iter().take_while(|other| **other != slot).count();
        let height = self.subtree(slot).iter().map(above).max().unwrap_or(0);
        if to.len() + 1 + height > MAX_TENANT_DEPTH {
            assert_eq!(moved, Err(Misplaced::TooDeep));
            return;
        }
        assert_eq!(moved, Ok(()));
        let (held, now) = (self.books(slot).held, self.now);
        for left in from.iter().filter(|node| !to.contains(node)) {
            let node = self.nodes.get_mut(left).expect("it stands");
            node.totals.refunded += held;
            node.buckets[TOKENS].iter_mut().for_each(|bucket| bucket.put(now, held));
        }
        for joined in to.iter().filter(|node| !from.contains(node)) {
            let node = self.nodes.get_mut(joined).expect("it stands");
            node.charged += held;
            node.buckets[TOKENS].iter_mut().for_each(|bucket| bucket.charge(now, held));
        }
        self.nodes.get_mut(&slot).expect("it stands").parent = parent;
    }

    fn remove(&mut self, slot: u32) {
        let fresh = self.ledger.is_fresh(self.at(), slot);
        let removed = self.ledger.remove(slot);
        let books = self.books(slot);
        if self.subtree(slot).len() > 1 {
            assert_eq!((removed, fresh), (Err(Busy::Children), false));
        } else if books != Books::default() {
            assert_eq!((removed, fresh), (Err(Busy::Open(books)), false));
        } else {
            assert_eq!(removed, Ok(()));
            let node = self.nodes.remove(&slot).expect("it stood");
            let asked = RATES.into_iter().any(|limit| self.wishes.remove(&(slot, limit)).is_some());
            let as_new = node.buckets.iter().flatten().all(|watched| {
                let new = if node.policy.leased { 0 } else { watched.bucket.rate.burst };
                watched.level(self.now) == i128::from(new)
            });
            if !asked {
                assert_eq!(fresh, as_new);
            }
            node.buckets.iter().flatten().for_each(Watched::check_windows);
        }
    }

    /// Reports that the books do not bear are refused, and change nothing: `check` compares all afterwards.
    fn report_too_much(&mut self, leaf: u32) {
        let at = self.at();
        let root = *self.path(Some(leaf)).last().expect("itself at least");
        let tokens = self.books(root).held + 1;
        let ask = Ask { tokens, units: Resources::ZERO };
        let found = self.ledger.undo(at, leaf, &ask).expect_err("nobody holds as much");
        let nothing_runs = self.books(leaf).running == 0;
        let limit = if nothing_runs { QuotaLimit::Running } else { QuotaLimit::Tokens };
        assert_eq!(found, Unbalanced { node: leaf, limit });
        let units = self.books(root).in_use + [0, 1].into();
        let found = self.ledger.resize_use(leaf, units, Resources::ZERO).expect_err("nor uses it");
        assert_eq!(found, Unbalanced { node: leaf, limit: QuotaLimit::Units });
    }

    /// The store answers the wish of a leased limit, if it has one: with so many tokens of those that it wants.
    /// The store answers the wish of a leased limit, if it has one: with so many tokens of those that it wants.
    fn grant(&mut self, slot: u32, which: usize, units: u64) {
        let (at, now) = (self.at(), self.now);
        self.ledger.await_quota(at, slot, Some(&Ask { tokens: units, units: Resources::ZERO }));
        while let Some((slot, limit, want)) = self.ledger.want(at) {
            let which = RATES.into_iter().position(|rate| rate == limit).expect("it is a rate");
            if self.wishes.insert((slot, limit), want) != Some(want) {
                self.watched(slot, which).add(-i128::from(want.returned));
            }
        }
        let limit = RATES[which];
        let Some(want) = self.wishes.get(&(slot, limit)) else { return };
        match self.ledger.granted(at, slot, limit, (want.seq, units, 1_000)) {
            Answer::TooMuch { wanted } => assert!(wanted < units && wanted == want.tokens),
            Answer::Stale => {
                self.wishes.remove(&(slot, limit));
            }
            Answer::Taken => {
                self.wishes.remove(&(slot, limit));
                self.watched(slot, which).put(now, units);
            }
        }
    }

    fn watched(&mut self, slot: u32, which: usize) -> &mut Watched {
        let node = self.nodes.get_mut(&slot).expect("it stands");
        node.buckets[which].as_mut().expect("it has the rate")
    }

    fn check(&self) {
        assert_eq!(self.ledger.len(), self.nodes.len());
        for (&slot, node) in &self.nodes {
            let (books, totals) = (self.ledger.books(slot), self.ledger.totals(slot));
            assert_eq!(books, self.books(slot));
            assert_eq!(totals, node.totals);
            // QUO-2
            assert_eq!(totals.used + books.held, node.charged + totals.debt - totals.refunded);
            for (limit, bucket) in RATES.into_iter().zip(&node.buckets) {
                let level = bucket.as_ref().map(|watched| watched.level(self.now));
                assert_eq!(self.ledger.level(self.at(), slot, limit), level);
            }
            assert_eq!(self.ledger.path(slot).collect::<Vec<_>>(), self.path(Some(slot)));
        }
    }

    fn step(&mut self, Step { tick, verb, who, whom, number, units, policy }: Step) {
        // The scheduler's clock does not go back; what a bucket does if one does is `a_bucket_is_one_exact_number`.
        self.now = self.now.max(later(self.now, tick));
        let slots: Vec<u32> = self.nodes.keys().copied().collect();
        let pick = |number: usize| slots.get(number % slots.len().max(1)).copied();
        let open = |number: usize| number.checked_rem(self.open.len());
        let parent = if whom % 4 == 0 { None } else { pick(whom) };
        match (verb, pick(who), open(who)) {
            (0, _, _) | (_, None, _) => self.add(parent, policy),
            (1, Some(slot), _) => self.remove(slot),
            (2, Some(slot), _) => self.set(slot, policy),
            (3, Some(slot), _) => self.set_parent(slot, parent),
            (4, _, Some(index)) => self.undo(index),
            (5, _, Some(index)) => self.charge(index, number),
            (6..=9, _, Some(index)) => self.settle(index, number),
            (10, _, Some(index)) => self.resize(index, units),
            (11, Some(slot), _) => self.report_too_much(slot),
            (12, Some(slot), _) => self.grant(slot, whom % 2, number),
            (13, Some(slot), _) => {
                let ahead = Ahead { requests: whom as u64 % 4, tokens: number };
                let ask = Ask { tokens: number, units };
                let answer = self.ledger.would_admit(self.at(), slot, &ask, |_| ahead);
                assert_eq!(answer, self.answer(slot, &ask, ahead));
            }
            (15, Some(slot), _) => self.hold_again(slot, Ask { tokens: number, units }),
            (_, Some(slot), _) => self.hold(slot, Ask { tokens: number, units }),
        }
        self.check();
    }
}

#[derive(Clone, Debug)]
struct Step {
    tick: (u8, u64),
    verb: u8,
    who: usize,
    whom: usize,
    number: u64,
    units: Resources,
    policy: TenantPolicy,
}

fn small_rate() -> impl Strategy<Value = Option<Rate>> {
    let period = prop::sample::select(&[1, 8, 1_000, 1_000, 1_000][..]);
    let rate = (0_u64..20, period, prop_oneof![0_u64..10, 10_u64..60, 10_u64..60]);
    let rate = rate.prop_map(|(amount, period_ns, burst)| Rate { amount, period_ns, burst });
    prop::option::weighted(0.4, rate)
}

fn policy() -> impl Strategy<Value = TenantPolicy> {
    let flags = (prop::bool::weighted(0.2), any::<bool>());
    let counts = (prop::option::weighted(0.2, 0_u64..9), prop::array::uniform2(0_u64..40));
    (small_rate(), small_rate(), counts, flags).prop_map(
        |(requests, tokens, (running, in_use), (leased, full))| TenantPolicy {
            requests,
            tokens,
            max_running: running,
            max_in_use: in_use.map(|units| if units > 12 { 0 } else { units }).into(),
            ..TenantPolicy::new().leased(leased).allow_when_full(full)
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let tick = prop_oneof![9 => (Just(3_u8), any::<u64>()), 1 => tick()];
    let verb = prop_oneof![10 => 0_u8..14, 10 => Just(14), 1 => Just(15)];
    let numbers = (0_usize..100, 0_usize..100, 0_u64..25, prop::array::uniform2(0_u64..4));
    (tick, verb, numbers, policy()).prop_map(|(tick, verb, (who, whom, number, units), policy)| {
        let units = Resources::from(units);
        Step { tick, verb, who, whom, number, units, policy }
    })
}

proptest! {
    #[test]
    fn the_books_are_the_sums_over_what_is_open(
        chain in prop::collection::vec(policy(), 0..=MAX_TENANT_DEPTH),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new();
        for policy in chain {
            let lowest = world.nodes.keys().next_back().copied();
            world.add(lowest, policy);
        }
        for step in steps {
            world.step(step);
        }
        world.nodes.values().flat_map(|node| node.buckets.iter().flatten()).for_each(Watched::check_windows);
    }
}
