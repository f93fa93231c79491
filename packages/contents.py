"""What an artefact is made of: the crates that are linked into it, as cargo resolves them, and the standard library.

Knows cargo and the folders of crates; neither how licences are printed nor what a bill of materials looks like.
"""

import html
import json
import re
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VERSION: str = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
# What is built here and given away, and the crate that it is built of.
ARTEFACTS = {
    "libtidegate": "tidegate-ffi",
    "the Python wheel": "tidegate-python",
    "the program tidegate": "tidegate-sim",
}
# The words by which a text is known as the MIT licence, under which all that is linked may be used.
MIT = "Permission is hereby granted, free of charge"
# Files of a crate, or folders of them, in which licences stand.
LICENCES = re.compile(r"^\.?(licen[cs]e|copying|copyright|notice)", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Crate:
    """One crate, with the licence that it names."""

    name: str
    version: str
    licence: str


def output(*command: str | Path) -> str:
    """What the command prints, which must succeed within minutes."""
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=600).stdout


def linked(package: str, platform: str = "all") -> list[Crate]:
    """The crates of others that are linked into what is built of this one: no build scripts, no macros."""
    which = ["--package", package, "--target", platform, "--edges", "normal,no-proc-macro"]
    listing = output("cargo", "tree", "--locked", *which, "--prefix", "none", "--no-dedupe", "--format", "{p}|{l}")
    return sorted({crate for line in listing.splitlines() if (crate := of_others(line))})


def of_others(line: str) -> Crate | None:
    """The crate on a line of cargo's tree, unless it is ours: that has its folder behind its version."""
    name, version, source, licence = re.fullmatch(r"(\S+) v(\S+)( \(.+\))?\|(.*)", line).groups()
    if source and str(ROOT) in source:
        return None
    if not licence:
        raise SystemExit(f"{name} {version} names no licence: packages/contents.py has to learn of it")
    return Crate(name, version, licence)


@cache
def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """What cargo knows of each crate, by name and version."""
    everything = json.loads(output("cargo", "metadata", "--locked", "--format-version=1"))
    return {(package["name"], package["version"]): package for package in everything["packages"]}


def checksums() -> dict[tuple[str, str], str]:
    """The SHA-256 of each crate's archive."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(crate["name"], crate["version"]): crate["checksum"] for crate in lock["package"] if "checksum" in crate}


def licence_texts(crate: Crate) -> list[str]:
    """The texts that have to go with the crate. It is an error if it has none."""
    folder = Path(manifests()[crate.name, crate.version]["manifest_path"]).parent
    named = [path for path in folder.iterdir() if LICENCES.match(path.name)]
    files = [file for path in named for file in ([path] if path.is_file() else path.iterdir())]
    return required(f"{crate.name} {crate.version}", {file.name: file.read_text() for file in sorted(files)})


def required(name: str, texts: dict[str, str]) -> list[str]:
    """Of the licences that one may choose from, the MIT licence; and all notices."""
    chosen = [text for file, text in texts.items() if MIT in text or file.lower().startswith("notice")]
    if not any(MIT in text for text in chosen):
        raise SystemExit(f"{name} brings no MIT licence, but {sorted(texts)}: packages/contents.py has to learn of it")
    return [text.strip() for text in chosen]


def toolchain() -> str:
    """The version of rustc, and so of the standard library that it links."""
    return output("rustc", "--version").split()[1]


def standard_library() -> dict[Crate, list[str]]:
    """The standard library and the crates in it, from the page that the toolchain brings."""
    documents = Path(output("rustc", "--print", "sysroot").strip()) / "share/doc/rust"
    page = (documents / "COPYRIGHT-library.html").read_text()
    mit, unicode = ((documents / f"licenses/{name}.txt").read_text().strip() for name in ("MIT", "Unicode-3.0"))
    mit = mit.replace("<year> <copyright holders>", "The Rust Project Developers")
    parts = {Crate("std", toolchain(), "(MIT OR Apache-2.0) AND Unicode-3.0"): [mit, unicode]}
    for section in page.split("<h3>")[1:]:
        (name, version) = re.match(r"\W*([\w-]+?)-(\d[^<]*)</h3>", section).groups()
        (licence,) = re.findall(r"<b>License:</b> (.+?)</p>", section)
        notices = re.findall(r"<code>(.+?)</code></summary>\s*<pre>(.*?)</pre>", section, re.DOTALL)
        texts = {file: html.unescape(text) for file, text in notices}
        if "MIT" in licence and any(MIT in text for text in texts.values()):
            parts[Crate(name, version, licence)] = required(name, texts)
        else:
            parts[Crate(name, version, licence)] = [html.unescape(text).strip() for text in texts.values()]
    return parts
