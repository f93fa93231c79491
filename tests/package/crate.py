"""Packs the crate, unpacks it where nothing of the checkout is, and runs all its tests there."""

import shutil
import tarfile
import tempfile
from pathlib import Path

from steps import VERSION, WORK
from toolchain import ROOT, output

NAME = f"tidegate-{VERSION}"
# An archive has no profiles. These are the workspace's, with which the tests take minutes.
PROFILES = ["profile.dev.package.tidegate.opt-level=1", "profile.dev.package.loom.opt-level=2"]
# Tests that the archive has not, with the reason in core/Cargo.toml.
LEFT_OUT = {"house.rs"}


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
        settings = [word for profile in PROFILES for word in ("--config", profile)]
        tests = ["cargo", *settings, "test", "--locked", "--all-features", "--quiet"]
        # The archive's files are old: where something was built, cargo would take that for what they make.
        said = output(*tests, env={"CARGO_TARGET_DIR": str(Path(folder) / "target")}, cwd=crate)
        results = [line for line in said.splitlines() if line.startswith("test result: ")]
        assert len(results) > len(ours), "each file of tests, those beside the code, and the programs of the pages"
        print(f"{NAME}: {len(results)} programs of tests pass")
    shutil.rmtree(WORK / "crate")


main()
