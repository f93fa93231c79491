//! One budget for several schedulers: what each asks of the store, and what it does until it is answered.

extern crate alloc;

mod common;
#[path = "../src/quota/lease/store.rs"]
mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{World, starts};
use proptest::prelude::*;
use store::{Incarnation, Store};
use tidegate::{
    Action, Attempt, Config, ConfigBuilder, Fallback, Instant, LeaseTerms, OverQuota, QuotaLimit, Rate,
    Reason, RequestId, RequestSpec, RequestState, Scheduler, SubmitError, TenantError, TenantId,
    TenantPolicy, Tier, TierConfig, Usage, WorkerSpec,
};

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

fn config(terms: LeaseTerms) -> ConfigBuilder {
    // What is held again is held whatever the store granted: it has run already.
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(TierConfig::new("only"))
        .hold_timeout(Duration::MAX)
        .leases(terms)
}

/// Two replicas share 1,000 tokens a second, of which 800 are saved up: 200 may lie idle here.
fn world(fallback: Fallback) -> (World, TenantId) {
    let terms = LeaseTerms::new(2).fallback(fallback);
    leased(terms, TenantPolicy::new().tokens(Rate::per_second(1_000).burst(800)))
}

fn leased(terms: LeaseTerms, policy: TenantPolicy) -> (World, TenantId) {
    let mut world = World::with_workers(config(terms), 1, [1_000, 1_000_000]);
    let acme = world.sched.tenant_set(world.now, "leased").expect("a name");
    world.sched.tenant_configure(world.now, acme, &policy.leased(true)).expect("a sound policy");
    (world, acme)
}

/// A request of so many tokens, half of them prompt.
fn of(tenant: TenantId, tokens: u64) -> RequestSpec {
    let spec = RequestSpec::new(tenant, Tier::P0).demand([1, 1]);
    spec.prompt_tokens(tokens / 2).output_tokens(tokens - tokens / 2)
}

fn wish(tenant: TenantId, seq: u64, tokens: u64, returned: i64, reason: Reason) -> Action {
    Action::LeaseWanted { tenant, limit: QuotaLimit::Tokens, seq, tokens, returned, reason }
}

fn grant(world: &mut World, tenant: TenantId, seq: u64, tokens: u64) {
    let answer = world.sched.lease_granted(world.now, tenant, QuotaLimit::Tokens, seq, tokens, 10 * S);
    answer.expect("it was wanted");
    world.check();
}

fn end(world: &mut World, id: RequestId, used: u64) {
    world.complete_with(id, Usage { prompt_tokens: used, cached_tokens: 0, output_tokens: 0 });
}

#[test]
fn it_begins_with_nothing_and_asks_when_somebody_waits() {
    let (mut world, acme) = world(Fallback::Deny);
    assert_eq!((world.round(), world.sched.poll_timeout()), (vec![], None), "nobody wants anything");
    let id = world.submit_spec(of(acme, 100));
    assert_eq!(world.round(), [wish(acme, 1, 100, 0, Reason::LeaseNeeded)]);
    assert_eq!((world.round(), world.state(id)), (vec![], RequestState::Parked));
    grant(&mut world, acme, 1, 60);
    assert_eq!(starts(&world.round()), [], "60 of 100 are not enough");
    world.pass(Duration::from_millis(40));
    assert_eq!(
        world.round(),
        [wish(acme, 2, 40, 0, Reason::LeaseNeeded)],
        "when the store can have the rest"
    );
    grant(&mut world, acme, 2, 40);
    assert_eq!(starts(&world.round()), [id]);
}

#[test]
fn it_asks_again_with_the_same_number_until_it_is_answered() {
    let (mut world, acme) = world(Fallback::Deny);
    let id = world.submit_spec(of(acme, 100));
    let wanted = wish(acme, 1, 100, 0, Reason::LeaseNeeded);
    assert_eq!(world.round(), [wanted]);
    for second in 1..=9 {
        assert_eq!(world.sched.poll_timeout(), Some(Instant::from_nanos(second * S)));
        world.now = Instant::from_nanos(second * S - 1);
        assert_eq!(world.round(), []);
        world.now = Instant::from_nanos(second * S);
        assert_eq!(world.round(), [wanted]);
    }
    grant(&mut world, acme, 1, 100);
    assert_eq!(starts(&world.round()), [id]);
}

