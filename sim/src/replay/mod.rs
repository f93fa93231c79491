//! The replay: a discrete-event loop that lets a workload arrive, drives one `Scheduler` through its public
//! verbs, and lets engines run what it starts.
//!
//! Decides the order of events: an engine that has something to report comes first, of several at one instant
//! that of the lowest worker, then arrivals, then polls until the scheduler has nothing more to say, then the
//! engines go on. The
//! scheduler is woken when it asks to be. Everything but the wall times in the [`Outcome`] depends on the
//! inputs alone. Does not know: which set-up this is, how long an iteration takes.
//!
//! State: a [`Run`] and a [`Ticket`] for each request (of a stream: for each that lives), an engine for each worker.
//! Nothing is allocated per event. Most iterations end with nothing to report; they cost their engine's work and a place in the calendar.

mod calendar;
mod effort;
mod fleet;
mod host;
mod pools;
mod stopwatch;
mod tally;
mod timeline;
mod waiting_room;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate::{
    Action, Attempt, Input, Instant, PoolId, Release, RequestId, RequestSpec, Resources, TenantId, Usage,
    WorkerSpec, YieldMode, Yielding,
};

use crate::engine::{BatchingEngine, Engine, JobNode, NEVER, Report, Run, Stop};
use crate::machine::Machine;
use crate::model::BLOCK_TOKENS;
use crate::policy::Job;
use crate::setup::{Route, Setup};
use crate::trace::{TraceRequest, Work, Workload};
use crate::whole_file::WholeFile;
use calendar::Calendar;
use fleet::Fleet;
pub use fleet::{FleetCurve, FleetLook, Scaling};
use host::Host;
pub use host::ReplayError;
use pools::Pools;
pub(crate) use tally::pressure;
use tally::{BusyTime, Need, TierTally};
pub use tally::{Counts, Curves, Outcome, TTFT_OBJECTIVES_NS, TierOutcome};
use timeline::Watcher;
pub use timeline::{Service, Span, TenantTimeline, TierTimeline, Timeline, Watch};

/// Wakes in a row, at one instant and for nothing, after which the scheduler is taken to be stuck. It may
/// rightly ask for a few: a poll expires no more than what fell due within a minute.
const MAX_IDLE_WAKES: u32 = 10_000;

/// Requests that end between two calls of the progress bar.
const PROGRESS_EVERY: u64 = 512;

/// In place of a request's index: the slot has none.
const NOBODY: u32 = u32::MAX;

/// What a replay does besides.
#[derive(Default)]
pub struct ReplayOptions<'a> {
    /// Record every input and poll here.
    pub journal: Option<WholeFile>,
    /// Verify the scheduler's invariants after every input and every poll.
    pub check: bool,
    /// Called now and then with the number of requests that have ended.
    pub progress: Option<&'a mut dyn FnMut(u64)>,
    /// What to write down about time.
    pub watch: Watch,
    /// Once this is true the replay stops, and returns what it has as a partial outcome.
    pub stop: Option<&'a AtomicBool>,
    /// How the fleet follows what is wanted; without it the workers of the set-up are there from the beginning to the end, and
    /// with it they are the most that there may ever be.
    pub scaling: Option<Scaling>,
}

/// Where the requests of a replay come from.
pub struct Requests<'a, I> {
    /// In the order of their arrival.
    pub arrivals: I,
    /// The tenants' names.
    pub tenants: &'a [String],
    /// How many there are by tier, if all that is kept of each may be kept; without it, memory is only for those
    /// that live at one time, and percentiles are of bins.
    pub sizes: Option<Vec<usize>>,
    /// The least urgent tier that there is.
    pub least_urgent: u8,
}

impl<'a> Requests<'a, std::iter::Copied<std::slice::Iter<'a, TraceRequest>>> {
    /// Those of a workload.
    #[must_use]
    pub fn of(workload: &'a Workload) -> Self {
        let least_urgent = workload.requests.iter().map(|request| request.tier).max().unwrap_or(0);
        let mut sizes = vec![0; usize::from(least_urgent) + 1];
        for request in &workload.requests {
            sizes[usize::from(request.tier)] += 1;
        }
        Self {
            arrivals: workload.requests.iter().copied(),
            tenants: &workload.tenants,
            sizes: Some(sizes),
            least_urgent,
        }
    }
}

