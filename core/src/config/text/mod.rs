//! A config as text and back, without loss: one shape, written as TOML or as JSON. Text is only another way to
//! call the builder: what a config may say is decided there, and its faults are reported beside those of the text.

#[cfg(feature = "json")]
mod json;
mod policy;
mod reserves;
#[cfg(feature = "toml")]
mod toml;

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use policy::PolicyText;
use reserves::PoolReserveText;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{
    Affinity, Config, ConfigBuilder, DEFAULT_POOL, Fallback, Flaps, LeaseTerms, Order, Placement, Preemption,
    StepTime, TierConfig,
};
use crate::fault::{ConfigError, ConfigFault};
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::share::Rounding;

/// The file as it is written; what is absent keeps the builder's default.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigText {
    #[serde(default)]
    dimensions: Vec<String>,
    pools: Option<Vec<String>>,
    placement: Option<String>,
    prefix_blocks: Option<u32>,
    prefix_block_tokens: Option<u32>,
    prefix_worker_blocks: Option<u32>,
    prefix_learning: Option<bool>,
    prefix_load_tokens: Option<u32>,
    prefix_imbalance_ppm: Option<u32>,
    prefix_wait: Option<String>,
    min_run: Option<String>,
    max_preemptions: Option<u32>,
    confirm_after: Option<String>,
    max_bypass: Option<u32>,
    drain_after: Option<String>,
    decline_backoff: Option<String>,
    flap_backoff: Option<String>,
    flap_backoff_max: Option<String>,
    flap_forget_after: Option<String>,
    rebalance_every: Option<String>,
    step_time: Option<StepTimeText>,
    stop_takes: Option<String>,
    swap_token: Option<String>,
    checkpoint_kib_per_token: Option<u32>,
    max_step: Option<String>,
    queue_limit: Option<u64>,
    queue_token_limit: Option<u64>,
    tenant_queue_limit: Option<u64>,
    tenant_queue_token_limit: Option<u64>,
    displace: Option<bool>,
    input_cost: Option<u32>,
    cached_cost: Option<u32>,
    output_cost: Option<u32>,
    predict_output: Option<bool>,
    lease_replicas: Option<u32>,
    lease_ask_again_after: Option<String>,
    lease_fallback_after: Option<String>,
    lease_fallback: Option<String>,
    hold_timeout: Option<String>,
    max_tenants: Option<u32>,
    default_policy: Option<PolicyText>,
    #[serde(default)]
    tiers: Vec<TierText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepTimeText {
    base: String,
    prompt_token: String,
    decode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    decode_context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_context: Option<String>,
}

impl StepTimeText {
    fn of(model: StepTime) -> Self {
        Self {
            base: span_text(model.base_ns),
            prompt_token: span_text(model.prompt_token_ns),
            decode: span_text(model.decode_ns),
            decode_context: unless_zero(model.decode_context_ns),
            prompt_context: unless_zero(model.prompt_context_ns),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierText {
    name: String,
    reserve_ppm: Option<u32>,
    /// Dimensions with a share of their own, and with a number of units.
    reserve_ppm_in: Option<ByName<u32>>,
    reserve_units: Option<ByName<u64>>,
    /// Pools with something of their own.
    pools: Option<ByName<PoolReserveText>>,
    lendable_ppm: Option<u32>,
    borrow_limit: Option<ByName<u64>>,
    rounding: Option<String>,
    hold_window: Option<String>,
    preemption: Option<String>,
    preempt_while_borrowing: Option<String>,
    preemption_budget: Option<u32>,
    order: Option<String>,
    deficit_quantum: Option<u64>,
    deadline_token_weight: Option<String>,
    age_after: Option<String>,
    prefill_share_ppm: Option<u32>,
    token_objective: Option<String>,
    queue_limit: Option<u64>,
    queue_token_limit: Option<u64>,
    queue_timeout: Option<String>,
}

/// Values by the name of their dimension or pool. A name that stands twice is refused, whatever a format says of it.
#[derive(Serialize)]
#[serde(transparent)]
struct ByName<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByName<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(Names(PhantomData))
    }
}

struct Names<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Names<T> {
    type Value = ByName<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut by_name = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, T>()? {
            if by_name.contains_key(&name) {
                return Err(de::Error::custom(format!("{name:?} is named twice")));
            }
            by_name.insert(name, value);
        }
        Ok(ByName(by_name))
    }
}

const ROUNDINGS: [(&str, Rounding); 3] =
    [("ceil", Rounding::Ceil), ("nearest", Rounding::Nearest), ("floor", Rounding::Floor)];

