"""Check: would this job be accepted, where could it run, and when would it start? Makes nothing."""

from __future__ import annotations

from typing import Any

from labq.errors import LabqError
from labq.spec import JobSpec
from labq.store import Person
from labq_scheduler.policy.fit import could_hold, nearest_fit
from labq_scheduler.verbs import outlook
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.submit import Request, check_rules


def check(lab: Lab, person: Person, request: Request, *, now: float, estimate: bool = True) -> dict[str, Any]:
    """Return what would become of a job.

    Args:
        lab: the parts.
        person: whose it would be.
        request: what is asked for.
        now: seconds since the epoch.
        estimate: whether to say why it would wait and when it would start.

    Returns:
        ``why`` it can never run (or None), the nodes that could run it (``fits``), ``warnings``, why it ``waits`` (None: it
        would start at once), and when it would start (verbs/outlook.py).
    """
    spec = request.spec
    nodes = [node for node, _ in lab.board.nodes()]
    warnings = list(request.warnings)
    if spec.context:
        try:
            lab.contexts.use(spec.context, spec.dockerfile)
        except LabqError as error:
            warnings.append(error.what)
    why = _refused(lab, person, spec) or (nearest_fit(spec, nodes) if nodes else "no node has registered yet")
    fits = [node.name for node in nodes if could_hold(spec, node)]
    if not estimate:
        return {"why": why, "fits": fits, "warnings": warnings}
    ahead = outlook.of_new(lab, person, spec, now=now) if fits else {"waits": why, **outlook.NOTHING}
    return {"why": why, "fits": fits, "warnings": warnings, **ahead}


def _refused(lab: Lab, person: Person, spec: JobSpec) -> str | None:
    """Return why the lab's rules would not take it."""
    try:
        check_rules(spec, person, lab.rules())
    except LabqError as error:
        return error.what
    return None
