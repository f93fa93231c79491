"""Batches as arrays: what becomes of a row is what would become of its tuple in a batch, and of a call for it alone."""

import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidegate
from tidegate import Completion, RequestSpec, StepException, Yielding, arrays, journal
from tidegate._digest import Digest, action_bytes

WIDTHS = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]
MAX_ROWS = 1 << 22


def mostly(good: list[int], bad: list[int]) -> st.SearchStrategy[int]:
    return st.sampled_from(good * (12 * len(bad)) + bad)


FIELDS = {
    "tenant": mostly([0, 1], [2, 2**32, -1]),
    "tier": mostly([0, 1, 2], [3, 999, 2**40]),
    "pool": mostly([0], [1]),
    "prompt_tokens": mostly([0, 100], [2**63]),
    "cached_tokens": mostly([0, 50], [-2]),
    "output_tokens": mostly([arrays.NONE, 10], [-2, 2**62]),
    "yielding": mostly([0, 1], [2]),
    "deadline_ns": mostly([arrays.NONE, 1_000], [-7]),
    "queue_timeout_ns": mostly([arrays.NONE, 1_000], [-7]),
    "tag": mostly([0, 7], [2**63]),
    "slots": mostly([1, 2], [0, 5, -1]),
    "kv_blocks": mostly([10, 20], [2**45]),
}
OPTIONAL = {"output_tokens", "deadline_ns", "queue_timeout_ns"}
ROWS = st.lists(st.fixed_dictionaries(FIELDS), min_size=1, max_size=8)


def scheduler() -> tidegate.Scheduler:
    """A machine of four slots, and two tenants."""
    config = tidegate.Config(
        dimensions=["slots", "kv_blocks"],
        tiers=[{"name": "realtime", "reserve_ppm": 500_000}, {"name": "near-realtime"}, {"name": "batch"}],
    )
    sched = tidegate.Scheduler(config, now_ns=0)
    sched.worker_add((4, 400), now_ns=0)
    for name in ("acme", "umbrella"):
        sched.tenant_set(name, now_ns=0)
    return sched


def column(draw: st.DrawFn, values: Sequence[int]) -> np.ndarray:
    """The numbers in one of the types that have room for all, as one of the ways they can lie in memory."""
    fitting = [width for width in WIDTHS if all(np.iinfo(width).min <= v <= np.iinfo(width).max for v in values)]
    if not fitting:  # some are negative and some large: no array has both
        values = [min(value, 2**62) for value in values]
        fitting = [np.int64]
    plain = np.array(values, draw(st.sampled_from(fitting)))
    match draw(st.sampled_from(["plain", "backwards", "spread", "field"])):
        case "backwards":
            return plain[::-1].copy()[::-1]
        case "spread":
            return np.repeat(plain, 3)[::3]
        case "field":
            rows = np.zeros(len(plain), np.dtype([("before", plain.dtype), ("it", plain.dtype)], align=True))
            rows["it"] = plain
            return rows["it"]
        case _:
            return plain


def plain(answers: Sequence[object]) -> list[object]:
    """Exceptions by what they say: no two are equal."""
    return [said(answer) if isinstance(answer, tidegate.Error) else answer for answer in answers]


def said(error: tidegate.Error) -> tuple[type, str, dict[str, object]]:
    return type(error), str(error), {name: value for name, value in vars(error).items() if name != "__notes__"}


def spec(row: dict[str, int]) -> RequestSpec:
    """The same as a tuple."""
    fields = {name: None if name in OPTIONAL and row[name] == arrays.NONE else row[name] for name in FIELDS}
    demand = (fields.pop("slots"), fields.pop("kv_blocks"))
    return RequestSpec(**{**fields, "demand": demand, "yielding": list(Yielding)[row["yielding"]]})


