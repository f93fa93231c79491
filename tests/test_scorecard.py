"""`scorecard` measures what docs/PERFORMANCE.md explains: each key, and nothing else."""

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from toolchain import ROOT

# What may be nothing at all.
COUNTS = {"allocations_per_cycle", "clock_reads_per_cycle", "syscalls_per_cycle"}
# What is the difference of two measurements, which in a quick run may come out either way.
DIFFERENCES = {"c_call_ns", "preempt_next_victim_ns", "py_call_ns", "py_item_ns", "py_column_item_ns"}
# What takes a package that an interpreter need not have.
OPTIONAL = {
    "py_cycle_arrays_ns_100k",
    "peer_vllm_queue_ns_100k",
    "vllm_step_us_256",
    "vllm_step_with_tidegate_us_256",
}


@pytest.fixture(scope="session")
def scorecard(programs: Callable[[str], Path]) -> Path:
    """The program, and beside it the libraries and the simulator that it measures."""
    return programs("scorecard")


def run(scorecard: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """The program with these arguments, and with the interpreter of the tests for the rows of Python."""
    env = {**os.environ, "SCORECARD_PYTHON": sys.executable}
    return subprocess.run([scorecard, *args], env=env, capture_output=True, text=True, timeout=300, check=False)


def test_every_key_of_the_page_is_measured(scorecard: Path) -> None:
    ended = run(scorecard, "--quick")
    assert ended.returncode == 0, ended.stderr
    card = json.loads(ended.stdout)
    page = (ROOT / "docs/PERFORMANCE.md").read_text()
    assert set(card) ^ set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) <= OPTIONAL, ended.stderr
    for key, figure in card.items():
        assert math.isfinite(figure), key
        if key in COUNTS:
            assert figure >= 0, key
        elif key not in DIFFERENCES:
            assert figure > 0, key


def test_a_group_is_measured_alone(scorecard: Path) -> None:
    ended = run(scorecard, "--quick", "--only", "preempt_next_victim_ns")
    assert set(json.loads(ended.stdout)) == {"preempt_ns_10k", "preempt_next_victim_ns"}


@pytest.mark.parametrize("args", [["--only", "cycle"], ["--slow"], ["now"]])
def test_bad_usage_is_told_in_one_line(scorecard: Path, args: list[str]) -> None:
    ended = run(scorecard, *args)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
    assert args[-1] in ended.stderr
