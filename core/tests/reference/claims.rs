//! Section 7: claims, victims, stops, and what stopping costs.

use tidegate::{Action, DeviceId, Reason, RequestState, WorkerId, YieldMode, Yielding};

use super::{Claim, Model, Seq, Units, add, at, beyond, forget_checkpoint, is_zero, le, min, on, sub, tier};

impl Model {
    /// The most urgent first, then the earliest.
    pub(crate) fn claim_rank(&self, id: u64) -> (usize, Seq) {
        (self.claims[&id].tier, self.claims[&id].owner)
    }

    fn claims_by_rank(&self) -> Vec<u64> {
        let mut claims: Vec<u64> = self.claims.keys().copied().collect();
        claims.sort_by_key(|&id| self.claim_rank(id));
        claims
    }

    pub(crate) fn lay_claim(&mut self, owner: Seq, worker: WorkerId, within: bool, victims: Vec<Seq>) -> u64 {
        let request = &self.requests[&owner];
        let (tier, size) = (request.tier(), request.asks);
        let id = self.next_claim;
        self.next_claim += 1;
        self.claims.insert(id, Claim { owner, tier, worker, within, size, earmarked: [0; 4], victims });
        id
    }

    /// Brings all claims in line with what is free, until nothing changes.
    pub(crate) fn balance(&mut self) {
        loop {
            let claims = self.claims_by_rank();
            for &id in claims.iter().rev() {
                self.take_back(id);
            }
            for &id in &claims {
                self.top_up(id);
            }
            let hopeless = |id: &u64| {
                let claim = &self.claims[id];
                claim.earmarked != claim.size && claim.victims.is_empty()
            };
            match claims.into_iter().find(hopeless) {
                Some(id) => self.remove_claim(id),
                None => return,
            }
        }
    }

    fn set_earmarked(&mut self, id: u64, units: Units) {
        self.claims.get_mut(&id).expect("it is there").earmarked = units;
    }

    fn take_back(&mut self, id: u64) {
        let (worker, earmarked) = (self.claims[&id].worker, self.claims[&id].earmarked);
        let over = beyond([0; 4], self.room(worker));
        self.set_earmarked(id, beyond(earmarked, over));
        for part in self.worker(worker).spec.devices.clone() {
            let over = beyond([0; 4], self.device_room(part.device));
            if !is_zero(over) {
                let earmarked = self.claims[&id].earmarked;
                let left = beyond(on(part, earmarked), over);
                let kept = left.map(|units| units * 1_000_000 / i128::from(part.part.get()));
                self.set_earmarked(id, min(earmarked, kept));
            }
        }
    }

    fn top_up(&mut self, id: u64) {
        let claim = &self.claims[&id];
        let mut most = min(sub(claim.size, claim.earmarked), beyond(self.room(claim.worker), [0; 4]));
        for part in &self.worker(claim.worker).spec.devices {
            let reach = add(on(*part, claim.earmarked), beyond(self.device_room(part.device), [0; 4]));
            let reach = reach.map(|units| units * 1_000_000 / i128::from(part.part.get()));
            most = min(most, beyond(reach, claim.earmarked));
        }
        let earmarked = add(claim.earmarked, most);
        self.set_earmarked(id, earmarked);
    }

    /// Ends a claim; its victims are spared, and its owner may choose again.
    pub(crate) fn remove_claim(&mut self, id: u64) {
        let claim = self.claims.remove(&id).expect("it is there");
        for victim in claim.victims {
            self.spare(victim);
        }
        self.let_choose_again(claim.owner);
        self.undo_idle_hold(claim.owner);
    }

    fn let_choose_again(&mut self, seq: Seq) {
        let request = self.request(seq);
        request.chose_for = 0;
    }

