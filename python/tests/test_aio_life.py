"""The life of a grant: it waits, holds its place, gives it back, and ends once."""

import asyncio
from contextlib import nullcontext

import pytest
from aio_world import ONE, ended, gate_of, hold, inside, run, settled, until

import tidegate
from tidegate.aio import Aborted, Closed, Dropped, Gate, NotHeld, PlaceLost, QueueTimeout


def test_a_block_begins_with_its_start_and_ends_complete() -> None:
    async def main() -> None:
        async with gate_of() as gate:
            async with gate.admit(tenant="acme", tier="realtime", demand=ONE, prompt_tokens=30) as grant:
                assert (grant.worker, grant.attempt, gate.inside) == (0, 1, 1)
                assert grant.reason is tidegate.Reason.GUARANTEED
                grant.started(cached_tokens=7)
                grant.progress(output_tokens=5, in_use=[1, 12])
                assert gate.scheduler.in_use("realtime") == {"slots": 1, "kv_blocks": 12}
                grant.progress(output_tokens=9)
                assert gate.scheduler.in_use("realtime") == {"slots": 1, "kv_blocks": 12}
            usage = gate.scheduler.usage(gate.tenant_set("acme"))
            assert (usage.prompt_tokens, usage.cached_tokens, usage.output_tokens) == (30, 7, 9)
            assert ended(gate) == (1, 0, 0, 0)

    run(main())


def test_what_was_used_is_what_the_block_said() -> None:
    async def main() -> None:
        async with gate_of() as gate:
            async with gate.admit(tenant="acme", tier=0, demand=ONE, prompt_tokens=30) as grant:
                grant.used(prompt_tokens=33, output_tokens=4)
                with pytest.raises(TypeError, match="output_tokens"):
                    grant.used(prompt_tokens=34, output_tokens=5.0)  # type: ignore[arg-type]
            usage = gate.scheduler.usage(gate.tenant_set("acme"))
            assert (usage.prompt_tokens, usage.cached_tokens, usage.output_tokens) == (33, 0, 4)

    run(main())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(), (0, 1, 0, 0)),
        (asyncio.CancelledError(), (0, 0, 1, 0)),
        (GeneratorExit(), (0, 0, 1, 0)),
        (KeyboardInterrupt(), (0, 0, 1, 0)),
    ],
)
def test_an_exception_fails_it_and_what_ends_a_task_cancels_it(
    error: BaseException, expected: tuple[int, int, int, int]
) -> None:
    async def block(gate: Gate) -> None:
        async with gate.admit(tenant="acme", tier=0, demand=ONE):
            raise error

    async def main() -> None:
        async with gate_of() as gate:
            with pytest.raises(type(error)) as caught:
                await block(gate)
            assert caught.value is error
            assert ended(gate) == expected

    run(main())


def test_a_task_that_is_cancelled_while_it_waits_cancels_its_request() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            holder = asyncio.create_task(hold(gate, "realtime", 10))
            await until(lambda: gate.inside == 1)
            waiter = asyncio.create_task(hold(gate, "realtime", 10))
            await until(lambda: gate.waiting == 1)
            waiter.cancel()
            assert isinstance((await asyncio.gather(waiter, return_exceptions=True))[0], asyncio.CancelledError)
            assert gate.waiting == 0
            await holder
            assert ended(gate) == (1, 0, 1, 0)

    run(main())


def test_a_task_that_is_cancelled_as_it_is_started_cancels_its_request() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            waiter = asyncio.create_task(hold(gate, "realtime", 10))
            await until(lambda: gate.inside == 1)  # started, and its task has not run yet
            waiter.cancel()
            await asyncio.wait([waiter])
            assert waiter.cancelled()
            assert ended(gate) == (0, 0, 1, 0)

    run(main())


