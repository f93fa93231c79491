"""Many streams open at one time, each of which is whole in the end."""

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_world import Clients, Told, body_of, is_whole, run, world

STREAMS = 5_000
WITHIN = 280
"""Seconds, on a machine that is slow and busy."""
PATIENT = dict.fromkeys(["silence", "health_timeout", "connect_timeout", "body_timeout", "write_timeout"], "250s")


@pytest.fixture
def many_files() -> Iterator[None]:
    """Clients and engine have a connection for each stream; a program that is started here may have as many files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 3 * STREAMS
    allowed = before[1] == resource.RLIM_INFINITY or before[1] >= needed
    assert allowed, f"a process may have {before[1]} files here: ulimit -Hn {needed}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_files")
def test_five_thousand_streams_are_open_at_once(tmp_path: Path) -> None:
    with world(tmp_path, slots=STREAMS, **PATIENT) as (gateway, (engine,)):
        engine.control(hold=True)
        body = body_of("open", 5, stream=True)

        async def scene(asking: Clients) -> list[Told]:
            firsts = [asyncio.Event() for _ in range(STREAMS)]
            tasks = [asyncio.create_task(asking.ask(body, first=first)) for first in firsts]
            for first in firsts:
                await first.wait()
            assert (await asyncio.to_thread(engine.stats))["running"] == STREAMS
            assert gateway.live() == STREAMS
            await asyncio.to_thread(engine.control, hold=False)
            return await asyncio.gather(*tasks)

        told = run(gateway.url, scene, WITHIN)
        assert sum(is_whole(one, body) for one in told) == STREAMS
        assert gateway.live() == 0
