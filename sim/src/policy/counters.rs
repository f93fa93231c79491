//! The client that was served least is next: least counter first, and the virtual token counters of VTC (OSDI 2024).

use std::collections::VecDeque;

use super::{Job, Policy, Running, of_client};

/// What an output token costs; one of a prompt costs 1.
const OUTPUT_COST: f64 = 2.0;
/// How much a newer output counts in a client's prediction: one part of so many.
const PREDICTION_OF: f64 = 5.0;

/// When outputs are charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Token by token, as they come.
    AsTheyCome,
    /// As many as the client's usually are, at admission; the difference when it shows.
    Predicted,
    /// All at admission: somebody knows how many there will be.
    Known,
}

/// The client that was served least is next: least counter first and, with lifts, the virtual token counters of VTC.
#[derive(Debug)]
pub struct Counters {
    charge: Charge,
    /// Whether who comes back from idleness is lifted to the least of those that wait.
    lifts: bool,
    clients: Vec<Client>,
    /// Tokens charged at admission, by request.
    charged: Vec<f64>,
}

#[derive(Debug, Default)]
struct Client {
    counter: f64,
    /// What its outputs usually are; 0 before the first.
    usual: f64,
    waiting: VecDeque<usize>,
}

impl Counters {
    /// Virtual token counters (VTC).
    #[must_use]
    pub fn virtual_tokens(charge: Charge) -> Self {
        Self { charge, lifts: true, clients: Vec::new(), charged: Vec::new() }
    }

    /// The same without lifts: who was idle catches up with those who were not.
    #[must_use]
    pub fn least_first() -> Self {
        Self { lifts: false, ..Self::virtual_tokens(Charge::AsTheyCome) }
    }

    /// The first of the clients that have least.
    fn least(&self) -> Option<&Client> {
        let waiting = self.clients.iter().filter(|client| !client.waiting.is_empty());
        waiting.min_by(|a, b| a.counter.total_cmp(&b.counter))
    }

    /// One token more of each, as far as it was not charged at admission.
    fn count(&mut self, running: &[Running<'_>]) {
        for one in running {
            let client = &mut self.clients[one.job.client];
            let is_due = match self.charge {
                Charge::AsTheyCome => true,
                Charge::Predicted => one.generated as f64 > self.charged[one.index],
                Charge::Known => false,
            };
            if is_due {
                client.counter += OUTPUT_COST;
            }
        }
    }
}

impl Policy for Counters {
    fn arrives(&mut self, _now_ns: u64, index: usize, job: &Job) -> bool {
        of_client(&mut self.clients, job.client);
        let lift = self.least().map_or(0.0, |least| least.counter);
        let client = &mut self.clients[job.client];
        if self.lifts && client.waiting.is_empty() {
            client.counter = client.counter.max(lift);
        }
        client.waiting.push_back(index);
        true
    }

    fn next(&mut self, _now_ns: u64) -> Option<usize> {
        self.least()?.waiting.front().copied()
    }

    fn admitted(&mut self, _now_ns: u64, index: usize, job: &Job) {
        let client = &mut self.clients[job.client];
        client.waiting.pop_front();
        let output = match self.charge {
            Charge::AsTheyCome => 0.0,
            Charge::Predicted => client.usual,
            Charge::Known => job.output as f64,
        };
        client.counter += job.prompt as f64 + OUTPUT_COST * output;
        if self.charged.len() <= index {
            self.charged.resize(index + 1, 0.0);
        }
        self.charged[index] = output;
    }

    fn steps(&mut self, running: &[Running<'_>]) {
        self.count(running);
    }

    fn stepped(&mut self, _now_ns: u64, running: &[Running<'_>]) {
        if !running.iter().any(Running::is_done) {
            return;
        }
        // The artifact counts once more whenever a request ends, for all that run.
        self.count(running);
        if self.charge != Charge::Predicted {
            return;
        }
        for one in running.iter().filter(|one| one.is_done()) {
            let client = &mut self.clients[one.job.client];
            let output = one.job.output as f64;
            client.counter -= OUTPUT_COST * (self.charged[one.index] - output).max(0.0);
            client.usual = if client.usual == 0.0 {
                output
            } else {
                client.usual + (output - client.usual) / PREDICTION_OF
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::t1::engine::serve;
    use crate::policy::FirstCome;

    fn job(client: usize, arrival_s: u64, prompt: u64, output: u64) -> Job {
        Job { client, tier: 0, arrival_ns: arrival_s * 1_000_000_000, prompt, output }
    }

    #[test]
    fn a_limit_per_minute_counts_both_ends() {
        let jobs = [0, 1, 60, 61, 62].map(|second| job(0, second, 10, 1));
        let served = serve(&jobs, &mut FirstCome::per_minute(2));
        // At 60 s those of 0 and 1 s count, at 61 that of 1 s does still: 62 is the first that is over.
        assert_eq!(served.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, true, true]);
    }

    #[test]
    fn a_client_that_comes_back_is_lifted_and_without_lifts_catches_up() {
        let (busy, other) = (job(0, 0, 100, 1), job(1, 0, 10, 1));
        let lifted = |mut counters: Counters| {
            counters.arrives(0, 0, &busy);
            counters.arrives(0, 1, &busy);
            counters.admitted(0, 0, &busy);
            counters.arrives(0, 2, &other);
            counters.clients[1].counter
        };
        assert!(lifted(Counters::virtual_tokens(Charge::AsTheyCome)) >= 100.0);
        assert!(lifted(Counters::least_first()) < 1.0);
    }

    #[test]
    fn what_was_predicted_is_settled_at_the_end() {
        let (long, short) = (job(0, 0, 10, 40), job(0, 100, 10, 4));
        let mut counters = Counters::virtual_tokens(Charge::Predicted);
        serve(&[long, short], &mut counters);
        // 10 + 2 · 40 and 10 + 2 · 4, and what the artifact counts once more where a request ends.
        let counter = counters.clients[0].counter;
        assert!((108.0..=112.0).contains(&counter), "{counter}");
        assert!((counters.clients[0].usual - (40.0 + (4.0 - 40.0) / 5.0)).abs() < 1e-9);
        let mut known = Counters::virtual_tokens(Charge::Known);
        serve(&[long, short], &mut known);
        assert!((known.clients[0].counter - 108.0).abs() < 1e-9);
    }
}
