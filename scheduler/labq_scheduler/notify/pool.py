"""Threads that do what they are handed, and that nobody has to wait for.

``concurrent.futures`` joins its threads when the interpreter ends: one server that hangs would keep the notifier from
ending.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from labq.clock import monotonic

log = logging.getLogger(__name__)
Task = Callable[[], None]


class Pool:
    """Some daemon threads and a queue."""

    def __init__(self, name: str, threads: int) -> None:
        """Start the threads."""
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{at}", daemon=True) for at in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Task) -> None:
        """Have a task done soon; none is begun after :meth:`stop`."""
        self._tasks.put(task)

    def stop(self, seconds: float) -> None:
        """Begin nothing new, and wait at most so long for what was begun."""
        self._stop.set()
        for _ in self._threads:
            self._tasks.put(None)
        end = monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - monotonic()))

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None and not self._stop.is_set():
            try:
                task()
            except Exception:
                log.exception("a task of %s", threading.current_thread().name)
