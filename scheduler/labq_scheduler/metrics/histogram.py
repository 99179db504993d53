"""Counts by bucket, as Prometheus wants them. Safe for threads."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """How often which values were seen."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Begin empty.

        Args:
            bounds: upper bounds of the buckets, growing; what is above the last goes to "+Inf".
        """
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Count a value."""
        with self._lock:
            self._counts[bisect_left(self.bounds, value)] += 1
            self._sum += value

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """Return (upper bound, values up to it) of each bucket, and the sum of all values."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        rows, seen = [], 0
        for bound, count in zip(
            (*(repr(float(bound)) for bound in self.bounds), "+Inf"), counts, strict=True
        ):
            seen += count
            rows.append((bound, float(seen)))
        return rows, total
