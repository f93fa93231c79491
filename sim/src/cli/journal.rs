//! `tidegate journal`: what a recorded run did.

use std::path::PathBuf;

use clap::Subcommand;
use tidegate::Journal;

use super::{Failure, print, read_text};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Do again what a journal says, and print the digest of the actions
    Replay {
        /// The journal
        file: PathBuf,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Replay { file } = command;
    let journal = Journal::parse(&read_text(file)?).map_err(|error| Failure::bad_file(file, error))?;
    print(&format!("{}\n", journal.replay()))
}
