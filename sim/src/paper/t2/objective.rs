//! What Niyama's tiers are promised, and whether a run kept it.

use std::collections::BTreeMap;

use crate::paper::chunked::{Run, Served};
use crate::paper::draws::Figures;
use crate::percentile::Percentiles;

/// What a request is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// The first token within so long of its arrival, and each further one within so long of the one before.
    FirstToken {
        /// Nanoseconds.
        within_ns: u64,
        /// Nanoseconds.
        token_ns: u64,
    },
    /// The whole answer within so long of its arrival.
    Total {
        /// Nanoseconds.
        within_ns: u64,
    },
}

/// Tiers.
pub const TIERS: usize = 3;

/// By tier.
#[must_use]
pub fn objective(tier: u8) -> Objective {
    match tier {
        0 => Objective::FirstToken { within_ns: 6_000_000_000, token_ns: 55_000_000 },
        1 => Objective::Total { within_ns: 600_000_000_000 },
        _ => Objective::Total { within_ns: 1_800_000_000_000 },
    }
}

/// Of so many requests that arrived first, in percent, nothing is counted.
const WARM_UP_PERCENT: usize = 10;

/// What came of runs whose jobs were served side by side: percentages of requests and of tier 0's tokens, times in
/// milliseconds.
///
/// `violations_percent`, and the same by tier; `ttft_p99_ms`, `gap_p99_ms` (from one token to the next) and
/// `late_tokens_percent` (see [`late_tokens`]) of tier 0; `output_tok_s` of an engine in the mean, until the last ended;
/// `peak_kv_tokens` of one engine.
#[must_use]
pub fn figures(served: &[Served]) -> Figures {
    let (mut all, mut broken) = ([0; TIERS], [0; TIERS]);
    let mut first_tokens = Vec::new();
    let counted = |served: &'_ Served| served.runs.len() * WARM_UP_PERCENT / 100;
    for run in served.iter().flat_map(|served| &served.runs[counted(served)..]) {
        let tier = usize::from(run.job.tier);
        all[tier] += 1;
        broken[tier] += usize::from(!is_kept(run));
        if tier == 0 {
            first_tokens.push(first_ns(run) - run.job.arrival_ns);
        }
    }
    let gaps: Vec<u64> = served.iter().flat_map(|served| &served.gaps).map(|&(_, gap)| gap).collect();
    let late = percent(served.iter().map(late_tokens).sum(), gaps.len());
    let output: u64 = served.iter().flat_map(|served| &served.runs).map(|run| u64::from(run.generated)).sum();
    let ended_s = served.iter().map(|served| served.ended_ns).max().unwrap_or(0) as f64 / 1e9;
    let p99_ms = |samples| Percentiles::of(samples).p99.unwrap_or(0) as f64 / 1e6;
    Figures::from([
        ("violations_percent", percent(broken.iter().sum(), all.iter().sum())),
        ("tier0_violations_percent", percent(broken[0], all[0])),
        ("tier1_violations_percent", percent(broken[1], all[1])),
        ("tier2_violations_percent", percent(broken[2], all[2])),
        ("ttft_p99_ms", p99_ms(first_tokens)),
        ("gap_p99_ms", p99_ms(gaps)),
        ("late_tokens_percent", late),
        ("output_tok_s", output as f64 / ended_s / served.len() as f64),
        ("peak_kv_tokens", served.iter().map(|served| served.peak_kv_tokens).max().unwrap_or(0) as f64),
    ])
}

fn percent(part: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 * 100.0 }
}

fn first_ns(run: &Run) -> u64 {
    run.first_ns.expect("all are done")
}

fn is_kept(run: &Run) -> bool {
    match objective(run.job.tier) {
        Objective::FirstToken { within_ns, .. } => first_ns(run) <= run.job.arrival_ns + within_ns,
        Objective::Total { within_ns } => run.last_ns <= run.job.arrival_ns + within_ns,
    }
}

/// Tokens of tier 0 that came later than so long after the first token, or after when that was due, if it came early, as
/// all tokens before would have taken: what is early is saved up.
fn late_tokens(served: &Served) -> usize {
    let Objective::FirstToken { within_ns, token_ns } = objective(0) else { return 0 };
    let mut spare: BTreeMap<u32, i128> = BTreeMap::new();
    let mut late = 0;
    for &(index, gap) in &served.gaps {
        let run = &served.runs[index as usize];
        let spare = spare
            .entry(index)
            .or_insert_with(|| i128::from((run.job.arrival_ns + within_ns).saturating_sub(first_ns(run))));
        *spare += i128::from(token_ns) - i128::from(gap);
        late += usize::from(*spare < 0);
    }
    late
}