def test_the_victim_is_asked_yields_and_goes_on_from_its_checkpoint() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            async with gate.admit(tenant="bulk", tier="batch", demand=ONE, yielding="checkpoint") as grant:
                assert not grant.preempted
                urgent = asyncio.create_task(hold(gate, "realtime", 5))
                assert await grant.preempted is True
                assert isinstance(grant.preempted.action, tidegate.Preempt)
                assert grant.preempted.action.victim == grant.request
                assert await grant.yield_(tokens_kept=77) == 77
                assert urgent.done()
                assert (grant.attempt, grant.resume_tokens, bool(grant.preempted)) == (2, 77, False)
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_one_may_yield_unasked_and_waits_behind_who_is_more_urgent() -> None:
    async def main() -> None:
        tiers = [{"name": "realtime", "preemption": "never", "hold_window": "0s"}, {"name": "batch"}]
        async with gate_of(1, tiers=tiers) as gate:
            async with gate.admit(tenant="bulk", tier="batch", demand=ONE) as grant:
                urgent = asyncio.create_task(hold(gate, "realtime", 5))
                await until(lambda: gate.waiting == 1)
                assert not grant.preempted
                await grant.yield_()
                assert urgent.done()
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_nobody_is_spared_by_a_gate_that_is_closed() -> None:
    async def main() -> None:
        gate = gate_of(1)

        async def victim() -> None:
            async with gate.admit(tenant="acme", tier="batch", demand=ONE) as grant:
                await grant.preempted
                await gate.aclose()  # who made it yield is told so, and waits no more
                await asyncio.sleep(1)
                assert grant.preempted

        task = asyncio.create_task(victim())
        await inside(gate, 1)
        with pytest.raises(Closed):
            await hold(gate, "realtime", 1)
        await task
        assert ended(gate) == (1, 0, 1, 0)

    run(main())


def test_a_victim_may_be_spared() -> None:
    async def main() -> None:
        async with gate_of(1) as gate, gate.admit(tenant="bulk", tier="batch", demand=ONE) as grant:
            urgent = asyncio.create_task(hold(gate, "realtime", 5))
            await grant.preempted
            urgent.cancel()
            await until(lambda: not grant.preempted)
            grant.progress(output_tokens=1)

    run(main())


def test_one_that_does_not_stop_in_time_is_overdue_and_may_still_yield() -> None:
    async def main() -> None:
        async with gate_of(1, confirm_after="1s") as gate:
            async with gate.admit(tenant="bulk", tier="batch", demand=ONE) as grant:
                urgent = asyncio.create_task(hold(gate, "realtime", 5))
                await grant.preempted
                await asyncio.sleep(0.9)
                assert not grant.overdue
                await asyncio.sleep(0.2)
                assert grant.overdue
                await grant.yield_()
                assert urgent.done()
                assert not grant.overdue
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_one_that_ends_although_it_was_asked_is_complete() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            async with gate.admit(tenant="bulk", tier="batch", demand=ONE) as grant:
                urgent = asyncio.create_task(hold(gate, "realtime", 5))
                await grant.preempted
            await urgent
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_what_waits_for_the_signal_hears_that_the_block_has_ended() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            async with gate.admit(tenant="bulk", tier="batch", demand=ONE) as grant:

                async def watch() -> bool:
                    return await grant.preempted

                watcher = asyncio.create_task(watch())
                await asyncio.sleep(1)
                assert not watcher.done()
            assert await watcher is False

    run(main())


def test_declined_it_waits_for_another_worker_and_the_third_time_it_is_dropped() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            gate.worker_add([1, 100])
            workers = []

            async def gruff() -> None:
                async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                    for _ in range(9):
                        workers.append(grant.worker)
                        await grant.decline(why="no-room")

            with pytest.raises(Dropped) as dropped:
                await gruff()
            assert dropped.value.reason is tidegate.Reason.DECLINED
            assert len(workers) == 3
            assert workers[0] != workers[1]
            assert ended(gate) == (0, 1, 0, 0)

    run(main())


def test_after_a_report_it_is_too_late_to_decline() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                grant.started()
                with pytest.raises(tidegate.WrongState):
                    await grant.decline()
                grant.progress(output_tokens=1)
            assert ended(gate) == (1, 0, 0, 0)

    run(main())


