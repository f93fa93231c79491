"""A replica: a scheduler with a leased limit, its adapter, and requests that never run out.

usage: lease_replica.py SETTINGS

It begins when its standard input ends, and ends what it began when it is told to terminate.
Each line of its log is a JSON list, an event and the time told to the scheduler with it: monotonic, in ns, the same
clock for all processes of a machine:

    ready                      it waits for the end of its standard input
    ask seq tokens returned    what the scheduler wants of the store
    grant seq tokens           what the scheduler is told of it
    start held                 a request starts, and holds its estimate
    charge tokens              one has outrun what it holds
    end held used              one has ended
    turn elapsed worked        how long newcomers were taken in, and actions fetched and followed, in ns; of a CPU
    call                       something was sent to the store meanwhile, which must not be
    books refunded debt        at the end: what the scheduler says of its tenants
    sent calls                 at the end: what was sent to the store in all
"""

import asyncio
import heapq
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any, Self

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from tidegate import Config, Drop, LeaseWanted, Rate, Scheduler, Start
from tidegate.redis import AsyncLeases, Budget, Grant, Leases

SECOND = 1_000_000_000
RATE = Rate(4_000, SECOND, 40_000)
BUDGET = Budget("team", RATE)
LARGEST = 600
"""The most tokens of an estimate."""
AHEAD = 64
"""The core charges so much more when a request outruns what it holds."""
WAITING = 8
"""Requests that wait at any time."""
VALID_FOR = 2 * SECOND
FALLBACK_AFTER = SECOND
PATIENCE_S = 3
"""How long a replica waits for the store: longer than one takes that runs, on a machine that is slow and busy."""
STEP = SECOND // 20
"""From one report of a request to the next."""


@dataclass(frozen=True)
class Settings:
    """What a replica has to know."""

    port: int
    log: str
    name: str
    """The same in each life."""
    life: int
    replicas: int
    adapter: str = "Leases"
    fallback: str = "deny"
    shuffles: bool = False

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Self:
        return cls(**json.loads(text))


@dataclass
class Run:
    """A request on the worker."""

    attempt: int
    prompt: int
    held: int
    reports: list[int]
    """Output tokens that are to be reported still."""
    output: int
    """Output tokens at its end."""
    fate: str
    reported: int | None = None
    """Output tokens that were reported last; `None` before the first report."""

    def used(self) -> int:
        if self.fate == "complete":
            return self.prompt + self.output
        return 0 if self.reported is None else self.prompt + self.reported


