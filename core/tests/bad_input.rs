//! What a host can say wrongly: every row of the contract's table of bad input. A refusal names its reason and
//! leaves the scheduler as it was, to the last field.

mod common;

use std::time::Duration;

use common::{POOL, World, starts, three_tiers};
use tidegate::{
    Action, Affinity, AmendError, Amendment, Attempt, Config, Decline, DeviceId, DeviceSpec, Input,
    InputError, Instant, Limit, MAX_DEVICES, MAX_POOLS, MAX_TOKENS, MAX_UNITS, MAX_WORKERS, Order, Placement,
    PoolId, Ppm, PromptLeft, Rate, Release, ReportError, RequestId, RequestSpec, RequestState, Reserve,
    Resources, Shrink, StepException, StepTime, SubmitError, TenantError, TenantId, TenantPolicy, Tier,
    TierConfig, Usage, WorkerError, WorkerId, WorkerSpec, Yielding,
};

/// Everything that can be said of a request.
fn said_of(request: RequestId, attempt: Attempt, worker: WorkerId) -> Vec<Input> {
    let (usage, amendment) = (Usage::default(), Amendment::default());
    let exception = StepException { request, attempt, output_tokens: 1, in_use: [1, 1].into() };
    vec![
        Input::Started { request, attempt, cached_tokens: 0, in_use: [1, 1].into() },
        Input::Declined { request, attempt, why: Decline::Other },
        Input::Progress { request, attempt, output_tokens: 1, in_use: [1, 1].into() },
        Input::Step { worker, tokens_each: 1, exceptions: [exception].into() },
        Input::Preempted { request, attempt, tokens_kept: 0, release: Release::Done },
        Input::Released { request, attempt },
        Input::Amend { request, amendment },
        Input::Complete { request, attempt, usage },
        Input::Failed { request, attempt },
        Input::Cancel { request },
    ]
}

/// What is wrong with a report, by whatever verb it came.
fn report_error(error: InputError) -> ReportError {
    match error {
        InputError::Report(error)
        | InputError::Amend(AmendError::Report(error))
        | InputError::Worker(WorkerError::Step(error)) => error,
        other => panic!("not of a report: {other}"),
    }
}

/// All of its state but how many were refused, which is counted.
fn state(world: &World) -> String {
    let text = format!("{:?}", world.sched);
    let mut parts = text.split("refused: [");
    let first = parts.next().expect("a text has a first part").to_owned();
    parts.fold(first, |state, part| {
        let (_, rest) = part.split_once(']').expect("counts end");
        state + rest
    })
}

/// Says it, expects a refusal, and that nothing has changed but the count of those.
fn refused(world: &mut World, input: &Input) -> InputError {
    // What the last input left to be noted is noted by the next, whatever comes of it.
    let _ = world.sched.cancel(world.now, RequestId::from_bits(0));
    if let Input::Submit(_) = input {
        // The first refusal of a tenant in a tier makes room for the count of those.
        world.sched.apply(world.now, input).expect_err("it is to be refused");
    }
    let before = state(world);
    let Err(error) = world.sched.apply(world.now, input) else { panic!("accepted: {input:?}") };
    assert_eq!(state(world), before, "{input:?} was refused and changed something");
    world.check();
    error
}

fn one_worker() -> World {
    World::with_workers(three_tiers(), 1, [4, 40])
}

#[test]
fn an_unknown_or_foreign_request_is_refused_by_its_id() {
    let mut world = one_worker();
    let mut other = one_worker();
    let foreign = other.submit_many(3, Tier::P0, [1, 1])[2];
    world.submit(Tier::P0, [1, 1]);
    for id in
        [foreign, RequestId::from_bits(0), RequestId::from_bits(u64::MAX), RequestId::from_bits(7 << 32)]
    {
        for input in said_of(id, Attempt::new(1), WorkerId::new(0)) {
            assert_eq!(
                report_error(refused(&mut world, &input)),
                ReportError::UnknownRequest(id),
                "{input:?}"
            );
        }
    }
}

