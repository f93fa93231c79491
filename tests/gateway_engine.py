"""A stub of an engine server: the protocol of completions over tokens that are a checksum of all before them.

usage: gateway_engine.py [PORT]

So one that is repeated, missing or of another prompt changes all that follow, and a completion that goes on from tokens
in its prompt is the same as one that was never cut. Every seventh token has no text before the next one, as half a
character has none. It is for tests of the protocol and of throughput, and says nothing about engines.

`POST /control` changes how it behaves (`Behaviour`), `GET /stats` says what runs.
"""

import asyncio
import json
import socket
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

VOCABULARY = 500
AT_ONCE = 32_768
"""Bytes that are sent before others have their turn."""


@dataclass
class Behaviour:
    """What it does to requests."""

    status: int = 200
    """Of completions."""
    health: int = 200
    pause: float = 0.0
    """Seconds before each token."""
    first_pause: float = 0.0
    """Seconds before the first."""
    break_after: int = -1
    """So many tokens, and the connection is closed; none if below 0."""
    garbage_after: int = -1
    """So many tokens, and something comes that is no event."""
    ids: bool = True
    """Whether it tells tokens."""
    hold: bool = False
    """Whether streams stop after three tokens, the first of which may bring no text, until it is false again."""


behaviour = Behaviour()
released = asyncio.Event()
"""Set while streams are not held."""
stats = {"running": 0, "most": 0, "begun": 0, "ended": 0, "gone": 0, "sent": 0}
seen: list[dict[str, Any]] = []
"""What the last requests had, headers and bodies."""


def tokens_of(body: dict[str, Any]) -> list[int]:
    """Of a prompt, in whatever form."""
    prompt = body.get("prompt")
    if isinstance(prompt, list):
        return prompt
    if prompt is None:
        prompt = " ".join(f"{message['role']} {message['content']} ." for message in body["messages"])
    return [zlib.crc32(word.encode()) % VOCABULARY + 3 for word in prompt.split()]


def output(prompt: list[int], number: int) -> Iterator[tuple[int, str]]:
    """The tokens that follow a prompt, each with the text that it brings."""
    checksum, late = 0, ""
    for token in prompt:
        checksum = zlib.crc32(b"%d," % token, checksum)
    for left in range(number, 0, -1):
        token = checksum % VOCABULARY + 3
        checksum = zlib.crc32(b"%d," % token, checksum)
        late += f" t{token}"
        if token % 7:
            yield token, late
            late = ""
        else:
            yield token, late if left == 1 else ""


def expected(body: dict[str, Any]) -> tuple[list[int], str]:
    """All that a completion of this body has: its tokens and its text."""
    pairs = list(output(tokens_of(body), body.get("max_tokens", 16)))
    return [token for token, _ in pairs], "".join(text for _, text in pairs)


def events(body: dict[str, Any], chat: bool) -> Iterator[tuple[int, bytes]]:
    """The events of a stream, each with how many tokens came before it."""
    prompt, number = tokens_of(body), body.get("max_tokens", 16)
    shared = {
        "id": "stub",
        "created": 0,
        "model": "stub",
        "object": "chat.completion.chunk" if chat else "text_completion",
    }
    first = {"prompt_token_ids": prompt} if behaviour.ids and body.get("return_token_ids") else {}
    if chat:
        role = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        yield 0, line(shared | {"choices": [role]} | first)
    for count, (token, text) in enumerate(output(prompt, number)):
        choice: dict[str, Any] = {
            "index": 0,
            "logprobs": None,
            "finish_reason": "length" if count + 1 == number else None,
        }
        choice |= {"delta": {"content": text}} if chat else {"text": text}
        if first:
            choice |= {"token_ids": [token]}
            if count == 0 and not chat:
                choice |= first
        yield count, line(shared | {"choices": [choice]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield number, line(shared | {"choices": [], "usage": usage(len(prompt), number)})
    yield number, b"data: [DONE]\n\n"


def usage(prompt: int, number: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": number, "total_tokens": prompt + number}


def line(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


async def streamed(request: Request, body: dict[str, Any], chat: bool) -> AsyncIterator[bytes]:
    stats["running"] += 1
    stats["most"] = max(stats["most"], stats["running"])
    stats["begun"] += 1
    ended = False
    try:
        await asyncio.sleep(behaviour.first_pause)
        at_once = bytearray()
        for count, told in events(body, chat):
            if count == behaviour.break_after:
                request.scope["extensions"]["stub.abort"]()
                return
            if count == behaviour.garbage_after:
                yield b"data: {\n\n"
            if count >= 3 and not released.is_set():
                yield bytes(at_once)
                at_once.clear()
                await released.wait()
            if behaviour.pause:
                await asyncio.sleep(behaviour.pause)
                yield told
                continue
            at_once += told
            if len(at_once) >= AT_ONCE:
                yield bytes(at_once)
                stats["sent"] += len(at_once)
                at_once.clear()
                await asyncio.sleep(0)
        yield bytes(at_once)
        ended = True
    finally:
        stats["running"] -= 1
        stats["ended" if ended else "gone"] += 1


async def complete(request: Request) -> Response:
    chat = request.url.path.endswith("/chat/completions")
    body = await request.json()
    seen.append({"headers": dict(request.headers), "body": body})
    del seen[:-20]
    if behaviour.status != 200:
        return JSONResponse({"error": {"message": "told to"}}, behaviour.status)
    if body.get("stream"):
        return StreamingResponse(streamed(request, body, chat), media_type="text/event-stream")
    stats["begun"] += 1
    stats["running"] += 1
    try:
        await asyncio.sleep(behaviour.first_pause)
    finally:
        stats["running"] -= 1
        stats["ended"] += 1
    tokens, text = expected(body)
    choices = [{"index": index, "text": text, "finish_reason": "length"} for index in range(body.get("n", 1))]
    return JSONResponse({"id": "stub", "choices": choices, "usage": usage(len(tokens_of(body)), len(tokens))})


async def health(_request: Request) -> Response:
    return Response(status_code=behaviour.health)


async def load(_request: Request) -> Response:
    return JSONResponse({"server_load": stats["running"]})


async def control(request: Request) -> Response:
    told = await request.json()
    if told.pop("anew", False):
        told = vars(Behaviour()) | told
        stats.update(most=0, begun=0, ended=0, gone=0, sent=0)
        seen.clear()
    for name, value in told.items():
        setattr(behaviour, name, value)
    (released.clear if behaviour.hold else released.set)()
    return Response()


async def tell(_request: Request) -> Response:
    return JSONResponse(stats | {"seen": seen})


def main() -> None:
    """Serves until it is killed."""
    released.set()
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), backlog=4096)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    app = Starlette(
        routes=[
            Route("/v1/completions", complete, methods=["POST"]),
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/health", health),
            Route("/load", load),
            Route("/control", control, methods=["POST"]),
            Route("/stats", tell),
        ]
    )
    uvicorn.Server(uvicorn.Config(Aborting(app), access_log=False, log_config=None, lifespan="off", ws="none")).run(
        sockets=[listener]
    )


class Aborting:
    """Lets an application end its connection."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # The transport is known to whoever sends: a bound method of the server's cycle.
        scope["extensions"] = {"stub.abort": send.__self__.transport.abort}
        await self._app(scope, receive, send)


if __name__ == "__main__":
    main()
