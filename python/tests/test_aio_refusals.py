"""What a gate refuses: the right exception, with the field's name and numbers, and nothing changed."""

import asyncio
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from aio_world import ONE, config, ended, gate_of, hold, run, settled, until

import tidegate
from tidegate.aio import ClockError, Closed, Gate, GateFull, NotHeld, OverQuota, WrongLoop

NAN = float("nan")
HUGE = 2**64
SECOND = 1_000_000_000


async def refused(gate: Gate, **spec: Any) -> BaseException:
    """What the beginning of a block raises. It leaves nothing."""
    before = gate.scheduler.stats()
    try:
        async with gate.admit(**{"tenant": "acme", "tier": 0, "demand": ONE, **spec}):
            raise AssertionError("it was admitted")
    except (tidegate.Error, TypeError) as error:
        settled(gate)
        assert gate.scheduler.stats() == before
        return error


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("tier", NAN, TypeError),
        ("tier", None, TypeError),
        ("tier", b"realtime", TypeError),
        ("tier", "vip", tidegate.UnknownTier),
        ("tier", 7, tidegate.UnknownTier),
        ("tier", HUGE, tidegate.BadArgument),
        ("tenant", NAN, TypeError),
        ("tenant", 12, tidegate.UnknownTenant),
        ("tenant", "", tidegate.BadName),
        ("tenant", "\ud800", tidegate.BadArgument),
        ("pool", "b200", tidegate.UnknownPool),
        ("pool", NAN, TypeError),
        ("demand", {"gpus": 1}, tidegate.UnknownDimension),
        ("demand", {"slots": NAN}, TypeError),
        ("demand", [1, NAN], TypeError),
        ("demand", {"slots": HUGE}, tidegate.BadArgument),
        ("demand", {"slots": -1}, tidegate.BadArgument),
        ("demand", {"slots": 2**63}, tidegate.LimitExceeded),
        ("demand", {}, tidegate.ZeroDemand),
        ("demand", {"slots": 5}, tidegate.NeverFits),
        ("demand", count(1), tidegate.Error),
        ("demand", NAN, TypeError),
        ("demand", None, TypeError),
        ("demand", "slots", TypeError),
        ("peak", {"gpus": 1}, tidegate.UnknownDimension),
        ("prompt_tokens", NAN, TypeError),
        ("prompt_tokens", "12", TypeError),
        ("prompt_tokens", -1, tidegate.BadArgument),
        ("prompt_tokens", HUGE, tidegate.BadArgument),
        ("prompt_tokens", 2**63, tidegate.LimitExceeded),
        ("cached_tokens", NAN, TypeError),
        ("output_tokens", NAN, TypeError),
        ("output_tokens", HUGE, tidegate.BadArgument),
        ("yielding", "sometimes", tidegate.BadArgument),
        ("yielding", NAN, TypeError),
        ("deadline_ns", NAN, TypeError),
        ("deadline_ns", -1, tidegate.BadArgument),
        ("queue_timeout_ns", NAN, TypeError),
        ("queue_timeout_ns", HUGE, tidegate.BadArgument),
        ("tag", NAN, TypeError),
        ("tag", 2**9_000, tidegate.BadArgument),
    ],
)
def test_what_no_request_can_be(field: str, value: object, kind: type[Exception]) -> None:
    async def main() -> None:
        async with gate_of() as gate:
            error = await refused(gate, **{field: value})
            assert isinstance(error, kind), error
            settled(gate)
            await hold(gate, "realtime", 1)

    run(main())


@pytest.mark.parametrize("field", ["tier", "tenant", "pool", "prompt_tokens", "cached_tokens", "output_tokens", "tag"])
def test_a_value_of_the_wrong_type_is_told_by_its_name(field: str) -> None:
    async def main() -> None:
        async with gate_of() as gate:
            assert any(field in note for note in (await refused(gate, **{field: NAN})).__notes__)

    run(main())


def test_a_word_that_is_no_argument_is_refused_at_once() -> None:
    async def main() -> None:
        async with gate_of() as gate:
            with pytest.raises(TypeError, match="colour"):
                gate.admit(tenant="acme", tier=0, demand=ONE, colour="red")  # type: ignore[call-arg]
            with pytest.raises(TypeError, match="demand"):
                gate.admit(tenant="acme", tier=0)  # type: ignore[call-arg]

    run(main())


