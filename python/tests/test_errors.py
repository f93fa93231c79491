"""Every refusal has its class, its numbers and one line; nothing changes."""

import pickle
from collections.abc import Callable

import pytest

import tidegate

ONE = {"slots": 1, "kv_blocks": 40}


def submit(sched: tidegate.Scheduler, **more: object) -> int:
    return sched.submit(**{"tenant": "acme", "tier": "realtime", "demand": ONE, "now_ns": 0, **more})


@pytest.mark.parametrize(
    ("more", "error", "numbers"),
    [
        ({"tenant": 99}, tidegate.UnknownTenant, {"tenant": 99}),
        ({"tier": "vip"}, tidegate.UnknownTier, {"tier": "vip"}),
        ({"tier": 3}, tidegate.UnknownTier, {"tier": 3}),
        ({"tier": 300}, tidegate.UnknownTier, {"tier": 300}),
        ({"pool": "b200"}, tidegate.UnknownPool, {"pool": "b200"}),
        ({"pool": 1}, tidegate.UnknownPool, {"pool": 1}),
        ({"demand": {"slots": 0}}, tidegate.ZeroDemand, {}),
        ({"demand": {"vram": 1}}, tidegate.UnknownDimension, {"dimension": "vram"}),
        ({"demand": {"slots": 5}}, tidegate.NeverFits, {"dimension": "slots", "need": 5, "max": 4}),
        ({"demand": {"kv_blocks": 2**41}}, tidegate.LimitExceeded, {"limit": "units", "max": 2**40}),
        ({"prompt_tokens": 2**64 - 1}, tidegate.LimitExceeded, {"limit": "tokens"}),
        ({"tenant": ""}, tidegate.BadName, {}),
        ({"tenant": "a\nb"}, tidegate.BadName, {}),
        ({"tenant": "x" * 256}, tidegate.LimitExceeded, {"limit": "name-bytes", "max": 255}),
    ],
)
def test_submit(
    sched: tidegate.Scheduler,
    more: dict[str, object],
    error: type[tidegate.Error],
    numbers: dict[str, object],
) -> None:
    before = sched.stats()
    with pytest.raises(error) as caught:
        submit(sched, **more)
    assert type(caught.value) is error
    assert isinstance(caught.value, tidegate.SubmitError | tidegate.TenantError)
    assert {name: getattr(caught.value, name) for name in numbers} == numbers
    assert "\n" not in str(caught.value)
    assert sched.stats() == before
    assert sched.queue_depth("realtime") == 0


@pytest.mark.parametrize(
    ("limits", "numbers"),
    [
        ({"queue_limit": 1}, {"scope": "total", "tier": None, "tenant": None, "limit": 1}),
        ({"tenant_queue_limit": 1}, {"scope": "tenant", "tier": None, "tenant": 0, "limit": 1}),
        ({"tiers": [{"name": "realtime", "queue_limit": 1}]}, {"scope": "tier", "tier": 0, "tenant": None}),
    ],
)
def test_a_full_queue_says_whose(limits: dict[str, object], numbers: dict[str, object]) -> None:
    settings = {"dimensions": ["slots", "kv_blocks"], "tiers": [{"name": "realtime"}], **limits}
    sched = tidegate.Scheduler(tidegate.Config(**settings), now_ns=0)
    sched.worker_add([4, 400], now_ns=0)
    submit(sched)
    with pytest.raises(tidegate.QueueFull) as caught:
        submit(sched)
    assert {name: getattr(caught.value, name) for name in numbers} == numbers


def test_reports(sched: tidegate.Scheduler) -> None:
    request = submit(sched)
    with pytest.raises(tidegate.UnknownRequest) as unknown:
        sched.cancel(12345, now_ns=0)
    assert unknown.value.request == 12345
    with pytest.raises(tidegate.ReportError):
        sched.complete(request, 1, now_ns=0)

    [start] = sched.poll(now_ns=0)
    with pytest.raises(tidegate.StaleAttempt) as stale:
        sched.progress(request, 9, output_tokens=1, in_use=ONE, now_ns=0)
    assert (stale.value.request, stale.value.attempt, stale.value.current) == (request, 9, start.attempt)
    with pytest.raises(tidegate.WrongState) as wrong:
        sched.released(request, start.attempt, now_ns=0)
    assert wrong.value.state is tidegate.RequestState.STARTING

    sched.complete(request, start.attempt, now_ns=1)
    with pytest.raises(tidegate.AlreadyTerminal) as ended:
        sched.complete(request, start.attempt, now_ns=1)
    assert ended.value.request == request
    assert sched.stats().completed == 1


