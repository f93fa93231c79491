//! A server of two workers with ten slots each: a slot serves one request at 50 tokens a second, 1,000 in all.
//!
//! It decides when requests come and end, and what is lost with a worker; which one starts is a [`Policy`]'s. A client that
//! asks always has some waiting.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::random::Random;

/// Clients of the server.
pub const CLIENTS: usize = 3;
/// Workers when all are there.
pub const WORKERS: usize = 2;
/// Slots of a worker.
pub const SLOTS: usize = 10;
/// What a slot serves.
pub const TOKENS_PER_S: u64 = 50;
/// Tokens of a request: from the first up to, and without, the second. Chosen arbitrarily, about a second of a slot.
pub const COSTS: (u64, u64) = (25, 76);
/// How many requests a client that asks keeps waiting.
const WAITING: usize = 20;
/// The server looks again no sooner, whatever a policy says: 1 ms.
const SOONEST_NS: u64 = 1_000_000;

/// A span of time in which nothing changes but time.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// For the table.
    pub name: &'static str,
    /// When it ends, in seconds from the start.
    pub until_s: u64,
    /// Which workers are there.
    pub workers: [bool; WORKERS],
    /// Who asks.
    pub asks: [bool; CLIENTS],
}

/// What starts next.
pub trait Policy {
    /// A request of a client waits.
    fn submit(&mut self, now_ns: u64, id: usize, client: usize, cost: u64);
    /// One that waits does so no more.
    fn withdraw(&mut self, now_ns: u64, id: usize);
    /// The next to start, and on which worker; each has so many `free` slots.
    fn next(&mut self, now_ns: u64, free: &[usize; WORKERS]) -> Option<(usize, usize)>;
    /// One that was started ended.
    fn ended(&mut self, now_ns: u64, id: usize, cost: u64);
    /// A worker is lost, and what ran on it waits again.
    fn lost(&mut self, now_ns: u64, worker: usize, ids: &[usize]);
    /// It is there again.
    fn regained(&mut self, now_ns: u64, worker: usize);
    /// When to look again although nothing happened.
    fn wakes_at(&self) -> Option<u64>;
}

/// A request that was served, or cut short by the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Whose.
    pub client: usize,
    /// Its tokens.
    pub cost: u64,
    /// When it started first, in nanoseconds.
    pub first_ns: u64,
    /// When it started, and when it ended or would have.
    pub from_ns: u64,
    /// See `from_ns`.
    pub to_ns: u64,
}

/// Serves through the phases; what was lost with a worker and started anew is told once.
pub fn serve(phases: &[Phase], seed: u64, policy: &mut dyn Policy) -> Vec<Served> {
    Server {
        policy,
        random: Random::new(seed),
        requests: Vec::new(),
        waiting: Default::default(),
        running: BTreeMap::new(),
        ends: BinaryHeap::new(),
        workers: [true; WORKERS],
        first_ns: BTreeMap::new(),
        served: Vec::new(),
        now: 0,
    }
    .run(phases)
}

struct Server<'a> {
    policy: &'a mut dyn Policy,
    random: Random,
    /// Client and tokens of each.
    requests: Vec<(usize, u64)>,
    /// The ids of each client, in order.
    waiting: [Vec<usize>; CLIENTS],
    /// On which worker, and since when.
    running: BTreeMap<usize, (usize, u64)>,
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    workers: [bool; WORKERS],
    /// When those started that did.
    first_ns: BTreeMap<usize, u64>,
    served: Vec<Served>,
    now: u64,
}

impl Server<'_> {
    fn run(mut self, phases: &[Phase]) -> Vec<Served> {
        for phase in phases {
            self.resize(phase.workers);
            self.hush(phase.asks);
            let until = phase.until_s * 1_000_000_000;
            while self.now < until {
                self.end_due();
                self.start(phase.asks);
                let wakes = self.policy.wakes_at().map(|at| at.max(self.now + SOONEST_NS));
                let ends = self.ends.peek().map(|&Reverse((at, _))| at);
                self.now = until.min(wakes.unwrap_or(u64::MAX)).min(ends.unwrap_or(u64::MAX));
            }
        }
        let left: Vec<_> = self.running.keys().copied().collect();
        left.into_iter().for_each(|id| self.note_served(id));
        self.served
    }

    fn resize(&mut self, workers: [bool; WORKERS]) {
        for (worker, &is_there) in workers.iter().enumerate() {
            match (self.workers[worker], is_there) {
                (true, false) => self.lose(worker),
                (false, true) => self.policy.regained(self.now, worker),
                _ => (),
            }
        }
        self.workers = workers;
    }

    fn lose(&mut self, worker: usize) {
        let on = |(_, (at, _)): &(&usize, &(usize, u64))| *at == worker;
        let ids: Vec<usize> = self.running.iter().filter(on).map(|(&id, _)| id).collect();
        for &id in &ids {
            self.running.remove(&id);
            self.waiting[self.requests[id].0].push(id);
        }
        self.ends.retain(|Reverse((_, id))| !ids.contains(id));
        self.policy.lost(self.now, worker, &ids);
    }

    /// Who asks no more takes back what waits.
    fn hush(&mut self, asks: [bool; CLIENTS]) {
        for client in (0..CLIENTS).filter(|&client| !asks[client]) {
            for id in std::mem::take(&mut self.waiting[client]) {
                self.policy.withdraw(self.now, id);
            }
        }
    }

    fn end_due(&mut self) {
        while let Some(&Reverse((at, id))) = self.ends.peek()
            && at <= self.now
        {
            self.ends.pop();
            self.note_served(id);
            self.policy.ended(self.now, id, self.requests[id].1);
        }
    }

    fn note_served(&mut self, id: usize) {
        let (client, cost) = self.requests[id];
        let (_, from_ns) = self.running.remove(&id).expect("it runs");
        let first_ns = self.first_ns.remove(&id).unwrap_or(from_ns);
        self.served.push(Served { client, cost, first_ns, from_ns, to_ns: from_ns + lasts_ns(cost) });
    }

    fn start(&mut self, asks: [bool; CLIENTS]) {
        loop {
            for client in (0..CLIENTS).filter(|&client| asks[client]) {
                while self.waiting[client].len() < WAITING {
                    let cost = COSTS.0 + self.random.below(COSTS.1 - COSTS.0);
                    let id = self.requests.len();
                    self.requests.push((client, cost));
                    self.waiting[client].push(id);
                    self.policy.submit(self.now, id, client, cost);
                }
            }
            let mut free = self.workers.map(|is_there| if is_there { SLOTS } else { 0 });
            self.running.values().for_each(|&(worker, _)| free[worker] -= 1);
            let Some((id, worker)) = self.policy.next(self.now, &free) else { return };
            assert!(free[worker] > 0, "a policy starts nothing where there is no room");
            let (client, cost) = self.requests[id];
            self.waiting[client].retain(|&other| other != id);
            self.running.insert(id, (worker, self.now));
            self.first_ns.entry(id).or_insert(self.now);
            self.ends.push(Reverse((self.now + lasts_ns(cost), id)));
        }
    }
}

fn lasts_ns(cost: u64) -> u64 {
    cost * 1_000_000_000 / TOKENS_PER_S
}
