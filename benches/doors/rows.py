"""Prints what tidegate takes from Python beside queues of the standard library, as JSON: for each key, the repeats.

Nanoseconds of thread CPU time. All take turns in one process, after one turn that does not count.
"""

import argparse
import asyncio
import heapq
import json
import sys
from collections import deque
from collections.abc import Callable
from time import thread_time_ns

import tidegate

TIERS = 3
WORKERS, SLOTS_PER_WORKER, BLOCKS_PER_REQUEST = 64, 16, 40
TENANTS, TENANTS_PER_ORGANISATION = 10_000, 100
TOKENS_PER_MINUTE, MAX_RUNNING = 50_000_000, 2_000
MINUTE_NS, TURN_NS = 60_000_000_000, 10_000
CALLS_PER_TURN = 50
BATCH = 256

CONFIG = tidegate.Config(
    dimensions=["slots", "kv_blocks"],
    tiers=[
        {"name": name, "reserve_ppm": reserve, "preemption": "never", "preempt_while_borrowing": "never"}
        for name, reserve in [("realtime", 300_000), ("near-realtime", 0), ("batch", 50_000)]
    ],
)


class SteadyState:
    """A full machine and a queue that keeps its length and mixture: the workload of the benches in Rust."""

    def __init__(self, waiting: int) -> None:
        self.now = 0
        self.scheduler = tidegate.Scheduler(CONFIG, now_ns=0)
        self.running: deque[tuple[int, int]] = deque()
        self.kinds: dict[int, tuple[int, int]] = {}
        for _ in range(WORKERS):
            self.scheduler.worker_add((SLOTS_PER_WORKER, SLOTS_PER_WORKER * BLOCKS_PER_REQUEST), now_ns=0)
        tenants = self.tenants()
        slots = WORKERS * SLOTS_PER_WORKER
        for number in range(slots):
            self.submit(number % TIERS, tenants[number])
            self.start()
        for tier in range(TIERS):
            self.submit(tier, tenants[0])
        for _ in range(2 * slots):
            self.turn()
        for number in range(waiting):
            self.submit(number % TIERS, tenants[number // TIERS % TENANTS])

    def tenants(self) -> list[int]:
        """Tenants below organisations, all with limits that they never reach."""
        tenants = []
        organisation = 0
        for number in range(TENANTS):
            if number % TENANTS_PER_ORGANISATION == 0:
                organisation = self.configured(f"organisation-{number}", TENANTS_PER_ORGANISATION, None)
            tenants.append(self.configured(f"tenant-{number}", 1, organisation))
        return tenants

    def configured(self, name: str, times: int, parent: int | None) -> int:
        """A tenant with limits so many times the usual."""
        tenant = self.scheduler.tenant_set(name, now_ns=0)
        tokens = tidegate.Rate(TOKENS_PER_MINUTE * times, MINUTE_NS, TOKENS_PER_MINUTE * times)
        self.scheduler.tenant_configure(tenant, parent=parent, tokens=tokens, max_running=MAX_RUNNING * times, now_ns=0)
        return tenant

    def submit(self, tier: int, tenant: int) -> None:
        """One more request waits."""
        request = self.scheduler.submit(
            tenant=tenant,
            tier=tier,
            demand=(1, BLOCKS_PER_REQUEST),
            peak=(1, BLOCKS_PER_REQUEST),
            prompt_tokens=512,
            output_tokens=200,
            now_ns=self.now,
        )
        self.kinds[request] = (tier, tenant)

    def start(self) -> int:
        """The one request that may start does."""
        (started,) = self.scheduler.poll(now_ns=self.now)
        self.running.append((started.request, started.attempt))
        return started.request

    def turn(self) -> None:
        """Submit, start and complete: the newcomer is of the kind of the one that starts."""
        self.now += TURN_NS
        request, attempt = self.running.popleft()
        self.scheduler.complete(request, attempt, prompt_tokens=512, output_tokens=200, now_ns=self.now)
        started = self.start()
        self.submit(*self.kinds.pop(started))


def cycle(waiting: int, turns: int) -> Callable[[], float]:
    """Submit, poll and complete, and what a host keeps beside its requests."""
    state = SteadyState(waiting)

    def measure() -> float:
        start = thread_time_ns()
        for _ in range(turns):
            state.turn()
        return (thread_time_ns() - start) / turns

    return measure


def call(turns: int) -> Callable[[], float]:
    """A method with one positional number, less the loop around it: the queue's depth of a tier."""
    depth = tidegate.Scheduler(CONFIG, now_ns=0).queue_depth
    calls = turns * CALLS_PER_TURN

    def measure() -> float:
        start = thread_time_ns()
        for _ in range(calls):
            pass
        middle = thread_time_ns()
        for _ in range(calls):
            depth(0)
        return (thread_time_ns() - middle - (middle - start)) / calls

    return measure


def completion(turns: int, *, batched: bool) -> Callable[[], float]:
    """A completion, what the scheduler does for it included: nobody waits, and all runs on one worker."""
    config = tidegate.Config(dimensions=["slots"], tiers=[{"name": "only"}])
    scheduler = tidegate.Scheduler(config, now_ns=0)
    scheduler.worker_add((BATCH,), now_ns=0)
    specs = [(scheduler.tenant_set("only", now_ns=0), 0, (1,))] * BATCH
    batches = -(-turns // BATCH)
    now = 0

    def complete(ends: list[tuple[int, int, int, int, int]]) -> None:
        if batched:
            if any(scheduler.complete_many(ends, now_ns=now)):
                raise RuntimeError("all of them run")
            return
        for request, attempt, prompt, cached, output in ends:
            scheduler.complete(
                request, attempt, prompt_tokens=prompt, cached_tokens=cached, output_tokens=output, now_ns=now
            )

    def measure() -> float:
        nonlocal now
        took = 0
        for _ in range(batches):
            now += TURN_NS
            scheduler.submit_many(specs, now_ns=now)
            ends = [(started.request, started.attempt, 512, 0, 200) for started in scheduler.poll(now_ns=now)]
            start = thread_time_ns()
            complete(ends)
            took += thread_time_ns() - start
        return took / (batches * BATCH)

    return measure


def heap(waiting: int, turns: int) -> Callable[[], float]:
    """`heapq`: the first leaves, and one of its tier comes."""
    queue = [(number % TIERS, number) for number in range(waiting)]
    heapq.heapify(queue)

    def measure() -> float:
        nonlocal waiting
        push, pop = heapq.heappush, heapq.heappop
        start = thread_time_ns()
        for _ in range(turns):
            tier, _number = pop(queue)
            push(queue, (tier, waiting))
            waiting += 1
        return (thread_time_ns() - start) / turns

    return measure


def asyncio_queue(waiting: int, turns: int) -> Callable[[], float]:
    """`asyncio.PriorityQueue` by its calls that do not wait."""
    queue: asyncio.PriorityQueue[tuple[int, int]] = asyncio.PriorityQueue()
    for number in range(waiting):
        queue.put_nowait((number % TIERS, number))

    def measure() -> float:
        nonlocal waiting
        start = thread_time_ns()
        for _ in range(turns):
            tier, _number = queue.get_nowait()
            queue.put_nowait((tier, waiting))
            waiting += 1
        return (thread_time_ns() - start) / turns

    return measure


def main() -> None:
    """Measures all, and prints what each turn gave."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ["--waiting", "--turns", "--repeats"]:
        parser.add_argument(name, type=int, required=True, metavar="N")
    parser.add_argument("--only", metavar="KEY", help="one row, and no other is made ready")
    args = parser.parse_args()
    print(f"Python {sys.version.split()[0]} at {sys.executable}", file=sys.stderr)
    rows = {
        "py_call_ns": lambda: call(args.turns),
        "py_completion_batched_ns": lambda: completion(args.turns, batched=True),
        "py_completion_singly_ns": lambda: completion(args.turns, batched=False),
        "py_cycle_ns_100k": lambda: cycle(args.waiting, args.turns),
        "peer_heapq_ns_100k": lambda: heap(args.waiting, args.turns),
        "peer_asyncio_pq_ns_100k": lambda: asyncio_queue(args.waiting, args.turns),
    }
    rows = {key: ready() for key, ready in rows.items() if args.only in (None, key)}
    turns = [{key: measure() for key, measure in rows.items()} for _ in range(args.repeats + 1)]
    json.dump({key: [turn[key] for turn in turns[1:]] for key in rows}, sys.stdout)


if __name__ == "__main__":
    main()
