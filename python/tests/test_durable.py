"""A scheduler in a folder: what an interrupt, another config and a fork leave of it.

Hosts that are killed are in `tests/test_crash.py`.
"""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tidegate
from tidegate import durable as module
from tidegate import journal
from tidegate.chargeback import Chargeback
from tidegate.durable import VERBS, Durable


def config(**more: Any) -> tidegate.Config:
    return tidegate.Config(dimensions=["slots"], tiers=[{"name": "batch", **more}])


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Durable]:
    """One worker, nothing submitted."""
    with Durable(tmp_path, config(), fsync=False) as made:
        made.tell("worker_add", capacity=[1])
        yield made


def submit(durable: Durable, note: object = None) -> int:
    return durable.submit(tenant="acme", tier="batch", demand=[1], note=note)


def again(tmp_path: Path, **more: Any) -> Durable:
    return Durable(tmp_path, config(**more), fsync=False)


def inputs(tmp_path: Path) -> bytes:
    (path,) = tmp_path.glob("inputs.*")
    return path.read_bytes()


def raising(error: BaseException, *, after: Callable[..., Any] | None = None) -> Callable[..., Any]:
    def instead(*arguments: Any, **keywords: Any) -> Any:
        if after is not None:
            after(*arguments, **keywords)
        raise error

    return instead


def test_every_verb_of_a_journal_is_taken_but_for_a_config() -> None:
    assert {*journal.VERBS, "poll"} == VERBS
    assert "reconfigure" not in VERBS


def test_what_is_known_of_caches_is_there_again(durable: Durable, tmp_path: Path) -> None:
    request = submit(durable)
    durable.tell("prefix_set", request, blocks=[1, 2])
    durable.tell("cache_stored", 0, blocks=[1, 2, 3])
    durable.tell("cache_evicted", 0, blocks=[3])
    before = durable.scheduler.snapshot()
    durable.close()
    with again(tmp_path) as restored:
        assert restored.scheduler.snapshot() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the disk is full")])
@pytest.mark.parametrize("renamed", [False, True])
def test_an_interrupted_save_closes_and_loses_nothing(
    durable: Durable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, renamed: bool
) -> None:
    request = submit(durable, note="kept")
    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_file", raising(error, after=module.replace_file if renamed else None))
        with pytest.raises(type(error)):
            durable.save()
    for use in (lambda: submit(durable), durable.save):
        with pytest.raises(ValueError, match="it is closed"):
            use()
    with again(tmp_path) as restored:
        assert restored.notes == {request: "kept"}
        assert restored.scheduler.stats().submitted == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the disk is gone"), ValueError("closed")])
