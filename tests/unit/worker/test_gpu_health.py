"""What the heartbeat says of GPUs, and which of them is at fault."""

from __future__ import annotations

import json

from labq.holding.facts import Source
from labq.holding.reading import GpuReading, GpuState, Holder
from labq.holding.samples import GpuSample, WatchedGpu
from labq.node import Gpu
from labq_worker.gpu_health import SILENT, gpus_of, reading

A, B = Gpu("a", 0, "x", 1), Gpu("b", 1, "x", 1)


def read(gpu: Gpu, sample: GpuSample | None, *holders: Holder, fresh: bool = True) -> GpuReading:
    return GpuReading(WatchedGpu(gpu, sample), GpuState.BUSY, holders, fresh=fresh)


def test_a_gpu_that_cannot_be_read_has_a_fault_until_it_can() -> None:
    well = read(B, GpuSample(at=10.0, memory_used=1))
    faulty = gpus_of((A, B), [read(A, GpuSample(at=10.0, error="GPU is lost")), well], 10.0)
    assert [gpu.fault for gpu in faulty] == ["the driver cannot read it: GPU is lost", ""]
    # Old news changes nothing.
    old = [read(A, GpuSample(at=10.0, memory_used=1), fresh=False), well]
    assert gpus_of(faulty, old, 15.0) == faulty
    assert gpus_of(faulty, [read(A, GpuSample(at=16.0, memory_used=1)), well], 16.0) == (A, B)


def test_a_gpu_of_which_the_driver_says_nothing_more_gets_no_more_jobs() -> None:
    hung = [read(A, GpuSample(at=10.0, memory_used=1), fresh=False)]
    assert gpus_of((A,), hung, 10.0 + SILENT) == (A,)
    (gpu,) = gpus_of((A,), hung, 10.1 + SILENT)
    assert "says nothing" in gpu.fault


def test_before_the_first_look_what_is_known_stays_and_gpus_may_come_and_go_later() -> None:
    assert gpus_of((A,), [], 0.0) == (A,)
    assert gpus_of((A,), [read(B, GpuSample(at=0.0))], 0.0) == (B,)


def test_the_heartbeat_says_who_holds_what_and_leaves_out_what_nobody_knows() -> None:
    sample = GpuSample(0.0, 2**30, 0.5, 61, 300.0)
    told = reading(
        read(
            A,
            sample,
            Holder("bob", Source.MOUNT, 1000.04, 2**30, 0.5, 2, "web", "f" * 64, "img", busy=True),
            Holder("ann", Source.QUEUE, None, job="7"),
        )
    )
    assert json.loads(json.dumps(told)) == {
        "state": "busy",
        "memory_used": 2**30,
        "utilization": 50,
        "temperature": 61,
        "power": 300.0,
        "holders": [
            {
                "user": "bob",
                "source": "mount",
                "since": 1000.0,
                "memory": 2**30,
                "utilization": 0.5,
                "processes": 2,
                "busy": True,
                "container": "web",
            },
            {"user": "ann", "source": "queue", "job": "7"},
        ],
    }
    assert reading(read(A, GpuSample(0.0, error="lost"))) == {"state": "busy", "holders": []}
