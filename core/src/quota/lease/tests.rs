//! One replica at a time, by hand; many at once are the world's.

use core::time::Duration;

use super::*;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

fn at(ns: u64) -> Instant {
    Instant::from_nanos(ns)
}

/// A lease whose wishes are counted from 1.
struct Counted {
    lease: Lease,
    wishes: u64,
}

impl Counted {
    fn new(now: Instant, rate: Rate, terms: LeaseTerms) -> Self {
        Self { lease: Lease::new(now, rate, terms), wishes: 0 }
    }

    fn want(&mut self, now: Instant) -> Option<Want> {
        let want = self.lease.want(now, self.wishes + 1)?;
        self.wishes = want.seq;
        Some(want)
    }
}

impl core::ops::Deref for Counted {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}

impl core::ops::DerefMut for Counted {
    fn deref_mut(&mut self) -> &mut Lease {
        &mut self.lease
    }
}

/// 1,000 tokens a second, of which 800 are saved up: with 4 replicas, 100 may lie idle here.
fn lease(fallback: Fallback) -> Counted {
    let terms = LeaseTerms::new(4).fallback(fallback);
    Counted::new(at(0), Rate::per_second(1_000).burst(800), terms)
}

fn covers(lease: &Lease, ns: u64, tokens: u64) -> bool {
    lease.cover(at(ns), tokens, 0, true) == Cover::Now
}

fn covers_at(lease: &Lease, ns: u64, tokens: u64) -> Option<Instant> {
    match lease.cover(at(ns), tokens, 0, true) {
        Cover::Now => Some(at(ns)),
        Cover::Later(later) => later,
        Cover::Never => None,
    }
}

/// Asks for what those that wait need, and gets all of it.
fn stocked(tokens: u64) -> Counted {
    let mut lease = lease(Fallback::Deny);
    lease.await_tokens(at(0), tokens);
    let want = lease.want(at(0)).unwrap();
    assert_eq!(lease.granted(at(0), want.seq, want.tokens, 10 * S), Answer::Taken);
    lease
}

#[test]
fn it_starts_empty_and_wants_nothing_until_somebody_waits() {
    let mut lease = lease(Fallback::Deny);
    assert!(!covers(&lease, 0, 1));
    assert_eq!(lease.wants_at(), None);
    assert_eq!(lease.want(at(S)), None);
    lease.await_tokens(at(S), 30);
    assert_eq!(lease.wants_at(), Some(at(0)));
    let want = Want { seq: 1, tokens: 30, returned: 0, why: Why::Needed };
    assert_eq!(lease.want(at(S)), Some(want));
    assert_eq!(lease.want(at(S)), None, "it is under way");
    assert_eq!(lease.granted(at(S + MS), 1, 30, 10 * S), Answer::Taken);
    assert!(covers(&lease, S + MS, 30) && !covers(&lease, S + MS, 31));
}

#[test]
fn it_asks_ahead_for_what_it_uses_and_no_more_than_may_lie_idle() {
    let mut lease = stocked(30);
    lease.await_tokens(at(0), 0);
    lease.take(at(MS), 30);
    assert_eq!(lease.wants_at(), Some(at(GAP_NS)));
    let want = lease.want(at(GAP_NS)).unwrap();
    assert_eq!((want.tokens, want.why), (30, Why::Ahead), "as much as was used");
    lease.granted(at(GAP_NS), 2, 30, 10 * S);
    lease.take(at(GAP_NS), 10);
    assert_eq!(lease.want(at(S)), None, "half of 40 is left");
    lease.take(at(S), 1);
    lease.charge(at(S), 1_000);
    assert_eq!(lease.want(at(S)).unwrap().tokens, 100, "800 / (2 * 4)");
}

#[test]
fn only_the_answer_that_it_waits_for_counts_and_only_once() {
    let mut lease = lease(Fallback::Deny);
    lease.await_tokens(at(0), 30);
    assert_eq!(lease.granted(at(0), 1, 5, S), Answer::Stale, "nothing was asked");
    lease.want(at(0)).unwrap();
    assert_eq!(lease.granted(at(0), 2, 5, S), Answer::Stale);
    assert_eq!(lease.granted(at(0), 1, 31, S), Answer::TooMuch { wanted: 30 });
    assert_eq!(lease.granted(at(0), 1, 30, S), Answer::Taken);
    assert_eq!(lease.granted(at(0), 1, 30, S), Answer::Stale);
    assert_eq!(lease.level(at(0)), 30);
}

