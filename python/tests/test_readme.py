"""The programs in this package's README run."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_programs_run() -> None:
    programs = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    expected = [r"worker 0 starts \d+\n", r"3 of 3 start; \[\]\n"]
    for program, output in zip(programs, expected, strict=True):
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
        assert re.fullmatch(output, run.stdout)
