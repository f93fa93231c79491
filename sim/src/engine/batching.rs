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
//! list of prompts with what is left of each.
//!
//! As long as nobody comes, goes or finishes a prompt, one iteration after the other has the same decodes and
//! as many tokens of the same prompts: a *stretch*. The first iteration of one is planned, O(prompts in it); each
//! further one is O(1 + requests that grow), and longer than the one before by what the contexts grew.

use super::wheel::{MAX_AHEAD, Wheel};
use super::{Engine, NEVER, Phase, Report, Run, Share, Stop};
use crate::model::{BLOCK_TOKENS, Batching, Load, Pace, ServiceModel};

/// A request whose prompt, or what it lost, is being computed.
#[derive(Clone, Copy, Debug)]
struct Prompt {
    request: u32,
    /// Tokens in the KV cache when the stretch began.
    computed: u32,
    /// Tokens that were still to be computed then; at least 1.
    left: u32,
    /// Tokens of it in each iteration of the stretch.
    taken: u32,
    tier: u8,
    /// It has not been in an iteration since it was admitted.
    fresh: bool,
}

impl Prompt {
    /// It has what it got in so many iterations, and no part in further ones.
    fn settle(&mut self, iterations: u32) {
        let got = std::mem::take(&mut self.taken) * iterations;
        self.computed += got;
        self.left -= got;
    }
}

/// One worker. See the module.
#[derive(Clone, Debug)]
pub struct BatchingEngine {
    model: &'static ServiceModel,
    share: Share,
    batching: Batching,
    /// Decode steps done.
    step: u32,
    /// Requests that decode, and the sum of their tokens in the KV cache.
    decoding: u32,
    decode_context: u64,
    wheel: Wheel,
    /// By tier, then admission.
    prompts: Vec<Prompt>,
    /// How many of them, from the first, hold all that are in the stretch.
    chosen: usize,
    /// Iterations of the stretch that have ended, and those that are to come after the one that runs.
    ended: u32,
    to_come: u32,
    /// One of the chosen prompts is in an iteration for the first time.
    begins: bool,
    pace: Pace,
    /// Copying of checkpoints that the next iteration waits for.
    swap_ns: u64,
    /// When the running iteration ends; [`NEVER`] between two.
    ends_at: u64,
    /// What it contains.
    decodes: bool,
    stopping: Vec<(u32, Stop)>,
    /// Emptied at the end of each use; kept for its allocation.
    due: Vec<u32>,
}

impl BatchingEngine {
    /// An idle worker with devices of its own.
    #[must_use]
    pub fn new(model: &'static ServiceModel, batching: Batching) -> Self {
        Self::on(model, batching, Share::default())
    }

    /// An idle worker that has so much of its devices' time.
    #[must_use]
    pub fn on(model: &'static ServiceModel, batching: Batching, share: Share) -> Self {
        Self {
            model,
            share,
            batching,
            step: 0,
            decoding: 0,
            decode_context: 0,
            wheel: Wheel::new(),
            prompts: Vec::new(),
            chosen: 0,
            ended: 0,
            to_come: 0,
            begins: false,
            pace: Pace::default(),
            swap_ns: 0,
            ends_at: NEVER,
            decodes: false,
            stopping: Vec::new(),
            due: Vec::new(),
        }
    }

    /// Begins the first iteration of a stretch, if there is anything to compute. Returns when it ends.
    fn begin_stretch(&mut self, now: u64, runs: &mut [Run]) -> u64 {
        let load = self.plan(now, runs);
        if load.prefill_tokens + load.decode_tokens == 0 {
            self.to_come = 0;
            self.share.compute(false);
            return NEVER;
        }
        self.share.compute(true);
        self.pace = self.model.pace(&load);
        self.ends_at = now + std::mem::take(&mut self.swap_ns) + self.iteration_ns();
        self.ends_at
    }

    /// How long the iteration takes that begins now.
    #[inline]
    fn iteration_ns(&self) -> u64 {
        self.share.stretch(self.pace.ns().max(1))
    }

