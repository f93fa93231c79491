"""Tenants that nobody configured: a default policy for each, and a table that does not grow with their names."""

import os
from pathlib import Path

import pytest

import tidegate
from tidegate import Config, Scheduler

STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def scheduler(**settings: object) -> Scheduler:
    config = Config(dimensions=["slots"], tiers=[{"name": "only"}], **settings)  # type: ignore[arg-type]
    sched = Scheduler(config, now_ns=0)
    sched.worker_add([8], now_ns=0)
    return sched


def test_a_new_name_has_the_default_policy() -> None:
    sched = scheduler(default_policy={"max_running": 1, "over_quota": "reject"})
    sched.submit(tenant="new", tier="only", demand=[1], now_ns=0)
    assert sched.poll(now_ns=0) is not None
    with pytest.raises(tidegate.OverQuota):
        sched.submit(tenant="new", tier="only", demand=[1], now_ns=0)
    sched.submit(tenant="another", tier="only", demand=[1], now_ns=0)


def test_one_that_was_forgotten_is_made_anew_by_its_name() -> None:
    sched = scheduler(max_tenants=2)
    first = sched.tenant_set("a", now_ns=0)
    for name in ("b", "c"):
        sched.tenant_set(name, now_ns=0)
    with pytest.raises(tidegate.UnknownTenant):
        sched.submit(tenant=first, tier="only", demand=[1], now_ns=0)
    sched.submit(tenant="a", tier="only", demand=[1], now_ns=0)
    assert sched.tenant_set("a", now_ns=0) > first


@pytest.mark.skipif(not STATM.exists(), reason="memory is read as Linux tells it")
def test_a_million_names_take_no_more_memory_than_the_table() -> None:
    sched = scheduler(max_tenants=1_000)
    for number in range(100_000):
        sched.tenant_set(f"user-{number}", now_ns=number)
    before = resident_bytes()
    for number in range(100_000, 1_100_000):
        sched.tenant_set(f"user-{number}", now_ns=number)
    # 8 bytes for each number that was ever given, in a list that doubles.
    assert resident_bytes() - before < 24 << 20


@pytest.mark.skipif(not STATM.exists(), reason="memory is read as Linux tells it")
def test_the_memory_of_removed_tenants_is_used_again() -> None:
    sched = scheduler()

    def come_and_go(first: int) -> None:
        tenants = [sched.tenant_set(f"user-{number}", now_ns=0) for number in range(first, first + 500_000)]
        for tenant in tenants:
            sched.tenant_remove(tenant, now_ns=0)

    come_and_go(0)
    before = resident_bytes()
    come_and_go(500_000)
    assert resident_bytes() - before < 24 << 20
