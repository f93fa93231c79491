//! The policies of the papers: requests sent to a worker when they arrive, or taken by whichever worker has room.

use std::collections::VecDeque;

use super::cache::{BLOCK_TOKENS, Cache};
use super::engine::{Job, Policy};
pub use crate::policy::{Deficits, OUTPUT_COST, QUANTUM};

/// How far back Preble's load looks: its three minutes.
const LOAD_NS: u64 = 180_000_000_000;

/// Which worker a request is sent to when it arrives; each serves its own in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// One after the other.
    RoundRobin,
    /// The one with the fewest prompt tokens of requests that have not ended.
    LeastLoaded,
    /// The one that has most of the prompt behind the block that all prompts begin with; of equals the least loaded.
    LongestPrefix,
    /// Preble's E2: the same if more is cached than is not, else the one with the least work of late; and the one with
    /// the least if another has 1.5 times as much.
    E2,
}

/// Requests that are sent where a rule says.
#[derive(Debug)]
pub struct Routed {
    route: Route,
    sent: usize,
    queues: Vec<VecDeque<usize>>,
    /// Prompt tokens of requests that have not ended, by worker.
    open: Vec<u64>,
    /// What was sent to each of late, with the instants, and its sum.
    late: Vec<(VecDeque<(u64, u64)>, u64)>,
}

impl Routed {
    /// Over so many workers.
    #[must_use]
    pub fn new(route: Route, workers: usize) -> Self {
        let (queues, late) = (vec![VecDeque::new(); workers], vec![(VecDeque::new(), 0); workers]);
        Self { route, sent: 0, queues, open: vec![0; workers], late }
    }

    fn least(of: impl Iterator<Item = u64>) -> usize {
        of.enumerate().min_by_key(|&(worker, load)| (load, worker)).expect("there are workers").0
    }

    fn choose(&self, job: &Job, caches: &[Cache]) -> usize {
        let cached: Vec<u64> = caches.iter().map(|cache| job.cached_on(cache)).collect();
        let most = cached.iter().copied().max().unwrap_or(0);
        let late = |worker: usize| self.late[worker].1;
        let with_most = |load: &dyn Fn(usize) -> u64| {
            let of =
                (0..caches.len()).map(|worker| if cached[worker] == most { load(worker) } else { u64::MAX });
            Self::least(of)
        };
        match self.route {
            Route::RoundRobin => self.sent % caches.len(),
            Route::LeastLoaded => Self::least(self.open.iter().copied()),
            Route::LongestPrefix if most > BLOCK_TOKENS => with_most(&|worker| self.open[worker]),
            Route::LongestPrefix => Self::least(self.open.iter().copied()),
            Route::E2 => {
                let prompt = u64::from(job.request.prompt);
                let best = if most > prompt - most {
                    with_most(&late)
                } else {
                    Self::least((0..caches.len()).map(|worker| late(worker) + prompt - cached[worker]))
                };
                let least = Self::least((0..caches.len()).map(late));
                if late(best) > late(least) + late(least) / 2 { least } else { best }
            }
        }
    }
}

impl Policy for Routed {
    fn arrives(&mut self, now_ns: u64, index: usize, job: &Job, caches: &[Cache]) {
        for (of_late, sum) in &mut self.late {
            while let Some(&(at, work)) = of_late.front()
                && at + LOAD_NS < now_ns
            {
                of_late.pop_front();
                *sum -= work;
            }
        }
        let worker = self.choose(job, caches);
        let work = u64::from(job.request.prompt) - job.cached_on(&caches[worker]);
        self.late[worker].0.push_back((now_ns, work));
        self.late[worker].1 += work;
        self.open[worker] += u64::from(job.request.prompt);
        self.queues[worker].push_back(index);
        self.sent += 1;
    }

    fn next(&mut self, _now_ns: u64, worker: usize, _jobs: &[Job], _caches: &[Cache]) -> Option<usize> {
        self.queues[worker].front().copied()
    }

    fn admitted(&mut self, _: u64, worker: usize, _: usize, _: &Job, _: u64, _: &[u64]) {
        self.queues[worker].pop_front();
    }

    fn done(&mut self, _now_ns: u64, worker: usize, _index: usize, job: &Job) {
        self.open[worker] -= u64::from(job.request.prompt);
    }
}

/// Virtual token counters (VTC): whoever was served least is next, wherever there is room. It knows no caches and charges
/// whole prompts.
#[derive(Debug, Default)]
pub struct Vtc {
    clients: Vec<(i64, VecDeque<usize>)>,
}

