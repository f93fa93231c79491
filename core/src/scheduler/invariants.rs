//! The named invariants, recomputed from the requests themselves: what the books say must be what is there.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use super::reclaim::SearchMemory;
use super::record::Waiting;
use super::workers::{Place, Worker, WorkerStatus};
use super::{SCAN_WINDOW, Scheduler, Stats};
use crate::error::InvariantViolation;
use crate::event::{Action, DevicePart};
use crate::id::{DeviceId, PoolId, TenantId, Tier, WorkerId};
use crate::metrics::QueueMetrics;
use crate::queue::Lane;
use crate::quota::Books;
use crate::request::RequestState;
use crate::resources::{Balance, MAX_DIMENSIONS, Resources};
use crate::share::Ppm;
use crate::slab::Lookup;

/// `Ok` if the condition holds, else a violation of the named invariant.
fn ensure(
    name: &'static str,
    holds: bool,
    detail: impl FnOnce() -> String,
) -> Result<(), InvariantViolation> {
    if holds { Ok(()) } else { Err(InvariantViolation { name, detail: detail() }) }
}

impl Scheduler {
    /// Recomputes every invariant that a single state can show, from the requests themselves; for tests and
    /// debug runs. O(everything).
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check_invariants(&self) -> Result<(), InvariantViolation> {
        let queued = self.check_queues()?;
        let running = self.check_workers()?;
        self.check_devices()?;
        self.check_claims()?;
        self.check_lines()?;
        self.check_quota()?;
        self.check_usage()?;
        self.check_metrics()?;
        self.check_strangers()?;
        self.check_roamers()?;
        for pool in (0..self.pools.len() as u32).map(PoolId::new) {
            self.check_capacity(pool)?;
            self.check_quiet(pool)?;
            for tier in self.tiers() {
                self.check_account(pool, tier)?;
            }
        }
        let live = self.requests.len();
        ensure("LIFE-1", queued + running == live, || {
            format!("{queued} queued and {running} on workers, of {live} live")
        })?;
        let live_request = |action: &&Action| {
            action.request().is_some_and(|request| self.requests.lookup(request) == Lookup::Live)
        };
        let said = self.outbox.iter().filter(live_request);
        let unheard: i32 = self.requests.iter().map(|(_, record)| record.unheard).sum();
        ensure("LIFE-1", said.count() == unheard as usize, || {
            format!("{unheard} actions are said to be unheard")
        })?;
        let stats = self.stats();
        let ended = stats.completed + stats.failed + stats.cancelled + stats.dropped;
        ensure("LIFE-2", stats.submitted == ended + stats.live, || format!("{stats:?}"))
    }

    /// LIFE-1: who waits is in exactly the list of its lane. Returns how many do.
    fn check_queues(&self) -> Result<usize, InvariantViolation> {
        let (mut total, mut by_tier) =
            (Waiting::default(), alloc::vec![Waiting::default(); self.config.tiers.len()]);
        for pool in (0..self.pools.len() as u32).map(PoolId::new) {
            for tier in self.tiers() {
                let queue = &self.pool(pool).queues[tier.index()];
                for lane in [Lane::Resumed, Lane::Fresh, Lane::Parked] {
                    let mut last = None;
                    for slot in queue.lane_iter(&self.nodes, lane) {
                        self.check_waiting(slot, pool, tier, lane)?;
                        self.check_order(last, slot, lane)?;
                        last = Some(slot);
                        by_tier[tier.index()].add(self.requests[slot].spec.queue_tokens());
                        total.add(self.requests[slot].spec.queue_tokens());
                    }
                }
            }
        }
        ensure("LIFE-1", by_tier == self.waiting_by_tier && self.waiting == total, || {
            format!("{total:?} wait, {:?} counted", self.waiting)
        })?;
        for (tier, never_ran) in self.never_ran.iter().enumerate() {
            let fresh = self.requests.iter().filter(|(_, record)| {
                record.is_waiting() && !record.has_run && record.tier().index() == tier
            });
            let mut sum = Waiting::default();
            fresh.for_each(|(_, record)| sum.add(record.spec.queue_tokens()));
            let listed = never_ran.arrivals.newest_first(&self.requests).count() as u64;
            ensure("LIFE-1", never_ran.sum == sum && listed == sum.requests, || {
                format!("{sum:?} never ran, {listed} are listed and {:?} counted", never_ran.sum)
            })?;
        }
        Ok(total.requests as usize)
    }

