//! Random policies of tenants, most with limits so tight that they bind all the time.

use tidegate::{OverQuota, Rate, Resources, TenantId, TenantPolicy, Tier};

use super::Setup;
use super::worlds::Bytes;

fn rate(bytes: &mut Bytes<'_>, bursts: &[u64]) -> Rate {
    let (amount, period_ns) = (bytes.one_of(&[1, 2, 5, 3, 0]), bytes.one_of(&[1, 3, 7, 2, 40]));
    Rate { amount, period_ns, burst: bytes.one_of(bursts) }
}

/// A policy of a tenant that may stand below one of `parents`, or elsewhere.
pub(super) fn policy(bytes: &mut Bytes<'_>, parents: &[TenantId], setup: &Setup) -> TenantPolicy {
    let over = [OverQuota::Wait, OverQuota::Wait, OverQuota::Wait, OverQuota::Reject, OverQuota::Demote];
    let mut policy = TenantPolicy::new()
        .weight(bytes.one_of(&[1, 1, 3, 0, 2]))
        .over_quota(bytes.one_of(&over))
        .allow_when_full(bytes.rarely(2));
    policy.parent = (!parents.is_empty() && !bytes.rarely(3)).then(|| bytes.one_of(parents));
    policy.requests = bytes.maybe(4, |bytes| rate(bytes, &[2, 1, 8, 0]));
    policy.tokens = bytes.maybe(2, |bytes| rate(bytes, &[60, 25, 40, 200, 120]));
    policy.max_running = bytes.maybe(3, |bytes| bytes.one_of(&[2, 1, 4, 2, 0]));
    policy.max_in_use = match bytes.rarely(3) {
        true => bytes.units(setup.dimensions, 6),
        false => Resources::ZERO,
    };
    policy.queue_limit = bytes.maybe(9, |bytes| bytes.number(6));
    policy.queue_token_limit = bytes.maybe(9, |bytes| bytes.number(90));
    if bytes.rarely(6) {
        policy.most_urgent = Tier::new(bytes.number(setup.tiers.len() as u64 + 1) as u8);
    }
    policy
}
