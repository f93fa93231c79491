//! The built-in workload: conversation (P0), code (P1) and a backlog of summarisation (P2), generated.
//!
//! Lengths and gaps are drawn from the quantiles of [`published`]. They are stratified: of n requests, one
//! falls into each n-th part of a distribution, and the seed only decides the order, so that every seed
//! carries the same load. Integers only: a seed gives the same workload on every platform.
//! Not modelled: shared prefixes, and what one request has to do with an earlier one, beyond the rates.

mod day;
mod published;
mod synthetic;

use crate::random::Random;
use published::{
    CODE, CODE_GAPS_US, CODE_SPAN_MS, CODE_STARTS_AFTER_MS, CONVERSATION, CONVERSATION_SPAN_MS,
    CONVERSATION_TENTHS, GAP_GRID, LENGTH_GRID, Lengths, Published, SUMMARISATION,
};

pub use day::day_of;
pub use synthetic::{Mix, Synthetic, SyntheticArrivals};

use super::label::tenant_of_sixteen;
use super::merge::{sort, stretched};
use super::readers::Tenants;
use super::{TraceRequest, Work, Workload};

/// Rows of the backlog. Three or four workers that take about 8,000 tokens a second each have some 10,000 a
/// second to spare beside the interactive load of 14,200, and a row is 2,870 tokens: enough for most of the
/// half hour that the interactive requests last, and not so many that the end of the run is batch alone.
const BACKLOG_ROWS: u32 = 6_000;

/// How many gaps in a row are alike. In the published trace the ranks of gaps correlate by 0.15 up to some twenty
/// places apart and by half of that at fifty; with 30 the counts per minute vary as published.
const GAPS_PER_MOOD: usize = 30;

/// Weights of what neighbouring gaps share and of what each has alone: of two independent numbers mixed so, the
/// shared one makes 9 / (9 + 49) = 0.155 of the variance, which is that correlation.
const MOOD_WEIGHT: u64 = 3;
const OWN_WEIGHT: u64 = 7;

/// Resolution of a position inside a distribution: a billion parts.
const WHOLE: u64 = 1_000_000_000;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_US: u64 = 1_000;

/// Generates the workload: about half an hour of conversation and code at `scale` 1, and the backlog at the
/// start. `scale` stretches the arrival rates, not the amount of work.
///
/// # Panics
///
/// If `scale` is not positive and finite.
#[must_use]
pub fn builtin(seed: u64, scale: f64) -> Workload {
    assert!(scale.is_finite() && scale > 0.0, "scale {scale} is not a positive number");
    let mut random = Random::new(seed);
    let mut tenants = Tenants::default();
    let mut requests = Vec::new();
    let mut sources = Vec::new();
    let conversation = conversation_arrivals(&mut random);
    let code = code_arrivals(&mut random);
    let backlog = vec![0; BACKLOG_ROWS as usize];
    for (tier, trace, arrivals) in
        [(0, &CONVERSATION, conversation), (1, &CODE, code), (2, &SUMMARISATION, backlog)]
    {
        let lengths = lengths(trace, arrivals.len() as u64, &mut random);
        sources.push(format!(
            "builtin {}: {} requests, P{tier}, generated with seed {seed}",
            trace.name,
            arrivals.len()
        ));
        for (row, (arrival_ns, work)) in arrivals.into_iter().zip(lengths).enumerate() {
            let tenant = tenant_of_sixteen(&format!("builtin/{}/{row}", trace.name));
            requests.push(TraceRequest {
                arrival_ns: stretched(arrival_ns, scale),
                tier,
                tenant: tenants.number(&format!("t{tenant:02}")),
                work,
            });
        }
    }
    sort(&mut requests);
    Workload { requests, tenants: tenants.into_names(), sources }
}

/// A Poisson process whose rate follows the published tenths: given their number, the arrivals of such a
/// process are independent, so each picks its own place.
fn conversation_arrivals(random: &mut Random) -> Vec<u64> {
    let tenth_ns = CONVERSATION_SPAN_MS * NS_PER_MS / CONVERSATION_TENTHS.len() as u64;
    let mut arrivals = Vec::with_capacity(CONVERSATION.rows as usize);
    for (tenth, count) in (0..).zip(CONVERSATION_TENTHS) {
        arrivals.extend((0..count).map(|_| tenth * tenth_ns + random.below(tenth_ns)));
    }
    arrivals.sort_unstable();
    arrivals
}

