//! Reclaim: a waiting request that its tier's reserve covers, or whose tier may preempt while it borrows,
//! chooses victims on one worker and lays a claim there.

use alloc::vec::Vec;
use core::cmp::Reverse;

use smallvec::{SmallVec, smallvec};

use super::{SCAN_WINDOW, Scheduler};
use crate::config::{MAX_TIERS, Preemption};
use crate::event::Reason;
use crate::id::{DeviceId, PoolId, Tier, WorkerId};
use crate::preempt::{
    self, Bounds, Candidate, Harm, Need, Order, PlaceUnits, Prices, Rules, Runners, Scratch, Source,
    VictimSet, Waiver,
};
use crate::queue::Lane;
use crate::resources::{Balance, Resources};
use crate::time::Instant;

/// How many workers are searched for victims: those with the most units of the tiers that may have to yield. Chosen
/// arbitrarily.
const SEARCHED_WORKERS: usize = 32;

/// How many workers may have changed for it to pay to put each where it belongs: chosen arbitrarily.
const FEW_CHANGES: usize = 8;

/// Some of those places or workers.
type Few<T> = SmallVec<[T; FEW_CHANGES]>;

/// Over how long a preemption budget may be spent at once.
const BUDGET_BURST_NS: u64 = 1_000_000_000;

/// Where a waiting request may win units back, and from whom.
pub(super) struct Found {
    worker: WorkerId,
    /// Whether the request stays within its tier's reserve.
    within: bool,
    set: VictimSet,
}

impl Found {
    pub(super) fn victims(&self) -> usize {
        self.set.victims.len()
    }
}

/// What a search asks of all workers alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Question {
    pool: PoolId,
    tier: Tier,
    whom: Preemption,
    asks: Resources,
    missing: Resources,
    prices: Prices,
}

/// What was found of a worker.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// What the worker had counted of its [changes](super::workers::Worker::changes) then.
    changes: Option<u64>,
    /// By what it is ranked.
    units: Reverse<Option<u64>>,
    /// The least harm that a set does there, if there may be one; found of those that are searched.
    least: Option<Option<Harm>>,
    /// Whether it is among those that are searched.
    is_searched: bool,
}

impl Default for Known {
    fn default() -> Self {
        Self { changes: None, units: Reverse(None), least: None, is_searched: false }
    }
}

/// The workers of a pool as the last search ranked them. Who asks next mostly asks the same, be it the same request: then only
/// what changed since is looked at.
#[derive(Debug, Default)]
struct Ranking {
    question: Option<Question>,
    /// Up to which of the [`Changes`](super::workers::Changes) of workers this is told; of none if there was no search.
    mark: Option<u64>,
    /// What those use there that may have to yield, `None` where it would not do: the most first.
    ranked: Vec<(Reverse<Option<u64>>, WorkerId)>,
    /// By worker.
    known: Vec<Known>,
    /// Those of the workers that are searched on which there may be a set, and the least harm that it does: the least first.
    prospects: Vec<(Harm, WorkerId)>,
    /// Whether they are those of the ranking as it is.
    is_listed: bool,
}

/// Those of a tier's first who have chosen victims, up to the first who has not.
#[derive(Clone, Copy, Debug)]
struct PassedOver {
    pool: PoolId,
    tier: Tier,
    /// Of the queues when they were looked at.
    version: u64,
    count: usize,
    last: Option<(Lane, u32)>,
}

/// What searches for victims work with, kept for the next. None of it decides anything: without it they only take longer.
#[derive(Debug, Default)]
pub(super) struct SearchMemory {
    ranking: Ranking,
    scratch: Scratch,
    passed_over: Option<PassedOver>,
}

/// What came of going through those of a tier that may choose victims.
enum Search {
    Served,
    InVain,
    /// One lacked quota, and waits for it now.
    SentToWait,
}

/// How a search for victims ended.
enum Sought {
    Won,
    /// There is a set, and the tier's budget does not allow it now.
    TooDear,
    Nothing,
}

/// What a waiting request asks of the others.
#[derive(Clone, Copy)]
struct Asker {
    slot: u32,
    tier: Tier,
    within: bool,
    whom: Preemption,
    /// What its tier may not borrow any more, if it has to.
    missing: Resources,
}

impl Asker {
    fn order(&self) -> Order {
        Order { tier: self.tier, whom: self.whom }
    }
}

