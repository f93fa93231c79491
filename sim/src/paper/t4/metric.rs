//! What a run was like: how much was found in caches, how fast it went, how long first tokens took, how unlike clients that
//! waited alike were served.

use super::engine::{Answer, Job};
use super::policies::OUTPUT_COST;
use crate::percentile::Percentiles;

/// The windows of the gap, and how far they lie apart.
const WINDOW_NS: u64 = 60_000_000_000;
const STRIDE_NS: u64 = 10_000_000_000;

/// Figures of a run.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Metrics {
    /// Blocks of prompts that were found in a cache, in percent of all.
    pub hit_percent: f64,
    /// Prompt and output tokens a second, from the first arrival to the last token.
    pub throughput_tok_s: f64,
    /// From arrival to first token.
    pub ttft_mean_s: f64,
    /// The same that 99 of 100 do not exceed.
    pub ttft_p99_s: f64,
    /// The largest difference in what two clients were served in a minute through which both had requests waiting: computed
    /// prompt tokens and twice the output tokens.
    pub gap_tokens: f64,
}

/// What came of the jobs.
///
/// # Panics
/// Without jobs.
#[must_use]
pub fn metrics(jobs: &[Job], answers: &[Answer]) -> Metrics {
    let blocks: usize = jobs.iter().map(|job| job.request.blocks.len()).sum();
    let hits: usize = answers.iter().map(|answer| answer.cached_blocks).sum();
    let tokens = |job: &Job| u64::from(job.request.prompt) + u64::from(job.request.output);
    let begin = jobs[0].request.arrival_ns;
    let end = answers.iter().map(|answer| answer.last_ns).max().expect("there are some");
    let seconds = |ns: u64| ns as f64 / 1e9;
    let ttft: Vec<u64> =
        jobs.iter().zip(answers).map(|(job, a)| a.first_ns - job.request.arrival_ns).collect();
    Metrics {
        hit_percent: 100.0 * hits as f64 / blocks as f64,
        throughput_tok_s: jobs.iter().map(tokens).sum::<u64>() as f64 / seconds(end - begin),
        ttft_mean_s: seconds(ttft.iter().sum::<u64>()) / ttft.len() as f64,
        ttft_p99_s: seconds(Percentiles::of(ttft).p99.expect("there are some")),
        gap_tokens: gap(jobs, answers, begin, end),
    }
}

/// The part of what happens between two instants that lies in a window.
fn part(from: u64, to: u64, window: (u64, u64)) -> f64 {
    let overlap = to.min(window.1).saturating_sub(from.max(window.0));
    overlap as f64 / (to - from).max(1) as f64
}

fn gap(jobs: &[Job], answers: &[Answer], begin: u64, end: u64) -> f64 {
    let clients = jobs.iter().map(|job| job.client).max().expect("there are some") + 1;
    let mut largest: f64 = 0.0;
    let mut at = begin;
    while at + WINDOW_NS <= end {
        let window = (at, at + WINDOW_NS);
        let mut served = vec![0.0; clients];
        let mut waits: Vec<Vec<(u64, u64)>> = vec![Vec::new(); clients];
        for (job, answer) in jobs.iter().zip(answers) {
            let computed = answer.computed as f64 * part(answer.admitted_ns, answer.first_ns, window);
            let output = OUTPUT_COST as f64 * f64::from(job.request.output);
            served[job.client] += computed + output * part(answer.first_ns, answer.last_ns, window);
            if job.request.arrival_ns < window.1 && answer.admitted_ns > window.0 {
                waits[job.client].push((job.request.arrival_ns, answer.admitted_ns));
            }
        }
        let backlogged = (0..clients).filter(|&client| covers(&mut waits[client], window));
        let (least, most) = backlogged.fold((f64::MAX, 0.0_f64), |(least, most), client| {
            (least.min(served[client]), most.max(served[client]))
        });
        largest = largest.max(most - least);
        at += STRIDE_NS;
    }
    largest
}

/// Whether spans leave nothing of a window.
fn covers(spans: &mut [(u64, u64)], (mut from, to): (u64, u64)) -> bool {
    spans.sort_unstable();
    for &(begin, end) in &*spans {
        if begin > from {
            return false;
        }
        from = from.max(end);
    }
    from >= to
}
