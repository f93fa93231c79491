//! What the host says of requests: every verb, what it refuses, and what it changes.

use tidegate::{
    Action, AmendError, Amendment, Attempt, Input, InputError, OtherPools, PoolId, Reason, Release,
    ReportError, RequestId, RequestSpec, RequestState, StepException, SubmitError, TenantError, Tier,
    WorkerError, WorkerId,
};

use super::fair::Charge;
use super::roam::named;
use super::tenants::Told;
use super::{Model, Request, Seq, Setup, Units, forget_checkpoint, is_zero, le, max, tier, units};

/// What an input was refused for: the name of the error.
pub(crate) type Refusal = &'static str;

/// The name of the first scheduler's error.
pub(crate) fn refusal(error: &InputError) -> Refusal {
    match error {
        InputError::Submit(error) => submit_refusal(error),
        InputError::Report(error) => report_refusal(error),
        InputError::Amend(AmendError::Submit(error)) => submit_refusal(error),
        InputError::Amend(AmendError::Report(error)) => report_refusal(error),
        InputError::Worker(error) => worker_refusal(error),
        InputError::Config(_) => "config",
        InputError::Tenant(error) => tenant_refusal(error),
        _ => "other",
    }
}

fn submit_refusal(error: &SubmitError) -> Refusal {
    match error {
        SubmitError::UnknownTenant(_) => "unknown tenant",
        SubmitError::UnknownTier { .. } => "unknown tier",
        SubmitError::UnknownPool(_) => "unknown pool",
        SubmitError::ZeroDemand => "zero demand",
        SubmitError::NeverFits { .. } => "never fits",
        SubmitError::QueueFull { .. } => "queue full",
        SubmitError::TierTooUrgent { .. } => "tier too urgent",
        SubmitError::NeverAllowed { .. } => "never allowed",
        SubmitError::OverQuota { .. } => "over quota",
        _ => "other",
    }
}

fn tenant_refusal(error: &TenantError) -> Refusal {
    match error {
        TenantError::Unknown(_) => "unknown tenant",
        TenantError::Cycle(_) => "cycle",
        TenantError::TooDeep(_) => "too deep",
        TenantError::Busy(_) => "busy",
        TenantError::Policy(_) => "policy",
        TenantError::LimitExceeded { .. } => "too many tenants",
        _ => "other",
    }
}

/// What the first scheduler said of quota.
pub(crate) fn told(error: &InputError) -> Option<Told> {
    let (InputError::Submit(error) | InputError::Amend(AmendError::Submit(error))) = error else {
        return None;
    };
    match *error {
        SubmitError::OverQuota { tenant, limit, retry_at } => Some(Told::Later { tenant, limit, retry_at }),
        SubmitError::NeverAllowed { tenant, limit, need, max } => {
            Some(Told::Never { tenant, limit, need, max })
        }
        _ => None,
    }
}

fn report_refusal(error: &ReportError) -> Refusal {
    match error {
        ReportError::UnknownRequest(_) => "unknown request",
        ReportError::AlreadyTerminal(_) => "already terminal",
        ReportError::StaleAttempt { .. } => "stale attempt",
        ReportError::WrongState { .. } => "wrong state",
        _ => "other",
    }
}

fn worker_refusal(error: &WorkerError) -> Refusal {
    match error {
        WorkerError::UnknownWorker(_) => "unknown worker",
        WorkerError::UnknownPool(_) => "unknown pool",
        WorkerError::UnknownDevice(_) => "unknown device",
        WorkerError::DeviceLost(_) => "device lost",
        WorkerError::BadPart(_) => "bad part",
        WorkerError::NotLost(_) => "not lost",
        WorkerError::SharedAcrossPools { .. } => "shared across pools",
        WorkerError::ZeroCapacity => "zero capacity",
        WorkerError::Lost(_) => "worker lost",
        WorkerError::NotHere { .. } => "not here",
        WorkerError::Step(error) => report_refusal(error),
        _ => "other",
    }
}

impl Model {
    /// Does what an input says. `made` is the id that the first scheduler gave, of a submission that it took;
    /// `after` is the setup of a `Reconfigure`.
    pub(crate) fn input(
        &mut self,
        now: u64,
        input: &Input,
        made: Option<RequestId>,
        after: Option<&Setup>,
    ) -> Result<(), Refusal> {
        self.trim_caches();
        self.advance(now);
        self.told = None;
        let done = self.take(input, made, after);
        if done.is_ok() {
            self.settle();
        }
        self.note_demands();
        done
    }

