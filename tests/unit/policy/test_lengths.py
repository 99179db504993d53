"""How long a job is thought to run: fresh, running, and again after it was stopped or lost its node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import holding_job, make_job, make_node, make_snapshot

from labq.ending import EndReason
from labq.job import Attempt, Job
from labq_scheduler.forecast.ahead import Now
from labq_scheduler.forecast.lengths import Lengths, ran_before
from labq_scheduler.forecast.outlook import forecast
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.runtimes import Kind, Runtimes
from labq_scheduler.simulate.estimators import Oracle

NOW = 100_000.0


def ran(job: Job, *runs: tuple[float, EndReason]) -> Job:
    """Return the job after runs of so many seconds that ended for a reason, the last of them now."""
    attempts = tuple(
        Attempt(number, "n1", (), "lease", NOW - seconds, NOW, None, reason, "", None)
        for number, (seconds, reason) in enumerate(runs, 1)
    )
    return replace(job, attempts=attempts)


def again(preemptible: bool, **wire: Any) -> Job:
    return make_job("2", gpus="1", name="a", preemptible=preemptible, **wire)


@pytest.mark.parametrize(
    ("preemptible", "reason", "left"),
    [
        (True, EndReason.PREEMPTED, 700.0),  # it goes on where it was
        (False, EndReason.NODE_LOST, 1000.0),  # it begins again
        (False, EndReason.EXIT_CODE, 1000.0),  # it ended by itself: that tells nothing of the next run
        (True, EndReason.EXIT_CODE, 1000.0),
    ],
)
def test_what_a_job_ran_already_counts_when_it_goes_on(
    preemptible: bool, reason: EndReason, left: float
) -> None:
    job = ran(again(preemptible), (300.0, reason))
    assert Lengths(Oracle({"a": 1000.0})).fresh(job) == left


def test_who_was_stopped_twice_has_run_both_times_and_who_lost_two_nodes_the_longer_one() -> None:
    runs = ((300.0, EndReason.PREEMPTED), (200.0, EndReason.PREEMPTED))
    assert ran_before(ran(again(True), *runs)) == (500.0, False)
    lost = ((300.0, EndReason.NODE_LOST), (200.0, EndReason.NODE_LOST))
    assert ran_before(ran(again(False), *lost)) == (300.0, True)


def test_a_job_that_ran_longer_than_all_like_it_is_thought_to_take_longer_still() -> None:
    known = Runtimes()
    for _ in range(10):
        known.add(Kind("ann", "a", 1), 100.0)
    fresh = Lengths(known).fresh(again(False))
    assert fresh == 100.0
    assert Lengths(known).fresh(ran(again(False), (5000.0, EndReason.NODE_LOST))) > 5000.0
    # its time limit holds for each run
    limited = ran(again(True, time="1h"), (3000.0, EndReason.PREEMPTED))
    assert 0 < Lengths(known).fresh(limited) <= 3600.0


def test_a_job_that_runs_again_ends_as_much_sooner_as_it_ran_before() -> None:
    fresh = replace(holding_job("1", "n1", "n1-0", started_at=NOW - 100, name="a", preemptible=True))
    assert Lengths(Oracle({"a": 1000.0})).end(fresh, NOW) == NOW + 900
    resumed = ran(fresh, (300.0, EndReason.PREEMPTED))
    assert Lengths(Oracle({"a": 1000.0})).end(resumed, NOW) == NOW + 600


def test_who_comes_back_keeps_his_place_and_the_forecast_knows_it() -> None:
    back = ran(again(True), (300.0, EndReason.PREEMPTED))
    later = make_job("3", gpus="1", name="a", preemptible=True)
    running = [holding_job("1", "n1", "n1-0", started_at=NOW, name="b")]
    seen = make_snapshot(
        [later, back],
        [make_node(gpus=1)],
        now=NOW,
        running=running,
        runtimes=Oracle({"a": 1000.0, "b": 50.0}),
    )
    found = forecast(Now.of(seen, Rules()))
    assert (found.likely("2"), found.likely("3")) == (NOW + 50, NOW + 750)
