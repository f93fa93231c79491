"""Replays a journal through the public verbs, one by one, and hashes the actions that Python received.

`python -m tidegate.journal FILE` prints `digest HEX actions N inputs M`, as the replayer of every language
does for the same journal. `docs/JOURNAL.md` is the format. Reader and digest are written in Python, so that
they prove the binding and not the core's own code.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import NoReturn, cast

from tidegate import (
    Config,
    ConfigError,
    Decline,
    Error,
    OverQuotaAction,
    QuotaLimit,
    ReportError,
    Scheduler,
    SubmitError,
    TenantError,
    TenantUsage,
    WorkerError,
    WorkerKind,
    Yielding,
)
from tidegate._digest import Digest, action_bytes

__all__ = ["JournalError", "Replay", "replay"]

VERSION = "tidegate-journal 1"


class JournalError(Error, ValueError):
    """A text that is no journal: the first line that is not as the format says."""

    line: int
    """Counted from 1."""


class Fault(Exception):
    """What is wrong with a line; the reader adds its number."""


Words = Iterator[str]
Read = Callable[[Words, str], object]


def word(words: Words, name: str) -> str:
    """Takes the next word, which is the field `name`."""
    found = next(words, None)
    if found is None:
        raise Fault(f"{name} is missing")
    return found


def number(high: int, low: int = 0) -> Callable[[Words, str], int]:
    """Makes the reader of a number as journals write it: digits only, and no zero in front."""

    def read(words: Words, name: str) -> int:
        found = word(words, name)
        # Longer than any 64-bit number: `int` refuses thousands of digits with an error of its own.
        if len(found) <= 20 and found.isdecimal() and found.isascii() and (found[0] != "0" or found == "0"):
            value = int(found)
            if low <= value <= high:
                return value
        raise Fault(f"{name}: {found[:40]!r} is not a whole number from {low} to {high}")

    return read


u8, u32, u64 = (number(2**bits - 1) for bits in (8, 32, 64))
poll_calls = number(2**32 - 1, low=1)


def choice(*values: object, first: int = 0) -> Read:
    """Makes the reader of a value that stands as its place in the list."""
    place = number(first + len(values) - 1, low=first)
    return lambda words, name: values[place(words, name) - first]


def optional(read: Read) -> Read:
    """Makes the reader of what may be absent, which is `-` then."""

    def maybe(words: Words, name: str) -> object:
        found = word(words, name)
        return None if found == "-" else read(chain([found], words), name)

    return maybe


def many(*fields: Read) -> Read:
    """Makes the reader of a list: how many items, and then the fields of each."""

    def read(words: Words, name: str) -> list[tuple[object, ...]]:
        return [tuple(field(words, name) for field in fields) for _ in range(u64(words, name))]

    return read


def pools(words: Words, name: str) -> list[int]:
    """Reads the pools that stand at the end of a line: those that there are."""
    return [u32(iter([found]), name) for found in islice(words, 3)]


def numbers(words: Words, name: str) -> list[int]:
    """Reads a list of numbers: how many, and then each."""
    return [u64(words, name) for _ in range(u64(words, name))]


def vector(words: Words, name: str) -> list[int]:
    """Reads the amounts of all four dimensions."""
    return [u64(words, name), u64(words, name), u64(words, name), u64(words, name)]


def rate(words: Words, name: str) -> tuple[int, int, int]:
    """Reads what comes in a period, the period, and the burst."""
    return u64(words, name), u64(words, name), u64(words, name)


ESCAPE = re.compile(r"\\x(0[0-9a-f]|1[0-9a-f]|5c|7f)")
NAME = re.compile(rf"(?:[^\\\x00-\x1f\x7f]|{ESCAPE.pattern})*")


def text(words: Words, name: str) -> str:
    """Reads a name, which goes to the end of the line."""
    written = " ".join([word(words, name), *words])
    if not NAME.fullmatch(written):
        raise Fault(f"{name}: {written[:40]!r} has a control character or a backslash that is not \\xHH")
    return ESCAPE.sub(lambda found: chr(int(found[1], 16)), written)


REPORT: Mapping[str, Read] = {"request": u64, "attempt": u32}
SHRINK: Mapping[str, Read] = {"preempt_after_ns": optional(u64)}

VERBS: Mapping[str, Mapping[str, Read]] = {
    "tenant_set": {"name": text},
    "tenant_configure": {
        "tenant": u32,
        "parent": optional(u32),
        "weight": u32,
        "most_urgent": u8,
        "requests": optional(rate),
        "tokens": optional(rate),
        "leased": choice(False, True),
        "max_running": optional(u64),
        "max_in_use": vector,
        "queue_limit": optional(u64),
        "queue_token_limit": optional(u64),
        "over_quota": choice(*OverQuotaAction),
        "allow_when_full": choice(False, True),
    },
    "tenant_remove": {"tenant": u32},
    "lease_granted": {
        "tenant": u32,
        "limit": choice(*QuotaLimit, first=1),
        "seq": u64,
        "tokens": u64,
        "valid_for_ns": u64,
    },
    "device_add": {"limit": vector, "checkpoint_mib": optional(u64)},
    "device_resize": {"device": u32, "limit": vector, **SHRINK},
    "device_lost": {"device": u32},
    "worker_add": {
        "pool": u32,
        "capacity": vector,
        "kind": choice(*WorkerKind),
        "spare": choice(False, True),
        "replaces": optional(u32),
        "devices": many(u32, u32),
    },
    "worker_resize": {"worker": u32, "capacity": vector, **SHRINK},
    "worker_usage": {"worker": u32, "in_use": vector},
    "worker_drain": {"worker": u32},
    "cache_stored": {"worker": u32, "blocks": numbers},
    "cache_evicted": {"worker": u32, "blocks": numbers},
    "prefix_set": {"request": u64, "blocks": numbers},
    "worker_lost": {"worker": u32},
    "submit": {
        "tenant": u32,
        "tier": u8,
        "pool": u32,
        "demand": vector,
        "peak": vector,
        "prompt_tokens": u64,
        "cached_tokens": u64,
        "output_tokens": optional(u64),
        "yielding": choice(*Yielding),
        "deadline_ns": optional(u64),
        "queue_timeout_ns": optional(u64),
        "tag": u64,
        "other_pools": pools,
    },
    "amend": {
        "request": u64,
        "demand": optional(vector),
        "peak": optional(vector),
        "tier": optional(u8),
        "deadline_ns": optional(u64),
    },
    "cancel": {"request": u64},
    "step": {"worker": u32, "tokens_each": u64, "exceptions": many(u64, u32, u64, vector)},
    "started": {**REPORT, "cached_tokens": u64, "in_use": vector},
    "declined": {**REPORT, "why": choice(*Decline)},
    "progress": {**REPORT, "output_tokens": u64, "in_use": vector},
    "preempted": {**REPORT, "tokens_kept": u64, "releasing": choice(False, True)},
    "released": REPORT,
    "complete": {
        **REPORT,
        "prompt_tokens": u64,
        "cached_tokens": u64,
        "output_tokens": u64,
    },
    "failed": REPORT,
}
"""The verbs that stand on one line, and the keywords of each in the order of the journal's fields."""


