"""The counters, and that they live on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from labq.holding.facts import Source
from labq.holding.reading import GpuReading, GpuState, Holder
from labq.holding.samples import GpuSample, WatchedGpu, XidCount
from labq.node import Gpu
from labq_exporter.totals import FORGET, MAX_USERS, OTHER, Totals, from_json

GPU = Gpu("GPU-0", 0, "RTX 4090", 2**30)
KEY = ("GPU-0", "alice", "outside")


def busy(*users: str, job: str = "") -> GpuReading:
    holders = tuple(Holder(user, Source.UID, None, processes=1, busy=True, job=job) for user in users)
    sampled = WatchedGpu(GPU, GpuSample(0.0, utilization=1.0))
    return GpuReading(sampled, GpuState.BUSY if users else GpuState.FREE, holders)


def again(totals: Totals, *, boot: str = "b", now: float = 0.0) -> Totals:
    return from_json(json.loads(json.dumps(totals.to_json([], "b"))), boot, now)


def test_a_series_is_there_at_zero_from_the_first_sight_on() -> None:
    totals = Totals()
    totals.add([busy("alice")], 10.0, 1000.0)
    assert totals.held == {KEY: 0.0}
    totals.add([busy("alice")], 12.0, 1002.0)
    totals.add([busy()], 14.0, 1004.0)
    assert (totals.held, totals.busy) == ({KEY: 3.0}, {KEY: 3.0})
    assert totals.states == {("GPU-0", "busy"): 3.0, ("GPU-0", "free"): 1.0}
    assert totals.used == {"GPU-0": 4.0}


def test_inside_and_outside_the_queue_are_counted_apart() -> None:
    totals = Totals()
    for at in (10.0, 12.0):
        totals.add([busy("alice", job="7")], at, at)
    assert totals.held == {("GPU-0", "alice", "queue"): 2.0}


def test_after_a_restart_the_counters_go_on_and_the_gap_belongs_to_who_held_it_throughout() -> None:
    totals = Totals()
    totals.add([busy("alice", "bob")], 10.0, 1000.0)
    totals.add([busy("alice", "bob")], 12.0, 1002.0)
    new = again(totals, now=1030.0)
    # The first look of a new life comes before the driver has said anything: what was written down stays.
    new.add([GpuReading(WatchedGpu(GPU), GpuState.LOST, fresh=False)], 40.0, 1030.0)
    new.add([busy("alice")], 42.0, 1032.0)
    assert new.held[KEY] == pytest.approx(1.0 + 15 * 0.5 + 15 * 1.0)
    assert new.held["GPU-0", "bob", "outside"] == 1.0


def test_after_a_boot_they_begin_at_zero() -> None:
    totals = Totals()
    totals.add([busy("alice")], 10.0, 1000.0)
    assert again(totals, boot="another") == Totals()


def test_who_held_nothing_for_a_day_loses_the_series_at_a_restart() -> None:
    totals = Totals()
    totals.add([busy("alice")], 10.0, 1000.0)
    totals.add([busy("alice")], 12.0, 1002.0)
    assert KEY in again(totals, now=1000.0 + FORGET).held
    assert KEY not in again(totals, now=1003.0 + FORGET).held


def test_xid_events_of_earlier_lives_are_added() -> None:
    totals = Totals()
    written = totals.to_json([XidCount("GPU-0", 79, 2, 500.0)], "b")
    new = from_json(json.loads(json.dumps(written)), "b", 600.0)
    assert new.xids([XidCount("GPU-0", 79, 1, 700.0), XidCount("GPU-0", 31, 1, 650.0)]) == {
        ("GPU-0", 79): (3, 700.0),
        ("GPU-0", 31): (1, 650.0),
    }


def test_processor_time_counts_from_the_first_look_and_survives_paths_used_again() -> None:
    totals = Totals()
    totals.add_cpu({"/a": ("alice", 100.0)}, first=True)
    assert totals.user_cpu == {"alice": 0.0}
    totals.add_cpu({"/a": ("alice", 103.0), "/b": ("alice", 5.0)}, first=False)
    assert totals.user_cpu == {"alice": 8.0}
    totals.add_cpu({"/a": ("alice", 2.0)}, first=False)  # a new cgroup of the old name
    assert totals.user_cpu == {"alice": 10.0}
    totals.add_cpu({}, first=False)
    assert totals.user_cpu == {"alice": 10.0}


def test_however_many_names_are_written_on_labels_the_number_of_series_is_bounded() -> None:
    totals = Totals()
    for number in range(MAX_USERS + 50):
        for at in (0.0, 1.0):
            totals.add([busy(f"user{number}")], 10.0 * number + at, 1000.0)
    assert len({user for _, user, _ in totals.held}) == MAX_USERS + 1
    assert totals.held["GPU-0", OTHER, "outside"] > 49
    totals.add_cpu({"/x": ("yet another", 5.0)}, first=False)
    assert totals.user_cpu == {OTHER: 5.0}


def test_the_time_before_it_is_known_who_holds_a_gpu_goes_to_who_it_turns_out_to_be() -> None:
    totals = Totals()
    totals.add([busy()], 10.0, 1000.0)
    totals.add([replace(busy("unknown"), pending=True)], 11.0, 1001.0)
    totals.add([replace(busy("unknown"), pending=True)], 12.0, 1002.0)
    totals.add([busy("alice")], 13.0, 1003.0)
    assert totals.held == {KEY: 1.5}
    assert sum(totals.states.values()) == 3.0


def test_a_state_file_of_the_first_release_is_read() -> None:
    written = (
        '{"v": 1, "boot": "b", "users": [["GPU-0", "alice", "outside", 3.0, 1.0, 1004.0]],'
        ' "states": [["GPU-0", "busy", 3.0]], "used": {"GPU-0": 2.5}, "slots": {"GPU-0": "0"}, "user_cpu": {},'
        ' "cgroup_cpu": {}, "xids": [],'
        ' "moments": [["GPU-0", 14.0, "busy", 1.0, ["alice", true, 1.0, 1.0]]]}'
    )
    totals = from_json(json.loads(written), "b", 1006.0)
    assert json.loads(json.dumps(totals.to_json([], "b"))) == json.loads(written)
    totals.add([busy("alice")], 16.0, 1006.0)
    assert (totals.held, totals.busy) == ({KEY: 5.0}, {KEY: 3.0})
