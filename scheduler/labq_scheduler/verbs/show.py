"""Show: one job or one array, wherever it is: Redis, or the records when Redis keeps it no longer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from labq.earlier_outputs import earlier_outputs
from labq.errors import NotAllowedError, NotFoundError
from labq.ids import check_job_id, sort_key
from labq.job import Job
from labq.links import grafana_job
from labq.states import FINAL, JobState
from labq.store import Person
from labq.units import about_bytes
from labq.wire import job_view
from labq_scheduler.verbs import outlook
from labq_scheduler.verbs.lab import Lab

#: What others see in place of values that may be private.
HIDDEN = "…"


def find(lab: Lab, job_id: str) -> Job:
    """Return one job.

    Raises:
        NotFoundError: nobody knows it; for an array's id it says so.
    """
    check_job_id(job_id)
    with suppress(NotFoundError):  # a record that cannot be read is a fault, not "no such job"
        return lab.store.jobs.get(job_id)
    recorded = lab.history.get(job_id)
    if recorded is not None:
        return recorded
    if "." not in job_id and (tasks := array_ids(lab, job_id)):
        raise NotFoundError(
            f"{job_id} is an array of {len(tasks)} jobs, not one job", f"name one of them, such as {tasks[0]}"
        )
    raise NotFoundError(f"there is no job {job_id}", "labq ls --all shows everybody's jobs")


def find_all(lab: Lab, job_id: str) -> tuple[bool, list[Job]]:
    """Return whether the id is an array's, and its jobs, or the one job.

    Raises:
        NotFoundError: nobody knows it.
    """
    check_job_id(job_id)
    if "." not in job_id and (tasks := array_ids(lab, job_id)):
        jobs = {job.id: job for job in lab.store.jobs.get_many(tasks)}
        if len(jobs) < len(tasks):
            jobs |= {job.id: job for job in lab.history.array(job_id) if job.id not in jobs}
        return True, [jobs[task] for task in tasks if task in jobs]
    return False, [find(lab, job_id)]


def array_ids(lab: Lab, array_id: str) -> list[str]:
    """Return the ids of an array's tasks in order; empty when there is no such array."""
    tasks = lab.store.jobs.array(array_id) or [job.id for job in lab.history.array(array_id)]
    return sorted(tasks, key=sort_key)


def view(lab: Lab, job: Job, person: Person, *, full: bool = True) -> dict[str, Any]:
    """Return the job as ``person`` may see it: others' variables and build arguments are hidden."""
    why = lab.board.why(job.id) if job.state is JobState.QUEUED else None
    seen = job_view(job, why=why, full=full, estimated_start=outlook.start_of(lab, job))
    if full:
        if not may_change(job, person):
            hide(seen["spec"])
        if lab.site.grafana and job.started_at is not None:
            link = grafana_job(lab.site.grafana, job.owner, job.id, job.started_at, job.ended_at)
            seen["links"] = {"grafana": link}
    return seen


def hide(spec: dict[str, Any]) -> None:
    """Replace what others need not know; a context's digest would let them run (and so read) it."""
    for key in ("env", "build_args"):
        if key in spec:
            spec[key] = dict.fromkeys(spec[key], HIDDEN)
    if "context" in spec:
        spec["context"] = HIDDEN


def show(lab: Lab, job_id: str, person: Person) -> dict[str, Any]:
    """Return the full view of a job, or the summary of an array."""
    is_array, jobs = find_all(lab, job_id)
    if not is_array:
        if jobs[0].state is JobState.QUEUED:
            lab.board.wait_caught_up()
        return view(lab, jobs[0], person)
    return {
        "id": job_id,
        "array": True,
        "counts": counts(jobs),
        "jobs": [view(lab, job, person, full=False) for job in jobs],
    }


def why(lab: Lab, job_id: str) -> dict[str, Any]:
    """Return one sentence on what the job does or waits for, and when it is expected to start.

    Of an array it is about the first task that waits, or runs, or the last one; its ``id`` says which.
    """
    _, jobs = find_all(lab, job_id)
    job = min(jobs, key=lambda job: (job.state is not JobState.QUEUED, job.state in FINAL))
    if job.state in FINAL:
        job = jobs[-1]
    if job.state is JobState.QUEUED:
        lab.board.wait_caught_up()
        job = lab.board.get(job_id) or job
    return {"id": job.id, "state": str(job.state), "why": sentence(lab, job), **outlook.of_job(lab, job)}


def sentence(lab: Lab, job: Job) -> str:
    """Return why the job is where it is."""
    if job.verdict is not None:
        return job.verdict
    match job.state:
        case JobState.QUEUED:
            return lab.board.why(job.id) or "it is next to be considered"
        case JobState.STARTING:
            found = earlier_outputs(job, job.attempt, lab.files.outputs / job.id)
            begins = (
                ""
                if found is None
                else f", with what attempt {found[0].number} left in /outputs{_size(found[1])}"
            )
            return f"its container is being made on {job.node}{begins}"
        case JobState.STOPPING if job.stop is not None:
            whom = f" for job {job.stop.for_job}" if job.stop.for_job else ""
            return f"it is being stopped on {job.node}{whom}, asked by {job.stop.by}"
        case _:
            return f"it runs on {job.node}"


def _size(outputs: Path) -> str:
    return f" ({about_bytes(outputs.stat().st_size)})" if outputs.is_file() else ""


def counts(jobs: Sequence[Job]) -> dict[str, int]:
    """Return how many of the jobs are in each state that occurs."""
    found = {str(state): 0 for state in JobState}
    for job in jobs:
        found[str(job.state)] += 1
    return {state: count for state, count in found.items() if count}


def may_change(job: Job, person: Person) -> bool:
    """Return whether the person owns the job or is an admin."""
    return person.admin or job.owner == person.name


def require_owner(job: Job, person: Person, doing: str) -> None:
    """Do nothing when the person may.

    Raises:
        NotAllowedError: the job is another's and the person is no admin.
    """
    if not may_change(job, person):
        raise NotAllowedError(
            f"job {job.id} is {job.owner}'s: {person.name} may not {doing}",
            f"ask {job.owner}, or an admin",
        )
