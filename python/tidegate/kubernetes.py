"""Kubernetes manifests as the file that all hosts read, and the reverse: `tidegate config from-k8s` and `to-k8s`.

Priority classes are tiers, quotas limit tenants, the NVIDIA device plugin's sharing config, nodes and workloads are
devices and workers. It reads texts, and talks to no cluster.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tidegate import ManifestError
from tidegate._tidegate import export_manifests, import_manifests

__all__ = ["Exported", "Imported", "ManifestError", "Note", "export", "import_files", "import_texts"]

SUFFIXES = (".yaml", ".yml", ".json")


class Note(NamedTuple):
    """What manifests say and a file has no word for, or the reverse."""

    file: str
    line: int | None
    about: str
    """The object and its field, as `PriorityClass batch: value`."""
    message: str


class Imported(NamedTuple):
    """A file that says what manifests say."""

    toml: str
    notes: tuple[Note, ...]


class Exported(NamedTuple):
    """Manifests that say what a file says."""

    yaml: str
    notes: tuple[tuple[str, str], ...]
    """Pairs of path and message."""


def import_texts(texts: Iterable[tuple[str, str]]) -> Imported:
    """Reads manifests: `texts` are pairs of the name to speak of, and YAML or JSON. Raises `ManifestError`."""
    toml, notes = import_manifests(list(texts))
    return Imported(toml, tuple(Note(*note) for note in notes))


def import_files(paths: Iterable[str | os.PathLike[str]]) -> Imported:
    """Reads the manifests at `paths`, of folders those in them. Raises `ManifestError`, `OSError`."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(entry for entry in path.iterdir() if entry.suffix in SUFFIXES and entry.is_file())
        else:
            found.append(path)
    texts: list[tuple[str, str]] = []
    for path in found:
        content = path.read_bytes()
        try:
            texts.append((str(path), content.decode()))
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            message = f"{path}: line {line}: is not UTF-8"
            raise ManifestError(message, faults=((str(path), line, "", "is not UTF-8"),)) from None
    return import_texts(texts)


def export(toml: str) -> Exported:
    """Writes manifests that say what the file `toml` says. Raises `ConfigError`."""
    yaml, notes = export_manifests(toml)
    return Exported(yaml, tuple(notes))
