//! What the page says of nodes, by example.

use alloc::vec::Vec;

use super::node::{Change, Node, Totals};
use super::{Ahead, Answer, Ask, Books, Busy, Ledger, Misplaced, Never, NotNow, Refusal};
use crate::config::LeaseTerms;
use crate::resources::Resources;
use crate::tenant::{MAX_TENANT_DEPTH, QuotaLimit, Rate, TenantPolicy};
use crate::time::Instant;

const START: Instant = Instant::ZERO;

const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

const fn rate(amount: u64, period_ns: u64, burst: u64) -> Rate {
    Rate { amount, period_ns, burst }
}

const fn any() -> TenantPolicy {
    TenantPolicy::new()
}

const fn ask(tokens: u64) -> Ask {
    Ask { tokens, units: Resources::ZERO }
}

fn not_now(node: u32, limit: QuotaLimit, retry_at: Option<u64>) -> Result<(), Refusal> {
    Err(Refusal::NotNow(NotNow { node, limit, retry_at: retry_at.map(at) }))
}

fn never(node: u32, limit: QuotaLimit, need: u64, max: u64) -> Result<(), Refusal> {
    Err(Refusal::Never(Never { node, limit, need, max }))
}

/// A path of nodes from the root down to the leaf.
fn path<const N: usize>(policies: [TenantPolicy; N]) -> (Ledger, [u32; N]) {
    let mut ledger = Ledger::new(LeaseTerms::new(1));
    let mut parent = None;
    let slots = policies.map(|policy| {
        let slot = ledger.add(START, parent, &policy).expect("not too deep");
        parent = Some(slot);
        slot
    });
    (ledger, slots)
}

fn tokens(ledger: &Ledger, slot: u32) -> i128 {
    ledger.level(START, slot, QuotaLimit::Tokens).expect("it has a limit")
}

#[test]
fn who_is_refused_by_one_limit_is_charged_on_none() {
    let policies = [any().tokens(rate(1, 1, 100)), any().max_in_use([2]), any().requests(rate(1, 1, 9))];
    let (mut ledger, [org, team, key]) = path(policies);
    let ask = Ask { tokens: 30, units: [2].into() };
    assert_eq!(ledger.hold(START, key, &ask), Ok(()));
    assert_eq!(ledger.hold(START, key, &ask), not_now(team, QuotaLimit::Units, None));
    assert_eq!(tokens(&ledger, org), 70);
    assert_eq!(ledger.level(START, key, QuotaLimit::Requests), Some(8));
    let open = Books { running: 1, held: 30, in_use: [2].into() };
    assert_eq!([org, team, key].map(|slot| ledger.books(slot)), [open; 3]);
}

#[test]
fn the_instant_named_is_that_at_which_all_limits_are_open() {
    let policies = [any().tokens(rate(1, 10, 5)), any().tokens(rate(1, 3, 5)), any().requests(rate(1, 7, 1))];
    let (mut ledger, [org, team, key]) = path(policies);
    assert_eq!(ledger.hold(START, key, &ask(5)), Ok(()));
    assert_eq!(ledger.would_hold(START, key, &ask(2)), not_now(org, QuotaLimit::Tokens, Some(20)));
    assert_eq!(ledger.would_hold(at(19), key, &ask(2)), not_now(org, QuotaLimit::Tokens, Some(20)));
    assert_eq!(ledger.would_hold(at(20), key, &ask(2)), Ok(()));
    assert_eq!(ledger.would_hold(START, key, &ask(0)), not_now(key, QuotaLimit::Requests, Some(7)));
    ledger.set(START, team, &any().max_running(1));
    assert_eq!(
        ledger.would_hold(START, key, &ask(2)),
        not_now(team, QuotaLimit::Running, None),
        "no time helps"
    );
    ledger.set(START, key, &any().max_in_use([1]));
    let large = Ask { tokens: 2, units: [2].into() };
    assert_eq!(ledger.would_hold(START, key, &large), never(key, QuotaLimit::Units, 2, 1));
}

#[test]
fn an_estimate_above_the_burst_starts_at_a_full_bucket_or_never() {
    let limited = any().tokens(rate(1, 1, 100));
    let (mut ledger, [org]) = path([limited]);
    assert_eq!(ledger.hold(START, org, &ask(101)), never(org, QuotaLimit::Tokens, 101, 100));
    ledger.set(START, org, &limited.allow_when_full(true));
    assert_eq!(ledger.hold(START, org, &ask(150)), Ok(()));
    assert_eq!(tokens(&ledger, org), -50);
    assert_eq!(
        ledger.hold(START, org, &ask(0)),
        not_now(org, QuotaLimit::Tokens, Some(50)),
        "closed by debt"
    );
    assert_eq!(ledger.hold(at(149), org, &ask(101)), not_now(org, QuotaLimit::Tokens, Some(150)));
    assert_eq!(ledger.hold(at(150), org, &ask(101)), Ok(()));
}

