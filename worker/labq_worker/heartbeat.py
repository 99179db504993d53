"""What the node says of itself: registered once and after each change, a heartbeat every 2 s.

The GPUs are looked at in threads of their own (gpu_use.py): when the driver hangs, the heartbeat goes on and says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from labq.clock import monotonic, now
from labq.errors import NotAllowedError, UnavailableError
from labq.holding.reading import GpuReading
from labq.neighbours import Neighbours
from labq.node import Node
from labq.store import Store
from labq_worker.gpu_health import gpus_of, reading

log = logging.getLogger(__name__)
INTERVAL = 2.0


class Use(Protocol):
    """What is known of the GPUs (gpu_use.py)."""

    @property
    def readings(self) -> Sequence[GpuReading]:
        """Return the last look."""

    @property
    def neighbours(self) -> Neighbours:
        """Return which GPUs are near each other."""


class Heartbeat:
    """Keeps the node's record in the store."""

    def __init__(
        self,
        store: Store,
        node: Node,
        use: Use | None,
        *,
        each_beat: Callable[[], None],
        before_registering: Callable[[], None],
        may_register: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            store: the store.
            node: what to say of this node.
            use: what its real GPUs do; None = it has none.
            each_beat: called at each beat, whether the store answers or not.
            before_registering: stops what is no longer ours, after the node was declared lost.
            may_register: raises NotAllowedError when this node was removed from the lab.
        """
        self._store = store
        self.node = node
        self._use = use
        self._each_beat = each_beat
        self._before_registering = before_registering
        self._may_register = may_register
        #: called before each beat
        self.on_turn: Callable[[], None] = lambda: None
        #: whether the store answered the last beat; None = there was none yet
        self.heard: bool | None = None
        #: bytes of disk that jobs may have; None = not told
        self.disk: Callable[[], int | None] = lambda: self.node.disk
        self._stop = threading.Event()

    def register(self) -> None:
        """Write the node.

        Raises:
            NotAllowedError: it was removed from the lab.
        """
        self._may_register()
        self.node = replace(self.node, near=self._near(), disk=self.disk())
        self._store.nodes.register(self.node, now=now(), readings=self._said())

    def start(self) -> None:
        """Begin to beat."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """Beat no more."""
        self._stop.set()

    def _beat(self) -> None:
        told = refused = False
        while not self._stop.is_set():
            self.on_turn()
            try:
                self._each_beat()
                self._beat_once()
                told, refused, self.heard = False, False, True
            except UnavailableError as error:
                self.heard = False
                if not told:
                    log.warning("heartbeat: %s", error.what)
                told = True
            except NotAllowedError as error:
                if not refused:
                    log.error("%s; %s", error.what, error.next)  # noqa: TRY400 - no traceback helps
                told, refused, self.heard = False, True, True
            except Exception:
                log.exception("heartbeat")
            self._stop.wait(INTERVAL)

    def _beat_once(self) -> None:
        readings = self._use.readings if self._use is not None else ()
        if self._use is not None:
            gpus = gpus_of(self.node.gpus, readings, monotonic())
            if gpus != self.node.gpus:
                for gpu in gpus:
                    if gpu.fault:
                        log.warning("GPU %s (%s): %s", gpu.slot, gpu.uuid, gpu.fault)
                self.node = replace(self.node, gpus=gpus)
                self.register()
        if self._near() != self.node.near or self.disk() != self.node.disk:
            self.register()
        if not self._store.nodes.heartbeat(self.node.name, self._said(), now=now()):
            self._may_register()
            log.warning("the store does not know this node as alive: registering again")
            self._before_registering()
            self.register()

    def _near(self) -> Neighbours:
        """Return what the driver told; of GPUs that are made up it was said at the start."""
        if self._use is None:
            return self.node.near
        return self._use.neighbours.among([gpu.uuid for gpu in self.node.gpus])

    def _said(self) -> dict[str, Any]:
        """Return what is known of the GPUs now. One that is missing there is, for the queue, one not looked at."""
        readings = self._use.readings if self._use is not None else ()
        return {"gpus": {each.gpu.uuid: reading(each) for each in readings if each.fresh}}