const PLACEMENTS: [(&str, Placement); 3] = [
    ("pack", Placement::Pack),
    ("spread", Placement::Spread),
    ("prefix-affinity", Placement::PrefixAffinity),
];

const FALLBACKS: [(&str, Fallback); 3] =
    [("local-share", Fallback::LocalShare), ("deny", Fallback::Deny), ("open", Fallback::Open)];

const PREEMPTIONS: [(&str, Preemption); 3] = [
    ("lower-tier", Preemption::LowerTier),
    ("never", Preemption::Never),
    ("any-borrower", Preemption::AnyBorrower),
];

const ORDERS: [(&str, Order); 6] = [
    ("fair", Order::Fair),
    ("deficit-longest-prefix", Order::DeficitLongestPrefix),
    ("fifo", Order::Fifo),
    ("deadline", Order::Deadline),
    ("shortest-first", Order::ShortestFirst),
    ("hybrid-deadline", Order::HybridDeadline),
];

/// Units of time and their nanoseconds, the largest first.
const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

impl ConfigText {
    /// What the text says, if nothing is wrong with it.
    fn config(self) -> Result<Config, ConfigError> {
        let mut faults = Vec::new();
        let built = self.into_builder(&mut faults).build();
        match built {
            Ok(config) if faults.is_empty() => return Ok(config),
            Ok(_) => {}
            Err(error) => faults.extend(error.faults),
        }
        Err(ConfigError { faults })
    }

    fn of(config: &Config) -> Self {
        let Config {
            dimensions,
            tiers,
            pools,
            placement,
            affinity,
            min_run_ns,
            max_preemptions,
            confirm_after_ns,
            max_bypass,
            drain_after_ns,
            decline_backoff_ns,
            flaps,
            rebalance_every_ns,
            step_time,
            stop_takes_ns,
            swap_token_ns,
            checkpoint_kib_per_token,
            max_step_ns,
            queue_limit,
            queue_token_limit,
            tenant_queue_limit,
            tenant_queue_token_limit,
            displace,
            token_costs,
            predict_output,
            leases,
            max_tenants,
            default_policy: _, // PolicyText::of
            hold_timeout_ns,
        } = config;
        Self {
            dimensions: dimensions.iter().map(|name| name.to_string()).collect(),
            pools: Some(pools.iter().map(|name| name.to_string()).collect()),
            placement: Some(name_in(&PLACEMENTS, *placement)),
            min_run: Some(span_text(*min_run_ns)),
            max_preemptions: Some(*max_preemptions),
            confirm_after: Some(span_text(*confirm_after_ns)),
            max_bypass: Some(*max_bypass),
            drain_after: Some(span_text(*drain_after_ns)),
            decline_backoff: Some(span_text(*decline_backoff_ns)),
            rebalance_every: Some(span_text(*rebalance_every_ns)),
            step_time: step_time.map(StepTimeText::of),
            stop_takes: Some(span_text(*stop_takes_ns)),
            swap_token: Some(span_text(*swap_token_ns)),
            checkpoint_kib_per_token: Some(*checkpoint_kib_per_token),
            max_step: Some(span_text(*max_step_ns)),
            queue_limit: *queue_limit,
            queue_token_limit: *queue_token_limit,
            tenant_queue_limit: *tenant_queue_limit,
            tenant_queue_token_limit: *tenant_queue_token_limit,
            displace: Some(*displace),
            input_cost: Some(token_costs.input),
            cached_cost: Some(token_costs.cached),
            output_cost: Some(token_costs.output),
            predict_output: Some(*predict_output),
            lease_replicas: Some(leases.replicas),
            lease_ask_again_after: Some(span_text(leases.ask_again_after_ns)),
            lease_fallback_after: Some(span_text(leases.fallback_after_ns)),
            lease_fallback: Some(name_in(&FALLBACKS, leases.fallback)),
            hold_timeout: Some(span_text(*hold_timeout_ns)),
            max_tenants: Some(*max_tenants),
            default_policy: Some(PolicyText::of(config)),
            tiers: tiers.iter().map(|tier| TierText::of(tier, config)).collect(),
            ..Self::of_parts(affinity, flaps)
        }
    }

