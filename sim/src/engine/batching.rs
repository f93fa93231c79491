//! A continuous-batching engine, iteration by iteration.
//!
//! Each iteration decodes every running request by one token and fills the rest of its token budget with
//! parts of prompts: those of the most urgent tier first, a few at a time sharing the budget evenly, in order
//! of admission. (The scheduler's step plan would compute the prompts of a tier one after the other, so that a
//! short one waits for a long one.) KV blocks are held from admission for the whole prompt and one block more,
//! and grow as tokens come. All that an iteration changes is reported at its end; a running
//! iteration cannot be broken, so a request asked to stop stops then.
//!
//! State: counters over the decoding requests, a wheel of the steps at which one grows or finishes, and the
//! list of prompts. An iteration costs O(prompts in it + requests that grow or finish), not O(running).

use super::wheel::{MAX_AHEAD, Wheel};
use super::{Engine, NEVER, Phase, Report, Run, Stop};
use crate::model::{BLOCK_TOKENS, Batching, Load, ServiceModel};

/// One worker. See the module.
#[derive(Clone, Debug)]
pub struct BatchingEngine {
    model: &'static ServiceModel,
    batching: Batching,
    /// Decode steps done.
    step: u32,
    /// Requests that decode, and the sum of their tokens in the KV cache.
    decoding: u32,
    decode_context: u64,
    wheel: Wheel,
    /// Requests whose prompts are not done, by tier, then admission.
    prefilling: Vec<u32>,
    admissions: u32,
    /// Copying of checkpoints that the next iteration waits for.
    swap_ns: u64,
    /// When the running iteration ends; [`NEVER`] between two.
    ends_at: u64,
    /// What it contains.
    decodes: bool,
    chunks: Vec<(u32, u32)>,
    stopping: Vec<(u32, Stop)>,
    /// Emptied at the end of each use; kept for its allocation.
    due: Vec<u32>,
}

impl BatchingEngine {
    /// An idle worker.
    #[must_use]
    pub fn new(model: &'static ServiceModel, batching: Batching) -> Self {
        Self {
            model,
            batching,
            step: 0,
            decoding: 0,
            decode_context: 0,
            wheel: Wheel::new(),
            prefilling: Vec::new(),
            admissions: 0,
            swap_ns: 0,
            ends_at: NEVER,
            decodes: false,
            chunks: Vec::new(),
            stopping: Vec::new(),
            due: Vec::new(),
        }
    }

    /// Chooses the prompts of the next iteration.
    fn plan(&mut self, now: u64, runs: &mut [Run]) -> Load {
        let mut load = Load::default();
        match self.batching {
            Batching::Chunked { tokens, prompts } => {
                let budget = tokens.saturating_sub(self.decoding);
                self.share_out(budget, prompts as usize, runs);
            }
            Batching::PrefillFirst { tokens } => self.take_whole(tokens, runs),
        }
        for &(request, take) in &self.chunks {
            let run = &mut runs[request as usize];
            load.prefill_tokens += u64::from(take);
            load.prefill_context += u64::from(run.computed);
            load.prefill_squares += u64::from(take) * u64::from(take);
            run.first_iteration_at = run.first_iteration_at.min(now);
        }
        let alone = matches!(self.batching, Batching::PrefillFirst { .. }) && !self.chunks.is_empty();
        self.decodes = self.decoding > 0 && !alone;
        if self.decodes {
            load.decode_tokens = u64::from(self.decoding);
            load.decode_context = self.decode_context;
        }
        load
    }

    /// Shares a budget out evenly over the first few prompts of one tier, then what they leave over the next.
    fn share_out(&mut self, mut budget: u32, prompts: usize, runs: &[Run]) {
        let mut rest = &self.prefilling[..];
        while budget > 0
            && let Some(&first) = rest.first()
        {
            let tier = runs[first as usize].tier;
            let of_tier = rest.iter().take(prompts).take_while(|&&other| runs[other as usize].tier == tier);
            let (group, others) = rest.split_at(of_tier.count());
            rest = others;
            for (&request, sharing) in group.iter().zip((1..=group.len() as u32).rev()) {
                let run = &runs[request as usize];
                let take = (run.tokens_needed() - run.computed).min(budget.div_ceil(sharing));
                if take > 0 {
                    budget -= take;
                    self.chunks.push((request, take));
                }
            }
        }
    }

    /// Takes whole prompts, at least one, up to a number of tokens.
    fn take_whole(&mut self, tokens: u32, runs: &[Run]) {
        let mut left = tokens;
        for &request in &self.prefilling {
            let run = &runs[request as usize];
            let take = run.tokens_needed() - run.computed;
            if take > left && !self.chunks.is_empty() {
                break;
            }
            left = left.saturating_sub(take);
            self.chunks.push((request, take));
        }
    }

    /// Ends the step of the decoding requests: those that are due grow or finish.
    fn end_decodes(&mut self, runs: &mut [Run], reports: &mut Vec<Report>) {
        self.step += 1;
        self.decode_context += u64::from(self.decoding);
        let mut due = std::mem::take(&mut self.due);
        self.wheel.take(self.step, &mut due);
        for request in due.drain(..) {
            let run = &mut runs[request as usize];
            run.generated += self.step - run.decode_from;
            run.decode_from = self.step;
            if run.generated >= run.output {
                self.decoding -= 1;
                self.decode_context -= u64::from(run.tokens_needed() - 1);
                run.phase = Phase::Away;
                reports.push(Report::Finished { request });
            } else {
                self.await_next(run, request, reports);
            }
        }
        self.due = due;
    }

