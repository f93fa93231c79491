//! Replays on replicas that share devices: what a set-up has of them, and what they cost.

use std::fmt::Write;

use serde_json::Value;

use super::support::{Folder, text, tidegate};

const TIERS: &str = "dimensions = [\"slots\", \"kv_blocks\"]\nplacement = \"spread\"\n\
    tiers = [{ name = \"realtime\", reserve_ppm = 300000 }, { name = \"near\" }, { name = \"batch\" }]\n";
/// Two devices of 32 slots and 2,000 blocks, in four replicas each.
const REPLICAS: &str =
    "shared = { kind = \"time-slice\", replicas = 4, units = { slots = 32, kv_blocks = 2000 } }";
/// The same two, whole.
const WHOLE: &str = "workers = [{ count = 2, capacity = { slots = 32, kv_blocks = 2000 } }]\n";
const SETUPS: [&str; 4] = ["dedicated", "naive", "tidegate", "fcfs"];

/// Of two tiers, four seconds of them, and one that wants more than a quarter of a device if `long`.
fn traffic(folder: &Folder, long: bool) -> String {
    let mut rows = String::from("arrival_s,tier,tenant,prompt_tokens,output_tokens\n");
    for index in 0..400_u32 {
        let (tier, prompt) =
            (index % 2 * 2, if long && index == 7 { 12_000 } else { 200 + 37 * index % 900 });
        writeln!(
            rows,
            "{},P{tier},t{},{prompt},{}",
            f64::from(index) / 100.0,
            index % 3,
            40 + 53 * index % 160
        )
        .expect("a string takes all");
    }
    format!("csv:{}", folder.write("traffic.csv", rows))
}

fn replicas(folder: &Folder) -> String {
    let devices = format!("devices = [{{ name = \"a\", {REPLICAS} }}, {{ name = \"b\", {REPLICAS} }}]\n");
    folder.write("replicas.toml", format!("{TIERS}{devices}"))
}

fn replay<'a>(trace: &'a str, config: &'a str, rest: &[&'a str]) -> String {
    let setups = SETUPS.iter().flat_map(|name| ["--setup", name]);
    let arguments = ["replay", "--trace", trace, "--config", config, "--check"].into_iter();
    let arguments: Vec<&str> = arguments.chain(setups).chain(rest.iter().copied()).collect();
    let output = tidegate(&arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

fn told(trace: &str, config: &str, rest: &[&str]) -> Value {
    serde_json::from_str(&replay(trace, config, &[rest, &["--json"]].concat())).expect("JSON")
}

fn seconds(result: &Value, setup: &str) -> f64 {
    result["setups"][setup]["simulated_s"].as_f64().unwrap_or_else(|| panic!("{setup}: {result}"))
}

#[test]
fn replicas_are_no_faster_and_no_dearer_than_the_devices_that_they_share() {
    let folder = Folder::new("replicas");
    let (trace, shared) = (traffic(&folder, false), replicas(&folder));
    let whole = folder.write("whole.toml", format!("{TIERS}{WHOLE}"));
    let page = folder.path("page.html");
    let on_whole = told(&trace, &whole, &["--report", &page]);
    let of_whole = std::fs::read_to_string(&page).expect("it was written");
    let on_shared = told(&trace, &shared, &["--report", &page]);
    let of_shared = std::fs::read_to_string(&page).expect("it was written");
    assert_eq!((&on_shared["workers"], &on_shared["slowdown"]), (&8.into(), &4.0.into()));
    assert_eq!((&on_whole["workers"], &on_whole["slowdown"]), (&2.into(), &Value::Null));
    for setup in SETUPS {
        let times = seconds(&on_shared, setup) / seconds(&on_whole, setup);
        assert!((0.95..=4.0).contains(&times), "{setup} takes {times} times as long on replicas");
    }
    let month = |page: &str| {
        let row = page.lines().find(|line| line.contains("a month of these workers")).expect("it is told");
        row.to_owned()
    };
    assert_eq!(month(&of_shared), month(&of_whole), "a device is paid for once");
    assert!(of_shared.contains("8 workers on 2 GPUs at 2.745 USD an hour each"), "and the page says so");
    let table = replay(&trace, &shared, &[]);
    let lines = [
        "8 workers, each 8 slots, 500 KV blocks of 16 tokens",
        "  on average: those of tidegate and naive are as its config has them, those of the others alike",
        "  devices are shared: while all compute, an iteration takes 4.00 times as long as the model says",
    ];
    for line in lines {
        assert!(table.contains(line), "{line}\n{table}");
    }
}

#[test]
fn who_knows_devices_may_use_all_of_one_for_a_request() {
    let folder = Folder::new("long-on-replicas");
    let result = told(&traffic(&folder, true), &replicas(&folder), &[]);
    for (setup, completed) in [("tidegate", 400), ("naive", 400), ("dedicated", 399), ("fcfs", 399)] {
        let requests = &result["setups"][setup]["requests"];
        let expected = (completed.into(), (400 - completed).into());
        assert_eq!((&requests["completed"], &requests["dropped"]), (&expected.0, &expected.1), "{setup}");
    }
}
