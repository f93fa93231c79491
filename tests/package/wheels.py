"""Installs the wheel and the source distribution into empty environments of each Python at hand, and uses them."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from steps import VERSION, WORK
from toolchain import ROOT, block, output

MATURIN = Path(sys.executable).parent / "maturin"
# What comes along with the code: ours, that of others, and the list of it.
NOTICES = {"LICENSE-MIT", "LICENSE-APACHE", "LICENSE-THIRD-PARTY"}
BILL = "tidegate-python.cdx.json"
# A build for tests; whoever installs from sources gets the optimised one.
PROFILE = ["--config-settings", "build-args=--profile dev"]


def interpreters() -> list[Path]:
    """Each CPython from 3.11 on that the machine has, one of a kind; that of this program at least."""
    folders = [*map(Path, os.get_exec_path()), *Path.home().glob(".pyenv/versions/*/bin")]
    candidates = [Path(sys.executable), *(file for folder in folders for file in folder.glob("python3.??"))]
    says = "import sys, sysconfig; print(sys.version_info[:2], sysconfig.get_config_var('Py_GIL_DISABLED'))"
    kinds: dict[tuple[int, int], Path] = {}
    for candidate in candidates:
        asked = subprocess.run([candidate, "-c", says], capture_output=True, text=True, check=False, timeout=60)
        told = re.fullmatch(r"\((\d+), (\d+)\) (?:0|None)\n", asked.stdout)
        if told and (version := (int(told[1]), int(told[2]))) >= (3, 11):
            kinds.setdefault(version, candidate)
    return [kinds[version] for version in sorted(kinds)]


def built() -> tuple[Path, Path]:
    """The wheel and the source distribution."""
    into = WORK / "python"
    shutil.rmtree(into, ignore_errors=True)
    manifest = ["--manifest-path", ROOT / "python/Cargo.toml", "--out", into]
    output(MATURIN, "sdist", *manifest)
    output(MATURIN, "build", "--quiet", "--locked", "--profile", "dev", "--interpreter", sys.executable, *manifest)
    (wheel,), (source,) = into.glob("*.whl"), into.glob("*.tar.gz")
    return wheel, source


def notices(wheel: Path, source: Path) -> None:
    """Both carry the licences and the bill of materials."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"tidegate-{VERSION}.dist-info/METADATA").decode()
        bill = archive.read(f"tidegate-{VERSION}.dist-info/sboms/{BILL}")
    assert {f"tidegate-{VERSION}.dist-info/licenses/{name}" for name in NOTICES} <= names, sorted(names)
    assert set(re.findall(r"^License-File: (.+)$", metadata, re.MULTILINE)) == NOTICES
    assert bill == (ROOT / "python" / BILL).read_bytes()
    assert sum("/sboms/" in name for name in names) == 1, "one bill, and not maturin's, which has a time and a folder"
    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert NOTICES | {"core/Cargo.toml", "deploy/Cargo.toml", "Cargo.lock", f"python/{BILL}", BILL} <= inside


def environment(interpreter: Path, folder: Path, *install: str | Path) -> Path:
    """The Python of an environment that has only what is installed there."""
    output(interpreter, "-m", "venv", folder)
    python = folder / "bin/python"
    output(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *install)
    return python


def serves(python: Path, work: Path) -> str:
    """Runs the program of the README away from the checkout."""
    assert output(python, "-I", "-c", block("python"), cwd=work) == block("text")
    says = f"import tidegate, sys; assert tidegate.__version__ == '{VERSION}'; print(sys.version.split()[0])"
    return output(python, "-I", "-c", says, cwd=work).strip()


def main() -> None:
    wheel, source = built()
    notices(wheel, source)
    found = interpreters()
    assert found, "no CPython from 3.11 on"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for number, interpreter in enumerate(found):
            python = environment(interpreter, work / f"wheel-{number}", "--no-index", wheel)
            print(f"{wheel.name} serves Python {serves(python, work)}")
        # An archive's files are old: in a folder where something was built, cargo would take that for what they make.
        os.environ["CARGO_TARGET_DIR"] = str(work / "target")
        python = environment(found[-1], work / "source", *PROFILE, source)
        print(f"{source.name} serves Python {serves(python, work)}")


main()
