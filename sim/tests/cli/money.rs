//! `tidegate cost` and `tidegate fit`.

use std::fmt::Write;
use std::fs;

use serde_json::Value;
use tidegate_sim::model::{Load, MODELS};

use super::support::{CSV, Folder, assert_fails, text, tidegate};

/// Little traffic, and nothing but the answer.
const SMALL: [&str; 8] = [
    "cost",
    "--requests-per-month",
    "2000000",
    "--minutes-of-day",
    "30",
    "--reserves",
    "30",
    "--no-sensitivity",
];

fn cost(arguments: &[&str]) -> Value {
    let output = tidegate(&[&SMALL, arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[track_caller]
fn close(one: f64, other: f64) {
    assert!((one - other).abs() <= 1e-9 * one.abs().max(other.abs()), "{one} {other}");
}

#[test]
fn the_money_adds_up() {
    let answer = cost(&[]);
    assert_eq!(answer, cost(&[]), "the same on every run");
    let assumed = &answer["assumptions"];
    let month = number(&assumed["usd_per_gpu_hour"]) * number(&assumed["hours_per_month"]);
    let million = |key: &str| number(&assumed[key]) / 1e6;
    let api = million("prompt_tokens_per_month") * number(&assumed["api_usd_per_million_input"])
        + million("output_tokens_per_month") * number(&assumed["api_usd_per_million_output"]);
    close(number(&answer["api"]["usd_per_month"]), api);
    let setups = answer["setups"].as_object().expect("an object");
    assert_eq!(setups.keys().collect::<Vec<_>>(), ["dedicated", "naive", "tidegate"]);
    for (name, setup) in setups {
        let usd = number(&setup["usd_per_month"]);
        close(usd, number(&setup["gpus"]) * month);
        assert!((0.0..=1.0).contains(&number(&setup["utilisation"])), "{name}");
        let ttft = setup["ttft_ms_p99"].as_object().expect("by tier");
        for (tier, objective) in [("realtime", 1_000.0), ("near-realtime", 5_000.0), ("batch", 900_000.0)] {
            assert!(number(&ttft[tier]) <= objective, "{name}: {tier}");
        }
        assert!(number(&setup["p0_queue_delay_ms_p99"]) <= number(&ttft["realtime"]), "{name}");
        assert_eq!(setup["usd_per_million_tokens"].as_object().expect("by tier").len(), 3);
        let by_tenant = setup["usd_per_million_tokens_by_tenant"].as_object().expect("by tenant");
        assert_eq!(by_tenant.len(), 16, "{name}");
    }
    let crossover = number(&answer["crossover_requests_per_month"]);
    let a_request = api / number(&assumed["requests_per_month"]);
    close(crossover * a_request, number(&setups["tidegate"]["usd_per_month"]));
    assert_eq!(answer["best_reserve"], 0.3);
}

#[test]
fn prices_change_sums_and_spare_workers_change_fleets() {
    let (answer, spare) = (cost(&[]), cost(&["--spare-workers", "3", "--usd-per-gpu-hour", "1"]));
    for (name, fleets) in [("dedicated", 3.0), ("naive", 1.0), ("tidegate", 1.0)] {
        let gpus = |answer: &Value| number(&answer["setups"][name]["gpus"]);
        // One spare worker is the default.
        close(gpus(&spare), gpus(&answer) + 2.0 * fleets);
        close(number(&spare["setups"][name]["usd_per_month"]), gpus(&spare) * 730.0);
    }
}

#[test]
fn a_trace_is_costed_at_its_own_rate_or_at_another() {
    let folder = Folder::new("cost-trace");
    let mut rows = "arrival_s,tier,tenant,prompt_tokens,output_tokens\n".to_owned();
    for row in 0..400 {
        writeln!(rows, "{},P{},acme,{},64", f64::from(row) / 2.0, row % 3, 200 + row).expect("a string");
    }
    let trace = format!("csv:{}", folder.write("trace.csv", rows));
    let answer = |rest: &[&str]| {
        let arguments = ["cost", "--trace", &trace, "--json", "--no-sensitivity", "--reserves", "30"];
        let output = tidegate(&[&arguments, rest].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let own = answer(&[]);
    // 400 requests in 199.5 s.
    close(number(&own["assumptions"]["requests_per_month"]), 400.0 / 199.5 * 730.0 * 3_600.0);
    let busier = answer(&["--requests-per-month", "100000000"]);
    let gpus = |answer: &Value| number(&answer["setups"]["tidegate"]["gpus"]);
    assert!(gpus(&busier) > gpus(&own));
    // Half a GPU is half as much money, and does not do more.
    let half = answer(&["--slice", "mps:2"]);
    assert_eq!(half["assumptions"]["gpus_per_worker"], 0.5);
    assert_eq!(half["assumptions"]["model"], "llama3-8b/mps:2");
}

#[test]
fn what_cannot_be_costed_is_told_in_one_line() {
    let folder = Folder::new("cost-faults");
    let short = format!("csv:{}", folder.write("trace.csv", CSV));
    assert_fails(&["cost", "--trace", &short], 2, "the trace lasts less than a second: it has no rate");
    assert_fails(
        &["cost", "--slice", "mig:7"],
        2,
        "--slice: a part has 11.4 GiB, and the weights take 16.0: nothing is left for the KV cache",
    );
    let line = "--requests-per-month: 60 minutes of it are 136986301370 requests, and at most 5000000 are replayed: say \
         fewer, or fewer --minutes-of-day";
    assert_fails(&["cost", "--requests-per-month", "1e14"], 2, line);
    let line = "invalid value '0' for '--usd-per-gpu-hour <USD>': expected a positive number (see --help)";
    assert_fails(&["cost", "--usd-per-gpu-hour", "0"], 2, line);
    let output = tidegate(&["cost", "--requests-per-month", "200000", "--objectives", "0.001"]);
    assert_eq!(output.status.code(), Some(2));
    let problem = text(&output.stderr);
    assert!(
        problem.contains("workers hold the objective of P0: p99 of the time to first token is"),
        "{problem}"
    );
}

/// Rows of iterations that take what a published model says.
fn rows() -> String {
    let mut rows =
        "prefill_tokens,prefill_context,prefill_squares,decode_tokens,decode_context,duration_ms\n"
            .to_owned();
    for row in 0..200_u64 {
        let prompt = if row % 3 == 0 { 0 } else { 7 * row % 400 + 1 };
        let load = Load {
            prefill_tokens: prompt,
            prefill_context: if prompt == 0 { 0 } else { 131 * row % 3_000 },
            prefill_squares: prompt * prompt,
            decode_tokens: 1 + row % 60,
            decode_context: (1 + row % 60) * (97 * row % 1_900),
        };
        let Load { prefill_tokens, prefill_context, prefill_squares, decode_tokens, decode_context } = load;
        let ms = MODELS[0].iteration_ns(&load) as f64 / 1e6;
        let line = format!(
            "{prefill_tokens},{prefill_context},{prefill_squares},{decode_tokens},{decode_context},{ms}"
        );
        writeln!(rows, "{line}").expect("a string");
    }
    rows
}

#[test]
fn a_fitted_model_replays_as_the_one_it_was_measured_on() {
    let folder = Folder::new("fit");
    let rows = folder.write("rows.csv", rows());
    let model = folder.path("model.json");
    let output = tidegate(&["fit", &rows, "--id", "mine", "--output", &model, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for error in [&answer["error"], &answer["error_left_out"]] {
        assert!(number(&error["mean_relative"]) < 1e-4 && number(&error["r_squared"]) > 0.999, "{error}");
    }
    assert_eq!(answer["undetermined"].as_array().map(Vec::len), Some(0));
    let written: Value = serde_json::from_slice(&fs::read(&model).expect("it was written")).expect("JSON");
    assert_eq!(written, answer["model"]);
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let replay = |model: &str| {
        let output = tidegate(&["replay", "--trace", &trace, "--workers", "3", "--json", "--model", model]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let (mine, published) = (replay(&model), replay("llama3-8b"));
    assert_eq!(mine["model"], "mine");
    let p99 = |value: &Value| number(&value["setups"]["tidegate"]["tiers"][1]["ttft_ms"]["p99"]);
    assert!((p99(&mine) / p99(&published) - 1.0).abs() < 0.01, "{} {}", p99(&mine), p99(&published));
    let table = tidegate(&["fit", &rows, "--form", "apart"]);
    assert!(text(&table.stdout).contains("rows left out of a fit"), "{}", text(&table.stdout));
}

#[test]
fn rows_that_make_no_sense_are_told_with_their_line() {
    let folder = Folder::new("fit-faults");
    let whole = rows();
    for (from, to, line) in [
        (
            "0,0,0,1,0,",
            "0,0,0,0,0,",
            "line 2: decode_tokens: \"0\" is not a number of tokens, and there is no prompt \
          either: an empty iteration",
        ),
        (
            "0,0,0,1,0,",
            "4,0,17,1,0,",
            "line 2: prefill_squares: \"17\" is not a sum of squares of parts of 4 tokens",
        ),
        (
            "0,0,0,1,0,",
            "0,7,0,1,0,",
            "line 2: prefill_context: \"7\" is not 0, as it is where no such token is computed",
        ),
        (
            "duration_ms",
            "duration",
            "line 1: duration_ms: no such column: expected prefill_tokens,prefill_context,\
          prefill_squares,decode_tokens,decode_context,duration_ms, found \"prefill_tokens,prefill_context,prefill_s…\"",
        ),
    ] {
        let path = folder.write("rows.csv", whole.replacen(from, to, 1));
        assert_fails(&["fit", &path], 2, &format!("{path}: {line}"));
    }
    let few: String = whole.lines().take(4).map(|line| format!("{line}\n")).collect();
    let path = folder.write("rows.csv", few);
    let line = format!("{path}: 3 rows: at least 5 are needed for each side of the knee");
    assert_fails(&["fit", &path], 2, &line);
    let model = folder.write("model.json", "{\"id\": 3}");
    let output = tidegate(&["replay", "--model", &model]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).starts_with(&format!("tidegate: {model}: invalid type")),
        "{}",
        text(&output.stderr)
    );
}
