"""Writes a bill of materials for each artefact, in CycloneDX: which crates of others are in it, on any platform.

They are committed, so that whatever is built of the sources carries its own; a test compares them. They have no time,
no path and no random number: the same lock file gives the same bytes.
"""

import json
from pathlib import Path
from typing import Any

from contents import ARTEFACTS, ROOT, VERSION, Crate, checksums, linked, toolchain

LICENCE = "MIT OR Apache-2.0"


def page(package: str) -> Path:
    """Where the bill of what is built of this package lies."""
    return ROOT / package.removeprefix("tidegate-") / f"{package}.cdx.json"


def component(crate: Crate, checksum: str | None) -> dict[str, Any]:
    """A crate as CycloneDX has it."""
    where = f"pkg:cargo/{crate.name}@{crate.version}" if checksum else f"pkg:generic/rust-{crate.name}@{crate.version}"
    hashes = {"hashes": [{"alg": "SHA-256", "content": checksum}]} if checksum else {}
    licence = crate.licence.replace("/", " OR ")  # as crates wrote it before SPDX
    named = {"type": "library", "bom-ref": where, "name": crate.name, "version": crate.version, "purl": where}
    return named | hashes | {"licenses": [{"expression": licence}]}


def bill(package: str) -> str:
    """The bill of materials of what is built of this package."""
    archives = checksums()
    parts = [component(crate, archives[crate.name, crate.version]) for crate in linked(package)]
    parts.append(component(Crate("std", toolchain(), "(MIT OR Apache-2.0) AND Unicode-3.0"), None))
    ours = {"type": "library", "bom-ref": package, "name": package, "version": VERSION}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours | {"licenses": [{"expression": LICENCE}]}},
        "components": parts,
        "dependencies": [{"ref": package, "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    for name in ARTEFACTS.values():
        page(name).write_text(bill(name))
