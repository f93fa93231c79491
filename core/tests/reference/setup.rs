//! What a config says, in the open: the model and the config are both made from it.

use core::time::Duration;

use tidegate::{
    Config, Order, Placement, PoolId, Ppm, Preemption, Reserve, Resources, Rounding, StepTime, TenantPolicy,
    TierConfig,
};

use super::warmth::AffinitySetup;

#[derive(Clone, Debug)]
pub(crate) struct TierSetup {
    pub(crate) reserve_ppm: u32,
    pub(crate) reserve_in: [Option<Reserve>; 4],
    /// By pool: its own share, and what its dimensions have of their own.
    pub(crate) reserve_in_pools: Vec<(Option<u32>, [Option<Reserve>; 4])>,
    pub(crate) lendable_ppm: u32,
    pub(crate) borrow_limit: Option<Resources>,
    pub(crate) rounding: Rounding,
    pub(crate) hold_window: u64,
    pub(crate) preemption: Preemption,
    pub(crate) preempt_while_borrowing: Option<Preemption>,
    pub(crate) preemption_budget: Option<u32>,
    pub(crate) order: Order,
    pub(crate) deficit_quantum: u64,
    pub(crate) deadline_token_weight: u64,
    pub(crate) age_after: Option<u64>,
    pub(crate) queue_limit: Option<u64>,
    pub(crate) queue_token_limit: Option<u64>,
    pub(crate) queue_timeout: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) dimensions: usize,
    pub(crate) pools: usize,
    pub(crate) tiers: Vec<TierSetup>,
    pub(crate) placement: Placement,
    pub(crate) affinity: AffinitySetup,
    pub(crate) min_run: u64,
    pub(crate) max_preemptions: u32,
    pub(crate) confirm_after: u64,
    pub(crate) max_bypass: u32,
    pub(crate) drain_after: u64,
    pub(crate) decline_backoff: u64,
    /// Backoff, at most, forgotten after.
    pub(crate) flaps: (u64, u64, u64),
    /// 0: never.
    pub(crate) rebalance_every: u64,
    /// Base, prompt token, decode.
    pub(crate) step_time: Option<(u64, u64, u64)>,
    pub(crate) stop_takes: u64,
    pub(crate) swap_token: u64,
    pub(crate) checkpoint_kib_per_token: u32,
    pub(crate) max_step: u64,
    pub(crate) queue_limit: Option<u64>,
    pub(crate) queue_token_limit: Option<u64>,
    pub(crate) tenant_queue_limit: Option<u64>,
    pub(crate) tenant_queue_token_limit: Option<u64>,
    pub(crate) displace: bool,
    /// Of a prompt token, of a cached one, of an output token.
    pub(crate) token_costs: (u64, u64, u64),
    pub(crate) predict_output: bool,
    pub(crate) max_tenants: u32,
    pub(crate) default_policy: TenantPolicy,
    pub(crate) hold_timeout: u64,
}

fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

impl TierSetup {
    pub(crate) fn borrows_by_preemption(&self, tier: usize) -> bool {
        let default = if tier == 0 { Preemption::LowerTier } else { Preemption::Never };
        self.preempt_while_borrowing.unwrap_or(default) == Preemption::LowerTier
    }

    fn config(&self, name: String) -> TierConfig {
        let mut tier = TierConfig::new(name)
            .reserve_ppm(self.reserve_ppm)
            .lendable_ppm(self.lendable_ppm)
            .rounding(self.rounding)
            .hold_window(ns(self.hold_window))
            .preemption(self.preemption)
            .order(self.order)
            .deficit_quantum(self.deficit_quantum)
            .deadline_token_weight(ns(self.deadline_token_weight));
        for (dimension, reserve) in self.reserve_in.iter().enumerate() {
            tier = reserve.iter().fold(tier, |tier, &reserve| tier.reserve_in(dimension, reserve));
        }
        for (pool, (share, own)) in (0..).map(PoolId::new).zip(&self.reserve_in_pools) {
            tier = share.iter().fold(tier, |tier, &ppm| tier.reserve_ppm_in_pool(pool, ppm));
            for (dimension, reserve) in own.iter().enumerate() {
                tier = reserve
                    .iter()
                    .fold(tier, |tier, &reserve| tier.reserve_in_pool(pool, dimension, reserve));
            }
        }
        tier = self.borrow_limit.into_iter().fold(tier, TierConfig::borrow_limit);
        tier = self.preempt_while_borrowing.into_iter().fold(tier, TierConfig::preempt_while_borrowing);
        tier = self.preemption_budget.into_iter().fold(tier, TierConfig::preemption_budget);
        tier = self.age_after.map(ns).into_iter().fold(tier, TierConfig::age_after);
        tier = self.queue_limit.into_iter().fold(tier, TierConfig::queue_limit);
        tier = self.queue_token_limit.into_iter().fold(tier, TierConfig::queue_token_limit);
        self.queue_timeout.map(ns).into_iter().fold(tier, TierConfig::queue_timeout)
    }