    /// Chooses the prompts of a stretch, and finds out how long it lasts if nobody comes or goes.
    fn plan(&mut self, now: u64, runs: &mut [Run]) -> Load {
        let mut load = Load::default();
        let alone = match self.batching {
            Batching::Chunked { tokens, prompts } => {
                self.share_out(tokens.saturating_sub(self.decoding), prompts as usize);
                false
            }
            Batching::PrefillFirst { tokens } => {
                self.take_whole(tokens);
                self.chosen > 0
            }
        };
        self.to_come = u32::MAX;
        for prompt in &self.prompts[..self.chosen] {
            self.to_come = self.to_come.min(prompt.left / prompt.taken - 1);
            let taken = u64::from(prompt.taken);
            load.prefill_tokens += taken;
            load.prefill_context += u64::from(prompt.computed);
            load.prefill_squares += taken * taken;
            if prompt.fresh {
                self.begins = true;
                let run = &mut runs[prompt.request as usize];
                run.first_iteration_at = run.first_iteration_at.min(now);
            }
        }
        self.decodes = self.decoding > 0 && !alone;
        if self.decodes {
            load.decode_tokens = u64::from(self.decoding);
            load.decode_context = self.decode_context;
        }
        load
    }

    /// Shares a budget out evenly over the first few prompts of one tier, then what they leave over the next.
    fn share_out(&mut self, mut budget: u32, at_a_time: usize) {
        self.chosen = 0;
        let mut rest = &mut self.prompts[..];
        while budget > 0
            && let Some(&Prompt { tier, .. }) = rest.first()
        {
            let of_tier = rest.iter().take(at_a_time).take_while(|other| other.tier == tier).count();
            let (group, others) = rest.split_at_mut(of_tier);
            rest = others;
            for (prompt, sharing) in group.iter_mut().zip((1..=of_tier as u32).rev()) {
                prompt.taken = prompt.left.min(budget.div_ceil(sharing));
                budget -= prompt.taken;
                self.chosen += usize::from(prompt.taken > 0);
            }
        }
    }

    /// Takes whole prompts, at least one, up to a number of tokens.
    fn take_whole(&mut self, tokens: u32) {
        self.chosen = 0;
        let mut left = tokens;
        for prompt in &mut self.prompts {
            if prompt.left > left && self.chosen > 0 {
                break;
            }
            left = left.saturating_sub(prompt.left);
            prompt.taken = prompt.left;
            self.chosen += 1;
        }
    }