#[test]
fn together_they_do_not_pass_a_limit_and_what_shrank_stays_closed() {
    let (mut ledger, [org, team]) = path([any().max_running(2), any()]);
    let other = ledger.add(START, Some(org), &any()).unwrap();
    assert_eq!(ledger.hold(START, team, &ask(0)), Ok(()));
    assert_eq!(ledger.hold(START, other, &ask(0)), Ok(()));
    for leaf in [team, other] {
        assert_eq!(ledger.hold(START, leaf, &ask(0)), not_now(org, QuotaLimit::Running, None));
    }
    ledger.set(START, org, &any().max_running(1));
    ledger.settle(START, team, &ask(0), 0);
    assert_eq!(ledger.hold(START, team, &ask(0)), not_now(org, QuotaLimit::Running, None), "one still runs");
    ledger.settle(START, other, &ask(0), 0);
    assert_eq!(ledger.hold(START, team, &ask(0)), Ok(()));
    ledger.set(START, org, &any().max_running(0));
    assert_eq!(ledger.hold(START, team, &ask(0)), never(org, QuotaLimit::Running, 1, 0));
}

#[test]
#[should_panic(expected = "they ran")]
fn what_was_never_held_is_not_settled() {
    let less = Books { running: 1, ..Books::default() };
    // Where nothing is checked before, as in a release.
    Node::default().book(START, &Change { less, ..Change::default() });
}

#[test]
fn a_hold_is_settled_to_the_token() {
    let (mut ledger, [org]) = path([any().tokens(rate(1, 1, 100)).requests(rate(0, 1, 5))]);
    ledger.hold(START, org, &ask(40)).unwrap();
    ledger.charge(START, org, 70).unwrap();
    assert_eq!(tokens(&ledger, org), -10, "a stream that outruns its estimate is charged while it runs");
    ledger.settle(START, org, &ask(110), 115);
    assert_eq!(tokens(&ledger, org), -15);
    assert_eq!(ledger.totals(org), Totals { used: 115, refunded: 0, debt: 75 });
    let full = at(115);
    ledger.hold(full, org, &ask(40)).unwrap();
    assert_eq!(ledger.level(full, org, QuotaLimit::Requests), Some(3), "a start is not refunded");
    ledger.undo(full, org, &ask(40)).unwrap();
    assert_eq!(ledger.level(full, org, QuotaLimit::Requests), Some(4), "but one that was declined is");
    assert_eq!((tokens(&ledger, org), ledger.books(org)), (100, Books::default()));
}

#[test]
fn what_runs_moves_along_with_its_tenant() {
    let limited = any().tokens(rate(0, 1, 100)).max_running(1);
    let (mut ledger, [org, from, key]) = path([any().tokens(rate(0, 1, 100)), limited, any()]);
    let to = ledger.add(START, Some(org), &limited).unwrap();
    let resident = ledger.add(START, Some(to), &any()).unwrap();
    ledger.hold(START, key, &ask(60)).unwrap();
    ledger.hold(START, resident, &ask(30)).unwrap();
    assert_eq!(ledger.set_parent(START, key, Some(to)), Ok(()));
    assert_eq!((tokens(&ledger, from), ledger.books(from)), (100, Books::default()));
    assert_eq!((tokens(&ledger, to), ledger.books(to).running), (10, 2), "more than the limit, for now");
    assert_eq!(tokens(&ledger, org), 10, "above both nothing changes");
    ledger.settle(START, key, &ask(60), 50);
    assert_eq!((tokens(&ledger, from), tokens(&ledger, to), tokens(&ledger, org)), (100, 20, 20));
    assert_eq!(ledger.hold(START, key, &ask(0)), not_now(to, QuotaLimit::Running, None));
}

#[test]
fn a_limit_that_is_set_later_takes_over_what_is_held() {
    let (mut ledger, [org]) = path([any()]);
    ledger.hold(START, org, &ask(60)).unwrap();
    ledger.set(START, org, &any().tokens(rate(0, 1, 50)));
    assert_eq!(tokens(&ledger, org), -10);
    ledger.settle(START, org, &ask(60), 0);
    assert_eq!(tokens(&ledger, org), 50);
    let leased = any().tokens(rate(9, 1, 50)).leased(true);
    ledger.set(START, org, &leased);
    let later = ledger.level(at(1_000), org, QuotaLimit::Tokens);
    assert_eq!(later, Some(0), "what is leased begins with nothing, and comes by grants alone");
    ledger.await_quota(at(1_000), org, Some(&ask(30)));
    let (slot, limit, want) = ledger.want(at(1_000)).expect("somebody waits");
    assert_eq!((slot, limit, want.tokens), (org, QuotaLimit::Tokens, 30));
    let answer = ledger.granted(at(1_000), org, limit, (want.seq, 30, 1_000_000));
    assert_eq!((answer, tokens(&ledger, org)), (Answer::Taken, 30));
    ledger.set(at(1_000), org, &leased.max_running(7));
    assert_eq!(tokens(&ledger, org), 30, "what was granted stays");
    ledger.set(at(1_000), org, &any().tokens(rate(0, 1, 20)));
    assert_eq!(tokens(&ledger, org), 20, "as far as there is room, when it is leased no more");
}