#[test]
fn a_request_that_ended_stays_ended_when_its_slot_is_used_again() {
    let mut world = one_worker();
    let ended = world.submit(Tier::P0, [1, 1]);
    world.round();
    world.complete(ended);
    world.submit(Tier::P0, [1, 1]);
    for input in said_of(ended, Attempt::new(1), WorkerId::new(0)) {
        assert_eq!(
            report_error(refused(&mut world, &input)),
            ReportError::AlreadyTerminal(ended),
            "{input:?}"
        );
    }
}

#[test]
fn a_report_of_another_attempt_is_stale() {
    let mut world = one_worker();
    let request = world.submit(Tier::P0, [1, 1]);
    world.round();
    world.preempted(request, 0);
    world.round();
    let current = Attempt::new(2);
    for attempt in [0, 1, 3, u32::MAX].map(Attempt::new) {
        for input in said_of(request, attempt, WorkerId::new(0)) {
            if !matches!(input, Input::Amend { .. } | Input::Cancel { .. }) {
                let stale = ReportError::StaleAttempt { request, attempt, current };
                assert_eq!(report_error(refused(&mut world, &input)), stale, "{input:?}");
            }
        }
    }
}

/// A world in which a request of attempt 1 is in this state.
fn in_state(state: RequestState) -> (World, RequestId) {
    let mut world = one_worker();
    let request = world.submit(Tier::P2, [1, 10]);
    world.round();
    if state != RequestState::Starting {
        world.progress(request, 1, [1, 10]);
    }
    match state {
        RequestState::Starting | RequestState::Running => {}
        RequestState::Queued => {
            world.preempted(request, 0);
            world.submit_spec(world.spec(Tier::P0, [4, 40]));
        }
        RequestState::Parked => world.lost(WorkerId::new(0)),
        RequestState::Preempting => {
            world.submit(Tier::P1, [1, 1]);
            world.round();
            let at_once = Shrink::Preempt { after_ns: 0 };
            world
                .sched
                .worker_resize(world.now, WorkerId::new(0), [1, 10].into(), at_once)
                .expect("it is up");
        }
        RequestState::Releasing => {
            world.sched.preempted(world.now, request, Attempt::new(1), 0, Release::Later).expect("it runs");
        }
        RequestState::Aborting => world.progress(request, 2, [1, 41]),
    }
    world.round();
    (world, request)
}

#[test]
fn a_report_out_of_order_is_refused_by_the_state() {
    use RequestState as S;
    let all = [S::Queued, S::Parked, S::Starting, S::Running, S::Preempting, S::Releasing, S::Aborting];
    let on_worker = [S::Starting, S::Running, S::Preempting, S::Aborting].as_slice();
    for state in all {
        for place in 0..10 {
            let (mut world, request) = in_state(state);
            assert_eq!(world.state(request), state, "what the test needs");
            let input = &said_of(request, Attempt::new(1), WorkerId::new(0))[place];
            let taken_in: &[S] = match input {
                Input::Started { .. } => &[S::Starting, S::Preempting, S::Aborting],
                Input::Declined { .. } => &[S::Starting],
                Input::Preempted { .. } => &[S::Starting, S::Running, S::Preempting],
                Input::Released { .. } => &[S::Releasing],
                Input::Amend { .. } => &[S::Queued, S::Parked, S::Starting, S::Running],
                Input::Cancel { .. } => &all,
                _ => on_worker,
            };
            let lost = state == S::Parked && matches!(input, Input::Step { .. });
            if taken_in.contains(&state) {
                world
                    .sched
                    .apply(world.now, input)
                    .unwrap_or_else(|error| panic!("{state}: {input:?}: {error}"));
                world.check();
            } else if !lost {
                let error = report_error(refused(&mut world, input));
                assert_eq!(error, ReportError::WrongState { request, state }, "{input:?}");
            }
        }
    }
}