def test_workers(sched: tidegate.Scheduler) -> None:
    with pytest.raises(tidegate.UnknownWorker) as unknown:
        sched.worker_drain(7, now_ns=0)
    assert unknown.value.worker == 7
    with pytest.raises(tidegate.ZeroCapacity):
        sched.worker_add([0], now_ns=0)
    with pytest.raises(tidegate.UnknownPool):
        sched.worker_add([1], pool=5, now_ns=0)
    with pytest.raises(tidegate.UnknownDimension):
        sched.worker_add({"gpus": 1}, now_ns=0)
    sched.worker_lost(0, now_ns=0)
    with pytest.raises(tidegate.WorkerLost) as lost:
        sched.worker_lost(0, now_ns=0)
    assert lost.value.worker == 0
    assert isinstance(lost.value, tidegate.WorkerError)


def test_observers_refuse_what_does_not_exist(sched: tidegate.Scheduler) -> None:
    for tier in ("vip", 3, 300):
        with pytest.raises(tidegate.UnknownTier):
            sched.queue_depth(tier)
        with pytest.raises(tidegate.UnknownTier):
            sched.in_use(tier)
    for pool in ("b200", 1):
        with pytest.raises(tidegate.UnknownPool):
            sched.effective_reserve(0, pool)
    with pytest.raises(tidegate.UnknownRequest):
        sched.state(12345)


@pytest.mark.parametrize("number", [-1, 2**64, -(2**200)])
def test_a_number_out_of_range_is_a_bad_argument(sched: tidegate.Scheduler, number: int) -> None:
    calls = [
        lambda: sched.poll(now_ns=number),
        lambda: sched.state(number),
        lambda: sched.worker_lost(number, now_ns=0),
        lambda: submit(sched, tag=number),
        lambda: submit(sched, tier=number),
        lambda: submit(sched, demand=[number]),
        lambda: submit(sched, demand={"slots": number}),
        lambda: submit(sched, queue_timeout_ns=number),
        lambda: submit(sched, cached_tokens=number),
        lambda: submit(sched, deadline_ns=number),
        lambda: sched.amend(number, now_ns=0),
        lambda: sched.amend(0, deadline_ns=number, now_ns=0),
        lambda: sched.device_add([number], now_ns=0),
        lambda: sched.device_add(checkpoint_mib=number, now_ns=0),
        lambda: sched.device_resize(0, [1], preempt_after_ns=number, now_ns=0),
        lambda: sched.worker_add([1], devices=[(number, 1)], now_ns=0),
        lambda: sched.worker_resize(0, [1], preempt_after_ns=number, now_ns=0),
        lambda: sched.worker_usage(number, in_use=[1], now_ns=0),
        lambda: sched.step(0, tokens_each=number, now_ns=0),
        lambda: sched.step(0, exceptions=[(1, 1, number, [1])], now_ns=0),
        lambda: sched.step_plan(0, tokens=number, prompts=[]),
        lambda: sched.step_plan(0, tokens=1, prompts=[(number, 1)]),
        lambda: sched.explain(number),
        lambda: sched.reconfigure(sched.config, now_ns=number),
    ]
    for call in calls:
        with pytest.raises(tidegate.BadArgument, match=f"^{number} is not a whole number") as caught:
            call()
        assert isinstance(caught.value, ValueError)


def test_words_and_shapes_that_are_not_known(sched: tidegate.Scheduler) -> None:
    with pytest.raises(tidegate.BadArgument, match="restart, checkpoint, never"):
        submit(sched, yielding="perhaps")
    with pytest.raises(tidegate.BadArgument, match="more than 4"):
        submit(sched, demand=[1, 2, 3, 4, 5])
    for more in ({"tenant": "\ud800"}, {"yielding": "\ud800"}, {"demand": {"\ud800": 1}}):
        with pytest.raises(tidegate.BadArgument, match=r"^'.ud800' is not valid Unicode"):
            submit(sched, **more)
    with pytest.raises(tidegate.BadArgument, match="Unicode"):
        sched.tenant_set("\ud800", now_ns=0)


class Asked:
    """An amount that runs code when it is asked for its value."""

    def __init__(self, ask: Callable[[], int]) -> None:
        self.ask = ask

    def __index__(self) -> int:
        return self.ask()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, UnicodeError])
