"""The Triton model on a real server: tiers in order, everybody answered, nothing left of those that go away."""

import json
import random
import urllib.request

import pytest
from triton_server import FIRST_COME, PATIENCE_S, TIERED, Answer, Server, Stream

VOCABULARY = 32_000
# Slots, and tokens of a chunk, of the model's config.
SLOTS, CHUNK = 4, 4


def expected(prompt: list[int], count: int) -> list[int]:
    """What the model generates, as its page of source says."""
    tokens: list[int] = []
    for done in range(count):
        last = tokens[-1] if tokens else sum(prompt)
        tokens.append((last * 1_103 + len(prompt) + done + 12_345) % VOCABULARY)
    return tokens


def load(seed: int) -> list[tuple[str, list[int], int, str, str]]:
    """Long batch work first, then what is urgent: name, prompt, tokens, tier, tenant."""
    chance = random.Random(seed)

    def ask(tier: str, number: int, longest: int) -> tuple[str, list[int], int, str, str]:
        prompt = [chance.randrange(VOCABULARY) for _ in range(chance.randint(1, 40))]
        return f"{tier}-{number}", prompt, chance.randint(longest // 2, longest), tier, chance.choice("ab")

    asks = [ask("batch", number, 120) for number in range(10)]
    asks += [ask("near-realtime", number, 24) for number in range(3)]
    return asks + [ask("realtime", number, 12) for number in range(4)]


def serve(server: Server, model: str, seed: int) -> tuple[dict[str, Answer], list[str]]:
    """Serves the load: what is not batch comes when batch work has all slots; all are there before one generates."""
    asks = load(seed)
    with Stream(server, model) as stream:
        with server.held(model):
            for count, (name, prompt, tokens, tier, tenant) in enumerate(asks, start=1):
                stream.ask(name, prompt, max_tokens=tokens, tier=tier, tenant=tenant)
                # In the order of their names, however slow the client is.
                assert sum(server.wait_for_jobs(model, count)["in_use"].values()) <= SLOTS
        return stream.wait(), list(stream.order)


@pytest.mark.parametrize("seed", range(2))
def test_a_mixed_load(server: Server, seed: int) -> None:
    before = server.stats(TIERED)["yielded"]
    ours, order = serve(server, TIERED, seed)
    stock, stock_order = serve(server, FIRST_COME, seed)
    for answers in (ours, stock):
        for name, prompt, tokens, _, _ in load(seed):
            assert answers[name].error is None
            assert answers[name].tokens == expected(prompt, tokens), name
    for label, answers, came in (("tidegate", ours, order), ("first come", stock, stock_order)):
        waits = [answers[f"realtime-{n}"].first_at - answers[f"realtime-{n}"].asked_at for n in range(4)]  # type: ignore[operator]
        after = min(came.index(f"realtime-{n}") for n in range(4))
        print(f"{label}: realtime waited at most {max(waits) * 1e3:.0f} ms; {after} others had tokens before the first")

    # All that is urgent has tokens before any batch request has that had no slot when it came; in the order of arrival
    # all batch work is first.
    last_urgent = max(order.index(f"realtime-{number}") for number in range(4))
    assert not set(order[:last_urgent]) & {f"batch-{number}" for number in range(SLOTS, 10)}
    assert stock_order.index("realtime-0") > max(stock_order.index(f"batch-{number}") for number in range(10))
    stats = server.wait_for_jobs(TIERED, 0)
    assert stats["yielded"] > before, "those that ran had to yield, and went on where they were"
    assert stats["live"] == sum(stats["in_use"].values()) == 0


def test_clients_that_go_away_leave_nothing(server: Server) -> None:
    """They wait while others run on, they run, they have yielded: whoever is left has slots at once."""
    before = server.stats(TIERED)
    with Stream(server, TIERED) as running:
        for number in range(SLOTS):
            running.ask(f"batch-{number}", [number], max_tokens=100_000, tier="batch")
        running.wait_for_first(set(running.answers))
        with Stream(server, TIERED) as waiting:
            for number in range(2 * SLOTS):
                waiting.ask(f"behind-{number}", [number], max_tokens=CHUNK, tier="batch")
            server.wait_for_jobs(TIERED, 3 * SLOTS)
        assert server.wait_for_jobs(TIERED, SLOTS)["cancelled"] - before["cancelled"] == 2 * SLOTS
        with Stream(server, TIERED) as urgent:
            urgent.ask("urgent", [1], max_tokens=CHUNK, tier="realtime")
            assert urgent.wait()["urgent"].tokens == expected([1], CHUNK)
    stats = server.wait_for_jobs(TIERED, 0)
    assert stats["live"] == sum(stats["in_use"].values()) == 0
    assert stats["cancelled"] - before["cancelled"] == 3 * SLOTS
    assert stats["yielded"] > before["yielded"]
    with Stream(server, TIERED) as next_one:
        next_one.ask("next", [2], max_tokens=2 * CHUNK, tier="batch")
        assert next_one.wait()["next"].tokens == expected([2], 2 * CHUNK)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tier": "urgent"}, "UnknownTier"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": "many"}, "ValueError"),
        ({"tenant": ""}, "BadName"),
    ],
)
def test_what_is_refused(server: Server, parameters: dict[str, str | int], message: str) -> None:
    before = server.stats(TIERED)
    with Stream(server, TIERED) as stream:
        stream.ask("refused", [1, 2], **parameters)
        answer = stream.wait()["refused"]
    assert answer.error is not None
    assert message in answer.error
    assert server.stats(TIERED)["submitted"] == before["submitted"]


def test_over_http_too(server: Server) -> None:
    """`generate_stream`: what the body has beside the prompt are the request's parameters."""
    body = {"PROMPT": [3, 4, 5], "max_tokens": 3 * CHUNK, "tier": "realtime", "tenant": "acme"}
    address = f"http://{server.http}/v2/models/{TIERED}/generate_stream"
    request = urllib.request.Request(address, data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        lines = [json.loads(line[6:]) for line in answer.read().splitlines() if line.startswith(b"data: ")]
    chunks = [line["TOKENS"] for line in lines if "TOKENS" in line]
    assert len(chunks) == 3
    assert [token for chunk in chunks for token in chunk] == expected([3, 4, 5], 3 * CHUNK)
