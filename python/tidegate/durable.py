"""A scheduler that outlives its process: every input is in a file before it is told, and a snapshot bounds how many.

    durable = Durable(folder, config)
    request = durable.submit(tenant="acme", tier="batch", demand={"slots": 1}, note={"prompt": "..."})
    for action in durable.poll(): ...
    durable.tell("complete", request, attempt, output_tokens=201)  # and only then answer the client

Opened again after a crash, it is where it was after the last input that came to the file: what waits waits, what is
done is done, quotas and debts are as they were. Only engines are not asked: whoever restarts them says
`lose_workers`, and what ran comes back, each with its next attempt. `docs/RECOVERY.md` has the whole recipe.

What is interrupted between the file and the scheduler closes it: which of the two knows more is decided by the next
opening, from the file alone.

One process at a time uses a folder; who is second is refused, and a forked child has none. No thread shares one.
"""

import fcntl
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast
from weakref import WeakSet

from tidegate import Action
from tidegate._errors import Error
from tidegate._tidegate import Config, Drop, Scheduler

__all__ = ["Durable", "replace_file"]

VERBS = frozenset(
    {
        *("tenant_set", "tenant_configure", "tenant_remove", "lease_granted"),
        *("device_add", "device_resize", "device_lost"),
        *("worker_add", "worker_resize", "worker_usage", "worker_drain", "worker_lost"),
        *("cache_stored", "cache_evicted"),
        *("submit", "prefix_set", "amend", "cancel", "poll"),
        *("started", "declined", "progress", "step", "preempted", "released", "complete", "failed"),
    }
)
"""What changes a scheduler, but for a new config: that comes with the next opening."""

MAGIC = b"tidegate-durable 2\n"
ENDS = frozenset(("complete", "failed", "cancel"))
REFUSALS = (Error, TypeError, ValueError, OverflowError)
"""What verbs raise that changed nothing: told again, they raise the same."""