    /// LIFE-1: lines by their counters, and within a line, and where there are no lines, by the order of the tier.
    fn check_order(&self, before: Option<u32>, slot: u32, lane: Lane) -> Result<(), InvariantViolation> {
        let Some(before) = before else { return Ok(()) };
        let [one, other] = [before, slot].map(|slot| (self.place_in_order(slot), self.order_key(slot, lane)));
        let ((one_line, one_rank), (line, rank)) = (one.0, other.0);
        let is_aside = |line| self.nodes.is_aside(line);
        let in_order = match lane {
            Lane::Fresh if is_aside(one_line) != is_aside(line) => is_aside(line),
            Lane::Fresh if one_line != line => one_rank <= rank,
            _ => one.1 < other.1,
        };
        ensure("LIFE-1", in_order, || format!("{} is out of order", self.requests.id(slot)))
    }

    /// FAIR: a line knows how many live requests it has, and each live request is in its tenant's line.
    fn check_lines(&self) -> Result<(), InvariantViolation> {
        for (_, record) in self.requests.iter() {
            let tenant = &self.tenants[record.spec.tenant];
            let queue = self.queue_number(record.pool(), record.tier());
            ensure("LIFE-1", tenant.lines.contains(&(queue, record.line)), || {
                format!("{} is in no line of its tenant", record.sequence)
            })?;
        }
        let mine = |line| self.requests.iter().filter(|(_, record)| record.line == line).count();
        let unlike = self.fairness.lives().find(|&(line, live)| live as usize != mine(line));
        ensure("LIFE-1", unlike.is_none(), || format!("line and live requests: {unlike:?}"))
    }

    /// QUO: who is on a worker holds quota, and the books of each node are what the requests below it hold.
    fn check_quota(&self) -> Result<(), InvariantViolation> {
        let mut found: BTreeMap<u32, Books> = BTreeMap::new();
        let mut waiting: BTreeMap<u32, Waiting> = BTreeMap::new();
        for (slot, record) in self.requests.iter() {
            let id = || self.requests.id(slot);
            let must = !record.is_waiting() || record.claim.is_some() || record.has_run;
            let run = self.requests.run(slot);
            let holds = run.held.is_some() != run.lapsed;
            ensure("QUO-4", holds == must, || {
                format!("{} is {} and holds {:?}, lapsed {}", id(), record.state, run.held, run.lapsed)
            })?;
            for node in self.quota.path(self.tenants[record.spec.tenant].node) {
                if let Some(held) = run.held {
                    let books = found.entry(node).or_default();
                    books.running += 1;
                    books.held += held;
                    books.in_use += run.held_units;
                }
                if record.is_waiting() {
                    waiting.entry(node).or_default().add(record.spec.queue_tokens());
                }
            }
        }
        for (id, tenant) in self.tenants.iter() {
            let books = found.get(&tenant.node).copied().unwrap_or_default();
            ensure("QUO-2", self.quota.books(tenant.node) == books, || format!("{id} has open {books:?}"))?;
            let waits = waiting.get(&tenant.node).copied().unwrap_or_default();
            ensure("LIFE-1", self.tenants.waiting_at(tenant.node) == waits, || {
                format!("{id} has waiting {waits:?}")
            })?;
        }
        Ok(())
    }

    /// USE-2: what is counted of queues adds up to what is counted of all.
    fn check_metrics(&self) -> Result<(), InvariantViolation> {
        let sum = |of: fn(&QueueMetrics) -> u64| self.metrics.iter().map(of).sum();
        let told: [u64; 5] = [
            sum(|queue| queue.submitted),
            sum(|queue| queue.completed),
            sum(|queue| queue.failed),
            sum(|queue| queue.cancelled),
            sum(|queue| queue.dropped),
        ];
        let Stats { submitted, completed, failed, cancelled, dropped, .. } = self.stats;
        ensure("USE-2", told == [submitted, completed, failed, cancelled, dropped], || {
            format!("{told:?} of queues, and {:?}", self.stats)
        })
    }