    /// What it is guaranteed of `total` units of a dimension of a pool, before those above have theirs.
    pub(crate) fn want(&self, pool: usize, dimension: usize, total: i128) -> i128 {
        let share = |ppm: Ppm| {
            let exact = total * i128::from(ppm.get());
            let fraction = match self.rounding {
                Rounding::Ceil => 999_999,
                Rounding::Nearest => 500_000,
                Rounding::Floor => 0,
            };
            (exact + fraction) / 1_000_000
        };
        let (of_pool, in_pool) = self.reserve_in_pools.get(pool).copied().unwrap_or_default();
        let own = match (in_pool[dimension], of_pool) {
            (None, Some(ppm)) => Some(Reserve::Share(Ppm::new(ppm))),
            (None, None) => self.reserve_in[dimension],
            (own, _) => own,
        };
        match own {
            None => share(Ppm::new(self.reserve_ppm)),
            Some(Reserve::Share(ppm)) => share(ppm),
            Some(Reserve::Units(units)) => units.into(),
        }
    }
}

impl Setup {
    pub(crate) fn config(&self) -> Config {
        let mut builder = Config::builder()
            .dimensions((0..self.dimensions).map(|d| format!("d{d}")))
            .pools((0..self.pools).map(|pool| format!("pool{pool}")))
            .placement(self.placement)
            .affinity(self.affinity.config())
            .min_run(ns(self.min_run))
            .max_preemptions(self.max_preemptions)
            .confirm_after(ns(self.confirm_after))
            .max_bypass(self.max_bypass)
            .drain_after(ns(self.drain_after))
            .decline_backoff(ns(self.decline_backoff))
            .flap_backoff(ns(self.flaps.0))
            .flap_backoff_max(ns(self.flaps.1))
            .flap_forget_after(ns(self.flaps.2))
            .rebalance_every(ns(self.rebalance_every))
            .stop_takes(ns(self.stop_takes))
            .swap_token(ns(self.swap_token))
            .checkpoint_kib_per_token(self.checkpoint_kib_per_token)
            .max_step(ns(self.max_step))
            .displace(self.displace)
            .input_cost(self.token_costs.0 as u32)
            .cached_cost(self.token_costs.1 as u32)
            .output_cost(self.token_costs.2 as u32)
            .predict_output(self.predict_output)
            .max_tenants(self.max_tenants)
            .default_policy(self.default_policy)
            .hold_timeout(ns(self.hold_timeout));
        for (index, tier) in self.tiers.iter().enumerate() {
            builder = builder.tier(tier.config(format!("tier{index}")));
        }
        if let Some((base, prompt_token, decode)) = self.step_time {
            builder = builder.step_time(StepTime::new(ns(base), ns(prompt_token), ns(decode)));
        }
        if let Some(limit) = self.queue_limit {
            builder = builder.queue_limit(limit);
        }
        if let Some(limit) = self.queue_token_limit {
            builder = builder.queue_token_limit(limit);
        }
        if let Some(limit) = self.tenant_queue_limit {
            builder = builder.tenant_queue_limit(limit);
        }
        if let Some(limit) = self.tenant_queue_token_limit {
            builder = builder.tenant_queue_token_limit(limit);
        }
        builder.build().expect("what the generator makes is valid")
    }
}
