//! Engines: what runs on a worker once the scheduler has started it there.
//!
//! An engine decides when its requests compute, produce tokens, grow and finish. It is told of starts and
//! stops, and answers with [`Report`]s at the end of what it was doing. It knows nothing of the scheduler,
//! of queues or of other workers.
//!
//! [`BatchingEngine`] simulates continuous batching iteration by iteration; [`JobNode`] runs GPU jobs of
//! known duration. Both work on the same table of [`Run`]s, one for each request of the workload.

mod batching;
mod jobs;
mod share;
#[cfg(test)]
mod tests;
mod wheel;

pub use batching::BatchingEngine;
pub use jobs::JobNode;
pub use share::{Busy, Share};

/// An instant that has not come.
pub const NEVER: u64 = u64::MAX;

/// Where a request stands on its worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not on a worker.
    #[default]
    Away,
    /// Its prompt, or what it lost, is being computed.
    Prefilling,
    /// It produces a token in each iteration.
    Decoding,
    /// A GPU job that runs.
    Working,
}

/// How a request leaves a worker before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// What was computed is lost.
    Restart,
    /// What was computed is copied to host memory.
    Checkpoint,
    /// The client gets an error.
    Abort,
}

/// What the engines know of one request; times are nanoseconds of the simulation.
#[derive(Clone, Debug)]
pub struct Run {
    /// Tokens of the prompt, at least 1.
    pub prompt: u32,
    /// Tokens to generate, at least 1.
    pub output: u32,
    /// Tokens generated when it last changed phase; [`BatchingEngine`] counts on from there.
    pub generated: u32,
    /// KV blocks it holds, or held when it stopped; for a job, thousandths of a GPU.
    pub units: u32,
    /// Tokens that were computed when it stopped and have to be computed again.
    lost: u32,
    /// The decode step, counted by its engine, after which it began to decode.
    decode_from: u32,
    /// The decode step at which it next grows or finishes.
    due_step: u32,
    /// The tier that the scheduler was told, for the order of prompts.
    pub tier: u8,
    /// Where it stands.
    pub phase: Phase,
    /// When the first iteration that contained it began; [`NEVER`] before.
    pub first_iteration_at: u64,
    /// When its first token was there; [`NEVER`] before.
    pub first_token_at: u64,
    /// For a job: how long it runs.
    pub duration_ns: u64,
    /// For a job: when it ends, while it runs.
    ends_at: u64,
}

impl Run {
    /// A request of tokens that will hold `blocks` when it starts.
    #[must_use]
    pub fn tokens(prompt: u32, output: u32, blocks: u32, tier: u8) -> Self {
        Self { prompt: prompt.max(1), output: output.max(1), ..Self::new(blocks, tier) }
    }

    /// A GPU job.
    #[must_use]
    pub fn job(gpu_milli: u32, duration_ns: u64, tier: u8) -> Self {
        Self { duration_ns, ..Self::new(gpu_milli, tier) }
    }

    fn new(units: u32, tier: u8) -> Self {
        Self {
            prompt: 0,
            output: 0,
            generated: 0,
            units,
            lost: 0,
            decode_from: 0,
            due_step: 0,
            tier,
            phase: Phase::Away,
            first_iteration_at: NEVER,
            first_token_at: NEVER,
            duration_ns: 0,
            ends_at: NEVER,
        }
    }

    /// Whether it generates tokens, as GPU jobs do not.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        self.output > 0
    }

    /// What a tenant gets when it is done: tokens in and out, or seconds of a job.
    #[must_use]
    pub fn served(&self) -> u64 {
        u64::from(self.prompt) + u64::from(self.output) + self.duration_ns / 1_000_000_000
    }

    /// Tokens that have to be in the KV cache before the next one can be generated.
    fn tokens_needed(&self) -> u32 {
        self.prompt + self.generated
    }
}

/// What an engine says of one request at the end of what it was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It was in an iteration for the first time since it was admitted.
    Started {
        /// Index of the request.
        request: u32,
    },
    /// It holds one block more.
    Grew {
        /// Index of the request.
        request: u32,
        /// Tokens generated so far.
        generated: u32,
        /// The blocks it holds now: its [`Run::units`].
        units: u32,
    },
    /// It has generated all its tokens, or has run its time, and is gone.
    Finished {
        /// Index of the request.
        request: u32,
    },
    /// It stopped as it was asked to, and is gone.
    Stopped {
        /// Index of the request.
        request: u32,
        /// How.
        stop: Stop,
        /// Tokens that a checkpoint keeps.
        tokens_kept: u32,
    },
}

impl Report {
    /// Index of the request that it is about.
    #[must_use]
    pub fn request(&self) -> u32 {
        match *self {
            Self::Started { request }
            | Self::Grew { request, .. }
            | Self::Finished { request }
            | Self::Stopped { request, .. } => request,
        }
    }
}

/// What the replay asks of an engine.
pub trait Engine {
    /// Takes a request in. `tokens_kept` of it come back from a checkpoint. Returns the tokens that have to
    /// be computed again.
    fn admit(&mut self, now: u64, runs: &mut [Run], request: u32, tokens_kept: u32) -> u32;

    /// Asks a request to stop: it does so now, which is the answer, or reports it later.
    fn stop(&mut self, runs: &mut [Run], request: u32, stop: Stop) -> Option<Report>;

    /// Takes the asking back, for a request that has not stopped.
    fn spare(&mut self, request: u32);

    /// What happened at `now`, the instant that [`Self::resume`] gave. An engine that has nothing to report goes
    /// on.
    fn advance(&mut self, now: u64, runs: &mut [Run], reports: &mut Vec<Report>);

    /// Goes on after starts and stops, or after [`Self::advance`]. Returns the instant of the next
    /// [`Self::advance`], or [`NEVER`] if there is nothing to do.
    fn resume(&mut self, now: u64, runs: &mut [Run]) -> u64;
}
