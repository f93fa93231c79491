"""What clients may not do to the gateway: take its time, its memory, or another's place."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_engine import expected
from gateway_world import Clients, Gateway, StubEngine, Told, body_of, clients, run, world
from waiting import SECONDS, until


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One for all tests that leave it as they found it."""
    bounds = {"max_body_bytes": 20_000, "max_header_bytes": 4_000, "body_timeout": f"{SECONDS}s"}
    with world(tmp_path_factory.mktemp("gateway"), **bounds) as (gateway, _):
        yield gateway


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Waits for no client longer than for one that only the machine makes slow."""
    with world(tmp_path_factory.mktemp("impatient"), body_timeout="2s") as (gateway, _):
        yield gateway


@contextmanager
def connected(gateway: Gateway) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(gateway.port)), timeout=SECONDS) as connection:
        yield connection


def all_of(connection: socket.socket) -> bytes:
    """What comes until the connection is closed."""
    told = bytearray()
    try:
        while more := connection.recv(65_536):
            told += more
    except ConnectionResetError:
        pass
    return bytes(told)


def head(length: str = "content-length: 10", more: str = "") -> bytes:
    lines = ["POST /v1/completions HTTP/1.1", "host: here", "authorization: Bearer acme-key", length, more]
    return "\r\n".join([*filter(None, lines), "", ""]).encode()


def test_a_head_has_a_bound(gateway: Gateway) -> None:
    for more in ("x-much: " + "a" * 5_000, "\r\n".join(f"x-{number}: {number}" for number in range(400))):
        with connected(gateway) as connection:
            connection.sendall(head(more=more))
            assert all_of(connection).startswith(b"HTTP/1.1 431 ")
    with connected(gateway) as connection:
        try:
            for _ in range(1_000):
                connection.sendall(b"POST /" + b"a" * 10_000)
        except (ConnectionResetError, BrokenPipeError):
            return
        assert all_of(connection).startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize("sent", [b"", b"POST /v1/comp", head()[:-2]], ids=["nothing", "a-line", "no-end"])
def test_a_head_that_takes_too_long_is_not_waited_for(impatient: Gateway, sent: bytes) -> None:
    with connected(impatient) as connection:
        connection.sendall(sent)
        assert all_of(connection) == b""


def test_a_body_that_takes_too_long_is_not_waited_for(impatient: Gateway) -> None:
    with connected(impatient) as connection:
        connection.sendall(head("content-length: 100") + b"{")
        assert b" 408 " in connection.recv(65_536).partition(b"\r\n")[0] + b" "


@pytest.mark.parametrize("length", ["content-length: 30000", "transfer-encoding: chunked"])
def test_a_body_has_a_bound(gateway: Gateway, length: str) -> None:
    with connected(gateway) as connection:
        connection.sendall(head(length))
        if "chunked" in length:
            connection.sendall(b"7530\r\n" + b" " * 30_000 + b"\r\n")
        assert b" 413 " in connection.recv(65_536).partition(b"\r\n")[0] + b" "


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", None),
        (b"[]", None),
        (b'{"prompt": NaN}', None),
        (b'{"prompt": "a", "max_tokens": ' + b"9" * 5_000 + b"}", None),
        (b"[" * 15_000, None),
        (b"\xff\xfe{}", None),
        (b"{}", "prompt"),
        (b'{"prompt": []}', "prompt"),
        (b'{"prompt": "a", "max_tokens": 0}', "max_tokens"),
        (b'{"prompt": "a", "max_tokens": true}', "max_tokens"),
        (b'{"prompt": "a", "max_tokens": 1e30}', "max_tokens"),
        (b'{"prompt": "a", "stream": "yes"}', "stream"),
        (b'{"prompt": "a", "n": 100000}', "n"),
        (b'{"prompt": "a", "stream_options": 7}', "stream_options"),
        (b'{"prompt": "a", "priority": -5}', "priority"),
        (b'{"prompt": "a", "vllm_xargs": {"tenant": "frugal"}}', "vllm_xargs"),
        (b'{"prompt": "a", "tenant": "frugal"}', "tenant"),
    ],
    ids=lambda value: value[:40].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_a_body_that_is_none(gateway: Gateway, body: bytes, field: str | None) -> None:
    async def scene(clients: Clients) -> tuple[int, Any]:
        url = f"{gateway.url}/v1/completions"
        async with clients.session.post(url, data=body, headers=clients.headers()) as answer:
            return answer.status, await answer.json()

    status, document = run(gateway.url, scene)
    assert (status, document["error"]["code"], document["error"]["param"]) == (400, "bad-request", field)
    assert gateway.live() == 0


def test_what_is_no_http(gateway: Gateway) -> None:
    with connected(gateway) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert all_of(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"authorization": ""}, 401, "unknown-key"),
        ({"authorization": "Bearer "}, 401, "unknown-key"),
        ({"authorization": "Bearer acme-kez"}, 401, "unknown-key"),
        ({"authorization": "Basic acme-key"}, 401, "unknown-key"),
        ({"authorization": "Bearer " + "acme-key" * 100}, 401, "unknown-key"),
        ({"x-tidegate-tenant": "frugal"}, 403, "foreign-tenant"),
        ({"x-tidegate-tier": "imperial"}, 400, "unknown-tier"),
        ({"authorization": "Bearer batch-key", "x-tidegate-tier": "realtime"}, 403, "tier-too-urgent"),
        ({"x-tidegate-pool": "other"}, 400, "unknown-pool"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_who_may_not(gateway: Gateway, headers: dict[str, str], status: int, code: str) -> None:
    async def scene(clients: Clients) -> Told:
        said = clients.headers() | headers
        async with clients.session.post(f"{gateway.url}/v1/completions", json=body_of("a", 2), headers=said) as answer:
            return Told(answer.status, dict(answer.headers), await answer.json())

    told = run(gateway.url, scene)
    assert (told.status, told.code) == (status, code)
    said = json.dumps([told.document, told.headers]) + gateway.log()
    assert "acme-key" not in said
    assert "batch-key" not in said
    assert "acme-kez" not in said


def test_a_tenant_may_name_itself(gateway: Gateway) -> None:
    async def scene(clients: Clients) -> Told:
        return await clients.ask(body_of("a", 2), **{"x-tidegate-tenant": "acme"})

    assert run(gateway.url, scene).status == 200


def test_a_tier_above_the_right_may_be_demoted(tmp_path: Path) -> None:
    with world(tmp_path, above_right="demote") as (gateway, _):

        async def scene(clients: Clients) -> Told:
            return await clients.ask(body_of("a", 2), key="batch-key", tier="realtime")

        assert run(gateway.url, scene).status == 200
        tokens = {"name": "tidegate_gateway_tokens_total", "kind": "output", "tenant": "acme"}
        assert gateway.metric(**tokens, tier="batch") == 2
        assert gateway.metric(**tokens, tier="realtime") == 0


def test_a_client_that_takes_nothing_loses_its_place(tmp_path: Path) -> None:
    with world(tmp_path, slots=1, write_timeout="500ms") as (gateway, (engine,)):
        fill(gateway, engine)
        until(lambda: gateway.live() == 0 and engine.stats()["running"] == 0)
        until(lambda: gateway.metric("tidegate_gateway_refused_total", code="client-gone") == 1)


def fill(gateway: Gateway, engine: StubEngine) -> None:
    """Asks for more than a connection holds, and reads nothing until it is cut."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(SECONDS)
        connection.connect(("127.0.0.1", int(gateway.port)))
        body = json.dumps(body_of("a", 200_000, stream=True)).encode()
        connection.sendall(head(f"content-length: {len(body)}") + body)
        until(lambda: engine.stats()["begun"] == 1)
        until(lambda: gateway.live() == 0)


