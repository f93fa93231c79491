//! Clients, engines and the time they share, in ticks: what arrives, what runs, what stops.
//!
//! A request takes one slot for as long as its work takes. Engines keep what they computed when they stop a request.
//! Each tick is one turn of a host: it tells what ended, stopped and arrived, and polls until nothing comes.
//! Cost: O(requests that run) a tick.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tidegate::{
    Action, Attempt, Config, ConfigError, Instant, Reason, Release, RequestId, RequestSpec, Scheduler,
    TenantId, Tier, TierConfig, Usage, WorkerId, WorkerSpec, Yielding,
};

/// How far the time goes at once.
const TICK_MS: u64 = 20;
/// Engines, and the slots of each.
pub const WORKERS: u32 = 4;
/// See [`WORKERS`].
pub const SLOTS: u64 = 16;
/// How long an engine takes to stop a request.
const STOP_MS: u64 = 100;
/// An engine gives each request a token in this time.
const TOKEN_MS: u64 = 25;
const PROMPT_TOKENS: u64 = 512;
/// Those that wait in a tier at most; who comes then is turned away.
const QUEUE_LIMIT: u64 = 400;
/// The actions that are remembered for the page.
const SAID: usize = 12;
/// The delays that a percentile is of, in each tier.
const DELAYS: usize = 200;

/// One tier of the playground, as it is at the beginning.
#[derive(Clone, Copy, Debug)]
pub struct TierSetup {
    /// Its name.
    pub name: &'static str,
    /// The share that it gets back whenever it needs it, in parts per million.
    pub reserve_ppm: u32,
    /// Requests that arrive in a minute, on average.
    pub per_minute: u32,
    /// What one of them takes on an engine, on average.
    pub work_ms: u64,
}

/// The tiers, most urgent first. At the beginning batch work asks for more than there is.
pub const TIERS: [TierSetup; 3] = [
    TierSetup { name: "realtime", reserve_ppm: 300_000, per_minute: 240, work_ms: 3_000 },
    TierSetup { name: "near-realtime", reserve_ppm: 100_000, per_minute: 120, work_ms: 6_000 },
    TierSetup { name: "batch", reserve_ppm: 50_000, per_minute: 180, work_ms: 20_000 },
];

/// What a request still has to do, and where it does it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) tier: usize,
    /// When it came, or stopped.
    pub(crate) waits_since_ms: u64,
    pub(crate) work_ms: u64,
    done_ms: u64,
    waited: bool,
    pub(crate) run: Option<Run>,
}

/// A request on an engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    attempt: Attempt,
    pub(crate) worker: WorkerId,
    pub(crate) since_ms: u64,
    pub(crate) reason: Reason,
    /// When it will have stopped, if it is to.
    pub(crate) stops_at_ms: Option<u64>,
}

/// What is counted of a tier.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) completed: u64,
    pub(crate) preempted: u64,
    pub(crate) refused: u64,
    /// The queue delays of the last requests that started for the first time.
    pub(crate) delays_ms: VecDeque<u64>,
}

/// The whole of it.
#[derive(Debug)]
pub struct World {
    pub(crate) sched: Scheduler,
    pub(crate) now_ms: u64,
    pub(crate) jobs: BTreeMap<RequestId, Job>,
    pub(crate) tallies: [Tally; TIERS.len()],
    pub(crate) said: VecDeque<(u64, String)>,
    tenants: [TenantId; TIERS.len()],
    per_minute: [u32; TIERS.len()],
    reserves_ppm: [u32; TIERS.len()],
    hold_ms: u64,
    random: u64,
}

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn config(reserves_ppm: [u32; TIERS.len()], hold_ms: u64) -> Result<Config, ConfigError> {
    let tiers = TIERS.iter().zip(reserves_ppm);
    tiers
        .fold(Config::builder().dimensions(["slots"]), |config, (tier, ppm)| {
            config.tier(
                TierConfig::new(tier.name)
                    .reserve_ppm(ppm)
                    .queue_limit(QUEUE_LIMIT)
                    .hold_window(Duration::from_millis(hold_ms)),
            )
        })
        .build()
}

