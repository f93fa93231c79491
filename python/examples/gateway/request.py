"""What a client asks: the body of a request, checked as far as the gateway has to know it.

It knows how many tokens a request is likely to be, and whether a completion can go on at another engine from the tokens
that are there: a body that has only fields of `PLAIN`, and of `NEUTRAL` with a value that changes nothing. What else a
field means is the engine's business.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NoReturn, Self

from gateway.config import GatewaySettings
from gateway.refusal import Refusal

Kind = Literal["completions", "chat/completions"]
MAX_TOKENS = 1 << 40
"""The most that the scheduler counts."""

MAX_CHOICES = 128
"""Of one request, as the protocol has it."""

PLAIN = {
    *("model", "prompt", "messages", "max_tokens", "max_completion_tokens", "stream", "stream_options", "user"),
    *("temperature", "top_p", "top_k", "min_p", "logit_bias", "ignore_eos", "stop_token_ids", "skip_special_tokens"),
    *("return_token_ids", "allowed_token_ids", "chat_template_kwargs", "chat_template", "add_generation_prompt"),
}
"""Fields that say the same of a continuation as of the beginning, or only how the prompt is made."""
NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "echo": (None, False),
    "logprobs": (None,),  # 0 asks for some, and is equal to False
    "stop": (None, "", []),
    "suffix": (None, ""),
    "seed": (None,),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "repetition_penalty": (None, 1),
    "min_tokens": (None, 0),
    "tools": (None, []),
    "response_format": (None, {"type": "text"}),
}
OPERATORS = {"priority", "request_id", "kv_transfer_params", "ec_transfer_params", "vllm_xargs", "tenant", "tier"}
"""Fields by which a body could reach past the gateway: whom it is for, and what the engine makes of it."""


class Used(NamedTuple):
    """Tokens that a request has used."""

    prompt_tokens: int
    cached_tokens: int
    output_tokens: int

    @classmethod
    def read(cls, usage: dict[str, Any]) -> Self:
        """As an engine tells it. Raises `ValueError` for what are no numbers of tokens."""
        details = usage.get("prompt_tokens_details") or {}
        prompt = _count(usage.get("prompt_tokens"))
        cached, output = _count(details.get("cached_tokens") or 0), _count(usage.get("completion_tokens") or 0)
        return cls(prompt, min(cached, prompt), output)


def _count(tokens: object) -> int:
    if not isinstance(tokens, int) or not 0 <= tokens <= MAX_TOKENS:
        raise ValueError("a number of tokens that is none")
    return tokens


@dataclass(frozen=True, slots=True)
class Ask:
    """A request whose body is in order."""

    kind: Kind
    body: dict[str, Any]
    stream: bool
    wants_usage: bool
    wants_ids: bool
    max_tokens: int
    """Of each completion, whether the client said it or not."""
    output_tokens: int
    """The most that all of them together have."""
    prompt_tokens: int
    """A guess, unless the prompt is given as tokens."""
    plain: bool
    """A completion of it can go on from the tokens that are there."""


def _refuse(param: str | None, message: str) -> NoReturn:
    raise Refusal(400, "bad-request", message, param=param)


def _not_a_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _document(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw, parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        _refuse(None, f"the body is no JSON: {reason[:200]}")
    if not isinstance(document, dict):
        _refuse(None, "the body is no JSON object")
    return document


def _flag(table: dict[str, Any], name: str) -> bool:
    value = table.get(name)
    if value is not None and not isinstance(value, bool):
        _refuse(name, "is true or false")
    return bool(value)


def _max_tokens(document: dict[str, Any], kind: Kind, default: int) -> int:
    names = ("max_completion_tokens", "max_tokens") if kind == "chat/completions" else ("max_tokens",)
    for name in names:
        value = document.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_TOKENS:
            _refuse(name, f"is a whole number from 1 to {MAX_TOKENS}")
        return value
    return default


def _completions(document: dict[str, Any]) -> int:
    """How many there are to be."""
    number, prompt = document.get("n"), document.get("prompt")
    if number is not None and (not isinstance(number, int) or not 1 <= number <= MAX_CHOICES):
        _refuse("n", f"is a whole number from 1 to {MAX_CHOICES}")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    return (number or 1) * prompts


def _tokens(value: object, bytes_per_token: int) -> int:
    """A guess of the tokens of a prompt, or of a message's content, in whatever form."""
    if isinstance(value, str):
        return math.ceil(len(value.encode(errors="replace")) / bytes_per_token)
    if isinstance(value, list):
        return sum(_tokens(item, bytes_per_token) for item in value)
    if isinstance(value, dict):
        return 1 + _tokens(value.get("content", value.get("text")), bytes_per_token)
    return 1 if isinstance(value, int) else 0


def _one_prompt(kind: Kind, document: dict[str, Any]) -> bool:
    """Whether there is one prompt, in a form that every engine takes. Raises `Refusal` if there is none at all."""
    if kind == "chat/completions":
        messages = document.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            _refuse("messages", "is a list of messages")
        return all(isinstance(message.get("content"), str) for message in messages)
    prompt = document.get("prompt")
    if not isinstance(prompt, (str, list)) or prompt == []:
        _refuse("prompt", "is a text, or a list of tokens or of texts")
    return isinstance(prompt, str) or all(isinstance(token, int) for token in prompt)


def parse(kind: Kind, raw: bytes, settings: GatewaySettings) -> Ask:
    """What a body asks. Raises `Refusal`; linear in its length."""
    document = _document(raw)
    for name in sorted(OPERATORS & document.keys()):
        _refuse(name, "is not for clients to say")
    one_prompt = _one_prompt(kind, document)
    stream = _flag(document, "stream")
    options = document.get("stream_options") or {}
    if not isinstance(options, dict):
        _refuse("stream_options", "is an object")
    prompt = document["messages"] if kind == "chat/completions" else document["prompt"]
    max_tokens = _max_tokens(document, kind, settings.max_tokens)
    neutral = all(
        name in PLAIN or any(value is other or value == other for other in NEUTRAL.get(name, ()))
        for name, value in document.items()
    )
    document.setdefault("max_tokens", max_tokens)
    return Ask(
        kind,
        document,
        stream,
        stream and _flag(options, "include_usage"),
        _flag(document, "return_token_ids"),
        max_tokens,
        min(MAX_TOKENS, max_tokens * _completions(document)),
        min(MAX_TOKENS, _tokens(prompt, settings.bytes_per_token)),
        one_prompt and neutral and options.keys() <= {"include_usage"},
    )
