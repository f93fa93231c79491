"""The playground in a real browser: it runs the scheduler, draws it, hears its knobs, and explains what is clicked on.

`TIDEGATE_PLAYGROUND` names the page that `make playground` writes. Pictures stay in `TIDEGATE_PICTURES`, if it is set.
"""

import base64
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import DARK, Page

ADVANCE_MS = 90_000
SLOTS = 64


def url(options: str) -> str:
    return f"{Path(os.environ['TIDEGATE_PLAYGROUND']).absolute().as_uri()}#{options}"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A page that stands still after a minute and a half."""
    with Page(url(f"seed=7&advance={ADVANCE_MS}&pause"), tmp_path / "profile", "--window-size=1280,1600") as page:
        page.wait_for("document.documentElement.dataset.ready")
        yield page
        assert page.faults == []


def view(page: Page) -> dict:
    return json.loads(page.ask("JSON.stringify(view)"))


def knob(page: Page, name: str, value: int) -> int:
    """Moves a knob as a hand would, and tells where it is then."""
    return int(
        page.ask(
            f"(() => {{ const knob = document.querySelector('input[name=\"{name}\"]'); knob.value = {value};"
            "knob.dispatchEvent(new Event('input')); return knob.value; })()"
        )
    )


def test_the_scheduler_runs_in_the_page(page: Page) -> None:
    seen = view(page)
    assert seen["now_ms"] == ADVANCE_MS
    assert seen["slots"] == SLOTS
    assert sum(tier["in_use"] for tier in seen["tiers"]) == sum(map(len, seen["workers"])) == SLOTS, "batch fills it"
    assert [tier["name"] for tier in seen["tiers"]] == ["realtime", "near-realtime", "batch"]
    assert all(tier["completed"] > 0 for tier in seen["tiers"])
    assert seen["tiers"][2]["waiting"] > 0
    assert page.ask("document.querySelectorAll('#engines button[data-request]').length") == SLOTS
    assert page.ask("document.querySelectorAll('#tiers tr').length") == len(seen["tiers"])


def test_a_seed_is_a_picture(page: Page, tmp_path: Path) -> None:
    with Page(url(f"seed=7&advance={ADVANCE_MS}&pause"), tmp_path / "another") as again:
        again.wait_for("document.documentElement.dataset.ready")
        assert view(again) == view(page)


def test_a_click_is_explained(page: Page) -> None:
    page.click("#queues .line:last-child button[data-request]")
    waiting = page.ask("document.getElementById('why').textContent")
    assert "queued; held back by" in waiting, waiting
    page.click("#engines button[data-request]")
    running = page.ask("document.getElementById('why').textContent")
    assert running.endswith((": starting.", ": running.", ": preempting.")), running


def test_knobs_are_heard(page: Page) -> None:
    assert knob(page, "reserve of realtime", 100) < 100, "with what the others have that is more than all there is"
    assert knob(page, "reserve of realtime", 80) == 80
    assert knob(page, "load of realtime", 1_200) == 1_200
    assert view(page)["tiers"][0]["in_use"] < SLOTS / 2
    page.ask("(advance(60000), draw())")
    seen = view(page)["tiers"][0]
    assert seen["reserve"] == math.ceil(SLOTS * 80 / 100)
    assert seen["in_use"] >= seen["reserve"], "20 arrive in a second and take 3 s each"


def test_time_goes_on_until_it_is_paused(page: Page) -> None:
    page.click("#pause")
    page.wait_for(f"view.now_ms > {ADVANCE_MS}")
    page.click("#pause")
    page.click("#again")
    assert view(page)["now_ms"] == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_timeline_is_drawn(tmp_path: Path, scheme: str) -> None:
    options = DARK if scheme == "dark" else []
    whole = url(f"seed=7&advance={ADVANCE_MS}&pause")
    with Page(whole, tmp_path / "profile", "--window-size=1280,1600", *options) as page:
        page.wait_for("document.documentElement.dataset.ready")
        counted = page.ask(
            "(() => { const { width, height } = element('timeline');"
            "const { data } = element('timeline').getContext('2d').getImageData(0, 0, width, height);"
            "const colours = {}; for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) {"
            "const name = '#' + [...data.slice(i, i + 3)].map((part) => part.toString(16).padStart(2, '0')).join('');"
            "colours[name] = (colours[name] ?? 0) + 1; }"
            "return JSON.stringify([0, 1, 2].map((tier) => colours[colour(tier).trim()] ?? 0)); })()"
        )
        assert all(pixels > 2_000 for pixels in json.loads(counted)), counted
        picture = page.picture()
        assert page.faults == []
    folder = Path(os.environ.get("TIDEGATE_PICTURES", tmp_path))
    (folder / f"playground-{scheme}.png").write_bytes(base64.b64decode(picture))
    assert len(picture) > 20_000


def test_the_page_is_whole() -> None:
    text = Path(os.environ["TIDEGATE_PLAYGROUND"]).read_text()
    assert [word for word in ("src=", "href=", "http:", "https:", "import(", "fetch(") if word in text] == []
