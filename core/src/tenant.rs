//! What a host says of a tenant: where it stands in the tree, its weight, its limits, and what happens beyond
//! them. The rules are `docs/QUOTA.md`.

use alloc::format;
use core::cmp::Ordering;
use core::fmt;
use core::time::Duration;

use crate::fault::{ConfigError, Faults};
use crate::id::{TenantId, Tier};
use crate::resources::Resources;
use crate::time::nanos;

/// How many levels the tree of tenants may have: organisation, team and key are three.
pub const MAX_TENANT_DEPTH: usize = 8;

/// The largest burst of a [`Rate`]: a level that may be overdrawn as far as this fits a signed 64-bit word.
pub const MAX_BURST: u64 = 1 << 62;

/// The largest amount and the largest burst of a rate that is leased, and the most tokens of one wish: what the
/// script of the store counts without rounding.
pub const MAX_LEASED_TOKENS: u64 = 1 << 40;

/// The longest period of a rate that is leased, in nanoseconds: 52 days, what the script of the store counts without
/// rounding.
pub const MAX_LEASED_PERIOD_NS: u64 = 1 << 52;

/// How much of something comes in a period, and how much of it can be saved up.
///
/// ```
/// # use tidegate::Rate;
/// let rate = Rate::per_minute(7_000_000).burst(500_000);
/// assert_eq!(rate.period_ns, 60_000_000_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
pub struct Rate {
    /// What comes in a period, evenly; 0 for nothing ever.
    pub amount: u64,
    /// The period in nanoseconds, at least 1.
    pub period_ns: u64,
    /// The most that is saved up, at most [`MAX_BURST`].
    pub burst: u64,
}

impl Rate {
    /// `amount` in each `period`, of which one period's worth is saved up.
    pub fn per(amount: u64, period: Duration) -> Self {
        Self { amount, period_ns: nanos(period), burst: amount }
    }

    /// `amount` a second, of which one second's worth is saved up.
    pub fn per_second(amount: u64) -> Self {
        Self::per(amount, Duration::from_secs(1))
    }

    /// `amount` a minute, of which one minute's worth is saved up.
    pub fn per_minute(amount: u64) -> Self {
        Self::per(amount, Duration::from_secs(60))
    }

    /// `amount` an hour, of which one hour's worth is saved up.
    pub fn per_hour(amount: u64) -> Self {
        Self::per(amount, Duration::from_secs(3_600))
    }

    /// Sets the most that is saved up.
    pub const fn burst(mut self, burst: u64) -> Self {
        self.burst = burst;
        self
    }
}

/// What becomes of a request whose tenant is over its quota when it is submitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum OverQuota {
    /// It waits until there is quota.
    #[default]
    Wait = 0,
    /// It is refused, and told when to come again.
    Reject = 1,
    /// It goes to the next less urgent tier, and waits there for quota, which is the tenant's and not the tier's.
    Demote = 2,
}

/// One of the limits of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum QuotaLimit {
    /// Requests started per period: [`TenantPolicy::requests`].
    Requests = 1,
    /// Tokens per period: [`TenantPolicy::tokens`].
    Tokens = 2,
    /// Requests that run at once: [`TenantPolicy::max_running`].
    Running = 3,
    /// Units that are in use at once: [`TenantPolicy::max_in_use`].
    Units = 4,
}

impl fmt::Display for QuotaLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests per period",
            Self::Tokens => "tokens per period",
            Self::Running => "requests that run at once",
            Self::Units => "units in use at once",
        })
    }
}