impl Scheduler {
    /// Chooses victims for one waiting request. Whether one was served.
    #[inline(always)]
    pub(super) fn reclaim(&mut self, pool: PoolId) -> bool {
        // Whom nobody may stop, nobody need be asked for: 50 instructions of a cycle.
        self.stoppable.iter().any(|&may| may) && self.reclaim_in(pool)
    }

    #[inline(never)]
    fn reclaim_in(&mut self, pool: PoolId) -> bool {
        self.tiers().any(|tier| self.may_preempt(pool, tier) && self.reclaim_for(pool, tier))
    }

    /// Whether a tier may preempt at all: while it borrows, or for a reserve that it has; and somebody.
    fn may_preempt(&self, pool: PoolId, tier: Tier) -> bool {
        let (whom, pool) = (self.whom(tier, true), self.pool(pool));
        // Nearly always nobody waits: asked of each tier in each pass.
        !pool.queues[tier.index()].is_idle()
            && self.tiers().any(|other| whom.reaches(tier, other))
            && (self.config.preempt_while_borrowing(tier) == Preemption::LowerTier
                || !pool.capacity.account(tier).reserve.is_zero())
    }

    fn reclaim_for(&mut self, pool: PoolId, tier: Tier) -> bool {
        loop {
            match self.seek_victims(pool, tier) {
                Search::Served => return true,
                Search::InVain => return false,
                // Who stood behind it may be among the first now.
                Search::SentToWait => {}
            }
        }
    }

    /// Goes through the first of a tier that may choose victims, until one is served or has to wait for quota.
    fn seek_victims(&mut self, pool: PoolId, tier: Tier) -> Search {
        if !self.anyone_borrows(pool, tier) && !self.less_urgent_claims(pool, tier) {
            self.pool_mut(pool).sought_in_vain = true;
            return Search::InVain;
        }
        // What was sought in vain beyond the reserve; who asks for as much or more need not try.
        let mut too_much: Vec<Resources> = Vec::new();
        let mut tried = 0;
        let passed = self.pass_over(pool, tier);
        // Nearly always the first is served: the others are looked for when it was not.
        for count in [1, SCAN_WINDOW] {
            let waiting: SmallVec<[_; 1]> = self.claimants(&passed).skip(tried).take(count).collect();
            tried = waiting.len();
            for (slot, within) in waiting {
                if let Some(lack) = self.quota_lack(slot) {
                    self.wait_for_quota(slot, lack.node);
                    return Search::SentToWait;
                }
                let asks = self.requests[slot].asks;
                if !within && too_much.iter().any(|least| least.fits(&asks)) {
                    continue;
                }
                match self.win_back(pool, slot, within) {
                    Sought::Won => return Search::Served,
                    Sought::Nothing if !within && !self.requests.rare(slot).is_kept_off(self.now) => {
                        too_much.push(asks);
                    }
                    Sought::Nothing | Sought::TooDear => {}
                }
                self.pool_mut(pool).sought_in_vain = true;
                self.wake_when_exposed(pool, tier, within);
            }
        }
        Search::InVain
    }

    /// Those of a tier's first who have chosen: of those that were passed over the last time only the next are looked at, as
    /// long as the order is what it was.
    fn pass_over(&mut self, pool: PoolId, tier: Tier) -> PassedOver {
        let version = self.nodes.version();
        let is_known = |known: &PassedOver| (known.pool, known.tier, known.version) == (pool, tier, version);
        let nobody = PassedOver { pool, tier, version, count: 0, last: None };
        let mut passed = self.search_memory.passed_over.filter(is_known).unwrap_or(nobody);
        let queue = &self.pool(pool).queues[tier.index()];
        while passed.count < SCAN_WINDOW
            && let Some(next) =
                queue.next(&self.nodes, passed.last).filter(|&(_, slot)| self.has_chosen(slot))
        {
            passed.count += 1;
            passed.last = Some(next);
        }
        debug_assert!(
            queue.in_order(&self.nodes).take(passed.count).all(|slot| self.has_chosen(slot)),
            "who has chosen has, as long as no queue changes"
        );
        self.search_memory.passed_over = Some(passed);
        passed
    }