#[test]
fn an_answer_counts_once_and_only_to_the_wish_that_waits() {
    let (mut world, acme) = world(Fallback::Deny);
    grant(&mut world, acme, 1, 1_000_000);
    let ids: Vec<_> = (0..2).map(|_| world.submit_spec(of(acme, 100))).collect();
    assert_eq!(world.round(), [wish(acme, 1, 100, 0, Reason::LeaseNeeded)]);
    let now = world.now;
    let mut answer =
        |tenant, limit, seq, tokens| world.sched.lease_granted(now, tenant, limit, seq, tokens, S);
    assert_eq!(answer(acme, QuotaLimit::Tokens, 2, 100), Ok(()), "no such wish");
    assert_eq!(answer(acme, QuotaLimit::Requests, 1, 100), Ok(()), "no such rate");
    assert_eq!(answer(acme, QuotaLimit::Running, 1, 100), Ok(()), "no rate");
    let too_large = TenantError::GrantTooLarge { tenant: acme, wanted: 100, tokens: 101 };
    assert_eq!(answer(acme, QuotaLimit::Tokens, 1, 101), Err(too_large));
    let nobody = TenantId::new(99);
    assert_eq!(answer(nobody, QuotaLimit::Tokens, 1, 1), Err(TenantError::Unknown(nobody)));
    for _ in 0..3 {
        grant(&mut world, acme, 1, 100);
    }
    assert_eq!(starts(&world.round()), ids[..1], "one grant is one start");
}

#[test]
fn an_answer_to_who_is_gone_or_leases_no_more_is_nothing() {
    let (mut world, acme) = world(Fallback::Deny);
    let id = world.submit_spec(of(acme, 100));
    world.round();
    let free = TenantPolicy::new().tokens(Rate::per_second(1_000).burst(800));
    world.sched.tenant_configure(world.now, acme, &free).expect("a sound policy");
    assert_eq!(starts(&world.round()), [], "it keeps its level, and that is nothing");
    grant(&mut world, acme, 1, 100);
    assert_eq!(starts(&world.round()), []);
    world.pass(Duration::from_millis(100));
    assert_eq!(starts(&world.round()), [id], "now it has a rate of its own");
    end(&mut world, id, 100);
    world.sched.tenant_configure(world.now, acme, &free.leased(true)).expect("a sound policy");
    world.submit_spec(of(acme, 100));
    assert_eq!(world.round(), [wish(acme, 2, 100, 0, Reason::LeaseNeeded)], "a number is said once");
    world.sched.cancel(world.now, *world.submitted.last().expect("it was")).expect("it waits");
    world.sched.tenant_remove(world.now, acme).expect("it is idle");
    grant(&mut world, acme, 2, 100);
    assert_eq!((world.round(), world.sched.poll_timeout()), (vec![], None));
}

#[test]
fn while_the_store_is_silent_it_does_as_it_was_told() {
    for (fallback, starts_at) in [
        (Fallback::Deny, None),
        (Fallback::LocalShare, Some(3 * S + 200 * MS)),
        (Fallback::Open, Some(3 * S)),
    ] {
        let (mut world, acme) = world(fallback);
        let id = world.submit_spec(of(acme, 100));
        world.round();
        while world.jump() && world.now < Instant::from_nanos(9 * S) {
            if starts(&world.round()) == [id] {
                break;
            }
        }
        let started_at = world.running.contains_key(&id).then_some(world.now.as_nanos());
        assert_eq!(started_at, starts_at, "{fallback:?}: half the rate from 3 s on, or all at once");
    }
}

#[test]
fn who_does_not_wait_finds_it_when_it_comes_again() {
    let policy = TenantPolicy::new().tokens(Rate::per_second(1_000).burst(800)).over_quota(OverQuota::Reject);
    let (mut world, acme) = leased(LeaseTerms::new(8), policy);
    let refused = SubmitError::OverQuota { tenant: acme, limit: QuotaLimit::Tokens, retry_at: None };
    assert_eq!(world.sched.submit(world.now, of(acme, 300)), Err(refused));
    assert_eq!(world.round(), [wish(acme, 1, 300, 0, Reason::LeaseNeeded)], "more than 50 may lie idle");
    grant(&mut world, acme, 1, 300);
    world.pass(Duration::from_secs(4));
    assert_eq!(world.round(), []);
    let id = world.submit_spec(of(acme, 300));
    assert_eq!(starts(&world.round()), [id]);
}