    fn take(&mut self, input: &Input, made: Option<RequestId>, after: Option<&Setup>) -> Result<(), Refusal> {
        match input {
            Input::TenantSet { name } => self.tenant_set(name),
            Input::TenantConfigure { tenant, policy } => self.tenant_configure(*tenant, policy),
            Input::TenantRemove { tenant } => self.tenant_remove(*tenant),
            Input::LeaseGranted { .. } => unreachable!("no tenant of the hosts leases"),
            Input::DeviceAdd(spec) => {
                self.device_add(*spec);
                Ok(())
            }
            Input::DeviceResize { device, limit, shrink } => self.device_resize(*device, *limit, *shrink),
            Input::DeviceLost { device } => self.device_lost(*device),
            Input::WorkerAdd(spec) => self.worker_add(spec),
            Input::WorkerResize { worker, capacity, shrink } => {
                self.worker_resize(*worker, *capacity, *shrink)
            }
            Input::WorkerUsage { worker, in_use } => self.worker_usage(*worker, *in_use),
            Input::WorkerDrain { worker } => self.worker_drain(*worker),
            Input::WorkerLost { worker } => self.worker_lost(*worker),
            Input::Reconfigure { .. } => {
                self.reconfigure(after.expect("a reconfiguration has a setup"));
                Ok(())
            }
            Input::CacheStored { worker, blocks } => self.cache_stored(*worker, blocks),
            Input::CacheEvicted { worker, blocks } => self.cache_evicted(*worker, blocks),
            Input::Submit(spec) => self.submit(spec, made),
            Input::PrefixSet { request, blocks } => self.prefix_set(*request, blocks),
            Input::Amend { request, amendment } => self.amend(*request, amendment),
            Input::Cancel { request } => {
                let seq = self.find(*request)?;
                self.counters.cancelled += 1;
                self.end(seq);
                Ok(())
            }
            Input::Step { worker, tokens_each, exceptions } => self.step(*worker, *tokens_each, exceptions),
            Input::Started { request, attempt, cached_tokens, in_use } => {
                let seq = self.find_attempt(*request, *attempt)?;
                if !matches!(
                    self.requests[&seq].state,
                    RequestState::Starting | RequestState::Preempting | RequestState::Aborting
                ) {
                    return Err("wrong state");
                }
                let is_first = !self.requests[&seq].has_run;
                self.request(seq).cached = *cached_tokens;
                self.report(seq, units(*in_use));
                if is_first {
                    self.charge_cached(seq, *cached_tokens);
                }
                Ok(())
            }
            Input::Declined { request, attempt, .. } => self.declined(*request, *attempt),
            Input::Progress { request, attempt, output_tokens, in_use } => {
                let seq = self.on_worker(*request, *attempt)?;
                self.request(seq).output = *output_tokens;
                self.report(seq, units(*in_use));
                Ok(())
            }
            Input::Preempted { request, attempt, tokens_kept, release } => {
                self.preempted(*request, *attempt, *tokens_kept, *release)
            }
            Input::Released { request, attempt } => {
                let seq = self.find_attempt(*request, *attempt)?;
                if self.requests[&seq].state != RequestState::Releasing {
                    return Err("wrong state");
                }
                self.unsay(seq);
                self.wait_again(seq);
                Ok(())
            }
            Input::Complete { request, attempt, usage } => {
                let seq = self.on_worker(*request, *attempt)?;
                self.counters.completed += 1;
                self.settle_charge(seq, Some(usage));
                self.forget(seq);
                Ok(())
            }
            Input::Failed { request, attempt } => {
                let seq = self.on_worker(*request, *attempt)?;
                self.counters.failed += 1;
                self.end(seq);
                Ok(())
            }
        }
    }

    pub(crate) fn advance(&mut self, now: u64) {
        if now < self.now {
            self.counters.clock_regressions += 1;
        }
        self.now = self.now.max(now);
        while let Some(&(at, node)) = self.refills.first().filter(|&&(at, _)| at <= self.now) {
            self.refills.remove(&(at, node));
            self.changed.insert(node);
        }
        for worker in &mut self.workers {
            if worker.tolerated_until.is_some_and(|until| until <= self.now) {
                (worker.tolerated, worker.tolerated_until) = ([0; 4], None);
            }
        }
        for device in &mut self.devices {
            if device.tolerated_until.is_some_and(|until| until <= self.now) {
                (device.tolerated, device.tolerated_until) = ([0; 4], None);
            }
        }
        self.let_in();
    }