    /// What stands in parts of their own.
    fn of_parts(affinity: &Affinity, flaps: &Flaps) -> Self {
        Self {
            flap_backoff: Some(span_text(flaps.backoff_ns)),
            flap_backoff_max: Some(span_text(flaps.backoff_max_ns)),
            flap_forget_after: Some(span_text(flaps.forget_after_ns)),
            prefix_blocks: Some(affinity.blocks),
            prefix_block_tokens: Some(affinity.block_tokens),
            prefix_worker_blocks: affinity.worker_blocks,
            prefix_learning: Some(affinity.learns),
            prefix_load_tokens: Some(affinity.load_tokens),
            prefix_imbalance_ppm: Some(affinity.imbalance.get()),
            prefix_wait: Some(span_text(affinity.wait_ns)),
            ..Self::default()
        }
    }

    fn affinity(&self, read: &mut Reader<'_>) -> Affinity {
        let mut affinity = self.prefix_blocks.map_or_else(Affinity::default, Affinity::new);
        affinity = set(affinity, self.prefix_block_tokens, Affinity::block_tokens);
        affinity = set(affinity, self.prefix_worker_blocks, Affinity::worker_blocks);
        affinity = set(affinity, self.prefix_learning, Affinity::learns);
        affinity = set(affinity, self.prefix_load_tokens, Affinity::load_tokens);
        affinity = set(affinity, self.prefix_imbalance_ppm, Affinity::imbalance_ppm);
        set(affinity, read.span("prefix_wait", self.prefix_wait.clone()), Affinity::wait)
    }

    fn into_builder(self, faults: &mut Vec<ConfigFault>) -> ConfigBuilder {
        let mut read = Reader { prefix: String::new(), faults };
        let affinity = self.affinity(&mut read);
        let mut builder = Config::builder().affinity(affinity);
        let pools = self.pools.unwrap_or_else(|| vec![DEFAULT_POOL.to_owned()]);
        builder = builder.pools(pools.iter());
        let placement = read.choice("placement", self.placement, &PLACEMENTS);
        builder = set(builder, placement, ConfigBuilder::placement);
        builder = set(builder, read.span("min_run", self.min_run), ConfigBuilder::min_run);
        builder = set(builder, self.max_preemptions, ConfigBuilder::max_preemptions);
        builder = set(builder, read.span("confirm_after", self.confirm_after), ConfigBuilder::confirm_after);
        builder = set(builder, self.max_bypass, ConfigBuilder::max_bypass);
        builder = set(builder, read.span("drain_after", self.drain_after), ConfigBuilder::drain_after);
        let backoff = read.span("decline_backoff", self.decline_backoff);
        builder = set(builder, backoff, ConfigBuilder::decline_backoff);
        builder = set(builder, read.span("flap_backoff", self.flap_backoff), ConfigBuilder::flap_backoff);
        let most = read.span("flap_backoff_max", self.flap_backoff_max);
        builder = set(builder, most, ConfigBuilder::flap_backoff_max);
        let forgets = read.span("flap_forget_after", self.flap_forget_after);
        builder = set(builder, forgets, ConfigBuilder::flap_forget_after);
        let every = read.span("rebalance_every", self.rebalance_every);
        builder = set(builder, every, ConfigBuilder::rebalance_every);
        if let Some(text) = self.step_time {
            let mut span = |field, text| read.span(field, Some(text));
            let base = span("step_time.base", text.base);
            let prompt_token = span("step_time.prompt_token", text.prompt_token);
            let decode = span("step_time.decode", text.decode);
            let contexts = [
                text.decode_context.and_then(|text| span("step_time.decode_context", text)),
                text.prompt_context.and_then(|text| span("step_time.prompt_context", text)),
            ];
            if let (Some(base), Some(prompt_token), Some(decode)) = (base, prompt_token, decode) {
                let [in_decodes, in_prompts] = contexts.map(Option::unwrap_or_default);
                let model = StepTime::new(base, prompt_token, decode).contexts(in_decodes, in_prompts);
                builder = builder.step_time(model);
            }
        }
        builder = set(builder, read.span("stop_takes", self.stop_takes), ConfigBuilder::stop_takes);
        builder = set(builder, read.span("swap_token", self.swap_token), ConfigBuilder::swap_token);
        builder = set(builder, self.checkpoint_kib_per_token, ConfigBuilder::checkpoint_kib_per_token);
        builder = set(builder, read.span("max_step", self.max_step), ConfigBuilder::max_step);
        builder = set(builder, self.queue_limit, ConfigBuilder::queue_limit);
        builder = set(builder, self.queue_token_limit, ConfigBuilder::queue_token_limit);
        builder = set(builder, self.tenant_queue_limit, ConfigBuilder::tenant_queue_limit);
        builder = set(builder, self.tenant_queue_token_limit, ConfigBuilder::tenant_queue_token_limit);
        builder = set(builder, self.displace, ConfigBuilder::displace);
        builder = set(builder, self.input_cost, ConfigBuilder::input_cost);
        builder = set(builder, self.cached_cost, ConfigBuilder::cached_cost);
        builder = set(builder, self.output_cost, ConfigBuilder::output_cost);
        builder = set(builder, self.predict_output, ConfigBuilder::predict_output);
        let again = read.span("lease_ask_again_after", self.lease_ask_again_after);
        let after = read.span("lease_fallback_after", self.lease_fallback_after);
        let mut terms = LeaseTerms::new(self.lease_replicas.unwrap_or(1));
        terms = set(terms, again, LeaseTerms::ask_again_after);
        terms = set(terms, after, LeaseTerms::fallback_after);
        terms =
            set(terms, read.choice("lease_fallback", self.lease_fallback, &FALLBACKS), LeaseTerms::fallback);
        builder = set(builder, self.max_tenants, ConfigBuilder::max_tenants).leases(terms);
        builder = set(builder, read.span("hold_timeout", self.hold_timeout), ConfigBuilder::hold_timeout);
        if let Some(text) = self.default_policy {
            let tiers: Vec<_> = self.tiers.iter().map(|tier| tier.name.clone()).collect();
            read.prefix = "default_policy.".to_owned();
            builder = builder.default_policy(text.into_policy(&tiers, &self.dimensions, &mut read));
        }
        for (index, tier) in self.tiers.into_iter().enumerate() {
            read.prefix = format!("tiers[{index}].");
            builder = builder.tier(tier.into_tier(&self.dimensions, &pools, &mut read));
        }
        builder.dimensions(self.dimensions)
    }
}

