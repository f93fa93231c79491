"""What is told of a tenant."""

import pytest

import tidegate
from tidegate import Start, TenantUsage


def test_what_a_tenant_has_used_is_told_by_name_and_as_a_tuple(sched: tidegate.Scheduler) -> None:
    tenant = sched.tenant_set("acme", now_ns=0)
    nothing = sched.usage(tenant)
    assert isinstance(nothing, TenantUsage)
    assert set(nothing[:17]) == {0}
    assert nothing.unit_ns == nothing.borrowed_unit_ns == nothing.in_use == {"slots": 0, "kv_blocks": 0}
    assert nothing.queue_delays == (0,) * 24
    request = sched.submit(
        tenant=tenant, tier="batch", demand={"slots": 1, "kv_blocks": 40}, prompt_tokens=512, output_tokens=8, now_ns=0
    )
    [start] = sched.poll(now_ns=3_000_000)
    assert isinstance(start, Start)
    sched.started(request, start.attempt, cached_tokens=100, in_use={"slots": 1, "kv_blocks": 30}, now_ns=4_000_000)
    now = sched.usage(tenant)
    assert (now.submitted, now.started, now.running, now.held_tokens) == (1, 1, 1, 520)
    assert now.in_use == {"slots": 1, "kv_blocks": 30}
    assert now.unit_ns == {"slots": 1_000_000, "kv_blocks": 40_000_000}
    assert now.queue_delays[:4] == (0, 0, 1, 0), "3 ms are below 4"
    # A span beyond 64 bits of unit nanoseconds.
    sched.complete(request, start.attempt, prompt_tokens=512, cached_tokens=100, output_tokens=5, now_ns=2**63)
    done = sched.usage(tenant)
    assert done.unit_ns["kv_blocks"] == 40_000_000 + 30 * (2**63 - 4_000_000)
    assert (done.completed, done.running, done.held_tokens, done.refunded_tokens) == (1, 0, 0, 3)
    assert (done.prompt_tokens, done.cached_tokens, done.output_tokens) == (512, 100, 5)
    assert sched.usage(tenant) == done, "asking changes nothing"


def test_an_unknown_tenant_has_used_nothing_that_is_known(sched: tidegate.Scheduler) -> None:
    with pytest.raises(tidegate.UnknownTenant) as caught:
        sched.usage(77)
    assert caught.value.tenant == 77
    tenant = sched.tenant_set("gone", now_ns=0)
    sched.tenant_remove(tenant, now_ns=0)
    with pytest.raises(tidegate.UnknownTenant):
        sched.usage(tenant)
