"""The Rust example of a host with leases speaks to the same store as Python's adapters."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import toolchain
from redis_server import RedisServer

from tidegate import LeaseWanted, Rate
from tidegate.redis import Budget, Leases

BUDGET = Budget("acme", Rate(1_000, 1_000_000_000, 100_000))
KEY = "tidegate:{acme}"


@pytest.fixture(scope="module")
def program(programs: Callable[[str], Path]) -> Path:
    return programs("redis_leases")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_rust_and_python_take_from_one_budget(program: Path, server: RedisServer) -> None:
    with server.client() as client:
        # Nothing comes for as long as it would take to fill an empty budget, from then on: a hundred seconds.
        seconds, _ = client.time()
        client.hset(KEY, mapping={"level": 100, "rem": 0, "at": (seconds + 99) * 1_000_000, "period": 1_000_000_000})
        lines = toolchain.output(program, f"redis://127.0.0.1:{server.port}", "acme", "30", "2").splitlines()
        assert lines == ["1 of 30 tokens", "2 of 30 tokens"]
        with Leases(client, lambda *_: BUDGET, replica="python") as leases:
            leases.ask(LeaseWanted(0, "tokens", 1, 1_000, 0, "lease-needed"))
            while not (grants := leases.grants()):
                time.sleep(0.001)
        assert [grant.tokens for grant in grants] == [40], "what was not used came back"
        assert len(client.keys(f"{KEY}:example:*")) == 1
        assert len(client.keys(f"{KEY}:python:*")) == 1


def test_the_rust_host_goes_on_when_the_store_restarts(program: Path, server: RedisServer) -> None:
    command = [program, f"redis://127.0.0.1:{server.port}", "acme", "10", "300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None, "it is a pipe"
        before = [host.stdout.readline() for _ in range(20)]
        server.restart()
        lines = before + list(host.stdout)
    assert host.returncode == 0
    assert [int(line.split()[0]) for line in lines] == list(range(1, 301))
