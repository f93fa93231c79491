//! `tidegate autoscale`: fleets that follow what the scheduler says it will want, as tables, JSON and a picture.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tidegate_sim::autoscale::{AutoscaleError, Autoscaled, FleetResult, autoscale};
use tidegate_sim::report::steps::{Line, steps};
use tidegate_sim::trace::{self, Kind, LoadOptions, Mix, Synthetic, TraceSpec, Work, Workload};

use super::engine::EngineArgs;
use super::outputs::Output;
use super::progress::Progress;
use super::{Failure, print};

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_HOUR: f64 = 3.6e12;
const NS_PER_MS: f64 = 1e6;
/// Tiers of the traffic, all of which count: conversation and code.
const TIERS: u8 = 2;
/// Requests of the synthetic day in a second on average, chosen arbitrarily.
const RATE: u64 = 6;
/// Rows of a curve that are printed.
const ROWS: usize = 15;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Replay this trace (repeatable), as it is and made into a day; without any, a synthetic day
    #[arg(long = "trace", value_name = "KIND:PATH")]
    traces: Vec<String>,
    /// Give all requests of a kind of trace this tier, as azure-code=P0 (repeatable)
    #[arg(long = "tier", value_name = "KIND=TIER", requires = "traces")]
    tiers: Vec<String>,
    /// Replay azure2023/AzureLLMInferenceTrace_{conv,code}.part1.csv.gz of this folder, each as P0 once and the other as P1
    #[arg(long, value_name = "FOLDER", conflicts_with = "traces")]
    data: Option<PathBuf>,
    /// How long workers take to start, in seconds
    #[arg(long, value_name = "S,S", value_delimiter = ',', default_value = "300,600", value_parser = clap::value_parser!(u64).range(1..=600))]
    start_up: Vec<u64>,
    /// Minutes in which a day's swing is played
    #[arg(long, value_name = "N", default_value_t = 480, value_parser = clap::value_parser!(u64).range(30..=1_440))]
    minutes_of_day: u64,
    #[command(flatten)]
    engine: EngineArgs,
    /// Seed of the day
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Draw the curves into this file, as SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,
}

/// A workload, and what it is called.
type Case = (String, Workload);

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let machine = args.engine.machine()?;
    let specs = specs(args)?;
    let traces = specs.iter().map(|spec| ("--trace", spec.path.as_path()));
    let inputs: Vec<_> = traces.chain(args.data.iter().map(|folder| ("--data", folder.as_path()))).collect();
    let cases = cases(args, &specs)?;
    let plot = args.plot.as_ref().map(|path| Output::begin("--plot", path, &inputs)).transpose()?;
    let start_ups: Vec<u64> = args.start_up.iter().map(|s| s * NS_PER_S).collect();
    let bar = Progress::of_trials();
    let mut answers = Vec::new();
    for (name, workload) in &cases {
        let tried = |what: &str| bar.name(format!("{name}: {what}"));
        let answer =
            autoscale(workload, machine, TIERS, &start_ups, &tried).map_err(|error| match error {
                AutoscaleError::Replay(_) => Failure::CheckFailed(error.to_string()),
                _ => Failure::bad_input(error),
            })?;
        answers.push((name.as_str(), answer));
    }
    drop(bar);
    if let Some(plot) = plot {
        plot.fill(|file| {
            // The file keeps its errors until it is put at its place.
            let _ = file.write_str(&picture(&answers));
        })?;
    }
    print(&if args.json { document(&answers) } else { answers.iter().map(table).collect() })
}

fn specs(args: &Args) -> Result<Vec<TraceSpec>, Failure> {
    args.traces.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(Failure::bad_input)
}

fn cases(args: &Args, specs: &[TraceSpec]) -> Result<Vec<Case>, Failure> {
    if !specs.is_empty() {
        return Ok(as_it_is_and_as_a_day("the traces", own(args, specs)?, args));
    }
    let Some(folder) = &args.data else {
        let minutes = args.minutes_of_day;
        let synthetic = Synthetic {
            seed: args.seed,
            requests: minutes * 60 * RATE,
            minutes,
            minutes_of_day: minutes,
            has_weekends: false,
            mix: Mix([60, 40, 0]),
        };
        return Ok(vec![(format!("a day in {minutes} minutes"), synthetic.workload())]);
    };
    let orders = [
        ("conversation as P0, code as P1", [Kind::AzureConv, Kind::AzureCode]),
        ("code as P0, conversation as P1", [Kind::AzureCode, Kind::AzureConv]),
    ];
    let mut cases = Vec::new();
    for (name, kinds) in orders {
        cases.extend(as_it_is_and_as_a_day(name, azure(folder, kinds)?, args));
    }
    Ok(cases)
}

fn as_it_is_and_as_a_day(name: &str, trace: Workload, args: &Args) -> Vec<Case> {
    let minutes = args.minutes_of_day;
    let day = trace::day_of(&trace, minutes, args.seed);
    vec![(name.to_owned(), trace), (format!("{name}, a day in {minutes} minutes"), day)]
}

/// The user's traces, with the tiers that they are given.
fn own(args: &Args, specs: &[TraceSpec]) -> Result<Workload, Failure> {
    let overrides = args.tiers.iter().map(|text| trace::parse_tier_override(text));
    let tier_overrides = overrides.collect::<Result<_, _>>().map_err(Failure::bad_input)?;
    let options = LoadOptions { tier_overrides, ..LoadOptions::default() };
    let workload = trace::load(specs, &options).map_err(Failure::bad_input)?;
    if workload.requests.iter().any(|request| matches!(request.work, Work::Job { .. })) {
        return Err(Failure::bad_input("--trace: GPU jobs have no first token"));
    }
    Ok(workload)
}