#[test]
fn the_same_report_twice_is_refused_or_changes_nothing() {
    let mut world = one_worker();
    let worker = WorkerId::new(0);
    let device = world.sched.device_add(world.now, DeviceSpec::default()).expect("a valid device");
    let [running, done, cancelled] = [(); 3].map(|()| world.submit(Tier::P1, [1, 1]));
    world.round();
    let first = Attempt::new(1);
    for (request, place, again) in [
        (running, 0, ReportError::WrongState { request: running, state: RequestState::Running }),
        (done, 7, ReportError::AlreadyTerminal(done)),
        (cancelled, 9, ReportError::AlreadyTerminal(cancelled)),
    ] {
        let input = &said_of(request, first, worker)[place];
        world.sched.apply(world.now, input).unwrap_or_else(|error| panic!("{input:?}: {error}"));
        assert_eq!(report_error(refused(&mut world, input)), again);
    }
    world.progress(running, 5, [1, 2]);
    let _ = world.sched.cancel(world.now, done);
    let before = format!("{:?}", world.sched);
    world.progress(running, 5, [1, 2]);
    assert_eq!(world.sched.tenant_set(world.now, "acme"), Ok(world.tenant));
    assert_eq!(format!("{:?}", world.sched), before);

    let stopped =
        Input::Preempted { request: running, attempt: first, tokens_kept: 0, release: Release::Later };
    let released = Input::Released { request: running, attempt: first };
    for (input, state) in [(stopped, RequestState::Releasing), (released, RequestState::Queued)] {
        world.sched.apply(world.now, &input).expect("it follows");
        let wrong = ReportError::WrongState { request: running, state };
        assert_eq!(report_error(refused(&mut world, &input)), wrong, "{input:?}");
    }
    world.sched.worker_drain(world.now, worker).expect("it is up");
    world.sched.worker_drain(world.now, worker).expect("it drains already");
    let lost = [
        (Input::WorkerLost { worker }, WorkerError::Lost(worker)),
        (Input::DeviceLost { device }, WorkerError::DeviceLost(device)),
    ];
    for (input, again) in lost {
        world.sched.apply(world.now, &input).expect("the first time");
        assert_eq!(refused(&mut world, &input), again.into());
    }
}

#[test]
fn what_can_never_fit_is_refused_for_good_and_by_its_numbers() {
    let mut world = World::new(three_tiers());
    world.submit(Tier::P0, [900, 900]);
    world.worker([4, 40]);
    let never = |dimension, need, max| Err(SubmitError::NeverFits { dimension, need, max });
    let ask = |world: &mut World, demand| {
        let spec = world.spec(Tier::P0, demand);
        world.sched.submit(world.now, spec)
    };
    assert_eq!(ask(&mut world, [5, 1]), never(0, 5, 4));
    assert_eq!(ask(&mut world, [1, 41]), never(1, 41, 40));
    let small = world.worker([1, 1]);
    world.lost(small);
    world.pass(Duration::from_secs(1_000_000));
    world.round();
    assert_eq!(ask(&mut world, [5, 1]), never(0, 5, 4));
    // Another description of the machines is another question.
    world.worker([8, 40]);
    assert!(ask(&mut world, [5, 1]).is_ok());

    let tight = three_tiers().tier(TierConfig::new("tight").reserve_ppm(250_000).borrow_limit([1, 0]));
    let mut world = World::with_workers(tight, 1, [4, 40]);
    let spec = |demand| RequestSpec::new(TenantId::new(0), Tier::new(3)).demand(demand);
    assert_eq!(world.sched.submit(world.now, spec([3, 1])), never(0, 3, 2));
    assert_eq!(world.sched.submit(world.now, spec([1, 11])), never(1, 11, 10));
    assert!(world.sched.submit(world.now, spec([2, 10])).is_ok());
}

#[test]
fn what_fits_a_worker_that_is_away_waits_and_blocks_nobody() {
    let mut world = World::with_workers(three_tiers(), 1, [4, 40]);
    let large = world.worker([8, 80]);
    world.lost(large);
    let wait = Duration::from_secs(60);
    let waiting = world.submit_spec(world.spec(Tier::P0, [8, 80]).queue_timeout(wait));
    let small = world.submit_many(4, Tier::P0, [1, 10]);
    assert_eq!(starts(&world.round()), small);
    assert_eq!(world.state(waiting), RequestState::Parked);
    world.pass(wait - Duration::from_nanos(1));
    assert_eq!(world.round(), []);
    world.pass(Duration::from_nanos(1));
    let [Action::Drop { request, .. }] = world.round()[..] else { panic!("it waited long enough") };
    assert_eq!(request, waiting);
}

