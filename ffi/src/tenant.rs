//! Tenants: who asks, where they stand, and what they may use.

use std::ffi::c_char;

use tidegate_core::{Instant, OverQuota, QuotaLimit, Rate, Scheduler, TenantId, TenantPolicy};

use crate::fault::Fault;
use crate::guard::mutate;
use crate::memory::{self, Out};
use crate::request::tier_of;
use crate::scheduler::SchedulerHandle;
use crate::status::TidegateStatus as Status;
use crate::types::{
    RateInput, TIDEGATE_TENANT_ALLOW_WHEN_FULL, TIDEGATE_TENANT_HAS_MAX_RUNNING, TIDEGATE_TENANT_HAS_PARENT,
    TIDEGATE_TENANT_HAS_QUEUE_LIMIT, TIDEGATE_TENANT_HAS_QUEUE_TOKEN_LIMIT, TIDEGATE_TENANT_HAS_REQUESTS,
    TIDEGATE_TENANT_HAS_TOKENS, TIDEGATE_TENANT_LEASED, TenantPolicyInput,
};

/// Makes a tenant known and gives its number; the same name gives the same number again. A name has 1 to 255
/// bytes and no control characters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_tenant_set(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    name: *const c_char,
    name_len: usize,
    out_tenant: *mut u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let name = memory::text(name, name_len, "name")?;
            let out = Out::new(out_tenant, "out_tenant")?;
            out.set(scheduler.tenant_set(Instant::from_nanos(now_ns), name)?.get());
            Ok(())
        })
    }
}

/// Says where a tenant stands, what it weighs, and what it may use, instead of what was said before; for what is
/// open too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_tenant_configure(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    tenant: u32,
    policy: *const TenantPolicyInput,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let policy = policy_of(scheduler, &memory::read(policy, "policy")?)?;
            Ok(scheduler.tenant_configure(Instant::from_nanos(now_ns), TenantId::new(tenant), &policy)?)
        })
    }
}

/// Forgets a tenant without live requests, and below which there is none; its debts too. Its number is never used
/// again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_tenant_remove(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    tenant: u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        mutate(scheduler, |scheduler| {
            Ok(scheduler.tenant_remove(Instant::from_nanos(now_ns), TenantId::new(tenant))?)
        })
    }
}

/// The store's answer to the wish of that seq, of a limit that LEASE_WANTED named: so many tokens (requests, if that is
/// the limit), which go back if they are not used for valid_for_ns. What answers no wish that waits (a duplicate, an
/// answer that is too late, one to a tenant that is gone or leases no more) changes nothing and is OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_lease_granted(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    tenant: u32,
    limit: u32,
    seq: u64,
    tokens: u64,
    valid_for_ns: u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        mutate(scheduler, |scheduler| {
            let (now, tenant, limit) = (Instant::from_nanos(now_ns), TenantId::new(tenant), limit_of(limit)?);
            Ok(scheduler.lease_granted(now, tenant, limit, seq, tokens, valid_for_ns)?)
        })
    }
}

fn limit_of(number: u32) -> Result<QuotaLimit, Fault> {
    match number {
        1 => Ok(QuotaLimit::Requests),
        2 => Ok(QuotaLimit::Tokens),
        3 => Ok(QuotaLimit::Running),
        4 => Ok(QuotaLimit::Units),
        _ => Err(Fault::OutOfRange { argument: "limit", got: number.into() }),
    }
}

fn policy_of(scheduler: &Scheduler, input: &TenantPolicyInput) -> Result<TenantPolicy, Fault> {
    let known = TIDEGATE_TENANT_HAS_PARENT
        | TIDEGATE_TENANT_HAS_REQUESTS
        | TIDEGATE_TENANT_HAS_TOKENS
        | TIDEGATE_TENANT_LEASED
        | TIDEGATE_TENANT_HAS_MAX_RUNNING
        | TIDEGATE_TENANT_HAS_QUEUE_LIMIT
        | TIDEGATE_TENANT_HAS_QUEUE_TOKEN_LIMIT
        | TIDEGATE_TENANT_ALLOW_WHEN_FULL;
    memory::flags(input.flags, known, "policy.flags")?;
    let set = |flag| input.flags & flag != 0;
    let optional = |flag, value| set(flag).then_some(value);
    Ok(TenantPolicy {
        parent: set(TIDEGATE_TENANT_HAS_PARENT).then(|| TenantId::new(input.parent)),
        weight: input.weight,
        most_urgent: tier_of(scheduler, input.most_urgent)?,
        requests: set(TIDEGATE_TENANT_HAS_REQUESTS).then(|| rate_of(input.requests)),
        tokens: set(TIDEGATE_TENANT_HAS_TOKENS).then(|| rate_of(input.tokens)),
        leased: set(TIDEGATE_TENANT_LEASED),
        max_running: optional(TIDEGATE_TENANT_HAS_MAX_RUNNING, input.max_running),
        max_in_use: input.max_in_use.into(),
        queue_limit: optional(TIDEGATE_TENANT_HAS_QUEUE_LIMIT, input.queue_limit),
        queue_token_limit: optional(TIDEGATE_TENANT_HAS_QUEUE_TOKEN_LIMIT, input.queue_token_limit),
        over_quota: over_quota(input.over_quota)?,
        allow_when_full: set(TIDEGATE_TENANT_ALLOW_WHEN_FULL),
    })
}

const fn rate_of(input: RateInput) -> Rate {
    Rate { amount: input.amount, period_ns: input.period_ns, burst: input.burst }
}

fn over_quota(number: u32) -> Result<OverQuota, Fault> {
    match number {
        0 => Ok(OverQuota::Wait),
        1 => Ok(OverQuota::Reject),
        2 => Ok(OverQuota::Demote),
        _ => Err(Fault::OutOfRange { argument: "policy.over_quota", got: number.into() }),
    }
}
