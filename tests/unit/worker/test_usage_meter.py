"""Readings -> rows of use by hour."""

from __future__ import annotations

from labq.holding.facts import Source
from labq.holding.reading import GpuReading, GpuState, Holder
from labq.holding.samples import GpuSample, WatchedGpu
from labq.node import Gpu
from labq_worker.usage_meter import UsageMeter

HOUR = 3600
GPU = Gpu("GPU-0", 0, "RTX 4090", 2**30)


def busy(*users: str, job: str = "") -> GpuReading:
    holders = tuple(Holder(user, Source.UID, None, processes=1, busy=True, job=job) for user in users)
    return GpuReading(WatchedGpu(GPU, GpuSample(0.0, utilization=1.0)), GpuState.BUSY, holders)


def test_rows_are_absolute_and_apart_for_each_hour_person_and_side() -> None:
    meter = UsageMeter("n1", "e")
    at, now = 100.0, 10 * HOUR - 4.0
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


def test_what_is_written_is_not_written_again_until_it_grows() -> None:
    meter = UsageMeter("n1", "e")
    meter.add([busy("ann")], 0.0, 100.0)
    assert meter.changed() == []
    meter.add([busy("ann")], 2.0, 102.0)
    rows = meter.changed()
    meter.add([busy("ann")], 4.0, 104.0)
    meter.written(rows, 104.0)  # it grew while it was on its way
    assert [row.held for row in meter.changed()] == [4.0]
    meter.written(meter.changed(), 104.0)
    assert meter.changed() == []
    meter.add([busy("ann")], 6.0, 106.0)
    assert [row.held for row in meter.changed()] == [6.0]


def test_an_hour_that_is_over_is_forgotten_once_it_is_written_and_not_before() -> None:
    meter = UsageMeter("n1", "e")
    meter.add([busy("ann")], 0.0, 100.0)
    meter.add([busy("ann")], 2.0, 102.0)
    meter.written([], 3 * HOUR)
    assert len(meter.changed()) == 1
    meter.written(meter.changed(), 3 * HOUR)
    meter.add([busy("ann")], 4.0, 3 * HOUR + 4.0)
    assert [(row.hour, row.held) for row in meter.changed()] == [(3 * HOUR, 2.0)]


def test_a_gpu_that_has_not_been_heard_yet_counts_nothing() -> None:
    meter = UsageMeter("n1", "e")
    unheard = GpuReading(
        WatchedGpu(GPU), GpuState.LOST, (Holder("ann", Source.QUEUE, None, job="7"),), fresh=False
    )
    meter.add([unheard], 0.0, 100.0)
    meter.add([unheard], 2.0, 102.0)
    assert meter.changed() == []
