//! A fleet that follows what the scheduler says it wants, while a replay runs: workers take a while to start, and are
//! drained before they go.
//!
//! Decides how many workers there are, as an autoscaler of a cluster would that reads `tidegate_wanted_capacity_units`.
//! Paid for is a worker from the instant at which it is asked for until it is empty and gone. Knows no requests.

use std::collections::VecDeque;

use tidegate::{Input, Instant, PoolId, Resources, Tier, WorkerId, WorkerSpec};

use super::effort::Effort;
use super::host::{Host, ReplayError};
use crate::engine::NEVER;

/// How a fleet follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// How long a worker takes from being asked for to being up; `None`: the fleet stays as it is, and is only watched.
    pub start_up_ns: Option<u64>,
    /// How far looks are apart.
    pub every_ns: u64,
    /// Workers at the beginning.
    pub workers: usize,
    /// What so many tiers want counts, from the most urgent on.
    pub tiers: u8,
}

/// What a look at a fleet found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FleetLook {
    /// When.
    pub at_ns: u64,
    /// Workers' worth of what the tiers want at that instant.
    pub needed: f64,
    /// Workers that are up.
    pub up: usize,
    /// Workers that were asked for and are not up yet.
    pub starting: usize,
    /// Workers that finish what they run.
    pub draining: usize,
    /// Workers that the first tier's busiest second of the last hour keeps busy.
    pub burst: f64,
}

/// What became of a fleet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetCurve {
    /// Every look, in order.
    pub looks: Vec<FleetLook>,
    /// Worker time that was paid for until the last arrival, in nanoseconds.
    pub paid_ns: u128,
}

impl FleetCurve {
    /// The most workers' worth that was needed in any look.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.looks.iter().map(|look| look.needed).fold(0.0, f64::max)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Up,
    Draining,
    Gone,
}

#[derive(Debug)]
pub(super) struct Fleet {
    scaling: Scaling,
    capacity: Resources,
    /// Workers that were ever added, by number; no more than there are engines.
    workers: Vec<Place>,
    engines: usize,
    /// When those will be up that were asked for.
    starting: VecDeque<u64>,
    next_look_at: u64,
    paid_until: u64,
    effort: Effort,
    curve: FleetCurve,
}

impl Fleet {
    pub(super) fn new(scaling: Scaling, capacity: Resources, engines: usize) -> Self {
        Self {
            scaling,
            capacity,
            workers: vec![Place::Up; scaling.workers.min(engines)],
            engines,
            starting: VecDeque::new(),
            next_look_at: scaling.every_ns,
            paid_until: 0,
            effort: Effort::default(),
            curve: FleetCurve::default(),
        }
    }

    /// When it has something to do next.
    pub(super) fn next_at(&self) -> u64 {
        self.next_look_at.min(self.starting.front().copied().unwrap_or(NEVER))
    }

    /// At `now` a request of this tier comes that takes so much time of a full worker.
    pub(super) fn note_arrival(&mut self, now: u64, tier: u8, cost_ns: u128) {
        if tier < self.scaling.tiers {
            self.effort.note(now, tier, cost_ns);
        }
    }

    /// Does what is due at `now`; `is_idle` says whether the engine of a worker has nothing to do. Returns whether the
    /// scheduler was told of anything.
    pub(super) fn step(
        &mut self,
        now: u64,
        host: &mut Host,
        is_idle: impl Fn(usize) -> bool,
    ) -> Result<bool, ReplayError> {
        self.pay(now);
        let at = Instant::from_nanos(now);
        let mut told = false;
        while self.starting.front().is_some_and(|&ready_at| ready_at <= now) {
            self.starting.pop_front();
            host.tell(at, &Input::WorkerAdd(WorkerSpec::new(self.capacity)))?;
            self.workers.push(Place::Up);
            told = true;
        }
        if now < self.next_look_at {
            return Ok(told);
        }
        self.next_look_at = now + self.scaling.every_ns;
        for worker in 0..self.workers.len() {
            if self.workers[worker] == Place::Draining && is_idle(worker) {
                host.tell(at, &Input::WorkerLost { worker: WorkerId::new(worker as u32) })?;
                self.workers[worker] = Place::Gone;
                told = true;
            }
        }
        let needed = self.wanted(now, host, 0).unwrap_or(0.0);
        if let Some(start_up_ns) = self.scaling.start_up_ns
            && let Some(wanted) = self.wanted(now, host, start_up_ns)
        {
            told |= self.follow(now, host, (wanted.ceil() as usize).max(1), start_up_ns)?;
        }
        let (up, draining) = (self.count(Place::Up), self.count(Place::Draining));
        let (starting, burst) = (self.starting.len(), self.effort.burst(now));
        self.curve.looks.push(FleetLook { at_ns: now, needed, up, starting, draining, burst });
        Ok(told)
    }

    /// Grows or shrinks to so many workers: those that start first are not waited for, and those that came last go first.
    fn follow(
        &mut self,
        now: u64,
        host: &mut Host,
        wanted: usize,
        start_up_ns: u64,
    ) -> Result<bool, ReplayError> {
        let have = self.count(Place::Up) + self.starting.len();
        let room = self.engines - self.workers.len() - self.starting.len();
        for _ in 0..wanted.saturating_sub(have).min(room) {
            self.starting.push_back(now + start_up_ns);
        }
        let mut spare = have.saturating_sub(wanted);
        while spare > 0 && self.starting.pop_back().is_some() {
            spare -= 1;
        }
        let told = spare > 0;
        for worker in (0..self.workers.len()).rev() {
            if spare > 0 && self.workers[worker] == Place::Up {
                host.tell(
                    Instant::from_nanos(now),
                    &Input::WorkerDrain { worker: WorkerId::new(worker as u32) },
                )?;
                self.workers[worker] = Place::Draining;
                spare -= 1;
            }
        }
        Ok(told)
    }

    /// Workers' worth of what the tiers that count will want by then, in the dimension of which it is most; computing is one.
    fn wanted(&self, now: u64, host: &Host, ahead_ns: u64) -> Option<f64> {
        let busy = self.effort.forecast(now, ahead_ns)?;
        let tiers =
            (0..self.scaling.tiers).map(|tier| host.wanted(PoolId::new(0), Tier::new(tier), ahead_ns));
        let sum = tiers.sum::<Option<Units>>()?.0;
        let parts = sum.as_array().iter().zip(self.capacity.as_array());
        Some(
            parts
                .filter(|&(_, &of)| of > 0)
                .map(|(&units, &of)| units as f64 / of as f64)
                .fold(busy, f64::max),
        )
    }

    fn count(&self, place: Place) -> usize {
        self.workers.iter().filter(|&&other| other == place).count()
    }

    /// All that is there, or was asked for, is paid for up to `now`.
    fn pay(&mut self, now: u64) {
        let workers = self.count(Place::Up) + self.count(Place::Draining) + self.starting.len();
        self.curve.paid_ns += u128::from(now - self.paid_until) * workers as u128;
        self.paid_until = now;
    }

    /// Nobody arrives any more: what is paid for from now on tells nothing of what was needed.
    pub(super) fn finish(mut self, now: u64) -> FleetCurve {
        self.pay(now.max(self.paid_until));
        self.curve
    }
}

/// A sum of resources.
struct Units(Resources);

impl std::iter::Sum<Resources> for Units {
    fn sum<I: Iterator<Item = Resources>>(all: I) -> Self {
        Self(all.fold(Resources::ZERO, |sum, units| sum + units))
    }
}