/// Replays a workload. Time is linear in the iterations of the engines and the inputs they cause.
///
/// # Errors
/// [`ReplayError`]: the scheduler has a bug.
pub fn replay(
    workload: &Workload,
    setup: &Setup,
    machine: Machine,
    options: ReplayOptions<'_>,
) -> Result<(Outcome, Option<WholeFile>), ReplayError> {
    replay_stream(Requests::of(workload), setup, machine, options)
}

/// Replays requests that need not be in memory all at once.
///
/// # Errors
/// [`ReplayError`]: the scheduler has a bug.
pub fn replay_stream(
    requests: Requests<'_, impl Iterator<Item = TraceRequest>>,
    setup: &Setup,
    machine: Machine,
    options: ReplayOptions<'_>,
) -> Result<(Outcome, Option<WholeFile>), ReplayError> {
    let workers = setup.worker_pools.len();
    match machine {
        Machine::Engine { model, batching, .. } => {
            let engines = match &setup.hardware {
                None => vec![BatchingEngine::new(model, batching); workers],
                Some(hardware) => {
                    let on = |share| BatchingEngine::on(hardware.model, batching, share);
                    hardware.shares().into_iter().map(on).collect()
                }
            };
            Replay::new(requests, setup, machine, engines, options)?.run()
        }
        Machine::Node => {
            Replay::new(requests, setup, machine, vec![JobNode::default(); workers], options)?.run()
        }
    }
}

/// What the host knows of one request.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    id: RequestId,
    attempt: Attempt,
    worker: u32,
    /// Its place in the order of arrival.
    number: u64,
    arrival_ns: u64,
    tenant: u32,
    /// Of the workload.
    tier: u8,
    /// Where it lives, and what it asked for there.
    pool: PoolId,
    asked: u32,
}

struct Replay<'a, 'p, E, I> {
    machine: Machine,
    setup: &'a Setup,
    options: ReplayOptions<'p>,
    host: Host,
    pools: Pools,
    engines: Vec<E>,
    calendar: Calendar,
    busy_workers: u32,
    runs: Vec<Run>,
    tickets: Vec<Ticket>,
    /// Indices of requests that have ended, to be used again; `None` if each request has one of its own.
    free: Option<Vec<u32>>,
    /// Index of the request that has a slot of the scheduler, by the slot; `NOBODY` if it has ended.
    by_slot: Vec<u32>,
    /// Requests whose slot went to another before the scheduler said that they are dropped, in that order.
    displaced: VecDeque<u32>,
    /// The next request to arrive, and those behind it.
    arriving: Option<TraceRequest>,
    arrivals: I,
    /// How many have arrived.
    arrived: u64,
    /// Workers whose engines have to be asked when they go on.
    touched: Vec<u32>,
    reports: Vec<Report>,
    tiers: Vec<TierTally>,
    ttft_of: Vec<Option<u64>>,
    least_urgent: u8,
    /// Requests of the least urgent tier that wait.
    backlog: u64,
    busy: BusyTime,
    need: Need,
    good_tokens: u64,
    ended: u64,
    last_event_at: u64,
    watcher: Option<Box<Watcher>>,
    /// Until nobody arrives any more.
    fleet: Option<Box<Fleet>>,
    fleet_curve: Option<FleetCurve>,
    is_partial: bool,
}