def test_who_waits_longer_than_the_queue_timeout_is_told() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            holder = asyncio.create_task(hold(gate, "realtime", 10))
            await until(lambda: gate.inside == 1)
            since = asyncio.get_running_loop().time()
            with pytest.raises(QueueTimeout) as late:
                await hold(gate, "realtime", 1, queue_timeout_ns=2_000_000_000)
            assert late.value.reason is tidegate.Reason.QUEUE_TIMEOUT
            assert isinstance(late.value, TimeoutError)
            assert 2 <= asyncio.get_running_loop().time() - since < 2.01
            await holder
            assert ended(gate) == (1, 0, 0, 1)

    run(main())


def test_who_is_displaced_is_told() -> None:
    async def main() -> None:
        async with gate_of(1, queue_limit=1, displace=True) as gate:
            holder = asyncio.create_task(hold(gate, "realtime", 1))
            await until(lambda: gate.inside == 1)
            low = asyncio.create_task(hold(gate, "batch", 1))
            await until(lambda: gate.waiting == 1)
            await hold(gate, "realtime", 1)
            [error] = await asyncio.gather(low, return_exceptions=True)
            assert isinstance(error, Dropped)
            assert error.reason is tidegate.Reason.DISPLACED
            await holder
            assert ended(gate) == (2, 0, 0, 1)

    run(main())


def test_a_lost_worker_is_told_and_yield_finds_another() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                other = gate.worker_add([1, 100])
                gate.worker_lost(grant.worker)
                assert grant.lost
                assert grant.preempted
                assert grant.preempted.action is None
                with pytest.raises(PlaceLost):
                    grant.progress(output_tokens=1)
                await grant.yield_(tokens_kept=3)
                assert (grant.worker, grant.lost, bool(grant.preempted)) == (other, False, False)
                grant.progress(output_tokens=1)
            assert ended(gate) == (1, 0, 0, 0)

    run(main())


@pytest.mark.parametrize("starts_elsewhere", [False, True])
def test_a_block_that_ran_on_without_its_place_is_told_at_its_end(starts_elsewhere: bool) -> None:
    async def main() -> None:
        async with gate_of(1) as gate:

            async def ignorant() -> None:
                async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                    gate.worker_lost(grant.worker)
                    if starts_elsewhere:
                        gate.worker_add([1, 100])
                        await asyncio.sleep(1)

            with pytest.raises(PlaceLost):
                await ignorant()
            assert ended(gate) == (0, 0, 1, 0)

    run(main())


def test_a_block_that_was_told_is_not_told_again() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                gate.worker_lost(grant.worker)
                with pytest.raises(PlaceLost):
                    grant.check()
            assert ended(gate) == (0, 0, 1, 0)

    run(main())


def test_one_that_cannot_run_twice_is_dropped_with_its_worker() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:

            async def ignorant() -> None:
                async with gate.admit(tenant="acme", tier=0, demand=ONE, yielding="never") as grant:
                    gate.worker_lost(grant.worker)
                    await grant.preempted

            with pytest.raises(Dropped) as dropped:
                await ignorant()
            assert dropped.value.reason is tidegate.Reason.WORKER_LOST
            assert ended(gate) == (0, 1, 0, 0)

    run(main())


@pytest.mark.parametrize("swallows", [False, True])
def test_one_that_outgrows_its_worker_is_aborted(swallows: bool) -> None:
    async def main() -> None:
        async with gate_of(1) as gate:

            async def block() -> None:
                async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                    grant.progress(output_tokens=1, in_use=[1, 101])
                    assert await grant.preempted
                    assert isinstance(grant.preempted.action, tidegate.Abort)
                    with pytest.raises(Aborted) if swallows else nullcontext():
                        await grant.yield_()

            with nullcontext() if swallows else pytest.raises(Aborted, match="never-fits"):
                await block()
            assert ended(gate) == (0, 1, 0, 0)

    run(main())


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_whoever_gives_up_waiting_in_yield_gives_up_the_request(how: str) -> None:
    async def main() -> None:
        async with gate_of(1) as gate:

            async def victim() -> None:
                async with gate.admit(tenant="bulk", tier="batch", demand=ONE) as grant:
                    await grant.preempted
                    if how == "cancel":
                        await grant.yield_()
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(2):
                            await grant.yield_()
                    assert gate.scheduler.stats().cancelled == 1, "it waits no more"
                    with pytest.raises(NotHeld):
                        grant.progress(output_tokens=1)
                    with pytest.raises(NotHeld):
                        await grant.yield_()

            task = asyncio.create_task(victim())
            await until(lambda: gate.inside == 1)
            urgent = asyncio.create_task(hold(gate, "realtime", 5))
            await asyncio.sleep(1)
            if how == "cancel":
                task.cancel()
            [error] = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(error, asyncio.CancelledError if how == "cancel" else type(None)), error
            await urgent
            assert ended(gate) == (1, 0, 1, 0)

    run(main())


