//! What other systems were reported to loop on. Kueue: a preempted workload preempts in turn (issues named in its
//! preemption's tests); Kubernetes: victims of one pod return and are chosen again.

mod common;

use std::time::Duration;

use common::World;
use proptest::prelude::*;
use tidegate::{Action, Config, Reason, RequestId, Tier, TierConfig, Yielding};

/// Requests of a closed system: tier, slots, and steps of work.
fn work(tiers: u8) -> impl Strategy<Value = Vec<(u8, u64, u8)>> {
    prop::collection::vec((0..tiers, 1_u64..4, 1_u8..6), 1..40)
}

proptest! {
    /// PRE-5: with finite work and nobody new, everything ends; nobody is preempted more often than
    /// `max_preemptions` and the waivers for guarantees allow. Moves, for which nobody waits, are not counted.
    #[test]
    fn a_closed_system_comes_to_rest(
        (shares, work) in (2_u8..=6).prop_flat_map(|tiers| {
            (prop::collection::vec(0_u32..5, tiers as usize), work(tiers))
        }),
        workers in 1_usize..4,
        rebalance_ms in prop_oneof![Just(0_u64), 1_u64..500],
    ) {
        let total: u32 = shares.iter().sum::<u32>().max(1);
        let mut config = Config::builder().dimensions(["slots", "kv_blocks"]).min_run(Duration::ZERO);
        config = config.rebalance_every(Duration::from_millis(rebalance_ms));
        let yielding = if rebalance_ms == 0 { Yielding::Restart } else { Yielding::Checkpoint };
        for (index, share) in shares.iter().enumerate() {
            let tier = TierConfig::new(format!("tier{index}")).reserve_ppm(share * 900_000 / total);
            config = config.tier(tier.hold_window(Duration::ZERO));
        }
        let mut world = World::with_workers(config, workers, [4, 100]);
        let mut left: std::collections::BTreeMap<RequestId, (u64, u8)> = work
            .into_iter()
            .map(|(tier, slots, steps)| {
                let spec = world.spec(Tier::new(tier), [slots, slots]).yielding(yielding);
                (world.submit_spec(spec), (slots, steps))
            })
            .collect();
        let (mut preemptions, submitted) = (0_u32, left.len() as u32);
        for _ in 0..2_000 {
            if left.is_empty() {
                break;
            }
            let told = world.round();
            let is_counted = |action: &&Action| match **action {
                Action::Preempt { reason, .. } => reason != Reason::Rebalance,
                _ => false,
            };
            preemptions += told.iter().filter(is_counted).count() as u32;
            world.obey(&told);
            world.pass(Duration::from_millis(100));
            let running: Vec<RequestId> = world.running.keys().copied().collect();
            for request in running {
                let (slots, steps) = left.get_mut(&request).expect("it is known");
                if rebalance_ms > 0 {
                    world.progress(request, 1, [*slots, *slots]);
                }
                *steps -= 1;
                if *steps == 0 {
                    left.remove(&request);
                    world.complete(request);
                }
            }
        }
        prop_assert!(left.is_empty(), "{} never ended, {preemptions} preemptions", left.len());
        prop_assert!(preemptions <= submitted, "{preemptions} preemptions of {submitted} requests");
    }
}
