//! The rows: each policy on each number of workers, on the conversations of Mooncake.

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;

use super::bound::{computed_at_least, p99_at_least_s};
use super::engine::{Job, MODEL, Policy, serve};
use super::hosted::{Hosted, Terms};
use super::metric::{Metrics, metrics};
use super::policies::{D2lpm, Dlpm, Route, Routed, Vtc};
use crate::trace::{TraceError, fnv1a64_folded, prompt_blocks};

/// Below the folder of traces.
const TRACE: &str = "mooncake-fast25/conversation_trace.part1.jsonl.gz";
/// The trace names no clients.
pub const CLIENTS: u64 = 16;

/// One policy on so many workers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// How many.
    pub workers: usize,
    /// Its name.
    pub policy: &'static str,
    /// What came of it.
    pub found: Metrics,
    /// The p99 to the first token that no policy undercuts on so many workers, however much they find in their caches.
    pub p99_at_least_s: f64,
    /// The same for what finds no more in caches than this policy did: what another order could make of it.
    pub p99_of_order_s: f64,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Its name.
    pub table: &'static str,
    /// The service-time model.
    pub model: &'static str,
    /// Blocks of each worker's cache.
    pub cache_blocks: usize,
    /// Requests of the trace, and what of their blocks an endless cache would find, in percent.
    pub requests: usize,
    /// See above.
    pub ceiling_percent: f64,
    /// By workers, then by policy.
    pub rows: Vec<Row>,
}

/// All rows, for these numbers of workers and a cache of so many blocks.
///
/// # Errors
/// A trace that cannot be read or makes no sense.
pub fn table(data: &Path, workers: &[usize], cache_blocks: usize, terms: Terms) -> Result<Table, TraceError> {
    let jobs = jobs(data)?;
    let rows = workers.iter().flat_map(|&workers| of_workers(&jobs, workers, cache_blocks, terms)).collect();
    let (requests, ceiling_percent) = (jobs.len(), ceiling(&jobs));
    Ok(Table { table: "T4", model: MODEL, cache_blocks, requests, ceiling_percent, rows })
}

/// The requests of the trace. Clients are told by the second block of the prompt, which stays with a conversation; the first is
/// common to all.
///
/// # Errors
/// A trace that cannot be read or makes no sense.
pub fn jobs(data: &Path) -> Result<Vec<Job>, TraceError> {
    let requests = prompt_blocks(&data.join(TRACE))?;
    let client = |blocks: &[u64]| {
        let block = blocks.get(1).or(blocks.first()).copied().unwrap_or(0);
        (fnv1a64_folded(&block.to_string()) % CLIENTS) as usize
    };
    Ok(requests.into_iter().map(|request| Job { client: client(&request.blocks), request }).collect())
}

fn ceiling(jobs: &[Job]) -> f64 {
    let (mut seen, mut hits, mut all) = (HashSet::new(), 0, 0);
    for job in jobs {
        hits += job.request.blocks.iter().take_while(|block| seen.contains(*block)).count();
        all += job.request.blocks.len();
        seen.extend(job.request.blocks.iter().copied());
    }
    100.0 * hits as f64 / all as f64
}

fn of_workers(jobs: &[Job], workers: usize, blocks: usize, terms: Terms) -> Vec<Row> {
    let mut policies = published(workers);
    policies.push(("tidegate", Box::new(Hosted::new(CLIENTS as usize, workers, blocks, terms))));
    let p99_at_least_s = p99_at_least_s(jobs, workers, blocks, &computed_at_least(jobs));
    let row = |(policy, mut rule): (&'static str, Box<dyn Policy>)| {
        let answers = serve(jobs, workers, blocks, &mut *rule);
        let computed: Vec<u64> = answers.iter().map(|answer| answer.computed).collect();
        let p99_of_order_s = self::p99_at_least_s(jobs, workers, blocks, &computed);
        Row { workers, policy, found: metrics(jobs, &answers), p99_at_least_s, p99_of_order_s }
    };
    policies.into_iter().map(row).collect()
}

/// The policies of the papers by name, over so many workers.
#[must_use]
pub fn published(workers: usize) -> Vec<(&'static str, Box<dyn Policy>)> {
    let clients = CLIENTS as usize;
    vec![
        ("round-robin", Box::new(Routed::new(Route::RoundRobin, workers))),
        ("least-loaded", Box::new(Routed::new(Route::LeastLoaded, workers))),
        ("lpm-sticky", Box::new(Routed::new(Route::LongestPrefix, workers))),
        ("preble-e2", Box::new(Routed::new(Route::E2, workers))),
        ("vtc", Box::new(Vtc::new(clients))),
        ("dlpm", Box::new(Dlpm::default())),
        ("d2lpm", Box::new(D2lpm::new(clients, workers))),
    ]
}
