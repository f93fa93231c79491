"""Prints what tidegate takes from Python beside other queues, as JSON: for each key, the repeats.

Nanoseconds of thread CPU time. All take turns in one process, after one turn that does not count. What needs a package
that this interpreter lacks is not there.
"""

import argparse
import asyncio
import heapq
import json
import sys
from collections import deque
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from time import thread_time_ns

import tidegate
from tidegate._tidegate import complete_columns, poll_rows

TIERS = 3
WORKERS, SLOTS_PER_WORKER, BLOCKS_PER_REQUEST = 64, 16, 40
TENANTS, TENANTS_PER_ORGANISATION = 10_000, 100
TOKENS_PER_MINUTE, MAX_RUNNING = 50_000_000, 2_000
MINUTE_NS, TURN_NS = 60_000_000_000, 10_000
CALLS_PER_TURN = 50
BATCH = 256
# Requests that come and go at once, in the cycle by arrays.
ARRAY = 64
# What not every interpreter has.
NEEDS = {"py_cycle_arrays_ns_100k": "numpy", "peer_vllm_queue_ns_100k": "vllm"}

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


def cycle_by_arrays(waiting: int, turns: int) -> Callable[[], float]:
    """The same cycle, many requests at once: what a host keeps beside them stands in arrays, too."""
    import numpy as np  # noqa: PLC0415 (not every interpreter has it)

    from tidegate import arrays  # noqa: PLC0415

    state = SteadyState(waiting)
    scheduler, now = state.scheduler, state.now
    running = np.array(state.running, np.uint64)
    # By the slot of a request, which is the lower half of its id.
    kinds = np.zeros((2 * (waiting + len(running) + ARRAY + TIERS), 2), np.uint32)
    for request, kind in state.kinds.items():
        kinds[request & 0xFFFF_FFFF] = kind
    units = np.array([[1, BLOCKS_PER_REQUEST]] * ARRAY, np.uint32)

    def turn() -> None:
        nonlocal now, running
        now += TURN_NS
        ends, running = running[:ARRAY], running[ARRAY:]
        told = arrays.complete(scheduler, ends[:, 0], ends[:, 1], prompt_tokens=512, output_tokens=200, now_ns=now)
        started = arrays.poll(scheduler, now_ns=now)
        came = kinds[started["request"] & 0xFFFF_FFFF]
        ids, refused = arrays.submit(
            scheduler,
            tenant=came[:, 1],
            tier=came[:, 0],
            demand=units,
            peak=units,
            prompt_tokens=512,
            output_tokens=200,
            now_ns=now,
        )
        if told or refused:
            raise RuntimeError("all of them run, and all of them may come")
        kinds[ids & 0xFFFF_FFFF] = came
        running = np.concatenate([running, np.stack([started["request"], started["attempt"]], axis=1)])

    def measure() -> float:
        batches = -(-turns // ARRAY)
        start = thread_time_ns()
        for _ in range(batches):
            turn()
        return (thread_time_ns() - start) / (batches * ARRAY)

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


class OneBatch:
    """Nobody waits, and all that is submitted at once runs on one worker."""

    def __init__(self) -> None:
        config = tidegate.Config(dimensions=["slots"], tiers=[{"name": "only"}])
        self.now = 0
        self.scheduler = tidegate.Scheduler(config, now_ns=0)
        self.scheduler.worker_add((BATCH,), now_ns=0)
        self.specs = [(self.scheduler.tenant_set("only", now_ns=0), 0, (1,))] * BATCH

    def come(self) -> None:
        """A batch more is there to be started."""
        self.now += TURN_NS
        self.scheduler.submit_many(self.specs, now_ns=self.now)

    def singly(self) -> Callable[[], None]:
        """Starts all; what is returned completes them."""
        starts = [(started.request, started.attempt) for started in self.scheduler.poll(now_ns=self.now)]

        def complete() -> None:
            for request, attempt in starts:
                self.scheduler.complete(
                    request, attempt, prompt_tokens=512, cached_tokens=0, output_tokens=200, now_ns=self.now
                )

        return complete

    def batched(self) -> Callable[[], None]:
        """The same by a batch of tuples."""
        starts = self.scheduler.poll(now_ns=self.now)
        ends = [(started.request, started.attempt, 512, 0, 200) for started in starts]

        def complete() -> None:
            if any(self.scheduler.complete_many(ends, now_ns=self.now)):
                raise RuntimeError("all of them run")

        return complete

    def by_columns(self) -> Callable[[], None]:
        """The same by columns, two of which are views of what `poll_rows` gave."""
        rows = memoryview(poll_rows(self.scheduler, now_ns=self.now))
        request, attempt = rows.cast("Q")[2::9], rows.cast("I")[3::18]

        def complete() -> None:
            tokens = {"prompt_tokens": 512, "cached_tokens": 0, "output_tokens": 200}
            if complete_columns(self.scheduler, request, attempt, **tokens, now_ns=self.now):
                raise RuntimeError("all of them run")

        return complete


def completion(turns: int, start: Callable[[OneBatch], Callable[[], None]]) -> Callable[[], float]:
    """A completion, what the scheduler does for it included."""
    machine = OneBatch()
    batches = -(-turns // BATCH)

    def measure() -> float:
        took = 0
        for _ in range(batches):
            machine.come()
            complete = start(machine)
            began = thread_time_ns()
            complete()
            took += thread_time_ns() - began
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


def vllm_queue(waiting: int, turns: int) -> Callable[[], float]:
    """VLLM's queue of its policy `priority`: the first leaves, and comes again as the last of its tier."""
    with redirect_stdout(sys.stderr):
        from vllm import SamplingParams  # noqa: PLC0415 (not every interpreter has it, and it takes seconds)
        from vllm.v1.core.sched.request_queue import SchedulingPolicy, create_request_queue  # noqa: PLC0415
        from vllm.v1.request import Request  # noqa: PLC0415

    queue, params = create_request_queue(SchedulingPolicy.PRIORITY), SamplingParams(max_tokens=200)
    for number in range(waiting):
        queue.add_request(Request(str(number), [1], params, None, priority=number % TIERS, arrival_time=float(number)))

    def measure() -> float:
        nonlocal waiting
        start = thread_time_ns()
        for _ in range(turns):
            request = queue.pop_request()
            request.arrival_time = float(waiting)
            queue.add_request(request)
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
        "py_completion_batched_ns": lambda: completion(args.turns, OneBatch.batched),
        "py_completion_columns_ns": lambda: completion(args.turns, OneBatch.by_columns),
        "py_completion_singly_ns": lambda: completion(args.turns, OneBatch.singly),
        "py_cycle_ns_100k": lambda: cycle(args.waiting, args.turns),
        "py_cycle_arrays_ns_100k": lambda: cycle_by_arrays(args.waiting, args.turns),
        "peer_heapq_ns_100k": lambda: heap(args.waiting, args.turns),
        "peer_asyncio_pq_ns_100k": lambda: asyncio_queue(args.waiting, args.turns),
        "peer_vllm_queue_ns_100k": lambda: vllm_queue(args.waiting, args.turns),
    }
    lacking = {key for key, package in NEEDS.items() if find_spec(package) is None}
    rows = {key: ready() for key, ready in rows.items() if args.only in (None, key) and key not in lacking}
    turns = [{key: measure() for key, measure in rows.items()} for _ in range(args.repeats + 1)]
    json.dump({key: [turn[key] for turn in turns[1:]] for key in rows}, sys.stdout)


if __name__ == "__main__":
    main()
