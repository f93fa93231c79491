//! Drain claims: the head of a tier that does not fit is passed by those behind it, but not for ever: after a
//! while a worker is kept clear of borrowed starts for it, and with it those that share a device's limit with it, where that
//! can run short: what they use is what it is short of, where each of them could have all of the device.
//!
//! A drain reserves nothing and never delays a guaranteed start. A worker has at most one, a tier at most one.

use smallvec::SmallVec;

use super::Scheduler;
use super::workers::Drain;
use crate::config::Config;
use crate::id::{DeviceId, PoolId, Tier, WorkerId};
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::share::Ppm;
use crate::time::Instant;

impl Scheduler {
    /// The first of a tier's own that passes its own gates. Those that lack nothing but quota wait for it.
    #[inline(always)]
    pub(super) fn find_head(&mut self, pool: PoolId, tier: Tier) -> Option<u32> {
        // Nearly always it is the first of all, and lacks nothing.
        let first = self.pool(pool).queues[tier.index()].first(&self.nodes)?;
        let record = &self.requests[first];
        let is_candidate = record.sat_out_round != self.round && self.has_no_gates(record);
        if is_candidate && self.surely_has_quota(record) { Some(first) } else { self.seek_head(pool, tier) }
    }

    #[inline(never)]
    fn seek_head(&mut self, pool: PoolId, tier: Tier) -> Option<u32> {
        loop {
            let head = self.first_past_own_gates(pool, tier)?;
            match self.quota_lack(head) {
                None => return Some(head),
                Some(lack) => self.wait_for_quota(head, lack.node),
            }
        }
    }

    /// Attends to the heads of all tiers, none of which has room, if there is nothing more to it: each is the first of its
    /// tier, lacks no quota, and no worker is or comes to be drained for it. Whether it is so: it is at the end of nearly each
    /// round of a full machine, and in one loop a cycle takes 170 instructions less.
    pub(super) fn heads_go_on_waiting(&mut self, pool: PoolId) -> bool {
        let Config { drain_after_ns, max_bypass, .. } = self.config;
        let target = &self.pools[pool.index()];
        if !target.drained.is_empty() {
            return false;
        }
        // The longest that one of them is blocked, and who begins to be: one after each start.
        let (mut longest_ns, mut begins) = (None, None);
        for queue in &target.queues {
            let Some(head) = queue.first(&self.nodes) else { continue };
            let record = &self.requests[head];
            let blocked_since = record.blocked_since.get();
            let blocked_ns = blocked_since.map_or(0, |since| self.now.nanos_since(since));
            let is_head = record.sat_out_round != self.round
                && record.bypassed < max_bypass
                && blocked_ns < drain_after_ns
                && record.drains.get().is_none()
                && self.has_no_gates(record)
                && self.surely_has_quota(record);
            if !is_head || blocked_since.is_none() && begins.replace(head).is_some() {
                return false;
            }
            longest_ns = longest_ns.max(Some(blocked_ns));
        }
        if let Some(head) = begins {
            self.requests[head].blocked_since = Some(self.now).into();
        }
        self.wake(pool, longest_ns.map(|blocked_ns| self.now.plus_nanos(drain_after_ns - blocked_ns)));
        true
    }

    /// The head of a tier does not fit: after a while, or when too many have passed it, a worker is kept
    /// clear for it.
    #[inline]
    pub(super) fn attend(&mut self, pool: PoolId, head: u32) {
        let (now, drain_after_ns) = (self.now, self.config.drain_after_ns);
        let record = &mut self.requests[head];
        let since = record.blocked_since.get().unwrap_or(now);
        record.blocked_since = Some(since).into();
        let is_early = now.nanos_since(since) < drain_after_ns && record.bypassed < self.config.max_bypass;
        if is_early && record.drains.get().is_none() {
            return self.wake(pool, Some(since.plus_nanos(drain_after_ns)));
        }
        self.drain_for(pool, head, since);
    }

