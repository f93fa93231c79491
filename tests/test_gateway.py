"""The gateway in front of one engine: the protocol, tiers, tenants and quota, clients that go, and its end."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from gateway_engine import expected
from gateway_world import Clients, Told, body_of, config, is_whole, run, world
from waiting import SECONDS, until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with world(tmp_path_factory.mktemp("gateway")) as (gateway, (engine,)):
        yield gateway, engine


@pytest.fixture
def one(shared: Any) -> Any:
    """The one that tests share which leave it as they found it."""
    gateway, engine = shared
    engine.control(anew=True)
    return gateway, engine


@pytest.fixture
def own(tmp_path: Path) -> Any:
    with world(tmp_path) as (gateway, (engine,)):
        yield gateway, engine


def is_idle(gateway: Any) -> bool:
    return gateway.live() == 0


CHAT = {"model": "stub", "messages": [{"role": "user", "content": "so long"}], "max_tokens": 30}


def test_one_answer_in_all_four_forms(one: Any) -> None:
    gateway, _engine = one
    body = body_of("a b c", 30)

    async def scene(clients: Clients) -> list[Told]:
        return [
            await clients.ask(body | {"stream": True, "stream_options": {"include_usage": True}}),
            await clients.ask(body),
            await clients.ask(CHAT | {"stream": True, "stream_options": {"include_usage": True}}, "chat/completions"),
            await clients.ask(CHAT, "chat/completions"),
        ]

    streamed, whole, chat_streamed, chat = run(gateway.url, scene)
    ids, text = expected(body)
    _, chat_text = expected(CHAT)
    assert is_whole(streamed, body)
    assert is_whole(chat_streamed, CHAT)
    assert whole.document["choices"][0]["text"] == text
    assert chat.document["choices"][0]["message"] == {"role": "assistant", "content": chat_text}
    assert streamed.usage == whole.usage == {"prompt_tokens": 3, "completion_tokens": len(ids), "total_tokens": 33}
    assert chat_streamed.usage == chat.usage == {"prompt_tokens": 4, "completion_tokens": 30, "total_tokens": 34}
    assert [told.document["object"] for told in (streamed, whole, chat_streamed, chat)] == [
        "text_completion",
        "text_completion",
        "chat.completion.chunk",
        "chat.completion",
    ]
    finishes = [choice["finish_reason"] for event in streamed.events for choice in event["choices"]]
    assert finishes == [None] * (len(finishes) - 1) + ["length"]
    assert chat_streamed.events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert is_idle(gateway)


def test_what_is_asked_beyond_the_plain_goes_through_as_it_is(one: Any) -> None:
    gateway, engine = one
    body = body_of("a b c", 9, stop=["t5 "], n=2)

    async def scene(clients: Clients) -> list[Told]:
        return [await clients.ask(body), await clients.ask(body | {"n": 1, "stream": True})]

    whole, streamed = run(gateway.url, scene)
    assert [choice["text"] for choice in whole.document["choices"]] == [expected(body)[1]] * 2
    assert is_whole(streamed, body)
    assert streamed.usage is None, "the client did not ask for it"
    assert all(asked["body"]["stop"] == ["t5 "] for asked in engine.stats()["seen"])


def test_tokens_are_told_to_whoever_asks_for_them(one: Any) -> None:
    gateway, _engine = one
    body = body_of("a b c", 30, return_token_ids=True)

    async def scene(clients: Clients) -> list[Told]:
        return [await clients.ask(body | {"stream": True}), await clients.ask(body)]

    streamed, whole = run(gateway.url, scene)
    assert streamed.ids == whole.document["choices"][0]["token_ids"] == expected(body)[0]
    assert len(streamed.events[0]["choices"][0]["prompt_token_ids"]) == 3


def test_ids_and_traces_go_through_and_keys_do_not(one: Any) -> None:
    gateway, engine = one
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-request-id": "mine-1"}

    async def scene(clients: Clients) -> Told:
        return await clients.ask(body_of("a", 2), **trace)

    told = run(gateway.url, scene)
    assert told.headers["x-request-id"] == "mine-1"
    (asked,) = engine.stats()["seen"]
    assert asked["headers"]["traceparent"] == told.headers["traceparent"] == trace["traceparent"]
    assert asked["headers"]["x-request-id"].startswith("mine-1-")
    assert "authorization" not in asked["headers"]
    assert "acme-key" not in json.dumps(asked) + gateway.log()


def test_no_more_run_than_there_are_slots_and_the_urgent_come_first(one: Any) -> None:
    gateway, engine = one
    engine.control(pause=0.01, hold=True)
    begun: list[str] = []

    async def ask(clients: Clients, tier: str, number: int) -> bool:
        first, body = asyncio.Event(), body_of(f"{tier} {number}", 20)
        asking = asyncio.create_task(clients.ask(body | {"stream": True}, tier=tier, first=first))
        await asyncio.wait([asking, asyncio.create_task(first.wait())], return_when=asyncio.FIRST_COMPLETED)
        begun.append(tier)
        return is_whole(await asking, body)

    async def scene(clients: Clients) -> list[bool]:
        batch = [asyncio.create_task(ask(clients, "batch", number)) for number in range(40)]
        await asyncio.to_thread(until, lambda: gateway.live() == 40 and engine.stats()["running"] == 4)
        urgent = [asyncio.create_task(ask(clients, "realtime", number)) for number in range(8)]
        await asyncio.to_thread(until, lambda: gateway.live() == 48)
        await asyncio.to_thread(engine.control, hold=False)
        return await asyncio.gather(*batch, *urgent)

    assert all(run(gateway.url, scene))
    assert engine.stats()["most"] <= 4 + 2, "two that were cut may be under way to their end"
    last = max(place for place, tier in enumerate(begun) if tier == "realtime")
    assert begun[:last].count("batch") < 20, begun
    assert is_idle(gateway)


def test_what_a_tenant_has_used_of_its_quota(own: Any) -> None:
    gateway, _engine = own

    async def scene(clients: Clients) -> list[Told]:
        return [await clients.ask(body_of("a b c", tokens), key="frugal-key") for tokens in (50, 40, 40, 200)]

    first, second, third, never = run(gateway.url, scene)
    assert [told.status for told in (first, second, third, never)] == [200, 200, 429, 400]
    assert third.code == "quota-tokens"
    # 100 less 53 and 43 leave 4 of the 43 that it needs; one comes in ten seconds, also while it asks.
    assert 390 - SECONDS <= int(third.headers["retry-after"]) <= 390
    assert never.code == "never-fits"


def counted(gateway: Any) -> tuple[float, float]:
    cancelled = gateway.total("tidegate_ended_requests_total", end="cancelled")
    return cancelled, gateway.metric("tidegate_gateway_refused_total", code="client-gone")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_leaves_nothing_behind(one: Any, stream: bool) -> None:
    gateway, engine = one
    engine.control(pause=0.02)
    before = counted(gateway)

    async def scene(clients: Clients) -> None:
        asked = [
            asyncio.create_task(clients.ask(body_of("a", 100_000, stream=stream), tier="batch")) for _ in range(12)
        ]
        await asyncio.to_thread(until, lambda: gateway.live() == 12 and engine.stats()["running"] == 4)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    run(gateway.url, scene)
    until(lambda: is_idle(gateway) and engine.stats()["running"] == 0)
    until(lambda: counted(gateway) == (before[0] + 12, before[1] + 12))


def test_sigterm_lets_those_inside_finish_and_takes_nothing_new(own: Any) -> None:
    gateway, engine = own
    engine.control(hold=True)
    body = body_of("a", 30, stream=True)

    async def scene(clients: Clients) -> tuple[list[Told], Told]:
        asked = [asyncio.create_task(clients.ask(body, tier="batch")) for _ in range(8)]
        await asyncio.to_thread(until, lambda: gateway.live() == 8)
        gateway.signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: not gateway.is_ready)
        late = await clients.ask(body)
        await asyncio.to_thread(engine.control, hold=False)
        return await asyncio.gather(*asked), late

    inside, late = run(gateway.url, scene)
    assert all(is_whole(told, body) for told in inside)
    assert (late.status, late.code) == (503, "draining")
    assert "retry-after" in late.headers
    assert gateway.wait() == 0


def test_what_an_operator_is_told_of_a_request_that_waits(one: Any) -> None:
    gateway, engine = one
    engine.control(hold=True)

    async def scene(clients: Clients) -> dict[str, Any]:
        asked = [
            asyncio.create_task(clients.ask(body_of("a", 1_000), tier="batch", **{"x-request-id": f"r{number}"}))
            for number in range(4)
        ]
        await asyncio.to_thread(until, lambda: engine.stats()["running"] == 4)
        for name in ("early", "late"):
            ask = clients.ask(body_of("a", 1_000), tier="batch", **{"x-request-id": name})
            asked.append(asyncio.create_task(ask))
            await asyncio.to_thread(until, lambda: gateway.live() == len(asked))
        ask = clients.ask(body_of("a", 10), key="frugal-key", tier="batch", **{"x-request-id": "early"})
        asked.append(asyncio.create_task(ask))
        await asyncio.to_thread(until, lambda: gateway.live() == len(asked))
        told = {}
        for name, key in [
            *(("r0", "acme-key"), ("late", "batch-key"), ("late", "frugal-key"), ("late", "none")),
            *(
                ("early", "batch-key"),
                ("early", "frugal-key"),
                ("early", "acme-key"),
                ("early?tenant=acme", "acme-key"),
            ),
        ]:
            async with clients.session.get(f"{gateway.url}/explain/{name}", headers=clients.headers(key)) as answer:
                told[name, key] = (answer.status, await answer.json())
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        return told

    told = run(gateway.url, scene)
    until(lambda: is_idle(gateway))
    status, runs = told["r0", "acme-key"]
    assert (status, runs["gate"], runs["tier"]) == (200, None, "batch")
    assert runs["state"] in ("starting", "running")
    status, waits = told["late", "batch-key"]
    assert (status, waits["state"], waits["gate"]) == (200, "queued", "held")
    assert waits["ahead"] == 1
    assert told["late", "frugal-key"][0] == 404, "it is another tenant's"
    assert told["late", "none"][0] == 401
    # Two tenants say one id: each is told of its own, an operator of the latest or of whom he names.
    for asks, whose in [("batch-key", "acme"), ("frugal-key", "frugal"), ("acme-key", "frugal")]:
        status, document = told["early", asks]
        assert (status, document["tenant"]) == (200, whose)
    assert told["early?tenant=acme", "acme-key"][1]["tenant"] == "acme"


def test_a_config_is_read_again_or_refused_whole(own: Any) -> None:
    gateway, engine = own
    old = gateway.path.read_text()

    async def statuses(clients: Clients) -> list[int]:
        return [(await clients.ask(body_of("a", 5), key=key)).status for key in ("acme-key", "frugal-key")]

    gateway.path.write_text(old.replace("slots = 4", "slots = nine"))
    gateway.signal(signal.SIGHUP)
    until(lambda: "not in order" in gateway.log())
    assert run(gateway.url, statuses) == [200, 200]
    gateway.path.write_text(
        config([engine], 8).replace('tenant = "frugal"', 'tenant = "nobody"\nmost_urgent = "batch"')
    )
    gateway.signal(signal.SIGHUP)
    until(lambda: "was read again" in gateway.log())
    engine.control(hold=True)

    async def scene(clients: Clients) -> int:
        told = await clients.ask(body_of("a", 5), key="frugal-key", tier="realtime")
        asked = [asyncio.create_task(clients.ask(body_of("a", 30))) for _ in range(8)]
        await asyncio.to_thread(until, lambda: engine.stats()["running"] == 8)
        await asyncio.to_thread(engine.control, hold=False)
        await asyncio.gather(*asked)
        return told.status

    assert run(gateway.url, scene) == 403
