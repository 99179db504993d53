"""Which GPU is not well, and what the heartbeat says of all. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from labq.holding.reading import GpuReading, Holder
from labq.node import Gpu

#: Seconds of the driver's silence about one GPU after which nothing more is placed on it.
SILENT = 20.0


def reading(read: GpuReading) -> dict[str, Any]:
    """Return what the heartbeat tells of a GPU: bytes, percent, degrees Celsius, watts, and who holds it."""
    sample = read.watched.sample
    told: dict[str, Any] = {"state": str(read.state), "holders": [holder(each) for each in read.holders]}
    if sample is not None and not sample.error:
        used = sample.utilization
        told |= {
            "memory_used": sample.memory_used,
            "utilization": None if used is None else round(used * 100),
            "temperature": sample.temperature,
            "power": sample.power,
        }
    return told


def holder(each: Holder) -> dict[str, Any]:
    """Return one holder for the heartbeat: bytes, ratio, seconds since the epoch; what is empty is left out."""
    told = {
        "user": each.user,
        "source": str(each.source),
        "since": None if each.since is None else round(each.since, 1),
        "memory": each.memory,
        "utilization": None if each.utilization is None else round(each.utilization, 3),
        "processes": each.processes,
        "busy": each.busy,
        "container": each.container,
        "job": each.job,
        "disputed": each.disputed,
    }
    return {key: value for key, value in told.items() if value not in (None, "", 0, False)}


def gpus_of(known: Sequence[Gpu], readings: Iterable[GpuReading], at: float) -> tuple[Gpu, ...]:
    """Return the node's GPUs as they are now: with a fault where the driver cannot read one, or says nothing.

    Args:
        known: as they were registered last.
        readings: of the last look; a GPU that is missing there is no more (an instance that was taken away).
        at: monotonic seconds.
    """
    faults = {gpu.uuid: gpu.fault for gpu in known}
    out = []
    for read in readings:
        sample = read.watched.sample
        fault = faults.get(read.gpu.uuid, "")
        if sample is not None and at - sample.at > SILENT:
            fault = "the driver says nothing of it any more; `nvidia-smi` on the node may hang as well"
        elif sample is not None and read.fresh:
            fault = f"the driver cannot read it: {sample.error}" if sample.error else ""
        out.append(replace(read.gpu, fault=fault) if fault != read.gpu.fault else read.gpu)
    # Before the first look nothing is known, and nothing is taken back.
    return tuple(out) if out else tuple(known)
