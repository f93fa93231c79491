//! The least that a batch of completions can cost: one tier, one tenant, one worker, and nobody waits. What a door adds to
//! each is told apart from it.

use tidegate::{
    Action, Completion, Config, Instant, RequestSpec, Scheduler, TenantId, Tier, TierConfig, WorkerSpec,
};

use crate::conditions::TURN_NS;
use crate::steady_state::USAGE;

/// A worker with as many slots as a batch has requests.
#[derive(Debug)]
pub struct OneBatch {
    scheduler: Scheduler,
    now: Instant,
    specs: Vec<RequestSpec>,
    completions: Vec<Completion>,
}

impl OneBatch {
    /// An idle machine for so many requests.
    ///
    /// # Panics
    /// Never: all of it is valid.
    #[must_use]
    pub fn new(items: usize) -> Self {
        let config = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only")).build();
        let mut scheduler = Scheduler::new(config.expect("a valid config"), Instant::ZERO);
        let worker = WorkerSpec::new([items as u64]);
        scheduler.worker_add(Instant::ZERO, worker).expect("a valid worker");
        scheduler.tenant_set(Instant::ZERO, "only").expect("a valid name");
        let spec = RequestSpec::new(TenantId::new(0), Tier::P0).demand([1]);
        Self { scheduler, now: Instant::ZERO, specs: vec![spec; items], completions: Vec::new() }
    }

    /// Submits them all, and has them started.
    ///
    /// # Panics
    /// If one is refused.
    pub fn start(&mut self) {
        self.now = self.now.plus_nanos(TURN_NS);
        let (mut submitted, mut actions) = (Vec::new(), Vec::new());
        self.scheduler.submit_many(self.now, &self.specs, &mut submitted);
        assert!(submitted.iter().all(Result::is_ok), "no limit is set");
        self.scheduler.poll_into(self.now, &mut actions);
        self.completions.clear();
        for action in actions {
            if let Action::Start { request, attempt, .. } = action {
                self.completions.push(Completion { request, attempt, usage: USAGE });
            }
        }
        assert_eq!(self.completions.len(), self.specs.len(), "there is room for all");
    }

    /// Completes them all, and nothing else.
    ///
    /// # Panics
    /// If one is refused.
    pub fn complete(&mut self) {
        let mut results = Vec::new();
        self.scheduler.complete_many(self.now, &self.completions, &mut results);
        assert!(results.iter().all(Result::is_ok), "they run");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_and_goes() {
        let mut machine = OneBatch::new(256);
        for _ in 0..3 {
            machine.start();
            machine.complete();
        }
        assert_eq!((machine.scheduler.stats().completed, machine.scheduler.stats().live), (768, 0));
    }
}
