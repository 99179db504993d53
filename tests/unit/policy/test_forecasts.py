"""The forecast of the server is made while somebody asks, and known to who asks next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import holding_job, make_job, make_node, make_snapshot
from support.waiting import wait_for

from labq.errors import UnavailableError
from labq_scheduler.forecasts import Forecasts
from labq_scheduler.policy.rules import Rules
from labq_scheduler.snapshot import Snapshot


class Source:
    """Gives snapshots, and counts them."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    def __call__(self, now: float) -> Snapshot:
        self.asked += 1
        if self.away:
            raise UnavailableError("Redis is away", "start it")
        running = [holding_job("1", "n1", "n1-0", started_at=now)]
        return make_snapshot([make_job("2", gpus="1")], [make_node(gpus=1)], now=now, running=running)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def forecasts(source: Source) -> Iterator[Forecasts]:
    found = Forecasts(source, Rules)
    found.start()
    yield found
    found.stop()


def test_nothing_is_thought_before_somebody_asks(source: Source, forecasts: Forecasts) -> None:
    assert forecasts.latest() is None  # a list does not wait
    wait_for(lambda: forecasts.latest() is not None, 10, "a forecast")
    assert source.asked == 1
    assert forecasts.latest() is not None
    assert source.asked == 1


def test_who_asks_about_one_job_waits_for_the_answer(source: Source, forecasts: Forecasts) -> None:
    outlook = forecasts.of("2", patience=20)
    assert outlook is not None
    assert outlook.node == "n1"
    assert forecasts.of("2") == outlook
    assert source.asked == 1


def test_when_the_store_is_away_nothing_is_known_and_it_goes_on_later(
    source: Source, forecasts: Forecasts
) -> None:
    source.away = True
    assert forecasts.of("2", patience=20) is None
    source.away = False
    wait_for(lambda: forecasts.of("2", patience=1) is not None, 20, "a forecast")


def test_a_forecast_that_nobody_makes_is_not_waited_for(source: Source) -> None:
    assert Forecasts(source, Rules).of("2", patience=60) is None
