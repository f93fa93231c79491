//! How results are printed: a table, a page and a picture for people, JSON for scripts, a timeline for Perfetto. Knows what was measured, not how.

mod chrome_trace;
mod html;
mod json;
mod picture;
pub(crate) mod sheet;
pub mod steps;
mod table;

pub use chrome_trace::chrome_trace;
pub(crate) use html::Escaped;
pub use html::html;
pub use json::json;
pub use picture::picture;
pub use table::table;

use crate::cost::{ApiPrice, GpuPrice};
use crate::machine::Machine;
use crate::replay::Outcome;
use crate::setup::SetupKind;

/// A number with a comma before each group of three digits.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One replay of the workload under each of the set-ups, at one arrival rate.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The arrival rate, by that of the traces.
    pub scale: f64,
    /// In the order in which they are printed.
    pub outcomes: Vec<(SetupKind, Outcome)>,
}

impl Comparison {
    /// Output tokens per second of the best of the set-ups.
    #[must_use]
    pub fn best_throughput(&self) -> f64 {
        self.outcomes.iter().map(|(_, outcome)| outcome.output_tokens_per_s).fold(0.0, f64::max)
    }

    /// Whether it was stopped before its end.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.outcomes.iter().any(|(_, outcome)| outcome.is_partial)
    }

    /// A set-up's output tokens per second by those of the best, from 0 to 1.
    #[must_use]
    pub fn throughput_of_best(&self, outcome: &Outcome) -> f64 {
        let best = self.best_throughput();
        if best > 0.0 { outcome.output_tokens_per_s / best } else { 1.0 }
    }
}

/// All that a command replayed, and what it was replayed with.
#[derive(Clone, Debug)]
pub struct Results {
    /// The seed of what was generated.
    pub seed: u64,
    /// The workers.
    pub machine: Machine,
    /// How many.
    pub workers: usize,
    /// Whether they were chosen by [`default_workers`](crate::sizing::default_workers).
    pub workers_chosen: bool,
    /// Whether those of `tidegate` and `naive` differ, or share devices with limits; those of the others are all alike, and have together as much.
    pub workers_differ: bool,
    /// How many times as long as the model says an iteration takes while all workers compute, since they share devices; the mean of them.
    pub slowdown: f64,
    /// What the workload was made of.
    pub traces: Vec<String>,
    /// The names of the tiers, the most urgent first.
    pub tier_names: Vec<String>,
    /// The names of the tenants.
    pub tenants: Vec<String>,
    /// What workers and tokens cost, for the page; `None` of jobs, for which no API has a price.
    pub prices: Option<(GpuPrice, ApiPrice)>,
    /// The rate asked for.
    pub main: Comparison,
    /// Further rates, of `--scale-curve`.
    pub curve: Vec<Comparison>,
}

impl Results {
    /// Whether the replay was stopped before its end.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.main.is_partial() || self.curve.iter().any(Comparison::is_partial)
    }
}
