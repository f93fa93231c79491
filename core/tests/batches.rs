//! Batches: whatever comes in one call is decided, refused and counted as if it came in single calls, and nothing that
//! is refused keeps the rest back.

mod common;

use std::time::Duration;

use common::configs::configs;
use common::{World, three_tiers};
use proptest::prelude::*;
use tidegate::{
    Action, Attempt, Completion, Config, Digest, Input, Instant, Journal, OverQuota, Recorder, Release,
    ReportError, RequestId, RequestSpec, Scheduler, SubmitError, TenantId, TenantPolicy, Tier, Usage,
    WorkerSpec,
};

const TENANTS: u32 = 2;

/// A submission, which may name a tier, a tenant or a demand that there is not.
#[derive(Clone, Debug)]
struct Order {
    tenant: u32,
    tier: u8,
    units: [u64; 2],
    timeout_ms: Option<u64>,
}

/// The end of a request that is picked from all that ever started, perhaps with the wrong attempt.
#[derive(Clone, Debug)]
struct End {
    pick: usize,
    later: u32,
    output_tokens: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Submit(Vec<Order>),
    Complete(Vec<End>),
    Progress { pick: usize, blocks: u64 },
    Round,
    Pass(u64),
    Back(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let timeout_ms = proptest::option::weighted(0.2, 1_u64..3_000);
    let order = (0..=TENANTS, 0_u8..4, [0_u64..4, 0_u64..40], timeout_ms)
        .prop_map(|(tenant, tier, units, timeout_ms)| Order { tenant, tier, units, timeout_ms });
    let end = (0_usize..64, prop_oneof![9 => Just(0_u32), 1 => Just(1)], 0_u64..50)
        .prop_map(|(pick, later, output_tokens)| End { pick, later, output_tokens });
    let step = prop_oneof![
        5 => proptest::collection::vec(order, 0..12).prop_map(Step::Submit),
        4 => proptest::collection::vec(end, 0..12).prop_map(Step::Complete),
        2 => (0_usize..64, 0_u64..60).prop_map(|(pick, blocks)| Step::Progress { pick, blocks }),
        6 => Just(Step::Round),
        4 => (1_u64..2_000).prop_map(Step::Pass),
        1 => (1_u64..2_000).prop_map(Step::Back),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The same host twice, once with a call for everything and once with batches; what the former says is written down.
struct Twins {
    singly: Scheduler,
    at_once: Scheduler,
    now: Instant,
    digests: [Digest; 2],
    recorder: Recorder<String>,
    started: Vec<(RequestId, Attempt)>,
}

impl Twins {
    fn new(config: Config) -> Self {
        let now = Instant::ZERO;
        let mut twins = Self {
            singly: Scheduler::new(config.clone(), now),
            at_once: Scheduler::new(config.clone(), now),
            now,
            digests: [Digest::new(), Digest::new()],
            recorder: Recorder::new(String::new(), &config, now).expect("a string takes everything"),
            started: Vec::new(),
        };
        for number in 0..TENANTS {
            twins.both(Input::TenantSet { name: format!("tenant-{number}").into() });
        }
        let policy = TenantPolicy::new().max_running(3).over_quota(OverQuota::Reject);
        twins.both(Input::TenantConfigure { tenant: TenantId::new(1), policy: Box::new(policy) });
        for capacity in [[6, 60], [4, 80]] {
            twins.both(Input::WorkerAdd(WorkerSpec::new(capacity)));
        }
        twins
    }

    fn both(&mut self, input: Input) {
        let said = self.say(&input);
        assert_eq!(self.at_once.apply(self.now, &input), said);
    }

    /// Only to the one that hears everything singly.
    fn say(&mut self, input: &Input) -> Result<tidegate::Created, tidegate::InputError> {
        self.recorder.input(self.now, input).expect("a string takes everything");
        self.singly.apply(self.now, input)
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Submit(orders) => self.submit(orders),
            Step::Complete(ends) => self.complete(ends),
            Step::Progress { pick, blocks } => {
                if let Some((request, attempt)) = self.picked(*pick) {
                    let in_use = [1, *blocks].into();
                    self.both(Input::Progress { request, attempt, output_tokens: *blocks, in_use });
                }
            }
            Step::Round => self.round(),
            Step::Pass(ms) => self.now = self.now + Duration::from_millis(*ms),
            Step::Back(ms) => {
                self.now = Instant::from_nanos(self.now.as_nanos().saturating_sub(ms * 1_000_000));
            }
        }
        assert_eq!(self.singly.check_invariants(), Ok(()));
        assert_eq!(self.singly.poll_timeout(), self.at_once.poll_timeout());
        assert_eq!(format!("{:?}", self.singly), format!("{:?}", self.at_once));
    }

    fn picked(&self, pick: usize) -> Option<(RequestId, Attempt)> {
        self.started.get(pick % self.started.len().max(1)).copied()
    }

    fn submit(&mut self, orders: &[Order]) {
        let specs: Vec<RequestSpec> = orders.iter().map(spec).collect();
        let singly: Vec<_> = specs.iter().map(|&spec| self.singly.submit(self.now, spec)).collect();
        for &spec in &specs {
            self.recorder.input(self.now, &Input::Submit(spec)).expect("a string takes everything");
        }
        let mut at_once = Vec::new();
        self.at_once.submit_many(self.now, &specs, &mut at_once);
        assert_eq!(at_once, singly);
    }

    fn complete(&mut self, ends: &[End]) {
        let completions: Vec<Completion> = ends.iter().filter_map(|end| self.completion(end)).collect();
        let mut singly = Vec::new();
        for &Completion { request, attempt, usage } in &completions {
            let input = Input::Complete { request, attempt, usage };
            self.recorder.input(self.now, &input).expect("a string takes everything");
            singly.push(self.singly.complete(self.now, request, attempt, usage));
        }
        let mut at_once = Vec::new();
        self.at_once.complete_many(self.now, &completions, &mut at_once);
        assert_eq!(at_once, singly);
    }

    fn completion(&self, end: &End) -> Option<Completion> {
        let (request, attempt) = self.picked(end.pick)?;
        let attempt = Attempt::new(attempt.get() + end.later);
        let usage = Usage { output_tokens: end.output_tokens, ..Usage::default() };
        Some(Completion { request, attempt, usage })
    }

    /// All that is asked to stop does.
    fn round(&mut self) {
        let mut singly = Vec::new();
        loop {
            self.recorder.poll(self.now).expect("a string takes everything");
            let Some(action) = self.singly.poll(self.now) else { break };
            singly.push(action);
        }
        let mut at_once = Vec::new();
        self.at_once.poll_into(self.now, &mut at_once);
        assert_eq!(at_once, singly);
        for (digest, actions) in self.digests.iter_mut().zip([&singly, &at_once]) {
            actions.iter().for_each(|action| digest.action(self.now, action));
        }
        for action in singly {
            match action {
                Action::Start { request, attempt, .. } => {
                    self.started.retain(|(known, _)| *known != request);
                    self.started.push((request, attempt));
                }
                Action::Preempt { victim, attempt, .. } => {
                    self.both(Input::Preempted {
                        request: victim,
                        attempt,
                        tokens_kept: 0,
                        release: Release::Done,
                    });
                }
                _ => {}
            }
        }
    }
}

fn spec(order: &Order) -> RequestSpec {
    let mut spec = RequestSpec::new(TenantId::new(order.tenant), Tier::new(order.tier)).demand(order.units);
    spec.queue_timeout_ns = order.timeout_ms.map(|ms| ms * 1_000_000);
    spec
}

proptest! {
    /// DET-1: a batch is its single calls, to the last of what is remembered; the journal of these has the same digest.
    #[test]
    fn a_batch_does_what_single_calls_do(config in configs(), steps in steps()) {
        let mut twins = Twins::new(config.build().expect("a valid config"));
        for step in &steps {
            twins.take(step);
        }
        let text = twins.recorder.finish().expect("a string takes everything");
        let replay = Journal::parse(&text).expect("what was written can be read").replay();
        let [singly, at_once] = twins.digests;
        prop_assert_eq!(&replay.digest, &singly);
        prop_assert_eq!(&replay.digest, &at_once);
    }
}

#[test]
fn what_is_refused_keeps_nobody_back_and_results_are_appended() {
    let mut world = World::with_workers(three_tiers(), 1, [4, 100]);
    let good = world.spec(Tier::P1, [1, 10]);
    let stranger = RequestSpec { tenant: TenantId::new(7), ..good };
    let mut submitted = vec![Err(SubmitError::ZeroDemand)];
    world.sched.submit_many(world.now, &[good, stranger, good], &mut submitted);
    let [Err(SubmitError::ZeroDemand), Ok(first), Err(ref refused), Ok(last)] = submitted[..] else {
        panic!("{submitted:?}")
    };
    assert_eq!(*refused, SubmitError::UnknownTenant(TenantId::new(7)));

    let mut actions = Vec::new();
    world.sched.poll_into(world.now, &mut actions);
    assert_eq!(common::starts(&actions), [first, last]);
    world.sched.poll_into(world.now, &mut actions);
    assert_eq!(actions.len(), 2, "nothing more is wanted");

    let end = |request| Completion { request, attempt: Attempt::new(1), usage: Usage::default() };
    let mut completed = vec![Ok(())];
    world.sched.complete_many(world.now, &[end(first), end(first), end(last)], &mut completed);
    assert_eq!(completed, [Ok(()), Ok(()), Err(ReportError::AlreadyTerminal(first)), Ok(())]);
    assert_eq!(world.sched.stats().completed, 2);
    world.check();
}

#[test]
fn an_empty_batch_is_no_call() {
    let mut world = World::with_workers(three_tiers(), 1, [4, 100]);
    world.pass(Duration::from_secs(1));
    let before = format!("{:?}", world.sched);
    world.sched.submit_many(world.now, &[], &mut Vec::new());
    world.sched.complete_many(world.now, &[], &mut Vec::new());
    assert_eq!(format!("{:?}", world.sched), before, "not even time has passed");
}

#[test]
fn a_clock_that_goes_back_is_counted_for_each_item() {
    let mut world = World::with_workers(three_tiers(), 1, [4, 100]);
    let spec = world.spec(Tier::P1, [1, 10]);
    world.sched.poll(Instant::from_nanos(10));
    world.sched.submit_many(Instant::from_nanos(9), &[spec; 3], &mut Vec::new());
    assert_eq!(world.sched.stats().clock_regressions, 3);
    let mut actions = Vec::new();
    world.sched.poll_into(Instant::from_nanos(9), &mut actions);
    assert_eq!(
        (actions.len(), world.sched.stats().clock_regressions),
        (3, 7),
        "three, and the end of the round"
    );
}
