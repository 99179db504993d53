"""What this agent works on right now: one ``Attempt`` for each lease, found by its token."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from labq.holding.facts import LeaseFacts
from labq_worker.end_facts import Signals
from labq_worker.timers import Timer


class Attempt:
    """One attempt that a thread of this agent works on."""

    def __init__(self, job_id: str, number: int, lease: str) -> None:
        """Name it.

        Attributes:
            container: the engine's id once it is created.
            started: its first process runs, or ran.
            facts: what the other programs of this machine are told of its lease; None = its job was not read yet.
            fenced: its lease is gone; nothing of it is written to the store any more.
            cancelled_at_start: it was cancelled while its container was being made, and killed at once.
            closing: its end is being told to the store; nobody else touches the container.
            ended: its container runs no more.
            time_armed: somebody stops it when its time is over.
        """
        self.job_id, self.number, self.lease = job_id, number, lease
        self.container = ""
        self.cgroup_parent = ""
        self.started = False
        self.fenced = False
        self.cancelled_at_start = False
        self.closing = False
        self.peak_memory = 0
        self.peak_file: Path | None = None
        self.image_id = ""
        self.uid = 0
        #: bytes that it may write on the node's disk; 0 = its job did not say
        self.disk = 0
        self.facts: LeaseFacts | None = None
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.sending = threading.Lock()
        self.stopping = False
        self.time_armed = False
        self.signals = Signals()
        self._timers: list[Timer] = []

    def __repr__(self) -> str:
        """Return job and attempt."""
        return f"job {self.job_id} attempt {self.number}"

    def send(self, name: str, deliver: Callable[[], bool]) -> bool:
        """Send a signal and note it when it arrived: one that came after the end explains nothing.

        Args:
            name: the signal.
            deliver: sends it; returns whether it arrived.

        Raises:
            EngineError: nobody knows whether it arrived; the end is judged by its time.
        """
        with self.sending:
            try:
                arrived = deliver()
            except Exception:
                self.signals = replace(self.signals, unknown=True)
                raise
            if arrived and name == "SIGKILL":
                self.signals = replace(self.signals, sigkill=True)
            elif arrived:
                self.signals = replace(self.signals, sigterm=True)
            return arrived

    def signals_sent(self) -> Signals:
        """Return what was sent, once what is on its way has arrived or has not: a container may end before we know."""
        with self.sending:
            return self.signals

    def keep(self, timer: Timer) -> None:
        """Cancel this timer when the container has ended."""
        with self.lock:
            if not self.ended.is_set():
                self._timers.append(timer)
                return
        timer.cancel()

    def note_end(self) -> None:
        """Note that the container runs no more."""
        with self.lock:
            self.ended.set()
            timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()


class Attempts:
    """All attempts in work, by lease."""

    def __init__(self) -> None:
        """Begin with none."""
        self._by_lease: dict[str, Attempt] = {}
        self._lock = threading.Lock()

    def take(self, job_id: str, number: int, lease: str) -> Attempt | None:
        """Return a new attempt to work on; None when somebody works on this lease already."""
        with self._lock:
            if lease in self._by_lease:
                return None
            attempt = self._by_lease[lease] = Attempt(job_id, number, lease)
            return attempt

    def drop(self, attempt: Attempt) -> None:
        """Nobody works on it any more."""
        with self._lock:
            self._by_lease.pop(attempt.lease, None)

    def get(self, lease: str) -> Attempt | None:
        """Return the attempt under a lease."""
        with self._lock:
            return self._by_lease.get(lease)

    def all(self) -> list[Attempt]:
        """Return all attempts in work."""
        with self._lock:
            return list(self._by_lease.values())
