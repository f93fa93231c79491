//! `tidegate paper`: what it prints, and what it says of faults.

use serde_json::Value;

use super::support::{Folder, assert_fails, text, tidegate};

const LOG: &str = "{\"adapter_dir\": \"a\", \"prompt_len\": 13, \"output_len\": 20, \"request_latency\": 2.5, \
    \"first_token_latency\": 0.5, \"req_time\": 0.0}\n\
    {\"adapter_dir\": \"b\", \"prompt_len\": 900, \"output_len\": 200, \"request_latency\": 11.5, \
    \"first_token_latency\": 1.5, \"req_time\": 0.5}\n";

/// A folder of traces with the runs of T1, all alike.
fn traces(name: &str) -> (Folder, String) {
    let folder = Folder::new(name);
    std::fs::create_dir_all(folder.path("vtc-runs")).expect("a place for temporary files");
    for run in ["fcfs-overload", "vtc-overload", "fcfs-real", "vtc-real", "rpm5-real"] {
        folder.write(&format!("vtc-runs/{run}.jsonl.gz"), LOG);
    }
    let path = folder.path("");
    (folder, path)
}

#[test]
fn t1_prints_rows_side_by_side_and_the_same_as_json() {
    let (folder, data) = traces("paper-t1");
    let further = folder.write("lcf-mine.jsonl", LOG);
    let arguments = ["paper", "T1", "--data", &data, "--run", &further, "--draws", "2"];
    let output = tidegate(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for part in ["model a10g-llama7b, fitted to fcfs-overload alone", "published", "error %", "lcf mine"] {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
    let output = tidegate(&[&arguments[..], &["--json"]].concat());
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&value["table"], &value["model"]), (&"T1".into(), &"a10g-llama7b".into()));
    let rows = value["rows"].as_array().expect("an array");
    assert_eq!(rows.len(), 11);
    assert_eq!((&rows[10]["policy"], &rows[10]["run"]), (&"lcf".into(), &"mine".into()));
    for part in ["published", "reproduced", "error", "tidegate"] {
        assert!(rows[0][part]["throughput_tok_s"].is_number(), "{part}: {}", rows[0]);
    }
    assert!(value["tidegate"]["avg_diff"].is_number());
    assert_eq!(output.stdout, tidegate(&[&arguments[..], &["--json"]].concat()).stdout);
}

#[test]
fn t1_names_the_line_and_the_field_of_a_fault() {
    let (folder, data) = traces("paper-faults");
    let fails = |name: &str, log: &str, problem: &str| {
        let file = folder.write(name, log);
        assert_fails(&["paper", "T1", "--data", &data, "--run", &file], 2, &format!("{file}: {problem}"));
    };
    let changed = |from: &str, to: &str| LOG.replacen(from, to, 1);
    fails(
        "vtc-late.jsonl",
        &changed("11.5", "1.25"),
        "line 2: request_latency: \"1.25\" is not at or after the first token",
    );
    fails(
        "vtc-text.jsonl",
        &changed(": 0.5,", ": -2,"),
        "line 1: first_token_latency: \"-2\" is not a time in seconds from 0 to 1000000000",
    );
    fails(
        "vtc-large.jsonl",
        &changed(": 200,", ": 9200,"),
        "line 2: output_len: \"9200\" is not one that fits the engine's memory with its prompt",
    );
    let names = "the name of a run begins with its policy: fcfs, lcf, vtc, vtc-predict, vtc-oracle or rpmN";
    fails("mine.jsonl", LOG, names);
    fails("rpm0-mine.jsonl", LOG, names);
    let none = folder.path("nothing");
    let missing = format!("{none}/vtc-runs/fcfs-overload.jsonl.gz: cannot be read: there is no such file");
    assert_fails(&["paper", "T1", "--data", &none], 2, &missing);
}

#[test]
fn each_table_has_help() {
    for arguments in [&["paper", "--help"][..], &["paper", "T1", "--help"], &["paper", "T6", "--help"]] {
        let output = tidegate(arguments);
        assert!(output.status.success() && text(&output.stdout).contains("Usage: "), "{arguments:?}");
    }
    assert_fails(&["paper", "T9"], 2, "unrecognized subcommand 'T9' (see --help)");
}

#[test]
fn t6_prints_the_same_twice() {
    let run = |arguments: &[&str]| {
        let output = tidegate(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        output.stdout
    };
    let value: Value = serde_json::from_slice(&run(&["paper", "T6", "--json"])).expect("JSON");
    assert_eq!((&value["table"], value["rows"].as_array().map(Vec::len)), (&"T6".into(), Some(4)));
    assert_eq!(run(&["paper", "T6", "--seed", "2"]), run(&["paper", "T6", "--seed", "2"]));
}
