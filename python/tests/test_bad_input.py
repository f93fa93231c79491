"""Every argument of every method, given what it is not: an exception that names it, nothing changed, no crash."""

import copy
import inspect
import itertools
import math
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

import tidegate
from tidegate import Completion, DevicePart, PromptLeft, Rate, RequestSpec, StepException

ONE = {"slots": 1, "kv_blocks": 10}


class Number(int):
    """A number by its class, and not by how it is printed."""

    def __repr__(self) -> str:
        return "not a number"


class Text(str):
    """Text by its class, and not by how it is printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "not text"


class Refuses:
    """An object that can be asked for nothing."""

    def __index__(self) -> int:
        raise LookupError

    def __iter__(self) -> object:
        raise LookupError

    def __repr__(self) -> str:
        raise LookupError


LIST: list[object] = []
LIST.append(LIST)
DICT: dict[str, object] = {}
DICT["slots"] = DICT

VALUES = [
    None,
    True,
    1.0,
    math.nan,
    math.inf,
    1j,
    -1,
    2**31,
    2**32 + 99,
    2**63,
    2**64,
    10**4000,
    -(10**4000),
    Number(-1),
    Number(1),
    "",
    "\0",
    "a\0b",
    "\ud800",
    "x" * 100_000,
    Text("realtime"),
    Text("no such thing"),
    b"",
    b"slots",
    bytearray(9),
    [],
    (),
    {},
    set(),
    LIST,
    DICT,
    {"slots": None},
    {1: 1},
    {"\0": 1},
    [None],
    ((),),
    ((1,),),
    [(1, 2, 3, 4, 5, 6)],
    itertools.count(),
    range(2**62),
    memoryview(b"12"),
    int,
    len,
    object(),
    ...,
    Refuses(),
    tidegate,
    ValueError("value"),
]
assert len(VALUES) > 40

# What each method takes, and would do.
GOOD: dict[str, dict[str, Any]] = {
    "reconfigure": {"config": None},
    "restore": {"config": None, "data": b""},
    "snapshot": {},
    "tenant_set": {"name": "acme"},
    "tenant_configure": {
        "tenant": 0,
        "parent": None,
        "weight": 2,
        "most_urgent": 1,
        "requests": Rate(1, 10**9, 1),
        "tokens": Rate(100, 10**9, 100),
        "leased": False,
        "max_running": 3,
        "max_in_use": ONE,
        "queue_limit": 5,
        "queue_token_limit": 500,
        "over_quota": "wait",
        "allow_when_full": True,
    },
    "tenant_remove": {"tenant": 1},
    "lease_granted": {"tenant": 0, "limit": "tokens", "seq": 1, "tokens": 1, "valid_for_ns": 1},
    "device_add": {"limit": ONE, "checkpoint_mib": 1},
    "device_resize": {"device": 0, "limit": ONE, "preempt_after_ns": 1},
    "device_lost": {"device": 1},
    "worker_add": {
        "capacity": ONE,
        "pool": 0,
        "devices": [DevicePart(0)],
        "kind": "mps",
        "spare": False,
        "replaces": None,
    },
    "worker_resize": {"worker": 0, "capacity": {"slots": 4, "kv_blocks": 400}, "preempt_after_ns": 1},
    "worker_usage": {"worker": 0, "in_use": ONE},
    "cache_stored": {"worker": 0, "blocks": [1, 2]},
    "cache_evicted": {"worker": 0, "blocks": [2]},
    "prefix_set": {"request": 0, "blocks": [1, 2]},
    "step": {"worker": 0, "tokens_each": 1, "exceptions": [StepException(0, 1, 1, (1, 10))]},
    "worker_drain": {"worker": 1},
    "worker_lost": {"worker": 1},
    "submit": {
        "tenant": "acme",
        "tier": "batch",
        "demand": ONE,
        "pool": "default",
        "peak": ONE,
        "prompt_tokens": 1,
        "cached_tokens": 1,
        "output_tokens": 1,
        "yielding": "restart",
        "deadline_ns": 1,
        "queue_timeout_ns": 1,
        "tag": 1,
    },
    "submit_many": {"requests": [RequestSpec("acme", 0, (1, 1))]},
    "amend": {"request": 0, "demand": ONE, "peak": ONE, "tier": "batch", "deadline_ns": 1},
    "cancel": {"request": 0},
    "started": {"request": 0, "attempt": 1, "cached_tokens": 0, "in_use": ONE},
    "declined": {"request": 0, "attempt": 1, "why": "no-room"},
    "progress": {"request": 0, "attempt": 1, "output_tokens": 1, "in_use": ONE},
    "preempted": {"request": 0, "attempt": 1, "tokens_kept": 0, "releasing": False},
    "released": {"request": 0, "attempt": 1},
    "complete": {"request": 0, "attempt": 1, "prompt_tokens": 1, "cached_tokens": 0, "output_tokens": 1},
    "complete_many": {"completions": [Completion(0, 1)]},
    "failed": {"request": 0, "attempt": 1},
    "poll": {},
    "poll_one": {},
    "poll_timeout": {},
    "share_warnings": {},
    "stats": {},
    "check_invariants": {},
    "state": {"request": 0},
    "explain": {"request": 0},
    "usage": {"tenant": 0, "tier": 0, "at_ns": 0},
    "forgotten_usage": {"tier": 0},
    "tenants": {},
    "metrics": {"format": "openmetrics", "tenants": 1},
    "queue_depth": {"tier": 0},
    "kept_out_until": {"worker": 0},
    "step_plan": {"worker": 0, "tokens": 1, "prompts": [PromptLeft(0, 1)]},
    "effective_reserve": {"tier": 0, "pool": 0},
    "in_use": {"tier": 0, "pool": 0},
    "waiting_demand": {"tier": 0, "pool": 0},
}
SHARED = {
    **{
        verb: GOOD[verb]
        for verb in ("started", "declined", "progress", "step", "preempted", "released", "complete", "failed")
    },
    "submit": {**GOOD["submit"], "tenant": 0},
    "restore": {**GOOD["restore"], "intake_capacity": 8},
    "cancel": {"ticket": 1},
    "cancel_request": {"request": 0},
    "poll": {"max_actions": 1},
    "wait": {"until_ns": 1},
    "wake": {},
}
"""The same of `SharedScheduler`."""
# Errors that say by their numbers what they are about.
TELLING = (
    tidegate.SubmitError,
    tidegate.ReportError,
    tidegate.WorkerError,
    tidegate.TenantError,
    tidegate.SnapshotError,
)


@pytest.fixture
def world(config: tidegate.Config) -> tuple[tidegate.Scheduler, int]:
    """A scheduler in which something runs and something waits, and the request that runs."""
    sched = tidegate.Scheduler(config, now_ns=0)
    sched.device_add(now_ns=0)
    sched.worker_add({"slots": 1, "kv_blocks": 40}, now_ns=0)
    first, _ = sched.submit_many([("acme", 0, (1, 10))] * 2, now_ns=0)
    sched.poll(now_ns=0)
    assert isinstance(first, int)
    return sched, first


def state(sched: tidegate.Scheduler, request: int) -> tuple[object, ...]:
    """All that can be asked of it."""
    tiers = [(sched.queue_depth(tier), sched.in_use(tier), sched.waiting_demand(tier)) for tier in range(3)]
    return sched.stats(), sched.usage(0), sched.state(request), sched.explain(request), tiers, sched.config.to_toml()


def methods(owner: type) -> list[str]:
    return [name for name in vars(owner) if callable(getattr(owner, name)) and not name.startswith("_")]


@pytest.mark.parametrize(("owner", "good"), [(tidegate.Scheduler, GOOD), (tidegate.SharedScheduler, SHARED)])
def test_every_method_is_tried_with_every_argument(owner: type, good: dict[str, dict[str, Any]]) -> None:
    assert set(methods(owner)) == set(good)
    for name in methods(owner):
        taken = {it for it in inspect.signature(getattr(owner, name)).parameters if it != "self"}
        assert set(good[name]) == taken - {"now_ns"}, name


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_bad_argument_is_named_and_changes_nothing(world: tuple[tidegate.Scheduler, int], name: str) -> None:
    sched, request = world
    method = getattr(sched, name)
    times_out = "now_ns" in inspect.signature(method).parameters
    good = {**GOOD[name], **({"now_ns": 0} if times_out else {})}
    if "config" in good:
        good["config"] = sched.config
    if "data" in good:
        good["data"] = sched.snapshot()
    for field, value in itertools.product(good, VALUES):
        if type(value) in {itertools.count, range} and field in {"requests", "completions", "prompts"}:
            continue  # it ends at its first item, or after as many as there may be requests
        before = state(sched, request)
        refusal = refused(method, {**good, field: value})
        if refusal is None:
            sched.check_invariants()  # what is accepted is an input like any other
            continue
        check_told(refusal, field, value)
        assert field == "now_ns" or state(sched, request) == before, (field, value)  # time may have passed
    sched.check_invariants()


@pytest.mark.parametrize("name", sorted(SHARED))
def test_a_bad_argument_leaves_nothing_in_the_intake(config: tidegate.Config, name: str) -> None:
    shared = tidegate.SharedScheduler(config, now_ns=0)
    method = getattr(shared, name)
    good = {**SHARED[name], **({"now_ns": 0} if "now_ns" in inspect.signature(method).parameters else {})}
    if name == "restore":
        good |= {"config": config, "data": shared.scheduler.snapshot()}
    for field, value in itertools.product(good, VALUES):
        shared.poll(now_ns=0)
        shared.wake()  # what waits for something to poll has it
        refusal = refused(method, {**good, field: value})
        if refusal is None:
            shared.scheduler.check_invariants()
            continue
        check_told(refusal, field, value)
        assert shared.poll(now_ns=0) == [], (field, value)
    shared.scheduler.check_invariants()


def check_told(refusal: Exception, field: str, value: object) -> None:
    """It is of a kind that hosts expect, names the argument, and is short whatever that was."""
    assert isinstance(refusal, TypeError | LookupError | tidegate.Error), (field, value, refusal)
    told = [str(refusal), *getattr(refusal, "__notes__", [])]
    if not isinstance(refusal, TELLING):
        assert any(f"'{field}'" in line for line in told), (field, value, told)
    assert len(str(refusal)) < 400, (field, value)


def refused(method: Callable[..., object], arguments: dict[str, object]) -> Exception | None:
    try:
        method(**arguments)
    except Exception as error:
        return error
    return None


def test_numbers_and_words_count_by_their_value(world: tuple[tidegate.Scheduler, int]) -> None:
    sched, _ = world
    request = sched.submit(tenant=Text("acme"), tier=Text("batch"), demand={"slots": True}, tag=Number(7), now_ns=False)
    assert sched.state(Number(request)) is tidegate.RequestState.QUEUED
    assert sched.usage(False).submitted == 3


def test_errors_print_their_numbers_and_survive_copies(world: tuple[tidegate.Scheduler, int]) -> None:
    sched, _ = world
    with pytest.raises(tidegate.NeverFits) as caught:
        sched.submit(tenant="acme", tier=0, demand={"slots": 5}, now_ns=0)
    said = "needs 5 of slots and can never have more than 1"
    assert repr(caught.value) == f"NeverFits({said!r}, dimension='slots', need=5, max=1)"
    for again in (
        copy.copy(caught.value),
        copy.deepcopy(caught.value),
        pickle.loads(pickle.dumps(caught.value)),
        eval(repr(caught.value), vars(tidegate)),
    ):
        assert (type(again), str(again), vars(again)) == (tidegate.NeverFits, said, vars(caught.value))


@pytest.mark.parametrize(
    "record",
    [
        DevicePart(0),
        Rate(1, 2, 3),
        RequestSpec("acme", 0, (1, 10)),
        Completion(1, 1),
        StepException(1, 1, 2, (1, 10)),
        PromptLeft(1, 2),
        tidegate.ShareWarning("default", "batch", "slots", 1, 2),
        tidegate.Explanation(tidegate.RequestState.QUEUED, tidegate.Gate.HELD, 3, None, 0, (1,)),
    ],
    ids=lambda record: type(record).__name__,
)
def test_records_are_values(record: tuple[object, ...]) -> None:
    again = pickle.loads(pickle.dumps(record))
    assert again == record
    assert type(again) is type(record)
    assert hash(again) == hash(record)
    with pytest.raises(AttributeError):
        record.request = 1  # type: ignore[attr-defined]


def test_what_is_no_value_says_what_it_is(world: tuple[tidegate.Scheduler, int]) -> None:
    sched, _ = world
    assert repr(sched).startswith("<tidegate.Scheduler live=2 ")
    assert repr(sched.stats()).startswith("Stats(submitted=2, ")


def test_threads_that_pass_nonsense_do_not_disturb_the_others(world: tuple[tidegate.Scheduler, int]) -> None:
    sched, request = world
    failures: list[Exception] = []

    def nonsense() -> None:
        for value in VALUES * 20:
            error = refused(sched.state, {"request": value})
            if error is not None and not isinstance(error, TypeError | LookupError | tidegate.Error):
                failures.append(error)

    threads = [threading.Thread(target=nonsense) for _ in range(4)]
    before = state(sched, request)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert state(sched, request) == before
