//! `tidegate cost`: from flags to assumptions, and what is printed of the answer.

mod page;

use tidegate_sim::cost::{Assumptions, Case, CostError, GpuPrice, Slice, Slicing, cost};
use tidegate_sim::machine::Machine;
use tidegate_sim::trace::{self, LoadOptions, Mix, Synthetic, TraceError, TraceSpec, Work, Workload};

use super::engine::{EngineArgs, Size};
use super::prices::{Prices, positive};
use super::progress::Progress;
use super::{Failure, print};

/// Requests in a month of the synthetic day: about eight shared GPUs of the default model are right for it. Scaled down to that after a
/// first comparison of the set-ups, at 60 million; prices and objectives were fixed before.
const REQUESTS_PER_MONTH: f64 = 26e6;

const NS_PER_S: f64 = 1e9;

/// Requests of one replay at most: a gigabyte, and minutes for each of some dozen replays.
const MOST_SIMULATED: f64 = 5e6;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Cost this trace (repeatable); without any, a synthetic day of conversation, code and batch
    #[arg(long = "trace", value_name = "KIND:PATH")]
    traces: Vec<String>,
    /// Stretch the traffic to so many requests in a month; without it 26 million, or what the trace has at its own rate
    #[arg(long, value_name = "N", value_parser = positive)]
    requests_per_month: Option<f64>,
    /// Parts of the synthetic day: conversation, code, batch
    #[arg(long, value_name = "N,N,N", default_value = "55,30,15", value_parser = mix)]
    mix: Mix,
    /// Simulated minutes in which the synthetic day's swing is played
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(30..=1_440))]
    minutes_of_day: u64,
    #[command(flatten)]
    engine: EngineArgs,
    /// A worker is a part of a GPU: mig:N, mps:N or time:N
    #[arg(long, value_name = "HOW:PARTS", value_parser = slicing, conflicts_with = "gpus_per_worker")]
    slice: Option<(Slicing, u32)>,
    #[command(flatten)]
    memory: Memory,
    #[command(flatten)]
    prices: Prices,
    /// Time to first token that 99 of 100 requests have to keep, by tier, in seconds
    #[arg(long, value_name = "S,S,S", value_delimiter = ',', default_value = "1,5,900", value_parser = positive)]
    objectives: Vec<f64>,
    /// Reserves of the first tier to try under tidegate, in per cent
    #[arg(long, value_name = "P,P", value_delimiter = ',', default_value = "10,20,30,40,50", value_parser = percent)]
    reserves: Vec<u32>,
    /// Workers that each fleet has besides those it needs: for repairs and roll-outs
    #[arg(long, value_name = "N", default_value_t = 1)]
    spare_workers: u32,
    /// Leave out what other prices, traffic and objectives would cost, which takes most of the time
    #[arg(long)]
    no_sensitivity: bool,
    /// Seed of the synthetic day
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,
}

/// What `--slice` divides.
#[derive(Debug, clap::Args)]
struct Memory {
    /// Memory of a whole GPU in GiB, for --slice
    #[arg(long, value_name = "GIB", default_value_t = 80.0, value_parser = positive)]
    vram_gib: f64,
    /// What weights and engine take of each part, for --slice; Llama-3 8B in 16 bits
    #[arg(long, value_name = "GIB", default_value_t = 16.0, value_parser = positive)]
    weights_gib: f64,
}

/// Per cent, as millionths.
fn percent(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number: &f64| (0.0..=90.0).contains(number));
    number.map(|number| (number * 1e4).round() as u32).ok_or_else(|| "expected from 0 to 90".to_owned())
}

fn mix(text: &str) -> Result<Mix, String> {
    let parts: Option<Vec<u32>> =
        text.split(',').map(|part| part.parse().ok().filter(|&part| part <= 1_000_000)).collect();
    let parts =
        parts.and_then(|parts| <[u32; 3]>::try_from(parts).ok()).filter(|parts| parts.iter().any(|&p| p > 0));
    parts.map(Mix).ok_or_else(|| "expected three whole numbers, not all 0, as 55,30,15".to_owned())
}

fn slicing(text: &str) -> Result<(Slicing, u32), String> {
    let parts = text.split_once(':').and_then(|(how, parts)| Some((how.parse().ok()?, parts.parse().ok()?)));
    parts.ok_or_else(|| "expected mig:N, mps:N or time:N".to_owned())
}

/// Traffic that can be had at any rate.
enum Traffic {
    Synthetic { seed: u64, mix: Mix, minutes: u64, requests: f64 },
    Trace(Workload),
}

impl Traffic {
    /// Refuses a multiple of its own rate that cannot be replayed.
    fn check(&self, factor: f64) -> Result<(), Failure> {
        match self {
            Self::Synthetic { minutes, requests, .. } if requests * factor > MOST_SIMULATED => {
                Err(Failure::bad_input(format_args!(
                    "--requests-per-month: {minutes} minutes of it are {:.0} requests, and at most {MOST_SIMULATED} are \
                     replayed: say fewer, or fewer --minutes-of-day",
                    requests * factor
                )))
            }
            Self::Trace(workload) if (workload.span_ns() as f64) < factor * NS_PER_S => {
                Err(Failure::bad_input(
                    "--requests-per-month: so stretched, the trace lasts less than a second: it has no rate",
                ))
            }
            _ => Ok(()),
        }
    }

