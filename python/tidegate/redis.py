"""Asks a Redis server for the tokens of budgets that several replicas share, off the path of requests.

A scheduler with a leased limit wishes for tokens; hand each wish to `ask`, and each answer back. Neither waits:

    for action in scheduler.poll(now_ns=now):
        if isinstance(action, LeaseWanted):
            leases.ask(action)
    for grant in leases.grants():
        scheduler.lease_granted(*grant, now_ns=now)

What fails is reported to nobody: the core asks again, with the same number, and falls back if that does not help. The
protocol, what holds when something dies, and a whole host are in `docs/LEASES.md`.

`Leases` has a thread of its own, `AsyncLeases` a task. Both need redis-py: `pip install tidegate[redis]`.
"""

import asyncio
import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple, Self

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from tidegate._enums import QuotaLimit
from tidegate._records import Rate
from tidegate._tidegate import LeaseWanted

__all__ = ["AsyncLeases", "Budget", "Grant", "Leases"]

MAX_TOKENS = 1 << 40
MAX_PERIOD_NS = 1 << 52
MAX_VALID_FOR_NS = 30 * 60 * 1_000_000_000
"""Half of what the store remembers of a replica, so that what lay idle comes back in time."""

MAX_BATCH = 1_000
"""Wishes that go to the store at once, chosen arbitrarily."""


class Grant(NamedTuple):
    """The store's answer to a wish: the arguments of `Scheduler.lease_granted`."""

    tenant: int
    limit: QuotaLimit
    seq: int
    tokens: int
    valid_for_ns: int


@dataclass(frozen=True, slots=True)
class Budget:
    """A rate that replicas share, by the name that it has in the store; the same in all of them."""

    name: str
    """Of any characters but braces."""
    rate: Rate
    """That of the tenant's policy."""

    def __post_init__(self) -> None:
        if not self.name or "{" in self.name or "}" in self.name:
            raise ValueError(f"the name of a budget is {self.name!r}: empty, or has a brace")
        for field, least, most in [
            ("amount", 0, MAX_TOKENS),
            ("period_ns", 1, MAX_PERIOD_NS),
            ("burst", 0, MAX_TOKENS),
        ]:
            if not least <= getattr(self.rate, field) <= most:
                raise ValueError(f"{field} of {self.name!r} is {getattr(self.rate, field)}, not from {least} to {most}")


class _Desk:
    """What the two kinds have in common: which wishes wait, how they are said, and what came of them."""

    def __init__(
        self,
        budget_of: Callable[[int, QuotaLimit], Budget],
        *,
        replica: str,
        prefix: str = "tidegate",
        valid_for_ns: int = 10_000_000_000,
    ) -> None:
        if not 0 < valid_for_ns <= MAX_VALID_FOR_NS:
            raise ValueError(f"valid_for_ns is {valid_for_ns}, not from 1 to {MAX_VALID_FOR_NS}")
        self.failures = 0
        """Wishes that got no answer."""
        self.last_error: Exception | None = None
        """Why the last of them got none."""
        self.calls = 0
        """Times that the store was called, each with up to `MAX_BATCH` wishes."""
        self._budget_of = budget_of
        self._prefix = prefix
        self._incarnation = f"{replica}:{secrets.token_hex(8)}"
        self._valid_for_ns = valid_for_ns
        self._script = resources.files("tidegate").joinpath("lease.lua").read_text()
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._waiting: dict[tuple[int, QuotaLimit], tuple[LeaseWanted, Budget]] = {}
        self._granted: list[Grant] = []

    def _put(self, wish: LeaseWanted) -> None:
        # A limit has one wish at a time: what is said again replaces what still waits here.
        self._waiting[wish.tenant, wish.limit] = (wish, self._budget_of(wish.tenant, wish.limit))

    def _take(self) -> list[tuple[LeaseWanted, Budget]]:
        keys = list(islice(self._waiting, MAX_BATCH))
        return [self._waiting.pop(key) for key in keys]

    def _command(self, wish: LeaseWanted, budget: Budget) -> tuple[str | int, ...]:
        key = f"{self._prefix}:{{{budget.name}}}"
        keys = (key, f"{key}:{self._incarnation}")
        return (self._sha, 2, *keys, *budget.rate, wish.seq, wish.tokens, wish.returned)

    def _say(self, pipeline: Any, batch: Sequence[tuple[LeaseWanted, Budget]]) -> None:
        self.calls += 1
        for wish, budget in batch:
            pipeline.evalsha(*self._command(wish, budget))

    def _hear(self, batch: Sequence[tuple[LeaseWanted, Budget]], answers: Sequence[Any]) -> None:
        for (wish, _), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                self._fail(answer, 1)
            elif answer is not None:
                grant = Grant(wish.tenant, wish.limit, wish.seq, int(answer), self._valid_for_ns)
                self._granted.append(grant)

    def _fail(self, error: Exception, wishes: int) -> None:
        self.failures += wishes
        self.last_error = error


