"""The reservation of the first job that cannot start. Pure.

EASY backfill with concrete resources (Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995, for the idea of one
reservation): the first job that cannot start is promised GPUs, cores, memory and disk of one node, at the time when enough of
what runs there will have ended. A job behind it may start now only if that does not delay it: on another node, beside it
in what is left over at that time, or anywhere when it will have ended before. Which end counts: ``finish`` in
policy/passing.py.

Unlike Slurm's, a reservation counts GPUs by UUID, not whole nodes, so that jobs that share a GPU are judged right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from labq.job import Job
from labq_scheduler.policy.room import EPSILON, Fit, Room
from labq_scheduler.policy.shape import Shape

#: Seconds from now after which whoever uses GPUs outside the queue is assumed to have ended: nobody said anything.
ASSUMED_RUN = 86400.0


@dataclass(frozen=True, slots=True)
class Release:
    """What is given back, and when."""

    #: seconds since the epoch
    at: float
    fit: Fit
    #: of the job that gives it back: number of its submission, index in its array
    arrival: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reservation:
    """The place that is kept for one job."""

    job: Job
    #: by node; more than one only for the gangs of simulations
    parts: Mapping[str, Fit]
    #: seconds since the epoch at which it is expected to start
    start: float
    #: what other jobs may still hold on its nodes when it starts
    spare: Mapping[str, Room]
    #: False when the estimate rests on a job without a time limit
    certain: bool
    #: it has waited longer than the bound: only kill limits count for those who would pass it
    hard: bool = False
    #: its time may never come (``Earliest.guessed``): the next job for which there is a real one takes its turn
    guessed: bool = False

    @property
    def node(self) -> str:
        """Return the node; the first of a gang's."""
        return next(iter(self.parts))

    @property
    def fit(self) -> Fit:
        """Return the resources on :attr:`node`."""
        return self.parts[self.node]

    def allows(self, room: Room, shape: Shape, finish: float) -> Fit | None:
        """Return how another job may start in a room now without delaying this one, or None.

        Args:
            room: free now.
            shape: of the other job.
            finish: when it will have ended: seconds since the epoch.
        """
        mine = self.parts.get(room.node.name)
        if mine is None or finish <= self.start:
            return room.fits(shape)
        fit = room.fit(shape, avoid=frozenset(hold.uuid for hold in mine.gpus))
        if fit is None or not _within(fit, self.spare[room.node.name]):
            return None
        return fit

    def started(self, node: str, fit: Fit, finish: float) -> None:
        """Note that another job was started on a node."""
        if node in self.spare and finish > self.start:
            self.spare[node].take(fit)


@dataclass(frozen=True, slots=True)
class Earliest:
    """When a job could start on one node."""

    start: float
    fit: Fit
    #: what is free there then, besides the job
    spare: Room
    certain: bool
    #: it rests on somebody who uses GPUs outside the queue: nobody knows when they go
    guessed: bool = False


def earliest(
    shape: Shape, room: Room, releases: Sequence[Release], now: float, sure: bool
) -> Earliest | None:
    """Return when a shape fits in a room at the earliest, or None when it never does.

    Args:
        shape: what is to fit.
        room: free now.
        releases: what will be given back there, in order of time.
        now: seconds since the epoch.
        sure: whether the releases are certain.
    """
    future = room.copy()
    start, fit = now, future.fit(shape)
    certain, guessed = True, False
    for release in releases:
        if release.at == float("inf") or (fit is not None and release.at > start):
            break
        future.give_back(release.fit)
        if fit is None:
            certain, start, fit = sure, release.at, future.fit(shape)
    if fit is None and future.outside:
        # Whoever uses GPUs outside the queue said no time limit either.
        future.free_outside()
        certain, guessed = False, True
        start, fit = max(start, now + ASSUMED_RUN), future.fit(shape)
    if fit is None:
        return None
    future.take(fit)
    return Earliest(max(now, start), fit, future, certain, guessed)


def best(found: Iterable[tuple[str, Earliest]]) -> tuple[str, Earliest] | None:
    """Return the earliest place; of equal ones that with the fewest GPUs, then by name."""
    return min(
        found,
        key=lambda row: (row[1].start, len(row[1].spare.node.gpus), row[0]),
        default=None,
    )


def _within(fit: Fit, spare: Room) -> bool:
    if fit.cpus > spare.cpus + EPSILON or fit.memory > spare.memory or 0 < fit.disk > spare.disk:
        return False
    return all(spare.gpus.get(hold.uuid, 0) >= (hold.memory or spare.sizes[hold.uuid]) for hold in fit.gpus)
