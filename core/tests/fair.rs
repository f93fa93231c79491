//! Tenants of a tier are served alike, FAIR-2, under random lengths, with known and unknown outputs, and for
//! one that comes late.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::World;
use proptest::prelude::*;
use tidegate::{Action, Config, Order, RequestId, RequestSpec, TenantId, Tier, TierConfig, Usage};

/// Requests that one engine runs at once.
const SLOTS: u64 = 4;
/// The longest prompt and the longest output.
const LENGTH: u64 = 300;
/// VTC's bound on how far two counters are apart: the cost of a prompt, or of all output tokens in flight; and of those
/// that are charged ahead.
const BOUND: u64 = 2 * SLOTS * (LENGTH + 64);

struct Running {
    tenant: usize,
    output: u64,
    generated: u64,
}

/// An engine that gives each request a token a step, and tenants that always have something waiting.
struct Engine {
    world: World,
    tenants: Vec<TenantId>,
    running: BTreeMap<RequestId, Running>,
    lengths: BTreeMap<RequestId, (usize, u64, u64)>,
    /// By tenant: prompt tokens, and twice the output tokens, that were computed.
    served: Vec<u64>,
}

impl Engine {
    fn new(order: Order, tenants: usize, cost_of_lead: u64) -> Self {
        let tier = TierConfig::new("only").order(order).deficit_quantum(cost_of_lead);
        let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(tier);
        let mut world = World::with_workers(config, 1, [SLOTS, SLOTS]);
        let named = |number| world.sched.tenant_set(world.now, &format!("t{number}")).expect("a name");
        let tenants: Vec<TenantId> = (0..tenants).map(named).collect();
        let served = vec![0; tenants.len()];
        Self { world, tenants, running: BTreeMap::new(), lengths: BTreeMap::new(), served }
    }

    fn submit(&mut self, tenant: usize, (prompt, output, is_known): (u64, u64, bool)) {
        let mut spec = RequestSpec::new(self.tenants[tenant], Tier::P0).demand([1, 1]).prompt_tokens(prompt);
        spec.output_tokens = is_known.then_some(output);
        let id = self.world.sched.submit(self.world.now, spec).expect("it is accepted");
        self.lengths.insert(id, (tenant, prompt, output));
    }

    /// Starts what may start, and generates a token of each that runs.
    fn step(&mut self) {
        while let Some(action) = self.world.sched.poll(self.world.now) {
            let Action::Start { request, attempt, worker, .. } = action else { panic!("{action:?}") };
            let (tenant, prompt, output) = self.lengths[&request];
            self.world.running.insert(request, (attempt, worker));
            self.world.progress(request, 0, [1, 1]);
            self.running.insert(request, Running { tenant, output, generated: 0 });
            self.served[tenant] += prompt;
        }
        self.world.pass(Duration::from_millis(1));
        self.world.sched.step(self.world.now, tidegate::WorkerId::new(0), 1, &[]).expect("it is up");
        for running in self.running.values_mut() {
            running.generated += 1;
            self.served[running.tenant] += 2;
        }
        let done = self.running.extract_if(.., |_, running| running.generated >= running.output);
        for (id, running) in done.collect::<Vec<_>>() {
            let (attempt, _) = self.world.running.remove(&id).expect("it runs");
            let prompt_tokens = self.lengths[&id].1;
            let usage = Usage { prompt_tokens, cached_tokens: 0, output_tokens: running.generated };
            self.world.sched.complete(self.world.now, id, attempt, usage).expect("it runs");
        }
    }

    /// Whether all that a tenant submitted has started.
    fn has_run_dry(&self, tenant: usize) -> bool {
        let mine = self.lengths.iter().filter(|(_, (other, ..))| *other == tenant);
        let waits = |id: &RequestId| self.world.sched.state(*id).is_ok() && !self.running.contains_key(id);
        !mine.into_iter().any(|(id, _)| waits(id))
    }

    /// How far the services of two of these tenants are apart.
    fn gap(&self, since: &[u64]) -> u64 {
        let served = self.served.iter().zip(since).map(|(now, then)| now - then);
        let (least, most) = served.fold((u64::MAX, 0), |(least, most), x| (x.min(least), x.max(most)));
        most - least
    }
}

fn lengths() -> impl Strategy<Value = Vec<(u64, u64, bool)>> {
    prop::collection::vec((1..=LENGTH, 1..=LENGTH, any::<bool>()), 8..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// FAIR-2: while all have something waiting, nobody is served more than 2U beyond another, at any step.
    #[test]
    fn the_services_of_backlogged_tenants_stay_together(
        lengths in lengths(),
        tenants in 2_usize..5,
        quantum in prop::option::of(1_u64..5_000),
    ) {
        let order = if quantum.is_some() { Order::DeficitLongestPrefix } else { Order::Fair };
        let mut engine = Engine::new(order, tenants, quantum.unwrap_or(1));
        // A tenant has requests of its own length, so that one sends what costs much and another what costs little.
        for tenant in 0..tenants {
            for turn in 0..60 {
                engine.submit(tenant, lengths[(tenant + turn * (tenant % 2)) % lengths.len()]);
            }
        }
        let start = engine.served.clone();
        let bound = 2 * (BOUND + quantum.unwrap_or(0));
        for _ in 0..1_500 {
            engine.step();
            if (0..tenants).any(|tenant| engine.has_run_dry(tenant)) {
                break;
            }
            prop_assert!(engine.gap(&start) <= bound, "{:?} beyond {bound}", engine.served);
        }
    }

    /// A tenant that was away earns nothing by it: from when it comes it is served as the others are.
    #[test]
    fn who_comes_late_is_served_as_the_others_from_then_on(lengths in lengths()) {
        let mut engine = Engine::new(Order::Fair, 2, 1);
        for turn in 0..120 {
            engine.submit(0, lengths[turn % lengths.len()]);
        }
        for _ in 0..800 {
            engine.step();
        }
        prop_assume!(!engine.has_run_dry(0));
        for turn in 0..120 {
            engine.submit(1, lengths[(turn * 7) % lengths.len()]);
        }
        let start = engine.served.clone();
        for _ in 0..1_500 {
            engine.step();
            if engine.has_run_dry(0) || engine.has_run_dry(1) {
                break;
            }
            prop_assert!(engine.gap(&start) <= 2 * BOUND, "{:?} since {start:?}", engine.served);
        }
    }
}