@pytest.mark.parametrize(
    ("verb", "fields", "kind"),
    [
        ("progress", {"output_tokens": NAN}, TypeError),
        ("progress", {"output_tokens": HUGE}, tidegate.BadArgument),
        ("progress", {"output_tokens": 2**63}, tidegate.LimitExceeded),
        ("progress", {"output_tokens": 1, "in_use": {"gpus": 1}}, tidegate.UnknownDimension),
        ("progress", {"output_tokens": 1, "in_use": [1, NAN]}, TypeError),
        ("started", {"cached_tokens": NAN}, TypeError),
        ("started", {"cached_tokens": -1}, tidegate.BadArgument),
        ("used", {"output_tokens": NAN}, TypeError),
        ("used", {"output_tokens": 2**63}, tidegate.BadArgument),
        ("used", {"prompt_tokens": -1}, tidegate.BadArgument),
        ("used", {"cached_tokens": "1"}, TypeError),
    ],
)
def test_a_report_of_what_cannot_be_changes_nothing(verb: str, fields: dict[str, Any], kind: type[Exception]) -> None:
    async def main() -> None:
        async with gate_of() as gate:
            async with gate.admit(tenant="acme", tier=0, demand=ONE, prompt_tokens=5) as grant:
                grant.progress(output_tokens=3)
                with pytest.raises(kind):
                    getattr(grant, verb)(**fields)
                assert gate.scheduler.in_use(0) == ONE
                grant.progress(output_tokens=4)
            usage = gate.scheduler.usage(gate.tenant_set("acme"))
            assert (usage.prompt_tokens, usage.cached_tokens, usage.output_tokens) == (5, 0, 4)
            assert ended(gate) == (1, 0, 0, 0)

    run(main())


@pytest.mark.parametrize("tokens", [NAN, -1, HUGE, 2**63, "7"])
def test_a_yield_of_what_cannot_be_keeps_the_place(tokens: Any) -> None:
    async def main() -> None:
        async with gate_of() as gate:
            async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                with pytest.raises((TypeError, tidegate.Error)):
                    await grant.yield_(tokens_kept=tokens)
                with pytest.raises((TypeError, tidegate.Error)):
                    await grant.decline(why=tokens)
                grant.progress(output_tokens=1)
            assert ended(gate) == (1, 0, 0, 0)

    run(main())


def test_over_quota_says_when_to_come_again() -> None:
    async def main() -> None:
        async with gate_of() as gate:
            acme = gate.tenant_set("acme")
            gate.tenant_configure(acme, requests=tidegate.Rate(1, 2 * SECOND, 1), over_quota="reject")
            await hold(gate, "realtime", 0.5)
            with pytest.raises(OverQuota) as refusal:
                await hold(gate, "realtime", 1)
            assert isinstance(refusal.value, tidegate.OverQuota)
            assert refusal.value.tenant == acme
            assert refusal.value.retry_after is not None
            assert abs(refusal.value.retry_after - 1.5) < 0.001
            await asyncio.sleep(refusal.value.retry_after)
            await hold(gate, "realtime", 1)
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_time_alone_may_not_help() -> None:
    async def main() -> None:
        async with gate_of() as gate:
            gate.tenant_configure(gate.tenant_set("acme"), max_running=1, over_quota="reject")
            holder = asyncio.create_task(hold(gate, "realtime", 1))
            await until(lambda: gate.inside == 1)
            with pytest.raises(OverQuota) as refusal:
                await hold(gate, "realtime", 1)
            assert refusal.value.retry_after is None
            await holder

    run(main())


def test_a_full_queue_and_a_full_gate_say_so_in_one_way() -> None:
    async def main() -> None:
        async with gate_of(1, max_waiting=1) as gate:
            holders = []
            for _ in range(2):
                holders.append(asyncio.create_task(hold(gate, "batch", 1)))
                await until(lambda: gate.inside == 1)
            await until(lambda: gate.waiting == 1)
            with pytest.raises(GateFull) as full:
                await hold(gate, "realtime", 1)
            assert isinstance(full.value, tidegate.QueueFull)
            assert (full.value.scope, full.value.unit, full.value.limit) == ("gate", "requests", 1)
            await asyncio.gather(*holders)
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_those_for_whom_there_is_room_do_not_fill_a_gate() -> None:
    async def main() -> None:
        async with gate_of(4, max_waiting=1) as gate:
            await asyncio.gather(*(hold(gate, "batch", 1) for _ in range(5)))
            assert ended(gate) == (5, 0, 0, 0)
        with pytest.raises(tidegate.BadArgument, match="max_waiting"):
            gate_of(4, max_waiting=0)

    run(main())


def test_one_that_comes_back_is_not_refused_by_a_full_gate() -> None:
    async def main() -> None:
        async with gate_of(1, max_waiting=1) as gate:
            victim = asyncio.create_task(hold(gate, "batch", 2))
            await until(lambda: gate.inside == 1)
            await asyncio.gather(hold(gate, "realtime", 1), victim)
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_a_grant_is_used_inside_its_block_alone() -> None:
    async def main() -> None:
        async with gate_of() as gate:
            admission = gate.admit(tenant="acme", tier=0, demand=ONE)
            async with admission as grant:
                pass
            verbs: list[Callable[[], object]] = [
                grant.check,
                grant.started,
                lambda: grant.progress(output_tokens=1),
            ]
            for verb in verbs:
                with pytest.raises(NotHeld):
                    verb()
            for wait in (grant.yield_, grant.decline, admission.__aenter__):
                with pytest.raises(NotHeld):
                    await wait()
            assert ended(gate) == (1, 0, 0, 0)

    run(main())


