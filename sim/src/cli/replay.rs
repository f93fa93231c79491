//! `tidegate replay`: from flags to a workload, workers and set-ups, and to what is printed of them.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use clap::builder::PossibleValuesParser;
use tidegate::{Config, Resources};
use tidegate_deploy::{Deployment, Workers};
use tidegate_sim::cost::{ApiPrice, GpuPrice};
use tidegate_sim::hardware::{mean_slowdown, refuse_spares, together};
use tidegate_sim::machine::Machine;
use tidegate_sim::model::ServiceModel;
use tidegate_sim::replay::{Outcome, ReplayError, ReplayOptions, Requests, Watch, replay, replay_stream};
use tidegate_sim::report::{Comparison, Results, chrome_trace, html, json, picture, table};
use tidegate_sim::setup::{Setup, SetupError, SetupKind, default_config};
use tidegate_sim::sizing::{SizingError, default_workers};
use tidegate_sim::trace::{
    self, Batches, Kind, LoadOptions, Synthetic, TraceError, TraceSpec, Work, Workload,
};
use tidegate_sim::whole_file::WholeFile;

use super::engine::{EngineArgs, Size, checked_workers};
use super::outputs::{self, Output};
use super::prices::Prices;
use super::progress::Progress;
use super::{Failure, config, interrupt, print};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Replay this trace (repeatable); without any, a built-in workload of conversation, code and batch
    #[arg(long = "trace", value_name = "KIND:PATH")]
    traces: Vec<String>,
    /// Give all requests of a kind of trace this tier, as azure-code=P0 (repeatable)
    #[arg(long = "tier", value_name = "KIND=TIER")]
    tiers: Vec<String>,
    /// Let rows of traces without arrivals come so many at a time, as 500/900 for 500 every 900 s; without it,
    /// all at the start
    #[arg(long, value_name = "ROWS/SECONDS", value_parser = batches)]
    batches: Option<Batches>,
    /// Replay the tidegate set-up with this config (TOML), its tenants, devices and workers
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stretch the arrival rates: with 2, requests come twice as fast
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", allow_negative_numbers = true)]
    scale: f64,
    /// Repeat at these multiples of the arrival rates, as 1,1.5,2,3,4
    #[arg(long, value_delimiter = ',', value_name = "FACTORS", allow_negative_numbers = true)]
    scale_curve: Vec<f64>,
    /// Workers; without it, as many as make P0's peak need about equal to its reserve
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    prices: Prices,
    /// Seed of the built-in workload
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Run only this set-up, or this policy in place of the scheduler (repeatable)
    #[arg(long = "setup", value_name = "NAME", value_parser = setup_names())]
    setups: Vec<String>,
    /// Verify the scheduler's invariants after every input
    #[arg(long)]
    check: bool,
    /// Record the journal of the tidegate set-up here; a run that is broken off leaves .FILE.PID.partial beside it
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Write a page about it here: HTML with all that it needs, for light and dark
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Draw here who held how much memory while work waited, within reserves and beyond, and what was reclaimed: of
    /// tidegate, or of the first --setup without it
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Write every attempt of every request here, as Chrome trace JSON, which ui.perfetto.dev opens
    #[arg(long, value_name = "FILE.json")]
    timeline: Option<PathBuf>,
    /// Replay a synthetic week of so many requests, drawn as it goes: bounded memory however many
    #[arg(
        long,
        value_name = "REQUESTS",
        num_args = 0..=1,
        default_missing_value = "44000000",
        value_parser = clap::value_parser!(u64).range(10_000..=10_000_000_000),
        conflicts_with_all = ["traces", "tiers", "batches", "scale", "scale_curve", "timeline"]
    )]
    week: Option<u64>,
    /// Print how far it is on standard error, as lines `progress DONE OF`, for programs
    #[arg(long)]
    progress: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

/// How much of a week workers are chosen by: the busiest minutes of a day.
const SAMPLE_MINUTES: u64 = 30;

