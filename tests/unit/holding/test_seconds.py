"""Moments -> seconds; the figures are worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labq.holding.facts import Source
from labq.holding.reading import GpuReading, GpuState, Holder
from labq.holding.samples import GpuSample, WatchedGpu
from labq.holding.seconds import LONGEST_GAP, STEADY, Moment, Share, Steps, moment, spent
from labq.node import Gpu

ALICE, BOB = ("alice", True), ("bob", False)
FREE = Moment("free")
HELD = Moment("held", {ALICE: Share(1.0, 0.0)}, 0.0)
BUSY = Moment("busy", {ALICE: Share(1.0, 1.0)}, 0.8)
BOTH = Moment("busy", {ALICE: Share(0.5, 0.5), BOB: Share(0.5, 0.0)}, 1.0)


def test_a_steady_holder_gets_all_of_the_time() -> None:
    gone = spent(BUSY, BUSY, 2.0)
    assert (gone.held, gone.busy, gone.states) == ({ALICE: 2.0}, {ALICE: 2.0}, {"busy": 2.0})
    assert gone.used == pytest.approx(1.6)


def test_who_comes_or_goes_between_two_looks_gets_half() -> None:
    for pair in ((FREE, HELD), (HELD, FREE)):
        gone = spent(*pair, 2.0)
        assert (gone.held, gone.busy) == ({ALICE: 1.0}, {ALICE: 0.0})
        assert gone.states == {"free": 1.0, "held": 1.0}


def test_people_who_share_a_gpu_get_together_what_the_clock_says() -> None:
    gone = spent(BOTH, BOTH, 3.0)
    assert gone.held == {ALICE: 1.5, BOB: 1.5}
    assert gone.busy == {ALICE: 1.5, BOB: 0.0}


def test_a_gap_goes_only_to_who_was_there_at_both_ends() -> None:
    gap = STEADY + 1
    assert spent(HELD, BUSY, gap).held == {ALICE: gap}
    assert spent(FREE, BUSY, gap).held == {}
    assert spent(BOTH, BUSY, gap).held == {ALICE: pytest.approx(gap * 0.75)}
    assert spent(FREE, BUSY, gap).states == {}


@pytest.mark.parametrize("seconds", [0.0, -5.0, LONGEST_GAP + 1])
def test_of_no_time_and_of_too_much_nothing_is_said(seconds: float) -> None:
    gone = spent(BUSY, BUSY, seconds)
    assert (gone.held, gone.states, gone.used) == ({}, {}, 0.0)


def test_a_moment_gives_each_person_one_part_however_many_containers_they_have() -> None:
    holders = tuple(
        Holder(user, Source.UID, None, processes=1, container=container, job=job, busy=busy)
        for user, container, job, busy in (
            ("alice", "a", "", False), ("alice", "b", "", True), ("bob", "c", "7", False),
        )
    )  # fmt: skip
    watched = WatchedGpu(Gpu("GPU-0", 0, "RTX", 1), GpuSample(0.0, utilization=0.5))
    found = moment(GpuReading(watched, GpuState.BUSY, holders))
    assert found.shares == {ALICE: Share(0.5, 0.5), BOB: Share(0.5, 0.0)}
    assert found.utilization == 0.5


def test_on_a_lost_gpu_nobody_is_busy() -> None:
    holder = Holder("bob", Source.QUEUE, None, job="7", busy=True)
    found = moment(GpuReading(WatchedGpu(Gpu("GPU-0", 0, "RTX", 1)), GpuState.LOST, (holder,)))
    assert found.shares == {BOB: Share(1.0, 0.0)}


def test_steps_go_from_the_latest_moment_of_which_something_is_known() -> None:
    gpu = Gpu("GPU-0", 0, "RTX", 1)
    unheard = GpuReading(WatchedGpu(gpu), GpuState.LOST, fresh=False)
    holder = Holder("alice", Source.UID, None, processes=1)
    held = GpuReading(WatchedGpu(gpu, GpuSample(0.0, utilization=0.0)), GpuState.HELD, (holder,))
    steps = Steps()
    assert steps.to([unheard], 9.0) == []
    (first,) = steps.to([held], 10.0)
    assert (first.since, first.spent.held) == (10.0, {})
    assert steps.to([replace(held, pending=True)], 11.0) == []
    (second,) = steps.to([held], 12.0)
    assert (second.gpu, second.since, second.spent.held) == (gpu, 10.0, {ALICE: 2.0})
    assert steps.latest == {"GPU-0": (second.moment, 12.0)}
