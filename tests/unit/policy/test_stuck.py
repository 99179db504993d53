"""Jobs for which nothing that is up would do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from builders import make_job, make_node

from labq.job import Job
from labq.node import Node
from labq_scheduler.snapshot import Snapshot, class_key
from labq_scheduler.stuck import PATIENCE, find_stuck

NOW = 10_000.0


def told(jobs: list[Job], *nodes: Node) -> list[tuple[str, str]]:
    pending: dict[object, list[Job]] = {}
    for job in jobs:
        pending.setdefault(class_key(job.spec, job.image_key), []).append(job)
    seen = Snapshot(NOW, list(nodes), {}, pending, [], {}, {})  # type: ignore[arg-type]
    return [(stuck.job.id, stuck.why) for stuck in find_stuck(seen)]


def old(job_id: str, owner: str = "ann", age: float = PATIENCE, **wire: Any) -> Job:
    return replace(make_job(job_id, **wire), owner=owner, submitted_at=NOW - age)


BIG, SMALL = make_node("big", gpus=8), make_node("small", gpus=1)


def test_a_job_that_only_a_drained_machine_could_hold_is_told_with_what_would_work() -> None:
    ((job, why),) = told([old("1", gpus="4")], replace(BIG, drained="new fan"), SMALL)
    assert job == "1"
    assert why.startswith("of the machines that are up, no single node has 4 GPUs")
    assert "--gpus '1' would fit" in why


def test_a_job_that_waits_for_its_turn_or_came_just_now_is_not() -> None:
    assert told([old("1", gpus="8")], BIG, SMALL) == []
    assert told([old("1", gpus="4", age=PATIENCE - 1)], SMALL) == []


def test_each_person_is_told_of_the_first_of_equal_jobs() -> None:
    jobs = [old("1", gpus="4"), old("2", gpus="4"), old("3", "bob", gpus="4")]
    assert [job for job, _ in told(jobs, SMALL)] == ["1", "3"]


def test_where_no_machine_is_up_that_is_said() -> None:
    ((_, why),) = told([old("1")], replace(BIG, alive=False))
    assert why == "no machine is up and takes work"