    /// ROAM-1: who may go to other pools is known to those it names, and nobody else is.
    fn check_roamers(&self) -> Result<(), InvariantViolation> {
        let mut listed = 0;
        for (slot, _) in self.requests.iter() {
            let (lists, stands_there) = self.check_roamer(slot);
            ensure("ROAM-1", stands_there, || {
                format!("{} is unknown where it may go", self.requests.id(slot))
            })?;
            listed += lists;
        }
        let known: usize = self.pools.iter().map(|pool| pool.roamers.len()).sum();
        ensure("ROAM-1", listed == known && known == self.roamers, || {
            format!("{listed} roam, {known} are listed, and {} counted", self.roamers)
        })
    }

    /// USE-1: what is told of a tenant in a tier is what its requests there are, hold and use.
    fn check_usage(&self) -> Result<(), InvariantViolation> {
        let mut found: BTreeMap<(TenantId, Tier), (u64, u64, u64, Resources)> = BTreeMap::new();
        for (slot, record) in self.requests.iter() {
            let run = self.requests.run(slot);
            let (waiting, running, held, in_use) =
                found.entry((record.spec.tenant, record.tier())).or_default();
            *(if record.is_waiting() { waiting } else { running }) += 1;
            *held += run.held.unwrap_or(0);
            *in_use += run.in_use;
        }
        let mut submitted: u64 = self.tiers().map(|tier| self.forgotten_usage(tier).submitted).sum();
        for (id, _) in self.tenants.iter() {
            let mut lives = 0;
            for tier in self.tiers() {
                let told = self.usage_by_tier(id, tier, self.now).unwrap_or_default();
                submitted += told.submitted;
                let is = found.remove(&(id, tier)).unwrap_or_default();
                lives += is.0 + is.1;
                let said = (told.waiting, told.running, told.held_tokens, told.in_use);
                ensure("USE-1", said == is, || format!("{id} has {is:?} in {tier}, and {said:?} is told"))?;
                let counted = told.queue_delays.iter().sum::<u64>();
                ensure("USE-1", counted == told.started, || {
                    format!("{} of {id} were started, {counted} are counted by delay", told.started)
                })?;
                let within = (0..MAX_DIMENSIONS).all(|d| told.borrowed_unit_ns[d] <= told.unit_ns[d]);
                ensure("USE-1", within, || format!("{id} borrowed more than it used: {told:?}"))?;
            }
            let live = self.tenants[id].live;
            ensure("LIFE-1", u64::from(live) == lives, || format!("{id} has {live} live requests"))?;
        }
        ensure("USE-1", submitted == self.stats.submitted, || format!("{submitted} are told"))
    }

    /// LIFE-1: who is idle and nobody's is among those who may be forgotten, and nobody else is.
    fn check_strangers(&self) -> Result<(), InvariantViolation> {
        let idle = self.tenants.iter().filter(|(_, tenant)| tenant.is_idle_stranger()).count();
        let listed = self.tenants.idle_strangers().take(idle + 1);
        let are_idle = listed.clone().all(|id| self.tenants[id].is_idle_stranger());
        ensure("LIFE-1", are_idle && listed.count() == idle, || format!("{idle} tenants are idle strangers"))
    }

    fn check_waiting(
        &self,
        slot: u32,
        pool: PoolId,
        tier: Tier,
        lane: Lane,
    ) -> Result<(), InvariantViolation> {
        let record = &self.requests[slot];
        let id = || self.requests.id(slot);
        let state = if lane == Lane::Parked { RequestState::Parked } else { RequestState::Queued };
        let home = (record.pool(), record.tier(), record.lane, record.state);
        ensure("LIFE-1", home == (pool, tier, Some(lane), state), || {
            format!("{} is {home:?} in a list of {tier}", id())
        })?;
        ensure(
            "LIFE-1",
            (lane == Lane::Parked)
                != (self.is_startable(slot) && self.requests.rare(slot).waits_at.is_none()),
            || format!("{} is {state}", id()),
        )?;
        let due = if record.has_run { self.requests.run(slot).lapses_at } else { record.expires_at.get() };
        ensure("LIFE-3", self.timers.contains(slot) == due.is_some(), || {
            format!("{} is due at {due:?}, and nobody notices", id())
        })
    }