    /// At a multiple of its own rate, and how long it lasts.
    fn at(&self, factor: f64) -> (Workload, u64) {
        match self {
            Self::Synthetic { seed, mix, minutes, requests } => {
                let synthetic = Synthetic {
                    seed: *seed,
                    requests: (requests * factor).round().max(1.0) as u64,
                    minutes: *minutes,
                    minutes_of_day: *minutes,
                    has_weekends: false,
                    mix: *mix,
                };
                (synthetic.workload(), minutes * 60 * NS_PER_S as u64)
            }
            Self::Trace(workload) => {
                let stretched = workload.stretched(factor);
                let span = stretched.span_ns().max(1);
                (stretched, span)
            }
        }
    }
}

/// What is costed, and what is assumed: all of it before anything is compared.
struct Plan {
    traffic: Traffic,
    /// At this multiple of its own rate.
    factor: f64,
    machine: Machine,
    assumptions: Assumptions,
    /// Where its price comes from, and what a worker is.
    worker: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let plan = plan(args)?;
    let (workload, span_ns) = plan.traffic.at(plan.factor);
    let case = Case { workload: &workload, span_ns, machine: plan.machine };
    let bar = Progress::of_trials();
    let tried = |what: &str| bar.name(what.to_owned());
    let stretched = |factor: f64| plan.traffic.at(plan.factor * factor);
    let answer = cost(case, &plan.assumptions, !args.no_sensitivity, &stretched, &tried).map_err(
        |error| match error {
            CostError::Replay(_) => Failure::CheckFailed(error.to_string()),
            _ => Failure::bad_input(error),
        },
    )?;
    drop(bar);
    let page = page::Page { plan: &plan, workload: &workload, span_ns, answer: &answer };
    print(&if args.json { page.json() } else { page.table() })
}

fn plan(args: &Args) -> Result<Plan, Failure> {
    let model = args.engine.model()?;
    let (model, gpu) = match args.slice {
        Some((slicing, parts)) => {
            let Memory { vram_gib, weights_gib } = args.memory;
            let slice = Slice { slicing, parts, vram_gib, weights_gib };
            let model =
                slice.of(model).map_err(|problem| Failure::bad_input(format_args!("--slice: {problem}")))?;
            (model, GpuPrice { gpus_per_worker: 1.0 / f64::from(parts), ..args.prices.gpu(model) })
        }
        None => (model, args.prices.gpu(model)),
    };
    let machine = args.engine.machine_of(model, Size::default())?;
    let month_s = gpu.hours_per_month * 3_600.0;
    let (traffic, own_rate) = traffic(args, month_s)?;
    let requests_per_month = args.requests_per_month.unwrap_or(own_rate);
    let factor = requests_per_month / own_rate;
    traffic.check(factor)?;
    let assumptions = Assumptions {
        gpu,
        api: args.prices.api(),
        requests_per_month,
        objectives_ns: args.objectives.iter().map(|s| (s * NS_PER_S) as u64).collect(),
        spare_workers: args.spare_workers,
        reserves_ppm: args.reserves.clone(),
    };
    let worker = match machine {
        Machine::Engine { slots, kv_blocks, .. } => format!("{slots} slots, {kv_blocks} KV blocks"),
        Machine::Node => String::new(),
    };
    Ok(Plan { traffic, factor, machine, assumptions, worker })
}

/// The traffic, and its own rate in requests per month.
fn traffic(args: &Args, month_s: f64) -> Result<(Traffic, f64), Failure> {
    if args.traces.is_empty() {
        let requests = REQUESTS_PER_MONTH / month_s * args.minutes_of_day as f64 * 60.0;
        let traffic =
            Traffic::Synthetic { seed: args.seed, mix: args.mix, minutes: args.minutes_of_day, requests };
        return Ok((traffic, REQUESTS_PER_MONTH));
    }
    let specs: Result<Vec<TraceSpec>, TraceError> = args.traces.iter().map(|text| text.parse()).collect();
    let workload = trace::load(&specs.map_err(Failure::bad_input)?, &LoadOptions::default());
    let workload = workload.map_err(Failure::bad_input)?;
    if workload.requests.iter().any(|request| matches!(request.work, Work::Job { .. })) {
        return Err(Failure::bad_input("openb: GPU jobs have no tokens, and an API has no price for them"));
    }
    let span_s = workload.span_ns() as f64 / NS_PER_S;
    if span_s < 1.0 {
        return Err(Failure::bad_input("the trace lasts less than a second: it has no rate"));
    }
    let rate = workload.requests.len() as f64 / span_s * month_s;
    Ok((Traffic::Trace(workload), rate))
}
