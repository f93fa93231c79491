//! The engine of VTC's artifact: whole prompts alone, then steps that give a token to each request. It evicts nobody by itself,
//! as the artifact's does; a policy may, and who was evicted is computed again, prompt and output.
//!
//! It decides when requests are admitted, and whether there is room; in which order they are tried is a [`Policy`]'s.
//! It knows how long outputs will be, as the artifact's engine does, and admits only what fits until all have ended.

use std::cmp::Reverse;

use crate::model::{Load, ServiceModel};
pub use crate::policy::{Job, Policy, Running};

/// The service-time model of this engine.
pub const MODEL: &str = "a10g-llama7b";
/// Tokens of the KV cache.
pub const POOL_TOKENS: u64 = 10_000;
/// Tokens of it that each client with a request in it takes up.
const TOKENS_PER_CLIENT: u64 = 32;
/// Prompt tokens that are computed at once.
const PREFILL_TOKENS: u64 = 3_072;
/// Requests that run at once.
pub const MOST_RUNNING: usize = 1_000;
/// Steps between two admissions.
const STEPS_APART: u32 = 10;
/// How often an idle engine looks for work.
const LOOKS_EVERY_NS: u64 = 10_000_000;

/// Whether an empty engine can serve a request.
#[must_use]
pub fn fits(job: &Job) -> bool {
    job.prompt <= PREFILL_TOKENS && short_of([Running { index: 0, job, generated: 0 }].into_iter()) == 0
}

/// When the first and the last token of a request came, in nanoseconds; `None` if it was refused.
pub type Answer = Option<(u64, u64)>;

/// Serves the jobs, which are sorted by arrival and [fit](fits) each, until the last has its answer.
/// O(steps · requests in the engine).
///
/// # Panics
/// If a policy holds back what waits although nothing runs.
pub fn serve(jobs: &[Job], policy: &mut dyn Policy) -> Vec<Answer> {
    let model = ServiceModel::by_id(MODEL).expect("it is one of them");
    let (answers, kept) = (vec![None; jobs.len()], vec![0; jobs.len()]);
    Engine {
        jobs,
        model,
        policy,
        now: 0,
        arrived: 0,
        waiting: 0,
        running: Vec::new(),
        refused: None,
        kept,
        answers,
    }
    .run()
}

struct Engine<'a> {
    jobs: &'a [Job],
    model: &'static ServiceModel,
    policy: &'a mut dyn Policy,
    now: u64,
    arrived: usize,
    waiting: usize,
    running: Vec<Running<'a>>,
    /// Who was tried last, and how many tokens were short.
    refused: Option<(usize, u64)>,
    /// What those had generated that were evicted.
    kept: Vec<u64>,
    answers: Vec<Answer>,
}

impl<'a> Engine<'a> {
    fn run(mut self) -> Vec<Answer> {
        let mut steps = STEPS_APART;
        loop {
            self.hear_arrivals();
            if (steps >= STEPS_APART || self.running.is_empty()) && self.admit() {
                steps = 0;
            } else if !self.running.is_empty() {
                self.decode();
                steps += 1;
            } else if let Some(next) = self.jobs.get(self.arrived) {
                assert_eq!(self.waiting, 0, "each fits an empty engine");
                let looks = (next.arrival_ns - self.now).div_ceil(LOOKS_EVERY_NS);
                self.now += looks * LOOKS_EVERY_NS;
            } else {
                assert_eq!(self.waiting, 0, "each fits an empty engine");
                return self.answers;
            }
        }
    }

    fn hear_arrivals(&mut self) {
        while let Some(job) = self.jobs.get(self.arrived)
            && job.arrival_ns <= self.now
        {
            self.waiting += usize::from(self.policy.arrives(self.now, self.arrived, job));
            self.arrived += 1;
        }
    }

