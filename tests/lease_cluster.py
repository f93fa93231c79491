"""Replicas as processes, the server that they share, and what their logs tell when they are gone."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import redis
from lease_replica import BUDGET, FALLBACK_AFTER, RATE, Settings
from redis_server import RedisServer
from waiting import SECONDS, until

REPLICAS = 4
KEY = f"tidegate:{{{BUDGET.name}}}"


@dataclass(frozen=True)
class Event:
    """A line of a log."""

    what: str
    at: int
    numbers: tuple[int, ...]

    @property
    def taken(self) -> int:
        """Tokens taken or charged by it; below zero, what came back."""
        match self.what, self.numbers:
            case (("start" | "charge"), (tokens,)):
                return tokens
            case "end", (held, used):
                return used - held
        return 0

    @property
    def charged(self) -> int:
        """What was used beyond what had been held."""
        return max(0, self.taken) if self.what != "start" else 0


@dataclass
class Log:
    """What one replica told in one life."""

    events: list[Event]

    @classmethod
    def read(cls, path: Path) -> "Log":
        lines = path.read_text().splitlines(keepends=True)
        # A process that is killed may leave its last line unfinished.
        whole = [json.loads(line) for line in lines if line.endswith("\n")]
        return cls([Event(what, at, tuple(numbers)) for what, at, *numbers in whole])

    def of(self, what: str) -> list[Event]:
        return [event for event in self.events if event.what == what]

    def answered(self) -> Iterator[tuple[Event, Event]]:
        """Each wish, when it was first said, and its answer when it was first heard, or the end."""
        waits: Event | None = None
        for event in self.events:
            if event.what == "ask" and waits is None:
                waits = event
            elif event.what == "grant" and waits is not None and event.numbers[0] == waits.numbers[0]:
                yield waits, event
                waits = None
        if waits is not None:
            yield waits, self.events[-1]

    @cached_property
    def charges(self) -> list[tuple[Event, int | None]]:
        """What outran its estimate, and when it was heard that the store knows of it, if it was."""
        pairs = list(self.answered())
        found: list[tuple[Event, int | None]] = []
        for event in self.events:
            if event.charged:
                while pairs and pairs[0][0].at < event.at:
                    pairs.pop(0)
                is_told = bool(pairs) and pairs[0][1].what == "grant"
                found.append((event, pairs[0][1].at if is_told else None))
        return found

    @cached_property
    def silences(self) -> list[tuple[int, int]]:
        """When a wish had waited as long as it must, until it was answered."""
        spans = [(asked.at + FALLBACK_AFTER, heard.at) for asked, heard in self.answered()]
        return [(begin, end) for begin, end in spans if begin < end]

    def share_by(self, at: int) -> int:
        """A replica's part of what came while the store was silent."""
        silent = sum(max(0, min(at, end) - begin) for begin, end in self.silences)
        return silent * RATE.amount // RATE.period_ns // REPLICAS

    def levels(self) -> Iterator[tuple[Event, int]]:
        """What was granted and is not taken after each event, counted along by the protocol."""
        pairs = list(self.answered())
        returned = {id(asked): asked.numbers[2] for asked, _ in pairs}
        granted = {id(heard): heard.numbers[1] for _, heard in pairs if heard.what == "grant"}
        level = 0
        for event in self.events:
            level += granted.get(id(event), 0) - returned.get(id(event), 0) - event.taken
            yield event, level


