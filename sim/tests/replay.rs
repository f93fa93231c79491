//! Replays of small workloads whose outcome is known, of the built-in one, and of the published traces.

use tidegate::{Config, ConfigBuilder, Journal, TierConfig};
use tidegate_sim::machine::Machine;
use tidegate_sim::model::{Batching, DEFAULT_MODEL, Load, ServiceModel};
use tidegate_sim::replay::{Outcome, ReplayOptions, replay};
use tidegate_sim::setup::{Setup, SetupKind, default_config};
use tidegate_sim::sizing::default_workers;
use tidegate_sim::trace::{self, LoadOptions, TraceRequest, TraceSpec, Work, Workload};
use tidegate_sim::whole_file::WholeFile;

const MS: u64 = 1_000_000;
const S: u64 = 1_000_000_000;

fn model() -> &'static ServiceModel {
    ServiceModel::by_id(DEFAULT_MODEL).expect("the default is one of them")
}

fn engine() -> Machine {
    Machine::of(model())
}

/// An engine of the default model with so much memory.
fn small_engine(slots: u32, kv_blocks: u32) -> Machine {
    Machine::Engine {
        model: model(),
        batching: Batching::Chunked { tokens: 512, prompts: 4 },
        slots,
        kv_blocks,
    }
}

fn request(arrival_ns: u64, tier: u8, prompt: u32, output: u32) -> TraceRequest {
    TraceRequest { arrival_ns, tier, tenant: 0, work: Work::Tokens { prompt, output } }
}

fn job(arrival_ns: u64, tier: u8, gpu_milli: u64, duration_ns: u64) -> TraceRequest {
    TraceRequest { arrival_ns, tier, tenant: 0, work: Work::Job { gpu_milli, duration_ns } }
}

fn workload(requests: Vec<TraceRequest>) -> Workload {
    Workload { requests, tenants: vec!["acme".into()], sources: Vec::new() }
}

fn run_checked(
    kind: SetupKind,
    machine: Machine,
    workers: usize,
    load: &Workload,
    config: &Config,
) -> Outcome {
    let setup = Setup::new(kind, machine, workers, load, config).expect("the set-up goes with the workload");
    let options = ReplayOptions { check: true, ..ReplayOptions::default() };
    replay(load, &setup, machine, options).unwrap_or_else(|error| panic!("{}: {error}", kind.name())).0
}

fn run(kind: SetupKind, machine: Machine, workers: usize, load: &Workload) -> Outcome {
    let setup = Setup::new(kind, machine, workers, load, &default_config(machine)).expect("as above");
    let replayed = replay(load, &setup, machine, ReplayOptions::default());
    replayed.unwrap_or_else(|error| panic!("{}: {error}", kind.name())).0
}

/// All that has to be the same on every run.
fn lasting(outcome: &Outcome) -> String {
    let Outcome { tiers, simulated_ns, actions, actions_digest, .. } = outcome;
    let rates = (outcome.utilisation, outcome.utilisation_while_backlogged, outcome.guarantee_pressure);
    format!("{tiers:?} {simulated_ns} {actions} {actions_digest} {rates:?}")
}

fn assert_accounted(outcome: &Outcome, submitted: usize) {
    let c = outcome.counts();
    assert_eq!(c.submitted, submitted as u64);
    assert_eq!(c.submitted, c.completed + c.dropped + c.failed + c.cancelled + c.live, "{c:?}");
    assert_eq!(c.live, 0, "all that was submitted has ended: {c:?}");
}

#[test]
fn a_single_request_takes_what_the_model_says() {
    let load = workload(vec![request(5 * S, 0, 512, 3)]);
    let outcome = run_checked(SetupKind::Tidegate, engine(), 1, &load, &default_config(engine()));
    let first =
        model().iteration_ns(&Load { prefill_tokens: 512, prefill_squares: 512 * 512, ..Load::default() });
    let decode = |context| {
        model().iteration_ns(&Load { decode_tokens: 1, decode_context: context, ..Load::default() })
    };
    let tier = &outcome.tiers[0];
    assert_eq!(tier.queue_delay.p99, Some(0));
    assert_eq!(tier.ttft.p50, Some(first));
    assert_eq!(tier.tpot.p50, Some((decode(512) + decode(513)) / 2));
    assert_eq!(outcome.simulated_ns, 5 * S + first + decode(512) + decode(513));
    assert_eq!(tier.output_tokens, 3);
    let busy = (first + decode(512) + decode(513)) as f64;
    assert!((outcome.utilisation - busy / outcome.simulated_ns as f64).abs() < 1e-12);
    // 20 of 64 slots and 2,458 of 8,192 blocks are 30 %, rounded up.
    assert_eq!(outcome.guarantee_pressure, Some(1.0 / 20.0));
    assert_accounted(&outcome, 1);
}

