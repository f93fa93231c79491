//! `tidegate journal`: what a recorded run did.

use std::path::PathBuf;

use clap::Subcommand;
use tidegate::{Entry, Input, Journal, Scheduler, TenantId, TenantUsage};

use super::{Failure, print, read_text};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Do again what a journal says, and print the digest of the actions
    Replay {
        /// The journal
        file: PathBuf,
        /// Also print what each tenant has used, a line for each
        #[arg(long)]
        usage: bool,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Replay { file, usage } = command;
    let journal = Journal::parse(&read_text(file)?).map_err(|error| Failure::bad_file(file, error))?;
    let (replay, scheduler) = journal.replay_to_ask();
    let usage = if *usage { usage_lines(&journal, &scheduler) } else { String::new() };
    print(&format!("{usage}{replay}\n"))
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
