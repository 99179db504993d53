"""The board's events, for coroutines that wait for one job.

The board calls back in its own thread; the hub hands the event to whoever watches that job, on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from labq.store import Event
from labq_scheduler.board import Board


class Watch:
    """One waiter. For the event loop's thread only."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._events: deque[Event] = deque()
        self._woken = asyncio.Event()

    def push(self, event: Event | None) -> None:
        """Add an event (None: only wake up)."""
        if event is not None:
            self._events.append(event)
        self._woken.set()

    def take(self) -> list[Event]:
        """Return the events since the last call, oldest first."""
        found = list(self._events)
        self._events.clear()
        self._woken.clear()
        return found

    async def wait(self, timeout: float) -> None:
        """Wait for an event, at most ``timeout`` seconds."""
        if self._events:
            return
        loop = asyncio.get_running_loop()
        handle = loop.call_later(timeout, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            handle.cancel()


class Hub:
    """All waiters, by job."""

    def __init__(self, board: Board) -> None:
        """Follow ``board`` from :meth:`start` on."""
        self._board = board
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        #: tuples, replaced and never changed: the board's thread reads them
        self._by_job: dict[str, tuple[Watch, ...]] = {}
        self.closing = False

    def start(self) -> None:
        """Listen to the board; call it on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = self._board.subscribe(self._on_event)

    def stop(self) -> None:
        """Listen no more."""
        self._unsubscribe()
        self._unsubscribe = lambda: None

    def close(self) -> None:
        """Tell all streams to end; may be called from a signal handler."""
        self.closing = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Watch]:
        """Give a watch on the job for as long as the block lasts."""
        watch = Watch()
        self._by_job[job_id] = (*self._by_job.get(job_id, ()), watch)
        try:
            yield watch
        finally:
            rest = tuple(other for other in self._by_job[job_id] if other is not watch)
            if rest:
                self._by_job[job_id] = rest
            else:
                del self._by_job[job_id]

    @property
    def watched(self) -> int:
        """Return how many streams are open."""
        return sum(len(watches) for watches in self._by_job.values())

    def _on_event(self, event: Event) -> None:
        if event.type != "moved" or self._loop is None:
            return
        watches = self._by_job.get(event.fields["id"])
        if watches:
            for watch in watches:
                self._loop.call_soon_threadsafe(watch.push, event)

    def _wake_all(self) -> None:
        for watches in self._by_job.values():
            for watch in watches:
                watch.push(None)
