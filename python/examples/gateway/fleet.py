"""All engines: which are up, as workers of the gate, and the checks that find out.

An engine that answers becomes a worker; one that fails its checks `health_failures` times in a row is lost, and what
ran on it runs elsewhere; one that answers again is a new worker. A request that failed at an engine has it checked.
Where engines say how many requests they have, a worker has what others leave of `max_slots`, at least its `slots`.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from gateway.config import EngineSettings, GatewaySettings
from gateway.engine import Engine
from tidegate.aio import Gate

UNKNOWN = 1 << 40
"""So many requests of others that nothing is borrowed."""
LOOKS = 5
"""So many checks in a row say that others leave room before it is taken: one may find them between two requests."""
UNSEEN = (UNKNOWN,) * LOOKS
GROW_BY = 4
"""A worker grows by one part in so many of what others leave: others see the same room. Chosen arbitrarily."""

log = logging.getLogger("gateway.fleet")


@dataclass(eq=False)
class Member:
    """An engine and what is known of it."""

    engine: Engine
    worker: int | None = None
    former: int | None = None
    """The worker that it was before it was lost."""
    failures: int = 0
    """Checks in a row that failed."""
    foreign: tuple[int, ...] = UNSEEN
    """Requests of others that it had in the last checks that told, the latest first."""
    untold: int = 0
    """Checks in a row that did not tell."""
    slots: int = 0
    """What the worker has."""
    suspected: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Fleet:
    """Engines by address, and by worker."""

    def __init__(self, gate: Gate, session: aiohttp.ClientSession) -> None:
        self._gate = gate
        self._session = session
        self._members: dict[str, Member] = {}
        self._by_worker: dict[int, Member] = {}
        self._settings = GatewaySettings()

    def configure(self, engines: tuple[EngineSettings, ...], settings: GatewaySettings) -> None:
        """Makes these the engines; one that is no longer named finishes what it has."""
        self._settings = settings
        named = {engine.url: engine for engine in engines}
        for url in self._members.keys() - named.keys():
            self._retire(self._members.pop(url))
        for url, engine in named.items():
            member = self._members.get(url)
            if member is not None and member.engine.settings.pool != engine.pool:
                self._retire(self._members.pop(url))
                member = None
            if member is None:
                member = self._members[url] = Member(Engine(engine, settings, self._session))
                member.task = asyncio.create_task(self._watch(member), name=f"health of {url}")
            member.engine.configure(engine, settings)
            self._resize(member, 1)

    def engine(self, worker: int) -> Engine:
        """The engine that is this worker, now or before it was lost."""
        return self._by_worker[worker].engine

    def suspect(self, engine: Engine) -> None:
        """A request failed there: it is checked now."""
        if member := self._members.get(engine.settings.url):
            member.suspected.set()

    def states(self) -> Mapping[str, bool]:
        """Whether each engine is up, by its address: one that answers and is kept out is not."""
        out = self.out_for()
        return {url: member.worker is not None and url not in out for url, member in self._members.items()}

    def out_for(self) -> Mapping[str, float]:
        """For how many seconds yet those engines are kept out that answer, and were lost again and again."""
        now, found = time.monotonic_ns(), {}
        for url, member in self._members.items():
            until = None if member.worker is None else self._gate.scheduler.kept_out_until(member.worker)
            if until is not None and until > now:
                found[url] = (until - now) / 1e9
        return found

    def slots(self) -> Mapping[str, int]:
        """What each engine that is up has for this gateway, by its address."""
        return {url: self._members[url].slots for url, is_up in self.states().items() if is_up}

    async def aclose(self) -> None:
        """Ends the checks."""
        tasks = [member.task for member in self._members.values() if member.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _retire(self, member: Member) -> None:
        if member.task is not None:
            member.task.cancel()
        if member.worker is not None:
            self._gate.worker_drain(member.worker)

    async def _watch(self, member: Member) -> None:
        while True:
            try:
                if await member.engine.is_healthy():
                    await self._look_at_load(member)
                    self._is_up(member)
                else:
                    self._failed(member)
            except Exception:  # whatever it was, an engine that is not looked at any more is worse
                log.exception("a check of %s went wrong", member.engine.settings.url)
            try:
                async with asyncio.timeout(self._settings.health_every):
                    await member.suspected.wait()
            except TimeoutError:
                continue
            finally:
                member.suspected.clear()

    def _is_up(self, member: Member) -> None:
        member.failures = 0
        if member.worker is None:
            settings = member.engine.settings
            member.slots = settings.slots
            member.worker = self._gate.worker_add({"slots": member.slots}, pool=settings.pool, replaces=member.former)
            member.former = None
            self._by_worker[member.worker] = member
            if out_for := self.out_for().get(settings.url):
                log.warning("%s is kept out for %.1f s, worker %d", settings.url, out_for, member.worker)
            else:
                log.info("%s is up, worker %d", settings.url, member.worker)
        self._resize(member, GROW_BY)

    async def _look_at_load(self, member: Member) -> None:
        if member.engine.settings.load:
            before = member.engine.inside
            told = await member.engine.load()
            # What came or went meanwhile may be counted or not, and what was stopped for a step longer: the next look
            # will show whether it is others'.
            ours = max(before, member.engine.inside)
            if told is not None:
                member.untold = 0
                member.foreign = (max(0, told - ours), *member.foreign[:-1])
                return
            member.untold += 1
            if member.untold >= LOOKS:  # what is so old says nothing of now
                member.foreign = UNSEEN

    def _resize(self, member: Member, parts: int) -> None:
        """Its own part at least; more once all looks say that others leave it, less once two say that they do not."""
        settings = member.engine.settings
        bounds = (max(member.foreign), min(member.foreign[:2]))
        low, high = (max(settings.slots, settings.max_slots - foreign) for foreign in bounds)
        slots = min(member.slots, high)
        if slots < low:
            slots = max(settings.slots, slots + -((slots - low) // parts))
        if member.worker is not None and slots != member.slots:
            member.slots = slots
            self._gate.worker_resize(member.worker, {"slots": slots}, preempt_after_ns=0)

    def _failed(self, member: Member) -> None:
        member.failures += 1
        member.foreign = UNSEEN
        if member.worker is None or member.failures < self._settings.health_failures:
            return
        log.warning("%s is lost, worker %d", member.engine.settings.url, member.worker)
        member.former, member.worker = member.worker, None
        self._gate.worker_lost(member.former)
