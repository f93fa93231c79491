"""A world for the tests of `tidegate.aio`: a loop whose time jumps, a gate that lives by it, and what must be left.

In this loop nothing hangs: where nobody would ever be woken, it says so instead of waiting.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import tidegate
from tidegate.aio import Gate

T = TypeVar("T")

ONE = {"slots": 1, "kv_blocks": 10}
MOST_STEPS_AT_ONCE = 2_000_000
"""Iterations of the loop without time passing: more than any test has."""


class NobodyWakes(Exception):
    """Everybody waits, and no timer is set: on a real loop this would be for ever."""


class _Jump(selectors.DefaultSelector):
    """Waits for nothing: tells the loop to jump instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.steps_at_once = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        self.steps_at_once += 1
        if self.steps_at_once > MOST_STEPS_AT_ONCE:
            raise NobodyWakes("the loop goes round without an end")
        if not events and timeout is None:
            raise NobodyWakes("nothing is to come")
        if not events and timeout:
            self.now += timeout
            self.steps_at_once = 0
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time goes to the next timer when nothing is to be done."""

    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)
        self.faults: list[dict[str, Any]] = []
        """What was reported to the loop's exception handler."""
        self.set_exception_handler(lambda _, context: self.faults.append(context))

    def time(self) -> float:
        return self.jump.now

    def now_ns(self) -> int:
        """The loop's time, as a gate's clock."""
        return int(self.jump.now * 1e9)


def run(main: Coroutine[Any, Any, T], *, faults: int = 0) -> T:
    """Runs it in a jumping loop, an hour of its time at most. So many faults are to be reported to the loop."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        answer = runner.run(asyncio.wait_for(main, 3_600))
        loop = runner.get_loop()
        assert isinstance(loop, JumpingLoop)
        assert len(loop.faults) == faults, loop.faults
        return answer


def config(**settings: Any) -> tidegate.Config:
    """Three tiers over slots and blocks; half is the first one's, and nothing is held back."""
    tiers = [
        {"name": "realtime", "reserve_ppm": 500_000, "hold_window": "0s"},
        {"name": "near-realtime", "hold_window": "0s"},
        {"name": "batch", "hold_window": "0s"},
    ]
    return tidegate.Config(**{"dimensions": ["slots", "kv_blocks"], "tiers": tiers, "min_run": "0s", **settings})


def gate_of(slots: int = 4, *, clock_ns: Callable[[], int] | None = None, **settings: Any) -> Gate:
    """A gate with one worker of so many slots, 100 blocks for each."""
    options = {
        name: settings.pop(name) for name in ("max_waiting", "on_lease_wanted", "on_also_lost") if name in settings
    }
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    gate = Gate(config(**settings), clock_ns=clock_ns or loop.now_ns, **options)
    if slots:
        gate.worker_add([slots, 100 * slots])
    return gate


def settled(gate: Gate) -> tidegate.Stats:
    """Asserts that nothing is left of any request, in the gate and in its scheduler. Returns its counters."""
    assert (gate.waiting, gate.inside) == (0, 0)
    stats = gate.scheduler.stats()
    assert stats.live == 0
    assert stats.submitted == stats.completed + stats.failed + stats.cancelled + stats.dropped
    gate.scheduler.check_invariants()
    return stats


def ended(gate: Gate) -> tuple[int, int, int, int]:
    """How many requests were completed, failed, cancelled and dropped, of which nothing is left."""
    stats = settled(gate)
    return stats.completed, stats.failed, stats.cancelled, stats.dropped


async def hold(gate: Gate, tier: str, seconds: float, **spec: Any) -> None:
    """A block that holds a place for a while, and yields when it is asked to."""
    left = seconds
    async with gate.admit(**{"tenant": "acme", "tier": tier, "demand": ONE, **spec}) as grant:
        loop = asyncio.get_running_loop()
        while left > 0:
            since = loop.time()
            try:
                async with asyncio.timeout(left):
                    asked = await grant.preempted
            except TimeoutError:
                return
            assert asked
            left -= loop.time() - since
            await grant.yield_()


async def inside(gate: Gate, count: int) -> None:
    """Waits until so many blocks have begun."""
    await until(lambda: gate.inside == count)
    await asyncio.sleep(0)  # the task of the last


async def until(condition: Callable[[], bool]) -> None:
    """Lets the others go on until it holds, a hundred turns at most."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come")
