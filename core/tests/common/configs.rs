//! Configs at random, for all that has to hold whatever the settings are.

use std::time::Duration;

use proptest::prelude::*;
use tidegate::{Config, ConfigBuilder, Placement, TierConfig};

prop_compose! {
    /// Any config of three tiers and two dimensions.
    pub(crate) fn configs()(
        reserves in (0_u32..500_000, 0_u32..300_000, 0_u32..200_000),
        lendable in 0_u32..=1_000_000,
        windows in prop_oneof![Just(0_u64), 1_u64..4_000],
        min_run_ms in 0_u64..1_500,
        max_preemptions in 0_u32..4,
        max_bypass in 0_u32..4,
        limit in proptest::option::weighted(0.3, 1_u64..20),
        displace in any::<bool>(),
        spread in any::<bool>(),
        borrow_limit in proptest::option::weighted(0.2, (0_u64..6, 0_u64..60)),
        flaps in (0_u64..3_000, 0_u64..9_000, 0_u64..9_000),
        rebalance_ms in prop_oneof![Just(0_u64), 1_u64..2_000],
    ) -> ConfigBuilder {
        let tier = |name: &str, ppm| {
            let tier = TierConfig::new(name).reserve_ppm(ppm).lendable_ppm(lendable);
            tier.hold_window(Duration::from_millis(windows))
        };
        let mut batch = tier("batch", reserves.2);
        if let Some((slots, blocks)) = borrow_limit {
            batch = batch.borrow_limit([slots, blocks]);
        }
        let mut config = Config::builder()
            .dimensions(["slots", "kv_blocks"])
            .tier(tier("realtime", reserves.0))
            .tier(tier("near-realtime", reserves.1))
            .tier(batch)
            .min_run(Duration::from_millis(min_run_ms))
            .max_preemptions(max_preemptions)
            .max_bypass(max_bypass)
            .displace(displace)
            .flap_backoff(Duration::from_millis(flaps.0))
            .flap_backoff_max(Duration::from_millis(flaps.1))
            .flap_forget_after(Duration::from_millis(flaps.2))
            .rebalance_every(Duration::from_millis(rebalance_ms));
        if let Some(limit) = limit {
            config = config.queue_limit(limit);
        }
        if spread {
            config = config.placement(Placement::Spread);
        }
        config
    }
}
