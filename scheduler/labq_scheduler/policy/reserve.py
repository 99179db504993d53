"""The reservation of the first job that cannot start: a node, its GPUs and a time. Pure.

EASY backfill (Lifka, JSSPP 1995): one reservation, for the head of the queue; another job may pass it
only when that does not delay it. The reservation names concrete GPUs, so that unlike cards and
shared cards are judged right, not only counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labq.job import Job
from labq.spec import JobSpec
from labq_scheduler.policy.room import Fit, Room, held_by

#: Seconds that a job without a time limit is assumed to run, when it has not yet run longer.
#: A guess for planning only: nothing is ever killed by it. (A day: the site maximum of many labs.)
ASSUMED_RUN = 86400.0
#: Seconds from now after which a job that outlived its estimate is expected to end.
OVERRUN = 3600.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """The place that is kept for one job."""

    job: Job
    node: str
    fit: Fit
    #: seconds since the epoch at which it is expected to start
    start: float
    #: what other jobs may still hold on that node when it starts
    spare: Room
    #: False when the estimate rests on a job without a time limit
    certain: bool

    def allows(self, room: Room, spec: JobSpec, now: float) -> Fit | None:
        """Return how another job may start on a room now without delaying this one, or None."""
        if room.node.name != self.node:
            return room.fit(spec)
        fit = room.fit(spec)
        if fit is not None and spec.time is not None and now + spec.time + spec.grace <= self.start:
            return fit
        fit = room.fit(spec, avoid=frozenset(hold.uuid for hold in self.fit.gpus))
        if fit is None or not _within(fit, self.spare):
            return None
        return fit

    def started(self, fit: Fit, spec: JobSpec, now: float) -> None:
        """Note that a job was started on the reserved node."""
        if spec.time is None or now + spec.time + spec.grace > self.start:
            self.spare.take(fit)


def expected_end(job: Job, now: float) -> tuple[float, bool]:
    """Return when a holding job will have given back what it holds, and whether a limit guarantees it."""
    began = job.started_at or now
    if job.stop is not None:
        return max(now, job.stop.at + job.grace), True
    if job.spec.time is not None:
        return max(now, began + job.spec.time + job.spec.grace), True
    end = began + ASSUMED_RUN
    return (end if end > now else now + OVERRUN), False


def reserve(job: Job, rooms: Sequence[Room], holding: dict[str, list[Job]], now: float) -> Reservation | None:
    """Return the earliest place for ``job``, or None when no given node could ever hold it.

    Args:
        job: the first job that cannot start.
        rooms: present free resources of the nodes that could hold it.
        holding: by node name, the jobs that hold it.
        now: seconds since the epoch.
    """
    best: Reservation | None = None
    for room in rooms:
        future, certain = room.copy(), True
        ends = sorted(
            ((*expected_end(other, now), other) for other in holding.get(room.node.name, ())), key=_end_key
        )
        start, fit = now, future.fit(job.spec)
        for end, sure, other in ends:
            if fit is not None:
                break
            future.give_back(held_by(other))
            certain = certain and sure
            start, fit = end, future.fit(job.spec)
        if fit is None and future.outside:
            # Whoever uses GPUs outside the queue said no time limit either.
            future.free_outside()
            certain = False
            start, fit = max(start, now + ASSUMED_RUN), future.fit(job.spec)
        if fit is None or (best is not None and best.start <= start):
            continue
        spare = future.copy()
        spare.take(fit)
        best = Reservation(job, room.node.name, fit, start, spare, certain)
    return best


def _end_key(row: tuple[float, bool, Job]) -> tuple[float, int]:
    return row[0], row[2].seq


def _within(fit: Fit, spare: Room) -> bool:
    if fit.cpus > spare.cpus + 0.001 or fit.memory > spare.memory:
        return False
    return all(
        spare.gpus.get(hold.uuid, 0)
        >= (hold.memory or next(g.memory for g in spare.node.gpus if g.uuid == hold.uuid))
        for hold in fit.gpus
    )
