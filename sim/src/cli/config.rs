//! `tidegate config`: what a config file says, and whether the scheduler would take it.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use tidegate::Config;

use super::{Failure, print, read_text};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether a config can be used, or else every fault in it
    Check {
        /// The config, as TOML
        file: PathBuf,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Check { file } = command;
    let config = read(file)?;
    let list = |names: Vec<&str>| names.join(", ");
    print(&format!(
        "{}: ok: dimensions {}; pools {}; tiers {}\n",
        file.display(),
        list(config.dimensions().collect()),
        list(config.pools().collect()),
        list(config.tiers().iter().map(|tier| tier.name()).collect()),
    ))
}

/// Reads a config file.
pub(super) fn read(file: &Path) -> Result<Config, Failure> {
    Config::from_toml(&read_text(file)?).map_err(|error| Failure::bad_file(file, error))
}
