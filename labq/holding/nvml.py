"""NVIDIA's driver through NVML. With nvml_questions.py and nvml_near.py the only importer of pynvml.

A driver may answer each single question with an error, may lose a GPU, may be reloaded, and may hang. So every
question is asked alone and its failure stays with that one value; an error of the GPU itself becomes words, never an
exception; and nothing here may be called from a thread that others wait for (watch.py has threads for it).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pynvml

from labq.clock import monotonic, now
from labq.holding import nvml_near, process_rows
from labq.holding.nvml_questions import (
    Questions,
    address,
    gpus_at,
    listed,
    memory_used,
    slowdown,
    temperature,
    text,
    words,
)
from labq.holding.process_rows import UseRow
from labq.holding.samples import THROTTLE_REASONS, GpuHealth, GpuProcess, GpuSample
from labq.node import Gpu

log = logging.getLogger(__name__)
#: NVML_ERROR_GPU_NOT_FOUND; bindings before 12.550 have no name for it.
_GPU_NOT_FOUND = 28
#: A GPU that was there has gone: off the bus, or unusable until it is reset.
_LOST = {
    pynvml.NVML_ERROR_GPU_IS_LOST,
    pynvml.NVML_ERROR_RESET_REQUIRED,
    pynvml.NVML_ERROR_NOT_FOUND,
    _GPU_NOT_FOUND,
}
#: Bits of nvml.h's nvmlClocksEventReasons that mean "slower than it could", in the order of THROTTLE_REASONS.
_THROTTLE_BITS = dict(zip(THROTTLE_REASONS, (0x04, 0x08, 0x20, 0x40, 0x80), strict=True))
_NO_INSTANCE = 0xFFFFFFFF
#: Drivers before 510 know the second form only.
_COMPUTE = ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2")
_MPS = ("nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2")


@dataclass(frozen=True, slots=True)
class _Device:
    handle: Any
    #: the card that ``handle`` is an instance of; else the same as ``handle``
    card: Any


class Nvml:
    """The driver of this machine, opened when first asked, and again after it was reloaded. For many threads."""

    def __init__(self) -> None:
        """Open lazily."""
        self._lock = threading.Lock()
        self._open = False
        self._devices: dict[str, _Device] = {}
        self._newest_use: dict[str, int] = {}
        self._events: Any = None
        #: by the address of the card: who is meant by an event of it
        self._listening: dict[int, dict[str, Gpu]] = {}
        self._registered: set[int] = set()
        #: by index, what the driver said at the last :meth:`find` of GPUs whose uuid it could not tell
        self.unreadable: Mapping[int, str] = {}

    def driver(self) -> str:
        """Return the driver's version; "" when there is none."""
        try:
            self._ensure_open()
            return text(pynvml.nvmlSystemGetDriverVersion())
        except pynvml.NVMLError as error:
            self._after(error)
            return ""

    def find(self) -> tuple[tuple[Gpu, ...], str]:
        """Return the GPUs of this machine, and why there are none when there are none.

        A card in MIG mode that has instances is replaced by its instances.
        """
        try:
            self._ensure_open()
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            self._after(error)
            return (), words(error)
        found: list[Gpu] = []
        unreadable: dict[int, str] = {}
        for index in range(count):
            try:
                found += gpus_at(index)
            except pynvml.NVMLError as error:
                # Without its UUID nothing could be placed on it; the others are not to suffer.
                unreadable[index] = str(error)
                if self.unreadable.get(index) != unreadable[index]:
                    log.warning("GPU %d of this machine cannot be read and is left out: %s", index, error)
        self.unreadable = unreadable
        if not count:
            self._reopen_if_unused()
        return tuple(found), "" if found else "the driver lists no GPU that can be read"

    def identify(self, gpu: Gpu) -> tuple[str, int | None]:
        """Return the card's PCI address ("" = not told) and the N of its ``/dev/nvidiaN``, which is not its index."""
        try:
            card = self._device(gpu).card
        except pynvml.NVMLError as error:
            self._after(error, gpu)
            return "", None
        ask = Questions()
        pci = ask("nvmlDeviceGetPciInfo", card)
        minor = ask("nvmlDeviceGetMinorNumber", card)
        return "" if pci is None else text(pci.busId), None if minor is None else int(minor)

    def ties(self, gpus: Iterable[Gpu]) -> nvml_near.Ties:
        """Return which whole GPUs are near each other; instances reach nobody. May block for as long as the driver does."""
        cards = {}
        for gpu in gpus:
            if gpu.instance is not None:
                continue
            try:
                cards[gpu.uuid] = self._device(gpu).handle
            except pynvml.NVMLError as error:
                self._after(error, gpu)
        return nvml_near.ties(cards)

    def sample(self, gpu: Gpu) -> GpuSample:
        """Return what changes by the second. May block for as long as the driver does."""
        ask = Questions()
        try:
            device = self._device(gpu)
            used = memory_used(device.handle)
            rates = ask("nvmlDeviceGetUtilizationRates", device.handle)
            degrees = temperature(ask, device.card)
            # The power of a whole card is not that of an instance: shown for each it would be counted for each.
            milliwatts = None if gpu.instance is not None else ask("nvmlDeviceGetPowerUsage", device.handle)
            processes = self._processes(ask, gpu, device.handle)
            if ask.fatal is not None:
                raise ask.fatal
        except pynvml.NVMLError as error:
            self._after(error, gpu)
            return GpuSample(at=monotonic(), error=words(error), lost=error.value in _LOST)
        return GpuSample(
            at=monotonic(),
            memory_used=used,
            utilization=None if rates is None else min(1.0, int(rates.gpu) / 100),
            temperature=degrees,
            power=None if milliwatts is None else milliwatts / 1000,
            processes=processes,
        )

    def health(self, gpu: Gpu) -> GpuHealth:
        """Return what changes by the minute; nothing of a GPU that cannot be read. May block."""
        try:
            device = self._device(gpu)
        except pynvml.NVMLError as error:
            self._after(error, gpu)
            return GpuHealth(at=monotonic())
        ask, whole = Questions(), gpu.instance is None
        limit = ask("nvmlDeviceGetEnforcedPowerLimit", device.handle) if whole else None
        energy = ask("nvmlDeviceGetTotalEnergyConsumption", device.handle) if whole else None
        remapped = ask("nvmlDeviceGetRemappedRows", device.card)
        # A card in MIG mode tells volatile errors of its instances only, so these are asked.
        corrected, uncorrected = (
            ask("nvmlDeviceGetTotalEccErrors", device.handle, kind, pynvml.NVML_VOLATILE_ECC)
            for kind in (pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED)
        )
        reasons = ask("nvmlDeviceGetCurrentClocksEventReasons", device.card)
        if reasons is None:  # its name before driver 535
            reasons = ask("nvmlDeviceGetCurrentClocksThrottleReasons", device.card)
        return GpuHealth(
            at=monotonic(),
            temperature_slowdown=slowdown(ask, device.card),
            power_limit=None if limit is None else limit / 1000,
            energy=None if energy is None else energy / 1000,
            ecc_corrected=corrected,
            ecc_uncorrected=uncorrected,
            remap_pending=None if remapped is None else bool(remapped[2]),
            remap_failed=None if remapped is None else bool(remapped[3]),
            throttled={}
            if reasons is None
            else {r: bool(reasons & bit) for r, bit in _THROTTLE_BITS.items()},
        )

    def listen(self, gpu: Gpu) -> None:
        """Let :meth:`next_xid` tell of this GPU from now on; costs nothing when it does already."""
        try:
            card = self._device(gpu).card
            with self._lock:
                if self._events is None:
                    self._events = pynvml.nvmlEventSetCreate()
                here = self._listening.get(address(card), {})
                # A card is itself or its instances, never both.
                whole = gpu.instance is None
                here = {uuid: one for uuid, one in here.items() if whole == (one.instance is None)}
                self._listening[address(card)] = here | {gpu.uuid: gpu}
                is_new = address(card) not in self._registered
                self._registered.add(address(card))
                events = self._events
            if is_new:
                pynvml.nvmlDeviceRegisterEvents(card, pynvml.nvmlEventTypeXidCriticalError, events)
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_UNINITIALIZED:
                self._after(error, gpu)
            else:
                log.info("GPU %s does not tell of Xid errors: %s", gpu.slot, error)

    @property
    def listening(self) -> bool:
        """Return whether there is anything that :meth:`next_xid` could wait for."""
        return self._events is not None

    def next_xid(self, timeout: float) -> tuple[tuple[str, ...], int] | None:
        """Wait for an Xid event.

        An event carries no time: whoever wants one looks at the clock when it comes.

        Args:
            timeout: seconds to wait.

        Returns:
            The uuids it concerns (each instance of a card that it is not more precise about) and its code; None when
            there was none in this time.

        Raises:
            OSError: the driver listens no more, with its words; it will when :meth:`listen` is called again.
        """
        events = self._events
        try:
            event = pynvml.nvmlEventSetWait_v2(events, round(timeout * 1000))
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_TIMEOUT:
                return None
            with self._lock:
                # Not freed: another thread may just register a GPU with it, and these few bytes are lost only when a
                # driver fails. Every GPU that answers is registered with the next set.
                self._events = None
                self._registered = set()
            self._after(error)
            raise OSError(words(error)) from None
        with self._lock:
            here = dict(self._listening.get(address(event.device), {}))
        instance = int(event.gpuInstanceId)
        exact = [uuid for uuid, gpu in here.items() if instance != _NO_INSTANCE and gpu.instance == instance]
        return tuple(exact or here), int(event.eventData)

    def _processes(self, ask: Questions, gpu: Gpu, handle: Any) -> tuple[GpuProcess, ...] | None:
        rows = listed(ask, handle, _COMPUTE)
        if rows is None:
            return None
        # Clients of an MPS server may be in a list of their own.
        rows = rows + (listed(ask, handle, _MPS) or [])
        memory = process_rows.believable(rows, gpu.memory)
        return process_rows.processes(memory, self._use(gpu, handle) if memory else None)

    def _use(self, gpu: Gpu, handle: Any) -> dict[int, float] | None:
        at = now()
        since = process_rows.since(self._newest_use.get(gpu.uuid, 0), at)
        try:
            told = pynvml.nvmlDeviceGetProcessUtilization(handle, since)
        except pynvml.NVMLError as error:
            # "Not found", and a success that pynvml does not expect of the call that asks for the size: nobody was
            # busy. Else it cannot say, as on an instance.
            idle = {pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND}
            return {} if error.value in idle else None
        rows = (UseRow(int(row.pid), int(row.timeStamp), int(row.smUtil)) for row in told)
        use, self._newest_use[gpu.uuid] = process_rows.latest_use(rows, since, at)
        return use

    def _ensure_open(self) -> None:
        if self._open:
            return
        with self._lock:
            if not self._open:
                pynvml.nvmlInit()
                self._open = True

    def _device(self, gpu: Gpu) -> _Device:
        self._ensure_open()
        known = self._devices.get(gpu.uuid)
        # Kept, since a search by UUID may touch the GPUs before it, and one of these may hang. But checked, since a
        # handle may mean another instance after the card was divided anew.
        if known is not None and Questions()("nvmlDeviceGetUUID", known.handle) == gpu.uuid:
            return known
        handle = pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
        whole = gpu.instance is None
        card = handle if whole else pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
        self._devices[gpu.uuid] = found = _Device(handle, card)
        return found

    def _after(self, error: pynvml.NVMLError, gpu: Gpu | None = None) -> None:
        """Forget what an error has made untrue."""
        if gpu is not None:
            self._devices.pop(gpu.uuid, None)
            with self._lock:
                for card, here in self._listening.items():
                    if gpu.uuid not in here:
                        continue
                    if gpu.instance is not None and error.value == pynvml.NVML_ERROR_NOT_FOUND:
                        del here[gpu.uuid]  # the instance was taken away
                    else:
                        # It keeps its name: the event of its fall may be told only now.
                        self._registered.discard(card)
        if error.value == pynvml.NVML_ERROR_UNINITIALIZED:
            with self._lock:
                self._open = False
                self._devices, self._listening, self._registered, self._events = {}, {}, set(), None

    def _reopen_if_unused(self) -> None:
        """Close, so that the next question looks for GPUs anew: NVML counts them when it is opened."""
        with self._lock:
            if self._open and not self._devices:
                self._open = False
                Questions()("nvmlShutdown")
