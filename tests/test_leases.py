"""The adapters between wishes for tokens and a Redis server: a real one, that dies, restarts and stops."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
import redis.asyncio
from redis_server import RedisServer
from waiting import SECONDS, until

from tidegate import LeaseWanted, QuotaLimit, Rate
from tidegate.redis import AsyncLeases, Budget, Grant, Leases

SECOND = 1_000_000_000
VALID_FOR = 10 * SECOND
ACME = 0
BUDGET = Budget("acme", Rate(0, SECOND, 1 << 40))
KEY = "tidegate:{acme}"
PLENTY = 1 << 30


def wish(seq: int, tokens: int, returned: int = 0, tenant: int = ACME) -> LeaseWanted:
    return LeaseWanted(tenant, "tokens", seq, tokens, returned, "lease-needed")


@pytest.fixture(scope="module")
def running_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer) -> RedisServer:
    """A server that knows nothing but the budget, with plenty in it."""
    with running_server.client() as client:
        client.flushall()
        put(client, PLENTY)
    return running_server


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
def leases(client: redis.Redis) -> Iterator[Leases]:
    with Leases(client, lambda *_: BUDGET, replica="a") as leases:
        yield leases


@pytest.fixture
def impatient(server: RedisServer) -> Iterator[Leases]:
    """They wait a second for the store: far longer than one that runs takes."""
    with server.client(1) as client, Leases(client, lambda *_: BUDGET, replica="a") as leases:
        yield leases


def put(client: redis.Redis, level: int) -> None:
    seconds, microseconds = client.time()
    at = seconds * 1_000_000 + microseconds
    client.hset(KEY, mapping={"level": level, "rem": 0, "at": at, "period": SECOND})


def taken(client: redis.Redis) -> int:
    """What was deducted of plenty."""
    return PLENTY - int(client.hget(KEY, "level"))


def fetch(leases: Leases, number: int) -> list[Grant]:
    """The next grants, as soon as there are so many."""
    granted: list[Grant] = []

    def are_there() -> bool:
        granted.extend(leases.grants())
        assert leases.failures == before, leases.last_error
        return len(granted) >= number

    before = leases.failures
    until(are_there)
    return granted


def until_it_fails(leases: Leases | AsyncLeases, failures: int) -> None:
    until(lambda: leases.failures >= failures)


def test_a_wish_is_granted_with_the_time_that_it_is_good_for(leases: Leases) -> None:
    leases.ask(wish(1, 50))
    assert fetch(leases, 1) == [Grant(ACME, QuotaLimit.TOKENS, 1, 50, VALID_FOR)]
    assert leases.grants() == []


def test_the_host_is_woken_when_there_is_something_to_fetch(client: redis.Redis) -> None:
    woken = threading.Event()
    with Leases(client, lambda *_: BUDGET, replica="a", on_grant=woken.set) as leases:
        leases.ask(wish(1, 50))
        assert woken.wait(SECONDS)
        assert len(leases.grants()) == 1


def test_a_repeated_wish_gets_the_same_answer_and_a_debt_is_deducted(leases: Leases, client: redis.Redis) -> None:
    leases.ask(wish(1, 50, -20))
    fetch(leases, 1)
    leases.ask(wish(1, 50, -20))
    assert fetch(leases, 1)[0].tokens == 50
    assert taken(client) == 70


def test_an_older_wish_gets_no_answer(leases: Leases) -> None:
    leases.ask(wish(7, 50))
    fetch(leases, 1)
    leases.ask(wish(6, 50))
    leases.ask(wish(8, 50, tenant=1))
    assert [grant.seq for grant in fetch(leases, 1)] == [8]
    assert leases.failures == 0


def test_many_wishes_go_together(server: RedisServer) -> None:
    with server.client() as client:
        client.config_resetstat()
        with Leases(client, lambda tenant, _: Budget(f"b{tenant}", Rate(0, SECOND, 1)), replica="a") as leases:
            with server.stopped():
                for tenant in range(2_000):
                    leases.ask(wish(1, 1, tenant=tenant))
            assert len({grant.tenant for grant in fetch(leases, 2_000)}) == 2_000
        assert leases.calls <= 4, "the first few, and two batches"


def test_a_limit_has_one_wish_at_a_time(server: RedisServer) -> None:
    def budget_of(tenant: int, _: QuotaLimit) -> Budget:
        return replace(BUDGET, name=str(tenant))

    with server.client() as client, Leases(client, budget_of, replica="a") as leases:
        with server.stopped():
            for _ in range(100):
                leases.ask(wish(1, 50))
            leases.ask(wish(1, 1, tenant=1))
        granted = leases.grants()
        while not any(grant.tenant == 1 for grant in granted):
            granted += fetch(leases, 1)
        assert len(granted) <= 3, "the first, what was said again meanwhile, and the last"


def test_asking_does_not_wait_for_a_store_that_stopped(server: RedisServer, leases: Leases, impatient: Leases) -> None:
    with server.stopped():
        leases.ask(wish(1, 10))
        assert leases.grants() == []
        assert leases.failures == 0, "it came back before the store has taken all the time that it may"
    fetch(leases, 1)
    impatient.ask(wish(1, 10))
    fetch(impatient, 1)
    with server.stopped():
        impatient.ask(wish(2, 50))
        until_it_fails(impatient, 1)
        assert isinstance(impatient.last_error, redis.TimeoutError)
        assert impatient.grants() == []


def test_what_a_stopped_store_did_afterwards_is_answered_when_it_is_asked_again(
    server: RedisServer, impatient: Leases, client: redis.Redis
) -> None:
    impatient.ask(wish(1, 10))
    fetch(impatient, 1)
    with server.stopped():
        for failures in (1, 2):
            impatient.ask(wish(2, 50))
            until_it_fails(impatient, failures)
    impatient.ask(wish(2, 50))
    assert fetch(impatient, 1) == [Grant(ACME, QuotaLimit.TOKENS, 2, 50, VALID_FOR)]
    assert taken(client) == 60, "three times asked, once deducted"


def test_a_store_that_restarted_is_told_the_script_again(server: RedisServer, leases: Leases) -> None:
    leases.ask(wish(1, 10))
    fetch(leases, 1)
    server.kill()
    leases.ask(wish(2, 10))
    until_it_fails(leases, 1)
    assert leases.grants() == []
    server.start()
    leases.ask(wish(2, 10))
    assert fetch(leases, 1)[0].seq == 2


def test_nothing_is_granted_twice_however_many_ask_at_once(server: RedisServer, client: redis.Redis) -> None:
    put(client, 1_000)
    granted = []

    def replica() -> None:
        with server.client() as own, Leases(own, lambda *_: BUDGET, replica="same name") as leases:
            for seq in range(1, 40):
                leases.ask(wish(seq, 7))
                granted.append(fetch(leases, 1)[0].tokens)

    replicas = [threading.Thread(target=replica) for _ in range(8)]
    for thread in replicas:
        thread.start()
    for thread in replicas:
        thread.join()
    assert len(granted) == 8 * 39
    assert sum(granted) == 1_000
    assert int(client.hget(KEY, "level")) == 0


def test_the_asyncio_kind_asks_and_comes_back_likewise(server: RedisServer) -> None:
    async def host() -> None:
        store = redis.asyncio.Redis(port=server.port, socket_timeout=SECONDS)
        async with store, AsyncLeases(store, lambda *_: BUDGET, replica="a") as leases:

            async def grant() -> Grant:
                await asyncio.wait_for(leases.wait(), SECONDS)
                (grant,) = leases.grants()
                return grant

            leases.ask(wish(1, 50))
            assert await grant() == Grant(ACME, QuotaLimit.TOKENS, 1, 50, VALID_FOR)
            with server.stopped():
                leases.ask(wish(2, 30))
                await asyncio.sleep(0.1)
                assert leases.grants() == []
            assert (await grant()).seq == 2
            server.kill()
            leases.ask(wish(3, 30))
            await asyncio.to_thread(until_it_fails, leases, 1)
            assert leases.failures == 1
            assert leases.grants() == []
            server.start()
            leases.ask(wish(3, 30))
            assert (await grant()).seq == 3

    asyncio.run(host())


@pytest.mark.parametrize("page", ["GUIDE.md", "LEASES.md"])
def test_the_hosts_of_the_pages_run(server: RedisServer, page: str) -> None:
    text = (Path(__file__).parent.parent / "docs" / page).read_text()
    programs = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (program,) = (program for program in programs if "tidegate.redis" in program)
    command = [sys.executable, "-W", "error", "-c", program]
    url = {"REDIS_URL": f"redis://127.0.0.1:{server.port}"}
    run = subprocess.run(command, env=url, capture_output=True, text=True, check=False, timeout=60)
    assert re.fullmatch(r"worker 0 starts \d+\n", run.stdout), run.stderr
    assert run.stderr == ""


def test_a_wish_for_an_unknown_limit_fails_at_once(client: redis.Redis) -> None:
    budgets = {(ACME, QuotaLimit.TOKENS): BUDGET}
    with Leases(client, lambda *limit: budgets[limit], replica="a") as leases, pytest.raises(KeyError):
        leases.ask(wish(1, 1, tenant=1))


def test_a_client_without_a_timeout_is_refused(server: RedisServer) -> None:
    with pytest.raises(ValueError, match="no socket_timeout"):
        Leases(redis.Redis(port=server.port, socket_timeout=None), lambda *_: BUDGET, replica="a")


@pytest.mark.parametrize("valid_for_ns", [0, 1_801 * SECOND])
def test_a_lease_is_good_for_half_an_hour_at_most(client: redis.Redis, valid_for_ns: int) -> None:
    with pytest.raises(ValueError, match="valid_for_ns"):
        Leases(client, lambda *_: BUDGET, replica="a", valid_for_ns=valid_for_ns)


@pytest.mark.parametrize(
    ("name", "rate", "message"),
    [
        ("a{b", Rate(1, 1, 1), "brace"),
        ("", Rate(1, 1, 1), "empty"),
        ("b", Rate(-1, 1, 1), "amount of 'b' is -1"),
        ("b", Rate(1, 0, 1), "period_ns"),
        ("b", Rate(1, 2**52 + 1, 1), "period_ns"),
        ("b", Rate(1, 1, 2**40 + 1), "burst"),
    ],
)
def test_a_budget_that_the_store_cannot_count_is_refused(name: str, rate: Rate, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(name, rate)