#[test]
fn the_same_is_asked_again_until_it_is_answered() {
    let mut lease = lease(Fallback::Deny);
    lease.await_tokens(at(0), 30);
    let want = lease.want(at(0));
    lease.await_tokens(at(1), 70);
    assert_eq!(lease.wants_at(), Some(at(S)));
    assert_eq!(lease.want(at(S - 1)), None);
    assert_eq!(lease.want(at(S)), want);
    assert_eq!(lease.wants_at(), Some(at(2 * S)));
    assert_eq!(lease.want(at(9 * S)), want);
    lease.granted(at(9 * S), 1, 30, S);
    assert_eq!(lease.want(at(9 * S + GAP_NS)).unwrap().tokens, 40);
}

#[test]
fn a_debt_goes_with_the_next_wish_and_is_told_once() {
    let mut lease = stocked(30);
    lease.await_tokens(at(0), 0);
    lease.take(at(0), 30);
    lease.charge(at(0), 12);
    assert_eq!(lease.level(at(0)), -12);
    let want = lease.want(at(GAP_NS)).unwrap();
    assert_eq!((want.tokens, want.returned), (42, -12));
    assert_eq!(lease.level(at(GAP_NS)), 0);
    lease.granted(at(GAP_NS), 2, 0, 10 * S);
    assert_eq!(lease.want(at(GAP_NS * 2)), None, "the store had nothing");
    lease.charge(at(S), 5);
    let want = lease.want(at(S)).unwrap();
    assert_eq!(want.returned, -5);
}

#[test]
fn more_than_a_burst_is_covered_by_a_whole_one_if_that_is_allowed() {
    let mut lease = stocked(800);
    assert_eq!(lease.cover(at(0), 801, 0, false), Cover::Never);
    assert_eq!(lease.cover(at(0), 1_000, 0, true), Cover::Now);
    assert_eq!(lease.cover(at(0), 1_000, 1, true), Cover::Later(None));
    assert_eq!(lease.cover(at(0), 800, 0, false), Cover::Now);
    lease.take(at(0), 1_000);
    assert_eq!(lease.level(at(0)), -200);
}

#[test]
fn what_nobody_used_in_its_time_goes_back() {
    let mut lease = stocked(100);
    lease.await_tokens(at(0), 0);
    lease.take(at(0), 40);
    assert_eq!(lease.wants_at(), Some(at(5 * S)));
    assert_eq!(lease.want(at(5 * S)), None, "it was not there when the window began");
    lease.take(at(6 * S), 10);
    assert_eq!(lease.wants_at(), Some(at(10 * S)));
    let want = lease.want(at(10 * S)).unwrap();
    assert_eq!(
        want,
        Want { seq: 2, tokens: 0, returned: 40, why: Why::Idle },
        "10 is what it uses in a window"
    );
    assert_eq!(lease.level(at(10 * S)), 10);
    lease.granted(at(10 * S), 2, 0, 10 * S);
    assert_eq!(lease.want(at(20 * S)).unwrap().returned, 10);
    lease.granted(at(20 * S), 3, 0, 10 * S);
    assert_eq!(lease.wants_at(), None, "nobody uses it any more");
}

#[test]
fn what_somebody_waits_for_is_not_idle_and_goes_back_when_he_leaves() {
    let mut lease = stocked(700);
    assert_eq!(lease.want(at(60 * S)), None);
    lease.await_tokens(at(61 * S), 0);
    let want = lease.want(at(61 * S)).unwrap();
    assert_eq!((want.returned, want.why), (700, Why::Idle));
}

#[test]
fn refunds_beyond_what_may_lie_idle_go_back_at_once() {
    let mut lease = stocked(300);
    lease.await_tokens(at(0), 0);
    lease.take(at(0), 300);
    lease.put(at(MS), 250);
    assert_eq!(lease.want(at(GAP_NS)).unwrap().returned, 150);
}

#[test]
fn a_dry_store_is_asked_when_it_can_have_what_is_missing() {
    let mut lease = lease(Fallback::Deny);
    lease.await_tokens(at(0), 500);
    lease.want(at(0)).unwrap();
    lease.granted(at(MS), 1, 300, 10 * S);
    assert_eq!(lease.wants_at(), Some(at(201 * MS)), "200 tokens are 200 ms");
    assert_eq!(lease.want(at(201 * MS)).unwrap().tokens, 200);
}

