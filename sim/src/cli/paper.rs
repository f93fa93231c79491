//! `tidegate paper`: published tables, computed anew.

use std::fmt::Write;
use std::path::PathBuf;

use tidegate_sim::paper::t1::table as t1;
use tidegate_sim::paper::t4::hosted::Terms;
use tidegate_sim::paper::t4::table as t4;
use tidegate_sim::paper::t6::table as t6;

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
    /// Prompts routed to caches, and fairness beside it (Preble, DLPM, Mooncake)
    #[command(name = "T4")]
    T4(T4Args),
    /// Reservation, weight and limit through a drop of capacity, beside mClock (OSDI'10); needs no data
    #[command(name = "T6")]
    T6(T6Args),
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
    #[arg(long, value_name = "MS", default_value_t = 0)]
    wait: u64,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct T6Args {
    /// Draws the sizes of the requests
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
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
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.table {
        Which::T1(args) => {
            let found = t1::table(&args.data, &args.runs, args.draws).map_err(Failure::bad_input)?;
            print(&if args.json { json(&found) } else { t1_text(&found) })
        }
        Which::T4(args) => {
            let terms = Terms { load_tokens: args.load_tokens, wait_ms: args.wait };
            let found =
                t4::table(&args.data, &args.workers, args.cache_blocks, terms).map_err(Failure::bad_input)?;
            print(&if args.json { json(&found) } else { t4_text(&found) })
        }
        Which::T6(args) => {
            let found = t6::table(args.seed);
            print(&if args.json { json(&found) } else { t6_text(&found) })
        }
    }
}

fn json(table: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(table).expect("numbers and names") + "\n"
}

/// Columns of T1: name, heading, digits.
const T1_COLUMNS: [(&str, &str, usize); 9] = [
    ("served", "served", 0),
    ("throughput_tok_s", "tokens/s", 1),
    ("max_diff", "max diff", 2),
    ("avg_diff", "avg diff", 2),
    ("diff_var", "diff var", 0),
    ("max_gap", "max gap", 0),
    ("ttft_mean_s", "ttft s", 2),
    ("ttft_p99_s", "p99 s", 2),
    ("tpot_mean_ms", "tpot ms", 2),
];

fn t1_text(table: &t1::Table) -> String {
    let mut text = format!(
        "T1, fairness against GPU logs (VTC, OSDI'24); model {}, fitted to {} alone; means and spreads \
         of {} draws\n\n{:<30}",
        table.model, table.calibrated_on, table.draws, ""
    );
    for (_, heading, _) in T1_COLUMNS {
        write!(text, "{heading:>11}").expect(INTO_TEXT);
    }
    text.push('\n');
    for row in &table.rows {
        let t1::Row {
            policy,
            run,
            published,
            reproduced,
            reproduced_spread,
            error,
            tidegate,
            tidegate_spread,
        } = row;
        t1_line(&mut text, &format!("{policy} {run}"), "published", published, false);
        t1_line(&mut text, "", "reproduced", reproduced, false);
        t1_line(&mut text, "", "+-", reproduced_spread, false);
        t1_line(&mut text, "", "error %", error, true);
        t1_line(&mut text, "", "tidegate", tidegate, false);
        t1_line(&mut text, "", "+-", tidegate_spread, false);
    }
    text.push_str("\ntidegate on the real requests, by what it is told of outputs\n");
    for (foresight, figures) in &table.tidegate_by_foresight {
        t1_line(&mut text, "tidegate", foresight, figures, false);
        let share = figures["throughput_of_fcfs"] * 100.0;
        writeln!(text, "{:<30}{share:>10.2} % of the throughput of fcfs", "").expect(INTO_TEXT);
    }
    text
}

const INTO_TEXT: &str = "a string takes all that is written to it";

fn t1_line(text: &mut String, name: &str, what: &str, figures: &t1::Figures, is_share: bool) {
    write!(text, "{name:<18}{what:<12}").expect(INTO_TEXT);
    for (key, _, digits) in T1_COLUMNS {
        let cell = figures.get(key).map_or("-".to_owned(), |&figure| {
            if is_share { format!("{:+.1}", figure * 100.0) } else { format!("{figure:.digits$}") }
        });
        write!(text, "{cell:>11}").expect(INTO_TEXT);
    }
    text.push('\n');
}

fn t4_text(table: &t4::Table) -> String {
    let mut text = format!(
        "T4, prompts routed to caches; model {}, {} blocks of cache a worker; {} requests, of whose blocks an endless \
         cache would find {:.1} %\n\n{:>7}  {:<13}{:>8}{:>11}{:>10}{:>10}{:>12}\n",
        table.model,
        table.cache_blocks,
        table.requests,
        table.ceiling_percent,
        "workers",
        "policy",
        "hits %",
        "tokens/s",
        "ttft s",
        "p99 s",
        "gap tokens"
    );
    for t4::Row { workers, policy, found } in &table.rows {
        writeln!(
            text,
            "{workers:>7}  {policy:<13}{:>8.1}{:>11.0}{:>10.2}{:>10.2}{:>12.0}",
            found.hit_percent, found.throughput_tok_s, found.ttft_mean_s, found.ttft_p99_s, found.gap_tokens
        )
        .expect(INTO_TEXT);
    }
    text
}

fn t6_text(table: &t6::Table) -> String {
    let mut text = format!(
        "T6, reservation, weight and limit (mClock, OSDI'10); model: {}\n\n{:<22}{:<12}",
        table.model, "tokens/s", ""
    );
    let clients: Vec<&str> =
        table.rows.iter().take(1).flat_map(|row| row.published.keys().copied()).collect();
    for client in &clients {
        write!(text, "{client:>10}").expect(INTO_TEXT);
    }
    text.push('\n');
    for row in &table.rows {
        let lines = [("published", &row.published), ("mclock", &row.reproduced), ("tidegate", &row.tidegate)];
        for (index, (what, figures)) in lines.into_iter().enumerate() {
            let name = if index == 0 { row.run } else { "" };
            write!(text, "{name:<22}{what:<12}").expect(INTO_TEXT);
            for client in &clients {
                write!(text, "{:>10.1}", figures[client]).expect(INTO_TEXT);
            }
            text.push('\n');
        }
    }
    for (name, kept) in [("mclock", &table.mclock), ("tidegate", &table.tidegate)] {
        let [least, excess, one] =
            ["reserve_least_tok_s", "limit_excess_tokens", "one_request_tokens"].map(|figure| kept[figure]);
        writeln!(
            text,
            "{name:<10}least of the reserve in any 5 s: {least:.1} tokens/s; begun beyond the limit in any span: \
             {excess:.1} tokens, one request is {one:.0}"
        )
        .expect(INTO_TEXT);
    }
    text
}
