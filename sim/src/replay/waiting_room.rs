//! A policy in place of the scheduler: the same words (starts, preemptions, reports), with nothing behind them but a queue.
//!
//! Decides where the one starts whom the policy names: on the worker with most memory free, if it has a slot and keeps a
//! hundredth of its memory then, as vLLM does. Whoever does not fit holds up all behind. Out of memory, who gives way first
//! by the policy, of equals the newest, is stopped, and comes back before all who wait. It knows no tiers and promises nothing.
//!
//! State: units and slots free by worker, a place for each request that lives. A start is O(workers), a growth O(1) unless
//! memory runs out, which is O(requests of the worker).

use std::collections::{BTreeSet, VecDeque};

use tidegate::{Action, Attempt, Input, Instant, Reason, RequestId, Resources, WorkerId, YieldMode};

use crate::machine::Layout;
use crate::policy::{Job, Policy, Running};

/// Of a worker's memory so much is kept free when somebody starts: vLLM's watermark, a hundredth.
const WATERMARK: u64 = 100;

/// One request that lives.
#[derive(Clone, Copy, Debug)]
struct Guest {
    job: Job,
    id: RequestId,
    attempt: u32,
    /// Units that it holds, or asks for.
    units: u64,
    generated: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nobody is here.
    Free,
    Waits,
    /// On a worker, with the number of its start, and whether it was asked to stop.
    Runs {
        worker: u32,
        start: u64,
        stops: bool,
    },
}

#[derive(Clone, Debug)]
struct Worker {
    slots: u64,
    /// Less than none where requests grew beyond what there is.
    units: i64,
    /// Units of those that were asked to stop.
    leaving: i64,
    running: BTreeSet<u32>,
}

/// See the module.
pub(super) struct WaitingRoom {
    policy: Box<dyn Policy>,
    layout: Layout,
    capacity: u64,
    workers: Vec<Worker>,
    guests: Vec<Guest>,
    free: Vec<u32>,
    /// Those that were stopped, in the order in which they come back.
    back: VecDeque<u32>,
    /// Workers on which somebody grew since the last poll.
    grown: Vec<u32>,
    actions: VecDeque<Action>,
    starts: u64,
    completed: u64,
}

impl WaitingRoom {
    pub(super) fn new(policy: Box<dyn Policy>, layout: Layout, workers: usize) -> Self {
        let all = layout.capacity();
        let capacity = layout.units(&all);
        let worker = Worker {
            slots: layout.requests(&all),
            units: i64::try_from(capacity).unwrap_or(i64::MAX),
            leaving: 0,
            running: BTreeSet::new(),
        };
        Self {
            policy,
            layout,
            capacity,
            workers: vec![worker; workers],
            guests: Vec::new(),
            free: Vec::new(),
            back: VecDeque::new(),
            grown: Vec::new(),
            actions: VecDeque::new(),
            starts: 0,
            completed: 0,
        }
    }

    pub(super) fn completed(&self) -> u64 {
        self.completed
    }

