//! The flags that say what a simulated engine is like, for all subcommands that run some.

use std::path::Path;

use tidegate_sim::machine::Machine;
use tidegate_sim::model::{Batching, DEFAULT_MODEL, MODELS, ModelFile, ServiceModel};

use super::{Failure, read_text};

/// The most workers that can be asked for: what the scheduler takes.
const MAX_WORKERS: usize = tidegate::MAX_WORKERS as usize;

#[derive(Debug, clap::Args)]
pub(super) struct EngineArgs {
    /// Service-time model: llama3-8b (default), a10g-llama7b, a100-opt13b-tp1, a100-opt13b-tp1-vllm, a100-opt66b-tp4,
    /// h100-llama2-70b-tp8, a100-llama2-70b-tp8, or a file that `tidegate fit` wrote
    #[arg(long, value_name = "ID|FILE")]
    model: Option<String>,
    /// Requests that a worker runs at a time; without it, the model's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    slots: Option<u32>,
    /// Tokens of an iteration, for models that compute prompts in chunks; without it, the model's number
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    chunk: Option<u32>,
    /// Prompts of one tier that share an iteration, for the same models; 1 computes one after the other
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    prompts: Option<u32>,
}

/// What a config file says of each worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) slots: Option<u32>,
    pub(super) kv_blocks: Option<u32>,
}

impl EngineArgs {
    /// Refuses what makes no sense for GPU jobs.
    pub(super) fn refuse_for_jobs(&self) -> Result<(), Failure> {
        let misplaced = [("--model", self.model.is_some()), ("--slots", self.slots.is_some())];
        match misplaced.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(Failure::bad_input(format_args!("{flag}: GPU jobs carry durations of their own")))
            }
            None => Ok(()),
        }
    }

    /// The engine that is asked for.
    pub(super) fn machine(&self) -> Result<Machine, Failure> {
        self.machine_of(self.model()?, Size::default())
    }

    /// The model that is asked for.
    pub(super) fn model(&self) -> Result<&'static ServiceModel, Failure> {
        model_of(self.model.as_deref().unwrap_or(DEFAULT_MODEL))
    }

    /// An engine of this model, with the flags of the engine, where a file says how large it is.
    pub(super) fn machine_of(&self, model: &'static ServiceModel, size: Size) -> Result<Machine, Failure> {
        if self.slots.is_some() && size.slots.is_some() {
            return Err(Failure::bad_input("--slots: the config says how many each of its workers has"));
        }
        let slots = size.slots.or(self.slots).unwrap_or(model.slots);
        let kv_blocks = size.kv_blocks.unwrap_or(model.kv_blocks);
        let batching = self.batching(model)?;
        match batching {
            Batching::Chunked { tokens, .. } if tokens <= slots => Err(Failure::bad_input(format_args!(
                "--chunk {tokens}: {slots} slots may decode {slots} tokens, and no prompt would be computed"
            ))),
            _ => Ok(Machine::Engine { model, batching, slots, kv_blocks }),
        }
    }

    fn batching(&self, model: &ServiceModel) -> Result<Batching, Failure> {
        let Batching::Chunked { tokens, prompts } = model.batching else {
            let given = [("--chunk", self.chunk), ("--prompts", self.prompts)];
            return match given.iter().find(|(_, number)| number.is_some()) {
                Some((flag, _)) => Err(Failure::bad_input(format_args!(
                    "{flag}: the engine of {} computes whole prompts",
                    model.id
                ))),
                None => Ok(model.batching),
            };
        };
        let (tokens, prompts) = (self.chunk.unwrap_or(tokens), self.prompts.unwrap_or(prompts));
        Ok(Batching::Chunked { tokens, prompts })
    }
}

/// The model of an id, or of a file.
fn model_of(id: &str) -> Result<&'static ServiceModel, Failure> {
    if let Some(model) = ServiceModel::by_id(id) {
        return Ok(model);
    }
    let path = Path::new(id);
    if path.is_file() {
        let file = ModelFile::parse(&read_text(path)?).map_err(|problem| Failure::bad_file(path, problem))?;
        return Ok(file.into_model());
    }
    let known: Vec<_> = MODELS.iter().map(|model| model.id).collect();
    Err(Failure::bad_input(format_args!(
        "--model: {id:?} is neither a file nor known, expected one of {}",
        known.join(", ")
    )))
}

/// A number of workers that there can be.
pub(super) fn checked_workers(workers: usize) -> Result<usize, Failure> {
    match workers {
        1..=MAX_WORKERS => Ok(workers),
        _ => Err(Failure::bad_input(format_args!("--workers {workers}: expected from 1 to {MAX_WORKERS}"))),
    }
}