#[test]
fn deny_starts_nothing_that_was_not_granted() {
    let mut lease = stocked(50);
    lease.await_tokens(at(0), 60);
    lease.want(at(GAP_NS)).unwrap();
    assert!(lease.is_silent(at(GAP_NS + 3 * S)) && !lease.is_silent(at(GAP_NS + 3 * S - 1)));
    assert!(covers(&lease, 60 * S, 50) && !covers(&lease, 60 * S, 51));
    assert_eq!(covers_at(&lease, 60 * S, 60), None);
}

#[test]
fn the_local_share_is_the_rate_by_the_replicas_and_exact() {
    let mut lease = lease(Fallback::LocalShare);
    lease.await_tokens(at(0), 60);
    lease.want(at(0)).unwrap();
    let there = at(3 * S + 240 * MS);
    assert_eq!(covers_at(&lease, 0, 60), Some(there), "60 tokens at 250 a second");
    assert!(!covers(&lease, there.as_nanos() - 1, 60));
    assert!(covers(&lease, there.as_nanos(), 60));
    assert_eq!(lease.level(at(100 * S)), 100, "no more is saved up than may lie idle");
    lease.take(there, 60);
    assert_eq!(lease.lent(), 60);
    lease.granted(at(4 * S), 1, 0, 10 * S);
    assert_eq!(lease.lent(), 160, "60, and as much again as may lie idle");
    lease.take(at(4 * S), 80);
    assert_eq!(lease.level(at(9 * S)), 20, "the store answers again");
}

#[test]
fn open_starts_whatever_comes_and_counts_it() {
    let mut lease = stocked(50);
    lease.terms = lease.terms.fallback(Fallback::Open);
    lease.await_tokens(at(0), 60);
    lease.want(at(GAP_NS)).unwrap();
    let silent = GAP_NS + 3 * S;
    assert_eq!(covers_at(&lease, S, 10_000), Some(at(silent)));
    assert!(!covers(&lease, silent - 1, 10_000) && covers(&lease, silent, 10_000));
    lease.take(at(silent), 10_000);
    assert_eq!((lease.lent(), lease.level(at(silent))), (9_950, 0));
    lease.charge(at(silent), 7);
    assert_eq!(lease.level(at(silent)), -7, "what outruns its estimate is a debt here too");
}

#[test]
fn a_smaller_burst_sends_back_what_is_too_much_and_a_rate_of_nothing_may_have_what_others_give_back() {
    let mut lease = stocked(100);
    lease.await_tokens(at(0), 0);
    lease.set(at(S), Rate::per_second(0).burst(80), LeaseTerms::new(4));
    assert_eq!(lease.want(at(S)).unwrap().returned, 90);
    lease.granted(at(S), 2, 0, S);
    lease.await_tokens(at(2 * S), 50);
    lease.want(at(2 * S)).unwrap();
    lease.granted(at(2 * S), 3, 0, S);
    assert_eq!(lease.want(at(3 * S - 1)), None);
    assert_eq!(lease.want(at(3 * S)).map(|want| want.tokens), Some(40));
}

#[test]
fn the_largest_numbers_do_no_harm() {
    let rate = Rate { amount: u64::MAX, period_ns: u64::MAX, burst: MAX_BURST };
    let terms = LeaseTerms::new(u32::MAX).ask_again_after(Duration::MAX).fallback_after(Duration::MAX);
    let mut lease = Counted::new(at(0), rate, terms);
    lease.await_tokens(at(u64::MAX), u64::MAX);
    assert_eq!(lease.want(at(u64::MAX)).unwrap().tokens, MAX_LEASED_TOKENS);
    lease.charge(at(u64::MAX), u64::MAX);
    lease.granted(at(0), 1, MAX_LEASED_TOKENS, u64::MAX);
    lease.put(at(u64::MAX), u64::MAX);
    lease.take(at(3), u64::MAX);
    assert_eq!(
        lease.want(at(u64::MAX)).unwrap().returned,
        -(MAX_LEASED_TOKENS as i64),
        "the rest comes later"
    );
}

#[test]
fn what_was_refused_is_there_when_it_comes_again() {
    let mut lease = lease(Fallback::Deny);
    lease.miss(at(S), 150);
    let want = lease.want(at(S)).unwrap();
    assert_eq!((want.tokens, want.why), (150, Why::Needed));
    lease.granted(at(S), want.seq, 150, 10 * S);
    assert_eq!(lease.want(at(9 * S)), None, "more than 100 lie here, for whoever comes again");
    assert!(covers(&lease, 9 * S, 150));
    let want = lease.want(at(11 * S)).unwrap();
    assert_eq!((want.returned, want.why), (150, Why::Idle), "two windows have ended");
}