#[test]
fn an_urgent_request_waits_for_one_iteration_and_no_more() {
    // Batch fills both slots of the worker; the urgent one comes when that has run for longer than `min_run`.
    let mut requests: Vec<_> = (0..4).map(|_| request(0, 2, 256, 400)).collect();
    requests.push(request(4 * S, 0, 100, 5));
    let machine = small_engine(2, 8_192);
    let outcome = run_checked(SetupKind::Tidegate, machine, 1, &workload(requests), &default_config(machine));
    assert_eq!(outcome.tiers[2].preemptions, 1);
    assert!(outcome.tiers[2].recomputed_tokens > 256);
    let delay = outcome.tiers[0].queue_delay.max.expect("it ran");
    assert!(delay > 0 && delay < 20 * MS, "{delay} ns is not one iteration of two decodes");
    assert!(outcome.utilisation_while_backlogged > Some(0.99));
    assert_accounted(&outcome, 5);
}

#[test]
fn memory_pressure_stops_the_newest_and_everything_still_completes() {
    let requests: Vec<_> = (0..24).map(|n| request(n * 100 * MS, (n % 3) as u8, 96, 150)).collect();
    let load = workload(requests);
    let machine = small_engine(16, 64);
    let config = default_config(machine);
    for (kind, workers) in [(SetupKind::Naive, 1), (SetupKind::Tidegate, 1), (SetupKind::Dedicated, 3)] {
        let outcome = run_checked(kind, machine, workers, &load, &config);
        assert_accounted(&outcome, 24);
        assert_eq!(outcome.counts().completed, 24, "{}", kind.name());
        if kind == SetupKind::Naive {
            assert!(outcome.tiers.iter().map(|tier| tier.preemptions).sum::<u64>() > 0);
        }
    }
}

#[test]
fn what_can_never_fit_is_refused_and_what_outgrows_its_worker_fails() {
    let machine = small_engine(4, 8);
    let load = workload(vec![request(0, 0, 1_000, 1), request(0, 0, 64, 200), request(0, 1, 64, 20)]);
    let outcome = run_checked(SetupKind::Tidegate, machine, 1, &load, &default_config(machine));
    assert_accounted(&outcome, 3);
    assert_eq!(outcome.tiers[0].dropped.get("never-fits"), Some(&1));
    assert_eq!(outcome.tiers[0].counts.failed, 1);
    assert_eq!(outcome.tiers[1].counts.completed, 1);
}

#[test]
fn the_replay_wakes_the_scheduler_when_it_asks_to_be() {
    let config = Config::from_toml(
        r#"
        dimensions = ["gpu_milli"]
        [[tiers]]
        name = "jobs"
        [[tiers]]
        name = "patient"
        queue_timeout = "1s"
        "#,
    )
    .expect("no fault");
    // Nothing happens between the arrival at 2 s and the end of the long job but the timeout.
    let load = workload(vec![job(0, 0, 8_000, 100 * S), job(2 * S, 1, 1_000, S), job(3 * S, 0, 1_000, S)]);
    let outcome = run_checked(SetupKind::Tidegate, Machine::Node, 1, &load, &config);
    assert_eq!(outcome.tiers[1].dropped.get("queue-timeout"), Some(&1));
    assert_eq!(outcome.tiers[0].queue_delay.max, Some(97 * S));
    assert_eq!(outcome.simulated_ns, 101 * S);
    assert_eq!(outcome.utilisation, 1.0);
    assert_accounted(&outcome, 3);
}

#[test]
fn requests_displaced_at_one_instant_are_told_apart() {
    let machine = small_engine(1, 8_192);
    let tiers = ["a", "b", "c"].map(TierConfig::new);
    let builder = Config::builder().dimensions(["slots", "kv_blocks"]).queue_limit(1).displace(true);
    let config = tiers.into_iter().fold(builder, ConfigBuilder::tier).build().expect("no fault");
    // One runs; each of the others takes the only place in the queue from the one before, and its slot too.
    let load = workload(vec![
        request(0, 0, 512, 40),
        request(MS, 2, 512, 1),
        request(MS, 1, 512, 1),
        request(MS, 0, 512, 1),
    ]);
    let outcome = run_checked(SetupKind::Tidegate, machine, 1, &load, &config);
    assert_accounted(&outcome, 4);
    let ends = outcome.tiers.iter().map(|tier| (tier.counts.completed, tier.counts.dropped));
    assert_eq!(ends.collect::<Vec<_>>(), [(2, 0), (0, 1), (0, 1)]);
    assert_eq!(outcome.tiers[1].dropped, outcome.tiers[2].dropped);
    assert!(outcome.tiers[1].dropped.contains_key("displaced"), "{:?}", outcome.tiers[1].dropped);
}

#[test]
fn an_urgent_gpu_job_takes_the_place_of_a_batch_job() {
    let load = workload(vec![job(0, 2, 8_000, 50 * S), job(10 * S, 0, 2_000, 5 * S)]);
    let outcome = run_checked(SetupKind::Tidegate, Machine::Node, 1, &load, &default_config(Machine::Node));
    assert_eq!(outcome.tiers[0].queue_delay.max, Some(0), "a job stops at once");
    assert_eq!(outcome.tiers[2].preemptions, 1);
    // It ends at 15 s; what it used is held for the first tier until 45 s, and then the batch job begins anew.
    assert_eq!(outcome.simulated_ns, (10 + 5 + 30 + 50) * S);
    assert_accounted(&outcome, 2);
}

