"""Writes LICENSE-THIRD-PARTY: whose code is linked into what is given away, and under which words.

Every artefact carries that file. It is committed, so that a wheel built from sources carries it too; a test compares.
"""

import textwrap
from collections import defaultdict

from contents import ARTEFACTS, ROOT, Crate, licence_texts, linked, standard_library, toolchain

PAGE = ROOT / "LICENSE-THIRD-PARTY"
HEAD = """\
Code of others in tidegate's artefacts, and the terms under which it is there. Where its authors leave a choice, it is
used under the MIT licence. `make licences` writes this file.
"""
STD = """\
The Rust standard library {version}, and the crates in it on any platform.
"""
RULE = "=" * 100


def grouped(parts: dict[Crate, list[str]]) -> str:
    """Each text once, under the names of those that it came with."""
    owners: dict[str, list[Crate]] = defaultdict(list)
    for crate, texts in sorted(parts.items()):
        for text in texts:
            owners[text].append(crate)
    sections = []
    for text, crates in owners.items():
        names = "\n".join(f"{crate.name} {crate.version} ({crate.licence})" for crate in crates)
        lines = "\n".join(line.rstrip() for line in text.splitlines())
        sections.append(f"{RULE}\n{names}\n\n{lines}\n")
    return "\n".join(sections)


def contents() -> str:
    """Which crates each artefact has, on any platform."""
    lists = []
    for artefact, package in ARTEFACTS.items():
        names = ", ".join(f"{crate.name} {crate.version}" for crate in linked(package))
        lists.append(textwrap.fill(f"In {artefact}: {names}.", len(RULE), break_on_hyphens=False) + "\n")
    return "\n".join(lists)


def crates() -> str:
    """All of the page but the standard library."""
    parts = {crate: licence_texts(crate) for package in ARTEFACTS.values() for crate in linked(package)}
    return "\n".join([HEAD, contents(), grouped(parts)])


def standard() -> str:
    """What the page says of the standard library of this toolchain."""
    return "\n".join([STD.format(version=toolchain()), grouped(standard_library())])


if __name__ == "__main__":
    PAGE.write_text(f"{crates()}\n{standard()}")
