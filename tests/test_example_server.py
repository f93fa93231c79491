"""The example server, as a process of its own, over real HTTP on the loopback interface.

No test sleeps in the hope that something has happened: it asks `/stats`, or reads a stream, for two minutes at most.
"""

import asyncio
import json
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import httpx
import pytest
from toolchain import ROOT

SERVER = ROOT / "python/examples/server"
WITHIN = 120
"""Seconds for what takes few: a machine may be slow and busy."""
STREAMS = 200


@contextmanager
def server(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server on a free port, and its address. Killed at the end, whatever happens."""
    command = [sys.executable, "-W", "error", SERVER, "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], WITHIN)
        assert readable, "the server does not start"
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate(timeout=WITHIN)


@pytest.fixture(scope="module")
def plenty() -> Iterator[str]:
    """One with many slots."""
    with server("--slots", "64", "--token-ms", "2", "--body-s", str(WITHIN)) as (address, _):
        yield address


class Client:
    """What a test says to a server."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    @asynccontextmanager
    async def stream(
        self, prompt: str = "a b c", *, key: str = "key-acme", tier: str = "near-realtime", max_tokens: int = 5
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The events of one request, which has begun."""
        headers = {"authorization": f"Bearer {key}", "x-tier": tier}
        body = {"prompt": prompt, "max_tokens": max_tokens}
        async with self.http.stream("POST", "/generate", json=body, headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            yield (json.loads(line[6:]) async for line in answer.aiter_lines() if line)

    async def events(self, **asked: Any) -> list[dict[str, Any]]:
        """All events of one request."""
        async with self.stream(**asked) as events:
            return [event async for event in events]

    async def post(self, content: Any, *, key: str = "key-acme", tier: str = "batch") -> httpx.Response:
        """An answer to this body."""
        headers = {"authorization": f"Bearer {key}", "x-tier": tier}
        return await self.http.post("/generate", content=content, headers=headers)

    async def stats(self) -> dict[str, Any]:
        """What the server says of itself."""
        answer: dict[str, Any] = (await self.http.get("/stats")).json()
        return answer

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Asks until the server says so."""
        while not condition(stats := await self.stats()):
            await asyncio.sleep(0.02)
        return stats

    async def until_idle(self) -> dict[str, Any]:
        """Asks until nobody waits or is inside, of whom nothing is left."""
        stats = await self.until(lambda stats: stats["waiting"] == stats["inside"] == 0)
        assert stats["live"] == 0
        ended = sum(stats[name] for name in ("completed", "failed", "cancelled", "dropped"))
        assert stats["submitted"] == ended
        return stats


def talk(address: str, conversation: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    """Has a conversation, for two minutes at most."""

    async def main() -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
        async with (
            asyncio.timeout(WITHIN),
            httpx.AsyncClient(base_url=address, timeout=WITHIN, limits=limits, trust_env=False) as http,
        ):
            await conversation(Client(http))

    asyncio.run(main())


def test_hundreds_of_streams_at_once_each_have_their_own_tokens(plenty: str) -> None:
    async def conversation(client: Client) -> None:
        before = await client.stats()
        tiers = ["realtime", "near-realtime", "batch"]
        asked = [client.events(prompt=f"x{n} y{n}", tier=tiers[n % 3], max_tokens=3) for n in range(STREAMS)]
        for n, events in enumerate(await asyncio.gather(*asked)):
            assert [event["token"] for event in events[1:-1]] == [f"x{n}", f"y{n}", f"x{n}"]
            assert events[-1]["done"]
        after = await client.until_idle()
        assert after["completed"] - before["completed"] == STREAMS

    talk(plenty, conversation)


def test_clients_that_go_away_leave_nothing(plenty: str) -> None:
    async def conversation(client: Client) -> None:
        before = await client.stats()

        async def goes_away() -> None:
            async with client.stream(max_tokens=10_000) as events:
                assert "start" in await anext(events)

        await asyncio.gather(*(goes_away() for _ in range(100)), *(client.events() for _ in range(100)))
        after = await client.until_idle()
        assert after["cancelled"] - before["cancelled"] == 100
        assert after["completed"] - before["completed"] == 100

    talk(plenty, conversation)


def test_the_urgent_start_before_those_that_waited_and_take_places_back() -> None:
    async def conversation(client: Client) -> None:
        async def order(tier: str) -> int:
            events = await client.events(tier=tier, max_tokens=1)
            return int(events[0]["start"])

        async with (
            client.stream(tier="batch", max_tokens=10_000) as one,
            client.stream(tier="batch", max_tokens=10_000),
        ):
            # One more token of each than the server needs to say, so that both run.
            await anext(one)
            batch = [asyncio.create_task(order("batch")) for _ in range(30)]
            await client.until(lambda stats: (stats["inside"], stats["waiting"]) == (2, 30))
            urgent = await asyncio.gather(*(order("realtime") for _ in range(5)))
            assert not any(task.done() for task in batch)
        assert max(urgent) < min(await asyncio.gather(*batch))
        stats = await client.until_idle()
        assert (stats["completed"], stats["cancelled"]) == (35, 2)

    with server("--slots", "2", "--token-ms", "20") as (address, _):
        talk(address, conversation)


def test_one_that_gives_up_waiting_leaves_the_queue() -> None:
    async def conversation(client: Client) -> None:
        async with client.stream(max_tokens=10_000):
            waiting = asyncio.create_task(client.events())
            await client.until(lambda stats: stats["waiting"] == 1)
            waiting.cancel()
            await client.until(lambda stats: stats["waiting"] == 0)
        assert (await client.until_idle())["cancelled"] == 2

    with server("--slots", "1") as (address, _):
        talk(address, conversation)


def test_over_quota_is_429_and_says_when_to_come_again(plenty: str) -> None:
    async def conversation(client: Client) -> None:
        answers = [await client.post('{"prompt": "a", "max_tokens": 1}', key="key-small") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[2].headers["retry-after"]) <= 1_800
        await client.until_idle()

    talk(plenty, conversation)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xff", 400),
        (b"[" * 60_000, 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"prompt": 7}', 400),
        (b'{"prompt": "a", "max_tokens": "many"}', 400),
        (b'{"prompt": "a", "max_tokens": NaN}', 400),
        (b'{"prompt": "a", "max_tokens": 1e9}', 400),
        (b'{"prompt": "a", "max_tokens": true}', 400),
        (b'{"prompt": "a", "max_tokens": 0}', 400),
        (b" " * 70_000, 413),
    ],
)
def test_a_bad_body_is_refused(plenty: str, content: bytes, status: int) -> None:
    async def conversation(client: Client) -> None:
        before = await client.stats()
        answer = await client.post(content)
        assert answer.status_code == status
        assert answer.json()["error"]
        assert (await client.until_idle())["submitted"] == before["submitted"]

    talk(plenty, conversation)


@pytest.mark.parametrize(
    ("key", "tier", "status"),
    [("nobody", "batch", 401), ("key-acme", "vip", 400), ("key-bulk", "realtime", 403), ("key-bulk", "batch", 200)],
)
def test_keys_and_tiers(plenty: str, key: str, tier: str, status: int) -> None:
    async def conversation(client: Client) -> None:
        answer = await client.post('{"prompt": "a", "max_tokens": 1}', key=key, tier=tier)
        assert answer.status_code == status

    talk(plenty, conversation)


def test_a_body_without_an_end_is_not_read_to_it(plenty: str) -> None:
    async def conversation(client: Client) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 1 << 30:
                sent += 1 << 10
                yield b" " * (1 << 10)

        with suppress(httpx.TransportError):  # the server may close while it is written to
            assert (await client.post(endless())).status_code == 413
        assert sent < 1 << 30
        await client.until_idle()

    talk(plenty, conversation)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with server("--body-s", "1") as (address, _):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=WITHIN) as raw:
            raw.sendall(
                b"POST /generate HTTP/1.1\r\nhost: x\r\nauthorization: Bearer key-acme\r\ncontent-length: 100\r\n\r\n{"
            )
            assert raw.recv(1_000).startswith(b"HTTP/1.1 408 ")


