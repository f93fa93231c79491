//! The pods that are replayed: those of the trace that ask for one GPU or a part of one.

use std::path::Path;

use crate::trace::{Kind, LoadOptions, TraceError, TraceSpec, Work, load};

/// Below the folder of traces.
const TRACE: &str = "openb-gpu-v2023/openb_pod_list_default.part1.csv.gz";

/// All of a GPU, in the units of the trace.
pub const GPU_MILLI: u32 = 1_000;

/// The quality of service, as the trace's description labels it: latency sensitive and guaranteed pods are one.
pub const CLASSES: [&str; 3] = ["LS", "Burstable", "BE"];

/// One that asks for a part of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// When it comes, from the first one's.
    pub arrival_ns: u64,
    /// Index into [`CLASSES`]: 0 is the most urgent.
    pub class: usize,
    /// Thousandths of one GPU, from 1 to [`GPU_MILLI`].
    pub milli: u32,
    /// How long it runs.
    pub duration_ns: u64,
}

/// The pods of a trace, by arrival, and how many ask for more than one GPU and are left out.
///
/// # Errors
/// A trace that cannot be read or makes no sense.
pub fn pods(data: &Path) -> Result<(Vec<Pod>, usize), TraceError> {
    let spec = TraceSpec { kind: Kind::Openb, path: data.join(TRACE) };
    let workload = load(&[spec], &LoadOptions::default())?;
    let all = workload.requests.len();
    let first = workload.requests.first().map_or(0, |request| request.arrival_ns);
    let pods: Vec<Pod> = workload
        .requests
        .iter()
        .filter_map(|request| match request.work {
            Work::Job { gpu_milli, duration_ns } => Some(Pod {
                arrival_ns: request.arrival_ns - first,
                class: usize::from(request.tier),
                milli: u32::try_from(gpu_milli).ok().filter(|&milli| milli <= GPU_MILLI)?,
                duration_ns,
            }),
            Work::Tokens { .. } => None,
        })
        .collect();
    let left_out = all - pods.len();
    Ok((pods, left_out))
}
