"""A client of an MPS server faults, and takes all clients of its device along: live, with processes.

There is no GPU: a server is a process, its clients are its children, and they die with it (`mps_processes.py` says what
of MPS that models). The host is real: it hears of the death by its clients' sockets, tells tidegate `worker_lost`
of one, starts another server whose clients replace the former, and obeys. Time is counted in turns, so that nothing
depends on how fast the processes are.
"""

import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import pytest
from mps_processes import step

import tidegate
from tidegate import AlsoLost, Drop, Preempt, Start

PROGRAM = Path(__file__).with_name("mps_processes.py")
CLIENTS = 3
# A process starts, answers or dies within this on any machine; only a failure waits so long.
PATIENCE_S = 60
TURN_NS = 1_000_000
MOST_TURNS = 2_000


@dataclass
class Job:
    """What a client is to compute, and what became of it."""

    number: int
    steps: int
    yielding: str
    done: int = 0
    expected: str = ""
    result: str = ""
    attempts: list[tuple[int, int]] = field(default_factory=list)
    """Of each attempt the device and the number of the process."""
    ended: str = ""


class Client:
    """The host's end of one client."""

    def __init__(self, near: socket.socket) -> None:
        near.settimeout(PATIENCE_S)
        self._socket = near
        self._lines: TextIO = near.makefile("rw")
        self.pid = 0

    def tell(self, words: str) -> None:
        """Says a line."""
        with suppress(BrokenPipeError, ConnectionResetError):
            print(words, file=self._lines, flush=True)

    def hear(self) -> list[str] | None:
        """Its next line, or `None` if it is dead. Bounded by `PATIENCE_S`."""
        try:
            line = self._lines.readline()
        except ConnectionResetError:
            return None
        return line.split() if line.endswith("\n") else None

    def close(self) -> None:
        """Hangs up."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._lines.close()
        self._socket.close()


class Server:
    """The process that serves a device, and the host's ends of its clients."""

    def __init__(self) -> None:
        pairs = [socket.socketpair() for _ in range(CLIENTS)]
        far = [end.fileno() for _, end in pairs]
        command = [sys.executable, str(PROGRAM), *map(str, far)]
        self.process = subprocess.Popen(command, pass_fds=far, stdin=subprocess.PIPE)
        self.clients = [Client(near) for near, _ in pairs]
        for _, end in pairs:
            end.close()
        for client in self.clients:
            said = client.hear()
            assert said is not None, "it starts"
            client.pid = int(said[1])

    def bury(self) -> int:
        """Waits until it and all of its clients are dead; returns how it died."""
        assert all(client.hear() is None for client in self.clients), "who was asked nothing says nothing"
        self.close()
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """Lets go of everything."""
        for client in self.clients:
            client.close()
        assert self.process.stdin is not None
        self.process.stdin.close()


class Host:
    """Two devices of three clients each, with tidegate in front."""

    def __init__(self) -> None:
        config = tidegate.Config(dimensions=["slots"], tiers=[{"name": "only"}], placement="spread", flap_backoff="5ms")
        self.turn = 0
        self.sched = tidegate.Scheduler(config, now_ns=0)
        self._tenant = self.sched.tenant_set("all", now_ns=0)
        self.servers: list[Server] = []
        self._devices = [self.sched.device_add([CLIENTS], now_ns=0) for _ in range(2)]
        self._workers: dict[int, tuple[int, int]] = {}
        self._latest: dict[tuple[int, int], int] = {}
        """By device and number of the process: the worker that it is, or was."""
        self.jobs: dict[int, Job] = {}
        self.running: dict[int, tuple[int, int]] = {}
        """By worker: the request and its attempt."""
        self.deaths = 0
        self.named: list[tuple[int, int]] = []
        """Workers that tidegate said were lost too, and by whose death."""
        self.gone: list[tuple[int, int]] = []
        """Those whose processes had died, likewise."""

    @property
    def now(self) -> int:
        """The time, in turns."""
        return self.turn * TURN_NS

    def serve(self, place: int) -> None:
        """Starts a server, the first at this place or the next one."""
        self.servers[place : place + 1] = [Server()]
        devices = [(self._devices[place], 1_000_000)]
        for index in range(CLIENTS):
            former = self._latest.get((place, index))
            worker = self.sched.worker_add([1], devices=devices, kind="mps", replaces=former, now_ns=self.now)
            self._workers[worker], self._latest[place, index] = (place, index), worker

    def submit(self, steps: int, yielding: str) -> Job:
        """A job of so many steps."""
        job = Job(len(self.jobs), steps, yielding, expected=f"job{len(self.jobs)}")
        for _ in range(steps):
            job.expected = step(job.expected)
        request = self.sched.submit(
            tenant=self._tenant, tier="only", demand=[1], prompt_tokens=1, yielding=yielding, now_ns=self.now
        )
        self.jobs[request] = job
        return job

    def client(self, worker: int) -> Client:
        """The process behind a worker."""
        place, index = self._workers[worker]
        return self.servers[place].clients[index]

    def on(self, place: int) -> list[int]:
        """The workers of a device that have something to do."""
        return [worker for worker in self.running if self._workers[worker][0] == place]

    def one_turn(self) -> None:
        """What is to start starts, and everybody does a step."""
        self.turn += 1
        self.obey()
        for worker, (request, attempt) in list(self.running.items()):
            job, client = self.jobs[request], self.client(worker)
            client.tell("step")
            said = client.hear()
            assert said is not None, f"job {job.number}: its client died and nobody had faulted"
            job.done, job.result = int(said[0]), said[1]
            self.sched.progress(request, attempt, output_tokens=job.done, in_use=[1], now_ns=self.now)
            if job.done == job.steps:
                self.sched.complete(request, attempt, prompt_tokens=1, output_tokens=job.steps, now_ns=self.now)
                del self.running[worker]
                assert not job.ended, "nothing is done twice"
                job.ended = "done"

    def obey(self) -> None:
        """Does what tidegate wants."""
        for action in self.sched.poll(now_ns=self.now):
            match action:
                case Start(request, worker, attempt):
                    job, client = self.jobs[request], self.client(worker)
                    client.tell(f"begin job{job.number}")
                    assert client.hear() == ["begun"]
                    assert worker not in self.running
                    self.running[worker] = request, attempt
                    job.attempts.append((self._workers[worker][0], client.pid))
                case Drop(request, reason):
                    self.jobs[request].ended = reason.name
                case AlsoLost(worker, by, reason):
                    assert reason == "worker-lost"
                    self.named.append((worker, by))
                case Preempt():
                    raise AssertionError("one tier: nobody yields")
        assert self.named == self.gone, "each sibling once, by number, and nobody of another device"
        self.sched.check_invariants()

    def fault(self, worker: int) -> list[Job]:
        """A client faults. Returns the jobs that went with its server, which is not there any more."""
        place, _ = self._workers[worker]
        self.client(worker).tell("fault")
        assert self.servers[place].bury() == -signal.SIGKILL
        self.deaths += 1
        clients = [self._latest[place, index] for index in range(CLIENTS)]
        self.gone += [(other, worker) for other in sorted(clients) if other != worker]
        self.sched.worker_lost(worker, now_ns=self.now)
        return [self.jobs[self.running.pop(lost)[0]] for lost in self.on(place)]

    def until_done(self) -> None:
        """Turns until nothing is left."""
        for _ in range(MOST_TURNS):
            if self.sched.stats().live == 0:
                return
            self.one_turn()
        raise AssertionError(f"{self.sched.stats().live} are not done after {MOST_TURNS} turns")


