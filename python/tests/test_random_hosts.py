"""Random hosts, honest and not: no call breaks an invariant, and a journal of the calls replays the same.

A failing seed is run again by `pytest python/tests/test_random_hosts.py -k SEED`.
"""

import random
from collections import Counter
from contextlib import suppress
from typing import cast

import pytest

import tidegate
from tidegate import (
    Decline,
    DevicePart,
    Gate,
    Order,
    Preempt,
    Reason,
    Start,
    StepException,
    WorkerKind,
    Yielding,
    arrays,
    journal,
)
from tidegate._digest import Digest, action_bytes


def config(order: Order, share_ppm: int) -> tidegate.Config:
    """A config of the same names as any other of these."""
    return tidegate.Config(
        dimensions=["slots", "kv_blocks"],
        pools=["first", "second"],
        min_run="0s",
        confirm_after="10ns",
        decline_backoff="5ns",
        rebalance_every="1ns",
        step_time={"base": "20ns", "prompt_token": "1ns", "decode": "2ns"},
        queue_limit=12,
        displace=True,
        tiers=[
            {"name": "realtime", "reserve_ppm": share_ppm, "hold_window": "50ns"},
            {"name": "near-realtime", "order": order, "hold_window": "0s", "queue_timeout": "100ns"},
            {"name": "batch", "reserve_ppm": 50_000, "hold_window": "0s"},
        ],
    )


CONFIG = config(Order.FIFO, 300_000)
SEEDS = range(60)
STEPS = 250
REFUSED = (
    tidegate.SubmitError,
    tidegate.ReportError,
    tidegate.WorkerError,
    tidegate.TenantError,
    tidegate.ConfigError,
)


