"""A snapshot of the exporter that has everything, made by hand, and the page that it must give.

After a change that is meant, write the page anew and read the difference:

    PYTHONPATH=tests .venv/bin/python tests/support/exporter_snapshot.py
"""

from pathlib import Path

from labq import __version__
from labq.holding.facts import Source
from labq.holding.reading import GpuReading, GpuState, Holder
from labq.holding.samples import THROTTLE_REASONS, GpuHealth, GpuSample, WatchedGpu
from labq.node import Gpu
from labq_exporter.page import render
from labq_exporter.snapshot import CollectorStatus, ContainerUse, Snapshot
from labq_exporter.table import COLLECTORS

GOLDEN = Path(__file__).parent.parent / "unit" / "exporter" / "golden.prom"
GIB = 1024**3


def page() -> str:
    """The page of the snapshot, the same for every version of labq."""
    return render(snapshot()).decode().replace(f'version="{__version__}"', 'version="VERSION"')


def snapshot() -> Snapshot:
    """Two whole GPUs, an instance, one that fell off the bus, one whose driver hangs, and one not heard of yet."""
    return Snapshot(
        gpus=(_shared(), _leased(), _instance(), _lost(), _stale(), _new()),
        expected=6,
        driver="580.95.05",
        mismatch=False,
        slots={"GPU-0": "0", "GPU-1": "1", "MIG-2-1": "2.1", "GPU-3": "3", "GPU-4": "4", "GPU-9": "9"},
        users={
            ("GPU-0", "alice", "outside"): (120.5, 100.25),
            ("GPU-0", "bob", "outside"): (60.0, 0.0),
            ("GPU-1", "carol", "queue"): (3600.0, 0.0),
            # of a GPU that is not there now
            ("GPU-9", "alice", "queue"): (7.0, 7.0),
        },
        states={
            ("GPU-0", "busy"): 160.0,
            ("GPU-0", "free"): 20.5,
            ("GPU-1", "reserved"): 3600.0,
            ("MIG-2-1", "held"): 30.0,
            ("GPU-3", "lost"): 9.0,
        },
        used={"GPU-0": 133.7},
        xids={("GPU-0", 31): (2, 1_700_000_000.5), ("GPU-3", 79): (1, 1_700_000_100.0)},
        containers=(
            ContainerUse("train", "a" * 64, "torch:2", "alice", "mount", "", 12.5, 3 * GIB),
            ContainerUse("labq-7", "b" * 64, "busybox", "carol", "queue", "7", None, None),
        ),
        people={"alice": (20.25, 4 * GIB), "carol": (0.0, 0)},
        collectors=(
            *(CollectorStatus(name, 1_700_000_200.0, True, 0.002) for name in COLLECTORS if name != "nvml"),
            CollectorStatus("nvml", errors=3),
        ),
    )


def _gpu(index: int, **more: object) -> Gpu:
    return Gpu(f"GPU-{index}", index, "NVIDIA H100", 80 * GIB, **more)  # type: ignore[arg-type]


def _shared() -> GpuReading:
    health = GpuHealth(
        at=1.0,
        temperature_slowdown=87,
        power_limit=700.0,
        energy=1234.5,
        ecc_corrected=3,
        ecc_uncorrected=0,
        remap_pending=False,
        remap_failed=True,
        throttled={reason: reason == "power_cap" for reason in THROTTLE_REASONS},
    )
    sample = GpuSample(1.0, memory_used=60 * GIB, utilization=0.75, temperature=66, power=512.5, processes=())
    holders = (
        Holder("alice", Source.MOUNT, 1_699_999_000.0, 20 * GIB, 0.5, 2, "train", "a" * 64, "torch:2", busy=True),
        # The same person beside it, outside containers: its memory the driver cannot tell.
        Holder("alice", Source.UID, 1_699_999_500.0, None, 0.75, 1, busy=True),
        Holder("bob", Source.LABEL, None, 10 * GIB, None, 1, "copy", "c" * 64, "torch:2",
               disputed="its label says bob, but its mounted home is alice's"),
        # An engine that nobody asks: its container has no name.
        Holder("unknown", Source.NONE, 1_699_999_900.0, GIB, None, 1, "", "d" * 64),
    )  # fmt: skip
    watched = WatchedGpu(_gpu(0), sample, health, "00000000:01:00.0", 0)
    return GpuReading(watched, GpuState.BUSY, holders, unattributed=29 * GIB)


def _leased() -> GpuReading:
    sample = GpuSample(1.0, memory_used=0, utilization=0.0, temperature=30, power=60.0, processes=())
    holder = Holder("carol", Source.QUEUE, 1_699_990_000.0, job="7")
    watched = WatchedGpu(_gpu(1), sample, GpuHealth(1.0), "00000000:02:00.0", 1)
    return GpuReading(watched, GpuState.RESERVED, (holder,), unattributed=0)


def _instance() -> GpuReading:
    gpu = Gpu("MIG-2-1", 2, "NVIDIA H100 MIG 1g.10gb", 10 * GIB, instance=1)
    # The driver tells no use and no power of an instance.
    sample = GpuSample(1.0, memory_used=2 * GIB, temperature=40, processes=())
    holder = Holder("uid:1234", Source.SUBUID, 1_699_999_950.0, 2 * GIB, None, 1, busy=True)
    watched = WatchedGpu(gpu, sample, GpuHealth(1.0, temperature_slowdown=87), "00000000:03:00.0", 2)
    return GpuReading(watched, GpuState.BUSY, (holder,))


def _lost() -> GpuReading:
    return GpuReading(WatchedGpu(_gpu(3), GpuSample(1.0, error="GPU is lost", lost=True)), GpuState.LOST)


def _stale() -> GpuReading:
    sample = GpuSample(0.0, memory_used=5 * GIB, utilization=1.0, temperature=99, power=99.0, processes=())
    watched = WatchedGpu(_gpu(4), sample, GpuHealth(0.0, energy=99.0), "00000000:05:00.0", 4)
    # A lease is known whatever the driver says, and yet it is not shown beside readings that are not.
    return GpuReading(watched, GpuState.LOST, (Holder("carol", Source.QUEUE, None, job="8"),), fresh=False)


def _new() -> GpuReading:
    return GpuReading(WatchedGpu(_gpu(5)), GpuState.LOST, fresh=False)


if __name__ == "__main__":
    GOLDEN.write_text(page())
