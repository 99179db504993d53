"""Jobs that wait for a job which will never end as they need it. Pure."""

from __future__ import annotations

from labq.ending import EndReason
from labq.job import Job
from labq.states import JobState
from labq_scheduler.decisions import Refuse
from labq_scheduler.snapshot import Snapshot


def dependency_failures(snapshot: Snapshot) -> list[Refuse]:
    """Return the jobs that can never start because of a job that they wait for."""
    said: dict[int, str] = {}  # tasks of an array have one spec and wait for the same
    refusals = []
    for job in snapshot.held:
        if (text := said.get(id(job.spec))) is None:
            text = said[id(job.spec)] = _never(job, snapshot)
        if text:
            refusals.append(Refuse(job, EndReason.DEPENDENCY_FAILED, text))
    return refusals


def _never(job: Job, snapshot: Snapshot) -> str:
    """Return why a job can never start; "" = it may."""
    for dependency in job.spec.after:
        state = snapshot.dependencies.get(dependency.job)
        # A key with None: Redis and the records were asked. Without a key they could not be.
        if state is None and dependency.job in snapshot.dependencies:
            return (
                f"Failed: nobody knows job {dependency.job} any more, which it waits for; "
                "resubmit without it in --after."
            )
        if not dependency.any_end and state in {JobState.FAILED, JobState.CANCELLED}:
            return f"Failed: job {dependency.job}, which it waits for, {state}; resubmit with --after any:{dependency.job} to run anyway."
    return ""
