//! `tidegate journal`: what a recorded run did, done again bit for bit.

mod find;
mod walk;
mod words;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use tidegate::{Created, Entry, Input, Journal, RequestId, Scheduler, TenantId, TenantUsage};

use super::{Failure, print, read_text};
use tidegate_sim::estimates::{Accuracy, Errors, accuracy};
use walk::{Outcome, Walk};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Do again what a journal says, and print the digest of the actions
    Replay {
        /// The journal
        file: PathBuf,
        /// Also print what each tenant has used, a line for each
        #[arg(long)]
        usage: bool,
        /// Stop before the action of this number, counted from 1, and print the state there and the action
        #[arg(long, value_name = "ACTION", conflicts_with = "usage")]
        until: Option<u64>,
    },
    /// Print each entry by its number, what came of it, and the actions
    Show {
        /// The journal
        file: PathBuf,
        /// The first entry to print, counted from 1
        #[arg(long, default_value_t = 1)]
        from: usize,
        /// The last one
        #[arg(long)]
        to: Option<usize>,
    },
    /// Print the lines of `show` that are about all of these
    Grep(find::Grep),
    /// Say where two journals, or what comes of them, part; status 1 if they do
    Diff {
        /// One journal
        one: PathBuf,
        /// The other
        other: PathBuf,
    },
    /// Say how far off the estimated starts of the requests were that waited
    Estimates {
        /// The journal
        file: PathBuf,
    },
    /// Tell the life of one request: its lines, and what held it back at the end of each round in which that changed
    Explain {
        /// The journal
        file: PathBuf,
        /// The request, as `show` prints it
        request: u64,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Replay { file, usage, until: None } => replay(&read(file)?, *usage),
        Command::Replay { file, until: Some(action), .. } => stop_before(&read(file)?, *action),
        Command::Show { file, from, to } => {
            let range = *from..=to.unwrap_or(usize::MAX);
            each_line(&read(file)?, |number, line, _| range.contains(&number).then_some(line))
        }
        Command::Grep(grep) => grep.run(&read(&grep.file)?),
        Command::Diff { one, other } => find::diff(&read(one)?, &read(other)?),
        Command::Estimates { file } => estimates(&read(file)?),
        Command::Explain { file, request } => find::explain(&read(file)?, RequestId::from_bits(*request)),
    }
}

fn read(file: &Path) -> Result<Journal, Failure> {
    Journal::parse(&read_text(file)?).map_err(|error| Failure::bad_file(file, error))
}

fn replay(journal: &Journal, usage: bool) -> Result<(), Failure> {
    let (replay, scheduler) = journal.replay_with_scheduler();
    let usage = if usage { usage_lines(journal, &scheduler) } else { String::new() };
    print(&format!("{usage}{replay}\n"))
}

fn stop_before(journal: &Journal, action: u64) -> Result<(), Failure> {
    let Some((walk, now, next)) = Walk::to_before(journal, action) else {
        let actions = journal.replay().actions;
        return Err(Failure::bad_input(format_args!("--until {action}: the journal has {actions} actions")));
    };
    let requests = made_until(journal, walk.done);
    let state = words::state_lines(&walk.scheduler, &requests);
    print(&format!("{state}next: action {action} {}\n{}\n", words::action_words(now, &next), walk.replay()))
}

/// The requests that were accepted in the first so many entries.
fn made_until(journal: &Journal, entries: usize) -> Vec<RequestId> {
    let (mut walk, mut made) = (Walk::new(journal), Vec::new());
    while walk.done < entries {
        walk.step(|_, outcome| {
            if let Outcome::Taken(Created::Request(id)) = outcome {
                made.push(id);
            }
        });
    }
    made
}

fn estimates(journal: &Journal) -> Result<(), Failure> {
    let Accuracy { at_submission, while_waiting } = accuracy(journal);
    let line = |asked: &str, told: &Errors| {
        let error = |part| told.quantile(part).map_or_else(|| "-".to_string(), |error| format!("{error:.3}"));
        let (median, most) = (error(0.5), error(0.9));
        let (compared, untold) = (told.errors.len(), told.untold);
        format!("asked {asked} compared {compared} untold {untold} error_p50 {median} error_p90 {most}\n")
    };
    print(&(line("at-submission", &at_submission) + &line("while-waiting", &while_waiting)))
}

/// What a line is about.
enum Of<'a> {
    Entry(&'a Entry),
    Outcome(&'a Outcome),
}

/// Goes through a journal and prints those of its lines that `choose` gives back.
fn each_line(
    journal: &Journal,
    mut choose: impl FnMut(usize, String, &Of<'_>) -> Option<String>,
) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut walk = Walk::new(journal);
    while let Some((now, entry)) = walk.entry() {
        let number = walk.done + 1;
        let mut lines = Vec::new();
        lines.extend(choose(number, words::entry_line(number, now, entry), &Of::Entry(entry)));
        walk.step(|now, outcome| {
            let line = words::outcome_line(number, now, &outcome);
            lines.extend(line.and_then(|line| choose(number, line, &Of::Outcome(&outcome))));
        });
        lines.iter().try_for_each(|line| writeln!(out, "{line}")).map_err(closed)?;
    }
    out.flush().map_err(closed)
}

fn closed(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::bad_input(format_args!("standard output: {error}")),
    }
}

/// What each tenant that is known at the end has used, as every replayer writes it.
fn usage_lines(journal: &Journal, scheduler: &Scheduler) -> String {
    let is_tenant = |(_, entry): &&(_, Entry)| matches!(entry, Entry::Input(Input::TenantSet { .. }));
    let most = journal.entries.iter().filter(is_tenant).count() as u32;
    let known = (0..most).filter_map(|tenant| Some((tenant, scheduler.usage(TenantId::new(tenant)).ok()?)));
    known.map(|(tenant, usage)| format!("usage {tenant} {}\n", fields(&usage))).collect()
}

fn fields(usage: &TenantUsage) -> String {
    let requests = [usage.submitted, usage.started, usage.completed, usage.failed, usage.cancelled];
    let more = [usage.dropped, usage.waiting, usage.running];
    let used = [usage.prompt_tokens, usage.cached_tokens, usage.output_tokens];
    let quota = [usage.held_tokens, usage.refunded_tokens, usage.debt_tokens];
    let stops = [usage.preemptions, usage.memory_preemptions, usage.lost_tokens];
    let counts = requests.iter().chain(&more).chain(&used).chain(&quota).chain(&stops);
    let counts = counts.chain(usage.in_use.as_array()).map(u64::to_string);
    let wide = usage.unit_ns.iter().chain(&usage.borrowed_unit_ns).map(|number| format!("{number:032x}"));
    let delays = usage.queue_delays.iter().map(u64::to_string);
    counts.chain(wide).chain(delays).collect::<Vec<_>>().join(" ")
}
