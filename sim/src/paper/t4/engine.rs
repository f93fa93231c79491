//! Workers that fill each step with a token of every request that decodes and parts of the prompts of others, first come
//! first served, and keep the blocks of prompts as long as there is room.
//!
//! It decides when requests are admitted, and whether there is room; who is tried on which worker is a [`Policy`]'s. A
//! request whose prompt is found in part in the cache computes the rest.

use super::cache::{BLOCK_TOKENS, Cache};
use crate::model::{Load, ServiceModel};
use crate::trace::BlockedRequest;

/// The service-time model of this engine.
pub const MODEL: &str = "llama3-8b";
/// Blocks of a worker's cache, unless told otherwise: 410,000 tokens, what an 80 GB GPU has left beside the weights.
pub const CACHE_BLOCKS: usize = 800;
/// Tokens of one step.
pub(super) const STEP_TOKENS: u64 = 2_048;
/// Requests that run at once.
pub const MOST_RUNNING: usize = 64;

/// A request, and whose it is.
#[derive(Clone, Debug)]
pub struct Job {
    /// The client, counted from 0.
    pub client: usize,
    /// What the trace says of it.
    pub request: BlockedRequest,
}

impl Job {
    /// Blocks for its output, which nobody shares.
    #[must_use]
    pub fn private(&self) -> usize {
        u64::from(self.request.output).div_ceil(BLOCK_TOKENS) as usize
    }

    /// Tokens of its prompt that so many cached blocks spare; the last token is always computed.
    #[must_use]
    pub fn spared(&self, blocks: usize) -> u64 {
        (blocks as u64 * BLOCK_TOKENS).min(u64::from(self.request.prompt) - 1)
    }

    /// Tokens of its prompt that a worker has.
    #[must_use]
    pub fn cached_on(&self, cache: &Cache) -> u64 {
        self.spared(cache.cached(&self.request.blocks))
    }
}

/// A request in an engine.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// Its place among the jobs.
    pub index: usize,
    /// Prompt tokens in the cache by now, and those still to be computed.
    context: u64,
    left: u64,
    /// Tokens that it has generated.
    pub generated: u32,
}

/// Who is tried where.
pub trait Policy {
    /// A request arrives, where the workers' caches have this.
    fn arrives(&mut self, now_ns: u64, index: usize, job: &Job, caches: &[Cache]);

    /// The request to try next on a worker, which stays the next until it is admitted.
    fn next(&mut self, now_ns: u64, worker: usize, jobs: &[Job], caches: &[Cache]) -> Option<usize>;

    /// It is on the worker, which found so many tokens of its prompt in its cache and threw these blocks out for it.
    fn admitted(&mut self, now_ns: u64, worker: usize, index: usize, job: &Job, cached: u64, gone: &[u64]);

    /// One that runs on a worker generated a token.
    fn generated(&mut self, _now_ns: u64, _worker: usize, _index: usize, _job: &Job) {}

    /// One has left a worker.
    fn done(&mut self, _now_ns: u64, _worker: usize, _index: usize, _job: &Job) {}

    /// So many blocks of a worker are held by those that run there.
    fn holds(&mut self, _now_ns: u64, _worker: usize, _blocks: usize) {}
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer {
    /// When it was admitted, its first and its last token came.
    pub admitted_ns: u64,
    /// See above.
    pub first_ns: u64,
    /// See above.
    pub last_ns: u64,
    /// Blocks of its prompt that its worker had.
    pub cached_blocks: usize,
    /// Tokens of its prompt that it had to compute.
    pub computed: u64,
}

#[derive(Debug)]
struct Worker {
    running: Vec<Running>,
    /// When its step ends, if it does one.
    busy_until: Option<u64>,
    /// Prompt tokens of the step, by place in `running`.
    step: Vec<u64>,
    /// One was refused room, and nobody left since.
    is_full: bool,
}

/// Serves the jobs, sorted by arrival, on so many workers with caches of so many blocks until the last has its answer.
///
/// # Panics
/// If a policy holds back what waits although nothing runs.
pub fn serve(jobs: &[Job], workers: usize, blocks: usize, policy: &mut dyn Policy) -> Vec<Answer> {
    let model = ServiceModel::by_id(MODEL).expect("it is one of them");
    let worker = || Worker { running: Vec::new(), busy_until: None, step: Vec::new(), is_full: false };
    let caches = (0..workers).map(|_| Cache::new(blocks)).collect();
    let answers = vec![Answer::default(); jobs.len()];
    let workers = (0..workers).map(|_| worker()).collect();
    Cluster { jobs, model, policy, now: 0, arrived: 0, left: jobs.len(), workers, caches, answers }.run()
}

struct Cluster<'a> {
    jobs: &'a [Job],
    model: &'static ServiceModel,
    policy: &'a mut dyn Policy,
    now: u64,
    arrived: usize,
    left: usize,
    workers: Vec<Worker>,
    caches: Vec<Cache>,
    answers: Vec<Answer>,
}

