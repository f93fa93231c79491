"""What a gateway adds, and how many requests a second one core of it serves, against a stub engine.

usage: gateway_load.py [REQUESTS] [CLIENTS] [STREAMS]

The stub answers at once. Prints, for short requests by so many clients at a time: latency through the gateway and to
the engine itself, in turns in the same run; the gateway's own CPU time for each request, and how many of them that is a
second. Then holds so many streams open at once, and prints how many were whole. On a machine that does other things
only CPU time says something.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path

from gateway_world import Clients, Program, body_of, clients, is_whole, world

TURNS = 5
PATIENT = {"silence": "60s", "health_timeout": "30s", "connect_timeout": "30s"}
"""Stub, gateway and clients share a machine, and all begin at once."""


def cpu_seconds(program: Program) -> float:
    """What a process has used until now, in user and system mode."""
    fields = Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def burst(asking: Clients, number: int, at_a_time: int, stream: bool) -> tuple[list[float], float]:
    """Asks so often, by so many clients: each latency, and how long all took."""
    left = deque(range(number))
    latencies: list[float] = []

    async def client() -> None:
        while left:
            body = body_of(f"{left.popleft()}", 8, stream=stream)
            began = time.perf_counter()
            told = await asking.ask(body)
            latencies.append(time.perf_counter() - began)
            assert told.status == 200, told

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_a_time)))
    return latencies, time.perf_counter() - began


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def compare(gateway: Program, engine: Program, requests: int, at_a_time: int, stream: bool) -> None:
    """Through the gateway and without it, in turns."""
    through: list[float] = []
    direct: list[float] = []
    used = took = 0.0
    async with clients(gateway.url, 600, keeps=True) as by_gateway, clients(engine.url, 600, keeps=True) as by_engine:
        await burst(by_gateway, at_a_time, at_a_time, stream)
        for _ in range(TURNS):
            before = cpu_seconds(gateway)
            latencies, seconds = await burst(by_gateway, requests // TURNS, at_a_time, stream)
            used, took = used + cpu_seconds(gateway) - before, took + seconds
            through += latencies
            direct += (await burst(by_engine, requests // TURNS, at_a_time, stream))[0]
    each = used / len(through)
    kind = "streamed" if stream else "whole"
    print(f"{kind}, {at_a_time} at a time, {len(through)} requests: {len(through) / took:.0f}/s seen;", end=" ")
    print(f"CPU {each * 1e6:.0f} us each = {1 / each:.0f}/s of one core", end="; ")
    for share in (0.5, 0.99):
        more = (quantile(through, share) - quantile(direct, share)) * 1e3
        print(f"p{share * 100:.0f} {quantile(through, share) * 1e3:.2f} ms, added {more:.2f} ms", end="; ")
    print()


async def hold_open(gateway: Program, number: int) -> None:
    """So many streams at once."""
    body = body_of("open", 12, stream=True)
    async with clients(gateway.url, 600) as asking:
        began = time.perf_counter()
        told = await asyncio.gather(*(asking.ask(body) for _ in range(number)))
        whole = sum(is_whole(one, body) for one in told)
        print(f"{whole} of {number} streams at once were whole, {time.perf_counter() - began:.1f} s", end="; ")
        others = Counter((one.status, one.code) for one in told if not is_whole(one, body))
        print(", ".join(f"{count} were told {why}" for why, count in others.items()) or "no other answers")


def main() -> None:
    """Prints its figures."""
    requests, at_a_time, streams = (int(word) for word in (sys.argv[1:] + ["2000", "32", "1000"][len(sys.argv) - 1 :]))
    with (
        tempfile.TemporaryDirectory() as folder,
        world(Path(folder), slots=max(streams, at_a_time), **PATIENT) as (gateway, (engine,)),
    ):
        asyncio.run(compare(gateway, engine, requests // 4, 1, stream=False))
        asyncio.run(compare(gateway, engine, requests, at_a_time, stream=False))
        asyncio.run(compare(gateway, engine, requests, at_a_time, stream=True))
        if streams:
            engine.control(pause=0.5)
            asyncio.run(hold_open(gateway, streams))
            print(f"most at the engine at one time: {engine.stats()['most']}")


if __name__ == "__main__":
    main()
