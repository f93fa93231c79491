//! An engine with chunked prefill, step by step, of which a policy decides every step.
//!
//! It decides how long a step takes, by a service-time model, and keeps the books: what of each request is computed, when its
//! tokens came, how many tokens of the KV cache are held. Which requests are in a step, and which give up what they hold,
//! is a [`Policy`]'s. It knows no tiers' objectives and no scheduler.
//! Invariants, asserted in every run: each request generates exactly its output, every token that was computed is one of a
//! prompt, of an output, or computed again after a stop, and the cache never holds more than it has room for.

use crate::model::{Load, ServiceModel};

/// A request as it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Nanoseconds from the start.
    pub arrival_ns: u64,
    /// How urgent it is: 0 is most.
    pub tier: u8,
    /// Tokens, at least 1.
    pub prompt: u32,
    /// Tokens, at least 1.
    pub output: u32,
}

/// What the engine knows of a request.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What it is.
    pub job: Job,
    /// Tokens of it in the KV cache.
    pub computed: u32,
    /// Tokens that it has generated.
    pub generated: u32,
    /// When the first came.
    pub first_ns: Option<u64>,
    /// When the latest did.
    pub last_ns: u64,
    /// How often it had to give up its place.
    pub stops: u32,
    /// Tokens computed again after that.
    pub recomputed: u64,
    /// Tokens of it that were copied out, and are not back.
    pub copied: u32,
}

impl Run {
    fn new(job: Job) -> Self {
        Self {
            job,
            computed: 0,
            generated: 0,
            first_ns: None,
            last_ns: 0,
            stops: 0,
            recomputed: 0,
            copied: 0,
        }
    }

    /// Tokens to compute before it generates the next one.
    #[must_use]
    pub fn missing(&self) -> u32 {
        self.job.prompt + self.generated - self.computed
    }

    /// Whether its next step only generates: its prompt is computed, and what it generated but the last.
    #[must_use]
    pub fn decodes(&self) -> bool {
        self.generated > 0 && self.missing() == 1
    }

    /// Whether it has generated all.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.generated >= self.job.output
    }
}

/// A part of a step: so many tokens of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its place among the jobs.
    pub index: usize,
    /// At most what it [misses](Run::missing).
    pub tokens: u32,
}

/// Who decides what is in a step.
pub trait Policy {
    /// A request arrives.
    fn arrives(&mut self, engine: &Engine, index: usize);

    /// What the next step computes, into an empty list. Nothing: the engine idles until the next arrival, or
    /// until [`wakes_at`](Policy::wakes_at).
    fn plan(&mut self, engine: &mut Engine, chunks: &mut Vec<Chunk>);

    /// A step has ended; those that are done have left.
    fn stepped(&mut self, _engine: &Engine, _chunks: &[Chunk], _done: &[usize]) {}

    /// When an idle engine should ask again, in nanoseconds from the start.
    fn wakes_at(&self) -> Option<u64> {
        None
    }
}

/// How large an engine is, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How long steps take.
    pub model: &'static ServiceModel,
    /// Tokens of its KV cache; `None` for as many as are wanted.
    pub kv_tokens: Option<u64>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// By job.
    pub runs: Vec<Run>,
    /// Of the most urgent tier, in the order in which they came: whose token it was, and the nanoseconds since its last.
    pub gaps: Vec<(u32, u64)>,
    /// The most tokens of the KV cache that were held.
    pub peak_kv_tokens: u64,
    /// Nanoseconds in which a step was computed.
    pub busy_ns: u64,
    /// When the run ended, from the start.
    pub ended_ns: u64,
    /// Steps.
    pub steps: u64,
    /// Tokens computed, of prompts, of outputs and again.
    pub tokens: u64,
}

/// The engine. See the module.
#[derive(Debug)]
pub struct Engine {
    size: Size,
    now: u64,
    held: u64,
    /// Time that the next step takes besides: for copies.
    delay_ns: u64,
    served: Served,
}

/// Serves jobs that are sorted by arrival until all are done, or, with an end, until then: the step that runs ends after it.
/// O(steps · requests in a step).
///
/// # Panics
/// If the policy plans what is not there, or holds back what waits for ever.
pub fn serve(jobs: &[Job], size: Size, until_ns: Option<u64>, policy: &mut dyn Policy) -> Served {
    let runs = jobs.iter().copied().map(Run::new).collect();
    let served = Served { runs, ..Served::default() };
    let mut engine = Engine { size, now: 0, held: 0, delay_ns: 0, served };
    let (mut arrived, mut chunks) = (0, Vec::new());
    while until_ns.is_none_or(|until| engine.now < until) {
        while jobs.get(arrived).is_some_and(|job| job.arrival_ns <= engine.now) {
            policy.arrives(&engine, arrived);
            arrived += 1;
        }
        chunks.clear();
        policy.plan(&mut engine, &mut chunks);
        if !chunks.is_empty() {
            let done = engine.compute(&chunks);
            policy.stepped(&engine, &chunks, &done);
            continue;
        }
        let arrival = jobs.get(arrived).map(|job| job.arrival_ns);
        let wakes = arrival.into_iter().chain(policy.wakes_at()).min();
        match wakes.filter(|&at| until_ns.is_none_or(|until| at < until)) {
            Some(at) => {
                assert!(at > engine.now, "a policy that wants to be asked again has something to do then");
                engine.now = at;
            }
            None => break,
        }
    }
    if until_ns.is_none() {
        assert!(engine.served.runs.iter().all(Run::is_done), "somebody was never served");
    }
    engine.served.ended_ns = engine.now;
    engine.assert_conserved();
    engine.served
}

