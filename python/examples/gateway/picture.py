"""A picture of a load: first tokens as dots on a logarithmic scale, tokens a second as lines below, over one time."""

import math
from collections.abc import Iterator, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, GAP = 900, 250, 70, 40, 50
COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#7d3c98", "#b9770e", "#515a5a")
Points = Sequence[tuple[float, float]]


def draw(names: Sequence[str], dots: Sequence[Points], lines: Sequence[Points], seconds: float) -> str:
    """An SVG document. `dots` are seconds to the first token by when a request began, `lines` tokens a second."""
    firsts = [first for points in dots for _, first in points] or [1.0]
    low, high = (math.log10(max(1e-4, value)) for value in (min(firsts), max(firsts)))
    low, high = math.floor(low), max(math.ceil(high), math.floor(low) + 1)
    most = max([1.0, *(value for points in lines for _, value in points)])
    width, height = LEFT + WIDTH + 20, TOP + 2 * HEIGHT + 2 * GAP
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">']
    parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for number, name in enumerate(names):
        parts.append(_text(LEFT + number * 200, 16, name, COLOURS[number % len(COLOURS)]))
    parts += _axes(TOP, "first token", seconds, [(f"{10.0**power:g} s", power) for power in range(low, high + 1)])
    parts += _axes(TOP + HEIGHT + GAP, "tokens a second", seconds, [(f"{most * k / 4:.0f}", k) for k in range(5)])
    for number, (points, line) in enumerate(zip(dots, lines, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        for at, first in points:
            y = TOP + HEIGHT * (high - math.log10(max(1e-4, first))) / (high - low)
            parts.append(f'<circle cx="{_x(at, seconds):.1f}" cy="{y:.1f}" r="1.8" fill="{colour}" opacity="0.6"/>')
        bottom = TOP + 2 * HEIGHT + GAP
        path = " ".join(f"{_x(at, seconds):.1f},{bottom - HEIGHT * value / most:.1f}" for at, value in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return "\n".join([*parts, "</svg>\n"])


def _x(at: float, seconds: float) -> float:
    return LEFT + WIDTH * min(1.0, at / seconds)


def _text(x: float, y: float, text: str, colour: str = "black") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="12" fill="{colour}">{escape(text)}</text>'


def _axes(top: int, title: str, seconds: float, ticks: Sequence[tuple[str, float]]) -> Iterator[str]:
    """A frame with a scale from its first tick at the bottom to its last at the top, and the time below it."""
    yield f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/>'
    yield _text(LEFT, top - 6, title)
    first, last = ticks[0][1], ticks[-1][1]
    for text, value in ticks:
        y = top + HEIGHT * (last - value) / (last - first)
        yield f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield _text(8, y + 4, text)
    for part in range(7):
        yield _text(LEFT + WIDTH * part / 6 - 8, top + HEIGHT + 16, f"{seconds * part / 6:.0f} s")
