"""Ten thousand at once, with cancellations, timeouts and preemptions at random: nothing is left of them."""

import asyncio
import gc
import random
import tracemalloc
from collections import Counter

from aio_world import ONE, gate_of, run, settled

import tidegate
from tidegate.aio import Dropped, Gate

WAITERS = 10_000
SLOTS = 300
STEPS = 3
SECOND = 1_000_000_000
MOST_LEFT_BYTES = 256 << 10
"""Of a gate and its whole crowd: 26 bytes a request, less than an object takes that one could leave. Not zero: the
interpreter keeps freed tuples for later."""


class Crowd:
    """Blocks that come, wait, are asked to yield, give up, fail or end."""

    def __init__(self, gate: Gate, seed: int) -> None:
        self.gate = gate
        self.random = random.Random(seed)
        self.met: Counter[str] = Counter()
        self.most_waiting = 0

    async def work(self, tier: str, seconds: float, patience: float, queue_timeout_ns: int | None) -> None:
        """One block, which says what became of it."""
        fails = self.random.random() < 0.05
        try:
            async with (
                asyncio.timeout(patience),
                self.gate.admit(
                    tenant=f"t{self.random.randrange(20)}",
                    tier=tier,
                    demand=ONE,
                    prompt_tokens=10,
                    queue_timeout_ns=queue_timeout_ns,
                ) as grant,
            ):
                for step in range(STEPS):
                    await asyncio.sleep(seconds / STEPS)
                    if grant.preempted:
                        self.met["preempted"] += 1
                        await grant.yield_(tokens_kept=step)
                    grant.progress(output_tokens=step)
                if fails:
                    raise ValueError("the engine failed")
            self.met["done"] += 1
        except ValueError:
            self.met["failed"] += 1
        except Dropped:
            self.met["dropped"] += 1
        except TimeoutError:
            self.met["gave up"] += 1

    def newcomer(self) -> asyncio.Task[None]:
        """A task of a random kind."""
        chance = self.random
        tier = chance.choice(["realtime", "near-realtime", "near-realtime", *["batch"] * 7])
        patience = chance.choice([chance.uniform(0, 40), 1_000])
        queue_timeout_ns = chance.choice([None, None, None, chance.randrange(30 * SECOND)])
        return asyncio.create_task(self.work(tier, chance.uniform(0.1, 2), patience, queue_timeout_ns))

    async def wave(self, number: int) -> None:
        """So many at once, then realtime that takes its share back while others are cancelled at random."""
        tasks = [self.newcomer() for _ in range(number)]
        for _ in range(12):
            await asyncio.sleep(self.random.uniform(1, 2))
            self.most_waiting = max(self.most_waiting, self.gate.waiting)
            tasks += [asyncio.create_task(self.work("realtime", 0.5, 1_000, None)) for _ in range(100)]
            for task in self.random.sample(tasks, 50):
                self.met["cancelled"] += task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)


def left_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_nothing_is_left_of_ten_thousand() -> None:
    async def crowd_of(number: int) -> tuple[Counter[str], int]:
        async with gate_of(SLOTS, min_run="500ms") as gate:
            crowd, tasks = Crowd(gate, 1), len(asyncio.all_tasks())
            await crowd.wave(number)
            stats = settled(gate)
            assert stats.submitted >= number
            assert len(asyncio.all_tasks()) == tasks
            assert stats.by_reason[tidegate.Reason.RECLAIM] >= crowd.met["preempted"]
            return crowd.met, crowd.most_waiting

    async def main() -> tuple[Counter[str], int, int]:
        # What is made once, and the loop's own tables at their full size.
        await crowd_of(500)
        await asyncio.gather(*(asyncio.sleep(1) for _ in range(2 * WAITERS)))
        tracemalloc.start()
        try:
            before = left_bytes()
            met, most_waiting = await crowd_of(WAITERS)
            return met, most_waiting, left_bytes() - before
        finally:
            tracemalloc.stop()

    met, most_waiting, left = run(main())
    print(f"{left} bytes are left of {WAITERS}; {most_waiting} waited at once; {dict(met)}")
    assert most_waiting > 0.9 * WAITERS
    assert min(met[what] for what in ("done", "failed", "dropped", "gave up", "cancelled", "preempted")) > 100
    assert left < MOST_LEFT_BYTES
