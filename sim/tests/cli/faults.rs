//! Files with faults: each is told in one line that names the file, and the line and field where there is one.

use super::support::{CSV, Folder, assert_fails, text, tidegate};

#[test]
fn a_bad_trace_is_told_with_file_line_and_field() {
    let folder = Folder::new("trace");
    let absent = folder.path("absent.csv");
    let line = format!("{absent}: cannot be read: there is no such file");
    assert_fails(&["replay", "--trace", &format!("csv:{absent}")], 2, &line);
    let negative = folder.write("negative.csv", CSV.replace("2048", "-5"));
    let line = format!("{negative}: line 3: prompt_tokens: \"-5\" is not a whole number from 1 to 10000000");
    let journal = folder.path("run.journal");
    let arguments = ["replay", "--trace", &format!("csv:{negative}"), "--journal", &journal];
    assert_fails(&arguments, 2, &line);
    assert_eq!(folder.names(), ["negative.csv"], "no journal, whole or half, of a run that was not");
}

#[test]
fn a_bad_config_is_told_with_its_file_and_field() {
    let folder = Folder::new("config");
    let sums = "dimensions = [\"slots\"]\n[[tiers]]\nname = \"a\"\nreserve_ppm = 700000\n\
        [[tiers]]\nname = \"b\"\nreserve_ppm = 400000\n";
    let sums = folder.write("sums.toml", sums);
    let line =
        format!("{sums}: line 7: tiers.reserve_ppm: the shares sum to 1100000 ppm, above 1000000 (100 %)");
    assert_fails(&["config", "check", &sums], 2, &line);
    assert_fails(&["replay", "--config", &sums], 2, &line);
    let odd = folder.write("odd.toml", "dimensions = [\"vram_mib\"]\n[[tiers]]\nname = \"a\"\n");
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let line = format!("{odd}: the workload has requests of tier P1, the config has 1 tier");
    assert_fails(&["replay", "--trace", &trace, "--config", &odd], 2, &line);
    let line = format!(
        "{odd}: dimensions: \"vram_mib\" is not one that the simulated workers have (slots, kv_blocks)"
    );
    let arguments = ["replay", "--trace", &trace, "--tier", "csv=0", "--config", &odd];
    assert_fails(&arguments, 2, &line);
    let good = folder.write("good.toml", "dimensions = [\"slots\"]\n[[tiers]]\nname = \"a\"\n");
    let output = tidegate(&["config", "check", &good]);
    assert_eq!(text(&output.stdout), format!("{good}: ok: dimensions slots; pools default; tiers a\n"));
    assert!(output.status.success());
}

#[test]
fn a_torn_journal_is_refused() {
    let folder = Folder::new("journal");
    let torn = folder.write("torn.journal", "tidegate-journal 1\nstart 0\n");
    let output = tidegate(&["journal", "replay", &torn]);
    assert_eq!(output.status.code(), Some(2));
    let line = text(&output.stderr);
    assert!(line.starts_with(&format!("tidegate: {torn}: line 3: ")), "{line}");
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn a_config_for_fewer_tenants_is_a_fault_of_the_config() {
    let folder = Folder::new("tenants");
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let tiers = ["a", "b", "c"].map(|name| format!("[[tiers]]\nname = \"{name}\"\n")).concat();
    let few = folder.write("few.toml", format!("dimensions = [\"slots\"]\nmax_tenants = 2\n{tiers}"));
    let line = format!("{few}: max_tenants: 2 is fewer than the workload's 3 tenants");
    for workers in [&[][..], &["--workers", "3"]] {
        assert_fails(&[&["replay", "--trace", &trace, "--config", &few], workers].concat(), 2, &line);
    }
    let enough = folder.write("enough.toml", format!("dimensions = [\"slots\"]\nmax_tenants = 3\n{tiers}"));
    let output = tidegate(&["replay", "--trace", &trace, "--config", &enough]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_fault_of_the_command_does_not_name_the_config() {
    let folder = Folder::new("workers");
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let tiers = ["a", "b", "c"].map(|name| format!("[[tiers]]\nname = \"{name}\"\n")).concat();
    let config = folder.write("three.toml", format!("dimensions = [\"slots\"]\n{tiers}"));
    let line = "--workers 2: the dedicated set-up needs at least one for each of 3 tiers";
    assert_fails(&["replay", "--trace", &trace, "--config", &config, "--workers", "2"], 2, line);
}

#[test]
fn a_file_that_is_no_text_is_told_with_its_line() {
    let folder = Folder::new("utf8");
    let file = folder.write("latin1", b"first\nsecond\ncaf\xe9\n");
    let line = format!("{file}: line 3: is not UTF-8 at byte 4 of the line");
    let trace = format!("csv:{file}");
    let commands: [&[&str]; 4] = [
        &["journal", "replay", &file],
        &["config", "check", &file],
        &["replay", "--config", &file],
        &["replay", "--trace", &trace],
    ];
    for arguments in commands {
        assert_fails(arguments, 2, &line);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_the_reason() {
    let folder = Folder::new("unread");
    for (file, reason) in
        [(folder.path("absent"), "there is no such file"), (folder.path("."), "it is a folder")]
    {
        let line = format!("{file}: cannot be read: {reason}");
        assert_fails(&["journal", "replay", &file], 2, &line);
        assert_fails(&["config", "check", &file], 2, &line);
    }
}
