//! Random worlds and hosts, read from bytes, that say the same to both schedulers and compare every answer.

use core::fmt::Write;

use tidegate::{
    Amendment, Attempt, Created, Decline, DeviceId, DeviceSpec, Input, Instant, Order, Placement, PoolId,
    Ppm, Preemption, RequestId, RequestSpec, RequestState, Reserve, Resources, Rounding, Scheduler, Shrink,
    StepException, TenantId, Tier, Usage, WorkerId, WorkerSpec, Yielding,
};

use super::inputs::{refusal, tiers};
use super::setup::TierSetup;
use super::{Counters, Model, Setup, at};

/// What a run compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Compared {
    pub(crate) inputs: u64,
    pub(crate) taken: u64,
    pub(crate) polls: u64,
    pub(crate) actions: u64,
}

/// Choices; when they run out every choice is the first one.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn below(&mut self, n: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first) % n
    }

    fn number(&mut self, n: u64) -> u64 {
        self.below(n as usize) as u64
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Once in `n`.
    fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    fn maybe<T>(&mut self, n: usize, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.rarely(n) { Some(make(self)) } else { None }
    }

    fn units(&mut self, dimensions: usize, most: u64) -> Resources {
        let mut units = Resources::ZERO;
        for d in 0..dimensions {
            units[d] = self.number(most + 1);
        }
        units
    }
}

fn tier_setup(bytes: &mut Bytes<'_>, tiers: usize, dimensions: usize, index: usize) -> TierSetup {
    let share = |bytes: &mut Bytes<'_>| bytes.one_of(&[0, 30, 5, 50, 10]) * 10_000 / tiers as u32;
    let mut reserve_in = [None; 4];
    for reserve in reserve_in.iter_mut().take(dimensions) {
        *reserve = bytes.maybe(5, |bytes| match bytes.below(2) {
            0 => Reserve::Units(bytes.number(5)),
            _ => Reserve::Share(Ppm::new(share(bytes))),
        });
    }
    let whom = [Preemption::LowerTier, Preemption::LowerTier, Preemption::Never, Preemption::AnyBorrower];
    TierSetup {
        reserve_ppm: if index == 0 { bytes.one_of(&[300_000, 500_000, 100_000]) } else { share(bytes) },
        reserve_in,
        lendable_ppm: bytes.one_of(&[1_000_000, 1_000_000, 500_000, 0]),
        borrow_limit: bytes.maybe(5, |bytes| bytes.units(dimensions, 9)),
        rounding: bytes.one_of(&[Rounding::Ceil, Rounding::Nearest, Rounding::Floor]),
        hold_window: bytes.one_of(&[0, 1, 7, 20, 61, 1000]),
        preemption: bytes.one_of(&whom),
        preempt_while_borrowing: bytes.one_of(&[None, Some(Preemption::LowerTier), Some(Preemption::Never)]),
        preemption_budget: bytes.maybe(8, |bytes| bytes.one_of(&[1, 3, 400_000_000])),
        order: bytes.one_of(&[
            Order::Fifo,
            Order::Fifo,
            Order::Deadline,
            Order::ShortestFirst,
            Order::HybridDeadline,
        ]),
        deadline_token_weight: bytes.number(4),
        age_after: bytes.maybe(3, |bytes| bytes.number(30)),
        queue_limit: bytes.maybe(9, |bytes| bytes.number(6)),
        queue_token_limit: bytes.maybe(9, |bytes| bytes.number(60)),
        queue_timeout: bytes.maybe(8, |bytes| bytes.number(90)),
    }
}