fn setup_names() -> PossibleValuesParser {
    PossibleValuesParser::new(SetupKind::every().map(SetupKind::name))
}

/// Reads `ROWS/SECONDS`.
fn batches(text: &str) -> Result<Batches, String> {
    let numbers =
        text.split_once('/').and_then(|(rows, s)| Some((rows.parse().ok()?, s.parse::<u32>().ok()?)));
    match numbers {
        Some((rows, seconds)) if rows > 0 => {
            Ok(Batches { rows, every_ns: u64::from(seconds) * 1_000_000_000 })
        }
        _ => Err("expected ROWS/SECONDS, as 500/900".to_owned()),
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let kinds = kinds(args);
    if args.journal.is_some() && !kinds.contains(&SetupKind::Tidegate) {
        return Err(Failure::bad_input("--journal records the tidegate set-up, which --setup leaves out"));
    }
    if args.report.is_none() {
        args.prices.refuse("only the page that --report writes tells prices")?;
    }
    let scales = scales(args)?;
    let specs = specs(args).map_err(Failure::bad_input)?;
    let load = |scale| load(args, &specs, scale).map_err(Failure::bad_input);
    let traffic = load(args.scale)?;
    let file = args.config.as_deref().map(config::read).transpose()?;
    let machine = machine(args, traffic.sample(), file.as_ref())?;
    let config = file.as_ref().map_or_else(|| default_config(machine), |file| file.config.clone());
    // Before the first file is begun: who breaks off now finds none of them.
    let stop = interrupt::watch()?;
    let outputs = Outputs::begin(args, &specs)?;
    let workers = match file.as_ref().map_or(0, Deployment::worker_count) {
        0 => workers(args, traffic.sample(), machine, &config, &stop)?,
        of_file => of_file,
    };
    let model = args.engine.model()?;
    let of_file = file.as_ref().map(|file| (file, model));
    let runner = Runner { args, machine, config: &config, file: of_file, workers, kinds, stop: &stop };
    // All set-ups are made before the first runs: bad input is told at once.
    let setups = runner.setups(traffic.sample())?;
    let (journal_name, journal) = outputs.journal.map(Output::into_file).unzip();
    let (main, journal) = runner.compare(&traffic, &setups, args.scale, journal)?;
    let mut curve = Vec::new();
    for scale in scales {
        if !main.is_partial() {
            let traffic = load(scale)?;
            curve.push(runner.compare(&traffic, &runner.setups(traffic.sample())?, scale, None)?.0);
        }
    }
    let tenants = traffic.sample().tenants.clone();
    let results = Results {
        seed: args.seed,
        machine,
        workers,
        workers_chosen: args.workers.is_none() && file.as_ref().is_none_or(|file| file.workers.is_empty()),
        workers_differ: file.as_ref().is_some_and(workers_differ),
        slowdown: file.as_ref().map_or(1.0, mean_slowdown),
        traces: traffic.into_sources(),
        tier_names: config.tiers().iter().map(|tier| tier.name().to_owned()).collect(),
        tenants,
        prices: prices(args, machine, file.as_ref()),
        main,
        curve,
    };
    if let (Some(journal), Some(name)) = (journal, journal_name) {
        Output::commit(&name, journal)?;
    }
    if let Some(report) = outputs.report {
        report.fill(|file| html(&results, file))?;
    }
    if let Some(plot) = outputs.plot {
        plot.fill(|file| picture(&results, file))?;
    }
    if let Some(timeline) = outputs.timeline {
        timeline.fill(|file| chrome_trace(&results, file))?;
    }
    show(args, &results)?;
    match results.is_partial() {
        true => Err(Failure::Interrupted("stopped: the report is of the time until then".to_owned())),
        false => Ok(()),
    }
}

/// What workers and tokens cost; GPU jobs are not priced.
fn prices(args: &Args, machine: Machine, file: Option<&Deployment>) -> Option<(GpuPrice, ApiPrice)> {
    let Machine::Engine { model, .. } = machine else { return None };
    let file = file.filter(|file| !file.workers.is_empty());
    let gpu = file.map_or_else(|| args.prices.gpu(model), |file| args.prices.gpu_of(file, model));
    Some((gpu, args.prices.api()))
}

/// The files that a replay writes.
struct Outputs {
    journal: Option<Output>,
    report: Option<Output>,
    plot: Option<Output>,
    timeline: Option<Output>,
}

impl Outputs {
    fn begin(args: &Args, specs: &[TraceSpec]) -> Result<Self, Failure> {
        let traces = specs.iter().map(|spec| ("--trace", spec.path.as_path()));
        let inputs: Vec<_> =
            traces.chain(args.config.iter().map(|file| ("--config", file.as_path()))).collect();
        let outputs = [
            ("--journal", &args.journal),
            ("--report", &args.report),
            ("--plot", &args.plot),
            ("--timeline", &args.timeline),
        ];
        let outputs: Vec<_> =
            outputs.iter().filter_map(|&(flag, path)| Some((flag, path.as_deref()?))).collect();
        outputs::refuse_one_place(&outputs)?;
        let begin = |flag, path: &Option<PathBuf>| {
            path.as_ref().map(|path| Output::begin(flag, path, &inputs)).transpose()
        };
        Ok(Self {
            journal: begin("--journal", &args.journal)?,
            report: begin("--report", &args.report)?,
            plot: begin("--plot", &args.plot)?,
            timeline: begin("--timeline", &args.timeline)?,
        })
    }
}

/// What is replayed: all of it in memory, or drawn as it goes.
enum Traffic {
    Whole(Workload),
    Stream {
        synthetic: Synthetic,
        /// Its busiest time, which says what the rest is like.
        sample: Workload,
    },
}

impl Traffic {
    /// A workload with the tiers and tenants of it.
    fn sample(&self) -> &Workload {
        match self {
            Self::Whole(workload) | Self::Stream { sample: workload, .. } => workload,
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Whole(workload) => workload.requests.len() as u64,
            Self::Stream { synthetic, .. } => synthetic.requests,
        }
    }

    fn into_sources(self) -> Vec<String> {
        match self {
            Self::Whole(workload) | Self::Stream { sample: workload, .. } => workload.sources,
        }
    }
}

fn show(args: &Args, results: &Results) -> Result<(), Failure> {
    if !args.json {
        return print(&table(results));
    }
    let mut text = Vec::new();
    json(results, &mut text).expect("writing to memory does not fail");
    print(&String::from_utf8(text).expect("JSON is UTF-8"))
}

fn kinds(args: &Args) -> Vec<SetupKind> {
    match args.setups.as_slice() {
        [] => SetupKind::ALL.to_vec(),
        asked => SetupKind::every().filter(|kind| asked.iter().any(|name| name == kind.name())).collect(),
    }
}

/// The further rates that are asked for.
fn scales(args: &Args) -> Result<Vec<f64>, Failure> {
    let rates: Vec<f64> = args.scale_curve.iter().map(|factor| factor * args.scale).collect();
    let bad = rates.iter().zip(&args.scale_curve).find(|(rate, _)| !(rate.is_finite() && **rate > 0.0));
    match bad {
        Some((_, factor)) => {
            Err(Failure::bad_input(format_args!("--scale-curve: {factor} is not a positive number")))
        }
        None => Ok(rates),
    }
}

fn specs(args: &Args) -> Result<Vec<TraceSpec>, TraceError> {
    args.traces.iter().map(|text| text.parse()).collect()
}

fn load(args: &Args, specs: &[TraceSpec], scale: f64) -> Result<Traffic, TraceError> {
    let overrides = args.tiers.iter().map(|text| trace::parse_tier_override(text));
    let tier_overrides = overrides.collect::<Result<Vec<(Kind, u8)>, _>>()?;
    let options = LoadOptions { tier_overrides, scale, batch_every: args.batches };
    if let Some(requests) = args.week {
        let synthetic = Synthetic::week(args.seed, requests);
        let sample = synthetic.busiest(SAMPLE_MINUTES);
        return Ok(Traffic::Stream { synthetic, sample });
    }
    if specs.is_empty() {
        return trace::load(&[], &options).map(|_| Traffic::Whole(trace::builtin(args.seed, scale)));
    }
    trace::load(specs, &options).map(Traffic::Whole)
}

fn machine(args: &Args, workload: &Workload, file: Option<&Deployment>) -> Result<Machine, Failure> {
    let file = file.filter(|file| !file.workers.is_empty());
    let is_of_jobs = workload.requests.iter().any(|request| matches!(request.work, Work::Job { .. }));
    match (file, &args.config) {
        (Some(file), Some(path)) => {
            if args.workers.is_some() {
                return Err(Failure::bad_input("--workers: the config has workers of its own"));
            }
            if is_of_jobs {
                return Err(Failure::bad_file(path, "workers: GPU jobs run on nodes of the simulator's own"));
            }
            let bad = |problem: String| Failure::bad_file(path, problem);
            refuse_spares(file).map_err(|spare| bad(spare.to_string()))?;
            let model = args.engine.model()?;
            for size in sizes(file).map_err(bad)? {
                args.engine.machine_of(model, size)?;
            }
            let mean = mean(file).map_err(bad)?;
            args.engine.machine_of(model.slower(mean_slowdown(file)), mean)
        }
        _ if is_of_jobs => {
            args.engine.refuse_for_jobs()?;
            args.prices.refuse("GPU jobs are not priced")?;
            Ok(Machine::Node)
        }
        _ => args.engine.machine(),
    }
}

/// What each table of workers of a file has.
fn sizes(file: &Deployment) -> Result<Vec<Size>, String> {
    let of = |(index, group): (usize, &Workers)| {
        size(file, group.capacity).map_err(|(name, _)| {
            format!("workers[{index}].capacity.{name}: a replay has from 1 to {MAX_SIMULATED}")
        })
    };
    file.workers.iter().enumerate().map(of).collect()
}

/// A worker with so much; else the first dimension of which there is too little or too much.
fn size(file: &Deployment, has: Resources) -> Result<Size, (&str, u64)> {
    let mut size = Size::default();
    for (place, name) in file.config.dimensions().enumerate() {
        let units = match u32::try_from(has[place]) {
            Ok(units @ 1..=MAX_SIMULATED) => units,
            _ => return Err((name, has[place])),
        };
        match name {
            "slots" => size.slots = Some(units),
            "kv_blocks" => size.kv_blocks = Some(units),
            _ => {} // the set-up refuses it
        }
    }
    Ok(size)
}

fn workers_differ(file: &Deployment) -> bool {
    let alike = |pair: &[Workers]| pair[0].capacity == pair[1].capacity;
    !file.workers.windows(2).all(alike)
        || file.devices.iter().any(|device| device.spec.limit != Resources::ZERO)
}

/// As many workers that are all alike, and have together as much (rounded down), no more than the limits of their devices.
fn mean(file: &Deployment) -> Result<Size, String> {
    let workers = file.worker_count() as u64;
    let each = together(file).as_array().map(|all| all / workers);
    size(file, Resources::from(each)).map_err(|(name, units)| {
        format!(
            "devices: their limits leave each worker {units} {name}: a replay has from 1 to {MAX_SIMULATED}"
        )
    })
}

/// The most of each that a simulated worker has: far more than any engine.
const MAX_SIMULATED: u32 = 1 << 24;

fn workers(
    args: &Args,
    workload: &Workload,
    machine: Machine,
    config: &Config,
    stop: &AtomicBool,
) -> Result<usize, Failure> {
    match args.workers {
        Some(workers) => checked_workers(workers),
        None => {
            let bar = Progress::new(workload.requests.len() as u64);
            let name = |workers| bar.name(format!("trying {workers} workers"));
            match default_workers(workload, machine, config, Some(stop), name) {
                Ok(sizing) => Ok(sizing.workers),
                Err(SizingError::Setup(error)) => Err(bad_setup(args, error)),
                Err(SizingError::Stopped) => Err(Failure::Interrupted(
                    "stopped while workers were being chosen: there is nothing to report".to_owned(),
                )),
                Err(SizingError::Replay(error)) => {
                    Err(Failure::CheckFailed(format!("choosing workers: {error}")))
                }
            }
        }
    }
}

/// A fault of the user's config is told with its file.
fn bad_setup(args: &Args, error: SetupError) -> Failure {
    match &args.config {
        Some(file) if error.is_of_config() => Failure::bad_file(file, error),
        _ => Failure::bad_input(error),
    }
}

/// What all replays of one command have in common.
struct Runner<'a> {
    args: &'a Args,
    machine: Machine,
    config: &'a Config,
    /// The file that has workers or tenants, and the model of a worker of it that has a device of its own.
    file: Option<(&'a Deployment, &'static ServiceModel)>,
    workers: usize,
    kinds: Vec<SetupKind>,
    stop: &'a AtomicBool,
}

