"""The thread that fills the records from the event stream.

It notes how far it came (a cursor in Redis) only after the rows are committed, and writes the same row for the
same job however often: killed at any line, it loses nothing and doubles nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from labq.errors import LabqError
from labq.node import Gpu
from labq.states import FINAL
from labq.store import Event, Store
from labq.store.events import id_key
from labq_scheduler.records.history import History

log = logging.getLogger(__name__)

CURSOR = "records"
#: Events in one batch, and jobs in one transaction when all are recorded again.
BATCH = 1000
#: Seconds to wait for more after the first event: ended jobs come in bursts.
GATHER = 0.2


class Recorder:
    """Follows the stream in a thread of its own."""

    def __init__(self, store: Store, history: History, cards: Callable[[], Mapping[str, Gpu]] = dict) -> None:
        """Prepare the thread.

        Args:
            store: where the jobs are.
            history: the records.
            cards: says the lab's GPUs by uuid; a share's part of its card is recorded with it.
        """
        self._store, self._history, self._cards = store, history, cards
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._ready = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=3)

    def wake(self, event: Event) -> None:
        """Say that there is something new; the board calls it for each event."""
        if _matters(event):
            self._wake.set()

    def catch_up(self) -> int:
        """Record everything up to now; return how many events were dealt with."""
        events_store, count = self._store.events, 0
        cursor = events_store.cursor(CURSOR)
        if not self._ready:
            cursor = self._resync_if_needed(cursor)
            self._ready = True
        while not self._stop.is_set():
            events = events_store.read(cursor, count=BATCH)
            if not events:
                break
            self.record(events)
            cursor = events[-1].id
            events_store.set_cursor(CURSOR, cursor)
            count += len(events)
        return count

    def record(self, events: Sequence[Event]) -> None:
        """Write the finished jobs that the events name, as they are now."""
        ids = list(dict.fromkeys(event.fields["id"] for event in events if _matters(event)))
        jobs = [job for job in self._store.jobs.get_many(ids) if job.state in FINAL]
        if jobs:
            self._history.put(jobs, self._cards())

    def _resync_if_needed(self, cursor: str) -> str:
        """Record all finished jobs that Redis holds when events are missing or the tables are new."""
        fresh = self._history.open()
        first = self._store.events.first_id()
        if not fresh and (first == "0-0" or id_key(cursor) >= id_key(first)):
            return cursor
        # Killed before the end, the next start begins here again.
        self._store.events.set_cursor(CURSOR, "0-0")
        last = self._store.events.last_id()
        ids = self._store.jobs.ended_ids(0.0, 10_000_000)
        for start in range(0, len(ids), BATCH):
            self._history.put(self._store.jobs.get_many(ids[start : start + BATCH]), self._cards())
        if ids:
            log.info("recorded %d finished jobs again", len(ids))
        self._store.events.set_cursor(CURSOR, last)
        return last

    def _run(self) -> None:
        pause = 0.5
        while not self._stop.is_set():
            try:
                self._wake.clear()
                self.catch_up()
                pause = 0.5
            except LabqError as error:
                log.warning("recorder: %s", error.what)
                self._stop.wait(pause)
                pause = min(30.0, pause * 2)
                continue
            except Exception:
                log.exception("recorder: trying again")
                self._stop.wait(5.0)
                continue
            self._wake.wait(30.0)
            self._stop.wait(GATHER)


def _matters(event: Event) -> bool:
    if event.type == "noted":
        return True
    return event.type == "moved" and event.fields["to"] in {str(state) for state in FINAL}
