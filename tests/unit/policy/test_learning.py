"""Which runs tell how long jobs run, each counted once, in order; and what is handed out does not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from builders import make_job
from support.waiting import wait_for

from labq.ending import EndReason
from labq.errors import UnavailableError
from labq.job import Attempt, Job
from labq_scheduler import learning as module
from labq_scheduler.learning import TELLING, Learning, PastRun
from labq_scheduler.policy import runtimes as runtimes_module
from labq_scheduler.policy.runtimes import UNKNOWN, Kind, Runtimes

KIND = Kind("ann", "train", 1)


def ran(job_id: str, *runs: tuple[float, EndReason], began: float | None = 1000.0) -> Job:
    """Return a job whose runs lasted so many seconds."""
    attempts = tuple(
        Attempt(n, "n1", (), "l", began, (began or 0.0) + seconds, 0, reason, "x")
        for n, (seconds, reason) in enumerate(runs, 1)
    )
    return replace(make_job(job_id, gpus="1", name="train"), attempts=attempts)


def past(number: int, seconds: float, ended_at: float) -> PastRun:
    return PastRun(ended_at, (str(number), 1000.0 + number, 1), KIND, seconds)


def learnt(*jobs: Job) -> Runtimes:
    learning = Learning(None)
    for job in jobs:
        learning.note(job)
    learning.fold()
    return learning.runtimes


@pytest.mark.parametrize("reason", EndReason)
def test_only_what_ended_by_itself_or_by_its_owner_tells_how_long_jobs_run(reason: EndReason) -> None:
    lost = {
        "preempted", "node_lost", "gpu_lost", "container_lost", "start_failed", "start_rejected", "image_build_failed",
        "image_not_found", "dependency_failed", "command_not_found", "impossible",
    }  # fmt: skip
    runs = learnt(ran("1", (4096.0, reason))).estimate(KIND, None).runs
    assert runs == (0 if str(reason) in lost else 1)


def test_a_start_without_a_container_is_no_run() -> None:
    assert learnt(ran("1", (60.0, EndReason.COMPLETED), began=None)).estimate(KIND, None).runs == 0


def test_each_run_is_counted_once_however_often_it_is_seen() -> None:
    job = ran("1", (4096.0, EndReason.EXIT_CODE), (4096.0, EndReason.COMPLETED))
    learning = Learning(lambda most, reasons: [])
    for _ in range(3):
        learning.note(job)
        learning.fold()
    assert learning.runtimes.estimate(KIND, None).runs == 2
    learning._past = [PastRun(5096.0, ("1", job.submitted_at, 1), KIND, 4096.0)]
    learning.fold()
    assert learning.runtimes.estimate(KIND, None).runs == 2


def test_the_newest_runs_count_whoever_told_of_them_first() -> None:
    learning = Learning(lambda most, reasons: [])
    for number in range(10):  # long ones, of today
        learning.note(replace(ran(str(number), (65536.0, EndReason.COMPLETED)), owner="ann"))
    learning.fold()
    learning._past = [past(100 + n, 64.0, 500.0) for n in range(40)]  # many short ones, of long ago
    learning.fold()
    assert learning.runtimes.estimate(KIND, None).safe >= 65536.0
    assert learning.runtimes.estimate(KIND, None).runs == 50


def test_records_that_do_not_answer_are_asked_again_and_nobody_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.01)
    asked: list[int] = []

    def ask(most: int, reasons: frozenset[EndReason]) -> Sequence[PastRun]:
        asked.append(most)
        assert reasons == TELLING
        if len(asked) < 3:
            raise UnavailableError("the records do not answer")
        return [past(1, 2048.0, 1.0)]

    learning = Learning(ask)
    learning.start()
    learning.wait(10.0)

    def runs() -> int:
        learning.fold()
        return learning.runtimes.estimate(KIND, None).runs

    wait_for(runs, 10, "the records to be read")
    assert len(asked) == 3
    assert learning.runtimes.estimate(KIND, None).runs == 1
    learning.stop()


def test_what_was_handed_out_does_not_change_and_is_made_anew_only_for_news() -> None:
    runtimes = Runtimes()
    runtimes.add(KIND, 1024.0)
    before = runtimes.frozen()
    assert runtimes.frozen() is before
    answers = before.estimate(KIND, None), before.version("ann"), before.total(KIND, None, 10.0, 50.0)
    for _ in range(60):
        runtimes.add(KIND, 90_000.0)
    assert (
        before.estimate(KIND, None),
        before.version("ann"),
        before.total(KIND, None, 10.0, 50.0),
    ) == answers
    assert runtimes.frozen().estimate(KIND, None) != answers[0]


def test_names_that_were_not_used_for_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes_module, "KEEP_KINDS", 3)
    runtimes = Runtimes()
    for name in ("a", "b", "c", "a", "d"):
        for _ in range(3):
            runtimes.add(Kind("ann", name, 1), 1024.0)
    sources = {name: runtimes.estimate(Kind("ann", name, 1), None).source for name in "abcd"}
    assert sources == {"a": "name", "b": "gpus", "c": "name", "d": "name"}


def test_who_never_ran_anything_is_estimated_anew_when_others_run() -> None:
    runtimes = Runtimes()
    first = runtimes.version("new"), runtimes.estimate(Kind("new", "", 1), None).safe
    assert first[1] == UNKNOWN
    runtimes.add(KIND, 64.0)
    assert runtimes.estimate(Kind("new", "", 1), None).safe != first[1]
    assert runtimes.version("new") != first[0]
