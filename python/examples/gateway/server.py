"""HTTP and signals: the bounds on what a connection may send before anybody knows who it is, and how the program ends.

SIGTERM and SIGINT drain: nothing new is taken, those who wait or are inside finish, within `drain`; then all ends.
SIGHUP reads the config again.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import aiohttp
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

import tidegate
from gateway.app import App
from gateway.client import ABORT
from gateway.config import ConfigFault, Settings, load
from gateway.fleet import Fleet
from gateway.metrics import Metrics
from gateway.proxy import Proxy
from tidegate.aio import Gate
from tidegate.deployment import FileWatch, TenantTree
from tidegate.watching import Refusals

if TYPE_CHECKING:
    from gateway.leases import Leases

log = logging.getLogger("gateway")

TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n"
    b"x-tidegate-gate: header-too-large\r\n\r\n"
)


def bounded(settings: Settings) -> type[HttpToolsProtocol]:
    """A protocol whose heads have a bound on their bytes and on their time."""
    max_bytes, within = settings.gateway.max_header_bytes, settings.gateway.body_timeout

    class Bounded(HttpToolsProtocol):
        _head_bytes = 0
        _head_timer: asyncio.TimerHandle | None = None
        _is_refused = False
        _is_in_body = False
        _answered: RequestResponseCycle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._head_timer = self.loop.call_later(within, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_head()
            if self._answered is not None and self._answered is not self.cycle:
                # uvicorn tells the last one alone, which may wait behind this one.
                self._answered.disconnected = True
                self._answered.message_event.set()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            in_head = self._head_timer is not None
            super().data_received(data)
            if in_head and self._head_timer is not None:
                self._head_bytes += len(data)
                if self._head_bytes > max_bytes:
                    self._refuse()
            elif (
                self._head_timer is None
                and not self._is_in_body
                and (self.cycle is None or self.cycle.response_complete)
            ):
                # Between two requests, and what came begins none: uvicorn has stopped its timer.
                self._head_timer = self.loop.call_later(within, self.transport.abort)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["extensions"] = {ABORT: self.transport.abort}  # type: ignore[dict-item]
            self._head_bytes = 0
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(within, self.transport.abort)

        def on_headers_complete(self) -> None:
            self._end_head()
            if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > max_bytes:
                self._refuse()
            elif not self._is_refused:
                self._is_in_body = True
                super().on_headers_complete()

        def on_header(self, name: bytes, value: bytes) -> None:
            if not self._is_in_body:  # what follows a body is for nobody
                super().on_header(name, value)

        def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
            self._answered = cycle
            super()._start_asgi_task(cycle, app)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._is_in_body and self.cycle.response_complete and not self.transport.is_closing():
                # Answered before its end: the rest is not read, and the answer has a while to arrive.
                self._unset_keepalive_if_required()
                self.flow.pause_reading()
                self._head_timer = self.loop.call_later(within, self.transport.abort)

        def on_body(self, body: bytes) -> None:
            if not self._is_refused:
                super().on_body(body)

        def on_message_complete(self) -> None:
            self._is_in_body = False
            if not self._is_refused:
                super().on_message_complete()

        def _refuse(self) -> None:
            self._is_refused = True
            if not self.transport.is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()

        def _end_head(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return Bounded


class Server(uvicorn.Server):
    """Ends when it is told to, not by a signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to whoever runs it."""
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Is never called."""


