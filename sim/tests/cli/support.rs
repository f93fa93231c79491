//! The binary, and folders for its files.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

pub(crate) const CSV: &str = "arrival_s,tier,tenant,prompt_tokens,output_tokens\n\
    0.0,P0,acme,512,12\n\
    0.1,P1,globex,2048,16\n\
    0.2,P2,initech,900,40\n";

pub(crate) fn tidegate(arguments: &[&str]) -> Output {
    let binary = env!("CARGO_BIN_EXE_tidegate");
    Command::new(binary).args(arguments).output().expect("the binary was built for this test")
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("we print UTF-8")
}

/// The command fails with this status and this one line, and prints nothing else.
pub(crate) fn assert_fails(arguments: &[&str], status: i32, line: &str) {
    let output = tidegate(arguments);
    assert_eq!(text(&output.stderr), format!("tidegate: {line}\n"), "{arguments:?}");
    assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
}

/// A folder of its own, gone at the end of the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-cli-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a place for temporary files");
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("room for a small file");
        path.display().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// What is in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("readable").file_name();
        let mut names: Vec<_> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
