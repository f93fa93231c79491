"""Workers, devices and tenants through a gate; draining and closing; leases."""

import asyncio
from typing import Any

import pytest
from aio_world import ONE, JumpingLoop, config, ended, gate_of, hold, inside, run, settled, until

import tidegate
from tidegate.aio import Closed, Gate, PlaceLost

SECOND = 1_000_000_000


def now() -> float:
    return asyncio.get_running_loop().time()


def test_one_waits_until_there_is_a_worker() -> None:
    async def main() -> None:
        async with gate_of(0) as gate:
            waiter = asyncio.create_task(hold(gate, "realtime", 1))
            await asyncio.sleep(5)
            assert gate.waiting == 1
            gate.worker_add([1, 100])
            await waiter
            assert ended(gate) == (1, 0, 0, 0)

    run(main())


def test_a_drained_worker_gets_nobody_and_is_removed_when_it_is_empty() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            holder = asyncio.create_task(hold(gate, "realtime", 5))
            await until(lambda: gate.inside == 1)
            assert not await gate.worker_remove(0, within=2)
            assert now() == 2
            remover = asyncio.create_task(gate.worker_remove(0, within=10))
            waiter = asyncio.create_task(hold(gate, "realtime", 1))
            assert await remover
            assert holder.done()
            assert 5 <= now() < 5.1
            with pytest.raises(tidegate.WorkerLost):
                gate.worker_lost(0)
            await asyncio.sleep(1)
            assert gate.waiting == 1
            gate.worker_add([1, 100])
            await waiter
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_a_worker_is_removed_as_soon_as_those_on_it_have_gone_elsewhere() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:

            async def move() -> None:
                async with gate.admit(tenant="acme", tier="batch", demand=ONE) as grant:
                    await asyncio.sleep(1)
                    await grant.yield_()
                    assert grant.worker == 1
                    await asyncio.sleep(100)

            mover = asyncio.create_task(move())
            await inside(gate, 1)
            gate.worker_add([1, 100])
            assert await gate.worker_remove(0, within=None)
            assert now() < 2
            await mover
            assert ended(gate) == (1, 0, 0, 0)

    run(main())


def test_a_lost_device_takes_the_places_on_all_its_workers() -> None:
    async def main() -> None:
        async with gate_of(0) as gate:
            device = gate.device_add([2, 200])
            for _ in range(2):
                gate.worker_add([1, 100], devices=[tidegate.DevicePart(device, 500_000)])
            seen: list[bool] = []

            async def work() -> None:
                async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                    await grant.preempted
                    seen.append(grant.lost)
                    await grant.yield_()

            workers = [asyncio.create_task(work()) for _ in range(2)]
            await inside(gate, 2)
            gate.device_lost(device)
            gate.worker_add([1, 100])
            await asyncio.gather(*workers)
            assert seen == [True, True]
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_a_worker_that_has_less_asks_somebody_to_yield() -> None:
    async def main() -> None:
        async with gate_of(2) as gate:
            stays = asyncio.create_task(hold(gate, "realtime", 5))
            await inside(gate, 1)
            async with gate.admit(tenant="a", tier="batch", demand=ONE) as grant:
                gate.worker_resize(0, [1, 100], preempt_after_ns=SECOND)
                await grant.preempted
                assert 1 <= now() < 1.01
                other = gate.worker_add([1, 100])
                await grant.yield_()
                assert grant.worker == other
            await stays
            settled(gate)

    run(main())


def test_steps_and_usage_of_an_engine_go_through_the_gate() -> None:
    async def main() -> None:
        async with gate_of(2) as gate:
            async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                grant.started()
                gate.step(grant.worker, tokens_each=4)
                gate.step(grant.worker, exceptions=[(grant.request, grant.attempt, 9, [1, 30])])
                assert gate.scheduler.in_use(0) == {"slots": 1, "kv_blocks": 30}
                gate.worker_usage(grant.worker, in_use=[1, 20])
            gate.reconfigure(config(queue_limit=7))
            assert gate.scheduler.config == config(queue_limit=7)

    run(main())


