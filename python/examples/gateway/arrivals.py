"""When requests of a load come, and how long they are: at random by a rate, or as a trace has them."""

import csv
import gzip
import json
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

AT_S = ("arrival_s", "timestamp_s", "req_time")
"""Columns with seconds; `timestamp` has milliseconds, `TIMESTAMP` a wall clock's time."""
PROMPT = ("prompt_tokens", "ContextTokens", "input_length")
OUTPUT = ("output_tokens", "GeneratedTokens", "output_length")


class Arrival(NamedTuple):
    """One request that comes."""

    at: float
    """Seconds from the first one."""
    prompt: int
    output: int


def by_rate(rate: float, prompt: int, output: int, chance: random.Random) -> Iterator[Arrival]:
    """So many a second, each on its own: a Poisson process without an end."""
    at = 0.0
    while True:
        at += chance.expovariate(rate)
        yield Arrival(at, prompt, output)


def by_trace(path: Path, speed: float, prompt: int, output: int) -> Iterator[Arrival]:
    """The requests of a file in its order, so many times as fast, of no more tokens than given.

    Raises `ValueError` for a row that has no arrival or no length.
    """
    first: float | None = None
    with _open(path) as file:
        found = (json.loads(line) for line in file) if ".jsonl" in path.suffixes else csv.DictReader(file)
        for number, row in enumerate(found, 1):
            try:
                at = _at(row)
                lengths = [int(next(row[name] for name in names if name in row)) for names in (PROMPT, OUTPUT)]
            except (StopIteration, ValueError, TypeError) as error:
                raise ValueError(f"{path}: row {number}: it has no arrival, prompt and output: {error}") from None
            first = at if first is None else first
            bounded = (max(1, min(had, most)) for had, most in zip(lengths, (prompt, output), strict=True))
            yield Arrival((at - first) / speed, *bounded)


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _at(row: dict[str, str]) -> float:
    """Seconds, from whenever."""
    for name in AT_S:
        if name in row:
            return float(row[name])
    if "TIMESTAMP" in row:
        whole, _, parts = row["TIMESTAMP"].partition(".")
        return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{parts or 0}")
    if "timestamp" in row:
        return float(row["timestamp"]) / 1e3
    raise ValueError("no column of arrivals")
