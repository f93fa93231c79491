//! What one replay cost: its workers for as long as it lasted, shared out over those whose requests completed.

use super::prices::{ApiPrice, GpuPrice, MILLION};
use super::shares::Shares;
use crate::replay::Timeline;

/// What somebody paid.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// Of all that the workers cost.
    pub usd: f64,
    /// For a million tokens in and out; `None` without any.
    pub usd_per_million_tokens: Option<f64>,
}

/// What a replay cost, and who paid.
#[derive(Clone, Debug, PartialEq)]
pub struct Bill {
    /// The workers for an hour.
    pub usd_per_hour: f64,
    /// The workers for a month.
    pub usd_per_month: f64,
    /// The workers for the time of the replay, busy or idle.
    pub all: Part,
    /// By tier of the workload.
    pub tiers: Vec<Part>,
    /// By tenant.
    pub tenants: Vec<Part>,
    /// What the API asks for the tokens of the requests that completed.
    pub api_usd: f64,
}

impl Bill {
    /// Of a replay that watched, with so many workers for so many nanoseconds. O(tiers · tenants).
    #[must_use]
    pub fn of(timeline: &Timeline, workers: usize, simulated_ns: u64, gpu: GpuPrice, api: ApiPrice) -> Self {
        let hours = simulated_ns as f64 / 3_600e9;
        let usd = |workers: usize| gpu.usd_per_hour(workers) * hours;
        // Each tier pays for its own workers, or all for all of them.
        let pots: Vec<(f64, Option<usize>)> = match &timeline.workers_of_tier {
            Some(own) => own.iter().enumerate().map(|(tier, &own)| (usd(own), Some(tier))).collect(),
            None => vec![(usd(workers), None)],
        };
        let shares = Shares::of_service(&timeline.service);
        let (by_tier, by_tenant) = shares.share_out(&pots);
        let parts = |usd: &[f64], tokens: &[f64]| -> Vec<Part> {
            usd.iter().zip(tokens).map(|(&usd, &tokens)| part(usd, tokens)).collect()
        };
        let tokens = timeline.service.iter().flatten().fold([0.0, 0.0], |[input, output], service| {
            [input + service.prompt_tokens as f64, output + service.output_tokens as f64]
        });
        Self {
            usd_per_hour: gpu.usd_per_hour(workers),
            usd_per_month: gpu.usd_per_month(workers),
            all: part(usd(workers), tokens.iter().sum()),
            tiers: parts(&by_tier, &shares.tokens_of_tier),
            tenants: parts(&by_tenant, &shares.tokens_of_tenant),
            api_usd: api.usd(tokens),
        }
    }
}

fn part(usd: f64, tokens: f64) -> Part {
    Part { usd, usd_per_million_tokens: (tokens > 0.0).then(|| usd / tokens * MILLION) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Service;

    #[test]
    fn what_the_workers_cost_is_what_tiers_and_tenants_pay() {
        let service =
            |prompt_tokens, output_tokens, work_ns| Service { prompt_tokens, output_tokens, work_ns };
        let gpu = GpuPrice { gpus_per_worker: 2.0, usd_per_gpu_hour: 3.0, hours_per_month: 730.0 };
        let api = ApiPrice { usd_per_million_input: 1.0, usd_per_million_output: 10.0 };
        let mut timeline = Timeline {
            service: vec![
                vec![service(100, 50, 30), Service::default()],
                vec![service(50, 0, 10), service(300, 500, 60)],
            ],
            ..Timeline::default()
        };
        let half_an_hour = 1_800_000_000_000;
        let shared = Bill::of(&timeline, 4, half_an_hour, gpu, api);
        assert_eq!((shared.usd_per_hour, shared.usd_per_month, shared.all.usd), (24.0, 17_520.0, 12.0));
        assert_eq!(shared.all.usd_per_million_tokens, Some(12_000.0));
        let usd =
            |parts: &[Part]| parts.iter().map(|part| (part.usd * 1e9).round() / 1e9).collect::<Vec<_>>();
        assert_eq!(usd(&shared.tiers), [3.6, 8.4]);
        assert_eq!(usd(&shared.tenants), [4.8, 7.2]);
        assert!((shared.api_usd - (450.0 + 5_500.0) / 1e6).abs() < 1e-12);
        timeline.workers_of_tier = Some(vec![3, 1]);
        let apart = Bill::of(&timeline, 4, half_an_hour, gpu, api);
        assert_eq!(usd(&apart.tiers), [9.0, 3.0]);
        assert_eq!(apart.tiers[0].usd_per_million_tokens, Some(60_000.0));
    }
}
