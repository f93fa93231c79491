"""The client's end of a request: its body, read within bounds, and its answer, written as fast as it is taken."""

import asyncio
from collections import deque
from collections.abc import Iterable

from starlette.types import Message, Receive, Scope, Send

from gateway.refusal import Refusal

ABORT = "gateway.abort"
"""The extension by which a server lets a connection be ended that takes nothing any more."""


class ClientGone(Exception):
    """The client takes nothing any more."""


async def read_body(receive: Receive, headers: Iterable[tuple[bytes, bytes]], at_most: int, within: float) -> bytes:
    """The body of a request. Raises `Refusal` if it is too large or too slow, and `ClientGone`."""
    too_large = Refusal(413, "body-too-large", f"the body has more than {at_most} bytes")
    for name, value in headers:
        if name == b"content-length" and int(value) > at_most:
            raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(within):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                if len(body) > at_most:
                    raise too_large
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(408, "body-too-slow", "the body took too long") from None


async def gone(receive: Receive) -> None:
    """Waits until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Client:
    """Where an answer goes. What is pushed and not sent when a send is cut is sent by the next one."""

    def __init__(self, scope: Scope, send: Send, headers: dict[str, str], write_timeout: float) -> None:
        self.has_begun = False
        self._abort = (scope.get("extensions") or {}).get(ABORT)
        self._send = send
        self._headers = headers
        self._write_timeout = write_timeout
        self._waiting: deque[bytes] = deque()

    async def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """All of it at once. Raises `ClientGone`."""
        own = {"content-length": str(len(body)), "content-type": "application/json"}
        await self._begin(status, own | (headers or {}))
        await self._write(body, more=False)

    def push(self, data: bytes) -> None:
        """Adds to a stream."""
        self._waiting.append(data)

    async def flush(self, *, more: bool = True) -> None:
        """Sends what was pushed. Raises `ClientGone`."""
        if not self.has_begun:
            await self._begin(200, {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"})
        if self._waiting or not more:
            await self._write(b"".join(self._waiting), more=more)
            self._waiting.clear()

    async def _begin(self, status: int, headers: dict[str, str]) -> None:
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in (self._headers | headers).items()]
        await self._give({"type": "http.response.start", "status": status, "headers": pairs})
        self.has_begun = True

    async def _write(self, body: bytes, *, more: bool) -> None:
        await self._give({"type": "http.response.body", "body": body, "more_body": more})

    async def _give(self, message: Message) -> None:
        try:
            # A server waits for room before it takes a message: one that is cut here was not taken.
            async with asyncio.timeout(self._write_timeout):
                await self._send(message)
        except TimeoutError:
            if self._abort is not None:
                self._abort()
            raise ClientGone from None
