"""Fair share: its factors, and every number of docs/explanation/fair-share.md."""

from __future__ import annotations

from dataclasses import replace
from math import log2, sqrt
from pathlib import Path

import pytest
from builders import make_job, make_node, make_snapshot
from hypothesis import given
from hypothesis import strategies as st

from labq.job import Job
from labq_scheduler.decide import decide
from labq_scheduler.policy.order import DOUBLINGS
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.share import factors

pytestmark = pytest.mark.unit

PAGE = (Path(__file__).parents[3] / "docs/explanation/fair-share.md").read_text()
HOUR = 3600.0
USE = {"anna": 600 * HOUR, "ben": 300 * HOUR, "carl": 100 * HOUR, "dana": 0.0}
GROUPS = {"anna": "vision", "ben": "vision", "carl": "language", "dana": "language"}

people = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1e9), min_size=1)


def test_who_used_just_a_fair_part_has_a_half_and_who_used_twice_that_a_quarter() -> None:
    found = factors("ab", {"a": 5.0, "b": 5.0}, Rules())
    assert found == pytest.approx({"a": 0.5, "b": 0.5})
    assert factors("ab", {"a": 5.0}, Rules()) == pytest.approx({"a": 0.25, "b": 1.0})


def test_the_use_of_those_who_want_nothing_now_is_use_and_entitles_to_nothing() -> None:
    assert factors("ab", {"a": 1.0, "c": 3.0}, Rules()) == pytest.approx({"a": 2**-0.5, "b": 1.0})


def test_while_nobody_used_anything_all_are_equal() -> None:
    assert factors("ab", {}, Rules(shares={"a": 3.0})) == {"a": 1.0, "b": 1.0}


def test_a_share_of_none_is_last() -> None:
    assert factors("ab", {"b": 1.0}, Rules(shares={"a": 0.0})) == {"a": 0.0, "b": 0.5}


def test_those_in_no_group_are_in_one() -> None:
    found = factors("abc", {"a": 1.0, "b": 1.0}, Rules(groups={"c": "g"}))
    rest = 2.0 ** -(1.0 * 2)
    assert found == pytest.approx({"a": sqrt(rest * 0.5), "b": sqrt(rest * 0.5), "c": 1.0})


@given(people, people)
def test_factors_lie_between_0_and_1_and_who_used_more_has_less(
    used: dict[str, float], shares: dict[str, float]
) -> None:
    rules = Rules(shares={name: 1.0 + value / 1e6 for name, value in shares.items()})
    found = factors(used, used, rules)
    assert all(0 <= value <= 1 for value in found.values())
    equal = factors(used, used, Rules())
    for one in used:
        for other in used:
            if used[one] < used[other]:
                assert equal[one] >= equal[other]


@given(people, st.floats(1e-3, 1e3))
def test_only_proportions_count(used: dict[str, float], factor: float) -> None:
    scaled = {name: value * factor for name, value in used.items()}
    if sum(used.values()) > 1e-3:
        assert factors(used, scaled, Rules()) == pytest.approx(factors(used, used, Rules()), rel=1e-6)


def rows_of_four(rules: Rules) -> str:
    found = factors(USE, USE, rules)
    parts = {name: rules.shares.get(name, 1.0) for name in USE}
    total = sum(USE.values())
    return "".join(
        f"| {name} | {used / HOUR:.0f} | {used / total:.2f} | {parts[name] / sum(parts.values()):.2f} "
        f"| {found[name]:.2f} | {rules.weights.share * found[name]:.2f} |\n"
        for name, used in USE.items()
    )


def test_the_page_shows_four_people_as_the_code_computes_them() -> None:
    assert rows_of_four(Rules()) in PAGE
    assert rows_of_four(Rules(shares={"anna": 2.0})) in PAGE


def test_the_page_shows_groups_as_the_code_computes_them() -> None:
    found = factors(USE, USE, Rules(groups=GROUPS))
    of_group = {"vision": 2.0 ** -(0.9 / 0.5), "language": 2.0 ** -(0.1 / 0.5)}
    rows = "".join(
        f"| {name} | {of_group[group]:.2f} | {found[name] ** 2 / of_group[group]:.2f} | {found[name]:.2f} |\n"
        for name, group in GROUPS.items()
    )
    assert rows in PAGE


def test_the_page_compares_share_with_smallness_as_the_weights_do() -> None:
    rules, found = Rules(), factors(USE, USE, Rules())
    assert (rules.weights.share, rules.weights.held, rules.weights.small, DOUBLINGS) == (3.0, 2.0, 8.0, 20.0)
    assert f"{rules.weights.small / DOUBLINGS:.1f} points" in PAGE
    doublings = rules.weights.share * (found["dana"] - found["anna"]) * DOUBLINGS / rules.weights.small
    assert f"about {doublings:.0f} doublings" in PAGE
    assert log2(11 * 60 / 10) == pytest.approx(doublings, abs=0.5)


def started(jobs: list[Job], usage: dict[str, float] | None = None) -> str:
    snapshot = make_snapshot(jobs, [make_node("n1", gpus=8)], usage=usage)
    return " ".join(start.job.owner for start in decide(snapshot, Rules()).starts)


def array(number: int, owner: str, count: int) -> list[Job]:
    made = (make_job(f"{number}.{index}", gpus="1", cpus=1, memory="1GB") for index in range(count))
    return [replace(job, owner=owner, array=str(number), index=index) for index, job in enumerate(made)]


def test_the_page_shows_in_which_order_two_people_start() -> None:
    trials = array(1, "anna", 200)
    for found in (
        started([*trials, *array(2, "ben", 1)]),
        started([*trials, *array(2, "ben", 200)]),
        started([*trials, *array(2, "ben", 200)], {"anna": 60 * HOUR, "ben": 40 * HOUR}),
    ):
        assert f"\n    {found}\n" in PAGE, found


def test_a_long_job_that_small_ones_pass_again_and_again_is_first_one_day() -> None:
    """All else has an end: without this part it would wait as long as more comes than the lab can do."""
    week = 7 * 86_400.0

    def first(weeks: float, rules: Rules) -> str:
        now = 100 * week
        long = replace(make_job("1", gpus="1", time="20d"), submitted_at=now - weeks * week)
        small = replace(make_job("2", gpus="1", time="1m"), submitted_at=now - 1.0, owner="bob")
        seen = make_snapshot([long, small], [make_node(gpus=1)], now=now, usage={"ann": 9e9, "bob": 1.0})
        return decide(seen, rules).starts[0].job.id

    never = replace(Rules(), weights=replace(Rules().weights, overdue=0.0))
    assert [first(weeks, Rules()) for weeks in (1, 3, 10, 14)] == ["2", "2", "2", "1"]
    assert first(90, never) == "2"
