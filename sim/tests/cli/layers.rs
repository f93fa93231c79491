//! The three layers (slices of GPUs, priority classes, requests under quotas) from one set of manifests, in `tidegate replay`.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::support::{Folder, text, tidegate};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/kubernetes");

/// Engines of other sizes and classes: on slices of the GPUs that the examples share, and on two GPUs together.
const FURTHER: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: vllm-batch, namespace: inference}
spec:
  replicas: 4
  template:
    spec:
      priorityClassName: batch
      containers:
        - name: vllm
          args: [--max-num-seqs=2, --num-gpu-blocks-override=400]
          resources: {limits: {nvidia.com/gpu.shared: 1}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: vllm-large, namespace: inference}
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: vllm
          args: [--max-num-seqs=8, --num-gpu-blocks-override=3000]
          resources: {limits: {nvidia.com/gpu: 2}}
";

/// Slots of each worker of those manifests, and the workers of the class batch.
const SLOTS: [(std::ops::Range<u64>, i32); 3] = [(0..8, 4), (8..12, 2), (12..13, 8)];
const OF_BATCH: std::ops::Range<u64> = 8..12;
const LARGE: u64 = 12;
/// Six slices, as the quota of the team has them.
const OF_CHAT: i32 = 6 * 4;
/// A prompt that only the large engine can hold: the others have 512 and 400 blocks of 16 tokens.
const LONG: u64 = 9_000;
const REQUESTS: u64 = 600;

pub(super) fn printed(arguments: &[&str]) -> String {
    let output = tidegate(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// The examples with small engines, so that there is something to wait for, and the further ones.
fn cluster(folder: &Folder) -> String {
    let mut arguments = vec!["config".to_owned(), "from-k8s".to_owned()];
    let mut names: Vec<_> = std::fs::read_dir(EXAMPLES)
        .expect("the examples")
        .map(|entry| entry.expect("readable").path())
        .collect();
    names.sort();
    for path in names {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let manifest = std::fs::read_to_string(&path).expect("text");
        let small = manifest.replace("--max-num-seqs=64", "--max-num-seqs=4");
        arguments.push(folder.write(&name, small.replace("override=2048", "override=512")));
    }
    arguments.push(folder.write("60-further.yaml", FURTHER));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    folder.write("cluster.toml", printed(&arguments))
}

/// A burst of the teams in all tiers, the same every time; every fiftieth prompt is long.
fn burst(folder: &Folder) -> String {
    let (mut rows, mut state) = (String::from("arrival_s,tier,tenant,prompt_tokens,output_tokens\n"), 1_u64);
    for index in 0..REQUESTS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = |of: u64, from: u64| (state >> from) % of;
        let tenant = ["team-chat", "team-chat", "team-reports"][draw(3, 33) as usize];
        let prompt = if index % 50 == 7 { LONG } else { 200 + draw(1_800, 20) };
        let (arrival, tier, output) = (index as f64 / 50.0, draw(3, 40), 20 + draw(200, 47));
        writeln!(rows, "{arrival},P{tier},{tenant},{prompt},{output}").expect("a string takes all");
    }
    format!("csv:{}", folder.write("burst.csv", rows))
}

/// An attempt: worker, tier, tenant, and from when to when in nanoseconds.
pub(super) struct Attempt<'a> {
    pub(super) worker: u64,
    pub(super) tier: &'a str,
    pub(super) tenant: &'a str,
    request: u64,
    from: u64,
    until: u64,
}

