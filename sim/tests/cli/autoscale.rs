//! Fleets that follow what is wanted: what is told of them, and that it adds up.

use std::path::Path;

use serde_json::Value;

use super::support::{Folder, assert_fails, text, tidegate};

/// An hour in which a day's swing is played, and workers that take a minute to start.
const HOUR: [&str; 7] = ["autoscale", "--minutes-of-day", "60", "--start-up", "60", "--slots", "8"];

fn printed(arguments: &[&str]) -> String {
    let output = tidegate(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_string()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_fleet_that_follows_is_paid_for_what_it_was() {
    let folder = Folder::new("autoscale");
    let picture = folder.path("curve.svg");
    let told = printed(&[&HOUR[..], &["--json", "--plot", &picture]].concat());
    let told: Value = serde_json::from_str(&told).expect("one JSON object");
    let case = &told["cases"][0];
    let [peak, follows] = [0, 1].map(|place| &case["fleets"][place]);
    assert_eq!(number(&peak["worker_hours_of_peak"]), 1.0);
    let hours = number(&follows["worker_hours"]) / number(&peak["worker_hours"]);
    assert!((hours - number(&follows["worker_hours_of_peak"])).abs() < 1e-9);
    let looks = follows["curve"].as_array().expect("a list");
    let workers =
        |look: &Value| ["up", "starting", "draining"].map(|kind| number(&look[kind])).iter().sum::<f64>();
    assert_eq!(number(&looks[0]["up"]), number(&case["peak_workers"]), "it begins as large");
    let by_looks = looks.iter().map(workers).sum::<f64>() * 15.0 / 3_600.0;
    let off = (by_looks / number(&follows["worker_hours"]) - 1.0).abs();
    assert!(off < 0.05, "looks every 15 s say {by_looks} hours, not {}", follows["worker_hours"]);
    assert!(looks.iter().any(|look| number(&look["starting"]) > 0.0), "it grows again");
    let picture = std::fs::read_to_string(&picture).expect("it was drawn");
    assert!(picture.starts_with("<svg") && picture.contains("60 s to start") && picture.contains("needed"));
}

/// The goal that the fleet was made for, on the trace on which it was tuned.
#[test]
fn conversation_of_azure_waits_no_longer_at_four_fifths_of_the_hours() {
    let traces = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/traces");
    if !Path::new(traces).join("azure2023").is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{traces} is not there");
        eprintln!("not run: {traces} is not there");
        return;
    }
    let told = printed(&["autoscale", "--data", traces, "--minutes-of-day", "30", "--json"]);
    let told: Value = serde_json::from_str(&told).expect("one JSON object");
    let case = &told["cases"][0];
    assert_eq!(case["case"], "conversation as P0, code as P1");
    let fleets = case["fleets"].as_array().expect("a list");
    let peak = &fleets[0];
    assert!(number(&peak["p0_ttft_ms_p99"]) <= 1_000.0, "the peak-sized fleet keeps the objective: {peak}");
    assert!(number(&peak["p1_ttft_ms_p99"]) <= 5_000.0, "of both tiers: {peak}");
    for (fleet, start_up) in fleets[1..].iter().zip([300.0, 600.0]) {
        assert_eq!(number(&fleet["start_up_s"]), start_up);
        let ratios = ["worker_hours_of_peak", "p0_queue_delay_of_peak"].map(|key| number(&fleet[key]));
        assert!(ratios[0] <= 0.8 && ratios[1] <= 1.5, "{start_up} s: {ratios:?}");
    }
}

#[test]
fn ones_own_trace_is_followed_as_it_is_and_as_a_day() {
    let folder = Folder::new("autoscale-own");
    let mut rows = String::from("arrival_s,tier,tenant,prompt_tokens,output_tokens\n");
    for index in 0..300_u32 {
        rows += &format!("{},P1,acme,{},30\n", f64::from(index) / 5.0, 200 + 11 * index % 500);
    }
    let trace = format!("csv:{}", folder.write("own.csv", rows));
    let own = ["autoscale", "--trace", &trace, "--minutes-of-day", "30", "--start-up", "60", "--slots", "8"];
    let told: Value =
        serde_json::from_str(&printed(&[&own[..], &["--json"]].concat())).expect("one JSON object");
    let names: Vec<_> = told["cases"].as_array().expect("a list").iter().map(|case| &case["case"]).collect();
    assert_eq!(names, ["the traces", "the traces, a day in 30 minutes"]);
    let fleets = told["cases"][0]["fleets"].as_array().expect("a list");
    // Nobody is P0: there is nothing to compare, and no number for it.
    assert!(fleets.iter().all(|fleet| fleet["p0_queue_delay_of_peak"].is_null()), "{fleets:?}");
    assert!(fleets.iter().all(|fleet| number(&fleet["p1_ttft_ms_p99"]) > 0.0), "{fleets:?}");
    let first: Value = serde_json::from_str(&printed(&[&own[..], &["--tier", "csv=P0", "--json"]].concat()))
        .expect("one JSON object");
    assert!(number(&first["cases"][0]["fleets"][1]["p0_queue_delay_of_peak"]) > 0.0, "as P0 they count");
    let both = [&own[..], &["--data", "traces"]].concat();
    assert_eq!(tidegate(&both).status.code(), Some(2), "a folder and a trace are one too many");
}

#[test]
fn the_same_command_prints_the_same_and_nonsense_is_refused() {
    let short = ["autoscale", "--minutes-of-day", "30", "--start-up", "60", "--slots", "16"];
    let table = printed(&short);
    assert_eq!(printed(&short), table);
    assert!(table.contains("as at the peak") && table.contains("60 s to start"), "{table}");
    let beyond = "invalid value '601' for '--start-up <S,S>': 601 is not in 1..=600 (see --help)";
    assert_fails(&["autoscale", "--start-up", "601"], 2, beyond);
}
