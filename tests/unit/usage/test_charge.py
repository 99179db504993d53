"""The arithmetic of what is charged, by hand-computed values."""

from __future__ import annotations

from math import log

import pytest

from labq_scheduler.usage.charge import fading, spread, worth

DAY = 86_400.0


def charged(gpus: float, start: float, end: float, now: float = 0.0, half_life: float = 7 * DAY) -> float:
    return worth(gpus, start, end, now=now, half_life=half_life)


def test_a_second_now_counts_a_second() -> None:
    assert charged(1.0, -1.0, 0.0) == pytest.approx(1.0, rel=1e-5)


def test_one_half_life_up_to_now_counts_half_of_h_over_ln_2() -> None:
    # integral of 2^(-t/h) from 0 to h = h/ln2 · (1 - 1/2); h = 1000 s: 1000/0.693147 · 0.5 = 721.3475
    assert charged(1.0, -1000.0, 0.0, half_life=1000.0) == pytest.approx(721.3475, abs=1e-3)


def test_what_ended_one_half_life_ago_counts_half() -> None:
    recent = charged(2.0, -3600.0, 0.0)
    assert charged(2.0, -7 * DAY - 3600.0, -7 * DAY) == pytest.approx(recent / 2)


def test_the_worth_fades_as_the_formula_says() -> None:
    then = charged(3.0, -5000.0, -1000.0, now=0.0)
    later = charged(3.0, -5000.0, -1000.0, now=DAY)
    assert later == pytest.approx(then * fading(DAY, 7 * DAY))


def test_an_interval_is_the_sum_of_its_parts_and_of_its_gpus() -> None:
    parts = charged(1.0, -9000.0, -4000.0) + charged(1.0, -4000.0, 0.0)
    assert charged(2.5, -9000.0, 0.0) == pytest.approx(2.5 * parts)


def test_for_ever_is_worth_at_most_h_over_ln_2() -> None:
    assert charged(1.0, -1e9, 0.0, half_life=1000.0) == pytest.approx(1000.0 / log(2))


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.0), (10.0, 5.0), (100.0, 200.0)])
def test_what_is_empty_or_in_the_future_counts_nothing(start: float, end: float) -> None:
    assert charged(1.0, start, end, now=50.0) == 0.0


def test_of_what_goes_on_only_the_past_counts() -> None:
    assert charged(1.0, -100.0, 100.0) == charged(1.0, -100.0, 0.0)


def test_seconds_of_an_hour_that_is_not_over_lie_before_now() -> None:
    # 600 s of GPU within the first 600 s of an hour, asked just then: one GPU for 600 s.
    got = spread(600.0, 0.0, 3600.0, now=600.0, half_life=7 * DAY)
    assert got == pytest.approx(charged(1.0, 0.0, 600.0, now=600.0))


def test_seconds_of_an_hour_that_just_began_do_not_divide_by_nothing() -> None:
    assert spread(5.0, 3600.0, 7200.0, now=3600.0, half_life=7 * DAY) == pytest.approx(5.0, rel=1e-4)
