"""A load for gateways, or for engines themselves: `python -m gateway.load URL... --crowd CROWD...`.

A crowd is one tenant's requests of one tier, written as fields with commas between:

    tier=realtime,key=KEY,rate=3,prompt=400,output=4           so many a second, at random
    tier=batch,key=KEY,clients=24,prompt=12,output=64          so many at a time, each asks when it has its answer
    tier=batch,key=KEY,trace=FILE,speed=10                     as a trace has them, so many times as fast

A trace is CSV or JSON lines, gzipped or not, with the columns of the simulator's own formats or of the public traces
(`docs/TRACES.md`); `prompt` and `output` are then the most that a request has. `after=4` has a crowd come so many
seconds later. Prints a table by tier and tenant; `--picture` draws what came when, `--json` writes every request.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from multiprocessing.synchronize import Barrier
from pathlib import Path

import aiohttp

from gateway.arrivals import Arrival, by_rate, by_trace
from gateway.picture import draw

BIN_S = 0.25
"""In which tokens are counted."""
READY_S = 120
"""Until all processes have read their modules, on a machine that is busy."""
FINISH_S = 60
"""What is under way when the load ends may take so long; then it counts as open."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Requests that have all in common but their words."""

    tier: str = ""
    tenant: str = ""
    key: str = ""
    rate: float = 0
    clients: int = 0
    trace: str = ""
    speed: float = 1
    prompt: int = 12
    """Words; in a trace, the most of them."""
    output: int = 64
    after: float = 0

    @classmethod
    def read(cls, text: str) -> "Crowd":
        """Raises `ValueError` for what is none."""
        kinds = {field.name: type(field.default) for field in fields(cls)}
        told: dict[str, object] = {}
        for pair in text.split(","):
            name, _, value = pair.partition("=")
            if name not in kinds:
                raise ValueError(f"{name!r} is none of {', '.join(kinds)}")
            told[name] = kinds[name](value)
        crowd = cls(**told)  # type: ignore[arg-type]
        if sum(map(bool, (crowd.rate, crowd.clients, crowd.trace))) != 1:
            raise ValueError("a crowd has one of rate, clients and trace")
        return crowd


@dataclass(slots=True)
class Asked:
    """What became of one request; times in seconds, from the load's begin where they are instants."""

    crowd: int
    began_at: float
    status: int = 0
    """0: no answer came."""
    code: str = ""
    first_after: float | None = None
    took: float = 0
    tokens: int = 0
    is_whole: bool = False


@dataclass
class Heard:
    """All that one process heard."""

    asked: list[Asked] = field(default_factory=list)
    tokens: Counter[tuple[int, int]] = field(default_factory=Counter)
    """By crowd and bin."""

    def add(self, other: "Heard") -> None:
        """Takes in what another one heard."""
        self.asked += other.asked
        self.tokens += other.tokens


@dataclass(frozen=True, slots=True)
class Plan:
    """What all processes do together."""

    urls: Sequence[str]
    crowds: Sequence[Crowd]
    seconds: float
    processes: int = 1
    model: str = "tiny"