class Both:
    """A scheduler that hears arrays and one that hears tuples, and a journal of the single calls."""

    def __init__(self) -> None:
        self.by_arrays, self.by_tuples = scheduler(), scheduler()
        self.digest = Digest()
        config = self.by_tuples.config.to_toml()
        head = f"tidegate-journal 1\nstart 0\nconfig {config.count(chr(10))}\n{config}"
        self.lines = [*head.splitlines(), "0 worker_add 0 4 400 0 0 0 0 - 0"]
        self.lines += [f"0 tenant_set {name}" for name in ("acme", "umbrella")]
        self.inputs, self.actions = 3, 0

    def submit(self, draw: st.DrawFn, rows: list[dict[str, int]], now: int) -> None:
        columns = {name: column(draw, [row[name] for row in rows]) for name in FIELDS}
        demand = np.stack([columns.pop(name).astype(np.int64) for name in ("slots", "kv_blocks")], axis=1)
        for index, row in enumerate(rows):  # as the arrays have them
            row.update({name: int(values[index]) for name, values in columns.items()})
        specs = [spec(row) for row in rows]
        told = arrays.submit(self.by_arrays, **columns, demand=demand, now_ns=now)
        expected = self.by_tuples.submit_many(specs, now_ns=now)
        refused = [(row, answer) for row, answer in enumerate(expected) if not isinstance(answer, int)]
        assert told.ids.tolist() == [answer if isinstance(answer, int) else 0 for answer in expected]
        assert [row for row, _ in told.refused] == [row for row, _ in refused]
        assert plain([error for _, error in told.refused]) == plain([error for _, error in refused])
        for spec_, answer in zip(specs, expected, strict=True):
            if isinstance(answer, int):
                self.note_submit(spec_, now)

    def note_submit(self, spec: RequestSpec, now: int) -> None:
        optional = ["-" if n is None else n for n in (spec.output_tokens, spec.deadline_ns, spec.queue_timeout_ns)]
        slots, blocks = spec.demand
        self.note(
            f"{now} submit {spec.tenant} {spec.tier} {spec.pool} {slots} {blocks} 0 0 0 0 0 0 {spec.prompt_tokens} "
            f"{spec.cached_tokens} {optional[0]} {list(Yielding).index(spec.yielding)} {optional[1]} {optional[2]} "
            f"{spec.tag}"
        )

    def note(self, line: str) -> None:
        self.lines.append(line)
        self.inputs += 1

    def poll(self, now: int) -> list[tidegate.Action]:
        rows = arrays.poll(self.by_arrays, now_ns=now)
        actions = [arrays.action(row) for row in rows]
        assert actions == self.by_tuples.poll(now_ns=now)
        self.lines.append(f"{now} poll {len(actions) + 1}")
        self.actions += len(actions)
        for action in actions:
            self.digest.update(action_bytes(now, action))
        return actions

    def complete(self, draw: st.DrawFn, ends: list[tuple[int, int]], now: int) -> None:
        if not ends:
            return
        request, attempt = (column(draw, [end[index] for end in ends]) for index in (0, 1))
        refused = arrays.complete(self.by_arrays, request, attempt, prompt_tokens=30, output_tokens=10, now_ns=now)
        completions = [
            Completion(*map(int, end), 30, 0, 10) for end in zip(request.tolist(), attempt.tolist(), strict=True)
        ]
        answers = self.by_tuples.complete_many(completions, now_ns=now)
        assert [row for row, _ in refused] == [row for row, answer in enumerate(answers) if answer is not None]
        assert plain([error for _, error in refused]) == plain([answer for answer in answers if answer is not None])
        for end, answer in zip(completions, answers, strict=True):
            if answer is None:
                self.note(f"{now} complete {' '.join(map(str, end))}")

    def agree(self) -> None:
        assert self.by_arrays.stats() == self.by_tuples.stats()
        assert [self.by_arrays.usage(n) for n in (0, 1)] == [self.by_tuples.usage(n) for n in (0, 1)]
        self.by_arrays.check_invariants()
        text = "\n".join([*self.lines, f"end {self.inputs}"]) + "\n"
        replayed = journal.replay(text.encode().splitlines(keepends=True))
        assert str(replayed) == f"digest {self.digest} actions {self.actions} inputs {self.inputs}"