    pub(crate) fn give_up_claim(&mut self, seq: Seq) {
        let Some(id) = self.claim_of(seq) else { return };
        let Some(heir) = self.heir(id) else { return self.remove_claim(id) };
        let size = self.requests[&heir].asks;
        let claim = self.claims.get_mut(&id).expect("it is there");
        claim.owner = heir;
        claim.size = size;
        claim.earmarked = min(claim.earmarked, size);
        let within = claim.within;
        self.let_choose_again(seq);
        self.undo_idle_hold(seq);
        self.hold(heir);
        self.rename_beneficiary(seq, heir, None);
        self.note_set(heir);
        if within {
            self.spare_superfluous(id);
        }
        self.settle();
    }

    pub(crate) fn note_set(&mut self, seq: Seq) {
        let request = self.request(seq);
        request.chose_for = request.attempt + 1;
        request.last_set_for = request.chose_for;
    }

    /// Counts a set for an attempt that had one before.
    pub(crate) fn count_further_set(&mut self, seq: Seq) {
        let request = &self.requests[&seq];
        if request.last_set_for == request.attempt + 1 {
            self.counters.further_sets += 1;
        }
    }

    fn rename_beneficiary(&mut self, former: Seq, heir: Seq, only: Option<Seq>) {
        let (former, heir) = (self.requests[&former].id, self.requests[&heir].id);
        let only = only.map(|seq| self.requests[&seq].id);
        for action in &mut self.outbox {
            if let Action::Preempt { beneficiary: Some(request), victim, .. } = action
                && *request == former
                && only.is_none_or(|only| only == *victim)
            {
                *request = heir;
            }
        }
    }

    fn heir(&self, id: u64) -> Option<Seq> {
        let claim = &self.claims[&id];
        let pool = self.worker(claim.worker).spec.pool.get() as usize;
        let pinned = if self.requests[&claim.owner].never_yields() { claim.size } else { [0; 4] };
        self.in_order(pool, claim.tier).into_iter().take(32).find(|&seq| {
            let request = &self.requests[&seq];
            let within = self.is_within(pool, claim.tier, request.asks, claim.size);
            self.claim_of(seq).is_none()
                && le(request.asks, claim.size)
                && self.quota_lack(seq).is_none()
                && !request.is_kept_off(claim.worker, self.now)
                && (within || !claim.within && self.passes(seq, claim.size, pinned))
        })
    }

    /// What has to come from victims: on the worker, and on each of its devices.
    fn lack(&self, id: u64) -> (Units, Vec<(DeviceId, Units)>) {
        let claim = &self.claims[&id];
        let missing = beyond(sub(claim.size, claim.earmarked), beyond(self.room(claim.worker), [0; 4]));
        let devices = self.worker(claim.worker).spec.devices.iter().map(|part| {
            let missing = sub(on(*part, claim.size), on(*part, claim.earmarked));
            (part.device, beyond(missing, beyond(self.device_room(part.device), [0; 4])))
        });
        (missing, devices.collect())
    }

    fn give(&self, victim: Seq, worker: WorkerId, lack: &mut (Units, Vec<(DeviceId, Units)>)) {
        let request = &self.requests[&victim];
        if request.worker == worker {
            lack.0 = beyond(lack.0, request.in_use);
        }
        for (device, missing) in &mut lack.1 {
            let parts = &self.worker(request.worker).spec.devices;
            if let Some(part) = parts.iter().find(|part| part.device == *device) {
                *missing = beyond(*missing, on(*part, request.in_use));
            }
        }
    }

    fn spare_superfluous(&mut self, id: u64) {
        let (lack, worker) = (self.lack(id), self.claims[&id].worker);
        let mut kept = self.claims[&id].victims.clone();
        let mut spared = Vec::new();
        for index in (0..kept.len()).rev() {
            let mut others = kept.clone();
            let victim = others.remove(index);
            let mut left = lack.clone();
            others.iter().for_each(|&other| self.give(other, worker, &mut left));
            if is_zero(left.0) && left.1.iter().all(|(_, missing)| is_zero(*missing)) {
                spared.push(victim);
                kept = others;
            }
        }
        self.claims.get_mut(&id).expect("it is there").victims = kept;
        spared.into_iter().for_each(|victim| self.spare(victim));
    }

