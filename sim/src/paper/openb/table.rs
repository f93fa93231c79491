//! The rows: each way to place on each number of GPUs, and tidegate once more while servers of GPUs die.

use std::path::Path;

use serde::Serialize;

use tidegate::Sharing;

use super::hosted::Hosted;
use super::pods::{Pod, pods};
use super::policies::{Fit, InOrder};
use super::serve::{Policy, Terms, serve};
use crate::paper::draws::Figures;
use crate::trace::TraceError;

const NS_PER_S: u64 = 1_000_000_000;

/// GPUs of the rows: for nine tenths of the measured time the pods ask for 20 to 33 together, and for 42 at most.
pub const GPUS: [usize; 3] = [28, 32, 40];
/// From here on what GPUs hold is measured, in seconds from the first pod: before, 52 pods come in 116 days.
pub const FROM_S: u64 = 10_000_000;
/// In the last rows the server of a GPU dies so often.
pub const DEATHS_EVERY_S: u64 = 24 * 3_600;
/// There one pod in so many cannot start over.
pub const NEVER: usize = 10;
/// Clients of one server on each GPU in the last two rows, as many as are sensible.
pub const REPLICAS: u32 = Sharing::MOST_SENSIBLE;

/// One policy on so many GPUs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// How many.
    pub gpus: usize,
    /// Its name.
    pub policy: &'static str,
    /// What came of it.
    pub found: Figures,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Its name.
    pub table: &'static str,
    /// Pods that are replayed.
    pub pods: usize,
    /// Pods that ask for more than one GPU, which are not.
    pub left_out: usize,
    /// In the rows with deaths one server of a GPU dies in so many seconds.
    pub deaths_every_s: u64,
    /// There one pod in so many cannot start over.
    pub one_cannot_in: usize,
    /// Replicas of each GPU in the rows that have several.
    pub replicas: u32,
    /// By GPUs, then by policy.
    pub rows: Vec<Row>,
}

/// All rows, for these numbers of GPUs.
///
/// # Errors
/// A trace that cannot be read or makes no sense.
pub fn table(data: &Path, gpus: &[usize]) -> Result<Table, TraceError> {
    let (pods, left_out) = pods(data)?;
    let rows = gpus.iter().flat_map(|&gpus| of_gpus(&pods, gpus)).collect();
    Ok(Table {
        table: "openb",
        pods: pods.len(),
        left_out,
        deaths_every_s: DEATHS_EVERY_S,
        one_cannot_in: NEVER,
        replicas: REPLICAS,
        rows,
    })
}

fn of_gpus(pods: &[Pod], gpus: usize) -> Vec<Row> {
    let policies: [(&str, u64, Box<dyn Policy>); 7] = [
        ("first fit", 0, Box::new(InOrder::new(Fit::First))),
        ("best fit", 0, Box::new(InOrder::new(Fit::Best))),
        ("least fragments", 0, Box::new(InOrder::new(Fit::LeastFragments))),
        ("tidegate", 0, Box::new(Hosted::new(gpus, 1, None))),
        ("tidegate, deaths", DEATHS_EVERY_S, Box::new(Hosted::new(gpus, 1, Some(NEVER)))),
        ("tidegate, replicas", 0, Box::new(Hosted::new(gpus, REPLICAS, None))),
        ("tidegate, replicas, deaths", DEATHS_EVERY_S, Box::new(Hosted::new(gpus, REPLICAS, Some(NEVER)))),
    ];
    let row = |(policy, deaths_s, mut rule): (&'static str, u64, Box<dyn Policy>)| {
        let terms = Terms { gpus, from_ns: FROM_S * NS_PER_S, deaths_every_ns: deaths_s * NS_PER_S };
        Row { gpus, policy, found: serve(pods, terms, &mut *rule) }
    };
    policies.into_iter().map(row).collect()
}
