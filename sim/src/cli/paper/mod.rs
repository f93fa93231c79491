//! `tidegate paper`: published tables, computed anew.

mod text;

use std::path::PathBuf;

use tidegate_sim::paper::draws::Figures;
use tidegate_sim::paper::openb::table as openb;
use tidegate_sim::paper::plot::{Bars, bars};
use tidegate_sim::paper::row::Row;
use tidegate_sim::paper::t1::table as t1;
use tidegate_sim::paper::t2::table as t2;
use tidegate_sim::paper::t3::table as t3;
use tidegate_sim::paper::t4::hosted::Terms;
use tidegate_sim::paper::t4::table as t4;
use tidegate_sim::paper::t6::table as t6;
use tidegate_sim::text_file::reason;

use super::{Failure, print};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    table: Which,
}

#[derive(Debug, clap::Subcommand)]
enum Which {
    /// Fairness among clients, against logs of a GPU (VTC, OSDI'24)
    #[command(name = "T1")]
    T1(T1Args),
    /// Capacity under objectives by tier, beside Niyama (ASPLOS'26) and what it is compared with
    #[command(name = "T2")]
    T2(T2Args),
    /// Batch work beside online requests, under tidegate and without preemption or reserve
    #[command(name = "T3")]
    T3(T3Args),
    /// Prompts routed to caches, and fairness beside it (Preble, DLPM, Mooncake)
    #[command(name = "T4")]
    T4(T4Args),
    /// Reservation, weight and limit through a drop of capacity, beside mClock (OSDI'10); needs no data
    #[command(name = "T6")]
    T6(T6Args),
    /// Pods of a GPU cluster as slices of GPUs: who waits, and what is left in pieces (openb; FGD, ATC'23)
    #[command(name = "openb")]
    Openb(OpenbArgs),
}

