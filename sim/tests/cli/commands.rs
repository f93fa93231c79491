//! What the subcommands print, and how they end.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::support::{CSV, Folder, assert_fails, text, tidegate};

#[test]
fn wrong_usage_is_told_in_one_line() {
    for (arguments, line) in [
        (&[][..], "a subcommand is missing (see --help)"),
        (&["papers"], "unrecognized subcommand 'papers' (see --help)"),
        (&["replay", "--what"], "unexpected argument '--what' found (see --help)"),
        (&["replay", "--trace", "azure"], "\"azure\" is no trace: expected KIND:PATH"),
        (&["replay", "--tier", "csv=P9"], "\"P9\" is not a tier: P0 to P7, or 0 to 7"),
        (
            &["replay", "--model", "gpt"],
            "--model: \"gpt\" is neither a file nor known, expected one of llama3-8b, a10g-llama7b, a100-opt13b-tp1, \
             a100-opt13b-tp1-vllm, a100-opt66b-tp4, h100-llama2-70b-tp8, a100-llama2-70b-tp8",
        ),
        (&["replay", "--scale", "-1"], "scale -1 is not a positive number"),
        (&["replay", "--scale-curve", "1,0"], "--scale-curve: 0 is not a positive number"),
        (&["replay", "--workers", "0"], "--workers 0: expected from 1 to 65536"),
        (
            &["replay", "--workers", "2"],
            "--workers 2: the dedicated set-up needs at least one for each of 3 tiers",
        ),
        (
            &["replay", "--setup", "best"],
            "invalid value 'best' for '--setup <NAME>' [possible values: dedicated, naive, tidegate, fcfs, rpm5, \
             rpm20, rpm30, lcf, vtc, vtc-predict, vtc-oracle, edf, srpf, niyama, vllm-priority, mclock, dlpm] (see --help)",
        ),
        (
            &["replay", "--chunk", "64"],
            "--chunk 64: 64 slots may decode 64 tokens, and no prompt would be computed",
        ),
        (
            &["replay", "--model", "a10g-llama7b", "--prompts", "2"],
            "--prompts: the engine of a10g-llama7b computes whole prompts",
        ),
        (
            &["replay", "--batches", "500"],
            "invalid value '500' for '--batches <ROWS/SECONDS>': expected ROWS/SECONDS, as 500/900 (see --help)",
        ),
        (
            &["replay", "--setup", "naive", "--journal", "x"],
            "--journal records the tidegate set-up, which --setup leaves out",
        ),
    ] {
        assert_fails(arguments, 2, line);
    }
}

#[test]
fn a_replay_prints_the_same_json_twice_and_its_journal_the_same_digest() {
    let folder = Folder::new("json");
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let journal = folder.path("run.journal");
    let replay = || {
        let output = tidegate(&[
            "replay",
            "--trace",
            &trace,
            "--json",
            "--check",
            "--journal",
            &journal,
            "--scale-curve",
            "2",
        ]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "no progress bar in a pipe");
        let mut value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        forget_times(&mut value["setups"]);
        forget_times(&mut value["scale_curve"][0]["setups"]);
        value
    };
    let value = replay();
    assert_eq!(value, replay());
    assert_eq!(value["tidegate"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&value["model"], &value["seed"]), (&"llama3-8b".into(), &1.into()));
    assert_eq!(value["workers"], 3, "one for each tier of the dedicated set-up");
    let setups = value["setups"].as_object().expect("an object");
    assert_eq!(setups.keys().collect::<Vec<_>>(), ["dedicated", "naive", "tidegate"]);
    for (name, setup) in setups {
        let requests = setup["requests"].as_object().expect("an object");
        assert_eq!((&requests["submitted"], &requests["completed"]), (&3.into(), &3.into()), "{name}");
        assert_eq!(setup["tiers"][0]["name"], "realtime");
        assert!(setup["tiers"][0]["ttft_ms"]["p50"].as_f64() > Some(50.0), "{name}");
        assert!(setup["tiers"][0]["queue_delay_ms"]["max"].is_f64(), "{name}");
        assert!(setup["throughput_of_best"].as_f64() <= Some(1.0), "{name}");
    }
    assert_eq!(value["scale_curve"][0]["scale"], 2.0);
    let output = tidegate(&["journal", "replay", &journal]);
    let digest = value["setups"]["tidegate"]["actions_digest"].as_str().expect("text");
    // 3 workers, 3 tenants, and of each request: submit, started, complete.
    let inputs = 3 + 3 + 3 * 3 + grown(&journal);
    assert_eq!(text(&output.stdout), format!("digest {digest} actions 3 inputs {inputs}\n"));
}