/// What a tenant may do; its limits hold for all that is below it in the tree together.
///
/// ```
/// # use tidegate::{OverQuota, Rate, TenantId, TenantPolicy};
/// # let team = TenantId::new(0);
/// TenantPolicy::new()
///     .parent(team)
///     .tokens(Rate::per_minute(7_000_000).burst(500_000))
///     .max_running(64)
///     .over_quota(OverQuota::Reject);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
pub struct TenantPolicy {
    /// The tenant above it, whose limits hold for it too.
    pub parent: Option<TenantId>,
    /// Its part among the tenants of a tier, in proportion to the weights of the others; 0 is served when nobody
    /// else wants.
    pub weight: u32,
    /// The most urgent tier that it may use.
    pub most_urgent: Tier,
    /// Requests that may start per period.
    pub requests: Option<Rate>,
    /// Tokens that may be used per period.
    pub tokens: Option<Rate>,
    /// Whether what comes in a period is shared with other replicas: it begins with nothing, and gets what their
    /// common store grants.
    pub leased: bool,
    /// Requests that may run at once.
    pub max_running: Option<u64>,
    /// Units that may be in use at once, in the order of the config's dimensions; no limit where it is 0.
    pub max_in_use: Resources,
    /// Requests that may wait.
    pub queue_limit: Option<u64>,
    /// Prompt and expected output tokens of the requests that may wait.
    pub queue_token_limit: Option<u64>,
    /// What becomes of a request that is over one of the limits when it is submitted.
    pub over_quota: OverQuota,
    /// Whether a request that needs more than a whole burst may start when the burst is full, and leave a debt;
    /// without, it is refused for ever.
    pub allow_when_full: bool,
}

impl PartialOrd for TenantPolicy {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Any order, so that equal ones find each other in a tree: vectors of units have none of their own.
impl Ord for TenantPolicy {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |policy: &Self| {
            let Self {
                parent,
                weight,
                most_urgent,
                requests,
                tokens,
                leased,
                max_running,
                ref max_in_use,
                queue_limit,
                queue_token_limit,
                over_quota,
                allow_when_full,
            } = *policy;
            let rates = (requests, tokens, leased);
            let queues = (queue_limit, queue_token_limit, over_quota);
            (parent, weight, most_urgent, rates, max_running, *max_in_use.as_array(), queues, allow_when_full)
        };
        key(self).cmp(&key(other))
    }
}

impl Default for TenantPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl TenantPolicy {
    /// A tenant at the top of the tree, of weight 1, with no limits.
    pub const fn new() -> Self {
        Self {
            parent: None,
            weight: 1,
            most_urgent: Tier::P0,
            requests: None,
            tokens: None,
            leased: false,
            max_running: None,
            max_in_use: Resources::ZERO,
            queue_limit: None,
            queue_token_limit: None,
            over_quota: OverQuota::Wait,
            allow_when_full: false,
        }
    }

    /// Puts it below another tenant.
    pub const fn parent(mut self, tenant: TenantId) -> Self {
        self.parent = Some(tenant);
        self
    }

    /// Sets its part among the tenants of a tier. Default: 1.
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the most urgent tier that it may use. Default: the first.
    pub const fn most_urgent(mut self, tier: Tier) -> Self {
        self.most_urgent = tier;
        self
    }

    /// Limits the requests that start per period.
    pub const fn requests(mut self, rate: Rate) -> Self {
        self.requests = Some(rate);
        self
    }

    /// Limits the tokens used per period.
    pub const fn tokens(mut self, rate: Rate) -> Self {
        self.tokens = Some(rate);
        self
    }

    /// Shares its rates with other replicas. Default: it has them for itself.
    pub const fn leased(mut self, leased: bool) -> Self {
        self.leased = leased;
        self
    }

    /// Limits the requests that run at once.
    pub const fn max_running(mut self, requests: u64) -> Self {
        self.max_running = Some(requests);
        self
    }

    /// Limits the units in use at once, in the order of the config's dimensions; 0 is no limit.
    pub fn max_in_use(mut self, units: impl Into<Resources>) -> Self {
        self.max_in_use = units.into();
        self
    }

    /// Limits the requests that wait.
    pub const fn queue_limit(mut self, requests: u64) -> Self {
        self.queue_limit = Some(requests);
        self
    }

    /// Limits the prompt and expected output tokens of the requests that wait.
    pub const fn queue_token_limit(mut self, tokens: u64) -> Self {
        self.queue_token_limit = Some(tokens);
        self
    }

    /// Whether it limits what may wait.
    pub(crate) const fn limits_queue(&self) -> bool {
        self.queue_limit.is_some() || self.queue_token_limit.is_some()
    }

    /// Says what becomes of a request that is over a limit when it is submitted. Default: it waits.
    pub const fn over_quota(mut self, action: OverQuota) -> Self {
        self.over_quota = action;
        self
    }

