"""Random blocks, fleets and clocks: whatever happens, the scheduler counts each block once, as it ended."""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

from aio_world import gate_of, run, settled
from hypothesis import given, settings
from hypothesis import strategies as st

import tidegate
from tidegate.aio import Dropped, Gate, PlaceLost

SECONDS = st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0])
BLOCKS = st.fixed_dictionaries(
    {
        "tier": st.sampled_from(["realtime", "near-realtime", "batch", "batch"]),
        "slots": st.integers(1, 3),
        "seconds": SECONDS,
        "patience": st.sampled_from([0.3, 2.0, 100.0]),
        "queue_timeout_ns": st.sampled_from([None, None, 500_000_000]),
        "yielding": st.sampled_from(["restart", "restart", "checkpoint", "never"]),
        "manner": st.sampled_from(["yields", "yields", "ignores", "declines", "fails", "grows"]),
    }
)
DEEDS = st.one_of(
    st.tuples(st.just("come"), BLOCKS),
    st.tuples(st.just("come"), BLOCKS),
    st.tuples(st.just("wait"), SECONDS),
    st.tuples(st.just("cancel"), st.integers(0, 99)),
    st.tuples(st.sampled_from(["worker_lost", "worker_drain"]), st.integers(0, 3)),
    st.tuples(st.just("worker_add"), st.integers(1, 4)),
    st.tuples(st.just("worker_resize"), st.integers(1, 4)),
    st.tuples(st.just("clock"), st.sampled_from([-5, 0, 5])),
)


class Host:
    """Blocks that note how they ended."""

    def __init__(self) -> None:
        self.clock_off_ns = 0
        loop: Any = asyncio.get_running_loop()
        clock_ns = lambda: max(0, loop.now_ns() + self.clock_off_ns)  # noqa: E731
        self.gate: Gate = gate_of(2, clock_ns=clock_ns, confirm_after="1s", decline_backoff="100ms")
        self.tasks: list[asyncio.Task[None]] = []
        self.ended: Counter[str] = Counter()

    async def block(self, spec: dict[str, Any]) -> None:
        """Runs one, and counts how it ended."""
        try:
            await self.hold(dict(spec))
        except tidegate.SubmitError:
            self.ended["refused"] += 1
        except ValueError:
            self.ended["failed"] += 1
        except (asyncio.CancelledError, TimeoutError, PlaceLost, Dropped):
            # Which it was may differ: one can be cancelled before it hears that it was dropped.
            self.ended["stopped"] += 1
        else:
            self.ended["completed"] += 1

    async def hold(self, spec: dict[str, Any]) -> None:
        """One block, as its manner is."""
        slots, seconds, manner = spec.pop("slots"), spec.pop("seconds"), spec.pop("manner")
        spec["demand"] = [slots, 10]
        async with asyncio.timeout(spec.pop("patience")), self.gate.admit(tenant="acme", **spec) as grant:
            if manner == "declines":
                await grant.decline()
            for step in range(3):
                await asyncio.sleep(seconds / 3)
                if grant.preempted and manner != "ignores":
                    await grant.yield_(tokens_kept=step)
                with suppress(PlaceLost):
                    grant.progress(output_tokens=step, in_use=[slots, 90 if manner == "grows" else 10])
                if manner == "fails":
                    grant.check()
                    raise ValueError
            grant.check()

    def do(self, deed: str, what: Any) -> None:
        """One deed, and what holds after it."""
        match deed:
            case "come":
                self.tasks.append(asyncio.create_task(self.block(what)))
            case "cancel" if self.tasks:
                self.tasks[what % len(self.tasks)].cancel()
            case "clock":
                self.clock_off_ns += what * 100_000_000
            case "worker_add":
                self.gate.worker_add([what, 100 * what])
            case "worker_resize":
                with suppress(tidegate.WorkerError):
                    self.gate.worker_resize(0, [what, 100 * what], preempt_after_ns=0)
            case "worker_lost" | "worker_drain":
                with suppress(tidegate.WorkerError):
                    getattr(self.gate, deed)(what)
        self.gate.scheduler.check_invariants()

    async def play(self, deeds: list[tuple[str, Any]]) -> None:
        """All deeds; then there is room for all that are left."""
        for deed, what in deeds:
            if deed == "wait":
                await asyncio.sleep(what)
            self.do(deed, what)
        self.gate.worker_add([8, 800])
        if self.tasks:
            _, left = await asyncio.wait(self.tasks, timeout=1_000)
            assert not left
        stats = settled(self.gate)
        assert stats.submitted == self.ended.total() - self.ended["refused"]
        assert stats.completed == self.ended["completed"]
        assert stats.failed >= self.ended["failed"]


@settings(max_examples=300)
@given(st.lists(DEEDS, max_size=40))
def test_each_block_is_counted_once_as_it_ended(deeds: list[tuple[str, Any]]) -> None:
    async def main() -> None:
        host = Host()
        async with host.gate:
            await host.play(deeds)

    run(main())
