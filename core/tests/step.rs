//! `step`, one report for all that runs on a worker, and `step_plan`, who computes what in the next step.

mod common;

use std::time::Duration;

use common::{POOL, World, three_tiers, victims};
use tidegate::{
    Attempt, Config, ConfigBuilder, PromptLeft, Reason, ReportError, RequestId, RequestState, StepException,
    StepTime, Tier, TierConfig, WorkerError, WorkerId,
};

const W0: WorkerId = WorkerId::new(0);

fn started(world: &mut World, id: RequestId) {
    let (attempt, in_use) = (world.attempt(id), [1, 10].into());
    world.sched.started(world.now, id, attempt, 0, in_use).expect("it starts");
    world.check();
}

/// Submits one, which starts and runs.
fn runs(world: &mut World, tier: Tier) -> RequestId {
    let id = world.submit(tier, [1, 10]);
    world.round();
    started(world, id);
    id
}

fn step(world: &mut World, tokens_each: u64, exceptions: &[StepException]) {
    world.sched.step(world.now, W0, tokens_each, exceptions).expect("all run there");
    world.check();
}

fn exception(world: &World, request: RequestId, output_tokens: u64, blocks: u64) -> StepException {
    let (attempt, in_use) = (world.attempt(request), [1, blocks].into());
    StepException { request, attempt, output_tokens, in_use }
}

/// Two tiers of which the first is guaranteed everything, and a worker with two slots.
fn two_slots() -> World {
    let tier = |name: &str| TierConfig::new(name).hold_window(Duration::ZERO);
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(tier("urgent").reserve_ppm(1_000_000))
        .tier(tier("batch").prefill_share_ppm(1_000_000))
        .min_run(Duration::ZERO);
    World::with_workers(config, 1, [2, 100])
}

/// Who of two that run alike yields: the one with less to lose, and the first of equals.
fn yields(world: &mut World) -> RequestId {
    world.submit(Tier::P0, [1, 10]);
    let [victim] = victims(&world.round())[..] else { panic!("one yields") };
    victim
}

#[test]
fn a_step_counts_for_everyone_on_the_worker_but_those_named() {
    let mut world = two_slots();
    let [first, second] = [0, 1].map(|_| runs(&mut world, Tier::P1));
    let named = exception(&world, second, 49, 10);
    step(&mut world, 50, &[named]);
    assert_eq!(yields(&mut world), second, "49 tokens to lose, and not 50");
    assert_eq!(world.state(first), RequestState::Running);
}

#[test]
fn a_step_does_not_count_for_what_has_not_reported() {
    let mut world = two_slots();
    runs(&mut world, Tier::P1);
    let late = world.submit(Tier::P1, [1, 10]);
    world.round();
    step(&mut world, 50, &[]);
    started(&mut world, late);
    assert_eq!(yields(&mut world), late);
}

#[test]
fn steps_count_on_top_of_the_last_progress() {
    for (of_second, expected) in [(52, 1), (53, 0)] {
        let mut world = two_slots();
        let both = [0, 1].map(|_| runs(&mut world, Tier::P1));
        world.progress(both[0], 33, [1, 10]);
        step(&mut world, 15, &[]);
        let named = exception(&world, both[1], of_second, 10);
        step(&mut world, 5, &[named]);
        assert_eq!(yields(&mut world), both[expected], "53 tokens against {of_second}");
    }
}

#[test]
fn what_is_named_reports_its_units_too() {
    let mut world = two_slots();
    let [first, second] = [0, 1].map(|_| runs(&mut world, Tier::P1));
    let named = exception(&world, first, 1, 90);
    step(&mut world, 1, &[named]);
    assert_eq!(world.sched.in_use(POOL, Tier::P1), Some([2, 100].into()));
    assert_eq!(world.round(), []);
    let named = exception(&world, first, 2, 91);
    step(&mut world, 1, &[named]);
    assert_eq!(world.round(), [world.preempt(second, None, Reason::OutOfMemory)]);
}

