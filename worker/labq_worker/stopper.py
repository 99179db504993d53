"""Sends the signals of a stop plan to a container until it ends."""

from __future__ import annotations

import logging

from labq import moves
from labq.clock import now
from labq.ending import EndReason, StopRequest
from labq.errors import NotFoundError, UnavailableError
from labq.job import Job
from labq.states import JobState
from labq.store import StaleError
from labq_worker.attempts import Attempt
from labq_worker.context import Context
from labq_worker.engine_errors import EngineError
from labq_worker.stop_plan import KILL_AGAIN, stop_plan

log = logging.getLogger(__name__)
#: Seconds until the store or the engine is asked again.
AGAIN = 1.0


class Stopper:
    """Stops containers: on request, at the time limit, when too much is written, when their lease is gone."""

    def __init__(self, context: Context) -> None:
        """Use the parts."""
        self._context = context

    def asked(self, attempt: Attempt) -> None:
        """Begin to stop the container when the store says that it is to stop."""
        if not attempt.started or attempt.ended.is_set():
            return  # whoever starts it finds out by itself
        try:
            job = self._context.store.jobs.get(attempt.job_id)
        except UnavailableError:
            attempt.keep(self._context.timers.after(AGAIN, lambda: self.asked(attempt)))
            return
        except NotFoundError:
            return
        except Exception:
            log.exception("%s: cannot be read; reconcile looks again", attempt)
            return
        if job.state is JobState.STOPPING and job.lease == attempt.lease and job.stop is not None:
            self.begin(attempt, job.grace, job.stop.at)

    def begin(self, attempt: Attempt, grace: float, asked_at: float) -> None:
        """Send SIGTERM, and SIGKILL after the grace; asked twice it goes on as it is."""
        with attempt.lock:
            if attempt.stopping:
                return
            attempt.stopping = True
        for step in stop_plan(grace, asked_at, now()):
            self._send_after(attempt, step.after, step.signal)

    def kill(self, attempt: Attempt) -> None:
        """Send SIGKILL at once."""
        attempt.stopping = True
        self._send_after(attempt, 0.0, "SIGKILL")

    def at_time_limit(self, attempt: Attempt, seconds: float) -> None:
        """Stop the container in so many seconds because its time is over."""
        attempt.time_armed = True
        attempt.keep(self._context.timers.after(seconds, lambda: self._time_is_over(attempt)))

    def wrote_too_much(self, attempt: Attempt) -> None:
        """Stop the container because it wrote more than its job asked for; whoever measures asks again while it runs.

        Raises:
            LabqError: the store did not take it.
        """
        job = self._context.store.jobs.get(attempt.job_id)
        if job.lease == attempt.lease and job.state is JobState.RUNNING:
            job = self._move_to_stopping(job, EndReason.DISK_LIMIT)
            self.begin(attempt, job.grace, job.stop.at if job.stop is not None else now())

    def _move_to_stopping(self, job: Job, reason: EndReason) -> Job:
        at = now()
        stopping = moves.stopping(job, StopRequest(reason, "labq", at))
        self._context.store.jobs.move(job, stopping, now=at, by=self._context.by)
        return stopping

    def _time_is_over(self, attempt: Attempt) -> None:
        if attempt.ended.is_set():
            return
        attempt.time_armed = False
        try:
            job = self._context.store.jobs.get(attempt.job_id)
            if job.lease != attempt.lease:
                return  # reconcile stops what is no longer ours
            if job.state is JobState.STARTING:
                self.at_time_limit(attempt, AGAIN)
                return
            if job.state is JobState.RUNNING:
                job = self._move_to_stopping(job, EndReason.TIME_LIMIT)
            if job.stop is not None:
                self.begin(attempt, job.grace, job.stop.at)
        except (UnavailableError, StaleError):
            self.at_time_limit(attempt, AGAIN)
        except NotFoundError:
            return
        except Exception:
            # Whatever Redis has against it today: a time limit is not forgotten.
            log.exception("%s: its time is over, but it could not be stopped; trying again", attempt)
            self.at_time_limit(attempt, AGAIN)

    def _send_after(self, attempt: Attempt, seconds: float, name: str) -> None:
        attempt.keep(self._context.timers.after(seconds, lambda: self._send(attempt, name)))

    def _send(self, attempt: Attempt, name: str) -> None:
        if attempt.ended.is_set():
            return
        try:
            arrived = attempt.send(name, lambda: self._context.engine.signal(attempt.container, name))
        except Exception as error:
            if not isinstance(error, EngineError):
                log.exception("%s: a fault of labq's own", attempt)
            log.warning("%s: %s could not be sent, trying again: %s", attempt, name, error)
            self._send_after(attempt, AGAIN, name)
            return
        log.info("%s: %s %s", attempt, name, "sent" if arrived else "came after its end")
        if arrived and name == "SIGKILL":
            self._send_after(attempt, KILL_AGAIN, name)
