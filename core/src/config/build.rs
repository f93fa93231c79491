//! The builder, and what it finds wrong.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use super::{
    Affinity, Config, DEFAULT_POOL, Flaps, LeaseTerms, MAX_NAME_BYTES, MAX_POOLS, MAX_TIERS, MAX_TOKEN_COST,
    Placement, Preemption, StepTime, TierConfig, TokenCosts,
};
use crate::fault::{ConfigError, Faults};
use crate::id::PoolId;
use crate::resources::{MAX_DIMENSIONS, MAX_UNITS};
use crate::share::{Ppm, Reserve};
use crate::tenant::TenantPolicy;
use crate::time::nanos;

/// Collects a config; [`build`](Self::build) validates it.
#[derive(Clone, Debug)]
#[must_use]
pub struct ConfigBuilder {
    config: Config,
}

impl Default for ConfigBuilder {
    fn default() -> Self {
        Self {
            config: Config {
                dimensions: Vec::new(),
                tiers: Vec::new(),
                pools: vec![DEFAULT_POOL.into()],
                placement: Placement::Pack,
                affinity: Affinity::default(),
                min_run_ns: nanos(Duration::from_secs(1)),
                max_preemptions: 3,
                confirm_after_ns: nanos(Duration::from_secs(1)),
                max_bypass: 16,
                drain_after_ns: nanos(Duration::from_secs(2)),
                decline_backoff_ns: nanos(Duration::from_secs(1)),
                flaps: Flaps::default(),
                rebalance_every_ns: 0,
                step_time: None,
                stop_takes_ns: 0,
                swap_token_ns: 0,
                checkpoint_kib_per_token: 0,
                max_step_ns: nanos(Duration::from_secs(60)),
                queue_limit: None,
                queue_token_limit: None,
                tenant_queue_limit: None,
                tenant_queue_token_limit: None,
                displace: false,
                token_costs: TokenCosts { input: 1, cached: 0, output: 2 },
                predict_output: false,
                leases: LeaseTerms::new(1),
                max_tenants: 1 << 20,
                default_policy: TenantPolicy::new(),
                hold_timeout_ns: nanos(Duration::from_secs(600)),
            },
        }
    }
}

fn names<S: Into<String>>(list: impl IntoIterator<Item = S>) -> Vec<Box<str>> {
    list.into_iter().map(|name| name.into().into_boxed_str()).collect()
}

impl ConfigBuilder {
    /// Names the dimensions of resources, one to four.
    pub fn dimensions<S: Into<String>>(mut self, list: impl IntoIterator<Item = S>) -> Self {
        self.config.dimensions = names(list);
        self
    }

    /// Adds a tier, less urgent than those before it.
    pub fn tier(mut self, tier: TierConfig) -> Self {
        self.config.tiers.push(tier);
        self
    }

    /// Names the pools. Default: one, `default`.
    pub fn pools<S: Into<String>>(mut self, list: impl IntoIterator<Item = S>) -> Self {
        self.config.pools = names(list);
        self
    }

