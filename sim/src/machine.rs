//! What a worker is made of: which dimensions it has, how much of each, and what a request asks of it.
//!
//! All workers of a replay are alike, unless a file says what each has. Knows the workload's units of work, not who runs them when.

use tidegate::{MAX_DIMENSIONS, Resources};

use crate::engine::Run;
use crate::model::{BLOCK_TOKENS, Batching, GPU_JOBS, Load, ServiceModel};
use crate::trace::{TraceRequest, Work};

/// The names under which a config may ask for the dimensions of an engine.
const TOKEN_DIMENSIONS: [&str; 2] = ["slots", "kv_blocks"];
/// The name of the one dimension of a node of GPUs.
const JOB_DIMENSIONS: [&str; 1] = ["gpu_milli"];

/// Thousandths of a GPU of one node: eight GPUs, the largest node of the published cluster.
const NODE_GPU_MILLI: u64 = 8_000;

/// One worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// An inference engine.
    Engine {
        /// How long its iterations take.
        model: &'static ServiceModel,
        /// How prompts and decodes share them.
        batching: Batching,
        /// Requests that it runs at a time.
        slots: u32,
        /// KV blocks.
        kv_blocks: u32,
    },
    /// A node of eight GPUs that runs jobs.
    Node,
}

impl Machine {
    /// An engine of this model, as large as the model says.
    #[must_use]
    pub fn of(model: &'static ServiceModel) -> Self {
        Self::Engine { model, batching: model.batching, slots: model.slots, kv_blocks: model.kv_blocks }
    }

    /// The id that is printed with every result.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::Engine { model, .. } => model.id,
            Self::Node => GPU_JOBS,
        }
    }

    /// The dimensions that it has, in the order of its own vectors.
    #[must_use]
    pub fn dimensions(&self) -> &'static [&'static str] {
        match self {
            Self::Engine { .. } => &TOKEN_DIMENSIONS,
            Self::Node => &JOB_DIMENSIONS,
        }
    }

    /// The row of a request in the table that the engines work on.
    #[must_use]
    pub fn run(&self, request: &TraceRequest, tier: u8) -> Run {
        match request.work {
            Work::Tokens { prompt, output } => {
                Run::tokens(prompt, output, prompt.div_ceil(BLOCK_TOKENS) + 1, tier)
            }
            Work::Job { gpu_milli, duration_ns } => {
                Run::job(u32::try_from(gpu_milli).unwrap_or(u32::MAX), duration_ns, tier)
            }
        }
    }

    /// What a request of that table asks for.
    #[must_use]
    pub fn work(run: &Run) -> Work {
        match run.has_tokens() {
            true => Work::Tokens { prompt: run.prompt, output: run.output },
            false => Work::Job { gpu_milli: run.units.into(), duration_ns: run.duration_ns },
        }
    }

    /// How long a request takes when it shares a half-full worker with others whose prompts fill every
    /// iteration, in nanoseconds, and the units it holds on average meanwhile. Good for sizing, not for results.
    #[must_use]
    pub fn stay(&self, request: &TraceRequest) -> (u64, u64) {
        let (prompt, output, model, slots, kv_blocks) = match (self, request.work) {
            (Self::Engine { model, slots, kv_blocks, .. }, Work::Tokens { prompt, output }) => {
                (prompt, output, model, *slots, *kv_blocks)
            }
            (_, Work::Job { gpu_milli, duration_ns }) => return (duration_ns, gpu_milli),
            (Self::Node, Work::Tokens { .. }) => return (0, 0),
        };
        let decode = Load {
            decode_tokens: u64::from(slots / 2),
            decode_context: u64::from(kv_blocks * BLOCK_TOKENS / 2),
            ..Load::default()
        };
        let whole = Load {
            prefill_tokens: u64::from(prompt),
            prefill_squares: u64::from(prompt) * u64::from(prompt),
            ..Load::default()
        };
        let (prefill_ns, step_ns) = match self.chunk() {
            Some(tokens) => {
                let budget = u64::from(tokens).saturating_sub(decode.decode_tokens).max(1);
                let step = model.iteration_ns(&Load { prefill_tokens: budget, ..decode });
                (u64::from(prompt).div_ceil(budget) * step, step)
            }
            None => (model.iteration_ns(&whole), model.iteration_ns(&decode)),
        };
        let units = (u64::from(prompt) + u64::from(output) / 2).div_ceil(u64::from(BLOCK_TOKENS)) + 1;
        (prefill_ns + u64::from(output) * step_ns, units)
    }

    /// The worker time that work takes of an otherwise full worker, in nanoseconds: what dedicated
    /// workers are shared out by.
    #[must_use]
    pub fn cost(&self, work: Work) -> u128 {
        let (prompt, output, model, slots) = match (self, work) {
            (Self::Engine { model, slots, .. }, Work::Tokens { prompt, output }) => {
                (u64::from(prompt), u64::from(output), model, u64::from(*slots))
            }
            (_, Work::Job { gpu_milli, duration_ns }) => {
                return u128::from(gpu_milli) * u128::from(duration_ns) / u128::from(NODE_GPU_MILLI);
            }
            (Self::Node, Work::Tokens { .. }) => return 0,
        };
        let batch =
            Load { decode_tokens: slots, decode_context: slots * (prompt + output / 2), ..Load::default() };
        let chunk = u64::from(self.chunk().unwrap_or(u32::MAX)).min(prompt).max(1);
        let part = Load { prefill_tokens: chunk, prefill_squares: chunk * chunk, ..Load::default() };
        let prefill = u128::from(model.iteration_ns(&part)) * u128::from(prompt) / u128::from(chunk);
        prefill + u128::from(model.iteration_ns(&batch)) * u128::from(output) / u128::from(slots)
    }

    /// Tokens of one iteration, if prompts are computed in parts.
    #[must_use]
    pub fn chunk(&self) -> Option<u32> {
        match self {
            Self::Engine { batching: Batching::Chunked { tokens, .. }, .. } => Some(*tokens),
            _ => None,
        }
    }
}