@dataclass(frozen=True)
class Replay:
    """What came of a replay. It prints as the line that every replayer ends with."""

    digest: str
    actions: int
    inputs: int
    usage: Mapping[int, TenantUsage]
    """What each tenant that is known at the end has used."""

    def __str__(self) -> str:
        return f"digest {self.digest} actions {self.actions} inputs {self.inputs}"


class Replayer:
    """Reads a journal line by line and does at once what the line says."""

    def __init__(self, lines: Iterable[bytes], corrupt: int | None) -> None:
        self.lines = iter(lines)
        self.line = 0
        self.corrupt = corrupt
        self.digest = Digest()
        self.actions = 0
        self.inputs = 0
        self.tenants = set[int]()

    def run(self) -> Replay:
        """Replays to the end of the journal."""
        try:
            return self.replay()
        except Fault as fault:
            raise JournalError(f"line {self.line}: {fault}", line=self.line) from None

    def replay(self) -> Replay:
        """Replays; a fault is of the line that was asked for last."""
        head = self.next_line()
        if head != VERSION:
            raise Fault(f"{head[:40]!r} is not `{VERSION}`")
        started_at_ns = self.keyword(self.next_line(), "start")
        scheduler = Scheduler(self.config(self.keyword(self.next_line(), "config")), now_ns=started_at_ns)
        while not (line := self.next_line()).startswith("end"):
            self.entry(scheduler, iter(line.split(" ")))
        said = self.keyword(line, "end")
        if said != self.inputs:
            raise Fault(f"`end` counts {said} inputs, {self.inputs} stand above it")
        if next(self.lines, None) is not None:
            raise Fault("there is text after the line `end`")
        usage = {tenant: scheduler.usage(tenant) for tenant in sorted(self.tenants)}
        return Replay(str(self.digest), self.actions, self.inputs, usage)

    def next_line(self) -> str:
        """Takes the next line; one without its line feed is torn, however whole it looks."""
        self.line += 1
        line = next(self.lines, b"")
        if not line.endswith(b"\n"):
            raise Fault("the file is torn: it ends before the line `end` does")
        try:
            return line[:-1].decode()
        except UnicodeDecodeError:
            raise Fault("the line is not UTF-8") from None

    def keyword(self, line: str, keyword: str) -> int:
        """Reads a line of the keyword and a number."""
        found, _, rest = line.partition(" ")
        if found != keyword:
            raise Fault(f"a line with `{keyword}` stands here, not {line[:40]!r}")
        return u64(iter([rest]), keyword)

    def config(self, count: int) -> Config:
        """Reads a config of so many lines; its faults are told at the line above."""
        head = self.line
        toml = "".join(self.next_line() + "\n" for _ in range(count))
        try:
            return Config.from_toml(toml)
        except ConfigError as error:
            self.line = head
            raise Fault(f"the config that begins below: {error}") from None

    def entry(self, scheduler: Scheduler, words: Words) -> None:
        """Does what a line says."""
        now_ns = u64(words, "now")
        verb = word(words, "verb")
        if verb == "poll":
            calls = poll_calls(words, "calls")
            self.at_end(words)
            for _ in range(calls):
                self.poll(scheduler, now_ns)
            return
        arguments = self.arguments(verb, words)
        self.inputs += 1
        # What is refused now was refused when the run was recorded, and changes nothing.
        with suppress(SubmitError, ReportError, WorkerError, TenantError, ConfigError):
            made = getattr(scheduler, verb)(**arguments, now_ns=now_ns)
            if verb == "tenant_set":
                self.tenants.add(made)
            elif verb == "tenant_remove":
                self.tenants.discard(cast("int", arguments["tenant"]))

    def arguments(self, verb: str, words: Words) -> dict[str, object]:
        """Reads the fields of a verb to their end."""
        if verb == "reconfigure":
            count = u64(words, "config")
            self.at_end(words)
            return {"config": self.config(count)}
        fields = VERBS.get(verb)
        if fields is None:
            raise Fault(f"{verb[:40]!r} is not a verb")
        arguments = {name: read(words, name) for name, read in fields.items()}
        self.at_end(words)
        if verb == "submit":
            arguments["pool"] = [arguments["pool"], *cast("list[int]", arguments.pop("other_pools"))]
        return arguments

    def at_end(self, words: Words) -> None:
        """Refuses words after the last field."""
        extra = next(words, None)
        if extra is not None:
            raise Fault(f"{extra[:40]!r} stands after the last field")

    def poll(self, scheduler: Scheduler, now_ns: int) -> None:
        """Polls once and hashes what came."""
        action = scheduler.poll_one(now_ns=now_ns)
        if action is None:
            return
        self.actions += 1
        words = action_bytes(now_ns, action)
        if self.actions == self.corrupt:
            flipped = int.from_bytes(words, "little") ^ 1 << self.actions % 512
            words = flipped.to_bytes(64, "little")
        self.digest.update(words)


