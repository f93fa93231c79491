"""Scenes in which vLLM's own scheduler makes an urgent request wait, or computes tokens again; and tidegate in each.

    python tests/engines/vllm/scenes.py

prints one table; nothing of it depends on how fast the machine is. Time is virtual: a step takes 20 ms.
"""

import os
import random
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import stage
from stage import BLOCK, Stage, request
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.request import Request, RequestStatus

import tidegate.vllm

STEP_NS = 20_000_000
SEEDS = range(5)
UNTRIED = range(1_000, 1_017)
"""Seeds of scene C on which nothing was ever tried: what was chosen by trial has to hold here too."""
BOUND = 3_000
"""More steps than any scene takes."""

SHARED = """
max_bypass = 0
drain_after = "1ns"
[[tiers]]
name = "realtime"
[[tiers]]
name = "near-realtime"
[[tiers]]
name = "batch"
"""
"""Nothing is reserved and nobody overtakes in a tier: what vLLM's own priorities do."""


class Ours(tidegate.vllm.Scheduler):
    """The scheduler as it is, at a virtual time."""

    now_ns = 0

    @classmethod
    def _clock(cls) -> int:
        return Ours.now_ns


class VirtualStage(Stage):
    """Steps take virtual time, and after each the books are compared with vLLM's."""

    def step(self) -> object:
        """One more."""
        output = super().step()
        Ours.now_ns += STEP_NS
        if isinstance(self.scheduler, Ours):
            self.scheduler.check_books()
        return output