    /// A request arrives. Refused in one word if the policy does not take it, or no worker ever could.
    pub(super) fn submit(
        &mut self,
        now: Instant,
        job: Job,
        demand: &Resources,
    ) -> Result<RequestId, &'static str> {
        let units = self.layout.units(demand);
        if units + self.capacity / WATERMARK > self.capacity {
            return Err("never-fits");
        }
        let index = self.free.pop().unwrap_or_else(|| {
            let id = RequestId::from_bits(0);
            self.guests.push(Guest { job, id, attempt: 0, units, generated: 0, place: Place::Free });
            (self.guests.len() - 1) as u32
        });
        let guest = &mut self.guests[index as usize];
        // A generation above the slot, as the scheduler's ids have it.
        let id = RequestId::from_bits((((guest.id.to_bits() >> 32) + 1) << 32) | u64::from(index));
        *guest = Guest { job, id, attempt: 0, units, generated: 0, place: Place::Waits };
        if self.policy.arrives(now.as_nanos(), index as usize, &job) {
            return Ok(id);
        }
        guest.place = Place::Free;
        self.free.push(index);
        Err("limit-exceeded")
    }

    pub(super) fn progress(&mut self, request: RequestId, output_tokens: u64, in_use: &Resources) {
        let index = slot(request);
        self.generate(index, output_tokens);
        let units = self.layout.units(in_use);
        let guest = &mut self.guests[index as usize];
        let more = units as i64 - guest.units as i64;
        guest.units = units;
        if let Place::Runs { worker, stops, .. } = guest.place {
            let of = &mut self.workers[worker as usize];
            of.units -= more;
            of.leaving += if stops { more } else { 0 };
            self.grown.push(worker);
        }
    }

    /// What the replay tells a scheduler; of workers and tenants it knows all that it needs.
    pub(super) fn tell(&mut self, now: Instant, input: &Input) {
        match *input {
            Input::Complete { request, usage, .. } => {
                let index = slot(request);
                self.generate(index, usage.output_tokens);
                let Guest { job, generated, .. } = self.guests[index as usize];
                let running = [Running { index: index as usize, job: &job, generated }];
                self.policy.stepped(now.as_nanos(), &running);
                self.completed += 1;
                self.leave(index);
            }
            Input::Progress { request, output_tokens, in_use, .. } => {
                self.progress(request, output_tokens, &in_use);
            }
            Input::Failed { request, .. } => self.leave(slot(request)),
            Input::Preempted { request, .. } => {
                let index = slot(request);
                self.vacate(index);
                self.guests[index as usize].place = Place::Waits;
                self.back.push_back(index);
            }
            _ => (),
        }
    }

    /// The next thing to do.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Action> {
        // Not before: who grew may have ended since.
        while let Some(worker) = self.grown.pop() {
            self.make_room(now, worker);
        }
        self.actions.pop_front().or_else(|| self.start(now))
    }

    fn start(&mut self, now: Instant) -> Option<Action> {
        let came_back = self.back.front().copied();
        let index = came_back.or_else(|| self.policy.next(now.as_nanos()).map(|index| index as u32))?;
        let units = self.guests[index as usize].units;
        let worker = self.roomiest(units)?;
        if came_back.is_some() {
            self.back.pop_front();
        } else {
            self.policy.admitted(now.as_nanos(), index as usize, &self.guests[index as usize].job);
        }
        self.starts += 1;
        let of = &mut self.workers[worker as usize];
        of.slots -= 1;
        of.units -= units as i64;
        of.running.insert(index);
        let guest = &mut self.guests[index as usize];
        guest.attempt += 1;
        guest.place = Place::Runs { worker, start: self.starts, stops: false };
        Some(Action::Start {
            request: guest.id,
            attempt: Attempt::new(guest.attempt),
            worker: WorkerId::new(worker),
            resume_tokens: 0,
            reason: Reason::Borrowed,
        })
    }

    /// The worker with most units free, if so many more leave it the watermark, which an empty one need not keep.
    fn roomiest(&self, units: u64) -> Option<u32> {
        let able = self.workers.iter().enumerate().filter(|(_, worker)| worker.slots > 0);
        let (index, worker) = able.max_by_key(|(index, worker)| (worker.units, std::cmp::Reverse(*index)))?;
        // Who grew to nearly all that there is comes back on a worker of its own: there is none with more.
        let watermark = if worker.running.is_empty() { 0 } else { self.capacity / WATERMARK };
        let least = (units + watermark) as i64;
        (worker.units >= least).then_some(index as u32)
    }

    /// Asks requests of a worker to stop until what is left fits. One that has a worker to itself and does not fit fails.
    fn make_room(&mut self, now: Instant, worker: u32) {
        while self.workers[worker as usize].units + self.workers[worker as usize].leaving < 0 {
            let rank = |index: &&u32| match self.guests[**index as usize] {
                Guest { job, place: Place::Runs { start, stops: false, .. }, .. } => {
                    Some((self.policy.gives_way(&job), start))
                }
                _ => None,
            };
            let running = &self.workers[worker as usize].running;
            let Some(&victim) = running.iter().filter(|index| rank(index).is_some()).max_by_key(rank) else {
                return;
            };
            let is_alone = running.len() == 1;
            let guest = &mut self.guests[victim as usize];
            let fits_nowhere = is_alone || guest.units > self.capacity;
            if let Place::Runs { stops, .. } = &mut guest.place {
                *stops = true;
            }
            self.workers[worker as usize].leaving += guest.units as i64;
            let (request, attempt) = (guest.id, Attempt::new(guest.attempt));
            self.actions.push_back(match fits_nowhere {
                true => Action::Abort { request, attempt, reason: Reason::OutOfMemory },
                false => Action::Preempt {
                    victim: request,
                    attempt,
                    mode: YieldMode::Restart,
                    beneficiary: None,
                    confirm_by: now,
                    reason: Reason::OutOfMemory,
                },
            });
        }
    }

    /// It has generated so many tokens by now.
    fn generate(&mut self, index: u32, tokens: u64) {
        let Guest { job, ref mut generated, .. } = self.guests[index as usize];
        // The first comes with the prompt.
        for generated in (*generated).max(1)..tokens {
            self.policy.steps(&[Running { index: index as usize, job: &job, generated }]);
        }
        *generated = tokens.max(*generated);
    }

    /// It leaves its worker.
    fn vacate(&mut self, index: u32) {
        let Guest { units, place, .. } = self.guests[index as usize];
        if let Place::Runs { worker, stops, .. } = place {
            let of = &mut self.workers[worker as usize];
            of.slots += 1;
            of.units += units as i64;
            of.leaving -= if stops { units as i64 } else { 0 };
            let was_there = of.running.remove(&index);
            debug_assert!(was_there, "it ran there");
        }
    }

    fn leave(&mut self, index: u32) {
        self.vacate(index);
        self.guests[index as usize].place = Place::Free;
        self.free.push(index);
    }

    /// Whether what workers have free is what their requests leave, for `--check`.
    pub(super) fn adds_up(&self) -> bool {
        self.workers.iter().enumerate().all(|(number, worker)| {
            let held = worker.running.iter().map(|&index| self.guests[index as usize].units as i64);
            let here = |guest: &&Guest| matches!(guest.place, Place::Runs { worker, .. } if worker as usize == number);
            worker.units + held.sum::<i64>() == self.capacity as i64
                && self.guests.iter().filter(here).count() == worker.running.len()
        })
    }
}

/// The place of a request among the guests.
fn slot(id: RequestId) -> u32 {
    id.to_bits() as u32
}