/// The first minute of the built-in workload, with a backlog that fits the time.
fn slice(workload: Workload, until_ns: u64, batch: usize) -> Workload {
    let mut left = batch;
    let keep = |request: &TraceRequest| {
        let wanted = if request.tier == 2 { left > 0 } else { request.arrival_ns < until_ns };
        left -= usize::from(wanted && request.tier == 2);
        wanted
    };
    let requests = workload.requests.into_iter().filter(keep).collect();
    Workload { requests, ..workload }
}

#[test]
fn invariants_hold_after_every_input_of_a_crowded_minute() {
    let load = slice(trace::builtin(7, 1.0), 40 * S, 150);
    // A third of the memory, so that it runs out, too.
    let machine = small_engine(48, 2_700);
    for kind in SetupKind::ALL {
        let outcome = run_checked(kind, machine, 3, &load, &default_config(machine));
        assert_accounted(&outcome, load.requests.len());
    }
}

#[test]
fn a_recorded_journal_replays_to_the_same_actions() {
    let load = slice(trace::builtin(3, 1.0), 30 * S, 100);
    let setup = Setup::new(SetupKind::Tidegate, engine(), 2, &load, &default_config(engine())).expect("fits");
    let path = std::env::temp_dir().join(format!("tidegate-replay-{}.journal", std::process::id()));
    let journal = WholeFile::create(&path).expect("a place for temporary files");
    let options = ReplayOptions { journal: Some(journal), ..ReplayOptions::default() };
    let (outcome, journal) = replay(&load, &setup, engine(), options).expect("no bug");
    journal.expect("one was asked for").commit().expect("room for a small file");
    let text = std::fs::read_to_string(&path).expect("it was put there");
    std::fs::remove_file(&path).expect("ours");
    let again = Journal::parse(&text).expect("what we write we can read").replay();
    assert_eq!(again.digest, outcome.actions_digest);
    assert_eq!(again.actions, outcome.actions);
    // Recording changes nothing.
    assert_eq!(lasting(&outcome), lasting(&run(SetupKind::Tidegate, engine(), 2, &load)));
}

/// Claims of the README: urgent requests hardly wait, while the workers stay as busy as they can.
fn assert_the_claim(load: &Workload) {
    let machine = engine();
    let config = default_config(machine);
    let workers =
        default_workers(load, machine, &config, None, |_| ()).expect("the config goes with it").workers;
    let outcomes = SetupKind::ALL.map(|kind| run(kind, machine, workers, load));
    for outcome in &outcomes {
        assert_accounted(outcome, load.requests.len());
    }
    let [_, naive, tidegate] = &outcomes;
    let again = run(SetupKind::Tidegate, machine, workers, load);
    assert_eq!(lasting(tidegate), lasting(&again), "the same on every run");
    let delay = |outcome: &Outcome| outcome.tiers[0].queue_delay.p99.expect("requests completed");
    assert!(delay(tidegate) < 200 * MS, "P0's p99 queue delay is {} ns", delay(tidegate));
    assert!(delay(naive) > 10 * S, "sharing alone would do: {} ns", delay(naive));
    assert!(
        tidegate.utilisation_while_backlogged >= Some(0.85),
        "{:?}",
        tidegate.utilisation_while_backlogged
    );
    let best = outcomes.iter().map(|outcome| outcome.output_tokens_per_s).fold(0.0, f64::max);
    assert!(tidegate.output_tokens_per_s >= 0.95 * best, "{} of {best}", tidegate.output_tokens_per_s);
    let pressure = tidegate.guarantee_pressure.expect("P0 has a reserve");
    assert!((0.8..=1.3).contains(&pressure), "P0 needs {pressure} of its reserve: too easy, or too much");
}

#[test]
fn the_claim_holds_on_the_built_in_workload() {
    assert_the_claim(&trace::builtin(1, 1.0));
}

#[test]
fn the_claim_holds_on_the_published_traces() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} is not there", folder.display());
        eprintln!("not run: {} is not there", folder.display());
        return;
    }
    let spec = |kind: &str, path: &str| -> TraceSpec {
        format!("{kind}:{}", folder.join(path).display()).parse().expect("a kind and a path")
    };
    let specs = [
        spec("azure-conv", "azure2023/AzureLLMInferenceTrace_conv.part1.csv.gz"),
        spec("azure-code", "azure2023/AzureLLMInferenceTrace_code.part1.csv.gz"),
        spec("arxiv", "vidur-arxiv/arxiv_summarization_lengths.part1.csv.gz"),
    ];
    let load = trace::load(&specs, &LoadOptions::default()).expect("the published files have no fault");
    assert_eq!(load.requests.len(), 9_754 + 5_100 + 14_128);
    assert_the_claim(&load);
    let crowded = slice(load, 30 * S, 150);
    let outcome = run_checked(SetupKind::Tidegate, engine(), 2, &crowded, &default_config(engine()));
    assert_accounted(&outcome, crowded.requests.len());
}
