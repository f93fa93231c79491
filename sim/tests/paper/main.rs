//! Published tables: what comes out of the simulated engines, and how far it may be off.

mod openb;
mod t1;
mod t2;
mod t3;
mod t4;
mod t6;

use std::path::{Path, PathBuf};

/// The traces; without them a test says that it checked nothing, and in CI fails.
fn traces() -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    if found.join("vtc-runs").is_dir() {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is not there", found.display());
    eprintln!("not run: {} is not there", found.display());
    None
}
