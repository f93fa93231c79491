"""How the tests of this folder build and run what is written in other languages."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

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


def build(package: str, *options: str, target: str = "tidegate") -> list[Path]:
    """Builds the library, program or example of a package that goes by this name, and returns its files."""
    messages = output("cargo", "build", "--quiet", "--message-format=json", "--package", package, *options)
    artifacts = [json.loads(line) for line in messages.splitlines()]
    files = [
        Path(file)
        for artifact in artifacts
        if artifact["reason"] == "compiler-artifact" and artifact["target"]["name"] == target
        for file in artifact["filenames"]
    ]
    assert files, f"cargo built nothing of {package}"
    return files


def compile_c(source: Path, program: Path) -> None:
    """Compiles a C program against the static library."""
    compile_by(os.environ.get("CC", "cc"), "c99", source, program)


def compile_cpp(source: Path, program: Path) -> None:
    """Compiles a C++ program against the static library."""
    compile_by(os.environ.get("CXX", "c++"), "c++17", source, program)


def compile_by(compiler: str, standard: str, source: Path, program: Path) -> None:
    """Compiles a program against the static library, without a warning."""
    (library,) = (file for file in build("tidegate-ffi") if file.suffix == ".a")
    output(*shlex.split(compiler), f"-std={standard}", *STRICT, "-o", program, source, library, *SYSTEM_LIBRARIES)
