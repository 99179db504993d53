"""The rows of the past: who may read which names."""

from __future__ import annotations

from dataclasses import replace

from builders import make_job

from labq.ending import EndReason
from labq.job import Attempt, Job
from labq.rules.read import read
from labq.states import JobState
from labq_scheduler.api import schemas
from labq_scheduler.policy.rules_of import rules_of
from labq_scheduler.verbs.history import rows, rules_text, seconds_run


def over(job_id: str, owner: str, name: str, *runs: tuple[float | None, float]) -> Job:
    attempts = tuple(
        Attempt(number, "n1", (), "l", begin, end, 0, EndReason.COMPLETED, "Over.")
        for number, (begin, end) in enumerate(runs, 1)
    )
    return replace(
        make_job(job_id, JobState.SUCCEEDED, name=name, gpus="24GB+"), owner=owner, attempts=attempts
    )


def test_all_runs_of_a_job_count_and_those_that_never_began_do_not() -> None:
    assert seconds_run(over("1", "ann", "x", (10.0, 40.0), (None, 50.0), (60.0, 65.0))) == 35.0


def test_names_of_others_are_alike_where_the_names_are_and_say_nothing_else() -> None:
    past = [
        over("1", "ann", "secret-plan", (0.0, 1.0)), over("2", "bob", "secret-plan", (0.0, 1.0)),
        over("3", "ann", "secret-plan", (0.0, 1.0)), over("4", "ann", "other", (0.0, 1.0)),
        over("5", "me", "mine", (0.0, 1.0)),
    ]  # fmt: skip
    told = [(row["user"], row["name"]) for row in rows(past, "me")]
    assert told == [
        ("person-1", "name-1"), ("person-2", "name-2"), ("person-1", "name-1"), ("person-1", "name-3"), ("me", "mine"),
    ]  # fmt: skip
    assert [(row["user"], row["name"]) for row in rows(past, None)] == [
        (job.owner, job.spec.name) for job in past
    ]
    assert {row["gpus"] for row in rows(past, None)} == {"24GB+"}


def test_a_row_has_just_the_keys_that_are_described() -> None:
    described = schemas.components()["PastJob"]["properties"]
    assert set(rows([over("1", "ann", "x", (0.0, 1.0))], None)[0]) == set(described)


def test_the_rules_in_force_are_told_without_remarks_and_dates() -> None:
    text = """
    [weights]
    share = 3.5  # because ann complained
    [fair-share]
    half-life = "7d"
    [groups."vision.lab"]
    members = ["ann"]
    gpus = "none"
    [[reservation]]
    name = "demo"
    nodes = ["n1"]
    for = ["@vision.lab"]
    from = 2026-12-01T00:00:00Z
    until = 2026-12-02T00:00:00Z
    """
    said = read(text)
    told = read(rules_text(said))
    assert "complained" not in rules_text(said)
    assert rules_of(said).windows
    assert rules_of(told) == replace(rules_of(said), windows=())
