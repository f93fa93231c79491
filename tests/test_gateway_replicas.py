"""Two replicas of the gateway with one budget: it holds whatever becomes of them and of their store."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import chain
from pathlib import Path

import aiohttp
from gateway_world import Clients, Gateway, StubEngine, Told, body_of, clients, config, is_whole, sha256, up
from redis_server import RedisServer
from waiting import SECONDS, until

RATE, BURST = 400, 800
"""Tokens a second, and how many are saved up: few, so that a machine that is slow and busy can use up all of them."""
EACH = 40
"""Output tokens of a request."""
SHARED = f"""
[[tenants]]
name = "team"
tokens = {{ amount = {RATE}, period = "1s", burst = {BURST} }}
leased = true

[[keys]]
sha256 = "{sha256("team-key")}"
tenant = "team"
"""


@contextmanager
def replicas(folder: Path, timeout: str) -> Iterator[tuple[RedisServer, list[Gateway]]]:
    """A store, an engine, and two gateways."""
    with ExitStack() as stack:
        store, engine = stack.enter_context(RedisServer()), stack.enter_context(StubEngine())
        gateways = []
        for number in range(2):
            place = folder / str(number)
            place.mkdir()
            table = f'[redis]\nurl = "redis://127.0.0.1:{store.port}"\nreplica = "{number}"\ntimeout = "{timeout}"\n'
            text = 'lease_replicas = 2\nlease_fallback = "deny"\n' + config([engine], 64) + SHARED + table
            gateways.append(stack.enter_context(Gateway(place, text)))
            until(lambda: up(gateways[-1], engine))
        yield store, gateways


@asynccontextmanager
async def using(gateway: Gateway) -> AsyncIterator[list[tuple[float, int]]]:
    """A few clients ask as long as the block runs: lists when how many tokens were used. What fails is no use."""
    used: list[tuple[float, int]] = []

    async def client(asking: Clients) -> None:
        while True:
            try:
                told = await asking.ask(body_of("a b c d", EACH), key="team-key")
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.05)
                continue
            if told.usage is not None:
                used.append((time.monotonic(), told.usage["total_tokens"]))

    async with clients(gateway.url, 4 * SECONDS) as asking, asyncio.TaskGroup() as group:
        tasks = [group.create_task(client(asking)) for _ in range(8)]
        yield used
        for task in tasks:
            task.cancel()


async def more(used: list[tuple[float, int]]) -> None:
    """Waits until something is used."""
    before = len(used)
    await asyncio.to_thread(until, lambda: len(used) > before)


def test_a_budget_holds_over_replicas_one_of_which_is_killed(tmp_path: Path) -> None:
    with replicas(tmp_path, f"{SECONDS}s") as (_store, gateways):

        async def scene() -> tuple[float, list[list[tuple[float, int]]]]:
            began = time.monotonic()
            async with using(gateways[0]) as all_along:
                async with using(gateways[1]) as before:
                    await asyncio.sleep(3)
                    await more(before)
                    await asyncio.to_thread(gateways[1].kill)
                await asyncio.to_thread(gateways[1].start)
                async with using(gateways[1]) as after:
                    await asyncio.sleep(5)
                    await more(after)
            return began, [all_along, before, after]

        began, used = asyncio.run(scene())
        everything = sorted(chain.from_iterable(used))
        total = 0
        for at, tokens in everything:
            total += tokens
            assert total <= BURST + RATE * (at - began + 1), "more than the budget"
        assert all(sum(tokens for _, tokens in one) > EACH for one in used), "each life had some of it"
        # What was lent to the one that was killed is lost to all until the store takes it for gone.
        assert total >= RATE * (everything[-1][0] - began) / 2
        until(lambda: all(gateway.live() == 0 for gateway in gateways))


def test_while_the_store_is_gone_requests_wait_and_then_go_on(tmp_path: Path) -> None:
    with replicas(tmp_path, "300ms") as (store, gateways):

        async def scene() -> None:
            async with using(gateways[0]) as used:
                await more(used)
                with store.stopped():
                    await asyncio.sleep(1)
                    assert gateways[0].is_ready, "nothing but requests waits for the store"
                await more(used)

        asyncio.run(scene())


def test_replicas_leave_each_other_their_part_and_borrow_the_rest(tmp_path: Path) -> None:
    part, whole = 2, 6
    with ExitStack() as stack:
        engine = stack.enter_context(StubEngine())
        engine.control(hold=True)
        table = f'max_slots = {whole}\nload = "/load"\n'  # of the last table, that of the engine
        gateways = []
        for number in range(2):
            place = tmp_path / str(number)
            place.mkdir()
            # Who gives back has gone from the engine before it is looked at twice.
            text = config([engine], part, health_every="500ms") + table
            gateways.append(stack.enter_context(Gateway(place, text)))
            until(lambda: up(gateways[-1], engine))

        def has(number: int) -> float:
            return gateways[number].metric("tidegate_engine_slots", engine=engine.url)

        async def scene() -> list[Told]:
            bodies = [body_of(f"prompt {number}", 30, stream=True) for number in range(2 * whole)]
            async with clients(gateways[0].url) as asking, clients(gateways[1].url) as asking_too:
                tasks = [asyncio.create_task(asking.ask(body, tier="batch")) for body in bodies[:whole]]
                await asyncio.to_thread(until, lambda: engine.stats()["running"] == whole == has(0))
                # The other one has its part at once, and the first gives back what it borrowed.
                await asyncio.to_thread(until, lambda: has(1) == part)
                tasks += [asyncio.create_task(asking_too.ask(body, tier="batch")) for body in bodies[whole:]]
                cuts = "tidegate_gateway_cut_total"
                await asyncio.to_thread(until, lambda: gateways[0].metric(cuts, tier="batch") >= whole - part - part)
                await asyncio.to_thread(until, lambda: engine.stats()["running"] <= whole)
                assert has(1) == part
                await asyncio.to_thread(engine.control, hold=False)
                told = await asyncio.gather(*tasks)
            assert all(is_whole(one, body) for one, body in zip(told, bodies, strict=True))
            return told

        asyncio.run(scene())
        assert engine.stats()["most"] <= whole + part, "each has no more than its part beyond what it knew to be free"
        until(lambda: all(gateway.live() == 0 for gateway in gateways))
