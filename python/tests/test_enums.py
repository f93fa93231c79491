"""The string enums name what the core names, in its order."""

import tidegate


def test_reasons_are_the_cores_in_the_order_of_their_numbers(sched: tidegate.Scheduler) -> None:
    assert list(sched.stats().by_reason) == list(tidegate.Reason)


def test_every_word_that_goes_in_is_known(sched: tidegate.Scheduler) -> None:
    for yielding in tidegate.Yielding:
        sched.submit(tenant="a", tier=0, demand=[1], yielding=yielding, now_ns=0)
    starts = sched.poll(now_ns=0)
    assert len(starts) == len(tidegate.Yielding) == len(tidegate.Decline)
    for start, why in zip(starts, tidegate.Decline, strict=True):
        sched.declined(start.request, start.attempt, why=why, now_ns=0)


def test_members_are_their_strings() -> None:
    assert tidegate.Reason.OUT_OF_MEMORY == "out-of-memory"
    assert f"{tidegate.YieldMode.CHECKPOINT}" == "checkpoint"
