"""How much of the last minutes a job used its GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from builders import holding_job

from labq_scheduler.idle.windows import EVERY, Windows, is_busy

JOB = holding_job("1", "n1", "g0", "g1")
HOUR = 3600.0


def windows(seconds: float, *, busy_every: int = 0, gap: tuple[float, float] = (0, 0)) -> Windows:
    """Samples from 0 to ``seconds``; every ``busy_every``-th is busy; none between the times of ``gap``."""
    made = Windows()
    for number in range(int(seconds / EVERY)):
        at = number * EVERY
        if not gap[0] <= at < gap[1]:
            made.note(JOB, busy=bool(busy_every and number % busy_every == 0), at=at)
    return made


@pytest.mark.parametrize(
    ("busy_every", "idle"), [(0, True), (100, True), (21, True), (19, False), (2, False), (1, False)]
)
def test_a_stray_kernel_is_no_work_and_one_sample_in_nineteen_is(busy_every: int, idle: bool) -> None:
    assert windows(2 * HOUR, busy_every=busy_every).is_idle(JOB, HOUR, 2 * HOUR) is idle


def test_what_was_not_watched_is_not_idle() -> None:
    assert not windows(HOUR / 2).is_idle(JOB, HOUR, HOUR / 2)
    assert not Windows().is_idle(JOB, 60.0, HOUR)
    # The driver hung, or the node was silent, for a third of the window.
    assert not windows(2 * HOUR, gap=(1.2 * HOUR, 1.6 * HOUR)).is_idle(JOB, HOUR, 2 * HOUR)
    assert windows(2 * HOUR, gap=(1.2 * HOUR, 1.3 * HOUR)).is_idle(JOB, HOUR, 2 * HOUR)


def test_work_before_the_window_does_not_count_and_another_attempt_begins_anew() -> None:
    made = windows(2 * HOUR)
    for number in range(100):
        made.note(JOB, busy=True, at=2 * HOUR + number * EVERY)
    end = 2 * HOUR + 500
    assert not made.is_idle(JOB, HOUR, end)
    for number in range(int(2 * HOUR / EVERY)):
        made.note(JOB, busy=False, at=end + number * EVERY)
    assert made.is_idle(JOB, HOUR, end + 2 * HOUR)
    assert not made.is_idle(replace(JOB, attempt=2), HOUR, end + 2 * HOUR)
    made.keep_only({(JOB.id, 2)})
    assert not made.is_idle(JOB, HOUR, end + 2 * HOUR)


def said(*holders: Mapping[str, object]) -> dict[str, object]:
    return {"state": "busy", "memory_used": 1, "holders": list(holders)}


MINE, MINE_BUSY = {"user": "ann", "job": "1"}, {"user": "ann", "job": "1", "busy": True}
OTHER = {"user": "bob", "busy": True}
UNKNOWN_BUSY, OWNER_BUSY = {"user": "unknown", "busy": True}, {"user": "ann", "busy": True}


@pytest.mark.parametrize(
    ("gpus", "busy"),
    [
        ({"g0": said(MINE), "g1": said(MINE)}, False),
        ({"g0": said(MINE), "g1": said(MINE_BUSY)}, True),
        ({"g0": said(MINE, OTHER), "g1": said(MINE)}, False),
        ({"g0": said(), "g1": said()}, False),
        ({"g0": said(MINE, UNKNOWN_BUSY), "g1": said(MINE)}, None),
        ({"g0": said(MINE, OWNER_BUSY), "g1": said(MINE)}, None),
        ({"g0": said(MINE_BUSY)}, None),
        ({"g0": {"state": "lost", "holders": [MINE]}, "g1": said(MINE)}, None),
        ({}, None),
    ],
)
def test_a_job_is_busy_when_one_of_its_gpus_works_for_it(gpus: dict[str, object], busy: bool | None) -> None:
    assert is_busy(JOB, {"gpus": gpus}) is busy


def test_not_to_know_is_neither_idleness_nor_work() -> None:
    assert not Windows().has_worked(JOB, 600.0, HOUR)
    assert not windows(2 * HOUR).has_worked(JOB, 600.0, 2 * HOUR)
    assert windows(2 * HOUR, busy_every=10).has_worked(JOB, 600.0, 2 * HOUR)


def test_a_job_that_has_not_run_for_so_long_has_not_been_idle_for_so_long() -> None:
    for minutes in range(1, 59):
        assert not windows(minutes * 60.0).is_idle(JOB, HOUR, minutes * 60.0)
    assert windows(HOUR + 60).is_idle(JOB, HOUR, HOUR + 60)
