//! The built-in workload has the statistics of the traces that it stands for.

use std::ops::RangeInclusive;

use tidegate_sim::trace::{Kind, Workload, builtin};

use crate::support::{public_trace, read, tokens};

/// Any seed must do; the first is the default of the command line.
const SEEDS: RangeInclusive<u64> = 1..=5;

/// Statistics of one tier, as the traces' own script defines them.
#[derive(Debug)]
struct Statistics {
    requests: usize,
    span_s: f64,
    gap_variation: f64,
    minute_variation: f64,
    peak_minute: usize,
    prompts: Spread,
    outputs: Spread,
}

#[derive(Debug)]
struct Spread {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
}

fn statistics(workload: &Workload, tier: u8) -> Statistics {
    let requests: Vec<_> = workload.requests.iter().filter(|request| request.tier == tier).collect();
    let arrivals: Vec<f64> = requests.iter().map(|request| request.arrival_ns as f64 / 1e9).collect();
    let gaps: Vec<f64> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let span_s = arrivals[arrivals.len() - 1] - arrivals[0];
    let mut minutes = vec![0_usize; span_s as usize / 60 + 1];
    for arrival in &arrivals {
        minutes[(arrival - arrivals[0]) as usize / 60] += 1;
    }
    let whole_minutes: Vec<f64> =
        minutes[..(span_s as usize / 60).max(1)].iter().map(|&count| count as f64).collect();
    Statistics {
        requests: requests.len(),
        span_s,
        gap_variation: variation(&gaps),
        minute_variation: variation(&whole_minutes),
        peak_minute: minutes.into_iter().max().expect("at least one minute"),
        prompts: spread(requests.iter().map(|request| tokens(request.work).0).collect()),
        outputs: spread(requests.iter().map(|request| tokens(request.work).1).collect()),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard deviation over mean.
fn variation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt() / mean
}

fn spread(mut lengths: Vec<u32>) -> Spread {
    lengths.sort_unstable();
    let values: Vec<f64> = lengths.iter().copied().map(f64::from).collect();
    let rank = |part: f64| values[(part * values.len() as f64).ceil() as usize - 1];
    Spread { mean: mean(&values), p50: rank(0.5), p90: rank(0.9), p99: rank(0.99) }
}

#[track_caller]
fn near(what: &str, found: f64, published: f64, tolerance: f64) {
    let difference = (found - published).abs() / published;
    assert!(
        difference <= tolerance,
        "{what} is {found:.2}, published {published:.2}: more than {tolerance} apart"
    );
}

/// Means within 3 %, quantiles within 6 % or one token: the price of tables of 26 points, and of outputs cut where
/// they and their prompt would be longer than any published row.
#[track_caller]
fn lengths_near(what: &str, found: &Spread, published: &Spread) {
    near(&format!("{what}: mean"), found.mean, published.mean, 0.03);
    for (name, found, published) in [
        ("p50", found.p50, published.p50),
        ("p90", found.p90, published.p90),
        ("p99", found.p99, published.p99),
    ] {
        near(&format!("{what}: {name}"), found, published, (1.0 / published).max(0.06));
    }
}

#[test]
fn lengths_are_those_of_the_published_statistics() {
    for seed in SEEDS {
        let workload = builtin(seed, 1.0);
        let of = |tier| statistics(&workload, tier);
        let (conversation, code, backlog) = (of(0), of(1), of(2));
        let spread = |mean, p50, p90, p99| Spread { mean, p50, p90, p99 };
        lengths_near("conversation prompts", &conversation.prompts, &spread(1237.7, 1035.0, 4075.0, 4122.0));
        lengths_near("conversation outputs", &conversation.outputs, &spread(221.1, 139.0, 428.0, 612.0));
        lengths_near("code prompts", &code.prompts, &spread(2052.3, 1472.0, 5051.0, 7436.0));
        lengths_near("code outputs", &code.outputs, &spread(27.32, 13.0, 54.0, 232.0));
        lengths_near("backlog prompts", &backlog.prompts, &spread(2578.7, 2717.0, 3706.0, 3933.0));
        lengths_near("backlog outputs", &backlog.outputs, &spread(295.9, 166.0, 375.0, 3289.0));
    }
}

#[test]
fn arrivals_are_those_of_the_published_statistics() {
    for seed in SEEDS {
        let workload = builtin(seed, 1.0);
        let conversation = statistics(&workload, 0);
        assert_eq!(conversation.requests, 9_754);
        near("conversation: rate", conversation.requests as f64 / conversation.span_s, 5.563, 0.01);
        near("conversation: gaps", conversation.gap_variation, 1.07, 0.06);
        near("conversation: minutes", conversation.minute_variation, 0.19, 0.25);
        near("conversation: peak minute", conversation.peak_minute as f64, 480.0, 0.1);
        let code = statistics(&workload, 1);
        assert_eq!(code.requests, 5_100);
        near("code: rate", code.requests as f64 / code.span_s, 3.099, 0.01);
        near("code: gaps", code.gap_variation, 13.69, 0.08);
        near("code: minutes", code.minute_variation, 1.02, 0.25);
        near("code: peak minute", code.peak_minute as f64, 632.0, 0.4);
        assert!(
            workload
                .requests
                .iter()
                .filter(|request| request.tier == 2)
                .all(|request| request.arrival_ns == 0)
        );
    }
}

#[test]
fn the_statistics_compared_with_are_those_of_the_files() {
    for (tier, kind, path) in [
        (0, Kind::AzureConv, "azure2023/AzureLLMInferenceTrace_conv.part1.csv.gz"),
        (1, Kind::AzureCode, "azure2023/AzureLLMInferenceTrace_code.part1.csv.gz"),
        (2, Kind::Arxiv, "vidur-arxiv/arxiv_summarization_lengths.part1.csv.gz"),
    ] {
        let Some(path) = public_trace(path) else { continue };
        let real = statistics(&read(kind, &path), tier);
        let ours = statistics(&builtin(1, 1.0), tier);
        let name = kind.name();
        lengths_near(&format!("{name}: prompts"), &ours.prompts, &real.prompts);
        lengths_near(&format!("{name}: outputs"), &ours.outputs, &real.outputs);
        if kind != Kind::Arxiv {
            near(&format!("{name}: span"), ours.span_s, real.span_s, 0.01);
            near(&format!("{name}: gaps"), ours.gap_variation, real.gap_variation, 0.08);
            near(&format!("{name}: minutes"), ours.minute_variation, real.minute_variation, 0.25);
        }
    }
}

/// Conversation outputs depend on the prompt's size; the middle fifth gets answers more than three times as
/// long as its neighbours, and the generator must not lose that.
#[test]
fn outputs_hang_together_with_prompts_as_published() {
    let workload = builtin(1, 1.0);
    let mut pairs: Vec<(u32, u32)> = workload
        .requests
        .iter()
        .filter(|request| request.tier == 0)
        .map(|request| tokens(request.work))
        .collect();
    pairs.sort_unstable();
    let fifth = pairs.len().div_ceil(5);
    let means: Vec<f64> = pairs
        .chunks(fifth)
        .map(|part| mean(&part.iter().map(|pair| f64::from(pair.1)).collect::<Vec<_>>()))
        .collect();
    for (found, published) in means.into_iter().zip([113.0, 126.0, 409.0, 376.0, 82.0]) {
        near("mean output of a fifth by prompt", found, published, 0.05);
    }
}

#[test]
fn a_seed_is_one_workload_and_every_seed_the_same_load() {
    let first = builtin(1, 1.0);
    assert_eq!(first, builtin(1, 1.0));
    let second = builtin(2, 1.0);
    assert_ne!(first.requests, second.requests);
    let prompts = |workload: &Workload| -> u64 {
        workload.requests.iter().map(|request| u64::from(tokens(request.work).0)).sum()
    };
    assert_eq!(prompts(&first), prompts(&second));
}

/// Pins the workload itself: whoever changes the generator changes every published result.
#[test]
fn the_default_workload_is_pinned() {
    let workload = builtin(1, 1.0);
    let digest = workload.requests.iter().fold(0_u64, |hash, request| {
        let (prompt, output) = tokens(request.work);
        [
            request.arrival_ns,
            u64::from(request.tier),
            u64::from(request.tenant),
            u64::from(prompt),
            u64::from(output),
        ]
        .into_iter()
        .fold(hash, |hash, value| (hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17))
    });
    assert_eq!((workload.requests.len(), digest), (20_854, 5_270_000_818_530_934_064));
}

#[test]
fn a_scale_brings_requests_closer() {
    let (plain, fast) = (builtin(1, 1.0), builtin(1, 2.0));
    assert_eq!(plain.requests.len(), fast.requests.len());
    let last = |workload: &Workload| workload.requests.last().map_or(0, |request| request.arrival_ns);
    assert_eq!(last(&fast), last(&plain).div_ceil(2));
}

#[test]
fn tenants_and_sources_are_named() {
    let workload = builtin(3, 1.0);
    assert_eq!(workload.tenants.len(), 16);
    assert_eq!(
        workload.sources,
        [
            "builtin conversation: 9754 requests, P0, generated with seed 3",
            "builtin code: 5100 requests, P1, generated with seed 3",
            "builtin summarisation: 6000 requests, P2, generated with seed 3",
        ]
    );
}
