"""Engines that fail, hang or are asked to stop: the client's one answer has every token once."""

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from gateway_world import TIERS, Clients, Gateway, StubEngine, Told, body_of, is_whole, run, up, world
from waiting import until

TOKENS = 60
STREAMS = 8
Trouble = Callable[[Gateway, list[StubEngine]], Awaitable[None]]


def bodies(number: int = STREAMS, tokens: int = TOKENS) -> list[dict[str, Any]]:
    return [body_of(f"prompt {index}", tokens, stream=index % 4 != 3) for index in range(number)]


def is_right(told: Told, body: dict[str, Any]) -> bool:
    """Whether it is whole, as a stream or at once."""
    if body["stream"] or told.status != 200:
        return is_whole(told, body)
    choice = told.document["choices"][0]
    return is_whole(Told(told.status, text=choice["text"], is_done=True), body)


def all_whole(gateway: Gateway, engines: list[StubEngine], trouble: Trouble) -> list[Told]:
    """Has streams run into trouble in their middle, and asserts that all of them are whole and nothing is left."""
    asked = bodies()
    hold(engines, True)

    async def scene(clients: Clients) -> list[Told]:
        firsts = [asyncio.Event() for body in asked if body["stream"]]
        events = iter(firsts)
        tasks = [
            asyncio.create_task(clients.ask(body, tier="batch", first=next(events) if body["stream"] else None))
            for body in asked
        ]
        for first in firsts:
            await first.wait()
        await asyncio.to_thread(until, lambda: sum(engine.stats()["running"] for engine in engines) == STREAMS)
        await trouble(gateway, engines)
        await asyncio.to_thread(hold, engines[1:], False)
        return await asyncio.gather(*tasks)

    told = run(gateway.url, scene)
    assert [body for answer, body in zip(told, asked, strict=True) if not is_right(answer, body)] == []
    until(lambda: gateway.live() == 0)
    return told


def hold(engines: list[StubEngine], holds: bool) -> None:
    """Has engines stop in the middle of answers, or go on."""
    for engine in engines:
        engine.control(hold=holds)


@pytest.fixture
def two(tmp_path: Path) -> Any:
    with world(tmp_path, engines=2, slots=STREAMS, health_timeout="2s") as (gateway, engines):
        for engine in engines:
            engine.control(pause=0.02)
        yield gateway, engines


async def kill(_gateway: Gateway, engines: list[StubEngine]) -> None:
    engines[0].kill()


async def hang(_gateway: Gateway, engines: list[StubEngine]) -> None:
    engines[0].signal(signal.SIGSTOP)


@pytest.mark.parametrize("trouble", [kill, hang], ids=["killed", "hung"])
def test_an_engine_that_is_gone_has_its_requests_go_on_elsewhere(two: Any, trouble: Trouble) -> None:
    gateway, engines = two
    all_whole(gateway, engines, trouble)
    until(lambda: not up(gateway, engines[0]))
    assert engines[1].stats()["begun"] > STREAMS // 2, "some began there, the others came"
    # It comes back, and is used again.
    if trouble is kill:
        engines[0].restart()
    else:
        engines[0].signal(signal.SIGCONT)
    until(lambda: up(gateway, engines[0]))
    hold(engines, True)
    before = engines[0].stats()["begun"]

    async def scene(clients: Clients) -> list[Told]:
        asked = [asyncio.create_task(clients.ask(body_of(f"{number}", 5))) for number in range(STREAMS)]
        await asyncio.to_thread(until, lambda: engines[0].stats()["begun"] > before)
        await asyncio.to_thread(hold, engines, False)
        return await asyncio.gather(*asked)

    assert [told.status for told in run(gateway.url, scene)] == [200] * STREAMS


@pytest.mark.parametrize(
    "behaviour",
    [
        {"status": 500},
        {"break_after": 5},
        {"garbage_after": 5},
        {"first_pause": 50.0},
        {"first_pause": 0.5},
        {"health": 500},
    ],
    ids="-".join,
)
def test_an_engine_that_fails_what_it_is_asked(tmp_path: Path, behaviour: dict[str, Any]) -> None:
    with world(tmp_path, engines=2, slots=STREAMS, silence="5s") as (gateway, engines):
        engines[0].control(pause=0.01, **behaviour)
        engines[1].control(pause=0.01)
        asked = bodies()

        async def scene(clients: Clients) -> list[Told]:
            return await asyncio.gather(*(clients.ask(body, tier="batch") for body in asked))

        told = run(gateway.url, scene)
        assert [body for answer, body in zip(told, asked, strict=True) if not is_right(answer, body)] == []
        until(lambda: gateway.live() == 0)


