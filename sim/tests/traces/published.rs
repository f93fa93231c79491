//! The public traces: counts, sums and labels as their own statistics script prints them
//! (`stats.py --labels`; sums computed with its readers).

use std::collections::BTreeMap;

use tidegate_sim::trace::{Kind, LoadOptions, Work, Workload, load};

use crate::support::{public_trace, read, spec, tokens};

const AZURE_CONV: &str = "azure2023/AzureLLMInferenceTrace_conv.part1.csv.gz";
const AZURE_CODE: &str = "azure2023/AzureLLMInferenceTrace_code.part1.csv.gz";

/// What a file must come to.
struct Expected {
    kind: Kind,
    path: &'static str,
    prompts: u64,
    outputs: u64,
    /// Requests of P0, P1, P2.
    tiers: [usize; 3],
    tenants: usize,
    largest: (&'static str, usize),
    last_arrival_s: f64,
}

#[rustfmt::skip] // one file, one line
const EXPECTED: [Expected; 10] = [
    Expected { kind: Kind::AzureConv, path: AZURE_CONV, prompts: 12_072_473, outputs: 2_156_570, tiers: [9_754, 0, 0], tenants: 16, largest: ("t00", 3_127), last_arrival_s: 1753.3 },
    Expected { kind: Kind::AzureCode, path: AZURE_CODE, prompts: 10_466_496, outputs: 139_352, tiers: [0, 5_100, 0], tenants: 16, largest: ("t00", 1_615), last_arrival_s: 1645.9 },
    Expected { kind: Kind::ServegenCsv, path: "derived/servegen_deepseek-r1_10h-11h.sampled.csv.gz", prompts: 51_803_826, outputs: 151_726_491, tiers: [6_086, 9_422, 33_941], tenants: 26, largest: ("deepseek-r1/35", 27_027), last_arrival_s: 3600.0 },
    Expected { kind: Kind::ServegenCsv, path: "derived/servegen_m-large_day01_10h00-10h20.sampled.csv.gz", prompts: 60_163_382, outputs: 8_697_934, tiers: [21_906, 56_038, 5_300], tenants: 43, largest: ("m-large/143", 20_362), last_arrival_s: 1200.0 },
    Expected { kind: Kind::Mooncake, path: "mooncake-fast25/conversation_trace.part1.jsonl.gz", prompts: 72_511_056, outputs: 1_937_157, tiers: [5_606, 0, 0], tenants: 16, largest: ("t00", 1_754), last_arrival_s: 1769.7 },
    Expected { kind: Kind::Mooncake, path: "mooncake-fast25/synthetic_trace.part1.jsonl.gz", prompts: 23_522_252, outputs: 371_031, tiers: [0, 1_925, 0], tenants: 16, largest: ("t00", 616), last_arrival_s: 510.7 },
    Expected { kind: Kind::Arxiv, path: "vidur-arxiv/arxiv_summarization_lengths.part1.csv.gz", prompts: 36_432_333, outputs: 4_180_275, tiers: [0, 0, 14_128], tenants: 16, largest: ("t00", 4_539), last_arrival_s: 0.0 },
    Expected { kind: Kind::Sharegpt, path: "sharegpt-8k/sharegpt_8k_lengths.part1.csv.gz", prompts: 35_776_835, outputs: 6_715_589, tiers: [5_064, 5_135, 5_166], tenants: 16, largest: ("t00", 4_880), last_arrival_s: 0.0 },
    Expected { kind: Kind::Vtc, path: "vtc-lmsys/real_requests.part1.jsonl.gz", prompts: 102_259, outputs: 170_067, tiers: [216, 293, 204], tenants: 22, largest: ("dummy-lora-7b-rank-8-0", 175), last_arrival_s: 299.7 },
    Expected { kind: Kind::Vtc, path: "vtc-runs/rpm5-real.jsonl.gz", prompts: 204_398, outputs: 384_297, tiers: [395, 660, 445], tenants: 27, largest: ("dummy-lora-7b-rank-8-2", 296), last_arrival_s: 600.0 },
];

fn tier_counts(workload: &Workload) -> [usize; 3] {
    [0, 1, 2].map(|tier| workload.requests.iter().filter(|request| request.tier == tier).count())
}

fn largest_tenant(workload: &Workload) -> (&str, usize) {
    let mut requests: BTreeMap<u32, usize> = BTreeMap::new();
    for request in &workload.requests {
        *requests.entry(request.tenant).or_default() += 1;
    }
    let (&tenant, &count) = requests.iter().max_by_key(|(_, count)| **count).expect("requests are there");
    (&workload.tenants[tenant as usize], count)
}

#[test]
fn files_come_to_their_published_sums_and_labels() {
    for expected in EXPECTED {
        let Some(path) = public_trace(expected.path) else { continue };
        let workload = read(expected.kind, &path);
        let lengths = || workload.requests.iter().map(|request| tokens(request.work));
        let name = expected.path;
        assert_eq!(lengths().map(|(prompt, _)| u64::from(prompt)).sum::<u64>(), expected.prompts, "{name}");
        assert_eq!(lengths().map(|(_, output)| u64::from(output)).sum::<u64>(), expected.outputs, "{name}");
        assert_eq!(tier_counts(&workload), expected.tiers, "{name}");
        assert_eq!(workload.requests.len(), expected.tiers.iter().sum::<usize>(), "{name}");
        assert_eq!(workload.tenants.len(), expected.tenants, "{name}");
        assert_eq!(largest_tenant(&workload), expected.largest, "{name}");
        let last = workload.requests.last().expect("requests are there").arrival_ns as f64 / 1e9;
        assert!((last - expected.last_arrival_s).abs() < 0.06, "{name}: the last arrival is at {last} s");
        assert!(workload.requests.is_sorted_by_key(|request| request.arrival_ns), "{name}");
    }
}

#[test]
fn conversation_starts_77_seconds_before_code() {
    let (Some(conversation), Some(code)) = (public_trace(AZURE_CONV), public_trace(AZURE_CODE)) else {
        return;
    };
    let specs = [spec(Kind::AzureCode, &code), spec(Kind::AzureConv, &conversation)];
    let workload = load(&specs, &LoadOptions::default()).expect("well formed traces");
    let first = |tier| {
        workload.requests.iter().find(|request| request.tier == tier).map(|request| request.arrival_ns)
    };
    assert_eq!(first(0), Some(0));
    assert_eq!(first(1), Some(77_299_370_000));
    assert_eq!(workload.requests.len(), 9_754 + 5_100);
}

#[test]
fn pods_without_gpus_are_skipped_and_counted() {
    let Some(path) = public_trace("openb-gpu-v2023/openb_pod_list_default.part1.csv.gz") else { return };
    let workload = read(Kind::Openb, &path);
    assert_eq!(tier_counts(&workload), [1_657, 47, 1_764]);
    let asked: u64 = workload
        .requests
        .iter()
        .map(|request| match request.work {
            Work::Job { gpu_milli, .. } => gpu_milli,
            Work::Tokens { .. } => panic!("tokens among jobs"),
        })
        .sum();
    assert_eq!(asked, 3_014_960);
    assert!(workload.sources[0].contains("skipped 608 without a GPU and 0 without a duration"));
}
