"""GPU-hours: `labq usage`. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from labq.cli.render.moments import about, epoch, local
from labq.cli.render.text import clean, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Columns of the CSV after the first, in this order.
NUMBERS = (
    "jobs", "allocated_gpu_hours", "busy_gpu_hours", "idle_gpu_hours", "busy_known_gpu_hours", "outside_gpu_hours",
    "outside_busy_gpu_hours", "charged_gpu_hours",
)  # fmt: skip


def usage_text(usage: Mapping[str, Any], width: int, *, colours: bool = False) -> str:
    """Return the window and a table with a total.

    Args:
        usage: the API's answer.
        width: columns of the terminal.
        colours: grey the heading.
    """
    by, total = str(usage["by"]), usage["total"]
    head = [by.upper(), "JOBS", "ALLOCATED", "BUSY", "IDLE", "OUTSIDE", "BUSY OUTSIDE"]
    rows = [[_name(row["key"], by), *_cells(row)] for row in usage["rows"]]
    rows.append(["total", *_cells(total)])
    if by == "user":
        head.append("CHARGED")
        for row, source in zip(rows, [*usage["rows"], total], strict=True):
            row.append(hours(source["charged_gpu_hours"]))
    colour_of = [[""] * len(head) for _ in rows] if colours else None
    text = f"GPU-hours from {_window(usage)}\n"
    text += table(
        head, rows, width, shrink=[0], drop=[6, 4], numbers=range(1, len(head)), colour_of=colour_of
    )
    known, allocated = total["busy_known_gpu_hours"], total["allocated_gpu_hours"]
    if 0 < known < 0.9 * allocated:
        text += f"busy and idle are known of {hours(known)} of the {hours(allocated)} allocated GPU-hours\n"
    return text


def usage_csv(usage: Mapping[str, Any]) -> str:
    """Return the rows as RFC 4180 says: a header, CRLF; an empty field = not known."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([usage["by"], "since", "until", *NUMBERS])
    for row in usage["rows"]:
        numbers = ["" if row[name] is None else row[name] for name in NUMBERS]
        writer.writerow([row["key"], usage["since"], usage["until"], *numbers])
    return out.getvalue()


def nothing(usage: Mapping[str, Any], user: str | None) -> str:
    """Return what is said when nobody used anything, and what would change that."""
    who = f"{user} used no GPU" if user else "nobody used a GPU"
    return (
        f"{who} from {_window(usage)}; jobs count from their start on (labq submit DIR --gpus 1), use outside the "
        "queue as labq-worker measures it; `--since 90d` looks further back"
    )


def hours(value: float | None) -> str:
    """Return GPU-hours for people.

    >>> hours(None), hours(0), hours(0.004), hours(0.26), hours(3.14), hours(1234.5)
    ('-', '0', '<0.01', '0.26', '3.1', '1,234')
    """
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if value < 0.01:
        return "<0.01"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    busy, known = row["busy_gpu_hours"], row["busy_known_gpu_hours"]
    share = "" if busy is None or not known else f" ({100 * busy / known:.0f}%)"
    return [
        str(row["jobs"]),
        hours(row["allocated_gpu_hours"]),
        hours(busy) + share,
        hours(row["idle_gpu_hours"]),
        hours(row["outside_gpu_hours"]),
        hours(row["outside_busy_gpu_hours"]),
    ]


def _name(key: str, by: str) -> str:
    return clean(key) or f"(no {by})"


def _window(usage: Mapping[str, Any]) -> str:
    since, until = epoch(usage["since"]) or 0.0, epoch(usage["until"]) or 0.0
    length = about(until - since).replace("d0h", "d")
    return f"{local(usage['since'])} to {local(usage['until'])} ({length})"
