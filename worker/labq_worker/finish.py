"""The end of an attempt: judged, and told to the store until the store knows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from labq import moves
from labq.clock import now
from labq.ending import EndFacts, judge
from labq.errors import NotFoundError
from labq.job import Job
from labq.states import HOLDING, JobState
from labq.store import StaleError
from labq_worker.attempts import Attempt
from labq_worker.context import Context
from labq_worker.retry import until_it_answers

log = logging.getLogger(__name__)


def tell_end(
    context: Context,
    attempt: Attempt,
    facts_of: Callable[[Job], EndFacts],
    *,
    started_at: float | None = None,
) -> bool:
    """Write the end of the attempt, however long Redis is away.

    Args:
        context: the parts.
        attempt: whose container has ended, or never ran.
        facts_of: what was seen, judged with the record as it is now (somebody may just have cancelled it).
        started_at: when the container ran its first instruction; None = it never did.

    Returns:
        False when the lease was gone: the result was dropped.
    """
    while True:
        try:
            return until_it_answers(lambda: _tell(context, attempt, facts_of, started_at), f"end {attempt}")
        except StaleError:
            continue  # it moved between our read and our write: judge again
        except NotFoundError:
            log.warning("%s has ended, but the store does not know the job any more", attempt)
            return False


def _tell(
    context: Context, attempt: Attempt, facts_of: Callable[[Job], EndFacts], started_at: float | None
) -> bool:
    job = context.store.jobs.get(attempt.job_id)
    if job.lease != attempt.lease or job.state not in HOLDING:
        log.warning("%s has ended, but its lease is gone; its result is dropped", attempt)
        return False
    if job.state is JobState.STARTING and started_at is not None:
        ran = moves.running(job, started_at, attempt.image_id)
        context.store.jobs.move(job, ran, now=now(), by=context.by)
        job = ran
    facts = facts_of(job)
    judgement = judge(facts, job.stop)
    at = now()
    # The next attempt begins with them: it may not start before the server has them.
    sending = facts.started and context.shipping.sends and context.paths.outputs(job.id, job.attempt).is_dir()
    ended = moves.ended(job, judgement, facts.exit_code, at, sending=sending)
    if attempt.image_id and ended.state is not JobState.QUEUED:
        ended = replace(ended, image_id=attempt.image_id)
    context.store.jobs.move(job, ended, now=at, by=context.by)
    log.info("%s: %s: %s", attempt, judgement.reason, judgement.verdict)
    return True
