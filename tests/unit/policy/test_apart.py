"""A process of its own finds what this one would find, and dies without harm."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from builders import holding_job, make_job, make_node, make_snapshot
from support.waiting import wait_for

from labq.errors import UnavailableError
from labq_scheduler.forecast.outlook import Forecast
from labq_scheduler.forecast_apart import Apart, Question, answer
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.runtimes import Kind, Runtimes
from labq_scheduler.policy.shape import shape_of
from labq_scheduler.snapshot import Snapshot

NOW = 10_000.0


def _lab(waiting: int = 40) -> Snapshot:
    runtimes = Runtimes()
    for seconds in (100.0, 900.0, 4000.0, 20_000.0):
        runtimes.add(Kind("ann", "busybox", 1), seconds)
    jobs = [make_job(str(number), gpus="1", memory=f"{1 + number % 7}GB") for number in range(2, 2 + waiting)]
    held = [make_job("900", gpus="1", after=["2"])]
    running = [holding_job("1", "n1", "n1-0", started_at=NOW - 50)]
    return make_snapshot(
        jobs, [make_node(gpus=2)], now=NOW, running=running, held=held, dependencies={}, runtimes=runtimes
    )


def test_what_is_found_apart_is_what_is_found_here() -> None:
    question = Question(_lab(), Rules(), 60.0)
    here, there = answer(question), Apart()(question)
    assert here.of("30") is not None
    for number in (*range(2, 42), 900):
        assert there.of(str(number)) == here.of(str(number))


def test_what_is_known_after_the_first_future_is_told_at_once() -> None:
    told: list[Forecast] = []
    found = Apart()(Question(_lab(), Rules(), 60.0, futures=3), told.append)
    assert len(told) == 3
    assert told[-1].of("30") == found.of("30")
    first = told[0].of("30")
    assert first is not None
    assert first.early == first.late


def test_only_what_was_asked_for_is_thought_through() -> None:
    found = Apart()(Question(_lab(), Rules(), 60.0, ("3",), 3))
    assert found.of("3") is not None
    assert found.of("30") is None


def test_a_process_that_dies_costs_one_answer() -> None:
    apart, failed = Apart(), threading.Event()

    def ask() -> None:
        with pytest.raises(UnavailableError):
            apart(Question(_lab(4000), Rules(), 60.0))
        failed.set()

    asker = threading.Thread(target=ask)
    asker.start()
    wait_for(lambda: bool(apart.running()), 10, "a process that thinks")
    os.kill(apart.running()[0], signal.SIGKILL)
    wait_for(failed.is_set, 10, "the answer that there is none")
    asker.join()
    assert apart(Question(_lab(), Rules(), 60.0)).of("3") is not None


def test_who_stops_ends_the_process_and_begins_none() -> None:
    apart = Apart()
    apart.stop()
    with pytest.raises(UnavailableError, match="stopping"):
        apart(Question(_lab(), Rules(), 60.0))


def test_the_process_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABQ_REDIS_URL", "redis://:secret@nowhere")
    assert not any(name.startswith("LABQ_") for name in Apart.environment())


def test_a_shape_that_was_sent_is_equal_to_one_that_is_made_there() -> None:
    import copy

    shape = shape_of(make_job("2", gpus="1", memory="3GB").spec)
    assert hash(copy.copy(shape)) == hash(shape)