class Host:
    """Tells a scheduler things, and writes them down as a journal says them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.gruff = seed % 10 == 9  # its engines decline everything
        self.by_rows = seed % 2 == 1  # it hears of actions by arrays
        self.now_ns = 0
        self.sched = tidegate.Scheduler(CONFIG, now_ns=0)
        self.lines: list[str] = []
        self.inputs = 0
        self.digest = Digest()
        self.actions = 0
        self.starts: list[tuple[int, int]] = []
        self.submitted: list[int] = []

    def tell(self, verb: str, /, **fields: object) -> None:
        """Calls a verb; the fields stand in the journal's order."""
        told = dict(fields)
        if verb == "submit":  # the other pools it names stand last
            told["pool"], *told["other_pools"] = cast("list[int]", fields["pool"])
        words = [word for name, value in told.items() if name != "other_pools" or value for word in written(value)]
        self.lines.append(" ".join([str(self.now_ns), verb, *words]))
        self.inputs += 1
        with suppress(*REFUSED):
            made = getattr(self.sched, verb)(**fields, now_ns=self.now_ns)
            if verb == "submit":
                self.submitted.append(made)

    def poll(self) -> None:
        """Polls a round, reports the starts, and stops most victims."""
        if self.by_rows:
            actions = [arrays.action(row) for row in arrays.poll(self.sched, now_ns=self.now_ns)]
        else:
            actions = self.sched.poll(now_ns=self.now_ns)
        self.lines.append(f"{self.now_ns} poll {len(actions) + 1}")
        self.actions += len(actions)
        for action in actions:
            self.digest.update(action_bytes(self.now_ns, action))
        for action in actions:
            match action:
                case Start(request, _, attempt):
                    self.starts.append((request, attempt))
                    if self.gruff:
                        self.tell("declined", request=request, attempt=attempt, why=Decline.NO_ROOM)
                    elif self.random.random() < 0.8:
                        self.tell("started", request=request, attempt=attempt, cached_tokens=0, in_use=[1, 20, 0, 0])
                case Preempt(victim, attempt):
                    if self.random.random() < 0.8:
                        kept, releasing = self.random.randrange(99), self.random.random() < 0.3
                        self.tell("preempted", request=victim, attempt=attempt, tokens_kept=kept, releasing=releasing)

    def submit(self) -> None:
        self.tell(
            "submit",
            tenant=self.random.choice([0, 0, 0, 7]),
            tier=self.random.choice([0, 1, 2, 2, 2, 3]),
            pool=self.random.choice([[0]] * 10 + [[0, 1], [1, 0], [1], [0, 0], [2], [1, 2]]),
            demand=[1, self.random.randrange(45), 0, self.random.choice([0] * 20 + [1])],
            peak=[0, self.random.randrange(60), 0, 0],
            prompt_tokens=self.random.choice([0, 512, 2**64 - 1] if self.random.random() < 0.1 else [512]),
            cached_tokens=self.random.choice([0, 500]),
            output_tokens=self.random.choice([None, 256]),
            yielding=self.random.choice(list(Yielding)),
            deadline_ns=self.random.choice([None, self.now_ns + self.random.randrange(100)]),
            queue_timeout_ns=self.random.choice([None, None, 40]),
            tag=self.random.getrandbits(64),
        )

    def report(self) -> None:
        """Reports of a start, which may have ended, or of one that never was."""
        request, attempt = self.random.choice([*self.starts[-8:], (self.random.getrandbits(64), 1)])
        of_it = {"request": request, "attempt": attempt}
        in_use = [1, self.random.randrange(35), 0, 0]
        verbs = ["complete", "complete", "progress", "progress", "declined", "amend", "step", "other"]
        match self.random.choice(verbs):
            case "amend":
                self.tell(
                    "amend",
                    request=request,
                    demand=self.random.choice([None, [1, self.random.randrange(45), 0, 0]]),
                    peak=self.random.choice([None, [1, 60, 0, 0]]),
                    tier=self.random.choice([None, 0, 1, 2, 3]),
                    deadline_ns=self.random.choice([None, self.now_ns]),
                )
            case "step":
                exceptions = [StepException(request, attempt, self.random.randrange(200), in_use)]
                self.tell(
                    "step",
                    worker=self.random.randrange(3),
                    tokens_each=self.random.randrange(3),
                    exceptions=self.random.choice([[], exceptions]),
                )
            case "complete":
                self.tell("complete", **of_it, prompt_tokens=512, cached_tokens=0, output_tokens=9)
            case "progress":
                self.tell("progress", **of_it, output_tokens=self.random.randrange(200), in_use=in_use)
            case "declined":
                self.tell("declined", **of_it, why=self.random.choice(list(Decline)))
            case _:
                self.tell("cancel", request=request)
                self.tell(self.random.choice(["failed", "released"]), **of_it)

    def change_workers(self) -> None:
        """Adds one, drains one or loses one, now and then one that is not there."""
        if self.random.random() < 0.6:
            parts = [DevicePart(self.random.randrange(3), self.random.choice([1_000_000, 500_000, 0]))]
            self.tell(
                "worker_add",
                pool=self.random.choice([0, 0, 1]),
                capacity=[self.random.randrange(5), self.random.randrange(150), 0, 0],
                kind=self.random.choice(list(WorkerKind)),
                spare=self.random.random() < 0.2,
                replaces=self.random.choice([None, None, self.random.randrange(6)]),
                devices=self.random.choice([[], parts]),
            )
        else:
            self.tell(self.random.choice(["worker_drain", "worker_lost"]), worker=self.random.randrange(6))

    def resize(self) -> None:
        """Changes what workers and devices have, or how it is shared."""
        units = [4, self.random.randrange(40, 150), 0, 0]
        after_ns = self.random.choice([None, self.random.randrange(60)])
        match self.random.choice(["worker", "device", "usage", "config", "device_lost"]):
            case "worker":
                worker = self.random.randrange(3)
                self.tell("worker_resize", worker=worker, capacity=units, preempt_after_ns=after_ns)
            case "device":
                device = self.random.randrange(3)
                self.tell("device_resize", device=device, limit=units, preempt_after_ns=after_ns)
            case "usage":
                self.tell("worker_usage", worker=self.random.randrange(3), in_use=units)
            case "config":
                order = self.random.choice(list(Order))
                self.tell("reconfigure", config=config(order, self.random.randrange(9) * 100_000))
            case _:
                self.tell("device_lost", device=self.random.choice([2, 3]))

    def step(self) -> None:
        """Does one thing at random; a clock may also go back."""
        acts = [self.submit, self.poll, self.report, self.change_workers, self.resize]
        [act] = self.random.choices(acts, [40, 30, 30, 1, 1])
        act()
        if self.random.random() < 0.4:
            self.now_ns = max(0, self.now_ns + self.random.randrange(-2, 40))

    def journal(self) -> bytes:
        """Gives all that was said."""
        config = CONFIG.to_toml()
        head = f"tidegate-journal 1\nstart 0\nconfig {config.count(chr(10))}\n{config}"
        return (head + "".join(f"{line}\n" for line in [*self.lines, f"end {self.inputs}"])).encode()


