//! The KV cache of one worker: blocks that running requests hold, and blocks that nobody holds, the longest unused of
//! which go when room is needed.

use std::collections::{BTreeMap, HashMap};

/// Tokens of a block, Mooncake's.
pub const BLOCK_TOKENS: u64 = 512;

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    holders: u32,
    /// Whether its tokens were computed: before that nobody else finds it.
    is_computed: bool,
    /// When it was held last, if nobody holds it.
    since: u64,
}

/// The blocks of one worker.
#[derive(Debug)]
pub struct Cache {
    capacity: usize,
    blocks: HashMap<u64, Block>,
    /// Blocks that nobody holds, by when they were held last.
    idle: BTreeMap<u64, u64>,
    /// Blocks of outputs, which nobody shares.
    private: usize,
    clock: u64,
}

impl Cache {
    /// An empty one of so many blocks.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, blocks: HashMap::new(), idle: BTreeMap::new(), private: 0, clock: 0 }
    }

    /// How many of the first blocks of a prompt are there.
    #[must_use]
    pub fn cached(&self, prompt: &[u64]) -> usize {
        let has = |block: &&u64| self.blocks.get(block).is_some_and(|block| block.is_computed);
        prompt.iter().take_while(has).count()
    }

    /// Blocks that running requests hold.
    #[must_use]
    pub fn held(&self) -> usize {
        self.blocks.len() - self.idle.len() + self.private
    }

    /// Holds the blocks of a prompt and `private` ones, if there is room: tells which others went for them.
    pub fn hold(&mut self, prompt: &[u64], private: usize) -> Option<Vec<u64>> {
        let held = |block: &&u64| self.blocks.get(block).is_some_and(|block| block.holders > 0);
        let more = prompt.iter().filter(|block| !held(block)).count() + private;
        if self.held() + more > self.capacity {
            return None;
        }
        self.private += private;
        for &id in prompt {
            let block = self.blocks.entry(id).or_default();
            if block.holders == 0 {
                self.idle.remove(&block.since);
            }
            block.holders += 1;
        }
        let mut gone = Vec::new();
        while self.blocks.len() + self.private > self.capacity {
            let (_, id) = self.idle.pop_first().expect("who holds blocks has room for them");
            self.blocks.remove(&id);
            gone.push(id);
        }
        Some(gone)
    }

    /// The tokens of a prompt were computed.
    pub fn computed(&mut self, prompt: &[u64]) {
        for id in prompt {
            self.blocks.entry(*id).and_modify(|block| block.is_computed = true);
        }
    }

    /// A request that held these is done; the end of its prompt goes before the beginning.
    pub fn release(&mut self, prompt: &[u64], private: usize) {
        self.private -= private;
        for &id in prompt.iter().rev() {
            self.clock += 1;
            let block = self.blocks.get_mut(&id).expect("it was held");
            block.holders -= 1;
            if block.holders == 0 {
                block.since = self.clock;
                self.idle.insert(self.clock, id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_goes_the_ends_first() {
        let mut cache = Cache::new(4);
        assert_eq!(cache.hold(&[1, 2], 1), Some(vec![]));
        assert_eq!(cache.cached(&[1, 2]), 0, "not computed yet");
        cache.computed(&[1, 2]);
        assert_eq!(cache.hold(&[1, 2, 3], 1), None, "five are needed");
        cache.release(&[1, 2], 1);
        assert_eq!((cache.held(), cache.cached(&[1, 2, 3])), (0, 2));
        assert_eq!(cache.hold(&[7, 8], 1), Some(vec![2]));
        assert_eq!(cache.cached(&[1, 2]), 1);
    }
}