    /// The others of the first of a tier, in order.
    fn first_behind(&self, passed: &PassedOver) -> impl Iterator<Item = u32> + use<'_> {
        let &PassedOver { pool, tier, count, last, .. } = passed;
        let queue = &self.pool(pool).queues[tier.index()];
        let first = queue.next(&self.nodes, last);
        let others = core::iter::successors(first, |&last| queue.next(&self.nodes, Some(last)));
        others.take(SCAN_WINDOW - count).map(|(_, slot)| slot)
    }

    /// The first of a tier in order, those that may choose victims, and whether they are within its reserve.
    fn claimants(&self, passed: &PassedOver) -> impl Iterator<Item = (u32, bool)> + use<'_> {
        let first = self.first_behind(passed);
        first.filter(|&slot| !self.sits_out(slot)).filter_map(|slot| Some((slot, self.may_claim(slot)?)))
    }

    /// Lays a claim for a request, on units of victims or of a less urgent claim, if it can.
    fn win_back(&mut self, pool: PoolId, slot: u32, within: bool) -> Sought {
        let mut memory = core::mem::take(&mut self.search_memory);
        let found = self.find_victims(pool, slot, within, &mut memory);
        for (worker, tier, group, bounds) in memory.scratch.seen.drain(..) {
            self.worker_mut(worker).yielders[tier.index()].tighten(group, bounds);
        }
        self.search_memory = memory;
        if let Some(found) = found {
            let affordable_at = self.affordable_at(slot, found.victims());
            if affordable_at > self.now {
                self.wake(pool, Some(affordable_at));
                return Sought::TooDear;
            }
            if !self.starts_elsewhere(slot) {
                self.preempt_for(slot, found);
            }
            return Sought::Won;
        }
        let Some(claim) = self.claim_to_take_over(slot).filter(|_| within) else { return Sought::Nothing };
        if !self.starts_elsewhere(slot) {
            self.take_over(slot, claim);
        }
        Sought::Won
    }

    /// Whether some tier that may have to yield uses more than its reserve: only then is there anything to give
    /// back.
    fn anyone_borrows(&self, pool: PoolId, tier: Tier) -> bool {
        let (whom, capacity) = (self.whom(tier, true), &self.pool(pool).capacity);
        let mut others = self.tiers().filter(|&other| whom.reaches(tier, other));
        others.any(|other| capacity.account(other).excess().0.iter().any(|&units| units > 0))
    }

    /// Whether there is a claim that a request of the tier might take over.
    fn less_urgent_claims(&self, pool: PoolId, tier: Tier) -> bool {
        let capacity = &self.pool(pool).capacity;
        self.tiers().skip(tier.index() + 1).any(|other| !capacity.account(other).claimed.is_zero())
    }

    /// Whether a request has chosen victims for the attempt that it waits for.
    fn has_chosen(&self, slot: u32) -> bool {
        let record = &self.requests[slot];
        record.claim.is_some() || record.victims_for == record.attempt + 1
    }

    /// Whether victims may be chosen for a request: `Some(true)` if it is within its tier's reserve,
    /// `Some(false)` if it is beyond it and its tier preempts while it borrows.
    pub(super) fn may_claim(&self, slot: u32) -> Option<bool> {
        let record = &self.requests[slot];
        let (tier, asks) = (record.tier(), record.asks);
        let config = &self.config.tiers[tier.index()];
        if self.has_chosen(slot) || config.preemption == Preemption::Never || self.waits_for_warmth(slot) {
            return None;
        }
        let capacity = &self.pool(record.pool()).capacity;
        if capacity.is_within(tier, asks, Resources::ZERO) {
            return Some(true);
        }
        let beyond = self.config.preempt_while_borrowing(tier) == Preemption::LowerTier
            && capacity.may_borrow(tier, asks, Resources::ZERO, config)
            && (!record.never_yields() || capacity.may_pin(tier, asks, Resources::ZERO));
        beyond.then_some(false)
    }

    /// Whom the waiting requests of a tier may stop: those within its reserve, or those beyond.
    pub(super) fn whom(&self, tier: Tier, within: bool) -> Preemption {
        if within {
            self.config.tiers[tier.index()].preemption
        } else {
            self.config.preempt_while_borrowing(tier)
        }
    }

    fn preempt_for(&mut self, slot: u32, found: Found) {
        let reason = if found.within { Reason::Reclaim } else { Reason::Urgent };
        self.count_set(slot, &found.set);
        self.note_set_for(slot);
        self.hold(slot);
        self.spend(slot, found.victims());
        let claim = self.lay_claim(slot, found.worker, found.within, found.set.victims);
        for index in 0..self.claims[claim].victims.len() {
            let victim = self.claims[claim].victims[index];
            self.ask_to_stop(victim, Some(slot), Some(claim), reason);
        }
        self.freed(found.worker);
    }

    fn count_set(&mut self, slot: u32, set: &VictimSet) {
        self.count_further_set(slot);
        self.stats.straddles += set.harm.straddles();
        match set.waiver {
            Waiver::None | Waiver::Straddle => {}
            Waiver::FinishTest => self.stats.waived_finish_test += 1,
            Waiver::MinRun => self.stats.waived_min_run += 1,
            Waiver::MaxPreemptions => self.stats.waived_max_preemptions += 1,
        }
    }

    /// Nanoseconds of a tier's preemption budget that this many victims cost, if it has one.
    fn price(&self, tier: Tier, victims: usize) -> Option<u64> {
        let per_second = u64::from(self.config.tiers[tier.index()].preemption_budget?);
        Some((victims as u64).saturating_mul(BUDGET_BURST_NS.div_ceil(per_second)))
    }

    /// From when on the tier's budget allows this many victims.
    pub(super) fn affordable_at(&self, slot: u32, victims: usize) -> Instant {
        let tier = self.requests[slot].tier();
        let Some(price) = self.price(tier, victims) else { return Instant::ZERO };
        let spent = self.budget_spent[tier.index()];
        // Within the burst after it, or with nothing owed before.
        let burst = spent.as_nanos().saturating_add(price).saturating_sub(BUDGET_BURST_NS);
        spent.min(Instant::from_nanos(burst))
    }

    fn spend(&mut self, slot: u32, victims: usize) {
        let tier = self.requests[slot].tier();
        if let Some(price) = self.price(tier, victims) {
            let spent = &mut self.budget_spent[tier.index()];
            *spent = (*spent).max(self.now).plus_nanos(price);
        }
    }

    /// The worker and the victims there that do the least harm. Looks at the workers that could do less harm than the
    /// best found, the most promising first: O(workers), and what a search takes on few of them.
    pub(super) fn find_victims(
        &self,
        pool: PoolId,
        slot: u32,
        within: bool,
        memory: &mut SearchMemory,
    ) -> Option<Found> {
        let record = &self.requests[slot];
        let (tier, capacity) = (record.tier(), &self.pool(pool).capacity);
        let missing =
            if within { Resources::ZERO } else { capacity.available(tier, self.now).shortage(&record.asks) };
        let asker = Asker { slot, tier, within, whom: self.whom(tier, within), missing };
        let mut excess = [Balance::default(); MAX_TIERS];
        for (index, account) in capacity.accounts().iter().enumerate() {
            excess[index] = account.excess();
        }
        let SearchMemory { ranking, scratch, .. } = memory;
        self.find_prospects(pool, &asker, ranking);
        Need::waivers(within).iter().find_map(|&waiver| {
            let mut best: Option<(Harm, WorkerId, VictimSet)> = None;
            for &(least, worker) in &ranking.prospects {
                if best.as_ref().is_some_and(|&(harm, best, _)| (harm, best) < (least, worker)) {
                    break;
                }
                let set = self.choose_on(worker, &asker, waiver, &excess, scratch);
                let set = set.map(|set| (set.harm, worker, set));
                best = best.into_iter().chain(set).min_by_key(|&(harm, worker, _)| (harm, worker));
                // Nearly always the first does no more harm than it must: nobody comes before it then.
                if best.as_ref().is_some_and(|&(harm, best, _)| (harm, best) == (least, worker)) {
                    break;
                }
            }
            best.map(|(_, worker, set)| Found { worker, within, set })
        })
    }

    fn choose_on(
        &self,
        worker: WorkerId,
        asker: &Asker,
        waiver: Waiver,
        excess: &[Balance; MAX_TIERS],
        scratch: &mut Scratch,
    ) -> Option<VictimSet> {
        let (short_devices, devices): (SmallVec<[DeviceId; 2]>, _) =
            self.device_shortages(asker.slot, worker).into_iter().unzip();
        let short = PlaceUnits { worker: self.shortage(asker.slot, worker).max(asker.missing), devices };
        if short.is_zero() {
            return None;
        }
        let need = Need { order: asker.order(), within: asker.within, short };
        let sources = self.sources(worker, &short_devices);
        preempt::choose(&need, self.rules(), waiver, excess, (&sources, self), scratch)
    }

    fn rules(&self) -> Rules {
        Rules {
            now: self.now,
            min_run_ns: self.config.min_run_ns,
            max_preemptions: self.config.max_preemptions,
            prices: Prices { compute_ns: self.compute_token_ns(), swap_ns: self.config.swap_token_ns },
        }
    }

    /// The workers on which there may be a set, of those that could hold the request with what others may have to
    /// give back there.
    fn find_prospects(&self, pool: PoolId, asker: &Asker, ranking: &mut Ranking) {
        self.refresh_ranking(pool, asker, ranking);
        let rare = self.requests.rare(asker.slot);
        let is_kept_off = rare.is_kept_off(self.now);
        if ranking.is_listed && !is_kept_off {
            return;
        }
        ranking.unlist();
        // Who is kept off some searches others than who asks next.
        ranking.is_listed = !is_kept_off;
        let mut left = SEARCHED_WORKERS;
        for place in 0..ranking.ranked.len() {
            let (Reverse(units), worker) = ranking.ranked[place];
            if units.is_none() || left == 0 {
                return;
            }
            if !(is_kept_off && rare.is_excluded_from(worker, self.now)) {
                left -= 1;
                ranking.search(worker, || self.least_harm(worker, asker));
            }
        }
    }

    /// No set on a worker does less harm; `None` if there is none.
    fn least_harm(&self, worker: WorkerId, asker: &Asker) -> Option<Harm> {
        let target = self.worker(worker);
        if !target.spec.devices.is_empty() {
            // Those of other workers may help where a device is short.
            return Some(Harm::LEAST);
        }
        let short = self.shortage(asker.slot, worker).max(asker.missing);
        let steps = preempt::steps_told(target.step_tokens);
        Harm::at_least(asker.order(), short, &target.yielders, steps, self.rules().prices)
    }

    /// Brings a ranking up to date, for who asks this. O(log workers) where the same was asked and few changed since; else
    /// O(workers).
    fn refresh_ranking(&self, pool: PoolId, asker: &Asker, ranking: &mut Ranking) {
        let &Asker { slot, tier, whom, missing, .. } = asker;
        let asks = self.requests[slot].asks;
        let question = Question { pool, tier, whom, asks, missing, prices: self.rules().prices };
        if ranking.question.replace(question) != Some(question) {
            ranking.begin(&self.pool(pool).up, self.workers.len());
        }
        let reached: SmallVec<[Tier; MAX_TIERS]> = asker.order().tiers(self.config.tiers.len()).collect();
        let mark = ranking.mark.replace(self.changes.mark());
        let (mut changed, mut misplaced) = (0, Few::new());
        let mut look_at = |ranking: &mut Ranking, place: usize| {
            let worker = ranking.ranked[place].1;
            let target = &self.workers[worker.index()];
            if ranking.known[worker.index()].changes != Some(target.changes) {
                ranking.change(place, target.changes, target.yielding_for(&reached, &asks));
                changed += 1;
                if changed <= FEW_CHANGES {
                    misplaced.push(place);
                }
            }
        };
        match mark.and_then(|mark| self.changes.since(mark)) {
            Some(few) => {
                // All are found before any is changed: after that they are not where they belong.
                let places: Few<usize> = few.filter_map(|worker| ranking.place_of(worker)).collect();
                places.into_iter().for_each(|place| look_at(ranking, place));
            }
            None => (0..ranking.ranked.len()).for_each(|place| look_at(ranking, place)),
        }
        if changed > FEW_CHANGES {
            ranking.ranked.sort_unstable();
            ranking.is_listed = false;
        } else if changed > 0 {
            ranking.settle(misplaced, |worker| self.least_harm(worker, asker));
        }
    }

    /// Where those are who may yield: on the worker, and on the others of its devices that are short.
    fn sources(&self, here: WorkerId, short_devices: &[DeviceId]) -> SmallVec<[Source<'_>; 1]> {
        let source = |id: WorkerId| {
            let worker = self.worker(id);
            Source {
                worker: id,
                yielders: &worker.yielders,
                steps: preempt::steps_told(worker.step_tokens),
                is_here: id == here,
                parts: short_devices.iter().map(|&id| worker.part_on(id).copied()).collect(),
            }
        };
        if short_devices.is_empty() {
            return smallvec![source(here)];
        }
        let mut workers: SmallVec<[WorkerId; 4]> = smallvec![here];
        let pool = self.worker(here).spec.pool;
        for device in short_devices {
            let sharing = self.devices[device.index()].workers.iter().copied();
            workers
                .extend(sharing.filter(|&id| self.worker(id).is_up() && self.worker(id).spec.pool == pool));
        }
        workers.sort_unstable();
        workers.dedup();
        workers.into_iter().map(source).collect()
    }

    /// Some are protected by `min_run`, or by being nearly done: the search is worth repeating when the first
    /// of them has run that long. (For one within its reserve the protection is waived; another set may still
    /// do less harm, but any set would have served it.)
    fn wake_when_exposed(&mut self, pool: PoolId, tier: Tier, within: bool) {
        if within {
            return;
        }
        for other in self.tiers().skip(tier.index() + 1) {
            let first = self.first_exposed(pool, other);
            self.wake(pool, first);
        }
    }
}

