"""Writes the playground as one page: template, style, script and module. `make playground` builds the module first."""

import argparse
import base64
from pathlib import Path

HERE = Path(__file__).resolve().parent


def page(module: bytes) -> str:
    """All of it in one text, which fetches nothing."""
    whole = (HERE / "page.html").read_text()
    parts = {
        "/*STYLE*/": (HERE / "style.css").read_text(),
        "/*MODULE*/": base64.b64encode(module).decode(),
        "/*SCRIPT*/": (HERE / "script.js").read_text(),
    }
    for place, part in parts.items():
        assert whole.count(place) == 1, f"the template has one {place}"
        whole = whole.replace(place, part)
    return whole


def main() -> None:
    """Reads a module, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", type=Path)
    parser.add_argument("into", type=Path)
    arguments = parser.parse_args()
    arguments.into.parent.mkdir(parents=True, exist_ok=True)
    arguments.into.write_text(page(arguments.module.read_bytes()))


main()
