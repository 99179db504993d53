"""Reconcile: brings what runs on this node in line with its leases, at the start and every few seconds."""

from __future__ import annotations

import logging

from labq import wire
from labq.clock import now
from labq.errors import BadInputError, LabqError
from labq.ids import check_job_id
from labq.states import JobState
from labq_worker.containers import Seen
from labq_worker.context import Context
from labq_worker.engine_errors import EngineError, NoSuchContainerError
from labq_worker.logs import AttemptLog
from labq_worker.reconcile import Action, Adopt, Discard, Fence, Found, Recover, Working, plan_reconcile
from labq_worker.runner import Runner

log = logging.getLogger(__name__)
#: The job of a container whose label names none: ids begin with 1.
NO_JOB = "0"


class Reconciler:
    """Plans and applies. For one thread at a time (the caller holds a lock)."""

    def __init__(self, context: Context, runner: Runner) -> None:
        """Use the parts."""
        self._context = context
        self._runner = runner
        self._suspects: frozenset[str] = frozenset()

    def run(self, *, sure: bool = False) -> None:
        """Look once and do what is to be done.

        Raises:
            UnavailableError: Redis does not answer; nothing was done.
            EngineAwayError: the engine does not answer.
        """
        context = self._context
        # In this order: what is in work may only grow by what the leases show, the leases only by what is not listed.
        containers = context.engine.find({wire.LABEL_NODE: context.config.name})
        leases = context.store.jobs.leases(context.config.name)
        working = [Working(a.lease, a.container, a.closing) for a in context.attempts.all()]
        found = [_found(seen, context.host.agent) for seen in containers]
        actions, self._suspects = plan_reconcile(found, leases, working, self._suspects, sure=sure)
        for action in actions:
            self._safely(action)
        self._stop_what_is_to_stop()

    def _safely(self, action: Action) -> None:
        """Do one thing; what fails is planned again in a few seconds and keeps nobody else waiting."""
        try:
            self._apply(action)
        except (EngineError, LabqError, OSError) as error:
            log.warning("%s: %s", action, error)
        except Exception:
            log.exception("%s: a fault of labq's own", action)

    def _stop_what_is_to_stop(self) -> None:
        """Do what a stop message asked for that was lost, and watch over time limits that nobody watches."""
        idle = {attempt.job_id: attempt for attempt in self._context.attempts.all() if not attempt.stopping}
        for job in self._context.store.jobs.get_many(idle):
            attempt = idle[job.id]
            if job.lease != attempt.lease:
                continue
            unwatched = attempt.started and not attempt.time_armed
            if job.state is JobState.STOPPING:
                self._runner.stopper.asked(attempt)
            elif job.state is JobState.RUNNING and job.started_at is not None and unwatched:
                self._runner.limit_time(attempt, job, job.started_at)

    def _apply(self, action: Action) -> None:
        match action:
            case Adopt(found):
                self._runner.adopt(found.job, found.attempt, found.lease, found.id)
            case Recover(lease, job):
                log.info("job %s: a lease without a container; looking after it", job)
                self._runner.start(job, 0, lease)
            case Fence(lease):
                attempt = self._context.attempts.get(lease)
                if attempt is not None and not attempt.closing:
                    log.warning("%s: its lease has gone; it is stopped", attempt)
                    attempt.fenced = True
                    if attempt.started:
                        self._runner.stopper.kill(attempt)
            case Discard(found):
                log.warning("container %s of job %s has no lease: removed", found.id[:12], found.job)
                self._discard(found)

    def _discard(self, found: Found) -> None:
        """Stop and remove a container; keep what it wrote.

        Log, outputs and scratch are left alone when the attempt that its labels name is in work: it is not its
        container, whatever the labels say.
        """
        context = self._context
        foreign = found.job == NO_JOB or any(
            (other.job_id, other.number) == (found.job, found.attempt) for other in context.attempts.all()
        )
        try:
            if found.status in {"running", "paused"}:
                context.engine.signal(found.id, "SIGKILL")
                context.engine.wait(found.id, 10.0)
            if found.status != "created" and not foreign:
                path = context.paths.log(found.job, found.attempt)
                kept = AttemptLog(path, now, lambda: context.shipping.grew(path))
                try:
                    kept.follow_engine(context.engine.log(found.id, follow=False))
                finally:
                    kept.close()
                context.shipping.finish_log(path)
                context.shipping.outputs(found.job, found.attempt)
        except NoSuchContainerError:
            log.info("container %s had gone already", found.id[:12])
        context.engine.remove(found.id)
        if not foreign:
            context.places.remove_scratch(found.job, found.attempt)


def _found(seen: Seen, agent: str) -> Found:
    labels = seen.labels
    number = labels.get(wire.LABEL_ATTEMPT, "")
    try:
        # Labels become paths: whoever may start containers may write any label.
        job = check_job_id(labels.get(wire.LABEL_JOB, ""))
    except BadInputError:
        job = NO_JOB
    return Found(
        id=seen.id,
        lease=labels.get(wire.LABEL_LEASE, ""),
        job=job,
        attempt=int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 0,
        status=seen.status,
        ours=labels.get(wire.LABEL_AGENT) == agent,
    )