impl Vtc {
    /// Over so many clients.
    #[must_use]
    pub fn new(clients: usize) -> Self {
        Self { clients: vec![(0, VecDeque::new()); clients] }
    }

    fn least(&self) -> Option<usize> {
        let waiting = (0..self.clients.len()).filter(|&client| !self.clients[client].1.is_empty());
        waiting.min_by_key(|&client| (self.clients[client].0, client))
    }
}

impl Policy for Vtc {
    fn arrives(&mut self, _now_ns: u64, index: usize, job: &Job, _caches: &[Cache]) {
        let lift = self.least().map(|least| self.clients[least].0);
        let (counter, waiting) = &mut self.clients[job.client];
        if waiting.is_empty() {
            *counter = (*counter).max(lift.unwrap_or(*counter));
        }
        waiting.push_back(index);
    }

    fn next(&mut self, _now_ns: u64, _worker: usize, _jobs: &[Job], _caches: &[Cache]) -> Option<usize> {
        self.clients[self.least()?].1.front().copied()
    }

    fn admitted(&mut self, _: u64, _: usize, _: usize, job: &Job, _: u64, _: &[u64]) {
        let (counter, waiting) = &mut self.clients[job.client];
        waiting.pop_front();
        *counter += i64::from(job.request.prompt);
    }

    fn generated(&mut self, _now_ns: u64, _worker: usize, _index: usize, job: &Job) {
        self.clients[job.client].0 += OUTPUT_COST;
    }
}

/// DLPM: all workers take from one queue.
#[derive(Debug, Default)]
pub struct Dlpm(Deficits);

impl Policy for Dlpm {
    fn arrives(&mut self, _now_ns: u64, index: usize, job: &Job, _caches: &[Cache]) {
        self.0.wait(index, job.client);
    }

    fn next(&mut self, _now_ns: u64, worker: usize, jobs: &[Job], caches: &[Cache]) -> Option<usize> {
        self.0.longest(|index| jobs[index].cached_on(&caches[worker]))
    }

    fn admitted(&mut self, _: u64, _: usize, index: usize, job: &Job, cached: u64, _: &[u64]) {
        self.0.start(index, job.client, u64::from(job.request.prompt) - cached);
    }

    fn generated(&mut self, _now_ns: u64, _worker: usize, _index: usize, job: &Job) {
        self.0.generated(job.client, 1);
    }
}

/// D2LPM: requests are sent to the worker that has most of the prompt, of those at which their client has something left;
/// each worker then goes by deficits of its own.
#[derive(Debug)]
pub struct D2lpm {
    workers: Vec<Deficits>,
    /// By client and worker.
    left: Vec<Vec<i64>>,
    open: Vec<u64>,
}

impl D2lpm {
    /// Over so many clients and workers.
    #[must_use]
    pub fn new(clients: usize, workers: usize) -> Self {
        let of_each = (0..workers).map(|_| Deficits::default()).collect();
        Self { workers: of_each, left: vec![vec![0; workers]; clients], open: vec![0; workers] }
    }
}

impl Policy for D2lpm {
    fn arrives(&mut self, _now_ns: u64, index: usize, job: &Job, caches: &[Cache]) {
        let left = &mut self.left[job.client];
        while left.iter().all(|&left| left <= 0) {
            left.iter_mut().for_each(|left| *left += QUANTUM as i64);
        }
        let able = (0..caches.len()).filter(|&worker| left[worker] > 0);
        let rank = |worker: &usize| (job.cached_on(&caches[*worker]), u64::MAX - self.open[*worker]);
        let worker = able.max_by_key(rank).expect("one has something left");
        left[worker] -= u64::from(job.request.prompt) as i64 - job.cached_on(&caches[worker]) as i64;
        self.open[worker] += u64::from(job.request.prompt);
        self.workers[worker].wait(index, job.client);
    }

    fn next(&mut self, _now_ns: u64, worker: usize, jobs: &[Job], caches: &[Cache]) -> Option<usize> {
        self.workers[worker].longest(|index| jobs[index].cached_on(&caches[worker]))
    }

    fn admitted(&mut self, _: u64, worker: usize, index: usize, job: &Job, cached: u64, _: &[u64]) {
        self.workers[worker].start(index, job.client, u64::from(job.request.prompt) - cached);
    }

    fn generated(&mut self, _now_ns: u64, worker: usize, _index: usize, job: &Job) {
        self.workers[worker].generated(job.client, 1);
        self.left[job.client][worker] -= OUTPUT_COST;
    }

    fn done(&mut self, _now_ns: u64, worker: usize, _index: usize, job: &Job) {
        self.open[worker] -= u64::from(job.request.prompt);
    }
}
