"""The table of docs/ENGINES.md is what its command prints."""

import re

import scenes
from toolchain import ROOT


def test_the_table_of_the_page_is_what_its_command_prints() -> None:
    page = (ROOT / "docs/ENGINES.md").read_text()
    _, after = page.split("python tests/engines/vllm/scenes.py\n```\n")
    told = re.findall(r"^\|.*\|$", after.split("\n- **A")[0], re.MULTILINE)
    assert told == list(scenes.table())
