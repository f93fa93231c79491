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

/// A folder with a few rows of each file that T2 and T3 read.
fn lengths(name: &str) -> (Folder, String) {
    let folder = Folder::new(name);
    for part in ["sharegpt-8k", "azure2023", "vidur-arxiv"] {
        std::fs::create_dir_all(folder.path(part)).expect("a place for temporary files");
    }
    let rows =
        "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n900,50,950,18\n300,90,390,3.3\n";
    folder.write("sharegpt-8k/sharegpt_8k_lengths.part1.csv.gz", rows);
    folder.write("vidur-arxiv/arxiv_summarization_lengths.part1.csv.gz", rows);
    let stamps = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n\
        2023-11-16 18:15:50.9951690,396,109\n";
    folder.write("azure2023/AzureLLMInferenceTrace_conv.part1.csv.gz", stamps);
    let path = folder.path("");
    (folder, path)
}

#[test]
fn t2_and_t3_print_the_same_twice_and_their_json_has_the_keys_of_all_tables() {
    let (folder, data) = lengths("paper-t2");
    let t2 = ["paper", "T2", "--data", &data, "--requests", "20", "--draws", "2"];
    let t3 = ["paper", "T3", "--data", &data, "--seconds", "10"];
    for (arguments, figure, rows) in [(&t2[..], "violations_percent", 48), (&t3[..], "ttft_p99_ms", 18)] {
        let printed = tidegate(arguments);
        assert!(printed.status.success(), "{}", text(&printed.stderr));
        assert!(text(&printed.stdout).contains("model llama3-8b"), "{}", text(&printed.stdout));
        let arguments = [arguments, &["--json"]].concat();
        let output = tidegate(&arguments);
        let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&value["table"], &value["model"]), (&arguments[1].into(), &"llama3-8b".into()));
        assert_eq!(value["rows"].as_array().map(Vec::len), Some(rows));
        for part in ["reproduced", "tidegate"] {
            assert!(value["rows"][0][part][figure].is_number(), "{part}: {}", value["rows"][0]);
        }
        for part in ["published", "error"] {
            assert!(value["rows"][0][part].is_object(), "{part}: {}", value["rows"][0]);
        }
        assert!(value["tidegate"].as_object().is_some_and(|figures| !figures.is_empty()));
        let plot = folder.path("plot.svg");
        assert_eq!(output.stdout, tidegate(&[&arguments[..], &["--plot", &plot]].concat()).stdout);
        let drawn = std::fs::read_to_string(&plot).expect("it was drawn");
        assert!(drawn.starts_with("<svg ") && drawn.contains(">tidegate<"), "{drawn}");
    }
    let wrong = folder.write("wrong.csv", "num_prefill_tokens,num_decode_tokens\n900,x\n");
    let problem = format!("{wrong}: line 2: num_decode_tokens: ");
    let output = tidegate(&[&t2[..], &["--run", &wrong]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(&problem), "{}", text(&output.stderr));
}

#[test]
fn each_table_has_help() {
    for table in ["T1", "T2", "T3", "T6"] {
        let output = tidegate(&["paper", table, "--help"]);
        assert!(output.status.success() && text(&output.stdout).contains("Usage: "), "{table}");
    }
    assert!(tidegate(&["paper", "--help"]).status.success());
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
