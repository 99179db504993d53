"""What people are charged, a few seconds old: fair share asks for it at each decision, and it moves slowly."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from labq.clock import monotonic
from labq.errors import LabqError

log = logging.getLogger(__name__)

#: Seconds for which an answer holds. In that time a half-life of days moves a charge by a millionth, and a lab of 1,000
#: GPUs uses 5,000 of the 10^8 and more GPU-seconds that it is charged for.
HOLDS = 5.0


class Lately:
    """The last answer of the ledger. Use it from any thread, not while holding the board's lock: the ledger asks the board."""

    def __init__(self, ask: Callable[[float], Mapping[str, float]]) -> None:
        """Ask ``ask`` with the seconds since the epoch."""
        self._ask = ask
        self._known: Mapping[str, float] = {}
        self._asked_at = -1e9
        self._lock = threading.Lock()

    def __call__(self, now: float) -> Mapping[str, float]:
        """Return the charge of each person; what was last known when it cannot be had now."""
        with self._lock:
            if monotonic() - self._asked_at > HOLDS:
                self._asked_at = (
                    monotonic()
                )  # also when it fails: who decides must not wait for it at each turn
                try:
                    self._known = self._ask(now)
                except LabqError as error:
                    log.warning("what people are charged is not known now: %s", error.what)
            return self._known