    /// CAP-2 on each worker, and LIFE-1 for who runs. Returns how many do.
    fn check_workers(&self) -> Result<usize, InvariantViolation> {
        let mut running = 0;
        for (index, worker) in self.workers.iter().enumerate() {
            let id = WorkerId::new(index as u32);
            let (mut used, mut yielding) = (Resources::ZERO, Resources::ZERO);
            for (place, &slot) in worker.running.iter().enumerate() {
                let (record, run) = (&self.requests[slot], self.requests.run(slot));
                let here = run.worker == id && run.place as usize == place && !record.is_waiting();
                ensure("LIFE-1", here, || format!("{} is not where {id} has it", self.requests.id(slot)))?;
                used += run.in_use;
                if record.is_yielding() {
                    yielding += run.in_use;
                }
                ensure("TIME-1", self.knows_young(slot), || {
                    format!("nobody notices when {} may be asked to yield", self.requests.id(slot))
                })?;
                running += 1;
            }
            self.check_yielders(id, worker)?;
            ensure("CAP-2", used == worker.used && yielding == worker.yielding, || {
                format!("{id} books {:?}, its requests use {used:?}", worker.used)
            })?;
            ensure("LIFE-1", worker.status != WorkerStatus::Lost || worker.running.is_empty(), || {
                format!("{id} is lost and runs requests")
            })?;
            self.check_standing(id, worker)?;
            self.check_overdraft(Place::Worker(id))?;
            let earmarks_fit =
                worker.earmarked.is_zero() || worker.free().overdrawn().min(worker.earmarked).is_zero();
            ensure("CAP-2", earmarks_fit, || format!("{id} earmarks more than is free"))?;
            let (place, rooms) = (worker.place as usize, &self.pool(worker.spec.pool).rooms);
            let is_noted = !worker.is_up() || rooms.knows(place, &self.room_of(id));
            ensure("CAP-2", is_noted, || format!("{id} is said to have other room than it has"))?;
        }
        Ok(running)
    }

    /// FLEET-1: a worker serves, or drains, or is lost, or runs nothing, and somebody knows until when.
    fn check_standing(&self, id: WorkerId, worker: &Worker) -> Result<(), InvariantViolation> {
        let standing = &worker.standing;
        let is_listed = self.pool(worker.spec.pool).up.binary_search(&id).is_ok();
        let is_out = worker.status == WorkerStatus::Out;
        let waits = standing.stands_by || standing.out_until.is_some();
        let is_free = !is_out || worker.running.is_empty();
        let sound = is_listed == worker.is_up() && is_out == waits && is_free;
        let is_timed = standing.out_until.is_none_or(|at| at > self.now && self.joins.contains(&(at, id)));
        ensure("FLEET-1", sound && is_timed, || format!("{id} is {:?}: {standing:?}", worker.status))
    }

    /// LIFE-1: a search for victims knows all who may yield, and nobody else, and no bounds that do not hold.
    fn check_yielders(&self, id: WorkerId, worker: &Worker) -> Result<(), InvariantViolation> {
        let may_yield = worker.running.iter().copied().filter(|&slot| self.may_be_stopped(slot));
        for (tier, yielders) in self.tiers().zip(&worker.yielders) {
            let theirs = may_yield.clone().filter(|&slot| self.requests[slot].tier() == tier);
            let known = theirs.clone().all(|slot| {
                yielders.knows(self.requests.run(slot).yield_place, slot, &self.yielder_bounds(slot))
            });
            let total =
                theirs.clone().fold(Resources::ZERO, |sum, slot| sum + self.requests.run(slot).in_use);
            ensure("LIFE-1", known && total == yielders.total && theirs.count() == yielders.len(), || {
                format!("{id}: not all of {tier} who may yield are known as they are")
            })?;
        }
        Ok(())
    }

    /// CAP-2 on each device.
    fn check_devices(&self) -> Result<(), InvariantViolation> {
        for (id, device) in (0..).map(DeviceId::new).zip(&self.devices) {
            let zero = Resources::ZERO;
            let (mut used, mut yielding, mut earmarked) = (zero, zero, zero);
            for &worker in &device.workers {
                let part = self.worker(worker).part_on(id);
                ensure("CAP-2", part.is_some(), || format!("{worker} is not on {id}"))?;
                let on = |units| part.map_or(zero, |part| part.of(units));
                for &slot in &self.worker(worker).running {
                    let in_use = on(self.requests.run(slot).in_use);
                    used += in_use;
                    yielding += if self.requests[slot].is_yielding() { in_use } else { zero };
                }
                for &claim in &self.worker(worker).claims {
                    earmarked += on(self.claims[claim].earmarked);
                }
            }
            let books = [device.used, device.yielding, device.earmarked];
            ensure("CAP-2", books == [used, yielding, earmarked], || {
                format!("{id} books {books:?}, found {used:?} {yielding:?} {earmarked:?}")
            })?;
            let earmarks_fit = earmarked.is_zero() || device.free().overdrawn().min(earmarked).is_zero();
            ensure("CAP-2", earmarks_fit, || format!("{id} earmarks more than is free"))?;
            self.check_overdraft(Place::Device(id))?;
        }
        Ok(())
    }

