"""Where and when a job that cannot start now could start at the earliest. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from labq.job import Job
from labq_scheduler.policy.bound import arrival
from labq_scheduler.policy.ends import Ends, latest_end
from labq_scheduler.policy.reserve import Earliest, Release, best, earliest
from labq_scheduler.policy.room import Fit, Room, held_by
from labq_scheduler.policy.runtimes import Estimator
from labq_scheduler.policy.shape import Shape


def releases(
    jobs: Iterable[Job],
    started: Iterable[tuple[Job, Fit]],
    *,
    ends: Ends,
    runtimes: Estimator,
    now: float,
    hard: bool,
) -> list[Release]:
    """Return what will be given back on one node, in order of time.

    Args:
        jobs: that hold something there.
        started: jobs that were started there in this pass, and what they got.
        ends: what is remembered of expected ends.
        runtimes: who knows how long jobs run.
        now: seconds since the epoch.
        hard: count kill limits instead of expectations; without a limit it is never.
    """
    rows = [
        Release(
            latest_end(job, now) if hard else ends.expected(job, runtimes, now), held_by(job), arrival(job)
        )
        for job in jobs
    ]
    rows += [Release(now + _lasts(job, ends, runtimes, hard), fit, arrival(job)) for job, fit in started]
    rows.sort(key=lambda release: (release.at, release.arrival))
    return rows


def plan(
    shape: Shape, rooms: Mapping[str, Room], given: Mapping[str, Sequence[Release]], *, now: float, hard: bool
) -> dict[str, Earliest] | None:  # fmt: skip
    """Return when and where a shape fits at the earliest, by node, or None when it never does.

    Args:
        shape: what is to fit.
        rooms: free now, of the nodes that may be considered.
        given: of each, what will be given back.
        now: seconds since the epoch.
        hard: the releases are certain, and only certain places are good ones.
    """
    found: list[tuple[str, Earliest]] = []
    uncertain: list[tuple[str, Earliest]] = []
    soonest = float("inf")
    for name, room in rooms.items():
        # What is given back later than the best place found so far cannot make a better one.
        rows = [release for release in given[name] if release.at <= soonest]
        at = earliest(shape, room, rows, now, hard)
        if at is None:
            continue
        if hard and not at.certain:  # nobody knows when who uses it outside the queue goes
            uncertain.append((name, at))
            continue
        found.append((name, at))
        soonest = min(soonest, at.start)
    chosen = best(found or uncertain)
    return None if chosen is None else {chosen[0]: chosen[1]}


def _lasts(job: Job, ends: Ends, runtimes: Estimator, hard: bool) -> float:
    if hard:
        return float("inf") if job.spec.time is None else job.spec.time + job.spec.grace
    return ends.fresh(job, runtimes)
