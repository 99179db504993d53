"""Predictions of run times are believed as far as they proved right."""

from __future__ import annotations

import random
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labq_scheduler.policy.runtimes import Kind, Runtimes
from labq_scheduler.policy.trust import Trust


def taught(noise: float, between: float, runs: int = 2000) -> Trust:
    """Return what is learnt of predictions that spread ``between`` (of logarithms) where runs miss them by ``noise``."""
    dice, trust = random.Random(3), Trust()
    for _ in range(runs):
        predicted = dice.gauss(8.0, between)
        trust.add(exp(predicted), exp(predicted + dice.gauss(0.0, noise)))
    return trust


def test_predictions_that_prove_right_are_believed() -> None:
    trust = taught(noise=0.3, between=1.5)
    assert trust.belief == pytest.approx(1.0, abs=0.03)
    assert trust.expected(7200.0) == pytest.approx(7200.0, rel=0.1)


def test_predictions_that_say_nothing_are_not_and_all_jobs_are_expected_to_run_as_long() -> None:
    dice, trust = random.Random(3), Trust()
    for _ in range(2000):
        trust.add(exp(dice.gauss(8.0, 1.0)), exp(dice.gauss(8.0, 1.5)))
    assert trust.belief < 0.1
    assert trust.expected(100_000.0) / trust.expected(100.0) < 1.6


def test_predictions_of_which_half_is_noise_are_half_believed() -> None:
    dice, trust = random.Random(3), Trust()
    for _ in range(5000):
        true = dice.gauss(8.0, 1.0)
        trust.add(exp(true + dice.gauss(0.0, 1.0)), exp(true))
    # The slope for a predictor with an error of its own: variance of the truth / (that + variance of the error).
    assert trust.belief == pytest.approx(0.5, abs=0.08)


def test_at_first_and_where_all_predictions_were_alike_they_are_taken_as_they_are() -> None:
    trust = Trust()
    for _ in range(19):
        trust.add(60.0, 6000.0)
    assert trust.expected(500.0) == 500.0
    for _ in range(100):
        trust.add(60.0, 6000.0)
    assert trust.belief == 1.0
    assert log(trust.expected(60.0)) == pytest.approx(log(6000.0))


@given(
    st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), max_size=60),
    st.floats(10, 1e8), st.floats(1, 100),
)  # fmt: skip
def test_what_is_predicted_to_run_longer_is_never_expected_to_run_shorter(
    runs: list[tuple[float, float]], predicted: float, longer: float
) -> None:
    trust = Trust()
    for before, after in runs:
        trust.add(before, after)
    assert 0.0 <= trust.belief <= 1.0
    assert trust.expected(predicted * longer) >= trust.expected(predicted) * (1 - 1e-9)


def test_a_lab_where_run_times_are_drawn_at_random_orders_by_width_and_waiting_only() -> None:
    dice, runtimes = random.Random(5), Runtimes()
    for _ in range(3000):
        runtimes.add(Kind(f"user{dice.randrange(10)}", "", 1), exp(dice.gauss(8.0, 1.8)))
    assert runtimes.expected(65536.0) / runtimes.expected(64.0) < 8.0
    assert runtimes.frozen().expected(4096.0) == runtimes.expected(4096.0)
    runtimes.forget()
    assert runtimes.expected(4096.0) == 4096.0
