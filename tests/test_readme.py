"""The programs of the README compile, and each prints what the README says that all of them print."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def block(language: str) -> str:
    """The one fenced block of this language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"{len(found)} blocks of {language} in README.md"
    return str(found[0])


def output(*command: str | Path) -> str:
    """What the command prints, which must succeed; what it says on standard error is shown if it does not."""
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return run.stdout


def build(package: str, *features: str) -> list[Path]:
    """Builds the library of a package and returns its files."""
    messages = output("cargo", "build", "--quiet", "--message-format=json", "--package", package, *features)
    artifacts = [json.loads(line) for line in messages.splitlines()]
    files = [
        Path(file)
        for artifact in artifacts
        if artifact["reason"] == "compiler-artifact" and artifact["target"]["name"] == "tidegate"
        for file in artifact["filenames"]
    ]
    assert files, f"cargo built no library of {package}"
    return files


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
    (library,) = (file for file in build("tidegate-ffi") if file.suffix == ".a")
    source, program = tmp_path / "main.c", tmp_path / "main"
    source.write_text(block("c"))
    compiler = shlex.split(os.environ.get("CC", "cc"))
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude"]
    system = ["-lpthread", "-ldl", "-lm"]
    output(*compiler, *strict, "-o", program, source, library, *system)
    assert output(program) == expected


def test_python(tmp_path: Path, expected: str) -> None:
    source = tmp_path / "main.py"
    source.write_text(block("python"))
    assert output(sys.executable, source) == expected