    /// What follows from any change: claims are balanced.
    pub(crate) fn settle(&mut self) {
        self.balance();
        self.cap_tolerances();
    }

    pub(crate) fn find(&self, id: RequestId) -> Result<Seq, Refusal> {
        let live = self.requests.iter().find(|(_, request)| request.id == id);
        match live {
            Some((&seq, _)) => Ok(seq),
            None if self.ended.contains(&id) => Err("already terminal"),
            None => Err("unknown request"),
        }
    }

    fn find_attempt(&self, id: RequestId, attempt: Attempt) -> Result<Seq, Refusal> {
        let seq = self.find(id)?;
        if self.requests[&seq].attempt() == attempt { Ok(seq) } else { Err("stale attempt") }
    }

    fn on_worker(&self, id: RequestId, attempt: Attempt) -> Result<Seq, Refusal> {
        let seq = self.find_attempt(id, attempt)?;
        let request = &self.requests[&seq];
        if request.waits() || request.state == RequestState::Releasing { Err("wrong state") } else { Ok(seq) }
    }

    // Requests.

    pub(crate) fn check_spec(&self, spec: &RequestSpec, fits: bool) -> Result<(), Refusal> {
        if !self.knows(spec.tenant) {
            return Err("unknown tenant");
        }
        if usize::from(spec.tier.get()) >= self.setup.tiers.len() {
            return Err("unknown tier");
        }
        if named(spec).iter().any(|pool| pool.get() as usize >= self.setup.pools) {
            return Err("unknown pool");
        }
        if is_zero(units(spec.demand)) {
            return Err("zero demand");
        }
        if max(units(spec.demand), units(spec.peak))[self.setup.dimensions..].iter().any(|&units| units > 0) {
            return Err("other");
        }
        if fits && !named(spec).into_iter().any(|pool| self.can_ever_fit(pool, spec)) {
            Err("never fits")
        } else {
            Ok(())
        }
    }

    fn can_ever_fit(&self, pool: PoolId, spec: &RequestSpec) -> bool {
        let pool = pool.get() as usize;
        let shapes = self.shapes(pool);
        let never_yields = spec.yielding == tidegate::Yielding::Never;
        let of = |capacity| self.ceiling(pool, capacity, usize::from(spec.tier.get()), never_yields);
        let ceiling = max(of(self.largest[pool]), of(self.capacity(pool)));
        let demand = units(spec.demand);
        shapes.is_empty() || le(demand, ceiling) && shapes.iter().any(|&shape| le(demand, shape))
    }

    fn submit(&mut self, spec: &RequestSpec, made: Option<RequestId>) -> Result<(), Refusal> {
        self.check_spec(spec, true)?;
        let mut spec = *spec;
        spec.other_pools = OtherPools::new(&named(&spec)[1..]).expect("no more than before");
        self.admit(&mut spec)?;
        let displaced = self.make_room(&spec)?;
        for seq in displaced {
            self.drop(seq, Reason::Displaced);
        }
        spec.peak = spec.peak.max(spec.demand);
        spec.cached_tokens = spec.cached_tokens.min(spec.prompt_tokens);
        let timeout = spec.queue_timeout_ns.or(self.setup.tiers[usize::from(spec.tier.get())].queue_timeout);
        let seq = self.next_seq;
        self.next_seq += 1;
        self.counters.submitted += 1;
        let request = Request {
            id: made.ok_or("the first scheduler refused it")?,
            pools: named(&spec),
            spec,
            arrived_at: self.now,
            state: RequestState::Queued,
            attempt: 0,
            has_run: false,
            asks: [0; 4],
            expires_at: timeout.map(|span| self.now.saturating_add(span)),
            sat_out_round: 0,
            chose_for: 0,
            last_set_for: 0,
            blocked_since: None,
            bypassed: 0,
            excluded: Vec::new(),
            declines: 0,
            worker: WorkerId::new(0),
            in_use: [0; 4],
            started_at: 0,
            runs: false,
            output: 0,
            cached: 0,
            kept: 0,
            yields_for: Reason::Reclaim,
            confirm_by: None,
            preemptions: 0,
            stopped_with: None,
            stopped_for_memory: false,
            unaccounted: [0; 4],
            checkpoint: None,
            charge: Charge::default(),
            held: None,
            held_units: [0; 4],
            settled: 0,
            lapsed: false,
            lapses_at: None,
            waits_at: None,
            moves_to: None,
            prefix: Vec::new(),
        };
        self.requests.insert(seq, request);
        self.join_line(seq);
        self.enqueue(seq, true);
        Ok(())
    }

