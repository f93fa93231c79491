"""The gate's timer in loops whose timers are early."""

import asyncio
from typing import Any

import pytest

import tidegate
from tidegate.aio import Gate, QueueTimeout


class Early:
    """What `call_later` returns, of a timer that rings 50 ms before its time; those of uvloop do so by up to one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float, *args: Any, **context: Any) -> None:
        self._told = loop.time() + delay
        self._handle = loop.call_at(self._told - 0.05, *args, **context)

    def when(self) -> float:
        return self._told

    def cancel(self) -> None:
        self._handle.cancel()


def test_a_timer_that_rings_early_rings_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        config = tidegate.Config(dimensions=["slots"], tiers=[{"name": "only", "queue_timeout": "200ms"}])
        monkeypatch.setattr(loop, "call_later", lambda *args, **context: Early(loop, *args, **context))
        async with asyncio.timeout(20), Gate(config) as gate:
            gate.worker_add([1])
            async with gate.admit(tenant="acme", tier=0, demand=[1]):
                with pytest.raises(QueueTimeout):
                    async with gate.admit(tenant="acme", tier=0, demand=[1]):
                        pass

    asyncio.run(scene())