/// Five steps of 10 ns are left of one that takes 50 ns to stop, and then four.
#[test]
fn steps_bring_the_end_near_and_who_is_nearly_done_does_not_yield() {
    let nanos = Duration::from_nanos;
    for (tokens, stops) in [(15, true), (16, false)] {
        let config = Config::builder()
            .dimensions(["slots", "kv_blocks"])
            .tier(TierConfig::new("urgent"))
            .tier(TierConfig::new("batch"))
            .min_run(Duration::ZERO)
            .step_time(StepTime::new(nanos(8), nanos(1), nanos(2)))
            .stop_takes(nanos(50));
        let mut world = World::with_workers(config, 1, [1, 100]);
        let batch = world.submit_spec(world.spec(Tier::P1, [1, 10]).output_tokens(20));
        world.round();
        started(&mut world, batch);
        step(&mut world, tokens, &[]);
        let urgent = world.submit(Tier::P0, [1, 10]);
        let asked = world.preempt(batch, Some(urgent), Reason::Urgent);
        let expected = if stops { vec![asked] } else { Vec::new() };
        assert_eq!(world.round(), expected, "after {tokens} of 20 tokens");
    }
}

#[test]
fn a_step_with_one_wrong_name_counts_for_nobody() {
    let mut world = two_slots();
    let both = [0, 1].map(|_| runs(&mut world, Tier::P1));
    let waits = world.submit(Tier::P1, [1, 10]);
    let right = exception(&world, both[1], 7, 80);
    let wrong = StepException { request: waits, attempt: Attempt::new(0), ..right };
    let refused = world.sched.step(world.now, W0, 50, &[right, wrong]);
    let state = RequestState::Queued;
    assert_eq!(refused, Err(WorkerError::Step(ReportError::WrongState { request: waits, state })));
    world.check();
    assert_eq!(world.sched.in_use(POOL, Tier::P1), Some([2, 20].into()));
    assert_eq!(yields(&mut world), both[0], "both have as much to lose as before");
}

#[test]
fn a_step_of_a_request_on_another_worker_is_refused() {
    let mut world = two_slots();
    runs(&mut world, Tier::P1);
    runs(&mut world, Tier::P1);
    world.worker([1, 100]);
    let elsewhere = runs(&mut world, Tier::P1);
    let named = exception(&world, elsewhere, 1, 10);
    let refused = world.sched.step(world.now, W0, 1, &[named]);
    assert_eq!(refused, Err(WorkerError::NotHere { request: elsewhere, worker: W0 }));
}

/// Tokens of a step of at most `tokens`, for prompts of which so many tokens are left.
fn plan(world: &World, tokens: u64, prompts: &[(RequestId, u64)]) -> Vec<u64> {
    let left = |&(request, tokens): &(RequestId, u64)| PromptLeft { request, tokens };
    let prompts: Vec<_> = prompts.iter().map(left).collect();
    let planned = world.sched.step_plan(W0, tokens, &prompts).expect("all are there");
    assert!(planned.iter().map(|part| part.request).eq(prompts.iter().map(|part| part.request)));
    planned.iter().map(|part| part.tokens).collect()
}

fn engine(config: ConfigBuilder) -> World {
    World::with_workers(config, 1, [10, 1000])
}

#[test]
fn everyone_who_runs_and_is_not_named_takes_one_token_first() {
    let mut world = engine(three_tiers());
    let prompt = runs(&mut world, Tier::P0);
    let [stopped, _, _] = [0, 1, 2].map(|_| runs(&mut world, Tier::P2));
    assert_eq!(plan(&world, 10, &[(prompt, 100)]), [7]);
    assert_eq!(plan(&world, 10, &[(prompt, 5)]), [5]);
    assert_eq!(plan(&world, 3, &[(prompt, 100)]), [0]);
    assert_eq!(plan(&world, 2, &[(prompt, 100)]), [0], "fewer tokens than requests");
    world.submit(Tier::P2, [1, 10]);
    world.round();
    assert_eq!(plan(&world, 10, &[(prompt, 100)]), [7], "one that only starts takes none");
    world.preempted(stopped, 0);
    assert_eq!(plan(&world, 10, &[(prompt, 100)]), [8]);
}

