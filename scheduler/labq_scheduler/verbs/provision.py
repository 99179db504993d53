"""Provision: ask the provisioner for a run, look at runs, cancel one."""

from __future__ import annotations

from typing import Any

from labq.errors import ConflictError, UnavailableError
from labq.provision import FINAL, Run, RunState
from labq.provision_request import Request
from labq.store import Person
from labq_scheduler.verbs.lab import Lab


def start(lab: Lab, person: Person, body: Any, *, now: float) -> Run:
    """Write a run down and tell the provisioner.

    Raises:
        BadInputError: the request is not legal. Playbooks, hosts and tags are the provisioner's to check: it has them.
        UnavailableError: no provisioner lives.
    """
    request = Request.from_json(body)
    if not lab.store.provision.alive():
        raise UnavailableError(
            "no labq-provisioner runs in this lab",
            "on the control machine: systemctl start labq-provisioner; or there: labq provision --here",
        )
    run = lab.store.provision.make(request, person.name, now=now)
    lab.dispatcher.provision(run.id)
    return run


def last(lab: Lab, limit: int) -> list[dict[str, Any]]:
    """Return the last runs, newest last."""
    return [run.view() for run in lab.store.provision.last(limit)]


def news(lab: Lab, run_id: str, after: int) -> dict[str, Any]:
    """Return the events behind one, and the run as it is."""
    # The run first: the events of one that has ended are then all there.
    run = lab.store.provision.get(run_id)
    return {"events": lab.store.provision.events(run_id, after, 1000), "run": run.view()}


def cancel(lab: Lab, person: Person, run_id: str, *, now: float) -> Run:
    """Cancel a run: at once if it has not begun, else its driver does it soon.

    Raises:
        ConflictError: it has ended.
    """
    run = lab.store.provision.get(run_id)
    note = f"cancelled by {person.name}"
    if run.state is RunState.QUEUED:
        try:
            end = run.moved(RunState.CANCELLED, ended=now, note=f"{note} before anything ran.")
            return lab.store.provision.write(run, end)
        except ConflictError:
            run = lab.store.provision.get(run_id)  # it began meanwhile
    if run.state in FINAL:
        raise ConflictError(f"run {run_id} has {_ENDED[run.state]}", f"labq provision show {run_id}")
    lab.store.provision.ask_to_cancel(run_id, person.name)
    return run


_ENDED = {RunState.SUCCEEDED: "succeeded", RunState.FAILED: "failed", RunState.CANCELLED: "been cancelled"}