@pytest.mark.parametrize("shuts", ["aclose", "drain"])
def test_a_gate_that_is_shut_takes_nothing_new(shuts: str) -> None:
    async def main() -> None:
        async with gate_of() as gate:
            if shuts == "drain":
                assert await gate.drain(within=1)
                gate.worker_add([1, 100])
            else:
                await gate.aclose()
                await gate.aclose()
                with pytest.raises(Closed):
                    gate.worker_add([1, 100])
            assert not gate.is_open
            assert isinstance(await refused(gate), Closed)

    run(main())


def test_a_gate_is_made_in_a_loop() -> None:
    with pytest.raises(WrongLoop):
        Gate(config())


def test_another_loop_and_another_thread_are_refused() -> None:
    made: list[Gate] = []

    def from_elsewhere(gate: Gate) -> list[type[BaseException]]:
        async def use() -> None:
            async with gate.admit(tenant="acme", tier=0, demand=ONE):
                raise AssertionError("it was admitted")

        calls: list[Callable[[], object]] = [
            lambda: asyncio.run(use()),
            lambda: asyncio.run(gate.drain(within=1)),
            lambda: asyncio.run(gate.aclose()),
            lambda: gate.worker_add([1, 1]),
            gate.poll,
        ]
        kinds: list[type[BaseException]] = []
        for call in calls:
            try:
                call()
            except BaseException as error:
                kinds.append(type(error))
        return kinds

    async def main() -> None:
        async with gate_of() as gate:
            made.append(gate)
            seen: list[type[BaseException]] = []
            thread = threading.Thread(target=lambda: seen.extend(from_elsewhere(gate)))
            thread.start()
            thread.join(30)
            assert not thread.is_alive()
            assert seen == [WrongLoop] * 5
            assert gate.is_open
            await hold(gate, "realtime", 1)
            assert ended(gate) == (1, 0, 0, 0)

    run(main())
    assert from_elsewhere(made[0]) == [WrongLoop] * 5


def test_several_gates_do_not_know_each_other() -> None:
    async def main() -> None:
        async with gate_of(1) as one, gate_of(1) as two:
            await asyncio.gather(*(hold(gate, "realtime", 1) for gate in (one, two, one)))
            assert (ended(one), ended(two)) == ((2, 0, 0, 0), (1, 0, 0, 0))

    run(main())


class Clock:
    """A clock that answers what it is told to."""

    def __init__(self) -> None:
        self.answers: Callable[[], Any] = lambda: 5 * SECOND

    def __call__(self) -> int:
        answer: int = self.answers()
        return answer


def broken() -> int:
    raise ValueError("no clock")


@pytest.mark.parametrize("answers", [broken, lambda: NAN, lambda: -1, lambda: HUGE, lambda: 2**9_000, lambda: "now"])
def test_a_clock_that_answers_nonsense_refuses_the_new_and_keeps_nobody(answers: Callable[[], Any]) -> None:
    async def main() -> None:
        clock = Clock()
        async with gate_of(clock_ns=clock) as gate:
            async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                clock.answers = answers
                assert isinstance(await refusal(gate), ClockError)
                grant.progress(output_tokens=1)
            assert ended(gate) == (1, 0, 0, 0)
            with pytest.raises(ClockError):
                gate.worker_add([1, 100])
            clock.answers = lambda: 6 * SECOND
            await hold(gate, "realtime", 1)
            loop = asyncio.get_running_loop()
            faults = loop.faults  # type: ignore[attr-defined]
            assert {type(fault["exception"]) for fault in faults} == {ClockError}
            faults.clear()

    async def refusal(gate: Gate) -> BaseException:
        try:
            async with gate.admit(tenant="acme", tier=0, demand=ONE):
                raise AssertionError("it was admitted")
        except tidegate.Error as error:
            return error

    run(main())


def test_a_clock_that_goes_back_stands_still() -> None:
    async def main() -> None:
        clock = Clock()
        async with gate_of(1, clock_ns=clock) as gate:
            async with gate.admit(tenant="acme", tier=0, demand=ONE):
                clock.answers = lambda: 1
            await hold(gate, "realtime", 1)
            assert gate.scheduler.stats().clock_regressions == 0
            assert ended(gate) == (2, 0, 0, 0)

    run(main())
