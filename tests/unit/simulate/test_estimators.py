"""The estimators that baselines use."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest

from labq_scheduler.policy.runtimes import UNKNOWN, Kind
from labq_scheduler.simulate.estimators import LADDER, Fixed, LastTwo, Oracle

ONE, TWO = Kind("ann", "x", 1), Kind("ann", "x", 2)


def test_the_last_two_of_the_same_person_and_size_are_averaged() -> None:
    last = LastTwo()
    assert last.estimate(ONE, None).typical == UNKNOWN
    last.add(ONE, 100.0)
    assert last.estimate(ONE, None).typical == 100.0
    last.add(ONE, 300.0)
    last.add(ONE, 500.0)
    assert last.estimate(ONE, None).safe == 400.0
    # Another size: the person's last two; another person: nothing is known.
    assert last.estimate(TWO, None).typical == 400.0
    last.add(TWO, 1000.0)
    assert (last.estimate(TWO, None).typical, last.estimate(ONE, None).typical) == (1000.0, 400.0)
    assert last.estimate(Kind("bob", "x", 1), None).typical == UNKNOWN


def test_what_proves_wrong_is_corrected_by_the_ladder_and_always_lies_ahead() -> None:
    fixed, steps = Fixed(3600.0), list(accumulate(LADDER))
    assert fixed.total(ONE, None, 3600.0, 3599.0) == 3600.0
    assert fixed.total(ONE, None, 3600.0, 3600.0) == 3660.0
    for before, after in pairwise(steps):
        assert fixed.total(ONE, None, 3600.0, 3600.0 + 60 * before) == 3600.0 + 60 * after
    far = 3600.0 + 60 * steps[-1] + 5
    assert fixed.total(ONE, None, 3600.0, far) == far + 60 * LADDER[-1]


def test_the_oracle_knows_each_job_by_its_name() -> None:
    oracle = Oracle({"j1": 5.0, "j2": 7.0})
    oracle.add(Kind("ann", "j1", 1), 99.0)
    assert [oracle.estimate(Kind("ann", name, 1), None).safe for name in ("j1", "j2")] == [5.0, 7.0]
    with pytest.raises(KeyError):
        oracle.estimate(Kind("ann", "j3", 1), None)
