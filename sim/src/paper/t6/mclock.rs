//! mClock (Gulati et al., OSDI'10): each client has a tag for its reservation, its weight and its limit, which say when its
//! next request is due, in which proportion, and not before when.

use std::collections::{BTreeMap, VecDeque};

use super::server::{CLIENTS, Policy, WORKERS};

/// What a client is promised; rates in tokens a second.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// At least this.
    pub reserve: f64,
    /// Its part of what is left; 0: none of it.
    pub weight: f64,
    /// At most this.
    pub limit: f64,
}

#[derive(Debug)]
struct Client {
    promise: Promise,
    /// Tags of the request that is next, in seconds.
    reserve_tag: f64,
    weight_tag: f64,
    limit_tag: f64,
    waiting: VecDeque<usize>,
}

/// The scheduler of one server.
#[derive(Debug)]
pub struct MClock {
    clients: [Client; CLIENTS],
    /// Whose, and its tokens.
    requests: BTreeMap<usize, (usize, f64)>,
    /// When the next tag is due, if nobody could be served.
    wakes_at: Option<u64>,
}

impl MClock {
    /// A scheduler with these promises.
    #[must_use]
    pub fn new(promises: [Promise; CLIENTS]) -> Self {
        let client = |promise| Client {
            promise,
            reserve_tag: 0.0,
            weight_tag: 0.0,
            limit_tag: 0.0,
            waiting: VecDeque::new(),
        };
        Self { clients: promises.map(client), requests: BTreeMap::new(), wakes_at: None }
    }

    /// Whose turn it is, and whether by its weight.
    fn turn(&mut self, now_s: f64) -> Option<(usize, bool)> {
        let waiting = || (0..CLIENTS).filter(|&client| !self.clients[client].waiting.is_empty());
        let least = |clients: &mut dyn Iterator<Item = usize>, tag: fn(&Client) -> f64| {
            clients.min_by(|&a, &b| tag(&self.clients[a]).total_cmp(&tag(&self.clients[b])))
        };
        let reserved = |&client: &usize| self.clients[client].promise.reserve > 0.0;
        let by_reserve = least(&mut waiting().filter(reserved), |client| client.reserve_tag);
        if let Some(client) = by_reserve.filter(|&client| self.clients[client].reserve_tag <= now_s) {
            return Some((client, false));
        }
        let weighted = |&client: &usize| self.clients[client].promise.weight > 0.0;
        let allowed = |&client: &usize| self.clients[client].limit_tag <= now_s;
        let by_weight = least(&mut waiting().filter(weighted).filter(allowed), |client| client.weight_tag);
        if let Some(client) = by_weight {
            return Some((client, true));
        }
        let reserves = waiting().filter(reserved).map(|client| self.clients[client].reserve_tag);
        let limits = waiting().filter(weighted).map(|client| self.clients[client].limit_tag);
        let due_s = reserves.chain(limits).fold(f64::INFINITY, f64::min);
        self.wakes_at = due_s.is_finite().then(|| (due_s * 1e9).ceil() as u64);
        None
    }
}

impl Policy for MClock {
    fn submit(&mut self, now_ns: u64, id: usize, client: usize, cost: u64) {
        let now_s = now_ns as f64 / 1e9;
        let busy =
            self.clients.iter().filter(|other| !other.waiting.is_empty() && other.promise.weight > 0.0);
        let least = busy.map(|other| other.weight_tag).fold(f64::INFINITY, f64::min);
        let newcomer = &mut self.clients[client];
        if newcomer.waiting.is_empty() {
            // Idleness saves nothing up; weights go on from where the others are.
            newcomer.reserve_tag = newcomer.reserve_tag.max(now_s);
            newcomer.limit_tag = newcomer.limit_tag.max(now_s);
            if least.is_finite() {
                newcomer.weight_tag = newcomer.weight_tag.max(least);
            }
        }
        newcomer.waiting.push_back(id);
        self.requests.insert(id, (client, cost as f64));
    }

    fn withdraw(&mut self, _now_ns: u64, id: usize) {
        if let Some((client, _)) = self.requests.remove(&id) {
            self.clients[client].waiting.retain(|&other| other != id);
        }
    }

    fn next(&mut self, now_ns: u64, free: &[usize; WORKERS]) -> Option<(usize, usize)> {
        self.wakes_at = None;
        let worker = (0..WORKERS).max_by_key(|&worker| free[worker]).filter(|&worker| free[worker] > 0)?;
        let now_s = now_ns as f64 / 1e9;
        let (client, by_weight) = self.turn(now_s)?;
        let client = &mut self.clients[client];
        let id = client.waiting.pop_front()?;
        let (_, cost) = self.requests[&id];
        let Promise { reserve, weight, limit } = client.promise;
        if by_weight {
            client.weight_tag += cost / weight;
        } else {
            client.reserve_tag += cost / reserve;
        }
        // What a client did not use of its limit is gone.
        client.limit_tag = client.limit_tag.max(now_s) + cost / limit;
        Some((id, worker))
    }

    fn ended(&mut self, _now_ns: u64, id: usize, _cost: u64) {
        self.requests.remove(&id);
    }

    fn lost(&mut self, _now_ns: u64, _worker: usize, ids: &[usize]) {
        for &id in ids.iter().rev() {
            let (client, _) = self.requests[&id];
            self.clients[client].waiting.push_front(id);
        }
    }

    fn regained(&mut self, _now_ns: u64, _worker: usize) {}

    fn wakes_at(&self) -> Option<u64> {
        self.wakes_at
    }
}