def test_an_input_that_raised_before_it_was_applied_is_not_told_later(
    durable: Durable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    before = inputs(tmp_path)
    durable._fsync = True
    monkeypatch.setattr(module.os, "fsync", raising(error))
    with pytest.raises(type(error)):
        submit(durable)
    monkeypatch.undo()
    assert inputs(tmp_path) == before
    with pytest.raises(ValueError, match="it is closed"):
        submit(durable)
    with again(tmp_path) as restored:
        assert restored.scheduler.stats().submitted == 0
        submit(restored)


def test_an_interrupt_in_the_scheduler_is_as_if_nothing_was_told(
    durable: Durable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = inputs(tmp_path)
    monkeypatch.setattr(durable, "_apply", raising(KeyboardInterrupt(), after=durable._apply))
    with pytest.raises(KeyboardInterrupt):
        submit(durable)
    assert inputs(tmp_path) == before
    with again(tmp_path) as restored:
        assert restored.scheduler.stats().submitted == 0


def test_a_line_that_cannot_be_taken_back_is_whole_or_torn(
    durable: Durable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable._fsync = True
    monkeypatch.setattr(module.os, "fsync", raising(OSError("the disk is gone")))
    log = durable._log
    assert log is not None
    log_beside = Unshrinking(log)
    monkeypatch.setattr(durable, "_log", log_beside)
    with pytest.raises(OSError, match="the disk is gone"):
        submit(durable)
    monkeypatch.undo()
    assert log.closed
    with again(tmp_path) as restored:
        assert restored.scheduler.stats().submitted == 1, "the file decides"


class Unshrinking:
    """A file of a disk that refuses to shorten it."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def truncate(self, length: int) -> None:
        raise OSError(f"the disk is gone: it stays longer than {length}")


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (TypeError, lambda durable: durable.tell("cancel")),
        (TypeError, lambda durable: durable.tell("worker_add", capacity=[1], colour="red")),
        (ValueError, lambda durable: durable.submit(tenant="acme", tier="batch", demand=[-1])),
        ((OverflowError, ValueError), lambda durable: durable.tell("cancel", -1)),
        ((OverflowError, ValueError), lambda durable: durable.tell("poll", now_ns=2**70)),
        (tidegate.Error, lambda durable: durable.tell("cancel", 77)),
    ],
)
def test_what_was_refused_is_refused_at_a_restart(
    durable: Durable, tmp_path: Path, error: Any, call: Callable[[Durable], object]
) -> None:
    with pytest.raises(error):
        call(durable)
    request = submit(durable)
    before = durable.scheduler.snapshot()
    durable.close()
    with again(tmp_path) as restored:
        assert restored.scheduler.snapshot() == before
        restored.tell("cancel", request)


def test_what_was_told_under_another_config_was_not_refused(durable: Durable, tmp_path: Path) -> None:
    requests = [submit(durable, note=number) for number in range(3)]
    for limit in (1, 2):
        durable.close()
        with again(tmp_path, queue_limit=limit) as restored:
            assert restored.notes == dict(zip(requests, range(3), strict=True))
            assert restored.scheduler.config == config(queue_limit=limit)
            with pytest.raises(tidegate.QueueFull):
                submit(restored)
    with again(tmp_path, queue_limit=2) as restored:
        restored.tell("cancel", requests[0])
    with again(tmp_path) as restored:
        assert restored.notes == {requests[1]: 1, requests[2]: 2}
        submit(restored)


def test_a_config_with_other_tiers_is_refused_and_changes_nothing(durable: Durable, tmp_path: Path) -> None:
    request = submit(durable, note="kept")
    durable.close()
    other = tidegate.Config(dimensions=["slots"], tiers=[{"name": "realtime"}])
    with pytest.raises(tidegate.ConfigError):
        Durable(tmp_path, other, fsync=False)
    with again(tmp_path) as restored:
        assert restored.notes == {request: "kept"}


def test_a_forked_child_has_no_folder(durable: Durable, tmp_path: Path) -> None:
    request = submit(durable, note="kept")
    ours, childs = socket.socketpair()
    ours.settimeout(30)
    child = os.fork()
    if child == 0:
        live_as_child(durable, ours, childs)
    childs.close()
    try:
        assert ours.recv(1) == b"2", "both are refused"
        durable.tell("amend", request, tier="batch")
        durable.close()
        with again(tmp_path) as restored:
            assert restored.notes == {request: "kept"}
    finally:
        ours.close()
        os.waitpid(child, 0)


def live_as_child(durable: Durable, parents: socket.socket, ours: socket.socket) -> None:
    """Says how often it was refused, and ends with its parent, or by the alarm."""
    signal.alarm(60)
    try:
        parents.close()
        refused = 0
        for use in (durable.poll, durable.save):
            try:
                use()
            except ValueError:
                refused += 1
        ours.send(str(refused).encode())
        ours.recv(1)
    finally:
        os._exit(0)


def test_bills_go_on_after_a_restart_where_they_ended(durable: Durable, tmp_path: Path) -> None:
    submit(durable)
    durable.tell("poll", now_ns=durable.scheduler.now_ns)
    began = durable.scheduler.now_ns
    chargeback = Chargeback(durable.scheduler, at_ns=began)
    (first,) = chargeback.close(at_ns=began + 100)
    kept = json.loads(json.dumps(chargeback.books))
    durable.close()
    with again(tmp_path) as restored:
        assert restored.scheduler.now_ns == began, "no input told it of the time since"
        chargeback = Chargeback(restored.scheduler, books=kept)
        assert chargeback.close(at_ns=began + 50) == [], "what is billed is billed"
        (second,) = chargeback.close(at_ns=began + 300)
    assert (first["from_ns"], first["to_ns"]) == (began, began + 100)
    assert (second["from_ns"], second["to_ns"]) == (began + 100, began + 300)
    units = [int(row["slots_guaranteed_unit_ns"]) + int(row["slots_borrowed_unit_ns"]) for row in (first, second)]
    assert units == [100, 200]
