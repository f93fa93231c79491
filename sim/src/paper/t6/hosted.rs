//! tidegate in the server, through its public verbs alone.
//!
//! A reservation is a reserve of slots, in a tier of its own that lends what it does not use; weights are those of tenants
//! in fair order; a limit is a tenant's quota of tokens. Slots are as good as rates here, since all are equally fast.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate::{
    Action, Attempt, Config, Instant, Order, Preemption, Rate, RequestId, RequestSpec, Reserve, Scheduler,
    TenantId, TenantPolicy, Tier, TierConfig, Usage, WorkerId, WorkerSpec,
};

use super::server::{CLIENTS, COSTS, Policy, SLOTS, TOKENS_PER_S, WORKERS};

const OURS: &str = "the host tells the scheduler only what follows from its own actions";

/// The scheduler, and what it knows the server's things by.
#[derive(Debug)]
pub struct Hosted {
    scheduler: Scheduler,
    workers: [WorkerId; WORKERS],
    /// By our ids: theirs, and the attempt of those that run.
    requests: BTreeMap<usize, (RequestId, Option<Attempt>)>,
    by_id: BTreeMap<RequestId, usize>,
    wakes_at: Option<u64>,
}

impl Hosted {
    /// The first client has a reserve and nothing else; the second and the third share what is left 2 : 1, and the third has
    /// a limit. Rates in tokens a second.
    #[must_use]
    pub fn new(reserve: u64, limit: u64) -> Self {
        let tiers = [
            TierConfig::new("reserved")
                .reserve_in(0, Reserve::Units(reserve / TOKENS_PER_S))
                .borrow_limit([0])
                // Nobody is stopped, as in mClock; what is idle is lent at once.
                .preemption(Preemption::Never)
                .hold_window(Duration::ZERO),
            TierConfig::new("shared").order(Order::Fair),
        ];
        let [reserved, shared] = tiers;
        let config = Config::builder().dimensions(["slots"]).tier(reserved).tier(shared);
        let mut scheduler = Scheduler::new(config.build().expect("the config has no fault"), Instant::ZERO);
        let workers = [(); WORKERS].map(|()| add(&mut scheduler, Instant::ZERO));
        for client in 0..CLIENTS {
            scheduler.tenant_set(Instant::ZERO, &client.to_string()).expect(OURS);
        }
        let mut promise = |tenant, policy| {
            scheduler.tenant_configure(Instant::ZERO, TenantId::new(tenant), &policy).expect(OURS);
        };
        promise(1, TenantPolicy::default().weight(2));
        let one_request = COSTS.1 - 1;
        promise(2, TenantPolicy::default().tokens(Rate::per_second(limit).burst(one_request)));
        Self { scheduler, workers, requests: BTreeMap::new(), by_id: BTreeMap::new(), wakes_at: None }
    }
}

fn add(scheduler: &mut Scheduler, now: Instant) -> WorkerId {
    scheduler.worker_add(now, WorkerSpec::new([SLOTS as u64])).expect(OURS)
}

impl Policy for Hosted {
    fn submit(&mut self, now_ns: u64, id: usize, client: usize, cost: u64) {
        let tier = if client == 0 { Tier::P0 } else { Tier::new(1) };
        let tenant = TenantId::new(u32::try_from(client).expect("three"));
        let spec = RequestSpec::new(tenant, tier).demand([1]).prompt_tokens(cost);
        let request = self.scheduler.submit(Instant::from_nanos(now_ns), spec).expect(OURS);
        self.requests.insert(id, (request, None));
        self.by_id.insert(request, id);
    }

    fn withdraw(&mut self, now_ns: u64, id: usize) {
        if let Some((request, _)) = self.requests.remove(&id) {
            self.scheduler.cancel(Instant::from_nanos(now_ns), request).expect(OURS);
            self.by_id.remove(&request);
        }
    }

    fn next(&mut self, now_ns: u64, _free: &[usize; WORKERS]) -> Option<(usize, usize)> {
        let now = Instant::from_nanos(now_ns);
        while let Some(action) = self.scheduler.poll(now) {
            if let Action::Start { request, attempt, worker, .. } = action {
                self.scheduler.started(now, request, attempt, 0, [1].into()).expect(OURS);
                let id = self.by_id[&request];
                self.requests.insert(id, (request, Some(attempt)));
                let worker = self.workers.iter().position(|&known| known == worker).expect(OURS);
                return Some((id, worker));
            }
        }
        self.wakes_at = self.scheduler.poll_timeout().map(Instant::as_nanos);
        None
    }

    fn ended(&mut self, now_ns: u64, id: usize, cost: u64) {
        if let Some((request, Some(attempt))) = self.requests.remove(&id) {
            let usage = Usage { prompt_tokens: cost, ..Usage::default() };
            self.scheduler.complete(Instant::from_nanos(now_ns), request, attempt, usage).expect(OURS);
            self.by_id.remove(&request);
        }
    }

    fn lost(&mut self, now_ns: u64, worker: usize, _ids: &[usize]) {
        self.scheduler.worker_lost(Instant::from_nanos(now_ns), self.workers[worker]).expect(OURS);
    }

    fn regained(&mut self, now_ns: u64, worker: usize) {
        self.workers[worker] = add(&mut self.scheduler, Instant::from_nanos(now_ns));
    }

    fn wakes_at(&self) -> Option<u64> {
        self.wakes_at
    }
}
