"""Single questions to NVIDIA's driver, for nvml.py: what is asked, and what is asked instead where it is not known."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml

from labq.node import Gpu

#: The driver knows the question but not for this GPU; or is too old for it; or keeps the answer from us.
_CANNOT_SAY = {
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_NO_PERMISSION,
}
_WORDS = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no NVIDIA driver is installed (there is no libnvidia-ml.so.1)",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA kernel module is not loaded",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA library and kernel module are of different versions, "
    "as after an update of the driver: reboot this machine",
}


class Questions:
    """Asks one GPU; a failure stays with its question, but for one that says that the GPU or the driver is gone."""

    def __init__(self) -> None:
        self.fatal: pynvml.NVMLError | None = None

    def __call__(self, question: str, *args: Any) -> Any:
        """Return the answer of the function of that name; None = there is none."""
        # By name: an older binding may lack it, as an older driver may.
        call = getattr(pynvml, question, None)
        if call is None or self.fatal is not None:
            return None
        try:
            return call(*args)
        except pynvml.NVMLError as error:
            if error.value in {
                pynvml.NVML_ERROR_GPU_IS_LOST,
                pynvml.NVML_ERROR_RESET_REQUIRED,
                pynvml.NVML_ERROR_UNINITIALIZED,
            }:
                self.fatal = error
            return None


def gpus_at(index: int) -> list[Gpu]:
    """Return the GPU at an index, or its instances.

    Raises:
        pynvml.NVMLError: the card cannot be read.
    """
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    card = _gpu(handle, index, None)
    mode = Questions()("nvmlDeviceGetMigMode", handle)
    if not mode or not mode[0]:
        return [card]
    instances = []
    for position in range(Questions()("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        # Places without an instance answer "not found".
        instance = Questions()("nvmlDeviceGetMigDeviceHandleByIndex", handle, position)
        number = None if instance is None else Questions()("nvmlDeviceGetGpuInstanceId", instance)
        if number is not None:
            instances.append(_gpu(instance, index, int(number)))
    return instances or [card]


def _gpu(handle: Any, index: int, instance: int | None) -> Gpu:
    uuid = text(pynvml.nvmlDeviceGetUUID(handle))
    model = text(pynvml.nvmlDeviceGetName(handle))
    try:
        total = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError as error:
        if error.value not in _CANNOT_SAY:
            raise
        total = 0  # it shares the machine's memory, and has none of its own
    return Gpu(uuid, index, model, total, instance=instance)


def memory_used(handle: Any) -> int | None:
    """Return bytes; None = it never can say.

    Raises:
        pynvml.NVMLError: the GPU cannot be read.
    """
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
    except pynvml.NVMLError as error:
        # Every GPU that works answers this, or says that it never can.
        if error.value in _CANNOT_SAY:
            return None
        raise


def listed(ask: Questions, handle: Any, forms: tuple[str, ...]) -> list[tuple[int, int | None]] | None:
    """Return (pid, bytes) of each process in one of the driver's lists, by the first form that it knows."""
    for form in forms:
        rows = ask(form, handle)
        if rows is not None:
            return [(int(row.pid), row.usedGpuMemory) for row in rows]
    return None


def temperature(ask: Questions, handle: Any) -> int | None:
    """Return degrees Celsius."""
    # The plain call goes away with CUDA 14; older drivers and bindings lack the versioned one.
    for question in ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"):
        degrees = ask(question, handle, pynvml.NVML_TEMPERATURE_GPU)
        if degrees is not None:
            return int(degrees)
    return None


def slowdown(ask: Questions, handle: Any) -> int | None:
    """Return the degrees Celsius at which this GPU slows itself down."""
    degrees = ask("nvmlDeviceGetTemperatureThreshold", handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
    if degrees is not None:
        return int(degrees)
    # Newer GPUs (Ada, Hopper) tell how far away the limit is, and not where.
    margin = ask("nvmlDeviceGetMarginTemperature", handle)
    degrees = None if margin is None else temperature(ask, handle)
    return None if degrees is None else degrees + int(margin)


def address(device: Any) -> int:
    """Return what NVML tells devices apart by: the pointer. A lost GPU answers no question about its name."""
    return int(ctypes.cast(device, ctypes.c_void_p).value or 0)


def words(error: pynvml.NVMLError) -> str:
    """Return what an error means, and the driver's own name for it."""
    known = _WORDS.get(error.value)
    return str(error) if known is None else f"{known} ({error})"


def text(value: bytes | str) -> str:
    """Return text, which older bindings give as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