@dataclass
class Network:
    """Delays, doubles, reorders and loses answers."""

    chance: random.Random
    under_way: list[tuple[int, int, Grant]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def carry(self, now: int, grants: Sequence[Grant]) -> list[Grant]:
        for grant in grants:
            for _ in range(self.chance.choice([0] + [1] * 20 + [2] * 10 + [3] * 5)):
                due = now + self.chance.randrange(SECOND // 5)
                heapq.heappush(self.under_way, (due, next(self.numbers), grant))
        arrived = []
        while self.under_way and self.under_way[0][0] <= now:
            arrived.append(heapq.heappop(self.under_way)[2])
        return arrived


class Host:
    """Owns the scheduler; `turn` is its loop."""

    def __init__(self, settings: Settings, log: int) -> None:
        self.closing = False
        self.turning: int | None = None
        """The thread that is in `turn`."""
        self.sent = 0
        self._log = log
        self._chance = random.Random(f"{settings.name}-{settings.life}")
        self._network = Network(self._chance) if settings.shuffles else None
        config = Config(
            dimensions=["slots"],
            tiers=[{"name": "only"}],
            lease_replicas=settings.replicas,
            lease_ask_again_after="250ms",
            lease_fallback_after=f"{FALLBACK_AFTER}ns",
            lease_fallback=settings.fallback,
        )
        now = time.monotonic_ns()
        self._sched = Scheduler(config, now_ns=now)
        self._sched.worker_add([1_000], now_ns=now)
        team = self._sched.tenant_set("team", now_ns=now)
        self._sched.tenant_configure(team, tokens=RATE, leased=True, now_ns=now)
        self._keys = [self._sched.tenant_set(name, now_ns=now) for name in ("one", "two")]
        for key in self._keys:
            self._sched.tenant_configure(key, parent=team, now_ns=now)
        self._waiting: dict[int, Run] = {}
        self._running: dict[int, Run] = {}
        self._due: list[tuple[int, int]] = []

    def tell(self, event: str, now: int, *numbers: int) -> None:
        """Writes it to the log, where it stays whatever becomes of this process."""
        os.write(self._log, (json.dumps([event, now, *numbers]) + "\n").encode())

    def count_a_call(self) -> None:
        """Something is sent to the store by the thread that calls this."""
        self.sent += 1
        if self.turning == threading.get_ident():
            self.tell("call", time.monotonic_ns())

    def turn(self, leases: Leases | AsyncLeases) -> float | None:
        """Does what is due, and says how many seconds there is nothing to do; `None` at the end."""
        self.turning = threading.get_ident()
        grants = leases.grants()
        now = time.monotonic_ns()
        for grant in self._network.carry(now, grants) if self._network else grants:
            self.tell("grant", now, grant.seq, grant.tokens)
            self._sched.lease_granted(*grant, now_ns=now)
        while self._due and self._due[0][0] <= now:
            self._step(now, heapq.heappop(self._due)[1])
        self._take_in_and_poll(leases)
        self.turning = None
        wake = self._sched.poll_timeout()
        if self.closing and not self._running and wake is None:
            return None
        dues = [due for due, *_ in self._due[:1]] + [wake or now + STEP, now + STEP]
        return max(0, min(dues) - time.monotonic_ns()) / SECOND

    def _take_in_and_poll(self, leases: Leases | AsyncLeases) -> None:
        started = True
        while started:
            began, worked = time.monotonic_ns(), time.thread_time_ns()
            if self.closing:
                while self._waiting:
                    self._sched.cancel(self._waiting.popitem()[0], now_ns=began)
            else:
                while len(self._waiting) < WAITING:
                    self._submit(began)
                if self._chance.random() < 0.01:
                    self._sched.cancel(self._waiting.popitem()[0], now_ns=began)
            actions = self._sched.poll(now_ns=began)
            started = False
            for action in actions:
                match action:
                    case Start(request, _, attempt):
                        self._start(began, request, attempt)
                        started = True
                    case LeaseWanted(_, _, seq, tokens, returned):
                        self.tell("ask", began, seq, tokens, returned)
                        leases.ask(action)
                    case Drop():
                        raise AssertionError(f"nothing is dropped: {action}")
            self.tell("turn", began, time.monotonic_ns() - began, time.thread_time_ns() - worked)

    def _submit(self, now: int) -> None:
        prompt, output = self._chance.randint(50, LARGEST // 2), self._chance.randint(50, LARGEST // 2)
        used = int(output * (self._chance.uniform(1, 1.8) if self._chance.random() < 0.3 else self._chance.random()))
        reports = [used // 3, used * 2 // 3] if self._chance.random() < 0.6 else []
        fate = self._chance.choices(["complete", "fail", "cancel"], [8, 1, 1])[0]
        key = self._chance.choice(self._keys)
        request = self._sched.submit(
            tenant=key, tier=0, demand=[1], prompt_tokens=prompt, output_tokens=output, now_ns=now
        )
        self._waiting[request] = Run(0, prompt, prompt + output, reports, used, fate)

    def _start(self, now: int, request: int, attempt: int) -> None:
        run = self._waiting.pop(request)
        run.attempt = attempt
        self._running[request] = run
        self.tell("start", now, run.held)
        heapq.heappush(self._due, (now + STEP, request))

    def _step(self, now: int, request: int) -> None:
        """A request reports, or ends."""
        run = self._running[request]
        if not run.reports:
            return self._end(now, request, run)
        run.reported = run.reports.pop(0)
        self._sched.progress(request, run.attempt, output_tokens=run.reported, in_use=[1], now_ns=now)
        beyond = run.prompt + run.reported - run.held
        if beyond > 0:
            run.held += beyond + AHEAD
            self.tell("charge", now, beyond + AHEAD)
        heapq.heappush(self._due, (now + STEP, request))
        return None

    def _end(self, now: int, request: int, run: Run) -> None:
        del self._running[request]
        if run.fate == "complete":
            self._sched.complete(request, run.attempt, prompt_tokens=run.prompt, output_tokens=run.output, now_ns=now)
        elif run.fate == "fail":
            self._sched.failed(request, run.attempt, now_ns=now)
        else:
            self._sched.cancel(request, now_ns=now)
        self.tell("end", now, run.held, run.used())

    def tell_the_end(self) -> None:
        now = time.monotonic_ns()
        usages = [self._sched.usage(key) for key in self._keys]
        refunded = sum(usage.refunded_tokens for usage in usages)
        debt = sum(usage.debt_tokens for usage in usages)
        self.tell("books", now, refunded, debt)
        self.tell("sent", now, self.sent)


def count_calls(connections: type[Any], counted: Callable[[], None]) -> None:
    """Whatever is sent by a connection of this class is counted when it is sent."""
    send = connections.send_packed_command

    def counting(self: object, *arguments: object, **keywords: object) -> object:
        counted()
        return send(self, *arguments, **keywords)

    connections.send_packed_command = counting


def run_with_a_thread(settings: Settings, host: Host) -> None:
    woken = threading.Event()
    client = redis.Redis(port=settings.port, socket_timeout=PATIENCE_S, retry=Retry(NoBackoff(), 0))
    with (
        client,
        Leases(client, lambda *_: BUDGET, replica=settings.name, valid_for_ns=VALID_FOR, on_grant=woken.set) as leases,
    ):
        while (pause := host.turn(leases)) is not None:
            woken.wait(pause)
            woken.clear()


async def run_with_a_task(settings: Settings, host: Host) -> None:
    client = redis.asyncio.Redis(
        port=settings.port, socket_timeout=PATIENCE_S, retry=redis.asyncio.retry.Retry(NoBackoff(), 0)
    )
    async with (
        client,
        AsyncLeases(client, lambda *_: BUDGET, replica=settings.name, valid_for_ns=VALID_FOR) as leases,
    ):
        while (pause := host.turn(leases)) is not None:
            try:
                await asyncio.wait_for(leases.wait(), pause)
            except TimeoutError:
                continue


def main() -> None:
    """Runs until it is killed or told to terminate."""
    settings = Settings.loads(sys.argv[1])
    host = Host(settings, os.open(settings.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND))

    def close(*_: object) -> None:
        host.closing = True

    signal.signal(signal.SIGTERM, close)
    count_calls(redis.connection.AbstractConnection, host.count_a_call)
    count_calls(redis.asyncio.connection.AbstractConnection, host.count_a_call)
    host.tell("ready", time.monotonic_ns())
    sys.stdin.read()
    if settings.adapter == "Leases":
        run_with_a_thread(settings, host)
    else:
        asyncio.run(run_with_a_task(settings, host))
    host.tell_the_end()


if __name__ == "__main__":
    main()
