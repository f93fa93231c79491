"""Raises an exception at every step of blocks in turn, and looks whether each request still ends once.

`python aio_cuts.py SCENARIO EXCEPTION AFTER` prints how many steps there were. A step is where the interpreter looks
for signals: where a function begins, after a call, where a loop goes back. Steps are counted, not timed, in the frames
of `tidegate.aio` and of the blocks here, so that each run is like the last one; nothing is raised inside asyncio.
"""

import asyncio
import dis
import sys
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from aio_world import ONE, JumpingLoop, gate_of, settled

import tidegate.aio
from tidegate.aio import Gate

LIBRARY = str(Path(tidegate.aio.__file__).parent)
TRACED = "block"
"""The functions of this file that steps are counted in begin so."""


@cache
def steps_of(code: CodeType) -> frozenset[int]:
    """The offsets of a function before which the interpreter looks for signals."""
    steps, looks = set(), False
    for instruction in dis.get_instructions(code):
        if looks:
            steps.add(instruction.offset)
        name = instruction.opname
        looks = name.startswith(("CALL", "JUMP_BACKWARD")) and not name.endswith("NO_INTERRUPT")
        looks = looks or (name == "RESUME" and (instruction.arg or 0) < 2)
    return frozenset(steps)


class Cut:
    """A trace function that counts steps, and raises at one of them."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.at = at
        self.error = error
        self.steps = 0

    def __call__(self, frame: FrameType, event: str, _arg: object) -> Callable[..., Any] | None:
        if event == "call":
            code = frame.f_code
            if code.co_filename.startswith(LIBRARY) or (
                code.co_filename == __file__ and code.co_name.startswith(TRACED)
            ):
                frame.f_trace_opcodes = True
                frame.f_trace_lines = False
                return self
            return None
        if event == "opcode" and frame.f_lasti in steps_of(frame.f_code):
            self.steps += 1
            if self.steps == self.at:
                raise self.error(f"at step {self.at}: {frame.f_code.co_qualname}, {frame.f_lineno}")
        return self


async def block(gate: Gate, tier: str, seconds: float, **spec: Any) -> None:
    """Holds a place, and yields when it is asked to."""
    async with gate.admit(tenant="acme", tier=tier, demand=ONE, **spec) as grant:
        for step in range(2):
            await asyncio.sleep(seconds / 2)
            if grant.preempted:
                await grant.yield_(tokens_kept=step)
            grant.progress(output_tokens=step)


async def block_that_fails(gate: Gate) -> None:
    """Fails, and says so to nobody."""
    try:
        async with gate.admit(tenant="acme", tier="batch", demand=ONE) as grant:
            grant.started()
            raise ValueError("the engine failed")
    except ValueError:
        return


async def block_that_gives_up(gate: Gate) -> None:
    """Waits for a second."""
    try:
        async with asyncio.timeout(1):
            await block(gate, "batch", 1)
    except TimeoutError:
        return


def preempted(gate: Gate) -> list[Awaitable[None]]:
    """A victim goes, comes back, and an urgent one takes its place in between."""
    return [block(gate, "batch", 4), later(1, block(gate, "realtime", 1))]


def refused(gate: Gate) -> list[Awaitable[None]]:
    """One fails, one gives up waiting, and one has no time to."""
    return [
        block_that_fails(gate),
        block(gate, "batch", 3),
        later(0.1, block_that_gives_up(gate)),
        later(0.1, block(gate, "near-realtime", 1)),
    ]


def lost(gate: Gate) -> list[Awaitable[None]]:
    """A worker is lost under a block, which gets the place of another one when that ends."""
    gate.worker_add([1, 100])
    return [block(gate, "batch", 4), block(gate, "batch", 2), later(1, lose(gate))]


async def later(seconds: float, main: Awaitable[None]) -> None:
    """The same after a while."""
    await asyncio.sleep(seconds)
    await main


async def lose(gate: Gate) -> None:
    """Loses the first worker."""
    gate.worker_lost(0)


SCENARIOS = {scenario.__name__: scenario for scenario in (preempted, refused, lost)}


async def everybody(scenario: Callable[[Gate], list[Awaitable[None]]], cut: Cut, made: list[Gate]) -> None:
    """Plays a scenario, cut at a step."""
    made.append(gate_of(1))
    tasks = [asyncio.ensure_future(main) for main in scenario(made[0])]
    sys.settrace(cut)
    await asyncio.wait(tasks)
    sys.settrace(None)


def leave(loop: asyncio.AbstractEventLoop, cancels: bool) -> None:
    """Ends all tasks, as `asyncio.run` does after an interrupt, or lets them end."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        if cancels:
            task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=100))
    left = asyncio.all_tasks(loop)
    assert not left, left


def play(scenario: str, at: int, error: type[BaseException], cancels: bool) -> int:
    """Plays a scenario with one cut. How many steps there were up to it."""
    cut, made = Cut(at, error), list[Gate]()
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        loop = runner.get_loop()
        try:
            runner.run(asyncio.wait_for(everybody(SCENARIOS[scenario], cut, made), 1_000))
        except error:
            pass
        finally:
            sys.settrace(None)
        leave(loop, cancels)
        # What a finished task still has to tell.
        loop.run_until_complete(asyncio.sleep(0))
        settled(made[0])
    return cut.steps


def main(scenario: str, error: str, after: str) -> None:
    """Cuts at each step there is."""
    kind = {"KeyboardInterrupt": KeyboardInterrupt, "MemoryError": MemoryError}[error]
    at = 1
    while True:
        try:
            steps = play(scenario, at, kind, after == "cancel")
        except BaseException as fault:
            raise SystemExit(f"cut at step {at} of {scenario}: {fault!r}") from fault
        if steps < at:
            print(steps)
            return
        at += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
