//! Prints the figures of the project as one JSON object; progress goes to standard error.
//!
//! Each group of figures is a room of its own. Peers are measured in the same process by turns with ours, what needs a
//! tool or another language in programs that are started from here. `docs/PERFORMANCE.md` says what each key means.

mod card;
mod counts;
mod door_c;
mod door_python;
mod engine_vllm;
mod instructions;
mod memory;
mod programs;
mod replay;
mod table;
mod times;
mod turns;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use card::{Card, Failure, Group, Scale};

/// Counts what is allocated. What is timed pays for that: 10 ns or more for each allocation, of ours or of a peer's.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// In the order of their cost, so that what is cheap is seen early.
const GROUPS: [Group; 18] = [
    Group { keys: &["preempt_ns_10k", "preempt_next_victim_ns"], measure: times::preemptions },
    Group { keys: &["idle_poll_ns"], measure: times::idle_polls },
    Group { keys: &times::PLACEMENT_KEYS, measure: times::placements },
    Group { keys: &["index_bytes_per_block"], measure: memory::of_the_index },
    Group { keys: &["peer_mutex_heap_item_cpu_ns", "shared_item_cpu_ns"], measure: times::handing_over },
    Group { keys: &["bytes_per_request", "bytes_per_request_most"], measure: memory::of_requests },
    Group {
        keys: &["bytes_per_tenant", "bytes_per_tenant_most", "bytes_per_tenant_unserved"],
        measure: memory::of_tenants,
    },
    Group { keys: &["allocations_per_cycle"], measure: memory::allocations },
    Group {
        keys: &["clock_reads_per_cycle", "syscalls_per_cycle"],
        measure: counts::clock_reads_and_system_calls,
    },
    Group {
        keys: &["batch_cycle_instructions_1k", "batch_cycle_instructions_singly_1k"],
        measure: instructions::of_batches,
    },
    Group { keys: &["c_call_ns"], measure: door_c::calls },
    Group { keys: door_python::KEYS, measure: door_python::rows },
    Group { keys: engine_vllm::KEYS, measure: engine_vllm::steps },
    Group { keys: &["replay_requests_per_s"], measure: replay::built_in_workload },
    Group {
        keys: &["snapshot_write_1m_ms", "snapshot_restore_1m_ms", "snapshot_bytes_per_request"],
        measure: times::restarts,
    },
    Group {
        keys: &["cancel_ns_1k", "cancel_ns_100k", "cancel_ns_1m", "peer_priority_queue_cancel_ns_100k"],
        measure: times::cancellations,
    },
    Group {
        keys: &["cycle_ns_1k", "cycle_ns_100k", "cycle_ns_1m", "peer_heap_governor_ns_100k"],
        measure: times::cycles,
    },
    Group { keys: &["cycle_instructions_1k", "cycle_instructions_1m"], measure: instructions::of_cycles },
];

/// Prints the figures of the project as one JSON object; progress goes to standard error
#[derive(Debug, Parser)]
#[command(name = "scorecard", disable_help_subcommand = true)]
struct Cli {
    /// Measure only the group of this key (repeatable)
    #[arg(long, value_name = "KEY", hide_possible_values = true, value_parser = keys())]
    only: Vec<String>,
    /// Try everything at a two-hundredth of its size, once: what comes out are no figures
    #[arg(long)]
    quick: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the table of docs/PERFORMANCE.md from a card, without measuring anything
    Table(table::Args),
    /// Take turns, for a tool that watches from outside
    #[command(hide = true)]
    Turns(turns::Args),
}

fn keys() -> PossibleValuesParser {
    PossibleValuesParser::new(GROUPS.iter().flat_map(|group| group.keys.iter().copied()))
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(Cli { command: Some(Command::Turns(args)), .. }) => {
            turns::take(&args);
            ExitCode::SUCCESS
        }
        Ok(Cli { command: Some(Command::Table(args)), .. }) => match table::of_card(&args) {
            Ok(table) => print(&table),
            Err(Failure::Failed(what) | Failure::Missing(what)) => {
                say(&format!("scorecard: {what}"));
                ExitCode::from(2)
            }
        },
        Ok(cli) => scorecard(&cli),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => print(&error.render().to_string()),
        Err(error) => {
            let text = error.render().to_string();
            say(&format!("scorecard: {} (see --help)", text.lines().next().unwrap_or_default()));
            ExitCode::from(2)
        }
    }
}

/// Measures what is wanted, and prints what came of it; 1 if something could have been measured and was not.
fn scorecard(cli: &Cli) -> ExitCode {
    if cli.quick {
        say("quick: at a two-hundredth of the size, once; these are no figures");
    }
    let mut card = Card::new(if cli.quick { Scale::Quick } else { Scale::Full });
    let mut failed = false;
    let is_wanted = |group: &&Group| {
        cli.only.is_empty() || group.keys.iter().any(|&key| cli.only.iter().any(|only| only == key))
    };
    for group in GROUPS.iter().filter(is_wanted) {
        match (group.measure)(&mut card) {
            Ok(()) => {}
            Err(Failure::Missing(what)) => say(&format!("left out: {}: {what}", group.keys.join(", "))),
            Err(Failure::Failed(what)) => {
                failed = true;
                say(&format!("scorecard: {}: {what}", group.keys.join(", ")));
            }
        }
    }
    let printed = print(&format!("{}\n", card.to_json()));
    if failed { ExitCode::FAILURE } else { printed }
}

/// Tells people; nobody need listen.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes to standard output.
fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("scorecard: standard output: {error}"));
            ExitCode::from(2)
        }
    }
}