def written(value: object) -> list[str]:
    """Gives the words of a field."""
    match value:
        case None:
            return ["-"]
        case tidegate.Config():
            text = value.to_toml()
            return [f"{text.count(chr(10))}\n{text[:-1]}"]
        case [] | [tuple(), *_]:
            return [str(len(value)), *(word for record in value for word in written(record))]
        case list() | tuple():
            return [word for field in value for word in written(field)]
        case Yielding() | Decline() | WorkerKind():
            return [str(list(type(value)).index(value))]
        case _:
            return [str(int(value)) if isinstance(value, bool) else str(value)]


def run(seed: int) -> Host:
    host = Host(seed)
    for name in ("acme", "other tenant", ""):
        host.tell("tenant_set", name=name)
    host.tell("device_add", limit=[0, 0, 0, 0], checkpoint_mib=None)
    host.tell("device_add", limit=[6, 120, 0, 0], checkpoint_mib=1)
    first = {"kind": WorkerKind.DEDICATED, "spare": False, "replaces": None, "devices": [DevicePart(0)]}
    host.tell("worker_add", pool=0, capacity=[4, 100, 0, 0], **first)
    for _ in range(STEPS):
        host.step()
        host.sched.check_invariants()
        stats = host.sched.stats()
        ended = stats.completed + stats.failed + stats.cancelled + stats.dropped
        assert stats.submitted == ended + stats.live
    host.poll()
    return host


@pytest.mark.parametrize("seed", SEEDS)
def test_no_call_breaks_anything_and_the_journal_replays(seed: int) -> None:
    host = run(seed)
    replayed = journal.replay(host.journal().splitlines(keepends=True))
    assert str(replayed) == f"digest {host.digest} actions {host.actions} inputs {host.inputs}"


def explained(sched: tidegate.Scheduler, request: int) -> tuple[str, Gate | None]:
    """Says where a request stands, and what holds it back."""
    with suppress(tidegate.AlreadyTerminal):
        why = sched.explain(request)
        assert why.state == sched.state(request)
        return why.state, why.gate
    return "ended", None


def test_after_a_round_whatever_waits_is_held_back_by_something() -> None:
    met: Counter[Gate] = Counter()
    for seed in SEEDS:
        host = run(seed)
        while host.sched.poll(now_ns=host.now_ns):
            pass
        for state, gate in (explained(host.sched, request) for request in host.submitted):
            assert (gate is not None) == (state in ("queued", "parked")), (seed, state, gate)
            assert (gate is Gate.NO_WORKER) == (state == "parked"), (seed, state, gate)
            met.update([gate] if gate else [])
    assert {Gate.NO_WORKER, Gate.HELD, Gate.ROOM} <= met.keys()


def test_the_hosts_meet_everything() -> None:
    met: Counter[Reason] = Counter()
    for seed in SEEDS:
        met.update(run(seed).sched.stats().by_reason)
    # Leases think in milliseconds; these hosts live for microseconds.
    assert {reason for reason in Reason if not met[reason] and not reason.startswith("lease-")} == set()
