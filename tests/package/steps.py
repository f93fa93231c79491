"""Where the tests of packages work, and what they look for."""

import os
import tomllib
from pathlib import Path

from toolchain import ROOT

WORK = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute() / "package-tests"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
