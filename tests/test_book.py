"""`make docs` makes one site of the README, all pages and the Rust API, in which no link leads nowhere."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from toolchain import ROOT, output


class Page(HTMLParser):
    """Where one may jump to on a page, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attributes}
        self.places.add(named.get("id", ""))
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        if tag == "img" and "src" in named:
            self.pictures.append(named["src"])


@pytest.fixture(scope="module")
def site() -> Path:
    """The folder of the site; what rustdoc warns of is an error."""
    target = json.loads(output("cargo", "metadata", "--no-deps", "--format-version=1"))["target_directory"]
    output("make", "--no-print-directory", "docs", env={"CARGO_TARGET_DIR": target, "MAKEFLAGS": ""})
    return Path(target) / "doc"


def test_every_page_is_a_chapter(site: Path) -> None:
    chapters = {path.parent.relative_to(site / "tidegate_book") for path in site.glob("tidegate_book/**/index.html")}
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    assert {Path(str(page).lower().replace("-", "_")) for page in pages} <= chapters


def test_no_link_leads_nowhere(site: Path) -> None:
    pages: dict[Path, Page] = {}

    def page(path: Path) -> Page:
        return pages.setdefault(path, Page(path.read_text()))

    lost, followed = [], 0
    for path in site.glob("tidegate_book/**/index.html"):
        for link in page(path).links:
            to, _, place = link.partition("#")
            if ":" in to or to.startswith("../src/"):  # other sites; lines of sources, which rustdoc numbers
                continue
            there = Path(os.path.normpath(path.parent / to)) if to else path
            followed += 1
            if not there.is_file() or (place and place not in page(there).places):
                lost.append(f"{path.parent.relative_to(site)}: {link}")
    assert lost == []
    assert followed > 500


def test_the_picture_is_in_the_page(site: Path) -> None:
    pictures = Page((site / "tidegate_book/index.html").read_text()).pictures
    assert any(picture.startswith("data:image/svg+xml,%3c%73%76%67") for picture in pictures)


def test_every_name_of_the_rust_api_is_on_its_first_page() -> None:
    source = (ROOT / "core/src/lib.rs").read_text()
    exported = {
        name for names in re.findall(r"pub use \w+::(\{[^}]*\}|\w+);", source) for name in re.findall(r"\w+", names)
    }
    told = re.findall(r"\[`(\w+)`\]", source[: source.index("#![no_std]")].split("# What is where")[1])
    assert sorted(told) == sorted(exported), "the table at the top of core/src/lib.rs"