@settings(max_examples=60)
@given(st.lists(ROWS, max_size=4), st.data())
def test_arrays_do_what_tuples_and_single_calls_do(batches: list[list[dict[str, int]]], data: st.DataObject) -> None:
    both = Both()
    for now, rows in enumerate(batches):
        both.submit(data.draw, rows, now)
        started = [(it.request, it.attempt) for it in both.poll(now) if isinstance(it, tidegate.Start)]
        ends = data.draw(st.lists(st.sampled_from([*started, (1, 1), (7, 2**32)]), max_size=8))
        both.complete(data.draw, ends, now)
    both.agree()


def test_more_rows_than_are_taken_at_once_come_back_in_their_order() -> None:
    sched, rows = scheduler(), 1_000
    tier = np.zeros(rows, np.uint16)
    tier[::7] = 9  # the core knows no such tier
    tier[::11] = 500  # nor could it
    ids, refused = arrays.submit(sched, tenant="acme", tier=tier, demand=(1, 1), now_ns=0)
    bad = [row for row in range(rows) if row % 7 == 0 or row % 11 == 0]
    assert [row for row, _ in refused] == bad == np.flatnonzero(ids == 0).tolist()
    assert {type(error) for _, error in refused} == {tidegate.UnknownTier}
    assert len(set(ids[ids != 0].tolist())) == rows - len(bad) == sched.stats().submitted


def test_a_number_of_no_word_is_refused_alone() -> None:
    sched, yielding = scheduler(), np.array([2, 3, 300], np.int16)
    ids, refused = arrays.submit(sched, tenant=0, tier=0, demand=(1,), yielding=yielding, now_ns=0)
    assert (ids != 0).tolist() == [True, False, False]
    told = [(row, str(error), error.__notes__) for row, error in refused]
    note = ["while processing 'yielding'"]
    assert told == [
        (1, "3 is the number of no Yielding", note),
        (2, "300 is not a whole number from 0 to 2^8 - 1", note),
    ]
    with pytest.raises(tidegate.BadArgument, match="is no Yielding: restart, checkpoint"):
        arrays.submit(sched, tenant=np.zeros(1, np.uint8), tier=0, demand=(1,), yielding="perhaps", now_ns=0)


def test_a_name_is_made_known_once_and_only_for_rows() -> None:
    sched = scheduler()
    none = np.empty(0, np.uint8)
    ids, refused = arrays.submit(sched, tenant="newcomer", tier=none, demand=(1,), now_ns=0)
    assert (ids.shape, ids.dtype, refused) == ((0,), np.uint64, [])
    assert sched.tenant_set("first", now_ns=0) == 2
    tier = np.zeros(3, np.uint8)
    ids, refused = arrays.submit(sched, tenant="newcomer", tier=tier, demand={"slots": 1}, pool="default", now_ns=0)
    assert (len(ids), refused) == (3, [])
    assert sched.usage(3).submitted == 3
    ids, refused = arrays.submit(sched, tenant="", tier=tier, demand=(1,), now_ns=0)
    assert [(row, type(error)) for row, error in refused] == [(row, tidegate.BadName) for row in range(3)]