fn setup(bytes: &mut Bytes<'_>) -> Setup {
    let (tiers, dimensions) =
        (1 + bytes.below(8).min(bytes.below(5)), 1 + bytes.below(4).min(bytes.below(3)));
    Setup {
        dimensions,
        pools: 1 + bytes.below(4) / 3,
        tiers: (0..tiers).map(|index| tier_setup(bytes, tiers, dimensions, index)).collect(),
        placement: bytes.one_of(&[Placement::Pack, Placement::Spread]),
        min_run: bytes.one_of(&[0, 3, 12]),
        max_preemptions: bytes.one_of(&[3, 0, 1]),
        confirm_after: 1 + bytes.one_of(&[20, 3, 90, 12]),
        max_bypass: bytes.one_of(&[16, 0, 1, 3]),
        drain_after: 1 + bytes.number(15),
        decline_backoff: bytes.number(12),
        step_time: bytes.maybe(2, |bytes| (bytes.number(3), bytes.number(3), bytes.number(3))),
        stop_takes: bytes.one_of(&[0, 0, 5, 30]),
        swap_token: bytes.one_of(&[0, 0, 1, 2]),
        checkpoint_kib_per_token: bytes.one_of(&[0, 100]),
        max_step: bytes.one_of(&[60_000_000_000, 5, 1]),
        queue_limit: bytes.maybe(9, |bytes| bytes.number(9)),
        queue_token_limit: bytes.maybe(9, |bytes| bytes.number(100)),
        tenant_queue_limit: bytes.maybe(9, |bytes| bytes.number(6)),
        tenant_queue_token_limit: bytes.maybe(9, |bytes| bytes.number(60)),
        displace: bytes.rarely(2),
    }
}

struct Host<'a> {
    bytes: Bytes<'a>,
    sched: Scheduler,
    model: Model,
    now: u64,
    /// Every request ever made.
    made: Vec<RequestId>,
    compared: Compared,
    /// What was said, a line each.
    story: String,
}

/// Says what the bytes say to both schedulers. The text tells the first difference, and all before it.
pub(crate) fn compare(bytes: &[u8]) -> Result<Compared, String> {
    let mut bytes = Bytes(bytes);
    let setup = setup(&mut bytes);
    let mut story = format!("{setup:#?}\n");
    story.push_str("---\n");
    let model = Model::new(setup.clone(), 0);
    let sched = Scheduler::new(setup.config(), at(0));
    let compared = Compared::default();
    let mut host = Host { bytes, sched, model, now: 0, made: Vec::new(), compared, story };
    host.run()
        .map(|()| host.compared)
        .map_err(|difference| format!("{}{difference}\nmodel:\n{}", host.story, host.model.summary()))
}

