"""Builds everything that is given away, into one folder: `make package`.

The same commit gives the same bytes, in whatever folder it lies: paths are taken out of what rustc writes, times are
that of the commit.
"""

import argparse
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path

from contents import ROOT, VERSION, output

AT_MOST_S = 3600
# The oldest glibc that a wheel is built for: that of RHEL 8 and Debian 10.
MANYLINUX = "2_28"


@cache
def epoch() -> str:
    """The second in which the commit was made, as SOURCE_DATE_EPOCH has it."""
    return os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct").strip()


def environment(target: Path) -> dict[str, str]:
    """What every build here is told: where it goes, and which paths nobody is to find in it."""
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    hidden = {ROOT: "/tidegate", cargo_home / "registry/src": "/crates", target: "/target"}
    flags = [f"--remap-path-prefix={folder}={name}" for folder, name in hidden.items()]
    return os.environ | {
        "CARGO_TARGET_DIR": str(target),
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        "SOURCE_DATE_EPOCH": epoch(),
        "CARGO_ZIGBUILD_PYTHON_PATH": sys.executable,  # which has zig as a package
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def call(env: dict[str, str], *command: str | Path) -> None:
    """Runs a command that must succeed."""
    print("+", *command, flush=True)
    subprocess.run(command, cwd=ROOT, env=env, check=True, timeout=AT_MOST_S)


def archive(folder: Path, into: Path) -> None:
    """A folder as `NAME.tar.gz`, with nothing in it of the machine or the time."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = int(epoch())
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(folder, arcname=folder.name, filter=plain)  # in the order of the names
    (into / f"{folder.name}.tar.gz").write_bytes(gzip.compress(content.getvalue(), mtime=0))


def crate(env: dict[str, str], into: Path) -> None:
    """The library as it would go to a registry."""
    call(env, "cargo", "package", "--locked", "--no-verify", "--allow-dirty", "--quiet", "--package", "tidegate")
    shutil.copy(Path(env["CARGO_TARGET_DIR"]) / f"package/tidegate-{VERSION}.crate", into)


def python(env: dict[str, str], into: Path) -> None:
    """The source distribution, and the wheel that serves every CPython."""
    maturin = [sys.executable, "-m", "maturin"]
    manifest = ["--manifest-path", "python/Cargo.toml", "--out", str(into)]
    call(env, *maturin, "sdist", *manifest)
    linux = ["--zig", "--compatibility", f"manylinux_{MANYLINUX}"] if sys.platform == "linux" else []
    call(env, *maturin, "build", "--release", "--locked", "--interpreter", sys.executable, *linux, *manifest)


def library(env: dict[str, str], work: Path, into: Path, platform: str) -> None:
    """What `make install` installs, as an archive that is unpacked anywhere."""
    folder = work / f"libtidegate-{VERSION}-{platform}"
    call(env, "make", "--no-print-directory", "install", f"PREFIX=/{folder.name}", f"DESTDIR={work}", "LIBDIR=lib")
    # CMake's files look around from where they lie; let pkg-config's too.
    words = folder / "lib/pkgconfig/tidegate.pc"
    words.write_text(words.read_text().replace(f"prefix=/{folder.name}\n", "prefix=${pcfiledir}/../..\n", 1))
    archive(folder, into)


def program(env: dict[str, str], work: Path, into: Path, platform: str) -> None:
    """The simulator and its licences."""
    call(env, "cargo", "build", "--release", "--locked", "--quiet", "--package", "tidegate-sim")
    folder = work / f"tidegate-{VERSION}-{platform}"
    folder.mkdir()
    suffix = ".exe" if sys.platform == "win32" else ""
    shutil.copy(Path(env["CARGO_TARGET_DIR"]) / f"release/tidegate{suffix}", folder)
    for file in [*ROOT.glob("LICENSE-*"), ROOT / "sim/tidegate-sim.cdx.json", ROOT / "docs/SIMULATOR.md"]:
        shutil.copy(file, folder)
    archive(folder, into)


def sums(folder: Path) -> None:
    """The hash of each artefact, in a file beside them, and their sizes for people."""
    lines = []
    for file in sorted(folder.iterdir()):
        lines.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")
        print(f"{file.stat().st_size / 1e6:7.2f} MB  {file.name}")
    (folder / "SHA256SUMS").write_text("".join(lines))


def main() -> None:
    """Makes all artefacts, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["crate", "python", "library", "program"], action="append")
    parser.add_argument(
        "--work", type=Path, required=True, help="where it is built; the artefacts go to its folder dist"
    )
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    into, env = work / "dist", environment(work / "build")
    for folder in (into, work / "unpacked"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    platform = next(line.split()[1] for line in output("rustc", "-vV").splitlines() if line.startswith("host:"))
    steps = {
        "crate": lambda: crate(env, into),
        "python": lambda: python(env, into),
        "library": lambda: library(env, work / "unpacked", into, platform),
        "program": lambda: program(env, work / "unpacked", into, platform),
    }
    for name, step in steps.items():
        if not arguments.only or name in arguments.only:
            step()
    sums(into)


main()
