"""What a client is told of one completion, put together from the streams of however many engines it takes.

An answer knows its prompt and its output as tokens, so that the next engine goes on where the last one stopped: tokens
whose text the client has are sent along, tokens whose text was still to come are thrown away and come again. Nothing
here waits or knows of engines, and what is said once is not said twice.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

from gateway.request import Ask, Used


class Malformed(Exception):
    """An engine said what is no part of a completion."""


class Answer:
    """A plain completion under way (see `Ask.plain`)."""

    def __init__(self, ask: Ask, name: str) -> None:
        self.ask = ask
        self.finish: str | None = None
        """Why it has ended: the protocol's `finish_reason`."""
        self.cached_tokens = 0
        self.parts: list[str] = []
        """The text that was told."""
        self.ids: list[int] = []
        """Its tokens."""
        self._id = name
        self._created = int(time.time())
        self._model = ask.body.get("model")
        self._prompt_ids: list[int] | None = None
        self._held: list[int] = []
        """Tokens that have no text yet."""
        self._is_counted = True
        """Whether all that was told came with its tokens."""
        self._has_role = False
        self._stop_reason: object = None
        self._extra: dict[str, str] = {}
        self._told = Used(0, 0, 0)
        """As the last engine counts, for engines that tell no tokens."""

    @property
    def output_tokens(self) -> int:
        """Tokens generated and told so far."""
        return len(self.ids) if self._is_counted else max(len(self.ids), len(self.parts), self._told.output_tokens)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt: a guess until an engine has told."""
        if self._prompt_ids is not None:
            return len(self._prompt_ids)
        return self._told.prompt_tokens or self.ask.prompt_tokens

    @property
    def goes_on(self) -> bool:
        """Whether another engine can take it from here."""
        return not self.parts or (self._is_counted and self._prompt_ids is not None)

    def upstream(self) -> tuple[str, dict[str, Any]]:
        """What to ask of the next engine: a path below `/v1/`, and a body."""
        body = dict(self.ask.body)
        body |= {"stream": True, "stream_options": {"include_usage": True}, "return_token_ids": True}
        if not self.ids:
            return self.ask.kind, body
        for name in ("messages", "max_completion_tokens", "chat_template", "chat_template_kwargs"):
            body.pop(name, None)
        body.pop("add_generation_prompt", None)
        body["prompt"] = [*(self._prompt_ids or ()), *self.ids]
        body["max_tokens"] = self.ask.max_tokens - len(self.ids)
        return "completions", body

    def cut(self) -> None:
        """The engine stopped, or its stream did."""
        self._held = []
        if len(self.ids) >= self.ask.max_tokens:
            self.finish = "length"  # the last token was told, and its end was not
        elif not self.goes_on and not self.ask.stream:
            self.parts, self.ids, self._extra, self._is_counted = [], [], {}, True  # nobody was told yet

    def feed(self, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Takes in what an engine said, and gives what the client is told of it. Raises `Malformed`."""
        try:
            choices, usage = event.get("choices") or [], event.get("usage")
            if usage is not None:
                self._use(usage)
            for choice in choices:
                yield from self._choose(event, choice)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Malformed(f"{type(error).__name__} in an event of the engine") from error

    def _use(self, usage: dict[str, Any]) -> None:
        self._told = Used.read(usage)
        self.cached_tokens = min(self._told.cached_tokens, self.prompt_tokens)

    def _choose(self, event: dict[str, Any], choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if choice.get("index", 0) != 0 or self.finish is not None:
            raise Malformed("more than one choice, or a choice after its end")
        prompt_ids = choice.get("prompt_token_ids") or event.get("prompt_token_ids")
        if prompt_ids is not None and self._prompt_ids is None and not self.ids:
            self._prompt_ids = _tokens(prompt_ids)
        self._model = event.get("model", self._model)
        delta = choice.get("delta") or {}
        text = choice.get("text") if "delta" not in choice else delta.get("content")
        finish = choice.get("finish_reason")
        if finish == "abort":
            raise Malformed("the engine gave it up")
        token_ids = choice.get("token_ids")
        self._held += _tokens(token_ids or ())
        extra = {name: value for name, value in delta.items() if name not in ("role", "content") and value}
        if not all(isinstance(value, str) for value in (text or "", *extra.values())):
            raise Malformed("text that is none")
        if not text and not finish and not extra:
            return
        if (token_ids is None and text) or extra:
            self._is_counted = False
        self._stop_reason = choice.get("stop_reason")
        self.finish = finish
        yield from self._tell(text or "", extra)

    def _tell(self, text: str, extra: dict[str, str]) -> Iterator[dict[str, Any]]:
        fresh, self._held = self._held, []
        self.ids += fresh
        self.parts.append(text)
        for name, more in extra.items():
            self._extra[name] = self._extra.get(name, "") + more
        if self.ask.kind == "completions":
            choice: dict[str, Any] = {"index": 0, "text": text, "logprobs": None}
        else:
            if not self._has_role:
                self._has_role = True
                delta = {"role": "assistant", "content": ""}
                first = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
                yield self._chunk([first], self._prompt_ids if self.ask.wants_ids else None)
            choice = {"index": 0, "delta": {"content": text, **extra}, "logprobs": None}
        choice["finish_reason"] = self.finish
        if self._stop_reason is not None:
            choice["stop_reason"] = self._stop_reason
        if self.ask.wants_ids:
            choice["token_ids"] = fresh
            if self.ask.kind == "completions" and len(self.parts) == 1:
                choice["prompt_token_ids"] = self._prompt_ids
        yield self._chunk([choice])

    def _chunk(self, choices: list[dict[str, Any]], prompt_ids: list[int] | None = None) -> dict[str, Any]:
        kind = "text_completion" if self.ask.kind == "completions" else "chat.completion.chunk"
        chunk = {"id": self._id, "object": kind, "created": self._created, "model": self._model, "choices": choices}
        return chunk if prompt_ids is None else chunk | {"prompt_token_ids": prompt_ids}

    def usage(self) -> dict[str, int]:
        """As the protocol says it, over all engines that had a part in it."""
        prompt, output = self.prompt_tokens, self.output_tokens
        return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}

    def last_chunk(self) -> dict[str, Any]:
        """What a client that asked for usage is told at the end of its stream."""
        return self._chunk([]) | {"usage": self.usage()}

    def whole(self) -> dict[str, Any]:
        """All of it at once, for a client that wants no stream."""
        text = "".join(self.parts)
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": self.finish}
        choice |= {"stop_reason": self._stop_reason}
        document = self._chunk([choice]) | {"usage": self.usage()}
        if self.ask.kind == "completions":
            choice["text"] = text
        else:
            choice["message"] = {"role": "assistant", "content": text, **self._extra}
            document["object"] = "chat.completion"
        if self.ask.wants_ids:
            choice["token_ids"] = self.ids
            holder = choice if self.ask.kind == "completions" else document
            holder["prompt_token_ids"] = self._prompt_ids
        return document


def _tokens(ids: object) -> list[int]:
    if not isinstance(ids, (list, tuple)) or not all(isinstance(token, int) for token in ids):
        raise Malformed("token ids that are none")
    return list(ids)


def event(document: dict[str, Any]) -> bytes:
    """As one event of a stream."""
    return b"data: " + _encode(document).encode() + b"\n\n"


_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
"""Made once: `json.dumps` makes another one each time that it is not to write its own spaces."""
DONE = b"data: [DONE]\n\n"
