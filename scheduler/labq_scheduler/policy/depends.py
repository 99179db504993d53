"""Jobs that wait for a job which will never end as they need it. Pure."""

from __future__ import annotations

from labq.ending import EndReason
from labq.states import JobState
from labq_scheduler.decisions import Refuse
from labq_scheduler.snapshot import Snapshot


def dependency_failures(snapshot: Snapshot) -> list[Refuse]:
    """Return the jobs that can never start because of a job that they wait for."""
    refusals = []
    for job in snapshot.held:
        for dependency in job.spec.after:
            state = snapshot.dependencies.get(dependency.job)
            # A key with None: Redis and the records were asked. Without a key they could not be.
            if state is None and dependency.job in snapshot.dependencies:
                text = (
                    f"Failed: nobody knows job {dependency.job} any more, which it waits for; "
                    "resubmit without it in --after."
                )
                refusals.append(Refuse(job, EndReason.DEPENDENCY_FAILED, text))
                break
            if not dependency.any_end and state in {JobState.FAILED, JobState.CANCELLED}:
                text = f"Failed: job {dependency.job}, which it waits for, {state}; resubmit with --after any:{dependency.job} to run anyway."
                refusals.append(Refuse(job, EndReason.DEPENDENCY_FAILED, text))
                break
    return refusals