#[test]
fn who_is_to_stop_takes_no_token() {
    let mut world = two_slots();
    let [victim, prompt] = [0, 1].map(|_| runs(&mut world, Tier::P1));
    assert_eq!(plan(&world, 10, &[(prompt, 100)]), [9]);
    let urgent = world.submit(Tier::P0, [1, 10]);
    assert_eq!(world.round(), [world.preempt(victim, Some(urgent), Reason::Reclaim)]);
    assert_eq!(plan(&world, 10, &[(prompt, 100)]), [10]);
    world.sched.cancel(world.now, urgent).expect("it waits");
    assert_eq!(plan(&world, 10, &[(prompt, 100)]), [9], "it is spared");
}

#[test]
fn prompts_are_computed_by_tier_then_by_start_then_by_arrival() {
    let tier = |name: &str| TierConfig::new(name).prefill_share_ppm(1_000_000);
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(tier("a")).tier(tier("b"));
    let mut world = engine(config);
    let [first, second] = [0, 1].map(|_| runs(&mut world, Tier::P1));
    world.pass(Duration::from_secs(1));
    let urgent = runs(&mut world, Tier::P0);
    let prompts = [(second, 30), (first, 30), (urgent, 50)];
    assert_eq!(plan(&world, 100, &prompts), [20, 30, 50]);
    world.preempted(first, 0);
    world.round();
    assert_eq!(plan(&world, 100, &prompts), [30, 20, 50], "it started anew, and later");
}

#[test]
fn prompts_have_the_whole_step_while_nobody_more_urgent_waits_or_computes() {
    let mut world = engine(three_tiers());
    let both = [0, 1].map(|_| runs(&mut world, Tier::P1));
    let prompts = both.map(|id| (id, 60));
    assert_eq!(plan(&world, 100, &prompts), [60, 40]);
    world.submit(Tier::P2, [1, 10]);
    assert_eq!(plan(&world, 100, &prompts), [60, 40], "one that is less urgent waits");
}

#[test]
fn prompts_share_a_quarter_while_someone_more_urgent_waits() {
    let mut world = engine(three_tiers());
    let near = runs(&mut world, Tier::P1);
    let batch = [0, 1].map(|_| runs(&mut world, Tier::P2));
    runs(&mut world, Tier::P2);
    world.submit(Tier::P0, [1, 10]);
    let prompts = [(batch[0], 20), (batch[1], 20), (near, 60)];
    assert_eq!(plan(&world, 100, &prompts), [20, 5, 25], "a quarter of 100 for each tier, decodes aside");
    assert_eq!(plan(&world, 11, &prompts), [2, 0, 2], "rounded down");
}

#[test]
fn prompts_share_a_quarter_while_someone_more_urgent_computes_a_prompt() {
    let mut world = engine(three_tiers());
    let urgent = runs(&mut world, Tier::P0);
    let batch = [0, 1].map(|_| runs(&mut world, Tier::P2));
    assert_eq!(plan(&world, 100, &[(urgent, 10), (batch[0], 60), (batch[1], 60)]), [10, 25, 0]);
    assert_eq!(plan(&world, 100, &[(urgent, 90), (batch[0], 60), (batch[1], 60)]), [90, 10, 0]);
    assert_eq!(plan(&world, 100, &[(batch[0], 60), (batch[1], 60)]), [60, 39], "it generates");
}