def test_engines_that_all_fail_are_told_to_the_client(tmp_path: Path) -> None:
    with world(tmp_path, engines=2) as (gateway, engines):
        for engine in engines:
            engine.control(status=500)

        async def scene(clients: Clients) -> list[Told]:
            return [await clients.ask(body_of("a", 5, stream=stream)) for stream in (False, True)]

        assert [(told.status, told.code) for told in run(gateway.url, scene)] == [(502, "dropped-declined")] * 2
        for engine in engines:
            engine.control(status=200, break_after=3, pause=0.01)

        async def broken(clients: Clients) -> list[Told]:
            return [await clients.ask(body_of("a", 500, stream=stream)) for stream in (False, True)]

        whole, streamed = run(gateway.url, broken)
        assert (whole.status, whole.code) == (502, "engine-failed")
        assert (streamed.status, streamed.code, streamed.is_done) == (200, "engine-failed", False)
        assert gateway.live() == 0


def test_what_an_engine_refuses_the_client_is_told(tmp_path: Path) -> None:
    with world(tmp_path) as (gateway, (engine,)):
        engine.control(status=422)

        async def scene(clients: Clients) -> Told:
            return await clients.ask(body_of("a", 5))

        told = run(gateway.url, scene)
        assert (told.status, told.document["error"]["message"]) == (422, "told to")
        assert gateway.live() == 0


def test_requests_wait_while_no_engine_is_up(tmp_path: Path) -> None:
    with world(tmp_path) as (gateway, (engine,)):
        engine.control(health=503)
        until(lambda: not gateway.is_ready)

        async def scene(clients: Clients) -> Told:
            asked = asyncio.create_task(clients.ask(body_of("a", 5, stream=True)))
            while gateway.live() < 1:
                await asyncio.sleep(0.02)
            engine.control(health=200)
            return await asked

        assert is_whole(run(gateway.url, scene), body_of("a", 5))


def test_batch_makes_room_and_goes_on_without_a_token_missing(tmp_path: Path) -> None:
    with world(tmp_path, slots=4) as (gateway, (engine,)):
        engine.control(pause=0.01, hold=True)
        asked = [body_of(f"batch {number}", 150, stream=True, return_token_ids=True) for number in range(4)]
        urgent = body_of("urgent", 3, stream=True)

        async def scene(clients: Clients) -> tuple[list[Told], list[Told]]:
            firsts = [asyncio.Event() for _ in asked]
            batch = [
                asyncio.create_task(clients.ask(body, tier="batch", first=first))
                for body, first in zip(asked, firsts, strict=True)
            ]
            for first in firsts:
                await first.wait()
            begins = asyncio.create_task(clients.ask(urgent, tier="realtime"))
            cuts = "tidegate_gateway_cut_total"
            await asyncio.to_thread(until, lambda: gateway.metric(cuts, tier="batch") >= 1)
            await asyncio.to_thread(engine.control, hold=False)
            told = [await begins, *[await clients.ask(urgent, tier="realtime") for _ in range(2)]]
            return told, await asyncio.gather(*batch)

        told, batch = run(gateway.url, scene)
        assert all(is_whole(answer, urgent) for answer in told)
        assert all(is_whole(answer, body) and answer.ids for answer, body in zip(batch, asked, strict=True))
        until(lambda: engine.stats()["gone"] >= 1)  # the engine was told to stop
        assert gateway.live() == 0


