"""What the node says of itself: registered once and after each change, a heartbeat every 2 s.

The driver is asked in a thread of its own: when it hangs, the heartbeat goes on and shows no readings.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from labq.clock import monotonic, now
from labq.errors import UnavailableError
from labq.holding.samples import GpuSample
from labq.node import Gpu, Node
from labq.store import Store
from labq_worker.gpu_health import reading, with_faults

log = logging.getLogger(__name__)
INTERVAL = 2.0
#: Seconds after which a reading says nothing any more.
STALE = 3 * INTERVAL


class Driver(Protocol):
    """Reads GPUs."""

    def sample(self, gpu: Gpu) -> GpuSample:
        """Return what it says of one GPU."""


class Heartbeat:
    """Keeps the node's record in the store."""

    def __init__(
        self, store: Store, node: Node, driver: Driver | None, before_registering: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            store: the store.
            node: what to say of this node.
            driver: asked for readings of the GPUs that are real; None = there are none.
            before_registering: stops what is no longer ours, after the node was declared lost.
        """
        self._store = store
        self.node = node
        self._driver = driver
        self._before_registering = before_registering
        self._readings: dict[str, tuple[float, GpuSample]] = {}
        self._stop = threading.Event()

    def register(self) -> None:
        """Write the node."""
        self._store.nodes.register(self.node, now=now())

    def start(self) -> None:
        """Begin to beat."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        if self._driver is not None:
            for gpu in self.node.gpus:
                # One thread for each: a GPU whose driver hangs does not silence the others.
                threading.Thread(target=self._read, args=(gpu,), name=f"gpu-{gpu.index}", daemon=True).start()

    def stop(self) -> None:
        """Beat no more."""
        self._stop.set()

    def _read(self, gpu: Gpu) -> None:
        driver = self._driver
        while driver is not None and not self._stop.is_set():
            self._readings[gpu.uuid] = (monotonic(), driver.sample(gpu))
            self._stop.wait(INTERVAL)

    def _beat(self) -> None:
        told = False
        while not self._stop.is_set():
            try:
                self._beat_once()
                told = False
            except UnavailableError as error:
                if not told:
                    log.warning("heartbeat: %s", error.what)
                told = True
            except Exception:
                log.exception("heartbeat")
            self._stop.wait(INTERVAL)

    def _beat_once(self) -> None:
        at = monotonic()
        fresh = {uuid: sample for uuid, (when, sample) in dict(self._readings).items() if at - when < STALE}
        gpus = with_faults(self.node.gpus, fresh)
        if gpus != self.node.gpus:
            for gpu in gpus:
                if gpu.fault:
                    log.warning("GPU %s (%s): %s", gpu.slot, gpu.uuid, gpu.fault)
            self.node = replace(self.node, gpus=gpus)
            self.register()
        readings = {uuid: reading(sample) for uuid, sample in fresh.items() if not sample.error}
        if not self._store.nodes.heartbeat(self.node.name, {"gpus": readings}, now=now()):
            log.warning("the store does not know this node as alive: registering again")
            self._before_registering()
            self.register()