#[test]
fn what_outruns_its_estimate_is_owed_at_once_and_what_nobody_uses_goes_back() {
    let (mut world, acme) = world(Fallback::Deny);
    let id = world.submit_spec(of(acme, 100));
    world.round();
    grant(&mut world, acme, 1, 100);
    world.round();
    world.pass(Duration::from_millis(10));
    world.progress(id, 150, [1, 1]);
    let [Action::LeaseWanted { seq: 2, returned: -164, .. }] = world.round()[..] else {
        panic!("50 and 150, 64 ahead, less 100: {:?}", world.actions)
    };
    grant(&mut world, acme, 2, 0);
    world.pass(Duration::from_millis(10));
    world.progress(id, 250, [1, 1]);
    let [Action::LeaseWanted { seq: 3, tokens, returned: -100, reason: Reason::LeaseOwed, .. }] =
        world.round()[..]
    else {
        panic!("the store had nothing, but it can be told: {:?}", world.actions)
    };
    grant(&mut world, acme, 3, tokens);
    end(&mut world, id, 120);
    let mut back = 0;
    loop {
        for action in world.round() {
            let Action::LeaseWanted { seq, tokens: 0, returned, reason: Reason::LeaseIdle, .. } = action
            else {
                panic!("{action:?}")
            };
            back += returned;
            grant(&mut world, acme, seq, 0);
        }
        if !world.jump() {
            break;
        }
    }
    // 100 and the tokens were granted, 120 were used, and a debt of 264 was told.
    assert_eq!(back, 100 + tokens as i64 - 120 + 264);
}

/// What was held before was not granted: when it comes back, the store must not count it as what it gave.
#[test]
fn what_was_held_when_a_limit_became_leased_is_owed_until_it_comes_back() {
    let free = TenantPolicy::new().tokens(Rate::per_second(1_000).burst(800));
    let mut world =
        World::with_workers(config(LeaseTerms::new(2).fallback(Fallback::Deny)), 1, [1_000, 1_000]);
    let acme = world.sched.tenant_set(world.now, "own").expect("a name");
    world.sched.tenant_configure(world.now, acme, &free).expect("a sound policy");
    let id = world.submit_spec(of(acme, 500));
    assert_eq!(starts(&world.round()), [id]);
    world.sched.tenant_configure(world.now, acme, &free.leased(true)).expect("a sound policy");
    assert_eq!(world.round(), [wish(acme, 1, 200, -500, Reason::LeaseAhead)]);
    grant(&mut world, acme, 1, 0);
    end(&mut world, id, 100);
    world.pass(Duration::from_millis(10));
    assert_eq!(returned_by(&world.round()[0]), 200, "of 400 as many as may lie idle stay");
}

/// What a replica waits for may be what another gives back: nobody tells it, so it asks.
#[test]
fn who_waits_gets_what_others_give_back_however_slow_the_rate_is() {
    let policy = TenantPolicy::new().tokens(Rate { amount: 0, period_ns: S, burst: 800 });
    let (mut world, acme) = leased(LeaseTerms::new(2).fallback(Fallback::Deny), policy);
    let id = world.submit_spec(of(acme, 500));
    assert_eq!(world.round(), [wish(acme, 1, 500, 0, Reason::LeaseNeeded)]);
    grant(&mut world, acme, 1, 100);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.round(), [wish(acme, 2, 400, 0, Reason::LeaseNeeded)], "another has given back 400");
    grant(&mut world, acme, 2, 400);
    assert_eq!(starts(&world.round()), [id]);
}

/// A grant that is good for no time at all is no reason to look at it all the time.
#[test]
fn a_lease_that_is_good_for_nothing_does_not_keep_the_host_busy() {
    let (mut world, acme) = world(Fallback::Deny);
    world.submit_spec(of(acme, 500));
    world.round();
    let granted = world.sched.lease_granted(world.now, acme, QuotaLimit::Tokens, 1, 10, 0);
    granted.expect("it was wanted");
    let mut polls = 0;
    while world.now < Instant::from_nanos(400 * MS) && world.jump() {
        world.round();
        polls += 1;
        assert!(polls <= 100, "{:?} after {polls} polls", world.now);
    }
}