    /// A claim of a less urgent tier that covers what a request is short of.
    pub(crate) fn claim_to_take_over(&self, seq: Seq) -> Option<u64> {
        let request = &self.requests[&seq];
        let pool = request.spec.pool.get() as usize;
        let able = self.claims_in(pool).into_iter().filter(|id| {
            let claim = &self.claims[id];
            let (short, devices) = self.shortages(seq, claim.worker, true);
            let parts = &self.worker(claim.worker).spec.devices;
            let gathered = devices
                .iter()
                .zip(parts)
                .map(|(&(device, short), part)| (device, beyond(short, on(*part, claim.earmarked))));
            let mut lack = (beyond(short, claim.earmarked), gathered.collect::<Vec<_>>());
            for &victim in &claim.victims {
                self.give(victim, claim.worker, &mut lack);
            }
            claim.tier > request.tier()
                && le(request.asks, self.whole(claim.worker))
                && !request.is_kept_off(claim.worker, self.now)
                && claim.victims.iter().all(|victim| self.requests[victim].tier() > request.tier())
                && is_zero(lack.0)
                && lack.1.iter().all(|(_, short)| is_zero(*short))
        });
        able.min_by_key(|id| {
            let claim = &self.claims[id];
            (core::cmp::Reverse(claim.tier), claim.worker, core::cmp::Reverse(claim.owner))
        })
    }

    pub(crate) fn take_over(&mut self, seq: Seq, from: u64) {
        self.counters.takeovers += 1;
        let (worker, former) = (self.claims[&from].worker, self.claims[&from].owner);
        self.count_further_set(seq);
        self.note_set(seq);
        self.hold(seq);
        let id = self.lay_claim(seq, worker, true, Vec::new());
        self.top_up(id);
        let wanted = sub(self.claims[&id].size, self.claims[&id].earmarked);
        let handed = min(wanted, self.claims[&from].earmarked);
        self.set_earmarked(from, sub(self.claims[&from].earmarked, handed));
        self.set_earmarked(id, add(self.claims[&id].earmarked, handed));
        let mut lack = self.lack(id);
        for victim in self.claims[&from].victims.clone() {
            let before = lack.clone();
            self.give(victim, worker, &mut lack);
            if lack != before {
                self.claims.get_mut(&from).expect("it is there").victims.retain(|&other| other != victim);
                self.claims.get_mut(&id).expect("it is there").victims.push(victim);
                self.rename_beneficiary(former, seq, Some(victim));
            }
        }
        self.settle();
    }

    /// It is nobody's victim any more.
    pub(crate) fn forget_victim(&mut self, seq: Seq) {
        for claim in self.claims.values_mut() {
            claim.victims.retain(|&victim| victim != seq);
        }
        self.request(seq).confirm_by = None;
    }

    pub(crate) fn ask_to_stop(&mut self, seq: Seq, beneficiary: Option<Seq>, reason: Reason) {
        let confirm_by = self.now.saturating_add(self.setup.confirm_after);
        let mode = self.choose_mode(seq);
        let beneficiary = beneficiary.map(|seq| self.requests[&seq].id);
        let request = self.request(seq);
        request.state = RequestState::Preempting;
        request.yields_for = reason;
        request.confirm_by = Some(confirm_by);
        let (victim, attempt) = (request.id, request.attempt());
        self.say(Action::Preempt { victim, attempt, mode, beneficiary, confirm_by: at(confirm_by), reason });
    }