def test_what_a_number_raises_goes_through(sched: tidegate.Scheduler, error: type[BaseException]) -> None:
    def ask() -> int:
        raise error

    for more in (
        {"tag": Asked(ask)},
        {"tier": Asked(ask)},
        {"demand": [Asked(ask)]},
        {"demand": {"slots": Asked(ask)}},
    ):
        with pytest.raises(error):
            submit(sched, **more)


def test_a_demand_that_changes_while_it_is_read_counts_as_it_was(sched: tidegate.Scheduler) -> None:
    def grow() -> int:
        demand.update({f"more {number}": 1 for number in range(100)})
        return 2

    def clear() -> int:
        demand.clear()
        return 2

    for change in (grow, clear):
        demand = {"slots": Asked(change), "kv_blocks": 1}
        submit(sched, demand=demand)
        assert len(demand) != 2
    assert len(sched.poll(now_ns=0)) == 2
    assert sched.in_use("realtime") == {"slots": 4, "kv_blocks": 2}


def test_a_value_is_shown_in_one_short_line(sched: tidegate.Scheduler) -> None:
    class Prints(int):
        def __repr__(self) -> str:
            return "a\n" * 1_000_000

    for number, shown in ((Prints(-1), "a a "), (-(10**5000), "<int>")):
        with pytest.raises(tidegate.BadArgument, match=f"^{shown}") as caught:
            submit(sched, tag=number)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 150


def test_a_wrong_type_is_a_type_error(sched: tidegate.Scheduler) -> None:
    for more in ({"tier": None}, {"tag": 1.5}, {"demand": 3}, {"yielding": 1}, {"demand": {1: 1}}):
        with pytest.raises(TypeError):
            submit(sched, **more)
    with pytest.raises(TypeError, match="now_ns"):
        sched.poll()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        sched.poll(0)  # type: ignore[misc]


def test_exceptions_survive_pickling(sched: tidegate.Scheduler) -> None:
    with pytest.raises(tidegate.NeverFits) as caught:
        submit(sched, demand={"slots": 5})
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), vars(again)) == (
        tidegate.NeverFits,
        str(caught.value),
        vars(caught.value),
    )
    assert str(again) == "needs 5 of slots and can never have more than 4"


def test_the_tree() -> None:
    classes = [item for item in vars(tidegate).values() if isinstance(item, type) and issubclass(item, Exception)]
    assert all(issubclass(item, tidegate.Error) for item in classes)
    assert issubclass(tidegate.ConfigError, ValueError)
    for verb_error in (
        tidegate.SubmitError,
        tidegate.ReportError,
        tidegate.WorkerError,
        tidegate.TenantError,
    ):
        assert issubclass(tidegate.LimitExceeded, verb_error)


def test_tenants(sched: tidegate.Scheduler) -> None:
    top, below = (sched.tenant_set(name, now_ns=0) for name in ("top", "below"))
    sched.tenant_configure(below, parent=top, now_ns=0)
    with pytest.raises(tidegate.TenantCycle) as cycle:
        sched.tenant_configure(top, parent=below, now_ns=0)
    assert cycle.value.tenant == top
    with pytest.raises(tidegate.TenantBusy):
        sched.tenant_remove(top, now_ns=0)
    with pytest.raises(tidegate.PolicyError) as policy:
        sched.tenant_configure(top, leased=True, now_ns=0)
    assert policy.value.faults == (("leased", "there is no rate to share"),)
    assert isinstance(policy.value, tidegate.ConfigError), "as the same faults of a file are"
    sched.tenant_remove(below, now_ns=0)
    with pytest.raises(tidegate.UnknownTenant):
        sched.tenant_remove(below, now_ns=0)


def test_quota(sched: tidegate.Scheduler) -> None:
    acme = sched.tenant_set("acme", now_ns=0)
    tokens = tidegate.Rate(amount=100, period_ns=1_000, burst=100)
    sched.tenant_configure(acme, most_urgent=1, tokens=tokens, over_quota="reject", now_ns=0)
    with pytest.raises(tidegate.TierTooUrgent) as urgent:
        submit(sched)
    assert (urgent.value.tenant, urgent.value.tier, urgent.value.allowed) == (acme, 0, 1)
    with pytest.raises(tidegate.NeverAllowed) as never:
        submit(sched, tier=1, output_tokens=101)
    assert (never.value.limit, never.value.need, never.value.max) == ("tokens", 101, 100)
    submit(sched, tier=1, output_tokens=100)
    with pytest.raises(tidegate.OverQuota) as over:
        submit(sched, tier=1, output_tokens=100)
    assert (over.value.tenant, over.value.limit, over.value.retry_at_ns) == (acme, "tokens", 1_000)
