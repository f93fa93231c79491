"""`make` says at once what a machine lacks: one line for each thing, exit status 2, and nothing built."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SYSTEM = ["make", "uname", "id"]
TOOLS = ["cargo", "rustc", "cc", "c++", "python3", "valgrind"]
ONLY_ASKED_FOR = ["clang++", "abidiff", "redis-server"]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder that, as PATH, is a machine with all that is needed and without a package manager."""
    for tool in [*SYSTEM, *TOOLS]:
        where = shutil.which(tool)
        assert where, f"this machine has no {tool}"
        if tool in SYSTEM:
            (tmp_path / tool).symlink_to(where)
        else:
            # pyenv and rustup look at the name that they are called by and at what else is in PATH.
            stand_in(tmp_path, tool, f'PATH={os.environ["PATH"]}\nexec {where} "$@"')
    for tool in ONLY_ASKED_FOR:
        stand_in(tmp_path, tool, "exit 0")
    return tmp_path


def stand_in(machine: Path, tool: str, script: str) -> None:
    """Puts this script in the place of the tool."""
    (machine / tool).write_text(f"#!/bin/sh\n{script}\n")
    (machine / tool).chmod(0o755)


def run(machine: Path, *command: str) -> tuple[int, list[str]]:
    """The exit status of the command on this machine, and what it says is missing."""
    ours = {"PATH", "CC", "CXX", "PYTHON", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    env = {name: value for name, value in os.environ.items() if name not in ours}
    env["PATH"] = str(machine)
    ended = subprocess.run(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    return ended.returncode, [line for line in ended.stderr.splitlines() if line.startswith("missing: ")]


def test_nothing_is_missing(machine: Path) -> None:
    assert run(machine, ".ci/need", "cargo", "cc", "c++", "clang", "abigail", "python", "valgrind", "redis") == (0, [])


@pytest.mark.parametrize(
    "target", ["run", "test", "test-rust", "test-engines", "lint", "bench", "scorecard", "fuzz-smoke"]
)
def test_no_c_compiler(machine: Path, target: str) -> None:
    (machine / "cc").unlink()
    status, missing = run(machine, "make", target)
    assert status == 2
    assert len(missing) == 1
    assert missing[0].startswith("missing: a C compiler: no command 'cc'; on Debian and Ubuntu: apt-get install gcc;")


def test_all_that_is_missing_is_named_at_once(machine: Path) -> None:
    for tool in [*TOOLS[1:], *ONLY_ASKED_FOR]:
        (machine / tool).unlink()
    status, missing = run(machine, "make", "test")
    assert status == 2
    things = [line.split(": ")[1] for line in missing]
    compilers = ["the Rust toolchain", "a C compiler", "a C++ compiler", "clang", "abidiff"]
    assert things == [*compilers, "Python 3.11 or newer", "valgrind", "redis-server"]


def test_an_old_rustc(machine: Path) -> None:
    stand_in(machine, "rustc", "echo 'rustc 1.94.2 (0123456789 2026-02-01)'")
    assert run(machine, "make", "run") == (
        2,
        ["missing: rustc 1.95 or newer: this is rustc 1.94.2 (0123456789 2026-02-01); run: rustup update stable"],
    )


def test_an_old_python(machine: Path) -> None:
    stand_in(machine, "python3", "exit 1")
    assert run(machine, "make", "test") == (
        2,
        ["missing: Python 3.11 or newer: 'python3' is none; install one, or name it: make PYTHON=python3.12"],
    )


def test_a_python_without_venv(machine: Path) -> None:
    stand_in(machine, "python3", "case $2 in *ensurepip*) exit 1 ;; *print*) echo python3.11-venv ;; esac")
    assert run(machine, "make", "test") == (
        2,
        ["missing: Python's venv module: on Debian and Ubuntu: apt-get install python3.11-venv"],
    )
