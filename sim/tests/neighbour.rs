//! What a noisy tenant costs the others, on the hour of ServeGen in which one client sends more than half of the requests.

use std::path::Path;

use tidegate_sim::machine::Machine;
use tidegate_sim::model::{Batching, DEFAULT_MODEL, ServiceModel};
use tidegate_sim::neighbour::{NeighbourError, Neighbourhood, Sharing, compare};
use tidegate_sim::trace::{self, LoadOptions, TraceRequest, Work, Workload};

const S: u64 = 1_000_000_000;

/// An engine whose memory holds what its slots want: long answers do not throw each other out.
fn engine(slots: u32) -> Machine {
    let model = ServiceModel::by_id(DEFAULT_MODEL).expect("the default is one of them");
    let batching = Batching::Chunked { tokens: 512, prompts: 4 };
    Machine::Engine { model, batching, slots, kv_blocks: model.kv_blocks }
}

/// The bounds of the issue, and that there was something to protect from.
fn assert_protected(found: &Neighbourhood, sharing: Sharing) {
    let [harm, unprotected] =
        [sharing, Sharing::Fifo].map(|sharing| found.harm(sharing).expect("some completed"));
    let kept = found.throughput_kept(sharing);
    println!("{}: {harm:.3} of without ({unprotected:.0} fifo), {kept:.4} of its throughput", sharing.name());
    assert!(unprotected > 10.0, "the noisy tenant harms nobody: {unprotected}");
    assert!(harm <= 1.2, "{} times the p99 time to first token without it", harm);
    assert!(kept >= 0.99, "{kept} of the throughput of first come, first served");
    assert!(found.with.iter().chain([&found.without]).all(|run| run.lost == 0), "{found:?}");
}

#[test]
fn a_noisy_tenant_costs_the_others_little() {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    let file = traces.join("derived/servegen_deepseek-r1_10h-11h.sampled.csv.gz");
    if !file.is_file() {
        assert!(std::env::var_os("CI").is_none(), "{} is not there", file.display());
        eprintln!("not run: {} is not there", file.display());
        return;
    }
    let spec = format!("servegen-csv:{}", file.display()).parse().expect("a kind and a path");
    let load = trace::load(&[spec], &LoadOptions::default()).expect("the published file has no fault");
    // They can just do in an hour what the hour asks for; its bursts harm those who are served as they come.
    let found = compare(&load, engine(16), 64, |_| ()).expect("it goes with the workers");
    assert_eq!(found.noisy, "deepseek-r1/35");
    assert!((0.54..0.56).contains(&found.share), "{}", found.share);
    assert_protected(&found, Sharing::Fair);
    assert_protected(&found, Sharing::Apart);
}

fn workload(requests: &[(u64, u32)]) -> Workload {
    let request = |&(arrival_ns, tenant): &(u64, u32)| TraceRequest {
        arrival_ns,
        tier: 2,
        tenant,
        work: Work::Tokens { prompt: 64, output: 50 },
    };
    let requests = requests.iter().map(request).collect();
    Workload { requests, tenants: vec!["quiet".into(), "noisy".into(), "absent".into()], sources: Vec::new() }
}

#[test]
fn the_busiest_tenant_is_the_noisy_one() {
    let mut requests: Vec<_> = (0..40).map(|_| (0, 1)).collect();
    requests.push((S / 10, 0));
    let found = compare(&workload(&requests), engine(2), 1, |_| ()).expect("it goes with the worker");
    assert_eq!((found.noisy.as_str(), found.share), ("noisy", 40.0 / 41.0));
    let [fifo, fair, apart] =
        Sharing::ALL.map(|sharing| found.harm(sharing).expect("the quiet one completed"));
    assert!(fifo > 10.0 * fair && fair >= apart && apart > 1.0, "{fifo} {fair} {apart}");
    assert_eq!((found.run(Sharing::Fair).preemptions, found.run(Sharing::Apart).preemptions), (0, 1));
}

#[test]
fn one_tenant_alone_has_no_neighbours() {
    let alone = compare(&workload(&[(0, 1), (S, 1)]), engine(2), 1, |_| ());
    assert!(matches!(alone, Err(NeighbourError::Alone)), "{alone:?}");
}
