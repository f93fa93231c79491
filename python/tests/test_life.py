"""A request's life, as a host lives it."""

from types import MappingProxyType

import pytest

import tidegate
from tidegate import Reason, RequestState, Start

ONE = {"slots": 1, "kv_blocks": 40}


def submit(sched: tidegate.Scheduler, tier: str | int = "realtime", **more: object) -> int:
    return sched.submit(**{"tenant": "acme", "tier": tier, "demand": ONE, "now_ns": 0, **more})


def test_a_request_starts_reports_and_completes(sched: tidegate.Scheduler) -> None:
    request = submit(sched, prompt_tokens=512, output_tokens=256)
    assert sched.state(request) is RequestState.QUEUED
    assert sched.queue_depth("realtime") == 1
    assert sched.waiting_demand("realtime") == ONE

    assert sched.poll(now_ns=10) == [Start(request, 0, 1, 0, Reason.GUARANTEED)]
    assert sched.state(request) is RequestState.STARTING
    assert sched.poll(now_ns=10) == []

    sched.started(request, 1, cached_tokens=128, in_use=ONE, now_ns=20)
    assert sched.state(request) is RequestState.RUNNING
    sched.progress(request, 1, output_tokens=16, in_use={"slots": 1, "kv_blocks": 41}, now_ns=30)
    assert sched.in_use("realtime") == {"slots": 1, "kv_blocks": 41}

    sched.complete(request, 1, prompt_tokens=512, cached_tokens=128, output_tokens=201, now_ns=40)
    with pytest.raises(tidegate.AlreadyTerminal):
        sched.state(request)
    assert sched.in_use("realtime") == {"slots": 0, "kv_blocks": 0}
    stats = sched.stats()
    assert (stats.submitted, stats.completed, stats.live) == (1, 1, 0)
    assert stats.by_reason[Reason.GUARANTEED] == 1
    sched.check_invariants()


def test_names_and_numbers_say_the_same(sched: tidegate.Scheduler) -> None:
    acme = sched.tenant_set("acme", now_ns=0)
    assert sched.tenant_set("acme", now_ns=0) == acme
    submit(sched, tenant="acme", tier="batch", pool="default")
    submit(sched, tenant=acme, tier=2, pool=0)
    assert sched.queue_depth("batch") == sched.queue_depth(2) == 2
    assert submit(sched, tenant="newcomer") != submit(sched, tenant="newcomer")
    assert sched.tenant_set("newcomer", now_ns=0) == acme + 1


@pytest.mark.parametrize("demand", [{"slots": 1, "kv_blocks": 40}, [1, 40], (1, 40), iter([1, 40])])
def test_amounts_by_name_or_in_order(sched: tidegate.Scheduler, demand: object) -> None:
    submit(sched, demand=demand)
    assert sched.waiting_demand("realtime") == ONE


def test_amounts_from_any_mapping_and_what_is_absent_is_none(sched: tidegate.Scheduler) -> None:
    submit(sched, demand=MappingProxyType({"slots": 2}))
    assert sched.waiting_demand("realtime") == {"slots": 2, "kv_blocks": 0}


def test_declined_goes_elsewhere_or_waits(sched: tidegate.Scheduler) -> None:
    request = submit(sched)
    [start] = sched.poll(now_ns=0)
    sched.declined(request, start.attempt, why="no-room", now_ns=1)
    assert sched.state(request) is RequestState.QUEUED
    assert sched.poll(now_ns=1) == []
    assert sched.worker_add(ONE, now_ns=2) == 1
    [start] = sched.poll(now_ns=2)
    assert (start.worker, start.attempt) == (1, 2)


def test_cancel_and_fail(sched: tidegate.Scheduler) -> None:
    waiting, running = submit(sched), submit(sched)
    sched.cancel(waiting, now_ns=0)
    assert sched.poll(now_ns=0) == [Start(running, 0, 1, 0, Reason.GUARANTEED)]
    sched.failed(running, 1, now_ns=1)
    stats = sched.stats()
    assert (stats.cancelled, stats.failed, stats.live) == (1, 1, 0)


def test_a_lost_worker_gives_its_requests_back(sched: tidegate.Scheduler) -> None:
    request = submit(sched)
    sched.poll(now_ns=0)
    sched.worker_lost(0, now_ns=1)
    assert sched.poll(now_ns=1) == []
    sched.worker_add({"slots": 4, "kv_blocks": 400}, now_ns=2)
    [start] = sched.poll(now_ns=2)
    assert (start.request, start.worker, start.attempt) == (request, 1, 2)


def test_a_draining_worker_takes_nothing_more(sched: tidegate.Scheduler) -> None:
    sched.worker_drain(0, now_ns=0)
    submit(sched)
    assert sched.poll(now_ns=0) == []


def test_a_queue_timeout_drops(sched: tidegate.Scheduler) -> None:
    sched.worker_drain(0, now_ns=0)
    request = submit(sched, queue_timeout_ns=1_000)
    assert sched.poll(now_ns=0) == []
    assert sched.poll_timeout() == 1_000
    assert sched.poll(now_ns=999) == []
    assert sched.poll(now_ns=1_000) == [tidegate.Drop(request, Reason.QUEUE_TIMEOUT)]
    assert sched.stats().dropped == 1


def test_poll_one_gives_a_round_in_single_actions(sched: tidegate.Scheduler) -> None:
    requests = [submit(sched), submit(sched)]
    first, second = sched.poll_one(now_ns=0), sched.poll_one(now_ns=0)
    assert [first.request, second.request] == requests
    assert sched.poll_one(now_ns=0) is None


def test_a_second_pool_is_another_world() -> None:
    config = tidegate.Config(
        dimensions=["slots"], pools=["small", "large"], tiers=[{"name": "only", "reserve_ppm": 500_000}]
    )
    sched = tidegate.Scheduler(config, now_ns=0)
    sched.worker_add([8], pool="large", now_ns=0)
    assert sched.effective_reserve("only", "large") == {"slots": 4}
    assert sched.effective_reserve("only", pool=0) == {"slots": 0}
    assert sched.config == config
