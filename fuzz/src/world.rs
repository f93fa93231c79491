//! A config of few tiers, pools and dimensions with small numbers, so that short inputs meet every rule.

use std::time::Duration;

use tidegate::{Config, Placement, Preemption, Rounding, TierConfig};

use crate::Bytes;

/// A config, and what a host has to know of it.
#[derive(Debug)]
pub struct World {
    /// The config.
    pub config: Config,
    /// Dimensions in use.
    pub dimensions: usize,
    /// Tiers.
    pub tiers: usize,
    /// Pools.
    pub pools: usize,
    /// Whether all that is idle may be borrowed: then nothing that fits waits for ever on an idle machine.
    pub lends_all: bool,
}

const SPANS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(30)];
const LIMITS: [Option<u64>; 4] = [None, Some(1), Some(3), Some(0)];

impl World {
    /// The world that the bytes choose.
    pub fn new(bytes: &mut Bytes<'_>) -> Self {
        let (dimensions, tiers, pools) = (1 + bytes.below(2), 1 + bytes.below(4), 1 + bytes.below(2));
        let mut lends_all = true;
        let mut left = 100;
        let mut builder = Config::builder()
            .dimensions(["slots", "blocks"].into_iter().take(dimensions))
            .pools(["first", "second"].into_iter().take(pools))
            .placement(bytes.one_of(&[Placement::Pack, Placement::Spread]))
            .min_run(bytes.one_of(&SPANS))
            .max_preemptions(bytes.one_of(&[3, 0, 1]))
            .confirm_after(bytes.one_of(&SPANS[1..]))
            .max_bypass(bytes.one_of(&[16, 0, 1]))
            .drain_after(bytes.one_of(&SPANS[1..]))
            .decline_backoff(bytes.one_of(&SPANS))
            .flap_backoff(bytes.one_of(&SPANS))
            .rebalance_every(bytes.one_of(&SPANS))
            .displace(bytes.below(2) == 1)
            .max_tenants(bytes.one_of(&[1 << 20, 2]));
        if let Some(limit) = bytes.one_of(&LIMITS) {
            builder = builder.queue_limit(limit + 2);
        }
        if let Some(limit) = bytes.one_of(&LIMITS) {
            builder = builder.tenant_queue_limit(limit + 1);
        }
        for name in ["a", "b", "c", "d"].into_iter().take(tiers) {
            let reserve = bytes.one_of(&[0, 5, 30, 50, 100]).min(left);
            left -= reserve;
            builder = builder.tier(tier(bytes, name, reserve, &mut lends_all));
        }
        let config = builder.build().expect("every choice is valid");
        Self { config, dimensions, tiers, pools, lends_all }
    }
}

fn tier(bytes: &mut Bytes<'_>, name: &str, reserve: u32, lends_all: &mut bool) -> TierConfig {
    let lendable = bytes.one_of(&[100, 50, 0]);
    let mut tier = TierConfig::new(name)
        .reserve_ppm(reserve * 10_000)
        .lendable_ppm(lendable * 10_000)
        .rounding(bytes.one_of(&[Rounding::Ceil, Rounding::Nearest, Rounding::Floor]))
        .hold_window(bytes.one_of(&SPANS))
        .preemption(bytes.one_of(&[Preemption::LowerTier, Preemption::Never]));
    *lends_all &= lendable == 100;
    match bytes.below(3) {
        0 => {}
        1 => tier = tier.preempt_while_borrowing(Preemption::LowerTier),
        _ => tier = tier.preempt_while_borrowing(Preemption::Never),
    }
    if let Some(limit) = bytes.one_of(&LIMITS) {
        tier = tier.queue_limit(limit);
    }
    if let Some(limit) = bytes.one_of(&LIMITS) {
        tier = tier.borrow_limit([limit]).queue_timeout(Duration::from_secs(limit));
        *lends_all = false;
    }
    tier
}
