//! What people ask of a journal: it is done again bit for bit, up to where they want to look.

use std::collections::BTreeMap;

use serde_json::Value;

use super::support::{Folder, assert_fails, text, tidegate};

/// A run in which every verb occurs.
const JOURNAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/every_verb.journal");

fn printed(arguments: &[&str]) -> String {
    let output = tidegate(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_string()
}

/// Of the last line of a replay: the digest, and how many actions.
fn replayed(text: &str) -> (String, u64) {
    let words: Vec<_> = text.lines().last().expect("a line").split(' ').collect();
    assert_eq!((words[0], words[2], words[4]), ("digest", "actions", "inputs"));
    (words[1].to_string(), words[3].parse().expect("a number"))
}

#[test]
fn all_entries_and_all_actions_are_shown_by_their_numbers() {
    let shown = printed(&["journal", "show", JOURNAL]);
    let (_, actions) = replayed(&printed(&["journal", "replay", JOURNAL]));
    let told = shown.lines().filter(|line| line.split(' ').nth(1) == Some("action"));
    let numbers: Vec<u64> =
        told.map(|line| line.split(' ').nth(2).expect("its number").parse().expect("one")).collect();
    assert_eq!(numbers, (1..=actions).collect::<Vec<_>>());
    let part = printed(&["journal", "show", JOURNAL, "--from", "21", "--to", "23"]);
    assert!(
        part.starts_with("21 input 7 submit ") && part.contains("\n23 action 2 7 start request="),
        "{part}"
    );
    assert!(shown.contains(&part));
    assert!(shown.contains("\n16 refused: tenant 4 is not known\n"));
}

/// The built-in workload, of which some are asked every ten seconds.
#[test]
fn half_of_the_estimates_for_those_who_wait_are_off_by_less_than_a_quarter() {
    let folder = Folder::new("estimates");
    let journal = folder.path("replay.journal");
    printed(&["replay", "--setup", "tidegate", "--journal", &journal]);
    let told = printed(&["journal", "estimates", &journal]);
    let figure = |asked: &str, name: &str| -> f64 {
        let line =
            told.lines().find(|line| line.starts_with(&format!("asked {asked} "))).expect("both are told");
        let mut words = line.split(' ').skip_while(|word| *word != name);
        words.nth(1).and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    assert!(figure("while-waiting", "compared") > 500.0, "{told}");
    assert!(figure("while-waiting", "error_p50") < 0.25, "{told}");
    assert!(figure("while-waiting", "untold") < 50.0, "{told}");
    assert!(figure("at-submission", "compared") > 1_000.0, "{told}");
}

#[test]
fn a_replay_stops_before_any_action_with_the_digest_of_those_before_it() {
    let (whole, actions) = replayed(&printed(&["journal", "replay", JOURNAL]));
    let mut last = String::new();
    for action in [1, 2, 12, actions / 2, actions] {
        let stopped = printed(&["journal", "replay", JOURNAL, "--until", &action.to_string()]);
        let (digest, done) = replayed(&stopped);
        assert_eq!(done, action - 1);
        assert!(digest != last && digest != whole, "each action changes the digest");
        let shown = printed(&["journal", "show", JOURNAL]);
        let next = stopped.lines().find_map(|line| line.strip_prefix("next: ")).expect("what comes next");
        assert!(shown.contains(&format!(" {next}\n")), "{next} is what is shown");
        assert!(stopped.starts_with("state at ") && stopped.contains("\npool=first tier=realtime reserved="));
        last = digest;
    }
    let beyond = (actions + 1).to_string();
    let line = format!("--until {beyond}: the journal has {actions} actions");
    assert_fails(&["journal", "replay", JOURNAL, "--until", &beyond], 2, &line);
}

#[test]
fn lines_are_found_by_what_they_are_about() {
    let shown = printed(&["journal", "show", JOURNAL]);
    let stops = printed(&["journal", "grep", JOURNAL, "--word", "preempt"]);
    assert!(
        stops.lines().count() > 3 && stops.lines().all(|line| line.contains(" preempt request=")),
        "{stops}"
    );
    let first = printed(&["journal", "grep", JOURNAL, "--request", "4294967296"]);
    assert!(first.starts_with("21 made request=4294967296\n23 action 1 "), "{first}");
    let acme = printed(&["journal", "grep", JOURNAL, "--tenant", "acme", "--word", "start"]);
    let all = printed(&["journal", "grep", JOURNAL, "--word", "start"]);
    assert!(!acme.is_empty() && acme.lines().count() < all.lines().count());
    for line in acme.lines().chain(first.lines()) {
        assert!(shown.contains(line));
    }
    assert_fails(
        &["journal", "grep", JOURNAL, "--tenant", "nobody"],
        2,
        "--tenant \"nobody\": the journal knows no such tenant",
    );
    let stored = printed(&["journal", "grep", JOURNAL, "--worker", "7", "--word", "cache_stored"]);
    assert!(!stored.is_empty() && stored.lines().all(|line| line.contains(" cache_stored 7 ")), "{stored}");
}

#[test]
fn two_journals_part_at_the_first_entry_that_differs() {
    let folder = Folder::new("diff");
    let same = printed(&["journal", "diff", JOURNAL, JOURNAL]);
    assert_eq!(same, printed(&["journal", "replay", JOURNAL]));
    let whole = std::fs::read_to_string(JOURNAL).expect("it is committed");
    let changed = folder
        .write("changed.journal", whole.replacen("progress 4294967297 1 1 ", "progress 4294967297 1 2 ", 1));
    let output = tidegate(&["journal", "diff", JOURNAL, &changed]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), "tidegate: entry 25 differs\n"));
    let told = text(&output.stdout);
    assert!(
        told.starts_with("- 25 input 7 progress 4294967297 1 1 ")
            && told.contains("\n+ 25 input 7 progress 4294967297 1 2 ")
    );
    assert_eq!(replayed(told).1, 2);
    let other = folder.write("other.journal", whole.replacen("start 7", "start 6", 1));
    assert_fails(&["journal", "diff", JOURNAL, &other], 1, "they begin at different instants");
}

