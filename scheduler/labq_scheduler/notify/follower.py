"""The thread that reads the event stream, makes notices, and says which lanes are due.

A notice is made in the same step in which the cursor moves: killed at any line, this loses nothing and doubles nothing,
and a second notifier does no harm (it finds the cursor moved, and begins again from there).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Container, Sequence

from labq.clock import monotonic, now
from labq.errors import NotFoundError, UnavailableError
from labq.job import Job
from labq.node import Node
from labq.notify import Preferences
from labq.states import FINAL, JobState
from labq.store import Event, NewNotice, Store
from labq.store.events import id_key
from labq.store.notices import CURSOR
from labq_scheduler.notify.choose import notice
from labq_scheduler.notify.news import News, array_news, concerns, read_event

log = logging.getLogger(__name__)
#: Events in one batch, and milliseconds to wait for the first.
BATCH, BLOCK = 500, 500
#: The cursor of a stream that has no event yet, and will not stay so.
EMPTY = "0-1"
#: Seconds after which an event is no news any more: the notifier was not there for so long.
OLD = 86_400.0
#: Seconds between two signs of life; a fifth of how long one lasts.
BEAT = 2.0
#: Seconds until a lane is named again, should its message be lost.
AGAIN = 10.0
#: Arrays that are remembered as told; when there are more, some are read once more.
MOST_ARRAYS = 10_000


class Follower:
    """Follows the stream in a thread of its own."""

    def __init__(
        self, store: Store, token: str, kinds: Sequence[str], tell: Callable[[str, int], None], old: float = OLD
    ) -> None:  # fmt: skip
        """Prepare the thread.

        Args:
            store: where events, jobs and notices are.
            token: of this process, under which it holds lanes.
            kinds: of channels that this lab sends to.
            tell: sends a message to the workers: the first notice of a lane, and seconds that it is worth something.
            old: seconds after which an event is no news any more.
        """
        #: arrays that are over and were dealt with
        self._arrays: set[str] = set()
        self._store, self._token, self._kinds, self._tell, self._old = store, token, tuple(kinds), tell, old
        self._beat = -1e9
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=3)

    def turn(self, block_ms: int | None = None) -> int:
        """Read one batch, make its notices, tell which lanes are due; return the number of events.

        Args:
            block_ms: wait so long for the first event; None = do not wait.
        """
        notices, events_store = self._store.notices, self._store.events
        if monotonic() - self._beat > BEAT:
            notices.beat(self._token, self._kinds)
            self._beat = monotonic()
        cursor = events_store.cursor(CURSOR)
        if cursor == "0-0":
            # The first start of all: what was before is no news.
            last = events_store.last_id()
            cursor = EMPTY if last == "0-0" else last
            notices.make((), now=now(), cursor="0-0", moved_to=cursor)
            return 0
        events = events_store.read(cursor, count=BATCH, block_ms=block_ms)
        if events:
            batch = self._batch_of(events, now())
            gap = cursor != EMPTY and events[0].id == events_store.first_id()
            if notices.make(batch.notices, now=now(), cursor=cursor, moved_to=events[-1].id) is None:
                log.info("another notifier was faster; going on behind it")
            else:
                self._count_missed(batch.old, gap=gap)
            notices.fold({made.lane for made in batch.notices}, now=now())
            if len(self._arrays) > MOST_ARRAYS:
                self._arrays.clear()
            self._arrays |= batch.arrays
        for notice_id in notices.due(now=now(), again=AGAIN):
            self._tell(notice_id, int(AGAIN))
        return len(events)

    def _batch_of(self, events: Sequence[Event], at: float) -> _Batch:
        """Return what comes of events, in their order.

        Args:
            events: as they stand in the stream.
            at: seconds since the epoch.
        """
        fresh = [event for event in events if concerns(event) and at - _when(event) < self._old]
        ids = list(dict.fromkeys(event.fields["id"] for event in fresh))
        jobs = {job.id: job for job in self._store.jobs.get_many(ids)}
        batch = _Batch(self._store, self._kinds, at, self._arrays)
        batch.old = sum(1 for event in events if concerns(event)) - len(fresh)
        for event in fresh:
            job = jobs.get(event.fields["id"])
            if job is None:
                continue
            try:
                batch.add(event, job)
            except UnavailableError:
                raise
            except Exception:  # one event that cannot be read must not stop all others, for ever
                log.exception("nobody is told of event %s", event.id)
        return batch

    def _count_missed(self, old: int, *, gap: bool) -> None:
        """Count what nobody is told of.

        Args:
            old: events that were too old.
            gap: the first event read is the first that Redis keeps: what came between the cursor and it is lost. (When
                just the cursor's own event was dropped nothing is; that is one in thousands, and counts all the same.)
        """
        for reason, count in (("old", old), ("trimmed", int(gap))):
            if count:
                log.warning("nobody is told of events that were %s before they were read: %d", reason, count)
                self._store.events.miss(reason, count)

    def _run(self) -> None:
        pause = 0.5
        while not self._stop.is_set():
            try:
                self.turn(BLOCK)
                pause = 0.5
            except UnavailableError as error:
                log.warning("follower: %s", error.what)
                self._stop.wait(pause)
                pause = min(5.0, pause * 2)
            except Exception:
                log.exception("follower: trying again")
                self._stop.wait(2.0)


def _when(event: Event) -> float:
    """Return when it happened; the stream's own time when the event does not say it in numbers."""
    try:
        return float(event.fields["at"])
    except (KeyError, ValueError):
        return id_key(event.id)[0] / 1000


class _Batch:
    """The notices of one batch, with what was looked up for them."""

    def __init__(self, store: Store, kinds: Sequence[str], at: float, done: Container[str] = ()) -> None:
        self._store, self._kinds, self._at, self._done = store, kinds, at, done
        #: arrays that this batch found at their end
        self.arrays: set[str] = set()
        #: events that somebody would have been told of, had they been read in time
        self.old = 0
        self.notices: list[NewNotice] = []
        self._wanted: dict[str, Preferences | None] = {}
        self._nodes: dict[str, Node | None] = {}
        self._over: dict[str, bool] = {}

    def add(self, event: Event, job: Job) -> None:
        """Add what comes of one event."""
        wanted = self._preferences(job.owner)
        if wanted is None:
            return
        ended = event.type == "moved" and event.fields["to"] != JobState.QUEUED
        if ended and job.array and wanted.digest:
            self._add_task(event, job, wanted)
            return
        self._put(self._read(event, job), f"event-{event.id}", wanted)

    def _add_task(self, event: Event, job: Job, wanted: Preferences) -> None:
        """Tell an array once: at its end; and before that its first failure."""
        array = job.array or ""
        # Its tasks are read once, not once for each of them: 20,000 may end together.
        if array in self._done or array in self.arrays:
            return
        if self._is_over(array):
            self.arrays.add(array)
            tasks = [
                task
                for task in self._store.jobs.get_many(self._store.jobs.array(array))
                if task.state in FINAL
            ]
            mine = all(str(task.end_reason) == "cancelled_by_user" for task in tasks)
            if tasks and not mine:
                self._put(array_news(array, tasks, _when(event)), f"array-{array}", wanted)
        elif job.state is JobState.FAILED:
            self._put(self._read(event, job), f"array-{array}-failed", wanted, alone=True)

    def _put(self, news: News | None, notice_id: str, wanted: Preferences, *, alone: bool = False) -> None:
        made = None if news is None else notice(news, notice_id, wanted, self._at, alone=alone)
        if made is not None and all(made.id != other.id for other in self.notices):
            self.notices.append(made)

    def _read(self, event: Event, job: Job) -> News | None:
        name = event.fields.get("node") or job.node or ""
        if name not in self._nodes:
            try:
                self._nodes[name] = self._store.nodes.get(name) if name else None
            except NotFoundError:
                self._nodes[name] = None
        return read_event(event, job, self._nodes[name])

    def _preferences(self, owner: str) -> Preferences | None:
        """Return what the owner wants; None when there is no way to tell them."""
        if owner not in self._wanted:
            wanted, person = self._store.notices.preferences(owner), self._store.people.get(owner)
            unknown = (
                wanted.channel.kind == "slack"
                and not wanted.channel.target
                and not (person and person.slack_id)
            )
            self._wanted[owner] = None if unknown or wanted.channel.kind not in self._kinds else wanted
        return self._wanted[owner]

    def _is_over(self, array: str) -> bool:
        if not self._over.get(array):
            self._over[array] = self._store.jobs.array_is_over(array)
        return self._over[array]