def test_a_tenant_is_configured_and_forgotten() -> None:
    async def main() -> None:
        async with gate_of(4) as gate:
            acme = gate.tenant_set("acme")
            gate.tenant_configure(acme, max_running=1)
            tasks = [asyncio.create_task(hold(gate, "realtime", 1)) for _ in range(2)]
            await until(lambda: gate.inside == 1)
            with pytest.raises(tidegate.TenantBusy):
                gate.tenant_remove(acme)
            await asyncio.gather(*tasks)
            assert now() >= 2
            gate.tenant_remove(acme)

    run(main())


@pytest.mark.parametrize("within", [10, 2])
def test_draining_waits_for_all_that_came_before_and_not_for_ever(within: float) -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            tasks = [asyncio.create_task(hold(gate, "realtime", 2)) for _ in range(2)]
            await until(lambda: (gate.inside, gate.waiting) == (1, 1))
            since = now()
            assert await gate.drain(within=within) == (within == 10)
            assert 2 <= now() - since < 4.1
            with pytest.raises(Closed):
                await hold(gate, "realtime", 1)
            await asyncio.gather(*tasks)
            assert await gate.drain(within=0)
            assert ended(gate) == (2, 0, 0, 0)

    run(main())


def test_a_task_that_drains_may_be_cancelled() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            holder = asyncio.create_task(hold(gate, "realtime", 2))
            await until(lambda: gate.inside == 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(gate.drain(within=None), 1)
            await holder
            assert await gate.drain(within=None)

    run(main())


def test_closing_tells_those_that_wait_and_asks_those_inside() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            told: list[object] = []

            async def block(yields: bool) -> None:
                async with gate.admit(tenant="acme", tier=0, demand=ONE) as grant:
                    told.append(await grant.preempted)
                    if yields:
                        await grant.yield_()

            yields = asyncio.create_task(block(True))
            await inside(gate, 1)
            gate.worker_add([1, 100])
            ends = asyncio.create_task(block(False))
            await inside(gate, 2)
            waits = asyncio.create_task(hold(gate, "realtime", 1))
            await until(lambda: gate.waiting == 1)
            await gate.aclose()
            assert gate.scheduler.stats().cancelled == 1
            errors = await asyncio.gather(yields, ends, waits, return_exceptions=True)
            assert [type(error) for error in errors] == [Closed, type(None), Closed]
            assert told == [True, True]
            assert ended(gate) == (1, 0, 2, 0)

    run(main())


def test_closing_wakes_one_that_waits_in_yield() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            victim = asyncio.create_task(hold(gate, "batch", 5))
            await until(lambda: gate.inside == 1)
            urgent = asyncio.create_task(hold(gate, "realtime", 5))
            await asyncio.sleep(1)
            assert gate.scheduler.queue_depth("batch") == 1
            await gate.aclose()
            errors = await asyncio.gather(victim, urgent, return_exceptions=True)
            assert [type(error) for error in errors] == [Closed, Closed]
            settled(gate)

    run(main())


def test_a_worker_that_is_lost_while_its_grant_waits_to_be_run_is_never_seen() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            waiter = asyncio.create_task(hold(gate, "realtime", 1))
            await until(lambda: gate.inside == 1)  # and its task has not run yet
            gate.worker_lost(0)
            other = gate.worker_add([1, 100])
            await waiter
            assert other == 1
            assert ended(gate) == (1, 0, 0, 0)

    run(main())


def test_a_place_that_the_block_never_knew_of_is_given_back_when_it_is_wanted() -> None:
    async def main() -> None:
        async with gate_of(1, confirm_after="1s") as gate:

            async def ignorant() -> None:
                async with gate.admit(tenant="bulk", tier="batch", demand=ONE) as grant:
                    await grant.preempted
                    await asyncio.sleep(10)
                    with pytest.raises(PlaceLost):
                        grant.check()

            task = asyncio.create_task(ignorant())
            await inside(gate, 1)
            gate.worker_lost(0)
            gate.worker_add([1, 100])
            await asyncio.sleep(1)
            await hold(gate, "realtime", 1)
            assert 2 <= now() < 2.1
            await task
            assert ended(gate) == (1, 0, 1, 0)

    run(main())


def test_wishes_of_leased_limits_are_handed_on_and_a_failing_hand_is_reported() -> None:
    async def main() -> None:
        wishes: list[tidegate.LeaseWanted] = []
        async with gate_of(1, on_lease_wanted=wishes.append) as gate:
            acme = gate.tenant_set("acme")
            gate.tenant_configure(acme, tokens=tidegate.Rate(1_000, SECOND, 1_000), leased=True)
            waiter = asyncio.create_task(hold(gate, "realtime", 1, prompt_tokens=100))
            await until(lambda: bool(wishes))
            [wish] = wishes
            gate.lease_granted(wish.tenant, wish.limit, wish.seq, wish.tokens, 10 * SECOND)
            await waiter
            assert ended(gate) == (1, 0, 0, 0)

    run(main())

    def fails(_: Any) -> None:
        raise ValueError("no store")

    async def fault() -> None:
        async with gate_of(1, on_lease_wanted=fails) as gate:
            acme = gate.tenant_set("acme")
            gate.tenant_configure(acme, tokens=tidegate.Rate(1_000, SECOND, 1_000), leased=True)
            gate.tenant_set("other")
            leased = asyncio.create_task(hold(gate, "realtime", 1, prompt_tokens=100))
            await hold(gate, "realtime", 1, tenant="other")
            loop = asyncio.get_running_loop()
            assert isinstance(loop, JumpingLoop)
            assert {type(fault["exception"]) for fault in loop.faults} == {ValueError}
            leased.cancel()
            await asyncio.wait([leased])
            settled(gate)
            loop.faults.clear()

    run(fault())


def test_whoever_asks_hears_who_died_with_a_worker() -> None:
    async def main() -> None:
        told: list[tidegate.AlsoLost] = []
        async with gate_of(0, on_also_lost=told.append) as gate:
            device = gate.device_add({"slots": 2, "kv_blocks": 200})
            clients = [gate.worker_add([1, 100], kind="mps", devices=[(device, 1_000_000)]) for _ in range(2)]
            gate.worker_lost(clients[0])
            await until(lambda: bool(told))
            assert [(lost.worker, lost.by) for lost in told] == [(clients[1], clients[0])]

    run(main())


def test_a_scheduler_that_is_done_for_tells_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            def say(*_: object, **__: object) -> None:
                raise tidegate.InternalError("a bug")

            return say

    async def main() -> None:
        async with gate_of(1) as gate:
            tasks = [asyncio.create_task(hold(gate, "realtime", 1)) for _ in range(3)]
            await until(lambda: (gate.inside, gate.waiting) == (1, 2))
            monkeypatch.setattr(gate._room, "scheduler", Broken())
            gate.poll()
            errors = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(error) for error in errors] == [tidegate.InternalError] * 3
            assert (gate.inside, gate.waiting) == (0, 0)

    run(main())


def test_a_gate_has_no_task_and_no_more_than_one_timer() -> None:
    async def main() -> None:
        async with gate_of(1) as gate:
            before = len(asyncio.all_tasks())
            tasks = [asyncio.create_task(hold(gate, "realtime", 1, queue_timeout_ns=SECOND + n)) for n in range(50)]
            await inside(gate, 1)
            loop = asyncio.get_running_loop()
            timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
            # That of `run`, one of `hold`, and the gate's.
            assert len(timers) == 3
            assert len(asyncio.all_tasks()) == before + 50
            await asyncio.wait(tasks)
            assert isinstance(gate, Gate)
            assert ended(gate)[3] > 40

    run(main())
