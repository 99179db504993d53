"""What is said to somebody who asked in Slack. Pure; whoever sends it escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labq.errors import LabqError
from labq.job import Job
from labq.node import Node
from labq.states import ACTIVE, HOLDING, JobState
from labq.units import about_duration
from labq_scheduler.notify.commands import VERBS

#: Jobs that `/labq my` lists.
MOST = 20


def help_text() -> str:
    """Return the list of commands."""
    lines = [f"/labq {verb}{' JOB' if wants else ''}  {text}" for verb, (wants, text) in VERBS.items()]
    return "\n".join(lines)


def status(nodes: Sequence[Node], jobs: Sequence[Job], now: float) -> str:
    """Return what runs and what is free.

    Args:
        nodes: all of them.
        jobs: at least those that are active.
        now: seconds since the epoch.
    """
    held = {hold.uuid for job in jobs if job.state in HOLDING for hold in job.gpus}
    lines = []
    for node in sorted(nodes, key=lambda node: node.name):
        if not node.takes_work(now):
            why = f"drained: {node.drained}" if node.drained else "not heard"
            lines.append(f"{node.name}: takes no jobs ({why})")
            continue
        free = sum(1 for gpu in node.gpus if gpu.uuid not in held and not gpu.fault)
        lines.append(f"{node.name}: {free} of {len(node.gpus)} GPUs free")
    running = sum(job.state in HOLDING for job in jobs)
    waiting = sum(job.state is JobState.QUEUED for job in jobs)
    lines.append(f"{running} {_jobs(running)} on machines, {waiting} waiting")
    return "\n".join(lines)


def mine(jobs: Sequence[Job], why: Mapping[str, str], now: float) -> str:
    """Return somebody's active jobs.

    Args:
        jobs: theirs.
        why: why they wait, by id.
        now: seconds since the epoch.
    """
    active = sorted((job for job in jobs if job.state in ACTIVE), key=lambda job: job.seq)
    if not active:
        return "You have no job that waits or runs."
    lines = []
    for job in active[:MOST]:
        since = job.started_at if job.started_at is not None else job.submitted_at
        more = f": {why[job.id]}" if why.get(job.id) else f" on {job.node}" if job.node else ""
        lines.append(f"{job.id} {job.spec.name}  {job.state} for {about_duration(now - since)}{more}")
    if len(active) > MOST:
        lines.append(f"and {len(active) - MOST} more: labq ls")
    return "\n".join(lines)


def cancelled(job_id: str, done: Mapping[str, Sequence[str]]) -> str:
    """Return what came of a cancel."""
    ended, asked, over = (len(done[key]) for key in ("cancelled", "stopping", "already"))
    if ended + asked + over == 1:
        return f"Job {job_id} " + (
            "is cancelled." if ended else "is being stopped." if asked else "was over, or being stopped, already."
        )  # fmt: skip
    return f"{job_id}: {ended} cancelled, {asked} being stopped, {over} were over already."


def kept(job_id: str, seconds: float) -> str:
    """Return that somebody is not warned for a while."""
    return f"Job {job_id} is left alone for {about_duration(seconds)}."


def stranger(slack_id: str) -> str:
    """Return what somebody reads whom the lab does not know."""
    return (
        "This Slack account belongs to nobody in this lab. An admin can say who you are: "
        f"labq user set NAME --slack {slack_id}"
    )


def refused(error: LabqError) -> str:
    """Return an error as a person reads it."""
    return f"{error.what}\n{error.next}" if error.next else error.what


def _jobs(count: int) -> str:
    return "job" if count == 1 else "jobs"
