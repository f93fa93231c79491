//! What no policy can undercut: the p99 to the first token below which so many workers could not do the work in time,
//! whatever the order.
//!
//! Each token has a price that no step of the engine undercuts. Of the requests that arrive within a window all but one in a
//! hundred have their first token by the end of the window and the p99 more, and all that run no more have their output;
//! what that costs so many workers have to do from the begin of the window on. And a prompt is computed on one worker.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use super::engine::{Job, MODEL, MOST_RUNNING, STEP_TOKENS};
use crate::model::{Formula, ServiceModel};
use crate::percentile::Percentiles;

/// The least nanoseconds of a worker that tokens cost.
#[derive(Clone, Copy, Debug)]
struct Prices {
    prompt: f64,
    output: f64,
    output_context: f64,
}

const FEMTOS_PER_NANO: f64 = 1e6;

impl Prices {
    /// Of the engine's model. A step up to the knee has a larger base and dearer prompt tokens, and cheaper contexts.
    fn of_model() -> Self {
        let model = ServiceModel::by_id(MODEL).expect("it is one of them");
        let Formula::MixedByTokens { knee, below, above } = model.formula else {
            unreachable!("{MODEL} is a mixed one")
        };
        let each = |base: i64, tokens: u64, token: i64| base as f64 / tokens as f64 + token as f64;
        let prompt = each(above.base, STEP_TOKENS, above.token + above.prefill_token).min(each(
            below.base,
            knee,
            below.token + below.prefill_token,
        ));
        let output = (above.token + above.decode_token).min(below.token + below.decode_token);
        let output_context = above.decode_context.min(below.decode_context);
        Self {
            prompt: prompt / FEMTOS_PER_NANO,
            output: output as f64 / FEMTOS_PER_NANO,
            output_context: output_context as f64 / FEMTOS_PER_NANO,
        }
    }

    /// The first token of an output comes with the end of the prompt.
    fn of_output(&self, job: &Job) -> f64 {
        let (prompt, steps) = (f64::from(job.request.prompt), f64::from(job.request.output - 1));
        let contexts = steps * prompt + steps * (steps + 1.0) / 2.0;
        steps * self.output + contexts * self.output_context
    }
}

/// The largest few of some numbers, and their sum.
#[derive(Debug)]
struct Largest {
    most: usize,
    kept: BinaryHeap<Reverse<u64>>,
    sum: u64,
}

impl Largest {
    fn new(most: usize) -> Self {
        Self { most, kept: BinaryHeap::with_capacity(most + 1), sum: 0 }
    }

    fn add(&mut self, number: u64) {
        if self.kept.len() == self.most && self.kept.peek().is_none_or(|least| number <= least.0) {
            return;
        }
        self.kept.push(Reverse(number));
        self.sum += number;
        if self.kept.len() > self.most {
            self.sum -= self.kept.pop().expect("it has more than that").0;
        }
    }
}

/// The tokens that each prompt costs if whatever was in an earlier one is in every cache for ever. Who is served in another
/// order only exchanges with another who pays for what they share.
#[must_use]
pub fn computed_at_least(jobs: &[Job]) -> Vec<u64> {
    let mut seen = HashSet::new();
    let computed = |job: &Job| {
        let known = job.request.blocks.iter().take_while(|block| seen.contains(*block)).count();
        seen.extend(job.request.blocks.iter().copied());
        u64::from(job.request.prompt) - job.spared(known)
    };
    jobs.iter().map(computed).collect()
}

/// The p99 from arrival to first token in seconds that no order of these jobs undercuts on so many workers, if so many tokens of
/// each prompt are computed. O(jobs²).
///
/// # Panics
/// Without jobs.
#[must_use]
pub fn p99_at_least_s(jobs: &[Job], workers: usize, computed: &[u64]) -> f64 {
    let prices = Prices::of_model();
    let prompts: Vec<u64> = computed.iter().map(|&tokens| (tokens as f64 * prices.prompt) as u64).collect();
    let outputs: Vec<u64> = jobs.iter().map(|job| prices.of_output(job).max(0.0) as u64).collect();
    let late = jobs.len() - (jobs.len() * 99).div_ceil(100);
    let mut least = Percentiles::of(prompts.clone()).p99.expect("there are jobs");
    for begin in 0..jobs.len() {
        let (mut work, mut left_out) = (0, Largest::new(late));
        let mut still_running = Largest::new(workers * MOST_RUNNING);
        for end in begin..jobs.len() {
            let own = prompts[end] + outputs[end];
            work += own;
            left_out.add(own);
            still_running.add(outputs[end]);
            let window = jobs[end].request.arrival_ns - jobs[begin].request.arrival_ns;
            let due = work.saturating_sub(left_out.sum + still_running.sum) / workers as u64;
            least = least.max(due.saturating_sub(window));
        }
    }
    least as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::BlockedRequest;

    fn job(arrival_s: u64, blocks: &[u64], output: u32) -> Job {
        let prompt = 512 * blocks.len() as u32;
        let blocks = blocks.to_vec();
        Job {
            client: 0,
            request: BlockedRequest { arrival_ns: arrival_s * 1_000_000_000, prompt, output, blocks },
        }
    }

    #[test]
    fn what_is_shared_is_paid_once() {
        let jobs = [job(0, &[1, 2], 1), job(1, &[1, 2, 3], 1), job(2, &[1, 2, 3], 1)];
        assert_eq!(computed_at_least(&jobs), [1_024, 512, 1], "the last token is always computed");
    }

    #[test]
    fn a_burst_takes_the_workers_as_long_as_its_work() {
        // 400 prompts of 2,048 tokens at once, of which 4 may be late: 201 ms each.
        let jobs: Vec<Job> = (0..400).map(|n| job(0, &[4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3], 1)).collect();
        let computed = computed_at_least(&jobs);
        let alone = |workers: usize| p99_at_least_s(&jobs, workers, &computed);
        assert!((alone(1) - 396.0 * 0.2012).abs() < 1.0, "{}", alone(1));
        assert!((alone(4) - 99.0 * 0.2012).abs() < 0.5, "{}", alone(4));
        assert!((alone(1_000) - 0.2012).abs() < 0.01, "a prompt is on one worker: {}", alone(1_000));
    }
}
