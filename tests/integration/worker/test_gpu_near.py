"""What the node's record says of GPUs that are near each other: fake NVML, real Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.nvml import MockNvml, gpu_line
from support.waiting import wait_for

from labq.node import Node
from labq.store import Store
from labq_worker import gpu_near
from labq_worker.gpu_use import GpuUse
from labq_worker.heartbeat import Heartbeat

FOUR = [gpu_line(index) for index in range(4)]
Beating = Callable[[], GpuUse]


@pytest.fixture
def beating(
    nvml_here: MockNvml, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Beating]:
    """Makes the parts of an agent that look at its GPUs and beat; none of their threads outlives the test."""
    monkeypatch.setattr("labq.holding.watch.XID_WAIT", 0.1)
    monkeypatch.setattr("labq_worker.heartbeat.INTERVAL", 0.05)
    monkeypatch.setattr(gpu_near, "LOOK", 0.05)
    monkeypatch.setattr(gpu_near, "AGAIN", 0.05)
    before = set(threading.enumerate())
    ends: list[Callable[[], None]] = []

    def make() -> GpuUse:
        use = GpuUse(Store(redis_url), "n1", "e1", lambda: (), (), tmp_path / "key")
        node = Node("n1", 8.0, 2**36, tuple(each.gpu for each in use.watch.snapshot()))
        beat = Heartbeat(
            Store(redis_url), node, use, each_beat=lambda: None, before_registering=lambda: None,
            may_register=lambda: None,
        )  # fmt: skip
        ends.extend([use.stop, beat.stop])
        use.start()
        beat.register()
        beat.start()
        return use

    yield make
    nvml_here.write("driver 580.95.05")
    for end in ends:
        end()
    wait_for(lambda: set(threading.enumerate()) <= before, 20, "the threads to end")


def groups(redis_url: str) -> list[list[str]]:
    """Return the GPUs that NVLink joins, by index, as the server reads it."""
    near = Store(redis_url).nodes.get("n1").near.to_wire()
    return [[str(int(uuid[-12:])) for uuid in group] for group in near.get("nvlink", [])]


def test_the_server_hears_what_is_near_and_again_when_the_cards_change(
    beating: Beating, nvml_here: MockNvml, redis_url: str
) -> None:
    nvml_here.write(*FOUR[:2], "nvlink 0 1")
    use = beating()
    wait_for(lambda: groups(redis_url) == [["0", "1"]], 10, "the node to say what is near")
    nvml_here.write(*FOUR, "nvlink 0 1", "nvlink 2 3")
    use.watch._find_now.set()
    wait_for(
        lambda: groups(redis_url) == [["0", "1"], ["2", "3"]], 10, "the node to say that there are two more"
    )


def test_a_gpu_that_is_lost_leaves_what_is_known_as_it_was_and_more_is_learned_when_it_is_back(
    beating: Beating, nvml_here: MockNvml, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_near, "EVERY", 0.05)
    nvml_here.write(*FOUR, "nvlink 0 1")
    beating()
    wait_for(lambda: groups(redis_url) == [["0", "1"]], 10, "the node to say what is near")
    nvml_here.add("lost 0", "nvlink 2 3")
    wait_for(lambda: Store(redis_url).nodes.get("n1").gpus[0].fault, 10, "the node to say that one is lost")
    assert groups(redis_url) == [["0", "1"]]
    nvml_here.write(*FOUR, "nvlink 0 1", "nvlink 2 3")
    wait_for(lambda: len(groups(redis_url)) == 2, 10, "the node to say what is near now")


def test_a_driver_that_hangs_keeps_neither_the_heartbeat_nor_what_was_known(
    beating: Beating, nvml_here: MockNvml, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_near, "EVERY", 0.05)
    nvml_here.write(*FOUR, "nvlink 0 1")
    beating()
    wait_for(lambda: groups(redis_url) == [["0", "1"]], 10, "the node to say what is near")
    nvml_here.add("hang 0")
    first = Store(redis_url).nodes.get("n1").heartbeat
    wait_for(lambda: Store(redis_url).nodes.get("n1").heartbeat > first + 0.5, 10, "the heart to beat on")
    assert groups(redis_url) == [["0", "1"]]
