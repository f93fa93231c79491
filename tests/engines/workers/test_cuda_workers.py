"""The example of the CUDA workers: real tensors in threads, the urgent tier served at once, everybody as alone."""

import json
import os
import subprocess
import sys

import pytest
from toolchain import ROOT

PROGRAM = ROOT / "python/examples/cuda_workers.py"


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, PROGRAM, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_three_tiers_on_a_cpu() -> None:
    ended = call("--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    for name, run in told["runs"].items():
        urgent = run["tiers"]["realtime"]
        print(f"{name}: P0 p99 {urgent['latency_ms_p99']:.1f} ms, {run['busy']:.0%} busy")
    took = f"call p50 {told['call_us_p50']:.0f} us, p99 {told['call_us_p99']:.0f} us"
    print(f"{took}, turn p50 {told['turn_us_p50']:.0f} us; {told['reclaims']} reclaims")
    assert told["same_outputs"], "whoever yielded went on where it was"
    assert told["live"] == 0
    assert told["completed"] == 16 + 24 + 6
    assert told["reclaims"] > 0
    p50 = {name: run["tiers"]["realtime"]["latency_ms_p50"] for name, run in told["runs"].items()}
    # The others wait for a whole batch request, and for all of them: far more than the noise of a machine.
    assert p50["tidegate"] < p50["first come"]


def test_help() -> None:
    ended = call("--help")
    assert ended.returncode == 0
    assert "--workers" in ended.stdout


@pytest.mark.parametrize("arguments", [["--workers", "0"], ["--urgent", "3"], ["--batch", "-1"]])
def test_wrong_numbers(arguments: list[str]) -> None:
    ended = call(*arguments)
    assert ended.returncode == 2
    assert "1 or more" in ended.stderr