pub(super) fn attempts(timeline: &Value) -> Vec<Attempt<'_>> {
    let events =
        timeline["traceEvents"].as_array().expect("a list").iter().filter(|event| event["ph"] == "X");
    let ns = |value: &Value| (value.as_f64().expect("a number") * 1e3).round() as u64;
    let attempt = |event: &'_ Value| {
        let event: &Value = event;
        (event["pid"].as_u64().expect("a number") - 1, ns(&event["ts"]), ns(&event["dur"]))
    };
    events
        .map(|event| {
            let (worker, from, lasts) = attempt(event);
            Attempt {
                worker,
                tier: event["name"].as_str().expect("a tier"),
                tenant: event["args"]["tenant"].as_str().expect("a tenant"),
                request: event["args"]["request"].as_u64().expect("a number"),
                from,
                until: from + lasts,
            }
        })
        .collect()
}

/// The most of these that run at one time; at one instant those that end come first.
fn most_at_once<'a>(attempts: impl Iterator<Item = &'a Attempt<'a>>) -> i32 {
    let mut changes: Vec<(u64, i32)> =
        attempts.flat_map(|attempt| [(attempt.from, 1), (attempt.until, -1)]).collect();
    changes.sort_unstable();
    let running = changes.iter().scan(0, |running, (_, change)| {
        *running += change;
        Some(*running)
    });
    running.max().unwrap_or(0)
}

pub(super) fn assert_conserved(setup: &Value) {
    let count = |name: &str| setup["requests"][name].as_u64().expect("a number");
    let ended: u64 = ["completed", "dropped", "failed", "cancelled", "live"].map(count).iter().sum();
    assert_eq!((count("submitted"), count("live")), (ended, 0), "{}", setup["requests"]);
}

#[test]
fn slices_classes_and_quotas_of_one_set_of_manifests_hold_in_a_replay() {
    let folder = Folder::new("layers");
    let (config, trace, file) = (cluster(&folder), burst(&folder), folder.path("timeline.json"));
    let arguments = ["replay", "--trace", &trace, "--config", &config, "--check", "--json"];
    let own = [&arguments[..], &["--setup", "tidegate", "--timeline", &file]].concat();
    let result: Value = serde_json::from_str(&printed(&own)).expect("JSON");
    let setup = &result["setups"]["tidegate"];
    assert_eq!((&result["workers"], &setup["requests"]["submitted"]), (&13.into(), &REQUESTS.into()));
    assert_conserved(setup);
    let timeline = std::fs::read_to_string(&file).expect("it was written");
    let timeline: Value = serde_json::from_str(&timeline).expect("JSON");
    let attempts = attempts(&timeline);
    for (workers, slots) in SLOTS {
        for worker in workers {
            let most = most_at_once(attempts.iter().filter(|attempt| attempt.worker == worker));
            assert!((1..=slots).contains(&most), "worker {worker} of {slots} slots ran {most}");
        }
    }
    let is_of_batch = |attempt: &&Attempt<'_>| OF_BATCH.contains(&attempt.worker);
    assert!(attempts.iter().filter(is_of_batch).all(|attempt| attempt.tier == "batch"), "the class says who");
    let chat = most_at_once(attempts.iter().filter(|attempt| attempt.tenant == "team-chat"));
    assert_eq!(chat, OF_CHAT, "the quota is reached, and holds");
    let reports = attempts.iter().filter(|attempt| attempt.tenant == "team-reports");
    assert!(reports.clone().count() > 0 && reports.clone().all(|attempt| attempt.tier != "realtime"));
    let long = attempts.iter().filter(|attempt| attempt.request % 50 == 7);
    assert!(long.clone().count() > 0 && long.clone().all(|attempt| attempt.worker == LARGE));

    // The other set-ups run beside it, on as many workers, and again it comes out the same.
    let all: Value = serde_json::from_str(&printed(&arguments)).expect("JSON");
    let setups: BTreeMap<_, _> = all["setups"].as_object().expect("a map").iter().collect();
    assert_eq!(
        setups.keys().map(|name| name.as_str()).collect::<Vec<_>>(),
        ["dedicated", "naive", "tidegate"]
    );
    setups.values().for_each(|setup| assert_conserved(setup));
    assert_eq!(setups[&"tidegate".to_owned()]["actions_digest"], setup["actions_digest"]);
}
