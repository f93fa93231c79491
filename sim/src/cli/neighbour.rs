//! `tidegate neighbour`: what the busiest tenant of a workload costs the others.

use std::fmt::Write;

use serde::Serialize;
use tidegate_sim::machine::Machine;
use tidegate_sim::neighbour::{NeighbourError, Neighbourhood, Run, Sharing, compare};
use tidegate_sim::trace::{self, LoadOptions, TraceError, TraceSpec, Work, Workload};

use super::engine::{EngineArgs, checked_workers};
use super::progress::Progress;
use super::{Failure, print};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Replay this trace, its tiers left out (repeatable); the tenant with most requests is the noisy one
    #[arg(long = "trace", value_name = "KIND:PATH", required = true)]
    traces: Vec<String>,
    /// Stretch the arrival rates: with 2, requests come twice as fast
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", allow_negative_numbers = true)]
    scale: f64,
    /// Workers
    #[arg(long, value_name = "N")]
    workers: usize,
    #[command(flatten)]
    engine: EngineArgs,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let workers = checked_workers(args.workers)?;
    let machine = args.engine.machine()?;
    let workload = load(args).map_err(Failure::bad_input)?;
    if workload.requests.iter().any(|request| matches!(request.work, Work::Job { .. })) {
        return Err(Failure::bad_input("--trace: GPU jobs have no first token"));
    }
    let bar = Progress::new(workload.requests.len() as u64 * (1 + Sharing::ALL.len() as u64));
    bar.name("four replays".to_owned());
    let progress = |more| bar.advance(more);
    let found = compare(&workload, machine, workers, progress).map_err(|error| match error {
        NeighbourError::Replay(bug) => Failure::CheckFailed(bug.to_string()),
        other => Failure::bad_input(other),
    })?;
    drop(bar);
    let document = Document::new(&workload, machine, workers, &found);
    print(&if args.json { document.json() } else { document.table() })
}

fn load(args: &Args) -> Result<Workload, TraceError> {
    let specs: Vec<TraceSpec> = args.traces.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    trace::load(&specs, &LoadOptions { scale: args.scale, ..LoadOptions::default() })
}

#[derive(Serialize)]
struct Document {
    tidegate: &'static str,
    traces: Vec<String>,
    model: &'static str,
    workers: usize,
    slots: Option<u32>,
    requests: usize,
    noisy_tenant: String,
    noisy_share: f64,
    runs: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    sharing: &'static str,
    noisy_is_there: bool,
    others_ttft_ms_p50: Option<f64>,
    others_ttft_ms_p99: Option<f64>,
    of_without: Option<f64>,
    output_tokens_per_s: f64,
    throughput_of_fifo: Option<f64>,
    preemptions: u64,
    lost: u64,
}

impl Row {
    fn new(sharing: Sharing, run: &Run) -> Self {
        let ms = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e6);
        Self {
            sharing: sharing.name(),
            noisy_is_there: false,
            others_ttft_ms_p50: ms(run.others_ttft.p50),
            others_ttft_ms_p99: ms(run.others_ttft.p99),
            of_without: None,
            output_tokens_per_s: run.output_tokens_per_s,
            throughput_of_fifo: None,
            preemptions: run.preemptions,
            lost: run.lost,
        }
    }

    fn with_noisy(sharing: Sharing, found: &Neighbourhood) -> Self {
        Self {
            noisy_is_there: true,
            of_without: found.harm(sharing),
            throughput_of_fifo: Some(found.throughput_kept(sharing)),
            ..Self::new(sharing, found.run(sharing))
        }
    }
}

impl Document {
    fn new(workload: &Workload, machine: Machine, workers: usize, found: &Neighbourhood) -> Self {
        let with = Sharing::ALL.into_iter().map(|sharing| Row::with_noisy(sharing, found));
        let slots = match machine {
            Machine::Engine { slots, .. } => Some(slots),
            Machine::Node => None,
        };
        Self {
            tidegate: env!("CARGO_PKG_VERSION"),
            traces: workload.sources.clone(),
            model: machine.id(),
            workers,
            slots,
            requests: workload.requests.len(),
            noisy_tenant: found.noisy.clone(),
            noisy_share: found.share,
            runs: std::iter::once(Row::new(Sharing::Fair, &found.without)).chain(with).collect(),
        }
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and names") + "\n"
    }

    fn table(&self) -> String {
        let mut text = format!("tidegate {} neighbour\n", self.tidegate);
        let mut line = |line: std::fmt::Arguments<'_>| {
            writeln!(text, "{line}").expect("a string takes all that is written to it");
        };
        for trace in &self.traces {
            line(format_args!("  {trace}"));
        }
        let slots = self.slots.map_or(String::new(), |slots| format!(", each {slots} slots"));
        line(format_args!("model {}, {} workers{slots}", self.model, self.workers));
        let share = self.noisy_share * 100.0;
        line(format_args!("noisy: {}, {share:.1} % of {} requests\n", self.noisy_tenant, self.requests));
        line(format_args!(
            "{:<10}{:>28}{:>12}{:>14}{:>10}{:>13}{:>6}",
            "", "others: first token ms", "of without", "tokens per s", "of fifo", "preemptions", "lost"
        ));
        line(format_args!("{:<10}{:>28}", "", "p50 / p99"));
        for row in &self.runs {
            let number =
                |value: Option<f64>, digits| value.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
            let name = if row.noisy_is_there { row.sharing } else { "without" };
            let ttft =
                format!("{} / {}", number(row.others_ttft_ms_p50, 0), number(row.others_ttft_ms_p99, 0));
            let (harm, kept) = (number(row.of_without, 2), number(row.throughput_of_fifo, 4));
            let (tokens, preemptions, lost) = (row.output_tokens_per_s, row.preemptions, row.lost);
            line(format_args!(
                "{name:<10}{ttft:>28}{harm:>12}{tokens:>14.0}{kept:>10}{preemptions:>13}{lost:>6}"
            ));
        }
        text
    }
}
