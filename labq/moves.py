"""The new record that each legal move makes. Pure: ``(job, facts) -> job``; the store writes it or refuses.

Lives here: one function per move, so that nobody sets a state by hand.
Must not live here: who decides, who writes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from labq.ending import EndReason, Judgement, StopRequest, after_end
from labq.job import Attempt, GpuHold, Job
from labq.node import Node
from labq.states import HOLDING, JobState, check_move


@dataclass(frozen=True, slots=True)
class Claim:
    """What a start takes of a node; the store refuses it when the node's leases leave less."""

    token: str
    node: Node
    gpus: tuple[GpuHold, ...]
    cpus: float
    memory: int
    #: bytes; 0 = the job did not say
    disk: int = 0


def starting(job: Job, claim: Claim) -> Job:
    """Return the job with a lease on a node."""
    check_move(job.id, job.state, JobState.STARTING)
    chosen = {hold.uuid for hold in claim.gpus}
    return replace(
        job,
        state=JobState.STARTING,
        attempt=job.attempt + 1,
        lease=claim.token,
        node=claim.node.name,
        gpus=claim.gpus,
        cpus=claim.cpus,
        memory=claim.memory,
        disk=claim.disk or None,
        simulated=any(gpu.simulated for gpu in claim.node.gpus if gpu.uuid in chosen),
        not_before=0.0,
        started_at=None,
        exit_code=None,
        outputs_due=None,
    )


def running(job: Job, started_at: float, image_id: str) -> Job:
    """Return the job whose container runs."""
    check_move(job.id, job.state, JobState.RUNNING)
    return replace(job, state=JobState.RUNNING, started_at=started_at, image_id=image_id)


def stopping(job: Job, stop: StopRequest) -> Job:
    """Return the job that is being stopped."""
    check_move(job.id, job.state, JobState.STOPPING)
    return replace(job, state=JobState.STOPPING, stop=stop)


def ended(job: Job, judgement: Judgement, exit_code: int | None, now: float, *, sending: bool = False) -> Job:
    """Return the job after an attempt, or after a refusal while queued: queued again, or final.

    Args:
        job: the job.
        judgement: why it is over.
        exit_code: of its container; None = there was none, or nobody saw it.
        now: seconds since the epoch.
        sending: the attempt's outputs are still to be sent to the server; the next attempt waits for them.
    """
    if job.state not in HOLDING:
        return _final(job, JobState.CANCELLED if _is_cancel(judgement) else JobState.FAILED, judgement, now)
    attempt = Attempt(
        number=job.attempt,
        node=job.node or "",
        gpus=tuple(hold.uuid for hold in job.gpus),
        lease=job.lease or "",
        started_at=job.started_at,
        ended_at=now,
        exit_code=exit_code,
        reason=judgement.reason,
        verdict=judgement.verdict,
        yielded_to=_yielded_to(job, judgement),
    )
    job = replace(job, attempts=(*job.attempts, attempt), lease=None, stop=None, exit_code=exit_code)
    after = after_end(
        judgement.reason,
        retries=job.spec.retries,
        retries_used=job.retries_used,
        free_requeues=job.free_requeues,
        now=now,
    )
    if after.state is not JobState.QUEUED:
        return _final(job, after.state, judgement, now)
    check_move(job.id, job.state, JobState.QUEUED)
    return replace(
        job,
        state=JobState.QUEUED,
        node=None,
        gpus=(),
        cpus=None,
        memory=None,
        disk=None,
        simulated=False,
        started_at=None,
        not_before=after.not_before,
        retries_used=after.retries_used,
        free_requeues=after.free_requeues,
        outputs_due=attempt.number if sending else None,
    )


def _final(job: Job, state: JobState, judgement: Judgement, now: float) -> Job:
    check_move(job.id, job.state, state)
    return replace(
        job, state=state, ended_at=now, end_reason=judgement.reason, verdict=judgement.verdict, stop=None,
        outputs_due=None,
    )  # fmt: skip


def _yielded_to(job: Job, judgement: Judgement) -> str | None:
    return job.stop.for_job if job.stop is not None and judgement.reason is EndReason.PREEMPTED else None


def _is_cancel(judgement: Judgement) -> bool:
    return judgement.reason in {EndReason.CANCELLED_BY_USER, EndReason.CANCELLED_BY_ADMIN}
