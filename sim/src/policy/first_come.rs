//! First come, first served; with a limit, so many requests of a client per minute.

use std::collections::VecDeque;

use super::{Job, Policy, of_client};

/// The minute of "requests per minute".
const MINUTE_NS: u64 = 60_000_000_000;

/// By arrival, however much a client asks for; with a limit, each client's requests beyond so many in any minute are
/// refused on arrival.
#[derive(Debug, Default)]
pub struct FirstCome {
    per_minute: Option<usize>,
    waiting: VecDeque<usize>,
    /// When requests of each client were accepted, not longer ago than a minute.
    accepted: Vec<VecDeque<u64>>,
}

impl FirstCome {
    /// Accepts so many requests of each client in any 60 s, both ends included.
    #[must_use]
    pub fn per_minute(requests: usize) -> Self {
        Self { per_minute: Some(requests), ..Self::default() }
    }
}

impl Policy for FirstCome {
    fn arrives(&mut self, _now_ns: u64, index: usize, job: &Job) -> bool {
        if let Some(limit) = self.per_minute {
            let accepted = of_client(&mut self.accepted, job.client);
            while accepted.front().is_some_and(|&at| job.arrival_ns - at > MINUTE_NS) {
                accepted.pop_front();
            }
            if accepted.len() >= limit {
                return false;
            }
            accepted.push_back(job.arrival_ns);
        }
        self.waiting.push_back(index);
        true
    }

    fn next(&mut self, _now_ns: u64) -> Option<usize> {
        self.waiting.front().copied()
    }

    fn admitted(&mut self, _now_ns: u64, _index: usize, _job: &Job) {
        self.waiting.pop_front();
    }
}
