"""How many requests a second go through one replica on one core, when engine and clients cost next to nothing.

usage: gateway_flat_out.py [REQUESTS] [CLIENTS] [STREAMS]

The engine is a socket that knows one answer, of as many events as tokens, and tells it at once; the clients say one
request again and again. Both are this process, on another core than the gateway where there are two. Latency is taken
at so many clients at a time, and at one. On a machine that does other things only CPU time says something. Then a
gateway in front of the stub engine of the tests holds so many streams open at once: prints how many were whole.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import gateway_engine
import uvloop
from gateway_world import Gateway, Program, body_of, clients, config, is_whole, up, world
from waiting import until

TOKENS = 8
PATIENT = {"silence": "60s", "health_timeout": "30s", "connect_timeout": "30s"}
"""Engine, gateway and clients share a machine, and all begin at once."""
HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def cpu_seconds(program: Program) -> float:
    """What a process has used until now, in user and system mode."""
    fields = Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def answer() -> bytes:
    """What the engine says."""
    body = body_of("flat out", TOKENS, return_token_ids=True, stream_options={"include_usage": True})
    gateway_engine.behaviour.ids = True
    told = b"".join(event for _, event in gateway_engine.events(body, chat=False))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(told), told)


class Engine(asyncio.Protocol):
    """Answers each request that has come whole, in the same way."""

    told = answer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._had = b""

    def data_received(self, data: bytes) -> None:
        self._had += data
        head, end, body = self._had.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if end and len(body) >= length:
            self._had = b""
            self._transport.write(self.told if head.startswith(b"POST") else HEALTHY)  # type: ignore[attr-defined]


class Client(asyncio.Protocol):
    """Asks again as soon as it has its answer, as long as there is something to ask."""

    def __init__(self, request: bytes, left: list[int], seconds: list[float]) -> None:
        self._request, self._left, self._seconds = request, left, seconds
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._had = b""
        if not self._left[0]:
            self._transport.close()
            return
        self._left[0] -= 1
        self._began = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._had += data
        head, _, body = self._had.partition(b"\r\n\r\n")
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) >= int(length) if length else self._had.endswith(b"\r\n0\r\n\r\n"):
            assert head.startswith(b"HTTP/1.1 200"), head
            self._seconds.append(time.perf_counter() - self._began)
            self._ask()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


class Told(NamedTuple):
    """Seconds."""

    latencies: list[float]
    took: float


async def burst(port: int, number: int, at_a_time: int, stream: bool) -> Told:
    """So many requests."""
    body = gateway_engine.json.dumps(body_of("flat out", TOKENS, stream=stream)).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer acme-key\r\ncontent-length: {len(body)}"
    left, seconds = [number], []
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(
            lambda: Client(f"{head}\r\n\r\n".encode() + body, left, seconds), "127.0.0.1", port
        )
        for _ in range(at_a_time)
    ]
    async with asyncio.timeout(120):
        await asyncio.gather(*(client.over for _, client in made))
    assert len(seconds) == number, "each was answered"
    return Told(seconds, time.perf_counter() - began)


async def measure(requests: int, at_a_time: int) -> None:
    """Prints its figures."""
    listening = await asyncio.get_running_loop().create_server(Engine, "127.0.0.1", 0)
    engine = Program([])
    engine.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder), config([engine], at_a_time, **PATIENT))
        try:
            await asyncio.to_thread(gateway.start)
            await asyncio.to_thread(until, lambda: up(gateway, engine))
            with suppress(OSError):
                os.sched_setaffinity(gateway.pid, {0})
            port = int(gateway.port)
            direct = (await burst(listening.sockets[0].getsockname()[1], requests, 1, stream=True)).latencies
            for stream in (False, True):
                await burst(port, requests // 5, at_a_time, stream)
                before = cpu_seconds(gateway)
                told = await burst(port, requests, at_a_time, stream)
                each = (cpu_seconds(gateway) - before) / requests
                alone = (await burst(port, requests // 5, 1, stream)).latencies
                print(f"{'streamed' if stream else 'whole'}: {requests / told.took:.0f} requests/s", end=", ")
                print(f"{each * 1e6:.0f} us of CPU each", end="; ")
                for share in (0.5, 0.99):
                    at_once, one = quantile(told.latencies, share), quantile(alone, share) - quantile(direct, share)
                    print(f"p{share * 100:.0f} {at_once * 1e3:.1f} ms with {at_a_time} clients", end=", ")
                    print(f"added {one * 1e3:.2f} ms with one", end="; " if share == 0.5 else "\n")
        finally:
            gateway.kill()
            listening.close()


async def hold_open(gateway: Program, number: int) -> None:
    """So many streams at once."""
    body = body_of("open", 12, stream=True)
    async with clients(gateway.url, 600) as asking:
        began = time.perf_counter()
        told = await asyncio.gather(*(asking.ask(body) for _ in range(number)))
        whole = sum(is_whole(one, body) for one in told)
        print(f"{whole} of {number} streams at once were whole, {time.perf_counter() - began:.1f} s", end="; ")
        others = Counter((one.status, one.code) for one in told if not is_whole(one, body))
        print(", ".join(f"{count} were told {why}" for why, count in others.items()) or "no other answers", end="; ")


def main() -> None:
    """Prints its figures."""
    given = sys.argv[1:] + ["10000", "32", "1000"][len(sys.argv) - 1 :]
    requests, at_a_time, streams = (int(word) for word in given)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {0} or cores)
    uvloop.run(measure(requests, at_a_time))
    os.sched_setaffinity(0, cores)
    if streams:
        with tempfile.TemporaryDirectory() as folder, world(Path(folder), slots=streams, **PATIENT) as (gateway, stubs):
            stubs[0].control(pause=0.5)
            asyncio.run(hold_open(gateway, streams))
            print(f"most at the engine at one time: {stubs[0].stats()['most']}")


if __name__ == "__main__":
    main()
