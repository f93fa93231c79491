//! What is compared with tidegate: no batch work, first come, first served, and priority without and with preemption.
//!
//! Steps have a fixed number of tokens: all that can decode do, and the rest goes to prompts, in order of admission and,
//! under priority, online ones first. Who is admitted has room for its prompt; out of room, the newest stops, batch work
//! first. They know no outputs.

use std::collections::VecDeque;

use crate::paper::chunked::{Chunk, Engine, Policy, Run};

/// The tier of batch work; online requests have the most urgent.
pub const BATCH: u8 = 2;

/// Whom online requests may displace, and in which order requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// By arrival, whoever it is. Batch work keeps as many requests waiting or running as there are slots.
    FirstCome,
    /// Online requests first; nobody stops for them.
    Priority,
    /// Online requests first, and batch work that is in their way stops and is computed again later.
    Recompute,
    /// The same, with what is computed copied out and in again.
    Checkpoint,
}

/// How many requests run at a time, and tokens of a step.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests.
    pub slots: usize,
    /// Tokens, decodes included.
    pub step_tokens: u32,
    /// Tokens of the KV cache.
    pub kv_tokens: u64,
}

/// The policy. See the module.
#[derive(Debug)]
pub struct Shared {
    sharing: Sharing,
    limits: Limits,
    online: VecDeque<usize>,
    /// When each came to the queue, and which it is.
    batch: VecDeque<(u64, usize)>,
    /// Batch work that has not come to the queue yet.
    later: VecDeque<usize>,
    /// In order of admission.
    running: Vec<usize>,
    /// Tokens of all that run, with those of the next step.
    booked: u64,
}

impl Shared {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(sharing: Sharing, limits: Limits) -> Self {
        let (online, batch, later) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { sharing, limits, online, batch, later, running: Vec::new(), booked: 0 }
    }

    /// Whether the first online request is before the first of batch work.
    fn online_is_next(&self, engine: &Engine) -> bool {
        match (self.online.front(), self.batch.front()) {
            (Some(&index), Some(&(came_ns, _))) if self.sharing == Sharing::FirstCome => {
                engine.run(index).job.arrival_ns <= came_ns
            }
            (online, _) => online.is_some(),
        }
    }

    /// Stops the newest that runs, batch work first; or, with `only_batch`, nobody else. Whether somebody stopped.
    fn stop_newest(&mut self, engine: &mut Engine, only_batch: bool) -> bool {
        let is_batch = |&index: &usize| engine.run(index).job.tier == BATCH;
        let newest_batch = self.running.iter().rposition(is_batch);
        let newest = self.running.len().checked_sub(1).filter(|_| !only_batch);
        let Some(place) = newest_batch.or(newest) else { return false };
        let index = self.running.remove(place);
        self.booked -= booked(engine.run(index));
        match self.sharing {
            Sharing::Checkpoint => engine.copy_out(index),
            _ => engine.evict(index),
        };
        if newest_batch.is_some() {
            // It has waited longest.
            self.batch.push_front((0, index));
        } else {
            self.online.push_front(index);
        }
        true
    }

    fn has_room(&self, run: &Run) -> bool {
        self.running.len() < self.limits.slots && self.booked + booked(run) <= self.limits.kv_tokens
    }

    fn admit(&mut self, engine: &mut Engine) {
        loop {
            let is_online = self.online_is_next(engine);
            let next =
                if is_online { self.online.front() } else { self.batch.front().map(|(_, index)| index) };
            let Some(&index) = next else { return };
            let may_stop = is_online && matches!(self.sharing, Sharing::Recompute | Sharing::Checkpoint);
            while !self.has_room(engine.run(index)) {
                if !may_stop || !self.stop_newest(engine, true) {
                    return;
                }
            }
            if is_online {
                self.online.pop_front()
            } else {
                self.batch.pop_front().map(|(_, index)| index)
            };
            self.booked += booked(engine.run(index));
            self.running.push(index);
            if engine.run(index).copied > 0 {
                engine.copy_in(index);
            }
        }
    }

    /// As much batch work as there are slots is in the queue or runs.
    fn refill(&mut self, engine: &Engine) {
        let running = self.running.iter().filter(|&&index| engine.run(index).job.tier == BATCH).count();
        while self.batch.len() + running < self.limits.slots
            && let Some(index) = self.later.pop_front()
        {
            self.batch.push_back((engine.now_ns(), index));
        }
    }
}

/// Tokens that it holds when its next one is computed.
fn booked(run: &Run) -> u64 {
    u64::from(run.job.prompt + run.generated)
}

impl Policy for Shared {
    fn arrives(&mut self, engine: &Engine, index: usize) {
        match engine.run(index).job.tier {
            BATCH => self.later.push_back(index),
            _ => self.online.push_back(index),
        }
    }

    fn plan(&mut self, engine: &mut Engine, chunks: &mut Vec<Chunk>) {
        self.refill(engine);
        while self.booked > self.limits.kv_tokens {
            assert!(self.stop_newest(engine, false), "one request fits");
        }
        self.admit(engine);
        let decodes = self.running.iter().filter(|&&index| engine.run(index).decodes());
        chunks
            .extend(decodes.take(self.limits.step_tokens as usize).map(|&index| Chunk { index, tokens: 1 }));
        let mut left = self.limits.step_tokens - chunks.len() as u32;
        let mut prompts: Vec<usize> =
            self.running.iter().copied().filter(|&index| !engine.run(index).decodes()).collect();
        if self.sharing != Sharing::FirstCome {
            prompts.sort_by_key(|&index| engine.run(index).job.tier);
        }
        for index in prompts {
            let tokens = engine.run(index).missing().min(left);
            if tokens > 0 {
                left -= tokens;
                chunks.push(Chunk { index, tokens });
            }
        }
    }

    fn stepped(&mut self, engine: &Engine, chunks: &[Chunk], done: &[usize]) {
        for &Chunk { index, .. } in chunks {
            let run = engine.run(index);
            // Each token that it generated is one that it holds from the next step on.
            self.booked += u64::from(run.missing() == 1);
            if run.is_done() {
                self.booked -= booked(run);
            }
        }
        self.running.retain(|index| !done.contains(index));
    }
}