def replace_file(path: Path, data: bytes) -> None:
    """Puts a file with this content at a path, whole or not at all, whatever happens meanwhile: to the machine, too."""
    beside = path.with_name(path.name + ".partial")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Names of files last, too."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class Durable:
    """A scheduler in a folder. With `fsync` off it outlives the process, but not the machine.

    Another config than the one that the folder has is told by `reconfigure`, after all that was told under that one.

    Raises `RuntimeError` if another process has the folder, `ConfigError` for a config that `reconfigure` refuses, and
    `SnapshotError` or `ValueError` for files that are damaged in another place than the end, where a crash leaves a
    torn line.
    """

    def __init__(self, folder: Path | str, config: Config, *, fsync: bool = True) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._fsync = fsync
        self._log: FileIO | None = None
        self._lock = self._hold()
        _OPEN.add(self)
        try:
            self._open(config)
        except BaseException:
            self.close()
            raise

    def _open(self, config: Config) -> None:
        self.notes: dict[int, Any] = {}
        """What was noted of live requests when they were submitted."""
        numbers = sorted(int(path.suffix[1:]) for path in self._folder.glob("state.*") if path.suffix[1:].isdigit())
        self.was_there = bool(numbers)
        """Whether something was restored."""
        self._number = numbers[-1] if numbers else 0
        if self.was_there:
            self.scheduler = self._restore(self._path("state").read_bytes())
        else:
            self.scheduler = Scheduler(config, now_ns=0)
        self._replay()
        if self.scheduler.config != config:
            self.scheduler.reconfigure(config, now_ns=self.scheduler.now_ns)
        self._began = time.monotonic_ns() - self.scheduler.now_ns
        self._save()

    def _hold(self) -> IO[bytes]:
        """Only one process at a time; the lock goes with it, however it ends."""
        lock = (self._folder / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise RuntimeError(f"{self._folder}: another process has it") from None
        return lock

    def _path(self, kind: str) -> Path:
        return self._folder / f"{kind}.{self._number}"

    def _restore(self, data: bytes) -> Scheduler:
        """The scheduler of a snapshot, under the config that it had: what came after it was told under that one."""
        if not data.startswith(MAGIC):
            raise ValueError(f"{self._path('state')}: this is no state of a scheduler")
        head, _, snapshot = data[len(MAGIC) :].partition(b"\n")
        toml, notes = json.loads(head)
        self.notes = {int(request): note for request, note in notes.items()}
        return Scheduler.restore(Config.from_toml(toml), snapshot)

    def _replay(self) -> None:
        """Tells again what came after the snapshot."""
        path = self._path("inputs")
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        # The last is empty, or was torn: who was told nothing of it was not answered either.
        for number, line in enumerate(lines[:-1], 1):
            try:
                verb, arguments, keywords, note = json.loads(line)
            except ValueError:
                raise ValueError(f"{path}:{number}: this is no input") from None
            with suppress(*REFUSALS):
                self._apply(verb, _tuples(arguments), {name: _tuples(value) for name, value in keywords.items()}, note)

    def now_ns(self) -> int:
        """The time for the scheduler: it goes on where it stood when the process ended."""
        return time.monotonic_ns() - self._began

    def submit(self, *, note: object = None, **request: Any) -> int:
        """Submits a request, with what the host needs to run it again: JSON. It is in `notes` as long as it lives."""
        told: int = self._tell("submit", (), request, note)
        return told

    def poll(self) -> list[Action]:
        """The actions of a round."""
        told: list[Action] = self.tell("poll")
        return told

    def tell(self, verb: str, *arguments: Any, **keywords: Any) -> Any:
        """Calls this method of the scheduler once its arguments, which JSON takes, are in the file.

        Without `now_ns` it is called now. An error of the file, or an interrupt, closes this; the input is out of the
        file again, unless that fails, too.
        """
        return self._tell(verb, arguments, keywords, None)

    def _tell(self, verb: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any], note: object) -> Any:
        if verb not in VERBS:
            raise ValueError(f"{verb!r} is no input of a scheduler")
        log = self._log
        if log is None:
            raise ValueError("it is closed")
        keywords = {"now_ns": self.now_ns(), **keywords}
        line = json.dumps([verb, arguments, keywords, note], separators=(",", ":"))
        before, in_file = log.tell(), False
        try:
            self._write(log, line.encode() + b"\n")
            in_file = True
            return self._apply(verb, arguments, keywords, note)
        except BaseException as error:
            if not (in_file and isinstance(error, REFUSALS)):
                self._take_back(log, before)
            raise

    def _write(self, log: FileIO, line: bytes) -> None:
        left = memoryview(line)
        while left:
            left = left[log.write(left) :]
        if self._fsync:
            os.fsync(log.fileno())

    def _take_back(self, log: FileIO, length: int) -> None:
        """Ends the file where it ended before, and closes: of an input that nobody was answered for nothing is left."""
        try:
            with suppress(OSError, ValueError):
                log.truncate(length)
                if self._fsync:
                    os.fsync(log.fileno())
        finally:
            self.close()

    def _apply(self, verb: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any], note: object) -> Any:
        told = getattr(self.scheduler, verb)(*arguments, **keywords)
        if verb == "submit" and note is not None:
            self.notes[told] = note
        elif verb in ENDS:
            self.notes.pop(keywords.get("request", arguments[0] if arguments else None), None)
        elif verb == "poll":
            for action in told:
                if isinstance(action, Drop):
                    self.notes.pop(action.request, None)
        return told

    def lose_workers(self, workers: int) -> None:
        """After a restart: the first so many workers are gone with all that they ran, which comes back or fails."""
        for worker in range(workers):
            with suppress(Error):
                self.tell("worker_lost", worker)

    def save(self) -> None:
        """Writes a snapshot and begins the file of inputs anew: so a restart is quick. Costs a copy of the state.

        An error closes this: what was told is in the folder, before or after the snapshot.
        """
        if self._log is None:
            raise ValueError("it is closed")
        try:
            self._save()
        except BaseException:
            # The open file may be of a life that the folder has no more.
            self.close()
            raise

    def _save(self) -> None:
        head = json.dumps([self.scheduler.config.to_toml(), self.notes], separators=(",", ":")).encode()
        self._number += 1
        # An input file of a life that ended here once would be told twice.
        self._path("inputs").unlink(missing_ok=True)
        replace_file(self._path("state"), MAGIC + head + b"\n" + self.scheduler.snapshot())
        if self._log is not None:
            self._log.close()
        # No buffer: what was not written when it was told is not written later.
        self._log = self._path("inputs").open("ab", buffering=0)
        if self._fsync:
            _sync_folder(self._folder)
        for path in self._folder.iterdir():
            kind, _, number = path.name.partition(".")
            if kind in ("state", "inputs") and number != str(self._number):
                path.unlink()

    def close(self) -> None:
        """Lets go of the folder. What was told is in it, whether this is called or not."""
        log, self._log = self._log, None
        if log is not None:
            log.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _tuples(value: Any) -> Any:
    """JSON has lists where the verbs take tuples."""
    return tuple(map(_tuples, cast(list[Any], value))) if isinstance(value, list) else value


_OPEN: WeakSet[Durable] = WeakSet()


def _leave_to_the_parent() -> None:
    """In a forked child: a folder is its parent's, and free when that ends, however long the child lives."""
    for durable in list(_OPEN):
        durable.close()


os.register_at_fork(after_in_child=_leave_to_the_parent)
