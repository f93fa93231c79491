"""One engine server: asks it for completions, and stops them.

An engine stops a completion when its connection is closed. What goes wrong is told as one of two: it failed, or it
refuses what the client wants. Nothing here decides what becomes of the request.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from gateway.answer import Malformed
from gateway.config import EngineSettings, GatewaySettings
from gateway.refusal import Passed

MAX_EVENT_BYTES = 8 << 20
"""Of one event, which may have all tokens of a prompt; chosen arbitrarily."""
MAX_WHOLE_BYTES = 64 << 20
"""Of an answer that is no stream; chosen arbitrarily."""
LOAD = (b"vllm:num_requests_running{", b"vllm:num_requests_waiting{")
"""How lines of metrics begin that say how many requests an engine has."""
END_WITHIN = 0.5
"""Seconds that the end of an answer may take after what it says is its end; only the connection is at stake."""


class EngineFault(Exception):
    """The engine cannot be reached, failed, said nothing for too long, or broke the protocol."""


class Stream:
    """The answer of an engine to one request, as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.is_done = False
        """Whether it has told that nothing comes any more."""

    async def events(self) -> AsyncIterator[list[dict[str, Any]]]:
        """The events of a stream, as many at a time as have come. Raises `EngineFault` if its end is missing."""
        rest = b""
        async for chunk in self._response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_EVENT_BYTES:
                raise EngineFault("an event of its stream has no end")
            found = [line[5:].strip() for line in lines if line.startswith(b"data:")]
            self.is_done = b"[DONE]" in found
            yield [_document(line) for line in found if line and line != b"[DONE]"]
            if self.is_done:
                return
        raise EngineFault("its stream ended in the middle")

    async def whole(self) -> bytes:
        """An answer that is no stream. Raises `EngineFault`."""
        return await _read(self._response, MAX_WHOLE_BYTES)


class Engine:
    """A server of the protocol, by its address."""

    def __init__(self, settings: EngineSettings, gateway: GatewaySettings, session: aiohttp.ClientSession) -> None:
        self.inside = 0
        """Requests of this gateway that it has."""
        self._session = session
        self.configure(settings, gateway)

    def configure(self, settings: EngineSettings, gateway: GatewaySettings) -> None:
        """Takes what has changed, for the requests to come."""
        self.settings = settings
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=gateway.connect_timeout, sock_read=gateway.silence
        )
        self._health_timeout = aiohttp.ClientTimeout(total=gateway.health_timeout)

    @asynccontextmanager
    async def ask(self, path: str, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[Stream]:
        """A completion, as long as the block runs. Raises `EngineFault`, also for faults of the block, and `Passed`."""
        self.inside += 1
        try:
            async with self._session.post(
                f"{self.settings.url}/v1/{path}",
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                stream = Stream(response)
                try:
                    if response.status != 200:
                        await _refuse(response)
                    yield stream
                finally:
                    await _end(stream, response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise EngineFault(f"{type(error).__name__}: {error}"[:300]) from error
        except Malformed as error:
            raise EngineFault(str(error)) from error
        finally:
            self.inside -= 1

    async def is_healthy(self) -> bool:
        """Whether it says so, in time."""
        try:
            url = f"{self.settings.url}/health"
            async with self._session.get(url, timeout=self._health_timeout, allow_redirects=False) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def load(self) -> int | None:
        """Requests that it has in all, whoever asked; `None` if it does not say so in time."""
        try:
            url = f"{self.settings.url}{self.settings.load}"
            async with self._session.get(url, timeout=self._health_timeout, allow_redirects=False) as response:
                told = await _read(response, MAX_EVENT_BYTES)
                return _load(told) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, EngineFault, ValueError, RecursionError):
            return None


def _load(told: bytes) -> int | None:
    """Of vLLM's `/load`, or of its `/metrics`. Raises `ValueError`."""
    if told.startswith(b"{"):
        found = json.loads(told).get("server_load")
    else:
        counts = [line.rpartition(b" ")[2] for line in told.splitlines() if line.startswith(LOAD)]
        found = sum(map(float, counts)) if counts else None
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return int(found) if is_number and 0 <= found < math.inf else None


_decode = json.JSONDecoder().decode
"""`json.loads` looks at each text for its encoding first."""


async def _end(stream: Stream, response: aiohttp.ClientResponse) -> None:
    """Lets the connection be used again if all was read, and closes it otherwise, so that the engine stops."""
    if stream.is_done and not response.content.is_eof():
        with suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN):
                await response.content.readany()
    if not response.content.is_eof():
        response.close()


async def _read(response: aiohttp.ClientResponse, at_most: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > at_most:
            raise EngineFault("its answer has no end")
    return bytes(body)


async def _refuse(response: aiohttp.ClientResponse) -> None:
    body = await _read(response, MAX_EVENT_BYTES)
    if 400 <= response.status < 500 and response.status not in (401, 403, 408, 429):
        raise Passed(response.status, body)
    raise EngineFault(f"it answers {response.status}")


def _document(line: bytes) -> dict[str, Any]:
    try:
        document = _decode(line.decode())
    except (ValueError, RecursionError) as error:
        raise EngineFault("an event of its stream is no JSON") from error
    if not isinstance(document, dict):
        raise EngineFault("an event of its stream is no object")
    if document.get("error"):
        raise EngineFault("its stream tells of an error")
    return document
