//! Section 6: who may choose victims, which, and where.

use core::cmp::Reverse;

use tidegate::{DeviceId, Preemption, Reason, RequestId, WorkerId, Yielding};

use super::{Model, Seq, Units, beyond, is_zero, le, max, on, sub, sum};

/// Rules that protect victims; each is waived with those before it.
pub(super) const RULES: [&str; 5] = ["none", "finish test", "min_run", "straddle", "max_preemptions"];

/// What is short on a worker, and on each of its devices that is short of something.
#[derive(Clone)]
struct Need {
    worker: WorkerId,
    short: Units,
    devices: Vec<(DeviceId, Units)>,
}

pub(super) struct Set {
    pub(super) worker: WorkerId,
    pub(super) victims: Vec<(Seq, bool)>,
    pub(super) waived: usize,
}

impl Model {
    /// One request chooses victims, or takes over a claim. Whether one did.
    pub(crate) fn reclaim(&mut self, pool: usize) -> bool {
        (0..self.setup.tiers.len()).any(|tier| self.reclaim_for(pool, tier))
    }

    fn reclaim_for(&mut self, pool: usize, tier: usize) -> bool {
        let setup = &self.setup.tiers[tier];
        if setup.preemption == Preemption::Never {
            return false;
        }
        let any_borrower = setup.preemption == Preemption::AnyBorrower;
        let borrows = |other: usize| self.excess(pool, other).iter().any(|&units| units > 0);
        let mut others = (0..self.setup.tiers.len()).filter(|&o| self.takes_from(tier, any_borrower, o));
        let to_take_over = self.claims_in(pool).iter().any(|id| self.claims[id].tier > tier);
        if !others.any(borrows) && !to_take_over {
            return false;
        }
        let mut in_vain: Vec<Units> = Vec::new();
        for seq in self.in_order(pool, tier).into_iter().take(32) {
            let request = &self.requests[&seq];
            let chose = self.claim_of(seq).is_some() || request.chose_for == request.attempt + 1;
            if self.sits_out(seq) || chose || self.waits_for_warmth(seq) {
                continue;
            }
            let within = self.is_within(pool, tier, request.asks, [0; 4]);
            let may = within
                || self.setup.tiers[tier].borrows_by_preemption(tier) && self.passes(seq, [0; 4], [0; 4]);
            if !may {
                continue;
            }
            let asks = request.asks;
            if let Some(lack) = self.quota_lack(seq) {
                self.wait_for_quota(seq, lack);
                return self.reclaim_for(pool, tier);
            }
            if !within && in_vain.iter().any(|&least| le(least, asks)) {
                continue;
            }
            match self.find_set(pool, seq, within) {
                Some(set) if self.can_afford(tier, set.victims.len()) => {
                    if !self.starts_elsewhere(seq) {
                        self.choose(seq, within, set);
                    }
                    return true;
                }
                Some(_) => {}
                None => {
                    if let Some(claim) = self.claim_to_take_over(seq).filter(|_| within) {
                        if !self.starts_elsewhere(seq) {
                            self.take_over(seq, claim);
                        }
                        return true;
                    }
                    let now = self.now;
                    if !within && !self.requests[&seq].excluded.iter().any(|&(_, until)| now < until) {
                        in_vain.push(asks);
                    }
                }
            }
        }
        false
    }

    fn price(&self, tier: usize, victims: usize) -> Option<u64> {
        let per_second = u64::from(self.setup.tiers[tier].preemption_budget?);
        Some(victims as u64 * 1_000_000_000_u64.div_ceil(per_second))
    }

    fn can_afford(&self, tier: usize, victims: usize) -> bool {
        let spent = self.budget_spent[tier];
        self.price(tier, victims).is_none_or(|price| {
            spent <= self.now || u128::from(spent) + u128::from(price) <= u128::from(self.now) + 1_000_000_000
        })
    }

    fn choose(&mut self, seq: Seq, within: bool, set: Set) {
        self.violation = self.violation.take().or(self.check_set(seq, within, &set).err());
        self.count_further_set(seq);
        self.note_set(seq);
        self.hold(seq);
        self.counters.straddles += set.victims.iter().filter(|(_, straddles)| *straddles).count() as u64;
        match RULES[set.waived] {
            "finish test" => self.counters.waived_finish_test += 1,
            "min_run" => self.counters.waived_min_run += 1,
            "max_preemptions" => self.counters.waived_max_preemptions += 1,
            _ => {}
        }
        let tier = self.requests[&seq].tier();
        if let Some(price) = self.price(tier, set.victims.len()) {
            self.budget_spent[tier] = self.budget_spent[tier].max(self.now).saturating_add(price);
        }
        let victims: Vec<Seq> = set.victims.iter().map(|&(victim, _)| victim).collect();
        self.lay_claim(seq, set.worker, within, victims.clone());
        let reason = if within { Reason::Reclaim } else { Reason::Urgent };
        for victim in victims {
            self.ask_to_stop(victim, Some(seq), reason);
        }
    }

