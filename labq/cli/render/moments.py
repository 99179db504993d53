"""Times of the API (RFC 3339 UTC) for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from labq.about import about_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def epoch(text: str | None) -> float | None:
    """Return the seconds since the epoch of a time that the API wrote; None stays None.

    >>> epoch("1970-01-02T00:00:01.500Z")
    86401.5
    """
    if not text:
        return None
    year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
    # Days of the proleptic Gregorian calendar; datetime would cost 2 ms of start-up.
    shifted = year - (month <= 2)
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + day - 719469
    seconds = int(text[11:13]) * 3600 + int(text[14:16]) * 60
    return days * 86400 + seconds + float(text[17:].rstrip("Zz"))


def about(seconds: float | None) -> str:
    """Return a duration for people, two units at most; "" for None.

    >>> about(41), about(125), about(7500), about(273600)
    ('41s', '2m05s', '2h05m', '3d4h')
    """
    if seconds is None:
        return ""
    return about_duration(seconds)


def between(start: str | None, end: str | None, now: float) -> float | None:
    """Return the seconds from ``start`` to ``end`` (now when it has not come); None without a start."""
    begun = epoch(start)
    if begun is None:
        return None
    over = epoch(end)
    return (now if over is None else over) - begun


def waited(job: Mapping[str, Any], now: float) -> float | None:
    """Return the seconds that a job has waited, or did before its last attempt; what earlier attempts ran does not count."""
    passed = between(job.get("submitted_at"), job.get("started_at") or job.get("ended_at"), now)
    return None if passed is None else max(0.0, passed - float(job.get("ran_before") or 0.0))


def local(text: str | None) -> str:
    """Return a time in the zone of this machine: ``2026-12-01 22:00:05``; "-" for None."""
    from time import localtime, strftime

    at = epoch(text)
    return "-" if at is None else strftime("%Y-%m-%d %H:%M:%S", localtime(at))