impl TierText {
    fn of(tier: &TierConfig, config: &Config) -> Self {
        let TierConfig {
            name,
            reserve,
            reserve_in,
            reserve_in_pools: _, // reserves::in_pools
            lendable,
            borrow_limit,
            rounding,
            hold_window_ns,
            preemption,
            preempt_while_borrowing,
            preemption_budget,
            order,
            deficit_quantum,
            deadline_token_weight_ns,
            age_after_ns,
            prefill_share,
            token_objective_ns,
            queue_limit,
            queue_token_limit,
            queue_timeout_ns,
        } = tier;
        let (reserve_ppm_in, reserve_units) = reserves::in_dimensions(config, reserve_in);
        let by_name = |units: Resources| {
            let named = config.dimensions().enumerate();
            ByName(named.map(|(index, name)| (name.to_owned(), units[index])).collect())
        };
        Self {
            name: name.to_string(),
            reserve_ppm: Some(reserve.get()),
            reserve_ppm_in,
            reserve_units,
            pools: reserves::in_pools(tier, config),
            lendable_ppm: Some(lendable.get()),
            borrow_limit: borrow_limit.map(by_name),
            rounding: Some(name_in(&ROUNDINGS, *rounding)),
            hold_window: Some(span_text(*hold_window_ns)),
            preemption: Some(name_in(&PREEMPTIONS, *preemption)),
            preempt_while_borrowing: preempt_while_borrowing.map(|whom| name_in(&PREEMPTIONS, whom)),
            preemption_budget: *preemption_budget,
            order: Some(name_in(&ORDERS, *order)),
            deficit_quantum: Some(*deficit_quantum),
            deadline_token_weight: Some(span_text(*deadline_token_weight_ns)),
            age_after: age_after_ns.map(span_text),
            prefill_share_ppm: Some(prefill_share.get()),
            token_objective: token_objective_ns.map(span_text),
            queue_limit: *queue_limit,
            queue_token_limit: *queue_token_limit,
            queue_timeout: queue_timeout_ns.map(span_text),
        }
    }

