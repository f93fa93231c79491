//! The command line: what `tidegate` understands, and how its subcommands end.

mod autoscale;
mod chargeback;
mod config;
mod cost;
mod engine;
mod fit;
mod interrupt;
mod journal;
mod neighbour;
mod outputs;
mod paper;
mod prices;
mod progress;
mod replay;
mod scenarios;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use tidegate_sim::text_file::{decode, reason};

/// Replays LLM inference workloads through the tidegate scheduler.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay a workload under dedicated workers, naive sharing and tidegate, side by side
    Replay(Box<replay::Args>),
    /// Replay a workload with and without its busiest tenant, and say what that costs the others
    Neighbour(neighbour::Args),
    /// Stage what vLLM's own scheduler is weak at, for a model of it and for tidegate
    Scenarios(scenarios::Args),
    /// Say what traffic costs: GPUs, money in a month and by token, against an API
    Cost(Box<cost::Args>),
    /// Let a fleet follow what the scheduler wants, and say what that saves and costs against one sized for the peak
    Autoscale(autoscale::Args),
    /// Fit a service-time model to measured iterations
    Fit(fit::Args),
    /// Compute published tables anew: what the paper says, what comes out here, and tidegate
    Paper(paper::Args),
    /// Work with journals: the recorded inputs of a scheduler
    #[command(subcommand)]
    Journal(journal::Command),
    /// Say from a journal who used how much in which period, and what it costs
    Chargeback(chargeback::Args),
    /// Work with config files, and with the Kubernetes manifests that say the same
    #[command(subcommand)]
    Config(config::Command),
}

/// Why a subcommand did not do what it was asked.
#[derive(Debug)]
enum Failure {
    /// A check that was asked for did not hold.
    CheckFailed(String),
    /// The input or the command is bad.
    BadInput(String),
    /// The user broke it off; what it had by then was printed.
    Interrupted(String),
    /// Nobody reads the output any more, as after `| head`.
    OutputClosed,
}

impl Failure {
    fn bad_input(problem: impl Display) -> Self {
        Self::BadInput(problem.to_string())
    }

    fn bad_file(path: &std::path::Path, problem: impl Display) -> Self {
        Self::BadInput(format!("{}: {problem}", path.display()))
    }
}

/// Reads the command line and does what it says.
#[must_use]
pub(crate) fn main() -> ExitCode {
    let done = match Cli::try_parse() {
        Ok(cli) => match cli.command {
            Command::Replay(args) => replay::run(&args),
            Command::Neighbour(args) => neighbour::run(&args),
            Command::Scenarios(args) => scenarios::run(&args),
            Command::Cost(args) => cost::run(&args),
            Command::Autoscale(args) => autoscale::run(&args),
            Command::Fit(args) => fit::run(&args),
            Command::Paper(args) => paper::run(&args),
            Command::Journal(command) => journal::run(&command),
            Command::Chargeback(args) => chargeback::run(&args),
            Command::Config(command) => config::run(&command),
        },
        Err(error) => not_a_command(&error),
    };
    let (status, problem) = match done {
        Ok(()) | Err(Failure::OutputClosed) => return ExitCode::SUCCESS,
        Err(Failure::CheckFailed(problem)) => (1, problem),
        Err(Failure::BadInput(problem)) => (2, problem),
        Err(Failure::Interrupted(problem)) => (interrupt::STATUS, problem),
    };
    // Nobody may be there to read it.
    let _ = writeln!(io::stderr(), "tidegate: {}", one_line(&problem));
    ExitCode::from(status)
}

/// Help and version are asked for; anything else is told in one line.
fn not_a_command(error: &clap::Error) -> Result<(), Failure> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return print(&error.render().to_string());
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Err(Failure::bad_input("a subcommand is missing (see --help)"));
    }
    let text = error.render().to_string();
    let first = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
    let problem = first.strip_prefix("error: ").unwrap_or(&first);
    Err(Failure::bad_input(format_args!("{problem} (see --help)")))
}

/// A text on one line, whatever it quotes.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Writes to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::bad_input(format_args!("standard output: {error}")),
    })
}

/// The text of a file.
fn read_text(path: &std::path::Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::bad_file(path, format_args!("cannot be read: {}", reason(&error))))?;
    decode(bytes).map_err(|error| Failure::bad_file(path, error))
}