impl SearchMemory {
    /// Other workers are up.
    pub(super) fn forget_ranking(&mut self) {
        self.ranking.question = None;
    }
}

impl Ranking {
    /// Nothing is known of these workers, of so many that there are.
    fn begin(&mut self, up: &[WorkerId], workers: usize) {
        self.known.clear();
        self.known.resize(workers, Known::default());
        self.ranked.clear();
        self.ranked.extend(up.iter().map(|&worker| (Reverse(None), worker)));
        self.mark = None;
        self.is_listed = false;
    }

    /// Where a worker stands, if it is one of them.
    fn place_of(&self, worker: WorkerId) -> Option<usize> {
        let units = self.known.get(worker.index())?.units;
        self.ranked.binary_search(&(units, worker)).ok()
    }

    /// The worker at a place has changed, and is to be ranked by this now; it stays where it is.
    fn change(&mut self, place: usize, changes: u64, units: Option<u64>) {
        let (ranked, worker) = &mut self.ranked[place];
        *ranked = Reverse(units);
        let known = &mut self.known[worker.index()];
        (known.changes, known.units) = (Some(changes), *ranked);
        let is_searched = core::mem::take(&mut known.is_searched);
        let least = known.least.take().flatten().filter(|_| is_searched && self.is_listed);
        let worker = *worker;
        self.drop_prospect(least, worker);
    }

