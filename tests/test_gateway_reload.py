"""A config that is read again, inside one process: what it leaves as it was, and what becomes of one that fails."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from gateway.config import parse
from gateway.engine import Engine, _load
from gateway.fleet import LOOKS, UNSEEN, Fleet, Member
from gateway.server import Gateway

import tidegate
from tidegate.aio import Gate

HEAD = 'dimensions = ["slots"]\nmax_tenants = 4\n[[tiers]]\nname = "batch"\nhold_window = "0s"\n'
ENGINES = '[[engines]]\nurl = "http://127.0.0.1:1"\nslots = 2\nmax_slots = 8\nload = "/load"\n'
HOUSE = '[[tenants]]\nname = "house"\ntokens = { amount = 100, period = "1s", burst = 200 }\nover_quota = "reject"\n'
CHILD = '[[tenants]]\nname = "child"\nparent = "house"\n'
SECOND = 1_000_000_000


class World:
    """A gateway without its server, at a time that the test says."""

    def __init__(self, path: Path, gate: Gate, gateway: Gateway, now: list[int]) -> None:
        self.path, self.gate, self.gateway, self.now = path, gate, gateway, now

    def read(self, *parts: str) -> None:
        """Reads another config."""
        self.path.write_text("".join(parts))
        self.gateway.reload()

    def sample(self, name: str, tenant: str) -> float:
        lines = self.gate.scheduler.metrics().splitlines()
        (line,) = (line for line in lines if line.startswith(f"{name}{{") and f'tenant="{tenant}"' in line)
        return float(line.rpartition(" ")[2])


@asynccontextmanager
async def made(path: Path, *parts: str) -> AsyncIterator[World]:
    path.write_text("".join(parts))
    settings, now = parse(path.read_text()), [SECOND]
    async with (
        asyncio.timeout(60),
        aiohttp.ClientSession() as session,
        Gate(settings.scheduler, clock_ns=lambda: now[0]) as gate,
    ):
        gateway = Gateway(path, settings, gate, None, session)
        try:
            yield World(path, gate, gateway, now)
        finally:
            await gateway._fleet.aclose()


def play(path: Path, scene: Callable[[World], Awaitable[None]], *parts: str) -> None:
    async def run() -> None:
        async with made(path, *parts) as world:
            await scene(world)

    asyncio.run(run())


def test_a_config_that_is_the_same_takes_nothing_from_a_budget(tmp_path: Path) -> None:
    text = (HEAD, HOUSE, CHILD, ENGINES)

    async def scene(world: World) -> None:
        world.gate.worker_add({"slots": 1})
        async with world.gate.admit(
            tenant="child", tier="batch", demand={"slots": 1}, prompt_tokens=100, output_tokens=50
        ):
            world.now[0] += 10 * SECOND  # what it holds has come again
            world.read(*text)
            assert world.sample("tidegate_quota_level", "house") == 200
            world.read(*text)
            assert world.sample("tidegate_quota_level", "house") == 200

    play(tmp_path / "gateway.toml", scene, *text)


def test_tenants_change_places(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    upside_down = '[[tenants]]\nname = "child"\n[[tenants]]\nname = "house"\nparent = "child"\n'

    async def scene(world: World) -> None:
        for parts, parents in [
            ((upside_down,), {"child": None, "house": "child"}),
            ((HOUSE, CHILD), {"child": "house", "house": None}),
            ((), {}),  # both are forgotten, the child first
        ]:
            world.read(HEAD, *parts, ENGINES)
            assert world.gateway._tenants.parents == parents
            assert set(world.gate.scheduler.tenants().values()) == set(parents)

    with caplog.at_level(logging.WARNING):
        play(tmp_path / "gateway.toml", scene, HEAD, HOUSE, CHILD, ENGINES)
    assert not [record for record in caplog.records if record.name == "gateway"]


def test_a_config_that_fails_is_taken_back_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(world: World) -> None:
        fleet = world.gateway._fleet
        configure = fleet.configure

        def fails(*_settings: object) -> None:
            monkeypatch.setattr(fleet, "configure", configure)
            raise tidegate.BadArgument("no such engines")

        monkeypatch.setattr(fleet, "configure", fails)
        other = '[[tenants]]\nname = "other"\n'
        world.read(HEAD.replace("4", "5"), HOUSE.replace("200", "300"), other, ENGINES)
        assert "cannot be in force, and the old one is again: no such engines" in caplog.text
        assert "in part only" not in caplog.text
        assert "max_tenants = 4" in world.gate.scheduler.config.to_toml()
        assert set(world.gate.scheduler.tenants().values()) == {"house", "child"}
        assert world.sample("tidegate_quota_burst", "house") == 200
        world.read(HEAD, HOUSE.replace("200", "300"), CHILD, ENGINES)
        assert world.sample("tidegate_quota_burst", "house") == 300

    with caplog.at_level(logging.INFO):
        play(tmp_path / "gateway.toml", scene, HEAD, HOUSE, CHILD, ENGINES)
    assert "was read again" in caplog.text


@pytest.mark.parametrize(
    ("told", "load"),
    [
        (b'{"server_load": 3}', 3),
        (b'{"server_load": true}', None),
        (b'{"server_load": -1}', None),
        (b'{"server_load": Infinity}', None),
        (b'{"server_load": 1' + b"0" * 400 + b"}", 10**400),
        (b"vllm:num_requests_running{} 2.0\nvllm:num_requests_waiting{} 1.0\n", 3),
        (b"vllm:num_requests_running{} +Inf\n", None),
        (b"vllm:num_requests_running{} NaN\n", None),
        (b"other 1\n", None),
    ],
)
def test_what_a_load_says(told: bytes, load: int | None) -> None:
    assert _load(told) == load


async def looked_at(tmp_path: Path, *told: int | Exception | None) -> Member:
    """An engine that is up and tells these loads, one check after the other; a fault for one that fails."""
    async with made(tmp_path / "gateway.toml", HEAD, ENGINES) as world:
        fleet: Fleet = world.gateway._fleet
        (member,) = fleet._members.values()
        assert member.task is not None, "it is watched"
        member.task.cancel()
        answers = iter(told)
        over = asyncio.Event()

        class Stub(Engine):
            async def is_healthy(self) -> bool:
                self.told = next(answers, over)
                if self.told is over:
                    over.set()
                    await asyncio.Event().wait()
                return self.told != -1

            async def load(self) -> Any:
                if isinstance(self.told, Exception):
                    raise self.told
                return self.told

        member.engine.__class__ = Stub
        member.task = asyncio.create_task(fleet._watch(member))
        while not over.is_set():
            member.suspected.set()
            await asyncio.sleep(0)
        return member


@pytest.mark.parametrize(
    ("told", "foreign", "slots"),
    [
        ((0,) * LOOKS, (0,) * LOOKS, 4),
        ((0, *(None,) * (LOOKS - 1)), (0, *UNSEEN[1:]), 2),
        ((*(0,) * LOOKS, *(None,) * (LOOKS - 1)), (0,) * LOOKS, 8),
        ((*(0,) * LOOKS, *(None,) * LOOKS), UNSEEN, 2),
        ((*(0,) * (LOOKS - 1), -1, 0), (0, *UNSEEN[1:]), 2),
        ((*(0,) * (LOOKS - 1), OverflowError("a fault"), 0), (0,) * LOOKS, 4),
    ],
    ids=["all", "untold", "borrowed", "untold for long", "failed", "went wrong"],
)
def test_what_checks_say_of_others(tmp_path: Path, told: Any, foreign: tuple[int, ...], slots: int) -> None:
    member = asyncio.run(looked_at(tmp_path, *told))
    assert (member.foreign, member.slots) == (foreign, slots)


def test_a_config_that_cannot_be_read_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def refusals() -> int:
        return sum(record.levelname == "ERROR" for record in caplog.records)

    async def scene(world: World) -> None:
        whole = world.path.read_text()
        world.path.unlink()
        assert not world.gateway.reload()
        assert not world.gateway.reload(), "it is to be tried again"
        assert refusals() == 1
        world.read(whole)
        world.path.unlink()
        world.gateway.reload()
        assert refusals() == 2, "it could be read in between"

    play(tmp_path / "gateway.toml", scene, HEAD, ENGINES)
