//! mClock (Gulati et al., OSDI'10): each client has a tag for its reservation, its weight and its limit, which say when its
//! next request is due, in which proportion, and not before when.

use std::collections::{BTreeMap, VecDeque};

use super::{Job, Policy};

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

/// The scheduler of one server. As a [`Policy`] its clients are the tiers of the requests.
#[derive(Debug)]
pub struct MClock {
    clients: Vec<Client>,
    /// Whose, and its tokens.
    requests: BTreeMap<usize, (usize, f64)>,
    /// When the next tag is due, if nobody could be served.
    wakes_at: Option<u64>,
}

impl MClock {
    /// A scheduler with these promises.
    #[must_use]
    pub fn new(promises: Vec<Promise>) -> Self {
        let client = |promise| Client {
            promise,
            reserve_tag: 0.0,
            weight_tag: 0.0,
            limit_tag: 0.0,
            waiting: VecDeque::new(),
        };
        let clients = promises.into_iter().map(client).collect();
        Self { clients, requests: BTreeMap::new(), wakes_at: None }
    }

    /// A request of so many tokens waits.
    pub fn wait(&mut self, now_ns: u64, id: usize, client: usize, cost: u64) {
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

    /// One that waited does so no more.
    pub fn withdraw(&mut self, id: usize) {
        if let Some((client, _)) = self.requests.remove(&id) {
            self.clients[client].waiting.retain(|&other| other != id);
        }
    }

    /// Whose turn it is, and whether by its weight.
    fn turn(&mut self, now_s: f64) -> Option<(usize, bool)> {
        let waiting = || (0..self.clients.len()).filter(|&client| !self.clients[client].waiting.is_empty());
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

    /// Takes the next to be served, and moves the tags of its client on.
    pub fn take(&mut self, now_ns: u64) -> Option<usize> {
        self.wakes_at = None;
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
        Some(id)
    }

    /// One that was taken has ended.
    pub fn forget(&mut self, id: usize) {
        self.requests.remove(&id);
    }

    /// One that was taken waits again, before the others of its client.
    pub fn give_back(&mut self, id: usize) {
        let (client, _) = self.requests[&id];
        self.clients[client].waiting.push_front(id);
    }

    /// When the next tag is due, if nobody could be served.
    #[must_use]
    pub fn wakes_at(&self) -> Option<u64> {
        self.wakes_at
    }
}

impl Policy for MClock {
    fn arrives(&mut self, now_ns: u64, index: usize, job: &Job) -> bool {
        let client = usize::from(job.tier).min(self.clients.len() - 1);
        self.wait(now_ns, index, client, job.prompt + job.output);
        true
    }

    fn next(&mut self, now_ns: u64) -> Option<usize> {
        let (client, _) = self.turn(now_ns as f64 / 1e9)?;
        self.clients[client].waiting.front().copied()
    }

    fn admitted(&mut self, now_ns: u64, index: usize, _job: &Job) {
        let taken = self.take(now_ns);
        debug_assert_eq!(taken, Some(index), "the next is admitted");
        self.forget(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_get_what_they_are_promised_and_share_the_rest() {
        let promise = |reserve| Promise { reserve, weight: 1.0, limit: f64::INFINITY };
        let mut mclock = MClock::new(vec![promise(500.0), promise(0.0)]);
        let job = |tier| Job { client: 0, tier, arrival_ns: 0, prompt: 90, output: 10 };
        for index in 0..200 {
            assert!(mclock.arrives(0, index, &job(u8::from(index >= 100))));
        }
        // 100 tokens each tenth of a second for ten seconds.
        let mut served = [0; 2];
        for tenth in 0..100 {
            let now = tenth * 100_000_000;
            let index = mclock.next(now).expect("somebody waits");
            mclock.admitted(now, index, &job(u8::from(index >= 100)));
            served[usize::from(index >= 100)] += 1;
        }
        // Half is promised to the first; of the other half each has half.
        assert!((74..=76).contains(&served[0]), "{served:?}");
    }
}
