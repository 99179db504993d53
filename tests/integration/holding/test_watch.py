"""The threads that watch GPUs, on the real pynvml and the fake library: hanging, lost, late and divided GPUs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pynvml
import pytest
from support.nvml import GIB, MockNvml, gpu_line, gpu_uuid, instance_line, instance_uuid
from support.waiting import wait_for

from labq.clock import now
from labq.holding.nvml import Nvml
from labq.holding.samples import WatchedGpu
from labq.holding.watch import GpuWatch

FAST = 0.02
Watching = Callable[..., GpuWatch]


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("gpu-"))


@pytest.fixture
def watching(nvml_here: MockNvml, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watching]:
    """Makes watches that have begun; none of their threads outlives the test."""
    monkeypatch.setattr("labq.holding.watch.XID_WAIT", 0.1)
    made: list[GpuWatch] = []

    def make(*, find_interval: float = 60.0) -> GpuWatch:
        watch = GpuWatch(Nvml(), interval=FAST, health_interval=FAST, find_interval=find_interval)
        made.append(watch)
        watch.start()
        return watch

    yield make
    for watch in made:
        watch.stop()
    nvml_here.write("driver 580.95.05")
    wait_for(lambda: not threads(), 10, "the threads to end", hint=lambda: str(threads()))


def sampled(watch: GpuWatch, count: int) -> list[WatchedGpu]:
    """Waits until that many GPUs have all that is asked of them."""

    def complete() -> list[WatchedGpu]:
        known = watch.snapshot()
        return known if len(known) == count and all(one.sample and one.health for one in known) else []

    return wait_for(complete, 10, f"{count} GPUs with a sample", hint=lambda: str(watch.snapshot()))


def of(watch: GpuWatch, uuid: str) -> WatchedGpu:
    return next(one for one in watch.snapshot() if one.gpu.uuid == uuid)


def at(watch: GpuWatch, uuid: str) -> float:
    sample = of(watch, uuid).sample
    assert sample is not None
    return sample.at


def lost(watch: GpuWatch, uuid: str) -> bool:
    sample = of(watch, uuid).sample
    return sample is not None and sample.lost


def hears(mock: MockNvml, watch: GpuWatch, index: int) -> None:
    """Lets Xids happen until one is heard: those before the watch listens again are told to nobody."""

    def heard() -> bool:
        mock.add(f"xid {index} 31")
        return (gpu_uuid(index), 31) in [(one.uuid, one.code) for one in watch.xids()]

    wait_for(heard, 10, "an Xid to be heard", interval=0.1)


def test_the_latest_of_each_gpu_is_known_in_the_order_of_slots(
    nvml_here: MockNvml, watching: Watching
) -> None:
    nvml_here.write(
        "driver 580.1",
        *(gpu_line(index, used=index) for index in range(11)),
        "mig 2 1",
        instance_line(2, 11),
        instance_line(2, 3),
    )
    watch = watching()
    known = sampled(watch, 12)
    assert [one.gpu.slot for one in known] == ["0", "1", "2.3", "2.11", *(str(i) for i in range(3, 11))]
    assert (watch.driver, watch.error) == ("580.1", "")
    assert known[1].pci_bus_id == "00000000:02:00.0"
    assert known[1].minor == 9
    assert threads() == sorted(["gpu-find", "gpu-xid", *(f"gpu-{one.gpu.slot}" for one in known)])
    first = at(watch, gpu_uuid(0))
    wait_for(lambda: at(watch, gpu_uuid(0)) > first, 10, "another sample")


def test_a_gpu_that_hangs_grows_old_alone_and_nobody_waits_for_it(
    nvml_here: MockNvml, watching: Watching
) -> None:
    lines = [gpu_line(index) for index in range(3)]
    nvml_here.write(*lines)
    watch = watching()
    sampled(watch, 3)
    nvml_here.add("hang 0")
    # A question under way when it began to hang may still be answered.
    wait_for(
        lambda: at(watch, gpu_uuid(1)) - at(watch, gpu_uuid(0)) > 10 * FAST, 10, "the first to fall behind"
    )
    stuck = at(watch, gpu_uuid(0))
    for other in (gpu_uuid(1), gpu_uuid(2)):
        since = at(watch, other)
        wait_for(lambda uuid=other, since=since: at(watch, uuid) > since + 5 * FAST, 10, "more samples")  # type: ignore[misc]
    began = time.perf_counter()
    for _ in range(100):
        watch.snapshot()
        watch.xids()
    assert time.perf_counter() - began < 1.0
    assert at(watch, gpu_uuid(0)) == stuck
    nvml_here.write(*lines)
    wait_for(lambda: at(watch, gpu_uuid(0)) > stuck, 10, "the first to answer again")


def test_a_driver_that_never_answers_blocks_nobody(nvml_here: MockNvml, watching: Watching) -> None:
    nvml_here.write("inithang")
    watch = watching()
    assert not watch.wait_found(0.2)
    assert (watch.snapshot(), watch.xids()) == ([], [])
    assert watch.error == "the NVIDIA driver has not answered yet"
    nvml_here.write("driver 580.1", gpu_line(0))
    assert watch.wait_found(10)
    sampled(watch, 1)
    assert watch.error == ""


def test_a_driver_that_is_loaded_later_is_noticed(nvml_here: MockNvml, watching: Watching) -> None:
    nvml_here.write("initfail 9")
    watch = watching(find_interval=FAST)
    assert watch.wait_found(10)
    assert "kernel module is not loaded" in watch.error
    assert (watch.snapshot(), watch.driver) == ([], "")
    nvml_here.write("driver 580.1", gpu_line(0))
    sampled(watch, 1)
    assert (watch.error, watch.driver) == ("", "580.1")


def test_a_gpu_that_appears_later_is_watched(nvml_here: MockNvml, watching: Watching) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1), "lost 1")
    watch = watching(find_interval=FAST)
    sampled(watch, 1)
    assert dict(watch.unreadable) == {1: "GPU is lost"}
    nvml_here.write(gpu_line(0), gpu_line(1))
    assert [one.gpu.uuid for one in sampled(watch, 2)] == [gpu_uuid(0), gpu_uuid(1)]
    wait_for(lambda: not watch.unreadable, 10, "nothing to be unreadable")


def test_a_lost_gpu_stays_with_its_name_and_may_come_back(nvml_here: MockNvml, watching: Watching) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1, used=GIB))
    watch = watching(find_interval=FAST)
    sampled(watch, 2)
    nvml_here.add("lost 0", "xid 0 79")
    wait_for(lambda: lost(watch, gpu_uuid(0)), 10, "the loss")
    wait_for(lambda: dict(watch.unreadable) == {0: "GPU is lost"}, 10, "the whole picture")
    wait_for(lambda: [one.uuid for one in watch.xids()] == [gpu_uuid(0)], 10, "the event of its fall")
    gone, other = watch.snapshot()
    assert (gone.gpu.uuid, gone.gpu.slot, gone.pci_bus_id) == (gpu_uuid(0), "0", "00000000:01:00.0")
    assert gone.sample is not None
    assert (gone.sample.error, gone.sample.memory_used) == ("GPU is lost", None)
    assert other.sample is not None
    assert (other.sample.error, other.sample.memory_used) == ("", GIB)
    nvml_here.write(gpu_line(0), gpu_line(1))
    wait_for(lambda: not lost(watch, gpu_uuid(0)), 10, "its return")
    hears(nvml_here, watch, 0)


def test_a_lost_gpu_keeps_its_place_when_the_others_are_numbered_anew(
    nvml_here: MockNvml, watching: Watching
) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1))
    watch = watching(find_interval=FAST)
    sampled(watch, 2)
    nvml_here.write(gpu_line(1))
    wait_for(lambda: lost(watch, gpu_uuid(0)), 10, "the loss")
    wait_for(lambda: of(watch, gpu_uuid(1)).gpu.index == 0, 10, "the new number")
    assert {one.gpu.uuid for one in watch.snapshot()} == {gpu_uuid(0), gpu_uuid(1)}


def test_a_card_that_is_divided_anew_has_other_gpus(nvml_here: MockNvml, watching: Watching) -> None:
    card = gpu_line(0, "NVIDIA A100-SXM4-80GB", 80 * GIB)
    # Only a loss, and no interval, makes it look again.
    nvml_here.write(card, "mig 0 1", instance_line(0, 1), instance_line(0, 2))
    watch = watching()
    sampled(watch, 2)

    def known() -> list[str]:
        return [one.gpu.uuid for one in watch.snapshot()]

    nvml_here.write(card, "mig 0 1", instance_line(0, 2))
    wait_for(lambda: known() == [instance_uuid(0, 2)], 10, "one to be gone")
    nvml_here.write(card, "mig 0 1", instance_line(0, 5), instance_line(0, 6))
    wait_for(lambda: known() == [instance_uuid(0, 5), instance_uuid(0, 6)], 10, "two others")
    nvml_here.write(card, "mig 0 0")
    wait_for(lambda: known() == [gpu_uuid(0)], 10, "the whole card")
    wait_for(lambda: "gpu-0.5" not in threads(), 10, "the threads of instances to end")


def test_xids_are_counted_with_code_and_time(nvml_here: MockNvml, watching: Watching) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1), gpu_line(2), "noevents 2", "xid 0 48")
    watch = watching()
    sampled(watch, 3)
    began = now()
    nvml_here.add("xid 1 79", "xid 0 13", "xid 0 13", "xid 2 31")
    wait_for(lambda: sum(one.count for one in watch.xids()) == 3, 10, "three events")
    assert [(one.uuid, one.code, one.count) for one in watch.xids()] == [
        (gpu_uuid(0), 13, 2),
        (gpu_uuid(1), 79, 1),
    ]
    assert all(began <= one.last <= now() for one in watch.xids())


def test_all_goes_on_when_the_driver_was_reloaded(nvml_here: MockNvml, watching: Watching) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1))
    watch = watching()
    sampled(watch, 2)
    pynvml.nvmlShutdown()
    began = time.monotonic()
    wait_for(
        lambda: all(one.sample and not one.sample.error and one.sample.at > began for one in watch.snapshot()),
        10, "new samples",
    )  # fmt: skip
    hears(nvml_here, watch, 1)


def test_a_watch_that_is_stopped_leaves_no_thread(nvml_here: MockNvml, watching: Watching) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1))
    watch = watching()
    sampled(watch, 2)
    watch.stop()
    wait_for(lambda: not threads(), 10, "the threads to end", hint=lambda: str(threads()))
    assert len(watch.snapshot()) == 2
