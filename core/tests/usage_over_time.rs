//! What tenants are told to have used over time, beside a naive observer that looks at each moment.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{POOL, World, three_tiers};
use proptest::prelude::*;
use tidegate::{
    Action, Amendment, Attempt, Release, RequestId, RequestSpec, TenantId, TenantUsage, Tier, Usage, WorkerId,
};

/// Borrowed parts are told in 1/2^32.
const PART_BITS: u32 = 32;

/// What a host may do to a random tenant, request or worker.
#[derive(Clone, Debug)]
enum Step {
    Submit { tenant: usize, tier: u8, units: [u64; 2] },
    Pass(u64),
    Resize { pick: usize, units: [u64; 2] },
    Stop { pick: usize, releasing: bool },
    Move { pick: usize, tier: u8 },
    End { pick: usize, how: u8 },
    Add([u64; 2]),
    Drain(u32),
    Lose(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (pick, tier, units) = (0_usize..64, 0_u8..3, (1_u64..5, 0_u64..40).prop_map(|(s, b)| [s, b]));
    let step = prop_oneof![
        6 => (0_usize..3, tier.clone(), units.clone())
            .prop_map(|(tenant, tier, units)| Step::Submit { tenant, tier, units }),
        6 => (1_u64..1 << 40).prop_map(Step::Pass),
        3 => (pick.clone(), units.clone()).prop_map(|(pick, units)| Step::Resize { pick, units }),
        3 => (pick.clone(), any::<bool>()).prop_map(|(pick, releasing)| Step::Stop { pick, releasing }),
        1 => (pick.clone(), tier).prop_map(|(pick, tier)| Step::Move { pick, tier }),
        3 => (pick, 0_u8..3).prop_map(|(pick, how)| Step::End { pick, how }),
        1 => units.prop_map(|[slots, blocks]| Step::Add([slots * 3, blocks * 5 + 1])),
        1 => (0_u32..4).prop_map(Step::Drain),
        1 => (0_u32..4).prop_map(Step::Lose),
    ];
    proptest::collection::vec(step, 1..80)
}

/// Who uses what on which worker, and whether it only has to release it.
#[derive(Clone, Copy, Debug)]
struct Used {
    tenant: usize,
    tier: Tier,
    worker: WorkerId,
    units: [u64; 2],
    releasing: bool,
}

/// Looks at what is in use before each passing of time, and adds it up.
struct Observer {
    world: World,
    tenants: Vec<TenantId>,
    owners: BTreeMap<RequestId, (usize, Tier)>,
    used: BTreeMap<RequestId, Used>,
    draining: Vec<WorkerId>,
    /// By tenant and tier.
    unit_ns: Vec<[[u128; 2]; 3]>,
    /// In 1/2^32.
    borrowed: Vec<[[u128; 2]; 3]>,
    /// What the accounts of the tiers have it that is used, and borrowed, in units times nanoseconds.
    by_tiers: [u128; 2],
    borrowed_by_tiers: [u128; 2],
}

impl Observer {
    fn new() -> Self {
        let mut world = World::with_workers(three_tiers(), 2, [6, 60]);
        let named = |name| world.sched.tenant_set(world.now, name).expect("a name");
        let tenants: Vec<TenantId> = ["a", "b", "c"].map(named).into();
        let (owners, used, draining) = Default::default();
        let (unit_ns, borrowed) = (vec![[[0; 2]; 3]; 3], vec![[[0; 2]; 3]; 3]);
        let (by_tiers, borrowed_by_tiers) = ([0; 2], [0; 2]);
        Self { world, tenants, owners, used, draining, unit_ns, borrowed, by_tiers, borrowed_by_tiers }
    }

    fn pass(&mut self, nanos: u64) {
        let ns = u128::from(nanos);
        for tier in (0..3).map(Tier::new) {
            let used = self.world.sched.in_use(POOL, tier).expect("it is known");
            let reserve = self.world.sched.effective_reserve(POOL, tier).expect("it is known");
            for d in 0..2 {
                let beyond = u128::from(used[d].saturating_sub(reserve[d]));
                self.by_tiers[d] += u128::from(used[d]) * ns;
                self.borrowed_by_tiers[d] += beyond * ns;
                let part = (beyond << PART_BITS).checked_div(used[d].into()).unwrap_or(0);
                for of in self.used.values().filter(|of| of.tier == tier) {
                    self.unit_ns[of.tenant][usize::from(tier.get())][d] += u128::from(of.units[d]) * ns;
                    if !self.draining.contains(&of.worker) {
                        self.borrowed[of.tenant][usize::from(tier.get())][d] +=
                            u128::from(of.units[d]) * part * ns;
                    }
                }
            }
        }
        self.world.pass(Duration::from_nanos(nanos));
    }

    fn pick(&self, pick: usize) -> Option<(RequestId, Attempt)> {
        let id = self.used.keys().nth(pick % self.used.len().max(1))?;
        Some((*id, self.world.attempt(*id)))
    }

