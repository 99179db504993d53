"""Keeps Redis' users of nodes: after a restart of Redis it knows none, and each agent waits until it does."""

from __future__ import annotations

import logging
import threading

from labq.errors import LabqError
from labq.store import Store

log = logging.getLogger(__name__)
#: Seconds between two looks: what a restart of Redis costs an agent.
PERIOD = 2.0


class NodeUserKeeper:
    """A look now and then, in a thread of its own."""

    def __init__(self, store: Store) -> None:
        """Prepare the thread."""
        self._users = store.node_users
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="node users", daemon=True)
        # Once with the rights that this version gives.
        self._anew = True

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=3)

    def _run(self) -> None:
        told = False
        while not self._stop.is_set():
            try:
                changed = self._users.put_right(anew=self._anew)
            except LabqError as error:
                log.debug("users of nodes: %s", error.what)
            except Exception:
                log.exception("users of nodes: this look failed")
            else:
                self._anew = False
                if changed is None and not told:
                    log.warning(
                        "Redis is older than 6.2, or lets us make no users: all nodes share one password"
                    )
                    told = True
                elif changed:
                    log.info("users of nodes: %d put right", changed)
            self._stop.wait(PERIOD)