impl World {
    /// A world in which nothing has arrived yet. The same `seed` gives the same arrivals.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        let (reserves_ppm, hold_ms) = (TIERS.map(|tier| tier.reserve_ppm), 2_000);
        let config = config(reserves_ppm, hold_ms).expect("the playground's own reserves are less than all");
        let mut sched = Scheduler::new(config, at(0));
        for _ in 0..WORKERS {
            sched.worker_add(at(0), WorkerSpec::new([SLOTS])).expect("four workers are few");
        }
        let tenants = TIERS.map(|tier| sched.tenant_set(at(0), tier.name).expect("three tenants are few"));
        Self {
            sched,
            now_ms: 0,
            jobs: BTreeMap::new(),
            tallies: Default::default(),
            said: VecDeque::new(),
            tenants,
            per_minute: TIERS.map(|tier| tier.per_minute),
            reserves_ppm,
            hold_ms,
            random: u64::from(seed) << 1 | 1, // anything but 0
        }
    }

    /// From now on so many requests of a tier arrive in a minute, on average; at most one in a tick.
    pub fn load(&mut self, tier: usize, per_minute: u32) {
        if let Some(load) = self.per_minute.get_mut(tier) {
            *load = per_minute;
        }
    }

    /// From now on a tier has this share. Whether it may: reserves are not more than all there is. If not, nothing changed.
    pub fn reserve(&mut self, tier: usize, ppm: u32) -> bool {
        let mut reserves = self.reserves_ppm;
        let Some(reserve) = reserves.get_mut(tier) else { return false };
        *reserve = ppm;
        self.reconfigure(reserves, self.hold_ms)
    }

    /// From now on what a tier needed is held for it so long.
    pub fn hold(&mut self, ms: u64) -> bool {
        self.reconfigure(self.reserves_ppm, ms)
    }

    fn reconfigure(&mut self, reserves_ppm: [u32; TIERS.len()], hold_ms: u64) -> bool {
        let Ok(config) = config(reserves_ppm, hold_ms) else { return false };
        self.sched.reconfigure(at(self.now_ms), config).expect("names and dimensions are the same");
        (self.reserves_ppm, self.hold_ms) = (reserves_ppm, hold_ms);
        true
    }

    /// The time goes on, to the next whole tick.
    pub fn advance(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(TICK_MS) {
            self.now_ms += TICK_MS;
            self.engines();
            self.clients();
            self.poll();
        }
    }

    /// Why a request is where it is, in words. `None` if it has ended.
    #[must_use]
    pub fn explain(&self, request: u64) -> Option<String> {
        Some(self.sched.explain(RequestId::from_bits(request)).ok()?.to_string())
    }

    /// The scheduler, to look at.
    #[must_use]
    pub fn scheduler(&self) -> &Scheduler {
        &self.sched
    }

    /// Tells of all that ended or stopped since the last tick.
    fn engines(&mut self) {
        let now_ms = self.now_ms;
        let running = self.jobs.iter().filter_map(|(&id, job)| Some((id, *job, job.run?)));
        let due: Vec<_> = running
            .filter_map(|(id, job, run)| {
                let done_ms = job.done_ms + (now_ms - run.since_ms);
                let ended = done_ms >= job.work_ms;
                (ended || run.stops_at_ms.is_some_and(|at| at <= now_ms)).then_some((id, run, done_ms, ended))
            })
            .collect();
        for (id, run, done_ms, ended) in due {
            let tokens = done_ms / TOKEN_MS;
            if ended {
                let usage = Usage { prompt_tokens: PROMPT_TOKENS, output_tokens: tokens, ..Usage::default() };
                self.sched.complete(at(now_ms), id, run.attempt, usage).expect("it runs");
                let job = self.jobs.remove(&id).expect("it was just there");
                self.tallies[job.tier].completed += 1;
            } else {
                let kept = PROMPT_TOKENS + tokens;
                self.sched
                    .preempted(at(now_ms), id, run.attempt, kept, Release::Done)
                    .expect("it was to stop");
                let job = self.jobs.get_mut(&id).expect("it was just there");
                (job.done_ms, job.run, job.waits_since_ms) = (done_ms, None, now_ms);
                self.tallies[job.tier].preempted += 1;
            }
        }
    }

    /// Submits what arrives in this tick.
    fn clients(&mut self) {
        for (index, tier) in TIERS.iter().enumerate() {
            let chance = u64::from(self.per_minute[index]) * TICK_MS;
            if self.below(60_000) >= chance {
                continue;
            }
            let work_ms = tier.work_ms / 2 + self.below(tier.work_ms); // half to one and a half
            let spec = RequestSpec::new(self.tenants[index], Tier::new(index as u8))
                .demand([1])
                .prompt_tokens(PROMPT_TOKENS)
                .yielding(Yielding::Checkpoint);
            match self.sched.submit(at(self.now_ms), spec) {
                Ok(id) => {
                    let since = self.now_ms;
                    let job = Job {
                        tier: index,
                        waits_since_ms: since,
                        work_ms,
                        done_ms: 0,
                        waited: false,
                        run: None,
                    };
                    self.jobs.insert(id, job);
                }
                Err(_) => self.tallies[index].refused += 1, // its queue is full
            }
        }
    }

    fn poll(&mut self) {
        while let Some(action) = self.sched.poll(at(self.now_ms)) {
            match action {
                Action::Start { request, attempt, worker, reason, .. } => {
                    self.start(request, attempt, worker, reason);
                }
                Action::Preempt { victim, beneficiary, reason, .. } => {
                    let for_whom = beneficiary.map_or(String::new(), |id| format!(" for {id}"));
                    self.say(format!("{victim} is to stop{for_whom}: {}", reason.as_str()));
                    self.stop_at(victim, Some(self.now_ms + STOP_MS));
                }
                Action::Spare { victim, reason, .. } => {
                    self.say(format!("{victim} may go on: {}", reason.as_str()));
                    self.stop_at(victim, None);
                }
                other => unreachable!("no engine fails and nothing times out here: {other:?}"),
            }
        }
    }

    fn start(&mut self, request: RequestId, attempt: Attempt, worker: WorkerId, reason: Reason) {
        let now_ms = self.now_ms;
        let job = self.jobs.get_mut(&request).expect("it was submitted");
        job.run = Some(Run { attempt, worker, since_ms: now_ms, reason, stops_at_ms: None });
        let (tier, delay_ms) = (job.tier, now_ms - job.waits_since_ms);
        if !std::mem::replace(&mut job.waited, true) {
            let delays = &mut self.tallies[tier].delays_ms;
            delays.push_back(delay_ms);
            if delays.len() > DELAYS {
                delays.pop_front();
            }
        }
        let place = worker.get() + 1;
        self.say(format!("{request} ({}) starts on engine {place}: {}", TIERS[tier].name, reason.as_str()));
    }

    fn stop_at(&mut self, victim: RequestId, at_ms: Option<u64>) {
        let run = self.jobs.get_mut(&victim).and_then(|job| job.run.as_mut());
        run.expect("only what runs is stopped or spared").stops_at_ms = at_ms;
    }

    fn say(&mut self, what: String) {
        self.said.push_front((self.now_ms, what));
        self.said.truncate(SAID);
    }

    /// A number below `end`, which is small: xorshift64 (Marsaglia 2003).
    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % end
    }
}