def test_sigterm_lets_those_inside_finish_and_refuses_others() -> None:
    async def conversation(client: Client, process: subprocess.Popen[str]) -> None:
        # One holds a place until it goes away: whatever takes long, the server drains until then.
        async with client.stream(max_tokens=10_000) as holds, client.stream(max_tokens=100) as events:
            assert "start" in await anext(holds)
            assert "start" in await anext(events)
            waiting = asyncio.create_task(client.events(max_tokens=1))
            await client.until(lambda stats: stats["submitted"] == 3)
            process.send_signal(signal.SIGTERM)
            await client.until(lambda stats: not stats["is_open"])
            refused = await client.post('{"prompt": "a"}')
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            rest = [event async for event in events]
            assert len(rest) == 100 + 1
            assert rest[-1]["done"]
            assert (await waiting)[-1]["done"]
            assert process.poll() is None

    with server("--slots", "2", "--token-ms", "20", "--drain-s", str(WITHIN)) as (address, process):
        talk(address, lambda client: conversation(client, process))
        assert process.wait(WITHIN) == 0


def test_a_second_signal_waits_for_nobody() -> None:
    async def conversation(client: Client, process: subprocess.Popen[str]) -> None:
        async with client.stream(max_tokens=10_000) as events:
            await anext(events)
            process.send_signal(signal.SIGTERM)
            await client.until(lambda stats: not stats["is_open"])
            process.send_signal(signal.SIGTERM)
            with suppress(httpx.TransportError):
                assert not ["done" async for event in events if "done" in event]

    with server("--slots", "1", "--token-ms", "50") as (address, process):
        talk(address, lambda client: conversation(client, process))
        process.wait(WITHIN)
