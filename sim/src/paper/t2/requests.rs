//! The requests of Niyama's experiments: lengths from a trace, arrivals at random, tiers at random.

use crate::paper::chunked::Job;
use crate::random::Random;
use crate::trace::{Work, Workload};

/// Tokens of a prompt and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Of the prompt.
    pub prompt: u32,
    /// Of the answer.
    pub output: u32,
}

/// The lengths of a workload's requests, in its order.
#[must_use]
pub fn lengths(load: &Workload) -> Vec<Lengths> {
    let tokens = |work| match work {
        Work::Tokens { prompt, output } => Some(Lengths { prompt, output }),
        Work::Job { .. } => None,
    };
    load.requests.iter().filter_map(|request| tokens(request.work)).collect()
}

/// So many requests that come at random, so many a second in the mean (Poisson), of a tier at random, with the lengths of
/// rows at random: each row once before any comes again. With another rate the same ones come in the same order.
#[must_use]
pub fn poisson(lengths: &[Lengths], requests: usize, per_second: f64, tiers: u8, seed: u64) -> Vec<Job> {
    let mut random = Random::new(seed);
    let mut rows: Vec<Lengths> = Vec::new();
    let mut arrival_s = 0.0;
    let jobs = (0..requests).map(|_| {
        if rows.is_empty() {
            rows = lengths.to_vec();
            random.shuffle(&mut rows);
        }
        // Never 0, of which there is no logarithm.
        let part = (random.next() >> 11) as f64 + 0.5;
        arrival_s -= (part / (1_u64 << 53) as f64).ln() / per_second;
        let Lengths { prompt, output } = rows.pop().expect("there are lengths");
        Job { arrival_ns: (arrival_s * 1e9) as u64, tier: random.below(tiers.into()) as u8, prompt, output }
    });
    jobs.collect()
}