    /// Lets a request that needs more than a whole burst start when the burst is full. Default: it never starts.
    pub const fn allow_when_full(mut self, allow: bool) -> Self {
        self.allow_when_full = allow;
        self
    }

    /// Looks for what cannot be, in a config of that many tiers and dimensions; every fault is found. Whether the
    /// parent is there, and the depth of the tree, is for who has the tree.
    pub(crate) fn validate(&self, tiers: usize, dimensions: usize) -> Result<(), ConfigError> {
        let mut faults = Faults::default();
        if self.most_urgent.index() >= tiers {
            faults.add("most_urgent", format!("{} is not one of the {tiers} tiers", self.most_urgent));
        }
        faults.rate("requests", self.requests, self.leased);
        faults.rate("tokens", self.tokens, self.leased);
        if self.leased && self.requests.is_none() && self.tokens.is_none() {
            faults.add("leased", "there is no rate to share");
        }
        faults.units("max_in_use", &self.max_in_use, dimensions);
        faults.verdict()
    }
}

impl Faults {
    fn rate(&mut self, path: &str, rate: Option<Rate>, leased: bool) {
        let Some(rate) = rate else { return };
        if rate.period_ns == 0 {
            self.add(&format!("{path}.period"), "must be longer than zero");
        }
        let most = |own, leased_most| if leased { leased_most } else { own };
        self.at_most(&format!("{path}.amount"), rate.amount, most(u64::MAX, MAX_LEASED_TOKENS));
        self.at_most(&format!("{path}.period"), rate.period_ns, most(u64::MAX, MAX_LEASED_PERIOD_NS));
        self.at_most(&format!("{path}.burst"), rate.burst, most(MAX_BURST, MAX_LEASED_TOKENS));
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;
    use crate::resources::MAX_UNITS;

    #[test]
    fn every_fault_is_found_at_once() {
        let bad = Rate { amount: u64::MAX, period_ns: 0, burst: MAX_BURST + 1 };
        let policy = TenantPolicy::new()
            .most_urgent(Tier::new(3))
            .requests(Rate::per_second(5).burst(u64::MAX))
            .tokens(bad)
            .max_in_use([MAX_UNITS + 1, 0, 7]);
        let faults = policy.validate(3, 2).unwrap_err().faults;
        let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
        let expected = [
            "most_urgent",
            "requests.burst",
            "tokens.period",
            "tokens.burst",
            "max_in_use[0]",
            "max_in_use[2]",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn the_largest_numbers_are_a_policy() {
        let rate = Rate { amount: u64::MAX, period_ns: u64::MAX, burst: MAX_BURST };
        let policy = TenantPolicy::new()
            .weight(u32::MAX)
            .requests(rate)
            .tokens(rate)
            .max_running(u64::MAX)
            .max_in_use([MAX_UNITS; 4])
            .queue_limit(u64::MAX)
            .queue_token_limit(u64::MAX);
        assert_eq!(policy.validate(1, 4), Ok(()));
        let leased =
            Rate { amount: MAX_LEASED_TOKENS, period_ns: MAX_LEASED_PERIOD_NS, burst: MAX_LEASED_TOKENS };
        assert_eq!(TenantPolicy::new().tokens(leased).leased(true).validate(1, 1), Ok(()));
        let nothing = TenantPolicy::new().weight(0).tokens(Rate::per_hour(0)).max_running(0);
        assert_eq!(nothing.validate(1, 1), Ok(()));
    }

    #[test]
    fn what_is_shared_is_what_the_store_can_count() {
        let beyond = Rate {
            amount: MAX_LEASED_TOKENS + 1,
            period_ns: MAX_LEASED_PERIOD_NS + 1,
            burst: MAX_LEASED_TOKENS + 1,
        };
        let faults = TenantPolicy::new().tokens(beyond).leased(true).validate(1, 1).unwrap_err().faults;
        let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["tokens.amount", "tokens.period", "tokens.burst"]);
    }

    #[test]
    fn what_is_shared_has_a_rate() {
        let error = TenantPolicy::new().leased(true).validate(1, 1).unwrap_err();
        assert_eq!(error.to_string(), "leased: there is no rate to share");
    }
}
