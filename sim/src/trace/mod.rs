//! Workloads: which requests arrive when, of which tier and tenant, and how long they are.
//!
//! Decides how trace files become one list of arrivals: formats, labels, the common zero of merged files,
//! the stretching of rates. Holds no state; [`load`] reads files, [`builtin`] generates a workload from
//! published statistics. Every fault of an input is one line that names file, line and field.
//! Does not know: schedulers, workers, service times. The formats are described in `docs/TRACES.md`.

mod builtin;
mod error;
mod field;
mod gpu_log;
mod iterations;
mod json_lines;
mod kind;
mod label;
mod merge;
mod prompt_blocks;
mod readers;
mod table;
mod text;

pub use builtin::{Mix, Synthetic, SyntheticArrivals, builtin, day_of};
pub use error::TraceError;
pub use field::{MAX_ARRIVAL_S, MAX_TRACE_TOKENS};
pub use gpu_log::{GpuLog, LoggedRequest};
pub use iterations::{TimedLoad, read_iterations};
pub use kind::{Kind, TraceSpec, parse_tier_override};
pub use label::{fnv1a64_folded, tenant_of_sixteen};
pub use prompt_blocks::{BlockedRequest, prompt_blocks};

use readers::Context;
use text::Text;

/// Requests in the order of their arrival, and what they were made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Sorted by arrival; requests that arrive together keep the order of the traces and of their rows.
    pub requests: Vec<TraceRequest>,
    /// The tenants' names; [`TraceRequest::tenant`] is an index into them.
    pub tenants: Vec<String>,
    /// One line per trace: what was read, what was skipped, which labels were added. Printed with results.
    pub sources: Vec<String>,
}

impl Workload {
    /// The time of the last arrival, in nanoseconds.
    #[must_use]
    pub fn span_ns(&self) -> u64 {
        self.requests.last().map_or(0, |request| request.arrival_ns)
    }

    /// The same requests, so many times as fast.
    ///
    /// # Panics
    /// If `scale` is not positive and finite.
    #[must_use]
    pub fn stretched(&self, scale: f64) -> Self {
        assert!(scale.is_finite() && scale > 0.0, "scale {scale} is not a positive number");
        let mut workload = self.clone();
        for request in &mut workload.requests {
            request.arrival_ns = merge::stretched(request.arrival_ns, scale);
        }
        workload
    }
}

/// One arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceRequest {
    /// Nanoseconds from the start of the workload.
    pub arrival_ns: u64,
    /// The tier, 0 the most urgent.
    pub tier: u8,
    /// Index into [`Workload::tenants`].
    pub tenant: u32,
    /// What it asks for.
    pub work: Work,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// An inference request.
    Tokens {
        /// Tokens of the prompt, at least 1.
        prompt: u32,
        /// Tokens to generate, at least 1.
        output: u32,
    },
    /// A GPU job (`openb` only).
    Job {
        /// Thousandths of a GPU, summed over the GPUs asked for; at least 1.
        gpu_milli: u64,
        /// How long it holds them; at least 1.
        duration_ns: u64,
    },
}

/// How [`load`] treats what the files leave open.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Every request of a trace of this kind gets this tier. The last one given for a kind counts.
    pub tier_overrides: Vec<(Kind, u8)>,
    /// Stretches arrival rates: with 2.0 requests come twice as fast. Positive and finite.
    pub scale: f64,
    /// How the rows of traces without arrivals (`arxiv`, `sharegpt`) arrive; all at the start if `None`.
    pub batch_every: Option<Batches>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { tier_overrides: Vec::new(), scale: 1.0, batch_every: None }
    }
}

/// Rows without arrivals come so many at a time, the first ones at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// Rows per batch, at least 1.
    pub rows: u32,
    /// From one batch to the next.
    pub every_ns: u64,
}

impl Batches {
    /// The rule of the traces' description: 500 rows every 900 s.
    pub const PUBLISHED: Self = Self { rows: 500, every_ns: 900_000_000_000 };
}

/// Reads the traces and merges them into one workload.
///
/// Azure files share the wall clock: the earliest stamp of all of them is the start. Every other trace starts
/// at its own zero. A trace given twice is two traces. Time and memory are linear in the files' sizes.
///
/// # Errors
///
/// The first fault met: a file that cannot be read, a row that makes no sense, jobs mixed with tokens, a scale
/// that is no positive number.
pub fn load(specs: &[TraceSpec], options: &LoadOptions) -> Result<Workload, TraceError> {
    merge::check_scale(options.scale)?;
    merge::check_mix(specs)?;
    let mut context = Context::new(options);
    let mut traces = Vec::with_capacity(specs.len());
    for spec in specs {
        let text = Text::read(&spec.path)?;
        let trace = readers::read(spec.kind, &text, &mut context)?;
        if trace.requests.is_empty() {
            return Err(TraceError::in_file(text.file(), "has no request that can be replayed"));
        }
        traces.push((spec, trace));
    }
    merge::merge(traces, context.into_tenants(), options.scale)
}
