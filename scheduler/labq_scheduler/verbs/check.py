"""Check: would this job be accepted, and where could it run? Makes nothing."""

from __future__ import annotations

from typing import Any

from labq.errors import LabqError
from labq_scheduler.policy.fit import could_hold, nearest_fit
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.submit import Request


def check(lab: Lab, request: Request) -> dict[str, Any]:
    """Return ``{"why", "fits", "warnings"}``: why it can never run (or None), and the nodes that could run it."""
    spec = request.spec
    nodes = [node for node, _ in lab.board.nodes()]
    warnings = list(request.warnings)
    if spec.context:
        try:
            lab.contexts.use(spec.context, spec.dockerfile)
        except LabqError as error:
            warnings.append(error.what)
    why = nearest_fit(spec, nodes) if nodes else "no node has registered yet"
    return {"why": why, "fits": [node.name for node in nodes if could_hold(spec, node)], "warnings": warnings}