    /// Grows a decoding request if its next token needs a block, and notes when it is next due.
    fn await_next(&mut self, run: &mut Run, request: u32, reports: &mut Vec<Report>) {
        let needed = run.tokens_needed().div_ceil(BLOCK_TOKENS);
        if needed > run.units {
            run.units = needed;
            reports.push(Report::Grew { request, generated: run.generated });
        }
        let until_growth = run.units * BLOCK_TOKENS - run.tokens_needed() + 1;
        let until_end = run.output - run.generated;
        run.due_step = self.step + until_growth.min(until_end).min(MAX_AHEAD);
        self.wheel.insert(run.due_step, request);
    }

    /// Ends the parts of prompts in this iteration; a prompt that is done has generated a token.
    fn end_prefills(&mut self, now: u64, runs: &mut [Run], reports: &mut Vec<Report>) {
        let mut done = false;
        let mut chunks = std::mem::take(&mut self.chunks);
        for (request, take) in chunks.drain(..) {
            let run = &mut runs[request as usize];
            run.computed += take;
            if run.fresh {
                run.fresh = false;
                reports.push(Report::Started { request });
            }
            if run.computed < run.tokens_needed() {
                continue;
            }
            done = true;
            run.generated += 1;
            if run.first_token_at == NEVER {
                run.first_token_at = now;
            }
            if run.generated >= run.output {
                run.phase = Phase::Away;
                reports.push(Report::Finished { request });
                continue;
            }
            run.phase = Phase::Decoding;
            run.decode_from = self.step;
            self.decoding += 1;
            self.decode_context += u64::from(run.tokens_needed() - 1);
            self.await_next(run, request, reports);
        }
        self.chunks = chunks;
        if done {
            self.prefilling.retain(|&request| runs[request as usize].phase == Phase::Prefilling);
        }
    }

    /// Takes a request out between two iterations.
    fn remove(&mut self, runs: &mut [Run], request: u32, stop: Stop) -> Report {
        let run = &mut runs[request as usize];
        match run.phase {
            Phase::Decoding => {
                run.generated += self.step - run.decode_from;
                run.computed = run.tokens_needed() - 1;
                self.decoding -= 1;
                self.decode_context -= u64::from(run.computed);
                self.wheel.remove(run.due_step, request);
            }
            Phase::Prefilling => self.prefilling.retain(|&other| other != request),
            Phase::Away | Phase::Working => unreachable!("only a request that is here is asked to stop"),
        }
        run.phase = Phase::Away;
        let tokens_kept = if stop == Stop::Checkpoint { run.computed } else { 0 };
        run.lost = run.computed;
        Report::Stopped { request, stop, tokens_kept }
    }
}

impl Engine for BatchingEngine {
    fn admit(&mut self, _now: u64, runs: &mut [Run], request: u32, tokens_kept: u32) -> u32 {
        let run = &mut runs[request as usize];
        let tokens_kept = tokens_kept.min(run.tokens_needed() - 1);
        run.computed = tokens_kept;
        let recomputed = run.lost.saturating_sub(tokens_kept);
        run.lost = 0;
        run.fresh = true;
        run.phase = Phase::Prefilling;
        run.admission = self.admissions;
        self.admissions += 1;
        // Out when it stopped and in again now; charged together, to the worker that resumes it.
        self.swap_ns += 2 * self.model.swap_ns(u64::from(tokens_kept));
        let key = (run.tier, run.admission);
        let place = self.prefilling.partition_point(|&other| {
            let other = &runs[other as usize];
            (other.tier, other.admission) < key
        });
        self.prefilling.insert(place, request);
        recomputed
    }

    fn stop(&mut self, runs: &mut [Run], request: u32, stop: Stop) -> Option<Report> {
        if self.ends_at == NEVER {
            return Some(self.remove(runs, request, stop));
        }
        self.stopping.push((request, stop));
        None
    }

    fn spare(&mut self, request: u32) {
        self.stopping.retain(|&(other, _)| other != request);
    }

    fn advance(&mut self, now: u64, runs: &mut [Run], reports: &mut Vec<Report>) {
        self.ends_at = NEVER;
        if self.decodes {
            self.end_decodes(runs, reports);
        }
        if !self.chunks.is_empty() {
            self.end_prefills(now, runs, reports);
        }
        while let Some((request, stop)) = self.stopping.pop() {
            // One that finished in this very iteration has said so already.
            if runs[request as usize].phase != Phase::Away {
                reports.push(self.remove(runs, request, stop));
            }
        }
    }

    fn resume(&mut self, now: u64, runs: &mut [Run]) -> u64 {
        if self.ends_at == NEVER {
            let load = self.plan(now, runs);
            if load.prefill_tokens + load.decode_tokens > 0 {
                let copying = std::mem::take(&mut self.swap_ns);
                self.ends_at = now + copying + self.model.iteration_ns(&load).max(1);
            }
        }
        self.ends_at
    }
}