    /// Takes what there is room for, up to the first that finds none, and computes it: whether there was anything.
    fn admit(&mut self) -> bool {
        let mut before = self.running.len();
        let mut prefill = Load::default();
        while self.waiting > 0
            && let Some(index) = self.policy.next(self.now)
        {
            let job = &self.jobs[index];
            let candidate = Running { index, job, generated: self.kept[index] };
            let tokens = job.prompt + candidate.generated;
            let is_too_much = prefill.prefill_tokens > 0 && prefill.prefill_tokens + tokens > PREFILL_TOKENS;
            if is_too_much || self.running.len() == MOST_RUNNING {
                break;
            }
            if !self.has_room(candidate) {
                let evicted = self.evict_for(candidate, before);
                if evicted == 0 {
                    break;
                }
                before -= evicted;
                continue;
            }
            self.policy.admitted(self.now, index, job);
            self.waiting -= 1;
            prefill.prefill_tokens += tokens;
            prefill.prefill_squares += tokens * tokens;
            self.running.push(candidate);
        }
        if self.running.len() == before {
            return false;
        }
        self.now += self.model.iteration_ns(&prefill);
        self.generate(before);
        true
    }

    /// Lets the policy evict some of the first so many for one that found no room. Returns how many it did.
    fn evict_for(&mut self, candidate: Running<'a>, before: usize) -> usize {
        let running = &self.running;
        let is_room = |without: &[usize]| {
            let stay = running.iter().filter(|one| !without.contains(&one.index)).copied();
            short_of(stay.chain([candidate])) == 0
        };
        let evicted = self.policy.evicts(self.now, candidate.index, &running[..before], &is_room);
        for one in running.iter().filter(|one| evicted.contains(&one.index)) {
            self.kept[one.index] = one.generated;
        }
        self.running.retain(|one| !evicted.contains(&one.index));
        self.waiting += evicted.len();
        if !evicted.is_empty() {
            self.refused = None;
        }
        evicted.len()
    }

    /// What was short of so many tokens is so of one less after each step, at best, until a request ends.
    fn has_room(&mut self, candidate: Running<'a>) -> bool {
        match self.refused {
            Some((index, short)) if index == candidate.index && short > 0 => return false,
            _ => (),
        }
        let short = short_of(self.running.iter().copied().chain([candidate]));
        self.refused = Some((candidate.index, short));
        short == 0
    }

    fn decode(&mut self) {
        self.policy.steps(&self.running);
        let context = self.running.iter().map(|one| one.job.prompt + one.generated).sum();
        let load =
            Load { decode_tokens: self.running.len() as u64, decode_context: context, ..Load::default() };
        self.now += self.model.iteration_ns(&load);
        self.generate(0);
    }

    /// Those from there on get a token each, and those of them that are done leave.
    fn generate(&mut self, from: usize) {
        for one in &mut self.running[from..] {
            one.generated += 1;
        }
        self.policy.stepped(self.now, &self.running[from..]);
        for one in &self.running[from..] {
            let answer = &mut self.answers[one.index];
            if one.generated == 1 {
                *answer = Some((self.now, self.now));
            }
            if let Some((_, last)) = answer
                && one.is_done()
            {
                *last = self.now;
            }
        }
        // Whoever came is smaller by a token than it was tried as, and whoever goes leaves room.
        let is_as_before = !self.running[from..].iter().any(|one| one.generated == 1 || one.is_done());
        self.refused = self.refused.filter(|_| is_as_before);
        if let Some((_, short)) = &mut self.refused {
            *short = short.saturating_sub(1);
        }
        self.running.retain(|one| !one.is_done());
    }
}

/// How many tokens more the pool would need to have room for all of these until the last of them ends. O(n log n).
fn short_of<'a>(all: impl Iterator<Item = Running<'a>>) -> u64 {
    let mut clients = Vec::new();
    let mut sizes: Vec<_> = all
        .map(|one| {
            clients.push(one.job.client);
            (one.job.output - 1 - one.generated, one.job.prompt + one.generated.max(1))
        })
        .collect();
    clients.sort_unstable();
    clients.dedup();
    sizes.sort_unstable_by_key(|&(left, _)| Reverse(left));
    let mut held = 0;
    let peaks = sizes.iter().zip(1..).map(|(&(left, holds), count)| {
        held += holds;
        count * left + held
    });
    let room = POOL_TOKENS.saturating_sub(TOKENS_PER_CLIENT * clients.len() as u64);
    peaks.max().map_or(0, |peak| (peak + 1).saturating_sub(room))
}
