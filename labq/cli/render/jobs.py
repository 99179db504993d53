"""Lists of jobs: `labq ls`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labq.cli.render.moments import about, between, waited
from labq.cli.render.outlook import short
from labq.cli.render.reason import reason
from labq.cli.render.text import clean, clip, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Job = Mapping[str, Any]

STATE_COLOURS = {
    "queued": "yellow", "starting": "cyan", "running": "green", "stopping": "yellow",
    "succeeded": "", "failed": "red", "cancelled": "grey",
}  # fmt: skip
#: Columns below which the reason gets the room of node and waiting time, and the state stands alone.
NARROW = 100
#: End reasons that say no more than the state.
_PLAIN_REASONS = {"completed", "cancelled_by_user"}


def state_text(job: Job) -> str:
    """Return state and reason: ``failed (out of memory)``, ``failed (exit 3)``."""
    state, reason = str(job["state"]), job.get("end_reason")
    if reason == "exit_code" and job.get("exit_code") is not None:
        return f"{state} (exit {job['exit_code']})"
    if not reason or reason in _PLAIN_REASONS:
        return state
    return f"{state} ({str(reason).replace('_', ' ')})"


def gpus_text(job: Job) -> str:
    """Return what it asked for, marked when it got simulated GPUs; "-" for none."""
    asked = str(job.get("gpu_request") or "0")
    if asked == "0":
        return "-"
    return f"{asked} (sim)" if job.get("simulated") else asked


def note_text(job: Job, now: float) -> str:
    """Return why it waits, how it ended when that was not well, or its owner's note."""
    if job["state"] == "queued":
        return reason(str(job.get("why") or ""), now)
    if job["state"] == "failed":
        return str(job.get("verdict") or "").removeprefix("Failed: ")
    return str(job.get("note") or "")


def jobs_table(
    jobs: Sequence[Job], now: float, width: int, *, owners: bool = False, colours: bool = False
) -> str:
    """Return the table of jobs.

    Args:
        jobs: short views, in the order in which they are shown.
        now: seconds since the epoch.
        width: columns of the terminal.
        owners: show whose they are.
        colours: colour the states.
    """
    narrow = width < NARROW
    head = ["ID", "NAME", "STATE", "OWNER", "GPUS", "NODE", "WAITED", "RAN", "STARTS", "WHY / NOTE"]
    rows, paints = [], []
    for job in jobs:
        rows.append(
            [
                str(job["id"]),
                clip(clean(str(job.get("name") or "")), 12 if narrow else 64),
                str(job["state"]) if narrow else state_text(job),
                clean(str(job.get("owner") or "")),
                gpus_text(job),
                clean(str(job.get("node") or "-")),
                about(waited(job, now)),
                about(between(job.get("started_at"), job.get("ended_at"), now)) or "-",
                short(job.get("estimated_start"), now) if job["state"] == "queued" else "-",
                clean(note_text(job, now)),
            ]
        )
        paints.append(["", "", STATE_COLOURS.get(str(job["state"]), ""), "", "", "", "", "", "", "grey"])
    drop = [] if owners else [3]
    if not any("estimated_start" in job and job["state"] == "queued" for job in jobs):
        drop.append(8)
    if not any(row[9] for row in rows):
        drop.append(9)
    elif narrow:  # why it waits or failed is worth more
        drop += [5, 6]
    keep = [i for i in range(len(head)) if i not in drop]
    shrink = [keep.index(i) for i in (9, 1, 2, 4) if i in keep]
    return table(
        [head[i] for i in keep],
        [[row[i] for i in keep] for row in rows],
        width,
        shrink=shrink,
        drop=[keep.index(i) for i in (6, 5, 9, 4, 3) if i in keep],
        colour_of=[[paint[i] for i in keep] for paint in paints] if colours else None,
        numbers=[keep.index(i) for i in (6, 7, 8) if i in keep],
    )


def more_line(shown: int, total: int) -> str:
    """Return the line that says that there are more; "" when there are none."""
    return f"{total - shown} more: the same with --limit 0\n" if total > shown else ""