fn returned_by(action: &Action) -> i64 {
    if let Action::LeaseWanted { returned, .. } = *action { returned } else { 0 }
}

#[test]
fn more_than_a_burst_starts_when_a_whole_burst_was_granted() {
    let policy = TenantPolicy::new().tokens(Rate::per_second(1_000).burst(800)).allow_when_full(true);
    let (mut world, acme) = leased(LeaseTerms::new(2), policy);
    let id = world.submit_spec(of(acme, 1_000));
    assert_eq!(world.round(), [wish(acme, 1, 800, 0, Reason::LeaseNeeded)]);
    grant(&mut world, acme, 1, 800);
    world.pass(Duration::from_millis(10));
    let told = world.round();
    assert_eq!(starts(&told), [id]);
    assert_eq!(returned_by(told.last().expect("a start and a debt")), -200);
}

#[test]
fn requests_are_leased_as_tokens_are() {
    let (mut world, acme) =
        leased(LeaseTerms::new(2), TenantPolicy::new().requests(Rate::per_second(10).burst(4)));
    let ids: Vec<_> = (0..2).map(|_| world.submit_spec(of(acme, 100))).collect();
    let wanted = |seq| Action::LeaseWanted {
        tenant: acme,
        limit: QuotaLimit::Requests,
        seq,
        tokens: 1,
        returned: 0,
        reason: Reason::LeaseNeeded,
    };
    assert_eq!(world.round(), [wanted(1)]);
    let answer = world.sched.lease_granted(world.now, acme, QuotaLimit::Requests, 1, 1, S);
    assert_eq!((answer, starts(&world.round())), (Ok(()), vec![ids[0]]));
    world.pass(Duration::from_millis(10));
    assert_eq!(world.round(), [wanted(2)]);
}

#[test]
fn other_terms_hold_for_the_leases_that_are_there() {
    let (mut world, acme) = world(Fallback::Deny);
    let id = world.submit_spec(of(acme, 100));
    world.round();
    let open = config(LeaseTerms::new(2).fallback(Fallback::Open)).build().expect("a config");
    world.sched.reconfigure(world.now, open).expect("the same names");
    world.round();
    world.pass(Duration::from_secs(3));
    assert_eq!(starts(&world.round()), [id]);
}

/// A steady second of 1,000 small requests: the store is asked now and then, not for each.
#[test]
fn no_request_waits_for_the_store_once_it_is_warm() {
    let policy = TenantPolicy::new().tokens(Rate::per_second(200_000).burst(100_000));
    let (mut world, acme) = leased(LeaseTerms::new(2), policy);
    let mut store = Store::new(policy.tokens.expect("it was set"));
    let (mut wishes, mut waited) = (0, 0);
    for request in 0..2_000_u64 {
        let id = world.submit_spec(of(acme, 100));
        let told = world.round();
        waited += u64::from(request >= 1_000 && starts(&told) != [id]);
        for action in told {
            if let Action::LeaseWanted { seq, tokens, returned, .. } = action {
                wishes += u64::from(request >= 1_000);
                let granted = store.answer(world.now, (0, 0), seq, tokens, returned).expect("a new number");
                grant(&mut world, acme, seq, granted);
            }
        }
        world.round();
        let running: Vec<RequestId> = world.running.keys().copied().collect();
        running.into_iter().for_each(|id| end(&mut world, id, 90));
        world.pass(Duration::from_millis(1));
    }
    assert_eq!(waited, 0);
    assert!(wishes <= 20, "{wishes} wishes for 1,000 requests");
}

/// A message between a replica and the store.
#[derive(Clone, Copy, Debug)]
enum Message {
    Ask { from: Incarnation, seq: u64, tokens: u64, returned: i64 },
    Answer { to: Incarnation, seq: u64, tokens: u64 },
}

/// What runs.
#[derive(Clone, Copy, Debug)]
struct Run {
    attempt: Attempt,
    prompt: u64,
    output: u64,
    held: u64,
}

struct Replica {
    life: u32,
    sched: Scheduler,
    keys: [TenantId; 2],
    /// What waits, with its tokens.
    waiting: BTreeMap<RequestId, u64>,
    running: BTreeMap<RequestId, Run>,
}