def test_two_tasks_of_a_block_cannot_both_wait() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            async with gate.admit(tenant="bulk", tier="batch", demand=ONE) as grant:
                urgent = asyncio.create_task(hold(gate, "realtime", 5))
                await grant.preempted
                first = asyncio.create_task(grant.yield_())
                await until(lambda: urgent.done() or gate.scheduler.queue_depth("batch") == 1)
                for verb in (grant.yield_, grant.decline):
                    with pytest.raises(NotHeld):
                        await verb()
                assert await first == 0
            await urgent
            settled(gate)

    run(main())


def test_a_task_that_waits_in_yield_hears_that_the_block_has_ended() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            urgent = asyncio.create_task(hold(gate, "realtime", 5))
            await until(lambda: gate.inside == 1)
            gate.worker_add([1, 100])
            async with gate.admit(tenant="bulk", tier="batch", demand=ONE) as grant:
                more = asyncio.create_task(hold(gate, "realtime", 5))
                helper = asyncio.create_task(grant.yield_())
                await until(lambda: gate.scheduler.queue_depth("batch") == 1)
            [error] = await asyncio.gather(helper, return_exceptions=True)
            assert isinstance(error, NotHeld)
            await asyncio.gather(urgent, more)
            assert ended(gate) == (2, 0, 1, 0)

    run(main())


def test_a_task_that_ends_without_the_end_of_its_block_cancels_the_request() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            admission = gate.admit(tenant="acme", tier=0, demand=ONE)
            task = asyncio.create_task(admission.__aenter__())
            grant = await task
            await asyncio.sleep(0)
            with pytest.raises(NotHeld):
                grant.check()
            assert ended(gate) == (0, 0, 1, 0)

    run(main())


def test_many_blocks_of_one_task_each_have_their_own_place() -> None:
    async def main() -> None:
        async with gate_of(4) as gate:
            for _ in range(3):
                async with gate.admit(tenant="a", tier=0, demand=ONE), gate.admit(tenant="a", tier=0, demand=ONE):
                    assert gate.inside == 2
            assert ended(gate) == (6, 0, 0, 0)

    run(main())


def test_an_old_start_that_is_told_again_starts_nobody() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            async with gate.admit(tenant="bulk", tier="batch", demand=ONE) as grant:
                first = tidegate.Start(grant.request, grant.worker, grant.attempt, 0, "guaranteed")
                urgent = asyncio.create_task(hold(gate, "realtime", 5))
                await grant.preempted
                again = asyncio.create_task(grant.yield_())
                await until(lambda: gate.scheduler.queue_depth("batch") == 1)
                # As after a turn that was cut once the grant had been told.
                gate._room._actions.append(first)
                gate.poll()
                await asyncio.sleep(1)
                assert not again.done()
                await again
                assert (urgent.done(), grant.attempt) == (True, 2)
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_dropped_while_it_waits_in_yield_the_block_is_told() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:

            async def block() -> None:
                async with gate.admit(tenant="acme", tier="batch", demand=ONE) as grant:
                    # More than any worker will ever have: it cannot come back.
                    grant.progress(output_tokens=1, in_use=[1, 101])
                    await grant.yield_()

            with pytest.raises(Dropped) as dropped:
                await block()
            assert dropped.value.reason is tidegate.Reason.NEVER_FITS
            assert ended(gate) == (0, 1, 0, 0)

    run(main())
