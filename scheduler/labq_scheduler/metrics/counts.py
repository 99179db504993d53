"""Jobs by state and person, waits, starts and ends, kept by following the board: no page walks over all jobs.

Gauges are made right again from the board now and then, since it begins anew when Redis was away and tells nobody.
Counters and the histogram begin at zero with this process, as Prometheus expects of a restart.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter

from labq.job import Job, decode
from labq.states import ACTIVE, FINAL, JobState
from labq.store import Event
from labq_scheduler.board import Board
from labq_scheduler.metrics.histogram import Histogram

log = logging.getLogger(__name__)

#: Seconds: from "at once" to the week that a large job waits in a full lab.
BUCKETS = (1, 2, 5, 15, 30, 60, 120, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400, 172_800, 604_800)
#: Seconds after which the gauges are counted anew (4 ms for 15,000 jobs).
RECOUNT = 30.0


class JobCounts:
    """Counts of one server. The board's thread writes, pages read."""

    def __init__(self, board: Board) -> None:
        """Follow ``board``."""
        self._board = board
        self._active: dict[str, tuple[JobState, str]] = {}
        self._counted = -1e18
        self._lock = threading.Lock()
        self._by_state: Counter[tuple[JobState, str]] = Counter()
        self._ends: Counter[tuple[str, str]] = Counter()
        self.waits = Histogram(BUCKETS)
        self.started = 0
        board.subscribe(self._on_event)

    def by_state(self, now: float) -> dict[tuple[JobState, str], int]:
        """Return how many jobs that are not over are in which state, for each person who has any.

        Args:
            now: any clock that does not go back, in seconds.
        """
        with self._lock:
            if now - self._counted > RECOUNT:
                self._recount()
                self._counted = now
            people = {user for _, user in self._by_state}
            return {(state, user): self._by_state[state, user] for user in people for state in ACTIVE}

    def ends(self) -> dict[tuple[str, str], int]:
        """Return how many jobs have ended since the start, by (state, reason)."""
        with self._lock:
            return dict(self._ends)

    def _recount(self) -> None:
        jobs = list(self._board.jobs.values())
        self._active = {job.id: (job.state, job.owner) for job in jobs if job.state in ACTIVE}
        self._by_state = Counter(self._active.values())

    def _on_event(self, event: Event) -> None:
        try:
            with self._lock:
                self._follow(event)
        except Exception:  # whatever it is, the board must go on
            log.exception("metrics: event %s was not counted", event.id)
            self._counted = -1e18

    def _follow(self, event: Event) -> None:
        fields = event.fields
        if event.type == "submitted":
            number, indices = fields["id"], fields["indices"]
            for job_id in [f"{number}.{index}" for index in json.loads(indices)] if indices else [number]:
                self._look(job_id)
        elif event.type == "moved":
            self._look(fields["id"])
            to = JobState(fields["to"])
            if to is JobState.STARTING:
                self.started += 1
                job = self._board.get(fields["id"])
                if job is not None:
                    self.waits.observe(max(0.0, float(fields["at"]) - queued_since(job, float(fields["at"]))))
            elif to in FINAL:
                reason = decode("end_reason", json.loads(fields["set"])["end_reason"])
                self._ends[str(to), str(reason)] += 1

    def _look(self, job_id: str) -> None:
        """Take the job's state from the board: the same whether this or a recount comes first."""
        old, job = self._active.pop(job_id, None), self._board.get(job_id)
        if old is not None:
            self._by_state[old] -= 1
            if not self._by_state[old]:
                del self._by_state[old]
        if job is not None and job.state in ACTIVE:
            self._active[job_id] = (job.state, job.owner)
            self._by_state[job.state, job.owner] += 1


def queued_since(job: Job, before: float) -> float:
    """Return since when a job that started at ``before`` had been waiting for a node (seconds since the epoch)."""
    ended = [attempt.ended_at for attempt in job.attempts if attempt.ended_at <= before]
    return max([job.submitted_at, job.spec.not_before, *ended])
