"""A host that is killed again and again, and started again: `docs/RECOVERY.md`."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Timer

import pytest
from crash_host import config

import tidegate
from tidegate.durable import Durable, replace_file

HOST = Path(__file__).with_name("crash_host.py")
JOBS = 60
AT_MOST_S = 60
RUNS_AHEAD = 10


def life(folder: Path, lines: int | None) -> list[str]:
    """What a host says until it is killed after so many lines, a few lines further or not, or until its end."""
    command = [sys.executable, "-u", str(HOST), str(folder), str(JOBS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if lines is None:
            try:
                said, _ = process.communicate("\n" * 10 * JOBS, timeout=AT_MOST_S)
            except subprocess.TimeoutExpired:
                # Leaving the block waits for its end, without a bound.
                process.kill()
                raise
            assert process.returncode == 0
            return said.splitlines()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n" * (lines + RUNS_AHEAD))
        process.stdin.flush()
        watchdog = Timer(AT_MOST_S, process.kill)
        watchdog.start()
        said = "".join(process.stdout.readline() for _ in range(lines))
        process.kill()
        watchdog.cancel()
        # What it said before its end counts, though nobody had read it yet; a line that the kill tore does not.
        said += process.stdout.read()
        process.wait(AT_MOST_S)
    return said.splitlines()[: said.count("\n")]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_and_nothing_is_done_twice(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    lives = [life(tmp_path, chance.randrange(3, 40)) for _ in range(5)]
    lives.append(life(tmp_path, None))
    done: Counter[str] = Counter()
    last_attempt: dict[str, int] = {}
    starts: Counter[str] = Counter()
    for said in lives:
        in_this_life: set[str] = set()
        for what, job, *rest in (line.split() for line in said):
            if what == "start":
                attempt = int(rest[0])
                assert done[job] == 0, f"{job} was done, and runs again"
                assert attempt > last_attempt.get(job, 0), f"{job} starts as attempt {attempt} again"
                last_attempt[job] = attempt
                starts[job] += job not in in_this_life
                in_this_life.add(job)
            elif what == "done":
                done[job] += 1
    assert max(done.values()) == 1
    assert max(starts.values()) <= len(lives)
    assert any(count > 1 for count in starts.values()), "something was in flight when it was killed"
    assert lives[-1][-1] == f"stats {JOBS} {JOBS} 0 {sum(range(JOBS))} 0"


def durable(folder: Path) -> Durable:
    return Durable(folder, config(), fsync=False)


def submit(durable: Durable, note: object = None) -> int:
    durable.tell("worker_add", capacity=[1])
    return durable.submit(tenant="acme", tier="batch", demand=[1], note=note)


def test_a_torn_line_is_as_if_it_was_never_told(tmp_path: Path) -> None:
    with durable(tmp_path) as first:
        request = submit(first, note="kept")
        (inputs,) = tmp_path.glob("inputs.*")
        whole = inputs.read_bytes()
    inputs.write_bytes(whole + b'["cancel",[')
    with durable(tmp_path) as again:
        assert (again.was_there, again.notes) == (True, {request: "kept"})
        assert again.scheduler.stats().live == 1
        again.scheduler.check_invariants()


def test_a_line_that_is_damaged_elsewhere_is_told(tmp_path: Path) -> None:
    with durable(tmp_path) as first:
        submit(first)
        (inputs,) = tmp_path.glob("inputs.*")
    inputs.write_bytes(b"[" + inputs.read_bytes())
    with pytest.raises(ValueError, match=r"inputs\.1:1: this is no input"):
        durable(tmp_path)
    (state,) = tmp_path.glob("state.*")
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(tidegate.SnapshotError):
        durable(tmp_path)


def test_one_process_at_a_time_has_a_folder(tmp_path: Path) -> None:
    with durable(tmp_path), pytest.raises(RuntimeError, match="another process has it"):
        durable(tmp_path)
    durable(tmp_path).close()


def test_what_is_refused_stays_refused(tmp_path: Path) -> None:
    with durable(tmp_path) as first:
        request = submit(first)
        with pytest.raises(tidegate.NeverFits):
            first.submit(tenant="acme", tier="batch", demand=[9], note="too much")
        with pytest.raises(ValueError, match="'stats' is no input"):
            first.tell("stats")
        first.tell("cancel", request)
        before = first.scheduler.snapshot()
    with durable(tmp_path) as again:
        assert again.notes == {}
        assert again.scheduler.snapshot() == before


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"one", b"another"):
        replace_file(path, data)
        assert path.read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
