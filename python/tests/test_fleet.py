"""Devices, workers that change, whole steps, and what is changed while running."""

import itertools
from collections.abc import Callable

import pytest

import tidegate
from tidegate import DevicePart, Reason, Start, StepException

ONE = {"slots": 1, "kv_blocks": 40}


def running(sched: tidegate.Scheduler, **more: object) -> Start:
    """A request that has started and reported."""
    sched.submit(**{"tenant": "acme", "tier": "realtime", "demand": ONE, "now_ns": 0, **more})
    [start] = sched.poll(now_ns=0)
    assert isinstance(start, Start)
    sched.started(start.request, start.attempt, in_use=ONE, now_ns=0)
    return start


def test_a_device_binds_the_workers_on_it(config: tidegate.Config) -> None:
    sched = tidegate.Scheduler(config, now_ns=0)
    device = sched.device_add({"slots": 1}, checkpoint_mib=16, now_ns=0)
    other = sched.device_add(now_ns=0)
    assert (device, other) == (0, 1)
    sched.worker_add([4, 400], devices=[DevicePart(device)], now_ns=0)
    worker = sched.worker_add([4, 400], devices=[(device, 500_000), DevicePart(other, 500_000)], now_ns=0)
    first = running(sched)
    sched.submit(tenant="acme", tier="realtime", demand=ONE, now_ns=0)
    assert sched.poll(now_ns=0) == []
    sched.device_resize(device, {"slots": 2}, now_ns=1)
    [second] = sched.poll(now_ns=1)
    assert isinstance(second, Start)
    assert first.worker != worker or second.worker != worker
    sched.device_lost(device, now_ns=2)
    assert [sched.state(start.request) for start in (first, second)] == ["parked", "parked"]
    sched.check_invariants()


def test_a_worker_that_shrinks_preempts_after_its_time_or_never(sched: tidegate.Scheduler) -> None:
    starts = [running(sched, tier="batch") for _ in range(2)]
    sched.worker_resize(0, [1, 400], now_ns=10)
    assert sched.poll(now_ns=10**18) == []
    sched.worker_resize(0, [1, 400], preempt_after_ns=5, now_ns=10**18)
    assert sched.poll(now_ns=10**18) == []
    assert sched.poll_timeout() == 10**18 + 5
    [preempt] = sched.poll(now_ns=10**18 + 5)
    assert isinstance(preempt, tidegate.Preempt)
    assert (preempt.victim, preempt.reason) == (starts[1].request, Reason.OUT_OF_MEMORY)


def test_what_an_engine_uses_in_all_counts(sched: tidegate.Scheduler) -> None:
    running(sched)
    sched.submit(tenant="acme", tier="realtime", demand=[1, 100], now_ns=0)
    sched.worker_usage(0, in_use={"slots": 1, "kv_blocks": 390}, now_ns=0)
    assert sched.poll(now_ns=0) == []
    sched.worker_usage(0, in_use=ONE, now_ns=0)
    assert len(sched.poll(now_ns=0)) == 1


def test_a_step_reports_of_all_and_exceptions_of_themselves(sched: tidegate.Scheduler) -> None:
    first, second = running(sched), running(sched)
    sched.step(0, now_ns=1)
    assert sched.in_use("realtime") == {"slots": 2, "kv_blocks": 80}
    grown = StepException(second.request, second.attempt, 9, {"slots": 1, "kv_blocks": 60})
    sched.step(0, tokens_each=1, exceptions=iter([grown]), now_ns=2)
    assert sched.in_use("realtime") == {"slots": 2, "kv_blocks": 100}
    before = sched.in_use("realtime")
    with pytest.raises(tidegate.StaleAttempt):
        sched.step(0, exceptions=[grown, (first.request, 9, 1, ONE)], now_ns=3)
    assert sched.in_use("realtime") == before


def test_amend_changes_what_is_given(sched: tidegate.Scheduler) -> None:
    request = sched.submit(tenant="acme", tier="batch", demand=ONE, now_ns=0)
    sched.amend(request, demand=[2, 80], now_ns=0)
    assert sched.queue_depth("batch") == 1
    sched.amend(request, tier="realtime", peak=[2, 90], deadline_ns=7, now_ns=0)
    assert (sched.queue_depth("batch"), sched.waiting_demand("realtime")) == (0, {"slots": 2, "kv_blocks": 80})
    with pytest.raises(tidegate.NeverFits):
        sched.amend(request, demand=[5, 0], now_ns=0)
    with pytest.raises(tidegate.UnknownTier):
        sched.amend(request, tier="vip", now_ns=0)
    with pytest.raises(tidegate.UnknownRequest):
        sched.amend(12345, now_ns=0)
    assert len(sched.poll(now_ns=0)) == 1


