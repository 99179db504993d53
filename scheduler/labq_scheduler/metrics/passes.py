"""What the deciding loop of this process did."""

from __future__ import annotations

import threading

from labq_scheduler.apply import Applied
from labq_scheduler.metrics.histogram import Histogram

#: Seconds. A pass of an idle lab takes a millisecond, one of 10,000 jobs tens.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
OUTCOMES = ("started", "prepared", "refused", "preempted", "stale", "failed")


class Passes:
    """Counters of the loop; it writes, the page reads."""

    def __init__(self) -> None:
        """Begin at zero."""
        #: whether this process decides now
        self.leads = False
        self.decide = Histogram(BUCKETS)
        self.apply = Histogram(BUCKETS)
        self._outcomes = dict.fromkeys(OUTCOMES, 0)
        self._lock = threading.Lock()

    def applied(self, done: Applied) -> None:
        """Count what came of one pass."""
        with self._lock:
            for outcome in OUTCOMES:
                self._outcomes[outcome] += getattr(done, outcome)

    @property
    def outcomes(self) -> dict[str, int]:
        """Return how many decisions came to what."""
        with self._lock:
            return dict(self._outcomes)
