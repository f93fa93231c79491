//! FAIR-1: the counters of tenants that have something waiting stay together, whoever comes, idles, weighs more, or
//! takes back what it asked for; and who starts is of the tenant that has had least.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::World;
use common::counters::{Counters, SCALE};
use proptest::prelude::*;
use tidegate::{
    Action, Attempt, Config, Order, RequestId, RequestSpec, TenantId, TenantPolicy, Tier, TierConfig, Usage,
    WorkerId,
};

/// Requests that one engine runs at once.
const SLOTS: u64 = 4;
/// The longest prompt and the longest output.
const LENGTH: u64 = 300;
/// Output tokens that are charged ahead of those that were reported.
const AHEAD: u64 = 64;
/// U = max(w_in · L_in, w_out · M): what one prompt costs, or as many output tokens as there may be in flight.
const BOUND: u64 = 2 * SLOTS * (2 * LENGTH + AHEAD);

#[derive(Clone, Copy, Debug)]
struct Lengths {
    prompt: u64,
    output: u64,
    is_known: bool,
}

impl Lengths {
    fn cost(&self, output: u64) -> u64 {
        self.prompt + 2 * output
    }
}

#[derive(Debug)]
struct Running {
    attempt: Attempt,
    generated: u64,
    charged_output: u64,
}

/// An engine that gives each request a token a step, and what its host knows of the tenants' counters.
struct Engine {
    world: World,
    tenants: Vec<TenantId>,
    counters: Counters,
    live: BTreeMap<RequestId, (usize, Lengths)>,
    running: BTreeMap<RequestId, Running>,
}

impl Engine {
    fn new(weights: &[u32]) -> Self {
        let tier = TierConfig::new("only").order(Order::Fair);
        let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(tier);
        let mut world = World::with_workers(config, 1, [SLOTS, SLOTS]);
        let named = |(number, &weight)| {
            let tenant = world.sched.tenant_set(world.now, &format!("t{number}")).expect("a name");
            let policy = TenantPolicy::new().weight(weight);
            world.sched.tenant_configure(world.now, tenant, &policy).expect("no fault");
            tenant
        };
        let tenants = weights.iter().enumerate().map(named).collect();
        let (live, running) = (BTreeMap::new(), BTreeMap::new());
        Self { world, tenants, counters: Counters::new(weights), live, running }
    }

    fn submit(&mut self, tenant: usize, lengths: Lengths) {
        let spec = RequestSpec::new(self.tenants[tenant], Tier::P0).demand([1, 1]);
        let mut spec = spec.prompt_tokens(lengths.prompt);
        spec.output_tokens = lengths.is_known.then_some(lengths.output);
        let id = self.world.sched.submit(self.world.now, spec).expect("it is accepted");
        self.live.insert(id, (tenant, lengths));
        self.counters.submitted(tenant);
    }

    /// Starts what may start, of the tenant that has had least each time.
    fn start(&mut self) -> Result<(), TestCaseError> {
        while let Some(action) = self.world.poll_one() {
            let Action::Start { request, attempt, .. } = action else { panic!("{action:?}") };
            let (tenant, lengths) = self.live[&request];
            prop_assert!(self.counters.started(tenant), "{request} of {tenant} starts: {:?}", self.counters);
            let charged_output = if lengths.is_known { lengths.output } else { 0 };
            self.counters.charged(tenant, 0, lengths.cost(charged_output));
            self.running.insert(request, Running { attempt, generated: 0, charged_output });
            let in_use = [1, 1].into();
            self.world.sched.progress(self.world.now, request, attempt, 0, in_use).expect("it runs");
        }
        self.check()
    }

    fn step(&mut self) -> Result<(), TestCaseError> {
        self.world.pass(Duration::from_millis(1));
        self.world.sched.step(self.world.now, WorkerId::new(0), 1, &[]).expect("it is up");
        for (id, running) in &mut self.running {
            let (tenant, lengths) = self.live[id];
            running.generated += 1;
            if running.generated > running.charged_output {
                let ahead = running.generated + AHEAD;
                self.counters.charged(tenant, lengths.cost(running.charged_output), lengths.cost(ahead));
                running.charged_output = ahead;
            }
        }
        self.check()?;
        let live = &self.live;
        let done = self.running.extract_if(.., |id, running| running.generated >= live[id].1.output);
        for (id, running) in done.collect::<Vec<_>>() {
            let (tenant, lengths) = self.live.remove(&id).expect("it ran");
            let usage =
                Usage { prompt_tokens: lengths.prompt, cached_tokens: 0, output_tokens: running.generated };
            self.world.sched.complete(self.world.now, id, running.attempt, usage).expect("it runs");
            let charged = lengths.cost(running.charged_output);
            self.counters.charged(tenant, charged, lengths.cost(running.generated));
        }
        self.start()
    }

    /// Takes back one of the live requests, waiting or not.
    fn cancel(&mut self, which: prop::sample::Index) -> Result<(), TestCaseError> {
        if self.live.is_empty() {
            return Ok(());
        }
        let id = *self.live.keys().nth(which.index(self.live.len())).expect("there is one");
        let (tenant, lengths) = self.live.remove(&id).expect("it lives");
        self.world.sched.cancel(self.world.now, id).expect("it lives");
        match self.running.remove(&id) {
            Some(running) => {
                let charged = lengths.cost(running.charged_output);
                self.counters.charged(tenant, charged, lengths.cost(running.generated));
            }
            None => self.counters.withdrawn(tenant),
        }
        self.start()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let gap = self.counters.gap();
        prop_assert!(gap <= i128::from(BOUND) * SCALE, "{} beyond {BOUND}: {:?}", gap / SCALE, self.counters);
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Turn {
    Burst(prop::sample::Index, Vec<Lengths>),
    Steps(usize),
    Cancel(prop::sample::Index),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let lengths = (1..=LENGTH, 1..=LENGTH, any::<bool>());
    let lengths = lengths.prop_map(|(prompt, output, is_known)| Lengths { prompt, output, is_known });
    let burst = (any::<prop::sample::Index>(), prop::collection::vec(lengths, 1..24));
    let turn = prop_oneof![
        4 => burst.prop_map(|(tenant, lengths)| Turn::Burst(tenant, lengths)),
        4 => (1_usize..400).prop_map(Turn::Steps),
        1 => any::<prop::sample::Index>().prop_map(Turn::Cancel),
    ];
    prop::collection::vec(turn, 8..48)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn counters_of_backlogged_tenants_stay_within_the_bound(
        weights in prop::collection::vec(1_u32..=4, 2..6),
        turns in turns(),
    ) {
        let mut engine = Engine::new(&weights);
        for turn in turns {
            match turn {
                Turn::Burst(tenant, lengths) => {
                    let tenant = tenant.index(weights.len());
                    lengths.into_iter().for_each(|lengths| engine.submit(tenant, lengths));
                    engine.start()?;
                }
                Turn::Steps(steps) => (0..steps).try_for_each(|_| engine.step())?,
                Turn::Cancel(which) => engine.cancel(which)?,
            }
        }
    }
}
