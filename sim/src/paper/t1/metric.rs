//! How unfair a run was, and how fast, as the paper's metric has it: computed alike from a GPU's log and from a simulation.

use serde::Serialize;

use crate::trace::LoggedRequest;

/// Arrivals last so long, in seconds.
const ARRIVALS_S: f64 = 600.0;
/// What comes before is not looked at.
const WARM_UP_S: f64 = 30.0;
/// Service and demand are compared over so long.
const WINDOW_S: f64 = 60.0;
/// Windows begin at the ends of all but the last of so many parts of the time after the warm-up.
const PARTS: u32 = 20;
/// What a token costs that was generated; one of a prompt costs 1.
const OUTPUT_COST: f64 = 2.0;
/// A request that ends before, or lasts less than the second, delivers nothing.
const FIRST_END_S: f64 = 1.0;
/// See [`FIRST_END_S`].
const SHORTEST_S: f64 = 1e-5;

/// A request that was served; times are in seconds from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    /// Whose it was, counted from 0.
    pub client: usize,
    /// When it came.
    pub arrival_s: f64,
    /// Tokens of its prompt.
    pub prompt: u64,
    /// Tokens that it generated.
    pub output: u64,
    /// When the first of them came.
    pub first_s: f64,
    /// When the last did.
    pub last_s: f64,
}

/// What came of a run. Costs are in units of a prompt token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// Requests served.
    pub served: usize,
    /// The largest of the differences of the windows, cost per second.
    pub max_diff: f64,
    /// Their mean.
    pub avg_diff: f64,
    /// Their population variance.
    pub diff_var: f64,
    /// How far the most and the least that clients had since the warm-up lie apart at the worst, cost.
    pub max_gap: f64,
    /// Tokens in and out by the time of the last answer.
    pub throughput_tok_s: f64,
    /// Mean time to the first token.
    pub ttft_mean_s: f64,
    /// Its 99th percentile, interpolated.
    pub ttft_p99_s: f64,
    /// Mean of the requests' time per further token.
    pub tpot_mean_ms: f64,
}

impl Served {
    /// A request of a log, if it was.
    #[must_use]
    pub fn logged(request: &LoggedRequest) -> Option<Self> {
        let (first_s, last_s) = request.answered_s?;
        Some(Self {
            client: request.client,
            arrival_s: request.arrival_s,
            prompt: request.prompt.into(),
            output: request.output.into(),
            first_s,
            last_s,
        })
    }

    fn cost(&self) -> f64 {
        self.prompt as f64 + OUTPUT_COST * self.output as f64
    }

    /// The part of its cost that was delivered from `low` to `high`.
    fn delivered(&self, low: f64, high: f64) -> f64 {
        let lasted = self.last_s - self.first_s;
        if self.last_s < FIRST_END_S || lasted < SHORTEST_S {
            return 0.0;
        }
        self.cost() * (high.min(self.last_s) - low.max(self.first_s)).max(0.0) / lasted
    }
}

impl Metrics {
    /// Of the requests that were served; all zero of none. O(windows · requests).
    #[must_use]
    pub fn of(served: &[Served]) -> Self {
        let Some(clients) = served.iter().map(|one| one.client + 1).max() else {
            return Self::default();
        };
        let mut is_served = vec![false; clients];
        served.iter().for_each(|one| is_served[one.client] = true);
        let ticks: Vec<f64> = (1..PARTS).map(tick_s).collect();
        let diffs: Vec<f64> = ticks.iter().map(|&tick| difference(served, clients, tick)).collect();
        let gaps = ticks.iter().map(|&tick| {
            let had = by_client(served, clients, |one| one.delivered(WARM_UP_S, tick + WARM_UP_S));
            spread(had.iter().zip(&is_served).filter(|&(_, is_served)| *is_served).map(|(&had, _)| had))
        });
        let avg_diff = mean(diffs.iter().copied());
        let mut ttfts: Vec<f64> = served.iter().map(|one| one.first_s - one.arrival_s).collect();
        let tokens: u64 = served.iter().map(|one| one.prompt + one.output).sum();
        let end = served.iter().map(|one| one.last_s).fold(0.0, f64::max);
        let tpot = |one: &Served| (one.last_s - one.first_s) / (one.output - 1).max(1) as f64;
        Self {
            served: served.len(),
            max_diff: diffs.iter().copied().fold(0.0, f64::max),
            avg_diff,
            diff_var: mean(diffs.iter().map(|diff| (diff - avg_diff).powi(2))),
            max_gap: gaps.fold(0.0, f64::max),
            throughput_tok_s: tokens as f64 / end,
            ttft_mean_s: mean(ttfts.iter().copied()),
            ttft_p99_s: percentile(&mut ttfts, 0.99),
            tpot_mean_ms: 1e3 * mean(served.iter().map(tpot)),
        }
    }

    /// Every figure by its name, in the order in which they are printed.
    #[must_use]
    pub fn named(&self) -> [(&'static str, f64); 9] {
        [
            ("served", self.served as f64),
            ("max_diff", self.max_diff),
            ("avg_diff", self.avg_diff),
            ("diff_var", self.diff_var),
            ("max_gap", self.max_gap),
            ("throughput_tok_s", self.throughput_tok_s),
            ("ttft_mean_s", self.ttft_mean_s),
            ("ttft_p99_s", self.ttft_p99_s),
            ("tpot_mean_ms", self.tpot_mean_ms),
        ]
    }
}

/// Where the window of a part begins.
fn tick_s(part: u32) -> f64 {
    (ARRIVALS_S - WARM_UP_S) / f64::from(PARTS) * f64::from(part)
}

/// The difference of the window that begins at a tick: of each client what it lacks of the most that one was served, or of
/// what it asked for, whichever is less.
fn difference(served: &[Served], clients: usize, tick: f64) -> f64 {
    let (low, high) = (tick + WARM_UP_S - WINDOW_S / 2.0, tick + WARM_UP_S + WINDOW_S / 2.0);
    let got = by_client(served, clients, |one| one.delivered(low, high) / WINDOW_S);
    let asked = by_client(served, clients, |one| {
        if (low..=high).contains(&one.arrival_s) { one.cost() / WINDOW_S } else { 0.0 }
    });
    let most = got.iter().copied().fold(0.0, f64::max);
    got.iter().zip(&asked).map(|(got, asked)| (most - got).min((asked - got).abs())).sum()
}

fn by_client(served: &[Served], clients: usize, part: impl Fn(&Served) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; clients];
    for one in served {
        sums[one.client] += part(one);
    }
    sums
}

fn spread(values: impl Iterator<Item = f64>) -> f64 {
    let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), x| (least.min(x), most.max(x)));
    most - least
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// Between the two nearest ranks.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() - 1) as f64 * share;
    let below = rank.floor() as usize;
    let above = (below + 1).min(values.len() - 1);
    values[below] + (values[above] - values[below]) * rank.fract()
}
