"""The figures of docs/LLAMA_CPP.md are those of the commands that the page shows."""

import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from llama_run import SOURCE, Run
from toolchain import ROOT

pytestmark = pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"}, reason="the figures are those of an x86-64 processor"
)


@pytest.fixture(scope="module")
def section() -> str:
    _, after = (ROOT / "docs/LLAMA_CPP.md").read_text().split("\n## What it does to waiting\n")
    return after.split("\n## ")[0]


@pytest.fixture(scope="module")
def runs(section: str, program: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """What came of the commands, with tidegate and with --first-come; the files are where the tests have them."""
    folder = tmp_path_factory.mktemp("page")
    _, block, _ = re.split(r"```(?:sh\n)?", section)
    ours = {"python": sys.executable, "build/llama_host": program, "tiny.gguf": folder / "tiny.gguf"}
    lines = [shlex.split(line, comments=True) for line in block.replace("\\\n", "").splitlines()]
    make_model, serve = [[ours.get(word, word) for word in line] for line in lines]
    subprocess.run(make_model, cwd=ROOT, check=True)

    def run(*options: str) -> Run:
        report = folder / "report.json"
        command = [*serve, *options, "--report", report]
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
        return Run.read(report, ended.stdout)

    return run(), run("--first-come")


def numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]


def row_of(run: Run) -> list[int]:
    realtime = run.of_tier("realtime")
    return [
        max(request.steps_until_start() for request in realtime),
        max(request.steps_until_first_token() for request in realtime),
        max(request.steps_until_start() for request in run.of_tier("near-realtime")),
        run.counts["steps"],
    ]


def test_the_table(section: str, runs: tuple[Run, Run]) -> None:
    *_, above, below = [line for line in section.splitlines() if line.startswith("|")]
    assert above.startswith("| tidegate |")
    assert below.startswith("| `--first-come`")
    assert [numbers(above), numbers(below)] == [row_of(run) for run in runs]


def test_the_counts_under_the_table(section: str, runs: tuple[Run, Run]) -> None:
    counts, first_come = (run.counts for run in runs)
    assert counts["saved"] == counts["restored"]
    assert counts["dropped"] == counts["refilled"]
    *_, below = section.split("```")
    told, _ = below.split("`make test-engines`")
    hold_window = re.search(r"hold_window = '(\d+)ms'", (SOURCE / "main.cpp").read_text())
    assert hold_window is not None
    assert numbers(told) == [
        *(counts[name] for name in ("reclaims", "for_memory", "saved", "moved", "dropped")),
        counts["steps"] - first_come["steps"],
        int(hold_window[1]),
    ]
