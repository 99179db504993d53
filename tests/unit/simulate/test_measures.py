"""Measures against examples that were worked out by hand."""

from __future__ import annotations

import pytest
from unit.simulate.workload import ran

from labq_scheduler.simulate.measures import Measures, fair_share_deficits, max_min, measure, score


def test_waits_slowdown_and_use() -> None:
    # 4 GPUs: a holds 4 for 2 h; b comes at 0, starts at 2, runs 1 h on 2; c comes at 1, starts at 2, runs 4 h on 1.
    found = measure([ran("a", 0, 0, 2, 4), ran("b", 0, 2, 1, 2), ran("c", 1, 2, 4, 1)], 4)
    assert found.wait_mean == pytest.approx(1.0)
    assert (found.wait_median, found.wait_p99, found.wait_max, found.wait_wide) == (1.0, 2.0, 2.0, 0.0)
    assert found.slowdown == pytest.approx((1 + 3 + 5 / 4) / 3)
    assert found.utilisation == pytest.approx((8 + 2 + 4) / (4 * 6))
    assert found.makespan_days == pytest.approx(0.25)
    assert found.worst_user == 0.0  # nobody has 20 jobs


def test_short_runs_count_as_ten_seconds_in_the_slowdown_and_none_is_below_one() -> None:
    second = 1 / 3600
    assert measure([ran("a", 0, 100 * second, second)], 1).slowdown == pytest.approx(10.1)
    assert measure([ran("a", 0, 0, second)], 1).slowdown == 1.0


def test_the_ninety_ninth_percentile_is_the_value_that_99_in_100_do_not_exceed() -> None:
    rows = [ran("a", 0, number, 1) for number in range(1, 201)]
    assert measure(rows, 1).wait_p99 == pytest.approx(198.0)
    assert measure(rows[:100], 1).wait_p99 == pytest.approx(99.0)
    assert measure(rows[:10], 1).wait_p99 == pytest.approx(10.0)


def test_wide_jobs_are_those_with_eight_gpus_or_more() -> None:
    rows = [ran("a", 0, 6, 1, 8), ran("a", 0, 2, 1, 16), ran("a", 0, 1, 1, 7)]
    assert measure(rows, 16).wait_wide == pytest.approx(4.0)


def test_the_worst_person_is_the_mean_of_who_has_twenty_jobs() -> None:
    rows = [ran("a", 0, 2, 1) for _ in range(20)] + [ran("b", 0, 1, 1) for _ in range(30)]
    assert measure([*rows, ran("c", 0, 50, 1)], 1).worst_user == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("wanted", "gpus", "given"),
    [
        ({"a": 2, "b": 8, "c": 8}, 12, {"a": 2.0, "b": 5.0, "c": 5.0}),
        ({"a": 1, "b": 3}, 10, {"a": 1.0, "b": 3.0}),
        ({"a": 5, "b": 5}, 4, {"a": 2.0, "b": 2.0}),
        ({"a": 1, "b": 2, "c": 9}, 8, {"a": 1.0, "b": 2.0, "c": 5.0}),
        ({}, 4, {}),
    ],
)
def test_the_max_min_division(wanted: dict[str, float], gpus: int, given: dict[str, float]) -> None:
    assert max_min(wanted, gpus) == given


def test_a_deficit_is_the_part_of_the_fair_share_that_somebody_lacked() -> None:
    # 4 GPUs. a holds all for 4 h; b wants 4 from hour 2: is entitled to 2 for 2 h and has none; then has 4 for 2 h.
    rows = [ran("a", 0, 0, 4, 4), ran("b", 2, 4, 2, 4)]
    deficits, total = fair_share_deficits(rows, 4)
    # b: entitled 2·2 + 4·2 = 12, lacked 4. a: entitled 4·2 + 2·2 = 12, lacked 0.
    assert deficits == {"a": 0.0, "b": pytest.approx(4 / 12)}
    assert total == pytest.approx(4 / 24)
    assert measure(rows, 4).deficit == 0.0  # who has few jobs does not count there


def test_who_was_entitled_to_less_than_a_hundredth_does_not_count() -> None:
    assert set(fair_share_deficits([ran("a", 0, 0, 99, 1), ran("b", 0, 0, 1, 1)], 2)[0]) == {"a", "b"}
    assert set(fair_share_deficits([ran("a", 0, 0, 100, 1), ran("b", 0, 0, 1, 1)], 2)[0]) == {"a"}


def test_a_share_counts_as_its_part() -> None:
    rows = [ran("a", 0, 0, 2, 1, held=0.25), ran("b", 0, 0, 2, 1)]
    assert measure(rows, 2).utilisation == pytest.approx(1.25 / 2)
    assert fair_share_deficits(rows, 2)[1] == 0.0


def whole(value: float) -> Measures:
    return Measures(*(value for _ in range(11)))


def test_a_score_is_the_geometric_mean_of_six_figures_over_the_baselines() -> None:
    from dataclasses import replace

    assert score(whole(2.0), whole(2.0))[0] == pytest.approx(1.0)
    better = replace(whole(2.0), wait_mean=1.0, wait_p99=0.5)
    value, ratios = score(better, whole(2.0))
    assert value == pytest.approx((0.5 * 0.25) ** (1 / 6))
    assert ratios["wait_mean"] == 0.5
    assert len(ratios) == 6
    # A figure that is 0 in the baseline cannot be compared.
    value, ratios = score(better, replace(whole(2.0), wait_wide=0.0))
    assert value == pytest.approx((0.5 * 0.25) ** (1 / 5))
    assert "wait_wide" not in ratios
