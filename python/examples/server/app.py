"""The HTTP side: who asks, for what, in which tier; tokens as server-sent events; what a refusal is as a status.

It decides nothing about turns: `tidegate.aio.Gate` does. It trusts no client: a body has a largest size and a longest
time, a client that does not read is given up, one that is gone frees its place.
"""

import asyncio
import json
import math
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from engine import demand_of, generate, tokens_of
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import tidegate
from tidegate.aio import Closed, Dropped, Gate, OverQuota

HERE = Path(__file__).parent
MAX_BODY_BYTES = 64 << 10
MAX_TOKENS = 10_000
BUSY_RETRY_S = 5
"""When to come again if nothing says when there is room; chosen arbitrarily."""


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    slots: int = 64
    token_s: float = 0.01
    body_s: float = 5
    """How long a body may take to come."""
    send_s: float = 1.5
    """How long a client may take to read what is sent at once. Less than the `confirm_after` of the scheduler: who
    waits for a client does not hear that it is to yield."""
    max_waiting: int = 2_000


@dataclass(frozen=True)
class Job:
    """A request that is well formed."""

    tenant: str
    tier: str
    prompt: str
    max_tokens: int


class Refusal(JSONResponse):
    """An answer that is no stream."""

    def __init__(self, status: int, why: object, retry_after: float | None = None) -> None:
        headers = {} if retry_after is None else {"retry-after": str(max(1, math.ceil(retry_after)))}
        super().__init__({"error": str(why)}, status, headers)


def refusal_of(error: tidegate.Error) -> Refusal:
    """The status that says what the gate said."""
    match error:
        case OverQuota():
            return Refusal(429, error, BUSY_RETRY_S if error.retry_after is None else error.retry_after)
        case Closed() | Dropped() | tidegate.QueueFull():
            return Refusal(503, error, BUSY_RETRY_S)
        case tidegate.TierTooUrgent():
            return Refusal(403, error)
        case tidegate.SubmitError():
            return Refusal(400, error)
    return Refusal(500, "the scheduler failed")


async def body_of(request: Request, within_s: float) -> Any:
    """The JSON of the body, which is neither too large nor too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise HTTPException(408, f"the body did not come within {within_s} s") from None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is no JSON") from None


async def job_of(request: Request, tenants: dict[str, Any], settings: Settings) -> Job:
    """What is asked for. Raises `HTTPException`."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or key not in tenants:
        raise HTTPException(401, "no API key that is known")
    body = await body_of(request, settings.body_s)
    prompt = body.get("prompt") if isinstance(body, dict) else None
    if not isinstance(prompt, str):
        raise HTTPException(400, "prompt is no string")
    max_tokens = body.get("max_tokens", 16)
    if type(max_tokens) is not int or not 1 <= max_tokens <= MAX_TOKENS:
        raise HTTPException(400, f"max_tokens is no number from 1 to {MAX_TOKENS}")
    return Job(tenants[key]["name"], request.headers.get("x-tier", "near-realtime"), prompt, max_tokens)


class Generation(Response):
    """A stream of tokens, which begins when it is the request's turn."""

    def __init__(self, state: Any, job: Job) -> None:
        super().__init__()
        self.state = state
        self.job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves until it is done, or the client is gone."""
        work = asyncio.create_task(self.serve(scope, receive, send))
        gone = asyncio.create_task(until_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()  # does nothing to what is done; inside the gate it cancels the request
            gone.cancel()
            await asyncio.wait({work, gone})
        if not work.cancelled():
            work.result()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Waits at the gate, and streams; or says why not."""
        job, settings = self.job, self.state.settings
        has_begun = False
        try:
            async with self.state.gate.admit(
                tenant=job.tenant,
                tier=job.tier,
                demand=demand_of(job.prompt),
                prompt_tokens=tokens_of(job.prompt),
                output_tokens=job.max_tokens,
                yielding="checkpoint",
            ) as grant:
                has_begun = True
                await self.say(send, {"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
                await self.event(send, start=next(self.state.starts), worker=grant.worker)
                async for token in generate(grant, job.prompt, job.max_tokens, settings.token_s):
                    await self.event(send, token=token)
                await self.event(send, done=True, attempts=grant.attempt)
        except tidegate.Error as error:
            if not has_begun:
                await refusal_of(error)(scope, receive, send)
                return
            await self.event(send, error=str(error))
        await self.say(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def event(self, send: Send, **data: object) -> None:
        """Sends one event."""
        body = f"data: {json.dumps(data)}\n\n".encode()
        await self.say(send, {"type": "http.response.body", "body": body, "more_body": True})

    async def say(self, send: Send, message: dict[str, Any]) -> None:
        """Sends a part. A client that does not read is given up: `TimeoutError` fails the request."""
        async with asyncio.timeout(self.state.settings.send_s):
            await send(message)


EVENT_STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


async def until_gone(receive: Receive) -> None:
    """Waits until the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def generate_route(request: Request) -> Response:
    """`POST /generate`: `{"prompt": "...", "max_tokens": 16}`, with an API key and maybe a tier."""
    state = request.app.state
    if not state.gate.is_open:
        return Refusal(503, "the server is going down", BUSY_RETRY_S)
    try:
        return Generation(state, await job_of(request, state.tenants, state.settings))
    except HTTPException as error:
        # What is left of the body is not read: the connection ends with the answer.
        return JSONResponse({"error": error.detail}, error.status_code, {"connection": "close"})
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it


async def stats_route(request: Request) -> Response:
    """`GET /stats`: who waits, who is inside, and what became of all others."""
    gate: Gate = request.app.state.gate
    stats = gate.scheduler.stats()
    counters = ("submitted", "completed", "failed", "cancelled", "dropped", "live")
    counted = {name: getattr(stats, name) for name in counters}
    return JSONResponse({"waiting": gate.waiting, "inside": gate.inside, "is_open": gate.is_open, **counted})


def configure(gate: Gate, tenants: dict[str, Any]) -> None:
    """Says what each tenant may do."""
    for tenant in tenants.values():
        policy = {name: tenant[name] for name in ("most_urgent", "over_quota") if name in tenant}
        if rate := tenant.get("requests"):
            policy["requests"] = tidegate.Rate(rate["amount"], rate["period_s"] * 1_000_000_000, rate["burst"])
        gate.tenant_configure(gate.tenant_set(tenant["name"]), **policy)


def make_app(settings: Settings) -> Starlette:
    """The server, without a port."""
    config = tidegate.Config.from_toml((HERE / "tidegate.toml").read_text())
    tenants = tomllib.loads((HERE / "tenants.toml").read_text())

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with Gate(config, max_waiting=settings.max_waiting) as gate:
            gate.worker_add({"slots": settings.slots, "kv_blocks": settings.slots * 1_000})
            configure(gate, tenants)
            app.state.gate = gate
            yield

    routes = [Route("/generate", generate_route, methods=["POST"]), Route("/stats", stats_route)]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.settings, app.state.tenants, app.state.starts = settings, tenants, count(1)
    return app


async def drain(app: Starlette, within_s: float) -> None:
    """Lets those inside finish, while others are told 503."""
    with suppress(tidegate.Error):
        await app.state.gate.drain(within=within_s)
