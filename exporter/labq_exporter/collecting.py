"""Collectors: each is guarded, timed and counted; one that fails leaves its last result and empties nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from labq.clock import monotonic, now
from labq_exporter.snapshot import CollectorStatus

log = logging.getLogger(__name__)
T = TypeVar("T")


class Collecting:
    """How the collectors do."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Know the collectors by name."""
        self._status = {name: CollectorStatus(name) for name in names}

    def run(self, name: str, work: Callable[[], T], otherwise: T) -> T:
        """Return what ``work`` returns, or ``otherwise`` when it fails."""
        began, before = monotonic(), self._status[name]
        try:
            found = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other collectors go on
            if before.success or not before.errors:
                log.warning("%s: %s: %s", name, type(error).__name__, error)
            self.note(name, success=False, duration=monotonic() - began)
            return otherwise
        self.note(name, success=True, duration=monotonic() - began)
        return found

    def note(self, name: str, *, success: bool, duration: float, last: float | None = None) -> None:
        """Note how a try of a collector went.

        Args:
            name: of the collector.
            success: whether it succeeded.
            duration: seconds.
            last: when it last succeeded (seconds since the epoch) for one that works in threads of its own.
        """
        before = self._status[name]
        succeeded = last if last is not None else now() if success else before.last
        self._status[name] = CollectorStatus(
            name, succeeded, success, duration, before.errors + (not success)
        )

    def all(self) -> tuple[CollectorStatus, ...]:
        """Return how all do."""
        return tuple(self._status.values())