    fn find_set(&self, pool: usize, seq: Seq, within: bool) -> Option<Set> {
        let request = &self.requests[&seq];
        let tier = request.tier();
        let any_borrower = within && self.setup.tiers[tier].preemption == Preemption::AnyBorrower;
        let missing = if within {
            [0; 4]
        } else {
            let avail = self.avail(pool, tier);
            [0, 1, 2, 3].map(|d| if request.asks[d] > 0 { (request.asks[d] - avail[d]).max(0) } else { 0 })
        };
        let mut sets = Vec::new();
        for worker in self.searched(pool, seq, any_borrower) {
            let (short, mut devices) = self.shortages(seq, worker, false);
            devices.retain(|(_, short)| !is_zero(*short));
            let need = Need { worker, short: max(short, missing), devices };
            if is_zero(need.short) && need.devices.is_empty() {
                continue;
            }
            sets.extend(self.set_on(pool, tier, within, any_borrower, &need));
        }
        sets.into_iter().min_by_key(|set| {
            let most_urgent = set.victims.iter().map(|(victim, _)| self.requests[victim].tier()).min();
            let lost: u128 = set.victims.iter().map(|(victim, _)| u128::from(self.work_lost(*victim))).sum();
            let straddles = set.victims.iter().filter(|(_, straddles)| *straddles).count();
            (set.waived, straddles, Reverse(most_urgent), lost, set.victims.len(), set.worker)
        })
    }

    /// The workers on which victims are sought, in the order of their ids.
    fn searched(&self, pool: usize, seq: Seq, any_borrower: bool) -> Vec<WorkerId> {
        let request = &self.requests[&seq];
        let theirs = |id: WorkerId| {
            let here = self.here(id).into_iter().map(|other| &self.requests[&other]);
            let others = here.filter(|other| self.takes_from(request.tier(), any_borrower, other.tier()));
            sum(others.map(|other| other.in_use))
        };
        let mut able = self.up(pool);
        able.retain(|&id| {
            le(request.asks, self.whole(id))
                && !request.is_kept_off(id, self.now)
                && le(self.shortages(seq, id, false).0, theirs(id))
        });
        let used =
            |id: WorkerId| (0..4).filter(|&d| request.asks[d] > 0).map(|d| theirs(id)[d]).sum::<i128>();
        able.sort_by_key(|&id| (Reverse(used(id)), id));
        able.truncate(32);
        able.sort();
        able
    }

    /// What a victim frees of each short place: of the worker, then of each short device.
    fn frees(&self, victim: Seq, need: &Need) -> Vec<(Units, Units)> {
        let request = &self.requests[&victim];
        let here = if request.worker == need.worker { request.in_use } else { [0; 4] };
        let parts = &self.worker(request.worker).spec.devices;
        let devices = need.devices.iter().map(|&(device, short)| {
            let part = parts.iter().find(|part| part.device == device);
            (short, part.map_or([0; 4], |part| on(*part, request.in_use)))
        });
        core::iter::once((need.short, here)).chain(devices).collect()
    }

    /// The dimensions in which a victim frees something that is short.
    fn helps(&self, victim: Seq, need: &Need) -> Vec<usize> {
        let frees = self.frees(victim, need);
        (0..4).filter(|&d| frees.iter().any(|(short, frees)| short[d] > 0 && frees[d] > 0)).collect()
    }

    fn is_met(&self, need: &Need, victims: &[Seq]) -> bool {
        let of = |place: usize| sum(victims.iter().map(|&victim| self.frees(victim, need)[place].1));
        le(need.short, of(0))
            && need.devices.iter().enumerate().all(|(index, (_, short))| le(*short, of(index + 1)))
    }

    fn set_on(&self, pool: usize, tier: usize, within: bool, any_borrower: bool, need: &Need) -> Option<Set> {
        let mut workers = vec![need.worker];
        for (device, _) in &need.devices {
            let sharing = self.on_device(*device).into_iter().map(|(id, _)| id);
            workers.extend(sharing.filter(|id| self.up(pool).contains(id)));
        }
        workers.sort_unstable();
        workers.dedup();
        let mut candidates: Vec<Seq> = workers.into_iter().flat_map(|id| self.here(id)).collect();
        candidates.retain(|seq| {
            let request = &self.requests[seq];
            request.stays()
                && request.spec.yielding != Yielding::Never
                && self.takes_from(tier, any_borrower, request.tier())
                && !self.helps(*seq, need).is_empty()
        });
        candidates.sort_by(|&a, &b| self.compare_victims(a, b, need));
        let waivers = if within { RULES.len() } else { 1 };
        (0..waivers).find_map(|waived| self.search(pool, within, waived, need, &candidates))
    }