@dataclass
class Outcome:
    """What became of a cluster."""

    logs: list[Log]
    fallback: str
    began_at: int
    """When the budget was empty."""
    came: int
    """Tokens that came to the budget from then until the store last counted."""
    left: int
    """Those that are there then."""
    calls: int
    """Scripts that the store ran."""
    marks: dict[str, int]
    """Moments that the scenario names."""

    @cached_property
    def events(self) -> list[Event]:
        """Those of all replicas, in the order of time."""
        return sorted((event for log in self.logs for event in log.events), key=lambda event: event.at)

    def budget(self, at: int) -> int:
        """What came until then."""
        return max(0, at - self.began_at) * RATE.amount // RATE.period_ns

    def lent_by(self, at: int) -> int:
        """The most that all of them together may have lent themselves until then."""
        return sum(log.share_by(at) for log in self.logs) if self.fallback == "local-share" else 0

    def used(self, begin: int, end: int) -> int:
        """What was taken and charged, less what came back, between two moments."""
        return sum(event.taken for event in self.events if begin <= event.at < end)

    def utilisation(self, begin: int, end: int) -> float:
        return self.used(begin, end) / (self.budget(end) - self.budget(begin))

    def turns(self, begin: int, end: int) -> list[list[float]]:
        """How many ms it took to take newcomers in, and to fetch and follow actions; and how many of a CPU.

        The fastest first, each for itself.
        """
        turns = [event.numbers for log in self.logs for event in log.of("turn") if begin <= event.at < end]
        return [sorted(ns / 1e6 for ns in each) for each in zip(*turns, strict=True)]


@dataclass
class Cluster:
    """A server, and replicas of it, half of them with the asyncio adapter."""

    folder: Path
    fallback: str = "deny"
    shuffles: bool = False
    server: RedisServer = field(default_factory=RedisServer)
    marks: dict[str, int] = field(default_factory=dict)
    _paths: list[Path] = field(default_factory=list)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """From an empty budget, and replicas that are warm, until each of them has ended."""
        with self.server, self.server.client() as client:
            try:
                self._processes = [self._start(number) for number in range(REPLICAS)]
                self._wait_for("ready")
                self._empty_the_budget(client)
                for process in self._processes:
                    self._let_begin(process)
                self._wait_for("start")
                yield
                for process in self._processes:
                    process.terminate()
                assert [process.wait(SECONDS) for process in self._processes] == [0] * REPLICAS
            finally:
                for process in self._processes:
                    process.kill()
            budget = {name.decode(): int(value) for name, value in client.hgetall(KEY).items()}
            self._level, self._counted_at = budget["level"], budget["at"]
            self._calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]

    def _empty_the_budget(self, client: redis.Redis) -> None:
        self._began_at = time.monotonic_ns()
        seconds, microseconds = client.time()
        self._empty_at = seconds * 1_000_000 + microseconds
        client.hset(KEY, mapping={"level": 0, "rem": 0, "at": self._empty_at, "period": RATE.period_ns})

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        life = len(self._paths)
        path = self.folder / f"{number}-{life}.log"
        path.touch()
        self._paths.append(path)
        adapter = ["Leases", "AsyncLeases"][number % 2]
        settings = Settings(
            self.server.port, str(path), str(number), life, REPLICAS, adapter, self.fallback, self.shuffles
        )
        command = [sys.executable, Path(__file__).parent / "lease_replica.py", settings.dumps()]
        return subprocess.Popen(command, stdin=subprocess.PIPE)

    def _let_begin(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None, "it is a pipe"
        process.stdin.close()

    def _wait_for(self, what: str) -> None:
        # All clusters start their replicas at the same time.
        until(lambda: all(Log.read(path).of(what) for path in self._paths), 3 * SECONDS)

    def wait(self, seconds: float, mark: str) -> None:
        """Lets it run for a while, and names the moment."""
        time.sleep(seconds)
        self.marks[mark] = time.monotonic_ns()

    def kill(self, number: int) -> None:
        """Ends a replica as a crash would, and starts another in its place."""
        self._processes[number].kill()
        self._processes[number].wait(SECONDS)
        self._processes[number] = self._start(number)
        self._let_begin(self._processes[number])

    def outcome(self) -> Outcome:
        came = (self._counted_at - self._empty_at) * 1_000 * RATE.amount // RATE.period_ns
        logs = [Log.read(path) for path in self._paths]
        return Outcome(logs, self.fallback, self._began_at, came, self._level, self._calls, self.marks)
