"""Jobs that may start keep their order, whoever comes when."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest
from builders import make_job

from labq_scheduler import pending as module
from labq_scheduler.pending import Pending
from labq_scheduler.policy.runtimes import Runtimes


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
