"""The routes, and what all requests have in common: who asks, ids, bounds, errors in the protocol's form."""

import asyncio
import logging
import re
import secrets
import time

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import tidegate
from gateway.client import Client, ClientGone, gone, read_body
from gateway.config import MAX_POOLS, Settings
from gateway.fleet import Fleet
from gateway.keys import Keys, tier_of
from gateway.metrics import Metrics
from gateway.proxy import Call, Proxy
from gateway.refusal import Passed, Refusal
from gateway.request import Kind, parse
from tidegate.aio import Gate, NotHeld

log = logging.getLogger("gateway.app")

REQUEST_ID = "x-request-id"
TRACE = ("traceparent", "tracestate")
NAME = re.compile(r"[\w.:-]{1,128}", re.ASCII)
POOL = "x-tidegate-pool"


class App:
    """An ASGI application around one gate."""

    def __init__(self, gate: Gate, proxy: Proxy, metrics: Metrics, fleet: Fleet) -> None:
        self._gate = gate
        self._proxy = proxy
        self._metrics = metrics
        self._fleet = fleet
        self._settings: Settings | None = None
        self._keys = Keys(())
        self._of_tenants: dict[str, tuple[str, ...]] = {}
        self._of_tiers: list[tuple[str, ...]] = []
        self.asgi = Starlette(
            routes=[
                Route("/v1/completions", _Completions(self, "completions"), methods=["POST"]),
                Route("/v1/chat/completions", _Completions(self, "chat/completions"), methods=["POST"]),
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics_text),
                Route("/explain/{name}", self._explain),
            ]
        )

    def configure(self, settings: Settings) -> None:
        """Takes what holds for requests from now on."""
        self._settings = settings
        self._keys = Keys(settings.keys)
        pools = settings.scheduler.pools
        self._of_tenants = {
            tenant.name: tuple(pools[number] for number in tenant.pools) for tenant in settings.tenants if tenant.pools
        }
        self._of_tiers = [tuple(pools[number] for number in numbers) for numbers in settings.tier_pools]
        self._proxy.settings = settings.gateway

    async def answer(self, kind: Kind, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request for a completion, whatever becomes of it."""
        assert self._settings is not None, "it is configured before it serves"
        headers, settings = Headers(scope=scope), self._settings.gateway
        said = headers.get(REQUEST_ID, "")
        name = said if NAME.fullmatch(said) else secrets.token_hex(16)
        passed = {header: headers[header] for header in TRACE if header in headers}
        client = Client(scope, send, {REQUEST_ID: name} | passed, settings.write_timeout)
        try:
            key = self._keys.who(headers)
            tier = tier_of(headers, key, self._gate.scheduler.config.tiers, settings.above_right)
            pools = self._pools(headers.get(POOL))
            raw = await read_body(receive, scope["headers"], settings.max_body_bytes, settings.body_timeout)
            ask = parse(kind, raw, settings)
            pools = pools or self._pools_of(ask.body.get("model"), key.tenant, tier)
            # Engines take a name once: the client's may come twice.
            engine_name = f"{name}-{secrets.token_hex(4)}"
            upstream = passed | {REQUEST_ID: engine_name, "content-type": "application/json"}
            await self._serve(Call(name, ask, key.tenant, tier, pools, upstream), client, receive)
        except Refusal as refused:
            self._metrics.refused(refused.code)
            await self._refuse(client, refused)
        except Passed as passed_on:
            self._metrics.refused(f"engine-{passed_on.status}")
            await client.answer(passed_on.status, passed_on.body)
        except ClientGone:
            self._metrics.refused("client-gone")
        except RecursionError:
            self._metrics.refused("bad-request")
            await self._refuse(client, Refusal(400, "bad-request", "the body is nested too deep"))
        except Exception:
            log.exception("%s ended by a fault of the gateway", name)
            self._metrics.refused("internal")
            await self._refuse(client, Refusal(500, "internal", "a fault of the gateway"))

    async def _serve(self, call: Call, client: Client, receive: Receive) -> None:
        """Serves it as long as the client is there."""
        serving = asyncio.current_task()
        assert serving is not None, "it is a task's"
        is_gone = False

        async def watch() -> None:
            nonlocal is_gone
            await gone(receive)
            is_gone = True
            serving.cancel()

        watcher = asyncio.create_task(watch())
        try:
            await self._proxy.serve(call, client)
        except asyncio.CancelledError:
            if not is_gone or serving.uncancel():
                raise
            raise ClientGone from None
        finally:
            watcher.cancel()

    async def _refuse(self, client: Client, refused: Refusal) -> None:
        try:
            if client.has_begun:
                client.push(b"data: " + refused.body() + b"\n\n")
                await client.flush(more=False)
            else:
                await client.answer(refused.status, refused.body(), refused.headers())
        except ClientGone:
            self._metrics.refused("client-gone")

    def _pools(self, said: str | None) -> tuple[str, ...]:
        """Those that a client names, in order of preference; none if it leaves that to its model."""
        if said is None:
            return ()
        pools = self._gate.scheduler.config.pools
        named = tuple(dict.fromkeys(name.strip() for name in said.split(",")))
        if not set(named) <= set(pools):
            raise Refusal(400, "unknown-pool", f"there is no such pool; there are {', '.join(pools)}")
        if len(named) > MAX_POOLS:
            raise Refusal(400, "unknown-pool", f"{len(named)} pools are named, at most {MAX_POOLS}")
        return named

    def _pools_of(self, model: object, tenant: str, tier: int) -> tuple[str, ...]:
        """Those of its model, or else of its tenant, or else of its tier, or else the first."""
        assert self._settings is not None, "it is configured before it serves"
        named = self._settings.gateway.models.get(model) if isinstance(model, str) else None
        return named or self._of_tenants.get(tenant) or self._of_tiers[tier] or self._gate.scheduler.config.pools[:1]

    async def _healthz(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readyz(self, _request: Request) -> Response:
        if not self._gate.is_open:
            return PlainTextResponse("draining\n", 503)
        if not any(self._fleet.states().values()):
            out = "".join(f"{url} is kept out for {seconds:.1f} s\n" for url, seconds in self._fleet.out_for().items())
            return PlainTextResponse(f"no engine is up\n{out}", 503)
        return PlainTextResponse("ready\n")

    async def _metrics_text(self, _request: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _explain(self, request: Request) -> Response:
        try:
            key = self._keys.who(request.headers)
        except Refusal as unknown:
            return _refused(unknown)
        tenant = request.query_params.get("tenant") if key.operator else key.tenant
        call = self._proxy.find(request.path_params["name"], tenant)
        if call is None:
            return _refused(Refusal(404, "unknown-request", "no request of this id waits or runs"))
        return JSONResponse(self._explained(call))

    def _explained(self, call: Call) -> dict[str, object]:
        document: dict[str, object] = {
            "id": call.name,
            "tenant": call.tenant,
            "tier": self._gate.scheduler.config.tiers[call.tier],
            "age_seconds": time.monotonic() - call.began,
        }
        if call.grant is None:
            return document | {"state": "arriving"}
        try:
            explained = self._gate.scheduler.explain(call.grant.request)
        except NotHeld:
            return document | {"state": "arriving"}
        except tidegate.ReportError:
            return document | {"state": "ending"}
        starts_in = None
        if explained.starts_at_ns is not None:
            starts_in = max(0.0, (explained.starts_at_ns - time.monotonic_ns()) / 1e9)
        return document | {
            "request": call.grant.request,
            "state": explained.state,
            "gate": explained.gate,
            "ahead": explained.ahead,
            "starts_in_seconds": starts_in,
            "pools": list(call.pools),
            "worker": call.grant.worker if call.grant.worker >= 0 else None,
        }


def _refused(refused: Refusal) -> Response:
    return Response(refused.body(), refused.status, refused.headers(), "application/json")


class _Completions:
    """An application of its own for what is answered as it comes: there the client's end is known."""

    def __init__(self, app: App, kind: Kind) -> None:
        self._app = app
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app.answer(self._kind, scope, receive, send)