#[test]
fn every_wrong_name_of_a_thing_is_refused() {
    let mut world = one_worker();
    let (pool, worker, device) = (PoolId::new(1), WorkerId::new(9), DeviceId::new(9));
    let units = Resources::from([1, 1]);
    let shrink = Shrink::Drain;
    let spec = world.spec(Tier::P0, [1, 1]);
    for (spec, wrong) in [
        (spec.pool(pool), SubmitError::UnknownPool(pool)),
        (RequestSpec { tenant: TenantId::new(7), ..spec }, SubmitError::UnknownTenant(TenantId::new(7))),
        (
            RequestSpec { tier: Tier::new(3), ..spec },
            SubmitError::UnknownTier { tier: Tier::new(3), tiers: 3 },
        ),
        (spec.demand([0, 0]), SubmitError::ZeroDemand),
    ] {
        assert_eq!(refused(&mut world, &Input::Submit(spec)), wrong.into());
    }
    let add = |spec| Input::WorkerAdd(spec);
    let on_unknown = WorkerSpec::new([1]).on(device);
    for (input, wrong) in [
        (add(WorkerSpec::new([1]).pool(pool)), WorkerError::UnknownPool(pool)),
        (add(WorkerSpec::new([0])), WorkerError::ZeroCapacity),
        (add(on_unknown), WorkerError::UnknownDevice(device)),
        (Input::WorkerResize { worker, capacity: units, shrink }, WorkerError::UnknownWorker(worker)),
        (Input::WorkerUsage { worker, in_use: units }, WorkerError::UnknownWorker(worker)),
        (Input::WorkerDrain { worker }, WorkerError::UnknownWorker(worker)),
        (Input::WorkerLost { worker }, WorkerError::UnknownWorker(worker)),
        (Input::Step { worker, tokens_each: 1, exceptions: [].into() }, WorkerError::UnknownWorker(worker)),
        (Input::DeviceResize { device, limit: units, shrink }, WorkerError::UnknownDevice(device)),
        (Input::DeviceLost { device }, WorkerError::UnknownDevice(device)),
    ] {
        assert_eq!(refused(&mut world, &input), wrong.into(), "{input:?}");
    }
    for name in ["", "a\nb", "\u{7f}"] {
        assert_eq!(refused(&mut world, &Input::TenantSet { name: name.into() }), TenantError::BadName.into());
    }
    let other = Config::builder().dimensions(["slots"]).tier(TierConfig::new("x")).build().expect("valid");
    let InputError::Config(error) = refused(&mut world, &Input::Reconfigure { config: Box::new(other) })
    else {
        panic!("of another kind")
    };
    let paths: Vec<_> = error.faults.iter().map(|fault| &*fault.path).collect();
    assert_eq!(paths, ["dimensions", "tiers", "tiers[0]"], "all names at once");
}

