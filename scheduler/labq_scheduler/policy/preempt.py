"""Who is stopped so that a job can start. Pure.

Only the job that holds the reservation has others stopped, when it
    a. has waited for long: ``Rules.bound`` or ``Rules.preempt_after``; then preemptible jobs of any class yield, or
    b. is of a better priority class than they are.
A preemptible job never has anybody stopped, so no chain of stops comes back to where it began.

Who yields, all on one node: the fewest jobs after which it fits; of these sets the cheapest, which loses the fewest
GPU-seconds done since their starts; then by their ids. Never one that has run for less than ``Rules.preempt_protect``, nor
one that was stopped ``Rules.preempt_most`` times already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

from labq.ending import EndReason
from labq.job import Job
from labq.spec import PRIORITIES
from labq.states import JobState
from labq_scheduler.policy.room import Fit, Room, held_by
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.shape import Shape

#: Sets of jobs that are tried on one node; where there are more, the most expensive are spared one after the other.
TRIES = 400


@dataclass(frozen=True, slots=True)
class Yielding:
    """Who yields, and what the job gets."""

    node: str
    jobs: tuple[Job, ...]
    fit: Fit
    #: what is free on the node besides, once they and all that is being stopped there have ended
    spare: Room
    #: when that is: seconds since the epoch
    at: float


@dataclass(frozen=True, slots=True)
class Claimant:
    """The job that others may yield to."""

    job: Job
    shape: Shape
    #: seconds that it has waited for what it needs
    waited: float

    def is_starving(self, rules: Rules) -> bool:
        """Return whether it has waited for so long that jobs of any class yield."""
        limits = [limit for limit in (rules.bound, rules.preempt_after) if limit is not None]
        return any(self.waited >= limit for limit in limits)

    def may_stop(self, other: Job, rules: Rules, now: float) -> bool:
        """Return whether another job may be stopped for it."""
        if not other.spec.preemptible or other.state is not JobState.RUNNING or other.started_at is None:
            return False
        if now - other.started_at < rules.preempt_protect or times_preempted(other) >= rules.preempt_most:
            return False
        return self.is_starving(rules) or _rank(other) > _rank(self.job)


def times_preempted(job: Job) -> int:
    """Return how often a job was stopped for others."""
    return sum(attempt.reason is EndReason.PREEMPTED for attempt in job.attempts)


def who_yields(
    claimant: Claimant,
    rooms: Mapping[str, Room],
    jobs: Mapping[str, Sequence[Job]],
    rules: Rules,
    now: float,
) -> Yielding | None:
    """Return who is to be stopped for a job, or None when stopping does not help or is not allowed.

    Args:
        claimant: the job that cannot start.
        rooms: what is free now on the nodes that could hold it and have its image.
        jobs: by node, what holds something there.
        rules: the lab's.
        now: seconds since the epoch.
    """
    if claimant.job.spec.preemptible:
        return None
    best: tuple[tuple[int, float, float, list[str], str], Yielding] | None = None
    for name in sorted(rooms):
        others = [job for job in jobs.get(name, ()) if claimant.may_stop(job, rules, now)]
        if not others:
            continue
        ending = [job for job in jobs[name] if job.stop is not None]
        after = _given_back(rooms[name], ending) if ending else rooms[name]
        at_least = _at_least(claimant.shape, after, others, now)
        if at_least is None or (best is not None and at_least > best[0][:2]):
            continue
        most = len(others) if best is None else min(len(others), best[0][0])
        chosen = _cheapest(claimant.shape, after, others, at_least[0], most, now)
        if not chosen:  # all of them are too few, or it has room there and only waits for its image
            continue
        rank = (len(chosen), *_cost(chosen, now), [job.id for job in chosen], name)
        if best is None or rank < best[0]:
            spare = _given_back(after, chosen)
            fit = spare.fit(claimant.shape)
            if fit is None:
                continue
            spare.take(fit)
            best = (rank, Yielding(name, chosen, fit, spare, _ended(chosen, ending, now)))
    return None if best is None else best[1]


def _at_least(shape: Shape, after: Room, others: Sequence[Job], now: float) -> tuple[int, float] | None:
    """Return how many must go and what is lost at the least, by counting GPUs; None = all of them are too few.

    Trying sets is slow, and most nodes cannot be better than the best so far.
    """
    lacks = 0 if shape.gpus.share else shape.gpus.count - after.whole
    frees = sorted((len(job.gpus) for job in others), reverse=True)
    size = 1
    while sum(frees[:size]) < lacks:
        size += 1
        if size > len(frees):
            return None
    return size, sum(sorted(_cost([job], now)[0] for job in others)[:size])


def _cheapest(
    shape: Shape, after: Room, others: Sequence[Job], least: int, most: int, now: float
) -> tuple[Job, ...] | None:
    """Return the fewest and cheapest of ``others`` without which a shape fits; None when more than ``most`` must go.

    Fewer than ``least`` are not tried.
    """
    if _given_back(after, others).fit(shape) is None:
        return None
    ordered = sorted(others, key=lambda job: (*_cost([job], now), job.id))
    chosen = list(ordered)
    for job in reversed(ordered):
        rest = [other for other in chosen if other is not job]
        if _given_back(after, rest).fit(shape) is not None:
            chosen = rest
    tries = 0
    for size in range(least, min(most, len(chosen)) + 1):
        tries += comb(len(ordered), size)
        if tries > TRIES:
            break
        found = [
            some for some in combinations(ordered, size) if _given_back(after, some).fit(shape) is not None
        ]
        if found:
            return min(found, key=lambda some: (*_cost(some, now), [job.id for job in some]))
    return tuple(chosen) if len(chosen) <= most else None


def _given_back(room: Room, jobs: Iterable[Job]) -> Room:
    after = room.copy()
    for job in jobs:
        after.give_back(held_by(job))
    return after


def _cost(jobs: Iterable[Job], now: float) -> tuple[float, float]:
    """Return the GPU-seconds and the seconds that are lost."""
    ran = [(len(job.gpus), now - job.started_at) for job in jobs if job.started_at is not None]
    return sum(gpus * seconds for gpus, seconds in ran), sum(seconds for _, seconds in ran)


def _ended(chosen: Iterable[Job], ending: Iterable[Job], now: float) -> float:
    soon = [job.stop.at + job.grace for job in ending if job.stop is not None]
    return max(now, *(now + job.spec.grace for job in chosen), *soon)


def _rank(job: Job) -> int:
    return PRIORITIES.index(job.spec.priority)
