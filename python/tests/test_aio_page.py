"""The programs of the page on asyncio print what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/ASYNCIO.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_each_program_has_what_it_prints() -> None:
    assert len(PROGRAMS) == PAGE.read_text().count("```python") == 2


@pytest.mark.parametrize(("program", "printed"), PROGRAMS, ids=["first", "refused"])
def test_a_program_prints_what_the_page_says(program: str, printed: str) -> None:
    command = [sys.executable, "-W", "error", "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, printed, "")
