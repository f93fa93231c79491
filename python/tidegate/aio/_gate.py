"""The gate that the requests of a server pass: `async with gate.admit(...) as grant`.

It has the public face alone: what it shares with its grants is the room, and what a grant does is the grant's.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tidegate._enums import Yielding
from tidegate._errors import BadArgument
from tidegate._tidegate import AlsoLost, Config, LeaseWanted, Scheduler
from tidegate.aio._fleet import Fleet
from tidegate.aio._grant import Amounts, Grant, amounts
from tidegate.aio._room import Room


class Admission:
    """What `Gate.admit` returns: a block that begins when the request is started."""

    __slots__ = ("_grant",)

    def __init__(self, grant: Grant) -> None:
        self._grant = grant

    @property
    def grant(self) -> Grant:
        """What the block will get: its `request` is known once it waits, for whoever wants it explained."""
        return self._grant

    async def __aenter__(self) -> Grant:
        """Waits for the turn of the request."""
        await self._grant._open()
        return self._grant

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the request: complete, failed for an `Exception`, cancelled for what else ends a task."""
        self._grant._close(error)


class Gate(Fleet):
    """One scheduler, and the requests that pass it in one event loop. It has no task and no thread.

    Made inside the loop, and closed by `aclose`, or used as `async with Gate(config) as gate`. `clock_ns` gives
    monotonic nanoseconds. `max_waiting` bounds those that wait for their first start: more are refused, `GateFull`;
    less than 1 is `BadArgument`, because all wait for a moment. `on_lease_wanted` hears what leased limits want
    (`AsyncLeases.ask`), and `on_also_lost` which workers died with one that was told as lost.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        max_waiting: int | None = None,
        on_lease_wanted: Callable[[LeaseWanted], object] | None = None,
        on_also_lost: Callable[[AlsoLost], object] | None = None,
    ) -> None:
        if max_waiting is not None and max_waiting < 1:
            raise BadArgument("max_waiting is less than 1")
        self._room = Room(config, clock_ns, max_waiting, on_lease_wanted, on_also_lost)

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler, for its questions (`stats`, `explain`, `usage`); its verbs are the gate's to say."""
        return self._room.scheduler

    @property
    def waiting(self) -> int:
        """How many wait for their first start."""
        return len(self._room.lobby)

    @property
    def inside(self) -> int:
        """How many were started and have not ended."""
        return len(self._room.grants) - len(self._room.lobby)

    @property
    def is_open(self) -> bool:
        """Whether new requests are taken."""
        return self._room.shut is None

    def admit(
        self,
        *,
        tenant: str | int,
        tier: str | int,
        demand: Amounts,
        pool: str | int | list[str | int] | tuple[str | int, ...] = 0,
        peak: Amounts | None = None,
        prompt_tokens: int = 0,
        cached_tokens: int = 0,
        output_tokens: int | None = None,
        yielding: Yielding | str = "restart",
        deadline_ns: int | None = None,
        queue_timeout_ns: int | None = None,
        tag: int = 0,
    ) -> Admission:
        """A block for a request that is described as to `Scheduler.submit`; it waits at its beginning.

        The begin raises `SubmitError` (`OverQuota` with `retry_after`, `QueueFull`, `GateFull`, `NeverFits`, ...),
        `TenantError`, `Dropped` (`QueueTimeout`), `Closed`, `WrongLoop`, `ClockError`. The block belongs to the task
        that opens it: if that ends and the block has not, the request is cancelled.
        """
        spec: dict[str, Any] = {
            "tenant": tenant,
            "tier": tier,
            "demand": amounts(demand),
            "pool": pool,
            "peak": peak,
            "prompt_tokens": prompt_tokens,
            "cached_tokens": cached_tokens,
            "output_tokens": output_tokens,
            "yielding": yielding,
            "deadline_ns": deadline_ns,
            "queue_timeout_ns": queue_timeout_ns,
            "tag": tag,
        }
        return Admission(Grant(self._room, spec))

    def poll(self) -> None:
        """Has a turn soon: for a clock that jumps. All else that the gate hears has one by itself."""
        self._room.here()
        self._room.soon()

    async def drain(self, *, within: float | None) -> bool:
        """Takes nothing new, and waits for all that came before. False if some are left after `within` seconds."""
        self._room.here()
        self._room.shut = self._room.shut or "the gate is draining"
        return await self._room.watch(lambda: not self._room.grants, within)

    async def aclose(self) -> None:
        """Takes nothing new; those that wait are told `Closed`, those inside by `preempted`, and end as they end.

        Waits for nobody: `drain` does. Twice is as good as once.
        """
        self._room.here()
        self._room.close()

    async def __aenter__(self) -> Self:
        self._room.here()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
