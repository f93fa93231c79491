"""The chapters of the guide: their files, commands and programs, one after the other, print what they say.

A block is `toml NAME` (a file), `sh` or `python` (run in the reader's folder), `text` (what the block before printed),
or `sh engine`: commands that want an engine, a network or root. Those are read by the shell and not run here; `make
test-engines` and `make test-package` run what they do. TIDEGATE_BLESS_GUIDE=1 writes what was printed into the pages.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from toolchain import ROOT, output

CHAPTERS = sorted((ROOT / "docs/guide").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Folders of the checkout that commands of the guide begin with.
OURS = ["docs", "ffi", "python"]


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """A folder from which the checkout's own are seen, and to which everything is written."""
    for name in OURS:
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_there_is_a_chapter_for_each_way_to_run_it() -> None:
    names = ["capacity", "gateway", "incidents", "install", "kubernetes", "llama-cpp", "triton", "tuning", "vllm"]
    assert [chapter.stem for chapter in CHAPTERS] == names
    hub = (ROOT / "docs/GUIDE.md").read_text()
    assert all(f"(guide/{name}.md)" in hub for name in names)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_a_chapter_does_what_it_says(chapter: Path, program: Path, reader: Path) -> None:
    env = {"PATH": f"{program.parent}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}
    printed = ""
    blocks = BLOCK.findall(chapter.read_text())
    assert blocks, "a chapter has something to do"
    for language, word, body in blocks:
        match language, word:
            case "toml", name if name:
                (reader / name).write_text(body)
            case "sh", "":
                printed = output("sh", "-eu", "-c", body, env=env, cwd=reader)
            case "python", "":
                printed = output(sys.executable, "-c", body, env=env, cwd=reader)
            case "text", "":
                if "TIDEGATE_BLESS_GUIDE" in os.environ:
                    chapter.write_text(chapter.read_text().replace(f"```text\n{body}```", f"```text\n{printed}```", 1))
                else:
                    assert printed == body, f"{chapter.name} says otherwise"
            case "sh", "engine":
                is_read_by_the_shell(body)
            case other:
                pytest.fail(f"{chapter.name}: what is a block {other}?")


def is_read_by_the_shell(commands: str) -> None:
    """Its grammar is the shell's, its targets are the Makefile's, and its paths are there."""
    subprocess.run(["sh", "-n", "-c", commands], check=True, timeout=60)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", commands, re.MULTILINE)) <= targets
    paths = re.findall(rf"(?<![\w/.-])(?:{'|'.join(OURS)})/[\w./-]+", commands)
    assert [path for path in paths if not (ROOT / path).exists()] == []
