"""Jobs that may start keep their order, whoever comes when."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest
from builders import make_job

from labq_scheduler import pending as module
from labq_scheduler.pending import Pending
from labq_scheduler.policy.runtimes import Kind, Runtimes


def test_a_released_array_is_sorted_once_and_not_for_each_task(monkeypatch: pytest.MonkeyPatch) -> None:
    order = Mock(wraps=module._order)
    monkeypatch.setattr(module, "_order", order)
    pending = Pending(Runtimes())
    pending.add(make_job("9000"))
    for index in range(2000):
        pending.add(replace(make_job("5"), id=f"5.{index}", array="5", index=index))
    (jobs,) = pending.frozen().jobs
    assert [job.id for job in jobs] == [*(f"5.{index}" for index in range(2000)), "9000"]
    assert order.call_count < 10_000


def test_a_class_without_jobs_is_gone() -> None:
    pending = Pending(Runtimes())
    job, other = make_job("1"), make_job("2", gpus="1")
    pending.add(job)
    pending.add(other)
    key = pending.key_of("1")
    assert key is not None
    pending.remove(job)
    assert pending.first(key) is None
    assert pending.key_of("1") is None
    pending.remove(job)
    assert [job.id for jobs in pending.frozen().jobs for job in jobs] == ["2"]


def test_jobs_of_one_kind_keep_their_order_whatever_is_learnt_while_they_wait() -> None:
    runtimes = Runtimes()
    pending = Pending(runtimes)
    pending.add(make_job("1", name="train"))
    runtimes.add(
        Kind("ann", "train", 0), 64.0
    )  # it ran in a minute: had 2 come with that, it would go before 1
    pending.add(make_job("2", name="train"))
    queue = pending.frozen()
    assert [[job.id for job in jobs] for jobs in queue.jobs] == [["1", "2"]]
    assert queue.columns.typical == [64.0]


def test_who_waits_is_estimated_anew_when_one_of_their_runs_ends_and_nobody_else() -> None:
    runtimes = Runtimes()
    pending = Pending(runtimes)
    runtimes.add(Kind("bob", "", 0), 256.0)
    for number, owner in enumerate(("ann", "bob"), 1):
        pending.add(replace(make_job(str(number)), owner=owner))
    runtimes.add(Kind("ann", "", 0), 4096.0)
    queue = pending.frozen()
    assert [key.owner for key in queue.keys] == ["ann", "bob"]
    assert queue.columns.typical == [4096.0, 256.0]


def test_a_name_tells_jobs_apart_when_it_has_run_three_times_and_no_more_when_it_is_forgotten() -> None:
    runtimes = Runtimes()
    pending = Pending(runtimes)
    for number, name in enumerate(("train", "eval", "train"), 1):
        pending.add(make_job(str(number), name=name))
    assert [len(jobs) for jobs in pending.frozen().jobs] == [3]
    for seconds in (8192.0, 64.0, 64.0, 64.0):
        runtimes.add(Kind("ann", "train" if seconds > 100 else "eval", 0), seconds)
    queue = pending.frozen()
    by_name = {key.name: ([job.id for job in jobs], typical) for key, jobs, typical in zip(queue.keys, queue.jobs, queue.columns.typical, strict=True)}  # fmt: skip
    assert by_name == {"": (["1", "3"], 256.0), "eval": (["2"], 64.0)}
    assert pending.key_of("2") in queue.keys
    runtimes.forget()
    assert [len(jobs) for jobs in pending.frozen().jobs] == [3]
    assert [job.id for job in pending.frozen().jobs[0]] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("time", "grace", "seconds"), [("1s", "1h", 3601.0), ("1h", "30s", 3600.0), ("90s", "2m", 210.0)]
)
def test_a_grace_that_is_longer_than_the_limit_makes_no_short_job(
    time: str, grace: str, seconds: float
) -> None:
    pending = Pending(Runtimes())
    pending.add(make_job("1", time=time, grace=grace))
    columns = pending.frozen().columns
    assert (columns.typical, columns.safe) == ([seconds], [seconds])
