"""What `labq up` tells when all is ready. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from labq.lab.plan import Plan
from labq.lab.record import Record
from labq.units import about_bytes


def welcome(plan: Plan, node: Mapping[str, Any], hints: Sequence[str]) -> list[str]:
    """Return the lines.

    Args:
        plan: what runs.
        node: this machine, as the API shows it.
        hints: how the client finds this lab, when it cannot by itself.
    """
    lines = [
        f"labq is up: {plan.server} (API: {plan.server}/docs)",
        f"  data, logs:  {plan.data_dir}",
        f"  token:       {plan.data_dir / 'token'}",
        f"  GPUs:        {gpus_text(node)}",
    ]
    if not node.get("gpus") and plan.gpus == "auto":
        lines.append("               to try labq without one: labq up --gpus sim:2xRTX-4090-24GB")
    lines += [f"  note:        {hint}" if i == 0 else f"             {hint}" for i, hint in enumerate(hints)]
    return [*lines, "  next:        labq submit DIR --gpus 1 --follow · labq top · labq ls · labq down"]


def gpus_text(node: Mapping[str, Any]) -> str:
    """Return the GPUs of a node: ``2x RTX 4090 (24GB)``, marked when they are simulated."""
    gpus = node.get("gpus") or []
    if not gpus:
        return "none on this machine; jobs that ask for none run"
    kinds = Counter(f"{gpu['model']} ({about_bytes(gpu['memory'])})" for gpu in gpus)
    text = ", ".join(f"{count}x {kind}" for kind, count in kinds.items())
    if any(gpu.get("simulated") for gpu in gpus):
        text += "; SIMULATED: jobs run, but no real GPU is used"
    return text


def already_up(plan: Plan, found: Record | None) -> str:
    """Return the line for a lab that runs already."""
    server = found.server if found is not None else plan.server
    return (
        f"labq is already up: {server} (data: {plan.data_dir})\n"
        "  next:        labq submit DIR --gpus 1 --follow · labq top · labq ls · labq down"
    )
