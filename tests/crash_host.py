"""A host that may be killed at any moment: `crash_host.py FOLDER JOBS`. It prints a line for each that it reads.

`start JOB ATTEMPT` when an engine begins, `done JOB` when a client has its answer, and at last `stats`: submitted,
completed and live requests, output tokens, and tokens of quota that are held.
"""

import sys
from itertools import islice

import tidegate
from tidegate import Preempt, Start
from tidegate.durable import Durable

WORKERS = 2
SLOTS = 3


def config() -> tidegate.Config:
    tiers = [{"name": "realtime", "reserve_ppm": 300_000}, {"name": "batch"}]
    return tidegate.Config(dimensions=["slots"], tiers=tiers, min_run="0s")


def say(*words: object) -> None:
    """Says a line, once it may: who reads it bounds how far this runs ahead."""
    if not sys.stdin.readline():
        sys.exit("nobody listens")
    print(*words, flush=True)


class Host:
    """Two workers, and as many jobs as it is told to have done in the end."""

    def __init__(self, folder: str, jobs: int) -> None:
        self._durable = Durable(folder, config(), fsync=False)
        # Worker n of this life comes after those of the lives before.
        lives = self._count_life(folder)
        self._durable.lose_workers(lives * WORKERS)
        for _ in range(WORKERS):
            self._durable.tell("worker_add", capacity=[SLOTS])
        tenant = self._durable.tell("tenant_set", "acme")
        self._durable.tell("tenant_configure", tenant, tokens=tidegate.Rate(1_000_000, 1_000_000_000, 1_000_000))
        submitted = self._durable.scheduler.stats().submitted
        self._jobs = iter(range(submitted, jobs))
        self._running: dict[int, int] = {}

    def _count_life(self, folder: str) -> int:
        with open(f"{folder}/lives", "a+b") as file:
            file.write(b"x")
            return file.tell() - 1

    def run(self) -> None:
        """Until nothing is left to do."""
        for turn in range(1_000_000):
            for job in islice(self._jobs, 2):
                tier = "realtime" if job % 3 == 0 else "batch"
                self._durable.submit(tenant="acme", tier=tier, demand=[1], prompt_tokens=5, note=job)
                say("queued", job)
            self._round()
            for request in list(self._running)[:1]:
                self._finish(request)
            if turn % 7 == 6:
                self._durable.save()
            if self._durable.scheduler.stats().live == 0:
                break
        stats = self._durable.scheduler.stats()
        used = self._durable.scheduler.usage(0)
        say("stats", stats.submitted, stats.completed, stats.live, used.output_tokens, used.held_tokens)

    def _round(self) -> None:
        for action in self._durable.poll():
            match action:
                case Start(request, _, attempt):
                    self._running[request] = attempt
                    say("start", self._durable.notes[request], attempt)
                case Preempt(victim, attempt):
                    del self._running[victim]
                    self._durable.tell("preempted", victim, attempt)
                case _:
                    pass

    def _finish(self, request: int) -> None:
        job = self._durable.notes[request]
        self._durable.tell("complete", request, self._running.pop(request), output_tokens=job)
        say("done", job)


if __name__ == "__main__":
    Host(sys.argv[1], int(sys.argv[2])).run()