    /// A worker is searched no more, on which this was the least harm, if there could be a set.
    fn drop_prospect(&mut self, least: Option<Harm>, worker: WorkerId) {
        let place = least.and_then(|least| self.prospects.binary_search(&(least, worker)).ok());
        debug_assert_eq!(place.is_some(), least.is_some(), "it stands where its least harm puts it");
        place.map(|place| self.prospects.remove(place));
    }

    /// Puts those that changed, and are at these places, where they belong; who is searched follows.
    fn settle(&mut self, mut places: Few<usize>, least_harm: impl Fn(WorkerId) -> Option<Harm>) {
        places.sort_unstable();
        let changed: Few<WorkerId> = places.iter().map(|&place| self.ranked[place].1).collect();
        put_in_place(&mut self.ranked, &places);
        if !self.is_listed {
            return;
        }
        // Of the others only those at the edge came to be searched, or are searched no more: as many as changed at most.
        let last = SEARCHED_WORKERS + changed.len();
        let edge = SEARCHED_WORKERS.saturating_sub(changed.len())..last.min(self.ranked.len());
        for place in
            edge.chain(changed.iter().filter_map(|&worker| self.place_of(worker)).collect::<Few<_>>())
        {
            let (Reverse(units), worker) = self.ranked[place];
            if place < SEARCHED_WORKERS && units.is_some() {
                self.search(worker, || least_harm(worker));
            } else if core::mem::take(&mut self.known[worker.index()].is_searched) {
                self.drop_prospect(self.known[worker.index()].least.flatten(), worker);
            }
        }
    }

