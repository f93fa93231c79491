//! What traffic costs: how many GPUs hold the tiers' objectives under each set-up, what they cost in a month, and
//! what an API would ask for the same tokens.
//!
//! Decides what is assumed ([`Assumptions`]: all of it printed and changeable, and one for all set-ups), what counts as holding an objective, and how money is shared out. Fleets are found by bisection over replays. Does not
//! know how long anything takes, nor how results are printed.

mod bill;
mod fleet;
mod prices;
mod shares;
mod slice;

use std::collections::BTreeMap;

pub use crate::hardware::Slicing;
pub use bill::{Bill, Part};
pub use fleet::CostError;
pub use prices::{ApiPrice, GpuPrice};
pub use slice::Slice;

use crate::machine::Machine;
use crate::model::ServiceModel;
use crate::setup::SetupKind;
use crate::trace::{Work, Workload};
use fleet::{Fleet, Search};
use prices::MILLION;
use shares::Shares;

/// All that an answer depends on, but the traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumptions {
    /// What workers cost.
    pub gpu: GpuPrice,
    /// What the API asks.
    pub api: ApiPrice,
    /// Requests in a month: what the traffic is stretched to.
    pub requests_per_month: f64,
    /// By tier: 99 of 100 requests have their first token within this, in nanoseconds. Tiers beyond have no objective but
    /// to complete.
    pub objectives_ns: Vec<u64>,
    /// Workers that are paid for besides those needed, for each fleet: for repairs and roll-outs.
    pub spare_workers: u32,
    /// The first tier's reserve in tidegate, in millionths: each is tried, the best is used.
    pub reserves_ppm: Vec<u32>,
}

/// One set-up, with the fewest workers that hold the objectives.
#[derive(Clone, Debug, PartialEq)]
pub struct SetupCost {
    /// Workers in all, spare ones included.
    pub workers: usize,
    /// Its GPUs.
    pub gpus: f64,
    /// What they cost in a month.
    pub usd_per_month: f64,
    /// By tier, for a million tokens in and out.
    pub usd_per_million_tokens: Vec<Option<f64>>,
    /// By tenant, for the same.
    pub usd_per_million_tokens_of_tenant: Vec<Option<f64>>,
    /// Share of worker time in which an iteration runs, spare workers included.
    pub utilisation: f64,
    /// By tier: 99 of 100 first tokens came within this, in nanoseconds.
    pub ttft_ns_p99: Vec<Option<u64>>,
    /// The same of the first tier's time in the queue.
    pub p0_queue_delay_ns_p99: Option<u64>,
}

/// A reserve that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReserveTried {
    /// The first tier's, in millionths.
    pub reserve_ppm: u32,
    /// The fewest workers that hold the objectives with it, and the spare ones; `None` if none within reason do.
    pub workers: Option<usize>,
    /// The first tier's p99 time to first token then.
    pub p0_ttft_ns_p99: Option<u64>,
}

/// What an assumption is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// What was changed, in words.
    pub changed: String,
    /// Cost per month by set-up.
    pub usd_per_month: BTreeMap<SetupKind, f64>,
    /// What the API asks for then.
    pub api_usd_per_month: f64,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// By set-up.
    pub setups: BTreeMap<SetupKind, SetupCost>,
    /// What the API asks in a month.
    pub api_usd_per_month: f64,
    /// What it asks for a million tokens of this traffic, in and out.
    pub api_usd_per_million_tokens: f64,
    /// Below so many requests in a month the API is cheaper than tidegate's fleet as it stands.
    pub crossover_requests_per_month: f64,
    /// Tokens in a month: of prompts, of outputs.
    pub tokens_per_month: [f64; 2],
    /// The reserves that were tried.
    pub reserves: Vec<ReserveTried>,
    /// The one with the fewest workers, of those the one with the quickest first tier.
    pub best_reserve_ppm: u32,
    /// What if.
    pub sensitivity: Vec<Sensitivity>,
}

/// What is replayed.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The traffic, at the rate of [`Assumptions::requests_per_month`].
    pub workload: &'a Workload,
    /// How long it lasts, in nanoseconds.
    pub span_ns: u64,
    /// A worker.
    pub machine: Machine,
}

/// The traffic at a multiple of its rate, and how long it then lasts, in nanoseconds.
pub type Stretched<'a> = &'a dyn Fn(f64) -> (Workload, u64);

/// Finds the fleets. `stretched` gives the traffic at another rate, `tried` is called before each replay.
///
/// # Errors
/// [`CostError`].
pub fn cost(
    case: Case<'_>,
    assumptions: &Assumptions,
    with_sensitivity: bool,
    stretched: Stretched<'_>,
    tried: &dyn Fn(&str),
) -> Result<Cost, CostError> {
    let search = Search { case, assumptions, tried };
    let fleets = search.fleets()?;
    let shares = Shares::of(case.workload, case.machine);
    let months = assumptions.requests_per_month / case.workload.requests.len().max(1) as f64;
    let tokens = tokens_of(case.workload).map(|tokens| tokens * months);
    let api = assumptions.api.usd(tokens);
    let setups: BTreeMap<_, _> = fleets
        .all()
        .map(|(kind, fleet)| (kind, setup_cost(kind, fleet, assumptions, &shares, months)))
        .collect();
    let own = setups[&SetupKind::Tidegate].usd_per_month;
    let mut answer = Cost {
        api_usd_per_month: api,
        api_usd_per_million_tokens: api / (tokens[0] + tokens[1]) * MILLION,
        crossover_requests_per_month: own / (api / assumptions.requests_per_month),
        tokens_per_month: tokens,
        reserves: fleets.reserves.clone(),
        best_reserve_ppm: fleets.best_reserve_ppm,
        sensitivity: Vec::new(),
        setups,
    };
    if with_sensitivity {
        answer.sensitivity = sensitivity(&search, &answer, stretched)?;
    }
    Ok(answer)
}

