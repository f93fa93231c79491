"""The page of `tidegate replay --report` in a real browser: it renders, in light and dark, and fetches nothing.

`TIDEGATE_BINARY` names the program. The pictures stay in `TIDEGATE_PICTURES` for people to look at, if that is set.
"""

import os
import struct
import subprocess
import zlib
from collections import Counter
from pathlib import Path

import pytest
from chromium import AT_MOST_S, DARK, FLAGS, program

CAPACITY = Path(__file__).resolve().parents[3] / "docs/capacity.svg"
SIZE = "--window-size=1280,4600"
BACKGROUND = {"light": "ffffff", "dark": "10151c"}
TIERS = {"light": ["2f6fed", "0f9d8a", "d98a0b"], "dark": ["6ea0ff", "3fcbb6", "f2b544"]}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    command = [os.environ["TIDEGATE_BINARY"], "replay", "--report", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=AT_MOST_S)
    return path


def render(page: Path, profile: Path, *options: str) -> str:
    command = [program(), *FLAGS, SIZE, f"--user-data-dir={profile}", *options, page.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=AT_MOST_S, check=True)
    return run.stdout


def pixels(path: Path) -> tuple[int, int, list[bytes]]:
    """Width, height and the rows of a PNG with 8 bits a channel, three or four bytes a pixel cut to three."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    place, packed, header = 8, b"", (0, 0, 0, 0)
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            header = struct.unpack(">IIBB", body[:10])
        elif kind == b"IDAT":
            packed += body
        place += 12 + length
    width, height, depth, colours = header
    assert depth == 8
    size = {2: 3, 6: 4}[colours]
    return width, height, unfiltered(zlib.decompress(packed), width * size, size)


def unfiltered(raw: bytes, stride: int, size: int) -> list[bytes]:
    """The rows as they were before each was told by how it differs from what is left of it and above it."""
    rows: list[bytes] = []
    above = bytes(stride)
    for start in range(0, len(raw), stride + 1):
        row = bytearray(raw[start + 1 : start + 1 + stride])
        match raw[start]:
            case 0:
                pass
            case 1:
                for i in range(size, stride):
                    row[i] = (row[i] + row[i - size]) & 255
            case 2:
                row = bytearray((a + b) & 255 for a, b in zip(row, above, strict=True))
            case 3:
                for i in range(stride):
                    row[i] = (row[i] + ((row[i - size] if i >= size else 0) + above[i]) // 2) & 255
            case 4:
                for i in range(stride):
                    row[i] = (row[i] + paeth(row, above, i, size)) & 255
        above = bytes(row)
        rows.append(above)
    return rows


def paeth(row: bytearray, above: bytes, i: int, size: int) -> int:
    left, corner = (row[i - size], above[i - size]) if i >= size else (0, 0)
    guess = left + above[i] - corner
    return min((abs(guess - left), 0, left), (abs(guess - above[i]), 1, above[i]), (abs(guess - corner), 2, corner))[2]


def drawn(page: Path, scheme: str, picture: Path, profile: Path, *options: str) -> tuple[int, int, Counter[str]]:
    """Width and height of a screenshot, and how many pixels have which colour."""
    scheme_options = DARK if scheme == "dark" else []
    render(page, profile, *scheme_options, *options, f"--screenshot={picture}")
    width, height, rows = pixels(picture)
    size = len(rows[0]) // width
    return width, height, Counter(row[i : i + 3].hex() for row in rows for i in range(0, len(row), size))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_drawn(page: Path, tmp_path: Path, scheme: str) -> None:
    pictures = Path(os.environ.get("TIDEGATE_PICTURES", tmp_path))
    width, height, colours = drawn(page, scheme, pictures / f"report-{scheme}.png", tmp_path / "profile")
    assert (width, height) == (1280, 4600)
    cards = {"light": "f7f8fa", "dark": "18202a"}[scheme]
    assert {colour for colour, _ in colours.most_common(2)} == {BACKGROUND[scheme], cards}
    # The first tier within its reserve, and all tiers in what was reclaimed.
    assert all(colours[colour] > 500 for colour in TIERS[scheme][1:]), colours.most_common(20)
    assert len(colours) > 50, "areas, curves and texts"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_of_the_readme_is_drawn(tmp_path: Path, scheme: str) -> None:
    page = tmp_path / "readme.html"
    page.write_text(f'<meta name="color-scheme" content="light dark"><img src="{CAPACITY.as_uri()}">')
    pictures = Path(os.environ.get("TIDEGATE_PICTURES", tmp_path))
    picture = pictures / f"capacity-{scheme}.png"
    _, _, colours = drawn(page, scheme, picture, tmp_path / "profile", "--window-size=980,500")
    assert BACKGROUND[scheme] in [colour for colour, _ in colours.most_common(2)], "what batch borrowed has more"
    assert colours[TIERS[scheme][2]] > 500, "what was reclaimed of batch"
    assert len(colours) > 50, "areas and texts"


def test_all_sections_are_there(page: Path, tmp_path: Path) -> None:
    dom = render(page, tmp_path / "profile", "--dump-dom")
    for heading in [
        "Side by side",
        "Latencies by tier",
        "tidegate: capacity over time",
        "tidegate: service of the tenants",
        "Cost",
    ]:
        assert f"<h2>{heading}</h2>" in dom
    assert dom.count("of P0 realtime</td>") == 1, "a price by tier"
    assert dom.count("<svg") == dom.count("</svg>") > 20
