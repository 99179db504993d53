"""Jobs that may start, by class, each class in order of arrival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labq.job import Job
from labq_scheduler.snapshot import ClassKey, class_key


class Pending:
    """The classes. Not safe for threads: the board's lock is held around every call."""

    def __init__(self) -> None:
        """Begin empty."""
        self._classes: dict[ClassKey, dict[str, Job]] = {}
        #: classes whose order was disturbed. They are sorted when they are read, once for all that came: a
        #: requeued job keeps its place, and a big array that is released comes one by one.
        self._unsorted: set[ClassKey] = set()

    def clear(self) -> None:
        """Forget all."""
        self._classes.clear()
        self._unsorted.clear()

    def add(self, job: Job) -> None:
        """Add a job."""
        key = class_key(job.spec, job.image_key)
        jobs = self._classes.setdefault(key, {})
        if jobs and _order(job) < _order(jobs[next(reversed(jobs))]):
            self._unsorted.add(key)
        jobs[job.id] = job

    def remove(self, job: Job) -> ClassKey | None:
        """Remove a job if it is there; return its class when that is empty now."""
        key = class_key(job.spec, job.image_key)
        jobs = self._classes.get(key)
        if jobs is None or jobs.pop(job.id, None) is None or jobs:
            return None
        del self._classes[key]
        self._unsorted.discard(key)
        return key

    def first(self, key: ClassKey) -> str | None:
        """Return the id of the first job of a class."""
        self._sort()
        return next(iter(self._classes.get(key, {})), None)

    def oldest(self) -> float | None:
        """Return when the job that waits longest was submitted (seconds since the epoch); None = none waits."""
        heads = [next(iter(jobs.values())) for jobs in self._classes.values() if jobs]
        return min((job.submitted_at for job in heads), default=None)

    def classes(self) -> Mapping[ClassKey, Sequence[Job]]:
        """Return a copy."""
        self._sort()
        return {key: list(jobs.values()) for key, jobs in self._classes.items()}

    def _sort(self) -> None:
        for key in self._unsorted:
            self._classes[key] = {job.id: job for job in sorted(self._classes[key].values(), key=_order)}
        self._unsorted.clear()


def _order(job: Job) -> tuple[int, int]:
    return job.seq, job.index or 0
