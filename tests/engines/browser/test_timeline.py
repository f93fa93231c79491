"""The timeline of `tidegate replay --timeline` in a program that we did not write: speedscope reads it, all of it.

It reads the format that Perfetto's viewer reads, whose engine no package holds. `TIDEGATE_BINARY` names the program
that writes the timeline.
"""

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from chromium import AT_MOST_S, Page

HERE = Path(__file__).parent
HEADER = "arrival_s,tier,tenant,prompt_tokens,output_tokens\n"
ROWS = [f"{index / 50},P{index % 3},t{index % 2},{200 + 40 * index % 900},{20 + index % 60}\n" for index in range(120)]
# Read from a folder, as its own command line does; a page may not read files of its neighbours otherwise.
FROM_FILES = "--allow-file-access-from-files"


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The viewer's page, as its package holds it; its version and sums are those of the lock file."""
    assert shutil.which("npm"), "no npm; .ci/need npm says how to get it"
    folder = tmp_path_factory.mktemp("viewer")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=AT_MOST_S)
    return folder / "node_modules/speedscope/dist/release/index.html"


def timeline(folder: Path) -> Path:
    trace, path = folder / "trace.csv", folder / "timeline.json"
    trace.write_text(HEADER + "".join(ROWS))
    of = ["--trace", f"csv:{trace}", "--workers", "2", "--setup", "naive", "--setup", "tidegate"]
    command = [os.environ["TIDEGATE_BINARY"], "replay", *of, "--timeline", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=AT_MOST_S)
    return path


def opened(viewer: Path, path: Path, tmp_path: Path) -> str:
    """What the viewer says of a file once it has read it."""
    script = tmp_path / "profile.js"
    inside = base64.b64encode(path.read_bytes()).decode()
    script.write_text(f'speedscope.loadFileFromBase64("{path.name}", "{inside}")')
    address = f"{viewer.as_uri()}#localProfilePath={script}"
    with Page(address, tmp_path / "profile", FROM_FILES) as page:
        page.wait_for("document.body.innerText.includes('(1/')")
        said: str = page.ask("document.body.innerText")
        assert not page.faults
    return said


def test_another_program_reads_every_place_of_every_worker(viewer: Path, tmp_path: Path) -> None:
    path = timeline(tmp_path)
    events: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    attempts = [event for event in events if event["ph"] == "X"]
    places = {(event["pid"], event["tid"]) for event in attempts}
    assert len(places) > 2
    assert len(attempts) >= 2 * len(ROWS), "each request, under both set-ups"
    said = opened(viewer, path, tmp_path)
    first = re.search(r"(\w+): worker (\d+) \(pid (\d+), tid (\d+)\) \(1/(\d+)\)", said)
    assert first, said
    name, _, process, place, of = first.groups()
    assert (name, int(of)) == ("naive", len(places))
    assert (int(process), int(place)) in places