#[test]
fn no_two_wishes_have_one_number() {
    let leased = any().tokens(rate(9, 1, 50)).leased(true);
    let (mut ledger, [org]) = path([leased]);
    let mut wish = || {
        ledger.await_quota(START, org, Some(&ask(30)));
        let want = ledger.want(START).expect("somebody waits");
        ledger.set(START, org, &any());
        assert_eq!((ledger.want(START), ledger.wants_at()), (None, None), "it is leased no more");
        ledger.set(START, org, &leased);
        want.2.seq
    };
    assert_eq!([wish(), wish()], [1, 2], "the store would answer the first again");
}

#[test]
fn the_newcomer_comes_after_those_that_wait() {
    let (ledger, [org, team]) = path([any().tokens(rate(1, 1, 100)), any().max_running(3)]);
    let ahead = |tokens, requests| {
        move |node| if node == org { Ahead { tokens, requests: 0 } } else { Ahead { tokens: 0, requests } }
    };
    assert_eq!(ledger.would_admit(START, team, &ask(40), ahead(60, 2)), Ok(()));
    let later = ledger.would_admit(START, team, &ask(40), ahead(250, 2));
    assert_eq!(later, not_now(org, QuotaLimit::Tokens, Some(190)));
    assert_eq!(
        ledger.would_admit(START, team, &ask(40), ahead(0, 3)),
        not_now(team, QuotaLimit::Running, None)
    );
}

#[test]
fn the_tree_has_so_many_levels_and_no_circle() {
    let (mut ledger, chain) = path([any(); MAX_TENANT_DEPTH]);
    assert_eq!(ledger.add(START, Some(chain[7]), &any()), Err(Misplaced::TooDeep));
    assert_eq!(ledger.set_parent(START, chain[0], Some(chain[3])), Err(Misplaced::Cycle));
    assert_eq!(ledger.set_parent(START, chain[0], Some(chain[0])), Err(Misplaced::Cycle));
    let top = ledger.add(START, None, &any()).unwrap();
    assert_eq!(ledger.set_parent(START, chain[0], Some(top)), Err(Misplaced::TooDeep));
    assert_eq!(ledger.set_parent(START, chain[1], Some(top)), Ok(()));
    assert_eq!(ledger.path(chain[7]).last(), Some(top));
    assert_eq!(ledger.remove(chain[6]), Err(Busy::Children));
    assert_eq!(ledger.remove(chain[7]), Ok(()));
    assert_eq!(ledger.set_parent(START, top, Some(chain[0])), Ok(()), "it is less high now");
}

#[test]
fn what_has_something_open_is_not_removed_nor_forgotten() {
    let (mut ledger, [org]) = path([any().tokens(rate(1, 1, 10))]);
    ledger.hold(START, org, &ask(4)).unwrap();
    assert_eq!(ledger.remove(org), Err(Busy::Open(Books { running: 1, held: 4, in_use: Resources::ZERO })));
    ledger.settle(START, org, &ask(4), 14);
    assert!(!ledger.is_fresh(at(13), org), "to forget it now would forgive it a debt");
    assert!(ledger.is_fresh(at(14), org));
    assert_eq!(ledger.remove(org), Ok(()));
}

#[test]
fn the_largest_numbers_are_refused_or_fit() {
    let huge = Rate { amount: u64::MAX, period_ns: u64::MAX, burst: crate::tenant::MAX_BURST };
    let (mut ledger, [_, key]) = path([any().tokens(huge).allow_when_full(true), any().requests(huge)]);
    assert_eq!(ledger.hold(START, key, &ask(u64::MAX)), not_now(key, QuotaLimit::Tokens, None));
    assert_eq!(ledger.hold(START, key, &ask(u64::MAX >> 1)), Ok(()));
    assert!(ledger.charge(START, key, u64::MAX).is_err());
    assert!(ledger.charge(START, key, 1).is_err(), "what is held has no room for it");
    let all = Resources::from([u64::MAX; 4]);
    assert_eq!(ledger.resize_use(key, Resources::ZERO, all), Ok(false), "no limit of units");
    let more = Ask { tokens: 0, units: [1].into() };
    assert_eq!(ledger.hold(at(u64::MAX), key, &more), not_now(key, QuotaLimit::Units, None));
    let hold = Ask { tokens: u64::MAX >> 1, units: all };
    ledger.settle(at(u64::MAX), key, &hold, 0);
}

#[test]
fn a_million_nodes_come_and_go() {
    let mut ledger = Ledger::new(LeaseTerms::new(1));
    let org = ledger.add(START, None, &any().max_running(1)).unwrap();
    for _ in 0..2 {
        let million: Vec<u32> =
            (0..1_000_000).map(|_| ledger.add(START, Some(org), &any()).unwrap()).collect();
        assert_eq!(million.iter().max(), Some(&1_000_000), "slots are used again");
        assert_eq!(ledger.hold(START, million[999_999], &ask(1)), Ok(()));
        assert_eq!(ledger.undo(START, million[999_999], &ask(1)), Ok(()));
        million.into_iter().for_each(|slot| ledger.remove(slot).unwrap());
        assert_eq!(ledger.len(), 1);
    }
    assert!(ledger.is_fresh(START, org));
}
