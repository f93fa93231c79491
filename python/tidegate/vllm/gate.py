"""tidegate's side of the adapter: requests by the names that vLLM gives them, and where each of them stands.

It knows numbers and names, not vLLM: what a request takes is told by whoever calls. Each entry is in exactly one
`Stand`, and the scheduler's books agree with it: `check` compares them.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from tidegate.vllm.settings import BLOCKS, Settings


class Stand(Enum):
    """Where a request stands between tidegate and vLLM."""

    PARKED = auto()
    """Not ready: its grammar is being compiled. tidegate does not know it."""
    WAITING = auto()
    """tidegate has it in its queue."""
    GRANTED = auto()
    """tidegate started it, and vLLM has not taken it from the queue."""
    TAKEN = auto()
    """vLLM took it, and it was in no step yet."""
    RUNNING = auto()
    """It was in a step."""
    ENDING = auto()
    """Refused, dropped or aborted: vLLM is to answer it with an error."""


@dataclass(slots=True, eq=False)
class Entry:
    """One request."""

    request: Any
    """vLLM's."""
    stand: Stand = Stand.PARKED
    number: int = -1
    """tidegate's; -1 if it does not know it, or not any more."""
    tier: int = 0
    attempt: int = 0
    turn: int = 0
    """In which turn it was granted."""
    demand: int = 0
    """The blocks that it asks for."""
    cached: int = 0
    declines: int = 0
    stopped_in: int = -1
    """vLLM's number of the step in which it was preempted: it is not offered again in the same."""