impl<'a, 'p, E: Engine, I: Iterator<Item = TraceRequest>> Replay<'a, 'p, E, I> {
    fn new(
        requests: Requests<'_, I>,
        setup: &'a Setup,
        machine: Machine,
        engines: Vec<E>,
        mut options: ReplayOptions<'p>,
    ) -> Result<Self, ReplayError> {
        let host = Host::new(setup, options.journal.take(), options.check);
        let Requests { mut arrivals, tenants, sizes, least_urgent } = requests;
        let fleet = |scaling| Box::new(Fleet::new(scaling, setup.layout.capacity(), engines.len()));
        let fleet = options.scaling.map(fleet);
        let room = sizes.as_ref().map_or(0, |sizes| sizes.iter().sum());
        let tally = |tier| TierTally::new(sizes.as_ref().map(|sizes| *sizes.get(tier).unwrap_or(&0)));
        let mut replay = Self {
            machine,
            setup,
            options,
            host,
            pools: Pools::new(setup, tenants),
            calendar: Calendar::new(engines.len()),
            engines,
            busy_workers: 0,
            runs: Vec::with_capacity(room),
            tickets: Vec::with_capacity(room),
            ttft_of: Vec::with_capacity(room),
            free: sizes.is_none().then(Vec::new),
            by_slot: Vec::new(),
            displaced: VecDeque::new(),
            arriving: arrivals.next(),
            arrivals,
            arrived: 0,
            touched: Vec::new(),
            reports: Vec::new(),
            tiers: (0..setup.routes.len()).map(tally).collect(),
            least_urgent,
            backlog: 0,
            busy: BusyTime::default(),
            need: Need::default(),
            good_tokens: 0,
            ended: 0,
            last_event_at: 0,
            watcher: None,
            fleet,
            fleet_curve: None,
            is_partial: false,
        };
        replay.introduce(tenants)?;
        replay.begin_to_watch(tenants.len());
        Ok(replay)
    }

    fn begin_to_watch(&mut self, tenants: usize) {
        let watch = self.options.watch;
        if watch == Watch::Nothing {
            return;
        }
        let workers = self.engines.len();
        let layout = self.setup.layout;
        let reserves = self.setup.routes.iter().map(|&route| layout.units(&self.reserve(route))).collect();
        let alike = || layout.units(&layout.capacity()) * workers as u64;
        let capacity = self.pools.units().unwrap_or_else(alike);
        let own = self.setup.workers_of_tier();
        self.watcher = Some(Box::new(Watcher::new(watch, capacity, reserves, tenants, workers, own)));
    }

    /// What is guaranteed to a tier, in all pools that take it.
    fn reserve(&self, route: Route) -> Resources {
        let of_pools = self.pools.of(route).map(|pool| self.host.effective_reserve(pool, route.tier));
        of_pools.fold(Resources::ZERO, |all, reserve| all + reserve)
    }

    /// Tells the scheduler of the workers and tenants. Both are numbered in this order, from 0.
    fn introduce(&mut self, tenants: &[String]) -> Result<(), ReplayError> {
        let start = Instant::ZERO;
        let file = self.setup.file.as_deref();
        if file.is_none_or(|file| file.workers.is_empty()) {
            let first = self.options.scaling.map_or(usize::MAX, |scaling| scaling.workers);
            for &pool in self.setup.worker_pools.iter().take(first) {
                let spec = WorkerSpec::new(self.setup.layout.capacity()).pool(pool);
                self.host.tell(start, &Input::WorkerAdd(spec))?;
            }
        }
        if let Some(file) = file {
            return file.inputs(tenants).iter().try_for_each(|input| self.host.tell(start, input));
        }
        for name in tenants {
            self.host.tell(start, &Input::TenantSet { name: name.as_str().into() })?;
        }
        Ok(())
    }

