"""What one decision sees: frozen at ``now``. Pure.

Pending jobs are grouped by *class*: jobs of one class ask for just the same, belong to one person and are thought to run
as long, so when the first of them cannot start, none can. The cost of a decision depends on the number of classes, not of
jobs; what is compared for every class stands in columns, one row per class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from labq.image import Image
from labq.job import Job
from labq.node import Node
from labq.spec import PRIORITIES
from labq.states import JobState
from labq_scheduler.policy.bound import waiting_since
from labq_scheduler.policy.outside import OutsideUse
from labq_scheduler.policy.runtimes import Estimator, Kind, Runtimes
from labq_scheduler.policy.shape import Shape, shape_of

Floats = Sequence[float]
Ints = Sequence[int]


class ClassKey(NamedTuple):
    """What jobs of one class have in common."""

    owner: str
    #: 0 = the best priority
    rank: int
    shape: Shape
    time: float | None
    grace: float
    preemptible: bool
    image_key: str
    #: of the runs that the run time is estimated from; "" = all of the owner's with so many GPUs. What is estimated changes
    #: with every run and is alike for the whole class: a person's jobs of one kind start in the order they came
    name: str
    #: when it began to wait anew, seconds since the epoch; 0 = it waits since it came. Without it, who comes back to the head
    #: of its class would make all who stand there wait anew, and break what they were promised (policy/bound.py)
    anew: float

    @property
    def ends_by(self) -> float | None:
        """Return the seconds that bound what is estimated: the limit, and a grace that is longer than that.

        It is an hour's job that says a limit of a second and a grace of an hour.
        """
        return self.time if self.time is None or self.grace <= self.time else self.time + self.grace


def kind_of(job: Job) -> Kind:
    """Return the kind of run that a job is."""
    return Kind(job.owner, job.spec.name, job.spec.gpus.count)


def class_key(job: Job, estimator: Estimator) -> ClassKey:
    """Return the class of a job, by what its run time is estimated from now."""
    spec, since = job.spec, waiting_since(job)
    return ClassKey(
        job.owner,
        PRIORITIES.index(spec.priority),
        shape_of(spec),
        spec.time,
        spec.grace,
        spec.preemptible,
        job.image_key,
        estimator.kind(kind_of(job)).name,
        since if since > job.submitted_at else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Columns:
    """One row per class; the order of rows means nothing."""

    #: numbers in ``Queue.users``, ``Queue.shapes`` and ``Queue.images``
    user: Ints
    shape: Ints
    image: Ints
    rank: Ints
    #: of the first job: seconds since the epoch, number of its submission, index in its array
    submitted: Floats
    #: of the first job: seconds since the epoch; when it began to wait for what it needs (policy/bound.py)
    since: Floats
    seq: Ints
    index: Ints
    #: how often one GPU must be doubled to have as many as one job asks for
    doublings: Floats
    #: seconds
    typical: Floats
    safe: Floats
    #: seconds from start to the last moment of the grace; infinite without a limit
    limit: Floats


def row_of(key: ClassKey) -> dict[str, float]:
    """Return what the columns tell of a class for good."""
    limit = float("inf") if key.time is None else key.time + key.grace
    return {"rank": key.rank, "doublings": key.shape.doublings, "limit": limit}


def estimate_of(key: ClassKey, estimator: Estimator) -> dict[str, float]:
    """Return what the columns tell of the run time of a class, as it is estimated now."""
    estimate = estimator.estimate(Kind(key.owner, key.name, key.shape.gpus.count), key.ends_by)
    return {"typical": estimate.typical, "safe": estimate.safe}


def head_of(job: Job) -> dict[str, float]:
    """Return what the columns tell of the first job of a class."""
    return {
        "submitted": job.submitted_at,
        "since": waiting_since(job),
        "seq": job.seq,
        "index": job.index or 0,
    }


@dataclass(frozen=True, slots=True)
class Queue:
    """The jobs that may start now."""

    keys: Sequence[ClassKey]
    #: by row, in order of arrival
    jobs: Sequence[Sequence[Job]]
    users: Sequence[str]
    shapes: Sequence[Shape]
    #: image keys
    images: Sequence[str]
    columns: Columns
    #: ids of the jobs for which jobs that wait again were stopped
    owed: frozenset[str] = frozenset()

    @staticmethod
    def of(jobs: Iterable[Job], estimator: Estimator | None = None) -> Queue:
        """Return the queue of these jobs; they are sorted by arrival."""
        from labq_scheduler.pending import Pending

        pending = Pending(estimator or Runtimes())
        for job in sorted(jobs, key=lambda one: (one.seq, one.index or 0)):
            pending.add(job)
        return pending.frozen()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The lab at one moment."""

    now: float
    nodes: Sequence[Node]
    #: by node name, the jobs that hold something there
    holding: Mapping[str, Sequence[Job]]
    #: jobs that may start now
    queue: Queue
    #: jobs that wait for something other than resources
    held: Sequence[Job]
    #: states of the jobs and arrays that held jobs depend on; None = Redis and the records do not know it;
    #: without a key = they could not be asked
    dependencies: Mapping[str, JobState | None]
    images: Mapping[str, Image]
    #: who holds which GPU outside the queue
    outside: OutsideUse = field(default_factory=dict)
    #: person -> decayed GPU-seconds, weighted by the card
    usage: Mapping[str, float] = field(default_factory=dict)
    runtimes: Estimator = field(default_factory=Runtimes)