    /// The same for one that has a worker kept clear, or is to have one.
    #[inline(never)] // few come here, and `attend` is short without it
    fn drain_for(&mut self, pool: PoolId, head: u32, since: Instant) {
        if self.requests[head]
            .drains
            .get()
            .is_some_and(|worker| !self.requests[head].asks.fits(&self.worker(worker).whole))
        {
            self.stop_draining(head);
        }
        // Not by the instant when it is due: that stands still at the end of time.
        let is_due = |since: Instant| self.now.nanos_since(since) >= self.config.drain_after_ns;
        if let Some(worker) = self.requests[head].drains.get() {
            let drain = self.worker(worker).drain.expect("a request that drains a worker is its drain");
            if is_due(drain.since) && self.is_clear(worker, &self.requests[head].asks) {
                self.stop_draining(head);
                self.requests[head].blocked_since = Some(self.now).into();
                self.requests[head].bypassed = 0;
                self.wake(pool, Some(self.now.plus_nanos(self.config.drain_after_ns)));
            } else if !is_due(drain.since) {
                self.wake(pool, Some(drain.since.plus_nanos(self.config.drain_after_ns)));
            }
            return;
        }
        if !is_due(since) && self.requests[head].bypassed < self.config.max_bypass {
            self.wake(pool, Some(since.plus_nanos(self.config.drain_after_ns)));
            return;
        }
        let Some(worker) = self.worker_to_drain(pool, head) else { return };
        let others: SmallVec<[Drain; 2]> = self.drains_over(worker).collect();
        others.into_iter().for_each(|other| self.stop_draining(other.slot));
        let tier = self.requests[head].tier();
        self.worker_mut(worker).drain = Some(Drain { slot: head, tier, since: self.now });
        self.requests[head].drains = Some(worker).into();
        self.pool_mut(pool).drained.push(worker);
        self.wake(pool, Some(self.now.plus_nanos(self.config.drain_after_ns)));
    }

    /// A tier drains a worker for its head alone: whoever was passed by those that have run, or passes its own gates
    /// no more, is not it any more.
    pub(super) fn stop_draining_for_former_heads(&mut self, pool: PoolId, tier: Tier, head: Option<u32>) {
        if self.pool(pool).drained.is_empty() {
            return;
        }
        let is_former = |drain: &Drain| drain.tier == tier && Some(drain.slot) != head;
        let drains = self.pool(pool).drained.iter().filter_map(|&worker| self.worker(worker).drain);
        if let Some(former) = drains.into_iter().find(is_former) {
            self.stop_draining(former.slot);
        }
    }

    /// The least used worker that could hold the request and is not kept clear for one as urgent.
    fn worker_to_drain(&self, pool: PoolId, head: u32) -> Option<WorkerId> {
        let (record, rare) = (&self.requests[head], self.requests.rare(head));
        let able = self.pool(pool).up.iter().copied().filter(|&id| {
            let worker = self.worker(id);
            record.asks.fits(&worker.whole)
                && !rare.is_excluded_from(id, self.now)
                && self.drains_over(id).all(|drain| drain.tier > record.tier())
        });
        able.min_by_key(|&id| (self.load(id), id))
    }

    /// The drains that keep a worker clear: its own, and those of the workers of its pool with which it shares what their
    /// heads need of a device. O(tiers · devices).
    pub(super) fn drains_over(&self, id: WorkerId) -> impl Iterator<Item = Drain> + use<'_> {
        let target = self.worker(id);
        let drained = self.pool(target.spec.pool).drained.iter();
        let drains = drained.filter_map(|&drained| Some((drained, self.worker(drained).drain?)));
        let over = drains.filter(move |&(drained, drain)| {
            let asks = &self.requests[drain.slot].asks;
            drained == id || self.limiting(drained, asks).any(|device| target.part_on(device).is_some())
        });
        over.map(|(_, drain)| drain)
    }

    /// The devices of a worker that have a limit of something that is asked, below what their workers could use of it. Of parts
    /// of units each request's use is rounded up, so that they may use more than they advertise.
    fn limiting<'a>(&'a self, id: WorkerId, asks: &'a Resources) -> impl Iterator<Item = DeviceId> + use<'a> {
        let devices = self.worker(id).spec.devices.iter().map(|part| part.device);
        devices.filter(|device| {
            let target = &self.devices[device.index()];
            let (limit, advertised) = (&target.spec.limit, self.advertised(*device, |_| true));
            let rounds = target
                .workers
                .iter()
                .any(|&id| self.worker(id).part_on(*device).is_some_and(|part| part.part != Ppm::ONE));
            (0..MAX_DIMENSIONS).any(|d| limit[d] > 0 && asks[d] > 0 && (rounds || advertised[d] > limit[d]))
        })
    }

    /// Whether nothing runs on a worker, nor on those that share with it what is asked of a device.
    fn is_clear(&self, id: WorkerId, asks: &Resources) -> bool {
        let sharing = self.limiting(id, asks).flat_map(|device| &self.devices[device.index()].workers);
        sharing.copied().chain([id]).all(|id| self.worker(id).running.is_empty())
    }
}
