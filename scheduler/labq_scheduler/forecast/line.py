"""Who waits in a future that is thought through: the queue of a snapshot, which can be changed. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, Generic, TypeVar

from labq.job import Job
from labq_scheduler.policy.runtimes import Estimator
from labq_scheduler.snapshot import Columns, Queue, class_key, estimate_of, head_of, row_of

_HEADS = ("submitted", "since", "seq", "index")
_T = TypeVar("_T", bound=Hashable)


class Waiting:
    """The classes of a queue, each with the jobs that have not started yet.

    Run times stay as they are estimated now: what will be learnt until then, nobody knows.
    """

    def __init__(self, queue: Queue) -> None:
        """Begin with those of ``queue``, which is not changed."""
        self._queue = queue
        self._jobs = list(queue.jobs)
        #: by row: how many of its jobs have started, which are the first ones
        self._gone = [0] * len(self._jobs)
        self._row_of = {job.id: row for row, jobs in enumerate(self._jobs) for job in jobs}
        columns = queue.columns
        #: the columns that tell of the first job of each class
        self._heads = {name: list(getattr(columns, name)) for name in _HEADS}
        self._left = [len(jobs) for jobs in self._jobs]

    def copy(self) -> Waiting:
        """Return an independent copy."""
        other = object.__new__(Waiting)
        other._queue, other._row_of = self._queue, self._row_of
        other._jobs, other._gone = self._jobs.copy(), self._gone.copy()
        other._heads = {name: column.copy() for name, column in self._heads.items()}
        other._left = self._left.copy()
        return other

    def __len__(self) -> int:
        """Return the number of jobs that wait."""
        return sum(self._left)

    def set_aside(self, jobs: Iterable[Job]) -> None:
        """Let jobs, each of which is alone in its class, wait for something else than room."""
        for job in jobs:
            self._left[self._row_of[job.id]] = 0

    def release(self, job: Job) -> None:
        """Let a job that was set aside stand in line."""
        self._left[self._row_of[job.id]] = 1

    def started(self, jobs: Iterable[Job]) -> None:
        """Take jobs away: of each class the first ones."""
        rows = set()
        for job in jobs:
            row = self._row_of[job.id]
            self._gone[row] += 1
            self._left[row] -= 1
            rows.add(row)
        for row in rows:
            if self._left[row]:
                for name, value in head_of(self._jobs[row][self._gone[row]]).items():
                    self._heads[name][row] = value

    def queue(self) -> Queue:
        """Return them as a decision sees them."""
        queue = self._queue
        rows = [row for row, left in enumerate(self._left) if left]
        for row in rows:
            if self._gone[row]:
                self._jobs[row], self._gone[row] = self._jobs[row][self._gone[row] :], 0
        columns = Columns(
            **{
                item.name: _at(self._heads.get(item.name) or getattr(queue.columns, item.name), rows)
                for item in fields(Columns)
            }
        )
        return replace(
            queue, keys=[queue.keys[row] for row in rows], jobs=[self._jobs[row] for row in rows], columns=columns
        )  # fmt: skip


def with_jobs(queue: Queue, jobs: Sequence[Job], estimator: Estimator) -> Queue:
    """Return the queue with more jobs, each of which stands in a class of its own."""
    users, shapes, images = _Numbers(queue.users), _Numbers(queue.shapes), _Numbers(queue.images)
    rows: dict[str, list[Any]] = {item.name: [] for item in fields(Columns)}
    keys = [class_key(job, estimator) for job in jobs]
    for key, job in zip(keys, jobs, strict=True):
        row: dict[str, Any] = {
            "user": users.of(key.owner), "shape": shapes.of(key.shape), "image": images.of(key.image_key),
            **row_of(key), **estimate_of(key, estimator), **head_of(job),
        }  # fmt: skip
        for name, value in row.items():
            rows[name].append(value)
    old = queue.columns
    columns = Columns(**{name: [*getattr(old, name), *values] for name, values in rows.items()})
    classes = [*queue.jobs, *((job,) for job in jobs)]
    return Queue([*queue.keys, *keys], classes, users.names, shapes.names, images.names, columns)


def without(queue: Queue, job: Job) -> Queue:
    """Return the queue without a job."""
    rows = [row for row, jobs in enumerate(queue.jobs) if any(other.id == job.id for other in jobs)]
    if not rows:
        return queue
    row = rows[0]
    rest = tuple(other for other in queue.jobs[row] if other.id != job.id)
    columns = queue.columns
    if not rest:
        keep = [other for other in range(len(queue.keys)) if other != row]
        return replace(
            queue,
            keys=[queue.keys[other] for other in keep],
            jobs=[queue.jobs[other] for other in keep],
            columns=Columns(
                **{item.name: _at(getattr(columns, item.name), keep) for item in fields(Columns)}
            ),
        )
    heads: dict[str, list[Any]] = {name: list(getattr(columns, name)) for name in _HEADS}
    for name, value in head_of(rest[0]).items():
        heads[name][row] = value
    jobs_of = [rest if other == row else jobs for other, jobs in enumerate(queue.jobs)]
    return replace(queue, jobs=jobs_of, columns=replace(columns, **heads))


def _at(column: Sequence[Any], rows: Iterable[int]) -> list[Any]:
    return [column[row] for row in rows]


class _Numbers(Generic[_T]):
    """Names, and the place of each in the list."""

    def __init__(self, names: Iterable[_T]) -> None:
        self.names = list(names)
        self._places = {name: place for place, name in enumerate(self.names)}

    def of(self, name: _T) -> int:
        if name not in self._places:
            self._places[name] = len(self.names)
            self.names.append(name)
        return self._places[name]
