"""Looks at running jobs every few seconds and acts. Thin; for the deciding loop's thread.

What was measured lives in memory only: a server that starts anew ends nothing before it has watched for the whole time.
What people were told lives in Redis: nobody is told twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labq import moves
from labq.ending import EndReason, StopRequest
from labq.errors import LabqError, UnavailableError
from labq.job import Job
from labq.node import Node
from labq.states import JobState
from labq.store import FencedError, StaleError, Store
from labq.wire import fresh_readings
from labq_scheduler.apply import Messages
from labq_scheduler.idle.plan import Forget, IdleAction, IdleRules, Reclaim, Stage, Warn, plan_idle
from labq_scheduler.idle.windows import EVERY, Windows, is_busy

log = logging.getLogger(__name__)
#: Who ends idle jobs, for the verdict.
BY = "labq"


class IdleWatch:
    """Watches while this process leads."""

    def __init__(self, store: Store, messages: Messages, rules: IdleRules) -> None:
        """Prepare; nothing is asked."""
        self._store, self._messages, self._rules = store, messages, rules
        self._windows = Windows()
        #: by ``elapsed``: when the last look was due
        self._looked = -1e18

    def look(
        self,
        nodes: Sequence[tuple[Node, Mapping[str, Any]]],
        holders: Callable[[str], Mapping[str, Sequence[Job]]],
        *,
        now: float,
        elapsed: float,
        fence: int,
    ) -> None:
        """Look, when it is time to, and act.

        Args:
            nodes: with their readings.
            holders: the jobs that hold a node; key "" = all.
            now: seconds since the epoch.
            elapsed: seconds by a clock that is never set (``labq.clock.monotonic``): what was watched, and when it is
                time to look, is counted by it. Nobody has been idle for an hour because a clock was set.
            fence: number of the leader.

        Raises:
            FencedError: another leader has taken over.
            UnavailableError: Redis went away.
        """
        if elapsed - self._looked < EVERY or (self._rules.warn is None and self._rules.reclaim is None):
            return
        # On the average every EVERY seconds, whatever the turns of the loop take: too few samples would say nothing.
        late = elapsed - self._looked > 2 * EVERY
        self._looked = elapsed if late else self._looked + EVERY
        jobs: list[Job] = []
        for node, readings in nodes:
            fresh = fresh_readings(node, readings, now)
            for job in holders(node.name).get("", ()):
                if job.state is JobState.RUNNING and job.gpus and not job.simulated:
                    jobs.append(job)
                    busy = is_busy(job, fresh)
                    if busy is not None:
                        self._windows.note(job, busy=busy, at=elapsed)
        self._windows.keep_only({(job.id, job.attempt) for job in jobs})
        if not jobs:
            return
        told = {
            job_id: Stage(*stage) for job_id, stage in self._store.idle.told([job.id for job in jobs]).items()
        }
        kept = self._store.idle.kept([job.id for job in jobs])

        def is_idle(job: Job, seconds: float) -> bool:
            return self._windows.is_idle(job, seconds, elapsed)

        def has_worked(job: Job, seconds: float) -> bool:
            return self._windows.has_worked(job, seconds, elapsed)

        for action in plan_idle(jobs, told, kept, is_idle, has_worked, self._rules, now):
            self._safely(action, now, fence)

    def _safely(self, action: IdleAction, now: float, fence: int) -> None:
        try:
            self._apply(action, now, fence)
        except StaleError as error:
            log.info("not applied: %s", error.what)
        except (FencedError, UnavailableError):
            raise
        except LabqError as error:
            log.warning("job %s: %s", action.job.id, error.what)

    def _apply(self, action: IdleAction, now: float, fence: int) -> None:
        match action:
            case Warn(job, stage, idle, ends_at, again):
                log.info("job %s of %s has been idle for %.0f s (stage %d)", job.id, job.owner, idle, stage)
                self._store.idle.tell(job, stage, idle=idle, ends_at=ends_at, now=now, again=again)
            case Forget(job):
                self._store.idle.forget(job.id)
            case Reclaim(job, idle):
                log.warning("job %s of %s is ended: idle for %.0f s", job.id, job.owner, idle)
                new = moves.stopping(job, StopRequest(EndReason.IDLE_RECLAIMED, BY, now))
                self._store.jobs.move(job, new, now=now, by=BY, fence=fence)
                self._messages.stop(job.node or "", job.id, job.attempt, job.lease or "")