impl Replica {
    /// The limit is the team's; two keys below it submit.
    fn new(terms: LeaseTerms, policy: TenantPolicy, life: u32, now: Instant) -> Self {
        let mut sched = Scheduler::new(config(terms).build().expect("a config"), now);
        let worker = WorkerSpec::new([1_000, 1_000]);
        sched.worker_add(now, worker).expect("a worker");
        let team = sched.tenant_set(now, "team").expect("a name");
        sched.tenant_configure(now, team, &policy).expect("a policy");
        let keys = ["one", "two"].map(|name| {
            let key = sched.tenant_set(now, name).expect("a name");
            sched.tenant_configure(now, key, &TenantPolicy::new().parent(team)).expect("a policy");
            key
        });
        Self { life, sched, keys, waiting: BTreeMap::new(), running: BTreeMap::new() }
    }

    fn picked(&self, pick: usize) -> Option<(RequestId, Run)> {
        let index = pick.checked_rem(self.running.len())?;
        self.running.iter().nth(index).map(|(&id, &run)| (id, run))
    }
}

/// Several schedulers, their store and the network between them.
struct Cluster {
    now: u64,
    terms: LeaseTerms,
    policy: TenantPolicy,
    store: Store,
    replicas: Vec<Replica>,
    network: Vec<Message>,
    /// Taken at starts, less what was put back.
    held: i128,
}

impl Cluster {
    fn new(rate: Rate, replicas: u32) -> Self {
        let terms = LeaseTerms::new(replicas).fallback(Fallback::Deny);
        let policy = TenantPolicy::new().tokens(rate).leased(true).allow_when_full(true);
        let replicas = (0..replicas).map(|_| Replica::new(terms, policy, 0, Instant::ZERO)).collect();
        let (store, network) = (Store::new(rate), Vec::new());
        Self { now: 0, terms, policy, store, replicas, network, held: 0 }
    }

    fn at(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    /// Does what each scheduler wants.
    fn attend(&mut self) {
        let at = self.at();
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            while let Some(action) = replica.sched.poll(at) {
                match action {
                    Action::Start { request, attempt, .. } => {
                        let held = replica.waiting.remove(&request).expect("it waited");
                        let run = Run { attempt, prompt: held / 2, output: 0, held };
                        replica.running.insert(request, run);
                        self.held += i128::from(held.min(self.policy.tokens.expect("it was set").burst));
                    }
                    Action::LeaseWanted { seq, tokens, returned, .. } => {
                        let from = (number, replica.life);
                        self.network.push(Message::Ask { from, seq, tokens, returned });
                    }
                    other => panic!("nobody is stopped: {other:?}"),
                }
            }
            replica.sched.check_invariants().expect("they hold");
        }
        self.store.check(at, self.held, 0);
    }

    fn deliver(&mut self, which: usize) {
        let at = self.at();
        match self.network[which] {
            Message::Ask { .. } if !self.store.running => {}
            Message::Ask { from, seq, tokens, returned } => {
                self.network.swap_remove(which);
                if let Some(tokens) = self.store.answer(at, from, seq, tokens, returned) {
                    self.network.push(Message::Answer { to: from, seq, tokens });
                }
            }
            Message::Answer { to: (number, life), seq, tokens } => {
                self.network.swap_remove(which);
                let Replica { life: lives, sched, .. } = &mut self.replicas[number];
                if *lives == life {
                    let team = TenantId::new(0);
                    let taken = sched.lease_granted(at, team, QuotaLimit::Tokens, seq, tokens, 2 * S);
                    taken.expect("the store grants what was wanted");
                }
            }
        }
    }

    fn submit(&mut self, number: usize, tokens: u64) {
        let at = self.at();
        let replica = &mut self.replicas[number];
        let id = replica.sched.submit(at, of(replica.keys[tokens as usize % 2], tokens)).expect("it waits");
        replica.waiting.insert(id, tokens);
    }

    fn progress(&mut self, number: usize, pick: usize, more: u64) {
        let at = self.at();
        let replica = &mut self.replicas[number];
        let Some((id, mut run)) = replica.picked(pick) else { return };
        run.output += more;
        replica.sched.progress(at, id, run.attempt, run.output, [1, 1].into()).expect("it runs");
        let used = run.prompt + run.output;
        if used > run.held {
            run.held = used + 64;
        }
        replica.running.insert(id, run);
    }

