"""The gateway in front of two real vLLM servers: greedy outputs are equal token by token, whatever happens."""

import asyncio
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_world import Clients, Gateway, Told, clients, config, run, up
from vllm_server import SLOTS, VllmServer
from waiting import until

LONG = 1_000
"""Tokens of a batch stream, so that it is under way still when it was heard that it has begun."""
CUT = "tidegate_gateway_cut_total"
WITHIN = 280
"""Seconds for one scene with real engines, on a machine that is slow and busy."""
KINDS = ["completions", "chat/completions"]


@contextmanager
def gateway(
    folder: Path, servers: Sequence[VllmServer], slots: int = SLOTS, *, health_timeout: str
) -> Iterator[Gateway]:
    # Each check has the time that a busy machine needs, and one that hangs is still found within seconds.
    bounds = {"health_every": "500ms", "health_timeout": health_timeout, "health_failures": 2}
    with Gateway(folder, config(servers, slots, **bounds)) as started:
        until(lambda: all(up(started, server) for server in servers))
        yield started


def prompt(number: int, length: int = 12) -> str:
    chance = random.Random(number)
    return " ".join(f"t{chance.randrange(3, 512)}" for _ in range(length))


def body_of(kind: str, number: int, tokens: int, **more: object) -> dict[str, Any]:
    shared = {"model": "tiny", "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "return_token_ids": True}
    words = prompt(number)
    asked = {"prompt": words} if kind == "completions" else {"messages": [{"role": "user", "content": words}]}
    return shared | asked | {"stream": True} | more


async def straight(servers: Sequence[VllmServer], kind: str, bodies: Sequence[dict[str, Any]]) -> list[Told]:
    """What the engines say themselves, asked by nobody else; they must agree."""
    async with clients(servers[0].url, WITHIN) as asking:
        told = [
            await asyncio.gather(*(Clients(server.url, asking.session).ask(body, kind) for body in bodies))
            for server in servers
        ]
    for one, other in zip(told[0], told[-1], strict=True):
        assert (one.ids, one.text) == (other.ids, other.text)
    return told[0]


def assert_equal(told: Sequence[Told], expected: Sequence[Told]) -> None:
    for one, other in zip(told, expected, strict=True):
        assert one.is_done, one.document
        assert one.ids == other.ids
        assert one.text == other.text
        finishes = [choice["finish_reason"] for event in one.events for choice in event["choices"]]
        assert finishes == [None] * (len(finishes) - 1) + ["length"]


class Streams:
    """Batch streams, and how many tokens each has so far."""

    def __init__(self, asking: Clients, kind: str, bodies: Sequence[dict[str, Any]]) -> None:
        self._tokens = [0] * len(bodies)
        self._changed = asyncio.Event()
        self.tasks = [
            asyncio.create_task(asking.ask(body, kind, hears=self._hear(number), tier="batch"))
            for number, body in enumerate(bodies)
        ]

    def _hear(self, number: int) -> Callable[[Told], None]:
        def hear(told: Told) -> None:
            self._tokens[number] = len(told.ids)
            self._changed.set()

        return hear

    async def have_more(self) -> None:
        """Waits until each has more than now, or is done."""
        before = list(self._tokens)
        while any(now == then < LONG for now, then in zip(self._tokens, before, strict=True)):
            self._changed.clear()
            await self._changed.wait()


@contextmanager
def standing(servers: Sequence[VllmServer]) -> Iterator[None]:
    """As long as the block runs the engines do nothing, and no stream can end."""
    for server in servers:
        server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for server in servers:
            server.signal(signal.SIGCONT)


async def are_inside(asked: Gateway, number: int) -> bool:
    """Whether so many have not ended, of engines that stand."""
    # What engines had said is with the gateway before the first answer, and heard before the second.
    return [await asyncio.to_thread(asked.live) for _ in range(2)][-1] == number


async def make_room(asking: Clients, asked: Gateway, kind: str, servers: Sequence[VllmServer], batch: int) -> int:
    """Has as many urgent come as there are engines, while batch has all slots and none of it can end: how many it cut.

    0 if some of the batch had ended before.
    """
    with standing(servers):
        if not await are_inside(asked, batch):
            return 0
        cuts = await asyncio.to_thread(asked.metric, CUT, tier="batch") + len(servers)
        asks = [asking.ask(body_of(kind, 100 + number, 4), kind, tier="realtime") for number in range(len(servers))]
        tasks = [asyncio.create_task(ask) for ask in asks]
        await asyncio.to_thread(until, lambda: asked.metric(CUT, tier="batch") == cuts)
    assert all(told.is_done for told in await asyncio.gather(*tasks))
    return len(servers)


@pytest.mark.parametrize("kind", KINDS)
def test_batch_that_made_room_is_equal_token_by_token(servers: Sequence[VllmServer], tmp_path: Path, kind: str) -> None:
    slots = 2
    bodies = [body_of(kind, number, LONG) for number in range(slots * len(servers))]
    expected = asyncio.run(straight(servers, kind, bodies))
    with gateway(tmp_path, servers, slots, health_timeout="60s") as asked:

        async def scene(asking: Clients) -> tuple[int, list[Told]]:
            cuts = 0
            while not cuts:  # a machine may be so slow to hear of them that the streams have ended
                streams = Streams(asking, kind, bodies)
                await streams.have_more()
                while cut := await make_room(asking, asked, kind, servers, len(bodies)):
                    cuts += cut
                    await streams.have_more()
                told = await asyncio.gather(*streams.tasks)
            return cuts, told

        cuts, told = run(asked.url, scene, WITHIN)
        assert_equal(told, expected)
        print(f"\n{kind}: {len(bodies)} streams of {LONG} tokens, cut {cuts} times, equal token by token")
        assert asked.live() == 0


def hang(server: VllmServer, is_hit: bool) -> None:
    if not is_hit:
        server.signal(signal.SIGCONT)


def crash(server: VllmServer, is_hit: bool) -> None:
    if is_hit:
        server.kill()
    hang(server, is_hit)


# These leave an engine that is not as it was: they come last.
@pytest.mark.parametrize("trouble", [hang, crash], ids=["hung", "crashed"])
def test_streams_of_an_engine_that_is_gone_are_equal_token_by_token(
    servers: Sequence[VllmServer], tmp_path: Path, trouble: Callable[[VllmServer, bool], None]
) -> None:
    bodies = [body_of("completions", number, LONG) for number in range(6)]
    expected = asyncio.run(straight(servers, "completions", bodies))
    with gateway(tmp_path, servers, health_timeout="5s") as asked:

        async def scene(asking: Clients) -> list[Told]:
            is_hit = False
            while not is_hit:
                streams = Streams(asking, "completions", bodies)
                await streams.have_more()
                with standing(servers[:1]):
                    servers[1].signal(signal.SIGSTOP)
                    is_hit = await are_inside(asked, len(bodies))
                    trouble(servers[1], is_hit)
                told = await asyncio.gather(*streams.tasks)
            return told

        told = run(asked.url, scene, WITHIN)
        cuts = asked.metric(CUT, tier="batch")
        faults = asked.metric("tidegate_gateway_engine_faults_total", engine=servers[1].url)
        print(f"\n{trouble.__name__}: {len(bodies)} streams, cut {cuts:.0f} times, {faults:.0f} faults, all equal")
        assert cuts + faults >= 1
        assert_equal(told, expected)
        assert asked.live() == 0
    if trouble is hang:
        servers[1].signal(signal.SIGCONT)
