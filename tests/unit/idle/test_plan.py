"""When the owner of an idle job is told, and when it is ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import holding_job

from labq.job import Job
from labq_scheduler.idle.plan import Forget, IdleAction, IdleRules, Reclaim, Stage, Warn, plan_idle

NOW = 100_000.0
JOB = holding_job("1", "n1", "g0")
TOLD = IdleRules(1800.0, None)
ENDING = IdleRules(1800.0, 7200.0)  # the notice is 900 s


def plan(
    idle: float, rules: IdleRules, told: Stage | None = None, job: Job = JOB, *, kept: bool = False
) -> list[IdleAction]:
    known = {} if told is None else {job.id: told}

    def is_idle(_job: Job, seconds: float) -> bool:
        return idle >= seconds

    def has_worked(_job: Job, seconds: float) -> bool:
        return idle < seconds

    return plan_idle([job], known, {job.id} if kept else set(), is_idle, has_worked, rules, NOW)


@pytest.mark.parametrize(
    ("idle", "rules", "told", "expected"),
    [
        (1799, TOLD, None, []),
        (1800, TOLD, None, [Warn(JOB, 1, 1800.0, None)]),
        (9e9, TOLD, Stage(1, 1, NOW - 60), []),
        (1799, TOLD, Stage(1, 1, NOW - 60), [Forget(JOB)]),
        (9e9, TOLD, Stage(0, 1, NOW - 60), [Warn(JOB, 1, 1800.0, None)]),  # that was another attempt
        (1800, ENDING, None, [Warn(JOB, 1, 1800.0, None)]),
        (6299, ENDING, Stage(1, 1, NOW - 60), []),
        (6300, ENDING, Stage(1, 1, NOW - 60), [Warn(JOB, 2, 6300.0, NOW + 900)]),
        (6300, ENDING, None, [Warn(JOB, 2, 6300.0, NOW + 900)]),
        (7200, ENDING, Stage(1, 2, NOW - 899), []),
        (7199, ENDING, Stage(1, 2, NOW - 900), []),
        (7200, ENDING, Stage(1, 2, NOW - 900), [Reclaim(JOB, 7200.0)]),
        (10, ENDING, Stage(1, 2, NOW - 900), [Forget(JOB)]),
        (9e9, IdleRules(None, None), None, []),
        (6300, IdleRules(None, 7200.0), None, [Warn(JOB, 2, 6300.0, NOW + 900)]),
        (9e9, IdleRules(None, 7200.0), Stage(1, 2, NOW - 900), [Reclaim(JOB, 7200.0)]),
    ],
)
def test_it_is_told_told_when_it_will_end_and_ended_only_after_that(
    idle: float, rules: IdleRules, told: Stage | None, expected: list[IdleAction]
) -> None:
    assert plan(idle, rules, told) == expected


def test_a_server_that_has_just_started_knows_neither_and_does_nothing() -> None:
    for stage in (0, 1, 2):
        known = {JOB.id: Stage(1, stage, 0.0)}
        assert plan_idle([JOB], known, (), lambda *_: False, lambda *_: False, ENDING, NOW) == []


def test_who_is_spared_is_told_once_and_never_ended() -> None:
    interactive = replace(JOB, spec=replace(JOB.spec, interactive=True))
    exempt = replace(ENDING, exempt=frozenset({JOB.owner}))
    for job, rules in ((interactive, ENDING), (JOB, exempt)):
        (warned,) = plan(9e9, rules, None, job)
        assert isinstance(warned, Warn)
        assert (warned.stage, warned.ends_at) == (1, None)
        assert plan(9e9, rules, Stage(1, 1, 0.0), job) == []
        assert plan(9e9, rules, Stage(1, 2, 0.0), job) == []


def test_a_job_that_is_kept_is_left_alone() -> None:
    for told in (None, Stage(1, 1, 0.0), Stage(1, 2, 0.0)):
        assert plan(9e9, ENDING, told, kept=True) == []


def test_a_second_warning_of_long_ago_is_given_anew_before_the_end() -> None:
    (warned,) = plan(9e9, ENDING, Stage(1, 2, NOW - 1801))
    assert warned == Warn(JOB, 2, 6300.0, NOW + 900, again=True)
    assert plan(9e9, ENDING, Stage(1, 2, NOW - 1799)) == [Reclaim(JOB, 7200.0)]


def test_the_notice_is_at_most_a_quarter_of_the_time() -> None:
    assert IdleRules(None, 7200.0).notice == 900.0
    assert IdleRules(None, 1200.0).notice == 300.0
