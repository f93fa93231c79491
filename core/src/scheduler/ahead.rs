//! Memory that is needed soon, read ahead.
//!
//! What starts or ends is written into a dozen records of a request and of its tenant that lie apart, and between two steps
//! of an engine they fall out of the near caches: one after the other, each is waited for. Read together, before the first
//! is needed, the waits overlap. Decides nothing and changes nothing: what is read is thrown away. Each `fetch` of a table
//! reads a word of each cache line that will be needed of what it has of one.

use core::hint::black_box;

use super::Scheduler;
use super::record::Record;
use crate::id::{PoolId, Tier};

impl Scheduler {
    /// For the end of a request that runs.
    #[inline(always)]
    pub(super) fn fetch_for_end(&self, slot: u32) {
        let record = &self.requests[slot];
        let own = self.requests.run_of(record).fetch() ^ self.timers.fetch(slot);
        black_box(own ^ self.fetch_books(record) ^ self.quota.fetch(record.leaf));
    }

    /// For the start of one that waits, and the look at who comes to be the first of its queue then.
    #[inline(always)]
    pub(super) fn fetch_for_start(&self, slot: u32) {
        let record = &self.requests[slot];
        black_box(
            self.fetch_place(slot, record)
                ^ self.fetch_books(record)
                ^ self.fetch_next(record.pool(), record.tier()),
        );
    }

    /// For the end of one that waits.
    #[inline(always)]
    pub(super) fn fetch_for_cancel(&self, slot: u32) {
        let record = &self.requests[slot];
        black_box(self.fetch_place(slot, record) ^ self.fetch_tenant(record));
    }

    /// Where a request stands that waits, and what is beside it there.
    #[inline(always)]
    fn fetch_place(&self, slot: u32, record: &Record) -> u64 {
        let queues = self.nodes.fetch(slot) ^ self.requests.fetch_neighbours(record);
        queues ^ self.timers.fetch(slot) ^ self.tenants.waiting_at(record.leaf).requests
    }

    /// What a tenant has used.
    #[inline(always)]
    fn fetch_books(&self, record: &Record) -> u64 {
        self.fetch_tenant(record) ^ self.tenants[record.spec.tenant].meters.fetch(record.tier())
    }

    /// Who asks, and its line.
    #[inline(always)]
    fn fetch_tenant(&self, record: &Record) -> u64 {
        self.tenants[record.spec.tenant].fetch() ^ self.fairness.counter(record.line) as u64
    }

    #[inline(always)]
    fn fetch_next(&self, pool: PoolId, tier: Tier) -> u64 {
        self.pool(pool).queues[tier.index()].second(&self.nodes).map_or(0, |next| {
            let record = &self.requests[next];
            record.sequence ^ record.sat_out_round ^ self.quota.fetch(record.leaf)
        })
    }
}
