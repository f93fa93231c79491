//! Several traces in one workload, and what the options change.

use tidegate_sim::trace::{Batches, Kind, LoadOptions, Workload, load};

use crate::support::{file, rows, spec};

const AZURE_HEADER: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
const PLAIN_HEADER: &str = "arrival_s,tier,tenant,prompt_tokens,output_tokens\n";

/// Code from 10 s before conversation, and a plain trace with arrivals out of order.
fn three_traces(options: &LoadOptions) -> Workload {
    let conversation =
        file("c.csv", format!("{AZURE_HEADER}2023-11-16 18:15:56,1,1\n2023-11-16 18:15:57,2,2\n"));
    let code = file("d.csv", format!("{AZURE_HEADER}2023-11-16 18:15:46,3,3\n2023-11-16 18:15:57,4,4\n"));
    let plain = file("p.csv", format!("{PLAIN_HEADER}11,P2,x,5,5\n0,P2,x,6,6\n"));
    let specs = [spec(Kind::AzureConv, &conversation), spec(Kind::AzureCode, &code), spec(Kind::Csv, &plain)];
    load(&specs, options).expect("well formed traces")
}

fn prompts_and_arrivals(workload: &Workload) -> Vec<(u32, u64)> {
    rows(workload).into_iter().map(|(arrival_ms, _, _, prompt, _)| (prompt, arrival_ms)).collect()
}

#[test]
fn azure_files_share_a_zero_and_ties_keep_the_order_of_the_traces() {
    let workload = three_traces(&LoadOptions::default());
    assert_eq!(
        prompts_and_arrivals(&workload),
        [(3, 0), (6, 0), (1, 10_000), (2, 11_000), (4, 11_000), (5, 11_000)]
    );
    assert_eq!(workload.sources.len(), 3);
}

#[test]
fn a_scale_divides_every_arrival() {
    let workload = three_traces(&LoadOptions { scale: 2.0, ..LoadOptions::default() });
    assert_eq!(
        prompts_and_arrivals(&workload),
        [(3, 0), (6, 0), (1, 5_000), (2, 5_500), (4, 5_500), (5, 5_500)]
    );
}

#[test]
fn the_last_override_of_a_kind_counts() {
    let tier_overrides = vec![(Kind::AzureCode, 5), (Kind::Csv, 1), (Kind::AzureCode, 0)];
    let workload = three_traces(&LoadOptions { tier_overrides, ..LoadOptions::default() });
    let tiers: Vec<u8> = rows(&workload).into_iter().map(|(_, tier, ..)| tier).collect();
    assert_eq!(tiers, [0, 1, 0, 0, 0, 1]);
    assert!(workload.sources[1].ends_with(", every tier overridden: P0"), "{}", workload.sources[1]);
}

#[test]
fn a_backlog_may_come_in_batches() {
    let rows_text = "7,7\n".repeat(5);
    let path = file("t.csv", format!("num_prefill_tokens,num_decode_tokens\n{rows_text}"));
    let batch_every = Some(Batches { rows: 2, every_ns: 1_500_000_000 });
    let options = LoadOptions { batch_every, ..LoadOptions::default() };
    let workload = load(&[spec(Kind::Arxiv, &path)], &options).expect("a well formed trace");
    assert_eq!(rows(&workload).iter().map(|row| row.0).collect::<Vec<_>>(), [0, 0, 1_500, 1_500, 3_000]);
    assert!(workload.sources[0].contains("5 requests, 2 every 1.5 s, P2"), "{}", workload.sources[0]);
    assert_eq!(Batches::PUBLISHED, Batches { rows: 500, every_ns: 900 * 1_000_000_000 });
}

#[test]
fn nothing_given_is_nothing_read() {
    let workload = load(&[], &LoadOptions::default()).expect("no trace, no fault");
    assert!(workload.requests.is_empty() && workload.sources.is_empty());
}
