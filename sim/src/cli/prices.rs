//! The flags that say what things cost, for all subcommands that say what traffic costs.

use tidegate_deploy::Deployment;
use tidegate_sim::cost::{ApiPrice, GpuPrice, gpus_of};
use tidegate_sim::hardware::gpus;
use tidegate_sim::model::ServiceModel;

use super::Failure;

/// The price of one of the eight A100 of Amazon's p4d.24xlarge, on demand in its first region: 21.96 USD an hour for all
/// of them, the list price since June 2025.
const USD_PER_GPU_HOUR: f64 = 2.745;

/// List prices of GPT-4o for a million tokens, in and out.
const API_USD: [f64; 2] = [2.5, 10.0];

/// Hours in a month: a twelfth of 365 days.
const HOURS_PER_MONTH: f64 = 730.0;

#[derive(Debug, clap::Args)]
pub(super) struct Prices {
    /// GPUs of a worker, and of a device of a file; without it 1, and of a worker as many as the model's name says, as -tp4
    #[arg(long, value_name = "N", value_parser = positive)]
    gpus_per_worker: Option<f64>,
    #[arg(
        long,
        value_name = "USD",
        value_parser = positive,
        help = or("What a GPU costs for an hour", USD_PER_GPU_HOUR)
    )]
    usd_per_gpu_hour: Option<f64>,
    #[arg(long, value_name = "H", value_parser = positive, help = or("Hours in a month", HOURS_PER_MONTH))]
    hours_per_month: Option<f64>,
    #[arg(
        long,
        value_name = "USD",
        value_parser = positive,
        help = or("What the API asks for a million prompt tokens", API_USD[0])
    )]
    api_input: Option<f64>,
    #[arg(
        long,
        value_name = "USD",
        value_parser = positive,
        help = or("What the API asks for a million output tokens", API_USD[1])
    )]
    api_output: Option<f64>,
}

/// The help of a flag that stands for this number when it is absent. Not a default of clap's, which would hide
/// whether the flag was given.
fn or(help: &str, default: f64) -> String {
    format!("{help} [default: {default}]")
}

impl Prices {
    /// Refuses any of them, where there is nothing that they would change.
    pub(super) fn refuse(&self, why: &str) -> Result<(), Failure> {
        let flags = [
            ("--gpus-per-worker", self.gpus_per_worker),
            ("--usd-per-gpu-hour", self.usd_per_gpu_hour),
            ("--hours-per-month", self.hours_per_month),
            ("--api-input", self.api_input),
            ("--api-output", self.api_output),
        ];
        match flags.iter().find(|(_, given)| given.is_some()) {
            Some((flag, _)) => Err(Failure::bad_input(format_args!("{flag}: {why}"))),
            None => Ok(()),
        }
    }

    /// What workers of this model cost.
    pub(super) fn gpu(&self, model: &ServiceModel) -> GpuPrice {
        GpuPrice {
            gpus_per_worker: self.gpus_per_worker.unwrap_or(gpus_of(model)),
            usd_per_gpu_hour: self.usd_per_gpu_hour.unwrap_or(USD_PER_GPU_HOUR),
            hours_per_month: self.hours_per_month.unwrap_or(HOURS_PER_MONTH),
        }
    }

    /// What workers of a file cost, all alike: it is its GPUs that are paid for, not its workers.
    pub(super) fn gpu_of(&self, file: &Deployment, model: &ServiceModel) -> GpuPrice {
        let gpu = self.gpu(model);
        let gpus = gpus(file, self.gpus_per_worker.unwrap_or(1.0), gpu.gpus_per_worker);
        GpuPrice { gpus_per_worker: gpus / file.worker_count() as f64, ..gpu }
    }

    pub(super) fn api(&self) -> ApiPrice {
        let [input, output] = API_USD;
        ApiPrice {
            usd_per_million_input: self.api_input.unwrap_or(input),
            usd_per_million_output: self.api_output.unwrap_or(output),
        }
    }
}

/// Reads a number that a price, a rate or a time can be.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    let number =
        text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0 && *number < 1e15);
    number.ok_or_else(|| "expected a positive number".to_owned())
}
