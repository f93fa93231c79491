"""How the tests of this folder build and run what is written in other languages."""

import functools
import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude"]
# What a Rust static library needs of the system.
SYSTEM_LIBRARIES = ["-lpthread", "-ldl", "-lm"]


# The longest command, all tests of the crate from its archive, builds them anew.
AT_MOST_S = 1700


def output(*command: str | Path, env: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    """What the command prints, which must succeed; what it says on standard error is shown."""
    whole = os.environ | (env or {})
    run = subprocess.run(command, cwd=cwd, env=whole, stdout=subprocess.PIPE, text=True, check=True, timeout=AT_MOST_S)
    return run.stdout


def block(language: str, page: str = "README.md") -> str:
    """The one fenced block of this language on a page."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"{len(found)} blocks of {language} in {page}"
    return str(found[0])


@functools.cache
def built() -> list[dict[str, Any]]:
    """Builds every library and program that tests use, once, and returns what cargo says of each.

    In one command: packages that are built alone ask for a core with features of their own, each time anew. With an
    example among them cargo takes dependencies as it does for tests, and finds what `make test-rust` has built.
    """
    what = ["--workspace", "--lib", "--bins", "--example", "redis_leases"]
    messages = output("cargo", "build", "--quiet", "--message-format=json", *what)
    artifacts = [json.loads(line) for line in messages.splitlines()]
    return [artifact for artifact in artifacts if artifact["reason"] == "compiler-artifact"]


def library(package: str, *suffixes: str) -> Path:
    """The library of a package of ours whose file's name ends so."""
    of_package = (artifact["filenames"] for artifact in built() if f"#{package}@" in artifact["package_id"])
    (found,) = (Path(name) for names in of_package for name in names if name.endswith(suffixes))
    return found


def program(name: str) -> Path:
    """The program or example of this name."""
    (found,) = (
        Path(artifact["executable"])
        for artifact in built()
        if artifact["executable"] is not None and artifact["target"]["name"] == name
    )
    return found


def compile_c(source: Path, program: Path) -> None:
    """Compiles a C program against the static library."""
    compile_by(os.environ.get("CC", "cc"), "c99", source, program)


def compile_cpp(source: Path, program: Path) -> None:
    """Compiles a C++ program against the static library."""
    compile_by(os.environ.get("CXX", "c++"), "c++17", source, program)


def compile_by(compiler: str, standard: str, source: Path, program: Path) -> None:
    """Compiles a program against the static library, without a warning."""
    archive = library("tidegate-ffi", ".a")
    output(*shlex.split(compiler), f"-std={standard}", *STRICT, "-o", program, source, archive, *SYSTEM_LIBRARIES)
