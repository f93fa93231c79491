"""The pages under `docs/` speak of what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("*/README.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NAME = re.compile(r"\b(?:CAP|PRE|LIFE|QUO|USE|FAIR|TIME|DET|WARM)-\d\b")


def sources(pattern: str) -> str:
    """The text of the core's files that match, one after the other."""
    return "\n".join(path.read_text() for path in sorted((ROOT / "core").glob(pattern)))


def rows() -> dict[str, str]:
    """The invariants of the page, and where it says that each is checked."""
    cells = [line.split(" | ") for line in (ROOT / "docs/INVARIANTS.md").read_text().splitlines()]
    return {row[0].removeprefix("| "): row[2] for row in cells if len(row) == 3 and NAME.search(row[0])}


def test_every_invariant_of_the_core_is_on_the_page() -> None:
    assert set(NAME.findall(sources("src/**/*.rs") + sources("tests/**/*.rs"))) <= set(rows())


@pytest.mark.parametrize("name", rows())
def test_every_invariant_is_checked_where_the_page_says(name: str) -> None:
    places = rows()[name]
    checker = (ROOT / "core/src/scheduler/invariants.rs").read_text()
    assert ("state" in places) == (f'"{name}"' in checker), "by check_invariants"
    simulated = "".join(path.read_text() for path in (ROOT / "sim/tests").glob("*.rs"))
    functions = set(re.findall(r"\bfn (\w+)", sources("src/**/*.rs") + sources("tests/*.rs") + simulated))
    assert set(re.findall(r"`(\w+_\w+)`", places)) <= functions


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)  # C++ has `](` too
    links = [page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    paths = [
        ROOT / path
        for path in re.findall(
            r"`((?:\.ci|core|ffi|include|deploy|docs|packages|playground|python|sim|benches|fuzz|tests)/[\w./-]*)`",
            text,
        )
    ]
    assert [path for path in links + paths if not path.exists()] == []