impl Engine {
    /// Nanoseconds from the start.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.now
    }

    /// What it knows of a request.
    #[must_use]
    pub fn run(&self, index: usize) -> &Run {
        &self.served.runs[index]
    }

    /// How long steps take here.
    #[must_use]
    pub fn model(&self) -> &'static ServiceModel {
        self.size.model
    }

    /// Tokens of the KV cache that nobody holds.
    #[must_use]
    pub fn free_tokens(&self) -> u64 {
        self.size.kv_tokens.map_or(u64::MAX, |all| all - self.held)
    }

    /// A request gives up what it holds, and computes it again when it is planned again. Returns what it keeps: nothing.
    pub fn evict(&mut self, index: usize) -> u32 {
        let run = &mut self.served.runs[index];
        self.held -= u64::from(run.computed);
        run.recomputed += u64::from(run.computed);
        run.computed = 0;
        run.stops += 1;
        0
    }

    /// A request's part of the KV cache is copied out; the next step waits for it. Returns the tokens that it keeps.
    pub fn copy_out(&mut self, index: usize) -> u32 {
        let run = &mut self.served.runs[index];
        assert_eq!(run.copied, 0, "it is out already");
        run.copied = std::mem::take(&mut run.computed);
        run.stops += 1;
        self.held -= u64::from(run.copied);
        self.delay_ns += self.size.model.swap_ns(run.copied.into());
        run.copied
    }

    /// What was copied out is copied in again; the next step waits for it.
    pub fn copy_in(&mut self, index: usize) {
        let run = &mut self.served.runs[index];
        assert_eq!(run.computed, 0, "it is in already");
        run.computed = std::mem::take(&mut run.copied);
        let tokens = u64::from(run.computed);
        self.hold(tokens);
        self.delay_ns += self.size.model.swap_ns(tokens);
    }

    fn hold(&mut self, tokens: u64) {
        assert!(tokens <= self.free_tokens(), "the KV cache has no room for {tokens} tokens");
        self.held += tokens;
        self.served.peak_kv_tokens = self.served.peak_kv_tokens.max(self.held);
    }

    fn compute(&mut self, chunks: &[Chunk]) -> Vec<usize> {
        let mut load = Load::default();
        for &Chunk { index, tokens } in chunks {
            self.hold(tokens.into());
            let run = &mut self.served.runs[index];
            let (context, new) = (u64::from(run.computed), u64::from(tokens));
            assert!((1..=run.missing()).contains(&tokens), "request {index} has less to compute");
            if run.decodes() {
                load.decode_tokens += 1;
                load.decode_context += context;
            } else {
                load.prefill_tokens += new;
                load.prefill_context += context;
                load.prefill_squares += new * new;
            }
            run.computed += tokens;
            self.served.tokens += new;
        }
        let takes_ns = self.size.model.iteration_ns(&load) + std::mem::take(&mut self.delay_ns);
        self.now += takes_ns;
        self.served.busy_ns += takes_ns;
        self.served.steps += 1;
        self.generate(chunks)
    }

    /// Those whose tokens are all computed get one more. Returns those that are done and gone.
    fn generate(&mut self, chunks: &[Chunk]) -> Vec<usize> {
        let mut done = Vec::new();
        for &Chunk { index, .. } in chunks {
            let run = &mut self.served.runs[index];
            if run.missing() > 0 {
                continue;
            }
            run.generated += 1;
            match run.first_ns {
                None => run.first_ns = Some(self.now),
                Some(_) if run.job.tier == 0 => self.served.gaps.push((index as u32, self.now - run.last_ns)),
                Some(_) => (),
            }
            run.last_ns = self.now;
            if run.is_done() {
                self.held -= u64::from(run.computed);
                done.push(index);
            }
        }
        done
    }

    /// See the module.
    fn assert_conserved(&self) {
        let live = |run: &&Run| !run.is_done();
        let held: u64 = self.served.runs.iter().filter(live).map(|run| u64::from(run.computed)).sum();
        assert_eq!(held, self.held, "tokens in the KV cache are those of requests in it");
        let computed = |run: &Run| u64::from(run.computed) + u64::from(run.copied) + run.recomputed;
        assert_eq!(self.served.runs.iter().map(computed).sum::<u64>(), self.served.tokens, "tokens computed");
        for run in &self.served.runs {
            assert!(run.generated <= run.job.output, "{run:?}");
            assert!(run.computed <= run.job.prompt + run.generated, "{run:?}");
            assert_eq!(run.generated > 0, run.first_ns.is_some(), "{run:?}");
        }
    }
}
