"""Cancel: queued jobs end at once, running ones are asked to stop."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from labq import moves
from labq.ending import EndReason, Judgement, StopRequest
from labq.errors import ConflictError, UnavailableError
from labq.job import Job
from labq.spec_values import grace as parse_grace
from labq.states import JobState
from labq.store import Person, StaleError
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.show import find_all, require_owner

log = logging.getLogger(__name__)
#: A job that moves this often while it is being cancelled is not being read, it is being chased.
_TRIES = 20


def cancel(lab: Lab, person: Person, job_id: str, *, now: float, grace: Any = None) -> dict[str, list[str]]:
    """Cancel a job, or all jobs of an array.

    Args:
        lab: the parts.
        person: who asks; owner or admin.
        job_id: a job's or an array's id.
        now: seconds since the epoch.
        grace: time between SIGTERM and SIGKILL in place of the job's own; None = its own.

    Returns:
        Ids by what happened: ``cancelled`` (ended), ``stopping`` (asked to), ``already`` (nothing to do).
    """
    seconds = None if grace is None else parse_grace(grace)
    _, jobs = find_all(lab, job_id)
    for job in jobs:
        require_owner(job, person, "cancel it")
    done: dict[str, list[str]] = {"cancelled": [], "stopping": [], "already": []}
    for job in jobs:
        done[_cancel_one(lab, person, job, now, seconds)].append(job.id)
    return done


def _cancel_one(lab: Lab, person: Person, job: Job, now: float, grace: float | None) -> str:
    reason = EndReason.CANCELLED_BY_USER if job.owner == person.name else EndReason.CANCELLED_BY_ADMIN
    for _ in range(_TRIES):
        try:
            match job.state:
                case JobState.QUEUED:
                    how = "while it waited to run again" if job.attempts else "before it started"
                    judgement = Judgement(reason, f"Cancelled by {person.name} {how}.")
                    lab.store.jobs.move(job, moves.ended(job, judgement, None, now), now=now, by=person.name)
                    return "cancelled"
                case JobState.STARTING | JobState.RUNNING:
                    new = moves.stopping(job, StopRequest(reason, person.name, now, grace))
                    lab.store.jobs.move(job, new, now=now, by=person.name)
                    _tell(lab, new)
                    return "stopping"
                case JobState.STOPPING if job.stop is not None and job.stop.reason is EndReason.PREEMPTED:
                    # It was to come back. It has had its SIGTERM: when, its grace and for whom stay as they are.
                    new = moves.stopping(job, replace(job.stop, reason=reason, by=person.name))
                    lab.store.jobs.move(job, new, now=now, by=person.name)
                    return "stopping"
                case _:
                    return "already"
        except StaleError:
            job = lab.store.jobs.get(job.id)
    raise ConflictError(f"job {job.id} changed {_TRIES} times while it was being cancelled", "try again")


def _tell(lab: Lab, job: Job) -> None:
    """Send the hint; the agent finds the state by itself when the hint is lost."""
    try:
        lab.dispatcher.stop(job.node or "", job.id, job.attempt, job.lease or "")
    except UnavailableError as error:
        log.warning("job %s is stopping, but its node could not be told: %s", job.id, error.what)