impl Runner<'_> {
    fn setups(&self, workload: &Workload) -> Result<Vec<Setup>, Failure> {
        let make = |&kind: &SetupKind| {
            let setup = Setup::new(kind, self.machine, self.workers, workload, self.config);
            let setup = setup.and_then(|setup| match self.file {
                Some((file, model)) => setup.with_file(file, model, workload),
                None => Ok(setup),
            });
            setup.map_err(|error| bad_setup(self.args, error))
        };
        self.kinds.iter().map(make).collect()
    }

    fn compare(
        &self,
        traffic: &Traffic,
        setups: &[Setup],
        scale: f64,
        journal: Option<WholeFile>,
    ) -> Result<(Comparison, Option<WholeFile>), Failure> {
        let mut journal_to_write = journal;
        let mut journal_written = None;
        let mut outcomes: Vec<(SetupKind, Outcome)> = Vec::new();
        let requests = traffic.count();
        let steps = requests * setups.len() as u64;
        let bar = if self.args.progress { Progress::as_lines(steps) } else { Progress::new(steps) };
        for (index, setup) in setups.iter().enumerate() {
            if outcomes.last().is_some_and(|(_, outcome)| outcome.is_partial) {
                break;
            }
            bar.name(format!("{} x {scale}", setup.kind.name()));
            let before = index as u64 * requests;
            let mut progress = |done| bar.set(before + done);
            let journal = match setup.kind {
                SetupKind::Tidegate => journal_to_write.take(),
                _ => None,
            };
            let options = ReplayOptions {
                journal,
                check: self.args.check,
                progress: Some(&mut progress),
                watch: self.watch(),
                stop: Some(self.stop),
                scaling: None,
            };
            let (outcome, journal) = self
                .replay(traffic, setup, options)
                .map_err(|error| Failure::CheckFailed(format!("{}: {error}", setup.kind.name())))?;
            journal_written = journal_written.or(journal);
            outcomes.push((setup.kind, outcome));
        }
        Ok((Comparison { scale, outcomes }, journal_written))
    }

    fn replay(
        &self,
        traffic: &Traffic,
        setup: &Setup,
        options: ReplayOptions<'_>,
    ) -> Result<(Outcome, Option<WholeFile>), ReplayError> {
        match traffic {
            Traffic::Whole(workload) => replay(workload, setup, self.machine, options),
            Traffic::Stream { synthetic, sample } => {
                let least_urgent = sample.requests.iter().map(|request| request.tier).max().unwrap_or(0);
                let arrivals = synthetic.arrivals();
                let requests = Requests { arrivals, tenants: &sample.tenants, sizes: None, least_urgent };
                replay_stream(requests, setup, self.machine, options)
            }
        }
    }

    fn watch(&self) -> Watch {
        let draws = self.args.report.is_some() || self.args.plot.is_some();
        match &self.args.timeline {
            Some(_) => Watch::Attempts,
            None if draws => Watch::Steps,
            None => Watch::Nothing,
        }
    }
}
