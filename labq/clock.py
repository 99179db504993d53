"""The only reader of the clock.

Everything else takes ``now`` (seconds since the epoch, UTC) as an argument.
"""

from __future__ import annotations

import time


def now() -> float:
    """Return the wall clock as seconds since the epoch."""
    return time.time()  # noqa: TID251 - this is the one place


def monotonic() -> float:
    """Return a clock that never goes back, in seconds, for measuring durations."""
    return time.monotonic()


def rfc3339(at: float) -> str:
    """Return ``at`` (seconds since the epoch) as RFC 3339 UTC with milliseconds."""
    millis = round(at * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(millis // 1000))
    return f"{whole}.{millis % 1000:03d}Z"