class Gateway:
    """All that runs, put together."""

    def __init__(
        self, path: Path, settings: Settings, gate: Gate, leases: "Leases | None", session: aiohttp.ClientSession
    ) -> None:
        self._path = path
        self._settings = settings
        self._refusals = Refusals()
        self._gate = gate
        self._leases = leases
        self._fleet = Fleet(gate, session)
        metrics = Metrics(gate, self._fleet)
        self.app = App(gate, Proxy(gate, self._fleet, metrics), metrics, self._fleet)
        self._tenants = TenantTree(gate)
        self._server: Server | None = None
        self._ending: asyncio.Task[None] | None = None
        self._apply(settings)

    def _apply(self, settings: Settings) -> None:
        """Makes a config that was found in order the one in force. Raises `tidegate.Error` if it cannot be."""
        self._tenants.configure(settings.tenants)
        if self._leases is not None:
            self._leases.configure(settings.tenants, self._tenants.numbers)
        self._fleet.configure(settings.engines, settings.gateway)
        self.app.configure(settings)
        self._settings = settings
        # Last, since whom a config that fails has forgotten would owe nothing any more.
        for name, why in self._tenants.forget_all_but(settings.tenants).items():
            log.warning("tenant %s is not forgotten before the config is read again: %s", name, why)

    def reload(self) -> bool:
        """Reads the config again; one that is not in order changes nothing, one that fails is taken back.

        False if it could not be read now.
        """
        try:
            settings = load(self._path)
            self._refusals.forget()
            if settings.redis != self._settings.redis:
                raise ConfigFault([("redis", "is read at the start alone")])
            self._gate.reconfigure(settings.scheduler)
        except (ConfigFault, tidegate.Error) as error:
            if self._refusals.is_news(error):
                log.error("the config is not in order, and the old one stays: %s", error)
            return not self._refusals.is_unread(error)
        former = self._settings
        try:
            self._apply(settings)
        except tidegate.Error as error:
            log.error("the config cannot be in force, and the old one is again: %s", error)
            self._take_back(former)
        else:
            log.info("the config was read again")
        return True

    def _reload_now(self) -> None:
        """Somebody asks for it, and hears what comes of it."""
        self._refusals.forget()
        self.reload()

    def _take_back(self, former: Settings) -> None:
        try:
            self._gate.reconfigure(former.scheduler)
            self._apply(former)
        except tidegate.Error as error:
            log.error("the old config is in force in part only: %s", error)

    def end(self) -> None:
        """Drains, and ends. Told again, it ends at once."""
        if self._ending is not None:
            self._stop()
            return
        self._ending = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        log.info("draining: %d wait, %d are inside", self._gate.waiting, self._gate.inside)
        if not await self._gate.drain(within=self._settings.gateway.drain):
            log.warning("%d are not done in time", self._gate.waiting + self._gate.inside)
        self._stop()

    def _stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True

    async def run(self, listener: socket.socket) -> None:
        """Serves until it is told to end."""
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[], Any]] = {
            signal.SIGTERM: self.end,
            signal.SIGINT: self.end,
            signal.SIGHUP: self._reload_now,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        config = uvicorn.Config(
            self.app.asgi,
            http=bounded(self._settings),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            limit_concurrency=self._settings.gateway.max_connections,
            backlog=4096,
            timeout_graceful_shutdown=2,
        )
        self._server = Server(config)
        try:
            await self._server.serve(sockets=[listener])
        finally:
            await self._fleet.aclose()


async def run(path: Path, settings: Settings, listener: socket.socket, watch_s: float) -> None:
    """Serves on a socket until a signal ends it. Looks at the config every `watch_s` seconds; 0: never."""
    # Shorter than engines keep a connection (5 s): one that is closed while a request goes out is a fault.
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=30, keepalive_timeout=2)
    leases = _leases(settings)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector, headers={"accept-encoding": "identity"}, cookie_jar=aiohttp.DummyCookieJar()
            )
        )
        ask = None if leases is None else leases.ask
        gate = Gate(settings.scheduler, max_waiting=settings.gateway.max_waiting, on_lease_wanted=ask)
        await stack.enter_async_context(gate)
        gateway = Gateway(path, settings, gate, leases, session)
        if leases is not None and settings.redis is not None:
            await stack.enter_async_context(leases.running(gate, settings.redis))
        if watch_s > 0:
            watching = asyncio.create_task(FileWatch(path, gateway.reload, every_s=watch_s).run())
            stack.callback(watching.cancel)
        await gateway.run(listener)


def _leases(settings: Settings) -> "Leases | None":
    if settings.redis is None:
        return None
    from gateway.leases import Leases  # noqa: PLC0415 - only who shares budgets needs redis-py

    return Leases()
