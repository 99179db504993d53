"""When those that hold something will give it back. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from labq.job import Job
from labq_scheduler.policy.runtimes import Estimator
from labq_scheduler.snapshot import kind_of


class Ends:
    """Expected ends, remembered until they prove wrong or their owner's history changes."""

    def __init__(self) -> None:
        """Begin knowing nothing."""
        #: by job: version of its owner's history, when it began, when it was asked, and what the answer was
        self._known: dict[str, tuple[int, float, float, float]] = {}

    def copy(self) -> Ends:
        """Return an independent copy."""
        other = Ends()
        other._known = dict(self._known)
        return other

    def expected(self, job: Job, runtimes: Estimator, now: float) -> float:
        """Return when a holding job is expected to have ended: seconds since the epoch, not before ``now``.

        A job that is being stopped ends with its grace at the latest; any other when its run time is over as it is
        predicted, and with its limit and grace at the latest.
        """
        if job.stop is not None:
            return max(now, job.stop.at + job.grace)
        if job.started_at is None:  # it is about to start
            return now + self.fresh(job, runtimes)
        version, began = runtimes.version(job.owner), job.started_at
        known = self._known.get(job.id)
        if known is not None and known[:2] == (version, began) and known[2] <= now < known[3]:
            return known[3]
        kind, limit = kind_of(job), job.spec.time
        safe = runtimes.estimate(kind, limit).safe
        end = began + runtimes.total(kind, limit, safe, now - began)
        if limit is not None and now >= began + limit:
            end = max(now, began + limit + job.grace)
        if limit is None or now + 1.0 < began + limit:  # in its last second the answer moves with the time
            self._known[job.id] = (version, began, now, end)
        return end

    def fresh(self, job: Job, runtimes: Estimator) -> float:
        """Return the seconds that a job which starts now is expected to hold what it gets."""
        return runtimes.estimate(kind_of(job), job.spec.time).safe

    def forget(self, count: int, jobs: Iterable[Job]) -> None:
        """Forget those that are not among ``count`` jobs, when there are many."""
        if len(self._known) > 2 * count + 64:
            holding = {job.id for job in jobs}
            self._known = {name: row for name, row in self._known.items() if name in holding}


def latest_end(job: Job, now: float) -> float:
    """Return when a holding job has ended for certain; infinite when nothing limits it."""
    if job.stop is not None:
        return max(now, job.stop.at + job.grace)
    if job.spec.time is None:
        return float("inf")
    return max(now, (job.started_at if job.started_at is not None else now) + job.spec.time + job.grace)
