//! Random worlds and hosts, read from bytes, that say the same to both schedulers and compare every answer.

use core::fmt::Write;

use tidegate::{
    Amendment, Attempt, Created, Decline, DeviceId, DeviceSpec, Input, Instant, OtherPools, PoolId, Ppm,
    Release, RequestId, RequestSpec, RequestState, Reserve, Resources, Scheduler, Shrink, StepException,
    TenantId, Tier, Usage, WorkerId, WorkerKind, WorkerSpec, Yielding,
};

use super::inputs::{refusal, tiers, told};
use super::policies::policy;
use super::tenants::Met;
use super::worlds::{Bytes, World};
use super::{Counters, Model, Setup, Status, at};

/// What runs compared, and what they met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Compared {
    pub(crate) inputs: u64,
    pub(crate) taken: u64,
    pub(crate) polls: u64,
    pub(crate) actions: u64,
    pub(crate) restored: u64,
    pub(crate) counters: Counters,
    pub(crate) quota: Met,
    /// Of section 18.
    pub(crate) warmth: [u64; 6],
    /// Of sections 19 and 20.
    pub(crate) fleet: [u64; 4],
    /// Of section 21.
    pub(crate) roamed: u64,
}

impl Compared {
    pub(crate) fn and(self, more: Self) -> Self {
        Self {
            inputs: self.inputs + more.inputs,
            taken: self.taken + more.taken,
            polls: self.polls + more.polls,
            actions: self.actions + more.actions,
            restored: self.restored + more.restored,
            counters: self.counters.and(more.counters),
            quota: self.quota.and(more.quota),
            warmth: [0, 1, 2, 3, 4, 5].map(|index| self.warmth[index] + more.warmth[index]),
            fleet: [0, 1, 2, 3].map(|index| self.fleet[index] + more.fleet[index]),
            roamed: self.roamed + more.roamed,
        }
    }
}

struct Host<'a> {
    bytes: Bytes<'a>,
    world: World,
    /// Whether tenants have limits.
    limited: bool,
    /// Whether there is hardly room for them.
    crowded: bool,
    /// Whether prompts are placed by what is cached of them.
    warm: bool,
    /// Whether workers come and go, share faults, stand by, and requests move.
    shaken: bool,
    /// Whether the scheduler is written out and read back all the time.
    restored: bool,
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
    let world = World::read(&mut bytes);
    let kind = bytes.below(16);
    // One in four restarts: that takes longer than all else.
    let (limited, crowded, restored) = (kind & 1 > 0, kind & 2 > 0, kind >= 12);
    let mut setup = world.setup(&mut bytes);
    if crowded {
        setup.crowd(&mut bytes);
    }
    let warm = bytes.rarely(3);
    if warm {
        setup.warm(&mut bytes);
    }
    let shaken = bytes.rarely(3);
    if shaken {
        setup.shake(&mut bytes);
    }
    if setup.pools > 1 {
        setup.part(&mut bytes);
    }
    let mut story = format!("{setup:#?}\n");
    story.push_str("---\n");
    let model = Model::new(setup.clone(), 0);
    let sched = Scheduler::new(setup.config(), at(0));
    let compared = Compared::default();
    let (now, made) = (0, Vec::new());
    let mut host = Host {
        bytes,
        world,
        limited,
        crowded,
        warm,
        shaken,
        restored,
        sched,
        model,
        now,
        made,
        compared,
        story,
    };
    host.run()
        .map(|()| Compared {
            counters: host.model.counters,
            quota: host.model.met,
            warmth: host.model.warmth.met.all(),
            fleet: host.model.fleet_met,
            roamed: host.model.roamed,
            ..host.compared
        })
        .map_err(|difference| format!("{}{difference}\nmodel:\n{}", host.story, host.model.summary()))
}

