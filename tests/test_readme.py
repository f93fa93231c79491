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


def test_the_measured_table_is_what_a_run_prints() -> None:
    (program,) = (file for file in build("tidegate-sim") if file.stem == "tidegate" and file.suffix in ("", ".exe"))
    report = json.loads(output(program, "replay", "--json"))
    assert report["workers"] == 6
    measures: dict[str, Callable[[Any], float]] = {
        "P0 queue delay, p99 ms": lambda setup: setup["tiers"][0]["queue_delay_ms"]["p99"],
        "P0 first token, p99 ms": lambda setup: setup["tiers"][0]["ttft_ms"]["p99"],
        "P0 time per output token, p50 ms": lambda setup: setup["tiers"][0]["tpot_ms"]["p50"],
        "P1 queue delay, p99 ms": lambda setup: setup["tiers"][1]["queue_delay_ms"]["p99"],
        "workers busy while batch waits, %": lambda setup: 100 * setup["utilisation_while_backlogged"],
        "output tokens/s, all tiers": lambda setup: setup["output_tokens_per_s"],
        "goodput tokens/s (first token within 1 s P0, 5 s P1)": lambda setup: setup["goodput_tokens_per_s"],
        "P0's largest need, % of its reserve": lambda setup: 100 * (setup.get("guarantee_pressure") or 0),
    }
    rows = re.findall(r"^\| (.+?) \| (.*?) \| (.*?) \| (.+?) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    table = {name: cells for name, *cells in rows if name in measures}
    assert table.keys() == measures.keys()
    for name, cells in table.items():
        for setup, cell in zip(("dedicated", "naive", "tidegate"), cells, strict=True):
            if cell != "n/a":
                shown = float(cell.strip("*").replace(",", ""))
                rounded = round(measures[name](report["setups"][setup]), 1 if "." in cell else 0)
                assert shown == rounded, f"{name}, {setup}"