/// The traces of these kinds, as tiers in this order.
fn azure(folder: &Path, kinds: [Kind; 2]) -> Result<Workload, Failure> {
    let spec = |kind: Kind| {
        let part = if kind == Kind::AzureConv { "conv" } else { "code" };
        let path = folder.join(format!("azure2023/AzureLLMInferenceTrace_{part}.part1.csv.gz"));
        TraceSpec { kind, path }
    };
    let options =
        LoadOptions { tier_overrides: kinds.into_iter().zip(0..).collect(), ..LoadOptions::default() };
    trace::load(&kinds.map(spec), &options).map_err(Failure::bad_input)
}

fn hours(fleet: &FleetResult) -> f64 {
    fleet.paid_ns as f64 / NS_PER_HOUR
}

fn name_of(fleet: &FleetResult) -> String {
    fleet
        .start_up_ns
        .map_or_else(|| "as at the peak".to_owned(), |ns| format!("{} s to start", ns / NS_PER_S))
}

fn table((name, answer): &(&str, Autoscaled)) -> String {
    let taken = "a string takes all that is written to it";
    let mut text = format!("{name}: {} workers are enough at any time\n\n", answer.peak_workers);
    let heads = ["fleet", "worker-hours", "of peak", "P0 queue p99", "of peak", "P0 TTFT p99", "P1 TTFT p99"];
    let [fleet, worker_hours, hours_of, queue, queue_of, first, second] = heads;
    writeln!(
        text,
        "{fleet:<16} {worker_hours:>12} {hours_of:>8} {queue:>13} {queue_of:>8} {first:>12} {second:>12}"
    )
    .expect(taken);
    let ms = |ns: u64| format!("{:.1} ms", ns as f64 / NS_PER_MS);
    for fleet in std::iter::once(&answer.peak).chain(&answer.following) {
        writeln!(
            text,
            "{:<16} {:>12.2} {:>8.3} {:>13} {:>8} {:>12} {:>12}",
            name_of(fleet),
            hours(fleet),
            answer.hours_ratio(fleet),
            ms(fleet.queue_delay_ns_p99),
            answer.delay_ratio(fleet).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            ms(fleet.ttft_ns_p99),
            fleet.second_ttft_ns_p99.map_or_else(|| "-".to_owned(), ms)
        )
        .expect(taken);
    }
    for fleet in &answer.following {
        writeln!(
            text,
            "\n{}\n{:>8} {:>8} {:>8} {:>5} {:>9} {:>9}",
            name_of(fleet),
            "minute",
            "needed",
            "burst",
            "up",
            "starting",
            "draining"
        )
        .expect(taken);
        let looks = &fleet.curve.looks;
        for look in looks.iter().step_by(looks.len().div_ceil(ROWS).max(1)) {
            let minute = look.at_ns / (60 * NS_PER_S);
            writeln!(
                text,
                "{minute:>8} {:>8.1} {:>8.1} {:>5} {:>9} {:>9}",
                look.needed, look.burst, look.up, look.starting, look.draining
            )
            .expect(taken);
        }
    }
    text.push('\n');
    text
}

fn document(answers: &[(&str, Autoscaled)]) -> String {
    let fleet = |answer: &Autoscaled, fleet: &FleetResult| -> Value {
        let looks = fleet.curve.looks.iter().map(|look| {
            json!({"at_s": look.at_ns / NS_PER_S, "needed": look.needed, "burst": look.burst, "up": look.up,
                   "starting": look.starting, "draining": look.draining})
        });
        // Of a fleet that stays there is nothing to see, and it was looked at every second.
        let looks: Vec<Value> = if fleet.start_up_ns.is_some() { looks.collect() } else { Vec::new() };
        json!({
            "start_up_s": fleet.start_up_ns.map(|ns| ns / NS_PER_S),
            "worker_hours": hours(fleet),
            "worker_hours_of_peak": answer.hours_ratio(fleet),
            "p0_queue_delay_ms_p99": fleet.queue_delay_ns_p99 as f64 / NS_PER_MS,
            "p0_queue_delay_of_peak": answer.delay_ratio(fleet),
            "p0_ttft_ms_p99": fleet.ttft_ns_p99 as f64 / NS_PER_MS,
            "p1_ttft_ms_p99": fleet.second_ttft_ns_p99.map(|ns| ns as f64 / NS_PER_MS),
            "curve": looks,
        })
    };
    let cases: Vec<Value> = answers
        .iter()
        .map(|(name, answer)| {
            let fleets = std::iter::once(&answer.peak).chain(&answer.following);
            let fleets: Vec<Value> = fleets.map(|of| fleet(answer, of)).collect();
            json!({"case": name, "peak_workers": answer.peak_workers, "fleets": fleets})
        })
        .collect();
    let mut text =
        serde_json::to_string_pretty(&json!({"tidegate": env!("CARGO_PKG_VERSION"), "cases": cases}))
            .expect("numbers and names");
    text.push('\n');
    text
}

fn picture(answers: &[(&str, Autoscaled)]) -> String {
    let charts: Vec<_> = answers
        .iter()
        .map(|(name, answer)| {
            let points = |of: &FleetResult, value: fn(&tidegate_sim::replay::FleetLook) -> f64| {
                of.curve.looks.iter().map(|look| (look.at_ns as f64 / 6e10, value(look))).collect()
            };
            let mut lines: Vec<Line> =
                answer.following.iter().map(|of| (name_of(of), points(of, |look| look.up as f64))).collect();
            lines.extend(
                answer.following.first().map(|of| ("needed".to_owned(), points(of, |look| look.needed))),
            );
            ((*name).to_owned(), lines)
        })
        .collect();
    steps(&charts, "minutes", "workers")
}