    /// CAP-2: where more is used than there is, it was noticed just now, or all who could give it back are to stop.
    fn check_overdraft(&self, place: Place) -> Result<(), InvariantViolation> {
        let short = self.overdraft(place);
        let here = self.workers_of(place).into_iter().flat_map(|id| &self.worker(id).running);
        let could_give = |slot: u32| !short.min(self.requests.run(slot).in_use).is_zero();
        let could_stop = here.into_iter().any(|&slot| !self.requests[slot].is_yielding() && could_give(slot));
        ensure("CAP-2", !could_stop || self.pressured.contains(&place), || {
            format!("{place:?} has too little, and nobody is asked to stop")
        })
    }

    /// Claims: books agree, owners wait, and each can still become full.
    fn check_claims(&self) -> Result<(), InvariantViolation> {
        for (id, claim) in self.claims.iter() {
            let owner = &self.requests[claim.owner];
            let held =
                owner.claim == Some(id) && owner.state == RequestState::Queued && owner.asks == claim.size;
            ensure("CAP-3", held, || format!("{} does not hold its claim", self.requests.id(claim.owner)))?;
            ensure("CAP-3", claim.is_full() || !claim.victims.is_empty(), || {
                format!("the claim of {} can never be full", self.requests.id(claim.owner))
            })?;
            // Else nobody goes through the claims.
            let has_room = self.worker(claim.worker).is_up() && self.fits(claim.owner, claim.worker);
            ensure("CAP-3", claim.is_full() || !has_room, || {
                format!("the claim of {} has not gathered what is free", self.requests.id(claim.owner))
            })?;
            for &victim in &claim.victims {
                let (record, run) = (&self.requests[victim], self.requests.run(victim));
                let stops = matches!(record.state, RequestState::Preempting | RequestState::Releasing);
                let serves = stops && run.serves == Some(id) && self.share_a_device(run.worker, claim.worker);
                ensure("CAP-3", serves, || format!("{} is no victim", self.requests.id(victim)))?;
                let may_yield = claim.whom.reaches(claim.tier, record.tier());
                ensure("PRE-1", may_yield, || {
                    format!("{} yields to a tier that may not stop it", self.requests.id(victim))
                })?;
            }
        }
        for pool in &self.pools {
            let claims = pool.claims.iter().map(|&id| (id, &self.claims[id]));
            ensure("CAP-3", pool.claim_digest.is_of(claims), || {
                String::from("what is known of claims together is not true of each")
            })?;
        }
        for (index, worker) in self.workers.iter().enumerate() {
            let earmarked =
                worker.claims.iter().fold(Resources::ZERO, |sum, &id| sum + self.claims[id].earmarked);
            ensure("CAP-2", earmarked == worker.earmarked, || {
                format!("worker {index}: earmarks do not add up")
            })?;
        }
        Ok(())
    }

    /// CAP-1 and the total of CAP-2 in one pool.
    fn check_capacity(&self, pool: PoolId) -> Result<(), InvariantViolation> {
        let target = self.pool(pool);
        let sum = |f: fn(&crate::capacity::Account) -> Resources| {
            target.capacity.accounts().iter().map(f).fold(Resources::ZERO, |a, b| a + b)
        };
        let total = self.total_capacity(pool);
        ensure(
            "CAP-1",
            sum(|account| account.reserve).fits(&total) && total == target.capacity.total(),
            || format!("{pool} reserves more than {total:?}"),
        )?;
        // What engines share, and what a device has less of than its workers, is not in the sum over the workers.
        let shifts =
            target.up.iter().fold(Balance::default(), |sum, &id| sum.plus_signed(self.worker(id).shift()));
        ensure("CAP-2", shifts == target.capacity.offset(), || format!("{pool}: offsets do not add up"))?;
        let is_short = |id: &WorkerId| {
            let worker = self.worker(*id);
            let device_is_short = |part: &DevicePart| {
                !self.devices[part.device.index()].free().overdrawn().is_zero()
                    || self.devices[part.device.index()].workers.iter().any(|&id| !self.worker(id).is_up())
                    || part.part != Ppm::ONE
            };
            !worker.free().overdrawn().is_zero() || worker.spec.devices.iter().any(device_is_short)
        };
        let overdrawn = target.up.iter().any(is_short) || shifts != Balance::default();
        let taken = sum(|account| account.used + account.earmarked);
        ensure("CAP-2", overdrawn || taken.fits(&total), || {
            format!("{pool} has {total:?} and gave {taken:?}")
        })
    }

