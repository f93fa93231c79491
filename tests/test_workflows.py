"""The workflows are YAML, end by themselves, use what is pinned, and build all the wheels there have to be."""

import re
from pathlib import Path

import pytest
import yaml
from toolchain import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def jobs(workflow: Path) -> dict[str, dict]:
    return yaml.safe_load(workflow.read_text())["jobs"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_has_an_end_and_every_action_is_pinned(workflow: Path) -> None:
    assert jobs(workflow)
    for name, job in jobs(workflow).items():
        assert 0 < job["timeout-minutes"] <= 120, name
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), (name, step)
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step.get("uses", "a@" + 40 * "0")), (name, step)


def test_there_is_a_wheel_for_each_kind_of_interpreter() -> None:
    matrix = jobs(ROOT / ".github/workflows/wheels.yml")["wheel"]["strategy"]["matrix"]
    kinds = {python["kind"]: python["version"] for python in matrix["python"]}
    assert kinds == {"abi3": "3.11", "cp313t": "3.13t", "cp314t": "3.14t"}
    assert len({platform["name"] for platform in matrix["platform"]}) == len(matrix["platform"])
