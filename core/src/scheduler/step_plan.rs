//! `step_plan`: how a worker's next step should be split among the requests on it. Changes nothing.

use alloc::vec::Vec;

use super::Scheduler;
use crate::error::WorkerError;
use crate::id::{RequestId, WorkerId};
use crate::request::RequestState;
use crate::step_plan::{Prompt, TierPart, split};

/// Tokens of a request's prompt: those left to compute, or those to compute in the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptLeft {
    /// A request on the worker.
    pub request: RequestId,
    /// Tokens.
    pub tokens: u64,
}

impl Scheduler {
    /// How an engine that computes at most `tokens` tokens a step should split its next one: tokens of each of
    /// `prompts`, which names the requests on the worker whose prompts are not computed yet. Every other request
    /// that runs there takes one token, first. Whoever generates but may be left out of a step can be named too, with
    /// one token left. O(n log n) for n prompts, and O(requests on the worker).
    ///
    /// # Errors
    /// [`WorkerError::UnknownWorker`]; [`WorkerError::Step`] for a prompt of a request that has ended or was never
    /// there, and [`WorkerError::NotHere`] for one that is not on the worker.
    pub fn step_plan(
        &self,
        worker: WorkerId,
        tokens: u64,
        prompts: &[PromptLeft],
    ) -> Result<Vec<PromptLeft>, WorkerError> {
        self.status(worker)?;
        let mut waiting = Vec::with_capacity(prompts.len());
        let mut named = Vec::with_capacity(prompts.len());
        for &PromptLeft { request, tokens: left } in prompts {
            let slot = self.resolve(request)?;
            let (record, run) = (&self.requests[slot], self.requests.run(slot));
            if record.is_waiting() || run.worker != worker {
                return Err(WorkerError::NotHere { request, worker });
            }
            named.push(slot);
            waiting.push(Prompt {
                tier: record.tier(),
                started_at: run.started_at,
                sequence: record.sequence,
                left,
                context: self.context(slot).saturating_sub(left),
            });
        }
        named.sort_unstable();
        let pool = self.pool(self.worker(worker).spec.pool);
        let mut tiers: Vec<TierPart> = (self.config.tiers.iter().zip(&pool.queues))
            .map(|(config, queue)| TierPart {
                waits: !queue.is_idle(),
                share: config.prefill_share,
                decodes: 0,
                context: 0,
                objective_ns: config.token_objective_ns,
            })
            .collect();
        for &slot in &self.worker(worker).running {
            let record = &self.requests[slot];
            if record.state == RequestState::Running && named.binary_search(&slot).is_err() {
                let part = &mut tiers[record.tier().index()];
                part.decodes += 1;
                part.context = part.context.saturating_add(self.context(slot));
            }
        }
        let plan = split(tokens, &tiers, self.config.step_time, &waiting);
        let planned = prompts.iter().zip(plan);
        Ok(planned.map(|(prompt, tokens)| PromptLeft { request: prompt.request, tokens }).collect())
    }

    /// Tokens of a request's prompt, and of what it has generated.
    fn context(&self, slot: u32) -> u64 {
        self.requests[slot].spec.prompt_tokens.saturating_add(self.output_tokens(slot))
    }
}