    /// Requests and tokens of those that wait and pass.
    pub(crate) fn queued(&self, counts: impl Fn(&Request) -> bool) -> (u64, u64) {
        let waits = self.requests.values().filter(|request| request.waits() && counts(request));
        waits.fold((0, 0), |(requests, tokens), request| (requests + 1, tokens + tokens_of(&request.spec)))
    }

    fn check_tier_limits(&self, spec: &RequestSpec) -> Result<(), Refusal> {
        let limits = &self.setup.tiers[usize::from(spec.tier.get())];
        let load = self.queued(|request| request.spec.tier == spec.tier);
        has_room(limits.queue_limit, limits.queue_token_limit, load, spec)
    }

    fn make_room(&self, spec: &RequestSpec) -> Result<Vec<Seq>, Refusal> {
        self.check_tier_limits(spec)?;
        let setup = &self.setup;
        for id in self.path(spec.tenant) {
            let policy = &self.tenant(id).policy;
            let own = |limit: Option<u64>, all: Option<u64>| limit.or(all.filter(|_| id == spec.tenant));
            let requests = own(policy.queue_limit, setup.tenant_queue_limit);
            let tokens = own(policy.queue_token_limit, setup.tenant_queue_token_limit);
            has_room(requests, tokens, self.queued_at(id), spec)?;
        }
        let mut load = self.queued(|_| true);
        let fits = |load| has_room(setup.queue_limit, setup.queue_token_limit, load, spec);
        let mut displaced = Vec::new();
        if fits(load).is_ok() {
            return Ok(displaced);
        }
        if !setup.displace {
            return Err("queue full");
        }
        let mut below: Vec<(usize, Seq)> = (self.requests.iter())
            .filter(|(_, r)| r.waits() && !r.has_run && r.spec.tier > spec.tier)
            .map(|(&seq, r)| (r.tier(), seq))
            .collect();
        below.sort_unstable_by(|a, b| b.cmp(a));
        for (_, seq) in below {
            displaced.push(seq);
            load = (load.0 - 1, load.1 - tokens_of(&self.requests[&seq].spec));
            if fits(load).is_ok() {
                return Ok(displaced);
            }
        }
        Err("queue full")
    }

    fn amend(&mut self, id: RequestId, amendment: &Amendment) -> Result<(), Refusal> {
        let seq = self.find(id)?;
        let request = &self.requests[&seq];
        if request.yields_already() {
            return Err("wrong state");
        }
        let mut spec = request.spec;
        spec.demand = amendment.demand.unwrap_or(spec.demand);
        spec.peak = amendment.peak.unwrap_or(spec.peak).max(spec.demand);
        spec.tier = amendment.tier.unwrap_or(spec.tier);
        spec.deadline = amendment.deadline.or(spec.deadline);
        let moves = spec.tier != request.spec.tier;
        let stays = request.waits() && self.is_bound(seq);
        let other_pools = if stays { OtherPools::NONE } else { spec.other_pools };
        let to_fit = RequestSpec { other_pools, ..spec };
        self.check_spec(&to_fit, moves || spec.demand != request.spec.demand)?;
        if moves && spec.tier < self.tenant(spec.tenant).policy.most_urgent {
            return Err("tier too urgent");
        }
        if moves && request.waits() && !request.has_run {
            self.check_tier_limits(&spec)?;
        }
        if request.waits() {
            let before = request.spec;
            let was_fresh = request.is_fresh();
            self.note_departure(seq);
            self.stop_waiting_for_quota(seq);
            self.request(seq).spec = spec;
            let keeps_claim = !moves && self.next_asks(seq) == self.requests[&seq].asks;
            self.request(seq).spec = before;
            self.end_drain(seq);
            if !keeps_claim {
                self.give_up_unseen(seq);
            }
            self.undo_idle_hold(seq);
            self.move_charge(seq, spec);
            self.enqueue(seq, moves || !was_fresh);
        } else {
            self.move_charge(seq, spec);
        }
        Ok(())
    }

