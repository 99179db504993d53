"""When the owner of an idle job is told, and when it is ended. Pure.

Stages of a job whose GPUs do nothing:
    1. idle for ``warn``                              -> told
    2. idle for ``reclaim`` less the notice           -> told when it will be ended  (only where the lab reclaims)
    3. idle for ``reclaim``, and the notice has passed -> ended
It works again: back to the beginning. A warning of long ago (the server was away meanwhile) is given anew before the end.
Nobody who is exempt or whose job is interactive is ended; they are told all the same, once. A job that is kept is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from labq.job import Job

#: Seconds between the second warning and the end: at most this, and at most a quarter of ``reclaim``.
NOTICE = 900.0
#: Times the notice after which a second warning is too old to end a job by.
FRESH = 2.0


@dataclass(frozen=True, slots=True)
class IdleRules:
    """The site's rules."""

    #: seconds; None = nobody is told
    warn: float | None = 1800.0
    #: seconds; None = nothing is ended
    reclaim: float | None = None
    #: users whose jobs are never ended
    exempt: frozenset[str] = frozenset()

    @property
    def notice(self) -> float:
        """Return the seconds between the second warning and the end."""
        return min(NOTICE, (self.reclaim or 0.0) / 4)


@dataclass(frozen=True, slots=True)
class Stage:
    """How far the owner of one attempt has been told."""

    attempt: int
    #: 0, 1 or 2
    stage: int
    #: seconds since the epoch
    at: float


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell the owner."""

    job: Job
    stage: int
    #: seconds for which it has been idle, at least
    idle: float
    #: seconds since the epoch at which it will be ended; None = it will not
    ends_at: float | None
    #: the same was told before, too long ago
    again: bool = False


@dataclass(frozen=True, slots=True)
class Reclaim:
    """End the job."""

    job: Job
    idle: float


@dataclass(frozen=True, slots=True)
class Forget:
    """It works again."""

    job: Job


IdleAction = Warn | Reclaim | Forget


def plan_idle(
    jobs: Iterable[Job],
    told: Mapping[str, Stage],
    kept: Collection[str],
    is_idle: Callable[[Job, float], bool],
    has_worked: Callable[[Job, float], bool],
    rules: IdleRules,
    now: float,
) -> list[IdleAction]:
    """Return what is to be done about idle jobs.

    Args:
        jobs: running jobs with GPUs.
        told: by job id, how far its owner has been told.
        kept: ids of jobs whose owners asked to keep them for a while.
        is_idle: whether a job's GPUs did nothing for so many seconds.
        has_worked: whether they certainly did something in them; a server that has just started knows neither.
        rules: of the site.
        now: seconds since the epoch.
    """
    actions: list[IdleAction] = []
    for job in jobs:
        before = told.get(job.id)
        known = before if before is not None and before.attempt == job.attempt else Stage(job.attempt, 0, 0.0)
        if job.id in kept:
            continue
        spared = job.owner in rules.exempt or job.spec.interactive
        action = _plan_one(job, known, is_idle, has_worked, rules, now, spared=spared)
        if action is not None:
            actions.append(action)
    return actions


def _plan_one(
    job: Job,
    known: Stage,
    is_idle: Callable[[Job, float], bool],
    has_worked: Callable[[Job, float], bool],
    rules: IdleRules,
    now: float,
    *,
    spared: bool,
) -> IdleAction | None:
    warn, reclaim = rules.warn, rules.reclaim
    shortest = min((seconds for seconds in (warn, reclaim) if seconds is not None), default=None)
    if known.stage and shortest is not None and has_worked(job, shortest):
        return Forget(job)
    if reclaim is not None and not spared:
        if known.stage == 2 and now - known.at > FRESH * rules.notice:
            if is_idle(job, reclaim - rules.notice):
                return Warn(job, 2, reclaim - rules.notice, now + rules.notice, again=True)
            return None
        if known.stage == 2:
            over = now - known.at >= rules.notice and is_idle(job, reclaim)
            return Reclaim(job, reclaim) if over else None
        if is_idle(job, reclaim - rules.notice):
            return Warn(job, 2, reclaim - rules.notice, now + rules.notice)
    if known.stage == 0 and warn is not None and is_idle(job, warn):
        return Warn(job, 1, warn, None)
    return None