    fn compare_victims(&self, a: Seq, b: Seq, need: &Need) -> core::cmp::Ordering {
        let freed = |seq: Seq| -> u128 {
            let of = |(short, frees): &(Units, Units)| -> i128 {
                let d = (0..4).filter(|&d| short[d] > 0);
                d.map(|d| frees[d].min(short[d]) * 1_000_000 / short[d]).sum()
            };
            (self.frees(seq, need).iter().map(of).sum::<i128>() as u128).max(1)
        };
        let lost = |seq: Seq| u128::from(self.work_lost(seq));
        let (x, y) = (&self.requests[&a], &self.requests[&b]);
        let id = |request: &super::Request| -> RequestId { request.id };
        (y.tier().cmp(&x.tier()))
            .then(x.preemptions.cmp(&y.preemptions))
            .then((lost(a) * freed(b)).cmp(&(lost(b) * freed(a))))
            .then(y.started_at.cmp(&x.started_at))
            .then(id(x).cmp(&id(y)))
    }

    fn search(
        &self,
        pool: usize,
        within: bool,
        waived: usize,
        need: &Need,
        candidates: &[Seq],
    ) -> Option<Set> {
        let mut chosen: Vec<(Seq, bool)> = Vec::new();
        for &seq in candidates {
            let taken: Vec<Seq> = chosen.iter().map(|&(victim, _)| victim).collect();
            let mut left = need.clone();
            for &victim in &taken {
                let frees = self.frees(victim, need);
                left.short = beyond(left.short, frees[0].1);
                for (index, (_, short)) in left.devices.iter_mut().enumerate() {
                    *short = beyond(*short, frees[index + 1].1);
                }
            }
            if self.is_met(need, &taken) {
                break;
            }
            if !self.helps(seq, &left).is_empty()
                && let Some(straddles) = self.is_legal(pool, within, waived, need, seq, &chosen)
            {
                chosen.push((seq, straddles));
            }
        }
        let met = |chosen: &[(Seq, bool)]| {
            let victims: Vec<Seq> = chosen.iter().map(|&(victim, _)| victim).collect();
            self.is_met(need, &victims)
        };
        if !met(&chosen) {
            let single = candidates.iter().find_map(|&seq| {
                let straddles = self.is_legal(pool, within, waived, need, seq, &[])?;
                met(&[(seq, straddles)]).then_some((seq, straddles))
            })?;
            chosen = vec![single];
        }
        for index in (0..chosen.len()).rev() {
            let mut others = chosen.clone();
            others.remove(index);
            if met(&others) {
                chosen = others;
            }
        }
        Some(Set { worker: need.worker, victims: chosen, waived })
    }

    /// Whether a victim may be taken beside those chosen, and whether its tier straddles then.
    fn is_legal(
        &self,
        pool: usize,
        within: bool,
        waived: usize,
        need: &Need,
        seq: Seq,
        chosen: &[(Seq, bool)],
    ) -> Option<bool> {
        let request = &self.requests[&seq];
        let waives = |rule: &str| RULES[..=waived].contains(&rule);
        let old_enough = self.now - request.started_at >= self.setup.min_run;
        let exposed = (waives("finish test") || !self.finishes_first(seq))
            && (waives("min_run") || old_enough)
            && (waives("max_preemptions") || request.preemptions < self.setup.max_preemptions);
        if !exposed {
            return None;
        }
        let of_tier = |victim: Seq| self.requests[&victim].tier() == request.tier();
        let taken = chosen.iter().filter(|(victim, _)| of_tier(*victim));
        let taken = sum(taken.map(|(victim, _)| self.requests[victim].in_use));
        let left = sub(self.excess(pool, request.tier()), taken);
        let covers = |d: usize| left[d] >= request.in_use[d];
        if !within {
            return (0..4).filter(|&d| request.in_use[d] > 0).all(covers).then_some(false);
        }
        let helps = self.helps(seq, need);
        if helps.iter().any(|&d| covers(d)) {
            return Some(false);
        }
        let straddled = chosen.iter().any(|&(victim, straddles)| straddles && of_tier(victim));
        let may = waives("straddle") && !straddled && helps.iter().any(|&d| left[d] > 0);
        may.then_some(true)
    }

    pub(crate) fn finishes_first(&self, seq: Seq) -> bool {
        let request = &self.requests[&seq];
        let (Some((base, _, decode)), Some(expected)) = (self.setup.step_time, request.spec.output_tokens)
        else {
            return false;
        };
        let step = base.saturating_add((self.here(request.worker).len() as u64).saturating_mul(decode));
        expected.saturating_sub(request.output).saturating_mul(step) < self.setup.stop_takes
    }
}
