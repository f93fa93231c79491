"""The programs of the README compile, and each prints what the README says that all of them print."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toolchain import ROOT, block, compile_c, compile_cpp, library, output


@pytest.fixture
def expected() -> str:
    """What every program prints."""
    return block("text")


@pytest.mark.usefixtures("programs")
def test_rust(tmp_path: Path, expected: str) -> None:
    rlib = library("tidegate", ".rlib")
    source, program = tmp_path / "main.rs", tmp_path / "main"
    source.write_text(block("rust"))
    dependencies = ["-L", f"dependency={rlib.parent / 'deps'}", "--extern", f"tidegate={rlib}"]
    output("rustc", "--edition=2024", "-Dwarnings", *dependencies, "-o", program, source)
    assert output(program) == expected


@pytest.mark.usefixtures("programs")
def test_c(tmp_path: Path, expected: str) -> None:
    source, program = tmp_path / "main.c", tmp_path / "main"
    source.write_text(block("c"))
    compile_c(source, program)
    assert output(program) == expected


@pytest.mark.usefixtures("programs")
def test_cpp(tmp_path: Path, expected: str) -> None:
    source, program = tmp_path / "main.cpp", tmp_path / "main"
    source.write_text(block("cpp", "docs/ABI.md"))
    compile_cpp(source, program)
    assert output(program) == expected


def test_python(tmp_path: Path, expected: str) -> None:
    source = tmp_path / "main.py"
    source.write_text(block("python"))
    assert output(sys.executable, source) == expected


def measured() -> dict[str, list[str]]:
    """The table of what is measured: by row what others have, what tidegate has, and what prints it."""
    text = (ROOT / "README.md").read_text()
    (table,) = re.findall(r"^\| \| others \|.*\n\| ---.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = (line.strip("| ").split(" | ") for line in table.splitlines())
    return {name: cells for name, *cells in rows}


def numbers(text: str) -> list[str]:
    """All numbers of a text."""
    return re.findall(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?", text)


def test_the_measured_table_is_what_a_run_prints(program: Path) -> None:
    report = json.loads(output(program, "replay", "--json"))
    assert report["workers"] == 6
    assert report["setups"]["tidegate"]["tiers"][0]["preemptions"] == 0
    measures: dict[str, Callable[[Any], float]] = {
        "P0 queue delay, p99 ms": lambda setup: setup["tiers"][0]["queue_delay_ms"]["p99"],
        "P0 first token, p99 ms": lambda setup: setup["tiers"][0]["ttft_ms"]["p99"],
        "P0 time per output token, p50 ms": lambda setup: setup["tiers"][0]["tpot_ms"]["p50"],
        "P1 queue delay, p99 ms": lambda setup: setup["tiers"][1]["queue_delay_ms"]["p99"],
        "workers busy while batch waits, %": lambda setup: 100 * setup["utilisation_while_backlogged"],
        "output tokens/s, all tiers": lambda setup: setup["output_tokens_per_s"],
        "goodput tokens/s (first token within 1 s P0, 5 s P1)": lambda setup: setup["goodput_tokens_per_s"],
    }
    table = {name: cells for name, cells in measured().items() if cells[2] == "`make run`"}
    assert table.keys() == measures.keys()
    for name, (others, ours, _) in table.items():
        shown = [*re.findall(r"[\d,.]*\d", others), ours.strip("*")]
        for setup, cell in zip(("dedicated", "naive", "tidegate"), shown, strict=True):
            rounded = round(measures[name](report["setups"][setup]), 1 if "." in cell else 0)
            assert float(cell.replace(",", "")) == rounded, f"{name}, {setup}"


SCENES = "| scene | vLLM 0.32 |"
KNEE = "| violations in % |"
ONLINE = "| beside online requests of"
FIRST_TOKENS = "Time to first token in seconds, mean and p99:"
FLEETS = "| | dedicated | naive | tidegate |"
# By row of the README where its figures stand: a table by what is before its rows, a row by its name, and a column.
ON_PAGES = {
    "an urgent request behind batch, all slots full: steps until it runs": [
        (SCENES, "A: slots full, steps until scheduled (preemptions)", column) for column in (1, 2)
    ],
    "the same, KV blocks full": [(SCENES, "B: KV blocks full, likewise", column) for column in (1, 2)],
    "the same, behind a prompt of 32,768 tokens": [
        (SCENES, "F: behind a prompt of 32,768 tokens, likewise", column) for column in (1, 2)
    ],
    "64 requests on 30 % of the blocks they need: tokens computed again": [
        (SCENES, "C: 64 requests on 0.3 of the blocks, tokens computed again", column) for column in (1, 2)
    ],
    "requests/s at which 1 % miss the objectives of three tiers": [
        (KNEE, policy, 7) for policy in ("Niyama (published)", "vLLM's priority", "tidegate")
    ],
    "batch work beside online requests: p99 to the first token": [
        (ONLINE, policy, 2) for policy in ("preemption (recompute or copy)", "priority", "tidegate")
    ],
    "prompts routed to caches: mean s to the first token, 4 workers": [
        (FIRST_TOKENS, policy, 1) for policy in ("DLPM", "Preble's E2", "tidegate")
    ],
    "GPUs for 26 million requests a month within their objectives": [(FLEETS, "GPUs", column) for column in (1, 2, 3)],
}


def on_page(page: str, table: str, row: str, column: int) -> str:
    """The first number in a cell."""
    _, after = page.split(table)
    lines = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert lines, table
    rows = [[cell.strip("* ") for cell in line.strip("|").split("|")] for line in lines[0].splitlines()]
    (cells,) = (cells for cells in rows if cells[0] == row)
    return numbers(cells[column])[0]


def test_the_rest_of_the_table_stands_on_the_pages_that_it_names() -> None:
    rows = {name: cells for name, cells in measured().items() if cells[2] != "`make run`"}
    assert rows.keys() == ON_PAGES.keys()
    for name, (others, ours, command) in rows.items():
        (page,) = re.findall(r"\]\((docs/\w+\.md)\)", command)
        text = (ROOT / page).read_text()
        shown = [numbers(part)[-1] for part in (*others.split(", "), ours)]
        assert shown == [on_page(text, *place) for place in ON_PAGES[name]], f"{name}: {page} has other figures"


def test_the_picture_is_what_the_program_draws(program: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "capacity.svg"
    output(program, "replay", "--setup", "tidegate", "--plot", drawn)
    committed = (ROOT / "docs/capacity.svg").read_text()
    assert drawn.read_text() == committed, "what is drawn has changed: make picture"
    (preemptions,) = re.findall(r"\((\d+) preemptions\)", committed)
    assert f"{int(preemptions):,} times" in (ROOT / "README.md").read_text()
