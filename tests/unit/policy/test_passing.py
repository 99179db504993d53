"""When a job that passes is to have ended, in the eyes of the reservation."""

from __future__ import annotations

import pytest
from builders import holding_job, make_job, make_node, make_snapshot

from labq_scheduler.decide import decide
from labq_scheduler.policy.passing import finish
from labq_scheduler.policy.reserve import Reservation
from labq_scheduler.policy.room import Fit, Room
from labq_scheduler.policy.rules import Passing, Rules, Weights

NOW, NEVER = 1000.0, float("inf")
RULES = Rules(pass_margin=2.0, pass_margin_over=0.5)


def kept(*, hard: bool = False) -> Reservation:
    """Return a reservation."""
    node = make_node(gpus=1)
    return Reservation(make_job("1"), {"n1": Fit((), 1.0, 1)}, NOW + 50, {"n1": Room.empty(node)}, True, hard)


@pytest.mark.parametrize(("parts", "margin"), [(0.0, 2.0), (0.5, 2.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)])
def test_who_holds_more_than_a_fair_part_needs_a_larger_margin_and_who_holds_less_no_smaller_one(
    parts: float, margin: float
) -> None:
    assert finish(kept(), RULES, now=NOW, safe=100.0, limit=NEVER, parts=parts) == NOW + margin * 100.0


def test_a_limit_that_ends_sooner_counts() -> None:
    assert finish(kept(), RULES, now=NOW, safe=100.0, limit=30.0, parts=3.0) == NOW + 30.0


@pytest.mark.parametrize("passing", list(Passing))
def test_beside_a_late_job_only_limits_count(passing: Passing) -> None:
    rules = Rules(passing=passing)
    assert finish(kept(hard=True), rules, now=NOW, safe=1.0, limit=NEVER, parts=0.0) == NEVER
    assert finish(kept(hard=True), rules, now=NOW, safe=1.0, limit=70.0, parts=0.0) == NOW + 70.0


def test_where_nobody_must_not_be_delayed_everybody_may_start() -> None:
    assert finish(None, RULES, now=NOW, safe=100.0, limit=NEVER, parts=9.0) == NOW
    assert finish(kept(), Rules(passing=Passing.ANY), now=NOW, safe=100.0, limit=NEVER, parts=9.0) == NOW


def test_a_job_beside_the_reserved_gpus_gets_another_even_where_it_would_have_got_one_of_them() -> None:
    runs = holding_job("9", "n1", "n1-1", "n1-2", started_at=9000.0, time="1h")
    large, long = make_job("1", gpus="3"), make_job("2", gpus="1", time="9h")
    in_order = Rules(weights=Weights(share=0.0, held=0.0, age=0.0, wide=0.0, small=0.0))
    found = decide(make_snapshot([large, long], [make_node(gpus=4)], running=[runs]), in_order)
    assert found.reservation is not None
    assert [hold.uuid for hold in found.reservation.fit.gpus] == ["n1-0", "n1-1", "n1-2"]
    assert [(start.job.id, start.fit.gpus[0].uuid) for start in found.starts] == [("2", "n1-3")]
