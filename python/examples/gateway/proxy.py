"""The way of one request: it waits for its place, has an engine answer, and goes on elsewhere if it must.

However many engines have a part in it, the client has one answer, without a token missing or repeated. What is not
`plain` cannot go on from its tokens: if nothing was told it begins again, and one that streams is never asked to yield.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial

import tidegate
from gateway.answer import DONE, Answer, event
from gateway.client import Client
from gateway.config import GatewaySettings
from gateway.engine import Engine, EngineFault
from gateway.fleet import Fleet
from gateway.metrics import Metrics
from gateway.refusal import Refusal, refusal
from gateway.request import Ask, Used
from tidegate.aio import Aborted, Gate, Grant, PlaceLost

log = logging.getLogger("gateway.proxy")

REPORT_EVERY = 16
"""Output tokens from one report to the scheduler to the next, chosen arbitrarily."""


@dataclass(eq=False)
class Call:
    """A request and who asks."""

    name: str
    """Its id for client, engines and operators."""
    ask: Ask
    tenant: str
    tier: int
    pools: tuple[str, ...]
    """Those that may serve it, in order of preference."""
    headers: dict[str, str]
    """What is passed on to engines."""
    grant: Grant | None = None
    began: float = field(default_factory=time.monotonic)
    faults: int = 0
    """How often an engine failed in the middle of it."""
    reported: int | None = None
    """Output tokens of which the scheduler heard since its last start."""
    first_token_at: float | None = None
    is_over: bool = False
    """Whether an engine has told all of it."""


class Proxy:
    """Has requests answered."""

    def __init__(self, gate: Gate, fleet: Fleet, metrics: Metrics) -> None:
        self.settings = GatewaySettings()
        self._calls: dict[str, list[Call]] = {}
        """Those that wait or are inside, by name: a name is whatever a client says, and comes twice."""
        self._gate = gate
        self._fleet = fleet
        self._metrics = metrics

    async def serve(self, call: Call, client: Client) -> None:
        """Answers a request. Raises `Refusal`, `Passed` and `ClientGone`."""
        namesakes = self._calls.setdefault(call.name, [])
        namesakes.append(call)
        try:
            if call.ask.plain:
                await self._serve_plain(call, client)
            else:
                await self._serve_other(call, client)
        except tidegate.Error as error:
            raise refusal(error) from error
        finally:
            namesakes.remove(call)
            if not namesakes:
                del self._calls[call.name]

    def find(self, name: str, tenant: str | None) -> Call | None:
        """The latest request of this name that waits or is inside, of any tenant or of one."""
        found = (call for call in reversed(self._calls.get(name, ())) if tenant in (None, call.tenant))
        return next(found, None)

    @contextlib.asynccontextmanager
    async def _admitted(self, call: Call, yielding: str) -> AsyncIterator[Grant]:
        admission = self._gate.admit(
            tenant=call.tenant,
            tier=call.tier,
            demand={"slots": 1},
            pool=call.pools,
            prompt_tokens=call.ask.prompt_tokens,
            output_tokens=call.ask.output_tokens,
            yielding=yielding,
        )
        call.grant = admission.grant
        async with admission as grant:
            self._metrics.waited(call.tier, call.tenant, time.monotonic() - call.began)
            yield grant

    async def _serve_plain(self, call: Call, client: Client) -> None:
        answer = Answer(call.ask, f"{'cmpl' if call.ask.kind == 'completions' else 'chatcmpl'}-{call.name}")
        async with self._admitted(call, "restart") as grant:
            while answer.finish is None:
                fault = await self._attempt(
                    call,
                    grant,
                    partial(self._plain, call, grant, answer, client),
                    lambda: answer.goes_on or not call.ask.stream,
                )
                answer.cut()
                if answer.finish is None:
                    if not answer.goes_on:
                        raise Refusal(503, "cannot-go-on", "it was stopped, and its engine does not tell tokens")
                    await self._again(call, grant, fault)
            used = Used(answer.prompt_tokens, answer.cached_tokens, answer.output_tokens)
            grant.used(**used._asdict())
        self._metrics.ended(call.tier, call.tenant, used)
        if not call.ask.stream:
            await client.answer(200, json.dumps(answer.whole()).encode())
            return
        if call.ask.wants_usage:
            client.push(event(answer.last_chunk()))
        client.push(DONE)
        await client.flush(more=False)

    async def _plain(self, call: Call, grant: Grant, answer: Answer, client: Client, engine: Engine) -> None:
        path, body = answer.upstream()
        async with engine.ask(path, json.dumps(body).encode(), call.headers) as stream:
            async for events in stream.events():
                for told in events:
                    for document in answer.feed(told):
                        if call.ask.stream:
                            client.push(event(document))
                if answer.parts:
                    self._report(call, grant, answer.output_tokens)
                    if call.ask.stream and not stream.is_done:  # its end is told in one piece
                        await client.flush()
        if answer.finish is None:
            raise EngineFault("its stream has no end")

    async def _serve_other(self, call: Call, client: Client) -> None:
        whole: list[bytes] = []
        used = [Used(call.ask.prompt_tokens, 0, 0)]
        run = partial(self._streamed, call) if call.ask.stream else partial(self._whole, call, whole)
        async with self._admitted(call, "never" if call.ask.stream else "restart") as grant:
            call.is_over = False
            while not call.is_over:
                fault = await self._attempt(call, grant, partial(run, grant, client, used))
                if not call.is_over and client.has_begun:
                    raise Refusal(502, "cannot-go-on", "its engine failed in the middle of it")
                if not call.is_over:
                    await self._again(call, grant, fault)
            grant.used(**used[-1]._asdict())
        self._metrics.ended(call.tier, call.tenant, used[-1])
        if call.ask.stream:
            client.push(DONE)
            await client.flush(more=False)
        else:
            await client.answer(200, whole[-1])

    async def _streamed(self, call: Call, grant: Grant, client: Client, used: list[Used], engine: Engine) -> None:
        options = (call.ask.body.get("stream_options") or {}) | {"include_usage": True}
        body = call.ask.body | {"stream_options": options}
        tokens = 0
        async with engine.ask(call.ask.kind, json.dumps(body).encode(), call.headers) as stream:
            async for events in stream.events():
                for told in events:
                    tokens += len(told.get("choices") or ())
                    if told.get("usage"):
                        used.append(Used.read(told["usage"]))
                    if told.get("choices") or call.ask.wants_usage:
                        client.push(event(told))
                if tokens:
                    self._report(call, grant, tokens)
                    await client.flush()
        call.is_over = True

    async def _whole(
        self, call: Call, whole: list[bytes], grant: Grant, _client: Client, used: list[Used], engine: Engine
    ) -> None:
        async with engine.ask(call.ask.kind, json.dumps(call.ask.body).encode(), call.headers) as stream:
            whole.append(await stream.whole())
        try:
            used.append(Used.read(json.loads(whole[-1])["usage"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EngineFault("its answer is none") from error
        self._report(call, grant, used[-1].output_tokens)
        call.is_over = True

    def _report(self, call: Call, grant: Grant, tokens: int) -> None:
        """Tells the scheduler of progress, now and then."""
        if call.first_token_at is None:
            call.first_token_at = time.monotonic()
            self._metrics.first_token(call.tier, call.tenant, call.first_token_at - call.began)
        if call.reported is None or tokens >= call.reported + REPORT_EVERY:
            call.reported = tokens
            grant.progress(output_tokens=tokens)

    async def _attempt(
        self,
        call: Call,
        grant: Grant,
        run: Callable[[Engine], Coroutine[None, None, None]],
        may_yield: Callable[[], bool] = lambda: True,
    ) -> EngineFault | None:
        """One engine's part, until it is done, is asked to yield, or fails: how it failed."""
        engine = self._fleet.engine(grant.worker)
        call.reported = None
        cut = asyncio.timeout(None)
        watcher = asyncio.create_task(_cut_when_asked(grant, cut, may_yield))
        try:
            async with cut:
                await run(engine)
        except (TimeoutError, PlaceLost) as error:
            if isinstance(error, Aborted):
                raise
            self._metrics.cut(call.tier)
        except EngineFault as fault:
            log.warning("%s: %s at %s", call.name, fault, engine.settings.url)
            self._metrics.failed(engine.settings.url)
            self._fleet.suspect(engine)
            return fault
        finally:
            watcher.cancel()
        return None

    async def _again(self, call: Call, grant: Grant, fault: EngineFault | None) -> None:
        """Gives the place back and waits for the next one. Raises `Refusal` if engines failed too often."""
        worker = grant.worker
        if fault is None or call.reported is not None or grant.lost:
            call.faults += fault is not None or grant.lost  # it may be the request that ends them
            if call.faults > self.settings.retries:
                raise Refusal(502, "engine-failed", "engines failed in the middle of it")
            await grant.yield_()
        if fault is not None and grant.worker == worker and not grant.preempted:
            await grant.decline(why="not-ready")  # another one first, or the same after a while


async def _cut_when_asked(grant: Grant, cut: asyncio.Timeout, may_yield: Callable[[], bool]) -> None:
    if await grant.preempted:
        if isinstance(grant.preempted.action, tidegate.Preempt) and not may_yield():
            return  # its client would have half of it: who asked waits for its end
        cut.reschedule(asyncio.get_running_loop().time())
