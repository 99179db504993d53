"""Calls that are due later: time limits, SIGKILL after the grace. One waiting thread for all of them."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable

from labq.clock import monotonic

log = logging.getLogger(__name__)


class Timer:
    """One call that is due later; may be cancelled."""

    def __init__(self, call: Callable[[], None]) -> None:
        """Hold the call."""
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Forget the call, unless it has been made."""
        self.call = None


class Timers:
    """Makes calls when they are due, each in a thread of its own: one that waits for the engine delays no other."""

    def __init__(self) -> None:
        """Start waiting."""
        self._due: list[tuple[float, int, Timer]] = []
        self._tidy_at = 1000
        self._count = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._wait, name="timers", daemon=True).start()

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Make ``call`` after so many seconds."""
        timer = Timer(call)
        with self._changed:
            if len(self._due) >= self._tidy_at:
                # Time limits of days, of jobs that ended in minutes.
                self._due = [entry for entry in self._due if entry[2].call is not None]
                heapq.heapify(self._due)
                self._tidy_at = 1000 + 2 * len(self._due)
            heapq.heappush(self._due, (monotonic() + max(0.0, seconds), next(self._count), timer))
            self._changed.notify()
        return timer

    def _wait(self) -> None:
        while True:
            with self._changed:
                if not self._due:
                    self._changed.wait()
                    continue
                left = self._due[0][0] - monotonic()
                if left > 0:
                    self._changed.wait(min(left, 3600.0))
                    continue
                call = heapq.heappop(self._due)[2].call
            if call is not None:
                threading.Thread(target=_safely, args=(call,), name="timer", daemon=True).start()


def _safely(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:
        log.exception("a call that was due failed")