/// Removes what is not the same on every run, and sees that it was there.
fn forget_times(setups: &mut Value) {
    for setup in setups.as_object_mut().expect("an object").values_mut() {
        for key in ["wall_s", "requests_per_s", "scheduler_share"] {
            let time = setup.as_object_mut().expect("an object").remove(key);
            assert!(time.expect("the key is there").is_f64(), "{key}");
        }
    }
}

/// How often a request of a journal took one more block.
fn grown(journal: &str) -> usize {
    let text = fs::read_to_string(Path::new(journal)).expect("it was written");
    text.lines().filter(|line| line.split(' ').nth(1) == Some("progress")).count()
}

#[test]
fn a_table_names_the_model_the_workers_and_every_set_up() {
    let folder = Folder::new("table");
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let output = tidegate(&["replay", "--trace", &trace, "--workers", "4"]);
    assert!(output.status.success());
    let table = text(&output.stdout);
    for part in ["model llama3-8b", "4 workers", "dedicated", "naive", "tidegate", "P0 realtime", "P2 batch"]
    {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    let output = tidegate(&["replay", "--trace", &trace, "--setup", "naive"]);
    assert!(!text(&output.stdout).contains("dedicated"));
}

#[test]
fn scenarios_say_what_vllm_and_tidegate_do() {
    let output = tidegate(&["scenarios", "--json", "--draws", "1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&value["tidegate"], &value["draws"]), (&env!("CARGO_PKG_VERSION").into(), &1.into()));
    let figures = value["figures"].as_array().expect("a list");
    let scenarios: String = figures.iter().filter_map(|row| row["scenario"].as_str()).collect();
    assert_eq!(scenarios, "AABBCCCCCCCCEFF");
    let first = serde_json::json!({
        "scenario": "A", "order": "priority", "figure": "steps_until_computed",
        "published": 481.0, "vllm": 481.0, "tidegate": 1.0,
    });
    assert_eq!(figures[0], first);
    assert!(figures[4]["published"].is_null(), "what is published is of five draws");
    let output = tidegate(&["scenarios", "--draws", "1"]);
    assert!(text(&output.stdout).lines().nth(2).is_some_and(|line| {
        line.split_whitespace().eq(["A", "priority", "steps_until_computed", "481", "481", "1"])
    }));
    assert_fails(
        &["scenarios", "--draws", "0"],
        2,
        "invalid value '0' for '--draws <N>': 0 is not in 1..=10000 (see --help)",
    );
}

#[test]
fn neighbour_compares_the_sharings() {
    let folder = Folder::new("neighbour");
    let busy = format!("{CSV}0.3,P0,globex,64,8\n");
    let trace = format!("csv:{}", folder.write("trace.csv", busy));
    let command = ["neighbour", "--trace", &trace, "--workers", "1", "--slots", "4"];
    let output = tidegate(&[&command[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&value["noisy_tenant"], &value["noisy_share"]), (&"globex".into(), &0.5.into()));
    let runs = value["runs"].as_array().expect("a list");
    let names: Vec<_> =
        runs.iter().map(|run| (run["sharing"].as_str(), run["noisy_is_there"].as_bool())).collect();
    let there = |name| (Some(name), Some(true));
    assert_eq!(names, [(Some("fair"), Some(false)), there("fifo"), there("fair"), there("apart")]);
    assert!(runs[0]["of_without"].is_null() && runs[1]["throughput_of_fifo"] == 1.0, "{value}");
    let output = tidegate(&command);
    let table = text(&output.stdout);
    for part in
        ["model llama3-8b, 1 workers, each 4 slots", "noisy: globex, 50.0 % of 4", "\nwithout ", "\napart "]
    {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    let alone =
        format!("csv:{}", folder.write("alone.csv", CSV.lines().take(2).collect::<Vec<_>>().join("\n")));
    assert_fails(
        &["neighbour", "--trace", &alone, "--workers", "1"],
        2,
        "the workload has requests of one tenant only: nobody is its neighbour",
    );
    assert_fails(
        &["neighbour", "--trace", &trace, "--workers", "0"],
        2,
        "--workers 0: expected from 1 to 65536",
    );
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["replay", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built for this test");
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut errors).expect("UTF-8");
    assert_eq!((child.wait().expect("it ends").code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn help_says_what_there_is() {
    let output = tidegate(&["--help"]);
    assert!(output.status.success());
    for name in ["replay", "neighbour", "scenarios", "journal", "config"] {
        assert!(text(&output.stdout).contains(name), "{name}");
    }
    let output = tidegate(&["replay", "--help"]);
    for flag in
        ["--trace", "--tier", "--config", "--scale", "--scale-curve", "--workers", "--model", "--seed"]
    {
        assert!(text(&output.stdout).contains(flag), "{flag}");
    }
}
