"""Jobs that wait for something else than room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from builders import make_job, make_snapshot

from labq.ending import EndReason
from labq.job import Job
from labq.states import JobState
from labq_scheduler.policy import why
from labq_scheduler.policy.depends import dependency_failures
from labq_scheduler.policy.why import let_go

NOW = 10_000.0


def array(count: int, **wire: Any) -> list[Job]:
    """Return tasks of one array."""
    task = make_job("5", **wire)
    return [replace(task, id=f"5.{index}", array="5", index=index) for index in range(count)]


def test_those_are_let_go_whom_nothing_but_room_holds_back() -> None:
    tasks, other = array(3, after=["1"]), make_job("6", after=["2"])
    later = replace(tasks[0], id="5.9", index=9, not_before=NOW + 60)  # a task that is tried again
    due = replace(tasks[0], id="5.10", index=10, outputs_due=1)
    held = [*tasks, other, later, due]
    states: dict[str, JobState | None] = {"1": JobState.SUCCEEDED, "2": JobState.RUNNING}
    assert let_go(held, NOW, states) == tasks
    assert let_go(held, NOW + 60, states) == [*tasks, later]
    assert let_go(held, NOW, {**states, "1": JobState.RUNNING, "2": JobState.SUCCEEDED}) == [other]


def test_of_an_array_one_task_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = why.why_held

    def counted(job: Job, now: float, states: Mapping[str, JobState | None]) -> str | None:
        asked.append(job.id)
        return real(job, now, states)

    monkeypatch.setattr(why, "why_held", counted)
    assert not let_go(array(500, after=["1"]), NOW, {"1": JobState.RUNNING})
    assert asked == ["5.0"]


def test_every_task_of_an_array_that_can_never_start_ends() -> None:
    tasks, other = array(3, after=["1"]), make_job("6", after=["any:1"])
    snapshot = make_snapshot([], [], held=[*tasks, other], dependencies={"1": JobState.FAILED})
    found = dependency_failures(snapshot)
    assert [refusal.job.id for refusal in found] == ["5.0", "5.1", "5.2"]
    assert {refusal.reason for refusal in found} == {EndReason.DEPENDENCY_FAILED}
    assert {"--after any:1" in refusal.why for refusal in found} == {True}
