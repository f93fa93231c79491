"""Many requests in one call: what becomes of each is what would become of it alone."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tidegate
from tidegate import Completion, RequestSpec


def mostly(good: list[object], bad: list[object]) -> st.SearchStrategy:
    """Few enough are bad that many requests have nothing bad in them."""
    return st.sampled_from(good * (12 * len(bad)) + bad)


SPECS = st.builds(
    RequestSpec,
    tenant=mostly([0, 1, "acme", "umbrella", "new", "newer"], [2, "", "a\nb", 2**32]),
    tier=mostly([0, 1, "batch"], [3, 999, "bach"]),
    demand=mostly([(1, 10), {"slots": 1}, [1]], [(0, 0), (5, 1), {"slot": 1}, (1, 2**63), (1, -1), range(5)]),
    pool=mostly([0, "default"], [1, "none"]),
    peak=mostly([None, (2, 20), {"kv_blocks": 30}], [{"block": 1}]),
    prompt_tokens=mostly([0, 100], [2**64]),
    cached_tokens=mostly([0, 50], [-1]),
    output_tokens=mostly([None, 10], [2**63]),
    yielding=mostly(["restart", "checkpoint", tidegate.Yielding.NEVER], ["perhaps"]),
    deadline_ns=mostly([None, 1_000], [2**64]),
    queue_timeout_ns=mostly([None, 1_000], [2**64]),
    tag=mostly([0, 7], [2**64]),
)


def scheduler() -> tidegate.Scheduler:
    """A machine of four slots, and two tenants, of whom one may be forgotten for a newcomer."""
    config = tidegate.Config(
        dimensions=["slots", "kv_blocks"],
        tiers=[{"name": "realtime", "reserve_ppm": 500_000}, {"name": "near-realtime"}, {"name": "batch"}],
        max_tenants=2,
    )
    sched = tidegate.Scheduler(config, now_ns=0)
    sched.worker_add((4, 400), now_ns=0)
    sched.tenant_set("acme", now_ns=0)
    sched.tenant_set("umbrella", now_ns=0)
    return sched


def submitted(sched: tidegate.Scheduler, spec: RequestSpec, now: int) -> int | tidegate.Error:
    try:
        return sched.submit(**spec._asdict(), now_ns=now)
    except tidegate.Error as refused:
        return refused


def completed(sched: tidegate.Scheduler, end: Completion, now: int) -> tidegate.Error | None:
    try:
        return sched.complete(**end._asdict(), now_ns=now)
    except tidegate.Error as refused:
        return refused


def plain(answers: list[int | tidegate.Error] | list[tidegate.Error | None]) -> list[object]:
    """Exceptions by what they say: no two are equal. A call notes the name of its argument, too."""
    return [said(answer) if isinstance(answer, tidegate.Error) else answer for answer in answers]


def said(error: tidegate.Error) -> tuple[type, str, dict[str, object]]:
    return type(error), str(error), {name: value for name, value in vars(error).items() if name != "__notes__"}


@given(st.lists(st.lists(SPECS, max_size=8), max_size=4), st.data())
def test_a_batch_does_what_single_calls_do(batches: list[list[RequestSpec]], data: st.DataObject) -> None:
    singly, at_once = scheduler(), scheduler()
    for now, specs in enumerate(batches):
        told = plain([submitted(singly, spec, now) for spec in specs])
        assert plain(at_once.submit_many(specs, now_ns=now)) == told
        round_ = singly.poll(now_ns=now)
        assert at_once.poll(now_ns=now) == round_
        started = [(action.request, action.attempt) for action in round_ if isinstance(action, tidegate.Start)]
        ends = data.draw(st.lists(st.sampled_from([*started, (1, 1), (2**64, 1), (0, 2**32)]), max_size=8))
        completions = [Completion(*end, 30, 20, 10) for end in ends]
        told = plain([completed(singly, end, now) for end in completions])
        assert plain(at_once.complete_many(completions, now_ns=now)) == told
        assert at_once.stats() == singly.stats()
    at_once.check_invariants()
    for tenant in range(3):
        assert usage(at_once, tenant) == usage(singly, tenant)


def usage(sched: tidegate.Scheduler, tenant: int) -> tidegate.TenantUsage | None:
    try:
        return sched.usage(tenant)
    except tidegate.UnknownTenant:
        return None


def test_plain_tuples_and_any_iterable_do(sched: tidegate.Scheduler) -> None:
    first, second = sched.submit_many(iter([("acme", "batch", (1, 10)), ("acme", 2, [1], 0, None, 100)]), now_ns=0)
    assert sched.queue_depth("batch") == 2
    assert len(sched.poll(now_ns=0)) == 2
    assert sched.complete_many(((end, 1) for end in (first, second)), now_ns=1) == [None, None]
    assert sched.complete_many([(first, 1, 5)], now_ns=1)[0].request == first
    assert sched.submit_many([], now_ns=2) == sched.complete_many((), now_ns=2) == []


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (("acme", 0), "a RequestSpec has 3 to 12 fields, this tuple has 2"),
        (tuple(range(13)), "a RequestSpec has 3 to 12 fields, this tuple has 13"),
    ],
)
def test_a_tuple_of_other_fields_is_refused_alone(sched: tidegate.Scheduler, item: tuple, says: str) -> None:
    refused, accepted = sched.submit_many([item, ("acme", 0, (1, 10))], now_ns=0)
    assert isinstance(refused, tidegate.BadArgument)
    assert str(refused) == says
    assert isinstance(accepted, int)


@pytest.mark.parametrize("item", [None, 7, ["acme", 0, (1, 10)], ("acme", 0, 7), ("acme", 0.5, (1, 10))])
def test_a_wrong_type_ends_it_before_anything_is_told(sched: tidegate.Scheduler, item: object) -> None:
    with pytest.raises(TypeError):
        sched.submit_many([("acme", 0, (1, 10)), item], now_ns=0)
    with pytest.raises(TypeError):
        sched.complete_many([(1, 1), item], now_ns=0)
    assert sched.stats().submitted == 0


def test_what_the_iterable_raises_goes_through(sched: tidegate.Scheduler) -> None:
    def specs() -> Iterator[RequestSpec]:
        yield RequestSpec("acme", 0, (1, 10))
        raise LookupError

    with pytest.raises(LookupError):
        sched.submit_many(specs(), now_ns=0)
    assert sched.stats().submitted == 0
