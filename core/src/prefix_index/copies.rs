//! What is known of each copy, in two arrays: what a search reads, twelve bytes, and what only a change does.
//!
//! A search goes from copy to copy of a block, and each is somewhere else: so few bytes of all that many stay in a
//! processor's cache. Knows no order of its own. Written to a snapshot as if it were one array.

use alloc::vec::Vec;

/// That a worker has a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub(super) block: u32,
    pub(super) worker: u32,
    /// The next older copy of the block; of one that is free the next that is.
    pub(super) next_of_block: u32,
}

/// How the worker has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// The worker's copy of the block before it.
    pub(super) parent: u32,
    /// How many of the worker's copies follow it; the highest bit says that it is evicted once there are none.
    pub(super) followers: u32,
    /// The next newer copy of the block. No snapshot has it.
    pub(super) previous_of_block: u32,
    /// Its neighbours among the copies of the worker: used later, and used earlier.
    pub(super) newer: u32,
    pub(super) older: u32,
}

/// All copies, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    pub(super) listed: Vec<Listed>,
    pub(super) used: Vec<Used>,
}

impl Copies {
    #[cfg(feature = "snapshot")]
    pub(super) fn len(&self) -> usize {
        self.listed.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.listed.capacity() * size_of::<Listed>() + self.used.capacity() * size_of::<Used>()
    }

    /// Room for so many in all.
    pub(super) fn reserve(&mut self, most: usize) {
        self.listed.reserve_exact(most.saturating_sub(self.listed.len()));
        self.used.reserve_exact(most.saturating_sub(self.used.len()));
    }

    /// One more; tells its number.
    pub(super) fn push(&mut self, listed: Listed, used: Used) -> u32 {
        self.listed.push(listed);
        self.used.push(used);
        self.listed.len() as u32 - 1
    }
}

#[cfg(feature = "snapshot")]
impl serde::Serialize for Copies {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let all = self.listed.iter().zip(&self.used);
        out.collect_seq(all.map(|(listed, used)| {
            let Listed { block, worker, next_of_block } = *listed;
            let Used { parent, followers, previous_of_block: _, newer, older } = *used;
            [block, worker, parent, followers, next_of_block, newer, older]
        }))
    }
}

#[cfg(feature = "snapshot")]
impl<'de> serde::Deserialize<'de> for Copies {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut copies = Self::default();
        for [block, worker, parent, followers, next_of_block, newer, older] in
            Vec::<[u32; 7]>::deserialize(from)?
        {
            let listed = Listed { block, worker, next_of_block };
            copies.push(listed, Used { parent, followers, previous_of_block: super::NIL, newer, older });
        }
        Ok(copies)
    }
}
