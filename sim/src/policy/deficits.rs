//! DLPM (deficit longest prefix match): who has the longest cached prefix is next, of those whose client has something left.

use super::{Job, Policy, Running};

/// How much a client may be served ahead of others before they are asked (DLPM's quantum): four prompts.
pub const QUANTUM: u64 = 50_000;
/// What an output token costs; one of a prompt that is computed costs 1.
pub const OUTPUT_COST: i64 = 2;
/// How many waiting requests are looked at for the longest prefix: what bounds the cost, as SGLang's 128 does.
const WINDOW: usize = 128;

/// Deficits by client, and requests that wait under them, in order of arrival. As a [`Policy`] it knows no caches.
#[derive(Debug, Default)]
pub struct Deficits {
    left: Vec<i64>,
    /// Requests and their clients.
    waiting: Vec<(usize, usize)>,
}

impl Deficits {
    /// A request of a client waits.
    pub fn wait(&mut self, index: usize, client: usize) {
        if self.left.len() <= client {
            self.left.resize(client + 1, 0);
        }
        self.waiting.push((index, client));
    }

    /// The next, with as many tokens of each cached as is said. All clients that wait get a quantum until one has some
    /// left.
    pub fn longest(&mut self, cached: impl Fn(usize) -> u64) -> Option<usize> {
        if self.waiting.is_empty() {
            return None;
        }
        while !self.waiting.iter().any(|&(_, client)| self.left[client] > 0) {
            for client in 0..self.left.len() {
                if self.waiting.iter().any(|&(_, other)| other == client) {
                    self.left[client] += QUANTUM as i64;
                }
            }
        }
        let able = self.waiting.iter().filter(|&&(_, client)| self.left[client] > 0).take(WINDOW);
        able.map(|&(index, _)| index).max_by_key(|&index| (cached(index), std::cmp::Reverse(index)))
    }

    /// One that waited starts, and computes so many tokens.
    pub fn start(&mut self, index: usize, client: usize, computed: u64) {
        self.waiting.retain(|&(other, _)| other != index);
        self.left[client] -= computed as i64;
    }

    /// A client was given so many output tokens.
    pub fn generated(&mut self, client: usize, tokens: i64) {
        self.left[client] -= OUTPUT_COST * tokens;
    }
}

impl Policy for Deficits {
    fn arrives(&mut self, _now_ns: u64, index: usize, job: &Job) -> bool {
        self.wait(index, job.client);
        true
    }

    /// Nothing is cached: of those that may, the one that came first.
    fn next(&mut self, _now_ns: u64) -> Option<usize> {
        let first = std::cell::Cell::new(u64::MAX);
        self.longest(|_| first.replace(first.get() - 1))
    }

    fn admitted(&mut self, _now_ns: u64, index: usize, job: &Job) {
        self.start(index, job.client, job.prompt);
    }

    fn steps(&mut self, running: &[Running<'_>]) {
        for one in running {
            self.generated(one.job.client, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(client: usize, prompt: u64) -> Job {
        Job { client, tier: 0, arrival_ns: 0, prompt, output: 1 }
    }

    #[test]
    fn who_has_used_up_its_quantum_waits_for_the_others() {
        let mut deficits = Deficits::default();
        let jobs: Vec<Job> = (0..6).map(|index| job(usize::from(index >= 4), 30_000)).collect();
        for (index, job) in jobs.iter().enumerate() {
            assert!(deficits.arrives(0, index, job));
        }
        let mut order = Vec::new();
        while let Some(index) = deficits.next(0) {
            deficits.admitted(0, index, &jobs[index]);
            order.push(index);
        }
        assert_eq!(order, [0, 1, 4, 5, 2, 3], "two prompts of 30,000 are more than a quantum");
    }

    #[test]
    fn of_those_that_may_the_longest_prefix_is_next() {
        let mut deficits = Deficits::default();
        (0..3).for_each(|index| deficits.wait(index, 0));
        assert_eq!(deficits.longest(|index| [5, 9, 9][index]), Some(1));
        deficits.start(1, 0, 10);
        assert_eq!(deficits.longest(|index| [5, 9, 9][index]), Some(2));
    }
}