def test_reconfigure_changes_shares_and_no_names(sched: tidegate.Scheduler, config: tidegate.Config) -> None:
    names = {"dimensions": ["slots", "kv_blocks"]}
    tiers = [{"name": name} for name in ("realtime", "near-realtime", "batch")]
    other = tidegate.Config(**names, tiers=tiers)
    assert sched.config == config
    sched.reconfigure(other, now_ns=0)
    assert sched.config == other
    assert sched.effective_reserve("realtime") == {"slots": 0, "kv_blocks": 0}
    with pytest.raises(tidegate.ConfigError) as caught:
        sched.reconfigure(tidegate.Config(**names, tiers=tiers[:2]), now_ns=0)
    assert [path for path, _ in caught.value.faults] == ["tiers"]
    assert sched.config == other


def test_explain_says_what_holds_a_request_back(sched: tidegate.Scheduler) -> None:
    starts = [running(sched) for _ in range(4)]
    waiting = [sched.submit(tenant="acme", tier="batch", demand=ONE, now_ns=0) for _ in range(2)]
    assert sched.poll(now_ns=0) == []
    why = sched.explain(waiting[1])
    assert (why.state, why.ahead) == (tidegate.RequestState.QUEUED, 1)
    assert why.gate is tidegate.Gate.HELD
    assert sched.explain(starts[0].request) == ("running", None, 0, None, 0, ())
    sched.worker_lost(0, now_ns=1)
    assert sched.explain(waiting[0]).gate is tidegate.Gate.NO_WORKER


def test_a_reserve_that_whole_units_cannot_give_is_a_warning() -> None:
    config = tidegate.Config(
        dimensions=["slots", "kv_blocks"],
        tiers=[{"name": "realtime", "reserve_ppm": 300_000}, {"name": "batch"}],
    )
    sched = tidegate.Scheduler(config, now_ns=0)
    assert sched.share_warnings() == []
    sched.worker_add([4, 1000], now_ns=0)
    assert sched.share_warnings() == [("default", "realtime", "slots", 300_000, 500_000)]


def test_a_step_is_planned_for_the_prompts_named(sched: tidegate.Scheduler) -> None:
    first, second = running(sched), running(sched, tier="batch")
    plan = sched.step_plan(0, tokens=100, prompts=[(first.request, 60), tidegate.PromptLeft(second.request, 90)])
    assert plan == [(first.request, 60), (second.request, 25)]
    with pytest.raises(tidegate.UnknownWorker):
        sched.step_plan(7, tokens=1, prompts=[])
    with pytest.raises(tidegate.UnknownRequest):
        sched.step_plan(0, tokens=1, prompts=[(12345, 1)])


def test_clients_of_one_server_are_lost_together(sched: tidegate.Scheduler) -> None:
    device = sched.device_add(now_ns=0)
    for kind in (tidegate.WorkerKind.MPS, "mps", "mig"):
        sched.worker_add([1, 10], kind=kind, devices=[(device, 1_000_000)], now_ns=0)
    sched.worker_lost(2, now_ns=1)
    with pytest.raises(tidegate.WorkerLost):
        sched.worker_drain(1, now_ns=1)
    assert sched.poll(now_ns=1) == [tidegate.AlsoLost(1, 2, tidegate.Reason.WORKER_LOST)]
    sched.worker_drain(3, now_ns=1)


def test_one_that_flaps_is_kept_out_and_a_spare_serves(sched: tidegate.Scheduler) -> None:
    sched.worker_lost(0, now_ns=0)
    again = sched.worker_add([4, 100], replaces=0, now_ns=0)
    sched.worker_lost(again, now_ns=0)
    kept_out = sched.worker_add([4, 100], replaces=again, now_ns=0)
    waits = sched.submit(tenant="acme", tier="batch", demand=ONE, now_ns=0)
    assert sched.poll(now_ns=0) == []
    why = sched.explain(waits)
    assert (why.gate, why.starts_at_ns) == (tidegate.Gate.KEPT_OUT, 10_000_000_000)
    assert sched.poll_timeout() == 10_000_000_000
    assert (sched.kept_out_until(kept_out), sched.kept_out_until(again)) == (10_000_000_000, None)
    spare = sched.worker_add([4, 100], spare=True, now_ns=1)
    sched.worker_lost(kept_out, now_ns=2)
    assert [action.worker for action in sched.poll(now_ns=2) if isinstance(action, tidegate.Start)] == [spare]


Call = Callable[[tidegate.Scheduler], object]


