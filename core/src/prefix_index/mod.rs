//! Which blocks of prompts which workers have in their caches: chains of block hashes, bounded in number.
//!
//! A *block* is a node of a tree under its hash, which covers all blocks before it (vLLM's are so); a *copy* says that a
//! worker has it. Who waits *pins* the last block of a prompt, so that what is learnt meanwhile is known of it. Knows
//! numbers of workers, not workers. Invariants: who has a block has those before it; a block is kept while it is pinned,
//! has copies, or others follow it; a worker's copies stand in the order of use, a block always before those that
//! follow it, so that the last may go first. All memory is taken at the beginning: 28 bytes for a block, 32 for a copy, and 6
//! in a table for each. Storing and pinning cost O(blocks), however many have them, a search O(blocks + copies of few).
//!
//! Who learns has no time to store: the chain is put by, and where another prompt that is pinned may part from it the worker is
//! *marked*, so that a search for any other pin finds what it would find had all of it been stored. Whatever else is told stores
//! it before.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use smallvec::SmallVec;

mod copies;
mod table;

use copies::{Copies, Listed, Used};
use table::Table;

/// Stands where there is none: no number of a block or a copy.
const NIL: u32 = u32::MAX;

/// The most blocks of one prompt that are looked at; a million tokens in blocks of 16. What is behind them has nobody.
pub(crate) const MAX_CHAIN: usize = 1 << 16;

/// How many of all blocks may have copies, in quarters: the rest is for those of requests that wait.
const COPIES_IN_QUARTERS: u32 = 3;

/// Of how many blocks workers may have one copy more than their shares until they are trimmed: one of so many.
const SPARE_PART: u32 = 64;

/// Workers, and how many of the blocks of a prompt they have.
pub(crate) type Warm = SmallVec<[(u32, u32); 32]>;

/// A block that is known. Packed, because what aligns the hash would be a seventh more.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(4))]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Block {
    hash: u64,
    /// The block before it; of one that is free the next that is.
    parent: u32,
    /// Which of its prompt it is, from 1.
    depth: u32,
    /// Blocks that follow it, pins, and copies.
    held_by: u32,
    /// The newest of its copies.
    copies: u32,
    /// How many there are, without marks; the highest bit says that there are marks.
    copy_count: u32,
}

impl Block {
    /// Whether more have it than the block behind it, which so many have: who has that has this.
    fn is_turn(&self, behind: u32) -> bool {
        self.copy_count != behind
    }

    fn copy_count(&self) -> u32 {
        self.copy_count & !MARKED
    }

    /// Whether prompts of which each is pinned part behind it.
    fn parts(&self) -> bool {
        self.held_by - self.copy_count() > 1
    }
}

/// Of how many copies, or marks, each is looked at: that is less than to look one of them up.
const FEW: u32 = 4;

/// See [`Block::copy_count`].
const MARKED: u32 = 1 << 31;

/// See [`Used::followers`].
const EVICTED: u32 = 1 << 31;

/// The copies of a worker, by use.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Cache {
    newest: u32,
    oldest: u32,
    count: u32,
    is_open: bool,
    /// Whether it is to be trimmed.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    is_over: bool,
}

impl Cache {
    const CLOSED: Self = Self { newest: NIL, oldest: NIL, count: 0, is_open: false, is_over: false };
}

