"""The answer of a simulation: a table for people, JSON and CSV for programs, and what it means in a sentence. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from labq_scheduler.simulate.measures import WIDE, Measures, score
from labq_scheduler.simulate.runs import GRID, Outcome
from labq_scheduler.simulate.variants import Variant


@dataclass(frozen=True, slots=True)
class Row:
    """One policy on some machines: the mean of its replays."""

    label: str
    gpus: int
    measures: Measures
    #: against the first row: lower is better
    score: float
    ratios: Mapping[str, float]
    #: part of the jobs that had waited at most so long, for each of ``GRID``
    started: tuple[float, ...]


def rows_of(variants: Sequence[Variant], outcomes: Sequence[Sequence[Outcome]]) -> list[Row]:
    """Return a row for each variant."""
    means = [Measures.mean([one.measures for one in repeats]) for repeats in outcomes]
    rows = []
    for variant, mean, repeats in zip(variants, means, outcomes, strict=True):
        value, ratios = score(mean, means[0])
        jobs = sum(one.jobs for one in repeats)
        started = tuple(sum(one.started[place] for one in repeats) / jobs for place in range(len(GRID)))
        rows.append(Row(variant.label, variant.gpus, mean, value, ratios, started))
    return rows


@dataclass(frozen=True, slots=True)
class Unit:
    """What waits are told in."""

    name: str
    short: str
    #: so many are an hour
    hour: float


_UNITS = (Unit("hours", "h", 1.0), Unit("minutes", "min", 60.0), Unit("seconds", "s", 3600.0))
#: The longest wait of a table in a smaller unit, in units: where nobody waits for two hours, waits are told in minutes.
_LARGEST = 120.0


def unit_of(rows: Sequence[Row]) -> Unit:
    """Return the unit in which a table's waits are neither all 0.00 nor all thousands."""
    longest = max(row.measures.wait_max for row in rows)
    fine = [unit for unit in _UNITS[1:] if longest * unit.hour < _LARGEST]
    return fine[-1] if fine and longest else _UNITS[0]


def number(value: float) -> str:
    """Return a number in three or four digits.

    >>> number(0.0), number(3.456), number(264.94), number(1346.2)
    ('0.00', '3.46', '264.9', '1346')
    """
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 999.95 else f"{value:.0f}"


_COLUMNS: tuple[tuple[str, Callable[[Row, float], str]], ...] = (
    ("policy", lambda row, _hour: row.label),
    ("mean", lambda row, hour: f"{row.measures.wait_mean * hour:.2f}"),
    ("median", lambda row, hour: f"{row.measures.wait_median * hour:.2f}"),
    ("p99", lambda row, hour: f"{row.measures.wait_p99 * hour:.1f}"),
    ("longest", lambda row, hour: f"{row.measures.wait_max * hour:.1f}"),
    (f"≥{WIDE} GPUs", lambda row, hour: f"{row.measures.wait_wide * hour:.1f}"),
    ("worst person", lambda row, hour: f"{row.measures.worst_user * hour:.1f}"),
    ("slowdown", lambda row, _hour: f"{row.measures.slowdown:.1f}"),
    ("used", lambda row, _hour: f"{row.measures.utilisation:.1%}"),
    ("deficit", lambda row, _hour: f"{row.measures.deficit:.3f}"),
    ("score", lambda row, _hour: f"{row.score:.2f}"),
)
_WAITS = range(1, 7)


def table_text(rows: Sequence[Row]) -> str:
    """Return the table, with what its columns mean below it."""
    unit = unit_of(rows)
    cells = [
        [head for head, _ in _COLUMNS],
        *([cell(row, unit.hour) for _, cell in _COLUMNS] for row in rows),
    ]
    widths = [max(len(line[place]) for line in cells) for place in range(len(_COLUMNS))]

    def line(texts: Sequence[str]) -> str:
        first, *others = zip(texts, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]).rstrip()

    over = " " * (widths[0] + 2)
    wide = sum(widths[place] + 2 for place in _WAITS) - 2
    lines = [over + f" {unit.name} waited ".center(wide, "-"), *(line(texts) for texts in cells)]
    legend = (
        "worst person: the mean of who waited longest, of those with 20 jobs or more    used: part of all GPU time",
        "slowdown: (wait + run) / run, runs below 10 s as 10 s    deficit: the largest part of a fair share that one of these lacked",
        f"score: geometric mean of mean, p99, longest, ≥{WIDE} GPUs, slowdown and deficit over those of {rows[0].label}; lower is better",
    )
    return "\n".join([*lines, "", *legend]) + "\n"


def sentence(before: Row, after: Row) -> str:
    """Return what changed machines do for people who wait."""
    was, now = before.measures, after.measures
    unit = unit_of((before, after))

    def told(what: str, old: float, new: float) -> str:
        old, new = old * unit.hour, new * unit.hour
        part = f" ({new / old - 1:+.0%})" if old > 0.005 else ""
        return f"{what} {number(new)} {unit.short} instead of {number(old)} {unit.short}{part}"

    return (
        f"with {after.gpus} GPUs instead of {before.gpus}: {told('people wait', was.wait_mean, now.wait_mean)} on average, "
        f"{told('one job in a hundred', was.wait_p99, now.wait_p99)} or longer; "
        f"{now.utilisation:.0%} of the GPU time is used instead of {was.utilisation:.0%}"
    )


def table_json(rows: Sequence[Row], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer for programs; hours, parts of 1, and days where the name says so."""
    return {
        **about,
        "against": rows[0].label,
        "rows": [
            {
                "policy": row.label,
                "gpus": row.gpus,
                "score": round(row.score, 4),
                "ratios": {name: round(value, 4) for name, value in row.ratios.items()},
                "measures": {name: round(value, 4) for name, value in asdict(row.measures).items()},
            }
            for row in rows
        ],
    }


def table_csv(rows: Sequence[Row]) -> str:
    """Return a line for each row, for a spreadsheet."""
    names = [item.name for item in fields(Measures)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["policy", "gpus", "score", *names])
    for row in rows:
        numbers = [f"{getattr(row.measures, name):.6g}" for name in names]
        writer.writerow([row.label, row.gpus, f"{row.score:.6g}", *numbers])
    return stream.getvalue()
