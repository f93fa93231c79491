"""Real vLLM computes real tokens on the CPU, by tidegate's decisions and by its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SCENES = pytest.mark.parametrize("scene", ["slots_full", "memory_full"])


@pytest.fixture(scope="module")
def runs(model: Path) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, HERE / "engine_run.py", model], stdout=subprocess.PIPE, text=True, timeout=900, check=True
    )
    return json.loads(ended.stdout.splitlines()[-1])


@SCENES
def test_urgent_requests_are_in_the_next_step(runs: dict[str, Any], scene: str) -> None:
    ours, theirs = runs[scene]["tidegate"], runs[scene]["vllm"]
    for name, run in runs[scene].items():
        print(scene, name, {key: run[key] for key in ("waited", "preempted", "steps")})
    assert ours["waited"] == [1, 1]
    # A slot is one victim. Five blocks are up to two: each of them holds at least three.
    assert ours["preempted_until_then"] <= (2 if scene == "slots_full" else 4)
    assert min(theirs["waited"]) > 50


@SCENES
def test_every_token_is_that_of_a_run_that_nothing_constrains(runs: dict[str, Any], scene: str) -> None:
    wanted = runs["unconstrained"]["tokens"]
    assert len(wanted) == 14
    assert len({tuple(tokens) for tokens in wanted.values()}) == 14
    assert runs[scene]["tidegate"]["preempted"] > 0
    assert runs[scene]["tidegate"]["tokens"] == wanted


def test_a_model_that_raises_leaves_nothing_behind(runs: dict[str, Any]) -> None:
    raised = runs["model_raises"]
    assert "the model fails" in raised["said"]
    assert (raised["entries"], raised["live"]) == (0, 0)