    fn into_tier(self, dimensions: &[String], pools: &[String], read: &mut Reader<'_>) -> TierConfig {
        let mut tier = TierConfig::new(self.name);
        tier = set(tier, self.reserve_ppm, TierConfig::reserve_ppm);
        let own = (self.reserve_ppm_in, self.reserve_units);
        tier = read.reserves(tier, "", own, dimensions, TierConfig::reserve_in);
        tier = read.pool_reserves(tier, self.pools, pools, dimensions);
        tier = set(tier, self.lendable_ppm, TierConfig::lendable_ppm);
        let limit = self.borrow_limit.map(|by_name| read.units("borrow_limit", &by_name.0, dimensions));
        tier = set(tier, limit, |tier, units| tier.borrow_limit(units));
        tier = set(tier, read.choice("rounding", self.rounding, &ROUNDINGS), TierConfig::rounding);
        tier = set(tier, read.span("hold_window", self.hold_window), TierConfig::hold_window);
        tier = set(tier, read.choice("preemption", self.preemption, &PREEMPTIONS), TierConfig::preemption);
        let whom = read.choice("preempt_while_borrowing", self.preempt_while_borrowing, &PREEMPTIONS);
        tier = set(tier, whom, TierConfig::preempt_while_borrowing);
        tier = set(tier, self.preemption_budget, TierConfig::preemption_budget);
        tier = set(tier, read.choice("order", self.order, &ORDERS), TierConfig::order);
        tier = set(tier, self.deficit_quantum, TierConfig::deficit_quantum);
        let weight = read.span("deadline_token_weight", self.deadline_token_weight);
        tier = set(tier, weight, TierConfig::deadline_token_weight);
        tier = set(tier, read.span("age_after", self.age_after), TierConfig::age_after);
        tier = set(tier, self.prefill_share_ppm, TierConfig::prefill_share_ppm);
        tier = set(tier, read.span("token_objective", self.token_objective), TierConfig::token_objective);
        tier = set(tier, self.queue_limit, TierConfig::queue_limit);
        tier = set(tier, self.queue_token_limit, TierConfig::queue_token_limit);
        set(tier, read.span("queue_timeout", self.queue_timeout), TierConfig::queue_timeout)
    }
}

fn set<B, T>(builder: B, value: Option<T>, setter: impl FnOnce(B, T) -> B) -> B {
    match value {
        Some(value) => setter(builder, value),
        None => builder,
    }
}

/// Reads what text has no type for; a fault leaves the setting at its default, so that it is told once.
struct Reader<'a> {
    /// Where the fields stand, as `tiers[0].`
    prefix: String,
    faults: &'a mut Vec<ConfigFault>,
}

impl Reader<'_> {
    fn fault(&mut self, field: &str, message: String) {
        self.faults.push(ConfigFault { path: format!("{}{field}", self.prefix), line: None, message });
    }

    fn span(&mut self, field: &str, text: Option<String>) -> Option<Duration> {
        match parse_span(&text?) {
            Ok(nanos) => Some(Duration::from_nanos(nanos)),
            Err(message) => {
                self.fault(field, message);
                None
            }
        }
    }

    fn choice<T: Copy>(&mut self, field: &str, text: Option<String>, table: &[(&str, T)]) -> Option<T> {
        let text = text?;
        let found = table.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
            self.fault(field, format!("{text:?} is none of {}", names.join(", ")));
        }
        found
    }

    /// Units by the name of their dimension. Each has to be named: whether one left out would mean none or
    /// no limit is not for the reader to guess.
    fn units(&mut self, field: &str, by_name: &BTreeMap<String, u64>, dimensions: &[String]) -> Resources {
        let mut units = Resources::ZERO;
        for (index, name) in dimensions.iter().enumerate().take(MAX_DIMENSIONS) {
            if let Some(&number) = by_name.get(name) {
                units[index] = number;
            } else {
                self.fault(&format!("{field}.{name}"), "is missing; every dimension is named".to_string());
            }
        }
        for name in by_name.keys().filter(|name| !dimensions.contains(name)) {
            self.fault(&format!("{field}.{name}"), "there is no such dimension".to_string());
        }
        units
    }
}

fn name_in<T: Copy + PartialEq>(table: &[(&str, T)], value: T) -> String {
    let (name, _) = table.iter().find(|(_, other)| *other == value).expect("the table names every value");
    (*name).to_owned()
}

/// What is left out where it says nothing.
fn unless_zero(nanos: u64) -> Option<String> {
    (nanos > 0).then(|| span_text(nanos))
}

/// A span in the largest unit that leaves no fraction.
fn span_text(nanos: u64) -> String {
    let (unit, factor) =
        UNITS.iter().find(|(_, factor)| nanos.is_multiple_of(*factor)).expect("all are whole nanoseconds");
    format!("{}{unit}", nanos / factor)
}

fn parse_span(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    let unit = UNITS.iter().find(|(unit, _)| *unit == suffix);
    let (Some((_, factor)), true) = (unit, digits > 0) else {
        return Err(format!("{text:?} is no duration: a whole number and one of s, ms, us, ns"));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*factor))
        .ok_or_else(|| format!("{text:?} is longer than 2^64 ns, 584 years"))
}