    /// Which of the workers that fit gets a request. Default: `Pack`.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.config.placement = placement;
        self
    }

    /// What `PrefixAffinity` knows of caches, and makes of it. Default: that of [`Affinity`].
    pub fn affinity(mut self, affinity: Affinity) -> Self {
        self.config.affinity = affinity;
        self
    }

    /// Spares a request from preemption until it has run this long. Default: 1 s.
    pub fn min_run(mut self, span: Duration) -> Self {
        self.config.min_run_ns = nanos(span);
        self
    }

    /// Spares a request that was preempted this often. Default: 3.
    pub fn max_preemptions(mut self, times: u32) -> Self {
        self.config.max_preemptions = times;
        self
    }

    /// Expects a victim to be reported stopped within this time. Default: 1 s.
    pub fn confirm_after(mut self, span: Duration) -> Self {
        self.config.confirm_after_ns = nanos(span);
        self
    }

    /// Lets this many borrowed starts pass a head that does not fit, before a worker is drained for it.
    /// Default: 16. With 0 a worker is drained for the head at once; requests behind it may still start on the
    /// others.
    pub fn max_bypass(mut self, starts: u32) -> Self {
        self.config.max_bypass = starts;
        self
    }

    /// Drains a worker for a head that did not fit for this long. Default: 2 s.
    pub fn drain_after(mut self, span: Duration) -> Self {
        self.config.drain_after_ns = nanos(span);
        self
    }

    /// Keeps a request off a worker that declined it for this long. Default: 1 s.
    pub fn decline_backoff(mut self, span: Duration) -> Self {
        self.config.decline_backoff_ns = nanos(span);
        self
    }

    /// Keeps a worker out that replaces one which was lost twice in a row: so long from the loss, twice as long after each
    /// further one. Zero is never. Default: 10 s, as Kubernetes does with containers.
    pub fn flap_backoff(mut self, span: Duration) -> Self {
        self.config.flaps.backoff_ns = nanos(span);
        self
    }

    /// Keeps nobody out for longer than that after a loss. Default: 300 s.
    pub fn flap_backoff_max(mut self, span: Duration) -> Self {
        self.config.flaps.backoff_max_ns = nanos(span);
        self
    }

    /// Counts a loss as the first again after a worker served so long. Default: 600 s.
    pub fn flap_forget_after(mut self, span: Duration) -> Self {
        self.config.flaps.forget_after_ns = nanos(span);
        self
    }

    /// Looks so often whether a request had better go on elsewhere, where a worker is saturated, another idle, and nobody
    /// waits; one request of a pool moves at a time, and only one that can be checkpointed. Zero is never. Default: never.
    pub fn rebalance_every(mut self, span: Duration) -> Self {
        self.config.rebalance_every_ns = nanos(span);
        self
    }

    /// How long an engine's steps take: what recomputing costs, when a request will be done, how much fits into
    /// a step. Default: unknown; recomputing costs 1 ns a token, and nobody is known to be done soon.
    pub fn step_time(mut self, model: StepTime) -> Self {
        self.config.step_time = Some(model);
        self
    }

    /// How long an engine takes to stop a request: one that would be done sooner is no victim. Default: 0.
    pub fn stop_takes(mut self, span: Duration) -> Self {
        self.config.stop_takes_ns = nanos(span);
        self
    }

    /// What keeping and restoring one token of context costs a victim that can checkpoint; it restarts where
    /// recomputing is cheaper. Default: 0.
    pub fn swap_token(mut self, span: Duration) -> Self {
        self.config.swap_token_ns = nanos(span);
        self
    }

    /// What one token of a checkpoint takes of its device's `checkpoint_mib`, in KiB. Default: 0.
    pub fn checkpoint_kib_per_token(mut self, kib: u32) -> Self {
        self.config.checkpoint_kib_per_token = kib;
        self
    }

    /// Handles in one poll what falls due within this time of the first that is due. Default: 60 s.
    pub fn max_step(mut self, span: Duration) -> Self {
        self.config.max_step_ns = nanos(span);
        self
    }

    /// Lets at most this many requests wait. Default: no limit.
    pub fn queue_limit(mut self, requests: u64) -> Self {
        self.config.queue_limit = Some(requests);
        self
    }

    /// Lets requests with at most this many prompt and expected output tokens together wait. Default: no limit.
    pub fn queue_token_limit(mut self, tokens: u64) -> Self {
        self.config.queue_token_limit = Some(tokens);
        self
    }

    /// Lets at most this many requests of one tenant wait. Default: no limit.
    pub fn tenant_queue_limit(mut self, requests: u64) -> Self {
        self.config.tenant_queue_limit = Some(requests);
        self
    }

    /// Lets requests of one tenant wait with at most this many prompt and expected output tokens together.
    /// Default: no limit.
    pub fn tenant_queue_token_limit(mut self, tokens: u64) -> Self {
        self.config.tenant_queue_token_limit = Some(tokens);
        self
    }

    /// At the total limit, drops the newest waiting request of the least urgent tier below the newcomer's
    /// that has never run, instead of refusing the newcomer. Default: refuses.
    pub fn displace(mut self, displace: bool) -> Self {
        self.config.displace = displace;
        self
    }

    /// What a prompt token costs a tenant where tenants share a tier fairly. Default: 1 (VTC's, as the others).
    pub fn input_cost(mut self, cost: u32) -> Self {
        self.config.token_costs.input = cost;
        self
    }

    /// What a prompt token costs that was found in a cache. Default: 0.
    pub fn cached_cost(mut self, cost: u32) -> Self {
        self.config.token_costs.cached = cost;
        self
    }

    /// What an output token costs. Default: 2.
    pub fn output_cost(mut self, cost: u32) -> Self {
        self.config.token_costs.output = cost;
        self
    }

    /// Expects of a request the mean of its tenant's outputs in its tier and pool, once there is one, whatever it says
    /// itself. What is charged for it at the start follows; the truth is settled either way. Default: not.
    pub fn predict_output(mut self, predict: bool) -> Self {
        self.config.predict_output = predict;
        self
    }

    /// How leased limits are asked for, and what is done while their store is silent. Default: for one replica, with the
    /// defaults of [`LeaseTerms`].
    pub fn leases(mut self, terms: LeaseTerms) -> Self {
        self.config.leases = terms;
        self
    }

    /// Knows at most this many tenants; when there is one more, one that nobody configured and that owes nothing is
    /// forgotten, if there is one. Default: 2^20.
    pub fn max_tenants(mut self, tenants: u32) -> Self {
        self.config.max_tenants = tenants;
        self
    }

    /// What a tenant may do until `tenant_configure` says otherwise; it stands below no other. Default: weight 1 and
    /// no limits.
    pub fn default_policy(mut self, policy: TenantPolicy) -> Self {
        self.config.default_policy = policy;
        self
    }

    /// Lets go what a request holds of its tenant's quota and has not used, when nobody told of it for this long after it
    /// was started, or since it waits again. Default: 600 s, chosen arbitrarily.
    pub fn hold_timeout(mut self, span: Duration) -> Self {
        self.config.hold_timeout_ns = nanos(span);
        self
    }

    /// Validates.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault found.
    pub fn build(self) -> Result<Config, ConfigError> {
        let mut faults = Faults::default();
        let config = &self.config;
        faults.names("dimensions", &config.dimensions, MAX_DIMENSIONS);
        faults.names("pools", &config.pools, MAX_POOLS);
        let tier_names: Vec<_> = config.tiers.iter().map(|tier| tier.name.clone()).collect();
        faults.names("tiers", &tier_names, MAX_TIERS);
        for (index, tier) in config.tiers.iter().enumerate() {
            faults.tier(index, tier, config.dimensions.len());
            faults.pool_reserves(index, tier, config);
        }
        faults.shares(config);
        for (path, span) in [
            ("confirm_after", config.confirm_after_ns),
            ("drain_after", config.drain_after_ns),
            ("max_step", config.max_step_ns),
            ("lease_ask_again_after", config.leases.ask_again_after_ns),
            ("lease_fallback_after", config.leases.fallback_after_ns),
            ("hold_timeout", config.hold_timeout_ns),
        ] {
            if span == 0 {
                faults.add(path, "must be longer than zero");
            }
        }
        let costs = config.token_costs;
        for (path, cost) in
            [("input_cost", costs.input), ("cached_cost", costs.cached), ("output_cost", costs.output)]
        {
            if cost > MAX_TOKEN_COST {
                faults.add(path, format!("{cost} is above {MAX_TOKEN_COST}"));
            }
        }
        for (path, number) in
            [("lease_replicas", config.leases.replicas), ("max_tenants", config.max_tenants)]
        {
            if number == 0 {
                faults.add(path, "must be at least 1");
            }
        }
        config.affinity.check(&mut faults);
        faults.default_policy(config);
        faults.verdict().map(|()| self.config)
    }
}

