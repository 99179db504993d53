"""Threads that watch the GPUs of this machine: one for each, so that one that hangs silences nobody.

A question to a driver that hangs never returns, and its thread cannot be ended. So no other thread asks anything,
and readers get what was last known at once; whether it is too old is for them to judge.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from labq.clock import monotonic, now
from labq.holding.nvml import Nvml
from labq.holding.samples import GpuHealth, GpuSample, WatchedGpu, XidCount
from labq.node import Gpu

log = logging.getLogger(__name__)
#: Seconds after which GPUs are looked for again: a driver loaded later, a card back from the dead, new instances.
FIND = 60.0
#: The same while there is none at all: at boot the driver may be loaded after us.
FIND_NONE = 5.0
#: Seconds of one wait for an Xid event; bounds only how long a driver that was reloaded goes unheard.
XID_WAIT = 1.0


class _Watched:
    """One GPU and what its thread last heard of it."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.sample: GpuSample | None = None
        self.health: GpuHealth | None = None
        self.pci_bus_id = ""
        self.minor: int | None = None
        self.stop = threading.Event()

    def known(self) -> WatchedGpu:
        return WatchedGpu(self.gpu, self.sample, self.health, self.pci_bus_id, self.minor)


class GpuWatch:
    """Knows the latest of each GPU of this machine."""

    def __init__(
        self, nvml: Nvml, interval: float = 1.0, health_interval: float = 10.0, find_interval: float = FIND
    ) -> None:
        """Prepare.

        Args:
            nvml: the driver.
            interval: seconds from one sample of a GPU to its next.
            health_interval: seconds from one look at a GPU's health to the next.
            find_interval: seconds after which GPUs are looked for again.
        """
        self._nvml = nvml
        self._interval = interval
        self._health_interval = health_interval
        self._find_interval = find_interval
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._xids: dict[tuple[str, int], XidCount] = {}
        self._stop = threading.Event()
        self._find_now = threading.Event()
        self._found = threading.Event()
        #: version of the driver; "" = there is none, or it has not answered yet
        self.driver = ""
        #: why there is no GPU; "" = there are some
        self.error = "the NVIDIA driver has not answered yet"
        #: by index, GPUs that the driver counts but cannot name
        self.unreadable: Mapping[int, str] = {}

    def start(self) -> None:
        """Begin to watch."""
        for name, work in (("gpu-find", self._keep_finding), ("gpu-xid", self._keep_hearing)):
            threading.Thread(target=work, name=name, daemon=True).start()

    def stop(self) -> None:
        """Watch no more. Threads that a driver holds stay until it answers."""
        self._stop.set()
        self._find_now.set()
        with self._lock:
            for watched in self._watched.values():
                watched.stop.set()

    def wait_found(self, timeout: float) -> bool:
        """Wait until GPUs were looked for once; return whether they were.

        Args:
            timeout: seconds to wait at most; a driver may never answer.
        """
        return self._found.wait(timeout)

    def snapshot(self) -> list[WatchedGpu]:
        """Return the latest of each GPU, by slot. Asks nobody, waits for nobody."""
        with self._lock:
            known = [watched.known() for watched in self._watched.values()]
        return sorted(known, key=lambda one: (one.gpu.index, one.gpu.instance or 0, one.gpu.uuid))

    def xids(self) -> list[XidCount]:
        """Return the Xid events since the start, by GPU and code."""
        with self._lock:
            return [self._xids[key] for key in sorted(self._xids)]

    def _keep_finding(self) -> None:
        while not self._stop.is_set():
            try:
                self._find_once()
            except Exception:
                log.exception("looking for GPUs")
            self._find_now.wait(self._find_interval if self._watched else min(FIND_NONE, self._find_interval))
            self._find_now.clear()

    def _find_once(self) -> None:
        found, why = self._nvml.find()
        driver = self._nvml.driver()
        begun = []
        with self._lock:
            gone = _replaced({uuid: watched.gpu for uuid, watched in self._watched.items()}, found)
            for uuid in gone:
                self._watched.pop(uuid).stop.set()
            for gpu in found:
                watched = self._watched.get(gpu.uuid)
                if watched is None:
                    watched = self._watched[gpu.uuid] = _Watched(gpu)
                    begun.append(watched)
                watched.gpu = gpu
            if why != self.error and not self._watched:
                log.warning("no GPU on this machine: %s", why)
            self.error = "" if self._watched else why
            self.driver = driver or self.driver
            self.unreadable = self._nvml.unreadable
        for watched in begun:
            name = f"gpu-{watched.gpu.slot}"
            threading.Thread(target=self._follow, args=(watched,), name=name, daemon=True).start()
        self._found.set()

    def _follow(self, watched: _Watched) -> None:
        health_due = 0.0
        while not (watched.stop.is_set() or self._stop.is_set()):
            began = monotonic()
            try:
                self._sample(watched)
                well = watched.sample is not None and not watched.sample.error
                if well and began >= health_due:
                    self._check(watched)
                    health_due = began + self._health_interval
            except Exception:
                log.exception("reading GPU %s", watched.gpu.slot)
            watched.stop.wait(max(0.0, began + self._interval - monotonic()))

    def _sample(self, watched: _Watched) -> None:
        before, gpu = watched.sample, watched.gpu
        watched.sample = sample = self._nvml.sample(gpu)
        if sample.error != (before.error if before else ""):
            log.warning("GPU %s (%s): %s", gpu.slot, gpu.uuid, sample.error or "it can be read again")
        if sample.lost and not (before and before.lost):
            # Whether it fell off the bus, or is an instance that was taken away, the whole picture tells.
            self._find_now.set()
        if not sample.error:
            self._nvml.listen(gpu)

    def _check(self, watched: _Watched) -> None:
        if not watched.pci_bus_id:
            watched.pci_bus_id, watched.minor = self._nvml.identify(watched.gpu)
        watched.health = self._nvml.health(watched.gpu)

    def _keep_hearing(self) -> None:
        while not self._stop.is_set():
            heard = None
            if self._nvml.listening:
                try:
                    heard = self._nvml.next_xid(XID_WAIT)
                except OSError as error:
                    log.warning("Xid events are not heard until a GPU answers again: %s", error)
                    self._stop.wait(XID_WAIT)
                except Exception:
                    log.exception("listening for Xid events")
                    self._stop.wait(XID_WAIT)
            else:
                self._stop.wait(self._interval)
            if heard is not None:
                self._count(*heard, at=now())

    def _count(self, uuids: tuple[str, ...], code: int, at: float) -> None:
        with self._lock:
            for uuid in uuids:
                known = self._xids.get((uuid, code))
                self._xids[uuid, code] = XidCount(uuid, code, known.count + 1 if known else 1, at)
        log.warning("Xid %d on %s", code, ", ".join(uuids) or "a GPU that is not watched")


def _replaced(known: Mapping[str, Gpu], found: tuple[Gpu, ...]) -> list[str]:
    """Return the uuids of GPUs that are not lost but no longer exist: divided anew, or another card in their place."""
    new = {gpu.index for gpu in found if gpu.uuid not in known}
    present, here = {gpu.index for gpu in found}, {gpu.uuid for gpu in found}
    return [
        uuid
        for uuid, gpu in known.items()
        if uuid not in here and gpu.index in (new if gpu.instance is None else present)
    ]
