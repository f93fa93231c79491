"""Batches as NumPy arrays: what `submit_many`, `complete_many`, `step` and `poll` do, without an object for each item.

Needs NumPy (`pip install tidegate[numpy]`). A **column** is an array of one dimension with a whole number for each row,
of any width and stride (a field of a structured array does), or one number for all rows. Any other object with such a
buffer does as well. All arrays of a call have as many rows. **Amounts** are an array of shape (rows, dimensions), in
the order of the config; or, for all rows, a mapping by the names of the dimensions, or numbers in their order.

A column of the wrong type (floats, objects, another machine's order of bytes) raises `TypeError`, one of another
length `BadArgument`, each with a note of its name, and nothing has happened. What a row is refused for keeps none of
the others back.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate import Action, _tidegate
from tidegate._enums import QuotaLimit, Reason, Yielding, YieldMode
from tidegate._errors import Error

__all__ = ["ACTION", "NONE", "Column", "Kind", "Submitted", "action", "complete", "poll", "step", "submit"]

Column: TypeAlias = npt.NDArray[np.integer[Any]] | int
"""Whole numbers, one for each row; or one for all."""

Amounts: TypeAlias = npt.NDArray[np.integer[Any]] | Mapping[str, int] | Iterable[int]
"""Units: a row of them, in the order of the config's dimensions, for each row; or the same for all."""

NONE = -1
"""Stands for `None` in a column of `output_tokens`, `deadline_ns` or `queue_timeout_ns`."""


class Kind(IntEnum):
    """What an action is: the field `kind` of `ACTION`."""

    START = 1
    PREEMPT = 2
    SPARE = 3
    ABORT = 4
    DROP = 5
    STUCK = 6
    LEASE_WANTED = 7
    ALSO_LOST = 8


ACTION = np.dtype(
    [
        ("kind", np.uint8),
        ("mode", np.uint8),
        ("limit", np.uint8),
        ("reason", np.uint8),
        ("tenant", np.uint32),
        ("worker", np.uint32),
        ("attempt", np.uint32),
        ("request", np.uint64),
        ("resume_tokens", np.uint64),
        ("beneficiary", np.uint64),
        ("confirm_by_ns", np.uint64),
        ("seq", np.uint64),
        ("tokens", np.uint64),
        ("returned", np.int64),
    ]
)
"""An action of any kind; what its kind does not have is 0.

`kind` is a `Kind`. `request` is also the victim of a `Preempt`, `Spare` or `Stuck`; `beneficiary` 0 is none, and
of `ALSO_LOST` the worker whose fault took it along. `mode` and
`limit` count the members of `YieldMode` and `QuotaLimit` from 0, `reason` those of `Reason` from 1. Instants are
nanoseconds.
"""

_ID = np.dtype(np.uint64)
_REASONS, _MODES, _LIMITS = tuple(Reason), tuple(YieldMode), tuple(QuotaLimit)


class Submitted(NamedTuple):
    """What became of submitted rows."""

    ids: npt.NDArray[np.uint64]
    """The id of each row's request; 0, which no request has, where it was refused."""
    refused: list[tuple[int, Error]]
    """The rows that were refused, in their order, each with what `submit` would raise."""


def submit(
    scheduler: _tidegate.Scheduler,
    *,
    tenant: Column | str,
    tier: Column | str,
    demand: Amounts,
    pool: Column | str | list[Column | str] | tuple[Column | str, ...] = 0,
    peak: Amounts | None = None,
    prompt_tokens: Column = 0,
    cached_tokens: Column = 0,
    output_tokens: Column | None = None,
    yielding: Column | Yielding | str = "restart",
    deadline_ns: Column | None = None,
    queue_timeout_ns: Column | None = None,
    tag: Column = 0,
    now_ns: int,
) -> Submitted:
    """Submits a request for each row, in their order, to `scheduler`: the arguments of `Scheduler.submit` as columns.

    `tenant`, `tier` and `pool` are columns of numbers, or one name for all rows; a list of up to four of these as
    `pool` is one in order of preference, where in all but the first `NONE` is none. `demand` and `peak` are amounts in
    units. `prompt_tokens`, `cached_tokens` and `output_tokens` are columns of tokens, `deadline_ns` of instants and
    `queue_timeout_ns` of spans in nanoseconds; in `output_tokens` and the last two `NONE` is none. `yielding` is one
    word, or a column of numbers that count the members of `Yielding` from 0. `tag` is the host's own. `now_ns` is the
    time in nanoseconds. At least one is an array. Raises `TypeError`, `BadArgument`, and `UnknownTier` or `UnknownPool`
    for a name.
    """
    ids, refused = _tidegate.submit_columns(
        scheduler,
        tenant=tenant,
        tier=tier,
        demand=demand,
        pool=pool,
        peak=peak,
        prompt_tokens=prompt_tokens,
        cached_tokens=cached_tokens,
        output_tokens=output_tokens,
        yielding=yielding,
        deadline_ns=deadline_ns,
        queue_timeout_ns=queue_timeout_ns,
        tag=tag,
        now_ns=now_ns,
    )
    return Submitted(np.frombuffer(ids, _ID), refused)


