"""Where a driver reports: to Redis for the server's runs, to standard output for ``--once``."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from labq.clock import monotonic
from labq.errors import ConflictError, UnavailableError
from labq.provision import Run, RunEvent, RunState
from labq.store import Store
from labq.store.provision import MAX_EVENTS

log = logging.getLogger(__name__)
#: Seconds between two deliveries of events, and between two looks at whether somebody cancels.
FLUSH, LOOK = 0.2, 1.0
#: Seconds for which a Redis that is away is waited for at a run's end: a play may restart the control machine's.
PATIENCE = 1800.0
T = TypeVar("T")


class Desk(Protocol):
    """Where a driver reports.

    Attributes:
        run: as it was last written.
    """

    run: Run

    def tell(self, event: RunEvent) -> None:
        """Report an event. Returns at once."""

    def write(self, new: Run) -> None:
        """Write the run's record.

        Raises:
            ConflictError: it was moved by somebody else.
        """

    def cancelled(self) -> bool:
        """Return whether the run is to end."""

    def close(self) -> None:
        """Deliver what is left."""


class PrintDesk:
    """Prints a JSON line for each event and each change of the record."""

    def __init__(self, run: Run) -> None:
        """Begin."""
        self.run = run
        self._number = 0
        self.stop = threading.Event()

    def tell(self, event: RunEvent) -> None:
        """Print it."""
        self._number += 1
        self._print({"event": event.to_json(self._number)})

    def write(self, new: Run) -> None:
        """Print it."""
        self.run = new
        self._print({"run": new.view()})

    def cancelled(self) -> bool:
        """Return whether this process was told to end."""
        return self.stop.is_set()

    def close(self) -> None:
        """Nothing is left."""

    def _print(self, body: dict[str, Any]) -> None:
        try:
            sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        except OSError:  # whoever read it is gone: the run goes on
            log.debug("nobody reads")


class RedisDesk:
    """Writes to Redis; events in a thread, so that a Redis that is away holds nothing up."""

    def __init__(self, store: Store, run: Run) -> None:
        """Begin."""
        self.run = run
        self._store = store.provision
        self._lock, self._flushing = threading.Lock(), threading.Lock()
        #: all of them: a Redis that was killed may have lost the last second, and is told again
        self._events: list[dict[str, Any]] = []
        self._sent = 0
        self._cancelled = False
        self.stop = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
        self._thread.start()

    def tell(self, event: RunEvent) -> None:
        """Put it into what is delivered next."""
        with self._lock:
            self._events.append(event.to_json(len(self._events) + 1))

    def write(self, new: Run) -> None:
        """Write the record, after the events; wait for a Redis that is away."""
        self._persistently(self._flush)
        self.run = self._persistently(lambda: self._write(new))

    def cancelled(self) -> bool:
        """Return whether somebody asked for it, or this process was told to end."""
        return self._cancelled or self.stop.is_set()

    def close(self) -> None:
        """Deliver what is left."""
        self._closing.set()
        self._thread.join()

    def _persistently(self, work: Callable[[], T]) -> T:
        began = monotonic()
        while True:
            try:
                return work()
            except UnavailableError:
                if monotonic() - began > PATIENCE:
                    raise
                self._closing.wait(1.0)

    def _work(self) -> None:
        looked = 0.0
        while not self._closing.wait(FLUSH):
            try:
                self._flush()
                if monotonic() - looked >= LOOK:
                    looked = monotonic()
                    self._cancelled = self._cancelled or bool(self._store.cancel_asked(self.run.id))
                    # A run that waits is cancelled without its driver.
                    if (
                        self.run.state is RunState.QUEUED
                        and self._store.get(self.run.id).state is RunState.CANCELLED
                    ):
                        self._cancelled = True
            except UnavailableError as error:
                log.warning("run %s: %s", self.run.id, error.what)
                self._closing.wait(1.0)
            except Exception:
                log.exception("run %s: reporting", self.run.id)
                self._closing.wait(1.0)

    def _write(self, new: Run) -> Run:
        try:
            return self._store.write(self.run, new)
        except ConflictError as error:
            if self.run.state is not RunState.RUNNING or error.details.get("state") != RunState.QUEUED:
                raise
            # A Redis that was killed lost that it had begun.
            self._store.write(replace(self.run, state=RunState.QUEUED), self.run)
            return self._store.write(self.run, new)

    def _flush(self) -> None:
        with self._flushing:
            while True:
                with self._lock:
                    batch, first = self._events[self._sent : self._sent + 500], self._sent + 1
                if not batch:
                    return
                have = self._store.tell(self.run.id, first, batch)
                self._sent = len(self._events) if have >= MAX_EVENTS else have