impl Host<'_> {
    fn run(&mut self) -> Result<(), String> {
        for name in ["a", "b", "c"] {
            self.say(Input::TenantSet { name: name.into() }, None)?;
        }
        for tenant in 0..if self.limited { 3 } else { 0 } {
            let parents: Vec<TenantId> = (0..tenant).map(TenantId::new).collect();
            let policy = Box::new(policy(&mut self.bytes, &parents, &self.model.setup));
            self.say(Input::TenantConfigure { tenant: TenantId::new(tenant), policy }, None)?;
        }
        for _ in 0..self.bytes.below(3) {
            let limit = self.bytes.units(self.model.setup.dimensions, 12);
            self.say(Input::DeviceAdd(DeviceSpec { limit, checkpoint_mib: None }), None)?;
        }
        let workers = match self.world {
            World::Mixed => 1 + self.bytes.below(5),
            World::Contended => 2 + self.bytes.below(3),
            World::Wide => 33 + self.bytes.below(5),
        };
        for _ in 0..workers {
            let (input, after) = self.worker_add();
            self.say(input, after)?;
        }
        if self.world != World::Mixed {
            self.fill(workers)?;
        }
        while !self.bytes.0.is_empty() {
            self.pass_time()?;
            if self.bytes.below(5) < 2 {
                self.polls()?;
            } else {
                let (input, after) = self.input();
                let submits = matches!(input, Input::Submit(_));
                self.say(input, after)?;
                if submits && self.warm && !self.bytes.rarely(3) {
                    self.tell_prompt()?;
                }
            }
        }
        self.round()
    }

    /// The blocks of the newest request, told at once.
    fn tell_prompt(&mut self) -> Result<(), String> {
        let Some(&request) = self.made.last() else { return Ok(()) };
        let blocks = self.blocks();
        self.say(Input::PrefixSet { request, blocks }, None)
    }

    /// The least urgent tier borrows what there is.
    fn fill(&mut self, workers: usize) -> Result<(), String> {
        for _ in 0..3 * workers {
            let Input::Submit(mut spec) = self.submit() else { unreachable!("it submits") };
            spec.tier = Tier::new(self.model.setup.tiers.len() as u8 - 1);
            spec.yielding = Yielding::Restart;
            self.say(Input::Submit(spec), None)?;
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
        self.model.check_start(told)?;
        self.model.violation.take().map_or(Ok(()), Err)?;
        self.restore()?;
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
        let of_quota = answer.as_ref().err().and_then(told);
        let told = answer.as_ref().map(|_| ()).map_err(refusal);
        if told != expected {
            return Err(format!("the page says {expected:?}, the scheduler {told:?}"));
        }
        if of_quota != self.model.told {
            return Err(format!("the page says {:?}", self.model.told));
        }
        self.model.violation.take().map_or(Ok(()), Err)?;
        self.compared.taken += u64::from(told.is_ok());
        self.restore()?;
        self.check()
    }

    /// A restart from a snapshot, which nobody may notice.
    fn restore(&mut self) -> Result<(), String> {
        if self.restored {
            let bytes = self.sched.snapshot();
            let restored = Scheduler::restore(self.sched.config().clone(), &bytes);
            self.sched = restored.map_err(|error| error.to_string())?;
            self.compared.restored += 1;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        self.sched.check_invariants().map_err(|violation| violation.to_string())?;
        self.model.check_books()?;
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

    fn spent(&mut self) -> Usage {
        let [prompt_tokens, cached_tokens, output_tokens] = [20, 9, 30].map(|most| self.bytes.number(most));
        Usage { prompt_tokens, cached_tokens, output_tokens }
    }

    fn worker_add(&mut self) -> (Input, Option<Setup>) {
        let setup = &self.model.setup;
        let pool = PoolId::new(self.bytes.number(setup.pools as u64) as u32);
        let mut capacity = self.bytes.units(setup.dimensions, 8);
        for d in 0..setup.dimensions {
            capacity[d] += self.bytes.one_of(&[2, 2, 2, 0]);
        }
        if self.world == World::Contended {
            capacity = self.of_each(4);
        }
        let mut spec = WorkerSpec::new(capacity).pool(pool);
        for device in 0..self.model.devices.len().min(3) {
            if self.bytes.rarely(3) {
                let part = Ppm::new(self.bytes.one_of(&[1_000_000, 500_000, 500_000, 333_333, 0]));
                spec = spec.on_part(DeviceId::new(device as u32), part);
            }
        }
        if self.shaken {
            self.shake(&mut spec);
        }
        (Input::WorkerAdd(spec), None)
    }

    /// Clients of a server, spares, and those that come in place of one that was lost, mostly.
    fn shake(&mut self, spec: &mut WorkerSpec) {
        spec.kind = self.bytes.one_of(&[WorkerKind::Mps, WorkerKind::Mig, WorkerKind::Mps]);
        spec.spare = self.bytes.rarely(4);
        let lost = (0..).zip(&self.model.workers).filter(|(_, worker)| worker.status == Status::Lost);
        let lost: Vec<_> = lost.map(|(number, worker)| (number, worker.spec.pool, worker.losses)).collect();
        if self.bytes.rarely(12) {
            spec.replaces = Some(self.worker());
        } else if !lost.is_empty() && !self.bytes.rarely(3) {
            // Mostly the one that was lost most often in a row, and of those the last.
            let most = (0..lost.len()).max_by_key(|&nth| lost[nth].2).expect("there is one");
            let nth = if self.bytes.rarely(4) { self.bytes.below(lost.len()) } else { most };
            let (number, pool, _) = lost[nth];
            (spec.replaces, spec.pool) = (Some(WorkerId::new(number)), pool);
        }
    }

    /// A worker, mostly one that came for another that was lost, if there is one.
    fn flapping(&mut self) -> WorkerId {
        let here = (0..).zip(&self.model.workers);
        let here = here.filter(|(_, worker)| worker.status == Status::Up && worker.losses > 0);
        let here: Vec<u32> = here.map(|(number, _)| number).collect();
        if here.is_empty() || self.bytes.rarely(4) {
            return self.worker();
        }
        WorkerId::new(here[self.bytes.below(here.len())])
    }

    /// One fails, or another comes.
    fn fleet_change(&mut self) -> (Input, Option<Setup>) {
        // Soon after a loss another comes: else nobody were kept out for one that fails again and again.
        let flaps =
            self.model.workers.iter().any(|worker| worker.status == Status::Lost && worker.losses > 1);
        match self.bytes.below(8) {
            0..=2 => self.worker_add(),
            3..=4 if flaps => self.worker_add(),
            3..=5 => (Input::WorkerLost { worker: self.flapping() }, None),
            6 => (Input::WorkerDrain { worker: self.worker() }, None),
            _ => self.change(),
        }
    }

    fn of_each(&self, units: u64) -> Resources {
        let mut of_each = Resources::ZERO;
        for d in 0..self.model.setup.dimensions {
            of_each[d] = units;
        }
        of_each
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
        if (self.limited || self.crowded) && self.bytes.rarely(10) {
            return (self.tenants_change(), None);
        }
        if self.warm && self.bytes.rarely(3) {
            return (self.blocks_change(), None);
        }
        if self.shaken && self.bytes.rarely(4) {
            return self.fleet_change();
        }
        let input = match self.bytes.below(40) {
            0..=15 => self.submit(),
            16..=33 if self.world == World::Contended => self.report_slowly(),
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

    /// Prompts of few letters; the hash of a block covers those before it, nearly always.
    fn blocks(&mut self) -> Box<[u64]> {
        let mut hash = 7_u64;
        let count = self.bytes.below(7);
        let mut blocks = Vec::new();
        for _ in 0..count {
            let letter = self.bytes.below(32) as u64;
            hash = if letter == 31 { 1 } else { (hash ^ (1 + letter / 25)).wrapping_mul(0x0100_0000_01b3) };
            blocks.push(hash);
        }
        blocks.into()
    }

    /// What is told of prompts and of caches.
    fn blocks_change(&mut self) -> Input {
        let blocks = self.blocks();
        match self.bytes.below(5) {
            0 => Input::CacheStored { worker: self.worker(), blocks },
            1 => Input::CacheEvicted { worker: self.worker(), blocks },
            _ => {
                // Mostly the newest, which may still wait for a warm worker.
                let newest = self.made.last().copied().filter(|_| !self.bytes.rarely(4));
                let request = newest.unwrap_or_else(|| self.pick(false).0);
                Input::PrefixSet { request, blocks }
            }
        }
    }

    fn tenant(&mut self) -> TenantId {
        TenantId::new(self.bytes.number(self.model.tenants.len() as u64 + 1) as u32)
    }

    /// Tenants come, go, move, and may do more or less than before.
    fn tenants_change(&mut self) -> Input {
        match self.bytes.below(if self.crowded { 4 } else { 8 }) {
            0 | 1 => Input::TenantSet { name: self.bytes.one_of(&["d", "e", "a", "f", "g", "h"]).into() },
            2 => Input::TenantRemove { tenant: self.tenant() },
            _ => {
                let (tenant, parents) = (self.tenant(), self.model.ids());
                let policy = Box::new(policy(&mut self.bytes, &parents, &self.model.setup));
                Input::TenantConfigure { tenant, policy }
            }
        }
    }

    fn tier(&mut self) -> Tier {
        Tier::new(self.bytes.number(self.model.setup.tiers.len() as u64) as u8)
    }

    fn submit(&mut self) -> Input {
        let setup = &self.model.setup;
        let (dimensions, pools) = (setup.dimensions, setup.pools as u64);
        let yielding = [Yielding::Restart, Yielding::Checkpoint, Yielding::Restart, Yielding::Never];
        let known = self.model.tenants.len() as u64;
        let mut spec = RequestSpec::new(TenantId::new(self.bytes.number(known) as u32), self.tier())
            .pool(PoolId::new(self.bytes.number(pools) as u32))
            .demand(self.bytes.units(dimensions, 3))
            .prompt_tokens(self.bytes.number(20))
            .yielding(self.bytes.one_of(&yielding));
        if pools > 1 && !self.bytes.rarely(3) {
            let count = 1 + self.bytes.below(2);
            let others: Vec<PoolId> =
                (0..count).map(|_| PoolId::new(self.bytes.number(pools) as u32)).collect();
            spec.other_pools = OtherPools::new(&others).expect("no more than two");
        }
        if self.bytes.rarely(8) {
            spec.demand = self.bytes.units(dimensions, 9);
        }
        spec.peak = if self.bytes.rarely(2) { self.bytes.units(dimensions, 9) } else { Resources::ZERO };
        if self.world == World::Contended && !self.bytes.rarely(5) {
            (spec.demand, spec.peak, spec.yielding) = (self.of_each(1), Resources::ZERO, Yielding::Restart);
        }
        if self.shaken && !self.bytes.rarely(4) {
            spec.yielding = Yielding::Checkpoint;
        }
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
                let release = if self.bytes.rarely(3) { Release::Later } else { Release::Done };
                Input::Preempted { request, attempt, tokens_kept, release }
            }
            11 | 12 => {
                let releasing = self.model.requests.values().find(|r| r.state == RequestState::Releasing);
                let (request, attempt) = releasing.map_or((request, attempt), |r| (r.id, r.attempt()));
                Input::Released { request, attempt }
            }
            13 => Input::Failed { request, attempt },
            _ => Input::Complete { request, attempt, usage: self.spent() },
        }
    }

    /// Little comes to an end, and victims take their time.
    fn report_slowly(&mut self) -> Input {
        if self.bytes.rarely(4) {
            return self.report();
        }
        let (request, attempt) = self.pick(true);
        let in_use = self.model.requests.values().find(|known| known.id == request);
        let in_use = in_use.map_or([0; 4], |known| known.in_use).map(|units| units as u64);
        let mut used = Resources::ZERO;
        for d in 0..self.model.setup.dimensions {
            used[d] = in_use[d];
        }
        Input::Progress { request, attempt, output_tokens: self.bytes.number(30), in_use: used }
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
                let mut after = self.world.setup(&mut self.bytes);
                let before = &self.model.setup;
                (after.dimensions, after.pools) = (dimensions, before.pools);
                after.tiers.truncate(before.tiers.len());
                let missing = before.tiers[after.tiers.len()..].iter().cloned();
                after.tiers.extend(missing);
                after.keep_valid();
                if self.crowded {
                    after.crowd(&mut self.bytes);
                }
                if self.shaken {
                    after.shake(&mut self.bytes);
                }
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
