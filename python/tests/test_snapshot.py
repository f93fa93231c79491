"""A scheduler that was written out and read back goes on as if nothing had happened."""

import copy
import pickle
from collections.abc import Callable

import pytest

import tidegate
from tidegate import Preempt, Start

ONE = {"slots": 1, "kv_blocks": 40}

Again = Callable[[tidegate.Scheduler], tidegate.Scheduler]


def restored(sched: tidegate.Scheduler) -> tidegate.Scheduler:
    return tidegate.Scheduler.restore(sched.config, sched.snapshot())


def pickled(sched: tidegate.Scheduler) -> tidegate.Scheduler:
    return pickle.loads(pickle.dumps(sched))


@pytest.fixture
def busy(sched: tidegate.Scheduler) -> tidegate.Scheduler:
    """Four batch requests run, two realtime ones need what two of those have, and one victim is not polled yet."""
    for _ in range(4):
        sched.submit(tenant="acme", tier="batch", demand=ONE, now_ns=0)
    sched.poll(now_ns=0)
    for _ in range(2):
        sched.submit(tenant="acme", tier="realtime", demand=ONE, now_ns=5)
    assert isinstance(sched.poll_one(now_ns=7), Preempt)
    return sched


@pytest.mark.parametrize("again", [restored, pickled, copy.copy, copy.deepcopy])
def test_it_goes_on_as_the_other_does(busy: tidegate.Scheduler, again: Again) -> None:
    other = again(busy)
    assert other is not busy
    assert (other.now_ns, other.config, other.stats()) == (7, busy.config, busy.stats())
    assert other.snapshot() == busy.snapshot()
    other.check_invariants()
    victims = other.poll(now_ns=7)
    assert [type(action) for action in victims] == [Preempt]
    assert victims == busy.poll(now_ns=7)
    for sched in (busy, other):
        sched.preempted(victims[0].victim, victims[0].attempt, now_ns=9)
    assert other.poll(now_ns=9) == busy.poll(now_ns=9) != []
    assert other.snapshot() == busy.snapshot()


def test_a_copy_goes_its_own_way(busy: tidegate.Scheduler) -> None:
    before = busy.snapshot()
    other = copy.copy(busy)
    other.submit(tenant="acme", tier="batch", demand=ONE, now_ns=8)
    assert busy.snapshot() == before != other.snapshot()


def test_ids_given_after_the_snapshot_are_given_again(busy: tidegate.Scheduler) -> None:
    data = busy.snapshot()
    lost = busy.submit(tenant="acme", tier="batch", demand=ONE, now_ns=8)
    other = tidegate.Scheduler.restore(busy.config, data)
    with pytest.raises(tidegate.UnknownRequest):
        other.cancel(lost, now_ns=8)
    assert other.submit(tenant="acme", tier="batch", demand=ONE, now_ns=8) == lost


def test_another_config_counts_as_a_reconfigure(busy: tidegate.Scheduler) -> None:
    tiers = [{"name": name} for name in busy.config.tiers]
    config = tidegate.Config(dimensions=["slots", "kv_blocks"], tiers=tiers)
    other = tidegate.Scheduler.restore(config, busy.snapshot())
    busy.reconfigure(config, now_ns=7)
    assert other.config == config
    assert other.effective_reserve("realtime") == {"slots": 0, "kv_blocks": 0}
    assert other.snapshot() == busy.snapshot()


def test_what_is_wrong_with_bytes_is_told(busy: tidegate.Scheduler) -> None:
    data = busy.snapshot()
    narrow = tidegate.Config(dimensions=["slots"], tiers=[{"name": "realtime"}])
    newer = data[:8] + bytes([data[8] + 1]) + data[9:]
    torn = data[:-1] + bytes([data[-1] ^ 1])
    for config, wrong, kind, words in (
        (busy.config, b"", "not-a-snapshot", "no snapshot"),
        (busy.config, b"tidegate-journal 1\n", "not-a-snapshot", "no snapshot"),
        (busy.config, data[:-1], "damaged", f"a damaged snapshot: {len(data) - 1} bytes of {len(data)}"),
        (busy.config, torn, "damaged", "the checksum does not agree"),
        (busy.config, newer, "other-format", "from another build of tidegate"),
        (narrow, data, "other-shape", "dimensions: 2 while running, not 1"),
    ):
        with pytest.raises(tidegate.SnapshotError, match=words) as caught:
            tidegate.Scheduler.restore(config, wrong)
        assert (caught.value.kind, isinstance(caught.value, ValueError)) == (kind, True)


def test_bytes_are_bytes(busy: tidegate.Scheduler) -> None:
    data = busy.snapshot()
    assert type(data) is bytes
    assert tidegate.Scheduler.restore(busy.config, bytearray(data)).snapshot() == data
    for wrong in ("text", None, 7, [1, 2]):
        with pytest.raises(TypeError):
            tidegate.Scheduler.restore(busy.config, wrong)


def test_names_are_known_after_a_restart(busy: tidegate.Scheduler) -> None:
    other = restored(busy)
    assert other.tenant_set("acme", now_ns=9) == busy.tenant_set("acme", now_ns=9)
    other.worker_add({"slots": 1, "kv_blocks": 40}, now_ns=9)
    assert any(isinstance(action, Start) for action in other.poll(now_ns=9))
    assert other.queue_depth("batch") == 0


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda config: pickle.loads(pickle.dumps(config))])
def test_a_config_is_the_same_again(config: tidegate.Config, again: Callable[[object], object]) -> None:
    assert again(config) == config