    /// A worker is searched, if it is not yet.
    fn search(&mut self, worker: WorkerId, least_harm: impl FnOnce() -> Option<Harm>) {
        let known = &mut self.known[worker.index()];
        if core::mem::replace(&mut known.is_searched, true) {
            return;
        }
        if let Some(least) = *known.least.get_or_insert_with(least_harm) {
            let place = self.prospects.partition_point(|&other| other < (least, worker));
            self.prospects.insert(place, (least, worker));
        }
    }

    /// Nobody is searched.
    fn unlist(&mut self) {
        self.prospects.clear();
        self.known.iter_mut().for_each(|known| known.is_searched = false);
    }
}

/// Sorts what is in order but for these places, which are told in order. O(places that those move, and log all for each).
fn put_in_place<T: Ord + Copy>(all: &mut [T], misplaced: &[usize]) {
    let moved: SmallVec<[T; FEW_CHANGES]> = misplaced.iter().map(|&place| all[place]).collect();
    let ends = misplaced.iter().skip(1).copied().chain([all.len()]);
    let mut sorted = misplaced.first().copied().unwrap_or(all.len());
    for (&place, end) in misplaced.iter().zip(ends) {
        all.copy_within(place + 1..end, sorted);
        sorted += end - (place + 1);
    }
    for one in moved {
        let place = all[..sorted].partition_point(|other| *other < one);
        all.copy_within(place..sorted, place + 1);
        all[place] = one;
        sorted += 1;
    }
}

