"""Each GPU on one line: `labq top`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labq.cli.render.moments import about, between
from labq.cli.render.nodes import model
from labq.cli.render.text import clean, table
from labq.units import about_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEAD = ("NODE", "#", "MODEL", "MEMORY", "USE", "TEMP", "WHO", "JOB", "NAME", "SINCE")


def top_text(gpus: Sequence[Mapping[str, Any]], now: float, width: int, *, colours: bool = False) -> str:
    """Return the table; a GPU that several jobs share has a line for each.

    Args:
        gpus: views of the API.
        now: seconds since the epoch.
        width: columns of the terminal.
        colours: colour what is free, busy or at fault.
    """
    rows, paints = [], []
    for gpu in gpus:
        holders = gpu.get("holders") or [None]
        for number, holder in enumerate(holders):
            card = _card(gpu) if number == 0 else [""] * 6
            rows.append(card + _who(gpu, holder, now))
            colour = "red" if gpu.get("fault") else "" if holder else "grey"
            paints.append([colour] * len(_HEAD))
    if not rows:
        return "no GPUs; `labq nodes` shows the machines\n"
    if not any(row[5] for row in rows):
        keep = [i for i in range(len(_HEAD)) if i != 5]
    else:
        keep = list(range(len(_HEAD)))
    busy = sum(1 for gpu in gpus if gpu.get("holders"))
    return f"{busy} of {len(gpus)} GPUs held\n" + table(
        [_HEAD[i] for i in keep],
        [[row[i] for i in keep] for row in rows],
        width,
        shrink=[keep.index(i) for i in (8, 2, 6, 0)],
        colour_of=[[paint[i] for i in keep] for paint in paints] if colours else None,
        numbers=[keep.index(4)],
    )


def _card(gpu: Mapping[str, Any]) -> list[str]:
    used, total = gpu.get("memory_used"), about_bytes(gpu.get("memory") or 0)
    use, heat = gpu.get("utilization"), gpu.get("temperature")
    return [
        clean(str(gpu["node"])),
        str(gpu.get("slot", gpu["index"])),
        model(gpu),
        f"{about_bytes(used)} / {total}" if used is not None else f"? / {total}",
        "?" if use is None else f"{use:.0f}%",
        "" if heat is None else f"{heat:.0f}°C",
    ]


def _who(gpu: Mapping[str, Any], holder: Mapping[str, Any] | None, now: float) -> list[str]:
    if gpu.get("fault"):
        return ["fault", "", clean(str(gpu["fault"])), ""]
    if holder is None:
        return ["free", "", "", ""]
    share = f" ({about_bytes(holder['share'])})" if holder.get("share") else ""
    since = about(between(holder.get("since"), None, now)) or str(holder.get("state") or "")
    return [
        clean(str(holder["owner"])),
        str(holder["job"]) + share,
        clean(str(holder.get("name") or "")),
        since,
    ]