    fn spare(&mut self, seq: Seq) {
        if self.requests[&seq].state == RequestState::Releasing {
            return;
        }
        let unheard = self.unsay(seq);
        let lapses_at = self.now.checked_add(self.setup.hold_timeout);
        let request = self.request(seq);
        request.confirm_by = None;
        request.lapses_at = lapses_at;
        forget_checkpoint(request);
        request.state = if request.runs { RequestState::Running } else { RequestState::Starting };
        let (victim, attempt) = (request.id, request.attempt());
        if !unheard {
            self.say(Action::Spare { victim, attempt, reason: Reason::NotNeeded });
        }
    }

    fn recompute(&self, seq: Seq) -> u64 {
        let request = &self.requests[&seq];
        if !request.runs {
            return 0;
        }
        let lost = self.context(seq).saturating_sub(request.cached.max(request.kept));
        lost.saturating_mul(self.setup.step_time.map_or(1, |(_, prompt_token, _)| prompt_token))
    }

    fn swap(&self, seq: Seq) -> u64 {
        self.context(seq).saturating_mul(self.setup.swap_token)
    }

    pub(crate) fn work_lost(&self, seq: Seq) -> u64 {
        match self.requests[&seq].spec.yielding {
            Yielding::Checkpoint => self.recompute(seq).min(self.swap(seq)),
            _ => self.recompute(seq),
        }
    }

    pub(crate) fn is_worth_a_checkpoint(&self, seq: Seq) -> bool {
        self.requests[&seq].spec.yielding == Yielding::Checkpoint && self.swap(seq) <= self.recompute(seq)
    }

    /// How a victim stops, and where its checkpoint is kept.
    fn choose_mode(&mut self, seq: Seq) -> YieldMode {
        let kib = u128::from(self.context(seq)) * u128::from(self.setup.checkpoint_kib_per_token);
        let worth = self.is_worth_a_checkpoint(seq);
        let fits = self.could_keep(seq);
        forget_checkpoint(self.request(seq));
        if !worth || !fits {
            return YieldMode::Restart;
        }
        let worker = self.requests[&seq].worker;
        self.request(seq).checkpoint = Some((worker, kib));
        YieldMode::Checkpoint
    }

    /// Whether the devices of a request could keep a checkpoint of it, beside those of the others.
    pub(crate) fn could_keep(&self, seq: Seq) -> bool {
        let kib = u128::from(self.context(seq)) * u128::from(self.setup.checkpoint_kib_per_token);
        let held = |device: DeviceId| {
            let others = self.requests.iter().filter(|&(&other, _)| other != seq);
            let kept = others.filter_map(|(_, other)| other.checkpoint);
            let here = kept.filter(|&(worker, _)| {
                self.worker(worker).spec.devices.iter().any(|part| part.device == device)
            });
            here.map(|(_, kib)| kib).sum::<u128>()
        };
        self.worker(self.requests[&seq].worker).spec.devices.iter().all(|part| {
            let limit = self.devices[part.device.get() as usize].spec.checkpoint_mib;
            limit.is_none_or(|mib| held(part.device) + kib <= u128::from(mib) * 1024)
        })
    }

    /// A victim that was not reported stopped in time.
    pub(crate) fn stuck(&mut self, seq: Seq) {
        let request = self.request(seq);
        request.confirm_by = None;
        let (victim, attempt) = (request.id, request.attempt());
        self.say(Action::Stuck { victim, attempt, reason: Reason::Unconfirmed });
        let Some((&id, _)) = self.claims.iter().find(|(_, claim)| claim.victims.contains(&seq)) else {
            return;
        };
        let (owner, worker) = (self.claims[&id].owner, self.claims[&id].worker);
        self.keep_off(owner, worker);
        self.claims.get_mut(&id).expect("it is there").victims.retain(|&victim| victim != seq);
        self.settle();
    }

    /// What may be taken from a tier for a request of another.
    pub(crate) fn takes_from(&self, taker: usize, any_borrower: bool, other: usize) -> bool {
        other > taker || any_borrower && other != taker
    }

    pub(crate) fn queue_depth(&self, index: usize) -> usize {
        self.requests.values().filter(|r| r.waits() && r.spec.tier == tier(index)).count()
    }
}