class Player:
    """One process's part of a plan."""

    def __init__(self, plan: Plan, part: int, session: aiohttp.ClientSession) -> None:
        self.heard = Heard()
        self._plan = plan
        self._part = part
        self._session = session
        self._chance = random.Random(part)
        self._next_url = part
        self._began_at = 0.0

    async def play(self) -> None:
        """Asks until the time is over, and a while longer for the answers."""
        self._began_at = time.monotonic()
        async with asyncio.timeout(self._plan.seconds + FINISH_S), asyncio.TaskGroup() as group:
            for number, crowd in enumerate(self._plan.crowds):
                if crowd.clients:
                    for client in range(self._part, crowd.clients, self._plan.processes):
                        group.create_task(self._client(number, crowd, client))
                else:
                    group.create_task(self._arrivals(number, crowd, group))

    def _now(self) -> float:
        return time.monotonic() - self._began_at

    async def _client(self, number: int, crowd: Crowd, client: int) -> None:
        await asyncio.sleep(crowd.after)
        url = self._plan.urls[client % len(self._plan.urls)]
        while self._now() < self._plan.seconds:
            if not await self._ask(number, url, crowd.prompt, crowd.output):
                await asyncio.sleep(0.1)  # who is refused does not ask again at once

    async def _arrivals(self, number: int, crowd: Crowd, group: asyncio.TaskGroup) -> None:
        arrivals: Iterator[Arrival]
        if crowd.trace:
            every = by_trace(Path(crowd.trace), crowd.speed, crowd.prompt, crowd.output)
            arrivals = (one for index, one in enumerate(every) if index % self._plan.processes == self._part)
        else:
            arrivals = by_rate(crowd.rate / self._plan.processes, crowd.prompt, crowd.output, self._chance)
        for arrival in arrivals:
            at = crowd.after + arrival.at
            if at >= self._plan.seconds:
                return
            await asyncio.sleep(max(0.0, at - self._now()))
            self._next_url += 1
            url = self._plan.urls[self._next_url % len(self._plan.urls)]
            group.create_task(self._ask(number, url, arrival.prompt, arrival.output))

    async def _ask(self, number: int, url: str, prompt: int, output: int) -> bool:
        """Asks once: whether the answer was whole."""
        crowd = self._plan.crowds[number]
        words = " ".join(f"t{self._chance.randrange(3, 512)}" for _ in range(prompt))
        body = {"model": self._plan.model, "prompt": words, "max_tokens": output, "stream": True}
        body |= {"ignore_eos": True, "temperature": 0}
        headers = {"authorization": f"Bearer {crowd.key}", "x-tidegate-tier": crowd.tier}
        headers |= {"x-tidegate-tenant": crowd.tenant} if crowd.tenant else {}
        asked = Asked(number, self._now())
        self.heard.asked.append(asked)
        try:
            async with self._session.post(f"{url}/v1/completions", json=body, headers=headers) as response:
                asked.status = response.status
                if response.status == 200:
                    await self._read(asked, response)
                else:
                    told = await response.json(content_type=None)
                    asked.code = str((told.get("error") or {}).get("code", response.status))
        except (aiohttp.ClientError, OSError, ValueError, AttributeError) as error:
            asked.code = type(error).__name__
        asked.took = self._now() - asked.began_at
        return asked.is_whole

    async def _read(self, asked: Asked, response: aiohttp.ClientResponse) -> None:
        async for line in response.content:
            if line.startswith(b"data: [DONE]"):
                asked.is_whole = True
            elif line.startswith(b'data: {"error"'):
                asked.code = str(json.loads(line[6:])["error"].get("code"))
            elif line.startswith(b"data: "):
                now = self._now()
                if asked.first_after is None:
                    asked.first_after = now - asked.began_at
                asked.tokens += 1
                self.heard.tokens[asked.crowd, int(now / BIN_S)] += 1


async def _play(plan: Plan, part: int, all_ready: Barrier) -> Heard:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        player = Player(plan, part, session)
        all_ready.wait(READY_S)
        with suppress(TimeoutError):  # what is open is not whole
            await player.play()
        return player.heard


class _Process:
    """What a process of the pool runs: the barrier comes to it by inheritance alone."""

    all_ready: Barrier

    @classmethod
    def start(cls, all_ready: Barrier) -> None:
        cls.all_ready = all_ready

    @classmethod
    def run(cls, plan: Plan, part: int) -> Heard:
        return asyncio.run(_play(plan, part, cls.all_ready))


