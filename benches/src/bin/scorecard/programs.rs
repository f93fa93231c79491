//! Other programs: where they lie, and how they are run.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};
use std::{env, fs};

use crate::card::Failure;

/// This program itself.
pub(crate) fn own_program() -> Result<PathBuf, Failure> {
    env::current_exe().map_err(|error| Failure::Failed(format!("where is this program? {error}")))
}

/// What cargo built beside this program.
pub(crate) fn built(name: &str, package: &str) -> Result<PathBuf, Failure> {
    let path = own_program()?.with_file_name(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(Failure::Missing(format!(
            "no {name} beside this program; build the package {package} in the same profile"
        )))
    }
}

/// A file of the sources.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Does the work in a folder of this program's own, which is gone afterwards.
pub(crate) fn in_scratch<T>(
    name: &str,
    work: impl FnOnce(&Path) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let folder = own_program()?.with_file_name("scorecard-files").join(format!("{name}-{}", process::id()));
    let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(failed)?;
    let done = work(&folder);
    fs::remove_dir_all(&folder).map_err(failed)?;
    done
}

/// Runs a command that has to succeed. A program that is not there is missing, and `hint` says how to get it.
pub(crate) fn run(command: &mut Command, hint: &str) -> Result<Output, Failure> {
    let name = command.get_program().display().to_string();
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::Missing(format!("no {name}: {hint}")),
        _ => Failure::Failed(format!("{name}: {error}")),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(Failure::Failed(format!("{name}: {}: {last}", output.status)))
}
