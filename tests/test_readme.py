"""The programs of the README compile, and each prints what the README says that all of them print."""

import re
import sys
from pathlib import Path

import pytest
from toolchain import ROOT, build, compile_c, output


def block(language: str) -> str:
    """The one fenced block of this language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"{len(found)} blocks of {language} in README.md"
    return str(found[0])


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


def test_python(tmp_path: Path, expected: str) -> None:
    source = tmp_path / "main.py"
    source.write_text(block("python"))
    assert output(sys.executable, source) == expected
