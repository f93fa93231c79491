//! What `--journal` may replace, and what it leaves beside its place.

use std::fs;

use super::support::{CSV, Folder, assert_fails, text, tidegate};

const CONFIG: &str = "dimensions = [\"slots\"]\n[[tiers]]\nname = \"a\"\n";

/// A replay of a trace on one worker, with these flags besides.
fn replay<'a>(trace: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["replay", "--setup", "tidegate", "--workers", "1", "--trace", trace];
    arguments.extend(more);
    arguments
}

#[test]
fn a_journal_does_not_replace_what_the_replay_reads() {
    let folder = Folder::new("inputs");
    let file = folder.write("trace.csv", CSV);
    let trace = format!("csv:{file}");
    let config = folder.write("config.toml", CONFIG);
    for (path, name, flag, content) in
        [(&file, "trace.csv", "--trace", CSV), (&config, "config.toml", "--config", CONFIG)]
    {
        // By another name, too.
        for journal in [path.clone(), folder.path(&format!("./{name}"))] {
            let arguments = replay(&trace, &["--config", &config, "--journal", &journal]);
            let line = format!("{journal}: --journal would replace the file that {flag} reads");
            assert_fails(&arguments, 2, &line);
            assert_eq!(fs::read_to_string(path).expect("still there"), content);
        }
    }
    assert_eq!(folder.names(), ["config.toml", "trace.csv"]);
}

#[test]
fn a_journal_replaces_files_and_leaves_nothing_beside_them() {
    let folder = Folder::new("replace");
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let others = folder.write("run.journal.partial", "somebody else's");
    let journal = folder.write("run.journal", "old");
    assert!(tidegate(&replay(&trace, &["--journal", &journal])).status.success());
    assert!(tidegate(&["journal", "replay", &journal]).status.success());
    assert_eq!(fs::read_to_string(others).expect("still there"), "somebody else's");
    assert_eq!(folder.names(), ["run.journal", "run.journal.partial", "trace.csv"]);
}

#[test]
fn a_journal_replaces_no_folder_and_makes_none() {
    let folder = Folder::new("folder");
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let place = folder.path(".");
    assert_fails(&replay(&trace, &["--journal", &place]), 2, &format!("{place}: is a folder"));
    let nowhere = folder.path("absent/run.journal");
    let line = format!("{nowhere}: cannot be written: there is no such folder");
    assert_fails(&replay(&trace, &["--journal", &nowhere]), 2, &line);
    assert_eq!(folder.names(), ["trace.csv"]);
}

#[cfg(unix)]
#[test]
fn a_journal_replaces_no_socket_and_nothing_else_of_that_kind() {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::UnixListener;

    let folder = Folder::new("device");
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let socket = folder.path("s");
    let _listener = UnixListener::bind(&socket).expect("a short path");
    let line = format!("{socket}: is no regular file, and is not replaced");
    assert_fails(&replay(&trace, &["--journal", &socket]), 2, &line);
    assert!(fs::symlink_metadata(&socket).expect("still there").file_type().is_socket());
    assert_eq!(folder.names(), ["s", "trace.csv"]);
}

#[cfg(unix)]
#[test]
fn a_journal_goes_through_a_link() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new("link");
    let trace = format!("csv:{}", folder.write("trace.csv", CSV));
    let journal = folder.write("run.journal", "old");
    let link = folder.path("link");
    symlink("run.journal", &link).expect("a file system with links");
    let output = tidegate(&replay(&trace, &["--journal", &link]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::symlink_metadata(&link).expect("still there").is_symlink());
    assert!(tidegate(&["journal", "replay", &journal]).status.success());
    fs::remove_file(&journal).expect("it is there");
    assert_fails(&replay(&trace, &["--journal", &link]), 2, &format!("{link}: is a link to nothing"));
    let to_input = folder.path("to-input");
    symlink("trace.csv", &to_input).expect("a file system with links");
    let line = format!("{to_input}: --journal would replace the file that --trace reads");
    assert_fails(&replay(&trace, &["--journal", &to_input]), 2, &line);
}
