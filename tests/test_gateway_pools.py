"""Which pools serve a request of the gateway: those that its client names, those that the file lists for it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateway_world import TIERS, Clients, Gateway, StubEngine, body_of, config, run, up
from waiting import until

POOLS = TIERS.replace('dimensions = ["slots"]', 'dimensions = ["slots"]\npools = ["h100", "a100"]')
# A model, a tenant, a tier: the more particular goes before. A name that is there again counts once.
LISTS = """
[gateway.models]
large = ["h100", "h100", "a100", "a100", "h100", "a100"]
old = ["a100"]

[tier_pools]
near-realtime = ["a100", "h100"]
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[tuple[Gateway, list[StubEngine]]]:
    """An engine of one slot in each pool."""
    with ExitStack() as stack:
        stubs = [stack.enter_context(StubEngine()) for _ in range(2)]
        text = config(stubs, 1, POOLS) + LISTS
        later = f'url = "{stubs[1].url}"\n'
        assert text.count(later) == 1
        gateway = stack.enter_context(Gateway(tmp_path, text.replace(later, later + 'pool = "a100"\n')))
        until(lambda: all(up(gateway, stub) for stub in stubs))
        yield gateway, stubs


def begun(stubs: list[StubEngine]) -> list[int]:
    return [stub.stats()["begun"] for stub in stubs]


def test_a_request_is_served_by_the_first_of_its_pools_that_has_room(fleet: tuple[Gateway, list[StubEngine]]) -> None:
    gateway, stubs = fleet

    async def scene(clients: Clients) -> list[int]:
        for stub in stubs:
            stub.control(hold=True)
        body = body_of("a", 3, stream=True) | {"model": "large"}
        asked, seen = [], []
        for name in ("first", "second"):
            is_there = asyncio.Event()
            asked.append(asyncio.create_task(clients.ask(body, first=is_there, **{"x-request-id": name})))
            await is_there.wait()
            seen.append(begun(stubs))
        assert seen == [[1, 0], [1, 1]]
        headers = clients.headers()
        async with clients.session.get(f"{clients.url}/explain/second", headers=headers) as answer:
            assert (await answer.json())["pools"] == ["h100", "a100"]
        for stub in stubs:
            stub.control(hold=False)
        return [told.status for told in await asyncio.gather(*asked)]

    assert run(gateway.url, scene) == [200, 200]


@pytest.mark.parametrize(
    ("model", "said", "place"),
    [
        ("stub", "", 0),
        ("old", "", 1),
        ("old", "h100", 0),
        ("stub", "a100 ,h100", 1),
        ("old", ",".join(["h100"] * 5), 0),
    ],
    ids=["none", "model", "header", "headers", "named again"],
)
def test_who_names_pools(fleet: tuple[Gateway, list[StubEngine]], model: str, said: str, place: int) -> None:
    gateway, stubs = fleet

    async def scene(clients: Clients) -> int:
        header = {"x-tidegate-pool": said} if said else {}
        return (await clients.ask(body_of("a", 2) | {"model": model}, **header)).status

    assert run(gateway.url, scene) == 200
    assert begun(stubs) == [int(place == nth) for nth in range(2)]


@pytest.mark.parametrize("said", ["h100,nowhere", ""])
def test_pools_that_are_not_there_are_told(fleet: tuple[Gateway, list[StubEngine]], said: str) -> None:
    async def scene(clients: Clients) -> object:
        return (await clients.ask(body_of("a", 2), **{"x-tidegate-pool": said})).code

    assert run(fleet[0].url, scene) == "unknown-pool"


@pytest.mark.parametrize(
    ("model", "tier", "said", "place"),
    [("stub", "near-realtime", "", 1), ("stub", "batch", "", 0), ("large", "near-realtime", "", 0),
     ("stub", "near-realtime", "h100", 0)],
    ids=["tier", "another tier", "model", "header"],
)  # fmt: skip
def test_a_tier_has_pools_of_its_own(
    fleet: tuple[Gateway, list[StubEngine]], model: str, tier: str, said: str, place: int
) -> None:
    gateway, stubs = fleet

    async def scene(clients: Clients) -> int:
        header = {"x-tidegate-pool": said} if said else {}
        return (await clients.ask(body_of("a", 2) | {"model": model}, tier=tier, **header)).status

    assert run(gateway.url, scene) == 200
    assert begun(stubs) == [int(place == nth) for nth in range(2)]


def test_a_tenants_pools_go_before_its_tiers_and_both_change_with_the_file(
    fleet: tuple[Gateway, list[StubEngine]],
) -> None:
    gateway, stubs = fleet

    async def scene(clients: Clients) -> int:
        return (await clients.ask(body_of("a", 2), tier="near-realtime")).status

    def serves(text: str) -> list[int]:
        """Which engine, once the gateway has this file."""
        lines = gateway.log().count("the config was read again")
        gateway.path.write_text(text)
        gateway.signal(signal.SIGHUP)
        until(lambda: gateway.log().count("the config was read again") > lines)
        before = begun(stubs)
        assert run(gateway.url, scene) == 200
        return [after - former for after, former in zip(begun(stubs), before, strict=True)]

    text = gateway.path.read_text()
    tenant = '[[tenants]]\nname = "acme"\n'
    assert text.count(tenant) == 1
    assert serves(text.replace(tenant, tenant + 'pools = ["h100"]\n')) == [1, 0]
    assert serves(text.replace('near-realtime = ["a100", "h100"]', 'near-realtime = ["h100", "a100"]')) == [1, 0]
    assert serves(text) == [0, 1]