class Gate:
    """What tidegate decides, and what it is told."""

    def __init__(self, settings: Settings, *, slots: int, blocks: int, now_ns: int) -> None:
        self.settings = settings
        self.core, self.worker = settings.build(slots=slots, blocks=blocks, now_ns=now_ns)
        self.now_ns = now_ns
        self._slots, self._blocks = slots, blocks
        self.entries: dict[str, Entry] = {}
        self.granted: list[Entry] = []
        """The most urgent tier first, in the order in which they were started."""
        self.on_worker: dict[str, Entry] = {}
        """Those that were in a step and still hold what they were given."""
        self.joined = 0
        """How often a request was in a step for the first time since it was granted."""
        self._by_number: dict[int, Entry] = {}
        self._turns = 0

    def submit(
        self, entry: Entry, *, tenant: str, tier: int, blocks: int, peak: int, prompt: int, output: int, **limits: Any
    ) -> None:
        """The request may start from now on.

        Raises what `tidegate.Scheduler.submit` does.
        """
        entry.number = self.core.submit(
            tenant=tenant,
            tier=tier,
            demand=(1, blocks),
            peak=(1, peak),
            prompt_tokens=prompt,
            output_tokens=output,
            now_ns=self.now_ns,
            **limits,
        )
        entry.tier, entry.demand, entry.stand = tier, blocks, Stand.WAITING
        self._by_number[entry.number] = entry

    def of(self, number: int) -> Entry:
        """The request that tidegate means."""
        return self._by_number[number]

    def grant(self, entry: Entry, attempt: int) -> None:
        """It was started: vLLM may take it."""
        self._turns += 1
        entry.attempt, entry.turn, entry.stand = attempt, self._turns, Stand.GRANTED
        self._line_up(entry)

    def _line_up(self, entry: Entry) -> None:
        self.granted.append(entry)
        self.granted.sort(key=lambda each: (each.tier, each.turn))

    def take(self, entry: Entry) -> None:
        """It leaves the queue for vLLM."""
        self.granted.remove(entry)
        entry.stand = Stand.TAKEN

    def give_back(self, entry: Entry) -> None:
        """It was taken and passed over: others have its room for a while.

        tidegate fails a request that is declined three times in a row, and vLLM only passes over what will be ready
        soon; so the third time it keeps what it was granted.
        """
        if entry.declines < 2:
            entry.declines += 1
            entry.stand = Stand.WAITING
            self.core.declined(entry.number, entry.attempt, now_ns=self.now_ns)
        else:
            entry.stand = Stand.GRANTED
            self._line_up(entry)

    def started(self, entry: Entry, *, cached: int, blocks: int) -> None:
        """It is in a step."""
        entry.stand, entry.declines, entry.cached = Stand.RUNNING, 0, cached
        self.joined += 1
        self.on_worker[entry.request.request_id] = entry
        self.core.started(entry.number, entry.attempt, cached_tokens=cached, in_use=(1, blocks), now_ns=self.now_ns)

    def stopped(self, entry: Entry, *, output: int, blocks: int, again: int | None) -> None:
        """It runs no more, and keeps nothing; with `again`, it is to wait for so many blocks."""
        if entry.stand is Stand.GRANTED:
            self.granted.remove(entry)
        if entry.stand is Stand.RUNNING:
            del self.on_worker[entry.request.request_id]
            self.core.progress(
                entry.number, entry.attempt, output_tokens=output, in_use=(1, blocks), now_ns=self.now_ns
            )
        entry.stand = Stand.WAITING
        self.core.preempted(entry.number, entry.attempt, now_ns=self.now_ns)
        if again is not None and again > entry.demand:
            entry.demand = again
            self.core.amend(entry.number, demand=(1, again), now_ns=self.now_ns)

    def withdraw(self, entry: Entry) -> None:
        """It is over for tidegate, and waits for vLLM to answer it."""
        entry.stand = Stand.ENDING
        self._forget(entry)

    def end(self, entry: Entry, *, prompt: int, output: int, completed: bool, failed: bool) -> None:
        """It is over for vLLM."""
        del self.entries[entry.request.request_id]
        if entry.stand is Stand.GRANTED:
            self.granted.remove(entry)
        if entry.number < 0:
            return
        on_worker = entry.stand in {Stand.TAKEN, Stand.RUNNING} or entry.request.request_id in self.on_worker
        if on_worker and completed:
            self.core.complete(
                entry.number,
                entry.attempt,
                prompt_tokens=prompt,
                cached_tokens=entry.cached,
                output_tokens=output,
                now_ns=self.now_ns,
            )
        elif on_worker and failed:
            self.core.failed(entry.number, entry.attempt, now_ns=self.now_ns)
        else:
            self.core.cancel(entry.number, now_ns=self.now_ns)
        self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        self.on_worker.pop(entry.request.request_id, None)
        del self._by_number[entry.number]
        entry.number = -1

    def room_used(self, *, slots: int, blocks: int) -> None:
        """What the engine uses in truth; what was granted and not taken comes on top."""
        slots += len(self.granted)
        blocks += sum(entry.demand for entry in self.granted)
        # Who yields for memory is chosen where the blocks are known, so the core is not to see more used than there is.
        in_use = (min(slots, self._slots), min(blocks, self._blocks))
        self.core.worker_usage(self.worker, in_use=in_use, now_ns=self.now_ns)

    def over_reserve(self) -> set[int]:
        """The tiers that use more blocks than their reserve has."""
        tiers = range(len(self.settings.config.tiers))
        core = self.core
        return {tier for tier in tiers if core.in_use(tier)[BLOCKS] > core.effective_reserve(tier)[BLOCKS]}

    def check(self, running: set[str], waiting: set[str]) -> None:
        """Compares the books with what vLLM has running and waiting; raises AssertionError where they differ."""
        mine = {name for name, entry in self.entries.items() if entry.stand in {Stand.TAKEN, Stand.RUNNING}}
        ending = {name for name, entry in self.entries.items() if entry.stand is Stand.ENDING}
        others = set(self.entries) - mine - ending
        assert mine <= running <= mine | ending, (mine, running, ending)
        assert others <= waiting <= others | ending, (others, waiting, ending)
        known = {entry.number for entry in self.entries.values() if entry.number >= 0}
        assert known == set(self._by_number), "numbers without an entry"
        assert self.core.stats().live == len(known), (self.core.stats().live, len(known))
        assert set(self.on_worker) <= running, (set(self.on_worker), running)
        assert all(entry.stand is Stand.GRANTED for entry in self.granted)
        self.core.check_invariants()