/// Bursts and silences: every published gap once, in an order in which short gaps keep company. Its rank decides
/// which gap comes at a place, and [`GAPS_PER_MOOD`] places in a row share part of theirs. The gaps are fitted to
/// the published span.
fn code_arrivals(random: &mut Random) -> Vec<u64> {
    let count = u64::from(CODE.rows) - 1;
    let mut places: Vec<(u64, usize)> = Vec::with_capacity(count as usize);
    let mut mood = 0;
    for place in 0..count as usize {
        if place % GAPS_PER_MOOD == 0 {
            mood = random.below(WHOLE);
        }
        places.push((MOOD_WEIGHT * mood + OWN_WEIGHT * random.below(WHOLE), place));
    }
    places.sort_unstable();
    let mut gaps = vec![0; places.len()];
    for ((_, place), position) in places.into_iter().zip(strata(count)) {
        gaps[place] = quantile(&GAP_GRID, &CODE_GAPS_US, position) * NS_PER_US;
    }
    let sum: u64 = gaps.iter().sum();
    let span = CODE_SPAN_MS * NS_PER_MS;
    let start = CODE_STARTS_AFTER_MS * NS_PER_MS;
    let mut elapsed = 0;
    let mut arrivals = vec![start];
    for gap in gaps {
        elapsed += gap;
        arrivals.push(start + (u128::from(elapsed) * u128::from(span) / u128::from(sum)) as u64);
    }
    arrivals
}

/// As many lengths as asked for, in random order, the output drawn from its prompt's class.
fn lengths(trace: &Published, count: u64, random: &mut Random) -> Vec<Work> {
    let classes = trace.outputs.len() as u64;
    let mut requests = Vec::with_capacity(count as usize);
    for (class, outputs) in (0..).zip(trace.outputs) {
        let members = class * count / classes..(class + 1) * count / classes;
        let mut outputs: Vec<u32> =
            strata(members.end - members.start).map(|position| tokens(outputs, position)).collect();
        random.shuffle(&mut outputs);
        requests.extend(members.zip(outputs).map(|(member, output)| {
            let prompt = tokens(&trace.prompts, stratum(member, count));
            Work::Tokens { prompt, output: output.min(trace.longest - prompt).max(1) }
        }));
    }
    random.shuffle(&mut requests);
    requests
}

/// The middles of `count` equal parts of a distribution.
fn strata(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |index| stratum(index, count))
}

fn stratum(index: u64, count: u64) -> u64 {
    (2 * index + 1) * WHOLE / (2 * count)
}

fn tokens(lengths: &Lengths, position: u64) -> u32 {
    quantile(&LENGTH_GRID, lengths, position) as u32 // between two of the table's values
}

/// The value at a position, on the straight line between the two nearest points of the table, rounded.
fn quantile<const N: usize>(grid: &[u16; N], values: &[u32; N], position: u64) -> u64 {
    let whole = u64::from(grid[N - 1]);
    let at = |point: usize| u64::from(grid[point]) * (WHOLE / whole);
    let upper = (1..N - 1).find(|&point| position < at(point)).unwrap_or(N - 1);
    let (from, to) = (u64::from(values[upper - 1]), u64::from(values[upper]));
    let (left, right) = (at(upper - 1), at(upper));
    let width = right - left;
    from + ((to - from) * (position - left) + width / 2) / width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_on_lines_between_the_points() {
        let grid = [0, 500, 1_000];
        let values = [10, 20, 120];
        let at = |part: u64| quantile(&grid, &values, part * (WHOLE / 100));
        assert_eq!([at(0), at(25), at(50), at(75), at(99), at(100)], [10, 15, 20, 70, 118, 120]);
    }

    #[test]
    fn tables_rise() {
        for trace in [&CONVERSATION, &CODE, &SUMMARISATION] {
            assert!(trace.prompts.is_sorted(), "{}", trace.name);
            assert!(trace.outputs.iter().all(|outputs| outputs.is_sorted()), "{}", trace.name);
            assert!(trace.prompts[published::POINTS - 1] <= trace.longest, "{}", trace.name);
        }
        assert!(CODE_GAPS_US.is_sorted() && GAP_GRID.is_sorted() && LENGTH_GRID.is_sorted());
        assert_eq!(CONVERSATION_TENTHS.iter().sum::<u32>(), CONVERSATION.rows);
    }

    #[test]
    fn strata_cover_the_distribution_once() {
        assert_eq!(strata(4).collect::<Vec<_>>(), [WHOLE / 8, 3 * WHOLE / 8, 5 * WHOLE / 8, 7 * WHOLE / 8]);
    }
}
