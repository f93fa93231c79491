//! Policies in place of the scheduler: whoever decides, nobody is lost, and each does what it is known for.

use tidegate_sim::machine::Machine;
use tidegate_sim::model::{Batching, DEFAULT_MODEL, ServiceModel};
use tidegate_sim::policy::Discipline;
use tidegate_sim::replay::{Outcome, ReplayOptions, replay};
use tidegate_sim::setup::{Setup, SetupKind, default_config};
use tidegate_sim::trace::{TraceRequest, Work, Workload};

const MS: u64 = 1_000_000;
const S: u64 = 1_000_000_000;

fn engine(slots: u32, kv_blocks: u32) -> Machine {
    let model = ServiceModel::by_id(DEFAULT_MODEL).expect("the default is one of them");
    Machine::Engine { model, batching: Batching::Chunked { tokens: 512, prompts: 4 }, slots, kv_blocks }
}

fn request(arrival_ns: u64, tier: u8, tenant: u32, prompt: u32, output: u32) -> TraceRequest {
    TraceRequest { arrival_ns, tier, tenant, work: Work::Tokens { prompt, output } }
}

fn workload(mut requests: Vec<TraceRequest>) -> Workload {
    requests.sort_by_key(|request| request.arrival_ns);
    Workload { requests, tenants: vec!["heavy".into(), "light".into()], sources: Vec::new() }
}

fn run(discipline: Discipline, machine: Machine, workers: usize, load: &Workload) -> Outcome {
    let kind = SetupKind::Policy(discipline);
    let setup = Setup::new(kind, machine, workers, load, &default_config(machine)).expect("they go together");
    let options = ReplayOptions { check: true, ..ReplayOptions::default() };
    replay(load, &setup, machine, options).unwrap_or_else(|error| panic!("{}: {error}", kind.name())).0
}

/// Tenant 0 asks for far more than there is, in all tiers; tenant 1 now and then.
fn crowd() -> Workload {
    let heavy = (0..120).map(|n| request(n * 20 * MS, (n % 3) as u8, 0, 300, 60));
    let light = (0..10).map(|n| request(n * 400 * MS + 7 * MS, 1, 1, 200, 30));
    workload(heavy.chain(light).collect())
}

/// The mean time to first token of those for whom `of` holds, in ns.
fn mean_ttft(outcome: &Outcome, load: &Workload, of: impl Fn(&TraceRequest) -> bool) -> u64 {
    let pairs = load.requests.iter().zip(&outcome.ttft_of);
    let times: Vec<u64> =
        pairs.filter(|(request, _)| of(request)).map(|(_, ttft)| ttft.expect("it completed")).collect();
    times.iter().sum::<u64>() / times.len() as u64
}

#[test]
fn nobody_is_lost_under_any_policy_and_every_run_is_the_same() {
    let load = crowd();
    // Memory for three of those that are long: somebody has to give way.
    let machine = engine(16, 100);
    for discipline in Discipline::ALL {
        let outcome = run(discipline, machine, 2, &load);
        let counts = outcome.counts();
        assert_eq!(counts.submitted, 130, "{discipline:?}");
        assert_eq!(counts.completed + counts.dropped, 130, "{discipline:?}: {counts:?}");
        let limited = matches!(discipline, Discipline::PerMinute(_));
        assert_eq!(counts.dropped > 0, limited, "{discipline:?}: only a limit refuses anybody");
        let tokens: u64 = outcome.tiers.iter().map(|tier| tier.output_tokens).sum();
        assert!(limited || tokens == 120 * 60 + 10 * 30, "{discipline:?}: {tokens}");
        let again = run(discipline, machine, 2, &load);
        assert_eq!(outcome.actions_digest, again.actions_digest, "{discipline:?}");
        assert_eq!(outcome.tiers, again.tiers, "{discipline:?}");
    }
}

#[test]
fn out_of_memory_somebody_gives_way_and_comes_back() {
    let load = workload((0..24).map(|n| request(n * 100 * MS, (n % 3) as u8, 0, 96, 150)).collect());
    let stops = |discipline| {
        let outcome = run(discipline, engine(16, 64), 1, &load);
        assert_eq!(outcome.counts().completed, 24);
        outcome.tiers.iter().map(|tier| tier.preemptions).collect::<Vec<u64>>()
    };
    assert!(stops(Discipline::FirstCome).iter().sum::<u64>() > 0);
    let by_tier = stops(Discipline::VllmPriority);
    assert!(by_tier[2] > by_tier[0], "the least urgent gives way: {by_tier:?}");
    // Who outgrows a worker that it has to itself fails, and who never fits is refused.
    let machine = engine(4, 8);
    let load =
        workload(vec![request(0, 0, 0, 1_000, 1), request(0, 0, 0, 64, 200), request(0, 1, 0, 64, 20)]);
    let counts = run(Discipline::FirstCome, machine, 1, &load).counts();
    assert_eq!((counts.dropped, counts.failed, counts.completed), (1, 1, 1), "{counts:?}");
}

#[test]
fn counters_let_a_light_tenant_through() {
    let load = crowd();
    let light = |discipline| {
        mean_ttft(&run(discipline, engine(8, 2_000), 1, &load), &load, |request| request.tenant == 1)
    };
    let first_come = light(Discipline::FirstCome);
    for discipline in
        [Discipline::LeastCounterFirst, Discipline::Vtc, Discipline::VtcPredict, Discipline::VtcOracle]
    {
        let fair = light(discipline);
        assert!(fair * 2 < first_come, "{discipline:?}: {} ms of {}", fair / MS, first_come / MS);
    }
}

#[test]
fn urgent_requests_go_first_where_a_policy_knows_tiers() {
    let load = crowd();
    let urgent = |discipline| {
        mean_ttft(&run(discipline, engine(8, 2_000), 1, &load), &load, |request| request.tier == 0)
    };
    let first_come = urgent(Discipline::FirstCome);
    for discipline in [Discipline::EarliestDeadline, Discipline::VllmPriority, Discipline::MClock] {
        let time = urgent(discipline);
        assert!(time < first_come, "{discipline:?}: {} ms of {}", time / MS, first_come / MS);
    }
}

#[test]
fn a_limit_per_minute_is_of_each_client() {
    let requests = (0..20).map(|n| request(n * S, 0, u32::from(n % 2 == 1), 100, 5)).collect();
    let counts = run(Discipline::PerMinute(5), engine(8, 2_000), 1, &workload(requests)).counts();
    assert_eq!((counts.completed, counts.dropped), (10, 10));
}