/// What a block is found by. Hosts may count their blocks: the multiplication (Fibonacci hashing) spreads what is near.
fn block_key(hash: u64) -> u64 {
    hash.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// What a copy is found by: both numbers are counted, and have to be mixed (the multiplier of a generator of L'Ecuyer's
/// table).
fn copy_key(block: u32, worker: u32) -> u64 {
    let both = block_key(u64::from(block) << 32 | u64::from(worker));
    (both ^ both >> 32).wrapping_mul(0xD134_2543_DE82_EF95)
}

/// Blocks, their copies, and the caches that have them.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(Clone, serde::Serialize, serde::Deserialize))]
pub(crate) struct PrefixIndex {
    /// The most blocks, and the most that a worker may have if it is told its share; 0 blocks is no index.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    max_blocks: u32,
    #[cfg_attr(feature = "snapshot", serde(skip))]
    max_each: u32,
    blocks: Vec<Block>,
    free_block: u32,
    known: u32,
    copies: Copies,
    free_copy: u32,
    caches: Vec<Cache>,
    open: u32,
    /// How many copies there are, and the workers that may have more than their shares.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    taken: u32,
    #[cfg_attr(feature = "snapshot", serde(skip))]
    over: Vec<u32>,
    /// Workers and the last blocks that are to be stored there, the copies that mark them meanwhile, and how many copies will
    /// come of it.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    late: Vec<(u32, u32)>,
    #[cfg_attr(feature = "snapshot", serde(skip))]
    marks: Vec<u32>,
    #[cfg_attr(feature = "snapshot", serde(skip))]
    coming: u32,
    /// The blocks of one prompt, while it is stored.
    path: Vec<u32>,
    /// Blocks by their hashes, and copies by block and worker.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    table: Table,
    #[cfg_attr(feature = "snapshot", serde(skip))]
    copy_table: Table,
}

impl PrefixIndex {
    /// An index of so many blocks; each worker has at most `max_each` of them.
    pub(crate) fn new(max_blocks: u32, max_each: u32) -> Self {
        let mut index = Self {
            max_blocks,
            max_each,
            blocks: Vec::with_capacity(max_blocks as usize),
            free_block: NIL,
            known: 0,
            copies: Copies::default(),
            free_copy: NIL,
            caches: Vec::new(),
            open: 0,
            taken: 0,
            over: Vec::new(),
            late: Vec::new(),
            marks: Vec::new(),
            coming: 0,
            path: Vec::new(),
            table: Table::new(max_blocks),
            copy_table: Table::default(),
        };
        index.copy_table = Table::new(index.copy_places());
        index.copies.reserve(index.copy_places() as usize);
        index
    }

    fn max_copies(&self) -> u32 {
        (u64::from(self.max_blocks) * u64::from(COPIES_IN_QUARTERS) / 4) as u32
    }

    /// How many copies there can be, until workers are trimmed.
    fn copy_places(&self) -> u32 {
        self.max_copies() + self.max_blocks / SPARE_PART
    }

    /// How many copies one worker may have.
    fn share(&self) -> u32 {
        (self.max_copies() / self.open.max(1)).min(self.max_each)
    }

    /// The bytes that it takes, whatever it knows.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
            + self.copies.bytes()
            + self.table.bytes()
            + self.copy_table.bytes()
    }

    /// How many blocks are known.
    pub(crate) fn known(&self) -> u32 {
        self.known
    }

    /// What a snapshot leaves out is found again, and what the config says anyway is told. O(blocks + copies).
    #[cfg(feature = "snapshot")]
    pub(crate) fn rebuild(&mut self, max_blocks: u32, max_each: u32) {
        (self.max_blocks, self.max_each) = (max_blocks, max_each);
        self.blocks.reserve_exact((max_blocks as usize).saturating_sub(self.blocks.len()));
        self.copies.reserve(self.copy_places() as usize);
        // Bytes that nobody wrote may have more than that.
        self.table = Table::new(max_blocks.max(self.blocks.len() as u32));
        for number in (0..self.blocks.len() as u32).filter(|&number| self.blocks[number as usize].depth > 0) {
            self.table.insert(block_key(self.blocks[number as usize].hash), number);
        }
        self.copy_table = Table::new(self.copy_places().max(self.copies.len() as u32));
        let share = self.share();
        self.taken = self.caches.iter().fold(0, |sum: u32, cache| sum.saturating_add(cache.count));
        self.over = (0..self.caches.len() as u32)
            .filter(|&worker| self.caches[worker as usize].count > share)
            .collect();
        self.over.iter().for_each(|&worker| self.caches[worker as usize].is_over = true);
        for number in 0..self.copies.len() as u32 {
            let Listed { block, worker, next_of_block } = self.copies.listed[number as usize];
            if worker == NIL {
                continue;
            }
            self.copy_table.insert(copy_key(block, worker), number);
            if let Some(next) = self.copies.used.get_mut(next_of_block as usize) {
                next.previous_of_block = number;
            }
        }
    }

    /// There is a worker of this number: the others' shares shrink. O(workers + copies that go).
    pub(crate) fn open(&mut self, worker: u32) {
        self.trim();
        if self.caches.len() <= worker as usize {
            self.caches.resize(worker as usize + 1, Cache::CLOSED);
        }
        self.caches[worker as usize].is_open = true;
        self.open += 1;
        for other in 0..self.caches.len() as u32 {
            while self.caches[other as usize].count > self.share() {
                self.drop_oldest(other);
            }
        }
    }

    /// A worker is lost with its cache. O(its copies).
    pub(crate) fn close(&mut self, worker: u32) {
        self.catch_up();
        while self.caches[worker as usize].count > 0 {
            self.drop_oldest(worker);
        }
        self.caches[worker as usize].is_open = false;
        self.open -= 1;
    }

    /// Holds the last block of a prompt that is known or can be: gives its number, for [`unpin`](Self::unpin). A hash
    /// that stands elsewhere in another prompt ends it.
    pub(crate) fn pin(&mut self, hashes: &[u64]) -> Option<u32> {
        if self.max_blocks == 0 {
            return None;
        }
        self.catch_up();
        let mut last = NIL;
        for &hash in hashes.iter().take(MAX_CHAIN) {
            match self.block_of(hash) {
                Some(block) if self.blocks[block as usize].parent == last => last = block,
                Some(_) => break,
                None if self.known == self.max_blocks => break,
                None => last = self.add_block(hash, last),
            }
        }
        if last == NIL {
            return None;
        }
        self.blocks[last as usize].held_by += 1;
        Some(last)
    }

    /// A block that was pinned is so no more.
    pub(crate) fn unpin(&mut self, block: u32) {
        self.catch_up();
        self.release(block);
    }

    fn block_of(&self, hash: u64) -> Option<u32> {
        self.table.find(block_key(hash), |block| self.blocks[block as usize].hash == hash)
    }

    fn add_block(&mut self, hash: u64, parent: u32) -> u32 {
        let depth = if parent == NIL { 1 } else { self.blocks[parent as usize].depth + 1 };
        let block = Block { hash, parent, depth, held_by: 0, copies: NIL, copy_count: 0 };
        let number = if self.free_block == NIL {
            self.blocks.push(block);
            self.blocks.len() as u32 - 1
        } else {
            let number = self.free_block;
            self.free_block = self.blocks[number as usize].parent;
            self.blocks[number as usize] = block;
            number
        };
        self.known += 1;
        self.table.insert(block_key(hash), number);
        if parent != NIL {
            self.blocks[parent as usize].held_by += 1;
        }
        number
    }

    /// One thing less holds a block: what nothing holds is forgotten.
    fn release(&mut self, mut block: u32) {
        loop {
            let target = &mut self.blocks[block as usize];
            target.held_by -= 1;
            if target.held_by > 0 {
                return;
            }
            let parent = target.parent;
            let hash = target.hash;
            self.table.remove(block_key(hash), block, |other| block_key(self.blocks[other as usize].hash));
            let target = &mut self.blocks[block as usize];
            (target.parent, target.depth) = (self.free_block, 0);
            self.free_block = block;
            self.known -= 1;
            if parent == NIL {
                return;
            }
            block = parent;
        }
    }

    /// A worker has the blocks of a prompt, used just now: as many of the first ones as its share allows.
    pub(crate) fn store(&mut self, worker: u32, last: u32) {
        self.trim();
        self.put(worker, last, true);
    }

    /// The same for who has no time for it: it is done, and what goes for it, before anything else is told, or at the next
    /// [`trim`](Self::trim); until then the worker may have as many more than its share, while there is room for them.
    /// Searches for others that are pinned know it at once. Tells how many of them it has before. O(blocks that it has not).
    pub(crate) fn learn(&mut self, worker: u32, last: u32) -> u32 {
        let most = self.blocks[last as usize].depth.min(self.share());
        if self.taken + self.coming + most > self.copy_places() || !self.is_open(worker) {
            let held = self.depth_on(last, worker);
            self.store(worker, last);
            return held;
        }
        let held = self.mark(worker, last, most);
        self.coming += most.saturating_sub(held);
        self.late.push((worker, last));
        held
    }

    /// Marks the blocks that a worker is to have and has not, `most` of them at most, at which others find that. Tells how
    /// many it has.
    fn mark(&mut self, worker: u32, last: u32, most: u32) -> u32 {
        let (mut number, mut behind) = (last, 0);
        while number != NIL {
            let block = self.blocks[number as usize];
            if block.is_turn(behind) && self.has(number, block, worker) {
                return block.depth;
            }
            // What is behind the last of them is no more than that.
            let ends = block.depth == most && number != last;
            if block.depth <= most && (ends || block.parts()) {
                let copy = self.list_copy(number, worker, NIL);
                self.blocks[number as usize].copy_count |= MARKED;
                self.marks.push(copy);
            }
            (number, behind) = (block.parent, block.copy_count());
        }
        0
    }

    /// Whether chains are put by that are not stored.
    pub(crate) fn is_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Stores what was put by. Numbers are given as if it had been stored when it was learnt.
    #[inline]
    fn catch_up(&mut self) {
        if self.is_late() {
            self.store_late();
        }
    }

    #[inline(never)]
    fn store_late(&mut self) {
        while let Some(copy) = self.marks.pop() {
            let block = self.copies.listed[copy as usize].block;
            self.unlist_copy(copy);
            self.blocks[block as usize].copy_count &= !MARKED;
        }
        self.coming = 0;
        let mut late = core::mem::take(&mut self.late);
        late.drain(..).for_each(|(worker, last)| self.put(worker, last, false));
        self.late = late;
    }

    /// The workers that may have more than their shares, once what was put by is stored.
    pub(crate) fn over(&mut self) -> &[u32] {
        self.catch_up();
        &self.over
    }

    /// Whether workers may have more than their shares, or will.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_late() || !self.over.is_empty()
    }

    /// What was put by is stored, and workers that have more than their shares do no more: what they used longest ago goes.
    /// O(copies that come and go).
    pub(crate) fn trim(&mut self) {
        self.catch_up();
        // As a restored index would: so that what is free then is the same, and the next snapshot too.
        self.over.sort_unstable();
        while let Some(worker) = self.over.pop() {
            self.caches[worker as usize].is_over = false;
            while self.caches[worker as usize].count > self.share() {
                self.drop_oldest(worker);
            }
        }
    }

    fn put(&mut self, worker: u32, last: u32, trims: bool) {
        if !self.is_open(worker) {
            return;
        }
        let mut path = core::mem::take(&mut self.path);
        path.clear();
        path.extend(self.upwards(last));
        let mut end = NIL;
        let mut held = 0;
        // Those that it has already are used first, so that none of them goes for the others, which come right behind them.
        for &block in path.iter().rev() {
            let Some(copy) = self.copy_of(block, worker) else { break };
            self.copies.used[copy as usize].followers &= !EVICTED;
            (end, held) = (copy, held + 1);
        }
        self.use_from(end);
        let share = self.share();
        for &block in path.iter().rev().skip(held as usize) {
            if self.caches[worker as usize].count >= share {
                if held >= share {
                    break;
                }
                if trims {
                    self.drop_oldest(worker);
                } else if !core::mem::replace(&mut self.caches[worker as usize].is_over, true) {
                    self.over.push(worker);
                }
            }
            end = self.add_copy(block, worker, end);
            held += 1;
        }
        self.path = path;
    }

    /// A worker has a block of this hash no more; while it has others that follow it, it keeps it for them.
    pub(crate) fn evict(&mut self, worker: u32, hash: u64) {
        if self.max_blocks == 0 {
            return;
        }
        self.catch_up();
        let Some(block) = self.block_of(hash) else { return };
        let Some(copy) = self.copy_of(block, worker) else { return };
        self.copies.used[copy as usize].followers |= EVICTED;
        self.drop_evicted(copy);
    }

    /// Drops a copy that is evicted and that none follows, and those before it that only waited for that.
    fn drop_evicted(&mut self, mut copy: u32) {
        while copy != NIL && self.copies.used[copy as usize].followers == EVICTED {
            copy = self.drop_copy(copy);
        }
    }

    fn drop_oldest(&mut self, worker: u32) {
        let before = self.drop_copy(self.caches[worker as usize].oldest);
        self.drop_evicted(before);
    }

    /// A block and those before it, the last first.
    fn upwards(&self, last: u32) -> impl Iterator<Item = u32> + use<'_> {
        let known = |block: u32| Some(block).filter(|&block| block != NIL);
        core::iter::successors(known(last), move |&block| known(self.blocks[block as usize].parent))
    }

    fn is_open(&self, worker: u32) -> bool {
        self.caches.get(worker as usize).is_some_and(|cache| cache.is_open)
    }

    fn copies_of(&self, block: Block) -> impl Iterator<Item = u32> + use<'_> {
        let known = |copy: u32| Some(copy).filter(|&copy| copy != NIL);
        let first = known(block.copies);
        core::iter::successors(first, move |&copy| known(self.copies.listed[copy as usize].next_of_block))
    }

    fn copy_of(&self, block: u32, worker: u32) -> Option<u32> {
        if self.blocks[block as usize].copies == NIL {
            return None;
        }
        let is_meant = |copy: u32| {
            let copy = &self.copies.listed[copy as usize];
            copy.block == block && copy.worker == worker
        };
        self.copy_table.find(copy_key(block, worker), is_meant)
    }

    fn add_copy(&mut self, block: u32, worker: u32, parent: u32) -> u32 {
        let number = self.list_copy(block, worker, parent);
        let target = &mut self.blocks[block as usize];
        target.copy_count += 1;
        target.held_by += 1;
        if parent == NIL {
            self.link_newest(number);
        } else {
            self.copies.used[parent as usize].followers += 1;
            self.link_behind(number, parent);
        }
        self.caches[worker as usize].count += 1;
        self.taken += 1;
        number
    }

    /// A new copy, the newest of its block, that is found by what it is of; no order of use knows it yet.
    fn list_copy(&mut self, block: u32, worker: u32, parent: u32) -> u32 {
        let next_of_block = self.blocks[block as usize].copies;
        let listed = Listed { block, worker, next_of_block };
        let used = Used { parent, followers: 0, previous_of_block: NIL, newer: NIL, older: NIL };
        let number = if self.free_copy == NIL {
            self.copies.push(listed, used)
        } else {
            let number = self.free_copy;
            self.free_copy =
                core::mem::replace(&mut self.copies.listed[number as usize], listed).next_of_block;
            self.copies.used[number as usize] = used;
            number
        };
        self.blocks[block as usize].copies = number;
        if next_of_block != NIL {
            self.copies.used[next_of_block as usize].previous_of_block = number;
        }
        self.copy_table.insert(copy_key(block, worker), number);
        number
    }

    /// Tells the worker's copy of the block before it.
    fn drop_copy(&mut self, copy: u32) -> u32 {
        let Listed { block, worker, .. } = self.copies.listed[copy as usize];
        let parent = self.copies.used[copy as usize].parent;
        self.unlink(copy);
        self.caches[worker as usize].count -= 1;
        self.taken -= 1;
        self.unlist_copy(copy);
        self.blocks[block as usize].copy_count -= 1;
        if parent != NIL {
            self.copies.used[parent as usize].followers -= 1;
        }
        self.release(block);
        parent
    }

    /// A copy is found no more, and its number is free.
    fn unlist_copy(&mut self, copy: u32) {
        let Listed { block, worker, next_of_block } = self.copies.listed[copy as usize];
        let previous_of_block = self.copies.used[copy as usize].previous_of_block;
        self.copy_table.remove(copy_key(block, worker), copy, |other| {
            let Listed { block, worker, .. } = self.copies.listed[other as usize];
            copy_key(block, worker)
        });
        match previous_of_block {
            NIL => self.blocks[block as usize].copies = next_of_block,
            newer => self.copies.listed[newer as usize].next_of_block = next_of_block,
        }
        if next_of_block != NIL {
            self.copies.used[next_of_block as usize].previous_of_block = previous_of_block;
        }
        // The worker of one that is free is nobody's.
        let free = &mut self.copies.listed[copy as usize];
        (free.next_of_block, free.worker) = (self.free_copy, NIL);
        self.free_copy = copy;
    }

    /// A copy and those before it are used now, the first of the prompt last.
    fn use_from(&mut self, mut copy: u32) {
        while copy != NIL {
            self.unlink(copy);
            self.link_newest(copy);
            copy = self.copies.used[copy as usize].parent;
        }
    }

    fn link_newest(&mut self, copy: u32) {
        let cache = &mut self.caches[self.copies.listed[copy as usize].worker as usize];
        let older = core::mem::replace(&mut cache.newest, copy);
        if older == NIL {
            cache.oldest = copy;
        } else {
            self.copies.used[older as usize].newer = copy;
        }
        let target = &mut self.copies.used[copy as usize];
        (target.newer, target.older) = (NIL, older);
    }

    /// Used just before another copy of the worker.
    fn link_behind(&mut self, copy: u32, newer: u32) {
        let older = core::mem::replace(&mut self.copies.used[newer as usize].older, copy);
        match older {
            NIL => self.caches[self.copies.listed[copy as usize].worker as usize].oldest = copy,
            older => self.copies.used[older as usize].newer = copy,
        }
        let target = &mut self.copies.used[copy as usize];
        (target.newer, target.older) = (newer, older);
    }

    fn unlink(&mut self, copy: u32) {
        let worker = self.copies.listed[copy as usize].worker;
        let Used { newer, older, .. } = self.copies.used[copy as usize];
        let cache = &mut self.caches[worker as usize];
        match newer {
            NIL => cache.newest = older,
            newer => self.copies.used[newer as usize].older = older,
        }
        match older {
            NIL => cache.oldest = newer,
            older => self.copies.used[older as usize].newer = newer,
        }
    }

    /// The blocks up to this one at which more have it than the one behind it, the last first.
    fn turns(&self, last: u32) -> impl Iterator<Item = (u32, Block)> + use<'_> {
        let mut behind = 0;
        let blocks = self.upwards(last).map(|number| (number, self.blocks[number as usize]));
        blocks.filter(move |(_, block)| block.is_turn(core::mem::replace(&mut behind, block.copy_count())))
    }

    /// Whether a worker has a block: all have what as many have as there are workers.
    fn has(&self, number: u32, block: Block, worker: u32) -> bool {
        if block.copy_count() == self.open {
            return true;
        }
        if block.copy_count() <= FEW {
            let mut known = self.copies_of(block).map(|copy| self.copies.listed[copy as usize].worker);
            // Marks stand among them, as many as there are.
            for _ in 0..2 * FEW {
                match known.next() {
                    Some(known) if known != worker => {}
                    known => return known.is_some(),
                }
            }
        }
        self.copy_of(number, worker).is_some()
    }

    /// How many of the blocks up to this one a worker has. O(blocks), and a search for each at which more have it than the one
    /// behind it.
    pub(crate) fn depth_on(&self, last: u32, worker: u32) -> u32 {
        if !self.is_open(worker) {
            return 0;
        }
        let has = |(number, block): &(u32, Block)| self.has(*number, *block, worker);
        self.turns(last).find(has).map_or(0, |(_, block)| block.depth)
    }

    /// Workers that have some of the blocks up to this one, and how many: those with the most first, and of equals who came
    /// to have the last of them later; as many as it takes until it is `enough` with one. O(blocks, and that for each of those
    /// at which fewer go on).
    pub(crate) fn warm(&self, last: u32, mut enough: impl FnMut(u32) -> bool) -> Warm {
        let mut warm = Warm::new();
        let _ = self.turns(last).try_for_each(|(_, block)| self.gather(block, &mut warm, &mut enough));
        warm
    }

    /// The same, of those that have more of them than all have; and how many all others have at most: as many each, unless it
    /// was enough before.
    pub(crate) fn warmer_than_others(&self, last: u32, mut enough: impl FnMut(u32) -> bool) -> (Warm, u32) {
        let mut warm = Warm::new();
        for (_, block) in self.turns(last) {
            if block.copy_count() == self.open || self.gather(block, &mut warm, &mut enough).is_break() {
                return (warm, block.depth);
            }
        }
        (warm, 0)
    }

    /// Those that have a block and none behind it come besides, until it is enough.
    fn gather(&self, block: Block, warm: &mut Warm, enough: &mut impl FnMut(u32) -> bool) -> ControlFlow<()> {
        let behind = warm.len();
        for worker in self.copies_of(block).map(|copy| self.copies.listed[copy as usize].worker) {
            if !warm[..behind].iter().any(|&(known, _)| known == worker) {
                warm.push((worker, block.depth));
                if enough(worker) {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
