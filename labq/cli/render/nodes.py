"""The machines: `labq nodes`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labq.cli.render.moments import about, epoch
from labq.cli.render.text import clean, paint, table
from labq.units import about_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TIES = {"nvlink": "joined by NVLink", "switch": "on one PCIe switch", "numa": "on one NUMA node"}
_COLOURS = {"up": "green", "drained": "yellow", "silent": "yellow", "lost": "red"}


def nodes_text(nodes: Sequence[Mapping[str, Any]], now: float, width: int, *, colours: bool = False) -> str:
    """Return a heading and a table of GPUs for each node.

    Args:
        nodes: views of the API.
        now: seconds since the epoch.
        width: columns of the terminal.
        colours: colour the states.
    """
    return "\n".join(_node(node, now, width, colours) for node in nodes)


def _node(node: Mapping[str, Any], now: float, width: int, colours: bool) -> str:
    state = str(node["state"])
    head = f"{clean(str(node['name']))}  {paint(state, _COLOURS.get(state, ''), colours)}"
    if node.get("reason"):
        head += f" ({clean(str(node['reason']))})"
    beat = epoch(node.get("heartbeat"))
    if state != "up" and beat is not None:
        head += f", last heard of {about(now - beat)} ago"
    cpus, memory = node.get("cpus") or 0, node.get("memory") or 0
    lines = [
        head,
        f"  cores {_number(cpus - (node.get('cpus_held') or 0))} free of {_number(cpus)}, "
        f"memory {about_bytes(memory - (node.get('memory_held') or 0))} free of {about_bytes(memory)}",
    ]
    if node.get("disk") is not None:
        disk = max(0, node["disk"] - (node.get("disk_held") or 0))
        lines[-1] += f", disk {about_bytes(disk)} free of {about_bytes(node['disk'])}"
    if node.get("behind"):
        lines.append(
            f"  labq {clean(str(node.get('version')))} there is older than the server: "
            f"labq provision --limit {clean(str(node['name']))} --tags labq_package,labq_worker,labq_exporter"
        )
    labels = node.get("labels") or {}
    if labels:
        lines.append("  labels " + clean(" ".join(f"{key}={value}" for key, value in sorted(labels.items()))))
    gpus = node.get("gpus") or []
    if not gpus:
        lines.append("  no GPUs")
        return "\n".join(lines) + "\n"
    free = sum(1 for gpu in gpus if gpu_state(gpu) == "free")
    simulated = " (simulated)" if all(gpu.get("simulated") for gpu in gpus) else ""
    lines.append(f"  GPUs{simulated}: {free} free of {len(gpus)}")
    lines += _near(node.get("near") or {})
    rows = [
        [f"  {g.get('slot', g['index'])}", model(g), about_bytes(g.get("memory") or 0), gpu_state(g), jobs(g)]
        for g in gpus
    ]
    return (
        "\n".join(lines)
        + "\n"
        + table(["  #", "MODEL", "MEMORY", "STATE", "JOBS"], rows, width, shrink=[4, 1])
    )


def _near(near: Mapping[str, Any]) -> list[str]:
    """Return a line for each way in which GPUs are near each other: ``joined by NVLink: 0-3, 4-7``."""
    return [
        f"  {words}: {', '.join(_slots([clean(str(slot)) for slot in group]) for group in near[tie])}"
        for tie, words in _TIES.items()
        if near.get(tie)
    ]


def _slots(slots: Sequence[str]) -> str:
    """Return ``0-3`` for slots in a row, else ``0+2``."""
    numbers = [int(slot) for slot in slots if slot.isdecimal()]
    if len(numbers) == len(slots) > 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{numbers[0]}-{numbers[-1]}"
    return "+".join(slots)


def gpu_state(gpu: Mapping[str, Any]) -> str:
    """Return "free", "held", "shared", "outside" (used outside the queue) or "fault: …"."""
    if gpu.get("fault"):
        return f"fault: {clean(str(gpu['fault']))}"
    holders = gpu.get("holders") or []
    if not holders:
        return "outside" if gpu.get("outside") else "free"
    return "shared" if any(holder.get("share") for holder in holders) else "held"


def model(gpu: Mapping[str, Any]) -> str:
    """Return the card's name, marked when it is simulated."""
    name = clean(str(gpu.get("model") or "?"))
    return f"{name} (sim)" if gpu.get("simulated") else name


def jobs(gpu: Mapping[str, Any]) -> str:
    """Return who holds a GPU: ``12 hiro (8GB), 13 yuki (4GB), bob outside the queue``; "-" for nobody."""
    inside = [_holder(holder) for holder in gpu.get("holders") or []]
    outside = [f"{clean(str(each.get('user')))} outside the queue" for each in gpu.get("outside") or []]
    return ", ".join(inside + outside) or "-"


def _holder(holder: Mapping[str, Any]) -> str:
    share = f" ({about_bytes(holder['share'])})" if holder.get("share") else ""
    return f"{holder['job']} {clean(str(holder['owner']))}{share}"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
