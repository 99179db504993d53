"""Each GPU on one line: `labq top`. Pure.

A job has its number under JOB; use outside the queue has `-` there, and under NAME the container, or the rule that
named the person (docs/explanation/who-holds-a-gpu.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labq.cli.render.moments import about, between
from labq.cli.render.nodes import model
from labq.cli.render.text import clean, table
from labq.units import about_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEAD = ("NODE", "#", "MODEL", "MEMORY", "USE", "TEMP", "STATE", "WHO", "JOB", "NAME", "SINCE")
_TEMP = _HEAD.index("TEMP")
#: What is worth a colour: a GPU that nobody can use, one that is held for nothing, one that is free.
_COLOURS = {"lost": "red", "held": "yellow", "free": "grey"}


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
        who = [_job(holder, now) for holder in gpu.get("holders") or []]
        who += [_outside(holder, now) for holder in gpu.get("outside") or []]
        for number, holder in enumerate(who or [_nobody(gpu)]):
            card = _card(gpu) if number == 0 else [""] * 7
            rows.append(card + holder)
            paints.append([_COLOURS.get(_state(gpu), "")] * len(_HEAD))
    if not rows:
        return "no GPUs; `labq nodes` shows the machines\n"
    keep = [i for i in range(len(_HEAD)) if i != _TEMP or any(row[_TEMP] for row in rows)]
    return _summary(gpus) + table(
        [_HEAD[i] for i in keep],
        [[row[i] for i in keep] for row in rows],
        width,
        shrink=[keep.index(_HEAD.index(name)) for name in ("NAME", "MODEL", "WHO", "NODE")],
        colour_of=[[paint[i] for i in keep] for paint in paints] if colours else None,
        numbers=[keep.index(_HEAD.index("USE"))],
    )


def _summary(gpus: Sequence[Mapping[str, Any]]) -> str:
    """Return the first line: how many GPUs are in which state, and how many are used outside the queue."""
    states = [_state(gpu) for gpu in gpus]
    parts = [
        f"{states.count(name)} {name}"
        for name in ("busy", "held", "reserved", "free", "lost")
        if name in states
    ]
    outside = sum(1 for gpu in gpus if gpu.get("outside"))
    if outside:
        parts.append(f"{outside} used outside the queue")
    return f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''}: {', '.join(parts)}\n"


def _state(gpu: Mapping[str, Any]) -> str:
    if gpu.get("fault"):
        return "lost"
    return str(gpu.get("state") or ("held" if gpu.get("holders") else "free"))


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
        _state(gpu),
    ]


def _nobody(gpu: Mapping[str, Any]) -> list[str]:
    return ["", "", clean(str(gpu.get("fault") or "")), ""]


def _job(holder: Mapping[str, Any], now: float) -> list[str]:
    share = f" ({about_bytes(holder['share'])})" if holder.get("share") else ""
    return [
        clean(str(holder["owner"])),
        str(holder["job"]) + share,
        clean(str(holder.get("name") or "")),
        about(between(holder.get("since"), None, now)) or str(holder.get("state") or ""),
    ]


def _outside(holder: Mapping[str, Any], now: float) -> list[str]:
    source = str(holder.get("source") or "")
    named = str(holder.get("container") or "") or _RULES.get(source, source)
    memory = f", {about_bytes(holder['memory'])}" if holder.get("memory") else ""
    doubt = f"; {holder['disputed']}" if holder.get("disputed") else ""
    return [
        clean(str(holder.get("user") or "unknown")),
        f"{holder['job']} (over)" if holder.get("job") else "-",
        clean(f"{named}{memory}{doubt}"),
        about(between(holder.get("since"), None, now)) or "",
    ]


#: What is said of a process that is in no container.
_RULES = {
    "uid": "process",
    "loginuid": "login",
    "userslice": "login",
    "gone": "dead process",
    "none": "process",
}
