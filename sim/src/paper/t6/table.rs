//! The rows: what each client gets by definition, under mClock and under tidegate, and whether promises were kept.

use serde::Serialize;

use crate::paper::draws::Figures;
use crate::paper::row::Row;
use crate::policy::{MClock, Promise};

use super::hosted::Hosted;
use super::server::{CLIENTS, COSTS, Phase, Served, WORKERS, serve};

/// Of the first client, tokens a second.
const RESERVE: u64 = 300;
/// Of the third.
const LIMIT: u64 = 400;
/// What a phase begins with is not counted in its rates: what ran before it has ended by then.
const SETTLES_S: u64 = 5;
/// Over so long is the reserve looked at.
const WINDOW_S: u64 = 5;
/// The clients, as they are printed.
const NAMES: [&str; CLIENTS] = ["reserved", "weight_2", "weight_1"];

const BOTH: [bool; WORKERS] = [true; WORKERS];

/// Each phase is a minute, with what the three get by definition.
const PHASES: [(Phase, [f64; CLIENTS]); 4] = [
    (phase("all", 60, BOTH, [true; CLIENTS]), [300.0, 1_400.0 / 3.0, 700.0 / 3.0]),
    (phase("half the capacity", 120, [false, true], [true; CLIENTS]), [300.0, 400.0 / 3.0, 200.0 / 3.0]),
    (phase("weight 2 is silent", 180, BOTH, [true, false, true]), [300.0, 0.0, 400.0]),
    (phase("reserved is silent", 240, BOTH, [false, true, true]), [0.0, 2_000.0 / 3.0, 1_000.0 / 3.0]),
];

const fn phase(name: &'static str, until_s: u64, workers: [bool; WORKERS], asks: [bool; CLIENTS]) -> Phase {
    Phase { name, until_s, workers, asks }
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Its name.
    pub table: &'static str,
    /// What serves.
    pub model: &'static str,
    /// By phase: tokens a second of each client.
    pub rows: Vec<Row>,
    /// Whether mClock kept its promises: see `tidegate`.
    pub mclock: Figures,
    /// `reserve_least_tok_s`: the least that the first client got in any 5 s in which it asked; `limit_excess_tokens`: the
    /// most that the third began in any span beyond 400 tokens a second, of which one request is allowed (`one_request_tokens`).
    pub tidegate: Figures,
}

/// Computes the table; a seed draws the sizes of the requests.
#[must_use]
pub fn table(seed: u64) -> Table {
    let phases = PHASES.map(|(phase, _)| phase);
    let promise = |reserve: u64, weight, limit| Promise { reserve: reserve as f64, weight, limit };
    let promises = vec![
        promise(RESERVE, 0.0, f64::INFINITY),
        promise(0, 2.0, f64::INFINITY),
        promise(0, 1.0, LIMIT as f64),
    ];
    let mclock = serve(&phases, seed, &mut MClock::new(promises));
    let ours = serve(&phases, seed, &mut Hosted::new(RESERVE, LIMIT));
    let mut begins_s = 0;
    let rows = PHASES.iter().map(|(phase, shares)| {
        let span = (begins_s + SETTLES_S, phase.until_s);
        begins_s = phase.until_s;
        let published: Figures = NAMES.into_iter().zip(*shares).collect();
        Row::new("mclock", phase.name.to_owned(), published, rates(&mclock, span), rates(&ours, span))
    });
    Table {
        table: "T6",
        model: "20 slots of 50 tokens a second",
        rows: rows.collect(),
        mclock: kept(&mclock),
        tidegate: kept(&ours),
    }
}

fn rates(served: &[Served], (from_s, to_s): (u64, u64)) -> Figures {
    let rate = |(client, name)| (name, delivered(served, client, from_s, to_s) / (to_s - from_s) as f64);
    NAMES.into_iter().enumerate().map(rate).collect()
}

/// Tokens of a client from one second to another; those of a request come evenly.
fn delivered(served: &[Served], client: usize, from_s: u64, to_s: u64) -> f64 {
    let (from, to) = (from_s as f64 * 1e9, to_s as f64 * 1e9);
    let part = |one: &Served| {
        let (begins, ends) = (one.from_ns as f64, one.to_ns as f64);
        one.cost as f64 * (to.min(ends) - from.max(begins)).max(0.0) / (ends - begins)
    };
    served.iter().filter(|one| one.client == client).map(part).sum()
}

fn kept(served: &[Served]) -> Figures {
    let asked_until_s = PHASES[2].0.until_s;
    // From one second on, for the slots to fill.
    let windows = (1..=asked_until_s - WINDOW_S).map(|from| delivered(served, 0, from, from + WINDOW_S));
    let least = windows.fold(f64::INFINITY, f64::min) / WINDOW_S as f64;
    let mut starts: Vec<&Served> = served.iter().filter(|one| one.client == 2).collect();
    starts.sort_by_key(|one| one.first_ns);
    // The most that any span holds beyond its rate: how far what was begun rises above its least so far.
    let (mut begun, mut least_before, mut excess) = (0.0_f64, f64::INFINITY, 0.0_f64);
    for one in starts {
        let allowed = LIMIT as f64 * one.first_ns as f64 / 1e9;
        least_before = least_before.min(begun - allowed);
        begun += one.cost as f64;
        excess = excess.max(begun - allowed - least_before);
    }
    Figures::from([
        ("reserve_least_tok_s", least),
        ("limit_excess_tokens", excess),
        ("one_request_tokens", (COSTS.1 - 1) as f64),
    ])
}
