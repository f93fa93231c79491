"""The gateway in front of two real vLLM servers: greedy outputs are equal token by token, whatever happens."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_world import TENANTS, TIERS, Clients, Gateway, Told, clients, run, until, up
from vllm_server import SLOTS, VllmServer

TOKENS = 160
LONG = 700
"""So long that batch is still under way when others have come and gone."""
WITHIN = 280
"""Seconds for one scene with real engines, on a machine that is slow and busy."""
KINDS = ["completions", "chat/completions"]


def config(servers: Sequence[VllmServer], slots: int, tiers: str) -> str:
    # Each check has the time that a busy machine needs, and one that hangs is still found within seconds.
    bounds = '[gateway]\nhealth_every = "500ms"\nhealth_timeout = "2s"\nhealth_failures = 2\n'
    tables = [f'[[engines]]\nurl = "{server.url}"\nslots = {slots}\n' for server in servers]
    return "\n".join([tiers, TENANTS, bounds, *tables])


@contextmanager
def gateway(folder: Path, servers: Sequence[VllmServer], slots: int = SLOTS, tiers: str = TIERS) -> Iterator[Gateway]:
    with Gateway(folder, config(servers, slots, tiers)) as started:
        until(lambda: all(up(started, server) for server in servers))
        yield started


def prompt(number: int, length: int = 12) -> str:
    chance = random.Random(number)
    return " ".join(f"t{chance.randrange(3, 512)}" for _ in range(length))


def body_of(kind: str, number: int, tokens: int = TOKENS, **more: object) -> dict[str, Any]:
    shared = {"model": "tiny", "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "return_token_ids": True}
    words = prompt(number)
    asked = {"prompt": words} if kind == "completions" else {"messages": [{"role": "user", "content": words}]}
    return shared | asked | more


async def straight(servers: Sequence[VllmServer], kind: str, bodies: Sequence[dict[str, Any]]) -> list[Told]:
    """What the engines say themselves, each asked one thing at a time; they must agree."""

    async def ask_all(server: VllmServer, asking: Clients) -> list[Told]:
        return [await Clients(server.url, asking.session).ask(body | {"stream": True}, kind) for body in bodies]

    async with clients(servers[0].url, WITHIN) as asking:
        told = await asyncio.gather(*(ask_all(server, asking) for server in servers))
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


async def started(asking: Clients, kind: str, bodies: Sequence[dict[str, Any]]) -> list[asyncio.Task[Told]]:
    """Batch streams, each of which has its first token."""
    firsts = [asyncio.Event() for _ in bodies]
    tasks = [
        asyncio.create_task(asking.ask(body | {"stream": True}, kind, first=first, tier="batch"))
        for body, first in zip(bodies, firsts, strict=True)
    ]
    for first in firsts:
        await first.wait()
    return tasks


@pytest.mark.parametrize("kind", KINDS)
def test_batch_that_made_room_is_equal_token_by_token(servers: list[VllmServer], tmp_path: Path, kind: str) -> None:
    bodies = [body_of(kind, number, LONG) for number in range(8)]
    expected = asyncio.run(straight(servers, kind, bodies))
    with gateway(tmp_path, servers, slots=2) as asked:

        async def scene(asking: Clients) -> list[Told]:
            # All slots have batch before the urgent come, and as many wait; the urgent come until they are done.
            batch = await started(asking, kind, bodies[: 2 * len(servers)])
            rest = bodies[len(batch) :]
            batch += [asyncio.create_task(asking.ask(body | {"stream": True}, kind, tier="batch")) for body in rest]
            while not all(task.done() for task in batch):
                urgent = [asking.ask(body_of(kind, 100 + number, 4), kind, tier="realtime") for number in range(2)]
                assert all(told.status == 200 for told in await asyncio.gather(*urgent))
            return await asyncio.gather(*batch)

        told = run(asked.url, scene, WITHIN)
        cuts = asked.metric("tidegate_gateway_cut_total", tier="batch")
        print(f"\n{kind}: {len(bodies)} streams of {LONG} tokens, cut {cuts:.0f} times, equal token by token")
        assert cuts >= 1
        assert_equal(told, expected)
        assert asked.metric("tidegate_live") == 0


def hang(server: VllmServer) -> None:
    server.signal(signal.SIGSTOP)


def crash(server: VllmServer) -> None:
    server.kill()


def p(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def first_tokens(asking: Clients, number: int, pause: float, **said: Any) -> list[float]:
    """Seconds to the first token of urgent requests, one after the other."""
    seconds = []
    for index in range(number):
        began = time.monotonic()
        told = await asking.ask(body_of("completions", 200 + index, 4, stream=True), **said)
        assert told.is_done, told.document
        seconds.append(told.times[0] - began)
        await asyncio.sleep(pause)
    return seconds


async def under_load(
    asking: Sequence[Clients], batch: int, urgent: Callable[[], Awaitable[list[float]]] | None
) -> tuple[list[float], float]:
    """Batch for so many clients at a time, over all addresses, until the urgent ones are done, or for ten seconds.

    Returns their seconds, and the batch tokens a second.
    """
    tokens = 0
    is_over = asyncio.Event()

    async def client(number: int) -> None:
        nonlocal tokens
        while not is_over.is_set():
            body = body_of("completions", number, 64, stream=True)
            told = await asking[number % len(asking)].ask(body, tier="batch")
            assert told.is_done, told.document
            tokens += len(told.ids) if not is_over.is_set() else 0
            number += 1_000

    tasks = [asyncio.create_task(client(number)) for number in range(batch)]
    await asyncio.sleep(2)
    tokens, began = 0, time.monotonic()
    seconds = [] if urgent is None else await urgent()
    await asyncio.sleep(0 if seconds else 10)
    rate = tokens / (time.monotonic() - began)
    is_over.set()
    await asyncio.gather(*tasks)
    return seconds, rate


def mean_wait(asked: Gateway, tier: str) -> float:
    """Seconds at the gate."""
    name = "tidegate_gateway_wait_seconds"
    return asked.metric(f"{name}_sum", tier=tier) / asked.metric(f"{name}_count", tier=tier)


def test_the_urgent_wait_less_at_the_gate_than_batch(servers: list[VllmServer], tmp_path: Path) -> None:
    number, batch = 40, 6 * SLOTS
    # What the urgent have used lately is kept for them, as the scheduler does unless told otherwise.
    with gateway(tmp_path, servers, tiers=TIERS.replace('hold_window = "0s"\n', "")) as asked:

        async def unloaded(asking: Clients) -> list[float]:
            return await first_tokens(asking, number, 0.02, tier="realtime")

        async def with_gateway(asking: Clients) -> tuple[list[float], float]:
            return await under_load([asking], batch, lambda: first_tokens(asking, number, 0.1, tier="realtime"))

        async def without(asking: Clients) -> tuple[list[float], float]:
            engines = [Clients(server.url, asking.session) for server in servers]
            return await under_load(engines, batch, lambda: first_tokens(engines[0], number // 2, 0.1))

        async def batch_alone(asking: Clients) -> tuple[list[float], float]:
            return await under_load([Clients(server.url, asking.session) for server in servers], batch, None)

        quiet = run(asked.url, unloaded, WITHIN)
        loaded, rate = run(asked.url, with_gateway, WITHIN)
        waits = {tier: mean_wait(asked, tier) for tier in ("realtime", "batch")}
        naive, _ = run(asked.url, without, WITHIN)
        _, alone = run(asked.url, batch_alone, WITHIN)
    for name, values in [
        ("gateway, no load", quiet),
        ("gateway, batch load", loaded),
        ("no gateway, batch load", naive),
    ]:
        print(f"\n{name}: first token p50 {p(values, 0.5) * 1e3:.0f} ms, p99 {p(values, 0.99) * 1e3:.0f} ms", end="")
    print(f"\np99 under load / without: {p(loaded, 0.99) / p(quiet, 0.99):.2f}", end="")
    print(f"\nbatch tokens a second: {rate:.0f} beside the urgent, {alone:.0f} alone, ratio {rate / alone:.2f}")
    told = ", ".join(f"{tier} {seconds * 1e3:.0f} ms" for tier, seconds in waits.items())
    print(f"at the gate on average: {told}")
    # First tokens are the engines' too, and the machine's: what the gate decides is who waits there.
    assert waits["realtime"] < waits["batch"] / 4


# These leave an engine that is not as it was: they come last.
@pytest.mark.parametrize("trouble", [hang, crash], ids=["hung", "crashed"])
def test_streams_of_an_engine_that_is_gone_are_equal_token_by_token(
    servers: list[VllmServer], tmp_path: Path, trouble: Callable[[VllmServer], None]
) -> None:
    bodies = [body_of("completions", number, 3 * TOKENS) for number in range(6)]
    expected = asyncio.run(straight(servers, "completions", bodies))
    with gateway(tmp_path, servers) as asked:

        async def scene(asking: Clients) -> list[Told]:
            batch = await started(asking, "completions", bodies)
            trouble(servers[1])
            return await asyncio.gather(*batch)

        told = run(asked.url, scene, WITHIN)
        cuts = asked.metric("tidegate_gateway_cut_total", tier="batch")
        faults = asked.metric("tidegate_gateway_engine_faults_total", engine=servers[1].url)
        print(f"\n{trouble.__name__}: {len(bodies)} streams, cut {cuts:.0f} times, {faults:.0f} faults, all equal")
        assert cuts + faults >= 1
        assert_equal(told, expected)
        assert asked.metric("tidegate_live") == 0
    if trouble is hang:
        servers[1].signal(signal.SIGCONT)