/// How a table is shown.
#[derive(Debug, clap::Args)]
struct How {
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Draw one figure of all rows into this SVG file too
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct T4Args {
    /// The folder of traces that has `mooncake-fast25`
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// How many workers, several with commas
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [4, 6, 8, 16],
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    workers: Vec<usize>,
    /// Blocks of 512 tokens in each worker's cache
    #[arg(long, value_name = "N", default_value_t = 800)]
    cache_blocks: usize,
    /// tidegate's `prefix_load_tokens`
    #[arg(long, value_name = "N", default_value_t = 32_768)]
    load_tokens: u32,
    /// tidegate's `prefix_wait`, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    wait: u64,
    /// tidegate's `deficit_quantum`, in tokens
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    quantum: u64,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct T6Args {
    /// Draws the sizes of the requests
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct OpenbArgs {
    /// The folder of traces that has `openb-gpu-v2023`
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// How many GPUs, several with commas
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = openb::GPUS,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    gpus: Vec<usize>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct T1Args {
    /// The folder of traces that has `vtc-runs`
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Check this log too, of the same format (repeatable); its name begins with the policy: rpm20-real.jsonl.gz
    #[arg(long = "run", value_name = "FILE")]
    runs: Vec<PathBuf>,
    /// Compute each figure so often, with other moments of sending, and print the mean
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    draws: u32,
    /// Send every request up to so many seconds later than its log has it, each time as drawn: other arrivals
    #[arg(long, default_value_t = 0, value_name = "S", value_parser = clap::value_parser!(u64).range(0..=60))]
    moved: u64,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct T2Args {
    /// The folder of traces that has `sharegpt-8k` and `azure2023`
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Look for capacities at the lengths of this file too, of the format of `sharegpt-8k` (repeatable)
    #[arg(long = "run", value_name = "FILE")]
    runs: Vec<PathBuf>,
    /// Requests that come
    #[arg(long, default_value_t = t2::REQUESTS as u32, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    requests: u32,
    /// Compute each figure so often, with other arrivals, and print the mean
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    draws: u32,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct T3Args {
    /// The folder of traces that has `azure2023` and `vidur-arxiv`
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Let the requests of this file come instead, of the format of `azure2023`, as a further run (repeatable)
    #[arg(long = "run", value_name = "FILE")]
    runs: Vec<PathBuf>,
    /// Seconds that are simulated
    #[arg(long, default_value_t = t3::SECONDS, value_name = "S", value_parser = clap::value_parser!(u32).range(10..=100_000))]
    seconds: u32,
    #[command(flatten)]
    how: How,
}

/// The figure of T4 that a plot shows.
const T4_PLOTTED: &str = "throughput_tok_s";
/// That of openb.
const OPENB_PLOTTED: &str = "ls_wait_mean_s";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.table {
        Which::T1(args) => {
            let draws = t1::Draws { count: args.draws, moved_ns: args.moved * 1_000_000_000 };
            let found = t1::table(&args.data, &args.runs, draws).map_err(Failure::bad_input)?;
            let rows = found.rows.iter().map(|row| {
                let name = format!("{} {}", row.policy, row.run);
                (name, [&row.published, &row.reproduced, &row.tidegate])
            });
            show(&args.how, &found, text::t1, ("T1, fairness (VTC)", "avg_diff", rows.collect()))
        }
        Which::T2(args) => {
            let requests = args.requests as usize;
            let effort = t2::Effort { requests, draws: args.draws, rates: &t2::RATES, capacities: true };
            let found = t2::table(&args.data, &args.runs, effort).map_err(Failure::bad_input)?;
            let rows = found.rows.iter().map(bars_of);
            show(
                &args.how,
                &found,
                text::t2,
                ("T2, capacity under objectives by tier (Niyama)", "violations_percent", rows.collect()),
            )
        }
        Which::T3(args) => {
            let found = t3::table(&args.data, &args.runs, args.seconds).map_err(Failure::bad_input)?;
            let rows = found.rows.iter().map(bars_of);
            show(
                &args.how,
                &found,
                text::t3,
                ("T3, batch work beside online requests", "output_of_online", rows.collect()),
            )
        }
        Which::T4(args) => run_t4(args),
        Which::Openb(args) => run_openb(args),
        Which::T6(args) => {
            let found = t6::table(args.seed);
            let rows = found.rows.iter().map(bars_of);
            show(&args.how, &found, text::t6, ("T6, tokens a second (mClock)", "reserved", rows.collect()))
        }
    }
}

fn run_t4(args: &T4Args) -> Result<(), Failure> {
    let terms = Terms { load_tokens: args.load_tokens, wait_ms: args.wait, quantum: args.quantum };
    let found = t4::table(&args.data, &args.workers, args.cache_blocks, terms).map_err(Failure::bad_input)?;
    let figures: Vec<(String, Figures)> = found
        .rows
        .iter()
        .map(|row| {
            let figure = Figures::from([(T4_PLOTTED, row.found.throughput_tok_s)]);
            (format!("{} of {} workers", row.policy, row.workers), figure)
        })
        .collect();
    let none = Figures::new();
    let rows = figures.iter().map(|(name, figure)| by_side(name.clone(), &none, figure)).collect();
    show(&args.how, &found, text::t4, ("T4, prompts routed to caches", T4_PLOTTED, rows))
}

fn run_openb(args: &OpenbArgs) -> Result<(), Failure> {
    let found = openb::table(&args.data, &args.gpus).map_err(Failure::bad_input)?;
    let none = Figures::new();
    let name = |row: &openb::Row| format!("{} on {} GPUs", row.policy, row.gpus);
    let rows = found.rows.iter().map(|row| by_side(name(row), &none, &row.found)).collect();
    show(&args.how, &found, text::openb, ("openb, pods as slices of GPUs", OPENB_PLOTTED, rows))
}

/// The bars of a row that is tidegate's or another's, where nothing is published.
fn by_side<'a>(name: String, none: &'a Figures, figures: &'a Figures) -> Bars<'a> {
    match name.starts_with("tidegate") {
        true => (name, [none, none, figures]),
        false => (name, [none, figures, none]),
    }
}

/// The title of a plot, the figure that it shows, and its rows.
type Plotted<'a> = (&'a str, &'a str, Vec<Bars<'a>>);

/// The bars of a row.
fn bars_of(row: &Row) -> Bars<'_> {
    (format!("{} {}", row.policy, row.run), [&row.published, &row.reproduced, &row.tidegate])
}

fn show<T: serde::Serialize>(
    how: &How,
    table: &T,
    text: impl Fn(&T) -> String,
    (title, figure, rows): Plotted<'_>,
) -> Result<(), Failure> {
    if let Some(path) = &how.plot {
        std::fs::write(path, bars(title, figure, &rows)).map_err(|error| {
            Failure::bad_file(path, format_args!("cannot be written: {}", reason(&error)))
        })?;
    }
    let as_json = || serde_json::to_string_pretty(table).expect("numbers and names") + "\n";
    print(&if how.json { as_json() } else { text(table) })
}