fn setup_cost(
    kind: SetupKind,
    fleet: &Fleet,
    assumptions: &Assumptions,
    shares: &Shares,
    months: f64,
) -> SetupCost {
    let usd = |workers: usize| assumptions.gpu.usd_per_month(workers);
    let workers = fleet.workers.iter().sum();
    // Who pays for what: each tier for its own workers, or all for all of them.
    let pots: Vec<(f64, Option<usize>)> = match kind {
        SetupKind::Dedicated => {
            fleet.workers.iter().enumerate().map(|(tier, &workers)| (usd(workers), Some(tier))).collect()
        }
        _ => vec![(usd(workers), None)],
    };
    let (by_tier, by_tenant) = shares.share_out(&pots);
    let per_million = |usd: &[f64], tokens: &[f64]| {
        let price = |(usd, tokens): (&f64, &f64)| (*tokens > 0.0).then(|| usd / (tokens * months) * MILLION);
        usd.iter().zip(tokens).map(price).collect()
    };
    SetupCost {
        workers,
        gpus: assumptions.gpu.gpus(workers),
        usd_per_month: usd(workers),
        usd_per_million_tokens: per_million(&by_tier, &shares.tokens_of_tier),
        usd_per_million_tokens_of_tenant: per_million(&by_tenant, &shares.tokens_of_tenant),
        utilisation: fleet.busy_workers / workers as f64,
        ttft_ns_p99: fleet.ttft_ns_p99.clone(),
        p0_queue_delay_ns_p99: fleet.p0_queue_delay_ns_p99,
    }
}

/// Prompt and output tokens.
fn tokens_of(workload: &Workload) -> [f64; 2] {
    let of = |work: Work| match work {
        Work::Tokens { prompt, output } => [f64::from(prompt), f64::from(output)],
        Work::Job { .. } => [0.0, 0.0],
    };
    workload
        .requests
        .iter()
        .map(|request| of(request.work))
        .fold([0.0, 0.0], |sum, of| [sum[0] + of[0], sum[1] + of[1]])
}

/// Prices change nothing but the sums; traffic and objectives need other fleets.
fn sensitivity(
    search: &Search<'_>,
    answer: &Cost,
    stretched: Stretched<'_>,
) -> Result<Vec<Sensitivity>, CostError> {
    let own = |factor: f64| {
        answer
            .setups
            .iter()
            .map(|(&kind, setup)| (kind, setup.usd_per_month * factor))
            .collect::<BTreeMap<_, _>>()
    };
    let mut rows = Vec::new();
    for (name, factor) in [("half", 0.5), ("twice", 2.0)] {
        let changed = format!("GPUs at {name} the price");
        rows.push(Sensitivity {
            changed,
            usd_per_month: own(factor),
            api_usd_per_month: answer.api_usd_per_month,
        });
    }
    for (name, factor) in [("half", 0.5), ("twice", 2.0)] {
        let changed = format!("the API at {name} the price");
        let api_usd_per_month = answer.api_usd_per_month * factor;
        rows.push(Sensitivity { changed, usd_per_month: own(1.0), api_usd_per_month });
    }
    let assumptions =
        Assumptions { reserves_ppm: vec![answer.best_reserve_ppm], ..search.assumptions.clone() };
    for (name, factor) in [("half", 0.5), ("twice", 2.0)] {
        let (workload, span_ns) = stretched(factor);
        let case = Case { workload: &workload, span_ns, ..search.case };
        let fleets = Search { case, assumptions: &assumptions, ..*search }.fleets()?;
        let usd = |fleet: &Fleet| assumptions.gpu.usd_per_month(fleet.workers.iter().sum());
        rows.push(Sensitivity {
            changed: format!("{name} as many requests"),
            usd_per_month: fleets.all().map(|(kind, fleet)| (kind, usd(fleet))).collect(),
            api_usd_per_month: answer.api_usd_per_month * factor,
        });
    }
    for (name, factor) in [("half", 0.5), ("twice", 2.0)] {
        let mut assumptions = assumptions.clone();
        let Some(first) = assumptions.objectives_ns.first_mut() else { continue };
        *first = (*first as f64 * factor) as u64;
        let fleets = Search { assumptions: &assumptions, ..*search }.fleets()?;
        let usd = |fleet: &Fleet| assumptions.gpu.usd_per_month(fleet.workers.iter().sum());
        rows.push(Sensitivity {
            changed: format!("P0's objective {name} as long"),
            usd_per_month: fleets.all().map(|(kind, fleet)| (kind, usd(fleet))).collect(),
            api_usd_per_month: answer.api_usd_per_month,
        });
    }
    Ok(rows)
}

/// GPUs of one worker of a model: as many as the tensor parallelism that its name ends with, as in `-tp4`; 1 without.
#[must_use]
pub fn gpus_of(model: &ServiceModel) -> f64 {
    let parallel = model.id.rsplit_once("-tp").and_then(|(_, gpus)| gpus.parse::<u8>().ok());
    parallel.map_or(1.0, f64::from)
}