@contextmanager
def hosting() -> Iterator[Host]:
    """A host whose processes end with the test."""
    host = Host()
    try:
        for place in range(2):
            host.serve(place)
        yield host
    finally:
        for server in host.servers:
            server.close()
            server.process.kill()
            server.process.wait(PATIENCE_S)


def test_a_client_that_faults_takes_its_device_along_and_nothing_else() -> None:
    with hosting() as host:
        jobs = [host.submit(20, "never" if number % 3 == 2 else "restart") for number in range(2 * CLIENTS)]
        for _ in range(5):
            host.one_turn()
        assert all(job.done == 5 for job in jobs)
        there = [host.jobs[host.running[worker][0]] for worker in host.on(1)]
        processes = [client.pid for client in host.servers[1].clients]
        lost = host.fault(host.on(0)[1])
        assert len(lost) == CLIENTS
        host.obey()
        assert len(host.named) == CLIENTS - 1, "only one of them was told of"
        never = [job for job in lost if job.yielding == "never"]
        assert [job.ended for job in never] == ["WORKER_LOST"] * len(never)
        assert never, "one of each kind was there"
        # The other device goes on while this one is away, and nobody has room for who was on it.
        for _ in range(5):
            host.one_turn()
        assert all(job.done == 10 and len(job.attempts) == 1 for job in there)
        host.serve(0)
        host.until_done()
        assert [client.pid for client in host.servers[1].clients] == processes
        for job in jobs:
            if job not in never:
                assert (job.ended, job.result) == ("done", job.expected)
            assert len(job.attempts) == (2 if job in lost and job not in never else 1)
        stats = host.sched.stats()
        assert (stats.completed, stats.failed, stats.live) == (len(jobs) - len(never), len(never), 0)


@pytest.mark.parametrize("seed", range(3))
def test_servers_that_die_again_and_again(seed: int) -> None:
    chance = random.Random(seed)
    with hosting() as host:
        fell: set[int] = set()
        for turn in range(40):
            for _ in range(chance.randrange(2)):
                host.submit(chance.randrange(3, 12), chance.choice(["restart", "restart", "never"]))
            host.one_turn()
            place = chance.randrange(2)
            if turn % 8 == 7 and host.on(place):
                fell |= {job.number for job in host.fault(chance.choice(host.on(place)))}
                host.obey()
                host.serve(place)
        host.until_done()
        assert host.deaths >= 2
        assert len(set(host.named)) == len(host.named) == host.deaths * (CLIENTS - 1)
        assert fell, "somebody was there"
        for job in host.jobs.values():
            fails = job.yielding == "never" and job.number in fell
            assert job.ended == ("WORKER_LOST" if fails else "done"), job
            assert fails or job.result == job.expected, job
        failed = sum(job.ended != "done" for job in host.jobs.values())
        stats = host.sched.stats()
        assert (stats.completed, stats.failed, stats.live) == (len(host.jobs) - failed, failed, 0)
