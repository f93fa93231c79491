//! `tidegate config`: what a file says and whether every host would take it, and a cluster's manifests as such a file.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use tidegate_deploy::Deployment;
use tidegate_deploy::kubernetes::{self, MAX_MANIFEST_BYTES};
use tidegate_sim::text_file::{decode, reason};

use super::{Failure, one_line, print, read_text};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether a config can be used, or else every fault in it
    Check {
        /// The config, as TOML
        file: PathBuf,
    },
    /// Write the config that Kubernetes manifests say, and on standard error what it does not say
    #[command(name = "from-k8s")]
    FromK8s {
        /// Manifests in YAML or JSON; a folder stands for those in it, `-` for standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Write Kubernetes manifests that say what a config says
    #[command(name = "to-k8s")]
    ToK8s {
        /// The config, as TOML
        file: PathBuf,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Check { file } => check(file),
        Command::FromK8s { files } => from_k8s(files),
        Command::ToK8s { file } => {
            let found =
                kubernetes::export(&read_text(file)?).map_err(|error| Failure::bad_file(file, error))?;
            for note in &found.notes {
                tell(&format!("{}: {note}", file.display()));
            }
            print(&found.yaml)
        }
    }
}

fn check(file: &Path) -> Result<(), Failure> {
    let found = read(file)?;
    for warning in found.warnings() {
        tell(&format!("{}: {warning}", file.display()));
    }
    let list = |names: Vec<&str>| names.join(", ");
    let config = &found.config;
    let mut told = format!(
        "{}: ok: dimensions {}; pools {}; tiers {}",
        file.display(),
        list(config.dimensions().collect()),
        list(config.pools().collect()),
        list(config.tiers().iter().map(|tier| tier.name()).collect()),
    );
    let counts =
        [(found.tenants.len(), "tenant"), (found.devices.len(), "device"), (found.worker_count(), "worker")];
    for (number, what) in counts.into_iter().filter(|(number, _)| *number > 0) {
        told += &format!("; {number} {what}{}", if number == 1 { "" } else { "s" });
    }
    if !found.programs.is_empty() {
        told += &format!("; not looked at: {}", found.programs.join(", "));
    }
    print(&(one_line(&told) + "\n"))
}

fn from_k8s(files: &[PathBuf]) -> Result<(), Failure> {
    let mut texts = Vec::new();
    for file in files {
        if file.is_dir() {
            for file in manifests_in(file)? {
                texts.push((file.display().to_string(), manifest(&file)?));
            }
        } else {
            texts.push((file.display().to_string(), manifest(file)?));
        }
    }
    let borrowed: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let found = kubernetes::import(&borrowed).map_err(Failure::bad_input)?;
    for note in &found.notes {
        tell(&note.to_string());
    }
    print(&found.toml)
}

/// The manifests of a folder, in the order of their names.
fn manifests_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unread =
        |error: io::Error| Failure::bad_file(folder, format_args!("cannot be read: {}", reason(&error)));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let is_manifest =
            path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if is_manifest && path.is_file() {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(Failure::bad_file(folder, "has no .yaml, .yml or .json"));
    }
    found.sort();
    Ok(found)
}

/// The text of a manifest, of which no more is read than would be taken.
fn manifest(path: &Path) -> Result<String, Failure> {
    let unread =
        |error: io::Error| Failure::bad_file(path, format_args!("cannot be read: {}", reason(&error)));
    let mut bytes = Vec::new();
    let most = MAX_MANIFEST_BYTES as u64 + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(unread)?;
    } else {
        fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(unread)?;
    }
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(Failure::bad_file(path, format_args!("is longer than {MAX_MANIFEST_BYTES} bytes")));
    }
    decode(bytes).map_err(|error| Failure::bad_file(path, error))
}

/// A line on standard error that is no failure; nobody may be there to read it.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "tidegate: {}", one_line(line));
}

/// Reads a config file.
pub(super) fn read(file: &Path) -> Result<Deployment, Failure> {
    Deployment::from_toml(&read_text(file)?).map_err(|error| Failure::bad_file(file, error))
}
