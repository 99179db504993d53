"""A lab's weeks made up from a seed: the same everywhere, like no lab in particular."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from labq_scheduler.simulate.measures import HOUR
from labq_scheduler.simulate.replay import Ran
from labq_scheduler.simulate.traces import TraceJob


def workload(
    seed: int, jobs: int = 300, *, sizes: Sequence[int] = (1, 1, 1, 1, 2, 4), every: float = 600.0
) -> list[TraceJob]:
    """Returns jobs of five people, with run times from seconds to days, one every ``every`` seconds or so."""
    chance, now, found = Random(seed), 0.0, []
    for number in range(jobs):
        now += chance.expovariate(1 / every)
        seconds = float(max(1, round(chance.lognormvariate(7.5, 1.5))))
        found.append(TraceJob(f"j{number}", chance.choice("abcde"), now, seconds, chance.choice(sizes)))
    return found


def ran(
    user: str, submitted: float, start: float, hours: float, gpus: int = 1, *, held: float | None = None
) -> Ran:
    """Returns a job that came, started and ran, all in hours."""
    job = TraceJob("1", user, submitted * HOUR, hours * HOUR, gpus)
    return Ran(job, start * HOUR, (start + hours) * HOUR, ("n",), held)