impl Faults {
    fn names(&mut self, path: &str, names: &[Box<str>], max: usize) {
        if names.is_empty() || names.len() > max {
            self.add(path, format!("{} given, from 1 to {max} allowed", names.len()));
            return;
        }
        for (index, name) in names.iter().enumerate() {
            let field = format!("{path}[{index}]");
            if !is_name(name) {
                self.add(
                    &field,
                    format!("{name:?} is no name: 1 to {MAX_NAME_BYTES} bytes, no control characters"),
                );
            }
            if names[..index].contains(name) {
                self.add(&field, format!("{name:?} is named twice"));
            }
        }
    }

    /// What the tiers are guaranteed together: told once for all dimensions if the tiers' own shares are too much, and of
    /// a pool only where one of them has something of its own there.
    fn shares(&mut self, config: &Config) {
        if let Some(message) = too_much(config, |tier| Reserve::Share(tier.reserve)) {
            return self.add("tiers.reserve_ppm", message);
        }
        let dimensions = || config.dimensions.iter().enumerate().take(MAX_DIMENSIONS);
        let of_all = |tier: &TierConfig, dimension: usize| {
            tier.reserve_in[dimension].unwrap_or(Reserve::Share(tier.reserve))
        };
        for (dimension, name) in dimensions() {
            if let Some(message) = too_much(config, |tier| of_all(tier, dimension)) {
                self.add("tiers.reserve_ppm", format!("in {name}: {message}"));
            }
        }
        for (pool, pool_name) in (0..).map(PoolId::new).zip(&config.pools) {
            let has_own = |tier: &TierConfig| tier.reserve_in_pools.iter().any(|&(other, _)| other == pool);
            if !config.tiers.iter().any(has_own) {
                continue;
            }
            for (dimension, name) in dimensions() {
                if let Some(message) = too_much(config, |tier| tier.reserve_of(pool, dimension)) {
                    let field = format!("tiers.pools.{pool_name}.reserve_ppm");
                    self.add(&field, format!("in {name}: {message}"));
                }
            }
        }
    }

