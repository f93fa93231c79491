"""The Rust example of a host with leases speaks to the same store as Python's adapters."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import toolchain
from redis_server import RedisServer

from tidegate.redis import Budget, Leases

BUDGET = Budget("acme", amount=1_000, period_ns=1_000_000_000, burst=100_000)
KEY = "tidegate:{acme}"


@pytest.fixture(scope="module")
def program() -> Path:
    example, *_ = toolchain.build("tidegate-sim", "--example", "redis_leases", target="redis_leases")
    return example


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_rust_and_python_take_from_one_budget(program: Path, server: RedisServer) -> None:
    with server.client() as client:
        seconds, _ = client.time()
        client.hset(KEY, mapping={"level": 100, "rem": 0, "at": (seconds + 50) * 1_000_000, "period": 1_000_000_000})
        lines = toolchain.output(program, f"redis://127.0.0.1:{server.port}", "acme", "30", "2").splitlines()
        assert lines == ["acme 1 30 10s", "acme 2 30 10s"]
        with Leases(client, lambda *_: BUDGET, replica="python") as leases:
            leases.ask(Wish(1, 1_000))
            while not (grants := leases.grants()):
                time.sleep(0.001)
        assert [grant.tokens for grant in grants] == [40]
        assert len(client.keys(f"{KEY}:example:*")) == 1
        assert len(client.keys(f"{KEY}:python:*")) == 1


def test_the_rust_host_goes_on_when_the_store_restarts(program: Path, server: RedisServer) -> None:
    command = [program, f"redis://127.0.0.1:{server.port}", "acme", "1", "300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None, "it is a pipe"
        before = [host.stdout.readline() for _ in range(20)]
        server.restart()
        lines = before + list(host.stdout)
    assert host.returncode == 0
    assert [int(line.split()[1]) for line in lines] == list(range(1, 301))
