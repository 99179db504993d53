"""What the GPUs of this node do, and who holds them, looked at every second; and the rows of use that follow.

Two threads, so that a Redis that hangs never keeps from looking: one looks and counts, one writes what was counted.
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
from labq.holding.seal import SealKey
from labq.holding.watch import GpuWatch
from labq.neighbours import Neighbours
from labq.store import Store
from labq_worker.gpu_near import GpuNear
from labq_worker.usage_meter import UsageMeter

log = logging.getLogger(__name__)
#: Seconds between two looks, and between two writings of the rows of use (and readings of the key of seals).
INTERVAL, WRITE_EVERY = 1.0, 10.0
#: Seconds that the start of the agent waits for the driver to name its GPUs; one that hangs names them later.
FIND = 20.0
#: Seconds that the end waits for the last look, and for all of it: the agent leaves at once when it is told to.
LAST_LOOK, END = 0.3, 1.0


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
        *,
        write_every: float = WRITE_EVERY,
    ) -> None:
        """Begin to watch the driver, and wait a moment for the names of its GPUs.

        Args:
            store: takes the rows of use; for nobody else's use.
            node: name of the node.
            epoch: names this life of the agent.
            leases: those of this node.
            engines: sockets of container engines.
            stamp_key: key of the docker.sock proxy's seals.
            write_every: seconds between two writings.
        """
        nvml = Nvml()
        self.watch = GpuWatch(nvml, INTERVAL)
        self.watch.start()
        #: which GPUs are near each other
        self.near = GpuNear(nvml, lambda: [each.gpu for each in self.watch.snapshot()])
        if not self.watch.wait_found(FIND):
            log.warning(
                "the NVIDIA driver has not answered for %g s; going on without GPUs until it does", FIND
            )
        self._store, self._node, self._leases = store, node, leases
        self._containers = Containers(engines)
        self._write_every = write_every
        self._look = Look(
            self.watch.snapshot, self._containers.known, interval=INTERVAL, key=SealKey(stamp_key)
        )
        self._meter, self._metering = UsageMeter(node, epoch), threading.Lock()
        #: of the last look
        self.readings: Sequence[GpuReading] = ()
        self._stop = threading.Event()
        self._looking = threading.Thread(target=self._keep_looking, name="gpu-use", daemon=True)
        self._writing = threading.Thread(target=self._keep_writing, name="usage-write", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self.near.start()
        self._containers.start()
        self._looking.start()
        self._writing.start()

    def wait_looked(self, seconds: float) -> bool:
        """Wait until the GPUs were looked at once; return whether they were. Without GPUs there is nothing to wait for.

        Args:
            seconds: to wait at most.
        """
        deadline = monotonic() + seconds
        while self.watch.snapshot() and not any(each.fresh for each in self.readings):
            if monotonic() > deadline or self._stop.wait(0.02):
                return False
        return True

    @property
    def neighbours(self) -> Neighbours:
        """Return which GPUs are near each other, as far as the driver has told."""
        return self.near.known

    def stop(self) -> None:
        """Look once more and write the last rows; wait no longer than ``END`` for a Redis that hangs."""
        self._stop.set()
        self.near.stop()
        if self._writing.ident is not None:
            self._writing.join(timeout=END)
            # An engine that hangs keeps the threads that ask it for its timeout.
            threading.Thread(target=self._containers.stop, name="engines-stop", daemon=True).start()
        self.watch.stop()

    def _keep_looking(self) -> None:
        self._containers.wait_listed(self._stop)
        told = False
        while True:
            last, began = self._stop.is_set(), monotonic()
            try:
                self.readings = self._look(self._leases(), began)
                with self._metering:
                    self._meter.add(self.readings, began, now())
                told = False
            except Exception:
                if not told:
                    log.exception("looking at the GPUs; the next look starts afresh")
                told = True
            if last:
                return
            self._stop.wait(max(0.0, began + INTERVAL - monotonic()))

    def _keep_writing(self) -> None:
        told = False
        while True:
            last = self._stop.wait(self._write_every)
            if last:
                self._looking.join(timeout=LAST_LOOK)
            try:
                self._write()
                told = False
            except LabqError as error:
                # Redis is away: the rows wait here.
                log.debug("use of the GPUs: %s", error.what)
            except Exception:
                if not told:
                    log.exception("writing the use of the GPUs; it is tried again")
                told = True
            if last:
                return

    def _write(self) -> None:
        with self._metering:
            rows = self._meter.changed()
        if rows:
            self._store.usage.write(self._node, rows)
            with self._metering:
                self._meter.written(rows)