def _require_timeout(client: redis.Redis | redis.asyncio.Redis) -> None:
    if client.connection_pool.connection_kwargs.get("socket_timeout") is None:
        raise ValueError("the client has no socket_timeout: it would wait for ever for a store that is gone")


def _script_is_unknown(answers: Sequence[object]) -> bool:
    """Whether the server has to be told the script: it forgets it when it restarts."""
    return any(isinstance(answer, NoScriptError) for answer in answers)


class Leases(_Desk):
    """Asks by a thread of its own, through a blocking client.

    The client's `socket_timeout` is how long a store that stopped holds up the wishes after it. One `Leases` belongs
    to one scheduler and is made together with it. Close it, or use it as a context manager.

    `client` is redis-py's, `budget_of` tells the `Budget` of a tenant's limit. `replica` names this replica, and the
    keys in the store begin with `prefix`. What is granted and not used goes back after `valid_for_ns` nanoseconds.
    `on_grant` is called in the thread when there is something to fetch, to wake the host up.
    """

    def __init__(
        self,
        client: redis.Redis,
        budget_of: Callable[[int, QuotaLimit], Budget],
        *,
        replica: str,
        prefix: str = "tidegate",
        valid_for_ns: int = 10_000_000_000,
        on_grant: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(budget_of, replica=replica, prefix=prefix, valid_for_ns=valid_for_ns)
        _require_timeout(client)
        self._client = client
        self._on_grant = on_grant
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="tidegate-leases", daemon=True)
        self._thread.start()

    def ask(self, wish: LeaseWanted) -> None:
        """Takes a wish to the store, some time soon. Never waits."""
        with self._changed:
            self._put(wish)
            self._changed.notify()

    def grants(self) -> list[Grant]:
        """What was granted since the last call. Never waits."""
        with self._changed:
            granted, self._granted = self._granted, []
            return granted

    def close(self) -> None:
        """Ends the thread; a call that is under way is waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                batch = self._take()
            try:
                answers = self._call(batch)
            except (redis.RedisError, OSError) as error:
                self._fail(error, len(batch))
                continue
            with self._changed:
                self._hear(batch, answers)
            if self._on_grant is not None:
                self._on_grant()

    def _call(self, batch: Sequence[tuple[LeaseWanted, Budget]]) -> list[Any]:
        answers = self._call_once(batch)
        if _script_is_unknown(answers):
            self._client.script_load(self._script)
            # Those that were answered get the same answer again.
            answers = self._call_once(batch)
        return answers

    def _call_once(self, batch: Sequence[tuple[LeaseWanted, Budget]]) -> list[Any]:
        # One parameter that redis-py does not tell the type of makes the method unknown.
        made = self._client.pipeline(transaction=False)  # pyright: ignore[reportUnknownMemberType]
        with made as pipeline:
            self._say(pipeline, batch)
            return pipeline.execute(raise_on_error=False)


class AsyncLeases(_Desk):
    """Asks by a task of the running loop, through an asyncio client: `async with AsyncLeases(...) as leases`.

    The client's `socket_timeout` is how long a store that stopped holds up the wishes after it. One `AsyncLeases`
    belongs to one scheduler and is made together with it.

    `client` is redis-py's, `budget_of` tells the `Budget` of a tenant's limit. `replica` names this replica, and the
    keys in the store begin with `prefix`. What is granted and not used goes back after `valid_for_ns` nanoseconds.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        budget_of: Callable[[int, QuotaLimit], Budget],
        *,
        replica: str,
        prefix: str = "tidegate",
        valid_for_ns: int = 10_000_000_000,
    ) -> None:
        super().__init__(budget_of, replica=replica, prefix=prefix, valid_for_ns=valid_for_ns)
        _require_timeout(client)
        self._client = client
        self._asked = asyncio.Event()
        self._answered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def ask(self, wish: LeaseWanted) -> None:
        """Takes a wish to the store, some time soon. Never waits."""
        self._put(wish)
        self._asked.set()

    def grants(self) -> list[Grant]:
        """What was granted since the last call. Never waits."""
        self._answered.clear()
        granted, self._granted = self._granted, []
        return granted

    async def wait(self) -> None:
        """Until there is something that `grants` returns."""
        await self._answered.wait()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="tidegate-leases")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None, "it was entered"
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._asked.wait()
            while batch := self._take():
                try:
                    answers = await self._call(batch)
                except (redis.RedisError, OSError) as error:
                    self._fail(error, len(batch))
                    continue
                self._hear(batch, answers)
                if self._granted:
                    self._answered.set()
            self._asked.clear()

    async def _call(self, batch: Sequence[tuple[LeaseWanted, Budget]]) -> list[Any]:
        answers = await self._call_once(batch)
        if _script_is_unknown(answers):
            await self._client.script_load(self._script)
            # Those that were answered get the same answer again.
            answers = await self._call_once(batch)
        return answers

    async def _call_once(self, batch: Sequence[tuple[LeaseWanted, Budget]]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipeline:
            self._say(pipeline, batch)
            return await pipeline.execute(raise_on_error=False)
