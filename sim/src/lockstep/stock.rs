//! A small model of vLLM's own scheduler (V1, 0.32 and 0.33), as far as the scenarios need it.
//!
//! In each step those that run come first, in the order in which they were admitted. One that needs a block
//! when there is none throws out the last admitted (`Fcfs`) or the least urgent and latest arrived (`Priority`),
//! perhaps itself. Unless somebody was thrown out in this step, waiting requests are admitted then, in order,
//! until one does not fit; the whole of it has to, though it takes only the blocks of its first part. Those
//! that cannot run for reasons of their own are taken from the queue one by one and put back.
//!
//! Left out: prefix caches, speculative tokens, steps in flight, KV connectors.

use std::collections::BTreeSet;

use super::Policy;
use super::engine::{Chunk, Engine};
use crate::model::BLOCK_TOKENS;

/// In which order waiting requests are admitted, and who is thrown out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockOrder {
    /// By arrival; who was thrown out waits before all others.
    Fcfs,
    /// By priority, then arrival.
    Priority,
}

/// The policy. See the module.
#[derive(Clone, Debug)]
pub struct Stock {
    order: StockOrder,
    /// Rank, then arrival.
    waiting: BTreeSet<(i64, usize)>,
    /// The rank of the next one that is thrown out under `Fcfs`.
    front: i64,
}

impl Stock {
    /// Nobody waits.
    #[must_use]
    pub fn new(order: StockOrder) -> Self {
        Self { order, waiting: BTreeSet::new(), front: 0 }
    }

    /// The parts of this step of those that run, and whether somebody had to go for them.
    fn run_on(&mut self, engine: &mut Engine, left: &mut u32) -> (Vec<Chunk>, bool) {
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut threw_out = false;
        while let Some(&run) = engine.running().get(chunks.len())
            && *left > 0
        {
            let tokens = engine.run(run).missing().min(*left);
            while !engine.grow(run, tokens) {
                let victim = self.victim(engine);
                threw_out = true;
                if let Some(place) = chunks.iter().position(|chunk| chunk.run == victim) {
                    *left += chunks.remove(place).tokens;
                }
                self.throw_out(engine, victim);
                if victim == run {
                    return (chunks, threw_out);
                }
            }
            chunks.push(Chunk { run, tokens });
            *left -= tokens;
        }
        (chunks, threw_out)
    }

    /// Who goes when there is no block: one that runs, for there is somebody who needs it.
    fn victim(&self, engine: &Engine) -> usize {
        let running = engine.running().iter().copied();
        let victim = match self.order {
            StockOrder::Fcfs => running.last(),
            StockOrder::Priority => running.max_by_key(|&run| (engine.run(run).job.tier, run)),
        };
        victim.expect("the one that needs the block runs")
    }

    fn throw_out(&mut self, engine: &mut Engine, victim: usize) {
        engine.evict(victim);
        let rank = match self.order {
            StockOrder::Fcfs => {
                self.front -= 1;
                self.front
            }
            StockOrder::Priority => engine.run(victim).job.tier.into(),
        };
        self.waiting.insert((rank, victim));
    }

    /// Admits those that wait while they fit.
    fn admit(&mut self, engine: &mut Engine, left: &mut u32, chunks: &mut Vec<Chunk>) {
        let mut skipped = Vec::new();
        while *left > 0
            && engine.has_slot()
            && let Some(first) = self.waiting.pop_first()
        {
            let (_, run) = first;
            if engine.run(run).job.blocked {
                skipped.push(first);
                continue;
            }
            let whole = engine.run(run).tokens();
            let tokens = whole.min(*left);
            if whole.div_ceil(BLOCK_TOKENS) > engine.free_blocks() || !engine.grow(run, tokens) {
                self.waiting.insert(first);
                break;
            }
            engine.admit(run);
            chunks.push(Chunk { run, tokens });
            *left -= tokens;
        }
        self.waiting.extend(skipped);
    }
}

impl Policy for Stock {
    fn arrive(&mut self, engine: &Engine, run: usize) {
        let rank = match self.order {
            StockOrder::Fcfs => 0,
            StockOrder::Priority => engine.run(run).job.tier.into(),
        };
        self.waiting.insert((rank, run));
    }

    fn plan(&mut self, engine: &mut Engine) -> Vec<Chunk> {
        let mut left = engine.size().tokens;
        let (mut chunks, threw_out) = self.run_on(engine, &mut left);
        if !threw_out {
            self.admit(engine, &mut left, &mut chunks);
        }
        chunks
    }

    fn hear(&mut self, _engine: &Engine, _chunks: &[Chunk], _done: &[usize]) {}
}
