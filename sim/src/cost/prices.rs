//! What a worker costs, and what an API asks for the same tokens.

/// Tokens in the unit in which prices are given.
pub(super) const MILLION: f64 = 1e6;

/// What workers cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpuPrice {
    /// GPUs of one worker.
    pub gpus_per_worker: f64,
    /// What a GPU costs for an hour.
    pub usd_per_gpu_hour: f64,
    /// Hours in a month: 730.
    pub hours_per_month: f64,
}

impl GpuPrice {
    /// The GPUs of so many workers.
    #[must_use]
    pub fn gpus(&self, workers: usize) -> f64 {
        workers as f64 * self.gpus_per_worker
    }

    /// What so many workers cost for an hour.
    #[must_use]
    pub fn usd_per_hour(&self, workers: usize) -> f64 {
        self.gpus(workers) * self.usd_per_gpu_hour
    }

    /// What so many workers cost in a month.
    #[must_use]
    pub fn usd_per_month(&self, workers: usize) -> f64 {
        self.usd_per_hour(workers) * self.hours_per_month
    }
}

/// What an API asks for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ApiPrice {
    /// Of prompts.
    pub usd_per_million_input: f64,
    /// Of outputs.
    pub usd_per_million_output: f64,
}

impl ApiPrice {
    /// What it asks for so many tokens, of prompts and of outputs.
    #[must_use]
    pub fn usd(&self, [input, output]: [f64; 2]) -> f64 {
        (input * self.usd_per_million_input + output * self.usd_per_million_output) / MILLION
    }
}
