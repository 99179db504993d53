"""What the GPUs of this node do, and who holds them, looked at every second; and the rows of use that follow.

Only real GPUs are looked at: nobody holds one that is made up but who leased it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from labq.clock import monotonic, now
from labq.errors import LabqError
from labq.holding.engines import Containers
from labq.holding.facts import LeaseFacts
from labq.holding.look import Look
from labq.holding.nvml import Nvml
from labq.holding.reading import GpuReading
from labq.holding.seal import read_key
from labq.holding.watch import GpuWatch
from labq.store import Store
from labq_worker.usage_meter import UsageMeter

log = logging.getLogger(__name__)
#: Seconds between two looks, and between two writings of the rows of use.
INTERVAL, WRITE_EVERY = 1.0, 10.0
#: Seconds that the start of the agent waits for the driver to name its GPUs; one that hangs names them later.
FIND = 20.0


class GpuUse:
    """Looks in a thread of its own; readers never wait."""

    def __init__(
        self,
        store: Store,
        node: str,
        epoch: str,
        leases: Callable[[], Sequence[LeaseFacts]],
        engines: Sequence[str],
        stamp_key: Path,
    ) -> None:
        """Begin to watch the driver, and wait a moment for the names of its GPUs.

        Args:
            store: takes the rows of use.
            node: name of the node.
            epoch: names this life of the agent.
            leases: those of this node.
            engines: sockets of container engines.
            stamp_key: key of the docker.sock proxy's seals.
        """
        self.watch = GpuWatch(Nvml(), INTERVAL)
        self.watch.start()
        if not self.watch.wait_found(FIND):
            log.warning(
                "the NVIDIA driver has not answered for %g s; going on without GPUs until it does", FIND
            )
        self._store, self._node, self._leases = store, node, leases
        self._containers = Containers(engines)
        self._stamp_key = stamp_key
        self._key: bytes | None = None
        self._look = Look(
            self.watch.snapshot, self._containers.known, interval=INTERVAL, key=lambda: self._key
        )
        self._meter = UsageMeter(node, epoch)
        #: of the last look
        self.readings: Sequence[GpuReading] = ()
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        self._containers.start()
        threading.Thread(target=self._run, name="gpu-use", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def _run(self) -> None:
        written, told = -1e9, False
        while not self._stop.is_set():
            began = monotonic()
            try:
                if began - written >= WRITE_EVERY:
                    written = began
                    self._key = self._read_key()
                    self._write()
                self.readings = self._look(self._leases(), began)
                self._meter.add(self.readings, began, now())
                told = False
            except LabqError as error:
                # Redis is away: the rows wait here.
                log.debug("use of the GPUs: %s", error.what)
            except Exception:
                if not told:
                    log.exception("looking at the GPUs; the next look starts afresh")
                told = True
            self._stop.wait(max(0.0, began + INTERVAL - monotonic()))

    def _write(self) -> None:
        rows = self._meter.changed()
        if rows:
            self._store.usage.write(self._node, rows)
            self._meter.written(rows, now())

    def _read_key(self) -> bytes | None:
        try:
            return read_key(self._stamp_key)
        except LabqError:
            return None