#[test]
fn the_life_of_a_request_is_told_with_what_held_it_back() {
    let waits = printed(&["journal", "grep", JOURNAL, "--word", "preempt"]);
    let beneficiary = waits.lines().find_map(|line| {
        line.split(' ').find_map(|word| word.strip_prefix("beneficiary=")).filter(|&whom| whom != "-")
    });
    let request = beneficiary.expect("somebody was stopped for somebody");
    let life = printed(&["journal", "explain", JOURNAL, request]);
    assert!(
        life.contains("held back by claim: its claim waits for victims to give back their units"),
        "{life}"
    );
    assert!(life.contains(&format!("made request={request}\n")));
    assert_fails(&["journal", "explain", JOURNAL, "77"], 2, "the journal knows no request 77");
}

#[test]
fn bills_add_up_whatever_the_periods_and_cost_what_the_table_says() {
    let folder = Folder::new("chargeback");
    let prices = folder.write(
        "prices.json",
        r#"{"currency": "USD", "tiers": {
            "realtime": {"guaranteed_unit_second_nano": {"slots": 700001}, "prompt_token_nano": 3, "preemption_nano": -1000},
            "batch": {"borrowed_unit_second_nano": {"slots": 31, "kv_blocks": 7}, "output_token_nano": 11}}}"#,
    );
    let bills = |more: &[&str]| -> Value {
        let arguments = [&["chargeback", JOURNAL, "--prices", &prices, "--format", "json"], more].concat();
        serde_json::from_str(&printed(&arguments)).expect("JSON")
    };
    let whole = bills(&[]);
    for every in ["1", "7", "3600"] {
        let parts = bills(&["--every", every]);
        assert_eq!(parts["total"], whole["total"], "periods of {every} s");
        let (mut sums, mut by_tenant) =
            (BTreeMap::<String, i64>::new(), BTreeMap::<(String, String), i64>::new());
        for row in parts["rows"].as_array().expect("a list") {
            for (name, number) in row.as_object().expect("an object") {
                *sums.entry(name.clone()).or_default() += number.as_i64().unwrap_or(0);
            }
            let name = |field: &str| row[field].as_str().expect("a name").to_string();
            *by_tenant.entry((name("tenant"), name("tier"))).or_default() +=
                row["cost_nano"].as_i64().expect("a cost");
        }
        for (name, total) in whole["total"].as_object().expect("an object") {
            assert_eq!(sums[name], total.as_i64().expect("a number"), "{name}");
        }
        for row in whole["rows"].as_array().expect("a list") {
            let whose = (
                row["tenant"].as_str().expect("a name").into(),
                row["tier"].as_str().expect("a name").into(),
            );
            assert_eq!(by_tenant[&whose], row["cost_nano"].as_i64().expect("a cost"), "{whose:?}");
        }
    }
    let csv = printed(&["chargeback", JOURNAL, "--prices", &prices, "--every", "7"]);
    assert_eq!(csv.lines().count(), 1 + bills(&["--every", "7"])["rows"].as_array().expect("a list").len());
    assert!(csv.starts_with("from_ns,to_ns,tenant,tier,completed_requests,"), "{csv}");
    assert_fails(
        &["chargeback", JOURNAL, "--every", "0"],
        2,
        "--every 0: expected a number of seconds above zero",
    );
    let unknown = folder.write("unknown.json", r#"{"tiers": {"best": {}}}"#);
    let line = format!("{unknown}: tiers.best: the config has no such tier");
    assert_fails(&["chargeback", JOURNAL, "--prices", &unknown], 2, &line);
}
