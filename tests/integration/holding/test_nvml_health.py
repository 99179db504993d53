"""What labq makes of the driver's answers about health and of its events: the real pynvml on the fake library."""

from __future__ import annotations

import time

import pynvml
import pytest
from support.nvml import MockNvml, gpu_line, gpu_uuid, instance_line, instance_uuid

from labq.holding.nvml import Nvml
from labq.node import Gpu

A100 = "NVIDIA A100-SXM4-80GB"


def only_gpu(nvml: Nvml) -> Gpu:
    (gpu,), why = nvml.find()
    assert why == ""
    return gpu


# -- what changes by the minute ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0x0, set()),
        (0x1 | 0x2 | 0x10 | 0x100, set()),
        (0x4, {"power_cap"}),
        (0x8, {"hw_slowdown"}),
        (0x20, {"sw_thermal"}),
        (0x40, {"hw_thermal"}),
        (0x80, {"power_brake"}),
        (0x48, {"hw_slowdown", "hw_thermal"}),
    ],
)
def test_reasons_for_being_slow(nvml_here: MockNvml, bits: int, reasons: set[str]) -> None:
    nvml_here.write(gpu_line(0), f"throttle 0 {bits}")
    nvml = Nvml()
    throttled = nvml.health(only_gpu(nvml)).throttled
    assert len(throttled) == 5
    assert {reason for reason, yes in throttled.items() if yes} == reasons


def test_health_has_base_units(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0), "slowdown 0 93", "ecc 0 5 2", "remap 0 1 2 0 1")
    nvml = Nvml()
    gpu = only_gpu(nvml)
    before, health = nvml.health(gpu), nvml.health(gpu)
    assert (health.temperature_slowdown, health.power_limit) == (93, 450.0)
    assert (health.ecc_corrected, health.ecc_uncorrected) == (5, 2)
    assert (health.remap_pending, health.remap_failed) == (False, True)
    assert before.energy is not None
    assert health.energy is not None
    # 60 W for as long as this machine is up: joules, not the driver's millijoules.
    assert before.energy <= health.energy < 2 * 60 * time.monotonic() + 60


@pytest.mark.parametrize(("how", "limit"), [("margin 0 45", 85), ("slowdown 0 93", 93), ("", None)])
def test_a_gpu_that_tells_only_how_far_its_limit_is(nvml_here: MockNvml, how: str, limit: int | None) -> None:
    nvml_here.write(gpu_line(0), how)
    nvml = Nvml()
    assert nvml.health(only_gpu(nvml)).temperature_slowdown == limit


# -- Xid --------------------------------------------------------------------------------------------------------


def test_an_xid_is_told_with_the_gpu_even_when_it_fell_off_the_bus(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1), "noevents 0", "xid 1 13")
    nvml = Nvml()
    for gpu in nvml.find()[0]:
        nvml.listen(gpu)
        nvml.listen(gpu)
    nvml_here.add("lost 1", "xid 0 31", "xid 1 79")
    assert nvml.next_xid(2.0) == ((gpu_uuid(1),), 79)
    assert nvml.next_xid(0.05) is None


def test_the_event_of_a_fall_is_told_after_the_loss_was_seen_and_a_card_that_is_back_is_heard(
    nvml_here: MockNvml,
) -> None:
    nvml_here.write(gpu_line(0))
    nvml = Nvml()
    gpu = only_gpu(nvml)
    nvml.listen(gpu)
    nvml_here.add("lost 0", "xid 0 79")
    assert nvml.sample(gpu).lost
    assert nvml.next_xid(2.0) == ((gpu_uuid(0),), 79)
    assert nvml.next_xid(0.05) is None
    nvml_here.write(gpu_line(0))
    assert nvml.sample(gpu).error == ""
    nvml.listen(gpu)
    nvml_here.add("xid 0 31")
    assert nvml.next_xid(2.0) == ((gpu_uuid(0),), 31)


def test_an_xid_of_an_instance_is_its_own_and_one_of_the_card_is_of_all(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0, A100), "mig 0 1", instance_line(0, 1), instance_line(0, 2))
    nvml = Nvml()
    for gpu in nvml.find()[0]:
        nvml.listen(gpu)
    nvml_here.add("xid 0.2 31", "xid 0 79")
    assert nvml.next_xid(2.0) == ((instance_uuid(0, 2),), 31)
    assert nvml.next_xid(2.0) == ((instance_uuid(0, 1), instance_uuid(0, 2)), 79)


def test_an_instance_that_was_taken_away_is_not_in_the_events_of_its_card(nvml_here: MockNvml) -> None:
    card = gpu_line(0, A100)
    nvml_here.write(card, "mig 0 1", instance_line(0, 1), instance_line(0, 2))
    nvml = Nvml()
    first, second = nvml.find()[0]
    nvml.listen(first)
    nvml.listen(second)
    nvml_here.write(card, "mig 0 1", instance_line(0, 2))
    assert nvml.sample(first).lost
    nvml_here.add("xid 0 79")
    assert nvml.next_xid(2.0) == ((instance_uuid(0, 2),), 79)


def test_a_driver_that_is_gone_says_so_to_who_listens(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0))
    nvml = Nvml()
    gpu = only_gpu(nvml)
    nvml.listen(gpu)
    pynvml.nvmlShutdown()
    with pytest.raises(OSError, match="Uninitialized"):
        nvml.next_xid(5.0)
    assert not nvml.listening
    nvml.listen(gpu)
    nvml_here.add("xid 0 48")
    assert nvml.next_xid(2.0) == ((gpu_uuid(0),), 48)
