"""Which GPU is not well. Pure; for now only: it cannot be read. Xid, ECC and the canary are later work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from labq.node import Gpu


@dataclass(frozen=True, slots=True)
class Reading:
    """What the driver says of one GPU now; None = it cannot say."""

    #: bytes
    memory_used: int | None = None
    #: percent of the last moment in which at least one kernel ran
    utilization: int | None = None
    #: degrees Celsius
    temperature: int | None = None
    #: watts
    power: float | None = None
    #: the driver's words when the GPU itself cannot be read
    error: str = ""

    def to_wire(self) -> dict[str, float | None]:
        """Return the JSON form for the heartbeat."""
        return {
            "memory_used": self.memory_used,
            "utilization": self.utilization,
            "temperature": self.temperature,
            "power": self.power,
        }


def with_faults(gpus: Iterable[Gpu], readings: Mapping[str, Reading]) -> tuple[Gpu, ...]:
    """Return the GPUs with a fault where the latest reading failed, and without where it did not.

    A GPU without a reading keeps the fault it has: silence says nothing new.
    """
    out = []
    for gpu in gpus:
        reading = readings.get(gpu.uuid)
        if reading is not None:
            fault = f"the driver cannot read it: {reading.error}" if reading.error else ""
            gpu = replace(gpu, fault=fault) if fault != gpu.fault else gpu
        out.append(gpu)
    return tuple(out)