    fn run(mut self) -> Result<(Outcome, Option<WholeFile>), ReplayError> {
        let mut wake_at = NEVER;
        let mut idle_wakes = 0;
        let mut before = NEVER;
        loop {
            self.host.next_event();
            let look_at = self.fleet.as_ref().map_or(NEVER, |fleet| fleet.next_at());
            let now = self.next_event(wake_at.min(look_at));
            if now == NEVER {
                break;
            }
            if self.options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                self.is_partial = true;
                break;
            }
            self.busy.elapse(now, self.busy_workers, self.backlog > 0);
            if let Some(watcher) = &mut self.watcher {
                watcher.elapse(now);
            }
            let mut heard = self.pass_on_reports(now)?;
            heard |= self.submit_arrivals(now)?;
            heard |= self.scale(now)?;
            let acted = if heard || wake_at <= now {
                let acted = self.round(now)?;
                wake_at = self.host.poll_timeout().map_or(NEVER, |at| at.as_nanos().max(now));
                acted
            } else {
                false
            };
            if heard || acted {
                self.last_event_at = now;
            }
            idle_wakes = if heard || acted || now != before { 0 } else { idle_wakes + 1 };
            before = now;
            if idle_wakes > MAX_IDLE_WAKES && wake_at == now {
                return Err(ReplayError::Livelock { now: Instant::from_nanos(now), times: idle_wakes });
            }
            self.resume_engines(now);
        }
        Ok(self.finish())
    }

    /// Lets the fleet follow what is wanted, until the last request has arrived. Returns whether the scheduler was told of it.
    fn scale(&mut self, now: u64) -> Result<bool, ReplayError> {
        let Some(mut fleet) = self.fleet.take() else { return Ok(false) };
        let told = fleet.step(now, &mut self.host, |worker| self.calendar.at(worker) == NEVER)?;
        if self.arriving.is_some() {
            self.fleet = Some(fleet);
        } else {
            self.fleet_curve = Some(fleet.finish(now));
        }
        Ok(told)
    }

    /// Lets engines compute until there is something to hear, or to do. Returns that instant. An engine that ends an
    /// iteration then has left its reports, if any, and is touched.
    fn next_event(&mut self, wake_at: u64) -> u64 {
        let arrival = self.arriving.map_or(NEVER, |request| request.arrival_ns);
        let other = arrival.min(wake_at);
        loop {
            let now = self.calendar.earliest();
            if now > other || now == NEVER {
                return other;
            }
            let worker = self.calendar.first();
            let engine = &mut self.engines[worker];
            engine.advance(now, &mut self.runs, &mut self.reports);
            if now == other || !self.reports.is_empty() {
                self.touched.push(worker as u32);
                return now;
            }
            let next = engine.resume(now, &mut self.runs);
            debug_assert_ne!(next, NEVER, "an engine that has nothing to report goes on");
            self.calendar.set(worker, next);
        }
    }

    /// Passes on what an engine has to report at `now`. Returns whether there was anything.
    #[inline]
    fn pass_on_reports(&mut self, now: u64) -> Result<bool, ReplayError> {
        if self.reports.is_empty() {
            return Ok(false);
        }
        let mut reports = std::mem::take(&mut self.reports);
        for &report in &reports {
            match report {
                Report::Grew { request, generated, units } => {
                    self.pass_on_growth(now, request, generated, units)?;
                }
                _ => self.pass_on(now, report)?,
            }
        }
        reports.clear();
        self.reports = reports;
        Ok(true)
    }

    /// Tells the scheduler that a request holds a block more: five in six of all reports.
    #[inline(always)]
    fn pass_on_growth(
        &mut self,
        now: u64,
        index: u32,
        generated: u32,
        units: u32,
    ) -> Result<(), ReplayError> {
        let Ticket { id, attempt, tier, .. } = self.tickets[index as usize];
        if tier == 0 {
            self.need.add(0, 1);
        }
        if let Some(watcher) = &mut self.watcher {
            watcher.hold(tier, 1);
        }
        let in_use = self.setup.layout.resources(1, units.into());
        self.host.progress(Instant::from_nanos(now), id, attempt, generated.into(), in_use)
    }

    /// Submits the requests that arrive at `now`. Returns whether there were any.
    fn submit_arrivals(&mut self, now: u64) -> Result<bool, ReplayError> {
        let first = self.arrived;
        while let Some(request) = self.arriving
            && request.arrival_ns <= now
        {
            self.submit(now, &request)?;
            self.arrived += 1;
            self.arriving = self.arrivals.next();
        }
        Ok(self.arrived > first)
    }

    /// A place for what is known of a request that arrives.
    fn take_in(&mut self, request: &TraceRequest, run: Run, pool: PoolId) -> u32 {
        let ticket = Ticket {
            id: RequestId::from_bits(0),
            attempt: Attempt::new(0),
            worker: 0,
            number: self.arrived,
            arrival_ns: request.arrival_ns,
            tenant: request.tenant,
            tier: request.tier,
            pool,
            asked: run.units,
        };
        if let Some(index) = self.free.as_mut().and_then(Vec::pop) {
            self.runs[index as usize] = run;
            self.tickets[index as usize] = ticket;
            return index;
        }
        if self.free.is_none() {
            self.ttft_of.push(None);
        }
        self.runs.push(run);
        self.tickets.push(ticket);
        u32::try_from(self.runs.len() - 1).expect("memory for fewer requests than that")
    }

    fn submit(&mut self, now: u64, request: &TraceRequest) -> Result<(), ReplayError> {
        let route = self.setup.routes[usize::from(request.tier)];
        let run = self.machine.run(request, route.tier.get());
        let units = run.units;
        let (pool, other_pools) = self.pools.named(route, request.tenant, units.into());
        let index = self.take_in(request, run, pool);
        if let Some(fleet) = &mut self.fleet {
            fleet.note_arrival(now, request.tier, self.machine.cost(request.work));
        }
        let layout = &self.setup.layout;
        let mut spec = RequestSpec::new(TenantId::new(request.tenant), route.tier)
            .pool(pool)
            .demand(layout.resources(1, units.into()))
            .yielding(Yielding::Restart)
            .tag(self.arrived);
        spec.other_pools = other_pools;
        let tally = &mut self.tiers[usize::from(request.tier)];
        if let Work::Tokens { prompt, .. } = request.work {
            spec = spec.prompt_tokens(prompt.into());
            // How long the output will be is what a host does not know; how long they were is.
            if let Some(output) = tally.mean_output() {
                let peak = (u64::from(prompt) + output).div_ceil(BLOCK_TOKENS.into()) + 1;
                spec = spec.output_tokens(output).peak(layout.resources(1, peak));
            }
        }
        tally.counts.submitted += 1;
        let run = &self.runs[index as usize];
        let job = Job {
            client: request.tenant as usize,
            tier: request.tier,
            arrival_ns: request.arrival_ns,
            prompt: run.prompt.into(),
            output: run.output.into(),
        };
        let id = match self.host.submit(Instant::from_nanos(now), spec, job)? {
            Ok(id) => id,
            Err(reason) => {
                tally.drop_one(reason);
                self.note_end(index as usize);
                return Ok(());
            }
        };
        let ticket = &mut self.tickets[index as usize];
        ticket.id = id;
        self.pools.join(ticket.pool, ticket.asked);
        let slot = slot(id);
        if slot >= self.by_slot.len() {
            self.by_slot.resize(slot + 1, NOBODY);
        }
        let before = std::mem::replace(&mut self.by_slot[slot], index);
        if before != NOBODY {
            self.displaced.push_back(before);
        }
        self.backlog += u64::from(request.tier == self.least_urgent);
        if let Some(watcher) = &mut self.watcher {
            watcher.wait(request.tier);
        }
        if request.tier == 0 {
            self.need.add(1, units);
        }
        Ok(())
    }

    /// Tells the scheduler what an engine reported, and counts it.
    fn pass_on(&mut self, now: u64, report: Report) -> Result<(), ReplayError> {
        let index = report.request() as usize;
        let Ticket { id: request, attempt, tier, tenant, .. } = self.tickets[index];
        let run = &self.runs[index];
        let units = run.units;
        let input = match report {
            Report::Grew { generated, units, .. } => {
                return self.pass_on_growth(now, index as u32, generated, units);
            }
            Report::Started { .. } => {
                let in_use = self.setup.layout.resources(1, run.units.into());
                Input::Started { request, attempt, cached_tokens: 0, in_use }
            }
            Report::Finished { .. } => {
                let usage = Usage {
                    prompt_tokens: run.prompt.into(),
                    cached_tokens: 0,
                    output_tokens: run.output.into(),
                };
                self.note_completion(now, index);
                Input::Complete { request, attempt, usage }
            }
            Report::Stopped { stop: Stop::Abort, .. } => {
                self.tiers[usize::from(tier)].counts.failed += 1;
                if let Some(watcher) = &mut self.watcher {
                    watcher.end(index as u32, tier, units, "aborted");
                }
                self.note_need_gone(index);
                Input::Failed { request, attempt }
            }
            Report::Stopped { tokens_kept, .. } => {
                self.tiers[usize::from(tier)].preemptions += 1;
                self.backlog += u64::from(tier == self.least_urgent);
                if let Some(watcher) = &mut self.watcher {
                    watcher.preempt(index as u32, tier, tenant, units);
                }
                Input::Preempted { request, attempt, tokens_kept: tokens_kept.into(), release: Release::Done }
            }
        };
        self.host.tell(Instant::from_nanos(now), &input)
    }

    /// Polls until there is nothing more to do. Returns whether there was anything.
    fn round(&mut self, now: u64) -> Result<bool, ReplayError> {
        let mut acted = false;
        while let Some(action) = self.host.poll(Instant::from_nanos(now))? {
            acted = true;
            let index = self.index_of(action.request().expect("no tenant leases, and no worker is lost"));
            let worker = self.tickets[index as usize].worker as usize;
            match action {
                Action::Start { attempt, worker, resume_tokens, .. } => {
                    let ticket = &mut self.tickets[index as usize];
                    (ticket.attempt, ticket.worker) = (attempt, worker.get());
                    self.start(now, index, resume_tokens);
                }
                Action::Preempt { mode, .. } => {
                    let stop = match mode {
                        YieldMode::Restart => Stop::Restart,
                        YieldMode::Checkpoint => Stop::Checkpoint,
                    };
                    self.stop(now, worker, index, stop)?;
                }
                Action::Abort { .. } => self.stop(now, worker, index, Stop::Abort)?,
                Action::Spare { .. } => self.engines[worker].spare(index),
                Action::Drop { reason, .. } => self.note_drop(index as usize, reason.as_str()),
                // The engine stops its victims when its iteration ends, late or not.
                Action::Stuck { .. } => {}
                Action::LeaseWanted { .. } | Action::AlsoLost { .. } => unreachable!("it is of no request"),
            }
        }
        Ok(acted)
    }

    /// The request that an action is about. One that was displaced is spoken of once: when it is dropped.
    fn index_of(&mut self, id: RequestId) -> u32 {
        let has_id = |&index: &u32| self.tickets.get(index as usize).is_some_and(|ticket| ticket.id == id);
        let index = self.by_slot[slot(id)];
        if has_id(&index) {
            return index;
        }
        let place = self.displaced.iter().position(has_id);
        place.and_then(|place| self.displaced.remove(place)).expect("actions are about requests that live")
    }

    fn start(&mut self, now: u64, index: u32, resume_tokens: u64) {
        let Ticket { worker, tier, tenant, number, .. } = self.tickets[index as usize];
        if let Some(watcher) = &mut self.watcher {
            let from_ns = now;
            let span =
                Span { request: number, tenant, tier, worker, lane: 0, from_ns, until_ns: now, end: "" };
            watcher.start(index, span, self.runs[index as usize].units);
        }
        let kept = u32::try_from(resume_tokens).unwrap_or(u32::MAX);
        let again = self.engines[worker as usize].admit(now, &mut self.runs, index, kept);
        self.tiers[usize::from(tier)].recomputed_tokens += u64::from(again);
        self.backlog -= u64::from(tier == self.least_urgent);
        self.touched.push(worker);
    }

    fn stop(&mut self, now: u64, worker: usize, index: u32, stop: Stop) -> Result<(), ReplayError> {
        let Some(report) = self.engines[worker].stop(&mut self.runs, index, stop) else {
            return Ok(());
        };
        self.touched.push(worker as u32);
        self.pass_on(now, report)
    }

    /// Lets the engines go on that were idle, ended an iteration, or were told something.
    fn resume_engines(&mut self, now: u64) {
        while let Some(worker) = self.touched.pop() {
            let worker = worker as usize;
            let was_busy = self.calendar.at(worker) != NEVER;
            let next = self.engines[worker].resume(now, &mut self.runs);
            self.calendar.set(worker, next);
            self.busy_workers += u32::from(next != NEVER);
            self.busy_workers -= u32::from(was_busy);
        }
    }

    fn note_completion(&mut self, now: u64, index: usize) {
        let (run, ticket) = (&self.runs[index], &self.tickets[index]);
        let tally = &mut self.tiers[usize::from(ticket.tier)];
        tally.counts.completed += 1;
        tally.queue_delay.push(run.first_iteration_at - ticket.arrival_ns);
        if run.has_tokens() {
            let ttft = run.first_token_at - ticket.arrival_ns;
            tally.ttft.push(ttft);
            if let Some(of) = self.ttft_of.get_mut(index) {
                *of = Some(ttft);
            }
            tally.output_tokens += u64::from(run.output);
            if run.output > 1 {
                tally.tpot.push((now - run.first_token_at) / u64::from(run.output - 1));
            }
            if TTFT_OBJECTIVES_NS.get(usize::from(ticket.tier)).is_none_or(|&limit| ttft <= limit) {
                self.good_tokens += u64::from(run.output);
            }
        }
        if let Some(watcher) = &mut self.watcher {
            watcher.end(index as u32, ticket.tier, run.units, "completed");
            let service = Service {
                prompt_tokens: run.prompt.into(),
                output_tokens: run.output.into(),
                work_ns: u64::try_from(self.machine.cost(Machine::work(run))).unwrap_or(u64::MAX),
            };
            watcher.serve(ticket.tier, ticket.tenant, run.served(), service);
        }
        self.note_need_gone(index);
    }

    /// A waiting request was dropped.
    fn note_drop(&mut self, index: usize, reason: &'static str) {
        let tier = self.tickets[index].tier;
        self.tiers[usize::from(tier)].drop_one(reason);
        if let Some(watcher) = &mut self.watcher {
            watcher.wait_no_more(tier);
        }
        self.backlog -= u64::from(tier == self.least_urgent);
        self.note_need_gone(index);
    }

    /// An accepted request has ended.
    fn note_need_gone(&mut self, index: usize) {
        if self.tickets[index].tier == 0 {
            self.need.remove(self.runs[index].units);
        }
        let Ticket { pool, asked, .. } = self.tickets[index];
        self.pools.leave(pool, asked);
        let slot = slot(self.tickets[index].id);
        if self.by_slot[slot] as usize == index {
            self.by_slot[slot] = NOBODY;
        }
        self.note_end(index);
    }

    fn note_end(&mut self, index: usize) {
        self.ended += 1;
        if let Some(free) = &mut self.free {
            free.push(index as u32);
        }
        if self.ended.is_multiple_of(PROGRESS_EVERY)
            && let Some(progress) = &mut self.options.progress
        {
            progress(self.ended);
        }
    }

    fn finish(self) -> (Outcome, Option<WholeFile>) {
        let workers = self.engines.len();
        let layout = self.setup.layout;
        let reserve = self.reserve(self.setup.routes[0]);
        let need = self.need.peak(|requests, units| layout.resources(requests, units));
        let witness = self.host.finish();
        let is_watched = self.watcher.is_some();
        let tiers: Vec<_> = self.tiers.into_iter().map(|tier| tier.finish(is_watched)).collect();
        let seconds = self.last_event_at as f64 / 1e9;
        let per_second = |tokens: u64| if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 };
        let outcome = Outcome {
            utilisation: self.busy.utilisation(workers, self.last_event_at),
            utilisation_while_backlogged: self.busy.while_backlogged(workers),
            backlogged_ns: self.busy.backlogged_ns(),
            output_tokens_per_s: per_second(tiers.iter().map(|tier| tier.output_tokens).sum()),
            goodput_tokens_per_s: per_second(self.good_tokens),
            guarantee_pressure: pressure(need, reserve),
            simulated_ns: self.last_event_at,
            actions_digest: witness.digest,
            actions: witness.actions,
            wall: witness.wall,
            scheduler_share: witness.scheduler_share,
            tiers,
            is_partial: self.is_partial,
            is_binned: self.free.is_some(),
            timeline: self.watcher.map(|watcher| watcher.finish(self.last_event_at)),
            ttft_of: self.ttft_of,
            fleet: self.fleet_curve,
        };
        debug_assert_eq!(outcome.counts().completed, witness.completed, "host and scheduler count alike");
        (outcome, witness.journal)
    }
}

/// The slot that an id has, as `docs/JOURNAL.md` says.
fn slot(id: RequestId) -> usize {
    id.to_bits() as u32 as usize
}
