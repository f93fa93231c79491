//! An engine that goes on step by step: slots, KV blocks, and a number of tokens that it computes in each step.
//!
//! It does what a policy says and keeps the books: which requests are in it, what each has computed, which
//! blocks it holds. A request generates one token in each step that ends with all its tokens computed. It
//! knows no order, no priority and no clock; a policy that takes what is not there is a bug, and panics.

use crate::model::BLOCK_TOKENS;

/// What an engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Requests at a time.
    pub slots: u32,
    /// KV blocks.
    pub blocks: u32,
    /// Tokens computed in a step.
    pub tokens: u32,
}

/// A request: how urgent (0 is most), how long. Its output length is what only the engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its tier, or priority.
    pub tier: u8,
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Tokens to generate.
    pub output: u32,
    /// It waits for something of its own, and cannot run.
    pub blocked: bool,
}

impl Job {
    /// A request that can run.
    #[must_use]
    pub fn new(tier: u8, prompt: u32, output: u32) -> Self {
        Self { tier, prompt, output, blocked: false }
    }
}

/// What the engine knows of one request.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The request.
    pub job: Job,
    /// Tokens generated.
    pub generated: u32,
    /// Tokens in the KV cache.
    pub computed: u32,
    /// Blocks it holds.
    pub blocks: u32,
    /// Tokens computed over its life.
    pub work: u64,
    /// Times it was thrown out.
    pub evictions: u32,
    /// The first step, counted from 1, in which tokens of it were computed.
    pub first_step: Option<u32>,
}

impl Run {
    /// Tokens that have to be computed before the next one is generated.
    #[must_use]
    pub fn missing(&self) -> u32 {
        self.tokens() - self.computed
    }

    /// Tokens of its prompt, and generated.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.job.prompt + self.generated
    }

    /// Whether it has generated all its tokens.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.generated >= self.job.output
    }
}

/// Tokens of one request to compute in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Index of the request.
    pub run: usize,
    /// Tokens.
    pub tokens: u32,
}

/// The engine. See the module.
#[derive(Clone, Debug)]
pub struct Engine {
    size: Size,
    free: u32,
    runs: Vec<Run>,
    /// Those in it, in the order in which they came.
    running: Vec<usize>,
    steps: u32,
}

impl Engine {
    /// An empty engine.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self { size, free: size.blocks, runs: Vec::new(), running: Vec::new(), steps: 0 }
    }

    /// Makes a request known. It waits elsewhere until it is admitted.
    pub fn announce(&mut self, job: Job) -> usize {
        let fresh =
            Run { job, generated: 0, computed: 0, blocks: 0, work: 0, evictions: 0, first_step: None };
        self.runs.push(fresh);
        self.runs.len() - 1
    }

    /// Takes a request in.
    pub fn admit(&mut self, run: usize) {
        assert!(self.has_slot(), "request {run} was admitted to a full engine");
        self.running.push(run);
    }

    /// Throws a request out: what it computed is lost.
    pub fn evict(&mut self, run: usize) {
        let place = self.running.iter().position(|&other| other == run);
        self.running.remove(place.expect("only a request that is in the engine is thrown out"));
        let run = &mut self.runs[run];
        self.free += run.blocks;
        (run.blocks, run.computed) = (0, 0);
        run.evictions += 1;
    }

    /// Gives a request the blocks that it needs to compute `tokens` more. Returns whether there were enough.
    pub fn grow(&mut self, run: usize, tokens: u32) -> bool {
        let run = &mut self.runs[run];
        let needed = (run.computed + tokens).div_ceil(BLOCK_TOKENS).saturating_sub(run.blocks);
        if needed > self.free {
            return false;
        }
        self.free -= needed;
        run.blocks += needed;
        true
    }

    /// Computes a step. Returns those that are done and gone.
    pub fn compute(&mut self, chunks: &[Chunk]) -> Vec<usize> {
        let tokens: u32 = chunks.iter().map(|chunk| chunk.tokens).sum();
        assert!(tokens <= self.size.tokens, "a step of {tokens} tokens");
        self.steps += 1;
        for chunk in chunks {
            let run = &mut self.runs[chunk.run];
            assert!(chunk.tokens <= run.missing(), "request {} has less left to compute", chunk.run);
            run.computed += chunk.tokens;
            assert!(run.computed <= run.blocks * BLOCK_TOKENS, "request {} has no room", chunk.run);
            run.work += u64::from(chunk.tokens);
            run.first_step.get_or_insert(self.steps);
            run.generated += u32::from(run.missing() == 0);
        }
        let done: Vec<_> = self.running.iter().copied().filter(|&run| self.runs[run].is_done()).collect();
        self.running.retain(|run| !done.contains(run));
        for &run in &done {
            self.free += std::mem::take(&mut self.runs[run].blocks);
        }
        done
    }

    /// Whether one more request may be in it.
    #[must_use]
    pub fn has_slot(&self) -> bool {
        self.running.len() < self.size.slots as usize
    }

    /// What it has.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// Blocks that nobody holds.
    #[must_use]
    pub fn free_blocks(&self) -> u32 {
        self.free
    }

    /// Those in it, in the order in which they came.
    #[must_use]
    pub fn running(&self) -> &[usize] {
        &self.running
    }

    /// What it knows of a request.
    #[must_use]
    pub fn run(&self, run: usize) -> &Run {
        &self.runs[run]
    }

    /// What it knows of all requests, in the order in which they were announced.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Steps done.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps
    }
}
