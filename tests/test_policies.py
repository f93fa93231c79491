"""The pages of policies: each says the same five things, fits on a screen, and its program prints what it says."""

import re
import sys
from pathlib import Path

import pytest
from toolchain import ROOT, block, output

PAGES = sorted((ROOT / "docs/policies").glob("*.md"))
PARTS = ["Idea", "Quantities", "Rule", "The exploit that it prevents", "Source"]
# What is read at once: the length of the kernel's page on EEVDF, and a program.
MOST_LINES = 60


def test_every_policy_has_a_page() -> None:
    """Those of the orders that are more than a comparison, and those of what every tier has."""
    names = ["deficit-longest-prefix", "fair", "hybrid-deadline", "preemption", "quota", "reserve"]
    assert [page.stem for page in PAGES] == names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_all_of_it_in_short(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"^\*\*(.+?)\.?\*\*", text, re.MULTILINE) == PARTS
    assert len(text.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_program_prints_what_it_says(page: Path) -> None:
    where = str(page.relative_to(ROOT))
    assert output(sys.executable, "-c", block("python", where)) == block("text", where)