    /// CAP-3 and CAP-4: in a pool that would not be looked at again, nobody who is looked at could start, or
    /// choose victims.
    fn check_quiet(&self, pool: PoolId) -> Result<(), InvariantViolation> {
        let target = self.pool(pool);
        let due = target.wake_at.is_some_and(|at| at <= self.now);
        if self.in_round || target.dirty || target.revisit || due || !self.pressured.is_empty() {
            return Ok(());
        }
        ensure("CAP-3", self.ready_claim(pool).is_none(), || {
            format!("a claim in {pool} is ready, and waits")
        })?;
        for tier in self.tiers() {
            let starts = self
                .guaranteed_start(pool, tier)
                .or_else(|| self.borrowed_start(pool, tier, u64::MAX))
                .or_else(|| self.aged_start(pool, tier));
            let starts = starts.filter(|(_, place)| place.is_ok());
            ensure("CAP-4", starts.is_none(), || format!("a request of {tier} could start, and waits"))?;
            for slot in self.waiting_in_order(pool, tier).take(SCAN_WINDOW) {
                // Beyond the reserve nothing is guaranteed.
                let within = self.may_claim(slot) == Some(true) && self.quota_lack(slot).is_none();
                if !within {
                    continue;
                }
                let id = || self.requests.id(slot);
                match self.find_victims(pool, slot, true, &mut SearchMemory::default()) {
                    Some(found) => {
                        let affordable = self.affordable_at(slot, found.victims()) <= self.now;
                        ensure("CAP-3", !affordable, || format!("{} could choose victims, and waits", id()))?;
                    }
                    None => {
                        let claim = self.claim_to_take_over(slot);
                        ensure("CAP-3", claim.is_none(), || {
                            format!("{} could take over a claim, and waits", id())
                        })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// One tier's account in one pool, recomputed.
    fn check_account(&self, pool: PoolId, tier: Tier) -> Result<(), InvariantViolation> {
        let account = self.pool(pool).capacity.account(tier);
        let zero = Resources::ZERO;
        let (mut used, mut yielding, mut pinned, mut waiting) = (zero, zero, zero, zero);
        let queue = &self.pool(pool).queues[tier.index()];
        for slot in queue.in_order(&self.nodes) {
            let record = &self.requests[slot];
            if record.asks.fits(&account.reserve) {
                waiting += record.asks;
                waiting -= record.claim.map_or(zero, |claim| self.claims[claim].earmarked);
            }
        }
        for &slot in self.pool(pool).up.iter().flat_map(|&worker| &self.worker(worker).running) {
            let (record, in_use) = (&self.requests[slot], self.requests.run(slot).in_use);
            if record.tier() == tier {
                used += in_use;
                yielding += if record.is_yielding() { in_use } else { zero };
                pinned += if record.never_yields() { in_use } else { zero };
            }
        }
        let (mut claimed, mut earmarked) = (zero, zero);
        for (_, claim) in self.claims.iter().filter(|(_, claim)| claim.tier == tier) {
            if self.worker(claim.worker).spec.pool == pool {
                claimed += claim.size;
                earmarked += claim.earmarked;
                pinned += if self.requests[claim.owner].never_yields() { claim.size } else { zero };
            }
        }
        let found = [used, yielding, pinned, waiting, claimed, earmarked];
        let books = [
            account.used,
            account.yielding,
            account.pinned,
            account.waiting,
            account.claimed,
            account.earmarked,
        ];
        ensure("CAP-2", found == books, || format!("{pool}, {tier}: books {books:?}, found {found:?}"))
    }
}
