"""The host that the type checker looks at runs, too."""

import subprocess
import sys
from pathlib import Path

HOST = Path(__file__).with_name("typed_host.py")


def test_the_typed_host_runs() -> None:
    run = subprocess.run([sys.executable, HOST], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (0, "3 2 True 99 of slots, at most 8\n"), run.stderr