    /// A request enters its queue; whether it is new to it.
    pub(crate) fn enqueue(&mut self, seq: Seq, is_new: bool) {
        let asks = self.next_asks(seq);
        let request = self.request(seq);
        request.asks = asks;
        request.in_use = [0; 4];
        request.blocked_since = None;
        request.bypassed = 0;
        request.state = RequestState::Queued;
        if self.should_be_parked(seq) {
            self.request(seq).state = RequestState::Parked;
        }
        if is_new {
            self.note_arrival(seq);
        }
        let request = &self.requests[&seq];
        if let Some(wait) = self.aside.get(&request.line()).filter(|_| request.is_fresh()) {
            self.changed.insert(wait.node);
        }
    }

    /// It waits no more, or waits anew: what it had as one that waits is gone.
    pub(crate) fn leave_queue(&mut self, seq: Seq) {
        self.end_drain(seq);
        self.stop_waiting_for_quota(seq);
        self.give_up_unseen(seq);
    }

    /// Gives up its claim, and is not found in the queue by whoever inherits it.
    fn give_up_unseen(&mut self, seq: Seq) {
        let state = core::mem::replace(&mut self.request(seq).state, RequestState::Starting);
        self.give_up_claim(seq);
        self.request(seq).state = state;
    }

    pub(crate) fn end_drain(&mut self, seq: Seq) {
        for worker in &mut self.workers {
            if worker.drain.is_some_and(|(other, _)| other == seq) {
                worker.drain = None;
            }
        }
    }

    pub(crate) fn start_on(&mut self, seq: Seq, worker: WorkerId, reason: Reason) {
        self.end_drain(seq);
        self.note_departure(seq);
        self.stop_waiting_for_quota(seq);
        self.charge_start(seq, worker);
        self.learn(seq, worker);
        self.hold(seq);
        let now = self.now;
        let request = self.request(seq);
        request.state = RequestState::Starting;
        request.lapses_at = None;
        request.worker = worker;
        request.in_use = request.asks;
        self.hold_units(seq);
        let request = self.request(seq);
        request.attempt += 1;
        request.started_at = now;
        request.runs = false;
        request.cached = 0;
        request.moves_to = None;
        let start = Action::Start {
            request: request.id,
            attempt: request.attempt(),
            worker,
            resume_tokens: request.kept,
            reason,
        };
        match self.claim_of(seq) {
            Some(claim) if self.claims[&claim].worker == worker => self.remove_claim(claim),
            _ => self.give_up_claim(seq),
        }
        self.renew_hold(seq);
        self.outbox.push_front(start);
    }

    /// Ends a request wherever it stands.
    pub(crate) fn end(&mut self, seq: Seq) {
        self.settle_charge(seq, None);
        self.forget(seq);
    }

    fn forget(&mut self, seq: Seq) {
        self.note_departure(seq);
        self.unsay(seq);
        if self.requests[&seq].waits() {
            self.leave_queue(seq);
        } else {
            self.forget_victim(seq);
            self.off_worker(seq);
        }
        let request = self.requests.remove(&seq).expect("it lives");
        self.note_use(request.spec.tenant);
        self.ended.push(request.id);
    }

    pub(crate) fn drop(&mut self, seq: Seq, reason: Reason) {
        let request = self.requests[&seq].id;
        self.counters.dropped += 1;
        self.end(seq);
        self.say(Action::Drop { request, reason });
    }

    pub(crate) fn fail(&mut self, seq: Seq, reason: Reason) {
        let request = self.requests[&seq].id;
        self.counters.failed += 1;
        self.end(seq);
        self.say(Action::Drop { request, reason });
    }

    // Reports.

    fn report(&mut self, seq: Seq, in_use: Units) {
        self.hear_of(seq);
        let request = self.request(seq);
        request.runs = true;
        request.has_run = true;
        request.declines = 0;
        request.in_use = in_use;
        if request.state == RequestState::Starting {
            request.state = RequestState::Running;
        }
        self.hold_units(seq);
        self.charge_output(seq);
    }

    fn step(
        &mut self,
        worker: WorkerId,
        tokens_each: u64,
        exceptions: &[StepException],
    ) -> Result<(), Refusal> {
        self.check_not_lost(worker)?;
        for exception in exceptions {
            let seq = self.on_worker(exception.request, exception.attempt)?;
            if self.requests[&seq].worker != worker {
                return Err("not here");
            }
        }
        let is_named = |id| exceptions.iter().any(|exception| exception.request == id);
        for seq in self.here(worker) {
            let request = self.request(seq);
            if request.runs && request.state != RequestState::Releasing && !is_named(request.id) {
                request.output += tokens_each;
                self.charge_output(seq);
            }
        }
        for exception in exceptions {
            let seq = self.find(exception.request)?;
            self.request(seq).output = exception.output_tokens;
            self.report(seq, units(exception.in_use));
            self.settle();
        }
        Ok(())
    }

