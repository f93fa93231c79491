//! Five situations in which vLLM's own scheduler is weak, staged for a model of it and for tidegate.
//!
//! Their numbers were published by this project from vLLM's unmodified scheduler (0.33.0 and 0.32.0); the model
//! has to reproduce them, or else what tidegate is compared with is not vLLM.

use std::time::Instant;

use super::draws::drawn;
use super::engine::{Engine, Job, Size};
use super::{Policy, Stage};

/// Longer than any scenario takes.
const MOST_STEPS: u32 = 10_000;
/// The least urgent tier of the scenarios; vLLM's priority 10 in A and B.
const BATCH: u8 = 2;
/// KV blocks of an engine that never runs out of them.
const PLENTY: u32 = 100_000;

/// What A, B or F measured of one policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Urgent {
    /// Steps until the first token of an urgent request was computed, counted from its arrival.
    pub steps: u32,
    /// Requests thrown out until then.
    pub victims: u32,
    /// Requests thrown out until the urgent one was done.
    pub victims_until_done: u32,
}

/// A: all slots are taken.
#[must_use]
pub fn slots_full<P: Policy>(policy: impl FnOnce(Size) -> P) -> Urgent {
    let size = Size { slots: 8, blocks: PLENTY, tokens: 2_048 };
    let mut stage = Stage::new(size, policy(size));
    for _ in 0..8 {
        stage.submit(Job::new(BATCH, 64, 500));
    }
    for _ in 0..20 {
        stage.step();
    }
    urgent(stage, Job::new(0, 64, 4))
}

/// B: there are slots, but too few KV blocks.
#[must_use]
pub fn blocks_short<P: Policy>(policy: impl FnOnce(Size) -> P) -> Urgent {
    let size = Size { slots: 64, blocks: 276, tokens: 8_192 };
    let mut stage = Stage::new(size, policy(size));
    for _ in 0..8 {
        stage.submit(Job::new(BATCH, 512, 500));
    }
    stage.step();
    urgent(stage, Job::new(0, 640, 4))
}

/// F: a long prompt takes every step.
#[must_use]
pub fn long_prompt<P: Policy>(policy: impl FnOnce(Size) -> P) -> Urgent {
    let size = Size { slots: 64, blocks: PLENTY, tokens: 2_048 };
    let mut stage = Stage::new(size, policy(size));
    stage.submit(Job::new(BATCH, 32_768, 4));
    stage.step();
    urgent(stage, Job::new(0, 64, 4))
}

/// An urgent request arrives; then all that is there is done.
fn urgent<P: Policy>(mut stage: Stage<P>, job: Job) -> Urgent {
    let victims = |engine: &Engine| engine.runs().iter().map(|run| run.evictions).sum();
    let run = stage.submit(job);
    let steps = stage.step_until(MOST_STEPS, |engine| engine.run(run).first_step.is_some());
    let before = victims(stage.engine());
    stage.step_until(MOST_STEPS, |engine| engine.run(run).is_done()).expect(ALL_END);
    let until_done = victims(stage.engine());
    stage.step_until(MOST_STEPS, all_done).expect(ALL_END);
    Urgent { steps: steps.expect(ALL_END), victims: before, victims_until_done: until_done }
}

const ALL_END: &str = "every request of a scenario is served in the end";

fn all_done(engine: &Engine) -> bool {
    engine.runs().iter().all(|run| run.is_done())
}

/// What C measured of one policy, over all its draws.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recompute {
    /// The share of the tokens computed that were computed again, on average.
    pub share: f64,
    /// The smallest and the largest.
    pub shares: (f64, f64),
    /// Requests thrown out, on average.
    pub victims: f64,
    /// The most times that one of them was, in any draw.
    pub worst: u32,
    /// Steps until all were done, on average.
    pub steps: f64,
}

/// C: 64 requests come at once, and 30 % of the KV blocks that they will want is there.
#[must_use]
pub fn too_few_blocks<P: Policy>(policy: impl Fn(Size) -> P, seeds: u32) -> Recompute {
    let mut all = Recompute { shares: (1.0, 0.0), ..Recompute::default() };
    for seed in 0..seeds {
        let jobs = drawn(seed);
        let blocks: u32 = jobs.iter().map(|job| (job.prompt + job.output).div_ceil(16)).sum();
        // Rounded down, as the published run has it.
        let size = Size { slots: 64, blocks: blocks * 3 / 10, tokens: 2_048 };
        let mut stage = Stage::new(size, policy(size));
        for job in &jobs {
            stage.submit(*job);
        }
        let steps = stage.step_until(MOST_STEPS, all_done).expect(ALL_END);
        let runs = stage.engine().runs();
        let ideal: u32 = jobs.iter().map(|job| job.prompt + job.output - 1).sum();
        let computed: u64 = runs.iter().map(|run| run.work).sum();
        let share = 1.0 - f64::from(ideal) / computed as f64;
        let part = f64::from(seeds).recip();
        all.share += share * part;
        all.shares = (all.shares.0.min(share), all.shares.1.max(share));
        all.victims += f64::from(runs.iter().map(|run| run.evictions).sum::<u32>()) * part;
        all.worst = all.worst.max(runs.iter().map(|run| run.evictions).max().unwrap_or(0));
        all.steps += f64::from(steps) * part;
    }
    all
}

/// E: the median time of a step, in nanoseconds, while `blocked` urgent requests wait that cannot run, and 32
/// others decode.
#[must_use]
pub fn blocked_waiters<P: Policy>(policy: impl FnOnce(Size) -> P, blocked: u32) -> u64 {
    let size = Size { slots: 64, blocks: PLENTY, tokens: 8_192 };
    let mut stage = Stage::new(size, policy(size));
    for _ in 0..blocked {
        stage.submit(Job { blocked: true, ..Job::new(0, 16, 1) });
    }
    for _ in 0..32 {
        stage.submit(Job::new(1, 16, 10_000));
    }
    for _ in 0..3 {
        stage.step();
    }
    let mut times: Vec<u64> = (0..101)
        .map(|_| {
            let began = Instant::now();
            stage.step();
            began.elapsed().as_nanos() as u64
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
