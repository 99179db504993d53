"""Readings -> rows of use by hour."""

from __future__ import annotations

import pytest

from labq.holding.facts import Source
from labq.holding.reading import GpuReading, GpuState, Holder
from labq.holding.samples import GpuSample, WatchedGpu
from labq.node import Gpu
from labq.usage import flaw
from labq_worker.usage_meter import APART, KEEP, UsageMeter

HOUR = 3600
GPU = Gpu("GPU-0", 0, "RTX 4090", 2**30)


def busy(*users: str, job: str = "") -> GpuReading:
    holders = tuple(Holder(user, Source.UID, None, processes=1, busy=True, job=job) for user in users)
    return GpuReading(WatchedGpu(GPU, GpuSample(0.0, utilization=1.0)), GpuState.BUSY, holders)


def looks(meter: UsageMeter, start: float, count: int, *, wall: float, every: float = 2.0) -> float:
    """Lets ann hold the GPU for ``count`` looks from ``start`` on; returns when the last one was."""
    for number in range(count):
        meter.add([busy("ann")], start + number * every, wall + number * every)
    return start + (count - 1) * every


def held(meter: UsageMeter) -> dict[tuple[str, int], float]:
    return {(row.epoch, row.hour // HOUR): row.held for row in meter.changed()}


def test_rows_are_absolute_and_apart_for_each_hour_person_and_side() -> None:
    meter = UsageMeter("n1", "e")
    at, now = 100.0, 10 * HOUR - 2.0
    for reading in (busy("ann"), busy("ann"), busy("ann", job="7"), busy("ann", "bob"), busy("ann", "bob")):
        meter.add([reading], at, now)
        at, now = at + 2, now + 2
    rows = {(row.hour // HOUR, row.user, row.outside): (row.held, row.busy) for row in meter.changed()}
    assert rows == {
        (9, "ann", True): (2.0, 2.0),
        # ann moved from outside into the queue and back between looks: each side has its halves
        (10, "ann", True): (1.0 + 0.5 + 1.0, 2.5),
        (10, "ann", False): (1.0 + 1.0, 2.0),
        (10, "bob", True): (0.5 + 1.0, 1.5),
    }
    (row, *_) = meter.changed()
    assert (row.node, row.epoch, row.gpu, row.model) == ("n1", "e", "GPU-0", "RTX 4090")


def test_a_time_over_the_full_hour_is_parted_there() -> None:
    meter = UsageMeter("n1", "e")
    looks(meter, 0.0, 2, wall=10 * HOUR - 30.0, every=100.0)
    assert held(meter) == {("e", 9): pytest.approx(30.0), ("e", 10): pytest.approx(70.0)}


def test_what_is_written_is_not_written_again_until_it_grows() -> None:
    meter = UsageMeter("n1", "e")
    meter.add([busy("ann")], 0.0, 100.0)
    assert meter.changed() == []
    meter.add([busy("ann")], 2.0, 102.0)
    rows = meter.changed()
    meter.add([busy("ann")], 4.0, 104.0)
    meter.written(rows)  # it grew while it was on its way
    assert [row.held for row in meter.changed()] == [4.0]
    meter.written(meter.changed())
    assert meter.changed() == []
    meter.add([busy("ann")], 6.0, 106.0)
    assert [row.held for row in meter.changed()] == [6.0]


def test_sums_are_kept_while_they_may_grow_or_are_not_written_and_not_for_ever() -> None:
    meter = UsageMeter("n1", "e")
    looks(meter, 0.0, 2, wall=100.0)
    meter.add([], KEEP - 10.0, 100.0 + KEEP - 10.0)
    assert held(meter) == {("e", 0): 2.0}
    meter.written(meter.changed())
    meter.add([], KEEP, 100.0 + KEEP)
    assert meter._sums == {}
    looks(meter, KEEP, 2, wall=100.0 + KEEP)
    assert len(meter.changed()) == 1
    meter.add([], 3 * KEEP, 100.0 + 3 * KEEP)
    assert meter.changed() == []


def test_a_clock_that_steps_back_over_the_hour_makes_no_row_smaller() -> None:
    meter, most = UsageMeter("n1", "e"), dict[tuple[str, int], float]()
    for step, wall in enumerate(
        (2 * HOUR - 40.0, 2 * HOUR + 20.0, 2 * HOUR - 3.0, HOUR + 5.0, 2 * HOUR - 1.0)
    ):
        looks(meter, 100.0 + 20 * step, 10, wall=wall)
        now = held(meter)
        assert all(now.get(key, 0.0) >= value for key, value in most.items())
        most = now
        # the sum is the time that passed, whatever the clock said
        assert sum(now.values()) == pytest.approx(18.0 + 20 * step)


def test_a_small_step_of_the_clock_changes_nothing() -> None:
    meter = UsageMeter("n1", "e")
    at = looks(meter, 0.0, 10, wall=2 * HOUR - 10.0)
    looks(meter, at, 10, wall=2 * HOUR - 10.0 + at - APART + 1)
    assert held(meter) == {("e", 1): pytest.approx(10.0), ("e", 2): pytest.approx(26.0)}


def test_no_hour_of_a_row_is_longer_than_an_hour_however_often_the_clock_is_set_back() -> None:
    meter = UsageMeter("n1", "e")
    at = 0.0
    for wall in (5 * HOUR, 5 * HOUR + 600.0, 5 * HOUR + 5.0):
        at = looks(meter, at, 41, wall=wall, every=60.0)
    rows = held(meter)
    assert sum(rows.values()) == pytest.approx(3 * 2400.0)
    assert max(rows.values()) <= HOUR
    assert {epoch for epoch, _ in rows} == {"e", "e.1", "e.2"}


def test_a_name_that_no_row_can_carry_is_made_to_fit() -> None:
    meter = UsageMeter("n1", "e")
    for at in (0.0, 2.0):
        meter.add([busy("a\udcff\0" + 200 * "x")], at, 100.0 + at)
    (row,) = meter.changed()
    assert row.user == "a??" + 125 * "x"
    assert flaw(row) == ""
    meter.written([row])
    assert meter.changed() == []


def test_a_gpu_that_has_not_been_heard_yet_counts_nothing() -> None:
    meter = UsageMeter("n1", "e")
    unheard = GpuReading(
        WatchedGpu(GPU), GpuState.LOST, (Holder("ann", Source.QUEUE, None, job="7"),), fresh=False
    )
    meter.add([unheard], 0.0, 100.0)
    meter.add([unheard], 2.0, 102.0)
    assert meter.changed() == []
