//! The flags that say what things cost, for all subcommands that say what traffic costs.

use tidegate_sim::cost::{ApiPrice, GpuPrice, gpus_of};
use tidegate_sim::model::ServiceModel;

/// The price of one of the eight A100 of Amazon's p4d.24xlarge, on demand in its first region: 21.96 USD an hour for all
/// of them, the list price since June 2025.
const USD_PER_GPU_HOUR: f64 = 2.745;

/// List prices of GPT-4o for a million tokens, in and out.
const API_USD: [f64; 2] = [2.5, 10.0];

/// Hours in a month: a twelfth of 365 days.
const HOURS_PER_MONTH: f64 = 730.0;

#[derive(Debug, clap::Args)]
pub(super) struct Prices {
    /// GPUs of a worker; without it 1, or as many as the model's name says, as -tp4
    #[arg(long, value_name = "N", value_parser = positive)]
    gpus_per_worker: Option<f64>,
    /// What a GPU costs for an hour
    #[arg(long, value_name = "USD", default_value_t = USD_PER_GPU_HOUR, value_parser = positive)]
    usd_per_gpu_hour: f64,
    /// Hours in a month
    #[arg(long, value_name = "H", default_value_t = HOURS_PER_MONTH, value_parser = positive)]
    hours_per_month: f64,
    /// What the API asks for a million prompt tokens
    #[arg(long, value_name = "USD", default_value_t = API_USD[0], value_parser = positive)]
    api_input: f64,
    /// What the API asks for a million output tokens
    #[arg(long, value_name = "USD", default_value_t = API_USD[1], value_parser = positive)]
    api_output: f64,
}

impl Prices {
    /// What workers of this model cost.
    pub(super) fn gpu(&self, model: &ServiceModel) -> GpuPrice {
        GpuPrice {
            gpus_per_worker: self.gpus_per_worker.unwrap_or(gpus_of(model)),
            usd_per_gpu_hour: self.usd_per_gpu_hour,
            hours_per_month: self.hours_per_month,
        }
    }

    pub(super) fn api(&self) -> ApiPrice {
        ApiPrice { usd_per_million_input: self.api_input, usd_per_million_output: self.api_output }
    }
}

/// Reads a number that a price, a rate or a time can be.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    let number =
        text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0 && *number < 1e15);
    number.ok_or_else(|| "expected a positive number".to_owned())
}
