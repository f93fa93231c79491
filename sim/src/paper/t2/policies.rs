//! The policies that Niyama is compared with, and Niyama: in which order prompts are computed, and how many tokens a step has.
//!
//! Orders are those of [`crate::policy`]; Niyama's steps are as large as the least slack of those that decode allows.
//! All decode every request that can in every step; what is left of the step's tokens goes to prompts in order. They know
//! the engine's step times, as the artifact does, and no output lengths. Written from the paper and its artifact's set-up.

use std::collections::BTreeSet;

use super::objective::{Objective, objective};
use crate::model::Load;
use crate::paper::chunked::{Chunk, Engine, Job, Policy, Run};
pub use crate::policy::Order;
use crate::policy::order::is_too_late;

/// Tokens of a step, decodes included, where they do not depend on slack, and the most requests that decode in one.
pub const CHUNK_TOKENS: u32 = 256;
/// Outputs that a deadline for a whole answer leaves time for, and how long each may take.
const OUTPUT_ALLOWANCE_NS: u64 = 15 * 400_000_000;
/// Predicted times count for so much more, in percent.
const PREDICTION_PERCENT: u64 = 120;
/// Steps of a size that depends on slack have so many tokens at least, and otherwise whole multiples of the second, up to the third.
const SLACK_TOKENS: [u32; 3] = [128, 256, 8_192];
/// Prompt tokens a second that Niyama expects at first.
const FIRST_RATE: f64 = 8_500.0;
/// How much of that rate stays after each step with prompts.
const RATE_DECAY: f64 = 0.995;

/// Prompts in an order. See the module.
#[derive(Debug)]
pub struct InOrder {
    order: Order,
    chunk_tokens: u32,
    /// Whether it was relegated, its key, and which it is.
    prompts: BTreeSet<(bool, u64, usize)>,
    decodes: BTreeSet<usize>,
    /// Prompt tokens a second.
    rate: f64,
    /// When the last step began, and its prompt tokens.
    last: (u64, u32),
}

impl InOrder {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(order: Order) -> Self {
        Self::with_chunks(order, CHUNK_TOKENS)
    }

    /// The same with so many tokens in a step, where they do not depend on slack.
    #[must_use]
    pub fn with_chunks(order: Order, chunk_tokens: u32) -> Self {
        let (prompts, decodes) = (BTreeSet::new(), BTreeSet::new());
        Self { order, chunk_tokens, prompts, decodes, rate: FIRST_RATE, last: (0, 0) }
    }

    fn key(&self, run: &Run) -> u64 {
        let Job { arrival_ns, tier, .. } = run.job;
        self.order.key(tier, arrival_ns, run.missing().into(), arrival_ns + prompt_within_ns(tier))
    }

    /// Tokens of the next step's prompts.
    fn budget(&self, engine: &Engine, decodes: u32) -> u32 {
        if self.order != Order::Hybrid {
            return self.chunk_tokens.saturating_sub(decodes);
        }
        let slack = self.decodes.iter().map(|&index| slack_ns(engine.run(index), engine.now_ns())).min();
        let context: u64 = self.decodes.iter().map(|&index| u64::from(engine.run(index).computed)).sum();
        let first = self.prompts.first().map_or(0, |&(_, _, index)| engine.run(index).computed);
        let load = |tokens: u32| Load {
            prefill_tokens: tokens.saturating_sub(decodes).into(),
            prefill_context: first.into(),
            decode_tokens: decodes.into(),
            decode_context: context,
            ..Load::default()
        };
        let [least, step, most] = SLACK_TOKENS;
        let within = |&tokens: &u32| {
            let takes = engine.model().iteration_ns(&load(tokens)) * PREDICTION_PERCENT / 100;
            slack.is_none_or(|slack| i128::from(takes) <= slack)
        };
        let sizes = (1..=most / step).rev().map(|times| times * step);
        sizes.into_iter().find(within).unwrap_or(least).saturating_sub(decodes)
    }

    /// Puts those behind all others that cannot make it any more: looked at from the first in order.
    fn relegate(&mut self, engine: &Engine) {
        while let Some(&(false, key, index)) = self.prompts.first() {
            let run = engine.run(index);
            let deadline = run.job.arrival_ns + prompt_within_ns(run.job.tier);
            let is_too_late = is_too_late(engine.now_ns(), run.missing().into(), self.rate, deadline);
            if run.computed > 0 || !is_too_late {
                return;
            }
            self.prompts.remove(&(false, key, index));
            self.prompts.insert((true, key, index));
        }
    }
}

/// When a prompt should be computed, after its arrival.
fn prompt_within_ns(tier: u8) -> u64 {
    match objective(tier) {
        Objective::FirstToken { within_ns, .. } => within_ns,
        Objective::Total { within_ns } => within_ns - OUTPUT_ALLOWANCE_NS,
    }
}

/// How long the next token of one that decodes may still take.
fn slack_ns(run: &Run, now_ns: u64) -> i128 {
    let token_ns = match objective(run.job.tier) {
        Objective::FirstToken { token_ns, .. } => token_ns,
        Objective::Total { .. } => 400_000_000,
    };
    let first = run.first_ns.unwrap_or(0).max(run.job.arrival_ns + prompt_within_ns(run.job.tier));
    i128::from(first + u64::from(run.generated + 1) * token_ns) - i128::from(now_ns)
}

impl Policy for InOrder {
    fn arrives(&mut self, engine: &Engine, index: usize) {
        self.prompts.insert((false, self.key(engine.run(index)), index));
    }

    fn plan(&mut self, engine: &mut Engine, chunks: &mut Vec<Chunk>) {
        let now = engine.now_ns();
        let (began, tokens) = self.last;
        if tokens > 0 {
            let seen = f64::from(tokens) / ((now - began) as f64 / 1e9);
            self.rate = RATE_DECAY * self.rate + (1.0 - RATE_DECAY) * seen;
        }
        chunks
            .extend(self.decodes.iter().take(CHUNK_TOKENS as usize).map(|&index| Chunk { index, tokens: 1 }));
        let mut left = self.budget(engine, chunks.len() as u32);
        self.last = (now, left);
        while left > 0 {
            if self.order == Order::Hybrid {
                self.relegate(engine);
            }
            let Some((relegated, key, index)) = self.prompts.pop_first() else { break };
            let tokens = engine.run(index).missing().min(left);
            left -= tokens;
            chunks.push(Chunk { index, tokens });
            if tokens < engine.run(index).missing() {
                // Its key is another when the step has ended.
                self.prompts.insert((relegated, key, index));
            }
        }
        self.last.1 -= left;
    }

    fn stepped(&mut self, engine: &Engine, chunks: &[Chunk], done: &[usize]) {
        for &Chunk { index, tokens } in chunks {
            let run = engine.run(index);
            if run.decodes() {
                self.decodes.insert(index);
            } else if !run.is_done() {
                let before = Run { computed: run.computed - tokens, ..*run };
                let relegated =
                    [false, true].map(|was| self.prompts.remove(&(was, self.key(&before), index)));
                self.prompts.insert((relegated[1], self.key(run), index));
            }
        }
        for index in done {
            self.decodes.remove(index);
        }
    }
}
