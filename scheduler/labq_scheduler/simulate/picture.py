"""The answer as a picture: how each figure compares with the first row's, and how long jobs waited. SVG. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log2, log10
from xml.sax.saxutils import escape

from labq_scheduler.simulate.measures import SCORED, WIDE
from labq_scheduler.simulate.runs import GRID
from labq_scheduler.simulate.table import Row

#: Told apart also by who sees no red or no green: Okabe and Ito, "Color universal design", 2008.
COLOURS = ("#999999", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442")
_NAMES = {
    "wait_mean": "mean wait", "wait_p99": "p99 wait", "wait_max": "longest wait", "wait_wide": f"≥{WIDE} GPUs",
    "slowdown": "slowdown", "deficit": "deficit",
}  # fmt: skip
#: Pixels: of the picture, and of the two parts' plots (left, top, width, height).
WIDTH, HEIGHT = 1180, 440
_BARS, _CURVES = (60, 76, 560, 264), (700, 76, 450, 264)
#: How many times the first row's figure the scale goes, up and down: the least in which all bars fit; others are cut off.
_FAR = (2.0, 4.0, 8.0)
#: Hours to which the curves go at least.
_SHORTEST = 1.0
_TICKS = (
    (1 / 60, "1 min"),
    (1 / 6, "10 min"),
    (1.0, "1 h"),
    (10.0, "10 h"),
    (100.0, "100 h"),
    (1000.0, "1000 h"),
)


def picture(rows: Sequence[Row], title: str) -> str:
    """Return the SVG.

    Args:
        rows: the answer; the first is what others are compared with.
        title: one line.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(20, 26, title, size=15),
        *_bars(rows),
        *_curves(rows),
        *_legend(rows),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bars(rows: Sequence[Row]) -> Iterator[str]:
    left, top, width, height = _BARS
    yield _text(left, top - 22, f"figures over those of {rows[0].label} (the line at 1×); lower is better")

    far = _far(rows)

    def at(ratio: float) -> float:
        """Return the place of a ratio: equal factors are equally far apart."""
        cut = min(far, max(1 / far, ratio))
        return top + height * (0.5 - log2(cut) / log2(far) / 2)

    for tick in (value for value in (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0) if 1 / far <= value <= far):
        yield _line(left, at(tick), left + width, at(tick), "#555555" if tick == 1.0 else "#dddddd")
        yield _text(left - 8, at(tick) + 4, f"{tick:g}×" if tick >= 1 else f"1/{1 / tick:g}", anchor="end")
    names = [*(name for name in SCORED if any(name in row.ratios for row in rows)), "score"]
    slot = width / len(names)
    compared = list(enumerate(rows))[1:]  # the first is the line at 1
    each = min(26.0, slot * 0.8 / max(1, len(compared)))
    for place, name in enumerate(names):
        middle = left + slot * (place + 0.5)
        yield _text(middle, top + height + 18, _NAMES.get(name, name), anchor="middle")
        for position, (number, row) in enumerate(compared):
            ratio = row.score if name == "score" else row.ratios.get(name)
            if ratio is None:  # the first row's figure is 0
                continue
            x = middle + each * (position - len(compared) / 2)
            y, base = sorted((at(ratio), at(1.0)))
            told = f"{row.label}, {_NAMES.get(name, name)}: {ratio:.2f}×"
            yield (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{each * 0.9:.1f}" height="{max(1.5, base - y):.1f}" '
                f'fill="{_colour(number)}"><title>{escape(told)}</title></rect>'
            )
            label = at(ratio) - 4 if ratio >= 1 else at(ratio) + 12
            yield _text(x + each * 0.45, label, f"{ratio:.2f}", anchor="middle", size=9)


def _far(rows: Sequence[Row]) -> float:
    """Return how many times the first row's figure the scale goes."""
    ratios = [ratio for row in rows[1:] for ratio in (row.score, *row.ratios.values())]
    most = max((max(ratio, 1 / max(ratio, 1e-9)) for ratio in ratios), default=1.0)
    return next((far for far in _FAR if most <= far), _FAR[-1])


def _shown(rows: Sequence[Row]) -> int:
    """Return how many points of ``GRID`` are drawn: until all jobs of all rows have started."""
    for place, hours in enumerate(GRID):
        if hours >= _SHORTEST and all(row.started[place] >= 1.0 for row in rows):
            return place + 1
    return len(GRID)


def _curves(rows: Sequence[Row]) -> Iterator[str]:
    left, top, width, height = _CURVES
    yield _text(left, top - 22, "part of the jobs that had started after …")
    grid = GRID[: _shown(rows)]
    low, high = log10(grid[0]), log10(grid[-1])

    def at(waited: float) -> float:
        return left + width * (log10(waited) - low) / (high - low)

    for tenth in range(0, 11, 2):
        y = top + height * (1 - tenth / 10)
        yield _line(left, y, left + width, y, "#dddddd")
        yield _text(left - 8, y + 4, f"{tenth * 10}%", anchor="end")
    for waited, name in (tick for tick in _TICKS if tick[0] <= grid[-1] * 1.001):
        yield _line(at(waited), top, at(waited), top + height, "#dddddd")
        yield _text(at(waited), top + height + 18, name, anchor="middle")
    for number, row in enumerate(rows):
        points = " ".join(
            f"{at(waited):.1f},{top + height * (1 - part):.1f}"
            for waited, part in zip(grid, row.started, strict=False)
        )
        yield (
            f'<polyline points="{points}" fill="none" stroke="{_colour(number)}" stroke-width="2">'
            f"<title>{escape(row.label)}</title></polyline>"
        )


def _legend(rows: Sequence[Row]) -> Iterator[str]:
    x, y = 60.0, HEIGHT - 46.0
    for number, row in enumerate(rows):
        name = f"{row.label} (score {row.score:.2f})"
        wide = 34 + 7 * len(name)
        if x + wide > WIDTH - 20 and x > 60.0:
            x, y = 60.0, y + 20
        yield f'<rect x="{x:.1f}" y="{y - 10:.1f}" width="12" height="12" fill="{_colour(number)}"/>'
        yield _text(x + 18, y, name)
        x += wide


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'