    fn take(&mut self, step: &Step) {
        let now = self.world.now;
        match *step {
            Step::Submit { tenant, tier, units } => {
                let spec = RequestSpec::new(self.tenants[tenant], Tier::new(tier)).demand(units);
                let id = self.world.sched.submit(now, spec).ok(); // it may never fit
                self.owners.extend(id.map(|id| (id, (tenant, Tier::new(tier)))));
            }
            Step::Pass(nanos) => self.pass(nanos),
            Step::Resize { pick, units } => {
                if let Some((id, attempt)) = self.pick(pick)
                    && self.world.sched.progress(now, id, attempt, 1, units.into()).is_ok()
                {
                    self.used.get_mut(&id).expect("it was picked").units = units;
                }
            }
            Step::Stop { pick, releasing } => {
                let Some((id, attempt)) = self.pick(pick) else { return };
                let release = if releasing { Release::Later } else { Release::Done };
                if self.used[&id].releasing {
                    self.world.sched.released(now, id, attempt).expect("it is releasing");
                    self.used.remove(&id);
                } else if self.world.sched.preempted(now, id, attempt, 0, release).is_ok() {
                    self.used.get_mut(&id).expect("it was picked").releasing = true;
                    self.used.retain(|&other, _| releasing || other != id);
                }
            }
            Step::Move { pick, tier } => {
                let amendment = Amendment { tier: Some(Tier::new(tier)), ..Amendment::default() };
                if let Some((id, _)) = self.pick(pick)
                    && self.world.sched.amend(now, id, amendment).is_ok()
                {
                    self.used.get_mut(&id).expect("it was picked").tier = Tier::new(tier);
                    self.owners.get_mut(&id).expect("it was submitted").1 = Tier::new(tier);
                }
            }
            Step::End { pick, how } => {
                let Some((id, attempt)) = self.pick(pick) else { return };
                let ended = match how {
                    0 => self.world.sched.complete(now, id, attempt, Usage::default()),
                    1 => self.world.sched.failed(now, id, attempt),
                    _ => self.world.sched.cancel(now, id),
                };
                self.used.retain(|&other, _| ended.is_err() || other != id);
            }
            Step::Add(capacity) => {
                self.world.worker(capacity);
            }
            Step::Drain(number) => {
                let worker = WorkerId::new(number);
                self.draining.extend(self.world.sched.worker_drain(now, worker).map(|()| worker)); // it may not be there
            }
            Step::Lose(number) => {
                let _ = self.world.sched.worker_lost(now, WorkerId::new(number)); // it may be lost
                self.used.retain(|_, of| of.worker.get() != number);
            }
        }
        self.settle();
    }

    /// Polls to the end of the round. Engines tell at once that they took what was started.
    fn settle(&mut self) {
        self.world.running.retain(|id, _| self.used.contains_key(id));
        self.world.check();
        for action in self.world.round() {
            match action {
                Action::Start { request, worker, .. } => {
                    let ((tenant, tier), units) = (self.owners[&request], [1 + request.to_bits() % 3, 7]);
                    self.used.insert(request, Used { tenant, tier, worker, units, releasing: false });
                    let (sched, attempt) = (&mut self.world.sched, self.world.running[&request].0);
                    sched.started(self.world.now, request, attempt, 0, units.into()).expect("it starts");
                }
                Action::Drop { request, .. } => {
                    self.used.remove(&request);
                }
                _ => {}
            }
        }
    }
}

proptest! {
    /// USE-1: over any life, what tenants are told to have used is what was seen in use at each moment, and what of
    /// that was borrowed is what their tiers were seen to borrow.
    #[test]
    fn sums_over_time_are_what_a_naive_observer_saw(steps in steps()) {
        let mut seen = Observer::new();
        for step in &steps {
            seen.take(step);
        }
        seen.settle();
        let (mut sums, mut borrowed_sums) = ([0; 2], [0; 2]);
        for (number, &tenant) in seen.tenants.iter().enumerate() {
            let mut parts = TenantUsage::default();
            for tier in 0..3 {
                let told = seen.world.sched.usage_by_tier(tenant, Tier::new(tier), seen.world.now);
                let (told, tier) = (told.expect("it is known"), usize::from(tier));
                for d in 0..2 {
                    prop_assert_eq!(told.unit_ns[d], seen.unit_ns[number][tier][d]);
                    prop_assert_eq!(told.borrowed_unit_ns[d], seen.borrowed[number][tier][d] >> PART_BITS);
                    sums[d] += told.unit_ns[d];
                    borrowed_sums[d] += told.borrowed_unit_ns[d];
                }
                parts = parts.plus(&told);
            }
            prop_assert_eq!(parts, seen.world.sched.usage(tenant).expect("it is known"));
        }
        for d in 0..2 {
            let rounding = (seen.by_tiers[d] >> PART_BITS) + 9 + 1;
            prop_assert!(borrowed_sums[d] <= seen.borrowed_by_tiers[d]);
            prop_assert!(borrowed_sums[d] + rounding >= seen.borrowed_by_tiers[d]);
            prop_assert!(sums[d] >= seen.by_tiers[d]);
            if seen.draining.is_empty() {
                prop_assert_eq!(sums[d], seen.by_tiers[d]);
            }
        }
    }
}
