//! The page and the timeline of a replay. How the page looks is for a browser: `tests/engines/browser`.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::support::{CSV, Folder, assert_fails, text, tidegate};

#[test]
fn a_report_is_one_page_that_fetches_nothing() {
    let folder = Folder::new("report");
    let hostile = CSV.replace("acme", "<script>alert(1)</script>");
    let trace = format!("csv:{}", folder.write("trace.csv", hostile));
    let report = folder.path("report.html");
    let output = tidegate(&["replay", "--trace", &trace, "--report", &report, "--workers", "3"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = fs::read_to_string(&report).expect("it was written");
    for fetched in ["<script", "<link", "src=", "http:", "https:", "@import", "url("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "the tenant is named");
    assert!(page.contains("prefers-color-scheme: dark"));
    for tier in ["P0 realtime: first token", "P1 near-realtime: first token", "P2 batch: first token"] {
        assert!(page.contains(tier), "{tier}");
    }
    for setup in ["dedicated", "naive", "tidegate"] {
        assert!(page.contains(&format!("{setup}: capacity over time")), "{setup}");
        assert!(page.contains(&format!("{setup}: service of the tenants")), "{setup}");
    }
    // Three workers at the list price for 730 hours, shared in two of the set-ups.
    assert!(page.contains("<h2>Cost</h2>"));
    let month = "<td>a month of these workers</td><td>6,012</td><td>6,012</td><td>6,012</td>";
    assert!(page.contains(month), "{page}");
    assert!(page.contains("for a million tokens of P2 batch"));
    assert!(page.contains("P0&#39;s reserve") || page.contains("P0's reserve"));
    assert!(!page.contains("NaN") && !page.contains("inf"), "all that is drawn has a place");
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn a_plot_is_one_picture_of_tidegate_while_work_waits() {
    let folder = Folder::new("plot");
    let [plot, other] = ["all.svg", "other.svg"].map(|name| folder.path(name));
    let replay = ["replay", "--workers", "6", "--setup", "naive"];
    let draw = |more: &[&str]| {
        let output = tidegate(&[&replay, more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    draw(&["--setup", "tidegate", "--plot", &plot]);
    draw(&["--plot", &other]);
    let [drawn, other] = [&plot, &other].map(|path| fs::read_to_string(path).expect("it was written"));
    assert!(drawn.starts_with("<svg xmlns=") && drawn.contains("prefers-color-scheme: dark"), "{drawn}");
    for part in [": tidegate<", "P0 realtime, within its reserve", "P2 batch, borrowed", "P0's reserve: 30 %"]
    {
        assert!(drawn.contains(part), "{part}");
    }
    assert!(other.contains(": naive<") && !other.contains("P0's reserve"), "nobody has one there");
    // The backlog is served in ten minutes of thirty.
    assert!(drawn.contains(">10 min<") && !drawn.contains(">15 min<"));
    for drawn in [drawn, other] {
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "all that is drawn has a place");
        assert_eq!(drawn.matches("<svg").count(), drawn.matches("</svg>").count());
    }
}

#[test]
fn a_timeline_is_a_chrome_trace_in_which_no_place_is_taken_twice() {
    let folder = Folder::new("timeline");
    let timeline = folder.path("timeline.json");
    let output =
        tidegate(&["replay", "--setup", "tidegate", "--workers", "4", "--timeline", &timeline, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let setup = &serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["setups"]["tidegate"];
    let written: Value = serde_json::from_slice(&fs::read(&timeline).expect("it was written")).expect("JSON");
    let events = written["traceEvents"].as_array().expect("a list");
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    let mut lanes: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
    let mut named = Vec::new();
    for event in events {
        let pid = event["pid"].as_u64().expect("every event has a process");
        match event["ph"].as_str().expect("every event says what it is") {
            "M" => named.push(pid),
            "C" => {
                assert!(event["ts"].is_f64(), "{event}");
                let values = event["args"].as_object().expect("a value for each tier");
                assert!(values.len() == 3 && values.values().all(|value| value.is_f64()), "{event}");
            }
            "X" => {
                let (ts, length) = (event["ts"].as_f64(), event["dur"].as_f64());
                let (ts, length) = (ts.expect("when"), length.expect("how long"));
                assert!(named.contains(&pid) && event["name"].is_string(), "{event}");
                lanes
                    .entry((pid, event["tid"].as_u64().expect("where")))
                    .or_default()
                    .push((ts, ts + length));
                *ends.entry(event["cat"].as_str().expect("how it ended")).or_default() += 1;
            }
            other => panic!("{other} is no kind of event that we write"),
        }
    }
    for spans in lanes.values_mut() {
        spans.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 0.01), "one after the other");
    }
    let preemptions =
        setup["tiers"].as_array().expect("a list").iter().map(|tier| tier["preemptions"].as_u64());
    assert_eq!(ends["preempted"], preemptions.map(|count| count.expect("a number")).sum::<u64>());
    assert_eq!(ends["completed"], setup["requests"]["completed"].as_u64().expect("a number"));
    assert!(ends["preempted"] > 0, "four workers are too few for all");
    assert_eq!(ends.len(), 2, "{ends:?}");
}

#[test]
fn to_watch_changes_no_decision() {
    let folder = Folder::new("watch");
    let digest = |arguments: &[&str]| {
        let output =
            tidegate(&[&["replay", "--setup", "tidegate", "--workers", "4", "--json"], arguments].concat());
        let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        value["setups"]["tidegate"]["actions_digest"].clone()
    };
    let files = ["report.html", "timeline.json", "plot.svg"].map(|name| folder.path(name));
    assert_eq!(digest(&[]), digest(&["--report", &files[0], "--timeline", &files[1]]));
    assert_eq!(digest(&[]), digest(&["--plot", &files[2]]));
}

#[test]
fn a_report_replaces_nothing_that_is_read() {
    let folder = Folder::new("replaces");
    let path = folder.write("trace.csv", CSV);
    let trace = format!("csv:{path}");
    for flag in ["--report", "--plot", "--timeline"] {
        let line = format!("{path}: {flag} would replace the file that --trace reads");
        assert_fails(&["replay", "--trace", &trace, flag, &path], 2, &line);
    }
    let one = folder.path("one.out");
    let line = format!("{one}: --timeline would replace the file that --report writes");
    assert_fails(&["replay", "--trace", &trace, "--report", &one, "--timeline", &one], 2, &line);
    let round_about = folder.path("./one.out");
    let line = format!("{round_about}: --report would replace the file that --journal writes");
    assert_fails(&["replay", "--trace", &trace, "--journal", &one, "--report", &round_about], 2, &line);
    let nowhere = folder.path("absent/report.html");
    let line = format!("{nowhere}: cannot be written: there is no such folder");
    assert_fails(&["replay", "--trace", &trace, "--report", &nowhere], 2, &line);
    assert_eq!(folder.names(), ["trace.csv"], "nothing is left behind");
}

#[test]
fn prices_that_nothing_would_tell_are_refused() {
    let folder = Folder::new("prices");
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let report = folder.path("report.html");
    for flag in
        ["--gpus-per-worker", "--usd-per-gpu-hour", "--hours-per-month", "--api-input", "--api-output"]
    {
        let line = format!("{flag}: only the page that --report writes tells prices");
        assert_fails(&["replay", "--trace", &trace, "--workers", "3", flag, "5"], 2, &line);
    }
    let header = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,\
        scheduled_time";
    let jobs = folder.write("jobs.csv", format!("{header}\na,12000,16384,1,460,,LS,Running,0,12,0\n"));
    let jobs = format!("openb:{jobs}");
    let line = "--api-output: GPU jobs are not priced";
    assert_fails(&["replay", "--trace", &jobs, "--api-output", "5", "--report", &report], 2, line);
    let priced = ["--trace", &trace, "--workers", "3", "--usd-per-gpu-hour", "1", "--report", &report];
    let output = tidegate(&[&["replay"], priced.as_slice()].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    // Three workers for 730 hours.
    let month = "<td>a month of these workers</td><td>2,190</td><td>2,190</td><td>2,190</td>";
    let page = fs::read_to_string(&report).expect("it was written");
    assert!(page.contains(month), "{page}");
}
