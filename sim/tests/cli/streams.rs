//! Traffic that does not fit into memory, and replays that are broken off.

use serde_json::Value;

use super::support::{assert_fails, text, tidegate};

/// A week in which every worker is busy.
const WEEK: [&str; 7] = ["replay", "--week", "100000", "--workers", "2", "--setup", "tidegate"];

fn json(arguments: &[&str]) -> Value {
    let output = tidegate(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_week_is_the_same_every_time_and_loses_nobody() {
    let week = || {
        let mut value = json(&WEEK);
        let setup = value["setups"]["tidegate"].take();
        let counts = setup["requests"].clone();
        assert_eq!(counts["submitted"], 100_000);
        let ended = ["completed", "dropped", "failed", "cancelled", "live"].map(|key| counts[key].as_u64());
        assert_eq!(ended.map(|count| count.expect("a number")).iter().sum::<u64>(), 100_000);
        assert_eq!(counts["live"], 0);
        assert_eq!(setup["percentiles_binned"], true);
        assert_eq!(setup["partial"], Value::Null);
        (setup["actions_digest"].clone(), setup["tiers"].clone())
    };
    assert_eq!(week(), week());
}

#[test]
fn a_week_goes_with_no_trace() {
    for (flag, value) in [("--trace", "csv:x"), ("--scale", "2"), ("--timeline", "x.json")] {
        let output = tidegate(&["replay", "--week", "20000", flag, value]);
        assert_eq!(output.status.code(), Some(2), "{flag}");
        assert!(text(&output.stderr).contains("cannot be used with"), "{}", text(&output.stderr));
    }
    let line = "invalid value '5' for '--week [<REQUESTS>]': 5 is not in 10000..=10000000000 (see --help)";
    assert_fails(&["replay", "--week", "5"], 2, line);
}

#[test]
fn progress_is_told_in_lines_to_who_asks() {
    let output = tidegate(&[&WEEK[..], &["--progress", "--json"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut before = 0;
    for line in text(&output.stderr).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words[0], words[2]), ("progress", "100000"), "{line}");
        let done: u64 = words[1].parse().expect("a number");
        assert!(before < done && done <= 100_000, "{line}");
        before = done;
    }
    assert!(before >= 99_000, "{before}");
}

/// Memory, and signals, as Linux tells of them.
#[cfg(target_os = "linux")]
mod on_linux {
    use std::fs;
    use std::process::{Child, Command, Output, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::support::Folder;
    use super::*;

    /// Longer than any of it takes on a slow and busy machine.
    const PATIENCE: Duration = Duration::from_secs(120);

    /// A replay that would take minutes, ended with the test.
    struct Replay(Option<Child>);

    impl Replay {
        fn spawn(arguments: &[&str]) -> Self {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
            command.args(["replay", "--week"]).args(arguments);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            Self(Some(command.spawn().expect("the binary was built for this test")))
        }

        fn id(&self) -> u32 {
            self.0.as_ref().expect("it is not over").id()
        }

        /// A line of what Linux says of the process.
        fn status(&self, name: &str) -> String {
            let path = format!("/proc/{}/status", self.id());
            let status = fs::read_to_string(path).expect("the process is there");
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start_matches(':').trim().to_owned()
        }

        /// Waits until Ctrl-C no longer ends the process by itself.
        fn wait_until_it_listens(&self) {
            let begin = Instant::now();
            while u64::from_str_radix(&self.status("SigCgt"), 16).unwrap_or(0) & 1 << (2 - 1) == 0 {
                assert!(begin.elapsed() < PATIENCE, "it never listens to Ctrl-C");
                thread::sleep(Duration::from_millis(5));
            }
        }

        fn interrupt(&self) {
            let id = self.id().to_string();
            let sent = Command::new("kill").args(["-INT", &id]).status().expect("kill is everywhere");
            assert!(sent.success());
        }

        fn end(mut self) -> Output {
            let begin = Instant::now();
            while self.0.as_mut().expect("it is not over").try_wait().expect("a child of ours").is_none() {
                assert!(begin.elapsed() < PATIENCE, "it does not stop");
                thread::sleep(Duration::from_millis(5));
            }
            self.0.take().expect("it is over").wait_with_output().expect("a child of ours")
        }
    }

    impl Drop for Replay {
        fn drop(&mut self) {
            if let Some(child) = &mut self.0 {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }

    #[test]
    fn ctrl_c_leaves_a_report_that_says_it_is_partial() {
        let folder = Folder::new("interrupt");
        let report = folder.path("report.html");
        let replay = Replay::spawn(&["--workers", "40", "--json", "--report", &report]);
        replay.wait_until_it_listens();
        replay.interrupt();
        let output = replay.end();
        assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "tidegate: stopped: the report is of the time until then\n");
        let value: Value = serde_json::from_slice(&output.stdout).expect("a whole object");
        assert_eq!(value["partial"], true);
        let setups = value["setups"].as_object().expect("an object");
        assert_eq!(setups.len(), 1, "the others were not begun");
        let setup = &setups["dedicated"];
        assert_eq!(setup["partial"], true);
        let of = |key: &str| setup["requests"][key].as_u64().expect("a number");
        let ended = of("completed") + of("dropped") + of("failed") + of("cancelled");
        assert_eq!(of("submitted"), ended + of("live"));
        assert!(of("submitted") < 44_000_000);
        let page = fs::read_to_string(&report).expect("it was written");
        assert!(page.contains("Partial: stopped before its end") && page.ends_with("</html>\n"));
        assert_eq!(folder.names(), ["report.html"], "nothing is left behind");
    }

    /// The busiest half hour of the week has 300,000 requests: the first trial takes seconds.
    #[test]
    fn ctrl_c_while_workers_are_chosen_leaves_nothing() {
        let folder = Folder::new("interrupt-trials");
        let report = folder.path("report.html");
        let replay = Replay::spawn(&["--json", "--report", &report]);
        replay.wait_until_it_listens();
        replay.interrupt();
        let output = replay.end();
        let line = "tidegate: stopped while workers were being chosen: there is nothing to report\n";
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(130), line));
        assert_eq!(text(&output.stdout), "");
        assert_eq!(folder.names(), [""; 0], "no file, whole or half");
    }

    #[test]
    fn a_stream_takes_the_memory_of_those_that_live() {
        let peak_kib = |requests: &str| {
            let binary = env!("CARGO_BIN_EXE_tidegate");
            // Prints the largest memory of the child in KiB.
            let script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, \
                          stdout=subprocess.DEVNULL, timeout=900); \
                          print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
            let arguments = ["replay", "--week", requests, "--workers", "3", "--setup", "tidegate"];
            let output = Command::new("python3").args(["-c", script, binary]).args(arguments).output();
            let output = output.expect("Python is there for the other tests");
            assert!(output.status.success(), "{}", text(&output.stderr));
            text(&output.stdout).trim().parse::<u64>().expect("a number")
        };
        let (few, many) = (peak_kib("20000"), peak_kib("160000"));
        // All of the second would be 25 MiB more, at 190 bytes each.
        assert!(many < few + (10 << 10), "{few} KiB, {many} KiB");
    }
}