def test_a_step_of_arrays_is_a_step_of_tuples() -> None:
    both = [scheduler(), scheduler()]
    for sched in both:
        sched.submit_many([("acme", 0, (1, 10))] * 3, now_ns=0)
    starts = arrays.poll(both[0], now_ns=0)
    assert [arrays.action(row) for row in starts] == both[1].poll(now_ns=0)
    request, attempt = starts["request"][1:], starts["attempt"][1:]
    in_use = np.array([[1, 12], [1, 14]], np.int16)
    arrays.step(both[0], 0, tokens_each=2, request=request, attempt=attempt, output_tokens=9, in_use=in_use, now_ns=1)
    exceptions = [
        StepException(int(request[row]), int(attempt[row]), 9, tuple(in_use[row].tolist())) for row in range(2)
    ]
    both[1].step(0, tokens_each=2, exceptions=exceptions, now_ns=1)
    assert both[0].in_use(0) == both[1].in_use(0) == {"slots": 3, "kv_blocks": 36}
    with pytest.raises(tidegate.StaleAttempt):
        arrays.step(both[0], 0, request=request, attempt=7, output_tokens=9, in_use=in_use, now_ns=2)
    with pytest.raises(tidegate.BadArgument, match=r"^-1 is not"):
        arrays.step(both[0], 0, request=request, attempt=attempt, output_tokens=9, in_use=-in_use // 12, now_ns=2)
    assert both[0].in_use(0) == {"slots": 3, "kv_blocks": 36}


def test_a_wish_for_tokens_is_a_row_too() -> None:
    both = [scheduler(), scheduler()]
    for sched in both:
        sched.tenant_configure(0, tokens=tidegate.Rate(10**9, 10**9, 10**8), leased=True, now_ns=0)
        sched.submit(tenant=0, tier=0, demand=[1], prompt_tokens=512, now_ns=0)
    rows = arrays.poll(both[0], now_ns=10**9)
    assert [arrays.action(row) for row in rows] == both[1].poll(now_ns=10**9)
    assert arrays.Kind.LEASE_WANTED in rows["kind"]
    assert arrays.poll(scheduler(), now_ns=0).shape == (0,)
    assert arrays.ACTION.itemsize == 72


@pytest.mark.parametrize("none", [arrays.NONE, np.int64(-1), np.array(-1), np.array([-1, -1])])
def test_nothing_is_said_of_all_rows_as_of_one(none: object) -> None:
    saying, silent = scheduler(), scheduler()
    for sched, told in ((saying, none), (silent, None)):
        optional = {"output_tokens": told, "deadline_ns": told, "queue_timeout_ns": told}
        ids, refused = arrays.submit(sched, tenant=0, tier=0, demand=np.array([[1, 2]] * 2), **optional, now_ns=0)
        assert (len(ids), refused) == (2, [])
    assert saying.snapshot() == silent.snapshot()


def test_any_buffer_of_whole_numbers_does() -> None:
    sched = scheduler()
    for tier in (array.array("H", [0, 1]), memoryview(bytes([0, 1])), np.array([0, 9, 1, 9], np.int8)[::2]):
        ids, refused = arrays.submit(sched, tenant=np.int64(0), tier=tier, demand=np.array([1, 2]), now_ns=0)
        assert (len(ids), refused) == (2, [])


@pytest.mark.parametrize(
    ("tier", "error"),
    [
        (np.zeros(2), TypeError),
        (np.zeros(2, object), TypeError),
        (np.zeros(2, bool), TypeError),
        (np.zeros(2, ">u4"), TypeError),
        (np.zeros(2, "M8[ns]"), TypeError),
        (np.zeros((2, 1), np.uint8), TypeError),
        (np.zeros(17, np.uint8)[1:].view(np.uint64), TypeError),
        ([0, 1], TypeError),
        (None, TypeError),
        (1.0, TypeError),
        (np.zeros(3, np.uint8), tidegate.BadArgument),
        (-1, tidegate.BadArgument),
        (2**64, tidegate.BadArgument),
        ("bach", tidegate.UnknownTier),
        ("\ud800", tidegate.BadArgument),
        (np.broadcast_to(np.uint64(1), (MAX_ROWS + 1,)), tidegate.LimitExceeded),
        (np.broadcast_to(np.uint8(1), (1 << 60,)), tidegate.LimitExceeded),
    ],
)
def test_a_bad_column_is_named_and_nothing_happens(tier: object, error: type[Exception]) -> None:
    sched = scheduler()
    with pytest.raises(error) as caught:
        arrays.submit(sched, tenant=np.zeros(2, np.uint8), tier=tier, demand=(1,), now_ns=0)  # type: ignore[arg-type]
    assert caught.value.__notes__ == ["while processing 'tier'"]
    assert sched.stats().submitted == 0


def test_shapes_that_do_not_go_together(sched: tidegate.Scheduler) -> None:
    two, three = np.zeros(2, np.uint8), np.zeros((3, 2), np.uint8)
    with pytest.raises(tidegate.BadArgument, match="none of the columns is an array"):
        arrays.submit(sched, tenant=0, tier=0, demand=(1,), now_ns=0)
    with pytest.raises(tidegate.BadArgument, match="an array has 3 rows, one before it has 2"):
        arrays.submit(sched, tenant=0, tier=two, demand=three, now_ns=0)
    with pytest.raises(tidegate.BadArgument, match="more than 4 dimensions"):
        arrays.submit(sched, tenant=0, tier=two, demand=np.zeros((2, 5), np.uint8), now_ns=0)
    huge = np.broadcast_to(np.uint8(1), (2, 1 << 59))
    with pytest.raises(tidegate.BadArgument, match="more than 4 dimensions"):
        arrays.submit(sched, tenant=0, tier=two, demand=huge, now_ns=0)
    with pytest.raises(tidegate.BadArgument, match="none of the columns is an array"):
        arrays.complete(sched, 1, 1, now_ns=0)
    assert sched.stats().submitted == 0


def test_what_the_host_changes_afterwards_does_not_count() -> None:
    sched = scheduler()
    tier = np.zeros(2, np.uint8)
    ids, _ = arrays.submit(sched, tenant=0, tier=tier, demand=(1,), now_ns=0)
    tier[:] = 2
    assert sched.queue_depth(0) == 2
    ids[:] = 0  # an array of the caller's own
    assert len(arrays.poll(sched, now_ns=0)) == 2


def test_pools_are_one_column_or_a_list_of_them_in_order_of_preference() -> None:
    config = tidegate.Config(dimensions=["slots"], pools=["h100", "a100", "l4"], tiers=[{"name": "only"}])
    sched = tidegate.Scheduler(config, now_ns=0)
    workers = [sched.worker_add({"slots": 1}, pool=pool, now_ns=0) for pool in ("h100", "a100", "l4")]
    sched.tenant_set("acme", now_ns=0)
    tenant = np.zeros(1, np.uint32)

    def placed(tenant: arrays.Column, pool: Any) -> list[int]:
        ids, refused = arrays.submit(sched, tenant=tenant, tier=0, demand=[1], pool=pool, now_ns=0)
        assert refused == []
        rows = arrays.poll(sched, now_ns=0)
        for row in rows:
            sched.complete(int(row["request"]), int(row["attempt"]), now_ns=0)
        assert {int(row["request"]) for row in rows} == {int(name) for name in ids}
        return [int(row["worker"]) for row in rows]

    assert placed(np.zeros(3, np.uint32), ["h100", "a100", "l4"]) == workers
    assert placed(tenant, [np.array([1], np.int32), 0, 2]) == [workers[1]]
    first, second = np.array([0, 0], np.int32), np.array([arrays.NONE, 2], np.int32)
    assert placed(np.zeros(2, np.uint32), (first, second)) == [workers[0], workers[2]]
    for wrong in ([], ["h100"] * 5):
        with pytest.raises(tidegate.BadArgument):
            arrays.submit(sched, tenant=tenant, tier=0, demand=[1], pool=wrong, now_ns=0)
    with pytest.raises(tidegate.UnknownPool):
        arrays.submit(sched, tenant=tenant, tier=0, demand=[1], pool=["h100", "nowhere"], now_ns=0)
