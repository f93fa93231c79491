//! Prompts in an order of their own: by arrival, deadline, length or tier, and Niyama's of two of them.

use std::collections::BTreeSet;

use super::{Job, Policy};

/// What each prompt token left adds to a deadline (Niyama's alpha).
const TOKEN_WEIGHT_NS: u64 = 8_000_000;

/// In which order prompts are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By arrival.
    FirstCome,
    /// By when the prompt should be computed.
    Deadline,
    /// By what is left of the prompt.
    ShortestFirst,
    /// By tier, then by arrival: vLLM's priority policy.
    Priority,
    /// Niyama: by deadline and what is left of the prompt, those that cannot make it any more behind all others.
    Hybrid,
}

impl Order {
    /// Who has less comes first: a request of this arrival, with so many tokens of its prompt left, and a deadline for it.
    #[must_use]
    pub fn key(self, tier: u8, arrival_ns: u64, missing: u64, deadline_ns: u64) -> u64 {
        match self {
            Self::FirstCome => arrival_ns,
            Self::Deadline => deadline_ns,
            Self::ShortestFirst => missing,
            // Tiers are farther apart than any two arrivals.
            Self::Priority => (u64::from(tier) << 60) + arrival_ns,
            Self::Hybrid => deadline_ns + TOKEN_WEIGHT_NS * missing,
        }
    }
}

/// Whether a prompt of which so much is missing cannot be computed in time any more, at so many tokens a second.
#[must_use]
pub fn is_too_late(now_ns: u64, missing: u64, tokens_per_s: f64, deadline_ns: u64) -> bool {
    now_ns as f64 + missing as f64 / tokens_per_s * 1e9 > deadline_ns as f64
}

/// Whole requests in an order. Who is relegated by Niyama's waits behind all others, in the same order.
#[derive(Debug)]
pub struct InOrder {
    order: Order,
    prompt_within_ns: Vec<u64>,
    prompt_tokens_per_s: f64,
    /// Whether it was relegated, its key, and which it is.
    waiting: BTreeSet<(bool, u64, usize)>,
    /// By index: its deadline and its prompt.
    due: Vec<(u64, u64)>,
}

impl InOrder {
    /// With the time that each tier leaves for a first token, and how fast prompts are computed.
    #[must_use]
    pub fn new(order: Order, prompt_within_ns: Vec<u64>, prompt_tokens_per_s: f64) -> Self {
        Self { order, prompt_within_ns, prompt_tokens_per_s, waiting: BTreeSet::new(), due: Vec::new() }
    }

    fn relegate(&mut self, now_ns: u64) {
        while let Some(&(false, key, index)) = self.waiting.first() {
            let (deadline, missing) = self.due[index];
            if !is_too_late(now_ns, missing, self.prompt_tokens_per_s, deadline) {
                return;
            }
            self.waiting.remove(&(false, key, index));
            self.waiting.insert((true, key, index));
        }
    }
}

impl Policy for InOrder {
    fn arrives(&mut self, _now_ns: u64, index: usize, job: &Job) -> bool {
        let within = self.prompt_within_ns.get(usize::from(job.tier)).or(self.prompt_within_ns.last());
        let deadline = job.arrival_ns.saturating_add(within.copied().unwrap_or(0));
        if self.due.len() <= index {
            self.due.resize(index + 1, (0, 0));
        }
        self.due[index] = (deadline, job.prompt);
        let key = self.order.key(job.tier, job.arrival_ns, job.prompt, deadline);
        self.waiting.insert((false, key, index))
    }

    fn next(&mut self, now_ns: u64) -> Option<usize> {
        if self.order == Order::Hybrid {
            self.relegate(now_ns);
        }
        self.waiting.first().map(|&(_, _, index)| index)
    }

    fn admitted(&mut self, _now_ns: u64, index: usize, _job: &Job) {
        let first = self.waiting.pop_first();
        debug_assert!(first.is_some_and(|(_, _, first)| first == index), "the first is admitted");
    }

    fn gives_way(&self, job: &Job) -> u64 {
        match self.order {
            Order::Priority => job.tier.into(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn job(tier: u8, arrival_s: u64, prompt: u64) -> Job {
        Job { client: 0, tier, arrival_ns: arrival_s * S, prompt, output: 10 }
    }

    fn order_of(order: Order, now_s: u64, jobs: &[Job]) -> Vec<usize> {
        let mut policy = InOrder::new(order, vec![S, 5 * S, 900 * S], 1_000.0);
        for (index, job) in jobs.iter().enumerate() {
            assert!(policy.arrives(job.arrival_ns, index, job));
        }
        let mut taken = Vec::new();
        while let Some(index) = policy.next(now_s * S) {
            policy.admitted(now_s * S, index, &jobs[index]);
            taken.push(index);
        }
        taken
    }

    #[test]
    fn each_order_has_its_first() {
        // The second prompt of tier 0 takes two seconds and has one.
        let jobs = [job(2, 0, 100), job(1, 0, 50), job(0, 1, 200), job(0, 1, 2_000)];
        assert_eq!(order_of(Order::FirstCome, 1, &jobs), [0, 1, 2, 3]);
        assert_eq!(order_of(Order::Deadline, 1, &jobs), [2, 3, 1, 0]);
        assert_eq!(order_of(Order::ShortestFirst, 1, &jobs), [1, 0, 2, 3]);
        assert_eq!(order_of(Order::Priority, 1, &jobs), [2, 3, 1, 0]);
        assert_eq!(order_of(Order::Hybrid, 1, &jobs), [2, 1, 0, 3], "who cannot make it comes last");
    }

    #[test]
    fn under_priority_the_least_urgent_gives_way() {
        let policy = InOrder::new(Order::Priority, vec![S], 1.0);
        assert!(policy.gives_way(&job(2, 0, 1)) > policy.gives_way(&job(0, 9, 1)));
        let policy = InOrder::new(Order::Deadline, vec![S], 1.0);
        assert_eq!(policy.gives_way(&job(2, 0, 1)), policy.gives_way(&job(0, 9, 1)));
    }
}