impl Host<'_> {
    fn run(&mut self) -> Result<(), String> {
        for name in ["a", "b"] {
            self.say(Input::TenantSet { name: name.into() }, None)?;
        }
        for _ in 0..self.bytes.below(3) {
            let limit = self.bytes.units(self.model.setup.dimensions, 12);
            self.say(Input::DeviceAdd(DeviceSpec { limit, checkpoint_mib: None }), None)?;
        }
        for _ in 0..1 + self.bytes.below(5) {
            let (input, after) = self.worker_add();
            self.say(input, after)?;
        }
        while !self.bytes.0.is_empty() {
            self.pass_time()?;
            if self.bytes.below(5) < 2 {
                self.polls()?;
            } else {
                let (input, after) = self.input();
                self.say(input, after)?;
            }
        }
        self.round()
    }

    /// Time passes without input; nothing may come before `poll_timeout`.
    fn pass_time(&mut self) -> Result<(), String> {
        let later = self.now + self.bytes.one_of(&[0, 0, 0, 1, 1, 2, 5, 11, 40]);
        let timeout = self.sched.poll_timeout().map_or(u64::MAX, Instant::as_nanos);
        let quiet = later.min(timeout.saturating_sub(1));
        if quiet > self.now
            && let Some(action) = self.model.would_say(quiet)
        {
            let told = format!("poll_timeout is {timeout}, and at {quiet} the model says {action:?}");
            return Err(told);
        }
        self.now = later;
        Ok(())
    }

    fn polls(&mut self) -> Result<(), String> {
        if self.bytes.rarely(3) {
            return self.poll().map(|_| ());
        }
        self.round()
    }

    fn round(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            if !self.poll()? {
                return Ok(());
            }
            if self.bytes.rarely(6) {
                let (input, after) = self.input();
                self.say(input, after)?;
            }
        }
        Err("a round of ten thousand polls".to_owned())
    }

    /// Whether there was an action.
    fn poll(&mut self) -> Result<bool, String> {
        self.compared.polls += 1;
        let (told, expected) = (self.sched.poll(at(self.now)), self.model.poll(self.now));
        writeln!(self.story, "{} poll -> {told:?}", self.now).expect("a string takes everything");
        if told != expected {
            return Err(format!("the page says {expected:?}"));
        }
        self.compared.actions += u64::from(told.is_some());
        self.check()?;
        Ok(told.is_some())
    }

    fn say(&mut self, input: Input, after: Option<Setup>) -> Result<(), String> {
        let now = if self.bytes.rarely(12) { self.now.saturating_sub(3) } else { self.now };
        self.compared.inputs += 1;
        let answer = self.sched.apply(at(now), &input);
        let shown = match &input {
            Input::Reconfigure { .. } => format!("reconfigure {after:?}"),
            input => format!("{input:?}"),
        };
        writeln!(self.story, "{now} {shown} -> {answer:?}").expect("a string takes everything");
        let made = match answer {
            Ok(Created::Request(id)) => Some(id),
            _ => None,
        };
        self.made.extend(made);
        let expected = self.model.input(now, &input, made, after.as_ref());
        let told = answer.as_ref().map(|_| ()).map_err(refusal);
        if told != expected {
            return Err(format!("the page says {expected:?}, the scheduler {told:?}"));
        }
        self.compared.taken += u64::from(told.is_ok());
        self.check()
    }

    fn check(&self) -> Result<(), String> {
        self.sched.check_invariants().map_err(|violation| violation.to_string())?;
        for (&seq, request) in &self.model.requests {
            let (told, expected) = (self.sched.state(request.id), self.model.state(seq));
            if told != Ok(expected) {
                return Err(format!("{} is {told:?}, by the page {expected}", request.id));
            }
        }
        let stats = self.sched.stats();
        let told = Counters {
            submitted: stats.submitted,
            completed: stats.completed,
            failed: stats.failed,
            cancelled: stats.cancelled,
            dropped: stats.dropped,
            clock_regressions: stats.clock_regressions,
            further_sets: stats.further_sets,
            takeovers: stats.takeovers,
            waived_finish_test: stats.waived_finish_test,
            waived_min_run: stats.waived_min_run,
            waived_max_preemptions: stats.waived_max_preemptions,
            straddles: stats.straddles,
        };
        if told != self.model.counters || stats.live != self.model.requests.len() as u64 {
            return Err(format!("counts {told:?}, by the page {:?}", self.model.counters));
        }
        for (index, tier) in tiers(&self.model.setup).enumerate() {
            if self.sched.queue_depth(tier) != self.model.queue_depth(index) {
                return Err(format!("{tier} has another queue depth"));
            }
            for pool in 0..self.model.setup.pools {
                let id = PoolId::new(pool as u32);
                let told = [self.sched.in_use(id, tier), self.sched.effective_reserve(id, tier)];
                let expected = [self.model.used(pool, index), self.model.reserve(pool, index)];
                for (told, expected) in told.into_iter().zip(expected) {
                    let told = told.map(super::units);
                    if told != Some(expected) {
                        return Err(format!("{id}, {tier}: {told:?}, by the page {expected:?}"));
                    }
                }
            }
        }
        Ok(())
    }

    fn worker_add(&mut self) -> (Input, Option<Setup>) {
        let setup = &self.model.setup;
        let pool = PoolId::new(self.bytes.number(setup.pools as u64) as u32);
        let mut capacity = self.bytes.units(setup.dimensions, 8);
        for d in 0..setup.dimensions {
            capacity[d] += self.bytes.one_of(&[2, 2, 2, 0]);
        }
        let mut spec = WorkerSpec::new(pool, capacity);
        for device in 0..self.model.devices.len().min(3) {
            if self.bytes.rarely(3) {
                let part = Ppm::new(self.bytes.one_of(&[1_000_000, 500_000, 500_000, 333_333, 0]));
                spec = spec.on_part(DeviceId::new(device as u32), part);
            }
        }
        (Input::WorkerAdd(spec), None)
    }

    fn shrink(&mut self) -> Shrink {
        if self.bytes.rarely(2) { Shrink::Preempt { after_ns: self.bytes.number(9) } } else { Shrink::Drain }
    }

    /// A request, mostly one that is there, with its attempt, mostly the right one.
    fn pick(&mut self, on_worker: bool) -> (RequestId, Attempt) {
        let requests = self.model.requests.values();
        let there: Vec<_> = requests.filter(|r| r.waits() != on_worker).map(|r| (r.id, r.attempt)).collect();
        let (id, attempt) = if there.is_empty() || self.bytes.rarely(16) {
            let ever = self.bytes.below(self.made.len() + 1);
            (self.made.get(ever).copied().unwrap_or(RequestId::from_bits(99)), 1)
        } else {
            there[self.bytes.below(there.len())]
        };
        (id, Attempt::new(if self.bytes.rarely(20) { attempt + 1 } else { attempt }))
    }

    fn worker(&mut self) -> WorkerId {
        WorkerId::new(self.bytes.number(self.model.workers.len() as u64 + 1) as u32)
    }

    fn device(&mut self) -> DeviceId {
        DeviceId::new(self.bytes.number(self.model.devices.len() as u64 + 1) as u32)
    }

    fn input(&mut self) -> (Input, Option<Setup>) {
        let input = match self.bytes.below(40) {
            0..=15 => self.submit(),
            16..=33 => self.report(),
            34 => {
                let (request, _) = self.pick(false);
                Input::Cancel { request }
            }
            35 | 36 => {
                let waits = self.bytes.rarely(2);
                let (request, _) = self.pick(waits);
                Input::Amend { request, amendment: self.amendment() }
            }
            37 => return self.change(),
            _ => self.usage(),
        };
        (input, None)
    }

    fn tier(&mut self) -> Tier {
        Tier::new(self.bytes.number(self.model.setup.tiers.len() as u64) as u8)
    }

    fn submit(&mut self) -> Input {
        let setup = &self.model.setup;
        let (dimensions, pools) = (setup.dimensions, setup.pools as u64);
        let yielding = [Yielding::Restart, Yielding::Checkpoint, Yielding::Restart, Yielding::Never];
        let mut spec = RequestSpec::new(TenantId::new(self.bytes.number(2) as u32), self.tier())
            .pool(PoolId::new(self.bytes.number(pools) as u32))
            .demand(self.bytes.units(dimensions, 3))
            .prompt_tokens(self.bytes.number(20))
            .yielding(self.bytes.one_of(&yielding));
        if self.bytes.rarely(8) {
            spec.demand = self.bytes.units(dimensions, 9);
        }
        spec.peak = if self.bytes.rarely(2) { self.bytes.units(dimensions, 9) } else { Resources::ZERO };
        spec.cached_tokens = self.bytes.number(9);
        spec.output_tokens = self.bytes.maybe(2, |bytes| bytes.number(20));
        let now = self.now;
        spec.deadline = self.bytes.maybe(2, |bytes| at(now + bytes.number(60)));
        spec.queue_timeout_ns = self.bytes.maybe(9, |bytes| bytes.number(90));
        Input::Submit(spec)
    }

    fn amendment(&mut self) -> Amendment {
        let (dimensions, now) = (self.model.setup.dimensions, self.now);
        Amendment {
            demand: self.bytes.maybe(2, |bytes| bytes.units(dimensions, 5)),
            peak: self.bytes.maybe(3, |bytes| bytes.units(dimensions, 9)),
            tier: if self.bytes.rarely(2) { Some(self.tier()) } else { None },
            deadline: self.bytes.maybe(2, |bytes| at(now + bytes.number(40))),
        }
    }

    /// What a request uses now: mostly what it did, or a unit more or less.
    fn in_use(&mut self, request: RequestId) -> Resources {
        let dimensions = self.model.setup.dimensions;
        let known = self.model.requests.values().find(|known| known.id == request);
        let Some(used) = known.map(|known| known.in_use).filter(|_| !self.bytes.rarely(10)) else {
            return self.bytes.units(dimensions, 6);
        };
        let mut in_use = Resources::ZERO;
        for (d, used) in used.into_iter().enumerate().take(dimensions) {
            in_use[d] = (used as u64 + self.bytes.one_of(&[1, 1, 1, 2, 0])).saturating_sub(1);
        }
        in_use
    }

    /// A victim that the engine has not stopped yet, mostly.
    fn victim(&mut self) -> (RequestId, Attempt) {
        let asked = self.model.requests.values().find(|r| r.state == RequestState::Preempting);
        match asked.map(|victim| (victim.id, victim.attempt())) {
            Some(victim) if !self.bytes.rarely(4) => victim,
            _ => self.pick(true),
        }
    }

    fn report(&mut self) -> Input {
        let (request, attempt) = self.pick(true);
        let in_use = self.in_use(request);
        match self.bytes.below(16) {
            0..=3 => Input::Progress { request, attempt, output_tokens: self.bytes.number(30), in_use },
            4 | 5 => Input::Started { request, attempt, cached_tokens: self.bytes.number(9), in_use },
            6 => Input::Declined { request, attempt, why: Decline::NoRoom },
            7..=10 => {
                let (request, attempt) = self.victim();
                let tokens_kept = if self.bytes.rarely(2) { self.bytes.number(20) } else { 0 };
                Input::Preempted { request, attempt, tokens_kept, releasing: self.bytes.rarely(3) }
            }
            11 | 12 => {
                let releasing = self.model.requests.values().find(|r| r.state == RequestState::Releasing);
                let (request, attempt) = releasing.map_or((request, attempt), |r| (r.id, r.attempt()));
                Input::Released { request, attempt }
            }
            13 => Input::Failed { request, attempt },
            _ => Input::Complete { request, attempt, usage: Usage::default() },
        }
    }

    fn usage(&mut self) -> Input {
        let worker = self.worker();
        if self.bytes.rarely(3) {
            let used = self
                .model
                .workers
                .get(worker.get() as usize)
                .map_or([0; 4], |_| self.model.worker_used(worker));
            let mut in_use = Resources::ZERO;
            for (d, used) in used.into_iter().enumerate().take(self.model.setup.dimensions) {
                in_use[d] = (used as u64 + self.bytes.number(4)).saturating_sub(2);
            }
            return Input::WorkerUsage { worker, in_use };
        }
        let exceptions = (0..self.bytes.below(3)).map(|_| {
            let (request, attempt) = self.pick(true);
            let in_use = self.in_use(request);
            StepException { request, attempt, output_tokens: self.bytes.number(30), in_use }
        });
        let exceptions = exceptions.collect();
        Input::Step { worker, tokens_each: self.bytes.number(3), exceptions }
    }

    /// Something happens to the machine, or to the rules.
    fn change(&mut self) -> (Input, Option<Setup>) {
        let dimensions = self.model.setup.dimensions;
        let input = match self.bytes.below(9) {
            0 | 1 => return self.worker_add(),
            2 => {
                let checkpoint_mib = self.bytes.maybe(2, |bytes| bytes.number(4));
                let limit = self.bytes.units(dimensions, 12);
                Input::DeviceAdd(DeviceSpec { limit, checkpoint_mib })
            }
            3 => {
                let (device, limit) = (self.device(), self.bytes.units(dimensions, 12));
                Input::DeviceResize { device, limit, shrink: self.shrink() }
            }
            4 => {
                let (worker, capacity) = (self.worker(), self.bytes.units(dimensions, 12));
                Input::WorkerResize { worker, capacity, shrink: self.shrink() }
            }
            5 => Input::WorkerDrain { worker: self.worker() },
            6 => Input::WorkerLost { worker: self.worker() },
            7 if self.bytes.rarely(2) => Input::DeviceLost { device: self.device() },
            _ => {
                let mut after = setup(&mut self.bytes);
                let before = &self.model.setup;
                (after.dimensions, after.pools) = (dimensions, before.pools);
                after.tiers.truncate(before.tiers.len());
                let missing = before.tiers[after.tiers.len()..].iter().cloned();
                after.tiers.extend(missing);
                after.keep_valid();
                return (Input::Reconfigure { config: Box::new(after.config()) }, Some(after));
            }
        };
        (input, None)
    }
}

impl Setup {
    /// Shares of several setups together may be too much, and name dimensions that are not.
    fn keep_valid(&mut self) {
        for tier in &mut self.tiers {
            tier.reserve_ppm /= 4;
            for (d, reserve) in tier.reserve_in.iter_mut().enumerate() {
                if d >= self.dimensions || matches!(reserve, Some(Reserve::Share(_))) {
                    *reserve = None;
                }
            }
            if let Some(limit) = &mut tier.borrow_limit {
                for d in self.dimensions..4 {
                    limit[d] = 0;
                }
            }
        }
    }
}
