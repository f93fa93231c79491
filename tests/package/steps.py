"""What the tests of packages share: where they work, and commands that must succeed."""

import os
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
WORK = TARGET / "package-tests"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
# The longest is all tests of the crate, built anew.
AT_MOST_S = 1700


def output(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """What the command prints, which must succeed; what it says on standard error is shown."""
    whole = os.environ | (env or {})
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=whole, cwd=cwd, timeout=AT_MOST_S
    )
    return ended.stdout
