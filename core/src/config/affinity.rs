//! What [`PrefixAffinity`](super::Placement::PrefixAffinity) knows of caches, and what it makes of it.

use core::time::Duration;

use super::MAX_PREFIX_BLOCKS;
use crate::fault::Faults;
use crate::share::Ppm;
use crate::time::nanos;

/// How prompts find the workers that have them in their caches.
///
/// ```
/// # use tidegate::Affinity;
/// # use core::time::Duration;
/// Affinity::new(1 << 20).block_tokens(512).wait(Duration::from_millis(200));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Affinity {
    pub(crate) blocks: u32,
    pub(crate) block_tokens: u32,
    pub(crate) worker_blocks: Option<u32>,
    pub(crate) learns: bool,
    pub(crate) load_tokens: u32,
    /// 0: never.
    pub(crate) imbalance: Ppm,
    pub(crate) wait_ns: u64,
}

impl Default for Affinity {
    fn default() -> Self {
        Self::new(1 << 16)
    }
}

impl Affinity {
    /// Knows so many blocks, from 1 to [`MAX_PREFIX_BLOCKS`], for which memory is taken at once, at most 64 bytes for each:
    /// three quarters for what workers have, the rest for what waits.
    pub fn new(blocks: u32) -> Self {
        Self {
            blocks,
            block_tokens: 16,
            worker_blocks: None,
            learns: true,
            load_tokens: 4_096,
            imbalance: Ppm::new(1_500_000),
            wait_ns: 0,
        }
    }

    /// How many tokens a block has; at least 1. Default: 16, vLLM's.
    pub fn block_tokens(mut self, tokens: u32) -> Self {
        self.block_tokens = tokens;
        self
    }

    /// Believes that a worker has at most so many blocks, those that it used last; at least 1. Default: its even part of
    /// all that are known.
    pub fn worker_blocks(mut self, blocks: u32) -> Self {
        self.worker_blocks = Some(blocks);
        self
    }

    /// Believes that a worker has the prompts that were started on it. Default: yes; without it only `cache_stored` tells.
    pub fn learns(mut self, learns: bool) -> Self {
        self.learns = learns;
        self
    }

    /// How many prompt tokens computed anew are as bad as a worker that is full, and a part of it accordingly. Default:
    /// 4,096, half a second of prefill of an 8B model on an A100.
    pub fn load_tokens(mut self, tokens: u32) -> Self {
        self.load_tokens = tokens;
        self
    }

    /// Chooses the emptiest worker in place of a warm one that would be more than half full and fuller than that by this
    /// factor, in parts per million; 0 is never. Default: 1,500,000 (Preble's).
    pub fn imbalance_ppm(mut self, factor: u32) -> Self {
        self.imbalance = Ppm::new(factor);
        self
    }

    /// Lets a request wait so long, from when it was submitted, for a worker that has no room now and would spare it half
    /// of what it has to compute. Under [`Order::DeficitLongestPrefix`](crate::Order::DeficitLongestPrefix) a worker that lacks
    /// room for the request that finds the most there is kept for it too, until so long after the last start on it. Default: not.
    pub fn wait(mut self, span: Duration) -> Self {
        self.wait_ns = nanos(span);
        self
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        for (path, number, most) in [
            ("prefix_blocks", self.blocks, MAX_PREFIX_BLOCKS),
            ("prefix_block_tokens", self.block_tokens, u32::MAX),
            ("prefix_worker_blocks", self.worker_blocks.unwrap_or(1), u32::MAX),
        ] {
            if !(1..=most).contains(&number) {
                faults.add(path, alloc::format!("{number} is not from 1 to {most}"));
            }
        }
    }
}