#[test]
fn all_faults_of_a_config_are_told_together_with_their_paths() {
    let error = Config::builder()
        .dimensions(["slots", "slots"])
        .pools(["", "a"])
        .confirm_after(Duration::ZERO)
        .drain_after(Duration::ZERO)
        .max_step(Duration::ZERO)
        .max_tenants(0)
        .default_policy(
            TenantPolicy::new()
                .parent(TenantId::new(0))
                .most_urgent(Tier::new(4))
                .tokens(Rate::per_second(1).burst(u64::MAX)),
        )
        .tier(TierConfig::new("a").reserve_ppm(1_000_001).lendable_ppm(u32::MAX).preemption_budget(0))
        .tier(TierConfig::new("a").prefill_share_ppm(u32::MAX).borrow_limit([1, u64::MAX, 1]))
        .tier(TierConfig::new("b\n").reserve_in(3, Reserve::Units(1)).reserve_in(0, Reserve::Units(u64::MAX)))
        .tier(
            TierConfig::new("c")
                .reserve_ppm_in_pool(PoolId::new(2), 1)
                .reserve_ppm_in_pool(PoolId::new(1), 1_000_001)
                .reserve_in_pool(PoolId::new(1), 2, Reserve::Units(1)),
        )
        .build()
        .expect_err("nearly everything is wrong");
    let paths: Vec<_> = error.faults.iter().map(|fault| &*fault.path).collect();
    let expected = [
        "dimensions[1]",
        "pools[0]",
        "tiers[1]",
        "tiers[2]",
        "tiers[0].reserve_ppm",
        "tiers[0].lendable_ppm",
        "tiers[0].preemption_budget",
        "tiers[1].prefill_share_ppm",
        "tiers[1].borrow_limit[1]",
        "tiers[1].borrow_limit[2]",
        "tiers[2].reserve_in[0]",
        "tiers[2].reserve_in[3]",
        "tiers[3].pools.a.reserve_ppm",
        "tiers[3].pools.a.reserve_in[2]",
        "tiers[3].pools[2]",
        "tiers.reserve_ppm",
        "confirm_after",
        "drain_after",
        "max_step",
        "max_tenants",
        "default_policy.parent",
        "default_policy.most_urgent",
        "default_policy.tokens.burst",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn after_a_jump_of_the_clock_a_poll_expires_what_fell_due_within_max_step() {
    let mut world = one_worker();
    let hour = Duration::from_secs(3600);
    world.submit_spec(world.spec(Tier::P0, [4, 40]));
    world.round();
    for seconds in [1, 61, 62, 200] {
        let spec = world.spec(Tier::P1, [1, 1]).queue_timeout(Duration::from_secs(seconds));
        world.submit_spec(spec);
    }
    world.pass(hour);
    let dropped = |world: &World| world.sched.stats().dropped;
    for expected in [2, 3, 4] {
        assert!(world.poll_one().is_some());
        assert_eq!(dropped(&world), expected, "60 s from the first that is due, both ends included");
    }
    assert_eq!(world.round().len(), 1);
    assert_eq!(world.sched.poll_timeout(), None);

    world.now = Instant::from_nanos(u64::MAX);
    world.submit(Tier::P0, [1, 1]);
    assert_eq!(world.round(), [], "nothing overflows at the end of time");
    world.now = Instant::ZERO;
    let before = world.sched.stats().clock_regressions;
    world.round();
    assert_eq!(world.sched.stats().clock_regressions, before + 1);
}

/// Every verb with this number wherever it takes one, in a world where the request runs on the worker.
fn inputs_with(number: u64, request: RequestId, attempt: Attempt, worker: WorkerId) -> Vec<Input> {
    let units = Resources::from([number; 2]);
    let (device, shrink) = (DeviceId::new(0), Shrink::Preempt { after_ns: number });
    let deadline = Some(Instant::from_nanos(number));
    let spec = RequestSpec {
        cached_tokens: number,
        output_tokens: Some(number),
        deadline,
        queue_timeout_ns: Some(number),
        tag: number,
        ..RequestSpec::new(TenantId::new(0), Tier::P1).demand([1, 1]).peak([1, 1]).prompt_tokens(number)
    };
    let amend = |demand, peak| {
        let amendment = Amendment { demand, peak, tier: Some(Tier::P0), deadline };
        Input::Amend { request, amendment }
    };
    let part = WorkerSpec::new([4, 4]).on_part(device, Ppm::new(number as u32));
    let exception = StepException { request, attempt, output_tokens: number, in_use: [1, 1].into() };
    let usage = Usage { prompt_tokens: number, cached_tokens: number, output_tokens: number };
    vec![
        Input::DeviceAdd(DeviceSpec { limit: units, checkpoint_mib: Some(number) }),
        Input::DeviceAdd(DeviceSpec { limit: [1, 1].into(), checkpoint_mib: Some(number) }),
        Input::DeviceResize { device, limit: units, shrink },
        Input::DeviceResize { device, limit: [1, 1].into(), shrink },
        Input::WorkerAdd(WorkerSpec::new(units)),
        Input::WorkerAdd(part),
        Input::WorkerResize { worker, capacity: units, shrink },
        Input::WorkerResize { worker, capacity: [1, 1].into(), shrink },
        Input::WorkerUsage { worker, in_use: units },
        Input::Submit(spec),
        Input::Submit(spec.demand(units).peak(units)),
        Input::Submit(RequestSpec { prompt_tokens: 5, output_tokens: None, ..spec }),
        Input::Submit(RequestSpec { prompt_tokens: 5, cached_tokens: 5, output_tokens: None, ..spec }),
        amend(None, None),
        amend(Some(units), None),
        amend(None, Some(units)),
        Input::Step { worker, tokens_each: number, exceptions: [].into() },
        Input::Step { worker, tokens_each: 1, exceptions: [exception].into() },
        Input::Started { request, attempt, cached_tokens: number, in_use: [1, 1].into() },
        Input::Progress { request, attempt, output_tokens: number, in_use: [1, 1].into() },
        Input::Progress { request, attempt, output_tokens: 1, in_use: units },
        Input::Preempted { request, attempt, tokens_kept: number, release: Release::Done },
        Input::Complete { request, attempt, usage },
    ]
}

/// A world with all kinds of machines and requests, and one of those that run.
fn busy(config: tidegate::ConfigBuilder) -> (World, RequestId) {
    let mut world = World::new(config);
    world.sched.device_add(world.now, DeviceSpec::default()).expect("a valid device");
    world.sched.worker_add(world.now, WorkerSpec::new([4, 40]).on(DeviceId::new(0))).expect("valid");
    for tier in [Tier::P2, Tier::P1, Tier::P2, Tier::P0, Tier::P0, Tier::P2] {
        let spec = world.spec(tier, [1, 10]).output_tokens(100).yielding(Yielding::Checkpoint);
        world.submit_spec(spec);
    }
    let running = starts(&world.round())[0];
    world.progress(running, 1, [1, 10]);
    (world, running)
}

/// Lets things take their course, to the end of time if need be.
fn go_on(world: &mut World) {
    for _ in 0..20 {
        world.round();
        for request in world.submitted.clone() {
            let why = world.sched.explain(request);
            assert_eq!(why.is_ok(), world.sched.state(request).is_ok());
        }
        let prompts: Vec<_> =
            world.running.keys().map(|&request| PromptLeft { request, tokens: u64::MAX }).collect();
        let _ = world.sched.step_plan(WorkerId::new(0), u64::MAX, &prompts);
        if !world.jump() {
            break;
        }
    }
    assert!(world.sched.share_warnings().len() <= 3 * 2, "at most one for each tier and dimension");
}

const NUMBERS: [u64; 8] =
    [0, 1, MAX_UNITS - 1, MAX_UNITS, MAX_UNITS + 1, i64::MAX as u64, u64::MAX - 1, u64::MAX];

#[test]
fn every_number_of_every_verb_may_be_the_largest_there_is() {
    const { assert!(MAX_UNITS == MAX_TOKENS, "NUMBERS are around both") };
    for number in NUMBERS {
        let (world, request) = busy(three_tiers());
        let verbs = inputs_with(number, request, world.attempt(request), WorkerId::new(0)).len();
        for place in 0..verbs {
            let (mut world, request) = busy(three_tiers());
            let attempt = world.attempt(request);
            let input = &inputs_with(number, request, attempt, WorkerId::new(0))[place];
            if let Err(error) = world.sched.apply(world.now, input) {
                assert!(!error.to_string().is_empty());
            }
            world.running.retain(|&request, _| world.sched.state(request).is_ok_and(runs));
            world.check();
            go_on(&mut world);
        }
    }
}

fn runs(state: RequestState) -> bool {
    !matches!(state, RequestState::Queued | RequestState::Parked)
}

#[test]
fn what_is_beyond_a_limit_is_told_with_the_limit() {
    let (mut world, request) = busy(three_tiers());
    let (attempt, worker, device) = (world.attempt(request), WorkerId::new(0), DeviceId::new(0));
    let beyond = Resources::from([1, MAX_UNITS + 1]);
    let spec = world.spec(Tier::P0, [1, 1]);
    let tokens = MAX_TOKENS + 1;
    let usage = Usage { output_tokens: tokens, ..Usage::default() };
    for (input, limit, max) in [
        (Input::Submit(spec.demand(beyond)), Limit::Units, MAX_UNITS),
        (Input::Submit(spec.prompt_tokens(tokens)), Limit::Tokens, MAX_TOKENS),
        (Input::Submit(spec.output_tokens(tokens)), Limit::Tokens, MAX_TOKENS),
        (Input::Submit(spec.demand([1, 1, 1])), Limit::Units, 0),
        (Input::WorkerAdd(WorkerSpec::new(beyond)), Limit::Units, MAX_UNITS),
        (Input::WorkerUsage { worker, in_use: beyond }, Limit::Units, MAX_UNITS),
        (Input::DeviceResize { device, limit: beyond, shrink: Shrink::Drain }, Limit::Units, MAX_UNITS),
        (Input::Step { worker, tokens_each: tokens, exceptions: [].into() }, Limit::Tokens, MAX_TOKENS),
        (Input::Progress { request, attempt, output_tokens: 1, in_use: beyond }, Limit::Units, MAX_UNITS),
        (Input::Complete { request, attempt, usage }, Limit::Tokens, MAX_TOKENS),
        (Input::TenantSet { name: "x".repeat(256).into() }, Limit::NameBytes, 255),
    ] {
        let told = match refused(&mut world, &input) {
            InputError::Submit(SubmitError::LimitExceeded { limit, max })
            | InputError::Report(ReportError::LimitExceeded { limit, max })
            | InputError::Worker(WorkerError::LimitExceeded { limit, max })
            | InputError::Tenant(TenantError::LimitExceeded { limit, max }) => (limit, max),
            other => panic!("{input:?}: {other}"),
        };
        assert_eq!(told, (limit, max), "{input:?}");
    }
}

#[test]
fn every_setting_may_be_the_largest_there_is() {
    let ever = Duration::from_nanos(u64::MAX);
    for order in [
        Order::Fair,
        Order::DeficitLongestPrefix,
        Order::Fifo,
        Order::Deadline,
        Order::ShortestFirst,
        Order::HybridDeadline,
    ] {
        let tier = |name: &str, ppm| {
            let tier = TierConfig::new(name).reserve_ppm(ppm).lendable_ppm(1_000_000).hold_window(ever);
            let tier = tier.borrow_limit([MAX_UNITS; 2]).preemption_budget(1_000_000_000).order(order);
            let tier = tier.deadline_token_weight(ever).age_after(ever).prefill_share_ppm(1_000_000);
            tier.token_objective(ever).queue_limit(u64::MAX).queue_token_limit(u64::MAX).queue_timeout(ever)
        };
        let config = Config::builder()
            .dimensions(["slots", "kv_blocks"])
            .tier(tier("a", 0).reserve_in(0, Reserve::Units(MAX_UNITS)))
            .tier(tier("b", 500_000))
            .tier(tier("c", 500_000))
            .placement(Placement::PrefixAffinity)
            .affinity(
                Affinity::new(9)
                    .block_tokens(u32::MAX)
                    .load_tokens(u32::MAX)
                    .imbalance_ppm(u32::MAX)
                    .wait(ever),
            )
            .min_run(ever)
            .max_preemptions(u32::MAX)
            .confirm_after(ever)
            .max_bypass(u32::MAX)
            .drain_after(ever)
            .decline_backoff(ever)
            .step_time(StepTime::new(ever, ever, ever))
            .stop_takes(ever)
            .swap_token(ever)
            .checkpoint_kib_per_token(u32::MAX)
            .max_step(ever)
            .queue_limit(u64::MAX)
            .queue_token_limit(u64::MAX)
            .tenant_queue_limit(u64::MAX)
            .tenant_queue_token_limit(u64::MAX)
            .max_tenants(u32::MAX);
        let (mut world, running) = busy(config.clone());
        for tokens in [MAX_TOKENS, 0] {
            let spec = world.spec(Tier::P1, [1, 1]).prompt_tokens(tokens).output_tokens(tokens);
            world.submit_spec(RequestSpec { deadline: Some(Instant::from_nanos(u64::MAX)), ..spec });
        }
        world.progress(running, MAX_TOKENS, [1, 40]);
        let same = config.build().expect("valid");
        world.sched.reconfigure(world.now, same).expect("the same names");
        go_on(&mut world);
    }
}

#[test]
fn tokens_of_steps_never_overflow() {
    let (mut world, running) = busy(three_tiers());
    for _ in 0..(1 << 24) + 1 {
        world.sched.step(world.now, WorkerId::new(0), MAX_TOKENS, &[]).expect("it is up");
    }
    world.check();
    world.complete(running);
    go_on(&mut world);
}

#[test]
fn a_million_tenants() {
    let mut world = one_worker();
    let name = |number: u32| format!("tenant {number}");
    for number in 1..1 << 20 {
        let tenant = world.sched.tenant_set(world.now, &name(number)).expect("there is room");
        assert_eq!(tenant.get(), number);
    }
    assert_eq!(world.sched.tenant_set(world.now, &name(777_777)), Ok(TenantId::new(777_777)));
    assert_eq!(world.sched.tenant_set(world.now, &name(0)), Ok(TenantId::new(1 << 20)), "for the first");
    assert_eq!(world.sched.usage(world.tenant), Err(TenantError::Unknown(world.tenant)));
}

#[test]
fn a_million_waiting_requests() {
    const MILLION: usize = 1_000_000;
    let mut world = one_worker();
    let ids: Vec<_> = (0..MILLION)
        .map(|number| {
            let spec = world.spec(Tier::new((number % 3) as u8), [1, 10]).output_tokens(number as u64);
            world.sched.submit(world.now, spec.queue_timeout(Duration::from_secs(number as u64))).expect("ok")
        })
        .collect();
    let depth = |world: &World| [Tier::P0, Tier::P1, Tier::P2].map(|tier| world.sched.queue_depth(tier));
    assert_eq!(depth(&world).iter().sum::<usize>(), MILLION);
    world.pass(Duration::from_nanos(1));
    let mut running = Vec::new();
    while let Some(action) = world.sched.poll(world.now) {
        if let Action::Start { request, attempt, .. } = action {
            running.push((request, attempt));
        }
    }
    assert_eq!(running.len(), 4);
    for (request, attempt) in running {
        world.sched.complete(world.now, request, attempt, Usage::default()).expect("it starts");
    }
    for &id in ids.iter().rev().take(MILLION - 20) {
        world.sched.cancel(world.now, id).expect("it waits");
    }
    world.check();
    assert!(depth(&world).iter().sum::<usize>() < 20);
}

#[test]
fn as_many_workers_as_there_may_be() {
    let pools = || (0..MAX_POOLS as u64).map(|number| number.to_string());
    let mut world = World::new(three_tiers().pools(pools()));
    for number in 0..MAX_WORKERS {
        let pool = PoolId::new((number % MAX_POOLS as u64) as u32);
        let worker =
            world.sched.worker_add(world.now, WorkerSpec::new([1, 1]).pool(pool)).expect("there is room");
        assert_eq!(u64::from(worker.get()), number);
    }
    let full = WorkerError::LimitExceeded { limit: Limit::Workers, max: MAX_WORKERS };
    assert_eq!(world.sched.worker_add(world.now, WorkerSpec::new([1, 1])), Err(full));
    let last = world.spec(Tier::P0, [1, 1]).pool(PoolId::new(MAX_POOLS as u32 - 1));
    let id = world.submit_spec(last);
    assert_eq!(starts(&world.round()), [id]);
}

#[test]
fn as_many_devices_as_there_may_be() {
    let mut world = one_worker();
    for number in 0..MAX_DEVICES {
        let device = world.sched.device_add(world.now, DeviceSpec::default()).expect("there is room");
        assert_eq!(u64::from(device.get()), number);
    }
    let full = WorkerError::LimitExceeded { limit: Limit::Devices, max: MAX_DEVICES };
    assert_eq!(world.sched.device_add(world.now, DeviceSpec::default()), Err(full));
}

#[test]
fn a_pool_may_have_more_units_than_a_request_may_ask_for() {
    const WORKERS: u64 = 1 << 10;
    let mut world = World::with_workers(three_tiers(), WORKERS as usize, [MAX_UNITS; 2]);
    for tier in [Tier::P0, Tier::P1, Tier::P2] {
        world.submit_many(100, tier, [MAX_UNITS; 2]);
    }
    assert_eq!(starts(&world.round()).len(), 300);
    let used = Resources::from([100 * MAX_UNITS; 2]);
    assert_eq!(world.sched.in_use(POOL, Tier::P1), Some(used));
    let reserve = Resources::from([(3 * WORKERS * MAX_UNITS).div_ceil(10); 2]);
    assert_eq!(world.sched.effective_reserve(POOL, Tier::P0), Some(reserve));
    assert_eq!(world.sched.share_warnings(), [], "thirty percent of them, to the unit");
}