def replay(lines: Iterable[bytes], *, corrupt: int | None = None) -> Replay:
    """Replays a journal, given as its `lines` with their line feeds, such as an open binary file.

    With `corrupt=N`, one bit of the Nth action is flipped before it is hashed: a comparison of digests that
    does not fail then proves nothing.
    """
    return Replayer(lines, corrupt).run()


def main(arguments: list[str] | None = None) -> int:
    """Replays the file named on the command line; 2 is the exit status of bad input."""
    parser = argparse.ArgumentParser(prog="python -m tidegate.journal", description="Replay a journal.")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--usage", action="store_true", help="also print what each tenant has used, a line for each")
    parser.add_argument("--corrupt", metavar="N", type=int, help="flip one bit of the Nth action, counted from 1")
    options = parser.parse_args(arguments)
    try:
        with open(options.file, "rb") as lines:
            replayed = replay(lines, corrupt=options.corrupt)
    except JournalError as error:
        refuse(f"{options.file}: {error}")
    except OSError as error:
        refuse(f"{options.file}: {error.strerror}")
    if options.corrupt is not None and not 1 <= options.corrupt <= replayed.actions:
        refuse(f"--corrupt {options.corrupt}: the journal gives {replayed.actions} actions")
    if options.usage:
        for tenant, usage in replayed.usage.items():
            print(usage_line(tenant, usage))
    print(replayed)
    return 0


def usage_line(tenant: int, usage: TenantUsage) -> str:
    """Writes what a tenant has used as every replayer does."""
    counts = [value for value in usage if isinstance(value, int)]

    def units(amounts: Mapping[str, int]) -> list[int]:
        return [*amounts.values(), 0, 0, 0, 0][:4]

    wide = [f"{number:032x}" for number in units(usage.unit_ns) + units(usage.borrowed_unit_ns)]
    fields = ["usage", tenant, *counts, *units(usage.in_use), *wide, *usage.queue_delays]
    return " ".join(str(field) for field in fields)


def refuse(message: str) -> NoReturn:
    """Ends with one line on standard error."""
    print(message, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
