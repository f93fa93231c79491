"""One scheduler for many threads: what each says is heard once and in its order, whoever dies, sleeps or forks."""

import gc
import os
import pickle
import queue
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tidegate
from tidegate import Accepted, Cancelled, Refused, StopFirst, arrays
from tidegate._digest import Digest, action_bytes

ONE = {"slots": 1, "kv_blocks": 10}
PATIENCE_S = 60
S = 1_000_000_000


@pytest.fixture
def shared(config: tidegate.Config) -> tidegate.SharedScheduler:
    """A shared scheduler with one worker of 4 slots and 400 blocks, and one tenant, 0."""
    shared = tidegate.SharedScheduler(config, now_ns=0)
    shared.scheduler.worker_add({"slots": 4, "kv_blocks": 400}, now_ns=0)
    assert shared.scheduler.tenant_set("acme", now_ns=0) == 0
    return shared


@contextmanager
def running(*works: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Runs each in a thread of its own meanwhile; all of them end before this does. What they raise is in the list."""
    raised: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield raised
    finally:
        for thread in threads:
            thread.join(PATIENCE_S)
        assert not any(thread.is_alive() for thread in threads), "a thread hangs"


def submit(shared: tidegate.SharedScheduler, *, tag: int = 0, tier: int = 0, now_ns: int = 0) -> int:
    return shared.submit(tenant=0, tier=tier, demand=ONE, tag=tag, now_ns=now_ns)


def test_what_came_of_each_call_is_told_in_order_before_what_follows_from_it(shared: tidegate.SharedScheduler) -> None:
    first, second = submit(shared, tag=7), shared.submit(tenant=9, tier=0, demand=ONE, tag=8, now_ns=0)
    accepted, refused, started = shared.poll(now_ns=1)
    assert accepted == Accepted(first, 7, accepted.request)
    match refused:
        case Refused(ticket, tag, tidegate.UnknownTenant() as error):
            assert (ticket, tag, error.tenant) == (second, 8, 9)
        case _:
            pytest.fail(repr(refused))
    assert isinstance(started, tidegate.Start)
    assert started.request == accepted.request
    assert 0 < first < second
    report = shared.complete(started.request, 9, now_ns=2)
    (refused,) = shared.poll(now_ns=2)
    assert (refused.ticket, refused.tag, type(refused.error)) == (report, 0, tidegate.StaleAttempt)
    assert repr(refused) == f"Refused(ticket={report}, tag=0, error={refused.error!r})"


def test_a_ticket_cancels_what_was_not_applied_what_waits_and_what_runs(shared: tidegate.SharedScheduler) -> None:
    early = submit(shared)
    shared.cancel(early, now_ns=0)
    accepted, cancelled = shared.poll(now_ns=0)
    assert cancelled == Cancelled(early, accepted.request)
    tickets = [submit(shared) for _ in range(5)]  # for four slots
    requests = [it.request for it in shared.poll(now_ns=1) if isinstance(it, Accepted)]
    shared.cancel(tickets[4], now_ns=2)
    shared.cancel(tickets[0], now_ns=2)
    shared.cancel(early, now_ns=2)  # of what has ended nothing follows
    shared.cancel(10**6, now_ns=2)
    assert shared.poll(now_ns=2) == [Cancelled(tickets[4], requests[4]), StopFirst(tickets[0], requests[0])]
    shared.cancel_request(requests[0], now_ns=3)
    assert shared.poll(now_ns=3) == []
    assert (shared.scheduler.stats().cancelled, shared.scheduler.stats().live) == (3, 3)


def test_reports_of_every_kind_reach_the_scheduler(shared: tidegate.SharedScheduler) -> None:
    core = shared.scheduler
    for _ in range(4):
        submit(shared, tier=2)
    starts = [it for it in shared.poll(now_ns=0) if isinstance(it, tidegate.Start)]
    first, second, third, fourth = (it.request for it in starts)
    shared.started(first, 1, cached_tokens=3, in_use=(1, 20), now_ns=1)
    shared.progress(second, 1, output_tokens=2, in_use=(1, 30), now_ns=1)
    shared.declined(third, 1, why="no-room", now_ns=1)
    shared.step(0, tokens_each=1, exceptions=[(second, 1, 5, (1, 40))], now_ns=1)
    shared.complete(first, 1, prompt_tokens=1, cached_tokens=1, output_tokens=9, now_ns=1)
    shared.failed(fourth, 1, now_ns=1)
    shared.poll(now_ns=1)
    assert core.in_use("batch")["kv_blocks"] == 40
    stats = core.stats()
    assert (stats.completed, stats.failed, stats.live) == (1, 1, 2)
    assert core.usage(0).output_tokens == 9
    # Those that start now wait for the guaranteed slots of the realtime tier, once they have run for a second.
    for tier, now_ns in ((2, 2), (2, 2), (0, 2 * S), (0, 2 * S)):
        submit(shared, tier=tier, now_ns=now_ns)
        told = shared.poll(now_ns=now_ns)
    (preempt,) = (it for it in told if isinstance(it, tidegate.Preempt))
    before = core.in_use("batch")["slots"]
    shared.preempted(preempt.victim, preempt.attempt, tokens_kept=4, releasing=True, now_ns=2 * S)
    shared.poll(now_ns=2 * S)
    assert core.in_use("batch")["slots"] == before, "its units come later"
    shared.released(preempt.victim, preempt.attempt, now_ns=2 * S)
    shared.poll(now_ns=2 * S)
    assert core.in_use("batch")["slots"] == before - 1
    core.check_invariants()


def test_the_intake_is_bounded_and_a_call_that_is_refused_says_nothing(config: tidegate.Config) -> None:
    shared = tidegate.SharedScheduler(config, intake_capacity=2, now_ns=0)
    core = shared.scheduler
    core.tenant_set("acme", now_ns=0)
    submit(shared), submit(shared)
    for call in (lambda: submit(shared), lambda: shared.cancel(1, now_ns=0), lambda: shared.failed(1, 1, now_ns=0)):
        with pytest.raises(tidegate.Busy):
            call()
    assert core.tenant_set("globex", now_ns=0) == 1  # applies what lies there first
    assert core.queue_depth(0) == 2
    submit(shared)
    with pytest.raises(tidegate.Busy):
        core.tenant_set("initech", now_ns=0)  # what came of the two was told to nobody yet
    assert core.queue_depth(0) == 2, "who only looks does not see the intake"
    assert [type(it) for it in shared.poll(now_ns=0)] == [Accepted] * 3
    assert core.tenant_set("initech", now_ns=0) == 2


def test_only_the_shared_scheduler_polls(shared: tidegate.SharedScheduler) -> None:
    core = shared.scheduler
    for poll in (core.poll, core.poll_one, lambda now_ns: arrays.poll(core, now_ns=now_ns)):
        with pytest.raises(tidegate.SharedError, match=r"SharedScheduler\.poll"):
            poll(now_ns=0)
    ids, refused = arrays.submit(core, tenant=0, tier=bytes(2), demand=(1, 10), now_ns=0)
    assert refused == []
    assert [it.request for it in shared.poll(now_ns=0)] == list(ids), "starts; who submits on the spot has the answer"


@pytest.mark.parametrize("capacity", [0, 65_537, 2**40])
def test_an_intake_has_some_room_and_not_any(config: tidegate.Config, capacity: int) -> None:
    with pytest.raises(tidegate.BadArgument) as caught:
        tidegate.SharedScheduler(config, intake_capacity=capacity, now_ns=0)
    assert caught.value.__notes__ == ["while processing 'intake_capacity'"]


def test_a_cut_round_goes_on_without_sleep(shared: tidegate.SharedScheduler) -> None:
    for _ in range(3):
        submit(shared)
    told = [type(it) for it in shared.poll(max_actions=1, now_ns=0)]
    assert told == [Accepted, Accepted, Accepted, tidegate.Start]
    assert shared.wait(now_ns=0), "there is more"
    assert [type(it) for it in shared.poll(now_ns=0)] == [tidegate.Start] * 2
    assert not shared.wait(0, now_ns=0)


def test_outcomes_are_values_like_actions() -> None:
    ones = [Accepted(1, 2, 3), Cancelled(1, 2), StopFirst(1, 2), Refused(1, 2, tidegate.ZeroDemand("nothing"))]
    for one in ones:
        values = tuple(getattr(one, name) for name in type(one).__match_args__)
        again = pickle.loads(pickle.dumps(one))
        assert type(again) is type(one)
        assert eval(repr(one), vars(tidegate)).ticket == 1
        assert type(one)(*values).ticket == 1
        if not isinstance(one, Refused):
            assert again == one
            assert hash(again) == hash(one)
        with pytest.raises(AttributeError):
            one.ticket = 2  # type: ignore[misc]
    assert Cancelled(1, 2) != StopFirst(1, 2)


class Twins:
    """A scheduler and a shared one that are told the same by one thread, and what each of them wished."""

    def __init__(self, config: tidegate.Config) -> None:
        self.alone = tidegate.Scheduler(config, now_ns=0)
        self.shared = tidegate.SharedScheduler(config, now_ns=0)
        for core in (self.alone, self.shared.scheduler):
            core.worker_add({"slots": 4, "kv_blocks": 400}, now_ns=0)
            core.tenant_set("acme", now_ns=0)
        self.digests = Digest(), Digest()
        self.running: list[tidegate.Start] = []

    def tell(self, verb: str, *arguments: int, **fields: object) -> None:
        for one in (self.alone, self.shared):
            getattr(one, verb)(*arguments, **fields)

    def poll(self, now_ns: int) -> None:
        told = [it for it in self.shared.poll(now_ns=now_ns) if not isinstance(it, Accepted)]
        actions = self.alone.poll(now_ns=now_ns)
        for digest, wishes in zip(self.digests, (actions, told), strict=True):
            for action in wishes:
                digest.update(action_bytes(now_ns, action))
        for action in actions:
            match action:
                case tidegate.Start():
                    self.running.append(action)
                case tidegate.Preempt(victim, attempt):
                    self.running = [it for it in self.running if it.request != victim]
                    self.tell("preempted", victim, attempt, now_ns=now_ns)


@pytest.mark.parametrize("seed", range(5))
def test_one_thread_gets_the_actions_that_it_would_get_of_a_scheduler(config: tidegate.Config, seed: int) -> None:
    chance, twins = random.Random(seed), Twins(config)
    for now_ns in range(300):
        verb = chance.choice(["submit"] * 4 + ["complete"] * 3 + ["poll"] * 3)
        if verb == "submit":
            twins.tell("submit", tenant=0, tier=chance.randrange(3), demand=ONE, now_ns=now_ns)
        elif verb == "complete" and twins.running:
            start = twins.running.pop(0)
            twins.tell("complete", start.request, start.attempt, now_ns=now_ns)
        else:
            twins.poll(now_ns)
    twins.poll(300)
    alone, shared = twins.alone, twins.shared.scheduler
    assert str(twins.digests[0]) == str(twins.digests[1])
    assert alone.stats() == shared.stats()
    assert alone.stats().completed > 20
    assert alone.snapshot() == shared.snapshot()


def test_it_goes_on_from_a_snapshot(shared: tidegate.SharedScheduler, config: tidegate.Config) -> None:
    submit(shared)
    again = tidegate.SharedScheduler.restore(config, shared.scheduler.snapshot(), intake_capacity=1)
    (start,) = again.poll(now_ns=0)
    assert isinstance(start, tidegate.Start)
    assert repr(again).startswith("<tidegate.SharedScheduler intake_capacity=1 scheduler=<tidegate.Scheduler live=1 ")
    with pytest.raises(tidegate.SnapshotError):
        tidegate.SharedScheduler.restore(config, b"")


class Engine:
    """An engine's thread: polls, sleeps, and gives what starts to whoever runs it."""

    def __init__(self, shared: tidegate.SharedScheduler) -> None:
        self.shared = shared
        self.seen: Counter[type] = Counter()
        self.starts: queue.Queue[tidegate.Start] = queue.Queue()
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():  # between the poll and the sleep: a poll takes up what it was woken for
            self.shared.wait(self.shared.scheduler.poll_timeout(), now_ns=time.monotonic_ns())
            self.poll()

    def poll(self) -> None:
        now_ns = time.monotonic_ns()
        for outcome in self.shared.poll(now_ns=now_ns):
            self.seen[type(outcome)] += 1
            if isinstance(outcome, tidegate.Start):
                self.starts.put(outcome)
            elif isinstance(outcome, tidegate.Preempt):
                self.shared.preempted(outcome.victim, outcome.attempt, now_ns=now_ns)

    def end(self) -> None:
        self.ended.set()
        self.shared.wake()


def again_while_busy(call: Callable[[], object], busy: Counter[str]) -> object:
    while True:
        try:
            return call()
        except tidegate.Busy:
            busy["busy"] += 1
            time.sleep(0)  # the engine's thread is behind: its turn


def test_threads_lose_nothing_and_no_wake_up(config: tidegate.Config) -> None:
    """Whoever submits waits for its own request to have run before the next: one wake-up lost, and all stand still."""
    shared = tidegate.SharedScheduler(config, intake_capacity=8, now_ns=time.monotonic_ns())
    core = shared.scheduler
    core.worker_add({"slots": 2, "kv_blocks": 400}, now_ns=time.monotonic_ns())
    tenant = core.tenant_set("acme", now_ns=time.monotonic_ns())
    engine, each, clients, busy = Engine(shared), 150, 4, Counter[str]()
    done = [threading.Semaphore(0) for _ in range(clients)]
    whose: dict[int, int] = {}

    def client(number: int) -> None:
        for turn in range(each):
            if turn % 3 == 0:  # on the spot
                demand, tag = ONE, number
                whose[core.submit(tenant=tenant, tier=2, demand=demand, tag=tag, now_ns=time.monotonic_ns())] = number
            else:
                submit_one(number)
            assert done[number].acquire(timeout=PATIENCE_S), f"client {number} waits for ever"

    def submit_one(number: int) -> None:
        again_while_busy(
            lambda: shared.submit(tenant=tenant, tier=2, demand=ONE, tag=number, now_ns=time.monotonic_ns()), busy
        )

    def worker() -> None:
        left = clients * each
        while left:
            start = engine.starts.get(timeout=PATIENCE_S)
            again_while_busy(
                lambda start=start: shared.complete(start.request, start.attempt, now_ns=time.monotonic_ns()), busy
            )
            left -= 1
            # Anybody's: all requests are alike, and as many go on as have run.
            done[left % clients].release()

    with running(engine.run) as failed:
        with running(worker, *(lambda number=number: client(number) for number in range(clients))) as also_failed:
            pass
        engine.end()
    assert failed + also_failed == []
    shared.poll(now_ns=time.monotonic_ns())
    assert core.stats().completed == clients * each
    assert core.stats().live == 0
    assert engine.seen[Accepted] == clients * each - len(whose)
    core.check_invariants()


def test_who_dies_in_the_middle_leaves_nothing_locked(shared: tidegate.SharedScheduler) -> None:
    """Threads that end by an exception between two calls, and one that dies in a call: what they said counts."""
    engine = Engine(shared)

    def dies(turn: int) -> None:
        submit(shared, tag=turn, now_ns=time.monotonic_ns())
        if turn % 2:
            shared.submit(tenant=0, tier=0, demand={"slots": Dies()}, now_ns=time.monotonic_ns())
        raise Death

    with running(engine.run) as failed:
        with running(*(lambda turn=turn: dies(turn) for turn in range(20))) as deaths:
            pass
        assert [type(death) for death in deaths] == [Death] * 20
        for _ in range(20):
            start = engine.starts.get(timeout=PATIENCE_S)
            shared.complete(start.request, start.attempt, now_ns=time.monotonic_ns())
        engine.end()
    assert failed == []
    shared.poll(now_ns=time.monotonic_ns())
    assert shared.scheduler.stats().completed == 20
    shared.scheduler.check_invariants()


class Death(Exception):
    """The end of a thread."""


class Dies:
    """A number that raises while it is read."""

    def __index__(self) -> int:
        raise Death


FREE = """
import sys, threading
import tidegate

shared = tidegate.SharedScheduler(tidegate.Config(dimensions=["slots"], tiers=[{"name": "only"}]), now_ns=0)
shared.scheduler.worker_add([1], now_ns=0)
shared.scheduler.tenant_set("acme", now_ns=0)
shared.poll(now_ns=0)
woken, sleeps = [], threading.Event()


def sleep():
    sleeps.set()
    while not (work := shared.wait(now_ns=0)):
        pass  # it may wake up for nothing
    woken.append(work)


sleeper = threading.Thread(target=sleep)
sleeper.start()
sleeps.wait()
turns = sum(1 for _ in range(100_000))
shared.submit(tenant=0, tier=0, demand=[1], now_ns=0)
sleeper.join()
print(woken, turns)
"""


def test_the_interpreter_is_free_while_one_sleeps() -> None:
    """In a process of its own: an interpreter that is held could not be told that the time is over."""
    ran = subprocess.run([sys.executable, "-c", FREE], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("[True] 100000\n", "", 0)


def test_a_wake_up_lasts_until_the_next_poll(shared: tidegate.SharedScheduler) -> None:
    shared.poll(now_ns=0)
    assert not shared.wait(0, now_ns=0)
    shared.wake()
    for _ in range(2):
        assert shared.wait(now_ns=0), "nobody slept, and nobody polled"
    shared.poll(now_ns=0)
    assert not shared.wait(0, now_ns=0)


def test_a_deadline_ends_a_sleep_and_not_earlier(shared: tidegate.SharedScheduler) -> None:
    shared.poll(now_ns=0)
    began, turns = time.monotonic_ns(), 0
    until_ns = began + 120_000_000
    while time.monotonic_ns() < until_ns:
        assert not shared.wait(until_ns, now_ns=time.monotonic_ns()), "there is nothing to poll"
        turns += 1
    assert turns < 100, "it sleeps, but for a false alarm"
    assert not shared.wait(5, now_ns=9), "an instant that has passed"


INTERRUPTED = """
import signal, sys, threading, time
import tidegate

shared = tidegate.SharedScheduler(tidegate.Config(dimensions=["slots"], tiers=[{"name": "only"}]), now_ns=0)
try:
    print("sleeps", flush=True)
    while True:
        shared.wait(now_ns=0)
except KeyboardInterrupt:
    print(time.monotonic_ns(), flush=True)
"""


def test_ctrl_c_ends_a_sleep() -> None:
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True) as program:
        watchdog = threading.Timer(PATIENCE_S, program.kill)
        watchdog.start()
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "sleeps\n"
            pressed_at = time.monotonic_ns()
            program.send_signal(signal.SIGINT)
            heard_at = program.stdout.readline()
            assert program.wait(PATIENCE_S) == 0
        finally:
            watchdog.cancel()
            program.kill()
    print(f"heard after {(int(heard_at) - pressed_at) / 1e6:.1f} ms")
    # The nap is 50 ms; the rest is what a busy machine takes to give a thread a core.
    assert int(heard_at) - pressed_at < 2_000_000_000


FORKED = """
import os, signal, threading, time, warnings
import tidegate

warnings.simplefilter("ignore", DeprecationWarning)
shared = tidegate.SharedScheduler(tidegate.Config(dimensions=["slots"], tiers=[{"name": "only"}]), now_ns=0)
core = shared.scheduler
tenant = core.tenant_set("acme", now_ns=0)
ended = threading.Event()


def polls():
    while not ended.is_set():
        shared.poll(now_ns=0)


def told(call):
    try:
        call()
    except tidegate.Forked:
        return True


def child():
    calls = (
        lambda: shared.submit(tenant=tenant, tier=0, demand=[1], now_ns=0),
        lambda: shared.poll(now_ns=0), lambda: shared.wait(now_ns=0), shared.wake, core.stats, lambda: repr(shared),
    )
    return 0 if all(told(call) for call in calls) else 1


thread = threading.Thread(target=polls)
thread.start()
ended_by = set()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        os._exit(child())
    ended_by.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
ended.set()
thread.join()
shared.submit(tenant=tenant, tier=0, demand=[1], now_ns=0)
print(sorted(ended_by), len(shared.poll(now_ns=0)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_it_is_of_the_process_that_made_it() -> None:
    """A child is told so by every call, and waits for no lock; the parent goes on."""
    run = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["[0]", "1"]


def test_the_program_of_the_guide_runs() -> None:
    guide = (Path(__file__).parents[2] / "docs/GUIDE.md").read_text()
    programs = re.findall(r"^```python\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    (program,) = (program for program in programs if "SharedScheduler" in program)
    command = [sys.executable, "-W", "error", "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "2 clients were served\n", "")


def test_what_is_dropped_while_its_scheduler_is_held_stays_good(config: tidegate.Config) -> None:
    shared = tidegate.SharedScheduler(config, now_ns=0)
    core = shared.scheduler
    del shared
    gc.collect()
    assert core.tenant_set("acme", now_ns=0) == 0
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(tidegate.SharedScheduler(config, now_ns=0))