@contextmanager
def config(text: str) -> Iterator[None]:
    """What TIDEGATE_CONFIG names for a while."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tidegate.toml"
        path.write_text(text)
        before = os.environ.get("TIDEGATE_CONFIG")
        os.environ["TIDEGATE_CONFIG"] = str(path)
        try:
            yield
        finally:
            os.environ.pop("TIDEGATE_CONFIG")
            if before is not None:
                os.environ["TIDEGATE_CONFIG"] = before


def staged(scheduler: type[AsyncScheduler], *, in_flight: int = 0, **size: int) -> VirtualStage:
    """An empty stage."""
    return VirtualStage(stage.build(scheduler, **size), in_flight=in_flight)


class Wait(NamedTuple):
    """How an urgent request fared."""

    steps: int
    """In which step after it came it was scheduled."""
    preemptions: int


def _urgent(on: VirtualStage, prompt: int) -> Wait:
    came, before = on.steps, on.preemptions
    on.add(request("urgent", priority=0, arrival=1e6, prompt=prompt, output=4, tier="realtime"))
    while "urgent" not in on.first_step:
        on.step()
        if on.steps - came > BOUND:
            raise AssertionError("the urgent request never starts")
    wait = Wait(on.first_step["urgent"] - came, on.preemptions - before)
    on.drain()
    return wait


def _batch(on: VirtualStage, count: int, *, prompt: int, output: int) -> None:
    for number in range(count):
        on.add(
            request(f"batch-{number}", priority=10, arrival=float(number), prompt=prompt, output=output, tier="batch")
        )


def slots_full(scheduler: type[AsyncScheduler], *, in_flight: int = 0) -> Wait:
    """A: every slot is taken by batch work."""
    on = staged(scheduler, in_flight=in_flight, slots=8, tokens=2_048, blocks=100_000)
    _batch(on, 8, prompt=64, output=500)
    for _ in range(20):
        on.step()
    return _urgent(on, prompt=64)


def memory_full(scheduler: type[AsyncScheduler], *, in_flight: int = 0) -> Wait:
    """B: slots are free, and the blocks are taken: 40 are wanted, and fewer are free."""
    on = staged(scheduler, in_flight=in_flight, slots=64, tokens=8_192, blocks=276)
    _batch(on, 8, prompt=512, output=500)
    on.step()
    while on.scheduler.kv_cache_manager.block_pool.get_num_free_blocks() >= 40:
        on.step()
    return _urgent(on, prompt=640)


def long_prompt(scheduler: type[AsyncScheduler], *, in_flight: int = 0) -> Wait:
    """F: one long batch prompt is being computed; slots and blocks are free."""
    on = staged(scheduler, in_flight=in_flight, slots=64, tokens=2_048, blocks=100_000)
    _batch(on, 1, prompt=32_768, output=4)
    on.step()
    return _urgent(on, prompt=64)


def grammars(scheduler: type[AsyncScheduler], *, waiting: int = 10_000) -> int:
    """E: requests wait for grammars that are being compiled; how many of them are looked at in a step."""
    on = staged(scheduler, slots=64, tokens=8_192, blocks=100_000)
    for number in range(waiting):
        on.add(waits_for_a_grammar(f"blocked-{number}", Future()))
    _batch(on, 32, prompt=16, output=500)
    looks = 0
    theirs = on.scheduler._handle_blocked_waiting_request

    def look(request: Request) -> bool:
        nonlocal looks
        looks += request.status == RequestStatus.WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR
        return theirs(request)

    on.scheduler._handle_blocked_waiting_request = look
    for _ in range(3):
        on.step()
    if len(on.first_step) != 32:
        raise AssertionError("those that are ready do not run")
    return looks // 3


def waits_for_a_grammar(name: str, compiled: object) -> Request:
    """An urgent request whose grammar is not there yet."""
    grammar = StructuredOutputsParams(regex="t+")
    params = SamplingParams(max_tokens=4, ignore_eos=True, structured_outputs=grammar, extra_args={"tier": 0})
    made = Request(name, [stage.TOKEN] * 16, params, None)
    made.structured_output_request._grammar = compiled
    return made


class Pressure(NamedTuple):
    """What became of 64 requests that do not fit at one time."""

    steps: int
    recomputed: int
    computed: int
    preemptions: int


def pressure(
    scheduler: type[AsyncScheduler], seed: int, *, ends_early: bool = False, policy: str = "priority"
) -> Pressure:
    """C: 64 requests at once, with three tenths of the blocks that all of them would take at their longest.

    With `ends_early` each may generate twice as much as it does: nobody knows when it ends.
    """
    chance = random.Random(seed)
    rows = [(chance.choice((0, 1, 1, 2, 2, 2)), chance.randint(64, 1024), chance.randint(32, 512)) for _ in range(64)]
    blocks = int(0.3 * sum(-(-(prompt + output) // BLOCK) for _, prompt, output in rows))
    on = VirtualStage(stage.build(scheduler, slots=64, tokens=2_048, blocks=blocks, policy=policy))
    for number, (tier, prompt, output) in enumerate(rows):
        asked = 2 * output if ends_early else output
        new = request(f"{number:02}", priority=tier, arrival=float(number), prompt=prompt, output=asked, tier=tier)
        if ends_early:  # by the word that its client stops at
            new.sampling_params.stop_token_ids = [stage.LAST]
            on.ends_after[new.request_id] = output
        on.add(new)
    on.drain(bound=BOUND)
    ideal = sum(prompt + output - 1 for _, prompt, output in rows)
    return Pressure(on.steps, on.computed - ideal, on.computed, on.preemptions)


def mean(runs: list[Pressure]) -> tuple[float, float]:
    """Steps, and tokens computed again."""
    return sum(run.steps for run in runs) / len(runs), sum(run.recomputed for run in runs) / len(runs)


def table() -> Iterator[str]:
    """The table of docs/ENGINES.md."""
    yield "| scene | vLLM 0.32 | tidegate |"
    yield "| --- | --- | --- |"
    for name, scene in (
        ("A: slots full, steps until scheduled (preemptions)", slots_full),
        ("B: KV blocks full, likewise", memory_full),
        ("F: behind a prompt of 32,768 tokens, likewise", long_prompt),
    ):
        theirs, ours = scene(AsyncScheduler), scene(Ours)
        yield f"| {name} | {theirs.steps} ({theirs.preemptions}) | {ours.steps} ({ours.preemptions}) |"
    looks = f"{grammars(AsyncScheduler):,} | {grammars(Ours):,}"
    yield f"| E: 10,000 wait for a grammar, of whom a step looks at | {looks} |"
    for name, early in (("C: 64 requests on 0.3 of the blocks", False), ("C, each ends half way to its limit", True)):
        theirs = mean([pressure(AsyncScheduler, seed, ends_early=early) for seed in SEEDS])
        with config(SHARED):
            ours = mean([pressure(Ours, seed, ends_early=early) for seed in SEEDS])
        yield f"| {name}, steps | {theirs[0]:,.1f} | {ours[0]:,.1f} |"
        yield f"| {name}, tokens computed again | {theirs[1]:,.0f} | {ours[1]:,.0f} |"


if __name__ == "__main__":
    for line in table():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
