"""Jobs for which nothing that is up would do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from builders import make_job, make_node, make_snapshot

from labq.job import Job
from labq.node import Node
from labq_scheduler.stuck import PATIENCE, find_stuck, lacks

NOW = 10_000.0


def told(
    jobs: list[Job], *nodes: Node, lacking_for: float = PATIENCE, watched_for: float = PATIENCE
) -> list[tuple[str, str]]:
    seen = make_snapshot(jobs, nodes, now=NOW)
    lacking = lacks(seen)
    since = dict.fromkeys(lacking, NOW - lacking_for)
    return [(stuck.job.id, stuck.why) for stuck in find_stuck(seen, lacking, since, NOW - watched_for)]


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


def test_an_old_job_is_not_told_of_a_machine_that_has_just_begun_to_reboot() -> None:
    waiting = [old("1", age=86_400.0)]
    away = replace(BIG, alive=False)
    assert told(waiting, away, lacking_for=PATIENCE - 1) == []
    assert told(waiting, away, lacking_for=PATIENCE) != []


def test_a_server_that_could_hear_nobody_until_just_now_knows_of_nobody_who_is_away() -> None:
    waiting = [old("1", age=86_400.0)]
    assert told(waiting, replace(BIG, alive=False), lacking_for=3600.0, watched_for=PATIENCE - 1) == []


def test_each_person_is_told_of_the_first_of_equal_jobs() -> None:
    jobs = [old("1", gpus="4"), old("2", gpus="4"), old("3", "bob", gpus="4")]
    assert [job for job, _ in told(jobs, SMALL)] == ["1", "3"]


def test_where_no_machine_is_up_that_is_said() -> None:
    ((_, why),) = told([old("1")], replace(BIG, alive=False))
    assert why == "no machine is up and takes work"
