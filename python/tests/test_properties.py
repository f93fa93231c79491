"""Random hosts, honest and not: no call breaks an invariant, and a journal of the calls replays the same."""

from collections.abc import Callable
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

import tidegate
from tidegate import Decline, Yielding, journal
from tidegate._digest import Digest, action_bytes

CONFIG = tidegate.Config(
    dimensions=["slots", "kv_blocks"],
    min_run="0s",
    confirm_after="10ns",
    queue_limit=12,
    displace=True,
    tiers=[
        {"name": "realtime", "reserve_ppm": 300_000, "hold_window": "50ns"},
        {"name": "near-realtime", "hold_window": "0s", "queue_timeout": "100ns"},
        {"name": "batch", "reserve_ppm": 50_000},
    ],
)


class Host:
    """Tells a scheduler things, and writes them down as a journal says them."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.sched = tidegate.Scheduler(CONFIG, now_ns=0)
        self.lines: list[str] = []
        self.inputs = 0
        self.digest = Digest()
        self.actions = 0
        self.starts: list[tuple[int, int]] = []

    def tell(self, verb: str, /, **fields: object) -> None:
        """Calls a verb; the fields stand in the journal's order."""
        words = [word for value in fields.values() for word in written(value)]
        self.lines.append(" ".join([str(self.now_ns), verb, *words]))
        self.inputs += 1
        with suppress(tidegate.SubmitError, tidegate.ReportError, tidegate.WorkerError, tidegate.TenantError):
            getattr(self.sched, verb)(**fields, now_ns=self.now_ns)
        self.sched.check_invariants()

    def poll(self) -> None:
        """Polls a whole round."""
        actions = self.sched.poll(now_ns=self.now_ns)
        self.lines.append(f"{self.now_ns} poll {len(actions) + 1}")
        for action in actions:
            self.digest.update(action_bytes(self.now_ns, action))
            if isinstance(action, tidegate.Start):
                self.starts.append((action.request, action.attempt))
        self.actions += len(actions)
        self.sched.check_invariants()

    def journal(self) -> str:
        """Gives all that was said."""
        config = CONFIG.to_toml()
        head = f"tidegate-journal 1\nstart 0\nconfig {config.count(chr(10))}\n{config}"
        return head + "".join(f"{line}\n" for line in [*self.lines, f"end {self.inputs}"])


def written(value: object) -> list[str]:
    """Gives the words of a field."""
    match value:
        case None:
            return ["-"]
        case list():
            return [str(units) for units in value]
        case Yielding() | Decline():
            return [str(list(type(value)).index(value))]
        case bool():
            return [str(int(value))]
        case _:
            return [str(value)]


Step = Callable[[Host], None]

amounts = st.tuples(st.integers(0, 3), st.integers(0, 60)).map(lambda pair: [*pair, 0, 0])
tokens = st.integers(0, 1_000)


def pass_time(host: Host, step_ns: int) -> None:
    host.now_ns = max(0, host.now_ns + step_ns)


def a_start(host: Host, which: int) -> tuple[int, int]:
    """Gives a start that was made, ended ones too, or one that never was."""
    return host.starts[which % len(host.starts)] if host.starts else (1 << 32, 1)


def report(host: Host, which: int, verb: str, fields: dict[str, object]) -> None:
    request, attempt = a_start(host, which)
    host.tell(verb, request=request, attempt=attempt, **fields)


def cancel(host: Host, which: int) -> None:
    request, _ = a_start(host, which)
    host.tell("cancel", request=request)


def step(function: Callable[..., None], *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Step]:
    return st.tuples(*arguments).map(lambda values: lambda host: function(host, *values))


def arguments(fields: dict[str, st.SearchStrategy[object]]) -> st.SearchStrategy[dict[str, object]]:
    """Draws the fields and keeps them in their order, which a drawn dictionary need not have."""
    return st.tuples(*fields.values()).map(lambda values: dict(zip(fields, values, strict=True)))


def verb(name: str, /, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[Step]:
    return arguments(fields).map(lambda values: lambda host: host.tell(name, **values))


def report_of(name: str, /, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[Step]:
    return step(report, st.integers(0, 30), st.just(name), arguments(fields))


submits = verb(
    "submit",
    tenant=st.integers(0, 2),
    tier=st.integers(0, 3),
    pool=st.just(0),
    demand=amounts,
    peak=amounts,
    prompt_tokens=tokens,
    output_tokens=st.none() | tokens,
    yielding=st.sampled_from(Yielding),
    queue_timeout_ns=st.none() | st.integers(0, 100),
    tag=tokens,
)

steps = st.one_of(
    submits,
    submits,
    submits,
    step(Host.poll),
    step(Host.poll),
    step(pass_time, st.integers(-3, 60)),
    verb("tenant_set", name=st.sampled_from(["acme", "other tenant", ""])),
    verb("worker_add", pool=st.integers(0, 1), capacity=amounts),
    verb("worker_drain", worker=st.integers(0, 3)),
    verb("worker_lost", worker=st.integers(0, 3)),
    step(cancel, st.integers(0, 30)),
    report_of("started", cached_tokens=tokens, in_use=amounts),
    report_of("declined", why=st.sampled_from(Decline)),
    report_of("progress", output_tokens=tokens, in_use=amounts),
    report_of("preempted", tokens_kept=tokens, releasing=st.booleans()),
    report_of("released"),
    report_of("complete", prompt_tokens=tokens, cached_tokens=tokens, output_tokens=tokens),
    report_of("failed"),
)


@settings(max_examples=200)
@given(st.lists(steps, min_size=5, max_size=60))
def test_no_call_breaks_anything_and_the_journal_replays(steps: list[Step]) -> None:
    host = Host()
    host.tell("tenant_set", name="acme")
    host.tell("worker_add", pool=0, capacity=[4, 100, 0, 0])
    for step in steps:
        step(host)
    host.poll()
    stats = host.sched.stats()
    ended = stats.completed + stats.failed + stats.cancelled + stats.dropped
    assert stats.submitted == ended + stats.live
    replayed = journal.replay(host.journal().encode().splitlines(keepends=True))
    assert str(replayed) == f"digest {host.digest} actions {host.actions} inputs {host.inputs}"