#[test]
fn what_is_parked_does_not_count_as_waiting() {
    let mut world = World::new(three_tiers());
    let large = world.submit(Tier::P0, [11, 10]);
    world.worker([10, 1000]);
    let batch = runs(&mut world, Tier::P2);
    assert_eq!(world.state(large), RequestState::Parked);
    assert_eq!(plan(&world, 100, &[(batch, 200)]), [100]);
}

/// A step takes 10 ms, 1 ms for each token that is generated, and 0.1 ms for each of a prompt.
fn timed(first: Option<u64>, second: Option<u64>) -> World {
    let millis = Duration::from_millis;
    let tier = |name: &str, objective: Option<u64>| {
        let tier = TierConfig::new(name).prefill_share_ppm(1_000_000);
        objective.map_or(tier.clone(), |objective| tier.token_objective(millis(objective)))
    };
    let config = Config::builder().dimensions(["slots", "kv_blocks"]);
    let model = StepTime::new(millis(10), Duration::from_micros(100), millis(1));
    engine(config.tier(tier("a", first)).tier(tier("b", second)).step_time(model))
}

#[test]
fn a_step_is_cut_to_the_least_objective_of_those_who_generate() {
    let mut world = timed(Some(15), Some(20));
    let prompt = runs(&mut world, Tier::P0);
    assert_eq!(plan(&world, 500, &[(prompt, 900)]), [500], "nobody generates");
    runs(&mut world, Tier::P1);
    assert_eq!(plan(&world, 500, &[(prompt, 900)]), [90], "10 + 1 + 9 of 20 ms");
    runs(&mut world, Tier::P1);
    assert_eq!(plan(&world, 500, &[(prompt, 900)]), [80], "10 + 2 + 8 of 20 ms");
    assert_eq!(plan(&world, 50, &[(prompt, 900)]), [48], "the engine computes no more");
    runs(&mut world, Tier::P0);
    assert_eq!(plan(&world, 500, &[(prompt, 900)]), [20], "10 + 3 + 2 of 15 ms");
}

#[test]
fn a_step_that_takes_too_long_without_prompts_has_none() {
    let mut world = timed(None, Some(11));
    let prompt = runs(&mut world, Tier::P0);
    runs(&mut world, Tier::P1);
    assert_eq!(plan(&world, 500, &[(prompt, 900)]), [0], "10 + 1 of 11 ms");
    runs(&mut world, Tier::P1);
    assert_eq!(plan(&world, 500, &[(prompt, 900)]), [0], "10 + 2 of 11 ms");
}

#[test]
fn without_a_model_or_an_objective_a_step_is_not_cut() {
    let mut world = timed(Some(1), None);
    let prompt = runs(&mut world, Tier::P1);
    runs(&mut world, Tier::P1);
    assert_eq!(plan(&world, 500, &[(prompt, 900)]), [499], "no objective of who generates");
    let tier = TierConfig::new("only").token_objective(Duration::from_nanos(1));
    let mut world = engine(Config::builder().dimensions(["slots", "kv_blocks"]).tier(tier));
    let prompt = runs(&mut world, Tier::P0);
    runs(&mut world, Tier::P0);
    assert_eq!(plan(&world, 500, &[(prompt, 900)]), [499], "no model");
}

#[test]
fn a_plan_is_of_the_requests_on_the_worker() {
    let mut world = two_slots();
    let ended = runs(&mut world, Tier::P1);
    world.complete(ended);
    let waits = world.submit(Tier::P1, [1, 10]);
    let of = |request| world.sched.step_plan(W0, 10, &[PromptLeft { request, tokens: 1 }]);
    assert_eq!(of(waits), Err(WorkerError::NotHere { request: waits, worker: W0 }));
    assert_eq!(of(ended), Err(WorkerError::Step(ReportError::AlreadyTerminal(ended))));
    let nowhere = WorkerId::new(1);
    assert_eq!(world.sched.step_plan(nowhere, 10, &[]), Err(WorkerError::UnknownWorker(nowhere)));
}
