//! What tenants used and may use: so many of them by name, and all others as one.

use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::page::{Decimal, Kind, Page};
use crate::id::TenantId;
use crate::meter::{Refusals, TenantUsage};
use crate::metrics::Refused;
use crate::resources::MAX_DIMENSIONS;
use crate::scheduler::{Scheduler, add_refusals};
use crate::tenant::QuotaLimit;

/// The name of all that are not named. A tenant of that name is one of them.
const OTHER: &str = "other";

/// Counters of what was used.
type Counts = fn(&TenantUsage) -> Vec<(&'static str, u64)>;
const COUNTS: [(&str, &str, &str, Counts); 3] = [
    ("tidegate_tenant_requests", "end", "Requests of a tenant that ended.", |used| {
        let TenantUsage { completed, failed, cancelled, dropped, .. } = *used;
        [("completed", completed), ("failed", failed), ("cancelled", cancelled), ("dropped", dropped)].into()
    }),
    ("tidegate_tenant_tokens", "kind", "Tokens of these; lost ones were to be computed again.", |used| {
        let TenantUsage { prompt_tokens, cached_tokens, output_tokens, lost_tokens, .. } = *used;
        let kinds = [("prompt", prompt_tokens), ("cached", cached_tokens), ("output", output_tokens)];
        kinds.into_iter().chain([("lost", lost_tokens)]).collect()
    }),
    ("tidegate_tenant_preemptions", "reason", "How often requests of a tenant stopped for others.", |used| {
        [("reclaim", used.preemptions), ("out-of-memory", used.memory_preemptions)].into()
    }),
];

/// What was used under a name in a tier.
struct Row<'a> {
    tenant: &'a str,
    tier: &'a str,
    used: TenantUsage,
    refused: Refusals,
}

impl Scheduler {
    pub(super) fn write_tenants(&self, page: &mut Page<'_, impl Write>, most: usize) -> fmt::Result {
        let named = self.configured_tenants().filter(|&(_, name)| name != OTHER).take(most);
        let named: Vec<_> = named.collect();
        let rows = self.rows(&named);
        for (name, by, help, of) in COUNTS {
            let mut family = page.family(Kind::Counter, name, help)?;
            for Row { tenant, tier, used, .. } in &rows {
                for (word, count) in of(used) {
                    family.sample(&[("tenant", tenant), ("tier", tier), (by, word)], count)?;
                }
            }
        }
        let help = "Requests of a tenant that were not accepted, by why.";
        let mut family = page.family(Kind::Counter, "tidegate_tenant_refused_requests", help)?;
        for Row { tenant, tier, refused, .. } in &rows {
            for (why, &count) in Refused::ALL.into_iter().zip(refused) {
                let labels = [("tenant", *tenant), ("tier", *tier), ("reason", why.as_str())];
                family.sample(&labels, count)?;
            }
        }
        let help =
            "Units that a tenant used, times the seconds it did; borrowed is what of it its tiers borrowed.";
        let mut family = page.family(Kind::Counter, "tidegate_tenant_unit_seconds", help)?;
        for Row { tenant, tier, used, .. } in &rows {
            for (d, resource) in self.config().dimensions().enumerate().take(MAX_DIMENSIONS) {
                let borrowed = used.borrowed_unit_ns[d].min(used.unit_ns[d]);
                for (kind, unit_ns) in [("guaranteed", used.unit_ns[d] - borrowed), ("borrowed", borrowed)] {
                    let labels =
                        [("tenant", *tenant), ("tier", *tier), ("resource", resource), ("kind", kind)];
                    family.sample(&labels, Decimal::seconds(unit_ns))?;
                }
            }
        }
        self.write_quota(page, &named)
    }

    /// By tenant and tier, of what was used.
    fn rows<'a>(&'a self, named: &[(TenantId, &'a str)]) -> Vec<Row<'a>> {
        let past = |(tier, _)| (self.forgotten_usage(tier), self.forgotten_refusals(tier));
        let mut rest: Vec<(TenantUsage, Refusals)> = self.named_tiers().map(past).collect();
        let (mut named, mut rows) = (named.iter().peekable(), Vec::new());
        for (id, _) in self.tenants() {
            let name = named.next_if(|&&(other, _)| other == id).map(|&(_, name)| name);
            for ((tier, in_tier), rest) in self.named_tiers().zip(&mut rest) {
                let used = self.usage_by_tier(id, tier, self.now()).unwrap_or_default();
                let refused = self.refusals(id, tier);
                if used.submitted == 0 && used == TenantUsage::default() && refused == Refusals::default() {
                    continue;
                }
                match name {
                    Some(tenant) => rows.push(Row { tenant, tier: in_tier, used, refused }),
                    None => {
                        rest.0 = core::mem::take(&mut rest.0).plus(&used);
                        add_refusals(&mut rest.1, refused);
                    }
                }
            }
        }
        let others = self.named_tiers().zip(rest);
        rows.extend(others.map(|((_, tier), (used, refused))| Row { tenant: OTHER, tier, used, refused }));
        rows
    }

    fn write_quota(&self, page: &mut Page<'_, impl Write>, named: &[(TenantId, &str)]) -> fmt::Result {
        let help = "Requests of a tenant that wait, and of those below it.";
        let mut family = page.family(Kind::Gauge, "tidegate_tenant_waiting_requests", help)?;
        for &(id, name) in named {
            family.sample(&[("tenant", name)], self.waiting_below(id))?;
        }
        let limits = [("requests", QuotaLimit::Requests), ("tokens", QuotaLimit::Tokens)];
        let help = "What is left of a rate of a tenant; below zero, a debt.";
        let mut family = page.family(Kind::Gauge, "tidegate_quota_level", help)?;
        for &(id, name) in named {
            for (limit, of) in limits {
                let Some(level) = self.quota_level(id, of) else { continue };
                family.sample(&[("tenant", name), ("limit", limit)], level)?;
            }
        }
        let mut family =
            page.family(Kind::Gauge, "tidegate_quota_burst", "The most that can be left of it.")?;
        for &(id, name) in named {
            let policy = self.policy_of(id);
            for ((limit, _), rate) in limits.into_iter().zip([policy.requests, policy.tokens]) {
                let Some(rate) = rate else { continue };
                family.sample(&[("tenant", name), ("limit", limit)], rate.burst)?;
            }
        }
        family_of_count(page, self.tenants().count())
    }
}

fn family_of_count(page: &mut Page<'_, impl Write>, tenants: usize) -> fmt::Result {
    page.family(Kind::Gauge, "tidegate_tenants", "Tenants that are known.")?.sample(&[], tenants)
}