impl Cluster<'_> {
    fn run(mut self) -> Vec<Answer> {
        while self.left > 0 {
            let step = self.workers.iter().filter_map(|worker| worker.busy_until).min();
            let arrival = self.jobs.get(self.arrived).map(|job| job.request.arrival_ns);
            self.now = step.into_iter().chain(arrival).min().expect("what waits is tried on an idle worker");
            while let Some(job) = self.jobs.get(self.arrived)
                && job.request.arrival_ns <= self.now
            {
                self.policy.arrives(self.now, self.arrived, job, &self.caches);
                self.arrived += 1;
            }
            for worker in 0..self.workers.len() {
                if self.workers[worker].busy_until == Some(self.now) {
                    self.end_step(worker);
                }
            }
            // What one worker takes may bring another something.
            while (0..self.workers.len()).filter(|&worker| self.admit(worker)).count() > 0 {}
            (0..self.workers.len()).for_each(|worker| self.begin_step(worker));
        }
        self.answers
    }

    fn admit(&mut self, worker: usize) -> bool {
        let before = self.workers[worker].running.len();
        while self.workers[worker].busy_until.is_none()
            && !self.workers[worker].is_full
            && self.workers[worker].running.len() < MOST_RUNNING
            && let Some(index) = self.policy.next(self.now, worker, self.jobs, &self.caches)
        {
            let job = &self.jobs[index];
            let cached_blocks = self.caches[worker].cached(&job.request.blocks);
            let Some(gone) = self.caches[worker].hold(&job.request.blocks, job.private()) else {
                self.workers[worker].is_full = true;
                break;
            };
            let cached = job.spared(cached_blocks);
            let left = u64::from(job.request.prompt) - cached;
            self.workers[worker].running.push(Running { index, context: cached, left, generated: 0 });
            let answer = &mut self.answers[index];
            (answer.admitted_ns, answer.cached_blocks, answer.computed) = (self.now, cached_blocks, left);
            self.policy.admitted(self.now, worker, index, job, cached, &gone);
            self.policy.holds(self.now, worker, self.caches[worker].held());
        }
        self.workers[worker].running.len() > before
    }

    fn begin_step(&mut self, worker: usize) {
        let target = &mut self.workers[worker];
        if target.busy_until.is_some() || target.running.is_empty() {
            return;
        }
        let mut load = Load::default();
        for one in target.running.iter().filter(|one| one.left == 0) {
            load.decode_tokens += 1;
            load.decode_context += one.context + u64::from(one.generated);
        }
        let mut room = STEP_TOKENS.saturating_sub(load.decode_tokens);
        target.step.clear();
        for one in &target.running {
            let part = one.left.min(room);
            room -= part;
            target.step.push(part);
            if part > 0 {
                load.prefill_tokens += part;
                load.prefill_context += one.context;
                load.prefill_squares += part * part;
            }
        }
        target.busy_until = Some(self.now + self.model.iteration_ns(&load).max(1));
    }

    fn end_step(&mut self, worker: usize) {
        let Worker { running, step, busy_until, is_full } = &mut self.workers[worker];
        *busy_until = None;
        for (one, &part) in running.iter_mut().zip(&*step) {
            let job = &self.jobs[one.index];
            let decodes = one.left == 0;
            one.left -= part;
            one.context += part;
            if one.left > 0 {
                continue;
            }
            if !decodes {
                self.caches[worker].computed(&job.request.blocks);
                self.answers[one.index].first_ns = self.now;
            }
            one.generated += 1;
            self.policy.generated(self.now, worker, one.index, job);
            if one.generated == job.request.output {
                self.answers[one.index].last_ns = self.now;
                self.caches[worker].release(&job.request.blocks, job.private());
                self.policy.done(self.now, worker, one.index, job);
                self.policy.holds(self.now, worker, self.caches[worker].held());
                (*is_full, self.left) = (false, self.left - 1);
            }
        }
        let jobs = self.jobs;
        running.retain(|one| one.generated < jobs[one.index].request.output);
    }
}
