"""The gateway's parts that wait for nothing: its config, what is asked, and the answer that is put together."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import gateway_engine
import pytest
from gateway.answer import Answer, Malformed
from gateway.config import ConfigFault, GatewaySettings, duration_ns, load, parse
from gateway.keys import Keys
from gateway.refusal import Refusal
from gateway.request import NEUTRAL, PLAIN, Ask
from gateway.request import parse as parse_request
from gateway_world import ROOT, TENANTS, TIERS, body_of, sha256

ENGINE = '\n[[engines]]\nurl = "http://127.0.0.1:1"\nslots = 4\n'
SETTINGS = parse(TIERS + TENANTS + ENGINE)


def ask(document: dict[str, Any], kind: Any = "completions") -> Ask:
    return parse_request(kind, json.dumps(document).encode(), SETTINGS.gateway)


def test_every_fault_of_a_config_is_told_at_once() -> None:
    text = TIERS.replace('name = "batch"', 'name = "batch"\nreserve_ppm = 900_000') + (
        '[gateway]\nretries = -1\nbody_timeout = "soon"\nabove_right = "maybe"\nmax_waiting = true\nsilense = "1s"\n'
        '[[engines]]\nurl = "ftp://here"\nslots = 0\n[[engines]]\nurl = "http://a"\nslots = 1\npool = "other"\n'
        '[[tenants]]\nname = "a"\nparent = "nobody"\ntokens = { amount = 5 }\n[[tenants]]\nname = "a"\n'
        '[[keys]]\nsha256 = "12"\ntenant = "a"\ntier = "imperial"\n[[keys]]\n'
    )
    with pytest.raises(ConfigFault) as caught:
        parse(text)
    expected = {
        *("gateway.retries", "gateway.body_timeout", "gateway.above_right", "gateway.max_waiting", "gateway.silense"),
        *("engines[0].url", "engines[0].slots", "tenants[0].parent", "tenants[0].tokens", "tenants[1].name"),
        *("keys[0].sha256", "keys[1].sha256", "keys[1].tenant"),
    }
    assert expected <= {path for path, _ in caught.value.faults}
    assert any("100 %" in message or "reserve" in path for path, message in caught.value.faults)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ('[[tenants]]\nname = "b"\nover_quota = "never"\n', "tenants[0].over_quota"),
        ('[[tenants]]\nname = "a"\nparent = "b"\n[[tenants]]\nname = "b"\nparent = "a"\n', "tenants[1]"),
        (
            '[[keys]]\nsha256 = "' + "0" * 64 + '"\ntenant = "a"\nmost_urgent = "batch"\ntier = "realtime"\n',
            "keys[0].tier",
        ),
        ("[gateway", ""),
        (
            '[redis]\nurl = "redis://a"\nreplica = "0"\n[[tenants]]\nname = "b{0}"\nleased = true\n'
            'tokens = { amount = 1, period = "1s" }\n',
            "tenants 'b{0}'",
        ),
        (ENGINE.replace("1:1", "1:2") + "max_slots = 3\n", "engines[1].max_slots"),
        ('[gateway.models]\nllama = ["nowhere"]\n', "gateway.models.llama"),
        ("[gateway.models]\nllama = []\n", "gateway.models.llama"),
        ("[gateway.models]\nllama = [0]\n", "gateway.models.llama"),
        ('[gateway]\nmodels = "llama"\n', "gateway.models"),
        (ENGINE.replace("1:1", "1:2") + "max_slots = 5\n", "engines[1].load"),
        (ENGINE.replace("1:1", "1:2") + 'load = "load"\n', "engines[1].load"),
        (ENGINE.replace("1:1", "1:2").replace("slots = 4", f"slots = {2**40 + 1}"), "engines[1].slots"),
        (ENGINE.replace("1:1", "1:2") + f'max_slots = {2**40 + 1}\nload = "/load"\n', "engines[1].max_slots"),
    ],
    ids=[
        "policy",
        "circle",
        "tier",
        "toml",
        "budget",
        "few",
        "pool",
        "pools",
        "numbers",
        "models",
        "unseen",
        "path",
        "slots",
        "max_slots",
    ],
)
def test_what_else_is_wrong_with_a_config(more: str, path: str) -> None:
    with pytest.raises(ConfigFault) as caught:
        parse(TIERS + ENGINE + more)
    assert [found for found, _ in caught.value.faults if found.startswith(path)]


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault):
        load(tmp_path / "none.toml")


def test_the_config_of_the_page_is_in_order() -> None:
    page = (ROOT / "docs/GATEWAY.md").read_text()
    text = page.partition("```toml\n")[2].partition("```")[0]
    settings = parse(text)
    assert settings.redis is not None
    defaults = GatewaySettings()
    assert settings.gateway == defaults, "the page says that these are the defaults"
    assert all(field.name in text for field in dataclasses.fields(defaults)), "the page has all of them"


def test_durations() -> None:
    assert [duration_ns(text) for text in ("3s", "3ms", "3us", "3ns", "0s")] == [3_000_000_000, 3_000_000, 3_000, 3, 0]
    for text in ("3", "s", "-3s", "3.5s", "3 s", "3m", "٣s", 3, None, "9" * 30 + "s"):
        with pytest.raises(ValueError, match="is not a whole number"):
            duration_ns(text)


def test_keys_are_known_by_their_digests() -> None:
    keys = Keys(SETTINGS.keys)
    assert keys.who({"authorization": "Bearer acme-key"}).tenant == "acme"
    for said in (sha256("acme-key"), "acme-key2", "", "ä" * 600, "acme-key\udc80"):
        with pytest.raises(Refusal) as caught:
            keys.who({"authorization": f"Bearer {said}"})
        assert said == "" or said not in str(caught.value)


def test_which_completions_can_go_on_elsewhere() -> None:
    assert ask(body_of("a b", 5, temperature=0.7, top_p=0.9, stop=[], n=1, logprobs=None)).plain
    assert ask(body_of("a b", 5) | {"prompt": [5, 6, 7]}).plain
    for more in [
        *({"stop": ["x"]}, {"n": 2}, {"logprobs": 3}, {"seed": 4}, {"echo": True}, {"presence_penalty": 0.5}),
        *({"response_format": {"type": "json_object"}}, {"min_tokens": 3}, {"something": "new"}),
        *({"prompt": ["a", "b"]}, {"prompt": [[1], [2]]}, {"stream_options": {"continuous_usage_stats": True}}),
    ]:
        assert not ask(body_of("a b", 5) | more).plain, more
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    assert not ask({"messages": messages}, "chat/completions").plain
    assert not PLAIN & NEUTRAL.keys()


def test_how_many_tokens_are_expected() -> None:
    assert ask(body_of("abcdefgh", 5)).prompt_tokens == 2
    assert ask(body_of("", 5) | {"prompt": [1, 2, 3]}).prompt_tokens == 3
    several = ask({"prompt": ["abcd", "efgh"], "n": 3})
    assert (several.prompt_tokens, several.output_tokens, several.max_tokens) == (2, 6 * 256, 256)
    chat = ask({"messages": [{"role": "user", "content": "abcd"}], "max_completion_tokens": 7}, "chat/completions")
    assert (chat.prompt_tokens, chat.output_tokens) == (2, 7)


def stream(body: dict[str, Any], chat: bool) -> list[dict[str, Any]]:
    """The events of the stub engine."""
    lines = b"".join(told for _, told in gateway_engine.events(body, chat)).split(b"\n\n")
    return [json.loads(line[6:]) for line in lines if line and line != b"data: [DONE]"]


@pytest.mark.parametrize("kind", ["completions", "chat/completions"])
def test_however_often_it_is_cut_an_answer_is_the_same(kind: Any) -> None:
    chance = random.Random(3)
    chat = kind != "completions"
    asked = {"messages": [{"role": "user", "content": "x y"}], "max_tokens": 40} if chat else body_of("x y", 40)
    ids, text = gateway_engine.expected(asked)
    for _ in range(300):
        answer, told = Answer(ask(asked | {"stream": True, "return_token_ids": True}, kind), "name"), []
        while answer.finish is None:
            path, body = answer.upstream()
            events = stream(body, path != "completions")
            for event in events[: chance.randrange(len(events) + 6)]:
                told += list(answer.feed(event))
            answer.cut()
            assert answer.goes_on
        choices = [choice for document in told for choice in document["choices"]]
        assert [token for choice in choices for token in choice.get("token_ids", ())] == ids == answer.ids
        parts = [choice["delta"]["content"] if chat else choice["text"] for choice in choices]
        assert "".join(parts) == text
        assert answer.usage()["completion_tokens"] == 40
        assert {document["id"] for document in told} == {"name"}
        roles = [choice["delta"].get("role") for choice in choices] if chat else ["assistant"]
        assert [role for role in roles if role] == ["assistant"]


def test_an_engine_that_tells_no_tokens_is_not_gone_on_from() -> None:
    gateway_engine.behaviour.ids = False
    try:
        for streams in (True, False):
            answer = Answer(ask(body_of("x y", 40, stream=streams)), "name")
            for event in stream(answer.upstream()[1], False)[:10]:
                list(answer.feed(event))
            answer.cut()
            assert answer.goes_on != streams, "what nobody was told begins again"
            assert streams or answer.upstream()[1]["prompt"] == "x y"
    finally:
        gateway_engine.behaviour.ids = True


@pytest.mark.parametrize(
    "event",
    [
        {"choices": 5},
        {"choices": ["a"]},
        {"choices": [{"text": 5}]},
        {"choices": [{"index": 1, "text": "a"}]},
        {"choices": [{"text": "a", "token_ids": ["b"]}]},
        {"choices": [{"text": "a", "token_ids": 5}]},
        {"choices": [{"text": "a", "prompt_token_ids": "abc"}]},
        {"choices": [{"text": "", "finish_reason": "abort"}]},
        {"choices": [{"delta": {"tool_calls": [1]}}]},
        {"usage": 5},
        {"usage": {"prompt_tokens": -1}},
        {"usage": {"prompt_tokens": "many"}},
    ],
    ids=json.dumps,
)
def test_what_is_no_part_of_an_answer(event: dict[str, Any]) -> None:
    answer = Answer(ask(body_of("x", 4)), "name")
    with pytest.raises(Malformed):
        list(answer.feed(event))