def complete(
    scheduler: _tidegate.Scheduler,
    request: Column,
    attempt: Column,
    *,
    prompt_tokens: Column = 0,
    cached_tokens: Column = 0,
    output_tokens: Column = 0,
    now_ns: int,
) -> list[tuple[int, Error]]:
    """Tells `scheduler` that the requests of all rows are done: the arguments of `Scheduler.complete` as columns.

    `request` has ids, `attempt` the attempts that ended; `prompt_tokens`, `cached_tokens` and `output_tokens` are
    tokens. `now_ns` is the time in nanoseconds. Returns the rows that were refused, in their order, each with what
    `complete` would raise. Raises `TypeError`, `BadArgument`.
    """
    return _tidegate.complete_columns(
        scheduler,
        request,
        attempt,
        prompt_tokens=prompt_tokens,
        cached_tokens=cached_tokens,
        output_tokens=output_tokens,
        now_ns=now_ns,
    )


def step(
    scheduler: _tidegate.Scheduler,
    worker: int,
    *,
    tokens_each: int = 1,
    request: Column,
    attempt: Column,
    output_tokens: Column,
    in_use: Amounts,
    now_ns: int,
) -> None:
    """Tells `scheduler` of a whole engine step: `Scheduler.step` with a row for each of its exceptions.

    Every request on the `worker` generated `tokens_each` tokens but those of the rows: `request` and `attempt` name
    them, `output_tokens` are the tokens that each has generated so far, `in_use` the amounts in units that it holds.
    `now_ns` is the time in nanoseconds. Refused whole, as `Scheduler.step` is; raises `TypeError`, `BadArgument` too.
    """
    _tidegate.step_columns(
        scheduler,
        worker,
        tokens_each=tokens_each,
        request=request,
        attempt=attempt,
        output_tokens=output_tokens,
        in_use=in_use,
        now_ns=now_ns,
    )


def poll(scheduler: _tidegate.Scheduler, *, now_ns: int) -> npt.NDArray[np.void]:
    """Returns the actions of a whole round of `scheduler`, in order, as an array of `ACTION` of one dimension.

    `now_ns` is the time in nanoseconds.

    ```python
    actions = arrays.poll(sched, now_ns=now)
    starts = actions[actions["kind"] == arrays.Kind.START]
    engine.start(starts["request"], starts["worker"], starts["attempt"])
    ```
    """
    return np.frombuffer(_tidegate.poll_rows(scheduler, now_ns=now_ns), ACTION)


def action(row: np.void) -> Action:
    """Returns the object that `Scheduler.poll` gives for this `row` of `ACTION`: for the kinds that are rare."""
    kind, mode, limit, number, tenant, worker, attempt, request, resume_tokens, *others = row.item()
    beneficiary, confirm_by_ns, seq, tokens, returned = others
    reason = _REASONS[number - 1]
    made: Action
    match Kind(kind):
        case Kind.START:
            made = _tidegate.Start(request, worker, attempt, resume_tokens, reason)
        case Kind.PREEMPT:
            made = _tidegate.Preempt(request, attempt, _MODES[mode], beneficiary or None, confirm_by_ns, reason)
        case Kind.SPARE:
            made = _tidegate.Spare(request, attempt, reason)
        case Kind.ABORT:
            made = _tidegate.Abort(request, attempt, reason)
        case Kind.DROP:
            made = _tidegate.Drop(request, reason)
        case Kind.STUCK:
            made = _tidegate.Stuck(request, attempt, reason)
        case Kind.LEASE_WANTED:
            made = _tidegate.LeaseWanted(tenant, _LIMITS[limit], seq, tokens, returned, reason)
        case Kind.ALSO_LOST:
            made = _tidegate.AlsoLost(worker, beneficiary, reason)
    return made
