"""Batch borrows the whole worker; an urgent request takes its share back."""

import tidegate
from tidegate import Preempt, Reason, RequestState, Start, YieldMode

SECOND = 1_000_000_000
ONE = {"slots": 1, "kv_blocks": 40}


def fill_with_batch(sched: tidegate.Scheduler, yielding: str) -> list[int]:
    requests = [sched.submit(tenant="bulk", tier="batch", demand=ONE, yielding=yielding, now_ns=0) for _ in range(4)]
    starts = sched.poll(now_ns=0)
    assert [start.request for start in starts] == requests
    assert {start.reason for start in starts} == {Reason.BORROWED}
    for start in starts:
        sched.started(start.request, start.attempt, in_use=ONE, now_ns=0)
    return requests


def preempt(sched: tidegate.Scheduler, now_ns: int) -> tuple[int, Preempt]:
    urgent = sched.submit(tenant="acme", tier="realtime", demand=ONE, now_ns=now_ns)
    [action] = sched.poll(now_ns=now_ns)
    assert isinstance(action, Preempt)
    return urgent, action


def test_the_victim_stops_the_urgent_starts_and_the_victim_resumes(sched: tidegate.Scheduler) -> None:
    batch = fill_with_batch(sched, "checkpoint")
    urgent, action = preempt(sched, 2 * SECOND)
    assert action.victim in batch
    assert action.mode is YieldMode.CHECKPOINT
    assert action.beneficiary == urgent
    assert action.confirm_by_ns == 3 * SECOND
    assert action.reason is Reason.RECLAIM
    assert sched.state(action.victim) is RequestState.PREEMPTING

    sched.preempted(action.victim, action.attempt, tokens_kept=77, now_ns=2 * SECOND + 5)
    assert sched.poll(now_ns=2 * SECOND + 5) == [Start(urgent, 0, 1, 0, Reason.RECLAIMED)]

    sched.complete(urgent, 1, output_tokens=9, now_ns=4 * SECOND)
    assert sched.poll(now_ns=4 * SECOND) == [Start(action.victim, 0, 2, 77, Reason.BORROWED)]
    sched.check_invariants()


def test_units_that_are_released_later_are_waited_for(sched: tidegate.Scheduler) -> None:
    fill_with_batch(sched, "restart")
    urgent, action = preempt(sched, 2 * SECOND)
    assert action.mode is YieldMode.RESTART
    sched.preempted(action.victim, action.attempt, releasing=True, now_ns=2 * SECOND + 5)
    assert sched.state(action.victim) is RequestState.RELEASING
    assert sched.poll(now_ns=2 * SECOND + 5) == []
    sched.released(action.victim, action.attempt, now_ns=2 * SECOND + 9)
    assert sched.poll(now_ns=2 * SECOND + 9) == [Start(urgent, 0, 1, 0, Reason.RECLAIMED)]


def test_a_cancelled_beneficiary_spares_the_victim(sched: tidegate.Scheduler) -> None:
    fill_with_batch(sched, "restart")
    urgent, action = preempt(sched, 2 * SECOND)
    sched.cancel(urgent, now_ns=2 * SECOND + 5)
    assert sched.poll(now_ns=2 * SECOND + 5) == [tidegate.Spare(action.victim, action.attempt, Reason.NOT_NEEDED)]
    assert sched.state(action.victim) is RequestState.RUNNING


def test_a_victim_that_does_not_stop_is_stuck(sched: tidegate.Scheduler) -> None:
    fill_with_batch(sched, "restart")
    _, action = preempt(sched, 2 * SECOND)
    stuck = tidegate.Stuck(action.victim, action.attempt, Reason.UNCONFIRMED)
    assert stuck not in sched.poll(now_ns=action.confirm_by_ns - 1)
    assert stuck in sched.poll(now_ns=action.confirm_by_ns)


def test_a_request_that_never_yields_is_no_victim(sched: tidegate.Scheduler) -> None:
    for _ in range(2):
        sched.submit(tenant="bulk", tier="batch", demand=ONE, yielding="never", now_ns=0)
    for _ in range(2):
        sched.submit(tenant="bulk", tier="batch", demand=ONE, yielding="restart", now_ns=0)
    may_yield = [start.request for start in sched.poll(now_ns=0)][2:]
    _, action = preempt(sched, 2 * SECOND)
    assert action.victim in may_yield
