//! `tidegate config`: a file with all that hosts read, manifests as such a file, and a replay of either.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::support::{Folder, assert_fails, text, tidegate};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/kubernetes");

/// Requests of the two teams of the examples; those of P0 that are not the chat's are above their right.
const TEAMS: &str = "arrival_s,tier,tenant,prompt_tokens,output_tokens\n\
    0.0,P0,team-chat,512,12\n\
    0.1,P1,team-reports,2048,16\n\
    0.2,P0,team-reports,100,5\n\
    0.3,P2,team-reports,900,40\n\
    0.4,P2,somebody,900,40\n";

const FILE: &str = "dimensions = [\"slots\", \"kv_blocks\"]\n\
    tiers = [{ name = \"realtime\", reserve_ppm = 300000 }, { name = \"near\" }, { name = \"batch\" }]\n\
    devices = [{ name = \"gpu\", limit = { kv_blocks = 3000 } }]\n\
    workers = [{ count = 3, capacity = { slots = 4, kv_blocks = 2000 }, devices = [\"gpu\"] }]\n\
    [tenants.team-reports]\n\
    most_urgent = \"near\"\n\
    [gateway]\n\
    max_tokens = 5\n";

/// What the command prints; it has to succeed.
fn printed(arguments: &[&str]) -> (String, String) {
    let output = tidegate(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    (text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
}

fn replayed(folder: &Folder, config: &str) -> Value {
    let trace = format!("csv:{}", folder.write("teams.csv", TEAMS));
    let arguments =
        ["replay", "--trace", &trace, "--config", config, "--setup", "tidegate", "--check", "--json"];
    serde_json::from_str(&printed(&arguments).0).expect("JSON")
}

#[test]
fn a_check_says_what_is_there_and_what_was_not_looked_at() {
    let folder = Folder::new("check");
    let file = folder.write("all.toml", FILE);
    let expected = format!(
        "{file}: ok: dimensions slots, kv_blocks; pools default; tiers realtime, near, batch; 1 tenant; \
             1 device; 3 workers; \
         not looked at: gateway\n"
    );
    assert_eq!(printed(&["config", "check", &file]).0, expected);
    let odd = folder.write("odd.toml", FILE.replace("most_urgent", "most_urgnet"));
    let output = tidegate(&["config", "check", &odd]);
    assert_eq!(output.status.code(), Some(2));
    let line = text(&output.stderr);
    assert!(
        line.starts_with(&format!("tidegate: {odd}: line 6: tenants.team-reports.most_urgnet: ")),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn a_replay_has_the_tenants_devices_and_workers_of_its_file() {
    let folder = Folder::new("hosted");
    let file = folder.write("all.toml", FILE);
    let result = replayed(&folder, &file);
    assert_eq!(result["workers"], 3);
    let requests = &result["setups"]["tidegate"]["requests"];
    assert_eq!(
        (&requests["submitted"], &requests["completed"], &requests["dropped"]),
        (&5.into(), &4.into(), &1.into())
    );
    let other = folder.write("no_tenant.toml", FILE.replace("most_urgent = \"near\"\n", ""));
    assert_eq!(replayed(&folder, &other)["setups"]["tidegate"]["requests"]["completed"], 5);
}

#[test]
fn a_replay_refuses_workers_that_it_cannot_have() {
    let folder = Folder::new("workers");
    let trace = format!("csv:{}", folder.write("teams.csv", TEAMS));
    let file = folder.write("all.toml", FILE);
    let arguments = ["replay", "--trace", &trace, "--config", &file, "--workers", "5"];
    assert_fails(&arguments, 2, "--workers: the config has workers of its own");
    let arguments = ["replay", "--trace", &trace, "--config", &file, "--slots", "5"];
    assert_fails(&arguments, 2, "--slots: the config says how many each of its workers has");
    let two =
        folder.write("two.toml", FILE.replace("[\"gpu\"] }]", "[\"gpu\"] }, { capacity = { slots = 1 } }]"));
    let line = format!("{two}: workers[1].capacity.kv_blocks: a replay has from 1 to 16777216");
    assert_fails(&["replay", "--trace", &trace, "--config", &two], 2, &line);
    let pools = FILE.replace("workers =", "pools = [\"a\", \"b\"]\nworkers =");
    let few = pools.replace("kv_blocks = 2000 },", "kv_blocks = 2000 }, most_urgent = \"near\",");
    let few = folder.write("few.toml", few);
    let line = format!(
        "{few}: workers: the workload has requests of tier P0, and no workers take them (most_urgent)"
    );
    assert_fails(&["replay", "--trace", &trace, "--config", &few], 2, &line);
    let empty: String =
        pools.lines().filter(|line| !line.starts_with("workers")).map(|line| format!("{line}\n")).collect();
    let empty = folder.write("empty.toml", empty);
    let line = format!("{empty}: pools: 2 given, and no workers in them: a replay's own are of one pool");
    assert_fails(&["replay", "--trace", &trace, "--config", &empty, "--workers", "3"], 2, &line);
    let none = folder.write("none.toml", FILE.replace("slots = 4, ", ""));
    let line = format!("{none}: workers[0].capacity.slots: a replay has from 1 to 16777216");
    assert_fails(&["replay", "--trace", &trace, "--config", &none], 2, &line);
    let spare = "[\"gpu\"] }, { capacity = { slots = 4, kv_blocks = 2000 }, spare = true }]";
    let spare = folder.write("spare.toml", FILE.replace("[\"gpu\"] }]", spare));
    let line = format!("{spare}: workers[1].spare: a replay loses nobody");
    assert_fails(&["replay", "--trace", &trace, "--config", &spare], 2, &line);
}

#[test]
fn a_check_warns_of_crowded_devices() {
    let folder = Folder::new("crowded");
    let file = folder.write("crowded.toml", FILE.replace("count = 3", "count = 9, kind = \"mps\""));
    let (told, warned) = printed(&["config", "check", &file]);
    assert!(told.contains("1 device; 9 workers"), "{told}");
    let line =
        format!("tidegate: {file}: 9 engines share \"gpu\": with more than 4 each is small and slow\n");
    assert_eq!(warned, line);
}

#[test]
fn the_examples_become_a_file_that_is_replayed() {
    let folder = Folder::new("examples");
    let (toml, notes) = printed(&["config", "from-k8s", EXAMPLES]);
    assert!(notes.lines().all(|line| line.starts_with("tidegate: ")), "{notes}");
    assert!(notes.contains("40-vllm.yaml: line 47: Service inference/vllm: says nothing"), "{notes}");
    let file = folder.write("cluster.toml", &toml);
    let told = printed(&["config", "check", &file]).0;
    assert!(
        told.contains(
            "tiers realtime, near-realtime, batch; 3 tenants; 2 devices; 8 workers; not looked at: vllm"
        ),
        "{told}"
    );
    let result = replayed(&folder, &file);
    let setup = &result["setups"]["tidegate"];
    assert_eq!((&result["workers"], &setup["requests"]["completed"]), (&8.into(), &4.into()));
    // And back: the manifests of that file say the same again, and are replayed alike.
    let manifests = folder.write("again.yaml", printed(&["config", "to-k8s", &file]).0);
    let again = folder.write("again.toml", printed(&["config", "from-k8s", &manifests]).0);
    assert_eq!(replayed(&folder, &again)["setups"]["tidegate"]["actions_digest"], setup["actions_digest"]);
}

#[test]
fn manifests_come_from_standard_input_too() {
    let class = "{\"apiVersion\": \"scheduling.k8s.io/v1\", \"kind\": \"PriorityClass\", \
        \"metadata\": {\"name\": \"a\"}, \"value\": 1}";
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["config", "from-k8s", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built for this test");
    let list = format!("{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{class}]}}");
    child.stdin.take().expect("piped").write_all(list.as_bytes()).expect("it reads all"); // and closes it
    let output = child.wait_with_output().expect("it ends");
    assert!(text(&output.stdout).contains("[[tiers]]\nname = \"a\"\n"), "{}", text(&output.stdout));
}

#[test]
fn manifests_that_cannot_be_read_are_told_with_file_and_line() {
    let folder = Folder::new("manifests");
    let latin = folder.write("latin.yaml", b"a: 1\nb: caf\xe9\n");
    assert_fails(
        &["config", "from-k8s", &latin],
        2,
        &format!("{latin}: line 2: is not UTF-8 at byte 7 of the line"),
    );
    let absent = folder.path("absent.yaml");
    assert_fails(
        &["config", "from-k8s", &absent],
        2,
        &format!("{absent}: cannot be read: there is no such file"),
    );
    let circle = folder.write("circle.yaml", "kind: &a\n  - *a\n");
    let line = format!("{circle}: line 2: an alias to something that it is part of");
    assert_fails(&["config", "from-k8s", &circle], 2, &line);
    let huge = folder.write("huge.yaml", vec![b' '; (16 << 20) + 1]);
    assert_fails(&["config", "from-k8s", &huge], 2, &format!("{huge}: is longer than 16777216 bytes"));
    let empty = Folder::new("empty");
    assert_fails(
        &["config", "from-k8s", &empty.path(".")],
        2,
        &format!("{}: has no .yaml, .yml or .json", empty.path(".")),
    );
    let name = folder.write("name.toml", FILE.replace("\"near\"", "\"Near by\""));
    let output = tidegate(&["config", "to-k8s", &name]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("line 2: tiers[1].name: is no name of a PriorityClass"),
        "{}",
        text(&output.stderr)
    );
}