async def until_it_stands_still(engine: StubEngine) -> None:
    """Waits until the engine has sent something, and gets no more of it away."""
    last = -1
    while (sent := engine.stats()["sent"]) == 0 or sent != last:
        last = sent
        await asyncio.sleep(0.5)


def test_a_stream_that_is_cut_while_its_client_takes_nothing_is_whole(tmp_path: Path) -> None:
    # The client takes nothing for as long as the test takes to find that out, and is kept.
    with world(tmp_path, slots=1, write_timeout=f"{SECONDS}s") as (gateway, (engine,)):
        body = body_of("a", 60_000, stream=True)
        raw = json.dumps(body).encode()

        async def scene() -> bytes:
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.connect(("127.0.0.1", int(gateway.port)))
            reader, writer = await asyncio.open_connection(sock=connection, limit=1_024)
            writer.write(head(f"content-length: {len(raw)}", "x-tidegate-tier: batch") + raw)
            await until_it_stands_still(engine)
            async with clients(gateway.url) as asking:
                urgent = await asking.ask(body_of("urgent", 3), tier="realtime")
            assert urgent.status == 200, "the place was given back although the client took nothing"
            told = bytearray()
            while b"[DONE]" not in told[-200:]:
                told += await reader.read(65_536)
            writer.close()
            return bytes(told)

        async def bounded() -> bytes:
            return await asyncio.wait_for(scene(), SECONDS)

        told = asyncio.run(bounded())
        assert b"".join(re.findall(rb'"text":"([^"]*)"', told)).decode() == expected(body)[1]
        assert gateway.metric("tidegate_gateway_cut_total", tier="batch") >= 1
        assert gateway.live() == 0
