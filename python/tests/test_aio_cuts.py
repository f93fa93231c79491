"""A signal or an exception at any step of a block, or of the gate: each request ends once, and nobody is left waiting.

The steps are taken in a process of its own (`aio_cuts.py`), which counts them: no signal is sent, no clock decides.
"""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "aio_cuts.py"
WITHIN = 300
"""Seconds for what takes ten on an idle machine."""


@pytest.mark.parametrize(
    ("error", "after"), [("KeyboardInterrupt", "cancel"), ("KeyboardInterrupt", "go-on"), ("MemoryError", "go-on")]
)
@pytest.mark.parametrize(("scenario", "fewest"), [("preempted", 400), ("refused", 500), ("lost", 300)])
def test_cut_anywhere_each_request_ends_once(scenario: str, fewest: int, error: str, after: str) -> None:
    command = [sys.executable, str(PROGRAM), scenario, error, after]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) >= fewest, "steps"
