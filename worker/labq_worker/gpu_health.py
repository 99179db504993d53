"""Which GPU is not well, and what the heartbeat says of those that are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from labq.holding.samples import GpuSample
from labq.node import Gpu


def reading(sample: GpuSample) -> dict[str, float | None]:
    """Return what the heartbeat tells of a GPU: bytes, percent, degrees Celsius, watts."""
    used = sample.utilization
    return {
        "memory_used": sample.memory_used,
        "utilization": None if used is None else round(used * 100),
        "temperature": sample.temperature,
        "power": sample.power,
    }


def with_faults(gpus: Iterable[Gpu], samples: Mapping[str, GpuSample]) -> tuple[Gpu, ...]:
    """Return the GPUs with a fault where the latest sample failed, and without where it did not.

    A GPU without a sample keeps the fault it has: silence says nothing new.
    """
    out = []
    for gpu in gpus:
        sample = samples.get(gpu.uuid)
        if sample is not None:
            fault = f"the driver cannot read it: {sample.error}" if sample.error else ""
            gpu = replace(gpu, fault=fault) if fault != gpu.fault else gpu
        out.append(gpu)
    return tuple(out)