    /// Lets those that are due at this step grow or finish.
    fn end_decodes(&mut self, runs: &mut [Run], reports: &mut Vec<Report>) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.take(self.step, &mut due);
        for &request in &due {
            let run = &mut runs[request as usize];
            run.generated += self.step - run.decode_from;
            run.decode_from = self.step;
            if run.generated >= run.output {
                self.decoding -= 1;
                self.decode_context -= u64::from(run.tokens_needed() - 1);
                run.phase = Phase::Away;
                self.to_come = 0;
                reports.push(Report::Finished { request });
            } else {
                self.await_next(run, request, reports);
            }
        }
        due.clear();
        self.due = due;
    }

    /// Grows a decoding request if its next token needs a block, and notes when it is next due.
    #[inline]
    fn await_next(&mut self, run: &mut Run, request: u32, reports: &mut Vec<Report>) {
        let needed = run.tokens_needed().div_ceil(BLOCK_TOKENS);
        if needed > run.units {
            run.units = needed;
            reports.push(Report::Grew { request, generated: run.generated, units: needed });
        }
        let until_growth = run.units * BLOCK_TOKENS - run.tokens_needed() + 1;
        let until_end = run.output - run.generated;
        run.due_step = self.step + until_growth.min(until_end).min(MAX_AHEAD);
        self.wheel.insert(run.due_step, request);
    }

    /// Ends the parts of prompts in an iteration that is the first of some prompt, or the last of the stretch.
    fn end_prefills(&mut self, now: u64, runs: &mut [Run], reports: &mut Vec<Report>) {
        let is_last = self.to_come == 0;
        let ended = self.ended;
        let mut done = false;
        let mut prompts = std::mem::take(&mut self.prompts);
        for prompt in &mut prompts[..self.chosen] {
            if prompt.taken == 0 {
                continue; // admitted meanwhile, before others
            }
            let request = prompt.request;
            if std::mem::take(&mut prompt.fresh) {
                reports.push(Report::Started { request });
            }
            if is_last {
                prompt.settle(ended);
                if prompt.left == 0 {
                    done = true;
                    self.end_prompt(now, &mut runs[request as usize], request, reports);
                }
            }
        }
        self.prompts = prompts;
        self.begins = false;
        if is_last {
            (self.chosen, self.ended) = (0, 0);
        }
        if done {
            self.prompts.retain(|prompt| prompt.left > 0);
        }
    }

    /// Takes out those that were asked to stop in this iteration.
    fn end_stopping(&mut self, runs: &mut [Run], reports: &mut Vec<Report>) {
        while let Some((request, stop)) = self.stopping.pop() {
            // One that finished in this very iteration has said so already.
            if runs[request as usize].phase != Phase::Away {
                reports.push(self.remove(runs, request, stop));
            }
        }
    }

    /// Breaks the stretch between two iterations.
    fn break_stretch(&mut self) {
        for prompt in &mut self.prompts[..self.chosen] {
            prompt.settle(self.ended);
        }
        (self.chosen, self.ended, self.to_come) = (0, 0, 0);
    }

    /// A prompt is computed, which has generated a token.
    fn end_prompt(&mut self, now: u64, run: &mut Run, request: u32, reports: &mut Vec<Report>) {
        run.generated += 1;
        if run.first_token_at == NEVER {
            run.first_token_at = now;
        }
        if run.generated >= run.output {
            run.phase = Phase::Away;
            reports.push(Report::Finished { request });
            return;
        }
        run.phase = Phase::Decoding;
        run.decode_from = self.step;
        self.decoding += 1;
        self.decode_context += u64::from(run.tokens_needed() - 1);
        self.await_next(run, request, reports);
    }

    /// Takes a request out between two iterations.
    fn remove(&mut self, runs: &mut [Run], request: u32, stop: Stop) -> Report {
        self.break_stretch();
        let run = &mut runs[request as usize];
        run.lost = match run.phase {
            Phase::Decoding => {
                run.generated += self.step - run.decode_from;
                let computed = run.tokens_needed() - 1;
                self.decoding -= 1;
                self.decode_context -= u64::from(computed);
                self.wheel.remove(run.due_step, request);
                computed
            }
            Phase::Prefilling => {
                let place = self.prompts.iter().position(|prompt| prompt.request == request);
                self.prompts.remove(place.expect("a request that is prefilling has a prompt here")).computed
            }
            Phase::Away | Phase::Working => unreachable!("only a request that is here is asked to stop"),
        };
        run.phase = Phase::Away;
        let tokens_kept = if stop == Stop::Checkpoint { run.lost } else { 0 };
        Report::Stopped { request, stop, tokens_kept }
    }

    /// Tokens of a request's prompt in the KV cache, while it is computed.
    #[cfg(test)]
    pub(super) fn computed(&self, request: u32) -> Option<u32> {
        let prompt = self.prompts.iter().find(|prompt| prompt.request == request);
        prompt.map(|prompt| prompt.computed + prompt.taken * self.ended)
    }
}

impl Engine for BatchingEngine {
    fn admit(&mut self, _now: u64, runs: &mut [Run], request: u32, tokens_kept: u32) -> u32 {
        let run = &mut runs[request as usize];
        let needed = run.tokens_needed();
        let computed = tokens_kept.min(needed - 1);
        let recomputed = run.lost.saturating_sub(computed);
        run.lost = 0;
        run.phase = Phase::Prefilling;
        // Out when it stopped and in again now; charged together, to the worker that resumes it.
        self.swap_ns += 2 * self.model.swap_ns(u64::from(computed));
        if self.ends_at == NEVER {
            self.break_stretch();
        }
        self.to_come = 0;
        let (tier, left) = (run.tier, needed - computed);
        let place = self.prompts.partition_point(|other| other.tier <= tier);
        self.prompts.insert(place, Prompt { request, computed, left, taken: 0, tier, fresh: true });
        self.chosen += usize::from(place < self.chosen);
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

    #[inline]
    fn advance(&mut self, now: u64, runs: &mut [Run], reports: &mut Vec<Report>) {
        self.ends_at = NEVER;
        if self.decodes {
            self.step += 1;
            self.decode_context += u64::from(self.decoding);
            if self.wheel.has(self.step) {
                self.end_decodes(runs, reports);
            }
        }
        if self.chosen > 0 {
            self.ended += 1;
            if self.begins || self.to_come == 0 {
                self.end_prefills(now, runs, reports);
            }
        }
        if !self.stopping.is_empty() {
            self.end_stopping(runs, reports);
        }
    }

    #[inline]
    fn resume(&mut self, now: u64, runs: &mut [Run]) -> u64 {
        if self.ends_at != NEVER {
            return self.ends_at;
        }
        if self.to_come == 0 {
            return self.begin_stretch(now, runs);
        }
        self.to_come -= 1;
        self.pace.go_on();
        self.ends_at = now + self.iteration_ns();
        self.ends_at
    }
}
