"""How long jobs run in a future that is thought through. Pure.

Nobody knows, so several futures are tried. In each a job runs as long as some part of the runs like it did: the parts are
spread evenly over the futures, and those of different people and numbers of GPUs are mixed, so that few futures show what
many dice would. Jobs of one person and number of GPUs have the same part: they are mostly the same thing run again, and if
each had dice of its own, their errors would cancel and the range be too narrow (on a public trace of 18,000 jobs it held
57 % of what came instead of 82 %). The same jobs always get the same parts: a forecast does not flicker.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable
from zlib import crc32

from labq.job import Job
from labq_scheduler.learning import TELLING
from labq_scheduler.policy.runtimes import Estimator, Kind
from labq_scheduler.snapshot import kind_of

#: The part of all runs that is likely: as many are shorter as are longer.
MIDDLE = 0.5


@runtime_checkable
class Spread(Protocol):
    """An estimator that knows more than one figure."""

    def quantile(self, kind: Kind, limit: float | None, part: float, elapsed: float = 0.0) -> float:
        """Return the seconds that a ``part`` (0 to 1) of the runs stays below that are longer than ``elapsed``."""


class Lengths:
    """Run times in one future."""

    def __init__(self, runtimes: Estimator, future: int = 0, futures: int = 1) -> None:
        """Prepare.

        Args:
            runtimes: what is known of run times; without a spread, all futures are alike.
            future: number of this one, from 0.
            futures: of all of them; of one, every job runs as long as is likely.
        """
        self._runtimes, self._future, self._futures = runtimes, future, futures
        self._spread = runtimes if isinstance(runtimes, Spread) else None

    def fresh(self, job: Job) -> float:
        """Return the seconds that a job runs which starts now."""
        return self._left(job, 0.0)

    def end(self, job: Job, now: float) -> float:
        """Return when a job ends that holds something now: seconds since the epoch, after ``now``."""
        if job.stop is not None:
            return max(now, job.stop.at + job.grace)
        began = job.started_at if job.started_at is not None else now
        limit, elapsed = job.spec.time, max(0.0, now - began)
        if limit is not None and elapsed >= limit:
            return max(now + 1.0, began + limit + job.grace)
        return max(now + 1.0, now + self._left(job, elapsed))

    def _left(self, job: Job, elapsed: float) -> float:
        """Return the seconds that a job runs on which has run for ``elapsed`` since it last started."""
        kind, limit = kind_of(job), job.spec.time
        before, again = ran_before(job)
        # Whoever goes on has more time than one limit in all: each run has its own.
        known, most = (elapsed + before, None) if not again and before else (max(elapsed, before), limit)
        if self._spread is not None:
            total = self._spread.quantile(kind, most, self._part(job), known)
        else:
            typical = self._runtimes.estimate(kind, most).typical
            total = self._runtimes.total(kind, most, typical, known)
        left = total - (elapsed if again else known)
        return left if limit is None else min(left, max(1.0, limit - elapsed))

    def _part(self, job: Job) -> float:
        if self._futures <= 1:
            return MIDDLE
        dice = crc32(f"{job.owner}/{job.spec.gpus.count}".encode()) / 2**32
        return (dice + (self._future + 0.5) / self._futures) % 1.0


def ran_before(job: Job) -> tuple[float, bool]:
    """Return the seconds that a job ran in runs that were cut short, and whether it begins again from nothing.

    It is known to take longer than that. Who said that it may be stopped is thought to go on where it was (its ``/outputs``
    are there again); any other, whose node was lost, begins again.
    """
    cut = [
        max(0.0, run.ended_at - run.started_at)
        for run in job.attempts
        if run.started_at is not None and run.reason not in TELLING
    ]
    if job.spec.preemptible:
        return sum(cut), False
    return max(cut, default=0.0), True
