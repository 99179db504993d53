"""Jobs that may start, by class, each class in order of arrival; and what is compared of every class, in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from labq.job import Job
from labq_scheduler.policy.runtimes import Estimator
from labq_scheduler.policy.shape import Shape
from labq_scheduler.snapshot import ClassKey, Columns, Queue, class_key, estimate_of, head_of, row_of

_COLUMNS = tuple(item.name for item in fields(Columns))

#: Shapes and images of which nothing waits that are kept in the list, before it is made anew.
FORGET = 256


class Pending:
    """The classes. Not safe for threads: the board's lock is held around every call.

    Run times are estimated by class, and anew whenever one of the person's runs ends. Jobs that came before keep their
    place: within a class the first is the first, whatever is thought of its run time meanwhile.
    """

    def __init__(self, estimator: Estimator) -> None:
        """Begin empty."""
        self._estimator = estimator
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._class_of: dict[str, ClassKey] = {}
        #: job -> the job for which it was stopped
        self._yielded: dict[str, str] = {}
        self._rows: dict[ClassKey, int] = {}
        #: by owner: the classes, and what their estimates rest on
        self._classes: dict[str, dict[ClassKey, None]] = {}
        self._known: dict[str, tuple[int, int]] = {}
        self._keys: list[ClassKey] = []
        self._jobs: list[dict[str, Job]] = []
        #: what was handed out of each row; None = it changed since
        self._handed: list[tuple[Job, ...] | None] = []
        #: rows whose order was disturbed. They are sorted when they are read, once for all that came: a
        #: requeued job keeps its place, and a big array that is released comes one by one.
        self._unsorted: set[ClassKey] = set()
        self._users: dict[str, int] = {}
        self._shapes: dict[Shape, int] = {}
        self._images: dict[str, int] = {}
        self._columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}

    def add(self, job: Job) -> None:
        """Add a job."""
        key = class_key(job, self._estimator)
        row = self._rows.get(key)
        if row is None:
            row = self._new_row(key)
        jobs = self._jobs[row]
        if jobs and _order(job) < _order(jobs[next(reversed(jobs))]):
            self._unsorted.add(key)
        jobs[job.id] = job
        self._class_of[job.id] = key
        if job.attempts and job.attempts[-1].yielded_to:
            self._yielded[job.id] = job.attempts[-1].yielded_to
        self._handed[row] = None
        if len(jobs) == 1:
            self._write_head(row, job)

    def remove(self, job: Job) -> None:
        """Remove a job if it is there."""
        key = self._class_of.pop(job.id, None)
        if key is None:
            return
        self._yielded.pop(job.id, None)
        row = self._rows[key]
        jobs = self._jobs[row]
        first = next(iter(jobs))
        del jobs[job.id]
        self._handed[row] = None
        if not jobs:
            self._drop_row(row)
        elif first == job.id and key not in self._unsorted:
            self._write_head(row, next(iter(jobs.values())))

    def key_of(self, job_id: str) -> ClassKey | None:
        """Return the class that a job is in."""
        return self._class_of.get(job_id)

    def first(self, key: ClassKey) -> str | None:
        """Return the id of the first job of a class."""
        self._sort()
        row = self._rows.get(key)
        return None if row is None else next(iter(self._jobs[row]))

    def oldest(self) -> float | None:
        """Return when the job that waits longest was submitted (seconds since the epoch); None = none waits."""
        self._sort()
        return min(self._columns["submitted"], default=None)

    def frozen(self) -> Queue:
        """Return them as they are now; later changes do not reach it."""
        self._estimate()
        self._sort()
        handed: list[tuple[Job, ...]] = []
        for row, jobs in enumerate(self._handed):
            found = jobs
            if found is None:
                found = self._handed[row] = tuple(self._jobs[row].values())
            handed.append(found)
        columns = Columns(**{name: column.copy() for name, column in self._columns.items()})
        return Queue(
            list(self._keys), handed, list(self._users), list(self._shapes), list(self._images), columns,
            frozenset(self._yielded.values()),
        )  # fmt: skip

    def _new_row(self, key: ClassKey) -> int:
        row = self._rows[key] = len(self._keys)
        self._keys.append(key)
        self._jobs.append({})
        self._handed.append(None)
        self._classes.setdefault(key.owner, {})[key] = None
        self._known.setdefault(key.owner, self._knows(key.owner))
        if max(len(self._shapes), len(self._images)) > 2 * row + FORGET:
            self._renumber()
        user = self._users.setdefault(key.owner, len(self._users))
        shape = self._shapes.setdefault(key.shape, len(self._shapes))
        image = self._images.setdefault(key.image_key, len(self._images))
        made: dict[str, float] = {"user": user, "shape": shape, "image": image, **row_of(key)}
        made |= estimate_of(key, self._estimator)
        for name, column in self._columns.items():
            column.append(made.get(name, 0))  # what tells of the first job is written when it is there
        return row

    def _renumber(self) -> None:
        """Forget the people, shapes and images of whom nothing waits any more."""
        self._users, self._shapes, self._images = {}, {}, {}
        for row, key in enumerate(self._keys[:-1]):
            user = self._users.setdefault(key.owner, len(self._users))
            shape = self._shapes.setdefault(key.shape, len(self._shapes))
            image = self._images.setdefault(key.image_key, len(self._images))
            for name, number in (("user", user), ("shape", shape), ("image", image)):
                self._columns[name][row] = number

    def _drop_row(self, row: int) -> None:
        """Put the last row in its place."""
        last, key = len(self._keys) - 1, self._keys[row]
        self._unsorted.discard(key)
        del self._rows[key], self._classes[key.owner][key]
        if not self._classes[key.owner]:
            del self._classes[key.owner], self._known[key.owner]
        if row != last:
            self._keys[row], self._jobs[row], self._handed[row] = (
                self._keys[last], self._jobs[last], self._handed[last],
            )  # fmt: skip
            for column in self._columns.values():
                column[row] = column[last]
            self._rows[self._keys[row]] = row
        for column in self._columns.values():
            column.pop()
        self._keys.pop()
        self._jobs.pop()
        self._handed.pop()
        if not self._keys:  # names are kept only while somebody waits
            self._users, self._shapes, self._images = {}, {}, {}

    def _knows(self, owner: str) -> tuple[int, int]:
        return self._estimator.kinds(owner), self._estimator.version(owner)

    def _estimate(self) -> None:
        """Estimate the run times anew of whom more is known than before."""
        for owner, known in list(self._known.items()):
            if (knows := self._knows(owner)) == known:
                continue
            if knows[0] != known[0]:  # some jobs are estimated by their names now
                jobs = [job for key in self._classes[owner] for job in self._jobs[self._rows[key]].values()]
                moved = [job for job in jobs if class_key(job, self._estimator) != self._class_of[job.id]]
                for job in moved:
                    self.remove(job)
                for job in moved:
                    self.add(job)
            self._known[owner] = knows
            alike: dict[tuple[str, int, float | None], dict[str, float]] = {}
            for key in self._classes[owner]:
                kind = (key.name, key.shape.gpus.count, key.ends_by)
                estimate = alike.get(kind) or alike.setdefault(kind, estimate_of(key, self._estimator))
                for name, value in estimate.items():
                    self._columns[name][self._rows[key]] = value

    def _write_head(self, row: int, job: Job) -> None:
        for name, value in head_of(job).items():
            self._columns[name][row] = value

    def _sort(self) -> None:
        for key in self._unsorted:
            row = self._rows[key]
            ordered: Sequence[Job] = sorted(self._jobs[row].values(), key=_order)
            self._jobs[row] = {job.id: job for job in ordered}
            self._write_head(row, ordered[0])
        self._unsorted.clear()


def _order(job: Job) -> tuple[int, int]:
    return job.seq, job.index or 0