def test_a_stream_that_cannot_go_on_is_never_asked_to_yield(tmp_path: Path) -> None:
    with world(tmp_path, slots=4) as (gateway, (engine,)):
        engine.control(pause=0.01, hold=True)
        asked = [body_of(f"batch {number}", 60, stream=True, stop=["none"]) for number in range(2)]

        async def scene(clients: Clients) -> list[Told]:
            batch = [asyncio.create_task(clients.ask(body, tier="batch")) for body in asked]
            await asyncio.to_thread(until, lambda: engine.stats()["running"] == 2)
            urgent = [asyncio.create_task(clients.ask(body_of("urgent", 3), tier="realtime")) for _ in range(4)]
            await asyncio.to_thread(until, lambda: gateway.live() == 6 and engine.stats()["running"] == 4)
            await asyncio.to_thread(engine.control, hold=False)
            await asyncio.gather(*urgent)
            return await asyncio.gather(*batch)

        assert all(is_whole(answer, body) for answer, body in zip(run(gateway.url, scene), asked, strict=True))
        assert engine.stats()["gone"] == 0


def test_engines_that_come_and_go_under_load(tmp_path: Path) -> None:
    asked = bodies(60, 25)
    # Nobody is kept out: each is to be there again at once.
    tiers = f'flap_backoff = "0s"\n{TIERS}'
    with world(tmp_path, engines=2, slots=STREAMS, tiers=tiers) as (gateway, engines):
        for engine in engines:
            engine.control(pause=0.02)

        async def trouble() -> None:
            for turn in range(6):
                engine = engines[turn % 2]
                engine.kill()
                await asyncio.sleep(0.1)
                engine.restart()
                engine.control(pause=0.02)
                while not up(gateway, engine):
                    await asyncio.sleep(0.02)

        async def scene(clients: Clients) -> list[Told]:
            tasks = [asyncio.create_task(clients.ask(body, tier="batch")) for body in asked]
            await trouble()
            return await asyncio.gather(*tasks)

        told = run(gateway.url, scene)
        for answer, body in zip(told, asked, strict=True):
            # One that was hit too often is told so, and is a beginning of what it should have been.
            assert is_right(answer, body) or answer.code in ("engine-failed", "dropped-declined"), answer
        until(lambda: gateway.live() == 0)
        assert sum(is_right(answer, body) for answer, body in zip(told, asked, strict=True)) >= len(asked) // 2


def test_an_engine_that_is_lost_again_and_again_is_kept_out(tmp_path: Path) -> None:
    tiers = f'flap_backoff = "3600s"\nflap_backoff_max = "3600s"\n{TIERS}'
    with world(tmp_path, tiers=tiers) as (gateway, (engine,)):
        for lost in range(1, 3):
            engine.kill()
            until(lambda: not up(gateway, engine))
            engine.restart()
            until(lambda: up(gateway, engine) or out_for(gateway, engine) > 0)
            assert gateway.metric("tidegate_workers", state="lost") == lost
            states = [gateway.metric("tidegate_workers", state=state) for state in ("up", "out")]
            assert states == ([1, 0] if lost == 1 else [0, 1]), "the first loss may happen to anybody"
            assert up(gateway, engine) == (lost == 1)
        assert 0 < out_for(gateway, engine) <= 3600
        assert gateway.samples("tidegate_engine_slots") == [], "nobody may use it"
        with pytest.raises(HTTPError) as unready:
            gateway.get("/readyz")
        told = unready.value.read().decode()
        assert (unready.value.code, told.splitlines()[0]) == (503, "no engine is up")
        [seconds] = re.findall(rf"^{re.escape(engine.url)} is kept out for ([0-9.]+) s$", told, re.MULTILINE)
        assert 0 < float(seconds) <= 3600
        assert gateway.get("/healthz") == "ok\n"


def test_an_engine_that_was_kept_out_is_up_again(tmp_path: Path) -> None:
    tiers = f'flap_backoff = "3s"\nflap_backoff_max = "3s"\n{TIERS}'
    with world(tmp_path, tiers=tiers) as (gateway, (engine,)):
        for _ in range(2):
            engine.kill()
            until(lambda: not up(gateway, engine))
            engine.restart()
            until(lambda: up(gateway, engine))
        assert gateway.is_ready
        assert (out_for(gateway, engine), gateway.samples("tidegate_engine_slots")) == (0, [4])

        async def scene(clients: Clients) -> int:
            return (await clients.ask(body_of("a", 2))).status

        assert run(gateway.url, scene) == 200


def out_for(gateway: Gateway, engine: StubEngine) -> float:
    return gateway.metric("tidegate_engine_out_seconds", engine=engine.url)