    fn default_policy(&mut self, config: &Config) {
        let policy = &config.default_policy;
        if policy.parent.is_some() {
            self.add("default_policy.parent", "no tenant is known yet");
        }
        // That there is no tier at all is told already.
        let tiers = config.tiers.len().max(1);
        let Err(error) = policy.validate(tiers, config.dimensions.len()) else { return };
        for fault in error.faults {
            self.add(&format!("default_policy.{}", fault.path), fault.message);
        }
    }

    fn share(&mut self, field: &str, share: Ppm) {
        if share > Ppm::ONE {
            self.add(field, format!("{} is above 1000000 (100 %)", share.get()));
        }
    }

    /// What dimensions have of their own.
    fn reserves(&mut self, path: &str, reserves: &[Option<Reserve>; MAX_DIMENSIONS], dimensions: usize) {
        for (dimension, reserve) in reserves.iter().enumerate() {
            let field = format!("{path}[{dimension}]");
            match *reserve {
                Some(_) if dimension >= dimensions => {
                    self.add(&field, "there is no such dimension");
                }
                Some(Reserve::Share(share)) => self.share(&field, share),
                Some(Reserve::Units(units)) => self.at_most(&field, units, MAX_UNITS),
                None => {}
            }
        }
    }

    /// What pools have of their own.
    fn pool_reserves(&mut self, index: usize, tier: &TierConfig, config: &Config) {
        for (pool, own) in &tier.reserve_in_pools {
            let Some(name) = config.pools.get(pool.index()) else {
                let field = format!("tiers[{index}].pools[{}]", pool.get());
                self.add(&field, "there is no such pool");
                continue;
            };
            let path = format!("tiers[{index}].pools.{name}");
            self.share(&format!("{path}.reserve_ppm"), own.share.unwrap_or_default());
            self.reserves(&format!("{path}.reserve_in"), &own.dimensions, config.dimensions.len());
        }
    }

    fn tier(&mut self, index: usize, tier: &TierConfig, dimensions: usize) {
        for (field, share) in [
            ("reserve_ppm", tier.reserve),
            ("lendable_ppm", tier.lendable),
            ("prefill_share_ppm", tier.prefill_share),
        ] {
            self.share(&format!("tiers[{index}].{field}"), share);
        }
        self.reserves(&format!("tiers[{index}].reserve_in"), &tier.reserve_in, dimensions);
        if tier.preempt_while_borrowing == Some(Preemption::AnyBorrower) {
            self.add(
                &format!("tiers[{index}].preempt_while_borrowing"),
                "only a tier within its reserve may take from any borrower",
            );
        }
        if tier.deficit_quantum == 0 {
            self.add(&format!("tiers[{index}].deficit_quantum"), "must be at least 1");
        }
        if tier.preemption_budget.is_some_and(|budget| !(1..=1_000_000_000).contains(&budget)) {
            self.add(&format!("tiers[{index}].preemption_budget"), "must be from 1 to 10^9");
        }
        if let Some(limit) = &tier.borrow_limit {
            self.units(&format!("tiers[{index}].borrow_limit"), limit, dimensions);
        }
    }
}

/// What is wrong with what the tiers are guaranteed together, if something is.
fn too_much(config: &Config, reserve: impl Fn(&TierConfig) -> Reserve) -> Option<String> {
    let share = |tier: &TierConfig| match reserve(tier) {
        Reserve::Share(share) => u64::from(share.get()),
        Reserve::Units(_) => 0,
    };
    let sum: u64 = config.tiers.iter().map(share).sum();
    (sum > u64::from(Ppm::ONE.get())).then(|| format!("the shares sum to {sum} ppm, above 1000000 (100 %)"))
}

/// Whether this can be the name of a thing: so that it stands on one line of a journal or a report.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control)
}
