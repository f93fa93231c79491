"""Builds the packages of the last commit in two folders of different names, and compares them: `make reproducible`."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from contents import ROOT, output


def built(work: Path, name: str, options: list[str]) -> str:
    """The hashes of what is built of the last commit in a checkout of this name."""
    checkout = work / name
    shutil.rmtree(checkout, ignore_errors=True)
    output("git", "clone", "--quiet", "--no-hardlinks", ROOT, checkout)
    env = {key: value for key, value in os.environ.items() if key != "CARGO_TARGET_DIR"}
    command = [sys.executable, checkout / "packages/make.py", "--work", checkout / "target", *options]
    subprocess.run(command, cwd=checkout, env=env, check=True, timeout=3 * 3600)
    sums = (checkout / "target/dist/SHA256SUMS").read_text()
    shutil.rmtree(checkout / "target/build")
    return sums


def main() -> None:
    """Fails if an artefact is not the same twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where both are built")
    arguments, options = parser.parse_known_args()
    work = arguments.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    first, second = built(work, "here", options), built(work, "there-and-elsewhere", options)
    differ = set(first.splitlines()) ^ set(second.splitlines())
    if differ:
        raise SystemExit("not the same twice:\n" + "\n".join(sorted(differ, key=lambda line: line.split()[1])))
    print(first, "the same twice", sep="")


main()