/// Where a config keeps the dimensions of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    machine: Machine,
    /// What a request uses however many units it holds, and what each unit is.
    request: Resources,
    unit: Resources,
}

impl Layout {
    /// Finds the machine's dimensions among those of a config.
    ///
    /// # Errors
    /// The first dimension that the machine does not have.
    pub fn new<'a>(machine: Machine, names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let (request, unit) = match machine {
            Machine::Engine { .. } => ([1, 0], [0, 1]),
            Machine::Node => ([0, 0], [1, 0]),
        };
        let mut layout = Self { machine, request: Resources::ZERO, unit: Resources::ZERO };
        for (place, name) in names.enumerate() {
            let known = machine.dimensions().iter().position(|&own| own == name);
            let own = known.ok_or_else(|| name.to_owned())?;
            (layout.request[place], layout.unit[place]) = (request[own], unit[own]);
        }
        Ok(layout)
    }

    /// The same machine, where a config keeps its dimensions elsewhere.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_dimensions<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        Self::new(self.machine, names)
    }

    /// What so many requests that hold `units` between them use. Units are KV blocks, or thousandths of GPUs.
    #[must_use]
    #[inline]
    pub fn resources(&self, requests: u64, units: u64) -> Resources {
        let (request, unit) = (self.request.as_array(), self.unit.as_array());
        Resources::from(std::array::from_fn::<u64, MAX_DIMENSIONS, _>(|place| {
            request[place] * requests + unit[place] * units
        }))
    }

    /// The units among these resources.
    #[must_use]
    pub fn units(&self, resources: &Resources) -> u64 {
        let pairs = self.unit.as_array().iter().zip(resources.as_array());
        pairs.map(|(&unit, &amount)| unit * amount).max().unwrap_or(0)
    }

    /// How many requests fit into these resources, whatever they hold.
    #[must_use]
    pub fn requests(&self, resources: &Resources) -> u64 {
        let pairs = self.request.as_array().iter().zip(resources.as_array());
        pairs.filter(|(one, _)| **one > 0).map(|(&one, &amount)| amount / one).min().unwrap_or(u64::MAX)
    }

    /// What one worker has.
    #[must_use]
    pub fn capacity(&self) -> Resources {
        match self.machine {
            Machine::Engine { slots, kv_blocks, .. } => self.resources(slots.into(), kv_blocks.into()),
            Machine::Node => self.resources(0, NODE_GPU_MILLI),
        }
    }
}