impl Runners for Scheduler {
    fn candidate(&self, slot: u32, source: u32) -> Candidate {
        let (record, run) = (&self.requests[slot], self.requests.run(slot));
        Candidate {
            id: self.requests.id(slot),
            tier: record.tier(),
            used: run.in_use,
            source,
            preemptions: record.preemptions,
            started_at: run.started_at,
            work_lost: self.work_lost(slot),
            finishes_first: self.finishes_after(slot).is_some_and(|takes| takes < self.config.stop_takes_ns),
            straddles: false,
        }
    }

    fn bounds(&self, slot: u32) -> Bounds {
        self.yielder_bounds(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn few_that_are_misplaced_come_where_a_sort_puts_them(
            mut all in prop::collection::vec(0_u8..40, 1..40),
            changes in prop::collection::btree_map(0_usize..40, 0_u8..40, 0..=FEW_CHANGES),
        ) {
            all.sort_unstable();
            let changes = changes.into_iter().filter(|&(place, _)| place < all.len()).collect::<Vec<_>>();
            changes.iter().for_each(|&(place, value)| all[place] = value);
            let misplaced: Vec<usize> = changes.iter().map(|&(place, _)| place).collect();
            let mut sorted = all.clone();
            sorted.sort_unstable();
            put_in_place(&mut all, &misplaced);
            prop_assert_eq!(all, sorted);
        }

        #[test]
        fn who_is_searched_follows_few_changes_as_if_all_were_listed_anew(
            workers in 1_u32..80,
            rounds in prop::collection::vec(
                prop::collection::btree_map(0_u32..80, prop::option::of(0_u64..6), 1..=FEW_CHANGES),
                1..12,
            ),
        ) {
            let up: Vec<WorkerId> = (0..workers).map(WorkerId::new).collect();
            let least = |worker: WorkerId| (!worker.get().is_multiple_of(3)).then_some(Harm::LEAST);
            let mut ranking = Ranking::default();
            ranking.begin(&up, up.len());
            ranking.is_listed = true;
            for (changes, round) in rounds.into_iter().zip(1..) {
                let known = changes.keys().filter_map(|&worker| ranking.place_of(WorkerId::new(worker)));
                let places: Few<usize> = known.collect();
                for &place in &places {
                    let units = changes[&ranking.ranked[place].1.get()];
                    ranking.change(place, round, units);
                }
                ranking.settle(places, least);
                let open = ranking.ranked.iter().filter(|(Reverse(units), _)| units.is_some());
                let mut anew: Vec<_> =
                    open.take(SEARCHED_WORKERS).filter_map(|&(_, id)| Some((least(id)?, id))).collect();
                anew.sort_unstable();
                let mut followed = ranking.prospects.clone();
                followed.sort_unstable();
                prop_assert!(ranking.ranked.is_sorted());
                prop_assert_eq!(followed, anew);
            }
        }
    }
}
