"""The thread that brings agents' rows of use into the records and into the ledger, every few seconds.

A row is dropped from Redis when it is recorded and its hour has been over for long: killed at any line, it is read
and recorded again, which changes nothing (labq/usage.py says why).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from labq.clock import now
from labq.errors import LabqError
from labq.store import Store
from labq.usage import HOUR, UsageRow
from labq_scheduler.records.history import History
from labq_scheduler.usage.ledger import Ledger

log = logging.getLogger(__name__)

#: Seconds between two rounds.
PERIOD = 15.0
#: Seconds for which the rows of an hour that is over stay in Redis: a loop elsewhere reads them there too.
KEEP = 2 * HOUR
#: Seconds by which an hour may lie in the future: a node's clock may be in the wrong time zone, not in the wrong year.
AHEAD = 86_400


class UsageFollower:
    """Rounds in a thread of its own."""

    def __init__(self, store: Store, ledger: Ledger, history: History | None = None) -> None:
        """Prepare the thread.

        Args:
            store: where agents write.
            ledger: told of all rows.
            history: the records, in the process that fills them; None = another one does.
        """
        self._store, self._ledger, self._history = store, ledger, history
        self._recorded: frozenset[UsageRow] = frozenset()
        self._told: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=3)

    def round(self, now: float) -> None:
        """Record, count and forget once."""
        rows = self._of_our_time(self._store.usage.read_all(), now)
        self._ledger.refresh(rows, now)
        if self._history is not None:
            self._record(frozenset(rows), self._history)
            self._store.usage.forget(row for row in rows if row.hour + HOUR + KEEP <= now)

    def _of_our_time(self, rows: Iterable[UsageRow], now: float) -> list[UsageRow]:
        """Leave out what has not happened yet. It stays in Redis: whose clock is wrong, the node's or ours, is not known."""
        found = []
        for row in rows:
            if row.hour <= now + AHEAD:
                found.append(row)
            elif row.node not in self._told:
                self._told.add(row.node)
                log.warning(
                    "the clock of node %s, or ours, is wrong: its use of %d waits", row.node, row.hour
                )
        return found

    def _record(self, rows: frozenset[UsageRow], history: History) -> None:
        new = rows - self._recorded
        if new:
            history.put_usage(sorted(new, key=lambda row: (row.hour, row.node, row.gpu, row.user)))
        self._recorded = rows

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.round(now())
            except LabqError as error:
                log.warning("usage: %s", error.what)
            except Exception:
                log.exception("usage: this round failed")
            self._stop.wait(PERIOD)
