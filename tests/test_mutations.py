"""`tests/mutations` fits the core as it is, and `docs/MUTATIONS.md` says how it came out."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LISTED = tomllib.loads((ROOT / "tests/mutations/mutations.toml").read_text())
MUTATIONS = [mutation for group in LISTED.values() for mutation in group]
PAGE = (ROOT / "docs/MUTATIONS.md").read_text()


def functions_of(suite: str) -> set[str]:
    """The functions of a test file of the core or the simulator; of all the core's sources for the tests in them."""
    own = [path for package in ("core", "sim") if (path := ROOT / package / f"tests/{suite}.rs").exists()]
    paths = (ROOT / "core/src").rglob("*.rs") if suite == "lib" else own
    return {name for path in paths for name in re.findall(r"\bfn (\w+)", path.read_text())}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation["what"])
def test_a_mutation_is_of_the_core_as_it_is(mutation: dict) -> None:
    text = (ROOT / "core/src" / mutation["file"]).read_text()
    olds = mutation["old"] if isinstance(mutation["old"], list) else [mutation["old"]]
    assert [text.count(old) for old in olds] == [1] * len(olds)
    shown_by = [name.split("::") for name in mutation.get("shown_by", [])]
    assert [name for suite, *_, name in shown_by if name not in functions_of(suite)] == []
    assert f"| {mutation['what']} |" in PAGE, "run `make mutations ARGS=--page`"


def test_every_invariant_is_broken_once() -> None:
    broken = {name for mutation in MUTATIONS for name in re.findall(r"\b[A-Z]+-\d\b", mutation["breaks"])}
    named = re.findall(r"^\| ([A-Z]+-\d) \|", (ROOT / "docs/INVARIANTS.md").read_text(), re.MULTILINE)
    assert set(named) <= broken


def test_every_trap_is_fallen_into_once() -> None:
    shown = {name for mutation in MUTATIONS for name in mutation.get("shown_by", [])}
    traps = re.findall(r"^#\[test\]\nfn (\w+)", (ROOT / "core/tests/traps.rs").read_text(), re.MULTILINE)
    assert {f"traps::{name}" for name in traps} <= shown