def play(plan: Plan) -> Heard:
    """Runs a load in processes of its own. Raises `BrokenBarrierError` if they do not come up."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(plan.processes, _Process.start, (spawn.Barrier(plan.processes),)) as pool:
        parts = pool.starmap_async(_Process.run, [(plan, part) for part in range(plan.processes)], chunksize=1)
        every = Heard()
        for heard in parts.get(READY_S + plan.seconds + FINISH_S + READY_S):
            every.add(heard)
        return every


def quantile(values: Sequence[float], share: float) -> float:
    """By the nearest rank; not a number of none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def tokens_per_second(heard: Heard, crowd: int, since: float, until: float) -> float:
    """Between two instants, which are rounded to bins."""
    first, last = int(since / BIN_S), int(until / BIN_S)
    return sum(heard.tokens[crowd, index] for index in range(first, last)) / ((last - first) * BIN_S)


def rows(plan: Plan, heard: Heard, since: float) -> list[dict[str, object]]:
    """What is told of each crowd, of requests and tokens since then."""
    told = []
    for number, crowd in enumerate(plan.crowds):
        since_here = max(since, crowd.after)
        asked = [one for one in heard.asked if one.crowd == number and one.began_at >= since_here]
        firsts = [one.first_after for one in asked if one.first_after is not None]
        gaps = [
            (one.took - one.first_after) / (one.tokens - 1)
            for one in asked
            if one.first_after is not None and one.is_whole and one.tokens > 1
        ]
        told.append({
            "tier": crowd.tier,
            "tenant": crowd.tenant or "-",
            "asked": len(asked),
            "whole": sum(one.is_whole for one in asked),
            "refused": sum(one.status in (429, 503) for one in asked),
            "failed": sum(not one.is_whole and one.status not in (429, 503) for one in asked),
            "tokens/s": round(tokens_per_second(heard, number, since_here, plan.seconds), 1),
            "ttft p50 ms": round(quantile(firsts, 0.5) * 1e3, 1),
            "ttft p99 ms": round(quantile(firsts, 0.99) * 1e3, 1),
            "tpot p50 ms": round(quantile(gaps, 0.5) * 1e3, 1),
        })  # fmt: skip
    return told


def table(lines: Sequence[dict[str, object]]) -> str:
    """As text, in columns."""
    cells = [list(lines[0]), *([str(value) for value in line.values()] for line in lines)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def write_picture(path: Path, plan: Plan, heard: Heard) -> None:
    """First tokens and tokens a second over time, as SVG."""
    names = [f"{crowd.tier} {crowd.tenant}".strip() for crowd in plan.crowds]
    dots: list[list[tuple[float, float]]] = [[] for _ in names]
    for one in heard.asked:
        if one.first_after is not None:
            dots[one.crowd].append((one.began_at, one.first_after))
    lines = [
        [(index * BIN_S * 4, tokens_per_second(heard, number, index, index + 1)) for index in range(int(plan.seconds))]
        for number in range(len(names))
    ]
    path.write_text(draw(names, dots, lines, plan.seconds))


def main() -> int:
    """Exit status: 0 ended as told, 1 if a request failed."""
    parser = argparse.ArgumentParser("gateway.load", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("urls", nargs="+", help="whom to ask, one after the other")
    parser.add_argument("--crowd", type=Crowd.read, action="append", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--since", type=float, default=2, help="leaves earlier ones out of the table (default: 2)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--json", type=Path, help="where every request is written, one on a line")
    parser.add_argument("--picture", type=Path, help="where an SVG is drawn")
    told = parser.parse_args()
    plan = Plan(told.urls, told.crowd, told.seconds, told.processes, told.model)
    heard = play(plan)
    print(table(rows(plan, heard, told.since)))
    if told.json:
        told.json.write_text("".join(json.dumps(asdict(one)) + "\n" for one in heard.asked))
    if told.picture:
        write_picture(told.picture, plan, heard)
    failed = [one for one in heard.asked if not one.is_whole and one.status not in (429, 503)]
    for one in failed[:10]:
        print(f"failed: {one}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
