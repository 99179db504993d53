"""The same jobs, come a little earlier or later, or killed at a limit: what a replay is repeated with. Pure.

One replay of one trace says as much of chance as of the policy: a job that comes a minute later can change who waits for
days. So submissions are moved a little, several times, and the mean of the replays is told (Tsafrir, Ouaknine, Feitelson,
"Reducing performance evaluation sensitivity and variability by input shaking", MASCOTS 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from labq_scheduler.simulate.traces import TraceJob

#: Seconds by which a submission is moved at most, to and fro.
JITTER = 1800.0


def shaken(trace: Sequence[TraceJob], seed: int, number: int) -> list[TraceJob]:
    """Return the jobs with submissions moved by up to half an hour, in order of submission.

    Args:
        trace: jobs as they came.
        seed: of the chance; the same seed and number give the same jobs.
        number: which of several.
    """
    chance = Random(f"{seed}/{number}")  # noqa: S311 # nobody is to be kept from guessing it
    moved = [
        replace(job, submitted=max(0.0, job.submitted + chance.uniform(-JITTER, JITTER))) for job in trace
    ]
    return sorted(moved, key=lambda job: job.submitted)


def limited(trace: Sequence[TraceJob], most: float) -> list[TraceJob]:
    """Return the jobs as a site with a maximum run time would have them: each has a limit, and none outlives it.

    Args:
        trace: jobs as they came.
        most: seconds.
    """
    return [
        replace(job, duration=min(job.duration, most), limit=min(job.limit or most, most)) for job in trace
    ]
