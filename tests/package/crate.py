"""Packs the crate, unpacks it where nothing of the checkout is, and runs all its tests there."""

import json
import shutil
import tarfile
import tempfile
import tomllib
from pathlib import Path

from steps import VERSION, WORK
from toolchain import ROOT, output

NAME = f"tidegate-{VERSION}"
# Tests that the archive has not, with the reason in core/Cargo.toml.
LEFT_OUT = {"house.rs"}


def profile() -> list[str]:
    """An archive has no profile: this is the workspace's, with which the tests take minutes."""
    dev = tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"]["dev"]
    settings = {key: dev[key] for key in ("debug", "lto")}
    settings |= {f"package.{name}.opt-level": dev["package"][name]["opt-level"] for name in ("tidegate", "loom")}
    return [word for key, value in settings.items() for word in ("--config", f"profile.dev.{key}={json.dumps(value)}")]


def unpacked(folder: Path) -> Path:
    """The crate as a registry would hand it out."""
    pack = ["cargo", "package", "--locked", "--no-verify", "--allow-dirty", "--quiet", "--package", "tidegate"]
    output(*pack, env={"CARGO_TARGET_DIR": str(WORK / "crate")})
    with tarfile.open(WORK / f"crate/package/{NAME}.crate") as archive:
        archive.extractall(folder, filter="data")
    return folder / NAME


def main() -> None:
    # Outside the checkout, or cargo would take it for a part of the workspace around it.
    with tempfile.TemporaryDirectory() as folder:
        crate = unpacked(Path(folder))
        ours = {file.name for file in (ROOT / "core/tests").glob("*.rs")}
        assert {file.name for file in (crate / "tests").glob("*.rs")} == ours - LEFT_OUT
        for text in ("LICENSE-MIT", "LICENSE-APACHE", "README.md"):
            assert (crate / text).stat().st_size > 1_000, text
        tests = ["cargo", *profile(), "test", "--locked", "--all-features", "--quiet"]
        # The archive's files are old: where something was built, cargo would take that for what they make.
        said = output(*tests, env={"CARGO_TARGET_DIR": str(Path(folder) / "target")}, cwd=crate)
        results = [line for line in said.splitlines() if line.startswith("test result: ")]
        assert len(results) > len(ours), "each file of tests, those beside the code, and the programs of the pages"
        print(f"{NAME}: {len(results)} programs of tests pass")
    shutil.rmtree(WORK / "crate")


main()
