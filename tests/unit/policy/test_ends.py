"""When those that hold something are expected to give it back, and when they have for certain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import holding_job

from labq.ending import EndReason, StopRequest
from labq.job import Job
from labq.states import JobState
from labq_scheduler.policy.ends import Ends, latest_end
from labq_scheduler.policy.runtimes import Kind, Runtimes

NOW = 10_000.0


def running(since: float, **wire: str) -> Job:
    """Return a job that runs since so many seconds."""
    return holding_job("1", "n1", "n1-0", started_at=NOW - since, **{"grace": "30s", **wire})


def known(*seconds: float) -> Runtimes:
    """Return what is known when Ann's jobs ran for so long."""
    runtimes = Runtimes()
    for run in seconds:
        runtimes.add(Kind("ann", "", 1), run)
    return runtimes


def test_a_job_is_expected_to_end_when_its_safe_estimate_is_over() -> None:
    assert Ends().expected(running(100), known(500, 500, 500), NOW) == NOW - 100 + 1024


def test_its_limit_ends_it_sooner() -> None:
    assert Ends().expected(running(100, time="10m"), known(500, 500, 500), NOW) == NOW + 500


@pytest.mark.parametrize(("since", "left"), [(600, 30), (615, 15), (630, 0), (700, 0)])
def test_beyond_its_limit_it_has_its_grace_left(since: float, left: float) -> None:
    job = running(since, time="10m")
    assert Ends().expected(job, known(500), NOW) == latest_end(job, NOW) == NOW + left


def test_who_outlives_the_estimate_is_expected_anew_and_later() -> None:
    ends, runtimes, job = Ends(), known(60, 60, 60), running(0)
    first = ends.expected(job, runtimes, NOW)
    assert ends.expected(job, runtimes, first - 1) == first
    assert ends.expected(job, runtimes, first) > first


def test_who_is_being_stopped_ends_with_its_grace() -> None:
    stop = StopRequest(EndReason.PREEMPTED, "labq", NOW - 10, for_job="2")
    job = replace(running(100, time="9h"), state=JobState.STOPPING, stop=stop)
    assert Ends().expected(job, known(), NOW) == latest_end(job, NOW) == NOW + 20
    assert latest_end(job, NOW + 60) == NOW + 60


def test_only_a_limit_makes_an_end_certain() -> None:
    assert latest_end(running(100), NOW) == float("inf")
    assert latest_end(running(100, time="10m"), NOW) == NOW + 530
    starting = replace(running(0, time="10m"), state=JobState.STARTING, started_at=None)
    assert latest_end(starting, NOW) == NOW + 630