@pytest.mark.parametrize(
    ("call", "error", "numbers"),
    [
        (lambda s: s.device_lost(9, now_ns=0), tidegate.UnknownDevice, {"device": 9}),
        (lambda s: s.device_resize(9, [1], now_ns=0), tidegate.UnknownDevice, {"device": 9}),
        (lambda s: s.device_add([2**41], now_ns=0), tidegate.LimitExceeded, {"limit": "units"}),
        (lambda s: s.worker_add([1], devices=[(9, 1)], now_ns=0), tidegate.UnknownDevice, {"device": 9}),
        (lambda s: s.worker_add([1], devices=[(0, 0)], now_ns=0), tidegate.BadPart, {"device": 0}),
        (lambda s: s.worker_add([1], devices=[(0, 1), (0, 1)], now_ns=0), tidegate.BadPart, {"device": 0}),
        (
            lambda s: s.worker_add([1], devices=[(0, 1)] * 17, now_ns=0),
            tidegate.LimitExceeded,
            {"limit": "devices-per-worker", "max": 16},
        ),
        (lambda s: s.worker_add([1], devices=[(1, 1)], now_ns=0), tidegate.DeviceLost, {"device": 1}),
        (lambda s: s.device_lost(1, now_ns=0), tidegate.DeviceLost, {"device": 1}),
        (lambda s: s.worker_resize(9, [1], now_ns=0), tidegate.UnknownWorker, {"worker": 9}),
        (lambda s: s.worker_resize(0, [0], now_ns=0), tidegate.ZeroCapacity, {}),
        (lambda s: s.worker_usage(0, in_use=[2**41], now_ns=0), tidegate.LimitExceeded, {"limit": "units"}),
        (lambda s: s.step(9, now_ns=0), tidegate.UnknownWorker, {"worker": 9}),
        (lambda s: s.step(0, tokens_each=2**41, now_ns=0), tidegate.LimitExceeded, {"limit": "tokens"}),
        (lambda s: s.step(0, exceptions=[(1, 2, 3)], now_ns=0), tidegate.BadArgument, {}),
        (lambda s: s.step(0, exceptions=[(-1, 2, 3, [1])], now_ns=0), tidegate.BadArgument, {}),
        (lambda s: s.step(0, exceptions=[5], now_ns=0), TypeError, {}),
        (lambda s: s.worker_add([1], devices=5, now_ns=0), TypeError, {}),
        (lambda s: s.worker_add([1], kind="gpu", now_ns=0), tidegate.BadArgument, {}),
        (lambda s: s.worker_add([1], replaces=0, now_ns=0), tidegate.NotLost, {"worker": 0}),
        (lambda s: s.worker_add([1], replaces=9, now_ns=0), tidegate.UnknownWorker, {"worker": 9}),
    ],
)
def test_what_is_wrong_is_told(
    sched: tidegate.Scheduler, call: Call, error: type[Exception], numbers: dict[str, object]
) -> None:
    assert (sched.device_add(now_ns=0), sched.device_add(now_ns=0)) == (0, 1)
    sched.device_lost(1, now_ns=0)
    with pytest.raises(error) as caught:
        call(sched)
    assert type(caught.value) is error
    assert {name: getattr(caught.value, name) for name in numbers} == numbers


def test_lists_without_end_are_refused(sched: tidegate.Scheduler) -> None:
    sched.device_add(now_ns=0)
    with pytest.raises(tidegate.LimitExceeded) as devices:
        sched.worker_add([1], devices=itertools.repeat(DevicePart(0)), now_ns=0)
    assert devices.value.limit == "devices-per-worker"
    with pytest.raises(tidegate.LimitExceeded) as prompts:
        sched.step_plan(0, tokens=1, prompts=itertools.repeat((1, 1)))
    assert (prompts.value.limit, prompts.value.max) == ("requests", 2**22)


def test_a_device_with_less_than_its_workers_serves_one_pool(config: tidegate.Config) -> None:
    two_pools = tidegate.Config.from_toml('pools = ["a", "b"]\n' + config.to_toml().replace('pools = ["default"]', ""))
    sched = tidegate.Scheduler(two_pools, now_ns=0)
    device = sched.device_add([5, 0], now_ns=0)
    sched.worker_add([4, 400], pool="a", devices=[DevicePart(device)], now_ns=0)
    with pytest.raises(tidegate.SharedAcrossPools) as shared:
        sched.worker_add([4, 400], pool="b", devices=[DevicePart(device)], now_ns=0)
    assert (shared.value.device, shared.value.pool) == (device, 0)


def test_a_report_of_a_request_that_is_elsewhere(sched: tidegate.Scheduler) -> None:
    start = running(sched)
    other = sched.worker_add([4, 400], now_ns=0)
    with pytest.raises(tidegate.NotHere) as elsewhere:
        sched.step(other, exceptions=[(start.request, start.attempt, 1, ONE)], now_ns=0)
    assert (elsewhere.value.request, elsewhere.value.worker) == (start.request, other)
