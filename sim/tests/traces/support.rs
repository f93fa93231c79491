//! Files to read, and short ways to read them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use tidegate_sim::trace::{Kind, LoadOptions, TraceSpec, Work, Workload, load};

/// A file of this name and content, in a folder of its own because readers look at names.
pub(crate) fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    static FOLDERS: AtomicU32 = AtomicU32::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trace-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder for test files can be made");
    let path = folder.join(name);
    fs::write(&path, content).expect("a test file can be written");
    path
}

pub(crate) fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content.as_bytes()).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

pub(crate) fn spec(kind: Kind, path: &Path) -> TraceSpec {
    TraceSpec { kind, path: path.to_owned() }
}

/// One trace with the default options.
pub(crate) fn read(kind: Kind, path: &Path) -> Workload {
    load(&[spec(kind, path)], &LoadOptions::default()).expect("the trace is well formed")
}

/// The same for a content.
pub(crate) fn read_content(kind: Kind, name: &str, content: impl AsRef<[u8]>) -> Workload {
    read(kind, &file(name, content))
}

/// Arrival in milliseconds, tier, tenant's name, prompt and output of every request.
pub(crate) fn rows(workload: &Workload) -> Vec<(u64, u8, &str, u32, u32)> {
    let row = |request: &tidegate_sim::trace::TraceRequest| {
        let (prompt, output) = tokens(request.work);
        let tenant = workload.tenants[request.tenant as usize].as_str();
        (request.arrival_ns / 1_000_000, request.tier, tenant, prompt, output)
    };
    workload.requests.iter().map(row).collect()
}

pub(crate) fn tokens(work: Work) -> (u32, u32) {
    match work {
        Work::Tokens { prompt, output } => (prompt, output),
        Work::Job { .. } => panic!("a job among requests for tokens"),
    }
}

/// A file of the public traces. They lie beside the checkout; where they do not, the test says so and checks
/// nothing, except in continuous integration, where they must be there.
pub(crate) fn public_trace(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces").join(path);
    if found.exists() {
        return Some(found);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{path} is absent, and CI must have the traces");
    println!("not checked: {path} is not beside the checkout");
    None
}