    fn declined(&mut self, id: RequestId, attempt: Attempt) -> Result<(), Refusal> {
        let seq = self.find_attempt(id, attempt)?;
        let request = &self.requests[&seq];
        if !matches!(request.state, RequestState::Starting | RequestState::Preempting) || request.runs {
            return Err("wrong state");
        }
        let is_last = request.declines == 2;
        if !request.has_run {
            self.refund(seq);
            self.undo_hold(seq);
            self.request(seq).lapsed = false;
        }
        if is_last {
            self.fail(seq, Reason::Declined);
            return Ok(());
        }
        self.unsay(seq);
        self.forget_victim(seq);
        let worker = self.requests[&seq].worker;
        let request = self.request(seq);
        request.declines += 1;
        request.chose_for = 0;
        self.keep_off(seq, worker);
        self.renew_hold(seq);
        self.off_worker(seq);
        self.sit_out(seq);
        self.enqueue(seq, true);
        Ok(())
    }

    /// It is on no worker any more: what the engine said of the worker holds no longer if nothing runs there.
    fn off_worker(&mut self, seq: Seq) {
        let worker = self.requests[&seq].worker;
        self.request(seq).state = RequestState::Queued;
        if self.here(worker).is_empty() {
            self.workers[worker.get() as usize].offset = [0; 4];
        }
    }

    /// Keeps a request off a worker for the back-off; the last two such workers are remembered.
    pub(crate) fn keep_off(&mut self, seq: Seq, worker: WorkerId) {
        let until = self.now.saturating_add(self.setup.decline_backoff);
        let request = self.request(seq);
        request.excluded.retain(|&(other, _)| other != worker);
        request.excluded.insert(0, (worker, until));
        request.excluded.truncate(2);
    }

    fn preempted(
        &mut self,
        id: RequestId,
        attempt: Attempt,
        tokens_kept: u64,
        release: Release,
    ) -> Result<(), Refusal> {
        let seq = self.on_worker(id, attempt)?;
        let state = self.requests[&seq].state;
        if state == RequestState::Aborting {
            return Err("wrong state");
        }
        self.unsay(seq);
        self.hear_of(seq);
        let request = self.request(seq);
        if tokens_kept == 0 {
            forget_checkpoint(request);
        }
        note_stop(request);
        request.kept = tokens_kept;
        request.declines = 0;
        request.chose_for = 0;
        if state == RequestState::Preempting && request.yields_for != Reason::OutOfMemory {
            request.preemptions += 1;
        }
        if release == Release::Later {
            request.state = RequestState::Releasing;
        } else {
            self.wait_again(seq);
        }
        Ok(())
    }

    pub(crate) fn wait_again(&mut self, seq: Seq) {
        if !self.can_come_back(seq) {
            self.fail(seq, Reason::NeverFits);
            return;
        }
        self.forget_victim(seq);
        self.renew_hold(seq);
        self.off_worker(seq);
        self.go_to_first_choice(seq);
        self.sit_out(seq);
        self.enqueue(seq, true);
    }
}

fn tokens_of(spec: &RequestSpec) -> u64 {
    spec.prompt_tokens + spec.output_tokens.unwrap_or(0)
}

fn has_room(
    requests: Option<u64>,
    tokens: Option<u64>,
    load: (u64, u64),
    spec: &RequestSpec,
) -> Result<(), Refusal> {
    let full = requests.is_some_and(|limit| load.0 >= limit)
        || tokens.is_some_and(|limit| load.1 + tokens_of(spec) > limit);
    if full { Err("queue full") } else { Ok(()) }
}

/// A request is about to leave its worker, stopped.
pub(crate) fn note_stop(request: &mut Request) {
    request.stopped_with = Some(request.in_use);
    request.stopped_for_memory =
        request.state == RequestState::Preempting && request.yields_for == Reason::OutOfMemory;
    request.has_run = true;
}

/// The tiers of a setup, the most urgent first.
pub(crate) fn tiers(setup: &Setup) -> impl Iterator<Item = Tier> + use<> {
    (0..setup.tiers.len()).map(tier)
}
