"""What the driver says of one GPU at one moment. Values only.

``None`` always means that the driver cannot say; it is never replaced by zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labq.node import Gpu

#: Reasons for which a GPU runs slower than it could, as they are called in metrics.
THROTTLE_REASONS = ("power_cap", "hw_slowdown", "sw_thermal", "hw_thermal", "power_brake")


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process with a compute context on a GPU (graphics contexts, such as Xorg's, are left out)."""

    #: in the host's namespace, whatever container it runs in
    pid: int
    #: bytes; None = the driver cannot say (WDDM, MIG without privilege)
    memory: int | None = None
    #: share of the streaming multiprocessors since the last sample, 0 to 1; None = the driver cannot say
    utilization: float | None = None


@dataclass(frozen=True, slots=True)
class GpuSample:
    """What changes by the second."""

    #: monotonic seconds when the answers were complete
    at: float
    #: bytes
    memory_used: int | None = None
    #: 0 to 1: share of the driver's last window (1/6 to 1 s) in which at least one kernel ran
    utilization: float | None = None
    #: degrees Celsius
    temperature: int | None = None
    #: watts
    power: float | None = None
    #: sorted by pid; None = they could not be listed
    processes: tuple[GpuProcess, ...] | None = None
    #: the driver's words when the GPU itself cannot be read; all else is None then
    error: str = ""
    #: True when ``error`` says that the GPU is gone (fell off the bus, needs a reset)
    lost: bool = False


@dataclass(frozen=True, slots=True)
class GpuHealth:
    """What changes by the minute."""

    #: monotonic seconds
    at: float
    #: degrees Celsius at which this GPU slows itself down
    temperature_slowdown: int | None = None
    #: watts
    power_limit: float | None = None
    #: joules since the driver was loaded
    energy: float | None = None
    #: errors since the driver was loaded
    ecc_corrected: int | None = None
    ecc_uncorrected: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    #: by ``THROTTLE_REASONS``; empty = the driver cannot say
    throttled: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class XidCount:
    """Xid events of one code on one GPU since this process listens."""

    uuid: str
    code: int
    count: int
    #: seconds since the epoch
    last: float


@dataclass(frozen=True, slots=True)
class WatchedGpu:
    """All that is known of one GPU now."""

    gpu: Gpu
    sample: GpuSample | None = None
    health: GpuHealth | None = None
    pci_bus_id: str = ""
    minor: int | None = None
