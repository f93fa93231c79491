"""A gateway and its engines as processes on the loopback interface, and clients that ask it."""

import asyncio
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from gateway_engine import expected
from waiting import SECONDS, held_port, port_of, until

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")
LIVE = ("tidegate_queue_depth", "tidegate_running_requests")


class Program:
    """A process that says where it listens. Ended, whatever happens, with its block."""

    def __init__(self, command: Sequence[str | Path], log: Path | None = None) -> None:
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self, *more: str) -> None:
        """Starts it, and waits until it listens."""
        places = [str(ROOT / "python/examples"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
        with open(self._log or os.devnull, "ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *more], stdout=subprocess.PIPE, stderr=log, env=environment
            )
        assert self._process.stdout is not None, "it is a pipe"
        ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
        told = self._process.stdout.readline().decode() if ready else ""
        assert told.startswith("listening on "), f"it does not listen: {self.log()}"
        self.url = told.removeprefix("listening on ").strip()

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text() if self._log and self._log.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it was started"
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it ends."""
        assert self._process is not None, "it was started"
        return self._process.wait(SECONDS)

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)
            if self._process.stdout is not None:
                self._process.stdout.close()

    def get(self, path: str, headers: dict[str, str] | None = None) -> str:
        request = urllib.request.Request(self.url + path, headers=headers or {})
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.read().decode()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class StubEngine(Program):
    """An engine that behaves as it is told."""

    def __init__(self) -> None:
        self._held = held_port()
        super().__init__([sys.executable, ROOT / "tests/gateway_engine.py", str(port_of(self._held))])

    def restart(self) -> None:
        """Another process on the same port."""
        self.kill()
        self.start()

    def __exit__(self, *why: Any) -> None:
        super().__exit__(*why)
        self._held.close()

    def control(self, **behaviour: object) -> None:
        body = json.dumps(behaviour).encode()
        with urllib.request.urlopen(f"{self.url}/control", data=body, timeout=SECONDS):
            pass

    def stats(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.get("/stats"))
        return told


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


TIERS = """
dimensions = ["slots"]
placement = "spread"
min_run = "0s"
decline_backoff = "500ms"

[[tiers]]
name = "realtime"
reserve_ppm = 500_000
hold_window = "0s"

[[tiers]]
name = "near-realtime"
hold_window = "0s"

[[tiers]]
name = "batch"
hold_window = "0s"
"""
TENANTS = f"""
[[tenants]]
name = "acme"

[[tenants]]
name = "frugal"
tokens = {{ amount = 6, period = "60s", burst = 100 }}
over_quota = "reject"

[[keys]]
sha256 = "{sha256("acme-key")}"
tenant = "acme"
operator = true

[[keys]]
sha256 = "{sha256("batch-key")}"
tenant = "acme"
most_urgent = "batch"

[[keys]]
sha256 = "{sha256("frugal-key")}"
tenant = "frugal"
"""


def config(engines: Sequence[Program], slots: int, tiers: str = TIERS, **gateway: object) -> str:
    """A config for these engines; fields of the table `gateway` as keywords."""
    # An engine that is slow to answer is no less well: a test that has one hang says when that is found.
    patient = {"health_timeout": f"{SECONDS}s", "connect_timeout": f"{SECONDS}s", "drain": f"{SECONDS}s"}
    bounds = {"health_every": "100ms", "health_failures": 2} | patient | gateway
    lines = [f"{name} = {json.dumps(value)}" for name, value in bounds.items()]
    tables = [f'[[engines]]\nurl = "{engine.url}"\nslots = {slots}\n' for engine in engines]
    return "\n".join([tiers, TENANTS, "[gateway]", *lines, *tables])


class Gateway(Program):
    """A gateway with a config of its own."""

    def __init__(self, folder: Path, text: str) -> None:
        self.path = folder / "gateway.toml"
        self.path.write_text(text)
        super().__init__([sys.executable, "-m", "gateway", self.path, "--port", "0"], folder / "gateway.log")

    def start(self, *more: str) -> None:
        super().start(*more)
        until(lambda: self.is_ready)

    @property
    def is_ready(self) -> bool:
        try:
            return self.get("/readyz") == "ready\n"
        except OSError:
            return False

    def samples(self, name: str, **labels: str) -> list[float]:
        """The samples of a metric that have these labels."""
        found = []
        for line in self.get("/metrics").splitlines():
            if line.startswith(name) and all(f'{label}="{value}"' in line for label, value in labels.items()):
                head, _, value = line.rpartition(" ")
                if head == name or head.startswith(f"{name}{{"):
                    found.append(float(value))
        return found

    def metric(self, name: str, **labels: str) -> float:
        """A sample of the metrics, the first; 0 if there is none."""
        return next(iter(self.samples(name, **labels)), 0.0)

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples."""
        return sum(self.samples(name, **labels))

    def live(self) -> float:
        """How many requests wait or run: of one moment, since a page is."""
        lines = (line.rpartition(" ") for line in self.get("/metrics").splitlines())
        return sum(float(value) for head, _, value in lines if head.partition("{")[0] in LIVE)


@contextmanager
def world(
    folder: Path, engines: int = 1, slots: int = 4, **settings: Any
) -> Iterator[tuple[Gateway, list[StubEngine]]]:
    """A gateway in front of so many engines."""
    with ExitStack() as stack:
        stubs = [stack.enter_context(StubEngine()) for _ in range(engines)]
        gateway = stack.enter_context(Gateway(folder, config(stubs, slots, **settings)))
        until(lambda: all(up(gateway, stub) for stub in stubs))
        yield gateway, stubs


def up(gateway: Gateway, stub: StubEngine) -> bool:
    """Whether the gateway has the engine for one that is up."""
    return gateway.metric("tidegate_engine_up", engine=stub.url) == 1


@dataclass
class Told:
    """What a client was told."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    ids: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    is_done: bool = False
    times: list[float] = field(default_factory=list)

    @property
    def code(self) -> object:
        return (self.document.get("error") or {}).get("code")

    @property
    def usage(self) -> dict[str, int] | None:
        last = self.events[-1] if self.events else self.document
        return last.get("usage")


def body_of(prompt: str, max_tokens: int, **more: object) -> dict[str, Any]:
    return {"model": "stub", "prompt": prompt, "max_tokens": max_tokens, **more}


class Clients:
    """Asks a gateway, from inside an event loop."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    def headers(self, key: str = "acme-key", tier: str | None = None, **more: str) -> dict[str, str]:
        said = {"authorization": f"Bearer {key}"} | more
        return said if tier is None else said | {"x-tidegate-tier": tier}

    async def ask(
        self,
        body: object,
        path: str = "completions",
        *,
        first: asyncio.Event | None = None,
        hears: Callable[[Told], object] = lambda _told: None,
        **said: Any,
    ) -> Told:
        """Asks, and reads all that comes; `first` is set by the first piece of a stream, and `hears` has each."""
        async with self.session.post(f"{self.url}/v1/{path}", json=body, headers=self.headers(**said)) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            told = Told(response.status, headers)
            if response.content_type != "text/event-stream":
                told.document = await response.json(content_type=None)
                return told
            async for line in response.content:
                if line.startswith(b"data: "):
                    self._take(told, line[6:].strip())
                    hears(told)
                    if first is not None:
                        first.set()
            return told

    def _take(self, told: Told, data: bytes) -> None:
        if data == b"[DONE]":
            told.is_done = True
            return
        event = json.loads(data)
        told.document = event
        told.events.append(event)
        told.times.append(time.monotonic())
        for choice in event.get("choices", ()):
            told.text += choice["delta"].get("content", "") if "delta" in choice else choice["text"]
            told.ids += choice.get("token_ids") or []


@asynccontextmanager
async def clients(url: str, within: float = SECONDS, *, keeps: bool = False) -> AsyncIterator[Clients]:
    """Clients as many as are wanted, within the bound; whether they use a connection again.

    One that a server closes just then is an error of the client, and none of the server.
    """
    kept = {"keepalive_timeout": 2} if keeps else {"force_close": True}
    connector = aiohttp.TCPConnector(limit=0, **kept)
    async with (
        asyncio.timeout(within),
        aiohttp.ClientSession(connector=connector) as session,
    ):
        yield Clients(url, session)


def run(url: str, scene: Callable[[Clients], Awaitable[T]], within: float = SECONDS) -> T:
    """Plays a scene with clients of a gateway."""

    async def play() -> T:
        async with clients(url, within) as asking:
            return await scene(asking)

    return asyncio.run(play())


def is_whole(told: Told, body: dict[str, Any]) -> bool:
    """Whether a stream had all of its completion, once, in order."""
    ids, text = expected(body)
    return told.status == 200 and told.is_done and told.text == text and (not told.ids or told.ids == ids)