    /// Ends what runs: done with so much, failed or cancelled.
    fn end(&mut self, number: usize, pick: usize, (how, used): (u8, u64)) {
        let at = self.at();
        let replica = &mut self.replicas[number];
        let Some((id, run)) = replica.picked(pick) else { return };
        replica.running.remove(&id);
        let usage = Usage { prompt_tokens: used, cached_tokens: 0, output_tokens: 0 };
        let (ended, used) = match how {
            0 => (replica.sched.complete(at, id, run.attempt, usage), used),
            // Nothing was reported of it: nothing was used.
            1 if run.output == 0 => (replica.sched.failed(at, id, run.attempt), 0),
            1 => (replica.sched.failed(at, id, run.attempt), run.prompt + run.output),
            _ if run.output == 0 => (replica.sched.cancel(at, id), 0),
            _ => (replica.sched.cancel(at, id), run.prompt + run.output),
        };
        ended.expect("it runs");
        self.held -= i128::from(run.held.saturating_sub(used));
    }

    /// A replica dies, and comes again with nothing; its requests used what they held.
    fn crash(&mut self, number: usize) {
        let life = self.replicas[number].life + 1;
        self.replicas[number] = Replica::new(self.terms, self.policy, life, self.at());
    }

    fn take(&mut self, burst: u64, (kind, who, much): (u8, u16, u16)) {
        let (number, pick) = (usize::from(who) % self.replicas.len(), usize::from(who) / 7);
        let message = usize::from(who).checked_rem(self.network.len());
        let much = u64::from(much);
        match (kind, message) {
            (0..=2, _) => self.now += much.pow(2) * 1_000,
            (3..=6, _) => self.submit(number, much % (burst + burst / 8) + 1),
            (7, _) => self.progress(number, pick, much % burst + 1),
            (8..=10, _) => self.end(number, pick, (kind - 8, much % burst)),
            (11..=15, Some(which)) => self.deliver(which),
            (16, Some(which)) => _ = self.network.swap_remove(which),
            (17, Some(which)) => self.network.push(self.network[which]),
            (18, _) => self.store.running = !self.store.running,
            (19, _) => self.crash(number),
            (20, _) => {
                // The connections die with the server.
                self.network.retain(|message| matches!(message, Message::Answer { .. }));
                self.store.restart(self.at());
            }
            _ => {}
        }
        self.attend();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    /// QUO-3 with whole schedulers: under loss, duplication, reordering, crash, a store that stops and one that forgets.
    #[test]
    fn all_replicas_together_hold_what_was_granted_and_that_is_in_the_budget(
        (amount, period_ms, burst) in (0_u64..5_000, 1_u64..70_000, 1_u64..20_000),
        replicas in 1_u32..=4,
        steps in prop::collection::vec((0_u8..21, any::<u16>(), any::<u16>()), 0..80),
    ) {
        let mut cluster = Cluster::new(Rate { amount, period_ns: period_ms * MS, burst }, replicas);
        for step in steps {
            cluster.take(burst, step);
        }
    }
}

/// Where it waits does not depend on what it is waited for: else two of them went from node to node for ever.
#[test]
fn who_lacks_at_two_leases_starts_when_both_have_lent() {
    let leased_at = |amount| TenantPolicy::new().tokens(Rate::per_second(amount).burst(800)).leased(true);
    for amounts in [[1_000, 900], [900, 1_000]] {
        let mut world = World::with_workers(config(LeaseTerms::new(8)), 1, [1_000, 1_000_000]);
        let now = world.now;
        let mut tenant = |name, policy: TenantPolicy| {
            let tenant = world.sched.tenant_set(now, name).expect("a name");
            world.sched.tenant_configure(now, tenant, &policy).expect("a policy");
            tenant
        };
        let key = tenant("key", TenantPolicy::new());
        let team = tenant("team", leased_at(amounts[0]));
        tenant("key", leased_at(amounts[1]).parent(team));
        let other = tenant("other", TenantPolicy::new().parent(key));
        let ids = [key, other].map(|tenant| world.submit_spec(of(tenant, 400)));
        while world.now < Instant::from_nanos(60 * S) && world.running.len() < 2 {
            world.round();
            assert!(world.jump(), "both are asked again and again, and lend at last");
        }
        assert_eq!(world.running.len(), 2, "{ids:?}");
    }
}
