"""NVIDIA GPUs through NVML. The only importer of pynvml.

A driver may answer each single question with an error, may lose a GPU, and may hang. So every question is
asked alone and its failure stays with that one value; and callers ask from a thread of its own (heartbeat.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pynvml

from labq.node import Gpu
from labq_worker.gpu_health import Reading

log = logging.getLogger(__name__)
#: Lost, no handle, or the driver is gone: the GPU itself, not one value of it.
_NOT_SUPPORTED = {pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND}


class Nvml:
    """The driver of this machine, opened once."""

    def __init__(self) -> None:
        """Open lazily."""
        self._open = False

    def _ensure_open(self) -> None:
        if not self._open:
            pynvml.nvmlInit()
            self._open = True

    def driver(self) -> str:
        """Return the driver's version; "" when there is none."""
        try:
            self._ensure_open()
            return _text(pynvml.nvmlSystemGetDriverVersion())
        except pynvml.NVMLError:
            return ""

    def find(self) -> tuple[tuple[Gpu, ...], str]:
        """Return the GPUs of this machine, and why there are none when there are none."""
        try:
            self._ensure_open()
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            return (), str(error)
        found = []
        for index in range(count):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
                model = _text(pynvml.nvmlDeviceGetName(handle))
                total = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
            except pynvml.NVMLError as error:
                # Without its UUID nothing could be placed on it; the others are not to suffer.
                log.warning("GPU %d of this machine cannot be read and is left out: %s", index, error)
                continue
            found.append(Gpu(uuid, index, model, total))
        return tuple(found), "" if found else "the driver lists no GPU that can be read"

    def read(self, gpu: Gpu) -> Reading:
        """Return what the driver says of one GPU."""
        try:
            self._ensure_open()
            # By UUID: an index may name another GPU after one was lost.
            handle = pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
            used = int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
        except pynvml.NVMLError as error:
            if error.value in _NOT_SUPPORTED:
                return Reading()
            if error.value == pynvml.NVML_ERROR_UNINITIALIZED:
                self._open = False
            return Reading(error=str(error))
        utilization = _ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
        milliwatts = _ask(pynvml.nvmlDeviceGetPowerUsage, handle)
        return Reading(
            memory_used=used,
            utilization=None if utilization is None else int(utilization.gpu),
            temperature=_temperature(handle),
            power=None if milliwatts is None else milliwatts / 1000,
        )


def _temperature(handle: Any) -> int | None:
    # The plain call goes away with CUDA 14; older bindings lack the versioned one.
    versioned = getattr(pynvml, "nvmlDeviceGetTemperatureV", None)
    degrees = None if versioned is None else _ask(versioned, handle, pynvml.NVML_TEMPERATURE_GPU)
    if degrees is None:
        degrees = _ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU)
    return None if degrees is None else int(degrees)


def _ask(question: Callable[..., Any], *args: Any) -> Any:
    try:
        return question(*args)
    except pynvml.NVMLError:
        return None


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
