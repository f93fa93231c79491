//! The default policy as text: tiers and dimensions by their names.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::{ByName, Reader, name_in, set, span_text};
use crate::config::Config;
use crate::id::Tier;
use crate::resources::{MAX_DIMENSIONS, Resources};
use crate::tenant::{OverQuota, Rate, TenantPolicy};
use crate::time::nanos;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyText {
    weight: Option<u32>,
    most_urgent: Option<String>,
    requests: Option<RateText>,
    tokens: Option<RateText>,
    leased: Option<bool>,
    max_running: Option<u64>,
    max_in_use: Option<ByName<u64>>,
    queue_limit: Option<u64>,
    queue_token_limit: Option<u64>,
    over_quota: Option<String>,
    allow_when_full: Option<bool>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateText {
    amount: u64,
    period: String,
    /// Absent: one period's worth.
    burst: Option<u64>,
}

const OVER_QUOTAS: [(&str, OverQuota); 3] =
    [("wait", OverQuota::Wait), ("reject", OverQuota::Reject), ("demote", OverQuota::Demote)];

impl PolicyText {
    pub(super) fn of(config: &Config) -> Self {
        let TenantPolicy {
            parent: _, // there is none in a config
            weight,
            most_urgent,
            requests,
            tokens,
            leased,
            max_running,
            max_in_use,
            queue_limit,
            queue_token_limit,
            over_quota,
            allow_when_full,
        } = config.default_policy;
        let limits = config.dimensions().map(str::to_owned).zip(max_in_use.as_array().iter().copied());
        let limits: BTreeMap<_, _> = limits.filter(|&(_, units)| units > 0).collect();
        Self {
            weight: Some(weight),
            most_urgent: Some(config.tiers[most_urgent.index()].name.to_string()),
            requests: requests.map(RateText::of),
            tokens: tokens.map(RateText::of),
            leased: Some(leased),
            max_running,
            max_in_use: Some(limits).filter(|limits| !limits.is_empty()).map(ByName),
            queue_limit,
            queue_token_limit,
            over_quota: Some(name_in(&OVER_QUOTAS, over_quota)),
            allow_when_full: Some(allow_when_full),
        }
    }

    pub(super) fn into_policy(
        self,
        tiers: &[String],
        dimensions: &[String],
        read: &mut Reader<'_>,
    ) -> TenantPolicy {
        let mut policy = TenantPolicy::new();
        policy = set(policy, self.weight, TenantPolicy::weight);
        let tier = self.most_urgent.and_then(|name| read.tier("most_urgent", &name, tiers));
        policy = set(policy, tier, TenantPolicy::most_urgent);
        policy.requests = self.requests.map(|rate| rate.into_rate("requests", read));
        policy.tokens = self.tokens.map(|rate| rate.into_rate("tokens", read));
        policy = set(policy, self.leased, TenantPolicy::leased);
        policy.max_running = self.max_running;
        let limits = self.max_in_use.map(|by_name| read.limits("max_in_use", &by_name.0, dimensions));
        policy = set(policy, limits, |policy, units| policy.max_in_use(units));
        policy.queue_limit = self.queue_limit;
        policy.queue_token_limit = self.queue_token_limit;
        policy =
            set(policy, read.choice("over_quota", self.over_quota, &OVER_QUOTAS), TenantPolicy::over_quota);
        set(policy, self.allow_when_full, TenantPolicy::allow_when_full)
    }
}

impl RateText {
    fn of(rate: Rate) -> Self {
        let Rate { amount, period_ns, burst } = rate;
        Self { amount, period: span_text(period_ns), burst: Some(burst) }
    }

    fn into_rate(self, field: &str, read: &mut Reader<'_>) -> Rate {
        // A period that is none is told once: any other stands for it.
        let period_ns = read.span(&format!("{field}.period"), Some(self.period)).map_or(1, nanos);
        Rate { amount: self.amount, period_ns, burst: self.burst.unwrap_or(self.amount) }
    }
}

impl Reader<'_> {
    fn tier(&mut self, field: &str, name: &str, tiers: &[String]) -> Option<Tier> {
        let found = tiers.iter().position(|tier| tier == name).and_then(|index| u8::try_from(index).ok());
        if found.is_none() {
            self.fault(field, format!("there is no tier {name:?}"));
        }
        found.map(Tier::new)
    }

    /// Units by the name of their dimension; no limit in one that is not named.
    fn limits(&mut self, field: &str, by_name: &BTreeMap<String, u64>, dimensions: &[String]) -> Resources {
        let mut limits = Resources::ZERO;
        for (name, &units) in by_name {
            match dimensions.iter().take(MAX_DIMENSIONS).position(|dimension| dimension == name) {
                Some(index) => limits[index] = units,
                None => self.fault(&format!("{field}.{name}"), "there is no such dimension".to_string()),
            }
        }
        limits
    }
}
