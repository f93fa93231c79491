"""The programs of the README compile, and each prints what the README says that all of them print."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toolchain import ROOT, block, build, compile_c, compile_cpp, output


@pytest.fixture
def expected() -> str:
    """What every program prints."""
    return block("text")


def test_rust(tmp_path: Path, expected: str) -> None:
    (rlib,) = (file for file in build("tidegate") if file.suffix == ".rlib")
    source, program = tmp_path / "main.rs", tmp_path / "main"
    source.write_text(block("rust"))
    dependencies = ["-L", f"dependency={rlib.parent / 'deps'}", "--extern", f"tidegate={rlib}"]
    output("rustc", "--edition=2024", "-Dwarnings", *dependencies, "-o", program, source)
    assert output(program) == expected


def test_c(tmp_path: Path, expected: str) -> None:
    source, program = tmp_path / "main.c", tmp_path / "main"
    source.write_text(block("c"))
    compile_c(source, program)
    assert output(program) == expected


def test_cpp(tmp_path: Path, expected: str) -> None:
    source, program = tmp_path / "main.cpp", tmp_path / "main"
    source.write_text(block("cpp", "docs/ABI.md"))
    compile_cpp(source, program)
    assert output(program) == expected


def test_python(tmp_path: Path, expected: str) -> None:
    source = tmp_path / "main.py"
    source.write_text(block("python"))
    assert output(sys.executable, source) == expected


@pytest.fixture(scope="module")
def program() -> Path:
    """The simulator."""
    (found,) = (file for file in build("tidegate-sim") if file.stem == "tidegate" and file.suffix in ("", ".exe"))
    return found


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


def test_the_rest_of_the_table_stands_on_the_pages_that_it_names() -> None:
    rows = {name: cells for name, cells in measured().items() if cells[2] != "`make run`"}
    assert len(rows) > 5
    for name, (others, ours, command) in rows.items():
        (page,) = re.findall(r"\]\((docs/\w+\.md)\)", command)
        on_page = numbers((ROOT / page).read_text())
        absent = {number for number in numbers(others) + numbers(ours) if number not in on_page}
        assert absent == set(), f"{name}: {page} has other figures"


def test_the_picture_is_what_the_program_draws(program: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "capacity.svg"
    output(program, "replay", "--setup", "tidegate", "--plot", drawn)
    committed = (ROOT / "docs/capacity.svg").read_text()
    assert drawn.read_text() == committed, "what is drawn has changed: make picture"
    (preemptions,) = re.findall(r"\((\d+) preemptions\)", committed)
    assert f"{int(preemptions):,} times" in (ROOT / "README.md").read_text()
